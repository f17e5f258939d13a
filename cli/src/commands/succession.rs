//! `weft succession`: the root set says that the ledger goes on without entries that nobody can give back.

use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report};
use crate::{keyfile, sign};
use clap::Args;
use std::path::PathBuf;
use weft_api::{Done, SuccessionTerms};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ledger::succession::Succession as Payload0105;

/// Lets the ledger go on without entries that nobody can give back; the ledger shows it for ever.
#[derive(Debug, Args)]
pub(crate) struct Succession {
    /// The root key file of this network
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
    /// How many entries you accept to lose, as `weft status` shows it
    #[arg(long, value_name = "N")]
    lose: u64,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn payload(terms: &SuccessionTerms) -> Result<Payload0105, Failure> {
    Ok(Payload0105 {
        number: terms.number,
        old_size: terms.old_size,
        old_root: terms.old_root.as_deref().map(sign::id).transpose()?,
        base: terms.base,
        boot: terms.boot,
        unheard: terms.unheard.iter().map(|ledger| sign::id(ledger)).collect::<Result<_, _>>()?,
    })
}

fn went_on(done: &Done) -> String {
    format!(
        "The ledger goes on from here, under a name of its own. What peers hold of the lost part is recorded next. \
         Receipt code {} (entry {}).",
        done.leaf, done.seq
    )
}

pub(crate) async fn run(context: &Context, args: Succession) -> Outcome {
    let client = context.client()?;
    let key = keyfile::read(&args.root_key)?;
    let status = client.status().await?;
    let Some(terms) = status.guard.as_ref().and_then(|guard| guard.succession.as_ref()) else {
        let advice = "`weft status` says what the node waits for";
        return Err(Failure::new(Exit::Refused, "no-succession", "nothing is to be given up now", advice));
    };
    let lost = terms.old_size.saturating_sub(terms.base);
    if lost != args.lose {
        let what = format!("{lost} entries would be lost, not {}", args.lose);
        let advice = "read `weft status` again, and try what it says first";
        return Err(Failure::new(Exit::Refused, "other-loss", what, advice));
    }
    let op_id = sign::op_id(args.op_id.op_id);
    let op = sign::sign(&status, &key, Role::Root, op_id, Payload::Succession(payload(terms)?), None)?;
    let id = op_id.to_string();
    let done = client.post_op(&op, &id).await.map_err(|e| Failure::from(e).repeatable_with(&id))?;
    Ok(Report::new(went_on(&done), &done, "weft.done/1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, status};
    use weft_api::GuardStatus;

    #[tokio::test]
    async fn nothing_is_given_up_that_was_not_named() {
        let mut answer = status();
        let terms = SuccessionTerms {
            number: 1,
            old_size: 12,
            old_root: None,
            base: 10,
            boot: 5,
            unheard: Vec::new(),
        };
        let guard = GuardStatus {
            quarantined: true,
            awaited: vec![],
            taken_back: 0,
            known_size: 12,
            succession: Some(terms),
        };
        answer.guard = Some(guard);
        let node = FakeNode::new().answering("GET /api/v1/status", 200, &answer).start();
        let key = node.file("root");
        crate::keyfile::create(&key).unwrap();
        let args = |lose| Succession { root_key: key.clone(), lose, op_id: OpIdOption { op_id: None } };
        let refused = run(&node.context(), args(3)).await.unwrap_err();
        assert_eq!(refused.code, "other-loss");
        assert!(node.requests().iter().all(|request| !request.line.contains("/ops")));
    }
}
