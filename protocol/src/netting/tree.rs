//! The spanning tree of the simplex, hung on a root of its own.
//!
//! Its nodes are threaded in the order in which they are visited, each before those below it: what hangs below a node
//! is one piece of the thread, and walking it needs no memory. (Barr, Glover and Klingman 1979.)
//!
//! What must hold: the tree is *strongly feasible* (Cunningham 1976), from every node something can flow to the root.
//! The root's own edges allow that and carry nothing.

use super::adjacency::Adjacency;

/// No node, or no edge.
pub(super) const NONE: u32 = u32::MAX;

/// A node and its edge to the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) parent: u32,
    /// Edge to the parent.
    pub(super) edge: u32,
    /// Nodes below this one, and itself.
    pub(super) size: u32,
    /// Whether the edge leads to the parent.
    pub(super) up: bool,
}

/// The tree; the root is the last of its nodes.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Only differences count, and those fit; a potential by itself may go round.
    pub(super) potential: Vec<i64>,
    /// The next on the thread; after the last one the root.
    after: Vec<u32>,
    before: Vec<u32>,
    /// The last on the thread of those below a node, or the node itself.
    last: Vec<u32>,
}

fn counted(index: usize) -> u32 {
    u32::try_from(index).expect("an instance is counted in 32 bits")
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "nodes and edges are counted in 32 bits; potentials wrap. This is the innermost loop"
)]
impl Tree {
    /// A tree of the edges that `joins`, as many as are without a circle; what they do not join hangs on the root by
    /// the edges after the real ones. Nodes with many edges come first, so that ways are short.
    ///
    /// Nodes get numbers of the tree's own, in the order of the thread: walking it, which takes most of the time, then reads
    /// memory in order. They are given as a list by the nodes' places; the root keeps its own.
    pub(super) fn new(
        adjacency: &Adjacency,
        costs: &[i64],
        mut joins: impl FnMut(u32) -> bool,
    ) -> (Self, Vec<u32>) {
        let all = adjacency.nodes() + 1;
        let (root, real) = (counted(all - 1), counted(costs.len()));
        let alone = Node { parent: root, edge: NONE, size: 1, up: true };
        let mut nodes = vec![alone; all];
        nodes[all - 1] = Node { parent: NONE, edge: NONE, size: 1, up: true };
        let mut potential = vec![0_i64; all];
        let mut starts: Vec<u32> = (0..root).collect();
        starts.sort_by_key(|node| std::cmp::Reverse(adjacency.at(*node).len()));
        let mut reached: Vec<u32> = Vec::with_capacity(all);
        for start in starts {
            if nodes[start as usize].edge != NONE {
                continue;
            }
            nodes[start as usize].edge = real + start;
            let mut next = reached.len();
            reached.push(start);
            while let Some(node) = reached.get(next).copied() {
                next += 1;
                for end in adjacency.at(node) {
                    if nodes[end.other as usize].edge == NONE && joins(end.edge) {
                        let up = !end.owes;
                        nodes[end.other as usize] = Node { parent: node, edge: end.edge, size: 1, up };
                        let (cost, above) = (costs[end.edge as usize], potential[node as usize]);
                        potential[end.other as usize] =
                            if up { above.wrapping_sub(cost) } else { above.wrapping_add(cost) };
                        reached.push(end.other);
                    }
                }
            }
        }
        for node in reached.iter().rev() {
            let Node { parent, size, .. } = nodes[*node as usize];
            nodes[parent as usize].size += size;
        }
        Self::threaded(&nodes, &potential, &reached, real)
    }

    /// Numbers all nodes as the thread visits them; `reached` has each after its parent. There is a node beside the root: no
    /// instance is without edges.
    fn threaded(nodes: &[Node], potential: &[i64], reached: &[u32], real: u32) -> (Self, Vec<u32>) {
        let (all, root) = (nodes.len(), counted(nodes.len() - 1));
        // A node's number is its parent's and one, and the sizes of those put there before it; the root begins before 0.
        let mut numbers = vec![root; all];
        let mut free = vec![1; all];
        free[all - 1] = 0;
        for &node in reached {
            let Node { parent, size, .. } = nodes[node as usize];
            let first = if parent == root { 0 } else { numbers[parent as usize] };
            numbers[node as usize] = first + free[parent as usize];
            free[parent as usize] += size;
        }
        let mut tree = Self {
            nodes: nodes.to_vec(),
            potential: potential.to_vec(),
            after: (1..=root).chain([0]).collect(),
            before: [root].into_iter().chain(0..root).collect(),
            last: vec![root - 1; all],
        };
        for (old, number) in (0..root).zip(&numbers) {
            let Node { parent, edge, size, up } = nodes[old as usize];
            let (parent, edge) = (numbers[parent as usize], if edge < real { edge } else { real + number });
            tree.nodes[*number as usize] = Node { parent, edge, size, up };
            tree.potential[*number as usize] = potential[old as usize];
            tree.last[*number as usize] = number + size - 1;
        }
        (tree, numbers)
    }

    pub(super) fn root(&self) -> u32 {
        counted(self.nodes.len() - 1)
    }

    /// Potentials of all nodes but the root, seen from the root.
    pub(super) fn potentials(&self) -> Vec<i64> {
        let (root, nodes) = self.potential.split_last().expect("there is always the root");
        nodes.iter().map(|potential| potential.wrapping_sub(*root)).collect()
    }

    /// Where the ways of two nodes to the root meet.
    pub(super) fn apex(&self, mut a: u32, mut b: u32) -> u32 {
        while a != b {
            let (of_a, of_b) = (self.nodes[a as usize], self.nodes[b as usize]);
            if of_a.size < of_b.size {
                a = of_a.parent;
            } else {
                b = of_b.parent;
            }
        }
        a
    }

    /// Takes the edge from `out` to its parent out, turns the way from `low` up to `out` round and hangs it below
    /// `high` by `entering`; both hang below `apex`. `up` says whether an edge begins at a node.
    pub(super) fn exchange(
        &mut self,
        [low, high]: [u32; 2],
        entering: u32,
        out: u32,
        apex: u32,
        up: impl Fn(u32, u32) -> bool,
    ) {
        self.resize(self.nodes[out as usize].parent, high, apex, self.nodes[out as usize].size);
        self.hang([low, high], entering, out, up);
    }

    /// So many nodes move from below `from` to below `to`.
    fn resize(&mut self, from: u32, to: u32, apex: u32, moved: u32) {
        let mut node = from;
        while node != apex {
            let Node { parent, size, .. } = &mut self.nodes[node as usize];
            *size -= moved;
            node = *parent;
        }
        node = to;
        while node != apex {
            let Node { parent, size, .. } = &mut self.nodes[node as usize];
            *size += moved;
            node = *parent;
        }
    }

    fn hang(&mut self, [low, high]: [u32; 2], entering: u32, out: u32, up: impl Fn(u32, u32) -> bool) {
        let all = self.nodes[out as usize].size;
        self.unthread(out);
        // What stood before the node on the way, the end of what is threaded anew, and what followed its last one.
        let mut before = self.before[low as usize];
        let mut end = self.last[low as usize];
        let (mut last, mut rest) = (end, self.after[end as usize]);
        let (mut node, mut parent, mut edge, mut taken) = (low, high, entering, 0);
        loop {
            let new = Node { parent, edge, size: all - taken, up: up(edge, node) };
            let old = std::mem::replace(&mut self.nodes[node as usize], new);
            if node == out {
                break;
            }
            // The next on the way becomes the last child: itself and what stands between it and the node, then what
            // followed the node's last one up to its own last one.
            let next = old.parent;
            let next_before = self.before[next as usize];
            self.link(end, next);
            end = before;
            let next_last = self.last[next as usize];
            if next_last != last {
                self.link(end, rest);
                (end, last, rest) = (next_last, next_last, self.after[next_last as usize]);
            }
            before = next_before;
            (node, parent, edge, taken) = (next, node, old.edge, old.size);
        }
        while node != high {
            self.last[node as usize] = end;
            node = self.nodes[node as usize].parent;
        }
        let after = self.after[high as usize];
        self.link(high, low);
        self.link(end, after);
        self.move_last(high, high, end);
    }

    /// Takes a node and all below it off the thread; among themselves they stay threaded.
    fn unthread(&mut self, node: u32) {
        let (before, last) = (self.before[node as usize], self.last[node as usize]);
        self.link(before, self.after[last as usize]);
        self.move_last(self.nodes[node as usize].parent, last, before);
    }

    fn link(&mut self, node: u32, after: u32) {
        self.after[node as usize] = after;
        self.before[after as usize] = node;
    }

    /// Where `old` was the last one, at a node and above it, `new` is.
    fn move_last(&mut self, from: u32, old: u32, new: u32) {
        let mut node = from;
        while node != NONE && self.last[node as usize] == old {
            self.last[node as usize] = new;
            node = self.nodes[node as usize].parent;
        }
    }

    /// After `low` was hung below `high` by an edge of this cost: the potentials of what hangs there, or of all the
    /// rest if that is less.
    pub(super) fn shift(&mut self, low: u32, high: u32, cost: i64) {
        let Node { size, up, .. } = self.nodes[low as usize];
        let above = self.potential[high as usize];
        let wanted = if up { above.wrapping_sub(cost) } else { above.wrapping_add(cost) };
        let by = wanted.wrapping_sub(self.potential[low as usize]);
        let root = self.root();
        let end = self.after[self.last[low as usize] as usize];
        if size <= root / 2 {
            self.add(low, end, by);
        } else {
            self.add(root, low, by.wrapping_neg());
            if end != root {
                self.add(end, root, by.wrapping_neg());
            }
        }
    }

    /// Adds to the potentials of a piece of the thread, up to before `end`.
    fn add(&mut self, start: u32, end: u32, by: i64) {
        let mut node = start;
        loop {
            let potential = &mut self.potential[node as usize];
            *potential = potential.wrapping_add(by);
            node = self.after[node as usize];
            if node == end {
                return;
            }
        }
    }
}
