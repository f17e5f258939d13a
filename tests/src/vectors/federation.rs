//! What accords let pass, told by two networks, and the messages in which public streams travel.

use super::clearing::{World, ledger_case};
use super::kit::{class_of, encoding_code, hex, key, op_id, reading, refusal};
use serde_json::{Value, json};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp, StreamHeader};
use weft_protocol::federation::sync::{
    DescriptorsAsk, DescriptorsThere, EntriesAsk, EntriesThere, Have, Haves, NewsHeard, WhatAsk, WhatThere,
};
use weft_protocol::ids::{LedgerId, PUBLIC_STREAM, Salt};
use weft_protocol::ledger::capacity::{Bucket, Capacity};
use weft_protocol::wire::Message;

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/kinds.md §17 and specs/network.md §11: hull and madison tell what their accord lets pass, before and after \
                  payments; lists of authors",
        "capacities": capacities(),
        "buckets": buckets(),
        "messages": messages(),
        "haves": haves(),
        "invalid_haves": invalid_haves(),
    })
}

fn capacities() -> Value {
    let mut world = World::new();
    for i in 0..3 {
        let now_ms = world.tick();
        world.networks[i].found(now_ms);
    }
    world.deliver();
    world.peer(0, 1);
    let tell = |world: &mut World, of: usize| {
        let now_ms = world.tick();
        let told = world.networks[of].with(now_ms, |engine, cx| engine.tell_capacity(0, cx));
        world.deliver();
        told
    };
    assert_eq!((tell(&mut world, 0), tell(&mut world, 1)), (1, 1));
    world.pay(&[0, 1], 60, "bob");
    assert_eq!(tell(&mut world, 0), 0, "a payment within the bucket is not told");
    world.pay(&[0, 1], 250, "bob");
    assert_eq!(tell(&mut world, 0), 1);
    let (madison, stranger) = (world.networks[1].ledger(), world.networks[2].ledger());
    let now = Capacity::of(&world.networks[0].state, &madison).expect("there is an accord");
    let changed = |change: &dyn Fn(&mut Capacity)| {
        let mut capacity = now.clone();
        change(&mut capacity);
        capacity
    };
    let cases = [
        ("the same again", now.clone()),
        ("more room than there is", changed(&|c| c.lines[0].out = Bucket(c.lines[0].out.0 + 1))),
        ("less room than there is", changed(&|c| c.lines[0].back = Bucket::NONE)),
        ("another rate", changed(&|c| c.lines[0].num = 2)),
        ("another version of the accord", changed(&|c| c.version = 2)),
        ("without its line", changed(&|c| c.lines.clear())),
        ("of a network without an accord", changed(&|c| c.peer = stranger)),
    ];
    let mut invalid: Vec<Value> =
        cases.map(|(about, c)| refused(&world, about, Payload::Capacity(c), false, true)).to_vec();
    let less = || Payload::Capacity(changed(&|c| c.lines[0].out = Bucket::NONE));
    invalid.push(refused(&world, "signed by a person", less(), true, true));
    invalid.push(refused(&world, "outside the public stream", less(), false, false));
    json!({ "ledgers": world.networks[..2].iter().map(ledger_case).collect::<Vec<_>>(), "of": "hull", "invalid": invalid })
}

/// An entry that hull could not write next.
fn refused(world: &World, about: &str, payload: Payload, person: bool, public: bool) -> Value {
    let hull = &world.networks[0];
    let state = &hull.state;
    let op = Op { op_id: op_id(9_999), not_after_ms: state.head.time_ms, payload, sidecars: vec![] };
    let mut signed = SignedOp::unsigned(&op);
    if person {
        signed = signed.signed(&hull.ledger(), &key(hull.seed), Role::Root, How::OwnKey);
    }
    let row = state.stream(&PUBLIC_STREAM);
    let body = Body {
        v: 1,
        ledger: hull.ledger(),
        seq: state.head.next_seq,
        prev: state.head.leaf,
        time_ms: state.head.time_ms,
        epoch: 0,
        kind: signed.kind,
        op: signed.op,
        auth: signed.auth,
        salt: Salt([7; 16]),
        stream: public.then_some(StreamHeader { id: PUBLIC_STREAM, sseq: row.next, sprev: row.head }),
        boot: state.head.boot,
    };
    let entry = Entry::sign(&body, &key(hull.seed + 1)).expect("a well-formed entry");
    let (code, _) = refusal(state, entry.bytes()).unwrap_or_else(|| panic!("accepted: {about}"));
    json!({ "about": about, "hex": hex(entry.bytes()), "class": class_of(&code), "why": code })
}

fn buckets() -> Value {
    let told = [None, Some(0), Some(1), Some(2), Some(10), Some(11), Some(62), Some(63)];
    let rooms: [i64; 18] = [
        -1,
        0,
        1,
        2,
        3,
        4,
        383,
        384,
        511,
        512,
        1_000,
        1_024,
        1_279,
        1_280,
        1 << 40,
        1 << 61,
        1 << 62,
        i64::MAX,
    ];
    let cases = told.into_iter().flat_map(|told| {
        rooms.map(|room| {
            let bucket = Bucket::after(told.map(Bucket), i128::from(room));
            json!({ "told": told, "room": room, "bucket": bucket.0 })
        })
    });
    cases.collect()
}

fn have(seed: u8, next: u64, dseq: u64) -> Have {
    Have { ledger: LedgerId([seed; 32]), next, dseq }
}

fn case<M: Message>(about: &str, kind: &str, message: &M) -> Value {
    let bytes = message.to_bytes();
    assert!(M::parse(&bytes).is_ok(), "{about}");
    json!({ "about": about, "type": kind, "reading": reading(&bytes), "hex": hex(&bytes) })
}

fn messages() -> Value {
    let list = Haves::new([have(1, 3, 7), have(2, 0, 0)]).to_blob();
    let what = WhatThere { message: 2, haves: list, more: false };
    let entries = vec![Blob(b"entry 4".to_vec())];
    json!([
        case("what is there", "WhatAsk", &WhatAsk { message: 1, after: None }),
        case("what is there after one", "WhatAsk", &WhatAsk { message: 1, after: Some(LedgerId([2; 32])) }),
        case("two authors", "WhatThere", &what),
        case("none", "WhatThere", &WhatThere { haves: Blob(Vec::new()), ..what.clone() }),
        case("news", "WhatThere", &WhatThere { message: 7, ..what }),
        case("from place 4 on", "EntriesAsk", &EntriesAsk { message: 3, ledger: LedgerId([1; 32]), next: 4 }),
        case("one entry", "EntriesThere", &EntriesThere { message: 4, entries }),
        case("no entry", "EntriesThere", &EntriesThere { message: 4, entries: Vec::new() }),
        case(
            "of one author",
            "DescriptorsAsk",
            &DescriptorsAsk { message: 5, ledgers: vec![LedgerId([1; 32])] }
        ),
        case(
            "one descriptor",
            "DescriptorsThere",
            &DescriptorsThere { message: 6, descriptors: vec![Blob(b"descriptor".to_vec())] }
        ),
        case("none", "DescriptorsThere", &DescriptorsThere { message: 6, descriptors: Vec::new() }),
        case("heard", "NewsHeard", &NewsHeard { message: 8 }),
    ])
}

fn haves() -> Value {
    let lists = [vec![], vec![have(1, 3, 7)], vec![have(1, 3, 7), have(2, 0, 0), have(3, u64::MAX, 1 << 40)]];
    let list = |haves: Vec<Have>| {
        let authors =
            haves.iter().map(|h| json!({ "ledger": h.ledger.to_string(), "next": h.next, "dseq": h.dseq }));
        json!({ "authors": authors.collect::<Vec<_>>(), "hex": hex(&Haves::new(haves.clone()).to_blob().0) })
    };
    lists.map(list).to_vec().into()
}

fn invalid_haves() -> Value {
    let one = |seed| Haves::new([have(seed, 1, 0)]).to_blob().0;
    let cases = [
        ("cut short", one(1)[..47].to_vec()),
        ("not in order", [one(2), one(1)].concat()),
        ("one twice", [one(1), one(1)].concat()),
        ("more than 1,024", vec![0; 1_025 * 48]),
    ];
    let case = |(about, bytes): (&str, Vec<u8>)| {
        let Err(error) = Haves::parse(&Blob(bytes.clone())) else { panic!("{about}: it was accepted") };
        json!({ "about": about, "hex": hex(&bytes), "why": encoding_code(&error) })
    };
    cases.map(case).to_vec().into()
}
