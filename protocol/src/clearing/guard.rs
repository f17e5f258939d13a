//! The guard after a start: what a node asks its peers before it signs again, and what they promise
//! (specs/network.md §10, specs/clearing.md §11).
//!
//! What must hold: a node whose books may be older than what it has said signs nothing before everybody who could know
//! has answered; who has answered ignores what comes late from before that start. The messages are not signed: they
//! move nothing, and every entry in them carries the signature of the one who asks.

use super::intent::Decision;
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::{Hash, LedgerId, StreamId};
use crate::wire::Message;
use minicbor::{Decode, Encode};

/// Decisions in one answer; the oldest are left out. A decider has far fewer open at a time.
pub const MAX_DECISIONS: usize = 32;
/// Streams in one question or answer: the public one, the channel, and incarnations of it beside that one.
pub const MAX_HEADS: usize = 4;
/// Longest fence, as a note of the store.
pub const MAX_FENCE_BYTES: usize = 4_096;

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StreamHead {
    /// Which stream.
    #[n(0)]
    pub stream: StreamId,
    /// Its next place.
    #[n(1)]
    pub next: u64,
    /// Leaf of its last entry, zero when there is none.
    #[n(2)]
    pub head: Hash,
}

/// The newest entry of a ledger that somebody holds, by start and place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Newest {
    /// The start under which it was written.
    #[n(0)]
    pub boot: u64,
    /// How many entries the ledger had with it.
    #[n(1)]
    pub size: u64,
}

/// `/weft/guard/1`, request: a start that is not provably clean.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Guard {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// Who asks.
    #[n(1)]
    pub ledger: LedgerId,
    /// The number of its start.
    #[n(2)]
    pub boot: u64,
    /// What it holds of its own streams: what is shown to the one asked.
    #[cbor(n(3), with = "crate::entry::list", has_nil)]
    pub heads: Vec<StreamHead>,
}

/// `/weft/guard/1`, answer to [`Guard`]; durable as a [`Fence`] before it is given.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Guarded {
    /// 2.
    #[n(0)]
    pub message: u8,
    /// The start that is fenced: that of the question, or a later one that the one asked has heard of before.
    #[n(1)]
    pub boot: u64,
    /// The newest entry it holds.
    #[n(2)]
    pub newest: Newest,
    /// What it holds of the asker's streams.
    #[cbor(n(3), with = "crate::entry::list", has_nil)]
    pub heads: Vec<StreamHead>,
    /// The newest checkpoint of the asker's log that it has seen, as a note.
    #[n(4)]
    pub checkpoint: Option<Blob>,
    /// Decisions of the asker that it holds.
    #[cbor(n(5), with = "crate::entry::list", has_nil)]
    pub decisions: Vec<Decision>,
}

/// `/weft/guard/1`, request: the asker's own entries, from a place on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fetch {
    /// 3.
    #[n(0)]
    pub message: u8,
    /// Which stream.
    #[n(1)]
    pub stream: StreamId,
    /// The first place wanted.
    #[n(2)]
    pub from: u64,
}

/// `/weft/guard/1`, answer to [`Fetch`]: entries in order, none when there is nothing from there on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fetched {
    /// 4.
    #[n(0)]
    pub message: u8,
    /// The exact bytes.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub entries: Vec<Blob>,
}

/// What we have promised a peer: from these places on we ignore what it has written before this start.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Fence {
    /// Who asked.
    #[n(0)]
    pub ledger: LedgerId,
    /// Entries of an older start are meant.
    #[n(1)]
    pub boot: u64,
    /// From these places on.
    #[cbor(n(2), with = "crate::entry::list", has_nil)]
    pub heads: Vec<StreamHead>,
}

impl Fence {
    /// Reads a fence back from its note.
    ///
    /// # Errors
    /// When it is too long or not canonical.
    pub fn parse(bytes: &[u8]) -> Result<Self, EncodingError> {
        decode_canonical(bytes, MAX_FENCE_BYTES)
    }

    /// The bytes of its note.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whether an entry is kept out: written before that start, at a place that neither side held.
    pub fn keeps_out(&self, stream: &StreamId, sseq: u64, boot: u64) -> bool {
        boot < self.boot && self.heads.iter().any(|head| head.stream == *stream && sseq >= head.next)
    }

    /// The fence after one more question. A later start replaces it; a question of the same start can only raise its
    /// places: the asker has found more of its own entries, and nothing else was taken in there.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before.filter(|before| before.boot >= self.boot) else { return self };
        if before.boot > self.boot {
            return before.clone();
        }
        let next = |head: &StreamHead| before.heads.iter().find(|old| old.stream == head.stream).copied();
        let raised = self.heads.iter().map(|head| match next(head) {
            Some(old) if old.next > head.next => old,
            Some(_) | None => *head,
        });
        Self { heads: raised.collect(), ..self }
    }
}

macro_rules! messages {
    ($($type:ty, $cap:expr, $number:expr;)*) => {
        $(impl Message for $type {
            const CAP: usize = $cap;
            const NUMBERS: &'static [u8] = &[$number];
            fn number(&self) -> u8 {
                self.message
            }
        })*
    };
}

/// Longest question.
pub const MAX_QUESTION_BYTES: usize = 8 * 1024;
/// Longest answer: a page of entries.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;

messages! {
    Guard, MAX_QUESTION_BYTES, 1;
    Guarded, MAX_ANSWER_BYTES, 2;
    Fetch, MAX_QUESTION_BYTES, 3;
    Fetched, MAX_ANSWER_BYTES, 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: StreamId = StreamId([3; 16]);

    fn fence(boot: u64, next: u64) -> Fence {
        let head = StreamHead { stream: CHANNEL, next, head: Hash([7; 32]) };
        Fence { ledger: LedgerId([1; 32]), boot, heads: vec![head] }
    }

    #[test]
    fn a_fence_keeps_out_older_starts_beyond_its_place_and_nothing_else() {
        let fence = fence(10, 5);
        assert!(fence.keeps_out(&CHANNEL, 5, 9));
        assert!(!fence.keeps_out(&CHANNEL, 4, 9), "a place that was stated");
        assert!(!fence.keeps_out(&CHANNEL, 5, 10), "the new start");
        assert!(!fence.keeps_out(&StreamId([4; 16]), 5, 9), "another stream");
    }

    #[test]
    fn a_later_start_replaces_a_fence_and_the_same_start_only_raises_it() {
        let old = fence(10, 5);
        assert_eq!(fence(11, 3).after(Some(&old)), fence(11, 3));
        assert_eq!(fence(10, 3).after(Some(&old)), old);
        assert_eq!(fence(10, 8).after(Some(&old)), fence(10, 8));
        assert_eq!(fence(9, 99).after(Some(&old)), old, "a question that comes late changes nothing");
        assert_eq!(Fence::parse(&old.to_bytes()), Ok(old));
    }
}
