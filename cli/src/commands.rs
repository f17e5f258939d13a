//! One file for each group of commands: its options, what it asks the node, and all of its texts.

pub(crate) mod audit;
pub(crate) mod cancel;
pub(crate) mod claims;
pub(crate) mod dispute;
pub(crate) mod forward;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod member;
pub(crate) mod netting;
pub(crate) mod pay;
pub(crate) mod peer;
pub(crate) mod receipt;
pub(crate) mod rule;
pub(crate) mod statement;
pub(crate) mod status;
pub(crate) mod succession;
pub(crate) mod time;
pub(crate) mod unit;

use crate::args::Command;
use crate::context::Context;
use crate::outcome::Outcome;

/// Runs one command.
pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Status => status::run(context).await,
        Command::ConfirmTime(confirm) => time::run(context, confirm).await,
        Command::Member(command) => member::run(context, command).await,
        Command::Pay(pay) => pay::run(context, pay).await,
        Command::Statement(statement) => statement::run(context, statement).await,
        Command::Receipt(receipt) => receipt::run(context, receipt).await,
        Command::Claims(claims) => claims::run(context, claims).await,
        Command::Dispute(command) => dispute::run(context, command).await,
        Command::Cancel(cancel) => cancel::run(context, cancel).await,
        Command::Peer(command) => peer::run(context, command).await,
        Command::Key(command) => key::run(context, command).await,
        Command::Rule(command) => rule::run(context, command).await,
        Command::Unit(command) => unit::run(context, command).await,
        Command::Forward(args) => forward::run(context, args).await,
        Command::Import(command) => import::run(context, command).await,
        Command::Succession(args) => succession::run(context, args).await,
        Command::Netting(command) => netting::run(context, command).await,
        Command::Audit(command) => audit::run(context, command),
    }
}
