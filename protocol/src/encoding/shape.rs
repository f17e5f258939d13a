//! The shape walk: one pass over the heads of a CBOR item, before any typed decode.
//!
//! It allocates nothing and looks at each head once; afterwards lengths, depth and order are known to be sane.

/// No array of ours has more items; longer things are paged.
pub const MAX_ARRAY_ITEMS: u64 = 64;
/// Longest text string.
pub const MAX_TEXT_BYTES: u64 = 256;
/// Deepest nesting of arrays and maps; counted afresh in each byte string.
pub const MAX_DEPTH: usize = 6;

/// The rule of canonical form that the bytes break, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message is its documentation; `at` is the byte offset")]
pub enum ShapeError {
    #[error("it ends in the middle of an item (offset {at})")]
    Truncated { at: usize },
    #[error("{extra} bytes follow the item")]
    Trailing { extra: usize },
    #[error("a length or number is not in its shortest form (offset {at})")]
    NotShortest { at: usize },
    #[error("an indefinite length (offset {at})")]
    Indefinite { at: usize },
    #[error("a tag (offset {at})")]
    Tag { at: usize },
    #[error("a float, null, undefined or other simple value (offset {at})")]
    Simple { at: usize },
    #[error("a map key that is not an unsigned integer (offset {at})")]
    MapKey { at: usize },
    #[error("map keys out of order or twice (offset {at})")]
    MapOrder { at: usize },
    #[error("an array or map of more than {} items (offset {at})", MAX_ARRAY_ITEMS)]
    TooManyItems { at: usize },
    #[error("a text of more than {} bytes (offset {at})", MAX_TEXT_BYTES)]
    TextTooLong { at: usize },
    #[error("a text that is not UTF-8 (offset {at})")]
    NotUtf8 { at: usize },
    #[error("nesting deeper than {} (offset {at})", MAX_DEPTH)]
    TooDeep { at: usize },
}

/// Checks that `bytes` are exactly one CBOR item in the narrowed canonical form.
///
/// # Errors
/// The first rule broken, with its offset.
pub fn check_shape(bytes: &[u8]) -> Result<(), ShapeError> {
    let mut walk = Walk { bytes, at: 0 };
    walk.item(0)?;
    match bytes.len().saturating_sub(walk.at) {
        0 => Ok(()),
        extra => Err(ShapeError::Trailing { extra }),
    }
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

impl<'b> Walk<'b> {
    fn take(&mut self, n: u64) -> Result<&'b [u8], ShapeError> {
        let at = self.at;
        let n = usize::try_from(n).map_err(|_| ShapeError::Truncated { at })?;
        let end = at.checked_add(n).ok_or(ShapeError::Truncated { at })?;
        let part = self.bytes.get(at..end).ok_or(ShapeError::Truncated { at })?;
        self.at = end;
        Ok(part)
    }

    /// Reads one head: major type and argument, in shortest form. `None` for false and true.
    fn head(&mut self) -> Result<Option<(u8, u64)>, ShapeError> {
        let at = self.at;
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        if major == 7 {
            return if info == 20 || info == 21 { Ok(None) } else { Err(ShapeError::Simple { at }) };
        }
        if major == TAG {
            return Err(ShapeError::Tag { at });
        }
        let (argument, least) = match info {
            0..=23 => (u64::from(info), 0),
            24 => (be(self.take(1)?), 24),
            25 => (be(self.take(2)?), 1 << 8),
            26 => (be(self.take(4)?), 1 << 16),
            27 => (be(self.take(8)?), 1 << 32),
            _ => return Err(ShapeError::Indefinite { at }),
        };
        if argument < least {
            return Err(ShapeError::NotShortest { at });
        }
        Ok(Some((major, argument)))
    }

    fn item(&mut self, depth: usize) -> Result<(), ShapeError> {
        let at = self.at;
        let Some((major, argument)) = self.head()? else { return Ok(()) };
        match major {
            UNSIGNED | NEGATIVE => Ok(()),
            BYTES => self.take(argument).map(|_| ()),
            TEXT if argument > MAX_TEXT_BYTES => Err(ShapeError::TextTooLong { at }),
            TEXT => match std::str::from_utf8(self.take(argument)?) {
                Ok(_) => Ok(()),
                Err(_) => Err(ShapeError::NotUtf8 { at }),
            },
            _ if depth >= MAX_DEPTH => Err(ShapeError::TooDeep { at }),
            _ if argument > MAX_ARRAY_ITEMS => Err(ShapeError::TooManyItems { at }),
            ARRAY => (0..argument).try_for_each(|_| self.item(depth.saturating_add(1))),
            MAP => self.map(argument, depth.saturating_add(1)),
            _ => Err(ShapeError::Simple { at }),
        }
    }

    fn map(&mut self, pairs: u64, depth: usize) -> Result<(), ShapeError> {
        let mut previous = None;
        for _ in 0..pairs {
            let at = self.at;
            let key = match self.head()? {
                Some((UNSIGNED, key)) => key,
                _ => return Err(ShapeError::MapKey { at }),
            };
            if previous.is_some_and(|p| p >= key) {
                return Err(ShapeError::MapOrder { at });
            }
            previous = Some(key);
            self.item(depth)?;
        }
        Ok(())
    }
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn canonical_items_pass() {
        for text in
            ["00", "1818", "190100", "40", "4101", "6161", "80", "820102", "a0", "a200010102", "f4", "20"]
        {
            assert_eq!(check_shape(&hex(text)), Ok(()), "{text}");
        }
    }

    #[test]
    fn each_departure_from_canonical_form_is_named() {
        let cases = [
            ("", ShapeError::Truncated { at: 0 }),
            ("41", ShapeError::Truncated { at: 1 }),
            ("0000", ShapeError::Trailing { extra: 1 }),
            ("1800", ShapeError::NotShortest { at: 0 }),
            ("190001", ShapeError::NotShortest { at: 0 }),
            ("1a0000ffff", ShapeError::NotShortest { at: 0 }),
            ("1b00000000ffffffff", ShapeError::NotShortest { at: 0 }),
            ("5801ff", ShapeError::NotShortest { at: 0 }),
            ("9fff", ShapeError::Indefinite { at: 0 }),
            ("c000", ShapeError::Tag { at: 0 }),
            ("f6", ShapeError::Simple { at: 0 }),
            ("f90000", ShapeError::Simple { at: 0 }),
            ("a1616100", ShapeError::MapKey { at: 1 }),
            ("a201000000", ShapeError::MapOrder { at: 3 }),
            ("a200000000", ShapeError::MapOrder { at: 3 }),
            ("61ff", ShapeError::NotUtf8 { at: 0 }),
            ("81818181818180", ShapeError::TooDeep { at: 6 }),
            ("9841", ShapeError::TooManyItems { at: 0 }),
            ("790101", ShapeError::TextTooLong { at: 0 }),
        ];
        for (text, error) in cases {
            assert_eq!(check_shape(&hex(text)), Err(error), "{text}");
        }
    }
}
