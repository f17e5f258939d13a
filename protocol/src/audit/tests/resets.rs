//! Channels that were begun anew: which of their streams two ledgers are held against each other by.

use super::*;
use crate::clearing::reset_tests::{closed, drafted, in_a_line, reset_settled, signed};
use crate::clearing::step::StepArgs;
use crate::entry::Payload;

fn audit(network: &TestNetwork) -> Audit {
    Memory::of(network).audit(&Options::default())
}

#[test]
fn two_ledgers_are_compared_on_the_channel_in_force_whatever_the_ids_of_the_old_ones() {
    for keys in 0..4 {
        let (mut hull, mut lansing) = (TestNetwork::new(2 * keys + 1), TestNetwork::new(2 * keys + 2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 1_000);
        hull.pay(ada, bob, &mut lansing, 100).unwrap();
        hull.settle(&mut lansing);
        closed(&mut hull, &mut lansing);
        let before = audit(&lansing);
        hull.reset(drafted(&hull, &lansing)).unwrap();
        reset_settled(&mut hull, &mut lansing);
        hull.pay(ada, bob, &mut lansing, 20).unwrap();
        hull.settle(&mut lansing);
        let compared = compare(&audit(&hull), &audit(&lansing));
        assert_eq!(compared.findings.count(Class::Mismatch), 0, "{:?}", compared.findings);
        assert_eq!(compared.positions.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(120, -120)]);
        // Books from before the reset are not held against those after it.
        let older = compare(&audit(&hull), &before);
        assert_eq!(
            (older.positions.len(), older.findings.count(Class::InFlight)),
            (0, 1),
            "{:?}",
            older.findings
        );
    }
}

#[test]
fn what_was_done_before_a_reset_and_is_given_back_after_it_is_right_in_all_ledgers() {
    let (mut hull, mut madison, mut lansing, ada, bob) = in_a_line();
    let claim = hull.pay_over(ada, bob, &[madison.ledger()], &mut lansing, 60).unwrap();
    hull.deliver(&mut madison, usize::MAX);
    madison.deliver(&mut lansing, usize::MAX);
    // hull hears lansing's yes when the channel between the others is closed: its hop is booked, and does not go on.
    let yes = lansing.own().iter().find_map(|entry| match &entry.op().payload {
        Payload::Step(step) => match &step.args {
            StepArgs::Accept(args) => Some(args.decision),
            _ => None,
        },
        _ => None,
    });
    closed(&mut madison, &mut lansing);
    hull.with_cx(|engine, cx| engine.learn(&yes.unwrap(), cx)).unwrap();
    hull.deliver(&mut madison, usize::MAX);
    closed(&mut hull, &mut madison);
    hull.reset(drafted(&hull, &madison)).unwrap();
    reset_settled(&mut hull, &mut madison);
    // Then that one is reset, and lansing gives the payment up.
    let side = |at: &TestNetwork, of: &TestNetwork| at.engine.reset_side(&of.ledger()).unwrap();
    let reset = side(&madison, &lansing).with(&side(&lansing, &madison), None, &[claim]).unwrap();
    madison.reset(signed(&reset, &madison, &lansing)).unwrap();
    reset_settled(&mut madison, &mut lansing);
    hull.settle(&mut madison);
    assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 60));
    hull.with_cx(|engine, cx| engine.state_to(&madison.ledger(), cx)).unwrap();
    hull.settle(&mut madison);
    let audits = [audit(&hull), audit(&madison), audit(&lansing)];
    for audited in &audits {
        assert_eq!(audited.report.findings.outcome(), Outcome::Right, "{:?}", audited.report.findings);
    }
    for sides in audits.windows(2) {
        let compared = compare(&sides[0], &sides[1]);
        assert_eq!(compared.findings.outcome(), Outcome::Right, "{:?}", compared.findings);
    }
}
