//! Every whole-system test, in one program: dozens of programs that each link the whole of Weft again fill a disk.
//!
//! A module is a story; `cargo test -p weft-tests --test system restore::` tells one. The stories share nothing but the
//! machine: each binds ports of its own, works in a temporary folder of its own and changes nothing of the process.

mod backup;
mod bad_frames;
mod bad_requests;
mod bundle;
mod ceremony;
mod circuits;
mod citations;
mod corruptions;
mod demo;
mod dispute;
mod erasure;
mod exchange;
mod exports;
mod faults;
mod federation;
mod flips;
mod hops;
mod hostile;
mod housekeeping;
mod index;
mod keys;
mod keystore;
mod kills;
mod letters;
mod liars;
mod migration;
mod model;
mod netting;
mod powerloss;
mod predecessor;
mod privacy;
mod prune;
mod public_vectors;
mod quic;
mod reach;
mod reset;
mod restore;
mod rotation;
mod round;
mod sample;
mod simulator;
mod split;
mod statements;
mod vectors;
mod verifier;
mod witness;
mod worked_example;
