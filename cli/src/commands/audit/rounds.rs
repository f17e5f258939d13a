//! `weft audit rounds`: netting rounds run again from the ledgers given, by nobody's word.

use super::{Exit, Outcome, Report, exit_of, one, side};
use crate::context::Context;
use crate::progress::Counter;
use std::path::PathBuf;
use weft_audit::{AuditOutcome, rounds_json, rounds_text};
use weft_protocol::audit::rounds::rerun;

/// Most ledgers at a time: each is held in memory.
const MAX_LEDGERS: usize = 256;

/// The ledgers.
#[derive(Debug, clap::Args)]
pub(crate) struct Rounds {
    /// Bundles or data folders, of as many of the networks as there are
    #[arg(required = true, num_args = 1..=MAX_LEDGERS)]
    ledgers: Vec<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Rounds) -> Outcome {
    let mut counter = Counter::new(context, "checking entries");
    let audits: Result<Vec<AuditOutcome>, _> =
        args.ledgers.iter().map(|path| one(path, &mut counter)).collect();
    let audits = audits?;
    drop(counter);
    let rerun = rerun(&audits.iter().map(|outcome| &outcome.audit).collect::<Vec<_>>());
    let sides: Vec<String> =
        args.ledgers.iter().zip(&audits).map(|(path, audit)| side(path, audit)).collect();
    let text = format!("{}{}", sides.concat(), rounds_text(&rerun));
    let codes = audits.iter().map(|audit| audit.exit_code);
    let codes: Vec<u8> = codes.chain([rerun.findings.outcome().exit_code()]).collect();
    // A ledger that is wrong by itself makes the whole wrong.
    let exit = if codes.contains(&(Exit::Found as u8)) {
        Exit::Found
    } else {
        exit_of(codes.into_iter().max().unwrap_or(0))
    };
    Ok(Report { json: rounds_json(&rerun), ..super::report(text, exit) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;

    #[test]
    fn where_there_is_no_ledger_no_round_can_be_run_again() {
        let context =
            Context::plain(Globals { data: "/nowhere".into(), url: None, token_file: None, json: false });
        let folder = tempfile::tempdir().unwrap();
        let missing = Rounds { ledgers: vec![folder.path().join("missing")] };
        assert_eq!(run(&context, &missing).unwrap_err().exit, Exit::CouldNotCheck);
        let empty = Rounds { ledgers: vec![folder.path().to_path_buf()] };
        let report = run(&context, &empty).unwrap();
        assert_eq!(report.json["schema"], "weft.audit-rounds/1");
        assert_ne!(report.exit, Exit::Fine);
    }
}
