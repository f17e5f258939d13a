//! Channels that a RESET has begun anew: what of the old sides goes over to the new ones, and whether both sides have signed
//! one document (specs/clearing.md §17).
//!
//! The old streams are not held against each other any more: a reset is for what was lost of them.

use super::channel::{Closed, Line, Said, Side};
use super::finding::{Class, Finding, Findings};
use crate::clearing::dispute::DisputeOutcome;
use crate::clearing::reset::Reset;
use crate::clearing::statement::Trail;
use crate::clearing::step::{Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{Hash, StreamId};
use crate::ledger::state::State;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// How a side of a channel began.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Begun {
    /// Its RESET.
    #[n(0)]
    pub(super) line: Line,
    /// Id of the document.
    #[n(1)]
    reset: Hash,
    /// What is owed then, by unit pair: above zero A owes B.
    #[n(2)]
    positions: Vec<i64>,
    /// Results of netting rounds that it applies.
    #[n(3)]
    pub(super) results: Vec<Hash>,
}

impl Begun {
    /// The trail of a side with which the new streams begin.
    pub(super) fn trail(&self, is_a: bool) -> Trail {
        let sums = (0_u8..).zip(self.positions.iter().copied()).filter(|_| is_a).collect();
        Trail::from_books(sums, BTreeMap::new(), 0)
    }
}

/// A RESET in effect was taken in by the side that it begins: what was open on the old side goes over, as it has ended. Of our own
/// side (`state` is that after it) the balance goes over, too. Gives why it means nothing; of our own the rules of the ledger say so.
pub(super) fn take_over(
    sides: &mut BTreeMap<StreamId, Side>,
    entry: &Entry,
    step: &Step,
    seq: u64,
    state: Option<&State>,
) -> Option<&'static str> {
    let StepArgs::Reset(args) = &step.args else { return None };
    let reset = Reset::parse(&args.reset.0).ok()?;
    let writer = entry.body().ledger;
    let Some((peer, is_a)) = reset.other(&writer).filter(|_| reset.channel() == step.channel) else {
        return state.is_none().then_some("it is a RESET of another channel than it stands in");
    };
    let sseq = entry.body().stream.map_or(0, |header| header.sseq);
    let line = Line { leaf: entry.leaf(), sseq, seq };
    let old = sides.get(&reset.old_channel()).map(|old| (old.accord.clone(), lasting_claims(old)));
    let side = sides.get_mut(&step.channel)?;
    if side.begun.is_some() {
        return state.is_none().then_some("it is a RESET after one in effect");
    }
    step.reference?;
    side.peer = peer;
    if let Some((accord, lasting)) = old {
        side.accord = accord;
        for (leg, said) in lasting {
            let bound = reset.binds(leg.claim, leg.part, is_a);
            let outcome = if bound { DisputeOutcome::Bound } else { DisputeOutcome::Free };
            let by_reset = Closed {
                line,
                done_by: None,
                reference: None,
                disputed: Some(outcome),
                reset: true,
                before: false,
            };
            let closed = said.closed.map_or(by_reset, |closed| Closed { before: true, ..closed });
            side.claims.insert(leg, Box::new(Said { closed: Some(closed), ..said }));
        }
    }
    let results = reset.rounds.iter().map(|(_, result)| *result).collect();
    let id = Reset::id(&args.reset.0);
    side.begun = Some(Begun { line, reset: id, positions: reset.positions.clone(), results });
    let state = state?;
    let row = state.channels.get(&step.channel)?;
    for (pair, terms) in (0_u8..).zip(&row.accord.pairs) {
        let unit = terms.booked_unit(row.we_are_a);
        side.written_off.push((pair, unit, state.balance(&row.account, unit)));
    }
    None
}

/// What a side has proposed and not freed: it may be closed by the reset, or given back after it.
fn lasting_claims(side: &Side) -> Vec<(crate::clearing::leg::Leg, Said)> {
    let lasts = |said: &Said| said.proposed.is_some() && said.closed.is_none_or(|closed| closed.binds());
    let lasting = side.claims.iter().filter(|(_, said)| lasts(said));
    let only = |said: &Said| Said { proposed: said.proposed, closed: said.closed, ..Said::default() };
    lasting.map(|(leg, said)| (*leg, only(said))).collect()
}

/// Whether both sides have begun with one document.
pub(super) fn check(ours: &Side, theirs: &Side, audited: &crate::ids::LedgerId, findings: &mut Findings) {
    let (Some(one), Some(other)) = (&ours.begun, &theirs.begun) else { return };
    if one.reset != other.reset {
        let what = "the two networks have begun this channel with different resets";
        let finding = Finding::new(Class::Mismatch, what).at(ours.entry(&one.line, audited));
        findings.add(finding.at(theirs.entry(&other.line, audited)));
    }
}
