//! `weft status`: the node at a glance.

use crate::context::Context;
use crate::outcome::{Outcome, Report, clean};
use crate::table::Table;
use weft_api::{KeysKept, Mirrors, Status, Witness};
use weft_protocol::time::moment;

pub(crate) async fn run(context: &Context) -> Outcome {
    let status = context.client()?.status().await?;
    Ok(Report::new(text(context, &status), &status, "weft.status/1"))
}

fn text(context: &Context, status: &Status) -> String {
    let health = match status.problems.len() {
        0 => "all is well".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    let mut out = format!("{}: {health}\n", clean(&status.site));
    for problem in &status.problems {
        out.push_str(&format!("  problem: {}\n", clean(problem)));
    }
    for news in &status.news {
        out.push_str(&format!("  news: {}\n", clean(news)));
    }
    let lines = [
        ("ledger", status.ledger.clone()),
        (
            "entries",
            format!("{}, of which {} are in the published checkpoint", status.entries, status.checkpoint),
        ),
        ("members", status.members.to_string()),
        ("open claims", status.claims_open.to_string()),
        ("reachable at", listed(&status.addresses)),
        ("reach", status.reach.words.clone()),
        ("peer id", status.peer_id.clone()),
        ("version", format!("{}, start number {}", status.version, status.boot)),
        ("digest", status.state_digest.clone()),
        (
            "root keys",
            format!("{}, of which {} sign together", status.roots.keys.len(), status.roots.threshold),
        ),
        ("node's keys", kept(status.keys_kept).to_owned()),
    ];
    for (label, value) in lines {
        out.push_str(&format!("  {label:<13} {}\n", clean(&value)));
    }
    out.push_str(&witnessed(&status.witness));
    out.push_str(&mirrored(&status.mirrors));
    if !status.units.is_empty() {
        let mut units = Table::new(&["Unit", "Name", ">Decimals", ">Sum of all balances"], context.colour);
        for unit in &status.units {
            units.row([unit.code.clone(), unit.name.clone(), unit.scale.to_string(), unit.sum_minor.clone()]);
        }
        out.push_str(&format!("\n{}", units.render()));
    }
    if !status.messages.is_empty() {
        let mut messages = Table::new(&["Protocol", ">Requests in", ">Requests out"], context.colour);
        for one in &status.messages {
            messages.row([one.protocol.clone(), one.requests_in.to_string(), one.requests_out.to_string()]);
        }
        out.push_str(&format!("\n{}", messages.render()));
    }
    out
}

/// Who vouches for the ledger, up to where and since when.
fn witnessed(witness: &Witness) -> String {
    let mut out = String::new();
    let label = "witnessed";
    if witness.size == 0 {
        out.push_str(&format!("  {label:<13} {}\n", clean(&witness.words)));
    } else {
        let time = moment(witness.time_ms);
        out.push_str(&format!(
            "  {label:<13} up to entry {} at {time}; {}\n",
            witness.size,
            clean(&witness.words)
        ));
    }
    for one in &witness.witnesses {
        let said = match (one.time_ms, &one.trouble) {
            (Some(time_ms), None) => format!("cosigned at {}", moment(time_ms)),
            (Some(time_ms), Some(trouble)) => {
                format!("cosigned at {}; asked again: {}", moment(time_ms), clean(trouble))
            }
            (None, Some(trouble)) => format!("has not cosigned: {}", clean(trouble)),
            (None, None) => "has not cosigned yet".to_owned(),
        };
        out.push_str(&format!("  {:<13} {}: {said}\n", "", clean(&one.name)));
    }
    for log in &witness.cosigned {
        out.push_str(&format!("  {:<13} {} up to entry {}\n", "cosigned", clean(&log.origin), log.size));
    }
    out
}

/// Who keeps our entries, and how far.
fn mirrored(mirrors: &Mirrors) -> String {
    let mut out = format!("  {:<13} {}\n", "mirrored", clean(&mirrors.words));
    for one in &mirrors.peers {
        let upto = match one.upto {
            Some(upto) => format!("keeps {} of {} entries", upto.min(mirrors.size), mirrors.size),
            None => "has not said what it keeps".to_owned(),
        };
        let trouble = one.trouble.as_ref().map(|why| format!("; {}", clean(why))).unwrap_or_default();
        let ours = format!("we keep {} kB for it", one.kept_bytes.div_ceil(1_000));
        out.push_str(&format!("  {:<13} {}: {upto}{trouble}; {ours}\n", "", clean(&one.alias)));
    }
    out
}

/// How the keys are kept, and what that means.
fn kept(kept: KeysKept) -> &'static str {
    match kept {
        KeysKept::Plain => {
            "plain files: who copies the disk can act as this node; `weftd keys encrypt` changes that"
        }
        KeysKept::Encrypted => "encrypted: each start needs the passphrase",
        KeysKept::Credential => "given by the service manager at each start",
        KeysKept::Mixed => "kept in more than one way; see `weftd keys status`",
    }
}

fn listed(addresses: &[String]) -> String {
    if addresses.is_empty() { "nowhere: it listens to itself only".to_owned() } else { addresses.join(", ") }
}

#[cfg(test)]
mod tests {
    use crate::testing::{FakeNode, status};
    use weft_api::{CosignedLog, MirrorOf, Mirrors, Witness, WitnessOf};

    #[tokio::test]
    async fn the_status_says_who_vouches_up_to_where_and_since_when() {
        let mut answer = status();
        let of = |name: &str, time_ms, trouble: Option<&str>| WitnessOf {
            name: name.into(),
            time_ms,
            trouble: trouble.map(str::to_owned),
        };
        answer.witness = Witness {
            size: 7,
            time_ms: 1_582_934_399_999,
            enough: true,
            words: "witnessed by 1 of 2: enough for the policy".into(),
            witnesses: vec![
                of("a/witness", Some(1_582_934_399_999), None),
                of("b/witness", None, Some("away")),
            ],
            cosigned: vec![CosignedLog { origin: "weft/b".into(), size: 9 }],
        };
        let node = FakeNode::new().answering("GET /api/v1/status", 200, &answer).start();
        let text = super::run(&node.context()).await.unwrap().text;
        for line in [
            "  witnessed     up to entry 7 at 2020-02-28 23:59 UTC; witnessed by 1 of 2: enough for the policy\n",
            "                a/witness: cosigned at 2020-02-28 23:59 UTC\n",
            "                b/witness: has not cosigned: away\n",
            "  cosigned      weft/b up to entry 9\n",
        ] {
            assert!(text.contains(line), "{line}in\n{text}");
        }
    }

    #[tokio::test]
    async fn the_status_says_who_keeps_our_entries_and_how_far() {
        let mut answer = status();
        let of = |alias: &str, upto, trouble: Option<&str>, kept_bytes| MirrorOf {
            ledger: String::new(),
            alias: alias.into(),
            upto,
            trouble: trouble.map(str::to_owned),
            kept_bytes,
        };
        answer.mirrors = Mirrors {
            recovery_key: true,
            size: 120,
            words: "1 of 2 peers keep all of our entries".into(),
            peers: vec![of("york", Some(120), None, 9_500), of("hull", None, Some("no room"), 0)],
        };
        let node = FakeNode::new().answering("GET /api/v1/status", 200, &answer).start();
        let text = super::run(&node.context()).await.unwrap().text;
        for line in [
            "  mirrored      1 of 2 peers keep all of our entries\n",
            "                york: keeps 120 of 120 entries; we keep 10 kB for it\n",
            "                hull: has not said what it keeps; no room; we keep 0 kB for it\n",
        ] {
            assert!(text.contains(line), "{line}in\n{text}");
        }
    }

    #[tokio::test]
    async fn the_status_names_the_network_and_its_problems() {
        let mut answer = status();
        answer.problems = vec!["the disk is full".into()];
        let node = FakeNode::new().answering("GET /api/v1/status", 200, &answer).start();
        let report = super::run(&node.context()).await.unwrap();
        assert!(report.text.starts_with("hull: 1 problem\n  problem: the disk is full\n"), "{}", report.text);
        assert!(report.text.contains("credit  Credit"), "{}", report.text);
        assert_eq!(report.json["schema"], "weft.status/1");
    }
}
