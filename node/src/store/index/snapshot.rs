//! The saved state: stored in pieces, replaced as a whole, and checked before it is handed out.

use super::{Index, IndexError, keys};
use sha2::{Digest, Sha256};
use weft_protocol::ids::Hash;

/// Largest state snapshot: a bound on what a damaged length may allocate.
pub const MAX_SNAPSHOT_BYTES: u64 = 256 * 1024 * 1024;
/// A snapshot is stored in pieces of so many bytes.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// A saved state, so that a start need not replay everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many own entries it includes.
    pub own_entries: u64,
    /// The state, as its owner wrote it; its SHA-256 was checked.
    pub bytes: Vec<u8>,
}

impl Index {
    /// The saved state, if there is one.
    ///
    /// # Errors
    /// [`IndexError::Rebuild`], also when its SHA-256 differs.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, IndexError> {
        let Some(header) = self.snapshot_header()? else { return Ok(None) };
        if header.len > MAX_SNAPSHOT_BYTES {
            let why = format!("its snapshot says {} bytes, allowed are {MAX_SNAPSHOT_BYTES}", header.len);
            return Err(IndexError::rebuild(why));
        }
        let mut bytes = Vec::new();
        for chunk in 0..header.chunks() {
            let chunk = self.get(&keys::snapshot_chunk(chunk))?;
            bytes.extend_from_slice(
                &chunk.ok_or_else(|| IndexError::rebuild("a piece of its snapshot is missing"))?,
            );
        }
        if Sha256::digest(&bytes)[..] != header.sha256.0 {
            return Err(IndexError::rebuild("its snapshot does not have its SHA-256"));
        }
        Ok(Some(Snapshot { own_entries: header.own_entries, bytes }))
    }

    pub(super) fn snapshot_header(&self) -> Result<Option<SnapshotHeader>, IndexError> {
        self.read(&keys::meta(keys::SNAPSHOT), SnapshotHeader::read)
    }
}

/// What is stored about a snapshot beside its pieces.
pub(super) struct SnapshotHeader {
    own_entries: u64,
    len: u64,
    sha256: Hash,
}

impl SnapshotHeader {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let sha256 = Hash(Sha256::digest(&snapshot.bytes).into());
        Self { own_entries: snapshot.own_entries, len: snapshot.bytes.len() as u64, sha256 }
    }

    pub(super) fn chunks(&self) -> u64 {
        self.len.div_ceil(CHUNK_BYTES as u64)
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        [&self.own_entries.to_be_bytes()[..], &self.len.to_be_bytes(), self.sha256.as_bytes()].concat()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (own_entries, rest) = bytes.split_first_chunk()?;
        let (len, sha256) = rest.split_first_chunk()?;
        Some(Self {
            own_entries: u64::from_be_bytes(*own_entries),
            len: u64::from_be_bytes(*len),
            sha256: Hash::from_slice(sha256)?,
        })
    }
}
