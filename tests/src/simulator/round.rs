//! Netting rounds in the simulated world: who announces, how public streams travel, and what must hold of a round
//! whatever crashes and gets lost.

mod crashes;

pub(in crate::simulator) use crashes::Place;
pub use crashes::{CrashReport, every_crash, some_crashes};

use super::Violation;
use super::founding::{HOUR, START_MS};
use super::node::Node;
use super::wire::Message;
use super::world::{Party, World};
use std::collections::BTreeMap;
use weft_protocol::clearing::engine::{Record, Wish};
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM};
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::state::State;
use weft_protocol::netting::round::view::Outcome;
use weft_protocol::netting::round::{Announced, RoundUnit};

/// A round is announced from here on, so that there are debts by then.
const FROM_MS: u64 = START_MS + 18_000;
/// Rounds of one run.
const MOST: usize = 3;
/// Entries of one message of a public stream.
const PUBLIC_ENTRIES: usize = 16;

/// Now and then somebody announces a round.
pub(super) fn announce(world: &mut World, index: usize) {
    let now_ms = world.now_ms;
    let many = world.rounds >= if world.is_calm() { 1 } else { MOST };
    if !world.has_rounds || many || !(FROM_MS..=START_MS + 45_000).contains(&now_ms) {
        return;
    }
    if world.rounds > 0 && !world.random.chance(30) {
        return;
    }
    let times = [world.random.between(3_000, 15_000), world.random.between(2_000, 12_000)];
    let votes_ms = world.random.pick(&[3_000, 20_000, 60_000]);
    let Party::Honest(node) = &mut world.parties[index] else { return };
    let Some(engine) = &node.engine else { return };
    let Some(unit) = engine.state().units.get(&HOUR).map(RoundUnit::of) else { return };
    // Clocks differ: the times are those of who announces.
    let start_ms = now_ms + node.skew_ms;
    let offers_until_ms = start_ms + times[0];
    let lists_until_ms = offers_until_ms + times[1];
    let announced =
        Announced { unit, offers_until_ms, lists_until_ms, votes_until_ms: lists_until_ms + votes_ms };
    let said = node.input(now_ms, |engine, cx| engine.announce(announced, cx));
    world.rounds += usize::from(said.is_ok());
}

/// People say of each round once whether they take part and accept: most do, some refuse, some say nothing.
pub(super) fn people(world: &mut World, index: usize) {
    if !world.has_rounds {
        return;
    }
    let dice = world.random.below(100);
    let calm = world.is_calm();
    let Party::Honest(node) = &mut world.parties[index] else { return };
    let Some(engine) = &mut node.engine else { return };
    let mut will = engine.will().clone();
    let known: Vec<Hash> = engine.peers().rounds().all().keys().copied().collect();
    for round in known.into_iter().filter(|round| !engine.will().of_round.contains_key(round)) {
        let (joins, accepts) = match dice {
            _ if calm => (true, Some(true)),
            0..4 => (false, None),
            4..11 => (true, Some(false)),
            11..18 => (true, None),
            _ => (true, Some(true)),
        };
        will.of_round.insert(round, Wish { joins: Some(joins), accepts, drops: false });
    }
    engine.want(will);
}

/// Somebody else's public stream, as far as this network does not have it, from any network that has it: here from its
/// author.
pub(super) fn public(world: &mut World, index: usize) -> Vec<(usize, Message)> {
    if !world.has_rounds {
        return Vec::new();
    }
    let Some(from) = world.parties[index].honest() else { return Vec::new() };
    let Some(stream) = from.streams.get(&PUBLIC_STREAM) else { return Vec::new() };
    let mut words = Vec::new();
    for (to, party) in world.parties.iter().enumerate().filter(|(to, _)| *to != index) {
        let Some(engine) = party.honest().and_then(|node| node.engine.as_ref()) else { continue };
        let next = engine.peers().public_next(&from.ledger) as usize;
        let entries: Vec<Vec<u8>> =
            stream.iter().skip(next).take(PUBLIC_ENTRIES).map(|bytes| bytes.to_vec()).collect();
        if !entries.is_empty() {
            words.push((to, Message::Public(entries)));
        }
    }
    words
}

/// What rounds hold as the creditor comes off what a network may still owe: after every commit what it owes, has on its way
/// and would lose of a debt by a result is within its limit. So no result ever makes it owe more than it may.
pub(super) fn within_limits(state: &State) -> Result<(), Violation> {
    for row in state.channels.values() {
        let terms = &row.accord.pairs[0];
        let owed = i128::from(state.balance(&row.account, terms.booked_unit(row.we_are_a)));
        let open = i128::from(row.open_out.get(&0).copied().unwrap_or(0));
        let held = weft_protocol::ledger::netting::held(state, row, 0, false);
        let limit = i128::from(terms.limit(row.we_are_a));
        if held > 0 && owed + open + held > limit {
            return Err(Violation(format!("owes {owed}, {open} open, {held} held; the limit is {limit}")));
        }
    }
    Ok(())
}

/// Whether nothing of a round is left to do.
pub(super) fn is_over(node: &Node, now_ms: u64) -> bool {
    let engine = node.running();
    engine.peers().rounds().all().iter().all(|(id, round)| {
        let ended = round.announced.as_ref().is_none_or(|said| now_ms > said.says.votes_until_ms);
        ended && !engine.is_unfinished(id)
    })
}

/// What must hold of rounds among honest networks once all is quiet: what a network has applied was accepted by all;
/// every result that was is applied by all, at both ends; nothing is held any more; nothing stays on `netting`.
pub(super) fn ended(world: &mut World) -> Result<(), Violation> {
    if !world.has_rounds {
        return Ok(());
    }
    let mut lines: BTreeMap<(Hash, LedgerId, LedgerId), i64> = BTreeMap::new();
    let mut committed: BTreeMap<Hash, bool> = BTreeMap::new();
    for node in world.parties.iter().filter_map(Party::honest) {
        let state = &node.books.state;
        for (unit, left) in state.balances_of(&own_accounts::netting()) {
            if left != 0 {
                return Err(Violation(format!("{left} of unit {unit} left on netting")));
            }
        }
        if let Some(((round, _), row)) = state.held.iter().find(|(_, row)| !row.ended) {
            return Err(Violation(format!("still held for round {round}: {row:?}")));
        }
        for (round, row) in &state.rounds {
            for vote in row.votes.iter().filter(|vote| vote.accepts) {
                let outcome = node.running().outcome(round, vote);
                let all = outcome == Some(Outcome::Committed);
                if *committed.entry(vote.result).or_insert(all) != all {
                    return Err(Violation(format!("networks differ on result {}: {outcome:?}", vote.result)));
                }
                for line in &vote.lines {
                    if line.booked != all || line.said_ms.is_some() != all {
                        return Err(Violation(format!("result {} ({outcome:?}): {line:?}", vote.result)));
                    }
                    let (one, other) = (node.ledger, line.line.peer);
                    let ends = if line.line.we_owe { (one, other) } else { (other, one) };
                    let amount = line.line.amount.minor();
                    let key = (vote.result, ends.0, ends.1);
                    if all && *lines.entry(key).or_insert(amount) != amount {
                        return Err(Violation(format!("the two ends of {key:?} differ")));
                    }
                }
            }
        }
        counted(node)?;
    }
    world.tally.rounds += world.rounds as u64;
    world.tally.cleared += committed.values().filter(|all| **all).count() as u64;
    world.tally.aborted += committed.values().filter(|all| !**all).count() as u64;
    world.tally.netted += lines.values().map(|amount| amount.unsigned_abs()).sum::<u64>();
    Ok(())
}

/// Each result is applied once by each end, counted from the entries and by nothing else; of each, a network's debts shrink
/// by as much as what it is owed.
fn counted(node: &Node) -> Result<(), Violation> {
    let mut applied: BTreeMap<(Hash, Hash), u64> = BTreeMap::new();
    let mut net: BTreeMap<Hash, i64> = BTreeMap::new();
    for entry in node.own_entries() {
        match &entry.op().payload {
            Payload::Step(step) => {
                if let StepArgs::Apply(args) = &step.args {
                    let channel = Hash::of("", &[step.channel.as_bytes()]);
                    *applied.entry((args.result, channel)).or_default() += 1;
                }
            }
            Payload::Netted(netted) => {
                let amount = netted.line.amount.minor();
                let change = if netted.line.we_owe { amount } else { -amount };
                *net.entry(netted.result).or_default() += change;
            }
            _ => {}
        }
    }
    if let Some((key, count)) = applied.iter().find(|(_, count)| **count != 1) {
        return Err(Violation(format!("{key:?} was applied {count} times")));
    }
    match net.iter().find(|(_, net)| **net != 0) {
        Some((result, net)) => Err(Violation(format!("result {result} moves a net position by {net}"))),
        None => Ok(()),
    }
}

/// By how much A owes less through what one side has applied.
pub(super) fn applied(steps: &[weft_protocol::clearing::step::Step], to: u64) -> i64 {
    let mut sum = 0;
    for step in steps.iter().take(usize::try_from(to).unwrap_or(usize::MAX)) {
        if let (StepArgs::Apply(args), None) = (&step.args, step.reference) {
            sum += if args.a_owed { args.amount.minor() } else { -args.amount.minor() };
        }
    }
    sum
}

/// What a record does in a round.
pub(super) fn step_of(record: &Record) -> Option<&'static str> {
    match record {
        Record::Own(written) => step(&written.entry),
        Record::Received(entry) => step(entry).map(|_| "hear"),
        Record::Evidence(_) => None,
    }
}

fn step(entry: &Entry) -> Option<&'static str> {
    Some(match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            StepArgs::Offer(_) => "offer",
            StepArgs::DropHold(_) => "drop",
            StepArgs::Apply(_) => "apply",
            _ => return None,
        },
        Payload::Announced(_) => "announce",
        Payload::Listed(_) => "list",
        Payload::ResultPage(_) => "publish",
        Payload::Voted(_) => "vote",
        Payload::Committed(_) => "show",
        Payload::Netted(_) => "book",
        _ => return None,
    })
}
