//! Requests to the API that must not be done: each refused with a name for the rule, and nothing changed.

use serde_json::{Value, json};
use weft_client::{Method, Request};
use weft_protocol::amount::Amount;
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Posting, Transfer, move_value};
use weft_tests::kit::{Site, fresh_id};

/// Sends a body as it is; gives status and problem.
async fn send(site: &Site, path: &str, body: Vec<u8>, key: Option<&str>) -> (u16, Value) {
    let answer = site.client.send(Request::raw(Method::Post, path, body, key)).await.expect("an answer");
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, body)
}

/// A payment request with some fields changed.
fn wish(changes: Value) -> Value {
    let mut wish = json!({ "from": "ann", "to": "ben", "amount": "5" });
    for (field, value) in changes.as_object().expect("an object") {
        wish[field] = value.clone();
    }
    wish
}

async fn stop_at(site: &Site, member: &str, minutes: u64) {
    let account = site.client.members(Some(member)).await.expect("members").members[0].account.clone();
    let rule = Rule::Limit(LimitRule {
        unit: UnitId(0),
        account: Some(account.parse().expect("an id")),
        owner: None,
        below: Some(Levels { warn: None, stop: Some(minutes), firm: None }),
        above: None,
    });
    let authority = site.status().await.expect("status").genesis.parse().expect("a hash");
    let root = site.root().expect("a key");
    site.sign_and_post(Payload::RuleSet(RuleSet { authority, rule }), &root, Role::Root)
        .await
        .expect("a rule");
}

async fn network(at: &std::path::Path) -> (Site, Site) {
    let hull = Site::found(at, "hull", &[]).await.expect("a node");
    let lansing = Site::found(at, "lansing", &[]).await.expect("a node");
    for member in ["ann", "ben"] {
        hull.add_member(member, None).await.expect("a member");
    }
    hull.add_member("eve", Some(&SecretKey::from_seed(&[8; 32]))).await.expect("a member");
    lansing.add_member("dee", None).await.expect("a member");
    hull.pair_with(&lansing, 50).await.expect("paired");
    stop_at(&hull, "ann", 60).await;
    (hull, lansing)
}

async fn refused(
    site: &Site,
    path: &str,
    body: Vec<u8>,
    key: Option<&str>,
    expected: (u16, &str),
    what: &str,
) {
    let before = site.status().await.expect("status");
    let (status, problem) = send(site, path, body, key).await;
    let code = problem["code"].as_str().unwrap_or_default();
    assert_eq!((status, code), expected, "{what}: {problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{what}: {problem}");
    let after = site.status().await.expect("status");
    assert_eq!((after.state_digest, after.entries), (before.state_digest, before.entries), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_request_is_refused_by_name_and_changes_nothing() {
    let temporary = tempfile::tempdir().expect("a folder");
    let (hull, _lansing) = network(temporary.path()).await;
    let payments = "/api/v1/payments";
    let bodies: Vec<(&str, Value, (u16, &str))> = vec![
        ("zero", wish(json!({"amount": "0"})), (422, "amount")),
        ("below zero", wish(json!({"amount": "-5"})), (422, "amount")),
        ("decimals that the unit has not", wish(json!({"amount": "1.5"})), (422, "amount")),
        ("more than there can be", wish(json!({"amount": "99999999999999999999"})), (422, "amount")),
        ("no number", wish(json!({"amount": "five"})), (422, "amount")),
        ("to oneself", wish(json!({"to": "ann"})), (422, "to-oneself")),
        ("an unknown payer", wish(json!({"from": "nobody"})), (422, "unknown-member")),
        ("an unknown payee", wish(json!({"to": "nobody"})), (422, "unknown-member")),
        ("an unknown network", wish(json!({"to": "dee@nowhere"})), (422, "unknown-network")),
        ("an unknown unit", wish(json!({"unit": "euro"})), (422, "unknown-unit")),
        ("over the payer's stop", wish(json!({"amount": "61"})), (422, "limit-stop")),
        ("over the accord's limit", wish(json!({"to": "dee@lansing", "amount": "51"})), (422, "no-room")),
        ("no day", wish(json!({"when": "2020-02-30"})), (422, "date")),
        ("a memo that is too long", wish(json!({"memo": "m".repeat(5_000)})), (422, "memo-length")),
        ("an unknown field", wish(json!({"sum": "5"})), (400, "malformed-json")),
        ("a number for a text", wish(json!({"amount": 5})), (400, "malformed-json")),
    ];
    for (what, body, expected) in bodies {
        let body = body.to_string().into_bytes();
        refused(&hull, payments, body, Some(&fresh_id()), expected, what).await;
    }
    let good = wish(json!({})).to_string().into_bytes();
    let long = [good.clone(), vec![b' '; 70_000]].concat();
    refused(&hull, payments, long, Some(&fresh_id()), (413, "too-large"), "a body that is too long").await;
    let cut = good[..good.len() - 3].to_vec();
    refused(&hull, payments, cut, Some(&fresh_id()), (400, "malformed-json"), "half a body").await;
    refused(&hull, payments, vec![0xff; 9], Some(&fresh_id()), (400, "malformed-json"), "no text").await;
    refused(&hull, payments, good.clone(), None, (400, "idempotency-key-missing"), "no key").await;
    refused(&hull, payments, good.clone(), Some("x"), (400, "idempotency-key"), "a key that is none").await;

    let key = fresh_id();
    assert_eq!(send(&hull, payments, good.clone(), Some(&key)).await.0, 201);
    assert_eq!(send(&hull, payments, good, Some(&key)).await.0, 200, "the same again is known");
    let other = wish(json!({"amount": "6"})).to_string().into_bytes();
    refused(&hull, payments, other, Some(&key), (409, "op-reused"), "the same key for another payment").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_signed_operation_is_refused_by_name_and_changes_nothing() {
    let temporary = tempfile::tempdir().expect("a folder");
    let (hull, _lansing) = network(temporary.path()).await;
    let id = |member: &'static str| {
        let client = hull.client.clone();
        async move {
            let members = client.members(Some(member)).await.expect("members").members;
            members[0].account.parse::<AccountId>().expect("an id")
        }
    };
    let (ann, ben, eve) = (id("ann").await, id("ben").await, id("eve").await);
    let key = SecretKey::from_seed(&[8; 32]);
    let five = || Amount::new(5).expect("an amount");
    let transfer = |postings| Payload::Transfer(Transfer { postings, when_day: None });
    let pay = |from, to| transfer(move_value(from, to, UnitId(0), five()));
    let uneven = |delta| {
        let posting = |account, delta| Posting { account, unit: UnitId(0), delta };
        transfer(vec![posting(eve, -5), posting(ben, delta)])
    };
    let nobody = AccountId([1; 16]);
    let stranger = SecretKey::from_seed(&[66; 32]);
    let cases: Vec<(&str, Payload, &SecretKey, Role, u16)> = vec![
        ("from somebody else's account", pay(ann, ben), &key, Role::Member, 422),
        ("by a key that nobody has", pay(eve, ben), &stranger, Role::Member, 422),
        ("in a role that the signer has not", pay(eve, ben), &key, Role::Root, 422),
        ("to an account that is not there", pay(eve, nobody), &key, Role::Member, 422),
        ("a sum that is not zero", uneven(6), &key, Role::Member, 422),
        ("an unknown unit", transfer(move_value(eve, ben, UnitId(9), five())), &key, Role::Member, 422),
        ("no postings", transfer(Vec::new()), &key, Role::Member, 422),
    ];
    for (what, payload, signer, role, expected) in cases {
        let before = hull.status().await.expect("status").state_digest;
        let (post, op_id) = hull.sign(payload, signer, role, &[]).await.expect("signed");
        let body = serde_json::to_vec(&post).expect("JSON");
        let (status, problem) = send(&hull, "/api/v1/ops", body, Some(&op_id.to_string())).await;
        assert!(status == expected || status == 400, "{what}: {status} {problem}");
        assert!(problem["code"].as_str().is_some_and(|code| !code.is_empty()), "{what}: {problem}");
        assert_eq!(hull.status().await.expect("status").state_digest, before, "{what}");
    }
    let (mut post, op_id) = hull.sign(pay(eve, ben), &key, Role::Member, &[]).await.expect("signed");
    let other = fresh_id();
    let body = serde_json::to_vec(&post).expect("JSON");
    let before = hull.status().await.expect("status").state_digest;
    let (status, problem) = send(&hull, "/api/v1/ops", body, Some(&other)).await;
    assert!(status == 400 || status == 422, "a key that is not the op id: {status} {problem}");
    let last = post.signed_op.pop().expect("a digit");
    post.signed_op.push(if last == '0' { '1' } else { '0' });
    let body = serde_json::to_vec(&post).expect("JSON");
    let (status, problem) = send(&hull, "/api/v1/ops", body, Some(&op_id.to_string())).await;
    assert!(status == 400 || status == 422, "a changed signature: {status} {problem}");
    post.signed_op.push_str("00");
    let body = serde_json::to_vec(&post).expect("JSON");
    let (status, problem) = send(&hull, "/api/v1/ops", body, Some(&op_id.to_string())).await;
    assert_eq!(status, 400, "bytes behind the operation: {problem}");
    assert_eq!(hull.status().await.expect("status").state_digest, before);
}
