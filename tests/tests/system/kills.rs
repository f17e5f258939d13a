//! Nodes killed at random moments lose nothing that they acknowledged, and do nothing twice.
//!
//! More rounds: `cargo run -p weft-tests --release -- kills --rounds 100`.

use std::io::Write;
use weft_node::clock::Clock;
use weft_tests::kills::{Options, run};

/// Kills in a run of the test suite.
const ROUNDS: u64 = 20;
/// Kills until a node that answers too early must have been caught.
const ROUNDS_UNTIL_CAUGHT: u64 = 10;

/// Shown also when the test runner captures what tests print: without the seed a failure cannot be tried again.
fn say(line: &str) {
    drop(std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()));
}

fn seed() -> u64 {
    u64::from(u32::from_le_bytes(Clock.random()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_by_kills() {
    let options = Options { rounds: ROUNDS, seed: seed(), ack_early: false };
    say(&format!("{ROUNDS} kills, seed {}", options.seed));
    let tally = match run(&options, &mut |line| say(&line)).await {
        Ok(tally) => tally,
        Err(failure) => panic!("seed {}: {failure}", options.seed),
    };
    say(&format!("{tally:?}"));
    assert_eq!(tally.rounds, ROUNDS);
    assert!(tally.between > ROUNDS && tally.freed > 0, "too little happened to say anything: {tally:?}");
    assert!(tally.repeated > 0, "no answer was ever lost: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_answers_before_it_writes_is_caught() {
    // What is lost may be the accord itself: then nothing can be paid any more, which shows as much, but not by name.
    let mut other = Vec::new();
    for seed in (seed()..).take(3) {
        let options = Options { rounds: ROUNDS_UNTIL_CAUGHT, seed, ack_early: true };
        let Err(failure) = run(&options, &mut |_| ()).await else {
            panic!("seed {seed}: {ROUNDS_UNTIL_CAUGHT} kills lost nothing")
        };
        let why = failure.to_string();
        if why.contains("was acknowledged") {
            return;
        }
        other.push(format!("seed {seed}: {why}"));
    }
    panic!("it failed for other reasons: {}", other.join("; "));
}
