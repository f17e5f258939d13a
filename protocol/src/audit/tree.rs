//! The tree of an audit: leaf hashes as they come, compared with stored tiles, checkpoints and roots.
//!
//! Only the right edge of the tree is held. A place whose entry is missing gets a zero leaf, so that the tiles after
//! it can still be compared; the root is then not judged.

use super::finding::{Class, EntryRef, Finding, Findings};
use super::source::{NamedBytes, Source};
use crate::ids::Hash;
use crate::keys::PublicKey;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::Note;
use crate::log::tile::{
    HASH_LEN, LEVELS, TILE_HEIGHT, TILE_WIDTH, Tile, TileBuilder, TileKind, TilePath, decode_hashes,
    encode_hashes,
};
use crate::log::tree::root_of;
use std::collections::BTreeMap;

/// How the newest checkpoint is called in findings.
const NEWEST: &str = "the checkpoint";
/// Places left out that are filled with zero leaves: more than a lost segment file can hold.
const MAX_GAP: u64 = 1 << 20;

/// A checkpoint note, and what it says if it is to be believed.
#[derive(Debug)]
pub(super) struct Claimed {
    named: NamedBytes,
    note: Option<Note>,
    /// What its text says, unverified.
    pub(super) says: Option<Checkpoint>,
}

impl Claimed {
    pub(super) fn file(&self) -> &str {
        &self.named.file
    }

    pub(super) fn read(named: NamedBytes, findings: &mut Findings) -> Self {
        let parsed = Note::parse(&named.bytes).map_err(|e| e.to_string());
        let read = parsed.and_then(|note| {
            let says = note.text().parse::<Checkpoint>().map_err(|e| e.to_string())?;
            Ok((note, says))
        });
        match read {
            Ok((note, says)) => Self { named, note: Some(note), says: Some(says) },
            Err(why) => {
                findings.add(
                    Finding::error(format!("the checkpoint cannot be read: {why}")).in_file(&named.file),
                );
                Self { named, note: None, says: None }
            }
        }
    }

    /// The note and its file, if it could be read.
    pub(super) fn note(&self) -> Option<(&Note, &str)> {
        self.note.as_ref().map(|note| (note, self.named.file.as_str()))
    }

    /// Whether this log key has signed it.
    pub(super) fn is_of(&self, origin: &str, key: &PublicKey) -> bool {
        self.note.as_ref().is_some_and(|note| Checkpoint::open_note(note, origin, key).is_ok())
    }

    /// Whether the log key in force vouches for it.
    fn verify(&self, origin: &str, key: &PublicKey, findings: &mut Findings) -> bool {
        let Some(note) = &self.note else { return false };
        match Checkpoint::open_note(note, origin, key) {
            Ok(_) => true,
            Err(why) => {
                let what = format!("the checkpoint is not this ledger's: {why}");
                findings.add(Finding::error(what).in_file(&self.named.file));
                false
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Tree {
    builder: TileBuilder,
    /// Tiles at the right edge, by level.
    edge: BTreeMap<u8, Tile>,
    /// Roots wanted at these sizes.
    roots: BTreeMap<u64, Option<Hash>>,
    missing: u64,
    /// Entries that an earlier audit covered; their roots are not known here.
    base: u64,
    /// Whether the entries before `base` were left out: then the stored tiles stand for them.
    left_out: bool,
    /// False after a gap too wide to fill: then nothing after it has its place.
    placed: bool,
}

impl Tree {
    /// Begins with an empty tree, or goes on with that of an earlier audit.
    pub(super) fn new(sizes: impl IntoIterator<Item = u64>, builder: TileBuilder) -> Self {
        let base = builder.size();
        let root = |size| (size, (size == base).then(|| builder.root()));
        let roots = sizes.into_iter().map(root).collect();
        let edge = builder.partial().filter_map(|tile| match tile.path.kind() {
            TileKind::Hashes(level) => Some((level, tile)),
            TileKind::Entries => None,
        });
        Self { edge: edge.collect(), builder, roots, missing: 0, base, left_out: false, placed: true }
    }

    /// What was resumed from is what the stored tiles give.
    pub(super) fn begin_left_out(&mut self) {
        self.left_out = true;
    }

    pub(super) fn builder(&self) -> &TileBuilder {
        &self.builder
    }

    pub(super) fn size(&self) -> u64 {
        self.builder.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.builder.root()
    }

    /// Fills the places up to `seq`.
    pub(super) fn skip_to(&mut self, seq: u64, source: &mut dyn Source, findings: &mut Findings) {
        let gap = seq.saturating_sub(self.size());
        self.missing = self.missing.saturating_add(gap);
        if gap > MAX_GAP {
            self.placed = false;
            return;
        }
        for _ in 0..gap {
            self.push(Hash::ZERO, source, findings);
        }
    }

    pub(super) fn push(&mut self, leaf: Hash, source: &mut dyn Source, findings: &mut Findings) {
        if !self.placed {
            return;
        }
        self.builder.push(leaf);
        let size = self.size();
        if let Some(wanted) = self.roots.get_mut(&size) {
            *wanted = Some(self.builder.root());
        }
        if size.is_multiple_of(u64::from(TILE_WIDTH)) {
            self.compare_changed(source, findings);
        }
    }

    fn compare_changed(&mut self, source: &mut dyn Source, findings: &mut Findings) {
        for tile in self.builder.take_changed() {
            let TileKind::Hashes(level) = tile.path.kind() else { continue };
            if tile.path.is_partial() {
                self.edge.insert(level, tile);
            } else {
                self.edge.remove(&level);
                compare(&tile, level, source, findings);
            }
        }
    }

    /// Compares the right edge, the checkpoint and the earlier checkpoint. Gives the size that is vouched for.
    pub(super) fn finish(
        &mut self,
        source: &mut dyn Source,
        newest: Option<&Claimed>,
        earlier: Option<&Claimed>,
        signer: &dyn Fn(&Claimed) -> Option<(String, PublicKey)>,
        findings: &mut Findings,
    ) -> Option<u64> {
        self.compare_changed(source, findings);
        for (level, tile) in std::mem::take(&mut self.edge) {
            compare(&tile, level, source, findings);
        }
        if let Some(earlier) = earlier {
            self.judge(earlier, "the earlier checkpoint", signer, findings);
        }
        let newest = newest?;
        let size = self.judge(newest, NEWEST, signer, findings)?;
        let beyond = self.size().saturating_sub(size);
        if beyond > 0 {
            let what = format!("{beyond} entries from {size} on are not covered by the checkpoint yet");
            let class = if source.is_exact() { Class::Error } else { Class::NotChecked };
            findings.add(Finding::new(class, what).at(EntryRef::Own(size)).in_file(&newest.named.file));
        }
        Some(size)
    }

    fn judge(
        &self,
        claimed: &Claimed,
        name: &str,
        signer: &dyn Fn(&Claimed) -> Option<(String, PublicKey)>,
        findings: &mut Findings,
    ) -> Option<u64> {
        let says = claimed.says.as_ref()?;
        let (size, file) = (says.size(), &claimed.named.file);
        let Some((origin, key)) = signer(claimed) else {
            findings.add(
                Finding::unreadable(format!("{name} cannot be checked without the genesis")).in_file(file),
            );
            return None;
        };
        if !claimed.verify(&origin, &key, findings) {
            return None;
        }
        if size < self.base && self.left_out {
            if name == NEWEST {
                let what =
                    format!("{name} covers {size} entries, and not the forward at place {}", self.base);
                findings.add(Finding::error(what).in_file(file));
            }
            // An earlier one is compared by a proof out of the tiles.
            return None;
        }
        if size < self.base {
            // Of the newest, the comparison with the earlier audit says more.
            let what =
                format!("{name} of {size} entries is older than the earlier audit, which compared such");
            findings.add(Finding::new(Class::NotChecked, what).in_file(file));
            return None;
        }
        if size > self.size() {
            let what = format!("{name} covers {size} entries, only {} are here", self.size());
            findings.add(Finding::error(what).at(EntryRef::Own(self.size())).in_file(file));
            return None;
        }
        if self.missing > 0 {
            let what = format!("the root of {name} was not compared, because entries are missing");
            findings.add(Finding::new(Class::NotChecked, what).in_file(file));
            return None;
        }
        let root =
            if size == 0 { Some(crate::log::tree::empty_root()) } else { self.roots.get(&size).copied()? };
        if root == Some(says.root()) {
            return Some(size);
        }
        let what = format!(
            "{name} of {size} entries has another root than these entries: their history was changed"
        );
        findings.add(Finding::new(Class::Mismatch, what).in_file(file));
        None
    }
}

/// Compares every stored file of a tile with what the entries give; narrower files are beginnings of it.
fn compare(tile: &Tile, level: u8, source: &mut dyn Source, findings: &mut Findings) {
    for (path, stored) in source.hash_tiles(level, tile.path.index()) {
        let stored = match stored {
            Ok(stored) => stored,
            Err(finding) => {
                findings.add(finding);
                continue;
            }
        };
        let wanted = usize::from(path.width()).saturating_mul(HASH_LEN);
        let what = match tile.content.get(..wanted) {
            None => Some(format!("it names {} hashes, the entries give {}", path.width(), tile.path.width())),
            Some(_) if stored.bytes.len() != wanted => {
                Some(format!("it has {} bytes, {wanted} are right", stored.bytes.len()))
            }
            Some(right) => first_difference(right, &stored.bytes)
                .map(|at| format!("hash {at} is not what the entries give")),
        };
        if let Some(what) = what {
            let finding = Finding::error(format!("the tile is wrong: {what}")).in_file(stored.file);
            let at = tile.content.get(..wanted).and_then(|right| first_difference(right, &stored.bytes));
            let first = tile.path.first_element();
            findings.add(match at {
                Some(at) if level == 0 => finding.at(EntryRef::Own(first.saturating_add(at))),
                Some(_) | None => finding,
            });
        }
    }
}

/// Index of the first hash that differs.
fn first_difference(right: &[u8], stored: &[u8]) -> Option<u64> {
    let differs = |(a, b): (&[u8], &[u8])| a != b;
    let at = right.chunks(HASH_LEN).zip(stored.chunks(HASH_LEN)).position(differs)?;
    u64::try_from(at).ok()
}

/// The tree of a size as the stored tiles have it: its right edge, after every full tile below was held against the hash
/// above it. What stands at the edge is vouched for by the checkpoint's root, at the end.
pub(super) fn stored(size: u64, source: &mut dyn Source, findings: &mut Findings) -> Option<TileBuilder> {
    let mut right = true;
    for level in 0..LEVELS {
        let elements = TileKind::Hashes(level).elements(size);
        let mut above: Option<(u64, Vec<Hash>)> = None;
        for index in 0..elements >> TILE_HEIGHT {
            let parent = index >> TILE_HEIGHT;
            if above.as_ref().is_none_or(|(known, _)| *known != parent) {
                above = Some((parent, widest(level.saturating_add(1), parent, source)));
            }
            let place =
                usize::try_from(index & u64::from(TILE_WIDTH.saturating_sub(1))).unwrap_or(usize::MAX);
            let wanted = above.as_ref().and_then(|(_, hashes)| hashes.get(place));
            let hashes = widest(level, index, source);
            let full = hashes.len() == usize::from(TILE_WIDTH);
            if !full || wanted != Some(&root_of(hashes)) {
                right = false;
                let name = TilePath::new(TileKind::Hashes(level), index, TILE_WIDTH)
                    .map_or_else(|_| format!("tile/{level}"), |path| path.to_string());
                let what = "it is missing, or does not give the hash above it; no entries are here that it could be made from";
                findings.add(Finding::error(what).in_file(&name));
            }
        }
    }
    let load = |path: &TilePath| {
        let TileKind::Hashes(level) = path.kind() else { return None };
        let hashes = widest(level, path.index(), source);
        hashes.get(..usize::from(path.width())).map(encode_hashes)
    };
    match TileBuilder::resume(size, load) {
        Ok(builder) => right.then_some(builder),
        Err(why) => {
            findings.add(Finding::error(format!("the tree before the forward: {why}")));
            None
        }
    }
}

/// The hashes of a stored tile, of the widest of its files that can be read; none when there is none.
pub(super) fn widest(level: u8, index: u64, source: &mut dyn Source) -> Vec<Hash> {
    let files = source.hash_tiles(level, index).into_iter();
    let read = files.filter_map(|(path, named)| decode_hashes(path, &named.ok()?.bytes).ok());
    read.max_by_key(Vec::len).unwrap_or_default()
}
