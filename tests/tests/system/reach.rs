//! Whether others can call a node at home: peers try it and say so, and a router opens a port when it is asked.

use std::path::Path;
use std::time::Duration;
use weft_api::{PaymentState, Status};
use weft_tests::kit::gateway::Gateway;
use weft_tests::kit::{Cell, Failure, Outcome, Site};
use weft_tests::require::{Tool, need};

const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
const LIMIT: u64 = 1_000;

async fn until(site: &Site, what: &str, holds: impl Fn(&Status) -> bool) -> Outcome<Status> {
    let wait = async {
        loop {
            let status = site.status().await?;
            if holds(&status) {
                return Ok(status);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| Err(Failure::new(format!("{}: {what}\n{}", site.name, site.log_text()))))
}

async fn at_home(folder: &Path, gateway: &Gateway, upnp: bool) -> Outcome<Site> {
    let site = Site::found_in_by(folder, "lansing", Some(gateway.home()), |config| {
        config.network.upnp = upnp;
        config.network.reach_checks_s = 2;
    });
    let site = site.await?;
    site.add_member("member of lansing", None).await?;
    Ok(site)
}

async fn outside(folder: &Path, name: &str, cell: Cell) -> Outcome<Site> {
    let site =
        Site::found_in_by(folder, name, Some(cell), |config| config.network.reach_checks_s = 2).await?;
    site.add_member(&format!("member of {name}"), None).await?;
    Ok(site)
}

async fn pays(from: &Site, to: &Site, amount: u64) -> Outcome<()> {
    let payee = format!("member of {}@{}", to.name, to.name);
    let paid = from.pay(&format!("member of {}", from.name), &payee, amount, 30).await?;
    assert_eq!(paid.state, PaymentState::Done);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_a_router_learns_that_nobody_can_call_and_what_helps() -> Outcome<()> {
    if need(Tool::Gateway).is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::new(folder.path(), false, false)?;
    let hull = outside(folder.path(), "hull", gateway.outside()).await?;
    let mut lansing = at_home(folder.path(), &gateway, false).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    pays(&lansing, &hull, 5).await?;
    let status = until(&lansing, "nobody has tried to call it", |s| s.reach.can_be_called.is_some()).await?;
    assert_eq!(status.reach.can_be_called, Some(false), "{}", status.reach.words);
    for part in [gateway.would_be_at().as_str(), "got no answer", "`upnp = true`", "`circuits`"] {
        assert!(status.reach.words.contains(part), "{}", status.reach.words);
    }
    // Who asks in vain is told so; payments go on.
    lansing.stop().await?;
    let config = std::fs::read_to_string(lansing.data.config())?;
    assert!(config.contains("upnp = false"), "{config}");
    std::fs::write(lansing.data.config(), config.replace("upnp = false", "upnp = true"))?;
    lansing.start().await?;
    until(&lansing, "it does not say that no router answers", |s| {
        s.reach.words.contains("no router answers")
    })
    .await?;
    pays(&hull, &lansing, 3).await?;
    Ok(())
}

async fn with_an_open_port(quic: bool) -> Outcome<()> {
    if need(Tool::Gateway).is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::new(folder.path(), true, quic)?;
    let mut hull = outside(folder.path(), "hull", gateway.outside()).await?;
    let lansing = at_home(folder.path(), &gateway, true).await?;
    let at = gateway.would_be_at();
    let is_open = |status: &Status| status.addresses.first().is_some_and(|first| *first == at);
    until(&lansing, &format!("the router has not opened {at}\n{}", gateway.log_text()), is_open).await?;
    // The invitation names that address, so who is outside calls in.
    lansing.pair_with(&hull, LIMIT).await?;
    pays(&hull, &lansing, 5).await?;
    // It calls as well, once the other was away; then that one calls it back.
    hull.kill().await?;
    hull.start().await?;
    pays(&lansing, &hull, 3).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_asked_opens_a_port_and_others_call_in() -> Outcome<()> {
    with_an_open_port(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn and_one_for_quic() -> Outcome<()> {
    with_an_open_port(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_called_a_peer_is_called_back_and_knows_that_others_can() -> Outcome<()> {
    if need(Tool::Gateway).is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let gateway = Gateway::new(folder.path(), true, false)?;
    let hull = outside(folder.path(), "hull", gateway.outside()).await?;
    let lansing = at_home(folder.path(), &gateway, true).await?;
    // Hull has invited: lansing calls.
    hull.pair_with(&lansing, LIMIT).await?;
    let called = until(&lansing, "nobody has called it", |s| s.reach.can_be_called == Some(true)).await;
    let status = called.map_err(|failure| Failure::new(format!("{failure}\n{}", hull.log_text())))?;
    assert!(status.reach.words.contains(&gateway.would_be_at()), "{}", status.reach.words);
    assert!(status.reach.words.contains("the router lets others in"), "{}", status.reach.words);
    for _ in 0..5 {
        pays(&lansing, &hull, 1).await?;
        pays(&hull, &lansing, 1).await?;
    }
    Ok(())
}
