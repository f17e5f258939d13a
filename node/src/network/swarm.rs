//! The task that owns the swarm.
//!
//! One loop takes swarm events, commands, answers, redial timers and places in the event channel,
//! and waits for none of them in particular. It holds no ledger state: after a panic, or when a
//! listener dies, the swarm is built again with back-off, and known peers are dialled again.

mod control;
mod exchange;
mod found;

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    identify, multiaddr, ping,
    request_response::{self, OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, ListenError, SwarmEvent},
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    behaviour::{self, Behaviour, BehaviourEvent},
    circuits::{Places, Spare, circuit_at},
    conduct::Conduct,
    config::NetworkConfig,
    counters::{Meter, count},
    event::{NetworkEvent, Told},
    frame::{Ask, Reply},
    handle::{COMMAND_QUEUE, Command, DialFailure, Job, Listening, Network, RequestError, StartError},
    limits::Admission,
    peers::{News, Roster},
    protocols::Protocol,
    public_key_of_seed,
    reach::{Reach, Router},
    redial::BackoffPolicy,
    window::Windows,
};

/// Waits before the swarm is built again; it starts over when the swarm ran for `stable_ms`.
const REBUILD: BackoffPolicy = BackoffPolicy { min_ms: 200, max_ms: 30_000, stable_ms: 60_000 };

/// What an exchange reports.
type ExchangeEvent = request_response::Event<Ask, Reply>;

/// An inbound request whose answer came, or was dropped.
struct Answered {
    peer: PeerId,
    protocol: Protocol,
    channel: ResponseChannel<Reply>,
    told: Option<Told>,
}

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
    /// Where others reach us over peers.
    places: Places,
    /// Connections that go over a circuit.
    over_circuits: HashMap<ConnectionId, PeerId>,
    /// Connections that we have made because their other end wanted to be called back.
    called_back: HashMap<ConnectionId, PeerId>,
    spare: Spare,
    reach: watch::Sender<Reach>,
    /// How many requests of each network we have not answered yet.
    answering: HashMap<PeerId, usize>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<NetworkEvent>,
    meter: Arc<Meter>,
    started: Instant,
    jitter: ChaCha8Rng,
    roster: Roster,
    news: News,
    admission: Admission,
    conduct: Conduct,
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
        let roster = Roster::new(limits.redial, config.blocked.iter().copied());
        let (swarm, listeners) = behaviour::build(&config, &config.listen, &roster, &meter)?;
        let local_peer_id = *swarm.local_peer_id();
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (events, event_receiver) = mpsc::channel(limits.event_queue.max(1));
        let complete = listeners.is_empty();
        let (listening, listening_receiver) = watch::channel(Listening { addresses: Vec::new(), complete });
        let (reach, reach_receiver) = watch::channel(unknown(&config));
        let network = Network {
            local_peer_id,
            commands: command_sender,
            listening: listening_receiver,
            circuits: config.circuits.clone().into(),
            reach: reach_receiver,
            meter: Arc::clone(&meter),
        };
        let task = Self {
            local_peer_id,
            listen: config.listen.clone(),
            listeners,
            listening,
            first_swarm: Some(swarm),
            places: Places::new(config.circuits.iter().filter_map(circuit_at), limits.redial),
            over_circuits: HashMap::new(),
            called_back: HashMap::new(),
            reach,
            spare: Spare::default(),
            answering: HashMap::new(),
            commands,
            events,
            meter,
            started: Instant::now(),
            jitter: jitter(&config),
            roster,
            news: News::default(),
            admission: Admission::new(limits.rates, 0),
            conduct: Conduct::default(),
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
            match self.rest(Duration::from_millis(wait_ms)).await {
                Some(Ended::Asked) => break self.close(),
                Some(Ended::ListenerLost) | None => {}
            }
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

    /// Waits without a swarm; commands are still taken, and take effect when it is built.
    async fn rest(&mut self, wait: Duration) -> Option<Ended> {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(until) => return None,
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => return Some(Ended::Asked),
                    Some(command) => self.on_command_without_swarm(command),
                },
                () = self.events.closed() => return Some(Ended::Asked),
            }
        }
    }

    async fn drive(&mut self, mut swarm: Swarm<Behaviour>) -> Ended {
        loop {
            let due = [self.roster.next_due_ms(), self.places.next_due_ms(), self.spare.next_due_ms()];
            let due_ms = due.into_iter().flatten().min();
            let redial_at = due_ms.map(|due_ms| self.started + Duration::from_millis(due_ms));
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
                Some(answered) = self.unanswered.next() => self.on_answered(&mut swarm, answered),
                () = sleep_until(redial_at.unwrap_or(self.started)), if redial_at.is_some() => {
                    self.dial_due(&mut swarm);
                    self.ask_for_places(&mut swarm);
                    self.close_spare(&mut swarm);
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
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if endpoint.is_relayed() {
                    self.over_circuits.insert(connection_id, peer_id);
                }
                if swarm.behaviour().was_asked_for(connection_id) {
                    self.called_back.insert(connection_id, peer_id);
                    self.spare.add(peer_id, self.now_ms());
                }
                if let Some(waiter) = self.dials_once.remove(&connection_id) {
                    // The caller may have stopped waiting.
                    let _ = waiter.done.send(Ok(()));
                }
                let now_ms = self.now_ms();
                self.places.connected(&peer_id, now_ms);
                self.roster.change(&peer_id, |redial| redial.connected(now_ms));
                self.news.connected(peer_id);
            }
            SwarmEvent::ConnectionClosed { connection_id, num_established: 1.., .. } => {
                self.forget_connection(swarm, connection_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established: 0, cause, .. } => {
                self.forget_connection(swarm, connection_id);
                tracing::debug!(peer = %peer_id, ?cause, "disconnected");
                for job in self.windows.drain(peer_id) {
                    let _ = job.reply.send(Err(RequestError::NotConnected));
                }
                let (now_ms, random) = (self.now_ms(), self.jitter.next_u64());
                self.roster.change(&peer_id, |redial| redial.disconnected(now_ms, random));
                self.news.disconnected(peer_id);
            }
            // Who cannot be called back is connected all the same.
            SwarmEvent::OutgoingConnectionError { connection_id, .. }
                if swarm.behaviour_mut().take_asked_for(connection_id) => {}
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
            SwarmEvent::ListenerClosed { listener_id, reason, .. }
                if self.places.closed(listener_id, self.now_ms(), self.jitter.next_u64()) =>
            {
                tracing::info!(
                    ?reason,
                    "a place at a peer, over which others reach us, is lost: it is asked for again"
                );
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "a listener closed");
                return Some(Ended::ListenerLost);
            }
            SwarmEvent::ExternalAddrConfirmed { address } => self.on_found(address),
            SwarmEvent::ExternalAddrExpired { address } => self.on_lost(&address),
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
            BehaviourEvent::Witness(event) => self.on_exchange(swarm, Protocol::Witness, event),
            BehaviourEvent::Guard(event) => self.on_exchange(swarm, Protocol::Guard, event),
            BehaviourEvent::Mirror(event) => self.on_exchange(swarm, Protocol::Mirror, event),
            BehaviourEvent::Sync(event) => self.on_exchange(swarm, Protocol::Sync, event),
            BehaviourEvent::Mailbox(event) => self.on_exchange(swarm, Protocol::Mailbox, event),
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => {
                // The first miss in a row is not reported, so this is at least the second; or the
                // peer has no ping, and a dead connection would never be noticed.
                tracing::debug!(%peer, %error, "no pong, closing the connection");
                swarm.close_connection(connection);
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_seen(swarm, peer_id, &info.observed_addr);
            }
            BehaviourEvent::Checks(checked) => self.on_called(swarm, checked),
            BehaviourEvent::Callers(_) => count(&self.meter.called_back),
            BehaviourEvent::Router(event) => self.on_router(swarm, event),
            BehaviourEvent::Ping(_)
            | BehaviourEvent::Identify(_)
            | BehaviourEvent::Circuits(_)
            | BehaviourEvent::OverCircuits(_) => {}
            BehaviourEvent::Direct(tried) => self.on_tried_directly(&tried),
            BehaviourEvent::Blocked(never)
            | BehaviourEvent::Limits(never)
            | BehaviourEvent::Memory(never)
            | BehaviourEvent::Gate(never) => match never {},
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
        self.tell_news();
        self.roster.start_over(self.now_ms());
        self.places.start_over(self.now_ms());
        self.over_circuits.clear();
        self.called_back.clear();
        self.reach.send_replace(unknown(&self.config));
        self.spare.clear();
        self.answering.clear();
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
        tracing::debug!("the network layer has stopped");
    }

    /// Milliseconds since the start, never going back.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is known at first of whether others can call us.
fn unknown(config: &NetworkConfig) -> Reach {
    let router = if config.upnp { Router::Asked } else { Router::NotAsked };
    Reach { checks: config.checks.is_some(), told: !config.external.is_empty(), router, ..Reach::default() }
}

/// Nodes with the same configured seed must still not dial in step, so the identity is mixed in.
fn jitter(config: &NetworkConfig) -> ChaCha8Rng {
    let mut seed = public_key_of_seed(&config.identity);
    for (byte, mixed) in seed.iter_mut().zip(config.jitter_seed.to_be_bytes()) {
        *byte ^= mixed;
    }
    ChaCha8Rng::from_seed(seed)
}

fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        multiaddr::Protocol::Tcp(port) | multiaddr::Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// `asked`, with the port of `bound` if it asked for any.
fn with_bound_port(asked: &Multiaddr, bound: &Multiaddr) -> Multiaddr {
    asked
        .iter()
        .map(|part| match (part, port(bound)) {
            (multiaddr::Protocol::Tcp(0), Some(port)) => multiaddr::Protocol::Tcp(port),
            (multiaddr::Protocol::Udp(0), Some(port)) => multiaddr::Protocol::Udp(port),
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
        let (asked, bound): (Multiaddr, Multiaddr) = (
            "/ip4/0.0.0.0/udp/0/quic-v1".parse().unwrap(),
            "/ip4/127.0.0.1/udp/4002/quic-v1".parse().unwrap(),
        );
        assert_eq!(with_bound_port(&asked, &bound).to_string(), "/ip4/0.0.0.0/udp/4002/quic-v1");
    }
}
