//! The private store: names, texts and settings, in one SQLite file that only this user may read.
//!
//! What must hold: nothing here is ever sent to auditors or peers; what is deleted is gone from the files (content
//! is overwritten, the log is truncated, the file is rewritten on an erasure); sidecars of a group are durable
//! before the entries that name them are; a sidecar is handed out only if it still has its commitment.
//!
//! SQLite keeps no checksums of its pages: whatever is proof of something must not live here alone.

mod invitations;
mod letters;
mod networks;
mod peers;
mod people;
mod proposals;
mod schema;
mod settings;
mod shut_out;
mod sidecars;

pub use invitations::{Invitation, InvitationUse};
pub use letters::{ALL_BYTES, LIFE_MS, PAIR_BYTES};
pub use networks::{Ban, StoredDescriptor};
pub use peers::LocalPeer;
pub use people::{Erased, Person, Traces};
pub use proposals::{MAX_PROPOSAL_BYTES, MAX_PROPOSALS};
pub use shut_out::{MAX_SHUT_OUT, ShutOut};
pub use sidecars::{Direction, SIDECAR_CONTEXT, SealedSidecar, Sidecar, SidecarSalt};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Name of the file inside the private folder.
pub const DB_FILE: &str = "weft.db";
/// Name of a copy that is made for a backup, beside it.
const COPY_FILE: &str = "copy.db";
/// Longest name of a person, alias or address: the string cap of the ledger.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest note or memo.
pub const MAX_MEMO_BYTES: usize = 1_024;
/// Largest sidecar kept in the clear: a photo scaled down.
pub const MAX_SIDECAR_BYTES: usize = 256 * 1024;
/// Largest sealed sidecar in transit: the largest padding class (8,192) with its envelope.
pub const MAX_SEALED_BYTES: usize = 16 * 1024;
/// Longest key of a setting.
pub const MAX_SETTING_KEY_BYTES: usize = 128;
/// Largest value of a setting.
pub const MAX_SETTING_BYTES: usize = 64 * 1024;
/// Largest content of an invitation.
pub const MAX_INVITATION_BYTES: usize = 16 * 1024;
/// Most addresses of a peer: the cap of a descriptor.
pub const MAX_ADDRESSES: usize = 8;
/// Most rows of one list.
pub const MAX_LIST_ROWS: usize = 1_000;

/// How long to wait for another process that has the file open, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that are kept ready: more than a payment needs.
const STATEMENTS: usize = 64;
/// Only the node's user may read private files, and enter their folder.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Why a request to the private store failed; nothing of the request was kept.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// SQLite refused.
    #[error("could not {doing} in the private store: {source}")]
    Sqlite {
        /// What was attempted.
        doing: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
    /// The file or its folder cannot be made or protected.
    #[error("could not prepare {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Over a cap.
    #[error("{what} has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The cap.
        max: usize,
    },
    /// More items than a cap.
    #[error("{count} {what} were given, at most {max} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// The cap.
        max: usize,
    },
    /// Another peer has this alias.
    #[error("another peer is already called {alias:?}")]
    AliasTaken {
        /// The alias.
        alias: String,
    },
    /// What is stored is not what was stored.
    #[error("{what} in the private store is damaged; restore it from a backup")]
    Damaged {
        /// What.
        what: String,
    },
    /// Made by a newer version.
    #[error("the private store has layout {found}, this version knows up to {known}; use the newer version")]
    NewerLayout {
        /// The layout of the file.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
}

/// A copy for a backup, see [`Private::copy`].
#[derive(Debug)]
pub struct PrivateCopy(PathBuf);

impl PrivateCopy {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        // One that stays is removed when the store is opened next.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Removes a copy that a crash has left: an erasure would not reach it.
fn remove_copy(dir: &Path) -> Result<(), PrivateError> {
    let path = dir.join(COPY_FILE);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PrivateError::File { path, source }),
    }
}

/// The open private store; share it behind an `Arc`.
#[derive(Debug)]
pub struct Private {
    db: Mutex<Connection>,
}

impl Private {
    /// Opens the store in a folder, a new one if there is none, and brings its layout up to date.
    ///
    /// # Errors
    /// When the files cannot be made or read, or a newer version made them.
    pub fn open(dir: &Path) -> Result<Self, PrivateError> {
        let path = dir.join(DB_FILE);
        prepare_files(dir, &path)?;
        remove_copy(dir)?;
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(&path, flags)?;
            db.busy_timeout(BUSY_TIMEOUT)?;
            db.set_prepared_statement_cache_capacity(STATEMENTS);
            // The temporary tables of a rewrite hold everything: keep them in memory, not in /tmp.
            db.execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
                 PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
            )?;
            Ok(db)
        };
        let mut db = open().map_err(doing("open the file"))?;
        schema::migrate(&mut db)?;
        Ok(Self { db: Mutex::new(db) })
    }

    /// A copy of the store in a folder as it is at one moment, without free pages, also while another process uses it. It
    /// is removed when it is dropped, or, after a crash, when the store is opened next.
    ///
    /// # Errors
    /// When the store cannot be read, or the copy not written.
    pub fn copy(dir: &Path) -> Result<PrivateCopy, PrivateError> {
        let copy = PrivateCopy(dir.join(COPY_FILE));
        remove_copy(dir)?;
        let failed = doing("copy the file");
        let make = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(dir.join(DB_FILE), flags)?;
            db.busy_timeout(BUSY_TIMEOUT)?;
            db.execute("VACUUM INTO ?1", [copy.0.to_string_lossy()])
        };
        make().map_err(failed)?;
        let protect = std::fs::set_permissions(&copy.0, Permissions::from_mode(FILE_MODE));
        protect.map_err(|source| PrivateError::File { path: copy.0.clone(), source })?;
        Ok(copy)
    }

    /// What SQLite finds wrong with the file: an empty list is good.
    ///
    /// # Errors
    /// When the check itself cannot run.
    pub fn check(&self) -> Result<Vec<String>, PrivateError> {
        self.with("check the file", |db| {
            let mut statement = db.prepare("PRAGMA integrity_check(100)")?;
            let found = statement.query_map([], |row| row.get::<_, String>(0))?;
            Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// Makes what was deleted unreadable in the files: empties the log into the file, where deleted content is
    /// overwritten, and only then rewrites the file without the freed pages.
    ///
    /// # Errors
    /// When it cannot be done completely; then try again.
    pub fn scrub(&self) -> Result<(), PrivateError> {
        self.empty_log()?;
        self.with("rewrite the file", |db| db.execute_batch("VACUUM"))?;
        self.empty_log()
    }

    fn empty_log(&self) -> Result<(), PrivateError> {
        self.with("empty the log", |db| {
            match db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))? {
                false => Ok(()),
                true => Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                    Some("another process reads the file".to_owned()),
                )),
            }
        })
    }

    /// Runs one step on the connection.
    fn with<T>(
        &self,
        what: &'static str,
        step: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, PrivateError> {
        // A panic in an earlier step rolled its transaction back, so the connection is as good as before.
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        step(&mut db).map_err(doing(what))
    }

    /// Runs one step in a transaction that is durable when this returns `Ok`.
    fn transact<T>(
        &self,
        what: &'static str,
        step: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, PrivateError> {
        self.with(what, |db| {
            let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = step(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }
}

/// Makes folder and file before SQLite does, so that neither is readable by others for a moment; SQLite gives its
/// log files the mode of the main file.
fn prepare_files(dir: &Path, path: &Path) -> Result<(), PrivateError> {
    let prepare = || {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, Permissions::from_mode(DIR_MODE))?;
        let options = OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).to_owned();
        options.open(path)?.set_permissions(Permissions::from_mode(FILE_MODE))?;
        std::fs::File::open(dir)?.sync_all()
    };
    prepare().map_err(|source| PrivateError::File { path: path.to_owned(), source })
}

fn doing(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> PrivateError {
    move |source| PrivateError::Sqlite { doing, source }
}

fn check_len(what: &'static str, len: usize, max: usize) -> Result<(), PrivateError> {
    if len > max { Err(PrivateError::TooLong { what, len, max }) } else { Ok(()) }
}

/// SQLite's integers are signed: times beyond its range are far outside any clock and are kept at its end.
fn to_sql_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Times were never negative when they were written.
fn from_sql_ms(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or_default()
}

fn to_sql_limit(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_LIST_ROWS)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_readable_by_the_node_only_even_if_they_were_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("private");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(DB_FILE), b"").unwrap();
        std::fs::set_permissions(dir.join(DB_FILE), Permissions::from_mode(0o644)).unwrap();
        let private = Private::open(&dir).unwrap();
        private.set_setting("language", b"nl").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|item| item.unwrap().path()).collect();
        assert!(files.len() > 1, "the log should be there: {files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }

    #[test]
    fn the_connection_is_set_up_to_be_durable_and_forgetful() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let pragma = |name: &str| {
            private.with("read", |db| {
                db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0))
            })
        };
        use rusqlite::types::Value;
        assert_eq!(pragma("journal_mode").unwrap(), Value::Text("wal".to_owned()));
        for (name, value) in
            [("synchronous", 2), ("secure_delete", 1), ("foreign_keys", 1), ("temp_store", 2)]
        {
            assert_eq!(pragma(name).unwrap(), Value::Integer(value), "{name}");
        }
        assert_eq!(private.check().unwrap(), Vec::<String>::new());
    }
}
