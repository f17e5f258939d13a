//! The two auditors: `weft audit verify` as a library, and the Python program that was written from the texts alone.

use crate::kit::{Failure, Outcome};
use crate::require::second_verifier;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use weft_audit::{Class, Finding, VerifyOptions, compare, verify_dir};

/// What the missing of an earlier checkpoint or a peer's folder is called by both.
const LOUD: &str = "WITHOUT AN EARLIER CHECKPOINT OR A PEER'S FOLDER";

/// What an auditor says of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its exit code.
    pub exit: u64,
    /// Names of the classes of which something wrong was found.
    pub classes: BTreeSet<String>,
    /// Whether something essential could not be looked at.
    pub essential: bool,
    /// Whether it says that a rewritten history cannot be excluded.
    pub warned: bool,
    /// What it found: class, the entries and the file named, words.
    pub findings: Vec<Named>,
    /// Digest of the state that the entries give, in hex.
    pub digest: String,
}

/// A finding, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its class.
    pub class: String,
    /// Entries and files that it names.
    pub places: Vec<String>,
    /// Its words.
    pub what: String,
}

impl Verdict {
    fn new(exit: u64, essential: bool, findings: Vec<Named>, digest: String) -> Self {
        let wrong: Vec<&str> =
            Class::ALL.iter().filter(|class| class.is_wrong()).map(|class| class.name()).collect();
        let classes = findings
            .iter()
            .map(|f| f.class.clone())
            .filter(|class| wrong.contains(&class.as_str()))
            .collect();
        let warned = findings.iter().any(|finding| finding.what.starts_with(LOUD));
        Self { exit, classes, essential, warned, findings, digest }
    }

    /// Whether both say the same, but for words and for how many places they name.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        (self.exit, &self.classes, self.essential, self.warned)
            == (other.exit, &other.classes, other.essential, other.warned)
    }

    /// Whether a finding of these classes names one of the places; with no places, any place.
    #[must_use]
    pub fn names(&self, classes: &[&str], places: &[String]) -> bool {
        let names_it = |finding: &Named| {
            // A place is named as it is; a network also as part of the name of an entry of its own.
            let part = |place: &String| {
                let of_network = !place.starts_with("entry ");
                of_network && finding.places.iter().any(|said| said.contains(place.as_str()))
            };
            let said = |place: &String| {
                finding.places.contains(place) || finding.what.contains(place.as_str()) || part(place)
            };
            places.is_empty() || places.iter().any(said)
        };
        self.findings.iter().filter(|finding| classes.contains(&finding.class.as_str())).any(names_it)
    }

    /// In a few lines.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self
            .findings
            .iter()
            .take(8)
            .map(|f| format!("    {}: {} {}\n", f.class, f.places.join(", "), f.what));
        format!(
            "exit {}, {:?}, essential {}, warned {}\n{}",
            self.exit,
            self.classes,
            self.essential,
            self.warned,
            lines.collect::<String>()
        )
    }
}

fn named(finding: &Finding) -> Named {
    let places = finding.entries.iter().map(ToString::to_string).chain(finding.file.clone());
    Named { class: finding.class.name().to_owned(), places: places.collect(), what: finding.what.clone() }
}

/// What `weft audit verify` says.
///
/// # Errors
/// When the bundle is no folder.
pub fn weft(bundle: &Path, earlier: Option<&Path>) -> Outcome<Verdict> {
    let options = VerifyOptions {
        threads: Some(1),
        earlier: earlier.map(Path::to_path_buf),
        ..VerifyOptions::default()
    };
    let outcome = verify_dir(bundle, &options, &mut |_| {})?;
    let findings = outcome.report().findings.kept();
    let essential = findings.iter().any(|finding| finding.essential);
    let digest = outcome.report().state_digest.to_string();
    Ok(Verdict::new(u64::from(outcome.exit_code), essential, findings.iter().map(named).collect(), digest))
}

/// The Python program, kept running: it answers one line to each line.
#[derive(Debug)]
pub struct Specs {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Specs {
    /// Starts it; `None` where there is no Python, which the output then says.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start() -> Outcome<Option<Self>> {
        let Some(mut command) = second_verifier() else { return Ok(None) };
        command.arg("bundles").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.ok_or_else(|| Failure::new("the verifier has no pipes"))?;
        Ok(Some(Self { child, to, from: BufReader::new(from) }))
    }

    /// What it says of a bundle.
    ///
    /// # Errors
    /// When it has ended, which it never should.
    pub fn judge(&mut self, bundle: &Path, earlier: Option<&Path>) -> Outcome<Verdict> {
        let report = self.ask(&json!({ "dir": bundle, "earlier": earlier }))?;
        let findings = report["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let named = |finding: &Value| {
            let at = finding["at"].as_array().into_iter().flatten();
            let places = at.chain(finding["file"].is_string().then_some(&finding["file"]));
            Named {
                class: text(&finding["class"]),
                places: places.map(text).collect(),
                what: text(&finding["what"]),
            }
        };
        let essential = report["essential"].as_u64().unwrap_or(0) > 0;
        let exit = report["exit"].as_u64().ok_or_else(|| Failure::new(format!("no exit code: {report}")))?;
        Ok(Verdict::new(exit, essential, findings.iter().map(named).collect(), text(&report["digest"])))
    }
}

/// What two auditors say of two ledgers of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Names of the classes of which something wrong was found.
    pub classes: BTreeSet<String>,
    /// By unit pair: both positions, and what is in flight.
    pub positions: Vec<(i64, i64, i64)>,
}

/// What `weft audit compare` says of two bundles.
///
/// # Errors
/// When one is no folder.
pub fn weft_compares(one: &Path, other: &Path) -> Outcome<Compared> {
    let options = || VerifyOptions { threads: Some(1), ..VerifyOptions::default() };
    let audit = |bundle: &Path| verify_dir(bundle, &options(), &mut |_| {}).map(|outcome| outcome.audit);
    let comparison = compare(&audit(one)?, &audit(other)?);
    let wrong = comparison.findings.kept().iter().filter(|finding| finding.class.is_wrong());
    let classes = wrong.map(|finding| finding.class.name().to_owned()).collect();
    let position = |p: &weft_protocol::audit::PairPosition| Ok((p.a, p.b, i64::try_from(p.in_flight)?));
    let positions = comparison.positions.iter().map(position).collect::<Outcome<_>>()?;
    Ok(Compared { classes, positions })
}

impl Specs {
    /// What it says of two bundles.
    ///
    /// # Errors
    /// When it has ended, which it never should.
    pub fn compares(&mut self, one: &Path, other: &Path) -> Outcome<Compared> {
        let report = self.ask(&json!({ "compare": [one, other] }))?;
        let wrong = Class::ALL.iter().filter(|class| class.is_wrong()).map(|class| class.name());
        let found = |class: &&str| report["classes"][*class].as_u64().is_some_and(|count| count > 0);
        let classes = wrong.filter(found).map(str::to_owned).collect();
        let number = |value: &Value| value.as_i64().unwrap_or(i64::MIN);
        let position = |p: &Value| (number(&p["a"]), number(&p["b"]), number(&p["in_flight"]));
        let positions = report["positions"].as_array().into_iter().flatten().map(position).collect();
        Ok(Compared { classes, positions })
    }

    fn ask(&mut self, request: &Value) -> Outcome<Value> {
        writeln!(self.to, "{request}")?;
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(Failure::new("the verifier has ended: its error is above"));
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Specs {
    fn drop(&mut self) {
        // It ends by itself with its input; whether it has does not matter any more.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
