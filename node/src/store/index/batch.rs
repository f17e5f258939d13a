//! Rows that are to be written together.

use super::Applied;
use super::keys::{self, Table};
use super::snapshot::{CHUNK_BYTES, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotHeader};
use crate::store::segments::Position;
use weft_protocol::ids::{AccountId, LedgerId, OpId, Signer, StreamId};

/// From so many rows on a batch should be committed. sled frees what a batch replaces only between batches, and too
/// slowly when they are large: 200,000 entries took 2.6 GB in batches of 5,000 rows, 0.13 GB in batches of 500.
pub const FULL_BATCH_ROWS: usize = 500;

/// Collects rows; [`super::Index::commit`] writes them in one step. A later row replaces an earlier one of the same
/// key, so applying a record twice changes nothing.
#[derive(Debug, Default)]
pub struct IndexBatch {
    rows: sled::Batch,
    row_count: usize,
    snapshot: Option<Snapshot>,
}

impl IndexBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it holds [`FULL_BATCH_ROWS`]: commit it before the rows of the next record are added. This is what
    /// bounds the memory of a rebuild.
    pub fn is_full(&self) -> bool {
        self.row_count >= FULL_BATCH_ROWS
    }

    /// Own entry `seq` stands at `at`.
    pub fn own(&mut self, seq: u64, at: Position) {
        self.insert(keys::own(seq), keys::position(at));
    }

    /// A received entry stands at `at`.
    pub fn received(&mut self, ledger: &LedgerId, stream: &StreamId, sseq: u64, at: Position) {
        self.insert(keys::received(ledger, stream, sseq), keys::position(at));
    }

    /// Own entry `seq` carries this operation.
    pub fn op(&mut self, signer: &Signer, op: &OpId, seq: u64) {
        self.insert(keys::op(signer, op), seq.to_be_bytes().to_vec());
    }

    /// What own entry `seq` means for an account; one row per account and entry.
    pub fn account_row(&mut self, account: &AccountId, seq: u64, row: &[u8]) {
        self.insert(keys::prefix(Table::Account, &[account.as_bytes(), &seq.to_be_bytes()]), row.to_vec());
    }

    /// Own entry `seq` is number `sseq` of one of our streams.
    pub fn stream_entry(&mut self, stream: &StreamId, sseq: u64, seq: u64) {
        self.insert(keys::stream(stream, sseq), seq.to_be_bytes().to_vec());
    }

    /// Replaces the saved state. Larger than [`MAX_SNAPSHOT_BYTES`] it is not kept: the next start replays.
    pub fn snapshot(&mut self, snapshot: Snapshot) {
        let fits = snapshot.bytes.len() as u64 <= MAX_SNAPSHOT_BYTES;
        self.snapshot = fits.then_some(snapshot);
    }

    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.insert(key, value);
        self.row_count += 1;
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
