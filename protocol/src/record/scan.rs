//! Walking through the bytes of one segment. Pure: the whole segment (at most 16 MiB) is in memory.
//!
//! What must hold: every record's checksum and every seal's hash is checked before the record is handed out, and
//! nothing counts as an unfinished write that could be anything else.

#![cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        reason = "lengths and offsets inside one segment of at most 16 MiB"
    )
)]

use super::{HEADER_LEN, Item, MIN_BODY_LEN, RecordFault, RecordRef, parse, parse_header};
use sha2::{Digest, Sha256};

/// Disks write whole sectors, so the zeros left by an unfinished write start at a multiple of this.
const SECTOR_BYTES: usize = 512;

/// Why a segment cannot be read on from some record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes are no record.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// A seal whose offset is not where it stands.
    #[error("the seal was made for offset {says}")]
    SealOffset {
        /// Its offset field.
        says: u64,
    },
    /// A seal that does not fit what stands before it.
    #[error("the seal does not fit the bytes before it")]
    SealHash,
}

/// One step of a [`Scanner`].
#[derive(Debug)]
pub enum Step<'a> {
    /// A record, with the offset where it starts.
    Record(usize, RecordRef<'a>),
    /// A right seal, with the offset after it.
    Seal(usize),
}

/// Reads record after record and keeps the running hash.
#[derive(Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    hasher: Sha256,
    damaged: bool,
    offset: usize,
    number: u64,
    sealed_to: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte of a segment.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, hasher: Sha256::new(), damaged: false, offset: 0, number: 0, sealed_to: 0 }
    }

    /// Where the next record starts.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many records, seals included, were read.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The offset after the last seal, 0 before the first.
    pub fn sealed_to(&self) -> usize {
        self.sealed_to
    }

    /// The next record, `None` at the end. After a fault the scanner stands at the bad record.
    ///
    /// # Errors
    /// Why no record can be read here.
    pub fn step(&mut self) -> Result<Option<Step<'a>>, Fault> {
        let rest = &self.bytes[self.offset..];
        if rest.is_empty() {
            return Ok(None);
        }
        let start = self.offset;
        let (item, len) = parse(rest)?;
        if let Item::Seal(seal) = item {
            if seal.offset != start as u64 {
                return Err(Fault::SealOffset { says: seal.offset });
            }
            if !self.damaged && self.hasher.clone().finalize()[..] != seal.sha256 {
                return Err(Fault::SealHash);
            }
        }
        self.hasher.update(&rest[..len]);
        self.offset += len;
        self.number += 1;
        Ok(Some(match item {
            Item::Record(record) => Step::Record(start, record),
            Item::Seal(_) => {
                self.sealed_to = self.offset;
                Step::Seal(self.offset)
            }
        }))
    }

    /// After a fault: goes on at the next offset where a whole record stands, or at the end. Gives the number of
    /// bytes left out. Seals that come later are not held against the damage again.
    pub fn skip_damage(&mut self) -> usize {
        let start = self.offset;
        self.damaged = true;
        let rest = &self.bytes[start..];
        let implied =
            parse_header(rest).ok().map(|(len, _)| HEADER_LEN + len).filter(|len| *len < rest.len());
        let whole = |skip: &usize| parse(&rest[*skip..]).is_ok();
        let next = implied.filter(whole).or_else(|| (1..rest.len()).find(whole));
        self.offset = start + next.unwrap_or(rest.len());
        self.number += 1;
        self.offset - start
    }

    /// The hash over everything read, to go on from.
    pub fn into_hasher(self) -> Sha256 {
        self.hasher
    }
}

/// Whether a bad record at `offset` can only be a write that a crash cut short: the file ends inside it and no
/// whole record is hidden in what is left, or what is left of it is zeros.
pub fn is_unfinished(segment: &[u8], offset: usize, fault: Fault) -> bool {
    if zeros_from_inside(segment, offset) {
        return true;
    }
    match fault {
        Fault::Record(RecordFault::HeaderEnds { .. }) => true,
        Fault::Record(RecordFault::BodyEnds { .. }) => !hides_whole_record(&segment[offset..]),
        Fault::Record(
            RecordFault::Length { .. }
            | RecordFault::Crc { .. }
            | RecordFault::Type(_)
            | RecordFault::NoteKind(_),
        )
        | Fault::SealOffset { .. }
        | Fault::SealHash => false,
    }
}

/// Zeros up to the end of the file which start at the record itself, or inside it at a sector's border.
///
/// The border matters: a damaged record that merely ends in a zero byte is no unfinished write.
fn zeros_from_inside(segment: &[u8], offset: usize) -> bool {
    let first_zero = segment.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if first_zero <= offset {
        return true;
    }
    let record_len = parse_header(&segment[offset..]).map_or(HEADER_LEN, |(len, _)| HEADER_LEN + len);
    let end = segment.len().min(offset + record_len);
    first_zero.next_multiple_of(SECTOR_BYTES) < end
}

/// Whether the record is whole under another length, or a whole record ends where the file ends: then it is the
/// header that is damaged, and cutting would lose records that were complete.
fn hides_whole_record(rest: &[u8]) -> bool {
    let body = &rest[HEADER_LEN..];
    let stored = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]);
    let mut crc = 0;
    for (at, byte) in body.iter().enumerate() {
        crc = crc32c::crc32c_append(crc, &[*byte]);
        if crc == stored && at + 1 >= MIN_BODY_LEN {
            return true;
        }
    }
    (1..rest.len()).map(|start| &rest[start..]).any(|tail| {
        let reaches_end = parse_header(tail).is_ok_and(|(len, _)| HEADER_LEN + len == tail.len());
        reaches_end && parse(tail).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::{RecordKey, Seal};
    use super::*;

    fn entry(seq: u64, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        RecordRef::new(RecordKey::Own { seq }, bytes).unwrap().encode(&mut out);
        out
    }

    fn scan(bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut scanner = Scanner::new(bytes);
        loop {
            match scanner.step() {
                Ok(Some(_)) => {}
                Ok(None) => return (scanner.offset(), None),
                Err(fault) => return (scanner.offset(), Some(fault)),
            }
        }
    }

    fn unfinished(bytes: &[u8]) -> bool {
        let (offset, fault) = scan(bytes);
        is_unfinished(bytes, offset, fault.expect("the segment should have a fault"))
    }

    #[test]
    fn every_proper_prefix_of_the_last_record_is_an_unfinished_write() {
        let mut bytes = entry(0, b"first");
        let whole = bytes.len();
        bytes.extend(entry(1, &[7; 700]));
        for cut in whole + 1..bytes.len() {
            assert!(unfinished(&bytes[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn zeros_from_a_sector_border_are_an_unfinished_write_and_a_trailing_zero_is_not() {
        let mut bytes = entry(0, b"first");
        let start = bytes.len();
        bytes.extend(entry(1, &[7; 2000]));
        let mut torn = bytes.clone();
        torn[1024..].fill(0);
        assert!(unfinished(&torn));
        torn[start..].fill(0);
        assert!(unfinished(&torn));

        let mut damaged = entry(0, b"ends in zero\0\0");
        damaged[12] ^= 1;
        assert!(!unfinished(&damaged));
    }

    #[test]
    fn a_length_field_that_grew_is_no_unfinished_write() {
        let first = entry(0, b"first");
        let mut bytes = [first.clone(), entry(1, b"second"), entry(2, b"third")].concat();
        for start in [0, first.len()] {
            bytes[start + 1] ^= 0x10;
            assert!(!unfinished(&bytes), "record at {start}");
            bytes[start + 1] ^= 0x10;
        }
        let mut last = first;
        last[1] ^= 0x10;
        assert!(!unfinished(&last), "the last record, whole but for its length");
    }

    #[test]
    fn a_seal_that_fits_other_bytes_is_a_fault() {
        let mut bytes = entry(0, b"first");
        let offset = bytes.len() as u64;
        Seal { offset, sha256: Sha256::digest(&bytes).into() }.encode(&mut bytes);
        assert_eq!(scan(&bytes), (bytes.len(), None));

        let mut other = entry(0, b"other");
        other.extend_from_slice(&bytes[other.len()..]);
        assert_eq!(scan(&other).1, Some(Fault::SealHash));

        let mut moved = entry(0, b"first one");
        let start = moved.len();
        moved.extend_from_slice(&bytes[bytes.len() - super::super::SEAL_RECORD_LEN..]);
        assert_eq!(scan(&moved), (start, Some(Fault::SealOffset { says: offset })));
        assert!(!unfinished(&moved));
    }

    #[test]
    fn after_damage_the_scan_goes_on_at_the_next_whole_record() {
        let first = entry(0, b"first");
        let mut bytes = [first.clone(), entry(1, b"second"), entry(2, b"third")].concat();
        let offset = bytes.len() as u64;
        Seal { offset, sha256: Sha256::digest(&bytes).into() }.encode(&mut bytes);
        let second = first.len();
        let third = second + entry(1, b"second").len();
        for at in second..third {
            bytes[at] ^= 0x04;
            let mut scanner = Scanner::new(&bytes);
            assert!(scanner.step().is_ok());
            assert!(scanner.step().is_err(), "byte {at}");
            assert_eq!(scanner.skip_damage(), third - second, "byte {at}");
            assert!(matches!(scanner.step(), Ok(Some(Step::Record(start, _))) if start == third));
            assert!(matches!(scanner.step(), Ok(Some(Step::Seal(_)))));
            bytes[at] ^= 0x04;
        }
    }
}
