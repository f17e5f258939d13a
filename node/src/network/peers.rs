//! The peers we keep connected to, and the news about connections that the consumer has not had.
//!
//! [`Roster`]: known peers with their addresses, redial states and blocks, and who is vouched; survives a rebuild.
//! [`News`]: lifecycle events waiting for a slow consumer. It is bounded by the number of
//! connections because it coalesces, yet a loss that was followed by a new connection is always
//! told as both: the consumer must resume its channels then.

use std::collections::{HashMap, HashSet, VecDeque};

use libp2p::{Multiaddr, PeerId};

use super::{
    conduct::Misconduct,
    event::NetworkEvent,
    redial::{BackoffPolicy, Redial},
    tier::Tier,
};

/// Peers that can be known at once: the design's largest federation.
pub(super) const KNOWN_PEERS_MAX: usize = 10_000;

/// Addresses kept per peer; further ones are left out.
const ADDRESSES_PER_PEER: usize = 16;

/// Vouched networks that are remembered: as many as authors of public streams.
const VOUCHED_MAX: usize = 4_096;

/// Bans that wait to be told; beyond it nobody more is shut out until the consumer has heard.
const BAN_NEWS_MAX: usize = 256;

/// Listening addresses that wait to be told; [`super::Network::listen_addrs`] has them all.
const LISTENING_NEWS_MAX: usize = 64;

/// A roster that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RosterFull;

#[derive(Debug)]
struct KnownPeer {
    addresses: Vec<Multiaddr>,
    redial: Redial,
}

/// Known and blocked peers.
#[derive(Debug)]
pub(super) struct Roster {
    policy: BackoffPolicy,
    known: HashMap<PeerId, KnownPeer>,
    vouched: HashSet<PeerId>,
    blocked: HashSet<PeerId>,
    /// The earliest dial; recomputed whenever a redial state changes.
    next_due_ms: Option<u64>,
}

impl Roster {
    pub(super) fn new(policy: BackoffPolicy, blocked: impl IntoIterator<Item = PeerId>) -> Self {
        Self {
            policy,
            known: HashMap::new(),
            vouched: HashSet::new(),
            blocked: blocked.into_iter().collect(),
            next_due_ms: None,
        }
    }

    pub(super) fn tier(&self, peer: &PeerId) -> Tier {
        match (self.known.contains_key(peer), self.vouched.contains(peer)) {
            (true, _) => Tier::Peer,
            (false, true) => Tier::Vouched,
            (false, false) => Tier::Unknown,
        }
    }

    pub(super) fn known(&self) -> impl Iterator<Item = PeerId> {
        self.known.keys().copied()
    }

    pub(super) fn vouched(&self) -> usize {
        self.vouched.len()
    }

    /// Everybody above the lowest tier.
    pub(super) fn tiers(&self) -> impl Iterator<Item = (PeerId, Tier)> {
        let both = self.vouched.iter().chain(self.known.keys());
        both.map(|peer| (*peer, self.tier(peer)))
    }

    /// Replaces who is vouched; gives those for whom that changes something.
    pub(super) fn set_vouched(&mut self, vouched: Vec<PeerId>) -> Vec<PeerId> {
        let vouched: HashSet<PeerId> = vouched.into_iter().take(VOUCHED_MAX).collect();
        let before = std::mem::replace(&mut self.vouched, vouched);
        before.symmetric_difference(&self.vouched).copied().collect()
    }

    pub(super) fn blocked(&self) -> impl Iterator<Item = PeerId> {
        self.blocked.iter().copied()
    }

    /// Keeps a peer connected from now on, at these addresses.
    pub(super) fn set(
        &mut self,
        peer: PeerId,
        mut addresses: Vec<Multiaddr>,
        connected: bool,
        now_ms: u64,
    ) -> Result<(), RosterFull> {
        addresses.truncate(ADDRESSES_PER_PEER);
        if self.known.len() >= KNOWN_PEERS_MAX && !self.known.contains_key(&peer) {
            return Err(RosterFull);
        }
        let known = self.known.entry(peer).or_insert_with(|| {
            let mut redial = Redial::new(self.policy, now_ms);
            if connected {
                redial.connected(now_ms);
            }
            KnownPeer { addresses: Vec::new(), redial }
        });
        if known.addresses != addresses {
            known.addresses = addresses;
            known.redial.retry_now(now_ms);
        }
        self.reckon();
        Ok(())
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.known.remove(peer);
        self.reckon();
    }

    pub(super) fn block(&mut self, peer: PeerId) {
        self.blocked.insert(peer);
        self.reckon();
    }

    pub(super) fn unblock(&mut self, peer: &PeerId, now_ms: u64) {
        if self.blocked.remove(peer) {
            self.change(peer, |redial| redial.retry_now(now_ms));
        }
    }

    /// Applies what happened to the redial state of a peer, if it is known.
    pub(super) fn change(&mut self, peer: &PeerId, happened: impl FnOnce(&mut Redial)) {
        if let Some(known) = self.known.get_mut(peer) {
            happened(&mut known.redial);
            self.reckon();
        }
    }

    /// All connections are gone and may be dialled again at once.
    pub(super) fn start_over(&mut self, now_ms: u64) {
        for known in self.known.values_mut() {
            known.redial = Redial::new(self.policy, now_ms);
        }
        self.reckon();
    }

    /// When the next dial is due, in ms.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.next_due_ms
    }

    /// The peers to dial now, with their addresses; they count as being dialled from here on.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (peer, known) in &mut self.known {
            let ready = known.redial.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
            if ready && can_dial(&self.blocked, peer, known) {
                known.redial.dialing();
                due.push((*peer, known.addresses.clone()));
            }
        }
        self.reckon();
        due
    }

    fn reckon(&mut self) {
        self.next_due_ms = self
            .known
            .iter()
            .filter(|(peer, known)| can_dial(&self.blocked, peer, known))
            .filter_map(|(_, known)| known.redial.due_ms())
            .min();
    }
}

fn can_dial(blocked: &HashSet<PeerId>, peer: &PeerId, known: &KnownPeer) -> bool {
    !known.addresses.is_empty() && !blocked.contains(peer)
}

/// Lifecycle events that the consumer has not had yet.
#[derive(Debug, Default)]
pub(super) struct News {
    listening: VecDeque<Multiaddr>,
    connected: HashSet<PeerId>,
    announced: HashSet<PeerId>,
    /// Announced peers whose announced connection is gone.
    lost: HashSet<PeerId>,
    /// Peers with something to tell, each once, oldest first.
    changed: VecDeque<PeerId>,
    banned: VecDeque<(PeerId, Tier, Misconduct)>,
}

impl News {
    pub(super) fn listening(&mut self, address: Multiaddr) {
        if self.listening.len() < LISTENING_NEWS_MAX {
            self.listening.push_back(address);
        }
    }

    pub(super) fn connected(&mut self, peer: PeerId) {
        if self.connected.insert(peer) && !self.announced.contains(&peer) {
            self.changed.push_back(peer);
        }
    }

    pub(super) fn disconnected(&mut self, peer: PeerId) {
        if self.connected.remove(&peer) {
            if !self.announced.contains(&peer) {
                self.changed.retain(|changed| *changed != peer);
            } else if self.lost.insert(peer) {
                self.changed.push_back(peer);
            }
        }
    }

    /// Somebody is to be shut out; false when too many such news wait.
    pub(super) fn banned(&mut self, peer: PeerId, tier: Tier, why: Misconduct) -> bool {
        let room = self.banned.len() < BAN_NEWS_MAX;
        if room {
            self.banned.push_back((peer, tier, why));
        }
        room
    }

    /// Every connection is gone.
    pub(super) fn all_disconnected(&mut self) {
        for peer in self.connected.clone() {
            self.disconnected(peer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listening.is_empty() && self.changed.is_empty() && self.banned.is_empty()
    }

    /// The next event to tell.
    pub(super) fn next(&mut self) -> Option<NetworkEvent> {
        if let Some(addr) = self.listening.pop_front() {
            return Some(NetworkEvent::Listening { addr });
        }
        if let Some((peer, tier, why)) = self.banned.pop_front() {
            return Some(NetworkEvent::Banned { peer, tier, why });
        }
        let peer = self.changed.pop_front()?;
        if self.lost.remove(&peer) {
            self.announced.remove(&peer);
            if self.connected.contains(&peer) {
                self.changed.push_front(peer);
            }
            return Some(NetworkEvent::Disconnected { peer });
        }
        self.announced.insert(peer);
        Some(NetworkEvent::Connected { peer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BackoffPolicy = BackoffPolicy { min_ms: 100, max_ms: 1_000, stable_ms: 1_000 };

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()
    }

    /// The waiting events, as `+` for connected and `-` for disconnected.
    fn told(news: &mut News) -> String {
        std::iter::from_fn(|| news.next())
            .map(|event| match event {
                NetworkEvent::Connected { .. } => '+',
                NetworkEvent::Disconnected { .. } => '-',
                NetworkEvent::Listening { .. } => 'L',
                NetworkEvent::Request { .. } => 'R',
                NetworkEvent::Banned { .. } => 'B',
            })
            .collect()
    }

    #[test]
    fn a_known_peer_is_dialled_when_due_and_not_while_blocked() {
        let (mut roster, peer) = (Roster::new(POLICY, []), PeerId::random());
        roster.set(peer, vec![address(1)], false, 0).unwrap();
        roster.block(peer);
        assert_eq!(roster.next_due_ms(), None);
        assert!(roster.take_due(1_000).is_empty());
        roster.unblock(&peer, 50);
        assert_eq!(roster.next_due_ms(), Some(50));
        assert_eq!(roster.take_due(50), [(peer, vec![address(1)])]);
        assert!(roster.take_due(50).is_empty(), "it is being dialled");
        roster.change(&peer, |redial| redial.failed(50, 70));
        assert_eq!(roster.next_due_ms(), Some(120));
    }

    #[test]
    fn new_addresses_are_tried_at_once_and_the_same_ones_are_not() {
        let (mut roster, peer) = (Roster::new(POLICY, []), PeerId::random());
        roster.set(peer, vec![address(1)], false, 0).unwrap();
        roster.take_due(0);
        roster.change(&peer, |redial| redial.failed(0, 90));
        roster.set(peer, vec![address(1)], false, 10).unwrap();
        assert_eq!(roster.next_due_ms(), Some(90));
        roster.set(peer, vec![address(2)], false, 10).unwrap();
        assert_eq!(roster.take_due(10), [(peer, vec![address(2)])]);
    }

    #[test]
    fn a_peer_without_an_address_waits_to_be_called() {
        let (mut roster, peer) = (Roster::new(POLICY, []), PeerId::random());
        roster.set(peer, vec![], false, 0).unwrap();
        assert_eq!(roster.tier(&peer), Tier::Peer);
        assert_eq!(roster.next_due_ms(), None);
    }

    #[test]
    fn a_reconnect_behind_the_back_of_a_slow_consumer_is_told_as_both() {
        let (mut news, peer) = (News::default(), PeerId::random());
        news.connected(peer);
        assert_eq!(told(&mut news), "+");
        for _ in 0..3 {
            news.disconnected(peer);
            news.connected(peer);
        }
        assert_eq!(told(&mut news), "-+");
        news.disconnected(peer);
        assert_eq!(told(&mut news), "-");
    }

    #[test]
    fn a_peer_that_came_and_went_untold_is_not_told() {
        let mut news = News::default();
        for _ in 0..1_000 {
            let peer = PeerId::random();
            news.connected(peer);
            news.disconnected(peer);
        }
        assert!(news.is_empty());
        assert_eq!(told(&mut news), "");
    }

    #[test]
    fn after_a_rebuild_every_told_peer_is_told_as_gone() {
        let (mut news, peer) = (News::default(), PeerId::random());
        news.connected(peer);
        assert_eq!(told(&mut news), "+");
        news.all_disconnected();
        news.connected(peer);
        assert_eq!(told(&mut news), "-+");
    }
}
