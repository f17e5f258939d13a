//! Opening the segments for writing: what may be cut off, what must be refused, and making sure of the rest.

use super::error::{CoveredBy, OpenError, VisitError};
use super::walk::{Counts, Tail, Walked, io_error, walk};
use super::writer::Segments;
use super::{Position, RecordRef, SEGMENT_BYTES, SEGMENTS_DIR, TORN_DIR, segment_name};
use crate::store::disk::{Disk, DiskFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_protocol::base::Floor;

/// How often the same offset of a segment may be torn before somebody should look at the disk.
const MAX_TORN_AT_ONE_PLACE: u32 = 1_000;

/// Where a clean stop ended: kept outside the segments, and forgotten at the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanStop {
    /// Number of the last segment.
    pub segment: u32,
    /// Its length in bytes; a seal ends there.
    pub len: u64,
}

/// What was promised earlier and must therefore be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Covered {
    /// Size of the last published checkpoint: at least so many own entries must be there.
    pub min_own_entries: u64,
    /// Where the last clean stop ended, if the last stop was clean.
    pub clean_stop: Option<CleanStop>,
    /// Where the segments begin: not with the first entry, when some were left out.
    pub floor: Floor,
}

/// Bytes of an unfinished write which were cut off at an open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The record that was not finished.
    pub tail: Tail,
    /// Where its bytes are kept.
    pub kept_at: PathBuf,
}

/// What an open found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Records found.
    pub counts: Counts,
    /// One more than the number of the last segment file.
    pub segments: u32,
    /// Whether the files end exactly with the seal of the clean stop given.
    pub clean: bool,
    /// What was cut off.
    pub torn: Option<Torn>,
}

impl Segments {
    /// Reads and checks every segment of a ledger folder, giving each record to `visit` in order, and opens the last
    /// one for appending. A folder without segments is a new ledger.
    ///
    /// When this returns, everything that was given to `visit` is durable.
    ///
    /// # Errors
    /// Any damage that an unfinished write does not explain, anything covered that is missing, files that are
    /// missing or do not belong there, a refusal by `visit`, or an error of the file system.
    pub fn open(
        disk: Arc<dyn Disk>,
        ledger_dir: &Path,
        covered: Covered,
        visit: &mut dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError>,
    ) -> Result<(Self, OpenReport), OpenError> {
        Self::open_sized(disk, ledger_dir, covered, SEGMENT_BYTES, visit)
    }

    /// [`Segments::open`] with smaller segments, so that tests can fill many.
    pub(super) fn open_sized(
        disk: Arc<dyn Disk>,
        ledger_dir: &Path,
        covered: Covered,
        segment_bytes: u64,
        visit: &mut dyn FnMut(Position, RecordRef<'_>) -> Result<(), VisitError>,
    ) -> Result<(Self, OpenReport), OpenError> {
        let dir = ledger_dir.join(SEGMENTS_DIR);
        disk.create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        let walked = walk(&*disk, &dir, covered.floor, covered.clean_stop, visit)?;
        check_covered(&walked, covered)?;
        let torn = match &walked.tail {
            Some(tail) => {
                Some(Torn { tail: tail.clone(), kept_at: keep_aside(&*disk, ledger_dir, &walked)? })
            }
            None => None,
        };
        let clean = walked.clean_stop_found
            && covered.clean_stop.is_some_and(|stop| {
                stop.segment + 1 == walked.segments && stop.len == walked.last.len() as u64
            });
        let report = OpenReport { counts: walked.counts, segments: walked.segments.max(1), clean, torn };
        let segments = make_sure(disk, dir, walked, clean, segment_bytes)?;
        Ok((segments, report))
    }
}

/// Refuses when less is there than was promised.
fn check_covered(walked: &Walked, covered: Covered) -> Result<(), OpenError> {
    let own_entries = walked.counts.own_entries;
    let stop = covered.clean_stop.filter(|_| !walked.clean_stop_found);
    let stop = stop.map(|stop| CoveredBy::CleanStop { segment: stop.segment, len: stop.len });
    let checkpoint =
        (own_entries < covered.min_own_entries).then_some(CoveredBy::Checkpoint(covered.min_own_entries));
    match (stop.or(checkpoint), &walked.tail) {
        (None, _) => Ok(()),
        (Some(by), None) => Err(OpenError::EntriesMissing { own_entries, by }),
        (Some(by), Some(tail)) => {
            Err(OpenError::CoveredTail { place: tail.place.clone(), fault: tail.fault, by })
        }
    }
}

/// Keeps the unfinished bytes in `torn/<segment>-<offset>`, durably, before anything is cut.
///
/// A crash after this leaves the segment as it was; the next open does the same again.
fn keep_aside(disk: &dyn Disk, ledger_dir: &Path, walked: &Walked) -> Result<PathBuf, OpenError> {
    let dir = ledger_dir.join(TORN_DIR);
    disk.create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
    let name = format!("{:08}-{}", walked.segments.saturating_sub(1), walked.last_len);
    let names = disk.list(&dir).map_err(|source| io_error("list", &dir, source))?;
    let free = std::iter::once(name.clone())
        .chain((1..MAX_TORN_AT_ONE_PLACE).map(|again| format!("{name}.{again}")))
        .find(|candidate| !names.contains(candidate));
    let path = dir.join(free.as_ref().unwrap_or(&name));
    let keep = || {
        let mut file = disk.create_new(&path)?;
        file.append(&walked.last[walked.last_len..])?;
        file.sync_data()?;
        disk.sync_dir(&dir)?;
        disk.sync_dir(ledger_dir)
    };
    keep().map_err(|source| io_error("keep the cut bytes in", &path, source))?;
    Ok(path)
}

/// Cuts what is to be cut and makes everything that was read durable, then hands over to the writer.
///
/// After an unclean stop the end of the last segment may be in the system's cache only, even after a sync that
/// failed; so the last segment is written once more in place before it is synced. (Earlier ones were synced before their
/// successor was created.)
fn make_sure(
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    walked: Walked,
    clean: bool,
    segment_bytes: u64,
) -> Result<Segments, OpenError> {
    let segment = walked.segments.saturating_sub(1);
    let path = dir.join(segment_name(segment));
    let file = if walked.segments == 0 {
        let file = disk.create_new(&path).map_err(|source| io_error("create", &path, source))?;
        // The folders above may be as new as the file: the data folder, ledger/, segments/.
        for above in dir.ancestors().take(3).filter(|above| !above.as_os_str().is_empty()) {
            disk.sync_dir(above).map_err(|source| io_error("sync", above, source))?;
        }
        file
    } else {
        let mut file = disk.open_append(&path).map_err(|source| io_error("open", &path, source))?;
        let sure = |file: &mut dyn DiskFile| {
            if walked.tail.is_some() {
                file.truncate(walked.last_len as u64)?;
            }
            if !clean {
                file.rewrite(0, &walked.last[..walked.last_len])?;
                file.sync_data()?;
                disk.sync_dir(&dir)?;
            }
            Ok(())
        };
        sure(&mut *file).map_err(|source| io_error("make sure of", &path, source))?;
        file
    };
    Ok(Segments::resume(disk, dir, segment, file, walked, segment_bytes))
}
