//! Commands as people run them, and what they say.

use super::{Failure, Outcome};
use crate::binaries::weft;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Goes on when something holds.
///
/// # Errors
/// What was expected, when it does not hold.
pub fn expect(what: &str, holds: bool) -> Outcome<()> {
    if holds { Ok(()) } else { Err(Failure::new(what)) }
}

/// Everything that a command has said.
pub fn output_text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Runs `weft` on a data folder, and gives its exit status and everything it said.
///
/// # Errors
/// When it does not start.
pub fn run_weft(data: &Path, arguments: &[&str]) -> Outcome<(i32, String)> {
    let mut command = Command::new(weft());
    let done = command.arg("--data").arg(data).args(arguments).stdin(Stdio::null()).output()?;
    Ok((done.status.code().unwrap_or(-1), output_text(&done)))
}

/// Runs `weft` on a data folder and expects it to go well. Gives everything it said.
///
/// # Errors
/// What it said, when it did not.
pub fn weft_well(data: &Path, arguments: &[&str]) -> Outcome<String> {
    let (status, said) = run_weft(data, arguments)?;
    expect(&format!("{}: {arguments:?}: {said}", data.display()), status == 0)?;
    Ok(said)
}
