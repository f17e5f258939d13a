//! What one network has said on a channel, as facts that can be compared with the other's (specs/clearing.md §8).
//!
//! A [`Side`] is built from the stream's entries alone, and from the books beside them where those are at hand. It
//! holds a few hundred bytes for each claim and a hash for each entry of the stream.

use super::finding::EntryRef;
use super::netted::{self, Cleared};
use super::resets::Begun;
use super::settlements::{self, Settlement};
use super::statements::StatedLine;
use crate::clearing::accord::Accord;
use crate::clearing::dispute::{Dispute, DisputeOutcome};
use crate::clearing::intent::Hop;
use crate::clearing::leg::Leg;
use crate::clearing::step::{Step, StepArgs};
use crate::entry::{Entry, Payload};
use crate::ids::{ClaimId, Hash, LedgerId, StreamId, UnitId};
use crate::ledger::state::State;
use crate::ledger::transfer::Posting;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Where something was said: its place in the stream and in the ledger, and its leaf hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Line {
    #[n(0)]
    pub(super) leaf: Hash,
    #[n(1)]
    pub(super) sseq: u64,
    #[n(2)]
    pub(super) seq: u64,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Proposed {
    #[n(0)]
    pub(super) line: Line,
    #[n(1)]
    pub(super) time_ms: u64,
    #[n(2)]
    pub(super) expires_ms: u64,
    #[n(3)]
    pub(super) payee: LedgerId,
    #[n(4)]
    pub(super) pair: u8,
    /// What moves on the peer accounts of sender and receiver; `None` when the Intent cannot be read or has no such hop.
    #[n(5)]
    pub(super) amounts: Option<(i64, i64)>,
    /// Whether the Intent is the claim's and the hop leads from the one side to the other.
    #[n(6)]
    pub(super) fits: bool,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Answered {
    #[n(0)]
    pub(super) line: Line,
    #[n(1)]
    pub(super) accepted: bool,
    #[n(2)]
    pub(super) reference: Option<Hash>,
}

#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Closed {
    #[n(0)]
    pub(super) line: Line,
    #[n(1)]
    pub(super) done_by: Option<LedgerId>,
    #[n(2)]
    pub(super) reference: Option<Hash>,
    /// By dispute, and what that says.
    #[n(3)]
    pub(super) disputed: Option<DisputeOutcome>,
    /// By a reset of the channel.
    #[n(4)]
    #[cbor(default)]
    pub(super) reset: bool,
    /// Done on the channel before a reset of it: what it has moved stands in what the new one began with.
    #[n(5)]
    #[cbor(default)]
    pub(super) before: bool,
}

impl Closed {
    /// Whether the debtor owes the hop from here on.
    pub(super) fn binds(&self) -> bool {
        self.done_by.is_some() || self.disputed == Some(DisputeOutcome::Bound)
    }
}

/// Value moved on the peer account, or off it.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Moved {
    #[n(0)]
    pub(super) seq: u64,
    #[n(1)]
    pub(super) unit: UnitId,
    #[n(2)]
    pub(super) amount: i64,
    /// Leaf hash of what it follows.
    #[n(3)]
    pub(super) cause: Hash,
}

/// What one network has said, and booked, about one claim on the channel.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub(super) struct Said {
    #[n(0)]
    pub(super) proposed: Option<Proposed>,
    #[n(1)]
    pub(super) answered: Option<Answered>,
    #[n(2)]
    pub(super) closed: Option<Closed>,
    #[n(3)]
    pub(super) returned: Option<Line>,
    #[n(4)]
    pub(super) ended: Option<Moved>,
    #[n(5)]
    pub(super) booked: Option<Moved>,
    /// After a RETURN of its own.
    #[n(6)]
    pub(super) gave_back: Option<Moved>,
    /// After a RETURN of the peer's.
    #[n(7)]
    pub(super) got_back: Option<Moved>,
    /// Its DISPUTE as the creditor.
    #[n(8)]
    pub(super) disputed: Option<(Line, DisputeOutcome)>,
}

/// An acknowledgement: at `line`, the next place expected and the head before it.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(super) struct Acked {
    #[n(0)]
    pub(super) line: Line,
    #[n(1)]
    pub(super) next: u64,
    #[n(2)]
    pub(super) head: Hash,
}

/// One network's side of a channel.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct Side {
    #[n(0)]
    pub(super) ledger: LedgerId,
    #[n(1)]
    pub(super) peer: LedgerId,
    #[n(2)]
    pub(super) channel: StreamId,
    /// Whether `seq` of its lines is known and its books are at hand.
    #[n(3)]
    pub(super) own: bool,
    /// Leaf hash and place in the ledger, by place in the stream; zero where the entry is missing.
    #[n(4)]
    pub(super) lines: Vec<(Hash, u64)>,
    #[n(5)]
    pub(super) acks: Vec<Acked>,
    #[n(6)]
    pub(super) claims: BTreeMap<Leg, Box<Said>>,
    #[n(7)]
    pub(super) accord: Option<Accord>,
    #[n(8)]
    #[cbor(default)]
    pub(super) statements: Vec<StatedLine>,
    #[n(9)]
    #[cbor(default)]
    pub(super) settlements: BTreeMap<Hash, Settlement>,
    /// What was written off of the peer's account, and came back: unit pair, unit, amount on the account.
    #[n(10)]
    #[cbor(default)]
    pub(super) written_off: Vec<(u8, UnitId, i64)>,
    /// What netting rounds have taken off, by result.
    #[n(11)]
    #[cbor(default)]
    pub(super) cleared: BTreeMap<Hash, Cleared>,
    /// Where it began with a reset.
    #[n(12)]
    pub(super) begun: Option<Begun>,
}

/// Places of a stream that are filled when entries are missing.
const MAX_STREAM_GAP: u64 = 1 << 20;

impl Side {
    pub(super) fn new(ledger: LedgerId, peer: LedgerId, channel: StreamId, own: bool) -> Self {
        let (lines, acks, claims) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (statements, settlements, cleared) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let (accord, written_off) = (None, Vec::new());
        Self {
            ledger,
            peer,
            channel,
            own,
            lines,
            acks,
            claims,
            accord,
            statements,
            settlements,
            written_off,
            cleared,
            begun: None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    pub(super) fn entry(&self, line: &Line, audited: &LedgerId) -> EntryRef {
        match (self.own, self.ledger == *audited) {
            (true, true) => EntryRef::Own(line.seq),
            (true, false) => EntryRef::Of { ledger: self.ledger, seq: line.seq },
            (false, _) => EntryRef::Stream { ledger: self.ledger, stream: self.channel, sseq: line.sseq },
        }
    }

    pub(super) fn booked_at(&self, moved: &Moved, audited: &LedgerId) -> EntryRef {
        if self.ledger == *audited {
            EntryRef::Own(moved.seq)
        } else {
            EntryRef::Of { ledger: self.ledger, seq: moved.seq }
        }
    }

    /// The first place whose entry is missing.
    pub(super) fn first_gap(&self) -> u64 {
        self.lines.iter().position(|(leaf, _)| *leaf == Hash::ZERO).unwrap_or(self.lines.len()) as u64
    }

    /// Hops that were open on this channel.
    pub(super) fn legs(&self) -> impl Iterator<Item = &Leg> {
        let here = |said: &Said| !said.closed.is_some_and(|closed| closed.before);
        self.claims.iter().filter(move |(_, said)| here(said)).map(|(leg, _)| leg)
    }

    pub(super) fn acked_to(&self) -> u64 {
        self.acks.last().map_or(0, |ack| ack.next)
    }

    /// Takes in a stream entry. Gives what is wrong with it as a line of this stream.
    /// `seq` is its place in the ledger: of one that has come back, that of the entry which says so.
    pub(super) fn say(&mut self, entry: &Entry, step: &Step, seq: u64) -> Option<&'static str> {
        let (body, sseq) = (entry.body(), entry.body().stream.map_or(0, |header| header.sseq));
        let line = Line { leaf: entry.leaf(), sseq, seq };
        if sseq.saturating_sub(self.len()) > MAX_STREAM_GAP {
            return Some("its place in the stream is far beyond the entries before it");
        }
        let place = usize::try_from(sseq).unwrap_or(usize::MAX);
        while self.lines.len() < place {
            self.lines.push((Hash::ZERO, seq));
        }
        match self.lines.get_mut(place) {
            Some(known) => *known = (line.leaf, line.seq),
            None => self.lines.push((line.leaf, line.seq)),
        }
        if step.ack.next > self.acked_to() {
            self.acks.push(Acked { line, next: step.ack.next, head: step.ack.head });
        }
        let Some(claim) = step.claim else {
            if let StepArgs::Accord(args) = &step.args {
                self.accord = Accord::parse(&args.accord.0).ok();
            }
            self.statements.extend(StatedLine::of(line, step));
            let settled = settlements::say(&mut self.settlements, line, step);
            return settled.or_else(|| netted::say(&mut self.cleared, line, step));
        };
        let ends = (self.ledger, self.peer);
        let said = self.claims.entry(Leg { claim, part: step.part }).or_default();
        said.say(line, body.time_ms, step, claim, ends, self.accord.as_ref())
    }

    /// Takes in an own entry beside the stream. The state is that before it.
    pub(super) fn book(sides: &mut BTreeMap<StreamId, Self>, state: &State, entry: &Entry) {
        let seq = entry.body().seq;
        let moved = |channel: &StreamId, cause: Hash, postings: &[Posting]| {
            let account = state.channels.get(channel)?.account;
            let posting = postings.iter().find(|p| p.account == account)?;
            Some(Moved { seq, unit: posting.unit, amount: posting.delta.checked_abs()?, cause })
        };
        let proposed_on = match &entry.op().payload {
            Payload::End(end) if !state.claims.contains_key(&(end.claim, end.part)) => {
                sides.iter().find_map(|(channel, side)| {
                    let said = side.claims.get(&Leg { claim: end.claim, part: end.part })?;
                    said.proposed.map(|_| *channel)
                })
            }
            _ => None,
        };
        if let Payload::Settled(settled) = &entry.op().payload {
            settlements::book(sides, state, entry, settled);
            return;
        }
        if let Payload::WriteOff(off) = &entry.op().payload {
            if let (Some(side), Some(row)) = (sides.get_mut(&off.channel), state.channels.get(&off.channel)) {
                for posting in off.postings.iter().filter(|posting| posting.account == row.account) {
                    let pairs = (0_u8..).zip(&row.accord.pairs);
                    let mut of_unit = pairs.filter(|(_, p)| p.booked_unit(row.we_are_a) == posting.unit);
                    let pair = of_unit.next().map_or(0, |(pair, _)| pair);
                    side.written_off.push((pair, posting.unit, posting.delta));
                }
            }
            return;
        }
        if let Payload::ResetBooked(booked) = &entry.op().payload {
            let Some((id, row)) = state.channel_with(&booked.peer) else { return };
            let Some(side) = sides.get_mut(&id) else { return };
            for posting in booked.postings.iter().filter(|posting| posting.account == row.account) {
                let pairs = (0_u8..).zip(&row.accord.pairs);
                let mut of_unit = pairs.filter(|(_, p)| p.booked_unit(row.we_are_a) == posting.unit);
                let pair = of_unit.next().map_or(0, |(pair, _)| pair);
                side.written_off.push((pair, posting.unit, posting.delta));
            }
            return;
        }
        if let Payload::Netted(one) = &entry.op().payload {
            netted::book(sides, state, entry, one);
            return;
        }
        let mut with = |channel: &StreamId, leg: Leg, act: &dyn Fn(&mut Said)| {
            if let Some(side) = sides.get_mut(channel) {
                act(side.claims.entry(leg).or_default());
            }
        };
        match &entry.op().payload {
            Payload::End(end) => {
                let row = state.claims.get(&(end.claim, end.part)).and_then(|row| row.outgoing.as_ref());
                // Books from after it closed know the claim no more, and its proposal tells.
                let channel = row.map(|out| out.channel).or(proposed_on);
                if let Some(channel) = channel {
                    let ended = moved(&channel, end.closing, &end.postings);
                    let leg = Leg { claim: end.claim, part: end.part };
                    with(&channel, leg, &|said| said.ended = ended);
                }
            }
            Payload::Book(book) => {
                let booked = moved(&book.channel, book.closing, &book.postings);
                let leg = Leg { claim: book.claim, part: book.part };
                with(&book.channel, leg, &|said| said.booked = booked);
            }
            Payload::Returned(returned) => {
                let back = moved(&returned.channel, returned.reference, &returned.postings);
                let leg = Leg { claim: returned.claim, part: returned.part };
                with(&returned.channel, leg, &|said| {
                    if said.returned.is_some_and(|line| line.leaf == returned.reference) {
                        said.gave_back = back;
                    } else {
                        said.got_back = back;
                    }
                });
            }
            _ => {}
        }
    }
}

impl Said {
    fn say(
        &mut self,
        line: Line,
        time_ms: u64,
        step: &Step,
        claim: ClaimId,
        ends: (LedgerId, LedgerId),
        accord: Option<&Accord>,
    ) -> Option<&'static str> {
        let reference = step.reference;
        match &step.args {
            StepArgs::Accord(_)
            | StepArgs::Reset(_)
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
            | StepArgs::Key(_) => None,
            StepArgs::Propose(args) => {
                let intent = args.intent.parse().ok();
                let place = usize::from(args.hop);
                let part = intent.as_ref().and_then(|intent| intent.parts.get(usize::from(step.part)));
                let hop = part.and_then(|part| part.hops.get(place));
                let route = part
                    .and_then(|part| Some((part.route.get(place)?, part.route.get(place.checked_add(1)?)?)));
                let proposed = Proposed {
                    line,
                    time_ms,
                    expires_ms: intent.as_ref().map_or(0, |intent| intent.expires_ms),
                    payee: intent.as_ref().map_or(LedgerId::ZERO, |intent| intent.payee),
                    pair: hop.map_or(0, |hop| hop.pair),
                    amounts: hop.map(|hop| moved_by(hop, accord, &ends.0)),
                    fits: args.intent.claim() == claim && route == Some((&ends.0, &ends.1)),
                };
                once(&mut self.proposed, proposed, "it proposes the claim a second time")
            }
            StepArgs::Accept(args) => {
                let answered = Answered { line, accepted: true, reference };
                let again = once(&mut self.answered, answered, "it answers the claim a second time");
                again.or_else(|| {
                    (args.decision.body.claim != claim).then_some("its Decision is on another claim")
                })
            }
            StepArgs::Reject(args) => {
                let answered = Answered { line, accepted: false, reference };
                let again = once(&mut self.answered, answered, "it answers the claim a second time");
                let other = args.decision.is_some_and(|decision| decision.body.claim != claim);
                again.or_else(|| other.then_some("its Decision is on another claim"))
            }
            StepArgs::Done(args) => {
                let closed = Closed {
                    line,
                    done_by: Some(args.decision.body.decider),
                    reference,
                    disputed: None,
                    reset: false,
                    before: false,
                };
                let again = once(&mut self.closed, closed, "it closes the hop a second time");
                again.or_else(|| {
                    (args.decision.body.claim != claim).then_some("its Decision is on another claim")
                })
            }
            StepArgs::Free => {
                let closed =
                    Closed { line, done_by: None, reference, disputed: None, reset: false, before: false };
                once(&mut self.closed, closed, "it closes the hop a second time")
            }
            StepArgs::Dispute(args) => {
                let outcome = Dispute::parse(&args.dispute.0).map(|dispute| dispute.outcome);
                let Ok(outcome) = outcome else { return Some("its dispute cannot be read") };
                if reference.is_none() {
                    return once(&mut self.disputed, (line, outcome), "it disputes the hop a second time");
                }
                let closed = Closed {
                    line,
                    done_by: None,
                    reference,
                    disputed: Some(outcome),
                    reset: false,
                    before: false,
                };
                once(&mut self.closed, closed, "it closes the hop a second time")
            }
            StepArgs::Return => once(&mut self.returned, line, "it returns the claim a second time"),
        }
    }
}

/// What a hop moves on the peer accounts of its two ends: what it says, where each books in its own unit.
fn moved_by(hop: &Hop, accord: Option<&Accord>, sender: &LedgerId) -> (i64, i64) {
    let terms =
        accord.and_then(|accord| Some((accord.pairs.get(usize::from(hop.pair))?, accord.a == *sender)));
    match terms.filter(|(pair, _)| pair.foreign.is_some()) {
        Some((pair, sender_is_a)) => {
            let position = pair.position_of(hop, sender_is_a).minor();
            (position, position)
        }
        None => (hop.src.minor(), hop.dst.minor()),
    }
}

/// The first counts.
fn once<T>(slot: &mut Option<T>, value: T, again: &'static str) -> Option<&'static str> {
    if slot.is_some() {
        return Some(again);
    }
    *slot = Some(value);
    None
}
