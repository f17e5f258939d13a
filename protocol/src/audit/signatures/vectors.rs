//! The signature rule on public vectors, one by one and in bulk: what is accepted is the table of `specs/signatures.md`.

use super::{About, Checker, EntryRef, Job};
use crate::ids::{KeyBytes, SigBytes};
use crate::keys::PublicKey;
use data_encoding::HEXLOWER;
use serde_json::Value;
use std::collections::BTreeMap;

const CCTV: &str = include_str!("../../../../tests/vectors/cctv/ed25519vectors.json");
const WYCHEPROOF: &str = include_str!("../../../../tests/vectors/wycheproof/ed25519_test.json");
const SPEC: &str = include_str!("../../../../specs/signatures.md");

/// The one test of Wycheproof that differs in bulk: R is an encoding of the identity with the sign of x set (specs/signatures.md §2).
const LAX_IN_BULK: u64 = 151;

fn hex<const N: usize>(text: &Value) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_str().unwrap().as_bytes()).unwrap().try_into().ok()
}

/// Whether a signature is accepted: alone as it is taken in, and in bulk as an audit takes it.
fn accepts(key: [u8; 32], message: &[u8], sig: [u8; 64]) -> (bool, bool) {
    let Ok(key) = PublicKey::new(&KeyBytes(key)) else { return (false, false) };
    let sig = SigBytes(sig);
    let alone = key.verify_message(message, &sig).is_ok();
    let about = About { entry: EntryRef::Own(0), what: "", file: "".into() };
    let mut checker = Checker::new(1);
    checker.push(&Job { key: key.bytes(), message, sig, about: &about });
    (alone, checker.finish().first.is_empty())
}

/// The rows of the table: flags, vectors, accepted alone, accepted in bulk.
fn table() -> BTreeMap<String, [u64; 3]> {
    let rows = SPEC.lines().filter(|line| line.starts_with("| `") || line.starts_with("| – |"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let flags = cells[0].replace(['`', '–'], "");
        (flags, [1, 2, 3].map(|i| cells[i].parse().unwrap()))
    };
    rows.map(row).collect()
}

#[test]
fn every_edge_case_of_points_is_accepted_and_refused_as_the_table_says() {
    let vectors: Vec<Value> = serde_json::from_str(CCTV).unwrap();
    assert_eq!(vectors.len(), 914);
    let mut found: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for vector in &vectors {
        let (key, sig) = (hex(&vector["key"]).unwrap(), hex(&vector["sig"]).unwrap());
        let (alone, bulk) = accepts(key, vector["msg"].as_str().unwrap().as_bytes(), sig);
        let flags = vector["flags"].as_array().cloned().unwrap_or_default();
        let flags: Vec<&str> = flags.iter().map(|flag| flag.as_str().unwrap()).collect();
        let row = found.entry(flags.join(" ")).or_default();
        let more = [1, u64::from(alone), u64::from(bulk)];
        *row = std::array::from_fn(|i| row[i] + more[i]);
        assert!(bulk || !alone, "what is accepted alone is accepted in bulk: {vector}");
    }
    assert_eq!(found, table(), "specs/signatures.md and the code differ");
    assert_eq!([1, 2].map(|column| found.values().map(|row| row[column]).sum::<u64>()), [43, 300]);
}

#[test]
fn every_signature_of_wycheproof_is_judged_as_its_authors_say() {
    let file: Value = serde_json::from_str(WYCHEPROOF).unwrap();
    let mut counted = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex(&group["publicKey"]["pk"]).unwrap();
        for test in group["tests"].as_array().unwrap() {
            counted += 1;
            let message = HEXLOWER.decode(test["msg"].as_str().unwrap().as_bytes()).unwrap();
            // A signature of another length cannot even be written down here.
            let (alone, bulk) = hex(&test["sig"]).map_or((false, false), |sig| accepts(key, &message, sig));
            let valid = test["result"] == "valid";
            assert_eq!((alone, bulk), (valid, valid || test["tcId"] == LAX_IN_BULK), "test {}", test["tcId"]);
        }
    }
    assert_eq!(counted, 151);
}
