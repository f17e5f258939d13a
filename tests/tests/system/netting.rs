//! Netting: what is cleared is what others find, on graphs that anybody can make again; every way of solving gives the
//! same bytes; and what `weft netting solve` writes, the Python verifier checks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use weft_protocol::ids::Hash;
use weft_protocol::netting::file::Certificate;
use weft_protocol::netting::{Begin, Debt, Debts};
use weft_tests::binaries::weft;
use weft_tests::netting::families::{Instance, SUMS, mix};
use weft_tests::netting::oracle::compare;
use weft_tests::require::{Tool, need, second_verifier};

/// Instances with seed 1, and the volume that OR-tools 9.15 and LEMON 1.3.1 both clear. Larger ones are solved beside both
/// by `cargo bench -p weft-protocol --bench netting`.
const KNOWN: [(&str, i128); 10] = [
    ("mix-1000-5", 214_113_232),
    ("mix-1000-10", 630_406_680),
    ("tier-1000-5", 126_822_842),
    ("tier-1000-10", 391_999_246),
    ("fed-100-10", 40_247_396),
    ("fed-500-10", 248_090_640),
    ("fed-2000-10", 1_037_278_914),
    ("mix-10000-5", 2_180_279_129),
    ("mix-10000-10", 6_353_553_973),
    ("tier-10000-5", 1_394_564_343),
];

fn instance(name: &str) -> Instance {
    name.parse().expect("a name of ours")
}

#[test]
fn on_known_graphs_as_much_is_cleared_as_other_solvers_clear() {
    for (name, volume) in KNOWN {
        let instance = instance(name);
        let debts = Debts::new(&instance.debts()).expect("debts that can stand");
        let certificate = Certificate::solve(&debts, &Hash([0; 32]));
        certificate.verify(&debts).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(certificate.volume(), volume, "{name}");
    }
}

#[test]
fn all_known_graphs_are_those_that_others_make() {
    for (name, _) in SUMS {
        assert_eq!(instance(name).is_right(), Some(true), "{name}");
    }
}

#[test]
fn the_order_of_debts_changes_no_byte_of_the_result() {
    for name in ["mix-1000-10", "tier-1000-10", "fed-2000-10"] {
        let given = instance(name).debts();
        let certificate = |debts: &[Debt]| {
            let debts = Debts::new(debts).expect("debts that can stand");
            Certificate::solve(&debts, &Hash([0; 32])).to_bytes()
        };
        let wanted = certificate(&given);
        let turned: Vec<Debt> = given.iter().rev().copied().collect();
        assert_eq!(certificate(&turned), wanted, "{name} from the last to the first");
        let mut mixed: Vec<(u64, Debt)> = (0..).zip(given).map(|(n, debt)| (mix(n), debt)).collect();
        mixed.sort_unstable();
        let mixed: Vec<Debt> = mixed.into_iter().map(|(_, debt)| debt).collect();
        assert_eq!(certificate(&mixed), wanted, "{name} in no order");
    }
}

#[test]
fn on_known_graphs_both_beginnings_end_with_the_same_bytes() {
    for name in ["mix-1000-10", "tier-1000-5", "fed-500-10"] {
        let debts = Debts::new(&instance(name).debts()).expect("debts that can stand");
        for component in debts.components(&Hash([7; 32])) {
            assert_eq!(component.solve_from(Begin::Owed), component.solve_from(Begin::Near), "{name}");
        }
    }
}

#[test]
fn a_thousand_random_graphs_are_solved_alike_in_every_way() {
    let tally = compare(0, 1_000, 1).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(tally.cleared > 700 && tally.naive > 800 && tally.largest > 1_000, "{tally:?}");
}

fn netting(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(weft()).arg("netting").args(arguments).current_dir(folder).output().expect("weft starts")
}

#[test]
fn what_the_command_writes_the_verifier_in_python_checks() {
    if need(Tool::Python).is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut table = "amount;creditor;debtor;note\n".replace(';', ",");
    for (debtor, creditor, amount) in instance("tier-1000-5").rows() {
        writeln!(table, "{}.{:02},firm {creditor},firm {debtor},x", amount / 100, amount % 100)
            .expect("memory");
    }
    fs::write(folder.path().join("t.csv"), table).expect("a writable folder");
    let check = |certificate: &str| {
        let mut specs = second_verifier().expect("Python is there");
        let out = specs.args(["netting", "t.csv", certificate]).current_dir(folder.path()).output();
        let out = out.expect("Python starts");
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    for certificate in ["c.cbor", "c.json"] {
        let out = netting(folder.path(), &["solve", "t.csv", "--certificate", certificate]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("1268228.42 (17.4 %) can be cleared at once"), "{said}");
        let right = "126822842 of 726116103 is cleared, and no more can be\n";
        assert_eq!(check(certificate), (Some(0), right.to_owned()));
        assert!(netting(folder.path(), &["verify", "t.csv", certificate]).status.success());
    }
    // Nothing is cleared: every rule but the last holds.
    let json = fs::read_to_string(folder.path().join("c.json")).expect("what was written");
    let (before, rest) = json.split_once("\"reductions\":[").expect("a list of reductions");
    let (reductions, after) = rest.split_once(']').expect("its end");
    let none = vec!["\"0\""; reductions.split(',').count()].join(",");
    fs::write(folder.path().join("none.json"), format!("{before}\"reductions\":[{none}]{after}"))
        .expect("writable");
    let out = netting(folder.path(), &["verify", "t.csv", "none.json"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("code optimal"), "{said}");
    assert_eq!(check("none.json"), (Some(1), "WRONG: optimal\n".to_owned()));
}
