//! Two real nodes that count in unlike units agree on a rate, pay each other, and their books are audited.

use std::time::Duration;
use weft_api::NewInvitation;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::UnitId;
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_tests::kit::{Audited, Outcome, Site, fresh_id, payment};

/// How long a payment may take.
const FINAL_S: u64 = 20;

async fn defines(site: &Site, number: u16, code: &str) -> Outcome<()> {
    let (unit, name) = (UnitId(number), code.to_owned());
    let unit = UnitDefined { unit, code: code.to_owned(), name, kind: UnitKind::Credit, scale: 2 };
    site.sign_and_post(Payload::UnitDefined(unit), &site.root()?, Role::Root).await.map(|_| ())
}

fn terms(their_unit: Option<&str>, rate: Option<&str>) -> NewInvitation {
    NewInvitation {
        unit: "hour".to_owned(),
        their_unit: their_unit.map(str::to_owned),
        rate: rate.map(str::to_owned),
        they_may_owe: "50".to_owned(),
        we_may_owe: "50".to_owned(),
        expires_s: None,
        relay: true,
        mirror: false,
    }
}

async fn pay(site: &Site, (from, to): (&str, &str), unit: &str, amount: &str) -> Outcome<weft_api::Done> {
    let mut wanted = payment(from, to, 1);
    (wanted.amount, wanted.unit, wanted.wait_s) = (amount.to_owned(), Some(unit.to_owned()), Some(FINAL_S));
    Ok(site.client.pay(&wanted, &fresh_id()).await?)
}

/// The payee's network books what it is owed a moment after the payer was told.
async fn until_it_stands(site: &Site, peer: &str, wanted: (&str, &str)) -> Outcome<()> {
    let mut last = None;
    for _ in 0..200 {
        let peers = site.client.peers().await?.peers;
        let found = peers.iter().find(|p| p.alias == peer).map(|p| p.positions[0].clone());
        last = found.map(|position| (position.amount, position.unit));
        if last.as_ref().is_some_and(|(amount, unit)| (amount.as_str(), unit.as_str()) == wanted) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last:?} towards {peer}, not {wanted:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_and_cents_are_paid_at_the_rate_that_both_have_read() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut hull = Site::found(folder.path(), "hull", &[]).await?;
    let mut york = Site::found(folder.path(), "york", &[]).await?;
    hull.add_member("Ada", None).await?;
    york.add_member("Bo", None).await?;
    defines(&york, 9, "cent").await?;
    let mut invitation = terms(Some("york-cent"), Some("33:1"));
    let unknown =
        hull.client.invite(&invitation).await.expect_err("no unit stands for theirs yet").to_string();
    assert!(unknown.contains("york-cent"), "{unknown}");
    defines(&hull, 7, "york-cent").await?;
    invitation.rate = Some("33".to_owned());
    let no_rate = hull.client.invite(&invitation).await.expect_err("no rate").to_string();
    assert!(no_rate.contains("THEIRS:OURS"), "{no_rate}");
    invitation.rate = Some("33:1".to_owned());
    let [host, guest] = hull.pair_by(&york, &invitation, "cent").await?;
    assert!(host.contains(&"1 hour of ours is worth 0.33 cent of york.".to_owned()), "{host:?}");
    assert!(guest.contains(&"0.33 cent of ours is worth 1 hour of hull.".to_owned()), "{guest:?}");
    assert!(host.contains(&"We may owe york at most 50.00 york-cent.".to_owned()), "{host:?}");

    pay(&hull, ("Ada", "Bo@york"), "hour", "4").await?;
    pay(&york, ("Bo", "Ada@hull"), "cent", "0.66").await?;
    let inexact = pay(&york, ("Bo", "Ada@hull"), "cent", "0.65").await;
    let inexact = inexact.expect_err("two minutes are 66 cents").to_string();
    assert!(inexact.contains("33"), "{inexact}");
    until_it_stands(&hull, "york", ("0.66", "york-cent")).await?;
    until_it_stands(&york, "hull", ("-0.66", "cent")).await?;

    hull.stop().await?;
    york.stop().await?;
    for name in ["hull", "york"] {
        let store = folder.path().join(name);
        assert_eq!(Audited::by_both(&store)?.wrong, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_finds_its_way_over_a_network_that_exchanges() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut sites = Vec::new();
    for (name, member) in [("lansing", "Cy"), ("hull", "Ada"), ("york", "Bo")] {
        let site = Site::found(folder.path(), name, &[]).await?;
        site.add_member(member, None).await?;
        sites.push(site);
    }
    let [lansing, hull, york] = &sites[..] else { unreachable!("three were founded") };
    defines(york, 9, "cent").await?;
    defines(hull, 7, "york-cent").await?;
    hull.pair_by(lansing, &terms(None, None), "hour").await?;
    hull.pair_by(york, &terms(Some("york-cent"), Some("33:1")), "cent").await?;
    lansing.until_ways("york", 1).await?;
    let way = lansing.client.ways("york", Some("4"), None).await?.ways.remove(0);
    assert_eq!((way.exchanges, way.sends.as_str()), (1, "4"));
    assert_eq!(way.networks, ["lansing", "hull", "york"]);
    // Hours leave, cents arrive; and the other way round, where only some amounts are whole.
    pay(lansing, ("Cy", "Bo@york"), "hour", "4").await?;
    // For less than 33 cents there is none.
    while york.client.ways("lansing", Some("0.66"), Some("cent")).await?.ways.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    pay(york, ("Bo", "Cy@lansing"), "cent", "0.66").await?;
    let inexact = pay(york, ("Bo", "Cy@lansing"), "cent", "0.65").await.expect_err("65 cents are no hours");
    assert!(inexact.to_string().contains("33"), "{inexact}");
    for (site, member, unit, balance) in [(lansing, "Cy", "hour", "-2"), (york, "Bo", "cent", "0.66")] {
        let statement = site.client.statement(member, None, None).await?;
        let found = statement.account.balances.iter().find(|one| one.unit == unit);
        assert_eq!(found.map(|one| one.amount.as_str()), Some(balance), "{member}");
    }
    until_it_stands(hull, "york", ("0.66", "york-cent")).await?;
    until_it_stands(hull, "lansing", ("-2", "hour")).await?;
    for site in &mut sites {
        site.stop().await?;
        assert_eq!(Audited::by_both(site.data.path())?.wrong, Vec::<String>::new());
    }
    Ok(())
}
