//! Clearing with peers, over the network: pushes our streams, answers theirs, asks about claims, pairs.

use weft_api::{Confirm, Invitation, Join, NewInvitation, Pairing, Peer};
use weft_protocol::ids::ClaimId;

/// Why something about peers was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ClearingError {
    /// HTTP status that fits.
    pub status: u16,
    /// The rule broken, for programs.
    pub code: String,
    /// In words: what happened, why, what to do.
    pub detail: String,
}

/// A handle on clearing.
#[derive(Debug, Clone)]
pub struct Clearing {}

impl Clearing {
    /// Makes an invitation.
    ///
    /// # Errors
    /// Why not.
    pub async fn invite(&self, _new: NewInvitation) -> Result<Invitation, ClearingError> {
        unimplemented!()
    }
    /// Answers an invitation.
    ///
    /// # Errors
    /// Why not.
    pub async fn join(&self, _join: Join) -> Result<Pairing, ClearingError> {
        unimplemented!()
    }
    /// Pairings not done.
    ///
    /// # Errors
    /// When the ledger has stopped.
    pub async fn pairings(&self) -> Result<Vec<Pairing>, ClearingError> {
        unimplemented!()
    }
    /// Confirms a pairing with our root set's signatures.
    ///
    /// # Errors
    /// Why not.
    pub async fn confirm(&self, _id: &str, _confirm: Confirm) -> Result<Pairing, ClearingError> {
        unimplemented!()
    }
    /// Peers, in order of alias.
    ///
    /// # Errors
    /// When the ledger has stopped.
    pub async fn peers(&self) -> Result<Vec<Peer>, ClearingError> {
        unimplemented!()
    }
    /// Asks the decider to turn a claim of ours down; what comes of it shows in the claim.
    ///
    /// # Errors
    /// When it is not a claim of ours, or its network cannot be reached.
    pub async fn cancel(&self, _claim: ClaimId) -> Result<(), ClearingError> {
        unimplemented!()
    }
}
