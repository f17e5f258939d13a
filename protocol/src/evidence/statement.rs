//! One half: something that the accused has said and signed, and when two of them exclude each other.

use super::{EvidenceType, MAX_HALF_BYTES, NotEvidence};
use crate::clearing::intent::{Decision, Outcome};
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::{Entry, EntryError};
use crate::ids::{Hash, LedgerId, PUBLIC_STREAM};
use crate::ledger::witness::is_origin_of;
use crate::log::checkpoint::{Checkpoint, CheckpointError};
use crate::log::note::{Note, NoteError};
use crate::log::proof::{ProofError, verify_inclusion};
use minicbor::{Decode, Encode};

/// Why a half cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HalfError {
    /// Longer than a half may be.
    #[error("it has {got} bytes, at most {} are allowed", MAX_HALF_BYTES)]
    TooLong {
        /// Bytes there.
        got: usize,
    },
    /// Not a note.
    #[error("the note: {0}")]
    Note(#[from] NoteError),
    /// A note that is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Not the canonical form.
    #[error("{0}")]
    Encoding(#[from] EncodingError),
    /// Not an entry.
    #[error("{0}")]
    Entry(#[from] EntryError),
    /// The proof does not lead to the root that was signed.
    #[error("the proof: {0}")]
    Proof(#[from] ProofError),
}

/// A half of type 2: an entry's place in a log that a note vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InclusionHalf {
    /// The checkpoint note.
    #[n(0)]
    pub note: Blob,
    /// Index of the entry.
    #[n(1)]
    pub index: u64,
    /// Leaf hash of the entry; what stands in it is not needed.
    #[n(2)]
    pub leaf: Hash,
    /// Inclusion proof, from the leaf up.
    #[n(3)]
    pub proof: Vec<Hash>,
}

impl InclusionHalf {
    /// The bytes of the half.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A note that is a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
}

/// What one half says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// "My log has this root at this size."
    Head(Head),
    /// "At this index of my log stands this entry."
    Included(Head, u64, Hash),
    /// "This stands in my ledger."
    Entry(Box<Entry>),
    /// "This payment shall be, or not."
    Decision(Decision),
    /// "I have seen this log with this root at this size."
    Seen(Head),
}

fn head(bytes: &[u8]) -> Result<Head, HalfError> {
    let note = Note::parse(bytes)?;
    let checkpoint = note.text().parse()?;
    Ok(Head { note, checkpoint })
}

impl Statement {
    pub(super) fn parse(kind: EvidenceType, bytes: &[u8]) -> Result<Self, HalfError> {
        if bytes.len() > MAX_HALF_BYTES {
            return Err(HalfError::TooLong { got: bytes.len() });
        }
        Ok(match kind {
            EvidenceType::Notes => Self::Head(head(bytes)?),
            EvidenceType::Proofs => {
                let half: InclusionHalf = decode_canonical(bytes, MAX_HALF_BYTES)?;
                let head = head(&half.note.0)?;
                let checkpoint = &head.checkpoint;
                verify_inclusion(&half.leaf, half.index, checkpoint.size(), &half.proof, &checkpoint.root())?;
                Self::Included(head, half.index, half.leaf)
            }
            EvidenceType::Entries => Self::Entry(Box::new(Entry::parse(bytes)?)),
            EvidenceType::Decisions => Self::Decision(Decision::parse(bytes)?),
            EvidenceType::Cosignatures => Self::Seen(head(bytes)?),
        })
    }

    /// What is said, apart from how it is signed: SHA-256 of the signed text or bytes.
    pub(super) fn said(&self) -> Hash {
        match self {
            Self::Head(head) | Self::Seen(head) => Hash::of("", &[head.note.text().as_bytes()]),
            Self::Included(head, index, leaf) => {
                Hash::of("", &[head.note.text().as_bytes(), &index.to_be_bytes(), leaf.as_bytes()])
            }
            Self::Entry(entry) => Hash::of("", &[&entry.node_message()]),
            Self::Decision(decision) => decision.id(),
        }
    }

    /// Whether the two are about one thing, so that only one can be true. That they differ is known.
    pub(super) fn contradicts(&self, other: &Self) -> Result<(), NotEvidence> {
        let about = |same: bool, what| if same { Ok(()) } else { Err(NotEvidence::OtherSubject { what }) };
        match (self, other) {
            (Self::Head(a), Self::Head(b)) | (Self::Seen(a), Self::Seen(b)) => {
                about(a.checkpoint.origin() == b.checkpoint.origin(), "logs")?;
                about(a.checkpoint.size() == b.checkpoint.size(), "sizes")
            }
            (Self::Included(a, index_a, leaf_a), Self::Included(b, index_b, leaf_b)) => {
                about(a.checkpoint.origin() == b.checkpoint.origin(), "logs")?;
                about(index_a == index_b, "places")?;
                if leaf_a == leaf_b { Err(NotEvidence::Same) } else { Ok(()) }
            }
            (Self::Entry(a), Self::Entry(b)) => {
                let (a, b) = (a.body(), b.body());
                about(a.ledger == b.ledger, "ledgers")?;
                about(a.boot == b.boot, "boots")?;
                let stream = |body: &crate::entry::Body| body.stream.map(|header| (header.id, header.sseq));
                about(a.seq == b.seq || stream(a).is_some() && stream(a) == stream(b), "places")
            }
            (Self::Decision(a), Self::Decision(b)) => {
                about(a.body.claim == b.body.claim, "claims")?;
                if a.body.outcome == b.body.outcome { Err(NotEvidence::Same) } else { Ok(()) }
            }
            _ => Err(NotEvidence::OtherSubject { what: "kinds of statements" }),
        }
    }

    /// Whether it speaks for the accused.
    pub(super) fn by(&self, accused: &LedgerId, half: u8) -> Result<(), NotEvidence> {
        let speaks = match self {
            Self::Head(head) | Self::Included(head, ..) => {
                is_origin_of(head.checkpoint.origin().as_str(), accused)
            }
            Self::Entry(entry) => entry.body().ledger == *accused,
            Self::Decision(decision) => decision.body.decider == *accused,
            Self::Seen(_) => true,
        };
        if speaks { Ok(()) } else { Err(NotEvidence::OtherAccused { half }) }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Head(head) => {
                format!(
                    "its log has {} entries and the root {}",
                    head.checkpoint.size(),
                    head.checkpoint.root()
                )
            }
            Self::Included(head, index, leaf) => format!(
                "a log of {} entries with the root {}, in which entry {index} has the hash {leaf}",
                head.checkpoint.size(),
                head.checkpoint.root()
            ),
            Self::Entry(entry) => {
                let body = entry.body();
                let stream = body.stream.map_or_else(String::new, |header| {
                    let of = if header.id == PUBLIC_STREAM {
                        "its public stream".to_owned()
                    } else {
                        format!("the channel {}", header.id)
                    };
                    format!(", place {} of {of}", header.sseq)
                });
                format!(
                    "entry {} of its ledger{stream}, boot {}, with the hash {}",
                    body.seq,
                    body.boot,
                    entry.leaf()
                )
            }
            Self::Decision(decision) => {
                let word = match decision.body.outcome {
                    Outcome::Accept => "yes",
                    Outcome::Reject => "no",
                };
                format!("{word} to the payment {}", decision.body.claim)
            }
            Self::Seen(head) => format!(
                "as a witness, that the log {} has {} entries and the root {}",
                head.checkpoint.origin(),
                head.checkpoint.size(),
                head.checkpoint.root()
            ),
        }
    }
}
