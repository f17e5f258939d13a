//! Succession: how a ledger goes on after it has lost its newest entries, and what of them comes back
//! (specs/kinds.md §1).
//!
//! What must hold: only the root set says that entries are lost, and the ledger says so for ever; what peers hold of
//! the lost part binds us as it did before, and takes its place in its stream by its exact bytes; value whose hold was
//! lost with it comes from the own account `disputed`, so that every sum stays zero.

use super::authority::Authority;
use super::clearing;
use super::identity::Identity;
use super::state::{Change, State, StreamRow};
use super::transfer::{self, Posting};
use super::{Rejected, SigCheck};
use crate::clearing::step::Step;
use crate::encoding::Blob;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, LedgerId};
use minicbor::{Decode, Encode};

/// Payload: the ledger goes on from here; entries after the last one held are lost.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Succession {
    /// Counts from 1; larger than any that the ledger is known to have had.
    #[n(0)]
    pub number: u32,
    /// How many entries the ledger is known to have had.
    #[n(1)]
    pub old_size: u64,
    /// The root that others have seen at that size.
    #[n(2)]
    pub old_root: Option<Hash>,
    /// How many entries are held: the place of this one.
    #[n(3)]
    pub base: u64,
    /// The start from which it goes on.
    #[n(4)]
    pub boot: u64,
    /// Peers that have not answered, ascending.
    #[cbor(n(5), with = "crate::entry::list", has_nil)]
    pub unheard: Vec<LedgerId>,
}

/// Payload: an entry of the lost part that somebody else has kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Recovered {
    /// Its exact bytes.
    #[n(0)]
    pub entry: Blob,
    /// What it moves: from `disputed`, where its hold is lost.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub postings: Vec<Posting>,
}

impl Recovered {
    /// The entry that comes back, when it is one.
    pub fn lost(&self) -> Option<Entry> {
        Entry::parse(&self.entry.0).ok()
    }

    /// The step that it is.
    pub fn lost_step(&self) -> Option<Step> {
        match self.lost()?.op().payload.clone() {
            Payload::Step(step) => Some(step),
            _ => None,
        }
    }
}

/// What is kept of a succession, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SuccessionRow {
    /// How many entries were held.
    #[n(0)]
    pub base: u64,
    /// How many the ledger is known to have had.
    #[n(1)]
    pub old_size: u64,
    /// The root seen at that size.
    #[n(2)]
    pub old_root: Option<Hash>,
    /// The start from which it went on.
    #[n(3)]
    pub boot: u64,
    /// Peers that had not answered.
    #[n(4)]
    pub unheard: Vec<LedgerId>,
}

pub(super) fn apply_succession(
    state: &State,
    authority: &Authority,
    entry: &Entry,
    succession: &Succession,
) -> Result<Vec<Change>, Rejected> {
    authority.roots(state)?;
    // One that was lost has its number for ever: what was signed under its origin stands.
    let last = state.successions.last_key_value().map_or(0, |(number, _)| *number);
    if succession.number <= last {
        return Err(Rejected::SuccessionNumber { last, got: succession.number });
    }
    let base = state.head.next_seq;
    if succession.base != base {
        return Err(Rejected::SuccessionBase { expected: base, got: succession.base });
    }
    let boot = succession.boot;
    if boot <= state.head.boot || boot > entry.body().boot {
        return Err(Rejected::SuccessionBoot { last: state.head.boot, got: boot });
    }
    let unheard = &succession.unheard;
    if !unheard.is_sorted_by(|a, b| a < b) || unheard.iter().any(|peer| state.channel_with(peer).is_none()) {
        return Err(Rejected::SuccessionUnheard);
    }
    if succession.old_size < base || (succession.old_size == base && unheard.is_empty()) {
        return Err(Rejected::NothingToDo);
    }
    let row = SuccessionRow {
        base,
        old_size: succession.old_size,
        old_root: succession.old_root,
        boot,
        unheard: unheard.clone(),
    };
    Ok(vec![Change::Succession(succession.number, row)])
}

pub(super) fn apply_recovered(state: &State, recovered: &Recovered) -> Result<Vec<Change>, Rejected> {
    let facts = facts(state, &recovered.entry.0)?;
    if facts.postings != recovered.postings {
        return Err(Rejected::PostingsDiffer);
    }
    let mut changes = facts.changes;
    if !facts.postings.is_empty() {
        changes.extend(transfer::book_postings(state, &facts.postings)?);
    }
    Ok(changes)
}

/// What an entry of the lost part does now.
#[derive(Debug)]
pub struct Facts {
    /// The entry.
    pub lost: Entry,
    /// What it moves.
    pub postings: Vec<Posting>,
    changes: Vec<Change>,
}

/// Judges an entry of the lost part: it takes the next place of its stream. A step whose rule rests on more that was
/// lost (a booking, the other half of a payment passed on) has its place and no effect.
///
/// # Errors
/// When it is none of this ledger's, was not lost, or is not the next of its stream.
pub fn facts(state: &State, bytes: &[u8]) -> Result<Facts, Rejected> {
    let lost = Entry::parse(bytes).map_err(Rejected::Entry)?;
    let no = |why| Err(Rejected::NotLost { why });
    let body = lost.body();
    if body.ledger != state.ledger()? {
        return no("it is of another ledger");
    }
    if !state.successions.values().any(|row| body.boot < row.boot && body.seq >= row.base) {
        return no("no succession has lost it");
    }
    let (Payload::Step(step), Some(header)) = (&lost.op().payload, body.stream) else {
        return no("it stands in no channel's stream");
    };
    if header.id != step.channel || !body.auth.is_empty() {
        return no("it is no step of its stream");
    }
    if let Some(row) = state.channels.get(&header.id)
        && state.is_closed_for_reset(&row.peer)
    {
        return Err(Rejected::ChannelClosed { peer: row.peer });
    }
    let row = state.stream(&header.id);
    if (header.sseq, header.sprev) != (row.next, row.head) {
        return Err(Rejected::StreamPlace { stream: header.id, expected: row.next, got: header.sseq });
    }
    let next = header.sseq.checked_add(1).ok_or(Rejected::Full)?;
    let place = Change::Stream(header.id, StreamRow { next, head: lost.leaf() });
    let (mut changes, postings) = match clearing::apply_lost_step(state, &lost, step) {
        Ok(effect) => effect,
        Err(_) => (clearing::acknowledge(state, step), Vec::new()),
    };
    changes.push(place);
    Ok(Facts { lost, postings, changes })
}

/// Our signatures under and inside the entry that comes back.
pub(super) fn recovered_signatures(
    identity: &Identity,
    recovered: &Recovered,
) -> Result<Vec<SigCheck>, Rejected> {
    let lost = Entry::parse(&recovered.entry.0).map_err(Rejected::Entry)?;
    let key = identity.log_key_bytes(lost.body().epoch)?;
    let mut checks = vec![SigCheck { key, message: lost.node_message(), sig: *lost.node_sig() }];
    if let Payload::Step(step) = &lost.op().payload {
        checks.extend(clearing::step_signatures(identity, step)?);
    }
    Ok(checks)
}
