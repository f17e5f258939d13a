//! Why a peer's entry is not taken in (specs/clearing.md §8).

use crate::entry::EntryError;
use crate::ledger::Rejected;

/// Why a peer's entry was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an entry, or not one for this place.
    #[error("{0}")]
    Malformed(EntryError),
    /// It breaks a rule that every stream entry keeps.
    #[error("{0}")]
    Rejected(Rejected),
    /// Places are missing before it; we answer with the next place we expect.
    #[error("the next place is {next}, got {got}")]
    Gap {
        /// What we expect.
        next: u64,
        /// What came.
        got: u64,
    },
    /// It is signed under a log key that is revoked, and nothing shows that it was signed before that.
    #[error(
        "it is signed under log key {epoch}, which its network has revoked: only entries proven to be among its \
         first {size} count"
    )]
    Revoked {
        /// Epoch of the key.
        epoch: u32,
        /// Size of the last good checkpoint.
        size: u64,
    },
    /// A place we have, whose bytes the caller compares: the same is a duplicate, others are evidence.
    #[error("place {sseq} was received before")]
    Known {
        /// Which place.
        sseq: u64,
    },
    /// It does not name the entry before it: another history.
    #[error("place {sseq} does not follow the entry we have before it")]
    Forked {
        /// Which place.
        sseq: u64,
    },
    /// It was written before a start of its network, and was lost there: by our promise it is ignored.
    #[error("place {sseq} was written before start {boot} of its network, which did not find it again")]
    Fenced {
        /// Which place.
        sseq: u64,
        /// The start.
        boot: u64,
    },
    /// The peer has more of our stream than we wrote: our own books are older than what the peer saw.
    #[error(
        "the peer has {claimed} entries of our stream, we wrote {written}: this node's data is older than what it has sent"
    )]
    AheadOfUs {
        /// What the peer says.
        claimed: u64,
        /// What we have.
        written: u64,
    },
}
