//! `weft audit verify|bundle|compare|rounds|evidence`: checks a ledger from its files alone; no node is asked, and nothing that is
//! audited is written to.
//!
//! The texts of a report are the auditor's own (`weft-audit`), so that they are the same wherever it runs.

mod evidence;
mod export;
mod printed;
mod proof;
mod rounds;

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress::Counter;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use weft_audit::{
    AuditError, AuditOutcome, BundleError, BundleReport, VerifyOptions, compare, comparison_json,
    comparison_text, report_json, report_text, verify_dir, verify_store, write_bundle,
};
use weft_protocol::ids::LedgerId;

/// What a data folder has and a bundle has not.
const SEGMENTS: &str = "ledger/segments";

/// Audits.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a bundle, or the data folder of a node
    Verify(Verify),
    /// Write what an auditor needs from a data folder into a new folder
    Bundle(Bundle),
    /// Compare what two networks say of each other
    Compare(Compare),
    /// Run netting rounds again from the ledgers given: solved anew, compared with what was published and booked
    Rounds(rounds::Rounds),
    /// Check a file that says that a network signed two things that exclude each other
    Evidence(evidence::Args),
    /// Check a bundle, and write a report to print and sign
    Report(printed::Printed),
    /// Write the proof that an entry stands in the ledger, for its member
    Prove(proof::Prove),
    /// Check such a proof
    CheckProof(proof::CheckProof),
    /// Write the books for accounting programs
    Export(export::Export),
}

/// Checks a bundle, or the data folder of a node.
#[derive(Debug, Default, Args)]
pub(crate) struct Verify {
    /// A bundle
    #[arg(required_unless_present = "store", conflicts_with = "store")]
    dir: Option<PathBuf>,
    /// The data folder of a node that does not run, or a copy of it
    #[arg(long, value_name = "DATA")]
    store: Option<PathBuf>,
    /// The ledger that it must be
    #[arg(long, value_name = "ID")]
    ledger: Option<LedgerId>,
    /// A checkpoint of the same ledger that you kept from an earlier day
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// The result of your earlier audit of this ledger: only what came after it is read
    #[arg(long, value_name = "RESULT", conflicts_with = "store")]
    since: Option<PathBuf>,
    /// Keep the result, for --since of the next audit
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    result: Option<PathBuf>,
    /// Which witnesses must have cosigned the checkpoint (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Writes what an auditor needs from a data folder into a new folder.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The data folder of a node
    #[arg(long, value_name = "DATA")]
    store: PathBuf,
    /// A folder that is new or empty
    out: PathBuf,
}

/// Compares what two networks say of each other.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Bundle or data folder of one network
    a: PathBuf,
    /// Bundle or data folder of the other
    b: PathBuf,
}

fn bundled(out: &Path, report: &BundleReport) -> String {
    format!(
        "{} holds {} entries and what {} peers have said, in {} files; root {}. \
         Check it with `weft audit verify {0}`.",
        clean(&out.display().to_string()),
        report.entries,
        report.peers,
        report.files,
        report.root
    )
}

/// What the audit of one side says, above a comparison.
fn side(path: &Path, audit: &AuditOutcome) -> String {
    let report = audit.report();
    let wrong = report.findings.wrong();
    let ledger = report.ledger.map_or_else(|| "an unknown ledger".to_owned(), |ledger| ledger.short());
    let path = path.display().to_string();
    format!(
        "{:<12} {ledger}: {} entries, {wrong} findings that are wrong ({})\n",
        "side",
        report.entries,
        clean(&path)
    )
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Verify(args) => verify(context, &args),
        Command::Bundle(args) => bundle(&args),
        Command::Compare(args) => self::compare_two(context, &args),
        Command::Rounds(args) => rounds::run(context, &args),
        Command::Evidence(args) => evidence::run(&args),
        Command::Report(args) => printed::run(context, &args),
        Command::Prove(args) => proof::prove(&args),
        Command::CheckProof(args) => proof::check(&args),
        Command::Export(args) => export::run(context, &args),
    }
}

fn verify(context: &Context, args: &Verify) -> Outcome {
    let audit = audited(context, args)?;
    let exit = exit_of(audit.exit_code);
    let mut report =
        Report { json: parsed(&report_json(audit.report()))?, ..report(report_text(audit.report()), exit) };
    if let Some(path) = &args.result {
        report.notes.push(keep_result(&audit, path)?);
    }
    Ok(report)
}

/// Writes the result of an audit, whole or not at all; gives what to say of it.
fn keep_result(audit: &AuditOutcome, path: &Path) -> Result<String, Failure> {
    let shown = clean(&path.display().to_string());
    let bytes = match audit.audit.result() {
        Ok(bytes) => bytes,
        Err(why) => return Ok(format!("No result was kept for the next audit: {why}.")),
    };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let written = std::fs::write(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, path));
    written.map_err(|why| {
        let what = format!("the result cannot be written to {shown}");
        let advice = "choose a file in a folder that you may write to";
        Failure::new(Exit::BadConfiguration, "result-file", what, advice).because(why)
    })?;
    Ok(format!(
        "The result is in {shown}: keep it where nobody else can change it, and give it to the next audit with --since."
    ))
}

fn audited(context: &Context, args: &Verify) -> Result<AuditOutcome, Failure> {
    let options = VerifyOptions {
        threads: None,
        ledger: args.ledger,
        earlier: args.earlier.clone(),
        since: args.since.clone(),
        policy: args.policy.clone(),
    };
    if let Some(dir) = args.dir.as_ref().filter(|dir| dir.join(SEGMENTS).is_dir()) {
        return Err(no_bundle_but_a_store(dir));
    }
    let mut counter = Counter::new(context, "checking entries");
    let audit = match (&args.store, &args.dir) {
        (Some(store), _) => verify_store(store, &options, &mut |entries| counter.at(entries)),
        (None, Some(dir)) => verify_dir(dir, &options, &mut |entries| counter.at(entries)),
        (None, None) => return Err(no_audit()),
    };
    drop(counter);
    audit.map_err(could_not_begin)
}

fn no_bundle_but_a_store(dir: &Path) -> Failure {
    let shown = clean(&dir.display().to_string());
    let what = format!("{shown} is the data folder of a node, and no bundle");
    let advice = "stop the node and name its folder with --store, or write a bundle with `weft audit bundle`";
    Failure::new(Exit::Usage, "audit-files", what, advice)
}

fn no_audit() -> Failure {
    let advice = "name a bundle, or a data folder with --store";
    Failure::new(Exit::Usage, "audit-files", "there is nothing to audit", advice)
}

fn compare_two(context: &Context, args: &Compare) -> Outcome {
    let mut counter = Counter::new(context, "checking entries");
    let mut audit = |path: &Path| one(path, &mut counter);
    let (a, b) = (audit(&args.a)?, audit(&args.b)?);
    drop(counter);
    let comparison = compare(&a.audit, &b.audit);
    let codes = [a.exit_code, b.exit_code, comparison.findings.outcome().exit_code()];
    // A side that is wrong by itself makes the comparison wrong, whatever the two say of each other.
    let exit = if codes.contains(&(Exit::Found as u8)) {
        Exit::Found
    } else {
        exit_of(codes.into_iter().max().unwrap_or(0))
    };
    let text = format!("{}{}{}", side(&args.a, &a), side(&args.b, &b), comparison_text(&comparison));
    let mut json = parsed(&comparison_json(&comparison))?;
    json["sides"] = json!([parsed(&report_json(a.report()))?, parsed(&report_json(b.report()))?]);
    Ok(Report { json, ..report(text, exit) })
}

/// The audit of a bundle or a data folder, whichever it is.
fn one(path: &Path, counter: &mut Counter) -> Result<AuditOutcome, Failure> {
    let options = VerifyOptions::default();
    let mut progress = |entries| counter.at(entries);
    let is_store = path.join(SEGMENTS).is_dir();
    let audit = if is_store {
        verify_store(path, &options, &mut progress)
    } else {
        verify_dir(path, &options, &mut progress)
    };
    audit.map_err(could_not_begin)
}

fn bundle(args: &Bundle) -> Outcome {
    let written = write_bundle(&args.store, &args.out).map_err(no_bundle)?;
    let value = json!({
        "folder": args.out.display().to_string(), "entries": written.entries, "peers": written.peers,
        "files": written.files, "root": written.root.to_string(),
    });
    Ok(Report::new(bundled(&args.out, &written), &value, "weft.audit-bundle/1"))
}

fn report(text: String, exit: Exit) -> Report {
    Report { text, json: serde_json::Value::Null, notes: Vec::new(), exit }
}

/// The auditor's exit code as ours; an unknown one means that it could not check.
fn exit_of(code: u8) -> Exit {
    match code {
        0 => Exit::Fine,
        1 => Exit::Found,
        _ => Exit::CouldNotCheck,
    }
}

fn parsed(json: &str) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(json).map_err(|e| {
        let what = "the auditor's report is no JSON";
        Failure::new(Exit::CouldNotCheck, "report", what, "run it without --json").because(e)
    })
}

fn could_not_begin(error: AuditError) -> Failure {
    let advice = "name a bundle, or a data folder with --store";
    Failure::new(Exit::CouldNotCheck, "audit-files", "the audit could not begin", advice).because(error)
}

fn no_bundle(error: BundleError) -> Failure {
    let (exit, code, advice) = match &error {
        BundleError::Read { .. } => (Exit::CouldNotCheck, "audit-files", "name the data folder of a node"),
        BundleError::Write { .. } => {
            (Exit::BadConfiguration, "audit-files", "choose a folder that you may write to")
        }
        BundleError::NotEmpty { .. } => (Exit::Refused, "folder-not-empty", "name a new folder"),
        BundleError::NoCheckpoint => (Exit::TryAgain, "no-checkpoint", "let the node publish one first"),
        BundleError::Damaged(_)
        | BundleError::Note(_)
        | BundleError::Checkpoint(_)
        | BundleError::Entry { .. }
        | BundleError::Gap { .. }
        | BundleError::Root { .. } => (Exit::Found, "store-damaged", "see `weft audit verify --store DATA`"),
    };
    Failure::new(exit, code, "no bundle was written", advice).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    fn context() -> Context {
        Context::plain(Globals { data: "/nowhere".into(), url: None, token_file: None, json: false })
    }

    #[test]
    fn a_folder_that_is_not_there_could_not_be_checked() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let verify = |dir, store| Verify { dir, store, ..Verify::default() };
        for command in [
            Command::Verify(verify(Some(missing.clone()), None)),
            Command::Verify(verify(None, Some(missing.clone()))),
            Command::Bundle(Bundle { store: missing.clone(), out: folder.path().join("out") }),
            Command::Compare(Compare { a: missing.clone(), b: missing.clone() }),
        ] {
            assert_eq!(run(&context(), command).unwrap_err().exit, Exit::CouldNotCheck);
        }
    }

    #[test]
    fn a_data_folder_that_is_given_as_a_bundle_is_named_as_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(SEGMENTS)).unwrap();
        let args = Verify { dir: Some(folder.path().to_path_buf()), ..Verify::default() };
        let refused = run(&context(), Command::Verify(args)).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.advice.contains("--store"), "{}", refused.advice);
    }

    #[test]
    fn an_empty_folder_is_no_audited_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Some(folder.path().to_path_buf());
        let args = Verify { dir, ..Verify::default() };
        let report = run(&context(), Command::Verify(args)).unwrap();
        assert_ne!(report.exit, Exit::Fine);
        assert!(report.json["schema"].is_string());
    }
}
