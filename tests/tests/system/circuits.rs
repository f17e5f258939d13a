//! Networks that nobody can call reach each other over the node of a peer, and then without it.

use std::path::Path;
use std::time::Duration;
use weft_api::PaymentState;
use weft_tests::kit::cells::Wire;
use weft_tests::kit::{Cell, Failure, Outcome, Site};
use weft_tests::require::{Tool, need};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const LIMIT: u64 = 1_000;

/// A figure of a node's metrics.
async fn figure(site: &Site, name: &str) -> Outcome<u64> {
    let text = site.client.get_text("/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.ok_or_else(|| Failure::new(format!("there is no {name}")))?.parse()?)
}

async fn until(site: &Site, what: &str, holds: impl AsyncFn() -> Outcome<bool>) -> Outcome<()> {
    let wait = async {
        while !holds().await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| Err(Failure::new(format!("{}: {what}\n{}", site.name, site.log_text()))))
}

async fn has_a_place(site: &Site) -> Outcome<()> {
    let has = async || {
        Ok(site
            .status()
            .await?
            .addresses
            .iter()
            .any(|at| at.ends_with("/p2p-circuit") || at.contains("/p2p-circuit/")))
    };
    until(site, "there is no place for it at hull", has).await
}

/// hull, which everybody can call and which serves or does not.
async fn hull(folder: &Path, cell: Option<Cell>, serves: bool) -> Outcome<(Site, String)> {
    let site =
        Site::found_in_by(folder, "hull", cell, |config| config.network.serve_circuits = serves).await?;
    let status = site.status().await?;
    let at = site.cell.as_ref().map_or_else(|| site.relay.multiaddr(), Cell::multiaddr);
    Ok((site, format!("{at}/p2p/{}", status.peer_id)))
}

/// A network that is reached over hull, with an accord between the two.
async fn behind(folder: &Path, name: &str, cell: Option<Cell>, hull: &Site, at: &str) -> Outcome<Site> {
    let over = vec![at.to_owned()];
    let site = Site::found_in_by(folder, name, cell, |config| config.network.circuits = over).await?;
    site.add_member(&format!("member of {name}"), None).await?;
    hull.pair_with(&site, LIMIT).await?;
    Ok(site)
}

async fn pays(from: &Site, to: &Site, amount: u64) -> Outcome<()> {
    let payee = format!("member of {}@{}", to.name, to.name);
    let paid = from.pay(&format!("member of {}", from.name), &payee, amount, 30).await?;
    if paid.state == PaymentState::Done {
        Ok(())
    } else {
        Err(Failure::new(format!("it is {:?}", paid.state)))
    }
}

/// Two hidden networks pair over hull and pay; then hull goes away and they pay on.
async fn without_the_one_between(quic: bool) -> Outcome<()> {
    if need(Tool::Namespaces).is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let mut wire = Wire::new(3, quic, 7)?;
    wire.hide(1);
    wire.hide(2);
    let cell = |place: usize| Some(wire.cells()[place].clone());
    let (mut hull, at) = hull(folder.path(), cell(0), true).await?;
    let lansing = behind(folder.path(), "lansing", cell(1), &hull, &at).await?;
    let madison = behind(folder.path(), "madison", cell(2), &hull, &at).await?;
    has_a_place(&lansing).await?;
    has_a_place(&madison).await?;
    assert_eq!(lansing.status().await?.problems, Vec::<String>::new());
    lansing.pair_with(&madison, LIMIT).await?;
    pays(&lansing, &madison, 5).await?;
    for site in [&lansing, &madison] {
        let direct = async || Ok(figure(site, "weft_connections_over_circuits").await? == 0);
        until(site, "it does not get away from the circuit", direct).await?;
    }
    let name = "weft_circuits_spared_total";
    assert!(figure(&lansing, name).await? + figure(&madison, name).await? > 0);
    hull.kill().await?;
    pays(&madison, &lansing, 3).await?;
    pays(&lansing, &madison, 1).await?;
    assert_eq!(lansing.position("madison").await?, 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hidden_networks_pay_on_without_the_one_that_brought_them_together() -> Outcome<()> {
    without_the_one_between(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn and_over_quic() -> Outcome<()> {
    without_the_one_between(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_a_place_at_a_node_that_serves_none_and_strangers_have_none_at_one_that_does()
-> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (hull, at) = hull(folder.path(), None, false).await?;
    let lansing = behind(folder.path(), "lansing", None, &hull, &at).await?;
    let other = tempfile::tempdir()?;
    let (_serving, at) = self::hull(other.path(), None, true).await?;
    let over = vec![at];
    let stranger =
        Site::found_in_by(other.path(), "stranger", None, |config| config.network.circuits = over).await?;
    for site in [&lansing, &stranger] {
        let refused = async || Ok(site.log_text().contains("over which others reach us, is lost"));
        until(site, "nobody has refused it a place", refused).await?;
        let status = site.status().await?;
        assert!(status.addresses.iter().all(|at| !at.contains("p2p-circuit")));
        assert!(status.problems.iter().any(|what| what.contains("gives no place")), "{:?}", status.problems);
    }
    Ok(())
}
