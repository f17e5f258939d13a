//! The accord: units, rates and limits that two networks have signed (specs/clearing.md §1).

use crate::encoding::{EncodingError, decode_canonical, encode};
use crate::ids::{Hash, LedgerId, StreamId, UnitId};
use minicbor::{Decode, Encode};

/// Format version of an accord.
pub const ACCORD_VERSION: u8 = 1;
/// Cap of an accord's bytes: it must fit an entry beside two lists of signatures.
pub const MAX_ACCORD_BYTES: usize = 1_024;
/// Unit pairs of one accord.
pub const MAX_PAIRS: usize = 8;
/// A claim expires at most this long after it was proposed.
pub const MAX_EXPIRY_MS: u64 = 7 * 86_400_000;

/// In whose unit both sides keep the peer account of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Side {
    /// The inviter's.
    #[n(0)]
    A,
    /// The invited network's.
    #[n(1)]
    B,
}

/// Two units that can be exchanged, and how far debts may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct UnitPair {
    /// A's unit.
    #[n(0)]
    pub unit_a: UnitId,
    /// B's unit.
    #[n(1)]
    pub unit_b: UnitId,
    /// `num` minor units of B are worth `den` minor units of A.
    #[n(2)]
    pub num: u64,
    /// See `num`.
    #[n(3)]
    pub den: u64,
    /// Whose unit positions are kept in.
    #[n(4)]
    pub position: Side,
    /// The most that A may owe B, in the position unit.
    #[n(5)]
    pub limit_a: u64,
    /// The most that B may owe A, in the position unit.
    #[n(6)]
    pub limit_b: u64,
    /// Where the units differ: the number that the side whose own unit is not the position unit has for that unit in
    /// its ledger (specs/clearing.md 1.7). Absent: both sides book in their own unit, one to one.
    #[n(7)]
    pub foreign: Option<UnitId>,
}

/// What two networks have agreed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Accord {
    /// [`ACCORD_VERSION`].
    #[n(0)]
    pub v: u8,
    /// Version of this agreement, from 1.
    #[n(1)]
    pub version: u32,
    /// Id of the version before.
    #[n(2)]
    pub previous: Option<Hash>,
    /// The inviter.
    #[n(3)]
    pub a: LedgerId,
    /// The invited.
    #[n(4)]
    pub b: LedgerId,
    /// Which units, at which rate, how far.
    #[n(5)]
    pub pairs: Vec<UnitPair>,
    /// How often a statement is co-signed.
    #[n(6)]
    pub statement_interval_ms: u64,
    /// How long a claim stays open when the payer says nothing else.
    #[n(7)]
    pub default_expiry_ms: u64,
    /// Whether claims of others may pass through.
    #[n(8)]
    pub relay: bool,
    /// Whether each keeps the other's entry bundles.
    #[n(9)]
    pub mirror: bool,
    /// How many root keys of A and of B close a dispute.
    #[n(10)]
    pub disputers: [u8; 2],
}

/// Why an accord is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccordError {
    /// Its bytes.
    #[error("accord: {0}")]
    Encoding(#[from] EncodingError),
    /// Its content.
    #[error("accord: {0}")]
    Content(&'static str),
}

impl Accord {
    /// Reads and checks an accord.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, AccordError> {
        let accord: Self = decode_canonical(bytes, MAX_ACCORD_BYTES)?;
        accord.check()?;
        Ok(accord)
    }

    /// The canonical bytes, which root keys sign.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// SHA-256("WEFT-ACCORD/1\n" ‖ bytes).
    pub fn id(&self) -> Hash {
        Hash::of(crate::keys::ACCORD.0, &[&self.to_bytes()])
    }

    fn check(&self) -> Result<(), AccordError> {
        let bad = |text| Err(AccordError::Content(text));
        if self.v != ACCORD_VERSION {
            return bad("it is of another format version");
        }
        if self.a == self.b {
            return bad("a network cannot have an accord with itself");
        }
        if self.version == 0 || (self.version == 1) != self.previous.is_none() {
            return bad("version 1 has no previous accord, later versions name one");
        }
        if self.pairs.is_empty() || self.pairs.len() > MAX_PAIRS {
            return bad("it must name 1 to 8 unit pairs");
        }
        for (i, pair) in self.pairs.iter().enumerate() {
            let earlier = self.pairs.iter().take(i);
            if earlier.clone().any(|p| p.unit_a == pair.unit_a || p.unit_b == pair.unit_b) {
                return bad("a unit stands in two pairs");
            }
            if pair.num == 0 || pair.den == 0 || pair.num > MAX_RATE || pair.den > MAX_RATE {
                return bad("a rate is a ratio of two integers from 1 to 2^32");
            }
            if pair.limit_a > MAX_LIMIT || pair.limit_b > MAX_LIMIT {
                return bad("a limit is above 2^62");
            }
            let foreign = |we_are_a| pair.foreign.filter(|_| pair.exchanges(we_are_a));
            for side in [true, false] {
                let booked = |p: &UnitPair| [Some(p.unit(side)), p.foreign.filter(|_| p.exchanges(side))];
                let others =
                    self.pairs.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, p)| booked(p));
                let taken = others.chain([Some(pair.unit(side))]).flatten();
                if foreign(side).is_some_and(|unit| taken.clone().any(|other| other == unit)) {
                    return bad("a unit stands in for the other network's and is in use beside that");
                }
            }
        }
        if self.default_expiry_ms == 0 || self.default_expiry_ms > MAX_EXPIRY_MS {
            return bad("claims stay open for more than nothing and at most 7 days");
        }
        if self.statement_interval_ms == 0 || self.disputers.contains(&0) {
            return bad("the statement interval and the numbers of disputers are at least 1");
        }
        Ok(())
    }

    /// The other network, and whether `us` is A. `None` when `us` is neither.
    pub fn other(&self, us: &LedgerId) -> Option<(LedgerId, bool)> {
        match us {
            _ if *us == self.a => Some((self.b, true)),
            _ if *us == self.b => Some((self.a, false)),
            _ => None,
        }
    }
}

/// Largest number of a rate.
pub const MAX_RATE: u64 = 1 << 32;
const MAX_LIMIT: u64 = 1 << 62;

impl UnitPair {
    /// Whether one minor unit is one minor unit.
    pub fn is_one_to_one(&self) -> bool {
        self.num == self.den
    }

    /// Whether claims can go through it: one to one, or with a number for the foreign unit.
    pub fn clears(&self) -> bool {
        self.is_one_to_one() || self.foreign.is_some()
    }

    /// Whether a side exchanges: it keeps the peer account in the other's unit.
    pub fn exchanges(&self, we_are_a: bool) -> bool {
        self.foreign.is_some() && (self.position == Side::A) != we_are_a
    }

    /// The unit in which a side keeps the peer account, by its number in that side's ledger.
    pub fn booked_unit(&self, we_are_a: bool) -> UnitId {
        match self.foreign {
            Some(unit) if self.exchanges(we_are_a) => unit,
            Some(_) | None => self.unit(we_are_a),
        }
    }

    /// Our unit of the pair.
    pub fn unit(&self, we_are_a: bool) -> UnitId {
        if we_are_a { self.unit_a } else { self.unit_b }
    }

    /// The most that we may owe the peer.
    pub fn limit(&self, we_are_a: bool) -> u64 {
        if we_are_a { self.limit_a } else { self.limit_b }
    }
}

/// The id of the channel between two networks: SHA-256("WEFT-CHANNEL/1\n" ‖ min ‖ max ‖ n), first 16 bytes; `n` starts at 0 and
/// is raised by a RESET.
pub fn channel_id(one: &LedgerId, other: &LedgerId, n: u32) -> StreamId {
    let (low, high) = (one.min(other), one.max(other));
    StreamId(Hash::of("WEFT-CHANNEL/1\n", &[low.as_bytes(), high.as_bytes(), &n.to_be_bytes()]).prefix())
}
