//! Netting rounds, as people ask for them (specs/netting.md §7 to §10).
//!
//! What people want is kept in the private store before it counts, so that no start forgets it; what follows from it is
//! entries. What must hold: without a word of ours nothing is offered and nothing accepted.

mod accounts;
mod news;
mod proposals;
mod shown;

pub use proposals::ProposalRefused;

use super::core::Core;
use std::collections::BTreeMap;
use weft_api::NettingRule;
use weft_protocol::clearing::engine::{Will, Wish};
use weft_protocol::ids::{Hash, UnitId};
use weft_protocol::ledger::Rejected;
use weft_protocol::netting::round::view::MAX_ROUNDS;
use weft_protocol::netting::round::{Announced, MAX_ROUND_MS, RoundUnit};

/// Where what people want is kept.
const WILL: &str = "netting";

// A line of a round is its id and three letters: all that are known fit in one setting.
const _: () = assert!(MAX_ROUNDS * (2 * Hash::LEN + 5) + 16 <= crate::store::private::MAX_SETTING_BYTES);

/// What is wanted in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundAction {
    /// Our debts take part.
    Join,
    /// They do not.
    Leave,
    /// A result that verifies is accepted.
    Accept,
    /// It is refused.
    Refuse,
    /// What is held and not decided when the time is over is let go.
    Drop,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NettingRefused {
    /// By the rules.
    #[error("{0}")]
    Rule(#[from] Rejected),
    /// The private store.
    #[error("the private store cannot be used: {0}")]
    Store(String),
    /// No such round.
    #[error("no netting round of that id is known here")]
    UnknownRound,
    /// It is not one of our units, or several could be meant.
    #[error("name one of this network's units: {0}")]
    Unit(String),
    /// Longer than a round may take.
    #[error("a round takes less than 7 days, and each of its three times at least a second")]
    Times,
    /// What is asked for has its time, and that is over.
    #[error("{0}")]
    TooLate(&'static str),
}

impl Core {
    /// Brings back what people want, after a start.
    pub(super) fn recall_will(&mut self) -> Result<(), crate::store::PrivateError> {
        let kept = self.private().setting(WILL)?.unwrap_or_default();
        let will = read_will(&String::from_utf8_lossy(&kept));
        self.parts.engine.want(will);
        Ok(())
    }

    fn set_will(&mut self, mut will: Will) -> Result<(), NettingRefused> {
        // Rounds that are forgotten everywhere ask for nothing any more.
        let known = self.engine().peers().rounds();
        will.of_round.retain(|id, _| known.get(id).is_some());
        let kept = self.private().set_setting(WILL, write_will(&will).as_bytes());
        kept.map_err(|e| NettingRefused::Store(e.to_string()))?;
        self.parts.engine.want(will);
        self.tick();
        Ok(())
    }

    /// What is done in every round.
    pub fn netting_rule(&self) -> NettingRule {
        let will = self.engine().will();
        NettingRule { joins: will.joins, accepts: will.accepts }
    }

    /// Sets what is done in every round.
    ///
    /// # Errors
    /// The private store cannot be written.
    pub fn set_netting_rule(&mut self, rule: NettingRule) -> Result<(), NettingRefused> {
        let will = Will { joins: rule.joins, accepts: rule.accepts, ..self.engine().will().clone() };
        self.set_will(will)
    }

    /// Does in one round what people want.
    ///
    /// # Errors
    /// No such round; its time is over; the private store cannot be written.
    pub fn act_on_round(&mut self, id: Hash, action: RoundAction) -> Result<(), NettingRefused> {
        self.check_time_of(&id, action)?;
        let mut will = self.engine().will().clone();
        let wish = will.of_round.entry(id).or_default();
        match action {
            RoundAction::Join => wish.joins = Some(true),
            RoundAction::Leave => wish.joins = Some(false),
            RoundAction::Accept => wish.accepts = Some(true),
            RoundAction::Refuse => wish.accepts = Some(false),
            RoundAction::Drop => wish.drops = true,
        }
        self.set_will(will)
    }

    /// A wish that can have no effect any more is refused, with why.
    fn check_time_of(&self, id: &Hash, action: RoundAction) -> Result<(), NettingRefused> {
        let round = self.engine().peers().rounds().get(id).ok_or(NettingRefused::UnknownRound)?;
        let Some(said) = round.announced.as_ref() else { return Ok(()) };
        let now_ms = self.entry_time_ms();
        let holds = self.engine().state().held.iter().any(|((of, _), row)| of == id && !row.ended);
        let why = match action {
            RoundAction::Join if now_ms >= said.says.offers_until_ms => {
                "the time for offering debts in this round is over; join the next one"
            }
            RoundAction::Leave if holds => {
                "our debts take part already; what can still be done is to refuse the result"
            }
            RoundAction::Accept | RoundAction::Refuse if now_ms > said.says.votes_until_ms => {
                "the time for accepting and refusing results of this round is over"
            }
            RoundAction::Drop if !holds => "nothing of ours is held for this round",
            RoundAction::Drop if now_ms <= said.says.votes_until_ms => {
                "the round is not over: what nobody takes is let go by itself then; until then a result can be refused"
            }
            RoundAction::Join
            | RoundAction::Leave
            | RoundAction::Accept
            | RoundAction::Refuse
            | RoundAction::Drop => return Ok(()),
        };
        Err(NettingRefused::TooLate(why))
    }

    /// Announces a round in a unit of ours, with how long its three parts take, in milliseconds. We take part.
    ///
    /// # Errors
    /// Why not.
    pub fn announce_round(
        &mut self,
        unit: Option<&str>,
        [offers_ms, lists_ms, votes_ms]: [u64; 3],
    ) -> Result<Hash, NettingRefused> {
        let unit = self.unit_called(unit)?;
        let defined = self.engine().state().units.get(&unit).map(RoundUnit::of);
        let unit = defined.ok_or(Rejected::RoundUnit)?;
        let parts = [offers_ms, lists_ms, votes_ms];
        let all = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        if all >= MAX_ROUND_MS || parts.contains(&0) {
            return Err(NettingRefused::Times);
        }
        let offers_until_ms = self.entry_time_ms().saturating_add(offers_ms);
        let lists_until_ms = offers_until_ms.saturating_add(lists_ms);
        let votes_until_ms = lists_until_ms.saturating_add(votes_ms);
        let says = Announced { unit, offers_until_ms, lists_until_ms, votes_until_ms };
        let id = self.with_engine(|engine, cx| engine.announce(says, cx))?;
        self.act_on_round(id, RoundAction::Join)?;
        Ok(id)
    }

    /// The unit of that code; without one, the only unit that there is.
    fn unit_called(&self, code: Option<&str>) -> Result<UnitId, NettingRefused> {
        let units = &self.engine().state().units;
        let mut found = units.iter().filter(|(_, unit)| code.is_none_or(|code| unit.code == code));
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(*id),
            _ => {
                let codes: Vec<&str> = units.values().map(|unit| unit.code.as_str()).collect();
                Err(NettingRefused::Unit(codes.join(", ")))
            }
        }
    }
}

fn letter(flag: Option<bool>) -> char {
    match flag {
        None => '-',
        Some(false) => '0',
        Some(true) => '1',
    }
}

fn flag(letter: Option<char>) -> Option<bool> {
    match letter {
        Some('0') => Some(false),
        Some('1') => Some(true),
        _ => None,
    }
}

/// One line for the rule, one for each round: its id, then what is wanted.
fn write_will(will: &Will) -> String {
    let mut lines = vec![format!("rule {}{}", letter(Some(will.joins)), letter(Some(will.accepts)))];
    let of = |(id, wish): (&Hash, &Wish)| {
        let [joins, accepts, drops] = [wish.joins, wish.accepts, Some(wish.drops)].map(letter);
        format!("{id} {joins}{accepts}{drops}")
    };
    lines.extend(will.of_round.iter().map(of));
    lines.join("\n")
}

/// What cannot be read is nobody's wish.
fn read_will(text: &str) -> Will {
    let (mut will, mut of_round) = (Will::default(), BTreeMap::new());
    for line in text.lines() {
        let Some((name, letters)) = line.split_once(' ') else { continue };
        let mut letters = letters.chars();
        let [one, two, three] = [letters.next(), letters.next(), letters.next()].map(flag);
        if name == "rule" {
            (will.joins, will.accepts) = (one == Some(true), two == Some(true));
        } else if let Ok(id) = name.parse::<Hash>() {
            of_round.insert(id, Wish { joins: one, accepts: two, drops: three == Some(true) });
        }
    }
    Will { of_round, ..will }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_want_reads_back_as_it_was_written() {
        let wish = Wish { joins: Some(true), accepts: None, drops: true };
        let of_round = BTreeMap::from([(Hash([7; 32]), wish), (Hash([8; 32]), Wish::default())]);
        let will = Will { joins: true, accepts: false, of_round };
        assert_eq!(read_will(&write_will(&will)), will);
        assert_eq!(read_will("nonsense\nrule"), Will::default());
    }
}
