//! Log keys that change while accords are in force: what peers take in, what they do not, and what third networks
//! hear of it (specs/keys.md).

use crate::clearing::engine::Record;
use crate::clearing::intent::Outcome;
use crate::clearing::peers::Refusal;
use crate::clearing::replay::Replay;
use crate::entry::{Entry, Payload};
use crate::ids::{AccountId, LedgerId};
use crate::ledger::Rejected;
use crate::ledger::identity::{Identity, Purpose};
use crate::testing::TestNetwork;

/// Two networks with an accord and a member each.
fn pair() -> (TestNetwork, TestNetwork, AccountId, AccountId) {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, bob) = (hull.member(), lansing.member());
    hull.accord(&mut lansing, 1_000);
    (hull, lansing, ada, bob)
}

/// Our entries on the channel with a peer, from a place of the ledger on.
fn channel_entries(network: &TestNetwork, from: usize) -> Vec<Entry> {
    let step = |entry: &Entry| matches!(entry.op().payload, Payload::Step(_));
    network.own().into_iter().skip(from).filter(step).collect()
}

fn identity_of(at: &TestNetwork, ledger: &LedgerId) -> Identity {
    at.engine.peers().identity(ledger).expect("a network that was introduced").clone()
}

/// What a node that starts again makes of the records is what it was.
fn restarts(network: &TestNetwork) {
    let mut replay = Replay::new();
    for record in &network.records {
        match record {
            Record::Own(written) => replay.own(&written.entry).unwrap(),
            Record::Received(entry) => replay.received(entry).unwrap(),
            Record::Evidence(bytes) => replay.evidence(bytes).unwrap(),
        }
    }
    assert_eq!(replay.state().digest(), network.state().digest());
    for row in network.state().channels.values() {
        assert_eq!(replay.peers().identity(&row.peer), network.engine.peers().identity(&row.peer));
    }
}

#[test]
fn a_peer_takes_entries_of_a_new_log_key_once_it_knows_the_key() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.settle(&mut lansing);
    hull.rotate_log().unwrap();
    let before = hull.own().len();
    hull.pay(ada, bob, &mut lansing, 20).unwrap();
    let early = &channel_entries(&hull, before)[0];
    let refused = lansing.take_in(&hull.ledger(), early.bytes()).unwrap_err();
    assert_eq!(refused, Refusal::Rejected(Rejected::UnknownEpoch { epoch: 1 }));
    hull.deliver_public(&mut lansing);
    hull.settle(&mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-30, 30));
    assert_eq!(&identity_of(&lansing, &hull.ledger()), hull.state().identity().unwrap());
    restarts(&hull);
    restarts(&lansing);
}

#[test]
fn what_was_written_before_a_rotation_still_arrives_after_it() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.rotate_log().unwrap();
    hull.deliver_public(&mut lansing);
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 10);
}

#[test]
fn the_old_key_signs_nothing_at_a_place_after_its_end() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.rotate_log().unwrap();
    hull.deliver_public(&mut lansing);
    let before = hull.own().len();
    hull.pay(ada, bob, &mut lansing, 10).unwrap();
    let entry = &channel_entries(&hull, before)[0];
    let mut body = entry.body().clone();
    body.epoch = 0;
    let forged = Entry::sign(&body, &hull.log_key_of(0)).unwrap();
    let refused = lansing.take_in(&hull.ledger(), forged.bytes()).unwrap_err();
    assert_eq!(refused, Refusal::Rejected(Rejected::UnknownEpoch { epoch: 0 }));
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 10);
}

#[test]
fn after_a_revocation_bytes_of_the_key_need_a_path_into_the_last_good_tree() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.settle(&mut lansing);
    let acknowledged = lansing.received().len();
    // Written and covered by the last good checkpoint, but not delivered.
    let before = hull.own().len();
    hull.pay(ada, bob, &mut lansing, 20).unwrap();
    let good = hull.own().len();
    // Written under the same key after that checkpoint: the network does not answer for it.
    hull.pay(ada, bob, &mut lansing, 40).unwrap();
    hull.revoke_log(good).unwrap();
    hull.deliver_public(&mut lansing);
    let pending = channel_entries(&hull, before);
    let us = hull.ledger();
    let needs_path = Refusal::Revoked { epoch: 0, size: good as u64 };
    assert_eq!(lansing.take_in(&us, pending[0].bytes()), Err(needs_path.clone()));
    let wrong = hull.path(pending[0].body().seq - 1, good);
    assert_eq!(lansing.take_in_proven(&us, pending[0].bytes(), &wrong), Err(needs_path.clone()));
    let path = hull.path(pending[0].body().seq, good);
    lansing.take_in_proven(&us, pending[0].bytes(), &path).unwrap();
    assert_eq!(lansing.received().len(), acknowledged + 2);
    // The next one is beyond the checkpoint, whatever path comes with it.
    let late = hull.path(pending[1].body().seq, hull.own().len());
    assert_eq!(lansing.take_in_proven(&us, pending[1].bytes(), &late), Err(needs_path));
    restarts(&lansing);
}

#[test]
fn a_thief_of_a_revoked_key_reaches_no_peer_that_has_heard() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.settle(&mut lansing);
    let good = hull.own().len();
    hull.revoke_log(good).unwrap();
    hull.deliver_public(&mut lansing);
    let before = hull.own().len();
    hull.pay(ada, bob, &mut lansing, 20).unwrap();
    let mut body = channel_entries(&hull, before)[0].body().clone();
    // The thief claims a place before the revocation.
    (body.epoch, body.seq) = (0, good as u64 - 1);
    let forged = Entry::sign(&body, &hull.log_key_of(0)).unwrap();
    let path = hull.path(body.seq, good);
    let refused = lansing.take_in_proven(&hull.ledger(), forged.bytes(), &path).unwrap_err();
    assert_eq!(refused, Refusal::Revoked { epoch: 0, size: good as u64 });
    hull.settle(&mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-30, 30));
}

#[test]
fn a_decision_is_told_as_it_was_signed_also_after_the_key_is_gone() {
    let (mut hull, mut lansing, ada, bob) = pair();
    let claim = hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.deliver(&mut lansing, usize::MAX);
    let good = lansing.own().len();
    lansing.revoke_log(good).unwrap();
    let row = lansing.state().decisions.get(&claim).expect("it was decided");
    assert_eq!((row.outcome, row.epoch), (Outcome::Accept, 0));
    lansing.deliver(&mut hull, usize::MAX);
    hull.settle(&mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-10, 10));
}

#[test]
fn a_decision_of_a_revoked_key_that_comes_outside_the_streams_does_not_count() {
    let (mut hull, mut lansing, ada, bob) = pair();
    let claim = hull.pay(ada, bob, &mut lansing, 10).unwrap();
    hull.deliver(&mut lansing, usize::MAX);
    let accept = lansing.own().into_iter().rev().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            crate::clearing::step::StepArgs::Accept(args) => Some(args.decision),
            _ => None,
        },
        _ => None,
    });
    let decision = accept.expect("it was accepted");
    assert_eq!(decision.body.claim, claim);
    let good = lansing.own().len();
    lansing.revoke_log(good).unwrap();
    lansing.deliver_public(&mut hull);
    assert_eq!(hull.learn(&decision), Err(Rejected::KeyRevoked { epoch: 0 }));
    // In the stream its place shows that it was signed in time.
    let us = lansing.ledger();
    let next = hull.received().iter().filter(|e| matches!(e.op().payload, Payload::Step(_))).count();
    for entry in channel_entries(&lansing, 0).into_iter().skip(next) {
        let path = lansing.path(entry.body().seq, good);
        hull.take_in_proven(&us, entry.bytes(), &path).unwrap();
    }
    assert_eq!(hull.balance(&ada), -10);
}

#[test]
fn who_knows_a_network_through_us_hears_of_its_keys_from_us() {
    let (mut hull, mut york, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2), TestNetwork::new(3));
    let (ada, bob) = (hull.member(), lansing.member());
    hull.accord(&mut york, 1_000);
    york.accord(&mut lansing, 1_000);
    let all = |hull: &mut TestNetwork, york: &mut TestNetwork, lansing: &mut TestNetwork| {
        for _ in 0..4 {
            hull.settle(york);
            york.settle(lansing);
        }
    };
    hull.pay_over(ada, bob, &[york.ledger()], &mut lansing, 10).unwrap();
    all(&mut hull, &mut york, &mut lansing);
    assert_eq!(lansing.balance(&bob), 10);
    let good = hull.own().len();
    hull.revoke_log(good).unwrap();
    lansing.rotate_log().unwrap();
    hull.deliver_public(&mut york);
    lansing.deliver_public(&mut york);
    york.tick();
    all(&mut hull, &mut york, &mut lansing);
    assert_eq!(&identity_of(&lansing, &hull.ledger()), hull.state().identity().unwrap());
    assert!(identity_of(&lansing, &hull.ledger()).revoked(Purpose::Log, 0).is_some());
    assert_eq!(&identity_of(&hull, &lansing.ledger()), lansing.state().identity().unwrap());
    hull.pay_over(ada, bob, &[york.ledger()], &mut lansing, 20).unwrap();
    all(&mut hull, &mut york, &mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-30, 30));
    // Once is enough: later ticks say nothing.
    let said = york.own().len();
    york.tick();
    assert_eq!(york.own().len(), said);
    [&hull, &york, &lansing].into_iter().for_each(restarts);
}
