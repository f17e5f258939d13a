//! A node that was away while much was written to it: how fast it takes that in once it is back, beside how fast the
//! same entries' signatures verify, strictly and one by one, in the same run.
//!
//! Two real nodes on loopback. One pays the other, which is not there; each payment is an entry of the channel. When
//! the other starts it has all of them to fetch, verify, write durably and acknowledge, and to answer: every payment
//! is decided, which costs it signatures and entries of its own that the rate of verifying has no part in.

use crate::kit::{Books, Failure, Outcome, Site, fresh_id, payment};
use std::time::Duration;
use tokio::task::JoinSet;
use weft_client::Client;
use weft_node::clock::Clock;

/// What one may owe the other: more than all payments together.
const LIMIT: u64 = 1_000_000_000;
/// Payments under way while the other is away.
const PAYERS: u64 = 64;
/// How often the node that was away is asked how far it is.
const POLL: Duration = Duration::from_millis(10);
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// What was measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Entries of the channel that were waiting.
    pub entries: u64,
    /// Milliseconds in which they were written.
    pub written_ms: u128,
    /// Milliseconds from the connection until the last was acknowledged.
    pub taken_ms: u128,
    /// Milliseconds from then until every payment had ended on both sides.
    pub ended_ms: u128,
    /// Microseconds that verifying the same entries' signatures took on one core.
    pub verify_us: u128,
    /// Largest memory of the node that was away, in KiB.
    pub peak_kib: u64,
}

/// Runs it.
///
/// # Errors
/// When a node does not start, or does not come so far.
pub async fn run(entries: u64, say: &dyn Fn(&str)) -> Outcome<Figures> {
    let folder = tempfile::Builder::new().prefix("weft-catchup-").tempdir()?;
    let mut hull = Site::found_direct(folder.path(), "hull").await?;
    let mut away = Site::found_direct(folder.path(), "lansing").await?;
    for number in 0..PAYERS {
        hull.add_member(&format!("payer{number}"), None).await?;
    }
    away.add_member("payee", None).await?;
    hull.pair_with(&away, LIMIT).await?;
    let before = received(&away).await?;
    away.stop().await?;
    let mut figures = Figures::default();
    let began = Clock.instant();
    let mut payers = JoinSet::new();
    for number in 0..PAYERS {
        let share = entries / PAYERS + u64::from(number < entries % PAYERS);
        payers.spawn(pay(hull.client.clone(), format!("payer{number}"), share));
    }
    while let Some(ended) = payers.join_next().await {
        ended??;
    }
    figures.written_ms = began.elapsed().as_millis();
    say(&format!("{entries} payments wait after {} ms", figures.written_ms));
    let taken = async {
        away.start().await?;
        let began = Clock.instant();
        loop {
            let received = received(&away).await?.saturating_sub(before);
            if received >= entries {
                return Ok::<_, Failure>((received, began.elapsed().as_millis()));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, taken).await;
    (figures.entries, figures.taken_ms) =
        waited.map_err(|_| Failure::new("the node that was away does not come so far"))??;
    say(&format!("taken in after {} ms", figures.taken_ms));
    let began = Clock.instant();
    hull.until_quiet(PATIENCE).await?;
    away.until_quiet(PATIENCE).await?;
    figures.ended_ms = began.elapsed().as_millis();
    figures.peak_kib = away.peak_kib()?;
    hull.stop().await?;
    away.stop().await?;
    figures.verify_us = verify(&hull, entries)?;
    Ok(figures)
}

async fn received(site: &Site) -> Outcome<u64> {
    Ok(site.client.peers().await?.peers.first().map_or(0, |peer| peer.received))
}

async fn pay(client: Client, payer: String, count: u64) -> Outcome<()> {
    for _ in 0..count {
        client.pay(&payment(&payer, "payee@lansing", 1), &fresh_id()).await?;
    }
    Ok(())
}

/// Verifies so many entries of the channel on this thread.
fn verify(site: &Site, count: u64) -> Outcome<u128> {
    let books = Books::read(site.data.path())?;
    let key = site.data.keys()?.log.public();
    let count = usize::try_from(count)?;
    let channel: Vec<_> =
        books.own.iter().filter(|entry| entry.body().stream.is_some()).take(count).collect();
    let began = Clock.instant();
    for entry in &channel {
        key.verify_afresh(&entry.node_message(), entry.node_sig())?;
    }
    let took = began.elapsed().as_micros();
    if channel.len() == count { Ok(took) } else { Err(Failure::new("entries are missing")) }
}
