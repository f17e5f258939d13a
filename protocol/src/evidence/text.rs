//! Evidence as a file that people can send: `*.weft-evidence` (specs/evidence.md §5).
//!
//! The text has one form: parse then print gives the same bytes.

use super::{Evidence, MAX_EVIDENCE_BYTES, NotEvidence};
use data_encoding::BASE64;

/// File name extension.
pub const FILE_EXTENSION: &str = "weft-evidence";
/// Longest file: the base64 of the longest evidence, its line ends, and the head.
pub const MAX_TEXT_BYTES: usize = MAX_EVIDENCE_BYTES / 3 * 4 + MAX_EVIDENCE_BYTES / 3 * 4 / LINE + 256;

const HEADER: &str = "weft-evidence/1";
const LINE: usize = 76;

/// Why a file is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than [`MAX_TEXT_BYTES`].
    #[error("a file of {got} bytes, at most {} are allowed", MAX_TEXT_BYTES)]
    TooLong {
        /// Bytes there.
        got: usize,
    },
    /// Not in the one form of the text.
    #[error("the file breaks the form of evidence: {0}")]
    Malformed(&'static str),
    /// What stands in it is none.
    #[error(transparent)]
    Evidence(#[from] NotEvidence),
}

impl Evidence {
    /// Reads a file, without believing it.
    ///
    /// # Errors
    /// The first rule of form that it breaks.
    pub fn from_text(bytes: &[u8]) -> Result<Self, TextError> {
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(TextError::TooLong { got: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TextError::Malformed("it is not UTF-8"))?;
        let rest = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or(TextError::Malformed("the first line is not weft-evidence/1"))?;
        let (_, data) =
            rest.split_once("\n\n").ok_or(TextError::Malformed("no empty line before the data"))?;
        let data: String = data.split('\n').collect();
        let data = BASE64.decode(data.as_bytes());
        let evidence =
            Self::parse(&data.map_err(|_| TextError::Malformed("the data is not strict base64"))?)?;
        if evidence.to_text() == text {
            Ok(evidence)
        } else {
            Err(TextError::Malformed("its lines are not those that belong to the data"))
        }
    }

    /// The file.
    pub fn to_text(&self) -> String {
        let data = BASE64.encode(&self.to_bytes());
        let mut text = format!(
            "{HEADER}\ntype {}\naccused {}\nid {}\n\n",
            self.kind().code(),
            self.accused(),
            self.id()
        );
        for line in data.as_bytes().chunks(LINE) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text
    }
}
