//! Sidecars: texts that an entry only commits to, so that they can be forgotten (specs/entry.md §8).

use crate::encoding::{EncodingError, decode_canonical, encode};
use crate::ids::Hash;
use minicbor::{Decode, Encode};

/// Longest name.
pub const MAX_NAME_BYTES: usize = 256;
/// Longest memo.
pub const MAX_MEMO_BYTES: usize = 1_024;
/// Longest content of a payment's sidecar.
pub const MAX_CONTENT_BYTES: usize = 2_048;

/// SHA-256("WEFT-SIDECAR/1\n" ‖ salt ‖ bytes).
pub fn commitment(salt: &[u8; 32], bytes: &[u8]) -> Hash {
    Hash::of("WEFT-SIDECAR/1\n", &[salt, bytes])
}

/// What the sidecar of a payment says.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Name or account id of the payee, in the payee's network.
    pub payee: String,
    /// What for.
    pub memo: Option<String>,
    /// How the payer wants to be called.
    pub payer: Option<String>,
}

/// Texts about people do not belong into logs.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(..)")
    }
}

/// A memo may be longer than the texts of the canonical gate, so all three travel as bytes.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Wire {
    #[cbor(n(0), with = "minicbor::bytes")]
    payee: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    memo: Option<Vec<u8>>,
    #[cbor(n(2), with = "minicbor::bytes")]
    payer: Option<Vec<u8>>,
}

/// Why a content is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Its bytes.
    #[error("{0}")]
    Encoding(#[from] EncodingError),
    /// A text is empty or too long.
    #[error("the {what} is empty or longer than {max} bytes")]
    Length {
        /// Which text.
        what: &'static str,
        /// Bytes allowed.
        max: usize,
    },
    /// A text is not UTF-8.
    #[error("the {what} is not a text")]
    NotText {
        /// Which text.
        what: &'static str,
    },
}

impl Content {
    /// Checks the lengths.
    ///
    /// # Errors
    /// Names the text that is empty or too long.
    pub fn check(&self) -> Result<(), ContentError> {
        let within = |what, text: &str, max| {
            if text.is_empty() || text.len() > max { Err(ContentError::Length { what, max }) } else { Ok(()) }
        };
        within("payee", &self.payee, MAX_NAME_BYTES)?;
        self.memo.as_deref().map_or(Ok(()), |memo| within("memo", memo, MAX_MEMO_BYTES))?;
        self.payer.as_deref().map_or(Ok(()), |payer| within("payer's name", payer, MAX_NAME_BYTES))
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(&Wire {
            payee: self.payee.clone().into_bytes(),
            memo: self.memo.clone().map(String::into_bytes),
            payer: self.payer.clone().map(String::into_bytes),
        })
    }

    /// Reads a content.
    ///
    /// # Errors
    /// When it is not canonical, not text, or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let wire: Wire = decode_canonical(bytes, MAX_CONTENT_BYTES)?;
        let text =
            |what, bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| ContentError::NotText { what });
        let content = Self {
            payee: text("payee", wire.payee)?,
            memo: wire.memo.map(|memo| text("memo", memo)).transpose()?,
            payer: wire.payer.map(|payer| text("payer's name", payer)).transpose()?,
        };
        content.check()?;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_reads_back_and_hostile_ones_are_refused() {
        let content = Content { payee: "bob".into(), memo: Some("m".repeat(1_000)), payer: None };
        assert_eq!(Content::parse(&content.to_bytes()), Ok(content.clone()));
        let long = Content { memo: Some("m".repeat(1_025)), ..content.clone() };
        assert!(Content::parse(&long.to_bytes()).is_err());
        let empty = Content { payee: String::new(), ..content };
        assert!(Content::parse(&empty.to_bytes()).is_err());
    }
}
