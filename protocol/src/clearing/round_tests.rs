//! Netting rounds among three networks that owe each other in a circle, honest and not: what is refused, by which rule,
//! and that the two ends of each debt never differ (specs/netting.md §7 to §10).

use crate::amount::Amount;
use crate::clearing::apply::{SHOW_AFTER_MS, Will, Wish};
use crate::clearing::offer::ApplyArgs;
use crate::clearing::step::StepArgs;
use crate::entry::Payload;
use crate::ids::{AccountId, Hash, LedgerId, PUBLIC_STREAM};
use crate::ledger::netting::VoteRow;
use crate::ledger::{Rejected, own_accounts};
use crate::netting::round::attempt::{Attempt, Set, solve};
use crate::netting::round::view::Outcome;
use crate::netting::round::{Announced, Line, Listed, RefusalReason, RoundUnit, Voted, sign_vote};
use crate::testing::{HOUR, TestNetwork};
use std::collections::BTreeMap;

pub(crate) const OFFERS_MS: u64 = 60_000;
pub(crate) const LISTS_MS: u64 = 120_000;
const VOTES_MS: u64 = 600_000;

/// 0 owes 1 fifty, 1 owes 2 forty, 2 owes 0 sixty; 0 has announced a round.
pub(crate) struct Circle {
    pub(crate) networks: Vec<TestNetwork>,
    /// A member of each.
    pub(crate) members: Vec<AccountId>,
    pub(crate) round: Hash,
    start_ms: u64,
}

fn auto() -> Will {
    Will { joins: true, accepts: true, of_round: BTreeMap::new() }
}

impl Circle {
    pub(crate) fn new() -> Self {
        let mut networks: Vec<TestNetwork> = (1..=3).map(TestNetwork::new).collect();
        let members: Vec<_> = networks.iter_mut().map(TestNetwork::member).collect();
        for (debtor, amount) in [(0, 50), (1, 40), (2, 60)] {
            let creditor = (debtor + 1) % 3;
            let [one, other] = networks.get_disjoint_mut([debtor, creditor]).unwrap();
            one.accord(other, 1_000);
            one.pay(members[debtor], members[creditor], other, amount).unwrap();
            one.settle(other);
        }
        let start_ms = networks.iter().map(|network| network.now_ms).max().unwrap();
        let mut circle = Self { networks, members, round: Hash::ZERO, start_ms };
        circle.networks.iter_mut().for_each(|network| network.engine.want(auto()));
        circle.exchange();
        let unit = RoundUnit::of(&circle.networks[0].state().units[&HOUR]);
        let announced = Announced {
            unit,
            offers_until_ms: start_ms + OFFERS_MS,
            lists_until_ms: start_ms + LISTS_MS,
            votes_until_ms: start_ms + VOTES_MS,
        };
        circle.round = circle.networks[0].with_cx(|engine, cx| engine.announce(announced, cx)).unwrap();
        circle
    }

    /// Up to where all have listed, and nothing is computed.
    pub(crate) fn listed() -> Self {
        let mut circle = Self::new();
        circle.at(1_000);
        circle.at(OFFERS_MS + 1_000);
        let round = circle.networks[0].engine.peers().rounds().get(&circle.round).unwrap();
        assert_eq!(round.lists.len(), 3);
        circle
    }

    pub(crate) fn exchange(&mut self) {
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            let [one, other] = self.networks.get_disjoint_mut([one, other]).unwrap();
            one.deliver_public(other);
            other.deliver_public(one);
            one.settle(other);
        }
    }

    /// Everybody looks, and what the second says does not reach the third.
    fn all_but_one_way(&mut self) {
        for _ in 0..3 {
            self.look(0);
            for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0), (2, 1)] {
                let [from, to] = self.networks.get_disjoint_mut([from, to]).unwrap();
                from.deliver_public(to);
            }
        }
    }

    /// So long after the announcement everybody looks, and all is said to all, a few times over.
    pub(crate) fn at(&mut self, after_ms: u64) {
        for _ in 0..6 {
            self.look(after_ms);
            self.exchange();
        }
    }

    fn look(&mut self, after_ms: u64) {
        for network in &mut self.networks {
            network.now_ms = network.now_ms.max(self.start_ms + after_ms);
            network.with_cx(|engine, cx| engine.tick(cx));
        }
    }

    fn lists(&self) -> BTreeMap<LedgerId, (Hash, Listed)> {
        self.networks[0].engine.peers().rounds().get(&self.round).unwrap().lists.clone()
    }

    pub(crate) fn solved(&self) -> Attempt {
        self.solved_in(0)
    }

    fn solved_in(&self, attempt: u8) -> Attempt {
        let lists = self.lists();
        let by_leaf = lists.iter().map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
        solve(&self.round, attempt, &by_leaf).unwrap().unwrap()
    }

    /// The one who announced publishes these numbers.
    pub(crate) fn publishes(&mut self, attempt: &Attempt) {
        self.publishes_in(0, attempt);
    }

    fn publishes_in(&mut self, number: u8, attempt: &Attempt) {
        let (round, bytes) = (self.round, attempt.to_bytes());
        self.networks[0].now_ms = self.start_ms + LISTS_MS + 1;
        self.networks[0].with_cx(|engine, cx| engine.publish(&round, number, &bytes, cx)).unwrap();
    }

    pub(crate) fn votes(&self, of: usize) -> Vec<VoteRow> {
        self.networks[of].state().rounds.get(&self.round).map(|row| row.votes.clone()).unwrap_or_default()
    }

    /// What each network owes the next, as both ends have it.
    pub(crate) fn debts(&self) -> Vec<i64> {
        let debt = |debtor: usize| {
            let (one, other) = (&self.networks[debtor], &self.networks[(debtor + 1) % 3]);
            let account = own_accounts::peer(&one.ledger(), &other.ledger());
            assert_eq!(one.balance(&account), -other.balance(&account), "the ends differ");
            one.balance(&account)
        };
        (0..3).map(debt).collect()
    }

    fn untouched(&self) {
        assert_eq!(self.debts(), [50, 40, 60]);
        let steps = self.networks.iter().flat_map(TestNetwork::own);
        let applied = steps.filter(|entry| match &entry.op().payload {
            Payload::Step(step) => matches!(step.args, StepArgs::Apply(_)),
            payload => matches!(payload, Payload::Netted(_)),
        });
        assert_eq!(applied.count(), 0);
    }

    pub(crate) fn nothing_is_held(&self) {
        for network in &self.networks {
            assert!(network.state().held.values().all(|row| row.ended));
            assert_eq!(network.balance(&own_accounts::netting()), 0);
        }
    }
}

#[test]
fn a_circle_of_debts_is_cleared_and_both_ends_of_each_agree() {
    let mut circle = Circle::listed();
    circle.at(LISTS_MS + 1_000);
    assert_eq!(circle.debts(), [10, 0, 20]);
    circle.nothing_is_held();
    assert!(circle.networks.iter().all(|n| !n.engine.is_unfinished(&circle.round)));
    // Both ends state the same afterwards.
    let other = circle.networks[1].ledger();
    circle.networks[0].with_cx(|engine, cx| engine.state_to(&other, cx)).unwrap();
    circle.exchange();
    let standing = circle.networks[0].engine.standing(&other).unwrap();
    assert_eq!(standing.agreed.unwrap().statement.positions, [10]);
}

#[test]
fn one_refusal_ends_a_result_and_nothing_is_applied() {
    let mut circle = Circle::listed();
    let wish = Wish { joins: None, accepts: Some(false), drops: false };
    let will = Will { of_round: BTreeMap::from([(circle.round, wish)]), ..auto() };
    circle.networks[1].engine.want(will);
    circle.at(LISTS_MS + 1_000);
    circle.untouched();
    circle.at(VOTES_MS + 1_000);
    circle.untouched();
    circle.nothing_is_held();
    let vote = &circle.votes(0)[0];
    let outcome = circle.networks[0].engine.outcome(&circle.round, vote);
    assert!(matches!(outcome, Some(Outcome::Aborted(_))), "{outcome:?}");
}

#[test]
fn who_says_nothing_holds_the_others_until_it_is_back_and_refuses() {
    let mut circle = Circle::listed();
    circle.networks[1].engine.want(Will { accepts: false, ..auto() });
    circle.at(LISTS_MS + 1_000);
    circle.untouched();
    assert!(circle.networks[0].state().held.values().any(|row| !row.ended));
    circle.at(VOTES_MS + 1_000);
    assert!(circle.votes(1).iter().all(|vote| !vote.accepts));
    circle.untouched();
    circle.nothing_is_held();
}

/// The second says a word on a first result, which the third has accepted; the second attempt reaches the third before that
/// word does.
fn overtaken(accepts: bool) -> Circle {
    let mut circle = Circle::listed();
    let says = Wish { joins: None, accepts: Some(accepts), drops: false };
    circle.networks[1].engine.want(Will { of_round: BTreeMap::from([(circle.round, says)]), ..auto() });
    let first = circle.solved();
    circle.publishes(&first);
    circle.all_but_one_way();
    assert_eq!((circle.votes(2)[0].accepts, circle.votes(1)[0].accepts), (true, accepts));
    circle.networks[1].engine.want(auto());
    let second = circle.solved_in(1);
    circle.publishes_in(1, &second);
    circle.all_but_one_way();
    assert_eq!(circle.votes(2).len(), 1, "it waits");
    assert_eq!(circle.votes(0)[1].accepts, !accepts, "who has heard of the word does not");
    circle
}

/// Why the third has refused the second attempt.
fn refused_second(circle: &Circle) -> Option<RefusalReason> {
    let (third, votes) = (&circle.networks[2], circle.votes(2));
    assert_eq!(votes.iter().map(|vote| vote.accepts).collect::<Vec<_>>(), [true, false]);
    let round = third.engine.peers().rounds().get(&circle.round).unwrap();
    round.vote(&votes[1].result, &third.ledger()).unwrap().reason
}

#[test]
fn a_second_attempt_that_overtakes_the_refusal_of_the_first_waits_for_it() {
    let mut circle = overtaken(false);
    circle.at(LISTS_MS + 2_000);
    let votes = circle.votes(2);
    assert!(votes[1].accepts && votes[0].aborted.is_some(), "{votes:?}");
    assert_eq!(circle.debts(), [10, 0, 20]);
    circle.nothing_is_held();
}

#[test]
fn who_never_hears_of_the_refusal_refuses_when_the_time_is_over() {
    let mut circle = overtaken(false);
    circle.networks[2].now_ms = circle.start_ms + VOTES_MS + 1;
    circle.all_but_one_way();
    assert_eq!(refused_second(&circle), Some(RefusalReason::Late));
    circle.at(VOTES_MS + 1_000);
    circle.untouched();
    circle.nothing_is_held();
}

#[test]
fn people_who_refuse_need_not_wait_for_the_end_of_the_first() {
    let mut circle = overtaken(false);
    let refuses = Wish { joins: None, accepts: Some(false), drops: false };
    circle.networks[2].engine.want(Will { of_round: BTreeMap::from([(circle.round, refuses)]), ..auto() });
    circle.all_but_one_way();
    assert_eq!(refused_second(&circle), Some(RefusalReason::Person));
    circle.at(LISTS_MS + 2_000);
    circle.untouched();
}

#[test]
fn a_second_attempt_without_a_refusal_of_the_first_is_refused_when_that_is_committed() {
    let mut circle = overtaken(true);
    circle.at(LISTS_MS + 2_000);
    assert_eq!(refused_second(&circle), Some(RefusalReason::Another));
    assert_eq!(circle.debts(), [10, 0, 20]);
    circle.nothing_is_held();
}

/// Numbers of an attempt, changed.
fn changed(attempt: &Attempt, change: impl Fn(&mut [i64])) -> Attempt {
    let mut numbers: Vec<i64> =
        attempt.numbers.0.as_chunks::<8>().0.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect();
    change(&mut numbers);
    let bytes = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    Attempt { numbers: crate::encoding::Blob(bytes), ..attempt.clone() }
}

#[test]
fn a_result_that_is_wrong_is_refused_by_everybody_and_nothing_is_applied() {
    // Three reductions, then three potentials.
    let lies: [fn(&mut [i64]); 4] = [
        // Less than can be cleared.
        |numbers| numbers[..3].iter_mut().for_each(|reduction| *reduction -= 1),
        // One network gains.
        |numbers| numbers[0] += 1,
        // More than is owed.
        |numbers| numbers[..3].iter_mut().for_each(|reduction| *reduction += 30),
        // Potentials that prove nothing.
        |numbers| numbers[3..].iter_mut().for_each(|potential| *potential = 0),
    ];
    for lie in lies {
        let mut circle = Circle::listed();
        let attempt = changed(&circle.solved(), lie);
        circle.publishes(&attempt);
        circle.at(LISTS_MS + 1_000);
        for of in 0..3 {
            assert!(circle.votes(of).iter().all(|vote| !vote.accepts), "network {of} accepts a lie");
        }
        let round = circle.networks[0].engine.peers().rounds().get(&circle.round).unwrap();
        let result = circle.votes(1)[0].result;
        let said = round.vote(&result, &circle.networks[1].ledger()).unwrap();
        assert_eq!(said.reason, Some(RefusalReason::Certificate));
        circle.at(VOTES_MS + 1_000);
        circle.untouched();
        circle.nothing_is_held();
    }
}

#[test]
fn pages_that_are_no_attempt_are_accepted_by_nobody() {
    let no_numbers =
        |attempt: &Attempt| Attempt { numbers: crate::encoding::Blob(vec![0; 8]), ..attempt.clone() };
    let other_lists = |attempt: &Attempt| {
        let mut lists = attempt.lists.0.clone();
        lists[40] ^= 1;
        Attempt { lists: crate::encoding::Blob(lists), ..attempt.clone() }
    };
    for lie in [no_numbers as fn(&Attempt) -> Attempt, other_lists] {
        let mut circle = Circle::listed();
        let attempt = lie(&circle.solved());
        let round = circle.round;
        // It goes on to lie in every attempt that it has.
        circle.networks[0].now_ms = circle.start_ms + LISTS_MS + 1;
        for number in 0..8 {
            let bytes = attempt.to_bytes();
            circle.networks[0].with_cx(|e, cx| e.publish(&round, number, &bytes, cx)).unwrap();
        }
        circle.at(LISTS_MS + 1_000);
        assert!((0..3).all(|of| circle.votes(of).is_empty()));
        circle.at(VOTES_MS + 1_000);
        circle.untouched();
        circle.nothing_is_held();
    }
}

#[test]
fn two_results_shown_to_two_members_commit_neither() {
    let mut circle = Circle::listed();
    // Both are right: potentials may all be higher.
    let (one, other) =
        (circle.solved(), changed(&circle.solved(), |n| n[3..].iter_mut().for_each(|p| *p += 1)));
    let mut twin = circle.networks[0].clone();
    circle.publishes(&one);
    let (round, bytes) = (circle.round, other.to_bytes());
    twin.now_ms = circle.networks[0].now_ms;
    twin.with_cx(|engine, cx| engine.publish(&round, 0, &bytes, cx)).unwrap();
    let [liar, first, second] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    liar.deliver_public(first);
    twin.deliver_public(second);
    for network in [&mut *first, &mut *second] {
        network.now_ms = network.now_ms.max(circle.start_ms + LISTS_MS + 2);
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    first.deliver_public(second);
    second.deliver_public(first);
    first.settle(second);
    let yes: Vec<VoteRow> = [1, 2].iter().flat_map(|of| circle.votes(*of)).collect();
    assert!(yes.len() == 2 && yes.iter().all(|vote| vote.accepts) && yes[0].result != yes[1].result);
    // Each has accepted what the other has not seen: whatever the liar says to either, neither is committed.
    for of in [1, 2] {
        let vote = &circle.votes(of)[0];
        assert_eq!(circle.networks[of].engine.outcome(&round, vote), Some(Outcome::Open));
    }
    circle.untouched();
    // People let go of what is held.
    let wish = Wish { joins: None, accepts: None, drops: true };
    for of in [1, 2] {
        let will = Will { of_round: BTreeMap::from([(round, wish)]), ..auto() };
        circle.networks[of].engine.want(will);
        circle.networks[of].now_ms = circle.start_ms + VOTES_MS + 1_000;
        circle.networks[of].with_cx(|engine, cx| engine.tick(cx));
        assert!(circle.networks[of].state().held.values().all(|row| row.ended));
    }
}

#[test]
fn who_accepts_towards_one_and_refuses_towards_another_is_bound_and_both_ends_apply() {
    let mut circle = Circle::listed();
    circle.publishes(&circle.solved());
    let [clerk, honest, liar] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    clerk.deliver_public(honest);
    clerk.deliver_public(liar);
    let now_ms = circle.start_ms + LISTS_MS + 1_000;
    [&mut *clerk, &mut *honest, &mut *liar].into_iter().for_each(|n| n.now_ms = n.now_ms.max(now_ms));
    let mut twin = liar.clone();
    let no = Wish { joins: None, accepts: Some(false), drops: false };
    twin.engine.want(Will { of_round: BTreeMap::from([(circle.round, no)]), ..auto() });
    [&mut *clerk, &mut *honest, &mut *liar, &mut twin]
        .into_iter()
        .for_each(|network| network.with_cx(|engine, cx| engine.tick(cx)));
    // One hears yes, the other no.
    liar.deliver_public(clerk);
    twin.deliver_public(honest);
    clerk.deliver_public(honest);
    honest.deliver_public(clerk);
    honest.deliver_public(liar);
    clerk.deliver_public(liar);
    let round = circle.round;
    for network in [&mut *clerk, &mut *liar] {
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    clerk.settle(honest);
    let outcome = |network: &TestNetwork| {
        let vote = network.state().rounds[&round].votes[0].clone();
        network.engine.outcome(&round, &vote)
    };
    assert_eq!(outcome(clerk), Some(Outcome::Committed));
    assert!(matches!(outcome(honest), Some(Outcome::Aborted(_))));
    // What the first owes the honest one is applied at one end. It hears no answer, and shows that all have accepted.
    clerk.now_ms += SHOW_AFTER_MS;
    clerk.with_cx(|engine, cx| engine.tick(cx));
    clerk.deliver_public(honest);
    honest.now_ms = honest.now_ms.max(clerk.now_ms);
    honest.with_cx(|engine, cx| engine.tick(cx));
    assert_eq!(outcome(honest), Some(Outcome::Committed));
    clerk.settle(honest);
    honest.settle(liar);
    liar.settle(clerk);
    for network in [&mut *clerk, &mut *honest, &mut *liar] {
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    clerk.settle(honest);
    honest.settle(liar);
    liar.settle(clerk);
    assert_eq!(circle.debts(), [10, 0, 20]);
}

#[test]
fn two_lists_shown_to_two_members_clear_nothing() {
    let mut circle = Circle::new();
    circle.at(1_000);
    // The third writes two lists: to one it names what it holds, to the other half of it.
    let mut twin = circle.networks[2].clone();
    let now_ms = circle.start_ms + OFFERS_MS + 1_000;
    for network in circle.networks.iter_mut().chain([&mut twin]) {
        network.now_ms = now_ms;
    }
    let held: Vec<Line> = circle.networks[2]
        .state()
        .held
        .iter()
        .map(|((_, peer), row)| Line { peer: *peer, we_owe: row.we_owe, amount: row.amount })
        .collect();
    let list =
        Listed { round: circle.round, votes_until_ms: circle.start_ms + VOTES_MS, lines: vec![held[0]] };
    twin.with_cx(|engine, cx| engine.own(Payload::Listed(list), &[], &[], 0, cx)).unwrap();
    for network in &mut circle.networks {
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    let [clerk, honest, liar] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    liar.deliver_public(clerk);
    twin.deliver_public(honest);
    honest.deliver_public(clerk);
    clerk.deliver_public(honest);
    clerk.now_ms = circle.start_ms + LISTS_MS + 1_000;
    clerk.with_cx(|engine, cx| engine.tick(cx));
    clerk.deliver_public(honest);
    honest.now_ms = clerk.now_ms;
    honest.with_cx(|engine, cx| engine.tick(cx));
    // It cannot read a result that counts a list which it does not have.
    assert!(circle.votes(1).is_empty());
    assert!(circle.votes(0).iter().all(|vote| vote.accepts));
    circle.untouched();
}

#[test]
fn what_one_end_lists_and_the_other_does_not_is_no_debt() {
    let circle = Circle::listed();
    let mut lists = circle.lists();
    let first = circle.networks[0].ledger();
    let line = &mut lists.get_mut(&first).unwrap().1.lines[0];
    line.amount = Amount::new(line.amount.minor() - 1).unwrap();
    let by_leaf = lists.iter().map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
    assert_eq!(solve(&circle.round, 0, &by_leaf), Ok(None));
    assert_eq!(Attempt { lists: Default::default(), ..circle.solved() }.set().ok(), None::<Set>);
}

#[test]
fn an_apply_that_not_all_have_accepted_is_not_booked() {
    let mut circle = Circle::listed();
    circle.publishes(&circle.solved());
    let [liar, honest, away] = circle.networks.get_disjoint_mut([0, 1, 2]).unwrap();
    let now_ms = circle.start_ms + LISTS_MS + 1_000;
    liar.deliver_public(honest);
    liar.deliver_public(away);
    for network in [&mut *liar, &mut *honest] {
        network.now_ms = now_ms;
        network.with_cx(|engine, cx| engine.tick(cx));
    }
    let vote = liar.state().rounds[&circle.round].votes[0].clone();
    let (channel, row) = liar.state().channel_with(&honest.ledger()).unwrap();
    let line = vote.lines.iter().find(|line| line.line.we_owe).unwrap().line;
    let args = ApplyArgs {
        round: circle.round,
        result: vote.result,
        pair: 0,
        amount: line.amount,
        a_owed: row.we_are_a,
    };
    liar.with_cx(|engine, cx| engine.step_about(channel, (None, 0), None, StepArgs::Apply(args), &[], cx))
        .unwrap();
    liar.settle(honest);
    honest.with_cx(|engine, cx| engine.tick(cx));
    let account = own_accounts::peer(&liar.ledger(), &honest.ledger());
    assert_eq!((honest.balance(&account), honest.balance(&own_accounts::netting())), (-50, 0));
    // When the last has accepted after all, it is booked.
    away.now_ms = now_ms;
    away.with_cx(|engine, cx| engine.tick(cx));
    circle.at(LISTS_MS + 2_000);
    assert_eq!(circle.debts(), [10, 0, 20]);
}

#[test]
fn an_accept_by_who_is_no_member_counts_for_nothing() {
    let mut circle = Circle::listed();
    circle.publishes(&circle.solved());
    let result = circle.networks[0].engine.peers().rounds().read_anew(&circle.round, 0).unwrap().results[0];
    let mut stranger = TestNetwork::new(9);
    let sig = sign_vote(&stranger.log_key(), (&circle.round, &result, true), &stranger.ledger());
    let voted = Voted {
        round: circle.round,
        attempt: 0,
        result,
        accepts: true,
        reason: None,
        epoch: 0,
        sig,
        lines: Vec::new(),
        aborted: None,
    };
    let round = circle.round;
    let refused = stranger.with_cx(|engine, cx| engine.own(Payload::Voted(voted), &[], &[], 0, cx));
    assert_eq!(refused, Err(Rejected::RoundState { round }));
    assert!(stranger.own().iter().all(|entry| {
        entry.body().stream.is_none_or(|h| h.id != PUBLIC_STREAM)
            || !matches!(entry.op().payload, Payload::Voted(_))
    }));
}

#[test]
fn a_vote_keeps_the_rules_of_our_own_debts() {
    let mut circle = Circle::listed();
    circle.publishes(&circle.solved());
    let (round, network) = (circle.round, &mut circle.networks[0]);
    let reading = network.engine.peers().rounds().read_anew(&round, 0).unwrap();
    let held: Vec<Line> = network
        .state()
        .held
        .iter()
        .map(|((_, peer), row)| Line { peer: *peer, we_owe: row.we_owe, amount: row.amount })
        .collect();
    let (key, ledger) = (network.log_key(), network.ledger());
    let write = |network: &mut TestNetwork, lines: Vec<Line>, accepts: bool, sign: bool| {
        let result = reading.results[0];
        let sig = sign_vote(&key, (&round, &result, accepts == sign), &ledger);
        let reason = (!accepts).then_some(RefusalReason::Person);
        let voted = Voted { round, attempt: 0, result, accepts, reason, epoch: 0, sig, lines, aborted: None };
        // Another operation each time: the same one would be refused as done.
        let about = network.now_ms.to_be_bytes();
        network.with_cx(|engine, cx| engine.own(Payload::Voted(voted), &[], &about, 0, cx))
    };
    let more = |line: &Line| Line { amount: Amount::new(line.amount.minor() + 1).unwrap(), ..*line };
    let refused = write(network, held.iter().map(more).collect(), true, true).unwrap_err();
    assert_eq!(refused.code(), "round-range");
    let refused = write(network, held.clone(), true, true).unwrap_err();
    assert_eq!(refused.code(), "round-conservation");
    let refused = write(network, held.iter().rev().copied().collect(), true, true).unwrap_err();
    assert_eq!(refused.code(), "round-lines");
    let refused = write(network, Vec::new(), false, false).unwrap_err();
    assert_eq!(refused.code(), "signature");
    network.now_ms = circle.start_ms + VOTES_MS + 1;
    let refused = write(network, Vec::new(), true, true).unwrap_err();
    assert_eq!(refused.code(), "round-late");
    write(network, Vec::new(), false, true).unwrap();
    network.now_ms += 1;
    let refused = write(network, Vec::new(), false, true).unwrap_err();
    assert_eq!(refused.code(), "round-state");
}

#[test]
fn what_is_held_is_neither_settled_nor_room() {
    let mut circle = Circle::new();
    circle.at(1_000);
    let (one, other) = (&circle.networks[0], &circle.networks[1]);
    let room = |network: &TestNetwork, peer: &TestNetwork| {
        let (_, row) = network.state().channel_with(&peer.ledger()).unwrap();
        crate::ledger::clearing::room(network.state(), row, 0).unwrap()
    };
    // Who is owed 50 has 1,000 of its own, and no more: the 50 may be gone. Who owes has what it had.
    assert_eq!((room(other, one), room(one, other)), (1_000, 950));
    let (_, row) = one.state().channel_with(&other.ledger()).unwrap();
    assert_eq!(crate::ledger::netting::held(one.state(), row, 0, true), 50);
}
