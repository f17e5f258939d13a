//! Disputes between real nodes (specs/clearing.md §15): hull pays lansing through madison, and lansing is gone. Both root
//! sets close the hop between hull and madison by file; what would leave madison to pay is refused by its own ledger.

use std::time::Duration;
use weft_api::PaymentState;
use weft_tests::kit::{Audited, Failure, Outcome, Site, expect, run_weft, weft_well};

/// Far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const PAID: u64 = 60;

/// Drafts at `at`, and lets the root sets of both sites sign. Gives the request and the signatures.
fn signed(at: &Site, claim: &str, peer: &str, outcome: &str, both: [&Site; 2]) -> Outcome<[String; 3]> {
    let request = at.data.path().join(format!("{outcome}.weft-request")).display().to_string();
    let draft = ["dispute", "draft", claim, "--outcome", outcome, "--peer", peer, "--request", &request];
    weft_well(at.data.path(), &draft)?;
    let sign = |site: &Site| {
        let key = site.data.path().join("keys/root-1").display().to_string();
        let out = format!("{request}.{}", site.name);
        let said =
            weft_well(site.data.path(), &["key", "sign", &request, "--key", &key, "--yes", "--out", &out])?;
        expect(&said, said.contains("Both root sets sign this") && said.contains(claim))?;
        Ok::<_, Failure>(out)
    };
    let (one, other) = (sign(both[0])?, sign(both[1])?);
    Ok([request, one, other])
}

async fn until(what: &str, site: &Site, claim: &str, wish: PaymentState) -> Outcome<()> {
    let stands = async {
        while !site.client.claim(claim, 0).await.is_ok_and(|now| now.state == wish) {
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, stands).await;
    waited.map_err(|_| {
        Failure::new(format!("{what}: it is not {wish:?} in {}\n{}", site.name, site.log_text()))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn both_root_sets_bind_a_hop_whose_next_network_is_gone_and_cannot_free_it() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut sites = Vec::new();
    for (name, member) in [("hull", "Ada"), ("madison", "Bo"), ("lansing", "Cy")] {
        let mut site = Site::found(folder.path(), name, &[]).await?;
        site.passes_on = true;
        site.add_member(member, None).await?;
        sites.push(site);
    }
    sites[0].pair_with(&sites[1], 1_000).await?;
    sites[1].pair_with(&sites[2], 1_000).await?;
    sites[0].until_ways("lansing", 1).await?;
    sites[2].stop().await?;
    let held = sites[0].pay("Ada", "Cy@lansing", PAID, 0).await?;
    let claim = held.claim.ok_or_else(|| Failure::new("a payment to another network has a claim"))?;
    let passed_on = async {
        while !sites[1].client.claim(&claim, 0).await.is_ok_and(|now| now.direction == "through") {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, passed_on)
        .await
        .map_err(|_| Failure::new("madison does not pass it on"))?;

    let (hull, madison) = (&sites[0], &sites[1]);
    let draft = ["dispute", "draft", &claim, "--outcome", "free", "--request", "never"];
    let (code, said) = run_weft(madison.data.path(), &draft)?;
    expect(&said, code == 65 && said.contains("name the peer"))?;

    // madison is not bound further on, but may yet be: its own ledger refuses to free what comes to it.
    let [request, ours, theirs] = signed(hull, &claim, "madison", "free", [madison, hull])?;
    let (code, said) = run_weft(madison.data.path(), &["key", "submit", &request, &ours])?;
    expect(&said, code == 75 && said.contains("of the other network's root set"))?;
    let (code, said) = run_weft(madison.data.path(), &["key", "submit", &request, &ours, &theirs])?;
    expect(&said, code == 65 && said.contains("bound or undecided further on"))?;
    let (code, said) = run_weft(hull.data.path(), &["key", "submit", &request, &ours, &theirs])?;
    expect(&said, code == 65 && said.contains("this request is for the ledger"))?;

    // lansing was there a minute ago: nobody writes it off yet, and what would be signed is shown.
    let root = madison.data.path().join("keys/root-1").display().to_string();
    let (code, said) = run_weft(madison.data.path(), &["peer", "write-off", "lansing", "--root-key", &root])?;
    expect(&said, code == 65 && said.contains("it is not lost"))?;

    let [request, ours, theirs] = signed(madison, &claim, "hull", "bound", [madison, hull])?;
    weft_well(madison.data.path(), &["key", "submit", &request, &ours, &theirs])?;
    // A second time it changes nothing.
    weft_well(madison.data.path(), &["key", "submit", &request, &ours, &theirs])?;
    until("bound by dispute", hull, &claim, PaymentState::Done).await?;
    let moved = async {
        while !madison.position("hull").await.is_ok_and(|position| position == -60) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.map_err(|_| Failure::new("madison does not book it"))?;
    expect("hull owes it", hull.position("madison").await? == 60)?;

    // lansing comes back after all: the payment goes on from madison, which has the value.
    sites[2].start().await?;
    until("after all", &sites[1], &claim, PaymentState::Done).await?;
    for site in &sites {
        site.until_quiet(PATIENCE).await?;
    }
    assert_eq!((sites[0].balance("Ada").await?, sites[2].balance("Cy").await?), (-60, 60));
    assert_eq!((sites[1].position("hull").await?, sites[1].position("lansing").await?), (-60, 60));
    for site in &mut sites {
        site.stop().await?;
    }
    let audits: Vec<Audited> =
        sites.iter().map(|site| Audited::by_both(site.data.path())).collect::<Outcome<_>>()?;
    audits.windows(2).try_for_each(|pair| pair[0].agree(&pair[1]))
}
