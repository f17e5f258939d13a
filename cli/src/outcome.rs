//! How a command ends: a result or a failure, and its exit status.
//!
//! A failure says what happened, why, and what to do. Whatever others wrote is cleaned of control characters
//! before it reaches a terminal.

use crate::context::Context;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;
use weft_client::Error;

/// What a command gives back.
pub(crate) type Outcome = Result<Report, Failure>;

/// Exit status, the same for all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Fine = 0,
    /// A check found a problem.
    Found = 1,
    /// The command cannot mean anything.
    Usage = 2,
    /// A check could not be made.
    CouldNotCheck = 3,
    /// A rule refused it.
    Refused = 65,
    /// The node is not there.
    NotReachable = 69,
    /// It may work later.
    TryAgain = 75,
    /// The token or the file does not allow it.
    NotAllowed = 77,
    /// A file or setting is wrong.
    BadConfiguration = 78,
}

/// A result.
#[derive(Debug)]
pub(crate) struct Report {
    /// For people, on stdout.
    pub(crate) text: String,
    /// For programs, on stdout with `--json`; it names its schema.
    pub(crate) json: Value,
    /// Beside the result, on stderr.
    pub(crate) notes: Vec<String>,
    /// How it ends.
    pub(crate) exit: Exit,
}

impl Report {
    /// A result that went well. A value that does not name its schema gets `schema`.
    pub(crate) fn new(text: impl Into<String>, value: &impl Serialize, schema: &str) -> Self {
        let mut json = serde_json::to_value(value).expect("our own types have string keys only");
        if let Some(object) = json.as_object_mut() {
            object.entry("schema").or_insert_with(|| schema.into());
        }
        Self { text: text.into(), json, notes: Vec::new(), exit: Exit::Fine }
    }

    /// The same with another exit status.
    pub(crate) fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with something beside the result.
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How it ends.
    pub(crate) exit: Exit,
    /// The rule, for programs.
    pub(crate) code: String,
    /// What happened.
    pub(crate) what: String,
    /// Why; may be empty.
    pub(crate) why: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Failure {
    /// A failure in words.
    pub(crate) fn new(exit: Exit, code: &str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), what: what.into(), why: String::new(), advice: advice.into() }
    }

    /// The same with its cause.
    pub(crate) fn because(mut self, why: impl ToString) -> Self {
        self.why = why.to_string();
        self
    }

    /// The same, and how to repeat an operation whose answer was lost without doing it twice.
    pub(crate) fn repeatable_with(mut self, op_id: &str) -> Self {
        if self.exit == Exit::TryAgain || self.exit == Exit::NotReachable {
            self.advice =
                format!("{}; repeat the command with --op-id {op_id}: it cannot happen twice", self.advice);
        }
        self
    }

    fn text(&self) -> String {
        let mut out = format!("weft: {}\n", clean(&self.what));
        for (label, text) in [("why", &self.why), ("do", &self.advice), ("code", &self.code)] {
            if !text.is_empty() {
                out.push_str(&format!("  {label:<5}{}\n", clean(text)));
            }
        }
        out
    }

    fn json(&self) -> Value {
        json!({
            "schema": "weft.error/1", "exit": self.exit as u8, "code": self.code,
            "what": self.what, "why": self.why, "do": self.advice,
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::BadAddress { address, why } => {
                let what = format!("{address} cannot be used");
                Self::new(Exit::BadConfiguration, "bad-address", what, "correct --url or the token")
                    .because(why)
            }
            Error::NotReachable { place, why } => {
                let advice = "start it with `weftd run`, or name its folder with --data";
                Self::new(Exit::NotReachable, "not-reachable", format!("no node answers at {place}"), advice)
                    .because(why)
            }
            Error::Interrupted { place, why } => {
                let what =
                    format!("the node at {place} did not answer in full, so it is unknown what it did");
                Self::new(Exit::TryAgain, "interrupted", what, "see `weft status`, then try again")
                    .because(why)
            }
            Error::Problem(problem) => {
                let (exit, advice) = (exit_of(problem.status), advice(&problem.code));
                Self::new(exit, &problem.code, problem.title, advice).because(problem.detail)
            }
            Error::Malformed { what, why } => {
                let advice = "check that --data or --url names a Weft node of this version";
                let what = format!("what answered {what} is not a node that this program knows");
                Self::new(Exit::NotReachable, "malformed-answer", what, advice).because(why)
            }
        }
    }
}

/// The exit status for an HTTP status of a problem.
fn exit_of(status: u16) -> Exit {
    match status {
        401 | 403 => Exit::NotAllowed,
        408 | 425 | 429 | 500..=599 => Exit::TryAgain,
        _ => Exit::Refused,
    }
}

/// What people can do about a rule; the detail of the problem says the rest.
fn advice(code: &str) -> &'static str {
    match code {
        "limit-stop" => "pay less, or ask a coordinator to lift the stop for this one payment (--lift-stop)",
        "limit-firm" => "pay less, or have the rule changed (`weft rule limit`)",
        "unknown-account" | "unknown-name" => "see `weft member list`",
        "unknown-peer" => "see `weft peer list`",
        "unknown-unit" => "see the units in `weft status`",
        "not-authorised" => "this account has a key of its own: sign with --key FILE",
        "root-quorum" => "sign with the root key of this network (--root-key)",
        _ => "",
    }
}

/// Text of others without what could move the cursor, colour the screen or turn the reading direction.
pub(crate) fn clean(text: &str) -> String {
    let hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { '\u{fffd}' } else { c }).collect()
}

/// Prints how a command ended, and gives its exit status.
pub(crate) fn print(context: &Context, outcome: Outcome) -> ExitCode {
    let exit = match &outcome {
        Ok(report) => report.exit,
        Err(failure) => failure.exit,
    };
    match write(context, outcome) {
        // Somebody who has read enough, such as `head`, is no failure.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(Exit::TryAgain as u8),
        Ok(()) | Err(_) => ExitCode::from(exit as u8),
    }
}

fn write(context: &Context, outcome: Outcome) -> io::Result<()> {
    match outcome {
        Ok(report) => {
            let mut stdout = io::stdout().lock();
            if context.json() {
                writeln!(stdout, "{:#}", report.json)?;
            } else if !report.text.is_empty() {
                writeln!(stdout, "{}", report.text.trim_end_matches('\n'))?;
            }
            stdout.flush()?;
            let mut stderr = io::stderr().lock();
            report.notes.iter().try_for_each(|note| writeln!(stderr, "{}", clean(note)))
        }
        Err(failure) if context.json() => writeln!(io::stderr().lock(), "{}", failure.json()),
        Err(failure) => write!(io::stderr().lock(), "{}", failure.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure =
            Failure::new(Exit::Refused, "limit-stop", "Beyond\u{1b}[31m", "pay less").because("-12.00");
        assert_eq!(
            failure.text(),
            "weft: Beyond\u{fffd}[31m\n  why  -12.00\n  do   pay less\n  code limit-stop\n"
        );
        assert_eq!(failure.json()["schema"], "weft.error/1");
        assert_eq!(failure.json()["exit"], 65);
    }

    #[test]
    fn each_kind_of_error_has_its_exit_status() {
        let problem = |status| {
            let text = String::new;
            let (kind, title, code, detail) = (text(), text(), text(), text());
            Error::Problem(weft_api::Problem { kind, title, status, code, detail })
        };
        for (error, exit) in [
            (problem(401), Exit::NotAllowed),
            (problem(403), Exit::NotAllowed),
            (problem(404), Exit::Refused),
            (problem(422), Exit::Refused),
            (problem(429), Exit::TryAgain),
            (problem(503), Exit::TryAgain),
            (Error::NotReachable { place: "x".into(), why: "y".into() }, Exit::NotReachable),
            (Error::Interrupted { place: "x".into(), why: "y".into() }, Exit::TryAgain),
            (Error::Malformed { what: "x".into(), why: "y".into() }, Exit::NotReachable),
            (Error::BadAddress { address: "x".into(), why: "y".into() }, Exit::BadConfiguration),
        ] {
            assert_eq!(Failure::from(error).exit, exit);
        }
    }

    #[test]
    fn only_an_unknown_outcome_names_the_id_to_repeat() {
        let unknown = Failure::from(Error::Interrupted { place: "x".into(), why: "y".into() });
        assert!(unknown.repeatable_with("ab12").advice.contains("--op-id ab12"));
        let refused = Failure::new(Exit::Refused, "x", "x", "x");
        assert_eq!(refused.clone().repeatable_with("ab12"), refused);
    }

    #[test]
    fn every_result_names_its_schema() {
        assert_eq!(Report::new("", &json!({"a": 1}), "weft.x/1").json["schema"], "weft.x/1");
        assert_eq!(Report::new("", &json!({"schema": "weft.y/1"}), "weft.x/1").json["schema"], "weft.y/1");
    }
}
