//! Corrupted bundles are found and named, and two auditors that share no code are of one opinion.
//!
//! More of them: `cargo run -p weft-tests --release -- corruptions --count 500 --seed N`.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use weft_audit::{VerifyOptions, compare, verify_dir};
use weft_tests::binaries;
use weft_tests::corruptions::sources::{from_processes, from_simulator, grounds_made};
use weft_tests::corruptions::{Ground, Options, run, walks};
use weft_tests::model::Scenario;
use weft_tests::require::second_verifier;

/// Corruptions in a run of the test suite: a tenth of a long run.
const COUNT: u64 = 50;
/// Where its dice begin. Long runs take other seeds.
const SEED: u64 = 77;
/// The simulated ledger of the suite.
const SIMULATED: u64 = 1;

/// Ways through each small world in a run of the test suite.
const WALKS: u64 = 2;
/// Of a world with disputes, ways on which a statement follows one that binds.
const AFTER_A_DISPUTE: [u64; 2] = [15, 20];

/// Every file below a folder, with its content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(next) = todo.pop() {
        for item in fs::read_dir(next).expect("a readable folder") {
            let path = item.expect("a readable folder").path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                found.insert(name, fs::read(path).expect("a readable file"));
            }
        }
    }
    found
}

fn by_specs(arguments: &[&str]) -> Option<Output> {
    Some(second_verifier()?.args(arguments).output().expect("Python starts"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_auditors_find_and_name_every_corruption_and_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = folder.path().join("processes");
    let model = from_processes(folder.path(), &bundle).await.expect("two networks");
    let again = folder.path().join("again");
    model.write(&again).expect("a bundle");
    assert_eq!(files(&again).keys().collect::<Vec<_>>(), files(&bundle).keys().collect::<Vec<_>>());
    assert!(files(&again) == files(&bundle), "the kit writes another bundle than the auditor's command");

    two_ledgers_compare_alike(&bundle);
    the_command_has_the_verdict_of_its_library(&bundle, folder.path());

    let simulated = from_simulator(SIMULATED).expect("three networks");
    let place = folder.path().join("simulated");
    simulated.write(&place).expect("a bundle");
    let mut grounds = grounds_made(folder.path()).expect("ledgers of the vectors");
    grounds.extend([Ground { model, bundle }, Ground { model: simulated, bundle: place }]);
    let options = Options { count: COUNT, first: 0, seed: SEED, keep: None };
    let tally = run(&grounds, &options, folder.path(), &mut |_| ()).expect("a run");
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    assert_eq!(tally.corruptions, COUNT);
    assert!(tally.found >= COUNT * 4 / 5, "too few were damage: {tally:?}");
}

#[test]
fn two_auditors_judge_the_ledgers_of_small_worlds_alike_and_come_to_the_same_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let judged = |worlds: &[Scenario], seeds| {
        let walks = walks::run(worlds, seeds, folder.path(), &mut |_| ()).expect("a run");
        assert!(walks.failures.is_empty(), "{}", walks.failures.join("\n"));
        walks
    };
    let walks = judged(&Scenario::ALL, 0..WALKS);
    assert!(walks.reset > 5, "too few were reset: {walks:?}");
    for (world, (_, wrong)) in walks.worlds {
        assert!(wrong == 0 || world.contains("lying") || world.contains("two-faced"), "{world}: {wrong}");
    }
    for seed in AFTER_A_DISPUTE {
        let walks = judged(&[Scenario::ThreeDispute], seed..seed + 1);
        assert_eq!(walks.right, walks.ledgers, "a statement after a dispute is right");
    }
}

/// Both sides' own books: the same positions, the same exit code, also where the other side lacks a file.
fn two_ledgers_compare_alike(bundle: &Path) {
    let other = bundle.with_extension("peer");
    let audit =
        |folder: &Path| verify_dir(folder, &VerifyOptions::default(), &mut |_| {}).expect("a folder").audit;
    let (a, b) = (audit(bundle), audit(&other));
    let ours = compare(&a, &b);
    assert_eq!((ours.findings.outcome().exit_code(), ours.positions.len()), (0, 1));
    let (a, b) = (bundle.display().to_string(), other.display().to_string());
    let Some(out) = by_specs(&["compare", &a, &b, "--json"]) else { return };
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stdout));
    let theirs: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let position = &theirs["positions"][0];
    assert_eq!(
        (position["a"].as_i64(), position["b"].as_i64(), position["in_flight"].as_i64()),
        (Some(ours.positions[0].a), Some(ours.positions[0].b), Some(0))
    );
    assert_ne!(ours.positions[0].a, 0, "nothing is owed: too little to compare");
}

/// `weft audit verify` ends with the exit code that the library gives, on a good bundle and on a bad one.
fn the_command_has_the_verdict_of_its_library(bundle: &Path, at: &Path) {
    let bad = at.join("bad");
    weft_tests::kit::copy_folder(bundle, &bad).expect("a copy");
    let verify = |folder: &Path| {
        let out = Command::new(binaries::weft()).args(["audit", "verify"]).arg(folder).output();
        out.expect("weft starts").status.code()
    };
    assert_eq!(verify(bundle), Some(0));
    fs::remove_file(bad.join("checkpoint")).expect("a file");
    assert_eq!(verify(&bad), Some(1));
}
