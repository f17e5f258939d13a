//! Clearing between networks: accords, channels, claims (specs/clearing.md).
//!
//! Everything a network says to a peer is a line of its own ledger, on the channel's stream. What follows from
//! what the peer has said is decided here, as a pure function; [`engine`] joins it with our own ledger.

pub mod accord;
pub mod apply;
pub mod convict;
pub mod dispute;
pub mod engine;
pub mod guard;
pub mod intent;
pub mod leg;
pub mod levels;
pub mod offer;
mod pay;
pub mod peers;
mod quarantine;
pub mod rate;
mod react;
pub mod replay;
pub mod reset;
#[cfg(test)]
pub(crate) mod reset_tests;
pub mod resetting;
pub mod restart;
#[cfg(test)]
mod rotation_tests;
#[cfg(test)]
mod round_hold_tests;
#[cfg(test)]
mod round_liar_tests;
#[cfg(test)]
pub(crate) mod round_tests;
mod routes;
pub mod settle;
#[cfg(test)]
mod settle_tests;
pub mod statement;
pub mod stating;
pub mod step;
pub mod weak;
pub mod writeoff;
