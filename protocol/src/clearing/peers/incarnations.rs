//! Incarnations of a channel: what of a peer's old stream goes over to the new one, and which of its streams an entry may
//! stand in (specs/clearing.md §17).

use super::{PeerClaim, PeerStream, Peers, Refusal};
use crate::clearing::leg::Leg;
use crate::clearing::offer::PeerNetting;
use crate::clearing::reset::{HeardReset, RefuseCode};
use crate::clearing::statement::Trail;
use crate::clearing::step::{Step, StepArgs};
use crate::ids::{ClaimId, Hash, LedgerId, StreamId};
use crate::ledger::Rejected;
use crate::ledger::halt::Halt;
use crate::ledger::state::State;
use std::collections::BTreeMap;

/// What of an old stream goes over to the next one: what was said about claims, the halt, when it was last heard.
pub(in crate::clearing) type Ended = (BTreeMap<Leg, PeerClaim>, Option<Halt>, u64);

impl PeerStream {
    /// Ends it: its places stay known, all else goes.
    pub(in crate::clearing) fn end(&mut self) -> Ended {
        let claims = std::mem::take(&mut self.claims);
        self.open_in.clear();
        self.offers.clear();
        self.settle_answers.clear();
        (self.asked, self.answered) = (None, None);
        self.netting = PeerNetting::default();
        self.trail = Trail::default();
        (claims, self.halt, self.heard_ms)
    }

    pub(in crate::clearing) fn take_over(&mut self, leg: Leg, said: PeerClaim) {
        self.claims.insert(leg, said);
    }

    /// Hops that the peer has proposed and not closed.
    pub(in crate::clearing) fn open_legs(&self) -> Vec<Leg> {
        let open = self.claims.iter().filter(|(_, said)| said.proposal.is_some() && said.closing.is_none());
        open.map(|(leg, _)| *leg).collect()
    }

    /// Claims of which the peer has said something.
    pub(in crate::clearing) fn said_claims(&self) -> Vec<ClaimId> {
        self.claims.keys().map(|leg| leg.claim).collect()
    }

    /// The peer's last RESET on this stream: offered, or in effect.
    pub fn reset(&self) -> Option<&HeardReset> {
        self.reset.as_deref()
    }

    /// The last RESET of ours that the peer has refused, and why.
    pub fn refused(&self) -> Option<(Hash, RefuseCode)> {
        self.refused
    }
}

impl Peers {
    pub(in crate::clearing) fn stream_or_new(&mut self, channel: StreamId) -> &mut PeerStream {
        self.streams.entry(channel).or_insert_with(PeerStream::new)
    }

    /// Whether a peer's step may stand in its stream; gives whether that stream has ended, so that nothing new is taken in.
    pub(super) fn belongs(
        state: &State,
        peer: &LedgerId,
        (id, sseq): (StreamId, u64),
        step: &Step,
    ) -> Result<bool, Refusal> {
        let unknown = Refusal::Rejected(Rejected::NoAccord { peer: *peer });
        let (current, row) = state.channel_with(peer).ok_or(unknown)?;
        let next = state.next_channel(peer).map_err(Refusal::Rejected)?;
        // Before the next channel has begun here nothing else is written on it.
        let begins = id == next && matches!(step.args, StepArgs::Reset(_) | StepArgs::ResetRefuse(_));
        // What we have acknowledged was taken in before we closed; it comes again after a loss.
        let closed = id == current && state.is_closed_for_reset(peer) && sseq >= row.acked;
        let ended = state.is_former_channel(peer, &id) || closed;
        if id == current || begins || ended {
            Ok(ended)
        } else {
            Err(Refusal::Rejected(Rejected::StreamHeader))
        }
    }
}
