//! Accords, intents and steps that are refused.

use super::*;
use weft_protocol::clearing::intent::{Decision, DecisionBody, Hop, Intent, Outcome, Part, SignedIntent};
use weft_protocol::clearing::step::{AcceptArgs, Ack, ProposeArgs, RejectArgs, Step};
use weft_protocol::entry::{Kind, StreamHeader};
use weft_protocol::ids::PUBLIC_STREAM;
use weft_protocol::ledger::apply;

pub(super) fn intents(good: &Intent) -> Vec<Value> {
    let changed = |change: fn(&mut Intent)| {
        let mut intent = good.clone();
        change(&mut intent);
        intent
    };
    let cases = [
        ("another format version", changed(|i| i.v = 2)),
        ("within one network", changed(|i| i.payee = i.payer)),
        ("no parts", changed(|i| i.parts.clear())),
        ("nine parts", changed(|i| i.parts = vec![i.parts[0].clone(); 9])),
        ("no hops", changed(|i| i.parts[0].hops.clear())),
        ("a network too many on the route", changed(|i| i.parts[0].route.push(LedgerId([1; 32])))),
        ("a route that begins elsewhere", changed(|i| i.parts[0].route[0] = LedgerId([1; 32]))),
        ("a route that ends elsewhere", changed(|i| i.parts[0].route[1] = LedgerId([1; 32]))),
        (
            "a network twice",
            changed(|i| {
                let (route, hop) = (i.parts[0].route.clone(), i.parts[0].hops[0]);
                i.parts[0] = Part { route: [route.clone(), route].concat(), hops: vec![hop; 3] };
            }),
        ),
        (
            "hops that do not join",
            changed(|i| {
                let (first, last, hop) = (i.parts[0].route[0], i.parts[0].route[1], i.parts[0].hops[0]);
                let less = Hop { src: Amount::new(1).expect("an amount"), ..hop };
                i.parts[0] = Part { route: vec![first, LedgerId([1; 32]), last], hops: vec![hop, less] };
            }),
        ),
    ];
    let case = |(about, intent): (&str, Intent)| {
        let bytes = encode(&intent);
        let refused = Intent::parse(&bytes).expect_err(about);
        json!({ "about": about, "hex": hex(bytes), "why": refused.code() })
    };
    cases.into_iter().map(case).collect()
}

/// What a network could write next, as its state stands.
#[derive(Clone)]
pub(in crate::vectors) struct Next {
    name: &'static str,
    seed: u8,
    pub(in crate::vectors) state: State,
    pub(in crate::vectors) channel: StreamId,
}

impl Next {
    pub(in crate::vectors) fn after(network: &Network, peer: LedgerId) -> Self {
        let state = network.engine.state().clone();
        let (channel, _) = state.channel_with(&peer).expect("there is a channel");
        Self { name: network.name, seed: network.seed, state, channel }
    }

    fn body(&self, signed: &SignedOp, in_stream: bool) -> Body {
        let row = self.state.stream(&self.channel);
        let header = StreamHeader { id: self.channel, sseq: row.next, sprev: row.head };
        Body {
            v: 1,
            ledger: self.state.ledger().expect("there is a genesis"),
            seq: self.state.head.next_seq,
            prev: self.state.head.leaf,
            time_ms: self.state.head.time_ms,
            epoch: 0,
            kind: signed.kind,
            op: signed.op.clone(),
            auth: signed.auth.clone(),
            salt: Salt([7; 16]),
            stream: in_stream.then_some(header),
            boot: self.state.head.boot,
        }
    }

    fn entry(&self, payload: Payload, in_stream: bool) -> Entry {
        let op = Op { op_id: op_id(9_999), not_after_ms: self.state.head.time_ms, payload, sidecars: vec![] };
        let body = self.body(&SignedOp::unsigned(&op), in_stream);
        Entry::sign(&body, &key(self.seed + 1)).expect("a well-formed entry")
    }

    /// An operation that the root set of the network signs is refused.
    pub(in crate::vectors) fn refused_op(&self, about: &str, payload: Payload, sidecars: Vec<Hash>) -> Value {
        let not_after_ms = self.state.head.time_ms + LIFE_MS;
        let op = Op { op_id: op_id(9_997), not_after_ms, payload, sidecars };
        let ledger = self.state.ledger().expect("there is a genesis");
        let signed = SignedOp::unsigned(&op).signed(&ledger, &key(self.seed), Role::Root, How::OwnKey);
        let public = Kind::from_code(signed.kind).is_some_and(is_public);
        let mut at = self.clone();
        at.channel = if public { PUBLIC_STREAM } else { at.channel };
        let entry = Entry::sign(&at.body(&signed, public), &key(self.seed + 1)).expect("a well-formed entry");
        let (code, _) = refusal(&self.state, entry.bytes()).unwrap_or_else(|| panic!("accepted: {about}"));
        json!({ "about": about, "of": self.name, "hex": hex(entry.bytes()), "class": class_of(&code), "why": code })
    }

    pub(in crate::vectors) fn refused(&self, about: &str, payload: Payload, in_stream: bool) -> Value {
        let entry = self.entry(payload, in_stream);
        let (code, _) = refusal(&self.state, entry.bytes()).unwrap_or_else(|| panic!("accepted: {about}"));
        json!({ "about": about, "of": self.name, "hex": hex(entry.bytes()), "class": class_of(&code), "why": code })
    }

    pub(in crate::vectors) fn acked(&self) -> u64 {
        self.state.channels[&self.channel].acked
    }
}

/// Steps that hull and madison could not write at their ends.
pub(super) fn steps_at_the_end(world: &World) -> Vec<Value> {
    let (hull, madison) = (&world.networks[0], &world.networks[1]);
    let next = Next::after(hull, madison.ledger());
    let found =
        |t: u8| steps(hull).find(|(_, step)| step.type_code() == t).expect("hull has written this step").1;
    let again = |t: u8| Step { ack: Ack { next: next.acked(), head: Hash::ZERO }, ..found(t) };
    let step = |about: &str, step: Step| next.refused(about, Payload::Step(step), true);
    let other = ClaimId([1; 32]);
    let end = {
        let is_end = |case: &&Value| case["body"]["6"] == json!(0x0504);
        let case = hull.cases.iter().find(is_end).expect("hull has ended a hop");
        let entry = Entry::parse(&unhex(case["hex"].as_str().expect("hex"))).expect("an entry of hull");
        let Payload::End(end) = entry.op().payload.clone() else { panic!("not an end") };
        end
    };
    let second = |change: fn(&mut Accord)| {
        let StepArgs::Accord(args) = found(0).args else { panic!("not an accord") };
        let before = Accord::parse(&args.accord.0).expect("the accord in force");
        let mut accord = Accord { version: 2, previous: Some(before.id()), ..before };
        change(&mut accord);
        let args = AccordArgs { accord: Blob(accord.to_bytes()), ..args };
        Step { args: StepArgs::Accord(args), ..again(0) }
    };
    let mut unknown_end = end.clone();
    unknown_end.claim = other;
    let mut out = vec![
        next.refused("a step outside its stream", Payload::Step(again(1)), false),
        step("an accord again", again(0)),
        step(
            "a second accord with another unit in the place of a pair",
            second(|a| a.pairs[0].unit_b = UnitId(7)),
        ),
        step(
            "a second accord that keeps a pair's position elsewhere",
            second(|a| a.pairs[0].position = Side::B),
        ),
        step("a second accord that skips a version", second(|a| a.version = 3)),
        step("a proposal again", again(1)),
        step("a hop done again", again(4)),
        step("a hop freed again", again(5)),
        step("a claim decided again", again(2)),
        step("an ack that goes back", found(5)),
        step("a claim that is not the hash of its intent", Step { claim: Some(other), ..again(1) }),
        step("a claim nobody knows", Step { claim: Some(other), ..again(5) }),
        step("a step without its reference", Step { reference: None, ..again(5) }),
        step("another part", Step { part: 1, ..again(5) }),
        next.refused("a hop ended again", Payload::End(end), false),
        next.refused("an end of a claim nobody knows", Payload::End(unknown_end), false),
    ];
    out.extend(middle(world));
    out
}

/// Madison stands between hull and lansing, and is bound to lansing.
fn middle(world: &World) -> Vec<Value> {
    let madison = &world.networks[1];
    let next = Next::after(madison, world.networks[0].ledger());
    let onward = |step: &Step| {
        matches!(&step.args, StepArgs::Propose(args) if args.hop == 1) && step.channel != next.channel
    };
    let (_, proposed) = steps(madison).find(|(_, step)| onward(step)).expect("madison has proposed onward");
    let ack = Ack { next: next.acked(), head: Hash::ZERO };
    let reject = StepArgs::Reject(RejectArgs { code: 10, decision: None });
    let towards_hull = Step { channel: next.channel, ack, args: reject, ..proposed.clone() };
    let give_back = Step { args: StepArgs::Return, ..towards_hull.clone() };
    vec![
        next.refused("a no on what it is bound to further on", Payload::Step(towards_hull), true),
        next.refused("a return of what went onward", Payload::Step(give_back), true),
    ]
}

/// An open hold of hull's, written as its next entry, and proposals that it does not allow.
pub(super) fn proposals(world: &World) -> (Value, Vec<Value>) {
    let (hull, madison) = (&world.networks[0], world.networks[1].ledger());
    let mut next = Next::after(hull, madison);
    let payload = Payload::Hold(Hold {
        account: PAYER,
        unit: HOUR,
        amount: Amount::new(50).expect("an amount"),
        payee_network: madison,
        when_day: None,
    });
    let not_after_ms = next.state.head.time_ms + LIFE_MS;
    let op = Op { op_id: op_id(9_998), not_after_ms, payload, sidecars: vec![commitment("bob")] };
    let signed =
        SignedOp::unsigned(&op).signed(&hull.ledger(), &key(hull.seed + 6), Role::Member, How::OwnKey);
    let entry = Entry::sign(&next.body(&signed, false), &key(hull.seed + 1)).expect("a well-formed entry");
    next.state.commit(&apply(&next.state, &entry).expect("a hold that keeps the rules"));
    let mut then = entry_case(&entry, &next.state);
    then["of"] = json!("hull");
    let cases = proposal_cases(&next, world, entry.leaf());
    (then, cases)
}

fn proposal_cases(next: &Next, world: &World, hold: Hash) -> Vec<Value> {
    let [hull, madison, lansing] = [0, 1, 2].map(|i| world.networks[i].ledger());
    let now_ms = next.state.head.time_ms;
    let log = key(next.seed + 1);
    let amount = |minor| Amount::new(minor).expect("an amount");
    let intent = Intent {
        v: 1,
        payer: hull,
        epoch: 0,
        payee: madison,
        sidecar: commitment("bob"),
        parts: vec![Part {
            route: vec![hull, madison],
            hops: vec![Hop { pair: 0, src: amount(50), dst: amount(50), accord_version: 1 }],
        }],
        expires_ms: now_ms + LIFE_MS,
        nonce: Hash([9; 32]),
    };
    let step = |signed: SignedIntent, hop: u8, reference: Hash| Step {
        channel: next.channel,
        ack: Ack { next: next.acked(), head: Hash::ZERO },
        claim: Some(signed.claim()),
        reference: Some(reference),
        args: StepArgs::Propose(ProposeArgs { intent: signed, hop }),
        part: 0,
    };
    let good = step(SignedIntent::sign(&intent, &log), 0, hold);
    assert!(
        refusal(&next.state, next.entry(Payload::Step(good), true).bytes()).is_none(),
        "the proposal unchanged"
    );
    let case = |about: &str, change: &dyn Fn(&mut Intent)| {
        let mut intent = intent.clone();
        change(&mut intent);
        next.refused(about, Payload::Step(step(SignedIntent::sign(&intent, &log), 0, hold)), true)
    };
    let both = |minor: i64| {
        move |i: &mut Intent| {
            (i.parts[0].hops[0].src, i.parts[0].hops[0].dst) = (amount(minor), amount(minor))
        }
    };
    let forged = SignedIntent::sign(&intent, &key(99));
    let word = |outcome, claim| {
        let body = DecisionBody { v: 1, decider: hull, epoch: 0, claim, outcome, code: 0 };
        Decision::sign(body, &log)
    };
    let expired = Intent {
        payer: madison,
        payee: hull,
        parts: vec![Part { route: vec![madison, hull], ..intent.parts[0].clone() }],
        expires_ms: now_ms - 1,
        ..intent.clone()
    };
    let signed_expired = SignedIntent::sign(&expired, &key(world.networks[1].seed + 1));
    let accept = |outcome| {
        let decision = word(outcome, signed_expired.claim());
        let args = AcceptArgs { decision, intent: Some(signed_expired.intent.clone()) };
        Step { args: StepArgs::Accept(args), ..step(signed_expired.clone(), 0, hold) }
    };
    vec![
        case("a claim that has expired", &|i| i.expires_ms = now_ms),
        case("a claim that expires in 8 days", &|i| i.expires_ms = now_ms + 8 * 86_400_000),
        case("beyond the room", &both(1_000)),
        case("another amount than is held", &both(49)),
        case("amounts that the rate does not give", &|i| i.parts[0].hops[0].dst = amount(49)),
        case("another version of the accord", &|i| i.parts[0].hops[0].accord_version = 2),
        case("a pair that the accord has not", &|i| i.parts[0].hops[0].pair = 1),
        case("another payee's network than is held for", &|i| {
            i.payee = lansing;
            i.parts[0].route.push(lansing);
            let hop = i.parts[0].hops[0];
            i.parts[0].hops.push(hop);
        }),
        case("another sidecar than is held for", &|i| i.sidecar = Hash([1; 32])),
        case("two parts", &|i| i.parts.push(i.parts[0].clone())),
        case("an epoch that is not bound", &|i| i.epoch = 1),
        next.refused("the wrong hop", Payload::Step(step(SignedIntent::sign(&intent, &log), 1, hold)), true),
        next.refused(
            "a hold nobody made",
            Payload::Step(step(SignedIntent::sign(&intent, &log), 0, Hash([1; 32]))),
            true,
        ),
        next.refused("an intent that somebody else signed", Payload::Step(step(forged, 0, hold)), true),
        next.refused("a yes after the expiry", Payload::Step(accept(Outcome::Accept)), true),
        next.refused("a no in an ACCEPT", Payload::Step(accept(Outcome::Reject)), true),
    ]
}
