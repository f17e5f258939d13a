//! `weft confirm-time`: the clock of a node that waits to hear that it is right.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report};
use clap::Args;
use std::io::{BufRead, Write};
use weft_api::{ConfirmTime as Seen, NodeTime};
use weft_protocol::time::moment;

/// What has to be typed.
const YES: &str = "yes";

/// Confirms the clock.
#[derive(Debug, Args)]
pub(crate) struct ConfirmTime {
    /// Do not ask: the clock was compared by other means
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(context: &Context, args: ConfirmTime) -> Outcome {
    let client = context.client()?;
    let time = client.time().await?;
    if time.held.is_none() {
        let text = format!("Nothing waits: the clock is believed. It says {}.", moment(time.clock_ms));
        return Ok(Report::new(text, &time, "weft.time/1"));
    }
    if !args.yes {
        if !context.can_ask {
            let what = "the clock must be compared, and there is no terminal to ask at";
            let advice = "run it at a terminal, or with --yes when the clock was compared by other means";
            return Err(Failure::new(Exit::Usage, "confirm-needed", what, advice));
        }
        ask(&question(&time))?;
    }
    // Asked anew: people take their time.
    let clock_ms = match args.yes {
        true => time.clock_ms,
        false => client.time().await?.clock_ms,
    };
    let time = client.confirm_time(&Seen { clock_ms }).await?;
    let text = format!("Confirmed: it is {}. Entries are written again.", moment(time.clock_ms));
    Ok(Report::new(text, &time, "weft.time/1"))
}

fn question(time: &NodeTime) -> String {
    format!(
        "The node's clock says    {}\nthe last entry is of     {}\nNothing is written because {}.\nCompare with another \
         clock: an entry with a time that is too late can never be taken back, and\nnothing could be written before that \
         time comes. Is the node's clock right? ({YES}/no): ",
        moment(time.clock_ms),
        moment(time.ledger_ms),
        time.held.as_deref().unwrap_or("of nothing")
    )
}

fn ask(question: &str) -> Result<(), Failure> {
    let declined = || {
        let advice = "set the clock of the machine, then look again with `weft status`";
        Failure::new(Exit::Refused, "not-confirmed", "nothing was confirmed", advice)
    };
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(|_| declined())?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|_| declined())?;
    if line.trim().eq_ignore_ascii_case(YES) { Ok(()) } else { Err(declined()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;

    fn time(held: Option<&str>) -> NodeTime {
        NodeTime {
            schema: "weft.time/1".into(),
            clock_ms: 1_582_934_399_999,
            ledger_ms: 1_000,
            held: held.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_believed_needs_no_word() {
        let node = FakeNode::new().answering("GET /api/v1/time", 200, &time(None)).start();
        let report = run(&node.context(), ConfirmTime { yes: false }).await.unwrap();
        assert!(report.text.contains("2020-02-28 23:59 UTC"), "{}", report.text);
    }

    #[tokio::test]
    async fn the_clock_that_was_compared_is_what_is_confirmed() {
        let node = FakeNode::new()
            .answering("GET /api/v1/time", 200, &time(Some("the last entry is 9 days old")))
            .answering("GET /api/v1/time", 200, &time(Some("the last entry is 9 days old")))
            .answering("POST /api/v1/time", 200, &time(None))
            .start();
        let refused = run(&node.context(), ConfirmTime { yes: false }).await.unwrap_err();
        assert_eq!(refused.code, "confirm-needed");
        run(&node.context(), ConfirmTime { yes: true }).await.unwrap();
        assert_eq!(node.body_of("POST /api/v1/time")["clock_ms"], 1_582_934_399_999_u64);
        assert!(question(&time(Some("x"))).contains("1970-01-01 00:00 UTC"));
    }
}
