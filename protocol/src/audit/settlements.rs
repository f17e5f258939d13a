//! Settlements of a channel: each was proposed by one side, answered once by the other, and booked as it says
//! (specs/clearing.md §13).

use super::channel::{Line, Side};
use super::compare::Cross;
use super::finding::{Class, EntryRef, Finding, Findings};
use crate::clearing::settle::{SettleAnswer, SettleArgs};
use crate::clearing::statement::{Act, Value};
use crate::clearing::step::{Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{Hash, StreamId, UnitId};
use crate::ledger::settled::{SettleAct, Settled};
use crate::ledger::state::State;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// What was posted on the peer's account.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Booked {
    #[n(0)]
    pub(super) seq: u64,
    #[n(1)]
    pub(super) unit: UnitId,
    #[n(2)]
    pub(super) pair: u8,
    /// On the peer's account.
    #[n(3)]
    pub(super) delta: i64,
    #[n(4)]
    amount: i64,
    #[n(5)]
    we_owed: bool,
    /// Of a settlement that this side has proposed: the SETTLE_ACK it follows.
    #[n(6)]
    answer: Option<Hash>,
}

/// What one side has said, and booked, about one settlement.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Settlement {
    #[n(0)]
    proposed: Option<(Line, SettleArgs)>,
    #[n(1)]
    withdrawn: Option<Line>,
    /// With how far its writer had the other stream.
    #[n(2)]
    answered: Option<(Line, SettleAnswer, u64)>,
    #[n(3)]
    pub(super) booked: Option<Booked>,
}

impl Settlement {
    /// What this side's answer moves, where it accepts what the other side has proposed and had not taken back by then.
    pub(super) fn as_answer_to(&self, theirs: &Self, side: &Side) -> Option<(u64, Act, Value)> {
        let (line, answer, acked) = self.answered.as_ref()?;
        let (_, args) = theirs.proposed.as_ref()?;
        let knew = theirs.withdrawn.is_some_and(|withdrawn| withdrawn.sseq < *acked);
        let is_a = side.accord.as_ref()?.a == side.ledger;
        let act = if args.a_owed == is_a { Act::OwesLess } else { Act::IsOwedLess };
        let counts = *answer == SettleAnswer::Accepted && !knew;
        counts.then(|| (line.sseq, act, (args.pair, args.amount.minor().unsigned_abs())))
    }
}

/// Takes in a step. Gives what is wrong with it as a line of its stream.
pub(super) fn say(all: &mut BTreeMap<Hash, Settlement>, line: Line, step: &Step) -> Option<&'static str> {
    let (StepArgs::Settle(_) | StepArgs::SettleAck(_)) = &step.args else { return None };
    let one = all.entry(step.reference?).or_default();
    match &step.args {
        StepArgs::Settle(args) if args.withdrawn => match one.withdrawn {
            Some(_) => return Some("it takes a settlement back a second time"),
            None => one.withdrawn = Some(line),
        },
        StepArgs::Settle(args) => match one.proposed {
            Some(_) => return Some("it proposes a settlement a second time"),
            None => one.proposed = Some((line, *args)),
        },
        StepArgs::SettleAck(args) => match one.answered {
            Some((_, before, _)) if before != args.answer => {
                return Some("it answers a settlement a second time, and otherwise");
            }
            Some(_) => {}
            None => one.answered = Some((line, args.answer, step.ack.next)),
        },
        _ => {}
    }
    None
}

/// Takes in an own entry about a settlement. The state is that before it.
pub(super) fn book(sides: &mut BTreeMap<StreamId, Side>, state: &State, entry: &Entry, settled: &Settled) {
    let (Some(side), Some(channel)) = (sides.get_mut(&settled.channel), state.channels.get(&settled.channel))
    else {
        return;
    };
    let on_peer = settled.postings.iter().flatten().find(|posting| posting.account == channel.account);
    if let (Some(posting), Some(id)) = (on_peer, settled.settlement) {
        side.settlements.entry(id).or_default().booked = Some(Booked {
            seq: entry.body().seq,
            unit: posting.unit,
            pair: settled.pair,
            delta: posting.delta,
            amount: settled.amount.minor(),
            we_owed: settled.we_owed,
            answer: settled.answer.filter(|_| settled.act == SettleAct::Booked),
        });
    }
}

/// Checks the settlements of both sides.
pub(super) fn check(cross: &Cross<'_>, findings: &mut Findings) {
    for (us, them) in [(cross.one, cross.other), (cross.other, cross.one)] {
        for (id, said) in &us.settlements {
            let answer = them.settlements.get(id).cloned().unwrap_or_default();
            check_one(cross, (us, them), id, (said, &answer), findings);
        }
    }
}

/// What one side has said and booked, against what the other has.
fn check_one(
    cross: &Cross<'_>,
    (us, them): (&Side, &Side),
    id: &Hash,
    (said, answer): (&Settlement, &Settlement),
    findings: &mut Findings,
) {
    let lags = us.acked_to() > them.len();
    if let Some((line, _, _)) = &said.answered
        && answer.proposed.is_none()
        && !lags
    {
        let what = format!("it answers settlement {id}, which {} has not proposed", them.ledger.short());
        findings.add(Finding::new(Class::Orphan, what).at(us.entry(line, &cross.audited)));
    }
    if let Some((line, args)) = &said.proposed
        && said.withdrawn.is_none()
        && answer.answered.is_none()
    {
        let what = format!("settlement {id}: {} proposed, not answered", args.amount.minor());
        findings.add(Finding::new(Class::InFlight, what).at(us.entry(line, &cross.audited)));
    }
    let Some(booked) = &said.booked else { return };
    let is_a = us.accord.as_ref().is_some_and(|accord| accord.a == us.ledger);
    let fits = |args: &SettleArgs| {
        (args.pair, args.amount.minor(), args.a_owed == is_a) == (booked.pair, booked.amount, booked.we_owed)
    };
    // Who answers books with the answer; who has proposed books after it.
    let right = match booked.answer {
        Some(leaf) => {
            let counts = answer.as_answer_to(said, them).is_some();
            counts
                && answer.answered.as_ref().is_some_and(|(line, ..)| line.leaf == leaf)
                && said.proposed.as_ref().is_some_and(|(_, args)| fits(args))
        }
        None => answer.proposed.as_ref().is_some_and(|(_, args)| fits(args)),
    };
    if !right && !lags {
        let at = if us.ledger == cross.audited {
            EntryRef::Own(booked.seq)
        } else {
            EntryRef::Of { ledger: us.ledger, seq: booked.seq }
        };
        let what = format!("settlement {id} is booked otherwise than the two streams say");
        findings.add(Finding::new(Class::Mismatch, what).at(at));
    }
}
