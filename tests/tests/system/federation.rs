//! Networks that pay each other over several hops while the wire is bad and nodes are killed: a tenth of the long run.

use std::time::Duration;
use weft_tests::federation::{Options, run};
use weft_tests::kit::Outcome;
use weft_tests::kit::cells::Weather;
use weft_tests::require::{Tool, need};

#[tokio::test(flavor = "multi_thread")]
async fn every_payment_ends_whatever_happens_to_the_wire_and_the_nodes() -> Outcome<()> {
    ends(5, 100, false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn and_over_quic_of_which_a_fifth_is_lost() -> Outcome<()> {
    ends(4, 40, true).await
}

async fn ends(networks: u8, payments: u64, quic: bool) -> Outcome<()> {
    if need(Tool::Namespaces).is_none() {
        return Ok(());
    }
    let weather =
        Weather { delay: Duration::from_millis(100), tcp_loss: 5, udp_loss: 20, ..Weather::default() };
    let options = Options { networks, payments, seed: 4, quic, weather, misfortunes: true };
    let tally = run(&options, &mut |_| {}).await?;
    assert_eq!(tally.acknowledged + tally.refused, payments, "{tally:?}");
    assert!(tally.kills + tally.partitions > 0 && tally.between > tally.freed, "{tally:?}");
    Ok(())
}
