//! `weft cancel CLAIM`: asks for a payment to another network back.
//!
//! Only the payee's network decides; until it has, the value stays set aside.

use super::claims;
use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use clap::Args;
use weft_api::{Claim, PaymentState};
use weft_client::Client;

/// Digits of a claim that are needed to name it.
const LEAST_DIGITS: usize = 8;
/// Digits of a whole claim.
const ALL_DIGITS: usize = 64;

/// Asks for a payment to another network back.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The claim, or its first digits as `weft claims` shows them
    claim: String,
}

fn asked(claim: &Claim) -> String {
    let (amount, unit, peer) = (clean(&claim.amount), clean(&claim.unit), clean(&claim.peer));
    match claim.state {
        PaymentState::Held => format!(
            "{peer} has been asked to give {amount} {unit} back; until it answers the value stays set aside. \
             See `weft claims`."
        ),
        PaymentState::Done => {
            format!(
                "Too late: the payment of {amount} {unit} over {peer} is final. Ask the payee to pay it back."
            )
        }
        PaymentState::Freed => format!("The payer has {amount} {unit} back; nothing was paid over {peer}."),
    }
}

pub(crate) async fn run(context: &Context, args: Cancel) -> Outcome {
    let client = context.client()?;
    let id = whole(&client, &args.claim).await?;
    let claim = client.cancel(&id).await?;
    let exit = if claim.state == PaymentState::Done { Exit::Refused } else { Exit::Fine };
    Ok(Report::new(asked(&claim), &claim, "weft.claim/1").ending(exit))
}

/// The claim that is meant by its first digits.
async fn whole(client: &Client, typed: &str) -> Result<String, Failure> {
    let typed = typed.to_ascii_lowercase();
    if !typed.bytes().all(|b| b.is_ascii_hexdigit()) || !(LEAST_DIGITS..=ALL_DIGITS).contains(&typed.len()) {
        let what = format!("a claim is named by at least its first {LEAST_DIGITS} hex digits");
        return Err(Failure::new(Exit::Usage, "claim", what, "see `weft claims`"));
    }
    if typed.len() == ALL_DIGITS {
        return Ok(typed);
    }
    let all = client.claims(true).await?.claims;
    let mut fits = all.into_iter().map(|claim| claim.claim).filter(|claim| claim.starts_with(&typed));
    match (fits.next(), fits.next()) {
        (Some(claim), None) => Ok(claim),
        (None, _) => {
            let what = format!("no claim starts with {typed}");
            Err(Failure::new(Exit::Refused, "unknown-claim", what, "see `weft claims --all`"))
        }
        (Some(one), Some(_)) => {
            let what = format!("several claims start with {typed}, such as {}", claims::short(&one));
            Err(Failure::new(Exit::Usage, "claim", what, "give more digits"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, claim};

    fn node(state: PaymentState) -> FakeNode {
        let all =
            weft_api::Claims { schema: String::new(), claims: vec![claim(0xab, state), claim(0xac, state)] };
        let path = format!("POST /api/v1/claims/{}/cancel", "ab".repeat(32));
        FakeNode::new().answering("GET /api/v1/claims?all=true", 200, &all).answering(
            &path,
            200,
            &claim(0xab, state),
        )
    }

    #[tokio::test]
    async fn the_first_digits_name_the_claim() {
        let node = node(PaymentState::Freed).start();
        let report = run(&node.context(), Cancel { claim: "ABABABAB".into() }).await.unwrap();
        assert!(report.text.starts_with("The payer has 12.50 credit back"), "{}", report.text);
        assert_eq!(report.exit, Exit::Fine);
    }

    #[tokio::test]
    async fn a_payment_that_is_final_is_not_cancelled() {
        let node = node(PaymentState::Done).start();
        let report = run(&node.context(), Cancel { claim: "ab".repeat(32) }).await.unwrap();
        assert_eq!(report.exit, Exit::Refused);
    }

    #[tokio::test]
    async fn too_few_digits_and_unknown_ones_are_refused() {
        let node = node(PaymentState::Held).start();
        for (typed, code) in [("abab", "claim"), ("../../../x", "claim"), ("cdcdcdcd", "unknown-claim")] {
            let failure = run(&node.context(), Cancel { claim: typed.into() }).await.unwrap_err();
            assert_eq!(failure.code, code, "{typed}");
        }
    }
}
