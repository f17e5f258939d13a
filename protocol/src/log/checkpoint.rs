//! Checkpoints (C2SP tlog-checkpoint): the size and root of a log, as a note signed by its key.
//!
//! Three lines and no extension lines, which no monitor could audit. The key name is the origin.
//! A checkpoint that was opened was signed by the log; nothing is read from a note before its signature.

use crate::ids::Hash;
use crate::keys::{PublicKey, SecretKey};
use crate::log::note::{KeyName, KeyNameError, Note, NoteError, NoteVerifyError, SignatureType, VerifierKey};
use crate::log::tree::empty_root;
use crate::log::{parse_base64_hash, parse_decimal};
use data_encoding::BASE64;
use std::fmt;
use std::str::FromStr;

/// Longest origin line; ours have 31 bytes and a succession suffix.
pub const MAX_ORIGIN_BYTES: usize = 255;

/// Why something is not a checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not signed by the log.
    #[error(transparent)]
    Unsigned(#[from] NoteVerifyError),
    /// An origin that cannot be a key name.
    #[error("the origin cannot be a key name: {0}")]
    Origin(#[from] KeyNameError),
    /// An origin longer than [`MAX_ORIGIN_BYTES`].
    #[error("an origin of {got} bytes, at most {} are allowed", MAX_ORIGIN_BYTES)]
    OriginTooLong {
        /// Bytes received.
        got: usize,
    },
    /// Not exactly origin, size and root.
    #[error("a checkpoint has three lines and no extension lines, got {got}")]
    Lines {
        /// Lines found.
        got: usize,
    },
    /// The second line is not a decimal size.
    #[error("the size is not a decimal number without leading zeros")]
    Size,
    /// The third line is not a hash.
    #[error("the root is not the strict base64 of 32 bytes")]
    Root,
    /// A size of zero with a root that is not the empty one.
    #[error("size 0 with a root that is not the empty tree's")]
    EmptyRoot,
    /// Signed under the name of the log, but the text names another one.
    #[error("the checkpoint is of {found}, expected {expected}")]
    OtherOrigin {
        /// The origin line.
        found: String,
        /// The origin asked for.
        expected: String,
    },
}

/// The state of a log that its key vouches for; prints as the text of its note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: KeyName,
    size: u64,
    root: Hash,
}

impl Checkpoint {
    /// Joins the three parts.
    ///
    /// # Errors
    /// When the origin is too long or cannot be a key name, or a tree of size 0 has not the empty root.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        let origin = key_name(origin)?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin, size, root })
    }

    /// Which log this is of, also the name of its key.
    pub const fn origin(&self) -> &KeyName {
        &self.origin
    }

    /// Number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over them.
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// Signs it as a note with one signature line.
    pub fn sign(&self, key: &SecretKey) -> Note {
        Note::sign(&self.to_string(), &self.origin, key).expect("three short lines are a valid note text")
    }

    /// Reads a note and the checkpoint that `key` signed in it as the log `origin`. Other lines are ignored.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(note: &[u8], origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        Self::open_note(&Note::parse(note)?, origin, key)
    }

    /// As [`Checkpoint::open`], of a note that is read already.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open_note(note: &Note, origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        note.verify(&Self::log_key(origin, key)?)?;
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin.as_str() != origin {
            let found = checkpoint.origin.to_string();
            return Err(CheckpointError::OtherOrigin { found, expected: origin.to_owned() });
        }
        Ok(checkpoint)
    }

    /// The verifier key of a log: what an auditor needs of it.
    ///
    /// # Errors
    /// When the origin is too long or cannot be a key name.
    pub fn log_key(origin: &str, key: &PublicKey) -> Result<VerifierKey, CheckpointError> {
        Ok(VerifierKey::new(key_name(origin)?, SignatureType::Ed25519, *key))
    }
}

fn key_name(origin: &str) -> Result<KeyName, CheckpointError> {
    if origin.len() > MAX_ORIGIN_BYTES {
        return Err(CheckpointError::OriginTooLong { got: origin.len() });
    }
    Ok(KeyName::new(origin)?)
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.as_bytes()))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads the text of a note; says nothing about who signed it.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let body = text.strip_suffix('\n').ok_or(NoteError::NotTerminated { what: "text" })?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Lines { got: body.split('\n').count() });
        };
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let root = parse_base64_hash(root).ok_or(CheckpointError::Root)?;
        Self::new(origin, size, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LedgerId;

    /// The example of C2SP tlog-checkpoint.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const EXAMPLE_LINE: &str = "— example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    fn key() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn origin() -> String {
        LedgerId([1; 32]).origin()
    }

    #[test]
    fn the_published_checkpoint_reads_and_prints_as_it_was() {
        let note = Note::parse(format!("{EXAMPLE}\n{EXAMPLE_LINE}").as_bytes()).unwrap();
        let checkpoint: Checkpoint = note.text().parse().unwrap();
        assert_eq!(
            (checkpoint.origin().as_str(), checkpoint.size()),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.to_string(), EXAMPLE);
    }

    #[test]
    fn a_signed_checkpoint_opens_under_its_origin_and_key_only() {
        let checkpoint = Checkpoint::new(&origin(), 5, Hash([9; 32])).unwrap();
        let note = checkpoint.sign(&key()).to_string();
        let public = key().public();
        assert_eq!(Checkpoint::open(note.as_bytes(), &origin(), &public), Ok(checkpoint));
        let other_origin = LedgerId([2; 32]).origin();
        let wrong = Checkpoint::open(note.as_bytes(), &other_origin, &public);
        assert!(matches!(wrong, Err(CheckpointError::Unsigned(NoteVerifyError::NotSigned { .. }))));
        let other_key = SecretKey::from_seed(&[8; 32]).public();
        let wrong = Checkpoint::open(note.as_bytes(), &origin(), &other_key);
        assert!(matches!(wrong, Err(CheckpointError::Unsigned(NoteVerifyError::NotSigned { .. }))));
    }

    #[test]
    fn a_text_of_another_log_is_refused_even_when_signed_under_our_name() {
        let name = KeyName::new(&origin()).unwrap();
        let note = Note::sign(EXAMPLE, &name, &key()).unwrap().to_string();
        let error =
            CheckpointError::OtherOrigin { found: "example.com/behind-the-sofa".into(), expected: origin() };
        assert_eq!(Checkpoint::open(note.as_bytes(), &origin(), &key().public()), Err(error));
    }

    #[test]
    fn texts_that_are_no_checkpoint_are_refused_by_rule() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let cases = [
            (format!("a\n1\n{root}\nextension\n"), CheckpointError::Lines { got: 4 }),
            (format!("a\n1\n{root}\n\n"), CheckpointError::Lines { got: 4 }),
            ("a\n1\n".into(), CheckpointError::Lines { got: 2 }),
            (format!("a\n1\n{root}"), CheckpointError::Note(NoteError::NotTerminated { what: "text" })),
            (format!("\n1\n{root}\n"), CheckpointError::Origin(KeyNameError)),
            (format!("a b\n1\n{root}\n"), CheckpointError::Origin(KeyNameError)),
            (format!("a+1\n1\n{root}\n"), CheckpointError::Origin(KeyNameError)),
            (format!("a\n01\n{root}\n"), CheckpointError::Size),
            (format!("a\n-1\n{root}\n"), CheckpointError::Size),
            (format!("a\n18446744073709551616\n{root}\n"), CheckpointError::Size),
            (format!("a\n0\n{root}\n"), CheckpointError::EmptyRoot),
            (format!("a\n1\n{}\n", root.replace('=', "")), CheckpointError::Root),
            (format!("a\n1\n{} \n", root), CheckpointError::Root),
            (format!("{}\n1\n{root}\n", "a".repeat(256)), CheckpointError::OriginTooLong { got: 256 }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Checkpoint>(), Err(error), "{text:?}");
        }
    }
}
