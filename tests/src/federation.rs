//! Networks that pay each other over up to several hops while the wire is bad, sides cannot reach each other, and
//! nodes are killed.
//!
//! Each network is a real node, in a network namespace of its own where the machine can make them ([`crate::kit::cells`]),
//! else on loopback with nothing worse than kills and cut cables. Everybody has an accord with the two next to them and
//! some with the one opposite. Every payment that was acknowledged must end; then all books must agree.

mod check;

use crate::kit::asking::{Answer, ask};
use crate::kit::cells::{self, Weather, Wire};
use crate::kit::{Dice, Failure, Outcome, Site, fresh_id, payment};
use crate::require::Tool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use weft_client::Client;

/// Members of each network; the number of the network stands after the name.
const MEMBERS: [&str; 3] = ["ann", "ben", "cat"];
/// What each network may owe the next: more than all payments of a run together.
const LIMIT: u64 = 100_000_000;
/// Largest payment.
const LARGEST: u64 = 90;
/// Payments under way at each node at once.
const PAYERS: u64 = 2;
/// Longest pause of a payer between two payments, in milliseconds.
const PAUSE_MS: u64 = 600;
/// Longest pause between two misfortunes.
const CALM_MS: u64 = 1_500;
/// Longest time a killed node is away.
const AWAY_MS: u64 = 2_500;
/// How long payments may take to end once nothing is cut off any more: retries are up to a minute apart, decisions are
/// asked for, and under load everything is slow.
const QUIET: Duration = Duration::from_secs(900);

/// How it is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Networks: 3 to 50.
    pub networks: u8,
    /// Payments of all networks together.
    pub payments: u64,
    /// Chooses payments, victims, sides and lost packets. Processes run freely: a seed gives like runs, not the same.
    pub seed: u64,
    /// Whether the nodes speak QUIC instead of TCP; only in namespaces.
    pub quic: bool,
    /// What the wire does all the time.
    pub weather: Weather,
    /// Whether sides are cut off from each other and nodes killed.
    pub misfortunes: bool,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Whether the nodes were in namespaces.
    pub namespaces: bool,
    /// Payments acknowledged.
    pub acknowledged: u64,
    /// Payments refused before they began: no way was known, or none had room.
    pub refused: u64,
    /// Those to other networks.
    pub between: u64,
    /// Those of them that came back to their payer.
    pub freed: u64,
    /// Requests repeated because their answer was lost.
    pub repeated: u64,
    /// Nodes killed.
    pub kills: u64,
    /// Times that sides were cut off.
    pub partitions: u64,
    /// Packets carried, packets lost, bytes carried.
    pub packets: [u64; 3],
    /// TCP segments sent, and those sent again.
    pub segments: [u64; 2],
    /// Entries of all ledgers.
    pub entries: u64,
    /// Milliseconds in which payments were begun.
    pub paying_ms: u128,
    /// Milliseconds from then until the last had ended.
    pub ending_ms: u128,
}

/// A payment that was asked for.
#[derive(Debug, Clone)]
struct Payment {
    /// Place of the payer's network, and of the payer in it.
    from: (usize, usize),
    /// The same of the payee.
    to: (usize, usize),
    op: String,
    amount: i64,
    answer: Answer,
}

/// Payments so far, and requests repeated; the payers add to it.
type Book = Arc<Mutex<(Vec<Payment>, u64)>>;

fn name_of(place: usize) -> String {
    format!("net{place}")
}

fn member_of((network, member): (usize, usize)) -> String {
    format!("{}{network}", MEMBERS[member])
}

/// Runs it. `say` gets a line now and then.
///
/// # Errors
/// The first thing that was lost, doubled, wrong, or did not end.
pub async fn run(options: &Options, say: &mut dyn FnMut(String)) -> Outcome<Tally> {
    let folder = tempfile::Builder::new().prefix("weft-federation-").tempdir()?;
    let wire = match cells::possible() {
        true => Some(Wire::new(options.networks, options.quic, options.seed)?),
        false if options.quic => {
            return Err(Failure::new(format!("QUIC needs {}", Tool::Namespaces.needs())));
        }
        false => None,
    };
    let mut sites = Vec::new();
    for place in 0..usize::from(options.networks) {
        let cell = wire.as_ref().map(|wire| wire.cells()[place].clone());
        let mut site = Site::found_in(folder.path(), &name_of(place), cell).await?;
        site.passes_on = true;
        for member in 0..MEMBERS.len() {
            site.add_member(&member_of((place, member)), None).await?;
        }
        sites.push(site);
    }
    let links = links(sites.len());
    for (a, b) in &links {
        sites[*a].pair_with(&sites[*b], LIMIT).await?;
    }
    until_known(&sites).await?;
    say(format!("{} networks know each other", sites.len()));
    if let Some(wire) = &wire {
        wire.weather(|weather| *weather = options.weather.clone());
    }
    let began = Instant::now();
    let (book, mut tally) = (Book::default(), Tally { namespaces: wire.is_some(), ..Tally::default() });
    let mut payers = JoinSet::new();
    let count = PAYERS * sites.len() as u64;
    for number in 0..count {
        let share = options.payments / count + u64::from(number < options.payments % count);
        let place = usize::try_from(number)? % sites.len();
        let dice = Dice(options.seed.wrapping_mul(1_000_003).wrapping_add(number));
        payers.spawn(pay(place, sites.len(), sites[place].client.clone(), share, dice, Arc::clone(&book)));
    }
    let mut dice = Dice(options.seed);
    while !payers.is_empty() {
        if options.misfortunes {
            misfortune(&mut sites, wire.as_ref(), &mut dice, &mut tally).await?;
        }
        tokio::select! {
            ended = payers.join_next() => ended.unwrap_or(Ok(Ok(())))??,
            () = sleep(Duration::from_millis(dice.below(CALM_MS))) => {}
        }
    }
    mend(&sites, wire.as_ref());
    tally.paying_ms = began.elapsed().as_millis();
    say(format!("all payments begun after {} ms", tally.paying_ms));
    let began = Instant::now();
    for site in sites.iter().chain(&sites) {
        site.until_quiet(QUIET).await?;
    }
    tally.ending_ms = began.elapsed().as_millis();
    if let Some(wire) = &wire {
        tally.packets = wire.counts();
        tally.segments = wire.segments()?;
    }
    let (payments, repeated) = book.lock().unwrap_or_else(PoisonError::into_inner).clone();
    tally.repeated = repeated;
    check::check(&mut sites, &links, &payments, &mut tally).await?;
    Ok(tally)
}

/// Who has an accord with whom: a ring, and every second one with the network opposite.
fn links(networks: usize) -> Vec<(usize, usize)> {
    let ring = (0..networks).map(|place| (place, (place + 1) % networks));
    let half = networks / 2;
    let across = (0..half).step_by(2).filter(|_| half > 1).map(|place| (place, place + half));
    ring.chain(across).collect()
}

async fn until_known(sites: &[Site]) -> Outcome<()> {
    for (place, site) in sites.iter().enumerate() {
        for other in (0..sites.len()).filter(|other| *other != place) {
            site.until_ways(&name_of(other), 1).await?;
        }
    }
    Ok(())
}

/// One payer after another of a network pays somebody, mostly elsewhere.
async fn pay(
    place: usize,
    networks: usize,
    client: Client,
    count: u64,
    mut dice: Dice,
    book: Book,
) -> Outcome<()> {
    for _ in 0..count {
        let from = (place, dice.place(MEMBERS.len()));
        let mut to = (dice.place(networks), dice.place(MEMBERS.len()));
        if to == from {
            to.1 = (to.1 + 1) % MEMBERS.len();
        }
        let at = if to.0 == place { String::new() } else { format!("@{}", name_of(to.0)) };
        let (op, amount) = (fresh_id(), 1 + dice.below(LARGEST));
        let wish = payment(&member_of(from), &format!("{}{at}", member_of(to)), amount);
        let (answer, repeated) = ask(&client, &wish, &op).await?;
        {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            book.0.push(Payment { from, to, op, amount: i64::try_from(amount)?, answer });
            book.1 += repeated;
        }
        sleep(Duration::from_millis(dice.below(PAUSE_MS))).await;
    }
    Ok(())
}

/// Cuts sides off from each other, or connects all again, or kills a node and starts it again after a while.
async fn misfortune(
    sites: &mut [Site],
    wire: Option<&Wire>,
    dice: &mut Dice,
    tally: &mut Tally,
) -> Outcome<()> {
    match dice.below(4) {
        0 => {
            tally.partitions += 1;
            match wire {
                Some(wire) => {
                    let sides = sites.iter().map(|_| u8::from(dice.below(2) == 0)).collect();
                    wire.weather(|weather| weather.sides = sides);
                }
                None => sites[dice.place(sites.len())].relay.cut(true),
            }
        }
        1 => mend(sites, wire),
        _ => {
            tally.kills += 1;
            let victim = dice.place(sites.len());
            sites[victim].kill().await?;
            sleep(Duration::from_millis(dice.below(AWAY_MS))).await;
            sites[victim].start().await?;
        }
    }
    Ok(())
}

/// Everybody can reach everybody.
fn mend(sites: &[Site], wire: Option<&Wire>) {
    match wire {
        Some(wire) => wire.weather(|weather| weather.sides.clear()),
        None => sites.iter().for_each(|site| site.relay.cut(false)),
    }
}
