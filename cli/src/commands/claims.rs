//! `weft claims`: payments between networks, as this network sees them.

use crate::context::Context;
use crate::outcome::{Outcome, Report};
use crate::system;
use crate::table::Table;
use clap::Args;
use weft_api::{Claim, Claims as Answer, PaymentState};
use weft_protocol::time::moment;

/// Digits of a claim that are shown: enough that two are never alike in one network.
const SHOWN_DIGITS: usize = 12;

/// A peer that was heard within this time is there.
const CONNECTED_MS: u64 = 1_000;

/// Payments between networks that are not final.
#[derive(Debug, Args)]
pub(crate) struct Claims {
    /// Also those that are final
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(context: &Context, args: Claims) -> Outcome {
    let claims = context.client()?.claims(args.all).await?;
    Ok(Report::new(text(context, &claims, args.all), &claims, "weft.claims/1"))
}

fn text(context: &Context, claims: &Answer, all: bool) -> String {
    if claims.claims.is_empty() {
        let none =
            if all { "No payments between networks yet." } else { "No payment between networks is open." };
        return none.to_owned();
    }
    let heads = [
        "Claim",
        "Way",
        "Peer",
        ">Amount",
        "Unit",
        "State",
        ">Age",
        "Open until",
        ">Room left",
        "Peer seen",
        "Note",
    ];
    let now_ms = system::now_ms();
    let ago = |since: Option<u64>| since.map_or_else(String::new, |ms| span(now_ms.saturating_sub(ms)));
    let mut table = Table::new(&heads, context.colour);
    for claim in &claims.claims {
        table.row([
            short(&claim.claim),
            way(claim).to_owned(),
            claim.peer.clone(),
            claim.amount.clone(),
            claim.unit.clone(),
            state(claim.state).to_owned(),
            ago(claim.since_ms),
            moment(claim.expires_ms),
            claim.room.clone().unwrap_or_default(),
            seen(claim, now_ms),
            claim.note.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

fn way(claim: &Claim) -> &str {
    match claim.direction.as_str() {
        "out" => "to",
        "in" => "from",
        other => other,
    }
}

/// When the peer of an open claim was heard last.
fn seen(claim: &Claim, now_ms: u64) -> String {
    if claim.state != PaymentState::Held {
        return String::new();
    }
    match claim.peer_seen_ms.map(|ms| now_ms.saturating_sub(ms)) {
        None => "not since our start".to_owned(),
        Some(ago) if ago < CONNECTED_MS => "now".to_owned(),
        Some(ago) => format!("{} ago", span(ago)),
    }
}

/// A time that has passed, in its largest unit.
fn span(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A state in words.
pub(crate) fn state(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Held => "waiting",
        PaymentState::Done => "paid",
        PaymentState::Freed => "given back",
    }
}

/// The first digits of a claim.
pub(crate) fn short(claim: &str) -> String {
    claim.chars().take(SHOWN_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, claim};

    #[tokio::test]
    async fn open_claims_are_listed_with_what_they_wait_for() {
        let mut waiting = claim(0xab, PaymentState::Held);
        waiting.note = Some("the peer is not reachable".into());
        let answer = Answer { schema: "weft.claims/1".into(), claims: vec![waiting] };
        let node = FakeNode::new().answering("GET /api/v1/claims", 200, &answer).start();
        let text = run(&node.context(), Claims { all: false }).await.unwrap().text;
        assert!(text.contains("abababababab  to   lansing   12.50  credit  waiting"), "{text}");
        assert!(text.contains("the peer is not reachable"), "{text}");
    }

    #[tokio::test]
    async fn no_claims_is_a_sentence() {
        let answer = Answer { schema: "weft.claims/1".into(), claims: Vec::new() };
        let node = FakeNode::new().answering("GET /api/v1/claims?all=true", 200, &answer).start();
        let report = run(&node.context(), Claims { all: true }).await.unwrap();
        assert_eq!(report.text, "No payments between networks yet.");
    }
}
