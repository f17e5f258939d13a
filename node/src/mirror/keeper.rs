//! What we keep for others: sealed pieces of their ledgers, as files (specs/store.md §11).
//!
//! What must hold: a piece is on disk before it is said to be kept; a full piece is never written over; none of an older
//! start takes the place of a newer one; a piece that was damaged here is noticed and given to nobody. A crash at any
//! step leaves the old piece or the new one, or both, of which the longer counts.

use crate::data::{DataDir, DataError, sync_dir, write_file};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{GetPiece, MAX_PIECE_BYTES, MAX_RUNS, Piece, PieceId, PiecePut, Run};

/// Room for the pieces of one network: the ledger of a large network, several times.
pub(crate) const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Pieces of one place that are kept beside each other: of starts that a succession has parted, or of several keys.
const MAX_VERSIONS: usize = 4;
/// Bytes of the hash that ends a file.
const HASH_BYTES: usize = 32;
/// Ending of the names of our files.
const ENDING: &str = "piece";
/// Ending that a file gets when it does not hold any more what was written.
const DAMAGED: &str = "damaged";

/// Why a piece was neither kept nor given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error("cannot {what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("another piece of this network is being written")]
    Busy,
}

/// All that is kept for others.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    max_bytes: u64,
    shelves: Mutex<BTreeMap<LedgerId, Arc<Mutex<Shelf>>>>,
}

/// What is kept for one network.
#[derive(Debug, Default)]
struct Shelf {
    folder: PathBuf,
    /// Number of entries and bytes on disk, by place, start and key.
    pieces: BTreeMap<(u64, u64, u32), (u8, u64)>,
    bytes: u64,
}

impl Keeper {
    /// What a data folder keeps for others.
    pub(crate) fn new(data: &DataDir) -> Self {
        Self::with_room(data.mirror(), MAX_BYTES)
    }

    fn with_room(folder: PathBuf, max_bytes: u64) -> Self {
        Self { folder, max_bytes, shelves: Mutex::default() }
    }

    /// Keeps a piece; when this returns it is on disk. One at a time for each network.
    pub(crate) fn put(&self, owner: &LedgerId, piece: &Piece) -> Result<u8, KeeperError> {
        let shelf = self.shelf(owner)?;
        let mut shelf = match shelf.try_lock() {
            Ok(shelf) => shelf,
            Err(std::sync::TryLockError::WouldBlock) => return Err(KeeperError::Busy),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        shelf.put(piece, self.max_bytes)
    }

    /// A page of what is kept, from a place on.
    pub(crate) fn list(&self, owner: &LedgerId, from: u64) -> Result<Vec<Run>, KeeperError> {
        let shelf = self.shelf(owner)?;
        let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(shelf.list(from))
    }

    /// One piece, when it is here and undamaged.
    pub(crate) fn get(&self, owner: &LedgerId, ask: &GetPiece) -> Result<Option<Piece>, KeeperError> {
        let shelf = self.shelf(owner)?;
        let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.get(ask)
    }

    /// How many pieces and bytes are kept for a network.
    pub(crate) fn usage(&self, owner: &LedgerId) -> Result<(u64, u64), KeeperError> {
        let shelf = self.shelf(owner)?;
        let shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((shelf.pieces.len() as u64, shelf.bytes))
    }

    fn shelf(&self, owner: &LedgerId) -> Result<Arc<Mutex<Shelf>>, KeeperError> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = shelves.get(owner) {
            return Ok(shelf.clone());
        }
        let shelf = Shelf::open(self.folder.join(owner.to_string()))?;
        let shelf = Arc::new(Mutex::new(shelf));
        shelves.insert(*owner, shelf.clone());
        Ok(shelf)
    }
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeeperError {
    let path = path.to_owned();
    move |source| KeeperError::Io { what, path, source }
}

fn name_of(id: &PieceId) -> String {
    format!("{:010}-{:020}-{}-{:02}.{ENDING}", id.number, id.boot, id.key, id.count)
}

fn id_of(name: &str) -> Option<PieceId> {
    let words: Vec<&str> = name.strip_suffix(ENDING)?.strip_suffix('.')?.split('-').collect();
    let [number, boot, key, count] = words[..] else { return None };
    let (number, boot) = (number.parse().ok()?, boot.parse().ok()?);
    Some(PieceId { number, boot, key: key.parse().ok()?, count: count.parse().ok()? })
}

impl Shelf {
    fn open(folder: PathBuf) -> Result<Self, KeeperError> {
        let mut shelf = Self { folder, ..Self::default() };
        let items = match std::fs::read_dir(&shelf.folder) {
            Ok(items) => items,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(shelf),
            Err(e) => return Err(io("read", &shelf.folder)(e)),
        };
        for item in items {
            let item = item.map_err(io("read", &shelf.folder))?;
            let Some(id) = item.file_name().to_str().and_then(id_of) else { continue };
            let len = item.metadata().map_err(io("read", &item.path()))?.len();
            shelf.note(id, len);
        }
        Ok(shelf)
    }

    /// Counts a file; of two of one place, start and key the longer stays.
    fn note(&mut self, id: PieceId, len: u64) {
        let slot = (id.number, id.boot, id.key);
        let shorter = match self.pieces.get(&slot) {
            Some((count, _)) if *count >= id.count => Some(id),
            Some((count, old)) => {
                self.bytes = self.bytes.saturating_sub(*old);
                Some(PieceId { count: *count, ..id })
            }
            None => None,
        };
        if shorter != Some(id) {
            self.pieces.insert(slot, (id.count, len));
            self.bytes = self.bytes.saturating_add(len);
        }
        if let Some(shorter) = shorter {
            // What cannot be removed is left over again by the next start.
            let _ = std::fs::remove_file(self.folder.join(name_of(&shorter)));
        }
    }

    fn of_place(&self, number: u64) -> impl Iterator<Item = PieceId> {
        let range = self.pieces.range((number, 0, 0)..=(number, u64::MAX, u32::MAX));
        range.map(|((number, boot, key), (count, _))| PieceId {
            number: *number,
            boot: *boot,
            key: *key,
            count: *count,
        })
    }

    fn put(&mut self, piece: &Piece, max_bytes: u64) -> Result<u8, KeeperError> {
        let id = piece.id();
        let slot = |id: &PieceId| (id.boot, id.key);
        let here: Vec<PieceId> = self.of_place(id.number).collect();
        if here.iter().any(|old| slot(old) == slot(&id) && old.count >= id.count) {
            return Ok(PiecePut::KEPT);
        }
        if here.iter().any(|old| slot(old) > slot(&id)) {
            return Ok(PiecePut::OLDER);
        }
        // The tail of an earlier start is most likely the beginning of this one; one that is longer is not.
        let (replaced, kept): (Vec<_>, Vec<_>) =
            here.into_iter().partition(|old| !old.is_full() && old.count <= id.count);
        let mut bytes = piece.to_bytes();
        let hash = Sha256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        let len = bytes.len() as u64;
        if kept.len() >= MAX_VERSIONS || self.bytes.saturating_add(len) > max_bytes {
            return Ok(PiecePut::NO_ROOM);
        }
        self.make_folder()?;
        write_file(&self.folder.join(name_of(&id)), &bytes)?;
        for old in replaced {
            self.forget(&old);
            let path = self.folder.join(name_of(&old));
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "a piece that was replaced is still there");
            }
        }
        self.note(id, len);
        Ok(PiecePut::KEPT)
    }

    fn make_folder(&self) -> Result<(), KeeperError> {
        if self.folder.exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.folder).map_err(io("make", &self.folder))?;
        // The names of both new folders have to survive a power loss too.
        for above in self.folder.ancestors().skip(1).take(2) {
            sync_dir(above)?;
        }
        Ok(())
    }

    fn forget(&mut self, id: &PieceId) {
        if let Some((_, len)) = self.pieces.remove(&(id.number, id.boot, id.key)) {
            self.bytes = self.bytes.saturating_sub(len);
        }
    }

    fn list(&self, from: u64) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut number = from;
        while let Some(((next, _, _), _)) = self.pieces.range((number, 0, 0)..).next() {
            number = *next;
            let here: Vec<PieceId> = self.of_place(number).collect();
            let extended = match (&here[..], runs.last_mut()) {
                ([only], Some(run)) => run.extend(only),
                (_, _) => false,
            };
            if !extended {
                if runs.len().saturating_add(here.len()) > MAX_RUNS {
                    break;
                }
                runs.extend(here.into_iter().map(Run::of));
            }
            let Some(next) = number.checked_add(1) else { break };
            number = next;
        }
        runs
    }

    fn get(&mut self, ask: &GetPiece) -> Result<Option<Piece>, KeeperError> {
        let found = self.of_place(ask.number).find(|id| (id.boot, id.key) == (ask.boot, ask.key));
        let Some(id) = found else { return Ok(None) };
        let path = self.folder.join(name_of(&id));
        let cap = MAX_PIECE_BYTES.saturating_add(HASH_BYTES) as u64;
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(io("open", &path))?;
        file.take(cap.saturating_add(1)).read_to_end(&mut bytes).map_err(io("read", &path))?;
        let piece = bytes.split_last_chunk::<HASH_BYTES>().and_then(|(piece, hash)| {
            let same = Sha256::digest(piece)[..] == hash[..];
            Piece::parse(piece).ok().filter(|piece| same && piece.id() == id)
        });
        if piece.is_none() {
            // It is kept aside, and its owner sends it again at the next connection.
            tracing::error!(path = %path.display(), "a piece kept for a peer is damaged on this disk");
            let _ = std::fs::rename(&path, path.with_extension(DAMAGED));
            self.forget(&id);
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::encoding::Blob;
    use weft_protocol::mirror::PIECE_ENTRIES;

    const OWNER: LedgerId = LedgerId([1; 32]);

    fn piece(number: u64, boot: u64, count: u8, fill: u8) -> Piece {
        Piece { number, boot, key: 0, count, sealed: Blob(vec![fill; 48 + 1_024]) }
    }

    fn keeper(folder: &tempfile::TempDir) -> Keeper {
        Keeper::with_room(folder.path().join("mirror"), MAX_BYTES)
    }

    fn get(keeper: &Keeper, number: u64, boot: u64) -> Option<Piece> {
        keeper.get(&OWNER, &GetPiece { message: 5, number, boot, key: 0 }).unwrap()
    }

    #[test]
    fn a_longer_piece_replaces_a_partial_one_and_nothing_replaces_a_full_one() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keeper(&folder);
        for (piece, taken) in [
            (piece(0, 5, 3, 1), PiecePut::KEPT),
            (piece(0, 5, 2, 2), PiecePut::KEPT),
            (piece(0, 5, PIECE_ENTRIES, 3), PiecePut::KEPT),
            (piece(0, 5, PIECE_ENTRIES, 4), PiecePut::KEPT),
            (piece(0, 4, PIECE_ENTRIES, 5), PiecePut::OLDER),
            (piece(0, 6, 9, 6), PiecePut::KEPT),
        ] {
            assert_eq!(kept.put(&OWNER, &piece).unwrap(), taken, "{:?}", piece.id());
        }
        for kept in [&kept, &keeper(&folder)] {
            assert_eq!(get(kept, 0, 5), Some(piece(0, 5, PIECE_ENTRIES, 3)), "the first full one stays");
            assert_eq!(get(kept, 0, 6), Some(piece(0, 6, 9, 6)), "beside it that of a later start");
            assert_eq!(get(kept, 0, 4), None);
            assert_eq!(kept.usage(&OWNER).unwrap().0, 2);
        }
    }

    #[test]
    fn the_tail_of_an_earlier_start_gives_way_to_a_longer_one_and_a_longer_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keeper(&folder);
        for (piece, left) in [(piece(2, 5, 7, 1), 1), (piece(2, 6, 8, 2), 1), (piece(2, 7, 3, 3), 2)] {
            assert_eq!(kept.put(&OWNER, &piece).unwrap(), PiecePut::KEPT);
            assert_eq!(kept.usage(&OWNER).unwrap().0, left);
        }
        assert!(get(&kept, 2, 6).is_some() && get(&kept, 2, 7).is_some());
    }

    #[test]
    fn room_is_bounded_for_each_network_and_for_each_place() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Keeper::with_room(folder.path().join("mirror"), 3_000);
        assert_eq!(kept.put(&OWNER, &piece(0, 5, PIECE_ENTRIES, 1)).unwrap(), PiecePut::KEPT);
        assert_eq!(kept.put(&OWNER, &piece(1, 5, 1, 1)).unwrap(), PiecePut::KEPT);
        assert_eq!(kept.put(&OWNER, &piece(2, 5, 1, 1)).unwrap(), PiecePut::NO_ROOM);
        assert_eq!(
            kept.put(&LedgerId([2; 32]), &piece(2, 5, 1, 1)).unwrap(),
            PiecePut::KEPT,
            "another network"
        );
        let kept = keeper(&folder);
        for boot in 6..9 {
            assert_eq!(kept.put(&OWNER, &piece(0, boot, PIECE_ENTRIES, 1)).unwrap(), PiecePut::KEPT);
        }
        assert_eq!(kept.put(&OWNER, &piece(0, 9, PIECE_ENTRIES, 1)).unwrap(), PiecePut::NO_ROOM);
    }

    #[test]
    fn a_piece_that_was_damaged_on_disk_is_given_to_nobody_and_can_be_kept_anew() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keeper(&folder);
        kept.put(&OWNER, &piece(0, 5, PIECE_ENTRIES, 1)).unwrap();
        let path =
            folder.path().join("mirror").join(OWNER.to_string()).join(name_of(&piece(0, 5, 64, 1).id()));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[700] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(get(&kept, 0, 5), None);
        assert!(kept.list(&OWNER, 0).unwrap().is_empty());
        assert!(path.with_extension(DAMAGED).exists());
        assert_eq!(kept.put(&OWNER, &piece(0, 5, PIECE_ENTRIES, 1)).unwrap(), PiecePut::KEPT);
        assert!(get(&keeper(&folder), 0, 5).is_some());
    }

    #[test]
    fn a_crash_between_writing_and_removing_leaves_the_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keeper(&folder);
        kept.put(&OWNER, &piece(0, 5, 3, 1)).unwrap();
        let place = folder.path().join("mirror").join(OWNER.to_string());
        let short = place.join(name_of(&piece(0, 5, 3, 1).id()));
        let bytes = std::fs::read(&short).unwrap();
        kept.put(&OWNER, &piece(0, 5, 4, 2)).unwrap();
        std::fs::write(&short, bytes).unwrap();
        let again = keeper(&folder);
        assert_eq!(get(&again, 0, 5), Some(piece(0, 5, 4, 2)));
        assert!(!short.exists());
    }

    #[test]
    fn a_list_names_everything_in_order_page_by_page() {
        let folder = tempfile::tempdir().unwrap();
        let kept = keeper(&folder);
        for number in 0..200 {
            // A start wrote each pair of pieces.
            kept.put(&OWNER, &piece(number, 5 + number / 2, PIECE_ENTRIES, 1)).unwrap();
        }
        kept.put(&OWNER, &piece(200, 500, 7, 1)).unwrap();
        let (mut seen, mut from, mut pages) = (Vec::new(), 0, 0);
        loop {
            let page = kept.list(&OWNER, from).unwrap();
            let Some(last) = page.last() else { break };
            from = last.number + last.pieces;
            assert!(page.len() <= MAX_RUNS);
            pages += 1;
            seen.extend(page.iter().flat_map(|run| (run.number..run.number + run.pieces).map(|n| run.at(n))));
        }
        assert_eq!((seen.len(), pages), (201, 2));
        assert!(seen.iter().flatten().map(|id| id.number).eq(0..=200));
    }
}
