//! `weft audit export`: the books of an audited ledger, for accounting programs.
//!
//! The file appears only when all of it is written and the audit found nothing wrong; until then it is beside it, as
//! `.new`.

use super::no_audit;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress::Counter;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use weft_audit::export::{ExportError, Exported, Format, Names, export};

/// Writes the books for accounting programs.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A bundle
    #[arg(required_unless_present = "store", conflicts_with = "store")]
    dir: Option<PathBuf>,
    /// The data folder of a node that does not run, or a copy of it
    #[arg(long, value_name = "DATA")]
    store: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum)]
    format: FormatName,
    /// Names for accounts: a CSV file with lines ACCOUNT,NAME
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// The file to write; it must be new
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A format as people name it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// Beancount
    Beancount,
    /// A journal for hledger and Ledger
    Journal,
    /// CSV, a line for each posting
    Csv,
    /// JSON Lines
    Jsonl,
}

impl FormatName {
    fn format(self) -> Format {
        match self {
            Self::Beancount => Format::Beancount,
            Self::Journal => Format::Journal,
            Self::Csv => Format::Csv,
            Self::Jsonl => Format::Jsonl,
        }
    }
}

pub(super) fn run(context: &Context, args: &Export) -> Outcome {
    let (folder, is_store) = match (&args.store, &args.dir) {
        (Some(store), _) => (store, true),
        (None, Some(dir)) => (dir, false),
        (None, None) => return Err(no_audit()),
    };
    let names = args.names.as_deref().map_or_else(|| Ok(Names::default()), Names::read_file);
    let names = names.map_err(|why| {
        Failure::new(Exit::Refused, "names", "the names cannot be used", "correct the file").because(why)
    })?;
    let unfinished = unfinished(&args.out);
    let file = create(&args.out, &unfinished).map_err(cannot_write)?;
    let mut counter = Counter::new(context, "checking entries");
    let mut out = BufWriter::new(file);
    let exported =
        export(folder, is_store, args.format.format(), names, &mut out, &mut |entries| counter.at(entries));
    drop(counter);
    let finished = exported.map_err(failed).and_then(|exported| {
        let synced =
            out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        synced.and_then(|()| fs::rename(&unfinished, &args.out)).map_err(cannot_write)?;
        Ok(exported)
    });
    if finished.is_err() {
        // Nothing half done stays behind; if it cannot be removed, the error said is the one that matters.
        let _gone = fs::remove_file(&unfinished);
    }
    Ok(written(&args.out, &finished?))
}

/// Where the export stands until it is whole.
fn unfinished(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    out.with_file_name(name)
}

fn create(out: &Path, unfinished: &Path) -> io::Result<File> {
    if out.symlink_metadata().is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is there already", out.display()),
        ));
    }
    OpenOptions::new().write(true).create(true).truncate(true).open(unfinished)
}

fn written(out: &Path, exported: &Exported) -> Report {
    let (file, counts) = (clean(&out.display().to_string()), exported.counts);
    let text = format!(
        "{file} holds {} movements between {} accounts in {} units, of an audited ledger of {} entries.",
        counts.movements, counts.accounts, counts.units, exported.audit.report.entries
    );
    let value = json!({
        "file": out.display().to_string(), "movements": counts.movements, "accounts": counts.accounts,
        "units": counts.units, "entries": exported.audit.report.entries,
        "root": exported.audit.report.root.to_string(),
    });
    Report::new(text, &value, "weft.audit-export/1")
}

fn failed(error: ExportError) -> Failure {
    let (exit, code, advice) = match &error {
        ExportError::Read(_) => {
            (Exit::CouldNotCheck, "audit-files", "name a bundle, or a data folder with --store")
        }
        ExportError::Write(_) => return cannot_write(error),
        ExportError::LeftOut { .. } => (
            Exit::CouldNotCheck,
            "left-out",
            "export from a bundle made before, or ask who keeps an export of that time",
        ),
        ExportError::NotClean { .. } => (Exit::Found, "not-right", "see what `weft audit verify` says of it"),
        ExportError::Balances => {
            (Exit::CouldNotCheck, "balances", "keep the files and report this as a fault")
        }
    };
    Failure::new(exit, code, "nothing was exported", advice).because(error)
}

fn cannot_write(why: impl ToString) -> Failure {
    let advice = "name a new file in a folder that you may write to";
    Failure::new(Exit::BadConfiguration, "export-file", "nothing was exported", advice).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    fn context() -> Context {
        Context::plain(Globals { data: "/nowhere".into(), url: None, token_file: None, json: false })
    }

    fn args(out: &Path) -> Export {
        let dir = out.parent().map(|folder| folder.join("no-bundle"));
        Export { dir, store: None, format: FormatName::Csv, names: None, out: out.to_path_buf() }
    }

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("books.csv");
        fs::write(&out, "mine").unwrap();
        assert_eq!(run(&context(), &args(&out)).unwrap_err().code, "export-file");
        assert_eq!(fs::read(&out).unwrap(), b"mine");
    }

    #[test]
    fn what_fails_leaves_no_file_behind() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("books.csv");
        assert_eq!(run(&context(), &args(&out)).unwrap_err().exit, Exit::CouldNotCheck);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
