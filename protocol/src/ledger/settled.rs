//! Value between networks that moved outside, as far as our own entries decide it (specs/kinds.md §5, specs/clearing.md
//! §13).
//!
//! A settlement is proposed by a person of one network and answered once by a person of the other; the answer decides.
//! What must hold: nothing is booked that our own people did not sign, never more than is owed, never the same
//! twice.

use super::authority::Authority;
use super::members::OwnerKind;
use super::state::{Account, Change, ChannelRow, State};
use super::transfer::{Posting, book_postings, move_value};
use super::{Rejected, own_accounts};
use crate::amount::Amount;
use crate::clearing::settle::{SettleAckArgs, SettleAnswer, SettleArgs};
use crate::clearing::step::Step;
use crate::entry::Entry;
use crate::ids::{Hash, StreamId, UnitId};
use minicbor::{Decode, Encode};

/// Settlements of ours on one channel that wait for an answer: people write them, a handful is many.
pub const MAX_OPEN_SETTLEMENTS: usize = 8;

/// What a person, or the node after them, does about a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum SettleAct {
    /// A person proposes it.
    #[n(0)]
    Propose,
    /// A person takes the proposal back, unless it has been accepted by then.
    #[n(1)]
    Withdraw,
    /// A person accepts what the peer proposes.
    #[n(2)]
    Accept,
    /// A person refuses what the peer proposes.
    #[n(3)]
    Refuse,
    /// The node books what the peer has accepted.
    #[n(4)]
    Booked,
    /// The node drops what the peer has not accepted.
    #[n(5)]
    Dropped,
}

impl SettleAct {
    /// Whether the node writes it alone.
    pub fn is_of_node(self) -> bool {
        matches!(self, Self::Booked | Self::Dropped)
    }
}

/// Payload: value owed between two networks that moved outside of their ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Settled {
    /// What is done about it.
    #[n(0)]
    pub act: SettleAct,
    /// With whom.
    #[n(1)]
    pub channel: StreamId,
    /// In which unit pair of the accord.
    #[n(2)]
    pub pair: u8,
    /// How much, in the position unit.
    #[n(3)]
    pub amount: Amount,
    /// Whether this network owed it.
    #[n(4)]
    pub we_owed: bool,
    /// Which: the leaf hash of the entry that proposed it; absent where this one does.
    #[n(5)]
    pub settlement: Option<Hash>,
    /// Of the node's: the leaf hash of the peer's SETTLE_ACK.
    #[n(6)]
    pub answer: Option<Hash>,
    /// Of Accept and Booked: between the peer's account and `settlement`.
    #[n(7)]
    pub postings: Option<Vec<Posting>>,
}

/// How a settlement stands here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Stage {
    /// Ours: a person has signed it; the SETTLE comes next.
    #[n(0)]
    Signed,
    /// Ours: proposed to the peer.
    #[n(1)]
    Proposed,
    /// Ours: a person takes it back; the SETTLE that says so comes next.
    #[n(2)]
    TakenBack,
    /// Ours: the peer was told that it is taken back.
    #[n(3)]
    Withdrawn,
    /// Ours: accepted and booked.
    #[n(4)]
    Booked,
    /// Ours: not accepted.
    #[n(5)]
    Dropped,
    /// The peer's: a person has accepted it, it is booked; the SETTLE_ACK comes next.
    #[n(6)]
    Accepting,
    /// The peer's: a person has refused it; the SETTLE_ACK comes next.
    #[n(7)]
    Refusing,
    /// The peer's: accepted, and told.
    #[n(8)]
    Accepted,
    /// The peer's: refused, and told.
    #[n(9)]
    Refused,
}

impl Stage {
    /// Ours, and without an answer.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Signed | Self::Proposed | Self::TakenBack | Self::Withdrawn)
    }

    /// Proposed by this network.
    pub fn is_ours(self) -> bool {
        self.is_open() || matches!(self, Self::Booked | Self::Dropped)
    }
}

/// A settlement in the state.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SettlementRow {
    /// With whom.
    #[n(0)]
    pub channel: StreamId,
    /// In which unit pair.
    #[n(1)]
    pub pair: u8,
    /// How much, in the position unit.
    #[n(2)]
    pub amount: Amount,
    /// Whether this network owed it.
    #[n(3)]
    pub we_owed: bool,
    /// How it stands.
    #[n(4)]
    pub stage: Stage,
    /// When that was written.
    #[n(5)]
    pub time_ms: u64,
    /// Of ours: the commitment to its outside reference.
    #[n(6)]
    pub reference: Option<Hash>,
    /// Of one taken back: the place of the SETTLE that says so.
    #[n(7)]
    pub withdrawn_at: Option<u64>,
}

/// What proposals of ours to be paid outside hold of the room that the debt gives us: by then it may be gone.
pub fn reserved(state: &State, channel: &ChannelRow, pair: u8) -> i128 {
    let held = state
        .settlements
        .values()
        .filter(|row| row.stage.is_open() && !row.we_owed && row.pair == pair && is_on(state, row, channel));
    held.map(|row| i128::from(row.amount.minor())).sum()
}

fn is_on(state: &State, row: &SettlementRow, channel: &ChannelRow) -> bool {
    state.channels.get(&row.channel).is_some_and(|on| on.peer == channel.peer)
}

/// What is booked and not yet told to the peer, by pair: the streams do not say it yet.
pub(super) fn untold(state: &State, channel: &StreamId) -> Vec<(u8, bool, i64)> {
    let untold =
        state.settlements.values().filter(|row| row.stage == Stage::Accepting && row.channel == *channel);
    untold.map(|row| (row.pair, row.we_owed, row.amount.minor())).collect()
}

/// The postings of a settlement: what is owed less on the peer's account stands on `settlement`.
///
/// # Errors
/// A pair that the accord has not.
pub fn postings_of(
    channel: &ChannelRow,
    pair: u8,
    amount: Amount,
    we_owed: bool,
) -> Result<Vec<Posting>, Rejected> {
    let unit = unit_of(channel, pair)?;
    let (peer, outside) = (channel.account, own_accounts::settlement());
    let (from, to) = if we_owed { (peer, outside) } else { (outside, peer) };
    Ok(move_value(from, to, unit, amount))
}

fn unit_of(channel: &ChannelRow, pair: u8) -> Result<UnitId, Rejected> {
    let terms = channel.accord.pairs.get(usize::from(pair));
    let terms = terms.ok_or(Rejected::HopMismatch { why: "the accord has no such unit pair" })?;
    Ok(terms.booked_unit(channel.we_are_a))
}

/// Rules of an entry about a settlement.
pub(super) fn apply_settled(
    state: &State,
    authority: &Authority,
    entry: &Entry,
    settled: &Settled,
) -> Result<Vec<Change>, Rejected> {
    let channel = state.channels.get(&settled.channel);
    let channel = channel.ok_or(Rejected::UnknownChannel { channel: settled.channel })?;
    unit_of(channel, settled.pair)?;
    let (id, act) = (settled.settlement.unwrap_or(entry.leaf()), settled.act);
    let books = matches!(act, SettleAct::Accept | SettleAct::Booked);
    let form = settled.settlement.is_some() != (act == SettleAct::Propose)
        && settled.answer.is_some() == act.is_of_node()
        && settled.postings.is_some() == books;
    if !form {
        return Err(Rejected::SettleForm);
    }
    if !act.is_of_node() {
        authority.treasury(state)?;
        if state.is_closed_for_reset(&channel.peer) {
            return Err(Rejected::ChannelClosed { peer: channel.peer });
        }
    }
    let known = state.settlements.get(&id);
    let fits = known.is_none_or(|row| {
        (row.channel, row.pair, row.amount, row.we_owed)
            == (settled.channel, settled.pair, settled.amount, settled.we_owed)
    });
    let stage = known.map(|row| row.stage);
    let next = match (act, stage) {
        (SettleAct::Propose, None) => {
            propose(state, channel, entry, settled)?;
            Stage::Signed
        }
        (SettleAct::Withdraw, Some(Stage::Proposed)) => Stage::TakenBack,
        (SettleAct::Accept, None) => {
            within_debt(state, channel, settled)?;
            Stage::Accepting
        }
        (SettleAct::Refuse, None) => Stage::Refusing,
        (SettleAct::Booked, Some(Stage::Proposed | Stage::TakenBack | Stage::Withdrawn)) => Stage::Booked,
        (SettleAct::Dropped, Some(Stage::Proposed | Stage::TakenBack | Stage::Withdrawn)) => Stage::Dropped,
        _ => return Err(Rejected::SettleState { settlement: id }),
    };
    if !fits {
        return Err(Rejected::SettleState { settlement: id });
    }
    let mut changes = Vec::new();
    if let Some(postings) = &settled.postings {
        if *postings != postings_of(channel, settled.pair, settled.amount, settled.we_owed)? {
            return Err(Rejected::PostingsDiffer);
        }
        let outside = own_accounts::settlement();
        if !state.accounts.contains_key(&outside) {
            changes.push(Change::Account(outside, Account::new(OwnerKind::Own, false)));
        }
        changes.extend(book_postings(state, postings)?);
    }
    let row = SettlementRow {
        channel: settled.channel,
        pair: settled.pair,
        amount: settled.amount,
        we_owed: settled.we_owed,
        stage: next,
        time_ms: entry.body().time_ms,
        reference: known.map_or_else(|| entry.op().sidecars.first().copied(), |row| row.reference),
        withdrawn_at: known.and_then(|row| row.withdrawn_at),
    };
    changes.push(Change::Settlement(id, row));
    Ok(changes)
}

fn propose(state: &State, channel: &ChannelRow, entry: &Entry, settled: &Settled) -> Result<(), Rejected> {
    if entry.op().sidecars.len() != 1 {
        return Err(Rejected::SettleReference);
    }
    let on_channel = |row: &&SettlementRow| row.stage.is_open() && row.channel == settled.channel;
    if state.settlements.values().filter(on_channel).count() >= MAX_OPEN_SETTLEMENTS {
        return Err(Rejected::SettleMany { peer: channel.peer });
    }
    within_debt(state, channel, settled)
}

/// No more than is owed by our books; and as the creditor no more than leaves room for what we have on its way, which
/// may count on the debt.
fn within_debt(state: &State, channel: &ChannelRow, settled: &Settled) -> Result<(), Rejected> {
    let unit = unit_of(channel, settled.pair)?;
    let balance = i128::from(state.balance(&channel.account, unit));
    let amount = i128::from(settled.amount.minor());
    let owed = if settled.we_owed { balance } else { balance.saturating_neg() };
    // What a netting round holds of the debt is not there to be settled.
    let owed = owed.saturating_sub(super::netting::held(state, channel, settled.pair, settled.we_owed));
    if amount > owed {
        return Err(Rejected::SettleDebt { amount: settled.amount.minor(), owed });
    }
    let room = super::clearing::room(state, channel, settled.pair).unwrap_or(0);
    if !settled.we_owed && amount > room {
        return Err(Rejected::NoRoom { amount: settled.amount.minor(), room });
    }
    Ok(())
}

/// SETTLE: the other half of what a person has signed.
pub(super) fn apply_settle(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &ChannelRow,
    args: &SettleArgs,
) -> Result<Vec<Change>, Rejected> {
    let id = step.reference.unwrap_or(Hash::ZERO);
    let wrong = Rejected::SettleState { settlement: id };
    let row = state.settlements.get(&id).filter(|row| row.channel == step.channel).ok_or(wrong.clone())?;
    let a_owed = row.we_owed == channel.we_are_a;
    let same = (args.pair, args.amount, args.a_owed, Some(args.reference))
        == (row.pair, row.amount, a_owed, row.reference);
    let mut row = row.clone();
    row.stage = match (row.stage, args.withdrawn) {
        (Stage::Signed, false) => Stage::Proposed,
        (Stage::TakenBack, true) => Stage::Withdrawn,
        _ => return Err(wrong),
    };
    if !same {
        return Err(wrong);
    }
    row.withdrawn_at = entry.body().stream.filter(|_| args.withdrawn).map(|header| header.sseq);
    Ok(vec![Change::Settlement(id, row)])
}

/// SETTLE_ACK: tells what a person has answered; or, where the peer took it back first, that.
pub(super) fn apply_settle_ack(
    state: &State,
    step: &Step,
    args: &SettleAckArgs,
) -> Result<Vec<Change>, Rejected> {
    let id = step.reference.unwrap_or(Hash::ZERO);
    let row = state.settlements.get(&id).filter(|row| row.channel == step.channel);
    let next = match (args.answer, row.map(|row| row.stage)) {
        (SettleAnswer::Accepted, Some(Stage::Accepting)) => Stage::Accepted,
        (SettleAnswer::Refused, Some(Stage::Refusing)) => Stage::Refused,
        (SettleAnswer::Withdrawn, None) => return Ok(Vec::new()),
        _ => return Err(Rejected::SettleState { settlement: id }),
    };
    let row = row.map(|row| Change::Settlement(id, SettlementRow { stage: next, ..row.clone() }));
    Ok(row.into_iter().collect())
}
