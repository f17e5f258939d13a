//! The only way in and out of bytes: canonical CBOR (specs/encoding.md).
//!
//! One gate: length cap → shape (narrowed RFC 8949 §4.2.1) → typed decode → re-encode → *bytes equal*.
//! What passes has exactly one encoding, so a hash of bytes is a hash of meaning.

mod shape;

pub use shape::{MAX_ARRAY_ITEMS, MAX_DEPTH, MAX_TEXT_BYTES, ShapeError, check_shape};

use minicbor::{Decode, Encode};

/// Every signature and hash context ends with this byte.
pub const TAG_SEPARATOR: char = '\n';

/// Why bytes were refused before anybody looked at their meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Longer than the cap of its place.
    #[error("{got} bytes, at most {cap} are allowed here")]
    TooLong {
        /// Bytes received.
        got: usize,
        /// Bytes allowed.
        cap: usize,
    },
    /// Not in the narrowed form of CBOR.
    #[error("not canonical CBOR: {0}")]
    Shape(#[from] ShapeError),
    /// Well formed, but not the structure expected here.
    #[error("unexpected structure: {0}")]
    Structure(String),
    /// Decodes, but its one canonical encoding is different.
    #[error("not canonical: re-encoding gives other bytes (an unknown field, or an empty optional one)")]
    NotCanonical,
}

/// Encodes a value; our own types cannot fail to encode into memory.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("encoding into a Vec cannot fail")
}

/// The gate: reads `bytes` as a `T` only when they are its one canonical encoding and at most `cap` long.
///
/// # Errors
/// Names the first rule that the bytes break.
pub fn decode_canonical<'b, T>(bytes: &'b [u8], cap: usize) -> Result<T, EncodingError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    if bytes.len() > cap {
        return Err(EncodingError::TooLong { got: bytes.len(), cap });
    }
    check_shape(bytes)?;
    let value: T = minicbor::decode(bytes).map_err(|e| EncodingError::Structure(e.to_string()))?;
    if encodes_to(&value, bytes).is_err() {
        return Err(EncodingError::NotCanonical);
    }
    Ok(value)
}

/// Whether a value's encoding is exactly these bytes, without writing it down.
///
/// # Errors
/// The first byte that differs.
pub(crate) fn encodes_to<T: Encode<()>>(value: &T, bytes: &[u8]) -> Result<(), usize> {
    let mut same = Same { rest: bytes };
    let encoded = minicbor::encode(value, &mut same);
    let at = bytes.len().saturating_sub(same.rest.len());
    if encoded.is_ok() && same.rest.is_empty() { Ok(()) } else { Err(at) }
}

/// Bytes that are compared instead of kept.
struct Same<'a> {
    rest: &'a [u8],
}

/// What was written is not what was expected.
#[derive(Debug)]
struct Differs;

impl minicbor::encode::Write for Same<'_> {
    type Error = Differs;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Differs> {
        self.rest = self.rest.strip_prefix(bytes).ok_or(Differs)?;
        Ok(())
    }
}

/// `#[cbor(with = "bytes")]` helpers and wrappers come from minicbor; this is the owned byte string we use.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Blob(pub Vec<u8>);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}
impl<C> Encode<C> for Blob {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}
impl<'b, C> Decode<'b, C> for Blob {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}
