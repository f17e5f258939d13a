//! Peers: invitation, pairing, and what stands between two networks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /api/v1/peers/invitations`: makes a one-use link and keeps the terms we offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// Code of our unit.
    pub unit: String,
    /// Where theirs is an unlike unit: the code that our ledger has for it. Then their unit is the one in which debts are
    /// counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub their_unit: Option<String>,
    /// `THEIRS:OURS`: so many of the smallest parts of their unit are worth so many of ours. Only with `their_unit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// The most that they may owe us, decimal in our unit, or in theirs where that is an unlike one.
    pub they_may_owe: String,
    /// The most that we may owe them.
    pub we_may_owe: String,
    /// How long the link is good, in seconds (7 days when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// Whether claims of others may pass through.
    #[serde(default)]
    pub relay: bool,
    /// Whether each keeps the other's entries, sealed, so that a lost machine loses no history.
    #[serde(default)]
    pub mirror: bool,
}

/// A link to hand to the other network's operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// Name of this schema: `weft.invitation/1`.
    pub schema: String,
    /// `weft-invite:…`
    pub link: String,
    /// Until when it is good.
    pub expires_ms: u64,
}

/// `POST /api/v1/peers/join`: answers an invitation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The link.
    pub link: String,
    /// Code of our unit that stands against theirs.
    pub unit: String,
    /// What we call them after the @; their site name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// A pairing under way: what both operators see before they confirm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pairing {
    /// Name of this schema: `weft.pairing/1`.
    pub schema: String,
    /// Id of the pairing on this node.
    pub id: String,
    /// The other ledger.
    pub ledger: String,
    /// Its site name.
    pub site: String,
    /// The terms, in sentences.
    pub terms: Vec<String>,
    /// Six words that both operators must see; computed by each side on its own.
    pub words: Vec<String>,
    /// The accord's exact bytes, hex: what the root set signs.
    pub accord: String,
    /// `waiting-for-us`, `waiting-for-them`, `done`, `expired`.
    pub state: String,
    /// Until when both root sets can sign.
    pub expires_ms: u64,
}

/// `GET /api/v1/peers/pairings`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pairings {
    /// Name of this schema: `weft.pairings/1`.
    pub schema: String,
    /// Those not done.
    pub pairings: Vec<Pairing>,
}

/// A root key's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RootSignature {
    /// The root key's signer id, hex.
    pub signer: String,
    /// 64 bytes, hex.
    pub sig: String,
}

/// `POST /api/v1/peers/pairings/{id}/confirm`: the operators have compared the words, the root set has signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The words that were compared.
    pub words: Vec<String>,
    /// A quorum of our root set over the accord's bytes.
    pub signatures: Vec<RootSignature>,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// Its ledger.
    pub ledger: String,
    /// What we call it after the @.
    pub alias: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Whether both accords stand, so that payments can go.
    pub open: bool,
    /// Who lets no new payments over the channel: `paused-by-us`, `paused-by-them`, `ended-by-us`, `ended-by-them`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub halts: Vec<String>,
    /// Positions, a line for each unit pair.
    pub positions: Vec<Position>,
    /// Entries of our stream that it has, and that there are.
    pub acknowledged: u64,
    /// Entries of our stream.
    pub written: u64,
    /// Entries of its stream that we have.
    pub received: u64,
    /// What is wrong, in words.
    pub problems: Vec<String>,
    /// When it was connected last, since this node's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<u64>,
}

/// What stands between us and a peer in one unit pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Position {
    /// Code of our unit.
    pub unit: String,
    /// Decimal: above zero we owe them.
    pub amount: String,
    /// The most that we may owe them.
    pub we_may_owe: String,
    /// The most that they may owe us.
    pub they_may_owe: String,
    /// What is left for new payments of ours.
    pub room: String,
    /// Payments of ours that are not final.
    pub in_flight: u64,
}

/// `GET /api/v1/peers`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peers {
    /// Name of this schema: `weft.peers/1`.
    pub schema: String,
    /// In order of alias.
    pub peers: Vec<Peer>,
}

/// Evidence that a network has signed two things that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Its id.
    pub id: String,
    /// Ledger of the network that signed both.
    pub accused: String,
    /// Its type (specs/evidence.md).
    #[serde(rename = "type")]
    pub kind: u8,
    /// Whether new payments with that network are stopped.
    pub frozen: bool,
    /// Who signed which two things, in sentences.
    pub words: Vec<String>,
    /// The file, for anybody to check: a `.weft-evidence`.
    pub file: String,
}

/// `POST /api/v1/peers/evidence`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvidence {
    /// The text of a `.weft-evidence` file.
    pub file: String,
}

/// `GET /api/v1/peers/evidence`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceList {
    /// Name of this schema: `weft.evidence-list/1`.
    pub schema: String,
    /// In the order recorded.
    pub evidence: Vec<Evidence>,
}
