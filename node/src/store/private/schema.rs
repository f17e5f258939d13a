//! The tables of the private store and how older layouts become the present one.

use super::{PrivateError, doing};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

/// Step n turns layout n into layout n + 1. Steps are never edited once released, only added.
const STEPS: &[&str] = &[
    "
    CREATE TABLE sidecars (
        commitment BLOB PRIMARY KEY CHECK (length(commitment) = 32),
        salt BLOB NOT NULL CHECK (length(salt) = 32),
        bytes BLOB NOT NULL,
        account BLOB CHECK (account IS NULL OR length(account) = 16),
        created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sidecars_by_account ON sidecars (account) WHERE account IS NOT NULL;
    CREATE INDEX sidecars_by_time ON sidecars (created_ms);
    CREATE TABLE people (
        account BLOB PRIMARY KEY CHECK (length(account) = 16),
        name TEXT NOT NULL,
        note TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sealed_sidecars (
        commitment BLOB PRIMARY KEY CHECK (length(commitment) = 32),
        envelope BLOB NOT NULL,
        direction INTEGER NOT NULL CHECK (direction IN (0, 1)),
        claim BLOB NOT NULL CHECK (length(claim) = 32)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sealed_by_claim ON sealed_sidecars (claim);
    CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE invitations (
        token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
        bytes BLOB NOT NULL,
        expires_ms INTEGER NOT NULL,
        used INTEGER NOT NULL CHECK (used IN (0, 1))
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE peers_local (
        ledger BLOB PRIMARY KEY CHECK (length(ledger) = 32),
        alias TEXT NOT NULL UNIQUE,
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE peer_addresses (
        ledger BLOB NOT NULL REFERENCES peers_local (ledger) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        address TEXT NOT NULL,
        PRIMARY KEY (ledger, place)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE descriptors (
        ledger BLOB PRIMARY KEY CHECK (length(ledger) = 32),
        dseq INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        site TEXT NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX descriptors_by_site ON descriptors (site);
    CREATE TABLE bans (
        ledger BLOB PRIMARY KEY CHECK (length(ledger) = 32),
        reason TEXT NOT NULL,
        since_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE shut_out (
        peer BLOB PRIMARY KEY,
        ledger BLOB CHECK (ledger IS NULL OR length(ledger) = 32),
        reason TEXT NOT NULL,
        since_ms INTEGER NOT NULL,
        until_ms INTEGER
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        sender BLOB NOT NULL CHECK (length(sender) = 32),
        receiver BLOB NOT NULL CHECK (length(receiver) = 32),
        key INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX letters_by_receiver ON letters (receiver, number);
",
    "
    CREATE TABLE proposals (
        id BLOB PRIMARY KEY CHECK (length(id) = 32),
        until_ms INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
",
];

/// Brings the file to the newest layout, in one transaction.
pub(super) fn migrate(db: &mut Connection) -> Result<(), PrivateError> {
    migrate_by(db, STEPS)
}

fn migrate_by(db: &mut Connection, steps: &[&str]) -> Result<(), PrivateError> {
    let known = i64::try_from(steps.len()).expect("there are few steps");
    let sqlite = || doing("bring the layout up to date");
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite())?;
    let found = (|| {
        transaction.execute_batch(
            "CREATE TABLE IF NOT EXISTS layout (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT",
        )?;
        transaction.query_row("SELECT version FROM layout", [], |row| row.get::<_, i64>(0)).optional()
    })()
    .map_err(sqlite())?
    .unwrap_or_default();
    if found > known {
        return Err(PrivateError::NewerLayout { found, known });
    }
    (|| {
        for step in steps.iter().skip(usize::try_from(found).unwrap_or_default()) {
            transaction.execute_batch(step)?;
        }
        transaction.execute("INSERT OR REPLACE INTO layout VALUES (1, ?1)", [known])?;
        transaction.commit()
    })()
    .map_err(sqlite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_an_older_one_is_brought_up_to_date() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        let newer = [STEPS, &["CREATE TABLE later (x INTEGER) STRICT"]].concat();
        migrate_by(&mut db, &newer).unwrap();
        db.execute("INSERT INTO later VALUES (1)", []).unwrap();
        let error = migrate(&mut db).unwrap_err();
        assert!(matches!(error, PrivateError::NewerLayout { found: 6, known: 5 }), "{error}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_layout() {
        let mut db = Connection::open_in_memory().unwrap();
        let broken = [STEPS, &["CREATE TABLE later (x INTEGER) STRICT; CREATE TABLE people (y)"]].concat();
        assert!(migrate_by(&mut db, &broken).is_err());
        migrate(&mut db).unwrap();
        assert!(db.execute("INSERT INTO later VALUES (1)", []).is_err());
    }
}
