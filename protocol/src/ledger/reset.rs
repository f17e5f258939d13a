//! RESET of a channel, as far as our own entries decide it (specs/clearing.md §17, specs/kinds.md §17).
//!
//! What must hold: nothing is reset before the notice has run out and our own stream is closed, so what both root sets
//! sign is about what stands still; it takes effect when both ledgers have found it right; a hop that is bound further on is
//! never freed; every row of the old channel goes over to the new one, and what the books lack to the position agreed stands
//! on `disputed`.

use super::authority::Authority;
use super::clearing::{accepted_on, new_in_hop, value_in};
use super::dispute::DisputedHop;
use super::netting::HeldRow;
use super::settled::Stage;
use super::state::{
    Answer, Change, ChannelRow, ClaimRow, Closing, DecisionRow, InHop, Origin, OutHop, State,
};
use super::transfer::{Posting, book_postings};
use super::writeoff::Sums;
use super::{Rejected, SigCheck, own_accounts};
use crate::clearing::accord::{MAX_EXPIRY_MS, channel_id};
use crate::clearing::dispute::DisputeOutcome;
use crate::clearing::rate::HopValue;
use crate::clearing::reset::{Reset, ResetArgs};
use crate::clearing::step::Step;
use crate::clearing::weak::{self, Weak};
use crate::entry::Entry;
use crate::ids::{ClaimId, Hash, LedgerId, StreamId, UnitId};
use crate::keys;
use crate::ledger::clearing::root_signatures_of;
use crate::ledger::identity::Identity;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// A notice runs for at least so long. As long as a claim lives: when a channel is reset, every claim that was proposed
/// over it before the notice has expired, and nobody can pass it on any more.
pub const NOTICE_MS: u64 = MAX_EXPIRY_MS;
/// A notice of a later day is a mistake.
pub const MAX_NOTICE_MS: u64 = 90 * 86_400_000;

/// What is done about a reset, on the public stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum NoticeAct {
    /// The channel is to be reset; new payments over it stop.
    #[n(0)]
    Given,
    /// It is not.
    #[n(1)]
    TakenBack,
    /// The notice has run out and our stream is closed: nothing more is written or taken in on it.
    #[n(2)]
    Closed,
}

/// Payload: a notice that a channel is to be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ResetNotice {
    /// What is done.
    #[n(0)]
    pub act: NoticeAct,
    /// The peer.
    #[n(1)]
    pub peer: LedgerId,
    /// The incarnation that is to end.
    #[n(2)]
    pub n: u32,
    /// Of one that is given: not before this is it reset.
    #[n(3)]
    pub not_before_ms: Option<u64>,
}

/// Payload: our books after a RESET, where they were not what was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ResetBooked {
    /// The peer.
    #[n(0)]
    pub peer: LedgerId,
    /// Leaf hash of our RESET.
    #[n(1)]
    pub reset: Hash,
    /// Between the peer's account and `disputed`.
    #[n(2)]
    pub postings: Vec<Posting>,
}

/// How the channel with a peer stands towards a reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct ResetRow {
    /// The incarnation of the channel.
    #[n(0)]
    pub n: u32,
    /// Our notice.
    #[n(1)]
    pub notice: Option<NoticeRow>,
    /// Id of the last reset.
    #[n(2)]
    pub reset: Option<Hash>,
    /// Leaf hash of our RESET.
    #[n(3)]
    pub leaf: Option<Hash>,
    /// What it moves, while that is not booked.
    #[n(4)]
    pub unbooked: Option<Vec<Posting>>,
    /// Resets that we have offered and that may take effect: ids, and leaf hashes of our RESETs.
    #[n(5)]
    pub offered: Vec<(Hash, Hash)>,
    /// Leaf hash of the last RESET of the peer's that we have refused.
    #[n(6)]
    pub refused: Option<Hash>,
}

impl ResetRow {
    /// Whether we have offered a reset.
    pub fn has_offered(&self, id: &Hash) -> bool {
        self.offered.iter().any(|(offered, _)| offered == id)
    }
}

/// Offers for one incarnation: each but the last was refused, and people have signed another.
pub const MAX_OFFERS: usize = 16;

/// A notice of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct NoticeRow {
    /// When it was given.
    #[n(0)]
    pub time_ms: u64,
    /// Not before this.
    #[n(1)]
    pub not_before_ms: u64,
    /// Whether our stream is closed.
    #[n(2)]
    pub closed: bool,
}

impl State {
    /// The incarnation of the channel with a peer.
    pub fn incarnation(&self, peer: &LedgerId) -> u32 {
        self.resets.get(peer).map_or(0, |row| row.n)
    }

    /// Our notice about the channel with a peer.
    pub fn notice(&self, peer: &LedgerId) -> Option<NoticeRow> {
        self.resets.get(peer).and_then(|row| row.notice)
    }

    /// Whether our stream to a peer is closed: it waits for its RESET.
    pub fn is_closed_for_reset(&self, peer: &LedgerId) -> bool {
        self.notice(peer).is_some_and(|notice| notice.closed)
    }

    /// The channel that would follow a reset of the one with a peer.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn next_channel(&self, peer: &LedgerId) -> Result<StreamId, Rejected> {
        Ok(channel_id(&self.ledger()?, peer, self.incarnation(peer).saturating_add(1)))
    }

    /// The peer with whom a channel would be the next one.
    pub fn peer_of_next(&self, channel: &StreamId) -> Option<LedgerId> {
        let mut peers = self.channels.values().map(|row| row.peer);
        peers.find(|peer| self.next_channel(peer).as_ref() == Ok(channel))
    }

    /// Whether a channel is an earlier incarnation of the one with a peer.
    pub fn is_former_channel(&self, peer: &LedgerId, channel: &StreamId) -> bool {
        let Ok(us) = self.ledger() else { return false };
        (0..self.incarnation(peer)).any(|n| channel_id(&us, peer, n) == *channel)
    }
}

impl InHop {
    /// Whether a RESET of ours has bound it.
    pub fn is_bound_by(&self, reset: &Hash) -> bool {
        self.disputed.is_some_and(|d| (d.leaf, d.outcome) == (*reset, DisputeOutcome::Bound))
    }
}

/// Rules of a notice.
pub(super) fn apply_notice(
    state: &State,
    authority: &Authority,
    time_ms: u64,
    notice: &ResetNotice,
) -> Result<Vec<Change>, Rejected> {
    let peer = notice.peer;
    authority.office_or_roots(state)?;
    state.channel_with(&peer).ok_or(Rejected::NoAccord { peer })?;
    let mut row = state.resets.get(&peer).cloned().unwrap_or_default();
    if notice.n != row.n {
        return Err(Rejected::ResetMismatch { why: "it names another incarnation than the channel has" });
    }
    if notice.not_before_ms.is_some() != (notice.act == NoticeAct::Given) {
        return Err(Rejected::StepForm);
    }
    row.notice = match (notice.act, row.notice) {
        (NoticeAct::Given, None) => {
            let not_before_ms = notice.not_before_ms.unwrap_or_default();
            let allowed = time_ms.saturating_add(NOTICE_MS)..=time_ms.saturating_add(MAX_NOTICE_MS);
            if !allowed.contains(&not_before_ms) {
                return Err(Rejected::NoticeTime { not_before_ms, earliest_ms: *allowed.start() });
            }
            Some(NoticeRow { time_ms, not_before_ms, closed: false })
        }
        (NoticeAct::TakenBack, Some(known)) if !known.closed => None,
        // What we have not offered takes effect nowhere: the root set may open our side again.
        (NoticeAct::TakenBack, Some(_)) if row.offered.is_empty() => {
            authority.roots(state)?;
            None
        }
        (NoticeAct::Closed, Some(known)) if !known.closed => {
            if time_ms < known.not_before_ms {
                let not_before_ms = known.not_before_ms;
                return Err(Rejected::NoticeRuns { peer, not_before_ms });
            }
            Some(NoticeRow { closed: true, ..known })
        }
        (NoticeAct::Given | NoticeAct::TakenBack | NoticeAct::Closed, _) => {
            return Err(Rejected::NothingToDo);
        }
    };
    Ok(vec![Change::Reset(peer, row)])
}

/// The signatures of our own root set inside a RESET.
pub(super) fn signatures(identity: &Identity, args: &ResetArgs) -> Result<Vec<SigCheck>, Rejected> {
    let reset = parse(args)?;
    let (_, we_are_a) = reset.other(&identity.ledger).ok_or(Rejected::ResetMismatch { why: OTHERS })?;
    root_signatures_of(keys::RESET, &identity.root, &args.reset.0, args.sigs_of(we_are_a))
}

const OTHERS: &str = "it is between other networks";

fn parse(args: &ResetArgs) -> Result<Reset, Rejected> {
    Reset::parse(&args.reset.0).map_err(|_| Rejected::ResetMismatch { why: "it cannot be read" })
}

/// RESET_REFUSE: what the peer has offered never takes effect here.
pub(super) fn apply_refusal(state: &State, step: &Step) -> Result<Vec<Change>, Rejected> {
    let peer = state.peer_of_next(&step.channel).ok_or(Rejected::UnknownChannel { channel: step.channel })?;
    let mut row = state.resets.get(&peer).cloned().unwrap_or_default();
    if row.refused == step.reference {
        return Err(Rejected::NothingToDo);
    }
    row.refused = step.reference;
    Ok(vec![Change::Reset(peer, row)])
}

/// RESET, on our new stream. Without a reference it is an offer, and does nothing but bind us to it; with one it takes effect,
/// because the peer has written the same.
pub(super) fn apply_reset(
    state: &State,
    entry: &Entry,
    step: &Step,
    args: &ResetArgs,
    lost: bool,
) -> Result<Vec<Change>, Rejected> {
    let wrong = |why| Rejected::ResetMismatch { why };
    let reset = parse(args)?;
    let us = state.ledger()?;
    let (peer, we_are_a) = reset.other(&us).ok_or(wrong(OTHERS))?;
    let (old, channel) = state.channel_with(&peer).ok_or(Rejected::NoAccord { peer })?;
    let mut row = state.resets.get(&peer).cloned().unwrap_or_default();
    if Some(reset.n) != row.n.checked_add(1) || step.channel != reset.channel() {
        return Err(wrong("it begins another incarnation than the next"));
    }
    if reset.accord != channel.accord_id || we_are_a != channel.we_are_a {
        return Err(wrong("another accord is in force"));
    }
    if reset.positions.len() != channel.accord.pairs.len() {
        return Err(wrong("it has not one position for each unit pair of the accord"));
    }
    if row.unbooked.is_some() && !lost {
        return Err(Rejected::HopState);
    }
    let id = Reset::id(&args.reset.0);
    if step.reference.is_some() && step.reference == row.refused {
        return Err(wrong("we have refused it"));
    }
    // What we have offered stands, whatever we have lost since: the peer may have taken it.
    let mode = match (lost, step.reference.is_some() && row.has_offered(&id)) {
        (true, _) => Mode::Lost,
        (false, true) => Mode::Offered,
        (false, false) => Mode::First,
    };
    if mode == Mode::First {
        if !state.is_closed_for_reset(&peer) {
            return Err(Rejected::ResetNotClosed { peer });
        }
        let ours = state.stream(&old);
        if reset.end_of(we_are_a) != (ours.next, ours.head) {
            return Err(wrong("our old stream ends elsewhere than it says"));
        }
    }
    let mut ending = Ending {
        state,
        reset: &reset,
        leaf: entry.leaf(),
        time_ms: entry.body().time_ms,
        we_are_a,
        old,
        channel,
        mode,
        pending: BTreeMap::new(),
        changes: Vec::new(),
    };
    let unbooked = ending.all(row.unbooked.take())?;
    let Ending { mut changes, .. } = ending;
    if step.reference.is_none() {
        if row.offered.len() >= MAX_OFFERS {
            return Err(wrong("too many were offered"));
        }
        row.offered.push((id, entry.leaf()));
        return Ok(vec![Change::Reset(peer, row)]);
    }
    row.n = reset.n;
    row.notice = None;
    (row.offered, row.refused) = (Vec::new(), None);
    row.reset = Some(id);
    row.leaf = Some(entry.leaf());
    row.unbooked = (!unbooked.is_empty()).then_some(unbooked);
    let begun = ChannelRow {
        acked: step.ack.next,
        introduced: std::collections::BTreeSet::new(),
        open_out: BTreeMap::new(),
        ..channel.clone()
    };
    changes.push(Change::ChannelEnded(old));
    changes.push(Change::Channel(step.channel, Box::new(begun)));
    changes.push(Change::Reset(peer, row));
    Ok(changes)
}

/// Our books after a RESET: once.
pub(super) fn apply_booked(state: &State, booked: &ResetBooked) -> Result<Vec<Change>, Rejected> {
    let row = state.resets.get(&booked.peer).cloned().unwrap_or_default();
    let unbooked = row.unbooked.clone().filter(|_| row.leaf == Some(booked.reset));
    if unbooked.ok_or(Rejected::NothingToDo)? != booked.postings {
        return Err(Rejected::PostingsDiffer);
    }
    let mut changes = book_postings(state, &booked.postings)?;
    changes.push(Change::Reset(booked.peer, ResetRow { unbooked: None, ..row }));
    Ok(changes)
}

/// How a RESET comes to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// For the first time: all that it is about stands still, and is exactly what it says.
    First,
    /// After our own offer, which the peer has taken: it stands whatever we have lost since.
    Offered,
    /// Written before a loss; it comes back.
    Lost,
}

/// The end of a channel, row by row.
struct Ending<'a> {
    state: &'a State,
    reset: &'a Reset,
    leaf: Hash,
    time_ms: u64,
    we_are_a: bool,
    old: StreamId,
    channel: &'a ChannelRow,
    mode: Mode,
    /// What is still to come on the peer's account by entries that follow of themselves, by unit.
    pending: BTreeMap<UnitId, i64>,
    changes: Vec<Change>,
}

impl Ending<'_> {
    /// All rows; gives what is left to post.
    fn all(&mut self, before: Option<Vec<Posting>>) -> Result<Vec<Posting>, Rejected> {
        for ((claim, part), row) in &self.state.claims {
            self.claim(*claim, *part, row)?;
        }
        self.unknown_hops();
        for (claim, row) in self.state.decisions.iter().filter(|(_, row)| row.channel == self.old) {
            let moved = DecisionRow { channel: self.reset.channel(), sseq: 0, ..row.clone() };
            self.changes.push(Change::Decision(*claim, moved));
        }
        self.settlements();
        self.rounds()?;
        let mut sums = Sums::default();
        for posting in before.into_iter().flatten() {
            sums.one(posting.account, posting.unit, posting.delta)?;
        }
        if let Some(off) = self.state.written_off.get(&self.old) {
            for posting in &off.back {
                sums.one(posting.account, posting.unit, posting.delta)?;
            }
            self.changes.push(Change::WriteOff(self.old, None));
        }
        self.positions(&mut sums)?;
        Ok(sums.postings(false))
    }

    /// The books come to the position agreed by what is posted between the peer's account and `disputed`.
    fn positions(&self, sums: &mut Sums) -> Result<(), Rejected> {
        let account = self.channel.account;
        for (pair, agreed) in self.channel.accord.pairs.iter().zip(&self.reset.positions) {
            let unit = pair.booked_unit(self.we_are_a);
            let wanted = if self.we_are_a { *agreed } else { agreed.wrapping_neg() };
            let pending = self.pending.get(&unit).copied().unwrap_or(0);
            let comes = [sums.of(account, unit), pending];
            let after = comes.into_iter().try_fold(self.state.balance(&account, unit), i64::checked_add);
            let lacking = after.and_then(|after| wanted.checked_sub(after));
            let lacking = lacking.ok_or(Rejected::BalanceOverflow { account, unit })?;
            sums.add(own_accounts::disputed(), account, unit, lacking)?;
        }
        Ok(())
    }

    /// `value` comes onto the peer's account, or off it.
    fn comes(&mut self, value: HopValue, onto: bool) -> Result<(), Rejected> {
        let unit = value.exchanged.map_or(value.unit, |exchanged| exchanged.unit);
        let minor = value.position().minor();
        self.comes_in(unit, if onto { minor } else { minor.wrapping_neg() })
    }

    fn comes_in(&mut self, unit: UnitId, minor: i64) -> Result<(), Rejected> {
        let sum = self.pending.entry(unit).or_default();
        let account = self.channel.account;
        *sum = sum.checked_add(minor).ok_or(Rejected::BalanceOverflow { account, unit })?;
        Ok(())
    }

    fn claim(&mut self, claim: ClaimId, part: u8, before: &ClaimRow) -> Result<(), Rejected> {
        let (old, new) = (self.old, self.reset.channel());
        let mut row = before.clone();
        if let Some(out) = row.outgoing.as_mut().filter(|out| out.channel == old) {
            out.channel = new;
            let listed = self.reset.binds(claim, part, self.we_are_a);
            if out.closing == Closing::Open {
                out.closing = if listed { Closing::Done(self.leaf) } else { Closing::Freed(self.leaf) };
            } else if listed && matches!(out.closing, Closing::Freed(_)) && self.mode == Mode::First {
                return Err(Rejected::ResetMismatch { why: "it binds a hop that we have freed" });
            }
            if matches!(out.closing, Closing::Done(_)) && !out.ended {
                let value = out.value();
                self.comes(value, true)?;
            }
        }
        let from_here = Origin::Upstream { channel: old };
        let onward = before.outgoing.as_ref().filter(|out| out.origin == from_here);
        if let Some(out) = row.outgoing.as_mut().filter(|out| out.origin == from_here) {
            out.origin = Origin::Upstream { channel: new };
        }
        if onward.is_some() || before.incoming.contains_key(&old) {
            let hop = row.incoming.remove(&old).unwrap_or_else(new_in_hop);
            let hop = self.incoming(claim, part, hop, onward)?;
            row.incoming.insert(new, hop);
        }
        if row != *before {
            self.changes.push(Change::Claim(claim, part, Box::new(row)));
        }
        Ok(())
    }

    /// A hop that the peer has proposed, as it ends.
    fn incoming(
        &mut self,
        claim: ClaimId,
        part: u8,
        mut hop: InHop,
        onward: Option<&OutHop>,
    ) -> Result<InHop, Rejected> {
        if let Some(value) = hop.booked_value() {
            if hop.return_step.is_some() && !hop.returned {
                self.comes(value, true)?;
            }
            return Ok(hop);
        }
        let listed = self.reset.binds(claim, part, !self.we_are_a);
        if matches!(hop.answer, Answer::Rejected(_)) {
            if listed && self.mode == Mode::First {
                return Err(Rejected::ResetMismatch { why: "it binds a hop that we have turned down" });
            }
            return Ok(hop);
        }
        let decided = accepted_on(self.state, &claim, part, &self.old).is_some();
        let (value, _) = value_in(self.state, &claim, part, &self.old);
        let live = onward.filter(|out| !matches!(out.closing, Closing::Freed(_)) && !out.returned);
        // We have said yes for the network after us, and our hop to it is lost: it may be bound.
        let lost = matches!(hop.answer, Answer::Accepted(_)) && !decided && onward.is_none();
        let bound = match (listed, live.map(|out| out.closing)) {
            (true, _) => true,
            (false, Some(closing)) => self.bound_unnamed(closing)?,
            (false, None) if lost && self.mode == Mode::First => return Err(Rejected::BoundDownstream),
            (false, None) => false,
        };
        let goes_on = value.filter(|_| bound && (decided || onward.is_some()));
        if let Some(value) = goes_on {
            hop.disputed =
                Some(DisputedHop { leaf: self.leaf, outcome: DisputeOutcome::Bound, closed: false });
            self.comes(value, false)?;
            return Ok(hop);
        }
        // What is bound and has nowhere to go comes in on `disputed`, with all else that the books lack.
        hop.answer = Answer::Rejected(self.leaf);
        if decided && !bound {
            hop.disputed =
                Some(DisputedHop { leaf: self.leaf, outcome: DisputeOutcome::Free, closed: false });
        }
        Ok(hop)
    }

    /// Whether a hop that goes on and that the document does not name is bound.
    fn bound_unnamed(&self, onward: Closing) -> Result<bool, Rejected> {
        match (self.mode, onward) {
            _ if weak::is(Weak::ResetAnywhere) => Ok(false),
            // The first to write it never frees what is bound further on.
            (Mode::First, _) => Err(Rejected::BoundDownstream),
            // We have lost that it was booked before.
            (Mode::Offered | Mode::Lost, Closing::Done(_)) => Ok(true),
            // We have lost that it was freed: it will be again.
            (Mode::Offered, _) => Err(Rejected::BoundDownstream),
            (Mode::Lost, _) => Ok(false),
        }
    }

    /// Hops of the peer that are bound and of which we know nothing: nothing ever goes on from them.
    fn unknown_hops(&mut self) {
        let new = self.reset.channel();
        for name in self.reset.bound.iter().filter(|name| name.by_a != self.we_are_a) {
            let known = self.state.leg(&name.claim, name.part);
            let from_here = |out: &OutHop| out.origin == Origin::Upstream { channel: self.old };
            let ours = known.is_some_and(|row| {
                row.incoming.contains_key(&self.old) || row.outgoing.as_ref().is_some_and(from_here)
            });
            if ours {
                continue;
            }
            let expires_ms = self.time_ms.saturating_add(MAX_EXPIRY_MS);
            let empty = || ClaimRow { incoming: BTreeMap::new(), outgoing: None, expires_ms };
            // A hop of our own in the same part has ended above.
            let ended = self.changes.iter().find_map(|change| match change {
                Change::Claim(claim, part, row) if (*claim, *part) == (name.claim, name.part) => Some(&**row),
                _ => None,
            });
            let mut row = ended.or(known).cloned().unwrap_or_else(empty);
            row.incoming.insert(new, InHop { answer: Answer::Rejected(self.leaf), ..new_in_hop() });
            self.changes.push(Change::Claim(name.claim, name.part, Box::new(row)));
        }
    }

    /// What is proposed to be settled ends without effect; what was booked is in the position.
    fn settlements(&mut self) {
        for (id, row) in self.state.settlements.iter().filter(|(_, row)| row.channel == self.old) {
            let stage = match row.stage {
                open if open.is_open() => Stage::Dropped,
                Stage::Accepting => Stage::Accepted,
                Stage::Refusing => Stage::Refused,
                _ => continue,
            };
            let ended = super::settled::SettlementRow { stage, time_ms: self.time_ms, ..row.clone() };
            self.changes.push(Change::Settlement(*id, ended));
        }
    }

    /// What is held for rounds: results that the document names are applied, all else is held no more.
    fn rounds(&mut self) -> Result<(), Rejected> {
        let peer = self.channel.peer;
        for ((round, _), held) in self.state.held.iter().filter(|((_, of), _)| *of == peer) {
            let line = self.named_line(round)?;
            let ended = held.ended || line.is_none();
            let moved = HeldRow { channel: self.reset.channel(), ended, ..held.clone() };
            self.changes.push(Change::Held(*round, peer, moved));
        }
        self.said_lines()?;
        let named: Vec<(Hash, Hash)> = self.reset.rounds.clone();
        for (round, result) in named {
            let known = self.state.rounds.get(&round).cloned();
            let wrong = Rejected::RoundState { round };
            let Some(mut row) = known else {
                if self.mode == Mode::First { return Err(wrong) } else { continue }
            };
            let vote = row.votes.iter_mut().find(|vote| vote.accepts && vote.result == result);
            let line = vote.and_then(|vote| vote.lines.iter_mut().find(|line| line.line.peer == peer));
            let Some(line) = line else {
                if self.mode == Mode::First { return Err(wrong) } else { continue }
            };
            let was_said = line.said_ms.is_some();
            if line.line.we_owe {
                line.said_ms.get_or_insert(self.time_ms);
            }
            let counted = line.line.we_owe && was_said;
            if !line.booked && !counted {
                let minor = line.line.amount.minor();
                let less = if line.line.we_owe { minor.wrapping_neg() } else { minor };
                let held = self.state.held.get(&(round, peer)).ok_or(wrong.clone())?;
                let pair = self.channel.accord.pairs.get(usize::from(held.pair)).ok_or(wrong)?;
                self.comes_in(pair.booked_unit(self.we_are_a), less)?;
            }
            self.changes.push(Change::Round(round, Box::new(row)));
        }
        Ok(())
    }

    /// What we have said to be applied and not booked is booked after it, named or not.
    fn said_lines(&mut self) -> Result<(), Rejected> {
        let peer = self.channel.peer;
        for (round, row) in &self.state.rounds {
            let lines = row.votes.iter().filter(|vote| vote.accepts).flat_map(|vote| &vote.lines);
            let said = |line: &&super::netting::LineRow| {
                line.line.peer == peer && line.line.we_owe && line.said_ms.is_some() && !line.booked
            };
            for line in lines.filter(said) {
                let held = self.state.held.get(&(*round, peer));
                let pair = held.and_then(|held| self.channel.accord.pairs.get(usize::from(held.pair)));
                let pair = pair.ok_or(Rejected::RoundState { round: *round })?;
                self.comes_in(pair.booked_unit(self.we_are_a), line.line.amount.minor().wrapping_neg())?;
            }
        }
        Ok(())
    }

    /// Our line of the result that the document names in a round, while it is not booked.
    fn named_line(&self, round: &Hash) -> Result<Option<()>, Rejected> {
        let row = self.state.rounds.get(round);
        let named = self.reset.rounds.iter().filter(|(of, _)| of == round);
        let is_ours = |result: &Hash| {
            let votes = row.into_iter().flat_map(|row| &row.votes);
            let mut yes = votes.filter(|vote| vote.accepts && vote.result == *result);
            yes.any(|vote| vote.lines.iter().any(|line| line.line.peer == self.channel.peer && !line.booked))
        };
        let ours = named.filter(|(_, result)| is_ours(result)).count();
        if ours > 1 {
            return Err(Rejected::RoundState { round: *round });
        }
        Ok((ours == 1).then_some(()))
    }
}
