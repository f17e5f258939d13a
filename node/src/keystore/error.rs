//! Why the secrets of a node cannot be read or changed, in words for its operator.

use super::{MAX_FILE_BYTES, MAX_WORK, PassphraseError};
use std::path::PathBuf;

/// See the module. None of them leaves a key lost or half written.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file system.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The store is encrypted and no passphrase was given.
    #[error(
        "the keys in {0} are encrypted: start at a terminal, or name a file that holds the passphrase with \
         --passphrase-file or $WEFT_PASSPHRASE_FILE, or give the credential weft.passphrase"
    )]
    NeedsPassphrase(PathBuf),
    /// It does not open the identity.
    #[error("this is not the passphrase of {0} (or the file is damaged); nothing was changed. Try again")]
    WrongPassphrase(PathBuf),
    /// A file that would keep this machine busy or fill its memory.
    #[error(
        "{path} asks for scrypt work 2^{required} to open it; at most 2^{MAX_WORK} is done. A node never writes such a \
         file: take the file from your copy"
    )]
    TooMuchWork {
        /// Which file.
        path: PathBuf,
        /// The exponent.
        required: u8,
    },
    /// An encrypted file that does not open.
    #[error("{path} is damaged or belongs to another keystore ({why}): take it from your copy of the keys")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file of another kind.
    #[error("{0} is not a key file: 64 hex digits")]
    NotAKey(PathBuf),
    /// A file far longer than any key.
    #[error("{0} is not a key file: it is longer than {MAX_FILE_BYTES} bytes")]
    TooLong(PathBuf),
    /// Nowhere.
    #[error("there is no key \"{name}\" in {folder} or among the credentials: put it back from your copy")]
    Missing {
        /// Which.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A new key under a name that is taken.
    #[error("{0} exists; a key is never overwritten")]
    Exists(PathBuf),
    /// The same key in two forms, with other contents.
    #[error(
        "the key \"{name}\" is kept in two forms in {folder} or among the credentials, and they differ: take away the \
         one that is not this node's; nothing was changed"
    )]
    Differ {
        /// Which.
        name: String,
        /// Where.
        folder: PathBuf,
    },
    /// Nothing to encrypt.
    #[error("the keys in {0} are encrypted already; `weftd keys passphrase` changes the passphrase")]
    AlreadyEncrypted(PathBuf),
    /// Nothing to decrypt.
    #[error("the keys in {0} are not encrypted")]
    NotEncrypted(PathBuf),
    /// No passphrase could be had.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}
