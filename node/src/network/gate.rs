//! The gate: how many strangers may connect, and whose connections are kept open.
//!
//! Inbound connections of peers that are not known are bounded apart from all others, so that
//! strangers cannot take the places of peers. A connection to a known peer is kept however idle.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse, upgrade::DeniedUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandlerInEvent, ToSwarm,
        handler::ConnectionEvent,
    },
};

/// An unknown peer called, and all places for unknown peers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tried to accept an unknown peer beside {connected}, {allowed} are allowed")]
pub(super) struct TooManyUnknown {
    connected: usize,
    allowed: usize,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    inbound: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    max_unknown_inbound: usize,
    known: HashSet<PeerId>,
    connections: HashMap<ConnectionId, Connection>,
    notices: VecDeque<(PeerId, ConnectionId, KeepOpen)>,
}

/// Whether a connection stays open without streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeepOpen(bool);

impl Gate {
    pub(super) fn new(max_unknown_inbound: usize, known: impl IntoIterator<Item = PeerId>) -> Self {
        Self {
            max_unknown_inbound,
            known: known.into_iter().collect(),
            connections: HashMap::new(),
            notices: VecDeque::new(),
        }
    }

    /// Makes a peer known or unknown; its standing connections follow. The swarm must be polled
    /// afterwards, which its owner does after every command.
    pub(super) fn set_known(&mut self, peer: PeerId, known: bool) {
        let changed = if known { self.known.insert(peer) } else { self.known.remove(&peer) };
        if changed {
            let of_peer = self.connections.iter().filter(|(_, connection)| connection.peer == peer);
            self.notices.extend(of_peer.map(|(id, _)| (peer, *id, KeepOpen(known))));
        }
    }

    /// How many connections to this peer stand.
    pub(super) fn connections_to(&self, peer: &PeerId) -> usize {
        self.connections.values().filter(|connection| connection.peer == *peer).count()
    }

    fn unknown_inbound(&self) -> usize {
        let unknown = |connection: &&Connection| connection.inbound && !self.known.contains(&connection.peer);
        self.connections.values().filter(unknown).count()
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Keeper;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Keeper, ConnectionDenied> {
        let known = self.known.contains(&peer);
        let (connected, allowed) = (self.unknown_inbound(), self.max_unknown_inbound);
        if !known && connected >= allowed {
            return Err(ConnectionDenied::new(TooManyUnknown { connected, allowed }));
        }
        Ok(Keeper { open: KeepOpen(known) })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Keeper, ConnectionDenied> {
        Ok(Keeper { open: KeepOpen(self.known.contains(&peer)) })
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let connection =
                    Connection { peer: established.peer_id, inbound: established.endpoint.is_listener() };
                self.connections.insert(established.connection_id, connection);
            }
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
