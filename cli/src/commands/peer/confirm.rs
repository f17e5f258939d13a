//! Confirming a pairing: the operator sees the terms and six words, compares them with the other operator by
//! voice, and only then does the root key sign the accord's exact bytes.
//!
//! Words that differ mean that somebody stands between the two networks; nothing is signed then. The bytes must
//! name our ledger and the other one, so a node cannot have something else signed.

use super::Signing;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::{progress, roots, sign};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::io::{BufRead, Write};
use std::time::Duration;
use weft_api::{Confirm, Pairing, RootSignature};
use weft_client::Client;
use weft_protocol::ceremony::What;
use weft_protocol::clearing::accord::Accord;
use weft_protocol::encoding::Blob;
use weft_protocol::federation::invite::WORDS;
use weft_protocol::ids::{LedgerId, SigBytes, Signer};

/// How often the node is asked whether the other side has confirmed.
const STEP: Duration = Duration::from_millis(500);
/// State of a pairing that we have signed already.
const SIGNED: &str = "waiting-for-them";
/// State of a pairing that nobody can confirm any more.
const EXPIRED: &str = "expired";
/// What an operator types to confirm.
const YES: &str = "yes";

fn question(pairing: &Pairing) -> String {
    let mut out = format!("Terms with {} (ledger {}):\n", clean(&pairing.site), clean(&pairing.ledger));
    for term in &pairing.terms {
        out.push_str(&format!("  - {}\n", clean(term)));
    }
    out.push_str(&format!(
        "\nYour six words:\n\n    {}\n\nCall the other operator, by a number that you know, and read the words to each \
         other.\nDo they see the same six words, and do you agree to the terms? Type {YES} to sign: ",
        clean(&pairing.words.join(" "))
    ));
    out
}

fn paired(pairing: &Pairing, alias: &str) -> String {
    format!("{} is a peer now: pay with NAME@{}.", clean(&pairing.site), clean(alias))
}

fn still_waiting(pairing: &Pairing, seconds: u64) -> Failure {
    let what = format!("{} has not confirmed within {seconds} s", clean(&pairing.site));
    let advice = "nothing is lost: we have signed; see `weft peer list`, and confirm again to wait longer";
    Failure::new(Exit::TryAgain, "waiting-for-them", what, advice)
}

fn no_words(pairing: &Pairing) -> Failure {
    let what = format!("the node of {} has not shown its part of the words yet", clean(&pairing.site));
    Failure::new(Exit::TryAgain, "no-words", what, "see whether it runs, then try again")
}

fn expired(pairing: &Pairing) -> Failure {
    let what = format!("the pairing with {} has expired", clean(&pairing.site));
    Failure::new(Exit::Refused, "pairing-expired", what, "invite again: `weft peer invite`")
}

/// The pairing that is meant.
///
/// # Errors
/// When there is none, or several and no id.
pub(super) async fn waiting(client: &Client, id: Option<&str>) -> Result<Pairing, Failure> {
    let pairings = client.pairings().await?.pairings;
    let advice = "see `weft peer list`";
    let missing = |what: String| Failure::new(Exit::Refused, "unknown-pairing", what, advice);
    let Some(id) = id else {
        let mut pairings = pairings.into_iter();
        return match (pairings.next(), pairings.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(missing("no pairing waits; the other operator has not joined yet".to_owned())),
            (Some(_), Some(_)) => {
                Err(Failure::new(Exit::Usage, "pairing-id", "several pairings wait: name one", advice))
            }
        };
    };
    pairings.into_iter().find(|p| p.id == id).ok_or_else(|| missing(format!("no pairing {id} waits")))
}

/// Whether the root key can be read at all.
///
/// # Errors
/// When a key file cannot be read.
pub(super) fn check_key(signing: &Signing) -> Result<(), Failure> {
    signing.roots.keys().map(drop)
}

/// Compares, signs, and waits until payments can go.
pub(super) async fn run(context: &Context, client: &Client, pairing: Pairing, signing: &Signing) -> Outcome {
    let time = Duration::from_secs(signing.wait);
    let ready = tokio::time::timeout(time, with_words(client, pairing.clone()));
    let ready = progress::during(context, "waiting for the other node", ready).await;
    let pairing = ready.map_err(|_time_is_over| no_words(&pairing))??;
    let mut now = match pairing.state.as_str() {
        SIGNED => pairing.clone(),
        _ => match sign_accord(context, client, &pairing, signing).await? {
            Signed::Confirmed(pairing) => *pairing,
            Signed::Requested(report) => return Ok(report),
        },
    };
    let opened = tokio::time::timeout(time, open(client, &pairing));
    match progress::during(context, "waiting for the other operator", opened).await {
        Ok(alias) => {
            let alias = alias?;
            "done".clone_into(&mut now.state);
            Ok(Report::new(paired(&pairing, &alias), &now, "weft.pairing/1"))
        }
        Err(_time_is_over) => Err(still_waiting(&pairing, signing.wait)),
    }
}

/// The pairing once there is something to compare: the words need a number that the other node shows last.
async fn with_words(client: &Client, mut pairing: Pairing) -> Result<Pairing, Failure> {
    while pairing.words.is_empty() && pairing.state != EXPIRED {
        tokio::time::sleep(STEP).await;
        pairing = waiting(client, Some(&pairing.id)).await?;
    }
    if pairing.state == EXPIRED { Err(expired(&pairing)) } else { Ok(pairing) }
}

/// What our side has come to.
enum Signed {
    /// The node has our signatures.
    Confirmed(Box<Pairing>),
    /// The holders of the root keys are asked.
    Requested(Report),
}

async fn sign_accord(
    context: &Context,
    client: &Client,
    pairing: &Pairing,
    signing: &Signing,
) -> Result<Signed, Failure> {
    signing.roots.keys()?;
    let accord = accord_bytes(client, pairing).await?;
    compare(context, pairing, signing.words.as_deref())?;
    let what = What::Accord(Blob(accord), pairing.id.clone(), pairing.words.clone());
    let request = roots::request(&client.status().await?, what, pairing.expires_ms, None, Vec::new())?;
    let Some(collected) = signing.roots.collect(&request)? else {
        return signing.roots.write(&request).map(Signed::Requested);
    };
    let one = |(signer, sig): (Signer, SigBytes)| RootSignature {
        signer: signer.to_string(),
        sig: sig.to_string(),
    };
    let confirm = Confirm { words: pairing.words.clone(), signatures: collected.iter().map(one).collect() };
    Ok(Signed::Confirmed(Box::new(client.confirm(&pairing.id, &confirm).await?)))
}

/// The bytes to sign, when they are an accord between our ledger and the one that is shown.
async fn accord_bytes(client: &Client, pairing: &Pairing) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| {
        let what = "what the node wants signed is not an accord with the network that it shows";
        let advice = "sign nothing; check the node";
        Failure::new(Exit::Found, "accord-mismatch", what, advice).because(why)
    };
    let us: LedgerId = sign::id(&client.status().await?.ledger)?;
    let them: LedgerId = sign::id(&pairing.ledger)?;
    let bytes = HEXLOWER_PERMISSIVE.decode(pairing.accord.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let accord = Accord::parse(&bytes).map_err(|e| wrong(e.to_string()))?;
    match accord.other(&us) {
        Some((other, _)) if other == them => Ok(bytes),
        Some((other, _)) => Err(wrong(format!("it is with ledger {other}"))),
        None => Err(wrong(format!("it is between ledgers {} and {}", accord.a, accord.b))),
    }
}

/// Fails unless the words were compared and are the same.
fn compare(context: &Context, pairing: &Pairing, heard: Option<&str>) -> Result<(), Failure> {
    if pairing.words.len() != WORDS {
        let what = format!("the node shows {} words instead of {WORDS}", pairing.words.len());
        return Err(Failure::new(Exit::Found, "words-differ", what, "sign nothing; check the node"));
    }
    match heard {
        Some(heard) if same(&pairing.words, heard) => Ok(()),
        Some(_) => {
            let advice = "sign nothing: somebody may stand between you; invite again over another network";
            let what = format!("the words differ from those of {}", clean(&pairing.site));
            let why = format!("here they are: {}", pairing.words.join(" "));
            Err(Failure::new(Exit::Refused, "words-differ", what, advice).because(why))
        }
        None if !context.can_ask => {
            let what = "the words must be compared, and there is no terminal to ask at";
            let advice = "run it at a terminal, or give the words that the other operator sees with --words";
            Err(Failure::new(Exit::Usage, "words-needed", what, advice))
        }
        None => ask(&question(pairing)),
    }
}

/// Words are the same whatever their case and the blanks between them.
fn same(ours: &[String], heard: &str) -> bool {
    let heard: Vec<String> = heard.split_whitespace().map(str::to_lowercase).collect();
    ours.iter().map(|word| word.to_lowercase()).eq(heard)
}

fn ask(question: &str) -> Result<(), Failure> {
    let declined = || {
        let advice = "if the words differ, somebody may stand between you: invite again over another network";
        Failure::new(Exit::Refused, "not-confirmed", "nothing was signed", advice)
    };
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(|_| declined())?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|_| declined())?;
    if line.trim().eq_ignore_ascii_case(YES) { Ok(()) } else { Err(declined()) }
}

/// Waits until payments can go, and gives the peer's alias.
async fn open(client: &Client, pairing: &Pairing) -> Result<String, Failure> {
    loop {
        let peers = client.peers().await?.peers;
        if let Some(peer) = peers.into_iter().find(|peer| peer.ledger == pairing.ledger && peer.open) {
            return Ok(peer.alias);
        }
        let pairings = client.pairings().await?.pairings;
        if pairings.iter().any(|now| now.id == pairing.id && now.state == EXPIRED) {
            return Err(expired(pairing));
        }
        tokio::time::sleep(STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyfile;
    use crate::roots::RootSigning;
    use crate::testing::{FakeNode, Running, accord, pairing, peer, with_root};
    use weft_api::{Pairings, Peers};
    use weft_protocol::keys::{ACCORD, SecretKey};

    const SAME: &str = "Ant bee  cat dog elk fox";

    fn node(pairing: &Pairing) -> Running {
        let pairings = Pairings { schema: String::new(), pairings: vec![pairing.clone()] };
        let peers = |open| {
            let peer = weft_api::Peer { ledger: pairing.ledger.clone(), open, ..peer("york") };
            Peers { schema: String::new(), peers: vec![peer] }
        };
        FakeNode::new()
            .answering("GET /api/v1/status", 200, &with_root(&SecretKey::from_seed(&[8; 32])))
            .answering("GET /api/v1/peers/pairings", 200, &pairings)
            .answering("GET /api/v1/peers", 200, &peers(false))
            .answering("GET /api/v1/peers", 200, &peers(true))
            .answering("POST /api/v1/peers/pairings/7/confirm", 200, pairing)
            .start()
    }

    fn signing(node: &Running, words: Option<&str>) -> Signing {
        let root_key = node.file("root");
        if !root_key.exists() {
            keyfile::write(&root_key, &SecretKey::from_seed(&[8; 32])).unwrap();
        }
        Signing { roots: RootSigning::here(root_key), words: words.map(str::to_owned), wait: 5 }
    }

    async fn confirm(node: &Running, words: Option<&str>) -> Outcome {
        let client = node.context().client().unwrap();
        let pairing = waiting(&client, None).await.unwrap();
        run(&node.context(), &client, pairing, &signing(node, words)).await
    }

    #[tokio::test]
    async fn the_same_words_sign_the_accord_and_wait_until_payments_can_go() {
        let node = node(&pairing());
        let report = confirm(&node, Some(SAME)).await.unwrap();
        assert_eq!(report.text, "york is a peer now: pay with NAME@york.");
        assert_eq!(report.json["state"], "done");
        let body = node.body_of("POST /api/v1/peers/pairings/7/confirm");
        let confirm: Confirm = serde_json::from_value(body).unwrap();
        let key = keyfile::read(&node.file("root")).unwrap().public();
        let sig: SigBytes = confirm.signatures[0].sig.parse().unwrap();
        assert_eq!(key.verify(ACCORD, &[&accord().to_bytes()], &sig), Ok(()));
        assert_eq!(confirm.signatures[0].signer, key.signer().to_string());
    }

    #[tokio::test]
    async fn other_words_no_words_and_too_few_words_sign_nothing() {
        let few = Pairing { words: vec!["ant".into()], ..pairing() };
        for (pairing, words, code) in [
            (pairing(), Some("ant bee cat dog elk owl"), "words-differ"),
            (pairing(), Some(""), "words-differ"),
            (pairing(), None, "words-needed"),
            (few, Some("ant"), "words-differ"),
        ] {
            let node = node(&pairing);
            assert_eq!(confirm(&node, words).await.unwrap_err().code, code);
            assert!(node.requests().iter().all(|seen| !seen.line.starts_with("POST")));
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_the_accord_shown_are_not_signed() {
        let other = Accord { b: LedgerId([0x66; 32]), ..accord() };
        let strangers = Accord { a: LedgerId([0x66; 32]), ..accord() };
        let hex = |accord: Accord| HEXLOWER_PERMISSIVE.encode(&accord.to_bytes());
        for bytes in [hex(other), hex(strangers), "00".to_owned(), "x".to_owned()] {
            let node = node(&Pairing { accord: bytes, ..pairing() });
            assert_eq!(confirm(&node, Some(SAME)).await.unwrap_err().code, "accord-mismatch");
        }
    }

    #[tokio::test]
    async fn an_operator_who_does_not_confirm_in_time_is_waited_for_later() {
        let pairing = pairing();
        let none = Peers { schema: String::new(), peers: Vec::new() };
        let pairings = Pairings { schema: String::new(), pairings: vec![pairing.clone()] };
        let early = Pairing { words: Vec::new(), ..pairing.clone() };
        let soon = Pairings { schema: String::new(), pairings: vec![early.clone()] };
        let node = FakeNode::new()
            .answering("GET /api/v1/status", 200, &with_root(&SecretKey::from_seed(&[8; 32])))
            .answering("GET /api/v1/peers/pairings", 200, &soon)
            .answering("GET /api/v1/peers/pairings", 200, &pairings)
            .answering("GET /api/v1/peers", 200, &none)
            .answering("POST /api/v1/peers/pairings/7/confirm", 200, &pairing)
            .start();
        let client = node.context().client().unwrap();
        let signing = Signing { wait: 2, ..signing(&node, Some(SAME)) };
        let failure = run(&node.context(), &client, early, &signing).await.unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::TryAgain, "waiting-for-them"));
    }

    #[tokio::test]
    async fn an_expired_pairing_is_neither_signed_nor_waited_for() {
        let node = node(&Pairing { state: EXPIRED.into(), ..pairing() });
        assert_eq!(confirm(&node, Some(SAME)).await.unwrap_err().code, "pairing-expired");
        assert!(node.requests().iter().all(|seen| !seen.line.starts_with("POST")));
    }

    #[tokio::test]
    async fn what_we_have_signed_already_is_only_waited_for() {
        let node = node(&Pairing { state: SIGNED.into(), ..pairing() });
        assert!(confirm(&node, None).await.is_ok());
        assert!(node.requests().iter().all(|seen| !seen.line.starts_with("POST")));
    }

    #[tokio::test]
    async fn a_pairing_is_named_by_its_id_when_several_wait() {
        let two = vec![pairing(), Pairing { id: "8".into(), ..pairing() }];
        let node = FakeNode::new()
            .answering("GET /api/v1/peers/pairings", 200, &Pairings { schema: String::new(), pairings: two })
            .start();
        let client = node.context().client().unwrap();
        assert_eq!(waiting(&client, Some("8")).await.unwrap().id, "8");
        assert_eq!(waiting(&client, None).await.unwrap_err().exit, Exit::Usage);
        assert_eq!(waiting(&client, Some("9")).await.unwrap_err().code, "unknown-pairing");
    }

    #[test]
    fn the_question_shows_terms_and_words_and_hides_control_characters() {
        let mut pairing = pairing();
        pairing.terms.push("evil\u{1b}[2Jterm".into());
        let text = question(&pairing);
        assert!(text.contains("ant bee cat dog elk fox") && text.contains("evil\u{fffd}[2Jterm"), "{text}");
    }
}
