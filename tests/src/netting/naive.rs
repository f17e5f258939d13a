//! The least cost of what is left, by sending what is missing along one shortest way after another (Bellman and Ford each
//! time): slow, simple, and with nothing of the solver in it.

use weft_protocol::ids::Hash;
use weft_protocol::netting::costs::cost;
use weft_protocol::netting::{Component, Debts};

/// What one edge of a component is here.
struct Edge {
    from: usize,
    to: usize,
    most: i64,
    flow: i64,
    cost: i128,
}

fn edges(debts: &Debts, component: &Component, seed: &Hash) -> Vec<Edge> {
    let own =
        |node: u32| component.nodes.iter().position(|own| *own == node).expect("a node of the component");
    let edge = |place: &usize| {
        let arc = debts.arcs()[*place];
        let [debtor, creditor] = [arc.debtor, arc.creditor].map(|node| &debts.parties()[node as usize]);
        Edge {
            from: own(arc.debtor),
            to: own(arc.creditor),
            most: arc.amount,
            flow: 0,
            cost: i128::from(cost(component.nodes.len(), seed, debtor, creditor)),
        }
    };
    component.edges.iter().map(edge).collect()
}

/// The least that what is left of a component can cost.
#[must_use]
pub fn least_cost(debts: &Debts, component: &Component, seed: &Hash) -> i128 {
    let mut edges = edges(debts, component, seed);
    let mut excess = vec![0_i64; component.nodes.len()];
    for edge in &edges {
        excess[edge.from] += edge.most;
        excess[edge.to] -= edge.most;
    }
    while let Some(start) = excess.iter().position(|excess| *excess > 0) {
        let (end, way) = shortest(&edges, &excess, start);
        let room = way.iter().map(|(edge, forth)| {
            let edge = &edges[*edge];
            if *forth { edge.most - edge.flow } else { edge.flow }
        });
        let amount = room.min().expect("a way").min(excess[start]).min(-excess[end]);
        for (edge, forth) in way {
            edges[edge].flow += if forth { amount } else { -amount };
        }
        excess[start] -= amount;
        excess[end] += amount;
    }
    edges.iter().map(|edge| i128::from(edge.flow) * edge.cost).sum()
}

/// The cheapest way to a node where something is missing: its edges, backwards, and whether each is gone forth.
fn shortest(edges: &[Edge], excess: &[i64], start: usize) -> (usize, Vec<(usize, bool)>) {
    let mut reached: Vec<Option<i128>> = vec![None; excess.len()];
    let mut by = vec![None; excess.len()];
    reached[start] = Some(0);
    let mut changed = true;
    while changed {
        changed = false;
        for (place, edge) in edges.iter().enumerate() {
            for (from, to, room, cost, forth) in [
                (edge.from, edge.to, edge.most - edge.flow, edge.cost, true),
                (edge.to, edge.from, edge.flow, -edge.cost, false),
            ] {
                let Some(here) = reached[from] else { continue };
                if room > 0 && reached[to].is_none_or(|there| here + cost < there) {
                    reached[to] = Some(here + cost);
                    by[to] = Some((place, forth, from));
                    changed = true;
                }
            }
        }
    }
    let lacking = (0..excess.len()).filter(|node| excess[*node] < 0 && reached[*node].is_some());
    let end = lacking.min_by_key(|node| reached[*node]).expect("what is owed leads to whom it is owed");
    let (mut node, mut way) = (end, Vec::new());
    while node != start {
        let (place, forth, from) = by[node].expect("a way back");
        way.push((place, forth));
        node = from;
    }
    (end, way)
}
