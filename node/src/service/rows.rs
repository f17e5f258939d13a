//! What the index holds about an entry: made from the entry and the balances after it, by the live path and by a
//! rebuild alike.

use crate::store::IndexBatch;
use crate::store::segments::Position;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{AccountId, ClaimId, Hash, UnitId};
use weft_protocol::ledger::Transition;
use weft_protocol::ledger::movement::Movement;
use weft_protocol::ledger::state::Change;

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
    kept(batch, at, entry);
    let body = entry.body();
    let Some(Movement { postings, when_day, claim }) = entry.op().payload.movement() else { return };
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

/// Where an entry of ours stands: all there is of one from before a forward, whose balances are not known any more.
pub(super) fn kept(batch: &mut IndexBatch, at: Position, entry: &Entry) {
    let body = entry.body();
    batch.own(body.seq, at);
    for author in entry.authors() {
        batch.op(&author, &entry.op().op_id, body.seq);
    }
    let back = match &entry.op().payload {
        Payload::Recovered(recovered) => recovered.lost(),
        _ => None,
    };
    if let Some(header) = back.as_ref().unwrap_or(entry).body().stream {
        batch.stream_entry(&header.id, header.sseq, body.seq);
    }
}

/// Rows of an entry received.
pub(super) fn received(batch: &mut IndexBatch, at: Position, entry: &Entry) {
    if let Some(header) = entry.body().stream {
        batch.received(&entry.body().ledger, &header.id, header.sseq, at);
    }
}
