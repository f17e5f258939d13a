//! Layouts of the data folder: which one is there, and the way from an older one to this one (specs/store.md §7).
//!
//! What must hold: a folder names exactly one layout, replaced as a whole after everything else of a step is durable,
//! so an interrupted migration is either not begun or done, and starting again finishes it; a layout that is not
//! known is refused before anything is read or written.

use super::segments::{Floor, OpenError, SEGMENTS_DIR, scan_dir};
use crate::data::{DataDir, DataError, write_file};
use std::fs::File;
use std::path::Path;

/// The layout that this program writes.
pub const CURRENT: &str = "weft-store/3";
/// Layouts before it, with the same files: the first had notes of kinds 1 and 2 only, neither left out entries.
const OLDER: [&str; 2] = ["weft-store/1", "weft-store/2"];
/// The file that names the layout.
pub(crate) const VERSION_FILE: &str = "store-version";
/// Longest version file that is read.
const MAX_VERSION_BYTES: u64 = 256;

/// Why a folder of an older layout cannot be taken over; it stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The folder or its version.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its records are damaged: repair that with the program that wrote them, or from a backup.
    #[error("the store cannot be brought to {CURRENT}, nothing was changed: {0}")]
    Segments(#[from] OpenError),
    /// Files could not be made durable.
    #[error("the store cannot be brought to {CURRENT}, nothing was changed: cannot sync {path}: {source}")]
    Sync {
        /// Which.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A layout that this program can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One of [`OLDER`]: to be migrated.
    Older(&'static str),
    /// [`CURRENT`].
    Current,
}

/// Which layout a folder has.
///
/// # Errors
/// When it is no folder of ours, or one of a version that is not known here.
pub(crate) fn layout(data: &DataDir) -> Result<Layout, DataError> {
    let path = data.path().join(VERSION_FILE);
    let found = match read_capped(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::NotInitialised(data.path().to_owned()));
        }
        Err(source) => return Err(DataError::Io { what: "read", path, source }),
    };
    let found = found.trim();
    if found == CURRENT {
        return Ok(Layout::Current);
    }
    let older = OLDER.into_iter().find(|older| *older == found).map(Layout::Older);
    older.ok_or_else(|| DataError::Version { path: data.path().to_owned(), found: found.to_owned() })
}

fn read_capped(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_VERSION_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Brings a locked folder to [`CURRENT`]; says what was done, if anything.
///
/// First everything is read and checked, then made durable, then the version is replaced. A crash before the last
/// step leaves the old layout whole; after it, the new one.
///
/// # Errors
/// [`MigrateError`]; nothing was changed.
pub fn migrate(data: &DataDir) -> Result<Option<String>, MigrateError> {
    match layout(data)? {
        Layout::Current => Ok(None),
        Layout::Older(layout) => from_older(data, layout).map(Some),
    }
}

fn from_older(data: &DataDir, layout: &str) -> Result<String, MigrateError> {
    let segments = data.ledger().join(SEGMENTS_DIR);
    let mut records = 0;
    // A folder whose ledger was never founded has none.
    if segments.exists() {
        records = scan_dir(&data.ledger(), Floor::default(), &mut |_, _| Ok(()))?.counts.records();
        sync_files(&segments)?;
    }
    write_file(&data.path().join(VERSION_FILE), format!("{CURRENT}\n").as_bytes())?;
    Ok(format!("the store was brought from {layout} to {CURRENT}; all {records} records were checked"))
}

fn sync_files(folder: &Path) -> Result<(), MigrateError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| MigrateError::Sync { path, source }
    };
    for item in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = item.map_err(failed(folder))?.path();
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed(&path))?;
    }
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(failed(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn folder(version: &str) -> (tempfile::TempDir, DataDir) {
        let temporary = tempfile::tempdir().unwrap();
        let data = DataDir::new(temporary.path().join("node"));
        data.create(Clock).unwrap();
        std::fs::write(data.path().join(VERSION_FILE), version).unwrap();
        (temporary, data)
    }

    fn version(data: &DataDir) -> String {
        std::fs::read_to_string(data.path().join(VERSION_FILE)).unwrap()
    }

    #[test]
    fn an_older_layout_is_brought_up_once() {
        for older in OLDER {
            let (_temporary, data) = folder(&format!("{older}\n"));
            assert!(migrate(&data).unwrap().unwrap().contains(&format!("from {older} to weft-store/3")));
            assert_eq!(version(&data), "weft-store/3\n");
            assert_eq!(migrate(&data).unwrap(), None);
        }
    }

    #[test]
    fn a_migration_that_a_crash_interrupted_is_finished_by_the_next_start() {
        // The version is replaced by a rename: before it the old one stands, beside what was written so far.
        for written in ["", "weft-st", "weft-store/3\n"] {
            let (_temporary, data) = folder("weft-store/1\n");
            std::fs::write(data.path().join("store-version.new"), written).unwrap();
            assert!(migrate(&data).unwrap().is_some());
            assert_eq!(version(&data), "weft-store/3\n");
            assert!(!data.path().join("store-version.new").exists());
        }
    }

    #[test]
    fn a_damaged_ledger_is_not_taken_over() {
        let (_temporary, data) = folder("weft-store/1\n");
        let segments = data.ledger().join(SEGMENTS_DIR);
        std::fs::create_dir_all(&segments).unwrap();
        std::fs::write(segments.join("00000000.seg"), [7; 700]).unwrap();
        let error = migrate(&data).unwrap_err().to_string();
        assert!(error.contains("nothing was changed") && error.contains("00000000.seg"), "{error}");
        assert_eq!(version(&data), "weft-store/1\n");
    }

    #[test]
    fn a_layout_that_is_not_known_is_refused_in_words() {
        for unknown in ["weft-store/4\n", "weft-store/20", "", "weft-store/1 weft-store/2"] {
            let (_temporary, data) = folder(unknown);
            let refused = data.lock().unwrap_err().to_string();
            assert!(refused.contains("weft-store/3") && refused.contains("nothing was changed"), "{refused}");
            assert_eq!(version(&data), unknown);
        }
    }
}
