//! What only the root set may do: signed at once with the root key files that are here, or written as a request that
//! their holders sign elsewhere (specs/ceremony.md §3).

use crate::outcome::{Exit, Failure, Outcome, Report};
use crate::{keyfile, say, sign, system};
use clap::{ArgGroup, Args};
use data_encoding::HEXLOWER;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use weft_api::{Done, PostOp, Status};
use weft_client::Client;
use weft_protocol::ceremony::{CEREMONY_VERSION, Collected, Form, NameHint, Request, UnitHint, What, wrap};
use weft_protocol::encoding::{Blob, encode};
use weft_protocol::entry::{Op, Payload};
use weft_protocol::ids::{KeyBytes, OpId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::RootSet;
use weft_protocol::time;

/// How long a request may be signed when nothing else is said: people meet once a week.
const DEFAULT_DAYS: u8 = 14;
/// An operation lives 35 days at most (specs/entry.md §3); a day is left for clocks that differ.
const MAX_DAYS: u8 = 34;
const DAY_MS: u64 = 86_400_000;
/// Requests and signatures hold nothing secret.
const EVERYBODY_READS: u32 = 0o644;

/// How the root set signs.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("roots").required(true))]
pub(crate) struct RootSigning {
    /// A root key file of this network; give it several times where several must sign
    #[arg(long, value_name = "FILE", group = "roots")]
    pub(crate) root_key: Vec<PathBuf>,
    /// Write a request to this file, for the holders of the root keys to sign (`weft key sign`)
    #[arg(long, value_name = "FILE", group = "roots")]
    pub(crate) request: Option<PathBuf>,
    /// With --request: days in which it can be signed and submitted
    #[arg(long, value_name = "DAYS", default_value_t = DEFAULT_DAYS,
        value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_DAYS)))]
    pub(crate) good_for: u8,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Carried {
    /// Written to the ledger.
    Done(Done),
    /// Waits for signatures.
    Requested(Report),
}

#[derive(Serialize)]
struct Requested {
    request: String,
    id: String,
    need: u8,
    not_after_ms: u64,
}

fn too_few(have: usize, need: u8) -> Failure {
    let what = format!("{need} root keys must sign together, and {have} are here");
    let advice = "give --root-key for each, or use --request FILE so that their holders sign elsewhere";
    Failure::new(Exit::Refused, "root-quorum", what, advice)
}

fn not_a_root(path: &Path) -> Failure {
    let what = format!("{} is not one of the root keys that are needed", path.display());
    Failure::new(Exit::Refused, "unknown-signer", what, "see `weft key roots`")
}

impl RootSigning {
    /// Signs with root keys that are here.
    #[cfg(test)]
    pub(crate) fn here(root_key: PathBuf) -> Self {
        Self { root_key: vec![root_key], request: None, good_for: DEFAULT_DAYS }
    }

    /// The keys that are here; none when a request is written.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn keys(&self) -> Result<Vec<SecretKey>, Failure> {
        self.root_key.iter().map(|path| keyfile::read(path)).collect()
    }

    /// Until when a request is good.
    fn not_after_ms(&self) -> u64 {
        system::now_ms().saturating_add(u64::from(self.good_for).saturating_mul(DAY_MS))
    }

    /// Signs with the keys that are here, or `None` when a request has been asked for.
    ///
    /// # Errors
    /// When a key is no root key, or too few are here.
    pub(crate) fn collect(&self, request: &Request) -> Result<Option<Collected>, Failure> {
        if self.request.is_some() {
            return Ok(None);
        }
        let mut collected = Collected::default();
        for (path, key) in self.root_key.iter().zip(self.keys()?) {
            let signature = request.sign(&key).map_err(|_| not_a_root(path))?;
            request.collect(&mut collected, &signature).map_err(|_| not_a_root(path))?;
        }
        match request.progress(&collected).into_iter().find(|set| set.missing() > 0) {
            Some(set) => Err(too_few(set.have.len(), set.need)),
            None => Ok(Some(collected)),
        }
    }

    /// Writes the request to its file.
    ///
    /// # Errors
    /// When no file was asked for, it exists, or it cannot be written.
    pub(crate) fn write(&self, request: &Request) -> Outcome {
        write_request(self.request.as_deref().unwrap_or(Path::new("weft-request")), request)
    }
}

/// Writes a request to a file.
///
/// # Errors
/// When it exists, cannot be written, or says what this program has no words for.
pub(crate) fn write_request(path: &Path, request: &Request) -> Outcome {
    let mut words = say::heading(request);
    words.extend(say::lines(request)?);
    words.extend(say::how_to_sign(path));
    write_text(path, &wrap(Form::Request, &words.join("\n"), &request.to_bytes()))?;
    let need = request.sets.iter().map(|set| set.threshold).max().unwrap_or(1);
    let value = Requested {
        request: path.display().to_string(),
        id: request.id().to_string(),
        need,
        not_after_ms: request.not_after_ms,
    };
    let text = format!(
        "{} asks {need} of the root keys to sign; it is good until {}.\nTheir holders run `weft key sign {} --key \
             FILE`, and send back what it writes; then `weft key submit {} SIGNATURE…`.",
        path.display(),
        time::moment(request.not_after_ms),
        path.display(),
        path.display()
    );
    Ok(Report::new(text, &value, "weft.request/1"))
}

/// The root set that the node says is in force.
///
/// # Errors
/// When the node's text is none.
pub(crate) fn in_force(status: &Status) -> Result<RootSet, Failure> {
    let keys: Result<Vec<KeyBytes>, Failure> = status.roots.keys.iter().map(|key| sign::id(key)).collect();
    Ok(RootSet { threshold: status.roots.threshold, keys: keys? })
}

/// A request about this network.
///
/// # Errors
/// When an id in `status` is none.
pub(crate) fn request(
    status: &Status,
    what: What,
    not_after_ms: u64,
    new_set: Option<RootSet>,
    names: Vec<NameHint>,
) -> Result<Request, Failure> {
    let hint = |unit: &weft_api::Unit| UnitHint {
        unit: UnitId(unit.unit),
        code: unit.code.clone(),
        scale: unit.scale,
    };
    Ok(Request {
        v: CEREMONY_VERSION,
        ledger: sign::id(&status.ledger)?,
        site: status.site.clone(),
        sets: [in_force(status)?].into_iter().chain(new_set).collect(),
        what,
        not_after_ms,
        units: status.units.iter().map(hint).collect(),
        names,
    })
}

/// Signs an operation of the root set and posts it, or writes a request for it.
///
/// # Errors
/// When keys are missing or the node refuses.
pub(crate) async fn carry_out(
    client: &Client,
    status: &Status,
    signing: &RootSigning,
    op_id: OpId,
    payload: Payload,
    names: Vec<NameHint>,
) -> Result<Carried, Failure> {
    let new_set = match &payload {
        Payload::RootChanged(changed) => Some(changed.root.clone()),
        _ => None,
    };
    let not_after_ms = match signing.request {
        Some(_) => signing.not_after_ms(),
        None => system::now_ms().saturating_add(DAY_MS),
    };
    let op = Op { op_id, not_after_ms, payload, sidecars: Vec::new() };
    let what = What::Op(op.payload.kind().code(), Blob(op.to_bytes()));
    let request = request(status, what, not_after_ms, new_set, names)?;
    match signing.collect(&request)? {
        None => signing.write(&request).map(Carried::Requested),
        Some(collected) => post(client, &request, &collected).await.map(Carried::Done),
    }
}

/// Posts an operation with the signatures that were collected.
///
/// # Errors
/// When the node refuses.
pub(crate) async fn post(client: &Client, request: &Request, collected: &Collected) -> Result<Done, Failure> {
    let unreadable =
        || Failure::new(Exit::Refused, "request", "this request holds no operation", "make it again");
    let (Some(signed), Ok(Some(op))) = (request.signed_op(collected), request.op()) else {
        return Err(unreadable());
    };
    let (signed_op, sidecars) = (HEXLOWER.encode(&encode(&signed)), Vec::new());
    let op_id = op.op_id.to_string();
    let post = PostOp { signed_op, sidecars, expires_s: None, wait_s: None };
    client.post_op(&post, &op_id).await.map_err(|e| Failure::from(e).repeatable_with(&op_id))
}

/// Writes a text file that must not exist.
///
/// # Errors
/// When it does, or cannot be written.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(EVERYBODY_READS).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| {
        let what = format!("{} cannot be written", path.display());
        Failure::new(
            Exit::BadConfiguration,
            "file",
            what,
            "choose a new name in a folder that you may write to",
        )
        .because(e)
    })
}
