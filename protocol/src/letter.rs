//! Letters: a push for a peer that is away, sealed to it and kept by a peer of both (specs/network.md §13).
//!
//! What must hold: the host learns who writes to whom, when, and a size class, and nothing else; a letter opens only for the
//! two networks and the key that it was sealed for. A letter proves nothing: what is in it is verified like any push, and
//! nobody but the receiver itself acknowledges it.

use crate::encoding::{Blob, EncodingError};
use crate::ids::{KeyBytes, LedgerId};
use crate::seal;
use crate::wire::{Message, Push, messages};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// Sizes that a plaintext is padded to.
pub const SIZES: [usize; 4] = [2_048, 8_192, 32_768, 61_440];
/// Longest push in a letter: the largest size less the length.
pub const MAX_PUSH_BYTES: usize = SIZES[3] - 4;
/// Longest sealed part: encapsulated key, ciphertext and tag. With its heads a letter stays below 64 KiB.
pub const MAX_SEALED_BYTES: usize = 32 + SIZES[3] + 16;
/// Letters told at once: three of the longest fit in an answer.
pub const MAX_TOLD: usize = 64;
/// Longest answer.
pub const MAX_ANSWER_BYTES: usize = 256 * 1_024;
/// So that what is sealed as a letter opens as nothing else.
const INFO: &[u8] = b"WEFT-LETTER/1\n";

/// A letter as it travels and is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Letter {
    /// Epoch of the receiver's seal key.
    #[n(0)]
    pub key: u32,
    /// Encapsulated key, then ciphertext.
    #[n(1)]
    pub sealed: Blob,
}

/// Why a letter is none, or does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// What is in it.
    #[error("the push in a letter: {0}")]
    Push(#[from] EncodingError),
    /// Too long to seal.
    #[error("a push of {got} bytes, at most {MAX_PUSH_BYTES} go in a letter")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// The length of the sealed part.
    #[error("{got} bytes are sealed, which is no size that a letter has")]
    Length {
        /// Its length.
        got: usize,
    },
    /// The seal key is none.
    #[error("the receiver's seal key cannot be used")]
    Key,
    /// It does not open with this key, for these two networks.
    #[error("the letter does not open")]
    Open,
}

impl Letter {
    /// Seals a push to a network's key of an epoch.
    ///
    /// # Errors
    /// When it is too long or the key is none.
    pub fn seal(
        to: (&LedgerId, u32, &KeyBytes),
        from: &LedgerId,
        push: &Push,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Self, LetterError> {
        let (receiver, key, public) = to;
        let bytes = push.to_bytes();
        let got = bytes.len();
        let long = || LetterError::TooLong { got };
        let size = SIZES.into_iter().find(|size| size.saturating_sub(4) >= got).ok_or_else(long)?;
        let mut plain = Zeroizing::new(Vec::with_capacity(size));
        plain.extend_from_slice(&u32::try_from(got).map_err(|_| long())?.to_be_bytes());
        plain.extend_from_slice(&bytes);
        plain.resize(size, 0);
        let sealed = seal::seal_to(public, INFO, &bound(from, receiver, key), &plain, rng);
        Ok(Self { key, sealed: Blob(sealed.ok_or(LetterError::Key)?) })
    }

    /// Opens it. Nothing in it is verified.
    ///
    /// # Errors
    /// When it does not open, or to something else than one push.
    pub fn open(&self, secret: &[u8; 32], from: &LedgerId, receiver: &LedgerId) -> Result<Push, LetterError> {
        self.check()?;
        let bound = bound(from, receiver, self.key);
        let plain = seal::open_with(secret, INFO, &bound, &self.sealed.0).ok_or(LetterError::Open)?;
        let (len, rest) = plain.split_first_chunk::<4>().ok_or(LetterError::Open)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| LetterError::Open)?;
        let (push, padding) = rest.split_at_checked(len).ok_or(LetterError::Open)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(LetterError::Open);
        }
        Ok(Push::parse(push)?)
    }

    /// What anybody can check of it: that its length is one that a letter can have.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), LetterError> {
        let got = self.sealed.0.len();
        let fits = SIZES.into_iter().any(|size| size.saturating_add(32 + 16) == got);
        if fits { Ok(()) } else { Err(LetterError::Length { got }) }
    }
}

/// What is authenticated beside the content.
fn bound(from: &LedgerId, to: &LedgerId, key: u32) -> Vec<u8> {
    [&from.as_bytes()[..], &to.as_bytes()[..], &key.to_be_bytes()].concat()
}

/// `/weft/mailbox/1`: keep this for a peer of ours both.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PutLetter {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// For whom.
    #[n(1)]
    pub to: LedgerId,
    /// The letter.
    #[n(2)]
    pub letter: Letter,
}

/// The answer to [`PutLetter`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LetterPut {
    /// 2.
    #[n(0)]
    pub message: u8,
    /// One of [`LetterPut::KEPT`], [`LetterPut::NO_ROOM`], [`LetterPut::NO_PEER`].
    #[n(1)]
    pub taken: u8,
}

impl LetterPut {
    /// It is on disk.
    pub const KEPT: u8 = 1;
    /// What is kept from the one for the other is as much as may be.
    pub const NO_ROOM: u8 = 2;
    /// The receiver is no peer of the host.
    pub const NO_PEER: u8 = 3;
}

/// What is there for us after a number?
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct GetLetters {
    /// 3.
    #[n(0)]
    pub message: u8,
    /// The number of the last one that is not wanted again; 0: from the first on.
    #[n(1)]
    pub after: u64,
}

/// A letter that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// Its number at this host, rising.
    #[n(0)]
    pub number: u64,
    /// Who has put it.
    #[n(1)]
    pub from: LedgerId,
    /// The letter.
    #[n(2)]
    pub letter: Letter,
}

/// The answer to [`GetLetters`]: oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LettersGot {
    /// 4.
    #[n(0)]
    pub message: u8,
    /// At most [`MAX_TOLD`], and as many as fit.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub letters: Vec<Kept>,
    /// Whether there are others after the last.
    #[n(2)]
    pub more: bool,
}

/// Those up to a number need not be kept any longer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LettersTaken {
    /// 5.
    #[n(0)]
    pub message: u8,
    /// The number of the last one.
    #[n(1)]
    pub upto: u64,
}

/// The answer to [`LettersTaken`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LettersGone {
    /// 6.
    #[n(0)]
    pub message: u8,
}

messages! {
    PutLetter, 64 * 1024, [1];
    LetterPut, 1024, [2];
    GetLetters, 1024, [3];
    LettersGot, MAX_ANSWER_BYTES, [4];
    LettersTaken, 1024, [5];
    LettersGone, 1024, [6];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StreamId;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const SECRET: [u8; 32] = [7; 32];
    const FROM: LedgerId = LedgerId([1; 32]);
    const TO: LedgerId = LedgerId([2; 32]);

    fn push(len: usize) -> Push {
        let entries = vec![Blob(vec![9; len])];
        Push { message: 1, channel: StreamId([3; 16]), entries, sidecars: Vec::new(), proofs: Vec::new() }
    }

    fn sealed(push: &Push) -> Result<Letter, LetterError> {
        let to = (&TO, 4, &seal::public_key(&SECRET));
        Letter::seal(to, &FROM, push, &mut ChaCha20Rng::from_seed([3; 32]))
    }

    #[test]
    fn a_letter_opens_for_its_receiver_and_sender_and_key_only() {
        let letter = sealed(&push(500)).unwrap();
        assert_eq!(letter.sealed.0.len(), 32 + 2_048 + 16);
        assert_eq!(letter.open(&SECRET, &FROM, &TO), Ok(push(500)));
        assert_eq!(letter.open(&[8; 32], &FROM, &TO), Err(LetterError::Open));
        assert_eq!(letter.open(&SECRET, &TO, &TO), Err(LetterError::Open));
        assert_eq!(letter.open(&SECRET, &FROM, &FROM), Err(LetterError::Open));
        let moved = Letter { key: 5, ..letter.clone() };
        assert_eq!(moved.open(&SECRET, &FROM, &TO), Err(LetterError::Open));
        let mut cut = letter;
        cut.sealed.0.pop();
        assert_eq!(cut.open(&SECRET, &FROM, &TO), Err(LetterError::Length { got: 2_095 }));
    }

    #[test]
    fn the_longest_letter_fits_in_a_frame_and_a_longer_push_in_none() {
        let around = push(30_000).to_bytes().len() - 30_000;
        let longest = push(MAX_PUSH_BYTES - around);
        assert_eq!(longest.to_bytes().len(), MAX_PUSH_BYTES);
        let letter = sealed(&longest).unwrap();
        assert_eq!(letter.sealed.0.len(), MAX_SEALED_BYTES);
        let frame = PutLetter { message: 1, to: TO, letter: letter.clone() };
        assert_eq!(PutLetter::parse(&frame.to_bytes()), Ok(frame));
        let kept = Kept { number: u64::MAX, from: FROM, letter };
        let answer = LettersGot { message: 4, letters: vec![kept; 4], more: true };
        assert_eq!(LettersGot::parse(&answer.to_bytes()), Ok(answer));
        let got = MAX_PUSH_BYTES + 1;
        assert_eq!(sealed(&push(got - around)), Err(LetterError::TooLong { got }));
    }
}
