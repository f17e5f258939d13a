//! `weft member erase`: forgetting a person, after their name was typed once more.

use super::{balances, find};
use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::sign;
use clap::{Args, ValueEnum};
use std::io::{BufRead, Write};
use weft_api::{Erased, NewErasure, Reason};
use weft_client::Client;

/// Erases a holder.
#[derive(Debug, Args)]
pub(crate) struct Erase {
    /// Name or account id
    who: String,
    /// Why; this stands in the ledger
    #[arg(long, value_enum, default_value_t = Why::Asked)]
    reason: Why,
    /// For scripts: the name once more, instead of typing it at the terminal
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Why somebody is erased.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Why {
    /// They asked for it
    Asked,
    /// They left, and the time for which records are kept is over
    Retention,
    /// A court or an authority ordered it
    Ordered,
}

pub(super) async fn run(context: &Context, client: &Client, erase: Erase) -> Outcome {
    let known = match find(client, &erase.who).await?.name {
        Some(name) => name,
        None => {
            let by_id = client.members(Some(&erase.who)).await?.members.pop();
            by_id.and_then(|member| member.name).unwrap_or_else(|| erase.who.clone())
        }
    };
    let confirm = match erase.confirm {
        Some(confirm) => confirm,
        None if !context.can_ask => {
            let what = "an erasure must be confirmed, and there is no terminal to ask at";
            let advice = "run it at a terminal, or give the name once more with --confirm";
            return Err(Failure::new(Exit::Usage, "confirm-needed", what, advice));
        }
        None => ask(&question(&known))?,
    };
    if confirm.trim() != known {
        let what = "the name typed is another one: nothing was erased";
        return Err(Failure::new(
            Exit::Refused,
            "confirm-name",
            what,
            "run it again and type the name exactly",
        ));
    }
    let reason = match erase.reason {
        Why::Asked => Reason::Asked,
        Why::Retention => Reason::Retention,
        Why::Ordered => Reason::Ordered,
    };
    let op_id = sign::op_id(erase.op_id.op_id).to_string();
    let erasure = NewErasure { reason, confirm: known };
    let erased = client.erase(&erase.who, &erasure, &op_id).await;
    let erased = erased.map_err(|e| Failure::from(e).repeatable_with(&op_id))?;
    Ok(Report::new(done(&erased), &erased, "weft.erased/1"))
}

/// What goes and what stays, before it is too late.
fn question(name: &str) -> String {
    format!(
        "This destroys, for good, the name of {name} here, every text of payments from or to them, and texts of others \
         that\nname them in full. Nobody can bring it back, from a receipt neither.\nIt cannot reach: amounts and dates, \
         which stay in the books under an account that is nobody's from then on; what was\nsent to other networks; papers, \
         and copies that people made; backups until they are deleted.\nThe account is closed, whatever stands on it.\n\
         Type the name to go on: ",
        name = clean(name)
    )
}

fn ask(question: &str) -> Result<String, Failure> {
    let declined = || {
        let advice = "run it again and type the name exactly";
        Failure::new(Exit::Refused, "confirm-name", "nothing was erased", advice)
    };
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(|_| declined())?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|_| declined())?;
    Ok(line)
}

fn done(erased: &Erased) -> String {
    let stays = match erased.balances.is_empty() {
        true => "nothing stands on it".to_owned(),
        false => format!("{} stays in the books", balances(&erased.balances)),
    };
    format!(
        "Erased: the name and {} texts. Account {} is closed and nobody's; {stays}. Entry {} says so.",
        erased.texts, erased.account, erased.seq
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, member};
    use weft_api::{Balance, Members};

    fn line(confirm: Option<&str>) -> Erase {
        let (who, confirm) = ("Ada".to_owned(), confirm.map(str::to_owned));
        Erase { who, reason: Why::Retention, confirm, op_id: OpIdOption { op_id: None } }
    }

    #[tokio::test]
    async fn only_the_exact_name_erases_and_what_stays_is_said() {
        let members = Members { schema: "weft.members/1".into(), members: vec![member("Ada", 1)] };
        let erased = Erased {
            schema: "weft.erased/1".into(),
            account: "01".repeat(16),
            seq: 9,
            name: true,
            texts: 3,
            balances: vec![Balance { unit: "hour".into(), amount: "-5".into() }],
        };
        let node = FakeNode::new()
            .answering("GET /api/v1/members", 200, &members)
            .answering("GET /api/v1/members", 200, &members)
            .answering("GET /api/v1/members", 200, &members)
            .answering("POST /api/v1/accounts/Ada/erasure", 200, &erased)
            .start();
        let (context, client) = (node.context(), node.context().client().unwrap());
        assert_eq!(run(&context, &client, line(None)).await.unwrap_err().code, "confirm-needed");
        assert_eq!(run(&context, &client, line(Some("ada"))).await.unwrap_err().code, "confirm-name");
        let report = run(&context, &client, line(Some("Ada"))).await.unwrap();
        assert!(report.text.contains("3 texts") && report.text.contains("-5 hour stays"), "{}", report.text);
        let posted = node.requests().pop().unwrap();
        assert_eq!(posted.body, serde_json::json!({"reason": "retention", "confirm": "Ada"}));
        assert!(posted.key.is_some());
    }
}
