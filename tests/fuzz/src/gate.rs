//! Canonical CBOR: every structure that travels passes the one gate, or is refused (specs/encoding.md §4).

use crate::choice;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use weft_protocol::audit::Saved;
use weft_protocol::base::Base;
use weft_protocol::ceremony;
use weft_protocol::clearing::accord::Accord;
use weft_protocol::clearing::dispute::{Dispute, DisputeArgs};
use weft_protocol::clearing::guard::{Fetch, Fetched, Guard, Guarded};
use weft_protocol::clearing::intent::{Decision, DecisionBody, Intent, SignedIntent};
use weft_protocol::clearing::reset::{Reset, ResetArgs};
use weft_protocol::clearing::resetting::ResetSide;
use weft_protocol::encoding::{Blob, check_shape, decode_canonical, encode};
use weft_protocol::evidence::Evidence;
use weft_protocol::federation::descriptor::Descriptor;
use weft_protocol::federation::invite::Invite;
use weft_protocol::federation::sync::{
    DescriptorsAsk, DescriptorsThere, EntriesAsk, EntriesThere, Haves, NewsHeard, WhatAsk, WhatThere,
};
use weft_protocol::ids::Hash;
use weft_protocol::ledger::state::State;
use weft_protocol::letter::{
    GetLetters, Letter, LetterPut, LettersGone, LettersGot, LettersTaken, PutLetter,
};
use weft_protocol::mirror::{GetPiece, Piece, PiecesListed};
use weft_protocol::netting::file::Certificate;
use weft_protocol::netting::round::Committed;
use weft_protocol::netting::round::attempt::Attempt;
use weft_protocol::netting::{Debt, Debts};
use weft_protocol::sidecar::Content;
use weft_protocol::wire::{
    Ask, Asked, EvidenceShown, EvidenceTaken, Hello, Message, PairAnswer, PairAsk, Push, PushProof, Pushed,
    WitnessAnswer, WitnessAsk,
};

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
    const TYPES: [fn(&[u8]); 38] = [
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
        round_trip::<PushProof>,
        round_trip::<EvidenceShown>,
        round_trip::<EvidenceTaken>,
        round_trip::<WitnessAsk>,
        round_trip::<WitnessAnswer>,
        round_trip::<Fetch>,
        round_trip::<Fetched>,
        round_trip::<WhatAsk>,
        round_trip::<WhatThere>,
        round_trip::<EntriesAsk>,
        round_trip::<EntriesThere>,
        round_trip::<DescriptorsAsk>,
        round_trip::<DescriptorsThere>,
        round_trip::<NewsHeard>,
        round_trip::<Letter>,
        round_trip::<PutLetter>,
        round_trip::<LetterPut>,
        round_trip::<GetLetters>,
        round_trip::<LettersGot>,
        round_trip::<LettersTaken>,
        round_trip::<LettersGone>,
        round_trip::<Attempt>,
        round_trip::<Committed>,
        round_trip::<ResetArgs>,
        round_trip::<DisputeArgs>,
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
    signed_documents(rest);
    lists_and_proofs(rest);
}

/// What root sets sign by file, and what convicts.
fn signed_documents(bytes: &[u8]) {
    if let Ok(dispute) = Dispute::parse(bytes) {
        assert_eq!(dispute.to_bytes(), bytes, "two encodings of one dispute");
    }
    if let Ok(reset) = Reset::parse(bytes) {
        assert_eq!(reset.to_bytes(), bytes, "two encodings of one reset");
    }
    if let Ok(side) = ResetSide::parse(bytes) {
        assert_eq!(side.to_bytes(), bytes, "two encodings of one side of a reset");
    }
    if let Ok(request) = ceremony::Request::parse(bytes) {
        assert_eq!(request.to_bytes(), bytes, "two encodings of one request");
    }
    if let Ok(signature) = ceremony::Signature::parse(bytes) {
        assert_eq!(signature.to_bytes(), bytes, "two encodings of one signature");
    }
    if let Ok(evidence) = Evidence::parse(bytes) {
        assert_eq!(evidence.to_bytes(), bytes, "two encodings of one evidence");
        assert!(Evidence::from_text(evidence.to_text().as_bytes()).is_ok_and(|again| again == evidence));
    }
    if let Ok(evidence) = Evidence::from_text(bytes) {
        assert_eq!(evidence.to_text().as_bytes(), bytes, "two texts of one evidence");
    }
}

/// Lists that travel packed, what is published in pages, and files that an auditor or a start reads.
fn lists_and_proofs(bytes: &[u8]) {
    if let Ok(haves) = Haves::parse(&Blob(bytes.to_vec())) {
        assert_eq!(haves.to_blob().0, bytes, "two encodings of one list of authors");
    }
    // Nobody's lists are known, so nothing can be read to its end.
    assert!(Attempt::read(bytes, &Hash([3; 32]), 0, &BTreeMap::new()).is_err());
    let _: (bool, bool) = (Base::parse(bytes).is_ok(), Saved::parse(bytes).is_ok());
    if let Ok(certificate) = Certificate::from_bytes(bytes, debts()) {
        assert_eq!(certificate.to_bytes(), bytes, "two encodings of one certificate");
        let _: bool = certificate.verify(debts()).is_ok();
    }
}

/// Three parties that owe each other in a circle, for certificates to be about.
fn debts() -> &'static Debts {
    static DEBTS: OnceLock<Debts> = OnceLock::new();
    DEBTS.get_or_init(|| {
        let debt = |from: u8, to: u8, amount| Debt { debtor: [from; 32], creditor: [to; 32], amount };
        Debts::new(&[debt(1, 2, 50), debt(2, 3, 40), debt(3, 1, 60)]).expect("three right debts")
    })
}
