//! The node of a community network: one signed ledger, settlement with other networks over
//! libp2p, and the services that its members and operators use.

pub mod network;
