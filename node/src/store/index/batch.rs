//! Rows that are to be written together.

use super::Applied;
use super::keys::{self, Table};
use super::snapshot::{CHUNK_BYTES, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotHeader};
use crate::store::segments::Position;
use weft_protocol::ids::{AccountId, LedgerId, OpId, Signer, StreamId};

/// Collects rows; [`super::Index::commit`] writes them in one step. A later row replaces an earlier one of the same
/// key, so applying a record twice changes nothing.
#[derive(Debug, Default)]
pub struct IndexBatch {
    rows: sled::Batch,
    snapshot: Option<Snapshot>,
}

impl IndexBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Own entry `seq` stands at `at`.
    pub fn own(&mut self, seq: u64, at: Position) {
        self.rows.insert(keys::own(seq), keys::position(at));
    }

    /// A received entry stands at `at`.
    pub fn received(&mut self, ledger: &LedgerId, stream: &StreamId, sseq: u64, at: Position) {
        self.rows.insert(keys::received(ledger, stream, sseq), keys::position(at));
    }

    /// Own entry `seq` carries this operation.
    pub fn op(&mut self, signer: &Signer, op: &OpId, seq: u64) {
        self.rows.insert(keys::op(signer, op), seq.to_be_bytes().to_vec());
    }

    /// What own entry `seq` means for an account; one row per account and entry.
    pub fn account_row(&mut self, account: &AccountId, seq: u64, row: &[u8]) {
        self.rows.insert(keys::prefix(Table::Account, &[account.as_bytes(), &seq.to_be_bytes()]), row);
    }

    /// Own entry `seq` is number `sseq` of one of our streams.
    pub fn stream_entry(&mut self, stream: &StreamId, sseq: u64, seq: u64) {
        self.rows.insert(keys::stream(stream, sseq), seq.to_be_bytes().to_vec());
    }

    /// Replaces the saved state. Larger than [`MAX_SNAPSHOT_BYTES`] it is not kept: the next start replays.
    pub fn snapshot(&mut self, snapshot: Snapshot) {
        let fits = snapshot.bytes.len() as u64 <= MAX_SNAPSHOT_BYTES;
        self.snapshot = fits.then_some(snapshot);
    }

    pub(super) fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// All rows, the mark, and the removal of what is left of a longer snapshot before.
    pub(super) fn into_rows(self, applied: Applied, old_chunks: u64) -> sled::Batch {
        let mut rows = self.rows;
        rows.insert(keys::meta(keys::APPLIED), keys::applied(applied));
        if let Some(snapshot) = self.snapshot {
            let header = SnapshotHeader::of(&snapshot);
            for (n, chunk) in (0..).zip(snapshot.bytes.chunks(CHUNK_BYTES)) {
                rows.insert(keys::snapshot_chunk(n), chunk);
            }
            for gone in header.chunks()..old_chunks {
                rows.remove(keys::snapshot_chunk(gone));
            }
            rows.insert(keys::meta(keys::SNAPSHOT), header.bytes());
        }
        rows
    }
}
