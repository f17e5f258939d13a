//! `GET /metrics`: how the node stands, in the text format of Prometheus, for the operator's own monitoring.
//!
//! On the Unix socket and, with the token, on loopback; never told to peers. What must hold: numbers alone, no name of a
//! person or a network, and everything is read in one look at the ledger and one at the network layer.

use super::error::ApiError;
use super::state::Ctx;
use crate::network::{Counters, Gauges, Tier, Traffic};
use crate::service::Core;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::{Display, Write};

/// Where it is served.
pub(super) const PATH: &str = "/metrics";
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is read of the ledger.
#[derive(Debug, Clone, Default)]
struct Reading {
    entries: u64,
    checkpoint: u64,
    boot: u64,
    members: u64,
    claims_open: u64,
    held_out: u64,
    peers: u64,
    authors: u64,
    unacknowledged: u64,
    accused: u64,
    bans_operator: u64,
    bans_node: u64,
    letters: (u64, u64),
    quarantined: bool,
    clock_held: bool,
}

pub(super) async fn metrics(State(ctx): State<Ctx>) -> Result<Response, ApiError> {
    let reading = ctx.on_ledger(|core| read(core)).await?;
    let gauges = ctx.app.network.gauges().await.unwrap_or_default();
    let contacts = ctx.app.clearing.contacts();
    let connected = contacts.values().filter(|(connected, _)| *connected).count();
    let mut text = Text::default();
    text.gauge("weft_peers_connected", "Peers with a standing connection.", &[("", connected as u64)]);
    text.gauge(
        "weft_ledger_tasks_waiting",
        "Tasks that wait for the ledger's thread.",
        &[("", ctx.app.ledger.waiting())],
    );
    of_ledger(&mut text, &reading);
    of_network(&mut text, &ctx.app.network.counters(), &gauges);
    of_process(&mut text);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text.0).into_response())
}

fn read(core: &Core) -> Result<Reading, ApiError> {
    let (state, peers) = (core.engine().state(), core.engine().peers());
    let shut_out = core.private().shut_outs()?;
    let by_node = shut_out.iter().filter(|out| out.until_ms.is_some()).count();
    let unacknowledged = state.channels.keys().map(|id| {
        let acked = peers.stream(id).map_or(0, |stream| stream.acked);
        state.stream(id).next.saturating_sub(acked)
    });
    Ok(Reading {
        entries: state.head.next_seq,
        checkpoint: core.checkpoint_size(),
        boot: core.boot(),
        members: state.accounts.values().filter(|account| !account.closed).count() as u64,
        claims_open: super::api::open_claims(core),
        held_out: state.claims.values().filter(|claim| claim.outgoing.is_some()).count() as u64,
        peers: state.channels.len() as u64,
        authors: peers.known().count() as u64,
        unacknowledged: unacknowledged.sum(),
        accused: state.accused.values().filter(|row| row.frozen).count() as u64,
        bans_operator: (core.private().bans()?.len() + shut_out.len() - by_node) as u64,
        bans_node: by_node as u64,
        letters: core.private().letters_kept()?,
        quarantined: core.guard_report().is_some_and(|guard| guard.peers.quarantined),
        clock_held: core.time_held().is_some(),
    })
}

fn of_ledger(text: &mut Text, now: &Reading) {
    text.gauge("weft_ledger_entries", "Entries of the ledger.", &[("", now.entries)]);
    text.gauge(
        "weft_checkpoint_entries",
        "Entries that the published checkpoint covers.",
        &[("", now.checkpoint)],
    );
    text.gauge("weft_boot", "Start number of the node.", &[("", now.boot)]);
    text.gauge("weft_accounts", "Accounts that are open.", &[("", now.members)]);
    text.gauge(
        "weft_claims_open",
        "Payments with other networks that have not ended.",
        &[("", now.claims_open)],
    );
    text.gauge("weft_hops_out", "Hops towards peers that are on record.", &[("", now.held_out)]);
    text.gauge("weft_peers", "Networks with which there is an accord.", &[("", now.peers)]);
    text.gauge("weft_networks_known", "Other networks whose public stream is kept.", &[("", now.authors)]);
    let help = "Entries of our streams that peers have not acknowledged.";
    text.gauge("weft_stream_unacknowledged", help, &[("", now.unacknowledged)]);
    text.gauge("weft_networks_frozen", "Networks frozen on evidence.", &[("", now.accused)]);
    let bans = [(r#"by="operator""#, now.bans_operator), (r#"by="node""#, now.bans_node)];
    text.gauge("weft_bans", "Networks and identities that are shut out.", &bans);
    text.gauge("weft_letters_kept", "Sealed letters kept for peers that are away.", &[("", now.letters.0)]);
    text.gauge("weft_letters_kept_bytes", "Their bytes.", &[("", now.letters.1)]);
    let help = "1 while the node signs nothing because it may be older than what others hold.";
    text.gauge("weft_quarantined", help, &[("", u64::from(now.quarantined))]);
    let help = "1 while the clock waits to be confirmed.";
    text.gauge("weft_clock_held", help, &[("", u64::from(now.clock_held))]);
}

fn of_network(text: &mut Text, counters: &Counters, gauges: &Gauges) {
    let by_tier = Tier::ALL.iter().zip(gauges.connections);
    let by_tier: Vec<(String, u64)> =
        by_tier.map(|(tier, count)| (format!(r#"tier="{}""#, tier.name()), count as u64)).collect();
    text.gauge("weft_connections", "Standing connections.", &by_tier);
    let circuits = [("", gauges.over_circuits as u64)];
    text.gauge(
        "weft_connections_over_circuits",
        "Standing connections that go over the node of a peer.",
        &circuits,
    );
    let of_ours = [("", gauges.in_flight as u64)];
    text.gauge("weft_requests_in_flight", "Our requests that peers have not answered yet.", &of_ours);
    let waiting = [("", gauges.waiting as u64)];
    text.gauge("weft_requests_waiting", "Our requests that wait for a place in a window.", &waiting);
    let unanswered = [("", gauges.unanswered as u64)];
    text.gauge("weft_requests_unanswered", "Requests of others that we have not answered yet.", &unanswered);
    text.gauge("weft_vouched", "Vouched networks.", &[("", gauges.vouched as u64)]);
    text.gauge(
        "weft_identities_denied",
        "Identities whose connections are denied.",
        &[("", gauges.blocked as u64)],
    );
    let frames = |of: fn(&Traffic) -> u64| {
        let each = counters.protocols.iter().flat_map(move |row| {
            let label = |direction, part| {
                format!(r#"protocol="{}",direction="{direction}",part="{part}""#, row.protocol)
            };
            [
                (label("in", "request"), of(&row.requests_in)),
                (label("out", "request"), of(&row.requests_out)),
                (label("in", "response"), of(&row.responses_in)),
                (label("out", "response"), of(&row.responses_out)),
            ]
        });
        each.collect::<Vec<(String, u64)>>()
    };
    text.counter("weft_frames_total", "Whole frames that crossed the wire.", &frames(|t| t.messages));
    text.counter("weft_frame_bytes_total", "Bytes of their bodies.", &frames(|t| t.bytes));
    let refused = [
        (r#"why="rate""#, counters.refused_over_rate),
        (r#"why="room""#, counters.refused_no_room),
        (r#"why="behind""#, counters.refused_consumer_behind),
    ];
    text.counter(
        "weft_requests_refused_total",
        "Requests of others refused before they were read.",
        &refused,
    );
    text.counter(
        "weft_bad_frames_total",
        "Requests that broke the framing rules.",
        &[("", counters.bad_frames)],
    );
    let denied = [("", counters.connections_denied)];
    text.counter("weft_connections_denied_total", "Connections denied by a limit or a ban.", &denied);
    let failed = [("", counters.handshakes_failed)];
    text.counter(
        "weft_handshakes_failed_total",
        "Inbound connections without an end to their handshake.",
        &failed,
    );
    text.counter("weft_bans_total", "Times the node itself shut somebody out.", &[("", counters.bans)]);
    text.counter(
        "weft_swarm_rebuilds_total",
        "Times the network layer was built again.",
        &[("", counters.rebuilds)],
    );
    let [called, not_called] = counters.called;
    let tried = [(r#"worked="yes""#, called), (r#"worked="no""#, not_called)];
    text.counter("weft_reach_checks_total", "Times that a peer has tried to call us.", &tried);
    let help = "Peers that wanted to be called back, whether that worked or not.";
    text.counter("weft_called_back_total", help, &[("", counters.called_back)]);
    let spared = [("", counters.circuits_spared)];
    let help = "Circuits that a direct connection has taken the place of.";
    text.counter("weft_circuits_spared_total", help, &spared);
}

/// What the system says of this process; a system that does not say leaves it out.
fn of_process(text: &mut Text) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    for (name, help, field) in [
        ("process_resident_memory_bytes", "Resident memory.", "VmRSS:"),
        ("process_resident_memory_peak_bytes", "Most resident memory since the start.", "VmHWM:"),
    ] {
        if let Some(kib) = kib(field) {
            text.gauge(name, help, &[("", kib.saturating_mul(1_024))]);
        }
    }
    if let Some(threads) = kib("Threads:") {
        text.gauge("process_threads", "Threads.", &[("", threads)]);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "Open files and sockets.", &[("", open.count() as u64)]);
    }
}

/// The text format: a help line, a type line, and a line for each set of labels.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn gauge<L: Display>(&mut self, name: &str, help: &str, samples: &[(L, u64)]) {
        self.family(name, help, "gauge", samples);
    }

    fn counter<L: Display>(&mut self, name: &str, help: &str, samples: &[(L, u64)]) {
        self.family(name, help, "counter", samples);
    }

    fn family<L: Display>(&mut self, name: &str, help: &str, kind: &str, samples: &[(L, u64)]) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels = labels.to_string();
            let _ = match labels.is_empty() {
                true => writeln!(self.0, "{name} {value}"),
                false => writeln!(self.0, "{name}{{{labels}}} {value}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use std::collections::BTreeMap;

    /// Every sample by its name and labels; every line must be one, or about one that follows.
    fn samples(text: &str) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(about) = line.strip_prefix("# ") {
                let mut words = about.split(' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                assert!(["HELP", "TYPE"].contains(&what), "{line}");
                family = name.to_owned();
                continue;
            }
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name == family || name.starts_with(&format!("{family}{{")), "{line} under {family}");
            assert!(found.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} twice");
        }
        found
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_numbers_of_a_node_follow_what_it_does_and_name_nobody() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada Lovelace").await;
        let alone = samples(&hull.get("/metrics").await.text(200));
        assert_eq!((alone["weft_peers"], alone["weft_claims_open"]), (0, 0));
        hull.pair(&lansing).await;
        let text = hull.get("/metrics").await.text(200);
        for name in ["Ada", "lansing", "hull"] {
            assert!(!text.contains(name), "{name} is in {text}");
        }
        let paired = samples(&text);
        assert_eq!((paired["weft_peers"], paired["weft_peers_connected"]), (1, 1));
        assert!(paired[r#"weft_connections{tier="peer"}"#] >= 1);
        assert!(paired["weft_ledger_entries"] > alone["weft_ledger_entries"]);
        let hello = r#"weft_frames_total{protocol="/weft/hello/1",direction="in",part="response"}"#;
        assert!(paired[hello] > alone[hello]);
        assert!(paired["process_resident_memory_bytes"] > 1_000_000);
        hull.stop().await;
        lansing.stop().await;
    }
}
