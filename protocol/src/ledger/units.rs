//! Area 3, units: what is counted (specs/kinds.md §3).

use super::Rejected;
use super::authority::Authority;
use super::state::{Change, State};
use crate::ids::UnitId;
use minicbor::{Decode, Encode};

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum UnitKind {
    /// Time; the minor unit is a minute.
    #[n(0)]
    Time,
    /// Credit with a price.
    #[n(1)]
    Credit,
    /// Money kept in a pool.
    #[n(2)]
    Money,
    /// One thing; supply 1.
    #[n(3)]
    Thing,
}

/// Payload: a unit of this ledger. Its definition is public, because accords name it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct UnitDefined {
    /// Its number in this ledger.
    #[n(0)]
    pub unit: UnitId,
    /// A short code, such as `hour`: 1 to 16 of a-z, 0-9 and `-`.
    #[n(1)]
    pub code: String,
    /// The name people read.
    #[n(2)]
    pub name: String,
    /// What it measures.
    #[n(3)]
    pub kind: UnitKind,
    /// Decimals between the minor unit and the unit people write; 0 for time, which is written in minutes.
    #[n(4)]
    pub scale: u8,
}

/// Longest code.
pub const MAX_CODE_BYTES: usize = 16;
/// Longest name.
pub const MAX_NAME_BYTES: usize = 64;
/// Most decimals: more than any currency has.
pub const MAX_SCALE: u8 = 6;

pub(super) fn apply_defined(
    state: &State,
    auth: &Authority,
    defined: &UnitDefined,
) -> Result<Vec<Change>, Rejected> {
    auth.roots(state)?;
    let code_ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if defined.code.is_empty() || defined.code.len() > MAX_CODE_BYTES || !defined.code.bytes().all(code_ok) {
        return Err(Rejected::UnitCode { code: defined.code.clone() });
    }
    if defined.name.is_empty() || defined.name.len() > MAX_NAME_BYTES {
        return Err(Rejected::NameLength { got: defined.name.len(), max: MAX_NAME_BYTES });
    }
    if defined.scale > MAX_SCALE {
        return Err(Rejected::UnitScale { got: defined.scale, max: MAX_SCALE });
    }
    let taken =
        state.units.contains_key(&defined.unit) || state.units.values().any(|u| u.code == defined.code);
    if taken {
        return Err(Rejected::UnitExists { unit: defined.unit, code: defined.code.clone() });
    }
    Ok(vec![Change::Unit(defined.unit, defined.clone())])
}
