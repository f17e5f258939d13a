//! Rates: what of one unit is worth how much of another (specs/clearing.md §1, §6.13).
//!
//! Integers only, products in `i128`. A sender never gives less than what arrives is worth: `src` is rounded up. What
//! a network exchanges it books at what the other's unit is worth, rounded down; what is over goes to `rounding`. So
//! nobody can pay in small steps and gain.

use super::accord::{Side, UnitPair};
use super::intent::Hop;
use crate::amount::{Amount, MAX_AMOUNT};
use crate::ids::{AccountId, UnitId};
use crate::ledger::own_accounts;
use crate::ledger::transfer::{Posting, move_value};
use minicbor::{Decode, Encode};

/// Which way a hop leads, as the network at one of its ends sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the peer: we are the debtor.
    Out,
    /// To us: we are the creditor.
    In,
}

/// The other network's unit in our books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Exchanged {
    /// Our number for that unit.
    #[n(0)]
    pub unit: UnitId,
    /// How much of it moves on the peer account.
    #[n(1)]
    pub amount: Amount,
    /// What that is worth in our own unit, rounded down.
    #[n(2)]
    pub worth: u64,
}

/// What a hop moves in our books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopValue {
    /// Our own unit.
    pub unit: UnitId,
    /// How much of it leaves or reaches our accounts.
    pub amount: Amount,
    /// Set when the peer account is kept in the other's unit.
    pub exchanged: Option<Exchanged>,
}

impl HopValue {
    /// What moves on the peer account.
    pub fn position(&self) -> Amount {
        self.exchanged.map_or(self.amount, |exchanged| exchanged.amount)
    }

    /// The postings of a hop that is bound, in canonical order: `Out` from our account `own` to the peer's, `In` from
    /// the peer's to our account.
    pub fn postings(&self, own: AccountId, peer: AccountId, way: Way) -> Vec<Posting> {
        let (from, to) = match way {
            Way::Out => (own, peer),
            Way::In => (peer, own),
        };
        let Some(Exchanged { unit: foreign, amount: position, worth }) = self.exchanged else {
            return move_value(from, to, self.unit, self.amount);
        };
        let (exchange, rounding) = (own_accounts::id("exchange"), own_accounts::id("rounding"));
        let (amount, worth) = (self.amount.minor(), i64::try_from(worth).unwrap_or(MAX_AMOUNT));
        let sign = |delta: i64| match way {
            Way::Out => 0_i64.saturating_sub(delta),
            Way::In => delta,
        };
        let over = amount.abs_diff(worth);
        let all = [
            (own, self.unit, sign(amount)),
            (exchange, self.unit, 0_i64.saturating_sub(sign(worth))),
            (rounding, self.unit, i64::try_from(over).unwrap_or(MAX_AMOUNT)),
            (exchange, foreign, sign(position.minor())),
            (peer, foreign, 0_i64.saturating_sub(sign(position.minor()))),
        ];
        let moved = all.into_iter().filter(|(_, _, delta)| *delta != 0);
        let mut postings: Vec<Posting> =
            moved.map(|(account, unit, delta)| Posting { account, unit, delta }).collect();
        postings.sort_by_key(|p| (p.account, p.unit));
        postings
    }

    /// The same turned round: what was bound comes back.
    pub fn turned(&self, own: AccountId, peer: AccountId, way: Way) -> Vec<Posting> {
        let turn = |p: Posting| Posting { delta: 0_i64.saturating_sub(p.delta), ..p };
        self.postings(own, peer, way).into_iter().map(turn).collect()
    }
}

impl UnitPair {
    /// What a sender must give so that `dst` arrives, rounded up; `None` when no amount is that large.
    pub fn src_for(&self, dst: Amount, sender_is_a: bool) -> Option<Amount> {
        let (num, den) = self.rate(!sender_is_a);
        scaled(dst.minor(), num, den, Round::Up).and_then(|minor| Amount::new(minor).ok())
    }

    /// The most that arrives for what a sender gives; `None` when that is nothing.
    pub fn dst_for(&self, src: Amount, sender_is_a: bool) -> Option<Amount> {
        let (num, den) = self.rate(sender_is_a);
        scaled(src.minor(), num, den, Round::Down).and_then(|minor| Amount::new(minor).ok())
    }

    /// What a hop moves on the peer accounts of both ends.
    pub fn position_of(&self, hop: &Hop, sender_is_a: bool) -> Amount {
        if (self.position == Side::A) == sender_is_a { hop.src } else { hop.dst }
    }

    /// What a hop moves in the books of one side; `None` when it is worth more than an amount can be.
    pub fn value_of(&self, hop: &Hop, we_are_a: bool, way: Way) -> Option<HopValue> {
        let (sender_is_a, amount) = match way {
            Way::Out => (we_are_a, hop.src),
            Way::In => (!we_are_a, hop.dst),
        };
        let exchanged = match self.foreign.filter(|_| self.exchanges(we_are_a)) {
            None => None,
            Some(unit) => {
                let position = self.position_of(hop, sender_is_a);
                let (num, den) = self.rate(!we_are_a);
                let worth = scaled(position.minor(), num, den, Round::Down)?.unsigned_abs();
                Some(Exchanged { unit, amount: position, worth })
            }
        };
        Some(HopValue { unit: self.unit(we_are_a), amount, exchanged })
    }

    /// Numerator and denominator that turn a side's unit into the other's.
    pub(super) fn rate(&self, from_a: bool) -> (u64, u64) {
        if from_a { (self.num, self.den) } else { (self.den, self.num) }
    }
}

/// Which way what is over goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

/// minor · num / den; `None` above what an amount can be.
pub(crate) fn scaled(minor: i64, num: u64, den: u64, round: Round) -> Option<i64> {
    let product = i128::from(minor).checked_mul(i128::from(num))?;
    let den = i128::from(den);
    let up = match round {
        Round::Up => den.checked_sub(1)?,
        Round::Down => 0,
    };
    let whole = product.checked_add(up)?.checked_div(den)?;
    i64::try_from(whole).ok().filter(|minor| *minor <= MAX_AMOUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::transfer::check_form;

    /// A counts minutes, B cents: one minute is worth 33 cents.
    fn pair(num: u64, den: u64, position: Side) -> UnitPair {
        let (unit_a, unit_b) = (UnitId(1), UnitId(1));
        let (limit_a, limit_b) = (1_000, 1_000);
        UnitPair { unit_a, unit_b, num, den, position, limit_a, limit_b, foreign: Some(UnitId(7)) }
    }

    fn amount(minor: i64) -> Amount {
        Amount::new(minor).unwrap()
    }

    #[test]
    fn a_sender_gives_at_least_what_arrives_is_worth() {
        let pair = pair(33, 1, Side::A);
        assert_eq!(pair.src_for(amount(100), true), Some(amount(4)));
        assert_eq!(pair.src_for(amount(4), false), Some(amount(132)));
        assert_eq!(pair.dst_for(amount(4), true), Some(amount(132)));
        assert_eq!(pair.dst_for(amount(32), false), None);
        assert_eq!(pair.src_for(amount(MAX_AMOUNT), false), None);
    }

    #[test]
    fn whoever_exchanges_keeps_what_rounding_leaves_over() {
        // The worked example of specs/clearing.md 6.14.
        let terms = pair(33, 1, Side::A);
        let hop = Hop { pair: 0, src: amount(4), dst: amount(100), accord_version: 1 };
        let value = terms.value_of(&hop, false, Way::In).unwrap();
        assert_eq!(value.exchanged, Some(Exchanged { unit: UnitId(7), amount: amount(4), worth: 132 }));
        let (own, peer) = (own_accounts::incoming(), AccountId([9; 16]));
        let posted = value.postings(own, peer, Way::In);
        check_form(&posted).unwrap();
        let of = |account, unit| {
            posted.iter().find(|p| (p.account, p.unit) == (account, UnitId(unit))).map(|p| p.delta)
        };
        assert_eq!((of(peer, 7), of(own, 1)), (Some(-4), Some(100)));
        assert_eq!(of(own_accounts::id("exchange"), 7), Some(4));
        assert_eq!(of(own_accounts::id("exchange"), 1), Some(-132));
        assert_eq!(of(own_accounts::id("rounding"), 1), Some(32));
    }

    #[test]
    fn no_rate_lets_value_appear() {
        let rates =
            [(1, 1), (33, 1), (1, 33), (2, 3), (7, 5), (4_294_967_296, 1), (1, 4_294_967_296), (999, 1_000)];
        let amounts = [1, 2, 3, 59, 60, 61, 1_000_003, 1 << 40];
        for (num, den) in rates {
            for position in [Side::A, Side::B] {
                let terms = pair(num, den, position);
                for (dst, sender_is_a) in amounts.into_iter().flat_map(|d| [(d, true), (d, false)]) {
                    let Some(src) = terms.src_for(amount(dst), sender_is_a) else { continue };
                    assert!(
                        terms.dst_for(src, sender_is_a).is_none_or(|most| most.minor() >= dst),
                        "{terms:?} {dst}"
                    );
                    let less =
                        Amount::new(src.minor() - 1).ok().and_then(|less| terms.dst_for(less, sender_is_a));
                    assert!(
                        less.is_none_or(|less| less.minor() < dst),
                        "{terms:?}: {src:?} is more than {dst} needs"
                    );
                    let hop = Hop { pair: 0, src, dst: amount(dst), accord_version: 1 };
                    let ends = [(sender_is_a, Way::Out), (!sender_is_a, Way::In)];
                    let values = ends.map(|(we_are_a, way)| (terms.value_of(&hop, we_are_a, way), way));
                    let [Some(debtor), Some(creditor)] = values.map(|(value, _)| value) else { continue };
                    assert_eq!(debtor.position(), creditor.position(), "{terms:?} {dst}");
                    for (value, way) in [(debtor, Way::Out), (creditor, Way::In)] {
                        let posted = value.postings(own_accounts::transit(), AccountId([9; 16]), way);
                        check_form(&posted).unwrap();
                        let rounding = posted.iter().find(|p| p.account == own_accounts::id("rounding"));
                        assert!(rounding.is_none_or(|p| p.delta > 0), "{terms:?} {dst}");
                        check_form(&value.turned(own_accounts::transit(), AccountId([9; 16]), way)).unwrap();
                    }
                }
            }
        }
    }
}
