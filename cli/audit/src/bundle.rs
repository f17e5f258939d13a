//! Writing an audit bundle from a data folder: everything that the checkpoint covers, and what peers have said.
//!
//! A bundle is only written from a store without damage. It is complete when this returns; a folder left behind by
//! an error has no checkpoint, so nobody can take it for a bundle.

use crate::StoreSource;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use weft_protocol::audit::{Finding, Item, Source};
use weft_protocol::entry::{Entry, EntryError, Payload};
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM, StreamId};
use weft_protocol::log::checkpoint::{Checkpoint, CheckpointError};
use weft_protocol::log::note::{Note, NoteError};
use weft_protocol::log::tile::{TILE_WIDTH, TileBuilder, TileKind, TilePath, encode_bundle};
use weft_protocol::log::tree::leaf_hash;

/// Full hash tiles are written when so many leaves have come: 2 MB of tiles.
const TILES_EVERY: u64 = 64 * TILE_WIDTH as u64;

/// Why no bundle was written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of the store could not be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// A file of the bundle could not be written.
    #[error("{path} cannot be written: {why}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// The folder for the bundle is there and holds something.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The store is damaged: audit it.
    #[error("the store is damaged: {0}")]
    Damaged(Box<Finding>),
    /// There is no checkpoint yet.
    #[error("there is no checkpoint yet")]
    NoCheckpoint,
    /// The checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// An entry cannot be read.
    #[error("entry {seq}: {why}")]
    Entry {
        /// Its place.
        seq: u64,
        /// Why not.
        why: EntryError,
    },
    /// An entry is missing.
    #[error("entry {expected} is missing, {got} comes next")]
    Gap {
        /// Which.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The entries do not give the root of the checkpoint.
    #[error("the checkpoint covers {size} entries with another root than these, or there are only {have}")]
    Root {
        /// Size of the checkpoint.
        size: u64,
        /// Entries read.
        have: u64,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReport {
    /// Entries, as the checkpoint says.
    pub entries: u64,
    /// Peers with a folder.
    pub peers: u64,
    /// Files.
    pub files: u64,
    /// Root of the tree over the entries.
    pub root: Hash,
}

/// Writes the bundle of a data folder into a new or empty folder.
///
/// # Errors
/// When the store is damaged or has no checkpoint, or files cannot be read or written.
pub fn write_bundle(store: &Path, out: &Path) -> Result<BundleReport, BundleError> {
    let mut source = open(store)?;
    let note = source.checkpoint().map_err(damaged)?.ok_or(BundleError::NoCheckpoint)?;
    let says: Checkpoint = Note::parse(&note.bytes)?.text().parse()?;
    let mut bundle = BundleWriter::begin(out)?;
    let streams = own(&mut bundle, &mut source, &says)?;
    let peers = received(&mut bundle, &mut open(store)?, &streams)?.len() as u64;
    bundle.write("checkpoint", &note.bytes)?;
    bundle.sync()?;
    Ok(BundleReport { entries: says.size(), peers, files: bundle.files.len() as u64, root: says.root() })
}

fn open(store: &Path) -> Result<StoreSource, BundleError> {
    StoreSource::open(store).map_err(|why| BundleError::Read { path: store.to_path_buf(), why })
}

fn damaged(finding: Finding) -> BundleError {
    BundleError::Damaged(Box::new(finding))
}

/// Writes a bundle, one entry after another; without a checkpoint at the end it is none.
#[derive(Debug)]
pub struct BundleWriter {
    root: PathBuf,
    files: BTreeSet<PathBuf>,
    tree: TileBuilder,
    /// Entries of the bundle file that is being filled.
    waiting: Vec<Vec<u8>>,
    partial: BTreeMap<(TileKind, u64), (TilePath, Vec<u8>)>,
}

impl BundleWriter {
    /// Begins in a new or empty folder.
    ///
    /// # Errors
    /// When there is something in it, or it cannot be made.
    pub fn begin(out: &Path) -> Result<Self, BundleError> {
        let write = |why| BundleError::Write { path: out.to_path_buf(), why };
        fs::create_dir_all(out).map_err(write)?;
        if fs::read_dir(out).map_err(write)?.next().is_some() {
            return Err(BundleError::NotEmpty { path: out.to_path_buf() });
        }
        let (files, waiting, partial) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        Ok(Self { root: out.to_path_buf(), files, tree: TileBuilder::new(), waiting, partial })
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root over the entries so far.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    fn path(&mut self, name: &str) -> Result<PathBuf, BundleError> {
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root).to_path_buf();
        fs::create_dir_all(&folder).map_err(|why| BundleError::Write { path: folder, why })?;
        self.files.insert(path.clone());
        Ok(path)
    }

    /// Writes a file of the bundle.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let path = self.path(name)?;
        fs::write(&path, bytes).map_err(|why| BundleError::Write { path, why })
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// When a file that is complete with it cannot be written.
    pub fn push(&mut self, entry: Vec<u8>) -> Result<(), BundleError> {
        self.tree.push(leaf_hash(&entry));
        self.waiting.push(entry);
        if self.waiting.len() == usize::from(TILE_WIDTH) {
            self.entries()?;
            self.waiting.clear();
        }
        if self.tree.size().is_multiple_of(TILES_EVERY) { self.tiles() } else { Ok(()) }
    }

    /// Writes what is not full. After it more entries may come, but the partial files of now are then stale.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn end_entries(&mut self) -> Result<(), BundleError> {
        if !self.waiting.is_empty() {
            self.entries()?;
        }
        self.tiles()?;
        for (path, content) in std::mem::take(&mut self.partial).into_values() {
            self.write(&path.to_string(), &content)?;
        }
        Ok(())
    }

    fn entries(&mut self) -> Result<(), BundleError> {
        let size = self.tree.size();
        let path =
            TilePath::in_tree(TileKind::Entries, size - 1, size).expect("the last entry is in the tree");
        let entries: Vec<&[u8]> = self.waiting.iter().map(Vec::as_slice).collect();
        let bundle = encode_bundle(&entries).expect("1 to 256 entries that were parsed are a bundle");
        self.write(&path.to_string(), &bundle)
    }

    fn tiles(&mut self) -> Result<(), BundleError> {
        for tile in self.tree.take_changed() {
            let place = (tile.path.kind(), tile.path.index());
            if tile.path.is_partial() {
                self.partial.insert(place, (tile.path, tile.content));
            } else {
                self.partial.remove(&place);
                self.write(&tile.path.to_string(), &tile.content)?;
            }
        }
        Ok(())
    }

    /// Makes everything durable: a bundle is often carried away on a stick.
    fn sync(&self) -> Result<(), BundleError> {
        for path in &self.files {
            let sync = fs::File::open(path).and_then(|file| file.sync_all());
            sync.map_err(|why| BundleError::Write { path: path.clone(), why })?;
        }
        Ok(())
    }
}

/// Entries and hash tiles. Gives how long each stream of ours is within the checkpoint.
fn own(
    bundle: &mut BundleWriter,
    source: &mut StoreSource,
    says: &Checkpoint,
) -> Result<BTreeMap<StreamId, u64>, BundleError> {
    let size = says.size();
    let mut streams = BTreeMap::new();
    while bundle.size() < size {
        let (seq, bytes) = match source.next_item() {
            Some(Item::Own { seq, bytes, .. }) => (seq, bytes),
            Some(Item::Received { .. }) => continue,
            Some(Item::Problem(finding)) if finding.class.is_wrong() || finding.essential => {
                return Err(damaged(finding));
            }
            Some(Item::Problem(_)) => continue,
            None => return Err(BundleError::Root { size, have: bundle.size() }),
        };
        if seq != bundle.size() {
            return Err(BundleError::Gap { expected: bundle.size(), got: seq });
        }
        let entry = Entry::parse(&bytes).map_err(|why| BundleError::Entry { seq, why })?;
        if let Some(header) = entry.body().stream {
            streams.insert(header.id, header.sseq + 1);
        }
        bundle.push(bytes)?;
    }
    bundle.end_entries()?;
    if bundle.root() == says.root() {
        Ok(streams)
    } else {
        Err(BundleError::Root { size, have: bundle.size() })
    }
}

/// Peers' streams, up to the first entry that acknowledges more of ours than the checkpoint covers. Gives the peers.
fn received(
    bundle: &mut BundleWriter,
    source: &mut StoreSource,
    streams: &BTreeMap<StreamId, u64>,
) -> Result<BTreeSet<LedgerId>, BundleError> {
    let mut peers = BTreeSet::new();
    let mut files: BTreeMap<String, BufWriter<fs::File>> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    while let Some(item) = source.next_item() {
        let (from, bytes) = match item {
            Item::Received { from, bytes, .. } => (from, bytes),
            Item::Problem(finding) if finding.class.is_wrong() => return Err(damaged(finding)),
            Item::Own { .. } | Item::Problem(_) => continue,
        };
        let entry = Entry::parse(&bytes).map_err(|why| BundleError::Entry { seq: 0, why })?;
        let stream = entry.body().stream.map_or(PUBLIC_STREAM, |header| header.id);
        let covered = streams.get(&stream);
        if let Payload::Step(step) = &entry.op().payload
            && covered.is_none_or(|len| step.ack.next > *len)
        {
            ended.insert((from, stream));
        }
        if ended.contains(&(from, stream)) {
            continue;
        }
        peers.insert(from);
        let name = format!("peers/{from}/{}", if stream == PUBLIC_STREAM { "public" } else { "channel" });
        let write = |why| BundleError::Write { path: name.clone().into(), why };
        if !files.contains_key(&name) {
            let file = fs::File::create(bundle.path(&name)?).map_err(write)?;
            files.insert(name.clone(), BufWriter::new(file));
        }
        if let Some(file) = files.get_mut(&name) {
            let len = u16::try_from(bytes.len()).expect("an entry is at most 4,096 bytes");
            file.write_all(&len.to_be_bytes()).and_then(|()| file.write_all(&bytes)).map_err(write)?;
        }
    }
    for (name, mut file) in files {
        file.flush().map_err(|why| BundleError::Write { path: name.into(), why })?;
    }
    Ok(peers)
}
