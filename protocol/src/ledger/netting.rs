//! Area 12, netting rounds, as far as our own entries decide it (specs/netting.md §7 to §10).
//!
//! What must hold: what is held for a round is taken from our room until it is applied or dropped; of what is accepted
//! our own debts shrink by as much as what we are owed; a debt shrinks by what both ends have accepted, once. That all
//! others have accepted is checked by [`crate::clearing`] before we write, and by an audit that has the public streams.

use super::clearing::accepted_on;
use super::members::OwnerKind;
use super::settled::{self, Stage};
use super::state::{Account, Change, ChannelRow, Closing, State};
use super::transfer::{Posting, book_postings, move_value};
use super::{Rejected, own_accounts};
use crate::amount::Amount;
use crate::clearing::offer::{ApplyArgs, DropArgs, OfferArgs};
use crate::clearing::step::Step;
use crate::entry::Entry;
use crate::ids::{Hash, LedgerId, StreamId, UnitId};
use crate::netting::round::{
    Announced, Committed, Line, Listed, MAX_ATTEMPT_BYTES, MAX_ATTEMPTS, MAX_PAGE_BYTES, MAX_PROOFS,
    MAX_ROUND_MS, Netted, ResultPage, Voted, in_order,
};
use minicbor::{Decode, Encode};

/// Debts with one peer that may be held for rounds at a time: more rounds than that do not run side by side.
pub const MAX_HELD: usize = 16;

/// Our part in a round.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RoundRow {
    /// In which unit of ours.
    #[n(0)]
    pub unit: UnitId,
    /// Place of the first entry about it.
    #[n(1)]
    pub since: u64,
    /// Leaf of our list, and until when results may be accepted.
    #[n(2)]
    pub listed: Option<(Hash, u64)>,
    /// Our words on results, in order.
    #[n(3)]
    pub votes: Vec<VoteRow>,
}

/// Our word on a result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct VoteRow {
    /// Which attempt.
    #[n(0)]
    pub attempt: u8,
    /// Which result.
    #[n(1)]
    pub result: Hash,
    /// Yes or no.
    #[n(2)]
    pub accepts: bool,
    /// By how much our debts shrink.
    #[n(3)]
    pub lines: Vec<LineRow>,
    /// The refusal that has ended it, once we have gone on to another.
    #[n(4)]
    pub aborted: Option<Hash>,
}

/// One debt of ours in an accepted result.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LineRow {
    /// By how much it shrinks.
    #[n(0)]
    pub line: Line,
    /// When we have said APPLY.
    #[n(1)]
    pub said_ms: Option<u64>,
    /// Whether it is booked.
    #[n(2)]
    pub booked: bool,
}

/// A debt held for a round.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct HeldRow {
    /// With whom.
    #[n(0)]
    pub channel: StreamId,
    /// In which unit pair.
    #[n(1)]
    pub pair: u8,
    /// Whether this network owes it.
    #[n(2)]
    pub we_owe: bool,
    /// How much.
    #[n(3)]
    pub amount: Amount,
    /// Whether it is held no more: applied or dropped.
    #[n(4)]
    pub ended: bool,
}

/// What rounds hold of a debt, in the direction asked for.
pub fn held(state: &State, channel: &ChannelRow, pair: u8, we_owe: bool) -> i128 {
    let of = |((_, peer), row): (&(Hash, LedgerId), &HeldRow)| {
        let same = *peer == channel.peer && row.pair == pair && row.we_owe == we_owe && !row.ended;
        same.then_some(i128::from(row.amount.minor()))
    };
    state.held.iter().filter_map(of).sum()
}

/// What may be offered of a debt: what is owed by our books, less what is held for other rounds, and less all that is on
/// its way to make it smaller.
pub fn free_debt(state: &State, id: &StreamId, channel: &ChannelRow, pair: u8, we_owe: bool) -> i128 {
    let Some(terms) = channel.accord.pairs.get(usize::from(pair)) else { return 0 };
    let balance = i128::from(state.balance(&channel.account, terms.booked_unit(channel.we_are_a)));
    let owed = if we_owe { balance } else { balance.saturating_neg() };
    let open = if we_owe { 0 } else { i128::from(channel.open_out.get(&pair).copied().unwrap_or(0)) };
    let proposed = state.settlements.values().filter(|row| {
        row.stage.is_open() && row.stage != Stage::Booked && (row.channel, row.pair) == (*id, pair)
    });
    let proposed = proposed.filter(|row| row.we_owed == we_owe).map(|row| i128::from(row.amount.minor()));
    let back = if we_owe { 0 } else { may_go_back(state, id) };
    let less = [held(state, channel, pair, we_owe), open, proposed.sum(), back];
    less.into_iter().fold(owed, i128::saturating_sub)
}

/// What is booked on a channel and may have to be given back: it is bound nowhere onward.
fn may_go_back(state: &State, id: &StreamId) -> i128 {
    let of = |(key, row): (&(crate::ids::ClaimId, u8), &super::state::ClaimRow)| {
        let hop = row.incoming.get(id).filter(|hop| hop.booked.is_some() && !hop.returned)?;
        let onward = row.outgoing.as_ref().is_some_and(|out| matches!(out.closing, Closing::Done(_)));
        let ours = accepted_on(state, &key.0, key.1, id).is_some();
        let value = hop.booked_value().filter(|_| !onward && !ours)?;
        Some(i128::from(value.position().minor()))
    };
    state.claims.iter().filter_map(of).sum()
}

/// The times of a round follow each other.
pub(super) fn apply_announced(
    state: &State,
    announced: &Announced,
    time_ms: u64,
) -> Result<Vec<Change>, Rejected> {
    let Announced { unit, offers_until_ms: offers, lists_until_ms: lists, votes_until_ms: votes } = announced;
    let in_order = time_ms < *offers && offers < lists && lists < votes;
    if !in_order || *votes > time_ms.saturating_add(MAX_ROUND_MS) {
        return Err(Rejected::RoundTimes);
    }
    if !state.units.values().any(|own| unit.code == own.code && unit.fits(own)) {
        return Err(Rejected::RoundUnit);
    }
    Ok(Vec::new())
}

/// OFFER: a debt that we hold for a round.
pub(super) fn apply_offer(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &ChannelRow,
    args: &OfferArgs,
    lost: bool,
) -> Result<Vec<Change>, Rejected> {
    let we_owe = args.a_owes == channel.we_are_a;
    // Who is owed offers; who owes answers.
    if step.reference.is_some() != we_owe {
        return Err(Rejected::StepForm);
    }
    let terms = channel.accord.pairs.get(usize::from(args.pair));
    let terms = terms.filter(|terms| terms.num == terms.den && terms.foreign.is_none());
    let unit = terms.ok_or(Rejected::NotOneToOne { pair: args.pair })?.unit(channel.we_are_a);
    let row = state.rounds.get(&args.round);
    let key = (args.round, channel.peer);
    let closed = row.is_some_and(|row| row.listed.is_some() || row.unit != unit);
    if closed || state.held.contains_key(&key) {
        return Err(Rejected::RoundState { round: args.round });
    }
    let with_peer = state.held.iter().filter(|((_, peer), row)| *peer == channel.peer && !row.ended);
    if with_peer.count() >= MAX_HELD {
        return Err(Rejected::HeldMany { peer: channel.peer });
    }
    let free = free_debt(state, &step.channel, channel, args.pair, we_owe);
    if i128::from(args.amount.minor()) > free && !lost {
        return Err(Rejected::HeldDebt { amount: args.amount.minor(), free });
    }
    let held = HeldRow { channel: step.channel, pair: args.pair, we_owe, amount: args.amount, ended: false };
    let mut changes = vec![Change::Held(args.round, channel.peer, held)];
    if row.is_none() {
        let row = RoundRow { unit, since: entry.body().seq, listed: None, votes: Vec::new() };
        changes.push(Change::Round(args.round, Box::new(row)));
    }
    Ok(changes)
}

/// DROP_HOLD: a debt is held no more. A result that was accepted is applied all the same when it is committed later.
pub(super) fn apply_drop(
    state: &State,
    channel: &ChannelRow,
    args: DropArgs,
) -> Result<Vec<Change>, Rejected> {
    let row = state.held.get(&(args.round, channel.peer)).filter(|row| !row.ended);
    let row = row.ok_or(Rejected::RoundState { round: args.round })?;
    Ok(vec![Change::Held(args.round, channel.peer, HeldRow { ended: true, ..row.clone() })])
}

/// What we list is what we hold, debt by debt.
pub(super) fn apply_listed(state: &State, entry: &Entry, listed: &Listed) -> Result<Vec<Change>, Rejected> {
    let wrong = Rejected::RoundState { round: listed.round };
    let row = state.rounds.get(&listed.round).filter(|row| row.listed.is_none()).ok_or(wrong)?;
    if !in_order(&listed.lines, false) {
        return Err(Rejected::RoundLines);
    }
    let is_held = |line: &Line| {
        let held = state.held.get(&(listed.round, line.peer)).filter(|row| !row.ended);
        held.is_some_and(|row| (row.we_owe, row.amount) == (line.we_owe, line.amount))
    };
    if !listed.lines.iter().all(is_held) {
        return Err(Rejected::RoundLines);
    }
    let listed_at = Some((entry.leaf(), listed.votes_until_ms));
    Ok(vec![Change::Round(listed.round, Box::new(RoundRow { listed: listed_at, ..row.clone() }))])
}

/// A page has its size and place; what it says is for everybody to check.
pub(super) fn apply_page(page: &ResultPage) -> Result<Vec<Change>, Rejected> {
    let most = MAX_ATTEMPT_BYTES.div_ceil(MAX_PAGE_BYTES);
    let size = (1..=MAX_PAGE_BYTES).contains(&page.bytes.0.len());
    let place = page.page < page.pages && usize::from(page.pages) <= most && page.attempt < MAX_ATTEMPTS;
    if size && place { Ok(Vec::new()) } else { Err(Rejected::RoundPage) }
}

/// Our first word on a result counts; a yes takes from what we owe as much as from what we are owed.
pub(super) fn apply_voted(state: &State, entry: &Entry, voted: &Voted) -> Result<Vec<Change>, Rejected> {
    let wrong = Rejected::RoundState { round: voted.round };
    let row = state.rounds.get(&voted.round).ok_or(wrong.clone())?;
    let (_, until_ms) = row.listed.ok_or(wrong.clone())?;
    let before = |vote: &VoteRow| vote.result == voted.result || vote.attempt == voted.attempt;
    let lost = state.successions.values().any(|succession| succession.base > row.since);
    if row.votes.iter().any(before) || voted.attempt >= MAX_ATTEMPTS || lost {
        return Err(wrong);
    }
    if voted.accepts == voted.reason.is_some() || !in_order(&voted.lines, true) {
        return Err(Rejected::RoundLines);
    }
    let mut row = row.clone();
    if voted.accepts {
        let time_ms = entry.body().time_ms;
        if time_ms > until_ms {
            return Err(Rejected::RoundLate { until_ms, now_ms: time_ms });
        }
        for vote in row.votes.iter_mut().filter(|vote| vote.accepts && vote.aborted.is_none()) {
            vote.aborted = Some(voted.aborted.ok_or(wrong.clone())?);
        }
        check_reductions(state, voted)?;
    } else if !voted.lines.is_empty() || voted.aborted.is_some() {
        return Err(Rejected::RoundLines);
    }
    let line = |line: &Line| LineRow { line: *line, said_ms: None, booked: false };
    row.votes.push(VoteRow {
        attempt: voted.attempt,
        result: voted.result,
        accepts: voted.accepts,
        lines: voted.lines.iter().map(line).collect(),
        aborted: None,
    });
    Ok(vec![Change::Round(voted.round, Box::new(row))])
}

fn check_reductions(state: &State, voted: &Voted) -> Result<(), Rejected> {
    let (mut owing, mut owed) = (0_i128, 0_i128);
    for line in &voted.lines {
        let held = state.held.get(&(voted.round, line.peer));
        let held =
            held.filter(|row| !row.ended && row.we_owe == line.we_owe).map_or(0, |row| row.amount.minor());
        let amount = line.amount.minor();
        if amount > held {
            return Err(Rejected::RoundRange { peer: line.peer, amount, held });
        }
        let sum = if line.we_owe { &mut owing } else { &mut owed };
        *sum = sum.saturating_add(i128::from(amount));
    }
    if owing == owed { Ok(()) } else { Err(Rejected::RoundConservation { owing, owed }) }
}

/// Yes by yes; whose they are is for who reads it to check.
pub(super) fn apply_committed(committed: &Committed) -> Result<Vec<Change>, Rejected> {
    let count = (1..=MAX_PROOFS).contains(&committed.yes.len());
    let ascending = committed.yes.is_sorted_by(|one, next| one.ledger < next.ledger);
    if count && ascending { Ok(Vec::new()) } else { Err(Rejected::RoundLines) }
}

/// APPLY: who owes says it when all have accepted; who is owed answers when it is booked.
pub(super) fn apply_apply(
    state: &State,
    entry: &Entry,
    step: &Step,
    channel: &ChannelRow,
    args: &ApplyArgs,
) -> Result<Vec<Change>, Rejected> {
    let we_owe = args.a_owed == channel.we_are_a;
    if step.reference.is_some() == we_owe {
        return Err(Rejected::StepForm);
    }
    let pair = state.held.get(&(args.round, channel.peer)).map(|row| row.pair);
    if pair != Some(args.pair) {
        return Err(Rejected::RoundState { round: args.round });
    }
    let wanted = Line { peer: channel.peer, we_owe, amount: args.amount };
    let fits = |line: &LineRow| line.line == wanted && line.said_ms.is_none() && line.booked != we_owe;
    let time_ms = entry.body().time_ms;
    with_line(state, &args.round, &args.result, fits, |line| line.said_ms = Some(time_ms))
}

/// Changes one line of what we have accepted.
fn with_line(
    state: &State,
    round: &Hash,
    result: &Hash,
    fits: impl Fn(&LineRow) -> bool,
    change: impl FnOnce(&mut LineRow),
) -> Result<Vec<Change>, Rejected> {
    let wrong = Rejected::RoundState { round: *round };
    let mut row = state.rounds.get(round).cloned().ok_or(wrong.clone())?;
    let vote = row.votes.iter_mut().find(|vote| vote.result == *result && vote.accepts);
    let line = vote.and_then(|vote| vote.lines.iter_mut().find(|line| fits(line))).ok_or(wrong)?;
    change(line);
    Ok(vec![Change::Round(*round, Box::new(row))])
}

/// The postings of a debt that has shrunk.
///
/// # Errors
/// A debt that is not held in a round.
pub fn postings_of(state: &State, round: &Hash, line: &Line) -> Result<Vec<Posting>, Rejected> {
    let wrong = Rejected::RoundState { round: *round };
    let held = state.held.get(&(*round, line.peer)).ok_or(wrong.clone())?;
    let channel = state.channels.get(&held.channel).ok_or(wrong.clone())?;
    let terms = channel.accord.pairs.get(usize::from(held.pair)).ok_or(wrong)?;
    let (peer, netting) = (channel.account, own_accounts::netting());
    let (from, to) = if line.we_owe { (peer, netting) } else { (netting, peer) };
    Ok(move_value(from, to, terms.booked_unit(channel.we_are_a), line.amount))
}

/// Our books after an APPLY. What was held is held no more.
pub(super) fn apply_netted(state: &State, netted: &Netted) -> Result<Vec<Change>, Rejected> {
    let fits = |line: &LineRow| {
        line.line == netted.line && !line.booked && line.said_ms.is_some() == netted.line.we_owe
    };
    let mut changes = with_line(state, &netted.round, &netted.result, fits, |line| line.booked = true)?;
    if netted.postings != postings_of(state, &netted.round, &netted.line)? {
        return Err(Rejected::PostingsDiffer);
    }
    let account = own_accounts::netting();
    if !state.accounts.contains_key(&account) {
        changes.push(Change::Account(account, Account::new(OwnerKind::Own, false)));
    }
    changes.extend(book_postings(state, &netted.postings)?);
    let peer = netted.line.peer;
    if let Some(row) = state.held.get(&(netted.round, peer)) {
        changes.push(Change::Held(netted.round, peer, HeldRow { ended: true, ..row.clone() }));
    }
    Ok(changes)
}

/// What comes off the room that a debt gives us: proposals to settle it, and what rounds hold of it.
pub fn spoken_for(state: &State, channel: &ChannelRow, pair: u8) -> i128 {
    settled::reserved(state, channel, pair).saturating_add(held(state, channel, pair, false))
}
