//! Rounds as the public streams tell them, our own among them (specs/netting.md §7 to §10).
//!
//! What must hold: it is a function of the public entries in the order of their coming, and each network's first word on
//! anything is its word. Nothing here is anybody's decision.

mod union;

use super::attempt::{Attempt, Reading, Set, Unread};
use super::{
    Announced, Committed, Listed, MAX_ATTEMPT_BYTES, MAX_ATTEMPTS, RefusalReason, ResultPage, Voted, Yes,
};
use crate::encoding::Blob;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, LedgerId};
use crate::ledger::identity::Identity;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// Rounds that are kept; beyond, the oldest in which we have no part go.
pub const MAX_ROUNDS: usize = 128;
/// Rounds of one network that are kept.
const MAX_ROUNDS_OF_ONE: usize = 32;
/// Words on results that are kept of one network in a round: one for each attempt, and as many that no result has.
const MAX_VOTES: usize = 2 * MAX_ATTEMPTS as usize;

/// An announcement with its author.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Announcement {
    /// Who announced it, and computes it.
    #[n(0)]
    pub by: LedgerId,
    /// When, in its own time.
    #[n(1)]
    pub time_ms: u64,
    /// What it says.
    #[n(2)]
    pub says: Announced,
}

/// A network's word on a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    /// Leaf of its entry.
    #[n(0)]
    pub leaf: Hash,
    /// Yes or no.
    #[n(1)]
    pub accepts: bool,
    /// Why not.
    #[n(2)]
    pub reason: Option<RefusalReason>,
    /// As it convinces others.
    #[n(3)]
    pub proof: Yes,
}

/// What is known of a round.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Round {
    /// Its announcement.
    #[n(0)]
    pub announced: Option<Announcement>,
    /// The first list of each network, with the leaf of its entry.
    #[n(1)]
    pub lists: BTreeMap<LedgerId, (Hash, Listed)>,
    /// Pages, by attempt and place: how many there are, and the bytes. The first at a place counts.
    #[n(2)]
    pages: BTreeMap<(u8, u16), (u16, Blob)>,
    /// The first word of each network on each result.
    #[n(3)]
    votes: BTreeMap<(Hash, LedgerId), Vote>,
    /// A yes that somebody else has shown.
    #[n(4)]
    shown: BTreeMap<(Hash, LedgerId), Yes>,
    /// When the first entry about it was written.
    #[n(5)]
    since_ms: u64,
    /// Who wrote that.
    #[n(6)]
    opened_by: LedgerId,
    /// Results that we have shown to be committed.
    #[n(7)]
    proven: BTreeSet<Hash>,
}

/// How a result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not all have spoken.
    Open,
    /// All have accepted it.
    Committed,
    /// A network has refused it: leaf of its entry.
    Aborted(Hash),
}

/// Every round that is known.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct Rounds {
    #[n(0)]
    rounds: BTreeMap<Hash, Round>,
    /// Whose rounds are not forgotten: ours.
    #[n(1)]
    us: Option<LedgerId>,
    /// Whether none is forgotten, as in an audit.
    #[cbor(skip)]
    keeps_all: bool,
    /// Attempts that were read; derived.
    #[cbor(skip)]
    read: BTreeMap<(Hash, u8), std::sync::Arc<Reading>>,
}

impl Round {
    /// How a network has voted on a result.
    pub fn vote(&self, result: &Hash, ledger: &LedgerId) -> Option<&Vote> {
        self.votes.get(&(*result, *ledger))
    }

    /// A yes of a network, said in public or shown by somebody.
    pub fn yes(&self, result: &Hash, ledger: &LedgerId) -> Option<Yes> {
        let said = self.vote(result, ledger).filter(|vote| vote.accepts).map(|vote| vote.proof);
        said.or_else(|| self.shown.get(&(*result, *ledger)).copied())
    }

    /// How a result stands among those that it touches.
    pub fn outcome(&self, result: &Hash, parties: impl Iterator<Item = LedgerId>) -> Outcome {
        let (mut all, mut refused) = (true, None);
        for party in parties {
            if self.yes(result, &party).is_none() {
                all = false;
                let no = self.vote(result, &party).filter(|vote| !vote.accepts);
                refused = refused.or(no.map(|vote| vote.leaf));
            }
        }
        match (all, refused) {
            (true, _) => Outcome::Committed,
            (false, Some(leaf)) => Outcome::Aborted(leaf),
            (false, None) => Outcome::Open,
        }
    }

    /// Networks that have refused some result.
    pub fn refusers(&self) -> impl Iterator<Item = LedgerId> + '_ {
        self.votes.iter().filter(|(_, vote)| !vote.accepts).map(|((_, ledger), _)| *ledger)
    }

    /// Attempts of which something is published.
    pub fn attempts(&self) -> u8 {
        self.pages.keys().map(|(attempt, _)| attempt.saturating_add(1)).max().unwrap_or(0)
    }

    /// Whether we have shown that all have accepted a result.
    pub fn has_shown(&self, result: &Hash) -> bool {
        self.proven.contains(result)
    }

    fn bytes(&self, attempt: u8) -> Option<Vec<u8>> {
        let (pages, _) = self.pages.get(&(attempt, 0))?;
        let mut bytes = Vec::new();
        for page in 0..*pages {
            let (count, part) = self.pages.get(&(attempt, page))?;
            if count != pages || bytes.len().saturating_add(part.0.len()) > MAX_ATTEMPT_BYTES {
                return None;
            }
            bytes.extend_from_slice(&part.0);
        }
        Some(bytes)
    }
}

impl Rounds {
    /// The rounds, by their ids.
    pub fn all(&self) -> &BTreeMap<Hash, Round> {
        &self.rounds
    }

    /// A round.
    pub fn get(&self, round: &Hash) -> Option<&Round> {
        self.rounds.get(round)
    }

    /// Whose part is never forgotten.
    pub fn are_of(&mut self, us: LedgerId) {
        self.us = Some(us);
    }

    /// Takes in a public entry of a network; one of another area says nothing here. Its node signature was checked.
    pub fn absorb(&mut self, identity: &Identity, entry: &Entry) {
        let (ledger, time_ms) = (entry.body().ledger, entry.body().time_ms);
        match &entry.op().payload {
            Payload::Announced(says) => {
                let said = Announcement { by: ledger, time_ms, says: says.clone() };
                if let Some(round) = self.open(entry.leaf(), ledger, time_ms) {
                    round.announced.get_or_insert(said);
                }
            }
            Payload::Listed(list) => {
                let fits = super::in_order(&list.lines, false);
                if let Some(round) = self.open(list.round, ledger, time_ms).filter(|_| fits) {
                    round.lists.entry(ledger).or_insert_with(|| (entry.leaf(), list.clone()));
                }
            }
            Payload::ResultPage(page) => self.page(ledger, page),
            Payload::Voted(vote) => {
                let Some(round) = self.open(vote.round, ledger, time_ms) else { return };
                let many = round.votes.keys().filter(|(_, by)| *by == ledger).count() >= MAX_VOTES;
                if many || !vote.is_signed_by(identity) {
                    return;
                }
                round.votes.entry((vote.result, ledger)).or_insert_with(|| of_entry(entry, vote));
            }
            _ => {}
        }
    }

    /// Takes in what shows a commit; `known` gives who networks are.
    pub fn absorb_proof<'i>(&mut self, proof: &Committed, known: impl Fn(&LedgerId) -> Option<&'i Identity>) {
        let Some(round) = self.rounds.get_mut(&proof.round) else { return };
        for yes in &proof.yes {
            let listed = round.lists.contains_key(&yes.ledger);
            let says = |identity| yes.says(&proof.round, &proof.result, true, identity);
            let many = round.shown.keys().filter(|(_, by)| *by == yes.ledger).count() >= MAX_VOTES;
            if listed && !many && known(&yes.ledger).is_some_and(says) {
                round.shown.entry((proof.result, yes.ledger)).or_insert(*yes);
            }
        }
    }

    /// What we have shown ourselves.
    pub fn have_shown(&mut self, proof: &Committed) {
        if let Some(round) = self.rounds.get_mut(&proof.round) {
            round.proven.insert(proof.result);
        }
    }

    fn page(&mut self, ledger: LedgerId, page: &ResultPage) {
        let ours = |round: &&mut Round| round.announced.as_ref().is_some_and(|said| said.by == ledger);
        let Some(round) = self.rounds.get_mut(&page.round).filter(ours) else { return };
        let most = MAX_ATTEMPT_BYTES.div_ceil(super::MAX_PAGE_BYTES);
        let size = 1..=super::MAX_PAGE_BYTES;
        let fits = page.attempt < MAX_ATTEMPTS && page.page < page.pages && usize::from(page.pages) <= most;
        if fits && size.contains(&page.bytes.0.len()) {
            round.pages.entry((page.attempt, page.page)).or_insert((page.pages, page.bytes.clone()));
        }
    }

    /// The round of this id, new if need be; `None` when its author has as many as are kept.
    fn open(&mut self, id: Hash, by: LedgerId, time_ms: u64) -> Option<&mut Round> {
        if !self.keeps_all && !self.rounds.contains_key(&id) {
            let of_one = self.rounds.iter().filter(|(_, round)| round.opened_by == by);
            let of_one: Vec<(Hash, u64)> = of_one.map(|(id, round)| (*id, round.since_ms)).collect();
            let all = self.rounds.iter().map(|(id, round)| (*id, round.since_ms)).collect();
            for (crowd, most) in [(of_one, MAX_ROUNDS_OF_ONE), (all, MAX_ROUNDS)] {
                if crowd.len() >= most {
                    self.forget_oldest(crowd)?;
                }
            }
        }
        let new = || Round {
            announced: None,
            lists: BTreeMap::new(),
            pages: BTreeMap::new(),
            votes: BTreeMap::new(),
            shown: BTreeMap::new(),
            since_ms: time_ms,
            opened_by: by,
            proven: BTreeSet::new(),
        };
        Some(self.rounds.entry(id).or_insert_with(new))
    }

    fn forget_oldest(&mut self, crowd: Vec<(Hash, u64)>) -> Option<()> {
        let no_part = |id: &Hash| {
            let round = self.rounds.get(id);
            !round.is_some_and(|round| self.us.is_some_and(|us| round.lists.contains_key(&us)))
        };
        let (oldest, _) =
            crowd.into_iter().filter(|(id, _)| no_part(id)).min_by_key(|(id, ms)| (*ms, *id))?;
        self.rounds.remove(&oldest);
        self.read.retain(|(id, _), _| *id != oldest);
        Some(())
    }

    /// An attempt, read against the lists that are known here.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read(&mut self, id: &Hash, attempt: u8) -> Result<std::sync::Arc<Reading>, Unread> {
        if let Some(read) = self.read.get(&(*id, attempt)) {
            return Ok(read.clone());
        }
        let reading = std::sync::Arc::new(self.read_anew(id, attempt)?);
        self.read.insert((*id, attempt), reading.clone());
        Ok(reading)
    }

    /// The same, read anew where it was not read before.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read_kept(&self, id: &Hash, attempt: u8) -> Result<std::sync::Arc<Reading>, Unread> {
        match self.read.get(&(*id, attempt)) {
            Some(read) => Ok(read.clone()),
            None => self.read_anew(id, attempt).map(std::sync::Arc::new),
        }
    }

    /// The same for who only looks.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn read_anew(&self, id: &Hash, attempt: u8) -> Result<Reading, Unread> {
        let round = self.rounds.get(id).ok_or(Unread::Pages)?;
        let bytes = round.bytes(attempt).ok_or(Unread::Pages)?;
        Attempt::read(&bytes, id, attempt, &round.lists)
    }

    /// The lists that the next attempt would count: of the first all; later those of networks whose last result was
    /// refused by others. Empty when there is nothing to attempt.
    pub fn next_set(&mut self, id: &Hash) -> (u8, Set) {
        let Some(round) = self.rounds.get(id) else { return (0, Set::new()) };
        let (attempts, lists) = (round.attempts(), round.lists.clone());
        let all: Set = lists.iter().map(|(ledger, (leaf, _))| (*ledger, *leaf)).collect();
        if attempts >= MAX_ATTEMPTS {
            return (attempts, Set::new());
        }
        let mut is_first = true;
        let mut again: BTreeMap<LedgerId, bool> = BTreeMap::new();
        for attempt in 0..attempts {
            // What a crash has left of one is none.
            let Ok(reading) = self.read(id, attempt) else { continue };
            is_first = false;
            let Some(round) = self.rounds.get(id) else { continue };
            for (place, result) in reading.results.iter().enumerate() {
                let aborted = matches!(round.outcome(result, reading.parties(place)), Outcome::Aborted(_));
                again.extend(reading.parties(place).map(|party| (party, aborted)));
            }
        }
        if is_first {
            return (attempts, all);
        }
        if let Some(round) = self.rounds.get(id) {
            for refuser in round.refusers() {
                again.remove(&refuser);
            }
        }
        (attempts, all.into_iter().filter(|(ledger, _)| again.get(ledger) == Some(&true)).collect())
    }
}

fn of_entry(entry: &Entry, vote: &Voted) -> Vote {
    let proof = vote.proof(entry.body().ledger);
    Vote { leaf: entry.leaf(), accepts: vote.accepts, reason: vote.reason, proof }
}
