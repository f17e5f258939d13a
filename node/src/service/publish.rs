//! The public log: hash tiles and a signed checkpoint as static files (specs/log.md §4).
//!
//! A checkpoint is published only over entries that are durable, and only after its tiles are. Stale partial tiles
//! go away after the checkpoint that no longer needs them is replaced.

use super::core::Core;
use crate::data::{DataError, write_file};
use std::path::Path;
use std::time::Duration;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::tile::{Tile, TileKind, TilePath, all_tiles};

/// A checkpoint is due after so many entries…
const EVERY_ENTRIES: u64 = 256;
/// … or after this long, when anything is new, …
const EVERY: Duration = Duration::from_secs(10);
/// … and never sooner than this after the one before: its files take several syncs, for which a busy ledger waits.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Why nothing was published; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file system.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A folder could not be made.
    #[error("cannot make {path}: {source}")]
    Folder {
        /// Which.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The checkpoint could not be built.
    #[error("{0}")]
    Checkpoint(String),
}

fn write_tiles(public: &Path, tiles: &[Tile]) -> Result<(), PublishError> {
    for tile in tiles {
        let path = public.join(tile.path.to_string());
        let folder = path.parent().unwrap_or(public);
        std::fs::create_dir_all(folder)
            .map_err(|source| PublishError::Folder { path: folder.to_owned(), source })?;
        write_file(&path, &tile.content)?;
    }
    Ok(())
}

/// Partial hash tiles of a tree.
pub(super) fn partial_tiles(size: u64) -> Vec<TilePath> {
    all_tiles(size).filter(|path| path.is_partial() && path.kind() != TileKind::Entries).collect()
}

impl Core {
    /// Publishes when a checkpoint is due. A failure is logged and tried again: the ledger itself is safe.
    pub fn publish_if_due(&mut self) {
        let new = self.parts.tiles.size().saturating_sub(self.parts.checkpoint);
        let waited = self.parts.clock.instant().duration_since(self.last_checkpoint);
        let is_due = waited >= EVERY || (new >= EVERY_ENTRIES && waited >= AT_MOST_EVERY);
        if new == 0 || self.engine().is_quarantined() || !is_due {
            return;
        }
        if let Err(error) = self.publish() {
            tracing::error!(%error, "the checkpoint was not published; it will be tried again");
            self.last_checkpoint = self.parts.clock.instant();
        }
    }

    /// Publishes a checkpoint over everything.
    ///
    /// # Errors
    /// When files cannot be written; the checkpoint before stays.
    pub fn publish(&mut self) -> Result<(), PublishError> {
        // The tiles know durable entries only; the engine may be ahead of the disk.
        let size = self.parts.tiles.size();
        if size == self.parts.checkpoint {
            return Ok(());
        }
        let public = self.parts.data.public();
        let mut tiles = std::mem::take(&mut self.unwritten);
        tiles.extend(self.parts.tiles.take_changed());
        let now = partial_tiles(size);
        tiles.retain(|tile| !tile.path.is_partial() || now.contains(&tile.path));
        if let Err(error) = write_tiles(&public, &tiles) {
            // The builder will not name them again; what is on the disk already is stale once others take its place.
            self.partial_tiles.extend(tiles.iter().map(|tile| tile.path).filter(TilePath::is_partial));
            self.unwritten = tiles;
            return Err(error);
        }
        let origin = self.engine().state().origin().map_err(|e| PublishError::Checkpoint(e.to_string()))?;
        let root = self.parts.tiles.root();
        let checkpoint =
            Checkpoint::new(&origin, size, root).map_err(|e| PublishError::Checkpoint(e.to_string()))?;
        let key = self.engine().log_key().map_err(|e| PublishError::Checkpoint(e.to_string()))?;
        let note = checkpoint.sign(key);
        write_file(&public.join("checkpoint"), note.to_string().as_bytes())?;
        self.parts.checkpoint = size;
        self.witness.published = Some(note);
        self.last_checkpoint = self.parts.clock.instant();
        self.remove_stale(&public, now);
        Ok(())
    }

    fn remove_stale(&mut self, public: &Path, now: Vec<TilePath>) {
        for stale in std::mem::replace(&mut self.partial_tiles, now) {
            if self.partial_tiles.contains(&stale) {
                continue;
            }
            let path = public.join(stale.to_string());
            // One that cannot be removed is reported by every audit until somebody does.
            let _ = std::fs::remove_file(&path);
            if let Some(folder) = path.parent() {
                let _ = std::fs::remove_dir(folder);
            }
        }
    }
}
