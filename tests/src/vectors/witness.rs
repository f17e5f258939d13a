//! Cosignatures, policies, what a witness answers, and peer views of two ledgers.

use super::clearing::{World, ledger_case};
use super::kit::{START_MS, class_of, hex, key, op_id, refusal};
use serde_json::{Value, json};
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp, StreamHeader};
use weft_protocol::ids::{Hash, LedgerId, PUBLIC_STREAM, Salt, SigBytes};
use weft_protocol::ledger::witness::PeerView;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{Note, VerifierKey};
use weft_protocol::log::proof::{LeafHashes, build_consistency};
use weft_protocol::log::tree::{leaf_hash, root_of};
use weft_protocol::log::witness::{
    AddCheckpoint, Cosignature, Decision, Policy, Seen, check_quorum, decide, least_quorum, witness_key,
};

/// 2026-01-01T00:00:00Z in seconds.
const TIME_S: u64 = START_MS / 1_000;
/// C2SP's own example, which comes without keys.
const EXAMPLE: &str = "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==";

fn log_ledger() -> LedgerId {
    LedgerId([0xaa; 32])
}

fn log_key() -> VerifierKey {
    Checkpoint::log_key(&log_ledger().origin(), &key(10).public()).expect("a key name")
}

/// Witness `seed` of the ledger named after it.
fn witness(seed: u8) -> VerifierKey {
    witness_key(&LedgerId([seed; 32]), &key(seed).public())
}

fn leaves(size: u64, fork_at: u64) -> Vec<Hash> {
    let leaf = |i: u64| leaf_hash(&(if i < fork_at { i } else { i + 1_000 }).to_be_bytes());
    (0..size).map(leaf).collect()
}

fn checkpoint(leaves: &[Hash]) -> Note {
    let root = root_of(leaves.iter().copied());
    let made = Checkpoint::new(&log_ledger().origin(), leaves.len() as u64, root).expect("a checkpoint");
    made.sign(&key(10))
}

fn cosigned(seeds: &[u8]) -> Note {
    let mut note = checkpoint(&leaves(7, 99));
    for seed in seeds {
        note.cosign(witness(*seed).name(), &key(*seed), TIME_S + u64::from(*seed)).expect("room for a line");
    }
    note
}

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/witness.md. The log has leaf i = leaf hash of i as u64 BE; that of a fork is of i + 1000 from the fork on",
        "cosignatures": cosignatures(),
        "policies": policies(),
        "invalid_policies": invalid_policies(),
        "least_quorum": least(),
        "requests": requests(),
        "invalid_requests": invalid_requests(),
        "views": views(),
    })
}

fn cosignatures() -> Value {
    let (key_of, note) = (witness(20), cosigned(&[20]));
    let text = note.text().to_owned();
    let one = Cosignature::sign(&text, TIME_S, &key(20));
    let later = Cosignature { time_s: TIME_S + 1, ..one };
    let cut = SigBytes::from_slice(&[0; 64]).expect("64 bytes");
    let with = |cosignature: &Cosignature| {
        let mut note = checkpoint(&leaves(7, 99));
        note.add(cosignature.line(key_of.name(), &key_of.key().bytes())).expect("room for a line");
        note.to_string()
    };
    let twice = {
        let mut note = cosigned(&[20]);
        note.add(one.line(key_of.name(), &key_of.key().bytes())).expect("room for a line");
        note.to_string()
    };
    let plain = key(20).sign(weft_protocol::keys::NOTE, &[text.as_bytes()]);
    let invalid = [
        ("another time than the signed one", with(&later)),
        ("a signature of zeros", with(&Cosignature { sig: cut, ..one })),
        ("signed as a note, not as a cosignature", with(&Cosignature { sig: plain, ..one })),
        ("a time beyond 2^63 - 1", with(&Cosignature { time_s: 1 << 63, ..one })),
        ("no line of the witness", cosigned(&[21]).to_string()),
        ("another text", with(&one).replace("\n7\n", "\n8\n")),
    ];
    for (about, text) in &invalid {
        let note = Note::parse(text.as_bytes()).expect("a note");
        assert!(note.cosignature(&key_of).is_err(), "{about}");
    }
    let invalid = invalid.map(|(about, note)| json!({ "about": about, "note": note, "why": "refused" }));
    json!({
        "example": { "payload": EXAMPLE, "key_id": "8d66cf3f", "time": 1_679_315_147_u64 },
        "seed": hex(key(20).seed().as_slice()), "ledger": LedgerId([20; 32]).to_string(),
        "name": key_of.name().as_str(), "verifier_key": key_of.to_string(), "text": text,
        "message": format!("cosignature/v1\ntime {TIME_S}\n{text}"), "time": TIME_S,
        "signature": one.sig.to_string(),
        "valid": [
            { "note": with(&one), "time": TIME_S },
            { "note": twice, "time": TIME_S + 20 },
            { "note": cosigned(&[21, 20]).to_string(), "time": TIME_S + 20 },
        ],
        "invalid": invalid.to_vec(),
    })
}

/// Two of three of one organisation and one of two of another.
fn nested() -> String {
    let mut text = format!("# who must have seen it\nlog {}\n\n", log_key());
    for seed in 20..25 {
        text += &format!("witness w{seed} {} https://w{seed}.example/\n", witness(seed));
    }
    text + "group first 2 w20 w21 w22\n\tgroup  second any w23\tw24 \ngroup both all first second\nquorum both\n"
}

fn policies() -> Value {
    let single = format!("witness w20 {}\nquorum w20\n", witness(20));
    let peers = Policy::of_witnesses([witness(20), witness(21), witness(22)], 2).to_string();
    let sets: [&[u8]; 6] = [&[], &[20], &[20, 21], &[20, 21, 24], &[20, 23, 24], &[20, 21, 22, 23, 24]];
    let policy = |text: String| {
        let read = Policy::parse(text.as_bytes()).expect("a policy");
        let cases = sets.map(|cosigners| {
            let note = cosigned(cosigners);
            let found = check_quorum(&note, &read);
            json!({
                "note": note.to_string(), "reached": found.reached, "unknown": found.unknown.len(),
                "cosigned": found.cosigned().map(|(w, _)| w.name.to_string()).collect::<Vec<_>>(),
            })
        });
        json!({ "text": text, "notes": cases.to_vec() })
    };
    json!([policy(nested()), policy(single), policy(peers), policy("quorum none\n".to_owned())])
}

fn invalid_policies() -> Value {
    let (a, b) = (format!("witness a {}\n", witness(20)), format!("witness b {}\n", witness(21)));
    let log = format!("log {}\n", log_key());
    let cases = [
        ("no last newline", "quorum none".to_owned()),
        ("no quorum line", a.clone()),
        ("two quorum lines", "quorum none\nquorum none\n".to_owned()),
        ("a quorum before its definition", format!("quorum a\n{a}")),
        ("a key twice under two names", format!("{a}{}quorum a\n", a.replace("witness a", "witness b"))),
        ("a name twice", format!("{a}{}quorum a\n", b.replace("witness b", "witness a"))),
        ("a log's key as a witness", format!("{}quorum a\n", log.replace("log ", "witness a "))),
        ("a witness's key as a log", format!("{}quorum none\n", a.replace("witness a", "log"))),
        ("a log twice", format!("{log}{log}quorum none\n")),
        ("the name none", format!("{}quorum none\n", a.replace("witness a", "witness none"))),
        ("none as a member", format!("{a}group g any none\nquorum g\n")),
        ("a group without members", format!("{a}group g any\nquorum g\n")),
        ("a threshold of 0", format!("{a}{b}group g 0 a b\nquorum g\n")),
        ("a threshold above the members", format!("{a}{b}group g 3 a b\nquorum g\n")),
        ("a threshold with a leading zero", format!("{a}{b}group g 01 a b\nquorum g\n")),
        ("a member twice", format!("{a}{b}group g any a a\nquorum g\n")),
        ("a member of two groups", format!("{a}{b}group g any a\ngroup h any a b\nquorum g\n")),
        ("a group in itself", format!("{a}group g any g\nquorum g\n")),
        ("a carriage return", "quorum none\r\n".to_owned()),
        ("a word nobody knows", "Quorum none\n".to_owned()),
        ("something after the URL", format!("{} https://a.example/ b\nquorum a\n", a.trim_end())),
    ];
    let case = |(about, text): (&str, String)| {
        assert!(Policy::parse(text.as_bytes()).is_err(), "{about}");
        json!({ "about": about, "text": text, "why": "refused" })
    };
    cases.map(case).to_vec().into()
}

fn least() -> Value {
    let cases = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 1), (4, 1), (4, 3), (5, 2), (7, 2), (0, 0)];
    cases.map(|(n, f)| json!({ "witnesses": n, "liars": f, "least": least_quorum(n, f) })).to_vec().into()
}

fn request(old_size: u64, leaves: &[Hash]) -> AddCheckpoint {
    let size = leaves.len() as u64;
    let proof = match old_size {
        0 => Vec::new(),
        _ => build_consistency(&mut LeafHashes(leaves), old_size, size).unwrap_or_default(),
    };
    AddCheckpoint { old_size, proof, note: checkpoint(leaves) }
}

fn requests() -> Value {
    let seen = |leaves: &[Hash]| Seen {
        size: leaves.len() as u64,
        root: root_of(leaves.iter().copied()),
        note: checkpoint(leaves),
    };
    let (five, nine) = (leaves(5, 99), leaves(9, 99));
    let mut wrong_proof = request(5, &nine);
    wrong_proof.proof.swap(0, 1);
    let mut forged = request(0, &five);
    forged.note = {
        let text = forged.note.text().parse::<Checkpoint>().expect("a checkpoint");
        text.sign(&key(11))
    };
    let old_larger = AddCheckpoint { old_size: 6, proof: Vec::new(), note: checkpoint(&five) };
    let proof_from_nothing = AddCheckpoint { proof: vec![Hash::ZERO], ..request(0, &five) };
    let cases = [
        ("the first checkpoint", None, request(0, &five)),
        ("one that extends it", Some(&five), request(5, &nine)),
        ("the same again", Some(&nine), request(9, &nine)),
        ("an old size that nobody cosigned", Some(&five), request(3, &nine)),
        ("an old size of 0 after the first", Some(&five), request(0, &nine)),
        ("a first one with an old size", None, request(5, &nine)),
        ("a smaller one", Some(&nine), request(5, &leaves(7, 99))),
        ("the same size with another root", Some(&nine), request(9, &leaves(9, 4))),
        ("the same size with another root and an old size of 0", Some(&nine), request(0, &leaves(9, 4))),
        ("a fork that is longer", Some(&five), request(5, &leaves(9, 4))),
        ("a proof in another order", Some(&five), wrong_proof),
        ("a proof from nothing", None, proof_from_nothing),
        ("signed by another key", None, forged),
        ("an old size above the new one", Some(&five), old_larger),
    ];
    let case = |(about, last, request): (&str, Option<&Vec<Hash>>, AddCheckpoint)| {
        let last = last.map(|leaves| seen(leaves));
        let (status, conflict, contradiction) = match decide(&[log_key()], last.as_ref(), &request) {
            Decision::Cosign(_) => (200, None, false),
            Decision::Conflict { size, contradiction } => (409, Some(size), contradiction.is_some()),
            Decision::Refuse(refusal) => (refusal.status(), None, false),
        };
        json!({
            "about": about, "log": log_key().to_string(), "request": request.to_string(),
            "seen": last.map(|seen| json!({ "size": seen.size, "root": seen.root.to_string() })),
            "status": status, "size": conflict, "contradiction": contradiction,
        })
    };
    cases.map(case).to_vec().into()
}

fn invalid_requests() -> Value {
    let good = request(5, &leaves(9, 99)).to_string();
    let line = good.lines().nth(1).expect("a proof line").to_owned() + "\n";
    let cases = [
        ("an old size with a leading zero", good.replace("old 5", "old 05")),
        ("no old size", good.replace("old 5\n", "")),
        ("two spaces", good.replace("old 5", "old  5")),
        ("a proof line that is no hash", good.replace(&line, "AAAA\n")),
        ("64 proof lines", good.replace(&line, &line.repeat(64))),
        ("no empty line before the checkpoint", good.replacen("\n\n", "\n", 1)),
        ("no signature", good.split("—").next().unwrap_or_default().to_owned()),
        ("no last newline", good.trim_end().to_owned()),
    ];
    let case = |(about, text): (&str, String)| {
        assert!(AddCheckpoint::parse(text.as_bytes()).is_err(), "{about}");
        json!({ "about": about, "text": text, "why": "refused" })
    };
    cases.map(case).to_vec().into()
}

/// Hull records what it has cosigned of madison's log.
fn views() -> Value {
    let mut world = World::new();
    for i in 0..2 {
        let now_ms = world.tick();
        world.networks[i].found(now_ms);
    }
    world.deliver();
    let stranger = {
        let now_ms = world.tick();
        world.networks[2].found(now_ms);
        world.networks[2].ledger()
    };
    world.peer(0, 1);
    let madison = world.networks[1].ledger();
    let view = |size: u64, root: u8| PeerView {
        peer: madison,
        origin: madison.origin(),
        size,
        root: Hash([root; 32]),
        note: Hash::of("", &[b"note", &size.to_be_bytes()]),
    };
    let later = PeerView { origin: format!("{}/1", madison.origin()), ..view(3, 0x33) };
    for recorded in [view(5, 0x55), view(9, 0x99), later] {
        let now_ms = world.tick();
        let written = world.networks[0].with(now_ms, |engine, cx| engine.record_view(recorded, cx));
        written.expect("a view by the rules");
    }
    let cases = [
        ("a smaller log", view(8, 0x88)),
        ("the same again", view(9, 0x99)),
        ("the same size with another root", view(9, 0x98)),
        ("a log of a network without an accord", PeerView { peer: stranger, ..view(10, 0xaa) }),
        ("the origin of another network", PeerView { origin: stranger.origin(), ..view(10, 0xaa) }),
        ("a succession with a leading zero", PeerView { origin: madison.origin() + "/01", ..view(10, 0xaa) }),
        ("an empty log", PeerView { origin: madison.origin() + "/2", ..view(0, 0) }),
    ];
    let mut invalid: Vec<Value> =
        cases.map(|(about, view)| refused(&world, about, Payload::PeerView(view), false, false)).to_vec();
    let good = || Payload::PeerView(view(10, 0xaa));
    invalid.push(refused(&world, "signed by a person", good(), true, false));
    invalid.push(refused(&world, "in the public stream", good(), false, true));
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
