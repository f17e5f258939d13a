//! A payment that no single way has room for goes over two at once, and both arrive or neither (specs/network.md 12.7).

use std::time::Duration;
use weft_api::PaymentState;
use weft_tests::kit::{Audited, Outcome, Site};

const PATIENCE: Duration = Duration::from_secs(60);
/// What every two neighbours may owe each other.
const LIMIT: u64 = 1_000;
const LINKS: [(usize, usize); 4] = [(0, 1), (1, 3), (0, 2), (2, 3)];

/// hull pays lansing over madison and over providence.
async fn diamond(folder: &std::path::Path) -> Outcome<Vec<Site>> {
    let mut sites = Vec::new();
    for name in ["hull", "madison", "providence", "lansing"] {
        let mut site = Site::found(folder, name, &[]).await?;
        site.passes_on = true;
        site.add_member(&format!("member of {name}"), None).await?;
        sites.push(site);
    }
    for (a, b) in LINKS {
        sites[a].pair_with(&sites[b], LIMIT).await?;
    }
    sites[0].until_ways("lansing", 2).await?;
    Ok(sites)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_larger_than_any_way_arrives_over_two_or_not_at_all() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut sites = diamond(folder.path()).await?;
    let to = "member of lansing@lansing";
    let done = sites[0].pay("member of hull", to, 1_500, 40).await?;
    assert_eq!(done.state, PaymentState::Done, "{done:?}");
    let beyond = sites[0].pay("member of hull", to, 600, 0).await;
    assert!(beyond.is_err_and(|why| why.to_string().contains("no way is known")));
    let nobody = sites[0].pay("member of hull", "nobody@lansing", 300, 40).await?;
    assert_eq!(nobody.state, PaymentState::Freed, "{nobody:?}");
    for site in &sites {
        site.until_quiet(PATIENCE).await?;
    }
    assert_eq!(sites[3].balance("member of lansing").await?, 1_500);
    let mut owed = 0;
    for (middle, name) in [(1, "madison"), (2, "providence")] {
        let here = sites[0].position(name).await?;
        assert!(here > 0 && here <= 1_000, "{name}: {here}");
        assert_eq!(sites[middle].position("lansing").await?, here, "{name} passes on what it gets");
        owed += here;
    }
    assert_eq!(owed, 1_500);
    for site in &mut sites {
        site.stop().await?;
    }
    let audits: Vec<Audited> =
        sites.iter().map(|site| Audited::by_both(site.data.path())).collect::<Outcome<_>>()?;
    LINKS.iter().try_for_each(|(a, b)| audits[*a].agree(&audits[*b]))
}
