//! `weft-tests catchup`

use super::{end, say};
use std::process::ExitCode;
use weft_tests::catchup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Entries that wait for the node that is away
    #[arg(long, default_value_t = 100_000)]
    entries: u64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    end(async {
        let figures = catchup::run(arguments.entries, &say).await?;
        let entries = u128::from(figures.entries);
        let (taken, verified) =
            (entries * 1_000 / figures.taken_ms.max(1), entries * 1_000_000 / figures.verify_us.max(1));
        say(&format!(
            "{entries} entries taken in {} ms ({taken} per s) and all payments ended {} ms later; \
             their signatures verify at {verified} per s: {}.{:02} of that; peak memory {} KiB",
            figures.taken_ms,
            figures.ended_ms,
            taken / verified.max(1),
            taken * 100 / verified.max(1) % 100,
            figures.peak_kib
        ));
        Ok(())
    })
}
