//! Bytes that are no entry.

use super::*;

#[test]
fn an_entry_that_is_too_long_is_none() {
    let lines: Vec<_> = (0..64).map(|n| (n, 0, if n < 32 { -(1 << 40) } else { 1 << 40 })).collect();
    let mut world = world();
    let op = world.op(transfer(&lines), vec![Hash([1; 32]); 64]);
    let signed = world.sign(&op, &[own(2); 8]);
    assert_eq!(world.submit(&signed).unwrap_err().code(), "entry");
}

#[test]
fn more_than_64_postings_are_no_list() {
    let lines: Vec<_> = (0..65).map(|n| (n, 0, 1)).collect();
    assert_eq!(refused(transfer(&lines), &[own(2)]), "entry");
}

#[test]
fn bytes_before_after_or_inside_an_entry_make_it_none() {
    let (world, _) = paid();
    let good = world.entries.last().unwrap().bytes();
    assert!(Entry::parse(good).is_ok());
    assert!(Entry::parse(&[good, &[0]].concat()).is_err());
    assert!(Entry::parse(&[&[0x82], good].concat()).is_err());
    assert!(Entry::parse(&good[..good.len() - 1]).is_err());
}

#[test]
fn a_kind_and_a_version_of_the_future_are_refused() {
    assert_eq!(forged(|b| b.kind = 0x0601), "entry");
    assert_eq!(forged(|b| b.v = 2), "entry");
}
