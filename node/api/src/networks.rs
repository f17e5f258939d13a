//! Other networks, peers or not: who is known, which ways lead there, whether they answer, who is shut out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A network that this node knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Its ledger.
    pub ledger: String,
    /// What it is called here after the @.
    pub name: String,
    /// What it calls itself, as long as its descriptor is good.
    pub site: Option<String>,
    /// Whether there is an accord with it.
    pub peer: bool,
    /// Whether a way of at most six hops leads there.
    pub in_reach: bool,
    /// Entries of its public stream that are here.
    pub entries: u64,
    /// Where it says that it is reached.
    pub addresses: Vec<String>,
    /// Why this network has shut it out, if it has.
    pub banned: Option<String>,
}

/// `GET /api/v1/networks`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Networks {
    /// Name of this schema: `weft.networks/1`.
    pub schema: String,
    /// In order of name.
    pub networks: Vec<Network>,
}

/// A way that a payment could take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Way {
    /// The networks on it, this one first, as they are called here.
    pub networks: Vec<String>,
    /// Their ledgers.
    pub ledgers: Vec<String>,
    /// Hops that may be too full, or over which a payment failed lately.
    pub doubtful: u64,
    /// Hops on which units are exchanged.
    pub exchanges: u64,
    /// What is sent over it, decimal: less than asked for where a rate gives no whole amount, and then it is not taken.
    pub sends: String,
    /// As far as is known less than this fits, decimal; on the hops up to the first exchange. Absent where that is the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub less_than: Option<String>,
}

/// `GET /api/v1/networks/{network}/ways`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ways {
    /// Name of this schema: `weft.ways/1`.
    pub schema: String,
    /// To which network.
    pub ledger: String,
    /// What it is called here.
    pub name: String,
    /// Code of our unit.
    pub unit: String,
    /// For which amount, decimal.
    pub amount: String,
    /// Best first.
    pub ways: Vec<Way>,
}

/// `POST /api/v1/networks/{network}/ping`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ping {
    /// Name of this schema: `weft.ping/1`.
    pub schema: String,
    /// Its ledger.
    pub ledger: String,
    /// What it is called here.
    pub name: String,
    /// Whether a connection stood before.
    pub connected: bool,
    /// From the question to the answer, in microseconds.
    pub round_trip_us: u64,
}

/// `POST /api/v1/networks/{network}/ban`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBan {
    /// Why, for whoever reads it later.
    pub reason: String,
}

/// `POST /api/v1/bans`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPeerBan {
    /// The libp2p identity.
    pub peer_id: String,
    /// Why, for whoever reads it later.
    pub reason: String,
}

/// Who has shut somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BannedBy {
    /// The operator.
    Operator,
    /// The node itself, because of what was sent to it.
    Node,
}

/// Somebody who is shut out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ban {
    /// The libp2p identity whose connections are denied; absent where new payments alone are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// The network, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    /// What it is called here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: BannedBy,
    /// Since when.
    pub since_ms: u64,
    /// Until when; absent: until the operator lifts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// `GET /api/v1/bans`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Bans {
    /// Name of this schema: `weft.bans/1`.
    pub schema: String,
    /// Latest first.
    pub bans: Vec<Ban>,
}
