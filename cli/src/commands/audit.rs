//! `weft audit verify|bundle|compare`: checks a ledger from its files alone; no node is asked.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Audits.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a bundle, or the data folder of a stopped or running node
    Verify(Verify),
    /// Write what an auditor needs from a data folder into a new folder
    Bundle(Bundle),
    /// Compare what two networks say of each other
    Compare(Compare),
}

/// Checks a bundle, or a data folder.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A bundle
    #[arg(required_unless_present = "store", conflicts_with = "store")]
    dir: Option<PathBuf>,
    /// A node's data folder
    #[arg(long, value_name = "DATA")]
    store: Option<PathBuf>,
}

/// Writes a bundle.
#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// A node's data folder
    #[arg(long, value_name = "DATA")]
    store: PathBuf,
    /// The new folder
    out: PathBuf,
}

/// Compares two networks.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Bundle or data folder of one
    a: PathBuf,
    /// Bundle or data folder of the other
    b: PathBuf,
}

pub(crate) fn run(_context: &Context, _command: Command) -> Outcome {
    let what = "this version of the program cannot audit yet";
    Err(Failure::new(Exit::CouldNotCheck, "no-auditor", what, "use a later version"))
}
