//! The keys of the accused, and whether a half is signed by one that was in force where it signed.
//!
//! Without the places where keys were bound, whoever finds an old key could convict a network that has long replaced
//! it (specs/evidence.md §3).

use super::NotEvidence;
use super::statement::{Head, Statement};
use crate::entry::Entry;
use crate::ids::LedgerId;
use crate::keys::{PublicKey, SignatureError};
use crate::ledger::Rejected;
use crate::ledger::identity::{Identity, Purpose, is_identity};
use crate::log::note::{KeyName, NoteVerifyError, SignatureType, VerifierKey, key_id};
use crate::log::witness::Cosignature;

/// What a half is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// The accused's identity: every key, and where each was in force.
    Identity(Box<Identity>),
    /// One key that the reader was given; nothing is known of when it was in force.
    Key(Box<VerifierKey>),
}

/// An entry of which the identity of the accused is built.
pub(super) fn identity_entry(bytes: &[u8], accused: &LedgerId) -> Result<Entry, NotEvidence> {
    let none = || NotEvidence::Identity(Rejected::NoGenesis);
    let entry = Entry::parse(bytes).map_err(|_| none())?;
    if !is_identity(&entry.op().payload) {
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
        if entries.is_empty() {
            return Err(NotEvidence::NoKey);
        }
        let identity = Identity::from_entries(entries).map_err(NotEvidence::Identity)?;
        Ok(Self::Identity(Box::new(identity)))
    }

    pub(super) fn is_key_alone(&self) -> bool {
        matches!(self, Self::Key(_))
    }

    /// How many identity entries it was built from; 0 for a key alone.
    pub fn events(&self) -> u64 {
        match self {
            Self::Identity(identity) => identity.events,
            Self::Key(_) => 0,
        }
    }

    pub(super) fn check(&self, accused: &LedgerId, said: &Statement, half: u8) -> Result<(), NotEvidence> {
        match self {
            Self::Identity(identity) if identity.ledger == *accused => check(identity, said, half),
            Self::Identity(identity) => {
                let (expected, got) = (*accused, identity.ledger);
                Err(NotEvidence::Identity(Rejected::LedgerMismatch { expected, got }))
            }
            Self::Key(key) => check_key(key, accused, said, half),
        }
    }
}

fn check(identity: &Identity, said: &Statement, half: u8) -> Result<(), NotEvidence> {
    match said {
        Statement::Head(head) | Statement::Included(head, ..) => check_head(identity, head, half),
        Statement::Entry(entry) => {
            let body = entry.body();
            let key = log_key(identity, body.epoch, half)?;
            let signed = key.verify_message(&entry.node_message(), entry.node_sig());
            signed.map_err(|why| NotEvidence::Signature { half, why })?;
            let trusted = identity.revoked(Purpose::Log, body.epoch).is_none();
            in_force(trusted && identity.in_force_at(body.epoch, body.seq), half)
        }
        Statement::Decision(decision) => {
            let epoch = decision.body.epoch;
            let key = log_key(identity, epoch, half)?;
            let signed = key.verify_message(&decision.message(), &decision.sig);
            signed.map_err(|why| NotEvidence::Signature { half, why })?;
            in_force(identity.revoked(Purpose::Log, epoch).is_none(), half)
        }
        Statement::Seen(head) => check_cosigned(identity, head, half),
    }
}

/// A checkpoint is signed by the log key in force for its last entry, or by the one that this entry binds.
fn check_head(identity: &Identity, head: &Head, half: u8) -> Result<(), NotEvidence> {
    let (origin, size) = (head.checkpoint.origin(), head.checkpoint.size());
    let keys = identity.keys.get(&Purpose::Log).map(Vec::as_slice).unwrap_or_default();
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
        let last = size.checked_sub(1).is_some_and(|last| identity.in_force_at(epoch, last));
        let trusted = identity.revoked(Purpose::Log, epoch).is_none();
        if trusted && (last || identity.in_force_at(epoch, size)) {
            return Ok(());
        }
    }
    if signed {
        Err(NotEvidence::KeyNotInForce { half })
    } else {
        Err(NotEvidence::Signature { half, why: SignatureError::Invalid })
    }
}

fn log_key(identity: &Identity, epoch: u32, half: u8) -> Result<PublicKey, NotEvidence> {
    let key = identity.log_key(epoch);
    key.map_err(|_| NotEvidence::Signature { half, why: SignatureError::Invalid })
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

/// Whether a witness key of the accused has cosigned a checkpoint, under whatever name. All lines that claim to be by
/// one of its keys must verify.
fn check_cosigned(identity: &Identity, head: &Head, half: u8) -> Result<(), NotEvidence> {
    let keys = identity.keys.get(&Purpose::Witness).map(Vec::as_slice).unwrap_or_default();
    let (mut found, mut trusted) = (false, false);
    for (epoch, key) in (0_u32..).zip(keys) {
        let Ok(key) = PublicKey::new(key) else { continue };
        let names: Vec<&KeyName> = head.note.signatures().iter().map(|line| &line.name).collect();
        for name in names {
            if cosigned_by(head, name, &key, half)? {
                found = true;
                trusted |= identity.revoked(Purpose::Witness, epoch).is_none();
            }
        }
    }
    if found {
        in_force(trusted, half)
    } else {
        Err(NotEvidence::Signature { half, why: SignatureError::Invalid })
    }
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
