//! `weft-tests memory`

use super::{end, say};
use std::path::PathBuf;
use std::process::ExitCode;
use weft_tests::{memory, rebuild};

/// Milliseconds between two entries.
const TICK_MS: u64 = 60_000;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Size of the ledger
    #[arg(long, default_value_t = 100_000)]
    entries: u64,
    /// Silent peers, in one run each
    #[arg(long, value_delimiter = ',', default_value = "1,50,200")]
    peers: Vec<u32>,
    /// Where the node listens
    #[arg(long, default_value = "/ip4/127.0.0.1/tcp/0")]
    listen: String,
    /// Where to make the ledger and leave it; a ledger that is there already is used. A temporary folder when absent
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Here {
    /// The data folder
    data: PathBuf,
    /// Peers that are known
    #[arg(long)]
    peers: u32,
    /// Where to listen
    #[arg(long)]
    listen: String,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    end(async {
        let folder = tempfile::Builder::new().prefix("weft-memory-").tempdir()?;
        let data = arguments.data.clone().unwrap_or_else(|| folder.path().join("node"));
        if !data.exists() {
            rebuild::make_ledger(&data, arguments.entries, TICK_MS)?;
        }
        let program = std::env::current_exe()?;
        // The first start makes the index; what it takes is not what a node holds.
        memory::measure(&program, &data, 0, &arguments.listen).await?;
        for peers in &arguments.peers {
            let held = memory::measure(&program, &data, *peers, &arguments.listen).await?;
            say(&format!(
                "{} entries, {peers} idle peers: {} MiB resident ({} MiB of it no file), {} MiB at most since the start",
                arguments.entries,
                held.resident_kib / 1_024,
                held.anonymous_kib / 1_024,
                held.peak_kib / 1_024
            ));
        }
        Ok(())
    })
}

pub(crate) fn here(arguments: &Here) -> ExitCode {
    end(memory::serve(&arguments.data, arguments.peers, &arguments.listen, &mut |line| say(line)))
}
