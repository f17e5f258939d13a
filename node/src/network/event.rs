//! What the network tells its one consumer.

use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::{
    conduct::{Fault, Misconduct},
    frame::{FrameError, check_outgoing},
    protocols::Protocol,
    tier::Tier,
};

/// An event of the network layer.
#[derive(Debug)]
pub enum NetworkEvent {
    /// We can be reached at this local address.
    Listening {
        /// With the port that was really bound.
        addr: Multiaddr,
    },
    /// The first connection to this peer stands.
    Connected {
        /// Authenticated by the handshake.
        peer: PeerId,
    },
    /// The last connection to this peer is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// Somebody has broken too many rules: its connections are closed, and it is denied until [`super::Network::unblock`].
    Banned {
        /// Who.
        peer: PeerId,
        /// What it was to us.
        tier: Tier,
        /// What it did.
        why: Misconduct,
    },
    /// A peer asks something. Its rate is already charged; its bytes are not looked at.
    Request {
        /// Who asks, authenticated by the handshake.
        peer: PeerId,
        /// Under which protocol.
        protocol: Protocol,
        /// 1 to [`Protocol::request_cap`] bytes.
        bytes: Vec<u8>,
        /// The way to answer.
        answer: Answer,
    },
}

/// An answer that could not be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The body is empty or above the cap of its protocol; the request was refused instead.
    #[error("tried to answer with a body that no peer would take: {0}")]
    Body(FrameError),
    /// Nobody waits for it any more.
    #[error("tried to answer on {protocol}, but the peer no longer waits")]
    Gone {
        /// Under which protocol.
        protocol: Protocol,
    },
}

/// The way to answer one request, once. Dropping it refuses the request, which tells the peer that
/// it was *not acted on*: do not drop it after acting.
#[derive(Debug)]
pub struct Answer {
    protocol: Protocol,
    reply: oneshot::Sender<Told>,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Told {
    /// The answer; `None` refuses.
    pub(super) bytes: Option<Vec<u8>>,
    /// What was wrong with the request.
    pub(super) fault: Option<Fault>,
}

impl Answer {
    pub(super) fn new(protocol: Protocol) -> (Self, oneshot::Receiver<Told>) {
        let (reply, answered) = oneshot::channel();
        (Self { protocol, reply }, answered)
    }

    /// Hands the answer over for sending. Success does not mean that it arrives.
    ///
    /// # Errors
    /// [`AnswerError::Body`] for an empty body or one above [`Protocol::response_cap`];
    /// [`AnswerError::Gone`] when the network task is gone.
    pub fn send(self, bytes: Vec<u8>) -> Result<(), AnswerError> {
        self.tell(Some(bytes), None)
    }

    /// The same, or a refusal, for a request in which something was wrong that its sender answers for.
    ///
    /// # Errors
    /// As [`Answer::send`].
    pub fn send_blaming(self, bytes: Option<Vec<u8>>, fault: Fault) -> Result<(), AnswerError> {
        self.tell(bytes, Some(fault))
    }

    fn tell(self, bytes: Option<Vec<u8>>, fault: Option<Fault>) -> Result<(), AnswerError> {
        let protocol = self.protocol;
        if let Some(bytes) = &bytes {
            check_outgoing(bytes, protocol, protocol.response_cap()).map_err(AnswerError::Body)?;
        }
        self.reply.send(Told { bytes, fault }).map_err(|_| AnswerError::Gone { protocol })
    }
}
