//! Whose connections are denied, why, and until when (specs/network.md 3.5, 3.6).
//!
//! It must outlast a start, or whoever makes the node start again would be let in; it is no proof of anything.

use super::{MAX_MEMO_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_ms};
use rusqlite::params;
use weft_protocol::ids::LedgerId;

/// Most that are kept; beyond it those shut out longest ago by the node itself go.
pub const MAX_SHUT_OUT: usize = 1_024;
/// Longest libp2p identity.
const MAX_PEER_BYTES: usize = 64;

/// Somebody whose connections are denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutOut {
    /// Its libp2p identity, as bytes.
    pub peer: Vec<u8>,
    /// The network behind it, if it was known.
    pub ledger: Option<LedgerId>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
    /// Until when; `None`: until the operator lets it in, who also shut it out.
    pub until_ms: Option<u64>,
}

impl Private {
    /// Keeps that somebody is shut out; gives whom there is no room for any more.
    ///
    /// # Errors
    /// Over a cap, or SQLite's.
    pub fn put_shut_out(&self, new: &ShutOut) -> Result<Vec<ShutOut>, PrivateError> {
        check_len("a reason", new.reason.len(), MAX_MEMO_BYTES)?;
        check_len("a libp2p identity", new.peer.len(), MAX_PEER_BYTES)?;
        self.transact("shut somebody out", |db| {
            let row = params![
                new.peer,
                new.ledger.map(|ledger| ledger.0),
                new.reason,
                to_sql_ms(new.since_ms),
                new.until_ms.map(to_sql_ms)
            ];
            db.execute("INSERT OR REPLACE INTO shut_out VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
            let mut delete = db.prepare(
                "DELETE FROM shut_out WHERE peer IN (SELECT peer FROM shut_out WHERE until_ms IS NOT NULL
                 ORDER BY since_ms DESC, peer LIMIT -1 OFFSET ?1) RETURNING *",
            )?;
            let gone = delete.query_map([MAX_SHUT_OUT as i64], read)?;
            gone.collect()
        })
    }

    /// Everybody who is shut out, latest first.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn shut_outs(&self) -> Result<Vec<ShutOut>, PrivateError> {
        self.with("list who is shut out", |db| {
            let mut select = db.prepare_cached("SELECT * FROM shut_out ORDER BY since_ms DESC, peer")?;
            let rows = select.query_map([], read)?;
            rows.collect()
        })
    }

    /// Lets somebody in again; says whether it was shut out.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn let_in(&self, peer: &[u8]) -> Result<bool, PrivateError> {
        self.transact("let somebody in", |db| {
            Ok(db.execute("DELETE FROM shut_out WHERE peer = ?1", [peer])? > 0)
        })
    }

    /// Lets in whose time is over, and gives who that is.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn let_in_at(&self, now_ms: u64) -> Result<Vec<ShutOut>, PrivateError> {
        self.transact("let in whose time is over", |db| {
            let mut delete = db.prepare("DELETE FROM shut_out WHERE until_ms <= ?1 RETURNING *")?;
            let gone = delete.query_map([to_sql_ms(now_ms)], read)?;
            gone.collect()
        })
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<ShutOut> {
    Ok(ShutOut {
        peer: row.get(0)?,
        ledger: row.get::<_, Option<[u8; 32]>>(1)?.map(LedgerId),
        reason: row.get(2)?,
        since_ms: from_sql_ms(row.get(3)?),
        until_ms: row.get::<_, Option<i64>>(4)?.map(from_sql_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shut_out(n: u32, until_ms: Option<u64>) -> ShutOut {
        let ledger = n.is_multiple_of(2).then_some(LedgerId([7; 32]));
        let peer = n.to_be_bytes().to_vec();
        ShutOut { peer, ledger, reason: "it sent garbage".to_owned(), since_ms: u64::from(n), until_ms }
    }

    #[test]
    fn who_is_shut_out_stays_so_over_a_start_until_its_time_is_over_or_somebody_lets_it_in() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, third) = (shut_out(1, Some(50)), shut_out(2, Some(60)), shut_out(3, None));
        {
            let private = Private::open(dir.path()).unwrap();
            for one in [&first, &second, &third] {
                assert_eq!(private.put_shut_out(one).unwrap(), []);
            }
        }
        let private = Private::open(dir.path()).unwrap();
        assert_eq!(private.shut_outs().unwrap(), [third.clone(), second.clone(), first.clone()]);
        assert_eq!(private.let_in_at(49).unwrap(), []);
        assert_eq!(private.let_in_at(50).unwrap(), [first]);
        assert!(private.let_in(&second.peer).unwrap());
        assert!(!private.let_in(&second.peer).unwrap());
        assert_eq!(private.let_in_at(u64::MAX / 2).unwrap(), [], "the operator alone lets this one in");
        assert_eq!(private.shut_outs().unwrap(), [third]);
    }

    #[test]
    fn whom_the_operator_shut_out_is_never_pushed_out_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        private.put_shut_out(&shut_out(0, None)).unwrap();
        let most = u32::try_from(MAX_SHUT_OUT).unwrap();
        for n in 1..=most {
            assert_eq!(private.put_shut_out(&shut_out(n, Some(9_999_999))).unwrap(), []);
        }
        let gone = private.put_shut_out(&shut_out(most + 1, Some(9_999_999))).unwrap();
        assert_eq!(gone, [shut_out(1, Some(9_999_999))]);
        assert_eq!(private.shut_outs().unwrap().len(), MAX_SHUT_OUT + 1);
        assert!(private.let_in(&0_u32.to_be_bytes()).unwrap());
    }
}
