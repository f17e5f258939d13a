//! The service over disks that fail: nothing acknowledged is lost, and what failed is said.

use super::{Hooks, Ledger, OpRefused, Opened, Prepared, ServiceError, open, start};
use crate::config::Config;
use crate::data::DataDir;
use crate::store::disk::faulty::{FaultyDisk, Tail};
use crate::store::{Disk, RealDisk};
use std::sync::Arc;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, OpId, UnitId};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

fn founded(folder: &std::path::Path) -> (DataDir, Config) {
    let data = DataDir::new(folder.join("hull"));
    let config = Config::new("hull").unwrap();
    let hour = UnitDefined {
        unit: UnitId(0),
        code: "hour".into(),
        name: "Hour".into(),
        kind: UnitKind::Time,
        scale: 0,
    };
    crate::node::init(&data, &config, &[hour]).unwrap();
    (data, config)
}

fn opened(data: &DataDir, config: &Config, disk: Arc<dyn Disk>) -> Opened {
    open(data, config, disk, Hooks::default()).unwrap()
}

async fn open_account(ledger: &Ledger, n: u8) -> Result<Result<u64, OpRefused>, ServiceError> {
    ledger
        .run(move |core| {
            let account = AccountId([n; 16]);
            let payload = Payload::AccountOpened(AccountOpened {
                account,
                owner: OwnerKind::Member,
                key: None,
                anchor: false,
            });
            let signed = core.at_desk(payload, OpId([n; 16]), Role::Operator, &[]).unwrap();
            let done = core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None });
            done.map(|answer| answer.entry.body().seq)
        })
        .await
}

#[tokio::test]
async fn a_failed_sync_stops_the_ledger_and_what_was_acknowledged_is_there_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let disk = FaultyDisk::new();
    let lock = data.lock().unwrap();
    let (ledger, thread) = start(opened(&data, &config, Arc::new(disk.clone())).core);
    assert_eq!(open_account(&ledger, 1).await, Ok(Ok(2)));
    disk.fail_sync(1);
    assert!(matches!(open_account(&ledger, 2).await, Err(ServiceError::Stopped(_))));
    assert!(matches!(open_account(&ledger, 3).await, Err(ServiceError::Stopped(_))));
    assert!(ledger.stopped().is_some());
    ledger.close().await;
    assert!(thread.join().unwrap().is_err(), "a stop after a failure is not clean");
    disk.power_loss(Tail::Drop).unwrap();
    drop(lock);

    let again = opened(&data, &config, Arc::new(RealDisk));
    assert!(!again.clean);
    let accounts = &again.core.engine().state().accounts;
    assert!(accounts.contains_key(&AccountId([1; 16])));
    assert!(!accounts.contains_key(&AccountId([3; 16])));
}

#[tokio::test]
async fn a_full_disk_stops_the_ledger_and_names_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let disk = FaultyDisk::new();
    let (ledger, thread) = start(opened(&data, &config, Arc::new(disk.clone())).core);
    disk.fail_write(1);
    let Err(ServiceError::Stopped(why)) = open_account(&ledger, 1).await else { panic!("it went on") };
    assert!(why.contains("No space left"), "{why}");
    ledger.close().await;
    assert!(thread.join().unwrap().is_err());
    assert!(opened(&data, &config, Arc::new(RealDisk)).core.engine().state().head.next_seq == 2);
}

#[tokio::test]
async fn the_same_operation_in_one_group_and_later_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let (ledger, thread) = start(opened(&data, &config, Arc::new(RealDisk)).core);
    let (one, other) = tokio::join!(open_account(&ledger, 1), open_account(&ledger, 1));
    for answer in [one, other] {
        assert!(matches!(answer, Ok(Ok(2) | Err(OpRefused::UnderWay(_)))), "{answer:?}");
    }
    assert_eq!(open_account(&ledger, 1).await, Ok(Ok(2)));
    ledger.close().await;
    assert_eq!(thread.join().unwrap(), Ok(()));
    let again = opened(&data, &config, Arc::new(RealDisk));
    assert!(again.clean);
    assert_eq!(again.core.engine().state().head.next_seq, 3);
}

#[tokio::test]
async fn a_look_sees_nothing_that_is_not_durable_and_is_told_when_the_ledger_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let disk = FaultyDisk::new();
    let (ledger, thread) = start(opened(&data, &config, Arc::new(disk.clone())).core);
    let look = || {
        ledger.look(|core| {
            let last = core.engine().state().head.next_seq - 1;
            (core.engine().has_unwritten(), core.index().own(last).unwrap().is_some())
        })
    };
    let opening = futures::future::join_all((1..=32).map(|n| open_account(&ledger, n)));
    let looking = futures::future::join_all((0..32).map(|_| look()));
    let (opened, seen) = tokio::join!(opening, looking);
    assert!(opened.iter().all(|one| matches!(one, Ok(Ok(_)))), "{opened:?}");
    assert!(seen.iter().all(|one| *one == Ok((false, true))), "{seen:?}");
    disk.fail_sync(1);
    assert!(matches!(open_account(&ledger, 33).await, Err(ServiceError::Stopped(_))));
    assert!(matches!(look().await, Err(ServiceError::Stopped(_))));
    ledger.close().await;
    assert!(thread.join().unwrap().is_err());
}

#[test]
fn an_index_that_reaches_beyond_the_segments_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let index = crate::store::Index::open(&data.index()).unwrap();
    let beyond = crate::store::index::Applied { own_entries: 9, received_entries: 0, records: 9 };
    index.commit(crate::store::IndexBatch::new(), beyond).unwrap();
    drop(index);
    let again = opened(&data, &config, Arc::new(RealDisk));
    assert!(again.remarks.iter().any(|r| r.contains("index was rebuilt")), "{:?}", again.remarks);
    assert!(again.core.own_entry(1).is_ok());
}

/// It was found by an audit after a kill between the writing of a tile and its renaming.
#[test]
fn what_a_kill_left_half_written_in_the_public_log_is_gone_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let tile = data.public().join("tile/0/000.p");
    std::fs::create_dir_all(&tile).unwrap();
    let left = [tile.join("158.new"), data.public().join("checkpoint.new")];
    let kept: Vec<_> = std::fs::read_dir(&tile).unwrap().map(|item| item.unwrap().path()).collect();
    left.iter().for_each(|path| std::fs::write(path, b"half").unwrap());
    assert!(opened(&data, &config, Arc::new(RealDisk)).clean);
    assert!(left.iter().all(|path| !path.exists()));
    assert!(kept.len() == 1 && kept.iter().all(|path| path.exists()), "{kept:?}");
}

#[test]
fn the_newest_note_of_a_kind_and_name_is_found_again_after_every_kind_of_stop() {
    use crate::store::segments::NoteKind;
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let (one, two) = ([1; 32], [2; 32]);
    let mut core = opened(&data, &config, Arc::new(RealDisk)).core;
    core.keep_note(NoteKind::COSIGNATURE, one, b"first".to_vec()).unwrap();
    core.keep_note(NoteKind::PEER_CHECKPOINT, one, b"a head".to_vec()).unwrap();
    core.keep_note(NoteKind::COSIGNATURE, two, b"of another".to_vec()).unwrap();
    assert_eq!(core.note(NoteKind::COSIGNATURE, &one).unwrap().as_deref(), Some(&b"first"[..]));
    assert!(core.commit_group().unwrap());
    core.index_group();
    core.keep_note(NoteKind::COSIGNATURE, one, b"second".to_vec()).unwrap();
    assert!(core.keep_note(NoteKind::FENCE, one, vec![0; 4_097]).is_err());
    assert!(core.keep_note(NoteKind(6), one, Vec::new()).is_err());
    core.finish().unwrap();

    let check = |remarks: &[String], core: &super::Core| {
        assert_eq!(remarks, [] as [String; 0]);
        assert_eq!(core.note(NoteKind::COSIGNATURE, &one).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(core.note(NoteKind::PEER_CHECKPOINT, &one).unwrap().as_deref(), Some(&b"a head"[..]));
        assert_eq!(core.note(NoteKind::PEER_CHECKPOINT, &[3; 32]).unwrap(), None);
        assert_eq!(core.note_names(NoteKind::COSIGNATURE), [one, two]);
    };
    let Opened { mut core, clean, remarks } = opened(&data, &config, Arc::new(RealDisk));
    assert!(clean);
    check(&remarks, &core);
    core.keep_note(NoteKind::PEER_CHECKPOINT, two, b"checkpoint".to_vec()).unwrap();
    core.commit_group().unwrap();
    // No clean stop, and the index has not heard of the last note.
    drop(core);
    let Opened { core, clean, remarks } = opened(&data, &config, Arc::new(RealDisk));
    assert!(!clean);
    check(&remarks, &core);
    assert_eq!(core.note_names(NoteKind::PEER_CHECKPOINT), [one, two]);
    core.finish().unwrap();
    let Opened { core, remarks, .. } = opened(&data, &config, Arc::new(RealDisk));
    check(&remarks, &core);
}

#[test]
fn an_erasure_that_a_crash_interrupted_is_finished_at_the_next_start() {
    use weft_protocol::ledger::erasure::ErasureReason;
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let account = AccountId([7; 16]);
    let mut core = opened(&data, &config, Arc::new(RealDisk)).core;
    let member = AccountOpened { account, owner: OwnerKind::Member, key: None, anchor: false };
    let signed = core.at_desk(Payload::AccountOpened(member), OpId([1; 16]), Role::Operator, &[]).unwrap();
    core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None }).unwrap();
    core.put_person("Ada Lovelace", account).unwrap();
    core.erase(account, ErasureReason::Asked, OpId([2; 16])).unwrap();
    assert_eq!(core.account_named("Ada Lovelace"), None);
    core.commit_group().unwrap();
    assert!(core.private().person(&account).unwrap().is_some(), "the test shows nothing");
    drop(core);

    let Opened { mut core, remarks, .. } = opened(&data, &config, Arc::new(RealDisk));
    assert!(remarks.iter().any(|remark| remark.contains("an erasure")), "{remarks:?}");
    // As the request does that has opened the account, when it is repeated.
    core.put_person("Ada Lovelace", account).unwrap();
    assert_eq!((core.account_named("Ada Lovelace"), core.name_of(&account)), (None, None));
    assert_eq!(core.private().person(&account).unwrap(), None);
    assert_eq!(core.erased_by(&OpId([2; 16])), Some(account));
    core.finish().unwrap();
    assert_eq!(opened(&data, &config, Arc::new(RealDisk)).remarks, [] as [String; 0]);
}

/// A payment and the question what to send next often come in one group. The question found a place of the stream that
/// the index did not have yet, took that for a broken store, and the link rested for a quarter of a second.
#[test]
fn what_a_task_of_the_same_group_has_written_is_sent_when_it_is_durable_and_is_no_error_before() {
    use crate::data::ROOT_KEY;
    use weft_protocol::entry::How;
    use weft_protocol::ids::PUBLIC_STREAM;
    use weft_protocol::keys::SecretKey;
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = founded(folder.path());
    let _lock = data.lock().unwrap();
    let mut core = opened(&data, &config, Arc::new(RealDisk)).core;
    let before = core.engine().state().stream(&PUBLIC_STREAM).next;
    let unit = UnitDefined {
        unit: UnitId(1),
        code: "egg".into(),
        name: "Egg".into(),
        kind: UnitKind::Time,
        scale: 0,
    };
    let root = SecretKey::from_seed(&data.seed(ROOT_KEY).unwrap());
    let mut signed = core.at_desk(Payload::UnitDefined(unit), OpId([1; 16]), Role::Operator, &[]).unwrap();
    signed.auth.clear();
    let ledger = core.engine().state().ledger().unwrap();
    let signed = signed.signed(&ledger, &root, Role::Root, How::OwnKey);
    core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None }).unwrap();
    assert_eq!(core.engine().state().stream(&PUBLIC_STREAM).next, before + 1, "it is a public entry");
    assert!(
        core.outgoing(PUBLIC_STREAM, before, None).unwrap().is_none(),
        "it was shown before it was durable"
    );
    assert!(core.commit_group().unwrap());
    core.index_group();
    let sent = core.outgoing(PUBLIC_STREAM, before, None).unwrap().unwrap();
    assert_eq!((sent.next, sent.push.entries.len()), (before + 1, 1));
    assert!(core.outgoing(PUBLIC_STREAM, before + 1, None).unwrap().is_none());
}
