//! Signed operations, and receipts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text that an operation commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// 32 bytes, hex.
    pub salt: String,
    /// Its bytes, hex.
    pub bytes: String,
}

/// `POST /api/v1/ops`: an operation that its authors have signed. The `Idempotency-Key` must be its op id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostOp {
    /// Canonical CBOR of the signed operation (specs/entry.md), hex.
    pub signed_op: String,
    /// The texts it commits to, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Sidecar>,
    /// For a payment to another network: how long it stays open, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// For a payment to another network: how long the answer may wait for the end, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}

/// What became of an operation. It stands on disk before this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Name of this schema: `weft.done/1`.
    pub schema: String,
    /// Its id.
    pub op_id: String,
    /// Place of its entry in the ledger.
    pub seq: u64,
    /// Leaf hash of its entry: the receipt code.
    pub leaf: String,
    /// When it was written.
    pub time_ms: u64,
    /// `done` for everything inside this network; `held`, `done` or `freed` for a payment to another.
    pub state: PaymentState,
    /// The claim of a payment to another network.
    pub claim: Option<String>,
    /// Until when the other network may accept.
    pub expires_ms: Option<u64>,
    /// Why it was freed.
    pub reason: Option<String>,
    /// What people should know, such as a balance beyond its warning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PaymentState {
    /// The value is set aside; the other network has not answered for good.
    Held,
    /// Final: the payee has it.
    Done,
    /// Final: the payer has it back.
    Freed,
}

/// `GET /api/v1/receipts/{seq or op id}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Name of this schema: `weft.receipt/1`.
    pub schema: String,
    /// Place in the ledger.
    pub seq: u64,
    /// Receipt code: the leaf hash.
    pub leaf: String,
    /// When it was written.
    pub time_ms: u64,
    /// What kind of entry.
    pub kind: String,
    /// The entry's exact bytes, hex.
    pub entry: String,
    /// Proof that the entry stands in the published ledger, as a C2SP tlog-proof; absent until the next checkpoint
    /// covers it.
    pub proof: Option<String>,
}
