//! Canonical CBOR: every structure that travels passes the one gate, or is refused (specs/encoding.md §4).

use crate::choice;
use minicbor::{Decode, Encode};
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::guard::{Guard, Guarded};
use weft_protocol::clearing::intent::{Decision, DecisionBody, Intent, SignedIntent};
use weft_protocol::encoding::{check_shape, decode_canonical, encode};
use weft_protocol::federation::descriptor::Descriptor;
use weft_protocol::federation::invite::Invite;
use weft_protocol::ledger::state::State;
use weft_protocol::mirror::{GetPiece, Piece, PiecesListed};
use weft_protocol::sidecar::Content;
use weft_protocol::wire::{Ask, Asked, Hello, Message, PairAnswer, PairAsk, Push, Pushed};

/// The largest frame.
const CAP: usize = 256 * 1024;

/// What the gate lets through is written as the same bytes, and has the shape that the cheap check allows.
fn round_trip<T>(bytes: &[u8])
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    if let Ok(value) = decode_canonical::<T>(bytes, CAP) {
        assert_eq!(encode(&value), bytes, "two encodings of one value");
        assert!(check_shape(bytes).is_ok(), "decoded, but not in canonical shape");
    }
}

/// The shape check agrees with a decoder that knows no types.
pub(crate) fn encoding(input: &[u8]) {
    if check_shape(input).is_ok() {
        let mut decoder = minicbor::Decoder::new(input);
        decoder.skip().expect("a canonical item can be skipped");
        assert_eq!(decoder.position(), input.len(), "bytes after the item");
    }
    if let Ok(state) = State::from_canonical(input) {
        assert_eq!(state.to_canonical(), input, "two encodings of one state");
    }
}

/// Messages of the network, and what is signed on its own; the first byte chooses which.
pub(crate) fn messages(input: &[u8]) {
    let Some((which, rest)) = choice(input) else { return };
    const TYPES: [fn(&[u8]); 13] = [
        round_trip::<Hello>,
        round_trip::<Push>,
        round_trip::<Pushed>,
        round_trip::<Ask>,
        round_trip::<Asked>,
        round_trip::<PairAsk>,
        round_trip::<PairAnswer>,
        round_trip::<Intent>,
        round_trip::<SignedIntent>,
        round_trip::<DecisionBody>,
        round_trip::<Decision>,
        round_trip::<Descriptor>,
        round_trip::<Invite>,
    ];
    TYPES[which % TYPES.len()](rest);
    if let Ok(accord) = Accord::parse(rest) {
        assert_eq!(accord.to_bytes(), rest, "two encodings of one accord");
    }
    if let Ok(piece) = Piece::parse(rest) {
        assert_eq!(piece.to_bytes(), rest, "two encodings of one piece");
    }
    for read in
        [round_trip::<PiecesListed>, round_trip::<GetPiece>, round_trip::<Guard>, round_trip::<Guarded>]
    {
        read(rest);
    }
    if let Ok(listed) = PiecesListed::parse(rest) {
        for run in listed.runs {
            let ends = run.end().is_some();
            assert!(!ends || run.at(run.number).is_some(), "a run that ends and does not begin");
        }
    }
    if let Ok(content) = Content::parse(rest) {
        assert_eq!(content.to_bytes(), rest, "two encodings of one content");
    }
}
