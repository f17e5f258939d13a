//! An audit bundle: a folder in the tlog-tiles layout.
//!
//! ```text
//! checkpoint                       the note
//! tile/<level>/<index>[.p/<width>] hash tiles
//! tile/entries/<index>[.p/<width>] entries
//! base/state                       the books before a forward, when entries before it were left out
//! base/entries                     what was kept of before it, and entries up to the first whole file, each after place and length
//! peers/<ledger, hex>/public       the peer's public stream, each entry after its length as two bytes
//! peers/<ledger, hex>/channel      the peer's stream to this ledger, in the same form
//! evidence/<id, hex>.weft-evidence the evidence that an entry records, as a file that people can send
//! openings/<commitment, hex>       a text that somebody opened for the audit, behind its salt
//! ```
//! Nothing else belongs there, and no tile that a log of the checkpoint's size does not have. A channel without the public
//! stream beside it says nothing: nobody could verify it (specs/audit.md §1).

use crate::files::{self, Folder};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use weft_protocol::audit::{EVIDENCE_FOLDER, EntryRef, Finding, Item, NamedBytes, Source};
use weft_protocol::entry::Entry;
use weft_protocol::evidence::MAX_TEXT_BYTES;
use weft_protocol::ids::{LedgerId, PUBLIC_STREAM};
use weft_protocol::ledger::state::{MAX_STATE_BYTES, State};
use weft_protocol::log::note::MAX_NOTE_BYTES;
use weft_protocol::log::tile::{MAX_ENTRY_BYTES, TILE_WIDTH, TileKind, TilePath, all_tiles};

/// Largest bundle file of entries that the format allows.
const MAX_BUNDLE_BYTES: u64 = TILE_WIDTH as u64 * (MAX_ENTRY_BYTES as u64 + 2);

/// See the module.
#[derive(Debug)]
pub struct DirSource {
    folder: Folder,
    tiles: BTreeMap<(TileKind, u64), Vec<TilePath>>,
    /// What is still to be read.
    todo: VecDeque<Todo>,
    ready: VecDeque<Item>,
    reading: Option<PeerFile>,
    kept: Option<KeptFile>,
    /// The first file of entries that there is: those of before a forward are left out.
    first_entries: u64,
    /// Bytes of peers' files that an earlier audit has read.
    read_before: BTreeMap<String, u64>,
}

#[derive(Debug)]
enum Todo {
    Peer(LedgerId, String),
    Kept,
    Entries(TilePath),
}

/// The last part of the names of peers' files.
const PUBLIC: &str = "/public";
const CHANNEL: &str = "/channel";

/// The books before a forward.
pub(crate) const BASE_STATE: &str = "base/state";
/// Entries of ours that stand in no file of 256.
pub(crate) const BASE_ENTRIES: &str = "base/entries";

/// Entries of ours, each after its place (8 bytes) and its length (2 bytes).
#[derive(Debug)]
pub(crate) struct KeptFile {
    reader: BufReader<File>,
    file: Arc<str>,
}

impl KeptFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), file: BASE_ENTRIES.into() })
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next_entry(&mut self) -> Option<Item> {
        let mut head = [0; 10];
        let read = match self.reader.read(&mut head[..1]) {
            Ok(0) => return None,
            Ok(_) => self.reader.read_exact(&mut head[1..]),
            Err(why) => Err(why),
        };
        let mut bytes = Vec::new();
        let read = read.and_then(|()| {
            bytes.resize(usize::from(u16::from_be_bytes([head[8], head[9]])), 0);
            self.reader.read_exact(&mut bytes)
        });
        let (place, _) = head.split_first_chunk().expect("ten bytes begin with eight");
        Some(match read {
            Ok(()) => Item::Own { seq: u64::from_be_bytes(*place), bytes, file: self.file.clone() },
            Err(why) => {
                let finding = match why.kind() {
                    io::ErrorKind::UnexpectedEof => Finding::error("the file ends inside an entry"),
                    _ => Finding::unreadable(format!("it cannot be read: {why}")),
                };
                Item::Problem(finding.in_file(&*self.file))
            }
        })
    }
}

/// A peer's file, read entry by entry.
#[derive(Debug)]
struct PeerFile {
    reader: BufReader<File>,
    from: LedgerId,
    /// Whether it is for the public stream.
    public: bool,
    file: Arc<str>,
}

impl DirSource {
    /// Lists a bundle.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut folder = Folder::open(folder, "")?;
        let tiles = folder.tiles();
        let peers = |last: &str| {
            let of = |name: &str| {
                let hex = name.strip_prefix("peers/")?.strip_suffix(last)?;
                let ledger: LedgerId = hex.parse().ok()?;
                // A name in capitals would be a second name for the same folder.
                (ledger.to_string() == hex).then(|| Todo::Peer(ledger, name.to_owned()))
            };
            folder.names().filter_map(of).collect::<Vec<_>>()
        };
        let mut todo: VecDeque<Todo> = peers(PUBLIC).into();
        let widest = |((kind, _), paths): (&(TileKind, u64), &Vec<TilePath>)| {
            let widest = paths.iter().max_by_key(|path| path.width())?;
            (*kind == TileKind::Entries).then_some(Todo::Entries(*widest))
        };
        if folder.has(BASE_ENTRIES) {
            todo.push_back(Todo::Kept);
        }
        todo.extend(tiles.iter().filter_map(widest));
        let channels = peers(CHANNEL);
        let unverifiable = channels.iter().filter_map(|todo| match todo {
            Todo::Peer(_, name) => Some(format!("{}{PUBLIC}", name.strip_suffix(CHANNEL)?)),
            Todo::Entries(_) | Todo::Kept => None,
        });
        let missing =
            |name| Finding::error("it is missing, and nothing on the channel can be verified").in_file(name);
        let missing: Vec<Item> =
            unverifiable.filter(|name| !folder.has(name)).map(|name| Item::Problem(missing(name))).collect();
        todo.extend(channels);
        let ready = folder.take_problems().into_iter().map(Item::Problem).chain(missing).collect();
        let read_before = BTreeMap::new();
        Ok(Self { folder, tiles, todo, ready, reading: None, kept: None, first_entries: 0, read_before })
    }

    fn before(&self, name: &str) -> u64 {
        self.read_before.get(name).copied().unwrap_or(0)
    }

    fn begin(&mut self, todo: Todo) {
        match todo {
            Todo::Peer(from, name) => match self.folder.open_file(&name, self.before(&name)) {
                Ok(file) => {
                    let reader = BufReader::new(file);
                    let public = name.ends_with(PUBLIC);
                    self.reading =
                        Some(PeerFile { reader, from, public, file: self.folder.shown(&name).into() });
                }
                Err(finding) => self.ready.push_back(Item::Problem(finding)),
            },
            Todo::Kept => match self.folder.open_file(BASE_ENTRIES, 0) {
                Ok(file) => {
                    let file_name = self.folder.shown(BASE_ENTRIES).into();
                    self.kept = Some(KeptFile { reader: BufReader::new(file), file: file_name });
                }
                Err(finding) => self.ready.push_back(Item::Problem(finding)),
            },
            Todo::Entries(path) => match self.folder.read(&path.to_string(), MAX_BUNDLE_BYTES) {
                Ok(stored) => self.ready.extend(split(path, &stored)),
                Err(finding) => self.ready.push_back(Item::Problem(finding)),
            },
        }
    }
}

/// The entries of a bundle, as far as they can be told apart.
fn split(path: TilePath, stored: &NamedBytes) -> Vec<Item> {
    let file: Arc<str> = stored.file.as_str().into();
    let mut items = Vec::new();
    let mut rest = stored.bytes.as_slice();
    for seq in (path.first_element()..).take(usize::from(path.width())) {
        let entry = rest
            .split_first_chunk()
            .and_then(|(len, after)| after.split_at_checked(usize::from(u16::from_be_bytes(*len))));
        let Some((bytes, after)) = entry else {
            let what =
                format!("the file ends inside it, or before it; {} entries should be here", path.width());
            items.push(Item::Problem(Finding::error(what).at(EntryRef::Own(seq)).in_file(&*file)));
            return items;
        };
        items.push(Item::Own { seq, bytes: bytes.to_vec(), file: file.clone() });
        rest = after;
    }
    if !rest.is_empty() {
        let what = format!("{} bytes follow its {} entries", rest.len(), path.width());
        items.push(Item::Problem(Finding::error(what).in_file(&*file)));
    }
    items
}

impl PeerFile {
    /// The next entry; `None` at the end.
    fn next_entry(&mut self) -> Option<Result<Vec<u8>, Finding>> {
        let mut len = [0; 2];
        let mut bytes = Vec::new();
        let read = match self.reader.read(&mut len[..1]) {
            Ok(0) => return None,
            Ok(_) => self.reader.read_exact(&mut len[1..]),
            Err(why) => Err(why),
        };
        let read = read.and_then(|()| {
            bytes.resize(usize::from(u16::from_be_bytes(len)), 0);
            self.reader.read_exact(&mut bytes)
        });
        Some(match read {
            Ok(()) => Ok(bytes),
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Finding::error("the file ends inside an entry").in_file(&*self.file))
            }
            Err(why) => Err(Finding::unreadable(format!("it cannot be read: {why}")).in_file(&*self.file)),
        })
    }
}

impl PeerFile {
    /// Whether an entry is of another stream than its file is for. One that cannot be read is reported by who reads it.
    fn misplaced(&self, bytes: &[u8]) -> Option<Finding> {
        let entry = Entry::parse(bytes).ok()?;
        let public = entry.body().stream?.id == PUBLIC_STREAM;
        let what = "an entry is of another stream than this file is for";
        (public != self.public).then(|| Finding::error(what).in_file(&*self.file))
    }
}

impl Source for DirSource {
    fn is_exact(&self) -> bool {
        true
    }

    fn go_on(&mut self, size: u64, read: &BTreeMap<String, u64>) -> Vec<Finding> {
        let was_full = |path: &TilePath| {
            !path.is_partial() && path.first_element() + u64::from(TILE_WIDTH) <= path.kind().elements(size)
        };
        for path in self.tiles.values().flatten().filter(|path| was_full(path)) {
            self.folder.was_read(&path.to_string());
        }
        self.todo.retain(|todo| match todo {
            Todo::Entries(path) => !was_full(path),
            Todo::Peer(..) | Todo::Kept => true,
        });
        let mut findings = Vec::new();
        for (name, before) in read {
            let shown = self.folder.shown(name);
            let what = match self.folder.size(name) {
                Some(now) if now >= *before => {
                    self.read_before.insert(name.clone(), *before);
                    continue;
                }
                Some(now) => format!("it has {now} bytes, at the earlier audit it had {before}"),
                None => "it is missing, at the earlier audit it was there".to_owned(),
            };
            findings.push(Finding::error(what).in_file(shown));
        }
        findings
    }

    fn positions(&self) -> Option<BTreeMap<String, u64>> {
        let peers = self.folder.names().filter(|name| name.starts_with("peers/"));
        Some(peers.filter_map(|name| Some((name.to_owned(), self.folder.size(name)?))).collect())
    }

    fn base(&mut self) -> Result<Option<(State, String)>, Finding> {
        if !self.folder.has(BASE_STATE) {
            return Ok(None);
        }
        let named = self.folder.read(BASE_STATE, MAX_STATE_BYTES as u64)?;
        let state = State::from_canonical(&named.bytes)
            .map_err(|why| Finding::error(format!("it is no state: {why}")).in_file(&named.file))?;
        // Files before it are none of this bundle's: nothing refers to them.
        self.first_entries = state.head.next_seq.div_ceil(u64::from(TILE_WIDTH));
        let first = self.first_entries;
        self.todo.retain(|todo| !matches!(todo, Todo::Entries(path) if path.index() < first));
        Ok(Some((state, named.file)))
    }

    fn openings(&mut self) -> Vec<Result<NamedBytes, Finding>> {
        /// A salt and the longest content.
        const MAX_OPENING_BYTES: u64 = 32 + 64 * 1024;
        let names: Vec<String> =
            self.folder.names().filter(|name| name.starts_with("openings/")).map(str::to_owned).collect();
        names.iter().map(|name| self.folder.read(name, MAX_OPENING_BYTES)).collect()
    }

    fn evidence(&mut self, each: &mut dyn FnMut(Result<NamedBytes, Finding>)) {
        let names: Vec<String> =
            self.folder.names().filter(|name| name.starts_with(EVIDENCE_FOLDER)).map(str::to_owned).collect();
        names.iter().for_each(|name| each(self.folder.read(name, MAX_TEXT_BYTES as u64)));
    }

    fn checkpoint(&mut self) -> Result<Option<NamedBytes>, Finding> {
        if !self.folder.has("checkpoint") {
            return Ok(None);
        }
        self.folder.read("checkpoint", MAX_NOTE_BYTES as u64).map(Some)
    }

    fn next_item(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if let Some(peer) = &mut self.reading {
                match peer.next_entry() {
                    Some(Ok(bytes)) => {
                        let (from, file) = (peer.from, peer.file.clone());
                        self.ready.extend(peer.misplaced(&bytes).map(Item::Problem));
                        return Some(Item::Received { from, place: None, bytes, file });
                    }
                    Some(Err(finding)) => {
                        self.reading = None;
                        return Some(Item::Problem(finding));
                    }
                    None => self.reading = None,
                }
                continue;
            }
            if let Some(kept) = &mut self.kept {
                let item = kept.next_entry();
                if !matches!(item, Some(Item::Own { .. })) {
                    self.kept = None;
                }
                if item.is_some() {
                    return item;
                }
                continue;
            }
            let todo = self.todo.pop_front()?;
            self.begin(todo);
        }
    }

    fn hash_tiles(&mut self, level: u8, index: u64) -> Vec<(TilePath, Result<NamedBytes, Finding>)> {
        let paths = self.tiles.get(&(TileKind::Hashes(level), index)).cloned().unwrap_or_default();
        self.folder.hash_tiles(&paths)
    }

    fn finish(&mut self, size: Option<u64>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut stale = std::collections::BTreeSet::new();
        if let Some(size) = size {
            let first = self.first_entries;
            let here =
                all_tiles(size).filter(|path| path.kind() != TileKind::Entries || path.index() >= first);
            findings.extend(files::missing(&self.folder, here));
            for path in self.tiles.values().flatten() {
                if TilePath::in_tree(path.kind(), path.first_element(), size) != Some(*path) {
                    let (name, what) =
                        (path.to_string(), format!("a log of {size} entries has no such tile: it is stale"));
                    findings.push(Finding::error(what).in_file(&name));
                    stale.insert(name);
                }
            }
        }
        let unread = self.folder.unread().filter(|name| !stale.contains(*name));
        findings.extend(unread.map(|name| Finding::error("nothing refers to this file").in_file(name)));
        findings
    }
}
