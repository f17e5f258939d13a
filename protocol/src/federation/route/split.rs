//! A payment that no single way has room for, over several ways at once: the cheapest split (specs/network.md 12.7).
//!
//! It is a flow of the whole amount with the smallest sum of amount times hops, found along shortest ways of what is
//! left, one after another, and then taken apart into ways, the widest first. What must hold: no hop carries more than
//! it has room for, the ways together carry exactly the amount, and the same map gives the same ways on every machine.

use super::{HopMap, HopOffer, MAX_HOPS, Search, Stop};
use crate::clearing::engine::Path;
use crate::clearing::intent::MAX_PARTS;
use crate::ids::{LedgerId, UnitId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Shortest ways that are added up before a split is given up: each fills a hop, and eight ways are all that an Intent can
/// name. Bounds what a map made by a liar can cost.
const MAX_ROUNDS: usize = 128;
/// Hops that are looked at: bounds it as well.
const MAX_ARCS: usize = 16_384;

/// A hop and what of it is used.
#[derive(Debug, Clone, Copy)]
struct Arc {
    from: usize,
    to: usize,
    offer: HopOffer,
    room: u64,
    used: u64,
}

/// How many hops a stop is away, and by which arc it was reached, forth or back.
type Reached = (i64, Option<(usize, bool)>);

/// The part of the map between payer and payee.
struct Flow {
    stops: Vec<Stop>,
    arcs: Vec<Arc>,
    /// Of each stop: the arcs out of it and into it.
    around: Vec<Vec<usize>>,
    source: usize,
    sink: usize,
}

impl HopMap {
    /// Ways that together have room for the amount, with what goes over each: first only hops that have room for sure and
    /// have not failed lately, then all hops as far as they may have room. `None` where no split has room for it, or where
    /// the cheapest does not come apart into eight ways of six hops.
    pub fn split(&self, search: &Search<'_>) -> Option<Vec<(Path, u64)>> {
        let is_failed = |from: &Stop, offer: &HopOffer| search.failed.contains(&(from.0, offer.to.0));
        let sure = |from: &Stop, offer: &HopOffer| if is_failed(from, offer) { 0 } else { offer.sure };
        let perhaps = |_: &Stop, offer: &HopOffer| offer.below.saturating_sub(1);
        let units = self.units_of(&search.payee);
        let with = |room: &dyn Fn(&Stop, &HopOffer) -> u64| {
            units.iter().find_map(|unit| {
                let mut flow = Flow::new(self, search, (search.payee, *unit), room)?;
                flow.fill(search.amount)?;
                flow.take_apart(search.amount)
            })
        };
        with(&sure).or_else(|| with(&perhaps))
    }

    /// The units in which hops arrive at a network: all parts of a payment arrive in one.
    fn units_of(&self, ledger: &LedgerId) -> BTreeSet<UnitId> {
        let offers = self.hops.values().flatten();
        offers.filter(|offer| offer.to.0 == *ledger).map(|offer| offer.to.1).collect()
    }
}

impl Flow {
    fn new(
        map: &HopMap,
        search: &Search<'_>,
        payee: Stop,
        room: &dyn Fn(&Stop, &HopOffer) -> u64,
    ) -> Option<Self> {
        let mut flow = Self { stops: Vec::new(), arcs: Vec::new(), around: Vec::new(), source: 0, sink: 0 };
        let mut known = BTreeMap::new();
        (flow.source, flow.sink) = (flow.place(&mut known, search.from), flow.place(&mut known, payee));
        // From the payer outwards, so that what cannot be reached costs nothing.
        let mut next = VecDeque::from([search.from]);
        while let Some(at) = next.pop_front() {
            for offer in map.hops.get(&at).into_iter().flatten() {
                let (to, room) = (offer.to, room(&at, offer));
                // No way goes on from the payee, back to the payer, or through another unit of the payee's.
                let leads_on = to == payee || to.0 != payee.0;
                if room == 0 || !offer.is_one_to_one() || at == payee || to.0 == search.from.0 || !leads_on {
                    continue;
                }
                if flow.arcs.len() >= MAX_ARCS {
                    return None;
                }
                if !known.contains_key(&to) {
                    next.push_back(to);
                }
                let (from, to) = (flow.place(&mut known, at), flow.place(&mut known, to));
                let arc = flow.arcs.len();
                flow.arcs.push(Arc { from, to, offer: *offer, room, used: 0 });
                flow.around[from].push(arc);
                flow.around[to].push(arc);
            }
        }
        Some(flow)
    }

    fn place(&mut self, known: &mut BTreeMap<Stop, usize>, stop: Stop) -> usize {
        *known.entry(stop).or_insert_with(|| {
            let place = self.stops.len();
            self.stops.push(stop);
            self.around.push(Vec::new());
            place
        })
    }

    /// Sends the amount along shortest ways of what is left; what was sent may be turned back.
    fn fill(&mut self, amount: u64) -> Option<()> {
        let mut left = amount;
        for _ in 0..MAX_ROUNDS {
            if left == 0 {
                return Some(());
            }
            let way = self.shortest()?;
            let fits = way.iter().map(|(arc, forth)| self.left(*arc, *forth)).min()?.min(left);
            for (arc, forth) in way {
                let arc = &mut self.arcs[arc];
                arc.used = if forth { arc.used.saturating_add(fits) } else { arc.used.saturating_sub(fits) };
            }
            left = left.saturating_sub(fits);
        }
        (left == 0).then_some(())
    }

    /// What an arc can still take, forth, or give back.
    fn left(&self, arc: usize, forth: bool) -> u64 {
        let arc = &self.arcs[arc];
        if forth { arc.room.saturating_sub(arc.used) } else { arc.used }
    }

    /// The shortest way of what is left; a hop turned back counts as one hop less (Bellman and Ford, with a queue).
    fn shortest(&self) -> Option<Vec<(usize, bool)>> {
        let mut best: Vec<Option<Reached>> = vec![None; self.stops.len()];
        best[self.source] = Some((0, None));
        let mut queue = VecDeque::from([self.source]);
        let mut queued = vec![false; self.stops.len()];
        while let Some(at) = queue.pop_front() {
            queued[at] = false;
            let Some((hops, _)) = best[at] else { continue };
            for arc in self.around[at].iter().copied() {
                let forth = self.arcs[arc].from == at;
                let (to, hops) = if forth {
                    (self.arcs[arc].to, hops.saturating_add(1))
                } else {
                    (self.arcs[arc].from, hops.saturating_sub(1))
                };
                if self.left(arc, forth) == 0 || best[to].is_some_and(|(known, _)| known <= hops) {
                    continue;
                }
                best[to] = Some((hops, Some((arc, forth))));
                if !std::mem::replace(&mut queued[to], true) {
                    queue.push_back(to);
                }
            }
        }
        let (mut way, mut at) = (Vec::new(), self.sink);
        while at != self.source {
            let (arc, forth) = best[at]?.1?;
            way.push((arc, forth));
            at = if forth { self.arcs[arc].from } else { self.arcs[arc].to };
        }
        Some(way)
    }

    /// The ways of a filled flow, the widest first.
    fn take_apart(&mut self, amount: u64) -> Option<Vec<(Path, u64)>> {
        let (mut parts, mut left) = (Vec::new(), amount);
        while left > 0 && parts.len() < MAX_PARTS {
            let (width, arcs) = self.widest()?;
            for arc in &arcs {
                let arc = &mut self.arcs[*arc];
                arc.used = arc.used.saturating_sub(width);
            }
            left = left.saturating_sub(width);
            parts.push((self.path(&arcs), width));
        }
        (left == 0).then_some(parts)
    }

    /// The widest way of what is used, of at most six hops; of those as wide the one found first.
    fn widest(&self) -> Option<(u64, Vec<usize>)> {
        let mut layer: BTreeMap<usize, (u64, Vec<usize>)> =
            BTreeMap::from([(self.source, (u64::MAX, Vec::new()))]);
        let mut best: Option<(u64, Vec<usize>)> = None;
        for _ in 0..MAX_HOPS {
            let mut next: BTreeMap<usize, (u64, Vec<usize>)> = BTreeMap::new();
            for (at, (width, way)) in &layer {
                for arc in self.around[*at].iter().copied().filter(|arc| self.arcs[*arc].from == *at) {
                    let to = self.arcs[arc].to;
                    let width = (*width).min(self.arcs[arc].used);
                    if width == 0
                        || self.visits(way, to)
                        || next.get(&to).is_some_and(|known| known.0 >= width)
                    {
                        continue;
                    }
                    let longer = way.iter().copied().chain([arc]).collect();
                    next.insert(to, (width, longer));
                }
            }
            if let Some(arrived) = next.remove(&self.sink)
                && best.as_ref().is_none_or(|known| known.0 < arrived.0)
            {
                best = Some(arrived);
            }
            layer = next;
        }
        best
    }

    fn visits(&self, way: &[usize], stop: usize) -> bool {
        let ledger = self.stops[stop].0;
        way.iter().any(|arc| self.stops[self.arcs[*arc].from].0 == ledger)
    }

    fn path(&self, arcs: &[usize]) -> Path {
        let first = self.stops[self.source].0;
        let ledgers = std::iter::once(first).chain(arcs.iter().map(|arc| self.arcs[*arc].offer.to.0));
        let hops = arcs.iter().map(|arc| (self.arcs[*arc].offer.pair, self.arcs[*arc].offer.version));
        Path { ledgers: ledgers.collect(), hops: hops.collect() }
    }
}

#[cfg(test)]
mod tests;
