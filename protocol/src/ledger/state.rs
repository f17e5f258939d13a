//! The state of a ledger: a function of its own entries, and of nothing else (specs/ledger.md §5).
//!
//! Tables are ordered maps, so the digest and every walk are the same on every machine. The only way to change a
//! state is [`State::commit`] with the [`Transition`] that `apply` gave for an entry.

mod canonical;

pub use canonical::{MAX_STATE_BYTES, StateError};

use super::capacity::CapacityRow;
use super::erasure::ErasureRow;
use super::evidence::AccusedRow;
use super::identity::Identity;
use super::members::OwnerKind;
use super::rules::{Limit, LimitScope};
use super::settlement::StatementRow;
use super::succession::SuccessionRow;
use super::units::UnitDefined;
use super::witness::ViewRow;
use super::{Rejected, Transition, own_accounts};
use crate::amount::Amount;
use crate::clearing::accord::Accord;
use crate::clearing::intent::Outcome;
use crate::entry::{Kind, Role};
use crate::ids::{AccountId, ClaimId, Hash, KeyBytes, LedgerId, OpId, Signer, StreamId, UnitId};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// Whose.
    #[n(0)]
    pub owner: OwnerKind,
    /// The anchor flag.
    #[n(1)]
    pub anchor: bool,
    /// Nothing can be posted to a closed account.
    #[n(2)]
    pub closed: bool,
    /// Keys that may act for it, ascending.
    #[n(3)]
    pub keys: Vec<Signer>,
    /// Offices its holder has, ascending.
    #[n(4)]
    pub roles: Vec<Role>,
}

impl Account {
    pub(super) fn new(owner: OwnerKind, anchor: bool) -> Self {
        Self { owner, anchor, closed: false, keys: Vec::new(), roles: Vec::new() }
    }
}

/// A key registered for an account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignerRow {
    /// The public key.
    #[n(0)]
    pub key: KeyBytes,
    /// For whom it acts.
    #[n(1)]
    pub account: AccountId,
    /// False once removed; the row stays so that the signer id is never used again.
    #[n(2)]
    pub active: bool,
}

/// What is remembered of a transfer while it can be reversed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TransferMark {
    /// When it was written.
    #[n(0)]
    pub time_ms: u64,
    /// SHA-256 of its postings, first 16 bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub digest: [u8; 16],
    /// Whether it was reversed.
    #[n(2)]
    pub reversed: bool,
}

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
}

/// Where a stream of ours ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StreamRow {
    /// The next place.
    #[n(0)]
    pub next: u64,
    /// Leaf hash of the last entry.
    #[n(1)]
    pub head: Hash,
}

/// A channel with a peer, as our own entries know it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ChannelRow {
    /// The peer.
    #[n(0)]
    pub peer: LedgerId,
    /// The account we keep for it.
    #[n(1)]
    pub account: AccountId,
    /// The accord in force.
    #[n(2)]
    pub accord: Accord,
    /// Its id.
    #[n(3)]
    pub accord_id: Hash,
    /// Whether we are A of the accord.
    #[n(4)]
    pub we_are_a: bool,
    /// The furthest we have acknowledged the peer's stream.
    #[n(5)]
    pub acked: u64,
    /// Networks whose identity we have shown to the peer with KEY.
    #[n(6)]
    pub introduced: BTreeSet<LedgerId>,
    /// Open claims that we proposed to the peer, by unit pair, in minor units.
    #[n(7)]
    pub open_out: BTreeMap<u8, u64>,
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

    /// When the row may be forgotten, if it may.
    fn prune_at(&self) -> Option<u64> {
        self.is_closed().then(|| self.expires_ms.saturating_add(KEEP_CLOSED_MS))
    }
}

/// Our own word on a claim.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DecisionRow {
    /// Yes or no.
    #[n(0)]
    pub outcome: Outcome,
    /// Channel of the last hop.
    #[n(1)]
    pub channel: StreamId,
    /// Unit and amount to credit; set when the outcome is yes.
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
    fn prune_at(&self) -> Option<u64> {
        let settled = self.credited || self.outcome == Outcome::Reject;
        settled.then(|| self.expires_ms.saturating_add(KEEP_CLOSED_MS))
    }
}

/// Closed claims and Decisions stay this long after their expiry.
pub const KEEP_CLOSED_MS: u64 = 60 * 86_400_000;

/// The whole state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
#[expect(missing_docs, reason = "each table is named after its rows")]
pub struct State {
    #[n(0)]
    pub identity: Option<Identity>,
    #[n(1)]
    pub head: Head,
    #[n(2)]
    pub accounts: BTreeMap<AccountId, Account>,
    #[n(3)]
    pub signers: BTreeMap<Signer, SignerRow>,
    #[n(4)]
    pub units: BTreeMap<UnitId, UnitDefined>,
    #[n(5)]
    pub limits: BTreeMap<(LimitScope, UnitId), Limit>,
    #[n(6)]
    pub balances: BTreeMap<(AccountId, UnitId), i64>,
    #[n(7)]
    pub ops: BTreeMap<(Signer, OpId), u64>,
    #[n(8)]
    pub transfers: BTreeMap<u64, TransferMark>,
    #[n(9)]
    pub holds: BTreeMap<Hash, HoldRow>,
    #[n(10)]
    pub streams: BTreeMap<StreamId, StreamRow>,
    #[n(11)]
    pub channels: BTreeMap<StreamId, ChannelRow>,
    #[n(12)]
    pub claims: BTreeMap<(ClaimId, u8), ClaimRow>,
    #[n(13)]
    pub decisions: BTreeMap<ClaimId, DecisionRow>,
    #[n(14)]
    pub nonces: BTreeMap<(LedgerId, Hash), ClaimId>,
    #[cbor(n(15), with = "super::witness::table", has_nil)]
    pub views: BTreeMap<(LedgerId, String), ViewRow>,
    #[cbor(n(16), with = "super::witness::table", has_nil)]
    pub accused: BTreeMap<LedgerId, AccusedRow>,
    #[cbor(n(17), with = "super::witness::table", has_nil)]
    pub successions: BTreeMap<u32, SuccessionRow>,
    #[cbor(n(18), with = "super::witness::table", has_nil)]
    pub erased: BTreeMap<AccountId, ErasureRow>,
    #[cbor(n(20), with = "super::witness::table", has_nil)]
    pub statements: BTreeMap<StreamId, StatementRow>,
    #[cbor(n(19), with = "super::witness::table", has_nil)]
    pub capacity: BTreeMap<LedgerId, CapacityRow>,
    /// Rows by the time they are forgotten; derived, so not part of the digest.
    #[cbor(skip)]
    expiring: BTreeSet<(u64, Expiring)>,
}

/// Where the ledger ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Head {
    /// Place of the next entry.
    #[n(0)]
    pub next_seq: u64,
    /// Leaf hash of the last entry.
    #[n(1)]
    pub leaf: Hash,
    /// Time of the last entry.
    #[n(2)]
    pub time_ms: u64,
    /// Boot of the last entry.
    #[n(3)]
    pub boot: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self { next_seq: 0, leaf: Hash::ZERO, time_ms: 0, boot: 0 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Expiring {
    Op(Signer, OpId),
    Claim(ClaimId, u8),
    Decision(ClaimId),
}

/// One row set to a new value; a transition is a list of these.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant sets a row of the table of that name")]
pub enum Change {
    Identity(Box<Identity>),
    Account(AccountId, Account),
    Signer(Signer, SignerRow),
    Unit(UnitId, UnitDefined),
    Limit((LimitScope, UnitId), Limit),
    Balance(AccountId, UnitId, i64),
    Op(Signer, OpId, u64),
    Transfer(u64, TransferMark),
    Hold(Hash, Option<HoldRow>),
    Stream(StreamId, StreamRow),
    Channel(StreamId, Box<ChannelRow>),
    Claim(ClaimId, u8, Box<ClaimRow>),
    Decision(ClaimId, DecisionRow),
    Succession(u32, SuccessionRow),
    View(LedgerId, String, ViewRow),
    Accused(LedgerId, AccusedRow),
    Erased(AccountId, ErasureRow),
    Statement(StreamId, Box<StatementRow>),
    Capacity(LedgerId, CapacityRow),
}

impl State {
    /// Who speaks for this ledger.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn identity(&self) -> Result<&Identity, Rejected> {
        self.identity.as_ref().ok_or(Rejected::NoGenesis)
    }

    /// This ledger.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn ledger(&self) -> Result<LedgerId, Rejected> {
        self.identity().map(|i| i.ledger)
    }

    /// The name of this ledger's log: another one after each succession (specs/log.md 3.4).
    ///
    /// # Errors
    /// Before the genesis.
    pub fn origin(&self) -> Result<String, Rejected> {
        self.origin_at(u64::MAX)
    }

    /// The name of this ledger's log in a checkpoint of this size.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn origin_at(&self, size: u64) -> Result<String, Rejected> {
        let base = self.ledger()?.origin();
        let before = self.successions.iter().rev().find(|(_, row)| row.base < size);
        Ok(before.map_or_else(|| base.clone(), |(number, _)| format!("{base}/{number}")))
    }

    /// A balance; zero for what was never posted to.
    pub fn balance(&self, account: &AccountId, unit: UnitId) -> i64 {
        self.balances.get(&(*account, unit)).copied().unwrap_or(0)
    }

    /// All balances of an account.
    pub fn balances_of(&self, account: &AccountId) -> impl Iterator<Item = (UnitId, i64)> + '_ {
        let range = (*account, UnitId(0))..=(*account, UnitId(u16::MAX));
        self.balances.range(range).map(|((_, unit), balance)| (*unit, *balance))
    }

    /// An open account of a holder: not the network's own, not a peer's.
    ///
    /// # Errors
    /// When it is unknown, closed, or nobody's.
    pub fn holder(&self, account: &AccountId) -> Result<&Account, Rejected> {
        let row = self.accounts.get(account).ok_or(Rejected::UnknownAccount { account: *account })?;
        if row.closed {
            return Err(Rejected::AccountClosed { account: *account });
        }
        match row.owner {
            OwnerKind::Peer | OwnerKind::Own => Err(Rejected::OwnerKind { owner: row.owner }),
            OwnerKind::Member
            | OwnerKind::Organisation
            | OwnerKind::Commons
            | OwnerKind::Pool
            | OwnerKind::Outside => Ok(row),
        }
    }

    /// The limit in force for an account: its own, else that of its kind of owner.
    pub fn limit_of(&self, account: &AccountId, unit: UnitId) -> Option<&Limit> {
        let owner = self.accounts.get(account)?.owner;
        let own = self.limits.get(&(LimitScope::Account(*account), unit));
        own.or_else(|| self.limits.get(&(LimitScope::Owner(owner), unit)))
    }

    /// Whether a signer id belongs to the root set or a key of the network.
    pub fn is_network_signer(&self, signer: Signer) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.is_signer(signer))
    }

    /// The sum of all balances in each unit: zero after every entry.
    pub fn sums(&self) -> BTreeMap<UnitId, i128> {
        let mut sums: BTreeMap<UnitId, i128> = self.units.keys().map(|unit| (*unit, 0)).collect();
        for ((_, unit), balance) in &self.balances {
            let sum = sums.entry(*unit).or_default();
            *sum = sum.saturating_add(i128::from(*balance));
        }
        sums
    }

    /// Where a stream of ours ends.
    pub fn stream(&self, id: &StreamId) -> StreamRow {
        self.streams.get(id).copied().unwrap_or(StreamRow { next: 0, head: Hash::ZERO })
    }

    /// The channel with a peer, if there is an accord.
    pub fn channel_with(&self, peer: &LedgerId) -> Option<(StreamId, &ChannelRow)> {
        self.channels.iter().find(|(_, row)| row.peer == *peer).map(|(id, row)| (*id, row))
    }

    /// Our row of a claim.
    pub fn claim(&self, claim: &ClaimId) -> Option<&ClaimRow> {
        self.claims.get(&(*claim, 0))
    }

    /// Makes a transition the state. The transition must come from `apply` on exactly this state.
    pub fn commit(&mut self, transition: &Transition) {
        for change in &transition.changes {
            self.set(change);
        }
        self.head = transition.head;
        self.prune();
    }

    fn set(&mut self, change: &Change) {
        match change.clone() {
            Change::Identity(identity) => {
                if self.identity.is_none() {
                    for name in own_accounts::NAMES {
                        self.accounts.insert(own_accounts::id(name), Account::new(OwnerKind::Own, false));
                    }
                }
                self.identity = Some(*identity);
            }
            Change::Account(id, row) => drop(self.accounts.insert(id, row)),
            Change::Signer(id, row) => drop(self.signers.insert(id, row)),
            Change::Unit(id, row) => drop(self.units.insert(id, row)),
            Change::Limit(key, row) => drop(self.limits.insert(key, row)),
            Change::Balance(account, unit, balance) => {
                self.balances.insert((account, unit), balance);
            }
            Change::Op(signer, op, not_after_ms) => {
                self.ops.insert((signer, op), not_after_ms);
                self.expiring.insert((not_after_ms, Expiring::Op(signer, op)));
            }
            Change::Transfer(seq, mark) => {
                self.transfers.insert(seq, mark);
            }
            Change::Hold(id, Some(row)) => drop(self.holds.insert(id, row)),
            Change::Hold(id, None) => drop(self.holds.remove(&id)),
            Change::Stream(id, row) => drop(self.streams.insert(id, row)),
            Change::Channel(id, row) => drop(self.channels.insert(id, *row)),
            Change::Claim(claim, part, row) => {
                self.expiring.extend(row.prune_at().map(|at| (at, Expiring::Claim(claim, part))));
                self.claims.insert((claim, part), *row);
            }
            Change::Accused(ledger, row) => drop(self.accused.insert(ledger, row)),
            Change::View(peer, origin, row) => drop(self.views.insert((peer, origin), row)),
            Change::Capacity(peer, row) => drop(self.capacity.insert(peer, row)),
            Change::Erased(account, row) => drop(self.erased.insert(account, row)),
            Change::Statement(id, row) => drop(self.statements.insert(id, *row)),
            Change::Decision(claim, row) => {
                self.expiring.extend(row.prune_at().map(|at| (at, Expiring::Decision(claim))));
                self.nonces.extend(row.nonce.map(|nonce| (nonce, claim)));
                self.decisions.insert(claim, row);
            }
            Change::Succession(number, row) => drop(self.successions.insert(number, row)),
        }
    }

    /// Forgets rows whose time has passed; the time is the ledger's own, so everybody forgets the same.
    fn prune(&mut self) {
        // Times ascend with places, so of the transfers the first go first.
        while self.transfers.first_key_value().is_some_and(|(_, mark)| mark.prune_at() < self.head.time_ms) {
            self.transfers.pop_first();
        }
        while let Some((at, row)) = self.expiring.first().copied() {
            if at >= self.head.time_ms {
                break;
            }
            self.expiring.remove(&(at, row));
            match row {
                Expiring::Op(signer, op) => drop(self.ops.remove(&(signer, op))),
                Expiring::Claim(claim, part) => {
                    // A closed row can be opened again by a network that contradicts itself; then it stays.
                    if self.claims.get(&(claim, part)).and_then(ClaimRow::prune_at) == Some(at) {
                        self.claims.remove(&(claim, part));
                    }
                }
                Expiring::Decision(claim) => {
                    if let Some(nonce) = self.decisions.remove(&claim).and_then(|row| row.nonce) {
                        self.nonces.remove(&nonce);
                    }
                }
            }
        }
    }

    /// Whether new payments with a network are stopped, because it was shown to have lied.
    pub fn is_frozen(&self, ledger: &LedgerId) -> bool {
        self.accused.get(ledger).is_some_and(|row| row.frozen)
    }

    /// The stream an entry of this kind belongs to, if any.
    pub(super) fn stream_of(kind: Kind, channel: Option<StreamId>) -> Option<StreamId> {
        if super::identity::is_public(kind) { Some(crate::ids::PUBLIC_STREAM) } else { channel }
    }
}

impl TransferMark {
    fn prune_at(&self) -> u64 {
        self.time_ms.saturating_add(super::transfer::REVERSAL_WINDOW_MS)
    }
}
