//! Networks that are no peers: how much of what they say is kept, and where they are reached.

mod quota;

pub use quota::{Brought, Quotas};
