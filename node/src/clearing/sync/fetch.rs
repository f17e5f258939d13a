//! Fetches what is lacking of public streams from one peer: several pages of an author under way at once, read and
//! verified while the ledger takes in those before them.
//!
//! What must hold: entries are taken in in their order, however the pages come; an author that is fetched from one peer is
//! not fetched from another at the same time, and no peer can hold that right for long.

use super::super::Clearing;
use super::super::link::Link;
use super::super::prove::prove_public;
use super::SyncError;
use crate::network::Protocol;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weft_protocol::entry::Entry;
use weft_protocol::federation::sync::{EntriesAsk, EntriesThere, Haves, MAX_ENTRIES};
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::identity::Identity;
use weft_protocol::wire::Message;

/// Pages of one author under way at once: some are read and verified, one is written, some travel.
const WINDOW: usize = 6;
/// Who fetches an author has so long for a page; then another link may.
const TURN: Duration = Duration::from_secs(5);
/// A link that has nothing to fetch but what others fetch looks again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Whom links fetch at this moment: by author, from which peer, and until when from that one alone.
#[derive(Debug, Default)]
pub(in crate::clearing) struct Fetching(Mutex<BTreeMap<LedgerId, (LedgerId, Instant)>>);

impl Fetching {
    /// Whether an author is fetched from this peer now; it has another turn then.
    fn take_turn(&self, author: LedgerId, from: LedgerId, now: Instant) -> bool {
        let mut fetching = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = fetching.get(&author).is_some_and(|(by, until)| *by != from && *until > now);
        if !taken {
            fetching.insert(author, (from, now + TURN));
        }
        !taken
    }

    fn end_turn(&self, author: LedgerId, from: LedgerId) {
        let mut fetching = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if fetching.get(&author).is_some_and(|(by, _)| *by == from) {
            fetching.remove(&author);
        }
    }
}

/// A page under way: entries from a place on.
struct Page {
    from: u64,
    read: tokio::task::JoinHandle<Result<Vec<Entry>, SyncError>>,
}

/// Fetches authors, each from the place from which we lack it, as far as the peer's list says that it has them.
pub(super) async fn fetch_all(
    clearing: &Clearing,
    link: Link,
    lacking: Vec<(LedgerId, u64)>,
    theirs: &Haves,
) -> Result<(), SyncError> {
    let ends: BTreeMap<LedgerId, u64> =
        theirs.as_slice().iter().map(|have| (have.ledger, have.next)).collect();
    let mut waiting: VecDeque<LedgerId> = lacking.into_iter().map(|(author, _)| author).collect();
    let mut passed = 0;
    while let Some(author) = waiting.pop_front() {
        let end = ends.get(&author).copied().unwrap_or(0);
        if !clearing.0.fetching.take_turn(author, link.ledger, clearing.0.clock.instant()) {
            // Another link may bring all of it.
            waiting.push_back(author);
            passed += 1;
            if passed >= waiting.len() {
                passed = 0;
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            continue;
        }
        passed = 0;
        let fetched = fetch(clearing, link, author, end).await;
        clearing.0.fetching.end_turn(author, link.ledger);
        fetched?;
        clearing.follow_if_peer(author).await;
    }
    Ok(())
}

/// Fetches one author up to a place, or as far as it can be taken in.
async fn fetch(clearing: &Clearing, link: Link, author: LedgerId, end: u64) -> Result<(), SyncError> {
    let ledger = &clearing.0.ledger;
    let start = ledger.run(move |core| {
        let peers = core.engine().peers();
        (peers.public_next(&author), peers.identity(&author).cloned().map(Arc::new))
    });
    let (mut known, mut identity) = start.await?;
    // Pages are as long as the one before, until one shows otherwise.
    let (mut step, mut asked) = (MAX_ENTRIES as u64, known);
    let (mut under_way, mut window) = (VecDeque::<Page>::new(), WINDOW);
    while known < end {
        while under_way.len() < window && asked < end {
            under_way.push_back(Page::ask(clearing, link, (author, asked), identity.clone()));
            asked += step;
        }
        let Some(mut page) = under_way.pop_front() else { return Ok(()) };
        let entries = (&mut page.read).await.map_err(|e| SyncError::Store(e.to_string()))??;
        let (len, from) = (entries.len() as u64, page.from);
        if len == 0 {
            return Ok(());
        }
        let brought_by = link.ledger;
        let taken = ledger.run(move |core| {
            let taken = core.take_public(brought_by, author, entries);
            let peers = core.engine().peers();
            (taken, peers.public_next(&author), peers.identity(&author).cloned().map(Arc::new))
        });
        let (taken, next, keys) = taken.await?;
        (known, identity) = (next, keys);
        let is_ours = clearing.0.fetching.take_turn(author, link.ledger, clearing.0.clock.instant());
        if !taken.goes_on || known < from + len || !is_ours {
            return Ok(());
        }
        if under_way.front().is_none_or(|after| after.from == known) && asked >= known {
            window = (window + 1).min(WINDOW);
        } else {
            // Longer entries, shorter pages: those under way do not join, and fewer are asked for in vain.
            window = 1;
            under_way.clear();
        }
        if under_way.is_empty() {
            (step, asked) = (len, known);
        }
    }
    Ok(())
}

impl Page {
    fn ask(
        clearing: &Clearing,
        link: Link,
        (author, from): (LedgerId, u64),
        identity: Option<Arc<Identity>>,
    ) -> Self {
        let network = clearing.0.network.clone();
        let read = tokio::spawn(async move {
            let ask = EntriesAsk { message: 3, ledger: author, next: from };
            let bytes = network.request(link.peer, Protocol::Sync, ask.to_bytes()).await?;
            let there = EntriesThere::parse(&bytes)?;
            Ok(prove_public(author, identity, there.entries).await)
        });
        Self { from, read }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.read.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn an_author_is_fetched_from_one_peer_at_a_time_and_from_another_when_that_one_is_slow() {
        let [author, first, second] = [1, 2, 3].map(|n| LedgerId([n; 32]));
        let (fetching, now) = (Fetching::default(), Clock.instant());
        assert!(fetching.take_turn(author, first, now));
        assert!(!fetching.take_turn(author, second, now));
        assert!(fetching.take_turn(LedgerId([9; 32]), second, now), "others are not held up");
        // Each page is another turn; who has none can end none.
        fetching.end_turn(author, second);
        assert!(fetching.take_turn(author, first, now + TURN));
        assert!(!fetching.take_turn(author, second, now + TURN));
        assert!(fetching.take_turn(author, second, now + TURN * 2), "it was slow");
        assert!(!fetching.take_turn(author, first, now + TURN * 2));
        fetching.end_turn(author, second);
        assert!(fetching.take_turn(author, first, now + TURN * 2));
    }
}
