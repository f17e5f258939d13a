//! `weft member add|list`: who has an account here.

use crate::args::OpIdOption;
use crate::context::Context;
use crate::keyfile;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::sign;
use crate::table::Table;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use weft_api::{Balance, Member, Members, NewMember, Owner};
use weft_client::Client;
use weft_protocol::ids::{AccountId, KeyBytes};
use weft_protocol::keys::PublicKey;

mod erase;

/// Members.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open an account
    Add(Add),
    /// List accounts and balances
    List,
    /// Destroy everything personal about a holder, for good; amounts stay under an account that is nobody's
    Erase(erase::Erase),
}

/// Opens an account.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name, unique in this network; it never enters the ledger
    name: String,
    /// The member's own key file: only this key will be able to pay from the account
    #[arg(long, value_name = "FILE", conflicts_with = "public_key")]
    key_file: Option<PathBuf>,
    /// The member's own public key, when the key file is elsewhere
    #[arg(long, value_name = "HEX", value_parser = parse_public_key)]
    public_key: Option<KeyBytes>,
    /// The account is a group's, not a person's
    #[arg(long)]
    organisation: bool,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn parse_public_key(text: &str) -> Result<KeyBytes, String> {
    let bytes: KeyBytes = text.parse().map_err(|e| format!("{e}"))?;
    PublicKey::new(&bytes).map(|key| key.bytes()).map_err(|e| e.to_string())
}

fn added(member: &Member) -> String {
    let name = member.name.as_deref().unwrap_or("The new member");
    let keys = if member.own_keys { "their own key signs for it" } else { "the desk acts for them" };
    format!("{} has account {} now; {keys}.", clean(name), member.account)
}

fn whose(member: &Member) -> &'static str {
    match member.owner {
        Owner::Member => "member",
        Owner::Organisation => "organisation",
        Owner::Commons => "commons",
    }
}

fn signs(member: &Member) -> &'static str {
    match (member.closed, member.own_keys) {
        (true, _) => "closed",
        (false, true) => "own key",
        (false, false) => "desk",
    }
}

/// Balances as one text.
pub(crate) fn balances(balances: &[Balance]) -> String {
    let one = |b: &Balance| format!("{} {}", b.amount, b.unit);
    if balances.is_empty() { "0".to_owned() } else { balances.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn listed(context: &Context, members: &Members) -> String {
    if members.members.is_empty() {
        return "No members yet: `weft member add NAME`.".to_owned();
    }
    let mut table = Table::new(&["Name", "Account", "Whose", "Signs", ">Balances"], context.colour);
    for member in &members.members {
        let name = member.name.clone().unwrap_or_else(|| "–".to_owned());
        let (whose, signs) = (whose(member).to_owned(), signs(member).to_owned());
        table.row([name, member.account.clone(), whose, signs, balances(&member.balances)]);
    }
    table.render()
}

pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let client = context.client()?;
    match command {
        Command::Add(add) => self::add(&client, add).await,
        Command::Erase(erase) => erase::run(context, &client, erase).await,
        Command::List => {
            let members = client.members(None).await?;
            Ok(Report::new(listed(context, &members), &members, "weft.members/1"))
        }
    }
}

async fn add(client: &Client, add: Add) -> Outcome {
    let key = match &add.key_file {
        Some(path) => Some(keyfile::read(path)?.public().bytes()),
        None => add.public_key,
    };
    let owner = add.organisation.then_some(Owner::Organisation);
    let member = NewMember { name: add.name, owner, key: key.map(|key| key.to_string()) };
    let op_id = sign::op_id(add.op_id.op_id).to_string();
    let member =
        client.add_member(&member, &op_id).await.map_err(|e| Failure::from(e).repeatable_with(&op_id))?;
    Ok(Report::new(added(&member), &member, "weft.member/1"))
}

/// A holder of an account here, found by name or account id.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) account: AccountId,
    /// Their name, when it was a name that found them.
    pub(crate) name: Option<String>,
}

/// Finds an account by its holder's name or by its id.
///
/// # Errors
/// When nobody here has that name.
pub(crate) async fn find(client: &Client, who: &str) -> Result<Found, Failure> {
    if let Ok(account) = who.parse::<AccountId>() {
        return Ok(Found { account, name: None });
    }
    let members = client.members(Some(who)).await?.members;
    match members.into_iter().find(|member| member.name.as_deref() == Some(who)) {
        Some(member) => Ok(Found { account: sign::id(&member.account)?, name: member.name }),
        None => {
            let what = format!("nobody here is called \"{who}\"");
            Err(Failure::new(Exit::Refused, "unknown-account", what, "see `weft member list`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, member};

    fn add_line(name: &str) -> Add {
        let op_id = OpIdOption { op_id: None };
        Add { name: name.into(), key_file: None, public_key: None, organisation: true, op_id }
    }

    #[tokio::test]
    async fn adding_a_member_posts_once_with_an_operation_id() {
        let node = FakeNode::new().answering("POST /api/v1/members", 201, &member("Ada", 1)).start();
        let report = run(&node.context(), Command::Add(add_line("Ada"))).await.unwrap();
        assert!(report.text.starts_with("Ada has account 0101"), "{}", report.text);
        assert_eq!(report.json["schema"], "weft.member/1");
        let request = node.requests().remove(0);
        assert_eq!(request.key.map(|key| key.len()), Some(32));
        assert_eq!(request.body, serde_json::json!({"name": "Ada", "owner": "organisation"}));
    }

    #[tokio::test]
    async fn only_the_exact_name_is_found() {
        let both =
            Members { schema: "weft.members/1".into(), members: vec![member("Adam", 2), member("Ada", 1)] };
        let node = FakeNode::new().answering("GET /api/v1/members", 200, &both).start();
        let client = node.context().client().unwrap();
        assert_eq!(find(&client, "Ada").await.unwrap().account, AccountId([1; 16]));
        assert_eq!(find(&client, "ada").await.unwrap_err().code, "unknown-account");
        assert_eq!(find(&client, &"07".repeat(16)).await.unwrap().account, AccountId([7; 16]));
    }

    #[tokio::test]
    async fn the_list_shows_who_signs() {
        let mut closed = member("Bo", 2);
        closed.closed = true;
        let members = Members { schema: "weft.members/1".into(), members: vec![member("Ada", 1), closed] };
        let node = FakeNode::new().answering("GET /api/v1/members", 200, &members).start();
        let text = run(&node.context(), Command::List).await.unwrap().text;
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("Ada ") && lines[1].contains("desk") && lines[1].ends_with("5.00 credit")
        );
        assert!(lines[2].contains("closed"));
    }

    #[test]
    fn a_weak_public_key_is_refused_before_it_is_sent() {
        assert!(parse_public_key(&format!("01{}", "00".repeat(31))).is_err());
        assert!(parse_public_key("abcd").is_err());
    }
}
