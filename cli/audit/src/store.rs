//! A node's data folder, read without the node: segments record by record, public files compared.
//!
//! Every byte of a segment is covered by a checksum, and by a seal where the node stopped cleanly; the checkpoint
//! and tiles in `ledger/public` are compared with what the segments give.

use crate::files::{self, Folder};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_protocol::audit::{Class, EntryRef, Finding, Item, NamedBytes, Source};
use weft_protocol::base::{Base, Floor, MAX_BASE_BYTES};
use weft_protocol::evidence::Evidence;
use weft_protocol::ledger::state::State;
use weft_protocol::log::note::MAX_NOTE_BYTES;
use weft_protocol::log::tile::{TileKind, TilePath, tiles_for};
use weft_protocol::record::{Fault, NoteKind, RecordKey, Scanner, Step, claimed_key, is_unfinished};

/// What stands in the place of entries that were left out, inside the ledger folder.
const BASE: &str = "base";
/// Largest segment that is read: what a node writes, with room for one record more.
const MAX_SEGMENT_BYTES: u64 = 16 * 1024 * 1024 + 128 * 1024;
/// Notes of evidence that are held until the end: at most 8 are recorded of one network, and one has at most 60 KiB.
const MAX_EVIDENCE: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub struct StoreSource {
    segments: Folder,
    public: Folder,
    tiles: BTreeMap<(TileKind, u64), Vec<TilePath>>,
    /// Segment files still to be read, in order.
    todo: VecDeque<String>,
    ready: VecDeque<Item>,
    notes: u64,
    /// Notes of evidence, and the segment each stands in.
    evidence: Vec<(Arc<str>, Vec<u8>)>,
    evidence_left: u64,
    floor: Floor,
    base: Option<Result<Base, Finding>>,
}

impl StoreSource {
    /// Lists a data folder.
    ///
    /// # Errors
    /// When it has no `ledger/segments` that can be read.
    pub fn open(data: &Path) -> io::Result<Self> {
        let ledger = data.join("ledger");
        let mut segments = Folder::open(&ledger.join("segments"), "ledger/segments/")?;
        let mut problems = segments.take_problems();
        let public = match Folder::open(&ledger.join("public"), "ledger/public/") {
            Ok(folder) => folder,
            Err(why) if why.kind() == io::ErrorKind::NotFound => Folder::none("ledger/public/"),
            Err(why) => return Err(why),
        };
        let (floor, base) = read_base(&ledger);
        let todo: VecDeque<String> =
            segments.names().filter(|name| is_segment(name)).map(str::to_owned).collect();
        for (number, name) in todo.iter().enumerate() {
            let expected = format!("{:08}.seg", u64::from(floor.first) + number as u64);
            if *name != expected
                && (number == 0 || todo.get(number - 1).is_some_and(|last| next_name(last) != *name))
            {
                let what = format!("{expected} or the file before this one is missing");
                problems.push(Finding::error(what).in_file(segments.shown(name)));
            }
        }
        if todo.is_empty() {
            problems.push(Finding::unreadable("there are no segments").in_file("ledger/segments"));
        }
        problems.extend(others(&ledger)?);
        let tiles = public.tiles();
        let mut source = Self {
            segments,
            public,
            tiles,
            todo,
            ready: VecDeque::new(),
            notes: 0,
            evidence: Vec::new(),
            evidence_left: 0,
            floor,
            base,
        };
        problems.extend(source.public.take_problems());
        source.ready.extend(problems.into_iter().map(Item::Problem));
        Ok(source)
    }

    /// What stands in the place of entries that were left out; once.
    pub(crate) fn take_base(&mut self) -> Result<Option<Base>, Finding> {
        self.base.take().transpose()
    }

    fn hold_evidence(&mut self, file: Arc<str>, bytes: Vec<u8>) {
        if self.evidence.iter().any(|(_, held)| *held == bytes) {
            return;
        }
        if self.evidence.len() < MAX_EVIDENCE {
            self.evidence.push((file, bytes));
        } else {
            self.evidence_left += 1;
        }
    }

    /// Everything in one segment, in order.
    fn read_segment(&mut self, name: &str, is_last: bool) {
        let stored = match self.segments.read(name, MAX_SEGMENT_BYTES) {
            Ok(stored) => stored,
            Err(finding) => return self.ready.push_back(Item::Problem(finding)),
        };
        let file: Arc<str> = stored.file.as_str().into();
        let mut scanner = Scanner::new(&stored.bytes);
        loop {
            match scanner.step() {
                Ok(None) => break,
                Ok(Some(Step::Seal(_))) => {}
                Ok(Some(Step::Record(_, record))) => {
                    let (bytes, file) = (record.bytes().to_vec(), file.clone());
                    match record.key() {
                        RecordKey::Own { seq } => self.ready.push_back(Item::Own { seq, bytes, file }),
                        RecordKey::Received { ledger, stream, sseq, boot } => {
                            let place = Some((stream, sseq, boot));
                            self.ready.push_back(Item::Received { from: ledger, place, bytes, file });
                        }
                        RecordKey::Note { kind: NoteKind::EVIDENCE, .. } => self.hold_evidence(file, bytes),
                        RecordKey::Note { .. } => self.notes += 1,
                    }
                }
                Err(fault) => {
                    let (offset, number) = (scanner.offset(), scanner.number());
                    let unfinished = is_last && is_unfinished(&stored.bytes, offset, fault);
                    let skipped = scanner.skip_damage();
                    let finding = damage(&stored.bytes[offset..], offset, number, skipped, fault, unfinished);
                    self.ready.push_back(Item::Problem(finding.in_file(&*file)));
                    if unfinished {
                        break;
                    }
                }
            }
        }
        if !is_last && scanner.sealed_to() != stored.bytes.len() {
            let what = "it does not end with a seal, and it is not the last one";
            self.ready.push_back(Item::Problem(Finding::error(what).in_file(&*file)));
        }
    }
}

/// What is said of a record that cannot be read.
fn damage(
    bytes: &[u8],
    offset: usize,
    number: u64,
    skipped: usize,
    fault: Fault,
    unfinished: bool,
) -> Finding {
    let key = claimed_key(bytes);
    let about = key.map_or_else(String::new, |key| format!(" ({key}, if that can be read)"));
    if unfinished {
        let what = format!(
            "record {number} at offset {offset}{about} is an unfinished write of {skipped} bytes, which the node puts \
             aside at its next start: {fault}"
        );
        return Finding::new(Class::Warning, what);
    }
    let what = format!("record {number} at offset {offset}{about} is damaged, {skipped} bytes: {fault}");
    match key {
        Some(RecordKey::Own { seq }) => Finding::error(what).at(EntryRef::Own(seq)),
        Some(RecordKey::Received { ledger, stream, sseq, .. }) => {
            Finding::error(what).at(EntryRef::Stream { ledger, stream, sseq })
        }
        Some(RecordKey::Note { .. }) | None => Finding::error(what),
    }
}

/// The base of a ledger that began anew at a forward, and where its segments begin.
fn read_base(ledger: &Path) -> (Floor, Option<Result<Base, Finding>>) {
    let path = ledger.join(BASE);
    let unreadable = |why: String| {
        let finding =
            Finding::unreadable(format!("it cannot be read: {why}")).in_file(format!("ledger/{BASE}"));
        (Floor::default(), Some(Err(finding)))
    };
    let len = match std::fs::metadata(&path) {
        Ok(about) => about.len(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return (Floor::default(), None),
        Err(why) => return unreadable(why.to_string()),
    };
    if len > MAX_BASE_BYTES {
        return unreadable(format!("it has {len} bytes, at most {MAX_BASE_BYTES} are read"));
    }
    let base = std::fs::read(&path).map_err(|e| e.to_string());
    match base.and_then(|bytes| Base::parse(&bytes).map_err(|e| e.to_string())) {
        Ok(base) => (base.floor, Some(Ok(base))),
        Err(why) => {
            let finding = Finding::error(format!("it is damaged: {why}")).in_file(format!("ledger/{BASE}"));
            (Floor::default(), Some(Err(finding)))
        }
    }
}

fn is_segment(name: &str) -> bool {
    name.strip_suffix(".seg")
        .is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn next_name(name: &str) -> String {
    let number: u64 = name.get(..8).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    format!("{:08}.seg", number + 1)
}

/// What else lies in the ledger folder.
fn others(ledger: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(ledger)? {
        let name: PathBuf = entry?.file_name().into();
        match name.to_str() {
            Some("segments" | "public" | BASE) => {}
            Some(name) if name.starts_with("kept-") => {
                let what = "leaving out old entries was interrupted; the next start finishes it";
                findings.push(Finding::new(Class::Warning, what).in_file(format!("ledger/{name}")));
            }
            Some("torn") => {
                let what = "bytes of unfinished writes, which the node put aside";
                findings.push(Finding::new(Class::Warning, what).in_file("ledger/torn"));
            }
            _ => {
                let file = format!("ledger/{}", name.display());
                findings.push(Finding::new(Class::NotChecked, "it is no part of the ledger").in_file(file));
            }
        }
    }
    Ok(findings)
}

impl Source for StoreSource {
    fn is_exact(&self) -> bool {
        false
    }

    fn base(&mut self) -> Result<Option<(State, String)>, Finding> {
        let base = self.take_base()?;
        Ok(base.map(|base| (base.replay.state().clone(), format!("ledger/{BASE}"))))
    }

    fn checkpoint(&mut self) -> Result<Option<NamedBytes>, Finding> {
        if !self.public.has("checkpoint") {
            return Ok(None);
        }
        self.public.read("checkpoint", MAX_NOTE_BYTES as u64).map(Some)
    }

    fn next_item(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            let name = self.todo.pop_front()?;
            self.read_segment(&name, self.todo.is_empty());
        }
    }

    fn evidence(&mut self, each: &mut dyn FnMut(Result<NamedBytes, Finding>)) {
        for (file, bytes) in std::mem::take(&mut self.evidence) {
            let text = Evidence::parse(&bytes).map(|evidence| evidence.to_text().into_bytes());
            each(match text {
                Ok(bytes) => Ok(NamedBytes { file: file.to_string(), bytes }),
                Err(why) => Err(Finding::error(format!("a note of evidence: {why}")).in_file(&*file)),
            });
        }
        if self.evidence_left > 0 {
            let what = format!("{} notes of evidence beyond the first {MAX_EVIDENCE}", self.evidence_left);
            each(Err(Finding::new(Class::NotChecked, what)));
        }
    }

    fn hash_tiles(&mut self, level: u8, index: u64) -> Vec<(TilePath, Result<NamedBytes, Finding>)> {
        let paths = self.tiles.get(&(TileKind::Hashes(level), index)).cloned().unwrap_or_default();
        self.public.hash_tiles(&paths)
    }

    fn finish(&mut self, size: Option<u64>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(size) = size {
            findings.extend(files::missing(&self.public, tiles_for(0, size)));
        }
        for folder in [&self.segments, &self.public] {
            for name in folder.unread() {
                // A node that was killed leaves the file that it was about to rename, until it starts again.
                let left_over = name.ends_with(".new");
                let class = if left_over { Class::Warning } else { Class::Error };
                findings.push(Finding::new(class, "nothing refers to this file").in_file(folder.shown(name)));
            }
        }
        if self.floor.seq > 0 {
            let what = "what peers had said before the forward, as the node remembers it; what they have sent was checked";
            findings.push(Finding::new(Class::NotChecked, what).in_file(format!("ledger/{BASE}")));
        }
        if self.notes > 0 {
            let what = format!("{} descriptors and cosignatures of others", self.notes);
            findings.push(Finding::new(Class::NotChecked, what));
        }
        findings
    }
}
