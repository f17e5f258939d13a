//! Payments between networks, as this network sees them.

use crate::PaymentState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Its id.
    pub claim: String,
    /// `out` when a member here pays, `in` when a member here receives, `through` otherwise.
    pub direction: String,
    /// The peer next to us on its way.
    pub peer: String,
    /// Code of our unit.
    pub unit: String,
    /// Decimal.
    pub amount: String,
    /// Where it stands for us.
    pub state: PaymentState,
    /// Until when the payee's network may accept.
    pub expires_ms: u64,
    /// Why it waits, or why it was freed.
    pub note: Option<String>,
    /// When it was proposed: by us, or by the peer to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The network that decides it, as it is called here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<String>,
    /// What is left of the limit towards the peer for more payments of ours, decimal in our unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Of an open claim: when the peer was heard last, since this node's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_seen_ms: Option<u64>,
}

/// `GET /api/v1/claims`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claims {
    /// Name of this schema: `weft.claims/1`.
    pub schema: String,
    /// Those not closed, or all that are still remembered.
    pub claims: Vec<Claim>,
}
