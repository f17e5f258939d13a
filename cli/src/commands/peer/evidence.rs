//! `weft peer evidence|unfreeze`: what proves that a network lied, and the decision to pay it again.

use crate::args::OpIdOption;
use crate::keyfile;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::sign;
use clap::{Args, Subcommand};
use std::io::Read;
use std::path::{Path, PathBuf};
use weft_api::{Evidence, NewEvidence};
use weft_client::Client;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::evidence::{FILE_EXTENSION, MAX_TEXT_BYTES};
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::evidence::FreezeLifted;
use weft_protocol::sidecar::Content;

/// Shows recorded evidence, or hands some in.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct List {
    #[command(subcommand)]
    action: Option<Action>,
    /// Write each as a file into this folder, for others to check
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// What to do with evidence other than to show it.
#[derive(Debug, Subcommand)]
enum Action {
    /// Hand in a file that somebody gave you: the node proves it, records it, stops new payments and tells its peers
    Add(Add),
}

/// Hands in evidence.
#[derive(Debug, Args)]
struct Add {
    /// A `.weft-evidence` file
    file: PathBuf,
}

/// Lifts a freeze.
#[derive(Debug, Args)]
pub(crate) struct Unfreeze {
    /// What we call the network after the @, or its ledger id
    peer: String,
    /// Why: kept with the decision
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The root key file of this network
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
    #[command(flatten)]
    op_id: OpIdOption,
}

pub(super) async fn run(client: &Client, args: &List) -> Outcome {
    match &args.action {
        Some(Action::Add(args)) => add(client, &args.file).await,
        None => list(client, args).await,
    }
}

async fn add(client: &Client, file: &Path) -> Outcome {
    let new = NewEvidence { file: read(file)? };
    let evidence = client.add_evidence(&new).await?;
    let text = format!("Recorded, and told to every peer but the accused.\n{}", shown(&evidence));
    Ok(Report::new(text, &evidence, "weft.evidence/1"))
}

fn read(path: &Path) -> Result<String, Failure> {
    let advice = "name a .weft-evidence file; `weft audit evidence FILE` says what is wrong with it";
    let cannot = |exit, why: String| {
        let what = format!("{} cannot be read", clean(&path.display().to_string()));
        Failure::new(exit, "evidence-file", what, advice).because(why)
    };
    let file = std::fs::File::open(path).map_err(|why| cannot(Exit::BadConfiguration, why.to_string()))?;
    let mut text = String::new();
    // One byte more than a file may have shows that it is too long.
    let read = file.take(MAX_TEXT_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|why| cannot(Exit::Refused, why.to_string()))?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(cannot(Exit::Refused, format!("it has more than {MAX_TEXT_BYTES} bytes")));
    }
    Ok(text)
}

async fn list(client: &Client, args: &List) -> Outcome {
    let found = client.evidence().await?;
    let mut text = String::new();
    for evidence in &found.evidence {
        text.push_str(&shown(evidence));
        if let Some(folder) = &args.out {
            let path = folder.join(format!("{}.{FILE_EXTENSION}", file_stem(&evidence.id)));
            write(&path, &evidence.file)?;
            text.push_str(&format!("  written to {}\n", clean(&path.display().to_string())));
        }
    }
    if found.evidence.is_empty() {
        text.push_str("Nothing is recorded against any network.");
    }
    Ok(Report::new(text, &found, "weft.evidence-list/1"))
}

fn shown(evidence: &Evidence) -> String {
    let stopped = if evidence.frozen { "payments are stopped" } else { "payments go on" };
    let mut text = format!("evidence {}, {stopped}\n", clean(&evidence.id));
    for sentence in &evidence.words {
        text.push_str(&format!("  {}\n", clean(sentence)));
    }
    text
}

/// An id as a file name; the node's text is not trusted to be one.
fn file_stem(id: &str) -> String {
    id.chars().filter(char::is_ascii_hexdigit).take(64).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|why| {
        let what = format!("{} cannot be written", path.display());
        let advice = "name a folder that is there and that you may write to";
        Failure::new(Exit::BadConfiguration, "evidence-file", what, advice).because(why)
    })
}

pub(super) async fn unfreeze(client: &Client, args: Unfreeze) -> Outcome {
    let key = keyfile::read(&args.root_key)?;
    let status = client.status().await?;
    let accused = find(client, &args.peer).await?;
    let content = Content { payee: accused.to_string(), memo: Some(args.reason), payer: None };
    let op_id = sign::op_id(args.op_id.op_id);
    let payload = Payload::FreezeLifted(FreezeLifted { accused });
    let op = sign::sign(&status, &key, Role::Root, op_id, payload, Some(&content))?;
    let id = op_id.to_string();
    let done = client.post_op(&op, &id).await.map_err(|e| Failure::from(e).repeatable_with(&id))?;
    let text = format!(
        "Payments with {} may go on. What was proven stays recorded. Receipt code {} (entry {}).",
        clean(&args.peer),
        done.leaf,
        done.seq
    );
    Ok(Report::new(text, &done, "weft.done/1"))
}

async fn find(client: &Client, name: &str) -> Result<LedgerId, Failure> {
    if let Ok(ledger) = name.parse() {
        return Ok(ledger);
    }
    let peers = client.peers().await?.peers;
    let Some(peer) = peers.into_iter().find(|peer| peer.alias == name) else {
        let what = format!("no network is called \"{name}\" here");
        return Err(Failure::new(Exit::Refused, "unknown-peer", what, "see `weft peer list`"));
    };
    sign::id(&peer.ledger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, peer, status};
    use data_encoding::HEXLOWER;
    use weft_api::{EvidenceList, PaymentState, Peers, PostOp};
    use weft_protocol::entry::{How, SignedOp};

    #[tokio::test]
    async fn a_freeze_is_lifted_by_the_root_key_and_with_a_reason() {
        let done = crate::commands::pay::tests::done(PaymentState::Done);
        let peer = weft_api::Peer { ledger: "33".repeat(32), ..peer("lansing") };
        let node = FakeNode::new()
            .answering("GET /api/v1/status", 200, &status())
            .answering("GET /api/v1/peers", 200, &Peers { schema: String::new(), peers: vec![peer] })
            .answering("POST /api/v1/ops", 201, &done)
            .start();
        let root_key = node.file("root");
        keyfile::create(&root_key).unwrap();
        let args = Unfreeze {
            peer: "lansing".into(),
            reason: "they have found the thief".into(),
            root_key,
            op_id: OpIdOption { op_id: None },
        };
        let report = unfreeze(&node.context().client().unwrap(), args).await.unwrap();
        assert!(report.text.starts_with("Payments with lansing may go on."), "{}", report.text);
        let post: PostOp = serde_json::from_value(node.body_of("POST /api/v1/ops")).unwrap();
        let (signed, op) = SignedOp::parse(&HEXLOWER.decode(post.signed_op.as_bytes()).unwrap()).unwrap();
        let accused = LedgerId([0x33; 32]);
        assert_eq!(op.payload, Payload::FreezeLifted(FreezeLifted { accused }));
        assert_eq!((signed.auth[0].role, signed.auth[0].how), (Role::Root, How::OwnKey));
        assert_eq!((op.sidecars.len(), post.sidecars.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_file_handed_in_goes_to_the_node_as_it_is_and_one_too_long_does_not() {
        let evidence = Evidence {
            id: "ab".repeat(32),
            accused: "33".repeat(32),
            kind: 3,
            frozen: true,
            words: vec!["The network has signed two different entries.".into()],
            file: String::new(),
        };
        let node = FakeNode::new().answering("POST /api/v1/peers/evidence", 201, &evidence).start();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.weft-evidence");
        std::fs::write(&file, "weft-evidence/1\n").unwrap();
        let client = node.context().client().unwrap();
        let args = List { action: Some(Action::Add(Add { file: file.clone() })), out: None };
        let report = run(&client, &args).await.unwrap();
        assert!(report.text.starts_with("Recorded, and told to every peer"), "{}", report.text);
        assert_eq!(node.body_of("POST /api/v1/peers/evidence")["file"], "weft-evidence/1\n");
        std::fs::write(&file, "x".repeat(MAX_TEXT_BYTES + 1)).unwrap();
        assert_eq!(run(&client, &args).await.unwrap_err().code, "evidence-file");
        assert_eq!(node.requests().len(), 1);
    }

    #[tokio::test]
    async fn evidence_is_shown_in_words_and_written_as_files() {
        let evidence = Evidence {
            id: "ab".repeat(32),
            accused: "33".repeat(32),
            kind: 4,
            frozen: true,
            words: vec!["The network has said both yes and no.".into()],
            file: "weft-evidence/1\n".into(),
        };
        let list = EvidenceList { schema: String::new(), evidence: vec![evidence] };
        let node = FakeNode::new().answering("GET /api/v1/peers/evidence", 200, &list).start();
        let folder = tempfile::tempdir().unwrap();
        let args = List { action: None, out: Some(folder.path().to_path_buf()) };
        let report = self::list(&node.context().client().unwrap(), &args).await.unwrap();
        assert!(report.text.contains("payments are stopped\n  The network has said"), "{}", report.text);
        let file = folder.path().join(format!("{}.weft-evidence", "ab".repeat(32)));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "weft-evidence/1\n");
    }
}
