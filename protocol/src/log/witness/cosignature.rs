//! Cosignatures (C2SP tlog-cosignature, Ed25519, type 0x04): a witness's word on a checkpoint at a time.
//!
//! The signed message is `cosignature/v1`, `time` and the whole text of the note, so it can serve for nothing else.
//! It says: at that time this was the largest tree of that log that the witness had seen, and it extends all it had
//! seen before. The message does not name the witness: one key belongs to one witness name.

use crate::ids::{KeyBytes, LedgerId, SigBytes};
use crate::keys::{NOTE, PublicKey, SecretKey};
use crate::log::note::{
    KeyId, KeyName, KeyNameError, Note, SignatureLine, SignatureType, VerifierKey, key_id,
};

/// The first line of the signed message.
const HEADER: &str = "cosignature/v1";
/// Bytes of a cosignature in a signature line: time and Ed25519 signature.
pub const COSIGNATURE_BYTES: usize = 8 + 64;
/// The largest time that the format allows, in seconds.
pub const MAX_TIME_S: u64 = i64::MAX.unsigned_abs();
/// What follows the origin of a network in the name of its witness.
const NAME_SUFFIX: &str = "/witness";

/// Why a note is not cosigned by a witness.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    /// The key is of another type.
    #[error("{name} is a key for signing notes, not for witness cosignatures")]
    WrongType {
        /// Name of the key.
        name: KeyName,
    },
    /// No line carries the name and id of the witness.
    #[error("the checkpoint is not cosigned by {name} (key id {id})")]
    NotCosigned {
        /// Name of the witness.
        name: KeyName,
        /// Id of its key.
        id: KeyId,
    },
    /// A line carries the name and id of the witness, but is not its cosignature.
    #[error("the cosignature by {name} (key id {id}) does not verify")]
    Bad {
        /// Name of the witness.
        name: KeyName,
        /// Id of its key.
        id: KeyId,
    },
}

/// A witness's timestamped signature over the text of a note, unverified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made, in seconds since 1970-01-01T00:00Z.
    pub time_s: u64,
    /// The Ed25519 signature.
    pub sig: SigBytes,
}

impl Cosignature {
    /// Cosigns the text of a note. The caller has verified the note and stored what it then vouches for.
    pub fn sign(text: &str, time_s: u64, key: &SecretKey) -> Self {
        let time_s = time_s.min(MAX_TIME_S);
        Self { time_s, sig: key.sign(NOTE, &[head(time_s).as_bytes(), text.as_bytes()]) }
    }

    /// Reads the signature bytes of a line.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, sig) = bytes.split_first_chunk()?;
        let time_s = Some(u64::from_be_bytes(*time)).filter(|time_s| *time_s <= MAX_TIME_S)?;
        Some(Self { time_s, sig: SigBytes::from_slice(sig)? })
    }

    /// The signature bytes of a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.time_s.to_be_bytes().as_slice(), self.sig.as_bytes()].concat()
    }

    /// Whether this key made it over this text.
    pub fn verifies(&self, text: &str, key: &PublicKey) -> bool {
        key.verify(NOTE, &[head(self.time_s).as_bytes(), text.as_bytes()], &self.sig).is_ok()
    }

    /// The signature line under a witness's name.
    pub fn line(&self, name: &KeyName, key: &KeyBytes) -> SignatureLine {
        let id = key_id(name, SignatureType::CosignatureV1, key);
        SignatureLine { name: name.clone(), id, signature: self.to_bytes() }
    }
}

fn head(time_s: u64) -> String {
    format!("{HEADER}\ntime {time_s}\n")
}

/// The name of a network's witness: the origin of its ledger and `/witness`.
///
/// # Errors
/// When the origin cannot be a key name.
pub fn witness_name(origin: &str) -> Result<KeyName, KeyNameError> {
    KeyName::new(&format!("{origin}{NAME_SUFFIX}"))
}

/// The verifier key of a network's witness.
pub fn witness_key(ledger: &LedgerId, key: &PublicKey) -> VerifierKey {
    let name = witness_name(&ledger.origin()).expect("an origin of ours has no spaces and no plus");
    VerifierKey::new(name, SignatureType::CosignatureV1, *key)
}

impl Note {
    /// Adds the cosignature of a witness, made at this time, in seconds.
    ///
    /// # Errors
    /// When the note has no room for it.
    pub fn cosign(
        &mut self,
        name: &KeyName,
        key: &SecretKey,
        time_s: u64,
    ) -> Result<(), crate::log::note::NoteError> {
        let line = Cosignature::sign(self.text(), time_s, key).line(name, &key.public().bytes());
        self.add(line)
    }

    /// The newest cosignature of a witness. All its lines must verify, and there must be one.
    ///
    /// # Errors
    /// See [`CosignatureError`].
    pub fn cosignature(&self, key: &VerifierKey) -> Result<Cosignature, CosignatureError> {
        let (name, id) = (key.name().clone(), key.id());
        match key.signature_type() {
            SignatureType::CosignatureV1 => {}
            SignatureType::Ed25519 => return Err(CosignatureError::WrongType { name }),
        }
        let mut newest: Option<Cosignature> = None;
        for line in self.signatures().iter().filter(|line| line.claims(key)) {
            let read = Cosignature::from_bytes(&line.signature);
            let Some(found) = read.filter(|found| found.verifies(self.text(), key.key())) else {
                return Err(CosignatureError::Bad { name, id });
            };
            if newest.is_none_or(|newest| found.time_s > newest.time_s) {
                newest = Some(found);
            }
        }
        newest.ok_or(CosignatureError::NotCosigned { name, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Hash;
    use crate::log::checkpoint::Checkpoint;

    /// The example of C2SP tlog-cosignature; its text gives no public keys.
    const EXAMPLE_TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const EXAMPLE_LINE: &str = "— witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    fn log() -> SecretKey {
        SecretKey::from_seed(&[7; 32])
    }

    fn witness() -> SecretKey {
        SecretKey::from_seed(&[8; 32])
    }

    fn witness_vkey() -> VerifierKey {
        witness_key(&LedgerId([2; 32]), &witness().public())
    }

    fn note() -> Note {
        Checkpoint::new(&LedgerId([1; 32]).origin(), 5, Hash([9; 32])).unwrap().sign(&log())
    }

    #[test]
    fn the_published_cosignature_reads_with_its_time_and_prints_as_it_was() {
        let bytes = format!("{EXAMPLE_TEXT}\n{EXAMPLE_LINE}");
        let note = Note::parse(bytes.as_bytes()).unwrap();
        let line = &note.signatures()[0];
        let read = Cosignature::from_bytes(&line.signature).unwrap();
        assert_eq!((read.time_s, line.id), (1_679_315_147, KeyId([0x8d, 0x66, 0xcf, 0x3f])));
        assert_eq!(read.to_bytes(), line.signature);
        assert_eq!(note.to_string(), bytes);
    }

    #[test]
    fn the_signed_message_is_the_published_one() {
        let message = format!("{}{EXAMPLE_TEXT}", head(1_679_315_147));
        assert_eq!(
            message,
            "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n\
             CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        );
        let made = Cosignature::sign(EXAMPLE_TEXT, 1_679_315_147, &witness());
        assert!(witness().public().verify(NOTE, &[message.as_bytes()], &made.sig).is_ok());
    }

    #[test]
    fn a_cosigned_checkpoint_verifies_for_its_log_and_its_witness() {
        let mut note = note();
        note.cosign(witness_vkey().name(), &witness(), 1_700_000_000).unwrap();
        let note = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(note.cosignature(&witness_vkey()).map(|c| c.time_s), Ok(1_700_000_000));
        let origin = LedgerId([1; 32]).origin();
        assert!(Checkpoint::open_note(&note, &origin, &log().public()).is_ok());
    }

    #[test]
    fn each_changed_byte_of_a_cosigned_note_is_noticed_by_the_witness_line() {
        let mut note = note();
        note.cosign(witness_vkey().name(), &witness(), 1_700_000_000).unwrap();
        let good = note.to_string().into_bytes();
        let log_line = note.text().len() + 1..good.len() - note.signatures()[1].to_string().len();
        for at in (0..good.len()).filter(|at| !log_line.contains(at)) {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            let believed = Note::parse(&bytes).is_ok_and(|note| note.cosignature(&witness_vkey()).is_ok());
            assert!(!believed, "byte {at}");
        }
    }

    #[test]
    fn a_log_signature_is_no_cosignature_and_the_other_way_round() {
        let mut note = note();
        let (name, id) = (witness_vkey().name().clone(), witness_vkey().id());
        let missing = CosignatureError::NotCosigned { name: name.clone(), id };
        assert_eq!(note.cosignature(&witness_vkey()), Err(missing));
        let as_log = VerifierKey::new(name.clone(), SignatureType::Ed25519, witness().public());
        assert_eq!(note.cosignature(&as_log), Err(CosignatureError::WrongType { name: name.clone() }));
        // The plain signature of the witness's key over the text, with and without a time before it.
        let plain = witness().sign(NOTE, &[note.text().as_bytes()]).0;
        for signature in [plain.to_vec(), [[0; 8].as_slice(), &plain].concat()] {
            let mut note = note.clone();
            note.add(SignatureLine { name: name.clone(), id, signature }).unwrap();
            let bad = CosignatureError::Bad { name: name.clone(), id };
            assert_eq!(note.cosignature(&witness_vkey()), Err(bad));
        }
        note.cosign(&name, &witness(), 7).unwrap();
        assert!(note.verify(&as_log).is_err());
    }

    #[test]
    fn the_newest_line_of_a_witness_counts_and_a_bad_one_spoils_them_all() {
        let (mut note, key) = (note(), witness_vkey());
        for time_s in [7, 9, 8] {
            note.cosign(key.name(), &witness(), time_s).unwrap();
        }
        assert_eq!(note.cosignature(&key).map(|c| c.time_s), Ok(9));
        let mut bad = Cosignature::sign(note.text(), 10, &witness());
        bad.time_s = 11;
        note.add(bad.line(key.name(), &key.key().bytes())).unwrap();
        assert!(matches!(note.cosignature(&key), Err(CosignatureError::Bad { .. })));
    }

    #[test]
    fn a_time_beyond_the_format_is_no_cosignature() {
        let mut bytes = Cosignature::sign("a\n", MAX_TIME_S, &witness()).to_bytes();
        assert!(Cosignature::from_bytes(&bytes).is_some());
        bytes[0] = 0x80;
        assert_eq!(Cosignature::from_bytes(&bytes), None);
        assert_eq!(Cosignature::from_bytes(&bytes[..71]), None);
        assert_eq!(Cosignature::from_bytes(&[]), None);
    }
}
