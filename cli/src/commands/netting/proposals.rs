//! `weft netting proposal list|show|agree|refuse|withdraw|book`: invoices between members, what each is asked, what they
//! say, and the payments that come of it (specs/netting.md 6.6 to 6.11).
//!
//! What must hold: a yes is about exactly what was shown; a key never leaves this program; a payment is made once.

use crate::commands::member;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::table::Table;
use crate::{keyfile, sign};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use weft_api::{NettingProposal, NettingProposals, NewPayment, ProposalPart, ProposalPayment, ProposalWord};
use weft_client::Client;
use weft_protocol::ids::Hash;
use weft_protocol::netting::proposal::sign_word;
use weft_protocol::time::moment;

/// So much of an id names a proposal among those that a node keeps.
const SHORT_ID: usize = 12;

/// Proposals about invoices between members.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show all proposals
    List,
    /// Show a proposal, or what one member is asked in it
    Show(Show),
    /// A member agrees to what is proposed to them
    Agree(Say),
    /// A member refuses: they are left out, and the rest is solved again
    Refuse(Say),
    /// Take a proposal back
    Withdraw(One),
    /// Make the payments that all have agreed to, each once
    Book(One),
}

/// A proposal.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Its id, or as much of its beginning as names one alone
    proposal: String,
}

/// A proposal, or the part of one member.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    one: One,
    /// Only what this member is asked: name or account id
    member: Option<String>,
}

/// A member's word.
#[derive(Debug, Args)]
pub(crate) struct Say {
    #[command(flatten)]
    one: One,
    /// Who says it: name or account id
    member: String,
    /// Sign with this key file, as members with keys of their own do; the node never sees it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, command: Command) -> Outcome {
    let client = context.client()?;
    match command {
        Command::List => {
            let all = client.netting_proposals().await?;
            Ok(Report::new(listed(&all, context.colour), &all, "weft.netting-proposals/1"))
        }
        Command::Show(Show { one, member: None }) => {
            let shown = client.netting_proposal(&found(&client, &one).await?).await?;
            Ok(proposal(&shown, context.colour))
        }
        Command::Show(Show { one, member: Some(who) }) => {
            let (_, shown) = part_of(&client, &one, &who).await?;
            Ok(part(&shown, context.colour))
        }
        Command::Agree(say) => answer(context, &client, say, true).await,
        Command::Refuse(say) => answer(context, &client, say, false).await,
        Command::Withdraw(one) => {
            let shown = client.withdraw_proposal(&found(&client, &one).await?).await?;
            Ok(proposal(&shown, context.colour))
        }
        Command::Book(one) => book(context, &client, &one).await,
    }
}

async fn found(client: &Client, one: &One) -> Result<String, Failure> {
    let all = client.netting_proposals().await?.proposals;
    let begin = one.proposal.as_str();
    let mut like = all.iter().filter(|row| !begin.is_empty() && row.id.starts_with(begin));
    match (like.next(), like.next()) {
        (Some(row), None) => Ok(row.id.clone()),
        (None, _) => {
            let what = format!("no proposal is known whose id begins with \"{}\"", clean(begin));
            Err(Failure::new(
                Exit::Refused,
                "unknown-proposal",
                what,
                "`weft netting proposal list` lists them",
            ))
        }
        (Some(_), Some(_)) => {
            let what = format!("several proposals begin with \"{}\"", clean(begin));
            Err(Failure::new(Exit::Refused, "several-proposals", what, "give more of the id"))
        }
    }
}

async fn part_of(client: &Client, one: &One, who: &str) -> Result<(String, ProposalPart), Failure> {
    let id = found(client, one).await?;
    let account = member::find(client, who).await?.account;
    let part = client.proposal_part(&id, &account.to_string()).await?;
    Ok((id, part))
}

/// What is answered is what was read a moment ago: the node refuses a yes to anything else.
async fn answer(context: &Context, client: &Client, say: Say, agrees: bool) -> Outcome {
    let (id, seen) = part_of(client, &say.one, &say.member).await?;
    let (mut signer, mut sig) = (None, None);
    if let Some(path) = &say.key {
        let key = keyfile::read(path)?;
        let ledger = sign::id(&client.status().await?.ledger)?;
        let part: Hash = sign::id(&seen.part)?;
        signer = Some(key.public().signer().to_string());
        sig = Some(sign_word(&key, &ledger, &part, agrees).to_string());
    }
    let word = ProposalWord { account: seen.account.clone(), agrees, part: seen.part.clone(), signer, sig };
    let now = client.answer_proposal(&id, &word).await?;
    Ok(part(&now, context.colour))
}

async fn book(context: &Context, client: &Client, one: &One) -> Outcome {
    let id = found(client, one).await?;
    let before = client.netting_proposal(&id).await?;
    if before.stage != "agreed" && before.stage != "booked" {
        let what = "not all whom it touches have agreed, so nothing is paid";
        return Err(Failure::new(
            Exit::Refused,
            "not-agreed",
            what,
            "`weft netting proposal show` says who is asked",
        ));
    }
    for payment in before.payments.iter().filter(|payment| !payment.made && !payment.own_key) {
        let new = NewPayment {
            from: payment.from.clone(),
            to: payment.to.clone(),
            amount: payment.amount.clone(),
            unit: Some(before.unit.clone()),
            memo: Some(format!("invoices, proposal {}", short(&before.id))),
            when: None,
            expires_s: None,
            wait_s: None,
            lift_stop: false,
        };
        client.pay(&new, &payment.op_id).await?;
    }
    Ok(proposal(&client.netting_proposal(&id).await?, context.colour))
}

fn short(id: &str) -> String {
    clean(id).chars().take(SHORT_ID).collect()
}

fn named(name: Option<&String>, account: &str) -> String {
    clean(name.map_or(account, String::as_str))
}

fn stage(stage: &str, until_ms: u64) -> String {
    match stage {
        "asking" => format!("Members are asked until {}; who is silent then is left out.", moment(until_ms)),
        "agreed" => "All whom it touches have agreed.".to_owned(),
        "booked" => "All whom it touches have agreed, and its payments are made.".to_owned(),
        "nothing" => "Nothing is left of it that could be paid.".to_owned(),
        _ => "It was taken back.".to_owned(),
    }
}

fn listed(all: &NettingProposals, colour: bool) -> String {
    if all.proposals.is_empty() {
        return "No proposal is kept here: `weft netting members FILE --ask 7d` makes one.\n".to_owned();
    }
    let mut table =
        Table::new(&["Proposal", "Until", "Stands", ">Invoices", ">Paid", ">Waits for", "Unit"], colour);
    for row in &all.proposals {
        let (waits, until) = (row.waits_for.to_string(), moment(row.until_ms));
        let cells = [short(&row.id), until, row.stage.clone(), row.owed.clone(), row.paid.clone(), waits];
        table.row(cells.into_iter().chain([row.unit.clone()]));
    }
    table.render()
}

pub(super) fn proposal(shown: &NettingProposal, colour: bool) -> Report {
    let (id, unit) = (short(&shown.id), clean(&shown.unit));
    let mut text = format!(
        "Proposal {id}: of {} {unit} on invoices {} can be paid at once. {}\n",
        clean(&shown.owed),
        clean(&shown.paid),
        stage(&shown.stage, shown.until_ms)
    );
    let heads = ["Member", "Word", ">Owes", ">Pays", ">Is owed", ">Is paid", ">Account moves"];
    let mut table = Table::new(&heads, colour);
    for member in &shown.members {
        let word = match member.word.as_str() {
            "not-asked" => "nothing to say".to_owned(),
            word => word.to_owned(),
        };
        let numbers = [&member.owes, &member.pays, &member.is_owed, &member.is_paid, &member.moves];
        let cells = [named(member.name.as_ref(), &member.account), word];
        table.row(cells.into_iter().chain(numbers.map(String::clone)));
    }
    text.push_str(&table.render());
    match shown.stage.as_str() {
        "asking" => text.push_str(&format!(
            "\nNobody is bound. `weft netting proposal show {id} MEMBER` shows what one is asked; `agree {id} MEMBER` and\n\
             `refuse {id} MEMBER` say what they answer, with `--key FILE` where they sign for themselves.\n"
        )),
        "agreed" | "booked" => text.push_str(&payments(shown)),
        _ => {}
    }
    Report::new(text, shown, "weft.netting-proposal/1")
}

fn payments(shown: &NettingProposal) -> String {
    if shown.payments.is_empty() {
        return "\nNo account moves: mark the invoices as paid where they are kept.\n".to_owned();
    }
    let (mut text, unit) = ("\nIts payments:\n".to_owned(), clean(&shown.unit));
    for one in &shown.payments {
        let (from, to) = (named(one.from_name.as_ref(), &one.from), named(one.to_name.as_ref(), &one.to));
        let how = match one {
            ProposalPayment { made: true, .. } => "made".to_owned(),
            ProposalPayment { own_key: true, .. } => format!(
                "to be signed by {from}: `weft pay {} {} {} --unit {unit} --op-id {} --key FILE`",
                clean(&one.from),
                clean(&one.to),
                clean(&one.amount),
                clean(&one.op_id)
            ),
            ProposalPayment { .. } => format!("`weft netting proposal book {}` makes it", short(&shown.id)),
        };
        text.push_str(&format!("  {from} to {to}: {} {unit}, {how}\n", clean(&one.amount)));
    }
    text.push_str(
        "When all are made, mark the invoices as paid where they are kept: they are not in the ledger.\n",
    );
    text
}

fn part(shown: &ProposalPart, colour: bool) -> Report {
    let (name, unit) = (named(shown.name.as_ref(), &shown.account), clean(&shown.unit));
    let mut table = Table::new(&["Invoice", ">Before", ">Paid", ">Left"], colour);
    for line in &shown.lines {
        let other = named(line.name.as_ref(), &line.with);
        let what = if line.owes { format!("{name} owes {other}") } else { format!("{other} owes {name}") };
        table.row([what, line.amount.clone(), line.paid.clone(), line.left.clone()]);
    }
    let mut text = table.render();
    text.push_str(&format!(
        "The account of {name} moves by {} {unit}: from {} to {}.\n{}\n",
        clean(&shown.moves),
        clean(&shown.balance),
        clean(&shown.balance_after),
        stage(&shown.stage, shown.until_ms)
    ));
    text.push_str(&match shown.word.as_str() {
        "asked" => format!(
            "{name} has not answered: `weft netting proposal agree {0} …` or `refuse {0} …`. Whoever agrees is never asked for \
             more than this.\n",
            short(&shown.id)
        ),
        "agreed" => format!("{name} has agreed.\n"),
        "refused" => format!("{name} has refused, and has no part in it any more.\n"),
        "silent" => format!("{name} was silent until the time was over, and has no part in it any more.\n"),
        _ => format!("Nothing of the invoices of {name} is paid as it stands, so nothing is asked.\n"),
    });
    Report::new(text, shown, "weft.netting-part/1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, member as a_member, status};
    use weft_api::{Members, ProposalLine, ProposalMember, ProposalRow};

    fn id() -> String {
        "ab".repeat(32)
    }

    fn all() -> NettingProposals {
        let row = ProposalRow {
            id: id(),
            unit: "credit".into(),
            until_ms: 951_782_400_000,
            stage: "asking".into(),
            owed: "20".into(),
            paid: "8".into(),
            waits_for: 2,
        };
        NettingProposals { schema: String::new(), proposals: vec![row] }
    }

    fn shown(stage: &str, payments: Vec<ProposalPayment>) -> NettingProposal {
        let member = ProposalMember {
            account: "01".repeat(16),
            name: Some("Ada".into()),
            own_keys: false,
            owes: "10".into(),
            pays: "4".into(),
            is_owed: "0".into(),
            is_paid: "0".into(),
            moves: "-4".into(),
            word: "asked".into(),
        };
        NettingProposal {
            schema: String::new(),
            id: id(),
            unit: "credit".into(),
            until_ms: 951_782_400_000,
            stage: stage.into(),
            owed: "20".into(),
            paid: "8".into(),
            members: vec![member],
            payments,
        }
    }

    fn payment(own_key: bool) -> ProposalPayment {
        ProposalPayment {
            from: "01".repeat(16),
            from_name: Some("Ada".into()),
            to: "02".repeat(16),
            to_name: Some("Bo".into()),
            amount: "4".into(),
            op_id: "0f".repeat(16),
            own_key,
            made: false,
        }
    }

    fn of_ada(word: &str) -> ProposalPart {
        let line = ProposalLine {
            with: "02".repeat(16),
            name: Some("Bo".into()),
            owes: true,
            amount: "10".into(),
            paid: "4".into(),
            left: "6".into(),
        };
        ProposalPart {
            schema: String::new(),
            id: id(),
            account: "01".repeat(16),
            name: Some("Ada".into()),
            unit: "credit".into(),
            until_ms: 951_782_400_000,
            stage: "asking".into(),
            part: "cd".repeat(32),
            word: word.into(),
            lines: vec![line],
            moves: "-4".into(),
            balance: "1".into(),
            balance_after: "-3".into(),
        }
    }

    fn one() -> One {
        One { proposal: "abab".into() }
    }

    #[tokio::test]
    async fn a_member_sees_their_part_and_their_yes_names_exactly_that() {
        let words = format!("POST /api/v1/netting/proposals/{}/words", id());
        let part = format!("GET /api/v1/netting/proposals/{}/part?account={}", id(), "01".repeat(16));
        let node = FakeNode::new()
            .answering("GET /api/v1/status", 200, &status())
            .answering("GET /api/v1/netting/proposals", 200, &all())
            .answering(
                "GET /api/v1/members?name=Ada",
                200,
                &Members { schema: String::new(), members: vec![a_member("Ada", 1)] },
            )
            .answering(&part, 200, &of_ada("asked"))
            .answering(&words, 200, &of_ada("agreed"))
            .start();
        let show = Command::Show(Show { one: one(), member: Some("Ada".into()) });
        let text = run(&node.context(), show).await.unwrap().text;
        assert!(text.contains("Ada owes Bo      10     4     6"), "{text}");
        assert!(text.contains("moves by -4 credit: from 1 to -3."), "{text}");
        let path = node.file("key");
        let key = keyfile::create(&path).unwrap();
        let say = Say { one: one(), member: "Ada".into(), key: Some(path) };
        let text = run(&node.context(), Command::Agree(say)).await.unwrap().text;
        assert!(text.contains("Ada has agreed."), "{text}");
        let body = node.body_of(&words);
        assert_eq!(body["part"], "cd".repeat(32));
        let part = Hash([0xcd; 32]);
        let sig = sign_word(&key, &weft_protocol::ids::LedgerId([0x11; 32]), &part, true);
        assert_eq!(body["sig"], sig.to_string());
    }

    #[tokio::test]
    async fn what_all_agree_to_is_paid_by_the_desk_under_its_own_id_and_the_rest_is_for_its_signer() {
        let at = format!("GET /api/v1/netting/proposals/{}", id());
        let done = crate::commands::pay::tests::done(weft_api::PaymentState::Done);
        let node = |own_key| {
            FakeNode::new()
                .answering("GET /api/v1/netting/proposals", 200, &all())
                .answering(&at, 200, &shown("agreed", vec![payment(own_key)]))
                .answering("POST /api/v1/payments", 201, &done)
                .start()
        };
        let desk = node(false);
        run(&desk.context(), Command::Book(one())).await.unwrap();
        let paid = desk.requests().into_iter().find(|seen| seen.line.starts_with("POST")).unwrap();
        assert_eq!(paid.key.as_deref(), Some("0f".repeat(16).as_str()));
        assert_eq!(paid.body["amount"], "4");
        let own = node(true);
        let text = run(&own.context(), Command::Book(one())).await.unwrap().text;
        assert!(text.contains("to be signed by Ada: `weft pay 0101"), "{text}");
        assert!(own.requests().iter().all(|seen| !seen.line.starts_with("POST")));
        let asking = FakeNode::new()
            .answering("GET /api/v1/netting/proposals", 200, &all())
            .answering(&at, 200, &shown("asking", Vec::new()))
            .start();
        assert_eq!(run(&asking.context(), Command::Book(one())).await.unwrap_err().code, "not-agreed");
        let text = run(&asking.context(), Command::List).await.unwrap().text;
        assert!(text.contains("abababababab"), "{text}");
        let none = One { proposal: "ff".into() };
        assert_eq!(
            run(&asking.context(), Command::Withdraw(none)).await.unwrap_err().code,
            "unknown-proposal"
        );
    }
}
