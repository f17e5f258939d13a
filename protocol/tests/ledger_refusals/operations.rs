//! Life and idempotency of operations.

use super::*;

#[test]
fn an_operation_is_done_once_by_whoever_signed_it() {
    let mut world = world();
    world.must(pay(2, 3, HOUR, 1), &[own(2)]);
    let again = world.written.last().unwrap().clone();
    assert_eq!(world.submit(&again).unwrap_err().code(), "op-done");
}

/// An operation used to count for its first signer only: a node could append one with two signatures once more with the
/// signatures in another order, and the payer paid twice.
#[test]
fn an_operation_is_not_new_because_its_signatures_stand_in_another_order() {
    let mut world = world();
    world.must(pay(2, 3, HOUR, 1), &[own(2), coordinator(1)]);
    let done = world.written.last().unwrap().clone();
    let turned = SignedOp { auth: done.auth.iter().rev().cloned().collect(), ..done.clone() };
    let alone = SignedOp { auth: vec![done.auth[0].clone()], ..done };
    assert_eq!(world.submit(&turned).unwrap_err().code(), "op-done");
    assert_eq!(world.submit(&alone).unwrap_err().code(), "op-done");
}

#[test]
fn an_operation_lives_until_its_time_and_at_most_35_days() {
    let mut world = world();
    let mut op = world.op(pay(2, 3, HOUR, 1), vec![]);
    op.not_after_ms = world.now_ms - 1;
    let late = world.sign(&op, &[own(2)]);
    assert_eq!(world.submit(&late).unwrap_err().code(), "op-expired");
    op.not_after_ms = world.now_ms + 35 * DAY_MS + 1;
    let long = world.sign(&op, &[own(2)]);
    assert_eq!(world.submit(&long).unwrap_err().code(), "op-life");
    op.not_after_ms = world.now_ms + 35 * DAY_MS;
    let longest = world.sign(&op, &[own(2)]);
    world.submit(&longest).unwrap();
}

#[test]
fn an_operation_that_was_forgotten_is_too_old_to_be_done_again() {
    let mut world = world();
    world.must(pay(2, 3, HOUR, 1), &[own(2)]);
    let old = world.written.last().unwrap().clone();
    world.now_ms += 2 * DAY_MS;
    world.must(pay(2, 3, HOUR, 1), &[own(2)]);
    assert_eq!(world.submit(&old).unwrap_err().code(), "op-expired");
}

#[test]
fn the_nodes_own_kinds_carry_no_signature_and_others_at_least_one() {
    let release =
        Payload::Release(Release { hold: Hash::ZERO, postings: postings(&[(1, 0, -1), (2, 0, 1)]) });
    assert_eq!(refused(release, &[own(2)]), "node-only");
    assert_eq!(refused(pay(2, 3, HOUR, 1), &[]), "unsigned");
}
