//! The log: RFC 6962 tree, proofs, notes, checkpoints, tiles, receipts.
//!
//! Every format here is somebody else's (RFC 6962/9162 and the C2SP texts), so that others' tools can check us.
//! A reader accepts only the one text that the writer would print: parse then print gives the same bytes.

pub mod checkpoint;
pub mod note;
pub mod proof;
pub mod receipt;
pub mod tile;
pub mod tree;
pub mod witness;

use crate::ids::Hash;
use data_encoding::BASE64;

/// Reads an ASCII decimal number without sign or leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let digits_only = text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if digits_only && !leading_zero { text.parse().ok() } else { None }
}

/// Reads the strict, padded base64 of a hash.
fn parse_base64_hash(text: &str) -> Option<Hash> {
    /// 32 bytes in padded base64.
    const TEXT_LEN: usize = 44;
    if text.len() != TEXT_LEN {
        return None;
    }
    Hash::from_slice(&strict_base64(text)?)
}

/// Bytes from standard, padded base64 in its one form (specs/log.md §3). The decoder alone would also take several padded
/// texts one after the other, and so two texts for the same bytes.
pub(crate) fn strict_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (BASE64.encode(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_has_one_spelling() {
        assert_eq!(parse_decimal("0"), Some(0));
        assert_eq!(parse_decimal("18446744073709551615"), Some(u64::MAX));
        for text in ["", "00", "01", "+1", "-1", " 1", "1 ", "18446744073709551616", "٣"] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_base64_hash_has_one_spelling() {
        let text = BASE64.encode(&[0; 32]);
        assert_eq!(parse_base64_hash(&text), Some(Hash::ZERO));
        // The last character carries four bits of data and two that must be zero.
        for text in [text.replace("A=", "B="), text.replace('=', ""), format!("{text}="), "/".repeat(44)] {
            assert_eq!(parse_base64_hash(&text), None, "{text}");
        }
    }

    #[test]
    fn padding_stands_at_the_end_only() {
        assert_eq!(strict_base64("AAAA").as_deref(), Some(&[0, 0, 0][..]));
        assert_eq!(strict_base64("AA==").as_deref(), Some(&[0][..]));
        for two_texts_of_the_same in ["AA==AA==", "AA==AAA=", "AAA=AAAA", "AAAAAA==AA=="] {
            assert_eq!(strict_base64(two_texts_of_the_same), None);
        }
        for bad in ["AA", "AB==", "A A=", "AA==\n", "-_8="] {
            assert_eq!(strict_base64(bad), None);
        }
    }
}
