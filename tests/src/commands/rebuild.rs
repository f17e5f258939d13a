//! `weft-tests rebuild`

use super::{end, say};
use std::path::PathBuf;
use std::process::ExitCode;
use weft_tests::rebuild;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Size of the ledger
    #[arg(long, default_value_t = 100_000)]
    entries: u64,
    /// Milliseconds between two entries
    #[arg(long, default_value_t = 60_000)]
    tick_ms: u64,
    /// Where to make the ledger and leave it; a ledger that is there already is used. A temporary folder when absent
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Here {
    /// The data folder, without an index
    data: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    end(async {
        let folder = tempfile::Builder::new().prefix("weft-rebuild-").tempdir()?;
        let data = arguments.data.clone().unwrap_or_else(|| folder.path().join("node"));
        if !data.exists() {
            rebuild::make_ledger(&data, arguments.entries, arguments.tick_ms)?;
        }
        rebuild::delete_index(&data)?;
        let program = std::env::current_exe()?;
        let status = tokio::process::Command::new(program).arg("rebuild-here").arg(&data).status().await?;
        if status.success() { Ok(()) } else { Err(weft_tests::kit::Failure::new("the rebuild failed")) }
    })
}

pub(crate) fn here(arguments: &Here) -> ExitCode {
    end(async {
        let cost = rebuild::rebuild(&arguments.data)?;
        say(&format!(
            "{} entries: index rebuilt in {}.{:02} CPU s, {} MiB peak memory, index {} MiB, segments {} MiB",
            cost.entries,
            cost.cpu_centis / 100,
            cost.cpu_centis % 100,
            cost.peak_kib / 1024,
            cost.index_bytes >> 20,
            cost.segment_bytes >> 20
        ));
        Ok(())
    })
}
