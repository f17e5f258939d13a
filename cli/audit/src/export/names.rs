//! Names for accounts, from a file of the person who exports: a ledger holds none.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use weft_protocol::ids::AccountId;

/// Most bytes of a file of names: 100,000 accounts.
const MAX_NAMES_BYTES: u64 = 16 << 20;
/// Longest name, as in the node.
const MAX_NAME_CHARS: usize = 256;

/// Names by account.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<AccountId, String>);

/// A line of the file of names that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamesError {
    /// The file cannot be read.
    #[error("the file of names cannot be read: {why}")]
    Read {
        /// Why.
        why: String,
    },
    /// The file is too long.
    #[error("the file of names has more than {MAX_NAMES_BYTES} bytes")]
    TooLong,
    /// It is not two columns of CSV, or not UTF-8.
    #[error("line {line}: expected ACCOUNT,NAME: {why}")]
    Form {
        /// Which line, from 1.
        line: u64,
        /// Why.
        why: String,
    },
    /// The first column is no account id.
    #[error("line {line}: \"{text}\" is no account id (32 hex digits)")]
    Account {
        /// Which line, from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
    /// An account has a line already.
    #[error("line {line}: the account has a name already")]
    Twice {
        /// Which line, from 1.
        line: u64,
    },
}

impl Names {
    /// Reads lines `ACCOUNT,NAME` (CSV, no head line; account ids in hex).
    ///
    /// # Errors
    /// Names the first line that cannot be used.
    pub fn read(text: &[u8]) -> Result<Self, NamesError> {
        let mut names = BTreeMap::new();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text);
        for (number, record) in (1_u64..).zip(reader.records()) {
            let form = |why: String| NamesError::Form { line: number, why };
            let record = record.map_err(|e| form(e.to_string()))?;
            let (Some(account), Some(name), None) = (record.get(0), record.get(1), record.get(2)) else {
                return Err(form(format!("{} columns", record.len())));
            };
            let account = account.trim().parse::<AccountId>().map_err(|_| NamesError::Account {
                line: number,
                text: account.chars().take(64).collect(),
            })?;
            let name = name.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
            if names.insert(account, name.take(MAX_NAME_CHARS).collect()).is_some() {
                return Err(NamesError::Twice { line: number });
            }
        }
        Ok(Self(names))
    }

    /// Reads a file; see [`Names::read`].
    ///
    /// # Errors
    /// When it cannot be read, is too long, or a line cannot be used.
    pub fn read_file(path: &Path) -> Result<Self, NamesError> {
        let failed = |e: std::io::Error| NamesError::Read { why: e.to_string() };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        let read = file.take(MAX_NAMES_BYTES.saturating_add(1)).read_to_end(&mut text).map_err(failed)?;
        if read as u64 > MAX_NAMES_BYTES {
            return Err(NamesError::TooLong);
        }
        Self::read(&text)
    }

    pub(super) fn of(&self, account: &AccountId) -> Option<String> {
        self.0.get(account).cloned()
    }
}
