//! Movements, reversals, holds.

use super::*;

#[test]
fn a_movement_has_one_form() {
    let by = |lines: &[(u8, u16, i64)]| refused(transfer(lines), &[own(2), own(1)]);
    assert_eq!(by(&[]), "nothing-to-do");
    assert_eq!(by(&[(2, 0, 1), (1, 0, -1)]), "posting-order");
    assert_eq!(by(&[(2, 1, -1), (2, 0, 1)]), "posting-order");
    assert_eq!(by(&[(2, 0, -1), (2, 0, 1)]), "posting-order");
    assert_eq!(by(&[(1, 0, 0), (2, 0, 0)]), "posting-amount");
    assert_eq!(by(&[(1, 0, i64::MAX), (2, 0, -i64::MAX)]), "posting-amount");
    assert_eq!(by(&[(1, 0, i64::MIN), (2, 0, 1)]), "posting-amount");
    assert_eq!(by(&[(1, 0, 2), (2, 0, -1)]), "sum-not-zero");
    assert_eq!(by(&[(1, 0, 1), (2, 1, -1)]), "sum-not-zero");
    assert_eq!(by(&[(1, 7, 1), (2, 7, -1)]), "unknown-unit");
}

#[test]
fn a_balance_stays_within_two_to_the_62() {
    let mut world = world();
    let most = 1 << 62;
    world.must(transfer(&[(1, 0, most), (2, 0, -most)]), &[own(2)]);
    assert_eq!(world.refusal(pay(2, 1, HOUR, 1), &[own(2)]), "balance-overflow");
}

#[test]
fn nobody_posts_to_an_account_of_the_network() {
    let postings = move_value(account(2), own_accounts::hold(), HOUR, amount(1));
    let payload = Payload::Transfer(Transfer { postings, when_day: None });
    assert_eq!(refused(payload, &[own(2)]), "owner-kind");
}

#[test]
fn a_transfer_is_reversed_once_and_as_a_whole() {
    let (mut world, seq) = paid();
    assert_eq!(world.refusal(reversal(seq, &[(2, 0, 9), (3, 0, -9)]), &[coordinator(1)]), "reversal-differs");
    assert_eq!(
        world.refusal(reversal(seq, &[(2, 0, -10), (3, 0, 10)]), &[coordinator(1)]),
        "reversal-differs"
    );
    assert_eq!(
        world.refusal(reversal(seq + 1, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]),
        "not-reversible"
    );
    world.must(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]);
    assert_eq!(
        world.refusal(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]),
        "already-reversed"
    );
}

#[test]
fn a_reversal_needs_the_receiver_or_a_coordinator() {
    let (mut world, seq) = paid();
    let back = reversal(seq, &[(2, 0, 10), (3, 0, -10)]);
    assert_eq!(world.refusal(back.clone(), &[own(2)]), "not-authorised");
    world.must(back, &[DESK]);
}

#[test]
fn a_reversal_passes_limits() {
    let (mut world, seq) = paid();
    world.must(pay(3, 1, HOUR, 10), &[DESK]);
    world.limit(3, levels(0, 0, 0));
    world.must(reversal(seq, &[(2, 0, 10), (3, 0, -10)]), &[coordinator(1)]);
}

#[test]
fn a_transfer_is_reversible_for_60_days_and_then_forgotten() {
    let (mut world, seq) = paid();
    let back = reversal(seq, &[(2, 0, 10), (3, 0, -10)]);
    world.now_ms += 60 * DAY_MS;
    world.must(pay(2, 1, HOUR, 1), &[own(2)]);
    assert!(world.state.transfers.contains_key(&seq), "60 days are not over");
    world.now_ms += 1;
    world.must(pay(2, 1, HOUR, 1), &[own(2)]);
    assert_eq!(world.refusal(back, &[coordinator(1)]), "not-reversible");
}

#[test]
fn a_hold_names_one_sidecar_and_another_network() {
    let mut world = world();
    for sidecars in [vec![], vec![Hash([1; 32]), Hash([2; 32])]] {
        let op = world.op(hold(2, 5), sidecars);
        let signed = world.sign(&op, &[own(2)]);
        assert_eq!(world.submit(&signed).unwrap_err().code(), "hold-sidecar");
    }
    let payee_network = world.ledger();
    let home = Hold { account: account(2), unit: HOUR, amount: amount(5), payee_network, when_day: None };
    assert_eq!(world.refusal(Payload::Hold(home), &[own(2)]), "own-network");
    assert_eq!(world.refusal(hold(2, 5), &[DESK]), "not-authorised");
}

#[test]
fn a_release_gives_back_exactly_what_was_held_and_once() {
    let mut world = world();
    let leaf = world.must(hold(2, 5), &[own(2)]).entry.leaf();
    let release = |to: AccountId, minor: i64| {
        let postings = move_value(own_accounts::hold(), to, HOUR, amount(minor));
        Payload::Release(Release { hold: leaf, postings })
    };
    assert_eq!(world.refusal(release(account(2), 4), &[]), "postings-differ");
    assert_eq!(world.refusal(release(account(1), 5), &[]), "postings-differ");
    world.must(release(account(2), 5), &[]);
    assert_eq!(world.refusal(release(account(2), 5), &[]), "unknown-hold");
}

#[test]
fn the_other_halves_of_clearing_need_a_claim() {
    let claim = weft_protocol::ids::ClaimId([1; 32]);
    let postings = postings(&[(1, 0, -1), (2, 0, 1)]);
    let end = End { claim, part: 0, closing: Hash::ZERO, postings: postings.clone() };
    assert_eq!(refused(Payload::End(end), &[]), "unknown-claim");
    assert_eq!(
        refused(Payload::Credit(Credit { claim, account: account(2), postings }), &[]),
        "unknown-claim"
    );
}
