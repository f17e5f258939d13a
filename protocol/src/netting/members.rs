//! Invoices between the members of one network, with what their accounts can give and take (specs/netting.md §6).
//!
//! The accounts are one more node: what an account may still go down is owed by it to the member, what it may still go up
//! is owed to it. So an invoice can be paid that lies on no circle, and nobody leaves the limits of their account. What must
//! hold: as much is paid as can be, then accounts move as little as that allows.

use super::certificate::{self, CertificateError};
use super::{Arc, Begin, Debt, DebtError, Debts, Party, costs, solver};
use crate::ids::Hash;
use std::collections::BTreeMap;

/// All invoices together: with accounts that move no more than what is owed, three times as much fits in 62 bits.
pub const MAX_INVOICES_TOTAL: i128 = 1 << 60;

/// How far the account of a member may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Whose it is.
    pub member: Party,
    /// How much it may go down: to the limit of what it may owe.
    pub may_give: i64,
    /// How much it may go up.
    pub may_take: i64,
}

/// Why invoices and accounts cannot be netted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// An invoice cannot stand.
    #[error(transparent)]
    Invoice(#[from] DebtError),
    /// The invoices are too much together.
    #[error("all invoices together are {0}; at most {MAX_INVOICES_TOTAL} can be netted with accounts")]
    Total(i128),
    /// An account would move less than nothing.
    #[error("account {at} may give {may_give} and take {may_take}: neither may be below zero")]
    Negative {
        /// Its place among the accounts given.
        at: usize,
        /// How much it may go down.
        may_give: i64,
        /// How much it may go up.
        may_take: i64,
    },
    /// A member has two accounts here.
    #[error("account {at} is a second one of the same member")]
    Twice {
        /// Its place among the accounts given.
        at: usize,
    },
}

/// Invoices and accounts in the one order that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    invoices: Debts,
    /// Invoices, then for each member what the accounts owe it and what it owes them, where that is anything.
    arcs: Vec<Arc>,
    costs: Vec<i64>,
}

/// What is paid, and how the accounts move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    /// By how much each edge shrinks: invoices in the order of [`Debts::arcs`], then accounts.
    pub reductions: Vec<i64>,
    /// A potential for each member, and for the accounts: the proof.
    pub potentials: Vec<i64>,
}

impl Members {
    /// Orders invoices, and puts accounts beside them. Members without an account listed cannot give or take; accounts of
    /// whom no invoice names do not matter.
    ///
    /// # Errors
    /// The first invoice or account that cannot stand.
    pub fn new(invoices: &[Debt], accounts: &[Account], seed: &Hash) -> Result<Self, MembersError> {
        let invoices = Debts::new(invoices)?;
        if invoices.total() > MAX_INVOICES_TOTAL {
            return Err(MembersError::Total(invoices.total()));
        }
        let mut rooms = BTreeMap::new();
        for (at, &Account { member, may_give, may_take }) in accounts.iter().enumerate() {
            if may_give < 0 || may_take < 0 {
                return Err(MembersError::Negative { at, may_give, may_take });
            }
            if rooms.insert(member, (may_give, may_take)).is_some() {
                return Err(MembersError::Twice { at });
            }
        }
        let mut owes = vec![0_i64; invoices.parties.len()];
        let mut owed = owes.clone();
        for arc in &invoices.arcs {
            owes[arc.debtor as usize] = owes[arc.debtor as usize].saturating_add(arc.amount);
            owed[arc.creditor as usize] = owed[arc.creditor as usize].saturating_add(arc.amount);
        }
        let mut arcs = invoices.arcs.clone();
        let the_accounts = u32::try_from(invoices.parties.len()).expect("parties are counted in 32 bits");
        for ((member, party), (owes, owed)) in (0..).zip(&invoices.parties).zip(owes.iter().zip(&owed)) {
            let (give, take) = rooms.get(party).copied().unwrap_or_default();
            // More than all its invoices no account can move.
            let giving = Arc { debtor: the_accounts, creditor: member, amount: give.min(*owes) };
            let taking = Arc { debtor: member, creditor: the_accounts, amount: take.min(*owed) };
            arcs.extend([giving, taking].into_iter().filter(|arc| arc.amount > 0));
        }
        let nodes = invoices.parties.len().saturating_add(1);
        let party = |node: u32| invoices.parties.get(node as usize);
        let cost = |arc: &Arc| costs::member_cost(nodes, seed, party(arc.debtor), party(arc.creditor));
        let costs = arcs.iter().map(cost).collect();
        Ok(Self { invoices, arcs, costs })
    }

    /// The invoices.
    #[must_use]
    pub fn invoices(&self) -> &Debts {
        &self.invoices
    }

    /// Invoices and accounts as edges, the accounts being the node after the last member.
    #[must_use]
    pub fn arcs(&self) -> &[Arc] {
        &self.arcs
    }

    /// What a unit left on each edge costs (specs/netting.md §6).
    #[must_use]
    pub fn costs(&self) -> &[i64] {
        &self.costs
    }

    /// One more than the members: the accounts.
    fn nodes(&self) -> usize {
        self.invoices.parties.len().saturating_add(1)
    }

    /// Finds the most that can be paid, and of all ways to do it one that moves accounts least.
    #[must_use]
    pub fn solve(&self) -> Paid {
        // Costs below zero are for the simplex alone.
        let solved = solver::solve(self.nodes(), &self.arcs, &self.costs, Begin::Owed);
        let off = self.arcs.iter().zip(&solved.left).map(|(arc, left)| arc.amount.saturating_sub(*left));
        Paid { reductions: off.collect(), potentials: solved.potentials }
    }

    /// Checks what somebody says can be paid.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify(&self, paid: &Paid) -> Result<(), CertificateError> {
        certificate::verify(self.nodes(), &self.arcs, &self.costs, &paid.reductions, &paid.potentials)
    }

    /// All that is paid of invoices.
    #[must_use]
    pub fn volume(&self, paid: &Paid) -> i128 {
        paid.reductions.iter().take(self.invoices.arcs.len()).map(|off| i128::from(*off)).sum()
    }

    /// How each account moves, in the order of [`Debts::parties`]: below zero it goes down.
    #[must_use]
    pub fn moves(&self, paid: &Paid) -> Vec<i64> {
        let mut moves = vec![0_i64; self.invoices.parties.len()];
        let accounts = self.arcs.iter().zip(&paid.reductions).skip(self.invoices.arcs.len());
        for (arc, off) in accounts {
            if let Some(account) = moves.get_mut(arc.creditor as usize) {
                *account = account.saturating_sub(*off);
            } else {
                let account = &mut moves[arc.debtor as usize];
                *account = account.saturating_add(*off);
            }
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Dice, SEED, debt, naive, party, random};
    use super::*;

    fn account(member: u64, may_give: i64, may_take: i64) -> Account {
        Account { member: party(member), may_give, may_take }
    }

    #[test]
    fn an_invoice_on_no_circle_is_paid_as_far_as_accounts_allow() {
        let invoices = [debt(1, 2, 10), debt(2, 3, 10)];
        let accounts = [account(1, 4, 100), account(2, 0, 1), account(3, 0, 100)];
        let members = Members::new(&invoices, &accounts, &SEED).unwrap();
        let paid = members.solve();
        members.verify(&paid).unwrap();
        // What 1 gives goes through 2 to 3.
        assert_eq!(paid.reductions[..2], [4, 4]);
        assert_eq!(members.volume(&paid), 8);
        assert_eq!(members.moves(&paid), [-4, 0, 4]);
    }

    #[test]
    fn where_a_circle_pays_as_much_no_account_moves() {
        let invoices = [debt(1, 2, 5), debt(2, 3, 5), debt(3, 1, 5)];
        let accounts = [1, 2, 3].map(|member| account(member, 100, 100));
        let members = Members::new(&invoices, &accounts, &SEED).unwrap();
        let paid = members.solve();
        assert_eq!(paid.reductions[..3], [5, 5, 5]);
        assert_eq!(members.moves(&paid), [0, 0, 0]);
    }

    #[test]
    fn random_invoices_and_accounts_are_paid_as_the_naive_way_does_and_within_every_limit() {
        let mut dice = Dice(5);
        let (mut helped, mut moved) = (0, 0);
        for _ in 0..400 {
            let count = 2 + dice.below(7);
            let edges = 1 + dice.below(count * 3);
            let invoices = random(&mut dice, count, edges, 50);
            let room = |dice: &mut Dice| i64::try_from(dice.below(30)).unwrap();
            let accounts: Vec<Account> =
                (0..count).map(|member| account(member, room(&mut dice), room(&mut dice))).collect();
            let members = Members::new(&invoices, &accounts, &SEED).unwrap();
            let paid = members.solve();
            members.verify(&paid).unwrap();
            let left = members.arcs.iter().zip(&paid.reductions).map(|(arc, off)| arc.amount - off);
            let cost: i128 =
                left.zip(&members.costs).map(|(left, cost)| i128::from(left) * i128::from(*cost)).sum();
            assert_eq!(cost, naive(members.nodes(), &members.arcs, &members.costs));
            let moves = members.moves(&paid);
            assert_eq!(moves.iter().sum::<i64>(), 0);
            for (by, party) in moves.iter().zip(members.invoices().parties()) {
                let account = accounts.iter().find(|account| account.member == *party).unwrap();
                assert!(-account.may_give <= *by && *by <= account.may_take, "{by} of {account:?}");
            }
            let alone: i128 =
                members.invoices().components(&SEED).iter().map(|part| part.solve().volume()).sum();
            assert!(members.volume(&paid) >= alone);
            helped += u32::from(members.volume(&paid) > alone);
            moved += u32::from(moves.iter().any(|by| *by != 0));
        }
        assert!(helped > 200 && moved >= helped, "{helped} {moved}");
    }

    #[test]
    fn accounts_that_cannot_stand_are_named() {
        let refused = |accounts: &[Account]| Members::new(&[debt(1, 2, 3)], accounts, &SEED).unwrap_err();
        let negative = MembersError::Negative { at: 1, may_give: 3, may_take: -1 };
        assert_eq!(refused(&[account(1, 0, 0), account(2, 3, -1)]), negative);
        assert_eq!(refused(&[account(1, 0, 0), account(1, 1, 1)]), MembersError::Twice { at: 1 });
        let much = [debt(1, 2, 1 << 60), debt(2, 1, 1)];
        assert_eq!(Members::new(&much, &[], &SEED), Err(MembersError::Total((1 << 60) + 1)));
        assert!(matches!(Members::new(&[debt(1, 1, 1)], &[], &SEED), Err(MembersError::Invoice(_))));
    }

    #[test]
    fn what_is_not_the_most_is_refused() {
        let members = Members::new(&[debt(1, 2, 5)], &[account(1, 5, 0), account(2, 0, 5)], &SEED).unwrap();
        let right = members.solve();
        assert_eq!(right.reductions, [5, 5, 5]);
        let less = Paid { reductions: vec![4; 3], ..right.clone() };
        assert!(matches!(members.verify(&less), Err(CertificateError::NotOptimal { .. })));
        let from_nowhere = Paid { reductions: vec![5, 0, 0], ..right };
        assert!(matches!(members.verify(&from_nowhere), Err(CertificateError::Conservation { .. })));
    }
}
