//! The checks of a demo: the same audits that `weft audit` runs.

use super::Failure;
use crate::data::DataDir;
use std::path::{Path, PathBuf};
use weft_audit::{AuditOutcome, EntryRef, VerifyOptions, compare, finding_text, verify_store};
use weft_protocol::encoding::encode;
use weft_protocol::entry::{Entry, Payload};

fn audit(data: &Path) -> Result<AuditOutcome, Failure> {
    verify_store(data, &VerifyOptions::default(), &mut |_| {}).map_err(Failure::from_error)
}

/// Audits a ledger; nothing may be wrong. Gives the number of entries read and of wrong things found.
pub(super) fn clean(data: &DataDir) -> Result<(u64, u64), Failure> {
    let outcome = audit(data.path())?;
    if outcome.exit_code == 0 {
        let report = outcome.report();
        return Ok((report.entries, report.findings.wrong()));
    }
    let wrong = outcome.report().findings.kept().iter().find(|f| f.class.is_wrong()).map(finding_text);
    Err(Failure::new(format!("the audit of {} found: {}", data.path().display(), wrong.unwrap_or_default())))
}

/// Audits two ledgers against each other.
pub(super) fn agree(one: &DataDir, other: &DataDir) -> Result<(), Failure> {
    let (one, other) = (audit(one.path())?, audit(other.path())?);
    let comparison = compare(&one.audit, &other.audit);
    if comparison.findings.outcome().exit_code() == 0 && comparison.positions.iter().all(|p| p.in_flight == 0)
    {
        return Ok(());
    }
    let wrong = comparison.findings.kept().first().map(finding_text);
    Err(Failure::new(format!("the two ledgers do not agree: {}", wrong.unwrap_or_default())))
}

/// Copies a ledger, changes one amount in the copy, mends the checksum, and audits it: the entry must be named.
pub(super) fn tampered(data: &DataDir, copy: &Path) -> Result<String, Failure> {
    copy_folder(&data.ledger(), &copy.join("ledger")).map_err(Failure::from_error)?;
    let segment = first_segment(copy);
    let mut bytes = std::fs::read(&segment).map_err(Failure::from_error)?;
    let seq = change_an_amount(&mut bytes).ok_or_else(|| Failure::new("no transfer to tamper with"))?;
    std::fs::write(&segment, bytes).map_err(Failure::from_error)?;
    let outcome = audit(copy)?;
    let findings = outcome.report().findings.kept();
    let named = findings.iter().any(|f| f.class.is_wrong() && f.entries.contains(&EntryRef::Own(seq)));
    if outcome.exit_code == 1 && named {
        Ok(format!("entry {seq} is named"))
    } else {
        Err(Failure::new(format!("the audit of a tampered copy did not name entry {seq}")))
    }
}

/// Changes one byte in the middle of a ledger.
pub(super) fn flip_a_byte(data: &DataDir) -> Result<(), Failure> {
    let segment = first_segment(data.path());
    let mut bytes = std::fs::read(&segment).map_err(Failure::from_error)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&segment, bytes).map_err(Failure::from_error)
}

fn first_segment(data: &Path) -> PathBuf {
    data.join("ledger").join("segments").join(crate::store::segments::segment_name(0))
}

/// Finds the first transfer, adds one to the amount of a posting, and mends the record's checksum.
fn change_an_amount(bytes: &mut [u8]) -> Option<u64> {
    const HEADER: usize = 8;
    const KEY: usize = 9;
    let mut at = 0;
    while let Some(len) = bytes.get(at..at + 4).and_then(|len| len.try_into().ok()).map(u32::from_le_bytes) {
        let (start, end) = (at + HEADER, at + HEADER + usize::try_from(len).ok()?);
        let body = bytes.get(start..end)?;
        if body.first() == Some(&0)
            && let Ok(entry) = Entry::parse(body.get(KEY..)?)
            && let Payload::Transfer(transfer) = &entry.op().payload
        {
            let posting = encode(transfer.postings.first()?);
            let place = body.windows(posting.len()).position(|window| window == posting)?;
            bytes[start + place + posting.len() - 1] ^= 1;
            let crc = crc32c::crc32c(bytes.get(start..end)?);
            bytes[at + 4..at + HEADER].copy_from_slice(&crc.to_le_bytes());
            return Some(entry.body().seq);
        }
        at = end;
    }
    None
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for item in std::fs::read_dir(from)? {
        let item = item?;
        let target = to.join(item.file_name());
        if item.file_type()?.is_dir() {
            copy_folder(&item.path(), &target)?;
        } else {
            std::fs::copy(item.path(), target)?;
        }
    }
    Ok(())
}
