//! Keys over time: what a stranger makes of the public entries is what the ledger itself holds, and each entry is
//! judged by the key of its place.

#[path = "support/ledger_kit.rs"]
mod kit;

use kit::*;
use weft_protocol::entry::{Entry, How, Payload, Role};
use weft_protocol::ids::{Hash, KeyBytes};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::identity::propose::{bind, change_roots, quorums, revoke};
use weft_protocol::ledger::identity::{
    Genesis, Identity, LastGood, Predecessor, Purpose, RootSet, is_public,
};
use weft_protocol::ledger::{Rejected, State, apply, author::Author, verify_signatures};

fn public(seed: u8) -> KeyBytes {
    key(seed).public().bytes()
}

const fn root(seed: u8) -> Sign {
    (seed, Role::Root, How::OwnKey)
}

fn set(threshold: u8, seeds: &[u8]) -> RootSet {
    let mut keys: Vec<_> = seeds.iter().map(|seed| public(*seed)).collect();
    keys.sort();
    RootSet { threshold, keys }
}

fn last_good(world: &World) -> LastGood {
    LastGood { size: 1, root: world.genesis_leaf() }
}

fn identity(world: &World) -> &Identity {
    world.state.identity().expect("there is a genesis")
}

/// A ledger whose keys have all changed in all ways, and payments between.
fn eventful() -> World {
    let mut world = World::new();
    world.open(1, true);
    world.open(2, true);
    let rotate = bind(identity(&world), Purpose::Log, public(50)).expect("it follows the rules");
    world.must(rotate, &[ROOT]);
    world.must(pay(1, 2, HOUR, 5), &[own(1)]);
    let next = set(2, &[2, 3, 4]);
    let commit =
        change_roots(identity(&world), set(1, &[1]), Some(next.digest())).expect("it follows the rules");
    world.must(commit, &[ROOT]);
    let seq = world.state.head.next_seq;
    let stolen = revoke(identity(&world), Purpose::Log, 1, last_good(&world), Some(public(51)), seq)
        .expect("it follows the rules");
    world.must(stolen, &[ROOT]);
    world.must(pay(1, 2, HOUR, 7), &[own(1)]);
    let change =
        change_roots(identity(&world), next, Some(set(1, &[5]).digest())).expect("it follows the rules");
    world.must(change, &[ROOT, root(2), root(4)]);
    world.must(unit(weft_protocol::ids::UnitId(7), "bead"), &[root(3), root(4)]);
    world.must(
        bind(identity(&world), Purpose::Recovery, public(52)).expect("it follows the rules"),
        &[root(2), root(3)],
    );
    world
}

fn public_entries(world: &World) -> Vec<&Entry> {
    world.entries.iter().filter(|entry| is_public(entry.kind())).collect()
}

#[test]
fn a_stranger_builds_the_same_identity_from_the_public_entries_alone() {
    let world = eventful();
    let strangers = Identity::from_entries(public_entries(&world)).unwrap();
    assert_eq!(&strangers, identity(&world));
    assert_eq!(replay(&world.entries).digest(), world.state.digest());
}

#[test]
fn a_state_read_back_from_its_snapshot_is_the_same_and_goes_on() {
    let mut world = eventful();
    let again = State::from_canonical(&world.state.to_canonical()).unwrap();
    assert_eq!(again, world.state);
    world.state = again;
    world.must(pay(1, 2, HOUR, 1), &[own(1)]);
}

#[test]
fn each_entry_is_judged_by_the_key_of_its_place() {
    let world = eventful();
    let identity = identity(&world);
    for entry in &world.entries {
        let body = entry.body();
        assert!(identity.in_force_at(body.epoch, body.seq), "entry {}", body.seq);
        let key = identity.log_key_at(body.epoch, body.seq).unwrap();
        key.verify_message(&entry.node_message(), entry.node_sig()).unwrap();
        let others = (0..3).filter(|epoch| *epoch != body.epoch);
        assert!(others.into_iter().all(|epoch| identity.log_key_at(epoch, body.seq).is_err()));
    }
    assert!(identity.log_key_at(3, 0).is_err());
}

#[test]
fn every_prefix_of_the_public_entries_is_an_identity_and_none_that_others_rest_on_may_be_left_out() {
    let world = eventful();
    let entries = public_entries(&world);
    for skip in 1..entries.len() {
        Identity::from_entries(entries[..skip].iter().copied()).unwrap();
        let without = entries.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, entry)| *entry);
        // What nothing after it rests on cannot be missed here; places and sprev in the public stream show it.
        let harmless = match &entries[skip].op().payload {
            Payload::KeyBound(bound) => bound.purpose != Purpose::Log,
            Payload::KeyRevoked(revoked) => revoked.purpose != Purpose::Log,
            Payload::RootChanged(changed) => changed.root == set(1, &[1]),
            _ => true,
        };
        assert_eq!(Identity::from_entries(without).is_ok(), harmless, "without {skip}");
    }
}

#[test]
fn a_stolen_log_key_is_replaced_without_it() {
    let mut world = World::new();
    world.open(1, true);
    let seq = world.state.head.next_seq;
    let payload =
        revoke(identity(&world), Purpose::Log, 0, last_good(&world), Some(public(50)), seq).unwrap();
    let op = world.op(payload, vec![]);
    let signed = world.sign(&op, &[ROOT]);
    // The first log key is lost: this node holds only the new one.
    let author = Author::new(key(50), START_MS);
    let salt = weft_protocol::ids::Salt([1; 16]);
    let written = author.write(&mut world.state, &signed, START_MS, salt).unwrap();
    assert_eq!(written.entry.body().epoch, 1);
    let old = Author::new(key(10), START_MS);
    let op = world.op(opened(2, weft_protocol::ledger::members::OwnerKind::Member, None), vec![]);
    let signed = world.sign(&op, &[ROOT]);
    let refused = old.write(&mut world.state, &signed, START_MS, salt).unwrap_err();
    assert_eq!(refused, Rejected::LogKeyMissing);
    author.write(&mut world.state, &signed, START_MS, salt).unwrap();
}

#[test]
fn the_thief_of_a_revoked_log_key_writes_nothing_that_follows() {
    let world = eventful();
    let last = world.entries.last().unwrap();
    let forge = |epoch: u32, signer: &SecretKey| {
        let mut body = last.body().clone();
        body.epoch = epoch;
        let entry = Entry::sign(&body, signer).unwrap();
        let before = replay(&world.entries[..world.entries.len() - 1]);
        apply(&before, &entry)?;
        verify_signatures(&before, &entry)
    };
    assert_eq!(forge(1, &key(50)), Err(Rejected::UnknownEpoch { epoch: 1 }));
    assert!(matches!(forge(2, &key(50)), Err(Rejected::Signature(_))));
    assert_eq!(forge(2, &key(51)), Ok(()));
}

#[test]
fn the_rest_of_a_root_set_replaces_it_when_a_minority_is_lost() {
    let mut world = World::empty();
    let next = set(2, &[1, 2, 4]);
    let genesis = Genesis { root: set(2, &[1, 2, 3]), next_root: Some(next.digest()), ..genesis() };
    world.must(Payload::Genesis(genesis), &[root(1), root(2), root(3)]);
    // 3 is lost. 1 and 2 are a quorum of both sets.
    let change = change_roots(identity(&world), next, None).unwrap();
    let op = world.op(change, vec![]);
    let signed = world.sign(&op, &[root(1)]);
    let lacking = quorums(identity(&world), &signed).unwrap();
    assert!(!lacking.are_met() && lacking.root.have == 1 && lacking.root.need == 2);
    let signed = world.sign(&op, &[root(1), root(2)]);
    assert!(quorums(identity(&world), &signed).unwrap().are_met());
    world.submit(&signed).unwrap();
    assert_eq!(identity(&world).root, set(2, &[1, 2, 4]));
    assert_eq!(identity(&world).root_at(0), &set(2, &[1, 2, 3]));
    assert_eq!(identity(&world).root_at(2), &set(2, &[1, 2, 4]));
}

#[test]
fn after_the_loss_of_a_majority_a_new_ledger_names_the_old() {
    let old = eventful();
    let last = LastGood { size: old.state.head.next_seq, root: Hash([3; 32]) };
    let predecessor = Predecessor { ledger: old.ledger(), last_good: last };
    let mut world = World::empty();
    let entry =
        world.must(Payload::Genesis(Genesis { predecessor: Some(predecessor), ..genesis() }), &[ROOT]).entry;
    let Payload::Genesis(read) = &entry.op().payload else { panic!("a genesis") };
    assert_eq!(read.predecessor, Some(predecessor));
    assert_ne!(world.ledger(), old.ledger());
    // It is another ledger: nothing signed for the old one counts in it.
    let error = Identity::from_entries([&entry, old.entries.get(3).unwrap()]).unwrap_err();
    assert!(matches!(error, Rejected::LedgerMismatch { .. }));
}
