//! The closed list of request protocols, each with its own caps and time-out.
//!
//! Two nodes agree on a name through multistream-select; a node that lacks one answers
//! "unsupported". To add a protocol: a variant here, a field in `behaviour.rs`.

use std::time::Duration;

use super::tier::Tier;

const KIB: usize = 1024;

/// A request protocol. The figures come from the table in the network specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Versions, descriptor number, resuming a channel. Open to all.
    Hello,
    /// Pairing: for the holder of an open invitation.
    Pair,
    /// Push of stream entries, answered by the next number wanted. For peers with an accord.
    Stream,
    /// Asking for a Decision or a cancellation. For networks on the route.
    Claim,
    /// Asking for a cosignature of a checkpoint. For peers with an accord.
    Witness,
    /// After a start: what peers hold of ours, and our own entries back from them. For peers with an accord.
    Guard,
    /// Sealed pieces of a ledger, to keep and to give back. For peers whose accord says so.
    Mirror,
    /// Public streams of everybody, passed on by everybody. Open to all.
    Sync,
    /// Sealed letters for a peer that is away, kept by a peer of both. For peers with an accord.
    Mailbox,
}

impl Protocol {
    /// Every protocol, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Hello,
        Self::Pair,
        Self::Stream,
        Self::Claim,
        Self::Witness,
        Self::Guard,
        Self::Mirror,
        Self::Sync,
        Self::Mailbox,
    ];

    /// The name agreed on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "/weft/hello/1",
            Self::Pair => "/weft/pair/1",
            Self::Stream => "/weft/stream/1",
            Self::Claim => "/weft/claim/1",
            Self::Witness => "/weft/witness/1",
            Self::Guard => "/weft/guard/1",
            Self::Mirror => "/weft/mirror/1",
            Self::Sync => "/weft/sync/1",
            Self::Mailbox => "/weft/mailbox/1",
        }
    }

    /// The longest request body, in bytes.
    #[must_use]
    pub const fn request_cap(self) -> usize {
        match self {
            Self::Hello | Self::Guard => 8 * KIB,
            Self::Pair => 16 * KIB,
            Self::Stream => 256 * KIB,
            Self::Claim | Self::Sync | Self::Mailbox => 64 * KIB,
            Self::Witness => 72 * KIB,
            Self::Mirror => weft_protocol::mirror::MAX_FRAME_BYTES,
        }
    }

    /// The longest response body, in bytes.
    #[must_use]
    pub const fn response_cap(self) -> usize {
        match self {
            Self::Hello | Self::Stream | Self::Claim => 8 * KIB,
            Self::Pair => 16 * KIB,
            Self::Witness => 72 * KIB,
            Self::Guard | Self::Sync | Self::Mailbox => 256 * KIB,
            Self::Mirror => weft_protocol::mirror::MAX_FRAME_BYTES,
        }
    }

    /// How long an exchange may take from the opened stream to the answer. Hello reads memory only;
    /// the others wait for the other side's disk and, in the worst case, for its slow uplink.
    #[must_use]
    pub const fn timeout(self) -> Duration {
        match self {
            Self::Hello => Duration::from_secs(10),
            Self::Pair
            | Self::Stream
            | Self::Claim
            | Self::Witness
            | Self::Guard
            | Self::Mirror
            | Self::Sync
            | Self::Mailbox => Duration::from_secs(20),
        }
    }

    /// Requests a second that one sender of a tier may make, in the long run; four seconds of them at once. A peer's are a
    /// few times what the heaviest honest use needs (a restore, a catch-up, claims one by one); what only peers are
    /// answered, others may hardly ask; a page of public streams is the dearest answer, and strangers get few.
    #[must_use]
    pub const fn requests_per_s(self, tier: Tier) -> u64 {
        let [unknown, vouched, peer] = match self {
            Self::Hello => [5, 10, 100],
            Self::Pair => [5, 5, 20],
            Self::Stream => [2, 2, 2_000],
            Self::Claim => [5, 20, 1_000],
            Self::Witness => [1, 5, 50],
            Self::Guard | Self::Mirror => [1, 1, 200],
            Self::Mailbox => [1, 1, 50],
            Self::Sync => [2, 20, 500],
        };
        match tier {
            Tier::Unknown => unknown,
            Tier::Vouched => vouched,
            Tier::Peer => peer,
        }
    }

    /// How long a request may take to arrive whole: less than the exchange, so that it is noticed.
    pub(super) fn read_timeout(self) -> Duration {
        self.timeout() * 3 / 4
    }

    /// Position in [`Protocol::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl AsRef<str> for Protocol {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_stands_at_its_own_index_with_its_own_name() {
        for (index, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol.index(), index);
            assert!(protocol.name().starts_with("/weft/") && protocol.name().ends_with("/1"));
            for other in &Protocol::ALL[..index] {
                assert_ne!(other.name(), protocol.name());
            }
        }
    }

    #[test]
    fn caps_fit_the_length_prefix() {
        for protocol in Protocol::ALL {
            assert!(u32::try_from(protocol.request_cap()).is_ok());
            assert!(u32::try_from(protocol.response_cap()).is_ok());
        }
    }
}
