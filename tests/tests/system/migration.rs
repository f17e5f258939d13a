//! A data folder of an older layout, saved as its own program left it, opens in this one and answers as before.

use serde_json::{Value, json};
use std::fs;
use weft_api::ConfirmTime;
use weft_node::data::DataDir;
use weft_tests::kit::{Audited, Outcome, Site, copy_folder};
use weft_tests::source_root;

fn saved(name: &str) -> std::path::PathBuf {
    source_root().join("tests/stores").join(name)
}

/// What the node answers now, in the form of the saved answers.
async fn answers(site: &Site, before: &Value) -> Outcome<Value> {
    let members = site.client.members(None).await?;
    let mut statements = serde_json::Map::new();
    for name in before["statements"].as_object().expect("an object").keys() {
        statements.insert(name.clone(), json!(site.client.statement(name, None, Some(500)).await?));
    }
    let mut receipts = Vec::new();
    for seq in 0..before["receipts"].as_array().expect("a list").len() {
        receipts.push(json!(site.client.receipt(&seq.to_string()).await?));
    }
    Ok(json!({
        "status": site.status().await?, "members": members, "statements": statements, "receipts": receipts,
        "claims": site.client.claims(true).await?, "peers": site.client.peers().await?,
    }))
}

/// Everything that was answered is answered still; newer programs may say more.
fn assert_holds(before: &Value, now: &Value, place: &str) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                let place = format!("{place}.{name}");
                assert_holds(value, now.get(name).unwrap_or_else(|| panic!("{place} is gone")), &place);
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            assert_eq!(before.len(), now.len(), "{place}");
            for (n, (before, now)) in before.iter().zip(now).enumerate() {
                assert_holds(before, now, &format!("{place}[{n}]"));
            }
        }
        (before, now) => assert_eq!(before, now, "{place}"),
    }
}

fn version(data: &DataDir) -> String {
    fs::read_to_string(data.path().join("store-version")).expect("a version")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_store_of_the_first_layout_opens_and_answers_as_it_did() {
    let temporary = tempfile::tempdir().expect("a folder");
    let data = DataDir::new(temporary.path().join("hull"));
    copy_folder(&saved("v1/hull"), data.path()).expect("copied");
    let answers_then = fs::read(saved("v1/answers.json")).expect("answers");
    let before: Value = serde_json::from_slice(&answers_then).expect("JSON");
    assert_eq!(version(&data), "weft-store/1\n");
    let ledger = |data: &DataDir| fs::read(data.ledger().join("segments/00000000.seg")).expect("a segment");
    let segment = ledger(&data);

    // A copy of a folder asks its peers before it signs: it writes nothing that is due by now, such as a statement.
    let mut hull = Site::of(data, "hull", &[]).await.expect("a site");
    hull.start().await.expect("started");
    assert_eq!(version(&hull.data), "weft-store/3\n");
    let mut now = answers(&hull, &before).await.expect("answers");
    // That it waits for its peer is new, and in time that it was idle for long.
    now["status"]["problems"] = json!([]);
    assert_holds(&before, &now, "");
    hull.stop().await.expect("stopped");

    // This one's peer is not here, and not what is looked at.
    hull.arguments = vec!["--test-hook".to_owned(), "no-guard".to_owned()];
    hull.start().await.expect("started");
    // The saved ledger has been idle for as long as it lies here.
    let clock_ms = hull.client.time().await.expect("the time").clock_ms;
    let confirmed = hull.client.confirm_time(&ConfirmTime { clock_ms }).await.expect("confirmed");
    assert_eq!(confirmed.held, None);
    assert!(ledger(&hull.data).starts_with(&segment), "the old records were changed");
    let log = hull.log_text();
    assert!(log.contains("brought from weft-store/1 to weft-store/3; all 33 records were checked"), "{log}");
    hull.pay("Bo", "Corner shop", 1, 0).await.expect("a payment");
    hull.stop().await.expect("stopped");

    hull.start().await.expect("started again");
    assert_eq!(hull.log_text().matches("was brought from").count(), 1, "migrated once");
    let entries = hull.status().await.expect("status").entries;
    assert!((25..=26).contains(&entries), "a payment, and perhaps a statement: {entries}");
    hull.stop().await.expect("stopped");
    assert_eq!(Audited::by_both(hull.data.path()).expect("audited").wrong, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused_in_words_and_left_alone() {
    let temporary = tempfile::tempdir().expect("a folder");
    let data = DataDir::new(temporary.path().join("hull"));
    copy_folder(&saved("v1/hull"), data.path()).expect("copied");
    fs::write(data.path().join("store-version"), "weft-store/9\n").expect("written");
    let mut hull = Site::of(data, "hull", &[]).await.expect("a site");
    let refused = hull.start().await.expect_err("started").to_string();
    assert!(refused.contains("weft-store/9") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(version(&hull.data), "weft-store/9\n");
}
