//! Area 17, federation: what an accord still lets pass, told to everybody so that others find a way through us
//! (specs/kinds.md §17).
//!
//! It names networks, units and buckets, never a member or a payment. What must hold: what is told is a function of our
//! own entries, so nobody can announce room that their books do not show; and a bucket moves only when the room has moved
//! well out of it.

use super::Rejected;
use super::clearing::room;
use super::state::{Change, ChannelRow, State};
use crate::ids::{LedgerId, UnitId};
use minicbor::{Decode, Encode};

/// Payload: what the accord with a peer lets pass now. Without lines: nothing of others passes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Capacity {
    /// The peer.
    #[n(0)]
    pub peer: LedgerId,
    /// Version of the accord.
    #[n(1)]
    pub version: u32,
    /// One for each unit pair, in the order of the accord.
    #[cbor(n(2), with = "crate::entry::list", has_nil)]
    pub lines: Vec<CapacityLine>,
}

/// One unit pair of an accord, as its network sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CapacityLine {
    /// Place of the pair in the accord.
    #[n(0)]
    pub pair: u8,
    /// Unit of who writes.
    #[n(1)]
    pub unit: UnitId,
    /// Unit of the peer.
    #[n(2)]
    pub peer_unit: UnitId,
    /// `num` minor units of the peer are worth `den` of who writes.
    #[n(3)]
    pub num: u64,
    /// See `num`.
    #[n(4)]
    pub den: u64,
    /// Bucket of the room for payments from who writes to the peer.
    #[n(5)]
    pub out: Bucket,
    /// Bucket of the room the other way.
    #[n(6)]
    pub back: Bucket,
}

/// A room, told to within a factor of about two: 0 is none, n is 2^(n−1) to 2^n minor units, with slack at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Bucket(#[n(0)] pub u8);

/// The last that was told of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CapacityRow {
    /// When.
    #[n(0)]
    pub time_ms: u64,
    /// Version of the accord.
    #[n(1)]
    pub version: u32,
    /// What.
    #[n(2)]
    pub lines: Vec<CapacityLine>,
}

impl Bucket {
    /// No room.
    pub const NONE: Self = Self(0);
    /// The largest: a room is below 2^63.
    pub const MAX: Self = Self(63);

    /// The bucket of a room, after another one was told before: that one stays until the room is a quarter outside of it.
    pub fn after(told: Option<Self>, room: i128) -> Self {
        let room = u64::try_from(room.max(0)).unwrap_or(u64::MAX);
        match told {
            Some(told) if told.least() <= room && room < told.below() => told,
            Some(_) | None => Self::of(room),
        }
    }

    fn of(room: u64) -> Self {
        let bits = u64::BITS.saturating_sub(room.leading_zeros());
        Self(u8::try_from(bits).unwrap_or(u8::MAX)).min(Self::MAX)
    }

    /// The room is at least this, when it was told: 3/4 of 2^(n−1).
    pub fn least(self) -> u64 {
        let Some(place) = self.0.checked_sub(1) else { return 0 };
        let low = 1_u64.checked_shl(u32::from(place.min(62))).unwrap_or(u64::MAX);
        low.saturating_sub(low / 4)
    }

    /// The room is below this, when it was told: 5/4 of 2^n.
    pub fn below(self) -> u64 {
        let high = 1_u64.checked_shl(u32::from(self.0.min(62))).unwrap_or(u64::MAX);
        high.saturating_add(high / 4).max(2)
    }
}

impl Capacity {
    /// What is to be told of a peer now: a function of the state. Without lines where nothing of others passes.
    ///
    /// # Errors
    /// Without an accord with the peer.
    pub fn of(state: &State, peer: &LedgerId) -> Result<Self, Rejected> {
        let (_, channel) = state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let version = channel.accord.version;
        let passes = channel.accord.relay && !state.is_frozen(peer);
        let lines = if passes { lines(state, channel) } else { Vec::new() };
        Ok(Self { peer: *peer, version, lines })
    }

    /// Whether this differs from what was told before, and in more than buckets.
    pub fn change_from(&self, told: Option<&CapacityRow>) -> CapacityChange {
        let terms = |lines: &[CapacityLine]| -> Vec<CapacityLine> {
            lines.iter().map(|l| CapacityLine { out: Bucket::NONE, back: Bucket::NONE, ..*l }).collect()
        };
        match told {
            None if self.lines.is_empty() => CapacityChange::Nothing,
            None => CapacityChange::Terms,
            Some(told) if told.lines.is_empty() && self.lines.is_empty() => CapacityChange::Nothing,
            Some(told) if told.version != self.version || terms(&told.lines) != terms(&self.lines) => {
                CapacityChange::Terms
            }
            Some(told) if told.lines != self.lines => CapacityChange::Buckets,
            Some(_) => CapacityChange::Nothing,
        }
    }
}

/// How what is to be told differs from what was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityChange {
    /// Not at all.
    Nothing,
    /// In buckets alone: it can wait.
    Buckets,
    /// In the terms: payments would take a way that is not there.
    Terms,
}

/// What is left for claims of the peer towards us, as far as our own entries show it: its limit and what we owe it.
fn room_back(state: &State, channel: &ChannelRow, pair: u8) -> Option<i128> {
    let terms = channel.accord.pairs.get(usize::from(pair))?;
    let owed_to_them = i128::from(state.balance(&channel.account, terms.booked_unit(channel.we_are_a)));
    i128::from(terms.limit(!channel.we_are_a)).checked_add(owed_to_them)
}

fn lines(state: &State, channel: &ChannelRow) -> Vec<CapacityLine> {
    let told = state.capacity.get(&channel.peer);
    let before = |pair: u8| told.and_then(|row| row.lines.iter().find(|line| line.pair == pair));
    let line = |(pair, terms): (u8, &crate::clearing::accord::UnitPair)| {
        let (num, den) = if channel.we_are_a { (terms.num, terms.den) } else { (terms.den, terms.num) };
        CapacityLine {
            pair,
            unit: terms.unit(channel.we_are_a),
            peer_unit: terms.unit(!channel.we_are_a),
            num,
            den,
            out: Bucket::after(before(pair).map(|l| l.out), room(state, channel, pair).unwrap_or(0)),
            back: Bucket::after(before(pair).map(|l| l.back), room_back(state, channel, pair).unwrap_or(0)),
        }
    };
    (0_u8..).zip(&channel.accord.pairs).map(line).collect()
}

/// Rules of a capacity: it is exactly what the books give, and says something new.
pub(super) fn apply_capacity(
    state: &State,
    capacity: &Capacity,
    time_ms: u64,
) -> Result<Vec<Change>, Rejected> {
    let expected = Capacity::of(state, &capacity.peer)?;
    if *capacity != expected {
        return Err(Rejected::CapacityDiffers { peer: capacity.peer });
    }
    if capacity.change_from(state.capacity.get(&capacity.peer)) == CapacityChange::Nothing {
        return Err(Rejected::NothingToDo);
    }
    let row = CapacityRow { time_ms, version: capacity.version, lines: capacity.lines.clone() };
    Ok(vec![Change::Capacity(capacity.peer, row)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_room_and_moves_only_a_quarter_outside() {
        for (room, bucket) in [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1_000, 10), (1_024, 11)] {
            let got = Bucket::after(None, room);
            assert_eq!(got, Bucket(bucket), "{room}");
            assert!(i128::from(got.least()) <= room.max(0) && room < i128::from(got.below()), "{room}");
        }
        let told = Some(Bucket(11));
        for stays in [768, 1_024, 2_047, 2_048, 2_559] {
            assert_eq!(Bucket::after(told, stays), Bucket(11), "{stays}");
        }
        assert_eq!(Bucket::after(told, 767), Bucket(10));
        assert_eq!(Bucket::after(told, 2_560), Bucket(12));
        assert_eq!(Bucket::after(told, 0), Bucket(0));
        assert_eq!(Bucket::after(None, i128::from(u64::MAX)), Bucket::MAX);
    }

    #[test]
    fn a_single_small_payment_never_moves_a_bucket_that_was_just_told() {
        for room in [200_i128, 1_024, 5_000, 1 << 40] {
            let told = Bucket::after(None, room);
            let again = Bucket::after(Some(told), room - room / 8);
            assert_eq!(again, told, "{room}");
        }
    }
}
