//! Appending: one write for a group where it fits, one sync for the group, a new segment when one is full.
//!
//! What must hold: after a failed write or sync nothing is written any more (the kernel may have dropped the pages,
//! so a second sync that succeeds would prove nothing); a new segment is created only after the one before it is
//! sealed and synced.

use super::error::Fatal;
use super::open::CleanStop;
use super::reader::SegmentReader;
use super::record::{SEAL_RECORD_LEN, Seal};
use super::walk::Walked;
use super::{MAX_SEGMENT, Position, RecordKey, RecordRef, position, segment_name};
use crate::store::disk::{Disk, DiskFile};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A group is written in pieces of about this size, so that its copy in memory stays small.
const WRITE_BYTES: usize = 1024 * 1024;

/// The open segments of one ledger: the only writer there may be (the data folder's lock sees to that).
pub struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    reader: SegmentReader,
    limit: usize,
    segment: u32,
    file: Box<dyn DiskFile>,
    /// Bytes of the open segment that were handed to the disk.
    len: usize,
    /// SHA-256 of those bytes.
    hasher: Sha256,
    /// Whether the open segment ends with a seal.
    sealed: bool,
    /// Whether anything was written since the last sync.
    unsynced: bool,
    next_seq: u64,
    pending: Vec<u8>,
    first_failure: Option<String>,
}

impl std::fmt::Debug for Segments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segments")
            .field("dir", &self.dir)
            .field("segment", &self.segment)
            .field("len", &self.len)
            .field("next_seq", &self.next_seq)
            .field("first_failure", &self.first_failure)
            .finish_non_exhaustive()
    }
}

impl Segments {
    /// Goes on where a walk ended; the file holds exactly `walked.last_len` bytes.
    pub(super) fn resume(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment: u32,
        file: Box<dyn DiskFile>,
        walked: Walked,
        segment_bytes: u64,
    ) -> Self {
        Self {
            reader: SegmentReader::new(disk.clone(), dir.clone()),
            disk,
            dir,
            limit: usize::try_from(segment_bytes).expect("SEGMENT_BYTES fits into usize"),
            segment,
            file,
            len: walked.last_len,
            hasher: walked.hasher,
            sealed: walked.last_len > 0 && walked.sealed_to == walked.last_len,
            unsynced: false,
            next_seq: walked.counts.own_entries,
            pending: Vec::new(),
            first_failure: None,
        }
    }

    /// The number the next own entry must have.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// A handle that reads records from any thread.
    pub fn reader(&self) -> SegmentReader {
        self.reader.clone()
    }

    /// Reads the record at `at`.
    ///
    /// # Errors
    /// See [`SegmentReader::read`].
    pub fn read(&self, at: Position) -> Result<super::Record, super::ReadError> {
        self.reader.read(at)
    }

    /// Writes a group of records; nothing of it is durable before [`Segments::sync`] has returned `Ok`.
    ///
    /// A crash in between leaves any prefix of the group.
    ///
    /// # Errors
    /// [`Fatal`]: stop. A part of the group may be on disk.
    pub fn append(&mut self, records: &[RecordRef<'_>]) -> Result<Vec<Position>, Fatal> {
        self.unless_stopped(|segments| segments.append_group(records))
    }

    /// Makes everything appended so far durable: one `fdatasync`.
    ///
    /// # Errors
    /// [`Fatal`]: stop. It is never tried again.
    pub fn sync(&mut self) -> Result<(), Fatal> {
        self.unless_stopped(Self::sync_file)
    }

    /// Begins a new segment, unless the open one is still empty: what follows can be told from all before by its file.
    /// Everything before it is durable when this returns.
    ///
    /// # Errors
    /// [`Fatal`]: stop.
    pub fn begin_segment(&mut self) -> Result<(), Fatal> {
        self.unless_stopped(|segments| if segments.len == 0 { Ok(()) } else { segments.roll() })
    }

    /// The clean stop: seals, syncs, and says where.
    ///
    /// # Errors
    /// [`Fatal`]: the stop is not clean.
    pub fn close(mut self) -> Result<CleanStop, Fatal> {
        self.unless_stopped(|segments| {
            segments.seal()?;
            segments.sync_file()
        })?;
        Ok(CleanStop { segment: self.segment, len: self.len as u64 })
    }

    fn unless_stopped<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fatal>) -> Result<T, Fatal> {
        if let Some(first) = &self.first_failure {
            return Err(Fatal::Stopped { first: first.clone() });
        }
        step(self).inspect_err(|failure| self.first_failure = Some(failure.to_string()))
    }

    fn append_group(&mut self, records: &[RecordRef<'_>]) -> Result<Vec<Position>, Fatal> {
        let mut positions = Vec::with_capacity(records.len());
        for record in records {
            if let RecordKey::Own { seq } = record.key() {
                if seq != self.next_seq {
                    return Err(Fatal::OutOfOrder { expected: self.next_seq, got: seq });
                }
                self.next_seq += 1;
            }
            if self.len + self.pending.len() + record.encoded_len() + SEAL_RECORD_LEN > self.limit {
                self.write_pending()?;
                self.roll()?;
            }
            positions.push(position(self.segment, self.len + self.pending.len()));
            record.encode(&mut self.pending);
            if self.pending.len() >= WRITE_BYTES {
                self.write_pending()?;
            }
        }
        self.write_pending()?;
        Ok(positions)
    }

    fn write_pending(&mut self) -> Result<(), Fatal> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.unsynced = true;
        self.sealed = false;
        let written = self.file.append(&self.pending);
        written.map_err(|source| self.failed("append to", source))?;
        self.hasher.update(&self.pending);
        self.len += self.pending.len();
        self.pending.clear();
        Ok(())
    }

    /// Ends the segment with a seal, unless it has just been sealed.
    fn seal(&mut self) -> Result<(), Fatal> {
        if self.sealed {
            return Ok(());
        }
        let sha256 = self.hasher.clone().finalize().into();
        Seal { offset: self.len as u64, sha256 }.encode(&mut self.pending);
        self.write_pending()?;
        self.sealed = true;
        Ok(())
    }

    /// Seal, sync, create, sync the folder. A crash between two steps leaves a sealed last segment, or an empty one
    /// after it: both are where the next open goes on.
    fn roll(&mut self) -> Result<(), Fatal> {
        self.seal()?;
        self.sync_file()?;
        if self.segment == MAX_SEGMENT {
            return Err(Fatal::NoMoreSegments(self.segment));
        }
        let path = self.dir.join(segment_name(self.segment + 1));
        self.file = self.disk.create_new(&path).map_err(|source| io_fatal("create", &path, source))?;
        self.disk.sync_dir(&self.dir).map_err(|source| io_fatal("sync", &self.dir, source))?;
        self.segment += 1;
        self.len = 0;
        self.hasher = Sha256::new();
        self.sealed = false;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<(), Fatal> {
        if self.unsynced {
            let synced = self.file.sync_data();
            synced.map_err(|source| self.failed("sync", source))?;
            self.unsynced = false;
        }
        Ok(())
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> Fatal {
        io_fatal(doing, &self.dir.join(segment_name(self.segment)), source)
    }
}

fn io_fatal(doing: &'static str, path: &Path, source: std::io::Error) -> Fatal {
    Fatal::Io { doing, path: path.to_owned(), source }
}
