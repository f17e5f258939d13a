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
