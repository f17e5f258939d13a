//! Where other networks are reached, as they say it themselves, and whom the operator has shut out.
//!
//! Descriptors name addresses, so they are here, where they can be erased, and not in the ledger. What is lost is heard
//! again.

use super::{MAX_MEMO_BYTES, MAX_NAME_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_ms};
use rusqlite::{OptionalExtension, Row, params};
use std::collections::BTreeMap;
use weft_protocol::federation::descriptor::MAX_DESCRIPTOR_BYTES;
use weft_protocol::ids::LedgerId;

/// A descriptor as its network signed it, with what is looked for in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDescriptor {
    /// Whose.
    pub ledger: LedgerId,
    /// Its number.
    pub dseq: u64,
    /// Until when it is good.
    pub expires_ms: u64,
    /// The site name in it.
    pub site: String,
    /// The signed bytes.
    pub bytes: Vec<u8>,
}

/// A network that the operator has shut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whose.
    pub ledger: LedgerId,
    /// The operator's words.
    pub reason: String,
    /// Since when.
    pub since_ms: u64,
}

impl Private {
    /// Keeps a descriptor if its number is higher than that of the one kept; says whether it was.
    ///
    /// # Errors
    /// Over a cap, or SQLite's.
    pub fn put_descriptor(&self, new: &StoredDescriptor) -> Result<bool, PrivateError> {
        check_len("a descriptor", new.bytes.len(), MAX_DESCRIPTOR_BYTES)?;
        check_len("a site name", new.site.len(), MAX_NAME_BYTES)?;
        self.transact("write a descriptor", |db| {
            let written = db.execute(
                "INSERT INTO descriptors VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (ledger) DO UPDATE SET
                 dseq = excluded.dseq, expires_ms = excluded.expires_ms, site = excluded.site, bytes = excluded.bytes
                 WHERE excluded.dseq > dseq",
                params![new.ledger.0, to_sql_ms(new.dseq), to_sql_ms(new.expires_ms), new.site, new.bytes],
            )?;
            Ok(written > 0)
        })
    }

    /// The descriptor of a network, expired or not.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn descriptor(&self, ledger: &LedgerId) -> Result<Option<StoredDescriptor>, PrivateError> {
        self.with("read a descriptor", |db| {
            let mut select = db.prepare_cached("SELECT * FROM descriptors WHERE ledger = ?1")?;
            select.query_row([ledger.0], read).optional()
        })
    }

    /// The number of each descriptor that is good at a time.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn descriptor_numbers(&self, now_ms: u64) -> Result<BTreeMap<LedgerId, u64>, PrivateError> {
        self.with("list descriptors", |db| {
            let mut select =
                db.prepare_cached("SELECT ledger, dseq FROM descriptors WHERE expires_ms > ?1")?;
            let rows = select.query_map([to_sql_ms(now_ms)], |row| {
                Ok((row.get(0).map(LedgerId)?, from_sql_ms(row.get(1)?)))
            })?;
            rows.collect()
        })
    }

    /// Networks whose descriptor, good at a time, has this site name, in order of their ledgers.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn networks_called(&self, site: &str, now_ms: u64) -> Result<Vec<LedgerId>, PrivateError> {
        self.with("find a network", |db| {
            let mut select = db.prepare_cached(
                "SELECT ledger FROM descriptors WHERE site = ?1 AND expires_ms > ?2 ORDER BY ledger",
            )?;
            let rows = select.query_map(params![site, to_sql_ms(now_ms)], |row| row.get(0).map(LedgerId))?;
            rows.collect()
        })
    }

    /// Erases descriptors that have expired: their addresses are nobody's any more.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn forget_expired_descriptors(&self, now_ms: u64) -> Result<usize, PrivateError> {
        self.transact("erase descriptors", |db| {
            db.execute("DELETE FROM descriptors WHERE expires_ms <= ?1", [to_sql_ms(now_ms)])
        })
    }

    /// Shuts a network out.
    ///
    /// # Errors
    /// Over a cap, or SQLite's.
    pub fn put_ban(&self, ban: &Ban) -> Result<(), PrivateError> {
        check_len("a reason", ban.reason.len(), MAX_MEMO_BYTES)?;
        self.transact("write a ban", |db| {
            let row = params![ban.ledger.0, ban.reason, to_sql_ms(ban.since_ms)];
            db.execute("INSERT OR REPLACE INTO bans VALUES (?1, ?2, ?3)", row).map(|_| ())
        })
    }

    /// Lets a network in again; says whether it was shut out.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn lift_ban(&self, ledger: &LedgerId) -> Result<bool, PrivateError> {
        self.transact(
            "lift a ban",
            |db| Ok(db.execute("DELETE FROM bans WHERE ledger = ?1", [ledger.0])? > 0),
        )
    }

    /// Every network that is shut out.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn bans(&self) -> Result<Vec<Ban>, PrivateError> {
        self.with("list bans", |db| {
            let mut select = db.prepare_cached("SELECT * FROM bans ORDER BY ledger")?;
            let rows = select.query_map([], |row| {
                let since_ms = from_sql_ms(row.get(2)?);
                Ok(Ban { ledger: row.get(0).map(LedgerId)?, reason: row.get(1)?, since_ms })
            })?;
            rows.collect()
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredDescriptor> {
    Ok(StoredDescriptor {
        ledger: row.get(0).map(LedgerId)?,
        dseq: from_sql_ms(row.get(1)?),
        expires_ms: from_sql_ms(row.get(2)?),
        site: row.get(3)?,
        bytes: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(n: u8, dseq: u64, site: &str) -> StoredDescriptor {
        StoredDescriptor {
            ledger: LedgerId([n; 32]),
            dseq,
            expires_ms: 1_000 + dseq,
            site: site.to_owned(),
            bytes: vec![n, 1],
        }
    }

    #[test]
    fn the_descriptor_with_the_highest_number_is_kept_and_found_by_its_site_name_until_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        assert!(private.put_descriptor(&descriptor(1, 5, "hull")).unwrap());
        assert!(!private.put_descriptor(&descriptor(1, 4, "old")).unwrap());
        assert!(!private.put_descriptor(&descriptor(1, 5, "same")).unwrap());
        assert!(private.put_descriptor(&descriptor(2, 9, "hull")).unwrap());
        let both = [LedgerId([1; 32]), LedgerId([2; 32])];
        assert_eq!(private.networks_called("hull", 0).unwrap(), both);
        assert_eq!(private.networks_called("hull", 1_006).unwrap(), both[1..]);
        assert_eq!(private.descriptor_numbers(0).unwrap(), BTreeMap::from([(both[0], 5), (both[1], 9)]));
        assert_eq!(private.forget_expired_descriptors(1_005).unwrap(), 1);
        assert_eq!(private.descriptor(&both[0]).unwrap(), None);
        assert_eq!(private.descriptor(&both[1]).unwrap(), Some(descriptor(2, 9, "hull")));
    }

    #[test]
    fn a_ban_stands_until_it_is_lifted() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let ban = Ban { ledger: LedgerId([1; 32]), reason: "spam".to_owned(), since_ms: 7 };
        private.put_ban(&ban).unwrap();
        assert_eq!(private.bans().unwrap(), std::slice::from_ref(&ban));
        assert!(private.lift_ban(&ban.ledger).unwrap());
        assert!(!private.lift_ban(&ban.ledger).unwrap());
    }
}
