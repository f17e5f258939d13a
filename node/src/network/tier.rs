//! Who somebody is to us, as far as the network layer needs to know: it decides rates, places and memory.
//!
//! Who is banned has no tier: no connection of theirs stands.

/// How far somebody is let in (specs/network.md 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Anyone.
    Unknown,
    /// At least two of our peers have accords with it.
    Vouched,
    /// There is an accord with it.
    Peer,
}

impl Tier {
    /// Every tier, lowest first.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Vouched, Self::Peer];

    /// Bytes of requests that one connection may have half sent at once. A peer's window (16) of the longest frames fits
    /// twice; a stranger's longest question fits twice.
    pub(super) const fn reading_cap(self) -> usize {
        match self {
            Self::Unknown => 128 * 1_024,
            Self::Vouched => 512 * 1_024,
            Self::Peer => 9 * 1_024 * 1_024,
        }
    }

    /// For people, and for labels of counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Vouched => "vouched",
            Self::Peer => "peer",
        }
    }
}
