//! Who may send how much: token buckets, charged before anything decodes a request.
//!
//! Each peer has one bucket of messages, one of bytes, and one of messages for each protocol. Unknown peers share a further
//! set, so that a new identity per connection buys nothing. A refused request charges nothing. Time (ms of a monotonic
//! clock) comes in as an argument.

use std::collections::HashMap;

use libp2p::PeerId;

use super::{protocols::Protocol, tier::Tier};

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

/// What each tier may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierRates {
    /// A peer.
    pub peer: Rate,
    /// A vouched network.
    pub vouched: Rate,
    /// An unknown one.
    pub unknown: Rate,
    /// All unknown ones together.
    pub unknown_together: Rate,
}

impl TierRates {
    const fn of(&self, tier: Tier) -> Rate {
        match tier {
            Tier::Peer => self.peer,
            Tier::Vouched => self.vouched,
            Tier::Unknown => self.unknown,
        }
    }
}

/// All unknown peers together may send so many times what one may, on each protocol.
const TOGETHER: u64 = 10;
/// Requests of one protocol at once, in seconds of its rate.
const BURST_S: u64 = 4;

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

/// The buckets of one sender, or of all unknown ones.
#[derive(Debug)]
struct Buckets {
    tier: Tier,
    pair: Pair,
    by_protocol: [Bucket; Protocol::ALL.len()],
}

impl Buckets {
    fn full(tier: Tier, rate: Rate, times: u64, now_ms: u64) -> Self {
        let by_protocol = Protocol::ALL.map(|protocol| {
            let per_s = protocol.requests_per_s(tier).saturating_mul(times);
            Bucket::full(per_s, per_s.saturating_mul(BURST_S), now_ms)
        });
        Self { tier, pair: Pair::full(rate, now_ms), by_protocol }
    }

    fn holds(&mut self, protocol: Protocol, bytes: u64, now_ms: u64) -> bool {
        self.pair.fill(now_ms);
        let own = &mut self.by_protocol[protocol.index()];
        own.fill(now_ms);
        own.holds(1) && self.pair.holds(bytes)
    }

    fn take(&mut self, protocol: Protocol, bytes: u64) {
        self.pair.take(bytes);
        self.by_protocol[protocol.index()].take(1);
    }

    fn is_full(&mut self, now_ms: u64) -> bool {
        self.pair.fill(now_ms);
        self.pair.is_full()
            && self.by_protocol.iter_mut().all(|bucket| {
                bucket.fill(now_ms);
                bucket.level_milli == bucket.burst_milli
            })
    }
}

/// The admission of inbound requests.
#[derive(Debug)]
pub(super) struct Admission {
    rates: TierRates,
    unknown_together: Buckets,
    peers: HashMap<PeerId, Buckets>,
    swept_at_ms: u64,
}

impl Admission {
    pub(super) fn new(rates: TierRates, now_ms: u64) -> Self {
        Self {
            rates,
            unknown_together: Buckets::full(Tier::Unknown, rates.unknown_together, TOGETHER, now_ms),
            peers: HashMap::new(),
            swept_at_ms: now_ms,
        }
    }

    /// Charges a peer for one request of so many bytes, or refuses it and charges nothing.
    pub(super) fn admit(
        &mut self,
        peer: PeerId,
        tier: Tier,
        protocol: Protocol,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), OverRate> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.make_room(now_ms);
        let fresh = || Buckets::full(tier, self.rates.of(tier), 1, now_ms);
        let may_remember = tier == Tier::Peer || self.peers.len() < REMEMBERED_PEERS;
        let mut unremembered = fresh();
        let buckets = if may_remember || self.peers.contains_key(&peer) {
            self.peers.entry(peer).or_insert_with(fresh)
        } else {
            &mut unremembered
        };
        if buckets.tier != tier {
            *buckets = fresh();
        }
        if !buckets.holds(protocol, bytes, now_ms) {
            return Err(OverRate::Peer);
        }
        if tier == Tier::Unknown {
            if !self.unknown_together.holds(protocol, bytes, now_ms) {
                return Err(OverRate::UnknownTogether);
            }
            self.unknown_together.take(protocol, bytes);
        }
        buckets.take(protocol, bytes);
        Ok(())
    }

    fn make_room(&mut self, now_ms: u64) {
        let rested = now_ms.saturating_sub(self.swept_at_ms) >= SWEEP_PAUSE_MS;
        if rested && self.peers.len() >= REMEMBERED_PEERS {
            self.swept_at_ms = now_ms;
            self.peers.retain(|_, buckets| !buckets.is_full(now_ms));
        }
    }
}

/// So many at once and then so many a second, for whoever counts something else than requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap(Bucket);

impl Tap {
    pub(super) fn full(per_s: u64, burst: u64, now_ms: u64) -> Self {
        Self(Bucket::full(per_s, burst, now_ms))
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        self.0.fill(now_ms);
        let has = self.0.holds(1);
        if has {
            self.0.take(1);
        }
        has
    }

    /// Gives one back.
    pub(super) fn give_back(&mut self) {
        self.0.level_milli = self.0.level_milli.saturating_add(MILLI).min(self.0.burst_milli);
    }

    pub(super) fn is_full(&mut self, now_ms: u64) -> bool {
        self.0.fill(now_ms);
        self.0.level_milli == self.0.burst_milli
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Rate =
        Rate { messages_per_s: 100, messages_burst: 100, bytes_per_s: 100_000, bytes_burst: 100_000 };
    const UNKNOWN: Rate = Rate { messages_per_s: 1, messages_burst: 2, bytes_per_s: 100, bytes_burst: 1_000 };
    const ALL_UNKNOWN: Rate =
        Rate { messages_per_s: 10, messages_burst: 10, bytes_per_s: 10_000, bytes_burst: 10_000 };

    const RATES: TierRates =
        TierRates { peer: KNOWN, vouched: KNOWN, unknown: UNKNOWN, unknown_together: ALL_UNKNOWN };

    fn admission() -> Admission {
        Admission::new(RATES, 0)
    }

    /// Asks on the protocol that allows the most.
    fn ask(
        admission: &mut Admission,
        peer: PeerId,
        tier: Tier,
        bytes: usize,
        now_ms: u64,
    ) -> Result<(), OverRate> {
        admission.admit(peer, tier, Protocol::Claim, bytes, now_ms)
    }

    #[test]
    fn a_peer_gets_its_burst_and_then_its_rate() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 999), Err(OverRate::Peer));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 1_000), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 1_000), Err(OverRate::Peer));
    }

    #[test]
    fn bytes_are_charged_beside_messages() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(
            ask(&mut admission, peer, Tier::Unknown, 1_001, 0),
            Err(OverRate::Peer),
            "more than the burst"
        );
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1_000, 0), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 100, 999), Err(OverRate::Peer));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 100, 1_000), Ok(()));
    }

    #[test]
    fn a_new_identity_for_every_request_is_held_by_the_shared_bucket_and_known_peers_are_not() {
        let mut admission = admission();
        for _ in 0..10 {
            assert_eq!(ask(&mut admission, PeerId::random(), Tier::Unknown, 1, 0), Ok(()));
        }
        assert_eq!(
            ask(&mut admission, PeerId::random(), Tier::Unknown, 1, 0),
            Err(OverRate::UnknownTogether)
        );
        assert_eq!(ask(&mut admission, PeerId::random(), Tier::Peer, 1, 0), Ok(()));
    }

    #[test]
    fn a_peer_that_becomes_known_gets_the_generous_rate_at_once() {
        let (mut admission, peer) = (admission(), PeerId::random());
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Ok(()));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Err(OverRate::Peer));
        assert_eq!(ask(&mut admission, peer, Tier::Peer, 50_000, 0), Ok(()));
    }

    #[test]
    fn memory_stays_bounded_however_many_identities_come() {
        let together =
            Rate { messages_burst: u64::MAX / MILLI, bytes_burst: u64::MAX / MILLI, ..ALL_UNKNOWN };
        let mut admission = Admission::new(TierRates { unknown_together: together, ..RATES }, 0);
        for _ in 0..REMEMBERED_PEERS + 100 {
            admission.unknown_together = Buckets::full(Tier::Unknown, together, TOGETHER, 0);
            assert_eq!(ask(&mut admission, PeerId::random(), Tier::Unknown, 1, 0), Ok(()));
        }
        assert_eq!(admission.peers.len(), REMEMBERED_PEERS);
        assert_eq!(ask(&mut admission, PeerId::random(), Tier::Unknown, 1, 10_000), Ok(()));
        assert_eq!(admission.peers.len(), 1, "refilled buckets are forgotten");
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_gives_nothing() {
        let (mut admission, peer) = (admission(), PeerId::random());
        ask(&mut admission, peer, Tier::Unknown, 1, 5_000).unwrap();
        ask(&mut admission, peer, Tier::Unknown, 1, 5_000).unwrap();
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 0), Err(OverRate::Peer));
        assert_eq!(ask(&mut admission, peer, Tier::Unknown, 1, 5_999), Err(OverRate::Peer));
    }

    #[test]
    fn one_protocol_has_its_own_rate_and_leaves_room_for_the_others() {
        let generous = Rate { messages_per_s: 9_999, messages_burst: 9_999, ..KNOWN };
        let (mut admission, peer) =
            (Admission::new(TierRates { peer: generous, ..RATES }, 0), PeerId::random());
        let at_once = Protocol::Pair.requests_per_s(Tier::Peer) * BURST_S;
        let taken = (0..9_999)
            .take_while(|_| admission.admit(peer, Tier::Peer, Protocol::Pair, 1, 0).is_ok())
            .count();
        assert_eq!(u64::try_from(taken), Ok(at_once));
        assert_eq!(admission.admit(peer, Tier::Peer, Protocol::Stream, 1, 0), Ok(()));
        assert_eq!(admission.admit(peer, Tier::Peer, Protocol::Pair, 1, 1_000), Ok(()));
    }
}
