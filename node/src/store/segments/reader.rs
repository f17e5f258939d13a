//! Reading single records back, from any thread, while the writer goes on.
//!
//! What must hold: no byte leaves here whose checksum was not checked.

use super::error::ReadError;
use super::record::{self, HEADER_LEN, Item};
use super::{Position, Record, segment_name};
use crate::store::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Open files kept: most reads are of recent entries; a walk through old ones reopens a file per 16 MiB.
const MAX_OPEN_FILES: usize = 16;

/// Reads records by position; cheap to clone.
#[derive(Clone)]
pub struct SegmentReader {
    inner: Arc<Inner>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    files: Mutex<BTreeMap<u32, Arc<dyn DiskFile>>>,
}

impl std::fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentReader").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl SegmentReader {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { inner: Arc::new(Inner { disk, dir, files: Mutex::default() }) }
    }

    /// Reads and checks the record at `at`. Positions come from [`super::Segments::append`] or from the visit of an
    /// open; a record may be readable before it is durable, so read only what was synced.
    ///
    /// # Errors
    /// When the file cannot be read, or no right record stands there.
    pub fn read(&self, at: Position) -> Result<Record, ReadError> {
        let io = |source| ReadError::Io { at, source };
        let damaged = |fault| ReadError::Damaged { at, fault };
        let file = self.file(at.segment).map_err(io)?;
        let offset = u64::from(at.offset);
        let mut bytes = vec![0; HEADER_LEN];
        file.read_at(&mut bytes, offset).map_err(io)?;
        let (len, _) = record::parse_header(&bytes).map_err(damaged)?;
        bytes.resize(HEADER_LEN + len, 0);
        file.read_at(&mut bytes[HEADER_LEN..], offset + HEADER_LEN as u64).map_err(io)?;
        match record::parse(&bytes).map_err(damaged)? {
            (Item::Record(record), _) => Ok(record.to_record()),
            (Item::Seal(_), _) => Err(ReadError::Seal { at }),
        }
    }

    fn file(&self, segment: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.inner.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(file.clone());
        }
        let file: Arc<dyn DiskFile> =
            self.inner.disk.open_read(&self.inner.dir.join(segment_name(segment)))?.into();
        if files.len() >= MAX_OPEN_FILES {
            files.pop_first();
        }
        files.insert(segment, file.clone());
        Ok(file)
    }
}
