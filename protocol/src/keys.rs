//! Keys and signatures: one signature rule, one module (specs/entry.md §5).
//!
//! A [`PublicKey`] is canonical and not weak by construction; verification is always `verify_strict`, and its yes is
//! remembered for a while.
//! Every signed message starts with a named [`Context`], so a signature can never serve for another purpose.

mod known;

use crate::ids::{Hash, KeyBytes, SigBytes, Signer};
use ed25519_dalek::{SigningKey, VerifyingKey};
use known::Seen;
use zeroize::Zeroizing;

/// What a signature is for: the first bytes of the signed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context(pub &'static str);

/// `node_sig` of an entry.
pub const ENTRY: Context = Context("WEFT-ENTRY/1\n");
/// A person's signature under an operation.
pub const OP: Context = Context("WEFT-OP/1\n");
/// A root key's signature under an accord.
pub const ACCORD: Context = Context("WEFT-ACCORD/1\n");
/// A dispute, by the root sets of both networks.
pub const DISPUTE: Context = Context("WEFT-DISPUTE/1\n");
/// A reset, by the root sets of both networks.
pub const RESET: Context = Context("WEFT-RESET/1\n");
/// The payer network's signature under an Intent.
pub const INTENT: Context = Context("WEFT-INTENT/1\n");
/// The decider's signature under a Decision.
pub const DECISION: Context = Context("WEFT-DECISION/1\n");
/// The log key's signature under a vote in a netting round.
pub const NETTING_VOTE: Context = Context("WEFT-NETTING-VOTE/1\n");
/// A member's word about what is proposed of their invoices.
pub const INVOICES_WORD: Context = Context("WEFT-INVOICES-WORD/1\n");
/// The log key's signature under a descriptor.
pub const DESCRIPTOR: Context = Context("WEFT-DESC/1\n");
/// No context: the text of a C2SP note is its own.
pub const NOTE: Context = Context("");

/// The only signature algorithm in use; stands in signer ids so that another can join later.
pub const ALG_ED25519: u8 = 1;

/// Why a key or signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The bytes are no point of the curve, or not its canonical encoding.
    #[error("the public key is not a canonical Ed25519 key")]
    KeyNotCanonical,
    /// A key of small order, under which anything verifies.
    #[error("the public key is weak (small order)")]
    KeyWeak,
    /// The signature does not verify strictly.
    #[error("the signature does not verify")]
    Invalid,
}

/// An Ed25519 public key that may verify.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.bytes())
    }
}

impl PublicKey {
    /// Parses and checks a key.
    ///
    /// # Errors
    /// When it is not canonical or weak.
    pub fn new(bytes: &KeyBytes) -> Result<Self, SignatureError> {
        let key = VerifyingKey::from_bytes(bytes.as_bytes()).map_err(|_| SignatureError::KeyNotCanonical)?;
        if !is_canonical(bytes) {
            return Err(SignatureError::KeyNotCanonical);
        }
        if key.is_weak() {
            return Err(SignatureError::KeyWeak);
        }
        Ok(Self(key))
    }

    /// The key as bytes.
    pub fn bytes(&self) -> KeyBytes {
        KeyBytes(self.0.to_bytes())
    }

    /// Verifies strictly.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, context: Context, parts: &[&[u8]], sig: &SigBytes) -> Result<(), SignatureError> {
        self.verify_message(&message(context, parts), sig)
    }

    /// Verifies strictly a message that already holds its context. What has verified a moment ago is known.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify_message(&self, message: &[u8], sig: &SigBytes) -> Result<(), SignatureError> {
        let seen = Seen::new(&self.bytes(), message, sig);
        if seen.is_known() {
            return Ok(());
        }
        self.verify_afresh(message, sig)?;
        seen.remember();
        Ok(())
    }

    /// Verifies strictly, whatever is known.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify_afresh(&self, message: &[u8], sig: &SigBytes) -> Result<(), SignatureError> {
        let sig = ed25519_dalek::Signature::from_bytes(sig.as_bytes());
        self.0.verify_strict(message, &sig).map_err(|_| SignatureError::Invalid)
    }

    /// The short name of this key inside a ledger.
    pub fn signer(&self) -> Signer {
        signer_of(&self.bytes())
    }
}

/// Whether bytes that decompress to a point are its one encoding: y is below p = 2^255 − 19, and a point with x = 0 (y is
/// 1 or p − 1) carries no sign. It says what compressing the point again would say, without the inversion that costs.
fn is_canonical(key: &KeyBytes) -> bool {
    const SIGN: u8 = 0x80;
    let [low, middle @ .., high] = key.as_bytes();
    let (top, signed) = (high & !SIGN, high & SIGN != 0);
    let all_ones = top == !SIGN && middle.iter().all(|byte| *byte == 0xff);
    let all_zero = top == 0 && middle.iter().all(|byte| *byte == 0);
    let is_one = all_zero && *low == 1;
    let is_minus_one = all_ones && *low == 0xec;
    let below_p = !(all_ones && *low >= 0xed);
    below_p && !(signed && (is_one || is_minus_one))
}

/// The short name of a key inside a ledger: SHA-256("WEFT-KEY/1\n" ‖ alg ‖ key), first 8 bytes.
pub fn signer_of(key: &KeyBytes) -> Signer {
    Signer(Hash::of("WEFT-KEY/1\n", &[&[ALG_ED25519], key.as_bytes()]).prefix())
}

/// A signing key; its memory is wiped when dropped and it never prints.
pub struct SecretKey(SigningKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// From the 32-byte seed of RFC 8032.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for writing a key file.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs context ‖ parts.
    pub fn sign(&self, context: Context, parts: &[&[u8]]) -> SigBytes {
        use ed25519_dalek::Signer as _;
        let message = message(context, parts);
        let sig = SigBytes(self.0.sign(&message).to_bytes());
        // It is verified where the rules of what it is under are, soon and often here.
        Seen::new(&KeyBytes(self.0.verifying_key().to_bytes()), &message, &sig).remember();
        sig
    }
}

/// The exact bytes that are signed: context, then the parts without separators.
pub fn message(context: Context, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().fold(context.0.len(), |len, part| len.saturating_add(part.len()));
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(context.0.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_bound_to_its_context() {
        let key = SecretKey::from_seed(&[7; 32]);
        let sig = key.sign(ENTRY, &[b"ab", b"c"]);
        assert_eq!(key.public().verify(ENTRY, &[b"a", b"bc"], &sig), Ok(()));
        assert_eq!(key.public().verify(OP, &[b"abc"], &sig), Err(SignatureError::Invalid));
    }

    #[test]
    fn what_is_known_of_one_signature_says_nothing_of_another_key_message_or_signature() {
        let (key, other) = (SecretKey::from_seed(&[7; 32]), SecretKey::from_seed(&[8; 32]));
        let sig = key.sign(NOTE, &[b"one"]);
        let forged = SigBytes({
            let mut bytes = *sig.as_bytes();
            bytes[40] ^= 1;
            bytes
        });
        for _ in 0..2 {
            assert_eq!(key.public().verify_message(b"one", &sig), Ok(()));
            assert_eq!(key.public().verify_afresh(b"one", &sig), Ok(()));
            for (key, message, sig) in
                [(&other, &b"one"[..], &sig), (&key, b"two", &sig), (&key, b"one", &forged)]
            {
                assert_eq!(key.public().verify_message(message, sig), Err(SignatureError::Invalid));
            }
        }
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::new(&KeyBytes(identity)), Err(SignatureError::KeyWeak));
        // y = p + 1: decompresses like the identity, but is not its canonical encoding.
        let mut folded = [0xff; 32];
        folded[0] = 0xee;
        folded[31] = 0x7f;
        assert_eq!(PublicKey::new(&KeyBytes(folded)), Err(SignatureError::KeyNotCanonical));
    }

    #[test]
    fn a_key_is_canonical_by_its_bytes_when_it_is_so_by_compressing_again() {
        let near = |low: u8, middle: u8, high: u8| {
            let mut bytes = [middle; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        };
        let edges = (0..=255_u8).flat_map(|low| {
            [(0, 0), (0, 0x80), (0xff, 0x7f), (0xff, 0xff), (0xff, 0), (0, 0x7f)]
                .map(|(middle, high)| near(low, middle, high))
        });
        let others = (0..2_000_u32).map(|n| Hash::of("", &[&n.to_be_bytes()]).0);
        let mut points = 0;
        for bytes in edges.chain(others) {
            if let Ok(key) = VerifyingKey::from_bytes(&bytes) {
                points += 1;
                let again = key.to_edwards().compress().to_bytes();
                assert_eq!(is_canonical(&KeyBytes(bytes)), again == bytes, "{}", KeyBytes(bytes));
            }
        }
        assert!(points > 1_500, "{points} points");
    }
}
