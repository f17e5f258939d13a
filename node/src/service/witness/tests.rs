//! A witness over disks that fail and processes that end between the write and the answer.

use super::WitnessSettings;
use crate::config::Config;
use crate::data::DataDir;
use crate::service::{Core, Hooks, ServiceError, open, start};
use crate::store::disk::faulty::FaultyDisk;
use crate::store::segments::NoteKind;
use crate::store::{Disk, RealDisk};
use std::sync::Arc;
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::keys::SecretKey;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::VerifierKey;
use weft_protocol::log::proof::{LeafHashes, build_consistency};
use weft_protocol::log::tree::{leaf_hash, root_of};
use weft_protocol::log::witness::{AddCheckpoint, Answer, Policy, witness_key};

const ORIGIN: &str = "example.com/log";

fn key() -> SecretKey {
    SecretKey::from_seed(&[5; 32])
}

fn vkey() -> VerifierKey {
    Checkpoint::log_key(ORIGIN, &key().public()).unwrap()
}

/// A checkpoint of so many leaves, which from `fork` on are others.
fn request(old_size: u64, size: u64, fork: u64) -> AddCheckpoint {
    let leaf = |i: u64| leaf_hash(&(if i < fork { i } else { i + 100 }).to_be_bytes());
    let leaves: Vec<Hash> = (0..size).map(leaf).collect();
    let proof = match old_size {
        0 => Vec::new(),
        _ => build_consistency(&mut LeafHashes(&leaves), old_size, size).unwrap(),
    };
    let note = Checkpoint::new(ORIGIN, size, root_of(leaves)).unwrap().sign(&key());
    AddCheckpoint { old_size, proof, note }
}

fn founded(folder: &std::path::Path) -> (DataDir, Config) {
    let data = DataDir::new(folder.join("hull"));
    let config = Config::new("hull").unwrap();
    crate::node::init(&data, &config, &[]).unwrap();
    (data, config)
}

fn core(data: &DataDir, config: &Config, disk: Arc<dyn Disk>) -> Core {
    let mut opened = open(data, config, disk, Hooks::default()).unwrap();
    opened.core.set_witness(WitnessSettings { logs: vec![vkey()], ..Default::default() }, opened.clean);
    opened.core
}

#[test]
fn what_was_written_before_a_kill_is_remembered_though_nobody_heard_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let mut first = core(&data, &config, Arc::new(RealDisk));
    assert_eq!(first.witness_request(&request(0, 5, 99)).status(), 200);
    assert!(first.commit_group().unwrap());
    // Killed here: durable, and the answer never left.
    drop(first);
    let mut again = core(&data, &config, Arc::new(RealDisk));
    assert_eq!(again.witness_request(&request(0, 5, 99)), Answer::Conflict(5));
    assert_eq!(again.witness_request(&request(0, 9, 3)), Answer::Conflict(5));
    assert_eq!(again.witness_request(&request(5, 9, 3)).status(), 422);
    assert_eq!(again.witness_request(&request(5, 5, 99)).status(), 200);
    // The same again is cosigned again and written nowhere.
    assert!(!again.commit_group().unwrap());
    assert_eq!(again.witness_request(&request(5, 9, 99)).status(), 200);
    // In one group: the second sees what the first has cosigned before either is on disk.
    assert_eq!(again.witness_request(&request(5, 7, 99)), Answer::Conflict(9));
}

#[tokio::test]
async fn a_cosignature_whose_write_failed_never_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let disk = FaultyDisk::new();
    let (ledger, thread) = start(core(&data, &config, Arc::new(disk.clone())));
    let asked = ledger.run(|core| core.witness_request(&request(0, 5, 99))).await;
    assert_eq!(asked.map(|answer| answer.status()), Ok(200));
    disk.fail_sync(1);
    let asked = ledger.run(|core| core.witness_request(&request(5, 9, 99))).await;
    assert!(matches!(asked, Err(ServiceError::Stopped(_))), "{asked:?}");
    ledger.close().await;
    drop(ledger);
    let _ = tokio::task::spawn_blocking(move || thread.join()).await.unwrap();
}

#[test]
fn a_log_that_is_not_named_is_not_cosigned_and_two_heads_of_one_size_are_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let mut core = core(&data, &config, Arc::new(RealDisk));
    assert_eq!(core.witness_request(&request(0, 9, 99)).status(), 200);
    assert_eq!(core.witness_request(&request(9, 9, 3)), Answer::Conflict(9));
    assert!(core.commit_group().unwrap());
    assert_eq!(core.witness_view().watched, [(ORIGIN.to_owned(), 9)]);
    core.set_witness(WitnessSettings::default(), true);
    assert_eq!(core.witness_request(&request(9, 9, 99)).status(), 404);
}

#[test]
fn in_quarantine_nothing_is_cosigned_offered_or_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let mut core = core(&data, &config, Arc::new(RealDisk));
    core.publish().unwrap();
    let other = witness_key(&LedgerId([9; 32]), &SecretKey::from_seed(&[6; 32]).public());
    let policy = Some(Policy::of_witnesses(vec![other], 1));
    core.set_witness(WitnessSettings { policy, logs: vec![vkey()], view_every_ms: 0 }, true);
    assert!(core.witness_job().is_some());
    assert!(core.witnessed_by(&LedgerId([9; 32])).is_ok());
    core.parts.engine.quarantine();
    // It may have cosigned a larger one, before it was restored from an old backup.
    assert_eq!(core.witness_request(&request(0, 5, 99)).status(), 503);
    assert!(core.witness_view().watched.is_empty() && core.note_names(NoteKind::PEER_CHECKPOINT).is_empty());
    assert!(core.witness_job().is_none(), "its own log may be longer than it knows");
    assert!(
        core.witnessed_by(&LedgerId([9; 32])).is_err(),
        "who asks would forget what it has cosigned since"
    );
}
