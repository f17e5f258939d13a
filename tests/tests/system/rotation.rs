//! Every key of a node is replaced while a peer goes on clearing with it; a crash between the key file and the entry
//! has a way out (specs/ceremony.md §4), over real processes.

use weft_api::PaymentState;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::KeyBytes;
use weft_protocol::ledger::identity::{KeyBound, Purpose};
use weft_tests::kit::{Audited, Failure, Outcome, Site, expect, weft_well};

fn rotate(site: &Site, purpose: &str) -> Outcome<String> {
    let root = site.data.key("root-1").display().to_string();
    weft_well(site.data.path(), &["key", "rotate", purpose, "--root-key", &root])
}

async fn epoch(site: &Site, purpose: &str) -> Outcome<u32> {
    let bound = site.status().await?.bound;
    let key = bound.into_iter().find(|key| key.purpose == purpose);
    key.map(|key| key.epoch).ok_or_else(|| Failure::new(format!("no key for {purpose}")))
}

/// A payment each way that both sides end.
async fn pay_both_ways(hull: &Site, york: &Site) -> Outcome<()> {
    let there = hull.pay("Ada", "Bo@york", 10, 60).await?;
    expect("a payment from Hull did not arrive", there.state == PaymentState::Done)?;
    let back = york.pay("Bo", "Ada@hull", 5, 60).await?;
    expect("a payment from York did not arrive", back.state == PaymentState::Done)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_is_replaced_and_the_node_goes_on_before_and_after_a_start() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    for name in ["Ada", "Bo"] {
        hull.add_member(name, None).await?;
    }
    for purpose in ["log", "witness", "seal", "desk", "libp2p", "log"] {
        rotate(&hull, purpose)?;
        hull.pay("Ada", "Bo", 10, 0).await?;
    }
    expect("the log key has another number", epoch(&hull, "log").await? == 2)?;
    let old = hull.status().await?.peer_id;
    hull.stop().await?;
    hull.start().await?;
    expect("the libp2p key is not used", hull.status().await?.peer_id != old)?;
    hull.pay("Ada", "Bo", 10, 0).await?;
    expect("a payment was lost", hull.balance("Bo").await? == 70)?;
    hull.stop().await?;
    let wrong = Audited::by_both(hull.data.path())?.wrong;
    expect(&wrong.join("; "), wrong.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_key_file_and_the_entry_leaves_a_key_that_waits() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let next = hull.client.next_key("log").await?;
    hull.kill().await?;
    expect("the secret is not on disk", hull.data.key("log-1").exists())?;
    hull.start().await?;
    hull.add_member("Ada", None).await?;
    let again = hull.client.next_key("log").await?;
    expect("another key is offered after the crash", next == again)?;
    rotate(&hull, "log")?;
    expect("another key was bound", hull.status().await?.bound.iter().any(|key| key.key == next.key))?;
    hull.add_member("Bo", None).await?;
    // A crash right after the entry: the next start uses the key that the ledger has in force.
    hull.kill().await?;
    hull.start().await?;
    hull.pay("Ada", "Bo", 10, 0).await?;
    // What would leave the node without its key is refused: a key whose secret it does not hold.
    let stranger = KeyBytes(*weft_protocol::keys::SecretKey::from_seed(&[9; 32]).public().bytes().as_bytes());
    let bound = Payload::KeyBound(KeyBound { purpose: Purpose::Log, epoch: 2, key: stranger });
    let refused = hull.sign_and_post(bound, &hull.root()?, Role::Root).await.err();
    let said = refused.map(|error| error.to_string()).unwrap_or_default();
    expect(&said, said.contains("no secret for that key"))?;
    hull.pay("Ada", "Bo", 10, 0).await?;
    hull.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_goes_on_clearing_through_the_rotation_of_every_key() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let mut york = Site::found(folder.path(), "york", &[]).await?;
    hull.add_member("Ada", None).await?;
    york.add_member("Bo", None).await?;
    hull.pair_with(&york, 1_000).await?;
    pay_both_ways(&hull, &york).await?;
    for purpose in ["log", "desk", "seal", "witness", "log"] {
        rotate(&hull, purpose)?;
        pay_both_ways(&hull, &york).await.map_err(|e| Failure::new(format!("after {purpose}: {e}")))?;
    }
    rotate(&york, "log")?;
    pay_both_ways(&hull, &york).await?;
    rotate(&hull, "libp2p")?;
    // A peer that has not heard of the new key before the start would not know who calls.
    for _ in 0..200 {
        if york.log_text().contains("has another libp2p key now") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    hull.stop().await?;
    hull.start().await?;
    hull.until_open("york").await?;
    york.until_open("hull").await?;
    pay_both_ways(&hull, &york).await?;
    hull.until_quiet(std::time::Duration::from_secs(30)).await?;
    york.until_quiet(std::time::Duration::from_secs(30)).await?;
    expect("the books differ", hull.position("york").await? == -york.position("hull").await?)?;
    hull.stop().await?;
    york.stop().await?;
    Audited::by_both(hull.data.path())?.agree(&Audited::by_both(york.data.path())?)
}
