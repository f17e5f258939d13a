//! What is owed to a peer and how it is stated, as far as our own entries decide it (specs/clearing.md §12).
//!
//! What must hold: we state of ourselves exactly what our books say. That the peer's half is right is checked by
//! [`crate::clearing`] before we sign, and by an audit that has the peer's folder.

use super::state::{Change, ChannelRow, State};
use super::{Rejected, settled};
use crate::clearing::statement::{Statement, StmtAckArgs, StmtArgs, Verdict, in_flight, open_outs};
use crate::clearing::step::Step;
use crate::entry::Entry;
use crate::ids::Hash;
use minicbor::{Decode, Encode};

/// A statement and its signatures' places.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stated {
    /// What it says.
    #[n(0)]
    pub statement: Statement,
    /// Leaf hash of the STMT.
    #[n(1)]
    pub stmt: Hash,
    /// When it was written here, in our time.
    #[n(2)]
    pub time_ms: u64,
    /// Leaf hash of our STMT_ACK, where the peer wrote the STMT.
    #[n(3)]
    pub answer: Option<Hash>,
}

impl Stated {
    /// Which of two statements is the newer one, for both sides alike.
    pub fn order(&self) -> (u64, (u64, u64), Hash) {
        let (a, b) = self.statement.cut;
        (a.saturating_add(b), (a, b), self.stmt)
    }
}

/// The statements of a channel that our own entries hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct StatementRow {
    /// The last one we wrote; whether the peer agreed is for the peer's stream to say.
    #[n(0)]
    pub written: Option<Stated>,
    /// The last one of the peer's that we have agreed to.
    #[n(1)]
    pub agreed: Option<Stated>,
}

/// What is owed over a channel by our books, by unit pair and in its position unit: above zero A owes B.
pub fn positions(state: &State, channel: &ChannelRow) -> Vec<i64> {
    let id = state.channel_with(&channel.peer).map(|(id, _)| id);
    let written_off = id.and_then(|id| state.written_off.get(&id));
    let of = |pair: &crate::clearing::accord::UnitPair| {
        let unit = pair.booked_unit(channel.we_are_a);
        // What is written off is owed all the same.
        let off = written_off.map_or(0, |row| row.taken_from(&channel.account, unit));
        let owed = state.balance(&channel.account, unit).wrapping_add(off);
        if channel.we_are_a { owed } else { owed.wrapping_neg() }
    };
    let mut positions: Vec<i64> = channel.accord.pairs.iter().map(of).collect();
    let untold = state.channel_with(&channel.peer).map(|(id, _)| settled::untold(state, &id));
    for (pair, we_owed, amount) in untold.into_iter().flatten() {
        // Booked here, and in no stream yet.
        if let Some(position) = positions.get_mut(usize::from(pair)) {
            let back = if we_owed == channel.we_are_a { amount } else { amount.wrapping_neg() };
            *position = position.wrapping_add(back);
        }
    }
    positions
}

/// STMT: the cut is everything before it, and what it says of us is what our books say. Of a statement that comes back
/// after a succession only the place is checked: the books are made again after it.
pub(super) fn state_positions(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &ChannelRow,
    args: &StmtArgs,
    lost: bool,
) -> Result<Vec<Change>, Rejected> {
    let statement = &args.statement;
    let sseq = entry.body().stream.map_or(0, |header| header.sseq);
    let (expected, got) = ((sseq, step.ack.next), statement.cut_of(channel.we_are_a));
    if got != expected {
        return Err(Rejected::StatementCut { expected, got });
    }
    if !lost {
        let expected = positions(state, channel);
        if statement.positions != expected {
            return Err(Rejected::StatementPosition { expected, got: statement.positions.clone() });
        }
        let ours = if channel.we_are_a { &statement.in_flight_a } else { &statement.in_flight_b };
        if *ours != in_flight(&open_outs(state, &step.channel), channel.accord.pairs.len()) {
            return Err(Rejected::StatementInFlight);
        }
    }
    let mut row = state.statements.get(&step.channel).cloned().unwrap_or_default();
    let statement = statement.clone();
    row.written = Some(Stated { statement, stmt: entry.leaf(), time_ms: entry.body().time_ms, answer: None });
    Ok(vec![Change::Statement(step.channel, Box::new(row))])
}

/// STMT_ACK: it answers for a cut that both have passed.
pub(super) fn answer_statement(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &ChannelRow,
    args: &StmtAckArgs,
) -> Result<Vec<Change>, Rejected> {
    let sseq = entry.body().stream.map_or(0, |header| header.sseq);
    let (expected, got) = ((sseq, step.ack.next), args.statement.cut_of(channel.we_are_a));
    // The STMT itself stands behind its cut, and we have it.
    if got.0 > expected.0 || got.1 >= expected.1 {
        return Err(Rejected::StatementCut { expected, got });
    }
    if args.statement.positions.len() > channel.accord.pairs.len() {
        let expected = positions(state, channel);
        return Err(Rejected::StatementPosition { expected, got: args.statement.positions.clone() });
    }
    if args.verdict != Verdict::Agreed {
        return Ok(Vec::new());
    }
    let mut row = state.statements.get(&step.channel).cloned().unwrap_or_default();
    let agreed = Stated {
        statement: args.statement.clone(),
        stmt: step.reference.unwrap_or(Hash::ZERO),
        time_ms: entry.body().time_ms,
        answer: Some(entry.leaf()),
    };
    row.agreed = Some(agreed);
    Ok(vec![Change::Statement(step.channel, Box::new(row))])
}
