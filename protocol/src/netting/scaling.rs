//! Cost scaling, one scale of it: a flow that leaves every net position as it is and costs nearly the least.
//!
//! Goldberg and Tarjan's method (1990) keeps prices at nodes and allows every edge to be wrong by ε: excess is pushed
//! along edges that the prices make cheap, and a node that has no such edge lowers its price. Here paths of a few edges
//! are pushed at once (Goldberg 2008), and from time to time all prices are set anew by how far excess is from where it
//! is lacking (Goldberg 1997). With ε a part of what one edge costs, the flow clears all but a few in a million of what
//! can be cleared; the exact rest is for the simplex, which is quick when it begins so near.
//!
//! What must hold: conservation. That the flow is cheap is a matter of speed only.

use super::Arc;
use super::adjacency::Adjacency;
use super::costs::small_bits;
use std::collections::VecDeque;

/// What a unit left on an edge costs here, as a power of two: fine enough for ε and for the small parts below it.
const UNIT: u32 = 20;
/// The small part of a cost adds less than this power of two: an eighth of a unit. Larger would lead away from the most
/// that can be cleared, smaller would leave more to the simplex.
const SMALL: u32 = 17;
/// Edges of a path that are pushed along at once: longer ones find their end changed.
const LONGEST_PATH: usize = 4;
/// Prices are set anew after this many parts of the nodes have lowered theirs.
const UPDATE_AFTER: usize = 2;
/// Distances beyond this one count as far, in ε.
const FAR: usize = 1 << 20;
/// Nothing here.
const NONE: u32 = u32::MAX;

/// ε for so many nodes, as a power of two: a fourth of a unit, and less where the simplex's steps cost more.
fn epsilon(nodes: usize) -> u32 {
    match nodes {
        0..30_000 => UNIT - 2,
        30_000..300_000 => UNIT - 3,
        _ => UNIT - 4,
    }
}

/// An edge in one of its directions, at the place of its end.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// How much more it can carry.
    room: i64,
    cost: i64,
    head: u32,
    /// The same edge in its other direction.
    back: u32,
}

struct Scaling<'a> {
    adjacency: &'a Adjacency,
    ways: Vec<Way>,
    price: Vec<i64>,
    /// What came in and did not go out.
    excess: Vec<i64>,
    /// The way that is looked at next; those before it are not cheap.
    current: Vec<usize>,
    on_path: Vec<bool>,
    epsilon: u32,
    lowered: usize,
    buckets: Buckets,
}

/// A flow near the best one: what is left of each edge.
pub(super) fn near(nodes: usize, arcs: &[Arc], costs: &[i64], adjacency: &Adjacency) -> Vec<i64> {
    let mut scaling = Scaling::new(nodes, arcs, costs, adjacency, epsilon(nodes));
    scaling.refine();
    adjacency.places.iter().map(|[_, owed]| scaling.ways[*owed as usize].room).collect()
}

fn counted(index: usize) -> u32 {
    u32::try_from(index).expect("an instance is counted in 32 bits")
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "amounts fit in 62 bits together; prices move by at most 3 ε for each node, below 2^56"
)]
impl<'a> Scaling<'a> {
    /// Nothing is left, and everybody's net position is missing.
    fn new(nodes: usize, arcs: &[Arc], costs: &[i64], adjacency: &'a Adjacency, epsilon: u32) -> Self {
        let bits = small_bits(nodes);
        let coarse = |cost: i64| {
            let small = cost & ((1 << bits) - 1);
            (1 << UNIT) + if bits > SMALL { small >> (bits - SMALL) } else { small }
        };
        let ways = adjacency.ends().iter().map(|end| {
            let edge = end.edge as usize;
            let [owing, owed] = adjacency.places[edge];
            let cost = coarse(costs[edge]);
            let (room, cost, back) =
                if end.owes { (arcs[edge].amount, cost, owed) } else { (0, -cost, owing) };
            Way { room, cost, head: end.other, back }
        });
        let mut excess = vec![0; nodes];
        for arc in arcs {
            excess[arc.debtor as usize] += arc.amount;
            excess[arc.creditor as usize] -= arc.amount;
        }
        let ways = ways.collect();
        let current = (0..counted(nodes)).map(|node| adjacency.range(node).start).collect();
        let (price, on_path) = (vec![0; nodes], vec![false; nodes]);
        let far = nodes.saturating_mul(16).min(FAR);
        let buckets = Buckets::new(nodes, far);
        Self { adjacency, ways, price, excess, current, on_path, epsilon, lowered: 0, buckets }
    }

    fn reduced(&self, way: &Way, from: i64) -> i64 {
        way.cost + from - self.price[way.head as usize]
    }

    /// Moves all excess to where it is lacking.
    fn refine(&mut self) {
        let nodes = self.price.len();
        let mut active: VecDeque<u32> =
            (0..counted(nodes)).filter(|node| self.excess[*node as usize] > 0).collect();
        let often = nodes.div_euclid(UPDATE_AFTER).max(1);
        let mut update_at = often;
        self.update();
        let mut path = Vec::with_capacity(LONGEST_PATH);
        while let Some(start) = active.front().copied() {
            if self.excess[start as usize] <= 0 {
                active.pop_front();
                continue;
            }
            self.find_path(start, &mut path);
            self.push(start, &path, &mut active);
            path.clear();
            if self.lowered >= update_at {
                self.update();
                update_at = self.lowered + often;
            }
        }
    }

    /// A path of cheap edges, lowering prices where there is none.
    fn find_path(&mut self, start: u32, path: &mut Vec<usize>) {
        let mut tip = start;
        while path.len() < LONGEST_PATH && self.excess[tip as usize] >= 0 {
            let node = tip as usize;
            let (price, range) = (self.price[node], self.adjacency.range(tip));
            let begun = self.current[node];
            let mut least = i64::MAX;
            let mut found = None;
            for place in begun..range.end {
                let way = &self.ways[place];
                if way.room > 0 {
                    let reduced = self.reduced(way, price);
                    if reduced < 0 {
                        found = Some((place, way.head));
                        break;
                    }
                    least = least.min(reduced);
                }
            }
            if let Some((place, head)) = found {
                self.current[node] = place;
                path.push(place);
                self.on_path[node] = true;
                tip = head;
                if self.on_path[tip as usize] {
                    return;
                }
                continue;
            }
            for way in &self.ways[range.start..begun] {
                if way.room > 0 {
                    least = least.min(self.reduced(way, price));
                }
            }
            // What was pushed here in thought can go back.
            let last = path.pop().map(|place| self.ways[place].back as usize);
            if let Some(back) = last {
                least = least.min(self.reduced(&self.ways[back], price));
            }
            self.price[node] -= least + (1 << self.epsilon);
            self.current[node] = range.start;
            self.lowered += 1;
            if let Some(back) = last {
                tip = self.ways[back].head;
                self.on_path[tip as usize] = false;
            }
        }
    }

    /// As much as can be along each edge of a path.
    fn push(&mut self, start: u32, path: &[usize], active: &mut VecDeque<u32>) {
        let mut node = start as usize;
        for &place in path {
            self.on_path[node] = false;
            let Way { room, head, back, .. } = self.ways[place];
            let amount = room.min(self.excess[node]);
            self.ways[place].room -= amount;
            self.ways[back as usize].room += amount;
            self.excess[node] -= amount;
            let before = self.excess[head as usize];
            self.excess[head as usize] = before + amount;
            if before <= 0 && before + amount > 0 {
                active.push_back(head);
            }
            node = head as usize;
        }
    }

    /// Lowers every price by how far the node is from where something is lacking.
    fn update(&mut self) {
        let far = self.buckets.clear();
        let mut excess = 0;
        for (node, &here) in (0..).zip(&self.excess) {
            if here < 0 {
                self.buckets.put(node, 0);
            } else {
                excess += here;
            }
        }
        let mut distance = 0;
        'search: while excess > 0 && distance < far {
            while let Some(node) = self.buckets.take(distance) {
                self.approach(node, distance);
                excess -= self.excess[node as usize].max(0);
                if excess <= 0 {
                    break 'search;
                }
            }
            distance += 1;
        }
        for node in 0..counted(self.price.len()) {
            let steps = self.buckets.distance[node as usize].min(distance);
            if steps > 0 {
                self.price[node as usize] -= i64::from(steps) << self.epsilon;
                self.current[node as usize] = self.adjacency.range(node).start;
            }
        }
    }

    /// How far those are that lead to a node.
    fn approach(&mut self, node: u32, distance: u32) {
        let price = self.price[node as usize];
        for way in &self.ways[self.adjacency.range(node)] {
            let old = self.buckets.distance[way.head as usize];
            if distance < old && self.ways[way.back as usize].room > 0 {
                let reduced = self.price[way.head as usize] - way.cost - price;
                let steps = if reduced < 0 { 0 } else { (reduced >> self.epsilon) + 1 };
                let new = u32::try_from(steps).map_or(NONE, |steps| distance.saturating_add(steps));
                if new < old {
                    self.buckets.put(way.head, new);
                }
            }
        }
    }
}

/// Nodes by their distance, each distance with a list through the nodes.
struct Buckets {
    /// Of each node; `first.len()` is far.
    distance: Vec<u32>,
    first: Vec<u32>,
    next: Vec<u32>,
    before: Vec<u32>,
}

impl Buckets {
    fn new(nodes: usize, far: usize) -> Self {
        let none = || vec![NONE; nodes];
        Self { distance: none(), first: vec![NONE; far], next: none(), before: none() }
    }

    /// All nodes are far, as is said how far that is.
    fn clear(&mut self) -> u32 {
        let far = counted(self.first.len());
        self.first.fill(NONE);
        self.distance.fill(far);
        far
    }

    /// Puts a node where it is nearer than before.
    fn put(&mut self, node: u32, distance: u32) {
        let old = std::mem::replace(&mut self.distance[node as usize], distance);
        if (old as usize) < self.first.len() {
            self.unlink(node, old);
        }
        let first = std::mem::replace(&mut self.first[distance as usize], node);
        self.next[node as usize] = first;
        self.before[node as usize] = NONE;
        if first != NONE {
            self.before[first as usize] = node;
        }
    }

    /// One of those at a distance; it is listed no more, and keeps its distance.
    fn take(&mut self, distance: u32) -> Option<u32> {
        let node = self.first[distance as usize];
        if node == NONE {
            return None;
        }
        self.unlink(node, distance);
        Some(node)
    }

    fn unlink(&mut self, node: u32, distance: u32) {
        let (before, next) = (self.before[node as usize], self.next[node as usize]);
        if before == NONE {
            self.first[distance as usize] = next;
        } else {
            self.next[before as usize] = next;
        }
        if next != NONE {
            self.before[next as usize] = before;
        }
    }
}
