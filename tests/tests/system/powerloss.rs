//! The power goes away while the node writes: what it acknowledged is there when the power is back.
//!
//! More rounds:
//! `cargo build -p weft-tests --release && python3 tests/powerloss.py 20 1 'target/release/weft-tests powerloss-worker {dir}'
//! 'target/release/weft-tests powerloss-verify {dir} {acked}'` (as one line; needs root and e2fsprogs).

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use weft_tests::require::{Tool, need};
use weft_tests::source_root;

/// Power losses in a run of the test suite.
const ROUNDS: u64 = 2;
/// Power losses within which a node that never syncs must have lost something.
const ROUNDS_UNTIL_CAUGHT: u64 = 20;
/// Images on the RAM disk one after the other: both tests together would only make each slower.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs the script; gives whether every check passed, and what it printed.
fn lose_power(python: &Path, rounds: u64, seed: u64, worker: &str) -> (bool, String) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let program = env!("CARGO_BIN_EXE_weft-tests");
    let out = Command::new(python)
        .arg(source_root().join("tests/powerloss.py"))
        .args([rounds.to_string(), seed.to_string()])
        .arg(format!("{program} {worker}"))
        .arg(format!("{program} powerloss-verify {{dir}} {{acked}}"))
        .output()
        .expect("Python starts");
    let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (out.status.success(), said)
}

#[test]
fn what_was_acknowledged_survives_a_power_loss() {
    let Some(python) = need(Tool::PowerLoss) else { return };
    let (passed, said) = lose_power(&python, ROUNDS, 1, "powerloss-worker {dir}");
    assert!(passed && said.contains(&format!("{ROUNDS} passed, 0 failed")), "{said}");
}

#[test]
fn a_node_that_never_syncs_is_caught() {
    let Some(python) = need(Tool::PowerLoss) else { return };
    let caught = (0..ROUNDS_UNTIL_CAUGHT).find_map(|seed| {
        let (passed, said) = lose_power(&python, 1, seed, "powerloss-worker {dir} --skip-sync");
        (!passed).then_some(said)
    });
    let said = caught.expect("a node that never syncs lost nothing in any round");
    let lost = said.contains("was acknowledged, the ledger ends with") || said.contains("the audit found");
    assert!(lost && said.contains("0 passed, 1 failed"), "it failed for another reason: {said}");
}
