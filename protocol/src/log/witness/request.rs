//! Request and answer bodies of C2SP tlog-witness `add-checkpoint`.
//!
//! What was read prints as exactly the bytes it was read from. Nothing in it is believed before
//! [`decide`](super::decide()) has looked at it.

use crate::ids::Hash;
use crate::log::note::{KeyName, MAX_NOTE_BYTES, MAX_SIGNATURES, Note, NoteError, SignatureLine};
use crate::log::{parse_base64_hash, parse_decimal};
use data_encoding::BASE64;
use std::fmt;

/// Most lines of a consistency proof, as the format says.
pub const MAX_PROOF_LINES: usize = 63;
/// Longest request: a note, and 63 proof lines of 45 bytes with the old size before them.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + 4 * 1024;
/// Longest answer: 16 signature lines with post-quantum signatures.
pub const MAX_ANSWER_BYTES: usize = MAX_NOTE_BYTES;
/// Media type of the answer to a request with another old size.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

const OLD_PREFIX: &str = "old ";

/// Why bytes are not an `add-checkpoint` request or an answer to one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Over the cap.
    #[error("{got} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes received.
        got: usize,
        /// The cap.
        max: usize,
    },
    /// Breaks the format.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// What follows the empty line is not a note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
}

/// Asks for a cosignature of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size that the witness is believed to have cosigned last; 0 when none.
    pub old_size: u64,
    /// Proof that the checkpoint extends it; empty from 0 and between equal sizes.
    pub proof: Vec<Hash>,
    /// The checkpoint with its signature lines.
    pub note: Note,
}

impl AddCheckpoint {
    /// Reads a request without believing it.
    ///
    /// # Errors
    /// Names the first rule of the format that the bytes break.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        use RequestError::Malformed;
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong { got: bytes.len(), max: MAX_REQUEST_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed("not UTF-8"))?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix(OLD_PREFIX)).and_then(parse_decimal);
        let old_size = old.ok_or(Malformed("the first line is not \"old\" and a decimal size"))?;
        if lines.clone().count() > MAX_PROOF_LINES {
            return Err(Malformed("more than 63 proof lines"));
        }
        let proof = lines.map(parse_base64_hash).collect::<Option<_>>();
        let proof = proof.ok_or(Malformed("a proof line is not the strict base64 of 32 bytes"))?;
        Ok(Self { old_size, proof, note: Note::parse(note.as_bytes())? })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{OLD_PREFIX}{}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.note)
    }
}

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200: signature lines, cosignatures of the witness among them. At least one.
    Cosigned(Vec<SignatureLine>),
    /// 409: the size that the witness has cosigned last.
    Conflict(u64),
    /// Any other status, with words that mean nothing to a program.
    Refused(u16, String),
}

/// Longest words of a refusal that are kept.
const MAX_WORDS: usize = 200;

impl Answer {
    /// Reads an answer by its HTTP status and body.
    ///
    /// # Errors
    /// A body over the cap, or that is not what its status needs.
    pub fn parse(status: u16, body: &[u8]) -> Result<Self, RequestError> {
        use RequestError::Malformed;
        if body.len() > MAX_ANSWER_BYTES {
            return Err(RequestError::TooLong { got: body.len(), max: MAX_ANSWER_BYTES });
        }
        let text = || std::str::from_utf8(body).map_err(|_| Malformed("not UTF-8"));
        match status {
            200 => {
                let text = text()?;
                if text.contains("\n\n") {
                    return Err(Malformed("an empty line among the signature lines"));
                }
                // The lines are read as those of a note are, whatever its text.
                let note = Note::parse(format!("-\n\n{text}").as_bytes())?;
                Ok(Self::Cosigned(note.signatures().to_vec()))
            }
            409 => {
                let size = text()?.strip_suffix('\n').and_then(parse_decimal);
                size.map(Self::Conflict).ok_or(Malformed("the conflict names no size"))
            }
            _ => {
                let words = String::from_utf8_lossy(body);
                let shown = |c: char| if c.is_control() { ' ' } else { c };
                let words = words.chars().map(shown).take(MAX_WORDS).collect::<String>();
                Ok(Self::Refused(status, words.trim().to_owned()))
            }
        }
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Conflict(_) => 409,
            Self::Refused(status, _) => *status,
        }
    }

    /// The body.
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(lines) => lines.iter().take(MAX_SIGNATURES).map(ToString::to_string).collect(),
            Self::Conflict(size) => format!("{size}\n"),
            Self::Refused(_, words) => format!("{words}\n"),
        }
    }

    /// The lines of one signer.
    pub fn lines_of<'a>(&'a self, name: &'a KeyName) -> impl Iterator<Item = &'a SignatureLine> {
        let lines = match self {
            Self::Cosigned(lines) => lines.as_slice(),
            Self::Conflict(_) | Self::Refused(..) => &[],
        };
        lines.iter().filter(move |line| line.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of C2SP tlog-witness.
    const REQUEST: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";
    const ANSWER: &str = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
";

    #[test]
    fn the_published_request_reads_and_prints_as_it_was() {
        let request = AddCheckpoint::parse(REQUEST.as_bytes()).unwrap();
        assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
        assert_eq!(request.note.signatures().len(), 2);
        assert_eq!(request.to_string(), REQUEST);
    }

    #[test]
    fn the_published_answer_reads_and_prints_as_it_was() {
        let answer = Answer::parse(200, ANSWER.as_bytes()).unwrap();
        let Answer::Cosigned(lines) = &answer else { panic!("{answer:?}") };
        assert_eq!((lines.len(), answer.status()), (3, 200));
        assert_eq!(answer.lines_of(&lines[0].name).count(), 2);
        assert_eq!(answer.body(), ANSWER);
    }

    #[test]
    fn malformed_requests_are_refused_by_rule() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        let cases = [
            (REQUEST.replace("old 2", "old 02"), "the first line is not \"old\" and a decimal size"),
            (REQUEST.replace("old ", "old  "), "the first line is not \"old\" and a decimal size"),
            (REQUEST.replace("old ", "Old "), "the first line is not \"old\" and a decimal size"),
            (REQUEST.replace("\n\n", "\n"), "no empty line before the checkpoint"),
            (REQUEST.replace(hash, "AAAA\n"), "a proof line is not the strict base64 of 32 bytes"),
            (REQUEST.replace(hash, &hash.repeat(61)), "more than 63 proof lines"),
        ];
        for (text, why) in cases {
            assert_eq!(AddCheckpoint::parse(text.as_bytes()), Err(RequestError::Malformed(why)), "{text}");
        }
        assert_eq!(AddCheckpoint::parse(b"\xff"), Err(RequestError::Malformed("not UTF-8")));
        assert!(AddCheckpoint::parse(REQUEST.replace(hash, &hash.repeat(60)).as_bytes()).is_ok());
        let cut = &REQUEST.as_bytes()[..REQUEST.len() - 1];
        assert!(matches!(AddCheckpoint::parse(cut), Err(RequestError::Note(_))));
        let got = MAX_REQUEST_BYTES + 1;
        let long = vec![b'a'; got];
        assert_eq!(AddCheckpoint::parse(&long), Err(RequestError::TooLong { got, max: MAX_REQUEST_BYTES }));
    }

    #[test]
    fn an_answer_has_the_body_that_its_status_needs() {
        assert_eq!(Answer::parse(409, b"17\n"), Ok(Answer::Conflict(17)));
        for body in ["17", "017\n", "\n", "-1\n", "17\n\n"] {
            assert!(Answer::parse(409, body.as_bytes()).is_err(), "{body:?}");
        }
        for body in ["", "\n", "nonsense\n", "— a AAAA\n", "text\n\n— a AAAAAAA=\n"] {
            assert!(Answer::parse(200, body.as_bytes()).is_err(), "{body:?}");
        }
        let refused = Answer::parse(403, b"no\x1b[31m key\n").unwrap();
        assert_eq!(refused, Answer::Refused(403, "no [31m key".to_owned()));
        assert_eq!(Answer::parse(500, &[0xff; 500]).map(|a| a.status()), Ok(500));
    }
}
