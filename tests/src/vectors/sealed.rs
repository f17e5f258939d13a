//! Sidecars: commitments, contents, and envelopes that open (or not) with a secret that is given.

use super::kit::{encoding_code, hex, reading, unhex};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use weft_protocol::encoding::Blob;
use weft_protocol::ids::{ClaimId, Hash};
use weft_protocol::seal::{Envelope, Opened, SealError, public_key};
use weft_protocol::sidecar::{Content, ContentError, commitment};

const SECRET: [u8; 32] = [7; 32];
const CLAIM: ClaimId = ClaimId([1; 32]);
const SALT: [u8; 32] = [9; 32];

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/clearing.md §10, specs/entry.md §8",
        "commitments": commitments(),
        "contents": contents(),
        "envelopes": envelopes(),
    })
}

fn commitments() -> Vec<Value> {
    let cases: [([u8; 32], &[u8]); 3] =
        [(SALT, b""), (SALT, b"We help each other."), ([0; 32], b"We help each other.")];
    let case = |(salt, content): &([u8; 32], &[u8])| json!({ "salt": hex(salt), "content": hex(content), "commitment": commitment(salt, content).to_string() });
    cases.iter().map(case).collect()
}

fn bob() -> Content {
    Content {
        payee: "Bob".into(),
        memo: Some("for bread, with thanks — Ada".into()),
        payer: Some("Ada".into()),
    }
}

fn contents() -> Value {
    let long = Content { memo: Some("m".repeat(1_024)), ..bob() };
    let short = Content { payee: "b".into(), memo: None, payer: None };
    let cases =
        [("all texts", bob()), ("the payee alone", short.clone()), ("the longest memo", long.clone())];
    let valid = cases.map(|(about, content)| {
        let bytes = content.to_bytes();
        assert_eq!(Content::parse(&bytes), Ok(content), "{about}");
        json!({ "about": about, "hex": hex(&bytes), "reading": reading(&bytes) })
    });
    let refused = |about: &str, bytes: Vec<u8>| {
        let why = match Content::parse(&bytes) {
            Ok(_) => panic!("{about}: it was accepted"),
            Err(ContentError::Encoding(e)) => encoding_code(&e),
            Err(ContentError::Length { .. }) => "length".into(),
            Err(ContentError::NotText { .. }) => "not-text".into(),
        };
        json!({ "about": about, "hex": hex(&bytes), "why": why })
    };
    let invalid = vec![
        refused("no payee", unhex("a0")),
        refused("an empty payee", Content { payee: String::new(), ..short.clone() }.to_bytes()),
        refused("a payee of 257 bytes", Content { payee: "b".repeat(257), ..short.clone() }.to_bytes()),
        refused("an empty memo", Content { memo: Some(String::new()), ..short.clone() }.to_bytes()),
        refused(
            "a memo of 1,025 bytes",
            Content { memo: Some("m".repeat(1_025)), ..short.clone() }.to_bytes(),
        ),
        refused("a payee that is not UTF-8", unhex("a10041ff")),
        refused("the payee as text", unhex("a1006162")),
        refused("2,049 bytes", Content { memo: Some("m".repeat(2_041)), ..short }.to_bytes()),
    ];
    json!({ "valid": valid.to_vec(), "invalid": invalid })
}

fn sealed(content: &[u8]) -> Envelope {
    let opened = Opened { salt: SALT, content: content.to_vec() };
    // What is random in a seal is fixed here, so that every run gives the same bytes.
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    Envelope::seal(&public_key(&SECRET), 0, &CLAIM, &opened, &mut rng).expect("a short content can be sealed")
}

fn envelopes() -> Value {
    let long = Content { memo: Some("m".repeat(1_000)), ..bob() }.to_bytes();
    let cases = [("padded to 512 bytes", bob().to_bytes()), ("padded to 2,048 bytes", long)];
    let valid = cases.map(|(about, content)| {
        let envelope = sealed(&content);
        assert_eq!(envelope.open(&SECRET, &CLAIM).map(|o| o.content).as_ref(), Ok(&content), "{about}");
        json!({
            "about": about, "hex": hex(envelope.to_bytes()), "commitment": envelope.commitment.to_string(),
            "salt": hex(SALT), "content": hex(&content),
        })
    });
    let good = sealed(&bob().to_bytes());
    let flipped = |at: usize| {
        let mut bytes = good.sealed.0.clone();
        bytes[at] ^= 1;
        Envelope { sealed: Blob(bytes), ..good.clone() }
    };
    let refused = |about: &str, envelope: &Envelope, secret: [u8; 32], claim: ClaimId| {
        let why = match envelope.open(&secret, &claim) {
            Ok(_) => panic!("{about}: it was opened"),
            Err(SealError::Commitment) => "commitment",
            Err(SealError::Open) => "open",
            Err(error) => panic!("{about}: {error}"),
        };
        json!({ "about": about, "hex": hex(envelope.to_bytes()), "secret": hex(secret), "claim": claim.to_string(), "why": why })
    };
    let invalid = vec![
        refused("another receiver's secret", &good, [8; 32], CLAIM),
        refused("moved to another payment", &good, SECRET, ClaimId([2; 32])),
        refused("a bit flipped in the encapsulated key", &flipped(0), SECRET, CLAIM),
        refused("a bit flipped in the ciphertext", &flipped(32), SECRET, CLAIM),
        refused("a bit flipped in the tag", &flipped(good.sealed.0.len() - 1), SECRET, CLAIM),
        refused("another suite", &Envelope { suite: 2, ..good.clone() }, SECRET, CLAIM),
        refused("shorter than a key", &Envelope { sealed: Blob(vec![1; 31]), ..good.clone() }, SECRET, CLAIM),
        refused("another commitment", &Envelope { commitment: Hash([3; 32]), ..good.clone() }, SECRET, CLAIM),
    ];
    json!({
        "secret": hex(SECRET), "public": public_key(&SECRET).to_string(), "claim": CLAIM.to_string(),
        "valid": valid.to_vec(), "invalid": invalid,
    })
}
