//! The books of two networks that pay each other, in every format; what the programs themselves say of them is a
//! test of the whole system.

use super::*;
use crate::tests::{networks, write_store};
use crate::write_bundle;
use tempfile::TempDir;

fn exported(dir: &Path, is_store: bool, format: Format, names: Names) -> (String, Exported) {
    let mut out = Vec::new();
    let exported = export(dir, is_store, format, names, &mut out, &mut |_| {}).expect("a clean ledger");
    (String::from_utf8(out).expect("text"), exported)
}

/// A data folder and its bundle.
fn ledger() -> TempDir {
    let (hull, _) = networks();
    let dir = TempDir::new().unwrap();
    write_store(&hull, &dir.path().join("data"), hull.own().len());
    write_bundle(&dir.path().join("data"), &dir.path().join("bundle")).unwrap();
    dir
}

#[test]
fn a_bundle_and_its_data_folder_give_the_same_books_in_every_format() {
    let dir = ledger();
    for (name, format) in Format::ALL {
        let (bundle, exported_bundle) = exported(&dir.path().join("bundle"), false, format, Names::default());
        let (store, _) = exported(&dir.path().join("data"), true, format, Names::default());
        assert_eq!(bundle, store, "{name}");
        assert!(exported_bundle.counts.movements > 240, "{name}");
        assert!(bundle.lines().count() as u64 > exported_bundle.counts.movements, "{name}");
    }
}

#[test]
fn amounts_in_the_lines_sum_to_zero_and_to_the_balances() {
    let dir = ledger();
    let (text, _) = exported(&dir.path().join("bundle"), false, Format::Csv, Names::default());
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let mut sums = std::collections::BTreeMap::<String, (i64, i64)>::new();
    for line in reader.records() {
        let line = line.unwrap();
        let row = sums.entry(line[4].to_owned()).or_default();
        row.0 += line[8].parse::<i64>().unwrap();
        row.1 = line[9].parse().unwrap();
    }
    assert_eq!(sums.values().map(|(sum, _)| sum).sum::<i64>(), 0);
    assert!(sums.values().any(|(sum, _)| *sum != 0) && sums.values().all(|(sum, balance)| sum == balance));
}

#[test]
fn names_come_from_the_person_who_exports_and_cannot_be_formulas_or_break_out_of_their_quotes() {
    let dir = ledger();
    let (text, _) = exported(&dir.path().join("bundle"), false, Format::Csv, Names::default());
    let account =
        text.lines().find(|l| l.contains(",transfer,")).and_then(|l| l.split(',').nth(4)).unwrap().to_owned();
    let names = || Names::read(format!("{account},\"=1+1 \"\"Ada\"\"\nB\"\n").as_bytes()).unwrap();
    let (csv, _) = exported(&dir.path().join("bundle"), false, Format::Csv, names());
    assert!(csv.contains("\"'=1+1 \"\"Ada\"\" B\""), "{csv}");
    let (beancount, _) = exported(&dir.path().join("bundle"), false, Format::Beancount, names());
    assert!(beancount.contains("name: \"=1+1 \\\"Ada\\\" B\""));
    let (journal, _) = exported(&dir.path().join("bundle"), false, Format::Journal, names());
    assert!(journal.contains("; =1+1 \"Ada\" B\naccount "));
}

#[test]
fn a_broken_file_of_names_is_refused_with_its_line() {
    let account = "00".repeat(16);
    for (text, line) in [("x,Ada", 1), (&*format!("{account},Ada\n{account},Bob"), 2), (&*account, 1)] {
        let error = Names::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("line {line}: ")), "{error}");
    }
}

#[test]
fn a_ledger_that_is_not_right_is_not_exported() {
    let dir = ledger();
    let bundle = dir.path().join("bundle");
    let tile = bundle.join("tile/entries/000");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    let error =
        export(&bundle, false, Format::Csv, Names::default(), &mut Vec::new(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExportError::NotClean { wrong: 1.., .. }), "{error}");
}
