//! Two networks that state what they owe each other, with payments on their way; steps about it that are refused.

use super::clearing::refused::Next;
use super::clearing::{World, ledger_case};
use serde_json::{Value, json};
use weft_protocol::clearing::leg::Leg;
use weft_protocol::clearing::statement::{InFlight, Statement, StmtAckArgs, StmtArgs, Verdict, in_flight};
use weft_protocol::clearing::step::{Ack, Step, StepArgs};
use weft_protocol::entry::Payload;
use weft_protocol::ids::{ClaimId, Hash};

pub(super) fn vectors() -> Value {
    let mut world = World::new();
    for i in 0..2 {
        let now_ms = world.tick();
        world.networks[i].found(now_ms);
    }
    world.deliver();
    world.peer(0, 1);
    world.pay(&[0, 1], 100, "bob");
    world.pay(&[1, 0], 30, "bob");
    state(&mut world, 0);
    world.deliver();
    // A statement while a payment is on its way: the other side writes on before it sees it.
    world.pay_undelivered(&[1, 0], 25, "bob");
    state(&mut world, 0);
    world.deliver();
    state(&mut world, 1);
    world.deliver();
    let ledgers: Vec<Value> = world.networks.iter().take(2).map(ledger_case).collect();
    json!({
        "about": "specs/clearing.md §12: hull (A) and madison. An invalid entry is one that the ledger named would refuse at its end",
        "ledgers": ledgers,
        "in_flight": in_flight_case(),
        "invalid": statements(&world),
    })
}

fn state(world: &mut World, by: usize) {
    let (now_ms, peer) = (world.tick(), world.networks[1 - by].ledger());
    let stated = world.networks[by].with(now_ms, |engine, cx| engine.state_to(&peer, cx));
    stated.expect("a statement that is what the books say");
}

fn in_flight_case() -> Value {
    let leg = |claim, part| Leg { claim: ClaimId([claim; 32]), part };
    let open = [(leg(2, 0), (0, 7)), (leg(1, 1), (1, 5)), (leg(1, 0), (0, 3))];
    let InFlight { claims, totals, root } = in_flight(&open.into_iter().collect(), 2);
    let open = open.map(|(leg, (pair, amount))| {
        json!({ "claim": leg.claim.to_string(), "part": leg.part, "pair": pair, "amount": amount })
    });
    json!({ "open": open, "claims": claims, "totals": totals, "root": root.to_string() })
}

/// Statements that hull could not write at its end.
fn statements(world: &World) -> Vec<Value> {
    let next = Next::after(&world.networks[0], world.networks[1].ledger());
    let row = next.state.statements[&next.channel].clone();
    let right = Statement {
        cut: (next.state.stream(&next.channel).next, next.acked()),
        ..row.agreed.expect("hull has agreed to one").statement
    };
    let stmt = row.written.expect("hull has written one").stmt;
    let changed = |change: fn(&mut Statement)| {
        let mut statement = right.clone();
        change(&mut statement);
        statement
    };
    let step = |reference, args| Step {
        channel: next.channel,
        ack: Ack { next: next.acked(), head: Hash::ZERO },
        claim: None,
        reference,
        args,
        part: 0,
    };
    let say = |about: &str, statement| {
        let args = StepArgs::Stmt(StmtArgs { statement });
        next.refused(about, Payload::Step(step(None, args)), true)
    };
    let answer = |about: &str, reference, statement| {
        let args = StepArgs::StmtAck(StmtAckArgs { verdict: Verdict::Agreed, statement });
        next.refused(about, Payload::Step(step(reference, args)), true)
    };
    let named = StepArgs::Stmt(StmtArgs { statement: right.clone() });
    vec![
        say("a statement cut one entry later than it stands", changed(|s| s.cut.0 += 1)),
        say("a statement cut where the peer's stream ended before", changed(|s| s.cut.1 -= 1)),
        say("a statement of another position than the books have", changed(|s| s.positions[0] += 1)),
        say("a statement of a unit pair that the accord has not", changed(|s| s.positions.push(0))),
        say(
            "a statement of a payment of its own on the way that is none",
            changed(|s| s.in_flight_a.claims += 1),
        ),
        next.refused(
            "a statement about a claim",
            Payload::Step(Step { claim: Some(ClaimId([1; 32])), ..step(None, named) }),
            true,
        ),
        answer("an answer to nothing", None, changed(|s| s.cut.1 -= 1)),
        answer("an answer to what has not come", Some(stmt), right.clone()),
        answer(
            "an answer for more of its own stream than there is",
            Some(stmt),
            changed(|s| {
                s.cut = (s.cut.0 + 1, s.cut.1 - 1);
            }),
        ),
    ]
}
