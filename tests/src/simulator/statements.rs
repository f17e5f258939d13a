//! Statements held against the two streams, counted here step by step from their entries and by nothing else.

use super::Violation;
use super::founding::START_MS;
use super::node::Node;
use super::world::{CHAOS_MS, Party, World};
use std::collections::BTreeMap;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::UnitPair;
use weft_protocol::clearing::leg::Leg;
use weft_protocol::clearing::settle::{SettleAckArgs, SettleAnswer};
use weft_protocol::clearing::statement::{Statement, Verdict};
use weft_protocol::clearing::step::{Step, StepArgs};
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{Hash, LedgerId, StreamId};
use weft_protocol::ledger::settled::{SettleAct, Settled, Stage, postings_of};

/// Every statement between two honest networks is agreed to and is what the two prefixes give; once all is quiet the
/// last one covers everything, and both have the same.
pub(super) fn held_against_the_streams(world: &mut World) -> Result<(), Violation> {
    let mut agreed = 0;
    let honest = world.parties.iter().filter_map(Party::honest);
    let links = honest.flat_map(|node| node.links.iter().map(move |(to, link)| (node, *to, link.channel)));
    for (left, to, channel) in links {
        let Some(right) = world.parties[to].honest() else { continue };
        let row = &left.books.state.channels[&channel];
        if !row.we_are_a {
            continue;
        }
        let pair = &row.accord.pairs[0];
        let (a, b) = (steps(left, &channel), steps(right, &channel));
        for (ours, is_a) in [(&a, true), (&b, false)] {
            for (place, step) in ours.iter().enumerate() {
                let (statement, verdict) = match &step.args {
                    StepArgs::Stmt(args) => (&args.statement, None),
                    StepArgs::StmtAck(args) => (&args.statement, Some(args.verdict)),
                    _ => continue,
                };
                let cut = statement.cut_of(is_a);
                if verdict.is_none() && cut.0 != place as u64 {
                    return Err(Violation(format!("a statement at {place} is cut at {}", cut.0)));
                }
                if verdict.is_some_and(|verdict| verdict != Verdict::Agreed) {
                    return Err(Violation(format!("a statement between honest networks: {step:?}")));
                }
                let (to_a, to_b) = if is_a { cut } else { (cut.1, cut.0) };
                check(statement, pair, &a, &b, (to_a, to_b))?;
                agreed += u64::from(verdict.is_some());
            }
        }
        let standing = |node: &Node, peer: &Node| {
            node.running().standing(&peer.ledger).map_err(|e| Violation::of("a channel", &e))
        };
        let (of_left, of_right) = (standing(left, right)?, standing(right, left)?);
        let moved = of_left.now.positions.iter().any(|position| *position != 0);
        let (one, other) = (of_left.agreed.map(|s| s.statement), of_right.agreed.map(|s| s.statement));
        if one != other || (moved && one.as_ref().map(|s| &s.positions) != Some(&of_left.now.positions)) {
            return Err(Violation(format!("the last statements: {one:?}, {other:?}, now {:?}", of_left.now)));
        }
        if of_left.now.positions != of_left.books || of_right.now.positions != of_right.books {
            return Err(Violation("the streams say other positions than the books".into()));
        }
    }
    for node in world.parties.iter().filter_map(Party::honest) {
        let rows = node.books.state.settlements.values();
        world.tally.settled += rows.filter(|row| row.stage == Stage::Booked).count() as u64;
    }
    world.tally.statements += agreed;
    Ok(())
}

fn steps(node: &Node, channel: &StreamId) -> Vec<Step> {
    let entries = node.streams.get(channel).into_iter().flatten();
    let step = |bytes: &std::sync::Arc<[u8]>| match &Entry::parse(bytes).ok()?.op().payload {
        Payload::Step(step) => Some(step.clone()),
        _ => None,
    };
    entries.filter_map(step).collect()
}

/// Parts of claims, and what they move on the peer accounts.
type Amounts = BTreeMap<Leg, i64>;

/// Claims of a prefix: proposed and not closed, and what its writer has bound and given back.
fn prefix(steps: &[Step], to: u64, pair: &UnitPair, of_a: bool) -> (Amounts, Amounts, Vec<Leg>) {
    let (mut open, mut bound, mut back) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for step in steps.iter().take(usize::try_from(to).unwrap_or(usize::MAX)) {
        let Some(claim) = step.claim else { continue };
        let leg = Leg { claim, part: step.part };
        match &step.args {
            StepArgs::Propose(args) => {
                let intent = args.intent.parse().expect("an honest network's intent");
                let hop = &intent.parts[usize::from(step.part)].hops[usize::from(args.hop)];
                open.insert(leg, pair.position_of(hop, of_a).minor());
            }
            StepArgs::Done(_) => bound.extend(open.remove(&leg).map(|amount| (leg, amount))),
            StepArgs::Free => drop(open.remove(&leg)),
            StepArgs::Return => back.push(leg),
            _ => {}
        }
    }
    (open, bound, back)
}

/// By how much A owes less through the answers of one side to what the other has proposed.
fn settled(answers: &[Step], proposals: &[Step], to: u64) -> i64 {
    let asked = |id: &Hash| {
        proposals.iter().find_map(|step| match &step.args {
            StepArgs::Settle(args) if step.reference == Some(*id) => Some(*args),
            _ => None,
        })
    };
    let mut sum = 0;
    for step in answers.iter().take(usize::try_from(to).unwrap_or(usize::MAX)) {
        let StepArgs::SettleAck(SettleAckArgs { answer: SettleAnswer::Accepted }) = &step.args else {
            continue;
        };
        let args = step.reference.and_then(|id| asked(&id)).expect("honest networks answer what was asked");
        sum += if args.a_owed { args.amount.minor() } else { -args.amount.minor() };
    }
    sum
}

fn check(
    statement: &Statement,
    pair: &UnitPair,
    a: &[Step],
    b: &[Step],
    cut: (u64, u64),
) -> Result<(), Violation> {
    let (open_a, bound_a, back_a) = prefix(a, cut.0, pair, true);
    let (open_b, bound_b, back_b) = prefix(b, cut.1, pair, false);
    let owed = |bound: &Amounts, back: &[Leg]| -> i64 {
        bound.iter().filter(|(claim, _)| !back.contains(claim)).map(|(_, amount)| amount).sum()
    };
    let position = owed(&bound_a, &back_b)
        - owed(&bound_b, &back_a)
        - settled(a, b, cut.0)
        - settled(b, a, cut.1)
        - super::round::applied(a, cut.0)
        - super::round::applied(b, cut.1);
    let ways = [(&statement.in_flight_a, &open_a), (&statement.in_flight_b, &open_b)];
    let same = ways.iter().all(|(said, open)| {
        said.claims == open.len() as u64 && i64::try_from(said.totals[0]) == Ok(open.values().sum())
    });
    if statement.positions != [position] || !same {
        return Err(Violation(format!(
            "at {cut:?} the streams give {position}, {open_a:?}, {open_b:?}: {statement:?}"
        )));
    }
    Ok(())
}

/// Now and then somebody asks for a statement at once.
pub(super) fn now_and_then(world: &mut World, index: usize) {
    let now_ms = world.now_ms;
    if now_ms > START_MS + CHAOS_MS || !world.random.chance(150) {
        return;
    }
    let ledgers = world.ledgers.clone();
    let Party::Honest(node) = &mut world.parties[index] else { return };
    let peers: Vec<usize> = node.links.keys().copied().collect();
    for peer in peers {
        // The peer may not have answered the last one yet.
        let _ = node.input(now_ms, |engine, cx| engine.state_to(&ledgers[peer], cx).map(|_| ()));
        if world.has_rounds && world.random.chance(800) {
            continue;
        }
        let dice = [world.random.below(100), world.random.below(60)];
        people(node, &ledgers[peer], now_ms, dice);
    }
}

/// People answer what a peer proposes to settle, take back what they proposed, and propose something.
fn people(node: &mut Node, peer: &LedgerId, now_ms: u64, [what, amount]: [u64; 2]) {
    let state = node.running().state();
    let Some((channel, row)) = state.channel_with(peer) else { return };
    let ours = |stage| {
        let open = state.settlements.iter().find(|(_, row)| row.channel == channel && row.stage == stage);
        open.map(|(id, row)| (*id, row.pair, row.amount, row.we_owed))
    };
    let offers = node.running().peers().offers(&channel);
    let offer = offers.first().map(|offer| {
        let args = offer.said.args;
        (offer.id, args.pair, args.amount, args.a_owed == row.we_are_a)
    });
    let owed = state.balance(&row.account, row.accord.pairs[0].booked_unit(row.we_are_a));
    let part = Amount::new((owed.abs() / 2 + amount.cast_signed()).max(1)).expect("a small amount");
    let (act, about) = match (what, offer) {
        (0..60, Some(offer)) => (if what < 45 { SettleAct::Accept } else { SettleAct::Refuse }, Some(offer)),
        (60..70, _) => (SettleAct::Withdraw, ours(Stage::Proposed)),
        (_, None) => (SettleAct::Propose, Some((Hash::ZERO, 0, part, owed > 0))),
        _ => return,
    };
    let Some((id, pair, amount, we_owed)) = about else { return };
    let postings =
        (act == SettleAct::Accept).then(|| postings_of(row, pair, amount, we_owed).expect("a pair of it"));
    let settlement = (act != SettleAct::Propose).then_some(id);
    let answer = None;
    let settled = Settled { act, channel, pair, amount, we_owed, settlement, answer, postings };
    let sidecars = if act == SettleAct::Propose { vec![Hash([5; 32])] } else { Vec::new() };
    let signed = node.at_desk(Payload::Settled(settled), sidecars, now_ms);
    // More than is owed, or answered in the meantime: people are told.
    let _ = node.input(now_ms, |engine, cx| engine.submit(&signed, cx).map(|_| ()));
}

/// Now and then payments over a channel stop for a while.
pub(super) fn pause(world: &mut World, index: usize) {
    let now_ms = world.now_ms;
    let on = now_ms < START_MS + CHAOS_MS && world.random.chance(20);
    let ledgers = world.ledgers.clone();
    let Party::Honest(node) = &mut world.parties[index] else { return };
    if node.engine.is_none() {
        return;
    }
    for peer in node.links.keys().copied().collect::<Vec<_>>() {
        let row = node.running().state().channel_with(&ledgers[peer]);
        let paused = row.is_some_and(|(_, row)| row.halt.is_some());
        if paused || on {
            let _ = node.input(now_ms, |engine, cx| engine.pause(&ledgers[peer], !paused, cx));
        }
    }
}
