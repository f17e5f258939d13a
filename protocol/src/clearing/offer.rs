//! OFFER, DROP_HOLD and APPLY: what two networks say to each other about a netting round (specs/netting.md §7 and §10).
//!
//! What must hold: a debt is offered only when both ends hold it, at one amount; what a peer applies counts only when we
//! have accepted exactly that.

use super::leg::Leg;
use super::peers::Peers;
use super::statement::{Act, Value};
use super::step::{Step, StepArgs};
use crate::amount::Amount;
use crate::entry::Entry;
use crate::ids::{ClaimId, Hash};
use crate::ledger::netting::{LineRow, MAX_HELD};
use crate::ledger::state::State;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// Arguments of OFFER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OfferArgs {
    /// For which round.
    #[n(0)]
    pub round: Hash,
    /// In which unit pair of the accord.
    #[n(1)]
    pub pair: u8,
    /// How much, in the position unit.
    #[n(2)]
    pub amount: Amount,
    /// Whether A owes it.
    #[n(3)]
    pub a_owes: bool,
}

/// Arguments of DROP_HOLD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DropArgs {
    /// What was held for this round.
    #[n(0)]
    pub round: Hash,
}

/// Arguments of APPLY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ApplyArgs {
    /// Of which round.
    #[n(0)]
    pub round: Hash,
    /// Which result; all that it touches have accepted it.
    #[n(1)]
    pub result: Hash,
    /// In which unit pair of the accord.
    #[n(2)]
    pub pair: u8,
    /// By how much the debt shrinks, in the position unit.
    #[n(3)]
    pub amount: Amount,
    /// Whether A owed it.
    #[n(4)]
    pub a_owed: bool,
}

/// What a peer has said about a debt in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PeerOffer {
    /// Leaf of its OFFER.
    #[n(0)]
    pub leaf: Hash,
    /// What it says.
    #[n(1)]
    pub args: OfferArgs,
    /// Whether it has dropped it.
    #[n(2)]
    pub dropped: bool,
}

/// What a peer has said on a channel about netting rounds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct PeerNetting {
    /// Its OFFERs, by round.
    #[n(0)]
    pub offers: BTreeMap<Hash, PeerOffer>,
    /// What it has applied and we have not booked, by result: of which round, and its leaf.
    #[n(1)]
    pub applies: BTreeMap<Hash, (Hash, Hash)>,
    /// Results of which it has booked what we have applied.
    #[n(2)]
    pub applied: BTreeSet<Hash>,
}

/// What an APPLY moves: who owed says it, and then owes so much less.
pub(super) fn moved(step: &Step) -> Option<(Act, Leg, Value)> {
    let StepArgs::Apply(args) = &step.args else { return None };
    let said_by_debtor = step.reference.is_none();
    let value = (args.pair, args.amount.minor().unsigned_abs());
    said_by_debtor.then_some((Act::OwesLess, Leg::first(ClaimId(args.result.0)), value))
}

impl Peers {
    /// A peer's OFFER: of what it is owed, or its answer to ours.
    pub(super) fn hear_offer(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &OfferArgs,
    ) -> Result<(), &'static str> {
        let row = state.channels.get(&step.channel).ok_or("OFFER on no channel")?;
        let terms = row.accord.pairs.get(usize::from(args.pair));
        if terms.is_none_or(|terms| terms.num != terms.den || terms.foreign.is_some()) {
            return Err("OFFER in a unit pair that is not one to one");
        }
        let we_owe = args.a_owes == row.we_are_a;
        if step.reference.is_some() == we_owe {
            return Err("OFFER by the wrong end of a debt");
        }
        let held = state.held.get(&(args.round, row.peer));
        let answers =
            held.is_some_and(|row| (row.pair, row.amount, row.we_owe) == (args.pair, args.amount, false));
        if !we_owe && !answers && state.successions.is_empty() {
            return Err("OFFER that answers another than ours");
        }
        let peer = row.peer;
        let stream = self.stream_mut(&step.channel).ok_or("OFFER on no stream")?;
        if stream.netting.offers.contains_key(&args.round) {
            return if state.successions.is_empty() { Err("OFFER twice for one round") } else { Ok(()) };
        }
        if stream.netting.offers.len() >= 4 * MAX_HELD {
            let held = |round: &Hash| state.held.get(&(*round, peer)).is_some_and(|row| !row.ended);
            stream.netting.offers.retain(|round, offer| !offer.dropped && held(round));
        }
        if stream.netting.offers.len() >= 4 * MAX_HELD {
            return Err("OFFER beyond those that may be held");
        }
        let offer = PeerOffer { leaf: entry.leaf(), args: *args, dropped: false };
        stream.netting.offers.insert(args.round, offer);
        Ok(())
    }

    /// A peer's DROP_HOLD.
    pub(super) fn hear_drop(&mut self, step: &Step, args: DropArgs) -> Result<(), &'static str> {
        let stream = self.stream_mut(&step.channel).ok_or("DROP_HOLD on no stream")?;
        if let Some(offer) = stream.netting.offers.get_mut(&args.round) {
            offer.dropped = true;
        }
        Ok(())
    }

    /// A peer's APPLY: it counts when we have accepted exactly that, and is booked when we know that all have.
    pub(super) fn hear_apply(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &ApplyArgs,
    ) -> Result<(), &'static str> {
        let row = state.channels.get(&step.channel).ok_or("APPLY on no channel")?;
        let we_owed = args.a_owed == row.we_are_a;
        if step.reference.is_some() != we_owed {
            return Err("APPLY by the wrong end of a debt");
        }
        let pair = state.held.get(&(args.round, row.peer)).map(|held| held.pair);
        let of_result = |line: &&LineRow| {
            let line = line.line;
            line.peer == row.peer && line.we_owe == we_owed && line.amount == args.amount
        };
        let votes = state.rounds.get(&args.round).into_iter().flat_map(|round| &round.votes);
        let accepted = votes.filter(|vote| vote.accepts && vote.result == args.result);
        let line = accepted.flat_map(|vote| &vote.lines).find(of_result).filter(|_| pair == Some(args.pair));
        let line = match line {
            Some(line) => line,
            None => return Err("APPLY of what we have not accepted"),
        };
        let stream = self.stream_mut(&step.channel).ok_or("APPLY on no stream")?;
        if we_owed {
            // Its answer: it has booked what we have said.
            stream.netting.applied.insert(args.result);
            return if line.said_ms.is_some() { Ok(()) } else { Err("APPLY that answers none") };
        }
        if line.booked || stream.netting.applies.contains_key(&args.result) {
            return Err("APPLY twice");
        }
        stream.netting.applies.insert(args.result, (args.round, entry.leaf()));
        Ok(())
    }
}
