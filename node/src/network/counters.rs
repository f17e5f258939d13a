//! What crossed the wire: counters for the operator, and a tap for tests.
//!
//! Both are fed by the frame codec, so they show exactly the frames that were sent or received
//! whole, on every connection and across rebuilds of the swarm. Neither ever blocks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use super::protocols::Protocol;

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a peer to us.
    In,
    /// From us to a peer.
    Out,
}

/// Which half of an exchange a frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The question.
    Request,
    /// The answer.
    Response,
}

/// A frame as it crossed the wire, before encryption or after decryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapFrame {
    /// Which way it went.
    pub direction: Direction,
    /// Question or answer.
    pub part: Part,
    /// Under which protocol.
    pub protocol: Protocol,
    /// The body, without the length prefix.
    pub bytes: Vec<u8>,
}

/// Messages and bytes of one kind since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Whole frames.
    pub messages: u64,
    /// Bytes of bodies, without length prefixes.
    pub bytes: u64,
}

/// The traffic of one protocol since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolCounters {
    /// The protocol counted.
    pub protocol: Protocol,
    /// Requests received.
    pub requests_in: Traffic,
    /// Requests sent.
    pub requests_out: Traffic,
    /// Responses received.
    pub responses_in: Traffic,
    /// Responses sent.
    pub responses_out: Traffic,
}

/// A reading of all counters; they start at zero and never go down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    /// One per protocol, in the order of [`Protocol::ALL`].
    pub protocols: [ProtocolCounters; Protocol::ALL.len()],
    /// Inbound requests refused because the peer, or all unknown peers together, sent too much.
    pub refused_over_rate: u64,
    /// Inbound requests refused because our own consumer of events was behind.
    pub refused_consumer_behind: u64,
    /// Inbound requests refused because their connection had as much half sent as it may.
    pub refused_no_room: u64,
    /// Networks shut out because of what they sent.
    pub bans: u64,
    /// Inbound streams that broke the framing rules.
    pub bad_frames: u64,
    /// Connections denied by a limit or a block.
    pub connections_denied: u64,
    /// Inbound connections that never finished their handshake.
    pub handshakes_failed: u64,
    /// Times the swarm was built again after a failure.
    pub rebuilds: u64,
    /// Circuits that a direct connection has taken the place of.
    pub circuits_spared: u64,
    /// Times that somebody has called us back, or could not.
    pub called: [u64; 2],
    /// Peers that we have called back, or could not.
    pub called_back: u64,
    /// Frames the tap could not take.
    pub tap_lost: u64,
}

#[derive(Debug, Default)]
struct Cell {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Cell {
    fn read(&self) -> Traffic {
        Traffic { messages: self.messages.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}

/// The shared meter behind [`Counters`] and the tap.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// `[protocol][direction][part]`.
    traffic: [[[Cell; 2]; 2]; Protocol::ALL.len()],
    pub(super) refused_over_rate: AtomicU64,
    pub(super) refused_consumer_behind: AtomicU64,
    pub(super) refused_no_room: AtomicU64,
    pub(super) bans: AtomicU64,
    pub(super) bad_frames: AtomicU64,
    pub(super) connections_denied: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) rebuilds: AtomicU64,
    pub(super) circuits_spared: AtomicU64,
    pub(super) called: AtomicU64,
    pub(super) not_called: AtomicU64,
    pub(super) called_back: AtomicU64,
    tap_lost: AtomicU64,
    tap: Option<mpsc::Sender<TapFrame>>,
}

/// Adds one to a counter.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Meter {
    pub(super) fn new(tap: Option<mpsc::Sender<TapFrame>>) -> Self {
        Self { tap, ..Self::default() }
    }

    /// Records a frame that crossed the wire whole.
    pub(super) fn frame(&self, protocol: Protocol, direction: Direction, part: Part, bytes: &[u8]) {
        let cell = &self.traffic[protocol.index()][direction as usize][part as usize];
        count(&cell.messages);
        cell.bytes.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Relaxed);
        if let Some(tap) = &self.tap {
            let frame = TapFrame { direction, part, protocol, bytes: bytes.to_vec() };
            if tap.try_send(frame).is_err() {
                count(&self.tap_lost);
            }
        }
    }

    pub(super) fn read(&self) -> Counters {
        Counters {
            protocols: Protocol::ALL.map(|protocol| {
                let of = |direction: Direction, part: Part| {
                    self.traffic[protocol.index()][direction as usize][part as usize].read()
                };
                ProtocolCounters {
                    protocol,
                    requests_in: of(Direction::In, Part::Request),
                    requests_out: of(Direction::Out, Part::Request),
                    responses_in: of(Direction::In, Part::Response),
                    responses_out: of(Direction::Out, Part::Response),
                }
            }),
            refused_over_rate: self.refused_over_rate.load(Relaxed),
            refused_consumer_behind: self.refused_consumer_behind.load(Relaxed),
            refused_no_room: self.refused_no_room.load(Relaxed),
            bans: self.bans.load(Relaxed),
            bad_frames: self.bad_frames.load(Relaxed),
            connections_denied: self.connections_denied.load(Relaxed),
            handshakes_failed: self.handshakes_failed.load(Relaxed),
            rebuilds: self.rebuilds.load(Relaxed),
            circuits_spared: self.circuits_spared.load(Relaxed),
            called: [self.called.load(Relaxed), self.not_called.load(Relaxed)],
            called_back: self.called_back.load(Relaxed),
            tap_lost: self.tap_lost.load(Relaxed),
        }
    }
}

impl Counters {
    /// The counters of one protocol.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> &ProtocolCounters {
        &self.protocols[protocol.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_protocol_direction_and_part() {
        let meter = Meter::new(None);
        meter.frame(Protocol::Claim, Direction::Out, Part::Request, b"abc");
        meter.frame(Protocol::Claim, Direction::In, Part::Response, b"de");
        let read = meter.read();
        let claim = read.of(Protocol::Claim);
        assert_eq!(claim.requests_out, Traffic { messages: 1, bytes: 3 });
        assert_eq!(claim.responses_in, Traffic { messages: 1, bytes: 2 });
        assert_eq!(claim.requests_in, Traffic::default());
        assert_eq!(read.of(Protocol::Hello).requests_out, Traffic::default());
    }

    #[test]
    fn a_full_tap_loses_frames_and_says_so() {
        let (tap, mut taken) = mpsc::channel(1);
        let meter = Meter::new(Some(tap));
        meter.frame(Protocol::Hello, Direction::In, Part::Request, b"first");
        meter.frame(Protocol::Hello, Direction::In, Part::Request, b"second");
        assert_eq!(taken.try_recv().map(|frame| frame.bytes), Ok(b"first".to_vec()));
        assert_eq!(meter.read().tap_lost, 1);
    }
}
