//! Whether others can call us: peers try it (AutoNAT v2), and a router opens a port when people want that (UPnP)
//! (specs/network.md §16).
//!
//! What must hold: only what peers and vouched networks have seen of us is tried, a few addresses and each twice at the most, so
//! that nobody can make us and our peers call around; nothing is asked of a router unless people have said so.

use std::{
    collections::HashMap,
    net::IpAddr,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, autonat,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::toggle::Toggle,
    },
    upnp,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::clock::Clock;

use super::{
    circuits::is_circuit,
    served::{LeavesOut, Served},
};

/// Addresses that are tried in a run: TCP and QUIC over IPv4 and IPv6, and one change of each.
const TRIED_MAX: usize = 8;

/// We call others back who want to know whether they can be called.
pub(super) type Callers = Served<autonat::v2::server::Behaviour>;

impl LeavesOut for autonat::v2::server::Behaviour {
    fn no_part(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        at: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // Of a connection that we made it wants nothing, unless somebody has asked for it.
        self.handle_established_outbound_connection(id, peer, at, Endpoint::Dialer, PortUse::New)
    }
}

/// Calls others back, if that is wanted.
pub(super) fn callers(wanted: bool) -> Toggle<Callers> {
    wanted.then(|| Served::new(autonat::v2::server::Behaviour::default(), false)).into()
}

/// The numbers by which calls are known cannot be guessed.
type Asking = autonat::v2::client::Behaviour<ChaCha20Rng>;

/// Asks peers to call us back.
pub(super) struct Checks {
    inner: Asking,
    /// Addresses that are tried, and whether they are tried again.
    tried: HashMap<Multiaddr, bool>,
}

impl Checks {
    /// Asks so often, if that is wanted. What came to no end, as on a slow line, is asked again then.
    pub(super) fn new(every: Option<Duration>) -> Toggle<Self> {
        let make = |every| {
            let config = autonat::v2::client::Config::default().with_probe_interval(every);
            let random = ChaCha20Rng::from_seed(Clock.random());
            Self { inner: Asking::new(random, config), tried: HashMap::new() }
        };
        every.map(make).into()
    }

    /// Others may reach us there: somebody is asked to try.
    pub(super) fn may_be_at(&mut self, address: &Multiaddr) {
        if self.tried.len() < TRIED_MAX && !self.tried.contains_key(address) {
            self.tried.insert(address.clone(), false);
            self.ask(address);
        }
    }

    /// Something has changed, or a call may have failed by chance: what was tried is tried once more.
    pub(super) fn again_at(&mut self, address: &Multiaddr, us: PeerId) {
        if let Some(again @ false) = self.tried.get_mut(address) {
            *again = true;
            // The library tries each address once; with our name at its end it is another one to it.
            self.ask(&address.clone().with(Protocol::P2p(us)));
        }
    }

    /// The router lets others in there: it is tried, also when that was done before it did.
    pub(super) fn is_open_at(&mut self, address: &Multiaddr, us: PeerId) {
        if self.tried.contains_key(address) {
            self.again_at(address, us);
        } else {
            self.may_be_at(address);
        }
    }

    fn ask(&mut self, address: &Multiaddr) {
        let candidate = NewExternalAddrCandidate { addr: address };
        self.inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
    }
}

/// An address without a name at its end.
pub(super) fn nameless(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

impl NetworkBehaviour for Checks {
    type ConnectionHandler = THandler<Asking>;
    type ToSwarm = autonat::v2::client::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // Whoever connects can say where it sees us; whom we listen to is decided by `may_be_at`.
        if !matches!(event, FromSwarm::NewExternalAddrCandidate(_)) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

/// Asks the router to open a port, if that is wanted.
pub(super) fn router(wanted: bool) -> Toggle<upnp::tokio::Behaviour> {
    wanted.then(upnp::tokio::Behaviour::default).into()
}

/// What a router does for us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Router {
    /// It is not asked.
    #[default]
    NotAsked,
    /// Nothing was heard yet.
    Asked,
    /// None answers.
    None,
    /// One answers, and has no public address itself.
    NotPublic,
    /// It lets others in.
    Opens,
}

/// Somebody has tried to call us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Where.
    pub at: Multiaddr,
    /// Who.
    pub by: PeerId,
    /// Whether that worked.
    pub worked: bool,
}

/// Whether others can call us, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether peers are asked to try.
    pub checks: bool,
    /// Whether people have said where others reach us.
    pub told: bool,
    /// What came of it, the latest last.
    pub called: Vec<Called>,
    /// What the router does.
    pub router: Router,
    /// Addresses that it leads to us, and others that are proven, beside those at which we listen.
    pub found: Vec<Multiaddr>,
}

impl Reach {
    /// Whether somebody has called us, nobody could, or nobody has tried.
    #[must_use]
    pub fn can_be_called(&self) -> Option<bool> {
        (!self.called.is_empty()).then(|| self.called.iter().any(|one| one.worked))
    }

    pub(super) fn add(&mut self, called: Called) {
        self.called.retain(|one| one.at != called.at);
        self.called.push(called);
    }
}

/// Where others may reach us, when somebody sees us at an address: there, at each port at which we listen.
pub(super) fn may_be_at(seen: &Multiaddr, listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let ip = |address: &Multiaddr| match address.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(IpAddr::from(ip)),
        Some(Protocol::Ip6(ip)) => Some(IpAddr::from(ip)),
        _ => None,
    };
    let Some(seen_ip) = ip(seen).filter(|ip| !ip.is_loopback() && !is_circuit(seen)) else {
        return Vec::new();
    };
    let same =
        |one: &&Multiaddr| ip(one).is_some_and(|ip| ip.is_ipv4() == seen_ip.is_ipv4()) && !is_circuit(one);
    let there = |one: &Multiaddr| one.replace(0, |_| seen.iter().next().map(|part| part.acquire()));
    let mut all: Vec<Multiaddr> = listening.iter().filter(same).filter_map(there).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_sees_us_at_an_address_may_reach_us_there_at_our_own_ports() {
        let listening = [
            at("/ip4/10.0.0.5/tcp/7600"),
            at("/ip4/127.0.0.1/tcp/7600"),
            at("/ip4/10.0.0.5/udp/7601/quic-v1"),
            at("/ip6/fe80::1/tcp/7600"),
            at(&format!("/ip4/192.0.2.7/tcp/1/p2p/{}/p2p-circuit", PeerId::random())),
        ];
        let may = may_be_at(&at("/ip4/203.0.113.9/tcp/51234"), &listening);
        assert_eq!(may, [at("/ip4/203.0.113.9/tcp/7600"), at("/ip4/203.0.113.9/udp/7601/quic-v1")]);
        assert!(may_be_at(&at("/ip4/127.0.0.1/tcp/51234"), &listening).is_empty());
        assert!(may_be_at(&listening[4], &listening).is_empty());
        assert!(may_be_at(&at("/dns4/example.org/tcp/1"), &listening).is_empty());
    }

    #[test]
    fn a_few_addresses_are_tried() {
        let mut checks = Checks::new(Some(Duration::from_secs(60)));
        let checks = checks.as_mut().unwrap();
        for n in 0..100 {
            checks.may_be_at(&at(&format!("/ip4/203.0.113.{n}/tcp/7600")));
            checks.may_be_at(&at("/ip4/203.0.113.0/tcp/7600"));
        }
        assert_eq!(checks.tried.len(), TRIED_MAX);
    }

    #[test]
    fn what_has_failed_or_was_tried_before_the_router_let_others_in_is_tried_once_more() {
        let mut checks = Checks::new(Some(Duration::from_secs(60)));
        let (checks, us) = (checks.as_mut().unwrap(), PeerId::random());
        let address = at("/ip4/203.0.113.9/tcp/7600");
        checks.again_at(&address, us);
        assert!(checks.tried.is_empty());
        checks.is_open_at(&address, us);
        assert_eq!(checks.tried, HashMap::from([(address.clone(), false)]));
        for _ in 0..3 {
            checks.again_at(&address, us);
            checks.is_open_at(&address, us);
        }
        assert_eq!(checks.tried, HashMap::from([(address.clone(), true)]));
        let named = address.clone().with(Protocol::P2p(us));
        assert_eq!((nameless(named), nameless(address.clone())), (address.clone(), address));
    }

    #[test]
    fn what_is_known_is_what_was_tried_last_at_each_address() {
        let mut reach = Reach::default();
        assert_eq!(reach.can_be_called(), None);
        let called = |worked| Called { at: at("/ip4/203.0.113.9/tcp/1"), by: PeerId::random(), worked };
        reach.add(called(true));
        assert_eq!(reach.can_be_called(), Some(true));
        reach.add(called(false));
        assert_eq!((reach.can_be_called(), reach.called.len()), (Some(false), 1));
    }
}
