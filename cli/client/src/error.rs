//! What can go wrong between a client and its node.

use weft_api::Problem;

/// Why there is no answer of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address or the token cannot be used; nothing was sent.
    #[error("\"{address}\" cannot be used: {why}")]
    BadAddress {
        /// What was given (never a token).
        address: String,
        /// What is wrong with it.
        why: String,
    },
    /// No connection: the node has seen nothing of the request.
    #[error("the node at {place} is not reachable: {why}")]
    NotReachable {
        /// Socket or address.
        place: String,
        /// What the system said.
        why: String,
    },
    /// The request was sent and no whole answer came: whether it was done is *unknown*, never "no".
    #[error("the node at {place} did not answer in full: {why}")]
    Interrupted {
        /// Socket or address.
        place: String,
        /// What happened.
        why: String,
    },
    /// The node refused, and says why.
    #[error("{} ({})", .0.detail, .0.code)]
    Problem(Problem),
    /// Something answered that is no node, or a node of another version.
    #[error("the answer to {what} cannot be read: {why}")]
    Malformed {
        /// Which request.
        what: String,
        /// What is wrong with the answer.
        why: String,
    },
}
