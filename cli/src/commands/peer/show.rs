//! `weft peer list|show`: peers, what stands between us, and pairings that wait.

use crate::context::Context;
use crate::outcome::{Exit, Failure, Outcome, Report, clean};
use crate::table::Table;
use serde_json::json;
use weft_api::{Pairing, Peer, Position};
use weft_client::Client;

pub(super) async fn list(context: &Context, client: &Client) -> Outcome {
    let (peers, pairings) = (client.peers().await?.peers, client.pairings().await?.pairings);
    let value = json!({ "peers": peers, "pairings": pairings });
    Ok(Report::new(listed(context, &peers, &pairings), &value, "weft.peer-list/1"))
}

pub(super) async fn one(context: &Context, client: &Client, alias: &str) -> Outcome {
    let peers = client.peers().await?.peers;
    let Some(peer) = peers.into_iter().find(|peer| peer.alias == alias) else {
        let what = format!("no network is called \"{alias}\" here");
        return Err(Failure::new(Exit::Refused, "unknown-peer", what, "see `weft peer list`"));
    };
    Ok(Report::new(shown(context, &peer), &peer, "weft.peer/1"))
}

fn listed(context: &Context, peers: &[Peer], pairings: &[Pairing]) -> String {
    if peers.is_empty() && pairings.is_empty() {
        return "No peers yet: `weft peer invite`, or `weft peer join LINK`.".to_owned();
    }
    let mut out = String::new();
    if !peers.is_empty() {
        let heads = ["Peer", "Connected", "Payments", "Position", ">Room for ours", ">In flight", "Problems"];
        let mut table = Table::new(&heads, context.colour);
        for peer in peers {
            rows(&mut table, peer);
        }
        out.push_str(&table.render());
    }
    if !pairings.is_empty() {
        let mut table = Table::new(&["Pairing", "With", "State", "Words"], context.colour);
        for pairing in pairings {
            let state = state(&pairing.state).to_owned();
            table.row([pairing.id.clone(), pairing.site.clone(), state, pairing.words.join(" ")]);
        }
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!("{gap}{}", table.render()));
    }
    out
}

/// A row for each unit pair; the first one carries what is said of the peer as a whole.
fn rows(table: &mut Table, peer: &Peer) {
    let problems = peer.problems.len();
    let head =
        [peer.alias.clone(), if peer.connected { "yes" } else { "no" }.to_owned(), payments(peer).to_owned()];
    let problems = if problems == 0 { String::new() } else { problems.to_string() };
    if peer.positions.is_empty() {
        table.row(head.into_iter().chain([String::new(), String::new(), String::new(), problems]));
        return;
    }
    for (number, position) in peer.positions.iter().enumerate() {
        let first = number == 0;
        let said = |text: &String| if first { text.clone() } else { String::new() };
        let place =
            [stands(position), position.room.clone(), position.in_flight.to_string(), said(&problems)];
        table.row(head.iter().map(said).chain(place));
    }
}

fn shown(context: &Context, peer: &Peer) -> String {
    let mut out = format!("{}, ledger {}\n", clean(&peer.alias), clean(&peer.ledger));
    let connected = if peer.connected { "connected" } else { "not connected now" };
    let open = if peer.open { "payments can go" } else { "both networks have not confirmed yet" };
    let open = if peer.halts.is_empty() { open } else { "no new payments" };
    out.push_str(&format!("  {connected}; {open}\n"));
    for halt in &peer.halts {
        out.push_str(&format!("  {}\n", halted(halt)));
    }
    for problem in &peer.problems {
        out.push_str(&format!("  problem: {}\n", clean(problem)));
    }
    out.push_str(&format!(
        "  messages: {} of our {} have arrived there; {} of theirs are here\n",
        peer.acknowledged, peer.written, peer.received
    ));
    if !peer.positions.is_empty() {
        let heads = ["Position", ">We may owe", ">They may owe", ">Room for ours", ">In flight"];
        let mut table = Table::new(&heads, context.colour);
        for position in &peer.positions {
            let Position { we_may_owe, they_may_owe, room, in_flight, .. } = position.clone();
            table.row([stands(position), we_may_owe, they_may_owe, room, in_flight.to_string()]);
        }
        out.push_str(&format!("\n{}", table.render()));
    }
    out
}

/// Whether payments go, in a word.
fn payments(peer: &Peer) -> &'static str {
    let ended = peer.halts.iter().any(|halt| halt.starts_with("ended"));
    match (ended, peer.halts.is_empty(), peer.open) {
        (true, _, _) => "ended",
        (false, false, _) => "paused",
        (false, true, true) => "open",
        (false, true, false) => "not yet",
    }
}

/// Who lets no new payments, in words.
fn halted(halt: &str) -> String {
    match halt {
        "paused-by-us" => "paused by us: `weft peer resume`".to_owned(),
        "paused-by-them" => "paused by them: ask their operator why".to_owned(),
        "ended-by-us" => "the accord was ended by us".to_owned(),
        "ended-by-them" => "the accord was ended by them".to_owned(),
        other => clean(other),
    }
}

/// Who owes whom, in words.
fn stands(position: &Position) -> String {
    let Position { amount, unit, .. } = position;
    if amount.bytes().all(|b| b == b'0' || b == b'.') {
        return format!("even in {unit}");
    }
    match amount.strip_prefix('-') {
        Some(amount) => format!("they owe {amount} {unit}"),
        None => format!("we owe {amount} {unit}"),
    }
}

/// The state of a pairing in words.
fn state(state: &str) -> &str {
    match state {
        "waiting-for-us" => "waits for us: `weft peer confirm`",
        "waiting-for-them" => "waits for them",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeNode, pairing, peer};
    use weft_api::{Pairings, Peers};

    fn node() -> crate::testing::Running {
        let mut peer = peer("lansing");
        peer.positions.push(Position {
            unit: "hour".into(),
            amount: "0.00".into(),
            ..peer.positions[0].clone()
        });
        FakeNode::new()
            .answering("GET /api/v1/peers", 200, &Peers { schema: String::new(), peers: vec![peer] })
            .answering(
                "GET /api/v1/peers/pairings",
                200,
                &Pairings { schema: String::new(), pairings: vec![pairing()] },
            )
            .start()
    }

    #[tokio::test]
    async fn the_list_shows_positions_in_words_and_pairings_that_wait() {
        let node = node();
        let client = node.context().client().unwrap();
        let report = list(&node.context(), &client).await.unwrap();
        assert_eq!(
            report.text,
            "Peer     Connected  Payments  Position              Room for ours  In flight  Problems\n\
             lansing  yes        open      they owe 3.00 credit         103.00          1\n\
             \u{20}                             even in hour                 103.00          1\n\
             \n\
             Pairing  With  State                              Words\n\
             7        york  waits for us: `weft peer confirm`  ant bee cat dog elk fox\n"
        );
        assert_eq!(report.json["schema"], "weft.peer-list/1");
        assert_eq!(report.json["pairings"][0]["id"], "7");
    }

    #[tokio::test]
    async fn one_peer_is_shown_by_its_alias() {
        let node = node();
        let client = node.context().client().unwrap();
        let text = one(&node.context(), &client, "lansing").await.unwrap().text;
        assert!(text.contains("connected; payments can go"), "{text}");
        assert!(text.contains("they owe 3.00 credit      100.00"), "{text}");
        let failure = one(&node.context(), &client, "york").await.unwrap_err();
        assert_eq!(failure.code, "unknown-peer");
    }
}
