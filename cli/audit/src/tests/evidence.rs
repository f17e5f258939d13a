//! The evidence that a ledger has recorded: carried in the bundle, proven again, and missed when it is not there.

use super::*;
use weft_protocol::clearing::convict::Taken;
use weft_protocol::entry::Payload;
use weft_protocol::evidence::{Evidence, EvidenceType, Keys};

/// Two heads of one size, both signed by the liar.
fn two_heads(liar: &TestNetwork, size: u64) -> Evidence {
    let identity: Vec<Entry> =
        liar.own().into_iter().filter(|e| matches!(e.op().payload, Payload::Genesis(_))).collect();
    let bytes: Vec<Vec<u8>> = identity.iter().map(|entry| entry.bytes().to_vec()).collect();
    let head = |root: u8| {
        let says = Checkpoint::new(&liar.ledger().origin(), size, Hash([root; 32])).unwrap();
        says.sign(&liar.log_key()).to_string().into_bytes()
    };
    let keys = Keys::from_entries(&identity).unwrap();
    let joined = Evidence::join(EvidenceType::Notes, liar.ledger(), &bytes, [&head(1), &head(2)], &keys);
    joined.unwrap().evidence().clone()
}

/// The first of the two networks has recorded one piece of evidence against the second: its data folder and its bundle.
fn recorded() -> (TempDir, TestNetwork, Evidence, Evidence) {
    let (mut hull, lansing) = networks();
    let (shown, other) = (two_heads(&lansing, 7), two_heads(&lansing, 8));
    assert_eq!(hull.take(&shown), Taken::New);
    let folder = TempDir::new().unwrap();
    write_store(&hull, &folder.path().join("store"), hull.own().len());
    write_bundle(&folder.path().join("store"), &folder.path().join("bundle")).unwrap();
    (folder, lansing, shown, other)
}

fn said(outcome: &AuditOutcome) -> Vec<String> {
    outcome.report().findings.kept().iter().map(ToString::to_string).collect()
}

#[test]
fn a_bundle_carries_what_is_recorded_and_the_audit_says_who_is_convicted() {
    let (folder, liar, shown, _) = recorded();
    let (data, bundle) = (folder.path().join("store"), folder.path().join("bundle"));
    let file = bundle.join(format!("evidence/{}.weft-evidence", shown.id()));
    assert_eq!(fs::read_to_string(file).unwrap(), shown.to_text());
    for outcome in [dir(&bundle), store(&data)] {
        assert_eq!(outcome.exit_code, 0, "{:?}", said(&outcome));
        let words = format!(
            "the network with ledger {} is convicted: it has signed two different heads of its log at one size; pieces of \
             evidence recorded: 1, proven here again: 1; new payments with it are stopped",
            liar.ledger()
        );
        assert!(said(&outcome).iter().any(|said| said.contains(&words)), "{:?}", said(&outcome));
    }
    assert_eq!(dir(&bundle).report(), store(&data).report());
}

#[test]
fn a_changed_byte_anywhere_in_a_file_of_evidence_is_found_and_the_file_named() {
    let (folder, _, shown, _) = recorded();
    let bundle = folder.path().join("bundle");
    let name = format!("evidence/{}.weft-evidence", shown.id());
    let right = fs::read(bundle.join(&name)).unwrap();
    // An odd step: all columns of the lines come, and all bits.
    for at in (0..right.len()).step_by(61) {
        let mut spoilt = right.clone();
        spoilt[at] ^= 1 << (at % 8);
        fs::write(bundle.join(&name), spoilt).unwrap();
        let outcome = dir(&bundle);
        let kept = outcome.report().findings.kept();
        let named = kept.iter().any(|f| f.class == Class::Error && f.file.as_deref() == Some(name.as_str()));
        assert!(outcome.exit_code == 1 && named, "byte {at}: {kept:?}");
    }
}

#[test]
fn evidence_that_is_missing_is_not_checked_and_what_nothing_records_is_an_error() {
    let (folder, _, shown, other) = recorded();
    let bundle = folder.path().join("bundle");
    let file = |id: &Hash| bundle.join(format!("evidence/{id}.weft-evidence"));
    let found = |words: &str| {
        let outcome = dir(&bundle);
        let kept = said(&outcome);
        assert!(kept.iter().any(|said| said.contains(words)), "{words}: {kept:?}");
        outcome.exit_code
    };
    fs::write(file(&other.id()), other.to_text()).unwrap();
    assert_eq!(found("no entry records evidence"), 1);
    fs::remove_file(file(&other.id())).unwrap();
    fs::write(bundle.join("evidence/readme"), "x").unwrap();
    assert_eq!(found("it is no evidence"), 1);
    fs::remove_file(bundle.join("evidence/readme")).unwrap();
    fs::rename(file(&shown.id()), file(&other.id())).unwrap();
    assert_eq!(found("its name says otherwise"), 1);
    fs::remove_file(file(&other.id())).unwrap();
    assert_eq!(found("the evidence is not here: whether that is so was not looked at"), 0);
    assert_eq!(found("none was proven here"), 0);
    let too_long = vec![b'a'; weft_protocol::evidence::MAX_TEXT_BYTES + 1];
    fs::write(file(&shown.id()), too_long).unwrap();
    assert_eq!(found("at most 83253 are allowed"), 1);
}

#[test]
fn evidence_that_the_checkpoint_does_not_cover_yet_is_left_out() {
    let (mut hull, lansing) = networks();
    let covered = hull.own().len();
    assert_eq!(hull.take(&two_heads(&lansing, 7)), Taken::New);
    let folder = TempDir::new().unwrap();
    let (data, bundle) = (folder.path().join("store"), folder.path().join("bundle"));
    write_store(&hull, &data, covered);
    write_bundle(&data, &bundle).unwrap();
    assert!(!bundle.join("evidence").exists());
    assert_eq!((dir(&bundle).exit_code, said(&dir(&bundle))), (0, vec![]));
}
