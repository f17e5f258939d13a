//! Signed notes (C2SP signed-note): a text, a blank line, and signature lines.
//!
//! A parsed [`Note`] prints as exactly the bytes it was read from.
//! Parsing believes nothing: use the text only after [`Note::verify`]. Lines of unknown keys are kept and can be
//! listed, because a verifier must ignore them and an auditor must mention them.

mod key;

pub use key::{
    KeyId, KeyName, KeyNameError, MAX_VERIFIER_KEY_BYTES, SignatureType, VerifierKey, VerifierKeyError,
    key_id,
};

use crate::ids::SigBytes;
use crate::keys::{NOTE, SecretKey};
use crate::log::strict_base64;
use data_encoding::BASE64;
use std::fmt;

/// Longest note, signatures included: a checkpoint is about 300 bytes, a post-quantum signature up to 5 KiB.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;
/// Most signature lines: the least that C2SP signed-note obliges a verifier to accept.
pub const MAX_SIGNATURES: usize = 16;

/// What each signature line starts with: an em dash and a space.
const SIGNATURE_PREFIX: &str = "— ";
/// A signature line carries at least its key id and one byte of signature.
const MIN_PAYLOAD_BYTES: usize = 5;

/// Why bytes are not a note, or a text cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_BYTES`].
    #[error("a note of {got} bytes, at most {} are allowed", MAX_NOTE_BYTES)]
    TooLong {
        /// Bytes received.
        got: usize,
    },
    /// Not UTF-8.
    #[error("the note is not UTF-8 (offset {at})")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// A control character other than newline.
    #[error("the note holds a control character (offset {at})")]
    ControlCharacter {
        /// Offset of the character.
        at: usize,
    },
    /// The text or the last signature line is cut off.
    #[error("the {what} does not end with a newline")]
    NotTerminated {
        /// The part that is cut off.
        what: &'static str,
    },
    /// No blank line, or nothing after it.
    #[error("the note has no signature lines after a blank line")]
    NoSignatures,
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has {got} signature lines, at most {} are allowed", MAX_SIGNATURES)]
    TooManySignatures {
        /// Lines received.
        got: usize,
    },
    /// Not "— name base64(key id ‖ signature)".
    #[error("signature line {line} is malformed: {why}")]
    SignatureLine {
        /// Its number, from one.
        line: usize,
        /// The rule it breaks.
        why: &'static str,
    },
}

/// Why a key does not vouch for a note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteVerifyError {
    /// No line carries the name and id of the key.
    #[error("the note is not signed by {name} (key id {id})")]
    NotSigned {
        /// Name of the key.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
    /// A line carries the name and id of the key, but its signature is wrong.
    #[error("the note's signature by {name} (key id {id}) does not verify")]
    BadSignature {
        /// Name of the key.
        name: KeyName,
        /// Its id.
        id: KeyId,
    },
    /// The key does not sign the plain text of notes.
    #[error("{name} is a key for witness cosignatures, not for signing notes")]
    WrongType {
        /// Name of the key.
        name: KeyName,
    },
}

/// One signature line, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureLine {
    /// The name that the line claims.
    pub name: KeyName,
    /// The key id that it claims.
    pub id: KeyId,
    /// The signature bytes, whose form depends on the key; never empty.
    pub signature: Vec<u8>,
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let rest =
            line.strip_prefix(SIGNATURE_PREFIX).ok_or("it does not start with an em dash and a space")?;
        let (name, base64) = rest.split_once(' ').ok_or("no space between name and signature")?;
        let name = KeyName::new(name).map_err(|_| "the name is empty or holds a space or a plus")?;
        let payload = strict_base64(base64).ok_or("the signature is not strict base64")?;
        match payload.split_first_chunk() {
            Some((id, signature)) if payload.len() >= MIN_PAYLOAD_BYTES => {
                Ok(Self { name, id: KeyId(*id), signature: signature.to_vec() })
            }
            Some(_) | None => Err("no signature after the key id"),
        }
    }

    /// Whether the line claims to be by this key.
    pub fn claims(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.id == key.id()
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [self.id.0.as_slice(), &self.signature].concat();
        writeln!(f, "{SIGNATURE_PREFIX}{} {}", self.name, BASE64.encode(&payload))
    }
}

/// A text and its signature lines; prints as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

impl Note {
    /// Reads a note without believing it.
    ///
    /// # Errors
    /// Names the first rule of the format that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLong { got: bytes.len() });
        }
        let note = std::str::from_utf8(bytes).map_err(|e| NoteError::NotUtf8 { at: e.valid_up_to() })?;
        check_characters(note)?;
        // The text may hold empty lines, the signatures may not: the last one divides them.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::NoSignatures)?;
        if lines.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let lines =
            lines.strip_suffix('\n').ok_or(NoteError::NotTerminated { what: "last signature line" })?;
        let got = lines.split('\n').count();
        if got > MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures { got });
        }
        let parse_line = |(i, line)| {
            SignatureLine::parse(line)
                .map_err(|why| NoteError::SignatureLine { line: usize::saturating_add(i, 1), why })
        };
        let signatures = lines.split('\n').enumerate().map(parse_line).collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Signs a text with an Ed25519 key (signature type 0x01).
    ///
    /// # Errors
    /// When the text is too long, does not end with a newline or holds other control characters.
    pub fn sign(text: &str, name: &KeyName, key: &SecretKey) -> Result<Self, NoteError> {
        check_characters(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NotTerminated { what: "text" });
        }
        let mut note = Self { text: text.to_owned(), signatures: Vec::new() };
        note.add(SignatureLine {
            name: name.clone(),
            id: key_id(name, SignatureType::Ed25519, &key.public().bytes()),
            signature: key.sign(NOTE, &[text.as_bytes()]).0.to_vec(),
        })?;
        Ok(note)
    }

    /// Adds a signature line after the others.
    ///
    /// # Errors
    /// When the note would have too many lines or bytes; it is then unchanged.
    pub fn add(&mut self, line: SignatureLine) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures { got: self.signatures.len().saturating_add(1) });
        }
        self.signatures.push(line);
        let got = self.to_string().len();
        if got > MAX_NOTE_BYTES {
            self.signatures.pop();
            return Err(NoteError::TooLong { got });
        }
        Ok(())
    }

    /// Keeps only some of the signature lines. A note without any prints as no note.
    pub fn retain(&mut self, keep: impl FnMut(&SignatureLine) -> bool) {
        self.signatures.retain(keep);
    }

    /// The text, its final newline included. Meaningless until verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, in order.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// The lines that none of these keys claims.
    pub fn lines_of_others<'a>(
        &'a self,
        known: &'a [VerifierKey],
    ) -> impl Iterator<Item = &'a SignatureLine> {
        self.signatures.iter().filter(|line| !known.iter().any(|key| line.claims(key)))
    }

    /// Verifies that this key signed the text. All of its lines must verify, and there must be one.
    ///
    /// # Errors
    /// See [`NoteVerifyError`].
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteVerifyError> {
        let (name, id) = (key.name().clone(), key.id());
        match key.signature_type() {
            SignatureType::Ed25519 => {}
            SignatureType::CosignatureV1 => return Err(NoteVerifyError::WrongType { name }),
        }
        let mut lines = self.signatures.iter().filter(|line| line.claims(key)).peekable();
        if lines.peek().is_none() {
            return Err(NoteVerifyError::NotSigned { name, id });
        }
        let verifies = |line: &SignatureLine| {
            let sig = SigBytes::from_slice(&line.signature);
            sig.is_some_and(|sig| key.key().verify(NOTE, &[self.text.as_bytes()], &sig).is_ok())
        };
        if lines.all(verifies) { Ok(()) } else { Err(NoteVerifyError::BadSignature { name, id }) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| write!(f, "{line}"))
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    match text.bytes().position(|byte| byte < b' ' && byte != b'\n') {
        Some(at) => Err(NoteError::ControlCharacter { at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
