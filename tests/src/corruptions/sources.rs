//! Where ledgers to corrupt come from: two `weftd` processes that have paid each other, a simulated network in the middle
//! of three, the ledgers of the vectors, and ways through small worlds.

use super::Ground;
use super::model::{Model, Peer};
use crate::kit::{Books, Failure, Outcome, Site, hour};
use crate::model::{Scenario, walked};
use crate::simulator::{Recorded, Topology, World};
use crate::vectors::told;
use std::path::Path;
use std::time::Duration;
use weft_audit::write_bundle;
use weft_protocol::entry::{Entry, Payload, Role};
use weft_protocol::ids::{AccountId, LedgerId, PUBLIC_STREAM};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Posting, Transfer};

/// How long payments between the two may take.
const QUIET: Duration = Duration::from_secs(60);
/// What each may owe the other.
const LIMIT: u64 = 10_000;

/// Takes the entries of others apart by who wrote them.
fn peers(received: Vec<Entry>, logs: &[(LedgerId, [u8; 32])]) -> Vec<Peer> {
    let peer = |(ledger, log): &(LedgerId, [u8; 32])| Peer {
        ledger: *ledger,
        log: *log,
        public: Vec::new(),
        channel: Vec::new(),
    };
    let mut peers: Vec<Peer> = logs.iter().map(peer).collect();
    for entry in received {
        let Some(header) = entry.body().stream else { continue };
        if let Some(peer) = peers.iter_mut().find(|peer| peer.ledger == entry.body().ledger) {
            if header.id == PUBLIC_STREAM { &mut peer.public } else { &mut peer.channel }.push(entry);
        }
    }
    peers.retain(|peer| !peer.public.is_empty());
    peers
}

/// Two networks over real processes: local payments through the desk and with keys of members, payments between them that are
/// done and that come back. The ledger of the first; `bundle` is what the auditor's command wrote of it, and beside it, with the
/// extension `peer`, of the second.
///
/// # Errors
/// When a node does not do what it is asked.
pub async fn from_processes(at: &Path, bundle: &Path) -> Outcome<Model> {
    let mut hull = Site::found(at, "hull", &[]).await?;
    let mut lansing = Site::found(at, "lansing", &[]).await?;
    for name in ["ann", "ben"] {
        hull.add_member(name, None).await?;
    }
    let cat = SecretKey::from_seed(&[0x61; 32]);
    let cats: AccountId = hull.add_member("cat", Some(&cat)).await?.account.parse()?;
    let anns: AccountId = hull.client.statement("ann", None, Some(1)).await?.account.account.parse()?;
    lansing.add_member("dee", None).await?;
    hull.pair_with(&lansing, LIMIT).await?;
    let genesis = Books::read(hull.data.path())?.own.first().map(Entry::leaf);
    let limit = LimitRule {
        unit: hour().unit,
        account: None,
        owner: Some(OwnerKind::Member),
        below: Some(Levels { warn: Some(500), stop: None, firm: Some(5_000) }),
        above: None,
    };
    let rule = RuleSet {
        authority: genesis.ok_or_else(|| Failure::new("hull has no genesis"))?,
        rule: Rule::Limit(limit),
    };
    hull.sign_and_post(Payload::RuleSet(rule), &hull.root()?, Role::Root).await?;
    for n in 0..24_u64 {
        match n % 6 {
            0 => drop(hull.pay("ann", "dee@lansing", 5 + n, 20).await?),
            1 => drop(lansing.pay("dee", "ben@hull", 2 + n, 20).await?),
            // Nobody of that name: it is turned down and comes back.
            2 => drop(hull.pay("ben", "nobody@lansing", 3, 20).await?),
            3 => {
                let mut postings = vec![
                    Posting { account: cats, unit: hour().unit, delta: -7 },
                    Posting { account: anns, unit: hour().unit, delta: 7 },
                ];
                postings.sort_by_key(|posting| posting.account);
                let transfer = Payload::Transfer(Transfer { postings, when_day: None });
                hull.sign_and_post(transfer, &cat, Role::Member).await?;
            }
            _ => drop(hull.pay("ann", "ben", 10 + n, 20).await?),
        }
    }
    hull.until_quiet(QUIET).await?;
    lansing.until_quiet(QUIET).await?;
    let seeds = |site: &Site| Ok::<_, Failure>((*site.data.seed("log")?, *site.data.seed("desk")?));
    let ((log, desk), (peers_log, _)) = (seeds(&hull)?, seeds(&lansing)?);
    let (ledger, other) = (hull.status().await?.ledger.parse()?, lansing.status().await?.ledger.parse()?);
    hull.stop().await?;
    lansing.stop().await?;
    write_bundle(hull.data.path(), bundle)?;
    write_bundle(lansing.data.path(), &bundle.with_extension("peer"))?;
    let Books { own, received } = Books::read(hull.data.path())?;
    Ok(Model { ledger, log, desk, own, peers: peers(received, &[(other, peers_log)]) })
}

/// Files of vectors, and whose ledger of each: a channel reset twice, hops disputed and a peer written off, netting rounds,
/// settlements with statements, unlike units.
const TOLD: [(&str, &str); 7] = [
    ("resets.json", "hull"),
    ("resets.json", "madison"),
    ("disputes.json", "madison"),
    ("disputes.json", "hull"),
    ("rounds.json", "madison"),
    ("settlement.json", "hull"),
    ("exchange.json", "madison"),
];

/// Ledgers of the vectors, in which things happen that running nodes do in weeks.
///
/// # Errors
/// When there is no such ledger.
pub fn from_vectors() -> Outcome<Vec<(String, Model)>> {
    let model = |(file, name): (&str, &str)| {
        let networks = told(file);
        let parsed = |all: &[Vec<u8>]| -> Outcome<Vec<Entry>> {
            Ok(all.iter().map(|bytes| Entry::parse(bytes)).collect::<Result<_, _>>()?)
        };
        let id = |own: &[Entry]| own.first().map(|genesis| genesis.body().ledger);
        let missing = || Failure::new(format!("{file} has no ledger of {name}"));
        let mut logs = Vec::new();
        for network in &networks {
            logs.push((id(&parsed(&network.own)?).ok_or_else(missing)?, network.log));
        }
        let ours = networks.iter().find(|network| network.name == name).ok_or_else(missing)?;
        let own = parsed(&ours.own)?;
        let (ledger, peers) = (id(&own).ok_or_else(missing)?, peers(parsed(&ours.received)?, &logs));
        let model = Model { ledger, log: ours.log, desk: ours.desk, own, peers };
        Ok((format!("{}-{name}", file.trim_end_matches(".json")), model))
    };
    TOLD.into_iter().map(model).collect()
}

/// Small worlds, and what a ledger of each must hold: who was set back goes on after a succession, before and after a reset.
const WALKED: [(Scenario, bool); 3] =
    [(Scenario::ThreeResetFirst, false), (Scenario::ThreeSetBack, true), (Scenario::PairResetSetBack, true)];
/// Ways tried for such a ledger.
const WAYS: u64 = 60;

/// Ledgers of ways through small worlds: the first of each that was reset, or has a succession.
///
/// # Errors
/// When a world is broken, or has no such ledger on the first ways.
pub fn from_walks() -> Outcome<Vec<(String, Model)>> {
    let mut found = Vec::new();
    for (world, set_back) in WALKED {
        let mut ways = 0..WAYS;
        let model = loop {
            let seed =
                ways.next().ok_or_else(|| Failure::new(format!("{}: no such ledger", world.name())))?;
            let networks = modelled(walked(world, seed).map_err(Failure::new)?);
            let fits = |model: &Model| model.has_succession() == set_back && (set_back || model.is_reset());
            if let Some(model) = networks.into_iter().find(fits) {
                break model;
            }
        };
        found.push((world.name().to_owned(), model));
    }
    Ok(found)
}

/// Writes the bundles of the vectors and of the walks.
///
/// # Errors
/// Those of [`from_vectors`] and [`from_walks`], and when files cannot be written.
pub fn grounds_made(at: &Path) -> Outcome<Vec<Ground>> {
    let ground = |(name, model): (String, Model)| {
        let bundle = at.join(name);
        model.write(&bundle)?;
        Ok(Ground { model, bundle })
    };
    from_vectors()?.into_iter().chain(from_walks()?).map(ground).collect()
}

/// The middle one of three simulated networks.
///
/// # Errors
/// When the run breaks a rule.
pub fn from_simulator(seed: u64) -> Outcome<Model> {
    let broken = |violation: crate::simulator::Violation| Failure::new(violation.to_string());
    let recorded = World::new(Topology::Three, seed).and_then(World::recorded).map_err(broken)?;
    modelled(recorded).into_iter().nth(1).ok_or_else(|| Failure::new("three networks"))
}

/// The networks of a world, each with what the others have said to it. Of one that lies nobody has the keys.
#[must_use]
pub fn modelled(recorded: Vec<Recorded>) -> Vec<Model> {
    let logs: Vec<(LedgerId, [u8; 32])> =
        recorded.iter().map(|network| (network.ledger, network.log)).collect();
    let model = |network: Recorded| {
        let Recorded { ledger, log, desk, own, received } = network;
        let mut logs = logs.clone();
        for entry in &received {
            let writer = entry.body().ledger;
            if logs.iter().all(|(known, _)| *known != writer) {
                logs.push((writer, [0; 32]));
            }
        }
        Model { ledger, log, desk, own, peers: peers(received, &logs) }
    };
    recorded.into_iter().map(model).collect()
}
