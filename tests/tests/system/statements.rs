//! Statements, settlements, pause and end between two real nodes (specs/clearing.md §12 to §14).

use std::time::Duration;
use weft_api::{Halt, NewSettlement, PeerStatement, Settlement, SettlementAnswer};
use weft_tests::kit::books::Audited;
use weft_tests::kit::{Failure, Outcome, Site, fresh_id};

/// Far above what it takes: everything is sent at once and looked at every second.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

async fn two() -> Outcome<(tempfile::TempDir, Site, Site)> {
    let folder = tempfile::tempdir()?;
    let hull = Site::found(folder.path(), "hull", &[]).await?;
    let lansing = Site::found(folder.path(), "lansing", &[]).await?;
    hull.pair_with(&lansing, 1_000).await?;
    hull.add_member("Ada", None).await?;
    lansing.add_member("Bob", None).await?;
    Ok((folder, hull, lansing))
}

async fn until<T>(site: &Site, what: &str, look: impl AsyncFn(&Site) -> Outcome<Option<T>>) -> Outcome<T> {
    let wait = async {
        loop {
            if let Some(found) = look(site).await? {
                return Ok(found);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| {
        Err(Failure::new(format!("{}: {what} did not come\n{}", site.name, site.log_text())))
    })
}

/// Has statements written until both have signed one that covers everything. One that still waits for its answer is the
/// only one: what has moved since then is in the next.
async fn until_stated(site: &Site, peer: &str) -> Outcome<PeerStatement> {
    until(site, "a statement that covers everything", async |site| {
        let statement = site.client.peer_statement(peer).await?;
        if statement.waiting.is_none() && (statement.agreed.is_none() || statement.moved) {
            site.client.state_now(peer).await?;
        }
        let whole = statement.agreed.is_some() && !statement.moved && statement.waiting.is_none();
        Ok(whole.then_some(statement))
    })
    .await
}

/// Waits until both have signed a statement that covers everything.
async fn until_agreed(site: &Site, peer: &str) -> Outcome<PeerStatement> {
    until(site, "a statement that covers everything", async |site| {
        let statement = site.client.peer_statement(peer).await?;
        let whole = statement.agreed.is_some() && !statement.moved && statement.waiting.is_none();
        Ok(whole.then_some(statement))
    })
    .await
}

async fn until_settlement(site: &Site, id: &str, state: &str) -> Outcome<Settlement> {
    until(site, state, async |site| {
        let all = site.client.settlements().await?.settlements;
        Ok(all.into_iter().find(|one| one.id == id && one.state == state))
    })
    .await
}

async fn balance(site: &Site, peer: &str) -> Outcome<String> {
    let peers = site.client.peers().await?.peers;
    let peer = peers.into_iter().find(|one| one.alias == peer);
    Ok(peer.ok_or_else(|| Failure::new("no such peer"))?.positions[0].amount.clone())
}

fn wish(amount: &str) -> NewSettlement {
    NewSettlement { unit: None, amount: amount.into(), reference: "invoice 7".into() }
}

async fn answer(site: &Site, id: &str, action: &str) -> Outcome<Settlement> {
    let answer = SettlementAnswer { action: action.into() };
    Ok(site.client.answer_settlement(id, &answer, &fresh_id()).await?)
}

/// Stops both and holds the two ledgers against each other.
async fn books_agree(mut hull: Site, mut lansing: Site) -> Outcome<()> {
    hull.stop().await?;
    lansing.stop().await?;
    Audited::by_both(hull.data.path())?.agree(&Audited::by_both(lansing.data.path())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_networks_sign_the_same_statement_with_payments_both_ways_meanwhile() -> Outcome<()> {
    let (_folder, hull, lansing) = two().await?;
    hull.add_member("Cy", None).await?;
    let there = async {
        for _ in 0..20 {
            hull.pay("Ada", "Bob@lansing", 5, 0).await?;
        }
        Outcome::Ok(())
    };
    let back = async {
        for _ in 0..20 {
            lansing.pay("Bob", "Ada@hull", 3, 0).await?;
        }
        Outcome::Ok(())
    };
    let stating = async {
        for _ in 0..10 {
            hull.client.state_now("lansing").await?;
            lansing.client.state_now("hull").await?;
            tokio::time::sleep(POLL).await;
        }
        Outcome::Ok(())
    };
    let (there, back, stating) = tokio::join!(there, back, stating);
    there?;
    back?;
    stating?;
    hull.until_quiet(PATIENCE).await?;
    lansing.until_quiet(PATIENCE).await?;
    until_stated(&hull, "lansing").await?;
    // What lansing's people have asked for may still come: the newest is that of both when nothing is on its way.
    let same = async |hull: &Site| {
        let ours = hull.client.peer_statement("lansing").await?;
        let theirs = lansing.client.peer_statement("hull").await?;
        let stmt = |one: &PeerStatement| one.agreed.as_ref().map(|agreed| agreed.stmt.clone());
        let same = stmt(&ours) == stmt(&theirs) && ours.waiting.is_none() && theirs.waiting.is_none();
        Ok(ours.agreed.zip(theirs.agreed).filter(|_| same && !ours.moved && !theirs.moved))
    };
    let (ours, theirs) = until(&hull, "one statement at both ends", same).await?;
    assert_eq!(
        (ours.stmt, ours.our_entries, ours.their_entries),
        (theirs.stmt, theirs.their_entries, theirs.our_entries)
    );
    assert_eq!((ours.positions[0].amount.as_str(), theirs.positions[0].amount.as_str()), ("40", "-40"));
    books_agree(hull, lansing).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_is_booked_once_on_both_sides_whoever_is_killed_in_between() -> Outcome<()> {
    let (_folder, mut hull, mut lansing) = two().await?;
    hull.pay("Ada", "Bob@lansing", 100, 30).await?;
    // The creditor proposes while the debtor is down, and is killed at once.
    lansing.kill().await?;
    let op_id = fresh_id();
    let proposed = hull.client.settle("lansing", &wish("60"), &op_id).await?;
    assert_eq!(
        (proposed.state.as_str(), proposed.we_owed, proposed.reference.as_deref()),
        ("waits-for-them", true, Some("invoice 7"))
    );
    hull.kill().await?;
    hull.start().await?;
    assert_eq!(hull.client.settle("lansing", &wish("60"), &op_id).await?.id, proposed.id);
    lansing.start().await?;
    let waits = until_settlement(&lansing, &proposed.id, "waits-for-us").await?;
    assert_eq!((waits.amount.as_str(), waits.we_owed, waits.reference), ("60", false, None));
    // Accepted while the other is down; killed with the answer on its way.
    hull.kill().await?;
    assert_eq!(answer(&lansing, &proposed.id, "accept").await?.state, "settled");
    lansing.kill().await?;
    hull.start().await?;
    lansing.start().await?;
    until_settlement(&hull, &proposed.id, "settled").await?;
    assert_eq!(
        (balance(&hull, "lansing").await?, balance(&lansing, "hull").await?),
        ("40".into(), "-40".into())
    );
    // More than is owed is no settlement, and one taken back in time is none either.
    let refused = hull.client.settle("lansing", &wish("41"), &fresh_id()).await.unwrap_err();
    assert!(refused.to_string().contains("40 are owed"), "{refused}");
    let second = hull.client.settle("lansing", &wish("40"), &fresh_id()).await?;
    until_settlement(&lansing, &second.id, "waits-for-us").await?;
    answer(&hull, &second.id, "withdraw").await?;
    until_settlement(&hull, &second.id, "refused").await?;
    let third = lansing.client.settle("hull", &wish("10"), &fresh_id()).await?;
    until_settlement(&hull, &third.id, "waits-for-us").await?;
    answer(&hull, &third.id, "refuse").await?;
    until_settlement(&lansing, &third.id, "refused").await?;
    until_stated(&lansing, "hull").await?;
    let agreed = until_agreed(&hull, "lansing").await?.agreed.expect("agreed");
    assert_eq!(agreed.positions[0].amount, "40");
    books_agree(hull, lansing).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_payments_stop_both_ways_and_an_end_lasts_until_a_new_accord() -> Outcome<()> {
    let (_folder, hull, mut lansing) = two().await?;
    hull.pay("Ada", "Bob@lansing", 10, 30).await?;
    let halt = |action: &str| Halt { action: action.into() };
    hull.client.halt("lansing", &halt("pause")).await?;
    let ours = hull.pay("Ada", "Bob@lansing", 1, 0).await.unwrap_err();
    assert!(ours.to_string().contains("this network has paused"), "{ours}");
    let halted = |want: &'static str| {
        async move |site: &Site| {
            let peers = site.client.peers().await?.peers;
            Ok(peers[0].halts.iter().any(|halt| halt == want).then_some(()))
        }
    };
    until(&lansing, "the pause", halted("paused-by-them")).await?;
    let theirs = lansing.pay("Bob", "Ada@hull", 1, 0).await.unwrap_err();
    assert!(theirs.to_string().contains("has paused payments with this one"), "{theirs}");
    // It survives a kill, and goes away when its author says so.
    lansing.kill().await?;
    lansing.start().await?;
    hull.client.halt("lansing", &halt("resume")).await?;
    until(&lansing, "the end of the pause", async |site| {
        Ok(site.client.peers().await?.peers[0].halts.is_empty().then_some(()))
    })
    .await?;
    lansing.until_open("hull").await?;
    lansing.pay("Bob", "Ada@hull", 4, 30).await?;
    lansing.client.halt("hull", &halt("end")).await?;
    until(&hull, "the end", halted("ended-by-them")).await?;
    let ended = hull.pay("Ada", "Bob@lansing", 1, 0).await.unwrap_err();
    assert!(ended.to_string().contains("ended its accord"), "{ended}");
    // What is owed is settled all the same; a new accord opens the channel again.
    let rest = hull.client.settle("lansing", &wish("6"), &fresh_id()).await?;
    until_settlement(&lansing, &rest.id, "waits-for-us").await?;
    answer(&lansing, &rest.id, "accept").await?;
    until_settlement(&hull, &rest.id, "settled").await?;
    assert_eq!(balance(&hull, "lansing").await?, "0");
    hull.pair_with(&lansing, 500).await?;
    hull.pay("Ada", "Bob@lansing", 2, 30).await?;
    books_agree(hull, lansing).await
}
