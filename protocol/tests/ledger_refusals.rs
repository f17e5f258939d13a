//! Every refusal that a ledger's own entries can meet, one sentence each. The codes are those of specs/ledger.md §7.

#[path = "ledger_refusals/authority.rs"]
mod authority;
#[path = "ledger_refusals/form.rs"]
mod form;
#[path = "ledger_refusals/keys.rs"]
mod keys;
#[path = "support/ledger_kit.rs"]
mod kit;
#[path = "ledger_refusals/members_and_units.rs"]
mod members_and_units;
#[path = "ledger_refusals/operations.rs"]
mod operations;
#[path = "ledger_refusals/place.rs"]
mod place;
#[path = "ledger_refusals/rules_and_limits.rs"]
mod rules_and_limits;
#[path = "ledger_refusals/transfers.rs"]
mod transfers;

use kit::*;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, Entry, How, Payload, Role, SignedOp, StreamHeader};
use weft_protocol::ids::{AccountId, Hash, KeyBytes, LedgerId, PUBLIC_STREAM, Signer};
use weft_protocol::ledger::identity::{
    Genesis, KeyBound, KeyRevoked, LastGood, Purpose, RootChanged, RootSet,
};
use weft_protocol::ledger::members::{AccountChanged, AccountClosed, OwnerKind};
use weft_protocol::ledger::rules::{Levels, LimitRule, Rule, RuleSet};
use weft_protocol::ledger::transfer::{Credit, End, Hold, Release, Reversal, Transfer, move_value};
use weft_protocol::ledger::units::UnitDefined;
use weft_protocol::ledger::{Notice, own_accounts};

/// 1 has a key and is coordinator, 2 has a key, 3 has none.
fn world() -> World {
    let mut world = World::new();
    world.coordinator(1);
    world.open(2, true);
    world.open(3, false);
    world
}

fn refused(payload: Payload, signs: &[Sign]) -> String {
    world().refusal(payload, signs)
}

fn forged(change: impl FnOnce(&mut Body)) -> String {
    world().forge(pay(2, 3, HOUR, 1), &[own(2)], change).expect_err("it keeps the rules").code()
}

fn started(change: impl FnOnce(&mut Genesis)) -> String {
    let mut payload = genesis();
    change(&mut payload);
    World::empty().refusal(Payload::Genesis(payload), &[ROOT])
}

fn changed(add: Option<KeyBytes>, remove: Option<Signer>, anchor: Option<bool>) -> Payload {
    Payload::AccountChanged(AccountChanged { account: account(2), add_key: add, remove_key: remove, anchor })
}

fn closed(n: u8) -> Payload {
    Payload::AccountClosed(AccountClosed { account: account(n) })
}

fn bound(purpose: Purpose, epoch: u32, key: KeyBytes) -> Payload {
    Payload::KeyBound(KeyBound { purpose, epoch, key })
}

/// A revocation that stands by the genesis alone.
fn revoked(world: &World, purpose: Purpose, epoch: u32, replacement: Option<u8>) -> KeyRevoked {
    let last_good = LastGood { size: 1, root: world.genesis_leaf() };
    KeyRevoked { purpose, epoch, last_good, replacement: replacement.map(public) }
}

/// Why a revocation is refused that is changed before it is signed.
fn refused_revocation(change: impl FnOnce(&mut KeyRevoked)) -> String {
    let mut world = world();
    let mut payload = revoked(&world, Purpose::Desk, 0, Some(60));
    change(&mut payload);
    world.refusal(Payload::KeyRevoked(payload), &[ROOT])
}

fn root_set(threshold: u8, seeds: &[u8]) -> RootSet {
    let mut keys: Vec<_> = seeds.iter().map(|seed| public(*seed)).collect();
    keys.sort();
    RootSet { threshold, keys }
}

fn roots(threshold: u8, seeds: &[u8], next: Option<&RootSet>) -> Payload {
    Payload::RootChanged(RootChanged {
        root: root_set(threshold, seeds),
        next_root: next.map(RootSet::digest),
    })
}

const fn root(seed: u8) -> Sign {
    (seed, Role::Root, How::OwnKey)
}

fn public(seed: u8) -> KeyBytes {
    key(seed).public().bytes()
}

fn rule(world: &World, change: impl FnOnce(&mut LimitRule)) -> Payload {
    let mut rule = LimitRule { unit: HOUR, account: Some(account(2)), owner: None, below: None, above: None };
    change(&mut rule);
    Payload::RuleSet(RuleSet { authority: world.genesis_leaf(), rule: Rule::Limit(rule) })
}

fn refused_rule(change: impl FnOnce(&mut LimitRule)) -> String {
    let mut world = world();
    let payload = rule(&world, change);
    world.refusal(payload, &[ROOT])
}

fn reversal(seq: u64, lines: &[(u8, u16, i64)]) -> Payload {
    Payload::Reversal(Reversal { seq, postings: postings(lines) })
}

/// A world in which 2 has paid 3 ten, and the place of that.
fn paid() -> (World, u64) {
    let mut world = world();
    let seq = world.must(pay(2, 3, HOUR, 10), &[own(2)]).entry.body().seq;
    (world, seq)
}
