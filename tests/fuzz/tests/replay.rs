//! The saved inputs of every target, right inputs, and seeded changes of both: what an engine once found is never lost, and
//! each test run tries something of its own kind of luck, the same each time.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::fs;
use std::path::Path;
use weft_fuzz::corpus::unpacked;
use weft_fuzz::seeds::right_inputs;
use weft_fuzz::{TARGETS, Target};

/// Changed inputs of a target: about a minute for all targets together, in a development build on two cores.
const fn changed(target: &[u8]) -> u32 {
    match target {
        b"apply" | b"peer" => 4_000,
        b"records" => 8_000,
        _ => 60_000,
    }
}
/// Longest input after a change.
const MAX_INPUT_BYTES: usize = 64 * 1024;

fn saved(target: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let inputs = unpacked(&bytes).unwrap_or_else(|| panic!("{} is cut short", path.display()));
    assert!(!inputs.is_empty(), "{} holds nothing", path.display());
    inputs
}

fn below(dice: &mut ChaCha8Rng, end: usize) -> usize {
    usize::try_from(dice.next_u64() % u64::try_from(end.max(1)).expect("small")).expect("small")
}

/// One to eight small changes: a bit, a byte, a piece cut out, doubled, or taken from another input.
fn change(input: &mut Vec<u8>, inputs: &[Vec<u8>], dice: &mut ChaCha8Rng) {
    for _ in 0..=below(dice, 8) {
        let at = below(dice, input.len());
        let to = (at + 1 + below(dice, 32)).min(input.len());
        match below(dice, 6) {
            0 if at < input.len() => input[at] ^= 1 << below(dice, 8),
            1 if at < input.len() => input[at] = u8::try_from(below(dice, 256)).expect("a byte"),
            2 if at < to => drop(input.drain(at..to)),
            3 if at < to => {
                let piece = input[at..to].to_vec();
                input.splice(at..at, piece);
            }
            4 => input.insert(at.min(input.len()), [0x00, 0x18, 0x7f, 0x80, 0xff][below(dice, 5)]),
            _ => {
                let other = &inputs[below(dice, inputs.len())];
                let from = below(dice, other.len());
                let piece = other[from..(from + 1 + below(dice, 200)).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
        }
    }
    input.truncate(MAX_INPUT_BYTES);
}

fn replay((name, run): Target) {
    let mut inputs = saved(name);
    inputs.extend(right_inputs(name));
    inputs.push(Vec::new());
    inputs.iter().for_each(|input| run(input));
    let mut dice = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..changed(name.as_bytes()) {
        let mut input = inputs[below(&mut dice, inputs.len())].clone();
        change(&mut input, &inputs, &mut dice);
        run(&input);
    }
}

fn target(name: &str) -> Target {
    *TARGETS.iter().find(|(found, _)| *found == name).expect("a target of the list")
}

macro_rules! replays {
    ($($test:ident $name:literal,)*) => {
        $(#[test]
        fn $test() {
            replay(target($name));
        })*

        #[test]
        fn every_target_is_replayed_here_and_has_a_program() {
            assert_eq!(TARGETS.map(|(name, _)| name), [$($name),*]);
            let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
            for (name, _) in TARGETS {
                let program = fs::read_to_string(programs.join(format!("{name}.rs"))).expect(name);
                assert!(program.contains(&format!("\"{name}\"")), "{name}");
            }
        }
    };
}

/// A target that refused everything would find nothing.
#[test]
fn right_inputs_get_through() {
    let most = |target: &str, count: fn(&[u8]) -> usize| right_inputs(target).iter().map(|i| count(i)).max();
    // The hold needs a sidecar, which no operation of an input has.
    assert_eq!(most("apply", weft_fuzz::apply::accepted), Some(5));
    let taken = |number: usize| weft_fuzz::peer::taken_in(&right_inputs("peer")[number]);
    assert!(taken(0) >= 1);
    // Every form of step is received; those that break a rule have no effect.
    assert_eq!(taken(1), 9);
}

replays! {
    encodings_hold "encoding",
    messages_hold "messages",
    entries_hold "entries",
    records_hold "records",
    envelopes_hold "sealed",
    texts_hold "texts",
    the_rules_hold_under_any_operations "apply",
    an_honest_network_holds_under_any_peer "peer",
}
