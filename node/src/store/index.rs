//! The index: everything that can be computed from the segments, kept so that it need not be.
//!
//! What must hold: a batch of rows and the [`Applied`] mark that says how far they reach change in one step; keys are
//! big-endian, so that ranges are in order; whatever goes wrong here ends in [`IndexError::Rebuild`], never in a
//! wrong answer and never in a stop: the caller drops the index, calls [`Index::destroy`] and reads the segments
//! again from the start.
//!
//! The engine is sled 0.34, which is not trusted with a power loss: it runs inside `catch_unwind`, after one error or
//! panic it is not called again, and an [`Applied`] mark beyond the segments ([`Applied::is_beyond`]) is a rebuild.
//! All rows are in one tree under one-byte table prefixes, because sled batches are atomic within a tree.

mod batch;
mod keys;
mod page;
mod snapshot;

pub use batch::{FULL_BATCH_ROWS, IndexBatch};
pub use page::{Direction, MAX_PAGE_ROWS, Page};
pub use snapshot::{MAX_SNAPSHOT_BYTES, Snapshot};

use super::segments::{Counts, Position};
use keys::Table;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use weft_protocol::ids::{AccountId, LedgerId, OpId, Signer, StreamId};

/// Memory sled may use for pages: the whole node should stay below 200 MB while it rebuilds a million entries.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How often sled writes its buffers; nothing depends on it but the length of a catch-up.
const FLUSH_EVERY_MS: u64 = 500;
/// Layout of the rows; another number means: rebuild.
const FORMAT: u64 = 1;

/// The index cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Drop it, destroy it, and rebuild it from the segments.
    #[error("the index must be rebuilt: {why}")]
    Rebuild {
        /// What happened.
        why: String,
    },
}

impl IndexError {
    fn rebuild(why: impl std::fmt::Display) -> Self {
        Self::Rebuild { why: why.to_string() }
    }
}

/// Why [`Index::destroy`] left a folder alone.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// Something in it is not ours to delete.
    #[error("{name} does not belong into an index; nothing was deleted")]
    NotAnIndex {
        /// The name found.
        name: String,
    },
    /// The file system refused.
    #[error("could not delete the index: {0}")]
    Io(#[from] std::io::Error),
}

/// How far the rows reach into the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Own entries whose rows are in.
    pub own_entries: u64,
    /// Received entries whose rows are in.
    pub received_entries: u64,
    /// Records of all kinds, in the order of the segments: a catch-up skips so many.
    pub records: u64,
}

impl Applied {
    /// Whether the index knows of more than the segments hold: then it describes another history.
    pub fn is_beyond(&self, counts: &Counts) -> bool {
        self.own_entries > counts.own_entries
            || self.received_entries > counts.received_entries
            || self.records > counts.records()
    }
}

impl From<Counts> for Applied {
    fn from(counts: Counts) -> Self {
        Self {
            own_entries: counts.own_entries,
            received_entries: counts.received_entries,
            records: counts.records(),
        }
    }
}

/// An open index.
pub struct Index {
    /// `None` only while it is dropped.
    db: Option<sled::Db>,
    broken: AtomicBool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in `dir`, a new one if there is none.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        let config =
            sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
        let db = guarded("open", || config.open())?;
        let index = Self { db: Some(db), broken: AtomicBool::new(false) };
        match index.get(&keys::meta(keys::FORMAT))? {
            Some(format) if keys::read_u64(&format) == Some(FORMAT) => {}
            Some(_) => return Err(IndexError::rebuild("it has the layout of another version")),
            None if index.run("read", |db| Ok(db.is_empty()))? => {
                index.run("write", |db| db.insert(keys::meta(keys::FORMAT), &FORMAT.to_be_bytes()))?;
            }
            None => return Err(IndexError::rebuild("it does not name its layout")),
        }
        Ok(index)
    }

    /// Deletes the index in `dir`, which must not be open; fine if there is none.
    ///
    /// # Errors
    /// [`DestroyError`]; a folder that holds anything but an index is left alone.
    pub fn destroy(dir: &Path) -> Result<(), DestroyError> {
        let items = match std::fs::read_dir(dir) {
            Ok(items) => items,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for item in items {
            let name = item?.file_name().to_string_lossy().into_owned();
            if !matches!(name.as_str(), "conf" | "db" | "blobs") && !name.starts_with("snap.") {
                return Err(DestroyError::NotAnIndex { name });
            }
        }
        Ok(std::fs::remove_dir_all(dir)?)
    }

    /// How far the rows reach.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`], as for every reading function.
    pub fn applied(&self) -> Result<Applied, IndexError> {
        self.read(&keys::meta(keys::APPLIED), keys::read_applied).map(Option::unwrap_or_default)
    }

    /// Writes the rows of a batch and the mark of how far they reach, in one step.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn commit(&self, batch: IndexBatch, applied: Applied) -> Result<(), IndexError> {
        let old_chunks = match batch.has_snapshot() {
            true => self.snapshot_header()?.map_or(0, |header| header.chunks()),
            false => 0,
        };
        let rows = batch.into_rows(applied, old_chunks);
        self.run("write", |db| db.apply_batch(rows))
    }

    /// Where own entry `seq` stands.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn own(&self, seq: u64) -> Result<Option<Position>, IndexError> {
        self.read(&keys::own(seq), keys::read_position)
    }

    /// Where an entry received from another ledger stands.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn received(
        &self,
        ledger: &LedgerId,
        stream: &StreamId,
        sseq: u64,
    ) -> Result<Option<Position>, IndexError> {
        self.read(&keys::received(ledger, stream, sseq), keys::read_position)
    }

    /// The seq of the own entry that carries an operation.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn op(&self, signer: &Signer, op: &OpId) -> Result<Option<u64>, IndexError> {
        self.read(&keys::op(signer, op), keys::read_u64)
    }

    /// The seq of the own entry at a place of one of our streams.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn stream_entry(&self, stream: &StreamId, sseq: u64) -> Result<Option<u64>, IndexError> {
        self.read(&keys::stream(stream, sseq), keys::read_u64)
    }

    /// Rows of an account's history as (seq, row).
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn account_history(
        &self,
        account: &AccountId,
        page: Page,
    ) -> Result<Vec<(u64, Vec<u8>)>, IndexError> {
        self.page(&keys::prefix(Table::Account, &[account.as_bytes()]), page, |row| Some(row.to_vec()))
    }

    /// Entries of one of our own streams as (sseq, seq).
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn stream_entries(&self, stream: &StreamId, page: Page) -> Result<Vec<(u64, u64)>, IndexError> {
        self.page(&keys::prefix(Table::Stream, &[stream.as_bytes()]), page, keys::read_u64)
    }

    /// Entries of a received stream as (sseq, where it stands).
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn received_entries(
        &self,
        ledger: &LedgerId,
        stream: &StreamId,
        page: Page,
    ) -> Result<Vec<(u64, Position)>, IndexError> {
        let prefix = keys::prefix(Table::Received, &[ledger.as_bytes(), stream.as_bytes()]);
        self.page(&prefix, page, keys::read_position)
    }

    /// Writes sled's buffers out: for a clean stop, so that the next start has nothing to catch up.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn flush(&self) -> Result<(), IndexError> {
        self.run("flush", |db| db.flush()).map(drop)
    }

    fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, IndexError> {
        self.run("read", |db| db.get(key))
    }

    fn read<T>(&self, key: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Result<Option<T>, IndexError> {
        self.get(key)?.map(|value| read(&value).ok_or_else(|| self.unreadable(key))).transpose()
    }

    fn page<T>(
        &self,
        prefix: &[u8],
        page: Page,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<(u64, T)>, IndexError> {
        let Some(keys) = page.bounds(prefix) else { return Ok(Vec::new()) };
        let limit = page.limit.min(MAX_PAGE_ROWS);
        let rows = self.run("read", |db| {
            let range = db.range(keys);
            match page.direction {
                Direction::OldestFirst => range.take(limit).collect::<sled::Result<Vec<_>>>(),
                Direction::NewestFirst => range.rev().take(limit).collect(),
            }
        })?;
        let rows = rows.iter().map(|(key, value)| {
            let number = key.strip_prefix(prefix).and_then(keys::read_u64);
            number.zip(read(value)).ok_or_else(|| self.unreadable(key))
        });
        rows.collect()
    }

    fn unreadable(&self, key: &[u8]) -> IndexError {
        self.broken.store(true, Ordering::Release);
        IndexError::rebuild(format!("the row {} is not readable", Hex(key)))
    }

    /// Runs one step of sled. After a panic its locks may be held for ever, so it is never called again.
    fn run<T>(&self, doing: &str, step: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, IndexError> {
        if self.broken.load(Ordering::Acquire) {
            return Err(IndexError::rebuild("it has failed before"));
        }
        let db = self.db.as_ref().expect("the engine is taken out only in drop");
        guarded(doing, || step(db)).inspect_err(|_| self.broken.store(true, Ordering::Release))
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let db = self.db.take();
        if self.broken.load(Ordering::Acquire) {
            // Closing could wait for ever on what a panic left locked; the files are about to be deleted.
            std::mem::forget(db);
        } else if guarded("close", || {
            drop(db);
            Ok(())
        })
        .is_err()
        {
            tracing::warn!("the index was not closed cleanly; the next start rebuilds it");
        }
    }
}

fn guarded<T>(doing: &str, step: impl FnOnce() -> sled::Result<T>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(IndexError::rebuild(format!("could not {doing} it: {error}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(IndexError::rebuild(format!("could not {doing} it, the engine panicked: {text}")))
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(self.0))
    }
}

#[cfg(test)]
mod tests;
