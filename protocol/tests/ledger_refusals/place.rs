//! Genesis, place, chain, time, boot, stream.

use super::*;

#[test]
fn nothing_stands_before_a_genesis() {
    assert_eq!(World::empty().refusal(pay(1, 2, HOUR, 1), &[own(1)]), "no-genesis");
}

#[test]
fn a_genesis_stands_first_and_alone() {
    let mut world = world();
    let ledger = world.ledger();
    let forged = world.forge(Payload::Genesis(genesis()), &[ROOT], |b| b.ledger = ledger);
    assert_eq!(forged.unwrap_err().code(), "genesis-place");
}

#[test]
fn a_genesis_binds_each_purpose_once_and_in_order() {
    assert_eq!(started(|g| g.keys.truncate(4)), "genesis-keys");
    assert_eq!(started(|g| g.keys.swap(0, 1)), "genesis-keys");
    assert_eq!(started(|g| g.keys[1] = g.keys[0]), "genesis-keys");
}

#[test]
fn a_genesis_gives_its_ledger_the_id_that_follows_from_it() {
    let forged = World::empty().forge(Payload::Genesis(genesis()), &[ROOT], |b| b.ledger = LedgerId([1; 32]));
    assert_eq!(forged.unwrap_err().code(), "ledger-mismatch");
}

#[test]
fn an_entry_belongs_to_this_ledger() {
    assert_eq!(forged(|b| b.ledger = LedgerId([1; 32])), "ledger-mismatch");
}

#[test]
fn places_have_no_gaps_and_no_doubles() {
    assert_eq!(forged(|b| b.seq += 1), "seq");
    assert_eq!(forged(|b| b.seq -= 1), "seq");
    assert_eq!(forged(|b| b.seq = u64::MAX), "seq");
}

#[test]
fn an_entry_names_the_one_before_it() {
    assert_eq!(forged(|b| b.prev = Hash::ZERO), "prev");
}

#[test]
fn time_and_boot_never_go_back() {
    assert_eq!(forged(|b| b.time_ms -= 1), "time-back");
    assert_eq!(forged(|b| b.boot -= 1), "boot-back");
}

#[test]
fn an_entry_is_of_the_epoch_in_force() {
    assert_eq!(forged(|b| b.epoch = 1), "unknown-epoch");
}

#[test]
fn only_public_kinds_stand_in_the_public_stream_and_always() {
    let header = StreamHeader { id: PUBLIC_STREAM, sseq: 3, sprev: Hash::ZERO };
    assert_eq!(forged(|b| b.stream = Some(header)), "stream-header");
    let unit = |change: fn(&mut Body)| {
        world().forge(unit(weft_protocol::ids::UnitId(5), "meal"), &[ROOT], change).unwrap_err().code()
    };
    assert_eq!(unit(|b| b.stream = None), "stream-header");
    assert_eq!(unit(|b| b.stream = b.stream.map(|h| StreamHeader { sseq: h.sseq + 1, ..h })), "stream-place");
    assert_eq!(
        unit(|b| b.stream = b.stream.map(|h| StreamHeader { sprev: Hash::ZERO, ..h })),
        "stream-place"
    );
}
