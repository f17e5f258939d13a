//! Names and keys of note signers (C2SP signed-note, "Signatures" and "Verifier keys").
//!
//! A signer is known by name *and* key id; the id is derived from both the name and the key, and checked.

use crate::ids::{Hash, KeyBytes};
use crate::keys::{PublicKey, SignatureError};
use crate::log::strict_base64;
use data_encoding::{BASE64, HEXLOWER};
use std::fmt;
use std::str::FromStr;

/// Longest verifier key text; ours are about 90 bytes.
pub const MAX_VERIFIER_KEY_BYTES: usize = 512;

/// A name that cannot stand in a signature line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key name must not be empty or hold spaces, control characters or a plus")]
pub struct KeyNameError;

/// The name of a signer, for a log also its origin line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty or holds a Unicode space, a control character or a plus.
    pub fn new(name: &str) -> Result<Self, KeyNameError> {
        let bad = |c: char| c.is_whitespace() || c < ' ' || c == '+';
        if name.is_empty() || name.contains(bad) { Err(KeyNameError) } else { Ok(Self(name.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The short id of a key in signature lines; prints as eight hex digits. It identifies, it does not authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// What a key signs, as its type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum SignatureType {
    /// The text of a note, with Ed25519 (C2SP signed-note).
    Ed25519 = 0x01,
    /// A checkpoint and a time, by a witness, with Ed25519 (C2SP tlog-cosignature).
    CosignatureV1 = 0x04,
}

impl SignatureType {
    /// The type byte.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The type with this byte, if we use it.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

/// The id of a key: SHA-256(name ‖ newline ‖ type ‖ public key), first 4 bytes.
pub fn key_id(name: &KeyName, signature_type: SignatureType, key: &KeyBytes) -> KeyId {
    let type_byte = [signature_type.byte()];
    KeyId(Hash::of("", &[name.0.as_bytes(), b"\n", &type_byte, key.as_bytes()]).prefix())
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not "name+id+base64" within [`MAX_VERIFIER_KEY_BYTES`].
    #[error(
        "a verifier key is name+8 hex digits+base64(type and key), at most {} bytes",
        MAX_VERIFIER_KEY_BYTES
    )]
    Malformed,
    /// A signature type that is not in use here.
    #[error("signature type {found:#04x} is not supported")]
    UnknownType {
        /// The type byte found.
        found: u8,
    },
    /// The key cannot verify anything.
    #[error(transparent)]
    Key(#[from] SignatureError),
    /// The id does not follow from name and key.
    #[error("the verifier key states id {stated}, its name and key give {derived}")]
    WrongId {
        /// The id in the text.
        stated: KeyId,
        /// The id that follows.
        derived: KeyId,
    },
}

/// A signer's name and public key; its text form is how keys are handed to auditors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    signature_type: SignatureType,
    key: PublicKey,
}

impl VerifierKey {
    /// Joins a name and a key.
    pub const fn new(name: KeyName, signature_type: SignatureType, key: PublicKey) -> Self {
        Self { name, signature_type, key }
    }

    /// The signer's name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What the key signs.
    pub const fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The public key.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The id that follows from name, type and key.
    pub fn id(&self) -> KeyId {
        key_id(&self.name, self.signature_type, &self.key.bytes())
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        let (name, id, key) = split(text).ok_or(VerifierKeyError::Malformed)?;
        let (&type_byte, key) = key.split_first().ok_or(VerifierKeyError::Malformed)?;
        let signature_type =
            SignatureType::from_byte(type_byte).ok_or(VerifierKeyError::UnknownType { found: type_byte })?;
        let key = KeyBytes::from_slice(key).ok_or(VerifierKeyError::Malformed)?;
        let parsed = Self { name, signature_type, key: PublicKey::new(&key)? };
        match parsed.id() {
            derived if derived == id => Ok(parsed),
            derived => Err(VerifierKeyError::WrongId { stated: id, derived }),
        }
    }
}

/// Name, id, and the bytes of type and key. The base64 at the end may itself hold a plus.
fn split(text: &str) -> Option<(KeyName, KeyId, Vec<u8>)> {
    if text.len() > MAX_VERIFIER_KEY_BYTES {
        return None;
    }
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let id = HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?;
    Some((KeyName::new(name).ok()?, KeyId(id), strict_base64(key)?))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [[self.signature_type.byte()].as_slice(), self.key.bytes().as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, self.id(), BASE64.encode(&key))
    }
}
