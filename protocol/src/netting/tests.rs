use super::certificate::CertificateError;
use super::*;

pub(super) const SEED: Hash = Hash([9; 32]);

pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

pub(super) fn party(number: u64) -> Party {
    let mut party = [0; 32];
    party[..8].copy_from_slice(&number.to_be_bytes());
    party
}

pub(super) fn debt(debtor: u64, creditor: u64, amount: i64) -> Debt {
    Debt { debtor: party(debtor), creditor: party(creditor), amount }
}

pub(super) fn random(dice: &mut Dice, nodes: u64, edges: u64, most: u64) -> Vec<Debt> {
    (0..edges)
        .map(|_| {
            let debtor = dice.below(nodes);
            let creditor = (debtor + 1 + dice.below(nodes - 1)) % nodes;
            debt(debtor, creditor, i64::try_from(1 + dice.below(most)).unwrap())
        })
        .collect()
}

/// The least cost of what is left, by cancelling one dear cycle after another: slow, simple, and with nothing of the
/// solver in it.
pub(super) fn naive(nodes: usize, arcs: &[Arc], costs: &[i64]) -> i128 {
    let mut left: Vec<i64> = arcs.iter().map(|arc| arc.amount).collect();
    loop {
        // Where less can be left a unit saves its cost, where more can be it costs that.
        let mut residual = Vec::new();
        for (edge, arc) in arcs.iter().enumerate() {
            let (debtor, creditor, cost) =
                (arc.debtor as usize, arc.creditor as usize, i128::from(costs[edge]));
            if left[edge] > 0 {
                residual.push((creditor, debtor, -cost, edge, -1));
            }
            if left[edge] < arc.amount {
                residual.push((debtor, creditor, cost, edge, 1));
            }
        }
        let Some(cycle) = negative_cycle(nodes, &residual) else { break };
        let room = |&(_, _, _, edge, sign): &Residual| {
            if sign < 0 { left[edge] } else { arcs[edge].amount - left[edge] }
        };
        let delta = cycle.iter().map(room).min().unwrap();
        for (_, _, _, edge, sign) in cycle {
            left[edge] += sign * delta;
        }
    }
    left.iter().zip(costs).map(|(left, cost)| i128::from(*left) * i128::from(*cost)).sum()
}

type Residual = (usize, usize, i128, usize, i64);

/// Bellman and Ford.
fn negative_cycle(nodes: usize, residual: &[Residual]) -> Option<Vec<Residual>> {
    let mut distance = vec![0_i128; nodes];
    let mut by: Vec<Option<Residual>> = vec![None; nodes];
    let mut last = None;
    for _ in 0..nodes {
        last = None;
        for edge in residual {
            let (from, to, cost, ..) = *edge;
            if distance[from] + cost < distance[to] {
                distance[to] = distance[from] + cost;
                by[to] = Some(*edge);
                last = Some(to);
            }
        }
        last?;
    }
    let mut node = last?;
    for _ in 0..nodes {
        node = by[node]?.0;
    }
    let (start, mut cycle) = (node, Vec::new());
    loop {
        let edge = by[node]?;
        cycle.push(edge);
        node = edge.0;
        if node == start {
            return Some(cycle);
        }
    }
}

fn left_cost(component: &Component, cleared: &Cleared) -> i128 {
    let left = component.arcs.iter().zip(&cleared.reductions).map(|(arc, by)| arc.amount - by);
    left.zip(&component.costs).map(|(left, cost)| i128::from(left) * i128::from(*cost)).sum()
}

#[test]
fn small_random_graphs_are_cleared_as_the_naive_way_does() {
    let mut dice = Dice(1);
    let mut cleared_something = 0;
    for _ in 0..2_000 {
        let nodes = 2 + dice.below(8);
        let edges = 1 + dice.below(nodes * 4);
        let most = [1, 3, 100, 1 << 40][usize::try_from(dice.below(4)).unwrap()];
        let debts = Debts::new(&random(&mut dice, nodes, edges, most)).unwrap();
        for component in debts.components(&SEED) {
            let cleared = component.solve_from(Begin::Owed);
            component.verify(&cleared).unwrap();
            assert_eq!(component.solve_from(Begin::Near), cleared);
            let naive = naive(component.nodes.len(), &component.arcs, &component.costs);
            assert_eq!(left_cost(&component, &cleared), naive);
            cleared_something += u32::from(cleared.volume() > 0);
        }
    }
    assert!(cleared_something > 500, "{cleared_something}");
}

#[test]
fn wherever_the_simplex_begins_it_ends_with_the_same_reductions_and_potentials() {
    let mut dice = Dice(4);
    for most in [1, 2, 1_000, 1 << 45] {
        let debts = Debts::new(&random(&mut dice, 400, 2_400, most)).unwrap();
        for component in debts.components(&SEED) {
            let cleared = component.solve_from(Begin::Owed);
            component.verify(&cleared).unwrap();
            assert_eq!(cleared.potentials.iter().min(), Some(&0));
            assert_eq!(component.solve_from(Begin::Near), cleared);
        }
    }
}

#[test]
fn what_components_leave_out_could_not_be_cleared() {
    let mut dice = Dice(2);
    for _ in 0..300 {
        let nodes = 2 + dice.below(12);
        let edges = 1 + dice.below(nodes * 2);
        let debts = Debts::new(&random(&mut dice, nodes, edges, 50)).unwrap();
        let ones = vec![1; debts.arcs().len()];
        let all = naive(debts.parties().len(), debts.arcs(), &ones);
        let cleared: i128 = debts.components(&SEED).iter().map(|part| part.solve().volume()).sum();
        assert_eq!(debts.total() - cleared, all);
    }
}

#[test]
fn the_order_of_the_debts_changes_nothing() {
    let mut dice = Dice(3);
    let mut debts = random(&mut dice, 60, 400, 1_000);
    let first = Debts::new(&debts).unwrap();
    for _ in 0..5 {
        for i in (1..debts.len()).rev() {
            let j = usize::try_from(dice.below(i as u64 + 1)).unwrap();
            debts.swap(i, j);
        }
        let again = Debts::new(&debts).unwrap();
        assert_eq!(again, first);
        let solve = |debts: &Debts| debts.components(&SEED).iter().map(Component::solve).collect::<Vec<_>>();
        assert_eq!(solve(&again), solve(&first));
    }
}

#[test]
fn a_circle_is_cleared_up_to_its_smallest_debt() {
    let debts =
        Debts::new(&[debt(1, 2, 5), debt(2, 3, 7), debt(3, 1, 4), debt(3, 4, 9), debt(1, 2, 1)]).unwrap();
    let components = debts.components(&SEED);
    let [component] = &components[..] else { panic!("{components:?}") };
    assert_eq!(component.nodes, [0, 1, 2]);
    let cleared = component.solve();
    assert_eq!(cleared.reductions, [4, 4, 4]);
    assert_eq!((cleared.volume(), debts.total()), (12, 26));
}

#[test]
fn debts_that_cannot_stand_are_named() {
    let refused = |debts: &[Debt]| Debts::new(debts).unwrap_err();
    assert_eq!(refused(&[debt(1, 2, 3), debt(1, 2, 0)]), DebtError::Amount { at: 1, amount: 0 });
    assert_eq!(refused(&[debt(1, 2, -3)]), DebtError::Amount { at: 0, amount: -3 });
    assert_eq!(refused(&[debt(4, 4, 3)]), DebtError::ToSelf { at: 0 });
    assert_eq!(refused(&[debt(1, 2, MAX_TOTAL), debt(2, 1, 1)]), DebtError::Total { at: 1 });
    let most = Debts::new(&[debt(1, 2, MAX_TOTAL / 2), debt(2, 1, MAX_TOTAL / 2)]).unwrap();
    assert_eq!(most.components(&SEED)[0].solve().reductions, [MAX_TOTAL / 2; 2]);
}

#[test]
fn what_is_not_the_best_or_moves_a_position_is_refused() {
    let debts = Debts::new(&[debt(1, 2, 5), debt(2, 1, 3), debt(2, 3, 5), debt(3, 1, 5)]).unwrap();
    let component = &debts.components(&SEED)[0];
    let right = component.solve();
    component.verify(&right).unwrap();
    let changed = |change: &dyn Fn(&mut Cleared)| {
        let mut cleared = right.clone();
        change(&mut cleared);
        component.verify(&cleared).unwrap_err()
    };
    assert!(matches!(changed(&|c| c.reductions.truncate(3)), CertificateError::Shape { .. }));
    assert!(matches!(changed(&|c| c.potentials.push(0)), CertificateError::Shape { .. }));
    assert!(matches!(changed(&|c| c.reductions[0] = -1), CertificateError::Range { .. }));
    assert!(matches!(changed(&|c| c.reductions[1] = 4), CertificateError::Range { .. }));
    assert!(matches!(changed(&|c| c.reductions[0] -= 1), CertificateError::Conservation { .. }));
    assert!(matches!(changed(&|c| c.reductions.fill(0)), CertificateError::NotOptimal { .. }));
    assert!(matches!(changed(&|c| c.potentials[0] += 1 << 61), CertificateError::NotOptimal { .. }));
    // More on the small circle and less on the large one: nobody's position moves, and less is cleared.
    assert_eq!(right.reductions, [5, 0, 5, 5]);
    assert!(matches!(changed(&|c| c.reductions = vec![5, 2, 3, 3]), CertificateError::NotOptimal { .. }));
}
