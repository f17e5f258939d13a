//! `weft key sign` and `weft key submit`: root keys sign where they are kept, without a node, and whoever is at the
//! node hands the signatures in.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::{keyfile, roots, say, system};
use clap::Args;
use serde::Serialize;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use weft_api::{Confirm, RootSignature, SignedDispute, SignedReset};
use weft_client::Client;
use weft_protocol::ceremony::{Collected, Form, Request, Signature, What, unwrap, wrap};
use weft_protocol::ids::Signer;
use weft_protocol::time;

/// Longest file that is read as a request or a signature.
const MAX_FILE_BYTES: u64 = 65_536;
/// What a signer types.
const YES: &str = "yes";

/// Signs a request with a root key. It needs no node and no network.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The request
    request: PathBuf,
    /// The root key file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the signature goes; beside the request when absent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// For scripts: do not ask
    #[arg(long)]
    yes: bool,
}

/// Hands a request in at the node when enough have signed it.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The request
    request: PathBuf,
    /// The signatures
    #[arg(required = true)]
    signatures: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
    signer: String,
    request: String,
}

#[derive(Serialize)]
struct Submitted {
    request: String,
    signers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
}

fn unusable(path: &Path, why: impl ToString) -> Failure {
    let what = format!("{} cannot be used", path.display());
    Failure::new(Exit::Refused, "request", what, "ask for the whole file again").because(why)
}

fn stale(request: &Request) -> Failure {
    let what = format!("this request was good until {}", time::moment(request.not_after_ms));
    let advice = "make it again with the command that wrote it, and have it signed anew; nothing was changed";
    Failure::new(Exit::Refused, "op-expired", what, advice)
}

fn missing(request: &Request, collected: &Collected) -> Option<Failure> {
    let second = match request.what {
        What::Dispute(_) | What::Reset(_) => " of the other network's root set",
        What::Op(..) | What::Accord(..) => " of the new root set",
    };
    let progress = request.progress(collected);
    let lacking = progress.iter().zip(["", second]).filter(|(set, _)| set.missing() > 0);
    let parts: Vec<String> = lacking
        .map(|(set, name)| {
            let (have, need) = (set.have.len(), set.need);
            format!(
                "{have} of {need} signatures{name} are here; {} missing, from any of {}",
                set.missing(),
                say::open(&set.open)
            )
        })
        .collect();
    let advice = "have it signed (`weft key sign`), then submit it with all signatures; nothing was changed";
    let failure = || Failure::new(Exit::TryAgain, "root-quorum", parts.join("; "), advice);
    (!parts.is_empty()).then(failure)
}

/// Signs.
pub(super) fn sign(context: &Context, args: &Sign) -> Outcome {
    let request = read_request(&args.request)?;
    let key = keyfile::read(&args.key)?;
    let signature = request.sign(&key).map_err(|e| {
        let advice = "see which keys must sign in the request; give another key file";
        Failure::new(Exit::Refused, "unknown-signer", "this key cannot sign this request", advice).because(e)
    })?;
    let mut words = say::heading(&request);
    words.extend(say::lines(&request)?);
    if !args.yes {
        ask(context, &words.join("\n"))?;
    }
    let out = args.out.clone().unwrap_or_else(|| beside(&args.request, signature.signer));
    let text = format!("Signature of root key {} under request {}", signature.signer, signature.request);
    roots::write_text(&out, &wrap(Form::Signature, &text, &signature.to_bytes()))?;
    let value = Signed {
        signature: out.display().to_string(),
        signer: signature.signer.to_string(),
        request: signature.request.to_string(),
    };
    let report = Report::new(
        format!("{} holds your signature. Send it to whoever asked for it.", out.display()),
        &value,
        "weft.signature/1",
    );
    Ok(if args.yes { report.noting(words.join("\n")) } else { report })
}

/// Submits.
pub(super) async fn submit(client: &Client, args: &Submit) -> Outcome {
    let request = read_request(&args.request)?;
    let mut collected = Collected::default();
    for path in &args.signatures {
        let bytes = unwrap(Form::Signature, &read(path)?).map_err(|e| unusable(path, e))?;
        let signature = Signature::parse(&bytes).map_err(|e| unusable(path, e))?;
        request.collect(&mut collected, &signature).map_err(|e| unusable(path, e))?;
    }
    if let Some(failure) = missing(&request, &collected) {
        return Err(failure);
    }
    check_node(client, &request).await?;
    let mut value = Submitted {
        request: request.id().to_string(),
        signers: collected.iter().map(|(signer, _)| signer.to_string()).collect(),
        seq: None,
        leaf: None,
    };
    let signers = value.signers.len();
    let one = |(signer, sig): (Signer, weft_protocol::ids::SigBytes)| RootSignature {
        signer: signer.to_string(),
        sig: sig.to_string(),
    };
    let text = match &request.what {
        What::Op(..) => {
            let done = roots::post(client, &request, &collected).await?;
            (value.seq, value.leaf) = (Some(done.seq), Some(done.leaf.clone()));
            format!("Done, with {signers} signatures. Receipt code {} (entry {}).", done.leaf, done.seq)
        }
        What::Accord(_, pairing, words) => {
            let confirm = Confirm { words: words.clone(), signatures: collected.iter().map(one).collect() };
            client.confirm(pairing, &confirm).await?;
            format!(
                "Our side has signed, with {signers} keys. Payments can go when the other network has too: see `weft peer list`."
            )
        }
        What::Reset(reset) => {
            let signed = SignedReset {
                reset: data_encoding::HEXLOWER.encode(&reset.0),
                signatures: collected.iter().map(one).collect(),
            };
            let stands = client.reset(&signed).await?;
            format!(
                "Handed in, with {signers} signatures: {}. See `weft peer reset show`.",
                clean(&stands.waits)
            )
        }
        What::Dispute(dispute) => {
            let signed = SignedDispute {
                dispute: data_encoding::HEXLOWER.encode(&dispute.0),
                signatures: collected.iter().map(one).collect(),
            };
            let claim = client.dispute(&signed).await?;
            format!(
                "The hop of payment {} is closed here, with {signers} signatures; the other network's node follows by itself: \
                 see `weft claims --all`.",
                claim.claim
            )
        }
    };
    Ok(Report::new(text, &value, "weft.submitted/1"))
}

/// The request is for the node that is asked, and its root set has not changed since.
async fn check_node(client: &Client, request: &Request) -> Result<(), Failure> {
    let status = client.status().await?;
    if status.ledger != request.ledger.to_string() {
        let what = format!(
            "this request is for the ledger {}, and this node keeps {}",
            request.ledger, status.ledger
        );
        return Err(Failure::new(
            Exit::Refused,
            "ledger-mismatch",
            what,
            "name the right node with --data or --url",
        ));
    }
    if request.sets.first() != Some(&roots::in_force(&status)?) {
        let what = "the root set has changed since this request was made";
        let advice = "make the request again, and have it signed by the keys now in force";
        return Err(Failure::new(Exit::Refused, "root-set-changed", what, advice));
    }
    Ok(())
}

fn read_request(path: &Path) -> Result<Request, Failure> {
    let bytes = unwrap(Form::Request, &read(path)?).map_err(|e| unusable(path, e))?;
    let request = Request::parse(&bytes).map_err(|e| unusable(path, e))?;
    if request.not_after_ms < system::now_ms() { Err(stale(&request)) } else { Ok(request) }
}

fn read(path: &Path) -> Result<String, Failure> {
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|e| unusable(path, e))
}

/// `rule.weft-request` is signed as `rule.weft-request.<signer>.weft-signature`.
fn beside(request: &Path, signer: Signer) -> PathBuf {
    let mut name = request.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{signer}.weft-signature"));
    request.with_file_name(name)
}

fn ask(context: &Context, words: &str) -> Result<(), Failure> {
    if !context.can_ask {
        let advice = "run it at a terminal, or read the request and add --yes";
        return Err(Failure::new(Exit::Usage, "not-confirmed", "there is no terminal to ask at", advice));
    }
    let declined = || Failure::new(Exit::Refused, "not-confirmed", "nothing was signed", "");
    let mut stderr = std::io::stderr().lock();
    let question = format!("{words}\n\nIs this what you agreed to? Type {YES} to sign: ");
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(|_| declined())?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|_| declined())?;
    if line.trim().eq_ignore_ascii_case(YES) { Ok(()) } else { Err(declined()) }
}
