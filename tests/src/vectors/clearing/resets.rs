//! A channel that both root sets begin anew: notices, an offer, its taking, the books after it.

use super::refused::Next;
use super::{World, ledger_case, steps};
use crate::vectors::kit::{hex, key, reading, unhex};
use serde_json::{Value, json};
use weft_protocol::clearing::accord::channel_id;
use weft_protocol::clearing::reset::{HopName, RefuseArgs, RefuseCode, Reset, ResetArgs};
use weft_protocol::clearing::step::{Ack, RootSig, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{ClaimId, Hash, LedgerId, PUBLIC_STREAM};
use weft_protocol::keys;
use weft_protocol::ledger::identity::is_public;
use weft_protocol::ledger::reset::{MAX_NOTICE_MS, NOTICE_MS, NoticeAct, ResetBooked, ResetNotice};

/// hull is A, madison B.
const A: usize = 0;
const B: usize = 1;
/// lansing, behind madison.
const C: usize = 2;

/// What both root sets sign.
fn signed(world: &World, reset: &Reset) -> ResetArgs {
    let bytes = reset.to_bytes();
    let sign = |ledger: LedgerId| {
        let network = world.networks.iter().find(|network| network.ledger() == ledger);
        let root = key(network.expect("one of the three").seed);
        vec![RootSig { signer: root.public().signer(), sig: root.sign(keys::RESET, &[&bytes]) }]
    };
    ResetArgs { sigs_a: sign(reset.a), sigs_b: sign(reset.b), reset: Blob(bytes) }
}

fn notice(world: &mut World, (at, with): (usize, usize), act: NoticeAct) {
    let peer = world.networks[with].ledger();
    let now_ms = world.tick();
    let not_before = (act == NoticeAct::Given).then_some(now_ms + NOTICE_MS);
    let notice = world.networks[at].engine.reset_notice(&peer, act, not_before).expect("an accord");
    let network = &mut world.networks[at];
    let signed = network.by_root(now_ms, Payload::ResetNotice(notice), vec![]);
    network.with(now_ms, |engine, cx| engine.submit(&signed, cx)).expect("a notice that keeps the rules");
}

/// Both give notice, let it run out, and close. Gives the state of the first after its notice.
fn closed(world: &mut World, one: usize, other: usize) -> Next {
    notice(world, (one, other), NoticeAct::Given);
    notice(world, (other, one), NoticeAct::Given);
    let noticed = Next::after(&world.networks[one], world.networks[other].ledger());
    world.deliver();
    world.now_ms += NOTICE_MS;
    notice(world, (one, other), NoticeAct::Closed);
    notice(world, (other, one), NoticeAct::Closed);
    world.deliver();
    noticed
}

fn drafted(world: &World, (one, other): (usize, usize), agreed: Option<&[i64]>, free: &[ClaimId]) -> Reset {
    let side = |at: usize, with: usize| {
        let peer = world.networks[with].ledger();
        world.networks[at].engine.reset_side(&peer).expect("it is closed")
    };
    side(one, other).with(&side(other, one), agreed, free).expect("one channel")
}

/// A network offers it, and the other answers. Gives the state of the first after its offer.
fn handed_in(world: &mut World, at: usize, args: ResetArgs) -> Next {
    let now_ms = world.tick();
    let reset = Reset::parse(&args.reset.0).expect("a reset");
    let (peer, _) = reset.other(&world.networks[at].ledger()).expect("one of its ends");
    world.networks[at].with(now_ms, |engine, cx| engine.reset(args, cx)).expect("a reset by the rules");
    let offered = Next::after(&world.networks[at], peer);
    world.deliver();
    offered
}

pub(in crate::vectors) fn vectors() -> Value {
    let mut world = World::in_a_line();
    let (hull, madison) = (world.networks[A].ledger(), world.networks[B].ledger());
    world.pay(&[A, B], 60, "bob");
    let freed = world.pay(&[A, B], 9, "nobody");
    // madison does not know whom it is for yet: the hop is open.
    world.pay(&[A, B], 40, "late");
    let before = Next::after(&world.networks[A], madison);
    let noticed = closed(&mut world, A, B);
    let reset = drafted(&world, (A, B), Some(&[55]), &[]);
    let args = signed(&world, &reset);
    let mut ended = Next::after(&world.networks[A], madison);
    ended.channel = reset.channel();
    let offered = handed_in(&mut world, A, args.clone());
    world.pay(&[A, B], 5, "bob");
    let invalid = refused(&world, &reset, freed, [&before, &noticed, &ended, &offered]);
    once_more(&mut world);
    given_back(&mut world);
    let ledgers: Vec<Value> = world.networks.iter().map(ledger_case).collect();
    let roots = [A, B].map(|i| hex(key(world.networks[i].seed).public().bytes().0));
    let sigs = [&args.sigs_a, &args.sigs_b].map(|sigs| hex(sigs[0].sig.0));
    let channels = (0..4).map(|n| channel_id(&hull, &madison, n).to_string());
    json!({
        "about": "specs/clearing.md §17: hull (A), madison (B) and lansing behind it. hull and madison reset their channel three times, madison and lansing once. An \
                  invalid entry is one that hull would refuse at its place",
        "reset": {
            "hex": hex(&args.reset.0), "reading": reading(&args.reset.0), "id": Reset::id(&args.reset.0).to_string(),
            "roots": roots.to_vec(),
            "sigs": sigs.to_vec(),
        },
        "channels": channels.collect::<Vec<_>>(),
        "ledgers": ledgers,
        "invalid_documents": documents(&reset),
        "invalid": invalid,
    })
}

/// The second reset: one hop is bound, as madison has passed it on, and given back over the new channel; one that madison has decided
/// is free. A document that frees the first is refused before.
fn once_more(world: &mut World) {
    let far = world.pay(&[A, B, C], 25, "late");
    let given_up = world.pay_undelivered(&[A, B], 12, "bob");
    world.deliver_one_way(&[A]);
    closed(world, A, B);
    let reset = drafted(world, (A, B), None, &[given_up]);
    assert_eq!(reset.bound, [HopName { claim: far, part: 0, by_a: true }]);
    let unbound = Reset { bound: vec![], positions: vec![60], ..reset.clone() };
    let unbound = signed(world, &unbound);
    handed_in(world, A, unbound);
    assert_eq!(world.networks[A].state.incarnation(&world.networks[B].ledger()), 1, "it was refused");
    let reset = signed(world, &reset);
    handed_in(world, A, reset);
    assert_eq!(world.networks[A].state.incarnation(&world.networks[B].ledger()), 2);
    // It has expired at lansing.
    let now_ms = world.tick();
    world.networks[C].with(now_ms, weft_protocol::clearing::engine::Engine::tick);
    world.deliver();
    let (now_ms, madison) = (world.tick(), world.networks[B].ledger());
    world.networks[A]
        .with(now_ms, |engine, cx| engine.state_to(&madison, cx))
        .expect("a statement after the reset");
    world.deliver();
    world.pay(&[B, A], 7, "bob");
}

/// hull hears lansing's yes when the channel between the others is closed, and is bound; its own channel is reset. Then the other
/// is, and frees the payment: it is given back over the new channel.
fn given_back(world: &mut World) {
    let claim = world.pay_undelivered(&[A, B, C], 30, "bob");
    world.deliver_one_way(&[A, B]);
    let accepts = steps(&world.networks[C]).filter_map(|(_, step)| match step.args {
        StepArgs::Accept(args) if step.claim == Some(claim) => Some(args.decision),
        _ => None,
    });
    let yes = accepts.last().expect("lansing has said yes");
    // hull asks lansing itself, and so knows who it is.
    let written = world.networks[C].cases.iter().map(|case| unhex(case["hex"].as_str().expect("hex")));
    let is_public = |bytes: &Vec<u8>| Entry::parse(bytes).is_ok_and(|entry| is_public(entry.kind()));
    for bytes in written.filter(is_public).collect::<Vec<_>>() {
        world.networks[A].engine.receive_public(&bytes).expect("a public entry in order");
        world.networks[A].keep();
    }
    closed(world, B, C);
    let now_ms = world.tick();
    world.networks[A]
        .with(now_ms, |engine, cx| engine.learn(&yes, cx))
        .expect("a word of the payee's network");
    world.deliver();
    closed(world, A, B);
    let reset = drafted(world, (A, B), None, &[]);
    let reset = signed(world, &reset);
    handed_in(world, A, reset);
    let reset = drafted(world, (B, C), None, &[claim]);
    let reset = signed(world, &reset);
    handed_in(world, B, reset);
    let returned =
        steps(&world.networks[B]).any(|(_, step)| step.args == StepArgs::Return && step.claim == Some(claim));
    assert!(returned, "madison gives it back");
    let (now_ms, madison) = (world.tick(), world.networks[B].ledger());
    world.networks[A].with(now_ms, |engine, cx| engine.state_to(&madison, cx)).expect("a statement");
    world.deliver();
}

/// Bytes that are no reset.
fn documents(reset: &Reset) -> Vec<Value> {
    let hop = |n: u8| HopName { claim: ClaimId([n; 32]), part: 0, by_a: true };
    let cases = [
        ("another format version", Reset { v: 2, ..reset.clone() }),
        ("within one network", Reset { b: reset.a, ..reset.clone() }),
        ("the first incarnation", Reset { n: 0, ..reset.clone() }),
        ("no position", Reset { positions: vec![], ..reset.clone() }),
        ("a position beyond 2^62", Reset { positions: vec![i64::MAX], ..reset.clone() }),
        ("hops out of order", Reset { bound: vec![hop(2), hop(1)], ..reset.clone() }),
        ("too many hops", Reset { bound: (0..33).map(hop).collect(), ..reset.clone() }),
    ];
    let case = |(about, reset): (&str, Reset)| {
        let bytes = reset.to_bytes();
        let why = Reset::parse(&bytes).expect_err(about).to_string();
        json!({ "about": about, "hex": hex(&bytes), "why": why })
    };
    cases.into_iter().map(case).collect()
}

/// What hull could not write: before its notice, after it, when it is closed, when it has offered the reset, and at its end.
/// One payment was freed before.
fn refused(
    world: &World,
    reset: &Reset,
    freed: ClaimId,
    [before, noticed, closed, offered]: [&Next; 4],
) -> Vec<Value> {
    let peer = world.networks[B].ledger();
    let notice = |act, not_before_ms| Payload::ResetNotice(ResetNotice { act, peer, n: 0, not_before_ms });
    let ack = Ack { next: 0, head: Hash::ZERO };
    let step = |channel, reference, args| {
        Payload::Step(Step { channel, ack, claim: None, reference, args, part: 0 })
    };
    let document = |reset: &Reset, reference| {
        step(reset.channel(), reference, StepArgs::Reset(Box::new(signed(world, reset))))
    };
    let early = Some(before.state.head.time_ms + NOTICE_MS - 1);
    let mut old = (*closed).clone();
    old.channel = reset.old_channel();
    let end = Next::after(&world.networks[A], peer);
    let other_end = Reset { end_a: (reset.end_a.0 + 1, reset.end_a.1), ..reset.clone() };
    let other_accord = Reset { accord: Hash([1; 32]), ..reset.clone() };
    let pairs = Reset { positions: vec![1, 2], ..reset.clone() };
    let refusal = StepArgs::ResetRefuse(RefuseArgs { code: RefuseCode::Mismatch });
    let mut open = before.clone();
    open.channel = reset.channel();
    let by_node = {
        let mut public = before.clone();
        public.channel = PUBLIC_STREAM;
        public.refused("a notice by the node", notice(NoticeAct::Given, early), true)
    };
    let late = Some(before.state.head.time_ms + MAX_NOTICE_MS + 1);
    let fair = Some(before.state.head.time_ms + NOTICE_MS);
    let elsewhere = ResetNotice { act: NoticeAct::Given, peer, n: 1, not_before_ms: fair };
    let twice = Some(noticed.state.head.time_ms + NOTICE_MS);
    let mut said = steps(&world.networks[A]).map(|(_, step)| step);
    let proposed = said.find(|step| matches!(step.args, StepArgs::Propose(_))).expect("hull has proposed");
    let propose = Step { ack: Ack { next: noticed.acked(), head: Hash::ZERO }, ..proposed };
    let alone = {
        let args = ResetArgs { sigs_a: Vec::new(), ..signed(world, reset) };
        step(reset.channel(), None, StepArgs::Reset(Box::new(args)))
    };
    let name = |claim| HopName { claim, part: 0, by_a: true };
    let freed = Reset { bound: vec![name(freed)], ..reset.clone() };
    let nothing = ResetBooked { peer, reset: Hash([3; 32]), postings: vec![] };
    vec![
        before.refused_op("a notice of more than 90 days", notice(NoticeAct::Given, late), vec![]),
        before.refused_op("a notice about another incarnation", Payload::ResetNotice(elsewhere), vec![]),
        before.refused_op(
            "a notice taken back that was not given",
            notice(NoticeAct::TakenBack, None),
            vec![],
        ),
        noticed.refused_op("a second notice", notice(NoticeAct::Given, twice), vec![]),
        noticed.refused("a payment after the notice", Payload::Step(propose), true),
        open.refused("a reset of a side that is not closed", document(reset, None), true),
        closed.refused("a reset that our own root set has not signed", alone, true),
        closed.refused("a reset that binds what hull has freed", document(&freed, None), true),
        end.refused("books after a reset that has nothing left", Payload::ResetBooked(nothing), false),
        by_node,
        before.refused_op("a notice of less than a week", notice(NoticeAct::Given, early), vec![]),
        before.refused_op("a notice without its day", notice(NoticeAct::Given, None), vec![]),
        before.refused_op("closed without a notice", notice(NoticeAct::Closed, None), vec![]),
        noticed.refused_op("closed before the notice has run out", notice(NoticeAct::Closed, None), vec![]),
        offered.refused_op("a notice taken back after an offer", notice(NoticeAct::TakenBack, None), vec![]),
        old.refused("a step on the stream that is closed", step(old.channel, None, StepArgs::End), true),
        closed.refused("a reset with another end of our stream", document(&other_end, None), true),
        closed.refused("a reset under another accord", document(&other_accord, None), true),
        closed.refused("a reset with a position too many", document(&pairs, None), true),
        closed.refused("a refusal of nothing", step(closed.channel, None, refusal), true),
        end.refused("a reset that is in effect already", document(reset, Some(Hash([3; 32]))), true),
    ]
}
