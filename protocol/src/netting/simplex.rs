//! The network simplex: the cheapest way to leave every net position as it is.
//!
//! It starts from what is owed now, where every edge is full and nothing is cleared, and moves flow around one cycle
//! after another as long as that makes what is left cheaper. The basis is a spanning tree, hung on a root of its own by
//! edges that can carry nothing; it stays *strongly feasible* (Cunningham 1976), so it cannot cycle for ever. Which edge
//! enters is searched block by block (Grigoriadis 1986; Kovács 2015 measures it). Integers only, and one order of
//! everything: the same instance gives the same flow.

use super::Arc;

/// Smallest block that is searched for an entering edge.
const MIN_BLOCK: usize = 8;
/// Blocks for each of the square root of the edges: measured, the smaller blocks cost less than their worse choices.
const BLOCKS_PER_ROOT: usize = 4;
/// No node, or no edge.
const NONE: u32 = u32::MAX;

/// A flow with the potentials that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solved {
    /// What is left of each edge.
    pub(super) left: Vec<i64>,
    /// A potential for each node.
    pub(super) potentials: Vec<i64>,
}

/// Where an edge outside of the tree stands, as the sign that makes a reduced cost below zero an improvement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// It carries nothing.
    Empty,
    /// It carries all it can.
    Full,
    /// It is part of the tree.
    Tree,
}

/// The spanning tree, with its nodes threaded in the order in which they are visited, each before those below it: what
/// hangs below a node is one piece of the thread, and walking it needs no memory. (Barr, Glover and Klingman 1979.)
#[derive(Debug)]
struct Tree {
    potential: Vec<i64>,
    parent: Vec<u32>,
    /// Edge to the parent.
    edge: Vec<u32>,
    /// Whether that edge leads to the parent.
    up: Vec<bool>,
    /// The next on the thread; after the last one the root.
    after: Vec<u32>,
    before: Vec<u32>,
    /// The last on the thread of those below a node, or the node itself.
    last: Vec<u32>,
    /// Nodes below a node, and itself.
    size: Vec<u32>,
}

#[derive(Debug)]
struct Edge {
    from: u32,
    to: u32,
    stand: Stand,
    cost: i64,
    /// What it carries.
    flow: i64,
    /// What it can carry.
    most: i64,
}

struct Simplex {
    tree: Tree,
    edges: Vec<Edge>,
    /// Edges of the instance; those behind them hang the nodes on the root.
    real: usize,
    next: usize,
    block: usize,
}

/// Where a cycle is held back.
struct Leaving {
    /// How much can move.
    delta: i64,
    /// The node whose edge to its parent leaves, and whether it stands where the cycle's flow comes down; the entering
    /// edge itself when there is none.
    at: Option<(u32, bool)>,
}

/// Finds what is left when everything that can be cleared is, for arcs between nodes `0..nodes` with costs.
///
/// Costs times nodes and all amounts together fit in 62 bits ([`super::costs`], [`super::MAX_TOTAL`]): so does every
/// potential, and no sum here can overflow.
pub(super) fn solve(nodes: usize, arcs: &[Arc], costs: &[i64]) -> Solved {
    // A block of neighbours would be the edges of a few debtors: it is better to see many.
    let step = arcs.len().isqrt().max(MIN_BLOCK);
    let mixed: Vec<usize> = (0..step).flat_map(|first| (first..arcs.len()).step_by(step)).collect();
    let block = step.div_euclid(BLOCKS_PER_ROOT).max(MIN_BLOCK);
    let mut simplex = Simplex::new(nodes, mixed.iter().map(|place| (arcs[*place], costs[*place])), block);
    while let Some(entering) = simplex.entering() {
        simplex.pivot(entering);
    }
    let mut left = vec![0; arcs.len()];
    for (place, edge) in mixed.iter().zip(&simplex.edges) {
        left[*place] = edge.flow;
    }
    Solved { left, potentials: simplex.potentials() }
}

/// Places in lists that were counted as `u32`.
fn at(index: u32) -> usize {
    index as usize
}

fn counted(index: usize) -> u32 {
    u32::try_from(index).expect("an instance is counted in 32 bits")
}

#[expect(clippy::arithmetic_side_effects, reason = "bounded as `solve` says; this is the innermost loop")]
impl Simplex {
    fn new(nodes: usize, arcs: impl ExactSizeIterator<Item = (Arc, i64)>, block: usize) -> Self {
        let root = counted(nodes);
        let count = arcs.len();
        let real = arcs.map(|(arc, cost)| Edge {
            from: arc.debtor,
            to: arc.creditor,
            stand: Stand::Full,
            cost,
            flow: arc.amount,
            most: arc.amount,
        });
        // Flow never comes back from the root: these stay empty.
        let hung = (0..root).map(|node| Edge {
            from: node,
            to: root,
            stand: Stand::Tree,
            cost: 0,
            flow: 0,
            most: i64::MAX,
        });
        let edges: Vec<Edge> = real.chain(hung).collect();
        let all = nodes + 1;
        let mut tree = Tree {
            potential: vec![0; all],
            parent: vec![root; all],
            edge: (0..=root).map(|node| counted(count) + node).collect(),
            up: vec![true; all],
            // The root, and then all others.
            after: (0..=root).map(|node| if node == root { 0 } else { node + 1 }).collect(),
            before: (0..=root).map(|node| if node == 0 { root } else { node - 1 }).collect(),
            last: (0..=root).collect(),
            size: vec![1; all],
        };
        tree.parent[nodes] = NONE;
        tree.edge[nodes] = NONE;
        tree.last[nodes] = root.saturating_sub(1);
        tree.size[nodes] = root + 1;
        Self { tree, edges, real: count, next: 0, block }
    }

    /// Potentials of the nodes of the instance, the lowest being zero.
    fn potentials(&self) -> Vec<i64> {
        let (root, nodes) = self.tree.potential.split_last().expect("there is always the root");
        let of_root: Vec<i64> = nodes.iter().map(|potential| potential.wrapping_sub(*root)).collect();
        let lowest = of_root.iter().copied().min().unwrap_or(0);
        of_root.iter().map(|potential| potential - lowest).collect()
    }

    /// How much dearer it gets for each unit that the edge carries more.
    fn reduced_cost(&self, edge: &Edge) -> i64 {
        let (from, to) = (self.tree.potential[at(edge.from)], self.tree.potential[at(edge.to)]);
        edge.cost + from.wrapping_sub(to)
    }

    /// The edge of the next block that improves most.
    fn entering(&mut self) -> Option<u32> {
        let (mut best, mut best_gain, mut in_block) = (None, 0, 0);
        for step in 0..self.real {
            let place = self.next + step;
            let place = if place >= self.real { place - self.real } else { place };
            let edge = &self.edges[place];
            let gain = match edge.stand {
                Stand::Empty => -self.reduced_cost(edge),
                Stand::Full => self.reduced_cost(edge),
                Stand::Tree => 0,
            };
            if gain > best_gain {
                (best, best_gain) = (Some(place), gain);
            }
            in_block += 1;
            if in_block >= self.block {
                if best.is_some() {
                    self.next = place;
                    return best.map(counted);
                }
                in_block = 0;
            }
        }
        best.map(counted)
    }

    /// Moves flow around the cycle that an edge closes with the tree.
    fn pivot(&mut self, entering: u32) {
        let edge = &self.edges[at(entering)];
        let full = edge.stand == Stand::Full;
        // The flow goes from `tail` over the entering edge to `head` and back through the tree.
        let (tail, head) = if full { (edge.to, edge.from) } else { (edge.from, edge.to) };
        let apex = self.apex(tail, head);
        let leaving = self.leaving(entering, tail, head, apex);
        self.push(entering, full, tail, head, apex, leaving.delta);
        let entering_edge = &mut self.edges[at(entering)];
        let Some((out, down)) = leaving.at else {
            entering_edge.stand = if full { Stand::Empty } else { Stand::Full };
            return;
        };
        entering_edge.stand = Stand::Tree;
        let left = self.tree.edge[at(out)];
        let left = &mut self.edges[at(left)];
        left.stand = if left.flow == 0 { Stand::Empty } else { Stand::Full };
        let (low, high) = if down { (tail, head) } else { (head, tail) };
        self.resize(self.tree.parent[at(out)], high, apex, self.tree.size[at(out)]);
        self.hang(low, high, entering, out);
        self.shift(low, high);
    }

    /// Where the ways of two nodes to the root meet.
    fn apex(&self, mut a: u32, mut b: u32) -> u32 {
        while a != b {
            if self.tree.size[at(a)] < self.tree.size[at(b)] {
                a = self.tree.parent[at(a)];
            } else {
                b = self.tree.parent[at(b)];
            }
        }
        a
    }

    /// The last edge that holds the cycle back, in the direction of its flow from the apex on: so the tree stays
    /// strongly feasible.
    fn leaving(&self, entering: u32, tail: u32, head: u32, apex: u32) -> Leaving {
        let mut found = Leaving { delta: self.edges[at(entering)].most, at: None };
        let mut node = tail;
        while node != apex {
            // Here the flow comes down from the parent.
            let room = self.room(node, false);
            if room < found.delta {
                found = Leaving { delta: room, at: Some((node, true)) };
            }
            node = self.tree.parent[at(node)];
        }
        node = head;
        while node != apex {
            let room = self.room(node, true);
            if room <= found.delta {
                found = Leaving { delta: room, at: Some((node, false)) };
            }
            node = self.tree.parent[at(node)];
        }
        found
    }

    /// How much more can flow between a node and its parent.
    fn room(&self, node: u32, upwards: bool) -> i64 {
        let edge = &self.edges[at(self.tree.edge[at(node)])];
        if self.tree.up[at(node)] == upwards { edge.most - edge.flow } else { edge.flow }
    }

    fn push(&mut self, entering: u32, full: bool, tail: u32, head: u32, apex: u32, delta: i64) {
        if delta == 0 {
            return;
        }
        let edge = &mut self.edges[at(entering)];
        edge.flow += if full { -delta } else { delta };
        for (start, upwards) in [(tail, false), (head, true)] {
            let mut node = start;
            while node != apex {
                let edge = &mut self.edges[at(self.tree.edge[at(node)])];
                edge.flow += if self.tree.up[at(node)] == upwards { delta } else { -delta };
                node = self.tree.parent[at(node)];
            }
        }
    }

    /// So many nodes move from below `from` to below `to`; both hang below `apex`.
    fn resize(&mut self, from: u32, to: u32, apex: u32, moved: u32) {
        let mut node = from;
        while node != apex {
            self.tree.size[at(node)] -= moved;
            node = self.tree.parent[at(node)];
        }
        node = to;
        while node != apex {
            self.tree.size[at(node)] += moved;
            node = self.tree.parent[at(node)];
        }
    }

    /// Turns the way from `low` to `out` round and hangs it below `high` by the entering edge.
    fn hang(&mut self, low: u32, high: u32, entering: u32, out: u32) {
        let all = self.tree.size[at(out)];
        self.unthread(out);
        // What stood before the node on the way, the end of what is threaded anew, and what followed its last one.
        let mut before = self.tree.before[at(low)];
        let mut end = self.tree.last[at(low)];
        let (mut last, mut rest) = (end, self.tree.after[at(end)]);
        let (mut node, mut parent, mut edge, mut taken) = (low, high, entering, 0);
        loop {
            let (next, next_edge) = (self.tree.parent[at(node)], self.tree.edge[at(node)]);
            let size = std::mem::replace(&mut self.tree.size[at(node)], all - taken);
            self.tree.parent[at(node)] = parent;
            self.tree.edge[at(node)] = edge;
            self.tree.up[at(node)] = self.edges[at(edge)].from == node;
            if node == out {
                break;
            }
            // The next on the way becomes the last child: itself and what stands between it and the node, then what
            // followed the node's last one up to its own last one.
            let next_before = self.tree.before[at(next)];
            self.link(end, next);
            end = before;
            let next_last = self.tree.last[at(next)];
            if next_last != last {
                self.link(end, rest);
                (end, last, rest) = (next_last, next_last, self.tree.after[at(next_last)]);
            }
            before = next_before;
            (node, parent, edge, taken) = (next, node, next_edge, size);
        }
        while node != high {
            self.tree.last[at(node)] = end;
            node = self.tree.parent[at(node)];
        }
        let after = self.tree.after[at(high)];
        self.link(high, low);
        self.link(end, after);
        self.move_last(high, high, end);
    }

    /// Takes a node and all below it off the thread; among themselves they stay threaded.
    fn unthread(&mut self, node: u32) {
        let (before, last) = (self.tree.before[at(node)], self.tree.last[at(node)]);
        self.link(before, self.tree.after[at(last)]);
        self.move_last(self.tree.parent[at(node)], last, before);
    }

    fn link(&mut self, node: u32, after: u32) {
        self.tree.after[at(node)] = after;
        self.tree.before[at(after)] = node;
    }

    /// Where `old` was the last one, at a node and above it, `new` is.
    fn move_last(&mut self, from: u32, old: u32, new: u32) {
        let mut node = from;
        while node != NONE && self.tree.last[at(node)] == old {
            self.tree.last[at(node)] = new;
            node = self.tree.parent[at(node)];
        }
    }

    /// After `low` was hung below `high`: the potentials of what hangs there, or of all the rest if that is less. Only
    /// differences count, and those fit; a potential by itself may go round.
    fn shift(&mut self, low: u32, high: u32) {
        let Tree { edge, up, potential, size, .. } = &self.tree;
        let cost = self.edges[at(edge[at(low)])].cost;
        let (up, size, potential) = (up[at(low)], size[at(low)], potential[at(low)]);
        let above = self.tree.potential[at(high)];
        let wanted = if up { above.wrapping_sub(cost) } else { above.wrapping_add(cost) };
        let by = wanted.wrapping_sub(potential);
        let all = counted(self.tree.size.len());
        let end = self.tree.after[at(self.tree.last[at(low)])];
        if size <= all / 2 {
            self.add(low, end, by);
        } else {
            self.add(all - 1, low, by.wrapping_neg());
            if end != all - 1 {
                self.add(end, all - 1, by.wrapping_neg());
            }
        }
    }

    /// Adds to the potentials of a piece of the thread, up to before `end`.
    fn add(&mut self, start: u32, end: u32, by: i64) {
        let Tree { potential, after, .. } = &mut self.tree;
        let mut node = start;
        loop {
            potential[at(node)] = potential[at(node)].wrapping_add(by);
            node = after[at(node)];
            if node == end {
                return;
            }
        }
    }
}
