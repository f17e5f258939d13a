//! A hostile peer at full speed beside two networks that pay each other.
//!
//! What must hold: honest payments go on, the node's memory stays under its cap, nothing panics, books agree afterwards,
//! and the peer ends shut out with the reason shown. Rates are measured, not judged: the same payments with and without the
//! attack, the honest nodes and the attacker pinned to one core each.

pub mod attacker;
pub mod frames;

use crate::kit::{Failure, Outcome, Site};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use weft_node::network::{PeerId, peer_id_from_public_key, public_key_of_seed};

/// Payments under way at once.
const PAYERS: usize = 64;
/// What the networks may owe each other: more than all payments of a run.
const LIMIT: u64 = 100_000_000;
/// How long one payment may take before it counts as not done.
const PAY_WAIT_S: u64 = 20;
/// How long payments may take to end at last.
const QUIET: Duration = Duration::from_secs(60);
/// Longest time from an attack until the attacked node shows that it has shut the peer out.
const BAN_WAIT: Duration = Duration::from_secs(30);

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long each measurement takes.
    pub time: Duration,
    /// Pairs of measurements.
    pub rounds: usize,
    /// Whether the honest side (both nodes and whoever pays) and the attacker get one core each.
    pub pin: bool,
    /// This program, which is also the attacker.
    pub program: PathBuf,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Payments done in each measurement without an attack.
    pub calm: Vec<u64>,
    /// And with one.
    pub attacked: Vec<u64>,
    /// Most memory that the attacked node ever had, in KiB.
    pub peak_kib: u64,
    /// Why the peer was shut out, each time.
    pub reasons: Vec<String>,
    /// Panics in the log of either node.
    pub panics: usize,
    /// Whether processes could be pinned.
    pub pinned: bool,
}

impl Found {
    /// The middle one, or the upper of the two in the middle.
    pub fn median(counts: &[u64]) -> u64 {
        let mut sorted = counts.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Runs it.
///
/// # Errors
/// When a node fails, the peer is not shut out, or the books disagree.
pub async fn run(options: &Options, say: &mut dyn FnMut(String)) -> Outcome<Found> {
    let folder = tempfile::Builder::new().prefix("weft-hostile-").tempdir()?;
    let (hull, lansing, mallory) = networks(folder.path()).await?;
    let mut found = Found { pinned: options.pin, ..Found::default() };
    if options.pin {
        for process in [Some(std::process::id()), hull.process(), lansing.process()] {
            found.pinned &= pin(process, 0).await;
        }
    }
    pay_for(&hull, Duration::from_secs(1)).await?;
    for round in 1..=options.rounds {
        let calm = pay_for(&hull, options.time).await?;
        // Its operator has looked and let it in: the attack begins as a peer again.
        let _ = hull.client.unban("mallory").await;
        let (attacker, pinned) = start_attacker(options, &hull, &mallory).await?;
        found.pinned &= pinned;
        let attacked = pay_for(&hull, options.time).await?;
        let attack = ended(attacker).await?;
        let reason = until_shut_out(&hull).await?;
        say(format!("round {round}: {calm} payments calm, {attacked} attacked; {attack}"));
        say(format!("round {round}: mallory is shut out: {reason}"));
        found.calm.push(calm);
        found.attacked.push(attacked);
        found.reasons.push(reason);
    }
    found.peak_kib = hull.peak_kib()?;
    for site in [&hull, &lansing] {
        found.panics += site.log_text().matches("panicked").count();
        site.until_quiet(QUIET).await?;
    }
    let (ours, theirs) = (hull.position("lansing").await?, lansing.position("hull").await?);
    if ours != -theirs {
        return Err(Failure::new(format!("hull says {ours} of lansing, lansing says {theirs} of hull")));
    }
    Ok(found)
}

/// Two honest networks, and a third that is a peer of the first and has stopped: its keys are the attacker's.
async fn networks(at: &Path) -> Outcome<(Site, Site, Site)> {
    let hull = Site::found(at, "hull", &[]).await?;
    let lansing = Site::found(at, "lansing", &[]).await?;
    let mut mallory = Site::found(at, "mallory", &[]).await?;
    for (site, member) in [(&hull, "ann"), (&lansing, "dee"), (&mallory, "mal")] {
        site.add_member(member, None).await?;
    }
    hull.pair_with(&lansing, LIMIT).await?;
    hull.pair_with(&mallory, LIMIT).await?;
    for _ in 0..3 {
        mallory.pay("mal", "ann@hull", 2, PAY_WAIT_S).await?;
    }
    mallory.until_quiet(QUIET).await?;
    mallory.stop().await?;
    Ok((hull, lansing, mallory))
}

/// Pays all the time for a while; gives how many payments were done.
async fn pay_for(hull: &Site, time: Duration) -> Outcome<u64> {
    let until = Instant::now() + time;
    let payers = (0..PAYERS).map(async |_| {
        let mut done = 0_u64;
        while Instant::now() < until {
            let paid = hull.pay("ann", "dee@lansing", 1, PAY_WAIT_S).await?;
            done += u64::from(paid.state == weft_api::PaymentState::Done);
        }
        Ok::<u64, Failure>(done)
    });
    let mut all = 0;
    for done in futures::future::join_all(payers).await {
        all += done?;
    }
    Ok(all)
}

/// The identity under which a node is reached.
fn peer_id(site: &Site) -> Outcome<PeerId> {
    Ok(peer_id_from_public_key(&public_key_of_seed(&*site.data.seed("libp2p")?))?)
}

/// Starts the attacker as a process of its own, on the other core.
async fn start_attacker(options: &Options, hull: &Site, mallory: &Site) -> Outcome<(Child, bool)> {
    let at = hull.status().await?.addresses.into_iter().next();
    let at = at.ok_or_else(|| Failure::new("hull listens nowhere"))?;
    let mut command = Command::new(&options.program);
    command.arg("hostile-attacker").arg("--data").arg(mallory.data.path());
    command.args(["--to", &peer_id(hull)?.to_string(), "--at", &at]);
    command.args(["--millis", &options.time.as_millis().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn()?;
    let pinned = options.pin && pin(child.id(), 1).await;
    Ok((child, pinned))
}

/// Waits until an attack is over; gives what was sent.
async fn ended(attacker: Child) -> Outcome<String> {
    let said = attacker.wait_with_output().await?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
    }
    Err(Failure::new(format!("the attacker failed:\n{}", String::from_utf8_lossy(&said.stderr))))
}

/// Lets a process run on one core alone; whether that was possible.
async fn pin(process: Option<u32>, core: u32) -> bool {
    let Some(process) = process else { return false };
    let mut command = Command::new("taskset");
    command.args(["-a", "-p", "-c", &core.to_string(), &process.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Waits until the node shows that it has shut the peer out, and gives its reason.
async fn until_shut_out(hull: &Site) -> Outcome<String> {
    let shut_out = async {
        loop {
            let bans = hull.client.bans().await?.bans;
            let of_peer = bans.into_iter().find(|ban| ban.name.as_deref() == Some("mallory"));
            if let Some(ban) = of_peer {
                return Ok(ban.reason);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(BAN_WAIT, shut_out).await;
    waited.unwrap_or_else(|_| Err(Failure::new("the hostile peer was not shut out")))
}
