//! The gate: how many strangers may connect, how fast, and whose connections are kept open.
//!
//! Inbound connections of each tier below peers are bounded apart, so that strangers cannot take the places of peers.
//! New connections from one address are slowed before any handshake is made: a key costs nothing, an address does.
//! A connection to a peer is kept however idle. What is half sent over a connection is bounded by the tier.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse, upgrade::DeniedUpgrade},
    multiaddr,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandlerInEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};
use tokio::time::Instant;

use super::{
    config::Limits,
    frame::{NextReading, Reading},
    limits::Tap,
    tier::Tier,
};

/// New connections from one address a second, and at once: a large network that starts again with all its peers behind
/// one address is not slowed. Who turns out to be a peer is not counted.
const NEW_PER_S: u64 = 8;
const NEW_AT_ONCE: u64 = 64;
/// Handshakes under way from one address: some of all places.
const HANDSHAKES_PER_ADDRESS: usize = 16;
/// Addresses that are counted apart; those beyond share one count.
const ADDRESSES_MAX: usize = 4_096;

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shut {
    /// All places of its tier are taken.
    #[error("tried to accept a network that is {} beside {connected} others, {allowed} are allowed", .tier.name())]
    Full { tier: Tier, connected: usize, allowed: usize },
    /// Its address calls too often.
    #[error("more than {NEW_PER_S} new connections a second from one address")]
    TooFast,
    /// Its address has too many handshakes under way.
    #[error("{HANDSHAKES_PER_ADDRESS} handshakes are under way from one address")]
    Handshakes,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    inbound: bool,
    reading: Arc<Reading>,
}

/// Calls from one address.
#[derive(Debug)]
struct Calls {
    new: Tap,
    handshakes: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    max_inbound: [usize; 2],
    tiers: HashMap<PeerId, Tier>,
    connections: HashMap<ConnectionId, Connection>,
    notices: VecDeque<(PeerId, ConnectionId, KeepOpen)>,
    calls: HashMap<Option<IpAddr>, Calls>,
    calling: HashMap<ConnectionId, Option<IpAddr>>,
    next: NextReading,
    started: Instant,
}

/// Whether a connection stays open without streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeepOpen(bool);

impl Gate {
    pub(super) fn new(
        limits: &Limits,
        tiers: impl IntoIterator<Item = (PeerId, Tier)>,
        next: NextReading,
    ) -> Self {
        Self {
            max_inbound: [limits.max_unknown_inbound, limits.max_vouched_inbound],
            tiers: tiers.into_iter().filter(|(_, tier)| *tier != Tier::Unknown).collect(),
            connections: HashMap::new(),
            notices: VecDeque::new(),
            calls: HashMap::new(),
            calling: HashMap::new(),
            next,
            started: Instant::now(),
        }
    }

    /// Gives somebody a tier; its standing connections follow. The swarm must be polled
    /// afterwards, which its owner does after every command.
    pub(super) fn set_tier(&mut self, peer: PeerId, tier: Tier) {
        let before = match tier {
            Tier::Unknown => self.tiers.remove(&peer),
            Tier::Vouched | Tier::Peer => self.tiers.insert(peer, tier),
        };
        if before.unwrap_or(Tier::Unknown) != tier {
            for (id, connection) in self.connections.iter().filter(|(_, of)| of.peer == peer) {
                connection.reading.set_cap(tier.reading_cap());
                self.notices.push_back((peer, *id, KeepOpen(tier == Tier::Peer)));
            }
        }
    }

    fn tier(&self, peer: &PeerId) -> Tier {
        self.tiers.get(peer).copied().unwrap_or(Tier::Unknown)
    }

    /// How many connections to this peer stand.
    pub(super) fn connections_to(&self, peer: &PeerId) -> usize {
        self.connections.values().filter(|connection| connection.peer == *peer).count()
    }

    /// How many connections stand to each tier, in the order of [`Tier::ALL`].
    pub(super) fn connections_by_tier(&self) -> [usize; Tier::ALL.len()] {
        Tier::ALL.map(|tier| self.connections.values().filter(|of| self.tier(&of.peer) == tier).count())
    }

    fn inbound(&self, tier: Tier) -> usize {
        let of_tier = |connection: &&Connection| connection.inbound && self.tier(&connection.peer) == tier;
        self.connections.values().filter(of_tier).count()
    }

    fn admit(&self, peer: &PeerId) -> Result<Tier, ConnectionDenied> {
        let tier = self.tier(peer);
        let allowed = match tier {
            Tier::Unknown => self.max_inbound[0],
            Tier::Vouched => self.max_inbound[1],
            Tier::Peer => return Ok(tier),
        };
        let connected = self.inbound(tier);
        if connected >= allowed {
            return Err(ConnectionDenied::new(Shut::Full { tier, connected, allowed }));
        }
        Ok(tier)
    }

    /// The part of a connection; the codecs of its exchanges are made right after it and take up its bound.
    fn keeper(&self, tier: Tier) -> Keeper {
        self.next.lay(Arc::new(Reading::new(tier.reading_cap())));
        Keeper { open: KeepOpen(tier == Tier::Peer) }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn call(&mut self, id: ConnectionId, from: Option<IpAddr>, now_ms: u64) -> Result<(), Shut> {
        if self.calls.len() >= ADDRESSES_MAX && !self.calls.contains_key(&from) {
            self.calls.retain(|_, calls| calls.handshakes > 0 || !calls.new.is_full(now_ms));
        }
        let from =
            if self.calls.len() < ADDRESSES_MAX || self.calls.contains_key(&from) { from } else { None };
        let fresh = || Calls { new: Tap::full(NEW_PER_S, NEW_AT_ONCE, now_ms), handshakes: 0 };
        let calls = self.calls.entry(from).or_insert_with(fresh);
        if calls.handshakes >= HANDSHAKES_PER_ADDRESS {
            return Err(Shut::Handshakes);
        }
        if !calls.new.take(now_ms) {
            return Err(Shut::TooFast);
        }
        calls.handshakes += 1;
        self.calling.insert(id, from);
        Ok(())
    }

    fn called(&mut self, id: ConnectionId, is_peer: bool) {
        let Some(from) = self.calling.remove(&id) else { return };
        let Some(calls) = self.calls.get_mut(&from) else { return };
        calls.handshakes = calls.handshakes.saturating_sub(1);
        if is_peer {
            calls.new.give_back();
        }
    }
}

/// Whom a call is counted for: an address, of IPv6 what one line has.
fn caller(remote: &Multiaddr) -> Option<IpAddr> {
    remote.iter().find_map(|part| match part {
        multiaddr::Protocol::Ip4(address) => Some(IpAddr::V4(address)),
        multiaddr::Protocol::Ip6(address) => {
            let line = u128::from(address) >> 64 << 64;
            Some(IpAddr::V6(line.into()))
        }
        _ => None,
    })
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Keeper;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.call(id, caller(remote), self.now_ms()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Keeper, ConnectionDenied> {
        let tier = self.admit(&peer)?;
        Ok(self.keeper(tier))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Keeper, ConnectionDenied> {
        Ok(self.keeper(self.tier(&peer)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let peer = established.peer_id;
                self.called(established.connection_id, self.tier(&peer) == Tier::Peer);
                let inbound = established.endpoint.is_listener();
                let connection = Connection { peer, inbound, reading: self.next.get() };
                self.connections.insert(established.connection_id, connection);
            }
            FromSwarm::ListenFailure(failed) => self.called(failed.connection_id, false),
            FromSwarm::ConnectionClosed(closed) => {
                self.connections.remove(&closed.connection_id);
                self.notices.retain(|(_, connection, _)| *connection != closed.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.notices.pop_front() {
            Some((peer_id, connection, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            }),
            None => Poll::Pending,
        }
    }
}

/// The gate's part in each connection: it only says whether to keep it open.
#[derive(Debug)]
pub(super) struct Keeper {
    open: KeepOpen,
}

impl ConnectionHandler for Keeper {
    type FromBehaviour = KeepOpen;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.open.0
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, open: KeepOpen) {
        self.open = open;
    }

    fn on_connection_event(&mut self, _: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(&Limits::default(), [], NextReading::new(0))
    }

    #[test]
    fn an_address_that_calls_too_fast_waits_and_others_do_not() {
        let mut gate = gate();
        let (one, other) = (
            caller(&"/ip4/192.0.2.1/tcp/7".parse().unwrap()),
            caller(&"/ip4/192.0.2.2/tcp/7".parse().unwrap()),
        );
        for n in 0..NEW_AT_ONCE {
            let id = ConnectionId::new_unchecked(usize::try_from(n).unwrap());
            assert_eq!(gate.call(id, one, 0), Ok(()));
            gate.called(id, false);
        }
        let late = ConnectionId::new_unchecked(1_000);
        assert_eq!(gate.call(late, one, 124), Err(Shut::TooFast));
        assert_eq!(gate.call(late, other, 124), Ok(()));
        gate.called(late, true);
        assert_eq!(gate.call(late, one, 125), Ok(()));
        gate.called(late, true);
        assert_eq!(gate.call(late, one, 125), Ok(()), "who turns out to be a peer is not counted");
    }

    #[test]
    fn handshakes_that_never_end_take_few_places() {
        let mut gate = gate();
        let line = caller(&"/ip6/2001:db8::1/tcp/7".parse().unwrap());
        assert_eq!(line, caller(&"/ip6/2001:db8::ffff:2/tcp/9".parse().unwrap()), "one line, many addresses");
        for n in 0..HANDSHAKES_PER_ADDRESS {
            assert_eq!(gate.call(ConnectionId::new_unchecked(n), line, 0), Ok(()));
        }
        let next = ConnectionId::new_unchecked(99);
        assert_eq!(gate.call(next, line, 0), Err(Shut::Handshakes));
        gate.called(ConnectionId::new_unchecked(0), false);
        assert_eq!(gate.call(next, line, 0), Ok(()));
    }
}
