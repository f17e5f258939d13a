//! A member's receipt out of a bundle or a node's public folder: one `tlog-proof` text.

use crate::dir::{BASE_ENTRIES, BASE_STATE, KeptFile};
use std::fs;
use std::path::{Path, PathBuf};
use weft_protocol::audit::{Item, ProveError, prove};
use weft_protocol::entry::Entry;
use weft_protocol::ids::Hash;
use weft_protocol::log::checkpoint::{Checkpoint, CheckpointError};
use weft_protocol::log::note::VerifierKey;
use weft_protocol::log::note::{Note, NoteError};
use weft_protocol::log::receipt::{Receipt, ReceiptVerifyError};
use weft_protocol::log::tile::{TileKind, TilePath, decode_hashes, split_bundle};
use weft_protocol::log::tree::leaf_hash;
use weft_protocol::log::witness::{Policy, check_quorum};

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// A file could not be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// The checkpoint is no note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
    /// The note is no checkpoint.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not cover the entry.
    #[error("the checkpoint covers {size} entries, entry {seq} is not one of them")]
    NotCovered {
        /// Which entry.
        seq: u64,
        /// Entries covered.
        size: u64,
    },
    /// The tile with its leaf hash is missing or broken.
    #[error("{path} does not hold the hash of entry {seq}")]
    Tile {
        /// Which entry.
        seq: u64,
        /// The tile.
        path: TilePath,
    },
    /// The file of entries does not hold it.
    #[error("{path} does not hold entry {seq} as its tile names it")]
    Entry {
        /// Which entry.
        seq: u64,
        /// The file.
        path: TilePath,
    },
    /// It is not here any more.
    #[error(
        "entry {seq} was left out of the ledger: nobody can make its receipt from here; one made before is still good"
    )]
    LeftOut {
        /// Which entry.
        seq: u64,
    },
    /// The files do not prove it.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// The receipt of an entry, from a folder with `checkpoint` and `tile/`.
///
/// # Errors
/// When the entry is not covered, or files are missing or wrong.
pub fn receipt(folder: &Path, seq: u64) -> Result<String, ReceiptError> {
    make(folder, seq).map(|(receipt, _, _)| receipt.to_string())
}

/// The receipt of an entry, with the entry itself as its extra data: from a bundle.
///
/// # Errors
/// As [`receipt`]; when the entry is not there.
pub fn receipt_with_entry(folder: &Path, seq: u64) -> Result<String, ReceiptError> {
    let (mut receipt, leaf, size) = make(folder, seq)?;
    let path =
        TilePath::in_tree(TileKind::Entries, seq, size).ok_or(ReceiptError::NotCovered { seq, size })?;
    let file = folder.join(path.to_string());
    if !file.exists() && folder.join(BASE_STATE).exists() {
        let kept = kept_entry(folder, seq)?.filter(|entry| leaf_hash(entry) == leaf);
        receipt.extra = kept.ok_or(ReceiptError::LeftOut { seq })?;
        return Ok(receipt.to_string());
    }
    let bundle = fs::read(&file).map_err(|why| ReceiptError::Read { path: file, why })?;
    let place = usize::try_from(seq - path.first_element()).unwrap_or(usize::MAX);
    let entries = split_bundle(&bundle, usize::from(path.width())).unwrap_or_default();
    let entry = entries.get(place).filter(|entry| leaf_hash(entry) == leaf);
    receipt.extra = entry.ok_or(ReceiptError::Entry { seq, path })?.to_vec();
    Ok(receipt.to_string())
}

/// An entry that stands in no file of 256, where old entries were left out.
fn kept_entry(folder: &Path, seq: u64) -> Result<Option<Vec<u8>>, ReceiptError> {
    let path = folder.join(BASE_ENTRIES);
    let read = |why| ReceiptError::Read { path: path.clone(), why };
    let mut kept = KeptFile::open(&path).map_err(read)?;
    while let Some(item) = kept.next_entry() {
        match item {
            Item::Own { seq: found, bytes, .. } if found == seq => return Ok(Some(bytes)),
            Item::Own { .. } => {}
            Item::Received { .. } | Item::Problem(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The receipt, the leaf it is of, and the size of its checkpoint.
fn make(folder: &Path, seq: u64) -> Result<(Receipt, Hash, u64), ReceiptError> {
    let path = folder.join("checkpoint");
    let note = fs::read(&path).map_err(|why| ReceiptError::Read { path, why })?;
    let checkpoint: Checkpoint = Note::parse(&note)?.text().parse()?;
    let size = checkpoint.size();
    let load = |path: &TilePath| fs::read(folder.join(path.to_string())).ok();
    let path =
        TilePath::in_tree(TileKind::Hashes(0), seq, size).ok_or(ReceiptError::NotCovered { seq, size })?;
    let leaf = leaf(&path, seq, load).ok_or(ReceiptError::Tile { seq, path })?;
    Ok((prove(&note, seq, &leaf, load)?, leaf, size))
}

fn leaf(path: &TilePath, seq: u64, load: impl Fn(&TilePath) -> Option<Vec<u8>>) -> Option<Hash> {
    let hashes = decode_hashes(*path, &load(path)?).ok()?;
    hashes.get(usize::try_from(seq - path.first_element()).ok()?).copied()
}

/// Why a receipt is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is no receipt.
    #[error("it is no tlog-proof: {0}")]
    Receipt(#[from] weft_protocol::log::receipt::ReceiptError),
    /// It does not hold its entry, and nobody named its hash.
    #[error("it does not hold the entry, so its receipt code is needed")]
    NoLeaf,
    /// The entry in it is another than the one named.
    #[error("the entry in it has the receipt code {got}, not {expected}")]
    OtherLeaf {
        /// Named.
        expected: Hash,
        /// Of the entry in it.
        got: Hash,
    },
    /// The log has not signed it, or it leads elsewhere.
    #[error(transparent)]
    Verify(#[from] ReceiptVerifyError),
    /// Too few witnesses.
    #[error("its checkpoint: {0}")]
    Quorum(String),
}

/// A receipt that is believed.
#[derive(Debug)]
pub struct CheckedProof {
    /// Place of the entry.
    pub index: u64,
    /// Its leaf hash: the receipt code.
    pub leaf: Hash,
    /// The entry, where the file holds it and this program knows its kind.
    pub entry: Option<Entry>,
    /// The log.
    pub origin: String,
    /// Entries that its checkpoint covers.
    pub size: u64,
    /// Root of its checkpoint.
    pub root: Hash,
    /// What its witnesses amount to, where a policy was given.
    pub witnesses: Option<String>,
}

/// Checks a receipt with the ledger's key: that its log has signed its checkpoint, that the entry stands in it, and that
/// the policy's quorum has cosigned. The entry is the one in the receipt, or the one whose leaf hash is given.
///
/// # Errors
/// Why it is not believed.
pub fn check_proof(
    bytes: &[u8],
    key: &VerifierKey,
    leaf: Option<&Hash>,
    policy: Option<&Policy>,
) -> Result<CheckedProof, ProofError> {
    let receipt = Receipt::parse(bytes)?;
    let inside = (!receipt.extra.is_empty()).then(|| leaf_hash(&receipt.extra));
    let leaf = match (leaf, inside) {
        (Some(expected), Some(got)) if *expected != got => {
            return Err(ProofError::OtherLeaf { expected: *expected, got });
        }
        (Some(leaf), _) => *leaf,
        (None, Some(inside)) => inside,
        (None, None) => return Err(ProofError::NoLeaf),
    };
    let origin = key.name().to_string();
    let checkpoint = receipt.verify(&leaf, &origin, key.key())?;
    let quorum = policy.map(|policy| check_quorum(&receipt.note, policy));
    let witnesses = match &quorum {
        Some(quorum) if !quorum.reached || quorum.bad().next().is_some() => {
            return Err(ProofError::Quorum(quorum.words(&[])));
        }
        Some(quorum) => Some(quorum.words(&[])),
        None => None,
    };
    let entry = inside.and_then(|_| Entry::parse(&receipt.extra).ok());
    let (size, root) = (checkpoint.size(), checkpoint.root());
    Ok(CheckedProof { index: receipt.index, leaf, entry, origin, size, root, witnesses })
}
