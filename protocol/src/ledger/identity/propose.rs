//! Identity operations as a network's people prepare them: the payload that follows from an identity, and what
//! signatures an operation still lacks (specs/kinds.md §1, §6).
//!
//! Each function checks what the ledger will check, so that people do not gather signatures for nothing.

use super::{Identity, KeyBound, KeyRevoked, LastGood, Purpose, RootChanged, RootSet};
use crate::entry::{Kind, Op, Payload, Role, SignedOp};
use crate::ids::{Hash, KeyBytes};
use crate::ledger::Rejected;

/// Signatures of one root set under an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// Different root keys that have signed.
    pub have: usize,
    /// How many must sign.
    pub need: u8,
}

/// What an operation has of the signatures that it needs from root sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorums {
    /// The set in force.
    pub root: Quorum,
    /// The set that it puts in force.
    pub new_root: Option<Quorum>,
}

impl Quorum {
    fn of(set: &RootSet, signed: &SignedOp) -> Self {
        let roots = signed.auth.iter().filter(|auth| auth.role == Role::Root).map(|auth| auth.signer);
        let signers: std::collections::BTreeSet<_> =
            roots.filter(|signer| set.key_of(*signer).is_some()).collect();
        Self { have: signers.len(), need: set.threshold }
    }

    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        self.have >= usize::from(self.need)
    }
}

impl Quorums {
    /// Whether enough of each set have signed.
    pub fn are_met(&self) -> bool {
        self.root.is_met() && self.new_root.as_ref().is_none_or(Quorum::is_met)
    }
}

/// The next key of a purpose. A recovery key is bound this way from its first one on.
///
/// # Errors
/// The rule that the ledger would refuse it by.
pub fn bind(identity: &Identity, purpose: Purpose, key: KeyBytes) -> Result<Payload, Rejected> {
    let bound = KeyBound { purpose, epoch: identity.next_epoch(purpose), key };
    identity.with_key(&bound, 0)?;
    Ok(Payload::KeyBound(bound))
}

/// The end of trust in a key. `seq` is the next place of the ledger; `last_good` the last witnessed checkpoint that
/// the network stands by.
///
/// # Errors
/// The rule that the ledger would refuse it by.
pub fn revoke(
    identity: &Identity,
    purpose: Purpose,
    epoch: u32,
    last_good: LastGood,
    replacement: Option<KeyBytes>,
    seq: u64,
) -> Result<Payload, Rejected> {
    let revoked = KeyRevoked { purpose, epoch, last_good, replacement };
    identity.with_revoked(&revoked, seq)?;
    Ok(Payload::KeyRevoked(revoked))
}

/// Another root set, with the digest of the one after it ([`RootSet::digest`]).
///
/// # Errors
/// The rule that the ledger would refuse it by.
pub fn change_roots(
    identity: &Identity,
    root: RootSet,
    next_root: Option<Hash>,
) -> Result<Payload, Rejected> {
    let changed = RootChanged { root, next_root };
    identity.with_root(&changed, 0)?;
    Ok(Payload::RootChanged(changed))
}

/// What an operation has and lacks of root signatures, each counted once; whether they verify is not asked here.
///
/// # Errors
/// When the operation cannot be read.
pub fn quorums(identity: &Identity, signed: &SignedOp) -> Result<Quorums, Rejected> {
    let unknown = Rejected::Entry(crate::entry::EntryError::UnknownKind(signed.kind));
    let kind = Kind::from_code(signed.kind).ok_or(unknown)?;
    let op = Op::parse(kind, &signed.op.0).map_err(Rejected::Encoding)?;
    let new_root = match &op.payload {
        Payload::RootChanged(changed) => Some(Quorum::of(&changed.root, signed)),
        _ => None,
    };
    Ok(Quorums { root: Quorum::of(&identity.root, signed), new_root })
}
