//! Invitations to pair: one-use tokens, of which only the hash is kept.

use super::{MAX_INVITATION_BYTES, Private, PrivateError, check_len, from_sql_ms, to_sql_ms};
use rusqlite::{OptionalExtension, params};
use weft_protocol::ids::Hash;

/// An invitation given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Hash of the token; the token itself is with the invited.
    pub token_hash: Hash,
    /// What it offers, as its maker wrote it.
    pub bytes: Vec<u8>,
    /// From when on it is void, in ms since 1970.
    pub expires_ms: u64,
    /// Whether somebody has used it.
    pub used: bool,
}

/// What became of an attempt to use an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationUse {
    /// It was open and is used now; nobody else can use it.
    Opened(Invitation),
    /// It was used before. The same guest may ask again; the caller knows whether it is the same.
    AlreadyUsed(Invitation),
    /// It is too late.
    Expired,
    /// There is no such token.
    Unknown,
}

impl Private {
    /// Writes a new invitation; one with the same token hash stays as it is.
    ///
    /// # Errors
    /// [`PrivateError::TooLong`], or SQLite's.
    pub fn add_invitation(&self, invitation: &Invitation) -> Result<(), PrivateError> {
        check_len("an invitation", invitation.bytes.len(), MAX_INVITATION_BYTES)?;
        self.transact("write an invitation", |db| {
            db.execute(
                "INSERT INTO invitations VALUES (?1, ?2, ?3, ?4) ON CONFLICT (token_hash) DO NOTHING",
                params![
                    invitation.token_hash.0,
                    invitation.bytes,
                    to_sql_ms(invitation.expires_ms),
                    invitation.used
                ],
            )?;
            Ok(())
        })
    }

    /// Looks at an invitation without using it.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn invitation(&self, token_hash: &Hash) -> Result<Option<Invitation>, PrivateError> {
        self.with("read an invitation", |db| find(db, token_hash))
    }

    /// Uses an invitation: looks and marks in one step, so that of two at once only one gets it.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn use_invitation(&self, token_hash: &Hash, now_ms: u64) -> Result<InvitationUse, PrivateError> {
        self.transact("use an invitation", |db| {
            Ok(match find(db, token_hash)? {
                None => InvitationUse::Unknown,
                Some(found) if found.used => InvitationUse::AlreadyUsed(found),
                Some(found) if found.expires_ms <= now_ms => InvitationUse::Expired,
                Some(mut found) => {
                    db.execute("UPDATE invitations SET used = 1 WHERE token_hash = ?1", [token_hash.0])?;
                    found.used = true;
                    InvitationUse::Opened(found)
                }
            })
        })
    }

    /// Deletes invitations, used or not, that expired before `before_ms`; says how many.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn sweep_invitations(&self, before_ms: u64) -> Result<u64, PrivateError> {
        self.transact("sweep invitations", |db| {
            Ok(db.execute("DELETE FROM invitations WHERE expires_ms < ?1", [to_sql_ms(before_ms)])? as u64)
        })
    }
}

fn find(db: &rusqlite::Connection, token_hash: &Hash) -> rusqlite::Result<Option<Invitation>> {
    let mut select =
        db.prepare_cached("SELECT bytes, expires_ms, used FROM invitations WHERE token_hash = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        let expires_ms = from_sql_ms(row.get(1)?);
        Ok(Invitation { token_hash: *token_hash, bytes: row.get(0)?, expires_ms, used: row.get(2)? })
    };
    select.query_row([token_hash.0], read).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_opens_once_and_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        let invite =
            |n: u8| Invitation { token_hash: Hash([n; 32]), bytes: vec![n], expires_ms: 100, used: false };
        private.add_invitation(&invite(1)).unwrap();
        private.add_invitation(&invite(2)).unwrap();
        let used = Invitation { used: true, ..invite(1) };
        assert_eq!(private.use_invitation(&Hash([1; 32]), 99).unwrap(), InvitationUse::Opened(used.clone()));
        private.add_invitation(&invite(1)).unwrap();
        assert_eq!(private.use_invitation(&Hash([1; 32]), 99).unwrap(), InvitationUse::AlreadyUsed(used));
        assert_eq!(private.use_invitation(&Hash([2; 32]), 100).unwrap(), InvitationUse::Expired);
        assert_eq!(private.invitation(&Hash([2; 32])).unwrap(), Some(invite(2)));
        assert_eq!(private.use_invitation(&Hash([3; 32]), 0).unwrap(), InvitationUse::Unknown);
        assert_eq!(private.sweep_invitations(101).unwrap(), 2);
    }
}
