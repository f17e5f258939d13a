//! `weftd demo`: the same story each time, and able to fail.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};
use weft_tests::binaries::weftd;
use weft_tests::require::{Tool, need};
use weft_tests::source_root;

/// Longest story: a screen.
const MAX_LINES: usize = 40;
/// What a payment that meets a limit is refused with: a member's, the one between two networks, and close to that one,
/// where a single payment may take only a part of what is left. Which of the last two depends on who pays first.
const BY_A_LIMIT: [&str; 3] = ["limit-stop: ", "no-room: ", "slowed: "];

fn demo(arguments: &[&str]) -> Output {
    Command::new(weftd()).arg("demo").args(arguments).stdin(Stdio::null()).output().expect("weftd starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it said, after seeing that it ended well.
fn ended_well(out: &Output) -> String {
    let said = text(&out.stdout);
    let all = format!("{said}{}", text(&out.stderr));
    assert!(out.status.success() && said.ends_with("RESULT: ok\n"), "{:?}: {all}", out.status);
    said
}

#[test]
fn the_same_seed_gives_the_same_story_on_one_screen() {
    let first = ended_well(&demo(&["--seed", "7"]));
    assert_eq!(first, ended_well(&demo(&["--seed", "7"])));
    assert!(first.lines().count() <= MAX_LINES, "{} lines", first.lines().count());
    assert!(
        first.lines().all(|line| line.chars().count() <= 100),
        "a line is too long for a screen: {first}"
    );
}

fn fails(hook: &str, why: &str) {
    let out = demo(&["--seed", "7", "--test-hook", hook]);
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{hook}: {said}{}", text(&out.stderr));
    assert!(said.ends_with("RESULT: failed\n"), "{hook}: {said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAILED: ")).collect();
    assert!(failed.len() == 1 && failed[0].contains(why), "{hook}: {failed:?}");
}

#[test]
fn a_cable_that_is_never_mended_makes_it_fail() {
    fails("never-mend", "did not become final");
}

#[test]
fn a_flipped_byte_makes_it_fail() {
    fails("flip-a-byte", "audit");
}

#[test]
fn an_answer_before_the_sync_makes_it_fail() {
    fails("answer-before-the-sync", "");
}

fn records(arguments: &[&str]) -> (BTreeMap<String, Value>, Output) {
    let out = demo(&[&["--records", "--json"], arguments].concat());
    let said = ended_well(&out);
    let report: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    let networks = report["networks"].as_object().expect("networks").clone();
    (networks.into_iter().collect(), out)
}

#[test]
fn the_records_give_the_figures_that_another_program_works_out() {
    let Some(python) = need(Tool::Python) else { return };
    let root = source_root();
    let expected = Command::new(python)
        .arg(root.join("tests/records/expected.py"))
        .arg(root.join("tests/data/sample.csv"))
        .output()
        .expect("Python starts");
    let expected: Value = serde_json::from_slice(&expected.stdout).expect("JSON");
    let expected = expected["networks"].as_object().expect("networks");
    let (networks, _) = records(&[]);
    assert_eq!(networks.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, found) in &networks {
        for figure in ["members", "local", "sent", "received", "peers"] {
            assert_eq!(found[figure], expected[name][figure], "{figure} of {name}");
        }
        assert_eq!(found["refused"], Value::Array(Vec::new()), "{name}");
        assert_eq!(found["audit"], "0 findings");
        assert!(found["entries"].as_u64() > found["local"]["count"].as_u64());
        assert!(found["messages"].as_array().is_some_and(|messages| !messages.is_empty()));
    }
}

#[test]
fn halved_limits_refuse_payments_by_name_and_the_books_stay_right() {
    let (networks, _) = records(&["--limits", "50"]);
    let refused: Vec<&Value> =
        networks.values().flat_map(|of| of["refused"].as_array().expect("a list")).collect();
    assert!(refused.len() > 10, "only {} payments were refused", refused.len());
    for one in &refused {
        let (line, why) = (one["line"].as_u64(), one["why"].as_str().unwrap_or_default());
        assert!(line.is_some_and(|line| (2..=1_501).contains(&line)), "{one}");
        assert!(BY_A_LIMIT.iter().any(|code| why.starts_with(code)), "{one}");
        assert!(why.contains(|c: char| c.is_ascii_digit()), "the limit is not named: {one}");
    }
    let paid: u64 = networks.values().map(|of| of["local"]["count"].as_u64().unwrap_or(0)).sum();
    assert!(paid > 100, "only {paid} payments went through");
}
