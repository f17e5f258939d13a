//! Three networks that owe each other in a circle: a netting round that is applied, one that is refused, one that is applied
//! by its second attempt, one that is open at the end.

use super::refused::Next;
use super::{HOUR, World, ledger_case};
use crate::vectors::kit::key;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::apply::{SHOW_AFTER_MS, Will, Wish};
use weft_protocol::clearing::offer::{ApplyArgs, DropArgs, OfferArgs};
use weft_protocol::clearing::step::{Ack, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Payload;
use weft_protocol::ids::{ClaimId, Hash, LedgerId, PUBLIC_STREAM, SigBytes, StreamId};
use weft_protocol::ledger::netting::postings_of;
use weft_protocol::ledger::settled::{SettleAct, Settled};
use weft_protocol::ledger::units::UnitKind;
use weft_protocol::netting::round::attempt::solve;
use weft_protocol::netting::round::view::Outcome;
use weft_protocol::netting::round::{
    Announced, Committed, Line, Listed, MAX_PAGE_BYTES, MAX_ROUND_MS, Netted, RefusalReason, ResultPage,
    RoundUnit, Voted, Yes, sign_vote,
};

/// Each part of a round.
const PART_MS: u64 = 3_600_000;
/// What each owes the next.
const CIRCLE: [i64; 3] = [50, 45, 60];

fn amount(minor: i64) -> Amount {
    Amount::new(minor).expect("an amount")
}

fn one() -> Amount {
    amount(1)
}

pub(in crate::vectors) fn vectors() -> Value {
    let mut world = World { ring: true, ..World::new() }.found();
    world.deliver();
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        world.peer(a, b);
    }
    for (debtor, amount) in CIRCLE.into_iter().enumerate() {
        world.pay(&[debtor, (debtor + 1) % 3], amount, "bob");
    }
    want(&mut world, None);
    let applied = announce(&mut world, 0);
    applied_late(&mut world, applied);
    world.pay(&[1, 2], 30, "bob");
    let refused = announce(&mut world, 1);
    want(&mut world, Some(refused));
    for _ in 0..4 {
        world.now_ms += PART_MS;
        look(&mut world);
    }
    let again = announce_with(&mut world, 0, 4);
    applied_by_the_second_attempt(&mut world, again);
    world.pay(&[0, 1], 30, "bob");
    let open = announce(&mut world, 0);
    world.now_ms += PART_MS;
    look(&mut world);
    let wrong = wrong(&world, [applied, refused, again, open]);
    let ledgers: Vec<Value> = world.networks.iter().map(ledger_case).collect();
    json!({
        "about": "specs/netting.md §7 to §10: hull, madison and lansing. An invalid entry is one that hull would refuse at its end, \
                  where one round is open: all have listed, nobody has accepted",
        "rounds": { "applied": applied.to_string(), "refused": refused.to_string(), "again": again.to_string(),
                    "open": open.to_string() },
        "ledgers": ledgers,
        "invalid": wrong,
    })
}

/// All take part and accept; lansing refuses one round.
fn want(world: &mut World, refuses: Option<Hash>) {
    let auto = Will { joins: true, accepts: true, of_round: BTreeMap::new() };
    for (i, network) in world.networks.iter_mut().enumerate() {
        let no = Wish { joins: None, accepts: Some(false), drops: false };
        let of_round = refuses.filter(|_| i == 2).map(|round| (round, no)).into_iter().collect();
        network.engine.want(Will { of_round, ..auto.clone() });
    }
}

fn announce(world: &mut World, by: usize) -> Hash {
    announce_with(world, by, 1)
}

/// Results may be accepted for so many parts.
fn announce_with(world: &mut World, by: usize, votes: u64) -> Hash {
    let start_ms = world.tick();
    let announced = Announced {
        unit: RoundUnit { kind: UnitKind::Time, scale: 0, code: "hour".into() },
        offers_until_ms: start_ms + PART_MS,
        lists_until_ms: start_ms + 2 * PART_MS,
        votes_until_ms: start_ms + (2 + votes) * PART_MS,
    };
    let id = world.networks[by].with(start_ms, |engine, cx| engine.announce(announced, cx));
    look(world);
    id.expect("a round that keeps the rules")
}

/// Everybody looks, and all is said to all, until nothing more comes of it.
fn look(world: &mut World) {
    for _ in 0..6 {
        for i in 0..3 {
            look_at(world, i);
            world.deliver();
        }
    }
}

fn look_at(world: &mut World, i: usize) {
    let now_ms = world.tick();
    world.networks[i].with(now_ms, |engine, cx| engine.tick(cx));
}

/// Only what is public comes over.
fn deliver_public(world: &mut World) {
    for from in 0..world.networks.len() {
        let sent = std::mem::take(&mut world.networks[from].sent);
        let (public, rest) = sent.into_iter().partition(|(stream, _)| *stream == PUBLIC_STREAM);
        world.networks[from].sent = rest;
        let public: Vec<(StreamId, Vec<u8>)> = public;
        for (stream, bytes) in public {
            world.hand_over(from, stream, &bytes);
        }
    }
}

/// A round in which hull, whose APPLY has no answer for a while, shows that all have accepted.
fn applied_late(world: &mut World, round: Hash) {
    world.now_ms += PART_MS;
    look(world);
    world.now_ms += PART_MS;
    for i in 0..3 {
        look_at(world, i);
        deliver_public(world);
    }
    look_at(world, 0);
    world.now_ms += SHOW_AFTER_MS;
    look_at(world, 0);
    world.deliver();
    look(world);
    for network in &world.networks {
        let vote = &network.state.rounds[&round].votes[0];
        assert_eq!(network.engine.outcome(&round, vote), Some(Outcome::Committed));
        assert!(vote.lines.iter().all(|line| line.booked));
    }
}

/// A round whose first attempt lansing refuses. Then its people change their minds, hull counts all lists once more, and who
/// accepts names the refusal that has ended the yes before.
fn applied_by_the_second_attempt(world: &mut World, round: Hash) {
    want(world, Some(round));
    for _ in 0..2 {
        world.now_ms += PART_MS;
        look(world);
    }
    want(world, None);
    let hull = &world.networks[0];
    let lists = hull.engine.peers().rounds().get(&round).expect("the round").lists.clone();
    let lists = lists.iter().map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
    let attempt = solve(&round, 1, &lists).expect("few debts").expect("a circle").to_bytes();
    let now_ms = world.tick();
    world.networks[0]
        .with(now_ms, |engine, cx| engine.publish(&round, 1, &attempt, cx))
        .expect("a second attempt");
    look(world);
    for network in &world.networks[..2] {
        let votes = &network.state.rounds[&round].votes;
        assert!(votes.len() == 2 && votes.iter().all(|vote| vote.accepts));
        assert!(votes[0].aborted.is_some() && votes[1].lines.iter().all(|line| line.booked));
    }
}

/// What hull could not write at its end.
fn wrong(world: &World, [applied, refused, again, open]: [Hash; 4]) -> Vec<Value> {
    let madison = world.networks[1].ledger();
    let next = Next::after(&world.networks[0], madison);
    [
        announced(&next),
        listed(&next, applied, open),
        computed(&next, open),
        voted(&next, world.networks[0].seed, [applied, refused, again, open]),
        offered(&next, open),
        netted(&next, madison, applied, open),
    ]
    .concat()
}

/// An entry of the public stream.
fn public(next: &Next, about: &str, payload: Payload) -> Value {
    let mut next = next.clone();
    next.channel = PUBLIC_STREAM;
    next.refused(about, payload, true)
}

fn announced(next: &Next) -> Vec<Value> {
    let now_ms = next.state.head.time_ms;
    let unit = RoundUnit::of(&next.state.units[&HOUR]);
    let [offers_until_ms, lists_until_ms, votes_until_ms] = [now_ms + 1, now_ms + 2, now_ms + 3];
    let right = Announced { unit: unit.clone(), offers_until_ms, lists_until_ms, votes_until_ms };
    let say = |about: &str, announced| public(next, about, Payload::Announced(announced));
    vec![
        say("a round without time for lists", Announced { lists_until_ms: now_ms + 1, ..right.clone() }),
        say("a round whose offers are over", Announced { offers_until_ms: now_ms, ..right.clone() }),
        say(
            "a round of more than 7 days",
            Announced { votes_until_ms: now_ms + MAX_ROUND_MS + 1, ..right.clone() },
        ),
        say(
            "a round in no unit of its own",
            Announced { unit: RoundUnit { scale: 2, ..unit }, ..right.clone() },
        ),
        next.refused("a round announced outside the public stream", Payload::Announced(right), false),
    ]
}

/// What is held in a round, as it is listed.
fn held(next: &Next, round: Hash) -> Vec<Line> {
    let of_round = next.state.held.iter().filter(|((of, _), row)| *of == round && !row.ended);
    let lines: Vec<Line> = of_round
        .map(|((_, peer), row)| Line { peer: *peer, we_owe: row.we_owe, amount: row.amount })
        .collect();
    assert_eq!(lines.len(), 2, "hull holds two debts");
    lines
}

fn listed(next: &Next, applied: Hash, open: Hash) -> Vec<Value> {
    let lines = held(next, open);
    let list = |about: &str, round, lines| {
        public(next, about, Payload::Listed(Listed { round, votes_until_ms: u64::MAX, lines }))
    };
    vec![
        list("a list for a round in which nothing is held", Hash([3; 32]), lines.clone()),
        list("a second list", open, lines.clone()),
        list("a second list of a round that is over", applied, lines),
    ]
}

fn computed(next: &Next, round: Hash) -> Vec<Value> {
    let right = ResultPage { round, attempt: 0, page: 0, pages: 1, bytes: Blob(vec![7]) };
    let page = |about: &str, page| public(next, about, Payload::ResultPage(page));
    let yes = |first: u8| Yes { ledger: LedgerId([first; 32]), epoch: 0, sig: SigBytes([0; 64]) };
    let commit = |about: &str, yes| {
        public(next, about, Payload::Committed(Committed { round, result: Hash([4; 32]), yes }))
    };
    vec![
        page("a page after the last", ResultPage { page: 1, ..right.clone() }),
        page("a page of nothing", ResultPage { bytes: Blob(Vec::new()), ..right.clone() }),
        page(
            "a page that is too long",
            ResultPage { bytes: Blob(vec![7; MAX_PAGE_BYTES + 1]), ..right.clone() },
        ),
        page("more pages than an attempt has", ResultPage { pages: 87, ..right.clone() }),
        page("a ninth attempt", ResultPage { attempt: 8, ..right }),
        commit("a commit by nobody", Vec::new()),
        commit("a commit whose words are not in order", vec![yes(2), yes(1)]),
        commit("a commit with one word twice", vec![yes(1), yes(1)]),
    ]
}

fn voted(next: &Next, seed: u8, [applied, refused, again, open]: [Hash; 4]) -> Vec<Value> {
    let ledger = next.state.ledger().expect("there is a genesis");
    let lines = held(next, open);
    let right = Voted {
        round: open,
        attempt: 0,
        result: Hash([4; 32]),
        accepts: true,
        reason: None,
        epoch: 0,
        sig: SigBytes([0; 64]),
        lines: lines.iter().map(|line| Line { amount: one(), ..*line }).collect(),
        aborted: None,
    };
    let no =
        Voted { accepts: false, reason: Some(RefusalReason::Person), lines: Vec::new(), ..right.clone() };
    let say = |about: &str, voted: Voted| {
        let sig = sign_vote(&key(seed + 1), (&voted.round, &voted.result, voted.accepts), &ledger);
        public(next, about, Payload::Voted(Voted { sig, ..voted }))
    };
    let more = |line: &Line| Line { amount: amount(line.amount.minor() + 1), ..*line };
    let more: Vec<Line> = lines.iter().map(more).collect();
    let before = |round: &Hash| next.state.rounds[round].votes[0].result;
    vec![
        say("a word on a round in which nothing is listed", Voted { round: Hash([3; 32]), ..right.clone() }),
        say("a second word on a result", Voted { round: refused, result: before(&refused), ..no.clone() }),
        say("a second word on an attempt", Voted { round: refused, ..no.clone() }),
        say("a word on a ninth attempt", Voted { attempt: 8, ..right.clone() }),
        say("a yes with a reason", Voted { reason: Some(RefusalReason::Late), ..right.clone() }),
        say("a no without a reason", Voted { reason: None, ..no.clone() }),
        say("a no that takes something", Voted { lines: right.lines.clone(), ..no.clone() }),
        say(
            "a later yes that does not name the refusal which has ended the one before",
            Voted { round: again, attempt: 2, ..right.clone() },
        ),
        say("a no that names a refusal", Voted { aborted: Some(Hash([5; 32])), ..no }),
        say(
            "lines that are not in order",
            Voted { lines: right.lines.iter().rev().copied().collect(), ..right.clone() },
        ),
        say("a yes when the time is over", Voted { round: applied, attempt: 1, ..right.clone() }),
        say("more than is held", Voted { lines: more, ..right.clone() }),
        say(
            "a debt the other way",
            Voted {
                lines: right.lines.iter().map(|line| Line { we_owe: !line.we_owe, ..*line }).collect(),
                ..right.clone()
            },
        ),
        say("of one debt alone", Voted { lines: right.lines[..1].to_vec(), ..right.clone() }),
        public(next, "a word that is not signed", Payload::Voted(right)),
    ]
}

fn step(next: &Next, about: &str, claim: Option<ClaimId>, reference: Option<Hash>, args: StepArgs) -> Value {
    let ack = Ack { next: next.acked(), head: Hash::ZERO };
    let step = Step { channel: next.channel, ack, claim, reference, args, part: 0 };
    next.refused(about, Payload::Step(step), true)
}

/// hull, which is A on its channel with madison, owes madison.
fn offered(next: &Next, open: Hash) -> Vec<Value> {
    let round = Hash([3; 32]);
    let asked = Some(Hash([6; 32]));
    let right = OfferArgs { round, pair: 0, amount: one(), a_owes: true };
    let offer = |about: &str, reference, args| step(next, about, None, reference, StepArgs::Offer(args));
    let far = amount(51);
    let channel = next.channel;
    let settled = Settled {
        act: SettleAct::Propose,
        channel,
        pair: 0,
        amount: one(),
        we_owed: true,
        settlement: None,
        answer: None,
        postings: None,
    };
    vec![
        offer("an offer of what hull owes, by hull", None, right),
        offer("an answer to an offer of what hull is owed", asked, OfferArgs { a_owes: false, ..right }),
        offer("an offer in a round that is listed", asked, OfferArgs { round: open, ..right }),
        offer("more than is owed", asked, OfferArgs { amount: far, ..right }),
        offer("all of what another round holds already", asked, right),
        offer("in a pair that the accord has not", asked, OfferArgs { pair: 1, ..right }),
        step(next, "an offer about a claim", Some(ClaimId([1; 32])), asked, StepArgs::Offer(right)),
        step(next, "letting go of what is not held", None, None, StepArgs::DropHold(DropArgs { round })),
        step(next, "letting go as an answer", None, asked, StepArgs::DropHold(DropArgs { round: open })),
        next.refused_op(
            "a settlement of what a round holds",
            Payload::Settled(settled),
            vec![Hash([0x5e; 32])],
        ),
    ]
}

fn netted(next: &Next, madison: LedgerId, applied: Hash, open: Hash) -> Vec<Value> {
    let vote = &next.state.rounds[&applied].votes[0];
    let line = vote.lines.iter().find(|line| line.line.peer == madison).expect("hull owed madison").line;
    let args =
        ApplyArgs { round: applied, result: vote.result, pair: 0, amount: line.amount, a_owed: line.we_owe };
    let apply = |about: &str, reference, args| step(next, about, None, reference, StepArgs::Apply(args));
    let postings = postings_of(&next.state, &applied, &line).expect("hull held it");
    let book = Netted { round: applied, result: vote.result, line, postings };
    let other = Hash([4; 32]);
    vec![
        apply("applied a second time", None, args),
        apply("applied by the creditor's answer, at the debtor", Some(other), args),
        apply("applied, and not accepted", None, ApplyArgs { round: open, result: other, ..args }),
        apply("applied in another pair", None, ApplyArgs { pair: 1, ..args }),
        next.refused("booked a second time", Payload::Netted(book.clone()), false),
        next.refused("booked, and not accepted", Payload::Netted(Netted { result: other, ..book }), false),
    ]
}
