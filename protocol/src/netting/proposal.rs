//! Invoices between members as a proposal that each of them sees and agrees to or refuses (specs/netting.md 6.6 to 6.11).
//!
//! What must hold: whoever has agreed is never asked for more than what they agreed to, on any invoice or on their account;
//! whoever has refused, or was silent when the time was over, has no part in it; nothing of it binds anybody who has not
//! agreed. It is kept by the node and is no entry: payments are.

use super::file::party;
use super::members::{Account, Members, MembersError};
use super::{Debt, Party};
use crate::amount::Amount;
use crate::ids::{AccountId, Hash, LedgerId, OpId, SigBytes, UnitId};
use crate::keys::{INVOICES_WORD, PublicKey, SecretKey, SignatureError};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// Invoices of one proposal: a month of a network of some hundred firms; they are solved again at each refusal.
pub const MAX_INVOICES: usize = 5_000;
/// Longest time to answer: who asks for longer asks about balances that have long moved.
pub const MAX_ASK_MS: u64 = 31 * 86_400_000;

/// An invoice: what one member owes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Invoice {
    /// Who owes.
    pub debtor: AccountId,
    /// Whom.
    pub creditor: AccountId,
    /// How much.
    pub amount: Amount,
}

/// What is proposed of the invoices of one member to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// Who owes.
    #[n(0)]
    pub debtor: AccountId,
    /// Whom.
    #[n(1)]
    pub creditor: AccountId,
    /// How much.
    #[n(2)]
    pub amount: i64,
    /// How much of it is paid.
    #[n(3)]
    pub paid: i64,
    /// No more than this may be paid of it: what somebody has agreed to.
    #[n(4)]
    pub most: i64,
}

/// What a member has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Word {
    /// Yes; at most so far may the account move, below zero downwards.
    #[n(0)]
    Agreed(#[n(0)] i64),
    /// No.
    #[n(1)]
    Refused,
    /// Nothing, until the time was over.
    #[n(2)]
    Silent,
}

/// How a proposal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Stage {
    /// Members are asked.
    #[n(0)]
    Asking,
    /// All whom it touches have agreed: its payments may be made.
    #[n(1)]
    Agreed,
    /// Nothing is left that could be paid.
    #[n(2)]
    Nothing,
    /// Taken back.
    #[n(3)]
    Withdrawn,
}

/// How far each account may go down and up now.
pub type Rooms = BTreeMap<AccountId, (i64, i64)>;

/// Why invoices are no proposal, or a word does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// None, or too many.
    #[error("there are {0} invoices; 1 to {MAX_INVOICES} make a proposal")]
    Count(usize),
    /// They cannot be netted.
    #[error(transparent)]
    Invoices(#[from] MembersError),
    /// Too long to wait, or no time at all.
    #[error("members are asked for {0} ms; more than 0 and at most {MAX_ASK_MS} are allowed")]
    Time(u64),
    /// It does not name this account.
    #[error("no invoice of this proposal names account {0}")]
    NotNamed(AccountId),
    /// It is not asked about any more.
    #[error("this proposal has ended: nobody is asked any more")]
    Ended,
    /// A word that stands.
    #[error("account {0} has no part in it any more: it has refused, or was silent")]
    Out(AccountId),
    /// Nothing of theirs is paid.
    #[error("nothing is paid of the invoices of account {0} as it stands, so there is nothing to agree to")]
    NotAsked(AccountId),
    /// It has changed since they looked.
    #[error("what is proposed to account {0} is not what was agreed to: look again")]
    Changed(AccountId),
}

/// A payment that moves accounts as agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// From which account.
    pub from: AccountId,
    /// To which.
    pub to: AccountId,
    /// How much.
    pub amount: Amount,
    /// The id of the operation that makes it, so that it is made once.
    pub op_id: OpId,
}

/// Invoices, what is proposed to be paid of them, and what members have said.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Proposal {
    /// Its id.
    #[n(0)]
    pub id: Hash,
    /// In which unit.
    #[n(1)]
    pub unit: UnitId,
    /// Until when members are asked, in milliseconds since 1970.
    #[n(2)]
    pub until_ms: u64,
    /// What each member owes each other, in order.
    #[n(3)]
    pub lines: Vec<Line>,
    /// What members have said.
    #[cbor(n(4), with = "words")]
    pub words: BTreeMap<AccountId, Word>,
    /// How it stands.
    #[n(5)]
    pub stage: Stage,
}

fn numbers(line: &Line) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..16].copy_from_slice(&line.debtor.0);
    bytes[16..32].copy_from_slice(&line.creditor.0);
    bytes[32..].copy_from_slice(&line.amount.to_be_bytes());
    bytes
}

impl Proposal {
    /// Proposes the most that can be paid. Invoices of one member to another are added up.
    ///
    /// # Errors
    /// Why these invoices are no proposal.
    pub fn new(
        ledger: &LedgerId,
        unit: UnitId,
        (now_ms, until_ms): (u64, u64),
        invoices: &[Invoice],
        rooms: &Rooms,
    ) -> Result<Self, ProposalError> {
        if invoices.is_empty() || invoices.len() > MAX_INVOICES {
            return Err(ProposalError::Count(invoices.len()));
        }
        let asks_ms = until_ms.saturating_sub(now_ms);
        if asks_ms == 0 || asks_ms > MAX_ASK_MS {
            return Err(ProposalError::Time(asks_ms));
        }
        let debts: Vec<Debt> = invoices.iter().map(debt).collect();
        Members::new(&debts, &[], &Hash::ZERO)?;
        let mut sums: BTreeMap<(AccountId, AccountId), i64> = BTreeMap::new();
        for invoice in invoices {
            let sum = sums.entry((invoice.debtor, invoice.creditor)).or_default();
            *sum = sum.saturating_add(invoice.amount.minor());
        }
        let line = |((debtor, creditor), amount)| Line { debtor, creditor, amount, paid: 0, most: amount };
        let lines: Vec<Line> = sums.into_iter().map(line).collect();
        let all: Vec<u8> = lines.iter().flat_map(numbers).collect();
        let about = [&ledger.0[..], &unit.0.to_be_bytes(), &until_ms.to_be_bytes(), &all];
        let id = Hash::of("WEFT-INVOICES/1\n", &about);
        let words = BTreeMap::new();
        let mut proposal = Self { id, unit, until_ms, lines, words, stage: Stage::Asking };
        proposal.solve(rooms);
        Ok(proposal)
    }

    /// Whether somebody has no part in it any more.
    fn is_out(&self, account: &AccountId) -> bool {
        matches!(self.words.get(account), Some(Word::Refused | Word::Silent))
    }

    /// Finds the most that can be paid among those who are left, within what was agreed to.
    fn solve(&mut self, rooms: &Rooms) {
        let open = |line: &Line| !self.is_out(&line.debtor) && !self.is_out(&line.creditor) && line.most > 0;
        let open: Vec<bool> = self.lines.iter().map(open).collect();
        let debts: Vec<Debt> = self
            .lines
            .iter()
            .zip(&open)
            .filter(|(_, open)| **open)
            .map(|(line, _)| Debt {
                debtor: party_of(&line.debtor),
                creditor: party_of(&line.creditor),
                amount: line.most,
            })
            .collect();
        let accounts: Vec<Account> = self
            .accounts()
            .into_iter()
            .map(|account| {
                let (give, take) = rooms.get(&account).copied().unwrap_or_default();
                let (give, take) = match self.words.get(&account) {
                    Some(Word::Agreed(moves)) => {
                        (give.min(moves.saturating_neg().max(0)), take.min((*moves).max(0)))
                    }
                    Some(Word::Refused | Word::Silent) | None => (give, take),
                };
                Account { member: party_of(&account), may_give: give.max(0), may_take: take.max(0) }
            })
            .collect();
        let members = Members::new(&debts, &accounts, &Hash::ZERO).expect("parts of what could stand");
        let solved = members.solve();
        // The solver's word counts for nothing, here as everywhere.
        let paid = if members.verify(&solved).is_ok() { solved.reductions } else { Vec::new() };
        let parties = members.invoices().parties();
        let by_ends: BTreeMap<(Party, Party), i64> = members
            .invoices()
            .arcs()
            .iter()
            .zip(paid)
            .map(|(arc, off)| ((parties[arc.debtor as usize], parties[arc.creditor as usize]), off))
            .collect();
        for (line, open) in self.lines.iter_mut().zip(open) {
            let ends = (party_of(&line.debtor), party_of(&line.creditor));
            line.paid = if open { by_ends.get(&ends).copied().unwrap_or(0) } else { 0 };
        }
        self.stage = match () {
            () if self.lines.iter().all(|line| line.paid == 0) => Stage::Nothing,
            () if self.waits_for().is_empty() => Stage::Agreed,
            () => Stage::Asking,
        };
    }

    /// All accounts that invoices name, in order.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        self.lines.iter().flat_map(|line| [line.debtor, line.creditor]).collect()
    }

    /// What is proposed to one account.
    pub fn lines_of(&self, account: AccountId) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.debtor == account || line.creditor == account)
    }

    /// How an account moves: below zero it goes down.
    pub fn moves(&self, account: &AccountId) -> i64 {
        let of = |line: &Line| if line.creditor == *account { line.paid } else { line.paid.saturating_neg() };
        self.lines_of(*account).map(of).fold(0, i64::saturating_add)
    }

    /// Whether something is proposed to an account.
    pub fn is_asked(&self, account: &AccountId) -> bool {
        self.lines_of(*account).any(|line| line.paid > 0)
    }

    /// Accounts whose word is missing.
    pub fn waits_for(&self) -> BTreeSet<AccountId> {
        let asked = self.lines.iter().filter(|line| line.paid > 0);
        let ends = asked.flat_map(|line| [line.debtor, line.creditor]);
        ends.filter(|account| !self.words.contains_key(account)).collect()
    }

    /// Names what is proposed to an account as it stands: a word is about exactly that.
    pub fn part(&self, account: AccountId) -> Hash {
        let of_line = |line: &Line| numbers(line).into_iter().chain(line.paid.to_be_bytes());
        let lines: Vec<u8> = self.lines_of(account).flat_map(of_line).collect();
        Hash::of("WEFT-INVOICES-PART/1\n", &[&self.id.0, &account.0, &lines])
    }

    /// Takes in a member's word about their part. Who refuses is left out, and the rest is solved again.
    ///
    /// # Errors
    /// Why it does not count; nothing changed.
    pub fn say(
        &mut self,
        account: AccountId,
        agrees: bool,
        part: &Hash,
        rooms: &Rooms,
    ) -> Result<(), ProposalError> {
        if self.lines_of(account).next().is_none() {
            return Err(ProposalError::NotNamed(account));
        }
        if self.stage != Stage::Asking {
            return Err(ProposalError::Ended);
        }
        if self.is_out(&account) {
            return Err(ProposalError::Out(account));
        }
        if !agrees {
            self.words.insert(account, Word::Refused);
            self.solve(rooms);
            return Ok(());
        }
        if !self.is_asked(&account) {
            return Err(ProposalError::NotAsked(account));
        }
        if *part != self.part(account) {
            return Err(ProposalError::Changed(account));
        }
        self.words.insert(account, Word::Agreed(self.moves(&account)));
        for line in self.lines.iter_mut().filter(|line| line.debtor == account || line.creditor == account) {
            line.most = line.most.min(line.paid);
        }
        if self.waits_for().is_empty() {
            self.stage = Stage::Agreed;
        }
        Ok(())
    }

    /// When the time is over, whoever was silent is left out and the rest stands. Says whether anything changed.
    pub fn look(&mut self, now_ms: u64, rooms: &Rooms) -> bool {
        if self.stage != Stage::Asking || now_ms <= self.until_ms {
            return false;
        }
        for account in self.accounts() {
            self.words.entry(account).or_insert(Word::Silent);
        }
        self.solve(rooms);
        true
    }

    /// Takes it back; nothing of it is asked any more.
    ///
    /// # Errors
    /// It has ended with nothing, or was taken back.
    pub fn withdraw(&mut self) -> Result<(), ProposalError> {
        match self.stage {
            Stage::Asking | Stage::Agreed => self.stage = Stage::Withdrawn,
            Stage::Nothing | Stage::Withdrawn => return Err(ProposalError::Ended),
        }
        Ok(())
    }

    /// Payments after which each account has moved as agreed: who gives pays who takes. None before all have agreed.
    pub fn payments(&self) -> Vec<Payment> {
        if self.stage != Stage::Agreed {
            return Vec::new();
        }
        let moves: Vec<(AccountId, i64)> =
            self.accounts().iter().map(|one| (*one, self.moves(one))).collect();
        let mut takers = moves.iter().copied().filter(|(_, by)| *by > 0);
        let (mut taker, mut all) = (takers.next(), Vec::new());
        for (from, by) in moves.iter().filter(|(_, by)| *by < 0) {
            let mut gives = by.saturating_neg();
            while let Some((to, left)) = taker.filter(|_| gives > 0) {
                let minor = gives.min(left);
                let amount = Amount::new(minor).expect("two amounts above zero");
                let named = Hash::of("WEFT-INVOICES-PAYMENT/1\n", &[&self.id.0, &from.0, &to.0]);
                all.push(Payment { from: *from, to, amount, op_id: OpId(named.prefix()) });
                gives = gives.saturating_sub(minor);
                taker = if left > minor { Some((to, left.saturating_sub(minor))) } else { takers.next() };
            }
        }
        all
    }
}

/// Words as a list: the keys of canonical maps are numbers.
mod words {
    use super::{AccountId, BTreeMap, Word};
    use minicbor::decode::{Decode, Decoder, Error};
    use minicbor::encode::{self, Encode, Encoder, Write};

    pub(super) fn encode<C, W: Write>(
        words: &BTreeMap<AccountId, Word>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let list: Vec<(AccountId, Word)> = words.iter().map(|(account, word)| (*account, *word)).collect();
        list.encode(e, ctx)
    }

    pub(super) fn decode<'b, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<BTreeMap<AccountId, Word>, Error> {
        Ok(Vec::<(AccountId, Word)>::decode(d, ctx)?.into_iter().collect())
    }
}

fn party_of(account: &AccountId) -> Party {
    party(&account.to_string()).expect("hex digits are a name")
}

fn debt(invoice: &Invoice) -> Debt {
    Debt {
        debtor: party_of(&invoice.debtor),
        creditor: party_of(&invoice.creditor),
        amount: invoice.amount.minor(),
    }
}

/// A member's signature under their word.
pub fn sign_word(key: &SecretKey, ledger: &LedgerId, part: &Hash, agrees: bool) -> SigBytes {
    key.sign(INVOICES_WORD, &[&ledger.0, &part.0, &[u8::from(agrees)]])
}

/// Checks a member's signature under their word.
///
/// # Errors
/// It does not verify.
pub fn verify_word(
    key: &PublicKey,
    ledger: &LedgerId,
    part: &Hash,
    agrees: bool,
    sig: &SigBytes,
) -> Result<(), SignatureError> {
    key.verify(INVOICES_WORD, &[&ledger.0, &part.0, &[u8::from(agrees)]], sig)
}

#[cfg(test)]
mod tests;
