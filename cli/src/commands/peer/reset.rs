//! `weft peer reset …`: a channel that cannot go on, begun anew by both root sets (specs/clearing.md §17).

use crate::args::OpIdOption;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::roots::{self, Carried, RootSigning};
use crate::{sign, system};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::path::{Path, PathBuf};
use weft_api::{NewReset, ResetDraft, ResetState};
use weft_client::Client;
use weft_protocol::ceremony::{CEREMONY_VERSION, Request, UnitHint, What};
use weft_protocol::clearing::reset::Reset;
use weft_protocol::clearing::resetting::MAX_SIDE_BYTES;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Payload;
use weft_protocol::ids::{KeyBytes, LedgerId, UnitId};
use weft_protocol::ledger::identity::RootSet;
use weft_protocol::ledger::reset::{NoticeAct, ResetNotice};
use weft_protocol::time::moment;

const DAY_MS: u64 = 86_400_000;
/// A notice is given for so much longer than it has to run, so that it is not too short when it is written.
const SLACK_MS: u64 = 600_000;

/// Resets.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell everybody that the channel is to be reset; new payments over it stop
    Notice(Notice),
    /// Take the notice back
    TakeBack(Act),
    /// Close our side, once the notice has run out; this cannot be taken back
    Close(Act),
    /// Write what our side knows to a file, for the other network
    Side(Side),
    /// Write what both root sets sign (`weft key sign`), made of our side and theirs; it is handed in (`weft key submit`) here
    Draft(Draft),
    /// Show how it stands, and what it waits for
    Show(Show),
}

/// A notice.
#[derive(Debug, Args)]
pub(crate) struct Notice {
    /// What we call the network after the @
    peer: String,
    /// Not before so many days
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u8).range(7..=89))]
    days: u8,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Something about a notice that was given.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// What we call the network after the @
    peer: String,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// What our side knows.
#[derive(Debug, Args)]
pub(crate) struct Side {
    /// What we call the network after the @
    peer: String,
    /// Where it goes; the file must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A reset to be signed.
#[derive(Debug, Args)]
pub(crate) struct Draft {
    /// What we call the network after the @
    peer: String,
    /// What the other network has written with `weft peer reset side`
    #[arg(long, value_name = "FILE")]
    theirs: PathBuf,
    /// What is owed, where the two sides differ: above zero where we owe it; once for each unit of the accord
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    agreed: Vec<String>,
    /// A payment that whoever has decided it gives up
    #[arg(long, value_name = "CLAIM")]
    free: Vec<String>,
    /// Where the request goes; the file must not exist
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Days in which it can be signed and submitted
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u8).range(1..=34))]
    good_for: u8,
}

/// One peer.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// What we call the network after the @
    peer: String,
}

/// Runs one of them.
pub(super) async fn run(client: &Client, command: Command) -> Outcome {
    match command {
        Command::Notice(args) => {
            let ahead = u64::from(args.days).saturating_mul(DAY_MS).saturating_add(SLACK_MS);
            let not_before_ms = Some(now_ms(client).await?.saturating_add(ahead));
            act(client, (NoticeAct::Given, not_before_ms), &args.peer, &args.roots, &args.op_id).await
        }
        Command::TakeBack(args) => {
            act(client, (NoticeAct::TakenBack, None), &args.peer, &args.roots, &args.op_id).await
        }
        Command::Close(args) => {
            act(client, (NoticeAct::Closed, None), &args.peer, &args.roots, &args.op_id).await
        }
        Command::Side(args) => side(client, &args).await,
        Command::Draft(args) => draft(client, &args).await,
        Command::Show(args) => {
            let state = client.reset_state(&args.peer).await?;
            Ok(Report::new(said(&state), &state, "weft.reset/1"))
        }
    }
}

/// A notice is given by the clock of this machine.
async fn now_ms(_: &Client) -> Result<u64, Failure> {
    Ok(system::now_ms())
}

async fn act(
    client: &Client,
    (act, not_before_ms): (NoticeAct, Option<u64>),
    peer: &str,
    signing: &RootSigning,
    op_id: &OpIdOption,
) -> Outcome {
    let state = client.reset_state(peer).await?;
    let notice = ResetNotice { act, peer: sign::id(&state.ledger)?, n: state.incarnation, not_before_ms };
    let status = client.status().await?;
    let op_id = sign::op_id(op_id.op_id);
    let payload = Payload::ResetNotice(notice);
    match roots::carry_out(client, &status, signing, op_id, payload, Vec::new()).await? {
        Carried::Requested(report) => Ok(report),
        Carried::Done(_) => {
            let state = client.reset_state(peer).await?;
            Ok(Report::new(said(&state), &state, "weft.reset/1"))
        }
    }
}

fn said(state: &ResetState) -> String {
    let mut text = format!("{}: the channel was reset {} times.\n", clean(&state.name), state.incarnation);
    for (whose, notice) in [("our", &state.ours), ("their", &state.theirs)] {
        let Some(notice) = notice else { continue };
        let how = if notice.closed { "closed" } else { "open" };
        text.push_str(&format!(
            "{whose} notice: not before {}; that side is {how}\n",
            moment(notice.not_before_ms)
        ));
    }
    text.push_str(&clean(&state.waits));
    text
}

async fn side(client: &Client, args: &Side) -> Outcome {
    let state = client.reset_state(&args.peer).await?;
    let Some(side) = &state.side else {
        let what = "our side is not closed, so nothing can be agreed about it yet";
        return Err(Failure::new(Exit::Refused, "reset-not-closed", what, clean(&state.waits)));
    };
    roots::write_text(&args.out, &format!("{side}\n"))?;
    let text = format!("{} holds what our side knows. Send it to the other network.", args.out.display());
    Ok(Report::new(text, &state, "weft.reset/1"))
}

fn read_side(path: &Path) -> Result<String, Failure> {
    let advice = "name what the other network has written with `weft peer reset side`";
    let what = format!("{} cannot be used", clean(&path.display().to_string()));
    let refused = |why: String| Failure::new(Exit::Refused, "reset-side", what.clone(), advice).because(why);
    let length = std::fs::metadata(path).map_err(|e| refused(e.to_string()))?.len();
    // Hex, and the end of a line.
    if length > 2 * MAX_SIDE_BYTES as u64 + 2 {
        return Err(refused(format!("it has {length} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
    Ok(text.trim().to_owned())
}

async fn draft(client: &Client, args: &Draft) -> Outcome {
    let agreed = (!args.agreed.is_empty()).then(|| args.agreed.clone());
    let new = NewReset { theirs: read_side(&args.theirs)?, agreed, free: args.free.clone() };
    let draft = client.draft_reset(&args.peer, &new).await?;
    let status = client.status().await?;
    let request = request(&draft, &status, args)?;
    let report = roots::write_request(&args.request, &request)?;
    Ok(report.noting(draft.lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")))
}

fn request(draft: &ResetDraft, status: &weft_api::Status, args: &Draft) -> Result<Request, Failure> {
    let wrong = |why: String| {
        let what = "what the node wants signed is not a reset of this channel";
        Failure::new(Exit::Found, "reset-mismatch", what, "sign nothing; check the node").because(why)
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(draft.reset.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let reset = Reset::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
    let ledger: LedgerId = sign::id(&status.ledger)?;
    if reset.other(&ledger).is_none() {
        return Err(wrong("it is between other networks".to_owned()));
    }
    // The unit of a position is that of the accord's pair; its number differs on both sides, so its place stands for it.
    let hints = (0_u16..).zip(&reset.positions).map(|(pair, _)| UnitHint {
        unit: UnitId(pair),
        code: String::new(),
        scale: 0,
    });
    let good_ms = u64::from(args.good_for).saturating_mul(DAY_MS);
    Ok(Request {
        v: CEREMONY_VERSION,
        ledger,
        site: status.site.clone(),
        sets: vec![roots::in_force(status)?, set(&draft.their_roots)?],
        what: What::Reset(Blob(bytes)),
        not_after_ms: system::now_ms().saturating_add(good_ms),
        units: hints.collect(),
        names: Vec::new(),
    })
}

fn set(roots: &weft_api::Roots) -> Result<RootSet, Failure> {
    let keys: Result<Vec<KeyBytes>, Failure> = roots.keys.iter().map(|key| sign::id(key)).collect();
    Ok(RootSet { threshold: roots.threshold, keys: keys? })
}
