//! Rows that are to be written together.

use super::Applied;
use super::keys::{self, Table};
use super::snapshot::{CHUNK_BYTES, MAX_SNAPSHOT_BYTES, Snapshot, SnapshotHeader};
use crate::store::segments::Position;
use weft_protocol::ids::{AccountId, LedgerId, OpId, Signer, StreamId};

/// From so many rows on a batch should be committed: the fewer batches, the fewer times a page is written; this many
/// take some 25 MB.
pub const FULL_BATCH_ROWS: usize = 100_000;

/// A key and its value; `None` takes the row away.
pub(super) type Row = (Vec<u8>, Option<Vec<u8>>);

/// Collects rows; [`super::Index::commit`] writes them in one step. A later row replaces an earlier one of the same
/// key, so applying a record twice changes nothing.
#[derive(Debug, Default)]
pub struct IndexBatch {
    rows: Vec<Row>,
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
        self.rows.len() >= FULL_BATCH_ROWS
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
        self.rows.push((key, Some(value)));
    }

    pub(super) fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// All rows in the order of their keys (neighbours share pages), the mark, and the removal of what is left of a
    /// longer snapshot before.
    pub(super) fn into_rows(self, applied: Applied, old_chunks: u64) -> Vec<Row> {
        let mut rows = self.rows;
        rows.push((keys::meta(keys::APPLIED), Some(keys::applied(applied))));
        if let Some(snapshot) = self.snapshot {
            let header = SnapshotHeader::of(&snapshot);
            for (n, chunk) in (0..).zip(snapshot.bytes.chunks(CHUNK_BYTES)) {
                rows.push((keys::snapshot_chunk(n), Some(chunk.to_vec())));
            }
            for gone in header.chunks()..old_chunks {
                rows.push((keys::snapshot_chunk(gone), None));
            }
            rows.push((keys::meta(keys::SNAPSHOT), Some(header.bytes())));
        }
        // Stable: of two rows with one key the later is written later.
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }
}
