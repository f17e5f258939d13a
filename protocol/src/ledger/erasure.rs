//! Area 15, erasure: that everything personal about an account's holder was destroyed (specs/kinds.md §15).
//!
//! The entry holds nothing personal itself: it says whose pseudonym is nobody's any more, and why. From then on the
//! account is closed whatever stands on it: what it owes or is owed stays in the books under a name without a person.

use super::Rejected;
use super::authority::Authority;
use super::members::{OwnerKind, retire_keys};
use super::state::{Change, State};
use crate::ids::AccountId;
use minicbor::{Decode, Encode};

/// Why somebody was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ErasureReason {
    /// They asked for it.
    #[n(0)]
    Asked,
    /// They left, and the time for which the network keeps records is over.
    #[n(1)]
    Retention,
    /// A court or an authority ordered it.
    #[n(2)]
    Ordered,
}

/// Payload: a holder erased.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Erasure {
    /// Whose account it was.
    #[n(0)]
    pub account: AccountId,
    /// Why.
    #[n(1)]
    pub reason: ErasureReason,
}

/// What the state remembers of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ErasureRow {
    /// Place of the entry.
    #[n(0)]
    pub seq: u64,
    /// Why.
    #[n(1)]
    pub reason: ErasureReason,
}

pub(super) fn apply_erasure(
    state: &State,
    auth: &Authority,
    erasure: &Erasure,
    seq: u64,
) -> Result<Vec<Change>, Rejected> {
    auth.office_or_roots(state)?;
    let id = erasure.account;
    let mut account = state.accounts.get(&id).ok_or(Rejected::UnknownAccount { account: id })?.clone();
    if matches!(account.owner, OwnerKind::Peer | OwnerKind::Own) {
        return Err(Rejected::OwnerKind { owner: account.owner });
    }
    if state.erased.contains_key(&id) {
        return Err(Rejected::NothingToDo);
    }
    if state.holds.values().any(|hold| hold.account == id) {
        return Err(Rejected::HoldsOpen { account: id });
    }
    let mut changes = Vec::new();
    if !account.closed {
        account.closed = true;
        changes.extend(retire_keys(state, &account));
        changes.push(Change::Account(id, account));
    }
    changes.push(Change::Erased(id, ErasureRow { seq, reason: erasure.reason }));
    Ok(changes)
}
