//! `weft-tests crossing`

use super::{end, say};
use std::process::ExitCode;
use weft_tests::crossing;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Payments for each row
    #[arg(long, default_value_t = 2_000)]
    payments: usize,
    /// Payments under way at once, a row each
    #[arg(long, value_delimiter = ',', default_value = "1,16,64", value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: Vec<u16>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = crossing::Options {
        payments: arguments.payments,
        in_flight: arguments.in_flight.iter().copied().map(usize::from).collect(),
    };
    say(&format!("{:<28} {:>9} {:>10} {:>10} {:>9}", "", "in flight", "p50 us", "p99 us", "per s"));
    end(async {
        crossing::run(&options, &mut |row| {
            let (half, most) = (row.percentile(50), row.percentile(99));
            say(&format!("{:<28} {:>9} {half:>10} {most:>10} {:>9}", row.what, row.in_flight, row.rate()));
        })
        .await
    })
}

pub(crate) fn answer() -> ExitCode {
    end(crossing::bare::answer(&say))
}
