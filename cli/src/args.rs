//! What can be typed: the options of every command, and the list of commands.
//!
//! No option takes a secret as its value; keys and tokens are files or the environment.

use crate::commands::{
    audit, cancel, claims, dispute, forward, import, key, member, netting, pay, peer, receipt, rule,
    statement, succession, time, unit,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use weft_protocol::ids::OpId;

/// The command line of a running node: accounts, payments, peers, audits.
#[derive(Debug, Parser)]
#[command(name = "weft", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command knows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Globals {
    /// The node's data folder; its socket is `weftd.sock` in it
    #[arg(long, global = true, value_name = "DIR", env = "WEFT_DATA", default_value = "./weft-data")]
    pub(crate) data: PathBuf,
    /// The node's address on this machine instead of its socket; the token is $WEFT_TOKEN or --token-file
    #[arg(long, global = true, value_name = "http://127.0.0.1:PORT")]
    pub(crate) url: Option<String>,
    /// A file that holds the token for --url
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Print the result as JSON that names its schema
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The node at a glance
    Status,
    /// Say that the node's clock is right, when it waits for that
    ConfirmTime(time::ConfirmTime),
    /// Add and list members
    #[command(subcommand)]
    Member(member::Command),
    /// Pay somebody here, or `name@network`
    Pay(pay::Pay),
    /// What went in and out of an account, newest first
    Statement(statement::Statement),
    /// The receipt of an entry, and its proof
    Receipt(receipt::Receipt),
    /// Payments between networks that are not final
    Claims(claims::Claims),
    /// Ask for a payment to another network back
    Cancel(cancel::Cancel),
    /// Close a hop of a payment that nothing closes any more, signed by both root sets
    #[command(subcommand)]
    Dispute(dispute::Command),
    /// Other networks: invite, join, confirm, list, show
    #[command(subcommand)]
    Peer(peer::Command),
    /// Key files: make and show them, as words on paper and back
    #[command(subcommand)]
    Key(key::Command),
    /// Set rules, signed with the root key
    #[command(subcommand)]
    Rule(rule::Command),
    /// Define what is counted, signed with the root key
    #[command(subcommand)]
    Unit(unit::Command),
    /// Take over payments from a file
    #[command(subcommand)]
    Import(import::Command),
    /// Sign the books as they stand, so that what is before may be left out one day
    Forward(forward::Forward),
    /// Let the ledger go on without entries that nobody can give back
    Succession(succession::Succession),
    /// Clear what is owed in circles, from a table of debts
    #[command(subcommand)]
    Netting(netting::Command),
    /// Check a ledger from its files alone
    #[command(subcommand)]
    Audit(audit::Command),
}

/// The id that makes an operation happen at most once.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OpIdOption {
    /// Id of the operation: give the same again to repeat a command whose answer was lost
    #[arg(long, value_name = "UUID", value_parser = parse_op_id)]
    pub(crate) op_id: Option<OpId>,
}

fn parse_op_id(text: &str) -> Result<OpId, String> {
    let bare: String = text.chars().filter(|c| *c != '-').collect();
    bare.parse().map_err(|_| "an operation id is a UUID or 32 hex digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_parses() {
        for line in [
            "weft status --json",
            "weft --data /x member add Ada",
            "weft confirm-time --yes",
            "weft member add Ada --key-file k --organisation",
            "weft member list --url http://127.0.0.1:1 --token-file t",
            "weft member erase Ada --reason retention --confirm Ada",
            "weft pay Ada Bo 12.5",
            "weft pay Ada Bo@lansing 12.5 --unit credit --memo soup --when 2024-02-29 --wait 0 --expires 60 --key k \
             --op-id 00000000-0000-0000-0000-000000000001",
            "weft statement Ada --limit 5",
            "weft receipt 12 --proof p",
            "weft claims --all",
            "weft cancel abcdef0123",
            "weft dispute draft abcdef0123 --outcome free --peer lansing --part 1 --request r --good-for 3",
            "weft peer invite --unit credit --they-may-owe 100 --we-may-owe 50 --relay --expires 60",
            "weft peer join weft-invite:abc --unit credit --alias hull --root-key k --words a",
            "weft peer confirm 3 --root-key k",
            "weft peer list",
            "weft peer show hull",
            "weft peer write-off hull --root-key k",
            "weft key new k",
            "weft key show k --recovery",
            "weft key words k",
            "weft key from-words k",
            "weft key roots",
            "weft key rotate log --root-key k",
            "weft key revoke desk --last-good checkpoint --request r",
            "weft key change-roots --threshold 1 --root-key k \
             --key 0101010101010101010101010101010101010101010101010101010101010101",
            "weft key sign r.weft-request --key k --out s --yes",
            "weft key submit r.weft-request a.weft-signature b.weft-signature",
            "weft rule limit --unit credit --all-members --stop 100 --root-key k --root-key l",
            "weft rule limit --unit credit --all-members --stop 100 --request r.weft-request --good-for 30",
            "weft peer confirm 3 --request r.weft-request",
            "weft rule limit --unit credit --all-members --stop 100 --root-key k",
            "weft rule limit --unit credit --member Ada --warn 5 --stop 10 --firm 20 --root-key k",
            "weft unit add credit Credit --kind credit --scale 2 --root-key k",
            "weft forward",
            "weft succession --lose 3 --root-key k",
            "weft import payments f.csv --dry-run --skip-bad",
            "weft netting solve f.csv --out r.csv --certificate c --decimals 0 --separator ; --skip-bad",
            "weft netting verify f.csv c",
        ] {
            if let Err(e) = parse(line) {
                panic!("{line}: {e}");
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        for line in [
            "weft",
            "weft pay Ada Bo",
            "weft pay Ada Bo 1 --op-id 12",
            "weft pay Ada Bo 1 --when 2023-02-29",
            "weft pay Ada Bo 1 --token secret",
            "weft member add Ada --key-file k --public-key 00",
            "weft rule limit --unit credit --stop 1 --root-key k",
            "weft rule limit --unit credit --stop 1 --all-members",
            "weft rule limit --unit credit --stop 1 --all-members --request r --good-for 35",
            "weft key submit r",
            "weft rule limit --unit credit --stop 1 --root-key k --all-members --member Ada",
            "weft rule limit --unit credit --all-members --root-key k",
            "weft peer invite --unit credit",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn an_operation_id_may_be_written_as_a_uuid() {
        let id = parse_op_id("0123ABCD-0123-0123-0123-0123456789ab").unwrap();
        assert_eq!(id.to_string(), "0123abcd0123012301230123456789ab");
        assert!(parse_op_id("").is_err());
    }
}
