//! `weft audit report`: the audit as a page to print and sign, beside its JSON.

use super::{Verify, audited, exit_of, parsed};
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use clap::Args;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use weft_audit::{Page, report_html, report_json, result_words};

/// Checks a bundle, and writes a report to print and sign.
#[derive(Debug, Args)]
pub(crate) struct Printed {
    #[command(flatten)]
    what: Verify,
    /// The page to write; it must be new
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

pub(super) fn run(context: &Context, args: &Printed) -> Outcome {
    let audit = audited(context, &args.what)?;
    let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let source = shown(&args.what.dir).or(shown(&args.what.store)).unwrap_or_default();
    let earlier = shown(&args.what.earlier).or(shown(&args.what.since));
    let (earlier, version) = (earlier.as_deref(), env!("CARGO_PKG_VERSION"));
    let page = Page { source: &source, earlier, version };
    write_new(&args.html, &report_html(audit.report(), &page)).map_err(|why| {
        let what = format!("the report cannot be written to {}", clean(&args.html.display().to_string()));
        let advice = "name a file that is not there yet, in a folder that you may write to";
        Failure::new(Exit::BadConfiguration, "report-file", what, advice).because(why)
    })?;
    let words = result_words(audit.report());
    let text = format!("{words} The report is in {}.", clean(&args.html.display().to_string()));
    let exit = exit_of(audit.exit_code);
    Ok(Report { text, json: parsed(&report_json(audit.report()))?, notes: Vec::new(), exit })
}

/// A signed report is never written over.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    #[test]
    fn a_report_is_written_once_and_says_what_the_exit_status_says() {
        let folder = tempfile::tempdir().unwrap();
        let context =
            Context::plain(Globals { data: "/nowhere".into(), url: None, token_file: None, json: false });
        let bundle = folder.path().join("bundle");
        std::fs::create_dir(&bundle).unwrap();
        let what = || Verify { dir: Some(bundle.clone()), ..Verify::default() };
        let args = Printed { what: what(), html: folder.path().join("report.html") };
        let report = run(&context, &args).unwrap();
        assert_eq!(report.exit, Exit::Found, "an empty folder has no checkpoint");
        assert!(report.text.starts_with("Something is wrong."), "{}", report.text);
        let page = std::fs::read_to_string(&args.html).unwrap();
        assert!(
            page.contains("<strong>Something is wrong.</strong>") && page.contains("there is no checkpoint")
        );
        assert_eq!(run(&context, &args).unwrap_err().exit, Exit::BadConfiguration);
    }
}
