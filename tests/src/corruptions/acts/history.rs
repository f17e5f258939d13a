//! Entries moved, and what the audited node itself could sign again: it has its log key and its desk key, and nobody else's.

use super::{Case, Done, Must, around, entry, pick};
use crate::corruptions::model::{Model, put};
use crate::kit::{Dice, Outcome};
use std::fs;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::dispute::Dispute;
use weft_protocol::clearing::intent::Outcome as Word;
use weft_protocol::clearing::intent::{Decision, DecisionBody};
use weft_protocol::clearing::reset::Reset;
use weft_protocol::clearing::step::{RejectArgs, Step, StepArgs};
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{OpId, SigBytes};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::{KeyBound, Purpose};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::Posting;
use weft_protocol::log::tile::{TileKind, TilePath, encode_bundle};

/// A place of the ledger that fits, if there is one.
fn place(case: &mut Case<'_>, fits: impl Fn(&Entry) -> bool) -> Option<usize> {
    let found: Vec<usize> =
        case.model.own.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(at, _)| at).collect();
    found.get(pick(case.dice, found.len())).copied()
}

/// A new folder: what an act made of the ledger in place of the copy of the good bundle.
fn write(case: &Case<'_>, model: &Model) -> Outcome<()> {
    fs::remove_dir_all(case.folder)?;
    model.write(case.folder)
}

/// Exchanges the entries of one bundle file, all other files being left as they are.
fn in_bundle(case: &mut Case<'_>, act: impl FnOnce(&mut Vec<Entry>, usize)) -> Outcome<(usize, String)> {
    let size = case.model.own.len();
    let at = pick(case.dice, size);
    let path =
        TilePath::in_tree(TileKind::Entries, at as u64, size as u64).expect("the place is in the tree");
    let first = usize::try_from(path.first_element())?;
    let mut part = case.model.own[first..first + usize::from(path.width())].to_vec();
    act(&mut part, at - first);
    let bytes: Vec<&[u8]> = part.iter().map(Entry::bytes).collect();
    put(case.folder, &path.to_string(), &encode_bundle(&bytes).expect("entries that fit"))?;
    Ok((at, path.to_string()))
}

pub(super) fn swap(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut other = case.dice.clone();
    let mut with = 0;
    let (at, _) = in_bundle(case, |part, at| {
        with = pick(&mut other, part.len());
        part.swap(at, with);
    })?;
    let with = at - at % 256 + with;
    let names = [around(at), around(with)].concat();
    Ok((at != with).then(|| Done::found(format!("entries {at} and {with} swapped"), names)))
}

pub(super) fn drop_one(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    if case.dice.below(2) == 0 {
        let (at, file) = in_bundle(case, |part, at| drop(part.remove(at)))?;
        return Ok(Some(Done::found(format!("entry {at} dropped"), [around(at), vec![file]].concat())));
    }
    let mut model = case.model.clone();
    let at = pick(case.dice, model.own.len() - 1);
    model.own.remove(at);
    write(case, &model)?;
    Ok(Some(Done::found(format!("entry {at} dropped, tiles and checkpoint made anew"), around(at))))
}

pub(super) fn double(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    if case.dice.below(2) == 0 {
        let (at, file) = in_bundle(case, |part, at| part.insert(at, part[at].clone()))?;
        return Ok(Some(Done::found(format!("entry {at} doubled"), [around(at + 1), vec![file]].concat())));
    }
    let mut model = case.model.clone();
    let at = pick(case.dice, model.own.len());
    model.own.insert(at, model.own[at].clone());
    write(case, &model)?;
    Ok(Some(Done::found(format!("entry {at} doubled, tiles and checkpoint made anew"), around(at + 1))))
}

pub(super) fn foreign(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    let theirs: Vec<Entry> = model.peers.iter().flat_map(|peer| peer.channel.clone()).collect();
    let at = 1 + pick(case.dice, model.own.len() - 1);
    let Some(other) = theirs.get(pick(case.dice, theirs.len())) else { return Ok(None) };
    model.own[at] = other.clone();
    write(case, &model)?;
    Ok(Some(Done::found(format!("an entry of a peer stands at {at}"), around(at))))
}

pub(super) fn resign(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    let at = 1 + pick(case.dice, model.own.len() - 2);
    let what = case.dice.below(3);
    model.replace(at, |body| match what {
        0 => body.salt.0[0] ^= 1,
        1 => body.time_ms += 1,
        _ => body.boot += 1,
    });
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("entry {at} signed again, otherwise ({what}), what follows is not"),
        around(at),
    )))
}

pub(super) fn place_signed(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    let at = 1 + pick(case.dice, model.own.len() - 1);
    let before = model.own[at - 1].body().clone();
    let what = case.dice.below(4);
    model.replace(at, |body| match what {
        0 => body.time_ms = before.time_ms - 1,
        1 => body.boot = before.boot - 1,
        2 => body.epoch += 1,
        _ => body.ledger.0[5] ^= 1,
    });
    model.rewrite(at);
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("entry {at} has another time, boot, epoch or ledger ({what}), all signed again"),
        around(at),
    )))
}

/// The postings of an operation that moves value, to change them.
fn postings(op: &mut Op) -> Option<&mut Vec<Posting>> {
    match &mut op.payload {
        Payload::Transfer(transfer) => Some(&mut transfer.postings),
        Payload::End(end) => Some(&mut end.postings),
        Payload::Credit(credit) => Some(&mut credit.postings),
        Payload::Book(book) => Some(&mut book.postings),
        _ => None,
    }
}

fn moves_value(entry: &Entry) -> bool {
    postings(&mut entry.op().clone()).is_some()
}

fn is_transfer(entry: &Entry) -> bool {
    matches!(entry.op().payload, Payload::Transfer(_))
}

fn signed_as(entry: &Entry, how: How) -> bool {
    let auth = &entry.body().auth;
    !auth.is_empty() && auth.iter().all(|auth| auth.how == how && auth.role != Role::Root)
}

/// Moves one more, or one less, on all sides.
fn another_amount(op: &mut Op, more: bool) {
    let step = if more { 1 } else { -1 };
    for posting in postings(op).into_iter().flatten() {
        let delta = posting.delta + step * posting.delta.signum();
        posting.delta = if delta == 0 { 2 * posting.delta } else { delta };
    }
    if let Payload::Hold(hold) = &mut op.payload {
        hold.amount = Amount::new(hold.amount.minor() + 1).expect("a little more than before");
    }
}

/// An entry of these bytes with a signature that is not of them.
fn stale(body: &Body, sig: &SigBytes) -> Option<Entry> {
    let body = encode(body);
    let len = u16::try_from(body.len()).expect("an entry is at most 4,096 bytes").to_be_bytes();
    let head = if len[0] == 0 { vec![0x82, 0x58, len[1]] } else { vec![0x82, 0x59, len[0], len[1]] };
    Entry::parse(&[&head[..], &body, &[0x58, 0x40], sig.as_bytes()].concat()).ok()
}

pub(super) fn amount_in_tiles(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some(at) = place(case, |e| moves_value(e) || matches!(e.op().payload, Payload::Hold(_))) else {
        return Ok(None);
    };
    let mut model = case.model.clone();
    let mut op = model.own[at].op().clone();
    another_amount(&mut op, case.dice.below(2) == 0);
    let body = Body { op: Blob(op.to_bytes()), ..model.own[at].body().clone() };
    let Some(changed) = stale(&body, model.own[at].node_sig()) else { return Ok(None) };
    model.own[at] = changed;
    write(case, &model)?;
    Ok(Some(Done::found(format!("entry {at} has another amount, tiles and checkpoint fit"), around(at))))
}

/// Puts another operation at a place with the signatures given, and signs all again.
fn put_op(model: &mut Model, at: usize, op: &Op, signed: Option<SignedOp>) {
    model.replace(at, |body| {
        body.op = Blob(op.to_bytes());
        if let Some(signed) = signed {
            body.auth = signed.auth;
        }
    });
    model.rewrite(at);
}

/// The operation with the desk's signature in place of the one it had.
fn by_desk(model: &Model, at: usize, op: &Op) -> SignedOp {
    let role = model.own[at].body().auth.first().map_or(Role::Member, |auth| auth.role);
    let how = model.own[at].body().auth.first().map_or(How::Custody, |auth| auth.how);
    SignedOp::unsigned(op).signed(&model.ledger, &model.desk_key(), role, how)
}

pub(super) fn amount_resigned(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some(at) = place(case, |e| is_transfer(e) && signed_as(e, How::OwnKey)) else { return Ok(None) };
    let mut model = case.model.clone();
    let mut op = model.own[at].op().clone();
    another_amount(&mut op, case.dice.below(2) == 0);
    // The member's own signature cannot be made; sometimes the desk tries to stand in for it.
    let signed = (case.dice.below(2) == 0).then(|| {
        SignedOp::unsigned(&op).signed(&model.ledger, &model.desk_key(), Role::Member, How::Custody)
    });
    put_op(&mut model, at, &op, signed);
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("entry {at} of a member's own key has another amount, all signed again"),
        vec![entry(at)],
    )))
}

pub(super) fn one_sided(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some(at) = place(case, moves_value) else { return Ok(None) };
    let mut model = case.model.clone();
    let mut op = model.own[at].op().clone();
    if let Some(posting) = postings(&mut op).and_then(|postings| postings.last_mut()) {
        posting.delta += if posting.delta > 0 { 1 } else { -1 };
    }
    let custody = signed_as(&model.own[at], How::Custody);
    let signed = custody.then(|| by_desk(&model, at, &op));
    put_op(&mut model, at, &op, signed);
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("one side of entry {at} has another amount, all signed again"),
        vec![entry(at)],
    )))
}

pub(super) fn without_authority(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some(at) = place(case, |e| !e.body().auth.is_empty() && e.body().seq > 0) else { return Ok(None) };
    let mut model = case.model.clone();
    model.replace(at, |body| body.auth.clear());
    model.rewrite(at);
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("entry {at} without the signatures of people, all signed again"),
        vec![entry(at)],
    )))
}

/// Of what both root sets sign, the signatures of ours dropped or put under another name.
pub(super) fn without_root(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let signed = |entry: &Entry| match &entry.op().payload {
        Payload::Step(step) => {
            matches!(step.args, StepArgs::Accord(_) | StepArgs::Reset(_) | StepArgs::Dispute(_))
        }
        _ => false,
    };
    let Some(at) = place(case, signed) else { return Ok(None) };
    let mut model = case.model.clone();
    let mut op = model.own[at].op().clone();
    let Payload::Step(step) = &mut op.payload else { return Ok(None) };
    let us = model.ledger;
    let sigs = match &mut step.args {
        StepArgs::Accord(args) if Accord::parse(&args.accord.0)?.a == us => &mut args.sigs_a,
        StepArgs::Accord(args) => &mut args.sigs_b,
        StepArgs::Reset(args) if Reset::parse(&args.reset.0)?.a == us => &mut args.sigs_a,
        StepArgs::Reset(args) => &mut args.sigs_b,
        StepArgs::Dispute(args) if Dispute::parse(&args.dispute.0)?.debtor == us => &mut args.sigs_debtor,
        StepArgs::Dispute(args) => &mut args.sigs_creditor,
        _ => return Ok(None),
    };
    match (case.dice.below(3), sigs.first_mut()) {
        (0, Some(first)) => first.signer.0[0] ^= 1,
        (1, Some(first)) => first.sig.0[0] ^= 1,
        _ => sigs.clear(),
    }
    put_op(&mut model, at, &op, None);
    write(case, &model)?;
    Ok(Some(Done::found(
        format!("entry {at} without our root set's signatures inside it, all signed again"),
        vec![entry(at)],
    )))
}

pub(super) fn rule(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let Some(at) = place(case, |e| matches!(e.op().payload, Payload::RuleSet(_))) else { return Ok(None) };
    let mut model = case.model.clone();
    let mut op = model.own[at].op().clone();
    if let Payload::RuleSet(set) = &mut op.payload {
        let Rule::Limit(limit) = &mut set.rule;
        limit.above = Some(Levels { warn: None, stop: None, firm: Some(1_000_000 + case.dice.below(1_000)) });
    }
    put_op(&mut model, at, &op, None);
    write(case, &model)?;
    Ok(Some(Done::found(format!("the rule of entry {at} is another, all signed again"), vec![entry(at)])))
}

/// An operation of the node's own invention, with an id of its own.
fn invented(model: &Model, dice: &mut Dice, payload: Payload) -> Op {
    let last = model.own.last().expect("a genesis").body().time_ms;
    let id = [dice.roll().to_be_bytes(), dice.roll().to_be_bytes()].concat();
    let op_id = OpId(id.try_into().expect("16 bytes"));
    Op { op_id, not_after_ms: last, payload, sidecars: Vec::new() }
}

/// Signs what only the root set may sign, with what the node has.
fn pretend_root(model: &Model, dice: &mut Dice, op: &Op) -> SignedOp {
    let unsigned = SignedOp::unsigned(op);
    match dice.below(3) {
        0 => unsigned.signed(&model.ledger, &model.log_key(), Role::Root, How::OwnKey),
        1 => unsigned.signed(&model.ledger, &model.desk_key(), Role::Coordinator, How::Custody),
        _ => unsigned.signed(&model.ledger, &model.desk_key(), Role::Operator, How::Paper),
    }
}

pub(super) fn new_rule(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    let Some(unit) = model.own.iter().find_map(|e| match &e.op().payload {
        Payload::UnitDefined(defined) => Some(defined.unit),
        _ => None,
    }) else {
        return Ok(None);
    };
    let levels = Levels { warn: None, stop: None, firm: Some(1 << 40) };
    let owner = Some(OwnerKind::Member);
    let limit = LimitRule { unit, account: None, owner, below: Some(levels), above: None };
    let rule = RuleSet { authority: model.own[0].leaf(), rule: Rule::Limit(limit) };
    let op = invented(&model, case.dice, Payload::RuleSet(rule));
    let signed = pretend_root(&model, case.dice, &op);
    model.append(signed);
    write(case, &model)?;
    let at = model.own.len() - 1;
    Ok(Some(Done::found(format!("entry {at} sets a rule without authority"), vec![entry(at)])))
}

pub(super) fn bind_key(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let mut model = case.model.clone();
    let key = SecretKey::from_seed(&[case.dice.roll().to_le_bytes()[0]; 32]).public().bytes();
    let purpose = if case.dice.below(2) == 0 { Purpose::Desk } else { Purpose::Witness };
    let op = invented(&model, case.dice, Payload::KeyBound(KeyBound { purpose, epoch: 1, key }));
    let signed = pretend_root(&model, case.dice, &op);
    model.append(signed);
    write(case, &model)?;
    let at = model.own.len() - 1;
    Ok(Some(Done::found(format!("entry {at} binds a key without authority"), vec![entry(at)])))
}

pub(super) fn decide_twice(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let us = case.model.ledger;
    let decided = |entry: &Entry| match &entry.op().payload {
        Payload::Step(Step { args: StepArgs::Accept(args), .. }) => args.decision.body.decider == us,
        _ => false,
    };
    let Some(first) = place(case, decided) else { return Ok(None) };
    let mut model = case.model.clone();
    let Payload::Step(step) = model.own[first].op().payload.clone() else { return Ok(None) };
    let StepArgs::Accept(args) = step.args else { return Ok(None) };
    let body = DecisionBody { outcome: Word::Reject, code: 4, ..args.decision.body };
    let decision = Decision::sign(body, &model.log_key());
    let last = model.own.iter().rev().find_map(|entry| match &entry.op().payload {
        Payload::Step(other) if other.channel == step.channel => Some(other.ack),
        _ => None,
    });
    let reject = Step {
        ack: last.unwrap_or(step.ack),
        args: StepArgs::Reject(RejectArgs { code: 4, decision: Some(decision) }),
        ..step
    };
    let op = invented(&model, case.dice, Payload::Step(reject));
    model.append(SignedOp::unsigned(&op));
    write(case, &model)?;
    let at = model.own.len() - 1;
    Ok(Some(Done::found(format!("entry {at} rejects what entry {first} accepted"), vec![entry(at)])))
}

pub(super) fn book_twice(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let again = |e: &Entry| {
        matches!(
            e.op().payload,
            Payload::End(_) | Payload::Credit(_) | Payload::Book(_) | Payload::Release(_)
        )
    };
    let Some(first) = place(case, again) else { return Ok(None) };
    let mut model = case.model.clone();
    let op = invented(&model, case.dice, model.own[first].op().payload.clone());
    model.append(SignedOp::unsigned(&op));
    write(case, &model)?;
    let at = model.own.len() - 1;
    Ok(Some(Done::found(format!("entry {at} books again what entry {first} booked"), vec![entry(at)])))
}

/// Another amount in a payment through the desk, or where there is none another salt; everything from there on signed again.
/// Nothing inside the ledger shows it.
fn rewritten(case: &mut Case<'_>) -> (Model, usize) {
    let mut model = case.model.clone();
    let Some(at) = place(case, |e| is_transfer(e) && signed_as(e, How::Custody)) else {
        let at = 1 + pick(case.dice, model.own.len() - 1);
        model.replace(at, |body| body.salt.0[0] ^= 1);
        model.rewrite(at);
        return (model, at);
    };
    let mut op = model.own[at].op().clone();
    another_amount(&mut op, case.dice.below(2) == 0);
    let signed = by_desk(&model, at, &op);
    put_op(&mut model, at, &op, Some(signed));
    (model, at)
}

pub(super) fn rewrite(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (mut model, at) = rewritten(case);
    let pinned = case.model.pinned_to().is_some_and(|to| to >= at);
    let mut done = Done::found(format!("entry {at} is another, history signed again"), Vec::new());
    // Whoever has no peer's folder has an earlier checkpoint, and the other way round.
    if !pinned || case.dice.below(2) == 0 {
        if case.dice.below(2) == 0 {
            model.peers.clear();
        }
        done.earlier = Some(at + 1 + pick(case.dice, model.own.len() - at));
    }
    write(case, &model)?;
    Ok(Some(done))
}

pub(super) fn rewrite_unseen(case: &mut Case<'_>) -> Outcome<Option<Done>> {
    let (mut model, at) = rewritten(case);
    model.peers.clear();
    write(case, &model)?;
    let mut done =
        Done::found(format!("entry {at} is another, history signed again, nobody kept anything"), Vec::new());
    done.must = Must::WarnOfIt;
    Ok(Some(done))
}
