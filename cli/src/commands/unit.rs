//! `weft unit add`: defines what is counted, signed with the root key.

use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Outcome, Report, clean};
use crate::roots::{self, Carried, RootSigning};
use crate::sign;
use clap::{Args, Subcommand, ValueEnum};
use weft_api::{Done, Status};
use weft_protocol::entry::Payload;
use weft_protocol::ids::UnitId;
use weft_protocol::ledger::units::{MAX_SCALE, UnitDefined, UnitKind};

/// Decimals of credit when nothing else is said: those of most currencies.
const CREDIT_SCALE: u8 = 2;

/// Units.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Define a unit
    Add(Add),
}

/// Defines a unit.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Short code: a-z, 0-9 and `-`, such as `hour`
    code: String,
    /// The name people read
    name: String,
    /// What it measures
    #[arg(long)]
    kind: Measures,
    /// Decimals; 0 for time, which is counted in minutes, and 2 for credit when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_SCALE)))]
    scale: Option<u8>,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measures {
    /// Time, counted in minutes
    Time,
    /// Credit with a price
    Credit,
}

fn added(add: &Add, done: &Done) -> String {
    format!("This network counts {} now. Receipt code {} (entry {}).", clean(&add.code), done.leaf, done.seq)
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let Command::Add(add) = command;
    let client = context.client()?;
    let status = client.status().await?;
    let op_id = sign::op_id(add.op_id.op_id);
    let payload = Payload::UnitDefined(defined(&status, &add));
    match roots::carry_out(&client, &status, &add.roots, op_id, payload, Vec::new()).await? {
        Carried::Done(done) => Ok(Report::new(added(&add, &done), &done, "weft.done/1")),
        Carried::Requested(report) => Ok(report),
    }
}

fn defined(status: &Status, add: &Add) -> UnitDefined {
    let (kind, scale) = match add.kind {
        Measures::Time => (UnitKind::Time, 0),
        Measures::Credit => (UnitKind::Credit, CREDIT_SCALE),
    };
    let last = status.units.iter().map(|unit| unit.unit).max().unwrap_or(0);
    UnitDefined {
        // Should all numbers be used, the node refuses the last one as taken.
        unit: UnitId(last.saturating_add(1)),
        code: add.code.clone(),
        name: add.name.clone(),
        kind,
        scale: add.scale.unwrap_or(scale),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::status;

    #[test]
    fn a_unit_gets_the_next_number_and_the_decimals_of_its_kind() {
        let add = Add {
            code: "hour".into(),
            name: "Hour".into(),
            kind: Measures::Time,
            scale: None,
            roots: RootSigning::here(std::path::PathBuf::new()),
            op_id: OpIdOption { op_id: None },
        };
        let unit = defined(&status(), &add);
        assert_eq!((unit.unit, unit.scale, unit.kind), (UnitId(2), 0, UnitKind::Time));
        let credit = defined(&status(), &Add { kind: Measures::Credit, ..add });
        assert_eq!(credit.scale, 2);
    }
}
