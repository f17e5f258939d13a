//! What the network layer needs to know at the start, and its limits.

use std::time::Duration;

use libp2p::Multiaddr;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{
    PeerId,
    counters::TapFrame,
    limits::{Rate, TierRates},
    redial::BackoffPolicy,
};

/// The configuration of one network layer.
pub struct NetworkConfig {
    /// The 32-byte ed25519 seed of the network identity, from which the peer id follows.
    pub identity: Zeroizing<[u8; 32]>,
    /// Where to listen; port 0 lets the system choose and is kept through rebuilds. May be empty.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach us, told to them by identify. Local ones are never told.
    pub external: Vec<Multiaddr>,
    /// Nodes of peers, each with its peer id, over which others reach us ([`super::circuit_at`]).
    pub circuits: Vec<Multiaddr>,
    /// Whether peers and vouched networks may be reached over us.
    pub serve_circuits: bool,
    /// How often peers are asked to call us back at addresses that nobody has tried; who asks is called back, too. `None`:
    /// neither.
    pub checks: Option<Duration>,
    /// Whether a router is asked to let others in.
    pub upnp: bool,
    /// Who is shut out from the first moment on.
    pub blocked: Vec<PeerId>,
    /// Bounds of everything.
    pub limits: Limits,
    /// Seeds the jitter of redials together with the public identity, so that a run can be
    /// repeated and two nodes never dial in step. Not a secret.
    pub jitter_seed: u64,
    /// For tests: a copy of every frame that crosses the wire. What it cannot take is counted.
    pub tap: Option<mpsc::Sender<TapFrame>>,
}

impl NetworkConfig {
    /// A node with this identity that listens nowhere, with the default limits.
    #[must_use]
    pub fn new(identity: Zeroizing<[u8; 32]>) -> Self {
        Self {
            identity,
            listen: Vec::new(),
            external: Vec::new(),
            circuits: Vec::new(),
            serve_circuits: false,
            checks: None,
            upnp: false,
            blocked: Vec::new(),
            limits: Limits::default(),
            jitter_seed: 0,
            tap: None,
        }
    }
}

/// The bounds of the network layer. Each default states its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Established connections. Default 400: the 200 peers of a large hub, twice.
    pub max_connections: u32,
    /// Connections to one peer. Default 3: both sides may dial at the same moment, and one may call the other back.
    pub max_connections_per_peer: u32,
    /// Inbound connections whose handshake is under way. Default 64.
    pub max_pending_inbound: u32,
    /// Inbound connections of peers that were not set. Default 32: room for pairing and claims,
    /// while the rest stays for peers.
    pub max_unknown_inbound: usize,
    /// Inbound connections of vouched networks. Default 96.
    pub max_vouched_inbound: usize,
    /// Resident memory of the process, in bytes, above which no connection is taken or made.
    /// Default 256 MiB.
    pub max_memory_bytes: usize,
    /// Substreams of one connection. Default 128.
    pub max_streams: usize,
    /// Requests in flight to one peer. Default 16: more only moves the queue to the other side.
    pub window: usize,
    /// Requests that wait for the window of one peer. Default 64, at most 16 MiB.
    pub queue: usize,
    /// Inbound requests that wait for their answer. Default 512.
    pub max_unanswered: usize,
    /// Events that wait for the consumer. Default 128, at most 32 MiB.
    pub event_queue: usize,
    /// After how long a connection without streams to an unknown peer is closed. Default 300 s.
    pub idle: Duration,
    /// Pause between pings; the second miss in a row closes the connection. Default 30 s.
    pub ping_interval: Duration,
    /// How long a pong may take. Default 20 s.
    pub ping_timeout: Duration,
    /// Replaces the time-out of every protocol. Default `None`: [`super::Protocol::timeout`].
    pub request_timeout: Option<Duration>,
    /// When to dial known peers again. Default 2 s to 10 min.
    pub redial: BackoffPolicy,
    /// What each tier may send. Default 2,000 requests and 32 MiB a second of a peer, 50 and 1 MiB of a vouched network, 5
    /// and 64 KiB of an unknown one, 50 and 1 MiB of all unknown ones together.
    pub rates: TierRates,
}

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 400,
            max_connections_per_peer: 3,
            max_pending_inbound: 64,
            max_unknown_inbound: 32,
            max_vouched_inbound: 96,
            max_memory_bytes: 256 * 1_024 * 1_024,
            max_streams: 128,
            window: 16,
            queue: 64,
            max_unanswered: 512,
            event_queue: 128,
            idle: Duration::from_secs(300),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            request_timeout: None,
            redial: BackoffPolicy::default(),
            rates: TierRates {
                peer: Rate {
                    messages_per_s: 2_000,
                    messages_burst: 4_000,
                    bytes_per_s: 32 * MIB,
                    bytes_burst: 64 * MIB,
                },
                vouched: Rate {
                    messages_per_s: 50,
                    messages_burst: 200,
                    bytes_per_s: MIB,
                    bytes_burst: 4 * MIB,
                },
                unknown: Rate {
                    messages_per_s: 5,
                    messages_burst: 20,
                    bytes_per_s: 64 * KIB,
                    bytes_burst: 256 * KIB,
                },
                unknown_together: Rate {
                    messages_per_s: 50,
                    messages_burst: 200,
                    bytes_per_s: MIB,
                    bytes_burst: 4 * MIB,
                },
            },
        }
    }
}
