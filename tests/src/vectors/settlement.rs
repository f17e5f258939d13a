//! Two networks that state what they owe each other, with payments on their way; steps about it that are refused.

use super::clearing::refused::Next;
use super::clearing::{World, ledger_case};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::leg::Leg;
use weft_protocol::clearing::settle::{SettleAckArgs, SettleAnswer, SettleArgs};
use weft_protocol::clearing::statement::{InFlight, Statement, StmtAckArgs, StmtArgs, Verdict, in_flight};
use weft_protocol::clearing::step::{Ack, Step, StepArgs};
use weft_protocol::entry::Payload;
use weft_protocol::ids::{ClaimId, Hash, LedgerId};
use weft_protocol::ledger::State;
use weft_protocol::ledger::halt::PauseArgs;
use weft_protocol::ledger::settled::{SettleAct, Settled, postings_of};

/// Commitment to an outside reference.
const REFERENCE: Hash = Hash([0x5e; 32]);

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
    let (taken, settled) = settlements(&mut world);
    state(&mut world, 0);
    world.deliver();
    halts(&mut world);
    let mut invalid = statements(&world);
    invalid.extend(settlements_refused(&world, taken, settled));
    let ledgers: Vec<Value> = world.networks.iter().take(2).map(ledger_case).collect();
    json!({
        "about": "specs/clearing.md §12 to §14: hull (A) and madison. An invalid entry is one that the ledger named would refuse at its end",
        "ledgers": ledgers,
        "in_flight": in_flight_case(),
        "invalid": invalid,
    })
}

fn state(world: &mut World, by: usize) {
    let (now_ms, peer) = (world.tick(), world.networks[1 - by].ledger());
    let stated = world.networks[by].with(now_ms, |engine, cx| engine.state_to(&peer, cx));
    stated.expect("a statement that is what the books say");
}

/// What a person does about a settlement, and what follows.
fn act(world: &mut World, by: usize, act: SettleAct, minor: i64, we_owed: bool, id: Option<Hash>) -> Hash {
    let (now_ms, peer) = (world.tick(), world.networks[1 - by].ledger());
    let network = &mut world.networks[by];
    let payload = settled(&network.state, peer, act, minor, we_owed, id);
    let sidecars = if act == SettleAct::Propose { vec![REFERENCE] } else { vec![] };
    let signed = network.by_root(now_ms, Payload::Settled(payload), sidecars);
    let written = network.with(now_ms, |engine, cx| engine.submit(&signed, cx));
    let id = id.unwrap_or_else(|| written.expect("a settlement that keeps the rules").entry.leaf());
    world.deliver();
    id
}

fn settled(
    state: &State,
    peer: LedgerId,
    act: SettleAct,
    minor: i64,
    we_owed: bool,
    settlement: Option<Hash>,
) -> Settled {
    let (channel, row) = state.channel_with(&peer).expect("there is a channel");
    let amount = Amount::new(minor).expect("an amount");
    let postings = postings_of(row, 0, amount, we_owed).expect("the accord has a pair");
    let postings = (act == SettleAct::Accept).then_some(postings);
    Settled { act, channel, pair: 0, amount, we_owed, settlement, answer: None, postings }
}

/// Accepted, refused, taken back; one of each, proposed by either side. Gives one taken back and one accepted.
fn settlements(world: &mut World) -> (Hash, Hash) {
    let taken = act(world, 0, SettleAct::Propose, 5, true, None);
    act(world, 0, SettleAct::Withdraw, 5, true, Some(taken));
    let refused = act(world, 1, SettleAct::Propose, 7, false, None);
    act(world, 0, SettleAct::Refuse, 7, true, Some(refused));
    let accepted = act(world, 1, SettleAct::Propose, 20, false, None);
    act(world, 0, SettleAct::Accept, 20, true, Some(accepted));
    let from_debtor = act(world, 0, SettleAct::Propose, 10, true, None);
    act(world, 1, SettleAct::Accept, 10, false, Some(from_debtor));
    (taken, from_debtor)
}

/// Paused, going on, ended.
fn halts(world: &mut World) {
    let (hull, madison) = (world.networks[0].ledger(), world.networks[1].ledger());
    for on in [true, false] {
        let now_ms = world.tick();
        let paused = world.networks[1].with(now_ms, |engine, cx| engine.pause(&hull, on, cx));
        paused.expect("a pause that changes something");
        world.deliver();
    }
    let now_ms = world.tick();
    world.networks[0].with(now_ms, |engine, cx| engine.end(&madison, cx)).expect("the end of an accord");
    world.deliver();
}

/// What hull could not write about settlements at its end, and about its accord, which has ended.
fn settlements_refused(world: &World, taken: Hash, accepted: Hash) -> Vec<Value> {
    let madison = world.networks[1].ledger();
    let next = Next::after(&world.networks[0], madison);
    let settled = |act, minor, we_owed, id| settled(&next.state, madison, act, minor, we_owed, id);
    let op = |about: &str, payload, sidecars| next.refused_op(about, Payload::Settled(payload), sidecars);
    let propose = settled(SettleAct::Propose, 1, true, None);
    let accept = settled(SettleAct::Accept, 1, true, Some(Hash([3; 32])));
    let by_node = Settled { act: SettleAct::Booked, answer: Some(Hash([4; 32])), ..accept.clone() };
    let step = |about: &str, reference, args| {
        let ack = Ack { next: next.acked(), head: Hash::ZERO };
        let step = Step { channel: next.channel, ack, claim: None, reference, args, part: 0 };
        next.refused(about, Payload::Step(step), true)
    };
    let amount = Amount::new(10).expect("an amount");
    let settle = SettleArgs { pair: 0, amount, a_owed: true, reference: REFERENCE, withdrawn: false };
    let accepts = StepArgs::SettleAck(SettleAckArgs { answer: SettleAnswer::Accepted });
    let pause = StepArgs::Pause(PauseArgs { on: true });
    vec![
        op("a settlement without its reference", propose.clone(), vec![]),
        op("more than is owed", settled(SettleAct::Propose, 16, true, None), vec![REFERENCE]),
        op("of a debt the other way", settled(SettleAct::Propose, 1, false, None), vec![REFERENCE]),
        op("in a pair that the accord has not", Settled { pair: 1, ..propose.clone() }, vec![REFERENCE]),
        op(
            "a proposal with postings",
            Settled { postings: accept.postings.clone(), ..propose.clone() },
            vec![REFERENCE],
        ),
        op("an acceptance that posts nothing", Settled { postings: None, ..accept.clone() }, vec![]),
        op("an acceptance that posts the other way", Settled { we_owed: false, ..accept.clone() }, vec![]),
        op("a booking that names no answer", Settled { act: SettleAct::Booked, ..accept.clone() }, vec![]),
        op("a booking by a person", by_node.clone(), vec![]),
        op("taken back, after it was answered", settled(SettleAct::Withdraw, 5, true, Some(taken)), vec![]),
        op(
            "taken back, and never proposed",
            settled(SettleAct::Withdraw, 5, true, Some(Hash([3; 32]))),
            vec![],
        ),
        next.refused("a booking of what was never proposed", Payload::Settled(by_node), false),
        next.refused("an acceptance by nobody", Payload::Settled(accept), false),
        step("a settlement proposed again", Some(accepted), StepArgs::Settle(settle)),
        step("a settlement that no person has signed", Some(Hash([3; 32])), StepArgs::Settle(settle)),
        step("a yes that no person has signed", Some(Hash([3; 32])), accepts.clone()),
        step("an answer that names nothing", None, accepts),
        step("a pause after the end", None, pause),
        step("a second end", None, StepArgs::End),
    ]
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
