//! `weftd demo --records`: one node for each network of a file of real payments, everything paid over HTTP.
//!
//! Accords stand between exactly the pairs of networks that pay each other, one to one, with the pair's total as the
//! limit each way; a member's stop is what the file lets them spend (or a part of it). Payments of one payer keep
//! the order of the file; sixteen are under way at each node.

use super::files::Files;
use super::site::{Site, desk_payment, fresh_id};
use super::{Failure, check, end, note, say};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use weft_client::{Client, Error};
use weft_protocol::amount::{format_decimal, parse_decimal};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::UnitId;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::time::Day;

/// The sample that is built in (`tests/data/README.md` says where it comes from).
const SAMPLE: &str = include_str!("../../../tests/data/sample.csv");
/// Payments under way at each node.
const IN_FLIGHT: usize = 16;
/// Days from 1970-01-01 to 2020-01-01, where the file's time begins.
const FIRST_DAY: i32 = 18_262;
/// Decimals of the unit.
const SCALE: u8 = 2;
/// How long the last payments between networks may take.
const QUIET: Duration = Duration::from_secs(120);
/// Refusals shown one by one.
const SHOWN: usize = 5;

/// How the records are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file; the built-in sample when absent.
    pub file: Option<PathBuf>,
    /// Limits as a percentage of what the file needs.
    pub limits_percent: u64,
    /// Print one JSON object instead of a table.
    pub json: bool,
    /// Keep the files here.
    pub keep: Option<PathBuf>,
    /// For tests: every node writes the frames it exchanges with peers to a file of its name in this folder.
    pub tap: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Line {
    number: u64,
    /// Days since the file's time began.
    day: i32,
    from: String,
    to: String,
    cents: i64,
}

/// Counts and sums, in cents.
#[derive(Debug, Clone, Copy, Default)]
struct Flow {
    count: u64,
    cents: i64,
}

#[derive(Debug, Default)]
struct Made {
    local: Flow,
    /// Claim ids of payments sent, to count at the end how each ended.
    sent: Vec<(String, String, i64)>,
    refused: Vec<(u64, String)>,
}

/// Runs the records and says how it ended; false when a check failed.
pub async fn records(options: &Options) -> bool {
    end(run(options).await)
}

fn network_of(member: &str) -> &str {
    member.split('-').next().unwrap_or(member)
}

fn read(text: &str) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (number, line) in (1_u64..).zip(text.lines()).skip(1).filter(|(_, l)| !l.trim().is_empty()) {
        let bad = |why: &str| Failure::new(format!("line {number}: {why}"));
        let fields: Vec<&str> = line.trim().split(',').collect();
        let [time, from, to, cents] = fields[..] else { return Err(bad("four columns are expected")) };
        let time_s: u32 = time.parse().map_err(|_| bad("time_s is no number"))?;
        let day = Day::of_ms(u64::from(time_s) * 1_000).0;
        let cents: i64 = cents.parse().map_err(|_| bad("amount_cents is no number"))?;
        if cents <= 0 || from == to || !from.contains('-') || !to.contains('-') {
            return Err(bad("an amount above zero between two members NETWORK-NUMBER is expected"));
        }
        lines.push(Line { number, day, from: from.to_owned(), to: to.to_owned(), cents });
    }
    Ok(lines)
}

fn site_name(network: &str) -> String {
    network.to_lowercase()
}

async fn run(options: &Options) -> Result<(), Failure> {
    let text = match &options.file {
        None => SAMPLE.to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?,
    };
    let lines = read(&text)?;
    let networks: BTreeSet<&str> =
        lines.iter().flat_map(|l| [network_of(&l.from), network_of(&l.to)]).collect();
    let folder = Files::new("weft-records-", options.keep.as_deref())?;
    let mut sites = BTreeMap::new();
    for network in &networks {
        let unit = UnitDefined {
            unit: UnitId(0),
            code: "credit".into(),
            name: "Credit".into(),
            kind: UnitKind::Credit,
            scale: SCALE,
        };
        let name = site_name(network);
        let tap = options.tap.iter().map(|folder| folder.join(&name).display().to_string());
        let arguments = tap.flat_map(|file| ["--test-tap".to_owned(), file]).collect();
        let site = Site::found(folder.path(), &name, unit, arguments).await?;
        sites.insert((*network).to_owned(), site);
    }
    members(&sites, &lines, options.limits_percent).await?;
    accords(&sites, &lines, options.limits_percent).await?;
    note("paying");
    let mut tasks = Vec::new();
    for (network, site) in &sites {
        let own: Vec<Line> = lines.iter().filter(|l| network_of(&l.from) == network).cloned().collect();
        tasks.push((network.clone(), tokio::spawn(pay_all(site.client.clone(), own))));
    }
    let mut made = BTreeMap::new();
    for (network, task) in tasks {
        made.insert(network, task.await.map_err(Failure::from_error)??);
    }
    // Twice: a payment may still come to a network that was quiet when it was asked.
    for site in sites.values().chain(sites.values()) {
        site.until_quiet(QUIET).await?;
    }
    let mut report = figures(&sites, &made).await?;
    for site in sites.values_mut() {
        site.stop().await?;
    }
    for (network, (entries, wrong)) in audits(&sites, &lines)? {
        let of = &mut report["networks"][&network];
        if of["entries"].as_u64() != Some(entries) {
            let why = format!("{network}: the node said {} entries, its audit read {entries}", of["entries"]);
            return Err(Failure::new(why));
        }
        of["audit"] = format!("{wrong} findings").into();
    }
    if options.json {
        say(&serde_json::to_string(&report).map_err(Failure::from_error)?);
    } else {
        table(&report);
    }
    Ok(())
}

/// Opens every member's account, with a stop at what the file lets them spend.
async fn members(sites: &BTreeMap<String, Site>, lines: &[Line], percent: u64) -> Result<(), Failure> {
    let mut spends: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        *spends.entry(&line.from).or_default() += line.cents.unsigned_abs();
        spends.entry(&line.to).or_default();
    }
    for (network, site) in sites {
        let (root, status) = (site.root()?, site.status().await?);
        let authority = status.genesis.parse().map_err(Failure::from_error)?;
        for (member, spend) in spends.iter().filter(|(m, _)| network_of(m) == network) {
            let account = site.add_member(member, None).await?.account;
            let below = Levels { warn: None, stop: Some(spend * percent / 100), firm: None };
            let rule = Rule::Limit(LimitRule {
                unit: UnitId(0),
                account: Some(account.parse().map_err(Failure::from_error)?),
                owner: None,
                below: Some(below),
                above: None,
            });
            site.sign_and_post(Payload::RuleSet(RuleSet { authority, rule }), &root, Role::Root).await?;
        }
    }
    Ok(())
}

/// Pairs exactly the networks that pay each other.
async fn accords(sites: &BTreeMap<String, Site>, lines: &[Line], percent: u64) -> Result<(), Failure> {
    let mut totals: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for line in lines {
        let (a, b) = (network_of(&line.from), network_of(&line.to));
        if a != b {
            *totals.entry((a.min(b), a.max(b))).or_default() += line.cents;
        }
    }
    for ((a, b), total) in totals {
        let limit = format_decimal(total * i64::try_from(percent).unwrap_or(100) / 100, SCALE);
        sites[a].pair_with(&sites[b], "credit", &limit, &limit).await?;
    }
    Ok(())
}

/// What is still to be paid: the next line of a payer who has none under way.
struct Queue {
    waiting: VecDeque<Line>,
    busy: BTreeSet<String>,
}

impl Queue {
    fn take(&mut self) -> Option<Line> {
        let next = self.waiting.iter().position(|line| !self.busy.contains(&line.from))?;
        let line = self.waiting.remove(next)?;
        self.busy.insert(line.from.clone());
        Some(line)
    }
}

/// Pays all lines of one network, sixteen at a time, those of one payer in order.
async fn pay_all(client: Client, lines: Vec<Line>) -> Result<Made, Failure> {
    let queue = Arc::new(Mutex::new(Queue { waiting: lines.into(), busy: BTreeSet::new() }));
    let (freed, made) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Made::default())));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, queue, freed, made) = (client.clone(), queue.clone(), freed.clone(), made.clone());
        workers.spawn(async move {
            loop {
                let wait = freed.notified();
                let next = {
                    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    match queue.take() {
                        None if queue.waiting.is_empty() => return Ok::<(), Failure>(()),
                        next => next,
                    }
                };
                let Some(line) = next else {
                    wait.await;
                    continue;
                };
                let outcome = pay(&client, &line).await;
                {
                    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    queue.busy.remove(&line.from);
                    freed.notify_waiters();
                }
                note_payment(&mut made.lock().unwrap_or_else(PoisonError::into_inner), &line, outcome)?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.map_err(Failure::from_error)??;
    }
    let made = std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(made)
}

async fn pay(client: &Client, line: &Line) -> Result<weft_api::Done, Error> {
    let (here, there) = (network_of(&line.from), network_of(&line.to));
    let to = if here == there { line.to.clone() } else { format!("{}@{}", line.to, site_name(there)) };
    let mut payment = desk_payment(&line.from, &to, &format_decimal(line.cents, SCALE), 0);
    payment.memo = Some(format!("line {} of the records", line.number));
    payment.when = Some(Day(FIRST_DAY + line.day).to_string());
    client.pay(&payment, &fresh_id()).await
}

fn note_payment(made: &mut Made, line: &Line, outcome: Result<weft_api::Done, Error>) -> Result<(), Failure> {
    match outcome {
        Ok(done) => {
            match done.claim {
                None => {
                    made.local.count += 1;
                    made.local.cents += line.cents;
                }
                Some(claim) => made.sent.push((claim, network_of(&line.to).to_owned(), line.cents)),
            }
            Ok(())
        }
        Err(Error::Problem(problem)) if problem.status == 422 => {
            made.refused.push((line.number, format!("{}: {}", problem.code, problem.detail)));
            Ok(())
        }
        Err(error) => Err(Failure::new(format!("line {}: {error}", line.number))),
    }
}

/// The figures of every network, from its node's own answers.
async fn figures(
    sites: &BTreeMap<String, Site>,
    made: &BTreeMap<String, Made>,
) -> Result<serde_json::Value, Failure> {
    let mut networks = serde_json::Map::new();
    let mut received: BTreeMap<(String, String), Flow> = BTreeMap::new();
    let mut sent: BTreeMap<(String, String), Flow> = BTreeMap::new();
    for (network, made) in made {
        for (claim, to, cents) in &made.sent {
            let state = sites[network].client.claim(claim, 0).await.map_err(Failure::from_error)?.state;
            match state {
                weft_api::PaymentState::Done => {}
                weft_api::PaymentState::Freed => continue,
                weft_api::PaymentState::Held => {
                    return Err(Failure::new(format!("claim {claim} is still held")));
                }
            }
            for (flows, key) in [(&mut sent, (network, to)), (&mut received, (to, network))] {
                let flow = flows.entry((key.0.clone(), key.1.clone())).or_default();
                flow.count += 1;
                flow.cents += cents;
            }
        }
    }
    for (network, site) in sites {
        let status = site.status().await?;
        let peers = site.client.peers().await.map_err(Failure::from_error)?.peers;
        let made = &made[network];
        let total = |flows: &BTreeMap<(String, String), Flow>| {
            let own = flows.iter().filter(|((n, _), _)| n == network).map(|(_, flow)| *flow);
            own.fold(Flow::default(), |a, b| Flow { count: a.count + b.count, cents: a.cents + b.cents })
        };
        let mut positions = serde_json::Map::new();
        for other in sites.keys().filter(|other| *other != network) {
            let Some(peer) = peers.iter().find(|p| p.alias == site_name(other)) else { continue };
            let key = (network.clone(), other.clone());
            let (out, back) = (
                sent.get(&key).copied().unwrap_or_default(),
                received.get(&key).copied().unwrap_or_default(),
            );
            let owed = peer.positions.first().map_or("0", |p| &p.amount);
            let owed = cents(owed)?;
            if owed != out.cents - back.cents {
                let why =
                    format!("{network} owes {other} {owed}, sent {} received {}", out.cents, back.cents);
                return Err(Failure::new(why));
            }
            positions.insert(
                other.clone(),
                serde_json::json!({
                    "sent": { "count": out.count, "amount_cents": out.cents },
                    "received": { "count": back.count, "amount_cents": back.cents },
                    "position_cents": -owed,
                }),
            );
        }
        for unit in &status.units {
            if unit.sum_minor != "0" {
                return Err(Failure::new(format!(
                    "{network}: the balances in {} sum to {}",
                    unit.code, unit.sum_minor
                )));
            }
        }
        let (out, back) = (total(&sent), total(&received));
        let refused: Vec<serde_json::Value> =
            made.refused.iter().map(|(line, why)| serde_json::json!({ "line": line, "why": why })).collect();
        networks.insert(
            network.clone(),
            serde_json::json!({
            "members": status.members,
            "local": { "count": made.local.count, "amount_cents": made.local.cents },
            "sent": { "count": out.count, "amount_cents": out.cents },
            "received": { "count": back.count, "amount_cents": back.cents },
            "peers": positions,
            "entries": status.entries,
            "messages": status.messages,
            "refused": refused,
            }),
        );
    }
    Ok(serde_json::json!({ "schema": "weft.records/1", "networks": networks }))
}

fn cents(text: &str) -> Result<i64, Failure> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if digits.chars().all(|c| c == '0' || c == '.') {
        return Ok(0);
    }
    let amount = parse_decimal(digits, SCALE).map_err(Failure::new)?.minor();
    Ok(if negative { -amount } else { amount })
}

/// Every ledger by itself, and each pair against each other.
fn audits(sites: &BTreeMap<String, Site>, lines: &[Line]) -> Result<BTreeMap<String, (u64, u64)>, Failure> {
    let mut read = BTreeMap::new();
    for (network, site) in sites {
        read.insert(network.clone(), check::clean(&site.data)?);
    }
    let pairs: BTreeSet<(&str, &str)> = lines
        .iter()
        .map(|l| (network_of(&l.from), network_of(&l.to)))
        .filter(|(a, b)| a != b)
        .map(|(a, b)| (a.min(b), a.max(b)))
        .collect();
    pairs.into_iter().try_for_each(|(a, b)| check::agree(&sites[a].data, &sites[b].data))?;
    Ok(read)
}

fn figure(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn table(report: &serde_json::Value) {
    let Some(networks) = report["networks"].as_object() else { return };
    say("network  members  local  sent  received  entries  audit");
    for (network, of) in networks {
        say(&format!(
            "{network:<8} {:>7} {:>6} {:>5} {:>9} {:>8}  {}",
            figure(&of["members"]),
            figure(&of["local"]["count"]),
            figure(&of["sent"]["count"]),
            figure(&of["received"]["count"]),
            figure(&of["entries"]),
            of["audit"].as_str().unwrap_or_default()
        ));
    }
    for (network, of) in networks {
        let peers = of["peers"].as_object().into_iter().flatten();
        let positions: Vec<String> = peers
            .map(|(peer, p)| {
                format!("{peer} {}", format_decimal(p["position_cents"].as_i64().unwrap_or(0), SCALE))
            })
            .collect();
        say(&format!("{network}: owed by (+) or to (-) {}", positions.join(", ")));
        let messages = of["messages"].as_array().into_iter().flatten();
        let messages: Vec<String> = messages
            .map(|m| {
                format!(
                    "{} {}/{}",
                    m["protocol"].as_str().unwrap_or_default(),
                    m["requests_out"],
                    m["requests_in"]
                )
            })
            .collect();
        say(&format!("{network}: messages out/in {}", messages.join(", ")));
        let refused: Vec<&serde_json::Value> = of["refused"].as_array().into_iter().flatten().collect();
        if !refused.is_empty() {
            say(&format!("{network}: {} payments refused", refused.len()));
            for one in refused.iter().take(SHOWN) {
                say(&format!("  line {}: {}", one["line"], one["why"].as_str().unwrap_or_default()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_sample_is_readable() {
        assert_eq!(read(SAMPLE).map(|lines| lines.len()).unwrap_or(0), 1_500);
    }
}
