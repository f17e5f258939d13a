//! Hops that both root sets have closed, as far as our own entries decide it (specs/clearing.md §15).
//!
//! What must hold: as the creditor we free a hop only where nothing of the claim is bound further on, whoever has signed;
//! a payment that we have credited and whose hop is freed so stands on `disputed`, so that every sum stays zero.

use super::clearing::{accepted_on, lower_open, new_in_hop, root_signatures_of, value_in};
use super::identity::Identity;
use super::state::{Answer, Change, ChannelRow, ClaimRow, Closing, Origin, State};
use super::transfer::{Posting, move_value};
use super::{Rejected, SigCheck, own_accounts};
use crate::clearing::dispute::{Dispute, DisputeArgs, DisputeOutcome};
use crate::clearing::step::Step;
use crate::clearing::weak::{self, Weak};
use crate::entry::Entry;
use crate::ids::{ClaimId, Hash, StreamId};
use crate::keys;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// As the creditor: what both root sets have said about a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DisputedHop {
    /// Leaf hash of our DISPUTE.
    #[n(0)]
    pub leaf: Hash,
    /// What it says.
    #[n(1)]
    pub outcome: DisputeOutcome,
    /// Whether the books follow the debtor's closing step, where they have to.
    #[n(2)]
    pub closed: bool,
}

/// Payload: a payment that we have credited stands on `disputed`, because its hop was freed by a dispute.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DisputeClosed {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(1)]
    pub part: u8,
    /// On which channel.
    #[n(2)]
    pub channel: StreamId,
    /// Leaf hash of our DISPUTE.
    #[n(3)]
    pub dispute: Hash,
    /// disputed → incoming.
    #[n(4)]
    pub postings: Vec<Posting>,
}

/// The signatures of our own root set inside a DISPUTE.
pub(super) fn signatures(identity: &Identity, args: &DisputeArgs) -> Result<Vec<SigCheck>, Rejected> {
    let dispute = parse(args)?;
    let sigs = args.sigs_of(&dispute, &identity.ledger);
    root_signatures_of(keys::DISPUTE, &identity.root, &args.dispute.0, sigs)
}

fn parse(args: &DisputeArgs) -> Result<Dispute, Rejected> {
    Dispute::parse(&args.dispute.0).map_err(|_| Rejected::DisputeMismatch { why: "it cannot be read" })
}

/// DISPUTE: as the creditor it says what is to become of the hop, as the debtor it closes it.
pub(super) fn apply_dispute(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &mut ChannelRow,
    args: &DisputeArgs,
) -> Result<Vec<Change>, Rejected> {
    let wrong = |why| Rejected::DisputeMismatch { why };
    let dispute = parse(args)?;
    let us = state.ledger()?;
    if !dispute.is_about(step, &us, &channel.peer) {
        return Err(wrong("it is about another hop than the step names"));
    }
    let expires_ms = entry.body().time_ms.saturating_add(crate::clearing::accord::MAX_EXPIRY_MS);
    let new = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms };
    let mut row = state.leg(&dispute.claim, dispute.part).cloned().unwrap_or_else(new);
    let of_debtor = dispute.debtor == us;
    if step.reference.is_some() != of_debtor {
        return Err(Rejected::StepForm);
    }
    if of_debtor {
        let out = row.outgoing.as_mut().ok_or(Rejected::UnknownClaim { claim: dispute.claim })?;
        if out.channel != step.channel || out.closing != Closing::Open {
            return Err(Rejected::HopState);
        }
        if (out.pair, out.value().position()) != (dispute.pair, dispute.amount) {
            return Err(wrong("it names another amount than the hop has"));
        }
        out.closing = match dispute.outcome {
            DisputeOutcome::Bound => Closing::Done(entry.leaf()),
            DisputeOutcome::Free => {
                lower_open(channel, out);
                Closing::Freed(entry.leaf())
            }
        };
    } else {
        consent(state, entry, step, &dispute, &mut row)?;
    }
    Ok(vec![Change::Claim(dispute.claim, dispute.part, Box::new(row))])
}

/// What the creditor may say: free where nothing is bound further on; bound where it has decided or goes on.
fn consent(
    state: &State,
    entry: &Entry,
    step: &Step,
    dispute: &Dispute,
    row: &mut ClaimRow,
) -> Result<(), Rejected> {
    let from_here = Origin::Upstream { channel: step.channel };
    let onward = row.outgoing.as_ref().filter(|out| out.origin == from_here).map(|out| out.closing);
    let decided = accepted_on(state, &dispute.claim, dispute.part, &step.channel).is_some();
    let (value, _) = value_in(state, &dispute.claim, dispute.part, &step.channel);
    if value.is_some_and(|value| value.position() != dispute.amount) {
        return Err(Rejected::DisputeMismatch { why: "it names another amount than the hop has" });
    }
    let hop = row.incoming.entry(step.channel).or_insert_with(new_in_hop);
    if hop.disputed.is_some() || hop.booked.is_some() {
        return Err(Rejected::HopState);
    }
    match dispute.outcome {
        DisputeOutcome::Free => {
            let bound = onward.is_some_and(|closing| !matches!(closing, Closing::Freed(_)));
            if bound && !weak::is(Weak::DisputeAnywhere) {
                return Err(Rejected::BoundDownstream);
            }
            hop.answer = Answer::Rejected(entry.leaf());
        }
        DisputeOutcome::Bound => {
            // What cannot go on and was not decided here would come back at once.
            let goes_on = onward.is_some_and(|closing| !matches!(closing, Closing::Freed(_)));
            if matches!(hop.answer, Answer::Rejected(_)) || !(decided || goes_on) {
                return Err(Rejected::HopState);
            }
        }
    }
    hop.disputed = Some(DisputedHop { leaf: entry.leaf(), outcome: dispute.outcome, closed: false });
    Ok(())
}

/// What we have credited of a part whose hop was disputed free, while the books do not say so yet.
pub(crate) fn left_on_incoming(
    state: &State,
    claim: &ClaimId,
    part: u8,
    channel: &StreamId,
) -> Option<(Hash, Vec<Posting>)> {
    let hop = state.leg(claim, part)?.incoming.get(channel)?;
    let disputed = hop.disputed.filter(|d| d.outcome == DisputeOutcome::Free && !d.closed)?;
    accepted_on(state, claim, part, channel).filter(|_| hop.booked.is_none())?;
    let (value, _) = value_in(state, claim, part, channel);
    let value = value?;
    let postings = move_value(own_accounts::disputed(), own_accounts::incoming(), value.unit, value.amount);
    Some((disputed.leaf, postings))
}

pub(super) fn apply_closed(state: &State, closed: &DisputeClosed) -> Result<Vec<Change>, Rejected> {
    let left = left_on_incoming(state, &closed.claim, closed.part, &closed.channel);
    let (leaf, postings) = left.ok_or(Rejected::HopState)?;
    if leaf != closed.dispute {
        return Err(Rejected::HopState);
    }
    if postings != closed.postings {
        return Err(Rejected::PostingsDiffer);
    }
    let mut changes = super::transfer::book_postings(state, &postings)?;
    let row = state.leg(&closed.claim, closed.part).cloned();
    let mut row = row.ok_or(Rejected::UnknownClaim { claim: closed.claim })?;
    let hop = row.incoming.get_mut(&closed.channel).and_then(|hop| hop.disputed.as_mut());
    hop.ok_or(Rejected::HopState)?.closed = true;
    changes.push(Change::Claim(closed.claim, closed.part, Box::new(row)));
    Ok(changes)
}
