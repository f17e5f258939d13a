//! Resets as they come about: what each side knows, the document made of both, handing it in, following the peer's
//! (specs/clearing.md §17).
//!
//! What must hold: a document is made of two sides that stand still; one side offers it, the other takes it or refuses it, once
//! and by itself, and what was taken takes effect at both whatever was lost since; nothing that may be bound further on is
//! freed while a peer that knows of it has not answered our guard.

use super::engine::{Cx, Engine};
use super::reset::{
    HeardReset, HopName, MAX_BOUND, MAX_RESET_ROUNDS, RESET_VERSION, RefuseArgs, RefuseCode, Reset, ResetArgs,
};

use super::peers::PeerStream;
use super::step::StepArgs;
use crate::encoding::{EncodingError, decode_canonical, encode};
use crate::entry::Payload;
use crate::ids::{ClaimId, Hash, LedgerId, StreamId};
use crate::keys;
use crate::ledger::Rejected;
use crate::ledger::clearing::{accepted_on, root_signatures_of, value_in};
use crate::ledger::identity::Identity;
use crate::ledger::reset::{NoticeAct, ResetBooked, ResetNotice};
use crate::ledger::settlement::positions;
use crate::ledger::state::{Answer, ChannelRow, ClaimRow, Closing, Origin};
use crate::netting::round::view::Outcome;
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;

/// Cap of a side's bytes.
pub const MAX_SIDE_BYTES: usize = 64 * 1_024;
/// Hops of a side: of those that are booked the newest.
const MAX_LINES: usize = 1_000;

/// How a hop stands on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Stand {
    /// We have proposed it and neither bound nor freed it.
    #[n(0)]
    Open,
    /// The peer has proposed it; nothing of it is bound here.
    #[n(1)]
    Loose,
    /// The peer has proposed it, and it is bound or undecided further on, or may be.
    #[n(2)]
    Onward,
    /// The peer has proposed it, and we have decided it with yes.
    #[n(3)]
    Decided,
    /// The peer has proposed it, and it is booked.
    #[n(4)]
    Booked,
}

/// A hop as one side knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SideLine {
    /// Which.
    #[n(0)]
    pub name: HopName,
    /// In which unit pair.
    #[n(1)]
    pub pair: u8,
    /// How much, in its position unit; 0 where that is not known.
    #[n(2)]
    pub amount: u64,
    /// How it stands.
    #[n(3)]
    pub stand: Stand,
}

/// A debt in a netting round that all have accepted and that is not booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SideRound {
    /// Which round.
    #[n(0)]
    pub round: Hash,
    /// Which result.
    #[n(1)]
    pub result: Hash,
    /// In which unit pair.
    #[n(2)]
    pub pair: u8,
    /// Whether A owes it.
    #[n(3)]
    pub a_owes: bool,
    /// By how much it shrinks.
    #[n(4)]
    pub amount: u64,
}

/// What one side knows of a channel that it has closed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ResetSide {
    /// [`RESET_VERSION`].
    #[n(0)]
    pub v: u8,
    /// Whose side.
    #[n(1)]
    pub ledger: LedgerId,
    /// The other network.
    #[n(2)]
    pub peer: LedgerId,
    /// The incarnation that ends.
    #[n(3)]
    pub n: u32,
    /// Id of the accord in force.
    #[n(4)]
    pub accord: Hash,
    /// Whether this side is A of it.
    #[n(5)]
    pub is_a: bool,
    /// Where its stream ends.
    #[n(6)]
    pub end: (u64, Hash),
    /// What is owed by its books, by unit pair: above zero A owes B.
    #[n(7)]
    pub positions: Vec<i64>,
    /// Hops, by name.
    #[n(8)]
    pub lines: Vec<SideLine>,
    /// Debts netted and not booked.
    #[n(9)]
    pub rounds: Vec<SideRound>,
    /// The last statement that both have signed: its order, and its leaf hash.
    #[n(10)]
    pub statement: Option<(u64, Hash)>,
}

/// Why two sides give no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SideError {
    /// The bytes.
    #[error("it cannot be read: {0}")]
    Encoding(#[from] EncodingError),
    /// Another version.
    #[error("it has version {got}; this program knows version {RESET_VERSION}")]
    Version {
        /// The version.
        got: u8,
    },
    /// Sides of different channels.
    #[error("the two sides are not of one channel: another network, incarnation or accord")]
    NotOfOne,
    /// The two come to different positions, and nobody has said which counts.
    #[error(
        "the two sides come to different positions, {ours:?} here and {theirs:?} there: say which is agreed"
    )]
    Differ {
        /// Ours.
        ours: Vec<i64>,
        /// The other side's.
        theirs: Vec<i64>,
    },
    /// A number of positions that the accord does not have.
    #[error("{got} positions were given, the accord has {need} unit pairs")]
    Pairs {
        /// Given.
        got: usize,
        /// Needed.
        need: usize,
    },
    /// More than one document holds.
    #[error(
        "{hops} hops and {rounds} netting results would be bound, at most {MAX_BOUND} and {MAX_RESET_ROUNDS} can: settle some by dispute first"
    )]
    TooMany {
        /// Hops.
        hops: usize,
        /// Results.
        rounds: usize,
    },
    /// A hop that is to be free is bound further on.
    #[error("payment {claim} is bound further on and cannot be freed")]
    BoundOnward {
        /// Which.
        claim: ClaimId,
    },
}

impl ResetSide {
    /// Reads a side.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, SideError> {
        let side: Self = decode_canonical(bytes, MAX_SIDE_BYTES)?;
        match side.v {
            RESET_VERSION => Ok(side),
            got => Err(SideError::Version { got }),
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    fn stand(&self, name: &HopName) -> Option<Stand> {
        self.lines.iter().find(|line| line.name == *name).map(|line| line.stand)
    }

    /// The position that this side's books come to when these hops are bound, all others free, and these results applied.
    fn comes_to(&self, bound: &BTreeSet<HopName>, rounds: &BTreeSet<(Hash, Hash)>) -> Vec<i64> {
        let mut positions = self.positions.clone();
        let mut add = |pair: u8, amount: u64, a_owes_more: bool| {
            if let Some(position) = positions.get_mut(usize::from(pair)) {
                let amount = amount.cast_signed();
                *position = position.wrapping_add(if a_owes_more { amount } else { amount.wrapping_neg() });
            }
        };
        for line in self.lines.iter().filter(|line| bound.contains(&line.name)) {
            match line.stand {
                Stand::Open | Stand::Onward | Stand::Decided => {
                    add(line.pair, line.amount, line.name.by_a);
                }
                // What has nowhere to go is not in its books.
                Stand::Loose | Stand::Booked => {}
            }
        }
        for one in self.rounds.iter().filter(|one| rounds.contains(&(one.round, one.result))) {
            add(one.pair, one.amount, !one.a_owes);
        }
        positions
    }

    /// What both root sets would sign. `agreed` says what is owed where the two sides differ; `free` names payments that we or
    /// they have decided and give up.
    ///
    /// # Errors
    /// Why there is no such document.
    pub fn with(&self, theirs: &Self, agreed: Option<&[i64]>, free: &[ClaimId]) -> Result<Reset, SideError> {
        let of_one = (self.ledger, self.peer, self.is_a) == (theirs.peer, theirs.ledger, !theirs.is_a)
            && (self.n, self.accord, self.positions.len())
                == (theirs.n, theirs.accord, theirs.positions.len());
        if !of_one {
            return Err(SideError::NotOfOne);
        }
        let mut bound = BTreeSet::new();
        for (creditor, debtor) in [(self, theirs), (theirs, self)] {
            for line in creditor.lines.iter().filter(|line| line.name.by_a == debtor.is_a) {
                let wanted_free = free.contains(&line.name.claim);
                let binds = match line.stand {
                    Stand::Open | Stand::Loose => false,
                    Stand::Onward if wanted_free => {
                        return Err(SideError::BoundOnward { claim: line.name.claim });
                    }
                    Stand::Onward => true,
                    Stand::Decided => !wanted_free,
                    Stand::Booked => debtor.stand(&line.name) == Some(Stand::Open),
                };
                if binds {
                    bound.insert(line.name);
                }
            }
        }
        let rounds: BTreeSet<(Hash, Hash)> =
            self.rounds.iter().chain(&theirs.rounds).map(|one| (one.round, one.result)).collect();
        if bound.len() > MAX_BOUND || rounds.len() > MAX_RESET_ROUNDS {
            return Err(SideError::TooMany { hops: bound.len(), rounds: rounds.len() });
        }
        let (ours, others) = (self.comes_to(&bound, &rounds), theirs.comes_to(&bound, &rounds));
        let positions = match agreed {
            Some(agreed) if agreed.len() == ours.len() => agreed.to_vec(),
            Some(agreed) => return Err(SideError::Pairs { got: agreed.len(), need: ours.len() }),
            None if ours == others => ours,
            None => return Err(SideError::Differ { ours, theirs: others }),
        };
        let (a, b) = if self.is_a { (self, theirs) } else { (theirs, self) };
        Ok(Reset {
            v: RESET_VERSION,
            a: a.ledger,
            b: b.ledger,
            n: self.n.saturating_add(1),
            accord: self.accord,
            end_a: a.end,
            end_b: b.end,
            positions,
            bound: bound.into_iter().collect(),
            rounds: rounds.into_iter().collect(),
            statement: self.statement.max(theirs.statement).map(|(_, leaf)| leaf),
        })
    }
}

impl Engine {
    /// A notice about the channel with a peer, for somebody with the office to sign.
    ///
    /// # Errors
    /// No accord.
    pub fn reset_notice(
        &self,
        peer: &LedgerId,
        act: NoticeAct,
        not_before_ms: Option<u64>,
    ) -> Result<ResetNotice, Rejected> {
        self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        Ok(ResetNotice { act, peer: *peer, n: self.state.incarnation(peer), not_before_ms })
    }

    /// Our side of a channel that we have closed.
    ///
    /// # Errors
    /// It is not closed, or a result of a netting round that we have accepted is still open.
    pub fn reset_side(&self, peer: &LedgerId) -> Result<ResetSide, Rejected> {
        let (id, row) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        if !self.state.is_closed_for_reset(peer) {
            return Err(Rejected::ResetNotClosed { peer: *peer });
        }
        self.check_all_answered(&id)?;
        let ours = self.state.stream(&id);
        let agreed = self.standing(peer)?.agreed;
        Ok(ResetSide {
            v: RESET_VERSION,
            ledger: self.state.ledger()?,
            peer: *peer,
            n: self.state.incarnation(peer),
            accord: row.accord_id,
            is_a: row.we_are_a,
            end: (ours.next, ours.head),
            positions: positions(&self.state, row),
            lines: self.side_lines(&id, row)?,
            rounds: self.side_rounds(row),
            statement: agreed.map(|stated| (stated.order().0, stated.stmt)),
        })
    }

    fn side_lines(&self, id: &StreamId, row: &ChannelRow) -> Result<Vec<SideLine>, Rejected> {
        let rows = self.state.claims.iter();
        let lines = rows.flat_map(|((claim, part), claim_row)| {
            let ours = self.line_out(id, row, (*claim, *part), claim_row);
            ours.into_iter().chain(self.line_in(id, row, (*claim, *part), claim_row))
        });
        let (mut booked, mut lines): (Vec<_>, Vec<_>) =
            lines.partition(|(_, line)| line.stand == Stand::Booked);
        booked.sort_by_key(|(until_ms, _)| std::cmp::Reverse(*until_ms));
        if lines.len() > MAX_LINES {
            let why = "more hops are open than can be listed: close some by dispute first";
            return Err(Rejected::ResetMismatch { why });
        }
        lines.extend(booked);
        lines.truncate(MAX_LINES);
        let mut lines: Vec<SideLine> = lines.into_iter().map(|(_, line)| line).collect();
        lines.sort_by_key(|line| line.name);
        Ok(lines)
    }

    fn line_out(
        &self,
        id: &StreamId,
        channel: &ChannelRow,
        (claim, part): (ClaimId, u8),
        row: &ClaimRow,
    ) -> Option<(u64, SideLine)> {
        let out = row.outgoing.as_ref().filter(|out| out.channel == *id && out.closing == Closing::Open)?;
        let name = HopName { claim, part, by_a: channel.we_are_a };
        let amount = out.value().position().minor().unsigned_abs();
        Some((row.expires_ms, SideLine { name, pair: out.pair, amount, stand: Stand::Open }))
    }

    fn line_in(
        &self,
        id: &StreamId,
        channel: &ChannelRow,
        (claim, part): (ClaimId, u8),
        row: &ClaimRow,
    ) -> Option<(u64, SideLine)> {
        let from_here = Origin::Upstream { channel: *id };
        let onward = row.outgoing.as_ref().filter(|out| out.origin == from_here);
        let hop = row.incoming.get(id);
        if hop.is_none() && onward.is_none() {
            return None;
        }
        let decided = accepted_on(&self.state, &claim, part, id).is_some();
        let answer = hop.map_or(Answer::None, |hop| hop.answer);
        let lost = matches!(answer, Answer::Accepted(_)) && !decided && onward.is_none();
        let live =
            onward.is_some_and(|out| !matches!(out.closing, Closing::Freed(_)) && !out.returned) || lost;
        let booked = hop.and_then(|hop| hop.booked_value());
        let stand = match (booked.is_some(), answer) {
            (true, _) => Stand::Booked,
            (false, Answer::Rejected(_)) => return None,
            (false, _) if live => Stand::Onward,
            (false, _) if decided => Stand::Decided,
            (false, _) => Stand::Loose,
        };
        let value = booked.or(value_in(&self.state, &claim, part, id).0);
        let unit = value.map(|value| value.unit);
        let of_unit = |pair: &crate::clearing::accord::UnitPair| Some(pair.unit(channel.we_are_a)) == unit;
        let pair = channel.accord.pairs.iter().position(of_unit).and_then(|pair| u8::try_from(pair).ok());
        let amount = value.map_or(0, |value| value.position().minor().unsigned_abs());
        let name = HopName { claim, part, by_a: !channel.we_are_a };
        Some((row.expires_ms, SideLine { name, pair: pair.unwrap_or(0), amount, stand }))
    }

    /// Results that all have accepted and that are not booked here.
    fn side_rounds(&self, channel: &ChannelRow) -> Vec<SideRound> {
        let mut found = Vec::new();
        for (round, row) in &self.state.rounds {
            for vote in row.votes.iter().filter(|vote| vote.accepts && vote.aborted.is_none()) {
                let line = vote.lines.iter().find(|line| line.line.peer == channel.peer && !line.booked);
                let (Some(line), Some(held)) = (line, self.state.held.get(&(*round, channel.peer))) else {
                    continue;
                };
                match self.outcome(round, vote) {
                    Some(Outcome::Committed) => found.push(SideRound {
                        round: *round,
                        result: vote.result,
                        pair: held.pair,
                        a_owes: line.line.we_owe == channel.we_are_a,
                        amount: line.line.amount.minor().unsigned_abs(),
                    }),
                    // One that is committed later is applied over the new channel.
                    Some(Outcome::Aborted(_) | Outcome::Open) | None => {}
                }
            }
        }
        found
    }

    /// Hands in what both root sets have signed, at either node: it is offered to the other, which takes or refuses it by
    /// itself.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed. Asked again it changes nothing.
    pub fn reset(&mut self, args: ResetArgs, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let wrong = |why| Rejected::ResetMismatch { why };
        let reset = Reset::parse(&args.reset.0).map_err(|_| wrong("it cannot be read"))?;
        let us = self.state.ledger()?;
        let (peer, we_are_a) = reset.other(&us).ok_or(wrong("it is between other networks"))?;
        let id = Reset::id(&args.reset.0);
        if self.state.resets.get(&peer).is_some_and(|row| row.reset == Some(id)) {
            return Ok(());
        }
        let row = self.state.resets.get(&peer).cloned().unwrap_or_default();
        if row.has_offered(&id) {
            return Ok(());
        }
        signed(self.state.identity()?, &args, we_are_a)?;
        let theirs = self.peers.identity(&peer).ok_or(Rejected::NotIntroduced { ledger: peer })?;
        signed(theirs, &args, !we_are_a)?;
        let heard = self.peers.stream(&reset.channel()).and_then(|stream| stream.reset());
        let same = heard.filter(|heard| Reset::id(&heard.args.reset.0) == id).map(|heard| heard.leaf);
        if same.is_none() && self.is_offering(&peer) {
            return Err(wrong("another one is offered, and the other network has not answered it"));
        }
        let same = same.filter(|leaf| row.refused != Some(*leaf));
        self.begin_anew(&reset, args, same, cx)
    }

    /// Whether we have offered a reset that the peer has not refused.
    fn is_offering(&self, peer: &LedgerId) -> bool {
        let Ok(next) = self.state.next_channel(peer) else { return false };
        let refused = self.peers.stream(&next).and_then(|stream| stream.refused()).map(|(leaf, _)| leaf);
        let last = self.state.resets.get(peer).and_then(|row| row.offered.last());
        last.is_some_and(|(_, leaf)| Some(*leaf) != refused)
    }

    /// Writes our RESET: an offer, or, after the peer's, what takes effect, with all that follows from it.
    fn begin_anew(
        &mut self,
        reset: &Reset,
        args: ResetArgs,
        peers: Option<Hash>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let old = reset.old_channel();
        self.check_all_answered(&old)?;
        if self.hushed.contains(&old) && !self.answered.contains(&old) {
            let peer = self.state.channels.get(&old).map_or(LedgerId::ZERO, |row| row.peer);
            return Err(Rejected::NotHeard { peer });
        }
        if peers.is_some() {
            // What has come before is booked by what it says, not by the document.
            self.react_on(&old, cx);
        }
        let (channel, id) = (reset.channel(), Reset::id(&args.reset.0));
        let about = Hash::of("", &[id.as_bytes(), peers.unwrap_or(Hash::ZERO).as_bytes()]);
        self.step_about(channel, (None, 0), peers, StepArgs::Reset(Box::new(args)), about.as_bytes(), cx)?;
        if peers.is_none() {
            return Ok(());
        }
        self.hushed.remove(&old);
        self.book_resets(cx);
        self.react_on(&channel, cx);
        self.look_at_rounds(cx);
        Ok(())
    }

    /// Looks at every claim that has a hop on a channel.
    fn react_on(&mut self, channel: &StreamId, cx: &mut Cx<'_>) {
        let on_it = |row: &ClaimRow| {
            row.incoming.contains_key(channel)
                || row.outgoing.as_ref().is_some_and(|out| out.channel == *channel)
        };
        let rows = self.state.claims.iter().filter(|(_, row)| on_it(row));
        let mut touched: BTreeSet<ClaimId> = rows.map(|((claim, _), _)| *claim).collect();
        let said = self.peers.stream(channel).map(PeerStream::said_claims).unwrap_or_default();
        touched.extend(said);
        touched.iter().for_each(|claim| self.react(claim, cx));
    }

    /// A hop that goes on to a peer which has not answered our guard may be bound there, and nobody here knows.
    fn check_all_answered(&self, old: &StreamId) -> Result<(), Rejected> {
        let mut others = self.hushed.iter().filter(|id| *id != old);
        let other = others.find_map(|id| self.state.channels.get(id));
        match other {
            Some(row) if self.has_open_proposal(old) => Err(Rejected::NotHeard { peer: row.peer }),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the peer has proposed a hop on a channel, by its words or by our rows, that is neither booked nor turned down.
    fn has_open_proposal(&self, old: &StreamId) -> bool {
        let is_open = |row: Option<&ClaimRow>| {
            let hop = row.and_then(|row| row.incoming.get(old));
            hop.is_none_or(|hop| hop.booked.is_none() && !matches!(hop.answer, Answer::Rejected(_)))
        };
        let said = self.peers.stream(old).map(PeerStream::open_legs).unwrap_or_default();
        let from_here = Origin::Upstream { channel: *old };
        let on_channel = |row: &ClaimRow| {
            row.incoming.contains_key(old) || row.outgoing.as_ref().is_some_and(|out| out.origin == from_here)
        };
        let rows = self.state.claims.values().filter(|row| on_channel(row));
        said.iter().any(|leg| is_open(self.state.leg(&leg.claim, leg.part)))
            || rows.into_iter().any(|row| is_open(Some(row)))
    }

    /// Takes or refuses what peers offer, follows what they have taken, and books what resets have left to book.
    pub(super) fn look_at_resets(&mut self, cx: &mut Cx<'_>) {
        if self.quiet {
            return;
        }
        let peers: Vec<LedgerId> = self.state.channels.values().map(|row| row.peer).collect();
        for peer in peers {
            // What stands against it comes from other peers, or is for people; it is tried again at the next look.
            let _ = self.answer_reset(&peer, cx);
        }
        self.book_resets(cx);
    }

    fn answer_reset(&mut self, peer: &LedgerId, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let next = self.state.next_channel(peer)?;
        let heard = self.peers.stream(&next).and_then(|stream| stream.reset().cloned());
        let Some(HeardReset { leaf, args, in_effect }) = heard else { return Ok(()) };
        let wrong = |why| Rejected::ResetMismatch { why };
        let reset = Reset::parse(&args.reset.0).map_err(|_| wrong("it cannot be read"))?;
        let row = self.state.resets.get(peer).cloned().unwrap_or_default();
        if row.has_offered(&Reset::id(&args.reset.0)) {
            return self.begin_anew(&reset, args, Some(leaf), cx);
        }
        // What has taken effect there was offered here, and comes back from the peer if it was lost.
        if in_effect || row.refused == Some(leaf) || !self.state.is_closed_for_reset(peer) {
            return Ok(());
        }
        let we_are_a = reset.other(&self.state.ledger()?).is_some_and(|(_, we_are_a)| we_are_a);
        let code = if self.is_offering(peer) {
            // Of two offers that cross B's stands.
            if we_are_a {
                return Ok(());
            }
            RefuseCode::OtherOffer
        } else {
            match self.begin_anew(&reset, args, Some(leaf), cx) {
                Err(Rejected::BoundDownstream) => RefuseCode::BoundOnward,
                Err(
                    Rejected::ResetMismatch { .. }
                    | Rejected::RoundState { .. }
                    | Rejected::RootQuorum { .. }
                    | Rejected::UnknownSigner { .. }
                    | Rejected::Signature(_),
                ) => RefuseCode::Mismatch,
                taken => return taken,
            }
        };
        let refusal = StepArgs::ResetRefuse(RefuseArgs { code });
        self.step_about(next, (None, 0), Some(leaf), refusal, leaf.as_bytes(), cx)
    }

    fn book_resets(&mut self, cx: &mut Cx<'_>) {
        let rows = self.state.resets.iter();
        let unbooked: Vec<_> =
            rows.filter_map(|(peer, row)| Some((*peer, row.leaf?, row.unbooked.clone()?))).collect();
        for (peer, reset, postings) in unbooked {
            let payload = Payload::ResetBooked(ResetBooked { peer, reset, postings });
            // Our own books do not stand against it; should they, it is tried again at the next look.
            let _ = self.own(payload, peer.as_bytes(), reset.as_bytes(), 0, cx);
        }
    }

    /// Whether our side of a channel is closed: nothing is written on it before its reset.
    pub(super) fn is_still(&self, channel: &StreamId) -> bool {
        let row = self.state.channels.get(channel);
        row.is_some_and(|row| self.state.is_closed_for_reset(&row.peer))
    }

    /// Leaf hash of our RESET with which a channel began.
    pub(super) fn reset_leaf(&self, channel: &StreamId) -> Option<Hash> {
        let row = self.state.channels.get(channel)?;
        self.state.resets.get(&row.peer)?.leaf
    }

    /// Whether new payments may go over a channel as far as resets go.
    pub(super) fn check_not_resetting(&self, id: &StreamId, peer: &LedgerId) -> Result<(), Rejected> {
        if self.state.notice(peer).is_some() {
            return Err(Rejected::ResetNoticed { peer: *peer, by_us: true });
        }
        if self.peers.notice_of(&self.state, peer).is_some() {
            return Err(Rejected::ResetNoticed { peer: *peer, by_us: false });
        }
        let heard = self.peers.stream(id).and_then(|stream| stream.reset());
        if self.state.incarnation(peer) > 0 && !heard.is_some_and(|heard| heard.in_effect) {
            return Err(Rejected::ResetWaits { peer: *peer });
        }
        Ok(())
    }
}

fn signed(identity: &Identity, args: &ResetArgs, is_a: bool) -> Result<(), Rejected> {
    let checks = root_signatures_of(keys::RESET, &identity.root, &args.reset.0, args.sigs_of(is_a))?;
    checks.iter().try_for_each(|check| check.verify().map_err(Rejected::Signature))
}
