//! The one set of potentials that a result has (specs/netting.md §3.4): so that what is signed does not depend on how
//! it was found.
//!
//! A solver's own potentials prove its result as well, but another solver has others. The ones made here depend on the
//! result alone: they are the least costs of reaching a node over what could still be moved. (Dijkstra 1959, with the
//! solver's potentials to make all lengths positive, as Johnson 1977 does.)

use super::Arc;
use super::adjacency::Adjacency;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Potentials of a result, the lowest being zero, from any that prove it.
///
/// Those given are at most 2^62 apart, and so are those returned: costs of ways through all nodes fit.
#[expect(clippy::arithmetic_side_effects, reason = "differences of potentials fit in 62 bits")]
pub(super) fn canonical(
    adjacency: &Adjacency,
    arcs: &[Arc],
    costs: &[i64],
    left: &[i64],
    proof: &[i64],
) -> Vec<i64> {
    let highest = proof.iter().copied().max().unwrap_or(0);
    // Ways begin anywhere, at no cost; as long as the proof makes them.
    let mut ways: Vec<i64> = proof.iter().map(|potential| highest - potential).collect();
    let mut waiting: BinaryHeap<Reverse<(i64, u32)>> =
        ways.iter().copied().zip(0..).map(Reverse).collect::<Vec<_>>().into();
    while let Some(Reverse((way, node))) = waiting.pop() {
        if way > ways[node as usize] {
            continue;
        }
        let here = proof[node as usize];
        for end in adjacency.at(node) {
            let edge = end.edge as usize;
            let (movable, cost) = if end.owes {
                (left[edge] < arcs[edge].amount, costs[edge])
            } else {
                (left[edge] > 0, -costs[edge])
            };
            if !movable {
                continue;
            }
            let there = &mut ways[end.other as usize];
            let further = way + cost + (here - proof[end.other as usize]);
            if further < *there {
                *there = further;
                waiting.push(Reverse((further, end.other)));
            }
        }
    }
    let reached: Vec<i64> =
        ways.iter().zip(proof).map(|(way, potential)| way + (potential - highest)).collect();
    let lowest = reached.iter().copied().min().unwrap_or(0);
    reached.iter().map(|cost| cost - lowest).collect()
}
