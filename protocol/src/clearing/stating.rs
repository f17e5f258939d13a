//! Statements as they come and go: what the streams move is followed, a peer's statement is answered, ours is written
//! when it is due (specs/clearing.md §12).
//!
//! What must hold: we sign a statement only when what the streams say is also what our books say; a statement that
//! differs stops nothing, it is shown to people.

use super::accord::{MAX_PAIRS, UnitPair};
use super::dispute::{self, DisputeOutcome};
use super::engine::{Cx, Engine};
use super::leg::Leg;
use super::offer;
use super::peers::Peers;
use super::settle;
use super::statement::{
    Act, Statement, StmtAckArgs, StmtArgs, Trail, Value, Verdict, leg_of, open_outs, position_amount,
    state_at,
};
use super::step::{Step, StepArgs};
use crate::entry::Entry;
use crate::ids::{Hash, LedgerId, StreamId};
use crate::ledger::Rejected;
use crate::ledger::settlement::{Stated, positions};
use crate::ledger::state::{ChannelRow, State};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// A peer's statement that waits for our answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Asked {
    /// Leaf hash of its STMT.
    #[n(0)]
    pub stmt: Hash,
    /// What the peer comes to.
    #[n(1)]
    pub theirs: Statement,
    /// What we came to at the same cut when it came.
    #[n(2)]
    pub ours: Statement,
}

/// A peer's answer to a statement of ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Answered {
    /// Leaf hash of our STMT.
    #[n(0)]
    pub stmt: Hash,
    /// Leaf hash of its STMT_ACK.
    #[n(1)]
    pub leaf: Hash,
    /// What it says.
    #[n(2)]
    pub verdict: Verdict,
    /// What the peer comes to.
    #[n(3)]
    pub theirs: Statement,
}

/// How a channel stands, as both streams and our own books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What the two streams say, as far as both are here.
    pub now: Statement,
    /// The positions that our books say.
    pub books: Vec<i64>,
    /// The last statement that both have signed.
    pub agreed: Option<Stated>,
    /// Our last statement, while the peer has not answered it.
    pub waiting: Option<Stated>,
    /// The last statement of ours that the peer did not agree to, and what it says.
    pub refused: Option<(Stated, Answered)>,
    /// Whether anything that a statement says has changed since the last one.
    pub moved: bool,
}

fn sseq_of(entry: &Entry) -> u64 {
    entry.body().stream.map_or(0, |header| header.sseq)
}

/// What a step moves on the position, if it is of those that do. `trail` is its writer's; `returned` gives what a
/// RETURN gives back.
fn effect_of(
    step: &Step,
    trail: &Trail,
    proposed: impl FnOnce(&super::intent::SignedIntent, (u8, u8)) -> Option<Value>,
    returned: impl Fn(Leg) -> Option<Value>,
    settled: impl FnOnce(&Hash) -> Option<(Value, bool)>,
) -> Option<(Act, Leg, Value)> {
    if let Some(moved) = settle::moved(step, settled).or_else(|| offer::moved(step)) {
        return Some(moved);
    }
    let key = leg_of(step)?;
    match &step.args {
        StepArgs::Propose(args) => Some((Act::Opened, key, proposed(&args.intent, (step.part, args.hop))?)),
        StepArgs::Done(_) => Some((Act::Done, key, trail.open(&key)?)),
        StepArgs::Free => Some((Act::Freed, key, trail.open(&key)?)),
        StepArgs::Return => Some((Act::GaveBack, key, returned(key)?)),
        StepArgs::Dispute(_) => {
            let act = match dispute::closes(step)? {
                DisputeOutcome::Bound => Act::Done,
                DisputeOutcome::Free => Act::Freed,
            };
            Some((act, key, trail.open(&key)?))
        }
        StepArgs::Accord(_)
        | StepArgs::Reset(_)
        | StepArgs::ResetRefuse(_)
        | StepArgs::Accept(_)
        | StepArgs::Reject(_)
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
    }
}

impl Peers {
    /// What a step of our own does to statements. The state is that after it.
    pub(super) fn follow_own(&mut self, state: &State, entry: &Entry, step: &Step) {
        let trail = self.own_trails.entry(step.channel).or_default();
        let row = state.channels.get(&step.channel);
        let proposed = |signed: &_, place| {
            let row = row?;
            position_amount(&row.accord, row.we_are_a, signed, place)
        };
        let booked = |leg: Leg| {
            let hop = state.leg(&leg.claim, leg.part)?.incoming.get(&step.channel)?;
            let (value, row) = (hop.booked_value()?, row?);
            let of_unit = |pair: &UnitPair| pair.unit(row.we_are_a) == value.unit;
            let pair = row.accord.pairs.iter().position(of_unit)?;
            Some((u8::try_from(pair).ok()?, value.position().minor().unsigned_abs()))
        };
        let settled = |id: &Hash| state.settlements.get(id).map(|row| (settle::value_of(row), row.we_owed));
        if let Some((act, key, value)) = effect_of(step, trail, proposed, booked, settled) {
            trail.note(sseq_of(entry), act, key, value);
        }
        match &step.args {
            StepArgs::Accord(_) => trail.begin(entry.body().time_ms),
            StepArgs::SettleAck(args) => {
                if let Some(id) = step.reference {
                    let known = state.settlements.contains_key(&id);
                    self.follow_settle_ack(&step.channel, id, args.answer, known);
                }
            }
            StepArgs::StmtAck(_) => {
                if let Some(stream) = self.stream_mut(&step.channel)
                    && stream.asked.as_ref().is_some_and(|asked| Some(asked.stmt) == step.reference)
                {
                    stream.asked = None;
                }
            }
            StepArgs::Propose(_)
            | StepArgs::Reset(_)
            | StepArgs::ResetRefuse(_)
            | StepArgs::Accept(_)
            | StepArgs::Reject(_)
            | StepArgs::Done(_)
            | StepArgs::Free
            | StepArgs::Return
            | StepArgs::Stmt(_)
            | StepArgs::Settle(_)
            | StepArgs::Dispute(_)
            | StepArgs::Offer(_)
            | StepArgs::DropHold(_)
            | StepArgs::Apply(_)
            | StepArgs::Pause(_)
            | StepArgs::End
            | StepArgs::Key(_) => {}
        }
    }

    /// What a peer's step that means something does to statements.
    pub(super) fn follow_peer(&mut self, state: &State, entry: &Entry, step: &Step) {
        let Some(stream) = self.stream_mut(&step.channel) else { return };
        let proposed = |signed: &_, place| {
            let row = state.channels.get(&step.channel)?;
            position_amount(&row.accord, !row.we_are_a, signed, place)
        };
        let ours = |leg: Leg| {
            let out = state.leg(&leg.claim, leg.part)?.outgoing.as_ref()?;
            Some((out.pair, out.value().position().minor().unsigned_abs()))
        };
        // The first answer counts.
        let answered = step.reference.and_then(|id| stream.settle_answers.get(&id));
        let first = answered.is_some_and(|(leaf, _)| *leaf == entry.leaf());
        let settled = |id: &Hash| {
            let row = state.settlements.get(id).filter(|_| first)?;
            Some((settle::value_of(row), !row.we_owed))
        };
        if let Some((act, key, value)) = effect_of(step, &stream.trail, proposed, ours, settled) {
            stream.trail.note(sseq_of(entry), act, key, value);
        }
    }

    /// A peer's STMT: what we come to is computed while its stream ends there.
    pub(super) fn hear_statement(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &StmtArgs,
    ) -> Result<(), &'static str> {
        let row = state.channels.get(&step.channel).ok_or("STMT on no channel")?;
        let theirs = args.statement.clone();
        let cut = theirs.cut_of(row.we_are_a);
        if cut != (step.ack.next, sseq_of(entry)) {
            return Err("STMT whose cut is not what stands before it");
        }
        if theirs.positions.len() > MAX_PAIRS {
            return Err("STMT of more unit pairs than an accord can have");
        }
        let (own, nothing) = (self.own_trails.get(&step.channel), Trail::default());
        let stream = self.stream(&step.channel).ok_or("STMT on no stream")?;
        let trails = (own.unwrap_or(&nothing), &stream.trail);
        let ours = state_at(theirs.positions.len(), row.we_are_a, trails, cut);
        let asked = Asked { stmt: entry.leaf(), theirs, ours };
        let stream = self.stream_mut(&step.channel).ok_or("STMT on no stream")?;
        stream.asked = Some(asked);
        Ok(())
    }

    /// A peer's STMT_ACK: it counts for the last statement that we wrote.
    pub(super) fn hear_answer(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &StmtAckArgs,
    ) -> Result<(), &'static str> {
        let written = state.statements.get(&step.channel).and_then(|row| row.written.as_ref());
        let Some(written) = written.filter(|written| Some(written.stmt) == step.reference) else {
            return Ok(());
        };
        if args.verdict == Verdict::Agreed && args.statement != written.statement {
            return Err("STMT_ACK agrees to another statement than ours");
        }
        let (stmt, leaf, verdict) = (written.stmt, entry.leaf(), args.verdict);
        let answered = Answered { stmt, leaf, verdict, theirs: args.statement.clone() };
        let stream = self.stream_mut(&step.channel).ok_or("STMT_ACK on no stream")?;
        stream.answered.get_or_insert_with(|| answered.clone());
        if stream.answered.as_ref().is_some_and(|before| before.stmt != stmt) {
            stream.answered = Some(answered);
        }
        Ok(())
    }

    /// Trails for channels that have none: those of a base of an earlier version of this program, which goes on from the
    /// books.
    pub(crate) fn take_up_trails(&mut self, state: &State) {
        for (id, row) in &state.channels {
            if self.own_trails.contains_key(id) {
                continue;
            }
            let (pairs, next) = (0_u8.., state.stream(id).next);
            let owed = |pair: &UnitPair| state.balance(&row.account, pair.booked_unit(row.we_are_a));
            let sums = pairs.zip(row.accord.pairs.iter().map(owed)).collect();
            self.own_trails.insert(*id, Trail::from_books(sums, open_outs(state, id), next));
            let Some(stream) = self.stream_mut(id) else { continue };
            let open = stream.open_proposals();
            stream.trail = Trail::from_books(BTreeMap::new(), open, stream.next);
        }
    }

    /// Our last statement on a channel, and the peer's answer to it.
    fn last_statement<'s>(
        &'s self,
        state: &'s State,
        channel: &StreamId,
    ) -> Option<(&'s Stated, Option<&'s Answered>)> {
        let written = state.statements.get(channel)?.written.as_ref()?;
        let answered = self.stream(channel).and_then(|stream| stream.answered.as_ref());
        Some((written, answered.filter(|answered| answered.stmt == written.stmt)))
    }
}

impl Engine {
    /// How the channel with a peer stands.
    ///
    /// # Errors
    /// No accord.
    pub fn standing(&self, peer: &LedgerId) -> Result<Standing, Rejected> {
        let (id, row) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let agreed = self.state.statements.get(&id).and_then(|row| row.agreed.clone());
        let (mut standing_agreed, mut waiting, mut refused) = (agreed, None, None);
        match self.peers.last_statement(&self.state, &id) {
            None => {}
            Some((written, None)) => waiting = Some(written.clone()),
            Some((written, Some(answer))) if answer.verdict == Verdict::Agreed => {
                let newer = standing_agreed.as_ref().is_none_or(|agreed| agreed.order() < written.order());
                if newer {
                    standing_agreed = Some(Stated { answer: Some(answer.leaf), ..written.clone() });
                }
            }
            Some((written, Some(answer))) => refused = Some((written.clone(), answer.clone())),
        }
        let (now, books) = (self.statement_now(&id, row), positions(&self.state, row));
        let (moved, _) = self.moved_since(&id, row);
        Ok(Standing { now, books, agreed: standing_agreed, waiting, refused, moved })
    }

    /// Writes a statement to a peer now, whatever the interval.
    ///
    /// # Errors
    /// No accord that both have appended, an earlier statement without an answer, or books that are not what the
    /// streams say.
    pub fn state_to(&mut self, peer: &LedgerId, cx: &mut Cx<'_>) -> Result<Hash, Rejected> {
        let (id, row) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        if self.peers.stream(&id).is_none_or(|stream| stream.accord_id.is_none()) {
            return Err(Rejected::NoAccord { peer: *peer });
        }
        if let Some((_, None)) = self.peers.last_statement(&self.state, &id) {
            return Err(Rejected::StatementWaits { peer: *peer });
        }
        if let Some(settlement) = self.peers.to_be_accepted_again(&id) {
            return Err(Rejected::SettleAgain { settlement });
        }
        let args = StmtArgs { statement: self.statement_now(&id, row) };
        let about = self.state.stream(&id).next.to_be_bytes();
        self.step_about(id, (None, 0), None, StepArgs::Stmt(args), &about, cx)?;
        Ok(self.state.stream(&id).head)
    }

    /// Answers what peers have stated and states what is due.
    pub(super) fn look_at_statements(&mut self, cx: &mut Cx<'_>) {
        if self.quiet {
            return;
        }
        let channels: Vec<(StreamId, LedgerId)> =
            self.state.channels.iter().map(|(id, row)| (*id, row.peer)).collect();
        for (id, peer) in channels {
            self.look_at_settlements(&id, cx);
            // Refused only while nothing may be signed on the channel, or when our books differ from the streams, which
            // people are shown; it is tried again at the next look.
            if self.answer_statement(&id, cx).is_ok() && self.is_statement_due(&id, cx.now_ms) {
                let _ = self.state_to(&peer, cx);
            }
        }
    }

    /// Answers the statement that a peer waits to have answered.
    pub(super) fn answer_statement(&mut self, id: &StreamId, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let asked = self.peers.stream(id).and_then(|stream| stream.asked.clone());
        let (Some(asked), Some(row)) = (asked, self.state.channels.get(id)) else { return Ok(()) };
        // What the peer has applied is booked once we know that all have accepted it; then the answer goes.
        if self.quiet || self.awaits_commit(id) {
            return Ok(());
        }
        let sound = self.statement_now(id, row).positions == positions(&self.state, row)
            && self.peers.to_be_accepted_again(id).is_none();
        let verdict = if sound { asked.ours.verdict(&asked.theirs) } else { Verdict::Books };
        let args = StmtAckArgs { verdict, statement: asked.ours };
        self.step_about(*id, (None, 0), Some(asked.stmt), StepArgs::StmtAck(args), asked.stmt.as_bytes(), cx)
    }

    fn statement_now(&self, id: &StreamId, row: &ChannelRow) -> Statement {
        let nothing = Trail::default();
        let own = self.peers.own_trails.get(id).unwrap_or(&nothing);
        let stream = self.peers.stream(id);
        let theirs = stream.map_or(&nothing, |stream| &stream.trail);
        let cut = (self.state.stream(id).next, stream.map_or(0, |stream| stream.next));
        state_at(row.accord.pairs.len(), row.we_are_a, (own, theirs), cut)
    }

    /// Whether anything has moved since the last statement, and when that was written or our accord was.
    fn moved_since(&self, id: &StreamId, row: &ChannelRow) -> (bool, u64) {
        let nothing = Trail::default();
        let own = self.peers.own_trails.get(id).unwrap_or(&nothing);
        let stream = self.peers.stream(id);
        let theirs = stream.map_or(&nothing, |stream| &stream.trail);
        let agreed = self.state.statements.get(id).and_then(|row| row.agreed.as_ref());
        let written = self.peers.last_statement(&self.state, id).map(|(written, _)| written);
        let latest = written.into_iter().chain(agreed).max_by_key(|stated| stated.order());
        let cut = latest.map_or((0, 0), |stated| stated.statement.cut_of(row.we_are_a));
        let moved = own.changed() > cut.0 || theirs.changed() > cut.1;
        (moved, latest.map_or(own.begun_ms(), |stated| stated.time_ms))
    }

    /// A statement is due when something has moved since the last one and the interval of the accord is over. The
    /// inviter states; the invited does when the inviter is half an interval late.
    fn is_statement_due(&self, id: &StreamId, now_ms: u64) -> bool {
        let Some(row) = self.state.channels.get(id) else { return false };
        if matches!(self.peers.last_statement(&self.state, id), Some((_, None))) {
            return false;
        }
        let (moved, since) = self.moved_since(id, row);
        let interval = row.accord.statement_interval_ms;
        let wait = if row.we_are_a { interval } else { interval.saturating_add(interval / 2) };
        moved && now_ms.max(self.state.head.time_ms) >= since.saturating_add(wait)
    }
}
