//! `weft`: the command line of a running node.
//!
//! Results go to stdout, everything else to stderr; the exit status says what kind of end it was ([`outcome::Exit`]).
//! The program links neither the node nor its network: it asks the node over its socket, or reads files.

mod args;
mod commands;
mod context;
mod keyfile;
mod outcome;
mod progress;
mod roots;
mod say;
mod sign;
mod system;
mod table;
#[cfg(test)]
mod testing;

use clap::Parser;
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = args::Cli::parse();
    let context = context::Context::new(args.globals);
    let outcome = commands::run(&context, args.command).await;
    outcome::print(&context, outcome)
}
