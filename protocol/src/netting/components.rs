//! Strongly connected components (Tarjan 1972), without recursion.
//!
//! Only what lies inside one can be cleared: every cycle does. So they are solved one by one, and edges between them
//! stay as they are.

use super::Arc;

/// The component of each node, counted from 0.
pub(super) fn components(nodes: usize, arcs: &[Arc]) -> Vec<u32> {
    let (starts, heads) = adjacency(nodes, arcs);
    let mut search = Search {
        order: vec![0; nodes],
        low: vec![0; nodes],
        component: vec![OPEN; nodes],
        waiting: Vec::new(),
        visited: 0,
        found: 0,
    };
    // Nodes on the way, each with the next of its edges.
    let mut way: Vec<(usize, usize)> = Vec::new();
    for start in 0..nodes {
        if search.is_new(start) {
            search.enter(start);
            way.push((start, starts[start]));
        }
        while let Some((node, next)) = way.last_mut() {
            let node = *node;
            if *next < starts[node.saturating_add(1)] {
                let head = heads[*next] as usize;
                *next = next.saturating_add(1);
                if search.is_new(head) {
                    search.enter(head);
                    way.push((head, starts[head]));
                } else {
                    search.see(node, head);
                }
            } else {
                way.pop();
                search.leave(node);
                if let Some((parent, _)) = way.last() {
                    search.come_back(*parent, node);
                }
            }
        }
    }
    search.component
}

/// No component yet.
const OPEN: u32 = u32::MAX;

struct Search {
    /// When a node was visited, from 1; 0 when it was not.
    order: Vec<u32>,
    low: Vec<u32>,
    component: Vec<u32>,
    waiting: Vec<usize>,
    visited: u32,
    found: u32,
}

impl Search {
    fn is_new(&self, node: usize) -> bool {
        self.order[node] == 0
    }

    fn enter(&mut self, node: usize) {
        self.visited = self.visited.saturating_add(1);
        self.order[node] = self.visited;
        self.low[node] = self.visited;
        self.waiting.push(node);
    }

    fn see(&mut self, node: usize, head: usize) {
        if self.component[head] == OPEN {
            self.low[node] = self.low[node].min(self.order[head]);
        }
    }

    fn come_back(&mut self, parent: usize, child: usize) {
        self.low[parent] = self.low[parent].min(self.low[child]);
    }

    fn leave(&mut self, node: usize) {
        if self.low[node] != self.order[node] {
            return;
        }
        while let Some(member) = self.waiting.pop() {
            self.component[member] = self.found;
            if member == node {
                break;
            }
        }
        self.found = self.found.saturating_add(1);
    }
}

/// Heads of the edges of each node, one after another, and where those of each node begin.
fn adjacency(nodes: usize, arcs: &[Arc]) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; nodes.saturating_add(1)];
    for arc in arcs {
        let next = &mut starts[(arc.debtor as usize).saturating_add(1)];
        *next = next.saturating_add(1);
    }
    for node in 0..nodes {
        starts[node.saturating_add(1)] = starts[node.saturating_add(1)].saturating_add(starts[node]);
    }
    let mut next = starts.clone();
    let mut heads = vec![0; arcs.len()];
    for arc in arcs {
        let place = &mut next[arc.debtor as usize];
        heads[*place] = arc.creditor;
        *place = place.saturating_add(1);
    }
    (starts, heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arcs(pairs: &[(u32, u32)]) -> Vec<Arc> {
        pairs.iter().map(|&(debtor, creditor)| Arc { debtor, creditor, amount: 1 }).collect()
    }

    #[test]
    fn nodes_that_reach_each_other_are_one_component() {
        let found = components(7, &arcs(&[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (5, 0)]));
        assert!(found[0] == found[1] && found[1] == found[2]);
        assert_eq!(found[3], found[4]);
        let mut different = vec![found[0], found[3], found[5], found[6]];
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 4);
        assert_eq!(components(0, &[]), Vec::<u32>::new());
    }

    #[test]
    fn a_chain_of_a_million_is_no_danger_to_the_stack() {
        let n = 1_000_000;
        let ring: Vec<Arc> =
            (0..n).map(|node| Arc { debtor: node, creditor: (node + 1) % n, amount: 1 }).collect();
        let found = components(n as usize, &ring);
        assert!(found.iter().all(|component| *component == found[0]));
        let open = components(n as usize, &ring[..ring.len() - 1]);
        assert_ne!(open[0], open[1]);
    }
}
