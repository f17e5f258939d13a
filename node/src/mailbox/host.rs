//! What peers ask of us as a host of letters.

use crate::service::{Core, ServiceError};
use weft_protocol::encoding::EncodingError;
use weft_protocol::ids::LedgerId;
use weft_protocol::letter::{
    GetLetters, LetterPut, LettersGone, LettersGot, LettersTaken, MAX_ANSWER_BYTES, PutLetter,
};
use weft_protocol::wire::{Message, number_of};

/// Around the letters of an answer.
const HEADS_BYTES: usize = 8 * 1_024;

/// Why a question about letters is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// It is none.
    #[error("{0}")]
    Unreadable(String),
    /// The ledger's thread.
    #[error("{0}")]
    Stopped(#[from] ServiceError),
    /// The private store.
    #[error("{0}")]
    Store(#[from] crate::store::PrivateError),
}

impl From<EncodingError> for HostError {
    fn from(error: EncodingError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What is done for a question of a peer, on the ledger's thread; the answer is told when it is durable.
pub(crate) fn answer(core: &mut Core, asker: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, HostError> {
    match number_of(bytes) {
        Some(1) => {
            let put = PutLetter::parse(bytes)?;
            put.letter.check().map_err(|e| HostError::Unreadable(e.to_string()))?;
            let is_peer = put.to != asker && core.engine().state().channel_with(&put.to).is_some();
            let taken = match is_peer {
                false => LetterPut::NO_PEER,
                true => {
                    match core.private().put_letter(&asker, &put.to, &put.letter, core.clock().now_ms())? {
                        true => LetterPut::KEPT,
                        false => LetterPut::NO_ROOM,
                    }
                }
            };
            Ok(LetterPut { message: 2, taken }.to_bytes())
        }
        Some(3) => {
            let ask = GetLetters::parse(bytes)?;
            let most = MAX_ANSWER_BYTES - HEADS_BYTES;
            let (letters, more) = core.private().letters_for(&asker, ask.after, most)?;
            Ok(LettersGot { message: 4, letters, more }.to_bytes())
        }
        Some(5) => {
            let taken = LettersTaken::parse(bytes)?;
            core.private().letters_taken(&asker, taken.upto)?;
            Ok(LettersGone { message: 6 }.to_bytes())
        }
        Some(_) | None => Err(HostError::Unreadable("it is no question about letters".to_owned())),
    }
}
