//! Pieces that peers keep: sealed ones that open or not with a secret that is given, and the messages that carry them.

use super::kit::{encoding_code, hex, reading};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use weft_protocol::encoding::Blob;
use weft_protocol::ids::LedgerId;
use weft_protocol::mirror::{
    GetPiece, ListPieces, PAD_BYTES, PIECE_ENTRIES, Piece, PieceError, PieceGot, PieceId, PiecePut,
    PiecesListed, PutPiece, Run,
};
use weft_protocol::seal::{public_key, seal_to};
use weft_protocol::wire::Message;

const SECRET: [u8; 32] = [7; 32];
const LEDGER: LedgerId = LedgerId([0xaa; 32]);
const FIRST: PieceId = PieceId { number: 2, boot: 1_700_000_000_000, key: 0, count: 3 };

pub(super) fn vectors() -> Value {
    json!({
        "about": "specs/mirror.md §2 and §3",
        "secret": hex(SECRET),
        "public": public_key(&SECRET).to_string(),
        "ledger": LEDGER.to_string(),
        "pieces": pieces(),
        "invalid": invalid(),
        "messages": messages(),
        "refused": refused(),
    })
}

fn rng() -> ChaCha20Rng {
    // What is random in a seal is fixed here, so that every run gives the same bytes.
    ChaCha20Rng::from_seed([3; 32])
}

fn sealed(id: PieceId, entries: &[Vec<u8>]) -> Piece {
    Piece::seal(&public_key(&SECRET), &LEDGER, id, entries, &mut rng()).expect("short entries can be sealed")
}

fn three() -> Vec<Vec<u8>> {
    vec![b"entry 128".to_vec(), b"entry 129".to_vec(), b"entry 130".to_vec()]
}

fn pieces() -> Vec<Value> {
    let full = PieceId { number: 0, boot: 9, key: 1, count: PIECE_ENTRIES };
    let short: Vec<Vec<u8>> = (0..PIECE_ENTRIES).map(|n| vec![n; 14]).collect();
    let exact = PieceId { count: 1, ..FIRST };
    let cases = [
        ("three entries, padded", FIRST, three()),
        ("a full piece that fills its padding", full, short),
        ("an entry and nothing else", exact, vec![vec![5; PAD_BYTES - 2]]),
    ];
    let case = |(about, id, entries): &(&str, PieceId, Vec<Vec<u8>>)| {
        let piece = sealed(*id, entries);
        assert_eq!(piece.open(&SECRET, &LEDGER).as_ref(), Ok(entries), "{about}");
        let entries: Vec<String> = entries.iter().map(hex).collect();
        json!({ "about": about, "hex": hex(piece.to_bytes()), "entries": entries })
    };
    cases.iter().map(case).collect()
}

/// A piece with a plaintext of any form, sealed as specs/mirror.md 2.4 says.
fn of_plain(plain: &[u8]) -> Piece {
    let mut bound = LEDGER.as_bytes().to_vec();
    bound.extend_from_slice(&FIRST.number.to_be_bytes());
    bound.extend_from_slice(&FIRST.boot.to_be_bytes());
    bound.extend_from_slice(&FIRST.key.to_be_bytes());
    bound.push(FIRST.count);
    let sealed = seal_to(&public_key(&SECRET), b"WEFT-MIRROR/1\n", &bound, plain, &mut rng());
    let PieceId { number, boot, key, count } = FIRST;
    Piece { number, boot, key, count, sealed: Blob(sealed.expect("the key is one")) }
}

fn invalid() -> Vec<Value> {
    let good = sealed(FIRST, &three());
    let case = |about: &str, piece: &Piece, secret: [u8; 32], ledger: LedgerId| {
        let read = Piece::parse(&piece.to_bytes()).and_then(|piece| piece.open(&secret, &ledger));
        let why = match read {
            Ok(_) => panic!("{about}: it was opened"),
            Err(PieceError::Encoding(error)) => encoding_code(&error),
            Err(PieceError::Place { .. }) => "place".into(),
            Err(PieceError::Length { .. }) => "length".into(),
            Err(PieceError::Open) => "open".into(),
            Err(PieceError::Content { .. }) => "content".into(),
            Err(error) => panic!("{about}: {error}"),
        };
        json!({
            "about": about, "hex": hex(piece.to_bytes()), "secret": hex(secret), "ledger": ledger.to_string(), "why": why,
        })
    };
    let ours = |about: &str, piece: &Piece| case(about, piece, SECRET, LEDGER);
    let flipped = |at: usize| {
        let mut bytes = good.sealed.0.clone();
        bytes[at] ^= 1;
        Piece { sealed: Blob(bytes), ..good.clone() }
    };
    let padded = |start: &[u8]| of_plain(&[start, &vec![0; PAD_BYTES - start.len()]].concat());
    let of_len = |len: usize| Piece { sealed: Blob(vec![1; len]), ..good.clone() };
    vec![
        case("another recovery key's secret", &good, [8; 32], LEDGER),
        case("kept for another network", &good, SECRET, LedgerId([0xbb; 32])),
        ours("passed off as another place", &Piece { number: 3, ..good.clone() }),
        ours("passed off as of a later start", &Piece { boot: FIRST.boot + 1, ..good.clone() }),
        ours("passed off as under another key", &Piece { key: 1, ..good.clone() }),
        ours("passed off as two entries", &Piece { count: 2, ..good.clone() }),
        ours("a bit flipped in the encapsulated key", &flipped(0)),
        ours("a bit flipped in the ciphertext", &flipped(32)),
        ours("a bit flipped in the tag", &flipped(good.sealed.0.len() - 1)),
        ours("no entries", &Piece { count: 0, ..good.clone() }),
        ours("65 entries", &Piece { count: 65, ..good.clone() }),
        ours("a place beyond any ledger", &Piece { number: u64::MAX / 64, ..good.clone() }),
        ours("nothing sealed", &of_len(48)),
        ours("a length that is no multiple", &of_len(48 + PAD_BYTES + 1)),
        ours("fewer entries than it says", &padded(b"\0\x01a\0\x01b")),
        ours("an entry that ends after the piece", &padded(b"\0\x01a\0\x01b\xff\xffc")),
        ours("more than its entries", &padded(b"\0\x01a\0\x01b\0\x01c\0\x01d")),
        ours(
            "more padding than need be",
            &of_plain(&[&b"\0\x01a\0\x01b\0\x01c"[..], &[0; 2 * PAD_BYTES - 9]].concat()),
        ),
    ]
}

fn message<M: Message>(about: &str, kind: &str, message: &M) -> Value {
    let bytes = message.to_bytes();
    assert!(M::parse(&bytes).is_ok(), "{about}");
    json!({ "about": about, "type": kind, "reading": reading(&bytes), "hex": hex(&bytes) })
}

fn run() -> Run {
    Run { number: 0, pieces: 15_625, boot: 9, key: 0, count: PIECE_ENTRIES }
}

fn messages() -> Vec<Value> {
    let piece = sealed(FIRST, &three());
    let tail = Run { number: 15_625, pieces: 1, count: 7, ..run() };
    vec![
        message("keep this", "PutPiece", &PutPiece { message: 1, piece: piece.clone() }),
        message("it is kept", "PiecePut", &PiecePut { message: 2, taken: PiecePut::KEPT }),
        message("what do you keep", "ListPieces", &ListPieces { message: 3, from: 0 }),
        message(
            "a million entries and seven",
            "PiecesListed",
            &PiecesListed { message: 4, runs: vec![run(), tail] },
        ),
        message("no more", "PiecesListed", &PiecesListed { message: 4, runs: Vec::new() }),
        message("give it back", "GetPiece", &GetPiece { message: 5, number: 2, boot: FIRST.boot, key: 0 }),
        message("here it is", "PieceGot", &PieceGot { message: 6, piece: Some(piece) }),
        message("there is none", "PieceGot", &PieceGot { message: 6, piece: None }),
    ]
}

fn refused() -> Vec<Value> {
    fn case<M: Message>(about: &str, kind: &str, message: &M) -> Value {
        let bytes = message.to_bytes();
        let Err(error) = M::parse(&bytes) else { panic!("{about}: it was accepted") };
        json!({ "about": about, "type": kind, "hex": hex(&bytes), "why": encoding_code(&error) })
    }
    vec![
        case("a put's number in a list", "ListPieces", &ListPieces { message: 1, from: 0 }),
        case("65 runs", "PiecesListed", &PiecesListed { message: 4, runs: vec![run(); 65] }),
    ]
}
