//! Signing together without meeting: a request that says what is to be signed, and signatures that name it
//! (specs/ceremony.md §3).
//!
//! What must hold: the words that a signer reads are made from the request's bytes alone, and its signature covers
//! exactly what an entry or an accord needs, never the request's own hints. Requests come from hands that may be hostile.

mod text;

pub use text::{Form, TextError, unwrap, wrap};

use crate::clearing::accord::{Accord, AccordError};
use crate::clearing::dispute::{Dispute, DisputeError};
use crate::clearing::reset::{Reset, ResetError};
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::{Auth, EntryError, How, Kind, Op, Payload, Role, SignedOp, op_message};
use crate::ids::{AccountId, Hash, KeyBytes, LedgerId, SigBytes, Signer, UnitId};
use crate::keys::{ACCORD, NOTE, PublicKey, SecretKey, message, signer_of};
use crate::ledger::Rejected;
use crate::ledger::identity::RootSet;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Format version of requests and signatures.
pub const CEREMONY_VERSION: u8 = 1;
/// Cap of a request: an operation, two full root sets, and hints.
pub const MAX_REQUEST_BYTES: usize = 16_384;
/// Cap of a signature file's content.
pub const MAX_SIGNATURE_BYTES: usize = 256;
/// Most root sets whose signatures one thing needs: the one in force, and the one that it puts in force or the peer's.
pub const MAX_SETS: usize = 2;

/// What is to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum What {
    /// An operation: its kind, and the bytes of the Op.
    #[n(0)]
    Op(#[n(0)] u16, #[n(1)] Blob),
    /// An accord: its bytes, the pairing it belongs to on our node, and the check words that our node shows.
    #[n(1)]
    Accord(#[n(0)] Blob, #[n(1)] String, #[n(2)] Vec<String>),
    /// A dispute: its bytes. The request is for the creditor's ledger; the second set is the debtor's.
    #[n(2)]
    Dispute(#[n(0)] Blob),
    /// A reset: its bytes. The request is for one of both ledgers; the second set is the other's.
    #[n(3)]
    Reset(#[n(0)] Blob),
}

/// A hint that gives a unit its name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct UnitHint {
    /// Which unit.
    #[n(0)]
    pub unit: UnitId,
    /// Its code.
    #[n(1)]
    pub code: String,
    /// Its decimals.
    #[n(2)]
    pub scale: u8,
}

/// A hint that gives an account a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct NameHint {
    /// Which account.
    #[n(0)]
    pub account: AccountId,
    /// What it is called.
    #[n(1)]
    pub name: String,
}

/// A request for signatures of root keys.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// [`CEREMONY_VERSION`].
    #[n(0)]
    pub v: u8,
    /// For which ledger.
    #[n(1)]
    pub ledger: LedgerId,
    /// Short name of its network, a hint.
    #[n(2)]
    pub site: String,
    /// The sets of which enough must sign: the one in force, then the one that the operation puts in force, or that of the
    /// other network.
    #[n(3)]
    pub sets: Vec<RootSet>,
    /// What is to be signed.
    #[n(4)]
    pub what: What,
    /// After this it is of no use.
    #[n(5)]
    pub not_after_ms: u64,
    /// Names of units, hints.
    #[cbor(n(6), with = "crate::entry::list", has_nil)]
    pub units: Vec<UnitHint>,
    /// Names of accounts, hints.
    #[cbor(n(7), with = "crate::entry::list", has_nil)]
    pub names: Vec<NameHint>,
}

/// One root key's signature for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Signature {
    /// [`CEREMONY_VERSION`].
    #[n(0)]
    pub v: u8,
    /// Id of the request.
    #[n(1)]
    pub request: Hash,
    /// Which root key.
    #[n(2)]
    pub signer: Signer,
    /// Under [`Request::message`].
    #[n(3)]
    pub sig: SigBytes,
}

/// Why a request or a signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// Its bytes.
    #[error("it cannot be read: {0}")]
    Encoding(#[from] EncodingError),
    /// Another version.
    #[error("it has version {got}; this program knows version {CEREMONY_VERSION}")]
    Version {
        /// The version.
        got: u8,
    },
    /// No root set, or too many, or one that breaks a rule.
    #[error("its root sets break a rule: {0}")]
    Sets(String),
    /// The operation inside.
    #[error("the operation in it cannot be read: {0}")]
    Op(#[from] EntryError),
    /// The accord inside.
    #[error("the accord in it cannot be read: {0}")]
    Accord(#[from] AccordError),
    /// An accord between others.
    #[error("the accord in it is not one of this ledger")]
    AccordOfOthers,
    /// The dispute inside.
    #[error("the dispute in it cannot be read: {0}")]
    Dispute(#[from] DisputeError),
    /// The reset inside.
    #[error("the reset in it cannot be read: {0}")]
    Reset(#[from] ResetError),
    /// A reset between others.
    #[error("the reset in it is not one of this ledger")]
    ResetOfOthers,
    /// A dispute that another network hands in.
    #[error("the dispute in it is handed in at the creditor's node, and this request is for another ledger")]
    DisputeOfOthers,
    /// Its life and that of the operation differ.
    #[error("it says that it ends at {says}, and the operation in it at {ends}")]
    Life {
        /// What the request says.
        says: u64,
        /// What the operation says.
        ends: u64,
    },
    /// A root set changed, and the second set is not the one that it puts in force.
    #[error("its second root set is not the one that the operation puts in force")]
    OtherSet,
    /// A key that is in none of the sets.
    #[error("the key {signer} is not one of the root keys that this request needs")]
    NotARoot {
        /// The key's signer id.
        signer: Signer,
    },
    /// A signature for another request.
    #[error("the signature is for request {got}, this one is {expected}")]
    OtherRequest {
        /// This request.
        expected: Hash,
        /// The one named.
        got: Hash,
    },
    /// It does not verify.
    #[error("the signature of {signer} does not verify")]
    Invalid {
        /// Whose it says it is.
        signer: Signer,
    },
}

/// How far a request has come with one root set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many must sign.
    pub need: u8,
    /// Those who have.
    pub have: Vec<Signer>,
    /// Those who have not.
    pub open: Vec<Signer>,
}

impl Progress {
    /// How many are missing.
    pub fn missing(&self) -> usize {
        usize::from(self.need).saturating_sub(self.have.len())
    }
}

/// Signatures for one request, each verified and each signer once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected(BTreeMap<Signer, SigBytes>);

impl Collected {
    /// The signatures in order of signer.
    pub fn iter(&self) -> impl Iterator<Item = (Signer, SigBytes)> {
        self.0.iter().map(|(signer, sig)| (*signer, *sig))
    }
}

impl Request {
    /// Reads a request and checks that it is one: what comes out can be shown and signed.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let request: Self = decode_canonical(bytes, MAX_REQUEST_BYTES)?;
        if request.v != CEREMONY_VERSION {
            return Err(CeremonyError::Version { got: request.v });
        }
        if request.sets.is_empty() || request.sets.len() > MAX_SETS {
            return Err(CeremonyError::Sets(format!("1 to {MAX_SETS} sets, got {}", request.sets.len())));
        }
        let checked = request.sets.iter().try_for_each(RootSet::check);
        checked.map_err(|e: Rejected| CeremonyError::Sets(e.to_string()))?;
        request.check_what()?;
        Ok(request)
    }

    fn check_what(&self) -> Result<(), CeremonyError> {
        let second = self.sets.get(1);
        match &self.what {
            What::Op(kind, bytes) => {
                let op = read_op(*kind, &bytes.0)?;
                if op.not_after_ms != self.not_after_ms {
                    let (says, ends) = (self.not_after_ms, op.not_after_ms);
                    return Err(CeremonyError::Life { says, ends });
                }
                let expected = match &op.payload {
                    Payload::RootChanged(changed) => Some(&changed.root),
                    _ => None,
                };
                if second == expected { Ok(()) } else { Err(CeremonyError::OtherSet) }
            }
            What::Accord(bytes, _, _) => {
                let accord = Accord::parse(&bytes.0)?;
                accord.other(&self.ledger).ok_or(CeremonyError::AccordOfOthers)?;
                if second.is_none() { Ok(()) } else { Err(CeremonyError::OtherSet) }
            }
            What::Dispute(bytes) => {
                let dispute = Dispute::parse(&bytes.0)?;
                if dispute.creditor != self.ledger {
                    return Err(CeremonyError::DisputeOfOthers);
                }
                if second.is_some() { Ok(()) } else { Err(CeremonyError::OtherSet) }
            }
            What::Reset(bytes) => {
                let reset = Reset::parse(&bytes.0)?;
                reset.other(&self.ledger).ok_or(CeremonyError::ResetOfOthers)?;
                if second.is_some() { Ok(()) } else { Err(CeremonyError::OtherSet) }
            }
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// SHA-256("WEFT-REQUEST/1\n" ‖ bytes): how signatures name it.
    pub fn id(&self) -> Hash {
        Hash::of("WEFT-REQUEST/1\n", &[&self.to_bytes()])
    }

    /// The operation inside, when it is one.
    ///
    /// # Errors
    /// Never for a request that was parsed.
    pub fn op(&self) -> Result<Option<Op>, CeremonyError> {
        match &self.what {
            What::Op(kind, bytes) => Ok(Some(read_op(*kind, &bytes.0)?)),
            What::Accord(..) | What::Dispute(_) | What::Reset(_) => Ok(None),
        }
    }

    /// The exact bytes that a root key signs.
    pub fn message(&self, signer: Signer) -> Vec<u8> {
        match &self.what {
            What::Op(kind, op) => op_message(&self.ledger, *kind, signer, Role::Root, How::OwnKey, &op.0),
            What::Accord(accord, _, _) => message(ACCORD, &[&accord.0]),
            What::Dispute(dispute) => Dispute::message(&dispute.0),
            What::Reset(reset) => Reset::message(&reset.0),
        }
    }

    fn root_key(&self, signer: Signer) -> Option<KeyBytes> {
        self.sets.iter().find_map(|set| set.key_of(signer))
    }

    /// Signs.
    ///
    /// # Errors
    /// When the key is in none of the sets.
    pub fn sign(&self, key: &SecretKey) -> Result<Signature, CeremonyError> {
        let signer = key.public().signer();
        let known = self.root_key(signer).filter(|known| *known == key.public().bytes());
        known.ok_or(CeremonyError::NotARoot { signer })?;
        let sig = key.sign(NOTE, &[&self.message(signer)]);
        Ok(Signature { v: CEREMONY_VERSION, request: self.id(), signer, sig })
    }

    /// Takes in a signature. The same one again changes nothing.
    ///
    /// # Errors
    /// When it is for another request, by a stranger, or does not verify.
    pub fn collect(&self, into: &mut Collected, signature: &Signature) -> Result<(), CeremonyError> {
        let expected = self.id();
        if signature.request != expected {
            return Err(CeremonyError::OtherRequest { expected, got: signature.request });
        }
        let signer = signature.signer;
        let key = self.root_key(signer).ok_or(CeremonyError::NotARoot { signer })?;
        let verified =
            PublicKey::new(&key).and_then(|key| key.verify_message(&self.message(signer), &signature.sig));
        verified.map_err(|_| CeremonyError::Invalid { signer })?;
        into.0.insert(signer, signature.sig);
        Ok(())
    }

    /// How far each root set has come.
    pub fn progress(&self, collected: &Collected) -> Vec<Progress> {
        let of = |set: &RootSet| {
            let signers = set.keys.iter().map(signer_of);
            let (have, open) = signers.partition(|signer| collected.0.contains_key(signer));
            Progress { need: set.threshold, have, open }
        };
        self.sets.iter().map(of).collect()
    }

    /// The operation with its signatures, when it is one.
    pub fn signed_op(&self, collected: &Collected) -> Option<SignedOp> {
        let What::Op(kind, op) = &self.what else { return None };
        let auth = collected.iter().map(|(signer, sig)| Auth {
            signer,
            role: Role::Root,
            how: How::OwnKey,
            sig: Blob(sig.0.to_vec()),
        });
        Some(SignedOp { kind: *kind, op: op.clone(), auth: auth.collect() })
    }
}

impl Signature {
    /// Reads a signature; whether it is good says [`Request::collect`].
    ///
    /// # Errors
    /// When it cannot be read or is of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, CeremonyError> {
        let signature: Self = decode_canonical(bytes, MAX_SIGNATURE_BYTES)?;
        match signature.v {
            CEREMONY_VERSION => Ok(signature),
            got => Err(CeremonyError::Version { got }),
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

fn read_op(kind: u16, bytes: &[u8]) -> Result<Op, EntryError> {
    let kind = Kind::from_code(kind).ok_or(EntryError::UnknownKind(kind))?;
    Op::parse(kind, bytes).map_err(EntryError::Op)
}

#[cfg(test)]
mod tests;
