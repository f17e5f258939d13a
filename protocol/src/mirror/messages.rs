//! Messages of `/weft/mirror/1` (specs/mirror.md §3). They are not signed: what is kept opens only for its owner.

use super::{MAX_PIECE_BYTES, PIECE_ENTRIES, Piece, PieceId};
use crate::wire::Message;
use minicbor::{Decode, Encode};

/// Longest frame: a piece, and the message around it.
pub const MAX_FRAME_BYTES: usize = 264 * 1024;
/// Longest question, and longest answer without a piece.
const MAX_SHORT_BYTES: usize = 8 * 1024;
/// Runs in one page of a list.
pub const MAX_RUNS: usize = 64;

const _: () = assert!(MAX_PIECE_BYTES + 64 <= MAX_FRAME_BYTES, "a piece fits in a frame");

/// `/weft/mirror/1`, request: keep this.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PutPiece {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// The piece.
    #[n(1)]
    pub piece: Piece,
}

/// `/weft/mirror/1`, answer to [`PutPiece`]: what is on the keeper's disk now.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PiecePut {
    /// 2.
    #[n(0)]
    pub message: u8,
    /// [`PiecePut::KEPT`], [`PiecePut::OLDER`] or [`PiecePut::NO_ROOM`].
    #[n(1)]
    pub taken: u8,
}

impl PiecePut {
    /// It, or a longer one of the same start, is on disk.
    pub const KEPT: u8 = 1;
    /// One of a later start is kept at its place: it was not taken.
    pub const OLDER: u8 = 2;
    /// The keeper's room for this network is full: it was not taken.
    pub const NO_ROOM: u8 = 3;
}

/// `/weft/mirror/1`, request: what do you keep of mine, from this place on?
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListPieces {
    /// 3.
    #[n(0)]
    pub message: u8,
    /// The first place asked about.
    #[n(1)]
    pub from: u64,
}

/// Pieces that follow each other and are alike: several of them only when all are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Run {
    /// The first place.
    #[n(0)]
    pub number: u64,
    /// How many places.
    #[n(1)]
    pub pieces: u64,
    /// The start under which the last entry of each was written.
    #[n(2)]
    pub boot: u64,
    /// Epoch of the recovery key.
    #[n(3)]
    pub key: u32,
    /// Entries in each.
    #[n(4)]
    pub count: u8,
}

impl Run {
    /// A run of one.
    pub fn of(id: PieceId) -> Self {
        let PieceId { number, boot, key, count } = id;
        Self { number, pieces: 1, boot, key, count }
    }

    /// Adds a piece at its end, when it continues the run.
    pub fn extend(&mut self, id: &PieceId) -> bool {
        let next = self.number.checked_add(self.pieces);
        let alike = (id.boot, id.key) == (self.boot, self.key);
        let full = id.is_full() && self.count == PIECE_ENTRIES;
        let longer = self.pieces.checked_add(1).filter(|_| alike && full && next == Some(id.number));
        if let Some(longer) = longer {
            self.pieces = longer;
        }
        longer.is_some()
    }

    /// The piece at a place, when the run has one there.
    pub fn at(&self, number: u64) -> Option<PieceId> {
        let inside = number.checked_sub(self.number)? < self.pieces;
        let id = PieceId { number, boot: self.boot, key: self.key, count: self.count };
        (inside && id.first().is_ok()).then_some(id)
    }

    /// The place after its last entry; `None` when it is none.
    pub fn end(&self) -> Option<u64> {
        let alike = self.pieces == 1 || self.count == PIECE_ENTRIES;
        let last = self.number.checked_add(self.pieces)?.checked_sub(1).filter(|_| alike)?;
        self.at(last)?.end().ok()
    }
}

/// `/weft/mirror/1`, answer to [`ListPieces`]: in order of place, start and key; none at the end.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PiecesListed {
    /// 4.
    #[n(0)]
    pub message: u8,
    /// At most [`MAX_RUNS`]; all pieces of one place are in one page.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub runs: Vec<Run>,
}

/// `/weft/mirror/1`, request: give me this one back.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GetPiece {
    /// 5.
    #[n(0)]
    pub message: u8,
    /// Its place.
    #[n(1)]
    pub number: u64,
    /// Its start.
    #[n(2)]
    pub boot: u64,
    /// The epoch of its key.
    #[n(3)]
    pub key: u32,
}

/// `/weft/mirror/1`, answer to [`GetPiece`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PieceGot {
    /// 6.
    #[n(0)]
    pub message: u8,
    /// The piece; absent when there is none, or none that can be read.
    #[n(1)]
    pub piece: Option<Piece>,
}

macro_rules! messages {
    ($($type:ty, $cap:expr, $number:expr;)*) => {
        $(impl Message for $type {
            const CAP: usize = $cap;
            const NUMBERS: &'static [u8] = &[$number];
            fn number(&self) -> u8 {
                self.message
            }
        })*
    };
}

messages! {
    PutPiece, MAX_FRAME_BYTES, 1;
    PiecePut, MAX_SHORT_BYTES, 2;
    ListPieces, MAX_SHORT_BYTES, 3;
    PiecesListed, MAX_SHORT_BYTES, 4;
    GetPiece, MAX_SHORT_BYTES, 5;
    PieceGot, MAX_FRAME_BYTES, 6;
}
