//! Area 4, rules: what a recorded decision has set (specs/kinds.md §4).
//!
//! Every rule names its authority: the leaf hash of the genesis (the charter) or of the decision that set it.
//! A limit has three levels: a warning, a stop that a coordinator may lift for one payment, and a firm stop that
//! only another rule lifts.

use super::Rejected;
use super::authority::Authority;
use super::members::OwnerKind;
use super::state::{Change, State};
use crate::ids::{AccountId, Hash, UnitId};
use minicbor::{Decode, Encode};

/// Payload: a rule.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RuleSet {
    /// Leaf hash of what gives the right to set it.
    #[n(0)]
    pub authority: Hash,
    /// The rule.
    #[n(1)]
    pub rule: Rule,
}

/// The kinds of rules.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Rule {
    /// How far balances may go.
    #[n(0)]
    Limit(#[n(0)] LimitRule),
}

/// How far the balance of one account, or of all accounts of one kind of owner, may go in one unit.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LimitRule {
    /// In which unit.
    #[n(0)]
    pub unit: UnitId,
    /// For one account; it goes before the rule of its kind.
    #[n(1)]
    pub account: Option<AccountId>,
    /// For all accounts of this kind of owner.
    #[n(2)]
    pub owner: Option<OwnerKind>,
    /// How far below zero.
    #[n(3)]
    pub below: Option<Levels>,
    /// How far above zero.
    #[n(4)]
    pub above: Option<Levels>,
}

/// Three levels in minor units, each at least the one before; an absent level does not bind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Levels {
    /// Beyond this people are told.
    #[n(0)]
    pub warn: Option<u64>,
    /// Beyond this a coordinator must lift the stop for the one payment.
    #[n(1)]
    pub stop: Option<u64>,
    /// Beyond this only another rule helps.
    #[n(2)]
    pub firm: Option<u64>,
}

/// To whom a limit applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum LimitScope {
    /// One account.
    #[n(0)]
    Account(#[n(0)] AccountId),
    /// All accounts of a kind of owner.
    #[n(1)]
    Owner(#[n(0)] OwnerKind),
}

/// A limit in force.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Limit {
    /// How far below zero.
    #[n(0)]
    pub below: Levels,
    /// How far above zero.
    #[n(1)]
    pub above: Levels,
    /// What set it.
    #[n(2)]
    pub authority: Hash,
    /// The entry that says so.
    #[n(3)]
    pub seq: u64,
}

/// What a balance means under a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within all levels.
    Fine,
    /// Beyond the warning.
    Warn,
    /// Beyond the stop; a coordinator may lift it.
    Stop {
        /// The level that was passed.
        level: u64,
    },
    /// Beyond the firm stop.
    Firm {
        /// The level that was passed.
        level: u64,
    },
}

impl Levels {
    fn check(&self) -> Result<(), Rejected> {
        let set = [self.warn, self.stop, self.firm];
        let levels: Vec<u64> = set.into_iter().flatten().collect();
        if levels.is_sorted() { Ok(()) } else { Err(Rejected::LevelsOrder) }
    }

    /// What a distance from zero means.
    pub fn verdict(&self, distance: u64) -> Verdict {
        let beyond = |level: Option<u64>| level.filter(|l| distance > *l);
        if let Some(level) = beyond(self.firm) {
            Verdict::Firm { level }
        } else if let Some(level) = beyond(self.stop) {
            Verdict::Stop { level }
        } else if beyond(self.warn).is_some() {
            Verdict::Warn
        } else {
            Verdict::Fine
        }
    }
}

impl Limit {
    /// What a balance means; only the side of zero it stands on counts.
    pub fn verdict(&self, balance: i64) -> Verdict {
        let levels = if balance < 0 { &self.below } else { &self.above };
        levels.verdict(balance.unsigned_abs())
    }
}

pub(super) fn apply_rule(
    state: &State,
    auth: &Authority,
    set: &RuleSet,
    seq: u64,
) -> Result<Vec<Change>, Rejected> {
    auth.roots(state)?;
    if set.authority != state.identity()?.genesis {
        return Err(Rejected::AuthorityUnknown { authority: set.authority });
    }
    let Rule::Limit(rule) = &set.rule;
    if !state.units.contains_key(&rule.unit) {
        return Err(Rejected::UnknownUnit { unit: rule.unit });
    }
    let scope = match (rule.account, rule.owner) {
        (Some(account), None) => {
            state.holder(&account)?;
            LimitScope::Account(account)
        }
        (None, Some(owner)) if !matches!(owner, OwnerKind::Peer | OwnerKind::Own) => LimitScope::Owner(owner),
        _ => return Err(Rejected::LimitScope),
    };
    if rule.below == Some(Levels::default()) || rule.above == Some(Levels::default()) {
        return Err(Rejected::NothingToDo);
    }
    let (below, above) = (rule.below.unwrap_or_default(), rule.above.unwrap_or_default());
    below.check()?;
    above.check()?;
    Ok(vec![Change::Limit((scope, rule.unit), Limit { below, above, authority: set.authority, seq })])
}
