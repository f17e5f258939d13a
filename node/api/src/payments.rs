//! Payments made through the desk, and imports.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/payments`: pays for a person who has no key of their own. Needs an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// Who pays: a name or account id of this network.
    pub from: String,
    /// Who receives: a name or account id of this network, or `name@network`.
    pub to: String,
    /// Decimal, in the unit.
    pub amount: String,
    /// Code of the unit; needed when the network has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What for; kept in the private store, never in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// The day it happened, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A coordinator lifts a stop for this one payment.
    #[serde(default)]
    pub lift_stop: bool,
    /// To another network: how long it stays open, in seconds (24 hours when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// To another network: how long the answer may wait for the end, in seconds (at once when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}

/// `POST /api/v1/import/payments`: a CSV with the columns from, to, amount and optionally unit, date, memo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportPayments {
    /// The whole file.
    pub csv: String,
    /// Only check; write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Write the good lines even when others are bad.
    #[serde(default)]
    pub skip_bad: bool,
}

/// A line that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BadLine {
    /// Line number in the file, from 1; the header is line 1.
    pub line: u64,
    /// The rule it breaks.
    pub code: String,
    /// In words.
    pub detail: String,
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Name of this schema: `weft.imported/1`.
    pub schema: String,
    /// Payments in the file.
    pub lines: u64,
    /// Written now.
    pub written: u64,
    /// Written by an earlier run of the same file.
    pub known: u64,
    /// Not written.
    pub bad: Vec<BadLine>,
    /// Whether anything was written at all.
    pub applied: bool,
}
