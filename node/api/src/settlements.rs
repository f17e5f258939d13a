//! What two networks have stated and settled with each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a channel stands, and what both networks have signed of it: `GET /api/v1/peers/{ledger}/statement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatement {
    /// Name of this schema: `weft.peer-statement/1`.
    pub schema: String,
    /// The peer's ledger.
    pub ledger: String,
    /// How it stands now, a line for each unit pair.
    pub now: Vec<StatedPosition>,
    /// Whether anything has moved since the last statement.
    pub moved: bool,
    /// Whether our books are what both streams say; else payments are in the middle of a step, or people have to look.
    pub books_agree: bool,
    /// The last statement that both have signed.
    pub agreed: Option<Stated>,
    /// Our last statement, while the peer has not answered it.
    pub waiting: Option<Stated>,
    /// Our last statement, where the peer came to something else, and what it says.
    pub refused: Option<RefusedStatement>,
}

/// A position and what is on its way, in one unit pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatedPosition {
    /// Code of the unit in which the peer's account is kept.
    pub unit: String,
    /// Decimal: above zero we owe them.
    pub amount: String,
    /// Decimal: payments from us that are not final.
    pub on_the_way_out: String,
    /// Decimal: payments to us that are not final.
    pub on_the_way_in: String,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stated {
    /// Leaf hash of the entry that states it.
    pub stmt: String,
    /// Leaf hash of the entry that agrees to it.
    pub answer: Option<String>,
    /// When it was written here, in milliseconds since 1970.
    pub time_ms: u64,
    /// How many entries of our stream it covers.
    pub our_entries: u64,
    /// How many of theirs.
    pub their_entries: u64,
    /// What it says, a line for each unit pair.
    pub positions: Vec<StatedPosition>,
}

/// A statement that the peer did not agree to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedStatement {
    /// Ours.
    pub ours: Stated,
    /// What the peer comes to, a line for each unit pair.
    pub theirs: Vec<StatedPosition>,
    /// What differs, in words.
    pub why: String,
}

/// A wish to settle: `POST /api/v1/peers/{ledger}/settlements`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSettlement {
    /// Code of our unit; may be left out when the accord has one pair.
    pub unit: Option<String>,
    /// Decimal: how much of what is owed moved outside, or is forgiven.
    pub amount: String,
    /// What it refers to outside, such as an invoice number: kept here, never sent. No personal data.
    pub reference: String,
}

/// What to do about a settlement: `POST /api/v1/peers/settlements/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettlementAnswer {
    /// `accept`, `refuse`, or of one of ours `withdraw`.
    pub action: String,
}

/// A settlement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settlement {
    /// Its id.
    pub id: String,
    /// The peer's ledger.
    pub ledger: String,
    /// What we call the peer.
    pub alias: String,
    /// Code of the unit in which the peer's account is kept.
    pub unit: String,
    /// Decimal.
    pub amount: String,
    /// Whether we owed it.
    pub we_owed: bool,
    /// Whether we proposed it.
    pub ours: bool,
    /// `waits-for-us`, `accept-again` (accepted, and lost here), `waits-for-them`, `being-withdrawn`, `settled`, `refused`.
    pub state: String,
    /// When it came to that, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it refers to, where we proposed it and the text is still here.
    pub reference: Option<String>,
}

/// `GET /api/v1/peers/settlements`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settlements {
    /// Name of this schema: `weft.settlements/1`.
    pub schema: String,
    /// Those that wait for us first, then by time, newest first.
    pub settlements: Vec<Settlement>,
}

/// Whether payments with a peer go: `POST /api/v1/peers/{ledger}/halt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Halt {
    /// `pause`, `resume` or `end`.
    pub action: String,
}
