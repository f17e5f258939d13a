//! The task that owns the swarm.
//!
//! One loop takes swarm events, commands, answers, redial timers and places in the event channel,
//! and waits for none of them in particular. It holds no ledger state: after a panic, or when a
//! listener dies, the swarm is built again with back-off, and known peers are dialled again.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    multiaddr, ping,
    request_response::{self, InboundFailure, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    behaviour::{self, Behaviour, BehaviourEvent},
    config::NetworkConfig,
    counters::{Meter, count},
    event::{Answer, NetworkEvent},
    frame::{Reply, framing_fault},
    handle::{
        COMMAND_QUEUE, Command, ControlError, DialFailure, Job, Listening, Network, RequestError, StartError,
    },
    limits::Admission,
    peers::{KNOWN_PEERS_MAX, News, Roster},
    protocols::Protocol,
    redial::BackoffPolicy,
    window::{Offer, Windows},
};

/// Waits before the swarm is built again; it starts over when the swarm ran for `stable_ms`.
const REBUILD: BackoffPolicy = BackoffPolicy { min_ms: 200, max_ms: 30_000, stable_ms: 60_000 };

/// Callers that wait for a single dial at once: pairing is done by hand.
const DIALS_ONCE_MAX: usize = 32;

/// What an exchange reports.
type ExchangeEvent = request_response::Event<Vec<u8>, Reply>;

/// An inbound request whose answer came, or was dropped.
type Answered = (Protocol, ResponseChannel<Reply>, Option<Vec<u8>>);

/// A request that has left the window.
struct InFlight {
    peer: PeerId,
    reply: oneshot::Sender<Result<Vec<u8>, RequestError>>,
}

/// Somebody who waits for a single dial.
struct DialWaiter {
    peer: PeerId,
    done: oneshot::Sender<Result<(), DialFailure>>,
}

/// Why the loop ended.
enum Ended {
    /// By command, or because nobody holds a handle or the events any more.
    Asked,
    /// A listener died.
    ListenerLost,
}

/// The network layer before it runs; see [`Network::start`].
pub struct NetworkTask {
    config: NetworkConfig,
    local_peer_id: PeerId,
    /// The configured addresses, with the system's choice in place of port 0.
    listen: Vec<Multiaddr>,
    listeners: Vec<ListenerId>,
    listening: watch::Sender<Listening>,
    /// Built by `new` so that a bad address is reported to its caller.
    first_swarm: Option<Swarm<Behaviour>>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetworkEvent>,
    meter: Arc<Meter>,
    started: Instant,
    jitter: ChaCha8Rng,
    roster: Roster,
    news: News,
    admission: Admission,
    windows: Windows<Job>,
    in_flight: HashMap<(Protocol, OutboundRequestId), InFlight>,
    unanswered: FuturesUnordered<BoxFuture<'static, Answered>>,
    dials_once: HashMap<ConnectionId, DialWaiter>,
}

impl NetworkTask {
    /// Binds the addresses. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// [`StartError::Listen`] when an address cannot be bound.
    pub fn new(config: NetworkConfig) -> Result<(Self, Network, mpsc::Receiver<NetworkEvent>), StartError> {
        let limits = config.limits.clone();
        let meter = Arc::new(Meter::new(config.tap.clone()));
        let roster = Roster::new(limits.redial);
        let (swarm, listeners) = behaviour::build(&config, &config.listen, &roster, &meter)?;
        let local_peer_id = *swarm.local_peer_id();
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (events, event_receiver) = mpsc::channel(limits.event_queue.max(1));
        let complete = listeners.is_empty();
        let (listening, listening_receiver) = watch::channel(Listening { addresses: Vec::new(), complete });
        let network = Network {
            local_peer_id,
            commands: command_sender,
            listening: listening_receiver,
            meter: Arc::clone(&meter),
        };
        let task = Self {
            local_peer_id,
            listen: config.listen.clone(),
            listeners,
            listening,
            first_swarm: Some(swarm),
            commands,
            events,
            meter,
            started: Instant::now(),
            jitter: ChaCha8Rng::seed_from_u64(config.jitter_seed),
            roster,
            news: News::default(),
            admission: Admission::new(limits.known_rate, limits.unknown_rate, limits.unknown_total_rate, 0),
            windows: Windows::new(limits.window.max(1), limits.queue),
            in_flight: HashMap::new(),
            unanswered: FuturesUnordered::new(),
            dials_once: HashMap::new(),
            config,
        };
        Ok((task, network, event_receiver))
    }

    /// Runs until it is asked to stop.
    pub async fn run(mut self) {
        let mut failures = 0_u32;
        let mut swarm = self.first_swarm.take();
        loop {
            if let Some(swarm) = swarm.take() {
                let since_ms = self.now_ms();
                match AssertUnwindSafe(self.drive(swarm)).catch_unwind().await {
                    Ok(Ended::Asked) => break self.close(),
                    Ok(Ended::ListenerLost) => tracing::error!("a listener died, building the swarm again"),
                    Err(_) => tracing::error!("the swarm task panicked, building the swarm again"),
                }
                if self.now_ms().saturating_sub(since_ms) >= REBUILD.stable_ms {
                    failures = 0;
                }
                self.start_over();
            }
            let wait_ms = REBUILD.wait_ms(failures, self.jitter.next_u64());
            failures = failures.saturating_add(1);
            sleep(Duration::from_millis(wait_ms)).await;
            match behaviour::build(&self.config, &self.listen, &self.roster, &self.meter) {
                Ok((built, listeners)) => {
                    self.listeners = listeners;
                    swarm = Some(built);
                    count(&self.meter.rebuilds);
                }
                Err(error) => tracing::error!(%error, "the swarm could not be built, trying again"),
            }
        }
    }

    async fn drive(&mut self, mut swarm: Swarm<Behaviour>) -> Ended {
        loop {
            let redial_at =
                self.roster.next_due_ms().map(|due_ms| self.started + Duration::from_millis(due_ms));
            tokio::select! {
                event = swarm.select_next_some() => {
                    if let Some(ended) = self.on_swarm_event(&mut swarm, event) {
                        return ended;
                    }
                }
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => return Ended::Asked,
                    Some(command) => self.on_command(&mut swarm, command),
                },
                Some(answered) = self.unanswered.next() => on_answered(&mut swarm, answered),
                () = sleep_until(redial_at.unwrap_or(self.started)), if redial_at.is_some() => {
                    self.dial_due(&mut swarm);
                }
                open = async { self.events.reserve().await.is_ok() }, if !self.news.is_empty() => {
                    if !open {
                        return Ended::Asked;
                    }
                    self.tell_news();
                }
                () = self.events.closed() => return Ended::Asked,
            }
        }
    }

    fn on_swarm_event(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        event: SwarmEvent<BehaviourEvent>,
    ) -> Option<Ended> {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(swarm, event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                if let Some(waiter) = self.dials_once.remove(&connection_id) {
                    // The caller may have stopped waiting.
                    let _ = waiter.done.send(Ok(()));
                }
                let now_ms = self.now_ms();
                self.roster.change(&peer_id, |redial| redial.connected(now_ms));
                self.news.connected(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "disconnected");
                for job in self.windows.drain(peer_id) {
                    let _ = job.reply.send(Err(RequestError::NotConnected));
                }
                let (now_ms, random) = (self.now_ms(), self.jitter.next_u64());
                self.roster.change(&peer_id, |redial| redial.disconnected(now_ms, random));
                self.news.disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error: ListenError::Denied { cause }, peer_id, .. } => {
                tracing::debug!(?peer_id, %cause, "inbound connection denied");
                count(&self.meter.connections_denied);
            }
            SwarmEvent::IncomingConnectionError { .. } => count(&self.meter.handshakes_failed),
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.send_modify(|listening| listening.addresses.retain(|known| *known != address));
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "a listener closed");
                return Some(Ended::ListenerLost);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener had an error"),
            _ => {}
        }
        None
    }

    fn on_behaviour_event(&mut self, swarm: &mut Swarm<Behaviour>, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Hello(event) => self.on_exchange(swarm, Protocol::Hello, event),
            BehaviourEvent::Pair(event) => self.on_exchange(swarm, Protocol::Pair, event),
            BehaviourEvent::Stream(event) => self.on_exchange(swarm, Protocol::Stream, event),
            BehaviourEvent::Claim(event) => self.on_exchange(swarm, Protocol::Claim, event),
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => {
                // The first miss in a row is not reported, so this is at least the second.
                tracing::debug!(%peer, %error, "no pong, closing the connection");
                swarm.close_connection(connection);
            }
            BehaviourEvent::Ping(_) | BehaviourEvent::Identify(_) => {}
            BehaviourEvent::Blocked(never)
            | BehaviourEvent::Limits(never)
            | BehaviourEvent::Memory(never)
            | BehaviourEvent::Gate(never) => match never {},
        }
    }

    fn on_exchange(&mut self, swarm: &mut Swarm<Behaviour>, protocol: Protocol, event: ExchangeEvent) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => {
                    self.on_request(swarm, peer, protocol, request, channel);
                }
                Message::Response { request_id, response } => {
                    let outcome = match response {
                        Reply::Frame(bytes) => Ok(bytes),
                        Reply::Refused => Err(RequestError::Refused { protocol }),
                    };
                    self.on_outcome(swarm, protocol, request_id, outcome);
                }
            },
            request_response::Event::OutboundFailure { request_id, error, .. } => {
                self.on_outcome(swarm, protocol, request_id, Err(outbound_error(protocol, &error)));
            }
            request_response::Event::InboundFailure { peer, connection_id, error, .. } => {
                if let InboundFailure::Io(error) = &error
                    && let Some(fault) = framing_fault(error)
                {
                    tracing::debug!(%peer, %fault, "bad frame, closing the connection");
                    count(&self.meter.bad_frames);
                    swarm.close_connection(connection_id);
                }
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    /// Lets an inbound request in, or refuses it.
    fn on_request(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        protocol: Protocol,
        bytes: Vec<u8>,
        channel: ResponseChannel<Reply>,
    ) {
        let (known, now_ms) = (self.roster.knows(&peer), self.now_ms());
        if let Err(over) = self.admission.admit(peer, known, bytes.len(), now_ms) {
            tracing::debug!(%peer, %protocol, ?over, "request refused");
            count(&self.meter.refused_over_rate);
            return on_answered(swarm, (protocol, channel, None));
        }
        // A peer's requests never overtake the news that it connected.
        self.tell_news();
        let full = self.unanswered.len() >= self.config.limits.max_unanswered || !self.news.is_empty();
        let (answer, answered) = Answer::new(protocol);
        let event = NetworkEvent::Request { peer, protocol, bytes, answer };
        if full || self.events.try_send(event).is_err() {
            count(&self.meter.refused_consumer_behind);
            return on_answered(swarm, (protocol, channel, None));
        }
        self.unanswered.push(async move { (protocol, channel, answered.await.ok()) }.boxed());
    }

    fn on_outcome(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        protocol: Protocol,
        id: OutboundRequestId,
        outcome: Result<Vec<u8>, RequestError>,
    ) {
        let Some(request) = self.in_flight.remove(&(protocol, id)) else {
            return;
        };
        // The caller may have stopped waiting.
        let _ = request.reply.send(outcome);
        let next = self.windows.finished(request.peer);
        self.launch(swarm, next);
    }

    /// Sends a job that has its place in the window, or gives the place to the next one.
    fn launch(&mut self, swarm: &mut Swarm<Behaviour>, mut next: Option<Job>) {
        while let Some(Job { peer, protocol, bytes, reply }) = next.take() {
            let exchange = swarm.behaviour_mut().exchange(protocol);
            if exchange.is_connected(&peer) && !reply.is_closed() {
                let id = exchange.send_request(&peer, bytes);
                self.in_flight.insert((protocol, id), InFlight { peer, reply });
            } else {
                let _ = reply.send(Err(RequestError::NotConnected));
                next = self.windows.finished(peer);
            }
        }
    }

    fn on_command(&mut self, swarm: &mut Swarm<Behaviour>, command: Command) {
        // Whoever gave a command may have stopped waiting for its result.
        match command {
            Command::Request(job) => self.on_job(swarm, job),
            Command::SetPeer { peer, addresses, done } => {
                let _ = done.send(self.set_peer(swarm, peer, addresses));
            }
            Command::ForgetPeer { peer, done } => {
                self.roster.forget(&peer);
                swarm.behaviour_mut().set_known(peer, false);
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
            Command::Unblock { peer, done } => {
                swarm.behaviour_mut().unblock(peer);
                self.roster.unblock(&peer, self.now_ms());
                let _ = done.send(());
            }
            Command::DialOnce { peer, addresses, done } => self.dial_once(swarm, peer, addresses, done),
            Command::ConnectedPeers { done } => {
                let _ = done.send(swarm.connected_peers().copied().collect());
            }
            Command::Shutdown => {}
            #[cfg(test)]
            Command::Panic => panic!("asked for by a test"),
        }
    }

    fn on_job(&mut self, swarm: &mut Swarm<Behaviour>, job: Job) {
        if !swarm.is_connected(&job.peer) {
            let _ = job.reply.send(Err(RequestError::NotConnected));
            return;
        }
        match self.windows.offer(job.peer, job) {
            Offer::Send(job) => self.launch(swarm, Some(job)),
            Offer::Queued => {}
            Offer::Busy(job) => {
                let allowed = self.config.limits.window.saturating_add(self.config.limits.queue);
                let _ = job.reply.send(Err(RequestError::Busy { allowed }));
            }
        }
    }

    fn set_peer(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), ControlError> {
        if peer == self.local_peer_id {
            return Err(ControlError::OwnIdentity);
        }
        self.roster
            .set(peer, addresses, swarm.is_connected(&peer), self.now_ms())
            .map_err(|_| ControlError::TooManyPeers { allowed: KNOWN_PEERS_MAX })?;
        swarm.behaviour_mut().set_known(peer, true);
        Ok(())
    }

    fn dial_due(&mut self, swarm: &mut Swarm<Behaviour>) {
        for (peer, addresses) in self.roster.take_due(self.now_ms()) {
            let options = dial_options(peer, addresses, PeerCondition::DisconnectedAndNotDialing);
            let connection = options.connection_id();
            if let Err(error) = swarm.dial(options) {
                self.on_dial_failed(connection, Some(peer), &error);
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
            let options = dial_options(peer, addresses, PeerCondition::Always);
            let connection = options.connection_id();
            self.dials_once.insert(connection, DialWaiter { peer, done });
            if let Err(error) = swarm.dial(options) {
                self.on_dial_failed(connection, Some(peer), &error);
            }
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, peer: Option<PeerId>, error: &DialError) {
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

    fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        let index = self.listeners.iter().position(|known| *known == listener);
        if let Some(asked) = index.and_then(|index| self.listen.get_mut(index)) {
            *asked = with_bound_port(asked, &address);
        }
        let unbound = self.listen.iter().any(|asked| port(asked) == Some(0));
        self.listening.send_modify(|listening| {
            if !listening.addresses.contains(&address) {
                listening.addresses.push(address.clone());
            }
            listening.complete = !unbound && listening.addresses.len() >= self.listeners.len();
        });
        self.news.listening(address);
    }

    /// Hands over as much news as the consumer has room for.
    fn tell_news(&mut self) {
        while !self.news.is_empty()
            && let Ok(place) = self.events.try_reserve()
            && let Some(event) = self.news.next()
        {
            place.send(event);
        }
    }

    /// The swarm is gone, and with it all that was in flight.
    fn start_over(&mut self) {
        for job in self.windows.clear() {
            let _ = job.reply.send(Err(RequestError::NotConnected));
        }
        self.in_flight.clear();
        self.unanswered.clear();
        for (_, waiter) in self.dials_once.drain() {
            let reason = "the network layer had to start again".to_owned();
            let _ = waiter.done.send(Err(DialFailure::Unreachable { peer: waiter.peer, reason }));
        }
        self.news.all_disconnected();
        self.roster.start_over(self.now_ms());
        self.listening.send_modify(|listening| {
            listening.addresses.clear();
            listening.complete = self.listen.is_empty();
        });
    }

    /// Tells everybody who waits that nothing more will be sent.
    fn close(&mut self) {
        self.commands.close();
        let mut jobs = self.windows.clear();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Request(job) = command {
                jobs.push(job);
            }
        }
        for job in jobs {
            let _ = job.reply.send(Err(RequestError::Closed));
        }
        let swarm_runs = self.meter.rebuilds.load(Ordering::Relaxed).saturating_add(1);
        tracing::debug!(swarm_runs, "the network layer has stopped");
    }

    /// Milliseconds since the start, never going back.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Sends the answer of a request, or refuses it. When the peer is gone there is nothing to do.
fn on_answered(swarm: &mut Swarm<Behaviour>, (protocol, channel, answer): Answered) {
    let reply = answer.map_or(Reply::Refused, Reply::Frame);
    let _ = swarm.behaviour_mut().exchange(protocol).send_response(channel, reply);
}

fn dial_options(peer: PeerId, addresses: Vec<Multiaddr>, condition: PeerCondition) -> DialOpts {
    // A fresh port each time: the listening port cannot be used twice towards the same peer while
    // an earlier connection lingers.
    DialOpts::peer_id(peer).condition(condition).addresses(addresses).allocate_new_port().build()
}

fn outbound_error(protocol: Protocol, error: &OutboundFailure) -> RequestError {
    match error {
        OutboundFailure::DialFailure => RequestError::NotConnected,
        OutboundFailure::Timeout => RequestError::TimedOut { protocol },
        OutboundFailure::ConnectionClosed => RequestError::Lost { protocol },
        OutboundFailure::UnsupportedProtocols => RequestError::UnsupportedProtocol { protocol },
        OutboundFailure::Io(error) => {
            framing_fault(error).map_or(RequestError::Lost { protocol }, RequestError::BadAnswer)
        }
    }
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

fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

/// `asked`, with the port of `bound` if it asked for any.
fn with_bound_port(asked: &Multiaddr, bound: &Multiaddr) -> Multiaddr {
    asked
        .iter()
        .map(|part| match (part, port(bound)) {
            (multiaddr::Protocol::Tcp(0), Some(port)) => multiaddr::Protocol::Tcp(port),
            (part, _) => part,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_port_takes_the_place_of_zero_and_of_nothing_else() {
        let bound: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
        for (asked, expected) in
            [("/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/tcp/4001"), ("/ip4/0.0.0.0/tcp/7", "/ip4/0.0.0.0/tcp/7")]
        {
            let asked: Multiaddr = asked.parse().unwrap();
            assert_eq!(with_bound_port(&asked, &bound).to_string(), expected);
        }
    }
}
