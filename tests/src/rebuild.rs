//! What it costs to make the index of a large ledger anew.
//!
//! The ledger is made through the ledger service, by payments between members as any other; only HTTP is left out.

use crate::kit::{Dice, Failure, Outcome, hour};
use std::path::Path;
use std::sync::Arc;
use weft_node::clock::Clock;
use weft_node::config::Config;
use weft_node::data::DataDir;
use weft_node::node::init;
use weft_node::service::{Core, Hooks, Prepared, open, start};
use weft_node::store::RealDisk;
use weft_protocol::amount::Amount;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, OpId, UnitId};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::transfer::{Transfer, move_value};

/// Members of the ledger.
const MEMBERS: usize = 300;
/// Payments in one group: one write and one sync.
const GROUP: u64 = 500;
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

/// Makes a ledger of so many entries.
///
/// # Errors
/// When it cannot be written.
pub async fn make_ledger(data: &Path, entries: u64) -> Outcome<()> {
    let data = DataDir::new(data);
    let config = Config::new("large")?;
    init(&data, &config, &[hour()])?;
    let opened = open(&data, &config, Arc::new(RealDisk), Hooks::default())?;
    let (ledger, thread) = start(opened.core);
    let accounts =
        ledger.run(|core| (0..MEMBERS).map(|_| open_account(core)).collect::<Outcome<Vec<_>>>()).await??;
    let accounts = Arc::new(accounts);
    let mut dice = Dice(entries);
    loop {
        let have = ledger.run(|core| core.engine().state().head.next_seq).await?;
        if have >= entries {
            break;
        }
        let (accounts, group) = (accounts.clone(), GROUP.min(entries - have));
        let mut dice = Dice(dice.roll());
        ledger.run(move |core| (0..group).try_for_each(|_| pay(core, &accounts, &mut dice))).await??;
    }
    ledger.close().await;
    let closed = tokio::task::spawn_blocking(move || thread.join()).await?;
    closed.map_err(|_| Failure::new("the ledger's thread panicked"))?.map_err(Failure::new)
}

fn submit(core: &mut Core, payload: Payload, role: Role) -> Outcome<()> {
    let signed = core.at_desk(payload, OpId(Clock.random()), role, &[])?;
    core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None })?;
    Ok(())
}

fn open_account(core: &mut Core) -> Outcome<AccountId> {
    let account = AccountId(Clock.random());
    let opened = AccountOpened { account, owner: OwnerKind::Member, key: None, anchor: false };
    submit(core, Payload::AccountOpened(opened), Role::Operator)?;
    Ok(account)
}

fn pay(core: &mut Core, accounts: &[AccountId], dice: &mut Dice) -> Outcome<()> {
    let from = dice.place(accounts.len());
    let to = (from + 1 + dice.place(accounts.len() - 1)) % accounts.len();
    let amount = Amount::new(i64::try_from(1 + dice.below(240))?)?;
    let postings = move_value(accounts[from], accounts[to], UnitId(0), amount);
    submit(core, Payload::Transfer(Transfer { postings, when_day: None }), Role::Member)
}

/// Deletes the index of a node that is not running.
///
/// # Errors
/// When it cannot be deleted.
pub fn delete_index(data: &Path) -> Outcome<()> {
    Ok(std::fs::remove_dir_all(DataDir::new(data).index())?)
}

/// Opens the stores, which makes the index anew, and says what the process has used.
///
/// # Errors
/// When they cannot be opened, or this is no Linux.
pub fn rebuild(data: &Path) -> Outcome<Cost> {
    let data = DataDir::new(data);
    let config = Config::load(&data.config())?;
    let opened = open(&data, &config, Arc::new(RealDisk), Hooks::default())?;
    let (cpu_centis, peak_kib) = (cpu_centis()?, peak_kib()?);
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

fn peak_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
    kib.ok_or_else(|| Failure::new("/proc/self/status has no VmHWM"))
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

    #[tokio::test]
    async fn a_small_ledger_is_made_and_its_index_rebuilt() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("node");
        make_ledger(&data, 700).await.expect("a ledger");
        delete_index(&data).expect("deleted");
        let cost = rebuild(&data).expect("rebuilt");
        assert_eq!(cost.entries, 700);
        assert!(cost.peak_kib > 1_000 && cost.index_bytes > 0, "{cost:?}");
    }
}
