//! Requests and signatures as text that can be read, mailed and printed: words, then base64 between two lines.
//!
//! The words are for people who have no program at hand; programs read the base64 alone.

use data_encoding::BASE64;

/// Characters of base64 on a line.
const LINE: usize = 64;
/// Longest text that is looked at: far above words and base64 of the longest request.
const MAX_TEXT_BYTES: usize = 65_536;

/// What a text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A request.
    Request,
    /// A signature.
    Signature,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "WEFT REQUEST",
            Self::Signature => "WEFT SIGNATURE",
        }
    }
}

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Far too long.
    #[error("it is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    /// Not the lines around it.
    #[error(
        "it has no lines \"-----BEGIN …-----\" and \"-----END …-----\" of the kind that is expected, or several"
    )]
    Lines,
    /// Cut or changed.
    #[error("what stands between its lines is not whole base64: it was cut or changed on the way")]
    Base64,
}

/// Words, then the bytes between two lines.
pub fn wrap(form: Form, words: &str, bytes: &[u8]) -> String {
    let encoded = BASE64.encode(bytes);
    let name = form.name();
    let mut out = format!("{}\n\n-----BEGIN {name}-----\n", words.trim_end());
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(LINE));
        out.push_str(line);
        out.push('\n');
        rest = more;
    }
    out.push_str(&format!("-----END {name}-----\n"));
    out
}

/// The bytes between the two lines. Blanks and line ends inside do not count.
///
/// # Errors
/// Says what is wrong.
pub fn unwrap(form: Form, text: &str) -> Result<Vec<u8>, TextError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLong);
    }
    let (begin, end) = (format!("-----BEGIN {}-----", form.name()), format!("-----END {}-----", form.name()));
    let (_, rest) = text.split_once(&begin).ok_or(TextError::Lines)?;
    let (inside, after) = rest.split_once(&end).ok_or(TextError::Lines)?;
    if inside.contains("-----") || after.contains(&begin) {
        return Err(TextError::Lines);
    }
    let inside: String = inside.split_whitespace().collect();
    BASE64.decode(inside.as_bytes()).map_err(|_| TextError::Base64)
}
