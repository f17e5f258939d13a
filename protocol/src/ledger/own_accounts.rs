//! The network's own accounts; their ids are derived, so every ledger has the same ones (specs/ledger.md §2).

use crate::ids::{AccountId, Hash, LedgerId};

/// Names of the own accounts, in the order of the specification.
pub const NAMES: [&str; 6] = ["hold", "incoming", "transit", "exchange", "rounding", "disputed"];

/// The id of an own account.
pub fn id(name: &str) -> AccountId {
    AccountId(Hash::of("WEFT-ACCOUNT/1\n", &[name.as_bytes()]).prefix())
}

/// Value set aside by payers for payments to other networks.
pub fn hold() -> AccountId {
    id("hold")
}
/// Value credited to payees that peers still have to settle.
pub fn incoming() -> AccountId {
    id("incoming")
}
/// Value on its way through this network.
pub fn transit() -> AccountId {
    id("transit")
}

/// Value about which people have to find out: what was lost with its hold in a succession.
pub fn disputed() -> AccountId {
    id("disputed")
}

/// What was owed between networks and has moved outside, or was forgiven. The first settlement opens it.
pub fn settlement() -> AccountId {
    id("settlement")
}

/// What was netted between networks, until both directions of it are booked. The first APPLY opens it.
pub fn netting() -> AccountId {
    id("netting")
}

/// The account that a ledger keeps for a peer: the same id on both sides (specs/clearing.md §2).
pub fn peer(one: &LedgerId, other: &LedgerId) -> AccountId {
    let (low, high) = (one.min(other), one.max(other));
    AccountId(Hash::of("WEFT-PEER/1\n", &[low.as_bytes(), high.as_bytes()]).prefix())
}
