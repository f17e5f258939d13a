//! Entry bundles (C2SP tlog-tiles, "Log entries"): up to 256 entries, each after its length as two bytes.
//!
//! The number of entries is known from the path and the size of the log, so it is asked for and never guessed.

use super::TILE_WIDTH;

/// Longest entry that a bundle can hold; the ledger allows less.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Why entries and bytes are not a bundle of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// No entries, or more than a tile has.
    #[error("a bundle of {got} entries, it has 1 to {}", TILE_WIDTH)]
    Count {
        /// Entries given or expected.
        got: usize,
    },
    /// An entry too long for its length field.
    #[error("entry {entry} of the bundle has {got} bytes, at most {} are allowed", MAX_ENTRY_BYTES)]
    EntryTooLong {
        /// Its place in the bundle, from zero.
        entry: usize,
        /// Its bytes.
        got: usize,
    },
    /// The bytes end before the last expected entry.
    #[error("the bundle ends inside entry {entry} of {expected}")]
    Truncated {
        /// The place of the entry that is cut off, from zero.
        entry: usize,
        /// Entries expected.
        expected: usize,
    },
    /// Bytes after the last expected entry.
    #[error("{extra} bytes follow the {expected} entries of the bundle")]
    Trailing {
        /// Bytes left over.
        extra: usize,
        /// Entries expected.
        expected: usize,
    },
}

fn check_count(got: usize) -> Result<(), BundleError> {
    if got == 0 || got > usize::from(TILE_WIDTH) { Err(BundleError::Count { got }) } else { Ok(()) }
}

/// Joins entries into a bundle.
///
/// # Errors
/// When there are none or more than 256, or one is longer than 65,535 bytes.
pub fn encode_bundle(entries: &[&[u8]]) -> Result<Vec<u8>, BundleError> {
    check_count(entries.len())?;
    let mut bundle = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let too_long = |_| BundleError::EntryTooLong { entry: i, got: entry.len() };
        let len = u16::try_from(entry.len()).map_err(too_long)?;
        bundle.extend_from_slice(&len.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Divides a bundle into exactly the expected number of entries.
///
/// # Errors
/// When it holds fewer or more bytes than those entries, or that number cannot be.
pub fn split_bundle(bundle: &[u8], expected: usize) -> Result<Vec<&[u8]>, BundleError> {
    check_count(expected)?;
    let mut rest = bundle;
    let mut entries = Vec::with_capacity(expected);
    for entry in 0..expected {
        let truncated = BundleError::Truncated { entry, expected };
        let (len, after) = rest.split_first_chunk().ok_or(truncated)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (bytes, after) = after.split_at_checked(len).ok_or(truncated)?;
        entries.push(bytes);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::Trailing { extra: rest.len(), expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_divides_into_its_entries() {
        let bundle = encode_bundle(&[b"abc", b"", b"de"]).unwrap();
        assert_eq!(bundle, b"\0\x03abc\0\0\0\x02de");
        assert_eq!(split_bundle(&bundle, 3), Ok(vec![b"abc".as_slice(), b"", b"de"]));
        let longest = vec![7; MAX_ENTRY_BYTES];
        let full = encode_bundle(&[longest.as_slice(); 256]).unwrap();
        assert_eq!(split_bundle(&full, 256).unwrap().len(), 256);
    }

    #[test]
    fn a_bundle_of_another_number_of_entries_is_refused() {
        let bundle = encode_bundle(&[b"abc", b"de"]).unwrap();
        assert_eq!(split_bundle(&bundle, 1), Err(BundleError::Trailing { extra: 4, expected: 1 }));
        assert_eq!(split_bundle(&bundle, 3), Err(BundleError::Truncated { entry: 2, expected: 3 }));
        assert_eq!(split_bundle(&bundle[..8], 2), Err(BundleError::Truncated { entry: 1, expected: 2 }));
        assert_eq!(split_bundle(&bundle[..6], 2), Err(BundleError::Truncated { entry: 1, expected: 2 }));
    }

    #[test]
    fn a_bundle_has_1_to_256_entries_that_fit() {
        assert_eq!(encode_bundle(&[]), Err(BundleError::Count { got: 0 }));
        assert_eq!(encode_bundle(&[b"".as_slice(); 257]), Err(BundleError::Count { got: 257 }));
        assert_eq!(split_bundle(&[], 0), Err(BundleError::Count { got: 0 }));
        assert_eq!(split_bundle(&[], usize::MAX), Err(BundleError::Count { got: usize::MAX }));
        let long = vec![0; MAX_ENTRY_BYTES + 1];
        let error = BundleError::EntryTooLong { entry: 1, got: MAX_ENTRY_BYTES + 1 };
        assert_eq!(encode_bundle(&[b"a", &long]), Err(error));
    }
}
