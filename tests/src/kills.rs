//! Two networks that pay each other all the time while their nodes are killed at random moments.
//!
//! A payment is *acknowledged* when the node has answered it (201, 202 or 200). After each round everything that was
//! acknowledged must stand in the books exactly once and have ended, done or freed; nothing else may have moved
//! value; both ledgers must pass their audit and agree. A payer whose answer was lost asks again with the same
//! operation id until there is an answer, so every payment of a round has a known end when it is checked.

mod check;
mod payer;

use crate::kit::asking::Answer;
use crate::kit::{Dice, Outcome, Site};
use payer::Payer;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The two networks.
const NAMES: [&str; 2] = ["hull", "lansing"];
/// Members of each, by place.
const MEMBERS: [[&str; 3]; 2] = [["ann", "ben", "cat"], ["dee", "eli", "fay"]];
/// Payments under way at each node.
const PAYERS: u64 = 3;
/// What each network may owe the other: more than all payments of a run together.
const LIMIT: u64 = 100_000_000;
/// Latest moment of a kill after a round began, in milliseconds.
const KILL_WITHIN_MS: u64 = 400;
/// Longest time a killed node stays away, in milliseconds.
const AWAY_MS: u64 = 150;
/// How long paying goes on once the node is back.
const AFTERWARDS: Duration = Duration::from_millis(60);
/// Rounds between two audits: an audit reads everything since the first entry. The last one is always made.
const AUDIT_EVERY: u64 = 10;
/// How long payments between the networks may take once both are up: peers wait longer and longer for one away.
const QUIET: Duration = Duration::from_secs(60);

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kills.
    pub rounds: u64,
    /// Chooses payments, victims and moments. Processes run freely, so a seed gives like runs, not the same run.
    pub seed: u64,
    /// Nodes answer before they write: a fault that must be noticed.
    pub ack_early: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Kills survived.
    pub rounds: u64,
    /// Payments acknowledged.
    pub acknowledged: u64,
    /// Those between the networks.
    pub between: u64,
    /// Those that came back to their payer.
    pub freed: u64,
    /// Requests repeated because their answer was lost.
    pub repeated: u64,
    /// Entries in both ledgers at the end.
    pub entries: u64,
}

/// A payment that was asked for.
#[derive(Debug, Clone)]
struct Payment {
    /// Which network pays.
    site: usize,
    op: String,
    /// Place of the payer among the members.
    from: usize,
    to: To,
    amount: i64,
    answer: Answer,
    /// For one between the networks: whether it arrived, once that is known.
    arrived: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Here(usize),
    There(usize),
    /// Somebody whom the other network does not know: must come back.
    Nobody,
}

/// Payments of all rounds; the payers add to it.
#[derive(Debug, Clone, Default)]
struct Book(Arc<Mutex<(Vec<Payment>, u64)>>);

impl Book {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<Payment>, &mut u64) -> T) -> T {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (payments, repeated) = &mut *book;
        work(payments, repeated)
    }
}

/// Runs the rounds. `say` gets a line now and then.
///
/// # Errors
/// The first thing that was lost, doubled or wrong.
pub async fn run(options: &Options, say: &mut dyn FnMut(String)) -> Outcome<Tally> {
    let folder = tempfile::Builder::new().prefix("weft-kills-").tempdir()?;
    let hooks: &[&str] = if options.ack_early { &["--test-hook", "ack-early"] } else { &[] };
    let mut sites = [
        Site::found(folder.path(), NAMES[0], hooks).await?,
        Site::found(folder.path(), NAMES[1], hooks).await?,
    ];
    for (site, members) in sites.iter().zip(MEMBERS) {
        for member in members {
            site.add_member(member, None).await?;
        }
    }
    sites[0].pair_with(&sites[1], LIMIT).await?;
    let (mut dice, book) = (Dice(options.seed), Book::default());
    let mut tally = Tally::default();
    for round in 0..options.rounds {
        pay_and_kill(&mut sites, &mut dice, &book).await?;
        let copy = folder.path().join(format!("round-{round}"));
        let audit = (round + 1) % AUDIT_EVERY == 0;
        let entries = check::check(&sites, &book, &copy, audit).await?;
        std::fs::remove_dir_all(&copy)?;
        tally = count(&book, round + 1, entries);
        if (round + 1) % 10 == 0 {
            say(format!("{} rounds: {} payments acknowledged", tally.rounds, tally.acknowledged));
        }
    }
    check::learn_ends(&sites, &book, true).await?;
    for site in &mut sites {
        site.stop().await?;
    }
    check::stopped(&sites, &book)?;
    Ok(tally)
}

/// One round: everybody pays, a node is killed and started again, everybody ends the payment they are at.
async fn pay_and_kill(sites: &mut [Site; 2], dice: &mut Dice, book: &Book) -> Outcome<()> {
    let (stop, stopping) = watch::channel(false);
    let mut payers = JoinSet::new();
    for (place, site) in sites.iter().enumerate() {
        for _ in 0..PAYERS {
            let payer = Payer::new(place, site.client.clone(), dice.roll(), book.clone());
            payers.spawn(payer.run(stopping.clone()));
        }
    }
    let victim = dice.place(2);
    tokio::time::sleep(Duration::from_millis(dice.below(KILL_WITHIN_MS))).await;
    sites[victim].kill().await?;
    tokio::time::sleep(Duration::from_millis(dice.below(AWAY_MS))).await;
    sites[victim].start().await?;
    tokio::time::sleep(AFTERWARDS).await;
    stop.send_replace(true);
    while let Some(ended) = payers.join_next().await {
        ended??;
    }
    for site in sites.iter() {
        site.until_quiet(QUIET).await?;
    }
    Ok(())
}

fn count(book: &Book, rounds: u64, entries: u64) -> Tally {
    book.with(|payments, repeated| {
        let mut tally = Tally { rounds, entries, repeated: *repeated, ..Tally::default() };
        for payment in payments.iter().filter(|p| matches!(p.answer, Answer::Done { .. })) {
            tally.acknowledged += 1;
            tally.between += u64::from(!matches!(payment.to, To::Here(_)));
            tally.freed += u64::from(payment.arrived == Some(false));
        }
        tally
    })
}
