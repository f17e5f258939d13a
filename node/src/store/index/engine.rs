//! The engine behind one door: no call of it gets out of `catch_unwind`, and after one failure it is not called again.

use super::batch::Row;
use super::page::Direction;
use super::{CHECKSUM_LEN, IndexError};
use redb::{Database, Durability, ReadableDatabase, TableDefinition};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// All rows are in one table under one-byte prefixes, so that a batch is one change.
pub(super) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// After so many rows a change is synced: bounds how much a crash leaves to be caught up.
const SYNC_EVERY_ROWS: usize = 100_000;

/// See the module.
pub(super) struct Engine {
    /// `None` only while it is dropped.
    db: Option<Database>,
    broken: AtomicBool,
    /// Rows written since the last change that was synced.
    unsynced: AtomicUsize,
}

impl Engine {
    pub(super) fn new(db: Database) -> Self {
        Self { db: Some(db), broken: AtomicBool::new(false), unsynced: AtomicUsize::new(0) }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Nothing it says is believed from here on.
    pub(super) fn set_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(super) fn unless_broken(&self) -> Result<(), IndexError> {
        if self.is_broken() { Err(IndexError::rebuild("it has failed before")) } else { Ok(()) }
    }

    /// Runs one step of the engine. After a panic its locks may be held for ever, so it is never called again.
    pub(super) fn run<T>(
        &self,
        doing: &str,
        step: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, IndexError> {
        self.unless_broken()?;
        let db = self.db.as_ref().expect("the engine is taken out only in drop");
        guarded(doing, || step(db)).inspect_err(|_| self.set_broken())
    }

    /// Rows in one change, those of `first` before those of `then`; one that is not synced costs no wait, and a crash takes
    /// it back as a whole.
    pub(super) fn write(
        &self,
        first: &BTreeMap<Vec<u8>, Vec<u8>>,
        then: &[Row],
        sync: bool,
    ) -> Result<(), IndexError> {
        let count = first.len().saturating_add(then.len());
        let unsynced = self.unsynced.fetch_add(count, Ordering::AcqRel).saturating_add(count);
        let sync = sync || unsynced >= SYNC_EVERY_ROWS;
        self.run("write", |db| write(db, first, then, sync))?;
        if sync {
            self.unsynced.store(0, Ordering::Release);
        }
        Ok(())
    }

    /// The value under a key; the inner `None` is one that is damaged.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Option<Vec<u8>>>, IndexError> {
        self.run("read", |db| {
            let table = db.begin_read()?.open_table(ROWS)?;
            Ok(table.get(key)?.map(|value| checked(key, value.value())))
        })
    }

    /// The first rows of a range, seen from one of its ends.
    pub(super) fn range(
        &self,
        keys: &RangeInclusive<Vec<u8>>,
        direction: Direction,
        limit: usize,
    ) -> Result<BTreeMap<Vec<u8>, Option<Vec<u8>>>, IndexError> {
        self.run("read", |db| {
            let table = db.begin_read()?.open_table(ROWS)?;
            let mut range = table.range::<&[u8]>(keys.start().as_slice()..=keys.end().as_slice())?;
            let mut rows = BTreeMap::new();
            while rows.len() < limit {
                let next = match direction {
                    Direction::OldestFirst => range.next(),
                    Direction::NewestFirst => range.next_back(),
                };
                let Some(row) = next else { break };
                let (key, value) = row?;
                rows.insert(key.value().to_vec(), checked(key.value(), value.value()));
            }
            Ok(rows)
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let db = self.db.take();
        if self.is_broken() {
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

fn write(
    db: &Database,
    first: &BTreeMap<Vec<u8>, Vec<u8>>,
    then: &[Row],
    sync: bool,
) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
    {
        let mut table = transaction.open_table(ROWS)?;
        for (key, value) in first {
            insert(&mut table, key, value)?;
        }
        for (key, value) in then {
            match value {
                Some(value) => insert(&mut table, key, value)?,
                None => drop(table.remove(key.as_slice())?),
            }
        }
    }
    Ok(transaction.commit()?)
}

fn insert(table: &mut redb::Table<'_, &[u8], &[u8]>, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
    let stored = [value, &checksum(key, value)].concat();
    table.insert(key, stored.as_slice())?;
    Ok(())
}

/// Over key and value, so that a row that stands under another key is noticed too.
fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM_LEN] {
    crc32c::crc32c_append(crc32c::crc32c(key), value).to_be_bytes()
}

/// The value of a stored row, `None` when it is damaged.
fn checked(key: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let (value, sum) = stored.split_at_checked(stored.len().checked_sub(CHECKSUM_LEN)?)?;
    (checksum(key, value) == sum).then(|| value.to_vec())
}

/// Runs a step of the engine, and takes its panics for failures.
pub(super) fn guarded<T>(
    doing: &str,
    step: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, IndexError> {
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
