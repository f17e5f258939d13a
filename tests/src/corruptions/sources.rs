//! Where ledgers to corrupt come from: two `weftd` processes that have paid each other, and a simulated network in the middle
//! of three.

use super::model::{Model, Peer};
use crate::kit::{Books, Failure, Outcome, Site, hour};
use crate::simulator::{Topology, World};
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

/// The middle one of three simulated networks.
///
/// # Errors
/// When the run breaks a rule.
pub fn from_simulator(seed: u64) -> Outcome<Model> {
    let broken = |violation: crate::simulator::Violation| Failure::new(violation.to_string());
    let recorded = World::new(Topology::Three, seed).and_then(World::recorded).map_err(broken)?;
    let logs: Vec<(LedgerId, [u8; 32])> =
        recorded.iter().map(|network| (network.ledger, network.log)).collect();
    let middle = recorded.into_iter().nth(1).ok_or_else(|| Failure::new("three networks"))?;
    let (ledger, log, desk) = (middle.ledger, middle.log, middle.desk);
    Ok(Model { ledger, log, desk, own: middle.own, peers: peers(middle.received, &logs) })
}
