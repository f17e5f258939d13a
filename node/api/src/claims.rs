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
}

/// `GET /api/v1/claims`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claims {
    /// Name of this schema: `weft.claims/1`.
    pub schema: String,
    /// Those not closed, or all that are still remembered.
    pub claims: Vec<Claim>,
}
