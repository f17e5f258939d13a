//! What a payment to another network costs, beside what it is made of: in one run, on one disk, in real processes.
//!
//! Four nodes on a line on loopback; payments over one hop and over three, with 1, 16 and 64 under way, each from
//! asking to the answer that it is done. Beside them, in the same minutes: bare request and response of 256 bytes between
//! two processes over the same transport, one synced write to the disk, and payments inside one of the networks.
//! Figures are printed and judged by nobody: machines differ, ratios within a run tell more.

pub mod bare;

use crate::kit::{Failure, Outcome, Site, fresh_id, payment};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;
use weft_api::PaymentState;
use weft_client::Client;
use weft_node::clock::Clock;

/// The networks, on a line.
const NAMES: [&str; 4] = ["hull", "madison", "providence", "lansing"];
/// What each may owe the next: more than all payments together.
const LIMIT: u64 = 1_000_000_000;
/// Payments before the clock counts, for each number under way.
const WARM: usize = 4;
/// Synced writes for the probe of the disk.
const PROBES: usize = 200;
/// Bytes of one synced write.
const PROBE_BYTES: usize = 4_096;
/// How long one payment may take before its answer says that it is still held.
const WAIT_S: u64 = 60;

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Payments for each row.
    pub payments: usize,
    /// Payments under way at once, a row each.
    pub in_flight: Vec<usize>,
}

/// One row: how long things took and how many were done.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// How many at once.
    pub in_flight: usize,
    /// Microseconds of each, in order of size.
    pub micros: Vec<u64>,
    /// All of them together, from the first to the last.
    pub elapsed: Duration,
}

impl Row {
    pub(crate) fn new(what: &str, in_flight: usize, mut micros: Vec<u64>, elapsed: Duration) -> Self {
        micros.sort_unstable();
        Self { what: what.to_owned(), in_flight, micros, elapsed }
    }

    /// Microseconds that so many of a hundred did not exceed.
    pub fn percentile(&self, percent: usize) -> u64 {
        let place = (self.micros.len() * percent).div_ceil(100).saturating_sub(1);
        self.micros.get(place).copied().unwrap_or(0)
    }

    /// How many in a second.
    pub fn rate(&self) -> u64 {
        let millis = self.elapsed.as_millis().max(1);
        u64::try_from(self.micros.len() as u128 * 1_000 / millis).unwrap_or(u64::MAX)
    }
}

/// Runs it and gives the rows as they are measured.
///
/// # Errors
/// When a node does not start or a payment does not arrive.
pub async fn run(options: &Options, row: &mut dyn FnMut(&Row)) -> Outcome<()> {
    let folder = tempfile::Builder::new().prefix("weft-crossing-").tempdir()?;
    row(&probe(folder.path())?);
    for in_flight in &options.in_flight {
        row(&bare::measure(options.payments.max(1_000), *in_flight).await?);
    }
    let mut sites = Vec::new();
    for name in NAMES {
        let mut site = Site::found_direct(folder.path(), name).await?;
        site.passes_on = true;
        sites.push(site);
    }
    let most = options.in_flight.iter().copied().max().unwrap_or(1).max(2);
    for number in 0..most {
        for site in &sites {
            site.add_member(&format!("{}{number}", site.name), None).await?;
        }
    }
    for place in 0..3 {
        sites[place].pair_with(&sites[place + 1], LIMIT).await?;
    }
    sites[0].until_ways(NAMES[3], 1).await?;
    for (what, to) in [("payment, same network", 0), ("payment, 1 hop", 1), ("payment, 3 hops", 3)] {
        for in_flight in &options.in_flight {
            let at = if to == 0 { String::new() } else { format!("@{}", NAMES[to]) };
            let payees = format!("{}{{}}{at}", NAMES[to]);
            pay(&sites[0], &payees, *in_flight, WARM * in_flight, what).await?;
            row(&pay(&sites[0], &payees, *in_flight, options.payments, what).await?);
        }
    }
    row(&probe(folder.path())?);
    for site in &mut sites {
        site.stop().await?;
    }
    Ok(())
}

/// So many payments with so many under way; `payees` names the payee of each payer, with `{}` for the number.
async fn pay(site: &Site, payees: &str, in_flight: usize, count: usize, what: &str) -> Outcome<Row> {
    let began = Clock.instant();
    let mut payers = JoinSet::new();
    for number in 0..in_flight {
        let share = count / in_flight + usize::from(number < count % in_flight);
        // The next one's account, so that inside one network nobody pays themselves.
        let payee = payees.replace("{}", &((number + 1) % in_flight.max(2)).to_string());
        let payer = format!("{}{number}", site.name);
        payers.spawn(pay_in_turn(site.client.clone(), payer, payee, share));
    }
    let mut micros = Vec::with_capacity(count);
    while let Some(ended) = payers.join_next().await {
        micros.extend(ended??);
    }
    Ok(Row::new(what, in_flight, micros, began.elapsed()))
}

async fn pay_in_turn(client: Client, payer: String, payee: String, count: usize) -> Outcome<Vec<u64>> {
    let mut micros = Vec::with_capacity(count);
    for _ in 0..count {
        let mut wish = payment(&payer, &payee, 1);
        wish.wait_s = Some(WAIT_S);
        let began = Clock.instant();
        let done = client.pay(&wish, &fresh_id()).await?;
        micros.push(u64::try_from(began.elapsed().as_micros())?);
        if done.state != PaymentState::Done {
            return Err(Failure::new(format!("a payment to {payee} is {:?}", done.state)));
        }
    }
    Ok(micros)
}

/// Writes synced one after another.
fn probe(folder: &Path) -> Outcome<Row> {
    let mut file = std::fs::File::create(folder.join("probe"))?;
    let (bytes, mut micros) = ([7; PROBE_BYTES], Vec::with_capacity(PROBES));
    let all = Clock.instant();
    for _ in 0..PROBES {
        let began = Clock.instant();
        file.write_all(&bytes)?;
        file.sync_data()?;
        micros.push(u64::try_from(began.elapsed().as_micros())?);
    }
    Ok(Row::new("synced write, 4 KiB", 1, micros, all.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times_and_rates_of_all_of_them() {
        let row = Row::new("x", 1, vec![40, 10, 30, 20], Duration::from_millis(2));
        assert_eq!([50, 75, 99, 100].map(|percent| row.percentile(percent)), [20, 30, 40, 40]);
        assert_eq!(row.rate(), 2_000);
        assert_eq!(Row::new("x", 1, Vec::new(), Duration::ZERO).percentile(50), 0);
    }
}
