//! Who is woken by what became durable: those who wait for a claim, and those who send a stream.
//!
//! A busy ledger makes thousands of groups durable, and each concerns few: waking everybody for each of them would cost
//! more than the groups. A bell rings after the sync, so whoever hears it finds what it rang for on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use weft_protocol::ids::{ClaimId, StreamId};

/// What a bell rings for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// A claim has moved.
    Claim(ClaimId),
    /// Entries were added to our own stream.
    Stream(StreamId),
    /// Evidence was recorded.
    Evidence,
}

/// What a group of tasks has changed.
pub(super) type Moved = BTreeSet<Concern>;

type Waiting = BTreeMap<Concern, Vec<Arc<Notify>>>;

/// The bells of a ledger. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Bells(Arc<Mutex<Waiting>>);

impl Bells {
    /// Somebody listens from now on, until the bell is dropped.
    pub(super) fn listen(&self, concerns: &[Concern]) -> Bell {
        let told = Arc::new(Notify::new());
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for concern in concerns {
            waiting.entry(*concern).or_default().push(told.clone());
        }
        Bell { told, concerns: concerns.to_vec(), bells: self.clone() }
    }

    /// Wakes whom it concerns.
    pub(super) fn ring(&self, moved: &Moved) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return;
        }
        let concerned = moved.iter().filter_map(|concern| waiting.get(concern)).flatten();
        concerned.for_each(|told| told.notify_one());
    }
}

/// Rings when what it listens for has become durable; what happens while nobody waits is kept for the next wait.
#[derive(Debug)]
pub struct Bell {
    told: Arc<Notify>,
    concerns: Vec<Concern>,
    bells: Bells,
}

impl Bell {
    /// Waits for the next ring, or returns at once when it has rung since the last wait.
    pub async fn rung(&self) {
        self.told.notified().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut waiting = self.bells.0.lock().unwrap_or_else(PoisonError::into_inner);
        for concern in &self.concerns {
            if let Some(of_concern) = waiting.get_mut(concern) {
                of_concern.retain(|told| !Arc::ptr_eq(told, &self.told));
                if of_concern.is_empty() {
                    waiting.remove(concern);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::ids::PUBLIC_STREAM;

    const CLAIM: Concern = Concern::Claim(ClaimId([7; 32]));

    #[tokio::test]
    async fn a_bell_rings_for_its_own_concerns_only_and_remembers_that_it_has_rung() {
        let bells = Bells::default();
        let (claim, stream) =
            (bells.listen(&[CLAIM]), bells.listen(&[Concern::Stream(PUBLIC_STREAM), Concern::Evidence]));
        bells.ring(&Moved::from([CLAIM]));
        claim.rung().await;
        let silent = tokio::time::timeout(std::time::Duration::from_millis(20), stream.rung()).await;
        assert!(silent.is_err(), "it was woken by what is another's");
        bells.ring(&Moved::from([Concern::Evidence]));
        stream.rung().await;
    }

    #[test]
    fn who_no_longer_listens_takes_no_memory() {
        let bells = Bells::default();
        let (one, other) = (bells.listen(&[CLAIM]), bells.listen(&[CLAIM, Concern::Evidence]));
        drop(one);
        assert_eq!(bells.0.lock().unwrap().get(&CLAIM).map(Vec::len), Some(1));
        drop(other);
        assert!(bells.0.lock().unwrap().is_empty());
    }
}
