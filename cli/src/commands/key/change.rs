//! `weft key rotate`, `revoke`, `bind-recovery` and `change-roots`: what the root set does with keys (specs/kinds.md §1).

use crate::args::OpIdOption;
use crate::outcome::{Exit, Failure, Outcome, Report};
use crate::roots::{self, Carried, RootSigning};
use crate::{say, sign};
use clap::{Args, ValueEnum};
use std::io::Read;
use std::path::{Path, PathBuf};
use weft_api::Status;
use weft_client::Client;
use weft_protocol::entry::Payload;
use weft_protocol::ids::{Hash, KeyBytes};
use weft_protocol::ledger::identity::{KeyBound, KeyRevoked, LastGood, Purpose, RootChanged, RootSet};
use weft_protocol::ledger::witness::is_origin_of;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;

/// Longest file that is read as a checkpoint: a few lines, and a signature of each witness.
const MAX_CHECKPOINT_BYTES: u64 = 65_536;

/// What a key of the node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeKey {
    /// Signs entries and checkpoints
    Log,
    /// Signs cosignatures
    Witness,
    /// Opens sealed names and memos
    Seal,
    /// Names the node on the network
    Libp2p,
    /// Acts for people without keys
    Desk,
}

impl NodeKey {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Log => Purpose::Log,
            Self::Witness => Purpose::Witness,
            Self::Seal => Purpose::Seal,
            Self::Libp2p => Purpose::Libp2p,
            Self::Desk => Purpose::Desk,
        }
    }
}

/// Puts a fresh key of the node in the place of one in force. What the old one has signed stays good.
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Which key
    which: NodeKey,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Ends the trust in a key of the node that was lost or stolen, and binds a fresh one.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Which key
    which: NodeKey,
    /// Its number; the one in force when absent
    #[arg(long, value_name = "N")]
    epoch: Option<u32>,
    /// The last checkpoint, as the witnesses have signed it, that this network stands by
    #[arg(long, value_name = "FILE")]
    last_good: PathBuf,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Puts a recovery key in force. Its secret stays with people, away from the node.
#[derive(Debug, Args)]
pub(crate) struct BindRecovery {
    /// Its public half, as `weft key show FILE --recovery` prints it
    #[arg(value_name = "HEX", value_parser = parse_public)]
    key: KeyBytes,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

/// Puts another root set in force. Enough of the old keys must sign, and enough of the new ones.
#[derive(Debug, Args)]
pub(crate) struct ChangeRoots {
    /// Public half of a root key of the new set; give every one, those that stay too
    #[arg(long = "key", value_name = "HEX", required = true, value_parser = parse_public)]
    keys: Vec<KeyBytes>,
    /// How many of them must sign together
    #[arg(long, value_name = "M")]
    threshold: u8,
    /// Fixes the set that comes after this one: public half of one of its keys; give every one
    #[arg(long = "next-key", value_name = "HEX", value_parser = parse_public, requires = "next_threshold")]
    next_keys: Vec<KeyBytes>,
    /// How many of the set after this one must sign together
    #[arg(long, value_name = "M", requires = "next_keys")]
    next_threshold: Option<u8>,
    #[command(flatten)]
    roots: RootSigning,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn parse_public(text: &str) -> Result<KeyBytes, String> {
    text.parse().map_err(|_| "a public key is 64 hex digits, as `weft key show FILE` prints them".to_owned())
}

fn rotated(which: NodeKey, epoch: u32) -> String {
    let name = say::purpose(which.purpose());
    let restart = "\nRestart weftd now: its peers expect the new key, and it is used from the next start on.";
    let more = if which == NodeKey::Libp2p { restart } else { "" };
    format!("The {name} key number {epoch} is in force.{more}")
}

/// Rotates.
pub(super) async fn rotate(client: &Client, args: Rotate) -> Outcome {
    let status = client.status().await?;
    let (purpose, name) = (args.which.purpose(), say::purpose(args.which.purpose()));
    let next = client.next_key(name).await?;
    let payload = Payload::KeyBound(KeyBound { purpose, epoch: next.epoch, key: sign::id(&next.key)? });
    let text = rotated(args.which, next.epoch);
    carry(client, &status, &args.roots, args.op_id, payload, text).await
}

/// Revokes.
pub(super) async fn revoke(client: &Client, args: Revoke) -> Outcome {
    let status = client.status().await?;
    let (purpose, name) = (args.which.purpose(), say::purpose(args.which.purpose()));
    let current = status.bound.iter().find(|bound| bound.purpose == name).map(|bound| bound.epoch);
    let epoch = args.epoch.or(current).unwrap_or(0);
    let last_good = checkpoint(&args.last_good, &status)?;
    let next = match Some(epoch) == current {
        true => Some(client.next_key(name).await?),
        false => None,
    };
    let replacement = next.as_ref().map(|next| sign::id(&next.key)).transpose()?;
    let payload = Payload::KeyRevoked(KeyRevoked { purpose, epoch, last_good, replacement });
    let text = match &next {
        Some(next) => {
            format!("The {name} key number {epoch} is revoked. {}", rotated(args.which, next.epoch))
        }
        None => format!("The {name} key number {epoch} is revoked."),
    };
    carry(client, &status, &args.roots, args.op_id, payload, text).await
}

/// Binds a recovery key.
pub(super) async fn bind_recovery(client: &Client, args: BindRecovery) -> Outcome {
    let status = client.status().await?;
    let name = say::purpose(Purpose::Recovery);
    let current = status.bound.iter().find(|bound| bound.purpose == name).map(|bound| bound.epoch);
    let epoch = current.map_or(0, |epoch| epoch.saturating_add(1));
    let payload = Payload::KeyBound(KeyBound { purpose: Purpose::Recovery, epoch, key: args.key });
    let text = format!(
        "The recovery key number {epoch} is in force. Peers that keep our entries get them sealed to it from now on. Keep its \
         words on paper with two people, and the file away from the node."
    );
    carry(client, &status, &args.roots, args.op_id, payload, text).await
}

/// Changes the root set.
pub(super) async fn change_roots(client: &Client, args: ChangeRoots) -> Outcome {
    let status = client.status().await?;
    let root = set(args.threshold, args.keys)?;
    let next_root = match args.next_threshold {
        Some(threshold) => Some(set(threshold, args.next_keys)?.digest()),
        None => None,
    };
    let text = format!(
        "The new root set is in force: {} of {} keys sign together.",
        root.threshold,
        root.keys.len()
    );
    let payload = Payload::RootChanged(RootChanged { root, next_root });
    carry(client, &status, &args.roots, args.op_id, payload, text).await
}

fn set(threshold: u8, mut keys: Vec<KeyBytes>) -> Result<RootSet, Failure> {
    keys.sort_unstable();
    let set = RootSet { threshold, keys };
    set.check().map_err(|e| {
        Failure::new(Exit::Refused, &e.code(), "this is no root set", "correct the keys or the threshold")
            .because(e)
    })?;
    Ok(set)
}

async fn carry(
    client: &Client,
    status: &Status,
    signing: &RootSigning,
    op_id: OpIdOption,
    payload: Payload,
    text: String,
) -> Outcome {
    let op_id = sign::op_id(op_id.op_id);
    match roots::carry_out(client, status, signing, op_id, payload, Vec::new()).await? {
        Carried::Done(done) => {
            let receipt = format!("{text}\nReceipt code {} (entry {}).", done.leaf, done.seq);
            Ok(Report::new(receipt, &done, "weft.done/1"))
        }
        Carried::Requested(report) => Ok(report),
    }
}

/// Size and root of a checkpoint file of this ledger. Its signatures are for auditors: who revokes a key may not be
/// able to rely on it.
fn checkpoint(path: &Path, status: &Status) -> Result<LastGood, Failure> {
    let unusable = |why: String| {
        let what = format!("{} is no checkpoint of this ledger", path.display());
        let advice = "give a checkpoint that you or a witness kept from before";
        Failure::new(Exit::Refused, "last-good", what, advice).because(why)
    };
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_CHECKPOINT_BYTES).read_to_end(&mut bytes));
    read.map_err(|e| unusable(e.to_string()))?;
    let note = Note::parse(&bytes).map_err(|e| unusable(e.to_string()))?;
    let checkpoint: Checkpoint =
        note.text().parse().map_err(|_| unusable("its text is no checkpoint".to_owned()))?;
    let ledger: weft_protocol::ids::LedgerId = sign::id(&status.ledger)?;
    if !is_origin_of(checkpoint.origin().as_str(), &ledger) {
        return Err(unusable(format!("it is one of {}", checkpoint.origin())));
    }
    let root: Hash = checkpoint.root();
    Ok(LastGood { size: checkpoint.size(), root })
}
