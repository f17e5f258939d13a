//! `weft rule limit`: how far balances may go, signed with the root key.
//!
//! A rule replaces the one before it for the same accounts and unit, on both sides of zero.

use super::member;
use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report};
use crate::roots::{self, Carried, RootSigning};
use crate::sign;
use clap::{ArgGroup, Args, Subcommand};
use weft_api::{Done, Unit};
use weft_protocol::amount::parse_decimal;
use weft_protocol::ceremony::NameHint;
use weft_protocol::entry::Payload;
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};

/// Rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set how far balances may go
    Limit(LimitArgs),
}

/// Sets how far balances may go. The levels stand for the distance from zero, in the unit; each is at least the one
/// before it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true))]
#[command(group = ArgGroup::new("levels").required(true).multiple(true))]
pub(crate) struct LimitArgs {
    /// Unit
    #[arg(long, value_name = "CODE")]
    unit: String,
    /// For one account: name or account id
    #[arg(long, value_name = "NAME", group = "whose")]
    member: Option<String>,
    /// For all accounts of persons
    #[arg(long, group = "whose")]
    all_members: bool,
    /// For all accounts of organisations
    #[arg(long, group = "whose")]
    all_organisations: bool,
    /// Below zero: beyond this people are told
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    warn: Option<String>,
    /// Below zero: beyond this a coordinator must lift the stop
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    stop: Option<String>,
    /// Below zero: beyond this nothing goes
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    firm: Option<String>,
    /// Above zero: beyond this people are told
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    above_warn: Option<String>,
    /// Above zero: beyond this a coordinator must lift the stop
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    above_stop: Option<String>,
    /// Above zero: beyond this nothing goes
    #[arg(long, value_name = "AMOUNT", group = "levels")]
    above_firm: Option<String>,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn set(whose: &str, unit: &Unit, done: &Done) -> String {
    format!("The limit of {whose} in {} is set. Receipt code {} (entry {}).", unit.code, done.leaf, done.seq)
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let Command::Limit(args) = command;
    let client = context.client()?;
    let status = client.status().await?;
    let unit = sign::unit(&status, Some(&args.unit))?;
    let (account, owner, whose) = match &args.member {
        Some(who) => (Some(member::find(&client, who).await?.account), None, who.as_str()),
        None if args.all_organisations => (None, Some(OwnerKind::Organisation), "all organisations"),
        None => (None, Some(OwnerKind::Member), "all members"),
    };
    let below = levels(unit, [&args.warn, &args.stop, &args.firm])?;
    let above = levels(unit, [&args.above_warn, &args.above_stop, &args.above_firm])?;
    let rule = Rule::Limit(LimitRule { unit: sign::unit_id(unit), account, owner, below, above });
    let payload = Payload::RuleSet(RuleSet { authority: sign::id(&status.genesis)?, rule });
    let op_id = sign::op_id(args.op_id.op_id);
    let names: Vec<NameHint> =
        account.map(|account| NameHint { account, name: whose.to_owned() }).into_iter().collect();
    match roots::carry_out(&client, &status, &args.roots, op_id, payload, names).await? {
        Carried::Done(done) => Ok(Report::new(set(whose, unit, &done), &done, "weft.done/1")),
        Carried::Requested(report) => Ok(report),
    }
}

/// Three levels in minor units; `None` when none is given, because an empty set of levels has no form.
fn levels(unit: &Unit, given: [&Option<String>; 3]) -> Result<Option<Levels>, Failure> {
    let level = |text: &Option<String>| text.as_deref().map(|text| minor(unit, text)).transpose();
    let [warn, stop, firm] = given;
    let levels = Levels { warn: level(warn)?, stop: level(stop)?, firm: level(firm)? };
    Ok(Some(levels).filter(|levels| *levels != Levels::default()))
}

/// A level in minor units. Unlike an amount it may be zero: nobody may go below.
fn minor(unit: &Unit, text: &str) -> Result<u64, Failure> {
    let zero = text.contains('0') && text.bytes().all(|b| b == b'0' || b == b'.');
    if zero {
        return Ok(0);
    }
    let amount = parse_decimal(text, unit.scale).map_err(|why| {
        Failure::new(Exit::Refused, "amount", "this level cannot be set", "correct it").because(why)
    })?;
    Ok(amount.minor().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyfile;
    use crate::testing::{FakeNode, status, with_root};
    use data_encoding::HEXLOWER;
    use weft_api::{PaymentState, PostOp};
    use weft_protocol::entry::{How, Role, SignedOp};
    use weft_protocol::ids::Hash;
    use weft_protocol::keys::SecretKey;

    #[tokio::test]
    async fn a_limit_is_a_rule_of_the_charter_signed_by_the_root_key() {
        let done = crate::commands::pay::tests::done(PaymentState::Done);
        let key = SecretKey::from_seed(&[8; 32]);
        let node = FakeNode::new()
            .answering("GET /api/v1/status", 200, &with_root(&key))
            .answering("POST /api/v1/ops", 201, &done)
            .start();
        let root_key = node.file("root");
        keyfile::write(&root_key, &key).unwrap();
        let args = LimitArgs {
            unit: "credit".into(),
            member: None,
            all_members: true,
            all_organisations: false,
            warn: Some("0".into()),
            stop: Some("100".into()),
            firm: None,
            above_warn: None,
            above_stop: None,
            above_firm: None,
            roots: RootSigning::here(root_key),
            op_id: OpIdOption { op_id: None },
        };
        let report = run(&node.context(), Command::Limit(args)).await.unwrap();
        assert!(report.text.starts_with("The limit of all members in credit is set."), "{}", report.text);
        let post: PostOp = serde_json::from_value(node.body_of("POST /api/v1/ops")).unwrap();
        let (signed, op) = SignedOp::parse(&HEXLOWER.decode(post.signed_op.as_bytes()).unwrap()).unwrap();
        let below = Some(Levels { warn: Some(0), stop: Some(10_000), firm: None });
        let unit = weft_protocol::ids::UnitId(1);
        let rule = Rule::Limit(LimitRule {
            unit,
            account: None,
            owner: Some(OwnerKind::Member),
            below,
            above: None,
        });
        assert_eq!(op.payload, Payload::RuleSet(RuleSet { authority: Hash([0x22; 32]), rule }));
        assert_eq!((signed.auth[0].role, signed.auth[0].how), (Role::Root, How::OwnKey));
        assert_eq!(signed.auth[0].signer, key.public().signer());
    }

    #[test]
    fn a_level_may_be_zero_but_not_less() {
        let unit = &status().units[0];
        assert_eq!(minor(unit, "0.00"), Ok(0));
        assert_eq!(minor(unit, "1.5"), Ok(150));
        for bad in ["-1", ".", "", "1.234", "x"] {
            assert!(minor(unit, bad).is_err(), "{bad}");
        }
    }
}
