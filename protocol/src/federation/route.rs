//! Ways from one network to another, over what networks tell of their accords (specs/network.md §12).
//!
//! Pure: a map of hops in, ways out, cheapest first. What must hold: a way has at most six hops, visits no network twice,
//! keeps one unit inside each network, carries on each hop what the hops after it need and no more, and is the same on
//! every machine that knows the same hops.

mod split;

use crate::amount::Amount;
use crate::clearing::engine::Path;
use crate::clearing::rate::{Round, scaled};
use crate::ids::{LedgerId, UnitId};
use crate::ledger::capacity::{Bucket, Capacity, CapacityLine};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Hops of a way: the cap of an Intent.
pub const MAX_HOPS: usize = 6;
/// Hops out of one network that are looked at: a hub of 200 peers with several unit pairs. Bounds what a liar can make us
/// search.
pub const MAX_HOPS_OUT: usize = 1_024;

/// Ways that are followed at once, in a layer of the search: only where units are exchanged is there more than one for each
/// stop, as another amount arrives by each. Bounds what a liar can make us search.
const MAX_TRAILS: usize = 4_096;

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
    /// So many minor units there are worth `rate.1` here.
    pub rate: (u64, u64),
    /// In whose units the next two are.
    pub measure: Measure,
    /// This much fits, as far as is known.
    pub sure: u64,
    /// As much as this does not fit.
    pub below: u64,
}

/// In whose units the room of a hop is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Of who sends.
    Here,
    /// Of who receives.
    There,
    /// One of both: networks tell rooms in the position unit, and not which that is.
    Unknown,
}

impl HopOffer {
    /// Whether nothing is exchanged.
    pub const fn is_one_to_one(&self) -> bool {
        self.rate.0 == self.rate.1
    }

    /// The most that arrives for what is sent; `None` when that is nothing.
    fn arrives(&self, sent: u64) -> Option<u64> {
        self.turned(sent, self.rate, Round::Down)
    }

    /// What must be sent so that so much arrives (specs/clearing.md 1.8).
    fn sent(&self, arrives: u64) -> Option<u64> {
        self.turned(arrives, (self.rate.1, self.rate.0), Round::Up)
    }

    fn turned(&self, minor: u64, (num, den): (u64, u64), round: Round) -> Option<u64> {
        let minor = i64::try_from(minor).ok()?;
        let turned = scaled(minor, num, den, round)?;
        u64::try_from(turned).ok().filter(|turned| *turned > 0)
    }

    /// The smallest and the largest that it may be in the unit of the room.
    fn measured(&self, sent: u64, arrives: u64) -> (u64, u64) {
        match self.measure {
            Measure::Here => (sent, sent),
            Measure::There => (arrives, arrives),
            Measure::Unknown => (sent.min(arrives), sent.max(arrives)),
        }
    }
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
    /// Hops on which units are exchanged.
    pub exchanges: usize,
    /// At each network, in its unit: what is sent from the first, what arrives at the last.
    pub sums: Vec<u64>,
    /// Of each hop up to the first exchange: as much as this does not fit, as far as is known.
    pub below: Vec<u64>,
}

impl Way {
    /// The amounts of its hops, both ends; `None` when one is no amount.
    pub fn amounts(&self) -> Option<Vec<(Amount, Amount)>> {
        let amount = |minor: u64| Amount::new(i64::try_from(minor).ok()?).ok();
        let ends = self.sums.iter().zip(self.sums.iter().skip(1));
        ends.map(|(sent, arrives)| Some((amount(*sent)?, amount(*arrives)?))).collect()
    }
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

/// Doubtful hops, exchanges, the payee's unit, what arrives, hops, then the networks on the way: the order in which ways
/// are taken.
type Cost = (usize, usize, UnitId, Reverse<u64>, usize, Vec<LedgerId>);

#[derive(Debug, Clone)]
struct Trail {
    doubtful: usize,
    exchanges: usize,
    /// What is here.
    amount: u64,
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
                let Some(other) = theirs.lines.iter().find(same).filter(|_| line.num > 0 && line.den > 0)
                else {
                    continue;
                };
                let both = |end: fn(Bucket) -> u64| end(line.out).min(end(other.back));
                map.add(
                    (*from, line.unit),
                    HopOffer {
                        to: (*to, line.peer_unit),
                        pair: line.pair,
                        version: capacity.version,
                        rate: (line.num, line.den),
                        measure: if line.num == line.den { Measure::Here } else { Measure::Unknown },
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

    /// The ways that fit, best first: fewest doubtful hops, fewest exchanges, the payee's unit of the smallest number, most
    /// that arrives there, fewest hops, then the smallest ledger ids.
    pub fn ways(&self, search: &Search<'_>) -> Vec<Way> {
        let mut found: Vec<Trail> = Vec::new();
        let mut waiting: BTreeMap<Cost, Trail> = BTreeMap::new();
        let start = Trail::start(search);
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
        found.into_iter().filter_map(Trail::into_way).collect()
    }

    /// The best way on from a trail, whose first hop is none of those barred: Dijkstra, one layer for each hop, so that
    /// six are enough.
    fn best(&self, root: &Trail, barred: &BTreeSet<(Stop, u8)>, search: &Search<'_>) -> Option<Trail> {
        let mut layer = BTreeMap::from([((root.end(), root.amount), root.clone())]);
        let mut best: Option<Trail> = None;
        for hop in root.taken.len()..MAX_HOPS {
            let mut next: BTreeMap<(Stop, u64), Trail> = BTreeMap::new();
            for ((at, _), trail) in &layer {
                for offer in self.hops.get(at).into_iter().flatten() {
                    let is_barred = hop == root.taken.len() && barred.contains(&(offer.to, offer.pair));
                    if is_barred || trail.visits(&offer.to.0) {
                        continue;
                    }
                    let Some(longer) = trail.with(*at, offer, search) else { continue };
                    let key = (offer.to, longer.amount);
                    let known = next.get(&key);
                    let has_place = known.is_some() || next.len() < MAX_TRAILS;
                    if has_place && known.is_none_or(|known| longer.cost() < known.cost()) {
                        next.insert(key, longer);
                    }
                }
            }
            let arrived = next.iter().filter(|(((ledger, _), _), _)| *ledger == search.payee).map(|(_, t)| t);
            best = best.into_iter().chain(arrived.cloned()).min_by_key(Trail::cost);
            next.retain(|((ledger, _), _), _| *ledger != search.payee);
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
    fn start(search: &Search<'_>) -> Self {
        let stops = vec![search.from];
        Self { doubtful: 0, exchanges: 0, amount: search.amount, stops, taken: Vec::new() }
    }

    fn end(&self) -> Stop {
        *self.stops.last().expect("a trail has its first stop from the start")
    }

    fn visits(&self, ledger: &LedgerId) -> bool {
        self.stops.iter().any(|(stop, _)| stop == ledger)
    }

    fn cost(&self) -> Cost {
        let ledgers = self.stops.iter().map(|(ledger, _)| *ledger).collect();
        let hops = self.taken.len();
        (self.doubtful, self.exchanges, self.end().1, Reverse(self.amount), hops, ledgers)
    }

    /// One hop longer; `None` where it does not fit, or nothing would arrive.
    fn with(&self, at: Stop, offer: &HopOffer, search: &Search<'_>) -> Option<Self> {
        let arrives = offer.arrives(self.amount)?;
        let (smallest, largest) = offer.measured(self.amount, arrives);
        if smallest >= offer.below {
            return None;
        }
        let doubt = largest > offer.sure || search.failed.contains(&(at.0, offer.to.0));
        let mut longer = self.clone();
        longer.doubtful = longer.doubtful.saturating_add(usize::from(doubt));
        longer.exchanges = longer.exchanges.saturating_add(usize::from(!offer.is_one_to_one()));
        longer.amount = arrives;
        longer.stops.push(offer.to);
        longer.taken.push(*offer);
        Some(longer)
    }

    /// Its first hops.
    fn up_to(&self, place: usize, search: &Search<'_>) -> Self {
        let hops = self.stops.iter().zip(&self.taken).take(place);
        // Each fitted when it was taken.
        hops.fold(Self::start(search), |root, (at, offer)| root.with(*at, offer, search).unwrap_or(root))
    }

    fn starts_as(&self, root: &Self) -> bool {
        self.stops.starts_with(&root.stops) && self.taken.starts_with(&root.taken)
    }

    /// What each hop carries follows from what arrives, backwards: who sends gives no more than that is worth.
    fn into_way(self) -> Option<Way> {
        let mut sums = vec![self.amount];
        for offer in self.taken.iter().rev() {
            sums.push(offer.sent(*sums.last()?)?);
        }
        sums.reverse();
        let ledgers = self.stops.iter().map(|(ledger, _)| *ledger).collect();
        let hops = self.taken.iter().map(|offer| (offer.pair, offer.version)).collect();
        let below = self.taken.iter().take_while(|offer| offer.is_one_to_one()).map(|offer| offer.below);
        let below = below.collect();
        let (doubtful, exchanges) = (self.doubtful, self.exchanges);
        Some(Way { route: Path { ledgers, hops }, doubtful, exchanges, sums, below })
    }
}

#[cfg(test)]
mod tests;
