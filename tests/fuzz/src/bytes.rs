//! Entries, operations, segment records, tiles and sealed envelopes.

use crate::choice;
use weft_protocol::entry::{Entry, Kind, Op, SignedOp};
use weft_protocol::ids::{ClaimId, LedgerId};
use weft_protocol::log::tile::{encode_bundle, split_bundle};
use weft_protocol::mirror::Piece;
use weft_protocol::record::{self, Item, RecordRef};
use weft_protocol::record::{Scanner, is_unfinished};
use weft_protocol::seal::Envelope;
use weft_protocol::sidecar::commitment;

/// More than there are areas of kinds.
const AREAS: usize = 32;

/// An entry or a signed operation that parses is its own encoding, at every level.
pub(crate) fn entries(input: &[u8]) {
    if let Ok(entry) = Entry::parse(input) {
        assert_eq!(entry.bytes(), input);
        let op = Op::parse(entry.kind(), &entry.op().to_bytes()).expect("its own operation");
        assert_eq!(&op, entry.op());
        let _: (Vec<u8>, usize) = (entry.node_message(), entry.authors().len());
        assert!(entry.body().auth.iter().all(|auth| !entry.auth_message(auth).is_empty()));
        if let Some(movement) = entry.op().payload.movement() {
            assert!(movement.postings.len() <= 64, "more postings than an array may hold");
        }
    }
    if let Ok((signed, op)) = SignedOp::parse(input) {
        assert_eq!(op.to_bytes(), signed.op.0);
    }
    let Some((kind, rest)) = choice(input) else { return };
    let Some((number, rest)) = choice(rest) else { return };
    let code = u16::try_from(kind % AREAS * 256 + number).expect("below 32 × 256");
    if let Some(kind) = Kind::from_code(code)
        && let Ok(op) = Op::parse(kind, rest)
    {
        assert_eq!(op.to_bytes(), rest, "two encodings of one operation");
    }
}

/// A segment is read to its end or to its first damage, never past it, whatever it holds; whole records read back.
pub(crate) fn records(input: &[u8]) {
    if let Ok((item, len)) = record::parse(input) {
        assert!(len <= input.len());
        if let Item::Record(found) = item {
            let mut again = Vec::new();
            RecordRef::new(found.key(), found.bytes()).expect("a length that was read").encode(&mut again);
            assert_eq!(again, &input[..len]);
        }
    }
    let mut scanner = Scanner::new(input);
    loop {
        let before = scanner.offset();
        match scanner.step() {
            Ok(Some(_)) => assert!(scanner.offset() > before, "a step that does not move"),
            Ok(None) => break,
            Err(fault) => {
                let _: bool = is_unfinished(input, scanner.offset(), fault);
                if scanner.skip_damage() == 0 {
                    break;
                }
            }
        }
        assert!(scanner.offset() <= input.len());
    }
    let Some((expected, rest)) = choice(input) else { return };
    if let Ok(entries) = split_bundle(rest, expected) {
        assert_eq!(entries.len(), expected);
        assert_eq!(encode_bundle(&entries).expect("what was split"), rest);
    }
}

/// An envelope that opens holds what its commitment says; any other is refused.
pub(crate) fn sealed(input: &[u8]) {
    if let Ok(envelope) = Envelope::parse(input) {
        assert_eq!(envelope.to_bytes(), input);
        let (secret, claim) = crate::seeds::sealed_to();
        if let Ok(opened) = envelope.open(&secret, &claim) {
            assert_eq!(commitment(&opened.salt, &opened.content), envelope.commitment);
        }
        assert!(envelope.open(&secret, &ClaimId([0xee; 32])).is_err(), "it opens for another claim");
    }
    if let Ok(piece) = Piece::parse(input) {
        assert_eq!(piece.to_bytes(), input);
        let (secret, _) = crate::seeds::sealed_to();
        if let Ok(entries) = piece.open(&secret, &LedgerId([0xaa; 32])) {
            assert_eq!(entries.len(), usize::from(piece.count));
        }
    }
}
