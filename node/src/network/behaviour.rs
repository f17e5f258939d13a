//! The composition of the swarm: transport, limits, and one exchange per protocol.
//!
//! The order of the fields matters: a connection is offered to them from top to bottom, and the
//! exchanges count it as theirs when they see it. Whatever can deny a connection stands above them,
//! or they would send requests into a connection that never came to be.

use std::{sync::Arc, time::Duration};

use futures::future::Either;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    allow_block_list::{self, BlockedPeers},
    connection_limits::{self, ConnectionLimits},
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, ListenerId},
        upgrade::Version,
    },
    dcutr, dns, identify,
    identity::Keypair,
    memory_connection_limits, noise, ping, quic, relay,
    request_response::{self, ProtocolSupport},
    swarm::{self, ConnectionId, NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, upnp, yamux,
};

use super::{
    circuits::{self, Server},
    config::{Limits, NetworkConfig},
    counters::Meter,
    frame::{FrameCodec, NextReading},
    gate::Gate,
    handle::StartError,
    peers::Roster,
    protocols::Protocol,
    reach::{self, Callers, Checks},
    tier::Tier,
};

/// How long a new connection may take to be encrypted and multiplexed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes under way on one QUIC stream, and on all of a connection: two of the longest frames, and a window of the usual ones.
const QUIC_STREAM_WINDOW: u32 = 1_024 * 1_024;
const QUIC_CONNECTION_WINDOW: u32 = 2 * 1_024 * 1_024;

/// Dials under way at once; further ones fail and are tried again later.
const PENDING_OUTBOUND_MAX: u32 = 64;

/// Told by identify; nothing depends on them.
const IDENTIFY_PROTOCOL: &str = "/weft/1";
const AGENT: &str = concat!("weftd/", env!("CARGO_PKG_VERSION"));

/// The exchange of one protocol.
pub(super) type Exchange = request_response::Behaviour<FrameCodec>;

/// All behaviours of a node. They are asked in this order: the gate comes before the exchanges.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    blocked: allow_block_list::Behaviour<BlockedPeers>,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    gate: Gate,
    circuits: Toggle<Server>,
    over_circuits: relay::client::Behaviour,
    direct: dcutr::Behaviour,
    checks: Toggle<Checks>,
    callers: Toggle<Callers>,
    router: Toggle<upnp::tokio::Behaviour>,
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    hello: Exchange,
    pair: Exchange,
    stream: Exchange,
    claim: Exchange,
    witness: Exchange,
    guard: Exchange,
    mirror: Exchange,
    sync: Exchange,
    mailbox: Exchange,
}

impl Behaviour {
    fn new(
        keys: &Keypair,
        config: &NetworkConfig,
        over_circuits: relay::client::Behaviour,
        roster: &Roster,
        meter: &Arc<Meter>,
    ) -> Self {
        let limits = &config.limits;
        let local = keys.public().to_peer_id();
        let mut blocked = allow_block_list::Behaviour::<BlockedPeers>::default();
        for peer in roster.blocked() {
            blocked.block_peer(peer);
        }
        let connections = ConnectionLimits::default()
            .with_max_pending_incoming(Some(limits.max_pending_inbound))
            .with_max_pending_outgoing(Some(PENDING_OUTBOUND_MAX))
            .with_max_established(Some(limits.max_connections))
            .with_max_established_per_peer(Some(limits.max_connections_per_peer));
        let ping = ping::Config::new().with_interval(limits.ping_interval).with_timeout(limits.ping_timeout);
        let identify = identify::Config::new(IDENTIFY_PROTOCOL.to_owned(), keys.public())
            .with_agent_version(AGENT.to_owned())
            .with_hide_listen_addrs(true)
            .with_cache_size(0);
        let next = NextReading::new(Tier::Unknown.reading_cap());
        let exchange = |protocol: Protocol| {
            let config = request_response::Config::default()
                .with_request_timeout(limits.request_timeout.unwrap_or(protocol.timeout()))
                // Ours in flight and theirs.
                .with_max_concurrent_streams(limits.window.saturating_mul(2));
            Exchange::with_codec(
                FrameCodec::new(Arc::clone(meter), next.clone()),
                [(protocol, ProtocolSupport::Full)],
                config,
            )
        };
        let mut behaviour = Self {
            blocked,
            limits: connection_limits::Behaviour::new(connections),
            memory: memory_connection_limits::Behaviour::with_max_bytes(limits.max_memory_bytes),
            // Before the exchanges, whose codecs take up what it lays.
            gate: Gate::new(limits, roster.tiers(), next.clone()),
            circuits: circuits::server(local, config.serve_circuits),
            over_circuits,
            direct: dcutr::Behaviour::new(local),
            checks: Checks::new(config.checks),
            callers: reach::callers(config.checks.is_some()),
            router: reach::router(config.upnp),
            ping: ping::Behaviour::new(ping),
            identify: identify::Behaviour::new(identify),
            hello: exchange(Protocol::Hello),
            pair: exchange(Protocol::Pair),
            stream: exchange(Protocol::Stream),
            claim: exchange(Protocol::Claim),
            witness: exchange(Protocol::Witness),
            guard: exchange(Protocol::Guard),
            mirror: exchange(Protocol::Mirror),
            sync: exchange(Protocol::Sync),
            mailbox: exchange(Protocol::Mailbox),
        };
        for (peer, tier) in roster.tiers() {
            behaviour.serve(peer, tier);
        }
        behaviour
    }

    fn serve(&mut self, peer: PeerId, tier: Tier) {
        let serves = tier != Tier::Unknown;
        if let Some(server) = self.circuits.as_mut() {
            server.serve(peer, serves);
        }
        if let Some(callers) = self.callers.as_mut() {
            callers.serve(peer, serves);
        }
    }

    /// Others may reach us there: somebody is asked to try.
    pub(super) fn may_be_at(&mut self, address: &Multiaddr) {
        if let Some(checks) = self.checks.as_mut() {
            checks.may_be_at(address);
        }
    }

    /// The router lets others in there: somebody is asked to try, also when that was tried before it did.
    pub(super) fn is_open_at(&mut self, address: &Multiaddr, us: PeerId) {
        if let Some(checks) = self.checks.as_mut() {
            checks.is_open_at(address, us);
        }
    }

    /// Nobody could call us there: it is tried once more.
    pub(super) fn again_at(&mut self, address: &Multiaddr, us: PeerId) {
        if let Some(checks) = self.checks.as_mut() {
            checks.again_at(address, us);
        }
    }

    /// Connections of a peer over which it cannot ask to be called back, because it was none when they were made.
    pub(super) fn cannot_ask(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.callers.as_ref().map(|callers| callers.stale(peer)).unwrap_or_default()
    }

    /// Whether somebody has asked us to make this connection.
    pub(super) fn was_asked_for(&self, id: ConnectionId) -> bool {
        self.callers.as_ref().is_some_and(|callers| callers.was_asked_for(id))
    }

    /// The same, of one that has ended.
    pub(super) fn take_asked_for(&mut self, id: ConnectionId) -> bool {
        self.callers.as_mut().is_some_and(|callers| callers.take_call(id))
    }

    /// The exchange of a protocol.
    pub(super) fn exchange(&mut self, protocol: Protocol) -> &mut Exchange {
        match protocol {
            Protocol::Hello => &mut self.hello,
            Protocol::Pair => &mut self.pair,
            Protocol::Stream => &mut self.stream,
            Protocol::Claim => &mut self.claim,
            Protocol::Witness => &mut self.witness,
            Protocol::Guard => &mut self.guard,
            Protocol::Mirror => &mut self.mirror,
            Protocol::Sync => &mut self.sync,
            Protocol::Mailbox => &mut self.mailbox,
        }
    }

    /// Tells the gate, and who serves circuits, the tier of somebody.
    pub(super) fn set_tier(&mut self, peer: PeerId, tier: Tier) {
        self.gate.set_tier(peer, tier);
        self.serve(peer, tier);
    }

    /// How many connections stand to each tier, in the order of [`Tier::ALL`].
    pub(super) fn connections_by_tier(&self) -> [usize; Tier::ALL.len()] {
        self.gate.connections_by_tier()
    }

    /// How many connections to a peer stand.
    pub(super) fn connections_to(&self, peer: &PeerId) -> usize {
        self.gate.connections_to(peer)
    }

    /// Denies a peer both ways and closes its connections.
    pub(super) fn block(&mut self, peer: PeerId) {
        self.blocked.block_peer(peer);
    }

    /// Lifts a block.
    pub(super) fn unblock(&mut self, peer: PeerId) {
        self.blocked.unblock_peer(peer);
    }
}

/// The keys grown from the configured seed.
pub(super) fn keys(config: &NetworkConfig) -> Keypair {
    Keypair::ed25519_from_bytes(config.identity.clone().as_mut_slice())
        .expect("every 32 bytes are an ed25519 seed")
}

/// Builds a swarm that listens at `listen`. Must run inside a tokio runtime.
pub(super) fn build(
    config: &NetworkConfig,
    listen: &[Multiaddr],
    roster: &Roster,
    meter: &Arc<Meter>,
) -> Result<(Swarm<Behaviour>, Vec<ListenerId>), StartError> {
    let keys = keys(config);
    let (circuits, over_circuits) = relay::client::new(keys.public().to_peer_id());
    let behaviour = Behaviour::new(&keys, config, over_circuits, roster, meter);
    let settings = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(config.limits.idle)
        .with_max_negotiating_inbound_streams(config.limits.max_streams)
        .with_smart_dial();
    let (noise, yamux) = secured(&keys, &config.limits);
    let circuits =
        circuits.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux).timeout(HANDSHAKE_TIMEOUT);
    // Circuits are asked first: the address of one begins like that of the node it goes over.
    let transport = circuits.or_transport(transport(&keys, &config.limits));
    let transport = transport.map(|either, _| match either {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right(direct) => direct,
    });
    let mut swarm = Swarm::new(transport.boxed(), behaviour, keys.public().to_peer_id(), settings);
    let mut listeners = Vec::with_capacity(listen.len());
    for address in listen {
        let listener = swarm
            .listen_on(address.clone())
            .map_err(|error| StartError::Listen { address: address.clone(), reason: error.to_string() })?;
        listeners.push(listener);
    }
    for address in &config.external {
        swarm.add_external_address(address.clone());
    }
    Ok((swarm, listeners))
}

/// TCP with Noise and Yamux, and QUIC beside it; names are looked up for both.
pub(super) fn transport(keys: &Keypair, limits: &Limits) -> Boxed<(PeerId, StreamMuxerBox)> {
    match dns::tokio::Transport::system(both(keys, limits)) {
        Ok(named) => named.boxed(),
        Err(error) => {
            tracing::warn!(%error, "no resolver: peers can be reached at IP addresses only");
            both(keys, limits)
        }
    }
}

/// How a connection that is neither yet is encrypted and multiplexed.
fn secured(keys: &Keypair, limits: &Limits) -> (noise::Config, yamux::Config) {
    let noise = noise::Config::new(keys).expect("an ed25519 key signs a noise key");
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(limits.max_streams);
    (noise, yamux)
}

fn both(keys: &Keypair, limits: &Limits) -> Boxed<(PeerId, StreamMuxerBox)> {
    let (noise, yamux) = secured(keys, limits);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(HANDSHAKE_TIMEOUT);
    let mut config = quic::Config::new(keys);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_concurrent_stream_limit = u32::try_from(limits.max_streams).unwrap_or(u32::MAX);
    config.max_stream_data = QUIC_STREAM_WINDOW;
    config.max_connection_data = QUIC_CONNECTION_WINDOW;
    let quic = quic::tokio::Transport::new(config);
    // QUIC is asked first: an address is for one of them.
    let quic = quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed()
}
