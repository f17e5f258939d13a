//! Reports as JSON. The names and their order are an interface: programs read them.

use serde::Serialize;
use weft_protocol::audit::{Class, Comparison, Finding, Findings, Outcome, PeerReport, Report, Witnessed};
use weft_protocol::ids::LedgerId;

fn witnessed(found: &Witnessed) -> JsonWitnessed {
    let cosigned = found.quorum.cosigned();
    let cosigned = cosigned.map(|(by, time_s)| JsonCosigned { witness: by.key_name.to_string(), time_s });
    JsonWitnessed {
        words: found.words.clone(),
        policy_given: found.policy_given,
        enough: found.quorum.reached,
        cosigned: cosigned.collect(),
    }
}

/// The name of the form; raised when a field changes its meaning.
pub const SCHEMA: &str = "weft.audit/1";

#[derive(Serialize)]
struct JsonReport {
    schema: &'static str,
    what: &'static str,
    result: &'static str,
    exit_code: u8,
    ledger: Option<String>,
    origin: Option<String>,
    entries: u64,
    since: Option<JsonSince>,
    left_out: Option<JsonLeftOut>,
    checkpoint_size: Option<u64>,
    witnessed: Option<JsonWitnessed>,
    root: String,
    state_digest: String,
    first_ms: Option<u64>,
    last_ms: Option<u64>,
    accounts: u64,
    units: Vec<JsonUnit>,
    kinds: Vec<JsonKind>,
    signatures: JsonSignatures,
    peers: Vec<JsonPeer>,
    openings: Vec<JsonOpened>,
    counts: Vec<JsonCount>,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
struct JsonOpened {
    entry: u64,
    commitment: String,
    text: String,
}

#[derive(Serialize)]
struct JsonLeftOut {
    before: u64,
    entries: u64,
}

#[derive(Serialize)]
struct JsonSince {
    entries: u64,
    root: String,
}

#[derive(Serialize)]
struct JsonWitnessed {
    words: String,
    policy_given: bool,
    enough: bool,
    cosigned: Vec<JsonCosigned>,
}

#[derive(Serialize)]
struct JsonCosigned {
    witness: String,
    time_s: u64,
}

#[derive(Serialize)]
struct JsonUnit {
    unit: u16,
    code: String,
    scale: u8,
    sum: String,
    outstanding: String,
}

#[derive(Serialize)]
struct JsonKind {
    kind: String,
    code: u16,
    entries: u64,
}

#[derive(Serialize)]
struct JsonSignatures {
    node: u64,
    own_key: u64,
    passkey: u64,
    custody: u64,
    paper: u64,
    spoken: u64,
    clearing: u64,
    peers: u64,
}

#[derive(Serialize)]
struct JsonPeer {
    ledger: String,
    channel: String,
    account: String,
    our_entries: u64,
    their_entries: u64,
    claims: u64,
    pinned_to: Option<u64>,
    positions: Vec<JsonPosition>,
}

#[derive(Serialize)]
struct JsonPosition {
    unit: u16,
    code: String,
    scale: u8,
    balance: i64,
    open_out: String,
    open_in: String,
}

#[derive(Serialize)]
pub(crate) struct JsonCount {
    class: &'static str,
    found: u64,
}

#[derive(Serialize)]
pub(crate) struct JsonFinding {
    class: &'static str,
    what: String,
    entries: Vec<String>,
    file: Option<String>,
    age_ms: Option<u64>,
    essential: bool,
}

#[derive(Serialize)]
struct JsonComparison {
    schema: &'static str,
    what: &'static str,
    result: &'static str,
    exit_code: u8,
    a: Option<String>,
    b: Option<String>,
    claims: u64,
    positions: Vec<JsonPair>,
    counts: Vec<JsonCount>,
    findings: Vec<JsonFinding>,
}

#[derive(Serialize)]
struct JsonPair {
    pair: u8,
    unit_a: u16,
    unit_b: u16,
    a: i64,
    b: i64,
    in_flight: String,
}

/// The report of one ledger.
pub fn report_json(report: &Report) -> String {
    let signatures = report.signatures;
    let unit = |u: &weft_protocol::audit::UnitSum| JsonUnit {
        unit: u.unit.0,
        code: u.code.clone(),
        scale: u.scale,
        sum: u.sum.to_string(),
        outstanding: u.outstanding.to_string(),
    };
    print(&JsonReport {
        schema: SCHEMA,
        what: "ledger",
        result: result(report.findings.outcome()),
        exit_code: report.findings.outcome().exit_code(),
        ledger: id(report.ledger),
        origin: report.ledger.map(|ledger| ledger.origin()),
        entries: report.entries,
        left_out: report.left_out.map(|l| JsonLeftOut { before: l.before, entries: l.entries }),
        since: report.since.map(|since| JsonSince { entries: since.entries, root: since.root.to_string() }),
        checkpoint_size: report.checkpoint_size,
        witnessed: report.witnessed.as_ref().map(witnessed),
        root: report.root.to_string(),
        state_digest: report.state_digest.to_string(),
        first_ms: report.time_ms.map(|(first, _)| first),
        last_ms: report.time_ms.map(|(_, last)| last),
        accounts: report.accounts,
        units: report.units.iter().map(unit).collect(),
        kinds: report
            .kinds
            .iter()
            .map(|(kind, entries)| JsonKind {
                kind: format!("{kind:?}"),
                code: kind.code(),
                entries: *entries,
            })
            .collect(),
        signatures: JsonSignatures {
            node: signatures.node,
            own_key: signatures.own_key,
            passkey: signatures.passkey,
            custody: signatures.custody,
            paper: signatures.paper,
            spoken: signatures.spoken,
            clearing: signatures.clearing,
            peers: signatures.peers,
        },
        peers: report.peers.iter().map(peer).collect(),
        openings: report
            .openings
            .iter()
            .map(|opened| JsonOpened {
                entry: opened.seq,
                commitment: opened.commitment.to_string(),
                text: opened.text.clone(),
            })
            .collect(),
        counts: counts(&report.findings),
        findings: report.findings.kept().iter().map(finding).collect(),
    })
}

/// The comparison of two ledgers.
pub fn comparison_json(comparison: &Comparison) -> String {
    let pair = |p: &weft_protocol::audit::PairPosition| JsonPair {
        pair: p.pair,
        unit_a: p.unit_a.0,
        unit_b: p.unit_b.0,
        a: p.a,
        b: p.b,
        in_flight: p.in_flight.to_string(),
    };
    print(&JsonComparison {
        schema: SCHEMA,
        what: "comparison",
        result: result(comparison.findings.outcome()),
        exit_code: comparison.findings.outcome().exit_code(),
        a: id(comparison.a),
        b: id(comparison.b),
        claims: comparison.claims,
        positions: comparison.positions.iter().map(pair).collect(),
        counts: counts(&comparison.findings),
        findings: comparison.findings.kept().iter().map(finding).collect(),
    })
}

fn print(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("strings, numbers and lists of them are always JSON")
}

fn id(ledger: Option<LedgerId>) -> Option<String> {
    ledger.map(|ledger| ledger.to_string())
}

pub(crate) const fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Right => "nothing wrong",
        Outcome::Wrong => "something wrong",
        Outcome::NotChecked => "could not check",
    }
}

fn peer(peer: &PeerReport) -> JsonPeer {
    let position = |p: &weft_protocol::audit::Position| JsonPosition {
        unit: p.unit.0,
        code: p.code.clone(),
        scale: p.scale,
        balance: p.balance,
        open_out: p.open_out.to_string(),
        open_in: p.open_in.to_string(),
    };
    JsonPeer {
        ledger: peer.ledger.to_string(),
        channel: peer.channel.to_string(),
        account: peer.account.to_string(),
        our_entries: peer.our_entries,
        their_entries: peer.their_entries,
        claims: peer.claims,
        pinned_to: peer.pinned_to,
        positions: peer.positions.iter().map(position).collect(),
    }
}

pub(crate) fn counts(findings: &Findings) -> Vec<JsonCount> {
    Class::ALL.iter().map(|class| JsonCount { class: class.name(), found: findings.count(*class) }).collect()
}

pub(crate) fn finding(finding: &Finding) -> JsonFinding {
    JsonFinding {
        class: finding.class.name(),
        what: finding.what.clone(),
        entries: finding.entries.iter().map(ToString::to_string).collect(),
        file: finding.file.clone(),
        age_ms: finding.age_ms,
        essential: finding.essential,
    }
}
