//! What networks send each other, and what can happen to it on the way.

use super::random::Random;
use std::sync::Arc;
use weft_protocol::clearing::engine::Payee;
use weft_protocol::clearing::guard::{Fetch, Fetched, Guard, Guarded};
use weft_protocol::clearing::intent::{Decision, SignedIntent};
use weft_protocol::evidence::EvidenceType;
use weft_protocol::ids::Hash;

/// A message between two networks.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// Entries of the sender's stream of their channel, in order.
    Push(Vec<Arc<[u8]>>),
    /// The answer: the next place the sender expects of the receiver's stream.
    Next(u64),
    /// Entries of a public stream.
    Public(Vec<Vec<u8>>),
    /// The sealed payee of a claim; the simulator does not seal.
    Sidecar(Hash, Payee),
    /// A question about a claim, with who its payer's network is.
    Ask {
        /// The claim.
        intent: SignedIntent,
        /// Whether to cancel it.
        cancel: bool,
        /// Identity entries of the payer's network.
        identity: Vec<Vec<u8>>,
    },
    /// The answer to a question.
    Decision(Decision),
    /// A signed note, proof or cosignature of the sender.
    Note(EvidenceType, Vec<u8>),
    /// Evidence against somebody.
    Evidence(Vec<u8>),
    /// The answer: the sender has read the evidence with this id.
    Read(Hash),
    /// A question after a start that is not proven, of this life of the sender.
    Guard(u64, Guard),
    /// The answer, with its question.
    Guarded(u64, Guard, Box<Guarded>),
    /// Entries of its own that the sender asks for.
    Fetch(u64, Fetch),
    /// The answer, with its question.
    Fetched(u64, Fetch, Fetched),
}

impl Message {
    /// Whether it dies with the connection: a node that is set back is another one to its peers.
    pub(super) fn dies(&self) -> bool {
        match self {
            Self::Next(_)
            | Self::Note(..)
            | Self::Read(_)
            | Self::Guard(..)
            | Self::Guarded(..)
            | Self::Fetch(..)
            | Self::Fetched(..) => true,
            // Late entries meet the fence; words of others are as good late as early.
            Self::Push(_)
            | Self::Public(_)
            | Self::Sidecar(..)
            | Self::Ask { .. }
            | Self::Decision(_)
            | Self::Evidence(_) => false,
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    /// Index of the sender.
    pub from: usize,
    /// Index of the receiver.
    pub to: usize,
    /// What it says.
    pub message: Message,
}

/// How bad the world is in this run.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    /// Messages lost, per mille.
    pub drop: u64,
    /// Messages delivered twice, per mille.
    pub duplicate: u64,
    /// Longest delay; delays differ, so messages overtake each other.
    pub delay_ms: u64,
    /// Crashes, per mille of all commits.
    pub crash: u64,
    /// Longest time until a crashed node is back.
    pub down_ms: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub(super) const NONE: Self = Self { drop: 0, duplicate: 0, delay_ms: 3, crash: 0, down_ms: 1 };

    /// Little goes wrong.
    pub(super) const MILD: Self = Self { drop: 20, duplicate: 50, delay_ms: 40, crash: 5, down_ms: 500 };

    /// A world somewhere between calm and hell.
    pub(super) fn chosen(random: &mut Random) -> Self {
        Self {
            drop: random.pick(&[0, 20, 100, 400]),
            duplicate: random.pick(&[0, 50, 300]),
            delay_ms: random.pick(&[1, 40, 400, 5_000]),
            crash: random.pick(&[0, 5, 30, 120]),
            down_ms: random.pick(&[1, 500, 20_000]),
        }
    }

    /// When the copies of a message arrive, in milliseconds from now; none when it is lost.
    pub(super) fn arrivals(&self, random: &mut Random) -> Vec<u64> {
        let copies = match (random.chance(self.drop), random.chance(self.duplicate)) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        (0..copies).map(|_| random.between(1, self.delay_ms.max(1))).collect()
    }
}
