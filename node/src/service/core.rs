//! What the ledger's thread owns, and the commit of a group.

use super::bells::{Concern, Moved};
use super::names::Names;
use super::notes::Notes;
use super::rows;
use super::time::TimeGuard;
use crate::clock::Clock;
use crate::data::{DataDir, Keys};
use crate::keystore::Kept;
use crate::store::private::{Direction, SealedSidecar, Sidecar};
use crate::store::segments::{Fatal, NoteKind, Position, RecordKey, RecordRef};
use crate::store::{Index, IndexBatch, Private, SegmentReader, Segments};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weft_api::KeysKept;
use weft_protocol::clearing::engine::{Batch, Cx, Engine, Payee, Record};
use weft_protocol::clearing::peers::Place;
use weft_protocol::entry::Kind;
use weft_protocol::evidence::Evidence;
use weft_protocol::ids::{ClaimId, Hash, LedgerId, Salt};
use weft_protocol::log::tile::{Tile, TileBuilder, TilePath};

/// How a node starts in other than the normal way: faults that tests switch on to see that they are noticed, and
/// what the operator knows of the folder.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hooks {
    /// Answers before the write, which is delayed: acknowledged things can be lost.
    pub ack_early: bool,
    /// Asks nobody after a start, goes on under the old number, and sends what it has whatever peers say.
    pub no_guard: bool,
    /// Takes no proof that the folder is the newest: the operator says that it is a copy.
    pub restored: bool,
}

/// Proposals for nobody here that are remembered until they are answered, which is nearly always at once.
const MAX_PAYEES: usize = 10_000;

/// How long the write is delayed when answers go out early.
const EARLY_ACK_DELAY: Duration = Duration::from_millis(300);

/// What [`Core`] is made of.
#[derive(Debug)]
#[expect(missing_docs, reason = "each part is named after its type")]
pub struct ServiceParts {
    pub data: DataDir,
    pub keys: Arc<Keys>,
    pub site: String,
    pub clock: Clock,
    pub engine: Engine,
    pub segments: Segments,
    pub index: Option<Index>,
    pub private: Arc<Private>,
    pub tiles: TileBuilder,
    pub checkpoint: u64,
    pub floor: crate::store::segments::Floor,
    pub boot: u64,
    pub hooks: Hooks,
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    pub(super) parts: ServiceParts,
    pub(super) reader: SegmentReader,
    pub(super) names: Names,
    pub(super) payees: BTreeMap<Hash, Payee>,
    pub(super) clear: Vec<Sidecar>,
    pub(super) sealed: Vec<SealedSidecar>,
    /// Written in memory, not yet indexed.
    pending: Vec<(Position, Record)>,
    pub(super) notes: Notes,
    pub(super) shown: super::evidence::Shown,
    pub(super) time: TimeGuard,
    counts: crate::store::index::Applied,
    pub(super) watch: super::guard::Watch,
    pub(super) last_checkpoint: Instant,
    pub(super) partial_tiles: Vec<TilePath>,
    /// Tiles that could not be written when a checkpoint was due: they come before the next one.
    pub(super) unwritten: Vec<Tile>,
    /// What is wrong with peers' streams, in words, by ledger.
    pub(super) problems: BTreeMap<LedgerId, String>,
    pub(super) witness: super::witness::Witness,
    pub(super) mirroring: super::mirror::Mirroring,
    /// How much each peer has brought of others.
    pub(super) quotas: crate::federation::Quotas,
    /// Networks that a way leads to, and when that was looked up.
    pub(super) reach: Option<(u64, std::collections::BTreeSet<LedgerId>)>,
    /// Descriptors taken in or made since the start.
    pub(super) descriptors_taken: u64,
    pub(super) attempts: super::ways::Attempts,
    pub(super) asking: super::asking::Asking,
    pub(super) own_descriptor: Option<super::sync::OwnDescriptor>,
    pub(super) moved: Moved,
    pub(super) recent: super::recent::Recent,
    started: Instant,
}

impl Core {
    /// Puts the opened parts together.
    ///
    /// # Errors
    /// When the private store cannot be read.
    pub fn new(
        parts: ServiceParts,
        counts: crate::store::index::Applied,
    ) -> Result<Self, crate::store::PrivateError> {
        let names = Names::read(&parts.private, parts.engine.state())?;
        let banned = parts.private.bans()?.into_iter().map(|ban| ban.ledger).collect();
        let mut parts = parts;
        parts.engine.set_banned(banned);
        let last_checkpoint = parts.clock.instant();
        let time = TimeGuard::new(parts.clock);
        let reader = parts.segments.reader();
        let partial_tiles = super::publish::partial_tiles(parts.checkpoint);
        Ok(Self {
            reader,
            parts,
            names,
            payees: BTreeMap::new(),
            clear: Vec::new(),
            sealed: Vec::new(),
            pending: Vec::new(),
            notes: Notes::default(),
            shown: super::evidence::Shown::default(),
            time,
            counts,
            watch: super::guard::Watch::default(),
            last_checkpoint,
            partial_tiles,
            unwritten: Vec::new(),
            problems: BTreeMap::new(),
            witness: super::witness::Witness::default(),
            mirroring: super::mirror::Mirroring::default(),
            quotas: crate::federation::Quotas::default(),
            reach: None,
            descriptors_taken: 0,
            attempts: super::ways::Attempts::default(),
            asking: super::asking::Asking::default(),
            own_descriptor: None,
            moved: Moved::new(),
            recent: super::recent::Recent::default(),
            started: last_checkpoint,
        })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }
    /// The index.
    ///
    /// # Panics
    /// Never: it is only absent while it is being replaced, on this thread.
    pub fn index(&self) -> &Index {
        self.parts.index.as_ref().expect("the index is only absent while it is being replaced")
    }
    /// Reads records back.
    pub fn reader(&self) -> &SegmentReader {
        &self.reader
    }
    /// The private store.
    pub fn private(&self) -> &Arc<Private> {
        &self.parts.private
    }
    /// The node's secrets.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.parts.keys
    }
    /// How the secret keys are kept; an unreadable folder counts as plain, the worst case.
    pub fn keys_kept(&self) -> KeysKept {
        let kept = self.parts.data.keystore().kept().unwrap_or_default();
        let mut forms: Vec<Kept> = kept.into_iter().map(|(_, form)| form).collect();
        forms.sort();
        forms.dedup();
        match forms[..] {
            [] | [Kept::Plain] => KeysKept::Plain,
            [Kept::Encrypted] => KeysKept::Encrypted,
            [Kept::Credential] => KeysKept::Credential,
            _ => KeysKept::Mixed,
        }
    }
    /// Time and randomness.
    pub fn clock(&self) -> Clock {
        self.parts.clock
    }
    /// Short name of the network.
    pub fn site(&self) -> &str {
        &self.parts.site
    }
    /// Start number.
    pub fn boot(&self) -> u64 {
        self.parts.boot
    }
    /// Place of the first entry that is here without gaps: 0, or that of the forward before which old ones were left out.
    pub fn floor(&self) -> u64 {
        self.parts.floor.seq
    }
    /// Size that the last published checkpoint covers.
    pub fn checkpoint_size(&self) -> u64 {
        self.parts.checkpoint
    }
    /// Where the public log stands as files.
    pub fn public_folder(&self) -> std::path::PathBuf {
        self.parts.data.public()
    }
    /// What is wrong with peers' streams.
    pub fn problems(&self) -> &BTreeMap<LedgerId, String> {
        &self.problems
    }
    pub(super) fn hooks(&self) -> Hooks {
        self.parts.hooks
    }

    /// Milliseconds since the start, by a clock that nobody sets.
    pub(super) fn uptime_ms(&self) -> u64 {
        let passed = self.parts.clock.instant().saturating_duration_since(self.started);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs an input of the engine with this node's clock, randomness and payees.
    pub(super) fn with_engine<T>(&mut self, input: impl FnOnce(&mut Engine, &mut Cx<'_>) -> T) -> T {
        let (clock, now_ms) = (self.parts.clock, self.entry_time_ms());
        let (private, names, payees) = (&self.parts.private, &self.names, &self.payees);
        let lookup = |_: &ClaimId, commitment: &Hash| -> Payee {
            if let Some(payee) = payees.get(commitment) {
                return *payee;
            }
            match private.sidecar(commitment) {
                Ok(Some(sidecar)) => names.payee_of(sidecar.bytes()),
                Ok(None) | Err(_) => Payee::Missing,
            }
        };
        let mut salt = || -> Salt { clock.salt() };
        let (index, reader) = (&self.parts.index, &self.reader);
        let held = |place: &Place| {
            let at = index.as_ref()?.received(&place.ledger, &place.stream, place.sseq).ok()??;
            reader.read(at).ok().map(|record| record.bytes)
        };
        let mut cx = Cx { now_ms, salt: &mut salt, payees: &lookup, held: &held };
        input(&mut self.parts.engine, &mut cx)
    }

    /// Makes everything durable that the tasks of a group wrote: sidecars first, then the segment with one sync.
    /// A crash before the sync leaves nothing acknowledged; sidecars without an entry are swept at the next start.
    pub(super) fn commit_group(&mut self) -> Result<bool, String> {
        self.keep_own_fence();
        let Batch { records, claims } = self.parts.engine.take_batch();
        self.attempts.note_moved(&claims);
        self.moved.extend(claims.into_iter().map(Concern::Claim));
        self.moved.extend(records.iter().filter_map(concern));
        let records = self.keep_evidence(records)?;
        if !self.clear.is_empty() || !self.sealed.is_empty() {
            let written = self.parts.private.put_sidecars(&self.clear, &self.sealed);
            written.map_err(|e| format!("the private store could not be written: {e}"))?;
            self.clear.clear();
            for sealed in self.sealed.drain(..) {
                self.recent.keep_sealed(sealed.commitment, sealed.envelope);
            }
        }
        // What an account answers for is in the private store now; what is for nobody here is nowhere else.
        self.payees.retain(|_, payee| !matches!(payee, Payee::Account(_)));
        if self.payees.len() > MAX_PAYEES {
            self.payees.clear();
        }
        if records.is_empty() && self.notes.waiting.is_empty() {
            return Ok(false);
        }
        if self.parts.hooks.ack_early {
            #[expect(clippy::disallowed_methods, reason = "a fault that a test has asked for")]
            std::thread::sleep(EARLY_ACK_DELAY);
        }
        // Notes come first: an entry of the same group may rest on one.
        let notes = self.notes.waiting.iter().map(crate::store::Record::as_ref);
        let all: Result<Vec<RecordRef<'_>>, _> = notes.chain(records.iter().filter_map(record_ref)).collect();
        let all = all.map_err(|e| e.to_string())?;
        let mut positions = append(&mut self.parts.segments, &all, &records).map_err(|e| e.to_string())?;
        let entries = positions.split_off(self.notes.waiting.len());
        self.notes.written(&positions);
        self.pending.extend(entries.into_iter().zip(records));
        self.note_told();
        Ok(true)
    }

    /// What became durable since this was asked last.
    pub(super) fn take_moved(&mut self) -> Moved {
        std::mem::take(&mut self.moved)
    }

    /// Evidence of a group is kept as notes, which stand before its entries.
    fn keep_evidence(&mut self, records: Vec<Record>) -> Result<Vec<Record>, String> {
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            match record {
                Record::Evidence(bytes) => {
                    if let Ok(evidence) = Evidence::parse(&bytes) {
                        let (accused, id) = (evidence.accused(), evidence.id());
                        let what = evidence.kind().text();
                        tracing::error!(%accused, %id, "a network {what}: no new payments with it");
                    }
                    let name = Hash::of("", &[&bytes]).0;
                    self.keep_note(NoteKind::EVIDENCE, name, bytes).map_err(|e| e.to_string())?;
                }
                Record::Own(_) | Record::Received(_) => entries.push(record),
            }
        }
        Ok(entries)
    }

    /// Brings the index and the tiles up to what is durable, and publishes when it is time.
    pub(super) fn index_group(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let notes = self.notes.take_unindexed();
        if !pending.is_empty() || notes > 0 {
            let mut batch = IndexBatch::new();
            self.counts.records += notes;
            for (position, record) in &pending {
                self.counts.records += 1;
                match record {
                    Record::Own(written) => {
                        self.counts.own_entries += 1;
                        self.parts.tiles.push(written.entry.leaf());
                        let after = |account, unit| rows::balance_in(&written.transition, account, unit);
                        rows::own(&mut batch, *position, &written.entry, after);
                    }
                    Record::Received(entry) => {
                        self.counts.received_entries += 1;
                        rows::received(&mut batch, *position, entry);
                    }
                    Record::Evidence(_) => {}
                }
            }
            if let Err(error) = self.index().commit(batch, self.counts) {
                // Everything in it can be made again from the segments, and will be at the next start.
                tracing::error!(%error, "the index could not be written and will be rebuilt");
                self.rebuild_index();
            }
            for (_, record) in pending {
                let Record::Own(written) = record else { continue };
                let kind = written.entry.kind();
                if kind == Kind::Erasure {
                    self.recent.forget_sealed();
                }
                // In the stream of an entry that came back stands another one.
                if kind != Kind::Recovered {
                    self.recent.keep_entry(written.entry);
                }
            }
        }
        self.publish_if_due();
    }

    fn rebuild_index(&mut self) {
        self.parts.index = None;
        match super::open::rebuild(&self.parts.data) {
            Ok(index) => self.parts.index = Some(index),
            Err(error) => {
                tracing::error!(%error, "the index could not be rebuilt");
                std::process::abort();
            }
        }
    }

    /// Makes durable what was written outside the service, then stops cleanly: for a folder that is only prepared.
    ///
    /// # Errors
    /// When the stores cannot be written.
    pub fn finish(mut self) -> Result<(), String> {
        self.commit_group()?;
        self.index_group();
        self.close()
    }

    /// The clean stop: a checkpoint over everything, a seal, and the token that says so.
    pub(super) fn close(mut self) -> Result<(), String> {
        if !self.engine().is_quarantined() {
            self.publish().map_err(|e| e.to_string())?;
        }
        if let Err(error) = self.index().flush() {
            tracing::warn!(%error, "the index was not flushed; it will be caught up at the next start");
        }
        let may_be_proven = self.may_be_proven();
        self.drop_token();
        let stop = self.parts.segments.close().map_err(|e| e.to_string())?;
        if !may_be_proven {
            // Who could know has not answered: the next start has to ask again.
            return Ok(());
        }
        self.parts.data.note_clean_stop(stop).map_err(|e| e.to_string())
    }

    /// Remembers a sealed sidecar to travel with a claim.
    pub(super) fn keep_sealed(&mut self, commitment: Hash, envelope: Vec<u8>, claim: ClaimId) {
        self.sealed.push(SealedSidecar { commitment, envelope, direction: Direction::Out, claim });
    }
}

/// Writes and syncs a group: notes, then these records. A forward begins a segment of its own, so that all before it can
/// be told by its files.
fn append(
    segments: &mut Segments,
    all: &[RecordRef<'_>],
    records: &[Record],
) -> Result<Vec<Position>, Fatal> {
    let mut positions = Vec::with_capacity(all.len());
    let notes = all.len() - records.len();
    for (n, record) in (notes..).zip(records) {
        if is_forward(record) {
            positions.extend(segments.append(&all[positions.len()..n])?);
            segments.begin_segment()?;
        }
    }
    positions.extend(segments.append(&all[positions.len()..])?);
    segments.sync()?;
    Ok(positions)
}

/// Whom a record concerns beside the parties of a claim.
fn concern(record: &Record) -> Option<Concern> {
    match record {
        Record::Own(written) => written.entry.body().stream.map(|header| Concern::Stream(header.id)),
        Record::Evidence(_) => Some(Concern::Evidence),
        Record::Received(_) => None,
    }
}

fn is_forward(record: &Record) -> bool {
    matches!(record, Record::Own(written) if written.entry.kind() == Kind::Forward)
}

/// The record of an entry.
fn record_ref(record: &Record) -> Option<Result<RecordRef<'_>, crate::store::segments::RecordTooLong>> {
    Some(match record {
        Record::Evidence(_) => return None,
        Record::Own(written) => {
            RecordRef::new(RecordKey::Own { seq: written.entry.body().seq }, written.entry.bytes())
        }
        Record::Received(entry) => {
            let header = entry.body().stream.expect("only stream entries are received");
            let (ledger, boot) = (entry.body().ledger, entry.body().boot);
            let key = RecordKey::Received { ledger, stream: header.id, sseq: header.sseq, boot };
            RecordRef::new(key, entry.bytes())
        }
    })
}
