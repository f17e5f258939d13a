//! Texts: notes, checkpoints, receipts, keys, tile paths, policies, witness requests, links, days, amounts.
//!
//! What is read is printed as it was written; so each thing has one text.

use crate::choice;
use weft_protocol::amount::{format_decimal, parse_decimal};
use weft_protocol::federation::invite::Invite;
use weft_protocol::ids::Hash;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::{Note, VerifierKey};
use weft_protocol::log::proof::{verify_consistency, verify_inclusion};
use weft_protocol::log::receipt::Receipt;
use weft_protocol::log::tile::{TileKind, TilePath, decode_hashes, encode_hashes};
use weft_protocol::log::witness::{AddCheckpoint, Policy};
use weft_protocol::time::Day;

const READERS: [fn(&[u8]); 9] = [note, checkpoint, receipt, key, tile, policy, request, small, proofs];

/// The first byte chooses what is read.
pub(crate) fn texts(input: &[u8]) {
    let Some((which, rest)) = choice(input) else { return };
    READERS[which % READERS.len()](rest);
}

fn utf8(input: &[u8]) -> &str {
    std::str::from_utf8(input).unwrap_or_default()
}

fn note(input: &[u8]) {
    if let Ok(note) = Note::parse(input) {
        assert_eq!(note.to_string().as_bytes(), input, "two texts of one note");
    }
}

fn checkpoint(input: &[u8]) {
    if let Ok(checkpoint) = utf8(input).parse::<Checkpoint>() {
        assert_eq!(checkpoint.to_string(), utf8(input), "two texts of one checkpoint");
    }
}

fn receipt(input: &[u8]) {
    if let Ok(receipt) = Receipt::parse(input) {
        assert_eq!(receipt.to_string().as_bytes(), input, "two texts of one receipt");
    }
}

fn key(input: &[u8]) {
    if let Ok(key) = utf8(input).parse::<VerifierKey>() {
        assert_eq!(key.to_string(), utf8(input), "two texts of one key");
    }
}

fn tile(input: &[u8]) {
    let Some((kind, rest)) = choice(input) else { return };
    if let Ok(path) = utf8(rest).parse::<TilePath>() {
        assert_eq!(path.to_string(), utf8(rest), "two texts of one path");
    }
    let size = 1 + u64::try_from(kind).expect("a byte");
    if let Some(path) = TilePath::in_tree(TileKind::Hashes(0), 0, size)
        && let Ok(hashes) = decode_hashes(path, rest)
    {
        assert_eq!(encode_hashes(&hashes), rest);
    }
}

fn policy(input: &[u8]) {
    if let Ok(policy) = Policy::parse(input) {
        let all = policy.reached(|_| true);
        assert!(all || !policy.reached(|_| false), "fewer witnesses reach more");
    }
}

fn request(input: &[u8]) {
    if let Ok(request) = AddCheckpoint::parse(input) {
        assert_eq!(request.to_string().as_bytes(), input, "two texts of one request");
    }
}

fn small(input: &[u8]) {
    let text = utf8(input);
    if let Ok(day) = text.parse::<Day>() {
        assert_eq!(day.to_string(), text);
    }
    for scale in 0..=6 {
        if let Ok(amount) = parse_decimal(text, scale) {
            assert_eq!(parse_decimal(&format_decimal(amount.minor(), scale), scale), Ok(amount));
        }
    }
    let _: bool = Invite::parse(text).is_ok();
}

/// A proof of random hashes proves nothing, whatever the numbers.
fn proofs(input: &[u8]) {
    let Some((numbers, rest)) = input.split_first_chunk::<16>() else { return };
    let (low, high) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (small, large) = (number(low), number(high));
    let hashes: Vec<Hash> = rest.chunks_exact(32).filter_map(Hash::from_slice).take(70).collect();
    let (leaf, root) = (Hash([1; 32]), Hash([2; 32]));
    assert!(verify_inclusion(&leaf, small, large, &hashes, &root).is_err());
    if small != large {
        assert!(verify_consistency(small, large, &hashes, &leaf, &root).is_err());
    }
}
