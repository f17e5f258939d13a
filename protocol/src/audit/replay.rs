//! Our own entries, one after another, through the same rules as in the node.
//!
//! After something wrong the replay goes on: what an entry says of its place is reported once and then taken as it
//! is; an entry that the rules refuse changes nothing.

mod finish;

use super::base::{BaseSide, Books};
use super::channel::Side;
use super::evidence::RecordedAt;
use super::finding::{Class, EntryRef, Finding, Findings, SignatureCounts};
use super::networks::Networks;
use super::openings::Openings;
use super::resume::{Edge, Resumed};
use super::signatures::{About, Checker, Job};
use super::source::{Item, Source};
use super::tree::{Claimed, Tree};
use super::{Audit, Options};
use crate::entry::{Entry, EntryError, How, Kind, Payload};
use crate::ids::{Hash, LedgerId, StreamId, UnitId};
use crate::keys::PublicKey;
use crate::ledger::authority::Authority;
use crate::ledger::identity::{Predecessor, Purpose, is_identity};
use crate::ledger::state::{Change, State, StreamRow};
use crate::ledger::{self, SigCheck};
use crate::log::tile::TileBuilder;
use crate::log::tree::leaf_hash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries between two reports of progress.
const PROGRESS_EVERY: u64 = 4_096;

pub(super) struct Replay {
    /// Of the earlier audit that this one goes on from.
    since: Option<Edge>,
    /// Where old entries were left out.
    pub(super) base: Option<BaseSide>,
    /// The ledger that this one says it takes the place of.
    pub(super) predecessor: Option<Predecessor>,
    pub(super) openings: Openings,
    pub(super) evidence: RecordedAt,
    pub(super) state: State,
    pub(super) sums: BTreeMap<UnitId, i128>,
    pub(super) tree: Tree,
    pub(super) checker: Checker,
    pub(super) networks: Networks,
    pub(super) sides: BTreeMap<StreamId, Side>,
    pub(super) findings: Findings,
    pub(super) entries: u64,
    pub(super) next: u64,
    /// Leaf hash of the entry before; `None` when it could not be read.
    pub(super) before: Option<Hash>,
    /// Place of the last entry that could not be read or was missing.
    lost_at: Option<u64>,
    /// Where each stream was last heard of.
    heard: BTreeMap<StreamId, u64>,
    /// Each log key and the first place it may sign checkpoints from.
    pub(super) log_keys: Vec<(u64, PublicKey)>,
    kinds: BTreeMap<Kind, u64>,
    pub(super) counts: SignatureCounts,
    pub(super) time_ms: Option<(u64, u64)>,
    no_genesis: bool,
}

pub(super) fn run(
    source: &mut dyn Source,
    options: &Options,
    resumed: Option<Resumed>,
    progress: &mut dyn FnMut(u64),
) -> Audit {
    let mut findings = Findings::default();
    let newest = match source.checkpoint() {
        Ok(Some(named)) => Some(Claimed::read(named, &mut findings)),
        Ok(None) if source.is_exact() => {
            findings.add(Finding::error("there is no checkpoint"));
            None
        }
        Ok(None) => {
            findings.add(Finding::unreadable("there is no checkpoint, so nothing vouches for the entries"));
            None
        }
        Err(finding) => {
            findings.add(finding);
            None
        }
    };
    let earlier = options.earlier.clone().map(|named| Claimed::read(named, &mut findings));
    let wanted = [newest.as_ref(), earlier.as_ref()].into_iter().flatten();
    let sizes: Vec<u64> =
        wanted.filter_map(|claimed| claimed.says.as_ref()).map(|says| says.size()).collect();
    let base = source.base().unwrap_or_else(|finding| {
        findings.add(finding);
        None
    });
    let covers = |seq: u64| resumed.as_ref().is_none_or(|resumed| resumed.since().entries < seq);
    let books = base.filter(|(state, _)| covers(state.head.next_seq));
    if let (Some((state, _)), Some(resumed)) = (&books, &resumed) {
        let (from, to) = (resumed.since().entries, state.head.next_seq);
        let what = format!(
            "the earlier audit covered {from} entries, those after it up to {to} were left out since: it cannot be gone on from"
        );
        findings.add(Finding::unreadable(what));
    }
    let mut replay = match (books, resumed) {
        (Some((state, file)), _) => {
            Replay::from_books(options.threads, sizes, findings, Books { state, file }, source)
        }
        (None, Some(resumed)) => {
            source
                .go_on(resumed.since().entries, resumed.positions())
                .into_iter()
                .for_each(|f| findings.add(f));
            Replay::resume(options.threads, sizes, findings, resumed)
        }
        (None, None) => Replay::new(options.threads, sizes, findings, TileBuilder::new()),
    };
    replay.openings = Openings::read(source.openings(), &mut replay.findings);
    while let Some(item) = source.next_item() {
        match item {
            Item::Own { seq, bytes, file } => {
                replay.own(seq, &bytes, &file, source);
                if replay.entries.is_multiple_of(PROGRESS_EVERY) {
                    progress(replay.entries);
                }
            }
            Item::Received { from, place, bytes, file } => {
                let Replay { networks, checker, findings, .. } = &mut replay;
                networks.receive(from, place, &bytes, &file, checker, findings);
            }
            Item::Problem(finding) => replay.findings.add(finding),
        }
    }
    progress(replay.entries);
    replay.finish(source, newest.as_ref(), earlier.as_ref(), options)
}

impl Replay {
    pub(super) fn new(threads: usize, sizes: Vec<u64>, findings: Findings, tree: TileBuilder) -> Self {
        Self {
            since: None,
            base: None,
            predecessor: None,
            openings: Openings::default(),
            evidence: RecordedAt::default(),
            state: State::default(),
            sums: BTreeMap::new(),
            tree: Tree::new(sizes, tree),
            checker: Checker::new(threads),
            networks: Networks::default(),
            sides: BTreeMap::new(),
            findings,
            entries: 0,
            next: 0,
            before: Some(Hash::ZERO),
            lost_at: None,
            heard: BTreeMap::new(),
            log_keys: Vec::new(),
            kinds: BTreeMap::new(),
            counts: SignatureCounts::default(),
            time_ms: None,
            no_genesis: false,
        }
    }

    /// Goes on where an earlier audit ended.
    fn resume(threads: usize, sizes: Vec<u64>, findings: Findings, resumed: Resumed) -> Self {
        let mut replay = Self::new(threads, sizes, findings, resumed.tree.clone());
        let saved = resumed.saved();
        replay.entries = resumed.since().entries;
        replay.next = replay.entries;
        replay.predecessor = saved.predecessor;
        replay.kinds =
            saved.kinds.iter().filter_map(|(code, count)| Some((Kind::from_code(*code)?, *count))).collect();
        replay.counts = saved.counts;
        // Of others' signatures the networks keep count, and add them at the end.
        let of_others = saved.networks.clearing_signatures;
        replay.counts.clearing = replay.counts.clearing.saturating_sub(of_others);
        replay.time_ms = Some(saved.time_ms);
        let keys = saved.log_keys.iter();
        replay.log_keys = keys.filter_map(|(from, key)| Some((*from, PublicKey::new(key).ok()?))).collect();
        let (state, sides, networks, edge) = resumed.into_parts();
        replay.sums = state.sums();
        replay.before = Some(state.head.leaf);
        (replay.state, replay.sides, replay.networks) = (state, sides, networks);
        replay.since = Some(edge);
        replay
    }

    /// An entry that the earlier audit covered comes again with a file that was not full then.
    fn again(&mut self, seq: u64, bytes: &[u8], file: &Arc<str>) -> bool {
        let Some(edge) = self.since.as_ref().filter(|edge| seq < edge.since.entries) else { return false };
        if edge.leaf(seq).is_some_and(|leaf| leaf != leaf_hash(bytes)) {
            let what = "it is another entry than the earlier audit has read here: history was changed";
            let finding = Finding::new(Class::Mismatch, what).at(EntryRef::Own(seq)).in_file(&**file);
            self.findings.add(finding);
        }
        true
    }

    fn own(&mut self, seq: u64, bytes: &[u8], file: &Arc<str>, source: &mut dyn Source) {
        let at = |what: String| Finding::error(what).at(EntryRef::Own(seq)).in_file(&**file);
        if self.again(seq, bytes, file) {
            return;
        }
        if self.base.as_ref().is_some_and(|base| seq < base.seq()) {
            return self.kept(seq, bytes, file, source);
        }
        if seq < self.next {
            self.findings.add(at("this place was there already".into()));
            return;
        }
        if seq > self.next {
            let last = seq.saturating_sub(1);
            let what = if last == self.next {
                "it is missing".into()
            } else {
                format!("they are missing up to entry {last}")
            };
            self.findings.add(Finding::error(what).at(EntryRef::Own(self.next)).in_file(&**file));
            self.lost(last);
            self.tree.skip_to(seq, source, &mut self.findings);
        }
        self.next = seq.saturating_add(1);
        self.entries = self.entries.saturating_add(1);
        let parsed = Entry::parse(bytes);
        // Whoever could read it has hashed it.
        let leaf = parsed.as_ref().map_or_else(|_| leaf_hash(bytes), Entry::leaf);
        self.tree.push(leaf, source, &mut self.findings);
        match parsed {
            Ok(entry) => {
                self.entry(seq, &entry, file);
                self.before = Some(leaf);
            }
            Err(why @ (EntryError::UnknownKind(_) | EntryError::Version(_))) => {
                let what = format!("it cannot be checked: {why}");
                let finding = Finding::unreadable(what).at(EntryRef::Own(seq)).in_file(&**file);
                self.findings.add(finding);
                self.lost(seq);
                self.before = Some(leaf);
            }
            Err(why) => {
                // Where one length is wrong, everything after it in the file is unreadable: the first one counts.
                if self.lost_at.is_none() || self.lost_at != seq.checked_sub(1) || self.before.is_some() {
                    self.findings.add(at(format!("it cannot be read: {why}")));
                } else {
                    self.findings
                        .add(Finding::new(Class::Warning, "nor can this one be read").at(EntryRef::Own(seq)));
                }
                self.lost(seq);
            }
        }
    }

    fn lost(&mut self, seq: u64) {
        self.lost_at = Some(seq);
        self.before = None;
    }

    fn entry(&mut self, seq: u64, entry: &Entry, file: &Arc<str>) {
        let body = entry.body();
        self.adopt_place(seq, entry, file);
        self.openings.see(seq, &entry.op().sidecars);
        self.evidence.see(seq, entry);
        let (first, _) = self.time_ms.unwrap_or((body.time_ms, 0));
        self.time_ms = Some((first, body.time_ms));
        let count = self.kinds.entry(entry.kind()).or_default();
        *count = count.saturating_add(1);
        if self.state.identity.is_none() && !matches!(entry.op().payload, Payload::Genesis(_)) {
            if !std::mem::replace(&mut self.no_genesis, true) {
                self.report(
                    seq,
                    file,
                    "no rule can be checked from here on: there is no genesis before it".into(),
                );
            }
            return;
        }
        let authority = self.check_signatures(seq, entry, file);
        let applied = match authority {
            Ok(authority) => ledger::apply_resolved(&self.state, entry, &authority),
            // A signature inside it that nobody could have made, or one missing, refuses it as any rule does.
            Err(why) => ledger::apply(&self.state, entry).and(Err(why)),
        };
        match applied {
            Ok(transition) => {
                self.learn_predecessor(entry);
                Side::book(&mut self.sides, &self.state, entry);
                self.check_sums(seq, &transition.changes, file);
                self.state.commit(&transition);
                self.learn_keys(seq, entry);
                self.networks.hear_of_rounds(entry);
            }
            Err(why) => {
                self.report(seq, file, format!("it breaks a rule: {why}"));
                self.pass_over(entry);
            }
        }
        self.say(seq, entry, file);
    }

    fn report(&mut self, seq: u64, file: &Arc<str>, what: String) {
        self.findings.add(Finding::error(what).at(EntryRef::Own(seq)).in_file(&**file));
    }

    /// Compares what the entry says of its place with what stands before it, and takes it as it says.
    fn adopt_place(&mut self, seq: u64, entry: &Entry, file: &Arc<str>) {
        let body = entry.body();
        let head = self.state.head;
        if body.seq != seq {
            self.report(seq, file, format!("the entry at this place says that it is entry {}", body.seq));
        }
        if let Some(before) = self.before
            && before != body.prev
        {
            let what =
                "the one does not follow the other: one of them was changed, or they do not belong together";
            let finding = Finding::new(Class::Mismatch, what).at(EntryRef::Own(seq.saturating_sub(1)));
            self.findings.add(finding.at(EntryRef::Own(seq)).in_file(&**file));
        }
        if body.time_ms < head.time_ms {
            self.report(
                seq,
                file,
                format!(
                    "its time {} is before {}, the time of an entry before it",
                    body.time_ms, head.time_ms
                ),
            );
        }
        if body.boot < head.boot {
            self.report(
                seq,
                file,
                format!("its boot {} is before {}, the boot of an entry before it", body.boot, head.boot),
            );
        }
        self.state.head.next_seq = body.seq;
        self.state.head.leaf = body.prev;
        self.state.head.time_ms = head.time_ms.min(body.time_ms);
        self.state.head.boot = head.boot.min(body.boot);
        let Some(header) = body.stream else { return };
        let row = self.state.stream(&header.id);
        let heard = self.heard.insert(header.id, seq);
        if (row.next, row.head) == (header.sseq, header.sprev) {
            return;
        }
        // What was lost since the stream was last heard of may have been part of it.
        if self.lost_at.is_none_or(|lost| heard.is_some_and(|heard| heard > lost)) {
            let what = format!(
                "it is place {} of its stream, or follows another entry; place {} is next",
                header.sseq, row.next
            );
            self.report(seq, file, what);
        }
        self.state.streams.insert(header.id, StreamRow { next: header.sseq, head: header.sprev });
    }

    /// An entry that the rules refuse has its place all the same.
    fn pass_over(&mut self, entry: &Entry) {
        let body = entry.body();
        if let Some(header) = body.stream {
            let next = header.sseq.saturating_add(1);
            self.state.streams.insert(header.id, StreamRow { next, head: entry.leaf() });
        }
        self.state.head.next_seq = body.seq.saturating_add(1);
        self.state.head.leaf = entry.leaf();
    }

    /// Has the signatures of an entry verified; gives whose they are.
    ///
    /// # Errors
    /// One of them may not sign, or one that is needed is not there.
    fn check_signatures(
        &mut self,
        seq: u64,
        entry: &Entry,
        file: &Arc<str>,
    ) -> Result<Authority, ledger::Rejected> {
        let mut about = About { entry: EntryRef::Own(seq), what: "the node's signature", file: file.clone() };
        let auth = entry.body().auth.len();
        let resolved = ledger::resolve(&self.state, entry);
        let authority = match resolved {
            Ok((authority, checks)) => {
                let clearing = checks.len().saturating_sub(auth).saturating_sub(1) as u64;
                self.counts.clearing = self.counts.clearing.saturating_add(clearing);
                for (i, SigCheck { key, message, sig }) in checks.into_iter().enumerate() {
                    about.what = match i {
                        0 => "the node's signature",
                        _ if i <= auth => "a signature under its operation",
                        _ => "a signature inside it",
                    };
                    self.checker.push(&Job { key, message: &message, sig, about: &about });
                }
                Ok(authority)
            }
            // The node's signature can be judged all the same.
            Err(why) => {
                let key = self.state.identity.as_ref().and_then(|i| i.node_key_bytes(entry).ok());
                if let Some(key) = key {
                    let (message, sig) = (entry.node_message(), *entry.node_sig());
                    self.checker.push(&Job { key, message: &message, sig, about: &about });
                }
                Err(why)
            }
        };
        self.counts.node = self.counts.node.saturating_add(1);
        for auth in &entry.body().auth {
            let count = match auth.how {
                How::OwnKey => &mut self.counts.own_key,
                How::Passkey => &mut self.counts.passkey,
                How::Custody => &mut self.counts.custody,
                How::Paper => &mut self.counts.paper,
                How::Spoken => &mut self.counts.spoken,
            };
            *count = count.saturating_add(1);
        }
        authority
    }

    /// The sums of the units that the entry touches, carried along.
    fn check_sums(&mut self, seq: u64, changes: &[Change], file: &Arc<str>) {
        let mut touched: BTreeMap<UnitId, i128> = BTreeMap::new();
        for change in changes {
            if let Change::Balance(account, unit, after) = change {
                let before = i128::from(self.state.balance(account, *unit));
                let moved = touched.entry(*unit).or_default();
                *moved = moved.saturating_add(i128::from(*after)).saturating_sub(before);
            }
        }
        for (unit, moved) in touched {
            let sum = self.sums.entry(unit).or_default();
            *sum = sum.saturating_add(moved);
            if moved != 0 {
                self.report(seq, file, format!("it moves the sum of unit {unit} by {moved}"));
            }
        }
    }

    pub(super) fn learn_predecessor(&mut self, entry: &Entry) {
        if let Payload::Genesis(genesis) = &entry.op().payload {
            self.predecessor = genesis.predecessor;
        }
    }

    fn learn_keys(&mut self, seq: u64, entry: &Entry) {
        if !is_identity(&entry.op().payload) {
            return;
        }
        let Some(identity) = &self.state.identity else { return };
        self.networks.know_us(identity);
        let current = identity.current(Purpose::Log).and_then(|(epoch, _)| identity.log_key(epoch).ok());
        if let Some(key) = current.filter(|key| self.log_keys.last().is_none_or(|(_, last)| last != key)) {
            self.log_keys.push((seq, key));
        }
    }

    /// Our words on a channel, and what is signed by others inside them.
    pub(super) fn say(&mut self, seq: u64, entry: &Entry, file: &Arc<str>) {
        let back = match &entry.op().payload {
            Payload::Recovered(recovered) => recovered.lost(),
            _ => None,
        };
        let entry = back.as_ref().unwrap_or(entry);
        let Payload::Step(step) = &entry.op().payload else { return };
        let Some(us) = self.state.identity.as_ref().map(|identity| identity.ledger) else { return };
        let peer = self.state.channels.get(&step.channel).map_or(LedgerId::ZERO, |row| row.peer);
        let side = self.sides.entry(step.channel).or_insert_with(|| Side::new(us, peer, step.channel, true));
        if let Some(what) = side.say(entry, step, seq) {
            self.findings.add(Finding::error(what).at(EntryRef::Own(seq)).in_file(&**file));
        }
        // What is wrong with ours the rules have said.
        let _ = super::resets::take_over(&mut self.sides, entry, step, seq, Some(&self.state));
        let about = About { entry: EntryRef::Own(seq), what: "", file: file.clone() };
        self.networks.embedded(step, Some(&us), &about, &mut self.checker, &mut self.findings);
    }
}
