//! Disputes: what both root sets sign about one hop of a claim.

use crate::{RootSignature, Roots};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What both root sets would sign: `GET /api/v1/claims/{claim}/dispute`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DisputeDraft {
    /// Name of this schema: `weft.dispute-draft/1`.
    pub schema: String,
    /// The bytes to sign, hex (specs/clearing.md 15.1).
    pub dispute: String,
    /// Ledger of the creditor, at whose node it is handed in.
    pub creditor: String,
    /// What the creditor is called here.
    pub creditor_name: String,
    /// The creditor's root set in force.
    pub creditor_roots: Roots,
    /// Ledger of the debtor.
    pub debtor: String,
    /// What the debtor is called here.
    pub debtor_name: String,
    /// The debtor's root set in force.
    pub debtor_roots: Roots,
    /// Code of the unit in which the peer's account is kept.
    pub unit: String,
    /// Decimal.
    pub amount: String,
}

/// `POST /api/v1/disputes`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedDispute {
    /// The bytes that were signed, hex.
    pub dispute: String,
    /// Quorums of both root sets.
    pub signatures: Vec<RootSignature>,
}
