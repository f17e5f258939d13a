//! Our own window of requests: at most so many in flight per peer, the others wait in order.
//!
//! libp2p does not queue: above its stream limit requests simply fail. Here the oldest goes first,
//! the queue has a bound, and what never left can be told apart from what may have arrived.

use std::collections::{HashMap, VecDeque};

use libp2p::PeerId;

/// What to do with a job that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer<T> {
    /// Send it now; it takes a place in the window.
    Send(T),
    /// It waits.
    Queued,
    /// Window and queue are full.
    Busy(T),
}

#[derive(Debug)]
struct PeerWindow<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

/// The windows of all peers.
#[derive(Debug)]
pub(super) struct Windows<T> {
    in_flight_max: usize,
    waiting_max: usize,
    peers: HashMap<PeerId, PeerWindow<T>>,
}

impl<T> Windows<T> {
    pub(super) fn new(in_flight_max: usize, waiting_max: usize) -> Self {
        Self { in_flight_max, waiting_max, peers: HashMap::new() }
    }

    /// Takes in a job for a peer.
    pub(super) fn offer(&mut self, peer: PeerId, job: T) -> Offer<T> {
        let window =
            self.peers.entry(peer).or_insert_with(|| PeerWindow { in_flight: 0, waiting: VecDeque::new() });
        if window.in_flight < self.in_flight_max {
            window.in_flight += 1;
            Offer::Send(job)
        } else if window.waiting.len() < self.waiting_max {
            window.waiting.push_back(job);
            Offer::Queued
        } else {
            Offer::Busy(job)
        }
    }

    /// How many jobs wait, of all peers.
    pub(super) fn waiting(&self) -> usize {
        self.peers.values().map(|window| window.waiting.len()).sum()
    }

    /// A job left the window. Returns the oldest one waiting, which takes its place.
    pub(super) fn finished(&mut self, peer: PeerId) -> Option<T> {
        let window = self.peers.get_mut(&peer)?;
        if let Some(next) = window.waiting.pop_front() {
            return Some(next);
        }
        window.in_flight = window.in_flight.saturating_sub(1);
        if window.in_flight == 0 {
            self.peers.remove(&peer);
        }
        None
    }

    /// Takes out all that waits for a peer; what is in flight keeps its places.
    pub(super) fn drain(&mut self, peer: PeerId) -> VecDeque<T> {
        self.peers.get_mut(&peer).map(|window| std::mem::take(&mut window.waiting)).unwrap_or_default()
    }

    /// Forgets everything and takes out all that waits, for all peers.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.peers.drain().flat_map(|(_, window)| window.waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_waits_shortest_and_the_queue_has_an_end() {
        let peer = PeerId::random();
        let mut windows = Windows::new(2, 2);
        assert_eq!(windows.offer(peer, 1), Offer::Send(1));
        assert_eq!(windows.offer(peer, 2), Offer::Send(2));
        assert_eq!(windows.offer(peer, 3), Offer::Queued);
        assert_eq!(windows.offer(peer, 4), Offer::Queued);
        assert_eq!(windows.offer(peer, 5), Offer::Busy(5));
        assert_eq!(windows.offer(PeerId::random(), 6), Offer::Send(6), "peers do not share a window");
        assert_eq!(windows.finished(peer), Some(3));
        assert_eq!(windows.finished(peer), Some(4));
        assert_eq!(windows.finished(peer), None);
        assert_eq!(windows.offer(peer, 7), Offer::Send(7));
    }

    #[test]
    fn a_drained_peer_keeps_the_places_of_what_is_in_flight() {
        let peer = PeerId::random();
        let mut windows = Windows::new(1, 2);
        windows.offer(peer, 1);
        windows.offer(peer, 2);
        assert_eq!(windows.drain(peer), [2]);
        assert_eq!(windows.offer(peer, 3), Offer::Queued);
        assert_eq!(windows.finished(peer), Some(3));
        assert_eq!(windows.finished(peer), None);
        assert!(windows.peers.is_empty(), "an idle peer takes no memory");
    }
}
