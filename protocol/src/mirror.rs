//! Mirrors: pieces of our ledger that peers keep for us, sealed to our recovery key (specs/mirror.md).
//!
//! A piece is a run of entries that begins at a multiple of [`PIECE_ENTRIES`]. What must hold: whoever keeps it learns
//! place, number and size class of what is in it and nothing else; a piece opens only for the network, place, start and
//! count that it was sealed for; what is opened is taken for nothing but bytes, because anybody can seal to a public
//! key: every entry in it is verified before it counts.

mod messages;

pub use messages::{
    GetPiece, ListPieces, MAX_FRAME_BYTES, MAX_RUNS, PieceGot, PiecePut, PiecesListed, PutPiece, Run,
};

use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::MAX_ENTRY_BYTES;
use crate::ids::{KeyBytes, LedgerId};
use crate::seal;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// Entries of a full piece: the longest 64 entries fit in a frame of the size that streams have too.
pub const PIECE_ENTRIES: u8 = 64;
/// The plaintext is padded to a multiple of this, so that only a size class is seen.
pub const PAD_BYTES: usize = 1_024;
/// Longest plaintext: a full piece of the longest entries, each after its length, padded.
pub const MAX_PLAIN_BYTES: usize =
    (PIECE_ENTRIES as usize * (MAX_ENTRY_BYTES + 2)).next_multiple_of(PAD_BYTES);
/// Longest sealed part: encapsulated key, ciphertext and tag.
pub const MAX_SEALED_BYTES: usize = 32 + MAX_PLAIN_BYTES + 16;
/// Longest piece: the sealed part, and the heads of its five items.
pub const MAX_PIECE_BYTES: usize = MAX_SEALED_BYTES + 64;
/// Least sealed part: one shortest piece.
const MIN_SEALED_BYTES: usize = 32 + PAD_BYTES + 16;
/// So that what is sealed as a piece opens as nothing else.
const INFO: &[u8] = b"WEFT-MIRROR/1\n";

/// Which piece, and of which content: all that a keeper sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId {
    /// Its place: the first entry has the seq `number` × [`PIECE_ENTRIES`].
    pub number: u64,
    /// The start under which its last entry was written.
    pub boot: u64,
    /// Epoch of the recovery key that opens it.
    pub key: u32,
    /// How many entries it holds, from 1 to [`PIECE_ENTRIES`].
    pub count: u8,
}

/// A piece as it travels and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Piece {
    /// Its place.
    #[n(0)]
    pub number: u64,
    /// The start under which its last entry was written.
    #[n(1)]
    pub boot: u64,
    /// Epoch of the recovery key that opens it.
    #[n(2)]
    pub key: u32,
    /// How many entries it holds.
    #[n(3)]
    pub count: u8,
    /// Encapsulated key, then ciphertext.
    #[n(4)]
    pub sealed: Blob,
}

/// Why a piece is none, or does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// Its bytes.
    #[error("piece: {0}")]
    Encoding(#[from] EncodingError),
    /// Its place or number of entries.
    #[error(
        "a piece has 1 to {PIECE_ENTRIES} entries and a place in a ledger; got {count} at piece {number}"
    )]
    Place {
        /// Which piece it says it is.
        number: u64,
        /// Entries that it says it holds.
        count: usize,
    },
    /// Its length.
    #[error(
        "{got} bytes are sealed, a piece has {MIN_SEALED_BYTES} to {MAX_SEALED_BYTES}, in steps of {PAD_BYTES}"
    )]
    Length {
        /// Bytes of the sealed part.
        got: usize,
    },
    /// An entry that cannot be one.
    #[error("an entry of {got} bytes, an entry has 1 to {MAX_ENTRY_BYTES}")]
    Entry {
        /// Its bytes.
        got: usize,
    },
    /// The recovery key is none.
    #[error("the recovery key cannot be used")]
    Key,
    /// It does not open with this key, for this network and place.
    #[error("the piece does not open")]
    Open,
    /// It opens, and holds something else than it says.
    #[error("the piece opens, but holds something else than {count} entries")]
    Content {
        /// Entries that it says it holds.
        count: u8,
    },
}

impl PieceId {
    /// The place in the ledger of its first entry.
    ///
    /// # Errors
    /// When there can be no such place.
    pub fn first(&self) -> Result<u64, PieceError> {
        let place = PieceError::Place { number: self.number, count: self.count.into() };
        let first = self.number.checked_mul(u64::from(PIECE_ENTRIES)).ok_or_else(|| place.clone())?;
        let in_range = (1..=PIECE_ENTRIES).contains(&self.count);
        first.checked_add(u64::from(PIECE_ENTRIES)).filter(|_| in_range).map(|_| first).ok_or(place)
    }

    /// The place after its last entry.
    ///
    /// # Errors
    /// When there can be no such place.
    pub fn end(&self) -> Result<u64, PieceError> {
        Ok(self.first()?.saturating_add(u64::from(self.count)))
    }

    /// Whether it holds as many as a piece can.
    pub fn is_full(&self) -> bool {
        self.count == PIECE_ENTRIES
    }

    /// What is authenticated beside the content.
    fn bound(&self, ledger: &LedgerId) -> Vec<u8> {
        let mut bound = ledger.as_bytes().to_vec();
        bound.extend_from_slice(&self.number.to_be_bytes());
        bound.extend_from_slice(&self.boot.to_be_bytes());
        bound.extend_from_slice(&self.key.to_be_bytes());
        bound.push(self.count);
        bound
    }
}

impl Piece {
    /// Which piece it is.
    pub fn id(&self) -> PieceId {
        PieceId { number: self.number, boot: self.boot, key: self.key, count: self.count }
    }

    /// Seals entries of a network to its recovery key.
    ///
    /// # Errors
    /// When they are not as many as the id says, one is too long, or the key is none.
    pub fn seal(
        to: &KeyBytes,
        ledger: &LedgerId,
        id: PieceId,
        entries: &[Vec<u8>],
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Self, PieceError> {
        id.first()?;
        if entries.len() != usize::from(id.count) {
            return Err(PieceError::Place { number: id.number, count: entries.len() });
        }
        let mut plain = Zeroizing::new(Vec::new());
        for entry in entries {
            let got = entry.len();
            let fits = (1..=MAX_ENTRY_BYTES).contains(&got);
            let len = u16::try_from(got).ok().filter(|_| fits).ok_or(PieceError::Entry { got })?;
            plain.extend_from_slice(&len.to_be_bytes());
            plain.extend_from_slice(entry);
        }
        let padded = plain.len().next_multiple_of(PAD_BYTES);
        plain.resize(padded, 0);
        let sealed = seal::seal_to(to, INFO, &id.bound(ledger), &plain, rng).ok_or(PieceError::Key)?;
        let PieceId { number, boot, key, count } = id;
        Ok(Self { number, boot, key, count, sealed: Blob(sealed) })
    }

    /// Opens it: the bytes of its entries, in order. Nothing in them is verified.
    ///
    /// # Errors
    /// When it does not open for this network, or to something else than it says.
    pub fn open(&self, secret: &[u8; 32], ledger: &LedgerId) -> Result<Vec<Vec<u8>>, PieceError> {
        self.check()?;
        let bound = self.id().bound(ledger);
        let plain = seal::open_with(secret, INFO, &bound, &self.sealed.0).ok_or(PieceError::Open)?;
        let other = PieceError::Content { count: self.count };
        let (mut entries, mut rest) = (Vec::with_capacity(self.count.into()), plain.as_slice());
        for _ in 0..self.count {
            let (len, after) = rest.split_first_chunk().ok_or_else(|| other.clone())?;
            let len = usize::from(u16::from_be_bytes(*len));
            let in_range = (1..=MAX_ENTRY_BYTES).contains(&len);
            let (entry, after) =
                after.split_at_checked(len).filter(|_| in_range).ok_or_else(|| other.clone())?;
            entries.push(entry.to_vec());
            rest = after;
        }
        if rest.len() >= PAD_BYTES || rest.iter().any(|byte| *byte != 0) {
            return Err(other);
        }
        Ok(entries)
    }

    /// What anybody can check of it: its place, its count, and that its length is one that a piece can have.
    ///
    /// # Errors
    /// Names the first rule that it breaks.
    pub fn check(&self) -> Result<(), PieceError> {
        self.id().first()?;
        let got = self.sealed.0.len();
        let in_range = (MIN_SEALED_BYTES..=MAX_SEALED_BYTES).contains(&got);
        let plain = got.saturating_sub(MIN_SEALED_BYTES);
        if in_range && plain.is_multiple_of(PAD_BYTES) { Ok(()) } else { Err(PieceError::Length { got }) }
    }

    /// The bytes on the wire and on a keeper's disk.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a piece.
    ///
    /// # Errors
    /// When it is too long, not canonical, or none by what can be seen of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PieceError> {
        let piece: Self = decode_canonical(bytes, MAX_PIECE_BYTES)?;
        piece.check()?;
        Ok(piece)
    }
}

#[cfg(test)]
mod tests;
