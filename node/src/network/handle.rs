//! The handle that everything else holds, its commands and its errors.
//!
//! Commands go through one bounded channel. A caller may wait for a place in it; the network task
//! never waits for a caller.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    circuits::is_circuit,
    config::NetworkConfig,
    counters::{Counters, Meter},
    event::NetworkEvent,
    frame::{FrameError, check_outgoing},
    protocols::Protocol,
    reach::Reach,
    swarm::NetworkTask,
    tier::Tier,
};

/// Commands that wait for the network task. Callers beyond it wait themselves.
pub(super) const COMMAND_QUEUE: usize = 256;

/// The network layer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be listened at.
    #[error("tried to listen at {address}: {reason}")]
    Listen {
        /// The address asked for.
        address: Multiaddr,
        /// What the system says.
        reason: String,
    },
}

/// A request that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no connection; nothing was sent.
    #[error("tried to ask a peer that is not connected")]
    NotConnected,
    /// Window and queue of this peer are full; nothing was sent.
    #[error("tried to ask a peer that already has {allowed} requests in flight or waiting")]
    Busy {
        /// The window and the queue together.
        allowed: usize,
    },
    /// Our request is empty or above the cap of its protocol; nothing was sent.
    #[error("tried to send a body that no peer would take: {0}")]
    TooLarge(FrameError),
    /// The peer does not speak this protocol; it saw nothing.
    #[error("tried to ask on {protocol}, which the peer does not speak")]
    UnsupportedProtocol {
        /// Under which protocol.
        protocol: Protocol,
    },
    /// The peer says that it did not act on the request: we ask too much, or it is busy.
    #[error("the peer refused a request on {protocol}")]
    Refused {
        /// Under which protocol.
        protocol: Protocol,
    },
    /// *Unknown*: the peer may or may not have acted.
    #[error("no answer on {protocol} in time; the peer may have acted on the request")]
    TimedOut {
        /// Under which protocol.
        protocol: Protocol,
    },
    /// *Unknown*: the connection or the stream broke before the answer came.
    #[error("the connection broke before an answer on {protocol}; the peer may have acted")]
    Lost {
        /// Under which protocol.
        protocol: Protocol,
    },
    /// *Unknown*: an answer came that breaks the framing rules.
    #[error("the answer breaks the framing rules; the peer may have acted: {0}")]
    BadAnswer(FrameError),
    /// The network layer has stopped; nothing was sent.
    #[error("tried to ask through a network layer that has stopped")]
    Closed,
}

impl RequestError {
    /// Whether the peer certainly did not act on the request.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        match self {
            Self::NotConnected
            | Self::Busy { .. }
            | Self::TooLarge(_)
            | Self::UnsupportedProtocol { .. }
            | Self::Refused { .. }
            | Self::Closed => true,
            Self::TimedOut { .. } | Self::Lost { .. } | Self::BadAnswer(_) => false,
        }
    }
}

/// A command that was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The network layer has stopped.
    #[error("tried to steer a network layer that has stopped")]
    Closed,
    /// No further peer can be known.
    #[error("tried to know one peer more than the {allowed} allowed")]
    TooManyPeers {
        /// The bound.
        allowed: usize,
    },
    /// The peer is ourselves.
    #[error("tried to know our own network as a peer")]
    OwnIdentity,
}

/// A dial that brought no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// Somebody else answers there.
    #[error("tried to reach {wanted}, but {found} answers at {address}")]
    WrongIdentity {
        /// The peer asked for.
        wanted: PeerId,
        /// The peer found.
        found: PeerId,
        /// Where.
        address: Multiaddr,
    },
    /// No address works.
    #[error("tried to reach {peer}: {reason}")]
    Unreachable {
        /// The peer asked for.
        peer: PeerId,
        /// What went wrong at each address.
        reason: String,
    },
    /// A limit or a block of ours forbids it.
    #[error("tried to reach {peer}, which our own limits forbid: {reason}")]
    Denied {
        /// The peer asked for.
        peer: PeerId,
        /// The limit.
        reason: String,
    },
    /// Too many such dials wait.
    #[error("tried to dial beside {allowed} others that wait")]
    Busy {
        /// The bound.
        allowed: usize,
    },
    /// The network layer has stopped.
    #[error("tried to dial through a network layer that has stopped")]
    Closed,
}

/// A request on its way out.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) peer: PeerId,
    pub(super) protocol: Protocol,
    pub(super) bytes: Vec<u8>,
    pub(super) reply: oneshot::Sender<Result<Vec<u8>, RequestError>>,
}

/// How the network layer stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Connections to each tier, in the order of [`Tier::ALL`].
    pub connections: [usize; Tier::ALL.len()],
    /// Connections among them that go over a circuit.
    pub over_circuits: usize,
    /// Our requests that are not answered yet.
    pub in_flight: usize,
    /// Our requests that wait for a place in the window of their peer.
    pub waiting: usize,
    /// Requests of others that we have not answered yet.
    pub unanswered: usize,
    /// Peers that we keep connected to.
    pub known: usize,
    /// Vouched networks.
    pub vouched: usize,
    /// Identities that are denied.
    pub blocked: usize,
}

/// What the handle asks of the task.
#[derive(Debug)]
pub(super) enum Command {
    Request(Job),
    SetPeer {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        done: oneshot::Sender<Result<(), ControlError>>,
    },
    ForgetPeer {
        peer: PeerId,
        done: oneshot::Sender<()>,
    },
    Disconnect {
        peer: PeerId,
        done: oneshot::Sender<()>,
    },
    Block {
        peer: PeerId,
        done: oneshot::Sender<()>,
    },
    Unblock {
        peer: PeerId,
        done: oneshot::Sender<()>,
    },
    SetVouched {
        vouched: Vec<PeerId>,
        done: oneshot::Sender<()>,
    },
    DialOnce {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        done: oneshot::Sender<Result<(), DialFailure>>,
    },
    ConnectedPeers {
        done: oneshot::Sender<Vec<PeerId>>,
    },
    Look {
        done: oneshot::Sender<Gauges>,
    },
    Shutdown,
    #[cfg(test)]
    Panic,
}

/// Where we listen, and whether every listener has said so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) complete: bool,
}

/// A handle to the network layer; clones are cheap. The layer stops when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Network {
    pub(super) local_peer_id: PeerId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) listening: watch::Receiver<Listening>,
    /// Nodes of peers over which others are to reach us.
    pub(super) circuits: Arc<[Multiaddr]>,
    pub(super) reach: watch::Receiver<Reach>,
    pub(super) meter: Arc<Meter>,
}

impl Network {
    /// Starts the network layer inside the current tokio runtime. Events come out of the receiver;
    /// dropping it stops the layer.
    ///
    /// # Errors
    /// [`StartError::Listen`] when an address cannot be bound.
    pub fn start(
        config: NetworkConfig,
    ) -> Result<(Self, mpsc::Receiver<NetworkEvent>, JoinHandle<()>), StartError> {
        let (task, network, events) = NetworkTask::new(config)?;
        Ok((network, events, tokio::spawn(task.run())))
    }

    /// Asks a connected peer and waits for the answer: in the queue behind at most
    /// [`super::Limits::window`] requests in flight, then for the time-out of the protocol.
    /// A caller that stops waiting takes the request back only while it still waits in the queue.
    ///
    /// # Errors
    /// See [`RequestError`]; [`RequestError::is_certain`] tells which of them are *unknown*.
    pub async fn request(
        &self,
        peer: PeerId,
        protocol: Protocol,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, RequestError> {
        check_outgoing(&bytes, protocol, protocol.request_cap()).map_err(RequestError::TooLarge)?;
        let (reply, answered) = oneshot::channel();
        let job = Job { peer, protocol, bytes, reply };
        self.commands.send(Command::Request(job)).await.map_err(|_| RequestError::Closed)?;
        answered.await.unwrap_or(Err(RequestError::Lost { protocol }))
    }

    /// Keeps connected to this peer from now on: dials at once, and again with back-off for ever.
    /// Replaces earlier addresses; at most 16 are kept; with none we wait to be called. Known peers
    /// have generous rates and no bound on inbound connections but the total.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub async fn set_peer(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), ControlError> {
        self.ask(|done| Command::SetPeer { peer, addresses, done }).await?
    }

    /// No longer dials this peer; a standing connection ends when it is idle.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn forget_peer(&self, peer: PeerId) -> Result<(), ControlError> {
        self.ask(|done| Command::ForgetPeer { peer, done }).await
    }

    /// Replaces who counts as vouched, at most 4,096. Who is a peer stays one.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn set_vouched(&self, vouched: Vec<PeerId>) -> Result<(), ControlError> {
        self.ask(|done| Command::SetVouched { vouched, done }).await
    }

    /// Closes all connections to this peer. A known peer is dialled again after its back-off.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn disconnect(&self, peer: PeerId) -> Result<(), ControlError> {
        self.ask(|done| Command::Disconnect { peer, done }).await
    }

    /// Closes all connections to this peer and denies new ones both ways.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn block(&self, peer: PeerId) -> Result<(), ControlError> {
        self.ask(|done| Command::Block { peer, done }).await
    }

    /// Lifts a block and forgets what led to it; a known peer is dialled at once.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn unblock(&self, peer: PeerId) -> Result<(), ControlError> {
        self.ask(|done| Command::Unblock { peer, done }).await
    }

    /// Dials a peer once, for pairing, and waits for the connection. A standing one will do.
    ///
    /// # Errors
    /// See [`DialFailure`].
    pub async fn dial_once(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), DialFailure> {
        self.ask(|done| Command::DialOnce { peer, addresses, done }).await.unwrap_or(Err(DialFailure::Closed))
    }

    /// The peers with at least one connection, in no order.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn connected_peers(&self) -> Result<Vec<PeerId>, ControlError> {
        self.ask(|done| Command::ConnectedPeers { done }).await
    }

    /// How the layer stands now; while it is being built again nobody is connected.
    ///
    /// # Errors
    /// [`ControlError::Closed`].
    pub async fn gauges(&self) -> Result<Gauges, ControlError> {
        self.ask(|done| Command::Look { done }).await
    }

    /// Our own identity.
    #[must_use]
    pub fn local_peer_id(&self) -> PeerId {
        self.local_peer_id
    }

    /// The local addresses we listen at, with the ports really bound. Waits until every listener
    /// has reported; empty when the layer has stopped.
    pub async fn listen_addrs(&self) -> Vec<Multiaddr> {
        let mut listening = self.listening.clone();
        let addresses = listening.wait_for(|listening| listening.complete).await;
        addresses.map(|listening| listening.addresses.clone()).unwrap_or_default()
    }

    /// Nodes of peers over which others are to reach us and that give us no place now.
    #[must_use]
    pub fn places_missing(&self) -> Vec<Multiaddr> {
        let listening = self.listening.borrow();
        // The node tells its addresses itself; only its identity is sure to be the same.
        let over = |at: &Multiaddr, node: &Multiaddr| {
            is_circuit(at) && at.iter().any(|part| node.iter().last() == Some(part))
        };
        let is_kept = |node: &&Multiaddr| listening.addresses.iter().any(|at| over(at, node));
        self.circuits.iter().filter(|node| !is_kept(node)).cloned().collect()
    }

    /// Whether others can call us, as far as is known.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach.borrow().clone()
    }

    /// What crossed the wire and what was refused since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.meter.read()
    }

    /// Stops the layer: waiting requests fail as [`RequestError::Closed`], those in flight as
    /// [`RequestError::Lost`]. Await the join handle to know that it is done.
    pub async fn shutdown(&self) {
        // A closed channel means that it has stopped already.
        let _ = self.commands.send(Command::Shutdown).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ControlError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| ControlError::Closed)?;
        answer.await.map_err(|_| ControlError::Closed)
    }
}
