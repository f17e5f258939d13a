//! Whose signatures count, and for what.

use super::*;

#[test]
fn a_signature_is_of_a_known_key_in_force() {
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[own(9)]), "unknown-signer");
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[(1, Role::Root, How::Custody)]), "unknown-signer");
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[(seed(2), Role::Node, How::OwnKey)]), "unknown-signer");
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[(10, Role::Member, How::Custody)]), "unknown-signer");
}

#[test]
fn a_key_that_was_taken_away_signs_nothing_any_more() {
    let mut world = world();
    world.must(changed(Some(public(99)), Some(key(seed(2)).public().signer()), None), &[ROOT]);
    assert_eq!(world.refusal(pay(2, 3, HOUR, 1), &[own(2)]), "unknown-signer");
    world.must(pay(2, 3, HOUR, 1), &[(99, Role::Member, How::OwnKey)]);
}

#[test]
fn a_role_must_be_held_to_be_signed_in() {
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[coordinator(2)]), "role-not-held");
}

#[test]
fn passkeys_are_not_in_this_version() {
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[(seed(2), Role::Member, How::Passkey)]), "passkey-not-yet");
}

#[test]
fn a_root_key_counts_once() {
    assert_eq!(refused(unit(weft_protocol::ids::UnitId(5), "meal"), &[ROOT, ROOT]), "signed-twice");
}

#[test]
fn at_most_16_signatures_stand_under_an_operation() {
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[own(2); 17]), "too-many-signatures");
}

#[test]
fn what_the_root_set_decides_nobody_else_can() {
    for payload in [
        granted(2, Role::Treasurer, true),
        unit(weft_protocol::ids::UnitId(5), "meal"),
        bound(Purpose::Log, 1, public(50)),
        rule(&world(), |_| {}),
    ] {
        for signs in [[coordinator(1)], [own(2)], [DESK], [DESK_COORDINATOR]] {
            assert_eq!(refused(payload.clone(), &signs), "root-quorum");
        }
    }
}

#[test]
fn accounts_are_kept_by_coordinators_and_operators() {
    for payload in [opened(9, OwnerKind::Member, None), changed(None, None, Some(false)), closed(2)] {
        for signs in [[own(2)], [own(1)], [DESK], [(14, Role::Treasurer, How::Paper)]] {
            assert_eq!(refused(payload.clone(), &signs), "office-needed");
        }
        for signs in [[coordinator(1)], [DESK_COORDINATOR], [ROOT], [(14, Role::Operator, How::Spoken)]] {
            world().must(payload.clone(), &signs);
        }
    }
}

#[test]
fn who_has_a_key_is_debited_by_that_key_alone() {
    for signs in [[DESK], [DESK_COORDINATOR], [ROOT], [own(1)], [coordinator(1)]] {
        assert_eq!(refused(pay(2, 3, HOUR, 1), &signs), "not-authorised");
    }
    world().must(pay(2, 3, HOUR, 1), &[own(2)]);
}

#[test]
fn who_has_no_key_is_debited_through_the_desk_alone() {
    for signs in [[ROOT], [own(1)], [coordinator(1)]] {
        assert_eq!(refused(pay(3, 2, HOUR, 1), &signs), "not-authorised");
    }
    for how in [How::Custody, How::Paper, How::Spoken] {
        world().must(pay(3, 2, HOUR, 1), &[(14, Role::Helper, how)]);
    }
}

#[test]
fn a_pool_is_debited_by_an_office() {
    let mut world = world();
    world.must(opened(4, OwnerKind::Pool, None), &[ROOT]);
    for signs in [[DESK], [own(1)]] {
        assert_eq!(world.refusal(pay(4, 2, HOUR, 1), &signs), "not-authorised");
    }
    for signs in [[coordinator(1)], [DESK_COORDINATOR], [ROOT], [(14, Role::Treasurer, How::Custody)]] {
        world.must(pay(4, 2, HOUR, 1), &signs);
    }
}

#[test]
fn a_payment_of_two_payers_needs_both() {
    let both = transfer(&[(1, 0, -5), (2, 0, -5), (3, 0, 10)]);
    assert_eq!(refused(both.clone(), &[own(2)]), "not-authorised");
    world().must(both, &[own(2), own(1)]);
}

#[test]
fn only_offices_are_granted() {
    for role in [Role::Member, Role::Root, Role::Node] {
        assert_eq!(refused(granted(2, role, true), &[ROOT]), "role-not-grantable");
    }
    assert_eq!(refused(granted(2, Role::Helper, false), &[ROOT]), "nothing-to-do");
}

#[test]
fn a_rule_names_what_gives_the_right_to_set_it() {
    let rule = LimitRule { unit: HOUR, account: Some(account(2)), owner: None, below: None, above: None };
    let payload = Payload::RuleSet(RuleSet { authority: Hash([1; 32]), rule: Rule::Limit(rule) });
    assert_eq!(refused(payload, &[ROOT]), "authority-unknown");
}

#[test]
fn a_signature_that_was_altered_or_relabelled_does_not_verify() {
    assert_eq!(forged(|b| b.auth[0].sig.0[9] ^= 1), "signature");
    let custody =
        |change: fn(&mut Body)| world().forge(pay(3, 2, HOUR, 1), &[DESK], change).unwrap_err().code();
    assert_eq!(custody(|b| b.auth[0].how = How::Paper), "signature");
    assert_eq!(custody(|b| b.auth[0].role = Role::Helper), "signature");
}
