//! The index: everything that can be computed from the segments, kept so that it need not be.
//!
//! What must hold: a batch of rows and the [`Applied`] mark that says how far they reach change in one step; keys are
//! big-endian, so that ranges are in order; whatever goes wrong here ends in [`IndexError::Rebuild`], never in a
//! wrong answer and never in a stop: the caller drops the index, calls [`Index::destroy`] and reads the segments
//! again from the start.
//!
//! The engine is redb. It is not trusted with a damaged file: every page is checked when the index is opened, every
//! row carries a checksum of its own that is checked when it is read, calls run inside `catch_unwind`, after one error
//! or panic it is not called again, and an [`Applied`] mark beyond the segments ([`Applied::is_beyond`]) is a rebuild.
//! Commits are gathered and most are not synced: a crash leaves an older index, whose mark says so, and which is caught up.

mod batch;
mod behind;
mod engine;
mod keys;
mod page;
mod snapshot;

use batch::Row;
pub use batch::{FULL_BATCH_ROWS, IndexBatch};
use behind::Behind;
use engine::{Engine, guarded};
pub use page::{Direction, MAX_PAGE_ROWS, Page};
pub use snapshot::{MAX_SNAPSHOT_BYTES, Snapshot};

use super::segments::{Counts, Position};
use keys::Table;
use redb::Database;
use std::collections::BTreeMap;
use std::path::Path;
use weft_protocol::ids::{AccountId, LedgerId, OpId, Signer, StreamId};

/// The one file of the index.
const FILE: &str = "rows.redb";
/// Memory the engine may use for pages while it makes an index: the whole node should stay below 200 MB while it rebuilds a
/// million entries.
const FILLING_CACHE_BYTES: usize = 48 * 1024 * 1024;
/// The same while a node runs: the pages of the newest rows. The newest of all wait outside of it, and the system keeps the
/// rest of the file as it has room.
const CACHE_BYTES: usize = 2 * 1024 * 1024;
/// Length of a row's checksum.
const CHECKSUM_LEN: usize = 4;
/// Layout of the rows; another number means: rebuild.
const FORMAT: u64 = 2;

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
    rows: Behind,
    /// Whether it was empty when it was opened, and has the memory to be filled.
    is_roomy: bool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("broken", &self.rows.engine().is_broken()).finish_non_exhaustive()
    }
}

impl Index {
    /// Opens the index in `dir`, a new one if there is none; a new one has much memory until it is [`Index::settled`].
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        if is_of_first_engine(dir) {
            return Err(IndexError::rebuild("an older version of this program made it"));
        }
        std::fs::create_dir_all(dir).map_err(IndexError::rebuild)?;
        let path = dir.join(FILE);
        let fresh = !path.exists();
        let open = || {
            let mut builder = Database::builder();
            let cache = if fresh { FILLING_CACHE_BYTES } else { CACHE_BYTES };
            builder.set_cache_size(cache).set_check_integrity_on_open(true);
            let db = builder.create(&path)?;
            Ok(db)
        };
        let engine = Engine::new(guarded("open", open)?);
        if fresh {
            let format = (keys::meta(keys::FORMAT), Some(FORMAT.to_be_bytes().to_vec()));
            engine.write(&BTreeMap::new(), &[format], true)?;
        }
        let index = Self { rows: Behind::new(engine), is_roomy: fresh };
        match index.get(&keys::meta(keys::FORMAT))? {
            Some(format) if keys::read_u64(&format) == Some(FORMAT) => {}
            Some(_) => return Err(IndexError::rebuild("it has the layout of another version")),
            None => return Err(IndexError::rebuild("it does not name its layout")),
        }
        Ok(index)
    }

    /// The index with the memory that a running node gives it: what a new one has filled with is given back.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn settled(self, dir: &Path) -> Result<Self, IndexError> {
        if !self.is_roomy {
            return Ok(self);
        }
        self.flush()?;
        drop(self);
        Self::open(dir)
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
            if name != FILE && !is_first_engine_file(&name) {
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
        let is_large = batch.has_snapshot();
        let old_chunks = match is_large {
            true => self.snapshot_header()?.map_or(0, |header| header.chunks()),
            false => 0,
        };
        self.rows.commit(batch.into_rows(applied, old_chunks), is_large)
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

    /// Makes everything durable: for a clean stop, so that the next start has nothing to catch up.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`].
    pub fn flush(&self) -> Result<(), IndexError> {
        self.rows.flush()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.rows.engine().unless_broken()?;
        if let Some(value) = self.rows.row(key) {
            return Ok(Some(value));
        }
        let found = self.rows.engine().get(key)?;
        found.map(|value| value.ok_or_else(|| self.unreadable(key))).transpose()
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
        // First what waits: what goes over to the engine meanwhile is seen twice, never missed.
        let waiting = self.rows.rows(&keys);
        let mut rows = self.rows.engine().range(&keys, page.direction, limit)?;
        rows.extend(waiting.into_iter().map(|(key, value)| (key, Some(value))));
        let rows = rows.into_iter().map(|(key, value)| {
            let number = key.strip_prefix(prefix).and_then(keys::read_u64);
            let value = value.and_then(|value| read(&value));
            number.zip(value).ok_or_else(|| self.unreadable(&key))
        });
        match page.direction {
            Direction::OldestFirst => rows.take(limit).collect(),
            Direction::NewestFirst => rows.rev().take(limit).collect(),
        }
    }

    fn unreadable(&self, key: &[u8]) -> IndexError {
        self.rows.engine().set_broken();
        IndexError::rebuild(format!("the row {} is not readable", Hex(key)))
    }
}

/// Whether a folder holds the index of the first releases, which was made by another engine.
fn is_of_first_engine(dir: &Path) -> bool {
    dir.join("conf").exists() || dir.join("db").exists()
}

fn is_first_engine_file(name: &str) -> bool {
    matches!(name, "conf" | "db" | "blobs") || name.starts_with("snap.")
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(self.0))
    }
}

#[cfg(test)]
mod tests;
