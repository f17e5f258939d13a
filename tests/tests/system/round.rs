//! Netting rounds over real nodes: one with payments on their way while its clerk is killed and started again, one that a
//! member refuses, one in which a member falls silent; and one on positions from real records (tests/data/positions.csv).

use std::collections::BTreeMap;
use weft_api::NettingRound;
use weft_protocol::netting::round::view::Outcome;
use weft_tests::kit::{Failure, by_specs};
use weft_tests::rounds::{Owed, Town, is_booked, net, of_the_records, optimum, run_again};

/// Seconds for offers, lists and results: a node looks every second, and its word is everywhere within another, or within ten
/// on a machine that has much else to do.
const TIMES: [u64; 3] = [20, 12, 120];

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|&name| name.to_owned()).collect()
}

/// Hull owes Madison 50, she Lansing 40, he Hull 60, and a larger circle over York.
fn two_circles() -> Owed {
    BTreeMap::from([((0, 1), 50), ((1, 2), 40), ((2, 0), 60), ((2, 3), 30), ((3, 0), 20)])
}

fn committed_in(attempt: u8) -> impl Fn(&NettingRound) -> bool {
    move |round| {
        is_booked(round) && round.results.iter().any(|r| r.attempt == attempt && r.outcome == "committed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_ends_with_payments_on_their_way_and_its_clerk_killed_in_between() -> Result<(), Failure> {
    let mut town = Town::owing(&names(&["hull", "madison", "lansing", "york"]), two_circles()).await?;
    let id = town.announce(0, TIMES).await?;
    town.until(&[0, 1, 2, 3], &id, "four lists", |round| round.lists == 4).await?;
    // The clerk is gone when its time to compute comes; payments to it are on their way meanwhile.
    town.sites[0].kill().await?;
    for _ in 0..3 {
        town.pay(2, 0, 1, 0).await?;
        town.pay(3, 0, 1, 0).await?;
        town.pay(1, 2, 1, 10).await?;
    }
    town.sites[0].start().await?;
    town.until(&[0, 1, 2, 3], &id, "a result that all have booked", is_booked).await?;
    town.until_quiet().await?;
    let after = town.now().await?;
    let paid = Owed::from([((2, 0), 3), ((3, 0), 3), ((1, 2), 3)]);
    let cleared: i64 =
        town.debts.iter().map(|(edge, owed)| owed + paid.get(edge).unwrap_or(&0) - after[edge]).sum();
    assert_eq!(cleared, optimum(&town.debts), "{after:?}");
    for place in 0..4 {
        assert_eq!(net(&after, place), net(&town.debts, place) + net(&paid, place), "{place}");
    }
    assert!(after.values().all(|left| *left >= 0), "no debt turns over: {after:?}");
    town.audit().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_refuses_the_rest_commits_on_the_second_attempt() -> Result<(), Failure> {
    let mut town = Town::owing(&names(&["hull", "madison", "lansing", "york"]), two_circles()).await?;
    let id = town.announce(0, TIMES).await?;
    // It takes part, and says no.
    town.wish(3, &id, "refuse").await?;
    town.until(&[0, 1, 2], &id, "a second attempt that is committed", committed_in(2)).await?;
    let refused =
        |round: &NettingRound| round.results.iter().any(|r| r.attempt == 1 && r.outcome == "aborted");
    town.until(&[0, 1, 2, 3], &id, "the end of the first attempt", refused).await?;
    town.until_quiet().await?;
    let (after, is_rest) = (town.now().await?, |edge: &(usize, usize)| edge.0 != 3 && edge.1 != 3);
    let rest: Owed = town.debts.iter().filter(|(edge, _)| is_rest(edge)).map(|(e, d)| (*e, *d)).collect();
    let cleared: i64 = town.debts.iter().map(|(edge, owed)| owed - after[edge]).sum();
    assert_eq!((cleared, optimum(&rest)), (120, 120), "{after:?}");
    for edge in town.debts.keys().filter(|edge| !is_rest(edge)) {
        assert_eq!(after[edge], town.debts[edge], "what it owes and is owed stays as it was");
    }
    let folders = town.audit().await?;
    for folder in &folders {
        let said = by_specs(folder)?;
        assert!(!said.contains("netting result"), "{said}");
    }
    let again = run_again(&folders)?;
    let attempts = &again.rounds[0].attempts;
    let stands = |attempt: usize| attempts[attempt].results[0].outcome;
    assert!(matches!(stands(0), Outcome::Aborted(_)) && stands(1) == Outcome::Committed, "{attempts:?}");
    assert!(
        attempts.iter().all(|attempt| attempt.is_same && attempt.cleared == attempt.optimum),
        "{attempts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_falls_silent_keeps_only_its_own_component_open() -> Result<(), Failure> {
    // Two circles of three; a debt from one to the other is on none.
    let debts = BTreeMap::from([
        ((0, 1), 50),
        ((1, 2), 40),
        ((2, 0), 60),
        ((3, 4), 20),
        ((4, 5), 25),
        ((5, 3), 15),
        ((0, 3), 10),
    ]);
    let six = names(&["hull", "madison", "lansing", "york", "derby", "kent"]);
    let mut town = Town::owing(&six, debts).await?;
    let id = town.announce(0, [14, 8, 14]).await?;
    town.until(&[0, 1, 2, 3, 4, 5], &id, "six lists", |round| round.lists == 6).await?;
    town.sites[4].kill().await?;
    town.until(&[0, 1, 2], &id, "the result of the others", is_booked).await?;
    let waits =
        |round: &NettingRound| round.results.iter().any(|r| r.outcome == "open" && r.waits_for == ["derby"]);
    town.until(&[3, 5], &id, "a result that waits for the silent one", waits).await?;
    let over = |round: &NettingRound| round.phase == "over";
    town.until(&[0, 3, 5], &id, "the end of the time", over).await?;
    let held = |round: &NettingRound| round.unfinished && round.held.len() == 2;
    town.until(&[3, 5], &id, "debts that are still held", held).await?;
    // People are told so without asking, and what they can do.
    let problems = town.sites[3].status().await?.problems;
    assert!(problems.iter().any(|what| what.contains("waits for the word of derby")), "{problems:?}");
    // What it first sees after the time it refuses; then the others let go.
    town.sites[4].start().await?;
    let gone = |round: &NettingRound| !round.unfinished && round.held.is_empty() && round.report.is_some();
    town.until(&[0, 1, 2, 3, 4, 5], &id, "the end of the round", gone).await?;
    town.until_quiet().await?;
    let after = town.now().await?;
    let left =
        [((0, 1), 10), ((1, 2), 0), ((2, 0), 20), ((3, 4), 20), ((4, 5), 25), ((5, 3), 15), ((0, 3), 10)];
    assert_eq!(after, Owed::from(left));
    let report = town.round_at(3, &id).await?.and_then(|round| round.report).unwrap();
    assert_eq!((report.cleared.as_str(), report.our_cleared.as_str()), ("120", "0"));
    for (place, less) in [(0, 40), (3, 0)] {
        let status = town.sites[place].status().await?;
        let came_of = format!("were cleared among 3 networks, we owe {less} less and are owed {less} less");
        assert!(status.news.iter().any(|what| what.contains(&came_of)), "{:?}", status.news);
        assert_eq!(status.problems, Vec::<String>::new());
    }
    town.audit().await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_clears_the_optimum_of_positions_from_real_records_and_runs_again_from_the_ledgers()
-> Result<(), Failure> {
    let told = of_the_records(4, &|_| {}).await?;
    // Three debts of one circle shrink, each is booked at both ends.
    assert_eq!(
        (told.cleared, told.optimum, told.again, told.ends),
        (227_547, 227_547, (227_547, 227_547), 6)
    );
    Ok(())
}
