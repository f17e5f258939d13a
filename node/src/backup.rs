//! Backups: one file with everything that a node needs to come back, and nothing that would let a copy pass for the node
//! itself (specs/store.md §13).
//!
//! What must hold: a backup is consistent, made while the node runs or not; it holds no keys unless asked for, no index, and
//! none of the marks by which a start proves itself; one that is not whole is never taken for one. Restoring signs nothing:
//! the node that starts from it asks its peers first, as from any copy.

mod archive;

use crate::clock::Clock;
use crate::config::Config;
use crate::data::{DataDir, DataError, KEY_FILES, write_file};
use crate::keystore::{MAX_WORK, Passphrase, WORK};
use crate::store::base::{self, BASE_FILE, BaseFileError};
use crate::store::migrate::{CURRENT, VERSION_FILE};
use crate::store::private::{Private, PrivateError};
use crate::store::segments::{Floor, SEGMENTS_DIR};
use archive::{Reader, Writer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use weft_audit::{AuditError, VerifyOptions, finding_text, verify_store};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::log::tile::{TileKind, all_tiles};
use weft_protocol::time::MS_PER_DAY;

/// How long a backup may be kept: until then an erasure does not reach what it holds (specs/store.md 13.6).
pub const RETENTION_MS: u64 = 35 * MS_PER_DAY;
/// Form of the description inside.
const FORMAT: &str = "weft-backup/1";
/// The description, the first file inside.
const ABOUT: &str = "backup.txt";
/// The hashes of all files before it, the last file inside; `sha256sum -c` reads it.
const SUMS: &str = "sha256sums";
/// Longest description or list of hashes: those of some hundred thousand files.
const MAX_TEXT_BYTES: u64 = 32 << 20;
/// Encrypted files begin so.
const AGE_MAGIC: &[u8] = b"age-encryption.org/";
/// A checkpoint and its tiles are read one after the other while new ones may be published: so often it is tried.
const TRIES: usize = 20;
/// Ending of encrypted backups; plain ones end with `.tar`.
pub const ENDING: &str = ".tar.age";

/// Why there is no backup, or none that is good.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The private store.
    #[error("private store: {0}")]
    Private(#[from] PrivateError),
    /// The base of a ledger without its old entries.
    #[error(transparent)]
    Base(#[from] BaseFileError),
    /// There is nothing yet that vouches for the ledger.
    #[error(
        "there is no checkpoint that can be read in {0}: start the node once, and stop it or wait a moment"
    )]
    NoCheckpoint(PathBuf),
    /// It is of an older layout.
    #[error("{0} is of an older layout: start the node once with this program, then make a backup")]
    Layout(PathBuf),
    /// The checkpoint moved on too often.
    #[error("new checkpoints were published {TRIES} times while their tiles were read: try again")]
    Moving,
    /// Encryption.
    #[error("{0}")]
    Age(String),
    /// A passphrase is needed.
    #[error("{0} is encrypted: its passphrase is needed")]
    NeedsPassphrase(PathBuf),
    /// It is no backup, or not all of one.
    #[error("{path} is not a whole backup: {why}")]
    Bad {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The ledger in it.
    #[error("the ledger in it cannot be audited: {0}")]
    Audit(#[from] AuditError),
    /// Something is wrong in it.
    #[error("the ledger in it is not right: {0}")]
    Wrong(String),
    /// Files are going while they would be read.
    #[error("old entries of {0} are being left out just now: make the backup when that is done")]
    LeavingOut(PathBuf),
    /// The folder for it is in use.
    #[error("{0} is not empty: a backup is restored into a new folder")]
    NotEmpty(PathBuf),
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { what, path, source }
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Origin of the log.
    pub origin: String,
    /// Short name of the network.
    pub site: String,
    /// When it was made.
    pub made_ms: u64,
    /// Entries that its checkpoint covers.
    pub entries: u64,
    /// Whether the keys are in it.
    pub keys: bool,
}

impl About {
    fn text(&self) -> String {
        let Self { origin, site, made_ms, entries, keys } = self;
        let keys = if *keys { "yes" } else { "no" };
        format!("{FORMAT}\nlog {origin}\nsite {site}\nmade_ms {made_ms}\nentries {entries}\nkeys {keys}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        (lines.next()? == FORMAT).then_some(())?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let about = Self {
            origin: field("log")?,
            site: field("site")?,
            made_ms: field("made_ms")?.parse().ok()?,
            entries: field("entries")?.parse().ok()?,
            keys: match field("keys")?.as_str() {
                "yes" => true,
                "no" => false,
                _ => return None,
            },
        };
        (about.text() == text).then_some(about)
    }
}

/// Makes a backup of a data folder into a file that is not there yet; encrypted when there is a passphrase.
///
/// # Errors
/// Why there is none; what was begun is removed.
pub fn create(
    data: &DataDir,
    out: &Path,
    passphrase: Option<&Passphrase>,
    keys: bool,
) -> Result<About, BackupError> {
    // A stopped node stays stopped while it is read; a running one holds the lock itself.
    let lock = data.lock();
    if lock.is_ok() {
        base::finish(data)?;
    }
    // Else that other process may be the one that leaves out entries.
    let floor = settled(data)?;
    let version = read(&data.path().join(VERSION_FILE))?;
    if version != format!("{CURRENT}\n").into_bytes() {
        return Err(BackupError::Layout(data.path().to_owned()));
    }
    let part = beside(out, ".new");
    let made = || {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&part);
        let file = BufWriter::new(file.map_err(io_error("create", &part))?);
        let about = match passphrase {
            None => {
                let (about, file) = write_all(data, file, keys)?;
                sync(file, &part)?;
                about
            }
            Some(passphrase) => {
                let mut lock = age::scrypt::Recipient::new(passphrase.secret());
                lock.set_work_factor(WORK);
                let one = std::iter::once(&lock as &dyn age::Recipient);
                let to = age::Encryptor::with_recipients(one).map_err(|e| BackupError::Age(e.to_string()))?;
                let (about, to) =
                    write_all(data, to.wrap_output(file).map_err(io_error("write", &part))?, keys)?;
                sync(to.finish().map_err(io_error("write", &part))?, &part)?;
                about
            }
        };
        if settled(data)? != floor {
            return Err(BackupError::LeavingOut(data.path().to_owned()));
        }
        std::fs::rename(&part, out).map_err(io_error("rename", &part))?;
        let above = out.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(above).and_then(|dir| dir.sync_all()).map_err(io_error("sync", above))?;
        Ok(about)
    };
    if out.exists() {
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(io_error("create", out)(taken));
    }
    made().inspect_err(|_| drop(std::fs::remove_file(&part)))
}

/// Where the segments begin, when nothing is being left out.
fn settled(data: &DataDir) -> Result<Floor, BackupError> {
    let ledger = data.ledger();
    if base::is_changing(&ledger)? {
        return Err(BackupError::LeavingOut(data.path().to_owned()));
    }
    Ok(base::floor(&ledger)?)
}

fn sync(file: BufWriter<File>, path: &Path) -> Result<(), BackupError> {
    let file = file.into_inner().map_err(|e| io_error("write", path)(e.into_error()))?;
    file.sync_all().map_err(io_error("sync", path))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

fn read(path: &Path) -> Result<Vec<u8>, BackupError> {
    std::fs::read(path).map_err(io_error("read", path))
}

/// Writes files, and remembers what was in them.
struct Summing<W: Write> {
    writer: Writer<W>,
    sums: String,
}

impl<W: Write> Summing<W> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        self.from(name, bytes.len() as u64, &mut &bytes[..])
    }

    fn from(&mut self, name: &str, size: u64, from: &mut dyn Read) -> Result<(), BackupError> {
        let mut hashing = Hashing { from, hasher: Sha256::new() };
        self.writer.file(name, size, &mut hashing).map_err(io_error("write", Path::new(name)))?;
        self.sums
            .push_str(&format!("{}  {name}\n", data_encoding::HEXLOWER.encode(&hashing.hasher.finalize())));
        Ok(())
    }

    /// A file as it is now; what is added to it meanwhile is not in.
    fn file(&mut self, name: &str, path: &Path) -> Result<(), BackupError> {
        let mut file = File::open(path).map_err(io_error("read", path))?;
        let size = file.metadata().map_err(io_error("read", path))?.len();
        self.from(name, size, &mut file)
    }
}

struct Hashing<'r> {
    from: &'r mut dyn Read,
    hasher: Sha256,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// Checkpoint and tiles first, then the segments, which are never behind what was published; then the private store,
/// which has the texts of every entry that is in already.
fn write_all<W: Write>(data: &DataDir, to: W, keys: bool) -> Result<(About, W), BackupError> {
    let site = Config::load(&data.config()).map_err(|e| BackupError::Wrong(e.to_string()))?.site;
    let (says, public) = published(data)?;
    let made_ms = Clock.now_ms();
    let about = About { origin: says.origin().to_string(), site, made_ms, entries: says.size(), keys };
    let mut files = Summing { writer: Writer::new(to, made_ms / 1_000), sums: String::new() };
    files.bytes(ABOUT, about.text().as_bytes())?;
    for (name, content) in public {
        files.bytes(&format!("ledger/public/{name}"), &content)?;
    }
    let ledger = data.ledger();
    let base_file = ledger.join(BASE_FILE);
    if base_file.exists() {
        files.file("ledger/base", &base_file)?;
    }
    let segments = ledger.join(SEGMENTS_DIR);
    for name in names(&segments)? {
        files.file(&format!("ledger/segments/{name}"), &segments.join(&name))?;
    }
    let copy = Private::copy(&data.private())?;
    files.file("private/weft.db", copy.path())?;
    files.file("weft.toml", &data.config())?;
    if keys {
        for name in names(&data.key(""))?.into_iter().filter(|name| is_key(name)) {
            files.file(&format!("keys/{name}"), &data.key(&name))?;
        }
    }
    files.file(VERSION_FILE, &data.path().join(VERSION_FILE))?;
    let sums = std::mem::take(&mut files.sums);
    files.bytes(SUMS, sums.as_bytes())?;
    let to = files.writer.end().map_err(io_error("write", Path::new("the backup")))?;
    Ok((about, to))
}

/// The files of `keys/` that are keys in any form; the API's token is made anew.
fn is_key(name: &str) -> bool {
    let bare = name.strip_suffix(".age").unwrap_or(name);
    let first =
        bare.rsplit_once('-').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit())).map_or(bare, |(f, _)| f);
    bare == "identity" || KEY_FILES.contains(&bare) || KEY_FILES.contains(&first)
}

fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let list = || {
        let items = std::fs::read_dir(folder)?;
        items.map(|item| Ok(item?.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<_>>>()
    };
    let mut names = list().map_err(io_error("list", folder))?;
    names.sort();
    Ok(names)
}

type Named = Vec<(String, Vec<u8>)>;

/// The newest checkpoint with exactly the tiles of its size.
fn published(data: &DataDir) -> Result<(Checkpoint, Named), BackupError> {
    let public = data.public();
    for _ in 0..TRIES {
        let none = || BackupError::NoCheckpoint(public.clone());
        let note = std::fs::read(public.join("checkpoint")).map_err(|_| none())?;
        let parsed = Note::parse(&note).ok().and_then(|note| note.text().parse::<Checkpoint>().ok());
        let says = parsed.ok_or_else(none)?;
        let mut files: Named = Vec::new();
        // From the right edge on: a partial tile is gone as soon as the next checkpoint is there.
        let mut tiles: Vec<_> =
            all_tiles(says.size()).filter(|path| path.kind() != TileKind::Entries).collect();
        tiles.sort_by_key(|path| !path.is_partial());
        for path in tiles {
            let Ok(content) = std::fs::read(public.join(path.to_string())) else { break };
            files.push((path.to_string(), content));
        }
        let wanted = all_tiles(says.size()).filter(|path| path.kind() != TileKind::Entries).count();
        if files.len() == wanted {
            files.push(("checkpoint".to_owned(), note));
            return Ok((says, files));
        }
    }
    Err(BackupError::Moving)
}

/// Reads a backup back: every hash, the private store, and the ledger through the auditor. What it has to write for that
/// goes into a folder beside the file, which is removed again.
///
/// # Errors
/// Why it is not good.
pub fn verify(file: &Path, passphrase: Option<&Passphrase>) -> Result<About, BackupError> {
    let folder = beside(file, ".check");
    let checked = take_out(file, passphrase, &folder).and_then(|about| check(&folder).map(|()| about));
    let removed = std::fs::remove_dir_all(&folder);
    let about = checked?;
    removed.map_err(io_error("remove", &folder))?;
    Ok(about)
}

/// Makes a data folder of a backup, checked as [`verify`] does. Nothing is signed; without keys in the backup the folder
/// has none.
///
/// # Errors
/// Why there is no folder; what was begun is no data folder.
pub fn restore(file: &Path, passphrase: Option<&Passphrase>, data: &Path) -> Result<About, BackupError> {
    let taken = std::fs::read_dir(data).is_ok_and(|mut items| items.next().is_some());
    if taken {
        return Err(BackupError::NotEmpty(data.to_owned()));
    }
    let about = take_out(file, passphrase, data)?;
    check(data)?;
    let data = DataDir::new(data);
    make_folder(&data.key(""))?;
    data.new_api_token(Clock)?;
    // Last: without it this is no node.
    write_file(&data.path().join(VERSION_FILE), format!("{CURRENT}\n").as_bytes())?;
    Ok(about)
}

/// Takes all files out and compares their hashes. The layout is checked and left away: the folder is none yet.
fn take_out(file: &Path, passphrase: Option<&Passphrase>, to: &Path) -> Result<About, BackupError> {
    let whole = BufReader::new(File::open(file).map_err(io_error("read", file))?);
    if !is_encrypted(file)? {
        return unpack(file, whole, to);
    }
    let passphrase = passphrase.ok_or_else(|| BackupError::NeedsPassphrase(file.to_owned()))?;
    let mut lock = age::scrypt::Identity::new(passphrase.secret());
    lock.set_max_work_factor(MAX_WORK);
    let age_error = |e: age::DecryptError| BackupError::Age(format!("{}: {e}", file.display()));
    let from = age::Decryptor::new(whole).map_err(age_error)?;
    let from = from.decrypt(std::iter::once(&lock as &dyn age::Identity)).map_err(age_error)?;
    unpack(file, BufReader::new(from), to)
}

fn unpack(file: &Path, from: impl Read, to: &Path) -> Result<About, BackupError> {
    let bad = |why: &str| BackupError::Bad { path: file.to_owned(), why: why.to_owned() };
    make_folder(to)?;
    let (mut about, mut sums) = (None, None);
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut reader = Reader::new(from);
    let mut take = |name: &str, size: u64, from: &mut dyn Read| -> Result<(), BackupError> {
        let mut hashing = Hashing { from, hasher: Sha256::new() };
        let mut text = |cap: u64| -> Result<String, BackupError> {
            let mut text = String::new();
            let read = (&mut hashing).take(cap).read_to_string(&mut text);
            read.map_err(io_error("read", file))?;
            Ok(text)
        };
        if sums.is_some() || found.contains_key(name) {
            return Err(bad("something comes twice, or after its end"));
        }
        match name {
            _ if size > MAX_TEXT_BYTES && matches!(name, ABOUT | SUMS | VERSION_FILE) => {
                return Err(bad("its description is too long"));
            }
            SUMS => {
                sums = Some(text(MAX_TEXT_BYTES)?);
                return Ok(());
            }
            ABOUT => about = About::parse(&text(MAX_TEXT_BYTES)?),
            VERSION_FILE => {
                if text(MAX_TEXT_BYTES)? != format!("{CURRENT}\n") {
                    return Err(bad("it is of another layout than this program writes"));
                }
            }
            _ => write_out(&to.join(name), &mut hashing)?,
        }
        found.insert(name.to_owned(), data_encoding::HEXLOWER.encode(&hashing.hasher.finalize()));
        Ok(())
    };
    let mut more = true;
    while more {
        more = reader.next(&mut take).map_err(|e| match e {
            BackupError::Io { source, .. } => bad(&source.to_string()),
            other => other,
        })?;
    }
    let listed: Option<BTreeMap<String, String>> = sums.as_deref().map(|sums: &str| {
        sums.lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(sum, name)| (name.into(), sum.into()))
            .collect()
    });
    if listed != Some(found) {
        return Err(bad("its files are not those whose hashes it names"));
    }
    about.ok_or_else(|| bad("it does not say what it is of"))
}

fn write_out(path: &Path, from: &mut dyn Read) -> Result<(), BackupError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        io::copy(from, &mut file)?;
        file.sync_all()
    };
    write().map_err(io_error("write", path))
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io_error("create", path))
}

/// The private store, and the ledger as the auditor sees it.
fn check(folder: &Path) -> Result<(), BackupError> {
    let data = DataDir::new(folder);
    let faults = Private::open(&data.private())?.check()?;
    if let Some(fault) = faults.first() {
        return Err(BackupError::Wrong(format!("the private store is damaged: {fault}")));
    }
    let outcome = verify_store(folder, &VerifyOptions::default(), &mut |_| {})?;
    if outcome.exit_code == 0 {
        return Ok(());
    }
    let findings = outcome.report().findings.kept();
    let wrong = findings.iter().find(|f| f.class.is_wrong()).or(findings.iter().find(|f| f.essential));
    Err(BackupError::Wrong(wrong.map_or_else(|| "it could not be audited".to_owned(), finding_text)))
}

impl From<io::Error> for BackupError {
    fn from(source: io::Error) -> Self {
        Self::Io { what: "read", path: "the backup".into(), source }
    }
}

/// Whether a backup needs a passphrase.
///
/// # Errors
/// When it cannot be read.
pub fn is_encrypted(file: &Path) -> Result<bool, BackupError> {
    let mut start = Vec::new();
    let opened = File::open(file).map_err(io_error("read", file))?;
    opened.take(AGE_MAGIC.len() as u64).read_to_end(&mut start).map_err(io_error("read", file))?;
    Ok(start == AGE_MAGIC)
}

/// Backups in a folder that were kept longer than [`RETENTION_MS`], by the time of their files.
pub fn overdue(folder: &Path, now_ms: u64) -> Vec<PathBuf> {
    let Ok(items) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_backup = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.ends_with(ENDING) || name.ends_with(".tar"))
    };
    let age = |path: &Path| {
        let changed = std::fs::metadata(path).ok()?.modified().ok()?;
        let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(now_ms.saturating_sub(u64::try_from(since.as_millis()).ok()?))
    };
    let mut old: Vec<PathBuf> = items
        .flatten()
        .map(|item| item.path())
        .filter(|path| is_backup(path) && age(path).is_some_and(|age| age > RETENTION_MS))
        .collect();
    old.sort();
    old
}
