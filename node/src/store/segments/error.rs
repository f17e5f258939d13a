//! What can go wrong with segment files. [`Fatal`] means "stop: state unknown"; the others fail one request.

use super::{Fault, Position, RecordFault, RecordKey, SEGMENT_BYTES};
use std::io;
use std::path::PathBuf;

/// What an operator can do about a damaged ledger; ends every refusal.
const RECOVERY: &str = "Nothing was changed. To recover, restore the newest backup and take what is missing back from \
                        the peers and mirrors; keep the damaged files, they may be evidence";

/// Which record a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The segment file.
    pub path: PathBuf,
    /// Where the record starts in it, in bytes.
    pub offset: u64,
    /// How many records of the file stand before it.
    pub record: u64,
    /// What the record says it is, if that much can be read; unchecked when the record is damaged.
    pub key: Option<RecordKey>,
    /// How many own entries stand before it in the whole ledger.
    pub own_entries_before: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} at offset {} of {} ", self.record, self.offset, self.path.display())?;
        match self.key {
            Some(key) => write!(f, "({key}, after {} own entries)", self.own_entries_before),
            None => write!(f, "(after {} own entries)", self.own_entries_before),
        }
    }
}

/// What vouches for a record that is not there as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoveredBy {
    /// A published checkpoint over this many own entries.
    Checkpoint(u64),
    /// The clean stop at this length of this segment.
    CleanStop {
        /// Number of the segment.
        segment: u32,
        /// Its length in bytes.
        len: u64,
    },
}

impl std::fmt::Display for CoveredBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Checkpoint(size) => write!(f, "a published checkpoint over {size} entries"),
            Self::CleanStop { segment, len } => {
                write!(f, "the clean stop at byte {len} of segment {segment}")
            }
        }
    }
}

/// Why the segment files were not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refused; nothing is known to be damaged.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that is no segment.
    #[error("{} does not belong among the segment files; move it elsewhere", .0.display())]
    UnknownFile(PathBuf),
    /// A gap in the numbers.
    #[error("{} is missing, though segment {highest} exists. {RECOVERY}", path.display())]
    MissingSegment {
        /// The first missing file.
        path: PathBuf,
        /// The highest number there is.
        highest: u32,
    },
    /// A file longer than any segment.
    #[error("{} has {len} bytes, a segment has at most {SEGMENT_BYTES}. {RECOVERY}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// A record that no unfinished write explains.
    #[error("{place} is damaged: {fault}. {RECOVERY}")]
    Damaged {
        /// Which record.
        place: Box<Place>,
        /// What is wrong.
        fault: Fault,
    },
    /// A segment that should be complete, without a seal at its end.
    #[error("{} is followed by another segment but does not end with a seal. {RECOVERY}", .0.display())]
    Unsealed(PathBuf),
    /// An unfinished last record below something already promised.
    #[error("{place} is cut short ({fault}), but {by} covers it. {RECOVERY}")]
    CoveredTail {
        /// Which record.
        place: Box<Place>,
        /// What is wrong.
        fault: Fault,
        /// What covers it.
        by: CoveredBy,
    },
    /// Fewer entries than promised.
    #[error("the segments end after {own_entries} own entries, but {by} covers more. {RECOVERY}")]
    EntriesMissing {
        /// Own entries found.
        own_entries: u64,
        /// What promises more.
        by: CoveredBy,
    },
    /// An own entry that is not the next one.
    #[error("{place}: the next own entry must have number {expected}. {RECOVERY}")]
    OutOfOrder {
        /// Which record.
        place: Box<Place>,
        /// The number that is due.
        expected: u64,
    },
    /// The reader of the records refused one.
    #[error("{place} was refused: {source}. {RECOVERY}")]
    Visit {
        /// Which record.
        place: Box<Place>,
        /// Why.
        source: VisitError,
    },
}

/// Why a visitor of records refuses one; stops the open.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VisitError(String);

impl VisitError {
    /// An error saying why.
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

/// Stop: whether the last group is on disk is unknown. Nothing may be answered, sent or appended after this.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A write or sync failed.
    #[error("could not {doing} {}: {source}; the ledger stops, its state is unknown until the next start", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The caller's idea of the ledger is not ours.
    #[error("own entry {got} was to be appended where {expected} is due; the ledger stops")]
    OutOfOrder {
        /// The number that is due.
        expected: u64,
        /// The number given.
        got: u64,
    },
    /// There is no number for another segment.
    #[error("segment {0} is the last one that can have a name; the ledger stops")]
    NoMoreSegments(u32),
    /// An earlier call failed.
    #[error("the ledger has stopped: {first}")]
    Stopped {
        /// The first failure.
        first: String,
    },
}

/// Why a record could not be read back. The ledger itself goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused, or the file ends before the record does.
    #[error("could not read the record at offset {} of segment {}: {source}", at.offset, at.segment)]
    Io {
        /// Where.
        at: Position,
        /// Why not.
        source: io::Error,
    },
    /// What stands there is no right record.
    #[error("the record at offset {} of segment {} is damaged: {fault}", at.offset, at.segment)]
    Damaged {
        /// Where.
        at: Position,
        /// What is wrong.
        fault: RecordFault,
    },
    /// A seal stands there.
    #[error("at offset {} of segment {} stands a seal", at.offset, at.segment)]
    Seal {
        /// Where.
        at: Position,
    },
}
