//! The rules under arbitrary operations: an input is a list of operations of any kind, by any signers, offered to a
//! ledger that has members, units, limits and a peer.
//!
//! Whatever is offered: no panic; each unit sums to zero after each accepted entry; a refused one changes nothing; the
//! entries replayed give the same state; and the state reads back from its canonical form.

use crate::seeds::{self, START_MS, Signers};
use weft_protocol::encoding::{Blob, check_shape};
use weft_protocol::entry::{Entry, How, Kind, Op, Role, SignedOp};
use weft_protocol::ids::Salt;
use weft_protocol::ledger::state::State;
use weft_protocol::ledger::{apply as rules, verify_signatures};

/// Operations of one input that are looked at.
const MAX_OPERATIONS: usize = 24;

/// One operation as it stands in an input: who signs, what kind, how much time passes, how long its payload is.
const HEAD: usize = 6;

pub(crate) fn apply(input: &[u8]) {
    let _: usize = accepted(input);
}

/// The same, and how many operations were accepted.
pub fn accepted(input: &[u8]) -> usize {
    let (mut state, author, signers) = seeds::ledger();
    let before = state.clone();
    let mut entries: Vec<Entry> = Vec::new();
    let mut now_ms = START_MS.saturating_add(1_000_000);
    let mut rest = input;
    for number in 0..MAX_OPERATIONS {
        let Some((head, after)) = rest.split_first_chunk::<HEAD>() else { break };
        let len = usize::from(u16::from_be_bytes([head[4], head[5]])).min(after.len());
        let (payload, after) = after.split_at(len);
        rest = after;
        now_ms = now_ms.saturating_add(u64::from(head[3]) * 3_600_000);
        let Some(signed) = operation(head, payload, number, now_ms, &signers, &state) else { continue };
        let digest = state.digest();
        match author.write(&mut state, &signed, now_ms, Salt([u8::try_from(number).unwrap_or(0); 16])) {
            Ok(written) => {
                assert!(state.sums().values().all(|sum| *sum == 0), "a unit does not sum to zero");
                entries.push(written.entry);
            }
            Err(_) => assert_eq!(state.digest(), digest, "a refused operation changed something"),
        }
    }
    replayed(before, &entries, &state);
    entries.len()
}

/// The operation that the bytes describe, signed by whom they say; `None` when it is no operation of that kind.
fn operation(
    head: &[u8; HEAD],
    payload: &[u8],
    number: usize,
    now_ms: u64,
    signers: &Signers,
    state: &State,
) -> Option<SignedOp> {
    let code = u16::from_be_bytes([head[1], head[2]]);
    let kind = Kind::from_code(code)?;
    check_shape(payload).ok()?;
    let mut bytes = vec![0xa3, 0x00, 0x50];
    bytes.extend_from_slice(&[u8::try_from(number).ok()?; 16]);
    bytes.extend_from_slice(&[0x01, 0x1b]);
    bytes.extend_from_slice(&now_ms.saturating_add(3_600_000).to_be_bytes());
    bytes.push(0x02);
    bytes.extend_from_slice(payload);
    Op::parse(kind, &bytes).ok()?;
    let mut signed = SignedOp { kind: code, op: Blob(bytes), auth: Vec::new() };
    let ledger = state.ledger().expect("it was founded");
    let by = [
        (0x01, &signers.root, Role::Root, How::OwnKey),
        (0x02, &signers.desk, Role::Coordinator, How::Custody),
        (0x04, &signers.desk, Role::Member, How::Custody),
        (0x08, &signers.member, Role::Member, How::OwnKey),
        (0x10, &signers.coordinator, Role::Coordinator, How::OwnKey),
    ];
    for (bit, key, role, how) in by {
        if head[0] & bit != 0 {
            signed = signed.signed(&ledger, key, role, how);
        }
    }
    Some(signed)
}

fn replayed(mut state: State, entries: &[Entry], after: &State) {
    for entry in entries {
        let read = Entry::parse(entry.bytes()).expect("what was written parses");
        verify_signatures(&state, &read).expect("what was accepted is signed");
        let transition = rules(&state, &read).expect("what was accepted is accepted again");
        state.commit(&transition);
    }
    assert_eq!(state.digest(), after.digest(), "a replay gives another state");
    let read = State::from_canonical(&after.to_canonical()).expect("a state of ours reads back");
    assert_eq!(read.digest(), after.digest());
}
