//! A member's receipt out of a bundle or a node's public folder: one `tlog-proof` text.

use std::fs;
use std::path::{Path, PathBuf};
use weft_protocol::audit::{ProveError, prove};
use weft_protocol::ids::Hash;
use weft_protocol::log::checkpoint::{Checkpoint, CheckpointError};
use weft_protocol::log::note::{Note, NoteError};
use weft_protocol::log::tile::{TileKind, TilePath, decode_hashes};

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A file could not be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// The checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not cover the entry.
    #[error("the checkpoint covers {size} entries, entry {seq} is not one of them")]
    NotCovered {
        /// Which entry.
        seq: u64,
        /// Entries covered.
        size: u64,
    },
    /// The tile with its leaf hash is missing or broken.
    #[error("{path} does not hold the hash of entry {seq}")]
    Tile {
        /// Which entry.
        seq: u64,
        /// The tile.
        path: TilePath,
    },
    /// The files do not prove it.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// The receipt of an entry, from a folder with `checkpoint` and `tile/`.
///
/// # Errors
/// When the entry is not covered, or files are missing or wrong.
pub fn receipt(folder: &Path, seq: u64) -> Result<String, ReceiptError> {
    let path = folder.join("checkpoint");
    let note = fs::read(&path).map_err(|why| ReceiptError::Read { path, why })?;
    let checkpoint: Checkpoint = Note::parse(&note)?.text().parse()?;
    let size = checkpoint.size();
    let load = |path: &TilePath| fs::read(folder.join(path.to_string())).ok();
    let path =
        TilePath::in_tree(TileKind::Hashes(0), seq, size).ok_or(ReceiptError::NotCovered { seq, size })?;
    let leaf = leaf(&path, seq, load).ok_or(ReceiptError::Tile { seq, path })?;
    Ok(prove(&note, seq, &leaf, load)?.to_string())
}

fn leaf(path: &TilePath, seq: u64, load: impl Fn(&TilePath) -> Option<Vec<u8>>) -> Option<Hash> {
    let hashes = decode_hashes(*path, &load(path)?).ok()?;
    hashes.get(usize::try_from(seq - path.first_element()).ok()?).copied()
}
