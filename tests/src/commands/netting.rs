//! `netting`: random graphs of debts, each solved in every way there is.

use clap::Args;
use std::process::ExitCode;
use weft_tests::netting::oracle::{Tally, compare};

/// How many graphs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many graphs.
    #[arg(long, default_value_t = 10_000)]
    graphs: u64,
    /// The number of the first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Decides every graph.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Compares; fails at the first difference.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments.first, arguments.graphs, arguments.seed) {
        Ok(tally) => {
            let Tally { graphs, components, cleared, naive, largest } = tally;
            super::say(&format!(
                "{graphs} graphs, seed {}: {components} components, {cleared} with something to clear, the largest of {largest} edges; \
                 {naive} as the naive solver says, all the same from both beginnings and in another order",
                arguments.seed
            ));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            super::say(&format!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
    }
}
