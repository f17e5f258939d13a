//! Settings: what this node was told through its pages and commands.

use super::{MAX_SETTING_BYTES, MAX_SETTING_KEY_BYTES, Private, PrivateError, check_len};
use rusqlite::{OptionalExtension, params};

impl Private {
    /// Writes a setting.
    ///
    /// # Errors
    /// [`PrivateError::TooLong`], or SQLite's.
    pub fn set_setting(&self, key: &str, value: &[u8]) -> Result<(), PrivateError> {
        check_len("the key of a setting", key.len(), MAX_SETTING_KEY_BYTES)?;
        check_len("a setting", value.len(), MAX_SETTING_BYTES)?;
        self.transact("write a setting", |db| {
            db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", params![key, value])?;
            Ok(())
        })
    }

    /// Reads a setting.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn setting(&self, key: &str) -> Result<Option<Vec<u8>>, PrivateError> {
        self.with("read a setting", |db| {
            db.query_row("SELECT value FROM settings WHERE key = ?1", [key], |row| row.get(0)).optional()
        })
    }

    /// Deletes a setting; says whether it was there.
    ///
    /// # Errors
    /// [`PrivateError::Sqlite`].
    pub fn delete_setting(&self, key: &str) -> Result<bool, PrivateError> {
        self.transact("delete a setting", |db| {
            Ok(db.execute("DELETE FROM settings WHERE key = ?1", [key])? > 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_written_replaced_and_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private::open(dir.path()).unwrap();
        assert_eq!(private.setting("language").unwrap(), None);
        private.set_setting("language", b"nl").unwrap();
        private.set_setting("language", b"en").unwrap();
        assert_eq!(private.setting("language").unwrap().as_deref(), Some(&b"en"[..]));
        assert!(private.delete_setting("language").unwrap());
        assert!(!private.delete_setting("language").unwrap());
        assert!(private.set_setting(&"k".repeat(129), b"").is_err());
    }
}
