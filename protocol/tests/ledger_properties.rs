//! Random sequences of operations, right and wrong, against a small model that knows nothing of the code.
//!
//! The model says beforehand whether an operation is accepted and what the balances then are. It is written from specs/kinds.md
//! and specs/ledger.md; it holds accounts by number, and no bytes, hashes or signatures.

#[path = "support/ledger_kit.rs"]
mod kit;
#[path = "support/ledger_model.rs"]
mod model;

use kit::{DAY_MS, DESK, DESK_COORDINATOR, HOUR, ROOT, Sign, World, account, coordinator, own, replay, seed};
use model::{Acc, Act, By, Held, Model, Paid, act};
use proptest::prelude::*;
use weft_protocol::entry::{Entry, Payload, Role};
use weft_protocol::ids::UnitId;
use weft_protocol::ledger::members::{AccountChanged, AccountClosed, OwnerKind};
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Posting, Release, Reversal, move_value};
use weft_protocol::ledger::{State, apply, own_accounts, verify_signatures};

fn signs(by: By) -> Vec<Sign> {
    match by {
        By::Own(n) => vec![own(n)],
        By::Coordinator(n) => vec![coordinator(n)],
        By::Both(a, b) => vec![own(a), coordinator(b)],
        By::Desk => vec![DESK],
        By::DeskCoordinator => vec![DESK_COORDINATOR],
        By::Root => vec![ROOT],
        By::Nobody => vec![],
    }
}

/// The ledger and the model side by side.
struct Pair {
    world: World,
    model: Model,
    accepted: usize,
    refused: usize,
}

impl Pair {
    /// Begins with somebody who has a key, somebody who has none, and a coordinator.
    fn new() -> Self {
        let mut pair = Self { world: World::new(), model: Model::default(), accepted: 0, refused: 0 };
        let open = |n, keyed| Act::Open { n, keyed, pool: false };
        for act in [open(1, true), open(2, false), open(3, true), Act::Grant { n: 3, granted: true }] {
            pair.act(&act).expect("the first accounts are opened");
        }
        pair
    }

    /// Offers an operation; whether it is taken must be what the model says.
    fn offer(&mut self, payload: Payload, by: By, expected: bool) -> Result<Option<Entry>, TestCaseError> {
        let before = self.world.state.digest();
        match self.world.attempt(payload, &signs(by)) {
            Ok(written) => {
                prop_assert!(expected, "accepted, the model refuses");
                self.accepted += 1;
                Ok(Some(written.entry))
            }
            Err(refused) => {
                prop_assert!(!expected, "refused ({refused}), the model accepts");
                prop_assert_eq!(self.world.state.digest(), before, "a refusal changed something");
                self.refused += 1;
                Ok(None)
            }
        }
    }

    fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act.clone() {
            Act::Open { n, keyed, pool } => {
                let owner = if pool { OwnerKind::Pool } else { OwnerKind::Member };
                let expected =
                    !self.model.accounts.contains_key(&n) && (!keyed || !self.model.keys.contains(&n));
                let key = keyed.then(|| seed(n));
                if self.offer(kit::opened(n, owner, key), By::DeskCoordinator, expected)?.is_some() {
                    self.model.accounts.insert(n, Acc { pool, keyed, ..Acc::default() });
                    if keyed {
                        self.model.keys.insert(n);
                    }
                }
            }
            Act::Close { n, by } => {
                let empty = self.model.balances.iter().all(|((m, _), b)| *m != n || *b == 0);
                let holds = self.model.held.iter().any(|h| h.from == n && h.open);
                let office = Model::is_coordinator(by) && self.model.signs(by);
                let expected = office && self.model.open(n) && empty && !holds;
                let payload = Payload::AccountClosed(AccountClosed { account: account(n) });
                if self.offer(payload, by, expected)?.is_some() {
                    self.model.accounts.entry(n).or_default().closed = true;
                }
            }
            Act::Grant { n, granted } => {
                let expected = self.model.open(n) && self.model.accounts[&n].coordinator != granted;
                if self.offer(kit::granted(n, Role::Coordinator, granted), By::Root, expected)?.is_some() {
                    self.model.accounts.entry(n).or_default().coordinator = granted;
                }
            }
            Act::AddKey { n } => {
                let key = Some(kit::key(seed(n)).public().bytes());
                let change =
                    AccountChanged { account: account(n), add_key: key, remove_key: None, anchor: None };
                let expected = self.model.open(n) && !self.model.keys.contains(&n);
                if self.offer(Payload::AccountChanged(change), By::Root, expected)?.is_some() {
                    self.model.accounts.entry(n).or_default().keyed = true;
                    self.model.keys.insert(n);
                }
            }
            Act::Limit { n, stop, firm } => self.limit(n, stop, firm)?,
            Act::Pay { from, to, unit, minor, by } => self.pay(from, to, unit, minor, by)?,
            Act::Reverse { pick, by } => self.reverse(pick, by)?,
            Act::Hold { from, minor, by } => self.hold(from, minor, by)?,
            Act::Release { pick } => self.release(pick)?,
            Act::Again { pick } => {
                if let Some(signed) = self.world.written.get(pick).cloned() {
                    let before = self.world.state.digest();
                    prop_assert!(self.world.submit(&signed).is_err(), "an operation was done twice");
                    prop_assert_eq!(self.world.state.digest(), before);
                }
            }
            Act::Wait { days } => self.world.now_ms += days * DAY_MS,
        }
        self.compare()
    }

    fn limit(&mut self, n: Option<u8>, stop: u64, firm: u64) -> Result<(), TestCaseError> {
        let below = Some(Levels { warn: None, stop: Some(stop), firm: Some(firm) });
        let owner = n.is_none().then_some(OwnerKind::Member);
        let rule = LimitRule { unit: HOUR, account: n.map(account), owner, below, above: None };
        let expected = stop <= firm && n.is_none_or(|n| self.model.open(n));
        let payload =
            Payload::RuleSet(RuleSet { authority: self.world.genesis_leaf(), rule: Rule::Limit(rule) });
        if self.offer(payload, By::Root, expected)?.is_some() {
            match n {
                Some(n) => drop(self.model.own_limits.insert(n, (stop, firm))),
                None => self.model.member_limit = Some((stop, firm)),
            }
        }
        Ok(())
    }

    fn pay(&mut self, from: u8, to: u8, unit: u16, minor: i64, by: By) -> Result<(), TestCaseError> {
        let model = &self.model;
        let expected = from != to
            && unit < 2
            && model.open(from)
            && model.open(to)
            && model.signs(by)
            && model.may_debit(from, by)
            && model.in_limits(from, unit, minor, by);
        let (seq, at_ms) = (self.world.state.head.next_seq, self.world.now_ms);
        if self.offer(kit::pay(from, to, UnitId(unit), minor), by, expected)?.is_some() {
            self.model.add(from, unit, -minor);
            self.model.add(to, unit, minor);
            self.model.paid.push(Paid { seq, at_ms, from, to, unit, minor, reversed: false });
        }
        Ok(())
    }

    fn reverse(&mut self, pick: usize, by: By) -> Result<(), TestCaseError> {
        let Some(paid) = self.model.paid.get(pick) else { return Ok(()) };
        let turned = |p: Posting| Posting { delta: -p.delta, ..p };
        let movement =
            move_value(account(paid.from), account(paid.to), UnitId(paid.unit), kit::amount(paid.minor));
        let reversal = Reversal { seq: paid.seq, postings: movement.into_iter().map(turned).collect() };
        // Old rows go when an entry is written, so what counts is the last entry's time.
        let kept = paid.at_ms + 60 * DAY_MS >= self.world.state.head.time_ms;
        let model = &self.model;
        let expected = kept
            && !paid.reversed
            && model.open(paid.from)
            && model.open(paid.to)
            && model.signs(by)
            && (Model::is_coordinator(by) || model.may_debit(paid.to, by));
        let (from, to, unit, minor) = (paid.from, paid.to, paid.unit, paid.minor);
        if self.offer(Payload::Reversal(reversal), by, expected)?.is_some() {
            self.model.add(from, unit, minor);
            self.model.add(to, unit, -minor);
            self.model.paid[pick].reversed = true;
        }
        Ok(())
    }

    fn hold(&mut self, from: u8, minor: i64, by: By) -> Result<(), TestCaseError> {
        let model = &self.model;
        let expected = model.open(from)
            && model.signs(by)
            && model.may_debit(from, by)
            && model.in_limits(from, 0, minor, by);
        if let Some(entry) = self.offer(kit::hold(from, minor), by, expected)? {
            self.model.add(from, 0, -minor);
            self.model.add(0, 0, minor);
            self.model.held.push(Held { leaf: entry.leaf(), from, minor, open: true });
        }
        Ok(())
    }

    fn release(&mut self, pick: usize) -> Result<(), TestCaseError> {
        let Some(held) = self.model.held.get(pick) else { return Ok(()) };
        let postings = move_value(own_accounts::hold(), account(held.from), HOUR, kit::amount(held.minor));
        let (from, minor, open) = (held.from, held.minor, held.open);
        let payload = Payload::Release(Release { hold: held.leaf, postings });
        if self.offer(payload, By::Nobody, open)?.is_some() {
            self.model.add(from, 0, minor);
            self.model.add(0, 0, -minor);
            self.model.held[pick].open = false;
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let state = &self.world.state;
        prop_assert!(state.sums().values().all(|sum| *sum == 0), "sums: {:?}", state.sums());
        for ((n, unit), balance) in &self.model.balances {
            let id = if *n == 0 { own_accounts::hold() } else { account(*n) };
            prop_assert_eq!(state.balance(&id, UnitId(*unit)), *balance, "account {}", n);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_accepts_what_the_model_accepts_and_its_balances_are_the_models(acts in prop::collection::vec(act(), 1..60)) {
        let mut pair = Pair::new();
        for act in &acts {
            pair.act(act)?;
        }
        let state = &pair.world.state;
        let again = replay(&pair.world.entries);
        prop_assert_eq!(again.digest(), state.digest(), "a replay gives another state");
        let read = State::from_canonical(&state.to_canonical()).expect("a state reads back");
        prop_assert_eq!(read.digest(), state.digest(), "a state read back is another state");
    }

    #[test]
    fn a_state_that_was_read_back_goes_on_as_the_one_it_was_taken_from(
        first in prop::collection::vec(act(), 1..30),
        then in prop::collection::vec(act(), 1..30),
    ) {
        let mut pair = Pair::new();
        for act in &first {
            pair.act(act)?;
        }
        pair.world.state = State::from_canonical(&pair.world.state.to_canonical()).expect("a state reads back");
        for act in &then {
            pair.act(act)?;
        }
        prop_assert_eq!(replay(&pair.world.entries).digest(), pair.world.state.digest());
    }

    #[test]
    fn bytes_that_are_no_entry_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    #[test]
    fn an_entry_with_a_piece_changed_is_another_entry_or_none(
        which in 0_usize..7, at in 0_usize..4_096, len in 0_usize..9, with in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let world = story();
        let entry = &world.entries[which % world.entries.len()];
        let mut bytes = entry.bytes().to_vec();
        let at = at % bytes.len();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with);
        prop_assume!(bytes != entry.bytes());
        prop_assert!(is_refused(&world, which % world.entries.len(), &bytes));
    }
}

/// One entry of most kinds.
fn story() -> World {
    let mut world = World::new();
    world.coordinator(1);
    world.open(2, true);
    world.must(kit::pay(1, 2, HOUR, 30), &[own(1)]);
    world
}

/// Whether bytes in the place of entry `at` are refused: they do not parse, break a rule, or do not verify.
fn is_refused(world: &World, at: usize, bytes: &[u8]) -> bool {
    let before = replay(&world.entries[..at]);
    match Entry::parse(bytes) {
        Err(_) => true,
        Ok(entry) => {
            assert_ne!(entry.leaf(), world.entries[at].leaf(), "other bytes under the same leaf");
            apply(&before, &entry).is_err() || verify_signatures(&before, &entry).is_err()
        }
    }
}

#[test]
fn no_single_flipped_bit_leaves_an_entry_acceptable() {
    let world = story();
    for at in [0, 1, world.entries.len() - 1] {
        let good = world.entries[at].bytes();
        let before = replay(&world.entries[..at]);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let refused = match Entry::parse(&bytes) {
                Err(_) => true,
                Ok(entry) => apply(&before, &entry).is_err() || verify_signatures(&before, &entry).is_err(),
            };
            assert!(refused, "entry {at}, bit {bit}");
        }
    }
}

#[test]
fn the_random_acts_are_accepted_and_refused_often_enough_to_mean_something() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20 {
        let acts = prop::collection::vec(act(), 60).new_tree(&mut runner).unwrap().current();
        let mut pair = Pair::new();
        acts.iter().for_each(|act| pair.act(act).unwrap());
        accepted += pair.accepted;
        refused += pair.refused;
    }
    assert!(accepted > 200 && refused > 200, "{accepted} accepted, {refused} refused");
}
