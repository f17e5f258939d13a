//! The seeded simulator, as far as CI has time for it; `cargo run -p weft-tests --release -- simulator` runs more.

use weft_protocol::clearing::weak::{self, Weak};
use weft_protocol::evidence::EvidenceType;
use weft_tests::simulator::round::some_crashes;
use weft_tests::simulator::{Report, Topology, Violation, run, run_seed};

/// Seeds that once broke something, with the story of each. They run first: what was wrong before may be again.
const STORIES: [(Topology, u64); 26] = [
    // An ACCEPT came past the streams; the middle wrote DONE by it and crashed, and after the start took the liar's
    // REJECT for the Decision: it could not pass the ACCEPT on, and was never given what it gave.
    (Topology::Signing(EvidenceType::Decisions), 1_052),
    (Topology::Signing(EvidenceType::Decisions), 1_367),
    // What came to light when notes were read back was recorded before the quarantine began, under the same boot.
    (Topology::RestoredForging, 1_201),
    // A decider turned a claim down that never reached the last middle, which remembered the REJECT for ever.
    (Topology::Four, 9),
    (Topology::Four, 22),
    // The decider gave a claim back after the middle had booked both sides and forgotten what its upstream peer
    // said; it needed that for its own RETURN, so it kept the value.
    (Topology::LyingEnd, 20),
    (Topology::LyingEnd, 21),
    (Topology::LyingSecond, 63),
    // A payer asked to cancel in the millisecond in which the decider had turned the proposal away: the question was
    // refused with "operation done already" instead of being answered.
    (Topology::LyingMiddle, 2),
    (Topology::LyingMiddle, 16),
    (Topology::LyingSecond, 44),
    // An ACCEPT overtook the streams; the payer's DONE reached a middle that had not been shown the decider's keys,
    // so it meant nothing there, the honest payer was blamed, and the middle was never given what it gave.
    (Topology::LyingSecond, 291),
    // A crash took the answer to a payment that was durable; the client asked again and was told that it would not
    // fit, or that the claim existed, instead of that it was done.
    (Topology::Pair, 1),
    (Topology::Three, 0),
    // The run ended in the millisecond in which a liar said yes: the simulator now lets such words go their way.
    (Topology::LyingSecond, 178),
    // A network was set back together with a peer that lost what it had acknowledged of it: it waited for ever.
    (Topology::Restored, 3),
    // Two peers were silent: the root set was shown them in an order that its own succession refuses.
    (Topology::RestoredForging, 5),
    // A peer was told of evidence, then set back, and never told again.
    (Topology::RestoredForging, 8),
    // A network was set back to before its own succession and took the number again: two heads under one name.
    (Topology::Restored, 71),
    // A decider had said yes, lost it with its peer, and said no.
    (Topology::RestoredForging, 55),
    // Entries of two starts at one place of the ledger took each other's room while they waited to be taken back.
    (Topology::RestoredForging, 129),
    // A peer said that it holds entries of ours, and was set back before it gave them.
    (Topology::Restored, 43),
    // A peer named a REJECT that we had lost and written again, and was stopped for it.
    (Topology::Restored, 290),
    // A network was set back to after its succession; what that had lost it wrote down at places where newer entries had
    // stood that were lost too, and that a peer still held.
    (Topology::RestoredForging, 30_503),
    // A network had accepted a settlement, was set back, and answered it again, otherwise: it had been taken back since.
    (Topology::Restored, 30_735),
    // A decider turned parts down before a middle could pass them on; another part ended there, and with it the middle
    // forgot those answers, proposed the parts onward and waited for ever.
    (Topology::Web, 0),
];

fn hold(topology: Topology, seeds: u64) -> Report {
    let report = run(topology, seeds, 0);
    assert!(report.failures.is_empty(), "{report}");
    assert_eq!(report.seeds, seeds);
    report
}

#[test]
fn what_broke_before_holds() {
    for (topology, seed) in STORIES {
        let outcome = run_seed(topology, seed);
        assert!(outcome.is_ok(), "{}, seed {seed}: {outcome:?}", topology.name());
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    assert_eq!(run_seed(Topology::Four, 5), run_seed(Topology::Four, 5));
}

#[test]
fn two_networks_settle_every_payment_once() {
    let tally = hold(Topology::Pair, 100).tally;
    assert!(tally.done > 500 && tally.freed > 500 && tally.crashes > 100 && tally.retried > 100, "{tally}");
    assert_eq!((tally.stuck, tally.returned, tally.findings), (0, 0, 0), "{tally}");
}

#[test]
fn three_networks_settle_every_payment_once() {
    let tally = hold(Topology::Three, 80).tally;
    assert_eq!((tally.stuck, tally.returned, tally.findings), (0, 0, 0), "{tally}");
}

#[test]
fn four_networks_settle_every_payment_once() {
    let tally = hold(Topology::Four, 70).tally;
    assert!(
        tally.done > 400 && tally.freed > 500 && tally.cancels > 50 && tally.statements > 1_000,
        "{tally}"
    );
    assert_eq!((tally.stuck, tally.returned, tally.findings), (0, 0, 0), "{tally}");
}

#[test]
fn netting_rounds_take_the_same_off_both_ends_while_payments_go_on() {
    let tally = hold(Topology::Round, 24).tally;
    assert!(tally.cleared > 1 && tally.aborted > 1 && tally.netted > 100, "{tally}");
    assert_eq!((tally.stuck, tally.findings), (0, 0), "{tally}");
}

#[test]
fn a_crash_at_any_place_of_a_netting_round_hurts_nobody() {
    // `weft-tests simulator --only round` tries every one.
    let report = some_crashes(3, 1, 5).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.crashes > 15 && report.cleared > 15, "{report:?}");
}

#[test]
fn a_lying_decider_costs_no_honest_network_anything() {
    let tally = hold(Topology::LyingEnd, 80).tally;
    assert!(tally.returns > 0 && tally.returned > 0, "no RETURN was needed: {tally}");
}

#[test]
fn a_lying_middle_costs_no_honest_network_anything() {
    let tally = hold(Topology::LyingMiddle, 60).tally;
    assert!(tally.findings > 0, "nobody noticed: {tally}");
}

#[test]
fn a_liar_between_honest_networks_costs_them_nothing() {
    let tally = hold(Topology::LyingSecond, 60).tally;
    assert!(tally.returns > 0, "no RETURN was needed: {tally}");
}

#[test]
fn who_signs_things_twice_at_the_end_of_a_line_is_convicted_and_nobody_else_is() {
    let tally = hold(Topology::ForgingEnd, 60).tally;
    assert!(tally.evidence > 100, "hardly anything was recorded: {tally}");
}

#[test]
fn who_signs_things_twice_in_the_middle_is_convicted_and_nobody_else_is() {
    let tally = hold(Topology::ForgingMiddle, 60).tally;
    assert!(tally.evidence > 100, "hardly anything was recorded: {tally}");
}

#[test]
fn each_type_of_evidence_has_a_liar_that_is_caught_by_it() {
    for kind in EvidenceType::ALL {
        let tally = hold(Topology::Signing(kind), 40).tally;
        let by_type = [
            (EvidenceType::Notes, tally.notes),
            (EvidenceType::Proofs, tally.proofs),
            (EvidenceType::Entries, tally.places),
            (EvidenceType::Decisions, tally.decisions),
            (EvidenceType::Cosignatures, tally.cosignatures),
        ];
        for (found, count) in by_type {
            assert_eq!(count > 10, found == kind, "{found:?} by a liar of {kind:?}: {tally}");
            assert!(count == 0 || found == kind, "{found:?} by a liar of {kind:?}: {tally}");
        }
    }
}

#[test]
fn a_network_that_is_set_back_is_convicted_by_nobody_and_signs_again() {
    let tally = hold(Topology::Restored, 60).tally;
    assert!(tally.restores > 60 && tally.taken_back > 60 && tally.successions > 20, "{tally}");
    assert_eq!((tally.evidence, tally.findings), (0, 0), "{tally}");
}

#[test]
fn a_liar_beside_networks_that_are_set_back_is_convicted_and_they_are_not() {
    let tally = hold(Topology::RestoredForging, 40).tally;
    assert!(tally.restores > 30 && tally.evidence > 100, "{tally}");
}

#[test]
fn webs_with_unlike_units_and_payments_of_several_parts_settle_every_payment_once() {
    let tally = hold(Topology::Web, 16).tally;
    assert!(tally.done > 50 && tally.freed > 50 && tally.split > 20 && tally.exchanged > 50, "{tally}");
    assert_eq!((tally.stuck, tally.returned, tally.findings), (0, 0, 0), "{tally}");
}

#[test]
fn a_liar_somewhere_in_a_web_costs_no_honest_network_anything() {
    let tally = hold(Topology::LyingWeb, 16).tally;
    assert!(tally.findings > 0 && tally.split > 10, "nobody noticed: {tally}");
}

/// The first violation with a rule turned off, which the same seed with the rule on does not show.
fn caught(rule: Weak, topology: Topology, seeds: u64) -> Violation {
    for seed in 0..seeds {
        weak::set(Some(rule));
        let outcome = run_seed(topology, seed);
        weak::set(None);
        if let Err(violation) = outcome {
            assert!(run_seed(topology, seed).is_ok(), "seed {seed} breaks with the rule on, too");
            return violation;
        }
    }
    panic!("{rule:?} was not noticed in {seeds} seeds");
}

#[test]
fn a_claim_under_any_name_is_caught() {
    // A middle proposes 1 onward under the claim's name and shows the ACCEPT for the whole amount upstream.
    let violation = caught(Weak::ClaimIsAnyName, Topology::LyingMiddle, 300);
    assert!(violation.0.contains("credited"), "{violation}");
}

#[test]
fn a_reject_that_overtakes_is_caught() {
    // An early REJECT frees one end while the other is bound.
    let violation = caught(Weak::RejectOvertakes, Topology::LyingEnd, 300);
    assert!(violation.0.contains("free upstream") || violation.0.contains("a middle gave"), "{violation}");
}

#[test]
fn a_contradiction_that_undoes_is_caught() {
    // A decider settles and then signs REJECT: whoever hears of it takes back what it gave.
    let violation = caught(Weak::ContradictionUndoes, Topology::LyingEnd, 300);
    assert!(
        ["free upstream", "differ", "other positions", "statement"]
            .iter()
            .any(|why| violation.0.contains(why)),
        "{violation}"
    );
}

#[test]
fn a_yes_before_all_parts_have_come_is_caught() {
    // A part that a middle has turned away goes back to the payer, and the payee has all of it.
    let violation = caught(Weak::PartsAlone, Topology::Web, 300);
    let known = ["the payee has it", "owe", "left on incoming"];
    assert!(known.iter().any(|known| violation.0.contains(known)), "{violation}");
}

#[test]
fn a_word_told_before_the_last_hop_has_it_is_caught() {
    // A decider that was set back decides again, and is convicted though it is honest.
    let violation = caught(Weak::TellsAndForgets, Topology::Restored, 400);
    assert!(violation.0.contains("convicted") || violation.0.contains("frozen"), "{violation}");
}

#[test]
fn a_start_that_signs_at_once_is_caught() {
    // A network that was set back signs another history under its old name: it convicts itself.
    let violation = caught(Weak::NoQuarantine, Topology::Restored, 300);
    assert!(violation.0.contains("convicted") || violation.0.contains("frozen"), "{violation}");
}
