//! Netting: the most that networks owe each other in circles, taken off all at once (specs/netting.md).
//!
//! What must hold: no net position changes, every debt only shrinks, no more could be cleared; and the same debts give
//! the same result, in whatever order they come. The solver's word counts for nothing: [`certificate::verify`] shares
//! no code with it, and everybody runs it.

mod adjacency;
pub mod certificate;
mod components;
pub mod costs;
pub mod file;
pub mod members;
mod potentials;
pub mod proposal;
pub mod round;
mod scaling;
mod simplex;
mod solver;
#[cfg(test)]
mod tests;
mod tree;

use crate::ids::Hash;
use certificate::CertificateError;
pub use solver::Begin;
use std::collections::{BTreeMap, HashMap};

/// All debts of one netting together: sums stay in 63 bits.
pub const MAX_TOTAL: i64 = 1 << 62;

/// Most edges of one netting: their ends are counted in 32 bits.
pub const MAX_EDGES: usize = 1 << 30;

/// Who owes and is owed: a ledger id, an account, the hash of a name.
pub type Party = [u8; 32];

/// What one party owes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Debt {
    /// Who owes.
    pub debtor: Party,
    /// Whom.
    pub creditor: Party,
    /// How much, above zero, in the smallest parts of the unit.
    pub amount: i64,
}

/// Why debts cannot be netted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DebtError {
    /// Nothing, or less, is owed.
    #[error("debt {at} is {amount}: an amount must be above zero")]
    Amount {
        /// Its place among the debts given.
        at: usize,
        /// What it says.
        amount: i64,
    },
    /// Somebody owes themselves.
    #[error("debt {at} is owed to the debtor")]
    ToSelf {
        /// Its place among the debts given.
        at: usize,
    },
    /// All together is too much.
    #[error("with debt {at} all debts together are more than {MAX_TOTAL}")]
    Total {
        /// Its place among the debts given.
        at: usize,
    },
    /// More edges than can be counted.
    #[error("there are {edges} debts between different parties; at most {MAX_EDGES} can be netted")]
    Edges {
        /// How many.
        edges: usize,
    },
}

/// What one node owes another, both by their places among the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arc {
    /// Who owes.
    pub debtor: u32,
    /// Whom.
    pub creditor: u32,
    /// How much.
    pub amount: i64,
}

/// Debts in the one order that counts: of parties, by their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debts {
    parties: Vec<Party>,
    arcs: Vec<Arc>,
}

impl Debts {
    /// Orders debts and adds up those between the same two in the same direction.
    ///
    /// # Errors
    /// The first debt that cannot stand.
    pub fn new(debts: &[Debt]) -> Result<Self, DebtError> {
        let mut total: i64 = 0;
        for (at, debt) in debts.iter().enumerate() {
            if debt.amount <= 0 {
                return Err(DebtError::Amount { at, amount: debt.amount });
            }
            if debt.debtor == debt.creditor {
                return Err(DebtError::ToSelf { at });
            }
            let more = total.checked_add(debt.amount).filter(|total| *total <= MAX_TOTAL);
            total = more.ok_or(DebtError::Total { at })?;
        }
        let mut edges = debts.to_vec();
        edges.sort_unstable();
        edges.dedup_by(|next, sum| {
            let same = next.debtor == sum.debtor && next.creditor == sum.creditor;
            if same {
                sum.amount = sum.amount.saturating_add(next.amount);
            }
            same
        });
        if edges.len() > MAX_EDGES {
            return Err(DebtError::Edges { edges: edges.len() });
        }
        let mut parties: Vec<Party> = edges.iter().flat_map(|debt| [debt.debtor, debt.creditor]).collect();
        parties.sort_unstable();
        parties.dedup();
        // Asked by name only: the order of a hash map does not show.
        let places: HashMap<&Party, u32> = parties.iter().zip(0..).collect();
        let arc = |debt: &Debt| Arc {
            debtor: places[&debt.debtor],
            creditor: places[&debt.creditor],
            amount: debt.amount,
        };
        let arcs = edges.iter().map(arc).collect();
        Ok(Self { parties, arcs })
    }

    /// Parties in their order.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Edges in the order of debtor, then creditor.
    pub fn arcs(&self) -> &[Arc] {
        &self.arcs
    }

    /// All that is owed.
    pub fn total(&self) -> i128 {
        self.arcs.iter().map(|arc| i128::from(arc.amount)).sum()
    }

    /// The parts in which something can be cleared, each with its costs, in the order of their first party.
    pub fn components(&self, seed: &Hash) -> Vec<Component> {
        let of_node = components::components(self.parties.len(), &self.arcs);
        let mut parts: BTreeMap<u32, Component> = BTreeMap::new();
        for (place, component) in (0..).zip(&of_node) {
            parts.entry(*component).or_default().nodes.push(place);
        }
        for (place, arc) in self.arcs.iter().enumerate() {
            let component = of_node[arc.debtor as usize];
            if component == of_node[arc.creditor as usize]
                && let Some(part) = parts.get_mut(&component)
            {
                part.edges.push(place);
            }
        }
        let mut parts: Vec<Component> = parts.into_values().filter(|part| !part.edges.is_empty()).collect();
        parts.sort_by_key(|part| part.nodes.first().copied());
        let mut own = vec![0; self.parties.len()];
        for part in &mut parts {
            for (place, node) in (0..).zip(&part.nodes) {
                own[*node as usize] = place;
            }
            part.complete(self, seed, &own);
        }
        parts
    }
}

/// A strongly connected part of the debts: one result, accepted or refused as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// Its parties, by their places in [`Debts::parties`], ascending.
    pub nodes: Vec<u32>,
    /// Its edges, by their places in [`Debts::arcs`], ascending.
    pub edges: Vec<usize>,
    /// The same edges between places in `nodes`.
    arcs: Vec<Arc>,
    costs: Vec<i64>,
}

impl Component {
    /// `own` has the places of its nodes in it.
    fn complete(&mut self, debts: &Debts, seed: &Hash, own: &[u32]) {
        let own = |edge: &usize| {
            let Arc { debtor, creditor, amount } = debts.arcs[*edge];
            Arc { debtor: own[debtor as usize], creditor: own[creditor as usize], amount }
        };
        let party = |node: u32| &debts.parties[node as usize];
        let cost = |edge: &usize| {
            let arc = debts.arcs[*edge];
            costs::cost(self.nodes.len(), seed, party(arc.debtor), party(arc.creditor))
        };
        let arcs = self.edges.iter().map(own).collect();
        let costs = self.edges.iter().map(cost).collect();
        (self.arcs, self.costs) = (arcs, costs);
    }

    /// Finds the most that can be cleared, with its proof.
    pub fn solve(&self) -> Cleared {
        self.solve_from(Begin::best(self.nodes.len()))
    }

    /// The same in one of the ways that [`Component::solve`] chooses from.
    pub fn solve_from(&self, begin: Begin) -> Cleared {
        let solved = solver::solve(self.nodes.len(), &self.arcs, &self.costs, begin);
        let reductions =
            self.arcs.iter().zip(&solved.left).map(|(arc, left)| arc.amount.saturating_sub(*left));
        Cleared { reductions: reductions.collect(), potentials: solved.potentials }
    }

    /// Checks what somebody says can be cleared: nobody's net position changes, and nothing more could be.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify(&self, cleared: &Cleared) -> Result<(), CertificateError> {
        let Cleared { reductions, potentials } = cleared;
        certificate::verify(self.nodes.len(), &self.arcs, &self.costs, reductions, potentials)
    }
}

/// What is cleared in one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// By how much each edge shrinks, in the order of [`Component::edges`].
    pub reductions: Vec<i64>,
    /// A potential for each node, in the order of [`Component::nodes`]: the proof.
    pub potentials: Vec<i64>,
}

impl Cleared {
    /// All that is cleared.
    pub fn volume(&self) -> i128 {
        self.reductions.iter().map(|reduction| i128::from(*reduction)).sum()
    }
}
