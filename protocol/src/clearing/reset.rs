//! RESET: both root sets end a channel that cannot go on and begin its next incarnation (specs/clearing.md §17).
//!
//! What must hold: of the old streams nothing has an effect beyond what the document says; a hop that it does not name is
//! free at both ends, so the ledger of a network that is bound further on takes only what names the hop; a document takes
//! effect when both ledgers have found it right, and at one side as at the other.

use super::accord::{MAX_PAIRS, channel_id};
use super::peers::{PeerClosing, PeerStream, Peers};
use super::statement::Trail;
use super::step::{RootSig, Step};
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::Entry;
use crate::ids::{ClaimId, Hash, LedgerId, StreamId};
use crate::keys;
use crate::ledger::clearing::root_signatures_of;
use crate::ledger::identity::RootSet;
use crate::ledger::reset::NoticeAct;
use crate::ledger::state::State;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Format version of a reset.
pub const RESET_VERSION: u8 = 1;
/// Cap of a reset's bytes: an entry holds it with the signatures of two root sets of the usual size.
pub const MAX_RESET_BYTES: usize = 2_048;
/// Hops that a reset can bind. A notice runs for longer than a claim lives, so few are left.
pub const MAX_BOUND: usize = 32;
/// Results of netting rounds that a reset can apply: more rounds do not run side by side.
pub const MAX_RESET_ROUNDS: usize = 4;
/// The largest position, as of any balance.
const MAX_POSITION: i64 = 1 << 62;

/// Names a hop of the channel: a part of a claim, and whether A has proposed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct HopName {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(1)]
    pub part: u8,
    /// Whether A proposed it to B.
    #[n(2)]
    pub by_a: bool,
}

/// What two root sets have agreed about a channel.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reset {
    /// [`RESET_VERSION`].
    #[n(0)]
    pub v: u8,
    /// A of the accord.
    #[n(1)]
    pub a: LedgerId,
    /// B of the accord.
    #[n(2)]
    pub b: LedgerId,
    /// The incarnation that begins; the one before it ends.
    #[n(3)]
    pub n: u32,
    /// Id of the accord in force; it stays in force.
    #[n(4)]
    pub accord: Hash,
    /// Where A's old stream ends: its next place, and its last leaf.
    #[n(5)]
    pub end_a: (u64, Hash),
    /// Where B's does.
    #[n(6)]
    pub end_b: (u64, Hash),
    /// What is owed when the new streams begin, by unit pair and in its position unit: above zero A owes B. All that is
    /// bound below is in it.
    #[n(7)]
    pub positions: Vec<i64>,
    /// Open hops that are bound, ascending; every other one is free.
    #[cbor(n(8), with = "crate::entry::list", has_nil)]
    pub bound: Vec<HopName>,
    /// Results of netting rounds that are applied on this channel, ascending: round and result. All else that is held is
    /// held no more.
    #[cbor(n(9), with = "crate::entry::list", has_nil)]
    pub rounds: Vec<(Hash, Hash)>,
    /// Leaf hash of the statement that both have signed last, where there is one; for people.
    #[n(10)]
    pub statement: Option<Hash>,
}

/// Arguments of RESET.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ResetArgs {
    /// The reset's exact bytes.
    #[n(0)]
    pub reset: Blob,
    /// Signatures of A's root set.
    #[n(1)]
    pub sigs_a: Vec<RootSig>,
    /// Signatures of B's root set.
    #[n(2)]
    pub sigs_b: Vec<RootSig>,
}

/// Why a reset that was offered is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum RefuseCode {
    /// It frees a hop that is bound or undecided further on.
    #[n(1)]
    BoundOnward,
    /// It is not what our stream, our books or our root set say.
    #[n(2)]
    Mismatch,
    /// We have offered another one.
    #[n(3)]
    OtherOffer,
}

impl RefuseCode {
    /// In words, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::BoundOnward => "it frees a payment that is bound or undecided further on from there",
            Self::Mismatch => "it is not what the other network's stream, books or root set say",
            Self::OtherOffer => "the other network has offered another one",
        }
    }
}

/// Arguments of RESET_REFUSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RefuseArgs {
    /// Why.
    #[n(0)]
    pub code: RefuseCode,
}

/// A peer's RESET, as we have received it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeardReset {
    /// Leaf hash of the step.
    #[n(0)]
    pub leaf: Hash,
    /// What it says.
    #[n(1)]
    pub args: ResetArgs,
    /// Whether it has taken effect there: else it is an offer.
    #[n(2)]
    pub in_effect: bool,
}

/// A peer's notice, as its public stream tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HeardNotice {
    /// Which incarnation is to end.
    #[n(0)]
    pub n: u32,
    /// Not before this.
    #[n(1)]
    pub not_before_ms: u64,
    /// Whether the peer has closed its stream.
    #[n(2)]
    pub closed: bool,
}

/// Notices of one network that are remembered: of its other peers we need none.
const MAX_NOTICES: usize = 64;

/// Why bytes are no reset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// Its bytes.
    #[error("it cannot be read: {0}")]
    Encoding(#[from] EncodingError),
    /// Another version.
    #[error("it has version {got}; this program knows version {RESET_VERSION}")]
    Version {
        /// The version.
        got: u8,
    },
    /// One network is both ends.
    #[error("both ends are the same network")]
    OneNetwork,
    /// The first incarnation begins with the accord.
    #[error("incarnation 0 begins with the accord, not with a reset")]
    First,
    /// Too many of something, or not ascending, or out of range.
    #[error("{0}")]
    Lists(&'static str),
}

impl Reset {
    /// Reads a reset.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ResetError> {
        let reset: Self = decode_canonical(bytes, MAX_RESET_BYTES)?;
        if reset.v != RESET_VERSION {
            return Err(ResetError::Version { got: reset.v });
        }
        if reset.a == reset.b {
            return Err(ResetError::OneNetwork);
        }
        if reset.n == 0 {
            return Err(ResetError::First);
        }
        let count = (1..=MAX_PAIRS).contains(&reset.positions.len());
        if !count || reset.positions.iter().any(|p| !(-MAX_POSITION..=MAX_POSITION).contains(p)) {
            return Err(ResetError::Lists("it has 1 to 8 positions, each within 2^62"));
        }
        if reset.bound.len() > MAX_BOUND || !reset.bound.is_sorted_by(|one, next| one < next) {
            return Err(ResetError::Lists("it binds at most 32 hops, ascending"));
        }
        if reset.rounds.len() > MAX_RESET_ROUNDS || !reset.rounds.is_sorted_by(|one, next| one < next) {
            return Err(ResetError::Lists("it applies at most 4 results of rounds, ascending"));
        }
        Ok(reset)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// The other end, and whether `us` is A.
    pub fn other(&self, us: &LedgerId) -> Option<(LedgerId, bool)> {
        match (self.a == *us, self.b == *us) {
            (true, _) => Some((self.b, true)),
            (_, true) => Some((self.a, false)),
            _ => None,
        }
    }

    /// The channel that begins.
    pub fn channel(&self) -> StreamId {
        channel_id(&self.a, &self.b, self.n)
    }

    /// The channel that ends.
    pub fn old_channel(&self) -> StreamId {
        channel_id(&self.a, &self.b, self.n.saturating_sub(1))
    }

    /// Where the old stream of a side ends.
    pub fn end_of(&self, is_a: bool) -> (u64, Hash) {
        if is_a { self.end_a } else { self.end_b }
    }

    /// Whether a hop that a side has proposed is bound.
    pub fn binds(&self, claim: ClaimId, part: u8, by_a: bool) -> bool {
        self.bound.binary_search(&HopName { claim, part, by_a }).is_ok()
    }

    /// SHA-256("WEFT-RESET/1\n" ‖ bytes): how people and programs name it.
    pub fn id(bytes: &[u8]) -> Hash {
        Hash::of(keys::RESET.0, &[bytes])
    }

    /// The exact bytes that a root key of either network signs.
    pub fn message(bytes: &[u8]) -> Vec<u8> {
        keys::message(keys::RESET, &[bytes])
    }
}

impl ResetArgs {
    /// The signatures of a side.
    pub fn sigs_of(&self, is_a: bool) -> &[RootSig] {
        if is_a { &self.sigs_a } else { &self.sigs_b }
    }

    /// Whether a quorum of a root set has signed it for a side.
    pub(super) fn is_signed(&self, is_a: bool, root: &RootSet) -> bool {
        root_signatures_of(keys::RESET, root, &self.reset.0, self.sigs_of(is_a))
            .is_ok_and(|checks| checks.iter().all(|check| check.verify().is_ok()))
    }
}

impl Peers {
    /// A peer's RESET, on its new stream: an offer for us to take, or that it has taken effect there, which opens the channel
    /// when it has here.
    pub(super) fn hear_reset(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &ResetArgs,
    ) -> Result<(), &'static str> {
        let us = state.ledger().map_err(|_| "RESET before the genesis")?;
        let peer = entry.body().ledger;
        let reset = Reset::parse(&args.reset.0).map_err(|_| "a malformed RESET")?;
        let (_, we_are_a) = reset.other(&us).filter(|(other, _)| *other == peer).ok_or("RESET of others")?;
        if reset.channel() != step.channel {
            return Err("RESET of another channel than it stands in");
        }
        let identity = self.identity(&peer).ok_or("RESET of a network we do not know")?;
        if !args.is_signed(!we_are_a, identity.root_at(entry.body().seq)) {
            return Err("RESET without a quorum of its writer's root set");
        }
        let in_effect = step.reference.is_some();
        let ours = state.resets.get(&peer).filter(|row| row.n == reset.n).and_then(|row| row.reset);
        if in_effect && ours.is_some_and(|ours| ours != Reset::id(&args.reset.0)) {
            return Err("RESET of other words than ours");
        }
        let stream = self.stream_mut(&step.channel).ok_or("RESET on no stream")?;
        if stream.reset.as_ref().is_some_and(|heard| heard.in_effect) {
            return Err("RESET after one in effect");
        }
        stream.reset = Some(Box::new(HeardReset { leaf: entry.leaf(), args: args.clone(), in_effect }));
        if ours.is_some() && in_effect {
            stream.accord_id = Some(reset.accord);
        }
        Ok(())
    }

    /// A peer's RESET_REFUSE: what we have offered does not take effect there.
    pub(super) fn hear_refusal(&mut self, step: &Step, args: RefuseArgs) -> Result<(), &'static str> {
        let stream = self.stream_mut(&step.channel).ok_or("RESET_REFUSE on no stream")?;
        stream.refused = step.reference.map(|leaf| (leaf, args.code));
        Ok(())
    }

    /// Our own RESET: what the peer has said on the old channel ends, and goes over to the new one as it has ended. The state
    /// is that after it.
    pub(super) fn follow_reset(&mut self, state: &State, entry: &Entry, step: &Step, args: &ResetArgs) {
        let (Some(_), Ok(reset)) = (step.reference, Reset::parse(&args.reset.0)) else { return };
        let Some(row) = state.channels.get(&step.channel) else { return };
        self.told.retain(|(channel, _), _| *channel != reset.old_channel());
        let old = self.stream_mut(&reset.old_channel()).map(PeerStream::end);
        let (claims, halt, heard_ms) = old.unwrap_or_default();
        let sums: BTreeMap<u8, i64> = (0_u8..).zip(reset.positions.iter().copied()).collect();
        // What A's stream says is owed: a statement takes what B's says from it.
        let of = |is_a: bool| if is_a { sums.clone() } else { BTreeMap::new() };
        let mut ours = Trail::from_books(of(row.we_are_a), BTreeMap::new(), 1);
        ours.begin(entry.body().time_ms);
        self.own_trails.insert(step.channel, ours);
        let stream = self.stream_or_new(step.channel);
        stream.trail = Trail::from_books(of(!row.we_are_a), BTreeMap::new(), 1);
        stream.halt = stream.halt.or(halt);
        stream.heard_ms = stream.heard_ms.max(heard_ms);
        let same = |heard: &HeardReset| heard.in_effect && heard.args.reset == args.reset;
        if stream.reset.as_deref().is_some_and(same) {
            stream.accord_id = Some(reset.accord);
        }
        // What we are owed less by results that it names is booked as if the peer had said so.
        for (round, result) in &reset.rounds {
            let votes = state.rounds.get(round).into_iter().flat_map(|round| &round.votes);
            let mut lines =
                votes.filter(|vote| vote.accepts && vote.result == *result).flat_map(|vote| &vote.lines);
            if lines.any(|line| line.line.peer == row.peer && !line.line.we_owe && !line.booked) {
                stream.netting.applies.insert(*result, (*round, entry.leaf()));
            }
        }
        for (leg, mut said) in claims {
            let row = state.leg(&leg.claim, leg.part);
            let hop = row.and_then(|row| row.incoming.get(&step.channel));
            // Whatever was said: what is not booked ends by the document.
            if said.proposal.is_some() && hop.is_none_or(|hop| hop.booked.is_none()) {
                let bound = hop.is_some_and(|hop| hop.is_bound_by(&entry.leaf()));
                said.closing = Some(if bound { PeerClosing::Done(entry.leaf()) } else { PeerClosing::Free });
            }
            let out = row.and_then(|row| row.outgoing.as_ref());
            if out.is_none_or(|out| !out.returned) {
                said.returned = None;
            }
            // What the creditor alone has said is overtaken.
            said.disputed = None;
            stream.take_over(leg, said);
        }
    }

    /// A network's notice about its channel with a peer.
    pub(super) fn hear_notice(&mut self, ledger: LedgerId, notice: &crate::ledger::reset::ResetNotice) {
        let key = (ledger, notice.peer);
        let known = self.notices.range((ledger, LedgerId::ZERO)..).take_while(|((by, _), _)| *by == ledger);
        let full = known.count() >= MAX_NOTICES && !self.notices.contains_key(&key);
        match notice.act {
            NoticeAct::TakenBack => drop(self.notices.remove(&key)),
            NoticeAct::Given if full => {}
            NoticeAct::Given => {
                let not_before_ms = notice.not_before_ms.unwrap_or_default();
                self.notices.insert(key, HeardNotice { n: notice.n, not_before_ms, closed: false });
            }
            NoticeAct::Closed => {
                if let Some(heard) = self.notices.get_mut(&key) {
                    heard.closed = true;
                }
            }
        }
    }

    /// The notice that a peer has given about the channel with us, as long as that incarnation stands.
    pub fn notice_of(&self, state: &State, peer: &LedgerId) -> Option<HeardNotice> {
        let us = state.ledger().ok()?;
        let heard = self.notices.get(&(*peer, us)).copied()?;
        (heard.n == state.incarnation(peer)).then_some(heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset() -> Reset {
        let hop = |n: u8| HopName { claim: ClaimId([n; 32]), part: 0, by_a: true };
        Reset {
            v: 1,
            a: LedgerId([1; 32]),
            b: LedgerId([2; 32]),
            n: 1,
            accord: Hash([3; 32]),
            end_a: (4, Hash([5; 32])),
            end_b: (6, Hash([7; 32])),
            positions: vec![-60],
            bound: vec![hop(8), hop(9)],
            rounds: Vec::new(),
            statement: None,
        }
    }

    #[test]
    fn a_reset_is_read_back_as_it_was_written() {
        let bytes = reset().to_bytes();
        assert_eq!(Reset::parse(&bytes), Ok(reset()));
        assert!(reset().binds(ClaimId([9; 32]), 0, true));
        assert!(!reset().binds(ClaimId([9; 32]), 0, false));
        assert_eq!(reset().channel(), channel_id(&reset().b, &reset().a, 1));
    }

    #[test]
    fn what_is_out_of_order_or_out_of_range_is_no_reset() {
        let mut other = reset();
        other.bound.reverse();
        let wrong = [
            other,
            Reset { v: 2, ..reset() },
            Reset { b: reset().a, ..reset() },
            Reset { n: 0, ..reset() },
            Reset { positions: Vec::new(), ..reset() },
            Reset { positions: vec![i64::MIN], ..reset() },
            Reset { rounds: vec![(Hash::ZERO, Hash::ZERO); 2], ..reset() },
        ];
        for wrong in wrong {
            assert!(Reset::parse(&wrong.to_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_reset_is_within_its_cap() {
        let hop = |n: u8| HopName { claim: ClaimId([n; 32]), part: 7, by_a: true };
        let rounds = (0..4).map(|n| (Hash([n; 32]), Hash([n; 32]))).collect();
        let longest = Reset {
            n: u32::MAX,
            end_a: (u64::MAX, Hash([5; 32])),
            end_b: (u64::MAX, Hash([5; 32])),
            positions: vec![-MAX_POSITION; MAX_PAIRS],
            bound: (0..32).map(hop).collect(),
            rounds,
            statement: Some(Hash([9; 32])),
            ..reset()
        };
        assert_eq!(Reset::parse(&longest.to_bytes()), Ok(longest));
    }
}
