//! What we do for peers and vouched networks alone: a behaviour in which strangers' connections have no part.
//!
//! What a connection has a part in is decided when it is made, so one whose other end becomes a peer, or is none any more,
//! has to be made anew: at once, or when whoever owns this finds that nothing is under way. What must hold: a stranger finds no such protocol; when somebody served asks us to call, it is itself that
//! we call, at an IP address from which it speaks.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

use super::circuits::is_circuit;

/// How long a call may take that somebody has asked for: whoever asks waits ten seconds, most of them for the line.
const CALL_TIME: Duration = Duration::from_secs(4);

/// Failed calls of which the swarm may still tell.
const FAILED_MAX: usize = 64;

/// A behaviour that can leave a connection out.
pub(super) trait LeavesOut: NetworkBehaviour {
    /// The handler of a connection that has no part in it.
    fn no_part(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        at: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied>;
}

/// Somebody wants us to call where they do not speak from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tried to make us call an address that is not where they speak from")]
struct NotTheirs;

/// A connection that stands.
struct Standing {
    peer: PeerId,
    has_part: bool,
    /// From where it comes.
    ip: Option<IpAddr>,
}

/// A behaviour that serves some.
pub(super) struct Served<B> {
    inner: B,
    /// Whether connections are made anew at once.
    at_once: bool,
    served: HashSet<PeerId>,
    connections: HashMap<ConnectionId, Standing>,
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Calls that somebody served has asked for, and the connections that came of them.
    asked: HashSet<ConnectionId>,
    /// Those that failed: the swarm tells of most of them, and of some it does not.
    failed: VecDeque<ConnectionId>,
    /// Ends of the time that calls have.
    calling: FuturesUnordered<BoxFuture<'static, (ConnectionId, Option<PeerId>)>>,
}

impl<B: LeavesOut> Served<B> {
    pub(super) fn new(inner: B, at_once: bool) -> Self {
        Self {
            inner,
            at_once,
            served: HashSet::new(),
            connections: HashMap::new(),
            closing: VecDeque::new(),
            asked: HashSet::new(),
            failed: VecDeque::new(),
            calling: FuturesUnordered::new(),
        }
    }

    /// Serves somebody from now on, or no more.
    pub(super) fn serve(&mut self, peer: PeerId, serves: bool) {
        if serves {
            self.served.insert(peer);
        } else {
            self.served.remove(&peer);
        }
        if self.at_once {
            let changed =
                self.connections.iter().filter(|(_, one)| one.peer == peer && one.has_part != serves);
            self.closing.extend(changed.map(|(id, one)| (one.peer, *id)));
        }
    }

    /// Connections from other machines in which somebody would have a part, were they made now.
    pub(super) fn stale(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let serves = self.served.contains(peer);
        let stale = self.connections.iter().filter(|(_, one)| one.peer == *peer && serves && !one.has_part);
        stale.filter(|(_, one)| one.ip.is_some_and(|ip| !ip.is_loopback())).map(|(id, _)| *id).collect()
    }

    /// Whether somebody served has asked for this call.
    pub(super) fn was_asked_for(&self, id: ConnectionId) -> bool {
        self.asked.contains(&id)
    }

    /// The same of one that has ended, the last time.
    pub(super) fn take_call(&mut self, id: ConnectionId) -> bool {
        let place = self.failed.iter().position(|one| *one == id);
        self.asked.remove(&id) || place.and_then(|place| self.failed.remove(place)).is_some()
    }

    fn part(
        &mut self,
        id: ConnectionId,
        (peer, remote): (PeerId, &Multiaddr),
        make: impl FnOnce(&mut B) -> Result<THandler<B>, ConnectionDenied>,
    ) -> Result<THandler<B>, ConnectionDenied> {
        let has_part = self.served.contains(&peer);
        let ip = ip_of(remote).filter(|_| !self.asked.contains(&id));
        self.connections.insert(id, Standing { peer, has_part, ip });
        if has_part { make(&mut self.inner) } else { self.inner.no_part(id, peer, remote) }
    }

    fn has_part(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|one| one.has_part)
    }

    /// Whether somebody speaks from the IP address of every one of these.
    fn speaks_from(&self, peer: Option<PeerId>, addresses: &[Multiaddr]) -> bool {
        let theirs = self.connections.values().filter(|one| Some(one.peer) == peer);
        let homes: HashSet<IpAddr> = theirs.filter_map(|one| one.ip).collect();
        let mut addresses = addresses.iter();
        addresses.all(|at| !is_circuit(at) && ip_of(at).is_some_and(|ip| homes.contains(&ip)))
    }
}

/// The IP address that an address begins with.
fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) if !is_circuit(address) => Some(ip.into()),
        Protocol::Ip6(ip) if !is_circuit(address) => Some(ip.into()),
        _ => None,
    }
}

impl<B: LeavesOut> NetworkBehaviour for Served<B> {
    type ConnectionHandler = THandler<B>;
    type ToSwarm = B::ToSwarm;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let make = |inner: &mut B| inner.handle_established_inbound_connection(id, peer, local, remote);
        self.part(id, (peer, remote), make)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.asked.contains(&id) && !self.speaks_from(peer, addresses) {
            return Err(ConnectionDenied::new(NotTheirs));
        }
        self.inner.handle_pending_outbound_connection(id, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let make =
            |inner: &mut B| inner.handle_established_outbound_connection(id, peer, address, role, port);
        self.part(id, (peer, address), make)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let gone = match &event {
            FromSwarm::ConnectionEstablished(made) if !self.has_part(made.connection_id) => return,
            FromSwarm::ConnectionClosed(closed) => {
                let has = self.has_part(closed.connection_id);
                self.connections.remove(&closed.connection_id);
                Some(has)
            }
            // A later behaviour has denied what we had counted.
            FromSwarm::DialFailure(failed) => {
                self.connections.remove(&failed.connection_id);
                if self.asked.remove(&failed.connection_id) {
                    self.failed.push_back(failed.connection_id);
                    let old = self.failed.len().saturating_sub(FAILED_MAX);
                    self.failed.drain(..old);
                }
                None
            }
            FromSwarm::ListenFailure(failed) => {
                self.connections.remove(&failed.connection_id);
                None
            }
            _ => None,
        };
        if gone != Some(false) {
            self.inner.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<B::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, id)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
        }
        while let Poll::Ready(Some((connection_id, peer_id))) = self.calling.poll_next_unpin(cx) {
            if self.asked.contains(&connection_id) && !self.connections.contains_key(&connection_id) {
                let error = &DialError::Aborted;
                let failure = DialFailure { peer_id, error, connection_id };
                self.inner.on_swarm_event(FromSwarm::DialFailure(failure));
            }
        }
        let polled = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::Dial { opts }) = &polled {
            let (id, peer) = (opts.connection_id(), opts.get_peer_id());
            self.asked.insert(id);
            self.calling.push(Box::pin(async move {
                tokio::time::sleep(CALL_TIME).await;
                (id, peer)
            }));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::{autonat, swarm::dial_opts::DialOpts};

    type Callers = Served<autonat::v2::server::Behaviour>;

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    /// Somebody who speaks from this address, and a call that was asked for.
    fn asked(from: &str) -> (Callers, PeerId, ConnectionId) {
        let (mut callers, peer) =
            (Served::new(autonat::v2::server::Behaviour::default(), false), PeerId::random());
        callers.serve(peer, true);
        let here = at("/ip4/192.0.2.9/tcp/7600");
        let id = DialOpts::peer_id(peer).build().connection_id();
        callers.handle_established_inbound_connection(id, peer, &here, &at(from)).unwrap();
        let call = DialOpts::peer_id(peer).build().connection_id();
        callers.asked.insert(call);
        (callers, peer, call)
    }

    #[test]
    fn who_asks_to_be_called_is_called_where_it_speaks_from_and_nowhere_else() {
        let (mut callers, peer, call) = asked("/ip4/192.0.2.1/tcp/50000");
        let mut calls = |peer, id, to: &str| {
            callers.handle_pending_outbound_connection(id, Some(peer), &[at(to)], Endpoint::Dialer).is_ok()
        };
        assert!(calls(peer, call, "/ip4/192.0.2.1/tcp/7600"));
        assert!(calls(peer, call, "/ip4/192.0.2.1/udp/7600/quic-v1"));
        for elsewhere in ["/ip4/192.0.2.2/tcp/7600", "/ip4/127.0.0.1/tcp/22", "/dns4/example.org/tcp/7600"] {
            assert!(!calls(peer, call, elsewhere), "{elsewhere}");
        }
        let over = format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        assert!(!calls(peer, call, &over));
        assert!(!calls(PeerId::random(), call, "/ip4/192.0.2.1/tcp/7600"), "of somebody else");
        // What we ourselves want is not judged.
        let own = DialOpts::peer_id(peer).build().connection_id();
        assert!(calls(peer, own, "/ip4/192.0.2.2/tcp/7600"));
    }

    #[test]
    fn over_a_circuit_nobody_speaks_from_an_address_of_its_own() {
        let relayed = format!("/ip4/192.0.2.1/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        let (mut callers, peer, call) = asked(&relayed);
        let to = at("/ip4/192.0.2.1/tcp/7600");
        let refused = callers.handle_pending_outbound_connection(call, Some(peer), &[to], Endpoint::Dialer);
        assert!(refused.is_err());
    }
}
