//! Rules and the three levels of a limit.

use super::*;

#[test]
fn a_limit_is_for_one_account_or_one_kind_of_holder() {
    assert_eq!(refused_rule(|r| r.account = None), "limit-scope");
    assert_eq!(refused_rule(|r| r.owner = Some(OwnerKind::Member)), "limit-scope");
    for owner in [OwnerKind::Peer, OwnerKind::Own] {
        assert_eq!(refused_rule(|r| (r.account, r.owner) = (None, Some(owner))), "limit-scope");
    }
    assert_eq!(refused_rule(|r| r.account = Some(own_accounts::hold())), "owner-kind");
    assert_eq!(refused_rule(|r| r.account = Some(account(9))), "unknown-account");
    assert_eq!(refused_rule(|r| r.unit.0 = 9), "unknown-unit");
}

#[test]
fn the_levels_of_a_limit_rise_and_there_is_one() {
    assert_eq!(refused_rule(|r| r.below = Some(levels(2, 1, 3))), "levels-order");
    assert_eq!(refused_rule(|r| r.above = Some(levels(1, 3, 2))), "levels-order");
    assert_eq!(refused_rule(|r| r.above = Some(Levels::default())), "nothing-to-do");
}

#[test]
fn a_limit_warns_then_stops_then_stands_firm() {
    let mut world = world();
    world.limit(2, levels(10, 20, 30));
    assert_eq!(world.must(pay(2, 3, HOUR, 10), &[own(2)]).transition.notices, []);
    let warned = world.must(pay(2, 3, HOUR, 10), &[own(2)]).transition.notices;
    assert!(matches!(warned[..], [Notice::NearLimit { balance: -20, .. }]));
    assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "limit-stop");
    let lifted = world.must(pay(2, 3, HOUR, 10), &[own(2), coordinator(1)]).transition.notices;
    assert!(matches!(lifted[..], [Notice::StopLifted { balance: -30, .. }]));
    assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2), coordinator(1)]), "limit-firm");
    assert_eq!(world.refusal(hold(2, 1), &[own(2)]), "limit-firm");
}

#[test]
fn paying_back_towards_zero_is_never_stopped() {
    let mut world = world();
    world.must(pay(2, 3, HOUR, 50), &[own(2)]);
    world.limit(2, levels(1, 2, 3));
    world.must(pay(3, 2, HOUR, 10), &[DESK]);
    assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "limit-firm");
}

#[test]
fn the_rule_of_an_account_goes_before_that_of_its_kind_and_each_is_replaced_as_a_whole() {
    let mut world = world();
    let tight = rule(&world, |r| {
        (r.account, r.owner, r.below) = (None, Some(OwnerKind::Member), Some(levels(1, 2, 3)))
    });
    world.must(tight, &[ROOT]);
    assert_eq!(world.refusal(pay(2, 3, HOUR, 4), &[own(2)]), "limit-firm");
    world.limit(2, levels(10, 20, 30));
    world.must(pay(2, 3, HOUR, 4), &[own(2)]);
    let none = rule(&world, |_| {});
    world.must(none, &[ROOT]);
    world.must(pay(2, 3, HOUR, 400), &[own(2)]);
}

#[test]
fn a_limit_above_binds_the_receiver() {
    let mut world = world();
    let above = rule(&world, |r| (r.account, r.above) = (Some(account(3)), Some(levels(5, 10, 20))));
    world.must(above, &[ROOT]);
    assert_eq!(world.refusal(pay(2, 3, HOUR, 11), &[own(2)]), "limit-stop");
    world.must(pay(2, 3, HOUR, 11), &[own(2), coordinator(1)]);
}
