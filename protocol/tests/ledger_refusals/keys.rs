//! Root sets, epochs, signer ids.

use super::*;

#[test]
fn a_root_set_has_ordered_keys_and_a_threshold_it_can_meet() {
    assert_eq!(started(|g| g.root.keys = vec![]), "root-set");
    assert_eq!(started(|g| g.root.threshold = 0), "root-set");
    assert_eq!(started(|g| g.root.threshold = 2), "root-set");
    assert_eq!(started(|g| g.root.keys.push(g.root.keys[0])), "root-set-order");
    assert_eq!(started(|g| g.root.keys.extend([KeyBytes([0xff; 32]); 15])), "root-set");
    assert_eq!(started(|g| g.root.keys.push(KeyBytes([0xff; 32]))), "key");
}

#[test]
fn weak_keys_and_keys_that_are_no_points_are_refused_everywhere() {
    let weak = KeyBytes::ZERO;
    assert_eq!(started(|g| g.keys[0].key = weak), "key");
    assert_eq!(started(|g| g.keys[2].key = weak), "key");
    assert_eq!(refused(changed(Some(weak), None, None), &[ROOT]), "key");
    assert_eq!(refused(bound(Purpose::Witness, 1, KeyBytes([0xff; 32])), &[ROOT]), "key");
}

#[test]
fn epochs_of_a_key_have_no_gaps_and_a_key_comes_once() {
    assert_eq!(refused(bound(Purpose::Log, 0, public(50)), &[ROOT]), "key-epoch");
    assert_eq!(refused(bound(Purpose::Log, 2, public(50)), &[ROOT]), "key-epoch");
    assert_eq!(refused(bound(Purpose::Log, 1, public(10)), &[ROOT]), "key-reused");
}

#[test]
fn a_signer_id_belongs_to_one_account_for_ever() {
    assert_eq!(refused(opened(9, OwnerKind::Member, Some(seed(2))), &[ROOT]), "signer-exists");
    for of_the_network in [1, 10, 11, 13, 14] {
        assert_eq!(refused(opened(9, OwnerKind::Member, Some(of_the_network)), &[ROOT]), "signer-exists");
    }
    let mut world = world();
    world.must(changed(None, Some(key(seed(2)).public().signer()), None), &[ROOT]);
    assert_eq!(world.refusal(changed(Some(public(seed(2))), None, None), &[ROOT]), "signer-exists");
}

#[test]
fn an_account_has_at_most_eight_keys() {
    let mut world = world();
    for seed in 30..37 {
        world.must(changed(Some(public(seed)), None, None), &[ROOT]);
    }
    assert_eq!(world.refusal(changed(Some(public(37)), None, None), &[ROOT]), "too-many-keys");
}

#[test]
fn a_signature_has_64_bytes() {
    assert_eq!(forged(|b| b.auth[0].sig = Blob(vec![0; 63])), "signature-length");
}

#[test]
fn a_recovery_key_is_optional_and_begins_with_epoch_0() {
    assert_eq!(refused(bound(Purpose::Recovery, 1, public(50)), &[ROOT]), "key-epoch");
    assert_eq!(refused(bound(Purpose::Recovery, 0, KeyBytes::ZERO), &[ROOT]), "key");
    let with_recovery = |g: &mut Genesis| {
        g.keys.push(weft_protocol::ledger::identity::PurposeKey {
            purpose: Purpose::Recovery,
            key: public(50),
        });
    };
    assert_eq!(started(with_recovery), "genesis-keys");
    let mut world = world();
    world.must(bound(Purpose::Recovery, 0, public(50)), &[ROOT]);
    let alone = revoked(&world, Purpose::Recovery, 0, None);
    world.must(Payload::KeyRevoked(alone), &[ROOT]);
    world.must(bound(Purpose::Recovery, 1, public(51)), &[ROOT]);
}

#[test]
fn a_revocation_names_a_key_that_was_bound_and_is_not_revoked() {
    assert_eq!(refused_revocation(|r| r.epoch = 1), "key-unknown");
    let mut world = world();
    let payload = Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, Some(60)));
    world.must(payload, &[ROOT]);
    let again = Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, None));
    assert_eq!(world.refusal(again, &[ROOT]), "key-revoked");
}

#[test]
fn a_revocation_stands_by_the_genesis_at_least_and_by_nothing_after_itself() {
    assert_eq!(refused_revocation(|r| r.last_good.size = 0), "last-good");
    assert_eq!(refused_revocation(|r| r.last_good.size = 1_000), "last-good");
    assert_eq!(refused_revocation(|r| r.last_good.root = Hash([1; 32])), "last-good");
}

#[test]
fn a_key_in_force_is_revoked_with_another_and_an_old_one_without() {
    assert_eq!(refused_revocation(|r| r.replacement = None), "replacement-needed");
    assert_eq!(refused_revocation(|r| r.replacement = Some(public(1))), "key-reused");
    assert_eq!(refused_revocation(|r| r.replacement = Some(public(14))), "key-reused");
    assert_eq!(refused_revocation(|r| r.replacement = Some(KeyBytes([0xff; 32]))), "key");
    let mut world = world();
    world.must(bound(Purpose::Desk, 1, public(60)), &[ROOT]);
    let idle = Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, Some(61)));
    assert_eq!(world.refusal(idle, &[ROOT]), "replacement-idle");
    let old = Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, None));
    world.must(old, &[ROOT]);
}

#[test]
fn a_revocation_needs_the_root_set() {
    let world = world();
    let payload = || Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, Some(60)));
    assert_eq!(refused(payload(), &[coordinator(1)]), "root-quorum");
    assert_eq!(refused(payload(), &[]), "unsigned");
}

#[test]
fn a_desk_key_that_was_revoked_signs_nothing_more() {
    let mut world = world();
    world.must(pay(3, 2, HOUR, 1), &[DESK]);
    let payload = Payload::KeyRevoked(revoked(&world, Purpose::Desk, 0, Some(60)));
    world.must(payload, &[ROOT]);
    assert_eq!(world.refusal(pay(3, 2, HOUR, 1), &[DESK]), "unknown-signer");
    world.must(pay(3, 2, HOUR, 1), &[(60, Role::Member, How::Custody)]);
}

#[test]
fn a_log_key_that_the_node_does_not_hold_is_not_bound() {
    assert_eq!(refused(bound(Purpose::Log, 1, public(70)), &[ROOT]), "log-key-missing");
    assert_eq!(
        refused_revocation(|r| (r.purpose, r.replacement) = (Purpose::Log, Some(public(70)))),
        "log-key-missing"
    );
}

#[test]
fn without_a_commitment_the_old_quorum_chooses_and_the_new_one_shows_that_it_holds_its_keys() {
    assert_eq!(refused(roots(2, &[2, 3], None), &[root(2), root(3)]), "root-quorum");
    assert_eq!(refused(roots(2, &[2, 3], None), &[ROOT, root(2)]), "new-root-quorum");
    assert_eq!(refused(roots(2, &[2, 3], None), &[ROOT, root(2), root(2)]), "signed-twice");
    assert_eq!(refused(roots(2, &[2, 3], None), &[ROOT, root(2), root(4)]), "unknown-signer");
    assert_eq!(refused(roots(1, &[1], None), &[ROOT]), "nothing-to-do");
    assert_eq!(refused(roots(1, &[10], None), &[ROOT, root(10)]), "key-reused");
    assert_eq!(refused(roots(3, &[2, 3], None), &[ROOT, root(2), root(3)]), "root-set");
    let mut world = world();
    world.must(roots(2, &[2, 3], None), &[ROOT, root(2), root(3)]);
    assert_eq!(world.refusal(bound(Purpose::Witness, 1, public(50)), &[ROOT]), "unknown-signer");
    world.must(bound(Purpose::Witness, 1, public(50)), &[root(2), root(3)]);
}

#[test]
fn a_committed_set_is_the_only_one_that_follows() {
    let (next, after) = (root_set(2, &[2, 3, 4]), root_set(1, &[1, 5]));
    let mut world = world();
    world.must(roots(1, &[1], Some(&next)), &[ROOT]);
    let quorum = [ROOT, root(2), root(3)];
    assert_eq!(world.refusal(roots(2, &[2, 3, 5], Some(&after)), &quorum), "next-root");
    assert_eq!(world.refusal(roots(1, &[2, 3, 4], Some(&after)), &quorum), "next-root");
    assert_eq!(world.refusal(roots(1, &[1], Some(&after)), &[ROOT]), "next-root");
    world.must(roots(2, &[2, 3, 4], Some(&after)), &quorum);
    // A coordinator may come back: 1 stood in the first set.
    world.must(roots(1, &[1, 5], None), &[root(2), root(4), root(5)]);
}

#[test]
fn a_key_that_ever_was_a_root_key_serves_for_nothing_else() {
    let mut world = world();
    world.must(roots(1, &[2], None), &[ROOT, root(2)]);
    assert_eq!(world.refusal(bound(Purpose::Witness, 1, public(1)), &[root(2)]), "key-reused");
    assert_eq!(world.refusal(changed(Some(public(1)), None, None), &[root(2)]), "signer-exists");
}

#[test]
fn a_change_of_the_root_set_carries_the_signatures_of_two_whole_sets() {
    let (old, new): (Vec<u8>, Vec<u8>) = ((20..35).collect(), (35..50).collect());
    let mut world = world();
    let first: Vec<Sign> = std::iter::once(1).chain(old.clone()).map(root).collect();
    world.must(roots(15, &old, None), &first);
    let all: Vec<Sign> = old.iter().chain(&new).copied().map(root).collect();
    let entry = world.must(roots(15, &new, None), &all).entry;
    assert_eq!(entry.body().auth.len(), 30);
    let too_many: Vec<Sign> = new.iter().chain(&old).copied().chain([1]).map(root).collect();
    assert_eq!(world.refusal(roots(15, &old, None), &too_many), "too-many-signatures");
}
