use super::*;
use crate::clearing::engine::Batch;
use crate::clearing::intent::{CLAIM_VERSION, Decision, DecisionBody, Outcome};
use crate::clearing::peers::Refusal;
use crate::clearing::replay::Replay;
use crate::encoding::encode;
use crate::entry::Body;
use crate::ids::{ClaimId, Salt};
use crate::ledger::evidence::FreezeLifted;
use crate::testing::{START_MS, TestNetwork};

/// Two networks with an accord; the second one lies.
fn pair() -> (TestNetwork, TestNetwork) {
    let (mut honest, mut liar) = (TestNetwork::new(1), TestNetwork::new(2));
    honest.accord(&mut liar, 1_000);
    honest.settle(&mut liar);
    (honest, liar)
}

/// The last line of the liar's channel.
fn last(liar: &TestNetwork) -> Entry {
    let channel = liar.own().into_iter().rfind(|entry| matches!(entry.op().payload, Payload::Step(_)));
    channel.expect("a step")
}

fn forged(liar: &TestNetwork, entry: &Entry, change: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = entry.body().clone();
    body.salt = Salt([7; 16]);
    change(&mut body);
    Entry::sign(&body, &liar.log_key()).unwrap().bytes().to_vec()
}

fn decision(liar: &TestNetwork, outcome: Outcome) -> Vec<u8> {
    let (v, code) = (CLAIM_VERSION, u16::from(outcome == Outcome::Reject));
    let body = DecisionBody { v, decider: liar.ledger(), epoch: 0, claim: ClaimId([5; 32]), outcome, code };
    encode(&Decision::sign(body, &liar.log_key()))
}

/// Contradictory Decisions, as evidence that somebody has made elsewhere.
fn evidence(liar: &TestNetwork) -> Evidence {
    let identity = vec![liar.own()[0].bytes().to_vec()];
    let keys = Keys::from_entries(&[liar.own()[0].clone()]).unwrap();
    let (yes, no) = (decision(liar, Outcome::Accept), decision(liar, Outcome::Reject));
    let kind = EvidenceType::Decisions;
    Evidence::join(kind, liar.ledger(), &identity, [&yes, &no], &keys).unwrap().evidence().clone()
}

#[test]
fn another_entry_at_a_known_place_convicts_before_anything_more_is_taken_in() {
    let (mut honest, liar) = pair();
    let again = forged(&liar, &last(&liar), |_| {});
    let known = honest.receive(&liar.ledger(), &again);
    assert!(matches!(known, Err(Refusal::Known { .. })), "{known:?}");
    let row = honest.state().accused.get(&liar.ledger()).expect("an accusation").clone();
    assert_eq!((row.evidence.len(), row.frozen), (1, true));
    assert_eq!(row.evidence[0].1, EvidenceType::Entries);
    // The same two lines once more, and a third one: the same lie is recorded once.
    drop(honest.receive(&liar.ledger(), &again));
    assert_eq!(honest.state().accused.get(&liar.ledger()), Some(&row));
    let bytes = &honest.engine.peers().evidence()[0].1;
    assert_eq!(Evidence::parse(bytes).unwrap().verify_alone().unwrap().id(), row.evidence[0].0);
}

#[test]
fn an_entry_of_a_later_boot_at_a_known_place_convicts_nobody() {
    let (mut honest, liar) = pair();
    let again = forged(&liar, &last(&liar), |body| body.boot += 1);
    assert!(honest.receive(&liar.ledger(), &again).is_err());
    assert!(honest.state().accused.is_empty());
}

#[test]
fn what_a_stranger_signs_at_a_known_place_convicts_nobody() {
    let (mut honest, liar) = pair();
    let mut body = last(&liar).body().clone();
    body.salt = Salt([7; 16]);
    let again = Entry::sign(&body, &TestNetwork::new(3).log_key()).unwrap();
    assert!(honest.receive(&liar.ledger(), again.bytes()).is_err());
    assert!(honest.state().accused.is_empty());
}

#[test]
fn two_lines_of_a_channel_at_one_place_of_the_ledger_convict() {
    let (mut honest, mut liar) = pair();
    let seq = last(&liar).body().seq;
    let payer = liar.member();
    let payee = honest.member();
    liar.pay(payer, payee, &mut honest, 5).unwrap();
    let good = last(&liar);
    let bad = forged(&liar, &good, |body| body.seq = seq);
    honest.receive(&liar.ledger(), &bad).unwrap();
    assert!(honest.state().is_frozen(&liar.ledger()));
}

#[test]
fn evidence_that_somebody_shows_freezes_once_and_the_root_set_can_lift_it() {
    let (mut honest, mut liar) = pair();
    let shown = evidence(&liar);
    assert_eq!(honest.take(&shown), Taken::New);
    assert_eq!(honest.take(&shown), Taken::Known);
    assert!(honest.engine.is_frozen(&liar.ledger()));
    let (payer, payee) = (honest.member(), liar.member());
    let refused = honest.pay(payer, payee, &mut liar, 5);
    assert!(matches!(refused, Err(Rejected::PeerFrozen { .. })), "{refused:?}");
    let lifted = Payload::FreezeLifted(FreezeLifted { accused: liar.ledger() });
    assert_eq!(honest.by_root(lifted.clone()), Err(Rejected::ReasonSidecar));
    honest.by_root_with(lifted, vec![Hash([3; 32])]).unwrap();
    assert!(!honest.engine.is_frozen(&liar.ledger()));
    honest.pay(payer, payee, &mut liar, 5).unwrap();
}

#[test]
fn evidence_against_ourselves_or_against_a_stranger_is_left_aside() {
    let (mut honest, mut liar) = pair();
    let against_us = evidence(&liar);
    assert_eq!(liar.take(&against_us), Taken::AgainstUs);
    let stranger = TestNetwork::new(9);
    assert_eq!(honest.take(&evidence(&stranger)), Taken::Left);
    assert!(honest.state().accused.is_empty() && liar.state().accused.is_empty());
}

#[test]
fn a_crash_between_the_evidence_and_its_entry_leaves_nothing_undone() {
    let (mut honest, liar) = pair();
    assert_eq!(honest.take(&evidence(&liar)), Taken::New);
    let records = &honest.records[..honest.records.len() - 1];
    assert!(matches!(records.last(), Some(Record::Evidence(_))));
    let mut replay = Replay::new();
    for record in records {
        match record {
            Record::Own(written) => replay.own(&written.entry).unwrap(),
            Record::Received(entry) => replay.received(entry).unwrap(),
            Record::Evidence(bytes) => replay.evidence(bytes).unwrap(),
        }
    }
    let author = crate::ledger::author::Author::new(honest.log_key(), START_MS + 1);
    let mut engine = replay.into_engine(author, [0; 32]);
    let mut salt = || Salt([1; 16]);
    let payees = |_: &ClaimId, _: &Hash| crate::clearing::engine::Payee::Unknown;
    let mut cx = Cx { now_ms: honest.now_ms, salt: &mut salt, payees: &payees, held: &|_| None };
    engine.recover(&mut cx).unwrap();
    assert!(engine.is_frozen(&liar.ledger()));
    let Batch { records, .. } = engine.take_batch();
    assert!(matches!(&records[..], [Record::Own(_)]), "{records:?}");
}
