//! A netting round as a network goes through it (specs/netting.md §7 to §10): offers and answers, its list, the results
//! of who announced it, its vote, and what it applies.
//!
//! What must hold: each look takes what follows from what is recorded, so after a crash it does the same; nothing is
//! accepted that does not verify here, nothing applied that not all have accepted.

use super::engine::{Cx, Engine};
use super::offer::{ApplyArgs, DropArgs, OfferArgs};
use super::peers::Peers;
use super::step::StepArgs;
use crate::amount::Amount;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, LedgerId, StreamId, UnitId};
use crate::ledger::netting::{self, LineRow, VoteRow};
use crate::ledger::state::{ChannelRow, State};
use crate::ledger::{Rejected, clearing::log_epoch};
use crate::netting::round::attempt::{Attempt, Reading, Set, Unread, solve};
use crate::netting::round::view::{Announcement, Outcome, Rounds};
use crate::netting::round::{
    Announced, Committed, Line, Listed, MAX_LINES, MAX_PAGE_BYTES, MAX_PROOFS, Netted, RefusalReason,
    ResultPage, RoundUnit, Voted, Yes, sign_vote,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who has applied a debt and hears nothing for so long shows the peer that all have accepted: somebody may have told it
/// otherwise.
pub const SHOW_AFTER_MS: u64 = 60_000;

/// What is accepted: the lines of our debts, and the refusal that has ended an earlier yes of ours.
type Accepted = (Vec<Line>, Option<Hash>);

/// What people want in one round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whether our debts take part.
    pub joins: Option<bool>,
    /// Whether a right result is accepted.
    pub accepts: Option<bool>,
    /// What is held and open may be dropped.
    pub drops: bool,
}

/// What people want in netting rounds. It is not recorded: what follows from it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Will {
    /// Debts take part in every round.
    pub joins: bool,
    /// Right results are accepted.
    pub accepts: bool,
    /// What is wanted in one round.
    pub of_round: BTreeMap<Hash, Wish>,
}

impl Will {
    fn joins(&self, round: &Hash) -> bool {
        self.of_round.get(round).and_then(|wish| wish.joins).unwrap_or(self.joins)
    }
    fn accepts(&self, round: &Hash) -> Option<bool> {
        self.of_round.get(round).and_then(|wish| wish.accepts).or(self.accepts.then_some(true))
    }
    fn drops(&self, round: &Hash) -> bool {
        self.of_round.get(round).is_some_and(|wish| wish.drops)
    }
}

impl Peers {
    /// What a public entry of another network says about rounds.
    pub(super) fn hear_of_rounds(&mut self, entry: &Entry) {
        if let Some(identity) = self.identity(&entry.body().ledger).cloned() {
            self.rounds.absorb(&identity, entry);
        }
        if let Payload::Committed(proof) = &entry.op().payload {
            let mut rounds = std::mem::take(&mut self.rounds);
            rounds.absorb_proof(proof, |ledger| self.identity(ledger));
            self.rounds = rounds;
        }
    }

    /// What an entry of ours says about rounds.
    pub(super) fn tell_of_rounds(&mut self, state: &State, entry: &Entry) {
        let Some(identity) = &state.identity else { return };
        self.rounds.are_of(identity.ledger);
        self.rounds.absorb(identity, entry);
        if let Payload::Committed(proof) = &entry.op().payload {
            self.rounds.have_shown(proof);
        }
        if let Payload::Netted(netted) = &entry.op().payload
            && let Some((id, _)) = state.channel_with(&netted.line.peer)
            && let Some(stream) = self.stream_mut(&id)
        {
            stream.netting.applies.remove(&netted.result);
        }
    }

    /// Netting rounds, as the public streams tell them.
    pub fn rounds(&self) -> &Rounds {
        &self.rounds
    }
}

impl Engine {
    /// Sets what people want in netting rounds; the next look does what follows.
    pub fn want(&mut self, will: Will) {
        self.will = will;
    }

    /// What people want in netting rounds.
    pub fn will(&self) -> &Will {
        &self.will
    }

    /// Announces a round; its id is returned.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub fn announce(&mut self, announced: Announced, cx: &mut Cx<'_>) -> Result<Hash, Rejected> {
        let about = self.state.head.next_seq.to_be_bytes();
        self.own(Payload::Announced(announced), &[], &about, 0, cx)?;
        let id = self.state.head.leaf;
        self.look_at_rounds(cx);
        Ok(id)
    }

    /// Whether a peer has applied on this channel what we do not know to be accepted by all.
    pub(super) fn awaits_commit(&self, id: &StreamId) -> bool {
        self.peers.stream(id).is_some_and(|stream| !stream.netting.applies.is_empty())
    }

    /// Does everything that netting rounds ask of us now.
    pub(super) fn look_at_rounds(&mut self, cx: &mut Cx<'_>) {
        if self.quiet {
            return;
        }
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        let known = self.peers.rounds.all().iter();
        let known = known.filter_map(|(id, round)| Some((*id, round.announced.clone()?)));
        let active =
            |(id, said): &(Hash, Announcement)| now_ms <= said.says.votes_until_ms || self.is_unfinished(id);
        let active: Vec<(Hash, Announcement)> = known.filter(active).collect();
        for (id, said) in active {
            // What cannot be written now is tried again at the next look; each part stands for itself.
            let _ = self.offer_for(&id, &said.says, now_ms, cx);
            let _ = self.list_for(&id, &said.says, now_ms, cx);
            let _ = self.compute(&id, &said, now_ms, cx);
            let _ = self.vote_on(&id, now_ms, cx);
            let _ = self.apply_of(&id, cx);
            let _ = self.show_commits(&id, now_ms, cx);
            let _ = self.drop_of(&id, &said.says, now_ms, cx);
        }
    }

    /// Whether something of a round is left to do here: a debt is held, or what we have accepted may still be applied.
    pub fn is_unfinished(&self, id: &Hash) -> bool {
        let held = self.state.held.range((*id, LedgerId::ZERO)..).take_while(|((round, _), _)| round == id);
        let votes = self.state.rounds.get(id).into_iter().flat_map(|row| &row.votes);
        let open = |vote: &&VoteRow| {
            vote.accepts && vote.lines.iter().any(|line| !line.booked || line.said_ms.is_none())
        };
        held.into_iter().any(|(_, row)| !row.ended)
            || self.has_no_word(id)
            || votes.filter(open).any(|vote| !matches!(self.outcome(id, vote), Some(Outcome::Aborted(_))))
    }

    /// Whether a result of a round that touches us waits for our word: others hold their debts until they have it.
    fn has_no_word(&self, id: &Hash) -> bool {
        let row = self.state.rounds.get(id).filter(|row| row.listed.is_some());
        let (Some(row), Ok(us)) = (row, self.state.ledger()) else { return false };
        let attempts = self.peers.rounds.get(id).map_or(0, |round| round.attempts());
        let mut open = (0..attempts).filter(|n| !row.votes.iter().any(|vote| vote.attempt == *n));
        open.any(|attempt| {
            let reading = self.peers.rounds.read_kept(id, attempt);
            reading.is_ok_and(|reading| reading.component_of(&us).is_some())
        })
    }

    /// Our unit of a round.
    pub fn round_unit(&self, unit: &RoundUnit) -> Option<UnitId> {
        let exact = self.state.units.iter().find(|(_, own)| unit.fits(own) && own.code == unit.code);
        exact.or_else(|| self.state.units.iter().find(|(_, own)| unit.fits(own))).map(|(id, _)| *id)
    }

    /// Whether debts with a peer can be offered: a pause or an end stops payments, not what makes debts smaller.
    fn may_offer(&self, channel: &StreamId, peer: &LedgerId) -> bool {
        let both = self.peers.stream(channel).is_some_and(|stream| stream.accord_id.is_some());
        both && !self.is_banned(peer) && !self.is_frozen(peer) && !self.hushed.contains(channel)
    }

    /// Debts that can take part in a round of this unit: channel, unit pair, whether we owe, and how much.
    pub fn nettable(&self, unit: UnitId) -> Vec<(StreamId, LedgerId, u8, bool, i64)> {
        let pair_of = |row: &ChannelRow| {
            let place = row.accord.pairs.iter().position(|terms| {
                terms.unit(row.we_are_a) == unit && terms.num == terms.den && terms.foreign.is_none()
            });
            place.and_then(|place| u8::try_from(place).ok())
        };
        let debt = |(id, row): (&StreamId, &ChannelRow)| {
            let pair = pair_of(row)?;
            [true, false].into_iter().find_map(|we_owe| {
                let free = netting::free_debt(&self.state, id, row, pair, we_owe);
                let free = i64::try_from(free).ok().filter(|free| *free > 0)?;
                Some((*id, row.peer, pair, we_owe, free))
            })
        };
        self.state.channels.iter().filter_map(debt).collect()
    }

    /// Who is owed offers, who owes answers.
    fn offer_for(
        &mut self,
        id: &Hash,
        says: &Announced,
        now_ms: u64,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        if now_ms >= says.offers_until_ms || !self.will.joins(id) {
            return Ok(());
        }
        let unit = self.round_unit(&says.unit).ok_or(Rejected::RoundUnit)?;
        let mut debts = self.nettable(unit);
        // The largest, where there are more than a list can hold.
        debts.sort_by_key(|(.., free)| std::cmp::Reverse(*free));
        let held = |state: &State| state.held.keys().filter(|(round, _)| round == id).count();
        for (channel, peer, pair, we_owe, free) in debts {
            let taken = self.state.held.contains_key(&(*id, peer)) || held(&self.state) >= MAX_LINES;
            if taken || !self.may_offer(&channel, &peer) {
                continue;
            }
            let we_are_a = self.state.channels.get(&channel).is_some_and(|row| row.we_are_a);
            let a_owes = we_owe == we_are_a;
            let theirs =
                self.peers.stream(&channel).and_then(|stream| stream.netting.offers.get(id)).copied();
            let (amount, reference) = if we_owe {
                let Some(offer) = theirs.filter(|offer| !offer.dropped) else { continue };
                let args = offer.args;
                if (args.pair, args.a_owes) != (pair, a_owes) || args.amount.minor() > free {
                    continue;
                }
                (args.amount, Some(offer.leaf))
            } else {
                // What the peer has proposed to be settled it does not hold for a round.
                let Ok(amount) = Amount::new(free.saturating_sub(self.proposed_by(&channel, pair, !a_owes)))
                else {
                    continue;
                };
                (amount, None)
            };
            let args = StepArgs::Offer(OfferArgs { round: *id, pair, amount, a_owes });
            let _ = self.step_about(channel, (None, 0), reference, args, id.as_bytes(), cx);
        }
        Ok(())
    }

    /// What a peer has proposed to be settled of what it owes.
    fn proposed_by(&self, channel: &StreamId, pair: u8, we_are_a: bool) -> i64 {
        let open = self.peers.offers(channel).into_iter().map(|offer| offer.said.args);
        let owed_by_it = open.filter(|args| args.pair == pair && args.a_owed != we_are_a);
        owed_by_it.map(|args| args.amount.minor()).fold(0, i64::saturating_add)
    }

    /// What both ends hold is listed for everybody.
    fn list_for(
        &mut self,
        id: &Hash,
        says: &Announced,
        now_ms: u64,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let open = self.state.rounds.get(id).is_some_and(|row| row.listed.is_none());
        if !open || now_ms < says.offers_until_ms || now_ms >= says.lists_until_ms {
            return Ok(());
        }
        let held = self.state.held.iter().filter(|((round, _), row)| round == id && !row.ended);
        let answered = held.filter(|(_, row)| {
            let theirs = self.peers.stream(&row.channel).and_then(|stream| stream.netting.offers.get(id));
            theirs.is_some_and(|offer| !offer.dropped)
        });
        let line = |((_, peer), row): (&(Hash, LedgerId), &netting::HeldRow)| Line {
            peer: *peer,
            we_owe: row.we_owe,
            amount: row.amount,
        };
        let lines: Vec<Line> = answered.map(line).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let list = Listed { round: *id, votes_until_ms: says.votes_until_ms, lines };
        self.own(Payload::Listed(list), &[], id.as_bytes(), 0, cx)
    }

    /// Who has announced a round computes it, and again without those who have refused.
    fn compute(
        &mut self,
        id: &Hash,
        said: &Announcement,
        now_ms: u64,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let late = now_ms < said.says.lists_until_ms || now_ms > said.says.votes_until_ms;
        if late || said.by != self.state.ledger()? {
            return Ok(());
        }
        let (attempt, set) = self.peers.rounds.next_set(id);
        let Some(solved) = self.solved(id, attempt, set) else { return Ok(()) };
        self.publish(id, attempt, &solved.to_bytes(), cx)
    }

    /// Publishes an attempt. What a crash leaves of it is no attempt; the next one takes its place.
    ///
    /// # Errors
    /// More pages than an attempt may have, or nothing can be written now.
    pub fn publish(&mut self, id: &Hash, attempt: u8, bytes: &[u8], cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let parts = bytes.chunks(MAX_PAGE_BYTES);
        let pages = u16::try_from(parts.len()).map_err(|_| Rejected::RoundPage)?;
        for (page, part) in (0_u16..).zip(parts) {
            let bytes = crate::encoding::Blob(part.to_vec());
            let payload = Payload::ResultPage(ResultPage { round: *id, attempt, page, pages, bytes });
            self.own(payload, id.as_bytes(), &page.to_be_bytes(), attempt, cx)?;
        }
        Ok(())
    }

    fn solved(&self, id: &Hash, attempt: u8, mut set: Set) -> Option<Attempt> {
        let round = self.peers.rounds.get(id)?;
        loop {
            let chosen = round.lists.iter().filter(|(ledger, _)| set.contains_key(*ledger));
            let lists: BTreeMap<_, _> =
                chosen.map(|(ledger, (leaf, list))| (*ledger, (*leaf, list))).collect();
            let total = |list: &Listed| -> i128 {
                list.lines.iter().map(|line| i128::from(line.amount.minor())).sum()
            };
            match solve(id, attempt, &lists) {
                Ok(solved) => return solved,
                // More than can be netted: without the one that brings the most.
                Err(_) => {
                    let largest = lists.iter().max_by_key(|(_, (_, list))| total(list))?;
                    set.remove(largest.0);
                }
            }
        }
    }

    /// Our word on each attempt that we are in.
    fn vote_on(&mut self, id: &Hash, now_ms: u64, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let us = self.state.ledger()?;
        let Some((_, until_ms)) = self.state.rounds.get(id).and_then(|row| row.listed) else { return Ok(()) };
        let attempts = self.peers.rounds.get(id).map_or(0, |round| round.attempts());
        for attempt in 0..attempts {
            // What is not all here, or no attempt at all, nobody can accept.
            let Ok(reading) = self.peers.rounds.read(id, attempt) else { continue };
            let voted = |row: &VoteRow| row.attempt == attempt;
            if self.state.rounds.get(id).is_some_and(|row| row.votes.iter().any(voted)) {
                continue;
            }
            let Some(place) = reading.component_of(&us) else { continue };
            let late = now_ms > until_ms;
            let judged =
                if late { Err(RefusalReason::Late) } else { self.judge_result(id, attempt, &reading, place) };
            match (judged, self.will.accepts(id)) {
                (Err(reason), _) => self.vote(id, attempt, (&reading, place), Err(reason), cx)?,
                (Ok(_), Some(false)) => {
                    self.vote(id, attempt, (&reading, place), Err(RefusalReason::Person), cx)?;
                }
                (Ok(Some(accepted)), Some(true)) => {
                    self.vote(id, attempt, (&reading, place), Ok(accepted), cx)?;
                }
                (Ok(None), Some(true)) | (Ok(_), None) => {}
            }
        }
        Ok(())
    }

    /// Whether a result can be accepted: the lines of our debts, and what has ended an earlier one. `None` while an earlier
    /// one is open here: whoever made this one has heard a refusal of that, and it is on its way (specs/netting.md 9.3).
    fn judge_result(
        &self,
        id: &Hash,
        attempt: u8,
        reading: &Reading,
        place: usize,
    ) -> Result<Option<Accepted>, RefusalReason> {
        let us = self.state.ledger().map_err(|_| RefusalReason::OwnDebts)?;
        let right = reading.verdicts.get(place).is_some_and(Result::is_ok);
        if !right {
            return Err(RefusalReason::Certificate);
        }
        let line = |(debtor, creditor, _, less): (LedgerId, LedgerId, i64, i64)| {
            let amount = Amount::new(less).ok()?;
            let (we_owe, peer) = if debtor == us { (true, creditor) } else { (false, debtor) };
            (debtor == us || creditor == us).then_some(Line { peer, we_owe, amount })
        };
        let mut lines: Vec<Line> = reading.edges(place).into_iter().filter_map(line).collect();
        lines.sort_by_key(|line| line.peer);
        let is_held = |line: &Line| {
            let held = self.state.held.get(&(*id, line.peer)).filter(|row| !row.ended);
            held.is_some_and(|row| row.we_owe == line.we_owe && line.amount <= row.amount)
        };
        if !lines.iter().all(is_held) {
            return Err(RefusalReason::OwnDebts);
        }
        let mut ended = None;
        for vote in self.open_yes(id) {
            match self.outcome(id, &vote) {
                Some(Outcome::Aborted(leaf)) => ended = Some(leaf),
                // Waiting for earlier ones alone, nobody waits for who waits for them.
                Some(Outcome::Open) | None if vote.attempt < attempt => return Ok(None),
                Some(Outcome::Open | Outcome::Committed) | None => return Err(RefusalReason::Another),
            }
        }
        Ok(Some((lines, ended)))
    }

    /// What we have accepted in a round and not given up.
    fn open_yes(&self, id: &Hash) -> Vec<VoteRow> {
        let votes = self.state.rounds.get(id).into_iter().flat_map(|row| &row.votes);
        votes.filter(|vote| vote.accepts && vote.aborted.is_none()).cloned().collect()
    }

    fn reading_of(&self, id: &Hash, vote: &VoteRow) -> Result<(Arc<Reading>, usize), Unread> {
        let reading = self.peers.rounds.read_kept(id, vote.attempt)?;
        let place = reading.results.iter().position(|result| *result == vote.result);
        Ok((reading, place.ok_or(Unread::Pages)?))
    }

    /// How a result that we have accepted stands.
    pub fn outcome(&self, id: &Hash, vote: &VoteRow) -> Option<Outcome> {
        let round = self.peers.rounds.get(id)?;
        let (reading, place) = self.reading_of(id, vote).ok()?;
        Some(round.outcome(&vote.result, reading.parties(place)))
    }

    fn vote(
        &mut self,
        id: &Hash,
        attempt: u8,
        (reading, place): (&Reading, usize),
        judged: Result<Accepted, RefusalReason>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let result = *reading.results.get(place).ok_or(Rejected::RoundState { round: *id })?;
        let (ledger, epoch) = (self.state.ledger()?, log_epoch(&self.state)?);
        let accepts = judged.is_ok();
        let key = self.author.log_key(self.state.identity()?, epoch)?;
        let sig = sign_vote(key, (id, &result, accepts), &ledger);
        let (lines, aborted, reason) = match judged {
            Ok((lines, aborted)) => (lines, aborted, None),
            Err(reason) => (Vec::new(), None, Some(reason)),
        };
        let voted = Voted { round: *id, attempt, result, accepts, reason, epoch, sig, lines, aborted };
        self.own(Payload::Voted(voted), id.as_bytes(), result.as_bytes(), attempt, cx)
    }

    /// What all have accepted is applied: our debts at once, what we are owed when its debtor has said so.
    fn apply_of(&mut self, id: &Hash, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let votes = self.state.rounds.get(id).map(|row| row.votes.clone()).unwrap_or_default();
        for vote in votes.iter().filter(|vote| vote.accepts) {
            let waits = vote.lines.iter().any(|line| !line.booked || line.said_ms.is_none());
            if !waits || self.outcome(id, vote) != Some(Outcome::Committed) {
                continue;
            }
            for line in &vote.lines {
                // A peer that has not answered our guard hears it later.
                let _ = self.apply_line(id, &vote.result, line, cx);
            }
        }
        Ok(())
    }

    fn apply_line(
        &mut self,
        id: &Hash,
        result: &Hash,
        row: &LineRow,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let line = row.line;
        let (channel, on) =
            self.state.channel_with(&line.peer).ok_or(Rejected::NoAccord { peer: line.peer })?;
        let held = self.state.held.get(&(*id, line.peer)).ok_or(Rejected::RoundState { round: *id })?;
        let a_owed = line.we_owe == on.we_are_a;
        let args = ApplyArgs { round: *id, result: *result, pair: held.pair, amount: line.amount, a_owed };
        let args = StepArgs::Apply(args);
        let netted = |engine: &Self| {
            let postings = netting::postings_of(&engine.state, id, &line)?;
            Ok(Payload::Netted(Netted { round: *id, result: *result, line, postings }))
        };
        if line.we_owe {
            if row.said_ms.is_none() {
                self.step_about(channel, (None, 0), None, args, result.as_bytes(), cx)?;
            }
            if !row.booked {
                let payload = netted(self)?;
                self.own(payload, channel.as_bytes(), result.as_bytes(), 0, cx)?;
            }
            return Ok(());
        }
        let theirs =
            self.peers.stream(&channel).and_then(|stream| stream.netting.applies.get(result)).copied();
        if let (false, Some((_, leaf))) = (row.booked, theirs) {
            let payload = netted(self)?;
            self.own(payload, channel.as_bytes(), result.as_bytes(), 0, cx)?;
            return self.step_about(channel, (None, 0), Some(leaf), args, result.as_bytes(), cx);
        }
        if row.booked && row.said_ms.is_none() {
            // A crash has left the answer out; it names what is booked.
            return self.step_about(channel, (None, 0), Some(*result), args, result.as_bytes(), cx);
        }
        Ok(())
    }

    /// Shows that all have accepted, where a peer does not follow.
    fn show_commits(&mut self, id: &Hash, now_ms: u64, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let votes = self.state.rounds.get(id).map(|row| row.votes.clone()).unwrap_or_default();
        for vote in votes.iter().filter(|vote| vote.accepts) {
            let unheard = |line: &&LineRow| {
                let late = line.said_ms.is_some_and(|said| now_ms >= said.saturating_add(SHOW_AFTER_MS));
                let stream =
                    self.state.channel_with(&line.line.peer).and_then(|(id, _)| self.peers.stream(&id));
                let answered = stream.is_some_and(|stream| stream.netting.applied.contains(&vote.result));
                line.line.we_owe && late && !answered
            };
            let shown = self.peers.rounds.get(id).is_some_and(|round| round.has_shown(&vote.result));
            if shown || !vote.lines.iter().any(|line| unheard(&line)) {
                continue;
            }
            let Ok((reading, place)) = self.reading_of(id, vote) else { continue };
            let Some(round) = self.peers.rounds.get(id) else { continue };
            let yes: Vec<Yes> =
                reading.parties(place).filter_map(|party| round.yes(&vote.result, &party)).collect();
            for (page, part) in (0_u8..).zip(yes.chunks(MAX_PROOFS)) {
                let proof = Committed { round: *id, result: vote.result, yes: part.to_vec() };
                self.own(Payload::Committed(proof), id.as_bytes(), vote.result.as_bytes(), page, cx)?;
            }
        }
        Ok(())
    }

    /// What is held for nothing is let go: what nobody has answered or listed, and, when the time is over, what no
    /// result that we have accepted and that may still be committed takes.
    fn drop_of(&mut self, id: &Hash, says: &Announced, now_ms: u64, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let Some(row) = self.state.rounds.get(id) else { return Ok(()) };
        let over = now_ms > says.votes_until_ms;
        let listed = row.listed.map(|(leaf, _)| leaf);
        if listed.is_none() && now_ms < says.lists_until_ms {
            return Ok(());
        }
        let own = self.peers.rounds.get(id).and_then(|round| {
            let (leaf, list) = round.lists.get(&self.state.ledger().ok()?)?;
            (Some(*leaf) == listed).then(|| list.lines.iter().map(|line| line.peer).collect::<Vec<_>>())
        });
        let mut waits: Vec<LedgerId> = Vec::new();
        for vote in self.open_yes(id) {
            if !matches!(self.outcome(id, &vote), Some(Outcome::Aborted(_))) && !self.will.drops(id) {
                waits.extend(vote.lines.iter().map(|line| line.line.peer));
            }
        }
        let is_listed = |peer: &LedgerId| own.as_ref().is_some_and(|own| own.contains(peer));
        let held = self.state.held.iter().filter(|((round, _), row)| round == id && !row.ended);
        let loose = held.filter(|((_, peer), _)| !waits.contains(peer) && (over || !is_listed(peer)));
        let loose: Vec<StreamId> = loose.map(|(_, row)| row.channel).collect();
        for channel in loose {
            let args = StepArgs::DropHold(DropArgs { round: *id });
            let _ = self.step_about(channel, (None, 0), None, args, id.as_bytes(), cx);
        }
        Ok(())
    }
}
