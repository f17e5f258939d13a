//! Sidecars: the contents that entries name by commitment only, in the clear (ours) or sealed (in transit).
//!
//! What must hold: a group is written in one transaction before its entries; a sidecar that no longer has its
//! commitment is never handed out.

use super::{MAX_SEALED_BYTES, MAX_SIDECAR_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_ms};
use rusqlite::{OptionalExtension, Row, params};
use weft_protocol::ids::{AccountId, ClaimId, Hash};
use zeroize::Zeroize;

/// Context of a sidecar's commitment: `SHA-256(context ‖ salt ‖ bytes)`.
pub const SIDECAR_CONTEXT: &str = "WEFT-SIDECAR/1\n";

/// Fresh random bytes that hide a sidecar behind its commitment; once destroyed, the commitment shows nothing.
pub type SidecarSalt = [u8; 32];

/// A content and what it is named by. The commitment always fits.
#[derive(Clone, PartialEq, Eq)]
pub struct Sidecar {
    commitment: Hash,
    salt: SidecarSalt,
    bytes: Vec<u8>,
    account: Option<AccountId>,
    created_ms: u64,
}

/// Texts about people do not belong into logs.
impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("commitment", &self.commitment).finish_non_exhaustive()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.salt.zeroize();
        self.bytes.zeroize();
    }
}

impl Sidecar {
    /// A content of at most [`MAX_SIDECAR_BYTES`], about `account` if it is about one.
    ///
    /// # Errors
    /// [`PrivateError::TooLong`].
    pub fn new(
        salt: SidecarSalt,
        bytes: Vec<u8>,
        account: Option<AccountId>,
        created_ms: u64,
    ) -> Result<Self, PrivateError> {
        check_len("a sidecar", bytes.len(), MAX_SIDECAR_BYTES)?;
        let commitment = Hash::of(SIDECAR_CONTEXT, &[&salt, &bytes]);
        Ok(Self { commitment, salt, bytes, account, created_ms })
    }

    /// What entries name it by.
    pub fn commitment(&self) -> Hash {
        self.commitment
    }

    /// The salt: together with the bytes it opens the commitment.
    pub fn salt(&self) -> &SidecarSalt {
        &self.salt
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whom it is about; it is erased with this account.
    pub fn account(&self) -> Option<AccountId> {
        self.account
    }

    /// When it was made, in ms since 1970.
    pub fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<(Hash, Self)> {
        let (salt, bytes): (SidecarSalt, Vec<u8>) = (row.get(1)?, row.get(2)?);
        let stored = Hash(row.get(0)?);
        let account = row.get::<_, Option<[u8; 16]>>(3)?.map(AccountId);
        let commitment = Hash::of(SIDECAR_CONTEXT, &[&salt, &bytes]);
        Ok((stored, Self { commitment, salt, bytes, account, created_ms: from_sql_ms(row.get(4)?) }))
    }
}

/// Which way a sealed sidecar travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a peer.
    In,
    /// To a peer.
    Out,
}

/// A sidecar sealed to one network, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSidecar {
    /// The commitment that the claim names.
    pub commitment: Hash,
    /// The sealed bytes, exactly as on the wire.
    pub envelope: Vec<u8>,
    /// Which way it travels.
    pub direction: Direction,
    /// The claim it belongs to.
    pub claim: ClaimId,
}

impl SealedSidecar {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            commitment: Hash(row.get(0)?),
            envelope: row.get(1)?,
            direction: if row.get(2)? { Direction::Out } else { Direction::In },
            claim: ClaimId(row.get(3)?),
        })
    }
}

impl Private {
    /// Stores all sidecars of a group, durably, in one transaction. Storing one again changes nothing.
    ///
    /// # Errors
    /// [`PrivateError`]; then none of them is stored.
    pub fn put_sidecars(&self, clear: &[Sidecar], sealed: &[SealedSidecar]) -> Result<(), PrivateError> {
        if clear.is_empty() && sealed.is_empty() {
            return Ok(());
        }
        for one in sealed {
            check_len("a sealed sidecar", one.envelope.len(), MAX_SEALED_BYTES)?;
        }
        self.transact("store sidecars", |db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO sidecars VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (commitment) DO NOTHING",
            )?;
            for one in clear {
                let account = one.account.map(|account| account.0);
                insert.execute(params![
                    one.commitment.0,
                    one.salt,
                    one.bytes,
                    account,
                    to_sql_ms(one.created_ms)
                ])?;
            }
            let mut insert = db.prepare_cached(
                "INSERT INTO sealed_sidecars VALUES (?1, ?2, ?3, ?4) ON CONFLICT (commitment) DO NOTHING",
            )?;
            for one in sealed {
                let outward = one.direction == Direction::Out;
                insert.execute(params![one.commitment.0, one.envelope, outward, one.claim.0])?;
            }
            Ok(())
        })
    }

    /// The sidecar with this commitment, `None` if there is none (any more).
    ///
    /// # Errors
    /// [`PrivateError::Damaged`] when what is stored no longer has the commitment.
    pub fn sidecar(&self, commitment: &Hash) -> Result<Option<Sidecar>, PrivateError> {
        let found = self.with("read a sidecar", |db| {
            let mut select = db.prepare_cached("SELECT * FROM sidecars WHERE commitment = ?1")?;
            select.query_row([commitment.0], Sidecar::read).optional()
        })?;
        match found {
            Some((stored, sidecar)) if stored != sidecar.commitment => {
                Err(PrivateError::Damaged { what: format!("sidecar {commitment}") })
            }
            found => Ok(found.map(|(_, sidecar)| sidecar)),
        }
    }

    /// Erases one sidecar with its salt; says whether it was there.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn delete_sidecar(&self, commitment: &Hash) -> Result<bool, PrivateError> {
        self.transact("erase a sidecar", |db| {
            Ok(db.execute("DELETE FROM sidecars WHERE commitment = ?1", [commitment.0])? > 0)
        })
    }

    /// Deletes sidecars made before `before_ms` whose commitment `is_named` does not know: a crash came between
    /// them and their entries. Says how many. `is_named` must not call this store.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn sweep_orphans(
        &self,
        before_ms: u64,
        is_named: &mut dyn FnMut(&Hash) -> bool,
    ) -> Result<u64, PrivateError> {
        self.transact("sweep orphan sidecars", |db| {
            let mut select = db.prepare("SELECT commitment FROM sidecars WHERE created_ms < ?1")?;
            let old = select.query_map([to_sql_ms(before_ms)], |row| row.get(0).map(Hash))?;
            let mut orphans = Vec::new();
            for commitment in old {
                let commitment = commitment?;
                if !is_named(&commitment) {
                    orphans.push(commitment);
                }
            }
            let mut delete = db.prepare("DELETE FROM sidecars WHERE commitment = ?1")?;
            for commitment in &orphans {
                delete.execute([commitment.0])?;
            }
            Ok(orphans.len() as u64)
        })
    }

    /// The sealed sidecar with this commitment.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn sealed_sidecar(&self, commitment: &Hash) -> Result<Option<SealedSidecar>, PrivateError> {
        self.with("read a sealed sidecar", |db| {
            let mut select = db.prepare_cached("SELECT * FROM sealed_sidecars WHERE commitment = ?1")?;
            select.query_row([commitment.0], SealedSidecar::read).optional()
        })
    }

    /// The sealed sidecars of a claim.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn sealed_of_claim(&self, claim: &ClaimId) -> Result<Vec<SealedSidecar>, PrivateError> {
        self.with("read sealed sidecars", |db| {
            let mut select =
                db.prepare_cached("SELECT * FROM sealed_sidecars WHERE claim = ?1 ORDER BY commitment")?;
            select.query_map([claim.0], SealedSidecar::read)?.collect()
        })
    }

    /// Forgets the sealed sidecars of a claim that is closed; says how many there were.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn delete_sealed_of_claim(&self, claim: &ClaimId) -> Result<u64, PrivateError> {
        self.transact("forget sealed sidecars", |db| {
            Ok(db.execute("DELETE FROM sealed_sidecars WHERE claim = ?1", [claim.0])? as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar(n: u8, created_ms: u64) -> Sidecar {
        Sidecar::new([n; 32], vec![n; 40], Some(AccountId([n; 16])), created_ms).unwrap()
    }

    fn sealed(n: u8) -> SealedSidecar {
        let claim = ClaimId([9; 32]);
        SealedSidecar { commitment: Hash([n; 32]), envelope: vec![n; 512], direction: Direction::Out, claim }
    }

    #[test]
    fn a_group_is_stored_as_a_whole_and_twice_is_once() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let group = [sidecar(1, 5), sidecar(2, 6)];
        for _ in 0..2 {
            private.put_sidecars(&group, &[sealed(3)]).unwrap();
        }
        drop(private);
        let private = Private::open(dir.path()).unwrap();
        for one in &group {
            assert_eq!(private.sidecar(&one.commitment()).unwrap().as_ref(), Some(one));
        }
        assert_eq!(private.sealed_sidecar(&Hash([3; 32])).unwrap(), Some(sealed(3)));
        assert_eq!(private.sealed_of_claim(&ClaimId([9; 32])).unwrap(), [sealed(3)]);
        assert_eq!(private.delete_sealed_of_claim(&ClaimId([9; 32])).unwrap(), 1);
        assert!(private.delete_sidecar(&group[0].commitment()).unwrap());
        assert_eq!(private.sidecar(&group[0].commitment()).unwrap(), None);
    }

    #[test]
    fn a_group_with_a_sidecar_over_the_cap_stores_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let one = sidecar(1, 5);
        let long = SealedSidecar { envelope: vec![0; MAX_SEALED_BYTES + 1], ..sealed(3) };
        let error = private.put_sidecars(std::slice::from_ref(&one), &[sealed(2), long]).unwrap_err();
        assert_eq!(error.to_string(), "a sealed sidecar has 16385 bytes, at most 16384 are allowed");
        assert_eq!(private.sidecar(&one.commitment()).unwrap(), None);
        assert!(Sidecar::new([0; 32], vec![0; MAX_SIDECAR_BYTES + 1], None, 0).is_err());
    }

    #[test]
    fn a_damaged_sidecar_is_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let one = sidecar(1, 5);
        private.put_sidecars(std::slice::from_ref(&one), &[]).unwrap();
        private.with("damage", |db| db.execute("UPDATE sidecars SET bytes = x'00'", [])).unwrap();
        assert!(matches!(private.sidecar(&one.commitment()), Err(PrivateError::Damaged { .. })));
    }

    #[test]
    fn only_old_sidecars_that_no_entry_names_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let (named, orphan, young) = (sidecar(1, 5), sidecar(2, 5), sidecar(3, 10));
        private.put_sidecars(&[named.clone(), orphan.clone(), young.clone()], &[]).unwrap();
        let swept = private.sweep_orphans(10, &mut |commitment| *commitment == named.commitment()).unwrap();
        assert_eq!(swept, 1);
        assert!(private.sidecar(&named.commitment()).unwrap().is_some());
        assert!(private.sidecar(&orphan.commitment()).unwrap().is_none());
        assert!(private.sidecar(&young.commitment()).unwrap().is_some());
    }
}
