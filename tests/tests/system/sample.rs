//! The sample of real records, and the script that says what the books must show after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use weft_tests::kit::Outcome;
use weft_tests::require::{Tool, need};
use weft_tests::source_root;

fn expected(python: &Path, payments: &Path) -> Output {
    Command::new(python)
        .arg(source_root().join("tests/records/expected.py"))
        .arg(payments)
        .output()
        .expect("Python starts")
}

#[test]
fn the_sample_is_what_its_readme_says_and_the_two_ends_of_every_pair_agree() {
    let Some(python) = need(Tool::Python) else { return };
    let out = expected(&python, &source_root().join("tests/data/sample.csv"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");

    assert_eq!(report["payments"], 1_500);
    assert_eq!(report["local"], 1_397);
    assert_eq!(report["between"], 103);
    assert_eq!(report["amount_cents"], 90_655_170);
    let networks = report["networks"].as_object().expect("networks");
    let members: BTreeMap<&str, i64> =
        networks.iter().map(|(name, of)| (name.as_str(), of["members"].as_i64().expect("members"))).collect();
    assert_eq!(members, BTreeMap::from([("S02", 76), ("S03", 75), ("S13", 77), ("S20", 69)]));

    for (name, of_network) in networks {
        let peers = of_network["peers"].as_object().expect("peers");
        assert_eq!(peers.len(), 3, "{name} pays and is paid by all others");
        for (other, pair) in peers {
            let back = &networks[other]["peers"][name];
            assert_eq!(pair["sent"], back["received"], "{name} to {other}");
            assert!(pair["sent"]["count"].as_i64() > Some(0), "{name} never pays {other}");
            let (here, there) = (pair["position_cents"].as_i64(), back["position_cents"].as_i64());
            assert_eq!(here.expect("cents"), -there.expect("cents"), "{name} and {other}");
        }
    }
}

#[test]
fn a_broken_line_ends_the_recomputation_with_its_number() {
    let Some(python) = need(Tool::Python) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let head = "time_s,from,to,amount_cents\n1,A-1,B-1,5\n";
    for (line, why) in [
        ("2,A-1,A-1,5", "pays itself"),
        ("2,A-1,B-1,0", "above zero"),
        ("2,A-1,B-1,-5", "above zero"),
        ("2,A-1,B-1,1.5", "above zero"),
        ("2,A1,B-1,5", "a name is not"),
        ("x,A-1,B-1,5", "time_s"),
        ("2,A-1,B-1", "3 fields"),
    ] {
        let file = folder.path().join("payments.csv");
        fs::write(&file, format!("{head}{line}\n")).expect("a writable folder");
        let out = expected(&python, &file);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{line}: {said}");
        assert!(said.starts_with("line 3: ") && said.contains(why), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traffic_of_the_sample_holds_no_name_and_no_memo() -> Outcome<()> {
    let cost = weft_tests::records::run(None, &|_| {}).await?;
    assert_eq!((cost.networks, cost.local + cost.between + cost.refused), (4, 1_500), "{cost:?}");
    assert!(cost.needles > 1_700 && cost.frame_bytes > 50_000, "{cost:?}");
    Ok(())
}
