//! A peer that signs anything: an input is a list of steps that the peer writes into its channel with an honest
//! network, right or wrong, between payments both ways.
//!
//! Whatever it says: no panic; the honest ledger sums to zero; its members' money moves only by payments that they made or
//! received; what it owes the peer stays within the limit; its entries replay to the same state.

use crate::seeds::{self, LIMIT, Pair};
use weft_protocol::clearing::step::Step;
use weft_protocol::encoding::{Blob, check_shape};
use weft_protocol::entry::{Body, ENTRY_VERSION, Entry, Kind, Op, StreamHeader};
use weft_protocol::ids::{Hash, Salt};
use weft_protocol::ledger::apply;
use weft_protocol::ledger::state::State;

/// Steps of one input that are looked at.
const MAX_STEPS: usize = 24;
/// How many payments the honest network makes at most.
const MAX_PAYMENTS: i64 = 8;

pub(crate) fn peer(input: &[u8]) {
    let _: usize = taken_in(input);
}

/// The same, and how many entries of the peer were taken in.
pub fn taken_in(input: &[u8]) -> usize {
    let mut pair = seeds::pair();
    let mut rest = input;
    let (mut paid, mut taken) = (0, 0);
    for number in 0..MAX_STEPS {
        let Some((head, after)) = rest.split_first_chunk::<3>() else { break };
        let len = usize::from(u16::from_be_bytes([head[1], head[2]])).min(after.len());
        let (payload, after) = after.split_at(len);
        rest = after;
        match head[0] % 4 {
            0 if paid < MAX_PAYMENTS => {
                paid += 1;
                // Refused when the limit is reached: that is right too.
                let _: bool = pair.honest.pay(pair.ada, pair.bob, &mut pair.liar, paid * 10).is_ok();
            }
            1 => {
                // It says that it has all that was sent.
                pair.honest.engine.acked(&pair.channel, u64::MAX);
            }
            t => taken += usize::from(say(&mut pair, number, t, payload)),
        }
        check(&pair, paid);
    }
    replayed(&pair);
    taken
}

/// The peer writes a step that nobody checked, where its stream stands at the honest network; whether it was taken in.
fn say(pair: &mut Pair, number: usize, t: u8, payload: &[u8]) -> bool {
    if check_shape(payload).is_err() {
        return false;
    }
    let mut op = vec![0xa3, 0x00, 0x50];
    op.extend_from_slice(&[u8::try_from(number).unwrap_or(0xff); 16]);
    op.extend_from_slice(&[0x01, 0x1b]);
    op.extend_from_slice(&pair.liar.now_ms.to_be_bytes());
    op.push(0x02);
    op.extend_from_slice(payload);
    // The type stands in the payload; the kind has to agree with it.
    let mut types = (0..=u16::from(u8::MAX)).filter_map(Step::known_type);
    let Some(kind) = types.find_map(|t| Some(Kind::Step(t)).filter(|kind| Op::parse(*kind, &op).is_ok()))
    else {
        return false;
    };
    let (next, sprev, boot) = pair
        .honest
        .engine
        .peers()
        .stream(&pair.channel)
        .map_or((0, Hash::ZERO, 0), |stream| (stream.next, stream.head, stream.boot));
    let body = Body {
        v: ENTRY_VERSION,
        ledger: pair.liar.ledger(),
        seq: 1_000 + u64::try_from(number).unwrap_or(0),
        prev: Hash([9; 32]),
        time_ms: pair.liar.now_ms,
        epoch: 0,
        kind: kind.code(),
        op: Blob(op),
        auth: Vec::new(),
        salt: Salt([1; 16]),
        stream: Some(StreamHeader { id: pair.channel, sseq: next, sprev }),
        boot: boot.max(seeds::START_MS) + u64::from(t % 2),
    };
    let entry = Entry::sign(&body, &pair.liar.log_key());
    entry.is_ok_and(|entry| pair.honest.take_in(&pair.liar.ledger(), entry.bytes()).is_ok())
}

fn check(pair: &Pair, paid: i64) {
    let state = pair.honest.state();
    assert!(state.sums().values().all(|sum| *sum == 0), "a unit does not sum to zero");
    let spent = -pair.honest.balance(&pair.ada);
    let most: i64 = (1..=paid).map(|n| n * 10).sum();
    assert!((0..=most).contains(&spent), "Ada has paid {spent}, and asked for {most} at most");
    let account = state.channels.get(&pair.channel).expect("the accord stands").account;
    let owed = i128::from(pair.honest.balance(&account));
    // A peer that owes more than its limit has proposed it to itself; what we owe is ours to hold.
    assert!(owed <= i128::from(LIMIT), "we owe {owed}, the limit is {LIMIT}");
}

fn replayed(pair: &Pair) {
    let mut state = State::default();
    for entry in pair.honest.own() {
        let transition = apply(&state, &entry).expect("our own entries keep the rules");
        state.commit(&transition);
    }
    assert_eq!(state.digest(), pair.honest.state().digest(), "a replay gives another state");
}
