//! Certificates as files: canonical CBOR, or JSON for those who want to look inside (specs/netting.md §5).

use crate::outcome::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use weft_protocol::encoding::EncodingError;
use weft_protocol::ids::Hash;
use weft_protocol::netting::Debts;
use weft_protocol::netting::file::{Certificate, FileError};

/// What the JSON form is called.
const SCHEMA: &str = "weft.netting-certificate/1";
/// Most bytes of a number in JSON, with its quotes, comma, line end and indent.
const JSON_NUMBER_BYTES: u64 = 32;
/// Bytes of the JSON form beside its numbers.
const JSON_FRAME_BYTES: u64 = 1_024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    schema: String,
    seed: String,
    debts: String,
    reductions: Vec<String>,
    potentials: Vec<String>,
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// What to write to a file of this name.
pub(super) fn to_file(path: &Path, certificate: &Certificate) -> Vec<u8> {
    if !is_json(path) {
        return certificate.to_bytes();
    }
    let json = Json {
        schema: SCHEMA.to_owned(),
        seed: certificate.seed.to_string(),
        debts: certificate.debts.to_string(),
        reductions: certificate.reductions.iter().map(i64::to_string).collect(),
        potentials: certificate.potentials.iter().map(i64::to_string).collect(),
    };
    serde_json::to_vec(&json).expect("texts can be written as JSON")
}

/// Reads a certificate of debts; they say how long it may be.
///
/// # Errors
/// When the file cannot be read; inside, when it is no certificate.
pub(super) fn from_file(path: &Path, debts: &Debts) -> Result<Result<Certificate, FileError>, Failure> {
    let numbers = debts.arcs().len().saturating_add(debts.parties().len()) as u64;
    let cap = if is_json(path) {
        numbers.saturating_mul(JSON_NUMBER_BYTES).saturating_add(JSON_FRAME_BYTES)
    } else {
        Certificate::max_bytes(debts) as u64
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(cap.saturating_add(1)).read_to_end(&mut bytes));
    read.map_err(|e| {
        let what = format!("{} cannot be read", path.display());
        Failure::new(Exit::CouldNotCheck, "unreadable-file", what, "check the name of the file").because(e)
    })?;
    if bytes.len() as u64 > cap {
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        return Ok(Err(EncodingError::TooLong { got: bytes.len(), cap }.into()));
    }
    Ok(if is_json(path) { from_json(&bytes) } else { Certificate::from_bytes(&bytes, debts) })
}

fn from_json(bytes: &[u8]) -> Result<Certificate, FileError> {
    let structure = |e: &dyn ToString| FileError::Form(EncodingError::Structure(e.to_string()));
    let json: Json = serde_json::from_slice(bytes).map_err(|e| structure(&e))?;
    if json.schema != SCHEMA {
        return Err(structure(&format!("the schema is {}, not {SCHEMA}", json.schema)));
    }
    let hash = |text: &str| text.parse::<Hash>().map_err(|e| structure(&e));
    let numbers = |texts: &[String]| {
        let parsed = texts.iter().map(|text| text.parse::<i64>());
        parsed.collect::<Result<Vec<_>, _>>().map_err(|e| structure(&e))
    };
    Ok(Certificate {
        seed: hash(&json.seed)?,
        debts: hash(&json.debts)?,
        reductions: numbers(&json.reductions)?,
        potentials: numbers(&json.potentials)?,
    })
}
