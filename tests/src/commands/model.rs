//! `model`: searches every way that a small world can go; a line for each world, and the way to what broke.

use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use weft_tests::model::{Bounds, Scenario, run as search};

/// What to search.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this world.
    #[arg(long, value_parser = Scenario::parse)]
    only: Option<Scenario>,
    /// Seconds for each world; what is not searched by then is said.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How many cores.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// Searches them; fails when something broke or the result cannot be printed.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut good = true;
    let time = Duration::from_secs(arguments.seconds);
    let bounds = Bounds { time, steps: None, threads: arguments.threads };
    for scenario in Scenario::ALL.into_iter().filter(|s| arguments.only.is_none_or(|only| only == *s)) {
        let report = search(scenario, None, bounds);
        let printed = writeln!(io::stdout(), "{report}").is_ok();
        good &= printed && report.broken.is_none();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
