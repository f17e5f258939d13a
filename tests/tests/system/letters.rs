//! A payment between two networks that are never awake together: a peer of both keeps their letters, sealed.

use std::time::Duration;
use weft_api::PaymentState;
use weft_tests::kit::Site;

/// How long letters may take: each side looks every second.
const PATIENCE: Duration = Duration::from_secs(60);

async fn founded(at: &std::path::Path, name: &str) -> Site {
    let change = |config: &mut weft_node::config::Config| config.federation.letters_every_s = 1;
    let mut site = Site::found_by(at, name, None, change).await.expect("a node");
    site.passes_on = true;
    site
}

/// A number of a node's own monitoring.
async fn number(site: &Site, name: &str) -> u64 {
    let text = site.client.get_text("/metrics").await.expect("metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not come about"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_made_between_two_networks_that_are_never_awake_together() {
    let temporary = tempfile::tempdir().expect("a folder");
    let at = temporary.path();
    let (mut hull, madison, mut lansing) =
        (founded(at, "hull").await, founded(at, "madison").await, founded(at, "lansing").await);
    hull.add_member("ann", None).await.expect("a member");
    lansing.add_member("dee", None).await.expect("a member");
    madison.pair_with(&hull, 1_000).await.expect("paired");
    madison.pair_with(&lansing, 1_000).await.expect("paired");
    hull.pair_with(&lansing, 1_000).await.expect("paired");
    hull.pay("ann", "dee@lansing", 7, 20).await.expect("paid");
    // Who keeps letters for whom follows from what everybody says in public.
    for site in [&hull, &lansing] {
        until("what madison passes on is known", async || {
            let ways =
                site.client.ways(if site.name == "hull" { "lansing" } else { "hull" }, Some("1"), None).await;
            ways.is_ok_and(|ways| ways.ways.len() > 1)
        })
        .await;
    }
    for site in [&hull, &lansing] {
        site.until_quiet(PATIENCE).await.expect("quiet");
    }

    lansing.stop().await.expect("asleep");
    // One payment by name over the direct way: dee is asleep.
    let paid = hull.pay("ann", "dee@lansing", 30, 0).await.expect("proposed");
    assert_eq!(paid.state, PaymentState::Held);
    until("a letter for lansing", async || number(&madison, "weft_letters_kept").await > 0).await;
    let bytes = number(&madison, "weft_letters_kept_bytes").await;
    assert!(bytes > 2_048, "{bytes}");
    hull.stop().await.expect("asleep");

    lansing.start().await.expect("awake");
    until("dee has it", async || lansing.balance("dee").await.is_ok_and(|balance| balance == 37)).await;
    until("the letter is taken and the answer is written", async || {
        number(&madison, "weft_letters_kept").await == 1
            && lansing.log_text().contains("a letter waits for a peer")
    })
    .await;
    lansing.stop().await.expect("asleep");

    hull.start().await.expect("awake");
    until("hull knows", async || hull.status().await.is_ok_and(|status| status.claims_open == 0)).await;
    assert_eq!(hull.balance("ann").await.expect("a balance"), -37);
    assert_eq!(hull.position("lansing").await.expect("a position"), 37);
    lansing.start().await.expect("awake");
    hull.until_open("lansing").await.expect("together at last");
    for site in [&hull, &lansing] {
        site.until_quiet(PATIENCE).await.expect("quiet");
    }
    assert_eq!(lansing.position("hull").await.expect("a position"), -37);
}
