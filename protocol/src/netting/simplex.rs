//! The network simplex: the cheapest way to leave every net position as it is.
//!
//! It starts from what is owed now, where every edge is full and nothing is cleared, and moves flow around one cycle
//! after another as long as that makes what is left cheaper. The basis is a spanning tree, hung on a root of its own by
//! edges that can carry nothing; it stays *strongly feasible* (Cunningham 1976), so it cannot cycle for ever. Which edge
//! enters is searched block by block (Grigoriadis 1986; Kovács 2015 measures it). Integers only, and one order of
//! everything: the same instance gives the same flow.

use super::Arc;

/// Smallest block that is searched for an entering edge.
const MIN_BLOCK: usize = 16;
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

/// The tree is kept as child lists: what hangs below a node is walked without further memory.
#[derive(Debug)]
struct Node {
    parent: u32,
    /// Edge to the parent.
    edge: u32,
    /// Whether that edge leads to the parent.
    up: bool,
    /// Nodes below it, and itself.
    size: u32,
    first_child: u32,
    before: u32,
    after: u32,
    potential: i64,
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
    nodes: Vec<Node>,
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
    let mut simplex = Simplex::new(nodes, arcs, costs);
    while let Some(entering) = simplex.entering() {
        simplex.pivot(entering);
    }
    Solved {
        left: simplex.edges.iter().take(simplex.real).map(|edge| edge.flow).collect(),
        potentials: simplex.potentials(),
    }
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
    fn new(nodes: usize, arcs: &[Arc], costs: &[i64]) -> Self {
        let root = counted(nodes);
        let real = arcs.iter().zip(costs).map(|(arc, cost)| Edge {
            from: arc.debtor,
            to: arc.creditor,
            stand: Stand::Full,
            cost: *cost,
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
        let leaf = |node: u32| Node {
            parent: root,
            edge: counted(arcs.len()) + node,
            up: true,
            size: 1,
            first_child: NONE,
            before: node.checked_sub(1).unwrap_or(NONE),
            after: if node + 1 < root { node + 1 } else { NONE },
            potential: 0,
        };
        let mut tree: Vec<Node> = (0..root).map(leaf).collect();
        tree.push(Node {
            parent: NONE,
            edge: NONE,
            up: true,
            size: root + 1,
            first_child: if nodes == 0 { NONE } else { 0 },
            before: NONE,
            after: NONE,
            potential: 0,
        });
        let block = arcs.len().isqrt().max(MIN_BLOCK);
        Self { nodes: tree, edges, real: arcs.len(), next: 0, block }
    }

    /// Potentials of the nodes of the instance, the lowest being zero.
    fn potentials(&self) -> Vec<i64> {
        let root = self.nodes.last().map_or(0, |root| root.potential);
        let nodes = self.nodes.iter().take(self.nodes.len() - 1);
        let of_root: Vec<i64> = nodes.map(|node| node.potential.wrapping_sub(root)).collect();
        let lowest = of_root.iter().copied().min().unwrap_or(0);
        of_root.iter().map(|potential| potential - lowest).collect()
    }

    /// How much dearer it gets for each unit that the edge carries more.
    fn reduced_cost(&self, edge: &Edge) -> i64 {
        let (from, to) = (self.nodes[at(edge.from)].potential, self.nodes[at(edge.to)].potential);
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
        let left = self.nodes[at(out)].edge;
        let left = &mut self.edges[at(left)];
        left.stand = if left.flow == 0 { Stand::Empty } else { Stand::Full };
        let (low, high) = if down { (tail, head) } else { (head, tail) };
        self.resize(self.nodes[at(out)].parent, high, apex, self.nodes[at(out)].size);
        self.hang(low, high, entering, out);
        self.shift(low, high);
    }

    /// Where the ways of two nodes to the root meet.
    fn apex(&self, mut a: u32, mut b: u32) -> u32 {
        while a != b {
            if self.nodes[at(a)].size < self.nodes[at(b)].size {
                a = self.nodes[at(a)].parent;
            } else {
                b = self.nodes[at(b)].parent;
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
            node = self.nodes[at(node)].parent;
        }
        node = head;
        while node != apex {
            let room = self.room(node, true);
            if room <= found.delta {
                found = Leaving { delta: room, at: Some((node, false)) };
            }
            node = self.nodes[at(node)].parent;
        }
        found
    }

    /// How much more can flow between a node and its parent.
    fn room(&self, node: u32, upwards: bool) -> i64 {
        let node = &self.nodes[at(node)];
        let edge = &self.edges[at(node.edge)];
        if node.up == upwards { edge.most - edge.flow } else { edge.flow }
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
                let Node { edge, up, parent, .. } = self.nodes[at(node)];
                self.edges[at(edge)].flow += if up == upwards { delta } else { -delta };
                node = parent;
            }
        }
    }

    /// So many nodes move from below `from` to below `to`; both hang below `apex`.
    fn resize(&mut self, from: u32, to: u32, apex: u32, moved: u32) {
        let mut node = from;
        while node != apex {
            self.nodes[at(node)].size -= moved;
            node = self.nodes[at(node)].parent;
        }
        node = to;
        while node != apex {
            self.nodes[at(node)].size += moved;
            node = self.nodes[at(node)].parent;
        }
    }

    /// Turns the way from `low` to `out` round and hangs it below `high` by the entering edge.
    fn hang(&mut self, low: u32, high: u32, entering: u32, out: u32) {
        let all = self.nodes[at(out)].size;
        let (mut node, mut parent, mut edge, mut taken) = (low, high, entering, 0);
        loop {
            let Node { parent: old_parent, edge: old_edge, size, .. } = self.nodes[at(node)];
            self.unlink(node);
            self.link(node, parent, edge);
            self.nodes[at(node)].size = all - taken;
            if node == out {
                return;
            }
            (node, parent, edge, taken) = (old_parent, node, old_edge, size);
        }
    }

    fn unlink(&mut self, node: u32) {
        let Node { parent, before, after, .. } = self.nodes[at(node)];
        if before == NONE {
            self.nodes[at(parent)].first_child = after;
        } else {
            self.nodes[at(before)].after = after;
        }
        if after != NONE {
            self.nodes[at(after)].before = before;
        }
    }

    fn link(&mut self, node: u32, parent: u32, edge: u32) {
        let first = std::mem::replace(&mut self.nodes[at(parent)].first_child, node);
        if first != NONE {
            self.nodes[at(first)].before = node;
        }
        let up = self.edges[at(edge)].from == node;
        let here = &mut self.nodes[at(node)];
        (here.parent, here.edge, here.up, here.before, here.after) = (parent, edge, up, NONE, first);
    }

    /// After `low` was hung below `high`: the potentials of what hangs there, or of all the rest if that is less. Only
    /// differences count, and those fit; a potential by itself may go round.
    fn shift(&mut self, low: u32, high: u32) {
        let Node { edge, up, potential, size, .. } = self.nodes[at(low)];
        let cost = self.edges[at(edge)].cost;
        let above = self.nodes[at(high)].potential;
        let wanted = if up { above.wrapping_sub(cost) } else { above.wrapping_add(cost) };
        let by = wanted.wrapping_sub(potential);
        let root = counted(self.nodes.len() - 1);
        if size <= counted(self.nodes.len() / 2) {
            self.walk(low, NONE, by);
        } else {
            self.walk(root, low, by.wrapping_neg());
        }
    }

    /// Adds to the potentials of a node and of all below it, but for those at and below `left_out`.
    fn walk(&mut self, top: u32, left_out: u32, by: i64) {
        let mut node = top;
        loop {
            let here = &mut self.nodes[at(node)];
            here.potential = here.potential.wrapping_add(by);
            let mut next = here.first_child;
            if next == left_out && next != NONE {
                next = self.nodes[at(next)].after;
            }
            while next == NONE {
                if node == top {
                    return;
                }
                next = self.nodes[at(node)].after;
                if next == left_out && next != NONE {
                    next = self.nodes[at(next)].after;
                }
                node = self.nodes[at(node)].parent;
            }
            node = next;
        }
    }
}
