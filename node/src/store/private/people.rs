//! Who is behind an account: the one row that ties a pseudonym to a person.

use super::{
    MAX_MEMO_BYTES, MAX_NAME_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_limit, to_sql_ms,
};
use rusqlite::{OptionalExtension, Row, params};
use weft_protocol::ids::AccountId;

/// A person, or an organisation with a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// The account in the ledger.
    pub account: AccountId,
    /// Name as they want to be called, at most [`MAX_NAME_BYTES`].
    pub name: String,
    /// How to reach them and what to know, at most [`MAX_MEMO_BYTES`].
    pub note: String,
    /// When the row was first made, in ms since 1970.
    pub created_ms: u64,
}

/// Names do not belong into logs.
impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Person {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            account: AccountId(row.get(0)?),
            name: row.get(1)?,
            note: row.get(2)?,
            created_ms: from_sql_ms(row.get(3)?),
        })
    }
}

/// What an erasure has destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// Whether there was a person.
    pub person: bool,
    /// How many sidecars about them.
    pub sidecars: u64,
}

impl Private {
    /// Writes a person; name and note replace those before, the time of the first writing stays.
    ///
    /// # Errors
    /// [`PrivateError::TooLong`], or SQLite's.
    pub fn put_person(&self, person: &Person) -> Result<(), PrivateError> {
        check_len("a name", person.name.len(), MAX_NAME_BYTES)?;
        check_len("a note", person.note.len(), MAX_MEMO_BYTES)?;
        self.transact("write a person", |db| {
            db.execute(
                "INSERT INTO people VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (account) DO UPDATE SET name = excluded.name, note = excluded.note",
                params![person.account.0, person.name, person.note, to_sql_ms(person.created_ms)],
            )?;
            Ok(())
        })
    }

    /// The person behind an account.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn person(&self, account: &AccountId) -> Result<Option<Person>, PrivateError> {
        self.with("read a person", |db| {
            let mut select = db.prepare_cached("SELECT * FROM people WHERE account = ?1")?;
            select.query_row([account.0], Person::read).optional()
        })
    }

    /// People in the order of their accounts, after `after`; at most [`super::MAX_LIST_ROWS`].
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn people(&self, after: Option<&AccountId>, limit: usize) -> Result<Vec<Person>, PrivateError> {
        self.with("list people", |db| {
            let mut select = db.prepare_cached(
                "SELECT * FROM people WHERE ?1 IS NULL OR account > ?1 ORDER BY account LIMIT ?2",
            )?;
            let after = after.map(|account| account.0);
            select.query_map(params![after, to_sql_limit(limit)], Person::read)?.collect()
        })
    }

    /// Destroys a person's row and every sidecar about them, salts included, and scrubs the files. The proofs in
    /// the ledger stay whole: they never held any of it.
    ///
    /// # Errors
    /// When a step fails. The rows may be gone while old bytes are still in the files: call it again.
    pub fn erase_person(&self, account: &AccountId) -> Result<Erased, PrivateError> {
        let erased = self.transact("erase a person", |db| {
            let person = db.execute("DELETE FROM people WHERE account = ?1", [account.0])? > 0;
            let sidecars = db.execute("DELETE FROM sidecars WHERE account = ?1", [account.0])? as u64;
            Ok(Erased { person, sidecars })
        })?;
        self.scrub()?;
        Ok(erased)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sidecar;
    use super::*;
    use std::path::Path;

    const SECRET_NAME: &str = "Ottoline Quackenbush-Featherstonehaugh";
    const SECRET_MEMO: &str = "seventeen marmalade sandwiches";

    fn person(n: u8, name: &str) -> Person {
        Person {
            account: AccountId([n; 16]),
            name: name.to_owned(),
            note: SECRET_MEMO.to_owned(),
            created_ms: 7,
        }
    }

    /// Whether the bytes stand in any file of the folder.
    fn on_disk(dir: &Path, needle: &[u8]) -> bool {
        std::fs::read_dir(dir).unwrap().any(|item| {
            let bytes = std::fs::read(item.unwrap().path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    }

    #[test]
    fn an_erased_person_is_in_none_of_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let salt = *b"salt of a sidecar, 32 bytes long";
        let about = AccountId([100; 16]);
        for n in 0..200 {
            let mut one = person(n, &format!("neighbour {n}"));
            one.note = "x".repeat(usize::from(n) * 3);
            private.put_person(&one).unwrap();
        }
        private.put_person(&person(100, SECRET_NAME)).unwrap();
        private.put_person(&person(100, &SECRET_NAME.to_uppercase())).unwrap();
        private.put_person(&person(100, SECRET_NAME)).unwrap();
        let memo = Sidecar::new(salt, SECRET_MEMO.as_bytes().to_vec(), Some(about), 5).unwrap();
        let big = Sidecar::new(salt, SECRET_MEMO.repeat(500).into_bytes(), Some(about), 5).unwrap();
        let other = Sidecar::new([1; 32], b"of somebody else".to_vec(), Some(AccountId([1; 16])), 5).unwrap();
        private.put_sidecars(&[memo, big, other.clone()], &[]).unwrap();
        assert!(on_disk(dir.path(), SECRET_NAME.as_bytes()) && on_disk(dir.path(), &salt));

        assert_eq!(private.erase_person(&about).unwrap(), Erased { person: true, sidecars: 2 });
        for secret in
            [SECRET_NAME.as_bytes(), SECRET_NAME.to_uppercase().as_bytes(), SECRET_MEMO.as_bytes(), &salt]
        {
            assert!(!on_disk(dir.path(), secret), "{} is still there", String::from_utf8_lossy(secret));
        }
        assert_eq!(private.people(None, 500).unwrap().len(), 199);
        assert!(private.sidecar(&other.commitment()).unwrap().is_some());
        assert_eq!(private.erase_person(&about).unwrap(), Erased { person: false, sidecars: 0 });
    }

    #[test]
    fn people_are_listed_in_pages_and_renamed_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        for n in 0..5 {
            private.put_person(&person(n, "before")).unwrap();
        }
        private.put_person(&Person { created_ms: 99, ..person(2, "after") }).unwrap();
        assert_eq!(private.person(&AccountId([2; 16])).unwrap(), Some(person(2, "after")));
        let first = private.people(None, 3).unwrap();
        let rest = private.people(Some(&first[2].account), 3).unwrap();
        assert_eq!(
            first.iter().chain(&rest).map(|one| one.account.0[0]).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4]
        );
    }

    #[test]
    fn a_name_over_the_cap_is_refused_with_both_lengths() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let error = private.put_person(&person(1, &"é".repeat(129))).unwrap_err();
        assert_eq!(error.to_string(), "a name has 258 bytes, at most 256 are allowed");
        private.put_person(&person(1, &"é".repeat(128))).unwrap();
    }
}
