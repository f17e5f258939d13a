//! `weft-tests hostile`

use super::{end, say};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use weft_node::data::DataDir;
use weft_node::network::{Multiaddr, PeerId};
use weft_tests::hostile::{self, Found, Options};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each measurement takes
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Pairs of measurements, one calm and one attacked
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Attacker {
    /// The data folder of a stopped network that is a peer of the target
    #[arg(long)]
    data: PathBuf,
    /// Identity of the target
    #[arg(long)]
    to: PeerId,
    /// Address of the target
    #[arg(long)]
    at: Multiaddr,
    /// How long
    #[arg(long)]
    millis: u64,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (time, rounds) = (Duration::from_secs(arguments.seconds), arguments.rounds);
    end(async {
        let options = Options { time, rounds, pin: true, program: std::env::current_exe()? };
        let found = hostile::run(&options, &mut |line| say(&line)).await?;
        let (calm, attacked) = (Found::median(&found.calm), Found::median(&found.attacked));
        let percent = (attacked * 100).checked_div(calm).unwrap_or_default();
        let pinned =
            if found.pinned { "honest side and attacker on one core each" } else { "processes not pinned" };
        say(&format!(
            "median of {rounds}: {} payments/s calm, {} attacked: {percent} %; {pinned}",
            calm / arguments.seconds.max(1),
            attacked / arguments.seconds.max(1)
        ));
        say(&format!(
            "peak memory of the attacked node {} MiB; panics {}",
            found.peak_kib / 1_024,
            found.panics
        ));
        Ok(())
    })
}

pub(crate) fn attack(arguments: &Attacker) -> ExitCode {
    end(async {
        let (data, time) = (DataDir::new(&arguments.data), Duration::from_millis(arguments.millis));
        let tally = hostile::attacker::attack(&data, arguments.to, arguments.at.clone(), time).await?;
        say(&tally.text());
        Ok(())
    })
}
