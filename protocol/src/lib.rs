//! The rules of Weft, and nothing else.
//!
//! Everything here is a pure function of its arguments: no files, no sockets, no clock, no global randomness.
//! The node, the command line and the auditor all decide with this crate, so they cannot disagree.
//! The normative text is in `specs/`; items cite its clauses.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod amount;
pub mod audit;
pub mod base;
pub mod ceremony;
pub mod clearing;
pub mod encoding;
pub mod entry;
pub mod evidence;
pub mod federation;
pub mod ids;
pub mod keys;
pub mod ledger;
pub mod letter;
pub mod log;
pub mod mirror;
pub mod netting;
pub mod record;
pub mod seal;
pub mod sidecar;
#[cfg(any(test, feature = "simulator"))]
pub mod testing;
pub mod time;
pub mod wire;
pub mod words;
