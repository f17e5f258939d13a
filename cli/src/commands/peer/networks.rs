//! `weft peer routes|ping`, and networks that are no peers in `weft peer list --all`.

use crate::context::Context;
use crate::outcome::{Exit, Outcome, Report, clean};
use crate::progress;
use crate::table::Table;
use clap::Args;
use weft_api::{Networks, Way, Ways};
use weft_client::Client;

/// Shows the ways that a payment to a network could take.
#[derive(Debug, Args)]
pub(crate) struct Routes {
    /// The network: what we call it, what it calls itself, or its ledger
    network: String,
    /// For how much; the smallest amount when absent
    amount: Option<String>,
    /// Our unit; needed when there are several
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
}

/// A network by its name.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The network: what we call it, what it calls itself, or its ledger
    network: String,
}

pub(super) async fn all(context: &Context, client: &Client) -> Outcome {
    let networks = client.networks().await?;
    Ok(Report::new(listed(context, &networks), &networks, "weft.networks/1"))
}

fn listed(context: &Context, networks: &Networks) -> String {
    if networks.networks.is_empty() {
        return "No other network is known yet: `weft peer invite`, or `weft peer join LINK`.".to_owned();
    }
    let mut table = Table::new(&["Network", "Is", "Payments can reach it", "Ledger", "Note"], context.colour);
    for network in &networks.networks {
        table.row([
            clean(&network.name),
            if network.peer { "a peer" } else { "further away" }.to_owned(),
            if network.in_reach { "yes" } else { "no" }.to_owned(),
            network.ledger.chars().take(12).collect(),
            network.banned.as_ref().map_or_else(String::new, |why| format!("shut out: {}", clean(why))),
        ]);
    }
    table.render()
}

pub(super) async fn routes(context: &Context, client: &Client, args: &Routes) -> Outcome {
    let ways = client.ways(&args.network, args.amount.as_deref(), args.unit.as_deref()).await?;
    let exit = if ways.ways.is_empty() { Exit::Refused } else { Exit::Fine };
    Ok(Report::new(ways_text(context, &ways), &ways, "weft.ways/1").ending(exit))
}

fn ways_text(context: &Context, ways: &Ways) -> String {
    let (name, amount) = (clean(&ways.name), format!("{} {}", clean(&ways.amount), clean(&ways.unit)));
    if ways.ways.is_empty() {
        return format!(
            "No way for {amount} to {name} is known: nobody passes payments on to it, or none has room. Peers made with \
             --relay pass payments on."
        );
    }
    let mut table = Table::new(&["", "Way", ">Hops", ">Fits less than", "Note"], context.colour);
    for (place, way) in ways.ways.iter().enumerate() {
        let names: Vec<String> = way.networks.iter().map(|name| clean(name)).collect();
        let hops = way.networks.len().saturating_sub(1).to_string();
        let first = if place == 0 { "taken first" } else { "" };
        let fits = way.less_than.as_deref().map_or_else(|| "-".to_owned(), clean);
        table.row([first.to_owned(), names.join(" > "), hops, fits, notes(way, &ways.amount)]);
    }
    format!("Ways for {amount} to {name}:\n{}", table.render())
}

fn notes(way: &Way, amount: &str) -> String {
    let doubt = match way.doubtful {
        0 => None,
        1 => Some("one hop may be full, or failed lately".to_owned()),
        n => Some(format!("{n} hops may be full, or failed lately")),
    };
    let exchange = (way.exchanges > 0).then(|| "exchanges units".to_owned());
    let inexact = (way.sends != amount).then(|| format!("its rate takes {} only", clean(&way.sends)));
    [doubt, exchange, inexact].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

pub(super) async fn ping(context: &Context, client: &Client, args: &One) -> Outcome {
    let asking = client.ping(&args.network);
    let ping = progress::during(context, "reaching the other network", asking).await?;
    let (whole, rest) = (ping.round_trip_us / 1_000, ping.round_trip_us % 1_000);
    let before = if ping.connected { "" } else { ", over a new connection" };
    let text = format!("{} answers: {whole}.{rest:03} ms{before}.", clean(&ping.name));
    Ok(Report::new(text, &ping, "weft.ping/1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::peer::{Command, run};
    use crate::testing::FakeNode;
    use weft_api::{Network, Ping};

    fn network(banned: Option<&str>) -> Network {
        Network {
            ledger: "77".repeat(32),
            name: "lansing".into(),
            site: Some("lansing".into()),
            peer: false,
            in_reach: true,
            entries: 9,
            addresses: Vec::new(),
            banned: banned.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn ways_are_shown_with_their_networks_and_what_fits() {
        let way = |networks: &[&str], doubtful| Way {
            networks: networks.iter().map(|&name| name.to_owned()).collect(),
            ledgers: Vec::new(),
            doubtful,
            exchanges: doubtful,
            sends: if doubtful == 0 { "3.00".into() } else { "2.64".into() },
            less_than: (doubtful == 0).then(|| "25.60".into()),
        };
        let ways = Ways {
            schema: "weft.ways/1".into(),
            ledger: "77".repeat(32),
            name: "lansing".into(),
            unit: "hour".into(),
            amount: "3.00".into(),
            ways: vec![way(&["hull", "madison", "lansing"], 0), way(&["hull", "york", "bath", "lansing"], 1)],
        };
        let node =
            FakeNode::new().answering("GET /api/v1/networks/lansing/ways?amount=3", 200, &ways).start();
        let args = Routes { network: "lansing".into(), amount: Some("3".into()), unit: None };
        let report = run(&node.context(), Command::Routes(args)).await.unwrap();
        assert!(report.text.starts_with("Ways for 3.00 hour to lansing:\n"), "{}", report.text);
        assert!(report.text.contains("taken first  hull > madison > lansing"), "{}", report.text);
        let notes = "one hop may be full, or failed lately; exchanges units; its rate takes 2.64 only";
        assert!(report.text.contains("25.60") && report.text.contains(notes), "{}", report.text);
        assert_eq!(report.exit, Exit::Fine);
        let none = Ways { ways: Vec::new(), ..ways };
        let node = FakeNode::new().answering("GET /api/v1/networks/lansing/ways", 200, &none).start();
        let args = Routes { network: "lansing".into(), amount: None, unit: None };
        let report = run(&node.context(), Command::Routes(args)).await.unwrap();
        assert_eq!(report.exit, Exit::Refused);
        assert!(report.text.contains("nobody passes payments on to it"), "{}", report.text);
    }

    #[tokio::test]
    async fn a_ping_says_how_long_and_the_list_who_is_shut_out() {
        let ping = Ping {
            schema: "weft.ping/1".into(),
            ledger: "77".repeat(32),
            name: "lansing".into(),
            connected: false,
            round_trip_us: 4_056,
        };
        let node = FakeNode::new()
            .answering("POST /api/v1/networks/lansing/ping", 200, &ping)
            .answering(
                "GET /api/v1/networks",
                200,
                &Networks { schema: "weft.networks/1".into(), networks: vec![network(Some("spam"))] },
            )
            .start();
        let one = || One { network: "lansing".into() };
        let report = run(&node.context(), Command::Ping(one())).await.unwrap();
        assert_eq!(report.text, "lansing answers: 4.056 ms, over a new connection.");
        let client = node.context().client().unwrap();
        let text = all(&node.context(), &client).await.unwrap().text;
        assert!(text.contains("lansing  further away  yes") && text.contains("shut out: spam"), "{text}");
    }
}
