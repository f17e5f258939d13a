//! `weft peer ban|unban|bans`: who is shut out, and why.
//!
//! The operator bans networks (no new payments) or libp2p identities (no connections); the node itself shuts out whoever
//! sends what no honest node sends.

use crate::context::Context;
use crate::outcome::{Outcome, Report, clean};
use crate::table::Table;
use clap::Args;
use weft_api::{Ban as Shown, BannedBy, Network};
use weft_client::Client;
use weft_protocol::time::moment;

/// How every libp2p identity of an Ed25519 key begins, and no name and no ledger id does.
const PEER_ID: &str = "12D3Koo";

/// Shuts somebody out.
#[derive(Debug, Args)]
pub(crate) struct Ban {
    /// The network: what we call it, what it calls itself, or its ledger; or a libp2p identity (12D3Koo...)
    network: String,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Lets somebody in again.
#[derive(Debug, Args)]
pub(crate) struct Unban {
    /// The network: what we call it, what it calls itself, or its ledger; or a libp2p identity (12D3Koo...)
    network: String,
}

pub(super) async fn ban(client: &Client, args: &Ban) -> Outcome {
    if args.network.starts_with(PEER_ID) {
        let bans = client.ban_peer(&args.network, &args.reason).await?;
        let text = format!(
            "{} is shut out: its connections are denied. `weft peer unban` lets it in again.",
            clean(&args.network)
        );
        return Ok(Report::new(text, &bans, "weft.bans/1"));
    }
    let network = client.ban(&args.network, &args.reason).await?;
    Ok(Report::new(banned(&network), &network, "weft.network/1"))
}

pub(super) async fn unban(client: &Client, args: &Unban) -> Outcome {
    if args.network.starts_with(PEER_ID) {
        let bans = client.lift_ban(&args.network).await?;
        let text = format!("{} may connect again.", clean(&args.network));
        return Ok(Report::new(text, &bans, "weft.bans/1"));
    }
    let network = client.unban(&args.network).await?;
    let text = format!("{} is not shut out: payments with it can go.", clean(&network.name));
    Ok(Report::new(text, &network, "weft.network/1"))
}

pub(super) async fn list(context: &Context, client: &Client) -> Outcome {
    let bans = client.bans().await?;
    Ok(Report::new(listed(context, &bans.bans), &bans, "weft.bans/1"))
}

fn listed(context: &Context, bans: &[Shown]) -> String {
    if bans.is_empty() {
        return "Nobody is shut out.".to_owned();
    }
    let mut table = Table::new(&["Who", "What is denied", "By", "Since", "Until", "Why"], context.colour);
    for ban in bans {
        let who = ban.name.as_ref().or(ban.peer_id.as_ref()).or(ban.ledger.as_ref());
        let by = match ban.by {
            BannedBy::Operator => "you",
            BannedBy::Node => "the node",
        };
        table.row([
            who.map_or_else(String::new, |who| clean(who)),
            if ban.peer_id.is_some() { "connections" } else { "new payments" }.to_owned(),
            by.to_owned(),
            moment(ban.since_ms),
            ban.until_ms.map_or_else(|| "you let it in".to_owned(), moment),
            clean(&ban.reason),
        ]);
    }
    table.render()
}

fn banned(network: &Network) -> String {
    format!(
        "{} is shut out: no new payment goes to it, comes from it or passes through it. What is under way goes on. \
         `weft peer unban` lets it in again.",
        clean(&network.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::peer::{Command, run};
    use crate::testing::FakeNode;
    use weft_api::Bans;

    const ID: &str = "12D3KooWGjeK4mV8ZzLZ6a3uH6yk4n4oZT6sAfKRCZ6pNjDWAcBs";

    fn network(banned: Option<&str>) -> Network {
        Network {
            ledger: "77".repeat(32),
            name: "lansing".into(),
            site: None,
            peer: true,
            in_reach: true,
            entries: 9,
            addresses: Vec::new(),
            banned: banned.map(str::to_owned),
        }
    }

    fn bans() -> Bans {
        let flood = Shown {
            peer_id: Some(ID.into()),
            ledger: None,
            name: None,
            reason: "it sent 2000 requests above its rate".into(),
            by: BannedBy::Node,
            since_ms: 951_782_400_000,
            until_ms: Some(951_868_800_000),
        };
        let spam = Shown {
            peer_id: None,
            ledger: Some("77".repeat(32)),
            name: Some("lansing".into()),
            reason: "spam".into(),
            by: BannedBy::Operator,
            until_ms: None,
            ..flood.clone()
        };
        Bans { schema: "weft.bans/1".into(), bans: vec![flood, spam] }
    }

    #[tokio::test]
    async fn who_is_shut_out_is_shown_with_why_by_whom_and_until_when() {
        let node = FakeNode::new().answering("GET /api/v1/bans", 200, &bans()).start();
        let text = run(&node.context(), Command::Bans).await.unwrap().text;
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with(ID) && lines[1].contains("connections"), "{text}");
        assert!(lines[1].contains("the node") && lines[1].contains("2000-03-01"), "{text}");
        assert!(lines[1].ends_with("it sent 2000 requests above its rate"), "{text}");
        assert!(lines[2].starts_with("lansing") && lines[2].contains("you let it in"), "{text}");
        let none = Bans { bans: Vec::new(), ..bans() };
        let node = FakeNode::new().answering("GET /api/v1/bans", 200, &none).start();
        assert_eq!(run(&node.context(), Command::Bans).await.unwrap().text, "Nobody is shut out.");
    }

    #[tokio::test]
    async fn a_network_is_banned_by_its_name_and_an_identity_by_itself() {
        let node = FakeNode::new()
            .answering("POST /api/v1/networks/lansing/ban", 200, &network(Some("spam")))
            .answering("POST /api/v1/networks/lansing/unban", 200, &network(None))
            .answering("POST /api/v1/bans", 200, &bans())
            .answering(&format!("POST /api/v1/bans/{ID}/lift"), 200, &bans())
            .start();
        let ban = |who: &str| Command::Ban(Ban { network: who.into(), reason: "spam".into() });
        let unban = |who: &str| Command::Unban(Unban { network: who.into() });
        let report = run(&node.context(), ban("lansing")).await.unwrap();
        assert!(report.text.starts_with("lansing is shut out: no new payment"), "{}", report.text);
        let report = run(&node.context(), ban(ID)).await.unwrap();
        assert!(report.text.contains("its connections are denied"), "{}", report.text);
        assert_eq!(node.body_of("POST /api/v1/bans"), serde_json::json!({ "peer_id": ID, "reason": "spam" }));
        let report = run(&node.context(), unban("lansing")).await.unwrap();
        assert!(report.text.contains("is not shut out"), "{}", report.text);
        let report = run(&node.context(), unban(ID)).await.unwrap();
        assert!(report.text.ends_with("may connect again."), "{}", report.text);
    }
}
