//! Where the secrets of a node are kept: plain files, files encrypted with age, or credentials of the service manager
//! (specs/ceremony.md §1, specs/store.md §1).
//!
//! What must hold: a key file is only ever added or removed, never changed; a form of a key is removed only after
//! another was written, synced and read back; a passphrase or a secret is never printed or logged, and its memory is
//! wiped. One passphrase opens `identity.age`; each key is encrypted to that identity, so a running node can add keys
//! without the passphrase, and another passphrase changes one file.

mod change;
pub mod command;
mod error;
mod files;
mod passphrase;
pub mod purpose;
pub mod ring;
#[cfg(test)]
mod tests;

pub use error::KeystoreError;
pub use passphrase::{MIN_PASSPHRASE_CHARS, Passphrase, PassphraseError, PassphraseSource};

use age::secrecy::ExposeSecret;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

/// The identity that the passphrase opens.
const IDENTITY: &str = "identity";
/// Ending of encrypted files.
const ENCRYPTED: &str = "age";
/// Longest key file of any form; a key takes below 400 bytes, so a longer file is another one.
const MAX_FILE_BYTES: u64 = 4_096;
/// Work of making a key from a passphrase: scrypt with N = 2^18, 256 MiB and about a second, as the age tool does; unit
/// tests do less.
pub(crate) const WORK: u8 = if cfg!(test) { 10 } else { 18 };
/// The most work that a file may ask for when it is read: what we write ourselves. A hostile file could ask for more
/// memory than a small machine has, or for hours.
pub(crate) const MAX_WORK: u8 = 18;
/// Environment variable in which the service manager names the folder of credentials.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Start of the names of our credentials, such as `weft.log`.
const CREDENTIAL_PREFIX: &str = "weft.";

/// How a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Given by the service manager.
    Credential,
    /// In a file that the passphrase opens.
    Encrypted,
    /// In a plain file, 0600.
    Plain,
}

/// The secrets of one node.
pub struct Keystore {
    folder: PathBuf,
    credentials: Option<PathBuf>,
    identity: Option<age::x25519::Identity>,
}

impl std::fmt::Debug for Keystore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.identity.is_some();
        f.debug_struct("Keystore").field("folder", &self.folder).field("open", &open).finish_non_exhaustive()
    }
}

impl Keystore {
    /// The secrets in a folder and in a folder of credentials. What is encrypted stays closed.
    pub fn closed(folder: impl Into<PathBuf>, credentials: Option<PathBuf>) -> Self {
        Self { folder: folder.into(), credentials, identity: None }
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted_path(IDENTITY).exists()
    }

    /// The same, opened with the passphrase. Nothing is changed on disk.
    ///
    /// # Errors
    /// A wrong passphrase, or an `identity.age` that is damaged or asks for too much work.
    pub fn open(mut self, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        let path = self.encrypted_path(IDENTITY);
        let bytes = files::read(&path)?;
        let mut lock = age::scrypt::Identity::new(passphrase.secret());
        lock.set_max_work_factor(MAX_WORK);
        // A passphrase that fails says no more than a stanza that was damaged.
        let text = files::decrypt_with(&lock, &bytes).map_err(|error| match error {
            age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
                KeystoreError::WrongPassphrase(path.clone())
            }
            other => files::damaged(&path, other),
        })?;
        let identity =
            std::str::from_utf8(&text).ok().and_then(|t| age::x25519::Identity::from_str(t.trim()).ok());
        let why =
            || KeystoreError::Damaged { path: path.clone(), why: "it holds no age identity".to_owned() };
        self.identity = Some(identity.ok_or_else(why)?);
        Ok(self)
    }

    /// Makes an encrypted store in an empty folder: from then on keys are written encrypted.
    ///
    /// # Errors
    /// When there is an identity already, or it cannot be written.
    pub fn make_encrypted(mut self, passphrase: &Passphrase) -> Result<Self, KeystoreError> {
        if self.is_encrypted() {
            return Err(KeystoreError::AlreadyEncrypted(self.folder.clone()));
        }
        let identity = age::x25519::Identity::generate();
        self.write_identity(&identity, passphrase)?;
        self.identity = Some(identity);
        Ok(self)
    }

    /// Reads one key. When it is kept in several forms they must agree.
    ///
    /// # Errors
    /// When it is nowhere, the store is closed, a file is no key, or two forms differ.
    pub fn read(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let mut found: Option<Zeroizing<[u8; 32]>> = None;
        for kept in self.forms(name) {
            let seed = self.read_form(name, kept)?;
            match &found {
                Some(first) if **first != *seed => return Err(self.differ(name)),
                Some(_) => {}
                None => found = Some(seed),
            }
        }
        found.ok_or_else(|| KeystoreError::Missing { name: name.to_owned(), folder: self.folder.clone() })
    }

    /// Whether a key is kept at all.
    pub fn has(&self, name: &str) -> bool {
        !self.forms(name).is_empty()
    }

    /// Adds a key: encrypted when the store is, else plain. It is on disk, and read back, when this returns.
    ///
    /// # Errors
    /// When there is one of this name, or it cannot be written.
    pub fn add(&self, name: &str, seed: &[u8; 32]) -> Result<(), KeystoreError> {
        if self.has(name) {
            return Err(KeystoreError::Exists(self.plain_path(name)));
        }
        let kept = if self.is_encrypted() { Kept::Encrypted } else { Kept::Plain };
        self.write_form(name, kept, seed)
    }

    /// How each key is kept, in order of name; a key in two forms stands twice.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn kept(&self) -> Result<Vec<(String, Kept)>, KeystoreError> {
        let mut kept = Vec::new();
        for name in files::names(&self.folder)? {
            match name.strip_suffix(".age") {
                Some(IDENTITY) => {}
                Some(name) => kept.push((name.to_owned(), Kept::Encrypted)),
                None => kept.push((name, Kept::Plain)),
            }
        }
        if let Some(folder) = &self.credentials {
            let given = files::names(folder)?;
            let ours = given.iter().filter_map(|name| name.strip_prefix(CREDENTIAL_PREFIX));
            let keys = ours.filter(|name| *name != passphrase::CREDENTIAL);
            kept.extend(keys.map(|name| (name.to_owned(), Kept::Credential)));
        }
        kept.retain(|(name, _)| name != crate::data::API_TOKEN);
        kept.sort();
        Ok(kept)
    }

    fn forms(&self, name: &str) -> Vec<Kept> {
        let all = [Kept::Credential, Kept::Encrypted, Kept::Plain];
        all.into_iter().filter(|kept| self.path(name, *kept).is_some_and(|path| path.exists())).collect()
    }

    fn path(&self, name: &str, kept: Kept) -> Option<PathBuf> {
        match kept {
            Kept::Credential => Some(self.credentials.as_ref()?.join(format!("{CREDENTIAL_PREFIX}{name}"))),
            Kept::Encrypted => Some(self.encrypted_path(name)),
            Kept::Plain => Some(self.plain_path(name)),
        }
    }

    fn plain_path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn encrypted_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ENCRYPTED}"))
    }

    fn read_form(&self, name: &str, kept: Kept) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let path = self.path(name, kept).unwrap_or_else(|| self.plain_path(name));
        let bytes = files::read(&path)?;
        match kept {
            Kept::Credential | Kept::Plain => seed_of(&path, &bytes),
            Kept::Encrypted => {
                let closed = || KeystoreError::NeedsPassphrase(self.folder.clone());
                let identity = self.identity.as_ref().ok_or_else(closed)?;
                seed_of(&path, &files::decrypt(&path, identity, &bytes)?)
            }
        }
    }

    /// Writes a form of a key that is not there yet, and reads it back.
    fn write_form(&self, name: &str, kept: Kept, seed: &[u8; 32]) -> Result<(), KeystoreError> {
        let text = Zeroizing::new(format!("{}\n", HEXLOWER.encode(seed)));
        match kept {
            Kept::Credential => {}
            Kept::Plain => files::write_new(&self.plain_path(name), text.as_bytes())?,
            Kept::Encrypted => {
                let closed = || KeystoreError::NeedsPassphrase(self.folder.clone());
                let identity = self.identity.as_ref().ok_or_else(closed)?;
                let path = self.encrypted_path(name);
                let bytes = files::encrypt(&path, &identity.to_public(), text.as_bytes())?;
                files::write_new(&path, &bytes)?;
            }
        }
        if *self.read_form(name, kept)? == *seed { Ok(()) } else { Err(self.differ(name)) }
    }

    /// Writes `identity.age` in place of the one before, and opens it to see that the passphrase does.
    fn write_identity(
        &self,
        identity: &age::x25519::Identity,
        passphrase: &Passphrase,
    ) -> Result<(), KeystoreError> {
        let path = self.encrypted_path(IDENTITY);
        let mut lock = age::scrypt::Recipient::new(passphrase.secret());
        lock.set_work_factor(WORK);
        let text = Zeroizing::new(format!("{}\n", identity.to_string().expose_secret()));
        let bytes = files::encrypt(&path, &lock, text.as_bytes())?;
        let mut key = age::scrypt::Identity::new(passphrase.secret());
        key.set_max_work_factor(MAX_WORK);
        if *files::decrypt(&path, &key, &bytes)? != *text.as_bytes() {
            let why = "what was encrypted does not decrypt to the same".to_owned();
            return Err(KeystoreError::Damaged { path, why });
        }
        files::replace(&path, &bytes)
    }

    fn differ(&self, name: &str) -> KeystoreError {
        KeystoreError::Differ { name: name.to_owned(), folder: self.folder.clone() }
    }
}

/// The folder of credentials that the service manager names.
pub fn credentials_folder() -> Option<PathBuf> {
    std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// The 32 bytes that a key file holds as text.
fn seed_of(path: &Path, text: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let mut seed = Zeroizing::new([0; 32]);
    let digits = text.trim_ascii();
    let fits = digits.len() == 2 * seed.len();
    let decoded = fits && HEXLOWER_PERMISSIVE.decode_mut(digits, seed.as_mut()).is_ok();
    if decoded { Ok(seed) } else { Err(KeystoreError::NotAKey(path.to_owned())) }
}
