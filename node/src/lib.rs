//! `weftd`: the node of a community network.

pub mod store;
