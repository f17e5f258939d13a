//! A peer that says things on a channel which its own ledger would refuse: a second offer, an answer of another amount, debts
//! that shrink twice. Each is received, as it is signed; none has an effect, and each is named (specs/netting.md §7, §10).

use super::offer::{ApplyArgs, OfferArgs};
use super::round_tests::{Circle, LISTS_MS, OFFERS_MS};
use super::step::{Ack, Step, StepArgs};
use crate::amount::Amount;
use crate::encoding::Blob;
use crate::entry::{Body, ENTRY_VERSION, Entry, Op, Payload, StreamHeader};
use crate::ids::{Hash, OpId, Salt};
use crate::ledger::own_accounts;
use crate::testing::TestNetwork;

/// The liar signs a step that nobody checked, at its next place on the channel, and the honest one takes it in.
fn says(liar: &TestNetwork, honest: &mut TestNetwork, reference: Option<Hash>, args: StepArgs) {
    let (channel, _) = liar.state().channel_with(&honest.ledger()).unwrap();
    let has = |at: &TestNetwork| {
        let stream = at.engine.peers().stream(&channel).unwrap();
        (stream.next, stream.head, stream.boot)
    };
    let ((sseq, sprev, boot), (next, head, _)) = (has(honest), has(liar));
    let step = Step { channel, ack: Ack { next, head }, claim: None, reference, args, part: 0 };
    let payload = Payload::Step(step);
    let kind = payload.kind().code();
    let op = Op { op_id: OpId([0x77; 16]), not_after_ms: liar.now_ms, payload, sidecars: Vec::new() };
    let body = Body {
        v: ENTRY_VERSION,
        ledger: liar.ledger(),
        seq: liar.state().head.next_seq + sseq,
        prev: Hash([9; 32]),
        time_ms: liar.now_ms,
        epoch: 0,
        kind,
        op: Blob(op.to_bytes()),
        auth: Vec::new(),
        salt: Salt([1; 16]),
        stream: Some(StreamHeader { id: channel, sseq, sprev }),
        boot,
    };
    let entry = Entry::sign(&body, &liar.log_key()).unwrap();
    honest.take_in(&liar.ledger(), entry.bytes()).unwrap();
}

fn findings(at: &TestNetwork) -> Vec<String> {
    at.engine.peers().findings().iter().map(|finding| finding.what.to_string()).collect()
}

/// 1 is owed 40 by 2, and 50 by 0: it offers, they answer.
fn offered() -> Circle {
    let mut circle = Circle::new();
    circle.at(1_000);
    circle
}

#[test]
fn a_second_offer_for_one_round_has_no_effect_and_is_named() {
    let mut circle = offered();
    let round = circle.round;
    let [debtor, liar, _] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    let (_, row) = debtor.state().channel_with(&liar.ledger()).unwrap();
    let (a_owes, before) = (row.we_are_a, debtor.state().held.clone());
    let amount = Amount::new(49).unwrap();
    says(liar, debtor, None, StepArgs::Offer(OfferArgs { round, pair: 0, amount, a_owes }));
    assert_eq!(findings(debtor), ["OFFER twice for one round"]);
    debtor.with_cx(|engine, cx| engine.tick(cx));
    assert_eq!(debtor.state().held, before, "what is held is the first");
    let account = own_accounts::peer(&debtor.ledger(), &liar.ledger());
    assert_eq!((debtor.balance(&account), liar.balance(&account)), (50, -50));
    // It lists the first; nothing that counts the second can be made of it.
    debtor.now_ms += OFFERS_MS;
    debtor.with_cx(|engine, cx| engine.tick(cx));
    let listed = debtor.engine.peers().rounds().get(&round).unwrap().lists[&debtor.ledger()].1.clone();
    let line = listed.lines.iter().find(|line| line.peer == liar.ledger()).unwrap();
    assert_eq!((line.amount.minor(), line.we_owe), (50, true));
}

#[test]
fn an_answer_of_another_amount_is_no_answer_and_is_named() {
    let mut circle = Circle::new();
    let round = circle.round;
    // 1 has offered what 0 owes it, and 0 has not answered yet.
    circle.networks[1].now_ms += 1_000;
    let [liar, creditor, _] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    liar.deliver_public(creditor);
    creditor.with_cx(|engine, cx| engine.tick(cx));
    let held = creditor.state().held[&(round, liar.ledger())].clone();
    assert_eq!((held.amount.minor(), held.we_owe), (50, false));
    let leaf = creditor.own().iter().rev().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) if matches!(step.args, StepArgs::Offer(_)) => Some(entry.leaf()),
        _ => None,
    });
    let (_, row) = creditor.state().channel_with(&liar.ledger()).unwrap();
    let (a_owes, amount) = (!row.we_are_a, Amount::new(51).unwrap());
    says(liar, creditor, leaf, StepArgs::Offer(OfferArgs { round, pair: 0, amount, a_owes }));
    assert_eq!(findings(creditor), ["OFFER that answers another than ours"]);
    // No answer, no line of it in the list.
    creditor.now_ms += OFFERS_MS;
    creditor.with_cx(|engine, cx| engine.tick(cx));
    let round = creditor.engine.peers().rounds().get(&round).unwrap();
    let own = round.lists.get(&creditor.ledger());
    assert!(own.is_none_or(|(_, list)| list.lines.iter().all(|line| line.peer != liar.ledger())));
}

#[test]
fn a_debt_shrinks_once_however_often_it_is_applied() {
    let mut circle = Circle::listed();
    circle.at(LISTS_MS + 1_000);
    assert_eq!(circle.debts(), [10, 0, 20]);
    let vote = circle.votes(0)[0].clone();
    let [liar, honest, _] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    let line = vote.lines.iter().find(|line| line.line.we_owe).unwrap().line;
    let (_, row) = liar.state().channel_with(&honest.ledger()).unwrap();
    let (round, result, a_owed) = (circle.round, vote.result, row.we_are_a);
    let apply = |amount| StepArgs::Apply(ApplyArgs { round, result, pair: 0, amount, a_owed });
    says(liar, honest, None, apply(line.amount));
    assert_eq!(findings(honest), ["APPLY twice"]);
    says(liar, honest, None, apply(Amount::new(1).unwrap()));
    assert_eq!(findings(honest), ["APPLY twice", "APPLY of what we have not accepted"]);
    honest.with_cx(|engine, cx| engine.tick(cx));
    assert_eq!(circle.debts(), [10, 0, 20]);
}
