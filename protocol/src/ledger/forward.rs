//! Area 16, forward: where the books stand, so that older entries may go (specs/kinds.md §16).
//!
//! A forward commits to the whole state before it. Whoever has that state, and a checkpoint that covers the forward,
//! can judge everything after it without anything before it: the state is checked against the digest, and the entry
//! against the tree.

use super::Rejected;
use super::authority::Authority;
use super::state::{Change, State};
use crate::ids::Hash;
use minicbor::{Decode, Encode};

/// Payload: the books as they stand before this entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Forward {
    /// Digest of the state before this entry (specs/ledger.md §5).
    #[n(0)]
    pub state: Hash,
}

pub(super) fn apply_forward(
    state: &State,
    auth: &Authority,
    forward: &Forward,
) -> Result<Vec<Change>, Rejected> {
    auth.office_or_roots(state)?;
    let expected = state.digest();
    if forward.state != expected {
        return Err(Rejected::ForwardState { expected, got: forward.state });
    }
    Ok(Vec::new())
}
