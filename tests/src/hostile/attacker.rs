//! The hostile peer: a process of its own that speaks libp2p as it is, without our frames, windows and manners.
//!
//! It keeps every connection that it gets busy with one bad stream after the other, as fast as it can. The first identity
//! is that of a real peer, begins with what an honest node could send, only too much of it, and is kept to the end; those
//! beside it go on as somebody new when their connections are denied, over and over.

use super::frames::{Frame, Material, all};
use crate::kit::{Dice, Outcome};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, Codec, ProtocolSupport};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{self, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, Transport, noise, ping, tcp, yamux};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use weft_node::clock::Clock;
use weft_node::data::DataDir;
use weft_node::network::Protocol;

/// Identities that attack at once; the first is the peer's.
const AT_ONCE: u64 = 4;
/// Streams of one protocol open at once over one connection.
const STREAMS: usize = 48;
/// The peer begins with what an honest node could send, for this part of the time.
const SEEMLY_PART: u32 = 3;
/// How long a stream is held open by who sends slowly.
const STALL: Duration = Duration::from_secs(30);
/// A dial that is denied is tried again after this.
const REDIAL: Duration = Duration::from_millis(20);
/// So many connections in a row that came to nothing mean that an identity is denied: one alone may be a busy machine.
const DENIED: u32 = 5;
/// How long a connection may take, or stay without a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one attack came to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Streams sent, by the kind of attack.
    pub sent: BTreeMap<&'static str, u64>,
    /// Connections that stood.
    pub connections: u64,
    /// Dials that failed, and connections that never stood.
    pub denied: u64,
    /// Streams that were answered with something.
    pub answered: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (what, count) in other.sent {
            *self.sent.entry(what).or_default() += count;
        }
        self.connections += other.connections;
        self.denied += other.denied;
        self.answered += other.answered;
    }

    /// For people, on one line.
    pub fn text(&self) -> String {
        let sent: Vec<String> = self.sent.iter().map(|(what, count)| format!("{what} {count}")).collect();
        format!(
            "{} connections ({} denied), {} answers, sent: {}",
            self.connections,
            self.denied,
            self.answered,
            sent.join(", ")
        )
    }
}

/// Attacks a node for a time, with the keys in the data folder of a peer of its.
///
/// # Errors
/// When the folder cannot be read.
pub async fn attack(data: &DataDir, to: PeerId, at: Multiaddr, time: Duration) -> Outcome<Tally> {
    let material = Material::of(data)?;
    let until = Instant::now() + time;
    let attackers = (0..AT_ONCE).map(|n| {
        let frames = all(&material, &mut Dice(n));
        let now = Instant::now();
        let (seed, seemly) =
            if n == 0 { (material.seed, now + time / SEEMLY_PART) } else { (Clock.random(), now) };
        tokio::spawn(one(frames, seemly, (seed, n == 0), to, at.clone(), until))
    });
    let mut tally = Tally::default();
    for attacker in attackers.collect::<Vec<_>>() {
        tally.add(attacker.await?);
    }
    Ok(tally)
}

/// One attacker: connects, sends, is denied, becomes somebody else.
async fn one(
    frames: Vec<Frame>,
    seemly: Instant,
    (mut seed, stays): ([u8; 32], bool),
    to: PeerId,
    at: Multiaddr,
    until: Instant,
) -> Tally {
    let mut tally = Tally::default();
    let some = frames.iter().filter(|frame| frame.is_seemly()).cycle();
    let mut next =
        some.zip(frames.iter().cycle()).map(|(some, any)| if Instant::now() < seemly { some } else { any });
    while Instant::now() < until {
        let mut swarm = swarm_of(seed);
        let (mut busy, mut failed) = (0, 0);
        while Instant::now() < until && failed < DENIED {
            let dial = DialOpts::peer_id(to).condition(PeerCondition::Always).addresses(vec![at.clone()]);
            let stood = swarm.dial(dial.allocate_new_port().build()).is_ok()
                && session(&mut swarm, &mut next, to, until, &mut tally).await > 0;
            if stood {
                (busy, failed) = (busy + 1, 0);
            } else {
                (tally.denied, failed) = (tally.denied + 1, failed + 1);
                sleep_until(until.min(Instant::now() + REDIAL)).await;
            }
        }
        tally.connections += busy;
        // What is refused to the address is refused to the peer too: only its shutting out is for the peer alone.
        if !stays {
            seed = Clock.random();
        }
    }
    tally
}

/// Sends over one connection until it ends; gives how many streams that were.
async fn session<'a>(
    swarm: &mut Swarm<Hostile>,
    next: &mut impl Iterator<Item = &'a Frame>,
    to: PeerId,
    until: Instant,
    tally: &mut Tally,
) -> u64 {
    let (mut sent, mut open, mut connected) = (0, 0_usize, false);
    let mut held = None;
    loop {
        while connected && open < STREAMS {
            let Some(frame) = held.take().or_else(|| next.next()) else { break };
            let wire = Wire { bytes: frame.bytes.clone(), stalls: frame.stalls };
            let place = Protocol::ALL.iter().position(|one| *one == frame.protocol).unwrap_or_default();
            swarm.behaviour_mut().send(place, to, wire);
            *tally.sent.entry(frame.what).or_default() += 1;
            (sent, open) = (sent + 1, open + 1);
        }
        let patience = until.min(Instant::now() + PATIENCE);
        let Ok(event) = timeout_at(patience, swarm.select_next_some()).await else { return sent };
        match event {
            SwarmEvent::ConnectionEstablished { .. } => connected = true,
            SwarmEvent::ConnectionClosed { num_established: 0, .. }
            | SwarmEvent::OutgoingConnectionError { .. } => {
                return sent;
            }
            SwarmEvent::Behaviour(event) => match ended(event) {
                Some(true) => {
                    tally.answered += 1;
                    open = open.saturating_sub(1);
                }
                Some(false) => open = open.saturating_sub(1),
                None => {}
            },
            _ => {}
        }
    }
}

/// Whether an exchange has ended, and with an answer that says something.
fn ended(event: HostileEvent) -> Option<bool> {
    let exchange = match event {
        HostileEvent::Ping(_) => return None,
        HostileEvent::Hello(event)
        | HostileEvent::Pair(event)
        | HostileEvent::Stream(event)
        | HostileEvent::Claim(event)
        | HostileEvent::Witness(event)
        | HostileEvent::Guard(event)
        | HostileEvent::Mirror(event)
        | HostileEvent::Sync(event)
        | HostileEvent::Mailbox(event) => event,
    };
    match exchange {
        request_response::Event::Message { message, .. } => match message {
            request_response::Message::Response { response, .. } => Some(response.bytes.len() > 4),
            request_response::Message::Request { .. } => None,
        },
        request_response::Event::OutboundFailure { .. } => Some(false),
        request_response::Event::InboundFailure { .. } | request_response::Event::ResponseSent { .. } => None,
    }
}

/// Bytes of a stream, as they are.
#[derive(Debug, Clone)]
struct Wire {
    bytes: Vec<u8>,
    stalls: bool,
}

/// Writes what it is told, and reads to the end.
#[derive(Debug, Clone, Default)]
struct RawCodec;

/// Longest answer that is read.
const ANSWER_CAP: u64 = 512 * 1_024;

impl Codec for RawCodec {
    type Protocol = Protocol;
    type Request = Wire;
    type Response = Wire;

    async fn read_request<T>(&mut self, _: &Protocol, io: &mut T) -> io::Result<Wire>
    where
        T: AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        io.take(ANSWER_CAP).read_to_end(&mut bytes).await?;
        Ok(Wire { bytes, stalls: false })
    }

    async fn read_response<T>(&mut self, protocol: &Protocol, io: &mut T) -> io::Result<Wire>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read_request(protocol, io).await
    }

    async fn write_request<T>(&mut self, _: &Protocol, io: &mut T, wire: Wire) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&wire.bytes).await?;
        io.flush().await?;
        if wire.stalls {
            // Until the exchange is given up: no end ever comes.
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn write_response<T>(&mut self, protocol: &Protocol, io: &mut T, wire: Wire) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write_request(protocol, io, wire).await
    }
}

type Exchange = request_response::Behaviour<RawCodec>;

/// A node without ping is hung up on, so even a hostile peer has it.
#[derive(NetworkBehaviour)]
struct Hostile {
    ping: ping::Behaviour,
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

impl Hostile {
    /// Sends over the exchange at a place of [`Protocol::ALL`].
    fn send(&mut self, place: usize, to: PeerId, wire: Wire) {
        let exchanges = [
            &mut self.hello,
            &mut self.pair,
            &mut self.stream,
            &mut self.claim,
            &mut self.witness,
            &mut self.guard,
            &mut self.mirror,
            &mut self.sync,
            &mut self.mailbox,
        ];
        if let Some(exchange) = exchanges.into_iter().nth(place) {
            exchange.send_request(&to, wire);
        }
    }
}

fn swarm_of(seed: [u8; 32]) -> Swarm<Hostile> {
    let keys = Keypair::ed25519_from_bytes(seed).expect("every 32 bytes are an ed25519 seed");
    let exchange = |protocol: Protocol| {
        let config = request_response::Config::default()
            .with_request_timeout(STALL)
            .with_max_concurrent_streams(STREAMS * 2);
        Exchange::with_codec(RawCodec, [(protocol, ProtocolSupport::Outbound)], config)
    };
    let behaviour = Hostile {
        ping: ping::Behaviour::default(),
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
    let noise = noise::Config::new(&keys).expect("an ed25519 key signs a noise key");
    let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(PATIENCE)
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    Swarm::new(transport, behaviour, keys.public().to_peer_id(), config)
}
