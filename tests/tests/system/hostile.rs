//! A hostile peer at full speed, as long as CI has time for it; `weft-tests hostile` measures.
//!
//! It has the identity and the keys of a real peer, and sends on every protocol what no honest node sends.

use std::time::Duration;
use weft_tests::hostile::{Options, run};

/// The node takes no connection above this (specs/network.md 1.2).
const MEMORY_CAP_KIB: u64 = 256 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn payments_go_on_beside_a_hostile_peer_which_ends_shut_out_with_the_reason() {
    let program = env!("CARGO_BIN_EXE_weft-tests").into();
    let options = Options { time: Duration::from_secs(10), rounds: 1, pin: false, program };
    let found = run(&options, &mut |_| ()).await.expect("a run");
    assert!(found.attacked.iter().all(|payments| *payments > 0), "{found:?}");
    assert!(found.peak_kib < MEMORY_CAP_KIB, "{} KiB", found.peak_kib);
    assert_eq!(found.panics, 0);
    let [reason] = &found.reasons[..] else { panic!("{found:?}") };
    assert!(reason.starts_with("it sent "), "{reason}");
}
