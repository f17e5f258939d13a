//! The edges at each node, in one piece of memory: those it owes on and those it is owed on, in the order of edges.

use super::Arc;

/// An edge as one of its nodes sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Its place in the order of edges.
    pub(super) edge: u32,
    /// The node at its other end.
    pub(super) other: u32,
    /// Whether this node owes.
    pub(super) owes: bool,
}

/// All ends of all edges, node by node.
#[derive(Debug)]
pub(super) struct Adjacency {
    starts: Vec<u32>,
    ends: Vec<End>,
    /// For each edge, where its end is at the debtor and where at the creditor.
    pub(super) places: Vec<[u32; 2]>,
}

impl Adjacency {
    /// Edges between nodes `0..nodes`; twice as many ends as edges are counted in 32 bits.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "ends are counted in 32 bits, as `Debts::new` has checked"
    )]
    pub(super) fn new(nodes: usize, arcs: &[Arc]) -> Self {
        let mut starts = vec![0_u32; nodes + 1];
        for arc in arcs {
            starts[arc.debtor as usize + 1] += 1;
            starts[arc.creditor as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let none = End { edge: 0, other: 0, owes: false };
        let mut ends = vec![none; arcs.len() * 2];
        let mut put = |node: u32, end: End| {
            let place = next[node as usize];
            next[node as usize] += 1;
            ends[place as usize] = end;
            place
        };
        let places = (0..).zip(arcs).map(|(edge, arc)| {
            let owing = put(arc.debtor, End { edge, other: arc.creditor, owes: true });
            let owed = put(arc.creditor, End { edge, other: arc.debtor, owes: false });
            [owing, owed]
        });
        let places = places.collect();
        Self { starts, ends, places }
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Where the ends at a node lie.
    pub(super) fn range(&self, node: u32) -> std::ops::Range<usize> {
        let node = node as usize;
        self.starts[node] as usize..self.starts[node.saturating_add(1)] as usize
    }

    /// The ends at a node.
    pub(super) fn at(&self, node: u32) -> &[End] {
        &self.ends[self.range(node)]
    }

    /// All ends, as [`Adjacency::range`] and `places` count them.
    pub(super) fn ends(&self) -> &[End] {
        &self.ends
    }
}
