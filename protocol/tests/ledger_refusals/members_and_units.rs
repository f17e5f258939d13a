//! Accounts and units.

use super::*;

#[test]
fn an_account_is_opened_once_and_never_for_a_peer_or_the_network() {
    assert_eq!(refused(opened(2, OwnerKind::Member, None), &[ROOT]), "account-exists");
    assert_eq!(refused(opened(9, OwnerKind::Peer, None), &[ROOT]), "owner-kind");
    assert_eq!(refused(opened(9, OwnerKind::Own, None), &[ROOT]), "owner-kind");
}

#[test]
fn only_an_organisation_is_an_anchor() {
    assert_eq!(refused(changed(None, None, Some(true)), &[ROOT]), "anchor-owner");
}

#[test]
fn a_change_changes_something_that_is_there() {
    assert_eq!(refused(changed(None, None, None), &[ROOT]), "nothing-to-do");
    assert_eq!(refused(changed(None, Some(Signer([1; 8])), None), &[ROOT]), "unknown-signer");
}

#[test]
fn accounts_that_are_not_there_are_named() {
    assert_eq!(refused(closed(9), &[ROOT]), "unknown-account");
    assert_eq!(refused(pay(2, 9, HOUR, 1), &[own(2)]), "unknown-account");
    assert_eq!(refused(granted(9, Role::Helper, true), &[ROOT]), "unknown-account");
}

#[test]
fn an_account_is_closed_empty_and_then_does_nothing() {
    let (mut world, _) = paid();
    assert_eq!(world.refusal(closed(3), &[ROOT]), "not-empty");
    world.must(pay(3, 2, HOUR, 10), &[DESK]);
    world.must(closed(3), &[ROOT]);
    assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "account-closed");
    assert_eq!(world.refusal(closed(3), &[ROOT]), "account-closed");
    world.must(closed(2), &[ROOT]);
    assert_eq!(world.refusal(pay(2, 1, HOUR, 1), &[own(2)]), "unknown-signer");
}

#[test]
fn an_account_with_a_payment_under_way_is_not_closed() {
    let mut world = world();
    world.must(pay(1, 2, HOUR, 5), &[own(1)]);
    world.must(hold(2, 5), &[own(2)]);
    assert_eq!(world.refusal(closed(2), &[ROOT]), "holds-open");
}

#[test]
fn a_unit_has_a_code_a_name_and_a_scale_within_bounds_and_comes_once() {
    let defined = |change: fn(&mut UnitDefined)| {
        let Payload::UnitDefined(mut defined) = unit(weft_protocol::ids::UnitId(5), "meal") else {
            return String::new();
        };
        change(&mut defined);
        refused(Payload::UnitDefined(defined), &[ROOT])
    };
    assert_eq!(defined(|u| u.code = String::new()), "unit-code");
    assert_eq!(defined(|u| u.code = "a".repeat(17)), "unit-code");
    assert_eq!(defined(|u| u.code = "Meal".into()), "unit-code");
    assert_eq!(defined(|u| u.name = String::new()), "name-length");
    assert_eq!(defined(|u| u.name = "é".repeat(33)), "name-length");
    assert_eq!(defined(|u| u.scale = 7), "unit-scale");
    assert_eq!(defined(|u| u.unit = HOUR), "unit-exists");
    assert_eq!(defined(|u| u.code = "hour".into()), "unit-exists");
}
