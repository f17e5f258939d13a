//! What settlements do beside their own rules: an answer whose other half is lost (specs/clearing.md 13.7).

use super::settle::{MAX_TAKEN_BACK, SettleAnswer};
use crate::amount::Amount;
use crate::base::{
    Base,
    tests::{base_of, version_of},
};
use crate::entry::Payload;
use crate::ids::{Hash, StreamId};
use crate::ledger::Rejected;
use crate::ledger::settled::{SettleAct, Settled, postings_of};
use crate::testing::TestNetwork;

/// What people of one network do about a settlement of 50 with a peer.
pub(super) fn about_settlement(
    (one, peer): (&TestNetwork, &TestNetwork),
    act: SettleAct,
    we_owed: bool,
    settlement: Option<Hash>,
) -> Payload {
    let (channel, row) = one.state().channel_with(&peer.ledger()).unwrap();
    let amount = Amount::new(50).unwrap();
    let postings = postings_of(row, 0, amount, we_owed).unwrap();
    let postings = (act == SettleAct::Accept).then_some(postings);
    Payload::Settled(Settled { act, channel, pair: 0, amount, we_owed, settlement, answer: None, postings })
}

/// Hull owes 120 and proposes to pay 50 outside; lansing has the offer. Gives its id.
fn proposed() -> (TestNetwork, TestNetwork, StreamId, Hash) {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    hull.accord(&mut lansing, 1_000);
    let (ada, bob) = (hull.member(), lansing.member());
    hull.pay(ada, bob, &mut lansing, 120).unwrap();
    hull.settle(&mut lansing);
    let channel = hull.state().channel_with(&lansing.ledger()).unwrap().0;
    let proposal = about_settlement((&hull, &lansing), SettleAct::Propose, true, None);
    hull.by_root_with(proposal, vec![Hash([7; 32])]).unwrap();
    hull.settle(&mut lansing);
    let offers = lansing.engine.peers().offers(&channel);
    assert_eq!((offers.len(), offers[0].accepted_before), (1, false));
    (hull, lansing, channel, offers[0].id)
}

/// The same, taken back by hull, and read by lansing, which has told an answer of which its books know nothing.
fn taken_back_after(answer: SettleAnswer) -> (TestNetwork, TestNetwork, StreamId, Hash) {
    let (mut hull, mut lansing, channel, id) = proposed();
    lansing.engine.peers.follow_settle_ack(&channel, id, answer, false);
    let withdrawal = about_settlement((&hull, &lansing), SettleAct::Withdraw, true, Some(id));
    hull.by_root(withdrawal).unwrap();
    hull.settle(&mut lansing);
    (hull, lansing, channel, id)
}

fn written(network: &TestNetwork) -> usize {
    network.own().len()
}

#[test]
fn what_was_accepted_and_lost_is_accepted_again_and_nothing_else_is_answered() {
    let (hull, mut lansing, channel, id) = taken_back_after(SettleAnswer::Accepted);
    let offers = lansing.engine.peers().offers(&channel);
    assert!(offers.len() == 1 && offers[0].accepted_before && offers[0].said.args.withdrawn);
    let before = written(&lansing);
    lansing.with_cx(|engine, cx| engine.tick(cx));
    assert_eq!(written(&lansing), before, "the node answers nothing by itself");
    let refusal = about_settlement((&lansing, &hull), SettleAct::Refuse, false, Some(id));
    assert_eq!(lansing.by_root(refusal).unwrap_err(), Rejected::SettleTold { settlement: id });
    let hull_id = hull.ledger();
    let stated = lansing.with_cx(|engine, cx| engine.state_to(&hull_id, cx).map(|_| ()));
    assert_eq!(stated, Err(Rejected::SettleAgain { settlement: id }), "the streams say less than our books");
    let accept = about_settlement((&lansing, &hull), SettleAct::Accept, false, Some(id));
    lansing.by_root(accept.clone()).unwrap();
    assert_eq!(lansing.engine.peers().offers(&channel), []);
    lansing.with_cx(|engine, cx| engine.state_to(&hull_id, cx)).unwrap();
    assert_eq!(lansing.by_root(accept).unwrap_err(), Rejected::SettleState { settlement: id });
    let standing = lansing.engine.standing(&hull.ledger()).unwrap();
    assert_eq!((standing.now.positions, standing.books), (vec![70], vec![70]));
}

#[test]
fn what_was_refused_or_given_up_and_lost_is_over() {
    for answer in [SettleAnswer::Refused, SettleAnswer::Withdrawn] {
        let (hull, mut lansing, channel, id) = taken_back_after(answer);
        assert_eq!(lansing.engine.peers().offers(&channel), []);
        let before = written(&lansing);
        lansing.with_cx(|engine, cx| engine.tick(cx));
        assert_eq!(written(&lansing), before, "{answer:?} is said once");
        let accept = about_settlement((&lansing, &hull), SettleAct::Accept, false, Some(id));
        assert_eq!(lansing.by_root(accept).unwrap_err(), Rejected::SettleState { settlement: id });
    }
}

#[test]
fn what_nobody_has_answered_is_answered_by_the_node_when_it_is_taken_back() {
    let (mut hull, mut lansing, channel, id) = proposed();
    let withdrawal = about_settlement((&hull, &lansing), SettleAct::Withdraw, true, Some(id));
    hull.by_root(withdrawal).unwrap();
    hull.settle(&mut lansing);
    assert_eq!(lansing.engine.peers().offers(&channel), []);
    assert_eq!(lansing.engine.peers.told.get(&(channel, id)), Some(&SettleAnswer::Withdrawn));
    assert!(hull.engine.peers().findings().is_empty() && lansing.engine.peers().findings().is_empty());
    assert_eq!(hull.engine.standing(&lansing.ledger()).unwrap().books, [120]);
}

#[test]
fn what_is_owed_no_more_cannot_be_accepted_again_and_waits() {
    let (mut hull, mut lansing, channel, id) = taken_back_after(SettleAnswer::Accepted);
    let (ada, bob) = (hull.member(), lansing.member());
    lansing.pay(bob, ada, &mut hull, 100).unwrap();
    lansing.settle(&mut hull);
    let accept = about_settlement((&lansing, &hull), SettleAct::Accept, false, Some(id));
    assert_eq!(lansing.by_root(accept).unwrap_err(), Rejected::SettleDebt { amount: 50, owed: 20 });
    assert_eq!(lansing.engine.peers().offers(&channel).len(), 1);
    assert_eq!(lansing.engine.peers().findings(), []);
}

#[test]
fn a_peer_that_takes_back_again_and_again_fills_no_memory() {
    let (mut hull, mut lansing, channel, _) = proposed();
    let fill = |lansing: &mut TestNetwork, count: usize| {
        for n in 0..count {
            let id = Hash::of("", &[&n.to_be_bytes()]);
            lansing.engine.peers.follow_settle_ack(&channel, id, SettleAnswer::Withdrawn, false);
        }
    };
    let propose = |hull: &mut TestNetwork, lansing: &mut TestNetwork| {
        let proposal = about_settlement((hull, lansing), SettleAct::Propose, true, None);
        hull.by_root_with(proposal, vec![Hash([7; 32])]).unwrap();
        hull.settle(lansing);
        lansing.engine.peers().offers(&channel).len()
    };
    fill(&mut lansing, MAX_TAKEN_BACK - 1);
    assert_eq!(propose(&mut hull, &mut lansing), 2);
    assert_eq!(lansing.engine.peers().findings(), []);
    fill(&mut lansing, MAX_TAKEN_BACK);
    assert_eq!(propose(&mut hull, &mut lansing), 2, "without effect");
    let findings = lansing.engine.peers().findings();
    assert!(findings.len() == 1 && findings[0].what.contains("taken back without an answer"), "{findings:?}");
}

#[test]
fn what_waits_to_be_accepted_again_is_in_a_base_of_another_version() {
    let (_, mut lansing, channel, id) = taken_back_after(SettleAnswer::Accepted);
    let waiting = base_of(&lansing);
    let read = Base::parse(&waiting).unwrap().replay;
    assert_eq!(read.peers().to_be_accepted_again(&channel), Some(id));
    lansing.engine.peers.follow_settle_ack(&channel, id, SettleAnswer::Accepted, true);
    let done = base_of(&lansing);
    // Programs that do not know of this read a base that has none of it.
    assert_eq!((version_of(&waiting), version_of(&done)), (2, 1));
    assert_eq!(Base::parse(&done).unwrap().replay.peers().to_be_accepted_again(&channel), None);
}
