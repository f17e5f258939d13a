//! What the engine knows of ways to other networks, and what it tells of its own (specs/network.md §12,
//! specs/kinds.md §17).

use super::accord::Side;
use super::engine::{Cx, Engine, Route};
use super::intent::{Hop, Part};
use super::peers::Refusal;
use crate::amount::Amount;
use crate::entry::Payload;
use crate::federation::route::{HopMap, HopOffer, Measure, Search, Way};
use crate::ids::{LedgerId, UnitId};
use crate::ledger::Rejected;
use crate::ledger::capacity::{Capacity, CapacityChange};
use crate::ledger::clearing::room;
use std::collections::BTreeSet;

/// Ways that are looked at for one that carries the amount exactly: at some rates only some amounts are whole on every hop.
const MOST_TRIED: usize = 8;

impl Route {
    /// One way as it was found, with the amounts of its hops; `None` when one is no amount.
    pub fn over(way: &Way) -> Option<Self> {
        let amounts = way.amounts()?;
        let hop = |((pair, accord_version), (src, dst)): (&(u8, u32), &(Amount, Amount))| Hop {
            pair: *pair,
            src: *src,
            dst: *dst,
            accord_version: *accord_version,
        };
        let hops = way.route.hops.iter().zip(&amounts).map(hop).collect();
        Some(Self { parts: vec![Part { route: way.route.ledgers.clone(), hops }] })
    }
}

impl Engine {
    /// The map of ways: our own hops as our books have them, all others as networks tell. `closed` are networks that
    /// nothing goes through or to.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn hop_map(&self, payee: &LedgerId, closed: &dyn Fn(&LedgerId) -> bool) -> Result<HopMap, Rejected> {
        let us = self.state.ledger()?;
        let shut = |ledger: &LedgerId| *ledger == us || closed(ledger) || self.is_frozen(ledger);
        let mut map = HopMap::told(self.peers.capacities(), &shut);
        for row in self.state.channels.values() {
            if shut(&row.peer) || self.ready_channel(&row.peer).is_err() {
                continue;
            }
            if row.peer != *payee && !row.accord.relay {
                continue;
            }
            for (pair, terms) in (0_u8..).zip(&row.accord.pairs).filter(|(_, terms)| terms.clears()) {
                let left =
                    u64::try_from(room(&self.state, row, pair).unwrap_or(0).max(0)).unwrap_or(u64::MAX);
                let offer = HopOffer {
                    to: (row.peer, terms.unit(!row.we_are_a)),
                    pair,
                    version: row.accord.version,
                    rate: terms.rate(row.we_are_a),
                    measure: if (terms.position == Side::A) == row.we_are_a {
                        Measure::Here
                    } else {
                        Measure::There
                    },
                    sure: left,
                    below: left.saturating_add(1),
                };
                map.add((us, terms.unit(row.we_are_a)), offer);
            }
        }
        Ok(map)
    }

    /// Ways for a payment of ours to another network, best first; none when nobody is known to pass it on.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn ways(
        &self,
        payee: LedgerId,
        unit: UnitId,
        amount: u64,
        failed: &BTreeSet<(LedgerId, LedgerId)>,
        closed: &dyn Fn(&LedgerId) -> bool,
        most: usize,
    ) -> Result<Vec<Way>, Rejected> {
        let map = self.hop_map(&payee, closed)?;
        Ok(map.ways(&Search { from: (self.state.ledger()?, unit), payee, amount, failed, most }))
    }

    /// The best way, or where no single one has room the cheapest split over several; where there is none, why not: towards
    /// a peer what stands in the accord's way, else that nobody is known to pass it on.
    ///
    /// # Errors
    /// Why there is none.
    pub fn best_route(
        &self,
        payee: LedgerId,
        unit: UnitId,
        amount: u64,
        failed: &BTreeSet<(LedgerId, LedgerId)>,
        closed: &dyn Fn(&LedgerId) -> bool,
    ) -> Result<Route, Rejected> {
        if self.is_banned(&payee) {
            return Err(Rejected::PeerBanned { peer: payee });
        }
        if self.is_frozen(&payee) {
            return Err(Rejected::PeerFrozen { peer: payee });
        }
        let no = Rejected::NoRoom { amount: i64::MAX, room: 0 };
        let minor = i64::try_from(amount).ok().and_then(|minor| Amount::new(minor).ok()).ok_or(no)?;
        let map = self.hop_map(&payee, closed)?;
        let search = Search { from: (self.state.ledger()?, unit), payee, amount, failed, most: 1 };
        let exact = |way: &&Way| way.sums.first() == Some(&amount);
        let mut ways = map.ways(&search);
        if ways.iter().any(|way| !exact(&way)) {
            ways = map.ways(&Search { most: MOST_TRIED, ..search });
        }
        if let Some(route) = ways.iter().find(exact).and_then(Route::over) {
            return Ok(route);
        }
        let amount_of = |part: u64| i64::try_from(part).ok().and_then(|minor| Amount::new(minor).ok());
        let split = map.split(&search).unwrap_or_default().into_iter();
        let parts: Option<Vec<_>> = split.map(|(way, part)| Some((way, amount_of(part)?))).collect();
        if let Some(parts) = parts.filter(|parts| !parts.is_empty()) {
            return Ok(Route::split(parts));
        }
        if self.state.channel_with(&payee).is_some() {
            // It says by name what is wrong: the unit, the room, the accord.
            return self.direct_route(&payee, unit, minor);
        }
        let nearest = ways.iter().filter_map(|way| way.sums.first()).max();
        if let Some(nearest) = nearest.and_then(|nearest| i64::try_from(*nearest).ok()) {
            return Err(Rejected::Inexact { amount: minor.minor(), nearest });
        }
        Err(Rejected::NoWay { payee })
    }

    /// Our peers, and the networks that a way leads to: what they say is worth keeping.
    pub fn in_reach(&self) -> BTreeSet<LedgerId> {
        let peers = self.state.channels.values().map(|row| row.peer).collect();
        HopMap::told(self.peers.capacities(), &|_| false).within_reach(peers)
    }

    /// Writes what has changed of what our accords let pass: terms at once, buckets when the last was written at least
    /// `every_ms` ago. Gives how many entries that were.
    pub fn tell_capacity(&mut self, every_ms: u64, cx: &mut Cx<'_>) -> usize {
        let due = self.due_capacities(every_ms, cx.now_ms);
        // A refusal (in quarantine) leaves it for the next time.
        let seq = |engine: &Self| engine.state.head.next_seq.to_be_bytes();
        due.into_iter()
            .filter(|told| {
                let (payload, about) = (Payload::Capacity(told.clone()), seq(self));
                self.own(payload, told.peer.as_bytes(), &about, 0, cx).is_ok()
            })
            .count()
    }

    /// Takes in who a network is, from its identity entries alone, in memory: enough to answer a question about its claim.
    ///
    /// # Errors
    /// The first entry that does not verify or does not follow; those before it stay.
    pub fn hear_identity(&mut self, ledger: &LedgerId, entries: &[Vec<u8>]) -> Result<(), Refusal> {
        self.peers.hear_identity(ledger, entries)
    }

    fn due_capacities(&self, every_ms: u64, now_ms: u64) -> Vec<Capacity> {
        if self.quiet {
            return Vec::new();
        }
        let peers = self.state.channels.values().map(|row| row.peer);
        let due = peers.filter_map(|peer| {
            let now = Capacity::of(&self.state, &peer).ok()?;
            let told = self.state.capacity.get(&peer);
            // An accord that the peer has not written yet lets nothing pass.
            if told.is_none() && self.ready_channel(&peer).is_err() {
                return None;
            }
            let is_due = match now.change_from(told) {
                CapacityChange::Nothing => false,
                CapacityChange::Terms => true,
                CapacityChange::Buckets => {
                    told.is_none_or(|row| row.time_ms.saturating_add(every_ms) <= now_ms)
                }
            };
            is_due.then_some(now)
        });
        due.collect()
    }
}
