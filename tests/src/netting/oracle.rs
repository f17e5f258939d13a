//! Random graphs, each solved in every way there is: by the naive solver, by the simplex from what is owed and from a flow
//! near the best one, and again with its debts in another order.

use super::{families::mix, naive, numbered};
use crate::kit::{Failure, Outcome};
use weft_protocol::ids::Hash;
use weft_protocol::netting::file::Certificate;
use weft_protocol::netting::{Begin, Component, Debt, Debts};

/// Of so many graphs one is too large for the naive solver, and only our two ways are compared.
const LARGE_EVERY: u64 = 50;

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Graphs.
    pub graphs: u64,
    /// Components with at least one edge.
    pub components: u64,
    /// Of them, where something could be cleared.
    pub cleared: u64,
    /// Of them, compared with the naive solver.
    pub naive: u64,
    /// Edges of the largest component.
    pub largest: usize,
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0) % bound
    }
}

fn graph(dice: &mut Dice, large: bool) -> Vec<Debt> {
    let parties = if large { 100 + dice.below(300) } else { 2 + dice.below(9) };
    let count = 1 + dice.below(parties * 5);
    // Amounts of one or two make many flows equal; large ones reach the bounds.
    let most = [1, 2, 20, 1 << 20, 1 << 50][usize::try_from(dice.below(5)).expect("below five")];
    let number = |party: u64| numbered(u32::try_from(party).expect("few parties"));
    let mut debt = || {
        let debtor = dice.below(parties);
        let creditor = (debtor + 1 + dice.below(parties - 1)) % parties;
        let amount = i64::try_from(1 + dice.below(most)).expect("at most 2^50");
        Debt { debtor: number(debtor), creditor: number(creditor), amount }
    };
    (0..count).map(|_| debt()).collect()
}

fn shuffle(debts: &mut [Debt], dice: &mut Dice) {
    for i in (1..debts.len()).rev() {
        debts.swap(i, usize::try_from(dice.below(i as u64 + 1)).expect("a place in the list"));
    }
}

/// Solves graphs `first..first + count`, each in every way.
///
/// # Errors
/// The first graph on which two ways differ, by its number.
pub fn compare(first: u64, count: u64, seed: u64) -> Outcome<Tally> {
    let mut tally = Tally::default();
    for number in first..first.saturating_add(count) {
        let failed = |what: String| Failure::new(format!("graph {number} of seed {seed}: {what}"));
        let mut dice = Dice(mix(seed) ^ mix(number));
        let large = number % LARGE_EVERY == LARGE_EVERY - 1;
        let mut given = graph(&mut dice, large);
        let drawn = Hash::of("", &[&number.to_be_bytes()]);
        let debts = Debts::new(&given).map_err(|e| failed(e.to_string()))?;
        let certificate = Certificate::solve(&debts, &drawn);
        certificate.verify(&debts).map_err(|e| failed(e.to_string()))?;
        for component in debts.components(&drawn) {
            let naive = (!large).then(|| naive::least_cost(&debts, &component, &drawn));
            one(&debts, &component, &drawn, naive, &mut tally).map_err(failed)?;
        }
        shuffle(&mut given, &mut dice);
        let again = Debts::new(&given).map_err(|e| failed(e.to_string()))?;
        if Certificate::solve(&again, &drawn).to_bytes() != certificate.to_bytes() {
            return Err(failed("another order of debts gives other bytes".to_owned()));
        }
        tally.graphs += 1;
    }
    Ok(tally)
}

fn one(
    debts: &Debts,
    component: &Component,
    seed: &Hash,
    naive: Option<i128>,
    tally: &mut Tally,
) -> Result<(), String> {
    let owed = component.solve_from(Begin::Owed);
    let near = component.solve_from(Begin::Near);
    component.verify(&owed).map_err(|e| e.to_string())?;
    if owed != near {
        return Err("the two beginnings end differently".to_owned());
    }
    if let Some(naive) = naive {
        let cost = |edge: &usize| {
            let arc = debts.arcs()[*edge];
            let [debtor, creditor] = [arc.debtor, arc.creditor].map(|node| &debts.parties()[node as usize]);
            i128::from(weft_protocol::netting::costs::cost(component.nodes.len(), seed, debtor, creditor))
        };
        let left = component.edges.iter().zip(&owed.reductions);
        let ours: i128 =
            left.map(|(edge, by)| cost(edge) * i128::from(debts.arcs()[*edge].amount - by)).sum();
        if ours != naive {
            return Err(format!("what is left costs {ours}, and the naive solver leaves {naive}"));
        }
        tally.naive += 1;
    }
    tally.components += 1;
    tally.cleared += u64::from(owed.volume() > 0);
    tally.largest = tally.largest.max(component.edges.len());
    Ok(())
}
