//! `weft forward`: the books signed as they stand.

use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Failure, Outcome, Report};
use crate::sign;
use clap::Args;
use weft_api::Forwarded;
use weft_protocol::time::Day;

/// Writes a balance-forward.
#[derive(Debug, Args)]
pub(crate) struct Forward {
    #[command(flatten)]
    op_id: OpIdOption,
}

pub(crate) async fn run(context: &Context, args: Forward) -> Outcome {
    let client = context.client()?;
    let op_id = sign::op_id(args.op_id.op_id).to_string();
    let forward = client.forward(&op_id).await.map_err(|e| Failure::from(e).repeatable_with(&op_id))?;
    Ok(Report::new(text(&forward), &forward, "weft.forwarded/1"))
}

fn text(forward: &Forwarded) -> String {
    format!(
        "Entry {} signs the books as they stand before it. Nothing is left out yet: from {} on, `weftd prune` with the node \
         stopped\nmay leave out the {} entries before it.",
        forward.seq,
        Day::of_ms(forward.ready_ms),
        forward.seq
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeNode;

    #[tokio::test]
    async fn the_answer_says_from_when_on_something_may_go() {
        let forwarded = Forwarded {
            schema: "weft.forwarded/1".into(),
            seq: 12,
            time_ms: 0,
            state: "00".into(),
            ready_ms: 1_582_934_399_999,
        };
        let node = FakeNode::new().answering("POST /api/v1/forwards", 200, &forwarded).start();
        let report = run(&node.context(), Forward { op_id: OpIdOption { op_id: None } }).await.unwrap();
        assert!(report.text.contains("Entry 12") && report.text.contains("2020-02-28"), "{}", report.text);
    }
}
