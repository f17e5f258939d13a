//! Names of things: fixed-size byte strings that cannot be mixed up.
//!
//! All are CBOR byte strings of exactly their length (specs/encoding.md §3) and print as lower-case hex.

use crate::encoding::TAG_SEPARATOR;
use data_encoding::{BASE32_NOPAD, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};

/// A text that should have been the hex form of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected} hex digits, got {got} characters or a character that is not hex")]
pub struct IdError {
    what: &'static str,
    expected: usize,
    got: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $len]);
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
            /// Reads exactly this many bytes, else `None`.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError { what: $what, expected: $len * 2, got: text.chars().count() };
                let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| error())?;
                Self::from_slice(&bytes).ok_or_else(error)
            }
        }
        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| minicbor::decode::Error::message(concat!($what, " has the wrong length")).at(at))
            }
        }
    };
}

byte_id!(
    /// A SHA-256 digest: leaf hash, tree root, commitment.
    Hash, 32, "a hash"
);
byte_id!(
    /// The identity of a ledger: the hash of its genesis (specs/entry.md §4).
    LedgerId, 32, "a ledger id"
);
byte_id!(
    /// An account of one ledger: 16 random bytes, or derived for the network's own and for peers.
    AccountId, 16, "an account id"
);
byte_id!(
    /// The idempotency key of an operation, chosen by its author.
    OpId, 16, "an op id"
);
byte_id!(
    /// A stream of one ledger: 16 zero bytes for the public stream, else the channel id.
    StreamId, 16, "a stream id"
);
byte_id!(
    /// The short name of a signing key inside one ledger.
    Signer, 8, "a signer id"
);
byte_id!(
    /// A payment between networks: the hash of its Intent (specs/clearing.md §4).
    ClaimId, 32, "a claim id"
);
byte_id!(
    /// An Ed25519 public key, as bytes; `keys` turns it into one that may verify.
    KeyBytes, 32, "a public key"
);
byte_id!(
    /// An Ed25519 signature, as bytes.
    SigBytes, 64, "a signature"
);
byte_id!(
    /// Fresh random bytes that hide the content of an entry behind its leaf hash.
    Salt, 16, "a salt"
);

/// The stream every network writes for everybody.
pub const PUBLIC_STREAM: StreamId = StreamId::ZERO;

impl Hash {
    /// SHA-256 of a context string and the parts after it, joined without separators.
    ///
    /// Every context is a named constant ending in a newline, so no two uses can produce the same input.
    pub fn of(context: &str, parts: &[&[u8]]) -> Self {
        debug_assert!(context.is_empty() || context.ends_with(TAG_SEPARATOR));
        let mut hasher = Sha256::new();
        hasher.update(context.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The first `N` bytes.
    ///
    /// # Panics
    /// When `N` is more than 32; every use names a constant length.
    pub fn prefix<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.0[..N]);
        out
    }
}

impl LedgerId {
    /// The origin line of this ledger's checkpoints, also the name of its log key (specs/log.md §3).
    pub fn origin(&self) -> String {
        let base32 = BASE32_NOPAD.encode(&self.0).to_lowercase();
        format!("weft/{}", &base32[..26])
    }

    /// The first eight hex digits: enough to tell the peers of one node apart on a screen.
    pub fn short(&self) -> String {
        HEXLOWER_PERMISSIVE.encode(&self.0[..4])
    }
}

/// A unit of one ledger: what is counted (specs/ledger.md §3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, minicbor::Encode, minicbor::Decode,
)]
#[cbor(transparent)]
pub struct UnitId(#[n(0)] pub u16);

impl std::fmt::Display for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_hex_and_read_back() {
        let id = OpId([0xab; 16]);
        assert_eq!(id.to_string().parse::<OpId>().unwrap(), id);
        assert!("abcd".parse::<OpId>().is_err());
    }

    #[test]
    fn an_origin_is_26_lower_case_base32_characters() {
        let origin = LedgerId([0xff; 32]).origin();
        assert_eq!(origin, format!("weft/{}", "7".repeat(26)));
    }
}
