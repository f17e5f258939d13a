//! Ledgers built in memory, audited whole, spoilt and with a changed history.

mod resets;
mod revoked;
mod rounds;

use super::*;
use crate::entry::{Body, Entry, Op, Payload};
use crate::ids::AccountId;
use crate::keys::SecretKey;
use crate::log::tile::{TileBuilder, TileKind};
use crate::log::tree::{Frontier, leaf_hash};
use crate::log::witness::{witness_key, witness_name};
use crate::testing::{HOUR, TestNetwork};
use std::collections::VecDeque;

/// A bundle in memory.
#[derive(Clone)]
struct Memory {
    checkpoint: Option<String>,
    own: Vec<Vec<u8>>,
    received: Vec<(LedgerId, Vec<u8>)>,
    tiles: BTreeMap<TilePath, Vec<u8>>,
    exact: bool,
}

struct Reading<'a>(&'a Memory, VecDeque<Item>);

impl Memory {
    fn of(network: &TestNetwork) -> Self {
        let own: Vec<Vec<u8>> = network.own().iter().map(|e| e.bytes().to_vec()).collect();
        let received = network.received().iter().map(|e| (e.body().ledger, e.bytes().to_vec())).collect();
        let mut memory = Self { checkpoint: None, own, received, tiles: BTreeMap::new(), exact: true };
        memory.seal(&network.ledger(), &network.log_key());
        memory
    }

    /// Tiles and a checkpoint that fit the entries.
    fn seal(&mut self, ledger: &LedgerId, key: &SecretKey) {
        let (mut builder, mut frontier) = (TileBuilder::new(), Frontier::default());
        for bytes in &self.own {
            builder.push(leaf_hash(bytes));
            frontier.push(leaf_hash(bytes));
        }
        self.tiles = builder.take_changed().into_iter().map(|tile| (tile.path, tile.content)).collect();
        let checkpoint = Checkpoint::new(&ledger.origin(), frontier.size(), frontier.root()).unwrap();
        self.checkpoint = Some(checkpoint.sign(key).to_string());
    }

    fn audit(&self, options: &Options) -> Audit {
        let file = || "file".into();
        let own =
            (0..).zip(&self.own).map(|(seq, bytes)| Item::Own { seq, bytes: bytes.clone(), file: file() });
        let received = self.received.iter();
        let received = received.map(|(from, bytes)| Item::Received {
            from: *from,
            place: None,
            bytes: bytes.clone(),
            file: file(),
        });
        replay(&mut Reading(self, own.chain(received).collect()), options, &mut |_| {})
    }
}

impl Source for Reading<'_> {
    fn is_exact(&self) -> bool {
        self.0.exact
    }
    fn checkpoint(&mut self) -> Result<Option<NamedBytes>, Finding> {
        let named = |text: &String| NamedBytes { file: "checkpoint".into(), bytes: text.as_bytes().to_vec() };
        Ok(self.0.checkpoint.as_ref().map(named))
    }
    fn next_item(&mut self) -> Option<Item> {
        self.1.pop_front()
    }
    fn hash_tiles(&mut self, level: u8, index: u64) -> Vec<(TilePath, Result<NamedBytes, Finding>)> {
        let wanted = |path: &TilePath| path.kind() == TileKind::Hashes(level) && path.index() == index;
        let named = |(path, bytes): (&TilePath, &Vec<u8>)| {
            (*path, Ok(NamedBytes { file: path.to_string(), bytes: bytes.clone() }))
        };
        self.0.tiles.iter().filter(|(path, _)| wanted(path)).map(named).collect()
    }
    fn finish(&mut self, _: Option<u64>) -> Vec<Finding> {
        Vec::new()
    }
}

/// Two networks with members, payments inside, and payments both ways.
fn two_networks() -> (TestNetwork, TestNetwork) {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, ben) = (hull.member(), hull.member_with_key());
    let (cyd, dan) = (lansing.member_with_key(), lansing.member());
    hull.limit_members(6_000).unwrap();
    hull.transfer(ada, ben, 30).unwrap();
    hull.accord(&mut lansing, 1_000);
    for minutes in 1..=10 {
        hull.transfer(ben, ada, minutes).unwrap();
        hull.pay(ada, cyd, &mut lansing, minutes * 10).unwrap();
        hull.settle(&mut lansing);
        lansing.pay(dan, ben, &mut hull, minutes).unwrap();
        hull.settle(&mut lansing);
    }
    (hull, lansing)
}

fn wrong(audit: &Audit) -> Vec<String> {
    let wrong = audit.report.findings.kept().iter().filter(|f| f.class.is_wrong());
    wrong.map(ToString::to_string).collect()
}

fn names(audit: &Audit, seq: u64) -> bool {
    let kept = audit.report.findings.kept().iter();
    kept.filter(|f| f.class.is_wrong()).any(|f| f.entries.contains(&EntryRef::Own(seq)))
}

/// The place of the n-th transfer.
fn transfer_place(network: &TestNetwork, n: usize) -> usize {
    let own = network.own();
    let transfers = own.iter().enumerate().filter(|(_, e)| matches!(e.op().payload, Payload::Transfer(_)));
    transfers.map(|(place, _)| place).nth(n).unwrap()
}

#[test]
fn a_right_ledger_has_nothing_wrong_and_its_figures_are_those_of_the_node() {
    let (hull, lansing) = two_networks();
    for (network, other) in [(&hull, &lansing), (&lansing, &hull)] {
        let audit = Memory::of(network).audit(&Options { threads: 2, ..Options::default() });
        assert_eq!(wrong(&audit), Vec::<String>::new());
        let report = &audit.report;
        assert_eq!(report.findings.kept(), []);
        assert_eq!(report.ledger, Some(network.ledger()));
        assert_eq!(report.checkpoint_size, Some(network.own().len() as u64));
        assert_eq!(report.state_digest, network.state().digest());
        assert_eq!(report.units[0].sum, 0);
        assert_eq!(report.peers[0].ledger, other.ledger());
        let balance = network.state().balances[&(report.peers[0].account, HOUR)];
        assert_eq!(report.peers[0].positions[0].balance, balance);
        assert!(report.peers[0].pinned_to.is_some());
        assert!(report.signatures.custody > 0 && report.signatures.own_key > 0);
    }
}

#[test]
fn two_ledgers_that_are_quiet_have_opposite_positions() {
    let (hull, lansing) = two_networks();
    let options = Options::default();
    let (a, b) = (Memory::of(&hull).audit(&options), Memory::of(&lansing).audit(&options));
    let comparison = compare(&a, &b);
    assert_eq!(comparison.findings.kept(), []);
    assert_eq!(comparison.claims, 20);
    let position = &comparison.positions[0];
    assert_eq!((position.a, position.b, position.in_flight), (550 - 55, -(550 - 55), 0));
}

#[test]
fn a_payment_through_a_middle_is_right_in_all_three_ledgers() {
    let [mut hull, mut mid, mut lansing] = [1, 2, 3].map(TestNetwork::new);
    let (ada, cyd) = (hull.member(), lansing.member());
    hull.accord(&mut mid, 1_000);
    mid.accord(&mut lansing, 50);
    let quiet = |hull: &mut TestNetwork, mid: &mut TestNetwork, lansing: &mut TestNetwork| {
        for _ in 0..8 {
            hull.settle(mid);
            mid.settle(lansing);
        }
    };
    // The last one does not fit the limit between the middle and the payee's network: it is turned down.
    for minutes in [30, 15, 10] {
        hull.pay_over(ada, cyd, &[mid.ledger()], &mut lansing, minutes).unwrap();
        quiet(&mut hull, &mut mid, &mut lansing);
    }
    assert_eq!((hull.balance(&ada), lansing.balance(&cyd)), (-45, 45));
    let audits = [&hull, &mid, &lansing].map(|network| Memory::of(network).audit(&Options::default()));
    for audit in &audits {
        assert_eq!(audit.report.findings.kept(), []);
    }
    for (a, b) in [(0, 1), (1, 2)] {
        let comparison = compare(&audits[a], &audits[b]);
        assert_eq!(comparison.findings.kept(), []);
        assert_eq!((comparison.positions[0].a, comparison.positions[0].b), (45, -45));
    }
    assert_eq!(compare(&audits[0], &audits[2]).findings.outcome(), Outcome::NotChecked);
}

#[test]
fn what_is_in_flight_is_listed_with_its_age_and_explains_the_positions() {
    let (mut hull, mut lansing) = two_networks();
    let accounts = |n: &TestNetwork| -> Vec<AccountId> {
        let member = |(id, row): (&AccountId, &crate::ledger::state::Account)| {
            (row.owner == crate::ledger::members::OwnerKind::Member).then_some(*id)
        };
        n.state().accounts.iter().filter_map(member).collect()
    };
    let (ada, cyd) = (accounts(&hull)[0], accounts(&lansing)[0]);
    hull.pay(ada, cyd, &mut lansing, 7).unwrap();
    let options = Options::default();
    let compared = |hull: &TestNetwork, lansing: &TestNetwork| {
        let (a, b) = (Memory::of(hull).audit(&options), Memory::of(lansing).audit(&options));
        assert_eq!((wrong(&a), wrong(&b)), (vec![], vec![]));
        compare(&a, &b)
    };
    // Proposed, accepted, done: one message at a time.
    for in_flight in [0, 0, 7] {
        let comparison = compared(&hull, &lansing);
        assert_eq!(comparison.findings.outcome(), Outcome::Right, "{:?}", comparison.findings);
        assert_eq!(comparison.positions[0].in_flight, in_flight);
        let flying = comparison.findings.kept().iter().find(|f| f.class == Class::InFlight).unwrap();
        assert!(flying.age_ms.is_some() && flying.what.contains(": 7 from"), "{flying}");
        if hull.deliver(&mut lansing, usize::MAX) == 0 {
            lansing.deliver(&mut hull, usize::MAX);
        }
    }
    hull.settle(&mut lansing);
    assert_eq!(compared(&hull, &lansing).findings.kept(), []);
}

#[test]
fn every_changed_bit_of_an_entry_is_found_and_the_entry_named() {
    let (hull, _) = two_networks();
    let right = Memory::of(&hull);
    let mut bit: usize = 17;
    for place in 0..right.own.len() {
        let mut spoilt = right.clone();
        bit = (bit * 31 + 7) % 100_003;
        let len = spoilt.own[place].len();
        spoilt.own[place][(bit / 8) % len] ^= 1 << (bit % 8);
        let audit = spoilt.audit(&Options::default());
        assert!(names(&audit, place as u64), "entry {place}: {:?}", wrong(&audit));
    }
}

#[test]
fn one_changed_entry_is_no_avalanche() {
    let (hull, _) = two_networks();
    let mut spoilt = Memory::of(&hull);
    let place = transfer_place(&hull, 3);
    let last = spoilt.own[place].len() - 1;
    spoilt.own[place][last] ^= 1;
    let found = wrong(&spoilt.audit(&Options::default()));
    // The signature, the chain, the tile and the root.
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn swapped_and_dropped_entries_are_named() {
    let (hull, _) = two_networks();
    let place = transfer_place(&hull, 2);
    let mut swapped = Memory::of(&hull);
    swapped.own.swap(place, place + 1);
    let audit = swapped.audit(&Options::default());
    assert!(names(&audit, place as u64) && names(&audit, place as u64 + 1));
    let mut dropped = Memory::of(&hull);
    dropped.own.remove(place);
    assert!(names(&dropped.audit(&Options::default()), place as u64));
    let mut short = Memory::of(&hull);
    short.own.pop();
    assert!(names(&short.audit(&Options::default()), short.own.len() as u64));
}

/// Changes the amount of a transfer and signs everything from there again, as a node could.
fn rewrite(network: &TestNetwork, place: usize) -> Memory {
    let mut memory = Memory::of(network);
    let mut prev = Hash::ZERO;
    let mut heads = BTreeMap::new();
    for (i, bytes) in memory.own.iter_mut().enumerate() {
        let entry = Entry::parse(bytes).unwrap();
        let mut body: Body = entry.body().clone();
        if i == place {
            let Payload::Transfer(mut transfer) = entry.op().payload.clone() else { panic!("a transfer") };
            transfer.postings.iter_mut().for_each(|posting| posting.delta *= 2);
            let op = Op { payload: Payload::Transfer(transfer), ..entry.op().clone() };
            let signed = crate::entry::SignedOp::unsigned(&op);
            let how = crate::entry::How::Custody;
            let signed = signed.signed(&network.ledger(), &network.desk(), crate::entry::Role::Member, how);
            (body.op, body.auth) = (signed.op, signed.auth);
        }
        if i > place {
            body.prev = prev;
            if let Some(header) = &mut body.stream {
                header.sprev = heads.get(&header.id).copied().unwrap_or(Hash::ZERO);
            }
        }
        let again = if i >= place { Entry::sign(&body, &network.log_key()).unwrap() } else { entry };
        prev = again.leaf();
        again.body().stream.map(|header| heads.insert(header.id, prev));
        *bytes = again.bytes().to_vec();
    }
    memory.seal(&network.ledger(), &network.log_key());
    memory
}

#[test]
fn a_rewritten_history_is_found_by_an_earlier_checkpoint_or_a_peer_and_by_nothing_else() {
    // The story: a node doubles an old payment of a member in its custody and signs everything again.
    let mut hull = TestNetwork::new(3);
    let (ada, ben) = (hull.member(), hull.member());
    hull.transfer(ada, ben, 30).unwrap();
    hull.transfer(ada, ben, 5).unwrap();
    let place = transfer_place(&hull, 0);
    let kept = hull.checkpoint(hull.own().len());
    hull.transfer(ben, ada, 1).unwrap();
    let rewritten = rewrite(&hull, place);
    let alone = rewritten.audit(&Options::default());
    assert_eq!(wrong(&alone), Vec::<String>::new());
    let note = &alone.report.findings.kept()[0];
    assert!(note.class == Class::NotChecked && note.what.contains("cannot be excluded"), "{note}");
    let earlier = Some(NamedBytes { file: "kept".into(), bytes: kept.into_bytes() });
    let options = Options { earlier, ..Options::default() };
    let found = wrong(&rewritten.audit(&options));
    assert!(found.iter().any(|text| text.contains("history was changed")), "{found:?}");
    assert_eq!(Memory::of(&hull).audit(&options).report.findings.kept(), []);
}

#[test]
fn a_peers_folder_shows_a_rewritten_history() {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, ben, cyd) = (hull.member(), hull.member(), lansing.member());
    hull.transfer(ada, ben, 30).unwrap();
    hull.accord(&mut lansing, 1_000);
    let place = transfer_place(&hull, 0);
    let mut rewritten = rewrite(&hull, place);
    lansing.pay(cyd, ada, &mut hull, 10).unwrap();
    lansing.deliver(&mut hull, usize::MAX);
    // Lansing's proposal acknowledges the accord as it stood, and with it everything before it.
    rewritten.received = Memory::of(&hull).received;
    let audit = rewritten.audit(&Options::default());
    let found = audit.report.findings.kept().iter().find(|f| f.class == Class::Equivocation).unwrap();
    assert!(found.what.contains("rewritten"), "{found}");
    assert_eq!(found.entries[0], EntryRef::Own(rewritten.own.len() as u64 - 1));
}

#[test]
fn a_peers_entry_that_is_missing_or_changed_is_found() {
    let (hull, _) = two_networks();
    let right = Memory::of(&hull);
    for place in 0..right.received.len() {
        let mut spoilt = right.clone();
        let at = spoilt.received[place].1.len() / 2;
        spoilt.received[place].1[at] ^= 4;
        assert_ne!(wrong(&spoilt.audit(&Options::default())), Vec::<String>::new(), "changed {place}");
        let mut dropped = right.clone();
        dropped.received.remove(place);
        // Nothing rests on the last entry of its public stream: nobody can tell that it was there.
        if place != 1 {
            assert_ne!(wrong(&dropped.audit(&Options::default())), Vec::<String>::new(), "dropped {place}");
        }
    }
}

#[test]
fn a_wrong_tile_and_another_ledger_are_found() {
    let (hull, lansing) = two_networks();
    let right = Memory::of(&hull);
    let mut tile = right.clone();
    tile.tiles.values_mut().next().unwrap()[32 * 5] ^= 1;
    let audit = tile.audit(&Options::default());
    assert!(names(&audit, 5) && wrong(&audit)[0].contains("[tile/0/000.p/"), "{:?}", wrong(&audit));
    let mut other = right.clone();
    other.checkpoint = Memory::of(&lansing).checkpoint;
    assert!(!wrong(&other.audit(&Options::default())).is_empty());
    let options = Options { ledger: Some(lansing.ledger()), ..Options::default() };
    assert!(wrong(&right.audit(&options))[0].contains("asked for"));
}

#[test]
fn entries_beyond_the_checkpoint_are_said_in_a_store_and_wrong_in_a_bundle() {
    let (hull, _) = two_networks();
    let mut memory = Memory::of(&hull);
    memory.checkpoint = Some(hull.checkpoint(10));
    assert!(!wrong(&memory.audit(&Options::default())).is_empty());
    memory.exact = false;
    let audit = memory.audit(&Options::default());
    assert_eq!(audit.report.findings.outcome(), Outcome::Right);
    let said =
        audit.report.findings.kept().iter().any(|f| f.what.contains("not covered by the checkpoint yet"));
    assert!(said);
}

#[test]
fn a_receipt_proves_an_entry_and_no_other() {
    let (hull, _) = two_networks();
    let memory = Memory::of(&hull);
    let note = memory.checkpoint.as_ref().unwrap().as_bytes();
    let leaf = leaf_hash(&memory.own[4]);
    let load = |path: &TilePath| memory.tiles.get(path).cloned();
    let receipt = prove(note, 4, &leaf, load).unwrap();
    let again = Receipt::parse(receipt.to_string().as_bytes()).unwrap();
    let (origin, key) = (hull.ledger().origin(), hull.log_key().public());
    assert!(again.verify(&leaf, &origin, &key).is_ok());
    assert!(again.verify(&leaf_hash(&memory.own[5]), &origin, &key).is_err());
    assert!(matches!(prove(note, 5, &leaf, load), Err(ProveError::Tiles { .. })));
    assert!(matches!(prove(note, 9_999, &leaf, load), Err(ProveError::Build { .. })));
}

/// The checkpoint of a memory with cosignatures of these networks added.
fn cosigned(memory: &Memory, by: &[&TestNetwork]) -> Memory {
    let mut note = Note::parse(memory.checkpoint.as_ref().unwrap().as_bytes()).unwrap();
    for network in by {
        let name = witness_name(&network.ledger().origin()).unwrap();
        note.cosign(&name, &network.witness_key(), 1_800_000_000).unwrap();
    }
    Memory { checkpoint: Some(note.to_string()), ..memory.clone() }
}

fn words(audit: &Audit) -> &str {
    &audit.report.witnessed.as_ref().unwrap().words
}

#[test]
fn a_peers_cosignature_is_verified_and_told_to_be_the_counterpartys() {
    let (hull, lansing) = two_networks();
    let right = Memory::of(&hull);
    assert_eq!(words(&right.audit(&Options::default())), "witnessed by nobody whose key is known here");
    let audit = cosigned(&right, &[&lansing]).audit(&Options::default());
    assert_eq!(audit.report.findings.kept(), []);
    assert_eq!(words(&audit), "witnessed only by its counterparty; no policy was given");
}

#[test]
fn a_line_of_a_stranger_is_told_and_a_wrong_line_of_a_peer_is_an_error() {
    let (hull, lansing) = two_networks();
    let right = Memory::of(&hull);
    let stranger = cosigned(&right, &[&TestNetwork::new(7)]).audit(&Options::default());
    assert_eq!(wrong(&stranger), Vec::<String>::new());
    let told = &stranger.report.findings.kept()[0];
    assert!(told.class == Class::NotChecked && told.what.contains("not known here"), "{told}");
    let good = cosigned(&right, &[&lansing]).checkpoint.unwrap();
    let line = good.lines().last().unwrap();
    let (name, payload) = line.rsplit_once(' ').unwrap();
    let spoilt = |at: usize| {
        let mut bytes = data_encoding::BASE64.decode(payload.as_bytes()).unwrap();
        bytes[at] ^= 1;
        let line = format!("{name} {}", data_encoding::BASE64.encode(&bytes));
        let checkpoint = Some(good.replace(good.lines().last().unwrap(), &line));
        wrong(&Memory { checkpoint, ..right.clone() }.audit(&Options::default()))
    };
    for at in [0, 3, 4, 11, 12, 75] {
        let found = spoilt(at);
        assert!(found.len() == 1 && found[0].contains("[checkpoint]"), "byte {at}: {found:?}");
    }
}

#[test]
fn a_policy_that_is_not_met_is_an_error() {
    let (hull, lansing) = two_networks();
    let right = Memory::of(&hull);
    let key_of = |network: &TestNetwork| witness_key(&network.ledger(), &network.witness_key().public());
    let outsider = TestNetwork::new(7);
    let policy = Policy::of_witnesses([key_of(&lansing), key_of(&outsider)], 2);
    let options = Options { policy: Some(policy), ..Options::default() };
    let both = cosigned(&right, &[&lansing, &outsider]).audit(&options);
    assert_eq!(wrong(&both), Vec::<String>::new());
    assert_eq!(words(&both), "witnessed by 2 of 2: enough for the policy");
    let one = wrong(&cosigned(&right, &[&outsider]).audit(&options));
    assert!(one.len() == 1 && one[0].contains("witnessed by 1 of 2: too few for the policy"), "{one:?}");
    let elsewhere = Checkpoint::log_key("example.com/log", &hull.log_key().public()).unwrap();
    let policy = Policy::parse(format!("log {elsewhere}\nquorum none\n").as_bytes()).unwrap();
    let options = Options { policy: Some(policy), ..Options::default() };
    assert!(wrong(&right.audit(&options))[0].contains("no log of the policy"));
}
