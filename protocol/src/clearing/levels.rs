//! How near a limit new claims may go (specs/clearing.md 7.2 to 7.4): three levels for payments of ours, and a bound on
//! what old claims may hold.
//!
//! Pure; nothing that is open is ever touched by it. A payment is judged by what is used before it.

use super::engine::{Engine, Route};
use super::rate::Way;
use crate::ids::{LedgerId, StreamId};
use crate::ledger::clearing::{hop_value, room};
use crate::ledger::{Notice, Rejected};
use std::collections::BTreeMap;

/// From this share of a limit on people are told, in per cent: a quarter is left for them to turn the tide.
pub const WARN_FROM: u64 = 75;
/// From this share on single payments are held small, in per cent, so that many small ones still get through.
pub const SLOW_FROM: u64 = 90;
/// The share of a limit that claims may hold that should have ended long ago, in per cent.
pub const OLD_SHARE: u64 = 10;
/// A claim is old this long after it expired: a week of being away is ordinary.
pub const OLD_AFTER_MS: u64 = 7 * 86_400_000;

/// How near a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Far.
    Free,
    /// Near: people are told.
    Warn,
    /// So near that one payment may take at most half of what is left.
    Slow {
        /// The largest single payment, in minor units of the position unit.
        largest: u64,
    },
    /// Reached.
    Stop,
}

/// The level of a limit of which so much is left, in the position unit.
pub fn level(limit: u64, left: i128) -> Level {
    let (limit, free) = (i128::from(limit), u64::try_from(left).unwrap_or(0));
    if free == 0 || limit == 0 {
        return Level::Stop;
    }
    let used = limit.saturating_sub(left).max(0).saturating_mul(100);
    let from = |share: u64| used >= limit.saturating_mul(i128::from(share));
    if from(SLOW_FROM) {
        Level::Slow { largest: (free / 2).max(1) }
    } else if from(WARN_FROM) {
        Level::Warn
    } else {
        Level::Free
    }
}

/// Where a limit stands that a payment draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// Towards whom.
    pub peer: LedgerId,
    /// Which unit pair of the accord.
    pub pair: u8,
    /// How near the limit is before the payment.
    pub before: Level,
    /// How near it is after it.
    pub after: Level,
}

impl Draw {
    /// What people are told.
    pub fn notice(&self) -> Option<Notice> {
        let largest = match self.after {
            Level::Free => return None,
            Level::Warn => None,
            Level::Slow { largest } => Some(largest),
            Level::Stop => Some(0),
        };
        Some(Notice::NearPeerLimit { peer: self.peer, largest })
    }
}

impl Engine {
    /// The limits that a payment of ours would draw on. It is refused where its parts take more at once than the level
    /// allows.
    ///
    /// # Errors
    /// Towards which peer it is too large; no accord; a hop that breaks its rule.
    pub fn graded(&self, route: &Route) -> Result<Vec<Draw>, Rejected> {
        let mut wanted: BTreeMap<(StreamId, u8), i128> = BTreeMap::new();
        for part in &route.parts {
            let (Some(next), Some(hop)) = (part.route.get(1), part.hops.first()) else {
                return Err(Rejected::Intent { why: "a route has at least two networks" });
            };
            let (channel, row) = self.state.channel_with(next).ok_or(Rejected::NoAccord { peer: *next })?;
            let sum = wanted.entry((channel, hop.pair)).or_default();
            *sum = sum.saturating_add(i128::from(hop_value(row, hop, Way::Out)?.position().minor()));
        }
        let draw = |((channel, pair), amount): ((StreamId, u8), i128)| {
            let row = self.state.channels.get(&channel).ok_or(Rejected::UnknownChannel { channel })?;
            let terms = row.accord.pairs.get(usize::from(pair));
            let limit = terms.map_or(0, |terms| terms.limit(row.we_are_a));
            let left = room(&self.state, row, pair).unwrap_or(0);
            let before = level(limit, left);
            match before {
                Level::Slow { largest } if amount > i128::from(largest) && amount <= left => {
                    let amount = i64::try_from(amount).unwrap_or(i64::MAX);
                    Err(Rejected::Slowed { peer: row.peer, amount, largest })
                }
                // What does not fit at all is refused as such.
                Level::Free | Level::Warn | Level::Slow { .. } | Level::Stop => {
                    let after = level(limit, left.saturating_sub(amount));
                    Ok(Draw { peer: row.peer, pair, before, after })
                }
            }
        };
        wanted.into_iter().map(draw).collect()
    }

    /// Whether claims that should have ended long ago hold too much for a new one: on this channel and pair, or of this
    /// decider anywhere.
    pub(super) fn old_claims_hold(
        &self,
        (channel, pair): (StreamId, u8),
        decider: &LedgerId,
        now_ms: u64,
    ) -> bool {
        let mut held: BTreeMap<(StreamId, u8, bool), u64> = BTreeMap::new();
        for (_, out) in self.state.open_until(now_ms.saturating_sub(OLD_AFTER_MS)) {
            let position = out.value().position().minor().unsigned_abs();
            let same = (out.channel, out.pair) == (channel, pair);
            for by_decider in [same.then_some(false), (out.decider == *decider).then_some(true)] {
                let Some(by_decider) = by_decider else { continue };
                let sum = held.entry((out.channel, out.pair, by_decider)).or_default();
                *sum = sum.saturating_add(position);
            }
        }
        held.into_iter().any(|((channel, pair, _), held)| {
            let row = self.state.channels.get(&channel);
            let terms = row.and_then(|row| Some((row.accord.pairs.get(usize::from(pair))?, row.we_are_a)));
            let limit = terms.map_or(0, |(terms, we_are_a)| terms.limit(we_are_a));
            u128::from(held).saturating_mul(100) > u128::from(limit).saturating_mul(u128::from(OLD_SHARE))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::testing::{HOUR, TestNetwork};

    #[test]
    fn a_limit_warns_then_slows_then_stops() {
        assert_eq!(level(100, 100), Level::Free);
        assert_eq!(level(100, 26), Level::Free);
        assert_eq!(level(100, 25), Level::Warn);
        assert_eq!(level(100, 11), Level::Warn);
        assert_eq!(level(100, 10), Level::Slow { largest: 5 });
        assert_eq!(level(100, 3), Level::Slow { largest: 1 });
        assert_eq!(level(100, 1), Level::Slow { largest: 1 });
        assert_eq!((level(100, 0), level(100, -5), level(0, 0)), (Level::Stop, Level::Stop, Level::Stop));
        // Who is owed has more than its limit left.
        assert_eq!(level(100, 400), Level::Free);
        assert_eq!(level(1 << 62, 1 << 60), Level::Warn);
    }

    #[test]
    fn the_largest_payment_falls_with_what_is_left() {
        let mut last = u64::MAX;
        for left in (1..=100).rev() {
            let Level::Slow { largest } = level(1_000, left) else { panic!("{left} of 1000 left") };
            assert!(largest <= last && i128::from(largest) <= left, "{left}: {largest}");
            last = largest;
        }
    }

    #[test]
    fn payments_of_ours_are_held_small_near_the_limit_and_those_of_others_pass() {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 100);
        let peer = lansing.ledger();
        let route = |network: &TestNetwork, minutes: i64| {
            let amount = Amount::new(minutes).unwrap();
            network.engine.direct_route(&peer, HOUR, amount).unwrap()
        };
        let far = hull.engine.graded(&route(&hull, 92)).unwrap();
        assert_eq!((far[0].before, far[0].after), (Level::Free, Level::Slow { largest: 4 }));
        hull.pay(ada, bob, &mut lansing, 92).unwrap();
        let slowed = Rejected::Slowed { peer, amount: 5, largest: 4 };
        assert_eq!(hull.engine.graded(&route(&hull, 5)), Err(slowed));
        assert!(hull.engine.graded(&route(&hull, 4)).is_ok());
        // What does not fit at all is another refusal, of the payment itself.
        assert!(hull.engine.graded(&route(&hull, 9)).is_ok());
        assert!(hull.pay(ada, bob, &mut lansing, 9).is_err());
    }

    #[test]
    fn claims_that_should_have_ended_long_ago_stop_new_ones_through_their_peer() {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 100);
        // Lansing is away: the claims stay open.
        hull.pay(ada, bob, &mut lansing, 10).unwrap();
        hull.now_ms += 8 * 86_400_000;
        hull.pay(ada, bob, &mut lansing, 1).unwrap();
        hull.now_ms += 86_400_000;
        hull.pay(ada, bob, &mut lansing, 1).unwrap();
        hull.now_ms += 8 * 86_400_000;
        let refused = hull.pay(ada, bob, &mut lansing, 1);
        assert_eq!(refused, Err(Rejected::OldHolds { peer: lansing.ledger() }));
        // It is back: what is open ends, and new payments go.
        hull.settle(&mut lansing);
        hull.pay(ada, bob, &mut lansing, 1).unwrap();
    }
}
