use super::*;
use std::fs;

const ACCOUNT: AccountId = AccountId([3; 16]);
const LEDGER: LedgerId = LedgerId([4; 32]);
const STREAM: StreamId = StreamId([5; 16]);

fn at(offset: u32) -> Position {
    Position { segment: 1, offset }
}

fn applied(own_entries: u64) -> Applied {
    Applied { own_entries, received_entries: 0, records: own_entries }
}

fn with_history(dir: &Path, rows: u64) -> Index {
    let index = Index::open(dir).unwrap();
    let mut batch = IndexBatch::new();
    for seq in 0..rows {
        batch.own(seq, at(u32::try_from(seq).unwrap()));
        batch.account_row(&ACCOUNT, seq, &seq.to_le_bytes());
        batch.account_row(&AccountId([2; 16]), seq, b"other");
        batch.account_row(&AccountId([4; 16]), seq, b"other");
    }
    index.commit(batch, applied(rows)).unwrap();
    index
}

#[test]
fn rows_are_found_again_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    let index = Index::open(&dir).unwrap();
    assert_eq!(index.applied().unwrap(), Applied::default());
    let mut batch = IndexBatch::new();
    batch.own(300, at(7));
    batch.received(&LEDGER, &STREAM, 9, at(8));
    batch.op(&Signer([1; 8]), &OpId([2; 16]), 300);
    batch.stream_entry(&STREAM, 0, 300);
    let mark = Applied { own_entries: 301, received_entries: 10, records: 311 };
    index.commit(batch, mark).unwrap();
    index.flush().unwrap();
    drop(index);

    let index = Index::open(&dir).unwrap();
    assert_eq!(index.applied().unwrap(), mark);
    assert_eq!(index.own(300).unwrap(), Some(at(7)));
    assert_eq!(index.own(301).unwrap(), None);
    assert_eq!(index.received(&LEDGER, &STREAM, 9).unwrap(), Some(at(8)));
    assert_eq!(index.received_entries(&LEDGER, &STREAM, Page::newest(1)).unwrap(), [(9, at(8))]);
    assert_eq!(index.op(&Signer([1; 8]), &OpId([2; 16])).unwrap(), Some(300));
    assert_eq!(index.stream_entry(&STREAM, 0).unwrap(), Some(300));
    assert_eq!(index.stream_entries(&STREAM, Page::oldest(5)).unwrap(), [(0, 300)]);
}

#[test]
fn a_history_is_paged_both_ways_without_gaps_or_repeats() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 700);
    for (first, expected) in
        [(Page::newest(64), (0..700).rev().collect::<Vec<u64>>()), (Page::oldest(64), (0..700).collect())]
    {
        let (mut page, mut seen) = (first, Vec::new());
        loop {
            let rows = index.account_history(&ACCOUNT, page).unwrap();
            assert!(rows.len() <= 64);
            let Some((last, _)) = rows.last() else { break };
            page = page.after(*last);
            assert!(rows.iter().all(|(seq, row)| row == &seq.to_le_bytes()));
            seen.extend(rows.into_iter().map(|(seq, _)| seq));
        }
        assert_eq!(seen, expected);
    }
    assert_eq!(index.account_history(&ACCOUNT, Page::newest(5).after(0)).unwrap(), []);
    assert_eq!(index.account_history(&ACCOUNT, Page::oldest(5).after(u64::MAX)).unwrap(), []);
    assert_eq!(index.account_history(&AccountId([9; 16]), Page::newest(5)).unwrap(), []);
    assert_eq!(index.account_history(&ACCOUNT, Page::newest(usize::MAX)).unwrap().len(), 700);
}

#[test]
fn a_deleted_index_opens_empty() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    drop(with_history(&dir, 10));
    Index::destroy(&dir).unwrap();
    Index::destroy(&dir).unwrap();
    let index = Index::open(&dir).unwrap();
    assert_eq!(index.applied().unwrap(), Applied::default());
    assert_eq!(index.own(0).unwrap(), None);
}

#[test]
fn a_folder_that_is_no_index_is_not_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("00000000.seg");
    fs::write(&file, b"the ledger").unwrap();
    assert!(matches!(Index::destroy(dir.path()), Err(DestroyError::NotAnIndex { .. })));
    assert!(file.exists());
}

#[test]
fn a_crash_leaves_the_rows_of_whole_commits_and_a_mark_that_fits() {
    // Copies of the files at arbitrary moments, cut at arbitrary places, are what a crash may leave.
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let index = Index::open(&live).unwrap();
    for commit in 0..40_u64 {
        let mut batch = IndexBatch::new();
        for seq in commit * 10..commit * 10 + 10 {
            batch.own(seq, at(1));
            batch.account_row(&ACCOUNT, seq, &[7; 300]);
        }
        index.commit(batch, applied(commit * 10 + 10)).unwrap();
        if commit % 4 == 0 {
            index.flush().unwrap();
        }
    }
    index.flush().unwrap();
    let db = fs::read(live.join("db")).unwrap();
    let mut usable = 0;
    for percent in [10, 35, 60, 85, 97, 100] {
        let copy = dir.path().join(format!("copy-{percent}"));
        fs::create_dir_all(copy.join("blobs")).unwrap();
        fs::copy(live.join("conf"), copy.join("conf")).unwrap();
        fs::write(copy.join("db"), &db[..db.len() * percent / 100]).unwrap();
        let Ok(copy) = Index::open(&copy) else { continue };
        let Ok(mark) = copy.applied() else { continue };
        let rows = copy.account_history(&ACCOUNT, Page::oldest(MAX_PAGE_ROWS));
        let Ok(rows) = rows else { continue };
        assert_eq!(rows.len() as u64, mark.own_entries, "at {percent} percent");
        usable += 1;
    }
    assert!(usable > 0, "the whole copy at least must open");
}

#[test]
fn damage_ends_in_a_rebuild_and_never_in_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    drop(with_history(&dir, 500));
    fs::write(dir.join("conf"), b"not a configuration").unwrap();
    assert!(matches!(Index::open(&dir), Err(IndexError::Rebuild { .. })));
    Index::destroy(&dir).unwrap();
    drop(with_history(&dir, 500));
}

#[test]
fn another_layout_is_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 1);
    index.run("write", |db| db.insert(keys::meta(keys::FORMAT), &2_u64.to_be_bytes())).unwrap();
    drop(index);
    let IndexError::Rebuild { why } = Index::open(dir.path()).unwrap_err();
    assert!(why.contains("layout"), "{why}");
}

#[test]
fn an_index_that_failed_once_is_not_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 1);
    let failed: Result<(), _> = index.run("test", |_| panic!("as sled does"));
    assert!(failed.unwrap_err().to_string().contains("as sled does"));
    assert!(index.own(0).unwrap_err().to_string().contains("failed before"));
}

#[test]
fn a_snapshot_is_replaced_as_a_whole_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path()).unwrap();
    assert_eq!(index.snapshot().unwrap(), None);
    for (own_entries, len) in [(1, 200_000), (2, 70_000), (3, 0), (4, 65_536)] {
        let byte = u8::try_from(own_entries).unwrap();
        let snapshot = Snapshot { own_entries, bytes: vec![byte; len] };
        let mut batch = IndexBatch::new();
        batch.snapshot(snapshot.clone());
        index.commit(batch, applied(own_entries)).unwrap();
        assert_eq!(index.snapshot().unwrap(), Some(snapshot));
    }
    index.run("write", |db| db.insert(keys::snapshot_chunk(0), vec![9; 65_536])).unwrap();
    assert!(index.snapshot().unwrap_err().to_string().contains("SHA-256"));
}

#[test]
fn a_mark_beyond_the_segments_is_noticed() {
    let counts = Counts { own_entries: 5, received_entries: 2, notes: 1 };
    assert!(!Applied::from(counts).is_beyond(&counts));
    assert!(Applied { own_entries: 6, ..Applied::from(counts) }.is_beyond(&counts));
    assert!(Applied { records: 9, ..Applied::from(counts) }.is_beyond(&counts));
}

#[test]
fn a_batch_says_when_it_should_be_committed() {
    let mut batch = IndexBatch::new();
    let mut rows = 0;
    while !batch.is_full() {
        batch.own(rows, at(1));
        rows += 1;
    }
    assert_eq!(rows, FULL_BATCH_ROWS as u64);
}
