use super::open::{CleanStop, Covered, OpenReport};
use super::*;
use crate::store::disk::faulty::{FaultyDisk, Tail as LostTail};
use crate::store::disk::{Disk, RealDisk};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weft_protocol::ids::{LedgerId, StreamId};

/// Small segments, so that a few hundred records fill several.
const TEST_SEGMENT_BYTES: u64 = 8_192;

fn open_on(
    disk: &(impl Disk + Clone),
    dir: &Path,
    covered: Covered,
) -> Result<(Segments, OpenReport, Vec<Record>), OpenError> {
    let mut seen = Vec::new();
    let (segments, report) =
        Segments::open_sized(Arc::new(disk.clone()), dir, covered, TEST_SEGMENT_BYTES, &mut |_, record| {
            seen.push(record.to_record());
            Ok(())
        })?;
    Ok((segments, report, seen))
}

fn open(dir: &Path, covered: Covered) -> Result<(Segments, OpenReport, Vec<Record>), OpenError> {
    open_on(&RealDisk, dir, covered)
}

fn open_error(dir: &Path, covered: Covered) -> OpenError {
    open(dir, covered).map(|(_, report, _)| report).expect_err("the open should have been refused")
}

fn own(seq: u64, len: usize) -> Record {
    let byte = u8::try_from(seq % 251).unwrap();
    Record { key: RecordKey::Own { seq }, bytes: vec![byte; len] }
}

fn received(sseq: u64) -> Record {
    let key = RecordKey::Received { ledger: LedgerId([7; 32]), stream: StreamId([8; 16]), sseq, boot: 1 };
    Record { key, bytes: vec![9; 77] }
}

fn note(n: u8) -> Record {
    Record { key: RecordKey::Note { kind: NoteKind::DESCRIPTOR, name: [n; 32] }, bytes: vec![n; 120] }
}

/// Own entries in order, mixed with received ones and notes, of several lengths.
fn mixed(from_seq: u64, own_entries: u64) -> Vec<Record> {
    (from_seq..from_seq + own_entries)
        .flat_map(|seq| {
            let len = usize::try_from(seq * 37 % 400).unwrap();
            let mut records = vec![own(seq, len)];
            if seq % 3 == 0 {
                records.push(received(seq));
            }
            if seq % 10 == 0 {
                records.push(note(1));
            }
            records
        })
        .collect()
}

fn refs(records: &[Record]) -> Vec<RecordRef<'_>> {
    records.iter().map(|record| RecordRef::new(record.key, &record.bytes).unwrap()).collect()
}

fn write(segments: &mut Segments, records: &[Record]) -> Vec<Position> {
    let positions = records.chunks(7).flat_map(|group| segments.append(&refs(group)).unwrap()).collect();
    segments.sync().unwrap();
    positions
}

fn last_segment(dir: &Path) -> PathBuf {
    let dir = dir.join(SEGMENTS_DIR);
    dir.join(RealDisk.list(&dir).unwrap().pop().unwrap())
}

fn truncate(path: &Path, len: u64) {
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn checkpoint(min_own_entries: u64) -> Covered {
    Covered { min_own_entries, ..Covered::default() }
}

fn stopped(stop: CleanStop) -> Covered {
    Covered { clean_stop: Some(stop), ..Covered::default() }
}

#[test]
fn what_was_appended_is_found_again_in_order_over_several_segments() {
    let dir = tempfile::tempdir().unwrap();
    let records = mixed(0, 200);
    let (mut segments, report, _) = open(dir.path(), Covered::default()).unwrap();
    assert_eq!(report.counts, Counts::default());
    let positions = write(&mut segments, &records);
    let reader = segments.reader();
    let stop = segments.close().unwrap();
    for (at, record) in positions.iter().zip(&records) {
        assert_eq!(&reader.read(*at).unwrap(), record);
    }

    let (segments, report, seen) = open(dir.path(), stopped(stop)).unwrap();
    assert_eq!(seen, records);
    assert!(report.clean && report.torn.is_none());
    assert!(report.segments > 3);
    assert_eq!(report.counts.own_entries, 200);
    assert_eq!(segments.next_seq(), 200);
    for name in RealDisk.list(&dir.path().join(SEGMENTS_DIR)).unwrap() {
        assert!(size(&dir.path().join(SEGMENTS_DIR).join(name)) <= TEST_SEGMENT_BYTES);
    }
}

#[test]
fn a_ledger_goes_on_after_a_clean_stop_and_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let records = mixed(0, 60);
    let mut covered = Covered::default();
    for (round, part) in records.chunks(20).enumerate() {
        let (mut segments, _, seen) = open(dir.path(), covered).unwrap();
        assert_eq!(seen, records[..round * 20]);
        write(&mut segments, part);
        covered = if round % 2 == 0 { stopped(segments.close().unwrap()) } else { Covered::default() };
    }
    assert_eq!(open(dir.path(), covered).unwrap().2, records);
}

#[test]
fn starting_and_stopping_without_work_does_not_grow_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &mixed(0, 5));
    let stop = segments.close().unwrap();
    for _ in 0..3 {
        assert_eq!(open(dir.path(), stopped(stop)).unwrap().0.close().unwrap(), stop);
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let records = mixed(0, 7);
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    let positions = write(&mut segments, &records);
    drop(segments);
    let path = last_segment(dir.path());
    let start = u64::from(positions.last().unwrap().offset);
    let bytes = std::fs::read(&path).unwrap();
    for cut in [start + 1, start + 8, start + 9, bytes.len() as u64 - 1] {
        std::fs::write(&path, &bytes).unwrap();
        truncate(&path, cut);
        let (_, report, seen) = open(dir.path(), checkpoint(6)).unwrap();
        assert_eq!(seen, records[..records.len() - 1]);
        let torn = report.torn.unwrap();
        assert_eq!((torn.tail.place.offset, torn.tail.len), (start, cut - start));
        assert_eq!(std::fs::read(&torn.kept_at).unwrap(), bytes[start as usize..cut as usize]);
        assert_eq!(size(&path), start);
    }
    assert_eq!(
        RealDisk.list(&dir.path().join(TORN_DIR)).unwrap().len(),
        4,
        "each torn tail has its own file"
    );
}

#[test]
fn a_torn_tail_under_a_checkpoint_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &[own(0, 10), own(1, 20), own(2, 30)]);
    drop(segments);
    let path = last_segment(dir.path());
    truncate(&path, size(&path) - 1);
    let before = std::fs::read(&path).unwrap();
    let error = open_error(dir.path(), checkpoint(3));
    assert!(matches!(error, OpenError::CoveredTail { by: CoveredBy::Checkpoint(3), .. }), "{error}");
    let text = error.to_string();
    for part in
        ["00000000.seg", "record 2", "offset 64", "own entry 2", "checkpoint over 3", "backup", "peers"]
    {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before, "a refused open changes nothing");
}

#[test]
fn entries_that_vanished_below_a_checkpoint_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    let positions = write(&mut segments, &[own(0, 10), own(1, 20)]);
    drop(segments);
    truncate(&last_segment(dir.path()), u64::from(positions[1].offset));
    assert!(matches!(
        open_error(dir.path(), checkpoint(2)),
        OpenError::EntriesMissing { own_entries: 1, .. }
    ));
    assert!(open(dir.path(), checkpoint(1)).is_ok());
}

#[test]
fn any_cut_after_a_clean_stop_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &mixed(0, 5));
    let stop = segments.close().unwrap();
    let path = last_segment(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    for len in 0..bytes.len() {
        std::fs::write(&path, &bytes[..len]).unwrap();
        open_error(dir.path(), stopped(stop));
    }
    std::fs::remove_file(&path).unwrap();
    open_error(dir.path(), stopped(stop));
}

#[test]
fn a_flipped_bit_anywhere_after_a_clean_stop_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    let positions = write(&mut segments, &mixed(0, 150));
    let last = *positions.last().unwrap();
    let stop = segments.close().unwrap();
    let files = stop.segment + 1;
    assert!(files > 2);
    let path = |segment: u32| dir.path().join(SEGMENTS_DIR).join(segment_name(segment));

    let mut places: Vec<(u32, u64)> = Vec::new();
    let mut bits_of =
        |segment: u32, from: u64, to: u64| places.extend((from * 8..to * 8).map(|bit| (segment, bit)));
    for segment in 0..files {
        let len = size(&path(segment));
        bits_of(segment, len - record::SEAL_RECORD_LEN as u64, len);
    }
    for at in positions.iter().step_by(20) {
        bits_of(at.segment, u64::from(at.offset), u64::from(at.offset) + 4);
    }
    bits_of(last.segment, u64::from(last.offset), stop.len);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..400 {
        let segment = random.next_u32() % files;
        places.push((segment, random.next_u64() % (size(&path(segment)) * 8)));
    }

    for (segment, bit) in places {
        let path = path(segment);
        let mut bytes = std::fs::read(&path).unwrap();
        let byte = usize::try_from(bit / 8).unwrap();
        bytes[byte] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let refused = open(dir.path(), stopped(stop)).err();
        let error = refused.unwrap_or_else(|| panic!("bit {bit} of segment {segment} was not noticed"));
        let names_it = error.to_string().contains(&segment_name(segment))
            || matches!(&error, OpenError::CoveredTail { .. } | OpenError::EntriesMissing { .. });
        assert!(names_it, "{error}");
        bytes[byte] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
    }
    open(dir.path(), stopped(stop)).unwrap();
}

#[test]
fn a_flipped_bit_in_a_synced_record_is_refused_even_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &mixed(0, 6));
    drop(segments);
    let path = last_segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let scanned = scan_dir(dir.path(), Floor::default(), &mut |_, _| Ok(()));
        assert!(matches!(scanned, Err(OpenError::Damaged { .. })), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_missing_segment_and_an_unknown_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &mixed(0, 150));
    drop(segments);
    let folder = dir.path().join(SEGMENTS_DIR);

    for name in ["notes.txt", "1.seg", "+0000009.seg", "00000099.seg.bak"] {
        std::fs::write(folder.join(name), b"").unwrap();
        let error = open_error(dir.path(), Covered::default());
        assert!(matches!(&error, OpenError::UnknownFile(path) if path.ends_with(name)), "{error}");
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    std::fs::rename(folder.join("00000001.seg"), dir.path().join("away")).unwrap();
    let error = open_error(dir.path(), Covered::default());
    assert!(
        matches!(&error, OpenError::MissingSegment { path, .. } if path.ends_with("00000001.seg")),
        "{error}"
    );
}

#[test]
fn a_full_segment_without_its_seal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &mixed(0, 80));
    drop(segments);
    let first = dir.path().join(SEGMENTS_DIR).join(segment_name(0));
    truncate(&first, size(&first) - record::SEAL_RECORD_LEN as u64);
    assert!(matches!(open_error(dir.path(), Covered::default()), OpenError::Unsealed(path) if path == first));
}

#[test]
fn a_power_loss_loses_nothing_that_was_synced() {
    for lost in [LostTail::Drop, LostTail::Keep(1), LostTail::Keep(30), LostTail::Keep(700), LostTail::Zeros]
    {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new();
        let records = mixed(0, 90);
        let (synced, unsynced) = records.split_at(70);
        let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
        write(&mut segments, synced);
        for record in unsynced {
            segments.append(&refs(std::slice::from_ref(record))).unwrap();
        }
        disk.power_loss(lost).unwrap();
        assert!(segments.sync().is_err());

        let (mut segments, _, seen) = open_on(&disk, dir.path(), Covered::default()).unwrap();
        assert!(seen.len() >= synced.len() && seen == records[..seen.len()], "{lost:?}");
        write(&mut segments, &records[seen.len()..]);
        disk.power_loss(LostTail::Drop).unwrap();
        assert_eq!(open(dir.path(), Covered::default()).unwrap().2, records, "{lost:?}");
    }
}

#[test]
fn what_an_open_has_shown_survives_the_next_power_loss() {
    // The process died, not the machine: the last records were in the cache only. They were shown to the node at
    // its next start, which may have sent them on, so they must not vanish after that.
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    segments.append(&refs(&[own(0, 10), own(1, 10)])).unwrap();
    drop(segments);
    let seen = open_on(&disk, dir.path(), Covered::default()).unwrap().2;
    assert_eq!(seen.len(), 2);
    disk.power_loss(LostTail::Drop).unwrap();
    assert_eq!(open_on(&disk, dir.path(), Covered::default()).unwrap().2, seen);
}

#[test]
fn after_a_failed_sync_and_a_restart_the_bytes_are_written_again_before_they_are_synced() {
    // A failed fdatasync leaves pages that are in the cache, marked clean, and not on the disk. A restarted process
    // reads them well, and a sync alone would say Ok without writing anything.
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    segments.append(&refs(&[own(0, 10)])).unwrap();
    disk.fail_sync(1);
    segments.sync().unwrap_err();
    drop(segments);
    let writes = disk.writes();
    let (segments, _, seen) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    assert_eq!((seen.len(), disk.writes()), (1, writes + 1));

    let stop = segments.close().unwrap();
    let writes = disk.writes();
    open_on(&disk, dir.path(), stopped(stop)).unwrap();
    assert_eq!(disk.writes(), writes, "after a clean stop nothing needs to be written");
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out_by_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    disk.skip_syncs(true);
    write(&mut segments, &[own(0, 10), own(1, 10)]);
    disk.power_loss(LostTail::Drop).unwrap();
    assert!(matches!(
        open_error(dir.path(), checkpoint(2)),
        OpenError::EntriesMissing { own_entries: 0, .. }
    ));
}

#[test]
fn a_failed_sync_stops_the_writer_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    segments.append(&refs(&[own(0, 10)])).unwrap();
    disk.fail_sync(1);
    assert!(matches!(segments.sync(), Err(Fatal::Io { doing: "sync", .. })));
    let (writes, syncs) = (disk.writes(), disk.syncs());
    assert!(matches!(segments.sync(), Err(Fatal::Stopped { .. })));
    assert!(matches!(segments.append(&refs(&[own(1, 10)])), Err(Fatal::Stopped { .. })));
    assert!(matches!(segments.close(), Err(Fatal::Stopped { .. })));
    assert_eq!((disk.writes(), disk.syncs()), (writes, syncs), "the disk was touched after a failed sync");
}

#[test]
fn a_full_disk_stops_the_writer_and_loses_nothing_that_was_synced() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let records = mixed(0, 6);
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    write(&mut segments, &records);
    disk.fail_write(1);
    let error = segments.append(&refs(&[own(6, 100)])).unwrap_err();
    assert!(error.to_string().contains("00000000.seg"), "{error}");
    assert!(matches!(segments.append(&refs(&[own(6, 100)])), Err(Fatal::Stopped { .. })));
    drop(segments);
    let (mut segments, report, seen) = open_on(&disk, dir.path(), checkpoint(6)).unwrap();
    assert_eq!(seen, records);
    assert!(report.torn.is_some());
    write(&mut segments, &[own(6, 100)]);
}

#[test]
fn every_failing_sync_and_write_while_rolling_leaves_an_openable_ledger() {
    let records = mixed(0, 60);
    for n in 1..12 {
        for full in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let disk = FaultyDisk::new();
            let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
            if full {
                disk.fail_write(n)
            } else {
                disk.fail_sync(n)
            }
            let mut synced = 0;
            for group in records.chunks(11) {
                if segments.append(&refs(group)).is_err() || segments.sync().is_err() {
                    break;
                }
                synced += group.len();
            }
            drop(segments);
            disk.power_loss(LostTail::Keep(100)).unwrap();
            let seen = open(dir.path(), Covered::default()).unwrap().2;
            assert!(seen.len() >= synced && seen == records[..seen.len()], "n = {n}, full = {full}");
        }
    }
}

#[test]
fn an_own_entry_out_of_order_stops_the_writer_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::new();
    let (mut segments, _, _) = open_on(&disk, dir.path(), Covered::default()).unwrap();
    let writes = disk.writes();
    let error = segments.append(&refs(&[own(0, 1), own(2, 1)])).unwrap_err();
    assert!(matches!(error, Fatal::OutOfOrder { expected: 1, got: 2 }));
    assert_eq!(disk.writes(), writes);
}

#[test]
fn a_refusal_by_the_visitor_stops_the_open_and_names_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &[own(0, 1), own(1, 1)]);
    drop(segments);
    let result =
        Segments::open(
            Arc::new(RealDisk),
            dir.path(),
            Covered::default(),
            &mut |_, record| match record.key() {
                RecordKey::Own { seq: 1 } => Err(VisitError::new("prev does not match")),
                _ => Ok(()),
            },
        );
    let text = result.unwrap_err().to_string();
    assert!(
        text.contains("record 1 ") && text.contains("own entry 1") && text.contains("prev does not match"),
        "{text}"
    );
}

#[test]
fn a_damaged_record_is_not_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    let at = write(&mut segments, &[own(0, 50)])[0];
    let path = last_segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(segments.read(at), Err(ReadError::Damaged { fault: RecordFault::Crc { .. }, .. })));
    let nowhere = Position { segment: 0, offset: 5_000 };
    assert!(matches!(segments.read(nowhere), Err(ReadError::Io { .. })));
}

#[test]
fn a_scan_changes_nothing_and_reports_an_unfinished_tail() {
    let dir = tempfile::tempdir().unwrap();
    let (mut segments, _, _) = open(dir.path(), Covered::default()).unwrap();
    write(&mut segments, &[own(0, 10), own(1, 10)]);
    drop(segments);
    let path = last_segment(dir.path());
    truncate(&path, size(&path) - 3);
    let before = size(&path);
    let report = scan_dir(dir.path(), Floor::default(), &mut |_, _| Ok(())).unwrap();
    assert_eq!(report.counts.own_entries, 1);
    assert_eq!(report.tail.unwrap().place.key, Some(RecordKey::Own { seq: 1 }));
    assert_eq!(size(&path), before);
}
