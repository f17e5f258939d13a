//! Keys that change while networks have accords, over real processes (specs/keys.md §6).

use std::path::Path;
use std::time::Duration;
use weft_node::clock::Clock;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::KeyBytes;
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{KeyBound, KeyRevoked, LastGood, Purpose};
use weft_tests::kit::{Outcome, Site};

/// Longest wait for a peer to hear of a key.
const WAIT: Duration = Duration::from_secs(60);

/// Whether some segment of a node's ledger holds these bytes: its own entries, and those received.
fn holds(site: &Site, key: &KeyBytes) -> Outcome<bool> {
    let segments = site.data.ledger().join("segments");
    for file in std::fs::read_dir(segments)? {
        let bytes = std::fs::read(file?.path())?;
        if bytes.windows(KeyBytes::LEN).any(|window| window == key.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn until_heard(site: &Site, key: &KeyBytes) -> Outcome<()> {
    let begun = Clock.instant();
    while !holds(site, key)? {
        assert!(Clock.instant().duration_since(begun) < WAIT, "the peer never heard of the key");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn recovery(epoch: u32, key: KeyBytes) -> Payload {
    Payload::KeyBound(KeyBound { purpose: Purpose::Recovery, epoch, key })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_hears_of_our_keys_at_once_and_after_it_was_away() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let folder: &Path = folder.path();
    let mut hull = Site::found(folder, "hull", &[]).await?;
    let mut lansing = Site::found(folder, "lansing", &[]).await?;
    hull.pair_with(&lansing, 1_000).await?;
    let root: SecretKey = hull.root()?;
    let (first, second) = (KeyBytes([0x5a; 32]), KeyBytes([0x5b; 32]));
    let bound = hull.sign_and_post(recovery(0, first), &root, Role::Root).await?;
    until_heard(&lansing, &first).await?;
    // The peer misses what happens while it is away, and hears all of it when it is back.
    lansing.kill().await?;
    let genesis = LastGood { size: 1, root: hull.client.receipt("0").await?.leaf.parse()? };
    let revoked = KeyRevoked { purpose: Purpose::Recovery, epoch: 0, last_good: genesis, replacement: None };
    let lost = hull.sign_and_post(Payload::KeyRevoked(revoked), &root, Role::Root).await?;
    assert_eq!(lost.seq, bound.seq + 1);
    hull.sign_and_post(recovery(1, second), &root, Role::Root).await?;
    lansing.start().await?;
    until_heard(&lansing, &second).await?;
    hull.stop().await?;
    lansing.stop().await?;
    Ok(())
}
