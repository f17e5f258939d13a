//! The network layer over real loopback TCP, with ports chosen by the system.

mod abuse;
mod connections;
mod kit;
mod requests;
