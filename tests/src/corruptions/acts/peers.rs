//! What peers have said: left out, moved, and signed again by a peer that lies.

use super::{Case, Done, Must, pick};
use crate::corruptions::model::{Peer, lengthy, put};
use crate::kit::Outcome;
use std::fs;
use weft_protocol::clearing::intent::Outcome as Word;
use weft_protocol::clearing::intent::{Decision, DecisionBody};
use weft_protocol::clearing::step::{RejectArgs, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, Op, Payload};
use weft_protocol::keys::SecretKey;

/// A peer, and where those entries of its channel stand that our own entries acknowledge.
fn acknowledged(case: &mut Case<'_>) -> Option<(Peer, Vec<usize>)> {
    let peers = &case.model.peers;
    let peer = peers.get(pick(case.dice, peers.len()))?.clone();
    let stream = peer.stream()?;
    let acks = case.model.own.iter().filter_map(|entry| match &entry.op().payload {
        Payload::Step(step) if step.channel == stream => Some(step.ack.next),
        _ => None,
    });
    let acked = usize::try_from(acks.max()?).ok()?;
    let mut places = peer.places();
    places.truncate(acked);
    (acked > 2 && places.len() == acked).then_some((peer, places))
}

fn write(case: &Case<'_>, peer: &Peer) -> Outcome<()> {
    put(case.folder, &peer.file("channel"), &lengthy(&peer.channel))
}

fn found(peer: &Peer, what: String) -> Option<Done> {
    Some(Done::found(what, vec![peer.file("channel"), peer.short()]))
}

pub(super) fn cut(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, places)) = acknowledged(case) else { return Ok(None) };
    let acked = places.len();
    let keep = 1 + pick(case.dice, acked - 1);
    let (stream, mut here) = (peer.stream(), 0);
    peer.channel.retain(|entry| {
        let on_it = entry.body().stream.map(|header| header.id) == stream;
        here += usize::from(on_it);
        !on_it || here <= keep
    });
    write(case, &peer)?;
    // Which of our entries acknowledged more is what is named.
    Ok(found(&peer, format!("{keep} entries of {}, we have acknowledged {acked}", peer.short()))
        .map(any_place))
}

fn any_place(done: Done) -> Done {
    Done { names: Vec::new(), ..done }
}

pub(super) fn drop_entry(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, places)) = acknowledged(case) else { return Ok(None) };
    let at = places[pick(case.dice, places.len() - 1)];
    peer.channel.remove(at);
    write(case, &peer)?;
    Ok(found(&peer, format!("entry {at} of {} dropped", peer.short())))
}

pub(super) fn swap(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, places)) = acknowledged(case) else { return Ok(None) };
    let nth = pick(case.dice, places.len() - 1);
    let at = places[nth];
    peer.channel.swap(at, places[nth + 1]);
    write(case, &peer)?;
    Ok(found(&peer, format!("entries {at} and the next of {} swapped", peer.short())))
}

pub(super) fn double(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, _)) = acknowledged(case) else { return Ok(None) };
    let at = pick(case.dice, peer.channel.len());
    let to = at + pick(case.dice, peer.channel.len() - at);
    peer.channel.insert(to + 1, peer.channel[at].clone());
    write(case, &peer)?;
    Ok(found(&peer, format!("entry {at} of {} doubled", peer.short())))
}

fn changed(peer: &mut Peer, at: usize, change: impl FnOnce(&mut Body)) {
    let mut body = peer.channel[at].body().clone();
    change(&mut body);
    let key = SecretKey::from_seed(&peer.log);
    peer.channel[at] = Entry::sign(&body, &key).expect("a changed entry has its form");
}

pub(super) fn resign(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, places)) = acknowledged(case) else { return Ok(None) };
    let at = places[pick(case.dice, places.len())];
    let what = case.dice.below(3);
    changed(&mut peer, at, |body| match what {
        0 => body.salt.0[0] ^= 1,
        1 => body.boot += 1,
        _ => body.epoch += 1,
    });
    write(case, &peer)?;
    Ok(found(&peer, format!("entry {at} of {} signed again, otherwise ({what})", peer.short())))
}

pub(super) fn rewrite(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, places)) = acknowledged(case) else { return Ok(None) };
    let at = places[pick(case.dice, places.len())];
    if case.dice.below(2) == 0 {
        changed(&mut peer, at, |body| body.salt.0[0] ^= 1);
    } else {
        peer.channel.remove(at);
    }
    peer.rechain(at);
    write(case, &peer)?;
    Ok(found(&peer, format!("{} has signed its channel again from {at} on", peer.short())))
}

/// A step in which the peer has accepted a claim, and the Decision that contradicts it.
fn contradicted(peer: &Peer) -> Option<(Step, DecisionBody)> {
    peer.channel.iter().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            StepArgs::Accept(args) if args.decision.body.decider == peer.ledger => {
                let body = DecisionBody { outcome: Word::Reject, code: 4, ..args.decision.body };
                Some((step.clone(), body))
            }
            _ => None,
        },
        _ => None,
    })
}

pub(super) fn decide_twice(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((mut peer, _)) = acknowledged(case) else { return Ok(None) };
    let Some((step, body)) = contradicted(&peer) else { return Ok(None) };
    let decision = Decision::sign(body, &SecretKey::from_seed(&peer.log));
    let args = StepArgs::Reject(RejectArgs { code: 4, decision: Some(decision) });
    let last = peer.channel.last().expect("it has said something").clone();
    let Payload::Step(latest) = &last.op().payload else { return Ok(None) };
    let mut op: Op = last.op().clone();
    op.op_id.0[0] ^= 1;
    op.payload = Payload::Step(Step { ack: latest.ack, args, ..step });
    let mut extra = last.body().clone();
    extra.seq += 1;
    extra.kind = op.payload.kind().code();
    extra.op = Blob(op.to_bytes());
    let at = peer.channel.len();
    let key = SecretKey::from_seed(&peer.log);
    peer.channel.push(Entry::sign(&extra, &key).expect("an entry of its form"));
    peer.rechain(at);
    write(case, &peer)?;
    Ok(found(&peer, format!("{} rejects what it has accepted", peer.short())))
}

pub(super) fn remove(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some((peer, _)) = acknowledged(case) else { return Ok(None) };
    fs::remove_dir_all(case.folder.join("peers").join(peer.ledger.to_string()))?;
    let mut done = Done::found(format!("the folder of {} removed", peer.short()), vec![peer.short()]);
    done.must = Must::MissIt;
    Ok(Some(done))
}
