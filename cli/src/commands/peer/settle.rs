//! `weft peer statement|settle|pause|resume|end`: what two networks state, settle and stop.

use crate::args::OpIdOption;
use crate::outcome::{Failure, Outcome, Report, clean};
use crate::sign;
use clap::{Args, Subcommand};
use weft_api::{Halt, NewSettlement, PeerStatement, Settlement, SettlementAnswer, Stated, StatedPosition};
use weft_client::Client;
use weft_protocol::time::moment;

/// Shows what is owed, and what both networks have signed of it.
#[derive(Debug, Args)]
pub(crate) struct Statement {
    /// What we call the peer after the @, or its ledger id
    peer: String,
    /// Write a statement now, whatever the interval of the accord; the peer's node answers it
    #[arg(long)]
    now: bool,
}

/// Settles outside what is owed, or answers what a peer proposes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Settle {
    #[command(subcommand)]
    action: Option<Action>,
    /// What we call the peer after the @, or its ledger id
    #[arg(required = true)]
    peer: Option<String>,
    /// How much of what one of both owes has moved outside, or is forgiven
    #[arg(required = true)]
    amount: Option<String>,
    /// What it refers to outside, such as an invoice number: kept here and never sent; no personal data
    #[arg(long, value_name = "TEXT", required = true)]
    reference: Option<String>,
    /// The unit, where the accord has several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// What to do about settlements other than to propose one.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show all settlements, those that wait for us first
    List,
    /// Accept what a peer proposes: it is booked on both sides
    Accept(One),
    /// Refuse what a peer proposes
    Refuse(One),
    /// Take back what we have proposed, unless it is accepted by then
    Withdraw(One),
}

/// A settlement.
#[derive(Debug, Args)]
struct One {
    /// Its id, or as much of its beginning as names one alone
    id: String,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Stops payments with a peer, or lets them go on.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// What we call the peer after the @, or its ledger id
    peer: String,
}

pub(super) async fn statement(client: &Client, args: &Statement) -> Outcome {
    let statement = if args.now {
        client.state_now(&args.peer).await?
    } else {
        client.peer_statement(&args.peer).await?
    };
    Ok(Report::new(shown(&args.peer, &statement), &statement, "weft.peer-statement/1"))
}

fn shown(peer: &str, statement: &PeerStatement) -> String {
    let mut text = format!("With {}: {}\n", clean(peer), lines(&statement.now));
    if !statement.books_agree {
        text.push_str("  our books are not what both streams say: payments are in the middle of a step, or look at `weft status`\n");
    }
    match &statement.agreed {
        Some(agreed) => text.push_str(&format!("Both have signed: {}\n", one(agreed))),
        None => text.push_str("Both have signed nothing yet.\n"),
    }
    if let Some(waiting) = &statement.waiting {
        text.push_str(&format!("Waits for their answer: {}\n", one(waiting)));
    }
    if let Some(refused) = &statement.refused {
        text.push_str(&format!("NOT AGREED: {}\n", clean(&refused.why)));
        text.push_str(&format!("  ours:   {}\n  theirs: {}\n", one(&refused.ours), lines(&refused.theirs)));
        text.push_str("  compare the books with their operator: `weft audit compare`\n");
    }
    if statement.moved && statement.agreed.is_some() {
        text.push_str("Something has moved since.\n");
    }
    text
}

fn one(stated: &Stated) -> String {
    format!(
        "{} ({}, over {} of our entries and {} of theirs)",
        lines(&stated.positions),
        moment(stated.time_ms),
        stated.our_entries,
        stated.their_entries
    )
}

fn lines(positions: &[StatedPosition]) -> String {
    let line = |position: &StatedPosition| {
        let StatedPosition { unit, amount, .. } = position;
        let stands = match amount.strip_prefix('-') {
            Some(amount) => format!("they owe {amount} {unit}"),
            None if is_zero(amount) => format!("even in {unit}"),
            None => format!("we owe {amount} {unit}"),
        };
        let way = |amount: &String, to: &str| {
            if is_zero(amount) { String::new() } else { format!(", {amount} on the way {to}") }
        };
        let (out, back) = (way(&position.on_the_way_out, "to them"), way(&position.on_the_way_in, "to us"));
        clean(&format!("{stands}{out}{back}"))
    };
    positions.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn is_zero(amount: &str) -> bool {
    amount.bytes().all(|b| b == b'0' || b == b'.')
}

pub(super) async fn settle(client: &Client, args: Settle) -> Outcome {
    match args.action {
        Some(Action::List) => list(client).await,
        Some(Action::Accept(one)) => answer(client, one, "accept").await,
        Some(Action::Refuse(one)) => answer(client, one, "refuse").await,
        Some(Action::Withdraw(one)) => answer(client, one, "withdraw").await,
        None => {
            let op_id = sign::op_id(args.op_id.op_id).to_string();
            let peer = args.peer.unwrap_or_default();
            let new = NewSettlement {
                unit: args.unit,
                amount: args.amount.unwrap_or_default(),
                reference: args.reference.unwrap_or_default(),
            };
            let done = client.settle(&peer, &new, &op_id).await;
            let done = done.map_err(|e| Failure::from(e).repeatable_with(&op_id))?;
            let text = format!("Proposed. {} has to accept it.\n{}", clean(&peer), line(&done));
            Ok(Report::new(text, &done, "weft.settlement/1"))
        }
    }
}

async fn list(client: &Client) -> Outcome {
    let found = client.settlements().await?;
    let text: String = found.settlements.iter().map(line).collect();
    let text = if text.is_empty() { "Nothing was proposed to be settled.".to_owned() } else { text };
    Ok(Report::new(text, &found, "weft.settlements/1"))
}

async fn answer(client: &Client, one: One, action: &str) -> Outcome {
    let op_id = sign::op_id(one.op_id.op_id).to_string();
    let id = whole_id(client, &one.id).await?;
    let wish = SettlementAnswer { action: action.to_owned() };
    let done = client.answer_settlement(&id, &wish, &op_id).await;
    let done = done.map_err(|e| Failure::from(e).repeatable_with(&op_id))?;
    Ok(Report::new(line(&done), &done, "weft.settlement/1"))
}

/// The one id that begins so; as it was given when none or several do, for the node to say so.
async fn whole_id(client: &Client, start: &str) -> Result<String, Failure> {
    let all = client.settlements().await?.settlements;
    let mut fitting = all.into_iter().filter(|one| one.id.starts_with(start));
    Ok(match (fitting.next(), fitting.next()) {
        (Some(only), None) => only.id,
        (None | Some(_), _) => start.to_owned(),
    })
}

fn line(one: &Settlement) -> String {
    let state = match one.state.as_str() {
        "waits-for-us" => "waits for us: `weft peer settle accept ID` or `refuse ID`",
        "accept-again" => {
            "accepted by us, and lost here with our newest entries: `weft peer settle accept ID` books it again"
        }
        "waits-for-them" => "waits for them",
        "being-withdrawn" => "being taken back",
        "settled" => "settled",
        "refused" => "not accepted",
        other => other,
    };
    let who = if one.we_owed { "we owed" } else { "they owed" };
    let reference = one.reference.as_deref().map_or_else(String::new, |text| format!(" ({})", clean(text)));
    format!(
        "{}  {}: {who} {} {}{reference}, {}, {}\n",
        clean(&one.id).chars().take(16).collect::<String>(),
        clean(&one.alias),
        clean(&one.amount),
        clean(&one.unit),
        clean(state),
        moment(one.time_ms)
    )
}

pub(super) async fn halt(client: &Client, which: &Which, action: &str) -> Outcome {
    let done = client.halt(&which.peer, &Halt { action: action.to_owned() }).await?;
    let peer = clean(&which.peer);
    let text = match action {
        "pause" => format!(
            "No new payments with {peer}, either way. What is on its way runs to its end; `weft peer resume {peer}` lets them go again."
        ),
        "resume" => format!("Payments with {peer} go again, as far as we are concerned."),
        _ => format!(
            "The accord with {peer} has ended. What is on its way runs to its end; what is owed then is settled with `weft peer settle`. Pairing again makes a new accord."
        ),
    };
    Ok(Report::new(text, &done, "weft.peers/1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;
    use weft_api::{RefusedStatement, Settlements};

    fn position(amount: &str) -> StatedPosition {
        let none = || "0.00".to_owned();
        StatedPosition {
            unit: "credit".into(),
            amount: amount.into(),
            on_the_way_out: "2.50".into(),
            on_the_way_in: none(),
        }
    }

    fn stated(amount: &str) -> Stated {
        Stated {
            stmt: "aa".repeat(32),
            answer: None,
            time_ms: 951_782_400_000,
            our_entries: 6,
            their_entries: 4,
            positions: vec![position(amount)],
        }
    }

    fn settlement(state: &str) -> Settlement {
        Settlement {
            id: "ab".repeat(32),
            ledger: "33".repeat(32),
            alias: "lansing".into(),
            unit: "credit".into(),
            amount: "20.00".into(),
            we_owed: true,
            ours: false,
            state: state.into(),
            time_ms: 951_782_400_000,
            reference: None,
        }
    }

    #[tokio::test]
    async fn a_statement_says_who_owes_whom_and_what_was_not_agreed() {
        let statement = PeerStatement {
            schema: "weft.peer-statement/1".into(),
            ledger: "33".repeat(32),
            now: vec![position("-3.00")],
            moved: true,
            books_agree: true,
            agreed: Some(stated("0.00")),
            waiting: None,
            refused: Some(RefusedStatement {
                ours: stated("5.00"),
                theirs: vec![position("4.00")],
                why: "the two networks come to different positions".into(),
            }),
        };
        let node = FakeNode::new().answering("POST /api/v1/peers/lansing/statement", 200, &statement).start();
        let args = Statement { peer: "lansing".into(), now: true };
        let text = super::statement(&node.context().client().unwrap(), &args).await.unwrap().text;
        assert!(text.starts_with("With lansing: they owe 3.00 credit, 2.50 on the way to them\n"), "{text}");
        assert!(text.contains("Both have signed: even in credit"), "{text}");
        assert!(text.contains("NOT AGREED: the two networks come to different positions"), "{text}");
        assert!(text.contains("theirs: we owe 4.00 credit"), "{text}");
    }

    #[tokio::test]
    async fn a_settlement_is_accepted_by_the_beginning_of_its_id() {
        let waits = settlement("waits-for-us");
        let list = Settlements { schema: String::new(), settlements: vec![waits] };
        let path = format!("POST /api/v1/settlements/{}", "ab".repeat(32));
        let node = FakeNode::new()
            .answering("GET /api/v1/settlements", 200, &list)
            .answering(&path, 200, &settlement("settled"))
            .start();
        let client = node.context().client().unwrap();
        let one = One { id: "abab".into(), op_id: OpIdOption { op_id: None } };
        let text = answer(&client, one, "accept").await.unwrap().text;
        assert_eq!(text, "abababababababab  lansing: we owed 20.00 credit, settled, 2000-02-29 00:00 UTC\n");
        assert_eq!(node.body_of(&path)["action"], "accept");
    }
}
