//! Networks finding each other: descriptors and invitations (specs/network.md §4, §5, §11, §12).

pub mod descriptor;
pub mod invite;
pub mod route;
pub mod sync;
