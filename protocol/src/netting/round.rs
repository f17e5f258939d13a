//! A netting round: what networks say on their public streams, and how anybody reads it (specs/netting.md §7 to §10).
//!
//! What must hold: everything that a round rests on is a signed entry, so whoever has the public streams comes to the
//! same outcome; whoever announces and computes a round decides nothing.

pub mod attempt;
pub mod view;

use crate::amount::Amount;
use crate::encoding::Blob;
use crate::ids::{Hash, LedgerId, SigBytes};
use crate::keys::{self, SecretKey};
use crate::ledger::identity::Identity;
use crate::ledger::transfer::Posting;
use crate::ledger::units::{UnitDefined, UnitKind};
use minicbor::{Decode, Encode};

/// Debts that one network lists in one round: they fit in one entry. A network with more lists its largest.
pub const MAX_LINES: usize = 64;
/// Attempts of one round. Each but the first leaves out somebody who has refused; what eight do not bring about, the next
/// round may.
pub const MAX_ATTEMPTS: u8 = 8;
/// Bytes of a page: an entry has at most 4,096.
pub const MAX_PAGE_BYTES: usize = 3_072;
/// Bytes of an attempt: a thousand networks with ten debts each.
pub const MAX_ATTEMPT_BYTES: usize = 256 * 1_024;
/// Longest round. Held debts wait for so long at most.
pub const MAX_ROUND_MS: u64 = 7 * 86_400_000;
/// Votes in one entry that proves a commit.
pub const MAX_PROOFS: usize = 24;

/// Which units take part: hours are hours whatever they are called, others have the same code.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RoundUnit {
    /// What it counts.
    #[n(0)]
    pub kind: UnitKind,
    /// Decimals between the minor unit and what people write.
    #[n(1)]
    pub scale: u8,
    /// Its code.
    #[n(2)]
    pub code: String,
}

impl RoundUnit {
    /// The round's unit for a unit of a ledger.
    pub fn of(unit: &UnitDefined) -> Self {
        Self { kind: unit.kind, scale: unit.scale, code: unit.code.clone() }
    }

    /// Whether a unit of a ledger takes part.
    pub fn fits(&self, unit: &UnitDefined) -> bool {
        let same_name = self.kind == UnitKind::Time || self.code == unit.code;
        (self.kind, self.scale) == (unit.kind, unit.scale) && same_name
    }
}

/// A round announced. Its id is the leaf of the entry; who announces it computes it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Announced {
    /// In which unit.
    #[n(0)]
    pub unit: RoundUnit,
    /// Debts are offered until then.
    #[n(1)]
    pub offers_until_ms: u64,
    /// Lists of them are published until then.
    #[n(2)]
    pub lists_until_ms: u64,
    /// Results are accepted until then.
    #[n(3)]
    pub votes_until_ms: u64,
}

/// A debt that both its ends hold for a round, as one of them lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// The other end.
    #[n(0)]
    pub peer: LedgerId,
    /// Whether the network that lists it owes it.
    #[n(1)]
    pub we_owe: bool,
    /// How much, in minor units.
    #[n(2)]
    pub amount: Amount,
}

/// Debts listed: what a network offers to be netted.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Listed {
    /// Which round.
    #[n(0)]
    pub round: Hash,
    /// Results are accepted until then, as the round was announced.
    #[n(1)]
    pub votes_until_ms: u64,
    /// Ascending by the other end, 1 to [`MAX_LINES`].
    #[n(2)]
    pub lines: Vec<Line>,
}

/// A page of an attempt ([`attempt::Attempt`]).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ResultPage {
    /// Which round; the writer has announced it.
    #[n(0)]
    pub round: Hash,
    /// Which attempt, from 0.
    #[n(1)]
    pub attempt: u8,
    /// Which page, from 0.
    #[n(2)]
    pub page: u16,
    /// How many there are.
    #[n(3)]
    pub pages: u16,
    /// 1 to [`MAX_PAGE_BYTES`].
    #[n(4)]
    pub bytes: Blob,
}

/// Why a network refuses a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum RefusalReason {
    /// Somebody has said so.
    #[n(0)]
    Person,
    /// It is not the certified optimum of what was listed.
    #[n(1)]
    Certificate,
    /// It would take more of our own debts than is held, or what is held no more.
    #[n(2)]
    OwnDebts,
    /// It came after the time for it.
    #[n(3)]
    Late,
    /// Another result that we have accepted: an earlier one that is committed, or a later one that has not ended.
    #[n(4)]
    Another,
}

impl RefusalReason {
    /// In words, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Person => "somebody there has refused it",
            Self::Certificate => "the result is not the certified optimum of what was listed",
            Self::OwnDebts => "it would take more of its own debts than it holds for the round",
            Self::Late => "the time for it is over",
            Self::Another => "it has accepted another result of the round",
        }
    }
}

/// Accepts or refuses the result of one component.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Voted {
    /// Which round.
    #[n(0)]
    pub round: Hash,
    /// Which attempt of it.
    #[n(1)]
    pub attempt: u8,
    /// Which result ([`attempt::result_id`]).
    #[n(2)]
    pub result: Hash,
    /// Whether it is accepted.
    #[n(3)]
    pub accepts: bool,
    /// Why not, where it is refused.
    #[n(4)]
    pub reason: Option<RefusalReason>,
    /// Our log key that signs.
    #[n(5)]
    pub epoch: u32,
    /// Over [`vote_message`]: it convinces without the entry.
    #[n(6)]
    pub sig: SigBytes,
    /// By how much each own debt shrinks, where that is not 0; ascending by the other end.
    #[cbor(n(7), with = "crate::entry::list", has_nil)]
    pub lines: Vec<Line>,
    /// The refusal that has ended what we accepted before in this round.
    #[n(8)]
    pub aborted: Option<Hash>,
}

/// A yes to a result, which convinces by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Yes {
    /// Whose.
    #[n(0)]
    pub ledger: LedgerId,
    /// Which of its log keys.
    #[n(1)]
    pub epoch: u32,
    /// Over [`vote_message`].
    #[n(2)]
    pub sig: SigBytes,
}

/// That all have accepted, for those to whom somebody has said something else.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Committed {
    /// Which round.
    #[n(0)]
    pub round: Hash,
    /// Which result.
    #[n(1)]
    pub result: Hash,
    /// 1 to [`MAX_PROOFS`]; more come in further entries.
    #[n(2)]
    pub yes: Vec<Yes>,
}

/// Our books after an APPLY, the peer's or ours.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Netted {
    /// Which round.
    #[n(0)]
    pub round: Hash,
    /// Which result.
    #[n(1)]
    pub result: Hash,
    /// By how much which debt shrinks.
    #[n(2)]
    pub line: Line,
    /// Between the peer's account and `netting`.
    #[n(3)]
    pub postings: Vec<Posting>,
}

/// What a vote signs (specs/netting.md 9.2).
pub fn vote_message(round: &Hash, result: &Hash, accepts: bool, ledger: &LedgerId) -> Vec<u8> {
    let parts = [round.as_bytes(), result.as_bytes(), &[u8::from(accepts)][..], ledger.as_bytes()];
    keys::message(keys::NETTING_VOTE, &parts)
}

/// Signs a vote.
pub fn sign_vote(
    key: &SecretKey,
    (round, result, accepts): (&Hash, &Hash, bool),
    ledger: &LedgerId,
) -> SigBytes {
    let parts = [round.as_bytes(), result.as_bytes(), &[u8::from(accepts)][..], ledger.as_bytes()];
    key.sign(keys::NETTING_VOTE, &parts)
}

impl Voted {
    /// The yes or no as it convinces others.
    pub fn proof(&self, ledger: LedgerId) -> Yes {
        Yes { ledger, epoch: self.epoch, sig: self.sig }
    }

    /// Whether its own signature is that of a network.
    pub fn is_signed_by(&self, identity: &Identity) -> bool {
        self.proof(identity.ledger).says(&self.round, &self.result, self.accepts, identity)
    }
}

impl Yes {
    /// Whether it is this network's word on a result.
    pub fn says(&self, round: &Hash, result: &Hash, accepts: bool, identity: &Identity) -> bool {
        let message = vote_message(round, result, accepts, &self.ledger);
        let key = identity.log_key(self.epoch);
        identity.ledger == self.ledger && key.is_ok_and(|key| key.verify_message(&message, &self.sig).is_ok())
    }
}

/// Whether lines are 1 to [`MAX_LINES`] (or none, where that may be), each end once, in ascending order.
pub fn in_order(lines: &[Line], may_be_none: bool) -> bool {
    let count = if may_be_none { 0..=MAX_LINES } else { 1..=MAX_LINES };
    count.contains(&lines.len()) && lines.is_sorted_by(|one, next| one.peer < next.peer)
}
