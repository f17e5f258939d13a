//! The data folder: where everything of one node lives (specs/store.md §1).
//!
//! `weft.toml`, `lock`, `weftd.sock`, `store-version`, `instance`, `keys/`, `ledger/`, `index/`, `private/`, `mirror/`. One
//! process at a time holds the lock. Key files are readable by their owner only and never part of a backup; how they
//! are kept is the keystore's matter.

use crate::clock::Clock;
use crate::keystore::{Kept, Keystore, KeystoreError, Passphrase, PassphraseSource, credentials_folder};
use crate::recovery::instance::FileMark;
use crate::store::migrate::{self, VERSION_FILE};
use crate::store::segments::{CleanStop, SEGMENTS_DIR, segment_name};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{Identity, Purpose};
use zeroize::Zeroizing;

/// Longest process id that is read from a lock file.
const MAX_PID_BYTES: u64 = 32;
/// Mode of secret files.
const SECRET_MODE: u32 = 0o600;

/// A data folder, and the way to its keys.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf, Arc<Keystore>);

/// Holding the folder; released when dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said in words: closing alone would leave it to a process that was being started at this moment and has a copy of
        // the file until it runs. Where this fails, closing is what is left.
        let _ = self.0.unlock();
    }
}

/// The secrets of a node.
#[derive(Debug)]
pub struct Keys {
    /// Signs entries, checkpoints, Intents, Decisions.
    pub log: SecretKey,
    /// Log keys of other epochs: what was signed is signed again to the same bytes, and one may wait to be bound.
    pub other_logs: Vec<SecretKey>,
    /// Signs cosignatures.
    pub witness: SecretKey,
    /// Acts for people without keys.
    pub desk: SecretKey,
    /// X25519 secret that opens sealed sidecars.
    pub seal: Zeroizing<[u8; 32]>,
    /// The same of other epochs: what was sealed before a rotation may still be on its way.
    pub other_seals: Vec<Zeroizing<[u8; 32]>>,
    /// Seed of the libp2p identity.
    pub libp2p: Zeroizing<[u8; 32]>,
    /// Makes nonces and handles.
    pub handle_secret: Zeroizing<[u8; 32]>,
    /// Bearer token of the HTTP API.
    pub api_token: Zeroizing<String>,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
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
    /// Another process has it.
    #[error("{} uses {path}: stop it first; two at once would write two ledgers", holder(*pid))]
    Locked {
        /// Which folder.
        path: PathBuf,
        /// Its process id, where it says so.
        pid: Option<u32>,
    },
    /// It is no folder of ours.
    #[error("{0} holds no node: run `weftd init` first")]
    NotInitialised(PathBuf),
    /// It is one already.
    #[error("{0} holds a node already; nothing was changed")]
    Initialised(PathBuf),
    /// Made by another version.
    #[error(
        "{path} has the layout {found:?}; this program knows layouts up to {}. Use the program that made it, or a newer \
         one; nothing was changed",
        migrate::CURRENT
    )]
    Version {
        /// Which folder.
        path: PathBuf,
        /// What its version file says.
        found: String,
    },
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] KeystoreError),
}

fn holder(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("another weftd (process {pid})"),
        None => "another weftd".to_owned(),
    }
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
    let path = path.to_owned();
    move |source| DataError::Io { what, path, source }
}

/// The first root key, which only coordinators use.
pub const ROOT_KEY: &str = "root-1";
/// The recovery key, which only people use, when a node was lost.
pub const RECOVERY_KEY: &str = "recovery";
/// Names of the key files.
pub const KEY_FILES: [&str; 7] = [ROOT_KEY, "log", "witness", "seal", "libp2p", "desk", "handle-secret"];
/// The file of the API's token. It opens nothing but a running node's API, and clients read it: it stays plain.
pub(crate) const API_TOKEN: &str = "api-token";

impl DataDir {
    /// The folder at a path.
    ///
    /// Credentials of the service manager are used where it names a folder of them. Encrypted keys stay closed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let store = keystore_in(&path);
        Self(path, Arc::new(store))
    }

    /// The same with its keys open: a passphrase is asked for only when they are encrypted.
    ///
    /// # Errors
    /// When there is no passphrase, or it is wrong.
    pub fn unlocked(self, from: &PassphraseSource) -> Result<Self, DataError> {
        if !self.1.is_encrypted() {
            return Ok(self);
        }
        let folder = self.key("");
        let question = format!("Passphrase of the keys in {} (it is not shown): ", folder.display());
        let passphrase = from.existing(&question).map_err(KeystoreError::from)?;
        let store = self.closed_keystore().open(&passphrase)?;
        Ok(Self(self.0, Arc::new(store)))
    }

    /// How its keys are kept.
    pub fn keystore(&self) -> &Arc<Keystore> {
        &self.1
    }

    /// The keystore as it is before a passphrase is given, for changing it.
    pub fn closed_keystore(&self) -> Keystore {
        keystore_in(&self.0)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }
    /// `weft.toml`
    pub fn config(&self) -> PathBuf {
        self.0.join("weft.toml")
    }
    /// The Unix socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.0.join("weftd.sock")
    }
    /// `ledger/`
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
    /// `ledger/public/`: what any web server may show.
    pub fn public(&self) -> PathBuf {
        self.0.join("ledger").join("public")
    }
    /// `index/`
    pub fn index(&self) -> PathBuf {
        self.0.join("index")
    }
    /// `private/`
    pub fn private(&self) -> PathBuf {
        self.0.join("private")
    }
    /// `mirror/`: what is kept for peers.
    pub fn mirror(&self) -> PathBuf {
        self.0.join("mirror")
    }
    /// A key file.
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.join("keys").join(name)
    }
    fn instance(&self) -> PathBuf {
        self.0.join("instance")
    }

    /// Makes the folder with fresh plain keys, a root key among them.
    ///
    /// # Errors
    /// When there is a node already, or files cannot be made.
    pub fn create(&self, clock: Clock) -> Result<(), DataError> {
        self.clone().create_with(clock, None, true).map(drop)
    }

    /// Makes the folder with fresh keys, encrypted when there is a passphrase. Its ledger begins when it is founded.
    /// Without `root` no root key is made: somebody holds one elsewhere.
    ///
    /// # Errors
    /// When there is a node already, or files cannot be made.
    pub fn create_with(
        self,
        clock: Clock,
        passphrase: Option<&Passphrase>,
        root: bool,
    ) -> Result<Self, DataError> {
        if self.0.join(VERSION_FILE).exists() {
            return Err(DataError::Initialised(self.0));
        }
        let dir = |path: &Path| {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(io("create", path))
        };
        dir(&self.0)?;
        dir(&self.0.join("keys"))?;
        dir(&self.private())?;
        let store = match passphrase {
            Some(passphrase) => self.closed_keystore().make_encrypted(passphrase)?,
            None => self.closed_keystore(),
        };
        for name in KEY_FILES.into_iter().filter(|name| root || *name != ROOT_KEY) {
            store.add(name, &Zeroizing::new(clock.random::<32>()))?;
        }
        write_secret(&self.key(API_TOKEN), &Zeroizing::new(hex(&clock.random::<32>())))?;
        let version = self.0.join(VERSION_FILE);
        write_file(&version, format!("{}\n", migrate::CURRENT).as_bytes())?;
        sync_dir(&self.0)?;
        // The name of the folder itself has to survive a power loss too.
        let above = self.0.parent().filter(|above| !above.as_os_str().is_empty());
        sync_dir(above.unwrap_or(Path::new(".")))?;
        Ok(Self(self.0, Arc::new(store)))
    }

    /// Gives a folder that has none a token for its API.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub fn new_api_token(&self, clock: Clock) -> Result<(), DataError> {
        write_secret(&self.key(API_TOKEN), &Zeroizing::new(hex(&clock.random::<32>())))
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When another process has it, or it holds no node of this version.
    pub fn lock(&self) -> Result<Lock, DataError> {
        migrate::layout(self)?;
        let path = self.0.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {
                // Only for the message of a second process: nothing depends on it.
                let mut note = || -> std::io::Result<()> {
                    file.set_len(0)?;
                    file.write_all(format!("{}\n", std::process::id()).as_bytes())
                };
                note().map_err(io("write", &path))?;
                Ok(Lock(file))
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.take(MAX_PID_BYTES).read_to_string(&mut text).ok();
                let pid = pid.and_then(|_| text.trim().parse().ok());
                Err(DataError::Locked { path: self.0.clone(), pid })
            }
            Err(std::fs::TryLockError::Error(e)) => Err(io("lock", &path)(e)),
        }
    }

    /// Reads the node's secrets.
    ///
    /// # Errors
    /// When a file is missing or no key.
    pub fn keys(&self) -> Result<Keys, DataError> {
        self.keys_of(None)
    }

    /// Reads the secrets that an identity has in force, older ones that are still here, and those that wait.
    ///
    /// # Errors
    /// When one in force is missing, or a file is no key.
    pub fn keys_of(&self, identity: Option<&Identity>) -> Result<Keys, DataError> {
        let store = &self.1;
        let first = |purpose| -> Result<Zeroizing<[u8; 32]>, DataError> {
            let mut secrets = store.of(identity, purpose)?;
            Ok(secrets.swap_remove(0))
        };
        let secret = |purpose| Ok::<_, DataError>(SecretKey::from_seed(&*first(purpose)?));
        let mut logs = store.of(identity, Purpose::Log)?.into_iter();
        let mut seals = store.of(identity, Purpose::Seal)?.into_iter();
        let none = |name: &str| KeystoreError::Missing { name: name.to_owned(), folder: self.key("") };
        let token = self.key(API_TOKEN);
        let api_token = std::fs::read_to_string(&token).map_err(io("read", &token))?;
        Ok(Keys {
            log: SecretKey::from_seed(&*logs.next().ok_or_else(|| none("log"))?),
            other_logs: logs.map(|seed| SecretKey::from_seed(&seed)).collect(),
            witness: secret(Purpose::Witness)?,
            desk: secret(Purpose::Desk)?,
            seal: seals.next().ok_or_else(|| none("seal"))?,
            other_seals: seals.collect(),
            libp2p: first(Purpose::Libp2p)?,
            handle_secret: store.read("handle-secret")?,
            api_token: Zeroizing::new(api_token.trim().to_owned()),
        })
    }

    /// Reads one key file.
    ///
    /// # Errors
    /// When it is missing or no key.
    pub fn seed(&self, name: &str) -> Result<Zeroizing<[u8; 32]>, DataError> {
        Ok(self.1.read(name)?)
    }

    /// What people should know about how the keys are kept: forms that a change left behind, and a recovery key that
    /// nobody has carried away.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn key_remarks(&self) -> Result<Vec<String>, DataError> {
        let kept = self.1.kept()?;
        let plain = kept.iter().filter(|(_, kept)| *kept == Kept::Plain).map(|(name, _)| name.as_str());
        let plain: Vec<&str> = plain.collect();
        let left = self.1.is_encrypted() && !plain.is_empty();
        let remark = || {
            format!(
                "{} still stand in plain beside the encrypted keys: stop the node and run `weftd keys encrypt` again",
                plain.join(", ")
            )
        };
        let recovery = kept.iter().any(|(name, _)| name == RECOVERY_KEY);
        let carry = || {
            format!(
                "the recovery key still lies in {}: it is lost together with this machine. Write its words on paper, keep \
                 them elsewhere, and remove it here",
                self.key(RECOVERY_KEY).display()
            )
        };
        Ok(left.then(remark).into_iter().chain(recovery.then(carry)).collect())
    }

    /// Where the last clean stop ended, if the last stop was clean; forgotten at once, durably, so that only one
    /// start can rely on it.
    ///
    /// # Errors
    /// When the file cannot be read or removed.
    pub fn take_clean_stop(&self) -> Result<Option<CleanStop>, DataError> {
        let path = self.instance();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io("read", &path)(e)),
        };
        let mut words = text.split_whitespace();
        let segment = words.next().and_then(|w| w.parse().ok());
        let len = words.next().and_then(|w| w.parse().ok());
        Ok(segment.zip(len).map(|(segment, len)| CleanStop { segment, len }))
    }

    /// Forgets the last clean stop: from now on a stop is unclean until it is said to be clean.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_clean_stop(&self) -> Result<(), DataError> {
        let path = self.instance();
        match std::fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.0),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(io("remove", &path)(e)),
        }
    }

    /// Remembers a clean stop.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_clean_stop(&self, stop: CleanStop) -> Result<(), DataError> {
        let path = self.segment(stop.segment);
        let FileMark { inode, changed } = FileMark::of(&path).map_err(io("read", &path))?;
        let text = format!("{} {} {inode} {} {}\n", stop.segment, stop.len, changed.0, changed.1);
        write_file(&self.instance(), text.as_bytes())
    }

    /// Whether the folder is the one that was stopped cleanly, and not a copy of it: its last segment is the same file,
    /// unchanged. Ask before anything is written.
    pub fn is_as_stopped(&self) -> bool {
        let Ok(text) = std::fs::read_to_string(self.instance()) else { return false };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [segment, _, inode, seconds, nanoseconds] = words[..] else { return false };
        let (Ok(segment), Ok(inode)) = (segment.parse(), inode.parse()) else { return false };
        let (Ok(seconds), Ok(nanoseconds)) = (seconds.parse(), nanoseconds.parse()) else { return false };
        let mark = FileMark { inode, changed: (seconds, nanoseconds) };
        FileMark::of(&self.segment(segment)).is_ok_and(|found| found == mark)
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.ledger().join(SEGMENTS_DIR).join(segment_name(number))
    }
}

/// What the name of a file ends with while it is written and does not yet stand under its own.
const UNFINISHED: &str = ".new";

/// Writes a file so that after a crash it holds the old bytes or the new ones, never a mixture.
///
/// # Errors
/// When the file system refuses.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    let fresh = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    if let Err(error) = write() {
        // Half a file under a name of its own is in nobody's way but an audit's.
        let _ = std::fs::remove_file(&fresh);
        return Err(io("write", path)(error));
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Removes what [`write_file`] has not finished in a folder and those in it, because the node was killed. What cannot be
/// read or removed stays: an audit names it.
pub fn remove_unfinished(folder: &Path) {
    for item in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = item.path();
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_unfinished(&path);
        } else if item.file_name().to_string_lossy().ends_with(UNFINISHED) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn write_secret(path: &Path, text: &Zeroizing<String>) -> Result<(), DataError> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(SECRET_MODE).open(path)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(io("write", path))
}

fn keystore_in(folder: &Path) -> Keystore {
    Keystore::closed(folder.join("keys"), credentials_folder())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the file system refuses.
pub fn sync_dir(path: &Path) -> Result<(), DataError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io("sync", path))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
