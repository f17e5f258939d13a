//! Evidence: bytes that prove to anybody that one network signed two things that exclude each other
//! (specs/evidence.md).
//!
//! An [`Evidence`] is read and canonical, and proves nothing yet; a [`Proven`] exists only verified. Only signatures
//! by the accused's own registered keys, each in force where it signed, count: nobody can make evidence against a
//! network that keeps its keys and its word. The same two statements give the same id, in whichever order and with
//! whichever signatures they come.

mod keys;
mod statement;
mod text;
pub mod watch;

pub use keys::Keys;
pub use statement::{HalfError, InclusionHalf};
pub use text::{FILE_EXTENSION, MAX_TEXT_BYTES, TextError};

use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::Entry;
use crate::ids::{Hash, LedgerId};
use crate::keys::SignatureError;
use crate::ledger::Rejected;
use minicbor::{Decode, Encode};
use statement::Statement;

/// Format version in field 0.
pub const EVIDENCE_VERSION: u8 = 1;
/// Longest evidence: it fits a record of the store and a message, with room for what stands around it.
pub const MAX_EVIDENCE_BYTES: usize = 60 * 1024;
/// Longest half: a note with cosignatures and an inclusion proof are far below.
pub const MAX_HALF_BYTES: usize = 16 * 1024;

/// What was signed twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum EvidenceType {
    /// Two notes of one log: the same size, another root.
    #[n(1)]
    Notes,
    /// Two notes of one log, each with a proof of another entry at one index.
    #[n(2)]
    Proofs,
    /// Two entries of one boot at one place of the ledger, or of one stream.
    #[n(3)]
    Entries,
    /// Two Decisions on one claim that contradict.
    #[n(4)]
    Decisions,
    /// Two cosignatures of one witness: the same log and size, another root.
    #[n(6)]
    Cosignatures,
}

impl EvidenceType {
    /// Every type that this version knows; 5 is reserved for a netting round.
    pub const ALL: [Self; 5] =
        [Self::Notes, Self::Proofs, Self::Entries, Self::Decisions, Self::Cosignatures];

    /// Its number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Notes => 1,
            Self::Proofs => 2,
            Self::Entries => 3,
            Self::Decisions => 4,
            Self::Cosignatures => 6,
        }
    }

    /// In words, as the end of "this network …".
    pub const fn text(self) -> &'static str {
        match self {
            Self::Notes => "has signed two different heads of its log at one size",
            Self::Proofs => "has signed two logs with different entries at one place",
            Self::Entries => "has signed two different entries at one place",
            Self::Decisions => "has said both yes and no to one payment",
            Self::Cosignatures => "has witnessed two different heads of one log at one size",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Halves(#[n(0)] Blob, #[n(1)] Blob);

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[n(0)]
    v: u8,
    #[n(1)]
    kind: EvidenceType,
    #[n(2)]
    accused: LedgerId,
    #[cbor(n(3), with = "crate::entry::list", has_nil)]
    identity: Vec<Blob>,
    #[n(4)]
    halves: Halves,
}

/// Why bytes prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEvidence {
    /// Not the canonical form of evidence.
    #[error("it is no evidence: {0}")]
    Encoding(EncodingError),
    /// Another format version.
    #[error("evidence version {0}, this program reads version {EVIDENCE_VERSION}")]
    Version(u8),
    /// One half cannot be read.
    #[error("half {half} cannot be read: {why}")]
    Half {
        /// 1 or 2.
        half: u8,
        /// Why not.
        why: HalfError,
    },
    /// The halves stand in the wrong order: the same evidence would have two forms.
    #[error("the two halves stand in the wrong order")]
    Order,
    /// Both halves say the same.
    #[error("both halves say the same: nothing is contradicted")]
    Same,
    /// The halves are about different things, so both may be true.
    #[error("the halves are about different {what}: both may be true")]
    OtherSubject {
        /// What differs.
        what: &'static str,
    },
    /// A half is not by the accused.
    #[error("half {half} speaks for another network or log than the accused")]
    OtherAccused {
        /// 1 or 2.
        half: u8,
    },
    /// The identity entries are not those of the accused.
    #[error("the identity entries are not those of the accused: {0}")]
    Identity(Rejected),
    /// There are no identity entries, and no key was given.
    #[error("it holds no identity entries: name the key of the accused to check it with")]
    NoKey,
    /// Signed by no key of the accused.
    #[error("half {half} is not signed by the accused: {why}")]
    Signature {
        /// 1 or 2.
        half: u8,
        /// What is wrong.
        why: SignatureError,
    },
    /// Signed by a key of the accused that was not in force at that place: it may be a stolen old one.
    #[error("half {half} is signed by a key of the accused that was not in force at its place")]
    KeyNotInForce {
        /// 1 or 2.
        half: u8,
    },
}

impl NotEvidence {
    /// The reason's code in vectors (specs/evidence.md §4).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Encoding(_) => "encoding",
            Self::Version(_) => "version",
            Self::Half { .. } => "half",
            Self::Order => "order",
            Self::Same => "same",
            Self::OtherSubject { .. } => "other-subject",
            Self::OtherAccused { .. } => "other-accused",
            Self::Identity(_) => "identity",
            Self::NoKey => "no-key",
            Self::Signature { .. } => "signature",
            Self::KeyNotInForce { .. } => "key-not-in-force",
        }
    }
}

/// Two halves in canonical form, unproven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    wire: Wire,
    identity: Vec<Entry>,
    statements: [Statement; 2],
}

/// Evidence that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    evidence: Evidence,
    /// Whether a key that the reader had was taken instead of the accused's identity entries.
    by_key_alone: bool,
}

impl Evidence {
    /// Reads evidence without believing it.
    ///
    /// # Errors
    /// The first rule of form that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotEvidence> {
        Self::open(decode_canonical(bytes, MAX_EVIDENCE_BYTES).map_err(NotEvidence::Encoding)?)
    }

    /// Joins two halves, in whichever order, with the identity entries of the accused (none when the reader will have
    /// its key), and verifies the result.
    ///
    /// # Errors
    /// Why they prove nothing.
    pub fn join(
        kind: EvidenceType,
        accused: LedgerId,
        identity: &[Vec<u8>],
        halves: [&[u8]; 2],
        keys: &Keys,
    ) -> Result<Proven, NotEvidence> {
        let said = |half: &[u8], number| Statement::parse(kind, half).map(|s| s.said()).map_err(at(number));
        let [first, second] = halves;
        let (first, second) =
            if said(first, 1)? <= said(second, 2)? { (first, second) } else { (second, first) };
        let wire = Wire {
            v: EVIDENCE_VERSION,
            kind,
            accused,
            identity: identity.iter().cloned().map(Blob).collect(),
            halves: Halves(Blob(first.to_vec()), Blob(second.to_vec())),
        };
        Self::parse(&encode(&wire))?.verify(keys)
    }

    fn open(wire: Wire) -> Result<Self, NotEvidence> {
        if wire.v != EVIDENCE_VERSION {
            return Err(NotEvidence::Version(wire.v));
        }
        let read = |bytes: &Blob| keys::identity_entry(&bytes.0, &wire.accused);
        let identity = wire.identity.iter().map(read).collect::<Result<_, _>>()?;
        let half = |blob: &Blob, number| Statement::parse(wire.kind, &blob.0).map_err(at(number));
        let statements = [half(&wire.halves.0, 1)?, half(&wire.halves.1, 2)?];
        Ok(Self { wire, identity, statements })
    }

    /// Verifies it with the identity entries that it holds.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn verify_alone(&self) -> Result<Proven, NotEvidence> {
        self.verify(&self.keys()?)
    }

    /// The keys of the accused by the identity entries that it holds.
    ///
    /// # Errors
    /// When there are none, or they are not those of the accused.
    pub fn keys(&self) -> Result<Keys, NotEvidence> {
        Keys::from_entries(&self.identity)
    }

    /// Verifies it: both halves are signed by the accused, are about one thing, and exclude each other.
    ///
    /// # Errors
    /// Why it proves nothing.
    pub fn verify(&self, keys: &Keys) -> Result<Proven, NotEvidence> {
        let [first, second] = &self.statements;
        match first.said().cmp(&second.said()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Err(NotEvidence::Same),
            std::cmp::Ordering::Greater => return Err(NotEvidence::Order),
        }
        first.contradicts(second)?;
        for (half, statement) in [(1, first), (2, second)] {
            statement.by(&self.wire.accused, half)?;
            keys.check(&self.wire.accused, statement, half)?;
        }
        Ok(Proven { evidence: self.clone(), by_key_alone: keys.is_key_alone() })
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&self.wire)
    }

    /// What was signed twice, as it claims.
    pub fn kind(&self) -> EvidenceType {
        self.wire.kind
    }

    /// Who is accused.
    pub fn accused(&self) -> LedgerId {
        self.wire.accused
    }

    /// The identity entries of the accused, in order; may be empty.
    pub fn identity(&self) -> &[Entry] {
        &self.identity
    }

    /// SHA-256("WEFT-EVIDENCE/1\n" ‖ type ‖ accused ‖ what the halves say, in ascending order).
    pub fn id(&self) -> Hash {
        let mut said = self.statements.each_ref().map(Statement::said);
        said.sort();
        let [first, second] = said;
        let (kind, accused) = ([self.wire.kind.code()], self.wire.accused);
        Hash::of("WEFT-EVIDENCE/1\n", &[&kind, accused.as_bytes(), first.as_bytes(), second.as_bytes()])
    }
}

impl Proven {
    /// The evidence.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Its id.
    pub fn id(&self) -> Hash {
        self.evidence.id()
    }

    /// Who signed both.
    pub fn accused(&self) -> LedgerId {
        self.evidence.accused()
    }

    /// What was signed twice.
    pub fn kind(&self) -> EvidenceType {
        self.evidence.kind()
    }

    /// Who said which two things, in plain words, a sentence each.
    pub fn words(&self) -> Vec<String> {
        let evidence = &self.evidence;
        let accused = evidence.accused();
        let kind = evidence.kind().text();
        let mut words = vec![format!("The network with ledger {accused} {kind}.")];
        let [first, second] = &evidence.statements;
        words.push(format!("It signed: {}.", first.words()));
        words.push(format!("It also signed: {}.", second.words()));
        words.push(
            "Both cannot be true, and nobody but the holder of its key can have signed them.".to_owned(),
        );
        if self.by_key_alone {
            let how = "Checked with the key you gave, and with nothing else: whether that key was in force then is not shown.";
            words.push(how.to_owned());
        }
        words
    }
}

fn at(half: u8) -> impl Fn(HalfError) -> NotEvidence {
    move |why| NotEvidence::Half { half, why }
}

#[cfg(test)]
mod tests;
