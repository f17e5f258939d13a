//! Who is behind an account: the one row that ties a pseudonym to a person.

use super::{
    MAX_MEMO_BYTES, MAX_NAME_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_limit, to_sql_ms,
};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeSet;
use weft_protocol::ids::{AccountId, ClaimId, Hash};
use weft_protocol::sidecar::Content;

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

/// What is to be destroyed with a person, besides the row and the sidecars that carry the account.
#[derive(Debug, Default)]
pub struct Traces {
    /// Sidecars that entries of the account name.
    pub commitments: BTreeSet<Hash>,
    /// Claims of the account, whose sealed sidecars may still wait.
    pub claims: BTreeSet<ClaimId>,
}

/// Setting that stands from the moment rows are deleted until the files are rewritten.
const SCRUB_DUE: &str = "scrub-due";

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

    /// Destroys a person's row, every sidecar about them or that names them, salts included, and scrubs the files. The
    /// proofs in the ledger stay whole: they never held any of it.
    ///
    /// # Errors
    /// When a step fails. The rows may be gone while old bytes are still in the files: call it again, or
    /// [`Private::scrub_if_due`].
    pub fn erase_person(&self, account: &AccountId, traces: &Traces) -> Result<Erased, PrivateError> {
        let erased = self.transact("erase a person", |db| {
            let mut select = db.prepare("SELECT name FROM people WHERE account = ?1")?;
            let name: Option<String> = select.query_row([account.0], |row| row.get(0)).optional()?;
            let mut doomed = traces.commitments.clone();
            if let Some(name) = &name {
                doomed.extend(naming(db, name)?);
            }
            db.execute("INSERT OR REPLACE INTO settings VALUES (?1, x'01')", [SCRUB_DUE])?;
            let person = db.execute("DELETE FROM people WHERE account = ?1", [account.0])? > 0;
            let mut sidecars = db.execute("DELETE FROM sidecars WHERE account = ?1", [account.0])?;
            let mut delete = db.prepare("DELETE FROM sidecars WHERE commitment = ?1")?;
            for commitment in &doomed {
                sidecars += delete.execute([commitment.0])?;
            }
            let mut delete = db.prepare("DELETE FROM sealed_sidecars WHERE claim = ?1")?;
            for claim in &traces.claims {
                delete.execute([claim.0])?;
            }
            Ok(Erased { person, sidecars: sidecars as u64 })
        })?;
        self.scrub_if_due()?;
        Ok(erased)
    }

    /// Rewrites the files if rows were deleted since the last time: after a crash in the middle of an erasure.
    ///
    /// # Errors
    /// When it cannot be done completely; then it stays due.
    pub fn scrub_if_due(&self) -> Result<bool, PrivateError> {
        if self.setting(SCRUB_DUE)?.is_none() {
            return Ok(false);
        }
        self.scrub()?;
        self.delete_setting(SCRUB_DUE)?;
        Ok(true)
    }
}

/// Commitments of sidecars whose text holds a name, as a whole and in any case.
fn naming(db: &rusqlite::Connection, name: &str) -> rusqlite::Result<Vec<Hash>> {
    let name = name.to_lowercase();
    let mut select = db.prepare("SELECT commitment, bytes FROM sidecars")?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let bytes: Vec<u8> = row.get(1)?;
        let texts = match Content::parse(&bytes) {
            Ok(Content { payee, memo, payer }) => [Some(payee), memo, payer].into_iter().flatten().collect(),
            Err(_) => vec![String::from_utf8_lossy(&bytes).into_owned()],
        };
        if texts.iter().any(|text| holds_name(&text.to_lowercase(), &name)) {
            found.push(Hash(row.get(0)?));
        }
    }
    Ok(found)
}

/// Whether a text holds a name that is not a part of a longer word: "Bo" is not in "elbow". Both are in lower case.
fn holds_name(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let ends = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
        ends(before) && ends(after)
    })
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

        // Named by an entry of the account, and a text of others in which the name stands.
        let named = Sidecar::new([2; 32], b"plain words".to_vec(), None, 5).unwrap();
        let mention = format!("lunch with {}!", SECRET_NAME.to_lowercase());
        let mention = Sidecar::new([3; 32], mention.into_bytes(), Some(AccountId([1; 16])), 5).unwrap();
        private.put_sidecars(&[named.clone(), mention.clone()], &[]).unwrap();
        let traces = Traces { commitments: [named.commitment()].into(), ..Traces::default() };
        let erased = private.erase_person(&about, &traces).unwrap();
        assert_eq!(erased, Erased { person: true, sidecars: 4 });
        assert!(!private.scrub_if_due().unwrap());
        for secret in
            [SECRET_NAME.as_bytes(), SECRET_NAME.to_uppercase().as_bytes(), SECRET_MEMO.as_bytes(), &salt]
        {
            assert!(!on_disk(dir.path(), secret), "{} is still there", String::from_utf8_lossy(secret));
        }
        assert_eq!(private.people(None, 500).unwrap().len(), 199);
        assert!(private.sidecar(&other.commitment()).unwrap().is_some());
        let again = private.erase_person(&about, &traces).unwrap();
        assert_eq!(again, Erased { person: false, sidecars: 0 });
    }

    #[test]
    fn an_erasure_that_was_interrupted_before_the_files_were_rewritten_is_finished_later() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        private.put_person(&person(1, SECRET_NAME)).unwrap();
        // Another process reads the file, such as a backup: the log cannot be emptied.
        let reader = rusqlite::Connection::open(dir.path().join(super::super::DB_FILE)).unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM people").unwrap();
        assert!(private.erase_person(&AccountId([1; 16]), &Traces::default()).is_err());
        assert!(on_disk(dir.path(), SECRET_NAME.as_bytes()), "the test shows nothing");
        drop(reader);
        assert!(private.scrub_if_due().unwrap());
        assert!(!on_disk(dir.path(), SECRET_NAME.as_bytes()));
        assert!(!private.scrub_if_due().unwrap());
    }

    #[test]
    fn a_name_is_found_as_a_whole_and_not_inside_other_words() {
        for text in ["bo", "for bo.", "bo, thanks", "(bo)", "elbow bo"] {
            assert!(holds_name(text, "bo"), "{text}");
        }
        for text in ["", "elbow", "bob", "bo2", "abo"] {
            assert!(!holds_name(text, "bo"), "{text}");
        }
        assert!(holds_name("für zoë.", "zoë") && !holds_name("zoëtje", "zoë") && !holds_name("x", ""));
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
