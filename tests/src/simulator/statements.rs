//! Statements held against the two streams, counted here step by step from their entries and by nothing else.

use super::Violation;
use super::founding::START_MS;
use super::node::Node;
use super::world::{CHAOS_MS, Party, World};
use std::collections::BTreeMap;
use weft_protocol::clearing::statement::{Statement, Verdict};
use weft_protocol::clearing::step::{Step, StepArgs};
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{ClaimId, StreamId};

/// Every statement between two honest networks is agreed to and is what the two prefixes give; once all is quiet the
/// last one covers everything, and both have the same.
pub(super) fn held_against_the_streams(world: &mut World) -> Result<(), Violation> {
    let mut agreed = 0;
    for (index, pair) in world.parties.windows(2).enumerate() {
        let (Some(left), Some(right)) = (pair[0].honest(), pair[1].honest()) else { continue };
        let channel = left.links[&(index + 1)].channel;
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
                check(statement, &a, &b, (to_a, to_b))?;
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

/// Claims of a prefix: proposed and not closed, and what its writer has bound and given back.
fn prefix(steps: &[Step], to: u64) -> (BTreeMap<ClaimId, i64>, BTreeMap<ClaimId, i64>, Vec<ClaimId>) {
    let (mut open, mut bound, mut back) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for step in steps.iter().take(usize::try_from(to).unwrap_or(usize::MAX)) {
        let Some(claim) = step.claim else { continue };
        match &step.args {
            StepArgs::Propose(args) => {
                let intent = args.intent.parse().expect("an honest network's intent");
                open.insert(claim, intent.parts[0].hops[usize::from(args.hop)].src.minor());
            }
            StepArgs::Done(_) => bound.extend(open.remove(&claim).map(|amount| (claim, amount))),
            StepArgs::Free => drop(open.remove(&claim)),
            StepArgs::Return => back.push(claim),
            _ => {}
        }
    }
    (open, bound, back)
}

fn check(statement: &Statement, a: &[Step], b: &[Step], cut: (u64, u64)) -> Result<(), Violation> {
    let (open_a, bound_a, back_a) = prefix(a, cut.0);
    let (open_b, bound_b, back_b) = prefix(b, cut.1);
    let owed = |bound: &BTreeMap<ClaimId, i64>, back: &[ClaimId]| -> i64 {
        bound.iter().filter(|(claim, _)| !back.contains(claim)).map(|(_, amount)| amount).sum()
    };
    let position = owed(&bound_a, &back_b) - owed(&bound_b, &back_a);
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
    }
}
