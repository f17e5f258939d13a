//! `weft dispute …`: a hop of a payment that both root sets close, by file.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome};
use crate::{roots, sign, system};
use clap::{Args, Subcommand, ValueEnum};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::path::PathBuf;
use weft_api::{DisputeDraft, Roots};
use weft_protocol::ceremony::{CEREMONY_VERSION, Request, UnitHint, What};
use weft_protocol::clearing::dispute::Dispute;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::{KeyBytes, LedgerId, UnitId};
use weft_protocol::ledger::identity::RootSet;

/// Disputes.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write what both root sets sign (`weft key sign`) to close one hop of a payment; it is handed in (`weft key submit`)
    /// at the node of the network that would receive
    Draft(Draft),
}

/// What becomes of the hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wish {
    /// Nothing is owed
    Free,
    /// The network that proposed it owes it
    Bound,
}

/// A dispute to be signed.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// The payment's id, from `weft claims`
    claim: String,
    /// What becomes of the hop
    #[arg(long, value_enum)]
    outcome: Wish,
    /// The network at the other end, where two hops of it are open here
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Which part, of a payment of several
    #[arg(long, default_value_t = 0)]
    part: u8,
    /// Where the request goes; the file must not exist
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Days in which it can be signed and submitted
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u8).range(1..=34))]
    good_for: u8,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, command: Command) -> Outcome {
    let Command::Draft(args) = command;
    let client = context.client()?;
    let outcome = match args.outcome {
        Wish::Free => "free",
        Wish::Bound => "bound",
    };
    let draft = client.draft_dispute(&args.claim, outcome, args.part, args.peer.as_deref()).await?;
    let request = request(&draft, &args)?;
    roots::write_request(&args.request, &request)
}

fn request(draft: &DisputeDraft, args: &Draft) -> Result<Request, Failure> {
    let wrong = |why: String| {
        let what = "what the node wants signed is not a dispute about this payment";
        Failure::new(Exit::Found, "dispute-mismatch", what, "sign nothing; check the node").because(why)
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(draft.dispute.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let dispute = Dispute::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
    let creditor: LedgerId = sign::id(&draft.creditor)?;
    if dispute.creditor != creditor || dispute.claim.to_string() != args.claim.to_ascii_lowercase() {
        return Err(wrong("it names another payment, or another network".to_owned()));
    }
    let decimals = draft.amount.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    // The unit of a dispute is that of the accord's pair; its number differs on both sides, so its place stands for it.
    let hint = UnitHint {
        unit: UnitId(u16::from(dispute.pair)),
        code: draft.unit.clone(),
        scale: u8::try_from(decimals).unwrap_or(0),
    };
    Ok(Request {
        v: CEREMONY_VERSION,
        ledger: creditor,
        site: draft.creditor_name.clone(),
        sets: vec![set(&draft.creditor_roots)?, set(&draft.debtor_roots)?],
        what: What::Dispute(Blob(bytes)),
        not_after_ms: system::now_ms().saturating_add(u64::from(args.good_for).saturating_mul(86_400_000)),
        units: vec![hint],
        names: Vec::new(),
    })
}

fn set(roots: &Roots) -> Result<RootSet, Failure> {
    let keys: Result<Vec<KeyBytes>, Failure> = roots.keys.iter().map(|key| sign::id(key)).collect();
    Ok(RootSet { threshold: roots.threshold, keys: keys? })
}
