//! Proposals about invoices between members, with what members have said (specs/netting.md 6.6 to 6.11).
//!
//! What must hold: a word that was taken is durable. Who owes whom is nobody else's business, so it is kept here and nowhere
//! else, and forgotten [`KEPT_MS`] after members were last asked.

use super::{Private, PrivateError, check_len, to_sql_ms};
use rusqlite::{OptionalExtension, params};
use weft_protocol::ids::Hash;

/// Proposals that are kept.
pub const MAX_PROPOSALS: u64 = 64;
/// Largest proposal: 5,000 invoices with all words.
pub const MAX_PROPOSAL_BYTES: usize = 1_024 * 1_024;
/// How long one is kept after its time is over: until its payments are made and its invoices marked as paid.
const KEPT_MS: u64 = 90 * 86_400_000;

impl Private {
    /// Keeps a proposal as it stands now. `false` when there are as many as may be, and it is not one of them.
    ///
    /// # Errors
    /// Over a cap, or SQLite's.
    pub fn put_proposal(
        &self,
        id: &Hash,
        until_ms: u64,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<bool, PrivateError> {
        check_len("a proposal", bytes.len(), MAX_PROPOSAL_BYTES)?;
        self.transact("keep a proposal", |db| {
            let before = to_sql_ms(now_ms.saturating_sub(KEPT_MS));
            db.execute("DELETE FROM proposals WHERE until_ms < ?1", [before])?;
            let others: i64 =
                db.query_row("SELECT count(*) FROM proposals WHERE id <> ?1", [id.0], |row| row.get(0))?;
            if u64::try_from(others).unwrap_or_default() >= MAX_PROPOSALS {
                return Ok(false);
            }
            let row = params![id.0, to_sql_ms(until_ms), bytes];
            db.execute("INSERT OR REPLACE INTO proposals VALUES (?1, ?2, ?3)", row).map(|_| true)
        })
    }

    /// A proposal.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn proposal(&self, id: &Hash) -> Result<Option<Vec<u8>>, PrivateError> {
        self.with("read a proposal", |db| {
            db.query_row("SELECT bytes FROM proposals WHERE id = ?1", [id.0], |row| row.get(0)).optional()
        })
    }

    /// All proposals, the latest first.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn proposals(&self) -> Result<Vec<Vec<u8>>, PrivateError> {
        self.with("list proposals", |db| {
            let mut select = db.prepare_cached("SELECT bytes FROM proposals ORDER BY until_ms DESC, id")?;
            let rows = select.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_replaced_and_forgotten_in_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let (one, other) = (Hash([1; 32]), Hash([2; 32]));
        assert!(private.put_proposal(&one, 10, b"asked", 5).unwrap());
        assert!(private.put_proposal(&one, 10, b"agreed", 6).unwrap());
        assert!(private.put_proposal(&other, 20, b"other", 7).unwrap());
        assert_eq!(private.proposal(&one).unwrap().as_deref(), Some(&b"agreed"[..]));
        assert_eq!(private.proposals().unwrap(), [b"other".to_vec(), b"agreed".to_vec()]);
        assert!(private.put_proposal(&other, 20, b"booked", 11 + KEPT_MS).unwrap());
        assert_eq!(private.proposals().unwrap(), [b"booked".to_vec()]);
        for n in 0..MAX_PROPOSALS {
            let more = Hash([u8::try_from(n).unwrap() + 10; 32]);
            assert_eq!(private.put_proposal(&more, 30 + KEPT_MS, b"x", 30).unwrap(), n + 1 < MAX_PROPOSALS);
        }
        assert!(private.put_proposal(&other, 20, &vec![0; MAX_PROPOSAL_BYTES + 1], 30).is_err());
    }
}
