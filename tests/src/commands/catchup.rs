//! `weft-tests catchup`

use super::{end, say};
use std::process::ExitCode;
use weft_tests::catchup::{self, Figures, Options};

/// The mix of a month: networks tell what their accords let pass at most every ten minutes, so two dozen accords say a
/// hundred thousand things in a month; open payments to one network are bounded by its limits and its patience.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Public entries of further networks that wait for the node that is away
    #[arg(long, default_value_t = 95_000)]
    public: u64,
    /// Entries of the channel with its peer that wait
    #[arg(long, default_value_t = 5_000)]
    channel: u64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = Options { public: arguments.public, channel: arguments.channel };
    end(async { catchup::run(&options, &say, &mut |figures| say(&line(figures))).await })
}

fn line(figures: &Figures) -> String {
    let entries = u128::from(figures.public + figures.channel);
    let (taken, verified) =
        (entries * 1_000 / figures.taken_ms.max(1), entries * 1_000_000 / figures.verify_us.max(1));
    let hundredths = taken * 100 / verified.max(1);
    format!(
        "{} public entries and {} of a channel taken in {} ms ({taken} per s) and all payments ended {} ms later; their \
         signatures verify at {verified} per s on one core: {}.{:02} of that; peak memory {} KiB",
        figures.public,
        figures.channel,
        figures.taken_ms,
        figures.ended_ms,
        hundredths / 100,
        hundredths % 100,
        figures.peak_kib
    )
}
