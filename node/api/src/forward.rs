//! Forwards: from which place on old entries may go one day.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer of `POST /api/v1/forwards`: the books are signed as they stand. It is on disk before this is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forwarded {
    /// Name of this schema: `weft.forwarded/1`.
    pub schema: String,
    /// Place of its entry in the ledger: so many entries stand before it.
    pub seq: u64,
    /// When it was written.
    pub time_ms: u64,
    /// Digest of the books before it, hex.
    pub state: String,
    /// From when on the entries before it may be left out.
    pub ready_ms: u64,
}
