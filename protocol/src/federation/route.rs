//! Ways from one network to another, over what networks tell of their accords (specs/network.md §12).
//!
//! Pure: a map of hops in, ways out, cheapest first. What must hold: a way has at most six hops, visits no network twice,
//! keeps one unit inside each network, and is the same on every machine that knows the same hops.

mod split;

use crate::clearing::engine::Path;
use crate::ids::{LedgerId, UnitId};
use crate::ledger::capacity::{Bucket, Capacity, CapacityLine};
use std::collections::{BTreeMap, BTreeSet};

/// Hops of a way: the cap of an Intent.
pub const MAX_HOPS: usize = 6;
/// Hops out of one network that are looked at: a hub of 200 peers with several unit pairs. Bounds what a liar can make us
/// search.
pub const MAX_HOPS_OUT: usize = 1_024;

/// A place on a way: a network, and the unit in which it counts the payment.
pub type Stop = (LedgerId, UnitId);

/// What one network may send on to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopOffer {
    /// Where it leads.
    pub to: Stop,
    /// Place of the unit pair in the accord.
    pub pair: u8,
    /// Version of the accord.
    pub version: u32,
    /// This much fits, as far as is known.
    pub sure: u64,
    /// As much as this does not fit.
    pub below: u64,
}

/// What is known of who passes payments on to whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HopMap {
    hops: BTreeMap<Stop, Vec<HopOffer>>,
}

/// A way that a payment can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Networks and accords.
    pub route: Path,
    /// Hops whose room may be too small, or that have failed lately.
    pub doubtful: usize,
    /// Of each hop: as much as this does not fit, as far as is known.
    pub below: Vec<u64>,
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Who pays, in which unit.
    pub from: Stop,
    /// Whose member receives.
    pub payee: LedgerId,
    /// How much, in minor units of the payer's network.
    pub amount: u64,
    /// Hops that have failed lately: they are taken when nothing else is left.
    pub failed: &'a BTreeSet<(LedgerId, LedgerId)>,
    /// At most so many ways.
    pub most: usize,
}

/// Doubtful hops, hops, then the networks on the way: the order in which ways are taken.
type Cost = (usize, usize, Vec<LedgerId>);

#[derive(Debug, Clone)]
struct Trail {
    doubtful: usize,
    stops: Vec<Stop>,
    taken: Vec<HopOffer>,
}

impl HopMap {
    /// Adds a hop.
    pub fn add(&mut self, from: Stop, offer: HopOffer) {
        let offers = self.hops.entry(from).or_default();
        if offers.len() < MAX_HOPS_OUT {
            offers.push(offer);
        }
    }

    /// The map that networks have told of, both ends of each accord alike; `closed` are networks that nothing goes through.
    pub fn told<'a>(
        told: &BTreeMap<(LedgerId, LedgerId), Capacity>,
        closed: &'a dyn Fn(&LedgerId) -> bool,
    ) -> Self {
        let mut map = Self::default();
        for ((from, to), capacity) in told {
            let Some(theirs) = told.get(&(*to, *from)) else { continue };
            if theirs.version != capacity.version || closed(from) || closed(to) {
                continue;
            }
            for line in &capacity.lines {
                let same = |other: &&CapacityLine| agree(line, other);
                let Some(other) = theirs.lines.iter().find(same).filter(|_| line.num == line.den) else {
                    continue;
                };
                let both = |end: fn(Bucket) -> u64| end(line.out).min(end(other.back));
                map.add(
                    (*from, line.unit),
                    HopOffer {
                        to: (*to, line.peer_unit),
                        pair: line.pair,
                        version: capacity.version,
                        sure: both(Bucket::least),
                        below: both(Bucket::below),
                    },
                );
            }
        }
        map
    }

    /// Networks that a way of at most six hops leads to, over one of these peers.
    pub fn within_reach(&self, peers: BTreeSet<LedgerId>) -> BTreeSet<LedgerId> {
        let (mut reached, mut edge) = (peers.clone(), peers);
        for _ in 1..MAX_HOPS {
            let next = edge.iter().flat_map(|ledger| self.out_of(ledger)).map(|offer| offer.to.0);
            edge = next.filter(|ledger| !reached.contains(ledger)).collect();
            reached.extend(&edge);
        }
        reached
    }

    fn out_of(&self, ledger: &LedgerId) -> impl Iterator<Item = &HopOffer> {
        let all = (*ledger, UnitId(0))..=(*ledger, UnitId(u16::MAX));
        self.hops.range(all).flat_map(|(_, offers)| offers)
    }

    /// The ways that fit, best first: fewest doubtful hops, then fewest hops, then the smallest ledger ids.
    pub fn ways(&self, search: &Search<'_>) -> Vec<Way> {
        let mut found: Vec<Trail> = Vec::new();
        let mut waiting: BTreeMap<Cost, Trail> = BTreeMap::new();
        let start = Trail { doubtful: 0, stops: vec![search.from], taken: Vec::new() };
        waiting.extend(self.best(&start, &BTreeSet::new(), search).map(|trail| (trail.cost(), trail)));
        // Yen: each next way leaves one of those before it at some network, by a hop that none of them takes from there.
        while found.len() < search.most {
            let Some((_, trail)) = waiting.pop_first() else { break };
            for place in 0..trail.taken.len() {
                let root = trail.up_to(place, search);
                let alike = found.iter().chain([&trail]).filter(|other| other.starts_as(&root));
                let barred = alike.filter_map(|other| other.taken.get(place).map(|o| (o.to, o.pair)));
                let barred: BTreeSet<(Stop, u8)> = barred.collect();
                waiting.extend(self.best(&root, &barred, search).map(|next| (next.cost(), next)));
            }
            if found.iter().all(|known| known.cost() != trail.cost()) {
                found.push(trail);
            }
        }
        found.into_iter().map(Trail::into_way).collect()
    }

    /// The best way on from a trail, whose first hop is none of those barred: Dijkstra, one layer for each hop, so that
    /// six are enough.
    fn best(&self, root: &Trail, barred: &BTreeSet<(Stop, u8)>, search: &Search<'_>) -> Option<Trail> {
        let mut layer = BTreeMap::from([(root.end(), root.clone())]);
        let mut best: Option<Trail> = None;
        for hop in root.taken.len()..MAX_HOPS {
            let mut next: BTreeMap<Stop, Trail> = BTreeMap::new();
            for (at, trail) in &layer {
                for offer in self.hops.get(at).into_iter().flatten() {
                    let is_barred = hop == root.taken.len() && barred.contains(&(offer.to, offer.pair));
                    if is_barred || search.amount >= offer.below || trail.visits(&offer.to.0) {
                        continue;
                    }
                    let longer = trail.with(*at, offer, search);
                    if next.get(&offer.to).is_none_or(|known| longer.cost() < known.cost()) {
                        next.insert(offer.to, longer);
                    }
                }
            }
            let arrived = next.iter().filter(|((ledger, _), _)| *ledger == search.payee).map(|(_, t)| t);
            best = best.into_iter().chain(arrived.cloned()).min_by_key(Trail::cost);
            next.retain(|(ledger, _), _| *ledger != search.payee);
            layer = next;
        }
        best
    }
}

/// Whether two lines are the two ends of one unit pair.
fn agree(one: &CapacityLine, other: &CapacityLine) -> bool {
    one.pair == other.pair
        && (one.unit, one.peer_unit) == (other.peer_unit, other.unit)
        && (one.num, one.den) == (other.den, other.num)
}

impl Trail {
    fn end(&self) -> Stop {
        *self.stops.last().expect("a trail has its first stop from the start")
    }

    fn visits(&self, ledger: &LedgerId) -> bool {
        self.stops.iter().any(|(stop, _)| stop == ledger)
    }

    fn cost(&self) -> Cost {
        (self.doubtful, self.taken.len(), self.stops.iter().map(|(ledger, _)| *ledger).collect())
    }

    fn with(&self, at: Stop, offer: &HopOffer, search: &Search<'_>) -> Self {
        let doubt = search.amount > offer.sure || search.failed.contains(&(at.0, offer.to.0));
        let mut longer = self.clone();
        longer.doubtful = longer.doubtful.saturating_add(usize::from(doubt));
        longer.stops.push(offer.to);
        longer.taken.push(*offer);
        longer
    }

    /// Its first hops.
    fn up_to(&self, place: usize, search: &Search<'_>) -> Self {
        let start = Self { doubtful: 0, stops: vec![search.from], taken: Vec::new() };
        self.stops
            .iter()
            .zip(&self.taken)
            .take(place)
            .fold(start, |root, (at, offer)| root.with(*at, offer, search))
    }

    fn starts_as(&self, root: &Self) -> bool {
        self.stops.starts_with(&root.stops) && self.taken.starts_with(&root.taken)
    }

    fn into_way(self) -> Way {
        let ledgers = self.stops.iter().map(|(ledger, _)| *ledger).collect();
        let hops = self.taken.iter().map(|offer| (offer.pair, offer.version)).collect();
        let below = self.taken.iter().map(|offer| offer.below).collect();
        Way { route: Path { ledgers, hops }, doubtful: self.doubtful, below }
    }
}

#[cfg(test)]
mod tests;
