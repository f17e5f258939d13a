//! Three networks on a line: accords, payments over one and two hops, one refused; every entry of every ledger.

pub(super) mod disputes;
pub(super) mod exchange;
pub(super) mod refused;
pub(super) mod resets;
pub(super) mod rounds;

use super::entries::{account, opened, unit};
use super::kit::{
    LIFE_MS, START_MS, class_of, entry_case, genesis, hex, key, op_id, reading, refusal, unhex,
};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::{Accord, Side, UnitPair, channel_id};
use weft_protocol::clearing::engine::{Cx, Engine, Payee, Record, Route};
use weft_protocol::clearing::intent::RejectCode;
use weft_protocol::clearing::step::{AccordArgs, RootSig, StepArgs};
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{AccountId, ClaimId, Hash, LedgerId, Salt, StreamId, UnitId};
use weft_protocol::keys;
use weft_protocol::ledger::author::Author;
use weft_protocol::ledger::identity::is_public;
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::transfer::Hold;
use weft_protocol::ledger::units::UnitKind;
use weft_protocol::ledger::{State, own_accounts};

const HOUR: UnitId = UnitId(0);
const PAYER: AccountId = account(0x0a);
const PAYEE: AccountId = account(0x0b);

/// A network: its engine, and what it has written and received in order.
pub(super) struct Network {
    name: &'static str,
    pub(super) seed: u8,
    engine: Engine,
    pub(super) state: State,
    cases: Vec<Value>,
    sent: Vec<(StreamId, Vec<u8>)>,
    events: Vec<Value>,
    count: u64,
}

/// The networks and the clock.
pub(super) struct World {
    pub(super) networks: Vec<Network>,
    now_ms: u64,
    /// Whether the last is beside the first: public streams go to those beside.
    ring: bool,
}

fn commitment(payee: &str) -> Hash {
    Hash::of("WEFT-SIDECAR/1\n", &[&[0x5a; 32], payee.as_bytes()])
}

fn payee(_: &ClaimId, sealed: &Hash) -> Payee {
    if *sealed == commitment("bob") {
        Payee::Account(PAYEE)
    } else if *sealed == commitment("late") {
        Payee::Missing
    } else {
        Payee::Unknown
    }
}

impl Network {
    /// Root key `seed`, log to desk keys from `seed` + 1, the payer's key `seed` + 6.
    fn new(name: &'static str, seed: u8) -> Self {
        let engine = Engine::new(Author::new(key(seed + 1), START_MS), [seed; 32]);
        let (cases, sent, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, seed, engine, state: State::default(), cases, sent, events, count: 0 }
    }

    pub(super) fn ledger(&self) -> LedgerId {
        self.engine.state().ledger().unwrap_or(LedgerId::ZERO)
    }

    pub(super) fn with<T>(&mut self, now_ms: u64, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> T) -> T {
        let (seed, mut count) = (self.seed, self.count);
        let mut salt = || {
            count += 1;
            Salt(Hash::of("", &[b"salt", &[seed], &count.to_be_bytes()]).prefix())
        };
        let result =
            act(&mut self.engine, &mut Cx { now_ms, salt: &mut salt, payees: &payee, held: &|_| None });
        self.count = count;
        self.keep();
        result
    }

    /// Takes the batch apart: own entries become cases, stream entries go out.
    fn keep(&mut self) {
        for record in self.engine.take_batch().records {
            match record {
                Record::Own(written) => {
                    self.state.commit(&written.transition);
                    let mut case = entry_case(&written.entry, &self.state);
                    case["of"] = json!(self.name);
                    self.cases.push(case);
                    self.events.push(json!({ "own": written.entry.leaf().to_string() }));
                    if let Some(header) = written.entry.body().stream {
                        self.sent.push((header.id, written.entry.bytes().to_vec()));
                    }
                }
                Record::Received(entry) => self.events.push(json!({ "received": entry.leaf().to_string() })),
                Record::Evidence(_) => unreachable!("nobody lies in the vectors"),
            }
        }
    }

    pub(super) fn submit(&mut self, now_ms: u64, payload: Payload, seed: u8, role: Role) {
        self.count += 1;
        let op = Op { op_id: op_id(self.count), not_after_ms: now_ms + LIFE_MS, payload, sidecars: vec![] };
        let signed = SignedOp::unsigned(&op).signed(&self.ledger(), &key(seed), role, How::OwnKey);
        self.with(now_ms, |engine, cx| engine.submit(&signed, cx))
            .expect("an operation that keeps the rules");
    }

    pub(super) fn found(&mut self, now_ms: u64) {
        let root = self.seed;
        self.submit(now_ms, Payload::Genesis(genesis(&[root], 1, root + 1)), root, Role::Root);
        self.submit(now_ms, unit(HOUR, "hour", UnitKind::Time, 0), root, Role::Root);
        self.submit(now_ms, opened(PAYER, OwnerKind::Member, Some(root + 6), false), root, Role::Root);
        self.submit(now_ms, opened(PAYEE, OwnerKind::Member, None, false), root, Role::Root);
    }

    /// An operation that the root set signs.
    pub(super) fn by_root(&mut self, now_ms: u64, payload: Payload, sidecars: Vec<Hash>) -> SignedOp {
        self.count += 1;
        let op = Op { op_id: op_id(self.count), not_after_ms: now_ms + LIFE_MS, payload, sidecars };
        SignedOp::unsigned(&op).signed(&self.ledger(), &key(self.seed), Role::Root, How::OwnKey)
    }

    fn hold(&mut self, now_ms: u64, to: LedgerId, minor: i64, payee: &str) -> SignedOp {
        self.count += 1;
        let amount = Amount::new(minor).expect("an amount");
        let hold = Hold { account: PAYER, unit: HOUR, amount, payee_network: to, when_day: None };
        let op = Op {
            op_id: op_id(self.count),
            not_after_ms: now_ms + LIFE_MS,
            payload: Payload::Hold(hold),
            sidecars: vec![commitment(payee)],
        };
        SignedOp::unsigned(&op).signed(&self.ledger(), &key(self.seed + 6), Role::Member, How::OwnKey)
    }
}

impl World {
    pub(super) fn new() -> Self {
        let networks = [("hull", 30), ("madison", 40), ("lansing", 50)].map(|(n, s)| Network::new(n, s));
        Self { networks: networks.into_iter().collect(), now_ms: START_MS, ring: false }
    }

    /// Its networks, each with its ledger begun.
    pub(super) fn found(mut self) -> Self {
        for i in 0..self.networks.len() {
            let now_ms = self.tick();
            self.networks[i].found(now_ms);
        }
        self
    }

    /// Three networks, each with an accord with the next.
    pub(super) fn in_a_line() -> Self {
        let mut world = Self::new().found();
        world.deliver();
        world.peer(0, 1);
        world.peer(1, 2);
        world
    }

    pub(super) fn tick(&mut self) -> u64 {
        self.now_ms += 1_000;
        self.now_ms
    }

    /// Delivers every entry of a channel to its other end, again and again until nothing moves.
    pub(super) fn deliver(&mut self) {
        let mut at = vec![0; self.networks.len()];
        loop {
            let mut moved = false;
            for (from, next) in at.iter_mut().enumerate() {
                while let Some((stream, bytes)) = self.networks[from].sent.get(*next).cloned() {
                    *next += 1;
                    moved = true;
                    self.hand_over(from, stream, &bytes);
                }
            }
            if !moved {
                break;
            }
        }
        for network in &mut self.networks {
            network.sent.clear();
        }
    }

    /// Delivers what some networks have said, one after the other; what is answered, and all else on its way, is lost.
    fn deliver_one_way(&mut self, by: &[usize]) {
        for from in by {
            for (stream, bytes) in std::mem::take(&mut self.networks[*from].sent) {
                self.hand_over(*from, stream, &bytes);
            }
        }
        for network in &mut self.networks {
            network.sent.clear();
        }
    }

    fn hand_over(&mut self, from: usize, stream: StreamId, bytes: &[u8]) {
        let now_ms = self.tick();
        let sender = self.networks[from].ledger();
        let public = Entry::parse(bytes).is_ok_and(|entry| is_public(entry.kind()));
        for to in (0..self.networks.len()).filter(|to| *to != from) {
            let ends = (&sender, &self.networks[to].ledger());
            let here = (0..4).any(|n| channel_id(ends.0, ends.1, n) == stream);
            if public && (self.ring || to.abs_diff(from) == 1) {
                self.networks[to].engine.receive_public(bytes).expect("a public entry in order");
                self.networks[to].keep();
            } else if here {
                let received =
                    self.networks[to].with(now_ms, |engine, cx| engine.receive(&sender, bytes, cx));
                received.expect("an entry of the channel in order");
            }
        }
    }

    pub(super) fn peer(&mut self, a: usize, b: usize) -> Accord {
        self.peer_by(
            a,
            b,
            UnitPair {
                unit_a: HOUR,
                unit_b: HOUR,
                num: 1,
                den: 1,
                position: Side::A,
                limit_a: 500,
                limit_b: 400,
                foreign: None,
            },
        )
    }

    /// An accord with this unit pair, in both ledgers.
    fn peer_by(&mut self, a: usize, b: usize, pair: UnitPair) -> Accord {
        let accord = Accord {
            v: 1,
            version: 1,
            previous: None,
            a: self.networks[a].ledger(),
            b: self.networks[b].ledger(),
            pairs: vec![pair],
            statement_interval_ms: 86_400_000,
            default_expiry_ms: 86_400_000,
            relay: true,
            mirror: false,
            disputers: [1, 1],
        };
        let bytes = accord.to_bytes();
        let sign = |seed: u8| {
            let root = key(seed);
            vec![RootSig { signer: root.public().signer(), sig: root.sign(keys::ACCORD, &[&bytes]) }]
        };
        let (sigs_a, sigs_b) = (sign(self.networks[a].seed), sign(self.networks[b].seed));
        let args = AccordArgs { accord: Blob(bytes), sigs_a, sigs_b };
        for side in [a, b] {
            let now_ms = self.tick();
            let appended = self.networks[side].with(now_ms, |engine, cx| engine.accord(args.clone(), cx));
            appended.expect("an accord that both have signed");
        }
        self.deliver();
        accord
    }

    pub(super) fn pay(&mut self, route: &[usize], minor: i64, payee: &str) -> ClaimId {
        let claim = self.pay_undelivered(route, minor, payee);
        self.deliver();
        claim
    }

    pub(super) fn pay_undelivered(&mut self, route: &[usize], minor: i64, payee: &str) -> ClaimId {
        let ledgers: Vec<LedgerId> = route.iter().map(|i| self.networks[*i].ledger()).collect();
        let hops = vec![(0, 1); route.len() - 1];
        let amount = Amount::new(minor).expect("a vector pays something");
        self.pay_by(route[0], &Route::one_to_one(ledgers, &hops, amount), payee)
    }

    fn pay_by(&mut self, payer: usize, route: &Route, payee: &str) -> ClaimId {
        let now_ms = self.tick();
        let to = *route.parts[0].route.last().expect("a route");
        let minor = route.parts.iter().map(|part| part.hops[0].src.minor()).sum();
        let payer = &mut self.networks[payer];
        let signed = payer.hold(now_ms, to, minor, payee);
        let paid = payer.with(now_ms, |engine, cx| engine.pay(&signed, route, now_ms + LIFE_MS, cx));
        let (_, claim) = paid.expect("a payment that keeps the rules");
        claim
    }
}

pub(super) fn vectors() -> Value {
    let mut world = World::new();
    for i in 0..3 {
        let now_ms = world.tick();
        world.networks[i].found(now_ms);
    }
    world.deliver();
    let accord = world.peer(0, 1);
    world.peer(1, 2);
    let paid = world.pay(&[0, 1], 100, "bob");
    let refused = world.pay(&[0, 1], 40, "nobody");
    let far = world.pay(&[0, 1, 2], 60, "bob");
    let back = world.pay(&[1, 0], 30, "bob");
    let refused_far = world.pay(&[2, 1, 0], 15, "nobody");
    let claims = [
        ("over one hop", paid, "done"),
        ("to nobody, over one hop", refused, "freed"),
        ("over two hops", far, "done"),
        ("the other way", back, "done"),
        ("to nobody, over two hops", refused_far, "freed"),
    ];
    let claims = claims.map(
        |(about, claim, outcome)| json!({ "about": about, "claim": claim.to_string(), "outcome": outcome }),
    );
    let reject_codes =
        (1..=11).map(|code| json!({ "code": code, "text": RejectCode::from_code(code).text() }));
    let invalid = refused::steps_at_the_end(&world);
    let (then, invalid_then) = refused::proposals(&world);
    let ledgers = world.networks.iter().map(ledger_case);
    json!({
        "about": "specs/clearing.md: hull, madison, lansing on a line. `events` of a ledger: its own entries and those received, in the order \
                  in which they became durable. An invalid entry is one that the ledger named would refuse at its end; \
                  those of `invalid_then` after the entry `then`",
        "accord": accord_case(&accord),
        "intent": intent_case(&world),
        "ledgers": ledgers.collect::<Vec<_>>(),
        "claims": claims.to_vec(),
        "invalid_accords": invalid_accords(&accord),
        "invalid": invalid,
        "then": then,
        "invalid_then": invalid_then,
        "reject_codes": reject_codes.collect::<Vec<_>>(),
    })
}

fn accord_case(accord: &Accord) -> Value {
    json!({
        "hex": hex(accord.to_bytes()), "reading": reading(&accord.to_bytes()), "id": accord.id().to_string(),
        "channel": channel_id(&accord.a, &accord.b, 0).to_string(),
        "peer_account": own_accounts::peer(&accord.a, &accord.b).to_string(),
    })
}

pub(super) fn ledger_case(network: &Network) -> Value {
    let balances = network.state.balances.iter().map(|((account, unit), balance)| {
        json!({ "account": account.to_string(), "unit": unit.0, "balance": balance })
    });
    json!({
        "name": network.name, "ledger": network.ledger().to_string(), "entries": network.cases,
        "events": network.events, "balances": balances.collect::<Vec<_>>(), "state": hex(network.state.to_canonical()),
    })
}

/// The ledgers of such a file again, as bytes.
pub(super) fn told(content: &Value) -> Vec<super::Told> {
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let ledgers = list(&content["ledgers"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cases = ledgers.iter().flat_map(|ledger| list(&ledger["entries"]));
    let all: std::collections::BTreeMap<String, Vec<u8>> =
        cases.map(|case| (text(&case["leaf"]), unhex(&text(&case["hex"])))).collect();
    let of_events = |ledger: &Value, kind: &str| {
        let leaves =
            list(&ledger["events"]).into_iter().filter_map(|event| Some(event[kind].as_str()?.to_owned()));
        leaves.map(|leaf| all[&leaf].clone()).collect()
    };
    let seed = |name: &str| World::new().networks.iter().find(|network| network.name == name).map(|n| n.seed);
    let one = |ledger: &Value| {
        let name = text(&ledger["name"]);
        let seed = seed(&name)?;
        let (own, received) = (of_events(ledger, "own"), of_events(ledger, "received"));
        Some(super::Told { name, log: [seed + 1; 32], desk: [seed + 5; 32], own, received })
    };
    ledgers.iter().filter_map(one).collect()
}

/// The steps of a network, parsed.
fn steps(network: &Network) -> impl Iterator<Item = (Entry, weft_protocol::clearing::step::Step)> + '_ {
    network.cases.iter().filter_map(|case| {
        let text = case["hex"].as_str()?;
        let bytes: Vec<u8> =
            (0..text.len()).step_by(2).filter_map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect();
        let entry = Entry::parse(&bytes).ok()?;
        let Payload::Step(step) = &entry.op().payload else { return None };
        let step = step.clone();
        Some((entry, step))
    })
}

fn intent_case(world: &World) -> Value {
    let payer = &world.networks[0];
    let proposed = steps(payer).find_map(|(_, step)| match step.args {
        StepArgs::Propose(args) => Some(args.intent),
        _ => None,
    });
    let signed = proposed.expect("hull has proposed");
    let intent = signed.parse().expect("hull's intent");
    let decided = steps(&world.networks[1]).find_map(|(_, step)| match step.args {
        StepArgs::Accept(args) => Some(args.decision),
        _ => None,
    });
    let decision = decided.expect("madison has decided");
    json!({
        "hex": hex(&signed.intent.0), "reading": reading(&signed.intent.0), "sig": signed.sig.to_string(),
        "public": key(payer.seed + 1).public().bytes().to_string(), "claim": signed.claim().to_string(),
        "decision": hex(encode(&decision)), "decision_body": hex(encode(&decision.body)),
        "decider_public": key(world.networks[1].seed + 1).public().bytes().to_string(),
        "invalid": refused::intents(&intent),
        "reference_in_done": Hash::of(keys::DECISION.0, &[&decision.message()]).to_string(),
    })
}

fn invalid_accords(good: &Accord) -> Vec<Value> {
    let changed = |change: fn(&mut Accord)| {
        let mut accord = good.clone();
        change(&mut accord);
        accord
    };
    let cases = [
        ("another format version", changed(|a| a.v = 2)),
        ("with itself", changed(|a| a.b = a.a)),
        ("version 0", changed(|a| a.version = 0)),
        ("version 2 without the one before", changed(|a| a.version = 2)),
        ("no pairs", changed(|a| a.pairs.clear())),
        ("a unit in two pairs", changed(|a| a.pairs.push(a.pairs[0]))),
        ("a rate of nothing", changed(|a| a.pairs[0].num = 0)),
        ("a rate above 2^32", changed(|a| a.pairs[0].den = (1 << 32) + 1)),
        ("a limit above 2^62", changed(|a| a.pairs[0].limit_a = (1 << 62) + 1)),
        ("claims that stay open 8 days", changed(|a| a.default_expiry_ms = 8 * 86_400_000)),
        ("no disputers", changed(|a| a.disputers = [0, 1])),
    ];
    let case = |(about, accord): (&str, Accord)| {
        let bytes = accord.to_bytes();
        assert!(Accord::parse(&bytes).is_err(), "{about}");
        json!({ "about": about, "hex": hex(bytes), "why": "accord" })
    };
    cases.into_iter().map(case).collect()
}
