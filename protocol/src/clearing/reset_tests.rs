//! Resets between real engines (specs/clearing.md §17).

use super::dispute::DisputeOutcome;
use super::reset::{HopName, Reset, ResetArgs};
use super::resetting::{ResetSide, SideError};
use super::step::{RootSig, StepArgs};
use crate::encoding::Blob;
use crate::entry::{Entry, Payload};
use crate::ids::{AccountId, ClaimId, Hash};
use crate::keys;
use crate::ledger::reset::{NOTICE_MS, NoticeAct};
use crate::ledger::state::{ClaimRow, Closing};
use crate::ledger::{Rejected, own_accounts};
use crate::testing::TestNetwork;

/// A day, by which every notice here is given later than it has to be.
const DAY_MS: u64 = 86_400_000;

pub(crate) fn notice(at: &mut TestNetwork, of: &TestNetwork) {
    let not_before = at.now_ms + NOTICE_MS + DAY_MS;
    let given = at.engine.reset_notice(&of.ledger(), NoticeAct::Given, Some(not_before)).unwrap();
    at.by_root(Payload::ResetNotice(given)).unwrap();
}

fn close(at: &mut TestNetwork, of: &TestNetwork) {
    let closed = at.engine.reset_notice(&of.ledger(), NoticeAct::Closed, None).unwrap();
    at.by_root(Payload::ResetNotice(closed)).unwrap();
}

/// Both give notice, let it run, and close; meanwhile nothing passes between them.
pub(crate) fn closed(one: &mut TestNetwork, other: &mut TestNetwork) {
    notice(one, other);
    notice(other, one);
    for network in [&mut *one, &mut *other] {
        network.later(NOTICE_MS + 2 * DAY_MS);
    }
    close(one, other);
    close(other, one);
}

fn sides(one: &TestNetwork, other: &TestNetwork) -> (ResetSide, ResetSide) {
    let of = |at: &TestNetwork, of: &TestNetwork| at.engine.reset_side(&of.ledger()).unwrap();
    (of(one, other), of(other, one))
}

/// What both root sets of tests sign.
pub(crate) fn signed(reset: &Reset, one: &TestNetwork, other: &TestNetwork) -> ResetArgs {
    let bytes = reset.to_bytes();
    let sign = |network: &TestNetwork| {
        let key = network.root();
        vec![RootSig { signer: key.public().signer(), sig: key.sign(keys::RESET, &[&bytes]) }]
    };
    let (a, b) = if one.ledger() == reset.a { (one, other) } else { (other, one) };
    ResetArgs { sigs_a: sign(a), sigs_b: sign(b), reset: Blob(bytes) }
}

pub(crate) fn drafted(one: &TestNetwork, other: &TestNetwork) -> ResetArgs {
    let (ours, theirs) = sides(one, other);
    signed(&ours.with(&theirs, None, &[]).unwrap(), one, other)
}

/// Brings over what stands in each incarnation of the channel.
fn offer(from: &TestNetwork, to: &mut TestNetwork) -> bool {
    let us = from.ledger();
    let mut moved = false;
    for n in 0..=from.state().incarnation(&to.ledger()) + 1 {
        let channel = super::accord::channel_id(&us, &to.ledger(), n);
        let next = to.engine.peers().stream(&channel).map_or(0, |stream| stream.next);
        let on = |e: &Entry| e.body().stream.is_some_and(|h| h.id == channel && h.sseq >= next);
        for entry in from.own().iter().filter(|entry| on(entry)) {
            moved |= to.take_in(&us, entry.bytes()).is_ok();
        }
    }
    moved
}

/// Both streams of all incarnations, until nobody has anything to say.
pub(crate) fn reset_settled(one: &mut TestNetwork, other: &mut TestNetwork) {
    while offer(one, other) | offer(other, one) {}
}

fn position(at: &TestNetwork, of: &TestNetwork) -> i64 {
    at.balance(&own_accounts::peer(&at.ledger(), &of.ledger()))
}

fn no_findings(networks: &[&TestNetwork]) {
    for network in networks {
        assert_eq!(network.engine.peers().findings(), []);
    }
}

/// Three networks, each with an accord with the next, of which the ends know each other.
pub(crate) fn in_a_line() -> (TestNetwork, TestNetwork, TestNetwork, AccountId, AccountId) {
    let (mut hull, mut madison, mut lansing) =
        (TestNetwork::new(1), TestNetwork::new(2), TestNetwork::new(3));
    let (ada, bob) = (hull.member(), lansing.member());
    hull.accord(&mut madison, 1_000);
    madison.accord(&mut lansing, 1_000);
    hull.deliver_public(&mut lansing);
    lansing.deliver_public(&mut hull);
    (hull, madison, lansing, ada, bob)
}

fn pair() -> (TestNetwork, TestNetwork, AccountId, AccountId) {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, bob) = (hull.member(), lansing.member());
    hull.accord(&mut lansing, 1_000);
    (hull, lansing, ada, bob)
}

#[test]
fn a_channel_begins_anew_with_what_was_owed_and_payments_go_on() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 100).unwrap();
    hull.settle(&mut lansing);
    let old = hull.state().channel_with(&lansing.ledger()).unwrap().0;
    closed(&mut hull, &mut lansing);
    let args = drafted(&hull, &lansing);
    lansing.reset(args.clone()).unwrap();
    assert_eq!(lansing.reset(args), Ok(()));
    // An offer changes nothing. hull takes it by itself, and waits until it has taken effect at lansing, too.
    assert_eq!(lansing.state().incarnation(&hull.ledger()), 0);
    offer(&lansing, &mut hull);
    assert_eq!(hull.state().incarnation(&lansing.ledger()), 1);
    assert!(matches!(hull.pay(ada, bob, &mut lansing, 1), Err(Rejected::ResetWaits { .. })));
    reset_settled(&mut hull, &mut lansing);
    let (new, row) = hull.state().channel_with(&lansing.ledger()).unwrap();
    assert!(new != old && row.open_out.is_empty());
    assert_eq!(lansing.state().channel_with(&hull.ledger()).unwrap().0, new);
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (100, -100));
    hull.pay(ada, bob, &mut lansing, 20).unwrap();
    lansing.pay(bob, ada, &mut hull, 5).unwrap();
    hull.settle(&mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-115, 115));
    // A statement begins with the position agreed.
    hull.with_cx(|engine, cx| engine.state_to(&lansing.ledger(), cx)).unwrap();
    hull.settle(&mut lansing);
    let agreed = hull.engine.standing(&lansing.ledger()).unwrap().agreed.unwrap();
    assert_eq!(agreed.statement.positions, [115]);
    no_findings(&[&hull, &lansing]);
    // And once more.
    closed(&mut hull, &mut lansing);
    let args = drafted(&hull, &lansing);
    hull.reset(args).unwrap();
    reset_settled(&mut hull, &mut lansing);
    assert_eq!((hull.state().incarnation(&lansing.ledger()), position(&lansing, &hull)), (2, -115));
    hull.pay(ada, bob, &mut lansing, 1).unwrap();
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 116);
    no_findings(&[&hull, &lansing]);
}

#[test]
fn nothing_is_reset_before_its_notice_has_run_out_and_nothing_new_goes_over_it() {
    let (mut hull, mut lansing, ada, bob) = pair();
    let now = hull.now_ms;
    let early = hull.engine.reset_notice(&lansing.ledger(), NoticeAct::Given, Some(now)).unwrap();
    assert!(matches!(hull.by_root(Payload::ResetNotice(early)), Err(Rejected::NoticeTime { .. })));
    notice(&mut hull, &lansing);
    assert!(matches!(hull.pay(ada, bob, &mut lansing, 1), Err(Rejected::ResetNoticed { by_us: true, .. })));
    let closed = hull.engine.reset_notice(&lansing.ledger(), NoticeAct::Closed, None).unwrap();
    assert!(matches!(hull.by_root(Payload::ResetNotice(closed)), Err(Rejected::NoticeRuns { .. })));
    assert!(matches!(hull.engine.reset_side(&lansing.ledger()), Err(Rejected::ResetNotClosed { .. })));
    // lansing hears of it on the public stream, and its payments stop, too.
    hull.deliver_public(&mut lansing);
    let refused = lansing.pay(bob, ada, &mut hull, 1);
    assert!(matches!(refused, Err(Rejected::ResetNoticed { by_us: false, .. })));
    // One taken back is as if it had not been given.
    let back = hull.engine.reset_notice(&lansing.ledger(), NoticeAct::TakenBack, None).unwrap();
    hull.by_root(Payload::ResetNotice(back)).unwrap();
    assert_eq!(hull.by_root(Payload::ResetNotice(back)), Err(Rejected::NothingToDo));
    hull.deliver_public(&mut lansing);
    hull.pay(ada, bob, &mut lansing, 1).unwrap();
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 1);
}

#[test]
fn only_what_both_root_sets_have_signed_about_where_both_streams_end_is_taken_in() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 100).unwrap();
    hull.settle(&mut lansing);
    closed(&mut hull, &mut lansing);
    let args = drafted(&hull, &lansing);
    let reset = Reset::parse(&args.reset.0).unwrap();
    let alone = ResetArgs { sigs_b: Vec::new(), ..args.clone() };
    assert!(matches!(hull.reset(alone), Err(Rejected::RootQuorum { need: 1, have: 0 })));
    let crossed = ResetArgs { sigs_a: args.sigs_b.clone(), ..args.clone() };
    assert!(matches!(hull.reset(crossed), Err(Rejected::UnknownSigner { .. })));
    let wrong = [
        Reset { end_a: (reset.end_a.0 + 1, reset.end_a.1), ..reset.clone() },
        Reset { n: 2, ..reset.clone() },
        Reset { accord: Hash::ZERO, ..reset.clone() },
        Reset { positions: vec![1, 2], ..reset.clone() },
    ];
    for wrong in wrong {
        let wrong = signed(&wrong, &hull, &lansing);
        assert!(matches!(hull.reset(wrong), Err(Rejected::ResetMismatch { .. })));
    }
    // What comes on the old stream now is not taken in.
    lansing.reset(args).unwrap();
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (100, -100));
    hull.settle(&mut lansing);
    no_findings(&[&hull, &lansing]);
}

#[test]
fn what_the_books_of_a_side_lack_to_the_position_agreed_stands_on_disputed() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 100).unwrap();
    hull.settle(&mut lansing);
    closed(&mut hull, &mut lansing);
    let (ours, theirs) = sides(&hull, &lansing);
    let reset = ours.with(&theirs, Some(&[70]), &[]).unwrap();
    assert_eq!(ours.with(&theirs, Some(&[]), &[]), Err(SideError::Pairs { got: 0, need: 1 }));
    hull.reset(signed(&reset, &hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (70, -70));
    let disputed = own_accounts::disputed();
    assert_eq!((hull.balance(&disputed), lansing.balance(&disputed)), (30, -30));
    no_findings(&[&hull, &lansing]);
}

/// hull pays bob 60 over the channel: proposed, and decided by lansing, which hull has not heard.
fn decided() -> (TestNetwork, TestNetwork, AccountId, AccountId, ClaimId) {
    let (mut hull, mut lansing, ada, bob) = pair();
    let claim = hull.pay(ada, bob, &mut lansing, 60).unwrap();
    hull.deliver(&mut lansing, usize::MAX);
    (hull, lansing, ada, bob, claim)
}

#[test]
fn what_the_payees_network_has_decided_is_bound() {
    let (mut hull, mut lansing, ada, bob, claim) = decided();
    closed(&mut hull, &mut lansing);
    // What has not come by then is not taken in any more.
    let from = lansing.ledger();
    let mut late = lansing.own().into_iter().filter(|e| matches!(&e.op().payload, Payload::Step(_)));
    let last = late.next_back().unwrap();
    assert!(hull.receive(&from, last.bytes()).is_err());
    hull.reset(drafted(&hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-60, 60));
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (60, -60));
    let own = |at: &TestNetwork, name| at.balance(&own_accounts::id(name));
    for name in own_accounts::NAMES {
        assert_eq!((own(&hull, name), own(&lansing, name)), (0, 0), "{name}");
    }
    assert!(hull.state().is_closed(&claim) && lansing.state().is_closed(&claim));
    no_findings(&[&hull, &lansing]);
}

#[test]
fn what_the_payees_network_gives_up_is_free_and_stands_on_its_disputed() {
    let (mut hull, mut lansing, ada, bob, claim) = decided();
    closed(&mut hull, &mut lansing);
    let (ours, theirs) = sides(&hull, &lansing);
    let reset = ours.with(&theirs, None, &[claim]).unwrap();
    assert!(reset.bound.is_empty());
    lansing.reset(signed(&reset, &hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 60));
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (0, 0));
    assert_eq!(lansing.balance(&own_accounts::disputed()), -60);
    assert_eq!(lansing.balance(&own_accounts::id("incoming")), 0);
    assert!(hull.state().is_closed(&claim) && lansing.state().is_closed(&claim));
    no_findings(&[&hull, &lansing]);
}

/// hull pays bob 60 through madison; lansing has heard nothing of it yet.
fn passed_on() -> (TestNetwork, TestNetwork, TestNetwork, AccountId, AccountId, ClaimId) {
    let (mut hull, mut madison, mut lansing, ada, bob) = in_a_line();
    let middle = [madison.ledger()];
    let claim = hull.pay_over(ada, bob, &middle, &mut lansing, 60).unwrap();
    hull.deliver(&mut madison, usize::MAX);
    (hull, madison, lansing, ada, bob, claim)
}

#[test]
fn a_middle_never_signs_a_reset_that_frees_what_is_undecided_further_on() {
    let (mut hull, mut madison, mut lansing, ada, bob, claim) = passed_on();
    closed(&mut hull, &mut madison);
    let (ours, theirs) = sides(&hull, &madison);
    let free = ours.with(&theirs, None, &[claim]);
    assert_eq!(free, Err(SideError::BoundOnward { claim }));
    let reset = ours.with(&theirs, None, &[]).unwrap();
    assert_eq!(reset.bound.len(), 1);
    // Whoever has signed it: its own ledger refuses.
    let unbound = Reset { bound: Vec::new(), positions: vec![0], ..reset.clone() };
    let unbound = signed(&unbound, &hull, &madison);
    assert_eq!(madison.reset(unbound.clone()), Err(Rejected::BoundDownstream));
    // Handed in at the other node it is refused by this one, and nothing has happened.
    hull.reset(unbound).unwrap();
    let waits = hull.reset(signed(&reset, &hull, &madison));
    assert!(matches!(waits, Err(Rejected::ResetMismatch { .. })));
    reset_settled(&mut hull, &mut madison);
    assert_eq!((hull.state().incarnation(&madison.ledger()), hull.balance(&ada)), (0, -60));
    let next = hull.state().next_channel(&madison.ledger()).unwrap();
    let refused = hull.engine.peers().stream(&next).unwrap().refused().unwrap();
    assert_eq!(refused.1, super::reset::RefuseCode::BoundOnward);
    hull.reset(signed(&reset, &hull, &madison)).unwrap();
    reset_settled(&mut hull, &mut madison);
    assert_eq!((position(&hull, &madison), position(&madison, &hull)), (60, -60));
    // lansing decides: it has expired. The value that is bound comes back, over the new channel.
    lansing.later(NOTICE_MS + 2 * DAY_MS);
    madison.settle(&mut lansing);
    hull.settle(&mut madison);
    assert_eq!((position(&hull, &madison), position(&madison, &lansing)), (0, 0));
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 0));
    assert_eq!(madison.balance(&own_accounts::transit()), 0);
    let row = madison.state().claim(&claim).unwrap();
    assert!(matches!(row.outgoing.as_ref().unwrap().closing, Closing::Freed(_)));
    no_findings(&[&hull, &madison, &lansing]);
}

#[test]
fn of_two_offers_that_cross_one_takes_effect_at_both() {
    let (mut hull, mut lansing, ada, bob) = pair();
    hull.pay(ada, bob, &mut lansing, 100).unwrap();
    hull.settle(&mut lansing);
    closed(&mut hull, &mut lansing);
    let (ours, theirs) = sides(&hull, &lansing);
    let [one, other] = [100, 90].map(|agreed| ours.with(&theirs, Some(&[agreed]), &[]).unwrap());
    hull.reset(signed(&one, &hull, &lansing)).unwrap();
    lansing.reset(signed(&other, &hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    // hull is A: lansing's offer stands.
    assert_eq!((position(&hull, &lansing), position(&lansing, &hull)), (90, -90));
    hull.pay(ada, bob, &mut lansing, 1).unwrap();
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 101);
    no_findings(&[&hull, &lansing]);
}

#[test]
fn a_hop_that_is_freed_downstream_is_freed_upstream_and_a_late_yes_changes_nothing() {
    let (mut hull, mut madison, mut lansing, ada, bob, claim) = passed_on();
    madison.deliver(&mut lansing, usize::MAX);
    assert_eq!(lansing.balance(&bob), 60);
    closed(&mut madison, &mut lansing);
    let (ours, theirs) = sides(&madison, &lansing);
    let reset = ours.with(&theirs, None, &[claim]).unwrap();
    lansing.reset(signed(&reset, &madison, &lansing)).unwrap();
    reset_settled(&mut madison, &mut lansing);
    // lansing's yes goes about all the same, and reaches the middle: the hop is free.
    let yes = lansing.own().iter().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            StepArgs::Accept(args) => Some(args.decision),
            _ => None,
        },
        _ => None,
    });
    let learned = madison.with_cx(|engine, cx| engine.learn(&yes.unwrap(), cx));
    assert_eq!(learned, Ok(()));
    hull.settle(&mut madison);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 60));
    assert_eq!((position(&hull, &madison), position(&madison, &lansing)), (0, 0));
    assert_eq!(lansing.balance(&own_accounts::disputed()), -60);
    no_findings(&[&hull, &madison, &lansing]);
}

#[test]
fn what_a_reset_has_bound_without_a_decision_is_passed_on_when_there_is_one() {
    let (mut hull, mut madison, mut lansing, ada, bob, _) = passed_on();
    madison.deliver(&mut lansing, usize::MAX);
    closed(&mut madison, &mut lansing);
    madison.reset(drafted(&madison, &lansing)).unwrap();
    reset_settled(&mut madison, &mut lansing);
    assert_eq!((position(&madison, &lansing), position(&lansing, &madison)), (60, -60));
    // madison has paid, and has nothing to show to hull: its transit says so.
    assert_eq!(madison.balance(&own_accounts::transit()), -60);
    let yes = lansing.own().iter().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            StepArgs::Accept(args) => Some(args.decision),
            _ => None,
        },
        _ => None,
    });
    madison.with_cx(|engine, cx| engine.learn(&yes.unwrap(), cx)).unwrap();
    hull.settle(&mut madison);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-60, 60));
    assert_eq!(madison.balance(&own_accounts::transit()), 0);
    no_findings(&[&hull, &madison, &lansing]);
}

#[test]
fn a_dispute_that_only_the_creditor_has_said_is_overtaken_by_a_reset() {
    let (mut hull, mut lansing, ada, bob, claim) = decided();
    let dispute = lansing.engine.dispute_of(claim, 0, &hull.ledger(), DisputeOutcome::Free).unwrap();
    let bytes = dispute.to_bytes();
    let sign = |network: &TestNetwork| {
        let key = network.root();
        vec![RootSig { signer: key.public().signer(), sig: key.sign(keys::DISPUTE, &[&bytes]) }]
    };
    let (sigs_debtor, sigs_creditor) = (sign(&hull), sign(&lansing));
    let args = super::dispute::DisputeArgs { dispute: Blob(bytes), sigs_debtor, sigs_creditor };
    lansing.dispute(args).unwrap();
    closed(&mut hull, &mut lansing);
    hull.reset(drafted(&hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 60));
    assert_eq!(lansing.balance(&own_accounts::disputed()), -60);
    assert!(hull.state().is_closed(&claim) && lansing.state().is_closed(&claim));
    no_findings(&[&hull, &lansing]);
}

#[test]
fn a_middle_that_has_not_heard_the_next_network_gives_no_side_and_turns_nothing_away() {
    let (mut hull, mut madison, mut lansing, ada, bob) = in_a_line();
    // madison was set back, and lansing has not answered its guard: whether it has passed the payment on it does not know.
    let onward = madison.state().channel_with(&lansing.ledger()).unwrap().0;
    madison.engine.hushed.insert(onward);
    let claim = hull.pay_over(ada, bob, &[madison.ledger()], &mut lansing, 60).unwrap();
    hull.deliver(&mut madison, usize::MAX);
    closed(&mut hull, &mut madison);
    assert!(matches!(madison.engine.reset_side(&hull.ledger()), Err(Rejected::NotHeard { .. })));
    assert!(madison.state().claim(&claim).is_none(), "neither its notice nor the expiry turns it away");
    // lansing answers: nothing was passed on, so it is free.
    madison.engine.hushed.clear();
    hull.reset(drafted(&hull, &madison)).unwrap();
    reset_settled(&mut hull, &mut madison);
    assert_eq!((hull.balance(&ada), position(&hull, &madison)), (0, 0));
    no_findings(&[&hull, &madison]);
}

#[test]
fn what_is_bound_by_a_reset_and_given_back_is_given_back_to_the_payer() {
    let (mut hull, mut madison, mut lansing, mut kent) =
        (TestNetwork::new(1), TestNetwork::new(2), TestNetwork::new(3), TestNetwork::new(4));
    let (ada, bob) = (hull.member(), kent.member());
    hull.accord(&mut madison, 1_000);
    madison.accord(&mut lansing, 1_000);
    lansing.accord(&mut kent, 1_000);
    for to in [&mut lansing, &mut kent] {
        hull.deliver_public(to);
    }
    let middles = [madison.ledger(), lansing.ledger()];
    hull.pay_over(ada, bob, &middles, &mut kent, 60).unwrap();
    hull.deliver(&mut madison, usize::MAX);
    madison.deliver(&mut lansing, usize::MAX);
    // kent has heard nothing: lansing has passed it on, so the hop to it is bound.
    closed(&mut madison, &mut lansing);
    madison.reset(drafted(&madison, &lansing)).unwrap();
    reset_settled(&mut madison, &mut lansing);
    assert_eq!((position(&madison, &lansing), madison.balance(&own_accounts::transit())), (60, -60));
    // It has expired when it comes to kent.
    kent.later(NOTICE_MS + 2 * DAY_MS);
    lansing.settle(&mut kent);
    madison.settle(&mut lansing);
    hull.settle(&mut madison);
    assert_eq!((hull.balance(&ada), kent.balance(&bob)), (0, 0));
    assert_eq!((position(&madison, &lansing), madison.balance(&own_accounts::transit())), (0, 0));
    no_findings(&[&hull, &madison, &lansing, &kent]);
}

#[test]
fn a_side_that_is_closed_opens_again_by_its_root_set_while_nothing_is_offered() {
    let (mut hull, mut lansing, ada, bob) = pair();
    closed(&mut hull, &mut lansing);
    let args = drafted(&hull, &lansing);
    let back = |at: &TestNetwork, of: &TestNetwork| {
        Payload::ResetNotice(at.engine.reset_notice(&of.ledger(), NoticeAct::TakenBack, None).unwrap())
    };
    let taken = back(&lansing, &hull);
    lansing.by_root(taken).unwrap();
    // What was signed about it takes effect nowhere; nor may who has offered it go back.
    hull.reset(args).unwrap();
    let taken = back(&hull, &lansing);
    assert_eq!(hull.by_root(taken), Err(Rejected::NothingToDo));
    reset_settled(&mut hull, &mut lansing);
    assert_eq!(
        (hull.state().incarnation(&lansing.ledger()), lansing.state().incarnation(&hull.ledger())),
        (0, 0)
    );
    // It closes again, and finds it right.
    notice(&mut lansing, &hull);
    for network in [&mut hull, &mut lansing] {
        network.later(NOTICE_MS + 2 * DAY_MS);
    }
    close(&mut lansing, &hull);
    lansing.later(1);
    reset_settled(&mut hull, &mut lansing);
    hull.deliver_public(&mut lansing);
    lansing.deliver_public(&mut hull);
    hull.pay(ada, bob, &mut lansing, 5).unwrap();
    hull.settle(&mut lansing);
    assert_eq!(lansing.balance(&bob), 5);
    no_findings(&[&hull, &lansing]);
}

#[test]
fn entries_before_and_after_a_reset_are_read_back_to_the_same_state() {
    let (mut hull, mut lansing, ada, bob, _) = decided();
    closed(&mut hull, &mut lansing);
    hull.reset(drafted(&hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    hull.pay(ada, bob, &mut lansing, 7).unwrap();
    hull.settle(&mut lansing);
    for network in [&hull, &lansing] {
        let mut replay = super::replay::Replay::new();
        for record in &network.records {
            match record {
                super::engine::Record::Own(written) => replay.own(&written.entry).unwrap(),
                super::engine::Record::Received(entry) => {
                    let entry: &Entry = entry;
                    replay.received(entry).unwrap();
                }
                super::engine::Record::Evidence(_) => {}
            }
        }
        assert_eq!(replay.state().digest(), network.state().digest());
        let bytes = crate::encoding::encode(network.engine.peers());
        let peers: super::peers::Peers = minicbor::decode(&bytes).unwrap();
        assert_eq!(crate::encoding::encode(&peers), bytes);
    }
}

#[test]
fn a_hop_that_the_peer_never_proposed_does_not_open_ours_again() {
    let (mut hull, mut lansing, ada, bob, claim) = decided();
    hull.pay(ada, bob, &mut lansing, 1).unwrap();
    closed(&mut hull, &mut lansing);
    let (one, other) = sides(&hull, &lansing);
    let mut reset = one.with(&other, None, &[]).unwrap();
    let ours = reset.bound.first().copied().unwrap();
    assert_eq!((ours.claim, ours.part), (claim, 0));
    reset.bound.push(HopName { by_a: !ours.by_a, ..ours });
    reset.bound.sort();
    hull.reset(signed(&reset, &hull, &lansing)).unwrap();
    reset_settled(&mut hull, &mut lansing);
    let open = |row: &ClaimRow| row.outgoing.as_ref().is_some_and(|out| out.closing == Closing::Open);
    assert!(!hull.state().claims.values().any(open));
    assert_eq!(position(&hull, &lansing), 60);
}
