//! Netting rounds run again from files alone (specs/netting.md §11, specs/audit.md §11).
//!
//! What must hold: what a ledger has booked of a result is what the result says of that debt, and all whom the result
//! touches have accepted it. One ledger has the public streams that its node has heard; several together have more.

use super::Audit;
use super::channel::Side;
use super::finding::{Class, EntryRef, Finding, Findings};
use super::netted::Booked;
use super::networks::Networks;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, LedgerId, StreamId};
use crate::ledger::identity::Identity;
use crate::netting::round::attempt::{Attempt, Reading, solve};
use crate::netting::round::view::{Outcome, Round, Rounds};
use crate::netting::round::{Committed, RoundUnit};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// What public streams say of rounds.
#[derive(Debug, Default, Encode, Decode)]
pub(super) struct Heard {
    #[n(0)]
    rounds: Rounds,
    /// Commits shown: they are looked at when all lists are here.
    #[n(1)]
    proofs: Vec<Committed>,
}

impl Heard {
    /// Takes in a public entry. Its node signature is checked with all others.
    pub(super) fn hear(&mut self, identity: &Identity, entry: &Entry) {
        self.rounds.keep_all();
        self.rounds.absorb(identity, entry);
        if let Payload::Committed(proof) = &entry.op().payload {
            self.proofs.push(proof.clone());
        }
    }
}

/// The rounds of several readers. Gives networks that have told them different things, too.
fn together(all: &[&Networks]) -> (Rounds, BTreeSet<LedgerId>) {
    let (mut rounds, mut differ) = (Rounds::default(), BTreeSet::new());
    for networks in all {
        differ.extend(rounds.unite(&networks.rounds.rounds));
    }
    for proof in all.iter().flat_map(|networks| &networks.rounds.proofs) {
        rounds.absorb_proof(proof, |ledger| all.iter().find_map(|networks| networks.identity(ledger)));
    }
    (rounds, differ)
}

/// A result: its round, and its place in a reading of that.
struct Found<'a> {
    round: &'a Round,
    reading: &'a Reading,
    place: usize,
}

/// Attempts of every round that can be read.
type Readings = BTreeMap<Hash, Vec<(u8, Result<Reading, String>)>>;

fn readings(rounds: &Rounds) -> Readings {
    let of_round = |(id, round): (&Hash, &Round)| {
        let attempts = (0..round.attempts()).map(|n| (n, rounds.read_anew(id, n).map_err(|e| e.to_string())));
        (*id, attempts.collect())
    };
    rounds.all().iter().map(of_round).collect()
}

fn found<'a>(rounds: &'a Rounds, readings: &'a Readings, round: &Hash, result: &Hash) -> Option<Found<'a>> {
    let read = readings.get(round)?.iter().filter_map(|(_, reading)| reading.as_ref().ok());
    let mut places = read.filter_map(|reading| {
        let place = reading.results.iter().position(|known| known == result)?;
        Some(Found { round: rounds.get(round)?, reading, place })
    });
    places.next()
}

/// What one ledger has booked, against the rounds that are known.
struct Books<'a> {
    ledger: LedgerId,
    /// Whether its entries are named by place alone.
    is_alone: bool,
    sides: &'a BTreeMap<StreamId, Side>,
}

impl Books<'_> {
    fn at(&self, seq: u64) -> EntryRef {
        if self.is_alone { EntryRef::Own(seq) } else { EntryRef::Of { ledger: self.ledger, seq } }
    }

    fn check(&self, rounds: &Rounds, readings: &Readings, findings: &mut Findings) {
        for side in self.sides.values() {
            for (result, cleared) in &side.cleared {
                let Some(booked) = &cleared.booked else { continue };
                let wrong = match found(rounds, readings, &booked.round, result) {
                    None => {
                        let what = format!(
                            "netting result {result}: what round {} listed and computed is not all here",
                            booked.round
                        );
                        Some(Finding::new(Class::NotChecked, what))
                    }
                    Some(found) => self.judge(&found, result, booked, side.peer),
                };
                wrong.into_iter().for_each(|finding| findings.add(finding.at(self.at(booked.seq))));
            }
        }
    }

    fn judge(&self, found: &Found<'_>, result: &Hash, booked: &Booked, peer: LedgerId) -> Option<Finding> {
        if let Some(Err(why)) = found.reading.verdicts.get(found.place) {
            return Some(Finding::error(format!("netting result {result} is applied, and is wrong: {why}")));
        }
        let ends = if booked.we_owed { (self.ledger, peer) } else { (peer, self.ledger) };
        let edges = found.reading.edges(found.place);
        let says = edges.iter().find(|edge| (edge.0, edge.1) == ends).map_or(0, |edge| edge.3);
        if says != booked.amount {
            let what =
                format!("netting result {result} takes {says} off this debt, booked are {}", booked.amount);
            return Some(Finding::new(Class::Mismatch, what));
        }
        let parties = || found.reading.parties(found.place);
        match found.round.outcome(result, parties()) {
            Outcome::Committed => None,
            Outcome::Aborted(_) => {
                let no = |party: &LedgerId| found.round.vote(result, party).is_some_and(|vote| !vote.accepts);
                let by: Vec<String> = parties().filter(no).map(|party| party.short()).collect();
                let what = format!("netting result {result} is applied, though refused by {}", by.join(", "));
                Some(Finding::error(what))
            }
            Outcome::Open => {
                let has = |party: &LedgerId| found.round.yes(result, party).is_some();
                let of: Vec<String> = parties().filter(|p| !has(p)).map(|party| party.short()).collect();
                let what = format!("netting result {result}: the word of {} is not here", of.join(", "));
                Some(Finding::new(Class::NotChecked, what))
            }
        }
    }
}

/// Checks what a ledger has booked, by the public streams that its node has heard.
pub(super) fn check_one(
    ledger: LedgerId,
    sides: &BTreeMap<StreamId, Side>,
    networks: &Networks,
    findings: &mut Findings,
) {
    if !sides.values().any(|side| side.cleared.values().any(|cleared| cleared.booked.is_some())) {
        return;
    }
    let (rounds, _) = together(&[networks]);
    let readings = readings(&rounds);
    Books { ledger, is_alone: true, sides }.check(&rounds, &readings, findings);
}

/// Rounds run again from the ledgers given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// The ledgers.
    pub ledgers: Vec<LedgerId>,
    /// The rounds, by when they were announced.
    pub rounds: Vec<RoundRerun>,
    /// What was found.
    pub findings: Findings,
}

/// A round run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundRerun {
    /// Its id.
    pub id: Hash,
    /// Who announced it.
    pub by: LedgerId,
    /// In which unit.
    pub unit: RoundUnit,
    /// How many networks have listed debts.
    pub lists: usize,
    /// Its attempts.
    pub attempts: Vec<AttemptRerun>,
}

/// An attempt run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRerun {
    /// Which, from 0.
    pub attempt: u8,
    /// Why it cannot be read.
    pub unread: Option<String>,
    /// What both ends had listed, in minor units, on circles or not.
    pub owed: i128,
    /// What was published as cleared.
    pub cleared: i128,
    /// The most that can be cleared, solved anew from the lists.
    pub optimum: i128,
    /// Whether solving anew gives the very bytes that were published.
    pub is_same: bool,
    /// Its results.
    pub results: Vec<ResultRerun>,
}

/// A result run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRerun {
    /// Its id.
    pub id: Hash,
    /// Whom it touches.
    pub networks: Vec<LedgerId>,
    /// What it clears, in minor units.
    pub cleared: i128,
    /// The rule that it breaks.
    pub wrong: Option<&'static str>,
    /// How it stands.
    pub outcome: Outcome,
    /// Ends of its debts that the ledgers given have to book, and those booked.
    pub ends: (usize, usize),
}

/// Runs every round again that the ledgers given tell of: lists, debts, the solver, votes, and what was booked.
pub fn rerun(audits: &[&Audit]) -> Rerun {
    let networks: Vec<&Networks> = audits.iter().map(|audit| &audit.rest.networks).collect();
    let (rounds, differ) = together(&networks);
    let mut findings = Findings::default();
    for ledger in differ {
        let what = format!("{} has told two of these networks different things of a round", ledger.short());
        findings.add(Finding::new(Class::Equivocation, what));
    }
    let readings = readings(&rounds);
    let given = audits.iter().filter_map(|audit| Some((audit.report.ledger?, &audit.sides)));
    let given: BTreeMap<LedgerId, &BTreeMap<StreamId, Side>> = given.collect();
    for (ledger, sides) in &given {
        Books { ledger: *ledger, is_alone: false, sides }.check(&rounds, &readings, &mut findings);
    }
    let mut shown: Vec<(u64, RoundRerun)> = Vec::new();
    for (id, round) in rounds.all() {
        let Some(said) = &round.announced else {
            let what = format!("round {id}, whose announcement is not here");
            findings.add(Finding::new(Class::NotChecked, what));
            continue;
        };
        let attempts = readings.get(id).into_iter().flatten();
        let attempts = attempts.map(|(n, read)| attempt(id, round, (*n, read), &given, &mut findings));
        let (by, unit) = (said.by, said.says.unit.clone());
        let one = RoundRerun { id: *id, by, unit, lists: round.lists.len(), attempts: attempts.collect() };
        shown.push((said.time_ms, one));
    }
    shown.sort_by_key(|(time_ms, one)| (*time_ms, one.id));
    let rounds = shown.into_iter().map(|(_, one)| one).collect();
    Rerun { ledgers: given.keys().copied().collect(), rounds, findings }
}

fn attempt(
    id: &Hash,
    round: &Round,
    (attempt, read): (u8, &Result<Reading, String>),
    given: &BTreeMap<LedgerId, &BTreeMap<StreamId, Side>>,
    findings: &mut Findings,
) -> AttemptRerun {
    let reading = match read {
        Ok(reading) => reading,
        Err(why) => {
            let unread = Some(why.clone());
            let results = Vec::new();
            return AttemptRerun {
                attempt,
                unread,
                owed: 0,
                cleared: 0,
                optimum: 0,
                is_same: false,
                results,
            };
        }
    };
    let anew = solve_anew(id, attempt, round, reading);
    let sum = |reading: &Reading| reading.cleared.iter().map(crate::netting::Cleared::volume).sum();
    let (cleared, optimum) = (sum(reading), anew.as_ref().map_or(0, sum));
    let right = reading.verdicts.iter().all(Result::is_ok);
    if right && cleared != optimum {
        let what = format!("round {id} clears {cleared}, solved anew {optimum}: one of the two is wrong");
        findings.add(Finding::error(what));
    }
    let results = (0..reading.results.len()).filter_map(|place| {
        let result = *reading.results.get(place)?;
        let verdict = reading.verdicts.get(place)?;
        let outcome = round.outcome(&result, reading.parties(place));
        let ends = if outcome == Outcome::Committed { ends(given, reading, place, &result) } else { (0, 0) };
        if ends.1 < ends.0 {
            let what = format!("netting result {result}: {} of {} ends are booked by now", ends.1, ends.0);
            findings.add(Finding::new(Class::Warning, what));
        }
        Some(ResultRerun {
            id: result,
            networks: reading.parties(place).collect(),
            cleared: reading.cleared.get(place)?.volume(),
            wrong: verdict.as_ref().err().map(|error| error.rule()),
            outcome,
            ends,
        })
    });
    let is_same = anew.is_some_and(|anew| anew.results == reading.results);
    let (owed, results) = (reading.debts.total(), results.collect());
    AttemptRerun { attempt, unread: None, owed, cleared, optimum, is_same, results }
}

/// The same lists, solved here.
fn solve_anew(id: &Hash, attempt: u8, round: &Round, reading: &Reading) -> Option<Reading> {
    let counted = round.lists.iter().filter(|(ledger, _)| reading.set.contains_key(*ledger));
    let lists = counted.map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
    let solved = solve(id, attempt, &lists).ok()??;
    Attempt::read(&solved.to_bytes(), id, attempt, &round.lists).ok()
}

/// Ends of debts of a committed result at the ledgers given, and how many of them are booked.
fn ends(
    given: &BTreeMap<LedgerId, &BTreeMap<StreamId, Side>>,
    reading: &Reading,
    place: usize,
    result: &Hash,
) -> (usize, usize) {
    let (mut all, mut done) = (0_usize, 0_usize);
    for (debtor, creditor, _, less) in reading.edges(place) {
        for (end, peer) in [(debtor, creditor), (creditor, debtor)] {
            let Some(sides) = given.get(&end).filter(|_| less > 0) else { continue };
            let of_peer = sides.values().filter(|side| side.peer == peer);
            let mut booked = of_peer
                .filter(|side| side.cleared.get(result).is_some_and(|cleared| cleared.booked.is_some()));
            all = all.saturating_add(1);
            done = done.saturating_add(usize::from(booked.next().is_some()));
        }
    }
    (all, done)
}
