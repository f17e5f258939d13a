//! Nodes, a node that breaks the rules, and waiting with an end.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Swarm,
    identity::Keypair,
    ping,
    request_response::{self, Codec, ProtocolSupport},
    swarm::{
        self, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use zeroize::Zeroizing;

use crate::network::{
    Answer, BackoffPolicy, Limits, Misconduct, Network, NetworkConfig, NetworkEvent, Protocol, Tier,
    behaviour,
};

/// Far above what any step takes, so that only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Redials fast enough for a test.
pub(crate) fn fast() -> Limits {
    Limits {
        redial: BackoffPolicy { min_ms: 50, max_ms: 400, stable_ms: 1_000 },
        // All tests share one process.
        max_memory_bytes: usize::MAX,
        ..Limits::default()
    }
}

/// Waits with an end.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("took too long")
}

/// Waits until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    soon(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) struct Node {
    pub(crate) net: Network,
    pub(crate) events: mpsc::Receiver<NetworkEvent>,
    pub(crate) join: JoinHandle<()>,
    pub(crate) peer: PeerId,
    pub(crate) addr: Multiaddr,
}

pub(crate) async fn node(limits: Limits) -> Node {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    node_with(seed, |config| config.limits = limits).await
}

pub(crate) async fn node_with(seed: [u8; 32], change: impl FnOnce(&mut NetworkConfig)) -> Node {
    let mut config = NetworkConfig::new(Zeroizing::new(seed));
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.limits = fast();
    change(&mut config);
    let (net, events, join) = Network::start(config).unwrap();
    let addr = soon(net.listen_addrs()).await.first().expect("it listens").clone();
    Node { peer: net.local_peer_id(), net, events, join, addr }
}

impl Node {
    /// Keeps connected to the other one and waits until both know it.
    pub(crate) async fn join(&mut self, other: &mut Self) {
        other.net.set_peer(self.peer, vec![]).await.unwrap();
        self.net.set_peer(other.peer, vec![other.addr.clone()]).await.unwrap();
        self.connected(other.peer).await;
        other.connected(self.peer).await;
    }

    pub(crate) async fn connected(&mut self, who: PeerId) {
        soon(async {
            while !matches!(self.events.recv().await.expect("it runs"), NetworkEvent::Connected { peer } if peer == who)
            {}
        })
        .await;
    }

    pub(crate) async fn disconnected(&mut self, who: PeerId) {
        soon(async {
            while !matches!(self.events.recv().await.expect("it runs"), NetworkEvent::Disconnected { peer } if peer == who)
            {}
        })
        .await;
    }

    pub(crate) async fn banned(&mut self) -> (PeerId, Tier, Misconduct) {
        soon(async {
            loop {
                if let NetworkEvent::Banned { peer, tier, why } = self.events.recv().await.expect("it runs") {
                    return (peer, tier, why);
                }
            }
        })
        .await
    }

    pub(crate) async fn asked(&mut self) -> (PeerId, Protocol, Vec<u8>, Answer) {
        soon(async {
            loop {
                if let NetworkEvent::Request { peer, protocol, bytes, answer } =
                    self.events.recv().await.expect("it runs")
                {
                    return (peer, protocol, bytes, answer);
                }
            }
        })
        .await
    }

    /// Answers every request with its own bytes from now on.
    pub(crate) fn echo(self) -> (Network, PeerId, Multiaddr) {
        let Self { net, mut events, peer, addr, .. } = self;
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NetworkEvent::Request { bytes, answer, .. } = event {
                    let _ = answer.send(bytes);
                }
            }
        });
        (net, peer, addr)
    }
}

/// Writes what it is told without any framing, and reads to the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawCodec;

impl Codec for RawCodec {
    type Protocol = Protocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &Protocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn read_response<T>(&mut self, protocol: &Protocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(&mut self, _: &Protocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(&mut self, protocol: &Protocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, io, bytes).await
    }
}

/// A node without ping is hung up on, so even a raw peer has it.
#[derive(NetworkBehaviour)]
pub(crate) struct Raw {
    pub(crate) exchange: request_response::Behaviour<RawCodec>,
    ping: ping::Behaviour,
}

pub(crate) type RawSwarm = Swarm<Raw>;

/// A peer that speaks one protocol without our framing.
pub(crate) fn raw_peer(protocol: Protocol) -> RawSwarm {
    let keys = Keypair::generate_ed25519();
    let exchange = request_response::Behaviour::with_codec(
        RawCodec,
        [(protocol, ProtocolSupport::Full)],
        request_response::Config::default(),
    );
    let behaviour = Raw { exchange, ping: ping::Behaviour::default() };
    let transport = behaviour::transport(&keys, &fast());
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    Swarm::new(transport, behaviour, keys.public().to_peer_id(), settings)
}

/// Connects a raw peer to a node, beside the connections it has.
pub(crate) async fn raw_dial(raw: &mut RawSwarm, node: &Node) {
    let options = DialOpts::peer_id(node.peer).condition(PeerCondition::Always);
    raw.dial(options.addresses(vec![node.addr.clone()]).allocate_new_port().build()).unwrap();
    soon(async {
        while !matches!(raw.select_next_some().await, SwarmEvent::ConnectionEstablished { .. }) {}
    })
    .await;
}

/// Runs a raw peer that answers every request with these bytes; returns where it listens.
pub(crate) async fn raw_server(mut raw: RawSwarm, response: Vec<u8>) -> (PeerId, Multiaddr) {
    raw.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let addr = soon(async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = raw.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    let peer = *raw.local_peer_id();
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(RawEvent::Exchange(request_response::Event::Message {
                message: request_response::Message::Request { channel, .. },
                ..
            })) = raw.select_next_some().await
            {
                let _ = raw.behaviour_mut().exchange.send_response(channel, response.clone());
            }
        }
    });
    (peer, addr)
}
