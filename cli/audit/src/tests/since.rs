//! Audits that go on from an earlier one find what an audit of the whole finds.

use super::*;

/// Bundles of the first entries of one network, of growing sizes, and the results of their audits.
struct Growing {
    dir: TempDir,
    hull: TestNetwork,
}

impl Growing {
    fn new() -> Self {
        let (hull, _) = networks();
        Self { dir: TempDir::new().unwrap(), hull }
    }

    /// The bundle of the first `size` entries.
    fn bundle(&self, size: usize) -> PathBuf {
        let bundle = self.dir.path().join(format!("{size}-bundle"));
        if !bundle.exists() {
            let data = self.dir.path().join(format!("{size}"));
            write_store(&self.hull, &data, size);
            write_bundle(&data, &bundle).unwrap();
        }
        bundle
    }

    /// The result of an audit, as a file.
    fn keep(&self, outcome: &AuditOutcome, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, outcome.audit.result().unwrap()).unwrap();
        path
    }

    /// The result of the audit of the first `size` entries.
    fn result(&self, size: usize) -> PathBuf {
        self.keep(&dir(&self.bundle(size)), &format!("{size}-result"))
    }
}

fn since(bundle: &Path, result: &Path) -> AuditOutcome {
    let options = VerifyOptions { since: Some(result.to_path_buf()), ..one_thread() };
    verify_dir(bundle, &options, &mut |_| {}).unwrap()
}

/// Everything that both must say alike.
fn same(went_on: &AuditOutcome, whole: &AuditOutcome) {
    let (a, b) = (went_on.report(), whole.report());
    assert_eq!((a.findings.wrong(), b.findings.wrong()), (0, 0), "{:#?}", a.findings.kept());
    assert_eq!(
        (a.ledger, a.entries, a.checkpoint_size, a.root),
        (b.ledger, b.entries, b.checkpoint_size, b.root)
    );
    assert_eq!((a.state_digest, a.time_ms, a.accounts), (b.state_digest, b.time_ms, b.accounts));
    assert_eq!((&a.units, &a.kinds, a.signatures, &a.peers), (&b.units, &b.kinds, b.signatures, &b.peers));
    assert_eq!(went_on.audit.state(), whole.audit.state());
}

#[test]
fn going_on_says_what_an_audit_of_the_whole_says_from_wherever_it_goes_on() {
    let growing = Growing::new();
    let all = growing.hull.own().len();
    let whole = dir(&growing.bundle(all));
    for size in [1, 9, 20, 33, 60, 100, 255, 256, 257, all - 1, all] {
        let went_on = since(&growing.bundle(all), &growing.result(size));
        same(&went_on, &whole);
        assert_eq!(went_on.exit_code, 0, "{size}");
        let report = went_on.report();
        assert_eq!(report.since.unwrap().entries, size as u64);
        let said = report.findings.kept().iter().any(|f| f.what.contains("read by the earlier audit"));
        assert!(said && report_text(report).contains(&format!("after the {size} of the earlier audit")));
        // What is left for the next audit is the same too.
        assert_eq!(went_on.audit.result().unwrap(), whole.audit.result().unwrap(), "{size}");
    }
}

#[test]
fn audits_go_on_from_audits_that_went_on() {
    let growing = Growing::new();
    let mut result = growing.result(12);
    for size in [40, 90, 91, 256, 300, growing.hull.own().len()] {
        let outcome = since(&growing.bundle(size), &result);
        same(&outcome, &dir(&growing.bundle(size)));
        result = growing.keep(&outcome, &format!("{size}-on"));
    }
}

#[test]
fn what_is_wrong_in_the_new_entries_is_found() {
    let growing = Growing::new();
    let all = growing.hull.own().len();
    let (bundle, result) = (growing.bundle(all), growing.result(100));
    let spoil = |path: &PathBuf| {
        let right = fs::read(path).unwrap();
        let mut spoilt = right.clone();
        let place = spoilt.len() / 2;
        spoilt[place] ^= 4;
        fs::write(path, spoilt).unwrap();
        assert_eq!(since(&bundle, &result).exit_code, 1, "{}", path.display());
        fs::write(path, right).unwrap();
    };
    // What was not there at the earlier audit: everything but peers' first words.
    let files = all_files(&bundle).into_keys().filter(|path| !path.starts_with(bundle.join("peers")));
    files.for_each(|path| spoil(&path));
    assert_eq!(since(&bundle, &result).exit_code, 0);
}

#[test]
fn a_history_that_was_rewritten_before_the_earlier_audit_does_not_extend_it() {
    let growing = Growing::new();
    let result = growing.result(100);
    // The same network, but its fortieth payment is another one: signed again by its own node from there on.
    let (mut other, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, ben) = (other.member(), other.member_with_key());
    let (cyd, _) = (lansing.member_with_key(), lansing.member());
    other.limit_members(6_000).unwrap();
    other.accord(&mut lansing, 1_000);
    other.pay(ada, cyd, &mut lansing, 10).unwrap();
    for minutes in 1..=300 {
        other.transfer(ada, ben, minutes % 3 + 1).unwrap();
    }
    let (data, bundle) = (growing.dir.path().join("other"), growing.dir.path().join("other-bundle"));
    write_store(&other, &data, other.own().len());
    write_bundle(&data, &bundle).unwrap();
    assert_eq!(dir(&bundle).exit_code, 0, "alone it looks right");
    let outcome = since(&bundle, &result);
    assert_eq!(outcome.exit_code, 1);
    let kept = outcome.report().findings.kept();
    assert!(kept.iter().any(|f| f.what.contains("does not extend that of 100")), "{kept:#?}");
    assert!(kept.iter().any(|f| f.what.contains("another entry than the earlier audit has read here")));
}

#[test]
fn a_bundle_that_has_shrunk_is_wrong() {
    let growing = Growing::new();
    let outcome = since(&growing.bundle(90), &growing.result(100));
    assert_eq!(outcome.exit_code, 1);
    let kept = outcome.report().findings.kept();
    assert!(kept.iter().any(|f| f.what.contains("some were taken back")), "{kept:#?}");
    // A peer's folder that has shrunk.
    let bundle = growing.bundle(growing.hull.own().len());
    let result = growing.keep(&dir(&bundle), "full-result");
    let peer = all_files(&bundle.join("peers")).into_keys().next().unwrap();
    let bytes = fs::read(&peer).unwrap();
    fs::write(&peer, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(since(&bundle, &result).exit_code, 1);
    fs::remove_file(&peer).unwrap();
    assert_eq!(since(&bundle, &result).exit_code, 1);
}

#[test]
fn a_result_that_was_changed_or_is_of_another_ledger_is_not_gone_on_from() {
    let growing = Growing::new();
    let (bundle, result) = (growing.bundle(100), growing.result(90));
    let right = fs::read(&result).unwrap();
    let options = VerifyOptions { since: Some(result.clone()), ..one_thread() };
    for at in (0..right.len()).step_by(97) {
        let mut spoilt = right.clone();
        spoilt[at] ^= 1 << (at % 8);
        fs::write(&result, spoilt).unwrap();
        let refused = verify_dir(&bundle, &options, &mut |_| {});
        assert!(matches!(refused, Err(AuditError::Since { .. })), "byte {at}");
    }
    fs::write(&result, &right).unwrap();
    let (_, lansing) = networks();
    let (data, other) = (growing.dir.path().join("lansing"), growing.dir.path().join("lansing-bundle"));
    write_store(&lansing, &data, lansing.own().len());
    write_bundle(&data, &other).unwrap();
    assert_eq!(verify_dir(&other, &options, &mut |_| {}).unwrap().exit_code, 1);
}

#[test]
fn an_audit_that_is_not_right_leaves_no_result() {
    let growing = Growing::new();
    let bundle = growing.bundle(60);
    fs::write(bundle.join("stray"), "x").unwrap();
    assert_eq!(dir(&bundle).audit.result(), Err(NoResult::NotRight));
    let data = growing.dir.path().join("60");
    assert_eq!(store(&data).audit.result(), Err(NoResult::NotExact));
}
