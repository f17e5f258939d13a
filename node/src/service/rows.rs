//! What the index holds about an entry: made from the entry and the balances after it, by the live path and by a
//! rebuild alike.

use crate::store::IndexBatch;
use crate::store::segments::Position;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{AccountId, ClaimId, Hash, UnitId};
use weft_protocol::ledger::Transition;
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::state::Change;
use weft_protocol::ledger::transfer::{Posting, move_value};

/// A line of an account's history.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HistoryRow {
    /// Kind of the entry.
    #[n(0)]
    pub kind: u16,
    /// When it was written.
    #[n(1)]
    pub time_ms: u64,
    /// The day it happened, as its author says.
    #[n(2)]
    pub when_day: Option<i32>,
    /// Unit, what was added, balance after it.
    #[n(3)]
    pub lines: Vec<(UnitId, i64, i64)>,
    /// The one other account of the entry, when there is one.
    #[n(4)]
    pub other: Option<AccountId>,
    /// The claim it belongs to.
    #[n(5)]
    pub claim: Option<ClaimId>,
    /// Commitment to its memo.
    #[n(6)]
    pub sidecar: Option<Hash>,
}

/// The balance that a transition leaves.
pub(super) fn balance_in(transition: &Transition, account: AccountId, unit: UnitId) -> i64 {
    let balance = transition.changes.iter().find_map(|change| match change {
        Change::Balance(a, u, balance) if *a == account && *u == unit => Some(*balance),
        _ => None,
    });
    balance.unwrap_or(0)
}

/// Rows of an entry of ours.
pub(super) fn own(
    batch: &mut IndexBatch,
    at: Position,
    entry: &Entry,
    balance_after: impl Fn(AccountId, UnitId) -> i64,
) {
    let body = entry.body();
    batch.own(body.seq, at);
    for author in entry.authors() {
        batch.op(&author, &entry.op().op_id, body.seq);
    }
    if let Some(header) = body.stream {
        batch.stream_entry(&header.id, header.sseq, body.seq);
    }
    let (postings, when_day, claim) = movement(entry);
    let mut by_account: BTreeMap<AccountId, Vec<(UnitId, i64, i64)>> = BTreeMap::new();
    for posting in &postings {
        let after = balance_after(posting.account, posting.unit);
        by_account.entry(posting.account).or_default().push((posting.unit, posting.delta, after));
    }
    let accounts: Vec<AccountId> = by_account.keys().copied().collect();
    for (account, lines) in by_account {
        let mut others = accounts.iter().filter(|other| **other != account);
        let other = others.next().copied().filter(|_| others.next().is_none());
        let row = HistoryRow {
            kind: body.kind,
            time_ms: body.time_ms,
            when_day,
            lines,
            other,
            claim,
            sidecar: entry.op().sidecars.first().copied(),
        };
        batch.account_row(&account, body.seq, &weft_protocol::encoding::encode(&row));
    }
}

/// Rows of an entry received.
pub(super) fn received(batch: &mut IndexBatch, at: Position, entry: &Entry) {
    if let Some(header) = entry.body().stream {
        batch.received(&entry.body().ledger, &header.id, header.sseq, at);
    }
}

/// The postings of an entry that moves value, the day it happened, and its claim.
fn movement(entry: &Entry) -> (Vec<Posting>, Option<i32>, Option<ClaimId>) {
    match &entry.op().payload {
        Payload::Transfer(t) => (t.postings.clone(), t.when_day, None),
        Payload::Reversal(r) => (r.postings.clone(), None, None),
        Payload::Hold(h) => (move_value(h.account, own_accounts::hold(), h.unit, h.amount), h.when_day, None),
        Payload::End(e) => (e.postings.clone(), None, Some(e.claim)),
        Payload::Credit(c) => (c.postings.clone(), None, Some(c.claim)),
        Payload::Book(b) => (b.postings.clone(), None, Some(b.claim)),
        Payload::Release(r) => (r.postings.clone(), None, None),
        Payload::Returned(r) => (r.postings.clone(), None, Some(r.claim)),
        Payload::Genesis(_)
        | Payload::KeyBound(_)
        | Payload::KeyRevoked(_)
        | Payload::RootChanged(_)
        | Payload::AccountOpened(_)
        | Payload::AccountChanged(_)
        | Payload::AccountClosed(_)
        | Payload::RoleGranted(_)
        | Payload::UnitDefined(_)
        | Payload::RuleSet(_)
        | Payload::Step(_) => (Vec::new(), None, None),
    }
}
