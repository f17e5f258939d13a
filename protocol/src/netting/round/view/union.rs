//! What several readers of the public streams know of rounds, together.

use super::{Round, Rounds};
use crate::ids::LedgerId;
use std::collections::BTreeSet;

impl Rounds {
    /// For a reader that forgets no round: what it reads is as long as its files, and nobody adds to them.
    pub(crate) fn keep_all(&mut self) {
        self.keeps_all = true;
    }

    /// Takes in what another reader knows. Gives the networks that have told the two of them different things.
    pub(crate) fn unite(&mut self, other: &Self) -> BTreeSet<LedgerId> {
        self.keep_all();
        let mut differ = BTreeSet::new();
        for (id, theirs) in &other.rounds {
            match self.rounds.get_mut(id) {
                Some(ours) => ours.unite(theirs, &mut differ),
                None => drop(self.rounds.insert(*id, theirs.clone())),
            }
        }
        self.read.clear();
        differ
    }
}

impl Round {
    fn unite(&mut self, other: &Self, differ: &mut BTreeSet<LedgerId>) {
        if self.announced.is_none() {
            self.announced.clone_from(&other.announced);
        }
        for (ledger, list) in &other.lists {
            let known = self.lists.entry(*ledger).or_insert_with(|| list.clone());
            differ.extend((known.0 != list.0).then_some(*ledger));
        }
        let by = self.announced.as_ref().map(|said| said.by);
        for (place, page) in &other.pages {
            let known = self.pages.entry(*place).or_insert_with(|| page.clone());
            differ.extend(by.filter(|_| known != page));
        }
        for (key, vote) in &other.votes {
            let known = self.votes.entry(*key).or_insert(*vote);
            differ.extend((known.leaf != vote.leaf).then_some(key.1));
        }
        for (key, yes) in &other.shown {
            self.shown.entry(*key).or_insert(*yes);
        }
    }
}
