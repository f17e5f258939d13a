//! The index is only a convenience: without it, or with a broken one, a node answers every question as before.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use weft_tests::kit::{Dice, Outcome, Site};

/// Indexes broken in different ways.
const BROKEN: u64 = 8;

/// Answers to every question of the API, without what differs from one start to the next.
async fn answers(site: &Site) -> Outcome<Value> {
    let mut status = serde_json::to_value(site.status().await?)?;
    let fields = status.as_object_mut().expect("an object");
    // Ports are free ones, chosen at each start.
    for passing in ["boot", "messages", "addresses"] {
        assert!(fields.remove(passing).is_some(), "the status has no {passing}");
    }
    // Whether a peer was asked lately depends on the moment.
    let witnesses = fields["witness"]["witnesses"].as_array_mut().expect("a list");
    for witness in witnesses {
        assert!(witness.as_object_mut().expect("an object").remove("trouble").is_some());
    }
    let members = site.client.members(None).await?;
    let mut statements = Vec::new();
    for member in &members.members {
        statements.push(json!(site.client.statement(&member.account, None, Some(500)).await?));
        let mut before = None;
        // Also page by page, as people read.
        while let Some(next) = site.client.statement(&member.account, before, Some(7)).await?.next_before {
            before = Some(next);
            statements.push(json!(site.client.statement(&member.account, before, Some(7)).await?));
        }
    }
    let mut receipts = Vec::new();
    for seq in 0..site.status().await?.entries {
        let receipt = site.client.receipt(&seq.to_string()).await?;
        receipts.push(json!(receipt));
    }
    let mut claims = Vec::new();
    let all = site.client.claims(true).await?;
    for claim in &all.claims {
        claims.push(json!(site.client.claim(&claim.claim, 0).await?));
    }
    let mut peers = serde_json::to_value(site.client.peers().await?)?;
    for peer in peers["peers"].as_array_mut().expect("a list") {
        peer.as_object_mut().expect("an object").remove("connected");
    }
    Ok(json!({
        "status": status, "members": members, "statements": statements, "receipts": receipts,
        "claims": all, "claim": claims, "peers": peers, "pairings": site.client.pairings().await?,
    }))
}

/// A network with payments of every kind, a receipt by operation id, and a peer that is gone.
async fn network(at: &Path) -> Outcome<(Site, Vec<String>)> {
    let hull = Site::found(at, "hull", &[]).await?;
    let mut lansing = Site::found(at, "lansing", &[]).await?;
    for member in ["ann", "ben", "cat"] {
        hull.add_member(member, None).await?;
    }
    lansing.add_member("dee", None).await?;
    hull.pair_with(&lansing, 10_000).await?;
    let mut ops = Vec::new();
    for n in 0..12 {
        ops.push(hull.pay("ann", "ben", 1 + n, 0).await?.op_id);
        ops.push(hull.pay("ben", "dee@lansing", 2 + n, 20).await?.op_id);
        lansing.pay("dee", "cat@hull", 1 + n, 20).await?;
    }
    ops.push(hull.pay("cat", "nobody@lansing", 4, 20).await?.op_id);
    hull.until_quiet(std::time::Duration::from_secs(20)).await?;
    lansing.stop().await?;
    ops.push(hull.pay("cat", "dee@lansing", 5, 0).await?.op_id);
    Ok((hull, ops))
}

async fn by_op(site: &Site, ops: &[String]) -> Outcome<Vec<Value>> {
    let mut receipts = Vec::new();
    for op in ops {
        receipts.push(json!(site.client.receipt(op).await?));
    }
    Ok(receipts)
}

fn index_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).expect("a folder") {
        let path = item.expect("an entry").path();
        if path.is_dir() { index_files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_index_or_with_a_broken_one_a_node_answers_as_before() {
    let temporary = tempfile::tempdir().expect("a folder");
    let (mut hull, ops) = network(temporary.path()).await.expect("a network");
    // A clean stop publishes a checkpoint, which receipts then carry.
    hull.stop().await.expect("stopped");
    hull.start().await.expect("started");
    let before = (answers(&hull).await.expect("answers"), by_op(&hull, &ops).await.expect("receipts"));
    hull.stop().await.expect("stopped");

    fs::remove_dir_all(hull.data.index()).expect("deleted");
    hull.start().await.expect("started without an index");
    assert_same(&before, &hull, &ops, "after the index was deleted").await;
    hull.stop().await.expect("stopped");

    for seed in 0..BROKEN {
        let what = spoil(&hull.data.index(), seed);
        let rebuilt = hull.log_text().matches("the index is rebuilt from the ledger").count();
        hull.start().await.unwrap_or_else(|e| panic!("seed {seed}: {what}: {e}"));
        assert_same(&before, &hull, &ops, &what).await;
        hull.stop().await.expect("stopped");
        let log = hull.log_text();
        let now = log.matches("the index is rebuilt from the ledger").count();
        // A part that holds nothing of use may be spoilt without harm; the answers have shown that.
        assert!(
            now == rebuilt + 1 || seed > 1,
            "seed {seed}: {what}: no line says that it was rebuilt: {log}"
        );
    }
}

async fn assert_same(before: &(Value, Vec<Value>), site: &Site, ops: &[String], what: &str) {
    let now = answers(site).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    for (question, answer) in before.0.as_object().expect("an object") {
        assert_eq!(&now[question], answer, "{question}, {what}");
    }
    assert_eq!(by_op(site, ops).await.expect("receipts"), before.1, "receipts by operation, {what}");
}

/// Writes random bytes over a file of the index, a part of it or all of it.
fn spoil(index: &Path, seed: u64) -> String {
    let mut files = Vec::new();
    index_files(index, &mut files);
    files.retain(|file| fs::metadata(file).is_ok_and(|m| m.len() > 0));
    let mut dice = Dice(seed);
    let file = files.iter().max_by_key(|file| fs::metadata(file).map_or(0, |m| m.len())).expect("a file");
    let file = if seed.is_multiple_of(2) { file } else { &files[dice.place(files.len())] };
    let mut bytes = fs::read(file).expect("read");
    // What follows is room that the file has in advance.
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(bytes.len(), |last| last + 1);
    let (from, len) = match seed {
        0 => (0, bytes.len()),
        1 => (0, bytes.len().min(64)),
        _ => (dice.place(used), used / 3 + 1),
    };
    let len = len.min(bytes.len() - from);
    for byte in bytes.iter_mut().skip(from).take(len) {
        *byte = u8::try_from(dice.below(256)).expect("a byte");
    }
    fs::write(file, bytes).expect("written");
    format!("{len} random bytes at {from} of {}", file.display())
}
