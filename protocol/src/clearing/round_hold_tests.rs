//! What is held for a netting round while something else happens to the same debt: a dispute, a peer written off, a
//! settlement. The two ends of each debt never differ, and what was committed is applied (specs/netting.md 7.6, 10.4).

use super::round_tests::{Circle, LISTS_MS, OFFERS_MS};
use super::settle_tests::about_settlement;
use crate::clearing::apply::Will;
use crate::clearing::dispute::{DisputeArgs, DisputeOutcome};
use crate::clearing::step::RootSig;
use crate::encoding::Blob;
use crate::entry::Payload;
use crate::ids::Hash;
use crate::keys;
use crate::ledger::settled::SettleAct;
use crate::ledger::writeoff::LOST_AFTER_MS;
use crate::ledger::{Rejected, own_accounts};
use crate::testing::TestNetwork;

fn no_findings(circle: &Circle) {
    for network in &circle.networks {
        assert_eq!(network.engine.peers().findings(), []);
    }
}

/// While both ends hold what 0 owes 1, 1 pays a member of 0, which has said yes; 1 has heard nothing of it, and both
/// root sets close the hop.
fn disputed(outcome: DisputeOutcome) -> Circle {
    let mut circle = Circle::new();
    circle.at(1_000);
    let (payer, payee) = (circle.members[1], circle.members[0]);
    let [of_payee, of_payer] = circle.networks.get_disjoint_mut([0, 1]).unwrap();
    let claim = of_payer.pay(payer, payee, of_payee, 20).unwrap();
    of_payer.deliver(of_payee, usize::MAX);
    let dispute = of_payee.engine.dispute_of(claim, 0, &of_payer.ledger(), outcome).unwrap();
    let bytes = dispute.to_bytes();
    let sign = |network: &TestNetwork| {
        let key = network.root();
        vec![RootSig { signer: key.public().signer(), sig: key.sign(keys::DISPUTE, &[&bytes]) }]
    };
    let (sigs_debtor, sigs_creditor) = (sign(of_payer), sign(of_payee));
    let args = DisputeArgs { dispute: Blob(bytes), sigs_debtor, sigs_creditor };
    // The payer's network signs nothing for a while, so the yes and the dispute reach it together.
    of_payer.engine.hushed.insert(dispute.channel);
    of_payee.dispute(args).unwrap();
    of_payee.deliver(of_payer, usize::MAX);
    of_payer.engine.hushed.clear();
    circle.at(OFFERS_MS + 1_000);
    circle.at(LISTS_MS + 1_000);
    circle
}

#[test]
fn a_hop_that_a_dispute_frees_changes_nothing_of_what_a_round_holds() {
    let circle = disputed(DisputeOutcome::Free);
    assert_eq!(circle.debts(), [10, 0, 20]);
    circle.nothing_is_held();
    no_findings(&circle);
}

#[test]
fn a_hop_that_a_dispute_binds_comes_off_beside_the_round() {
    let circle = disputed(DisputeOutcome::Bound);
    // 50 less 40 by the round, less 20 by the payment: 1 owes 0 ten, for which it had room of its own.
    assert_eq!(circle.debts(), [-10, 0, 20]);
    circle.nothing_is_held();
    no_findings(&circle);
}

fn write_off(at: &mut TestNetwork, lost: &TestNetwork) {
    let off = at.engine.write_off_of(&lost.ledger(), 0).unwrap();
    at.by_root(Payload::WriteOff(off)).unwrap();
    assert_eq!(at.balance(&own_accounts::peer(&at.ledger(), &lost.ledger())), 0);
}

/// All accept. 1 is lost before it hears of it, and both others write it off: before or after they apply.
fn lost_after_its_yes(off_before_they_apply: bool) -> Circle {
    let mut circle = Circle::listed();
    circle.publishes(&circle.solved());
    let [one, lost, other] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    one.deliver_public(lost);
    one.deliver_public(other);
    let now_ms = one.now_ms + 1_000;
    for network in [&mut *one, &mut *lost, &mut *other] {
        network.now_ms = now_ms;
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    let apply = |one: &mut TestNetwork, lost: &mut TestNetwork, other: &mut TestNetwork| {
        lost.deliver_public(one);
        lost.deliver_public(other);
        one.deliver_public(other);
        other.deliver_public(one);
        for _ in 0..3 {
            one.with_cx(|engine, cx| engine.tick(cx));
            other.with_cx(|engine, cx| engine.tick(cx));
            one.settle(other);
        }
    };
    if !off_before_they_apply {
        apply(one, lost, other);
    }
    for network in [&mut *one, &mut *other] {
        network.now_ms += LOST_AFTER_MS;
        network.with_cx(|engine, cx| engine.tick(cx));
        write_off(network, lost);
    }
    if off_before_they_apply {
        // Its yes was passed on by others in time; it itself is not heard.
        apply(one, lost, other);
    }
    // What the two owe each other is cleared whoever is lost.
    let at_both = [(&*one, &*other), (&*other, &*one)];
    let position =
        |(at, of): (&TestNetwork, &TestNetwork)| at.balance(&own_accounts::peer(&at.ledger(), &of.ledger()));
    assert_eq!(at_both.map(position), [-20, 20]);
    assert!(circle.networks[2].engine.is_unfinished(&circle.round), "what 1 owes it is still to be applied");
    circle
}

#[test]
fn what_was_committed_is_applied_when_a_peer_that_was_written_off_comes_back() {
    for off_before_they_apply in [false, true] {
        let mut circle = lost_after_its_yes(off_before_they_apply);
        let now_ms = circle.networks[0].now_ms;
        circle.networks[1].now_ms = now_ms;
        circle.at(LOST_AFTER_MS + LISTS_MS + 10_000);
        assert_eq!(circle.debts(), [10, 0, 20], "written off before they apply: {off_before_they_apply}");
        circle.nothing_is_held();
        no_findings(&circle);
        for network in &circle.networks {
            assert_eq!(network.balance(&own_accounts::disputed()), 0);
            assert!(network.state().written_off.is_empty());
            assert!(!network.engine.is_unfinished(&circle.round));
        }
    }
}

#[test]
fn a_settlement_that_crosses_an_offer_waits_until_nothing_is_held() {
    let mut circle = Circle::new();
    let join = |network: &mut TestNetwork, joins| {
        network.engine.want(Will { joins, accepts: true, ..Will::default() });
    };
    // 0 has proposed to pay its 50 outside, and 1, which does not know yet, has offered them.
    let [debtor, creditor] = circle.networks.get_disjoint_mut([0, 1]).unwrap();
    join(debtor, false);
    let proposal = about_settlement((debtor, creditor), SettleAct::Propose, true, None);
    debtor.by_root_with(proposal, vec![Hash([7; 32])]).unwrap();
    debtor.deliver_public(creditor);
    creditor.with_cx(|engine, cx| engine.tick(cx));
    join(debtor, true);
    circle.at(1_000);
    let [debtor, creditor] = circle.networks.get_disjoint_mut([0, 1]).unwrap();
    assert!(!debtor.state().held.keys().any(|(_, peer)| *peer == creditor.ledger()), "it has not answered");
    let held = |network: &TestNetwork, peer: &TestNetwork| {
        network.state().held.iter().any(|((_, of), row)| *of == peer.ledger() && !row.ended)
    };
    assert!(held(creditor, debtor));
    let channel = creditor.state().channel_with(&debtor.ledger()).unwrap().0;
    let id = creditor.engine.peers().offers(&channel)[0].id;
    let accept = about_settlement((creditor, debtor), SettleAct::Accept, false, Some(id));
    let refused = creditor.by_root(accept.clone()).unwrap_err();
    assert_eq!(refused, Rejected::SettleDebt { amount: 50, owed: 0 });
    // What nobody has answered is held no more once the time for offers is over.
    circle.at(OFFERS_MS + 1_000);
    circle.at(LISTS_MS + 1_000);
    let [debtor, creditor] = circle.networks.get_disjoint_mut([0, 1]).unwrap();
    assert!(!held(creditor, debtor));
    creditor.by_root(accept).unwrap();
    circle.at(LISTS_MS + 2_000);
    assert_eq!(circle.debts(), [0, 40, 60]);
    no_findings(&circle);
}
