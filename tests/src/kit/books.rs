//! The books of a network that is not running, or a copy of them: its entries, and what the auditor says.

use super::{Failure, Outcome};
use crate::require::second_verifier;
use std::collections::BTreeMap;
use std::path::Path;
use weft_audit::{Audit, VerifyOptions, compare, finding_text, verify_store, write_bundle};
use weft_node::store::base;
use weft_node::store::segments::{RecordKey, VisitError, scan_dir};
use weft_protocol::entry::Entry;
use weft_protocol::ids::OpId;

/// The entries of a data folder.
#[derive(Debug)]
pub struct Books {
    /// Own entries in order; those left out before a forward are not among them.
    pub own: Vec<Entry>,
    /// Entries received from others, in the order of their coming.
    pub received: Vec<Entry>,
}

impl Books {
    /// Reads a data folder.
    ///
    /// # Errors
    /// When files cannot be read or are damaged.
    pub fn read(data: &Path) -> Outcome<Self> {
        let (mut own, mut received) = (Vec::new(), Vec::new());
        let ledger = data.join("ledger");
        scan_dir(&ledger, base::floor(&ledger)?, &mut |_, record| {
            match record.key() {
                RecordKey::Own { .. } => own.push(Entry::parse(record.bytes()).map_err(VisitError::new)?),
                RecordKey::Received { .. } => {
                    received.push(Entry::parse(record.bytes()).map_err(VisitError::new)?)
                }
                RecordKey::Note { .. } => {}
            }
            Ok(())
        })?;
        Ok(Self { own, received })
    }

    /// How often each operation stands in the ledger.
    pub fn times(&self) -> BTreeMap<OpId, usize> {
        let mut times = BTreeMap::new();
        for entry in &self.own {
            *times.entry(entry.op().op_id).or_default() += 1;
        }
        times
    }
}

/// What `specs/verifier` says about the audit bundle of a node that is stopped, which is written beside its folder; nothing
/// without Python.
///
/// # Errors
/// When the bundle cannot be written, or when the second verifier finds anything wrong in it or cannot check it all.
pub fn by_specs(data: &Path) -> Outcome<String> {
    let bundle = data.with_extension("bundle");
    write_bundle(data, &bundle)?;
    let Some(mut specs) = second_verifier() else { return Ok(String::new()) };
    let out = specs.arg("bundle").arg(&bundle).output()?;
    let said = [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    if out.status.success() { Ok(said) } else { Err(Failure::new(said)) }
}

/// What the auditor says about a data folder.
#[derive(Debug)]
pub struct Audited {
    /// What it read.
    pub audit: Audit,
    /// What is wrong, in words; empty when nothing is.
    pub wrong: Vec<String>,
}

impl Audited {
    /// Audits a data folder.
    ///
    /// # Errors
    /// When the folder cannot be read; damage is in [`Audited::wrong`].
    pub fn read(data: &Path) -> Outcome<Self> {
        let outcome = verify_store(data, &VerifyOptions::default(), &mut |_| {})?;
        let findings = outcome.report().findings.kept();
        let mut wrong: Vec<String> =
            findings.iter().filter(|f| f.class.is_wrong()).map(finding_text).collect();
        if wrong.is_empty() && outcome.exit_code != 0 {
            wrong = findings.iter().map(finding_text).collect();
        }
        Ok(Self { audit: outcome.audit, wrong })
    }

    /// The same, and the second verifier reads its bundle.
    ///
    /// # Errors
    /// Those of [`Audited::read`] and [`by_specs`].
    pub fn by_both(data: &Path) -> Outcome<Self> {
        by_specs(data)?;
        Self::read(data)
    }

    /// Fails when anything is wrong, or the two sides do not agree.
    ///
    /// # Errors
    /// The first finding.
    pub fn agree(&self, other: &Self) -> Outcome<()> {
        let mut wrong: Vec<String> = self.wrong.iter().chain(&other.wrong).cloned().collect();
        let comparison = compare(&self.audit, &other.audit);
        wrong.extend(comparison.findings.kept().iter().filter(|f| f.class.is_wrong()).map(finding_text));
        match wrong.first() {
            None => Ok(()),
            Some(first) => Err(Failure::new(format!("{} findings, such as: {first}", wrong.len()))),
        }
    }
}
