//! Old entries are left out before a forward, over real processes: what goes, what everybody can still do, and what an
//! auditor says of it (specs/store.md §12, specs/audit.md §9).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use weft_audit::{
    AuditOutcome, Class, VerifyOptions, check_proof, receipt_with_entry, verify_dir, verify_store,
    write_bundle,
};
use weft_protocol::entry::Kind;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_tests::binaries;
use weft_tests::kit::{Audited, Books, Outcome, Site, copy_folder, fresh_id};
use weft_tests::require::second_verifier;

const PATIENCE: Duration = Duration::from_secs(45);
/// What the auditor says of entries that nobody here has read.
const LOUD: &str = "WERE LEFT OUT";

struct Town {
    hull: Site,
    lansing: Site,
    folder: tempfile::TempDir,
    forward: u64,
    digest: String,
}

/// Payments inside and across, more than a tile of them; then a forward, then the same again.
async fn town() -> Outcome<Town> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    for name in ["Ada", "Abe"] {
        hull.add_member(name, None).await?;
    }
    lansing.add_member("Bo", None).await?;
    hull.pair_with(&lansing, 100_000).await?;
    let mut town = Town { hull, lansing, folder, forward: 0, digest: String::new() };
    town.pay(260).await?;
    town.forward = town.hull.client.forward(&fresh_id()).await?.seq;
    town.pay(8).await?;
    town.digest = town.hull.status().await?.state_digest;
    Ok(town)
}

impl Town {
    async fn pay(&self, inside: u64) -> Outcome<()> {
        for _ in 0..inside {
            self.hull.pay("Ada", "Abe", 2, 0).await?;
        }
        self.hull.pay("Ada", "Bo@lansing", 30, 20).await?;
        self.lansing.pay("Bo", "Abe@hull", 10, 20).await?;
        self.hull.until_quiet(PATIENCE).await?;
        self.lansing.until_quiet(PATIENCE).await
    }

    async fn stop(&mut self) -> Outcome<()> {
        // Peers cosign what is published; then all stop cleanly.
        let wait = async {
            loop {
                let status = self.hull.status().await?;
                if status.witness.size > self.forward {
                    return Outcome::Ok(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await??;
        self.hull.stop().await?;
        self.lansing.stop().await
    }

    fn bundle(&self, name: &str) -> Outcome<std::path::PathBuf> {
        let folder = self.folder.path().join(name);
        write_bundle(self.hull.data.path(), &folder)?;
        Ok(folder)
    }
}

fn prune(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::weftd());
    command.arg("prune").arg("--data").arg(data).args(arguments);
    command.output().expect("weftd starts")
}

fn said(out: &Output) -> String {
    [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// What `specs/verifier` makes of a bundle.
fn by_specs(folder: &Path, status: i32, says: &str) {
    let Some(mut specs) = second_verifier() else { return };
    let out = specs.arg("bundle").arg(folder).output().expect("Python starts");
    assert_eq!(out.status.code(), Some(status), "{}", said(&out));
    assert!(said(&out).contains(says), "{says}: {}", said(&out));
}

fn findings(outcome: &AuditOutcome) -> String {
    weft_audit::report_text(outcome.report())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_without_its_old_entries_goes_on_and_is_audited() {
    let mut town = town().await.expect("a town");
    town.stop().await.expect("clean stops");
    let data = town.hull.data.path().to_owned();
    let all = Books::read(&data).expect("books");
    let whole = town.bundle("whole").expect("a bundle");
    let before = verify_dir(&whole, &VerifyOptions::default(), &mut |_| {}).expect("a bundle");
    let result = town.folder.path().join("earlier.result");
    fs::write(&result, before.audit.result().expect("nothing wrong")).expect("a file");
    let old_receipt = receipt_with_entry(&whole, 12).expect("a receipt");

    // Not before its time.
    let refused = prune(&data, &[]);
    assert!(!refused.status.success() && said(&refused).contains("60 days older"), "{}", said(&refused));
    let out = prune(&data, &["--test-any-age"]);
    assert!(out.status.success(), "{}", said(&out));

    // What is left: streams, what they book, and everything from the forward on.
    let left = Books::read(&data).expect("books");
    let seqs: BTreeSet<u64> = left.own.iter().map(|entry| entry.body().seq).collect();
    for entry in &all.own {
        let (seq, kind) = (entry.body().seq, entry.kind());
        let stays =
            seq >= town.forward || entry.body().stream.is_some() || matches!(kind, Kind::End | Kind::Book);
        assert_eq!(seqs.contains(&seq), stays, "entry {seq}, {}", kind.name());
    }
    assert_eq!(left.received.len(), all.received.len());

    // An auditor without anything else says what cannot be seen; one who was there before has seen all of it.
    let alone = verify_store(&data, &VerifyOptions::default(), &mut |_| {}).expect("a folder");
    assert_eq!(alone.exit_code, 0, "{}", findings(&alone));
    assert!(findings(&alone).contains(LOUD), "{}", findings(&alone));
    let short = town.bundle("short").expect("a bundle");
    let alone = verify_dir(&short, &VerifyOptions::default(), &mut |_| {}).expect("a bundle");
    assert_eq!(alone.exit_code, 0, "{}", findings(&alone));
    assert!(findings(&alone).contains(LOUD));
    let report = alone.report();
    assert_eq!(report.left_out.expect("entries were left out").before, town.forward);
    assert_eq!((report.root, report.state_digest), (before.report().root, before.report().state_digest));
    assert_eq!(
        report.peers[0].claims,
        before.report().peers[0].claims,
        "channels are checked from their beginning"
    );
    let origin = report.ledger.expect("a genesis").origin();
    let log =
        Checkpoint::log_key(&origin, &town.hull.data.keys().expect("keys").log.public()).expect("a key");
    let since = VerifyOptions { since: Some(result), ..VerifyOptions::default() };
    let after = verify_dir(&short, &since, &mut |_| {}).expect("a bundle");
    assert_eq!(after.exit_code, 0, "{}", findings(&after));
    assert!(!findings(&after).contains(LOUD) && after.report().left_out.is_none());
    // The books cannot be written from their beginning: that is said, and nothing is exported.
    let export = Command::new(binaries::weft())
        .args(["audit", "export", "--format", "csv", "--out"])
        .arg(town.folder.path().join("books.csv"))
        .arg(&short)
        .output();
    let export = export.expect("weft starts");
    assert!(!export.status.success() && said(&export).contains("left out"), "{}", said(&export));
    // Both networks' books agree, as before.
    let ours = Audited { audit: alone.audit, wrong: Vec::new() };
    ours.agree(&Audited::read(town.lansing.data.path()).expect("books")).expect("both agree");

    // Receipts: one from before is good, of a kept entry one can be made, of one left out none.
    check_proof(old_receipt.as_bytes(), &log, None, None).expect("a good receipt");
    check_proof(receipt_with_entry(&short, 0).expect("the genesis").as_bytes(), &log, None, None)
        .expect("good");
    receipt_with_entry(&short, town.forward + 1).expect("an entry after the forward");
    assert!(receipt_with_entry(&short, 12).expect_err("it is gone").to_string().contains("left out"));

    // The node starts, its peer too, and they pay each other; the guard has nothing to ask.
    town.hull.start().await.expect("a start");
    town.lansing.start().await.expect("a start");
    assert_eq!(town.hull.status().await.expect("a status").state_digest, town.digest);
    town.hull.until_open("lansing").await.expect("a link");
    town.pay(3).await.expect("payments");
    let refused = town.hull.client.receipt("12").await.expect_err("it is gone");
    assert!(refused.to_string().contains("left out"), "{refused}");
    let forward = town.hull.client.forward(&fresh_id()).await.expect("another");
    town.pay(1).await.expect("payments");
    town.forward = forward.seq;
    town.stop().await.expect("clean stops");
    let out = prune(&data, &["--test-any-age"]);
    assert!(out.status.success(), "{}", said(&out));
    let again = Audited::read(&data).expect("books");
    again.agree(&Audited::read(town.lansing.data.path()).expect("books")).expect("both agree");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_what_stands_before_the_forward_is_found() {
    let mut town = town().await.expect("a town");
    town.stop().await.expect("clean stops");
    let out = prune(town.hull.data.path(), &["--test-any-age"]);
    assert!(out.status.success(), "{}", said(&out));
    let good = town.bundle("good").expect("a bundle");
    let wrong = |name: &str, change: &dyn Fn(&Path)| {
        let folder = town.folder.path().join("bad");
        let _ = fs::remove_dir_all(&folder);
        copy_folder(&good, &folder).expect("a copy");
        change(&folder);
        let outcome = verify_dir(&folder, &VerifyOptions::default(), &mut |_| {}).expect("a folder");
        assert_eq!(outcome.exit_code, 1, "{name}: {}", findings(&outcome));
        outcome
            .report()
            .findings
            .kept()
            .iter()
            .find(|f| f.class.is_wrong())
            .map(|f| f.class)
            .expect("a finding")
    };
    // The Python verifier sees the tree, the entries and the forward, and says what it does not see.
    by_specs(&good, 3, "were left out");
    // Every byte counts: of the books, of what was kept, of the hashes of what was not.
    let size = |file: &str| fs::metadata(good.join(file)).expect("a file").len();
    let flip = |folder: &Path, file: &str, at: u64| {
        let path = folder.join(file);
        let mut bytes = fs::read(&path).expect("a file");
        bytes[usize::try_from(at).expect("small")] ^= 1;
        fs::write(path, bytes).expect("a file");
    };
    for file in ["base/state", "base/entries", "tile/0/000", "checkpoint"] {
        for part in 0..12 {
            // Of the checkpoint its text and our own line: a changed name of a witness is a stranger's, and that is said.
            let covered = if file == "checkpoint" { 120 } else { size(file) };
            let at = covered * part / 12;
            wrong(&format!("byte {at} of {file}"), &|folder| flip(folder, file, at));
            if part < 2 && file != "checkpoint" {
                by_specs(&town.folder.path().join("bad"), 1, "");
            }
        }
    }
    // An entry of a channel left out of what was kept.
    let class = wrong("an entry is taken out", &|folder| {
        let path = folder.join("base/entries");
        let bytes = fs::read(&path).expect("a file");
        let mut at = 0;
        let mut places = Vec::new();
        while at < bytes.len() {
            let len = usize::from(u16::from_be_bytes([bytes[at + 8], bytes[at + 9]])) + 10;
            places.push(at..at + len);
            at += len;
        }
        let taken = places[places.len() / 2].clone();
        fs::write(&path, [&bytes[..taken.start], &bytes[taken.end..]].concat()).expect("a file");
    });
    assert!(matches!(class, Class::Error | Class::Mismatch), "{class:?}");
    wrong("the books are taken out", &|folder| fs::remove_file(folder.join("base/state")).expect("a file"));
    wrong("what was kept is taken out", &|folder| {
        fs::remove_file(folder.join("base/entries")).expect("a file")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_is_lost() {
    let mut town = town().await.expect("a town");
    town.stop().await.expect("clean stops");
    let data = town.hull.data.path().to_owned();
    let backup = town.folder.path().join("backup");
    copy_folder(&data, &backup).expect("a copy");
    let mut done = 0;
    for step in 0..12_u64 {
        fs::remove_dir_all(&data).expect("a folder");
        copy_folder(&backup, &data).expect("a copy");
        let mut command = Command::new(binaries::weftd());
        command.args(["prune", "--test-any-age", "--data"]).arg(&data);
        let mut child = command.spawn().expect("weftd starts");
        tokio::time::sleep(Duration::from_millis(step * 25)).await;
        let _ = child.kill();
        done += u32::from(child.wait().expect("it ended").success());
        let out = prune(&data, &["--test-any-age"]);
        let text = said(&out);
        assert!(
            out.status.success() || text.contains("was left out before"),
            "killed at step {step}: {text}"
        );
        let audited = Audited::read(&data).expect("books");
        assert!(audited.wrong.is_empty(), "killed at step {step}: {:?}", audited.wrong);
        assert_eq!(audited.audit.state().digest().to_string(), town.digest, "killed at step {step}");
    }
    assert!(done < 12, "it was never killed in the middle");
}
