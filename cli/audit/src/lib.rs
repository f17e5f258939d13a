//! The offline auditor: files in, findings out.
//!
//! Walks a bundle folder or a node's data folder, runs the audit of `weft-protocol` over it, and renders the report
//! for people and for programs. Every byte of every file is accounted for: recomputed, verified, or reported.
//! Nothing here needs a node, a network or a clock, and nothing audited is ever written to.

mod bundle;
mod dir;
pub mod export;
mod files;
mod html;
mod json;
mod prove;
mod rounds;
mod store;
mod text;

pub use bundle::{BundleError, BundleReport, BundleWriter, write_bundle};
pub use dir::DirSource;
pub use html::{Page, report_html, result_words};
pub use json::{SCHEMA, comparison_json, report_json};
pub use prove::{CheckedProof, ProofError, ReceiptError, check_proof, receipt, receipt_with_entry};
pub use rounds::{rounds_json, rounds_text};
pub use store::StoreSource;
pub use text::{comparison_text, finding_text, report_text};
pub use weft_protocol::audit::{
    Audit, Class, Comparison, EntryRef, Finding, NoResult, Outcome, Report, Since, compare,
};

use std::path::{Path, PathBuf};
use weft_protocol::audit::{self, MAX_RESULT_BYTES, NamedBytes, Resumed, Saved, SavedError, Source};
use weft_protocol::ids::LedgerId;
use weft_protocol::log::note::MAX_NOTE_BYTES;
use weft_protocol::log::witness::policy::MAX_POLICY_BYTES;
use weft_protocol::log::witness::{Policy, PolicyError};

/// What a verification is asked for.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Threads that verify signatures; `None` takes all cores.
    pub threads: Option<usize>,
    /// The ledger that it must be; `None` takes what the genesis says.
    pub ledger: Option<LedgerId>,
    /// A checkpoint of the same ledger from an earlier day, kept by somebody else.
    pub earlier: Option<PathBuf>,
    /// The result of an earlier audit of a bundle, to go on from.
    pub since: Option<PathBuf>,
    /// Which witnesses are enough (C2SP tlog-policy).
    pub policy: Option<PathBuf>,
}

/// An audit with what it amounts to.
#[derive(Debug)]
pub struct AuditOutcome {
    /// The audit, for comparing it with another.
    pub audit: Audit,
    /// 0 nothing wrong, 1 something wrong, 3 could not check.
    pub exit_code: u8,
}

impl AuditOutcome {
    /// The report.
    pub fn report(&self) -> &Report {
        &self.audit.report
    }
}

/// Why an audit could not begin: exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A folder or file could not be read.
    #[error("{path} cannot be read: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// The result of the earlier audit cannot be gone on from.
    #[error("{path} cannot be gone on from: {why}")]
    Since {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: SavedError,
    },
    /// The policy is none.
    #[error("{path} is no witness policy: {why}")]
    Policy {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: PolicyError,
    },
    /// The earlier checkpoint is larger than any note.
    #[error("{path} has more than {MAX_NOTE_BYTES} bytes: it is no checkpoint")]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

/// Audits a bundle: a folder in the tlog-tiles layout with entries and peers' folders.
///
/// # Errors
/// When the folder itself cannot be read. Everything else is a finding.
pub fn verify_dir(
    folder: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<AuditOutcome, AuditError> {
    let read = |why| AuditError::Read { path: folder.to_path_buf(), why };
    verify(&mut DirSource::open(folder).map_err(read)?, options, progress)
}

/// Audits the data folder of a node that is not running (or a copy of it): segments, checkpoint, tiles.
///
/// # Errors
/// When the folder itself cannot be read. Everything else is a finding.
pub fn verify_store(
    data: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<AuditOutcome, AuditError> {
    let read = |why| AuditError::Read { path: data.to_path_buf(), why };
    verify(&mut StoreSource::open(data).map_err(read)?, options, progress)
}

fn verify(
    source: &mut dyn Source,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<AuditOutcome, AuditError> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let since = options.since.as_deref().map(read_result).transpose()?;
    let options = audit::Options {
        threads: options.threads.unwrap_or_else(cores),
        ledger: options.ledger,
        earlier: options.earlier.as_deref().map(read_checkpoint).transpose()?,
        policy: options.policy.as_deref().map(read_policy).transpose()?,
    };
    let audit = match since {
        Some(resumed) => audit::replay_since(source, &options, resumed, progress),
        None => audit::replay(source, &options, progress),
    };
    let exit_code = audit.report.findings.outcome().exit_code();
    Ok(AuditOutcome { audit, exit_code })
}

fn read_result(path: &Path) -> Result<Resumed, AuditError> {
    let read = |why| AuditError::Read { path: path.to_path_buf(), why };
    let since = |why| AuditError::Since { path: path.to_path_buf(), why };
    let len = std::fs::metadata(path).map_err(read)?.len();
    match usize::try_from(len) {
        Ok(got) if got > MAX_RESULT_BYTES => Err(since(SavedError::TooLong { got })),
        Ok(_) => Saved::parse(&std::fs::read(path).map_err(read)?).map_err(since),
        Err(_) => Err(since(SavedError::TooLong { got: usize::MAX })),
    }
}

fn read_policy(path: &Path) -> Result<Policy, AuditError> {
    let read = |why| AuditError::Read { path: path.to_path_buf(), why };
    let bad = |why| AuditError::Policy { path: path.to_path_buf(), why };
    let len = std::fs::metadata(path).map_err(read)?.len();
    if len > MAX_POLICY_BYTES as u64 {
        return Err(bad(PolicyError::TooLong { got: usize::try_from(len).unwrap_or(usize::MAX) }));
    }
    Policy::parse(&std::fs::read(path).map_err(read)?).map_err(bad)
}

fn read_checkpoint(path: &Path) -> Result<NamedBytes, AuditError> {
    let read = |why| AuditError::Read { path: path.to_path_buf(), why };
    if std::fs::metadata(path).map_err(read)?.len() > MAX_NOTE_BYTES as u64 {
        return Err(AuditError::TooLong { path: path.to_path_buf() });
    }
    let bytes = std::fs::read(path).map_err(read)?;
    Ok(NamedBytes { file: path.display().to_string(), bytes })
}

#[cfg(test)]
mod tests;
