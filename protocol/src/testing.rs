//! Small networks for tests: a ledger with members, payments in it, accords and payments between two.
//!
//! Everything is derived from a seed, so a test gives the same bytes every time. Keys here protect nothing.

mod rotation;

use crate::amount::Amount;
use crate::clearing::accord::{ACCORD_VERSION, Accord, Side, UnitPair};
use crate::clearing::convict::Taken;
use crate::clearing::engine::{Cx, Engine, Payee, Record, Route};
use crate::clearing::peers::{Place, Refusal};
use crate::clearing::step::{AccordArgs, RootSig};
use crate::encoding::Blob;
use crate::entry::{Entry, How, Op, Payload, Role, SignedOp};
use crate::evidence::Evidence;
use crate::ids::{AccountId, ClaimId, Hash, KeyBytes, LedgerId, OpId, PUBLIC_STREAM, Salt, UnitId};
use crate::keys::{ACCORD, SecretKey};
use crate::ledger::Rejected;
use crate::ledger::author::Author;
use crate::ledger::identity::{Genesis, PURPOSES, Purpose, PurposeKey, RootSet};
use crate::ledger::members::{AccountOpened, OwnerKind};
use crate::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use crate::ledger::state::State;
use crate::ledger::transfer::{Hold, Transfer, move_value};
use crate::ledger::units::{UnitDefined, UnitKind};
use crate::log::checkpoint::Checkpoint;
use crate::log::tree::Frontier;
use std::collections::BTreeMap;

/// The unit that every test network has: hours, in minutes.
pub const HOUR: UnitId = UnitId(0);
/// When test networks begin.
pub const START_MS: u64 = 1_767_225_600_000;
/// The clock moves on by this much with every operation.
pub const TICK_MS: u64 = 1_000;

/// A network of a test.
pub struct TestNetwork {
    /// Its node's rules.
    pub engine: Engine,
    /// All records in the order in which a node would have stored them.
    pub records: Vec<Record>,
    /// The clock.
    pub now_ms: u64,
    seed: u64,
    drawn: u64,
    payees: BTreeMap<Hash, AccountId>,
    own_keys: BTreeMap<AccountId, SecretKey>,
}

impl std::fmt::Debug for TestNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TestNetwork({})", self.ledger().short())
    }
}

impl Clone for TestNetwork {
    fn clone(&self) -> Self {
        let author = Author::new(self.log_key(), self.state().head.boot);
        let (state, peers) = (self.state().clone(), self.engine.peers().clone());
        Self {
            engine: Engine::resume(state, peers, author, draw(self.seed, "secret", 0)),
            records: self.records.clone(),
            now_ms: self.now_ms,
            seed: self.seed,
            drawn: self.drawn,
            payees: self.payees.clone(),
            own_keys: self
                .own_keys
                .iter()
                .map(|(id, key)| (*id, SecretKey::from_seed(&key.seed())))
                .collect(),
        }
    }
}

fn draw(seed: u64, what: &str, number: u64) -> [u8; 32] {
    Hash::of("WEFT-TEST/1\n", &[&seed.to_be_bytes(), what.as_bytes(), &number.to_be_bytes()]).0
}

impl TestNetwork {
    /// A ledger with its genesis and the unit [`HOUR`].
    pub fn new(seed: u64) -> Self {
        let author = Author::new(secret(seed, "log"), START_MS);
        let mut network = Self {
            engine: Engine::new(author, draw(seed, "secret", 0)),
            records: Vec::new(),
            now_ms: START_MS,
            seed,
            drawn: 0,
            payees: BTreeMap::new(),
            own_keys: BTreeMap::new(),
        };
        let key_of = |purpose| PurposeKey { purpose, key: network.public_key(purpose) };
        let genesis = Genesis {
            root: RootSet { threshold: 1, keys: vec![network.root().public().bytes()] },
            next_root: None,
            keys: PURPOSES.map(key_of).to_vec(),
            charter: None,
            predecessor: None,
        };
        network.by_root(Payload::Genesis(genesis)).expect("a genesis by the rules");
        let hour = UnitDefined {
            unit: HOUR,
            code: "hour".into(),
            name: "Hour".into(),
            kind: UnitKind::Time,
            scale: 0,
        };
        network.by_root(Payload::UnitDefined(hour)).expect("a unit by the rules");
        network
    }

    fn public_key(&self, purpose: Purpose) -> KeyBytes {
        let name = match purpose {
            Purpose::Log => "log",
            Purpose::Witness => "witness",
            Purpose::Seal => "seal",
            Purpose::Libp2p => "libp2p",
            Purpose::Desk => "desk",
            Purpose::Recovery => "recovery",
        };
        secret(self.seed, name).public().bytes()
    }

    /// The one root key.
    pub fn root(&self) -> SecretKey {
        secret(self.seed, "root")
    }

    /// The key that signs entries and checkpoints now.
    pub fn log_key(&self) -> SecretKey {
        let identity = self.state().identity.as_ref();
        let epoch =
            identity.and_then(|identity| identity.current(Purpose::Log)).map_or(0, |(epoch, _)| epoch);
        self.log_key_of(epoch)
    }

    /// The key that signs cosignatures.
    pub fn witness_key(&self) -> SecretKey {
        secret(self.seed, "witness")
    }

    /// The key that acts for people without one.
    pub fn desk(&self) -> SecretKey {
        secret(self.seed, "desk")
    }

    /// Its id; zero before the genesis.
    pub fn ledger(&self) -> LedgerId {
        self.engine.state().ledger().unwrap_or(LedgerId::ZERO)
    }

    /// Its state.
    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// A balance in hours' minutes.
    pub fn balance(&self, account: &AccountId) -> i64 {
        self.state().balance(account, HOUR)
    }

    /// Its own entries.
    pub fn own(&self) -> Vec<Entry> {
        let own = |record: &Record| match record {
            Record::Own(written) => Some(written.entry.clone()),
            Record::Received(_) | Record::Evidence(_) => None,
        };
        self.records.iter().filter_map(own).collect()
    }

    /// What it has received, in order.
    pub fn received(&self) -> Vec<Entry> {
        let received = |record: &Record| match record {
            Record::Own(_) | Record::Evidence(_) => None,
            Record::Received(entry) => Some(Entry::clone(entry)),
        };
        self.records.iter().filter_map(received).collect()
    }

    /// A signed checkpoint over the first entries.
    pub fn checkpoint(&self, size: usize) -> String {
        let mut frontier = Frontier::default();
        self.own().iter().take(size).for_each(|entry| frontier.push(entry.leaf()));
        let checkpoint = Checkpoint::new(&self.ledger().origin(), frontier.size(), frontier.root());
        checkpoint.expect("an origin of ours is a key name").sign(&self.log_key()).to_string()
    }

    fn draw(&mut self, what: &str) -> [u8; 32] {
        self.drawn = self.drawn.wrapping_add(1);
        draw(self.seed, what, self.drawn)
    }

    fn op(&mut self, payload: Payload, sidecars: Vec<Hash>) -> Op {
        self.now_ms = self.now_ms.saturating_add(TICK_MS);
        let drawn = self.draw("op");
        let op_id = OpId(Hash(drawn).prefix());
        Op { op_id, not_after_ms: self.now_ms.saturating_add(86_400_000), payload, sidecars }
    }

    pub(crate) fn with_cx<T>(&mut self, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> T) -> T {
        let (seed, mut drawn) = (self.seed, self.drawn);
        let mut salt = || {
            drawn = drawn.wrapping_add(1);
            Salt(Hash(draw(seed, "salt", drawn)).prefix())
        };
        let known = &self.payees;
        let payees = |_: &ClaimId, commitment: &Hash| {
            known.get(commitment).map_or(Payee::Unknown, |account| Payee::Account(*account))
        };
        let stored = &self.records;
        let held = |place: &Place| stored.iter().find_map(|record| record.received_at(place));
        let mut cx = Cx { now_ms: self.now_ms, salt: &mut salt, payees: &payees, held: &held };
        let result = act(&mut self.engine, &mut cx);
        self.drawn = drawn;
        self.records.extend(self.engine.take_batch().records);
        result
    }

    /// Looks again at what is open, so much later.
    pub fn later(&mut self, after_ms: u64) {
        self.now_ms = self.now_ms.saturating_add(after_ms);
        self.with_cx(|engine, cx| engine.tick(cx));
    }

    /// Hands in what both root sets have signed about a hop.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn dispute(&mut self, args: crate::clearing::dispute::DisputeArgs) -> Result<(), Rejected> {
        self.with_cx(|engine, cx| engine.dispute(args, cx))
    }

    /// Hands in what both root sets have signed about a channel.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn reset(&mut self, args: crate::clearing::reset::ResetArgs) -> Result<(), Rejected> {
        self.with_cx(|engine, cx| engine.reset(args, cx))
    }

    /// Submits a signed operation.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn submit(&mut self, signed: &SignedOp) -> Result<(), Rejected> {
        self.with_cx(|engine, cx| engine.submit(signed, cx).map(|_| ()))
    }

    /// A line of another network's channel, exactly as given.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn receive(&mut self, from: &LedgerId, bytes: &[u8]) -> Result<(), Refusal> {
        self.with_cx(|engine, cx| engine.receive(from, bytes, cx))
    }

    /// Evidence that somebody shows.
    pub fn take(&mut self, evidence: &Evidence) -> Taken {
        self.with_cx(|engine, cx| engine.take_evidence(evidence, cx))
    }

    /// Something done by the root set that commits to texts.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn by_root_with(&mut self, payload: Payload, sidecars: Vec<Hash>) -> Result<(), Rejected> {
        let op = self.op(payload, sidecars);
        let ledger = self.ledger();
        self.submit(&SignedOp::unsigned(&op).signed(&ledger, &self.root(), Role::Root, How::OwnKey))
    }

    /// Something done by the root set.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn by_root(&mut self, payload: Payload) -> Result<(), Rejected> {
        let op = self.op(payload, Vec::new());
        let ledger = self.ledger();
        self.submit(&SignedOp::unsigned(&op).signed(&ledger, &self.root(), Role::Root, How::OwnKey))
    }

    /// A member without a key: the desk acts for them.
    pub fn member(&mut self) -> AccountId {
        let account = AccountId(Hash(self.draw("account")).prefix());
        self.open(account, None);
        account
    }

    /// A member with a key of their own.
    pub fn member_with_key(&mut self) -> AccountId {
        let account = AccountId(Hash(self.draw("account")).prefix());
        let key = SecretKey::from_seed(&self.draw("member key"));
        self.open(account, Some(key.public().bytes()));
        self.own_keys.insert(account, key);
        account
    }

    fn open(&mut self, account: AccountId, key: Option<KeyBytes>) {
        let opened = AccountOpened { account, owner: OwnerKind::Member, key, anchor: false };
        self.by_root(Payload::AccountOpened(opened)).expect("a fresh account by the rules");
    }

    fn signed_for(&self, account: &AccountId, op: &Op) -> SignedOp {
        let (ledger, op) = (self.ledger(), SignedOp::unsigned(op));
        match self.own_keys.get(account) {
            Some(key) => op.signed(&ledger, key, Role::Member, How::OwnKey),
            None => op.signed(&ledger, &self.desk(), Role::Member, How::Custody),
        }
    }

    /// A payment inside the network.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn transfer(&mut self, from: AccountId, to: AccountId, minutes: i64) -> Result<(), Rejected> {
        let amount = Amount::new(minutes).expect("tests pay positive amounts");
        let transfer = Transfer { postings: move_value(from, to, HOUR, amount), when_day: None };
        let op = self.op(Payload::Transfer(transfer), Vec::new());
        self.submit(&self.signed_for(&from, &op))
    }

    /// Members may go this far below zero before a stop.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn limit_members(&mut self, stop: u64) -> Result<(), Rejected> {
        let below = Some(Levels { warn: None, stop: Some(stop), firm: None });
        let owner = Some(OwnerKind::Member);
        let rule = LimitRule { unit: HOUR, account: None, owner, below, above: None };
        let authority = self.state().identity()?.genesis;
        self.by_root(Payload::RuleSet(RuleSet { authority, rule: Rule::Limit(rule) }))
    }

    /// A payment to a member of a network with which there is an accord.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn pay(
        &mut self,
        from: AccountId,
        to: AccountId,
        network: &mut Self,
        minutes: i64,
    ) -> Result<ClaimId, Rejected> {
        self.pay_over(from, to, &[], network, minutes)
    }

    /// A payment through other networks, with each of which the one before has an accord.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn pay_over(
        &mut self,
        from: AccountId,
        to: AccountId,
        middles: &[LedgerId],
        network: &mut Self,
        minutes: i64,
    ) -> Result<ClaimId, Rejected> {
        let amount = Amount::new(minutes).expect("tests pay positive amounts");
        let commitment = Hash(self.draw("sidecar"));
        network.payees.insert(commitment, to);
        let payee_network = network.ledger();
        let hold = Hold { account: from, unit: HOUR, amount, payee_network, when_day: None };
        let op = self.op(Payload::Hold(hold), vec![commitment]);
        let signed = self.signed_for(&from, &op);
        let ledgers: Vec<LedgerId> =
            [self.ledger()].into_iter().chain(middles.iter().copied()).chain([payee_network]).collect();
        // Accords of tests have one unit pair and are in their first version.
        let hops = vec![(0, 1); ledgers.len().saturating_sub(1)];
        let route = Route::one_to_one(ledgers, &hops, amount);
        let expires_ms = self.now_ms.saturating_add(86_400_000);
        self.with_cx(|engine, cx| engine.pay(&signed, &route, expires_ms, cx)).map(|(_, claim)| claim)
    }

    /// An accord one to one in hours, signed by both root sets and in both streams. Both get the other's public
    /// stream first.
    pub fn accord(&mut self, other: &mut Self, limit: u64) {
        self.deliver_public(other);
        other.deliver_public(self);
        let pair = UnitPair {
            unit_a: HOUR,
            unit_b: HOUR,
            num: 1,
            den: 1,
            position: Side::A,
            limit_a: limit,
            limit_b: limit,
            foreign: None,
        };
        let accord = Accord {
            v: ACCORD_VERSION,
            version: 1,
            previous: None,
            a: self.ledger(),
            b: other.ledger(),
            pairs: vec![pair],
            statement_interval_ms: 86_400_000,
            default_expiry_ms: 86_400_000,
            relay: true,
            mirror: false,
            disputers: [1, 1],
        };
        let bytes = accord.to_bytes();
        let sign =
            |key: &SecretKey| RootSig { signer: key.public().signer(), sig: key.sign(ACCORD, &[&bytes]) };
        let args = AccordArgs {
            accord: Blob(bytes.clone()),
            sigs_a: vec![sign(&self.root())],
            sigs_b: vec![sign(&other.root())],
        };
        for network in [&mut *self, &mut *other] {
            let args = args.clone();
            network.with_cx(|engine, cx| engine.accord(args, cx)).expect("an accord by the rules");
        }
        self.settle(other);
    }

    /// Brings over what the other network does not have yet of our public stream.
    pub fn deliver_public(&mut self, to: &mut Self) {
        let from = to.engine.peers().public_next(&self.ledger());
        for entry in self.own() {
            if entry.body().stream.is_some_and(|header| header.id == PUBLIC_STREAM && header.sseq >= from) {
                to.engine.receive_public(entry.bytes()).expect("a public stream by the rules");
                to.records.extend(to.engine.take_batch().records);
            }
        }
    }

    /// Takes in bytes that somebody says are an entry of another network's channel with us.
    ///
    /// # Errors
    /// Why they are not taken in.
    pub fn take_in(&mut self, from: &LedgerId, bytes: &[u8]) -> Result<(), Refusal> {
        self.now_ms = self.now_ms.saturating_add(TICK_MS);
        self.with_cx(|engine, cx| engine.receive(from, bytes, cx))
    }

    /// Brings over at most `most` entries of our channel with the other network; gives how many.
    pub fn deliver(&mut self, to: &mut Self, most: usize) -> usize {
        let us = self.ledger();
        let Some((channel, _)) = self.state().channel_with(&to.ledger()) else { return 0 };
        let next = to.engine.peers().stream(&channel).map_or(0, |stream| stream.next);
        let entries = self.own().into_iter();
        let new = entries.filter(|e| e.body().stream.is_some_and(|h| h.id == channel && h.sseq >= next));
        let mut count: usize = 0;
        to.now_ms = to.now_ms.max(self.now_ms).saturating_add(TICK_MS);
        for entry in new.take(most) {
            let taken = to.with_cx(|engine, cx| engine.receive(&us, entry.bytes(), cx));
            if matches!(taken, Err(Refusal::Rejected(Rejected::ChannelClosed { .. }))) {
                break;
            }
            taken.expect("a channel by the rules");
            count = count.saturating_add(1);
        }
        let has = to.engine.peers().stream(&channel).map_or(0, |stream| stream.next);
        self.engine.acked(&channel, has);
        count
    }

    /// Exchanges both channels until nobody has anything to say.
    pub fn settle(&mut self, other: &mut Self) {
        while self.deliver(other, usize::MAX).max(other.deliver(self, usize::MAX)) > 0 {}
    }
}

fn secret(seed: u64, what: &str) -> SecretKey {
    SecretKey::from_seed(&draw(seed, what, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_test_networks_pay_each_other() {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member_with_key());
        hull.accord(&mut lansing, 1_000);
        hull.pay(ada, bob, &mut lansing, 60).unwrap();
        hull.settle(&mut lansing);
        assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-60, 60));
        let position = |n: &TestNetwork| {
            let (_, row) = n.state().channels.iter().next().unwrap();
            n.balance(&row.account)
        };
        assert_eq!((position(&hull), position(&lansing)), (60, -60));
    }
}
