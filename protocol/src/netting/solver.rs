//! How a component is solved: a flow near the best one by cost scaling, made the best one by the simplex.
//!
//! What must hold: the flow is the cheapest, by the simplex's own rule for stopping, whatever it began with; and what is
//! returned depends on the instance alone. `specs/decisions/0027-netting.md` has what was measured.

use super::Arc;
use super::adjacency::Adjacency;
use super::potentials;
use super::scaling;
use super::simplex::Simplex;

/// Nodes from which on beginning with cost scaling takes less time: below, both take less than a millisecond.
const SCALING_FROM: usize = 100;

/// Where the simplex begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what is owed, nothing cleared.
    Owed,
    /// With a flow near the best one, found by cost scaling.
    Near,
}

impl Begin {
    /// What takes less time for so many nodes.
    #[must_use]
    pub fn best(nodes: usize) -> Self {
        if nodes < SCALING_FROM { Self::Owed } else { Self::Near }
    }
}

/// A flow with the potentials that prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solved {
    /// What is left of each edge.
    pub(super) left: Vec<i64>,
    /// A potential for each node.
    pub(super) potentials: Vec<i64>,
}

/// Finds what is left when everything that can be cleared is, for arcs between nodes `0..nodes` with costs.
///
/// Costs times nodes and all amounts together fit in 62 bits ([`super::costs`], [`super::MAX_TOTAL`]).
pub(super) fn solve(nodes: usize, arcs: &[Arc], costs: &[i64], begin: Begin) -> Solved {
    let adjacency = Adjacency::new(nodes, arcs);
    let flow = match begin {
        Begin::Owed => arcs.iter().map(|arc| arc.amount).collect(),
        Begin::Near => scaling::near(nodes, arcs, costs, &adjacency),
    };
    let (left, proof) = Simplex::new(nodes, arcs, costs, &flow, &adjacency).run();
    let potentials = potentials::canonical(&adjacency, arcs, costs, &left, &proof);
    Solved { left, potentials }
}
