//! What hostile bytes must never do, as functions from bytes to nothing: they panic when a rule is broken.
//!
//! A coverage-guided engine drives them for hours (`libfuzzer/`, README there); the saved inputs of `corpus/` and
//! seeded changes of them are replayed by `tests/replay.rs` with every test run. Each target holds two promises at least:
//! no input panics, and what is taken in is written out again as the same bytes.

pub mod apply;
mod bytes;
pub mod corpus;
mod gate;
pub mod peer;
pub mod seeds;
mod texts;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order in which they are run. Each has a program of the same name under
/// `libfuzzer/fuzz_targets/`.
pub const TARGETS: [Target; 8] = [
    ("encoding", gate::encoding),
    ("messages", gate::messages),
    ("entries", bytes::entries),
    ("records", bytes::records),
    ("sealed", bytes::sealed),
    ("texts", texts::texts),
    ("apply", apply::apply),
    ("peer", peer::peer),
];

/// Runs a target by its name.
///
/// # Panics
/// When the input breaks a rule, or there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of the list");
    body(input);
}

/// The first byte, which chooses, and the rest.
fn choice(input: &[u8]) -> Option<(usize, &[u8])> {
    input.split_first().map(|(first, rest)| (usize::from(*first), rest))
}
