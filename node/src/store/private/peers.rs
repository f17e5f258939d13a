//! What this node alone knows about its peers: what we call them here and where we last reached them.

use super::{MAX_ADDRESSES, MAX_LIST_ROWS, MAX_MEMO_BYTES, MAX_NAME_BYTES, Private, PrivateError, check_len};
use rusqlite::{Connection, OptionalExtension, params};
use weft_protocol::ids::LedgerId;

/// A peer as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPeer {
    /// The peer's ledger.
    pub ledger: LedgerId,
    /// The part after @ in `name@network`; no two peers share one.
    pub alias: String,
    /// Where to try, best first; at most [`MAX_ADDRESSES`].
    pub addresses: Vec<String>,
    /// The operator's own words.
    pub note: String,
}

impl Private {
    /// Writes a peer; everything about it is replaced.
    ///
    /// # Errors
    /// [`PrivateError::AliasTaken`] when another peer has the alias; over a cap; or SQLite's.
    pub fn put_peer(&self, peer: &LocalPeer) -> Result<(), PrivateError> {
        check_len("an alias", peer.alias.len(), MAX_NAME_BYTES)?;
        check_len("a note", peer.note.len(), MAX_MEMO_BYTES)?;
        if peer.addresses.len() > MAX_ADDRESSES {
            let count = peer.addresses.len();
            return Err(PrivateError::TooMany { what: "addresses", count, max: MAX_ADDRESSES });
        }
        for address in &peer.addresses {
            check_len("an address", address.len(), MAX_NAME_BYTES)?;
        }
        let written = self.transact("write a peer", |db| {
            let mut holder =
                db.prepare_cached("SELECT 1 FROM peers_local WHERE alias = ?1 AND ledger <> ?2")?;
            if holder.exists(params![peer.alias, peer.ledger.0])? {
                return Ok(false);
            }
            db.execute("DELETE FROM peers_local WHERE ledger = ?1", [peer.ledger.0])?;
            db.execute(
                "INSERT INTO peers_local VALUES (?1, ?2, ?3)",
                params![peer.ledger.0, peer.alias, peer.note],
            )?;
            let mut insert = db.prepare_cached("INSERT INTO peer_addresses VALUES (?1, ?2, ?3)")?;
            for (place, address) in (0_i64..).zip(&peer.addresses) {
                insert.execute(params![peer.ledger.0, place, address])?;
            }
            Ok(true)
        })?;
        if written { Ok(()) } else { Err(PrivateError::AliasTaken { alias: peer.alias.clone() }) }
    }

    /// A peer by its ledger.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn peer(&self, ledger: &LedgerId) -> Result<Option<LocalPeer>, PrivateError> {
        self.with("read a peer", |db| find(db, ledger))
    }

    /// A peer by what we call it.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn peer_by_alias(&self, alias: &str) -> Result<Option<LocalPeer>, PrivateError> {
        self.with("read a peer", |db| {
            let mut select = db.prepare_cached("SELECT ledger FROM peers_local WHERE alias = ?1")?;
            let ledger = select.query_row([alias], |row| row.get(0).map(LedgerId)).optional()?;
            ledger.map_or(Ok(None), |ledger| find(db, &ledger))
        })
    }

    /// All peers by alias; at most [`MAX_LIST_ROWS`].
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn peers(&self) -> Result<Vec<LocalPeer>, PrivateError> {
        self.with("list peers", |db| {
            let mut select = db.prepare_cached("SELECT ledger FROM peers_local ORDER BY alias")?;
            let ledgers = select.query_map([], |row| row.get(0).map(LedgerId))?;
            let ledgers = ledgers.take(MAX_LIST_ROWS).collect::<Result<Vec<_>, _>>()?;
            ledgers.iter().filter_map(|ledger| find(db, ledger).transpose()).collect()
        })
    }

    /// Forgets what we know about a peer; says whether it was there.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn delete_peer(&self, ledger: &LedgerId) -> Result<bool, PrivateError> {
        self.transact("forget a peer", |db| {
            Ok(db.execute("DELETE FROM peers_local WHERE ledger = ?1", [ledger.0])? > 0)
        })
    }
}

fn find(db: &Connection, ledger: &LedgerId) -> rusqlite::Result<Option<LocalPeer>> {
    let mut select = db.prepare_cached("SELECT alias, note FROM peers_local WHERE ledger = ?1")?;
    let names = select.query_row([ledger.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((alias, note)) = names else { return Ok(None) };
    let mut select =
        db.prepare_cached("SELECT address FROM peer_addresses WHERE ledger = ?1 ORDER BY place")?;
    let addresses = select.query_map([ledger.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Some(LocalPeer { ledger: *ledger, alias, addresses, note }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8, alias: &str, addresses: usize) -> LocalPeer {
        let addresses = (0..addresses).map(|n| format!("/ip4/192.0.2.{n}/tcp/4001")).collect();
        LocalPeer { ledger: LedgerId([n; 32]), alias: alias.to_owned(), addresses, note: String::new() }
    }

    #[test]
    fn a_peer_is_found_by_ledger_and_by_alias_and_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        private.put_peer(&peer(1, "riverside", 8)).unwrap();
        private.put_peer(&peer(1, "river", 2)).unwrap();
        private.put_peer(&peer(2, "hill", 0)).unwrap();
        assert_eq!(private.peer(&LedgerId([1; 32])).unwrap(), Some(peer(1, "river", 2)));
        assert_eq!(private.peer_by_alias("river").unwrap(), Some(peer(1, "river", 2)));
        assert_eq!(private.peer_by_alias("riverside").unwrap(), None);
        assert_eq!(private.peers().unwrap(), [peer(2, "hill", 0), peer(1, "river", 2)]);
        assert!(private.delete_peer(&LedgerId([1; 32])).unwrap());
        private.put_peer(&peer(1, "river", 0)).unwrap();
        assert_eq!(
            private.peer(&LedgerId([1; 32])).unwrap(),
            Some(peer(1, "river", 0)),
            "old addresses are gone"
        );
    }

    #[test]
    fn a_second_peer_of_the_same_name_needs_another_alias() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        private.put_peer(&peer(1, "river", 1)).unwrap();
        let error = private.put_peer(&peer(2, "river", 1)).unwrap_err();
        assert_eq!(error.to_string(), "another peer is already called \"river\"");
        assert_eq!(private.peer(&LedgerId([2; 32])).unwrap(), None);
        assert!(private.put_peer(&peer(2, "hill", 9)).is_err());
    }
}
