//! `weftd keys …` and the key options of `weftd init` and `weftd run`: what can be typed, and all of its texts.

use super::{Kept, Passphrase, PassphraseSource};
use crate::data::{DataDir, DataError};
use crate::keystore::KeystoreError;
use clap::{Args, Subcommand};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::SecretKey;
use weft_protocol::words::{WordsError, key_of};
use zeroize::Zeroizing;

/// How the keys of a node are kept.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Say how each key is kept, and what that means
    Status(Where),
    /// Encrypt the keys with a passphrase, which every later start needs
    Encrypt(Where),
    /// Write the keys as plain files again
    Decrypt(Where),
    /// Change the passphrase
    Passphrase {
        /// Which node
        #[command(flatten)]
        place: Where,
        /// A file whose first line is the new passphrase
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Write one key, such as root-1, as a plain key file elsewhere
    Export {
        /// Which node
        #[command(flatten)]
        place: Where,
        /// Which key
        name: String,
        /// The file to write; it must not exist
        file: PathBuf,
    },
}

/// Which node, and how its keys are opened.
#[derive(Debug, Args)]
pub struct Where {
    /// The data folder
    #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
    pub data: PathBuf,
    /// How its keys are opened
    #[command(flatten)]
    pub unlock: Unlock,
}

/// Where the passphrase of encrypted keys comes from.
#[derive(Debug, Args)]
pub struct Unlock {
    /// A file whose first line is the passphrase of the keys; without it the credential weft.passphrase, else a question
    #[arg(long, value_name = "FILE", env = "WEFT_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
}

impl Unlock {
    /// Where to look.
    pub fn source(&self) -> PassphraseSource {
        let credentials = super::credentials_folder();
        PassphraseSource::find(self.passphrase_file.clone(), credentials.as_deref())
    }
}

/// Does it, and gives what there is to say.
///
/// # Errors
/// Why nothing was done, in words.
pub fn run(command: KeysCommand) -> Result<String, String> {
    perform(command).map_err(|e| e.to_string())
}

fn perform(command: KeysCommand) -> Result<String, DataError> {
    match command {
        KeysCommand::Status(place) => {
            let data = DataDir::new(place.data);
            Ok(status(&data.key(""), &data.keystore().kept()?))
        }
        KeysCommand::Encrypt(place) => {
            let (data, source) = (DataDir::new(&place.data), place.unlock.source());
            let _lock = data.lock()?;
            let going_on = data.keystore().is_encrypted();
            let passphrase = if going_on { source.existing(ASK) } else { source.fresh() };
            let names = data.closed_keystore().encrypt(&passphrase.map_err(KeystoreError::from)?)?;
            Ok(encrypted(&names))
        }
        KeysCommand::Decrypt(place) => {
            let data = DataDir::new(&place.data);
            let _lock = data.lock()?;
            let names = data.closed_keystore().decrypt(&existing(&place.unlock)?)?;
            Ok(format!(
                "{} are plain files now, which only their owner may read.\n{}",
                names.join(", "),
                PLAIN
            ))
        }
        KeysCommand::Passphrase { place, new_passphrase_file } => {
            let data = DataDir::new(&place.data);
            let _lock = data.lock()?;
            let old = existing(&place.unlock)?;
            let new = PassphraseSource::find(new_passphrase_file, None);
            data.closed_keystore().change_passphrase(&old, &new.fresh().map_err(KeystoreError::from)?)?;
            Ok("The new passphrase opens the keys. Whoever has an old copy of identity.age can still open that copy with \
                the old one: destroy old copies."
                .to_owned())
        }
        KeysCommand::Export { place, name, file } => {
            let data = DataDir::new(&place.data).unlocked(&place.unlock.source())?;
            data.keystore().export(&name, &file)?;
            Ok(format!(
                "{} holds the key {name} in plain. Carry it away, or write down its words (`weft key words {}`), then \
                 destroy the file.",
                file.display(),
                file.display()
            ))
        }
    }
}

const ASK: &str = "Passphrase of the keys (it is not shown): ";

fn existing(unlock: &Unlock) -> Result<Passphrase, KeystoreError> {
    Ok(unlock.source().existing(ASK)?)
}

const PLAIN: &str = "Plain: whoever copies the disk, or a backup that holds keys/, can act as this node. \
                     `weftd keys encrypt` changes that.";
const ENCRYPTED: &str = "Encrypted: a copied disk is of no use without the passphrase, and weftd needs it at each start. \
                         Nobody can replace a forgotten passphrase.";
const CREDENTIAL: &str = "Credential: given by the service manager at the start, not kept in this folder.";

fn encrypted(names: &[String]) -> String {
    format!(
        "{} are encrypted, and their plain files are overwritten and removed.\nSome disks (SSD, snapshots, backups) keep \
         old blocks: what stood there in plain may still be found by who takes the disk apart.\n{ENCRYPTED}",
        names.join(", ")
    )
}

fn status(folder: &Path, kept: &[(String, Kept)]) -> String {
    let mut out = format!("Keys of {}\n", folder.display());
    for (name, how) in kept {
        let how = match how {
            Kept::Plain => "plain",
            Kept::Encrypted => "encrypted",
            Kept::Credential => "credential",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name:<14} {how}");
    }
    for (how, meaning) in [(Kept::Plain, PLAIN), (Kept::Encrypted, ENCRYPTED), (Kept::Credential, CREDENTIAL)]
    {
        if kept.iter().any(|(_, one)| *one == how) {
            let _ = writeln!(out, "{meaning}");
        }
    }
    out.trim_end().to_owned()
}

/// Reads a plain key file, such as one that `weft key new` has made.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read_key_file(path: &Path) -> Result<SecretKey, KeystoreError> {
    let seed: Zeroizing<[u8; 32]> = super::seed_of(path, &super::files::read(path)?)?;
    Ok(SecretKey::from_seed(&seed))
}

/// Reads a key from a key file, or from a file with its 24 words.
///
/// # Errors
/// Why the file holds neither, in words; never what it holds.
pub fn read_secret_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, String> {
    let bytes = super::files::read(path).map_err(|e| e.to_string())?;
    if let Ok(seed) = super::seed_of(path, &bytes) {
        return Ok(seed);
    }
    let neither = |why: &str| {
        let path = path.display();
        format!("{path} is neither a key file (64 hex digits) nor the 24 words of a key: {why}")
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| neither("it is no text"))?;
    key_of(text).map_err(|error| match error {
        // Of other mistakes the words themselves are part.
        WordsError::Unknown(mistakes) => {
            let numbers: Vec<String> = mistakes.iter().map(|one| one.number.to_string()).collect();
            neither(&format!("word {} is not in the list; compare it with the paper", numbers.join(", ")))
        }
        other => neither(&other.to_string()),
    })
}

/// Reads a public key as people type it.
///
/// # Errors
/// When it is not 64 hex digits.
pub fn parse_public(text: &str) -> Result<KeyBytes, String> {
    text.parse().map_err(|_| "a public key is 64 hex digits, as `weft key show FILE` prints them".to_owned())
}
