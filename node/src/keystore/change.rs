//! Changing how keys are kept, while no node uses them: encrypt, decrypt, another passphrase, a copy of one key.
//!
//! Each goes forward from wherever a crash left it: the same command again ends what was begun.

use super::{IDENTITY, Kept, Keystore, KeystoreError, Passphrase, files};
use std::collections::BTreeSet;
use std::path::Path;

impl Keystore {
    /// Encrypts every plain key. The identity is written first, then each key beside its plain file and read back;
    /// only when all are there are the plain files removed. An interrupted run is ended by the next, which needs the
    /// same passphrase.
    ///
    /// Gives the names of the keys that were encrypted.
    ///
    /// # Errors
    /// When everything is encrypted already, the passphrase is not that of an interrupted run, two forms of a key
    /// differ, or a file cannot be written. Every key is still readable then.
    pub fn encrypt(self, passphrase: &Passphrase) -> Result<Vec<String>, KeystoreError> {
        let plain = self.names(Kept::Plain)?;
        let store = match (self.is_encrypted(), plain.is_empty()) {
            (true, true) => return Err(KeystoreError::AlreadyEncrypted(self.folder)),
            (true, false) => self.open(passphrase)?,
            (false, _) => self.make_encrypted(passphrase)?,
        };
        store.copy_all(&plain, Kept::Plain, Kept::Encrypted)?;
        plain.iter().try_for_each(|name| files::wipe(&store.plain_path(name)))?;
        Ok(plain)
    }

    /// Decrypts every key, as [`Keystore::encrypt`] the other way round; the identity goes last.
    ///
    /// # Errors
    /// When nothing is encrypted, the passphrase is wrong, two forms of a key differ, or a file cannot be written.
    pub fn decrypt(self, passphrase: &Passphrase) -> Result<Vec<String>, KeystoreError> {
        if !self.is_encrypted() {
            return Err(KeystoreError::NotEncrypted(self.folder));
        }
        let store = self.open(passphrase)?;
        let encrypted = store.names(Kept::Encrypted)?;
        store.copy_all(&encrypted, Kept::Encrypted, Kept::Plain)?;
        for name in encrypted.iter().map(String::as_str).chain([IDENTITY]) {
            files::wipe(&store.encrypted_path(name))?;
        }
        Ok(encrypted)
    }

    /// Gives the identity another passphrase. Copies of the old `identity.age` still open with the old one.
    ///
    /// # Errors
    /// When nothing is encrypted, the old passphrase is wrong, or the file cannot be written.
    pub fn change_passphrase(self, old: &Passphrase, new: &Passphrase) -> Result<(), KeystoreError> {
        if !self.is_encrypted() {
            return Err(KeystoreError::NotEncrypted(self.folder));
        }
        let store = self.open(old)?;
        let identity = store.identity.as_ref().ok_or(KeystoreError::NotEncrypted(store.folder.clone()))?;
        store.write_identity(identity, new)
    }

    /// Writes one key as a plain key file elsewhere, for a person to carry away.
    ///
    /// # Errors
    /// When there is no such key, the store is closed, or the file exists.
    pub fn export(&self, name: &str, to: &Path) -> Result<(), KeystoreError> {
        let seed = self.read(name)?;
        let text = zeroize::Zeroizing::new(format!("{}\n", data_encoding::HEXLOWER.encode(&*seed)));
        files::write_new(to, text.as_bytes())
    }

    fn names(&self, form: Kept) -> Result<Vec<String>, KeystoreError> {
        let kept = self.kept()?;
        let names: BTreeSet<String> =
            kept.into_iter().filter(|(_, kept)| *kept == form).map(|(n, _)| n).collect();
        Ok(names.into_iter().collect())
    }

    /// Makes sure that each key is also there in another form, with the same content.
    fn copy_all(&self, names: &[String], from: Kept, to: Kept) -> Result<(), KeystoreError> {
        for name in names {
            let seed = self.read_form(name, from)?;
            let there = self.path(name, to).is_some_and(|path| path.exists());
            match there {
                true if *self.read_form(name, to)? == *seed => {}
                true => return Err(self.differ(name)),
                false => self.write_form(name, to, &seed)?,
            }
        }
        Ok(())
    }
}
