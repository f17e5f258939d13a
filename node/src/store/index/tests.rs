use super::*;
use crate::store::index::engine::ROWS;
use redb::ReadableTable;
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

/// One row, as the engine is told to keep it.
fn put(index: &Index, key: Vec<u8>, value: &[u8]) {
    index.rows.engine().write(&BTreeMap::new(), &[(key, Some(value.to_vec()))], true).unwrap();
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
    index.flush().unwrap();
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
fn rows_that_wait_for_the_engine_are_found_as_those_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    let index = Index::open(&dir).unwrap();
    // Small commits, as a node makes them: some rows are with the engine, some on their way, some wait.
    for seq in 0..3_000_u64 {
        let mut batch = IndexBatch::new();
        batch.own(seq, at(u32::try_from(seq).unwrap()));
        batch.account_row(&ACCOUNT, seq, &seq.to_le_bytes());
        index.commit(batch, applied(seq + 1)).unwrap();
        assert_eq!(index.applied().unwrap(), applied(seq + 1));
        for known in [0, seq / 2, seq.saturating_sub(1_200), seq] {
            assert_eq!(
                index.own(known).unwrap(),
                Some(at(u32::try_from(known).unwrap())),
                "{known} of {seq}"
            );
        }
        assert_eq!(index.own(seq + 1).unwrap(), None);
        if seq % 100 == 99 {
            let newest = index.account_history(&ACCOUNT, Page::newest(1_000)).unwrap();
            let expected = (seq.saturating_sub(999)..=seq).rev();
            assert!(newest.iter().map(|(seq, _)| *seq).eq(expected), "at {seq}");
            let oldest = index.account_history(&ACCOUNT, Page::oldest(40).after(19)).unwrap();
            assert!(oldest.iter().map(|(seq, _)| *seq).eq(20..60), "at {seq}");
        }
    }
    drop(index);
    let index = Index::open(&dir).unwrap();
    assert_eq!(index.applied().unwrap(), applied(3_000));
    assert_eq!(index.own(2_999).unwrap(), Some(at(2_999)));
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
    // Copies of the file at arbitrary moments, while it is open, are what a crash may leave.
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let index = Index::open(&live).unwrap();
    let mut usable = 0;
    for commit in 0..40_u64 {
        let mut batch = IndexBatch::new();
        for seq in commit * 10..commit * 10 + 10 {
            batch.own(seq, at(1));
            batch.account_row(&ACCOUNT, seq, &[7; 300]);
        }
        index.commit(batch, applied(commit * 10 + 10)).unwrap();
        if commit % 7 == 0 {
            index.flush().unwrap();
        }
        let copy = dir.path().join(format!("copy-{commit}"));
        fs::create_dir_all(&copy).unwrap();
        fs::copy(live.join(FILE), copy.join(FILE)).unwrap();
        let Ok(copy) = Index::open(&copy) else { continue };
        let mark = copy.applied().unwrap();
        let rows = copy.account_history(&ACCOUNT, Page::oldest(MAX_PAGE_ROWS)).unwrap();
        assert_eq!(rows.len() as u64, mark.own_entries, "at commit {commit}");
        let synced = commit / 7 * 70 + 10;
        assert!(mark.own_entries >= synced, "at commit {commit}: only {} rows", mark.own_entries);
        usable += 1;
    }
    assert!(usable > 30, "only {usable} copies could be opened");
}

#[test]
fn a_file_that_is_cut_short_is_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    drop(with_history(&live, 2_000));
    let whole = fs::read(live.join(FILE)).unwrap();
    for percent in [0, 1, 10, 35, 60, 85, 97] {
        let copy = dir.path().join(format!("copy-{percent}"));
        fs::create_dir_all(&copy).unwrap();
        fs::write(copy.join(FILE), &whole[..whole.len() * percent / 100]).unwrap();
        let opened = Index::open(&copy);
        assert!(opened.is_err(), "{percent} percent of the file were taken for all of it");
    }
}

#[test]
fn a_flipped_bit_is_a_rebuild_or_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    const ROWS: u64 = 1_500;
    drop(with_history(&live, ROWS));
    let whole = fs::read(live.join(FILE)).unwrap();
    let answers = |index: &Index| -> Result<_, IndexError> {
        let mut histories = Vec::new();
        for account in [ACCOUNT, AccountId([2; 16]), AccountId([4; 16])] {
            let mut page = Page::newest(MAX_PAGE_ROWS);
            loop {
                let rows = index.account_history(&account, page)?;
                let Some((last, _)) = rows.last() else { break };
                page = page.after(*last);
                histories.push(rows);
            }
        }
        let own = (0..ROWS).map(|seq| index.own(seq)).collect::<Result<Vec<_>, _>>()?;
        Ok((index.applied()?, own, histories))
    };
    let right = answers(&Index::open(&live).unwrap()).unwrap();
    let copy = dir.path().join("copy");
    fs::create_dir_all(&copy).unwrap();
    let (mut noticed, mut harmless) = (0, 0);
    // A prime step walks through headers, branches, leaves and free pages alike.
    for at in (0..whole.len()).step_by((whole.len() / 150) | 1).chain(0..32) {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 1 << (at % 8);
        fs::write(copy.join(FILE), &spoilt).unwrap();
        match Index::open(&copy).and_then(|index| answers(&index)) {
            Ok(now) => {
                assert_eq!(now, right, "a wrong answer after a flipped bit in byte {at}");
                harmless += 1;
            }
            Err(IndexError::Rebuild { .. }) => noticed += 1,
        }
    }
    assert!(noticed > 20 && harmless > 0, "{noticed} noticed, {harmless} harmless");
}

#[test]
fn a_row_damaged_while_the_index_is_open_is_never_handed_out() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 10);
    let other = keys::own(3);
    let damage = |db: &Database| {
        let write = db.begin_write()?;
        {
            let mut table = write.open_table(ROWS)?;
            let moved = table.get(other.as_slice())?.map(|row| row.value().to_vec()).unwrap();
            // A whole row, under a key that is not its own.
            table.insert(keys::own(4).as_slice(), moved.as_slice())?;
        }
        Ok(write.commit()?)
    };
    index.rows.engine().run("damage", damage).unwrap();
    assert_eq!(index.own(3).unwrap(), Some(at(3)));
    assert!(index.own(4).unwrap_err().to_string().contains("not readable"));
}

#[test]
fn damage_ends_in_a_rebuild_and_never_in_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    drop(with_history(&dir, 500));
    fs::write(dir.join(FILE), b"not a database").unwrap();
    assert!(matches!(Index::open(&dir), Err(IndexError::Rebuild { .. })));
    Index::destroy(&dir).unwrap();
    drop(with_history(&dir, 500));
}

#[test]
fn the_index_of_an_older_engine_is_told_from_ours_and_can_be_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("index");
    fs::create_dir_all(dir.join("blobs")).unwrap();
    for name in ["conf", "db", "snap.000000000000397A"] {
        fs::write(dir.join(name), b"of another engine").unwrap();
    }
    let IndexError::Rebuild { why } = Index::open(&dir).unwrap_err();
    assert!(why.contains("older version"), "{why}");
    Index::destroy(&dir).unwrap();
    assert!(!dir.exists());
    drop(with_history(&dir, 5));
}

#[test]
fn another_layout_is_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 1);
    put(&index, keys::meta(keys::FORMAT), &99_u64.to_be_bytes());
    drop(index);
    let IndexError::Rebuild { why } = Index::open(dir.path()).unwrap_err();
    assert!(why.contains("layout"), "{why}");
}

#[test]
fn an_index_that_failed_once_is_not_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    let index = with_history(dir.path(), 1);
    let failed: Result<(), _> = index.rows.engine().run("test", |_| panic!("as engines do"));
    assert!(failed.unwrap_err().to_string().contains("as engines do"));
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
    put(&index, keys::snapshot_chunk(0), &vec![9; 65_536]);
    assert!(index.snapshot().unwrap_err().to_string().contains("SHA-256"));
}

#[test]
fn a_mark_beyond_the_segments_is_noticed() {
    let counts = Counts { own_entries: 5, received_entries: 2, notes: 1, left_out: 0 };
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
