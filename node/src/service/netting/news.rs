//! What people are told of netting rounds without asking: what came of a round, what waits for their word, what holds a
//! debt longer than the round lasts (specs/netting.md 7.9).
//!
//! What must hold: only of rounds in which debts of ours take part or could, and never longer than a week.

use crate::service::Core;
use weft_api::{NettingReport, NettingResult};
use weft_protocol::ids::Hash;
use weft_protocol::netting::round::MAX_ROUND_MS;
use weft_protocol::netting::round::view::{Announcement, Round};
use weft_protocol::time::moment;

/// For how long it is said what came of a round: who looks once a week hears of each.
const TOLD_FOR_MS: u64 = MAX_ROUND_MS;
/// So much of an id names a round among those that a node keeps.
const SHORT_ID: usize = 12;

pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

impl Core {
    /// What came of rounds, what waits for a word of ours, and how proposals about invoices stand.
    pub fn netting_news(&self) -> Vec<String> {
        let now_ms = self.entry_time_ms();
        let known = self.engine().peers().rounds().all().iter();
        let told = known.filter_map(|(id, round)| Some((id, round, round.announced.as_ref()?)));
        let told = told.filter(|(.., said)| now_ms <= said.says.votes_until_ms.saturating_add(TOLD_FOR_MS));
        let rounds = told.filter_map(|(id, round, said)| self.news_of(id, round, said));
        rounds.chain(self.proposal_news()).collect()
    }

    /// Rounds whose time is over and that still hold debts of ours.
    pub fn netting_problems(&self) -> Vec<String> {
        let now_ms = self.entry_time_ms();
        let known = self.engine().peers().rounds().all().iter();
        let late = known.filter_map(|(id, round)| {
            let said = round.announced.as_ref().filter(|said| now_ms > said.says.votes_until_ms)?;
            let held = self.engine().state().held.iter().any(|((of, _), row)| of == id && !row.ended);
            (held && self.engine().is_unfinished(id)).then_some((id, round, said))
        });
        late.filter_map(|(id, round, said)| {
            let shown = self.round_shown(id, round)?;
            let open = shown.results.iter().filter(|result| !result.ours.is_empty() && result.outcome == "open");
            let waits: Vec<String> = open.flat_map(|result| result.waits_for.clone()).collect();
            if waits.is_empty() {
                return None;
            }
            let (id, until, who) = (short(&shown.id), moment(said.says.votes_until_ms), waits.join(", "));
            Some(format!(
                "netting round {id} ended {until} and waits for the word of {who}; until it comes, debts of ours stay held for it, \
                 unless `weft netting drop {id}` lets them go"
            ))
        })
        .collect()
    }

    fn news_of(&self, id: &Hash, round: &Round, said: &Announcement) -> Option<String> {
        let takes_part = self.engine().state().rounds.contains_key(id);
        let wish = self.engine().will().of_round.get(id).copied().unwrap_or_default();
        let shown = self.round_shown(id, round)?;
        let name = format!("netting round {} in {}", short(&shown.id), shown.unit);
        let id = short(&shown.id);
        if let Some(report) = shown.report.as_ref().filter(|_| takes_part) {
            return Some(format!(
                "{name} is over: {} (`weft netting show {id}`)",
                came_of(report, &shown.unit)
            ));
        }
        let rule = self.engine().will();
        let is_open = |result: &&NettingResult| {
            let sound = result.wrong.is_none() && result.outcome == "open";
            sound && !result.ours.is_empty() && result.our_word.is_none()
        };
        if let Some(result) = shown.results.iter().find(is_open)
            && shown.phase == "results"
            && wish.accepts.is_none()
            && !rule.accepts
        {
            let until = moment(said.says.votes_until_ms);
            let (cleared, unit) = (&result.cleared, &shown.unit);
            return Some(format!(
                "{name} can clear {cleared} {unit} among {} networks and waits for our word until {until}: `weft netting show {id}`",
                result.networks.len()
            ));
        }
        let could = || {
            let unit = self.engine().round_unit(&said.says.unit);
            unit.is_some_and(|unit| !self.engine().nettable(unit).is_empty())
        };
        if shown.phase == "offers" && wish.joins.is_none() && !rule.joins && could() {
            let until = moment(said.says.offers_until_ms);
            return Some(format!(
                "{name}, announced by {}, takes debts until {until}; ours take part when somebody here says so: `weft netting \
                 join {id}`",
                shown.by
            ));
        }
        None
    }
}

fn came_of(report: &NettingReport, unit: &str) -> String {
    let NettingReport { networks, owed, cleared, our_cleared } = report;
    if *networks == 0 {
        return "nothing was cleared, every debt is as it was".to_owned();
    }
    format!(
        "{cleared} of {owed} {unit} were cleared among {networks} networks, we owe {our_cleared} less and are owed {our_cleared} less"
    )
}
