//! The small worlds that are searched whole with each test run; all of them: `weft-tests model`.

use std::time::Duration;
use weft_protocol::clearing::weak::Weak;
use weft_tests::model::{Bounds, Scenario, people_first, run};

/// Longer than any of these searches takes on a slow machine.
const AT_MOST: Duration = Duration::from_secs(900);
/// A part of the worlds that are too large to be searched whole here.
const SOME: usize = 2_000;

fn whole(scenario: Scenario) {
    let report = run(scenario, None, Bounds { time: AT_MOST, steps: None, threads: 1 });
    assert!(report.broken.is_none() && report.complete, "{report}");
}

fn some(scenario: Scenario) {
    let report = run(scenario, None, Bounds { time: AT_MOST, steps: Some(SOME), threads: 1 });
    assert!(report.broken.is_none(), "{report}");
}

fn breaks(scenario: Scenario, weak: Weak) {
    let report = run(scenario, Some(weak), Bounds { time: AT_MOST, steps: None, threads: 1 });
    assert!(report.broken.is_some(), "without {weak:?}: {report}");
}

#[test]
fn two_networks_with_two_crashes_settle_on_every_way() {
    whole(Scenario::Pair);
}

#[test]
fn a_decider_that_lies_harms_no_honest_network() {
    some(Scenario::LyingDecider);
}

#[test]
fn a_decider_with_two_faces_harms_no_honest_network_on_any_way() {
    whole(Scenario::TwoFacedDecider);
}

#[test]
fn a_middle_that_lies_harms_no_honest_network() {
    some(Scenario::LyingMiddle);
}

#[test]
fn a_payer_that_lies_harms_no_honest_network_on_any_way() {
    whole(Scenario::LyingPayer);
}

#[test]
fn a_reject_that_overtakes_is_found_to_break_things() {
    breaks(Scenario::TwoFacedDecider, Weak::RejectOvertakes);
}

#[test]
fn a_contradiction_that_undoes_is_found_to_break_things() {
    breaks(Scenario::TwoFacedDecider, Weak::ContradictionUndoes);
}

#[test]
fn disputes_of_a_hop_leave_both_ends_agreed_on_every_way() {
    some(Scenario::PairDispute);
}

#[test]
fn disputes_of_every_hop_in_either_way_leave_no_middle_to_pay() {
    some(Scenario::ThreeDispute);
}

#[test]
fn statements_and_settlements_between_payments_are_agreed() {
    some(Scenario::PairStatements);
    some(Scenario::PairSettles);
}

#[test]
fn a_dispute_that_frees_a_middle_upstream_while_it_is_open_downstream_is_found_to_break_things() {
    // A middle is freed upstream, accepted downstream afterwards, and pays out of its own pocket.
    assert_eq!(people_first(Scenario::ThreeDisputeFirst, None), Ok(()));
    let broken = people_first(Scenario::ThreeDisputeFirst, Some(Weak::DisputeAnywhere));
    assert!(broken.as_ref().is_err_and(|why| why.contains("free upstream")), "{broken:?}");
}

#[test]
fn a_channel_is_reset_with_a_payment_open_and_both_ends_agree() {
    some(Scenario::PairReset);
    assert_eq!(people_first(Scenario::PairReset, None), Ok(()));
}

#[test]
fn networks_that_are_set_back_around_a_reset_agree_in_the_end() {
    some(Scenario::PairResetSetBack);
    some(Scenario::ThreeResetSetBack);
}

#[test]
fn a_reset_before_or_after_a_middle_leaves_no_middle_to_pay() {
    some(Scenario::ThreeResetFirst);
    some(Scenario::ThreeResetLast);
}

#[test]
fn a_reset_that_frees_what_is_bound_further_on_is_found_to_break_things() {
    assert_eq!(people_first(Scenario::ThreeResetFirst, None), Ok(()));
    let broken = people_first(Scenario::ThreeResetFirst, Some(Weak::ResetAnywhere));
    assert!(broken.as_ref().is_err_and(|why| why.contains("free upstream")), "{broken:?}");
}

#[test]
fn a_start_without_a_guard_is_found_to_break_things() {
    breaks(Scenario::PairSetBack, Weak::NoQuarantine);
}

#[test]
fn parts_of_a_payment_are_decided_together_on_the_ways_looked_at() {
    some(Scenario::PairParts);
    some(Scenario::ThreeParts);
}

#[test]
fn a_log_key_that_changes_between_the_steps_of_a_claim_harms_nobody() {
    whole(Scenario::PairRotation);
    some(Scenario::ThreeRotation);
}

#[test]
fn a_network_that_is_written_off_and_heard_again_agrees_on_the_ways_looked_at() {
    some(Scenario::PairWriteOff);
    some(Scenario::ThreeWriteOff);
}
