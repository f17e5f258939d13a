//! `weft-tests powerloss-worker` and `powerloss-verify`: the two programs that `tests/powerloss.py` runs.

use super::{end, say};
use std::path::PathBuf;
use std::process::ExitCode;
use weft_tests::powerloss;

#[derive(Debug, clap::Args)]
pub(crate) struct Worker {
    /// The data folder
    data: PathBuf,
    /// Never sync: acknowledged payments must get lost
    #[arg(long)]
    skip_sync: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    /// The data folder
    data: PathBuf,
    /// The highest place that was acknowledged; 0 when nothing was
    acked: u64,
}

pub(crate) fn work(arguments: &Worker) -> ExitCode {
    end(powerloss::work(&arguments.data, arguments.skip_sync, |seq| say(&seq.to_string())))
}

pub(crate) fn verify(arguments: &Verify) -> ExitCode {
    end(async { powerloss::verify(&arguments.data, arguments.acked) })
}
