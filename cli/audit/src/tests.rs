//! Stores and bundles on disk, audited whole and spoilt in every way that a file can be.

mod evidence;
mod since;

use super::*;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;
use weft_protocol::clearing::engine::Record as Stored;
use weft_protocol::entry::Entry;
use weft_protocol::ids::Hash;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::receipt::Receipt;
use weft_protocol::log::tile::TileBuilder;
use weft_protocol::log::witness::{Policy, witness_key};
use weft_protocol::record::{NoteKind, RecordKey, RecordRef, Seal};
use weft_protocol::testing::TestNetwork;

/// Two networks with payments both ways; the first has more than one full tile.
pub(crate) fn networks() -> (TestNetwork, TestNetwork) {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, ben) = (hull.member(), hull.member_with_key());
    let (cyd, dan) = (lansing.member_with_key(), lansing.member());
    hull.limit_members(6_000).unwrap();
    hull.accord(&mut lansing, 1_000);
    for minutes in 1..=5 {
        hull.pay(ada, cyd, &mut lansing, minutes * 10).unwrap();
        hull.settle(&mut lansing);
        lansing.pay(dan, ben, &mut hull, minutes).unwrap();
        hull.settle(&mut lansing);
    }
    for minutes in 1..=240 {
        let (from, to) = if minutes % 2 == 0 { (ada, ben) } else { (ben, ada) };
        hull.transfer(from, to, minutes).unwrap();
    }
    (hull, lansing)
}

/// Writes a data folder as a node does: segments of some records each, sealed, and the public folder.
pub(crate) fn write_store(network: &TestNetwork, data: &Path, checkpoint_size: usize) {
    const RECORDS: usize = 200;
    let segments = data.join("ledger/segments");
    fs::create_dir_all(&segments).unwrap();
    for (number, records) in network.records.chunks(RECORDS).enumerate() {
        let mut segment = Vec::new();
        for record in records {
            let (key, entry): (_, &Entry) = match record {
                Stored::Own(written) => (RecordKey::Own { seq: written.entry.body().seq }, &written.entry),
                Stored::Received(entry) => {
                    let (body, header) = (entry.body(), entry.body().stream.unwrap());
                    let (ledger, stream, sseq, boot) = (body.ledger, header.id, header.sseq, body.boot);
                    (RecordKey::Received { ledger, stream, sseq, boot }, entry)
                }
                Stored::Evidence(bytes) => {
                    let key = RecordKey::Note { kind: NoteKind::EVIDENCE, name: Hash::of("", &[bytes]).0 };
                    RecordRef::new(key, bytes).unwrap().encode(&mut segment);
                    continue;
                }
            };
            RecordRef::new(key, entry.bytes()).unwrap().encode(&mut segment);
        }
        Seal { offset: segment.len() as u64, sha256: Hash::of("", &[&segment]).0 }.encode(&mut segment);
        fs::write(segments.join(format!("{number:08}.seg")), segment).unwrap();
    }
    let public = data.join("ledger/public");
    let mut tree = TileBuilder::new();
    network.own().iter().take(checkpoint_size).for_each(|entry| tree.push(entry.leaf()));
    for tile in tree.take_changed() {
        let path = public.join(tile.path.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, tile.content).unwrap();
    }
    fs::write(public.join("checkpoint"), network.checkpoint(checkpoint_size)).unwrap();
}

struct Fixture {
    dir: TempDir,
    hull: TestNetwork,
    lansing: TestNetwork,
}

impl Fixture {
    fn new() -> Self {
        let (hull, lansing) = networks();
        let dir = TempDir::new().unwrap();
        for (network, name) in [(&hull, "hull"), (&lansing, "lansing")] {
            let data = dir.path().join(name);
            write_store(network, &data, network.own().len());
            write_bundle(&data, &dir.path().join(format!("{name}-bundle"))).unwrap();
        }
        Self { dir, hull, lansing }
    }
    fn store(&self) -> PathBuf {
        self.dir.path().join("hull")
    }
    fn bundle(&self) -> PathBuf {
        self.dir.path().join("hull-bundle")
    }
}

fn one_thread() -> VerifyOptions {
    VerifyOptions { threads: Some(1), ..VerifyOptions::default() }
}

fn dir(folder: &Path) -> AuditOutcome {
    verify_dir(folder, &one_thread(), &mut |_| {}).unwrap()
}

fn store(data: &Path) -> AuditOutcome {
    verify_store(data, &one_thread(), &mut |_| {}).unwrap()
}

fn all_files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            files.insert(path, bytes);
        }
    }
    files
}

/// Flips one bit at 200 places, spread over all bytes and over all files; each must be found and its file named.
fn every_flip_is_found(folder: &Path, names_from: &Path, audit: &dyn Fn() -> AuditOutcome) {
    let files = all_files(folder);
    let mut random: u64 = 0x5eed;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let total: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
    let by_name: Vec<_> = files.iter().collect();
    for round in 0..200 {
        let (path, right, byte) = if round % 2 == 0 {
            let (path, right) = by_name[usize::try_from(next(by_name.len() as u64)).unwrap()];
            (path, right, next(right.len() as u64))
        } else {
            let mut at = next(total);
            let mut found = by_name.iter();
            loop {
                let (path, right) = found.next().unwrap();
                if at < right.len() as u64 {
                    break (*path, *right, at);
                }
                at -= right.len() as u64;
            }
        };
        let bit = next(8);
        let mut spoilt = right.clone();
        spoilt[usize::try_from(byte).unwrap()] ^= 1 << bit;
        fs::write(path, spoilt).unwrap();
        let outcome = audit();
        let name = path.strip_prefix(names_from).unwrap().to_str().unwrap();
        let kept = outcome.report().findings.kept();
        let named = kept.iter().any(|f| f.class.is_wrong() && f.file.as_deref() == Some(name));
        assert!(outcome.exit_code == 1 && named, "{name}, byte {byte}, bit {bit}: {kept:#?}");
        fs::write(path, right).unwrap();
    }
    assert_eq!(audit().exit_code, 0);
}

#[test]
fn a_right_store_and_its_bundle_have_no_findings_and_agree() {
    let fixture = Fixture::new();
    let (from_store, from_bundle) = (store(&fixture.store()), dir(&fixture.bundle()));
    for outcome in [&from_store, &from_bundle] {
        assert_eq!(outcome.report().findings.kept(), []);
        assert_eq!(outcome.exit_code, 0);
        assert_eq!(outcome.report().state_digest, fixture.hull.state().digest());
    }
    assert_eq!(from_store.report(), from_bundle.report());
    assert_eq!(from_bundle.report().entries, fixture.hull.own().len() as u64);
    assert!(from_bundle.report().entries > 256);
}

#[test]
fn two_bundles_compare_with_opposite_positions() {
    let fixture = Fixture::new();
    let (a, b) = (dir(&fixture.bundle()), dir(&fixture.dir.path().join("lansing-bundle")));
    let comparison = compare(&a.audit, &b.audit);
    assert_eq!(comparison.findings.kept(), []);
    assert_eq!(comparison.claims, 10);
    assert_eq!((comparison.positions[0].a, comparison.positions[0].b), (135, -135));
    assert!(comparison_text(&comparison).contains("135 and -135: opposite, 0 in flight"));
    assert!(comparison_json(&comparison).contains("\"schema\": \"weft.audit/1\""));
}

#[test]
fn every_flipped_bit_of_a_bundle_is_found_and_its_file_named() {
    let fixture = Fixture::new();
    let bundle = fixture.bundle();
    every_flip_is_found(&bundle, &bundle, &|| dir(&bundle));
}

#[test]
fn every_flipped_bit_of_a_store_is_found_and_its_file_named() {
    let fixture = Fixture::new();
    let data = fixture.store();
    every_flip_is_found(&data.join("ledger"), &data, &|| store(&data));
}

#[test]
fn a_damaged_record_is_named_with_its_entry_and_the_rest_is_still_replayed() {
    let fixture = Fixture::new();
    let path = fixture.store().join("ledger/segments/00000001.seg");
    let right = fs::read(&path).unwrap();
    let mut spoilt = right.clone();
    spoilt[20] ^= 1;
    fs::write(&path, spoilt).unwrap();
    let outcome = store(&fixture.store());
    let first = &outcome.report().findings.kept()[0];
    assert!(first.what.starts_with("record 0 at offset 0 (own entry 1"), "{first}");
    let seq = match first.entries[0] {
        EntryRef::Own(seq) => seq,
        EntryRef::Stream { .. } | EntryRef::Of { .. } => panic!("an own entry"),
    };
    assert_eq!(outcome.report().entries, fixture.hull.own().len() as u64 - 1);
    assert!(outcome.report().findings.kept()[1].entries.contains(&EntryRef::Own(seq)), "it is missing");
}

#[test]
fn an_unfinished_write_at_the_end_is_a_warning_and_anywhere_else_an_error() {
    let fixture = Fixture::new();
    let last = fixture.store().join("ledger/segments/00000001.seg");
    let mut bytes = fs::read(&last).unwrap();
    let whole = bytes.len();
    RecordRef::new(RecordKey::Own { seq: fixture.hull.own().len() as u64 }, &[1; 300])
        .unwrap()
        .encode(&mut bytes);
    fs::write(&last, &bytes[..whole + 100]).unwrap();
    let outcome = store(&fixture.store());
    assert_eq!(outcome.exit_code, 0);
    assert!(outcome.report().findings.kept()[0].what.contains("unfinished write of 100 bytes"));
    // A sealed segment that was cut short has lost entries.
    fs::write(&last, &bytes[..whole - 700]).unwrap();
    assert_eq!(store(&fixture.store()).exit_code, 1);
    fs::remove_file(fixture.store().join("ledger/segments/00000000.seg")).unwrap();
    assert_eq!(store(&fixture.store()).exit_code, 1);
}

#[test]
fn files_that_do_not_belong_into_a_bundle_are_named() {
    let fixture = Fixture::new();
    let bundle = fixture.bundle();
    let found = |name: &str, words: &str| {
        let outcome = dir(&bundle);
        let kept = outcome.report().findings.kept();
        let hit = kept
            .iter()
            .any(|f| f.class.is_wrong() && f.file.as_deref() == Some(name) && f.what.contains(words));
        assert!(outcome.exit_code == 1 && hit, "{name}: {kept:#?}");
    };
    let extra = |name: &str, bytes: &[u8], words: &str| {
        let path = bundle.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        found(name, words);
        fs::remove_file(path).unwrap();
    };
    let tile = fs::read(bundle.join("tile/0/000")).unwrap();
    extra("tile/0/000.p/7", &tile[..7 * 32], "stale");
    extra("tile/0/007", &tile, "stale");
    extra("tile/entries/000.p/1", &[0, 0], "stale");
    extra("notes.txt", b"hello", "nothing refers");
    extra("peers/00/public", b"", "nothing refers");
    extra("tile/0/0", b"", "nothing refers");
    for (path, right) in all_files(&bundle) {
        let name = path.strip_prefix(&bundle).unwrap().to_str().unwrap().to_owned();
        fs::write(&path, [right.as_slice(), b"\0"].concat()).unwrap();
        found(&name, "");
        fs::remove_file(&path).unwrap();
        assert_ne!((dir(&bundle).exit_code, name.starts_with("peers/")), (0, false), "{name} removed");
        fs::write(&path, right).unwrap();
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("checkpoint", bundle.join("link")).unwrap();
        found("link", "link");
        fs::remove_file(bundle.join("link")).unwrap();
    }
    assert_eq!(dir(&bundle).exit_code, 0);
}

#[test]
fn opened_texts_are_held_against_their_entries_and_shown() {
    let fixture = Fixture::new();
    let folder = fixture.bundle().join("openings");
    fs::create_dir(&folder).unwrap();
    let payment = |salt: [u8; 32], content: &[u8]| {
        (weft_protocol::sidecar::commitment(&salt, content), [&salt[..], content].concat())
    };
    // A right opening of something that no entry commits to, and a wrong one of what an entry does commit to.
    let (stranger, bytes) = payment([1; 32], b"a text");
    let path = folder.join(stranger.to_string());
    fs::write(&path, &bytes).unwrap();
    let found = |what: &str| {
        let outcome = dir(&fixture.bundle());
        assert_eq!(outcome.exit_code, 1, "{what}");
        let kept = outcome.report().findings.kept();
        assert!(kept.iter().any(|f| f.what.contains(what)), "{what}: {kept:#?}");
    };
    found("no entry commits to it");
    fs::remove_file(&path).unwrap();
    let held = fixture.hull.own().into_iter().find(|entry| !entry.op().sidecars.is_empty()).unwrap();
    let path = folder.join(held.op().sidecars[0].to_string());
    fs::write(&path, &bytes).unwrap();
    found("does not open the commitment");
    fs::write(&path, b"short").unwrap();
    found("too short");
    fs::remove_file(&path).unwrap();
    fs::write(folder.join("readme"), b"x").unwrap();
    found("no commitment");
    fs::remove_file(folder.join("readme")).unwrap();
    assert_eq!(dir(&fixture.bundle()).exit_code, 0);
}

#[test]
fn a_signature_line_of_somebody_unknown_is_named() {
    let fixture = Fixture::new();
    let path = fixture.bundle().join("checkpoint");
    let mut note = fs::read_to_string(&path).unwrap();
    let theirs = fixture.lansing.checkpoint(1);
    note.push_str(theirs.lines().last().unwrap());
    note.push('\n');
    fs::write(&path, note).unwrap();
    let outcome = dir(&fixture.bundle());
    let first = &outcome.report().findings.kept()[0];
    assert!(first.what.contains("not known here") && first.file.as_deref() == Some("checkpoint"), "{first}");
}

#[test]
fn a_bundle_holds_what_the_checkpoint_covers_and_not_what_peers_said_of_later_entries() {
    let (hull, _) = networks();
    let dir_ = TempDir::new().unwrap();
    for size in [1, 8, 20, 27, 40, 256, 270] {
        let (data, bundle) =
            (dir_.path().join(format!("{size}")), dir_.path().join(format!("{size}-bundle")));
        write_store(&hull, &data, size);
        assert_eq!(write_bundle(&data, &bundle).unwrap().entries, size as u64);
        let outcome = dir(&bundle);
        assert_eq!(outcome.report().findings.wrong(), 0, "{size}: {:#?}", outcome.report().findings.kept());
        assert_eq!(outcome.report().entries, size as u64);
        let of_store = store(&data);
        assert_eq!(of_store.exit_code, 0, "{size}: {:#?}", of_store.report().findings.kept());
        let uncovered = of_store.report().findings.kept().iter().any(|f| f.what.contains("not covered"));
        assert!(uncovered);
        assert!(matches!(write_bundle(&data, &bundle), Err(BundleError::NotEmpty { .. })));
    }
}

#[test]
fn no_bundle_is_written_from_a_damaged_store() {
    let fixture = Fixture::new();
    let path = fixture.store().join("ledger/segments/00000000.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = fixture.dir.path().join("out");
    assert!(matches!(write_bundle(&fixture.store(), &out), Err(BundleError::Damaged(_))));
    assert!(!out.join("checkpoint").exists());
}

#[test]
fn an_earlier_checkpoint_is_held_against_the_entries() {
    let fixture = Fixture::new();
    let kept = fixture.dir.path().join("kept");
    let mut options = one_thread();
    options.earlier = Some(kept.clone());
    fs::write(&kept, fixture.hull.checkpoint(100)).unwrap();
    assert_eq!(verify_dir(&fixture.bundle(), &options, &mut |_| {}).unwrap().exit_code, 0);
    fs::write(&kept, fixture.lansing.checkpoint(10)).unwrap();
    assert_eq!(verify_dir(&fixture.bundle(), &options, &mut |_| {}).unwrap().exit_code, 1);
    options.earlier = Some(fixture.dir.path().join("nowhere"));
    assert!(verify_dir(&fixture.bundle(), &options, &mut |_| {}).is_err());
}

#[test]
fn a_receipt_from_a_bundle_or_a_public_folder_proves_the_entry() {
    let fixture = Fixture::new();
    for folder in [fixture.bundle(), fixture.store().join("ledger/public")] {
        for seq in [0, 5, 255, 256, fixture.hull.own().len() as u64 - 1] {
            let text = receipt(&folder, seq).unwrap();
            let leaf = fixture.hull.own()[usize::try_from(seq).unwrap()].leaf();
            let proved = Receipt::parse(text.as_bytes()).unwrap();
            let (origin, key) = (fixture.hull.ledger().origin(), fixture.hull.log_key().public());
            assert!(proved.verify(&leaf, &origin, &key).is_ok(), "{seq}");
        }
        assert!(matches!(receipt(&folder, 9_999), Err(ReceiptError::NotCovered { .. })));
    }
}

#[test]
fn a_receipt_that_holds_its_entry_is_checked_with_the_key_alone() {
    let fixture = Fixture::new();
    let key = Checkpoint::log_key(&fixture.hull.ledger().origin(), &fixture.hull.log_key().public()).unwrap();
    let other =
        Checkpoint::log_key(&fixture.hull.ledger().origin(), &fixture.lansing.log_key().public()).unwrap();
    let (text, bare) =
        (receipt_with_entry(&fixture.bundle(), 7).unwrap(), receipt(&fixture.bundle(), 7).unwrap());
    let entry = fixture.hull.own().remove(7);
    let checked = check_proof(text.as_bytes(), &key, None, None).unwrap();
    assert_eq!((checked.index, checked.leaf, checked.entry.as_ref()), (7, entry.leaf(), Some(&entry)));
    assert!(check_proof(bare.as_bytes(), &key, Some(&entry.leaf()), None).unwrap().entry.is_none());
    assert!(matches!(check_proof(bare.as_bytes(), &key, None, None), Err(ProofError::NoLeaf)));
    assert!(matches!(check_proof(text.as_bytes(), &other, None, None), Err(ProofError::Verify(_))));
    let zero = Some(&Hash::ZERO);
    assert!(matches!(check_proof(text.as_bytes(), &key, zero, None), Err(ProofError::OtherLeaf { .. })));
    assert!(matches!(check_proof(bare.as_bytes(), &key, zero, None), Err(ProofError::Verify(_))));
    for at in 0..text.len() {
        let mut spoilt = text.clone().into_bytes();
        spoilt[at] ^= 1;
        assert!(check_proof(&spoilt, &key, None, None).is_err(), "byte {at}");
    }
    let nobody = Policy::parse(b"quorum none\n").unwrap();
    assert!(check_proof(text.as_bytes(), &key, None, Some(&nobody)).unwrap().witnesses.is_some());
    let witness = witness_key(&fixture.lansing.ledger(), &fixture.lansing.log_key().public());
    let somebody = Policy::parse(format!("witness w {witness}\nquorum w\n").as_bytes()).unwrap();
    assert!(matches!(check_proof(text.as_bytes(), &key, None, Some(&somebody)), Err(ProofError::Quorum(_))));
    assert!(matches!(
        receipt_with_entry(&fixture.store().join("ledger/public"), 7),
        Err(ReceiptError::Read { .. })
    ));
}

#[test]
fn a_folder_with_nothing_in_it_could_not_be_checked_or_is_wrong() {
    let empty = TempDir::new().unwrap();
    assert_eq!(dir(empty.path()).exit_code, 1);
    assert!(verify_store(empty.path(), &one_thread(), &mut |_| {}).is_err());
    assert!(verify_dir(&empty.path().join("nowhere"), &one_thread(), &mut |_| {}).is_err());
    fs::create_dir_all(empty.path().join("ledger/segments")).unwrap();
    assert_eq!(store(empty.path()).exit_code, 3);
}

#[test]
fn reports_for_people_and_for_programs_say_the_same() {
    let fixture = Fixture::new();
    let mut bytes = fs::read(fixture.bundle().join("tile/0/000")).unwrap();
    bytes[40] ^= 1;
    fs::write(fixture.bundle().join("tile/0/000"), bytes).unwrap();
    let outcome = dir(&fixture.bundle());
    let (text, json) = (report_text(outcome.report()), report_json(outcome.report()));
    assert!(
        text.contains(
            "  error: entry 1: the tile is wrong: hash 1 is not what the entries give [tile/0/000]\n"
        ),
        "{text}"
    );
    assert!(text.contains("RESULT       something wrong, 1 findings that are wrong\n"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["findings"][0]["file"], "tile/0/000");
    assert_eq!(json["findings"][0]["entries"][0], "entry 1");
    assert_eq!(json["peers"][0]["positions"][0]["balance"], 135);
}
