//! Area 5, transfer: every movement of value is a list of postings that sums to zero in each unit
//! (specs/kinds.md §5).
//!
//! Postings are ascending by (account, unit), never zero, at most 64; so a movement has one form. What the node
//! writes on its own (end, credit, book, release, returned) carries postings that `apply` computes again from the
//! claim's facts and compares: the state stays a function of our own entries alone.

use super::authority::Authority;
use super::clearing;
use super::members::OwnerKind;
use super::rules::Verdict;
use super::state::{Change, HoldRow, State, TransferMark};
use super::{Notice, Rejected, own_accounts};
use crate::amount::Amount;
use crate::entry::Entry;
use crate::ids::{AccountId, ClaimId, Hash, LedgerId, StreamId, UnitId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// One line of a movement: `delta` is added to the balance of the account in the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Posting {
    /// Whose balance.
    #[n(0)]
    pub account: AccountId,
    /// In which unit.
    #[n(1)]
    pub unit: UnitId,
    /// Minor units, signed, never zero.
    #[n(2)]
    pub delta: i64,
}

/// Payload: value moved between accounts of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Transfer {
    /// Ascending by (account, unit); zero in sum per unit.
    #[n(0)]
    pub postings: Vec<Posting>,
    /// The day it happened, in days since 1970-01-01, as its author says.
    #[n(1)]
    pub when_day: Option<i32>,
}

/// Payload: an earlier transfer undone, as a whole and once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reversal {
    /// Place of the transfer in the ledger.
    #[n(0)]
    pub seq: u64,
    /// Its postings with the signs turned.
    #[n(1)]
    pub postings: Vec<Posting>,
}

/// Payload: value set aside for a payment to another network. The operation names exactly one sidecar: the payee's
/// name and the memo. It names no route and no claim, so the payer can sign it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hold {
    /// Who pays.
    #[n(0)]
    pub account: AccountId,
    /// In which unit of the payer's network.
    #[n(1)]
    pub unit: UnitId,
    /// How much leaves the account.
    #[n(2)]
    pub amount: Amount,
    /// To which network.
    #[n(3)]
    pub payee_network: LedgerId,
    /// The day it happened, as its author says.
    #[n(4)]
    pub when_day: Option<i32>,
}

/// Payload: a debtor's books after its closing step.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct End {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(1)]
    pub part: u8,
    /// Leaf hash of our DONE or FREE.
    #[n(2)]
    pub closing: Hash,
    /// Hold or transit to the peer, or hold back to the account.
    #[n(3)]
    pub postings: Vec<Posting>,
}

/// Payload: the payee credited, beside our own ACCEPT.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Credit {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// The payee's account.
    #[n(1)]
    pub account: AccountId,
    /// Incoming to the account.
    #[n(2)]
    pub postings: Vec<Posting>,
}

/// Payload: a creditor's books after the peer's DONE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Book {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(1)]
    pub part: u8,
    /// The channel of the hop.
    #[n(2)]
    pub channel: StreamId,
    /// Leaf hash of the peer's DONE.
    #[n(3)]
    pub closing: Hash,
    /// Peer to incoming or transit.
    #[n(4)]
    pub postings: Vec<Posting>,
}

/// Payload: a hold that never became a claim, or what parts of one that were never proposed would have taken of it,
/// given back.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Release {
    /// Leaf hash of the hold.
    #[n(0)]
    pub hold: Hash,
    /// Hold back to the account.
    #[n(1)]
    pub postings: Vec<Posting>,
}

/// Payload: the books after a RETURN, on either side of the hop.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Returned {
    /// Which claim.
    #[n(0)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(1)]
    pub part: u8,
    /// The channel of the hop.
    #[n(2)]
    pub channel: StreamId,
    /// Leaf hash of the RETURN.
    #[n(3)]
    pub reference: Hash,
    /// Creditor: transit to the peer. Debtor: peer to the account, or to transit.
    #[n(4)]
    pub postings: Vec<Posting>,
}

/// A transfer can be reversed for this long; later, pay back instead.
pub const REVERSAL_WINDOW_MS: u64 = 60 * 86_400_000;

/// The two postings that move an amount, in canonical order.
pub fn move_value(from: AccountId, to: AccountId, unit: UnitId, amount: Amount) -> Vec<Posting> {
    let mut postings = vec![
        Posting { account: from, unit, delta: 0_i64.saturating_sub(amount.minor()) },
        Posting { account: to, unit, delta: amount.minor() },
    ];
    postings.sort_by_key(|p| (p.account, p.unit));
    postings
}

/// Form of a list of postings: order, no zero, zero in sum per unit.
///
/// # Errors
/// Names the rule broken.
pub fn check_form(postings: &[Posting]) -> Result<(), Rejected> {
    if postings.is_empty() {
        return Err(Rejected::NothingToDo);
    }
    if !postings.is_sorted_by(|a, b| (a.account, a.unit) < (b.account, b.unit)) {
        return Err(Rejected::PostingOrder);
    }
    let mut sums: BTreeMap<UnitId, i128> = BTreeMap::new();
    for posting in postings {
        if posting.delta == 0 || posting.delta.unsigned_abs() > crate::amount::MAX_AMOUNT.unsigned_abs() {
            return Err(Rejected::PostingAmount { delta: posting.delta });
        }
        let sum = sums.entry(posting.unit).or_default();
        *sum = sum.saturating_add(i128::from(posting.delta));
    }
    match sums.into_iter().find(|(_, sum)| *sum != 0) {
        Some((unit, sum)) => Err(Rejected::SumNotZero { unit, sum }),
        None => Ok(()),
    }
}

/// What limits say about the balances that a movement leaves, and the balances.
pub(super) struct Moved {
    pub(super) changes: Vec<Change>,
    pub(super) notices: Vec<Notice>,
}

/// New balances, without asking who may do it and whether limits allow it.
pub(super) fn book_postings(state: &State, postings: &[Posting]) -> Result<Vec<Change>, Rejected> {
    check_form(postings)?;
    let mut changes = Vec::with_capacity(postings.len());
    for posting in postings {
        if !state.units.contains_key(&posting.unit) {
            return Err(Rejected::UnknownUnit { unit: posting.unit });
        }
        let after = state.balance(&posting.account, posting.unit).checked_add(posting.delta);
        let after = after.filter(|a| a.unsigned_abs() <= crate::amount::MAX_AMOUNT.unsigned_abs());
        let after =
            after.ok_or(Rejected::BalanceOverflow { account: posting.account, unit: posting.unit })?;
        changes.push(Change::Balance(posting.account, posting.unit, after));
    }
    Ok(changes)
}

/// Holders' postings under limits. `lifted` says that a coordinator lifts stops for this one payment.
fn hold_to_limits(state: &State, postings: &[Posting], lifted: bool) -> Result<Vec<Notice>, Rejected> {
    let mut notices = Vec::new();
    for posting in postings {
        let after = state.balance(&posting.account, posting.unit).saturating_add(posting.delta);
        let worse = (after < 0) == (posting.delta < 0);
        let Some(limit) = state.limit_of(&posting.account, posting.unit).filter(|_| worse) else { continue };
        let (account, unit, balance) = (posting.account, posting.unit, after);
        match limit.verdict(after) {
            Verdict::Fine => {}
            Verdict::Warn => notices.push(Notice::NearLimit { account, unit, balance }),
            Verdict::Stop { .. } if lifted => notices.push(Notice::StopLifted { account, unit, balance }),
            Verdict::Stop { level } => return Err(Rejected::LimitStop { account, unit, balance, level }),
            Verdict::Firm { level } => return Err(Rejected::LimitFirm { account, unit, balance, level }),
        }
    }
    Ok(notices)
}

pub(super) fn apply_transfer(
    state: &State,
    auth: &Authority,
    entry: &Entry,
    transfer: &Transfer,
) -> Result<Moved, Rejected> {
    let mut changes = book_postings(state, &transfer.postings)?;
    for posting in &transfer.postings {
        let account = state.holder(&posting.account)?;
        if posting.delta < 0 {
            auth.may_debit(state, &posting.account, account.owner)?;
        }
    }
    let notices = hold_to_limits(state, &transfer.postings, auth.coordinator(state))?;
    let mark = TransferMark {
        time_ms: entry.body().time_ms,
        digest: postings_digest(&transfer.postings),
        reversed: false,
    };
    changes.push(Change::Transfer(entry.body().seq, mark));
    Ok(Moved { changes, notices })
}

pub(super) fn apply_reversal(
    state: &State,
    auth: &Authority,
    reversal: &Reversal,
) -> Result<Vec<Change>, Rejected> {
    let seq = reversal.seq;
    let mark = state.transfers.get(&seq).ok_or(Rejected::NotReversible { seq })?;
    if mark.reversed {
        return Err(Rejected::AlreadyReversed { seq });
    }
    let turned = |p: &Posting| Posting { delta: p.delta.wrapping_neg(), ..*p };
    let original: Vec<Posting> = reversal.postings.iter().map(turned).collect();
    if postings_digest(&original) != mark.digest {
        return Err(Rejected::ReversalDiffers { seq });
    }
    let mut changes = book_postings(state, &reversal.postings)?;
    for posting in &reversal.postings {
        let account = state.holder(&posting.account)?;
        if posting.delta < 0 && !auth.coordinator(state) {
            auth.may_debit(state, &posting.account, account.owner)?;
        }
    }
    changes.push(Change::Transfer(seq, TransferMark { reversed: true, ..mark.clone() }));
    Ok(changes)
}

pub(super) fn apply_hold(
    state: &State,
    auth: &Authority,
    entry: &Entry,
    hold: &Hold,
) -> Result<Moved, Rejected> {
    let holder = state.holder(&hold.account)?;
    let [commitment] = entry.op().sidecars[..] else { return Err(Rejected::HoldSidecar) };
    if hold.payee_network == entry.body().ledger {
        return Err(Rejected::OwnNetwork);
    }
    let postings = move_value(hold.account, own_accounts::hold(), hold.unit, hold.amount);
    let mut changes = book_postings(state, &postings)?;
    auth.may_debit(state, &hold.account, holder.owner)?;
    let of_holder: Vec<Posting> = postings.into_iter().filter(|p| p.account == hold.account).collect();
    let notices = hold_to_limits(state, &of_holder, auth.coordinator(state))?;
    let row = HoldRow {
        account: hold.account,
        unit: hold.unit,
        amount: hold.amount,
        payee_network: hold.payee_network,
        commitment,
        claim: None,
        left: None,
    };
    changes.push(Change::Hold(entry.leaf(), Some(row)));
    Ok(Moved { changes, notices })
}

pub(super) fn apply_release(state: &State, release: &Release) -> Result<Vec<Change>, Rejected> {
    let facts = clearing::release_facts(state, &release.hold)?;
    let mut changes = exactly(state, &release.postings, &facts.postings)?;
    changes.extend(facts.changes);
    Ok(changes)
}

pub(super) fn apply_end(state: &State, end: &End) -> Result<Vec<Change>, Rejected> {
    let facts = clearing::end_facts(state, end)?;
    let mut changes = exactly(state, &end.postings, &facts.postings)?;
    changes.extend(facts.changes);
    Ok(changes)
}

pub(super) fn apply_credit(state: &State, credit: &Credit) -> Result<Vec<Change>, Rejected> {
    state.holder(&credit.account)?;
    let facts = clearing::credit_facts(state, credit)?;
    let mut changes = exactly(state, &credit.postings, &facts.postings)?;
    changes.extend(facts.changes);
    Ok(changes)
}

pub(super) fn apply_book(state: &State, entry: &Entry, book: &Book) -> Result<Vec<Change>, Rejected> {
    let facts = clearing::book_facts(state, entry.body().time_ms, book)?;
    let mut changes = exactly(state, &book.postings, &facts.postings)?;
    changes.extend(facts.changes);
    Ok(changes)
}

pub(super) fn apply_returned(state: &State, returned: &Returned) -> Result<Vec<Change>, Rejected> {
    let facts = clearing::returned_facts(state, returned)?;
    let mut changes = exactly(state, &returned.postings, &facts.postings)?;
    changes.extend(facts.changes);
    Ok(changes)
}

fn exactly(state: &State, given: &[Posting], expected: &[Posting]) -> Result<Vec<Change>, Rejected> {
    if given != expected {
        return Err(Rejected::PostingsDiffer);
    }
    book_postings(state, given)
}

/// Whether a holder's account may take this much more, as limits say; the decider asks before it accepts.
///
/// # Errors
/// The account is closed or unknown, or a limit stands in the way.
pub fn may_credit(state: &State, account: &AccountId, unit: UnitId, amount: Amount) -> Result<(), Rejected> {
    let holder = state.holder(account)?;
    if !matches!(holder.owner, OwnerKind::Member | OwnerKind::Organisation | OwnerKind::Commons) {
        return Err(Rejected::OwnerKind { owner: holder.owner });
    }
    let posting = Posting { account: *account, unit, delta: amount.minor() };
    let after = state.balance(account, unit).checked_add(posting.delta);
    after
        .filter(|a| a.unsigned_abs() <= crate::amount::MAX_AMOUNT.unsigned_abs())
        .ok_or(Rejected::BalanceOverflow { account: *account, unit })?;
    hold_to_limits(state, &[posting], false).map(|_| ())
}

fn postings_digest(postings: &[Posting]) -> [u8; 16] {
    Hash::of("WEFT-POSTINGS/1\n", &[&crate::encoding::encode(&postings.to_vec())]).prefix()
}
