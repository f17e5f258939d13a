//! Letters for a peer that is away: sealed ones that open or not with a secret that is given, and the messages around them.

use super::kit::{encoding_code, hex, reading};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::ids::{LedgerId, StreamId};
use weft_protocol::letter::{
    GetLetters, Kept, Letter, LetterError, LetterPut, LettersGone, LettersGot, LettersTaken, MAX_PUSH_BYTES,
    PutLetter, SIZES,
};
use weft_protocol::seal::{public_key, seal_to};
use weft_protocol::wire::{Message, Push};

const SECRET: [u8; 32] = [7; 32];
const FROM: LedgerId = LedgerId([0xaa; 32]);
const TO: LedgerId = LedgerId([0xbb; 32]);
const KEY: u32 = 2;

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/network.md §13",
        "secret": hex(SECRET),
        "public": public_key(&SECRET).to_string(),
        "from": FROM.to_string(),
        "to": TO.to_string(),
        "letters": letters(),
        "invalid": invalid(),
        "messages": messages(),
        "refused": refused(),
    })
}

fn rng() -> ChaCha20Rng {
    // What is random in a seal is fixed here, so that every run gives the same bytes.
    ChaCha20Rng::from_seed([3; 32])
}

fn push(len: usize) -> Push {
    let entries = vec![Blob(vec![9; len])];
    Push { message: 1, channel: StreamId([3; 16]), entries, sidecars: Vec::new(), proofs: Vec::new() }
}

fn sealed(push: &Push) -> Letter {
    Letter::seal((&TO, KEY, &public_key(&SECRET)), &FROM, push, &mut rng()).expect("it fits")
}

/// Around one entry of some length.
fn around() -> usize {
    push(2_000).to_bytes().len() - 2_000
}

fn letters() -> Vec<Value> {
    let cases =
        [("one entry, padded", push(200)), ("a push that fills its size", push(2_048 - 4 - around()))];
    let case = |(about, push): &(&str, Push)| {
        let letter = sealed(push);
        assert_eq!(letter.open(&SECRET, &FROM, &TO).as_ref(), Ok(push), "{about}");
        json!({ "about": about, "hex": hex(encode(&letter)), "push": hex(push.to_bytes()) })
    };
    cases.iter().map(case).collect()
}

/// A letter with a plaintext of any form, sealed as specs/network.md 13.3 says.
fn of_plain(plain: &[u8]) -> Letter {
    let bound = [&FROM.as_bytes()[..], TO.as_bytes(), &KEY.to_be_bytes()].concat();
    let sealed = seal_to(&public_key(&SECRET), b"WEFT-LETTER/1\n", &bound, plain, &mut rng());
    Letter { key: KEY, sealed: Blob(sealed.expect("the key is one")) }
}

fn padded(start: &[u8]) -> Letter {
    of_plain(&[start, &vec![0; SIZES[0] - start.len()]].concat())
}

fn invalid() -> Vec<Value> {
    let good = sealed(&push(200));
    let case = |about: &str, letter: &Letter, secret: [u8; 32], from: LedgerId, to: LedgerId| {
        let why = match letter.open(&secret, &from, &to) {
            Ok(_) => panic!("{about}: it was opened"),
            Err(LetterError::Length { .. }) => "length".to_owned(),
            Err(LetterError::Open) => "open".to_owned(),
            Err(LetterError::Push(error)) => encoding_code(&error),
            Err(error) => panic!("{about}: {error}"),
        };
        json!({
            "about": about, "hex": hex(encode(letter)), "secret": hex(secret), "from": from.to_string(),
            "to": to.to_string(), "why": why,
        })
    };
    let ours = |about: &str, letter: &Letter| case(about, letter, SECRET, FROM, TO);
    let flipped = |at: usize| {
        let mut bytes = good.sealed.0.clone();
        bytes[at] ^= 1;
        Letter { sealed: Blob(bytes), ..good.clone() }
    };
    let bytes = push(10).to_bytes();
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    vec![
        case("another network's secret", &good, [8; 32], FROM, TO),
        case("passed off as of another sender", &good, SECRET, LedgerId([0xcc; 32]), TO),
        case("put for another receiver", &good, SECRET, FROM, LedgerId([0xcc; 32])),
        ours("passed off as under another key", &Letter { key: KEY + 1, ..good.clone() }),
        ours("a bit flipped in the encapsulated key", &flipped(0)),
        ours("a bit flipped in the tag", &flipped(good.sealed.0.len() - 1)),
        ours("a length between two sizes", &Letter { sealed: Blob(vec![1; 48 + 4_096]), ..good.clone() }),
        ours("nothing sealed", &Letter { sealed: Blob(vec![1; 48]), ..good.clone() }),
        ours("a push that ends after the letter", &padded(&[0, 0, 255, 255, 1])),
        ours("something in the padding", &padded(&[&length[..], &bytes, &[1]].concat())),
        ours("no push", &padded(&[0, 0, 0, 1, 0xa0])),
    ]
}

fn message<M: Message>(about: &str, kind: &str, message: &M) -> Value {
    let bytes = message.to_bytes();
    assert!(M::parse(&bytes).is_ok(), "{about}");
    json!({ "about": about, "type": kind, "reading": reading(&bytes), "hex": hex(&bytes) })
}

fn messages() -> Vec<Value> {
    let letter = sealed(&push(200));
    let kept = Kept { number: 12, from: FROM, letter: letter.clone() };
    vec![
        message("keep this for a peer of ours both", "PutLetter", &PutLetter { message: 1, to: TO, letter }),
        message("it is kept", "LetterPut", &LetterPut { message: 2, taken: LetterPut::KEPT }),
        message("there is no room", "LetterPut", &LetterPut { message: 2, taken: LetterPut::NO_ROOM }),
        message("what is there for us", "GetLetters", &GetLetters { message: 3, after: 0 }),
        message("one letter", "LettersGot", &LettersGot { message: 4, letters: vec![kept], more: false }),
        message("none", "LettersGot", &LettersGot { message: 4, letters: Vec::new(), more: false }),
        message("we have those", "LettersTaken", &LettersTaken { message: 5, upto: 12 }),
        message("they are gone", "LettersGone", &LettersGone { message: 6 }),
    ]
}

fn refused() -> Vec<Value> {
    fn case<M: Message>(about: &str, kind: &str, message: &M) -> Value {
        let bytes = message.to_bytes();
        let Err(error) = M::parse(&bytes) else { panic!("{about}: it was accepted") };
        json!({ "about": about, "type": kind, "hex": hex(&bytes), "why": encoding_code(&error) })
    }
    let long = Letter { key: KEY, sealed: Blob(vec![1; MAX_PUSH_BYTES + 5_000]) };
    vec![
        case("a put's number in a question", "GetLetters", &GetLetters { message: 1, after: 0 }),
        case(
            "a letter above the cap of its frame",
            "PutLetter",
            &PutLetter { message: 1, to: TO, letter: long },
        ),
    ]
}
