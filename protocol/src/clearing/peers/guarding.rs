//! What we tell a network that asks after a start, and what we have promised it (specs/clearing.md §11).

use super::Peers;
use crate::clearing::accord::channel_id;
use crate::clearing::guard::{Fence, MAX_HEADS, Newest, StreamHead};
use crate::clearing::intent::Decision;
use crate::ids::{ClaimId, Hash, LedgerId, PUBLIC_STREAM};
use crate::ledger::state::{State, StreamRow};

impl Peers {
    /// The newest entry of another ledger that we hold.
    pub fn newest(&self, ledger: &LedgerId) -> Newest {
        self.newest.get(ledger).copied().unwrap_or_default()
    }

    /// Decisions of another network that we hold, at most so many.
    pub fn decisions_of(&self, ledger: &LedgerId, most: usize) -> Vec<Decision> {
        self.decisions.iter().filter(|((_, by), _)| by == ledger).map(|(_, d)| *d).take(most).collect()
    }

    /// What we have promised a network about what it wrote before a start.
    pub fn fence(&self, ledger: &LedgerId) -> Option<&Fence> {
        self.fences.get(ledger)
    }

    /// Promises it, or remembers the promise.
    pub fn set_fence(&mut self, fence: Fence) {
        self.fences.insert(fence.ledger, fence);
    }

    /// What we hold of another ledger's streams: the public one, and those of the channel, when there is one.
    pub fn heads_of(&self, state: &State, ledger: &LedgerId) -> Vec<StreamHead> {
        let public = self.public.get(ledger).copied().unwrap_or(StreamRow { next: 0, head: Hash::ZERO });
        let mut heads = vec![StreamHead { stream: PUBLIC_STREAM, next: public.next, head: public.head }];
        let (Ok(us), true) = (state.ledger(), state.channel_with(ledger).is_some()) else { return heads };
        // The newest first: the next one, where the network has reset before us, and those that it may have forgotten.
        let newest = state.incarnation(ledger).saturating_add(1);
        for n in (0..=newest).rev() {
            let stream = channel_id(&us, ledger, n);
            let known = self.streams.get(&stream).map(|s| (s.next, s.head));
            if heads.len() == MAX_HEADS || (n == newest && known.is_none()) {
                continue;
            }
            let (next, head) = known.unwrap_or((0, Hash::ZERO));
            heads.push(StreamHead { stream, next, head });
        }
        heads
    }

    /// Whether a decider has signed both ways on a claim.
    pub fn contradicted(&self, claim: &ClaimId, decider: &LedgerId) -> bool {
        self.contradicted.contains(&(*claim, *decider))
    }
}
