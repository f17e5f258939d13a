//! Opening a node's stores: read the segments, replay them, bring the index up to them (specs/store.md §4).

use super::core::{Core, Hooks, ServiceParts};
use super::rows;
use crate::clock::Clock;
use crate::config::Config;
use crate::data::{DataDir, DataError, Keys, remove_unfinished};
use crate::recovery::instance::{Token, Told};
use crate::store::base::{self, BaseFileError};
use crate::store::index::{Applied, DestroyError};
use crate::store::migrate::{MigrateError, migrate};
use crate::store::segments::{
    Covered, Fatal, Floor, NoteKind, OpenError, OpenReport, Position, RecordKey, RecordRef, VisitError,
    scan_dir,
};
use crate::store::{Disk, Index, IndexBatch, IndexError, Private, PrivateError, Segments};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weft_protocol::base::Base;
use weft_protocol::clearing::replay::Replay;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{Hash, KeyBytes};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::log::tile::TileBuilder;

/// Invitations that are over are kept this long, so that a late guest is told so.
const INVITATIONS_KEPT_MS: u64 = 30 * 86_400_000;

/// Why a node's stores cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFailure {
    /// The folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its layout.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The segments.
    #[error(transparent)]
    Segments(#[from] OpenError),
    /// The private store.
    #[error("private store: {0}")]
    Private(#[from] PrivateError),
    /// The base, where old entries were left out.
    #[error(transparent)]
    Base(#[from] BaseFileError),
    /// The index, which could not even be made anew.
    #[error("index: {0}")]
    Index(#[from] IndexError),
    /// The old index could not be removed.
    #[error("index: {0}")]
    Destroy(#[from] DestroyError),
    /// What was left to write after a crash.
    #[error("recovery: {0}")]
    Recover(String),
    /// The keys are not those of the ledger.
    #[error("keys/{name} is not the key that the ledger names: this folder mixes two nodes")]
    WrongKey {
        /// Which key file.
        name: &'static str,
    },
}

impl From<Fatal> for OpenFailure {
    fn from(error: Fatal) -> Self {
        Self::Recover(error.to_string())
    }
}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    /// The ledger's thread takes this.
    pub core: Core,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// What people should know: a tail cut off, an index rebuilt.
    pub remarks: Vec<String>,
}

/// Opens the stores of a locked folder.
///
/// # Errors
/// Damage that nothing here may repair, named with what to do.
pub fn open(
    data: &DataDir,
    config: &Config,
    disk: Arc<dyn Disk>,
    hooks: Hooks,
) -> Result<Opened, OpenFailure> {
    let clock = Clock;
    let mut remarks: Vec<String> = migrate(data)?.into_iter().collect();
    if base::finish(data)? {
        remarks
            .push("leaving out old entries, which had been interrupted, was finished or undone".to_owned());
    }
    remove_unfinished(&data.public());
    // Said before anything long is read: without the passphrase nothing can start.
    data.seed("handle-secret")?;
    let private = Arc::new(Private::open(&data.private())?);
    let checkpoint = published(data);
    let token = Token::of(data);
    let told = token.as_ref().and_then(Token::read);
    let as_stopped = data.is_as_stopped();
    let base = base::read(&data.ledger())?;
    let floor = base.as_ref().map_or_else(Floor::default, |base| base.floor);
    let covered = Covered { min_own_entries: checkpoint, clean_stop: data.take_clean_stop()?, floor };
    let (index, made_anew) = match Index::open(&data.index()) {
        Ok(index) => (index, false),
        Err(error) => (fresh_index(data, &mut remarks, &error.to_string())?, true),
    };
    let applied = index.applied().unwrap_or_default();
    let mut reading = Reading::new(Some((index, applied)), checkpoint, base);
    reading.told = told;
    let (segments, report) =
        Segments::open(disk, &data.ledger(), covered, &mut |at, record| reading.record(at, record))?;
    reading.flush()?;
    if let Some(why) = unfit(&applied, &report) {
        drop(reading.index.take());
        drop(fresh_index(data, &mut remarks, &why)?);
        reading.index = Some((rebuild(data)?, Applied::default()));
    } else if applied.records == 0 && report.counts.records() > 0 && !made_anew {
        // Deleted, or damaged so that nothing could be read: catching up has made all of it.
        note_rebuilt(&mut remarks, "it was empty");
    }
    if let Some(torn) = &report.torn {
        remarks.push(format!(
            "an unfinished write was cut off ({}); its bytes are kept in {}",
            torn.tail.place,
            torn.kept_at.display()
        ));
    }
    data.forget_clean_stop()?;
    // Sidecars are written before the entry that names them: a crash in between leaves some that none names.
    private.sweep_orphans(clock.now_ms(), &mut |commitment| reading.named.contains(commitment))?;
    private.sweep_invitations(clock.now_ms().saturating_sub(INVITATIONS_KEPT_MS))?;
    let Reading { replay, tiles, index, counts, notes, told_found, .. } = reading;
    let head = replay.state().head;
    // A clean stop of this very folder, or a crash after which all is here that anybody was told of.
    let clean = report.clean && as_stopped && head.next_seq > 0 && !hooks.restored;
    let proven = clean || (told_found && !hooks.restored);
    let boot =
        if clean || hooks.no_guard { head.boot } else { head.boot.saturating_add(1).max(clock.now_ms()) };
    let keys = Arc::new(data.keys_of(replay.state().identity.as_ref())?);
    check_keys(&replay, &keys)?;
    let copy = |key: &SecretKey| SecretKey::from_seed(&key.seed());
    let mut author = Author::new(copy(&keys.log), boot);
    keys.other_logs.iter().for_each(|key| author.hold(copy(key)));
    let engine = replay.into_engine(author, *keys.handle_secret);
    let parts = ServiceParts {
        data: data.clone(),
        keys,
        site: config.site.clone(),
        clock,
        engine,
        segments,
        index: index.map(|(index, _)| index.settled(&data.index())).transpose()?,
        private,
        tiles,
        checkpoint: checkpoint.min(head.next_seq),
        floor,
        boot,
        hooks,
    };
    let mut core = Core::new(parts, counts)?;
    core.notes = super::notes::Notes::found(notes);
    core.remember_fences()?;
    core.recall_will()?;
    core.begin_guard(token, proven);
    if !core.finish_erasures().map_err(OpenFailure::Recover)?.is_empty() {
        remarks.push("an erasure that had been interrupted was finished".to_owned());
    }
    core.with_engine(weft_protocol::clearing::engine::Engine::recover)
        .map_err(|e| OpenFailure::Recover(e.to_string()))?;
    core.commit_group().map_err(OpenFailure::Recover)?;
    core.index_group();
    core.note_told();
    Ok(Opened { core, clean, remarks })
}

/// The size of the last published checkpoint; 0 when there is none that can be read (an audit reports that).
pub(super) fn published(data: &DataDir) -> u64 {
    let Ok(bytes) = std::fs::read(data.public().join("checkpoint")) else { return 0 };
    let note = Note::parse(&bytes).ok();
    let checkpoint = note.and_then(|note| note.text().parse::<Checkpoint>().ok());
    checkpoint.map_or(0, |checkpoint| checkpoint.size())
}

/// Why an index is not one that this ledger's node has left behind.
fn unfit(applied: &Applied, report: &OpenReport) -> Option<String> {
    let records = report.counts.records();
    if applied.is_beyond(&report.counts) {
        // It describes entries that are not there: another history, or a tail that was cut off.
        return Some("it reaches beyond the segments".to_owned());
    }
    // A crash leaves it a little behind, which is caught up. A clean stop leaves it complete: then it was damaged, and
    // the rows that it still has cannot be relied on.
    let lacks = report.clean && (1..records).contains(&applied.records);
    lacks.then(|| format!("it knew {} of {records} records", applied.records))
}

fn fresh_index(data: &DataDir, remarks: &mut Vec<String>, why: &str) -> Result<Index, OpenFailure> {
    note_rebuilt(remarks, why);
    Index::destroy(&data.index())?;
    Ok(Index::open(&data.index())?)
}

fn note_rebuilt(remarks: &mut Vec<String>, why: &str) {
    tracing::warn!(why, "the index is rebuilt from the ledger");
    remarks.push(format!("the index was rebuilt from the ledger: {why}"));
}

fn check_keys(replay: &Replay, keys: &Keys) -> Result<(), OpenFailure> {
    let Some(identity) = &replay.state().identity else { return Ok(()) };
    let own = [
        ("log", Purpose::Log, keys.log.public().bytes()),
        ("witness", Purpose::Witness, keys.witness.public().bytes()),
        ("desk", Purpose::Desk, keys.desk.public().bytes()),
        ("seal", Purpose::Seal, weft_protocol::seal::public_key(&keys.seal)),
        ("libp2p", Purpose::Libp2p, KeyBytes(crate::network::public_key_of_seed(&keys.libp2p))),
    ];
    for (name, purpose, key) in own {
        if identity.current(purpose).map(|(_, bound)| *bound) != Some(key) {
            return Err(OpenFailure::WrongKey { name });
        }
    }
    Ok(())
}

/// Makes the index anew from the segments, beside a running node.
///
/// # Errors
/// When it cannot be made.
pub(super) fn rebuild(data: &DataDir) -> Result<Index, OpenFailure> {
    Index::destroy(&data.index())?;
    let index = Index::open(&data.index())?;
    let base = base::read(&data.ledger())?;
    let floor = base.as_ref().map_or_else(Floor::default, |base| base.floor);
    let mut reading = Reading::new(Some((index, Applied::default())), u64::MAX, base);
    scan_dir(&data.ledger(), floor, &mut |at, record| reading.record(at, record))?;
    reading.flush()?;
    let (index, _) = reading.index.expect("it was given above");
    Ok(index.settled(&data.index())?)
}

/// Replays records as they are read, and indexes those that the index lacks.
pub(super) struct Reading {
    floor: Floor,
    pub(super) replay: Replay,
    pub(super) tiles: TileBuilder,
    index: Option<(Index, Applied)>,
    counts: Applied,
    batch: IndexBatch,
    batched: usize,
    checkpoint: u64,
    /// Commitments that some entry names.
    named: BTreeSet<Hash>,
    /// Where the newest note of each kind and name stands.
    notes: BTreeMap<(NoteKind, [u8; 32]), Position>,
    /// What somebody was told last, and whether it has been found.
    told: Option<Told>,
    told_found: bool,
}

impl Reading {
    /// From the first entry on, or from what stands in the place of those left out.
    pub(super) fn new(index: Option<(Index, Applied)>, checkpoint: u64, base: Option<Base>) -> Self {
        let (floor, replay, tiles) = match base {
            Some(Base { floor, replay, tree, .. }) => (floor, replay, tree),
            None => (Floor::default(), Replay::new(), TileBuilder::new()),
        };
        // The texts of what is still open; those of entries that were left out go with them.
        let named = replay.state().holds.values().map(|hold| hold.commitment).collect();
        Self {
            floor,
            replay,
            tiles,
            index,
            counts: Applied { own_entries: floor.seq, ..Applied::default() },
            batch: IndexBatch::new(),
            batched: 0,
            checkpoint,
            named,
            notes: BTreeMap::new(),
            told: None,
            told_found: false,
        }
    }

    pub(super) fn record(&mut self, at: Position, record: RecordRef<'_>) -> Result<(), VisitError> {
        let known = self.index.as_ref().is_none_or(|(_, applied)| self.counts.records < applied.records);
        self.counts.records += 1;
        match record.key() {
            RecordKey::Own { .. } if at.segment < self.floor.full => {
                let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                self.name_open_texts(&entry);
                if !known {
                    rows::kept(&mut self.batch, at, &entry);
                    self.batched += 1;
                }
            }
            RecordKey::Own { .. } => {
                self.counts.own_entries += 1;
                let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                self.replay.own(&entry).map_err(VisitError::new)?;
                self.tiles.push(entry.leaf());
                let here = Told { size: self.tiles.size(), head: entry.leaf() };
                self.told_found |= self.told == Some(here);
                self.named.extend(&entry.op().sidecars);
                // What the last checkpoint covers is published already; completed tiles must not pile up in memory.
                if self.tiles.size() <= self.checkpoint {
                    self.tiles.take_changed();
                }
                if !known {
                    let state = self.replay.state();
                    rows::own(&mut self.batch, at, &entry, |account, unit| state.balance(&account, unit));
                    self.batched += 1;
                }
            }
            RecordKey::Received { .. } => {
                self.counts.received_entries += 1;
                let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                if at.segment < self.floor.full {
                    // What the peer has said by then is in the base.
                    self.name_open_texts(&entry);
                } else {
                    self.replay.received(&entry).map_err(VisitError::new)?;
                    self.named.extend(proposed_sidecar(&entry));
                }
                if !known {
                    rows::received(&mut self.batch, at, &entry);
                    self.batched += 1;
                }
            }
            RecordKey::Note { kind, name } => {
                self.notes.insert((kind, name), at);
                // What cannot be read convicts nobody, and must not keep the node from starting.
                if kind == NoteKind::EVIDENCE
                    && let Err(why) = self.replay.evidence(record.bytes())
                {
                    tracing::warn!(%why, "a note of evidence cannot be read");
                }
                // No rows, but the index says how many records it knows of.
                self.batched += usize::from(!known);
            }
        }
        if self.batch.is_full() { self.flush().map_err(VisitError::new) } else { Ok(()) }
    }

    /// The text of a payment whose entries stay though others of its time are gone: as long as it is under way.
    fn name_open_texts(&mut self, entry: &Entry) {
        let Payload::Step(step) = &entry.op().payload else { return };
        let state = self.replay.state();
        if step
            .claim
            .is_some_and(|claim| state.legs(&claim).next().is_some() || state.decisions.contains_key(&claim))
        {
            self.named.extend(proposed_sidecar(entry));
        }
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        let Some((index, _)) = &self.index else { return Ok(()) };
        if self.batched > 0 {
            index.commit(std::mem::take(&mut self.batch), self.counts)?;
            self.batched = 0;
        }
        Ok(())
    }
}

/// The sidecar of the claim that an entry proposes.
fn proposed_sidecar(entry: &Entry) -> Option<Hash> {
    let Payload::Step(step) = &entry.op().payload else { return None };
    let StepArgs::Propose(args) = &step.args else { return None };
    args.intent.parse().ok().map(|intent| intent.sidecar)
}
