//! A ledger whose keys change in every way, and identity entries that it refuses.

use super::entries::refused::{case, next};
use super::entries::unit;
use super::kit::{Book, Sign, genesis, hex, key};
use serde_json::{Value, json};
use weft_protocol::entry::{Entry, How, Payload, Role};
use weft_protocol::ids::{Hash, KeyBytes, LedgerId, UnitId};
use weft_protocol::ledger::identity::{
    Genesis, KeyBound, KeyRevoked, LastGood, Predecessor, Purpose, RootChanged, RootSet,
};
use weft_protocol::ledger::units::UnitKind;
use weft_protocol::log::tree::Frontier;

const fn root(seed: u8) -> Sign {
    (seed, Role::Root, How::OwnKey)
}
/// Of the first set, 1 to 3, two sign.
const FIRST: [Sign; 2] = [root(1), root(2)];
/// Of the second set, 2 to 4, two sign; with 2 and 3 these are a quorum of both.
const BOTH: [Sign; 2] = [root(2), root(3)];

fn public(seed: u8) -> KeyBytes {
    key(seed).public().bytes()
}

fn set(threshold: u8, seeds: &[u8]) -> RootSet {
    let mut keys: Vec<_> = seeds.iter().map(|seed| public(*seed)).collect();
    keys.sort();
    RootSet { threshold, keys }
}

fn second() -> RootSet {
    set(2, &[2, 3, 4])
}

fn third() -> RootSet {
    set(1, &[5])
}

fn start() -> Genesis {
    let predecessor = Predecessor {
        ledger: LedgerId([0xab; 32]),
        last_good: LastGood { size: 1_234, root: Hash([0xcd; 32]) },
    };
    let next_root = Some(second().digest());
    Genesis { next_root, predecessor: Some(predecessor), ..genesis(&[1, 2, 3], 2, 10) }
}

fn bound(purpose: Purpose, epoch: u32, key: KeyBytes) -> Payload {
    Payload::KeyBound(KeyBound { purpose, epoch, key })
}

/// The tree over the first entries of a book.
fn good(book: &Book, size: usize) -> LastGood {
    let mut tree = Frontier::default();
    for bytes in &book.entries[..size] {
        tree.push(Entry::parse(bytes).expect("our own entry").leaf());
    }
    LastGood { size: size as u64, root: tree.root() }
}

fn revoked(book: &Book, purpose: Purpose, epoch: u32, replacement: Option<KeyBytes>) -> Payload {
    let last_good = good(book, 1);
    Payload::KeyRevoked(KeyRevoked { purpose, epoch, last_good, replacement })
}

fn changed(root: RootSet, next: Option<RootSet>) -> Payload {
    Payload::RootChanged(RootChanged { root, next_root: next.map(|set| set.digest()) })
}

fn first_part() -> Book {
    let mut book = Book::new(10);
    let genesis = Payload::Genesis(start());
    book.write(
        "genesis, which names an older ledger and commits to the next root set",
        genesis,
        vec![],
        &FIRST,
    );
    let recovery = bound(Purpose::Recovery, 0, KeyBytes([0x33; 32]));
    book.write("a recovery key, which no genesis binds", recovery, vec![], &FIRST);
    let desk = bound(Purpose::Desk, 1, public(30));
    book.write("another desk key", desk, vec![], &FIRST);
    let log = bound(Purpose::Log, 1, public(15));
    book.write("another log key, signed under the old one", log, vec![], &FIRST);
    book.log_seed = 15;
    book
}

fn second_part(book: &mut Book) {
    let last_good = good(book, 3);
    let replacement = Some(public(16));
    let stolen = KeyRevoked { purpose: Purpose::Log, epoch: 1, last_good, replacement };
    let about = "the log key in force revoked, signed under its replacement";
    book.write(about, Payload::KeyRevoked(stolen), vec![], &FIRST);
    book.log_seed = 16;
    let payload = revoked(book, Purpose::Desk, 0, None);
    book.write("the desk key that is not in force any more revoked", payload, vec![], &FIRST);
    let payload = revoked(book, Purpose::Recovery, 0, None);
    book.write("the recovery key revoked, with none in its place", payload, vec![], &FIRST);
    let change = changed(second(), Some(third()));
    book.write("the root set that the genesis committed to", change, vec![], &BOTH);
    let bead = unit(UnitId(3), "bead", UnitKind::Thing, 0);
    book.write("a unit, by the new root set", bead, vec![], &[root(3), root(4)]);
    let recovery = bound(Purpose::Recovery, 1, KeyBytes([0x34; 32]));
    book.write("a recovery key again, of the next epoch", recovery, vec![], &BOTH);
}

fn refused_first(book: &Book) -> Vec<Value> {
    let by = |payload: Payload, signs: &[Sign]| next(book, payload, vec![], signs, |_| {});
    let revoke = |change: &dyn Fn(&mut KeyRevoked)| {
        let replacement = Some(public(31));
        let mut payload =
            KeyRevoked { purpose: Purpose::Desk, epoch: 1, last_good: good(book, 1), replacement };
        change(&mut payload);
        by(Payload::KeyRevoked(payload), &FIRST)
    };
    // Signed as an honest node does, under the replacement, but by the key that is revoked.
    let by_thief = {
        let payload = revoked(book, Purpose::Log, 1, Some(public(16)));
        by(payload, &FIRST)
    };
    let old_epoch = {
        let payload = revoked(book, Purpose::Log, 1, Some(public(16)));
        next(book, payload, vec![], &FIRST, |body| body.epoch = 1)
    };
    let set_of_three = |signs: &[Sign]| by(changed(second(), Some(third())), signs);
    let public_header = by(bound(Purpose::Desk, 2, public(31)), &FIRST);
    assert!(Entry::parse(&public_header).is_ok_and(|entry| entry.body().stream.is_some()));
    let no_stream = {
        let payload = revoked(book, Purpose::Desk, 0, None);
        next(book, payload, vec![], &FIRST, |body| body.stream = None)
    };
    let too_many: Vec<Sign> = (1..=31).map(root).collect();
    vec![
        case(
            book,
            "a recovery key of an epoch too high",
            by(bound(Purpose::Recovery, 2, KeyBytes([9; 32])), &FIRST),
        ),
        case(book, "a recovery key of zeros", by(bound(Purpose::Recovery, 1, KeyBytes([0; 32])), &FIRST)),
        case(book, "a revocation of a key that was never bound", revoke(&|r| r.epoch = 2)),
        case(book, "a last good checkpoint of no entries", revoke(&|r| r.last_good.size = 0)),
        case(book, "a last good checkpoint beyond the ledger", revoke(&|r| r.last_good.size = 5)),
        case(
            book,
            "a last good checkpoint over another genesis",
            revoke(&|r| r.last_good.root = Hash([1; 32])),
        ),
        case(book, "the desk key in force without another", revoke(&|r| r.replacement = None)),
        case(book, "a replacement for a key that is not in force", revoke(&|r| r.epoch = 0)),
        case(book, "a replacement that was bound before", revoke(&|r| r.replacement = Some(public(14)))),
        case(book, "a replacement that is a root key", revoke(&|r| r.replacement = Some(public(3)))),
        case(book, "a replacement that is no point", revoke(&|r| r.replacement = Some(KeyBytes([0xff; 32])))),
        case(
            book,
            "a revocation by one root key of two",
            by(revoked(book, Purpose::Desk, 0, None), &FIRST[..1]),
        ),
        case(book, "a revocation outside the public stream", no_stream),
        case(book, "the log key revoked under the key that is revoked", by_thief),
        case(book, "the log key revoked in the epoch that is revoked", old_epoch),
        case(book, "another root set than was committed to", by(changed(set(2, &[2, 3]), None), &BOTH)),
        case(book, "the committed keys with another threshold", by(changed(set(1, &[2, 3, 4]), None), &BOTH)),
        case(book, "the new root set alone", set_of_three(&[root(3), root(4)])),
        case(book, "the old root set with one of the new", set_of_three(&FIRST)),
        case(book, "a root signer of neither set", set_of_three(&[root(2), root(3), root(5)])),
        case(book, "a root signer twice", set_of_three(&[root(2), root(3), root(3)])),
        case(book, "more signatures than two root sets have", set_of_three(&too_many)),
    ]
}

fn refused_last(book: &Book) -> Vec<Value> {
    let by = |payload: Payload, signs: &[Sign]| next(book, payload, vec![], signs, |_| {});
    vec![
        case(book, "a key revoked again", by(revoked(book, Purpose::Log, 1, None), &BOTH)),
        case(
            book,
            "a former root key under an operation",
            by(bound(Purpose::Witness, 1, public(40)), &FIRST),
        ),
        case(book, "a former root key bound", by(bound(Purpose::Witness, 1, public(1)), &BOTH)),
        case(
            book,
            "the root set that was replaced",
            by(changed(set(2, &[1, 2, 3]), None), &[root(1), root(2), root(3)]),
        ),
        case(
            book,
            "the epoch that was revoked",
            next(book, bound(Purpose::Witness, 1, public(40)), vec![], &BOTH, |body| body.epoch = 1),
        ),
    ]
}

pub(super) fn vectors() -> Value {
    let mut book = first_part();
    let mut invalid = refused_first(&book);
    second_part(&mut book);
    invalid.extend(refused_last(&book));
    let empty = Book::new(10);
    let six = {
        let mut payload = start();
        payload.keys.push(weft_protocol::ledger::identity::PurposeKey {
            purpose: Purpose::Recovery,
            key: KeyBytes([0x33; 32]),
        });
        next(&empty, Payload::Genesis(payload), vec![], &FIRST, |_| {})
    };
    invalid.insert(0, case(&empty, "a genesis that binds a recovery key", six));
    let roots = [set(2, &[1, 2, 3]), second(), third()].map(|set| {
        json!({ "hex": hex(weft_protocol::encoding::encode(&set)), "digest": set.digest().to_string() })
    });
    json!({
        "about": "specs/kinds.md §1: keys bound, rotated and revoked, and root sets; `digest` is the state's after the entry. \
                  An invalid entry stands after the first `after` entries",
        "ledger": book.ledger().to_string(),
        "entries": book.cases,
        "state": hex(book.state.to_canonical()),
        "invalid": invalid,
        "root_sets": roots,
    })
}
