//! `weft import payments FILE`: takes over payments from a CSV.
//!
//! The node checks all lines first and writes all or nothing unless told otherwise; the same file twice changes
//! nothing, because each line's id comes from the file.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress;
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::{Path, PathBuf};
use weft_api::{ImportPayments, Imported, MAX_BODY_BYTES};

/// What may be imported.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Payments: a CSV with the columns from, to, amount and optionally unit, date, memo
    Payments(Payments),
}

/// Payments from a CSV with the columns from, to, amount and optionally unit, date, memo.
#[derive(Debug, Args)]
pub(crate) struct Payments {
    /// The CSV file
    file: PathBuf,
    /// Only check; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write the good lines even when others are bad
    #[arg(long)]
    skip_bad: bool,
}

fn summary(args: &Payments, imported: &Imported) -> String {
    let Imported { lines, written, known, .. } = imported;
    let bad = imported.bad.len();
    let mut out = format!("{lines} payments in {}: ", clean(&args.file.display().to_string()));
    out.push_str(&match (args.dry_run, args.skip_bad || imported.applied || bad == 0) {
        (true, _) => {
            let ready = lines.saturating_sub(*known).saturating_sub(bad as u64);
            format!("{ready} ready, {known} known from an earlier run, {bad} bad. Nothing was written (--dry-run).")
        }
        (false, true) => format!("{written} written, {known} known from an earlier run, {bad} bad."),
        (false, false) => {
            format!("{bad} bad, so nothing was written. Correct them, or add --skip-bad to write the others.")
        }
    });
    for line in &imported.bad {
        out.push_str(&format!("\nline {}: {}: {}", line.line, clean(&line.code), clean(&line.detail)));
    }
    out
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let Command::Payments(args) = command;
    let csv = read(&args.file)?;
    let client = context.client()?;
    let import = ImportPayments { csv, dry_run: args.dry_run, skip_bad: args.skip_bad };
    let imported = progress::during(context, "importing", client.import_payments(&import)).await?;
    let exit = if imported.bad.is_empty() { Exit::Fine } else { Exit::Refused };
    Ok(Report::new(summary(&args, &imported), &imported, "weft.imported/1").ending(exit))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |exit, code: &str, why: String, advice: &str| {
        let what = format!("{} cannot be imported", path.display());
        Err(Failure::new(exit, code, what, advice).because(why))
    };
    let mut bytes = Vec::new();
    let cap = MAX_BODY_BYTES as u64;
    let taken = std::fs::File::open(path).and_then(|file| file.take(cap + 1).read_to_end(&mut bytes));
    if let Err(e) = taken {
        return failed(Exit::CouldNotCheck, "unreadable-file", e.to_string(), "check the name of the file");
    }
    if bytes.len() as u64 > cap {
        let why = format!("it is longer than {cap} bytes");
        return failed(Exit::Refused, "file-too-long", why, "split it, with the header line in each part");
    }
    match String::from_utf8(bytes) {
        Ok(csv) => Ok(csv),
        Err(e) => {
            let why = format!("byte {} is not UTF-8", e.utf8_error().valid_up_to());
            failed(Exit::Refused, "not-utf8", why, "save it as UTF-8")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;
    use weft_api::BadLine;

    fn imported(bad: usize, applied: bool) -> Imported {
        let line = BadLine { line: 3, code: "unknown-account".into(), detail: "nobody is called Cy".into() };
        Imported {
            schema: "weft.imported/1".into(),
            lines: 5,
            written: if applied { 4 } else { 0 },
            known: 0,
            bad: vec![line; bad],
            applied,
        }
    }

    async fn import(answer: &Imported, dry_run: bool) -> Report {
        let node = FakeNode::new().answering("POST /api/v1/import/payments", 200, answer).start();
        let file = node.file("p.csv");
        std::fs::write(&file, "from,to,amount\n").unwrap();
        let command = Command::Payments(Payments { file, dry_run, skip_bad: false });
        run(&node.context(), command).await.unwrap()
    }

    #[tokio::test]
    async fn every_bad_line_is_named_with_its_rule() {
        let report = import(&imported(1, false), false).await;
        assert_eq!(report.exit, Exit::Refused);
        assert!(report.text.contains("1 bad, so nothing was written."), "{}", report.text);
        assert!(report.text.ends_with("\nline 3: unknown-account: nobody is called Cy"), "{}", report.text);
    }

    #[tokio::test]
    async fn good_lines_are_counted() {
        let report = import(&imported(1, true), false).await;
        assert!(report.text.contains("4 written, 0 known from an earlier run, 1 bad."), "{}", report.text);
        assert_eq!(import(&imported(0, true), false).await.exit, Exit::Fine);
        assert!(import(&imported(1, false), true).await.text.contains("4 ready"));
    }

    #[test]
    fn a_file_that_cannot_be_a_csv_is_refused_before_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(read(&path).unwrap_err().exit, Exit::CouldNotCheck);
        std::fs::write(&path, [b'a', 0xff]).unwrap();
        assert_eq!(read(&path).unwrap_err().code, "not-utf8");
        std::fs::write(&path, vec![b'a'; MAX_BODY_BYTES + 1]).unwrap();
        assert_eq!(read(&path).unwrap_err().code, "file-too-long");
    }
}
