//! The model of a ledger, and random operations on it: accounts by number, no bytes, hashes or signatures.
//!
//! Written from specs/kinds.md and specs/ledger.md; it must share no code with what it is compared with.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::ids::Hash;

pub(crate) const ACCOUNTS: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum By {
    Own(u8),
    Coordinator(u8),
    Both(u8, u8),
    Desk,
    DeskCoordinator,
    Root,
    Nobody,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Open { n: u8, keyed: bool, pool: bool },
    Close { n: u8, by: By },
    Grant { n: u8, granted: bool },
    AddKey { n: u8 },
    Limit { n: Option<u8>, stop: u64, firm: u64 },
    Pay { from: u8, to: u8, unit: u16, minor: i64, by: By },
    Reverse { pick: usize, by: By },
    Hold { from: u8, minor: i64, by: By },
    Release { pick: usize },
    Again { pick: usize },
    Wait { days: u64 },
}

pub(crate) fn by() -> impl Strategy<Value = By> {
    let n = 1..=ACCOUNTS;
    prop_oneof![
        6 => n.clone().prop_map(By::Own),
        2 => n.clone().prop_map(By::Coordinator),
        1 => (n.clone(), n).prop_map(|(a, b)| By::Both(a, b)),
        3 => Just(By::Desk),
        2 => Just(By::DeskCoordinator),
        1 => Just(By::Root),
        1 => Just(By::Nobody),
    ]
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    let n = 1..=ACCOUNTS;
    let pay = (n.clone(), n.clone(), 0_u16..3, 1_i64..150, by());
    let right = (n.clone(), n.clone(), 1_i64..150).prop_map(|(from, to, minor)| Act::Pay {
        from,
        to,
        unit: 0,
        minor,
        by: By::Own(from),
    });
    prop_oneof![
        4 => (n.clone(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(n, keyed, pool)| Act::Open { n, keyed, pool }),
        1 => (n.clone(), by()).prop_map(|(n, by)| Act::Close { n, by }),
        2 => (n.clone(), prop::bool::weighted(0.8)).prop_map(|(n, granted)| Act::Grant { n, granted }),
        1 => n.clone().prop_map(|n| Act::AddKey { n }),
        1 => (prop::option::of(n.clone()), 0_u64..200, 0_u64..200).prop_map(|(n, stop, firm)| Act::Limit { n, stop, firm }),
        6 => pay.prop_map(|(from, to, unit, minor, by)| Act::Pay { from, to, unit, minor, by }),
        6 => right,
        2 => (0_usize..40, by()).prop_map(|(pick, by)| Act::Reverse { pick, by }),
        2 => (n, 1_i64..150, by()).prop_map(|(from, minor, by)| Act::Hold { from, minor, by }),
        1 => (0_usize..10).prop_map(|pick| Act::Release { pick }),
        2 => (0_usize..60).prop_map(|pick| Act::Again { pick }),
        1 => (0_u64..40).prop_map(|days| Act::Wait { days }),
    ]
}

#[derive(Default)]
pub(crate) struct Acc {
    pub(crate) pool: bool,
    pub(crate) keyed: bool,
    pub(crate) closed: bool,
    pub(crate) coordinator: bool,
}

pub(crate) struct Paid {
    pub(crate) seq: u64,
    pub(crate) at_ms: u64,
    pub(crate) from: u8,
    pub(crate) to: u8,
    pub(crate) unit: u16,
    pub(crate) minor: i64,
    pub(crate) reversed: bool,
}

pub(crate) struct Held {
    pub(crate) leaf: Hash,
    pub(crate) from: u8,
    pub(crate) minor: i64,
    pub(crate) open: bool,
}

/// Account 0 stands for the network's own `hold`.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u8, Acc>,
    pub(crate) keys: BTreeSet<u8>,
    pub(crate) balances: BTreeMap<(u8, u16), i64>,
    pub(crate) own_limits: BTreeMap<u8, (u64, u64)>,
    pub(crate) member_limit: Option<(u64, u64)>,
    pub(crate) paid: Vec<Paid>,
    pub(crate) held: Vec<Held>,
}

impl Model {
    pub(crate) fn open(&self, n: u8) -> bool {
        self.accounts.get(&n).is_some_and(|a| !a.closed)
    }

    pub(crate) fn signs(&self, by: By) -> bool {
        let keyed = |n: u8| self.open(n) && self.accounts[&n].keyed;
        match by {
            By::Own(n) => keyed(n),
            By::Coordinator(n) => keyed(n) && self.accounts[&n].coordinator,
            By::Both(a, b) => self.signs(By::Own(a)) && self.signs(By::Coordinator(b)),
            By::Desk | By::DeskCoordinator | By::Root => true,
            By::Nobody => false,
        }
    }

    pub(crate) fn is_coordinator(by: By) -> bool {
        matches!(by, By::Coordinator(_) | By::Both(..) | By::DeskCoordinator | By::Root)
    }

    pub(crate) fn may_debit(&self, n: u8, by: By) -> bool {
        let account = &self.accounts[&n];
        if account.pool {
            return Self::is_coordinator(by);
        }
        match by {
            By::Own(m) | By::Coordinator(m) => m == n,
            By::Both(a, b) => a == n || b == n,
            By::Desk | By::DeskCoordinator => !account.keyed,
            By::Root | By::Nobody => false,
        }
    }

    pub(crate) fn balance(&self, n: u8, unit: u16) -> i64 {
        self.balances.get(&(n, unit)).copied().unwrap_or(0)
    }

    /// Only the side below zero has limits here, in unit 0.
    pub(crate) fn in_limits(&self, n: u8, unit: u16, minor: i64, by: By) -> bool {
        let after = self.balance(n, unit) - minor;
        let members = self.member_limit.filter(|_| !self.accounts[&n].pool);
        let Some((stop, firm)) = self.own_limits.get(&n).copied().or(members) else { return true };
        let beyond = after.unsigned_abs();
        unit != 0 || after >= 0 || (beyond <= firm && (beyond <= stop || Self::is_coordinator(by)))
    }

    pub(crate) fn add(&mut self, n: u8, unit: u16, delta: i64) {
        *self.balances.entry((n, unit)).or_default() += delta;
    }
}
