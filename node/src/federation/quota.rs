//! How much of other networks' words one peer may bring us (specs/network.md 11.8).
//!
//! What must hold: who invents networks can fill neither memory nor disk, and what a peer brings does not take from what
//! others may bring. Time (ms of a monotonic clock) comes in as an argument; a start forgets, which gives at most one more
//! burst.

use std::collections::BTreeMap;
use weft_protocol::ids::LedgerId;

/// Authors known at all: some 2 KiB of memory each.
const MAX_AUTHORS: usize = 4_096;
/// Entries of an author that no way leads to: its identity and units, and no more.
const MAX_ENTRIES_UNREACHED: u64 = 64;
/// New authors that one peer brings at once: a federation of the usual size.
const AUTHORS_AT_ONCE: u64 = 64;
/// Then one more in this time: 96 a day.
const AUTHOR_EVERY_MS: u64 = 15 * 60_000;
/// Bytes that one peer brings at once: a hundred thousand entries with room to spare.
const BYTES_AT_ONCE: u64 = 64 * 1024 * 1024;
/// Then so many in a second: 64 MiB an hour.
const BYTES_PER_S: u64 = BYTES_AT_ONCE / 3_600;

/// An entry that somebody brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// It is the first of its author.
    pub is_first: bool,
    /// Its place in the author's public stream.
    pub place: u64,
    /// Whether a way leads to the author.
    pub in_reach: bool,
    /// Authors known here.
    pub known: usize,
    /// Its length in bytes.
    pub bytes: usize,
}

/// Why it is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverQuota {
    /// Too many authors.
    #[error("{known} networks are known here, at most {MAX_AUTHORS} are kept")]
    Authors {
        /// How many there are.
        known: usize,
    },
    /// Too many new ones from this peer.
    #[error(
        "this peer has brought {AUTHORS_AT_ONCE} new networks lately; one more is taken every 15 minutes"
    )]
    NewAuthors,
    /// Too much from this peer.
    #[error("this peer has brought {BYTES_AT_ONCE} bytes of other networks lately")]
    Bytes,
    /// Too much of an author far away.
    #[error("no way leads to this network: only its first {MAX_ENTRIES_UNREACHED} entries are kept")]
    Unreached,
}

/// Counted in milliseconds of waiting, so that nothing is rounded.
#[derive(Debug, Clone, Copy)]
struct Spent {
    authors_ms: u64,
    bytes: u64,
    at_ms: u64,
}

/// What each peer has brought.
#[derive(Debug, Default)]
pub struct Quotas {
    peers: BTreeMap<LedgerId, Spent>,
}

impl Quotas {
    /// Whether a network may have an entry at this place, whoever brings it.
    pub fn may_have(place: u64, in_reach: bool) -> bool {
        in_reach || place < MAX_ENTRIES_UNREACHED
    }

    /// Charges a peer for an entry of another network.
    ///
    /// # Errors
    /// Why it is not taken in; nothing is charged then.
    pub fn charge(&mut self, from: LedgerId, brought: Brought, now_ms: u64) -> Result<(), OverQuota> {
        if brought.is_first && brought.known >= MAX_AUTHORS {
            return Err(OverQuota::Authors { known: brought.known });
        }
        if !Self::may_have(brought.place, brought.in_reach) {
            return Err(OverQuota::Unreached);
        }
        let spent = self.peers.entry(from).or_insert(Spent { authors_ms: 0, bytes: 0, at_ms: now_ms });
        let passed_ms = now_ms.saturating_sub(spent.at_ms);
        spent.at_ms = now_ms;
        spent.authors_ms = spent.authors_ms.saturating_sub(passed_ms);
        spent.bytes = spent.bytes.saturating_sub(passed_ms.saturating_mul(BYTES_PER_S) / 1_000);
        let author_ms = if brought.is_first { AUTHOR_EVERY_MS } else { 0 };
        if spent.authors_ms.saturating_add(author_ms) > AUTHORS_AT_ONCE * AUTHOR_EVERY_MS {
            return Err(OverQuota::NewAuthors);
        }
        let bytes = spent.bytes.saturating_add(brought.bytes as u64);
        if bytes > BYTES_AT_ONCE {
            return Err(OverQuota::Bytes);
        }
        spent.authors_ms = spent.authors_ms.saturating_add(author_ms);
        spent.bytes = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: LedgerId = LedgerId([1; 32]);

    fn first() -> Brought {
        Brought { is_first: true, place: 0, in_reach: false, known: 5, bytes: 500 }
    }

    #[test]
    fn a_peer_brings_64_new_networks_and_then_one_in_a_quarter_of_an_hour() {
        let mut quotas = Quotas::default();
        for _ in 0..AUTHORS_AT_ONCE {
            quotas.charge(PEER, first(), 0).unwrap();
        }
        assert_eq!(quotas.charge(PEER, first(), 0), Err(OverQuota::NewAuthors));
        assert_eq!(quotas.charge(PEER, Brought { is_first: false, place: 3, ..first() }, 0), Ok(()));
        assert_eq!(quotas.charge(LedgerId([2; 32]), first(), 0), Ok(()), "others are not held back");
        assert_eq!(quotas.charge(PEER, first(), AUTHOR_EVERY_MS - 1), Err(OverQuota::NewAuthors));
        assert_eq!(quotas.charge(PEER, first(), AUTHOR_EVERY_MS), Ok(()));
        assert_eq!(quotas.charge(PEER, first(), AUTHOR_EVERY_MS), Err(OverQuota::NewAuthors));
    }

    #[test]
    fn bytes_and_authors_are_bounded_and_networks_out_of_reach_get_little() {
        let mut quotas = Quotas::default();
        let big = Brought { is_first: false, in_reach: true, place: 99, bytes: 4_096, known: MAX_AUTHORS };
        let taken = (0..100_000).take_while(|_| quotas.charge(PEER, big, 0).is_ok()).count();
        assert_eq!(taken, 64 * 1024 * 1024 / 4_096);
        assert_eq!(quotas.charge(PEER, big, 0), Err(OverQuota::Bytes));
        assert_eq!(quotas.charge(PEER, big, 1_000), Ok(()));
        let full = Brought { known: MAX_AUTHORS, ..first() };
        assert_eq!(quotas.charge(PEER, full, 0), Err(OverQuota::Authors { known: MAX_AUTHORS }));
        let far = Brought { is_first: false, place: MAX_ENTRIES_UNREACHED, ..first() };
        assert_eq!(quotas.charge(PEER, far, 9_000), Err(OverQuota::Unreached));
    }
}
