//! `weft receipt SEQ|OP_ID`: the receipt of an entry, and its proof as a file that anybody can check.
//!
//! The receipt code is computed here from the entry's bytes; a node that says another one is not believed.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use std::path::{Path, PathBuf};
use weft_api::Receipt as Answer;
use weft_protocol::entry::Entry;
use weft_protocol::time::moment;

/// The receipt of an entry, and its proof.
#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// Number of the entry, or the id of its operation
    #[arg(value_name = "ENTRY|OP_ID")]
    which: String,
    /// Write the proof that the entry stands in the published ledger
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

fn text(receipt: &Answer) -> String {
    let published = match receipt.proof {
        Some(_) => "it stands in the published ledger (--proof FILE writes the proof)",
        None => "the next checkpoint will cover it",
    };
    format!(
        "Entry {} ({}), written {}; receipt code {}; {published}.",
        receipt.seq,
        clean(&receipt.kind),
        moment(receipt.time_ms),
        clean(&receipt.leaf)
    )
}

pub(crate) async fn run(context: &Context, args: Receipt) -> Outcome {
    let receipt = context.client()?.receipt(&args.which).await?;
    check(&receipt)?;
    if let Some(path) = &args.proof {
        write_proof(path, receipt.proof.as_deref())?;
    }
    let report = Report::new(text(&receipt), &receipt, "weft.receipt/1");
    Ok(match args.proof {
        Some(path) => report.noting(format!("The proof is in {}.", path.display())),
        None => report,
    })
}

/// The entry's own bytes must give the number and the code that the node says.
fn check(receipt: &Answer) -> Result<(), Failure> {
    let wrong = |why: String| {
        let advice = "do not rely on this receipt; check the ledger with `weft audit verify`";
        Failure::new(Exit::Found, "receipt-mismatch", "the receipt does not fit its entry", advice)
            .because(why)
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(receipt.entry.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let entry = Entry::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
    if entry.leaf().to_string() != receipt.leaf {
        return Err(wrong(format!("its code is {}, the node says {}", entry.leaf(), receipt.leaf)));
    }
    if entry.body().seq != receipt.seq {
        return Err(wrong(format!("it is entry {}, the node says {}", entry.body().seq, receipt.seq)));
    }
    Ok(())
}

fn write_proof(path: &Path, proof: Option<&str>) -> Result<(), Failure> {
    let Some(proof) = proof else {
        let what = "no checkpoint covers this entry yet, so there is no proof";
        return Err(Failure::new(Exit::TryAgain, "no-checkpoint", what, "try again in a moment"));
    };
    std::fs::write(path, proof).map_err(|e| {
        let what = format!("the proof cannot be written to {}", path.display());
        Failure::new(Exit::BadConfiguration, "proof-file", what, "choose a folder that you may write to")
            .because(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, entry};

    fn receipt(proof: Option<&str>) -> Answer {
        let entry = entry();
        Answer {
            schema: "weft.receipt/1".into(),
            seq: entry.body().seq,
            leaf: entry.leaf().to_string(),
            time_ms: 0,
            kind: "account-closed".into(),
            entry: HEXLOWER_PERMISSIVE.encode(entry.bytes()),
            proof: proof.map(str::to_owned),
        }
    }

    async fn ask(answer: &Answer, proof: Option<PathBuf>) -> Outcome {
        let node = FakeNode::new().answering("GET /api/v1/receipts/4", 200, answer).start();
        run(&node.context(), Receipt { which: "4".into(), proof }).await
    }

    #[tokio::test]
    async fn a_proof_is_written_as_the_node_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proof");
        let report = ask(&receipt(Some("c2sp.org/tlog-proof\n")), Some(path.clone())).await.unwrap();
        assert!(report.text.contains("it stands in the published ledger"), "{}", report.text);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "c2sp.org/tlog-proof\n");
    }

    #[tokio::test]
    async fn a_proof_that_is_not_there_yet_can_be_asked_for_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proof");
        assert_eq!(ask(&receipt(None), Some(path.clone())).await.unwrap_err().exit, Exit::TryAgain);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_node_that_says_another_code_or_place_is_not_believed() {
        let good = receipt(None);
        for bad in [
            Answer { leaf: "00".repeat(32), ..good.clone() },
            Answer { seq: 5, ..good.clone() },
            Answer { entry: "00".into(), ..good.clone() },
            Answer { entry: "x".into(), ..good.clone() },
        ] {
            assert_eq!(ask(&bad, None).await.unwrap_err().exit, Exit::Found);
        }
    }
}
