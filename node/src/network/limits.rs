//! Who may send how much: token buckets, charged before anything decodes a request.
//!
//! Each peer has one bucket of messages and one of bytes. Peers the operator does not know share a
//! further pair, so that a new identity per connection buys nothing. A refused request charges
//! nothing. Time (ms of a monotonic clock) comes in as an argument.

use std::collections::HashMap;

use libp2p::PeerId;

/// Peers whose buckets are remembered at once. Above it, buckets that are full again are dropped,
/// and further unknown peers are held by the shared pair alone.
const REMEMBERED_PEERS: usize = 4_096;

/// Pause between two sweeps of a full table, so that a flood does not buy a sweep per request.
const SWEEP_PAUSE_MS: u64 = 1_000;

/// How much a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Messages a second, in the long run.
    pub messages_per_s: u64,
    /// Messages at once.
    pub messages_burst: u64,
    /// Bytes a second, in the long run.
    pub bytes_per_s: u64,
    /// Bytes at once; no single request can be longer.
    pub bytes_burst: u64,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OverRate {
    /// This peer sent too much.
    Peer,
    /// All unknown peers together sent too much.
    UnknownTogether,
}

/// Thousandths of a token, so that a rate of one a second still flows every millisecond.
const MILLI: u64 = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    per_s: u64,
    burst_milli: u64,
    level_milli: u64,
    filled_at_ms: u64,
}

impl Bucket {
    fn full(per_s: u64, burst: u64, now_ms: u64) -> Self {
        let burst_milli = burst.saturating_mul(MILLI);
        Self { per_s, burst_milli, level_milli: burst_milli, filled_at_ms: now_ms }
    }

    fn fill(&mut self, now_ms: u64) {
        // One token a second is one thousandth of a token each millisecond.
        let gained = now_ms.saturating_sub(self.filled_at_ms).saturating_mul(self.per_s);
        self.level_milli = self.level_milli.saturating_add(gained).min(self.burst_milli);
        self.filled_at_ms = self.filled_at_ms.max(now_ms);
    }

    fn holds(&self, tokens: u64) -> bool {
        self.level_milli >= tokens.saturating_mul(MILLI)
    }

    fn take(&mut self, tokens: u64) {
        self.level_milli = self.level_milli.saturating_sub(tokens.saturating_mul(MILLI));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    messages: Bucket,
    bytes: Bucket,
}

impl Pair {
    fn full(rate: Rate, now_ms: u64) -> Self {
        Self {
            messages: Bucket::full(rate.messages_per_s, rate.messages_burst, now_ms),
            bytes: Bucket::full(rate.bytes_per_s, rate.bytes_burst, now_ms),
        }
    }

    fn fill(&mut self, now_ms: u64) {
        self.messages.fill(now_ms);
        self.bytes.fill(now_ms);
    }

    fn holds(&self, bytes: u64) -> bool {
        self.messages.holds(1) && self.bytes.holds(bytes)
    }

    fn take(&mut self, bytes: u64) {
        self.messages.take(1);
        self.bytes.take(bytes);
    }

    fn is_full(&self) -> bool {
        self.messages.level_milli == self.messages.burst_milli
            && self.bytes.level_milli == self.bytes.burst_milli
    }
}

#[derive(Debug)]
struct PeerBuckets {
    known: bool,
    pair: Pair,
}

/// The admission of inbound requests.
#[derive(Debug)]
pub(super) struct Admission {
    known: Rate,
    unknown: Rate,
    unknown_together: Pair,
    peers: HashMap<PeerId, PeerBuckets>,
    swept_at_ms: u64,
}

impl Admission {
    pub(super) fn new(known: Rate, unknown: Rate, unknown_together: Rate, now_ms: u64) -> Self {
        Self {
            known,
            unknown,
            unknown_together: Pair::full(unknown_together, now_ms),
            peers: HashMap::new(),
            swept_at_ms: now_ms,
        }
    }

    /// Charges a peer for one request of so many bytes, or refuses it and charges nothing.
    pub(super) fn admit(
        &mut self,
        peer: PeerId,
        known: bool,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), OverRate> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.make_room(now_ms);
        let rate = if known { self.known } else { self.unknown };
        let may_remember = known || self.peers.len() < REMEMBERED_PEERS;
        let mut unremembered = PeerBuckets { known, pair: Pair::full(rate, now_ms) };
        let buckets = if may_remember || self.peers.contains_key(&peer) {
            self.peers.entry(peer).or_insert(unremembered)
        } else {
            &mut unremembered
        };
        if buckets.known != known {
            *buckets = PeerBuckets { known, pair: Pair::full(rate, now_ms) };
        }
        buckets.pair.fill(now_ms);
        if !buckets.pair.holds(bytes) {
            return Err(OverRate::Peer);
        }
        if !known {
            self.unknown_together.fill(now_ms);
            if !self.unknown_together.holds(bytes) {
                return Err(OverRate::UnknownTogether);
            }
            self.unknown_together.take(bytes);
        }
        buckets.pair.take(bytes);
        Ok(())
    }

    fn make_room(&mut self, now_ms: u64) {
        let rested = now_ms.saturating_sub(self.swept_at_ms) >= SWEEP_PAUSE_MS;
        if rested && self.peers.len() >= REMEMBERED_PEERS {
            self.swept_at_ms = now_ms;
            self.peers.retain(|_, buckets| {
                buckets.pair.fill(now_ms);
                !buckets.pair.is_full()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Rate =
        Rate { messages_per_s: 100, messages_burst: 100, bytes_per_s: 100_000, bytes_burst: 100_000 };
    const UNKNOWN: Rate = Rate { messages_per_s: 1, messages_burst: 2, bytes_per_s: 100, bytes_burst: 1_000 };
    const TOGETHER: Rate =
        Rate { messages_per_s: 10, messages_burst: 10, bytes_per_s: 10_000, bytes_burst: 10_000 };

    fn admission() -> Admission {
        Admission::new(KNOWN, UNKNOWN, TOGETHER, 0)
    }

    #[test]
    fn a_peer_gets_its_burst_and_then_its_rate() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(admission.admit(peer, false, 1, 0), Ok(()));
        assert_eq!(admission.admit(peer, false, 1, 0), Ok(()));
        assert_eq!(admission.admit(peer, false, 1, 999), Err(OverRate::Peer));
        assert_eq!(admission.admit(peer, false, 1, 1_000), Ok(()));
        assert_eq!(admission.admit(peer, false, 1, 1_000), Err(OverRate::Peer));
    }

    #[test]
    fn bytes_are_charged_beside_messages() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(admission.admit(peer, false, 1_001, 0), Err(OverRate::Peer), "more than the burst");
        assert_eq!(admission.admit(peer, false, 1_000, 0), Ok(()));
        assert_eq!(admission.admit(peer, false, 100, 999), Err(OverRate::Peer));
        assert_eq!(admission.admit(peer, false, 100, 1_000), Ok(()));
    }

    #[test]
    fn a_new_identity_for_every_request_is_held_by_the_shared_bucket_and_known_peers_are_not() {
        let mut admission = admission();
        for _ in 0..10 {
            assert_eq!(admission.admit(PeerId::random(), false, 1, 0), Ok(()));
        }
        assert_eq!(admission.admit(PeerId::random(), false, 1, 0), Err(OverRate::UnknownTogether));
        assert_eq!(admission.admit(PeerId::random(), true, 1, 0), Ok(()));
    }

    #[test]
    fn a_peer_that_becomes_known_gets_the_generous_rate_at_once() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(admission.admit(peer, false, 1, 0), Ok(()));
        assert_eq!(admission.admit(peer, false, 1, 0), Ok(()));
        assert_eq!(admission.admit(peer, false, 1, 0), Err(OverRate::Peer));
        assert_eq!(admission.admit(peer, true, 50_000, 0), Ok(()));
    }

    #[test]
    fn memory_stays_bounded_however_many_identities_come() {
        let together = Rate { messages_burst: u64::MAX / MILLI, bytes_burst: u64::MAX / MILLI, ..TOGETHER };
        let mut admission = Admission::new(KNOWN, UNKNOWN, together, 0);
        for _ in 0..REMEMBERED_PEERS + 100 {
            assert_eq!(admission.admit(PeerId::random(), false, 1, 0), Ok(()));
        }
        assert_eq!(admission.peers.len(), REMEMBERED_PEERS);
        assert_eq!(admission.admit(PeerId::random(), false, 1, 10_000), Ok(()));
        assert_eq!(admission.peers.len(), 1, "refilled buckets are forgotten");
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_gives_nothing() {
        let (mut admission, peer) = (admission(), PeerId::random());
        admission.admit(peer, false, 1, 5_000).unwrap();
        admission.admit(peer, false, 1, 5_000).unwrap();
        assert_eq!(admission.admit(peer, false, 1, 0), Err(OverRate::Peer));
        assert_eq!(admission.admit(peer, false, 1, 5_999), Err(OverRate::Peer));
    }
}
