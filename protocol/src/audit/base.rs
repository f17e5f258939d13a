//! Auditing a ledger whose old entries were left out before a forward (specs/audit.md §9).
//!
//! The books before the forward are taken as they are: applying the forward shows that they have the digest it names, and
//! the tree that it stands in the ledger. What was kept of before is checked for what it can be without the rest: its
//! place in the tree, its stream, its signatures, keys from the genesis on, and what channels say.

use super::channel::Side;
use super::finding::{Class, EntryRef, Finding, Findings, LeftOut};
use super::replay::Replay;
use super::signatures::{About, Job};
use super::source::Source;
use super::tree;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, PUBLIC_STREAM, StreamId};
use crate::ledger::identity::{Identity, Purpose};
use crate::ledger::state::{State, StreamRow};
use crate::log::tile::{TILE_HEIGHT, TILE_WIDTH, TileBuilder};
use crate::log::tree::leaf_hash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of the time before the forward.
#[derive(Debug)]
pub(super) struct BaseSide {
    /// Place of the forward.
    seq: u64,
    file: String,
    /// As the books before the forward say.
    wanted: (Option<Identity>, BTreeMap<StreamId, StreamRow>),
    /// As what was kept gives.
    identity: Option<Identity>,
    streams: BTreeMap<StreamId, StreamRow>,
    kept: u64,
    last: Option<u64>,
    /// The last tile of leaves that was asked for.
    leaves: Option<(u64, Vec<Hash>)>,
}

/// The books before a forward, and the file they stand in.
pub(super) struct Books {
    pub(super) state: State,
    pub(super) file: String,
}

impl Replay {
    /// Begins with the books before the forward, and the tree that the stored tiles give for its place.
    pub(super) fn from_books(
        threads: usize,
        sizes: Vec<u64>,
        mut findings: Findings,
        books: Books,
        source: &mut dyn Source,
    ) -> Self {
        let Books { state, file } = books;
        let seq = state.head.next_seq;
        let builder = match tree::stored(seq, source, &mut findings) {
            Some(builder) => builder,
            None => TileBuilder::new(),
        };
        let mut replay = Self::new(threads, sizes, findings, builder);
        replay.tree.begin_left_out();
        (replay.entries, replay.next) = (seq, seq);
        replay.before = Some(state.head.leaf);
        replay.sums = state.sums();
        if let Some(identity) = &state.identity {
            replay.networks.know_us(identity);
        }
        replay.base = Some(BaseSide {
            seq,
            file,
            wanted: (state.identity.clone(), state.streams.clone()),
            identity: None,
            streams: BTreeMap::new(),
            kept: 0,
            last: None,
            leaves: None,
        });
        replay.state = state;
        replay
    }

    /// An entry from before the forward.
    pub(super) fn kept(&mut self, seq: u64, bytes: &[u8], file: &Arc<str>, source: &mut dyn Source) {
        let Some(base) = &mut self.base else { return };
        let findings = &mut self.findings;
        let mut report = |class, what: String| {
            findings.add(Finding::new(class, what).at(EntryRef::Own(seq)).in_file(&**file));
        };
        if base.last.is_some_and(|last| last >= seq) {
            return report(Class::Error, "it does not come after the one before it".to_owned());
        }
        base.last = Some(seq);
        base.kept = base.kept.saturating_add(1);
        if base.leaf(seq, source) != Some(leaf_hash(bytes)) {
            report(Class::Mismatch, "it is not the entry that the hash tiles name here".to_owned());
        }
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(why) => return report(Class::Error, format!("it cannot be read: {why}")),
        };
        if entry.body().seq != seq || Some(entry.body().ledger) != base.wanted.0.as_ref().map(|id| id.ledger)
        {
            report(Class::Error, "it says another place, or another ledger".to_owned());
        }
        if let Err(what) = base.follow(&entry) {
            report(Class::Error, what);
        }
        let known = base.wanted.0.as_ref();
        let is_public = entry.body().stream.is_some_and(|header| header.id == PUBLIC_STREAM);
        if is_public {
            // With all its signatures, as a stranger checks them.
            let after = match &base.identity {
                None => Identity::from_entries([&entry]),
                Some(identity) => identity.after(&entry),
            };
            match after {
                Ok(identity) => {
                    let current = identity.current(Purpose::Log);
                    let key = current.and_then(|(epoch, _)| identity.log_key(epoch).ok());
                    if let Some(key) =
                        key.filter(|key| self.log_keys.last().is_none_or(|(_, last)| last != key))
                    {
                        self.log_keys.push((seq, key));
                    }
                    base.identity = Some(identity);
                }
                Err(why) => report(Class::Error, why.to_string()),
            }
        } else if let Some(key) = known
            .and_then(|identity| identity.log_key_at(entry.body().epoch, seq).ok())
            .map(|key| key.bytes())
        {
            let about = About { entry: EntryRef::Own(seq), what: "the node's signature", file: file.clone() };
            let (message, sig) = (entry.node_message(), *entry.node_sig());
            self.checker.push(&Job { key, message: &message, sig, about: &about });
        } else {
            report(Class::Error, "it is signed under a key that was not in force".to_owned());
        }
        self.counts.node = self.counts.node.saturating_add(1);
        let time_ms = entry.body().time_ms;
        self.time_ms.get_or_insert((time_ms, time_ms));
        self.openings.see(seq, &entry.op().sidecars);
        self.evidence.see(seq, &entry);
        self.learn_predecessor(&entry);
        Side::book(&mut self.sides, &self.state, &entry);
        self.say(seq, &entry, file);
    }

    /// Where old entries were left out: whether what was kept is all that the books before the forward speak of.
    pub(super) fn finish_kept(&mut self) -> Option<LeftOut> {
        let base = self.base.take()?;
        let (identity, streams) = &base.wanted;
        if *identity != base.identity {
            let what = "the keys in the books before the forward are not those that the public stream gives from the genesis on";
            self.findings.add(Finding::error(what).in_file(&base.file));
        }
        let none = StreamRow { next: 0, head: Hash::ZERO };
        for (id, row) in streams {
            let have = base.streams.get(id).unwrap_or(&none);
            if have != row {
                let what = format!(
                    "of stream {id} {} entries from before the forward are here, the books before it say {}",
                    have.next, row.next
                );
                self.findings.add(Finding::error(what).in_file(&base.file));
            }
        }
        for id in base.streams.keys().filter(|id| !streams.contains_key(id)) {
            let what = format!("the books before the forward know nothing of stream {id}");
            self.findings.add(Finding::error(what).in_file(&base.file));
        }
        Some(LeftOut { before: base.seq, entries: base.seq.saturating_sub(base.kept) })
    }

    /// That entries were left out is said in every audit that has not read them, loudly.
    pub(super) fn name_left_out(&mut self, left_out: Option<&LeftOut>) {
        let Some(left_out) = left_out else { return };
        let what = format!(
            "{} ENTRIES BEFORE THE FORWARD AT PLACE {} WERE LEFT OUT: how the balances of then came about, who signed for \
             it and whether every rule was kept cannot be seen here. What stands is that the forward signs these balances, \
             and that the checkpoint covers it. An audit from before it (--since) closes this",
            left_out.entries, left_out.before
        );
        self.findings.add(Finding::new(Class::NotChecked, what).at(EntryRef::Own(left_out.before)));
    }
}

impl BaseSide {
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The leaf hash that the stored tiles have at a place.
    fn leaf(&mut self, seq: u64, source: &mut dyn Source) -> Option<Hash> {
        let index = seq >> TILE_HEIGHT;
        if self.leaves.as_ref().is_none_or(|(known, _)| *known != index) {
            self.leaves = Some((index, tree::widest(0, index, source)));
        }
        let place = usize::try_from(seq & u64::from(TILE_WIDTH.saturating_sub(1))).ok()?;
        self.leaves.as_ref()?.1.get(place).copied()
    }

    /// Whether an entry is the next of its stream, or brings the next one back.
    fn follow(&mut self, entry: &Entry) -> Result<(), String> {
        let back = match &entry.op().payload {
            Payload::Recovered(recovered) => recovered.lost(),
            _ => None,
        };
        let entry = back.as_ref().unwrap_or(entry);
        let Some(header) = entry.body().stream else { return Ok(()) };
        let row = self.streams.entry(header.id).or_insert(StreamRow { next: 0, head: Hash::ZERO });
        let fits = (row.next, row.head) == (header.sseq, header.sprev);
        let next = row.next;
        *row = StreamRow { next: header.sseq.saturating_add(1), head: entry.leaf() };
        let wrong = || {
            format!(
                "it is place {} of its stream, or follows another entry; place {next} is next",
                header.sseq
            )
        };
        if fits { Ok(()) } else { Err(wrong()) }
    }
}
