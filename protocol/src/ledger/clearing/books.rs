//! The books beside the steps: which postings End, Credit, Book and Returned must carry, computed from the claim's
//! facts in our own entries (specs/clearing.md §6).

use super::{accepted_on, lower_open, new_in_hop};
use crate::amount::Amount;
use crate::ids::{ClaimId, StreamId, UnitId};
use crate::ledger::state::{Change, ChannelRow, ClaimRow, Closing, DecisionRow, Origin, State};
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
    let (from, to) = match (out.closing, out.origin) {
        (Closing::Done(leaf), Origin::Hold { .. }) if leaf == end.closing => {
            (own_accounts::hold(), channel.account)
        }
        (Closing::Done(leaf), Origin::Upstream { .. }) if leaf == end.closing => {
            (own_accounts::transit(), channel.account)
        }
        (Closing::Freed(leaf), Origin::Hold { account, .. }) if leaf == end.closing => {
            (own_accounts::hold(), account)
        }
        _ => return Err(Rejected::HopState),
    };
    if out.ended {
        return Err(Rejected::HopState);
    }
    out.ended = true;
    let postings = move_value(from, to, out.unit, out.amount);
    let mut changes = Vec::new();
    if matches!(out.closing, Closing::Done(_)) {
        lower_open(&mut channel, out);
        changes.push(Change::Channel(out.channel, Box::new(channel)));
    }
    if let Origin::Hold { hold, .. } = out.origin {
        changes.push(Change::Hold(hold, None));
    }
    changes.push(Change::Claim(end.claim, end.part, Box::new(row)));
    Ok(Facts { postings, changes })
}

pub(in crate::ledger) fn credit_facts(state: &State, credit: &Credit) -> Result<Facts, Rejected> {
    let row = state.decisions.get(&credit.claim).ok_or(Rejected::UnknownClaim { claim: credit.claim })?;
    let (unit, amount) = row.value.filter(|_| !row.credited).ok_or(Rejected::HopState)?;
    let postings = move_value(own_accounts::incoming(), credit.account, unit, amount);
    let changes = vec![Change::Decision(credit.claim, DecisionRow { credited: true, ..row.clone() })];
    Ok(Facts { postings, changes })
}

pub(in crate::ledger) fn book_facts(state: &State, time_ms: u64, book: &Book) -> Result<Facts, Rejected> {
    let channel = channel_row(state, &book.channel)?;
    let keep_until = time_ms.saturating_add(crate::clearing::accord::MAX_EXPIRY_MS);
    let key = (book.claim, book.part);
    let new = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms: keep_until };
    let mut row = state.claims.get(&key).cloned().unwrap_or_else(new);
    let decided = accepted_on(state, &book.claim, &book.channel);
    let from_here = Origin::Upstream { channel: book.channel };
    let to = if decided.is_some() { own_accounts::incoming() } else { own_accounts::transit() };
    let proposed = row.outgoing.as_ref().filter(|out| out.origin == from_here);
    let known = decided.and_then(|d| d.value).or(proposed.map(|out| (out.unit, out.amount)));
    let (unit, amount) = match known {
        Some(value) => value,
        None => debited_peer(channel, &book.postings)?,
    };
    let hop = row.incoming.entry(book.channel).or_insert_with(new_in_hop);
    if hop.booked.is_some() {
        return Err(Rejected::HopState);
    }
    hop.booked = Some((unit, amount));
    hop.done = Some(book.closing);
    let postings = move_value(channel.account, to, unit, amount);
    Ok(Facts { postings, changes: vec![Change::Claim(book.claim, book.part, Box::new(row))] })
}

/// Where we never saw the Intent in an entry of ours, the amount is the posting's; the peer's folder proves it.
fn debited_peer(channel: &ChannelRow, postings: &[Posting]) -> Result<(UnitId, Amount), Rejected> {
    let posting = postings.iter().find(|p| p.account == channel.account && p.delta < 0);
    let posting = posting.ok_or(Rejected::PostingsDiffer)?;
    let amount =
        posting.delta.checked_neg().and_then(|d| Amount::new(d).ok()).ok_or(Rejected::PostingsDiffer)?;
    Ok((posting.unit, amount))
}

pub(in crate::ledger) fn returned_facts(state: &State, returned: &Returned) -> Result<Facts, Rejected> {
    let channel = channel_row(state, &returned.channel)?;
    let mut row = claim_row(state, returned.claim, returned.part)?;
    // A liar may have proposed to us on the channel on which we proposed: our own RETURN says which hop is meant.
    let ours =
        row.incoming.get_mut(&returned.channel).filter(|hop| hop.return_step == Some(returned.reference));
    let postings = match (ours, &mut row.outgoing) {
        (Some(hop), _) => {
            let (unit, amount) = hop.booked.ok_or(Rejected::HopState)?;
            if hop.returned {
                return Err(Rejected::HopState);
            }
            hop.returned = true;
            move_value(own_accounts::transit(), channel.account, unit, amount)
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
            move_value(channel.account, to, out.unit, out.amount)
        }
        _ => return Err(Rejected::UnknownClaim { claim: returned.claim }),
    };
    Ok(Facts { postings, changes: vec![Change::Claim(returned.claim, returned.part, Box::new(row))] })
}

fn claim_row(state: &State, claim: ClaimId, part: u8) -> Result<ClaimRow, Rejected> {
    state.claims.get(&(claim, part)).cloned().ok_or(Rejected::UnknownClaim { claim })
}
