//! Netting rounds over real nodes: networks whose positions come from real records between areas of a community currency
//! (tests/data), what one round clears beside the optimum for those positions, and what one refusal leaves.

use std::collections::BTreeMap;
use std::time::Duration;
use weft_api::{NettingRound, NettingRule, NewRound, RoundWish};
use weft_protocol::netting::{Debt, Debts};
use weft_tests::kit::books::Audited;
use weft_tests::kit::{Failure, Outcome, Site};

/// Far above what it takes: everything is sent at once and looked at every second.
const PATIENCE: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(250);
/// What each network may owe another: more than all payments of the records.
const LIMIT: u64 = 100_000_000;
/// Cents of the records that are a minute here.
const CENTS: i64 = 1_000;

/// What areas owe each other by the records: (debtor, creditor) and how much, above zero.
fn positions() -> Outcome<BTreeMap<(String, String), i64>> {
    let sample = weft_tests::source_root().join("tests/data/sample.csv");
    let text = std::fs::read_to_string(sample)?;
    let mut net: BTreeMap<(String, String), i64> = BTreeMap::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        let area = |name: &str| name.split('-').next().unwrap_or_default().to_lowercase();
        let (from, to) = (area(fields[1]), area(fields[2]));
        let cents: i64 = fields[3].trim().parse().map_err(|_| Failure::new("the sample has no amount"))?;
        match from.cmp(&to) {
            std::cmp::Ordering::Equal => {}
            // Who pays a member of another area comes to owe that area.
            std::cmp::Ordering::Less => *net.entry((from, to)).or_default() += cents,
            std::cmp::Ordering::Greater => *net.entry((to, from)).or_default() -= cents,
        }
    }
    let turned = net.into_iter().map(|((one, other), cents)| {
        let amount = cents / CENTS;
        if amount < 0 { ((other, one), -amount) } else { ((one, other), amount) }
    });
    Ok(turned.filter(|(_, amount)| *amount > 0).collect())
}

/// The most that can be cleared of debts between places.
fn optimum(debts: &BTreeMap<(usize, usize), i64>) -> i64 {
    let party = |place: usize| [u8::try_from(place).expect("few networks"); 32];
    let all: Vec<Debt> = debts
        .iter()
        .map(|((debtor, creditor), amount)| Debt {
            debtor: party(*debtor),
            creditor: party(*creditor),
            amount: *amount,
        })
        .collect();
    let debts = Debts::new(&all).expect("debts of the records");
    let parts = debts.components(&weft_protocol::ids::Hash::ZERO);
    i64::try_from(parts.iter().map(|part| part.solve().volume()).sum::<i128>()).expect("small amounts")
}

struct Town {
    _folder: tempfile::TempDir,
    sites: Vec<Site>,
    debts: BTreeMap<(usize, usize), i64>,
}

impl Town {
    async fn of_the_records() -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let positions = positions()?;
        let mut names: Vec<&String> = positions.keys().flat_map(|(one, other)| [one, other]).collect();
        names.sort();
        names.dedup();
        let mut sites = Vec::new();
        for name in &names {
            let site = Site::found(folder.path(), name, &[]).await?;
            site.add_member("Ann", None).await?;
            sites.push(site);
        }
        let place = |name: &String| names.iter().position(|known| *known == name).expect("one of them");
        let debts: BTreeMap<(usize, usize), i64> =
            positions.iter().map(|((from, to), amount)| ((place(from), place(to)), *amount)).collect();
        for ((debtor, creditor), amount) in &debts {
            sites[*debtor].pair_with(&sites[*creditor], LIMIT).await?;
            let payee = format!("Ann@{}", sites[*creditor].name);
            sites[*debtor].pay("Ann", &payee, amount.unsigned_abs(), 30).await?;
        }
        for site in &sites {
            site.until_quiet(PATIENCE).await?;
            site.client.set_netting_rule(&NettingRule { joins: true, accepts: true }).await?;
        }
        Ok(Self { _folder: folder, sites, debts })
    }

    async fn announce(&self) -> Outcome<String> {
        let new = NewRound { unit: Some("hour".into()), offers_s: 20, lists_s: 20, votes_s: 120 };
        let rounds = self.sites[0].client.announce_round(&new).await?;
        Ok(rounds.rounds[0].id.clone())
    }

    /// Waits until every network says so of the round.
    async fn until(&self, id: &str, what: &str, is_so: impl Fn(&NettingRound) -> bool) -> Outcome<()> {
        let wait = async {
            for site in &self.sites {
                loop {
                    let rounds = site.client.netting_rounds().await?.rounds;
                    if rounds.iter().any(|round| round.id == id && is_so(round)) {
                        break;
                    }
                    tokio::time::sleep(POLL).await;
                }
            }
            Outcome::Ok(())
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| Err(Failure::new(format!("{what} did not come"))))
    }

    /// What each owes each now; both ends have the same.
    async fn now(&self) -> Outcome<BTreeMap<(usize, usize), i64>> {
        let mut now = BTreeMap::new();
        for (debtor, creditor) in self.debts.keys() {
            let (one, other) = (&self.sites[*debtor], &self.sites[*creditor]);
            let (ours, theirs) = (one.position(&other.name).await?, other.position(&one.name).await?);
            assert_eq!(ours, -theirs, "{} and {} differ", one.name, other.name);
            now.insert((*debtor, *creditor), ours);
        }
        Ok(now)
    }

    fn net(debts: &BTreeMap<(usize, usize), i64>, of: usize) -> i64 {
        let owes = |((debtor, creditor), amount): (&(usize, usize), &i64)| match of {
            _ if *debtor == of => *amount,
            _ if *creditor == of => -*amount,
            _ => 0,
        };
        debts.iter().map(owes).sum()
    }

    /// Every ledger audits clean, and each two agree.
    async fn books_agree(mut self) -> Outcome<()> {
        let mut audited = Vec::new();
        for site in &mut self.sites {
            site.stop().await?;
            audited.push(Audited::read(site.data.path())?);
        }
        for (debtor, creditor) in self.debts.keys() {
            audited[*debtor].agree(&audited[*creditor])?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_clears_the_optimum_of_positions_from_real_records() -> Outcome<()> {
    let town = Town::of_the_records().await?;
    assert_eq!(town.now().await?, town.debts);
    let id = town.announce().await?;
    let booked = |round: &NettingRound| {
        let all = round.results.iter().filter(|result| result.outcome == "committed");
        all.clone().count() > 0 && all.into_iter().all(|result| result.to_book == 0)
    };
    town.until(&id, "a result that all have booked", booked).await?;
    let after = town.now().await?;
    let cleared: i64 = town.debts.iter().map(|(edge, before)| before - after[edge]).sum();
    assert!(cleared > 0 && after.iter().all(|(edge, left)| (0..=town.debts[edge]).contains(left)));
    assert_eq!(cleared, optimum(&town.debts), "{:?} became {after:?}", town.debts);
    for place in 0..town.sites.len() {
        assert_eq!(Town::net(&after, place), Town::net(&town.debts, place));
    }
    println!("owed {:?}, left {after:?}, cleared {cleared}", town.debts);
    town.books_agree().await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_refuses_the_rest_commits_on_the_second_attempt() -> Outcome<()> {
    let town = Town::of_the_records().await?;
    let id = town.announce().await?;
    let last = town.sites.len() - 1;
    // It takes part, and says no.
    town.until(&id, "the announcement", |_| true).await?;
    let no = RoundWish { action: "refuse".into() };
    town.sites[last].client.act_on_round(&id, &no).await?;
    let rest: BTreeMap<(usize, usize), i64> =
        town.debts.iter().filter(|((a, b), _)| *a != last && *b != last).map(|(e, d)| (*e, *d)).collect();
    let most = optimum(&rest);
    let ended = |round: &NettingRound| {
        let booked = round.results.iter().any(|r| r.attempt == 2 && r.outcome == "committed" && r.to_book == 0);
        round.results.iter().any(|result| result.outcome == "aborted") && (booked || most == 0)
    };
    town.until(&id, "an attempt without it", ended).await?;
    let after = town.now().await?;
    let cleared: i64 = town.debts.iter().map(|(edge, before)| before - after[edge]).sum();
    assert_eq!(cleared, most);
    for edge in town.debts.keys().filter(|(a, b)| *a == last || *b == last) {
        assert_eq!(after[edge], town.debts[edge]);
    }
    town.books_agree().await
}
