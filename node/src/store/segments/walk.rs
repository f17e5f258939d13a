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
use weft_protocol::base::Floor;

/// Called for each record in order, after its checksum was checked.
pub(super) type Visit<'v> = dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError> + 'v;

/// How many records there are of each kind, seals not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Own entries of the ledger: the next one has this number. Those left out before a forward count.
    pub own_entries: u64,
    /// Entries received from other ledgers.
    pub received_entries: u64,
    /// Descriptors and cosignatures.
    pub notes: u64,
    /// Own entries that are not here any more.
    pub left_out: u64,
}

impl Counts {
    /// All records that are here.
    pub fn records(&self) -> u64 {
        self.own_entries - self.left_out + self.received_entries + self.notes
    }

    /// Counts a record; those before the forward were counted with it.
    fn add(&mut self, key: RecordKey) {
        match key {
            RecordKey::Own { .. } => self.own_entries += 1,
            RecordKey::Received { .. } => self.received_entries += 1,
            RecordKey::Note { .. } => self.notes += 1,
        }
    }

    /// Counts an own entry that was kept from before a forward, when it is one and stands in its order.
    fn add_kept(&mut self, seq: u64, floor: &Floor) -> bool {
        let ascends = seq >= self.own_entries && seq < floor.seq;
        if ascends {
            self.left_out += seq - self.own_entries;
            self.own_entries = seq + 1;
        }
        ascends
    }

    /// From here on nothing is left out.
    fn begin_full(&mut self, floor: &Floor) {
        self.left_out += floor.seq - self.own_entries;
        self.own_entries = floor.seq;
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

/// Reads the segments of a ledger folder (the one that holds `segments/`) without changing anything. `floor` says where
/// they begin.
///
/// # Errors
/// Damage that no unfinished write explains, missing or unknown files, or what `visit` refuses.
pub fn scan_dir(
    ledger_dir: &Path,
    floor: Floor,
    visit: &mut dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError>,
) -> Result<ScanReport, OpenError> {
    let walked = walk(&RealDisk, &ledger_dir.join(SEGMENTS_DIR), floor, None, visit)?;
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
    floor: Floor,
    clean_stop: Option<CleanStop>,
    visit: &mut Visit<'_>,
) -> Result<Walked, OpenError> {
    let segments = count_segments(disk, dir, &floor)?;
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
    for segment in floor.first..segments {
        if segment == floor.full {
            walked.counts.begin_full(&floor);
        }
        let path = dir.join(segment_name(segment));
        let mut bytes = std::mem::take(&mut walked.last);
        read_whole(disk, &path, &mut bytes)?;
        walk_segment(segment, &path, &bytes, &floor, clean_stop, visit, &mut walked)?;
        walked.last = bytes;
    }
    Ok(walked)
}

fn walk_segment(
    segment: u32,
    path: &Path,
    bytes: &[u8],
    floor: &Floor,
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
                let expected = walked.counts.own_entries;
                let mut counts = walked.counts;
                let in_order = match found.key() {
                    RecordKey::Own { seq } if segment < floor.full => counts.add_kept(seq, floor),
                    key => {
                        counts.add(key);
                        !matches!(key, RecordKey::Own { seq } if seq != expected)
                    }
                };
                if !in_order {
                    return Err(OpenError::OutOfOrder { place: here(), expected });
                }
                visit(position(segment, offset), found)
                    .map_err(|source| OpenError::Visit { place: here(), source })?;
                walked.counts = counts;
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

/// One more than the number of the last segment file; refuses gaps and anything else in the folder.
fn count_segments(disk: &dyn Disk, dir: &Path, floor: &Floor) -> Result<u32, OpenError> {
    let names = disk.list(dir).map_err(|source| io_error("list", dir, source))?;
    let mut numbers = names
        .iter()
        .map(|name| segment_number(name).ok_or_else(|| OpenError::UnknownFile(dir.join(name))))
        .collect::<Result<Vec<u32>, _>>()?;
    numbers.sort_unstable();
    let highest = numbers.last().copied();
    let missing = |expected| OpenError::MissingSegment {
        path: dir.join(segment_name(expected)),
        highest: highest.unwrap_or_default().max(floor.full),
    };
    for (expected, number) in (floor.first..).zip(&numbers) {
        if *number != expected {
            return Err(missing(expected));
        }
    }
    if floor.seq > 0 && highest.is_none_or(|highest| highest < floor.full) {
        return Err(missing(highest.map_or(floor.first, |highest| highest + 1)));
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
