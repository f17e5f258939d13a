//! Writing an audit bundle from a data folder: everything that the checkpoint covers, and what peers have said.
//!
//! A bundle is only written from a store without damage. It is complete when this returns; a folder left behind by
//! an error has no checkpoint, so nobody can take it for a bundle.

use crate::StoreSource;
use crate::dir::{BASE_ENTRIES, BASE_STATE};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use weft_protocol::audit::{Finding, Item, Source, evidence_file};
use weft_protocol::base::Base;
use weft_protocol::entry::{Entry, EntryError, Payload};
use weft_protocol::evidence::Evidence;
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM, StreamId};
use weft_protocol::log::checkpoint::{Checkpoint, CheckpointError};
use weft_protocol::log::note::{Note, NoteError};
use weft_protocol::log::tile::{TILE_WIDTH, TileBuilder, TileKind, TilePath, encode_bundle, tiles_for};
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
    let mut recorded = BTreeSet::new();
    if let Some(base) = source.take_base().map_err(damaged)? {
        let rows = base.replay.state().accused.values();
        recorded.extend(rows.flat_map(|row| row.evidence.iter().map(|(id, _)| *id)));
        bundle.begin_at(base, &store.join("ledger").join("public"))?;
    }
    let streams = own(&mut bundle, &mut source, &says, &mut recorded)?;
    let mut source = open(store)?;
    let peers = received(&mut bundle, &mut source, &streams)?.len() as u64;
    evidence(&mut bundle, &mut source, &recorded)?;
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
    /// Where old entries were left out: what stands in no file of 256.
    kept: Option<KeptEntries>,
}

#[derive(Debug)]
struct KeptEntries {
    file: BufWriter<fs::File>,
    /// Place of the forward.
    forward: u64,
    /// The first place in a file of 256.
    until: u64,
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
        let (files, waiting, kept) = (BTreeSet::new(), Vec::new(), None);
        Ok(Self { root: out.to_path_buf(), files, tree: TileBuilder::new(), waiting, kept })
    }

    /// Goes on from a forward: the books before it, and the hash tiles of entries that were left out.
    fn begin_at(&mut self, base: Base, public: &Path) -> Result<(), BundleError> {
        self.write(BASE_STATE, &base.replay.state().to_canonical())?;
        let forward = base.floor.seq;
        for tile in tiles_for(0, forward).filter(|tile| !tile.is_partial()) {
            let path = public.join(tile.to_string());
            let content = fs::read(&path).map_err(|why| BundleError::Read { path, why })?;
            self.write(&tile.to_string(), &content)?;
        }
        let path = self.path(BASE_ENTRIES)?;
        let file = fs::File::create(&path).map_err(|why| BundleError::Write { path, why })?;
        let until = forward.next_multiple_of(u64::from(TILE_WIDTH));
        self.kept = Some(KeptEntries { file: BufWriter::new(file), forward, until });
        self.tree = base.tree;
        Ok(())
    }

    /// Place of the first entry that is not left out.
    fn forward(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.forward)
    }

    /// Adds an entry that stands in no file of 256.
    fn keep(&mut self, seq: u64, entry: &[u8]) -> Result<(), BundleError> {
        let Some(kept) = &mut self.kept else { return Ok(()) };
        let len = u16::try_from(entry.len()).expect("an entry is at most 4,096 bytes");
        let mut write = || {
            kept.file.write_all(&seq.to_be_bytes())?;
            kept.file.write_all(&len.to_be_bytes())?;
            kept.file.write_all(entry)
        };
        write().map_err(|why| BundleError::Write { path: BASE_ENTRIES.into(), why })
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
        let seq = self.tree.size();
        self.tree.push(leaf_hash(&entry));
        if self.kept.as_ref().is_some_and(|kept| seq < kept.until) {
            self.keep(seq, &entry)?;
        } else {
            self.waiting.push(entry);
        }
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
        if let Some(kept) = &mut self.kept {
            kept.file.flush().map_err(|why| BundleError::Write { path: BASE_ENTRIES.into(), why })?;
        }
        let edge: Vec<_> = self.tree.partial().collect();
        edge.into_iter().try_for_each(|tile| self.write(&tile.path.to_string(), &tile.content))
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
        let full = self.tree.take_full();
        full.into_iter().try_for_each(|tile| self.write(&tile.path.to_string(), &tile.content))
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

/// Entries and hash tiles. Gives how long each stream of ours is within the checkpoint; `recorded` gets the evidence that
/// entries record.
fn own(
    bundle: &mut BundleWriter,
    source: &mut StoreSource,
    says: &Checkpoint,
    recorded: &mut BTreeSet<Hash>,
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
        if seq >= bundle.forward() && seq != bundle.size() {
            return Err(BundleError::Gap { expected: bundle.size(), got: seq });
        }
        let entry = Entry::parse(&bytes).map_err(|why| BundleError::Entry { seq, why })?;
        if let Some(header) = entry.body().stream {
            streams.insert(header.id, header.sseq + 1);
        }
        if let Payload::EvidenceRecorded(row) = &entry.op().payload {
            recorded.insert(row.evidence);
        }
        if seq < bundle.forward() {
            bundle.keep(seq, &bytes)?;
            continue;
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

/// The evidence that entries record, as far as the store has it; read after all items of the source. Of two forms of one
/// piece, one that is proven by itself.
fn evidence(
    bundle: &mut BundleWriter,
    source: &mut StoreSource,
    recorded: &BTreeSet<Hash>,
) -> Result<(), BundleError> {
    let mut held: BTreeMap<Hash, (bool, Vec<u8>)> = BTreeMap::new();
    source.evidence(&mut |note| {
        // A note that cannot be read convicts nobody: the audit of the data folder names it.
        let Some((evidence, text)) =
            note.ok().and_then(|note| Some((Evidence::from_text(&note.bytes).ok()?, note.bytes)))
        else {
            return;
        };
        let proven = evidence.verify_alone().is_ok();
        let known = held.get(&evidence.id());
        if recorded.contains(&evidence.id()) && known.is_none_or(|(before, _)| proven && !before) {
            held.insert(evidence.id(), (proven, text));
        }
    });
    held.iter().try_for_each(|(id, (_, text))| bundle.write(&evidence_file(id), text))
}
