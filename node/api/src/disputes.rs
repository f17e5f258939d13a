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

/// What writing a peer off would say: `GET /api/v1/peers/{peer}/write-off`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriteOffDraft {
    /// Name of this schema: `weft.write-off-draft/1`.
    pub schema: String,
    /// The payload for the root set to sign, hex (specs/kinds.md 5.11).
    pub payload: String,
    /// When the peer was last heard.
    pub heard_ms: u64,
    /// From when on it can be written off.
    pub from_ms: u64,
    /// What it moves.
    pub lines: Vec<WriteOffLine>,
}

/// What writing a peer off moves on one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WriteOffLine {
    /// Account id.
    pub account: String,
    /// Whose it is.
    pub name: String,
    /// Code of the unit.
    pub unit: String,
    /// Decimal, with its sign.
    pub amount: String,
}
