//! Which networks have an accord with each other, and at what rate: a line, or a random web.
//!
//! A line is what it was before there were webs, and takes nothing from the seed.

use super::Topology;
use super::founding::HOUR;
use super::random::Random;
use std::collections::BTreeMap;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::{Side, UnitPair};
use weft_protocol::clearing::intent::{Hop, MAX_HOPS};
use weft_protocol::ids::UnitId;

/// Networks of a web: from this many to the next.
const FEWEST: u64 = 5;
const MOST: u64 = 30;
/// Rates between unlike units: num minor units of B for den of A.
const RATES: [(u64, u64); 6] = [(3, 1), (1, 3), (2, 3), (7, 5), (33, 10), (1, 1)];
/// A part is tried to be led to its end this often.
const ATTEMPTS: usize = 12;

/// An accord between two networks; `a` is the inviter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub a: usize,
    pub b: usize,
    num: u64,
    den: u64,
    position: Side,
    foreign: Option<UnitId>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Web {
    pub networks: usize,
    pub edges: Vec<Edge>,
    pub liar: Option<usize>,
    /// Whether it is a line, in which every pair is one to one.
    pub is_line: bool,
    /// Whether most payments go round a ring, so that there is something to clear.
    pub is_ring: bool,
}

impl Edge {
    fn one_to_one(a: usize, b: usize) -> Self {
        Self { a, b, num: 1, den: 1, position: Side::A, foreign: None }
    }

    fn chosen(random: &mut Random, a: usize, b: usize) -> Self {
        if random.chance(500) {
            return Self::one_to_one(a, b);
        }
        let (num, den) = random.pick(&RATES);
        let position = random.pick(&[Side::A, Side::B]);
        // Whoever exchanges numbers the other's unit after the other's place.
        let other = if position == Side::A { a } else { b };
        let foreign = Some(UnitId(100 + u16::try_from(other).expect("a small web")));
        Self { a, b, num, den, position, foreign }
    }

    /// Its one pair.
    pub(super) fn pair(&self, limit_a: u64, limit_b: u64) -> UnitPair {
        let Self { num, den, position, foreign, .. } = *self;
        UnitPair { unit_a: HOUR, unit_b: HOUR, num, den, position, limit_a, limit_b, foreign }
    }

    fn leads(&self, from: usize, to: usize) -> bool {
        (self.a, self.b) == (from, to) || (self.b, self.a) == (from, to)
    }
}

impl Web {
    /// The networks of a topology.
    pub(super) fn of(topology: Topology, seed: u64) -> Self {
        if topology == Topology::Round {
            return Self::circles(&mut Random::new(seed, "circles"));
        }
        let Some(networks) = topology.networks() else {
            return Self::woven(&mut Random::new(seed, "web"), topology == Topology::LyingWeb);
        };
        let edges = (1..networks).map(|right| Edge::one_to_one(right - 1, right)).collect();
        Self { networks, edges, liar: topology.liar(), is_line: true, is_ring: false }
    }

    /// A random tree, and some edges more.
    fn woven(random: &mut Random, lying: bool) -> Self {
        // Many small webs, few large ones: a small one meets itself more often.
        let most = random.pick(&[FEWEST + 3, FEWEST + 3, 14, MOST]);
        let networks = random.between(FEWEST, most) as usize;
        let mut edges: Vec<Edge> = Vec::new();
        for right in 1..networks {
            let left = random.index(right);
            edges.push(Edge::chosen(random, left, right));
        }
        for _ in 0..random.between(2, networks as u64) {
            let (a, b) = (random.index(networks), random.index(networks));
            if a != b && !edges.iter().any(|edge| edge.leads(a, b)) {
                edges.push(Edge::chosen(random, a, b));
            }
        }
        let liar = lying.then(|| random.index(networks));
        Self { networks, edges, liar, is_line: false, is_ring: false }
    }

    /// A ring, every pair one to one.
    pub(super) fn ring(networks: usize) -> Self {
        let edges = (0..networks).map(|left| Edge::one_to_one(left, (left + 1) % networks)).collect();
        Self { networks, edges, liar: None, is_line: false, is_ring: true }
    }

    /// A ring with some chords, every pair one to one.
    fn circles(random: &mut Random) -> Self {
        let networks = random.between(3, 7) as usize;
        let mut web = Self::ring(networks);
        for _ in 0..random.below(networks as u64) {
            let (a, b) = (random.index(networks), random.index(networks));
            if a != b && !web.edges.iter().any(|edge| edge.leads(a, b)) {
                web.edges.push(Edge::one_to_one(a, b));
            }
        }
        web
    }

    /// The networks that one has an accord with.
    pub(super) fn neighbours(&self, of: usize) -> Vec<usize> {
        let other = |edge: &Edge| match of {
            _ if edge.a == of => Some(edge.b),
            _ if edge.b == of => Some(edge.a),
            _ => None,
        };
        let mut all: Vec<usize> = self.edges.iter().filter_map(other).collect();
        all.sort_unstable();
        all
    }

    /// Numbers of the foreign units that a network has.
    pub(super) fn foreign_units(&self, of: usize) -> Vec<UnitId> {
        let exchanged = self.edges.iter().filter(|edge| {
            let other = if edge.position == Side::A { edge.b } else { edge.a };
            other == of
        });
        exchanged.filter_map(|edge| edge.foreign).collect()
    }

    /// How many hops each network is away from one.
    pub(super) fn distances(&self, from: usize) -> BTreeMap<usize, usize> {
        let (mut known, mut edge) = (BTreeMap::from([(from, 0)]), vec![from]);
        for hops in 1.. {
            edge =
                edge.iter().flat_map(|at| self.neighbours(*at)).filter(|n| !known.contains_key(n)).collect();
            if edge.is_empty() {
                break;
            }
            known.extend(edge.iter().map(|at| (*at, hops)));
        }
        known
    }

    /// A way of at most six hops that visits nobody twice, most often not the shortest.
    pub(super) fn way(&self, random: &mut Random, from: usize, to: usize) -> Option<Vec<usize>> {
        let away = self.distances(to);
        for _ in 0..ATTEMPTS {
            let mut way = vec![from];
            while way.len() <= MAX_HOPS {
                let at = *way.last().expect("it has a beginning");
                if at == to {
                    return Some(way);
                }
                let left = MAX_HOPS - (way.len() - 1);
                let next = self.neighbours(at).into_iter();
                let next: Vec<usize> =
                    next.filter(|n| !way.contains(n) && away.get(n).is_some_and(|d| *d < left)).collect();
                if next.is_empty() {
                    break;
                }
                way.push(random.pick(&next));
            }
            if way.last() == Some(&to) {
                return Some(way);
            }
        }
        None
    }

    /// The hops of a way that brings so much; `None` when that is too much somewhere.
    pub(super) fn hops(&self, way: &[usize], brings: i64) -> Option<Vec<Hop>> {
        let mut hops = Vec::new();
        let mut dst = Amount::new(brings).ok()?;
        for ends in way.windows(2).rev() {
            let edge = self.edges.iter().find(|edge| edge.leads(ends[0], ends[1]))?;
            let src = edge.pair(0, 0).src_for(dst, edge.a == ends[0])?;
            hops.push(Hop { pair: 0, src, dst, accord_version: 1 });
            dst = src;
        }
        hops.reverse();
        Some(hops)
    }
}
