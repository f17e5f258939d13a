//! The base of a ledger that began anew at a forward: the file `ledger/base`, and the step that puts it in force
//! (specs/store.md §12).
//!
//! What must hold: the base is replaced as a whole, after everything that it needs is durable; from then on what it
//! replaces goes, and a start finishes that; before, nothing is gone. So after a crash the folder is the old one or the
//! new one, and never a mixture that anybody reads.

use super::index::{DestroyError, Index};
use super::segments::record::{SEAL_RECORD_LEN, Seal};
use super::segments::{Floor, RecordRef, SEGMENT_BYTES, SEGMENTS_DIR, segment_name};
use crate::data::{DataDir, DataError, write_file};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use weft_protocol::base::{Base, BaseError, MAX_BASE_BYTES};

/// The file inside the ledger folder.
pub const BASE_FILE: &str = "base";
/// What is kept waits in a folder of this name and the place of the forward, until it takes the place of what goes.
const WAITING: &str = "kept-";

/// Why a base cannot be read or put in force.
#[derive(Debug, thiserror::Error)]
pub enum BaseFileError {
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
    /// It is of another version.
    #[error(
        "{path} cannot be used: {why}. Use the program that wrote it, or a newer one; nothing was changed"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Which version it is of.
        why: BaseError,
    },
    /// It is damaged.
    #[error(
        "{path} cannot be used: {why}. It stands in the place of entries that were left out: take it back from the \
         newest backup"
    )]
    Base {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: BaseError,
    },
    /// It is longer than any base.
    #[error("{path} has {len} bytes, a base has at most {MAX_BASE_BYTES}")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// What would be kept fills more files than it is kept of.
    #[error("so little would go that it takes no file less: nothing was changed")]
    NothingGained,
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The index that describes what is gone.
    #[error("index: {0}")]
    Index(#[from] DestroyError),
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> BaseFileError {
    let path = path.to_owned();
    move |source| BaseFileError::Io { what, path, source }
}

/// The base of a ledger folder; `None` where nothing was left out.
///
/// # Errors
/// When it is there and cannot be used.
pub fn read(ledger: &Path) -> Result<Option<Base>, BaseFileError> {
    let path = ledger.join(BASE_FILE);
    let len = match std::fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io("read", &path)(e)),
    };
    if len > MAX_BASE_BYTES {
        return Err(BaseFileError::TooLong { path, len });
    }
    let bytes = std::fs::read(&path).map_err(io("read", &path))?;
    Base::parse(&bytes).map(Some).map_err(|why| match why {
        BaseError::Version(_) => BaseFileError::Version { path, why },
        why => BaseFileError::Base { path, why },
    })
}

/// Where the segments of a ledger folder begin.
///
/// # Errors
/// As [`read`].
pub fn floor(ledger: &Path) -> Result<Floor, BaseFileError> {
    Ok(read(ledger)?.map_or_else(Floor::default, |base| base.floor))
}

/// Writes what is kept into sealed segments that wait beside the others.
#[derive(Debug)]
pub struct KeptWriter {
    folder: PathBuf,
    limit: usize,
    files: u32,
    bytes: Vec<u8>,
}

impl KeptWriter {
    /// Begins; what an interrupted attempt has left is removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn begin(ledger: &Path, forward: u64) -> Result<Self, BaseFileError> {
        let folder = waiting(ledger, forward);
        remove_folder(&folder)?;
        std::fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let limit = usize::try_from(SEGMENT_BYTES).expect("16 MiB fit into usize");
        Ok(Self { folder, limit, files: 0, bytes: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When a file that is full with it cannot be written.
    pub fn push(&mut self, record: RecordRef<'_>) -> Result<(), BaseFileError> {
        if self.bytes.len() + record.encoded_len() + SEAL_RECORD_LEN > self.limit {
            self.end_file()?;
        }
        record.encode(&mut self.bytes);
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), BaseFileError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let sha256 = Sha256::digest(&self.bytes).into();
        Seal { offset: self.bytes.len() as u64, sha256 }.encode(&mut self.bytes);
        let path = self.folder.join(segment_name(self.files));
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(&self.bytes)?;
            file.sync_all()
        };
        write().map_err(io("write", &path))?;
        self.files += 1;
        self.bytes.clear();
        Ok(())
    }

    /// Makes all of it durable, under the numbers that end before the segment of the forward. Gives the first.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn end(mut self, full: u32) -> Result<u32, BaseFileError> {
        self.end_file()?;
        let first = full.checked_sub(self.files).ok_or(BaseFileError::NothingGained)?;
        // From the last on, so that no name is taken yet.
        for number in (0..self.files).rev().filter(|_| first > 0) {
            let (from, to) = (segment_name(number), segment_name(first + number));
            let path = self.folder.join(from);
            std::fs::rename(&path, self.folder.join(to)).map_err(io("rename", &path))?;
        }
        sync_dir(&self.folder)?;
        let ledger = self.folder.parent().expect("it was made inside the ledger folder");
        sync_dir(ledger)?;
        Ok(first)
    }
}

/// Puts a base in force whose kept records wait, and lets go of what it replaces.
///
/// # Errors
/// Those of the file system; the next start goes on with it.
pub fn put_in_force(data: &DataDir, base: &[u8]) -> Result<(), BaseFileError> {
    write_file(&data.ledger().join(BASE_FILE), base)?;
    finish(data).map(drop)
}

/// Finishes what an interruption has left: a base in force whose old segments are still there, or kept records of one
/// that is not. True when there was anything. Nothing else may use the folder.
///
/// # Errors
/// When the base cannot be read, or the file system refuses.
pub fn finish(data: &DataDir) -> Result<bool, BaseFileError> {
    let ledger = data.ledger();
    let left = waiting_folders(&ledger)?;
    if left.is_empty() {
        return Ok(false);
    }
    let floor = floor(&ledger)?;
    for folder in left {
        if floor.seq > 0 && folder == waiting(&ledger, floor.seq) {
            replace(data, &ledger, &folder, &floor)?;
        }
        remove_folder(&folder)?;
        sync_dir(&ledger)?;
    }
    Ok(true)
}

/// Each step may be done twice. The folder of what waits goes last: it says that this is not finished.
fn replace(data: &DataDir, ledger: &Path, waiting: &Path, floor: &Floor) -> Result<(), BaseFileError> {
    let segments = ledger.join(SEGMENTS_DIR);
    for name in names(waiting)? {
        let path = waiting.join(&name);
        std::fs::rename(&path, segments.join(&name)).map_err(io("rename", &path))?;
    }
    sync_dir(&segments)?;
    let first = segment_name(floor.first);
    for name in names(&segments)?.into_iter().filter(|name| *name < first) {
        let path = segments.join(&name);
        std::fs::remove_file(&path).map_err(io("remove", &path))?;
    }
    sync_dir(&segments)?;
    // Its rows say where things stood, and what they said.
    Ok(Index::destroy(&data.index())?)
}

/// Whether entries are being left out just now, or an interrupted attempt at that waits for the next start.
///
/// # Errors
/// When the folder cannot be listed.
pub fn is_changing(ledger: &Path) -> Result<bool, BaseFileError> {
    Ok(!waiting_folders(ledger)?.is_empty())
}

fn waiting(ledger: &Path, forward: u64) -> PathBuf {
    ledger.join(format!("{WAITING}{forward}"))
}

fn waiting_folders(ledger: &Path) -> Result<Vec<PathBuf>, BaseFileError> {
    if !ledger.exists() {
        return Ok(Vec::new());
    }
    let names = names(ledger)?.into_iter().filter(|name| name.starts_with(WAITING));
    Ok(names.map(|name| ledger.join(name)).collect())
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Result<Vec<String>, BaseFileError> {
    let list = || {
        let items = std::fs::read_dir(folder)?;
        items.map(|item| Ok(item?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>, _>>()
    };
    let mut names = list().map_err(io("list", folder))?;
    names.sort();
    Ok(names)
}

fn remove_folder(folder: &Path) -> Result<(), BaseFileError> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io("remove", folder)(e)),
    }
}

fn sync_dir(path: &Path) -> Result<(), BaseFileError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io("sync", path))
}
