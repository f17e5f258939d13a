//! Where an audit reads from: a small trait, so that a folder, a node's store and a test are audited alike.
//!
//! A source hands over bytes and says what it could not read; it judges nothing.

use super::finding::Finding;
use crate::ids::{LedgerId, StreamId};
use crate::ledger::state::State;
use crate::log::tile::TilePath;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing that a source holds, in the order in which it is to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry of the audited ledger. Places ascend; one left out could not be read.
    Own {
        /// Its place, as the source has it.
        seq: u64,
        /// Its bytes.
        bytes: Vec<u8>,
        /// The file it stands in.
        file: Arc<str>,
    },
    /// An entry received from another network, in the order of its stream.
    Received {
        /// From whom, as the source has it.
        from: LedgerId,
        /// Stream, place in it and boot, where the source keeps them beside the bytes.
        place: Option<(StreamId, u64, u64)>,
        /// Its bytes.
        bytes: Vec<u8>,
        /// The file it stands in.
        file: Arc<str>,
    },
    /// Something that could not be read, or should not be there.
    Problem(Finding),
}

/// Bytes with the name of their file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBytes {
    /// The file.
    pub file: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A ledger and what belongs to it. See the module.
pub trait Source {
    /// Whether it must hold exactly what its checkpoint covers, as a bundle does. A node's store may be ahead of its
    /// checkpoint.
    fn is_exact(&self) -> bool;

    /// Leaves out what an earlier audit has read: own entries before `size` (those of a file that was not full may come
    /// again), and so many bytes at the beginning of each of these files.
    fn go_on(&mut self, _size: u64, _read: &BTreeMap<String, u64>) -> Vec<Finding> {
        vec![Finding::unreadable("only the audit of a bundle can go on from an earlier one")]
    }

    /// How many bytes of each file that grows at its end have been read, for [`Source::go_on`]; `None` when this kind of
    /// source cannot be gone on from.
    fn positions(&self) -> Option<BTreeMap<String, u64>> {
        None
    }

    /// The books before a forward, and their file, where entries before it were left out. Asked once, before all else:
    /// from then on the source hands over what was kept of before it, and everything from it on.
    ///
    /// # Errors
    /// When they are there and cannot be read.
    fn base(&mut self) -> Result<Option<(State, String)>, Finding> {
        Ok(None)
    }

    /// Texts that were opened for this audit: files named by the commitment, each its salt and the content.
    fn openings(&mut self) -> Vec<Result<NamedBytes, Finding>> {
        Vec::new()
    }

    /// Evidence that is here, each in the form of its file (specs/evidence.md §5); asked once, after all items. A bundle's
    /// files are named by their id.
    fn evidence(&mut self, _each: &mut dyn FnMut(Result<NamedBytes, Finding>)) {}

    /// The newest checkpoint note; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn checkpoint(&mut self) -> Result<Option<NamedBytes>, Finding>;

    /// The next item; `None` at the end. Peers' public streams come before their channels, best before our own
    /// entries.
    fn next_item(&mut self) -> Option<Item>;

    /// Every stored file of one hash tile, of whatever width.
    fn hash_tiles(&mut self, level: u8, index: u64) -> Vec<(TilePath, Result<NamedBytes, Finding>)>;

    /// After everything else: files missing from a log of this size (`None`: unknown), and files that nothing refers
    /// to.
    fn finish(&mut self, size: Option<u64>) -> Vec<Finding>;
}
