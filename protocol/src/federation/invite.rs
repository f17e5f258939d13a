//! Invitations and check words: how two operators become sure that they speak to each other (specs/network.md §5).

use crate::encoding::{EncodingError, decode_canonical, encode};
use crate::ids::{Hash, KeyBytes, LedgerId};
use crate::words::word;
use data_encoding::BASE64URL_NOPAD;
use minicbor::{Decode, Encode};

/// Start of every link.
pub const SCHEME: &str = "weft-invite:";
/// Longest link: it must fit a QR code.
pub const MAX_LINK_BYTES: usize = 600;
/// Most addresses in a link.
pub const MAX_ADDRESSES: usize = 3;
/// How many words are compared.
pub const WORDS: usize = 6;

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Invite {
    /// The host's ledger.
    #[n(0)]
    pub ledger: LedgerId,
    /// Public key of its libp2p identity.
    #[n(1)]
    pub peer: KeyBytes,
    /// Where to reach it.
    #[n(2)]
    pub addresses: Vec<String>,
    /// Good for one pairing.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub token: [u8; 16],
    /// Until when.
    #[n(4)]
    pub expires_ms: u64,
}

/// Why a link is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It is no link of ours.
    #[error("an invitation starts with {SCHEME}")]
    Scheme,
    /// Too long to be one.
    #[error("an invitation has at most {MAX_LINK_BYTES} characters, got {got}")]
    TooLong {
        /// Characters given.
        got: usize,
    },
    /// Cut or mistyped.
    #[error("the invitation is cut short or mistyped")]
    Text,
    /// Its content.
    #[error("invitation: {0}")]
    Encoding(#[from] EncodingError),
    /// Its addresses.
    #[error("an invitation names 1 to {MAX_ADDRESSES} addresses")]
    Addresses,
}

impl Invite {
    /// The link.
    ///
    /// # Errors
    /// When its addresses make it too long or are too many.
    pub fn link(&self) -> Result<String, InviteError> {
        if self.addresses.is_empty() || self.addresses.len() > MAX_ADDRESSES {
            return Err(InviteError::Addresses);
        }
        let link = format!("{SCHEME}{}", BASE64URL_NOPAD.encode(&encode(self)));
        if link.len() > MAX_LINK_BYTES { Err(InviteError::TooLong { got: link.len() }) } else { Ok(link) }
    }

    /// Reads a link.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(link: &str) -> Result<Self, InviteError> {
        if link.len() > MAX_LINK_BYTES {
            return Err(InviteError::TooLong { got: link.len() });
        }
        let text = link.strip_prefix(SCHEME).ok_or(InviteError::Scheme)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| InviteError::Text)?;
        let invite: Self = decode_canonical(&bytes, MAX_LINK_BYTES)?;
        if invite.addresses.is_empty() || invite.addresses.len() > MAX_ADDRESSES {
            return Err(InviteError::Addresses);
        }
        Ok(invite)
    }
}

/// What the check words cover: both sides compute them from what they themselves have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// Id of the accord proposed.
    pub accord: Hash,
    /// The inviter's ledger and log key.
    pub a: (LedgerId, KeyBytes),
    /// The guest's ledger and log key.
    pub b: (LedgerId, KeyBytes),
    /// The inviter's nonce, then the guest's: exchanged as hashes first, so that nobody in between can search for
    /// equal words.
    pub nonces: [Hash; 2],
}

/// The first 66 bits of SHA-256("WEFT-WORDS/1\n" ‖ accord id ‖ ledgers ‖ log keys ‖ nonces) as six words of the list
/// in `specs/words.txt`.
pub fn check_words(covered: &Covered) -> [&'static str; WORDS] {
    let digest = Hash::of(
        "WEFT-WORDS/1\n",
        &[
            covered.accord.as_bytes(),
            covered.a.0.as_bytes(),
            covered.b.0.as_bytes(),
            covered.a.1.as_bytes(),
            covered.b.1.as_bytes(),
            covered.nonces[0].as_bytes(),
            covered.nonces[1].as_bytes(),
        ],
    );
    let mut bits = digest.0.iter().flat_map(|byte| (0..8_u32).rev().map(move |i| usize::from(byte >> i & 1)));
    std::array::from_fn(|_| {
        let index = bits.by_ref().take(11).fold(0_usize, |sum, bit| sum << 1 | bit);
        word(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_back_and_mistyped_ones_are_refused() {
        let invite = Invite {
            ledger: LedgerId([1; 32]),
            peer: KeyBytes([2; 32]),
            addresses: vec!["/ip4/127.0.0.1/tcp/7600".to_owned()],
            token: [3; 16],
            expires_ms: 4,
        };
        let link = invite.link().unwrap();
        assert_eq!(Invite::parse(&link), Ok(invite));
        assert!(Invite::parse(&link[..link.len() - 2]).is_err());
        assert!(Invite::parse("https://example.org").is_err());
    }
}
