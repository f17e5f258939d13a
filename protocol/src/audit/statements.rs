//! Statements of a channel held against the two streams that they are about (specs/clearing.md §12).
//!
//! Each STMT is computed again from the two prefixes that its cut names, in one pass over both streams; each STMT_ACK
//! must answer one of them, and say the same bytes where it agrees.

use super::channel::{Line, Said, Side};
use super::compare::Cross;
use super::finding::{Class, Finding, Findings};
use crate::clearing::leg::Leg;
use crate::clearing::statement::{Act, Statement, Trail, Value, Verdict, state_at};
use crate::clearing::step::{Step, StepArgs};
use crate::ids::{ClaimId, Hash};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// A statement, or the answer to one, in a stream.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct StatedLine {
    #[n(0)]
    pub(super) line: Line,
    /// How far its writer had the other stream.
    #[n(1)]
    acked: u64,
    /// Of a STMT_ACK: what it answers, and how.
    #[n(2)]
    answer: Option<(Hash, Verdict)>,
    #[n(3)]
    statement: Statement,
}

impl StatedLine {
    /// The statement in a step, if there is one.
    pub(super) fn of(line: Line, step: &Step) -> Option<Self> {
        let (answer, statement) = match &step.args {
            StepArgs::Stmt(args) => (None, &args.statement),
            StepArgs::StmtAck(args) => (step.reference.map(|stmt| (stmt, args.verdict)), &args.statement),
            _ => return None,
        };
        Some(Self { line, acked: step.ack.next, answer, statement: statement.clone() })
    }
}

/// Checks the statements of both sides.
pub(super) fn check(cross: &Cross<'_>, findings: &mut Findings) {
    for (us, them) in [(cross.one, cross.other), (cross.other, cross.one)] {
        if us.statements.is_empty() {
            continue;
        }
        check_against_streams(cross, us, them, findings);
        let asked = them.statements.iter().filter(|asked| asked.answer.is_none());
        let asked = asked.map(|asked| (asked.line.leaf, asked)).collect();
        for stated in &us.statements {
            check_answer(cross, (us, them), &asked, stated, findings);
        }
    }
}

/// What one step moves, in the order of its stream.
type Moves = Vec<(u64, Act, Leg, Value)>;

fn moves(side: &Side, other: &Side) -> Moves {
    let value = |said: &Said| {
        let proposed = said.proposed.as_ref()?;
        Some((proposed.pair, proposed.amounts?.1.unsigned_abs()))
    };
    let mut moves = Vec::new();
    let mut add = |line: &Line, act, leg: &Leg, value| moves.push((line.sseq, act, *leg, value));
    for (claim, said) in &side.claims {
        let before = said.closed.as_ref().is_some_and(|closed| closed.reset || closed.before);
        if let (Some(value), Some(proposed)) = (value(said), said.proposed.as_ref().filter(|_| !before)) {
            add(&proposed.line, Act::Opened, claim, value);
            if let Some(closed) = &said.closed {
                let act = if closed.binds() { Act::Done } else { Act::Freed };
                add(&closed.line, act, claim, value);
            }
        }
        let given_back = other.claims.get(claim).and_then(|said| value(said));
        if let (Some(value), Some(returned)) = (given_back, &said.returned) {
            add(returned, Act::GaveBack, claim, value);
        }
    }
    for (id, settlement) in &side.settlements {
        let theirs = other.settlements.get(id);
        if let Some((sseq, act, value)) = theirs.and_then(|theirs| settlement.as_answer_to(theirs, side)) {
            moves.push((sseq, act, Leg::first(ClaimId(id.0)), value));
        }
    }
    for (id, cleared) in &side.cleared {
        if let Some((sseq, act, value)) = cleared.moved() {
            moves.push((sseq, act, Leg::first(ClaimId(id.0)), value));
        }
    }
    moves.sort_by_key(|(sseq, ..)| *sseq);
    moves
}

/// Each STMT of one side is what the two prefixes give.
fn check_against_streams(cross: &Cross<'_>, us: &Side, them: &Side, findings: &mut Findings) {
    let Some(accord) = &us.accord else { return };
    let we_are_a = accord.a == us.ledger;
    let (ours, theirs) = (moves(us, them), moves(them, us));
    let (mut trails, mut at) = ((Trail::default(), Trail::default()), (0, 0));
    if let Some(begun) = &us.begun {
        trails = (begun.trail(we_are_a), begun.trail(!we_are_a));
    }
    for stated in us.statements.iter().filter(|stated| stated.answer.is_none()) {
        let (own, peer) = (stated.line.sseq, stated.acked);
        let finding =
            |what: String| Finding::new(Class::Mismatch, what).at(us.entry(&stated.line, &cross.audited));
        if stated.statement.cut_of(we_are_a) != (own, peer) {
            findings.add(finding("its statement is cut elsewhere than before itself".into()));
            continue;
        }
        if peer > them.len() || them.first_gap() < peer || us.first_gap() < own {
            // What is missing is said where it is missed.
            return;
        }
        follow(&mut trails.0, &ours, &mut at.0, own);
        follow(&mut trails.1, &theirs, &mut at.1, peer);
        let pairs = stated.statement.positions.len();
        let expected = state_at(pairs, we_are_a, (&trails.0, &trails.1), (own, peer));
        match expected.verdict(&stated.statement) {
            Verdict::Agreed => {}
            Verdict::Positions => findings.add(finding(format!(
                "its statement says the positions {:?}, the two streams give {:?}",
                stated.statement.positions, expected.positions
            ))),
            Verdict::InFlight | Verdict::Books => findings
                .add(finding("its statement names other payments on their way than the two streams".into())),
        }
    }
}

fn follow(trail: &mut Trail, moves: &Moves, at: &mut usize, before: u64) {
    while let Some((sseq, act, key, value)) = moves.get(*at).filter(|(sseq, ..)| *sseq < before) {
        trail.note(*sseq, *act, *key, *value);
        *at = at.saturating_add(1);
    }
    trail.forget(before);
}

/// A STMT_ACK answers a STMT of the other side, and agrees to nothing else than it says.
fn check_answer(
    cross: &Cross<'_>,
    (us, them): (&Side, &Side),
    asked: &BTreeMap<Hash, &StatedLine>,
    stated: &StatedLine,
    findings: &mut Findings,
) {
    let Some((reference, verdict)) = stated.answer else { return };
    let at = us.entry(&stated.line, &cross.audited);
    match asked.get(&reference) {
        None if us.acked_to() > them.len() => {}
        None => {
            let what = format!("it answers a statement that {} has not made", them.ledger.short());
            findings.add(Finding::new(Class::Orphan, what).at(at));
        }
        Some(asked) if verdict == Verdict::Agreed && asked.statement != stated.statement => {
            let what = "it agrees to another statement than the one it answers";
            findings.add(Finding::new(Class::Mismatch, what).at(at));
        }
        Some(_) if verdict != Verdict::Agreed => {
            let what = format!(
                "{} did not agree to a statement of {}: {}",
                us.ledger.short(),
                them.ledger.short(),
                verdict.text()
            );
            findings.add(Finding::new(Class::Warning, what).at(at));
        }
        Some(_) => {}
    }
}
