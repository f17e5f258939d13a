//! An identity as a stranger builds it: from the public entries of a ledger, every signature checked
//! (specs/kinds.md §1).

use super::{Identity, RootSet, is_identity};
use crate::entry::{Entry, How, Payload, Role};
use crate::ids::Signer;
use crate::keys::PublicKey;
use crate::ledger::{Rejected, SigCheck};
use std::collections::BTreeSet;

impl Identity {
    /// Builds a stranger's identity from its entries in order, checking every signature.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Rejected> {
        let mut identity: Option<Self> = None;
        for entry in entries {
            identity = Some(match identity {
                None => Self::read_genesis(entry)?,
                Some(known) => known.after(entry)?,
            });
        }
        identity.ok_or(Rejected::NoGenesis)
    }

    fn read_genesis(entry: &Entry) -> Result<Self, Rejected> {
        let Payload::Genesis(genesis) = &entry.op().payload else { return Err(Rejected::NoGenesis) };
        let identity = Self::from_genesis(entry, genesis)?;
        identity.check_node(entry)?;
        let signed = check_roots(entry, &[&identity.root])?;
        need_quorum(&identity.root, &signed)?;
        Ok(identity)
    }

    /// The identity after one more identity entry of the same ledger, all signatures checked. Entries of other
    /// areas that stand on the public stream change nothing.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn after(&self, entry: &Entry) -> Result<Self, Rejected> {
        let (body, payload) = (entry.body(), &entry.op().payload);
        if !is_identity(payload) {
            self.check_other(entry)?;
            return Ok(self.clone());
        }
        if body.ledger != self.ledger {
            return Err(Rejected::LedgerMismatch { expected: self.ledger, got: body.ledger });
        }
        if self.signing_epoch(payload) != Some(body.epoch) {
            return Err(Rejected::UnknownEpoch { epoch: body.epoch });
        }
        self.check_node(entry)?;
        if let Payload::RootChanged(changed) = payload {
            let signed = check_roots(entry, &[&self.root, &changed.root])?;
            need_quorum(&self.root, &signed)?;
            let next = self.with_root(changed, body.seq)?;
            let (need, have) = (changed.root.threshold, members(&changed.root, &signed));
            return if have >= usize::from(need) {
                Ok(next)
            } else {
                Err(Rejected::NewRootQuorum { need, have })
            };
        }
        let signed = check_roots(entry, &[&self.root])?;
        need_quorum(&self.root, &signed)?;
        match payload {
            Payload::KeyBound(bound) => self.with_key(bound, body.seq),
            Payload::KeyRevoked(revoked) => self.with_revoked(revoked, body.seq),
            _ => Err(Rejected::GenesisPlace),
        }
    }

    /// Checks the signatures of an entry of another area on the public stream: it leaves the identity as it is.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn check_other(&self, entry: &Entry) -> Result<(), Rejected> {
        let body = entry.body();
        if body.ledger != self.ledger {
            return Err(Rejected::LedgerMismatch { expected: self.ledger, got: body.ledger });
        }
        self.log_key_at(body.epoch, body.seq)?
            .verify_message(&entry.node_message(), entry.node_sig())
            .map_err(Rejected::Signature)?;
        if matches!(entry.op().payload, Payload::Succession(_)) {
            need_quorum(&self.root, &check_roots(entry, &[&self.root])?)?;
        }
        Ok(())
    }

    /// Whether this identity was built from an entry with this content.
    pub fn has(&self, entry: &Entry) -> bool {
        match &entry.op().payload {
            Payload::Genesis(_) => self.genesis == entry.leaf(),
            Payload::KeyBound(bound) => self.key(bound.purpose, bound.epoch) == Some(&bound.key),
            Payload::KeyRevoked(revoked) => {
                self.revoked(revoked.purpose, revoked.epoch).is_some_and(|row| row.at == entry.body().seq)
            }
            Payload::RootChanged(_) => self.former.iter().any(|former| former.until == entry.body().seq),
            _ => false,
        }
    }

    fn check_node(&self, entry: &Entry) -> Result<(), Rejected> {
        let key = PublicKey::new(&self.node_key_bytes(entry)?).map_err(Rejected::Key)?;
        key.verify_message(&entry.node_message(), entry.node_sig()).map_err(Rejected::Signature)
    }
}

/// The root signers under an entry, each known to one of the sets, verified, and there once.
fn check_roots(entry: &Entry, sets: &[&RootSet]) -> Result<BTreeSet<Signer>, Rejected> {
    let mut signed = BTreeSet::new();
    for auth in &entry.body().auth {
        let own = auth.role == Role::Root && auth.how == How::OwnKey;
        let key = sets.iter().find_map(|set| set.key_of(auth.signer)).filter(|_| own);
        let key = key.ok_or(Rejected::UnknownSigner { signer: auth.signer })?;
        SigCheck::new(&key, entry.auth_message(auth), &auth.sig)?.verify().map_err(Rejected::Signature)?;
        if !signed.insert(auth.signer) {
            return Err(Rejected::SignedTwice { signer: auth.signer });
        }
    }
    Ok(signed)
}

fn members(set: &RootSet, signed: &BTreeSet<Signer>) -> usize {
    signed.iter().filter(|signer| set.key_of(**signer).is_some()).count()
}

fn need_quorum(set: &RootSet, signed: &BTreeSet<Signer>) -> Result<(), Rejected> {
    let have = members(set, signed);
    let need = set.threshold;
    if have >= usize::from(need) { Ok(()) } else { Err(Rejected::RootQuorum { need, have }) }
}
