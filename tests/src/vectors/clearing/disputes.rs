//! Hops that both root sets close, and a peer that one writes off and hears again.

use super::refused::Next;
use super::{World, ledger_case};
use crate::vectors::kit::{hex, key, reading};
use serde_json::{Value, json};
use weft_protocol::clearing::dispute::{Dispute, DisputeArgs, DisputeOutcome};
use weft_protocol::clearing::step::{Ack, RootSig, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Payload;
use weft_protocol::ids::{ClaimId, Hash};
use weft_protocol::keys;
use weft_protocol::ledger::writeoff::{LOST_AFTER_MS, WriteOff, WriteOffAct};

/// The networks of this file: hull is the debtor of each hop, madison the creditor.
const DEBTOR: usize = 0;
const CREDITOR: usize = 1;

fn signed(world: &World, dispute: &Dispute) -> DisputeArgs {
    let bytes = dispute.to_bytes();
    let sign = |network: usize| {
        let root = key(world.networks[network].seed);
        vec![RootSig { signer: root.public().signer(), sig: root.sign(keys::DISPUTE, &[&bytes]) }]
    };
    DisputeArgs { sigs_debtor: sign(DEBTOR), sigs_creditor: sign(CREDITOR), dispute: Blob(bytes) }
}

/// Both root sets close the hop between hull and madison.
fn dispute(world: &mut World, claim: ClaimId, outcome: DisputeOutcome) -> DisputeArgs {
    let (now_ms, debtor) = (world.tick(), world.networks[DEBTOR].ledger());
    let drafted = world.networks[CREDITOR].engine.dispute_of(claim, 0, &debtor, outcome);
    let args = signed(world, &drafted.expect("an open hop"));
    let given = args.clone();
    let done = world.networks[CREDITOR].with(now_ms, |engine, cx| engine.dispute(given, cx));
    done.expect("a dispute that keeps the rules");
    world.deliver();
    args
}

pub(in crate::vectors) fn vectors() -> Value {
    let mut world = World::in_a_line();
    let freed = world.pay(&[0, 1], 60, "late");
    let free = dispute(&mut world, freed, DisputeOutcome::Free);
    let passing = world.pay(&[0, 1, 2], 40, "late");
    dispute(&mut world, passing, DisputeOutcome::Bound);
    world.pay(&[0, 1], 25, "late");
    world.now_ms += LOST_AFTER_MS;
    let off = drafted(&world);
    let (now_ms, hull) = (world.tick(), &mut world.networks[DEBTOR]);
    let signed = hull.by_root(now_ms, Payload::WriteOff(off.clone()), vec![]);
    hull.with(now_ms, |engine, cx| engine.submit(&signed, cx)).expect("a peer that is lost");
    let (now_ms, hull) = (world.tick(), world.networks[DEBTOR].ledger());
    let heard = world.networks[CREDITOR].with(now_ms, |engine, cx| engine.pause(&hull, true, cx));
    heard.expect("a pause that changes something");
    world.deliver();
    let invalid = refused(&world, &free, &off);
    let ledgers: Vec<Value> = world.networks.iter().map(ledger_case).collect();
    json!({
        "about": "specs/clearing.md §15, §16: hull, madison and lansing. An invalid entry is one that hull would refuse at its end",
        "dispute": { "hex": hex(&free.dispute.0), "reading": reading(&free.dispute.0) },
        "ledgers": ledgers,
        "invalid": invalid,
    })
}

fn drafted(world: &World) -> WriteOff {
    let madison = world.networks[CREDITOR].ledger();
    world.networks[DEBTOR].engine.write_off_of(&madison, 0).expect("there is an accord")
}

/// What hull could not write at its end, when madison was heard again.
fn refused(world: &World, free: &DisputeArgs, off: &WriteOff) -> Vec<Value> {
    let next = Next::after(&world.networks[DEBTOR], world.networks[CREDITOR].ledger());
    let claim = Dispute::parse(&free.dispute.0).expect("a dispute").claim;
    let step = |about: &str, claim, reference| {
        let ack = Ack { next: next.acked(), head: Hash::ZERO };
        let args = StepArgs::Dispute(Box::new(free.clone()));
        let step = Step { channel: next.channel, ack, claim: Some(claim), reference, args, part: 0 };
        next.refused(about, Payload::Step(step), true)
    };
    let back = WriteOff { act: WriteOffAct::TakenBack, next: off.next + 1, ..off.clone() };
    vec![
        step("a dispute of a hop that is closed", claim, Some(Hash([3; 32]))),
        step("a dispute of a debtor that names no step of the creditor", claim, None),
        step("a dispute about another claim than its step", ClaimId([1; 32]), Some(Hash([3; 32]))),
        next.refused_op("a peer written off that was heard today", Payload::WriteOff(drafted(world)), vec![]),
        next.refused("a peer written off by the node", Payload::WriteOff(off.clone()), false),
        next.refused("heard again, and not written off", Payload::WriteOff(back.clone()), false),
        next.refused_op("heard again, by a person", Payload::WriteOff(back), vec![]),
    ]
}
