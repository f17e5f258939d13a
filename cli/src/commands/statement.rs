//! `weft statement WHO`: what went in and out of an account, newest first.

use super::member;
use crate::context::Context;
use crate::outcome::{Outcome, Report, clean};
use crate::table::Table;
use clap::Args;
use weft_api::{Statement as Page, StatementLine};
use weft_protocol::time::Day;

/// Lines asked for at a time.
const PAGE_LINES: u32 = 500;

/// What went in and out of an account, newest first.
#[derive(Debug, Args)]
pub(crate) struct Statement {
    /// Name or account id
    who: String,
    /// At most this many lines
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(context: &Context, args: Statement) -> Outcome {
    let client = context.client()?;
    let mut statement = client.statement(&args.who, None, Some(args.limit.min(PAGE_LINES))).await?;
    while let Some(before) = statement.next_before {
        let have = u32::try_from(statement.lines.len()).unwrap_or(u32::MAX);
        let left = args.limit.saturating_sub(have);
        if left == 0 {
            break;
        }
        let page = client.statement(&args.who, Some(before), Some(left.min(PAGE_LINES))).await?;
        // A page that does not move on would be asked for without end.
        let moves = page.next_before.is_none_or(|next| next < before);
        statement.lines.extend(page.lines);
        statement.next_before = page.next_before.filter(|_| moves);
    }
    let more = statement.next_before.is_some();
    let report = Report::new(text(context, &statement), &statement, "weft.statement/1");
    Ok(if more {
        report.noting(format!("There are older lines: --limit {} shows more.", args.limit.saturating_mul(2)))
    } else {
        report
    })
}

fn text(context: &Context, statement: &Page) -> String {
    let account = &statement.account;
    let name = account.name.as_deref().map_or(String::new(), |name| format!("{} · ", clean(name)));
    let mut out = format!("{name}account {} · {}\n", account.account, member::balances(&account.balances));
    if statement.lines.is_empty() {
        out.push_str("Nothing has moved yet.\n");
        return out;
    }
    let heads = ["Entry", "Day", "What", ">Amount", "Unit", ">Balance", "With", "Memo"];
    let mut table = Table::new(&heads, context.colour);
    for line in &statement.lines {
        table.row([
            line.seq.to_string(),
            line.when.clone().unwrap_or_else(|| Day::of_ms(line.time_ms).to_string()),
            what(line),
            line.amount.clone(),
            line.unit.clone(),
            line.balance.clone(),
            other(line),
            line.memo.clone().unwrap_or_default(),
        ]);
    }
    out.push_str(&table.render());
    out
}

fn what(line: &StatementLine) -> String {
    let words = match line.kind.as_str() {
        "transfer" => "payment",
        "reversal" => "taken back",
        "hold" => "set aside",
        "end" => "not paid",
        "credit" => "from elsewhere",
        "release" => "given back",
        "returned" => "returned",
        other => other,
    };
    words.to_owned()
}

/// The other side; a claim by its first digits, which `weft cancel` takes.
fn other(line: &StatementLine) -> String {
    let other = line.other.clone().unwrap_or_default();
    let is_claim = other.len() == 64 && other.bytes().all(|b| b.is_ascii_hexdigit());
    if is_claim { format!("claim {}", super::claims::short(&other)) } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, member};

    fn line(seq: u64, amount: &str) -> StatementLine {
        StatementLine {
            seq,
            time_ms: 951_782_400_000,
            when: None,
            kind: "transfer".into(),
            unit: "credit".into(),
            amount: amount.into(),
            balance: "5.00".into(),
            other: Some("Bo".into()),
            memo: Some("soup".into()),
        }
    }

    fn page(lines: Vec<StatementLine>, next_before: Option<u64>) -> Page {
        Page { schema: "weft.statement/1".into(), account: member("Ada", 1), lines, next_before }
    }

    #[tokio::test]
    async fn a_statement_is_read_page_by_page_up_to_the_limit() {
        let node = FakeNode::new()
            .answering(
                "GET /api/v1/accounts/Ada/statement?limit=3",
                200,
                &page(vec![line(9, "1.00"), line(8, "2.00")], Some(8)),
            )
            .answering(
                "GET /api/v1/accounts/Ada/statement?before=8&limit=1",
                200,
                &page(vec![line(5, "-3.00")], Some(5)),
            )
            .start();
        let report = run(&node.context(), Statement { who: "Ada".into(), limit: 3 }).await.unwrap();
        assert_eq!(
            report.text,
            "Ada · account 01010101010101010101010101010101 · 5.00 credit\n\
             Entry  Day         What     Amount  Unit    Balance  With  Memo\n\
             9      2000-02-29  payment    1.00  credit     5.00  Bo    soup\n\
             8      2000-02-29  payment    2.00  credit     5.00  Bo    soup\n\
             5      2000-02-29  payment   -3.00  credit     5.00  Bo    soup\n"
        );
        assert_eq!(report.notes.len(), 1, "it says that there is more");
    }

    #[tokio::test]
    async fn a_page_that_does_not_move_on_ends_the_reading() {
        let node = FakeNode::new()
            .answering("GET /api/v1/accounts/Ada/statement", 200, &page(vec![line(9, "1.00")], Some(9)))
            .start();
        let report = run(&node.context(), Statement { who: "Ada".into(), limit: 50 }).await.unwrap();
        assert_eq!(report.json["lines"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_claim_is_shown_by_its_first_digits() {
        let mut line = line(1, "1");
        line.other = Some("ab".repeat(32));
        assert_eq!(other(&line), "claim abababababab");
    }
}
