//! `weft-tests`: long runs that are started by hand (`cargo run -p weft-tests --release -- COMMAND`), and the programs
//! that other tests start.

mod commands;

use clap::{Parser, Subcommand};
use commands::{
    catchup, corruptions, crossing, federation, hostile, kills, memory, model, netting, powerloss, rebuild,
    records, round, simulator,
};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(about = "Long runs of Weft's whole-system tests")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Seeded networks of the pure claim machine: loss, crashes and liars
    Simulator(simulator::Arguments),
    /// Every way that small worlds of the claim machine can go
    Model(model::Arguments),
    /// How fast a node takes in what was written while it was away
    Catchup(catchup::Arguments),
    /// What a payment to another network costs beside what it is made of
    Crossing(crossing::Arguments),
    /// The other process of `crossing`
    #[command(hide = true)]
    CrossingAnswer,
    /// Networks pay each other over several hops while the wire is bad and nodes are killed
    Federation(federation::Arguments),
    /// Kill nodes at random moments while two networks pay each other
    Kills(kills::Arguments),
    /// A hostile peer at full speed beside two networks that pay each other
    Hostile(hostile::Arguments),
    /// The hostile peer of `hostile`
    #[command(hide = true)]
    HostileAttacker(hostile::Attacker),
    /// What a node with a large ledger and silent peers holds in memory
    Memory(memory::Arguments),
    /// The node of `memory`
    #[command(hide = true)]
    MemoryHere(memory::Here),
    /// Bundles corrupted at random, judged by two auditors
    Corruptions(corruptions::Arguments),
    /// Random graphs of debts, solved in every way there is
    Netting(netting::Arguments),
    /// Run a node in this process and pay it, for tests/powerloss.py
    PowerlossWorker(powerloss::Worker),
    /// Check what a power loss has left, for tests/powerloss.py
    PowerlossVerify(powerloss::Verify),
    /// Run a file of real payments between nodes, and search their traffic for names and memos
    Records(records::Arguments),
    /// One netting round over real nodes whose positions are those of real records, and again from their ledgers
    Round(round::Arguments),
    /// Make a large ledger, delete its index, and measure how it is made anew
    Rebuild(rebuild::Arguments),
    /// The measured half of `rebuild`
    #[command(hide = true)]
    RebuildHere(rebuild::Here),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Simulator(arguments) => simulator::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Catchup(arguments) => catchup::run(&arguments),
        Command::Crossing(arguments) => crossing::run(&arguments),
        Command::CrossingAnswer => crossing::answer(),
        Command::Federation(arguments) => federation::run(&arguments),
        Command::Kills(arguments) => kills::run(&arguments),
        Command::Hostile(arguments) => hostile::run(&arguments),
        Command::HostileAttacker(arguments) => hostile::attack(&arguments),
        Command::Memory(arguments) => memory::run(&arguments),
        Command::MemoryHere(arguments) => memory::here(&arguments),
        Command::Corruptions(arguments) => corruptions::run(&arguments),
        Command::Netting(arguments) => netting::run(&arguments),
        Command::PowerlossWorker(arguments) => powerloss::work(&arguments),
        Command::PowerlossVerify(arguments) => powerloss::verify(&arguments),
        Command::Records(arguments) => records::run(&arguments),
        Command::Round(arguments) => round::run(&arguments),
        Command::Rebuild(arguments) => rebuild::run(&arguments),
        Command::RebuildHere(arguments) => rebuild::here(&arguments),
    }
}
