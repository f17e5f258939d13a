//! Messages between nodes, descriptors, invitations and check words: valid ones, and ones that are refused.

use super::entries::book;
use super::kit::{START_MS, encoding_code, hex, key, reading, unhex};
use serde_json::{Value, json};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::intent::{
    CLAIM_VERSION, Decision, DecisionBody, Hop, Intent, Outcome, Part, RejectCode, SignedIntent,
};
use weft_protocol::clearing::step::RootSig;
use weft_protocol::encoding::Blob;
use weft_protocol::federation::descriptor::{DESCRIPTOR_VERSION, Descriptor, DescriptorError};
use weft_protocol::federation::invite::{Covered, Invite, InviteError, check_words};
use weft_protocol::ids::{Hash, KeyBytes, LedgerId, PUBLIC_STREAM, SigBytes, Signer, StreamId};
use weft_protocol::ledger::identity::{Identity, Purpose};
use weft_protocol::wire::{
    Ask, Asked, EvidenceShown, EvidenceTaken, Hello, Message, PairAnswer, PairAsk, Push, PushProof, Pushed,
    Resume, WitnessAnswer, WitnessAsk,
};

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/network.md §4 to §7",
        "messages": messages(),
        "invalid": invalid(),
        "descriptor": descriptors(),
        "invite": invitations(),
        "words": words(),
    })
}

fn case<M: Message>(about: &str, kind: &str, message: &M) -> Value {
    let bytes = message.to_bytes();
    assert!(M::parse(&bytes).is_ok(), "{about}");
    json!({ "about": about, "type": kind, "reading": reading(&bytes), "hex": hex(&bytes) })
}

fn hello() -> Hello {
    let resume = Resume { mine: 3, my_head: Hash([1; 32]), yours: 0, your_head: Hash::ZERO };
    Hello {
        message: 1,
        versions: vec![1],
        ledger: LedgerId([0xaa; 32]),
        descriptor: Blob(b"descriptor".to_vec()),
        resume: Some(resume),
    }
}

fn push() -> Push {
    let (entries, sidecars) = (vec![Blob(b"entry 4".to_vec()), Blob(b"entry 5".to_vec())], Vec::new());
    Push { message: 1, channel: StreamId([0xcc; 16]), entries, sidecars, proofs: Vec::new() }
}

fn intent() -> SignedIntent {
    let (payer, payee) = (LedgerId([0xaa; 32]), LedgerId([0xbb; 32]));
    let amount = Amount::new(90).expect("90 is an amount");
    let hop = Hop { pair: 0, src: amount, dst: amount, accord_version: 1 };
    let intent = Intent {
        v: CLAIM_VERSION,
        payer,
        epoch: 0,
        payee,
        sidecar: Hash([5; 32]),
        parts: vec![Part { route: vec![payer, payee], hops: vec![hop] }],
        expires_ms: START_MS,
        nonce: Hash([6; 32]),
    };
    SignedIntent::sign(&intent, &key(10))
}

fn ask() -> Ask {
    Ask { message: 1, intent: intent(), cancel: true, identity: Vec::new() }
}

fn pair_ask(message: u8) -> PairAsk {
    PairAsk {
        message,
        token: [7; 16],
        entries: Vec::new(),
        descriptor: None,
        unit: None,
        nonce_hash: None,
        nonce: None,
        signatures: Vec::new(),
    }
}

fn pair_answer(message: u8) -> PairAnswer {
    PairAnswer {
        message,
        entries: Vec::new(),
        descriptor: None,
        accord: None,
        nonce_hash: None,
        nonce: None,
        signatures: Vec::new(),
        refused: None,
    }
}

fn messages() -> Vec<Value> {
    let signatures = vec![RootSig { signer: Signer([8; 8]), sig: SigBytes([9; 64]) }];
    let introduction = PairAsk {
        entries: vec![Blob(b"genesis".to_vec())],
        descriptor: Some(Blob(b"descriptor".to_vec())),
        unit: Some(0),
        nonce_hash: Some(Hash::of("", &[&[2; 32]])),
        ..pair_ask(1)
    };
    let offer = PairAnswer {
        entries: vec![Blob(b"genesis".to_vec())],
        descriptor: Some(Blob(b"descriptor".to_vec())),
        accord: Some(Blob(b"accord".to_vec())),
        nonce_hash: Some(Hash::of("", &[&[3; 32]])),
        ..pair_answer(2)
    };
    let claim = intent().claim();
    let decision = |outcome, code| {
        let body =
            DecisionBody { v: CLAIM_VERSION, decider: LedgerId([0xbb; 32]), epoch: 0, claim, outcome, code };
        Decision::sign(body, &key(20))
    };
    let path = PushProof { entry: 1, path: vec![Hash([7; 32]), Hash([8; 32])] };
    let question = Push { channel: PUBLIC_STREAM, entries: Vec::new(), ..push() };
    vec![
        case("a hello with where the streams stand", "Hello", &hello()),
        case("the answer of a stranger", "Hello", &Hello { message: 2, resume: None, ..hello() }),
        case("two entries", "Push", &push()),
        case("with a sealed sidecar", "Push", &Push { sidecars: vec![Blob(b"envelope".to_vec())], ..push() }),
        case("with the path of an entry", "Push", &Push { proofs: vec![path], ..push() }),
        case("of the public stream, without entries: a question", "Push", &question),
        case("all of it", "Pushed", &Pushed { message: 2, next: 6, problem: None }),
        case(
            "not all of it",
            "Pushed",
            &Pushed { message: 2, next: 5, problem: Some("the next place is 5, got 6".into()) },
        ),
        case(
            "evidence",
            "EvidenceShown",
            &EvidenceShown { message: 3, evidence: Blob(b"evidence".to_vec()) },
        ),
        case(
            "evidence that was recorded",
            "EvidenceTaken",
            &EvidenceTaken { message: 4, id: Hash([9; 32]), taken: EvidenceTaken::RECORDED },
        ),
        case("asking for the word, or for a no", "Ask", &ask()),
        case("asking for the word alone", "Ask", &Ask { cancel: false, ..ask() }),
        case("still open", "Asked", &Asked { message: 2, decision: None, refused: None }),
        case(
            "turned down",
            "Asked",
            &Asked {
                message: 2,
                decision: Some(decision(Outcome::Reject, RejectCode::Cancelled.code())),
                refused: None,
            },
        ),
        case(
            "accepted",
            "Asked",
            &Asked { message: 2, decision: Some(decision(Outcome::Accept, 0)), refused: None },
        ),
        case(
            "not answered",
            "Asked",
            &Asked { message: 2, decision: None, refused: Some("not on the route".into()) },
        ),
        case("introduction", "PairAsk", &introduction),
        case("nonce", "PairAsk", &PairAsk { nonce: Some(Hash([2; 32])), ..pair_ask(3) }),
        case("confirmation", "PairAsk", &PairAsk { signatures: signatures.clone(), ..pair_ask(5) }),
        case("introduction, with the accord", "PairAnswer", &offer),
        case("nonce", "PairAnswer", &PairAnswer { nonce: Some(Hash([3; 32])), ..pair_answer(4) }),
        case("not confirmed yet", "PairAnswer", &pair_answer(6)),
        case("confirmed", "PairAnswer", &PairAnswer { signatures, ..pair_answer(6) }),
        case(
            "refused",
            "PairAnswer",
            &PairAnswer { refused: Some("there is no such invitation".into()), ..pair_answer(8) },
        ),
        case(
            "asking for a cosignature",
            "WitnessAsk",
            &WitnessAsk { message: 1, request: Some(Blob(b"old 0\n\n".to_vec())) },
        ),
        case("asking what was cosigned", "WitnessAsk", &WitnessAsk { message: 3, request: None }),
        case(
            "another old size",
            "WitnessAnswer",
            &WitnessAnswer { message: 2, status: Some(409), body: Some(Blob(b"7\n".to_vec())) },
        ),
        case(
            "nothing was cosigned",
            "WitnessAnswer",
            &WitnessAnswer { message: 4, status: None, body: None },
        ),
    ]
}

fn refused<M: Message>(about: &str, kind: &str, bytes: &[u8]) -> Value {
    let Err(error) = M::parse(bytes) else { panic!("{about}: it was accepted") };
    json!({ "about": about, "type": kind, "hex": hex(bytes), "why": encoding_code(&error) })
}

fn invalid() -> Vec<Value> {
    let pushed = Pushed { message: 2, next: 6, problem: None }.to_bytes();
    let with = |last: &[u8]| [&pushed[..], last].concat();
    // A map of one field more than `pushed`, which has two.
    let more = |field: &[u8]| [&[0xa3][..], &pushed[1..], field].concat();
    let long = Pushed { message: 2, next: 6, problem: Some("x".repeat(257)) };
    let crowd = Push { entries: vec![Blob(Vec::new()); 65], ..push() };
    let big = Hello { descriptor: Blob(vec![0; 8 * 1024]), ..hello() };
    vec![
        refused::<Pushed>(
            "a request's number in an answer",
            "Pushed",
            &Pushed { message: 1, next: 6, problem: None }.to_bytes(),
        ),
        refused::<EvidenceShown>(
            "a push's number on evidence",
            "EvidenceShown",
            &EvidenceShown { message: 1, evidence: Blob(b"evidence".to_vec()) }.to_bytes(),
        ),
        refused::<PairAsk>("an answer's number in a request", "PairAsk", &pair_ask(2).to_bytes()),
        refused::<PairAsk>("a number that nobody has defined", "PairAsk", &pair_ask(7).to_bytes()),
        refused::<Pushed>("a byte after the message", "Pushed", &with(&[0])),
        refused::<Pushed>("cut short", "Pushed", &pushed[..pushed.len() - 1]),
        refused::<Pushed>("nothing at all", "Pushed", &[]),
        refused::<Pushed>("without its number", "Pushed", &unhex("a10106")),
        refused::<Pushed>("next as text", "Pushed", &unhex("a20002016136")),
        refused::<Pushed>("next in more bytes than needed", "Pushed", &unhex("a20002011806")),
        refused::<Pushed>("fields out of order", "Pushed", &unhex("a201060002")),
        refused::<Pushed>("null instead of absent", "Pushed", &more(&[2, 0xf6])),
        refused::<Pushed>("a field that nobody knows", "Pushed", &more(&[3, 0])),
        refused::<Pushed>("a problem longer than any text", "Pushed", &long.to_bytes()),
        refused::<Push>("an empty list of sidecars", "Push", &empty_list(&push().to_bytes(), 0xa3, 3)),
        refused::<Push>("more entries than a list may have", "Push", &crowd.to_bytes()),
        refused::<PairAsk>(
            "an empty list of signatures",
            "PairAsk",
            &empty_list(&pair_ask(5).to_bytes(), 0xa2, 7),
        ),
        refused::<PairAsk>("a token of 15 bytes", "PairAsk", &[&unhex("a20005014f")[..], &[7; 15]].concat()),
        refused::<Hello>("longer than its cap", "Hello", &big.to_bytes()),
        refused::<Ask>("cancel as a number", "Ask", &numbered_cancel(&ask().to_bytes())),
        refused::<WitnessAsk>(
            "an answer's number in a request",
            "WitnessAsk",
            &WitnessAsk { message: 2, request: None }.to_bytes(),
        ),
        refused::<WitnessAnswer>(
            "longer than its cap",
            "WitnessAnswer",
            &WitnessAnswer { message: 2, status: Some(200), body: Some(Blob(vec![0; 72 * 1024])) }.to_bytes(),
        ),
    ]
}

/// A map with one field more: an empty list.
fn empty_list(bytes: &[u8], head: u8, field: u8) -> Vec<u8> {
    assert_eq!(bytes[0], head);
    [&[head + 1], &bytes[1..], &[field, 0x80]].concat()
}

/// `cancel` is the last field of an Ask without identity: 1 instead of true.
fn numbered_cancel(bytes: &[u8]) -> Vec<u8> {
    let (last, rest) = bytes.split_last().expect("a message is not empty");
    assert_eq!(*last, 0xf5);
    [rest, &[1]].concat()
}

fn descriptors() -> Value {
    let book = book();
    let identity = book.state.identity.as_ref().expect("the ledger has a genesis");
    let key_of = |purpose| *identity.current(purpose).expect("every purpose has a key").1;
    let log = key(book.log_seed);
    let good = Descriptor {
        v: DESCRIPTOR_VERSION,
        ledger: identity.ledger,
        dseq: 3,
        issued_ms: START_MS,
        expires_ms: START_MS + 30 * 86_400_000,
        site: "hull".into(),
        peer: key_of(Purpose::Libp2p),
        addresses: vec!["/ip4/192.0.2.1/tcp/7600".into(), "/dns4/hull.example/tcp/7600".into()],
        capabilities: Vec::new(),
    };
    let bare = Descriptor { addresses: Vec::new(), ..good.clone() };
    let valid = [("two addresses", &good), ("no address", &bare)].map(|(about, descriptor)| {
        let bytes = descriptor.sign(&log);
        assert_eq!(Descriptor::open(&bytes, identity).as_ref(), Ok(descriptor), "{about}");
        json!({ "about": about, "hex": hex(&bytes), "body": reading(&weft_protocol::encoding::encode(descriptor)) })
    });
    let changed = |change: &dyn Fn(&mut Descriptor)| {
        let mut descriptor = good.clone();
        change(&mut descriptor);
        descriptor.sign(&log)
    };
    let invalid = vec![
        no_descriptor("another version", &changed(&|d| d.v = 2), identity),
        no_descriptor("another network's", &changed(&|d| d.ledger = LedgerId([1; 32])), identity),
        no_descriptor(
            "nine addresses",
            &changed(&|d| d.addresses = vec!["/ip4/192.0.2.1/tcp/1".into(); 9]),
            identity,
        ),
        no_descriptor("no name", &changed(&|d| d.site = String::new()), identity),
        no_descriptor("a name of 33 bytes", &changed(&|d| d.site = "x".repeat(33)), identity),
        no_descriptor(
            "another libp2p key than the bound one",
            &changed(&|d| d.peer = KeyBytes([1; 32])),
            identity,
        ),
        no_descriptor("signed by another key", &good.sign(&key(99)), identity),
        no_descriptor("a byte too many", &[good.sign(&log), vec![0]].concat(), identity),
        no_descriptor(
            "longer than any descriptor",
            &changed(&|d| d.capabilities = vec!["x".repeat(200); 16]),
            identity,
        ),
    ];
    json!({
        "ledger": identity.ledger.to_string(), "log": log.public().bytes().to_string(),
        "libp2p": key_of(Purpose::Libp2p).to_string(), "valid": valid.to_vec(), "invalid": invalid,
    })
}

fn no_descriptor(about: &str, bytes: &[u8], identity: &Identity) -> Value {
    let why = match Descriptor::open(bytes, identity) {
        Ok(_) => panic!("{about}: it was accepted"),
        Err(DescriptorError::Encoding(e)) => encoding_code(&e),
        Err(DescriptorError::Content(_)) => "content".into(),
        Err(DescriptorError::Signature(_)) => "signature".into(),
    };
    json!({ "about": about, "hex": hex(bytes), "why": why })
}

fn invitations() -> Value {
    let good = Invite {
        ledger: LedgerId([0xaa; 32]),
        peer: KeyBytes([2; 32]),
        addresses: vec!["/ip4/192.0.2.1/tcp/7600".into()],
        token: [7; 16],
        expires_ms: START_MS,
    };
    let link = good.link().expect("one address fits");
    let bytes = weft_protocol::encoding::encode(&good);
    let bad = |about: &str, link: String| {
        let why = match Invite::parse(&link) {
            Ok(_) => panic!("{about}: it was accepted"),
            Err(InviteError::Scheme) => "scheme".into(),
            Err(InviteError::TooLong { .. }) => "too-long".into(),
            Err(InviteError::Text) => "text".into(),
            Err(InviteError::Addresses) => "addresses".into(),
            Err(InviteError::Encoding(e)) => encoding_code(&e),
        };
        json!({ "about": about, "link": link, "why": why })
    };
    let invalid = vec![
        bad("another scheme", link.replace("weft-invite", "weft")),
        bad("the last four characters missing", link[..link.len() - 4].to_owned()),
        bad("a character that is none of base64url", link.replacen('p', "+", 1)),
        bad("one character of padding", format!("{link}=")),
        bad("601 characters", format!("{link}{}", "A".repeat(601 - link.len()))),
        bad("a space at the end", format!("{link} ")),
        // The empty map.
        bad("nothing in it", "weft-invite:oA".into()),
    ];
    json!({ "link": link, "hex": hex(&bytes), "reading": reading(&bytes), "invalid": invalid })
}

fn words() -> Vec<Value> {
    let covered = |accord: u8, nonces: [u8; 2]| Covered {
        accord: Hash([accord; 32]),
        a: (LedgerId([0xaa; 32]), key(11).public().bytes()),
        b: (LedgerId([0xbb; 32]), key(21).public().bytes()),
        nonces: nonces.map(|nonce| Hash([nonce; 32])),
    };
    let case = |covered: Covered| {
        json!({
            "accord": covered.accord.to_string(),
            "ledgers": [covered.a.0.to_string(), covered.b.0.to_string()],
            "log_keys": [covered.a.1.to_string(), covered.b.1.to_string()],
            "nonces": covered.nonces.map(|nonce| nonce.to_string()),
            "words": check_words(&covered),
        })
    };
    vec![case(covered(1, [2, 3])), case(covered(1, [3, 2])), case(covered(4, [2, 3]))]
}
