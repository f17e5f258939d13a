//! `weft pay FROM TO AMOUNT`: pays somebody here or, as `name@network`, in another network.
//!
//! Without a key the node's desk pays for a person who has none; with `--key` the operation is built and signed
//! here ([`own_key`]). Either way the answer comes after the payment stands on disk, and a payment to another
//! network is waited for until it is final or the time given is over. Waiting never changes what happens.

mod own_key;

use super::claims;
use crate::args::OpIdOption;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::{keyfile, progress, sign};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use weft_api::{DEFAULT_WAIT_S, Done, NewPayment, PaymentState};
use weft_client::Client;
use weft_protocol::time::{Day, moment};

/// How long one request asks the node to wait; longer waits are several requests.
const WAIT_STEP_S: u64 = 20;
/// Rest between two questions about a claim, should the node answer at once.
const REST: Duration = Duration::from_millis(250);

/// Pays somebody here, or `name@network`.
#[derive(Debug, Args)]
pub(crate) struct Pay {
    /// Who pays: name or account id
    from: String,
    /// Who receives: name or account id here, or `name@network`
    to: String,
    /// How much, such as 12.50
    amount: String,
    /// Unit; needed when the network has more than one
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// What for; it never enters the ledger
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
    /// The day it happened, YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = checked_day)]
    when: Option<String>,
    /// To another network: wait this long for the end
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_WAIT_S)]
    wait: u64,
    /// To another network: how long it stays open (24 hours when absent)
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,
    /// As a coordinator, lift a stop for this one payment
    #[arg(long)]
    lift_stop: bool,
    /// Sign with this key file; the node never sees it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    op_id: OpIdOption,
}

fn checked_day(text: &str) -> Result<String, String> {
    text.parse::<Day>().map(|_| text.to_owned()).map_err(|e| e.to_string())
}

fn sentence(pay: &Pay, done: &Done) -> String {
    let unit = pay.unit.as_deref().map_or_else(String::new, |unit| format!(" {}", clean(unit)));
    let amount = format!("{}{unit}", clean(&pay.amount));
    let (from, to) = (clean(&pay.from), clean(&pay.to));
    let receipt = format!("Receipt code {} (entry {})", clean(&done.leaf), done.seq);
    let claim =
        done.claim.as_deref().map_or_else(String::new, |claim| format!(", claim {}", claims::short(claim)));
    let until = done.expires_ms.map_or_else(String::new, |ms| format!(", at the latest {}", moment(ms)));
    match done.state {
        PaymentState::Done => format!("{from} has paid {to} {amount}. {receipt}{claim}."),
        PaymentState::Held => format!(
            "{amount} of {from} is set aside for {to}: it is paid when the other network accepts, or {from} has it \
             back{until}. {receipt}{claim}."
        ),
        PaymentState::Freed => {
            let reason = done.reason.as_deref().unwrap_or("the other network did not accept");
            format!("Not paid: {from} has {amount} back, because {}. {receipt}{claim}.", clean(reason))
        }
    }
}

pub(crate) async fn run(context: &Context, pay: Pay) -> Outcome {
    let client = context.client()?;
    let first_wait = pay.wait.min(WAIT_STEP_S);
    let op_id = sign::op_id(pay.op_id.op_id);
    let id = op_id.to_string();
    let posting = async {
        let done = match &pay.key {
            Some(path) => {
                let key = keyfile::read(path)?;
                let op = own_key::build(&client, &pay, &key, op_id, first_wait).await?;
                client.post_op(&op, &id).await
            }
            None => client.pay(&through_the_desk(&pay, first_wait), &id).await,
        };
        done.map_err(|e| Failure::from(e).repeatable_with(&id))
    };
    let mut done = progress::during(context, "paying", posting).await?;
    let mut lost = None;
    if done.state == PaymentState::Held && pay.wait > first_wait {
        let rest = Duration::from_secs(pay.wait - first_wait);
        lost =
            progress::during(context, "waiting for the other network", wait(&client, &mut done, rest)).await;
    }
    let exit = if done.state == PaymentState::Freed { Exit::Refused } else { Exit::Fine };
    let mut report = Report::new(sentence(&pay, &done), &done, "weft.done/1").ending(exit);
    report.notes.extend(done.notices.iter().cloned());
    report.notes.extend(lost.map(|e| format!("The payment stands; waiting for it ended early: {e}")));
    Ok(report)
}

fn through_the_desk(pay: &Pay, wait_s: u64) -> NewPayment {
    NewPayment {
        from: pay.from.clone(),
        to: pay.to.clone(),
        amount: pay.amount.clone(),
        unit: pay.unit.clone(),
        memo: pay.memo.clone(),
        when: pay.when.clone(),
        lift_stop: pay.lift_stop,
        expires_s: pay.expires,
        wait_s: Some(wait_s),
    }
}

/// Waits for the end of a claim and writes it into `done`. An error is no failure: the payment stands already.
async fn wait(client: &Client, done: &mut Done, time: Duration) -> Option<weft_client::Error> {
    let claim = done.claim.clone()?;
    let asking = async {
        loop {
            let now = client.claim(&claim, WAIT_STEP_S.min(time.as_secs())).await?;
            if now.state != PaymentState::Held {
                return Ok(now);
            }
            tokio::time::sleep(REST).await;
        }
    };
    match tokio::time::timeout(time, asking).await {
        Ok(Ok(end)) => {
            done.state = end.state;
            done.reason = end.note.filter(|_| end.state == PaymentState::Freed);
            None
        }
        Ok(Err(e)) => Some(e),
        Err(_time_is_over) => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{FakeNode, claim};
    use serde_json::json;

    pub(super) fn args(to: &str) -> Pay {
        Pay {
            from: "Ada".into(),
            to: to.into(),
            amount: "12.50".into(),
            unit: Some("credit".into()),
            memo: Some("soup".into()),
            when: Some("2020-01-02".into()),
            wait: 10,
            expires: None,
            lift_stop: false,
            key: None,
            op_id: OpIdOption { op_id: None },
        }
    }

    pub(crate) fn done(state: PaymentState) -> Done {
        let elsewhere = state != PaymentState::Done;
        Done {
            schema: "weft.done/1".into(),
            op_id: "ab".repeat(16),
            seq: 17,
            leaf: "cd".repeat(32),
            time_ms: 0,
            state,
            claim: elsewhere.then(|| "ab".repeat(32)),
            expires_ms: elsewhere.then_some(951_782_400_000),
            reason: None,
            notices: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_payment_here_is_one_sentence_with_its_receipt_code() {
        let mut answer = done(PaymentState::Done);
        answer.notices = vec!["Ada is near her limit".into()];
        let node = FakeNode::new().answering("POST /api/v1/payments", 201, &answer).start();
        let report = run(&node.context(), args("Bo")).await.unwrap();
        let leaf = "cd".repeat(32);
        assert_eq!(report.text, format!("Ada has paid Bo 12.50 credit. Receipt code {leaf} (entry 17)."));
        assert_eq!((report.exit, report.notes), (Exit::Fine, answer.notices));
        assert_eq!(
            node.body_of("POST /api/v1/payments"),
            json!({"from": "Ada", "to": "Bo", "amount": "12.50", "unit": "credit", "memo": "soup",
                   "when": "2020-01-02", "lift_stop": false, "wait_s": 10})
        );
    }

    #[tokio::test]
    async fn a_payment_that_waits_is_followed_to_its_end() {
        let path = format!("GET /api/v1/claims/{}", "ab".repeat(32));
        let mut freed = claim(0xab, PaymentState::Freed);
        freed.note = Some("nobody there is called Bo".into());
        let node = FakeNode::new()
            .answering("POST /api/v1/payments", 202, &done(PaymentState::Held))
            .answering(&path, 200, &claim(0xab, PaymentState::Held))
            .answering(&path, 200, &freed)
            .start();
        let report = run(&node.context(), Pay { wait: 60, ..args("Bo@lansing") }).await.unwrap();
        assert_eq!(report.exit, Exit::Refused);
        assert!(
            report.text.starts_with("Not paid: Ada has 12.50 credit back, because nobody there"),
            "{}",
            report.text
        );
        assert_eq!(report.json["state"], "freed");
    }

    #[tokio::test]
    async fn a_payment_that_is_still_open_is_no_failure() {
        let node = FakeNode::new().answering("POST /api/v1/payments", 202, &done(PaymentState::Held)).start();
        let report = run(&node.context(), args("Bo@lansing")).await.unwrap();
        assert_eq!(report.exit, Exit::Fine);
        assert!(report.text.contains("at the latest 2000-02-29 00:00 UTC"), "{}", report.text);
        assert!(report.text.ends_with("claim abababababab."), "{}", report.text);
    }

    #[tokio::test]
    async fn losing_the_node_while_waiting_does_not_turn_a_payment_into_a_failure() {
        let path = format!("GET /api/v1/claims/{}", "ab".repeat(32));
        let node = FakeNode::new()
            .answering("POST /api/v1/payments", 202, &done(PaymentState::Held))
            .refusing(&path, 503, "stopping")
            .start();
        let report = run(&node.context(), Pay { wait: 60, ..args("Bo@lansing") }).await.unwrap();
        assert_eq!(report.exit, Exit::Fine);
        assert!(report.notes[0].starts_with("The payment stands"), "{:?}", report.notes);
    }

    #[tokio::test]
    async fn a_rule_that_refuses_is_handed_on_and_a_busy_node_names_the_id_to_repeat() {
        let node = FakeNode::new().refusing("POST /api/v1/payments", 422, "limit-stop").start();
        let failure = run(&node.context(), args("Bo")).await.unwrap_err();
        assert_eq!((failure.exit, failure.code.as_str()), (Exit::Refused, "limit-stop"));
        let node = FakeNode::new().refusing("POST /api/v1/payments", 503, "busy").start();
        let failure = run(&node.context(), args("Bo")).await.unwrap_err();
        let id = node.requests()[0].key.clone().unwrap();
        assert_eq!(failure.exit, Exit::TryAgain);
        assert!(failure.advice.contains(&format!("--op-id {id}")), "{}", failure.advice);
    }
}
