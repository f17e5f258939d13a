//! Movements: what an entry of any kind moves between accounts, in one form for histories, exports and audits.
//!
//! Every kind is named, so that a new one must say whether it moves value.

use super::own_accounts;
use super::settled::Settled;
use super::transfer::{Posting, move_value};
use crate::entry::Payload;
use crate::ids::ClaimId;

/// What one entry moves (specs/kinds.md §5). In each unit the deltas sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Ascending by account and unit.
    pub postings: Vec<Posting>,
    /// The day it happened, in days since 1970-01-01, as its author says.
    pub when_day: Option<i32>,
    /// The payment between networks that it belongs to.
    pub claim: Option<ClaimId>,
}

impl Payload {
    /// What it moves; `None` when it moves nothing.
    pub fn movement(&self) -> Option<Movement> {
        let (postings, when_day, claim) = match self {
            Self::Transfer(t) => (t.postings.clone(), t.when_day, None),
            Self::Reversal(r) => (r.postings.clone(), None, None),
            Self::Hold(h) => {
                (move_value(h.account, own_accounts::hold(), h.unit, h.amount), h.when_day, None)
            }
            Self::End(e) => (e.postings.clone(), None, Some(e.claim)),
            Self::Credit(c) => (c.postings.clone(), None, Some(c.claim)),
            Self::Book(b) => (b.postings.clone(), None, Some(b.claim)),
            Self::Release(r) => (r.postings.clone(), None, None),
            Self::Returned(r) => (r.postings.clone(), None, Some(r.claim)),
            Self::WriteOff(w) if !w.postings.is_empty() => (w.postings.clone(), None, None),
            Self::DisputeClosed(d) => (d.postings.clone(), None, Some(d.claim)),
            Self::ResetBooked(r) => (r.postings.clone(), None, None),
            Self::Settled(Settled { postings: Some(postings), .. }) => (postings.clone(), None, None),
            Self::Netted(n) => (n.postings.clone(), None, None),
            Self::Recovered(r) if !r.postings.is_empty() => {
                let claim = r.lost_step().and_then(|step| step.claim);
                (r.postings.clone(), None, claim)
            }
            Self::Genesis(_)
            | Self::KeyBound(_)
            | Self::Succession(_)
            | Self::Recovered(_)
            | Self::WriteOff(_)
            | Self::Settled(_)
            | Self::KeyRevoked(_)
            | Self::RootChanged(_)
            | Self::AccountOpened(_)
            | Self::AccountChanged(_)
            | Self::AccountClosed(_)
            | Self::RoleGranted(_)
            | Self::UnitDefined(_)
            | Self::RuleSet(_)
            | Self::Announced(_)
            | Self::Listed(_)
            | Self::ResultPage(_)
            | Self::Voted(_)
            | Self::Committed(_)
            | Self::PeerView(_)
            | Self::Capacity(_)
            | Self::ResetNotice(_)
            | Self::EvidenceRecorded(_)
            | Self::FreezeLifted(_)
            | Self::Erasure(_)
            | Self::Forward(_)
            | Self::Step(_) => return None,
        };
        Some(Movement { postings, when_day, claim })
    }
}
