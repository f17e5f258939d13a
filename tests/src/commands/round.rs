//! `weft-tests round`

use super::{end, say};
use std::process::ExitCode;
use weft_protocol::amount::format_decimal;
use weft_tests::rounds::{Told, net, of_the_records};

/// Decimals of the records.
const SCALE: u8 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How many networks of tests/data/positions.csv, the first by name
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(3..=10))]
    networks: u8,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    end(async {
        let told = of_the_records(usize::from(arguments.networks), &say).await?;
        print(&told);
        Ok(())
    })
}

fn print(told: &Told) {
    let show = |minor: i64| format_decimal(minor, SCALE);
    say("debtor  creditor       before        after");
    for ((debtor, creditor), before) in &told.before {
        let (one, other, after) =
            (&told.names[*debtor], &told.names[*creditor], told.after[&(*debtor, *creditor)]);
        say(&format!("{one:<7} {other:<8} {:>12} {:>12}", show(*before), show(after)));
    }
    say("network   net, before   net, after");
    for (place, name) in told.names.iter().enumerate() {
        let (before, after) = (net(&told.before, place), net(&told.after, place));
        say(&format!("{name:<7} {:>13} {:>12}", show(before), show(after)));
    }
    let owed: i64 = told.before.values().sum();
    say(&format!(
        "of {} owed {} are cleared; the most that can be: {}",
        show(owed),
        show(told.cleared),
        show(told.optimum)
    ));
    say(&format!(
        "every ledger audits clean, alone and against those it has channels with; {} ends are booked",
        told.ends
    ));
    say(&format!("again from the ledgers: {} were cleared, solved anew {}", told.again.0, told.again.1));
}
