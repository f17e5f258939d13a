//! The descriptor: where a network's node can be reached, signed by its log key. It is not an entry, because
//! addresses must not stay for ever; the one with the highest number replaces the others.

use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::ids::{KeyBytes, LedgerId, SigBytes};
use crate::keys::{self, SecretKey};
use crate::ledger::Rejected;
use crate::ledger::identity::{Identity, Purpose};
use minicbor::{Decode, Encode};

/// Format version.
pub const DESCRIPTOR_VERSION: u8 = 1;
/// Longest descriptor.
pub const MAX_DESCRIPTOR_BYTES: usize = 3_072;
/// Most addresses.
pub const MAX_ADDRESSES: usize = 8;

/// What a descriptor says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Descriptor {
    /// [`DESCRIPTOR_VERSION`].
    #[n(0)]
    pub v: u8,
    /// Whose.
    #[n(1)]
    pub ledger: LedgerId,
    /// Rises with each new one.
    #[n(2)]
    pub dseq: u64,
    /// When it was made.
    #[n(3)]
    pub issued_ms: u64,
    /// Until when it is good.
    #[n(4)]
    pub expires_ms: u64,
    /// Short name of the network.
    #[n(5)]
    pub site: String,
    /// Public key of the libp2p identity.
    #[n(6)]
    pub peer: KeyBytes,
    /// Multiaddresses, best first.
    #[cbor(n(7), with = "crate::entry::list", has_nil)]
    pub addresses: Vec<String>,
    /// What it offers to others, by name.
    #[cbor(n(8), with = "crate::entry::list", has_nil)]
    pub capabilities: Vec<String>,
}

#[derive(Encode, Decode)]
struct Signed {
    #[n(0)]
    body: Blob,
    #[n(1)]
    sig: SigBytes,
}

/// Why a descriptor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Its bytes.
    #[error("descriptor: {0}")]
    Encoding(#[from] EncodingError),
    /// Its content.
    #[error("descriptor: {0}")]
    Content(&'static str),
    /// Its signature.
    #[error("descriptor: {0}")]
    Signature(Rejected),
}

impl Descriptor {
    /// Signs it: `[bstr(body), sig]`.
    pub fn sign(&self, log_key: &SecretKey) -> Vec<u8> {
        let body = encode(self);
        let sig = log_key.sign(keys::DESCRIPTOR, &[&body]);
        encode(&Signed { body: Blob(body), sig })
    }

    /// Whose descriptor the bytes say to be: nothing is verified.
    ///
    /// # Errors
    /// When they are none.
    pub fn ledger_of(bytes: &[u8]) -> Result<LedgerId, EncodingError> {
        let signed: Signed = decode_canonical(bytes, MAX_DESCRIPTOR_BYTES)?;
        Ok(decode_canonical::<Self>(&signed.body.0, MAX_DESCRIPTOR_BYTES)?.ledger)
    }

    /// Reads a descriptor of the network whose identity is given.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn open(bytes: &[u8], identity: &Identity) -> Result<Self, DescriptorError> {
        let signed: Signed = decode_canonical(bytes, MAX_DESCRIPTOR_BYTES)?;
        let descriptor: Self = decode_canonical(&signed.body.0, MAX_DESCRIPTOR_BYTES)?;
        let bad = |why| Err(DescriptorError::Content(why));
        if descriptor.v != DESCRIPTOR_VERSION {
            return bad("it is of another version");
        }
        if descriptor.ledger != identity.ledger {
            return bad("it is of another network");
        }
        if descriptor.addresses.len() > MAX_ADDRESSES {
            return bad("it has more than 8 addresses");
        }
        if descriptor.site.is_empty() || descriptor.site.len() > 32 {
            return bad("its site name is empty or longer than 32 bytes");
        }
        if identity.current(Purpose::Libp2p).map(|(_, key)| key) != Some(&descriptor.peer) {
            return bad("its libp2p key is not the one bound in the ledger");
        }
        let (epoch, _) = identity.current(Purpose::Log).ok_or(DescriptorError::Content("no log key"))?;
        identity
            .verify(epoch, keys::DESCRIPTOR, &signed.body.0, &signed.sig)
            .map_err(DescriptorError::Signature)?;
        Ok(descriptor)
    }
}
