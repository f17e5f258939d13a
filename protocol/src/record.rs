//! One record of a segment file: its bytes and back. Pure: no files, no state.
//!
//! ```text
//! record = len: u32 LE (bytes after the crc) ‖ crc32c: u32 LE (over what follows) ‖ type: u8 ‖ key ‖ bytes
//! type 0   own entry       key = seq: u64 LE
//! type 1   received entry  key = ledger: 32 ‖ stream: 16 ‖ sseq: u64 LE ‖ boot: u64 LE
//! type 2   note            key = kind: u8 ‖ name: 32
//! type 3   seal            key = offset: u64 LE ‖ SHA-256 of the segment's bytes 0..offset: 32, no bytes
//! ```
//!
//! What must hold: a [`RecordRef`] always fits; printing and parsing are inverse; parsing never allocates.

#![cfg_attr(
    not(test),
    expect(
        clippy::arithmetic_side_effects,
        reason = "lengths and offsets inside one segment of at most 16 MiB"
    )
)]

mod scan;

pub use scan::{Fault, Scanner, Step, is_unfinished};

use crate::ids::{LedgerId, StreamId};

/// Most bytes one record may carry: the format cap of an entry; notes are far smaller.
pub const MAX_BYTES: usize = 65_535;
/// Most bytes of a fence: a few numbers for each stream of one peer.
pub const MAX_FENCE_BYTES: usize = 4_096;
/// Most bytes of a peer's checkpoint: its text and 16 signature lines with the longest key names.
pub const MAX_PEER_CHECKPOINT_BYTES: usize = 8_192;
/// Length of `len` and `crc32c`.
pub const HEADER_LEN: usize = 8;
/// Length of a whole seal record; the writer always leaves room for one.
pub const SEAL_RECORD_LEN: usize = HEADER_LEN + 1 + SEAL_KEY_LEN;
/// The largest `len` there is: a received entry of [`MAX_BYTES`].
pub const MAX_BODY_LEN: usize = 1 + RECEIVED_KEY_LEN + MAX_BYTES;
/// The smallest `len` there is: an own entry of no bytes.
pub const MIN_BODY_LEN: usize = 1 + OWN_KEY_LEN;

const OWN: u8 = 0;
const RECEIVED: u8 = 1;
const NOTE: u8 = 2;
const SEAL: u8 = 3;

const OWN_KEY_LEN: usize = 8;
const RECEIVED_KEY_LEN: usize = 32 + 16 + 8 + 8;
const NOTE_KEY_LEN: usize = 1 + 32;
const SEAL_KEY_LEN: usize = 8 + 32;

/// What a note is; its bytes are kept exactly as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteKind(pub u8);

impl NoteKind {
    /// A peer's descriptor; the name is its ledger id.
    pub const DESCRIPTOR: Self = Self(1);
    /// A witness's cosignature of one of our checkpoints; the name is the tree root it covers.
    pub const COSIGNATURE: Self = Self(2);
    /// What we have told a peer after its start and hold it to; the name is its ledger id.
    pub const FENCE: Self = Self(3);
    /// Evidence received, before it is an entry; the name is the SHA-256 of the bytes.
    pub const EVIDENCE: Self = Self(4);
    /// The checkpoint of a log that we cosigned last; the name is the SHA-256 of the log's origin.
    pub const PEER_CHECKPOINT: Self = Self(5);

    /// Kinds that a reader knows; any other is refused by name (specs/store.md 2.6).
    pub const KNOWN: [Self; 5] =
        [Self::DESCRIPTOR, Self::COSIGNATURE, Self::FENCE, Self::EVIDENCE, Self::PEER_CHECKPOINT];

    /// Most bytes a note of this kind may carry; 0 for a kind that is not known.
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::DESCRIPTOR | Self::COSIGNATURE | Self::EVIDENCE => MAX_BYTES,
            Self::FENCE => MAX_FENCE_BYTES,
            Self::PEER_CHECKPOINT => MAX_PEER_CHECKPOINT_BYTES,
            Self(_) => 0,
        }
    }
}

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKey {
    /// An entry of our own ledger; only these are leaves of its tree.
    Own {
        /// Its place, contiguous from 0.
        seq: u64,
    },
    /// An entry of another ledger, exactly as received: our proof.
    Received {
        /// Whose ledger.
        ledger: LedgerId,
        /// Which of its streams.
        stream: StreamId,
        /// Its place in the stream.
        sseq: u64,
        /// The boot number it was signed under.
        boot: u64,
    },
    /// A note: a received descriptor, cosignature or evidence, a fence, a checkpoint seen.
    Note {
        /// What it is.
        kind: NoteKind,
        /// Whom or what it names.
        name: [u8; 32],
    },
}

impl std::fmt::Display for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own { seq } => write!(f, "own entry {seq}"),
            Self::Received { ledger, stream, sseq, boot } => {
                write!(f, "entry {sseq} of stream {stream} of ledger {ledger}, boot {boot}")
            }
            Self::Note { kind, name } => write!(f, "note of kind {} named {}", kind.0, LedgerId(*name)),
        }
    }
}

impl RecordKey {
    /// Most bytes a record about this may carry.
    pub const fn max_bytes(&self) -> usize {
        match self {
            Self::Own { .. } | Self::Received { .. } => MAX_BYTES,
            Self::Note { kind, .. } => kind.max_bytes(),
        }
    }
}

/// Bytes that do not fit into one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{key} has {len} bytes, such a record holds at most {}", key.max_bytes())]
pub struct RecordTooLong {
    /// What was to be stored.
    pub key: RecordKey,
    /// Its length in bytes.
    pub len: usize,
}

/// A record that fits, borrowing its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    key: RecordKey,
    bytes: &'a [u8],
}

impl<'a> RecordRef<'a> {
    /// A record of at most [`RecordKey::max_bytes`] bytes.
    ///
    /// # Errors
    /// When there are more, or it is a note of a kind that is not known.
    pub fn new(key: RecordKey, bytes: &'a [u8]) -> Result<Self, RecordTooLong> {
        let max = key.max_bytes();
        if max == 0 || bytes.len() > max {
            return Err(RecordTooLong { key, len: bytes.len() });
        }
        Ok(Self { key, bytes })
    }

    /// What it is about.
    pub fn key(&self) -> RecordKey {
        self.key
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// A copy that owns its bytes.
    pub fn to_record(&self) -> Record {
        Record { key: self.key, bytes: self.bytes.to_vec() }
    }

    /// Length of the whole record in a file.
    pub fn encoded_len(&self) -> usize {
        let key = match self.key {
            RecordKey::Own { .. } => OWN_KEY_LEN,
            RecordKey::Received { .. } => RECEIVED_KEY_LEN,
            RecordKey::Note { .. } => NOTE_KEY_LEN,
        };
        HEADER_LEN + 1 + key + self.bytes.len()
    }

    /// Adds the record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(out);
        match self.key {
            RecordKey::Own { seq } => {
                out.push(OWN);
                out.extend_from_slice(&seq.to_le_bytes());
            }
            RecordKey::Received { ledger, stream, sseq, boot } => {
                out.push(RECEIVED);
                out.extend_from_slice(ledger.as_bytes());
                out.extend_from_slice(stream.as_bytes());
                out.extend_from_slice(&sseq.to_le_bytes());
                out.extend_from_slice(&boot.to_le_bytes());
            }
            RecordKey::Note { kind, name } => {
                out.push(NOTE);
                out.push(kind.0);
                out.extend_from_slice(&name);
            }
        }
        out.extend_from_slice(self.bytes);
        finish(out, start);
    }
}

/// A record that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub key: RecordKey,
    /// The exact bytes.
    pub bytes: Vec<u8>,
}

impl Record {
    /// The same, borrowing its bytes.
    ///
    /// # Errors
    /// When it has more bytes than such a record holds.
    pub fn as_ref(&self) -> Result<RecordRef<'_>, RecordTooLong> {
        RecordRef::new(self.key, &self.bytes)
    }
}

/// The statement that everything in a segment before it was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Where the seal record itself starts.
    pub offset: u64,
    /// SHA-256 of the segment's bytes before it, earlier seals included.
    pub sha256: [u8; 32],
}

impl Seal {
    /// Adds the seal record to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = begin(out);
        out.push(SEAL);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.sha256);
        finish(out, start);
    }
}

/// What one record turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Something stored.
    Record(RecordRef<'a>),
    /// A seal over what stands before it.
    Seal(Seal),
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// Fewer bytes than a header.
    #[error("the file ends after {have} of {HEADER_LEN} header bytes")]
    HeaderEnds {
        /// Bytes there.
        have: usize,
    },
    /// A length that no record of this type has.
    #[error(
        "the length field says {len}, allowed are {MIN_BODY_LEN} to {MAX_BODY_LEN} and what the type needs"
    )]
    Length {
        /// The field.
        len: u32,
    },
    /// The bytes end before the record does.
    #[error("the file ends after {have} of {len} bytes")]
    BodyEnds {
        /// The length field.
        len: usize,
        /// Bytes there.
        have: usize,
    },
    /// The checksum differs.
    #[error("the checksum is {computed:08x} where {stored:08x} is stored")]
    Crc {
        /// What the record says.
        stored: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A type this version does not know, under a right checksum.
    #[error("record type {0} is not known; a newer version may have written it")]
    Type(u8),
    /// A kind of note this version does not know, under a right checksum.
    #[error("a note of kind {0} is not known; a newer version may have written it")]
    NoteKind(u8),
}

/// Reads the record at the start of `bytes`; also gives its whole length.
///
/// # Errors
/// A [`RecordFault`].
pub fn parse(bytes: &[u8]) -> Result<(Item<'_>, usize), RecordFault> {
    let (len, stored) = parse_header(bytes)?;
    let rest = &bytes[HEADER_LEN..];
    let body = rest.get(..len).ok_or(RecordFault::BodyEnds { len, have: rest.len() })?;
    let computed = crc32c::crc32c(body);
    if computed != stored {
        return Err(RecordFault::Crc { stored, computed });
    }
    let length_fault = RecordFault::Length { len: u32::try_from(len).unwrap_or(u32::MAX) };
    let item = match body[0] {
        SEAL => parse_seal(&body[1..]).map(Item::Seal).ok_or(length_fault)?,
        OWN | RECEIVED | NOTE => {
            let (key, bytes) = parse_key(body).ok_or(length_fault)?;
            if let RecordKey::Note { kind, .. } = key
                && !NoteKind::KNOWN.contains(&kind)
            {
                return Err(RecordFault::NoteKind(kind.0));
            }
            Item::Record(RecordRef::new(key, bytes).map_err(|_| length_fault)?)
        }
        other => return Err(RecordFault::Type(other)),
    };
    Ok((item, HEADER_LEN + len))
}

/// Length of the body and stored checksum of the record at the start of `bytes`.
///
/// # Errors
/// When there is no whole header, or its length is none that a record can have.
pub fn parse_header(bytes: &[u8]) -> Result<(usize, u32), RecordFault> {
    let mut fields =
        bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let (Some(len), Some(crc)) = (fields.next(), fields.next()) else {
        return Err(RecordFault::HeaderEnds { have: bytes.len() });
    };
    match usize::try_from(len) {
        Ok(body) if (MIN_BODY_LEN..=MAX_BODY_LEN).contains(&body) => Ok((body, crc)),
        Ok(_) | Err(_) => Err(RecordFault::Length { len }),
    }
}

/// The key that stands in a damaged record, as far as it can be read: for messages, never for decisions.
pub fn claimed_key(bytes: &[u8]) -> Option<RecordKey> {
    parse_key(bytes.get(HEADER_LEN..)?).map(|(key, _)| key)
}

fn parse_key(body: &[u8]) -> Option<(RecordKey, &[u8])> {
    let (kind, rest) = body.split_first()?;
    match *kind {
        OWN => {
            let (seq, bytes) = rest.split_first_chunk()?;
            Some((RecordKey::Own { seq: u64::from_le_bytes(*seq) }, bytes))
        }
        RECEIVED => {
            let (ledger, rest) = rest.split_first_chunk()?;
            let (stream, rest) = rest.split_first_chunk()?;
            let (sseq, rest) = rest.split_first_chunk()?;
            let (boot, bytes) = rest.split_first_chunk()?;
            let key = RecordKey::Received {
                ledger: LedgerId(*ledger),
                stream: StreamId(*stream),
                sseq: u64::from_le_bytes(*sseq),
                boot: u64::from_le_bytes(*boot),
            };
            Some((key, bytes))
        }
        NOTE => {
            let (kind, rest) = rest.split_first()?;
            let (name, bytes) = rest.split_first_chunk()?;
            Some((RecordKey::Note { kind: NoteKind(*kind), name: *name }, bytes))
        }
        _ => None,
    }
}

fn parse_seal(key: &[u8]) -> Option<Seal> {
    let (offset, rest) = key.split_first_chunk()?;
    let sha256 = rest.try_into().ok()?;
    Some(Seal { offset: u64::from_le_bytes(*offset), sha256 })
}

fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    start
}

fn finish(out: &mut [u8], start: usize) {
    let body = &out[start + HEADER_LEN..];
    let len = u32::try_from(body.len()).expect("a body is at most MAX_BODY_LEN");
    let crc = crc32c::crc32c(body);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..start + HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> [RecordKey; 3] {
        [
            RecordKey::Own { seq: 7 },
            RecordKey::Received { ledger: LedgerId([1; 32]), stream: StreamId([2; 16]), sseq: 3, boot: 4 },
            RecordKey::Note { kind: NoteKind::COSIGNATURE, name: [5; 32] },
        ]
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for key in keys() {
            for bytes in [&b""[..], b"x", &[9; MAX_BYTES]] {
                let record = RecordRef::new(key, bytes).unwrap();
                let mut out = Vec::new();
                record.encode(&mut out);
                assert_eq!(out.len(), record.encoded_len());
                assert_eq!(parse(&out), Ok((Item::Record(record), out.len())));
                assert_eq!(claimed_key(&out), Some(key));
            }
        }
        let seal = Seal { offset: 11, sha256: [3; 32] };
        let mut out = Vec::new();
        seal.encode(&mut out);
        assert_eq!(out.len(), SEAL_RECORD_LEN);
        assert_eq!(parse(&out), Ok((Item::Seal(seal), out.len())));
    }

    #[test]
    fn the_bytes_of_an_own_entry_are_as_documented() {
        let mut out = Vec::new();
        RecordRef::new(RecordKey::Own { seq: 258 }, b"ab").unwrap().encode(&mut out);
        assert_eq!(out[..4], [11, 0, 0, 0]);
        assert_eq!(out[4..8], crc32c::crc32c(&out[8..]).to_le_bytes());
        assert_eq!(out[8..], [0, 2, 1, 0, 0, 0, 0, 0, 0, b'a', b'b']);
    }

    #[test]
    fn bytes_over_the_cap_make_no_record() {
        for key in keys() {
            assert!(RecordRef::new(key, &[0; MAX_BYTES + 1]).is_err());
        }
    }

    #[test]
    fn a_length_that_no_record_has_is_refused_before_its_bytes_are_looked_at() {
        let mut out = Vec::new();
        RecordRef::new(RecordKey::Own { seq: 0 }, b"abc").unwrap().encode(&mut out);
        for len in [0, 8, u32::try_from(MAX_BODY_LEN + 1).unwrap(), u32::MAX] {
            out[..4].copy_from_slice(&len.to_le_bytes());
            assert_eq!(parse(&out), Err(RecordFault::Length { len }));
        }
    }

    #[test]
    fn an_unknown_type_under_a_right_checksum_is_named() {
        let mut out = vec![0; HEADER_LEN];
        out.extend_from_slice(&[4; 20]);
        finish(&mut out, 0);
        assert_eq!(parse(&out), Err(RecordFault::Type(4)));
    }

    #[test]
    fn every_kind_of_note_holds_as_much_as_it_may_and_a_kind_beyond_them_is_named() {
        let name = [5; 32];
        for kind in NoteKind::KNOWN {
            let key = RecordKey::Note { kind, name };
            let most = vec![9; kind.max_bytes()];
            let record = RecordRef::new(key, &most).unwrap();
            let mut out = Vec::new();
            record.encode(&mut out);
            assert_eq!(parse(&out), Ok((Item::Record(record), out.len())), "{kind:?}");
            assert!(RecordRef::new(key, &vec![9; kind.max_bytes() + 1]).is_err(), "{kind:?}");
        }
        let mut out = vec![0; HEADER_LEN];
        out.extend_from_slice(&[NOTE, 6]);
        out.extend_from_slice(&name);
        finish(&mut out, 0);
        assert_eq!(parse(&out), Err(RecordFault::NoteKind(6)));
        // One byte more than the kind may carry, under a right checksum.
        let mut out = vec![0; HEADER_LEN];
        out.extend_from_slice(&[NOTE, NoteKind::FENCE.0]);
        out.extend_from_slice(&name);
        out.extend_from_slice(&[0; MAX_FENCE_BYTES + 1]);
        finish(&mut out, 0);
        assert!(matches!(parse(&out), Err(RecordFault::Length { .. })));
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_noticed() {
        let mut out = Vec::new();
        RecordRef::new(keys()[1], b"some bytes").unwrap().encode(&mut out);
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&out).is_err(), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
