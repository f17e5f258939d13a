//! Area 11, clearing, as far as our own entries decide it (specs/clearing.md §6).
//!
//! The hop rule lives here: a network never turns down what it is bound to further on, never proposes onward what
//! it has turned down, closes a hop once, and decides a claim once. What rests on a peer's bytes (that its REJECT
//! exists, that another network's Decision verifies) is checked by [`crate::clearing`] before we write, and by an
//! audit that has the peer's folder.

mod books;
mod dues;
mod propose;

pub(crate) use books::value_in;
pub(super) use books::{book_facts, credit_facts, end_facts, release_facts, returned_facts};
use dues::total;

use super::Rejected;
use super::SigCheck;
use super::identity::Identity;
use super::members::OwnerKind;
use super::own_accounts;
use super::state::{
    Account, Answer, Change, ChannelRow, ClaimRow, Closing, DecisionRow, InHop, Origin, OutHop, State,
};
use crate::clearing::accord::{Accord, channel_id};
use crate::clearing::intent::{Decision, Hop, Intent, MAX_PARTS, Outcome, Part, claim_of};
use crate::clearing::rate::{HopValue, Way};
use crate::clearing::step::{AcceptArgs, AccordArgs, RejectArgs, Step, StepArgs};
use crate::clearing::weak::{self, Weak};
use crate::entry::Entry;
use crate::ids::{ClaimId, LedgerId, StreamId};
use crate::keys;
use crate::ledger::identity::{Purpose, RootSet, is_identity};
use crate::ledger::transfer::{Posting, move_value};
use crate::ledger::{dispute, halt, netting, reset, settled, settlement};
use std::collections::BTreeMap;

/// Signatures inside a step that our own identity can judge.
pub(super) fn step_signatures(identity: &Identity, step: &Step) -> Result<Vec<SigCheck>, Rejected> {
    let ours = |epoch: u32, message: Vec<u8>, sig| {
        Ok(SigCheck { key: identity.log_key_bytes(epoch)?, message, sig })
    };
    let decision = |d: &Decision| {
        if d.body.decider == identity.ledger {
            ours(d.body.epoch, d.message(), d.sig).map(Some)
        } else {
            Ok(None)
        }
    };
    match &step.args {
        StepArgs::Accord(args) => {
            let accord = Accord::parse(&args.accord.0).map_err(Rejected::Accord)?;
            let sigs = if accord.a == identity.ledger { &args.sigs_a } else { &args.sigs_b };
            accord_signatures(identity, &args.accord.0, sigs)
        }
        StepArgs::Propose(args) => {
            let intent = args.intent.parse()?;
            if intent.payer != identity.ledger {
                return Ok(Vec::new());
            }
            let message = keys::message(keys::INTENT, &[&args.intent.intent.0]);
            Ok(vec![ours(intent.epoch, message, args.intent.sig)?])
        }
        StepArgs::Accept(AcceptArgs { decision: d, .. }) => Ok(decision(d)?.into_iter().collect()),
        StepArgs::Reject(RejectArgs { decision: Some(d), .. }) => Ok(decision(d)?.into_iter().collect()),
        StepArgs::Dispute(args) => dispute::signatures(identity, args),
        StepArgs::Reset(args) => reset::signatures(identity, args),
        StepArgs::Reject(_)
        | StepArgs::Done(_)
        | StepArgs::Free
        | StepArgs::Return
        | StepArgs::ResetRefuse(_)
        | StepArgs::Stmt(_)
        | StepArgs::StmtAck(_)
        | StepArgs::Settle(_)
        | StepArgs::SettleAck(_)
        | StepArgs::Offer(_)
        | StepArgs::DropHold(_)
        | StepArgs::Apply(_)
        | StepArgs::Pause(_)
        | StepArgs::End
        | StepArgs::Key(_) => Ok(Vec::new()),
    }
}

/// The signatures of the root set in force under an accord, a quorum of them.
///
/// # Errors
/// A signer outside the set, one twice, or too few.
pub fn accord_signatures(
    identity: &Identity,
    accord: &[u8],
    sigs: &[crate::clearing::step::RootSig],
) -> Result<Vec<SigCheck>, Rejected> {
    accord_signatures_of(&identity.root, accord, sigs)
}

/// The signatures of one certain root set under an accord, a quorum of them.
///
/// # Errors
/// A signer outside the set, one twice, or too few.
pub fn accord_signatures_of(
    root: &RootSet,
    accord: &[u8],
    sigs: &[crate::clearing::step::RootSig],
) -> Result<Vec<SigCheck>, Rejected> {
    root_signatures_of(keys::ACCORD, root, accord, sigs)
}

/// The signatures of one certain root set under what both networks of a channel sign, a quorum of them.
///
/// # Errors
/// A signer outside the set, one twice, or too few.
pub fn root_signatures_of(
    context: keys::Context,
    root: &RootSet,
    bytes: &[u8],
    sigs: &[crate::clearing::step::RootSig],
) -> Result<Vec<SigCheck>, Rejected> {
    let mut seen = std::collections::BTreeSet::new();
    let mut checks = Vec::new();
    for sig in sigs {
        let key = root.key_of(sig.signer).ok_or(Rejected::UnknownSigner { signer: sig.signer })?;
        if !seen.insert(sig.signer) {
            return Err(Rejected::SignedTwice { signer: sig.signer });
        }
        checks.push(SigCheck { key, message: keys::message(context, &[bytes]), sig: sig.sig });
    }
    if seen.len() < usize::from(root.threshold) {
        return Err(Rejected::RootQuorum { need: root.threshold, have: seen.len() });
    }
    Ok(checks)
}

pub(super) fn apply_step(state: &State, entry: &Entry, step: &Step) -> Result<Vec<Change>, Rejected> {
    apply_step_of(state, entry, step, false)
}

/// A step of the part that a succession has lost: its limits were kept when it was written, and where its hold is lost
/// too, its value comes from `disputed`.
pub(super) fn apply_lost_step(
    state: &State,
    lost: &Entry,
    step: &Step,
) -> Result<(Vec<Change>, Vec<Posting>), Rejected> {
    let changes = apply_step_of(state, lost, step, true)?;
    let hold = step.reference.filter(|hold| !state.holds.contains_key(hold));
    let origin = changes.iter().find_map(|change| match change {
        Change::Hold(id, Some(row)) if Some(*id) == hold => Some((row.unit, row.amount)),
        _ => None,
    });
    let postings = origin
        .map(|(unit, amount)| move_value(own_accounts::disputed(), own_accounts::hold(), unit, amount))
        .unwrap_or_default();
    Ok((changes, postings))
}

/// What a step without effect still says: how far we had the peer's stream.
pub(super) fn acknowledge(state: &State, step: &Step) -> Vec<Change> {
    let Some(row) = state.channels.get(&step.channel) else { return Vec::new() };
    let channel = ChannelRow { acked: row.acked.max(step.ack.next), ..row.clone() };
    vec![Change::Channel(step.channel, Box::new(channel))]
}

fn apply_step_of(state: &State, entry: &Entry, step: &Step, lost: bool) -> Result<Vec<Change>, Rejected> {
    check_form(step)?;
    if let StepArgs::Accord(args) = &step.args {
        return apply_accord(state, step, args);
    }
    if let StepArgs::Reset(args) = &step.args {
        return reset::apply_reset(state, entry, step, args, lost);
    }
    if let StepArgs::ResetRefuse(_) = &step.args {
        return reset::apply_refusal(state, step);
    }
    let row = state.channels.get(&step.channel).ok_or(Rejected::UnknownChannel { channel: step.channel })?;
    if state.is_closed_for_reset(&row.peer) {
        return Err(Rejected::ChannelClosed { peer: row.peer });
    }
    if step.ack.next < row.acked {
        return Err(Rejected::AckBack { last: row.acked, got: step.ack.next });
    }
    let mut channel = row.clone();
    channel.acked = step.ack.next;
    let cx = Context { state, entry, step, ledger: state.ledger()?, lost };
    let mut changes = match &step.args {
        StepArgs::Accord(_) | StepArgs::Reset(_) | StepArgs::ResetRefuse(_) => Vec::new(),
        StepArgs::Propose(args) => cx.propose(&mut channel, args)?,
        StepArgs::Accept(args) => cx.accept(&channel, args)?,
        StepArgs::Reject(args) => cx.reject(args)?,
        StepArgs::Done(args) => cx.done(&channel, &args.decision)?,
        StepArgs::Free => cx.free(&mut channel)?,
        StepArgs::Return => cx.give_back()?,
        StepArgs::Stmt(args) => settlement::state_positions(state, entry, step, &channel, args, lost)?,
        StepArgs::StmtAck(args) => settlement::answer_statement(state, entry, step, &channel, args)?,
        StepArgs::Settle(args) => settled::apply_settle(state, entry, step, &channel, args)?,
        StepArgs::SettleAck(args) => settled::apply_settle_ack(state, step, args)?,
        StepArgs::Dispute(args) => dispute::apply_dispute(state, entry, step, &mut channel, args)?,
        StepArgs::Offer(args) => netting::apply_offer(state, entry, step, &channel, args, lost)?,
        StepArgs::DropHold(args) => netting::apply_drop(state, &channel, *args)?,
        StepArgs::Apply(args) => netting::apply_apply(state, entry, step, &channel, args)?,
        StepArgs::Pause(args) => {
            channel.halt = halt::after(channel.halt, Some(*args))?;
            Vec::new()
        }
        StepArgs::End => {
            channel.halt = halt::after(channel.halt, None)?;
            Vec::new()
        }
        StepArgs::Key(args) => {
            let known = Entry::parse(&args.entry.0).map_err(Rejected::Entry)?;
            if !is_identity(&known.op().payload) {
                return Err(Rejected::StepForm);
            }
            channel.introduced.insert(known.body().ledger);
            Vec::new()
        }
    };
    changes.push(Change::Channel(step.channel, Box::new(channel)));
    Ok(changes)
}

/// Which of claim and reference a step of each type carries.
fn check_form(step: &Step) -> Result<(), Rejected> {
    let (claim, reference) = match step.args {
        StepArgs::Accord(_)
        | StepArgs::Stmt(_)
        | StepArgs::DropHold(_)
        | StepArgs::Pause(_)
        | StepArgs::End
        | StepArgs::Key(_) => (false, false),
        // By it one knows who begins and who answers.
        StepArgs::Offer(_) | StepArgs::Apply(_) | StepArgs::Reset(_) => (false, step.reference.is_some()),
        StepArgs::StmtAck(_) | StepArgs::Settle(_) | StepArgs::SettleAck(_) | StepArgs::ResetRefuse(_) => {
            (false, true)
        }
        StepArgs::Reject(RejectArgs { decision: Some(_), .. }) | StepArgs::Dispute(_) => {
            (true, step.reference.is_some())
        }
        StepArgs::Propose(_)
        | StepArgs::Accept(_)
        | StepArgs::Reject(_)
        | StepArgs::Done(_)
        | StepArgs::Free
        | StepArgs::Return => (true, true),
    };
    if step.claim.is_some() != claim || step.reference.is_some() != reference {
        return Err(Rejected::StepForm);
    }
    // What is about no claim is about no part of one; the decider says yes on the first part.
    let whole = step.claim.is_none() || matches!(&step.args, StepArgs::Accept(args) if args.intent.is_some());
    let fits = step.part == 0 || (!whole && usize::from(step.part) < MAX_PARTS);
    if fits { Ok(()) } else { Err(Rejected::StepForm) }
}

fn apply_accord(state: &State, step: &Step, args: &AccordArgs) -> Result<Vec<Change>, Rejected> {
    let us = state.ledger()?;
    let accord = Accord::parse(&args.accord.0).map_err(Rejected::Accord)?;
    let (peer, we_are_a) = accord.other(&us).ok_or(Rejected::AccordPlace)?;
    if step.channel != channel_id(&accord.a, &accord.b, state.incarnation(&peer)) {
        return Err(Rejected::AccordPlace);
    }
    let units = accord.pairs.iter().flat_map(|pair| [pair.unit(we_are_a), pair.booked_unit(we_are_a)]);
    if let Some(unit) = units.into_iter().find(|unit| !state.units.contains_key(unit)) {
        return Err(Rejected::UnknownUnit { unit });
    }
    let before = state.channels.get(&step.channel);
    // A closed side appends it, too: else the two could not agree on one accord. What was drafted before is void by it.
    if state.resets.get(&peer).is_some_and(|row| !row.offered.is_empty()) {
        return Err(Rejected::ChannelClosed { peer });
    }
    let follows = match before {
        None => accord.version == 1,
        Some(row) => {
            let next = Some(accord.version) == row.accord.version.checked_add(1);
            accord.previous == Some(row.accord_id) && next && keeps_pairs(&row.accord, &accord)
        }
    };
    if !follows {
        return Err(Rejected::AccordPlace);
    }
    let account = own_accounts::peer(&us, &peer);
    let mut changes = Vec::new();
    let row = match before {
        Some(row) => ChannelRow {
            accord_id: accord.id(),
            accord,
            acked: step.ack.next.max(row.acked),
            halt: None,
            ..row.clone()
        },
        None => {
            changes.push(Change::Account(account, Account::new(OwnerKind::Peer, false)));
            ChannelRow {
                peer,
                account,
                accord_id: accord.id(),
                accord,
                we_are_a,
                acked: step.ack.next,
                introduced: std::collections::BTreeSet::new(),
                open_out: std::collections::BTreeMap::new(),
                halt: None,
            }
        }
    };
    changes.push(Change::Channel(step.channel, Box::new(row)));
    Ok(changes)
}

/// Open claims name pairs by their place, and balances stand in their units: a later version may change rates and
/// limits and add pairs, never move one.
fn keeps_pairs(before: &Accord, after: &Accord) -> bool {
    let units = |accord: &Accord| -> Vec<_> {
        accord.pairs.iter().map(|pair| (pair.unit_a, pair.unit_b, pair.position, pair.foreign)).collect()
    };
    units(after).starts_with(&units(before)) && (before.a, before.b) == (after.a, after.b)
}

/// What is left of the limit towards a peer for new claims of ours: limit − what we owe − what we have open.
/// Claims the other way never count as room (specs/clearing.md §7). In minor units of the position unit.
pub fn room(state: &State, channel: &ChannelRow, pair: u8) -> Option<i128> {
    let terms = channel.accord.pairs.get(usize::from(pair))?;
    let owed = state.balance(&channel.account, terms.booked_unit(channel.we_are_a));
    let open = channel.open_out.get(&pair).copied().unwrap_or(0);
    let left = i128::from(terms.limit(channel.we_are_a)).checked_sub(i128::from(owed))?;
    left.checked_sub(i128::from(open))?.checked_sub(netting::spoken_for(state, channel, pair))
}

/// Checks a hop of an Intent against the accord of its channel, and gives what it moves in our books.
///
/// # Errors
/// Another version of the accord, an unknown pair, or amounts that the rate does not give.
pub fn hop_value(channel: &ChannelRow, hop: &Hop, way: Way) -> Result<HopValue, Rejected> {
    let bad = |why| Err(Rejected::HopMismatch { why });
    if hop.accord_version != channel.accord.version {
        return bad("it was computed with another version of the accord");
    }
    let Some(pair) = channel.accord.pairs.get(usize::from(hop.pair)) else {
        return bad("the accord has no such unit pair");
    };
    if !pair.clears() {
        return Err(Rejected::NotOneToOne { pair: hop.pair });
    }
    let sender_is_a = match way {
        Way::Out => channel.we_are_a,
        Way::In => !channel.we_are_a,
    };
    if pair.src_for(hop.dst, sender_is_a) != Some(hop.src) {
        return bad("the rate does not give these amounts");
    }
    let value = pair.value_of(hop, channel.we_are_a, way);
    value.ok_or(Rejected::HopMismatch { why: "it is worth more than an amount can be" })
}

struct Context<'a> {
    state: &'a State,
    entry: &'a Entry,
    step: &'a Step,
    ledger: LedgerId,
    /// It comes back after a succession.
    lost: bool,
}

impl Context<'_> {
    fn claim(&self) -> ClaimId {
        self.step.claim.unwrap_or(ClaimId::ZERO)
    }

    fn sseq(&self) -> u64 {
        self.entry.body().stream.map_or(0, |header| header.sseq)
    }

    fn row(&self) -> Option<&ClaimRow> {
        self.state.claims.get(&(self.claim(), self.step.part))
    }

    fn row_or_new(&self, expires_ms: u64) -> ClaimRow {
        let new = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms };
        self.row().cloned().unwrap_or_else(new)
    }

    fn set(&self, row: ClaimRow) -> Change {
        Change::Claim(self.claim(), self.step.part, Box::new(row))
    }

    /// The part of an Intent that this step is about, with our place on its route.
    fn own_part<'i>(&self, bytes: &[u8], intent: &'i Intent) -> Result<(&'i Part, usize), Rejected> {
        let expected = claim_of(bytes);
        if expected != self.claim() && !weak::is(Weak::ClaimIsAnyName) {
            return Err(Rejected::ClaimMismatch { expected, got: self.claim() });
        }
        let no = |why| Rejected::HopMismatch { why };
        let part = intent.parts.get(usize::from(self.step.part)).ok_or(no("there is no such part"))?;
        let place = intent.place(self.step.part, &self.ledger).ok_or(no("we are not on the route"))?;
        Ok((part, place))
    }

    fn accept(&self, channel: &ChannelRow, args: &AcceptArgs) -> Result<Vec<Change>, Rejected> {
        self.on_this_claim(&args.decision, Outcome::Accept)?;
        let time_ms = self.entry.body().time_ms;
        let mut changes = Vec::new();
        let mut row;
        if let Some(bytes) = &args.intent {
            let intent = Intent::parse(&bytes.0)?;
            let (part, place) = self.own_part(&bytes.0, &intent)?;
            if intent.payee != self.ledger || args.decision.body.decider != self.ledger {
                return Err(Rejected::DecisionMismatch);
            }
            self.undecided()?;
            if time_ms > intent.expires_ms {
                return Err(Rejected::Expires { expires_ms: intent.expires_ms, now_ms: time_ms });
            }
            if let Some(claim) = self.state.nonces.get(&(intent.payer, intent.nonce)) {
                return Err(Rejected::NonceUsed { claim: *claim });
            }
            let last = place.checked_sub(1).ok_or(Rejected::HopMismatch { why: "there is no hop to us" })?;
            if part.route.get(last) != Some(&channel.peer) {
                return Err(Rejected::HopMismatch { why: "the last hop is on another channel" });
            }
            let dues = self.dues(&intent)?;
            let value = total(&dues)?;
            row = self.row_or_new(intent.expires_ms);
            // What one part brings one to one is the value of the Decision; more is kept by part.
            let kept = dues.iter().filter(|due| dues.len() > 1 || due.value.exchanged.is_some());
            for due in kept {
                let mut other = match due.part {
                    0 => row.clone(),
                    _ => self.leg_or_new(due.part, intent.expires_ms),
                };
                let hop = other.incoming.entry(due.channel).or_insert_with(new_in_hop);
                if hop.answer != Answer::None {
                    return Err(Rejected::AlreadyAnswered { claim: self.claim() });
                }
                hop.due = Some((due.value.unit, due.value.amount));
                hop.exchanged = due.value.exchanged;
                if due.part == 0 {
                    row = other;
                } else {
                    changes.push(Change::Claim(self.claim(), due.part, Box::new(other)));
                }
            }
            changes.push(Change::Decision(
                self.claim(),
                DecisionRow {
                    outcome: Outcome::Accept,
                    channel: self.step.channel,
                    value: Some(value),
                    nonce: Some((intent.payer, intent.nonce)),
                    credited: false,
                    expires_ms: intent.expires_ms,
                    epoch: args.decision.body.epoch,
                    code: args.decision.body.code,
                    sseq: self.sseq(),
                },
            ));
        } else if self.step.part != 0 && args.decision.body.decider == self.ledger {
            // The yes was said on the first part; it holds for every other.
            self.as_decided(&args.decision)?;
            row = self.row().cloned().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
            if row.incoming.get(&self.step.channel).is_none_or(|hop| hop.due.is_none()) {
                return Err(Rejected::HopMismatch { why: "the last hop is on another channel" });
            }
        } else {
            row = self.row().cloned().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
            let out = row.outgoing.as_ref().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
            if out.decider != args.decision.body.decider {
                return Err(Rejected::DecisionMismatch);
            }
            if out.origin != (Origin::Upstream { channel: self.step.channel }) {
                return Err(Rejected::HopMismatch { why: "the claim came on another channel" });
            }
            if !matches!(out.closing, Closing::Done(_)) {
                return Err(Rejected::HopState);
            }
            if out.decider != channel.peer && !channel.introduced.contains(&out.decider) {
                return Err(Rejected::NotIntroduced { ledger: out.decider });
            }
        }
        self.answer(&mut row, Answer::Accepted(self.entry.leaf()))?;
        changes.push(self.set(row));
        Ok(changes)
    }

    fn reject(&self, args: &RejectArgs) -> Result<Vec<Change>, Rejected> {
        let time_ms = self.entry.body().time_ms;
        let keep_until = time_ms.saturating_add(crate::clearing::accord::MAX_EXPIRY_MS);
        let mut row = self.row_or_new(keep_until);
        let mut changes = Vec::new();
        let from_here = Origin::Upstream { channel: self.step.channel };
        let bound = |out: &OutHop| {
            out.origin == from_here && !matches!(out.closing, Closing::Freed(_)) && !out.returned
        };
        if row.outgoing.as_ref().is_some_and(bound) {
            return Err(Rejected::BoundDownstream);
        }
        if row.incoming.get(&self.step.channel).is_some_and(|hop| hop.disputed.is_some()) {
            return Err(Rejected::AlreadyAnswered { claim: self.claim() });
        }
        if row.incoming.get(&self.step.channel).is_some_and(|hop| hop.due.is_some()) {
            return Err(Rejected::AlreadyDecided { claim: self.claim() });
        }
        if let Some(decision) = &args.decision {
            self.on_this_claim(decision, Outcome::Reject)?;
            // The no that was said on one part is said again on each other, once.
            let answered = row.incoming.values().any(|hop| hop.answer != Answer::None);
            let again = !answered && self.as_decided(decision).is_ok();
            if decision.body.decider == self.ledger && !again {
                self.undecided()?;
                changes.push(Change::Decision(
                    self.claim(),
                    DecisionRow {
                        outcome: Outcome::Reject,
                        channel: self.step.channel,
                        value: None,
                        nonce: None,
                        credited: false,
                        expires_ms: row.expires_ms,
                        epoch: decision.body.epoch,
                        code: decision.body.code,
                        sseq: self.sseq(),
                    },
                ));
            }
        }
        self.answer(&mut row, Answer::Rejected(self.entry.leaf()))?;
        changes.push(self.set(row));
        Ok(changes)
    }

    fn undecided(&self) -> Result<(), Rejected> {
        match self.state.decisions.get(&self.claim()) {
            Some(_) => Err(Rejected::AlreadyDecided { claim: self.claim() }),
            None => Ok(()),
        }
    }

    /// That a Decision of ours is the one that we have signed.
    fn as_decided(&self, decision: &Decision) -> Result<(), Rejected> {
        let body = &decision.body;
        let known = self.state.decisions.get(&self.claim()).filter(|row| {
            (row.outcome, row.epoch, row.code) == (body.outcome, body.epoch, body.code)
                && body.decider == self.ledger
        });
        known.map(|_| ()).ok_or(Rejected::DecisionMismatch)
    }

    fn leg_or_new(&self, part: u8, expires_ms: u64) -> ClaimRow {
        let new = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms };
        self.state.leg(&self.claim(), part).cloned().unwrap_or_else(new)
    }

    fn answer(&self, row: &mut ClaimRow, answer: Answer) -> Result<(), Rejected> {
        let hop = row.incoming.entry(self.step.channel).or_insert_with(new_in_hop);
        if hop.answer != Answer::None {
            return Err(Rejected::AlreadyAnswered { claim: self.claim() });
        }
        hop.answer = answer;
        Ok(())
    }

    fn on_this_claim(&self, decision: &Decision, outcome: Outcome) -> Result<(), Rejected> {
        let body = &decision.body;
        let fits = body.claim == self.claim() && body.outcome == outcome && body.v == 1;
        if fits { Ok(()) } else { Err(Rejected::DecisionMismatch) }
    }

    fn open_out(&self) -> Result<(ClaimRow, OutHop), Rejected> {
        let row = self.row().cloned().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
        let out = row.outgoing.clone().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
        if out.channel != self.step.channel || out.closing != Closing::Open {
            return Err(Rejected::HopState);
        }
        Ok((row, out))
    }

    fn done(&self, channel: &ChannelRow, decision: &Decision) -> Result<Vec<Change>, Rejected> {
        let (mut row, out) = self.open_out()?;
        self.on_this_claim(decision, Outcome::Accept)?;
        if decision.body.decider != out.decider || self.step.reference != Some(decision.id()) {
            return Err(Rejected::DecisionMismatch);
        }
        if out.decider != channel.peer && !channel.introduced.contains(&out.decider) {
            return Err(Rejected::NotIntroduced { ledger: out.decider });
        }
        row.outgoing = Some(OutHop { closing: Closing::Done(self.entry.leaf()), ..out });
        Ok(vec![self.set(row)])
    }

    fn free(&self, channel: &mut ChannelRow) -> Result<Vec<Change>, Rejected> {
        let (mut row, out) = self.open_out()?;
        lower_open(channel, &out);
        row.outgoing = Some(OutHop { closing: Closing::Freed(self.entry.leaf()), ..out });
        Ok(vec![self.set(row)])
    }

    /// RETURN: only what came in, was booked, and can no longer go onward.
    fn give_back(&self) -> Result<Vec<Change>, Rejected> {
        let mut row = self.row().cloned().ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
        let from_here = Origin::Upstream { channel: self.step.channel };
        let passed_on = |answer| matches!(answer, Answer::Accepted(_));
        let answer = row.incoming.get(&self.step.channel).map_or(Answer::None, |hop| hop.answer);
        let stuck = match row.outgoing.as_ref().filter(|out| out.origin == from_here) {
            Some(out) => out.returned || matches!(out.closing, Closing::Freed(_)),
            // We have said yes for the network after us: our hop to it is lost, not free.
            None => !passed_on(answer),
        };
        let decided_here =
            accepted_on(self.state, &self.claim(), self.step.part, &self.step.channel).is_some();
        let hop = row.incoming.get_mut(&self.step.channel);
        let hop = hop.ok_or(Rejected::UnknownClaim { claim: self.claim() })?;
        let named = hop.done.is_some() && self.step.reference == hop.done;
        if !stuck || decided_here || !named || hop.booked.is_none() || hop.return_step.is_some() {
            return Err(Rejected::HopState);
        }
        hop.return_step = Some(self.entry.leaf());
        Ok(vec![self.set(row)])
    }
}

/// Our own yes to a claim, if this is the last hop of that part.
pub(crate) fn accepted_on<'s>(
    state: &'s State,
    claim: &ClaimId,
    part: u8,
    channel: &StreamId,
) -> Option<&'s DecisionRow> {
    let row = state.decisions.get(claim).filter(|row| row.outcome == Outcome::Accept)?;
    let hop = state.leg(claim, part).and_then(|leg| leg.incoming.get(channel));
    let due = hop.is_some_and(|hop| hop.due.is_some());
    (due || (part == 0 && row.channel == *channel)).then_some(row)
}

pub(crate) fn new_in_hop() -> InHop {
    InHop {
        answer: Answer::None,
        booked: None,
        return_step: None,
        returned: false,
        done: None,
        due: None,
        exchanged: None,
        disputed: None,
    }
}

pub(super) fn lower_open(channel: &mut ChannelRow, out: &OutHop) {
    let open = channel.open_out.entry(out.pair).or_default();
    *open = open.saturating_sub(out.value().position().minor().unsigned_abs());
}

/// The log epoch in force, for what we sign ourselves.
///
/// # Errors
/// Before the genesis.
pub fn log_epoch(state: &State) -> Result<u32, Rejected> {
    let current = state.identity()?.current(Purpose::Log);
    current.map(|(epoch, _)| epoch).ok_or(Rejected::UnknownEpoch { epoch: 0 })
}
