//! Commands, and dialling.

use libp2p::{
    Multiaddr, PeerId, Swarm, dcutr,
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use rand_core::Rng;
use tokio::sync::oneshot;

use super::{DialWaiter, NetworkTask};
use crate::network::{
    behaviour::Behaviour,
    counters::count,
    handle::{Command, ControlError, DialFailure, Gauges, RequestError},
    peers::KNOWN_PEERS_MAX,
    tier::Tier,
};

/// Callers that wait for a single dial at once: pairing is done by hand.
const DIALS_ONCE_MAX: usize = 32;

impl NetworkTask {
    pub(super) fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        // Whoever gave a command may have stopped waiting for its result.
        match command {
            Command::Request(job) => self.on_job(swarm, job),
            Command::SetPeer { peer, addresses, done } => {
                let _ = done.send(self.set_peer(swarm, peer, addresses));
            }
            Command::ForgetPeer { peer, done } => {
                self.roster.forget(&peer);
                swarm.behaviour_mut().set_tier(peer, self.roster.tier(&peer));
                let _ = done.send(());
            }
            Command::Disconnect { peer, done } => {
                // An error says that there was no connection.
                let _ = swarm.disconnect_peer_id(peer);
                let _ = done.send(());
            }
            Command::Block { peer, done } => {
                self.roster.block(peer);
                swarm.behaviour_mut().block(peer);
                let _ = done.send(());
            }
            Command::SetVouched { vouched, done } => {
                for peer in self.roster.set_vouched(vouched) {
                    swarm.behaviour_mut().set_tier(peer, self.roster.tier(&peer));
                }
                let _ = done.send(());
            }
            Command::Unblock { peer, done } => {
                self.conduct.forgive(&peer);
                swarm.behaviour_mut().unblock(peer);
                self.roster.unblock(&peer, self.now_ms());
                let _ = done.send(());
            }
            Command::DialOnce { peer, addresses, done } => self.dial_once(swarm, peer, addresses, done),
            Command::Look { done } => {
                let connections = swarm.behaviour().connections_by_tier();
                let over_circuits = self.over_circuits.len();
                let _ = done.send(Gauges { connections, over_circuits, ..self.gauges() });
            }
            Command::ConnectedPeers { done } => {
                let _ = done.send(swarm.connected_peers().copied().collect());
            }
            Command::Shutdown => {}
            #[cfg(test)]
            Command::Panic => panic!("asked for by a test"),
        }
    }

    /// Carries out what concerns the roster alone, and refuses the rest.
    pub(super) fn on_command_without_swarm(&mut self, command: Command) {
        let now_ms = self.now_ms();
        match command {
            Command::Request(job) => {
                let _ = job.reply.send(Err(RequestError::NotConnected));
            }
            Command::SetPeer { peer, addresses, done } => {
                let _ = done.send(self.know(peer, addresses, false));
            }
            Command::ForgetPeer { peer, done } => {
                self.roster.forget(&peer);
                let _ = done.send(());
            }
            Command::Disconnect { done, .. } => {
                let _ = done.send(());
            }
            Command::Block { peer, done } => {
                self.roster.block(peer);
                let _ = done.send(());
            }
            Command::SetVouched { vouched, done } => {
                self.roster.set_vouched(vouched);
                let _ = done.send(());
            }
            Command::Unblock { peer, done } => {
                self.conduct.forgive(&peer);
                self.roster.unblock(&peer, now_ms);
                let _ = done.send(());
            }
            Command::DialOnce { peer, done, .. } => {
                let reason = "the network layer is starting again".to_owned();
                let _ = done.send(Err(DialFailure::Unreachable { peer, reason }));
            }
            Command::Look { done } => {
                let _ = done.send(self.gauges());
            }
            Command::ConnectedPeers { done } => {
                let _ = done.send(Vec::new());
            }
            Command::Shutdown => {}
            #[cfg(test)]
            Command::Panic => {}
        }
    }

    fn gauges(&self) -> Gauges {
        Gauges {
            connections: [0; Tier::ALL.len()],
            over_circuits: 0,
            in_flight: self.in_flight.len(),
            waiting: self.windows.waiting(),
            unanswered: self.unanswered.len(),
            known: self.roster.known().count(),
            vouched: self.roster.vouched(),
            blocked: self.roster.blocked().count(),
        }
    }

    fn know(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, connected: bool) -> Result<(), ControlError> {
        if peer == self.local_peer_id {
            return Err(ControlError::OwnIdentity);
        }
        self.roster
            .set(peer, addresses, connected, self.now_ms())
            .map_err(|_| ControlError::TooManyPeers { allowed: KNOWN_PEERS_MAX })
    }

    fn set_peer(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), ControlError> {
        self.know(peer, addresses, swarm.is_connected(&peer))?;
        swarm.behaviour_mut().set_tier(peer, self.roster.tier(&peer));
        if !swarm.behaviour().cannot_ask(&peer).is_empty() {
            self.spare.add(peer, self.now_ms());
        }
        Ok(())
    }

    pub(super) fn dial_due(&mut self, swarm: &mut Swarm<Behaviour>) {
        for (peer, addresses) in self.roster.take_due(self.now_ms()) {
            let condition = PeerCondition::DisconnectedAndNotDialing;
            let options = dial_options(peer, addresses, condition, self.places.are_at(&peer));
            let connection = options.connection_id();
            if let Err(error) = swarm.dial(options) {
                self.on_dial_failed(connection, Some(peer), &error);
            }
        }
    }

    /// Asks peers for the places that are due.
    pub(super) fn ask_for_places(&mut self, swarm: &mut Swarm<Behaviour>) {
        let (now_ms, random) = (self.now_ms(), self.jitter.next_u64());
        self.places.ask(now_ms, random, |at| {
            let listener = swarm.listen_on(at.clone());
            listener.inspect_err(|error| tracing::warn!(%at, %error, "no place can be asked for")).ok()
        });
    }

    /// Two ends of a circuit have tried to connect directly.
    pub(super) fn on_tried_directly(&mut self, tried: &dcutr::Event) {
        let peer = tried.remote_peer_id;
        match &tried.result {
            Ok(_) => {
                count(&self.meter.circuits_spared);
                self.spare.add(peer, self.now_ms());
            }
            Err(error) => tracing::debug!(%peer, %error, "no direct connection, the circuit stays"),
        }
    }

    /// Closes connections that are not needed any more, and those that are better made anew, where nothing is under way.
    pub(super) fn close_spare(&mut self, swarm: &mut Swarm<Behaviour>) {
        let now_ms = self.now_ms();
        for peer in self.spare.take_due(now_ms) {
            let asking = self.in_flight.values().any(|request| request.peer == peer);
            if asking || self.answering.contains_key(&peer) {
                self.spare.add(peer, now_ms);
                continue;
            }
            for connection in swarm.behaviour().cannot_ask(&peer) {
                swarm.close_connection(connection);
            }
            let spared = self.over_circuits.iter().chain(&self.called_back);
            let spared: Vec<_> = spared.filter(|(_, of)| **of == peer).map(|(id, _)| *id).collect();
            // The connection beside them may be gone again.
            if swarm.behaviour().connections_to(&peer) > spared.len() {
                for connection in spared {
                    swarm.close_connection(connection);
                }
            }
        }
    }

    fn dial_once(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        done: oneshot::Sender<Result<(), DialFailure>>,
    ) {
        self.dials_once.retain(|_, waiter| !waiter.done.is_closed());
        if swarm.is_connected(&peer) {
            let _ = done.send(Ok(()));
        } else if self.dials_once.len() >= DIALS_ONCE_MAX {
            let _ = done.send(Err(DialFailure::Busy { allowed: DIALS_ONCE_MAX }));
        } else {
            let reuse = self.places.are_at(&peer);
            let options = dial_options(peer, addresses, PeerCondition::Always, reuse);
            let connection = options.connection_id();
            self.dials_once.insert(connection, DialWaiter { peer, done });
            if let Err(error) = swarm.dial(options) {
                self.on_dial_failed(connection, Some(peer), &error);
            }
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        error: &DialError,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        if matches!(error, DialError::Denied { .. }) {
            count(&self.meter.connections_denied);
        }
        if let Some(waiter) = self.dials_once.remove(&connection) {
            let _ = waiter.done.send(Err(dial_failure(waiter.peer, error)));
        }
        if let Some(peer) = peer {
            let (now_ms, random) = (self.now_ms(), self.jitter.next_u64());
            self.roster.change(&peer, |redial| redial.failed(now_ms, random));
        }
    }
}

/// A fresh port each time: the listening port cannot be used twice towards the same peer while an earlier connection
/// lingers, and two that call each other from it at once would meet as two callers. Only who keeps a place for us is called
/// from it (`reuse`), where that can be: so it sees the port at which our router lets others in, and tells us.
fn dial_options(peer: PeerId, addresses: Vec<Multiaddr>, condition: PeerCondition, reuse: bool) -> DialOpts {
    let options = DialOpts::peer_id(peer).condition(condition).addresses(addresses);
    if reuse { options.build() } else { options.allocate_new_port().build() }
}

fn dial_failure(peer: PeerId, error: &DialError) -> DialFailure {
    match error {
        DialError::WrongPeerId { obtained, address } => {
            DialFailure::WrongIdentity { wanted: peer, found: *obtained, address: address.clone() }
        }
        DialError::Denied { cause } => DialFailure::Denied { peer, reason: cause.to_string() },
        DialError::LocalPeerId { .. }
        | DialError::NoAddresses
        | DialError::DialPeerConditionFalse(_)
        | DialError::Aborted
        | DialError::Transport(_) => DialFailure::Unreachable { peer, reason: error.to_string() },
    }
}
