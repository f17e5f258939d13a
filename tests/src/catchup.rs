//! A node that was away while much was written: how fast it takes that in once it is back, beside how fast the same
//! entries' signatures verify, strictly and one by one on one core, in the same run.
//!
//! Real nodes on loopback. One was away; its peer has meanwhile heard much of further networks, and holds payments for
//! it. Two sorts wait: **public** entries of the further networks, some of them its peers too, which are asleep when it
//! comes back, so that it gets all of them from the one that is awake; and **channel** entries, payments to its members,
//! which it fetches, verifies, writes durably and acknowledges, and each of which it decides, which costs signatures and
//! entries of its own that the rate of verifying has no part in. Three absences in one run: each sort alone, then both.

pub mod month;

use crate::kit::{Books, Failure, Outcome, Site, fresh_id, payment};
use month::Teller;
use std::time::Duration;
use tokio::task::JoinSet;
use weft_client::Client;
use weft_node::clock::Clock;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::keys::PublicKey;

/// What one may owe the other: more than all payments together.
const LIMIT: u64 = 1_000_000_000;
/// Payments under way while the other is away.
const PAYERS: u64 = 64;
/// How often the node that was away is asked how far it is.
const POLL: Duration = Duration::from_millis(100);
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// A node looks so often whether it has something to tell.
const TOLD: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const TRIES: usize = 20;
/// Further networks; each second one is a peer of the node that is away too.
const FURTHER: [&str; 6] = ["providence", "newhaven", "albany", "ithaca", "dover", "camden"];

/// How it is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Public entries of further networks in one absence.
    pub public: u64,
    /// Entries of the channel in one absence.
    pub channel: u64,
}

/// What one absence has measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Public entries that were waiting.
    pub public: u64,
    /// Entries of the channel that were waiting.
    pub channel: u64,
    /// Milliseconds in which those of the channel were written.
    pub written_ms: u128,
    /// Milliseconds from the start of the node until the last was durable and acknowledged.
    pub taken_ms: u128,
    /// Milliseconds from then until every payment had ended on both sides.
    pub ended_ms: u128,
    /// Microseconds that verifying the same entries' signatures took on one core.
    pub verify_us: u128,
    /// Largest memory of the node that was away, in KiB.
    pub peak_kib: u64,
}

/// The networks of a run.
struct Run<'a> {
    hull: Site,
    away: Site,
    further: Vec<Teller>,
    say: &'a dyn Fn(&str),
}

/// Runs it; each absence is given as it is measured.
///
/// # Errors
/// When a node does not start, or does not come so far.
pub async fn run(options: &Options, say: &dyn Fn(&str), shown: &mut dyn FnMut(&Figures)) -> Outcome<()> {
    let folder = tempfile::Builder::new().prefix("weft-catchup-").tempdir()?;
    // It is found again where it was, after it has been given what was said meanwhile.
    let listen = format!("/ip4/127.0.0.1/tcp/{}", free_port()?);
    let mut hull = Site::found_by(folder.path(), "hull", Some(&listen), |_| ()).await?;
    let mut away = Site::found_direct(folder.path(), "lansing").await?;
    (hull.passes_on, away.passes_on) = (true, true);
    for number in 0..PAYERS {
        hull.add_member(&format!("payer{number}"), None).await?;
    }
    away.add_member("payee", None).await?;
    hull.pair_with(&away, LIMIT).await?;
    let mut sites = Vec::new();
    for (place, name) in FURTHER.into_iter().enumerate() {
        let site = Site::found_direct(folder.path(), name).await?;
        hull.pair_with(&site, LIMIT).await?;
        if place % 2 == 1 {
            away.pair_with(&site, LIMIT).await?;
        }
        sites.push(site);
    }
    for name in FURTHER {
        // Of a network that no way leads to it would keep little.
        away.until_ways(name, 1).await?;
    }
    let mut further = Vec::new();
    for mut site in sites {
        further.push(put_to_sleep(&mut site).await?);
    }
    away.stop().await?;
    let mut run = Run { hull, away, further, say };
    for (public, channel) in [(options.public, 0), (0, options.channel), (options.public, options.channel)] {
        if public + channel > 0 {
            shown(&run.absence(public, channel).await?);
        }
    }
    run.hull.stop().await
}

impl Run<'_> {
    /// So much is written while the node is away; then it comes back.
    async fn absence(&mut self, public: u64, channel: u64) -> Outcome<Figures> {
        let mut figures = Figures { public, channel, ..Figures::default() };
        self.hull.stop().await?;
        let mut waiting = month::tell(&self.hull, &mut self.further, public)?;
        self.hull.start().await?;
        let written = written(&self.hull).await?;
        let began = Clock.instant();
        let mut payers = JoinSet::new();
        for number in 0..PAYERS {
            let share = channel / PAYERS + u64::from(number < channel % PAYERS);
            payers.spawn(pay(self.hull.client.clone(), format!("payer{number}"), share));
        }
        while let Some(ended) = payers.join_next().await {
            ended??;
        }
        figures.written_ms = began.elapsed().as_millis();
        (self.say)(&format!("{public} public entries and {channel} payments wait"));
        let taken = async {
            self.away.start().await?;
            let began = Clock.instant();
            while !self.is_there(written + channel).await? {
                tokio::time::sleep(POLL).await;
            }
            Ok::<_, Failure>(began.elapsed().as_millis())
        };
        let waited = tokio::time::timeout(PATIENCE, taken).await;
        figures.taken_ms =
            waited.map_err(|_| Failure::new("the node that was away does not come so far"))??;
        let began = Clock.instant();
        self.hull.until_quiet(PATIENCE).await?;
        self.away.until_quiet(PATIENCE).await?;
        figures.ended_ms = began.elapsed().as_millis();
        figures.peak_kib = self.away.peak_kib()?;
        self.away.stop().await?;
        let proposed = Books::read(self.hull.data.path())?.own.into_iter().filter(is_proposal);
        let proposed: Vec<Entry> = proposed.collect();
        let first = proposed.len().saturating_sub(usize::try_from(channel)?);
        let key = self.hull.data.keys()?.log.public();
        waiting.extend(proposed.into_iter().skip(first).map(|entry| (key, entry)));
        figures.verify_us = verify(&waiting, public + channel)?;
        Ok(figures)
    }

    /// Whether the node that was away has so many entries of the channel, and all that the further networks have said.
    async fn is_there(&self, channel: u64) -> Outcome<bool> {
        let peers = self.away.client.peers().await?.peers;
        if peers.iter().any(|peer| peer.alias == self.hull.name && peer.received < channel) {
            return Ok(false);
        }
        let networks = self.away.client.networks().await?.networks;
        let entries = |ledger: &str| networks.iter().find(|one| one.ledger == ledger).map(|one| one.entries);
        Ok(self.further.iter().all(|teller| entries(&teller.ledger()) >= Some(teller.said())))
    }
}

/// Stops a network, once it has told of an accord.
async fn put_to_sleep(site: &mut Site) -> Outcome<Teller> {
    for _ in 0..TRIES {
        site.stop().await?;
        if let Some(teller) = Teller::of(site)? {
            return Ok(teller);
        }
        site.start().await?;
        tokio::time::sleep(TOLD).await;
    }
    Err(Failure::new(format!("{} tells of no accord", site.name)))
}

/// A port that nobody listens on.
fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn is_proposal(entry: &Entry) -> bool {
    matches!(&entry.op().payload, Payload::Step(step) if matches!(step.args, StepArgs::Propose(_)))
}

/// Entries that a node has written to the one that is away.
async fn written(site: &Site) -> Outcome<u64> {
    let peers = site.client.peers().await?.peers;
    Ok(peers.iter().find(|peer| peer.alias == "lansing").map_or(0, |peer| peer.written))
}

async fn pay(client: Client, payer: String, count: u64) -> Outcome<()> {
    for _ in 0..count {
        client.pay(&payment(&payer, "payee@lansing", 1), &fresh_id()).await?;
    }
    Ok(())
}

/// Verifies the entries on this thread.
fn verify(entries: &[(PublicKey, Entry)], count: u64) -> Outcome<u128> {
    let began = Clock.instant();
    for (key, entry) in entries {
        key.verify_afresh(&entry.node_message(), entry.node_sig())?;
    }
    let took = began.elapsed().as_micros();
    if entries.len() == usize::try_from(count)? { Ok(took) } else { Err(Failure::new("entries are missing")) }
}
