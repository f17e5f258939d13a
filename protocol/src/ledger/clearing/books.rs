//! The books beside the steps: which postings End, Credit, Book and Returned must carry, computed from the claim's
//! facts in our own entries (specs/clearing.md §6).

use super::{accepted_on, lower_open, new_in_hop};
use crate::amount::Amount;
use crate::clearing::rate::{Exchanged, HopValue, Way};
use crate::ids::{AccountId, ClaimId, Hash, StreamId};
use crate::ledger::state::{
    Change, ChannelRow, ClaimRow, Closing, DecisionRow, HoldRow, InHop, Origin, State,
};
use crate::ledger::transfer::{Book, Credit, End, Posting, Returned, move_value};
use crate::ledger::{Rejected, own_accounts};
use std::collections::BTreeMap;

/// What a posting entry of the node must contain, and what else it changes.
pub(in crate::ledger) struct Facts {
    pub(in crate::ledger) postings: Vec<Posting>,
    pub(in crate::ledger) changes: Vec<Change>,
}

fn channel_row<'s>(state: &'s State, id: &StreamId) -> Result<&'s ChannelRow, Rejected> {
    state.channels.get(id).ok_or(Rejected::UnknownChannel { channel: *id })
}

pub(in crate::ledger) fn end_facts(state: &State, end: &End) -> Result<Facts, Rejected> {
    let mut row = claim_row(state, end.claim, end.part)?;
    let out = row.outgoing.as_mut().ok_or(Rejected::UnknownClaim { claim: end.claim })?;
    let mut channel = channel_row(state, &out.channel)?.clone();
    let (value, peer) = (out.value(), channel.account);
    let postings = match (out.closing, out.origin) {
        (Closing::Done(leaf), Origin::Hold { .. }) if leaf == end.closing => {
            value.postings(own_accounts::hold(), peer, Way::Out)
        }
        (Closing::Done(leaf), Origin::Upstream { .. }) if leaf == end.closing => {
            value.postings(own_accounts::transit(), peer, Way::Out)
        }
        (Closing::Freed(leaf), Origin::Hold { account, .. }) if leaf == end.closing => {
            move_value(own_accounts::hold(), account, out.unit, out.amount)
        }
        _ => return Err(Rejected::HopState),
    };
    if out.ended {
        return Err(Rejected::HopState);
    }
    out.ended = true;
    let mut changes = Vec::new();
    if matches!(out.closing, Closing::Done(_)) {
        lower_open(&mut channel, out);
        changes.push(Change::Channel(out.channel, Box::new(channel)));
    }
    if let Origin::Hold { hold, .. } = out.origin {
        changes.push(Change::Hold(hold, state.holds.get(&hold).and_then(|row| less(row, out.amount))));
    }
    changes.push(Change::Claim(end.claim, end.part, Box::new(row)));
    Ok(Facts { postings, changes })
}

/// A hold without what one part took of it; `None` when nothing is left.
fn less(hold: &HoldRow, taken: Amount) -> Option<HoldRow> {
    let amount = Amount::new(hold.amount.minor().saturating_sub(taken.minor())).ok()?;
    Some(HoldRow { amount, ..hold.clone() })
}

/// What of a hold no claim backs: the whole, or what parts that were never proposed would have taken.
pub(in crate::ledger) fn release_facts(state: &State, hold: &Hash) -> Result<Facts, Rejected> {
    let row = state.holds.get(hold).ok_or(Rejected::UnknownHold { hold: *hold })?;
    let loose = match row.claim {
        None => row.amount,
        Some(claim) => row.left.ok_or(Rejected::HoldBound { hold: *hold, claim })?,
    };
    let postings = move_value(own_accounts::hold(), row.account, row.unit, loose);
    let rest = less(row, loose).map(|row| HoldRow { left: None, ..row });
    Ok(Facts { postings, changes: vec![Change::Hold(*hold, rest)] })
}

pub(in crate::ledger) fn credit_facts(state: &State, credit: &Credit) -> Result<Facts, Rejected> {
    let row = state.decisions.get(&credit.claim).ok_or(Rejected::UnknownClaim { claim: credit.claim })?;
    let (unit, amount) = row.value.filter(|_| !row.credited).ok_or(Rejected::HopState)?;
    let postings = move_value(own_accounts::incoming(), credit.account, unit, amount);
    let changes = vec![Change::Decision(credit.claim, DecisionRow { credited: true, ..row.clone() })];
    Ok(Facts { postings, changes })
}

/// What the peer's DONE brings, as far as our own entries know it, and whether we are the decider.
pub(crate) fn value_in(
    state: &State,
    claim: &ClaimId,
    part: u8,
    channel: &StreamId,
) -> (Option<HopValue>, bool) {
    let row = state.leg(claim, part);
    let hop = row.and_then(|row| row.incoming.get(channel));
    let from_here = Origin::Upstream { channel: *channel };
    let out = row.and_then(|row| row.outgoing.as_ref()).filter(|out| out.origin == from_here);
    let passed_on = out.map(|out| HopValue { unit: out.unit, amount: out.amount, exchanged: out.before });
    let Some(decided) = accepted_on(state, claim, part, channel) else { return (passed_on, false) };
    let whole = decided.value.map(|(unit, amount)| HopValue { unit, amount, exchanged: None });
    (hop.and_then(InHop::due_value).or(whole), true)
}

pub(in crate::ledger) fn book_facts(state: &State, time_ms: u64, book: &Book) -> Result<Facts, Rejected> {
    let channel = channel_row(state, &book.channel)?;
    let keep_until = time_ms.saturating_add(crate::clearing::accord::MAX_EXPIRY_MS);
    let new = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms: keep_until };
    let mut row = state.leg(&book.claim, book.part).cloned().unwrap_or_else(new);
    let (known, decided) = value_in(state, &book.claim, book.part, &book.channel);
    let to = if decided { own_accounts::incoming() } else { own_accounts::transit() };
    let value = match known {
        Some(value) => value,
        None => posted_in(channel, to, &book.postings)?,
    };
    let hop = row.incoming.entry(book.channel).or_insert_with(new_in_hop);
    if hop.booked.is_some() {
        return Err(Rejected::HopState);
    }
    hop.booked = Some((value.unit, value.amount));
    hop.exchanged = value.exchanged;
    hop.done = Some(book.closing);
    let postings = value.postings(to, channel.account, Way::In);
    Ok(Facts { postings, changes: vec![Change::Claim(book.claim, book.part, Box::new(row))] })
}

/// Where we never saw the Intent in an entry of ours, the amounts are the postings'; the peer's folder proves them.
fn posted_in(channel: &ChannelRow, to: AccountId, postings: &[Posting]) -> Result<HopValue, Rejected> {
    let minor = |delta: i64| Amount::new(delta.unsigned_abs().try_into().ok()?).ok();
    let differ = Rejected::PostingsDiffer;
    let debited = postings.iter().find(|p| p.account == channel.account && p.delta < 0);
    let debited = debited.ok_or(differ.clone())?;
    let position = minor(debited.delta).ok_or(differ.clone())?;
    let side = channel.we_are_a;
    let pair = channel.accord.pairs.iter().find(|p| p.exchanges(side) && p.booked_unit(side) == debited.unit);
    let Some(pair) = pair else {
        return Ok(HopValue { unit: debited.unit, amount: position, exchanged: None });
    };
    let unit = pair.unit(side);
    let of = |account: AccountId| postings.iter().find(|p| (p.account, p.unit) == (account, unit));
    let amount = of(to).filter(|p| p.delta > 0).and_then(|p| minor(p.delta)).ok_or(differ.clone())?;
    let worth =
        of(own_accounts::id("exchange")).filter(|p| p.delta < 0).map_or(0, |p| p.delta.unsigned_abs());
    if worth < amount.minor().unsigned_abs() {
        return Err(differ);
    }
    let exchanged = Some(Exchanged { unit: debited.unit, amount: position, worth });
    Ok(HopValue { unit, amount, exchanged })
}

pub(in crate::ledger) fn returned_facts(state: &State, returned: &Returned) -> Result<Facts, Rejected> {
    let channel = channel_row(state, &returned.channel)?;
    let mut row = claim_row(state, returned.claim, returned.part)?;
    // A liar may have proposed to us on the channel on which we proposed: our own RETURN says which hop is meant.
    let ours =
        row.incoming.get_mut(&returned.channel).filter(|hop| hop.return_step == Some(returned.reference));
    let postings = match (ours, &mut row.outgoing) {
        (Some(hop), _) => {
            let value = hop.booked_value().ok_or(Rejected::HopState)?;
            if hop.returned {
                return Err(Rejected::HopState);
            }
            hop.returned = true;
            value.turned(own_accounts::transit(), channel.account, Way::In)
        }
        (None, Some(out)) if out.channel == returned.channel => {
            if !matches!(out.closing, Closing::Done(_)) || !out.ended || out.returned {
                return Err(Rejected::HopState);
            }
            out.returned = true;
            let to = match out.origin {
                Origin::Hold { account, .. } => account,
                Origin::Upstream { .. } => own_accounts::transit(),
            };
            out.value().turned(to, channel.account, Way::Out)
        }
        _ => return Err(Rejected::UnknownClaim { claim: returned.claim }),
    };
    Ok(Facts { postings, changes: vec![Change::Claim(returned.claim, returned.part, Box::new(row))] })
}

fn claim_row(state: &State, claim: ClaimId, part: u8) -> Result<ClaimRow, Rejected> {
    state.leg(&claim, part).cloned().ok_or(Rejected::UnknownClaim { claim })
}
