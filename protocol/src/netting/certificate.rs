//! The proof that nothing more can be cleared, checked in one pass that shares no code with the solver
//! (specs/netting.md §4).

use super::Arc;

/// Why a result is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not one reduction for each edge, or not one potential for each node.
    #[error(
        "there are {reductions} reductions for {edges} edges, and {potentials} potentials for {nodes} networks"
    )]
    Shape {
        /// Edges of the component.
        edges: usize,
        /// Reductions given.
        reductions: usize,
        /// Nodes of the component.
        nodes: usize,
        /// Potentials given.
        potentials: usize,
    },
    /// A reduction below zero, or above what is owed.
    #[error("edge {edge} is reduced by {reduction}, and {amount} is owed on it")]
    Range {
        /// Its place in the order of edges.
        edge: usize,
        /// By how much.
        reduction: i64,
        /// What is owed.
        amount: i64,
    },
    /// The net position of a node changes.
    #[error("node {node} would give up {less_owed} of what it is owed and {less_owing} of what it owes")]
    Conservation {
        /// Its place in the order of nodes.
        node: usize,
        /// Sum of reductions of what it is owed.
        less_owed: i128,
        /// Sum of reductions of what it owes.
        less_owing: i128,
    },
    /// More could be cleared, or the same at lower costs.
    #[error(
        "edge {edge} has the reduced cost {reduced_cost} and keeps {left} of {amount}: it is not optimal"
    )]
    NotOptimal {
        /// Its place in the order of edges.
        edge: usize,
        /// Cost, plus the potential of its debtor, minus that of its creditor.
        reduced_cost: i128,
        /// What is left on it.
        left: i64,
        /// What is owed.
        amount: i64,
    },
}

impl CertificateError {
    /// The rule broken, as the specification calls it.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Shape { .. } => "shape",
            Self::Range { .. } => "range",
            Self::Conservation { .. } => "conservation",
            Self::NotOptimal { .. } => "optimal",
        }
    }
}

/// Checks reductions of the edges of one component and the potentials of its nodes.
///
/// # Errors
/// The first rule broken, in the order of [`CertificateError`].
pub fn verify(
    nodes: usize,
    arcs: &[Arc],
    costs: &[i64],
    reductions: &[i64],
    potentials: &[i64],
) -> Result<(), CertificateError> {
    let (edges, given) = (arcs.len(), (reductions.len(), potentials.len()));
    if given != (edges, nodes) || costs.len() != edges {
        let (reductions, potentials) = given;
        return Err(CertificateError::Shape { edges, reductions, nodes, potentials });
    }
    let mut balance = vec![(0_i128, 0_i128); nodes];
    for (edge, (arc, &reduction)) in arcs.iter().zip(reductions).enumerate() {
        if reduction < 0 || reduction > arc.amount {
            return Err(CertificateError::Range { edge, reduction, amount: arc.amount });
        }
        let by = i128::from(reduction);
        let owing = &mut balance[arc.debtor as usize].1;
        *owing = owing.saturating_add(by);
        let owed = &mut balance[arc.creditor as usize].0;
        *owed = owed.saturating_add(by);
    }
    if let Some(node) = balance.iter().position(|(owed, owing)| owed != owing) {
        let (less_owed, less_owing) = balance[node];
        return Err(CertificateError::Conservation { node, less_owed, less_owing });
    }
    for (edge, ((arc, &cost), &reduction)) in arcs.iter().zip(costs).zip(reductions).enumerate() {
        let [debtor, creditor] = [arc.debtor, arc.creditor].map(|node| i128::from(potentials[node as usize]));
        let reduced_cost = i128::from(cost).saturating_add(debtor).saturating_sub(creditor);
        let left = arc.amount.saturating_sub(reduction);
        if (reduced_cost > 0 && left != 0) || (reduced_cost < 0 && reduction != 0) {
            return Err(CertificateError::NotOptimal { edge, reduced_cost, left, amount: arc.amount });
        }
    }
    Ok(())
}
