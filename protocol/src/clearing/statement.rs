//! Statements: what two networks owe each other at a cut of their two streams (specs/clearing.md §12).
//!
//! A cut names how much of each stream counts. What a statement says is a function of those two prefixes alone, so
//! both sides compute it and must come to the same bytes, whatever either has written since. [`Trail`] is what one
//! writer's stream has moved so far, with the way back to every prefix that the other side may still name.

use super::accord::Accord;
use super::intent::SignedIntent;
use super::leg::Leg;
use super::step::Step;
use crate::encoding::encode;
use crate::ids::{Hash, StreamId};
use crate::ledger::state::{Closing, State};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, VecDeque};

/// Context of the root over claims in flight.
const IN_FLIGHT: &str = "WEFT-INFLIGHT/1\n";

/// Claims of one debtor that are neither done nor freed at a cut.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct InFlight {
    /// How many hops.
    #[n(0)]
    pub claims: u64,
    /// What they sum to, by unit pair of the accord, in its position unit.
    #[n(1)]
    pub totals: Vec<u64>,
    /// Over the list of them.
    #[n(2)]
    pub root: Hash,
}

/// What two networks owe each other at a cut.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Statement {
    /// How many entries of A's stream count, and of B's.
    #[n(0)]
    pub cut: (u64, u64),
    /// By unit pair of the accord, in its position unit: above zero A owes B.
    #[n(1)]
    pub positions: Vec<i64>,
    /// Claims on their way from A.
    #[n(2)]
    pub in_flight_a: InFlight,
    /// Claims on their way from B.
    #[n(3)]
    pub in_flight_b: InFlight,
}

/// How a statement is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Verdict {
    /// Both come to the same.
    #[n(0)]
    Agreed,
    /// The positions differ.
    #[n(1)]
    Positions,
    /// The positions are the same, the claims in flight are not.
    #[n(2)]
    InFlight,
    /// The answering side's own books are not what the streams say: it can vouch for nothing.
    #[n(3)]
    Books,
}

impl Verdict {
    /// In words, for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Agreed => "both networks come to the same",
            Self::Positions => "the two networks come to different positions",
            Self::InFlight => "the positions agree, the payments on their way do not",
            Self::Books => "the other network's own books are not what the two streams say",
        }
    }
}

/// Arguments of STMT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StmtArgs {
    /// What its writer comes to.
    #[n(0)]
    pub statement: Statement,
}

/// Arguments of STMT_ACK.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct StmtAckArgs {
    /// Whether both come to the same, and if not what differs.
    #[n(0)]
    pub verdict: Verdict,
    /// What the answering side comes to at the same cut.
    #[n(1)]
    pub statement: Statement,
}

impl Statement {
    /// How ours compares with what the other side came to at the same cut.
    pub fn verdict(&self, theirs: &Self) -> Verdict {
        if self.cut != theirs.cut || self.positions != theirs.positions {
            Verdict::Positions
        } else if self != theirs {
            Verdict::InFlight
        } else {
            Verdict::Agreed
        }
    }

    /// The cut as (the stream of the side asked for, the other one).
    pub fn cut_of(&self, we_are_a: bool) -> (u64, u64) {
        oriented(self.cut, we_are_a)
    }
}

/// (ours, theirs) as (A's, B's), and back.
pub fn oriented<T>((one, other): (T, T), we_are_a: bool) -> (T, T) {
    if we_are_a { (one, other) } else { (other, one) }
}

/// What a hop that a side proposes moves on the position of its pair: its amount in the position unit.
pub fn position_amount(
    accord: &Accord,
    sender_is_a: bool,
    signed: &SignedIntent,
    (part, hop): (u8, u8),
) -> Option<Value> {
    let intent = signed.parse().ok()?;
    let hop = intent.parts.get(usize::from(part))?.hops.get(usize::from(hop))?;
    let pair = accord.pairs.get(usize::from(hop.pair))?;
    Some((hop.pair, pair.position_of(hop, sender_is_a).minor().unsigned_abs()))
}

/// What a hop moves: unit pair, and amount in its position unit.
pub type Value = (u8, u64);

/// Claims of ours on a channel that are neither done nor freed, by our own books.
pub fn open_outs(state: &State, channel: &StreamId) -> BTreeMap<Leg, Value> {
    let open = state.claims.iter().filter_map(|(key, row)| {
        let out = row.outgoing.as_ref()?;
        let open = out.channel == *channel && out.closing == Closing::Open;
        open.then(|| {
            (Leg { claim: key.0, part: key.1 }, (out.pair, out.value().position().minor().unsigned_abs()))
        })
    });
    open.collect()
}

/// The claims of one debtor, summed up.
pub fn in_flight(open: &BTreeMap<Leg, Value>, pairs: usize) -> InFlight {
    let mut totals = vec![0_u64; pairs];
    let mut list = Vec::with_capacity(open.len());
    for (leg, (pair, amount)) in open {
        if let Some(total) = totals.get_mut(usize::from(*pair)) {
            *total = total.saturating_add(*amount);
        }
        list.push((leg.claim, leg.part, *pair, *amount));
    }
    InFlight { claims: open.len() as u64, totals, root: Hash::of(IN_FLIGHT, &[&encode(&list)]) }
}

/// What one step of a stream does to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Act {
    /// PROPOSE: the hop is on its way.
    #[n(0)]
    Opened,
    /// DONE: its writer owes that much more.
    #[n(1)]
    Done,
    /// FREE: nothing is owed.
    #[n(2)]
    Freed,
    /// RETURN of a hop that the other side has done: the other side owes that much less.
    #[n(3)]
    GaveBack,
    /// SETTLE_ACK of what the writer owed: it owes that much less.
    #[n(4)]
    OwesLess,
    /// SETTLE_ACK of what the other side owed: that owes so much less.
    #[n(5)]
    IsOwedLess,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Event {
    #[n(0)]
    sseq: u64,
    #[n(1)]
    act: Act,
    #[n(2)]
    leg: Leg,
    #[n(3)]
    value: Value,
}

impl Event {
    /// By how much the writer then owes more.
    fn owed_more(&self) -> i64 {
        let (_, amount) = self.value;
        // Positions are within 2^62; sums over the life of a channel may wrap and come back.
        let amount = amount.cast_signed();
        match self.act {
            Act::Opened | Act::Freed => 0,
            Act::Done | Act::GaveBack | Act::IsOwedLess => amount,
            Act::OwesLess => amount.wrapping_neg(),
        }
    }
}

/// What one writer's stream on one channel has done to statements so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Trail {
    /// By pair: how much more the writer owes through its own steps.
    #[n(0)]
    sums: BTreeMap<u8, i64>,
    /// Hops proposed and not closed.
    #[n(1)]
    open: BTreeMap<Leg, Value>,
    /// What came at or after [`Trail::forget`]'s place, in order.
    #[n(2)]
    events: VecDeque<Event>,
    /// The place after the last event.
    #[n(3)]
    changed: u64,
    /// When the writer appended its accord, in its own time.
    #[n(4)]
    begun_ms: u64,
}

impl Trail {
    /// A trail that goes on from books whose steps are not at hand: what is owed, and what is open.
    pub fn from_books(sums: BTreeMap<u8, i64>, open: BTreeMap<Leg, Value>, next: u64) -> Self {
        Self { sums, open, events: VecDeque::new(), changed: next, begun_ms: 0 }
    }

    /// The writer has appended its accord.
    pub(super) fn begin(&mut self, time_ms: u64) {
        if self.begun_ms == 0 {
            self.begun_ms = time_ms;
        }
    }

    /// When the writer appended its first accord, in its own time; 0 when that is not known.
    pub fn begun_ms(&self) -> u64 {
        self.begun_ms
    }

    /// A step of the writer had this effect.
    pub fn note(&mut self, sseq: u64, act: Act, leg: Leg, value: Value) {
        let event = Event { sseq, act, leg, value };
        match act {
            Act::Opened => drop(self.open.insert(leg, value)),
            Act::Done | Act::Freed => drop(self.open.remove(&leg)),
            Act::GaveBack | Act::OwesLess | Act::IsOwedLess => {}
        }
        let sum = self.sums.entry(value.0).or_default();
        *sum = sum.wrapping_add(event.owed_more());
        self.events.push_back(event);
        self.changed = sseq.saturating_add(1);
    }

    /// What a hop that is open moves.
    pub fn open(&self, key: &Leg) -> Option<Value> {
        self.open.get(key).copied()
    }

    /// The place after the last step that a statement rests on.
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// The other side will name no prefix shorter than this any more.
    pub fn forget(&mut self, before: u64) {
        while self.events.front().is_some_and(|event| event.sseq < before) {
            self.events.pop_front();
        }
    }

    /// Sums and open hops as they were when the stream had `next` entries.
    fn at(&self, next: u64) -> (BTreeMap<u8, i64>, BTreeMap<Leg, Value>) {
        let (mut sums, mut open) = (self.sums.clone(), self.open.clone());
        for event in self.events.iter().rev().take_while(|event| event.sseq >= next) {
            let sum = sums.entry(event.value.0).or_default();
            *sum = sum.wrapping_sub(event.owed_more());
            match event.act {
                Act::Opened => drop(open.remove(&event.leg)),
                Act::Done | Act::Freed => drop(open.insert(event.leg, event.value)),
                Act::GaveBack | Act::OwesLess | Act::IsOwedLess => {}
            }
        }
        (sums, open)
    }
}

/// What the two trails of a channel (ours, theirs) come to at a cut, for so many unit pairs.
pub fn state_at(pairs: usize, we_are_a: bool, trails: (&Trail, &Trail), cut: (u64, u64)) -> Statement {
    let (ours, theirs) = (trails.0.at(cut.0), trails.1.at(cut.1));
    let ((sums_a, open_a), (sums_b, open_b)) = oriented((ours, theirs), we_are_a);
    let of = |sums: &BTreeMap<u8, i64>, pair: usize| {
        u8::try_from(pair).ok().and_then(|pair| sums.get(&pair).copied()).unwrap_or(0)
    };
    Statement {
        cut: oriented(cut, we_are_a),
        positions: (0..pairs).map(|pair| of(&sums_a, pair).wrapping_sub(of(&sums_b, pair))).collect(),
        in_flight_a: in_flight(&open_a, pairs),
        in_flight_b: in_flight(&open_b, pairs),
    }
}

/// The leg that a step is about.
pub(super) fn leg_of(step: &Step) -> Option<Leg> {
    step.claim.map(|claim| Leg { claim, part: step.part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClaimId;
    fn key(n: u8) -> Leg {
        Leg::first(ClaimId([n; 32]))
    }

    #[test]
    fn both_sides_come_to_the_same_bytes_at_a_cut_whatever_they_wrote_since() {
        let (mut a, mut b) = (Trail::default(), Trail::default());
        a.note(1, Act::Opened, key(1), (0, 30));
        a.note(2, Act::Done, key(1), (0, 30));
        b.note(1, Act::Opened, key(2), (0, 50));
        let cut = (3, 2);
        let before = state_at(1, true, (&a, &b), cut);
        assert_eq!((before.positions.as_slice(), before.cut), (&[30][..], cut));
        assert_eq!((before.in_flight_a.claims, before.in_flight_b.totals.as_slice()), (0, &[50][..]));
        a.note(4, Act::Opened, key(3), (0, 5));
        b.note(2, Act::Done, key(2), (0, 50));
        b.note(3, Act::GaveBack, key(1), (0, 30));
        assert_eq!(state_at(1, true, (&a, &b), cut), before);
        assert_eq!(state_at(1, false, (&b, &a), (2, 3)), before);
        let after = state_at(1, true, (&a, &b), (5, 4));
        assert_eq!((after.positions.as_slice(), after.in_flight_a.claims), (&[-50][..], 1));
    }

    #[test]
    fn what_the_other_side_has_acknowledged_is_kept_as_a_sum_only() {
        let mut trail = Trail::default();
        for n in 0..100 {
            trail.note(n, Act::Opened, key(1), (0, 1));
            trail.note(n, Act::Done, key(1), (0, 1));
        }
        trail.forget(98);
        assert_eq!(trail.events.len(), 4);
        assert_eq!(trail.at(98).0, BTreeMap::from([(0, 98)]));
    }

    #[test]
    fn a_difference_says_what_it_is() {
        let trails = (&Trail::default(), &Trail::default());
        let ours = state_at(1, true, trails, (1, 1));
        assert_eq!(ours.verdict(&ours), Verdict::Agreed);
        let other = Statement { positions: vec![1], ..ours.clone() };
        assert_eq!(ours.verdict(&other), Verdict::Positions);
        let in_flight_b = InFlight { claims: 1, ..ours.in_flight_b.clone() };
        assert_eq!(ours.verdict(&Statement { in_flight_b, ..ours.clone() }), Verdict::InFlight);
    }
}
