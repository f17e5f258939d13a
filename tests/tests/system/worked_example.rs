//! The worked example of specs/clearing.md, row by row: what stands on which account after each step.

use std::collections::BTreeMap;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::engine::{Cx, Engine, Payee, Record, Route};
use weft_protocol::entry::{Kind, Op, Payload};
use weft_protocol::ids::{ClaimId, Hash, LedgerId, OpId, Salt, StreamId};
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::transfer::Hold;
use weft_tests::simulator::founding::{Founded, HOUR, START_MS, accord, one_to_one};

const NOW_MS: u64 = START_MS + 60_000;
const EXPIRES_MS: u64 = NOW_MS + 86_400_000;
/// The commitment of every sidecar here; only its being the same on both sides matters.
const SIDECAR: Hash = Hash([5; 32]);

/// A network with what it has written to its streams, and whom it takes the sealed payee for.
struct Network {
    founded: Founded,
    written: BTreeMap<StreamId, Vec<Vec<u8>>>,
    payee: Payee,
}

/// Steps by their number, as they are written.
const PROPOSE: u8 = 1;
const ACCEPT: u8 = 2;
const REJECT: u8 = 3;
const DONE: u8 = 4;
const FREE: u8 = 5;
const KEY: u8 = 14;

impl Network {
    fn ledger(&self) -> LedgerId {
        self.founded.ledger
    }

    /// One input; the kinds of the entries that it wrote.
    fn input<R>(&mut self, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> R) -> (R, Vec<Kind>) {
        let payee = self.payee;
        let payees = |_: &ClaimId, sidecar: &Hash| if *sidecar == SIDECAR { payee } else { Payee::Missing };
        let mut salt = || Salt([7; 16]);
        let result = act(
            &mut self.founded.engine,
            &mut Cx { now_ms: NOW_MS, salt: &mut salt, payees: &payees, held: &|_| None },
        );
        let mut kinds = Vec::new();
        for record in self.founded.engine.take_batch().records {
            if let Record::Own(written) = record {
                kinds.push(written.entry.kind());
                if let Some(header) = written.entry.body().stream {
                    self.written.entry(header.id).or_default().push(written.entry.bytes().to_vec());
                }
            }
        }
        (result, kinds)
    }

    fn member(&self) -> i64 {
        self.founded.engine.state().balance(&self.founded.members[0].account, HOUR)
    }

    fn own(&self, name: &str) -> i64 {
        self.founded.engine.state().balance(&own_accounts::id(name), HOUR)
    }

    /// What this network owes another.
    fn owes(&self, other: &Network) -> i64 {
        self.founded.engine.state().balance(&own_accounts::peer(&self.ledger(), &other.ledger()), HOUR)
    }

    /// Takes in everything that another has written for it; the kinds of the entries that it wrote then.
    fn hears(&mut self, from: &Network) -> Vec<Kind> {
        let state = from.founded.engine.state();
        let (channel, _) = state.channel_with(&self.ledger()).expect("neighbours");
        let next = self.founded.engine.peers().stream(&channel).map_or(0, |stream| stream.next);
        let entries: Vec<Vec<u8>> = from.written[&channel].iter().skip(next as usize).cloned().collect();
        assert!(!entries.is_empty(), "nothing new to hear");
        let mut kinds = Vec::new();
        for entry in entries {
            let (taken, written) = self.input(|engine, cx| engine.receive(&from.ledger(), &entry, cx));
            taken.expect("an honest entry");
            kinds.extend(written);
        }
        kinds
    }

    fn pays(&mut self, route: &[&Network], amount: i64) -> Vec<Kind> {
        let payee_network = route.last().expect("a payee").ledger();
        let member = &self.founded.members[0];
        let hold = Hold {
            account: member.account,
            unit: HOUR,
            amount: Amount::new(amount).expect("positive"),
            payee_network,
            when_day: None,
        };
        let op_id = OpId([amount as u8; 16]);
        let payload = Payload::Hold(hold);
        let op = Op { op_id, not_after_ms: EXPIRES_MS, payload, sidecars: vec![SIDECAR] };
        let signed = member.sign(&self.founded.keys, &self.ledger(), &op);
        let ledgers = std::iter::once(self.ledger()).chain(route.iter().map(|n| n.ledger())).collect();
        let whole = Amount::new(amount).expect("positive");
        let way = Route::one_to_one(ledgers, &vec![(0, 1); route.len()], whole);
        let (paid, kinds) = self.input(|engine, cx| engine.pay(&signed, &way, EXPIRES_MS, cx));
        paid.expect("a payment within all limits");
        kinds
    }
}

/// Networks in a line, agreed and introduced to their neighbours; the payee is the last one's first member.
fn line<const N: usize>() -> [Network; N] {
    let mut line: [Network; N] = std::array::from_fn(|index| Network {
        founded: Founded::new(1, index),
        written: BTreeMap::new(),
        payee: Payee::Missing,
    });
    for left in 0..N - 1 {
        for (to, from) in [(left, left + 1), (left + 1, left)] {
            let public = line[from].founded.public.clone();
            let (shown, _) =
                line[to].input(|engine, _| public.iter().all(|e| engine.receive_public(e).is_ok()));
            assert!(shown);
        }
        let (a, b) = (&line[left].founded, &line[left + 1].founded);
        let args = accord((&a.ledger, &a.keys), (&b.ledger, &b.keys), one_to_one(500, 500));
        for side in [left, left + 1] {
            let (agreed, _) = line[side].input(|engine, cx| engine.accord(args.clone(), cx));
            agreed.expect("an accord");
        }
    }
    for left in 0..N - 1 {
        let [one, other] = line.get_disjoint_mut([left, left + 1]).expect("two networks");
        one.hears(other);
        other.hears(one);
    }
    let last = &mut line[N - 1];
    last.payee = Payee::Account(last.founded.members[0].account);
    line
}

fn steps(types: &[u8]) -> Vec<Kind> {
    types.iter().map(|t| Kind::Step(*t)).collect()
}

#[test]
fn a_payment_between_two_networks_moves_as_in_the_example() {
    let [mut h, mut l] = line();
    assert_eq!(h.pays(&[&l], 100), [Kind::Hold, Kind::Step(PROPOSE)]);
    assert_eq!((h.member(), h.own("hold")), (-100, 100));
    assert_eq!((h.owes(&l), l.owes(&h)), (0, 0));

    assert_eq!(l.hears(&h), [Kind::Step(ACCEPT), Kind::Credit]);
    assert_eq!((l.own("incoming"), l.member()), (-100, 100));
    assert_eq!((h.owes(&l), l.owes(&h)), (0, 0));

    assert_eq!(h.hears(&l), [Kind::Step(DONE), Kind::End]);
    assert_eq!((h.own("hold"), h.member()), (0, -100));
    assert_eq!((h.owes(&l), l.owes(&h)), (100, 0), "in flight");

    assert_eq!(l.hears(&h), [Kind::Book]);
    assert_eq!((l.own("incoming"), l.member()), (0, 100));
    assert_eq!((h.owes(&l), l.owes(&h)), (100, -100));
}

#[test]
fn a_payment_turned_down_goes_back_to_the_payer() {
    let [mut h, mut l] = line();
    l.payee = Payee::Unknown;
    h.pays(&[&l], 100);
    assert_eq!(l.hears(&h), steps(&[REJECT]));
    assert_eq!((l.own("incoming"), l.member()), (0, 0));
    assert_eq!(h.hears(&l), [Kind::Step(FREE), Kind::End]);
    assert_eq!((h.own("hold"), h.member(), h.owes(&l), l.owes(&h)), (0, 0, 0, 0));
    assert_eq!(l.hears(&h), []);
}

#[test]
fn a_payment_over_a_middle_moves_as_in_the_example() {
    let [mut h, mut m, mut l] = line();
    h.pays(&[&m, &l], 60);
    assert_eq!((h.member(), h.own("hold")), (-60, 60));
    assert_eq!(m.hears(&h), steps(&[KEY, PROPOSE]));
    assert_eq!(l.hears(&m), [Kind::Step(ACCEPT), Kind::Credit]);
    assert_eq!((l.own("incoming"), l.member()), (-60, 60));
    assert_eq!((h.owes(&m), m.owes(&h), m.owes(&l), l.owes(&m)), (0, 0, 0, 0));

    assert_eq!(m.hears(&l), [Kind::Step(DONE), Kind::End, Kind::Step(KEY), Kind::Step(ACCEPT)]);
    assert_eq!((m.own("transit"), m.owes(&l)), (-60, 60));
    assert_eq!(l.hears(&m), [Kind::Book]);
    assert_eq!((l.own("incoming"), m.owes(&l), l.owes(&m)), (0, 60, -60));

    assert_eq!(h.hears(&m), [Kind::Step(KEY), Kind::Step(DONE), Kind::End]);
    assert_eq!((h.own("hold"), h.owes(&m)), (0, 60));
    assert_eq!(m.hears(&h), [Kind::Book]);
    assert_eq!((m.own("transit"), h.owes(&m), m.owes(&h)), (0, 60, -60));
    assert_eq!((h.member(), m.member(), l.member()), (-60, 0, 60));
}

#[test]
fn a_payment_turned_down_behind_a_middle_goes_back_hop_by_hop() {
    let [mut h, mut m, mut l] = line();
    l.payee = Payee::Unknown;
    h.pays(&[&m, &l], 60);
    m.hears(&h);
    assert_eq!(l.hears(&m), steps(&[REJECT]));
    assert_eq!((h.member(), h.own("hold")), (-60, 60), "a REJECT does not overtake");
    assert_eq!(m.hears(&l), steps(&[FREE, KEY, REJECT]));
    assert_eq!(h.hears(&m), [Kind::Step(FREE), Kind::End]);
    assert_eq!((h.member(), h.own("hold"), m.own("transit")), (0, 0, 0));
    assert_eq!((h.owes(&m), m.owes(&h), m.owes(&l), l.owes(&m)), (0, 0, 0, 0));
    assert_eq!((m.hears(&h), l.hears(&m)), (vec![], vec![]));
}
