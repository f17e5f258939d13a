//! `weft-tests records`

use super::{end, say};
use std::path::PathBuf;
use std::process::ExitCode;
use weft_tests::records;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Payments as time_s,from,to,amount_cents; the sample when absent
    #[arg(long)]
    file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    end(async {
        let cost = records::run(arguments.file.as_deref(), &say).await?;
        say(&format!(
            "{} networks: {} payments inside, {} between, {} refused; {} entries, {} bytes of segments",
            cost.networks, cost.local, cost.between, cost.refused, cost.entries, cost.ledger_bytes
        ));
        say(&format!(
            "{} ms; peak memory of one node {} KiB, of all together {} KiB",
            cost.elapsed_ms, cost.peak_kib, cost.peaks_kib
        ));
        say(&format!(
            "{} bytes of frames searched for {} names and memos, as text and as hex: none found",
            cost.frame_bytes, cost.needles
        ));
        Ok(())
    })
}
