//! Receipts (C2SP tlog-proof): one file that proves an entry to be in a log, for any tlog tool, offline.
//!
//! A parsed [`Receipt`] prints as exactly the bytes it was read from. It proves nothing before [`Receipt::verify`],
//! and its extra data is never proved by it.

use crate::ids::Hash;
use crate::keys::PublicKey;
use crate::log::checkpoint::{Checkpoint, CheckpointError};
use crate::log::note::{MAX_NOTE_BYTES, Note, NoteError};
use crate::log::proof::{MAX_PROOF_HASHES, ProofError, verify_inclusion};
use crate::log::{parse_base64_hash, parse_decimal, strict_base64};
use data_encoding::BASE64;
use std::fmt;

/// File name extension of a receipt.
pub const EXTENSION: &str = "tlog-proof";
/// Longest receipt: a note and as much again for the proof and the extra data.
pub const MAX_RECEIPT_BYTES: usize = 2 * MAX_NOTE_BYTES;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
const EXTRA_PREFIX: &str = "extra ";
const INDEX_PREFIX: &str = "index ";

/// Why bytes are not a receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Longer than [`MAX_RECEIPT_BYTES`].
    #[error("a receipt of {got} bytes, at most {} are allowed", MAX_RECEIPT_BYTES)]
    TooLong {
        /// Bytes received.
        got: usize,
    },
    /// The lines before the checkpoint break the format.
    #[error("malformed receipt: {0}")]
    Malformed(&'static str),
    /// What follows the empty line is not a note.
    #[error("the checkpoint in the receipt: {0}")]
    Note(#[from] NoteError),
}

/// Why a receipt was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptVerifyError {
    /// The log has not signed its checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The entry is not where the receipt says.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// An inclusion proof together with the signed checkpoint it leads to, unverified; prints as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Bytes for the application, unauthenticated; empty means that there are none.
    pub extra: Vec<u8>,
    /// Index of the entry, from zero.
    pub index: u64,
    /// Inclusion proof, from the leaf up.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, with all its signature lines.
    pub note: Note,
}

impl Receipt {
    /// Reads a receipt without believing it.
    ///
    /// # Errors
    /// Names the first rule of the format that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReceiptError> {
        use ReceiptError::Malformed;
        if bytes.len() > MAX_RECEIPT_BYTES {
            return Err(ReceiptError::TooLong { got: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(Malformed("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.next_if(|line| line.starts_with(EXTRA_PREFIX)) {
            Some(line) => {
                parse_extra(line).ok_or(Malformed("the extra data is empty or not strict base64"))?
            }
            None => Vec::new(),
        };
        let index = lines.next().and_then(|line| line.strip_prefix(INDEX_PREFIX)).and_then(parse_decimal);
        let index = index.ok_or(Malformed("no index line with a decimal number"))?;
        if lines.clone().count() > MAX_PROOF_HASHES {
            return Err(Malformed("more hashes than any proof needs"));
        }
        let proof = lines.map(parse_base64_hash).collect::<Option<_>>();
        let proof = proof.ok_or(Malformed("a proof line is not the strict base64 of 32 bytes"))?;
        Ok(Self { extra, index, proof, note: Note::parse(note.as_bytes())? })
    }

    /// Verifies that the log `origin` with this key vouches for `leaf` at the stated index.
    /// Whether enough witnesses cosigned is another question, asked of `note`.
    ///
    /// # Errors
    /// When the checkpoint is not the log's, or the proof does not lead to its root.
    pub fn verify(
        &self,
        leaf: &Hash,
        origin: &str,
        key: &PublicKey,
    ) -> Result<Checkpoint, ReceiptVerifyError> {
        let checkpoint = Checkpoint::open_note(&self.note, origin, key)?;
        verify_inclusion(leaf, self.index, checkpoint.size(), &self.proof, &checkpoint.root())?;
        Ok(checkpoint)
    }
}

fn parse_extra(line: &str) -> Option<Vec<u8>> {
    let extra = strict_base64(line.strip_prefix(EXTRA_PREFIX)?)?;
    if extra.is_empty() { None } else { Some(extra) }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "{EXTRA_PREFIX}{}", BASE64.encode(&self.extra))?;
        }
        writeln!(f, "{INDEX_PREFIX}{}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::log::proof::{LeafHashes, build_inclusion};
    use crate::log::tree::tests::{naive_root, numbered_leaves};

    const ORIGIN: &str = "example.com/log";

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn receipt(extra: &[u8], index: u64, size: u64) -> Receipt {
        let leaves = numbered_leaves(size);
        let proof = build_inclusion(&mut LeafHashes(&leaves), index, size).unwrap();
        let note = Checkpoint::new(ORIGIN, size, naive_root(&leaves)).unwrap().sign(&key());
        Receipt { extra: extra.to_vec(), index, proof, note }
    }

    #[test]
    fn a_receipt_prints_reads_back_and_verifies() {
        for (extra, index, size) in [(b"".as_slice(), 0, 1), (b"", 4, 7), (b"salt", 299, 300)] {
            let receipt = receipt(extra, index, size);
            let text = receipt.to_string();
            assert_eq!(Receipt::parse(text.as_bytes()), Ok(receipt.clone()), "{text}");
            let leaf = numbered_leaves(size)[usize::try_from(index).unwrap()];
            let checkpoint = receipt.verify(&leaf, ORIGIN, &key().public()).unwrap();
            assert_eq!(checkpoint.size(), size);
            assert!(receipt.verify(&Hash::ZERO, ORIGIN, &key().public()).is_err());
            assert!(receipt.verify(&leaf, "example.com/other", &key().public()).is_err());
        }
    }

    #[test]
    fn the_text_has_the_lines_of_the_format() {
        let text = receipt(b"salt", 1, 2).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra c2FsdA==", "index 1"]);
        assert_eq!((lines[3].len(), lines[4], lines[5]), (44, "", ORIGIN));
        assert!(lines[9].starts_with("— example.com/log "));
    }

    #[test]
    fn malformed_receipts_are_refused_by_rule() {
        let good = receipt(b"salt", 1, 2).to_string();
        let cases = [
            (good.replace("@v1", "@v2"), "the first line is not c2sp.org/tlog-proof@v1"),
            (good.replace("\n\n", "\n"), "no empty line before the checkpoint"),
            (good.replace("c2FsdA==", ""), "the extra data is empty or not strict base64"),
            (good.replace("c2FsdA==", "c2FsdA"), "the extra data is empty or not strict base64"),
            (good.replace("index 1", "index 01"), "no index line with a decimal number"),
            (good.replace("index 1\n", ""), "no index line with a decimal number"),
            (good.replace("extra", "Extra"), "no index line with a decimal number"),
            (
                good.replace("index 1\n", "index 1\nAAAA\n"),
                "a proof line is not the strict base64 of 32 bytes",
            ),
            (
                good.replace("index 1\n", &format!("index 1\n{}", "A\n".repeat(65))),
                "more hashes than any proof needs",
            ),
        ];
        for (text, why) in cases {
            assert_eq!(Receipt::parse(text.as_bytes()), Err(ReceiptError::Malformed(why)), "{text}");
        }
        assert_eq!(Receipt::parse(b"\xff"), Err(ReceiptError::Malformed("not UTF-8")));
        let got = MAX_RECEIPT_BYTES + 1;
        assert_eq!(Receipt::parse(&vec![b'a'; got]), Err(ReceiptError::TooLong { got }));
        let cut = &good[..good.len() - 1];
        assert!(matches!(Receipt::parse(cut.as_bytes()), Err(ReceiptError::Note(_))));
    }
}
