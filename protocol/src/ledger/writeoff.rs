//! A peer that is lost, written off by our own root set alone (specs/clearing.md §16).
//!
//! What must hold: nobody waits for ever for a network that is gone, and nothing that it may still say is denied: what it
//! owes stands on `disputed` and comes back from there, its hops stay as they are, and no upstream hop is freed by it.

use super::authority::Authority;
use super::clearing::{accepted_on, value_in};
use super::state::{Change, ChannelRow, Closing, Origin, State};
use super::transfer::{Posting, book_postings};
use super::{Rejected, own_accounts};
use crate::clearing::leg::Leg;
use crate::ids::{AccountId, StreamId, UnitId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// A peer of which nothing was heard for so long may be written off: far longer than any repair takes.
pub const LOST_AFTER_MS: u64 = 30 * 86_400_000;

/// What is done about a peer that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum WriteOffAct {
    /// Our root set writes it off.
    #[n(0)]
    WrittenOff,
    /// It was heard again: the node takes back what can be.
    #[n(1)]
    TakenBack,
}

/// Payload: a peer written off, or heard again.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WriteOff {
    /// What is done.
    #[n(0)]
    pub act: WriteOffAct,
    /// The channel with it.
    #[n(1)]
    pub channel: StreamId,
    /// When it was last heard, in our time.
    #[n(2)]
    pub heard_ms: u64,
    /// How many entries of its stream are here.
    #[n(3)]
    pub next: u64,
    /// What it moves; absent when nothing is owed and nothing is open.
    #[cbor(n(4), with = "crate::entry::list", has_nil)]
    pub postings: Vec<Posting>,
}

/// A peer written off, in the state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct WriteOffRow {
    /// When it was written off.
    #[n(0)]
    pub time_ms: u64,
    /// How many entries of its stream were here.
    #[n(1)]
    pub next: u64,
    /// What is posted when it is heard again.
    #[n(2)]
    pub back: Vec<Posting>,
}

impl WriteOffRow {
    /// What was written off of what stood on an account.
    pub fn taken_from(&self, account: &AccountId, unit: UnitId) -> i64 {
        let of = self.back.iter().find(|posting| (posting.account, posting.unit) == (*account, unit));
        of.map_or(0, |posting| posting.delta)
    }
}

/// Postings that add up, by account and unit.
#[derive(Default)]
pub(super) struct Sums(BTreeMap<(AccountId, UnitId), i64>);

impl Sums {
    pub(super) fn add(
        &mut self,
        from: AccountId,
        to: AccountId,
        unit: UnitId,
        minor: i64,
    ) -> Result<(), Rejected> {
        let less = minor.checked_neg().ok_or(Rejected::BalanceOverflow { account: from, unit })?;
        self.one(from, unit, less)?;
        self.one(to, unit, minor)
    }

    /// One side of a movement; the other has to follow.
    pub(super) fn one(&mut self, account: AccountId, unit: UnitId, delta: i64) -> Result<(), Rejected> {
        let sum = self.0.entry((account, unit)).or_default();
        *sum = sum.checked_add(delta).ok_or(Rejected::BalanceOverflow { account, unit })?;
        Ok(())
    }

    pub(super) fn of(&self, account: AccountId, unit: UnitId) -> i64 {
        self.0.get(&(account, unit)).copied().unwrap_or(0)
    }

    pub(super) fn postings(&self, turned: bool) -> Vec<Posting> {
        let moved = self.0.iter().filter(|(_, delta)| **delta != 0);
        let posting = |((account, unit), delta): (&(AccountId, UnitId), &i64)| Posting {
            account: *account,
            unit: *unit,
            delta: if turned { delta.wrapping_neg() } else { *delta },
        };
        moved.map(posting).collect()
    }
}

/// What writing a channel off does.
pub struct Facts {
    /// What it moves.
    pub postings: Vec<Posting>,
    /// Of that, turned: what comes back when the peer is heard again.
    back: Vec<Posting>,
    /// Hops whose payers have their value again; `disputed` stands for them from here on.
    refunded: Vec<Leg>,
}

/// What writing a channel off does by our books.
///
/// # Errors
/// Sums beyond what an amount can be.
pub fn facts(state: &State, id: &StreamId, channel: &ChannelRow) -> Result<Facts, Rejected> {
    let disputed = own_accounts::disputed();
    let (mut back, mut gone) = (Sums::default(), Sums::default());
    for terms in &channel.accord.pairs {
        let unit = terms.booked_unit(channel.we_are_a);
        back.add(channel.account, disputed, unit, state.balance(&channel.account, unit))?;
    }
    let mut refunded = Vec::new();
    for ((claim, part), row) in &state.claims {
        if let Some(out) = row.outgoing.as_ref().filter(|out| out.channel == *id)
            && let (Closing::Open, Origin::Hold { account, .. }) = (out.closing, out.origin)
            && account != disputed
        {
            gone.add(disputed, account, out.unit, out.amount.minor())?;
            refunded.push(Leg { claim: *claim, part: *part });
        }
        let waits = row.incoming.get(id).is_some_and(|hop| hop.booked.is_none() && hop.disputed.is_none());
        if waits && accepted_on(state, claim, *part, id).is_some() {
            let (value, _) = value_in(state, claim, *part, id);
            let value = value.ok_or(Rejected::UnknownClaim { claim: *claim })?;
            back.add(disputed, own_accounts::incoming(), value.unit, value.amount.minor())?;
        }
    }
    let turned = back.postings(true);
    let mut all = back;
    for ((account, unit), delta) in gone.0 {
        let sum = all.0.entry((account, unit)).or_default();
        *sum = sum.checked_add(delta).ok_or(Rejected::BalanceOverflow { account, unit })?;
    }
    Ok(Facts { postings: all.postings(false), back: turned, refunded })
}

/// Rules of an entry about a peer that is lost.
pub(super) fn apply_write_off(
    state: &State,
    authority: &Authority,
    time_ms: u64,
    off: &WriteOff,
) -> Result<Vec<Change>, Rejected> {
    let unknown = Rejected::UnknownChannel { channel: off.channel };
    let channel = state.channels.get(&off.channel).ok_or(unknown)?;
    let row = state.written_off.get(&off.channel);
    let (expected, mut changes, next) = match (off.act, row) {
        (WriteOffAct::WrittenOff, None) => {
            authority.roots(state)?;
            check_lost(state, channel, time_ms, off)?;
            let facts = facts(state, &off.channel, channel)?;
            let mut changes = Vec::new();
            for leg in &facts.refunded {
                changes.push(refund(state, leg)?);
            }
            let row = WriteOffRow { time_ms, next: off.next, back: facts.back };
            (facts.postings, changes, Some(row))
        }
        (WriteOffAct::TakenBack, Some(row)) => {
            if off.next <= row.next {
                return Err(Rejected::NothingToDo);
            }
            (row.back.clone(), Vec::new(), None)
        }
        (WriteOffAct::WrittenOff, Some(_)) | (WriteOffAct::TakenBack, None) => {
            return Err(Rejected::NothingToDo);
        }
    };
    if off.postings != expected {
        return Err(Rejected::PostingsDiffer);
    }
    if !expected.is_empty() {
        changes.extend(book_postings(state, &expected)?);
    }
    changes.push(Change::WriteOff(off.channel, next));
    Ok(changes)
}

/// The peer was not heard for long enough, and our own entries do not say that it was.
fn check_lost(state: &State, channel: &ChannelRow, time_ms: u64, off: &WriteOff) -> Result<(), Rejected> {
    let views = state.views.iter().filter(|((peer, _), _)| *peer == channel.peer);
    let seen = views.map(|(_, view)| view.time_ms).max().unwrap_or(0);
    let heard_ms = off.heard_ms.max(seen);
    if time_ms.saturating_sub(heard_ms) < LOST_AFTER_MS || off.next < channel.acked {
        return Err(Rejected::WriteOffEarly { peer: channel.peer, heard_ms });
    }
    Ok(())
}

/// The payer has the value of an open hop again: what becomes of the hop is for the network itself to bear.
fn refund(state: &State, leg: &Leg) -> Result<Change, Rejected> {
    let unknown = Rejected::UnknownClaim { claim: leg.claim };
    let mut row = state.leg(&leg.claim, leg.part).cloned().ok_or(unknown.clone())?;
    let out = row.outgoing.as_mut().ok_or(unknown.clone())?;
    let Origin::Hold { hold, .. } = out.origin else { return Err(unknown) };
    out.origin = Origin::Hold { hold, account: own_accounts::disputed() };
    Ok(Change::Claim(leg.claim, leg.part, Box::new(row)))
}
