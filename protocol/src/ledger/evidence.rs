//! Area 14, evidence: networks that were shown to have lied, and freezes that people lift (specs/kinds.md §14).
//!
//! Recording evidence freezes: no new payment is proposed to, or taken from, that network, until the root set lifts the
//! freeze. What must hold: no evidence is recorded twice, and a network that lies without end costs us few entries.

use super::Rejected;
use super::authority::Authority;
use super::state::{Change, State};
use crate::entry::Entry;
use crate::evidence::EvidenceType;
use crate::ids::{Hash, LedgerId};
use minicbor::{Decode, Encode};

/// Evidence recorded of one network: the first is enough to stop, a few more show that it was no accident.
pub const MAX_RECORDED: usize = 8;

/// Payload: evidence that we hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EvidenceRecorded {
    /// Its id.
    #[n(0)]
    pub evidence: Hash,
    /// Who lied.
    #[n(1)]
    pub accused: LedgerId,
    /// How.
    #[n(2)]
    pub kind: EvidenceType,
}

/// Payload: the root set lets payments with a network go on; the operation commits to the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FreezeLifted {
    /// With whom.
    #[n(0)]
    pub accused: LedgerId,
}

/// What is recorded of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct AccusedRow {
    /// Ids and types of the evidence, in the order recorded.
    #[n(0)]
    pub evidence: Vec<(Hash, EvidenceType)>,
    /// Whether new payments with it are stopped.
    #[n(1)]
    pub frozen: bool,
}

/// Rules of recorded evidence.
pub(super) fn apply_recorded(state: &State, recorded: &EvidenceRecorded) -> Result<Vec<Change>, Rejected> {
    if state.ledger()? == recorded.accused {
        return Err(Rejected::OwnNetwork);
    }
    let mut row = state.accused.get(&recorded.accused).cloned().unwrap_or_default();
    if row.evidence.iter().any(|(id, _)| *id == recorded.evidence) {
        return Err(Rejected::NothingToDo);
    }
    if row.evidence.len() >= MAX_RECORDED {
        return Err(Rejected::EvidenceEnough { accused: recorded.accused });
    }
    row.evidence.push((recorded.evidence, recorded.kind));
    row.frozen = true;
    Ok(vec![Change::Accused(recorded.accused, row)])
}

/// Rules of a lifted freeze.
pub(super) fn apply_lifted(
    state: &State,
    authority: &Authority,
    entry: &Entry,
    lifted: &FreezeLifted,
) -> Result<Vec<Change>, Rejected> {
    authority.roots(state)?;
    let known = state.accused.get(&lifted.accused);
    if known.is_none() && state.channel_with(&lifted.accused).is_none() {
        return Err(Rejected::NoAccord { peer: lifted.accused });
    }
    if entry.op().sidecars.len() != 1 {
        return Err(Rejected::ReasonSidecar);
    }
    let row = AccusedRow { frozen: false, ..known.cloned().unwrap_or_default() };
    Ok(vec![Change::Accused(lifted.accused, row)])
}
