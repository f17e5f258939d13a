//! Runs of the whole-system tests that take longer than CI may: `cargo run -p weft-tests --release -- COMMAND`.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod commands;

#[derive(Debug, Parser)]
#[command(about = "Long runs of Weft's whole-system tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seeded networks of the pure claim machine: loss, crashes and liars.
    Simulator(commands::simulator::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Simulator(arguments) => commands::simulator::run(&arguments),
    }
}
