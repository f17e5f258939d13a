//! Bare request and response over libp2p: 256 bytes each way, TCP with Noise and Yamux, nothing else.

use super::Row;
use crate::kit::{Failure, Outcome};
use libp2p::futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Codec, Event, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use weft_node::clock::Clock;

/// Bytes of a request and of a response.
const BYTES: usize = 256;
/// Requests before the clock counts, for each one under way.
const WARM: usize = 20;
const PROTOCOL: StreamProtocol = StreamProtocol::new("/weft-tests/bare/1");

type Frame = [u8; BYTES];

/// Frames of one fixed length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fixed;

async fn read(io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Frame> {
    let mut frame = [0; BYTES];
    io.read_exact(&mut frame).await?;
    Ok(frame)
}

impl Codec for Fixed {
    type Protocol = StreamProtocol;
    type Request = Frame;
    type Response = Frame;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Frame> {
        read(io).await
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Frame> {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&frame).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Frame) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&frame).await
    }
}

type Exchange = request_response::Behaviour<Fixed>;

fn swarm() -> Outcome<Swarm<Exchange>> {
    let settings = request_response::Config::default().with_max_concurrent_streams(1_024);
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| Exchange::with_codec(Fixed, [(PROTOCOL, ProtocolSupport::Full)], settings))
        .map_err(|_| Failure::new("no behaviour"))?;
    Ok(swarm.build())
}

/// Answers requests for ever; prints its address and its id first.
///
/// # Errors
/// When it cannot listen.
pub async fn answer(say: &dyn Fn(&str)) -> Outcome<()> {
    let mut swarm = swarm()?;
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    let id = *swarm.local_peer_id();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => say(&format!("{address} {id}")),
            SwarmEvent::Behaviour(Event::Message {
                message: Message::Request { request, channel, .. },
                ..
            }) => {
                // Who asked may be gone.
                let _ = swarm.behaviour_mut().send_response(channel, request);
            }
            _ => {}
        }
    }
}

/// Asks another process so many times, with so many under way.
///
/// # Errors
/// When the other process does not start or a request fails.
pub async fn measure(count: usize, in_flight: usize) -> Outcome<Row> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.arg("crossing-answer").stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("no output"))?;
    let line = BufReader::new(stdout).lines().next_line().await?.unwrap_or_default();
    let (address, id) = line.split_once(' ').ok_or_else(|| Failure::new(format!("it said \"{line}\"")))?;
    let (address, peer): (Multiaddr, PeerId) = (address.parse()?, id.parse()?);
    let mut swarm = swarm()?;
    swarm.add_peer_address(peer, address);
    ask(&mut swarm, peer, WARM * in_flight, in_flight).await?;
    let row = ask(&mut swarm, peer, count, in_flight).await?;
    child.kill().await?;
    Ok(row)
}

async fn ask(swarm: &mut Swarm<Exchange>, peer: PeerId, count: usize, in_flight: usize) -> Outcome<Row> {
    let (began, mut under_way, mut asked) = (Clock.instant(), HashMap::new(), 0);
    let mut micros = Vec::with_capacity(count);
    while micros.len() < count {
        while asked < count && under_way.len() < in_flight {
            let id = swarm.behaviour_mut().send_request(&peer, [1; BYTES]);
            under_way.insert(id, Clock.instant());
            asked += 1;
        }
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(Event::Message {
                message: Message::Response { request_id, .. }, ..
            }) => {
                let sent =
                    under_way.remove(&request_id).ok_or_else(|| Failure::new("an answer to nothing"))?;
                micros.push(u64::try_from(sent.elapsed().as_micros())?);
            }
            SwarmEvent::Behaviour(Event::OutboundFailure { error, .. }) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(Row::new("bare request and response", in_flight, micros, began.elapsed()))
}
