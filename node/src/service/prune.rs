//! Leaving out entries before a forward, on a stopped node (specs/store.md §12).
//!
//! Everything is read and replayed up to the forward, so that what stands in its place is what the rules give, and the
//! hash tiles are compared with what the entries give: after it they are all there is of them. Then the store puts the
//! base in force. A refusal changes nothing.

use super::open::{Reading, published};
use crate::config::Config;
use crate::data::DataDir;
use crate::store::base::{self, BaseFileError, KeptWriter};
use crate::store::migrate::{MigrateError, migrate};
use crate::store::private::{Private, PrivateError};
use crate::store::segments::{
    Floor, NoteKind, OpenError, Position, Record, RecordKey, RecordRef, VisitError, scan_dir,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use weft_protocol::base::{Base, BaseError, KEPT_MS, Kept, is_kept};
use weft_protocol::entry::{Entry, EntryError, Payload};
use weft_protocol::ids::PUBLIC_STREAM;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::time::{Day, MS_PER_DAY};

/// What is to be left out.
#[derive(Debug, Clone, Copy)]
pub struct PruneOptions {
    /// Only what stands before a forward of before this time; `None`: as much as may go.
    pub before_ms: Option<u64>,
    /// How old the forward must be, seen from the newest entry: [`KEPT_MS`], and less in tests alone.
    pub keep_ms: u64,
    /// Changes nothing, and says what would be.
    pub dry: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self { before_ms: None, keep_ms: KEPT_MS, dry: false }
    }
}

/// What was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneReport {
    /// Place of the forward.
    pub forward: u64,
    /// Its time.
    pub time_ms: u64,
    /// Entries that are not here any more, with those of earlier times.
    pub left_out: u64,
    /// What is kept of before it.
    pub kept: Kept,
}

/// Why nothing was left out.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The layout.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The records.
    #[error(transparent)]
    Segments(#[from] OpenError),
    /// The private store.
    #[error("private store: {0}")]
    Private(#[from] PrivateError),
    /// The base.
    #[error(transparent)]
    Base(#[from] BaseFileError),
    /// What the base would hold.
    #[error("the base: {0}")]
    Form(#[from] BaseError),
    /// An entry.
    #[error("entry {seq}: {why}")]
    Entry {
        /// Which.
        seq: u64,
        /// Why not.
        why: EntryError,
    },
    /// There is none that fits.
    #[error(
        "no forward is old enough: the newest entry is of {}, a forward must be {} days older{}. Write one with `weft \
         forward`, and come back when it has that age; nothing was changed",
        day(*newest_ms), *keep_ms / MS_PER_DAY, found(*forwards)
    )]
    NoForward {
        /// Forwards found, of any age.
        forwards: u64,
        /// Time of the newest entry.
        newest_ms: u64,
        /// Age wanted.
        keep_ms: u64,
    },
    /// Nobody vouches for it yet.
    #[error(
        "the forward at place {forward} is not covered by a checkpoint{}: {size} entries are. Start the node until one is \
         published{}; nothing was changed",
        if *witnessed { " that a witness has cosigned" } else { "" },
        if *witnessed { " and a peer has cosigned it" } else { "" }
    )]
    NotCovered {
        /// The forward.
        forward: u64,
        /// Entries covered.
        size: u64,
        /// Whether a cosigned one is needed.
        witnessed: bool,
    },
    /// It was done already.
    #[error("everything before the newest forward that is old enough, at place {0}, was left out before")]
    Done(u64),
    /// A tile is not what the entries give.
    #[error(
        "the hash tile {path} is missing or is not what the entries give. After leaving entries out it could not be made \
         again: repair it from a backup or a mirror of ledger/public first; nothing was changed"
    )]
    Tile {
        /// Which file.
        path: PathBuf,
    },
}

fn day(ms: u64) -> Day {
    Day::of_ms(ms)
}

fn found(forwards: u64) -> String {
    match forwards {
        0 => ", and there is none at all".to_owned(),
        n => format!(", and none of the {n} there are is"),
    }
}

/// A forward that begins a segment.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    seq: u64,
    time_ms: u64,
    segment: u32,
}

/// Leaves out what stands before the newest forward that may be used. The folder is locked by the caller, and no node
/// runs on it.
///
/// # Errors
/// [`PruneError`]; nothing was changed, except where a file could not be replaced: the next start finishes that.
pub fn prune(data: &DataDir, config: &Config, options: &PruneOptions) -> Result<PruneReport, PruneError> {
    migrate(data)?;
    base::finish(data)?;
    let before = base::read(&data.ledger())?;
    let floor = before.as_ref().map_or_else(Floor::default, |base| base.floor);
    let found = choose(data, floor, options)?;
    let size = covered(data, config, found.peers)?;
    let forward = found.forward;
    if forward.seq == floor.seq {
        return Err(PruneError::Done(floor.seq));
    }
    if size.entries <= forward.seq {
        let (forward, size, witnessed) = (forward.seq, size.entries, size.witnessed);
        return Err(PruneError::NotCovered { forward, size, witnessed });
    }
    let writer = KeptWriter::begin(&data.ledger(), forward.seq)?;
    let (kept, reading, first) = keep(data, floor, before, forward, writer)?;
    let to = Floor { seq: forward.seq, first, full: forward.segment };
    let bytes = Base::bytes(to, kept, &reading.tiles, &reading.replay)?;
    let report = PruneReport {
        forward: forward.seq,
        time_ms: forward.time_ms,
        left_out: forward.seq - kept.own,
        kept,
    };
    if options.dry {
        // Without a base in force, what waits is removed.
        base::finish(data)?;
        return Ok(report);
    }
    base::put_in_force(data, &bytes)?;
    // From here on it is done; texts that only those entries named are swept at the next start.
    Ok(report)
}

struct Chosen {
    forward: Candidate,
    /// Whether another network ever sent us anything on a channel.
    peers: bool,
}

/// The newest forward that is old enough.
fn choose(data: &DataDir, floor: Floor, options: &PruneOptions) -> Result<Chosen, PruneError> {
    let mut candidates = Vec::new();
    let mut newest = None;
    let mut peers = false;
    scan_dir(&data.ledger(), floor, &mut |at, record| {
        match record.key() {
            RecordKey::Own { seq } => {
                if at.offset == 0 && at.segment >= floor.full {
                    let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                    if matches!(entry.op().payload, Payload::Forward(_)) {
                        let time_ms = entry.body().time_ms;
                        candidates.push(Candidate { seq, time_ms, segment: at.segment });
                    }
                }
                newest = Some((seq, record.bytes().to_vec()));
            }
            RecordKey::Received { stream, .. } => peers |= stream != PUBLIC_STREAM,
            RecordKey::Note { .. } => {}
        }
        Ok(())
    })?;
    let newest_ms = match newest {
        Some((seq, bytes)) => {
            Entry::parse(&bytes).map_err(|why| PruneError::Entry { seq, why })?.body().time_ms
        }
        None => 0,
    };
    let old_enough = |candidate: &&Candidate| {
        candidate.time_ms.saturating_add(options.keep_ms) <= newest_ms
            && options.before_ms.is_none_or(|before| candidate.time_ms < before)
    };
    let forward = candidates.iter().rev().find(old_enough).copied();
    let forwards = candidates.len() as u64;
    let none = PruneError::NoForward { forwards, newest_ms, keep_ms: options.keep_ms };
    Ok(Chosen { forward: forward.ok_or(none)?, peers })
}

struct Covering {
    entries: u64,
    witnessed: bool,
}

/// How many entries are vouched for: by others, as soon as there is anybody.
fn covered(data: &DataDir, config: &Config, peers: bool) -> Result<Covering, PruneError> {
    let kept = Private::open(&data.private())?.setting(super::witness::WITNESSED)?;
    let witnessed = peers || kept.is_some() || !config.witness.policy.is_empty();
    if !witnessed {
        return Ok(Covering { entries: published(data), witnessed });
    }
    let note = kept.and_then(|bytes| Note::parse(&bytes).ok());
    let says = note.and_then(|note| note.text().parse::<Checkpoint>().ok());
    Ok(Covering { entries: says.map_or(0, |says| says.size()), witnessed })
}

/// Replays up to the forward, keeping what stays.
fn keep(
    data: &DataDir,
    floor: Floor,
    before: Option<Base>,
    forward: Candidate,
    mut writer: KeptWriter,
) -> Result<(Kept, Reading, u32), PruneError> {
    let public = data.public();
    // No checkpoint: every tile that is full is looked at here.
    let mut reading = Reading::new(None, 0, before);
    let mut kept = Kept::default();
    let mut notes: BTreeMap<(NoteKind, [u8; 32]), Record> = BTreeMap::new();
    let mut broken = None;
    let mut visit = |at: Position, record: RecordRef<'_>| -> Result<(), VisitError> {
        if at.segment >= forward.segment || broken.is_some() {
            return Ok(());
        }
        let stays = match record.key() {
            RecordKey::Own { .. } if at.segment >= floor.full => {
                let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                // Judged by the books before it: accounts do not change their owner.
                let stays = is_kept(reading.replay.state(), &entry);
                reading.record(at, record)?;
                let full = reading.tiles.take_full();
                broken = full.into_iter().find_map(|tile| {
                    let path = public.join(tile.path.to_string());
                    let same = std::fs::read(&path).is_ok_and(|content| content == tile.content);
                    (!same).then_some(path)
                });
                kept.own += u64::from(stays);
                stays
            }
            RecordKey::Own { .. } => {
                kept.own += 1;
                true
            }
            RecordKey::Received { .. } => {
                reading.record(at, record)?;
                kept.received += 1;
                true
            }
            RecordKey::Note { kind, name } => {
                reading.record(at, record)?;
                notes.insert((kind, name), record.to_record());
                false
            }
        };
        if stays { writer.push(record).map_err(VisitError::new) } else { Ok(()) }
    };
    scan_dir(&data.ledger(), floor, &mut visit)?;
    if let Some(path) = broken {
        return Err(PruneError::Tile { path });
    }
    for note in notes.values() {
        let record = note.as_ref().map_err(|e| VisitError::new(e.to_string()));
        let record = record.expect("it was read from a record of the same bytes");
        writer.push(record)?;
    }
    kept.notes = notes.len() as u64;
    Ok((kept, reading, writer.end(forward.segment)?))
}

#[cfg(test)]
mod tests;
