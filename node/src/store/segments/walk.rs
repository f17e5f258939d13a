//! Reading all segments in order without changing anything: the first half of every open, and all the auditor needs.
//!
//! One segment is in memory at a time. Only the last one may end with an unfinished record; whether that may be cut
//! off is decided by `open`.

use super::error::{OpenError, Place, VisitError};
use super::open::CleanStop;
use super::record::{Fault, Scanner, Step, is_unfinished};
use super::{Position, RecordKey, RecordRef, SEGMENT_BYTES, SEGMENTS_DIR, position, record, segment_name};
use crate::store::disk::{Disk, RealDisk};
use sha2::Sha256;
use std::path::{Path, PathBuf};

/// Called for each record in order, after its checksum was checked.
pub(super) type Visit<'v> = dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError> + 'v;

/// How many records there are of each kind, seals not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Own entries: the next one has this number.
    pub own_entries: u64,
    /// Entries received from other ledgers.
    pub received_entries: u64,
    /// Descriptors and cosignatures.
    pub notes: u64,
}

impl Counts {
    /// All records.
    pub fn records(&self) -> u64 {
        self.own_entries + self.received_entries + self.notes
    }

    pub(super) fn add(&mut self, key: RecordKey) {
        match key {
            RecordKey::Own { .. } => self.own_entries += 1,
            RecordKey::Received { .. } => self.received_entries += 1,
            RecordKey::Note { .. } => self.notes += 1,
        }
    }
}

/// An unfinished record at the end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Where it starts.
    pub place: Box<Place>,
    /// What is wrong with it.
    pub fault: Fault,
    /// How many bytes there are from its start to the end of the file.
    pub len: u64,
}

/// What [`scan_dir`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// Records in order and undamaged.
    pub counts: Counts,
    /// Number of segment files.
    pub segments: u32,
    /// An unfinished record at the end: a crash, or damage that looks like one.
    pub tail: Option<Tail>,
}

/// Reads the segments of a ledger folder (the one that holds `segments/`) without changing anything.
///
/// # Errors
/// Damage that no unfinished write explains, missing or unknown files, or what `visit` refuses.
pub fn scan_dir(
    ledger_dir: &Path,
    visit: &mut dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError>,
) -> Result<ScanReport, OpenError> {
    let walked = walk(&RealDisk, &ledger_dir.join(SEGMENTS_DIR), None, visit)?;
    Ok(ScanReport { counts: walked.counts, segments: walked.segments, tail: walked.tail })
}

/// Everything known after reading all segments.
pub(super) struct Walked {
    pub(super) counts: Counts,
    /// Number of segment files.
    pub(super) segments: u32,
    /// The whole last segment, an unfinished tail included.
    pub(super) last: Vec<u8>,
    /// Length of the right records of the last segment.
    pub(super) last_len: usize,
    /// The offset in the last segment after its last seal.
    pub(super) sealed_to: usize,
    /// SHA-256 of the first `last_len` bytes of the last segment, to go on from.
    pub(super) hasher: Sha256,
    pub(super) tail: Option<Tail>,
    /// Whether the seal of the clean stop asked for was found.
    pub(super) clean_stop_found: bool,
}

/// Reads all segments in `dir`; notes whether the seal of `clean_stop` is there.
pub(super) fn walk(
    disk: &dyn Disk,
    dir: &Path,
    clean_stop: Option<CleanStop>,
    visit: &mut Visit<'_>,
) -> Result<Walked, OpenError> {
    let segments = count_segments(disk, dir)?;
    let mut walked = Walked {
        counts: Counts::default(),
        segments,
        last: Vec::new(),
        last_len: 0,
        sealed_to: 0,
        hasher: Sha256::default(),
        tail: None,
        clean_stop_found: false,
    };
    for segment in 0..segments {
        let path = dir.join(segment_name(segment));
        let mut bytes = std::mem::take(&mut walked.last);
        read_whole(disk, &path, &mut bytes)?;
        walk_segment(segment, &path, &bytes, clean_stop, visit, &mut walked)?;
        walked.last = bytes;
    }
    Ok(walked)
}

fn walk_segment(
    segment: u32,
    path: &Path,
    bytes: &[u8],
    clean_stop: Option<CleanStop>,
    visit: &mut Visit<'_>,
    walked: &mut Walked,
) -> Result<(), OpenError> {
    let is_last = segment + 1 == walked.segments;
    let mut scanner = Scanner::new(bytes);
    loop {
        let number = scanner.number();
        let place = |offset: usize, key, counts: Counts| {
            let (path, offset) = (path.to_owned(), offset as u64);
            Box::new(Place { path, offset, record: number, key, own_entries_before: counts.own_entries })
        };
        match scanner.step() {
            Ok(Some(Step::Record(offset, found))) => {
                let here = || place(offset, Some(found.key()), walked.counts);
                if let RecordKey::Own { seq } = found.key()
                    && seq != walked.counts.own_entries
                {
                    return Err(OpenError::OutOfOrder { place: here(), expected: walked.counts.own_entries });
                }
                visit(position(segment, offset), found)
                    .map_err(|source| OpenError::Visit { place: here(), source })?;
                walked.counts.add(found.key());
            }
            Ok(Some(Step::Seal(end))) => {
                walked.clean_stop_found |= clean_stop == Some(CleanStop { segment, len: end as u64 });
            }
            Ok(None) => break,
            Err(fault) => {
                let offset = scanner.offset();
                let place = place(offset, record::claimed_key(&bytes[offset..]), walked.counts);
                if !is_last || !is_unfinished(bytes, offset, fault) {
                    return Err(OpenError::Damaged { place, fault });
                }
                walked.tail = Some(Tail { place, fault, len: (bytes.len() - offset) as u64 });
                break;
            }
        }
    }
    if !is_last && (bytes.is_empty() || scanner.sealed_to() != bytes.len()) {
        return Err(OpenError::Unsealed(path.to_owned()));
    }
    walked.last_len = scanner.offset();
    walked.sealed_to = scanner.sealed_to();
    walked.hasher = scanner.into_hasher();
    Ok(())
}

/// Number of segment files; refuses gaps and anything else in the folder.
fn count_segments(disk: &dyn Disk, dir: &Path) -> Result<u32, OpenError> {
    let names = disk.list(dir).map_err(|source| io_error("list", dir, source))?;
    let mut numbers = names
        .iter()
        .map(|name| segment_number(name).ok_or_else(|| OpenError::UnknownFile(dir.join(name))))
        .collect::<Result<Vec<u32>, _>>()?;
    numbers.sort_unstable();
    for (expected, number) in (0..).zip(&numbers) {
        if *number != expected {
            let highest = numbers.last().copied().unwrap_or_default();
            return Err(OpenError::MissingSegment { path: dir.join(segment_name(expected)), highest });
        }
    }
    Ok(numbers.last().map_or(0, |highest| highest + 1))
}

fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_name(number) == name && number <= super::MAX_SEGMENT).then_some(number)
}

fn read_whole(disk: &dyn Disk, path: &Path, bytes: &mut Vec<u8>) -> Result<(), OpenError> {
    let file = disk.open_read(path).map_err(|source| io_error("open", path, source))?;
    let len = file.size().map_err(|source| io_error("read the length of", path, source))?;
    if len > SEGMENT_BYTES {
        return Err(OpenError::TooLong { path: path.to_owned(), len });
    }
    bytes.clear();
    bytes.resize(usize::try_from(len).expect("SEGMENT_BYTES fits into usize"), 0);
    file.read_at(bytes, 0).map_err(|source| io_error("read", path, source))
}

pub(super) fn io_error(doing: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io { doing, path: PathBuf::from(path), source }
}
