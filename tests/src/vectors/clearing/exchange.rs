//! Payments between unlike units, and of several parts: hull counts minutes, madison cents, lansing something else.

use super::refused::Next;
use super::{HOUR, World, ledger_case, steps};
use crate::vectors::entries::unit;
use crate::vectors::kit::{hex, key, reading};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::{Accord, Side, UnitPair};
use weft_protocol::clearing::engine::Route;
use weft_protocol::clearing::intent::{Hop, Part, SignedIntent};
use weft_protocol::clearing::step::{Ack, ProposeArgs, Step, StepArgs};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{Hash, UnitId};
use weft_protocol::ledger::units::UnitKind;

/// Madison's numbers for the minutes of hull, and for what lansing counts.
const MINUTES: UnitId = UnitId(7);
const THEIRS: UnitId = UnitId(8);

fn amount(minor: i64) -> Amount {
    Amount::new(minor).expect("a vector pays something")
}

fn pair(num: u64, den: u64, position: Side, foreign: UnitId) -> UnitPair {
    let (limit_a, limit_b) = (500, 400);
    UnitPair { unit_a: HOUR, unit_b: HOUR, num, den, position, limit_a, limit_b, foreign: Some(foreign) }
}

/// 33 cents of madison are worth a minute of hull, which both count in; madison exchanges.
fn hull_madison() -> UnitPair {
    pair(33, 1, Side::A, MINUTES)
}

/// 2 of lansing's are worth 3 cents of madison, and both count in lansing's; madison exchanges here, too.
fn madison_lansing() -> UnitPair {
    pair(2, 3, Side::B, THEIRS)
}

impl World {
    fn defines(&mut self, network: usize, number: UnitId, code: &str) {
        let now_ms = self.tick();
        let root = self.networks[network].seed;
        self.networks[network].submit(now_ms, unit(number, code, UnitKind::Time, 0), root, Role::Root);
    }

    /// Parts over the same networks, by what each brings.
    fn parts(&self, way: &[usize], brings: &[i64]) -> Route {
        let part = |brings: &i64| {
            let (mut hops, mut dst) = (Vec::new(), amount(*brings));
            for ends in way.windows(2).rev() {
                let (terms, sender_is_a) = match (ends[0].min(ends[1]), ends[0] < ends[1]) {
                    (0, forth) => (hull_madison(), forth),
                    (_, forth) => (madison_lansing(), forth),
                };
                let src = terms.src_for(dst, sender_is_a).expect("a small amount");
                hops.insert(0, Hop { pair: 0, src, dst, accord_version: 1 });
                dst = src;
            }
            Part { route: way.iter().map(|i| self.networks[*i].ledger()).collect(), hops }
        };
        Route { parts: brings.iter().map(part).collect() }
    }

    fn pays(&mut self, way: &[usize], brings: &[i64], payee: &str) -> String {
        let route = self.parts(way, brings);
        let claim = self.pay_by(way[0], &route, payee).to_string();
        self.deliver();
        claim
    }
}

pub(in crate::vectors) fn vectors() -> Value {
    let mut world = World::new().found();
    world.defines(1, MINUTES, "hull-minute");
    world.defines(1, THEIRS, "lansing-hour");
    world.deliver();
    let accords = [world.peer_by(0, 1, hull_madison()), world.peer_by(1, 2, madison_lansing())];
    let claims = [
        ("over one hop", world.pays(&[0, 1], &[100], "bob"), "done"),
        ("the other way", world.pays(&[1, 0], &[5], "bob"), "done"),
        ("of two parts on one channel", world.pays(&[0, 1], &[40, 70], "bob"), "done"),
        ("over two hops, exchanged on both", world.pays(&[0, 1, 2], &[10], "bob"), "done"),
        ("of three parts over two hops", world.pays(&[2, 1, 0], &[1, 2, 3], "bob"), "done"),
        ("of two parts to nobody", world.pays(&[0, 1, 2], &[7, 1], "nobody"), "freed"),
    ];
    let claims =
        claims.map(|(about, claim, outcome)| json!({ "about": about, "claim": claim, "outcome": outcome }));
    let ledgers = world.networks.iter().map(ledger_case);
    let accord_case =
        |accord: &Accord| json!({ "hex": hex(accord.to_bytes()), "reading": reading(&accord.to_bytes()) });
    json!({
        "about": "specs/clearing.md 1.7, 1.8, 3.3, 6.13: hull, madison, lansing on a line, as in clearing.json. 33 of madison's units are worth \
                  one of hull's, 2 of lansing's three of madison's; madison exchanges on both sides, its units 7 and 8 are theirs",
        "accords": accords.iter().map(accord_case).collect::<Vec<_>>(),
        "invalid_accords": invalid_accords(&accords[0]),
        "ledgers": ledgers.collect::<Vec<_>>(),
        "claims": claims.to_vec(),
        "invalid": invalid(&world),
    })
}

fn invalid_accords(good: &Accord) -> Vec<Value> {
    let changed = |change: fn(&mut Accord)| {
        let mut accord = good.clone();
        change(&mut accord);
        accord
    };
    let cases = [
        ("a foreign unit that is the exchanging side's own", changed(|a| a.pairs[0].foreign = Some(HOUR))),
        (
            "a foreign unit in two pairs",
            changed(|a| {
                let second = UnitPair { unit_a: UnitId(1), unit_b: UnitId(1), ..a.pairs[0] };
                a.pairs.push(second);
            }),
        ),
    ];
    let case = |(about, accord): (&str, Accord)| {
        let bytes = accord.to_bytes();
        assert!(Accord::parse(&bytes).is_err(), "{about}");
        json!({ "about": about, "hex": hex(bytes), "why": "accord" })
    };
    cases.into_iter().map(case).collect()
}

/// Proposals that hull could not write at its end.
fn invalid(world: &World) -> Vec<Value> {
    let hull = &world.networks[0];
    let next = Next::after(hull, world.networks[1].ledger());
    let (_, proposed) = steps(hull).find(|(_, step)| step.type_code() == 1).expect("hull has proposed");
    let StepArgs::Propose(args) = proposed.args.clone() else { panic!("not a proposal") };
    let good = args.intent.parse().expect("hull's intent");
    let step = |about: &str, part: u8, change: &dyn Fn(&mut Part)| {
        let mut intent = good.clone();
        intent.expires_ms = next.state.head.time_ms + 3_600_000;
        intent.nonce = Hash([9; 32]);
        change(&mut intent.parts[0]);
        let signed = SignedIntent::sign(&intent, &key(hull.seed + 1));
        let claim = Some(signed.claim());
        let (ack, reference) = (Ack { next: next.acked(), head: Hash::ZERO }, Some(Hash([1; 32])));
        let args = StepArgs::Propose(ProposeArgs { intent: signed, hop: 0 });
        next.refused(
            about,
            Payload::Step(Step { ack, claim, reference, args, part, ..proposed.clone() }),
            true,
        )
    };
    vec![
        step("a minute less than it takes", 0, &|part| part.hops[0].src = amount(3)),
        step("a minute more than it takes", 0, &|part| part.hops[0].src = amount(5)),
        step("a cent more than it brings", 0, &|part| part.hops[0].dst = amount(133)),
        step("a part that the intent has not", 1, &|_| {}),
        step("a ninth part", 8, &|_| {}),
        step("amounts that the rate gives, on a hold nobody made", 0, &|part| part.hops[0].dst = amount(132)),
    ]
}
