//! `weft peer write-off`: our root set writes off a peer that nobody hears from any more.

use crate::args::OpIdOption;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::roots::{self, Carried, RootSigning};
use crate::{sign, system};
use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use weft_api::WriteOffDraft;
use weft_client::Client;
use weft_protocol::encoding::decode_canonical;
use weft_protocol::entry::Payload;
use weft_protocol::ledger::writeoff::{WriteOff as Off, WriteOffAct};
use weft_protocol::time::moment;

/// Longest payload that is read: an entry holds no more.
const MAX_PAYLOAD_BYTES: usize = 4_096;

/// Writes off a peer that was not heard for 30 days.
#[derive(Debug, Args)]
pub(crate) struct WriteOff {
    /// What we call it after the @
    peer: String,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn said(name: &str, draft: &WriteOffDraft) -> String {
    let mut text = format!("{name} was last heard {}; it is written off.\n", moment(draft.heard_ms));
    for line in &draft.lines {
        let amount =
            if line.amount.starts_with('-') { line.amount.clone() } else { format!("+{}", line.amount) };
        text.push_str(&format!("  {:<24} {amount} {}\n", clean(&line.name), clean(&line.unit)));
    }
    text.push_str(
        "Payers of open payments have their value again. When the network is heard again, what it owes and what it is \
         owed comes back from `disputed` by itself, and what it says of open payments counts.",
    );
    text
}

pub(super) async fn run(client: &Client, args: WriteOff) -> Outcome {
    let draft = client.draft_write_off(&args.peer).await?;
    if system::now_ms() < draft.from_ms {
        let what = format!("{} was heard {}: it is not lost", clean(&args.peer), moment(draft.heard_ms));
        let advice = format!("wait; it can be written off from {} on", moment(draft.from_ms));
        return Err(Failure::new(Exit::Refused, "write-off-early", what, advice));
    }
    let wrong = |why: String| {
        let what = "what the node wants signed is not a peer written off";
        Failure::new(Exit::Found, "malformed-answer", what, "sign nothing; check the node").because(why)
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(draft.payload.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let off: Off = decode_canonical(&bytes, MAX_PAYLOAD_BYTES).map_err(|e| wrong(e.to_string()))?;
    if off.act != WriteOffAct::WrittenOff {
        return Err(wrong("it takes one back".to_owned()));
    }
    let status = client.status().await?;
    let op_id = sign::op_id(args.op_id.op_id);
    let carried =
        roots::carry_out(client, &status, &args.roots, op_id, Payload::WriteOff(off), Vec::new()).await?;
    Ok(match carried {
        Carried::Requested(report) => report,
        Carried::Done(_) => Report::new(said(&clean(&args.peer), &draft), &draft, "weft.write-off/1"),
    })
}
