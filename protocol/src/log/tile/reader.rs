//! Reading hash tiles, and the hashes of any complete subtree out of them.
//!
//! The reader asks only for the tiles that a tree of its size has. It does not judge their content:
//! a wrong tile gives a proof that does not verify.

use super::{LEVELS, TILE_HEIGHT, TileKind, TilePath};
use crate::ids::Hash;
use crate::log::proof::HashReader;
use crate::log::tree::root_of;

/// Bytes of one hash in a tile.
pub const HASH_LEN: usize = Hash::LEN;

/// Why the content of a tile cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// It could not be loaded.
    #[error("{path} is missing")]
    Missing {
        /// The tile.
        path: TilePath,
    },
    /// It has not the length that its width demands.
    #[error("{path} has {got} bytes, expected {expected}")]
    Length {
        /// The tile.
        path: TilePath,
        /// Bytes found.
        got: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// It holds entries, not hashes.
    #[error("{path} holds no hashes")]
    NotHashes {
        /// The tile.
        path: TilePath,
    },
}

/// The content of a hash tile: its hashes one after another.
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes in the content of a hash tile.
///
/// # Errors
/// When the content is not exactly as long as the width says, or the path is one of entries.
pub fn decode_hashes(path: TilePath, content: &[u8]) -> Result<Vec<Hash>, TileError> {
    match path.kind() {
        TileKind::Hashes(_) => {}
        TileKind::Entries => return Err(TileError::NotHashes { path }),
    }
    let expected = usize::from(path.width()).saturating_mul(HASH_LEN);
    if content.len() != expected {
        return Err(TileError::Length { path, got: content.len(), expected });
    }
    Ok(content.as_chunks().0.iter().copied().map(Hash).collect())
}

/// Reads subtree hashes from the tiles of a tree of one size; keeps the last tile of each level.
///
/// `load` gives the content of a tile; it should refuse files longer than 8,192 bytes before reading them.
#[derive(Debug)]
pub struct TileReader<F> {
    size: u64,
    load: F,
    latest: [Option<(TilePath, Vec<Hash>)>; LEVELS as usize],
    failed: Option<TileError>,
}

impl<F: FnMut(&TilePath) -> Option<Vec<u8>>> TileReader<F> {
    /// A reader of the tree of `size` leaves.
    pub fn new(size: u64, load: F) -> Self {
        Self { size, load, latest: [const { None }; LEVELS as usize], failed: None }
    }

    /// What was wrong with the first tile that could not be used.
    pub const fn failed(&self) -> Option<TileError> {
        self.failed
    }

    fn tile(&mut self, path: TilePath, level: usize) -> Result<&[Hash], TileError> {
        let slot = self.latest.get_mut(level).ok_or(TileError::Missing { path })?;
        let hashes = match slot.take() {
            Some((latest, hashes)) if latest == path => hashes,
            Some(_) | None => decode_hashes(path, &(self.load)(&path).ok_or(TileError::Missing { path })?)?,
        };
        Ok(&slot.insert((path, hashes)).1)
    }
}

impl<F: FnMut(&TilePath) -> Option<Vec<u8>>> HashReader for TileReader<F> {
    fn node(&mut self, level: u32, index: u64) -> Option<Hash> {
        // 2^inner hashes of a tile, which never reach into the next tile.
        let inner = level & (TILE_HEIGHT.wrapping_sub(1));
        let tile_level = u8::try_from(level >> 3).ok()?;
        let count = 1_u64.checked_shl(inner)?;
        let first = index.checked_mul(count)?;
        let last = first.checked_add(count)?.checked_sub(1)?;
        let path = TilePath::in_tree(TileKind::Hashes(tile_level), last, self.size)?;
        let start = usize::try_from(first.checked_sub(path.first_element())?).ok()?;
        let end = start.checked_add(usize::try_from(count).ok()?)?;
        match self.tile(path, usize::from(tile_level)) {
            Ok(hashes) => hashes.get(start..end).map(|hashes| root_of(hashes.iter().copied())),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }
}
