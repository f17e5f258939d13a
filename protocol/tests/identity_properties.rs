//! Random key events, right and wrong, against a small model that knows seeds and no bytes; and the stranger who sees
//! only the public entries. The model is written from specs/kinds.md §1 and shares no code with what it is compared with.

#[path = "support/ledger_kit.rs"]
mod kit;

use kit::{ROOT, Sign, World, key, replay};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::entry::{Entry, How, Payload, Role};
use weft_protocol::ids::KeyBytes;
use weft_protocol::ledger::identity::{
    Identity, KeyBound, KeyRevoked, LastGood, Purpose, RootChanged, RootSet, is_public,
};

const PURPOSES: [Purpose; 6] =
    [Purpose::Log, Purpose::Witness, Purpose::Seal, Purpose::Libp2p, Purpose::Desk, Purpose::Recovery];

/// A root set by threshold and the seeds of its keys.
type Set = (u8, BTreeSet<u8>);

#[derive(Debug, Clone)]
enum Act {
    Bind { purpose: usize, ahead: u32, pick: u8 },
    Revoke { purpose: usize, epoch: u32, replacement: Option<u8>, size: u64 },
    Roots { set: Set, next: Option<Set>, signers: BTreeSet<u8> },
}

fn set() -> impl Strategy<Value = Set> {
    (1_u8..4, prop::collection::btree_set(1_u8..5, 1..4))
}

fn act() -> impl Strategy<Value = Act> {
    let signers = prop::collection::btree_set(1_u8..5, 1..5);
    prop_oneof![
        3 => (0_usize..6, prop::sample::select(vec![0_u32, 0, 0, 1]), 0_u8..10)
            .prop_map(|(purpose, ahead, pick)| Act::Bind { purpose, ahead, pick }),
        3 => (0_usize..6, 0_u32..3, prop::option::of(0_u8..10), 0_u64..40)
            .prop_map(|(purpose, epoch, replacement, size)| Act::Revoke { purpose, epoch, replacement, size }),
        3 => (set(), prop::option::weighted(0.4, set()), signers)
            .prop_map(|(set, next, signers)| Act::Roots { set, next, signers }),
    ]
}

struct Model {
    keys: BTreeMap<usize, Vec<u8>>,
    revoked: BTreeSet<(usize, usize)>,
    root: Set,
    committed: Option<Set>,
    ever_root: BTreeSet<u8>,
}

impl Model {
    fn new() -> Self {
        let keys = (0..5).map(|purpose| (purpose, vec![10 + purpose as u8])).collect();
        let root = (1, BTreeSet::from([1]));
        Self { keys, revoked: BTreeSet::new(), root, committed: None, ever_root: BTreeSet::from([1]) }
    }

    fn count(&self, purpose: usize) -> usize {
        self.keys.get(&purpose).map_or(0, Vec::len)
    }

    fn is_new(&self, seed: u8) -> bool {
        !self.keys.values().flatten().any(|used| *used == seed) && !self.ever_root.contains(&seed)
    }

    fn in_force(&self, purpose: usize, epoch: usize) -> bool {
        epoch + 1 == self.count(purpose) && !self.revoked.contains(&(purpose, epoch))
    }
}

fn seed_of(purpose: usize, pick: u8) -> u8 {
    // The author of the kit holds 50 to 59 as log keys.
    if purpose == 0 { 50 + pick } else { 60 + pick }
}

fn public(seed: u8) -> KeyBytes {
    key(seed).public().bytes()
}

fn root_set((threshold, seeds): &Set) -> RootSet {
    let mut keys: Vec<_> = seeds.iter().map(|seed| public(*seed)).collect();
    keys.sort();
    RootSet { threshold: *threshold, keys }
}

fn by(seeds: &BTreeSet<u8>) -> Vec<Sign> {
    seeds.iter().map(|seed| (*seed, Role::Root, How::OwnKey)).collect()
}

fn offer(world: &mut World, payload: Payload, signs: &[Sign], expected: bool) -> Result<(), TestCaseError> {
    let before = world.state.digest();
    match world.attempt(payload, signs) {
        Ok(_) => prop_assert!(expected, "accepted, the model refuses"),
        Err(refused) => {
            prop_assert!(!expected, "refused ({refused}), the model accepts");
            prop_assert_eq!(world.state.digest(), before);
        }
    }
    Ok(())
}

fn run(world: &mut World, model: &mut Model, act: &Act) -> Result<(), TestCaseError> {
    let roots = by(&model.root.1);
    let genesis = world.genesis_leaf();
    match act.clone() {
        Act::Bind { purpose, ahead, pick } => {
            let seed = seed_of(purpose, pick);
            let epoch = model.count(purpose) as u32 + ahead;
            let bound = KeyBound { purpose: PURPOSES[purpose], epoch, key: public(seed) };
            let expected = ahead == 0 && model.is_new(seed);
            offer(world, Payload::KeyBound(bound), &roots, expected)?;
            if expected {
                model.keys.entry(purpose).or_default().push(seed);
            }
        }
        Act::Revoke { purpose, epoch, replacement, size } => {
            let seed = replacement.map(|pick| seed_of(purpose, pick));
            let place = epoch as usize;
            let last_good = LastGood { size, root: genesis };
            let revoked =
                KeyRevoked { purpose: PURPOSES[purpose], epoch, last_good, replacement: seed.map(public) };
            let known = place < model.count(purpose) && !model.revoked.contains(&(purpose, place));
            let fits = match (seed, model.in_force(purpose, place)) {
                (None, true) => purpose == 5,
                (None, false) => true,
                (Some(seed), true) => model.is_new(seed),
                (Some(_), false) => false,
            };
            let expected = known && fits && (1..=world.state.head.next_seq).contains(&size);
            offer(world, Payload::KeyRevoked(revoked), &roots, expected)?;
            if expected {
                model.revoked.insert((purpose, place));
                model.keys.entry(purpose).or_default().extend(seed);
            }
        }
        Act::Roots { set, next, signers } => {
            let changed = RootChanged {
                root: root_set(&set),
                next_root: next.as_ref().map(|next| root_set(next).digest()),
            };
            let known = signers.iter().all(|seed| model.root.1.contains(seed) || set.1.contains(seed));
            let quorum = |of: &Set| signers.intersection(&of.1).count() >= usize::from(of.0);
            let meets = usize::from(set.0) <= set.1.len();
            let committed = model.committed.as_ref().is_none_or(|committed| *committed == set);
            let changes = model.root != set || model.committed != next;
            let expected = known && quorum(&model.root) && quorum(&set) && meets && committed && changes;
            offer(world, Payload::RootChanged(changed), &by(&signers), expected)?;
            if expected {
                model.ever_root.extend(&set.1);
                (model.root, model.committed) = (set, next);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn key_events_are_accepted_as_the_model_says_and_a_stranger_sees_the_same(
        acts in prop::collection::vec(act(), 1..40)
    ) {
        let mut world = World::new();
        prop_assert_eq!(ROOT.0, 1);
        let mut model = Model::new();
        for act in &acts {
            run(&mut world, &mut model, act)?;
        }
        let public: Vec<&Entry> = world.entries.iter().filter(|entry| is_public(entry.kind())).collect();
        let strangers = Identity::from_entries(public).expect("accepted entries make an identity");
        prop_assert_eq!(&strangers, world.state.identity().expect("there is a genesis"));
        for entry in &world.entries {
            prop_assert!(strangers.in_force_at(entry.body().epoch, entry.body().seq));
        }
        prop_assert_eq!(replay(&world.entries).digest(), world.state.digest());
    }
}
