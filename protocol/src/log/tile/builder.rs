//! Building hash tiles from leaf hashes as they come, holding little more than the tiles at the right edge.
//!
//! What [`TileBuilder::take_changed`] gives is exactly [`super::tiles_for`] of the sizes at the last call and now.

use super::{LEVELS, TILE_WIDTH, TileError, TileKind, TilePath, decode_hashes, encode_hashes};
use crate::ids::Hash;
use crate::log::tree::root_of;

/// A tile to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Where it goes.
    pub path: TilePath,
    /// What is in it.
    pub content: Vec<u8>,
}

/// The hashes at the right edge of one level.
#[derive(Debug, Clone, Default)]
struct Edge {
    /// Index of the tile being filled.
    index: u64,
    /// Its hashes, at most 255: a full tile leaves at once.
    hashes: Vec<Hash>,
    /// Whether it changed since it was last taken.
    changed: bool,
}

/// The right edge of a growing tree, tile by tile.
///
/// Full tiles stay inside until taken (8 KiB for 256 leaves), so take them every few thousand leaves.
#[derive(Debug, Clone, Default)]
pub struct TileBuilder {
    size: u64,
    edges: [Edge; LEVELS as usize],
    full: Vec<Tile>,
}

impl TileBuilder {
    /// Starts with an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on at `size` from the partial tiles of a tree of that size; `load` gives their content.
    /// Compare [`TileBuilder::root`] with a checkpoint before going on: the content is not judged here.
    ///
    /// # Errors
    /// When a partial tile is missing or has the wrong length.
    pub fn resume(size: u64, mut load: impl FnMut(&TilePath) -> Option<Vec<u8>>) -> Result<Self, TileError> {
        let mut builder = Self { size, ..Self::default() };
        for (level, edge) in (0..LEVELS).zip(&mut builder.edges) {
            let elements = TileKind::Hashes(level).elements(size);
            edge.index = elements >> super::TILE_HEIGHT;
            if let Some(path) = TilePath::in_tree(TileKind::Hashes(level), edge.first(), size) {
                let content = load(&path).ok_or(TileError::Missing { path })?;
                edge.hashes = decode_hashes(path, &content)?;
            }
        }
        Ok(builder)
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.size = self.size.checked_add(1).expect("nobody can append 2^64 leaves");
        let mut carry = leaf;
        for (level, edge) in (0..LEVELS).zip(&mut self.edges) {
            edge.hashes.push(carry);
            edge.changed = true;
            if edge.hashes.len() < usize::from(TILE_WIDTH) {
                return;
            }
            self.full.push(edge.tile(level));
            carry = root_of(edge.hashes.drain(..));
            edge.index = edge.index.saturating_add(1);
            edge.changed = false;
        }
    }

    /// The tiles that changed since the last call (or since it was resumed), as wide as they are now.
    pub fn take_changed(&mut self) -> Vec<Tile> {
        let mut tiles = std::mem::take(&mut self.full);
        for (level, edge) in (0..LEVELS).zip(&mut self.edges) {
            if std::mem::take(&mut edge.changed) {
                tiles.push(edge.tile(level));
            }
        }
        tiles
    }

    /// The tiles that became full since the last call of this or of [`TileBuilder::take_changed`].
    pub fn take_full(&mut self) -> Vec<Tile> {
        std::mem::take(&mut self.full)
    }

    /// The tiles at the right edge that are not full, changed or not: with the size all that [`TileBuilder::resume`] needs.
    pub fn partial(&self) -> impl Iterator<Item = Tile> + '_ {
        let edges = (0..LEVELS).zip(&self.edges).filter(|(_, edge)| !edge.hashes.is_empty());
        edges.map(|(level, edge)| edge.tile(level))
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> Hash {
        let mut below = None;
        for edge in &self.edges {
            // What the levels below have not completed is one more, incomplete, subtree on the right.
            let mut hashes = edge.hashes.iter().copied().chain(below).peekable();
            below = hashes.peek().is_some().then(|| root_of(hashes));
        }
        below.unwrap_or_else(crate::log::tree::empty_root)
    }
}

impl Edge {
    fn first(&self) -> u64 {
        self.index << super::TILE_HEIGHT
    }

    fn tile(&self, level: u8) -> Tile {
        let width = u16::try_from(self.hashes.len()).expect("a tile has at most 256 hashes");
        let path = TilePath::new(TileKind::Hashes(level), self.index, width);
        let path = path.expect("an edge has a level below LEVELS, an index of the tree and is not empty");
        Tile { path, content: encode_hashes(&self.hashes) }
    }
}
