//! `simulator`: many seeds of each topology, on all cores; a line for each, and the seeds that broke something.

use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;
use weft_tests::simulator::round::every_crash;
use weft_tests::simulator::{Topology, run as simulate};

/// What to simulate.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Seeds of each topology.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Only this topology: pair, three, four, lying-end, lying-middle, lying-second, web, lying-web, …
    #[arg(long, value_parser = Topology::parse)]
    only: Option<Topology>,
}

/// Runs them; fails when a seed broke something or the result cannot be printed.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut good = true;
    for topology in Topology::ALL.into_iter().filter(|t| arguments.only.is_none_or(|only| only == *t)) {
        let report = simulate(topology, arguments.seeds, arguments.first);
        let printed = writeln!(io::stdout(), "{report}").is_ok();
        good &= printed && report.failures.is_empty();
    }
    if arguments.only.is_none_or(|only| only == Topology::Round) {
        let crashes = every_crash(3, arguments.first);
        let line = match &crashes {
            Ok(tried) => format!("round: {tried}: ok"),
            Err(violation) => format!("round: a crash: FAILED: {violation}"),
        };
        good &= writeln!(io::stdout(), "{line}").is_ok() && crashes.is_ok();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
