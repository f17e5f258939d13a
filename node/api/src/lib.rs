//! Request and response types of the node's HTTP API, shared by the node and its clients.
//!
//! Amounts are decimal strings in a named unit, ids are lower-case hex, times are milliseconds since 1970. Every
//! error is a [`Problem`] (RFC 9457). The routes and what they answer stand in `specs/openapi.json`.

mod claims;
mod disputes;
mod forward;
mod keys;
mod members;
mod netting;
mod networks;
mod ops;
mod payments;
mod peers;
mod problem;
mod resets;
mod settlements;
mod status;

pub use claims::*;
pub use disputes::*;
pub use forward::*;
pub use keys::*;
pub use members::*;
pub use netting::*;
pub use networks::*;
pub use ops::*;
pub use payments::*;
pub use peers::*;
pub use problem::*;
pub use resets::*;
pub use settlements::*;
pub use status::*;

/// Header that carries the operation id where value moves (a UUID or 32 hex digits).
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// How long a payment between networks stays open when nothing else is said: 24 hours.
pub const DEFAULT_EXPIRY_S: u64 = 86_400;
/// How long `pay` waits for a payment between networks to become final.
pub const DEFAULT_WAIT_S: u64 = 10;
/// Longest body of any request: an import of some ten thousand lines.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
