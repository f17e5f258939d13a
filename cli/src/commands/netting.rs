//! `weft netting`: rounds among networks ([`rounds`]), invoices between members
//! ([`members`], [`proposals`]), and `solve|verify`: clears what is owed in circles in a table of debts, and checks that no more could be.
//!
//! For a table no node is asked. What must hold: nothing is written when a line of the table is bad, unless that was allowed.

mod members;
mod proof;
mod proposals;
mod rounds;
mod summary;
mod table;

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::progress;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use table::{BadLine, Table};
use weft_protocol::ids::Hash;
use weft_protocol::netting::Debts;
use weft_protocol::netting::file::{Certificate, FileError};

/// Most bad lines that JSON lists; people see all of them.
const MAX_BAD_IN_JSON: usize = 1_000;
/// The seed of whoever nets alone (specs/netting.md §3).
const ALONE: Hash = Hash([0; 32]);

/// Rounds among networks, and tables of debts.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what could be cleared now
    Preview(rounds::Preview),
    /// Announce a round: everybody may, and who does decides nothing
    Announce(rounds::Announce),
    /// Show rounds: how they stand, what they do to our debts, what came of them
    Show(rounds::Show),
    /// Let our debts take part in a round
    Join(rounds::One),
    /// Keep our debts out of a round
    Leave(rounds::One),
    /// Accept the result of a round, if it verifies
    Accept(rounds::One),
    /// Refuse the result of a round: nothing of it is applied, and the others may go on without us
    Refuse(rounds::One),
    /// After a round, let go of what is held for a result that is still open
    Drop(rounds::One),
    /// Say what is done in every round
    Rule(rounds::Rule),
    /// Propose the most that circles and accounts can pay of invoices between members
    Members(members::Members),
    /// Ask members whether invoices of theirs may be paid so
    #[command(subcommand)]
    Proposal(proposals::Command),
    /// Clear what is owed in circles: nobody's net position changes
    Solve(Solve),
    /// Check that a certificate clears the most that can be cleared
    Verify(Verify),
}

/// The table of debts.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// A CSV with the columns debtor, creditor, amount
    file: PathBuf,
    /// How many decimals the unit has
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    decimals: u8,
    /// What stands between columns
    #[arg(long, default_value_t = ',', value_name = "CHAR", value_parser = separator)]
    separator: char,
    /// Go on without bad lines
    #[arg(long)]
    skip_bad: bool,
}

/// Clears what is owed in circles.
#[derive(Debug, Args)]
pub(crate) struct Solve {
    #[command(flatten)]
    input: Input,
    /// Write by how much each debt shrinks, as CSV
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the proof that no more can be cleared; as JSON when the name ends in .json
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
}

/// Checks a certificate.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    input: Input,
    /// The certificate
    certificate: PathBuf,
}

fn separator(text: &str) -> Result<char, String> {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii() && !letter.is_ascii_alphanumeric() && letter != '"' => {
            Ok(letter)
        }
        _ => Err("a separator is one character, such as ; or a tab".to_owned()),
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Preview(args) => rounds::preview(context, args).await,
        Command::Announce(args) => rounds::announce(context, args).await,
        Command::Show(args) => rounds::show(context, args).await,
        Command::Join(one) => rounds::act(context, one, "join").await,
        Command::Leave(one) => rounds::act(context, one, "leave").await,
        Command::Accept(one) => rounds::act(context, one, "accept").await,
        Command::Refuse(one) => rounds::act(context, one, "refuse").await,
        Command::Drop(one) => rounds::act(context, one, "drop").await,
        Command::Rule(args) => rounds::rule(context, args).await,
        Command::Members(args) => members::run(context, args).await,
        Command::Proposal(command) => proposals::run(context, command).await,
        Command::Solve(args) => solve(context, args).await,
        Command::Verify(args) => verify(context, args).await,
    }
}

/// The table, when it may be used.
fn read(context: &Context, input: &Input, refused: Exit) -> Result<(Table, Debts), Failure> {
    let table = table::read(context, &input.file, input.separator, input.decimals)?;
    refuse_bad(&table, &input.file, input.skip_bad, refused)?;
    let debts = Debts::new(&table.debts).map_err(|e| {
        let what = format!("the debts of {} cannot be netted", input.file.display());
        Failure::new(refused, "debts", what, "split the table").because(e)
    })?;
    Ok((table, debts))
}

/// Fails where a line is bad, unless that was allowed.
fn refuse_bad(table: &Table, file: &Path, skip_bad: bool, refused: Exit) -> Result<(), Failure> {
    if table.bad.is_empty() || skip_bad {
        return Ok(());
    }
    let (bad, lines) = (table.bad.len(), table.lines);
    let what = format!("{bad} of {lines} lines of {} are bad, so nothing was done", file.display());
    let named: Vec<String> = table.bad.iter().map(BadLine::to_string).collect();
    let advice = "correct them, or add --skip-bad to go on without them";
    Err(Failure::new(refused, "bad-lines", what, advice).because(named.join("\n       ")))
}

/// What was passed over, in words.
fn passed_over(table: &Table) -> Vec<String> {
    table.bad.iter().map(|bad| format!("passed over: {bad}")).collect()
}

async fn solve(context: &Context, args: Solve) -> Outcome {
    let (table, debts) = read(context, &args.input, Exit::Refused)?;
    let what = format!("clearing {} debts between {} parties", debts.arcs().len(), debts.parties().len());
    let work = tokio::task::spawn_blocking(move || {
        let certificate = Certificate::solve(&debts, &ALONE);
        // The solver's word counts for nothing, here as everywhere.
        let verified = certificate.verify(&debts);
        (debts, certificate, verified)
    });
    let (debts, certificate, verified) = progress::during(context, &what, work).await.map_err(|e| {
        let advice = "report this with the table";
        Failure::new(Exit::CouldNotCheck, "solver", "the solver stopped", advice).because(e)
    })?;
    verified.map_err(|e| {
        let advice = "nothing was written; report this with the table";
        Failure::new(Exit::CouldNotCheck, "solver", "the solver found a wrong result", advice).because(e)
    })?;
    let before_after = summary::Summary::new(&table, &debts, &certificate);
    if let Some(path) = &args.out {
        write_whole(path, &summary::reductions(&table, &debts, &certificate, args.input.decimals))?;
    }
    if let Some(path) = &args.certificate {
        write_whole(path, &proof::to_file(path, &certificate))?;
    }
    let decimals = args.input.decimals;
    let mut json = before_after.json();
    json["lines"] = json!(table.lines);
    json["bad"] = table.bad.iter().take(MAX_BAD_IN_JSON).map(BadLine::json).collect();
    json["bad_lines"] = json!(table.bad.len());
    let mut report = Report::new(before_after.text(decimals, context.colour), &json, "weft.netting-solved/1");
    for note in passed_over(&table) {
        report = report.noting(note);
    }
    for (path, is) in [(&args.out, "The reductions are in"), (&args.certificate, "The certificate is in")] {
        if let Some(path) = path {
            report = report.noting(format!("{is} {}.", path.display()));
        }
    }
    Ok(report)
}

async fn verify(context: &Context, args: Verify) -> Outcome {
    let (table, debts) = read(context, &args.input, Exit::CouldNotCheck)?;
    let shown = clean(&args.certificate.display().to_string());
    let found = |e: FileError| {
        let what =
            format!("{shown} does not prove the most that can be cleared of {}", args.input.file.display());
        let advice =
            "ask for a certificate of exactly this table, or solve it yourself with `weft netting solve`";
        Failure::new(Exit::Found, e.rule(), what, advice).because(e)
    };
    let certificate = proof::from_file(&args.certificate, &debts)?.map_err(found)?;
    let work = tokio::task::spawn_blocking(move || {
        let verified = certificate.verify(&debts);
        (debts, certificate, verified)
    });
    let (debts, certificate, verified) = progress::during(context, "checking", work).await.map_err(|e| {
        let what = "the check stopped";
        Failure::new(Exit::CouldNotCheck, "verifier", what, "report this with the table").because(e)
    })?;
    verified.map_err(found)?;
    let before_after = summary::Summary::new(&table, &debts, &certificate);
    let text = format!(
        "{}\nThe certificate holds: no more can be cleared, by anybody.",
        before_after.text(args.input.decimals, context.colour)
    );
    let mut report = Report::new(text, &before_after.json(), "weft.netting-verified/1");
    for note in passed_over(&table) {
        report = report.noting(note);
    }
    Ok(report)
}

/// Writes a file, whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let written = std::fs::write(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, path));
    written.map_err(|e| {
        let what = format!("{} cannot be written", path.display());
        let advice = "choose a file in a folder that you may write to";
        Failure::new(Exit::BadConfiguration, "unwritable-file", what, advice).because(e)
    })
}

#[cfg(test)]
mod tests;
