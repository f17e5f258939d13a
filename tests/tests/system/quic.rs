//! Two networks that reach each other over QUIC alone pair and pay, and find each other again after a stop and a kill.

use std::time::Duration;
use weft_api::PaymentState;
use weft_tests::kit::Site;

const QUIC: Option<&str> = Some("/ip4/127.0.0.1/udp/0/quic-v1");

#[tokio::test(flavor = "multi_thread")]
async fn two_networks_pay_each_other_over_quic_alone() {
    let temporary = tempfile::tempdir().expect("a folder");
    let mut hull = Site::found_by(temporary.path(), "hull", QUIC, |_| ()).await.expect("a node");
    let mut lansing = Site::found_by(temporary.path(), "lansing", QUIC, |_| ()).await.expect("a node");
    for site in [&hull, &lansing] {
        let addresses = site.status().await.expect("status").addresses;
        assert!(addresses.iter().all(|address| address.contains("/quic-v1")), "{addresses:?}");
    }
    hull.add_member("ann", None).await.expect("a member");
    lansing.add_member("dee", None).await.expect("a member");
    hull.pair_with(&lansing, 1_000).await.expect("paired");
    for _ in 0..5 {
        assert_eq!(hull.pay("ann", "dee@lansing", 7, 20).await.expect("paid").state, PaymentState::Done);
        assert_eq!(lansing.pay("dee", "ann@hull", 3, 20).await.expect("paid").state, PaymentState::Done);
    }
    // Another port each time: where a peer is now is told when it calls.
    lansing.stop().await.expect("stopped");
    lansing.start().await.expect("started");
    hull.until_open("lansing").await.expect("open");
    assert_eq!(hull.pay("ann", "dee@lansing", 1, 20).await.expect("paid").state, PaymentState::Done);
    hull.kill().await.expect("killed");
    hull.start().await.expect("started");
    hull.until_open("lansing").await.expect("open");
    assert_eq!(lansing.pay("dee", "ann@hull", 1, 30).await.expect("paid").state, PaymentState::Done);
    hull.until_quiet(Duration::from_secs(30)).await.expect("quiet");
    let position = hull.position("lansing").await.expect("a position");
    assert_eq!(position, -lansing.position("hull").await.expect("a position"));
}
