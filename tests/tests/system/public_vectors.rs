//! What others publish to test trees and CBOR: every case, judged as its authors say or as our text says.
//!
//! Signatures are in `protocol/src/audit/signatures/vectors.rs`, where audits in bulk can be seen too, notes in
//! `protocol/src/log/note/tests.rs`. Where the data is
//! from: `tests/vectors/README.md`.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;
use std::collections::BTreeMap;
use weft_protocol::encoding::check_shape;
use weft_protocol::ids::Hash;
use weft_protocol::log::proof::{verify_consistency, verify_inclusion};
use weft_tests::source_root;

fn cases(file: &str) -> Vec<Value> {
    let path = source_root().join("tests/vectors").join(file);
    serde_json::from_slice(&std::fs::read(path).expect("a file of vectors")).expect("a list in JSON")
}

/// A hash, unless the case spoils its length: such a thing cannot even be handed to our functions.
fn hash(text: &Value) -> Option<Hash> {
    let bytes = BASE64.decode(text.as_str()?.as_bytes()).expect("base64");
    Some(Hash(bytes.try_into().ok()?))
}

fn proof(case: &Value) -> Option<Vec<Hash>> {
    case["proof"].as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}

fn inclusion(case: &Value) -> Option<bool> {
    let (index, size) = (case["leafIdx"].as_u64()?, case["treeSize"].as_u64()?);
    Some(
        verify_inclusion(&hash(&case["leafHash"])?, index, size, &proof(case)?, &hash(&case["root"])?)
            .is_ok(),
    )
}

fn consistency(case: &Value) -> Option<bool> {
    let (old, new) = (case["size1"].as_u64()?, case["size2"].as_u64()?);
    Some(verify_consistency(old, new, &proof(case)?, &hash(&case["root1"])?, &hash(&case["root2"])?).is_ok())
}

#[test]
fn every_proof_of_the_merkle_project_is_judged_as_it_says_but_for_empty_trees() {
    let (mut believed, mut empty) = (0, 0);
    for (file, judge) in [
        ("merkle/inclusion.json", inclusion as fn(&Value) -> Option<bool>),
        ("merkle/consistency.json", consistency),
    ] {
        let cases = cases(file);
        assert_eq!(cases.len(), 98);
        for case in &cases {
            let theirs = case["wantErr"] == false;
            // An empty tree proves nothing (specs/log.md §2), whatever its roots are.
            let of_nothing = [&case["treeSize"], &case["size1"], &case["size2"]].contains(&&Value::from(0));
            // Roots that are no hashes at all are in two cases where only their being equal is asked for.
            let ours = judge(case);
            let comparable = !of_nothing && (ours.is_some() || !theirs);
            if comparable {
                assert_eq!(ours.unwrap_or(false), theirs, "{}", case["file"]);
            } else {
                assert_ne!(ours, Some(true), "{}", case["file"]);
                empty += u64::from(theirs);
            }
            believed += u64::from(ours == Some(true));
        }
    }
    assert_eq!((believed, empty), (11, 2), "good proofs believed, good cases about no tree or no hashes");
}

#[test]
fn of_the_examples_in_rfc_8949_exactly_the_canonical_ones_pass_the_gate() {
    let cases = cases("rfc8949/appendix-a.json");
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for case in &cases {
        let (hex, ours) = (case["hex"].as_str().expect("hex"), case["ours"].as_str().expect("a word"));
        let bytes = HEXLOWER.decode(hex.as_bytes()).expect("hex");
        let judged = check_shape(&bytes);
        assert_eq!(judged.is_ok(), ours == "accept", "{hex}: {judged:?}");
        *counts.entry(ours).or_default() += 1;
    }
    let rules: Vec<(&str, u64)> = counts.into_iter().collect();
    assert_eq!(
        rules,
        [("accept", 33), ("indefinite", 11), ("map-key", 3), ("simple", 26), ("tag", 8)],
        "81 examples"
    );
}
