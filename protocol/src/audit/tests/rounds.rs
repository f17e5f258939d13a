//! Rounds run again from ledgers in memory: what one of them can tell, what all of them can, and what is wrong.

use super::*;
use crate::audit::rounds::rerun;
use crate::clearing::apply::{Will, Wish};
use crate::clearing::round_tests::{Circle, LISTS_MS};
use crate::netting::round::view::Outcome as Stands;

fn cleared() -> Circle {
    let mut circle = Circle::listed();
    circle.at(LISTS_MS + 1_000);
    circle
}

fn audits(circle: &Circle) -> Vec<Audit> {
    circle.networks.iter().map(|network| Memory::of(network).audit(&Options::default())).collect()
}

fn whats(findings: &Findings, class: Class) -> Vec<String> {
    findings.kept().iter().filter(|f| f.class == class).map(|finding| finding.what.clone()).collect()
}

/// The first debt that the ledger has booked of a result.
fn booked(audit: &mut Audit) -> (Hash, &mut netted::Booked) {
    let all = audit.sides.values_mut().flat_map(|side| &mut side.cleared);
    let mut all = all.filter_map(|(result, one)| Some((*result, one.booked.as_mut()?)));
    all.next().unwrap()
}

#[test]
fn a_round_runs_again_from_the_ledgers_and_comes_to_the_same() {
    let audits = audits(&cleared());
    for audit in &audits {
        assert_eq!(wrong(audit), Vec::<String>::new());
        assert_eq!(whats(&audit.report.findings, Class::NotChecked), Vec::<String>::new());
    }
    let all = rerun(&audits.iter().collect::<Vec<_>>());
    assert_eq!((all.findings.kept(), all.ledgers.len(), all.rounds.len()), (&[][..], 3, 1));
    let attempt = &all.rounds[0].attempts[0];
    assert_eq!((attempt.owed, attempt.cleared, attempt.optimum, attempt.is_same), (150, 120, 120, true));
    assert_eq!((attempt.results[0].outcome, attempt.results[0].ends), (Stands::Committed, (6, 6)));
    // One ledger alone books two of the ends; it has heard the public streams of all.
    let one = rerun(&[&audits[1]]);
    assert_eq!((one.findings.kept(), one.rounds[0].attempts[0].results[0].ends), (&[][..], (2, 2)));
}

#[test]
fn a_vote_that_one_ledger_has_not_heard_is_not_checked_and_another_ledger_shows_it() {
    let circle = cleared();
    let (hull, silent) = (&circle.networks[0], circle.networks[2].ledger());
    let mut memory = Memory::of(hull);
    memory.received.retain(|(from, bytes)| {
        let entry = Entry::parse(bytes).unwrap();
        *from != silent || !matches!(entry.op().payload, Payload::Voted(_))
    });
    let alone = memory.audit(&Options::default());
    assert_eq!(wrong(&alone), Vec::<String>::new());
    let missing = whats(&alone.report.findings, Class::NotChecked);
    assert!(missing[0].ends_with(&format!("the word of {} is not here", silent.short())), "{missing:?}");
    let other = Memory::of(&circle.networks[1]).audit(&Options::default());
    assert_eq!(rerun(&[&alone, &other]).findings.kept(), []);
}

#[test]
fn what_is_booked_otherwise_than_the_result_says_is_found() {
    let mut audits = audits(&cleared());
    let (result, row) = booked(&mut audits[0]);
    row.amount += 1;
    let all = rerun(&audits.iter().collect::<Vec<_>>());
    let said = format!("netting result {result} takes 40 off this debt, booked are 41");
    assert_eq!(whats(&all.findings, Class::Mismatch), [said]);
    let (_, row) = booked(&mut audits[0]);
    row.round = Hash([9; 32]);
    let all = rerun(&audits.iter().collect::<Vec<_>>());
    assert!(whats(&all.findings, Class::NotChecked)[0].contains("is not all here"));
}

#[test]
fn what_is_applied_though_somebody_has_refused_it_is_found() {
    let (fine, mut circle) = (audits(&cleared()), Circle::listed());
    let refuses = Wish { accepts: Some(false), joins: None, drops: false };
    let of_round = BTreeMap::from([(circle.round, refuses)]);
    circle.networks[2].engine.want(Will { joins: true, accepts: true, of_round });
    circle.at(LISTS_MS + 1_000);
    let mut audits = audits(&circle);
    let all = rerun(&audits.iter().collect::<Vec<_>>());
    let result = all.rounds[0].attempts[0].results[0].id;
    assert!(matches!(all.rounds[0].attempts[0].results[0].outcome, Stands::Aborted(_)));
    assert_eq!(all.findings.kept(), []);
    // It books what the same circle would have booked, had all accepted.
    let sides = fine[0].sides.iter().filter_map(|(id, side)| Some((id, side.cleared.values().next()?)));
    for (id, cleared) in sides {
        let mut cleared = cleared.clone();
        cleared.booked.as_mut().unwrap().round = circle.round;
        audits[0].sides.get_mut(id).unwrap().cleared.insert(result, cleared);
    }
    let all = rerun(&audits.iter().collect::<Vec<_>>());
    let said = whats(&all.findings, Class::Error);
    let by = circle.networks[2].ledger().short();
    assert!(said[0].ends_with(&format!("is applied, though refused by {by}")), "{said:?}");
}
