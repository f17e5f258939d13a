//! An attempt: which lists count, and what is cleared in each component (specs/netting.md §8).
//!
//! What must hold: the debts are those that both ends list, so that nobody can invent one; whoever has the lists can tell
//! whether each result is right, and names it by one hash.

use super::{Listed, MAX_ATTEMPT_BYTES};
use crate::encoding::{Blob, decode_canonical, encode};
use crate::ids::{Hash, LedgerId};
use crate::netting::certificate::CertificateError;
use crate::netting::{Cleared, Component, Debt, DebtError, Debts};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Lists in one attempt: 64 bytes each.
pub const MAX_LISTS: usize = 1_024;
/// Context of the root over the lists of an attempt; it is the seed of its costs.
const SET: &str = "WEFT-NETTING-SET/1\n";
/// Context of the id of a result.
const RESULT: &str = "WEFT-NETTING-RESULT/1\n";

/// Lists that count: each network's, by the leaf of its entry.
pub type Set = BTreeMap<LedgerId, Hash>;

/// What is published of an attempt, in pages.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Attempt {
    /// `ledger:32 ‖ leaf:32` of each list, ascending by ledger.
    #[n(0)]
    pub lists: Blob,
    /// For each component, in order: reductions, then potentials; i64, big-endian.
    #[n(1)]
    pub numbers: Blob,
}

/// Why the pages of an attempt are no attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Pages are missing.
    #[error("the pages of the attempt are not all here")]
    Pages,
    /// A list that it counts is not here, or the network has listed something else first.
    #[error("the list of network {0} that it counts is not the one that is here")]
    List(LedgerId),
    /// The pages do not give an attempt.
    #[error("the pages of the attempt are wrong: {0}")]
    Form(&'static str),
    /// Its debts cannot be netted.
    #[error("its debts: {0}")]
    Debts(#[from] DebtError),
}

/// An attempt read against the lists.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Lists that count.
    pub set: Set,
    /// What both ends list.
    pub debts: Debts,
    /// Parts in which something can be cleared.
    pub components: Vec<Component>,
    /// What is said to be cleared in each.
    pub cleared: Vec<Cleared>,
    /// Its name.
    pub results: Vec<Hash>,
    /// Whether it is right.
    pub verdicts: Vec<Result<(), CertificateError>>,
}

/// The debts that both ends list.
///
/// # Errors
/// All together are too much.
pub fn debts(lists: &BTreeMap<LedgerId, &Listed>) -> Result<Debts, DebtError> {
    let both = |debtor: &LedgerId, line: &super::Line| {
        let theirs = lists.get(&line.peer)?.lines.iter().find(|other| other.peer == *debtor)?;
        let agreed = line.we_owe && !theirs.we_owe && theirs.amount == line.amount && line.peer != *debtor;
        agreed.then(|| Debt { debtor: debtor.0, creditor: line.peer.0, amount: line.amount.minor() })
    };
    let all = lists.iter().flat_map(|(ledger, list)| list.lines.iter().map(move |line| (ledger, line)));
    let all: Vec<Debt> = all.filter_map(|(ledger, line)| both(ledger, line)).collect();
    Debts::new(&all)
}

fn pack(set: &Set) -> Vec<u8> {
    set.iter().flat_map(|(ledger, leaf)| [ledger.as_bytes().as_slice(), leaf.as_bytes()].concat()).collect()
}

/// The root over the lists of an attempt.
pub fn set_root(round: &Hash, attempt: u8, set: &Set) -> Hash {
    Hash::of(SET, &[round.as_bytes(), &[attempt], &pack(set)])
}

/// The name of the result of a component: all that it rests on.
pub fn result_id(set_root: &Hash, component: usize, cleared: &Cleared) -> Hash {
    let place = u32::try_from(component).unwrap_or(u32::MAX).to_be_bytes();
    let [reductions, potentials] = [&cleared.reductions, &cleared.potentials].map(|n| numbers(n));
    Hash::of(RESULT, &[set_root.as_bytes(), &place, &reductions, &potentials])
}

fn numbers(list: &[i64]) -> Vec<u8> {
    list.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// Solves an attempt. `None` when nothing can be cleared.
///
/// # Errors
/// The debts are too much together.
pub fn solve(
    round: &Hash,
    attempt: u8,
    lists: &BTreeMap<LedgerId, (Hash, &Listed)>,
) -> Result<Option<Attempt>, DebtError> {
    let set: Set = lists.iter().map(|(ledger, (leaf, _))| (*ledger, *leaf)).collect();
    let debts = debts(&lists.iter().map(|(ledger, (_, list))| (*ledger, *list)).collect())?;
    let components = debts.components(&set_root(round, attempt, &set));
    if components.is_empty() {
        return Ok(None);
    }
    let solved = components.iter().map(Component::solve);
    let all: Vec<u8> = solved
        .flat_map(|cleared| [numbers(&cleared.reductions), numbers(&cleared.potentials)].concat())
        .collect();
    Ok(Some(Attempt { lists: Blob(pack(&set)), numbers: Blob(all) }))
}

impl Attempt {
    /// As it is published.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// The lists that count.
    ///
    /// # Errors
    /// Too many, cut short, or not in ascending order.
    pub fn set(&self) -> Result<Set, Unread> {
        let (pairs, rest) = self.lists.0.as_chunks::<64>();
        if !rest.is_empty() || pairs.is_empty() || pairs.len() > MAX_LISTS {
            return Err(Unread::Form("the lists are cut short, or too many"));
        }
        let pair = |pair: &[u8; 64]| {
            let (mut ledger, mut leaf) = ([0; 32], [0; 32]);
            ledger.copy_from_slice(&pair[..32]);
            leaf.copy_from_slice(&pair[32..]);
            (LedgerId(ledger), Hash(leaf))
        };
        let all: Vec<(LedgerId, Hash)> = pairs.iter().map(pair).collect();
        if !all.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(Unread::Form("the lists are not in ascending order"));
        }
        Ok(all.into_iter().collect())
    }

    /// Reads published bytes against the lists that are known.
    ///
    /// # Errors
    /// What is missing or wrong; a result that is wrong has a verdict instead.
    pub fn read(
        bytes: &[u8],
        round: &Hash,
        attempt: u8,
        known: &BTreeMap<LedgerId, (Hash, Listed)>,
    ) -> Result<Reading, Unread> {
        let this: Self = decode_canonical(bytes, MAX_ATTEMPT_BYTES)
            .map_err(|_| Unread::Form("they are not the one encoding of an attempt"))?;
        let set = this.set()?;
        let mut lists = BTreeMap::new();
        for (ledger, leaf) in &set {
            let list = known.get(ledger).filter(|(first, _)| first == leaf);
            lists.insert(*ledger, &list.ok_or(Unread::List(*ledger))?.1);
        }
        let debts = debts(&lists)?;
        let root = set_root(round, attempt, &set);
        let components = debts.components(&root);
        let (all, rest) = this.numbers.0.as_chunks::<8>();
        let mut all = all.iter().map(|bytes| i64::from_be_bytes(*bytes));
        let wanted = components.iter().map(|c| c.edges.len().saturating_add(c.nodes.len()));
        if !rest.is_empty() || all.len() != wanted.sum::<usize>() || components.is_empty() {
            return Err(Unread::Form("the numbers are not one for each edge and each network"));
        }
        let mut read = |component: &Component| {
            let reductions = all.by_ref().take(component.edges.len()).collect();
            let potentials = all.by_ref().take(component.nodes.len()).collect();
            Cleared { reductions, potentials }
        };
        let cleared: Vec<Cleared> = components.iter().map(&mut read).collect();
        let results = (0..).zip(&cleared).map(|(place, cleared)| result_id(&root, place, cleared)).collect();
        let verdicts = components.iter().zip(&cleared).map(|(c, cleared)| c.verify(cleared)).collect();
        Ok(Reading { set, debts, components, cleared, results, verdicts })
    }
}

impl Reading {
    /// The networks of a component, ascending.
    pub fn parties(&self, component: usize) -> impl Iterator<Item = LedgerId> + '_ {
        let nodes = self.components.get(component).map(|c| c.nodes.as_slice()).unwrap_or_default();
        nodes.iter().filter_map(|node| self.debts.parties().get(*node as usize)).map(|party| LedgerId(*party))
    }

    /// The component that a network is in.
    pub fn component_of(&self, ledger: &LedgerId) -> Option<usize> {
        (0..self.components.len()).find(|place| self.parties(*place).any(|party| party == *ledger))
    }

    /// Edges of a component, with what is owed and by how much it shrinks: (debtor, creditor, owed, less).
    pub fn edges(&self, component: usize) -> Vec<(LedgerId, LedgerId, i64, i64)> {
        let both = self.components.get(component).zip(self.cleared.get(component));
        let pairs = both.into_iter().flat_map(|(c, cleared)| c.edges.iter().zip(&cleared.reductions));
        let edge = |(place, less): (&usize, &i64)| {
            let arc = self.debts.arcs().get(*place)?;
            let [debtor, creditor] =
                [arc.debtor, arc.creditor].map(|node| self.debts.parties().get(node as usize));
            Some((LedgerId(*debtor?), LedgerId(*creditor?), arc.amount, *less))
        };
        pairs.filter_map(edge).collect()
    }
}
