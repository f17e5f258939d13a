//! Networks finding each other: descriptors and invitations (specs/network.md §4, §5).

pub mod descriptor;
pub mod invite;
