//! Tiles (C2SP tlog-tiles): the tree and its entries as static files of 256 hashes or entries.
//!
//! A tree of a given size has exactly one set of tiles, known from the size alone: [`all_tiles`].
//! A path has one text, and a text that is not the one we would print is no path.

mod builder;
mod bundle;
mod reader;

pub use builder::{Tile, TileBuilder};
pub use bundle::{BundleError, MAX_ENTRY_BYTES, encode_bundle, split_bundle};
pub use reader::{HASH_LEN, TileError, TileReader, decode_hashes, encode_hashes};

use crate::log::parse_decimal;
use std::fmt;
use std::str::FromStr;

/// Hashes or entries in a full tile: a subtree of height 8.
pub const TILE_WIDTH: u16 = 256;
/// Height of the subtree that a full tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Levels of hash tiles; eight of them hold every tree whose size is a `u64`.
pub const LEVELS: u8 = 8;

/// Longest tile path text: twenty digits of index in groups, level and width.
const MAX_PATH_BYTES: usize = 64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level: leaf hashes at 0, above it the roots of full tiles one level below.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

impl TileKind {
    /// Leaves under each element, as a power of two.
    fn element_height(self) -> u32 {
        match self {
            Self::Hashes(level) => u32::from(level).saturating_mul(TILE_HEIGHT),
            Self::Entries => 0,
        }
    }

    /// Complete elements of this kind in a tree of `size` leaves.
    pub fn elements(self, size: u64) -> u64 {
        size.checked_shr(self.element_height()).unwrap_or(0)
    }
}

/// A text or numbers that name no tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TilePathError {
    /// Not the canonical text of a path.
    #[error("not the path of a tile in its canonical form")]
    Text,
    /// A level that no tree reaches.
    #[error("tile level {level}, the highest is {}", LEVELS.saturating_sub(1))]
    Level {
        /// The level asked for.
        level: u8,
    },
    /// A tile beyond the 2^64th leaf.
    #[error("tile index {index} is beyond the last leaf of any tree")]
    Index {
        /// The index asked for.
        index: u64,
    },
    /// No elements, or more than [`TILE_WIDTH`].
    #[error("tile width {width}, it is 1 to {}", TILE_WIDTH)]
    Width {
        /// The width asked for.
        width: u16,
    },
}

/// The name of one tile; prints as its path below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TilePath {
    /// Checks the parts of a path.
    ///
    /// # Errors
    /// When no tree of at most 2^64 - 1 leaves has such a tile.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, TilePathError> {
        if let TileKind::Hashes(level) = kind
            && level >= LEVELS
        {
            return Err(TilePathError::Level { level });
        }
        if index > kind.elements(u64::MAX) >> TILE_HEIGHT {
            return Err(TilePathError::Index { index });
        }
        if width == 0 || width > TILE_WIDTH {
            return Err(TilePathError::Width { width });
        }
        Ok(Self { kind, index, width })
    }

    /// The tile that holds element `element` of this kind in a tree of `size` leaves, as wide as that tree has it.
    /// `None` when the tree has no such element.
    pub fn in_tree(kind: TileKind, element: u64, size: u64) -> Option<Self> {
        let elements = kind.elements(size);
        if element >= elements {
            return None;
        }
        let index = element >> TILE_HEIGHT;
        let from_tile_start = elements.saturating_sub(index << TILE_HEIGHT);
        let width = u16::try_from(from_tile_start).map_or(TILE_WIDTH, |width| width.min(TILE_WIDTH));
        Self::new(kind, index, width).ok()
    }

    /// What it holds.
    pub const fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its index among the tiles of its kind.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Number of hashes or entries in it, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it holds fewer than 256.
    pub const fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// Index of its first element among the elements of its kind; for entries and level 0 a sequence number.
    pub const fn first_element(&self) -> u64 {
        self.index << TILE_HEIGHT
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        // Groups of three digits, all but the last marked: a folder and a file never have the same name.
        let digits = self.index.to_string();
        let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(3));
        let (folders, file) = digits.split_at(digits.len().saturating_sub(3));
        folders.as_bytes().chunks(3).try_for_each(|group| write!(f, "x{}/", group.escape_ascii()))?;
        f.write_str(file)?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let (kind, index, width) = read_parts(text).ok_or(TilePathError::Text)?;
        let path = Self::new(kind, index, width)?;
        // Reading was lenient about grouping and zeros; only the one canonical text passes.
        if path.to_string() == text { Ok(path) } else { Err(TilePathError::Text) }
    }
}

fn read_parts(text: &str) -> Option<(TileKind, u64, u16)> {
    if text.len() > MAX_PATH_BYTES {
        return None;
    }
    let (kind, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => TileKind::Entries,
        level => TileKind::Hashes(u8::try_from(parse_decimal(level)?).ok()?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, u16::try_from(parse_decimal(width)?).ok()?),
        None => (rest, TILE_WIDTH),
    };
    let digits: String = groups.split('/').map(|group| group.strip_prefix('x').unwrap_or(group)).collect();
    let index = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    Some((kind, index, width))
}

/// Every tile of a log of `size` entries, hash tiles and entry bundles: the full ones, and at the right edge of
/// each level one partial where the number of elements is no multiple of 256.
pub fn all_tiles(size: u64) -> impl Iterator<Item = TilePath> {
    tiles_for(0, size).chain(bundles_for(0, size))
}

/// The hash tiles to write when a tree grows from `old_size` to `new_size`; nothing when it does not grow.
pub fn tiles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = TilePath> {
    (0..LEVELS).flat_map(move |level| changed(TileKind::Hashes(level), old_size, new_size))
}

/// The entry bundles to write when a log grows from `old_size` to `new_size`; nothing when it does not grow.
pub fn bundles_for(old_size: u64, new_size: u64) -> impl Iterator<Item = TilePath> {
    changed(TileKind::Entries, old_size, new_size)
}

fn changed(kind: TileKind, old_size: u64, new_size: u64) -> impl Iterator<Item = TilePath> {
    let (old, new) = (kind.elements(old_size), kind.elements(new_size));
    let first = old >> TILE_HEIGHT;
    let end = if old < new { (new.saturating_sub(1) >> TILE_HEIGHT).saturating_add(1) } else { first };
    (first..end).filter_map(move |index| TilePath::in_tree(kind, index << TILE_HEIGHT, new_size))
}

#[cfg(test)]
mod tests;
