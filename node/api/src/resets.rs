//! Resets: a channel that both root sets begin anew.

use crate::{RootSignature, Roots};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A notice that a channel is to be reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetNotice {
    /// Not before this.
    pub not_before_ms: u64,
    /// Whether that side is closed.
    pub closed: bool,
}

/// How the channel with a peer stands towards a reset: `GET /api/v1/peers/{peer}/reset`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetState {
    /// Name of this schema: `weft.reset/1`.
    pub schema: String,
    /// The peer.
    pub ledger: String,
    /// What it is called here.
    pub name: String,
    /// How often the channel was reset.
    pub incarnation: u32,
    /// Our notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<ResetNotice>,
    /// The peer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<ResetNotice>,
    /// Id of the reset that we have offered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<String>,
    /// Id of the last reset in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_effect: Option<String>,
    /// Whether the channel is begun at both ends.
    pub open: bool,
    /// What it waits for, in words.
    pub waits: String,
    /// What our side knows of the channel, hex, once it is closed: for the other network's draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
}

/// `POST /api/v1/peers/{peer}/reset/draft`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReset {
    /// What the other side knows, hex.
    pub theirs: String,
    /// What is owed, where the two sides differ: decimal, above zero where this network owes it, one for each unit pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreed: Option<Vec<String>>,
    /// Payments that whoever has decided them gives up: they are freed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<String>,
}

/// What both root sets would sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResetDraft {
    /// Name of this schema: `weft.reset-draft/1`.
    pub schema: String,
    /// The bytes to sign, hex (specs/clearing.md 17.4).
    pub reset: String,
    /// Our root set in force.
    pub our_roots: Roots,
    /// The peer's.
    pub their_roots: Roots,
    /// What the peer is called here.
    pub their_name: String,
    /// What it says, in sentences.
    pub lines: Vec<String>,
}

/// `POST /api/v1/resets`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedReset {
    /// The bytes that were signed, hex.
    pub reset: String,
    /// Quorums of both root sets.
    pub signatures: Vec<RootSignature>,
}
