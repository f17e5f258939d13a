//! An engine rebuilt from what is durable: our own entries and those received, in the order they were stored
//! (specs/clearing.md §9).
//!
//! The order matters: what a peer's line means depends on what we had written before it came. Whatever prefix of a
//! batch a crash has left, the engine that comes out is one that the live one has been at some moment, and
//! [`Engine::recover`] takes it on from there. Entries passed all checks before they were stored; here places,
//! chains and rules are checked again, node signatures are not.

use super::engine::Engine;
use super::peers::{Peers, Refusal};
use super::react::forget_if_settled;
use crate::entry::{Entry, Payload};
use crate::evidence::{Evidence, NotEvidence};
use crate::ids::{ClaimId, PUBLIC_STREAM};
use crate::ledger::author::Author;
use crate::ledger::{Rejected, State, apply};

/// Own entries between two looks at which of our Decisions the state still knows.
const FORGET_EVERY: u64 = 4_096;

/// A ledger and its peers' words being read back.
#[derive(Debug, Default)]
pub struct Replay {
    state: State,
    peers: Peers,
}

impl Replay {
    /// From an empty data folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// From what stands in the place of the records before ([`crate::base`]).
    pub fn from_parts(state: State, peers: Peers) -> Self {
        Self { state, peers }
    }

    /// The next entry of ours.
    ///
    /// # Errors
    /// The rule it breaks: the records are not those of one ledger, or not complete.
    pub fn own(&mut self, entry: &Entry) -> Result<(), Rejected> {
        let transition = apply(&self.state, entry)?;
        self.state.commit(&transition);
        self.peers.absorb_own(&self.state, entry);
        if entry.body().seq.is_multiple_of(FORGET_EVERY) {
            self.peers.forget_words(&self.state);
        }
        if let Some(claim) = claim_of(entry) {
            forget_if_settled(&self.state, &mut self.peers, &claim);
        }
        Ok(())
    }

    /// The next entry received: of a peer's channel, or of any network's public stream.
    ///
    /// # Errors
    /// It does not follow what was stored before it.
    pub fn received(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if entry.body().stream.is_some_and(|header| header.id == PUBLIC_STREAM) {
            return self.peers.absorb_stored_public(entry);
        }
        self.peers.check_place(&self.state, &entry.body().ledger, entry)?;
        if let Some(claim) = self.peers.absorb(&self.state, entry) {
            forget_if_settled(&self.state, &mut self.peers, &claim);
        }
        Ok(())
    }

    /// The next evidence recorded.
    ///
    /// # Errors
    /// When it is none.
    pub fn evidence(&mut self, bytes: &[u8]) -> Result<(), NotEvidence> {
        let evidence = Evidence::parse(bytes)?;
        self.peers.keep_evidence(evidence.id(), bytes.to_vec());
        Ok(())
    }

    /// The state so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What peers have said so far.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The engine that goes on from here; [`Engine::recover`] comes before any other input.
    pub fn into_engine(self, author: Author, secret: [u8; 32]) -> Engine {
        Engine::resume(self.state, self.peers, author, secret)
    }
}

fn claim_of(entry: &Entry) -> Option<ClaimId> {
    match &entry.op().payload {
        Payload::Step(step) => step.claim,
        Payload::End(end) => Some(end.claim),
        Payload::Credit(credit) => Some(credit.claim),
        Payload::Book(book) => Some(book.claim),
        Payload::Returned(returned) => Some(returned.claim),
        Payload::DisputeClosed(closed) => Some(closed.claim),
        Payload::Recovered(recovered) => recovered.lost_step().and_then(|step| step.claim),
        Payload::Genesis(_)
        | Payload::KeyBound(_)
        | Payload::Succession(_)
        | Payload::KeyRevoked(_)
        | Payload::RootChanged(_)
        | Payload::AccountOpened(_)
        | Payload::AccountChanged(_)
        | Payload::AccountClosed(_)
        | Payload::RoleGranted(_)
        | Payload::UnitDefined(_)
        | Payload::RuleSet(_)
        | Payload::Transfer(_)
        | Payload::Reversal(_)
        | Payload::Hold(_)
        | Payload::Release(_)
        | Payload::Settled(_)
        | Payload::WriteOff(_)
        | Payload::Announced(_)
        | Payload::Listed(_)
        | Payload::ResultPage(_)
        | Payload::Voted(_)
        | Payload::Committed(_)
        | Payload::Netted(_)
        | Payload::PeerView(_)
        | Payload::Capacity(_)
        | Payload::ResetNotice(_)
        | Payload::ResetBooked(_)
        | Payload::EvidenceRecorded(_)
        | Payload::FreezeLifted(_)
        | Payload::Erasure(_)
        | Payload::Forward(_) => None,
    }
}
