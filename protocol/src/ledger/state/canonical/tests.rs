//! States written, read back, and spoilt.

use super::*;
use crate::ids::OpId;
use crate::ledger;
use crate::testing::{HOUR, TestNetwork};

/// A ledger with keys, limits, an accord, payments both ways, and an open hold.
fn network() -> TestNetwork {
    let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
    let (ada, ben, cyd) = (hull.member(), hull.member_with_key(), lansing.member_with_key());
    hull.limit_members(600).unwrap();
    hull.accord(&mut lansing, 1_000);
    hull.transfer(ada, ben, 30).unwrap();
    hull.pay(ada, cyd, &mut lansing, 60).unwrap();
    hull.settle(&mut lansing);
    lansing.pay(cyd, ben, &mut hull, 5).unwrap();
    hull.settle(&mut lansing);
    hull.pay(ben, cyd, &mut lansing, 7).unwrap();
    hull
}

fn read(state: &State) -> Result<State, StateError> {
    State::from_canonical(&state.to_canonical())
}

#[test]
fn a_state_read_back_is_the_same_state_with_the_same_digest() {
    let state = network().state().clone();
    let bytes = state.to_canonical();
    let again = State::from_digest(&bytes, &state.digest()).unwrap();
    assert_eq!(again, state);
    assert_eq!(again.digest(), Hash::of(DIGEST, &[&bytes]));
    assert_eq!(read(&State::default()), Ok(State::default()));
}

#[test]
fn the_rules_go_on_from_a_state_read_back_as_from_the_one_replayed() {
    let mut network = network();
    let (ada, ben) = (network.member(), network.member());
    let mut from_bytes = read(network.state()).unwrap();
    let before = network.own().len();
    network.transfer(ada, ben, 3).unwrap();
    // Sixty days on, what was remembered until then is forgotten by both.
    network.now_ms += 61 * 86_400_000;
    network.transfer(ben, ada, 2).unwrap();
    for entry in &network.own()[before..] {
        let transition = ledger::apply(&from_bytes, entry).unwrap();
        from_bytes.commit(&transition);
    }
    assert_eq!(&from_bytes, network.state());
    assert_eq!(from_bytes.transfers.len(), 1);
}

#[test]
fn every_other_encoding_of_a_state_is_refused() {
    let bytes = network().state().to_canonical();
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(State::from_canonical(&longer), Err(StateError::NotCanonical { at: bytes.len() }));
    assert!(matches!(State::from_canonical(&bytes[..bytes.len() - 1]), Err(StateError::Structure(_))));
    // A map of one field more, which no reader of ours knows.
    let mut unknown = bytes.clone();
    unknown[0] += 1;
    unknown.extend([0x18, 0x63, 0x00]);
    assert!(State::from_canonical(&unknown).is_err());
    let expected = Hash([7; 32]);
    let got = Hash::of(DIGEST, &[&bytes]);
    assert_eq!(State::from_digest(&bytes, &expected), Err(StateError::Digest { expected, got }));
}

#[test]
fn no_flipped_bit_gives_the_same_digest_and_none_is_read_as_another_form_of_the_state() {
    let state = network().state().clone();
    let bytes = state.to_canonical();
    for at in 0..bytes.len() {
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1 << (at % 8);
        assert!(matches!(State::from_digest(&spoilt, &state.digest()), Err(StateError::Digest { .. })));
        if let Ok(other) = State::from_canonical(&spoilt) {
            assert_eq!(other.to_canonical(), spoilt, "byte {at}");
            assert_ne!(other, state, "byte {at}");
        }
    }
}

#[test]
fn a_state_that_no_ledger_can_have_is_refused() {
    let good = network().state().clone();
    let (account, _) = *good.balances.first_key_value().unwrap().0;
    let mut state = good.clone();
    *state.balances.get_mut(&(account, HOUR)).unwrap() += 1;
    assert_eq!(read(&state), Err(StateError::Sum { unit: HOUR, sum: 1 }));
    let mut state = good.clone();
    state.balances.insert((AccountId([9; 16]), HOUR), 0);
    assert_eq!(read(&state), Err(StateError::Balance { account: AccountId([9; 16]), unit: HOUR }));
    let mut state = good.clone();
    state.balances.insert((account, UnitId(9)), 0);
    assert_eq!(read(&state), Err(StateError::Balance { account, unit: UnitId(9) }));
    let mut state = good.clone();
    state.head.next_seq = 0;
    assert_eq!(read(&state), Err(StateError::Genesis { entries: 0, genesis: true }));
    let mut state = good.clone();
    state.accounts.remove(&own_accounts::id("hold"));
    assert_eq!(read(&state), Err(StateError::OwnAccount { name: "hold" }));
    let (signer, row) = good.signers.first_key_value().map(|(signer, row)| (*signer, row.clone())).unwrap();
    let mut state = good.clone();
    state.signers.insert(Signer([1; 8]), row.clone());
    assert!(matches!(read(&state), Err(StateError::Signer { .. })));
    let mut state = good.clone();
    state.signers.insert(signer, super::super::SignerRow { account: AccountId([9; 16]), ..row });
    assert!(matches!(read(&state), Err(StateError::Signer { .. })));
    let mut state = good.clone();
    state.identity.as_mut().unwrap().root.threshold = 9;
    assert!(matches!(read(&state), Err(StateError::Identity(_))));
    let mut state = good.clone();
    let log = &mut state.identity.as_mut().unwrap().keys;
    log.get_mut(&crate::ledger::identity::Purpose::Log).unwrap()[0] = crate::ids::KeyBytes::ZERO;
    assert!(matches!(read(&state), Err(StateError::Identity(_))));
    let mut state = good;
    state.ops.insert((signer, OpId([1; 16])), 1);
    assert!(read(&state).is_ok());
}
