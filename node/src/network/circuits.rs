//! Circuits: how a node that nobody can call, behind a router that is not its own, is reached all the same.
//!
//! It keeps a place at the node of a peer that can be called, and others come to it over that peer (libp2p circuit relay
//! v2; specs/network.md §15). The two then try to connect with each other directly, both at the same moment (DCUtR); where that works, the
//! circuit is closed. What crosses a circuit is encrypted between its two ends. What must hold: places are for peers
//! and vouched networks alone, and each of them costs the one who serves no more than is bounded here.

use std::{collections::HashMap, time::Duration};

use libp2p::{
    Multiaddr, PeerId,
    core::transport::ListenerId,
    relay,
    swarm::{ConnectionDenied, ConnectionId, THandler, behaviour::toggle::Toggle, dummy},
};

use super::{
    redial::BackoffPolicy,
    served::{LeavesOut, Served},
};

/// Places kept for others: as many as a large hub has peers behind routers.
const RESERVATIONS_MAX: usize = 64;
/// Places of one network: its node starts again before the old place is known to be gone.
const RESERVATIONS_PER_PEER: usize = 2;
/// How long a place is kept; it is asked for again at three quarters of it.
const RESERVATION_TIME: Duration = Duration::from_secs(3_600);
/// Circuits at once.
const CIRCUITS_MAX: usize = 64;
/// Circuits of one network at once.
const CIRCUITS_PER_PEER: usize = 8;
/// How long a circuit lasts; whoever still needs it makes another.
const CIRCUIT_TIME: Duration = Duration::from_secs(1_800);
/// Bytes over one circuit each way: a day of a busy channel.
const CIRCUIT_BYTES: u64 = 64 * 1_024 * 1_024;

/// What we serve others with: their places and circuits.
pub(super) type Server = Served<relay::Behaviour>;

impl LeavesOut for relay::Behaviour {
    fn no_part(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(THandler::<Self>::Right(dummy::ConnectionHandler))
    }
}

/// Serves, if that is wanted. Networks that are neither peers nor vouched have no part in it.
pub(super) fn server(local: PeerId, wanted: bool) -> Toggle<Server> {
    let make = || {
        let config = relay::Config {
            max_reservations: RESERVATIONS_MAX,
            max_reservations_per_peer: RESERVATIONS_PER_PEER,
            reservation_duration: RESERVATION_TIME,
            max_circuits: CIRCUITS_MAX,
            max_circuits_per_peer: CIRCUITS_PER_PEER,
            max_circuit_duration: CIRCUIT_TIME,
            max_circuit_bytes: CIRCUIT_BYTES,
            ..relay::Config::default()
        };
        let mut inner = relay::Behaviour::new(local, config);
        // People have said so; it does not wait for others to confirm that we can be called.
        inner.set_status(Some(relay::Status::Enable));
        Served::new(inner, true)
    };
    wanted.then(make).into()
}

/// A place of ours at the node of a peer.
#[derive(Debug)]
struct Place {
    at: Multiaddr,
    stands: Stands,
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Kept { listener: ListenerId, since_ms: u64 },
    Due { at_ms: u64 },
}

/// Our places at peers, each asked for again when it is lost. Time (ms of a monotonic clock) and randomness come in as
/// arguments.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: Vec<Place>,
    policy: BackoffPolicy,
}

impl Places {
    /// Places that are due at once, at these circuit addresses ([`circuit_at`]).
    pub(super) fn new(at: impl IntoIterator<Item = Multiaddr>, policy: BackoffPolicy) -> Self {
        let due = |at| Place { at, stands: Stands::Due { at_ms: 0 }, attempts: 0 };
        Self { places: at.into_iter().map(due).collect(), policy }
    }

    /// When the next is to be asked for.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        let due = |place: &Place| match place.stands {
            Stands::Due { at_ms } => Some(at_ms),
            Stands::Kept { .. } => None,
        };
        self.places.iter().filter_map(due).min()
    }

    /// Asks for what is due by `listen`.
    pub(super) fn ask(
        &mut self,
        now_ms: u64,
        random: u64,
        mut listen: impl FnMut(Multiaddr) -> Option<ListenerId>,
    ) {
        for place in &mut self.places {
            if matches!(place.stands, Stands::Due { at_ms } if at_ms <= now_ms) {
                match listen(place.at.clone()) {
                    Some(listener) => place.stands = Stands::Kept { listener, since_ms: now_ms },
                    None => place.lost(self.policy, now_ms, random),
                }
            }
        }
    }

    /// A listener has closed: whether it was a place.
    pub(super) fn closed(&mut self, closed: ListenerId, now_ms: u64, random: u64) -> bool {
        let policy = self.policy;
        let is =
            |place: &&mut Place| matches!(place.stands, Stands::Kept { listener, .. } if listener == closed);
        let found = self.places.iter_mut().find(is);
        found.map(|place| place.lost(policy, now_ms, random)).is_some()
    }

    /// Whether a place of ours is to be at this node.
    pub(super) fn are_at(&self, node: &PeerId) -> bool {
        self.places.iter().any(|place| place.is_at(node))
    }

    /// There is a connection to this node now: what is due there is asked for at once.
    pub(super) fn connected(&mut self, node: &PeerId, now_ms: u64) {
        for place in self.places.iter_mut().filter(|place| place.is_at(node)) {
            if let Stands::Due { at_ms } = &mut place.stands {
                *at_ms = now_ms.min(*at_ms);
            }
        }
    }

    /// All are lost with the swarm.
    pub(super) fn start_over(&mut self, now_ms: u64) {
        self.places.iter_mut().for_each(|place| place.stands = Stands::Due { at_ms: now_ms });
    }
}

impl Place {
    fn is_at(&self, node: &PeerId) -> bool {
        let mut parts = self.at.iter();
        parts.any(|part| matches!(part, libp2p::multiaddr::Protocol::P2p(at) if at == *node))
    }

    fn lost(&mut self, policy: BackoffPolicy, now_ms: u64, random: u64) {
        if let Stands::Kept { since_ms, .. } = self.stands
            && now_ms.saturating_sub(since_ms) >= policy.stable_ms
        {
            self.attempts = 0;
        }
        self.stands = Stands::Due { at_ms: now_ms.saturating_add(policy.wait_ms(self.attempts, random)) };
        self.attempts = self.attempts.saturating_add(1);
    }
}

/// How long nothing may have been asked or answered before a circuit that is not needed any more is closed.
const QUIET_MS: u64 = 2_000;

/// Circuits beside which there is a direct connection now. Each is closed in a quiet moment, so that nothing that is under
/// way over it is lost.
#[derive(Debug, Default)]
pub(super) struct Spare {
    due_ms: HashMap<PeerId, u64>,
}

impl Spare {
    /// The circuits to somebody are not needed any more.
    pub(super) fn add(&mut self, peer: PeerId, now_ms: u64) {
        self.due_ms.insert(peer, now_ms.saturating_add(QUIET_MS));
    }

    /// Something was asked or answered.
    pub(super) fn touch(&mut self, peer: &PeerId, now_ms: u64) {
        if let Some(due_ms) = self.due_ms.get_mut(peer) {
            *due_ms = now_ms.saturating_add(QUIET_MS);
        }
    }

    /// When to look next.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.due_ms.values().min().copied()
    }

    /// Whose circuits may be closed now.
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<PeerId> {
        self.due_ms.extract_if(|_, due_ms| *due_ms <= now_ms).map(|(peer, _)| peer).collect()
    }

    /// All connections are gone.
    pub(super) fn clear(&mut self) {
        self.due_ms.clear();
    }
}

/// The circuit address of a place at the node with this address, which names its peer id at the end.
///
/// `None` without a peer id, or where the address is one of a circuit already.
#[must_use]
pub fn circuit_at(node: &Multiaddr) -> Option<Multiaddr> {
    use libp2p::multiaddr::Protocol;
    let ends_right = matches!(node.iter().last(), Some(Protocol::P2p(_)));
    let once =
        node.iter().filter(|part| matches!(part, Protocol::P2p(_) | Protocol::P2pCircuit)).count() == 1;
    (ends_right && once).then(|| node.clone().with(Protocol::P2pCircuit))
}

/// Whether an address is one of a circuit.
#[must_use]
pub fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, libp2p::multiaddr::Protocol::P2pCircuit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "/ip4/192.0.2.1/tcp/7600/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf";

    fn host() -> Multiaddr {
        HOST.parse().unwrap()
    }

    #[test]
    fn a_place_is_at_an_address_that_names_its_node_once() {
        let circuit = circuit_at(&host()).unwrap();
        assert!(is_circuit(&circuit) && !is_circuit(&host()));
        assert_eq!(circuit.to_string(), format!("{HOST}/p2p-circuit"));
        assert_eq!(circuit_at(&circuit), None);
        assert_eq!(circuit_at(&"/ip4/192.0.2.1/tcp/7600".parse().unwrap()), None);
        let twice = format!("{HOST}/p2p-circuit{}", &HOST[HOST.find("/p2p/").unwrap()..]);
        assert_eq!(circuit_at(&twice.parse().unwrap()), None);
    }

    #[test]
    fn a_spare_circuit_waits_for_a_quiet_moment() {
        let (mut spare, peer) = (Spare::default(), PeerId::random());
        spare.touch(&peer, 0);
        assert_eq!(spare.next_due_ms(), None);
        spare.add(peer, 0);
        spare.touch(&peer, 1_500);
        assert_eq!(spare.take_due(3_499), []);
        assert_eq!(spare.take_due(3_500), [peer]);
        assert_eq!(spare.next_due_ms(), None);
    }

    #[test]
    fn a_place_that_is_lost_is_asked_for_again_later_and_later() {
        let policy = BackoffPolicy { min_ms: 100, max_ms: 1_000, stable_ms: 5_000 };
        let mut places = Places::new([host()], policy);
        assert_eq!(places.next_due_ms(), Some(0));
        places.ask(0, 100, |_| None);
        assert_eq!(places.next_due_ms(), Some(100));
        let mut asked = 0;
        let listener = ListenerId::next();
        places.ask(99, 0, |_| unreachable!("not yet"));
        places.ask(100, 0, |_| {
            asked += 1;
            Some(listener)
        });
        assert_eq!((asked, places.next_due_ms()), (1, None));
        assert!(!places.closed(ListenerId::next(), 200, 200));
        assert!(places.closed(listener, 200, 200));
        assert_eq!(places.next_due_ms(), Some(400), "it had not lasted");
        places.ask(400, 0, |_| Some(listener));
        assert!(places.closed(listener, 6_000, 50));
        assert_eq!(places.next_due_ms(), Some(6_050), "it had lasted");
        assert!(!places.are_at(&PeerId::random()));
        places.connected(&PeerId::random(), 6_010);
        assert_eq!(places.next_due_ms(), Some(6_050));
        let host = host();
        let node = host.iter().last();
        let Some(libp2p::multiaddr::Protocol::P2p(node)) = node else {
            unreachable!("it ends with a peer id")
        };
        assert!(places.are_at(&node));
        places.connected(&node, 6_010);
        assert_eq!(places.next_due_ms(), Some(6_010), "a connection is the time to ask");
        places.start_over(7_000);
        assert_eq!(places.next_due_ms(), Some(7_000));
    }
}
