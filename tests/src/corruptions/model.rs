//! A ledger as its own node could rewrite it: every entry, every key, and what peers have said.
//!
//! [`Model::write`] makes an audit bundle of it as specs/audit.md §1 says. What must hold: an unchanged model gives the bundle
//! that the auditor's own command writes, byte for byte; a test compares them.

use crate::kit::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use weft_protocol::clearing::step::{Step, StepArgs};
use weft_protocol::entry::{Body, Entry, Op, Payload, SignedOp, StreamHeader};
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM, StreamId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::is_public;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::tile::{TileBuilder, bundles_for, encode_bundle};

/// What a peer has said, and the key that it said it with.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Which network.
    pub ledger: LedgerId,
    /// Seed of its log key.
    pub log: [u8; 32],
    /// Its public stream, as received.
    pub public: Vec<Entry>,
    /// Its streams of the channel, one for each time that it was reset, in the order received.
    pub channel: Vec<Entry>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its id.
    pub ledger: LedgerId,
    /// Seed of its log key.
    pub log: [u8; 32],
    /// Seed of its desk key.
    pub desk: [u8; 32],
    /// Its entries, by place.
    pub own: Vec<Entry>,
    /// Its peers.
    pub peers: Vec<Peer>,
}

impl Peer {
    /// What a network is called in findings.
    #[must_use]
    pub fn short(&self) -> String {
        self.ledger.short()
    }

    /// The file of its public stream or its channel.
    #[must_use]
    pub fn file(&self, last: &str) -> String {
        format!("peers/{}/{last}", self.ledger)
    }

    /// The channel as it stands: the stream that it writes last, after all resets.
    #[must_use]
    pub fn stream(&self) -> Option<StreamId> {
        Some(self.channel.last()?.body().stream?.id)
    }

    /// Where the entries of that stream stand among all that it has said to us, in the order of the stream.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        let (stream, said) = (self.stream(), self.channel.iter().enumerate());
        said.filter(|(_, entry)| entry.body().stream.map(|h| h.id) == stream).map(|(at, _)| at).collect()
    }

    /// Signs what it has said anew from a place on: what stands there says what it says, in its place of its stream.
    pub fn rechain(&mut self, from: usize) {
        let key = SecretKey::from_seed(&self.log);
        let mut ends: BTreeMap<StreamId, (u64, Hash)> = BTreeMap::new();
        for (at, entry) in self.channel.iter_mut().enumerate() {
            let mut body = entry.body().clone();
            let Some(header) = &mut body.stream else { continue };
            let (sseq, sprev) = ends.get(&header.id).copied().unwrap_or((0, Hash::ZERO));
            let id = header.id;
            if at >= from {
                *header = StreamHeader { id, sseq, sprev };
                *entry = Entry::sign(&body, &key).expect("a changed entry has its form");
            }
            ends.insert(id, (sseq + 1, entry.leaf()));
        }
    }
}

impl Model {
    /// The log key.
    #[must_use]
    pub fn log_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.log)
    }

    /// The desk key.
    #[must_use]
    pub fn desk_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.desk)
    }

    /// The note over the first `size` entries.
    #[must_use]
    pub fn checkpoint(&self, size: usize) -> String {
        let mut tree = TileBuilder::new();
        self.own.iter().take(size).for_each(|entry| tree.push(entry.leaf()));
        let checkpoint = Checkpoint::new(&self.origin(size), tree.size(), tree.root());
        checkpoint.expect("an origin is a name").sign(&self.log_key()).to_string()
    }

    /// The name of the log over the first `size` entries: another one after each succession.
    #[must_use]
    pub fn origin(&self, size: usize) -> String {
        let number = |entry: &Entry| match &entry.op().payload {
            Payload::Succession(succession) => Some(succession.number),
            _ => None,
        };
        match self.own.iter().take(size).rev().find_map(number) {
            Some(number) => format!("{}/{number}", self.ledger.origin()),
            None => self.ledger.origin(),
        }
    }

    /// Whether its newest entries were lost once.
    #[must_use]
    pub fn has_succession(&self) -> bool {
        self.own.iter().any(|entry| matches!(entry.op().payload, Payload::Succession(_)))
    }

    /// Whether a RESET of ours is in effect.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        let begins = |entry: &Entry| match &entry.op().payload {
            Payload::Step(Step { args: StepArgs::Reset(_), reference, .. }) => reference.is_some(),
            _ => false,
        };
        self.own.iter().any(begins)
    }

    /// Writes the bundle into a new folder.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        self.write_tree(folder, &self.own)?;
        for peer in &self.peers {
            for (name, entries) in [("public", &peer.public), ("channel", &peer.channel)] {
                if !entries.is_empty() {
                    put(folder, &peer.file(name), &lengthy(entries))?;
                }
            }
        }
        put(folder, "checkpoint", self.checkpoint(self.own.len()).as_bytes())
    }

    /// Writes tiles and entry bundles.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn write_tree(&self, folder: &Path, entries: &[Entry]) -> Outcome<()> {
        let mut tree = TileBuilder::new();
        entries.iter().for_each(|entry| tree.push(entry.leaf()));
        for tile in tree.take_changed() {
            put(folder, &tile.path.to_string(), &tile.content)?;
        }
        for path in bundles_for(0, tree.size()) {
            let from = usize::try_from(path.first_element())?;
            let part: Vec<&[u8]> =
                entries[from..from + usize::from(path.width())].iter().map(Entry::bytes).collect();
            put(folder, &path.to_string(), &encode_bundle(&part).expect("entries that fit"))?;
        }
        Ok(())
    }

    /// Puts another body at a place, signed by the node, and leaves what follows as it is.
    pub fn replace(&mut self, at: usize, change: impl FnOnce(&mut Body)) {
        let mut body = self.own[at].body().clone();
        change(&mut body);
        self.own[at] = Entry::sign(&body, &self.log_key()).expect("a changed entry has its form");
    }

    /// Rewrites everything from a place on so that it fits: places, chain, streams, and references of the node's own operations to
    /// entries that have another hash now. Only what people and others have signed stays as it is.
    pub fn rewrite(&mut self, from: usize) {
        let key = self.log_key();
        let mut streams: BTreeMap<StreamId, (u64, Hash)> = BTreeMap::new();
        let mut renamed: Vec<(Hash, Hash)> = Vec::new();
        for at in 0..self.own.len() {
            if at >= from {
                let old = self.own[at].leaf();
                let mut body = self.own[at].body().clone();
                body.seq = at as u64;
                body.prev = at.checked_sub(1).map_or(Hash::ZERO, |at| self.own[at].leaf());
                if let Some(header) = &mut body.stream {
                    let (sseq, sprev) = streams.get(&header.id).copied().unwrap_or((0, Hash::ZERO));
                    *header = StreamHeader { id: header.id, sseq, sprev };
                }
                if body.auth.is_empty() {
                    renamed.iter().for_each(|(old, new)| exchange(&mut body.op.0, old, new));
                }
                self.own[at] = Entry::sign(&body, &key).expect("a rewritten entry has its form");
                renamed.push((old, self.own[at].leaf()));
            }
            if let Some(header) = self.own[at].body().stream {
                streams.insert(header.id, (header.sseq + 1, self.own[at].leaf()));
            }
        }
    }

    /// Appends an entry with this operation in its place, signed by the node.
    pub fn append(&mut self, signed: SignedOp) {
        let last = self.own.last().expect("a ledger has a genesis").body().clone();
        let kind = weft_protocol::entry::Kind::from_code(signed.kind);
        let op = kind.and_then(|kind| Op::parse(kind, &signed.op.0).ok());
        let stream = match op.map(|op| op.payload) {
            Some(Payload::Step(Step { channel, .. })) => Some(channel),
            _ => kind.filter(|kind| is_public(*kind)).map(|_| PUBLIC_STREAM),
        };
        let body = Body { kind: signed.kind, op: signed.op, auth: signed.auth, stream: None, ..last };
        let header = stream.map(|id| StreamHeader { id, sseq: 0, sprev: Hash::ZERO });
        let entry =
            Entry::sign(&Body { stream: header, ..body }, &self.log_key()).expect("an entry of its form");
        self.own.push(entry);
        self.rewrite(self.own.len() - 1);
    }

    /// The last own entry that a peer's words fix, if any.
    #[must_use]
    pub fn pinned_to(&self) -> Option<usize> {
        let acked = |peer: &Peer| {
            let stream = peer.stream()?;
            let acks = peer.channel.iter().filter_map(|entry| match &entry.op().payload {
                Payload::Step(step) if step.channel == stream => Some(step.ack.next),
                _ => None,
            });
            let next = acks.max()?.checked_sub(1)?;
            self.own.iter().position(|e| e.body().stream.is_some_and(|h| h.id == stream && h.sseq == next))
        };
        self.peers.iter().filter_map(acked).max()
    }
}

/// Entries one after the other, each behind its length.
#[must_use]
pub fn lengthy(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let len = u16::try_from(entry.bytes().len()).expect("an entry is at most 4,096 bytes");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(entry.bytes());
    }
    out
}

fn exchange(bytes: &mut [u8], old: &Hash, new: &Hash) {
    let found = bytes.windows(Hash::LEN).position(|part| part == old.as_bytes());
    if let Some(at) = found {
        bytes[at..at + Hash::LEN].copy_from_slice(new.as_bytes());
    }
}

/// Writes a file and the folders above it.
///
/// # Errors
/// When it cannot be written.
pub fn put(folder: &Path, name: &str, content: &[u8]) -> Outcome<()> {
    let file = folder.join(name);
    let above = file.parent().ok_or_else(|| Failure::new("a file stands in a folder"))?;
    fs::create_dir_all(above)?;
    Ok(fs::write(file, content)?)
}
