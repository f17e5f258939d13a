//! Rows on their way to the engine, and the thread that brings them there.
//!
//! A change of the engine costs far more than its rows do, and the ledger's thread has better to do: so the rows of many
//! commits go in one change, behind its back. What must hold: a row is found from its commit on, wherever it is; rows reach
//! the engine in the order of their commits, whole commits at a time and with their mark, so that a crash takes back the
//! last commits and nothing else; what waits is bounded.

use super::engine::Engine;
use super::{IndexError, Row};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// So many rows are worth a change of the engine: some 400 KiB, a few hundred entries.
const ENOUGH_ROWS: usize = 2_048;
/// With so many waiting, who commits waits too.
const MOST_ROWS: usize = 4 * ENOUGH_ROWS;

/// Rows by key, as they are to be.
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// See the module.
pub(super) struct Behind {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    rows: Rows,
    /// Being written at this moment.
    under_way: Arc<Rows>,
    is_writing: bool,
    is_closing: bool,
}

impl Behind {
    /// Brings rows to this engine, until it is dropped.
    pub(super) fn new(engine: Engine) -> Self {
        let shared = Shared { engine, waiting: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let bringer = shared.clone();
        let thread = std::thread::Builder::new().name("index".to_owned()).spawn(move || bringer.bring());
        // Without a thread of its own, whoever commits brings them.
        Self { shared, thread: thread.ok() }
    }

    /// Where everything is that does not wait here.
    pub(super) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Takes the rows of a commit. Few wait here for more; many, or large ones, go to the engine at once, after all that
    /// waits.
    ///
    /// # Errors
    /// When the engine has failed, now or for an earlier commit.
    pub(super) fn commit(&self, rows: Vec<Row>, are_large: bool) -> Result<(), IndexError> {
        self.shared.engine.unless_broken()?;
        let is_plain = rows.iter().all(|(_, value)| value.is_some());
        if are_large || rows.len() >= ENOUGH_ROWS || !is_plain || self.thread.is_none() {
            return self.shared.write(&rows, false);
        }
        let mut waiting = self.shared.lock();
        while waiting.rows.len() >= MOST_ROWS && !self.shared.engine.is_broken() {
            waiting = self.shared.wait(waiting);
        }
        waiting.rows.extend(rows.into_iter().filter_map(|(key, value)| Some((key, value?))));
        if waiting.rows.len() >= ENOUGH_ROWS {
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Brings all that waits to the engine and makes it durable.
    ///
    /// # Errors
    /// When the engine fails.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        self.shared.engine.unless_broken()?;
        self.shared.write(&[], true)
    }

    /// The row that waits under a key.
    pub(super) fn row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let waiting = self.shared.lock();
        waiting.rows.get(key).or_else(|| waiting.under_way.get(key)).cloned()
    }

    /// The rows that wait in a range of keys.
    pub(super) fn rows(&self, keys: &RangeInclusive<Vec<u8>>) -> Rows {
        let waiting = self.shared.lock();
        let both = [&*waiting.under_way, &waiting.rows];
        // Of two rows under one key the one that came later.
        both.iter().flat_map(|rows| rows.range(keys.clone())).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings rows until the index is closed or the engine has failed.
    fn bring(&self) {
        loop {
            let mut waiting = self.lock();
            while waiting.rows.len() < ENOUGH_ROWS && !waiting.is_closing {
                waiting = self.wait(waiting);
            }
            if waiting.is_closing {
                return;
            }
            drop(waiting);
            if let Err(error) = self.write(&[], false) {
                // The next commit is told.
                tracing::debug!(%error, "rows did not reach the index");
                return;
            }
        }
    }

    /// One change of the engine: all that waits, then these. They are found here until they are there.
    fn write(&self, more: &[Row], sync: bool) -> Result<(), IndexError> {
        let mut waiting = self.lock();
        while waiting.is_writing {
            waiting = self.wait(waiting);
        }
        let rows = Arc::new(std::mem::take(&mut waiting.rows));
        waiting.under_way = rows.clone();
        waiting.is_writing = true;
        drop(waiting);
        let written = self.engine.write(&rows, more, sync);
        let mut waiting = self.lock();
        waiting.under_way = Arc::default();
        waiting.is_writing = false;
        drop(waiting);
        self.changed.notify_all();
        written
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread of the index has failed");
        }
        if self.shared.engine.unless_broken().is_ok()
            && let Err(error) = self.shared.write(&[], false)
        {
            tracing::warn!(%error, "the last rows did not reach the index; the next start catches up");
        }
    }
}
