//! Rows about payments between networks: what is held, what a claim asks of us, and our word on it.

use super::KEEP_CLOSED_MS;
use crate::amount::Amount;
use crate::clearing::intent::Outcome;
use crate::clearing::rate::{Exchanged, HopValue};
use crate::ids::{AccountId, ClaimId, Hash, LedgerId, StreamId, UnitId};
use crate::ledger::dispute::DisputedHop;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Value set aside by a payer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HoldRow {
    /// Who pays.
    #[n(0)]
    pub account: AccountId,
    /// In which unit.
    #[n(1)]
    pub unit: UnitId,
    /// How much.
    #[n(2)]
    pub amount: Amount,
    /// To which network.
    #[n(3)]
    pub payee_network: LedgerId,
    /// To the payee's name and the memo.
    #[n(4)]
    pub commitment: Hash,
    /// The claim it backs, once proposed.
    #[n(5)]
    pub claim: Option<ClaimId>,
    /// Of a claim of several parts: what those not proposed yet will take.
    #[n(6)]
    pub left: Option<Amount>,
}

impl HoldRow {
    /// Whether it holds value that no proposed part of a claim backs.
    pub fn is_loose(&self) -> bool {
        self.claim.is_none() || self.left.is_some()
    }
}

/// Where the value of an outgoing hop comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Origin {
    /// A member's hold.
    #[n(0)]
    Hold {
        /// Leaf hash of the hold.
        #[n(0)]
        hold: Hash,
        /// Who pays.
        #[n(1)]
        account: AccountId,
    },
    /// The hop before, on another channel.
    #[n(1)]
    Upstream {
        /// That channel.
        #[n(0)]
        channel: StreamId,
    },
}

/// The debtor's closing step: the outcome of the hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Closing {
    /// Neither yet.
    #[n(0)]
    Open,
    /// Bound; leaf hash of the DONE.
    #[n(1)]
    Done(#[n(0)] Hash),
    /// Freed; leaf hash of the FREE.
    #[n(2)]
    Freed(#[n(0)] Hash),
}

/// The hop of a claim on which we are the debtor.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OutHop {
    /// On which channel.
    #[n(0)]
    pub channel: StreamId,
    /// Unit pair of its accord.
    #[n(1)]
    pub pair: u8,
    /// Our unit.
    #[n(2)]
    pub unit: UnitId,
    /// How much, in our unit.
    #[n(3)]
    pub amount: Amount,
    /// Where it comes from.
    #[n(4)]
    pub origin: Origin,
    /// Whose word decides.
    #[n(5)]
    pub decider: LedgerId,
    /// The outcome.
    #[n(6)]
    pub closing: Closing,
    /// Whether the books follow the outcome.
    #[n(7)]
    pub ended: bool,
    /// Whether the peer gave it back and our books follow.
    #[n(8)]
    pub returned: bool,
    /// The peer's unit in our books, when its account is kept in that.
    #[n(9)]
    pub exchanged: Option<Exchanged>,
    /// The same for the hop before, which comes from another peer.
    #[n(10)]
    pub before: Option<Exchanged>,
}

impl OutHop {
    /// What it moves in our books.
    pub fn value(&self) -> HopValue {
        HopValue { unit: self.unit, amount: self.amount, exchanged: self.exchanged }
    }
}

/// What we have answered on a hop on which we are the creditor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Nothing yet.
    #[n(0)]
    None,
    /// ACCEPT; its leaf hash.
    #[n(1)]
    Accepted(#[n(0)] Hash),
    /// REJECT; its leaf hash.
    #[n(2)]
    Rejected(#[n(0)] Hash),
}

/// The hop of a claim on which we are the creditor.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InHop {
    /// What we answered.
    #[n(0)]
    pub answer: Answer,
    /// What was booked after the peer's DONE.
    #[n(1)]
    pub booked: Option<(UnitId, Amount)>,
    /// Leaf hash of our RETURN.
    #[n(2)]
    pub return_step: Option<Hash>,
    /// Whether the books follow the RETURN.
    #[n(3)]
    pub returned: bool,
    /// Leaf hash of the peer's DONE that was booked: a RETURN names it, however late it comes.
    #[n(4)]
    pub done: Option<Hash>,
    /// As the decider, of a claim that has several parts or is exchanged: what this hop brings, once we have said yes.
    #[n(5)]
    pub due: Option<(UnitId, Amount)>,
    /// The peer's unit in our books: of what is due, or was booked.
    #[n(6)]
    pub exchanged: Option<Exchanged>,
    /// What both root sets have said about it.
    #[n(7)]
    pub disputed: Option<DisputedHop>,
}

impl InHop {
    /// What was booked.
    pub fn booked_value(&self) -> Option<HopValue> {
        let (unit, amount) = self.booked?;
        Some(HopValue { unit, amount, exchanged: self.exchanged })
    }

    /// What is due, where that is kept here.
    pub fn due_value(&self) -> Option<HopValue> {
        let (unit, amount) = self.due?;
        Some(HopValue { unit, amount, exchanged: self.exchanged })
    }
}

/// Our part in one part of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ClaimRow {
    /// Towards the payer, by channel: only one can be right, but a liar may propose a claim that is not its own.
    #[n(0)]
    pub incoming: BTreeMap<StreamId, InHop>,
    /// Towards the payee.
    #[n(1)]
    pub outgoing: Option<OutHop>,
    /// Until when the decider may accept (or when we first heard of it, where we never saw the Intent).
    #[n(2)]
    pub expires_ms: u64,
}

impl ClaimRow {
    /// Nothing is left to do here, whatever the others do, but for a network that contradicts itself.
    pub fn is_closed(&self) -> bool {
        let incoming = self.incoming.values().all(|hop| match hop.answer {
            Answer::None | Answer::Accepted(_) => hop.booked.is_some(),
            Answer::Rejected(_) => true,
        });
        let outgoing = self.outgoing.as_ref().is_none_or(|hop| match hop.closing {
            Closing::Open => false,
            Closing::Done(_) => hop.ended,
            Closing::Freed(_) => hop.ended || matches!(hop.origin, Origin::Upstream { .. }),
        });
        incoming && outgoing
    }

    /// Whether we have proposed it and neither bound nor freed it.
    pub fn is_open(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|out| out.closing == Closing::Open)
    }

    /// When the row may be forgotten, if it may.
    pub(super) fn prune_at(&self) -> Option<u64> {
        self.is_closed().then(|| self.expires_ms.saturating_add(KEEP_CLOSED_MS))
    }
}

/// Our own word on a claim.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DecisionRow {
    /// Yes or no.
    #[n(0)]
    pub outcome: Outcome,
    /// Channel of the last hop on which it was said first.
    #[n(1)]
    pub channel: StreamId,
    /// Unit and amount to credit, of all parts together; set when the outcome is yes.
    #[n(2)]
    pub value: Option<(UnitId, Amount)>,
    /// Payer's network and nonce of an accepted claim.
    #[n(3)]
    pub nonce: Option<(LedgerId, Hash)>,
    /// Whether the payee has been credited.
    #[n(4)]
    pub credited: bool,
    /// Until when it can be asked for at least, less 60 days.
    #[n(5)]
    pub expires_ms: u64,
    /// Epoch of our log key.
    #[n(6)]
    pub epoch: u32,
    /// Why not; 0 for yes.
    #[n(7)]
    pub code: u16,
    /// Its place in the channel's stream: nobody else hears it before the peer has acknowledged that.
    #[n(8)]
    pub sseq: u64,
}

impl DecisionRow {
    pub(super) fn prune_at(&self) -> Option<u64> {
        let settled = self.credited || self.outcome == Outcome::Reject;
        settled.then(|| self.expires_ms.saturating_add(KEEP_CLOSED_MS))
    }
}
