//! The commands of `weft-tests`: arguments in, lines out; the work is in the library.

pub(crate) mod catchup;
pub(crate) mod corruptions;
pub(crate) mod crossing;
pub(crate) mod federation;
pub(crate) mod hostile;
pub(crate) mod kills;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod netting;
pub(crate) mod powerloss;
pub(crate) mod rebuild;
pub(crate) mod records;
pub(crate) mod round;
pub(crate) mod simulator;

use std::process::ExitCode;
use weft_tests::kit::Outcome;

/// A line for people or programs that read along.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone; the work goes on.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs a scenario; a failure ends with status 1.
fn end(scenario: impl Future<Output = Outcome<()>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("the system can start threads");
    match runtime.block_on(scenario) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&format!("FAILED: {failure}"));
            ExitCode::FAILURE
        }
    }
}
