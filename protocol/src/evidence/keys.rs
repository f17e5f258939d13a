//! The keys of the accused, and whether a half is signed by one that was in force where it signed.
//!
//! Without the places where keys were bound, whoever finds an old key could convict a network that has long replaced
//! it (specs/evidence.md §3).

use super::NotEvidence;
use super::statement::{Head, Statement};
use crate::entry::Entry;
use crate::ids::{KeyBytes, LedgerId};
use crate::keys::{PublicKey, SignatureError};
use crate::ledger::Rejected;
use crate::ledger::identity::{Identity, Purpose};
use crate::log::note::{KeyName, NoteVerifyError, SignatureType, VerifierKey, key_id};
use crate::log::witness::Cosignature;

/// Identity entries are those of area 1.
const IDENTITY_AREA: u16 = 1;

/// What a half is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// The accused's identity entries: every key, with the place where it was bound.
    Identity(Box<Bound>),
    /// One key that the reader was given; nothing is known of when it was in force.
    Key(Box<VerifierKey>),
}

/// An identity, and where its log keys were bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    identity: Identity,
    /// Place of the entry that bound the log key of each epoch.
    log_bound_at: Vec<u64>,
}

/// An entry of area 1 of the accused.
pub(super) fn identity_entry(bytes: &[u8], accused: &LedgerId) -> Result<Entry, NotEvidence> {
    let none = || NotEvidence::Identity(Rejected::NoGenesis);
    let entry = Entry::parse(bytes).map_err(|_| none())?;
    if entry.kind().code() >> 8 != IDENTITY_AREA {
        return Err(none());
    }
    if entry.body().ledger != *accused {
        let got = entry.body().ledger;
        return Err(NotEvidence::Identity(Rejected::LedgerMismatch { expected: *accused, got }));
    }
    Ok(entry)
}

impl Keys {
    /// From identity entries in order, all their signatures checked.
    ///
    /// # Errors
    /// When there are none, or they are no identity.
    pub fn from_entries(entries: &[Entry]) -> Result<Self, NotEvidence> {
        let mut known: Option<Bound> = None;
        for entry in entries {
            let identity = match &known {
                None => Identity::from_entries([entry]),
                Some(bound) => bound.identity.after(entry),
            };
            let identity = identity.map_err(NotEvidence::Identity)?;
            let mut log_bound_at = known.map(|bound| bound.log_bound_at).unwrap_or_default();
            let epochs = identity.keys.get(&Purpose::Log).map_or(0, Vec::len);
            if epochs > log_bound_at.len() {
                log_bound_at.push(entry.body().seq);
            }
            known = Some(Bound { identity, log_bound_at });
        }
        known.map(|bound| Self::Identity(Box::new(bound))).ok_or(NotEvidence::NoKey)
    }

    pub(super) fn is_key_alone(&self) -> bool {
        matches!(self, Self::Key(_))
    }

    /// How many identity entries it was built from; 0 for a key alone.
    pub fn events(&self) -> u64 {
        match self {
            Self::Identity(bound) => bound.identity.events,
            Self::Key(_) => 0,
        }
    }

    pub(super) fn check(&self, accused: &LedgerId, said: &Statement, half: u8) -> Result<(), NotEvidence> {
        match self {
            Self::Identity(bound) if bound.identity.ledger == *accused => bound.check(said, half),
            Self::Identity(bound) => {
                let (expected, got) = (*accused, bound.identity.ledger);
                Err(NotEvidence::Identity(Rejected::LedgerMismatch { expected, got }))
            }
            Self::Key(key) => check_key(key, accused, said, half),
        }
    }
}

impl Bound {
    fn check(&self, said: &Statement, half: u8) -> Result<(), NotEvidence> {
        match said {
            Statement::Head(head) | Statement::Included(head, ..) => self.check_head(head, half),
            Statement::Entry(entry) => {
                let body = entry.body();
                let key = self.log_key(body.epoch, half)?;
                let signed = key.verify_message(&entry.node_message(), entry.node_sig());
                signed.map_err(|why| NotEvidence::Signature { half, why })?;
                // The entry that binds the next key is the last that the old one signs.
                let next = self.bound_at(body.epoch.saturating_add(1));
                let from = self.bound_at(body.epoch).unwrap_or(u64::MAX);
                let begun = body.seq > from || (body.seq == 0 && from == 0);
                in_force(begun && next.is_none_or(|next| body.seq <= next), half)
            }
            Statement::Decision(decision) => {
                let key = self.log_key(decision.body.epoch, half)?;
                let signed = key.verify_message(&decision.message(), &decision.sig);
                signed.map_err(|why| NotEvidence::Signature { half, why })
            }
            Statement::Seen(head) => {
                let keys = self.identity.keys.get(&Purpose::Witness).map(Vec::as_slice).unwrap_or_default();
                cosigned(head, keys, half)
            }
        }
    }

    /// A checkpoint is signed by the log key in force at its size.
    fn check_head(&self, head: &Head, half: u8) -> Result<(), NotEvidence> {
        let (origin, size) = (head.checkpoint.origin(), head.checkpoint.size());
        let keys = self.identity.keys.get(&Purpose::Log).map(Vec::as_slice).unwrap_or_default();
        let mut signed = false;
        for (epoch, key) in (0_u32..).zip(keys) {
            let Ok(key) = PublicKey::new(key) else { continue };
            let verifier = VerifierKey::new(origin.clone(), SignatureType::Ed25519, key);
            match head.note.verify(&verifier) {
                Ok(()) => {}
                Err(NoteVerifyError::NotSigned { .. } | NoteVerifyError::WrongType { .. }) => continue,
                Err(NoteVerifyError::BadSignature { .. }) => {
                    return Err(NotEvidence::Signature { half, why: SignatureError::Invalid });
                }
            }
            signed = true;
            let begun = self.bound_at(epoch).is_some_and(|at| at < size);
            let over = self.bound_at(epoch.saturating_add(1)).is_some_and(|at| at < size);
            if begun && !over {
                return Ok(());
            }
        }
        if signed {
            Err(NotEvidence::KeyNotInForce { half })
        } else {
            Err(NotEvidence::Signature { half, why: SignatureError::Invalid })
        }
    }

    fn bound_at(&self, epoch: u32) -> Option<u64> {
        self.log_bound_at.get(usize::try_from(epoch).ok()?).copied()
    }

    fn log_key(&self, epoch: u32, half: u8) -> Result<PublicKey, NotEvidence> {
        let key = self.identity.log_key(epoch);
        key.map_err(|_| NotEvidence::Signature { half, why: SignatureError::Invalid })
    }
}

fn in_force(is: bool, half: u8) -> Result<(), NotEvidence> {
    if is { Ok(()) } else { Err(NotEvidence::KeyNotInForce { half }) }
}

/// All that one key alone can show.
fn check_key(key: &VerifierKey, accused: &LedgerId, said: &Statement, half: u8) -> Result<(), NotEvidence> {
    let signature = |why| NotEvidence::Signature { half, why };
    let log = |name: &str| {
        let ours = key.signature_type() == SignatureType::Ed25519 && key.name().as_str() == name;
        if ours { Ok(key.key()) } else { Err(signature(SignatureError::Invalid)) }
    };
    match said {
        Statement::Head(head) | Statement::Included(head, ..) => {
            log(head.checkpoint.origin().as_str())?;
            head.note.verify(key).map_err(|_| signature(SignatureError::Invalid))
        }
        Statement::Entry(entry) => {
            log(&accused.origin())?.verify_message(&entry.node_message(), entry.node_sig()).map_err(signature)
        }
        Statement::Decision(decision) => {
            log(&accused.origin())?.verify_message(&decision.message(), &decision.sig).map_err(signature)
        }
        Statement::Seen(head) => {
            if key.signature_type() != SignatureType::CosignatureV1 {
                return Err(signature(SignatureError::Invalid));
            }
            cosigned_by(head, key.name(), key.key(), half)
                .and_then(|found| if found { Ok(()) } else { Err(signature(SignatureError::Invalid)) })
        }
    }
}

/// Whether one of these witness keys has cosigned a checkpoint, under whatever name. All lines that claim to be by
/// one of them must verify.
fn cosigned(head: &Head, keys: &[KeyBytes], half: u8) -> Result<(), NotEvidence> {
    let mut found = false;
    for key in keys.iter().filter_map(|key| PublicKey::new(key).ok()) {
        let names: Vec<&KeyName> = head.note.signatures().iter().map(|line| &line.name).collect();
        for name in names {
            found |= cosigned_by(head, name, &key, half)?;
        }
    }
    if found { Ok(()) } else { Err(NotEvidence::Signature { half, why: SignatureError::Invalid }) }
}

fn cosigned_by(head: &Head, name: &KeyName, key: &PublicKey, half: u8) -> Result<bool, NotEvidence> {
    let id = key_id(name, SignatureType::CosignatureV1, &key.bytes());
    let mut found = false;
    for line in head.note.signatures().iter().filter(|line| line.name == *name && line.id == id) {
        let cosignature = Cosignature::from_bytes(&line.signature);
        if !cosignature.is_some_and(|cosignature| cosignature.verifies(head.note.text(), key)) {
            return Err(NotEvidence::Signature { half, why: SignatureError::Invalid });
        }
        found = true;
    }
    Ok(found)
}
