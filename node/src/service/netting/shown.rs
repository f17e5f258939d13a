//! What a node shows of netting rounds: how they stand, what they do to our debts, and what came of them.
//!
//! What must hold: all of it follows from entries that are here; nothing is guessed about what others owe each other.

use super::NettingRefused;
use crate::service::Core;
use weft_api::{NettingDebt, NettingPreview, NettingReport, NettingResult, NettingRound};
use weft_protocol::amount::format_decimal;
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::ledger::Rejected;
use weft_protocol::netting::round::RoundUnit;
use weft_protocol::netting::round::attempt::{Attempt, Reading, solve};
use weft_protocol::netting::round::view::{Announcement, Outcome, Round};

/// A result: of which round and attempt, and its place among the results of that.
#[derive(Clone, Copy)]
struct Place<'a> {
    round: (&'a Hash, &'a Round),
    attempt: u8,
    reading: &'a Reading,
    component: usize,
}

impl Place<'_> {
    fn result(&self) -> Hash {
        self.reading.results.get(self.component).copied().unwrap_or(Hash::ZERO)
    }
    fn parties(&self) -> Vec<LedgerId> {
        self.reading.parties(self.component).collect()
    }
    fn outcome(&self) -> Outcome {
        self.round.1.outcome(&self.result(), self.reading.parties(self.component))
    }
    /// What its networks owe each other, and how much of it is cleared. All debts together stay below 2^62.
    fn sums(&self) -> (i64, i64) {
        let edges = self.reading.edges(self.component);
        edges.iter().fold((0, 0), |(owed, less), edge| (owed + edge.2, less + edge.3))
    }
}

impl Core {
    /// Rounds that are known, the newest first.
    pub fn netting_rounds(&self) -> Vec<NettingRound> {
        let known = self.engine().peers().rounds().all();
        let mut all: Vec<_> = known.iter().filter_map(|(id, round)| self.round_shown(id, round)).collect();
        all.sort_by(|one, other| (other.votes_until_ms, &one.id).cmp(&(one.votes_until_ms, &other.id)));
        all
    }

    pub(super) fn round_shown(&self, id: &Hash, round: &Round) -> Option<NettingRound> {
        let said = round.announced.as_ref()?;
        let scale = said.says.unit.scale;
        let held = self.engine().state().held.range((*id, LedgerId::ZERO)..);
        let held = held.take_while(|((of, _), _)| of == id).filter(|(_, row)| !row.ended);
        let held = held.map(|((_, peer), row)| {
            let amount = row.amount.minor();
            self.debt(peer, row.we_owe, (amount, amount), scale)
        });
        let readings: Vec<(u8, Reading)> = (0..round.attempts())
            .filter_map(|n| Some((n, self.engine().peers().rounds().read_anew(id, n).ok()?)))
            .collect();
        let places: Vec<Place<'_>> = readings
            .iter()
            .flat_map(|(attempt, reading)| {
                let of_one = 0..reading.results.len();
                of_one.map(|component| Place { round: (id, round), attempt: *attempt, reading, component })
            })
            .collect();
        let results: Vec<NettingResult> =
            places.iter().map(|place| self.result_shown(*place, scale)).collect();
        let wish = self.engine().will().of_round.get(id);
        Some(NettingRound {
            id: id.to_string(),
            by: self.name_or_us(&said.by),
            unit: said.says.unit.code.clone(),
            phase: self.phase(said).to_owned(),
            offers_until_ms: said.says.offers_until_ms,
            lists_until_ms: said.says.lists_until_ms,
            votes_until_ms: said.says.votes_until_ms,
            lists: round.lists.len(),
            joins: wish.and_then(|wish| wish.joins).unwrap_or(self.engine().will().joins),
            held: held.collect(),
            unfinished: self.engine().is_unfinished(id),
            report: self.report(id, said, &places),
            results,
        })
    }

    fn phase(&self, said: &Announcement) -> &'static str {
        let now_ms = self.entry_time_ms();
        match () {
            () if now_ms < said.says.offers_until_ms => "offers",
            () if now_ms < said.says.lists_until_ms => "lists",
            () if now_ms <= said.says.votes_until_ms => "results",
            () => "over",
        }
    }

    /// What came of a round: there when its time is over and nothing of it is left to do here.
    fn report(&self, id: &Hash, said: &Announcement, places: &[Place<'_>]) -> Option<NettingReport> {
        if self.phase(said) != "over" || self.engine().is_unfinished(id) {
            return None;
        }
        let scale = said.says.unit.scale;
        let done: Vec<&Place<'_>> =
            places.iter().filter(|place| place.outcome() == Outcome::Committed).collect();
        let listed = places.first().map_or(0, |place| place.reading.debts.total());
        let votes = self.engine().state().rounds.get(id).into_iter().flat_map(|row| &row.votes);
        let booked = votes.flat_map(|vote| &vote.lines).filter(|line| line.booked && line.line.we_owe);
        let ours: i64 = booked.map(|line| line.line.amount.minor()).sum();
        Some(NettingReport {
            networks: done.iter().map(|place| place.parties().len()).sum(),
            owed: format_decimal(i64::try_from(listed).unwrap_or(i64::MAX), scale),
            cleared: format_decimal(done.iter().map(|place| place.sums().1).sum(), scale),
            our_cleared: format_decimal(ours, scale),
        })
    }

    fn called(&self, ledger: &LedgerId) -> String {
        let local = self.private().peer(ledger).ok().flatten();
        local.map_or_else(|| ledger.short(), |local| local.alias)
    }

    fn name_or_us(&self, ledger: &LedgerId) -> String {
        let us = self.engine().state().ledger().ok();
        if us.as_ref() == Some(ledger) { "us".to_owned() } else { self.called(ledger) }
    }

    fn debt(&self, peer: &LedgerId, we_owe: bool, (before, after): (i64, i64), scale: u8) -> NettingDebt {
        NettingDebt {
            ledger: peer.to_string(),
            alias: self.called(peer),
            we_owe,
            before: format_decimal(before, scale),
            after: format_decimal(after, scale),
        }
    }

    fn result_shown(&self, place: Place<'_>, scale: u8) -> NettingResult {
        let (id, round) = place.round;
        let (result, parties, outcome) = (place.result(), place.parties(), place.outcome());
        let us = self.engine().state().ledger().ok();
        let no = |party: &LedgerId| round.vote(&result, party).filter(|vote| !vote.accepts);
        let has_yes = |party: &LedgerId| round.yes(&result, party).is_some();
        let missing = parties.iter().filter(|party| no(party).is_none() && !has_yes(party));
        let refused = parties.iter().filter_map(|party| {
            let why = no(party)?.reason.map_or("it gives no reason", |reason| reason.text());
            Some(format!("{}: {why}", self.name_or_us(party)))
        });
        let own = us.and_then(|us| if has_yes(&us) { Some("accepted") } else { no(&us).map(|_| "refused") });
        let votes = self.engine().state().rounds.get(id).into_iter().flat_map(|row| &row.votes);
        let lines = votes.filter(|vote| vote.result == result).flat_map(|vote| &vote.lines);
        let (owed, cleared) = place.sums();
        let verdict = place.reading.verdicts.get(place.component);
        NettingResult {
            id: result.to_string(),
            attempt: place.attempt.saturating_add(1),
            networks: parties.iter().map(LedgerId::to_string).collect(),
            owed: format_decimal(owed, scale),
            cleared: format_decimal(cleared, scale),
            wrong: verdict.and_then(|verdict| verdict.as_ref().err()).map(|e| e.rule().to_owned()),
            outcome: match outcome {
                Outcome::Open => "open",
                Outcome::Committed => "committed",
                Outcome::Aborted(_) => "aborted",
            }
            .to_owned(),
            waits_for: missing.map(|party| self.name_or_us(party)).collect(),
            refused_by: refused.collect(),
            our_word: own.map(str::to_owned),
            ours: self.ours_in(place, scale),
            to_book: match outcome {
                Outcome::Committed => lines.filter(|line| !line.booked).count(),
                Outcome::Open | Outcome::Aborted(_) => 0,
            },
        }
    }

    /// What a result does to our own debts.
    fn ours_in(&self, place: Place<'_>, scale: u8) -> Vec<NettingDebt> {
        let Ok(us) = self.engine().state().ledger() else { return Vec::new() };
        let edges = place.reading.edges(place.component).into_iter();
        let ours = edges.filter_map(|(debtor, creditor, owed, less)| {
            let both = (owed, owed.saturating_sub(less));
            match us {
                us if us == debtor => Some(self.debt(&creditor, true, both, scale)),
                us if us == creditor => Some(self.debt(&debtor, false, both, scale)),
                _ => None,
            }
        });
        ours.collect()
    }

    /// What could be cleared now.
    ///
    /// # Errors
    /// No such unit, or several could be meant.
    pub fn netting_preview(&self, unit: Option<&str>) -> Result<NettingPreview, NettingRefused> {
        let unit = self.unit_called(unit)?;
        let defined = self.engine().state().units.get(&unit).cloned();
        let defined = defined.ok_or(Rejected::RoundUnit)?;
        let all = self.engine().nettable(unit);
        let sum = |we_owe: bool| {
            let of = all.iter().filter(|(_, _, _, owe, _)| *owe == we_owe);
            of.fold(0_i64, |sum, (.., free)| sum.saturating_add(*free))
        };
        let (owing, owed) = (sum(true), sum(false));
        let show = |minor| format_decimal(minor, defined.scale);
        let debts = all
            .iter()
            .map(|(_, peer, _, we_owe, free)| self.debt(peer, *we_owe, (*free, *free), defined.scale));
        Ok(NettingPreview {
            schema: "weft.netting-preview/1".to_owned(),
            unit: defined.code.clone(),
            debts: debts.collect(),
            owing: show(owing),
            owed: show(owed),
            at_most: show(owing.min(owed)),
            known: self.known_results(&RoundUnit::of(&defined)),
        })
    }

    /// What the lists of the newest open round in a unit would clear; those that touch us come first.
    fn known_results(&self, unit: &RoundUnit) -> Vec<NettingResult> {
        let now_ms = self.entry_time_ms();
        let fits = |said: &&Announcement| said.says.unit == *unit && now_ms <= said.says.votes_until_ms;
        let rounds = self.engine().peers().rounds().all().iter();
        let open = rounds.filter_map(|(id, round)| Some((id, round, round.announced.as_ref().filter(fits)?)));
        let Some((id, round, _)) = open.max_by_key(|(id, _, said)| (said.time_ms, *id)) else {
            return Vec::new();
        };
        let lists = round.lists.iter().map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
        let Ok(Some(solved)) = solve(id, 0, &lists) else { return Vec::new() };
        let Ok(reading) = Attempt::read(&solved.to_bytes(), id, 0, &round.lists) else { return Vec::new() };
        let place = |component| Place { round: (id, round), attempt: 0, reading: &reading, component };
        let mut all: Vec<NettingResult> =
            (0..reading.results.len()).map(|n| self.result_shown(place(n), unit.scale)).collect();
        all.sort_by_key(|result| result.ours.is_empty());
        all
    }
}
