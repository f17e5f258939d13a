use super::*;
use crate::seal::public_key;
use crate::wire::Message;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const SECRET: [u8; 32] = [7; 32];
const US: LedgerId = LedgerId([1; 32]);

fn id(number: u64, count: u8) -> PieceId {
    PieceId { number, boot: 9, key: 0, count }
}

fn sealed(id: PieceId, entries: &[Vec<u8>]) -> Piece {
    Piece::seal(&public_key(&SECRET), &US, id, entries, &mut ChaCha20Rng::from_seed([3; 32])).unwrap()
}

fn entries(count: u8, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n; len]).collect()
}

#[test]
fn what_is_sealed_opens_for_its_network_place_start_and_count_only() {
    let piece = sealed(id(4, 3), &entries(3, 200));
    assert_eq!(piece.sealed.0.len(), 32 + PAD_BYTES + 16);
    let piece = Piece::parse(&piece.to_bytes()).unwrap();
    assert_eq!(piece.open(&SECRET, &US), Ok(entries(3, 200)));
    assert_eq!(piece.open(&[8; 32], &US), Err(PieceError::Open));
    assert_eq!(piece.open(&SECRET, &LedgerId([2; 32])), Err(PieceError::Open));
    for moved in [
        Piece { number: 5, ..piece.clone() },
        Piece { boot: 10, ..piece.clone() },
        Piece { key: 1, ..piece.clone() },
        Piece { count: 2, ..piece.clone() },
    ] {
        assert_eq!(moved.open(&SECRET, &US), Err(PieceError::Open), "{:?}", moved.id());
    }
}

#[test]
fn the_longest_piece_fits_in_a_frame() {
    let piece = sealed(id(u64::from(u32::MAX), PIECE_ENTRIES), &entries(PIECE_ENTRIES, MAX_ENTRY_BYTES));
    assert_eq!(piece.sealed.0.len(), MAX_SEALED_BYTES);
    let put = PutPiece { message: 1, piece };
    assert!(put.to_bytes().len() <= MAX_FRAME_BYTES);
    assert_eq!(PutPiece::parse(&put.to_bytes()), Ok(put));
}

#[test]
fn a_piece_of_no_entries_too_many_or_too_long_ones_is_not_sealed() {
    let key = public_key(&SECRET);
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    for (id, given) in [
        (id(0, 0), entries(0, 1)),
        (id(0, 65), entries(65, 1)),
        (id(0, 2), entries(1, 1)),
        (id(u64::MAX, 1), entries(1, 1)),
        (id(0, 1), entries(1, 0)),
        (id(0, 1), entries(1, MAX_ENTRY_BYTES + 1)),
    ] {
        assert!(Piece::seal(&key, &US, id, &given, &mut rng).is_err(), "{id:?}");
    }
}

#[test]
fn what_can_be_seen_from_outside_is_checked_before_anything_is_kept() {
    let piece = sealed(id(0, 1), &entries(1, 9));
    for broken in [
        Piece { count: 0, ..piece.clone() },
        Piece { count: 65, ..piece.clone() },
        Piece { number: u64::MAX, ..piece.clone() },
        Piece { sealed: Blob(vec![0; 47]), ..piece.clone() },
        Piece { sealed: Blob(vec![0; MIN_SEALED_BYTES + 1]), ..piece.clone() },
        Piece { sealed: Blob(vec![0; MAX_SEALED_BYTES + PAD_BYTES]), ..piece },
    ] {
        assert!(Piece::parse(&broken.to_bytes()).is_err(), "{:?}", broken.id());
    }
}

#[test]
fn a_sealed_plaintext_of_another_form_is_refused() {
    let key = public_key(&SECRET);
    let id = id(0, 2);
    let opened = |plain: &[u8]| {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let sealed = seal::seal_to(&key, INFO, &id.bound(&US), plain, &mut rng).unwrap();
        Piece { number: 0, boot: 9, key: 0, count: 2, sealed: Blob(sealed) }.open(&SECRET, &US)
    };
    let padded = |start: &[u8]| [start, &vec![0; PAD_BYTES - start.len()]].concat();
    assert_eq!(opened(&padded(b"\0\x01a\0\x02bc")), Ok(vec![b"a".to_vec(), b"bc".to_vec()]));
    let other = Err(PieceError::Content { count: 2 });
    assert_eq!(opened(&padded(b"\0\x01a")), other, "one entry only");
    assert_eq!(opened(&padded(b"\0\x01a\0\x02bc!")), other, "padding that is not zero");
    assert_eq!(
        opened(&[padded(b"\0\x01a\0\x02bc"), vec![0; PAD_BYTES]].concat()),
        other,
        "more padding than need be"
    );
    assert_eq!(opened(&padded(b"\0\x01a\xff\xffbc")), other, "an entry longer than the piece");
}

#[test]
fn full_pieces_that_follow_each_other_are_one_run() {
    let full = |number| PieceId { number, boot: 9, key: 0, count: PIECE_ENTRIES };
    let mut run = Run::of(full(3));
    assert!(run.extend(&full(4)) && run.extend(&full(5)));
    assert!(!run.extend(&full(7)) && !run.extend(&PieceId { boot: 8, ..full(6) }) && !run.extend(&id(6, 5)));
    assert_eq!((run.pieces, run.end()), (3, Some(6 * 64)));
    assert_eq!((run.at(5), run.at(6), run.at(2)), (Some(full(5)), None, None));
    assert_eq!(Run { pieces: 2, ..Run::of(id(0, 3)) }.end(), None, "partial ones do not follow each other");
    assert_eq!(Run { pieces: 0, ..run }.end(), None);
    assert_eq!(Run { number: u64::MAX, pieces: u64::MAX, ..run }.end(), None);
}
