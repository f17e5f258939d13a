//! Errors as problem+json.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An error (RFC 9457): what happened, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`, or a page about this kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short, the same for all problems with this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// The rule broken, for programs: `limit-stop`, `unknown-account`, …
    pub code: String,
    /// This case, in words.
    pub detail: String,
}
