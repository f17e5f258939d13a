//! What the node keeps on disk: three stores, by how long the data must live.
//!
//! ```text
//! <data>/ledger/segments/00000000.seg …   own entries and the exact bytes received: for ever, the truth
//! <data>/ledger/torn/<segment>-<offset>   bytes of an unfinished write, kept aside at a start
//! <data>/index/                           everything derivable; may be deleted at any moment
//! <data>/private/weft.db                  names, texts, settings: durable and erasable, mode 0600
//! ```
//!
//! Order of a group: sidecars in one [`Private`] transaction, then [`Segments::append`] and one
//! [`Segments::sync`], then the answer, then [`Index::commit`]. A crash between two steps leaves orphan sidecars
//! (swept at the next start) or an index that is behind (it catches up from the segments); never an answer
//! without its entry.

pub mod base;
pub mod disk;
pub mod index;
pub mod migrate;
pub mod private;
pub mod segments;

pub use disk::{Disk, DiskFile, RealDisk};
pub use index::{Applied, Index, IndexBatch, IndexError};
pub use private::{Private, PrivateError};
pub use segments::{
    CleanStop, Covered, Fatal, OpenError, OpenReport, Position, ReadError, Record, RecordKey, RecordRef,
    SegmentReader, Segments, VisitError,
};

/// Folder of the ledger inside the data folder.
pub const LEDGER_DIR: &str = "ledger";
/// Folder of the index inside the data folder.
pub const INDEX_DIR: &str = "index";
/// Folder of the private store inside the data folder.
pub const PRIVATE_DIR: &str = "private";
