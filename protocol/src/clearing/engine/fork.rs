//! A second engine in the state of the first, for tests that follow every way on from there. It exists only with the
//! feature `simulator`: a node has one engine, and its keys stand in one place.

use super::{Batch, Engine};

impl Engine {
    /// The same engine once more. What is still in its batch stays with this one.
    pub fn fork(&self) -> Self {
        Self {
            state: self.state.clone(),
            peers: self.peers.clone(),
            author: self.author.fork(),
            secret: self.secret,
            batch: Batch::default(),
            quiet: self.quiet,
            unsure_ms: self.unsure_ms,
            hushed: self.hushed.clone(),
            answered: self.answered.clone(),
            broken: self.broken.clone(),
            banned: self.banned.clone(),
            will: self.will.clone(),
            looked_at: self.looked_at,
        }
    }
}
