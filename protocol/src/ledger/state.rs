//! The state of a ledger: a function of its own entries, and of nothing else (specs/ledger.md §5).
//!
//! Tables are ordered maps, so the digest and every walk are the same on every machine. The only way to change a
//! state is [`State::commit`] with the [`Transition`] that `apply` gave for an entry.

mod canonical;
mod claims;

pub use canonical::{MAX_STATE_BYTES, StateError};
pub use claims::{Answer, ClaimRow, Closing, DecisionRow, HoldRow, InHop, Origin, OutHop};

use super::capacity::CapacityRow;
use super::erasure::ErasureRow;
use super::evidence::AccusedRow;
use super::halt::Halt;
use super::identity::Identity;
use super::members::OwnerKind;
use super::netting::{HeldRow, RoundRow};
use super::reset::ResetRow;
use super::rules::{Limit, LimitScope};
use super::settled::SettlementRow;
use super::settlement::StatementRow;
use super::succession::SuccessionRow;
use super::units::UnitDefined;
use super::witness::ViewRow;
use super::writeoff::WriteOffRow;
use super::{Rejected, Transition, own_accounts};
use crate::clearing::accord::Accord;
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
    /// Open claims that we proposed to the peer, by unit pair, in minor units of the position unit.
    #[n(7)]
    pub open_out: BTreeMap<u8, u64>,
    /// Whether we let new payments over it.
    #[n(8)]
    pub halt: Option<Halt>,
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
    #[cbor(n(21), with = "super::witness::table", has_nil)]
    pub settlements: BTreeMap<Hash, SettlementRow>,
    #[cbor(n(19), with = "super::witness::table", has_nil)]
    pub capacity: BTreeMap<LedgerId, CapacityRow>,
    #[cbor(n(24), with = "super::witness::table", has_nil)]
    pub written_off: BTreeMap<StreamId, WriteOffRow>,
    #[cbor(n(22), with = "super::witness::table", has_nil)]
    pub rounds: BTreeMap<Hash, RoundRow>,
    #[cbor(n(23), with = "super::witness::table", has_nil)]
    pub held: BTreeMap<(Hash, LedgerId), HeldRow>,
    #[cbor(n(25), with = "super::witness::table", has_nil)]
    pub resets: BTreeMap<LedgerId, ResetRow>,
    /// Rows by the time they are forgotten; derived, so not part of the digest.
    #[cbor(skip)]
    expiring: BTreeSet<(u64, Expiring)>,
    /// Claims that we have proposed and neither bound nor freed; derived, so not part of the digest.
    #[cbor(skip)]
    open: BTreeSet<(ClaimId, u8)>,
    /// The same, by the time until which they may be accepted.
    #[cbor(skip)]
    open_until: BTreeSet<(u64, ClaimId, u8)>,
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
    Settlement(Hash, SettlementRow),
    Capacity(LedgerId, CapacityRow),
    WriteOff(StreamId, Option<WriteOffRow>),
    Round(Hash, Box<RoundRow>),
    Held(Hash, LedgerId, HeldRow),
    Reset(LedgerId, ResetRow),
    ChannelEnded(StreamId),
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

    /// Our row of the first part of a claim, in most claims the only one.
    pub fn claim(&self, claim: &ClaimId) -> Option<&ClaimRow> {
        self.leg(claim, 0)
    }

    /// Our row of a part of a claim.
    pub fn leg(&self, claim: &ClaimId, part: u8) -> Option<&ClaimRow> {
        self.claims.get(&(*claim, part))
    }

    /// Our rows of a claim, by part.
    pub fn legs(&self, claim: &ClaimId) -> impl Iterator<Item = (u8, &ClaimRow)> + use<'_> {
        self.claims.range((*claim, 0)..=(*claim, u8::MAX)).map(|((_, part), row)| (*part, row))
    }

    /// Whether we know a claim, and nothing of it is left to do here.
    pub fn is_closed(&self, claim: &ClaimId) -> bool {
        let mut rows = self.legs(claim).peekable();
        rows.peek().is_some() && rows.all(|(_, row)| row.is_closed())
    }

    /// Parts of claims that we have proposed and neither bound nor freed.
    pub fn open_claims(&self) -> impl Iterator<Item = (ClaimId, u8, &ClaimRow, &OutHop)> + '_ {
        self.open.iter().filter_map(|(claim, part)| {
            let row = self.leg(claim, *part)?;
            Some((*claim, *part, row, row.outgoing.as_ref()?))
        })
    }

    /// Those of them that could be accepted before this time and no longer.
    pub fn open_until(&self, before_ms: u64) -> impl Iterator<Item = (&ClaimRow, &OutHop)> + '_ {
        let late = self.open_until.range(..(before_ms, ClaimId([0; 32]), 0));
        late.filter_map(|(_, claim, part)| {
            let row = self.leg(claim, *part)?;
            Some((row, row.outgoing.as_ref()?))
        })
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
                if let Some(before) = self.claims.get(&(claim, part)) {
                    self.open_until.remove(&(before.expires_ms, claim, part));
                }
                if row.is_open() {
                    self.open.insert((claim, part));
                    self.open_until.insert((row.expires_ms, claim, part));
                } else {
                    self.open.remove(&(claim, part));
                }
                self.claims.insert((claim, part), *row);
            }
            Change::Accused(ledger, row) => drop(self.accused.insert(ledger, row)),
            Change::View(peer, origin, row) => drop(self.views.insert((peer, origin), row)),
            Change::Capacity(peer, row) => drop(self.capacity.insert(peer, row)),
            Change::WriteOff(id, Some(row)) => drop(self.written_off.insert(id, row)),
            Change::WriteOff(id, None) => drop(self.written_off.remove(&id)),
            Change::Round(round, row) => drop(self.rounds.insert(round, *row)),
            Change::Held(round, peer, row) => drop(self.held.insert((round, peer), row)),
            Change::Reset(peer, row) => drop(self.resets.insert(peer, row)),
            Change::ChannelEnded(id) => drop(self.channels.remove(&id)),
            Change::Erased(account, row) => drop(self.erased.insert(account, row)),
            Change::Settlement(id, row) => drop(self.settlements.insert(id, row)),
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
