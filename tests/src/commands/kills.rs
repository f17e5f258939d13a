//! `weft-tests kills`

use super::{end, say};
use std::process::ExitCode;
use weft_node::clock::Clock;
use weft_tests::kills;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Kills
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// Chooses payments, victims and moments; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Let the nodes answer before they write: the run must fail
    #[arg(long)]
    ack_early: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(Clock.random())));
    let options = kills::Options { rounds: arguments.rounds, seed, ack_early: arguments.ack_early };
    say(&format!("{} kills, seed {seed}", options.rounds));
    end(async {
        let tally = kills::run(&options, &mut |line| say(&line)).await?;
        say(&format!(
            "{} kills: {} payments acknowledged ({} between the networks, {} of these freed), none lost or doubled; \
             {} requests repeated; {} entries, audits clean",
            tally.rounds, tally.acknowledged, tally.between, tally.freed, tally.repeated, tally.entries
        ));
        Ok(())
    })
}
