//! The network simplex: the cheapest way to leave every net position as it is.
//!
//! It starts from any flow that does that, and moves flow around one cycle after another as long as that makes what is
//! left cheaper. Its basis is a strongly feasible tree ([`super::tree`]), so it cannot cycle for ever. Which edge enters
//! is searched block by block (Grigoriadis 1986; Kovács 2015 measures it). Integers only, and one order of everything:
//! the same instance gives the same flow.

use super::Arc;
use super::adjacency::Adjacency;
use super::tree::{Node, Tree};

/// Smallest block that is searched for an entering edge; otherwise it is the square root of the edges.
const MIN_BLOCK: usize = 8;
/// No edge.
const NONE: u32 = super::tree::NONE;

/// Where an edge stands: the sign that makes a reduced cost below zero an improvement, and 0 in the tree.
type Stand = i8;
const EMPTY: Stand = 1;
const FULL: Stand = -1;
const TREE: Stand = 0;

pub(super) struct Simplex {
    tree: Tree,
    /// The number of each node of the instance in the tree.
    numbers: Vec<u32>,
    edges: Edges,
    /// The place of each edge of the instance among `edges`.
    places: Vec<u32>,
    /// Edges that are neither empty nor full, and not in the tree: only before the first step.
    between: Vec<u32>,
    next: usize,
    block: usize,
}

/// Edges, each of their values in a list of its own: the search reads few of them, in order. Those of the instance come
/// first, then those that hang the nodes on the root.
#[derive(Debug, Default)]
struct Edges {
    from: Vec<u32>,
    to: Vec<u32>,
    stand: Vec<Stand>,
    cost: Vec<i64>,
    /// What each carries.
    flow: Vec<i64>,
    /// What each can carry.
    most: Vec<i64>,
}

/// Where a cycle is held back.
struct Leaving {
    /// How much can move.
    delta: i64,
    /// The node whose edge to its parent leaves, and whether it stands where the cycle's flow comes down; the entering
    /// edge itself when there is none.
    at: Option<(u32, bool)>,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "costs of a way through all nodes and all amounts together fit in 62 bits; this is the innermost loop"
)]
impl Simplex {
    /// Costs times nodes and all amounts together fit in 62 bits ([`super::costs`], [`super::MAX_TOTAL`]): so does every
    /// difference of potentials. `flow` leaves every net position as it is.
    pub(super) fn new(
        nodes: usize,
        arcs: &[Arc],
        costs: &[i64],
        flow: &[i64],
        adjacency: &Adjacency,
    ) -> Self {
        let count = arcs.len();
        // A block of neighbours would be the edges of a few debtors: it is better to see many.
        let step = count.isqrt().max(MIN_BLOCK);
        let mixed = (0..step).flat_map(|first| (first..count).step_by(step));
        let mut places = vec![0; count];
        let between = |edge: u32| flow[edge as usize] > 0 && flow[edge as usize] < arcs[edge as usize].amount;
        let (mut tree, numbers) = Tree::new(adjacency, costs, between);
        let mut edges = Edges::default();
        for (place, edge) in (0..).zip(mixed) {
            places[edge] = place;
            let Arc { debtor, creditor, amount } = arcs[edge];
            let [debtor, creditor] = [debtor, creditor].map(|node| numbers[node as usize]);
            edges.push(Arc { debtor, creditor, amount }, costs[edge], flow[edge]);
        }
        for node in &mut tree.nodes[..nodes] {
            if let Some(place) = places.get(node.edge as usize) {
                node.edge = *place;
                edges.stand[*place as usize] = TREE;
            }
        }
        let root = tree.root();
        for node in 0..root {
            // Flow never comes back from the root: these stay empty.
            edges.push(Arc { debtor: node, creditor: root, amount: i64::MAX }, 0, 0);
            edges.stand[count + node as usize] = TREE;
        }
        let between = (0..).zip(&edges.stand).zip(edges.flow.iter().zip(&edges.most));
        let between =
            between.filter(|((_, stand), (flow, most))| **stand != TREE && **flow > 0 && *flow < *most);
        let between = between.map(|((place, _), _)| place).collect();
        Self { tree, numbers, edges, places, between, next: 0, block: step }
    }

    /// What is left of each edge when nothing can be made cheaper, and potentials that prove it.
    pub(super) fn run(mut self) -> (Vec<i64>, Vec<i64>) {
        for place in std::mem::take(&mut self.between) {
            let dearer = self.edges.reduced_cost(place as usize, &self.tree.potential) >= 0;
            self.pivot(place, dearer);
        }
        while let Some(entering) = self.entering() {
            let full = self.edges.stand[entering as usize] == FULL;
            self.pivot(entering, full);
        }
        let left = self.places.iter().map(|place| self.edges.flow[*place as usize]).collect();
        let potentials = self.tree.potentials();
        let numbers = self.numbers.iter().take(potentials.len());
        (left, numbers.map(|number| potentials[*number as usize]).collect())
    }

    /// The edge of the next block that improves most.
    fn entering(&mut self) -> Option<u32> {
        let count = self.places.len();
        let (mut best, mut best_gain) = (NONE, 0);
        let (mut seen, mut place) = (0, self.next);
        while seen < count {
            let end = count.min(place + self.block.min(count - seen));
            for edge in place..end {
                let stand = i64::from(self.edges.stand[edge]);
                let gain = stand * self.edges.reduced_cost(edge, &self.tree.potential);
                if gain < best_gain {
                    (best, best_gain) = (edge_number(edge), gain);
                }
            }
            seen += end - place;
            place = if end == count { 0 } else { end };
            if best != NONE {
                break;
            }
        }
        self.next = place;
        (best != NONE).then_some(best)
    }

    /// Moves flow around the cycle that an edge closes with the tree: less of it when it is `full`.
    fn pivot(&mut self, entering: u32, full: bool) {
        let place = entering as usize;
        // The flow goes from `tail` over the entering edge to `head` and back through the tree.
        let (from, to) = (self.edges.from[place], self.edges.to[place]);
        let (tail, head) = if full { (to, from) } else { (from, to) };
        let apex = self.tree.apex(tail, head);
        let flow = self.edges.flow[place];
        let room = if full { flow } else { self.edges.most[place] - flow };
        let leaving = self.leaving(room, tail, head, apex);
        self.push(entering, full, tail, head, apex, leaving.delta);
        let Some((out, down)) = leaving.at else {
            self.edges.stand[place] = if full { EMPTY } else { FULL };
            return;
        };
        self.edges.stand[place] = TREE;
        let left = self.tree.nodes[out as usize].edge as usize;
        self.edges.stand[left] = if self.edges.flow[left] == 0 { EMPTY } else { FULL };
        let (low, high) = if down { (tail, head) } else { (head, tail) };
        let edges = &self.edges;
        self.tree.exchange([low, high], entering, out, apex, |edge, node| edges.from[edge as usize] == node);
        self.tree.shift(low, high, self.edges.cost[place]);
    }

    /// The last edge that holds the cycle back, in the direction of its flow from the apex on: so the tree stays
    /// strongly feasible.
    fn leaving(&self, room: i64, tail: u32, head: u32, apex: u32) -> Leaving {
        let mut found = Leaving { delta: room, at: None };
        let mut at = tail;
        while at != apex {
            // Here the flow comes down from the parent.
            let node = self.tree.nodes[at as usize];
            let room = self.edges.room(node, false);
            if room < found.delta {
                found = Leaving { delta: room, at: Some((at, true)) };
            }
            at = node.parent;
        }
        at = head;
        while at != apex {
            let node = self.tree.nodes[at as usize];
            let room = self.edges.room(node, true);
            if room <= found.delta {
                found = Leaving { delta: room, at: Some((at, false)) };
            }
            at = node.parent;
        }
        found
    }

    fn push(&mut self, entering: u32, full: bool, tail: u32, head: u32, apex: u32, delta: i64) {
        if delta == 0 {
            return;
        }
        self.edges.flow[entering as usize] += if full { -delta } else { delta };
        for (start, upwards) in [(tail, false), (head, true)] {
            let mut at = start;
            while at != apex {
                let node = self.tree.nodes[at as usize];
                self.edges.flow[node.edge as usize] += if node.up == upwards { delta } else { -delta };
                at = node.parent;
            }
        }
    }
}

fn edge_number(edge: usize) -> u32 {
    u32::try_from(edge).expect("an instance is counted in 32 bits")
}

#[expect(clippy::arithmetic_side_effects, reason = "as for `Simplex`")]
impl Edges {
    fn push(&mut self, arc: Arc, cost: i64, flow: i64) {
        self.from.push(arc.debtor);
        self.to.push(arc.creditor);
        self.stand.push(if flow == 0 { EMPTY } else { FULL });
        self.cost.push(cost);
        self.flow.push(flow);
        self.most.push(arc.amount);
    }

    /// How much dearer it gets for each unit that the edge carries more.
    #[inline]
    fn reduced_cost(&self, edge: usize, potential: &[i64]) -> i64 {
        let (from, to) = (potential[self.from[edge] as usize], potential[self.to[edge] as usize]);
        self.cost[edge] + from.wrapping_sub(to)
    }

    /// How much more can flow between a node and its parent.
    #[inline]
    fn room(&self, node: Node, upwards: bool) -> i64 {
        let (edge, flow) = (node.edge as usize, self.flow[node.edge as usize]);
        if node.up == upwards { self.most[edge] - flow } else { flow }
    }
}
