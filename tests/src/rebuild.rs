//! What it costs to make the index of a large ledger anew.
//!
//! The ledger is founded by the node; its payments are then written by the protocol's own author into the node's
//! segments, at the times that a network would have made them: what a ledger remembers of the last weeks is part of the
//! cost, and a million payments of one hour are no network.

use crate::kit::{Failure, Outcome, hour, memory_kib};
use std::path::Path;
use std::sync::Arc;
use weft_node::config::Config;
use weft_node::data::DataDir;
use weft_node::node::init;
use weft_node::service::{Hooks, open};
use weft_node::store::RealDisk;
use weft_node::store::segments::{Covered, RecordKey, RecordRef, Segments, VisitError};
use weft_protocol::amount::Amount;
use weft_protocol::entry::{Entry, How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{AccountId, Hash, OpId, Salt, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::apply;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::transfer::{Transfer, move_value};

/// Members of the ledger.
const MEMBERS: usize = 300;
/// An operation of the desk may wait a day.
const LIFE_MS: u64 = 86_400_000;
/// Clock ticks of `/proc` in a second; Linux gives every program this value.
const TICKS_PER_S: u64 = 100;

/// What a rebuild has cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Entries of the ledger.
    pub entries: u64,
    /// Processor time of the whole process, in hundredths of a second.
    pub cpu_centis: u64,
    /// Most memory the process ever had resident, in KiB.
    pub peak_kib: u64,
    /// Size of the new index.
    pub index_bytes: u64,
    /// Size of the segments that were read.
    pub segment_bytes: u64,
}

/// Makes a ledger of so many entries, each so many milliseconds after the one before.
///
/// # Errors
/// When it cannot be written.
pub fn make_ledger(data: &Path, entries: u64, tick_ms: u64) -> Outcome<()> {
    let data = DataDir::new(data);
    init(&data, &Config::new("large")?, &[hour()])?;
    let mut writer = Writer::open(&data, tick_ms)?;
    let accounts = (0..MEMBERS).map(|_| writer.open_account()).collect::<Outcome<Vec<_>>>()?;
    while writer.state.head.next_seq < entries {
        writer.pay(&accounts)?;
    }
    let stop = writer.segments.close()?;
    Ok(data.note_clean_stop(stop)?)
}

/// Writes entries into the segments of a node that is not running.
struct Writer {
    segments: Segments,
    state: State,
    author: Author,
    desk: SecretKey,
    now_ms: u64,
    tick_ms: u64,
}

impl Writer {
    fn open(data: &DataDir, tick_ms: u64) -> Outcome<Self> {
        let covered = Covered { clean_stop: data.take_clean_stop()?, ..Covered::default() };
        let mut state = State::default();
        let mut again = |_, record: RecordRef<'_>| {
            if let RecordKey::Own { .. } = record.key() {
                let entry = Entry::parse(record.bytes()).map_err(VisitError::new)?;
                let transition = apply(&state, &entry).map_err(VisitError::new)?;
                state.commit(&transition);
            }
            Ok(())
        };
        let (segments, _) = Segments::open(Arc::new(RealDisk), &data.ledger(), covered, &mut again)?;
        let keys = data.keys()?;
        let author = Author::new(keys.log, state.head.boot);
        let now_ms = state.head.time_ms;
        Ok(Self { segments, state, author, desk: keys.desk, now_ms, tick_ms })
    }

    /// The same ledger for the same genesis, so that a figure can be had again.
    fn draw<const N: usize>(&self, what: &str) -> [u8; N] {
        Hash::of("WEFT-REBUILD/1\n", &[what.as_bytes(), &self.state.head.next_seq.to_be_bytes()]).prefix()
    }

    fn number(&self, what: &str, below: usize) -> Outcome<usize> {
        Ok(usize::try_from(u64::from_be_bytes(self.draw(what)) % u64::try_from(below)?)?)
    }

    fn open_account(&mut self) -> Outcome<AccountId> {
        let account = AccountId(self.draw("account"));
        let opened = AccountOpened { account, owner: OwnerKind::Member, key: None, anchor: false };
        self.write(Payload::AccountOpened(opened), Role::Operator)?;
        Ok(account)
    }

    fn pay(&mut self, accounts: &[AccountId]) -> Outcome<()> {
        let from = self.number("from", accounts.len())?;
        let to = (from + 1 + self.number("to", accounts.len() - 1)?) % accounts.len();
        let amount = Amount::new(1 + i64::try_from(self.number("amount", 240)?)?)?;
        let postings = move_value(accounts[from], accounts[to], UnitId(0), amount);
        self.write(Payload::Transfer(Transfer { postings, when_day: None }), Role::Member)
    }

    fn write(&mut self, payload: Payload, role: Role) -> Outcome<()> {
        self.now_ms += self.tick_ms;
        let not_after_ms = self.now_ms + LIFE_MS;
        let op = Op { op_id: OpId(self.draw("op")), not_after_ms, payload, sidecars: Vec::new() };
        let ledger = self.state.ledger()?;
        let signed = SignedOp::unsigned(&op).signed(&ledger, &self.desk, role, How::Custody);
        let salt = Salt(self.draw("salt"));
        let written = self.author.write(&mut self.state, &signed, self.now_ms, salt)?;
        let key = RecordKey::Own { seq: written.entry.body().seq };
        self.segments.append(&[RecordRef::new(key, written.entry.bytes())?])?;
        Ok(())
    }
}

/// Deletes the index of a node that is not running.
///
/// # Errors
/// When it cannot be deleted.
pub fn delete_index(data: &Path) -> Outcome<()> {
    match std::fs::remove_dir_all(DataDir::new(data).index()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens the stores, which makes the index anew, and says what the process has used.
///
/// # Errors
/// When they cannot be opened, or this is no Linux.
pub fn rebuild(data: &Path) -> Outcome<Cost> {
    let data = DataDir::new(data);
    let config = Config::load(&data.config())?;
    let opened = open(&data, &config, Arc::new(RealDisk), Hooks::default())?;
    let (cpu_centis, peak_kib) = (cpu_centis()?, memory_kib(std::process::id(), "VmHWM")?);
    let entries = opened.core.engine().state().head.next_seq;
    opened.core.finish().map_err(Failure::new)?;
    let (index_bytes, segment_bytes) = (size(&data.index())?, size(&data.ledger().join("segments"))?);
    Ok(Cost { entries, cpu_centis, peak_kib, index_bytes, segment_bytes })
}

/// User and system time of this process.
fn cpu_centis() -> Outcome<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the name in parentheses, which may hold spaces; utime and stime are fields 14 and 15.
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: Vec<u64> =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) * 100 / TICKS_PER_S),
        _ => Err(Failure::new("/proc/self/stat has another form than expected")),
    }
}

fn size(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        bytes += if item.file_type()?.is_dir() { size(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_ledger_is_made_and_its_index_rebuilt() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("node");
        make_ledger(&data, 700, 60_000).expect("a ledger");
        delete_index(&data).expect("deleted");
        let cost = rebuild(&data).expect("rebuilt");
        assert_eq!(cost.entries, 700);
        assert!(cost.peak_kib > 1_000 && cost.index_bytes > 0, "{cost:?}");
    }
}
