//! `weft audit prove` and `weft audit check-proof`: one entry, shown to stand in the published ledger.
//!
//! A proof is a C2SP tlog-proof file, so any tlog tool can check it; its extra data is the entry itself, so that this
//! command needs nothing but the file and a key from elsewhere.

use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use clap::Args;
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use weft_audit::{CheckedProof, ProofError, ReceiptError, check_proof, receipt, receipt_with_entry};
use weft_protocol::ids::Hash;
use weft_protocol::log::note::VerifierKey;
use weft_protocol::log::receipt::MAX_RECEIPT_BYTES;
use weft_protocol::log::witness::Policy;
use weft_protocol::log::witness::policy::MAX_POLICY_BYTES;
use weft_protocol::time::Day;

/// Writes the proof that an entry stands in the ledger.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// A bundle, or the public folder of a node
    dir: PathBuf,
    /// Place of the entry
    #[arg(value_name = "ENTRY")]
    seq: u64,
    /// The file to write; it must be new. Without it the proof is the output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave the entry itself out; whoever checks must have it, or its receipt code
    #[arg(long)]
    bare: bool,
}

/// Checks the proof of an entry.
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// A `.tlog-proof` file
    file: PathBuf,
    /// The verifier key of the ledger, from elsewhere than the file
    #[arg(long, value_name = "VKEY")]
    key: VerifierKey,
    /// Whose cosignatures the checkpoint must have: a tlog-policy file
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The receipt code of the entry, where the file does not hold the entry
    #[arg(long, value_name = "HASH")]
    leaf: Option<Hash>,
}

pub(super) fn prove(args: &Prove) -> Outcome {
    let made = if args.bare { receipt(&args.dir, args.seq) } else { receipt_with_entry(&args.dir, args.seq) };
    let proof = made.map_err(no_proof)?;
    let value = json!({ "entry": args.seq, "proof": proof });
    let Some(out) = &args.out else { return Ok(Report::new(proof, &value, "weft.audit-proof/1")) };
    let written = OpenOptions::new().write(true).create_new(true).open(out).and_then(|mut file| {
        file.write_all(proof.as_bytes())?;
        file.sync_all()
    });
    let shown = clean(&out.display().to_string());
    written.map_err(|why| {
        let what = format!("the proof cannot be written to {shown}");
        let advice = "name a file that is not there yet, in a folder that you may write to";
        Failure::new(Exit::BadConfiguration, "proof-file", what, advice).because(why)
    })?;
    let text =
        format!("The proof of entry {} is in {shown}. Check it with `weft audit check-proof`.", args.seq);
    Ok(Report::new(text, &value, "weft.audit-proof/1"))
}

fn no_proof(error: ReceiptError) -> Failure {
    let (exit, advice) = match &error {
        ReceiptError::Read { .. } => (Exit::CouldNotCheck, "name a bundle, or the public folder of a node"),
        ReceiptError::LeftOut { .. } => (Exit::Refused, "ask the member for the receipt made at the time"),
        ReceiptError::NotCovered { .. } => (Exit::TryAgain, "wait for a checkpoint that covers it"),
        ReceiptError::Note(_)
        | ReceiptError::Checkpoint(_)
        | ReceiptError::Tile { .. }
        | ReceiptError::Entry { .. }
        | ReceiptError::Prove(_) => (Exit::Found, "see `weft audit verify`"),
    };
    Failure::new(exit, "no-proof", "no proof was made", advice).because(error)
}

pub(super) fn check(args: &CheckProof) -> Outcome {
    let bytes = read(&args.file, MAX_RECEIPT_BYTES)?;
    let policy = args.policy.as_deref().map(read_policy).transpose()?;
    let checked = check_proof(&bytes, &args.key, args.leaf.as_ref(), policy.as_ref());
    checked.map(|checked| shown(&checked)).map_err(|error| {
        let (exit, advice) = match &error {
            ProofError::NoLeaf => (Exit::CouldNotCheck, "name the receipt code of the entry with --leaf"),
            ProofError::Receipt(_)
            | ProofError::Verify(_)
            | ProofError::OtherLeaf { .. }
            | ProofError::Quorum(_) => {
                (Exit::Found, "do not rely on it; ask for the proof, and the key, once more")
            }
        };
        Failure::new(exit, "proof-unproven", "the file does not prove its entry", advice).because(error)
    })
}

fn read(path: &Path, cap: usize) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than a file may have shows that it is too long.
        File::open(path)?.take(cap as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|why: io::Error| {
        let what = format!("{} cannot be read", clean(&path.display().to_string()));
        Failure::new(Exit::CouldNotCheck, "proof-file", what, "name a file that you may read").because(why)
    })
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    Policy::parse(&read(path, MAX_POLICY_BYTES)?).map_err(|why| {
        let advice = "correct the policy, or ask for another";
        Failure::new(Exit::CouldNotCheck, "policy", "the policy cannot be used", advice).because(why)
    })
}

fn shown(checked: &CheckedProof) -> Report {
    let what = checked.entry.as_ref().map_or_else(String::new, |entry| {
        let day = Day::of_ms(entry.body().time_ms);
        format!(" ({}, written {day})", entry.kind().name())
    });
    let mut text = format!(
        "Entry {}{what} stands in {}: its checkpoint of {} entries is signed by the key you gave.\n",
        checked.index,
        clean(&checked.origin),
        checked.size
    );
    if let Some(words) = &checked.witnesses {
        text.push_str(&format!("Its checkpoint is {}.\n", clean(words)));
    }
    let value = json!({
        "entry": checked.index, "leaf": checked.leaf.to_string(), "origin": checked.origin, "size": checked.size,
        "root": checked.root.to_string(), "witnesses": checked.witnesses,
        "kind": checked.entry.as_ref().map(|entry| entry.kind().name()),
        "time_ms": checked.entry.as_ref().map(|entry| entry.body().time_ms),
    });
    Report::new(text, &value, "weft.audit-check-proof/1")
}
