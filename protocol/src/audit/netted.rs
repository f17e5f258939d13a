//! What netting rounds have taken off a channel: each APPLY of the debtor is booked once by each side, as it says
//! (specs/netting.md §10).

use super::channel::{Line, Side};
use super::compare::Cross;
use super::finding::{Class, EntryRef, Finding, Findings};
use crate::clearing::offer::ApplyArgs;
use crate::clearing::statement::{Act, Value};
use crate::clearing::step::{Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{Hash, StreamId, UnitId};
use crate::ledger::state::State;
use crate::netting::round::Netted;
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
    pub(super) amount: i64,
    #[n(5)]
    pub(super) we_owed: bool,
    #[n(6)]
    pub(super) round: Hash,
}

/// What one side has said, and booked, of one result.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Cleared {
    /// Its APPLY, and whether it answers the debtor's.
    #[n(0)]
    applied: Option<(Line, ApplyArgs, bool)>,
    #[n(1)]
    pub(super) booked: Option<Booked>,
}

impl Cleared {
    /// What this side's APPLY moves: the debtor's.
    pub(super) fn moved(&self) -> Option<(u64, Act, Value)> {
        let (line, args, answers) = self.applied.as_ref()?;
        let value = (args.pair, args.amount.minor().unsigned_abs());
        (!answers).then_some((line.sseq, Act::OwesLess, value))
    }
}

/// Takes in a step. Gives what is wrong with it as a line of its stream.
pub(super) fn say(all: &mut BTreeMap<Hash, Cleared>, line: Line, step: &Step) -> Option<&'static str> {
    let StepArgs::Apply(args) = &step.args else { return None };
    let one = all.entry(args.result).or_default();
    if one.applied.is_some() {
        return Some("it applies a result a second time");
    }
    one.applied = Some((line, *args, step.reference.is_some()));
    None
}

/// Takes in an own entry about a debt netted. The state is that before it.
pub(super) fn book(sides: &mut BTreeMap<StreamId, Side>, state: &State, entry: &Entry, netted: &Netted) {
    let Some(held) = state.held.get(&(netted.round, netted.line.peer)) else { return };
    let (Some(side), Some(channel)) = (sides.get_mut(&held.channel), state.channels.get(&held.channel))
    else {
        return;
    };
    let on_peer = netted.postings.iter().find(|posting| posting.account == channel.account);
    if let Some(posting) = on_peer {
        side.cleared.entry(netted.result).or_default().booked = Some(Booked {
            seq: entry.body().seq,
            unit: posting.unit,
            pair: held.pair,
            delta: posting.delta,
            amount: netted.line.amount.minor(),
            we_owed: netted.line.we_owe,
            round: netted.round,
        });
    }
}

/// Checks what both sides have netted.
pub(super) fn check(cross: &Cross<'_>, findings: &mut Findings) {
    for (us, them) in [(cross.one, cross.other), (cross.other, cross.one)] {
        for (result, said) in &us.cleared {
            let Some(booked) = &said.booked else { continue };
            let other = them.cleared.get(result);
            let is_a = us.accord.as_ref().is_some_and(|accord| accord.a == us.ledger);
            // The debtor's APPLY says it, on whichever side that is.
            let by_debtor = if booked.we_owed { Some(said) } else { other };
            let applied = by_debtor.and_then(|side| side.applied.as_ref()).filter(|(_, _, answers)| !answers);
            let right = applied.is_some_and(|(_, args, _)| {
                (args.pair, args.amount.minor(), args.a_owed == is_a)
                    == (booked.pair, booked.amount, booked.we_owed)
            });
            // A reset says it in the debtor's place.
            let by_reset = us.begun.as_ref().is_some_and(|begun| begun.results.contains(result));
            if !right && !by_reset && us.acked_to() <= them.len() {
                let at = if us.ledger == cross.audited {
                    EntryRef::Own(booked.seq)
                } else {
                    EntryRef::Of { ledger: us.ledger, seq: booked.seq }
                };
                let what =
                    format!("netting result {result} is booked otherwise than the debtor's APPLY says");
                findings.add(Finding::new(Class::Mismatch, what).at(at));
            }
        }
    }
}
