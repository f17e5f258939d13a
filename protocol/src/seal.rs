//! Sealing to one network: HPKE base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305 (specs/clearing.md §10).
//!
//! A sidecar's plaintext is padded, so that on the way only a size class is seen; the claim is authenticated beside it, so
//! an envelope cannot be moved to another payment.

use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::{ClaimId, Hash, KeyBytes};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// The only suite: X25519-HKDF-SHA256, HKDF-SHA256, ChaCha20-Poly1305.
pub const SUITE: u8 = 1;
/// Sizes that a plaintext is padded to.
pub const SIZES: [usize; 3] = [512, 2_048, 8_192];
/// Longest content: the largest size less salt and length.
pub const MAX_CONTENT_BYTES: usize = 8_192 - 36;
/// Longest envelope on the wire.
pub const MAX_ENVELOPE_BYTES: usize = 8_192 + 256;
const INFO: &[u8] = b"WEFT-SEAL/1\n";
const ENC_BYTES: usize = 32;

/// A sealed sidecar as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Envelope {
    /// The commitment that the Intent names.
    #[n(0)]
    pub commitment: Hash,
    /// [`SUITE`].
    #[n(1)]
    pub suite: u8,
    /// Epoch of the receiver's seal key.
    #[n(2)]
    pub key: u32,
    /// Encapsulated key, then ciphertext.
    #[n(3)]
    pub sealed: Blob,
}

/// An opened sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Opens the commitment together with the content.
    pub salt: [u8; 32],
    /// What was sealed.
    pub content: Vec<u8>,
}

/// Why a sidecar cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too long to seal.
    #[error("{got} bytes, at most {MAX_CONTENT_BYTES} can be sealed")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// The receiver's key is none.
    #[error("the receiver's seal key cannot be used")]
    Key,
    /// Its bytes.
    #[error("envelope: {0}")]
    Encoding(#[from] EncodingError),
    /// It does not open with this key and claim.
    #[error("the envelope does not open")]
    Open,
    /// It opens to something else than was committed to.
    #[error("the envelope holds something else than was committed to")]
    Commitment,
}

/// The public half of a seal key.
pub fn public_key(secret: &[u8; 32]) -> KeyBytes {
    let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).expect("32 bytes are an X25519 key");
    let public = X25519HkdfSha256::sk_to_pk(&key).to_bytes();
    KeyBytes(public.as_slice().try_into().expect("an X25519 key has 32 bytes"))
}

/// Seals bytes to a public key: encapsulated key, then ciphertext. `bound` is authenticated beside them, and `info` keeps
/// what is sealed for one use from opening as another. `None` when the key is none.
pub fn seal_to(
    to: &KeyBytes,
    info: &[u8],
    bound: &[u8],
    plain: &[u8],
    rng: &mut impl rand_core::CryptoRng,
) -> Option<Vec<u8>> {
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(to.as_bytes()).ok()?;
    let mode = OpModeS::Base;
    let sealed = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &mode, &key, info, plain, bound, rng,
    );
    let (enc, sealed) = sealed.ok()?;
    let mut bytes = enc.to_bytes().to_vec();
    bytes.extend_from_slice(&sealed);
    Some(bytes)
}

/// Opens what [`seal_to`] has sealed; `None` when it does not open.
pub(crate) fn open_with(
    secret: &[u8; 32],
    info: &[u8],
    bound: &[u8],
    bytes: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (enc, sealed) = bytes.split_at_checked(ENC_BYTES)?;
    let key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(secret).ok()?;
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).ok()?;
    let mode = OpModeR::Base;
    let plain = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &mode, &key, &enc, info, sealed, bound,
    );
    plain.ok().map(Zeroizing::new)
}

impl Envelope {
    /// Seals a content to a network's key of an epoch.
    ///
    /// # Errors
    /// When it is too long or the key is none.
    pub fn seal(
        to: &KeyBytes,
        epoch: u32,
        claim: &ClaimId,
        opened: &Opened,
        rng: &mut impl rand_core::CryptoRng,
    ) -> Result<Self, SealError> {
        let got = opened.content.len();
        let plain_len = got.saturating_add(36);
        let size = SIZES.into_iter().find(|size| *size >= plain_len).ok_or(SealError::TooLong { got })?;
        let len = u32::try_from(got).map_err(|_| SealError::TooLong { got })?;
        let mut plain = Zeroizing::new(Vec::with_capacity(size));
        plain.extend_from_slice(&opened.salt);
        plain.extend_from_slice(&len.to_be_bytes());
        plain.extend_from_slice(&opened.content);
        plain.resize(size, 0);
        let bytes = seal_to(to, INFO, claim.as_bytes(), &plain, rng).ok_or(SealError::Key)?;
        let commitment = crate::sidecar::commitment(&opened.salt, &opened.content);
        Ok(Self { commitment, suite: SUITE, key: epoch, sealed: Blob(bytes) })
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it does not open, or not to what was committed to.
    pub fn open(&self, secret: &[u8; 32], claim: &ClaimId) -> Result<Opened, SealError> {
        if self.suite != SUITE {
            return Err(SealError::Open);
        }
        let plain = open_with(secret, INFO, claim.as_bytes(), &self.sealed.0).ok_or(SealError::Open)?;
        let (salt, rest) = plain.split_first_chunk::<32>().ok_or(SealError::Open)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(SealError::Open)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SealError::Open)?;
        let content = rest.get(..len).ok_or(SealError::Open)?.to_vec();
        if rest.iter().skip(len).any(|b| *b != 0) {
            return Err(SealError::Open);
        }
        if crate::sidecar::commitment(salt, &content) != self.commitment {
            return Err(SealError::Commitment);
        }
        Ok(Opened { salt: *salt, content })
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// When it is too long or not canonical.
    pub fn parse(bytes: &[u8]) -> Result<Self, SealError> {
        Ok(decode_canonical(bytes, MAX_ENVELOPE_BYTES)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::{TryCryptoRng, TryRng};
    use std::convert::Infallible;

    /// Counts upward; good enough to seal in a test.
    struct Counter(u8);
    impl TryRng for Counter {
        type Error = Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let mut b = [0; 4];
            self.try_fill_bytes(&mut b)?;
            Ok(u32::from_le_bytes(b))
        }
        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            let mut b = [0; 8];
            self.try_fill_bytes(&mut b)?;
            Ok(u64::from_le_bytes(b))
        }
        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            for b in out {
                self.0 = self.0.wrapping_add(1);
                *b = self.0;
            }
            Ok(())
        }
    }
    impl TryCryptoRng for Counter {}

    #[test]
    fn what_is_sealed_opens_for_the_receiver_and_this_claim_only() {
        let secret = [7; 32];
        let claim = ClaimId([1; 32]);
        let opened = Opened { salt: [9; 32], content: b"Bob, for bread".to_vec() };
        let envelope = Envelope::seal(&public_key(&secret), 0, &claim, &opened, &mut Counter(0)).unwrap();
        let again = Envelope::parse(&envelope.to_bytes()).unwrap();
        assert_eq!(again.open(&secret, &claim), Ok(opened));
        assert_eq!(again.open(&[8; 32], &claim), Err(SealError::Open));
        assert_eq!(again.open(&secret, &ClaimId([2; 32])), Err(SealError::Open));
        assert_eq!(envelope.sealed.0.len(), 32 + 512 + 16);
        let moved = Envelope { commitment: Hash([3; 32]), ..envelope };
        assert_eq!(moved.open(&secret, &claim), Err(SealError::Commitment));
    }
}
