//! The keys of the network and of its node: public halves, and how the secret ones are kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the node's secret keys are kept (specs/ceremony.md 1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeysKept {
    /// In plain files: who copies the disk can act as the node.
    Plain,
    /// Encrypted with a passphrase that each start needs.
    Encrypted,
    /// Given by the service manager at each start.
    Credential,
    /// In more than one of these ways.
    Mixed,
}

/// The root set in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Roots {
    /// How many must sign together.
    pub threshold: u8,
    /// Public keys, hex, ascending.
    pub keys: Vec<String>,
}

/// A key that the ledger binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoundKey {
    /// `log`, `witness`, `seal`, `libp2p`, `desk` or `recovery`.
    pub purpose: String,
    /// Its number among the keys of this purpose, from 0.
    pub epoch: u32,
    /// The public key, hex.
    pub key: String,
}

/// `POST /api/v1/keys/{purpose}/next`: the node's next key, for the root set to bind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextKey {
    /// Name of this schema: `weft.next-key/1`.
    pub schema: String,
    /// What for.
    pub purpose: String,
    /// Its number among the keys of this purpose.
    pub epoch: u32,
    /// The public key, hex.
    pub key: String,
}
