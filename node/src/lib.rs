//! The node of a community network: one signed ledger, settlement with other networks over libp2p, and the
//! services that its members and operators use.

pub mod backup;
pub mod clearing;
pub mod clock;
pub mod config;
pub mod data;
pub mod demo;
pub mod federation;
pub mod http;
pub mod keystore;
pub mod mailbox;
mod mirror;
pub mod network;
pub mod node;
pub mod recovery;
pub mod service;
pub mod store;
pub mod upkeep;
mod witness;
