//! The node at a glance.

use crate::{BoundKey, KeysKept, Roots};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/status`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Name of this schema: `weft.status/1`.
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// Short name of the network.
    pub site: String,
    /// Id of the ledger.
    pub ledger: String,
    /// Leaf hash of the genesis: the authority behind first rules.
    pub genesis: String,
    /// Entries of the ledger.
    pub entries: u64,
    /// Size that the last published checkpoint covers.
    pub checkpoint: u64,
    /// Digest of the state, for comparing two replays.
    pub state_digest: String,
    /// Start number of the node.
    pub boot: u64,
    /// Id of the node on the peer-to-peer network.
    pub peer_id: String,
    /// Where other nodes reach it.
    pub addresses: Vec<String>,
    /// Whether others can call this node, and what helps where they cannot.
    #[serde(default)]
    pub reach: Reached,
    /// Desk signer, for clients that act for people without keys.
    pub desk: String,
    /// The root set in force.
    pub roots: Roots,
    /// The keys in force, in order of purpose.
    pub bound: Vec<BoundKey>,
    /// How the node's secret keys are kept.
    pub keys_kept: KeysKept,
    /// What is counted.
    pub units: Vec<Unit>,
    /// Accounts of members and organisations that are open.
    pub members: u64,
    /// Claims that are not closed.
    pub claims_open: u64,
    /// Messages by protocol, requests in and out.
    pub messages: Vec<Messages>,
    /// What is wrong, in words; empty when all is well.
    pub problems: Vec<String>,
    /// What people here should know and nobody has to mend, in words: what came of netting rounds of the last days, and what
    /// waits for a word of ours.
    #[serde(default)]
    pub news: Vec<String>,
    /// Who vouches for this ledger, and for which logs it vouches.
    pub witness: Witness,
    /// Who keeps our entries, so that a lost machine loses no history.
    #[serde(default)]
    pub mirrors: Mirrors,
    /// What the node waits for after a start that has not proven itself; absent when it signs as ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardStatus>,
}

/// Whether others can call a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reached {
    /// Whether somebody has, or nobody could; absent while nobody has tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub can_be_called: Option<bool>,
    /// In words, with what to do.
    pub words: String,
}

/// How a ledger stands with the peers that keep its entries, sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mirrors {
    /// Whether a recovery key is bound: without one nothing can be sealed.
    pub recovery_key: bool,
    /// Entries that can be mirrored: those of the published checkpoint.
    pub size: u64,
    /// In words.
    pub words: String,
    /// Every peer whose accord says that each keeps the other's entries.
    pub peers: Vec<MirrorOf>,
}

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MirrorOf {
    /// Its ledger.
    pub ledger: String,
    /// What we call it after the @.
    pub alias: String,
    /// How many of our entries it keeps, from the first on without a gap; absent while it has not said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<u64>,
    /// What went wrong with it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Bytes that we keep for it.
    pub kept_bytes: u64,
}

/// How the guard after a start stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GuardStatus {
    /// Whether nothing at all is signed; else only nothing towards the peers named.
    pub quarantined: bool,
    /// Ledgers of the peers that have not answered, or hold more of ours than we do.
    pub awaited: Vec<String>,
    /// Own entries taken back since the start.
    pub taken_back: u64,
    /// How many entries this ledger is known to have had.
    pub known_size: u64,
    /// What the root set signs to go on without what nobody gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succession: Option<SuccessionTerms>,
}

/// The terms of a succession, as they stand now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuccessionTerms {
    /// Its number, from 1.
    pub number: u32,
    /// How many entries the ledger is known to have had.
    pub old_size: u64,
    /// The root that others have seen at that size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_root: Option<String>,
    /// How many are held.
    pub base: u64,
    /// The start from which it goes on.
    pub boot: u64,
    /// Ledgers of the peers that have not answered.
    pub unheard: Vec<String>,
}

/// How a ledger stands with its witnesses, and what it has cosigned itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Witness {
    /// Entries that the newest cosigned checkpoint covers; 0 when nobody has cosigned one.
    pub size: u64,
    /// When the newest of its cosignatures was made, in milliseconds since 1970; 0 when there is none.
    pub time_ms: u64,
    /// Whether those who cosigned it are enough for the policy.
    pub enough: bool,
    /// In words.
    pub words: String,
    /// Every witness of the policy.
    pub witnesses: Vec<WitnessOf>,
    /// Logs that this node has cosigned.
    pub cosigned: Vec<CosignedLog>,
}

/// One witness of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessOf {
    /// Name of its key.
    pub name: String,
    /// When it cosigned the newest cosigned checkpoint, in milliseconds since 1970; absent when it has not.
    pub time_ms: Option<u64>,
    /// What it said last that was no cosignature, in words.
    pub trouble: Option<String>,
}

/// A log that this node has cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CosignedLog {
    /// Its origin.
    pub origin: String,
    /// Entries that the checkpoint cosigned last covers.
    pub size: u64,
}

/// `GET /api/v1/time`, and the answer to `POST`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeTime {
    /// Name of this schema: `weft.time/1`.
    pub schema: String,
    /// What the node's clock says.
    pub clock_ms: u64,
    /// Time of the last entry.
    pub ledger_ms: u64,
    /// Why nothing is written until the clock is confirmed; absent when it is believed.
    pub held: Option<String>,
}

/// `POST /api/v1/time`: the node's clock was compared with another one, and it is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTime {
    /// What the node's clock said when it was compared.
    pub clock_ms: u64,
}

/// A unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unit {
    /// Its number in the ledger.
    pub unit: u16,
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Decimals.
    pub scale: u8,
    /// Sum of all balances in minor units: always 0.
    pub sum_minor: String,
}

/// Messages of one protocol since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Messages {
    /// Its name.
    pub protocol: String,
    /// Requests received.
    pub requests_in: u64,
    /// Requests sent.
    pub requests_out: u64,
}
