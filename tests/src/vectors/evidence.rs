//! Evidence of each type: proven, and not, with why.

use super::clearing::{World, ledger_case};
use super::kit::{Book, class_of, genesis, hex, key, op_id, refusal};
use serde_json::{Value, json};
use weft_protocol::clearing::intent::{CLAIM_VERSION, Decision, DecisionBody, Outcome};
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Body, Entry, How, Op, Payload, Role, SignedOp, StreamHeader};
use weft_protocol::evidence::{Evidence, EvidenceType, InclusionHalf, Keys};
use weft_protocol::ids::UnitId;
use weft_protocol::ids::{ClaimId, Hash, LedgerId, Salt};
use weft_protocol::keys::{NOTE, SecretKey};
use weft_protocol::ledger::evidence::{EvidenceRecorded, FreezeLifted};
use weft_protocol::ledger::identity::{KeyBound, Purpose};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{KeyName, Note, SignatureLine, SignatureType, VerifierKey, key_id};
use weft_protocol::log::proof::{LeafHashes, build_inclusion};
use weft_protocol::log::tree::root_of;

/// Seeds: root, the log key of epoch 0 (witness, seal, libp2p and desk are the next four), the log key of epoch 1.
const ROOT: u8 = 70;
const LOG: u8 = 71;
const LOG_1: u8 = 79;

/// A ledger whose log key was replaced at seq 2.
struct Accused {
    ledger: LedgerId,
    entries: Vec<Entry>,
}

impl Accused {
    fn new() -> Self {
        let mut book = Book::new(LOG);
        let root = [(ROOT, Role::Root, How::OwnKey)];
        book.write("genesis", Payload::Genesis(genesis(&[ROOT], 1, LOG)), Vec::new(), &root);
        let unit = UnitDefined {
            unit: UnitId(0),
            code: "hour".into(),
            name: "Hours".into(),
            kind: UnitKind::Time,
            scale: 0,
        };
        book.write("a unit", Payload::UnitDefined(unit), Vec::new(), &root);
        let bound = KeyBound { purpose: Purpose::Log, epoch: 1, key: key(LOG_1).public().bytes() };
        book.write("a new log key", Payload::KeyBound(bound), Vec::new(), &root);
        let entries = book.entries.iter().map(|bytes| Entry::parse(bytes).expect("our own entry")).collect();
        Self { ledger: book.ledger(), entries }
    }

    fn identity(&self) -> Vec<Vec<u8>> {
        [0, 2].map(|at: usize| self.entries[at].bytes().to_vec()).to_vec()
    }

    fn head(&self, log: u8, size: u64, root: u8) -> Vec<u8> {
        head(&self.ledger.origin(), log, size, root)
    }

    fn proof(&self, size: u64, salt: u8, index: u64) -> InclusionHalf {
        let leaves: Vec<Hash> = (0..size).map(|i| Hash::of("", &[&[salt], &i.to_be_bytes()])).collect();
        let proof = build_inclusion(&mut LeafHashes(&leaves), index, size).expect("a place in the tree");
        let root = root_of(leaves.iter().copied());
        let note =
            Checkpoint::new(&self.ledger.origin(), size, root).expect("a checkpoint").sign(&key(LOG_1));
        let leaf = leaves[usize::try_from(index).expect("a small tree")];
        InclusionHalf { note: Blob(note.to_string().into_bytes()), index, leaf, proof }
    }

    /// The entry at a place as it might have been written otherwise.
    fn other(&self, at: usize, log: u8, change: impl FnOnce(&mut Body)) -> Vec<u8> {
        let mut body = self.entries[at].body().clone();
        body.salt = Salt([9; 16]);
        change(&mut body);
        Entry::sign(&body, &key(log)).expect("an entry").bytes().to_vec()
    }

    fn decision(&self, epoch: u32, claim: u8, outcome: Outcome, code: u16) -> Vec<u8> {
        let log = if epoch == 0 { LOG } else { LOG_1 };
        let (decider, claim) = (self.ledger, ClaimId([claim; 32]));
        encode(&Decision::sign(
            DecisionBody { v: CLAIM_VERSION, decider, epoch, claim, outcome, code },
            &key(log),
        ))
    }
}

fn head(origin: &str, log: u8, size: u64, root: u8) -> Vec<u8> {
    let checkpoint = Checkpoint::new(origin, size, Hash([root; 32])).expect("a checkpoint");
    checkpoint.sign(&key(log)).to_string().into_bytes()
}

/// A note of another log with a cosignature.
fn cosigned(witness: &SecretKey, size: u64, root: u8, time: u64) -> Vec<u8> {
    let mut note = Note::parse(&head("weft/other", 90, size, root)).expect("a note");
    let name = KeyName::new("weft/other-witness").expect("a key name");
    let message = format!("cosignature/v1\ntime {time}\n{}", note.text());
    let sig = witness.sign(NOTE, &[message.as_bytes()]);
    let signature = [&time.to_be_bytes()[..], sig.as_bytes()].concat();
    let id = key_id(&name, SignatureType::CosignatureV1, &witness.public().bytes());
    note.add(SignatureLine { name, id, signature }).expect("a second line");
    note.to_string().into_bytes()
}

/// The bytes of an Evidence, whether it is one or not.
fn raw(kind: u8, accused: &LedgerId, identity: &[Vec<u8>], halves: [&[u8]; 2]) -> Vec<u8> {
    let mut out = vec![if identity.is_empty() { 0xa4 } else { 0xa5 }, 0, 1, 1, kind, 2];
    bytes(accused.as_bytes(), &mut out);
    if !identity.is_empty() {
        out.extend([3, 0x80 | u8::try_from(identity.len()).expect("a short list")]);
        identity.iter().for_each(|entry| bytes(entry, &mut out));
    }
    out.extend([4, 0x82]);
    halves.iter().for_each(|half| bytes(half, &mut out));
    out
}

/// A byte string in CBOR.
fn bytes(content: &[u8], out: &mut Vec<u8>) {
    let len = u16::try_from(content.len()).expect("a short byte string");
    match u8::try_from(len) {
        Ok(len @ 0..=23) => out.push(0x40 | len),
        Ok(len) => out.extend([0x58, len]),
        Err(_) => {
            out.push(0x59);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend_from_slice(content);
}

/// The halves in the order that makes them evidence, or at least readable; `true` turns them.
fn case(about: &str, kind: EvidenceType, accused: &Accused, a: &[u8], b: &[u8]) -> Vec<u8> {
    let identity = accused.identity();
    let bytes = raw(kind.code(), &accused.ledger, &identity, [a, b]);
    let first = Evidence::parse(&bytes).and_then(|e| e.verify_alone());
    if matches!(first, Err(weft_protocol::evidence::NotEvidence::Order)) {
        let turned = raw(kind.code(), &accused.ledger, &identity, [b, a]);
        assert!(Evidence::parse(&turned).is_ok(), "{about}");
        return turned;
    }
    bytes
}

pub(super) fn vectors() -> Value {
    let accused = Accused::new();
    let invalid = invalid(&accused);
    let by_key = by_key(&accused);
    json!({
        "about": "specs/evidence.md. The accused's log key was replaced at seq 2",
        "accused": accused.ledger.to_string(),
        "valid": valid(&accused),
        "invalid": invalid,
        "by_key": by_key,
        "recorded": recorded(),
    })
}

fn valid(accused: &Accused) -> Vec<Value> {
    let unit = &accused.entries[1];
    let witness = key(LOG + 1);
    let cases = [
        ("two roots at size 7", EvidenceType::Notes, accused.head(LOG_1, 7, 1), accused.head(LOG_1, 7, 2)),
        (
            "two roots at size 2, by the key of then",
            EvidenceType::Notes,
            accused.head(LOG, 2, 1),
            accused.head(LOG, 2, 2),
        ),
        (
            "two roots after a succession",
            EvidenceType::Notes,
            head(&format!("{}/1", accused.ledger.origin()), LOG_1, 7, 1),
            head(&format!("{}/1", accused.ledger.origin()), LOG_1, 7, 2),
        ),
        (
            "another entry at index 3, in trees of two sizes",
            EvidenceType::Proofs,
            accused.proof(7, 1, 3).to_bytes(),
            accused.proof(9, 2, 3).to_bytes(),
        ),
        (
            "two entries at one seq",
            EvidenceType::Entries,
            unit.bytes().to_vec(),
            accused.other(1, LOG, |_| {}),
        ),
        (
            "two entries at one place of a stream",
            EvidenceType::Entries,
            unit.bytes().to_vec(),
            accused.other(1, LOG, |body| body.seq = 2),
        ),
        (
            "yes and no to a claim",
            EvidenceType::Decisions,
            accused.decision(1, 5, Outcome::Accept, 0),
            accused.decision(1, 5, Outcome::Reject, 2),
        ),
        (
            "yes by one key and no by the next",
            EvidenceType::Decisions,
            accused.decision(0, 5, Outcome::Accept, 0),
            accused.decision(1, 5, Outcome::Reject, 1),
        ),
        (
            "two roots of another log cosigned",
            EvidenceType::Cosignatures,
            cosigned(&witness, 7, 1, 100),
            cosigned(&witness, 7, 2, 200),
        ),
    ];
    let case = |(about, kind, a, b): (&str, EvidenceType, Vec<u8>, Vec<u8>)| {
        let bytes = case(about, kind, accused, &a, &b);
        let proven = Evidence::parse(&bytes).and_then(|e| e.verify_alone());
        let proven = proven.unwrap_or_else(|e| panic!("{about}: {e}"));
        json!({
            "about": about, "type": kind.code(), "hex": hex(&bytes), "id": proven.id().to_string(),
            "text": proven.evidence().to_text(),
        })
    };
    cases.into_iter().map(case).collect()
}

fn invalid(accused: &Accused) -> Vec<Value> {
    use EvidenceType::{Cosignatures, Decisions, Entries, Notes, Proofs};
    let unit = &accused.entries[1];
    let (a, b) = (accused.head(LOG_1, 7, 1), accused.head(LOG_1, 7, 2));
    let good = case("good", Notes, accused, &a, &b);
    let turned = {
        let one = raw(1, &accused.ledger, &accused.identity(), [&a, &b]);
        if one == good { raw(1, &accused.ledger, &accused.identity(), [&b, &a]) } else { one }
    };
    let mut version = good.clone();
    version[2] = 2;
    let mut wrong_proof = accused.proof(9, 2, 3);
    wrong_proof.proof.swap(0, 1);
    let stranger = key(90);
    let mut cosigned_badly = cosigned(&key(LOG + 1), 7, 2, 200);
    let at = cosigned_badly.len() - 10;
    cosigned_badly[at] = if cosigned_badly[at] == b'A' { b'B' } else { b'A' };
    let of = |about: &'static str, why: &'static str, kind, a: &[u8], b: &[u8]| {
        (about, why, case(about, kind, accused, a, b))
    };
    let cases = vec![
        ("a byte after the item", "encoding", [&good[..], &[0]].concat()),
        ("a type that is reserved", "encoding", raw(5, &accused.ledger, &accused.identity(), [&a, &b])),
        ("another version", "version", version),
        (
            "an identity entry that is a unit",
            "identity",
            raw(1, &accused.ledger, &[unit.bytes().to_vec()], [&a, &b]),
        ),
        (
            "identity entries of another ledger",
            "identity",
            raw(1, &LedgerId([1; 32]), &accused.identity(), [&a, &b]),
        ),
        ("identity entries without the genesis", "identity", {
            let (first, second) = if turned == raw(1, &accused.ledger, &accused.identity(), [&a, &b]) {
                (&b, &a)
            } else {
                (&a, &b)
            };
            raw(1, &accused.ledger, &accused.identity()[1..], [first, second])
        }),
        ("no identity entries and no key", "no-key", {
            let (first, second) = if turned == raw(1, &accused.ledger, &accused.identity(), [&a, &b]) {
                (&b, &a)
            } else {
                (&a, &b)
            };
            raw(1, &accused.ledger, &[], [first, second])
        }),
        ("a half that is no note", "half", raw(1, &accused.ledger, &accused.identity(), [&a, b"no note"])),
        ("the halves turned", "order", turned),
        ("one half twice", "same", raw(1, &accused.ledger, &accused.identity(), [&a, &a])),
        of("two sizes", "other-subject", Notes, &a, &accused.head(LOG_1, 8, 2)),
        of("two logs", "other-subject", Notes, &a, &head("weft/other", LOG_1, 7, 2)),
        of(
            "two roots of another log",
            "other-accused",
            Notes,
            &head("weft/other", LOG_1, 7, 1),
            &head("weft/other", LOG_1, 7, 2),
        ),
        of("a root that a stranger signed", "signature", Notes, &a, &accused.head(90, 7, 2)),
        of(
            "two roots at size 7 by the key before",
            "key-not-in-force",
            Notes,
            &accused.head(LOG, 7, 1),
            &accused.head(LOG, 7, 2),
        ),
        of(
            "two roots at size 2 by the key after",
            "key-not-in-force",
            Notes,
            &accused.head(LOG_1, 2, 1),
            &accused.head(LOG_1, 2, 2),
        ),
        (
            "a proof that leads elsewhere",
            "half",
            raw(
                2,
                &accused.ledger,
                &accused.identity(),
                [&accused.proof(7, 1, 3).to_bytes(), &wrong_proof.to_bytes()],
            ),
        ),
        of(
            "proofs of two places",
            "other-subject",
            Proofs,
            &accused.proof(7, 1, 3).to_bytes(),
            &accused.proof(9, 2, 4).to_bytes(),
        ),
        of(
            "proofs of one entry in two trees",
            "same",
            Proofs,
            &accused.proof(7, 1, 0).to_bytes(),
            &same_leaf(accused).to_bytes(),
        ),
        of(
            "entries of two boots",
            "other-subject",
            Entries,
            unit.bytes(),
            &accused.other(1, LOG, |body| body.boot += 1),
        ),
        of(
            "entries of two places",
            "other-subject",
            Entries,
            unit.bytes(),
            &accused.other(1, LOG, |body| {
                body.seq = 2;
                body.stream = body.stream.map(|header| StreamHeader { sseq: 2, ..header });
            }),
        ),
        of(
            "an entry that a stranger signed",
            "signature",
            Entries,
            unit.bytes(),
            &accused.other(1, 90, |_| {}),
        ),
        of(
            "two entries at seq 9 by the key before",
            "key-not-in-force",
            Entries,
            &accused.other(1, LOG, |body| body.seq = 9),
            &accused.other(1, LOG, |body| {
                body.seq = 9;
                body.time_ms += 1;
            }),
        ),
        of(
            "yes twice",
            "same",
            Decisions,
            &accused.decision(0, 5, Outcome::Accept, 0),
            &accused.decision(1, 5, Outcome::Accept, 0),
        ),
        of(
            "no for two reasons",
            "same",
            Decisions,
            &accused.decision(1, 5, Outcome::Reject, 1),
            &accused.decision(1, 5, Outcome::Reject, 2),
        ),
        of(
            "yes and no to two claims",
            "other-subject",
            Decisions,
            &accused.decision(1, 5, Outcome::Accept, 0),
            &accused.decision(1, 6, Outcome::Reject, 1),
        ),
        of(
            "a root cosigned by a stranger",
            "signature",
            Cosignatures,
            &cosigned(&key(LOG + 1), 7, 1, 100),
            &cosigned(&stranger, 7, 2, 200),
        ),
        of(
            "a cosignature with another signature",
            "signature",
            Cosignatures,
            &cosigned(&key(LOG + 1), 7, 1, 100),
            &cosigned_badly,
        ),
    ];
    let case = |(about, why, bytes): (&str, &str, Vec<u8>)| {
        let got = Evidence::parse(&bytes).and_then(|e| e.verify_alone());
        let got = got.err().map(|e| e.code());
        assert_eq!(got, Some(why), "{about}");
        json!({ "about": about, "why": why, "hex": hex(&bytes) })
    };
    cases.into_iter().map(case).collect()
}

/// An inclusion half whose leaf at index 0 is that of `proof(7, 1, 0)`, in another tree.
fn same_leaf(accused: &Accused) -> InclusionHalf {
    let first = accused.proof(7, 1, 0).leaf;
    let leaves = [first, Hash([1; 32])];
    let proof = build_inclusion(&mut LeafHashes(&leaves), 0, 2).expect("a place in the tree");
    let root = root_of(leaves.iter().copied());
    let note = Checkpoint::new(&accused.ledger.origin(), 2, root).expect("a checkpoint").sign(&key(LOG));
    InclusionHalf { note: Blob(note.to_string().into_bytes()), index: 0, leaf: first, proof }
}

/// Checked with a verifier key and nothing else.
fn by_key(accused: &Accused) -> Vec<Value> {
    let origin = accused.ledger.origin();
    let log = |seed: u8| Checkpoint::log_key(&origin, &key(seed).public()).expect("a key name");
    let name = KeyName::new("weft/other-witness").expect("a key name");
    let witness = VerifierKey::new(name, SignatureType::CosignatureV1, key(LOG + 1).public());
    let notes = [accused.head(LOG, 7, 1), accused.head(LOG, 7, 2)];
    let seen = [cosigned(&key(LOG + 1), 7, 1, 100), cosigned(&key(LOG + 1), 7, 2, 200)];
    let said = [accused.decision(1, 5, Outcome::Accept, 0), accused.decision(1, 5, Outcome::Reject, 2)];
    let cases = [
        ("notes by that key", EvidenceType::Notes, &notes, log(LOG), None),
        ("notes by another key", EvidenceType::Notes, &notes, log(LOG_1), Some("signature")),
        ("Decisions by that key", EvidenceType::Decisions, &said, log(LOG_1), None),
        (
            "Decisions with a witness's key",
            EvidenceType::Decisions,
            &said,
            witness.clone(),
            Some("signature"),
        ),
        ("cosignatures by that key", EvidenceType::Cosignatures, &seen, witness, None),
    ];
    let case = |(about, kind, halves, verifier, why): (
        &str,
        EvidenceType,
        &[Vec<u8>; 2],
        VerifierKey,
        Option<&str>,
    )| {
        let keys = Keys::Key(Box::new(verifier.clone()));
        let mut bytes = raw(kind.code(), &accused.ledger, &[], [&halves[0], &halves[1]]);
        let mut got = Evidence::parse(&bytes).and_then(|e| e.verify(&keys));
        if matches!(got, Err(weft_protocol::evidence::NotEvidence::Order)) {
            bytes = raw(kind.code(), &accused.ledger, &[], [&halves[1], &halves[0]]);
            got = Evidence::parse(&bytes).and_then(|e| e.verify(&keys));
        }
        assert_eq!(got.err().map(|e| e.code()), why, "{about}");
        let mut case = json!({ "about": about, "key": verifier.to_string(), "hex": hex(&bytes) });
        if let Some(why) = why {
            case["why"] = json!(why);
        }
        case
    };
    cases.into_iter().map(case).collect()
}

/// Hull records evidence against madison, and its root set lifts the freeze.
fn recorded() -> Value {
    let mut world = World::new();
    for i in 0..2 {
        let now_ms = world.tick();
        world.networks[i].found(now_ms);
    }
    world.deliver();
    world.peer(0, 1);
    let madison = world.networks[1].ledger();
    let against = |n: u8| {
        let kind = EvidenceType::Decisions;
        Payload::EvidenceRecorded(EvidenceRecorded { evidence: Hash([n; 32]), accused: madison, kind })
    };
    let lift = |accused| Payload::FreezeLifted(FreezeLifted { accused });
    let reason = vec![Hash([0x77; 32])];
    for n in 1..=7 {
        write(&mut world, u64::from(n), against(n), &[], false);
    }
    write(&mut world, 20, lift(madison), &reason, true);
    write(&mut world, 21, against(8), &[], false);
    let hull = world.networks[0].ledger();
    let ours = EvidenceRecorded { evidence: Hash([9; 32]), accused: hull, kind: EvidenceType::Notes };
    let invalid = vec![
        refused(&world, "the same evidence again", against(3), &[], false),
        refused(&world, "a ninth", against(9), &[], false),
        refused(&world, "against ourselves", Payload::EvidenceRecorded(ours), &[], false),
        refused(&world, "signed by a person", against(9), &[], true),
        refused(&world, "lifted by the node", lift(madison), &reason, false),
        refused(&world, "lifted without a reason", lift(madison), &[], true),
        refused(&world, "lifted of a network without an accord", lift(LedgerId([3; 32])), &reason, true),
    ];
    json!({ "ledgers": world.networks[..2].iter().map(ledger_case).collect::<Vec<_>>(), "of": "hull", "invalid": invalid })
}

/// Hull writes an entry.
fn write(world: &mut World, n: u64, payload: Payload, sidecars: &[Hash], by_root: bool) {
    let now_ms = world.tick();
    let hull = &mut world.networks[0];
    let op = Op { op_id: op_id(9_000 + n), not_after_ms: now_ms, payload, sidecars: sidecars.to_vec() };
    let mut signed = SignedOp::unsigned(&op);
    if by_root {
        signed = signed.signed(&hull.ledger(), &key(hull.seed), Role::Root, How::OwnKey);
    }
    hull.with(now_ms, |engine, cx| engine.submit(&signed, cx)).expect("an entry by the rules");
}

/// An entry that hull could not write next.
fn refused(world: &World, about: &str, payload: Payload, sidecars: &[Hash], by_root: bool) -> Value {
    let hull = &world.networks[0];
    let state = &hull.state;
    let op =
        Op { op_id: op_id(9_999), not_after_ms: state.head.time_ms, payload, sidecars: sidecars.to_vec() };
    let mut signed = SignedOp::unsigned(&op);
    if by_root {
        signed = signed.signed(&hull.ledger(), &key(hull.seed), Role::Root, How::OwnKey);
    }
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
        stream: None,
        boot: state.head.boot,
    };
    let entry = Entry::sign(&body, &key(hull.seed + 1)).expect("a well-formed entry");
    let (code, _) = refusal(state, entry.bytes()).unwrap_or_else(|| panic!("accepted: {about}"));
    json!({ "about": about, "hex": hex(entry.bytes()), "class": class_of(&code), "why": code })
}
