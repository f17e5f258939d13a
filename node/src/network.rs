//! The network layer: moves opaque byte frames between networks.
//!
//! What must always hold:
//! - It never touches a store, never checks a ledger signature and never looks inside a frame.
//! - One task owns the libp2p swarm; all others speak to it through a bounded channel and take
//!   typed events from another. It never waits for a slow consumer: it refuses requests instead.
//! - Every length is checked before memory is taken, every queue has a bound, and a peer is charged
//!   for a request before anything decodes it. Who breaks too many rules is shut out, and the consumer hears why.
//! - A request that ends without an answer is *unknown* unless the error says that it certainly was
//!   not acted on ([`RequestError::is_certain`]).
//! - If the task panics it is rebuilt with back-off; no ledger state lives in it.

mod behaviour;
mod circuits;
mod conduct;
mod config;
mod counters;
mod event;
mod frame;
mod gate;
mod handle;
mod limits;
mod peers;
mod protocols;
mod reach;
mod redial;
mod served;
mod swarm;
mod tier;
mod window;

#[cfg(test)]
mod tests;

pub use circuits::{circuit_at, is_circuit};
pub use conduct::{Fault, Misconduct};
pub use config::{Limits, NetworkConfig};
pub use counters::{Counters, Direction, Part, ProtocolCounters, TapFrame, Traffic};
pub use event::{Answer, AnswerError, NetworkEvent};
pub use frame::FrameError;
pub use handle::{ControlError, DialFailure, Gauges, Network, RequestError, StartError};
pub use libp2p::{Multiaddr, PeerId};
pub use limits::{Rate, TierRates};
pub use protocols::Protocol;
pub use reach::{Called, Reach, Router};
pub use redial::BackoffPolicy;
pub use swarm::NetworkTask;
pub use tier::Tier;

use libp2p::identity;

/// The 32 bytes are not a point on the curve, so no peer can hold their private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tried to name a peer by a public key that is not an ed25519 key")]
pub struct NotAPublicKey;

/// The peer that holds the private half of this 32-byte ed25519 public key.
///
/// # Errors
/// [`NotAPublicKey`] when the bytes are no ed25519 key.
pub fn peer_id_from_public_key(key: &[u8; 32]) -> Result<PeerId, NotAPublicKey> {
    let key = identity::ed25519::PublicKey::try_from_bytes(key).map_err(|_| NotAPublicKey)?;
    Ok(identity::PublicKey::from(key).to_peer_id())
}

/// The 32-byte ed25519 public key of the network identity grown from this seed.
#[must_use]
pub fn public_key_of_seed(seed: &[u8; 32]) -> [u8; 32] {
    let secret =
        identity::ed25519::SecretKey::try_from_bytes(*seed).expect("every 32 bytes are an ed25519 seed");
    identity::ed25519::Keypair::from(secret).public().to_bytes()
}
