//! The ledger on disk: append-only segment files `segments/00000000.seg` …, the only truth of a node.
//!
//! What must hold:
//! - a record never spans two files; a file is at most [`SEGMENT_BYTES`] and sealed when full and at a clean stop;
//! - own entries stand in order, contiguous from 0, or from a forward on ([`Floor`]);
//! - what [`Segments::sync`] has confirmed is found again at every later open, or the open is refused;
//! - bytes are cut off only at the very end, only if no seal, checkpoint or clean stop covers them and they can only
//!   be an unfinished write; they are kept aside in `torn/` first;
//! - after one failed write or sync nothing is ever written again by this writer ([`Fatal`]: state unknown).

mod error;
mod open;
mod reader;
pub use weft_protocol::base::Floor;
pub use weft_protocol::record;

#[cfg(test)]
mod tests;
mod walk;
mod writer;

pub use error::{CoveredBy, Fatal, OpenError, Place, ReadError, VisitError};
pub use open::{CleanStop, Covered, OpenReport, Torn};
pub use reader::SegmentReader;
pub use record::{MAX_BYTES, NoteKind, Record, RecordFault, RecordKey, RecordRef, RecordTooLong};
pub use walk::{Counts, ScanReport, Tail, scan_dir};
pub use weft_protocol::record::Fault;
pub use writer::Segments;

/// Largest segment file, seal included: small enough to be held in memory while it is checked.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Folder of the segment files inside the ledger folder.
pub const SEGMENTS_DIR: &str = "segments";
/// Folder of the bytes cut off, inside the ledger folder.
pub const TORN_DIR: &str = "torn";
/// The highest segment number its file name has digits for: 1.6 PB.
const MAX_SEGMENT: u32 = 99_999_999;

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment file.
    pub segment: u32,
    /// Offset of the record's length field, in bytes.
    pub offset: u32,
}

/// The name of a segment file.
pub fn segment_name(segment: u32) -> String {
    format!("{segment:08}.seg")
}

fn position(segment: u32, offset: usize) -> Position {
    Position { segment, offset: u32::try_from(offset).expect("a segment is at most SEGMENT_BYTES long") }
}
