//! What a claim asks of us now (specs/clearing.md §6): a function of our state and the peers' words.
//!
//! [`Engine::react`] takes one step after the other until nothing is left to do. Because it looks only at what is
//! recorded, it does the same after a crash as it would have done before, and doing it twice does nothing.

use super::dispute::Disputed;
use super::engine::{Cx, Engine, Payee};
use super::intent::{Intent, Outcome, RejectCode, SignedIntent};
use super::leg::Leg;
use super::peers::{PeerAnswer, PeerClaim, PeerClosing, Peers, Proposal};
use super::rate::{Exchanged, HopValue, Way};
use super::step::{AcceptArgs, DoneArgs, ProposeArgs, RejectArgs, StepArgs};
use super::weak::{self, Weak};
use crate::amount::Amount;
use crate::encoding::Blob;
use crate::entry::Payload;
use crate::ids::{AccountId, ClaimId, Hash, LedgerId, StreamId, UnitId};
use crate::ledger::clearing::{accepted_on, hop_value, room, value_in};
use crate::ledger::dispute::{DisputeClosed, left_on_incoming};
use crate::ledger::identity::Purpose;
use crate::ledger::state::{Answer, ClaimRow, Closing, InHop, Origin, OutHop, State};
use crate::ledger::transfer::{Book, Credit, End, Posting, Returned, may_credit, move_value};
use crate::ledger::{Rejected, own_accounts};

/// The next thing to do about a claim.
enum Todo {
    TurnAway {
        channel: StreamId,
        leaf: Hash,
        code: RejectCode,
    },
    Refuse {
        intent: Intent,
        code: RejectCode,
    },
    Accept {
        channel: StreamId,
        leaf: Hash,
        intent: SignedIntent,
        account: AccountId,
    },
    /// The yes or no that was said on another part.
    Again {
        channel: StreamId,
        leaf: Hash,
        intent: Intent,
        outcome: Outcome,
    },
    Credit {
        account: AccountId,
        unit: UnitId,
        amount: Amount,
    },
    Onward {
        from: StreamId,
        channel: StreamId,
        leaf: Hash,
        signed: SignedIntent,
        intent: Intent,
        place: usize,
    },
    Done {
        out: OutHop,
    },
    Free {
        out: OutHop,
        reject: Hash,
    },
    End {
        out: OutHop,
        closing: Hash,
    },
    PassAccept {
        channel: StreamId,
        leaf: Hash,
        out: OutHop,
    },
    PassReject {
        channel: StreamId,
        leaf: Hash,
        out: OutHop,
    },
    Book {
        channel: StreamId,
        done: Hash,
        value: HopValue,
        decided: bool,
    },
    Return {
        channel: StreamId,
        leaf: Hash,
    },
    GaveBack {
        channel: StreamId,
        reference: Hash,
        value: HopValue,
    },
    GotBack {
        out: OutHop,
        reference: Hash,
    },
    /// What both root sets have agreed, and the creditor has said.
    Dispute {
        channel: StreamId,
        disputed: Box<Disputed>,
    },
    CloseDispute {
        channel: StreamId,
        dispute: Hash,
        postings: Vec<Posting>,
    },
}

/// A proposal that expires later than this is refused: twice what a payer may ask for, so that clocks may differ.
pub(super) const MAX_EXPIRY_SEEN_MS: u64 = 2 * super::accord::MAX_EXPIRY_MS;

/// Steps that one input can cause; more would be a loop.
const MAX_STEPS: usize = 64;

impl Engine {
    /// Does everything that a claim asks of us now.
    pub(super) fn react(&mut self, claim: &ClaimId, cx: &mut Cx<'_>) {
        if self.quiet {
            // What it asks of us is looked at when the quarantine ends; nothing is forgotten before.
            return;
        }
        for _ in 0..MAX_STEPS {
            let Some((part, todo)) = self.todo(claim, cx) else { break };
            // A refusal here means that our own books stand against the step (a limit reached in between): the
            // claim stays as it is, visible, and is looked at again.
            if self.take(Leg { claim: *claim, part }, todo, cx).is_err() {
                break;
            }
        }
        self.touched(*claim);
        forget_if_settled(&self.state, &mut self.peers, claim);
    }

    fn todo(&self, claim: &ClaimId, cx: &Cx<'_>) -> Option<(u8, Todo)> {
        let legs: Vec<(u8, &ClaimRow)> = self.state.legs(claim).collect();
        let outgoing = legs.iter().find_map(|(part, row)| {
            let out = row.outgoing.as_ref()?;
            Some((*part, self.todo_outgoing(Leg { claim: *claim, part: *part }, out)?))
        });
        if outgoing.is_some() {
            return outgoing;
        }
        if let Some(todo) = self.todo_credit(claim, cx) {
            return Some((0, todo));
        }
        for (channel, part) in self.peers.hops_of(claim) {
            let said = self.peers.leg(&channel, claim, part)?;
            let leg = Leg { claim: *claim, part };
            let todo = said.proposal.as_ref().and_then(|p| self.todo_incoming(leg, channel, said, p, cx));
            if let Some(todo) = todo {
                return Some((part, todo));
            }
        }
        legs.iter().find_map(|(part, row)| {
            let leg = Leg { claim: *claim, part: *part };
            Some((*part, self.todo_reset(leg, row).or_else(|| self.todo_give_back(leg, row))?))
        })
    }

    /// What a RESET has bound or freed, and the books do not say yet: by our own rows, because what the peer proposed may be
    /// lost.
    fn todo_reset(&self, Leg { claim, part }: Leg, row: &ClaimRow) -> Option<Todo> {
        row.incoming.iter().find_map(|(channel, hop)| {
            let reset = self.reset_leaf(channel)?;
            let (known, decided) = value_in(&self.state, &claim, part, channel);
            if hop.is_bound_by(&reset) && hop.booked.is_none() {
                return Some(Todo::Book { channel: *channel, done: reset, value: known?, decided });
            }
            let (dispute, postings) = left_on_incoming(&self.state, &claim, part, channel)?;
            (dispute == reset).then_some(Todo::CloseDispute { channel: *channel, dispute, postings })
        })
    }

    /// As the debtor of a hop.
    fn todo_outgoing(&self, Leg { claim, part }: Leg, out: &OutHop) -> Option<Todo> {
        if out.closing == Closing::Open && self.is_still(&out.channel) {
            return None;
        }
        let said = self.peers.leg(&out.channel, &claim, part);
        let decision = self.peers.decision(&claim, &out.decider).map(|d| d.body.outcome);
        let disputed = said.and_then(|said| said.disputed.clone());
        match out.closing {
            Closing::Open if disputed.is_some() => {
                disputed.map(|disputed| Todo::Dispute { channel: out.channel, disputed })
            }
            Closing::Open if decision == Some(Outcome::Accept) => Some(Todo::Done { out: out.clone() }),
            Closing::Open => match said.and_then(|s| s.answer) {
                Some(PeerAnswer::Reject(leaf, _)) => Some(Todo::Free { out: out.clone(), reject: leaf }),
                Some(PeerAnswer::Accept) | None => {
                    let early = decision == Some(Outcome::Reject) && weak::is(Weak::RejectOvertakes);
                    early.then(|| Todo::Free { out: out.clone(), reject: Hash::ZERO })
                }
            },
            Closing::Done(leaf) if !out.ended => Some(Todo::End { out: out.clone(), closing: leaf }),
            Closing::Done(_) => {
                let undone =
                    weak::is(Weak::ContradictionUndoes) && self.peers.contradicted(&claim, &out.decider);
                let returned = said.and_then(|s| s.returned).or(undone.then_some(Hash::ZERO));
                let reference = returned.filter(|_| !out.returned)?;
                Some(Todo::GotBack { out: out.clone(), reference })
            }
            Closing::Freed(leaf) if !out.ended && matches!(out.origin, Origin::Hold { .. }) => {
                Some(Todo::End { out: out.clone(), closing: leaf })
            }
            Closing::Freed(_) => None,
        }
    }

    /// The second half of our own yes.
    fn todo_credit(&self, claim: &ClaimId, cx: &Cx<'_>) -> Option<Todo> {
        let row = self.state.decisions.get(claim).filter(|row| !row.credited)?;
        let (unit, amount) = row.value?;
        let said = self.peers.claim(&row.channel, claim)?;
        let commitment = said.proposal.as_ref()?.signed.parse().ok()?.sidecar;
        match (cx.payees)(claim, &commitment) {
            Payee::Account(account) => Some(Todo::Credit { account, unit, amount }),
            Payee::Unknown | Payee::Bad | Payee::Missing => None,
        }
    }

    /// As the creditor of a hop.
    fn todo_incoming(
        &self,
        leg: Leg,
        channel: StreamId,
        said: &PeerClaim,
        proposal: &Proposal,
        cx: &Cx<'_>,
    ) -> Option<Todo> {
        let Leg { claim, part } = leg;
        let row = self.state.leg(&claim, part);
        let hop: Option<&InHop> = row.and_then(|r| r.incoming.get(&channel));
        let from_here = Origin::Upstream { channel };
        let out = row.and_then(|r| r.outgoing.as_ref()).filter(|out| out.origin == from_here);
        let booked = hop.is_some_and(|h| h.booked.is_some());
        if let (Some(PeerClosing::Done(done)), false) = (said.closing, booked) {
            let (known, decided) = value_in(&self.state, &claim, part, &channel);
            let value = known.or_else(|| self.proposed_value(channel, part, proposal))?;
            return Some(Todo::Book { channel, done, value, decided });
        }
        if said.closing == Some(PeerClosing::Free)
            && let Some((dispute, postings)) = left_on_incoming(&self.state, &claim, part, &channel)
        {
            return Some(Todo::CloseDispute { channel, dispute, postings });
        }
        let answered = hop.is_some_and(|h| h.answer != Answer::None) || said.refused.is_some();
        if booked || answered || said.closing.is_some() || self.is_still(&channel) {
            return None;
        }
        match out.map(|out| (out, out.closing)) {
            // A hop bound by dispute has no Decision to pass on; nor has one on which both root sets have spoken before us.
            // What was given back is not bound any more.
            Some((out, Closing::Done(_))) if out.returned => {
                return Some(Todo::PassReject { channel, leaf: proposal.leaf, out: out.clone() });
            }
            Some((out, Closing::Done(_))) if !self.is_accepted(&claim, &out.decider) => {
                return None;
            }
            Some((out, Closing::Done(_))) => {
                return Some(Todo::PassAccept { channel, leaf: proposal.leaf, out: out.clone() });
            }
            Some((_, Closing::Freed(_))) if hop.is_some_and(|hop| hop.disputed.is_some()) => return None,
            Some((out, Closing::Freed(_))) => {
                return Some(Todo::PassReject { channel, leaf: proposal.leaf, out: out.clone() });
            }
            Some((_, Closing::Open)) => return None,
            None => {}
        }
        match self.judge(leg, channel, proposal, cx) {
            Ok(None) => None,
            Ok(Some(todo)) => Some(todo),
            Err(code) => Some(Todo::TurnAway { channel, leaf: proposal.leaf, code }),
        }
    }

    fn is_accepted(&self, claim: &ClaimId, decider: &LedgerId) -> bool {
        self.peers.decision(claim, decider).is_some_and(|word| word.body.outcome == Outcome::Accept)
    }

    /// What a hop that is bound although we have neither passed it on nor accepted it brings us, by its proposal.
    fn proposed_value(&self, channel: StreamId, part: u8, proposal: &Proposal) -> Option<HopValue> {
        let row = self.state.channels.get(&channel)?;
        let intent = proposal.signed.parse().ok()?;
        let hop = intent.parts.get(usize::from(part))?.hops.get(usize::from(proposal.hop))?;
        let value = row.accord.pairs.get(usize::from(hop.pair))?.value_of(hop, row.we_are_a, Way::In)?;
        // By another rate than ours it may be worth less than it says; what it says counts, and comes back as it came.
        let least = value.amount.minor().unsigned_abs();
        let exchanged = value.exchanged.map(|e| Exchanged { worth: e.worth.max(least), ..e });
        Some(HopValue { exchanged, ..value })
    }

    /// A proposal that nobody has answered: whether it keeps the rules, and what we do with it.
    fn judge(
        &self,
        leg: Leg,
        channel: StreamId,
        proposal: &Proposal,
        cx: &Cx<'_>,
    ) -> Result<Option<Todo>, RejectCode> {
        let broken = RejectCode::RuleBroken;
        let us = self.state.ledger().map_err(|_| broken)?;
        let row = self.state.channels.get(&channel).ok_or(broken)?;
        // We may have proposed it onward before the start: it waits until that peer has answered, whatever else is wrong with it.
        if self.may_go_on_unheard(leg.part, proposal) {
            return Ok(None);
        }
        let (intent, value) = self.check_proposal(leg.part, channel, proposal, cx)?;
        if intent.payee == us {
            return Ok(self.decide(leg, channel, proposal, intent, cx));
        }
        let part = intent.parts.get(usize::from(leg.part)).ok_or(broken)?;
        if intent.expires_ms <= cx.now_ms.max(self.state.head.time_ms) {
            return Err(RejectCode::Expired);
        }
        let next_place = usize::from(proposal.hop).saturating_add(1);
        let next = part.route.get(next_place.saturating_add(1)).ok_or(broken)?;
        let onward = part.hops.get(next_place).ok_or(broken)?;
        if !row.accord.relay {
            return Err(RejectCode::NoRoute);
        }
        let (id, out) = match self.ready_channel(next) {
            Ok(ready) => ready,
            // We may have proposed it onward before the start: it waits until that peer has answered.
            Err(Rejected::NotHeard { .. }) => return Ok(None),
            Err(_) => return Err(RejectCode::NoRoute),
        };
        let leaves = hop_value(out, onward, Way::Out).map_err(|_| RejectCode::NoRoute)?;
        if leaves.unit != value.unit {
            return Err(RejectCode::NoRoute);
        }
        if i128::from(leaves.position().minor()) > room(&self.state, out, onward.pair).unwrap_or(0) {
            return Err(RejectCode::NoRoom);
        }
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        if self.old_claims_hold((id, onward.pair), &intent.payee, now_ms) {
            return Err(RejectCode::NoRoom);
        }
        let (leaf, signed) = (proposal.leaf, proposal.signed.clone());
        Ok(Some(Todo::Onward { from: channel, channel: id, leaf, signed, intent, place: next_place }))
    }

    /// Whether a proposal would go on to a peer that has not answered our guard.
    fn may_go_on_unheard(&self, part: u8, proposal: &Proposal) -> bool {
        let Ok(intent) = proposal.signed.parse() else { return false };
        let Some(way) = intent.parts.get(usize::from(part)) else { return false };
        let next = way.route.get(usize::from(proposal.hop).saturating_add(2));
        next.and_then(|next| self.state.channel_with(next)).is_some_and(|(id, _)| self.hushed.contains(&id))
    }

    /// What every proposal must keep, wherever it leads.
    fn check_proposal(
        &self,
        part: u8,
        channel: StreamId,
        proposal: &Proposal,
        cx: &Cx<'_>,
    ) -> Result<(Intent, HopValue), RejectCode> {
        let broken = RejectCode::RuleBroken;
        let us = self.state.ledger().map_err(|_| broken)?;
        let row = self.state.channels.get(&channel).ok_or(broken)?;
        let intent = proposal.signed.parse().map_err(|_| broken)?;
        let way = intent.parts.get(usize::from(part)).ok_or(broken)?;
        let place = usize::from(proposal.hop);
        let ends = (way.route.get(place), way.route.get(place.saturating_add(1)));
        if ends != (Some(&row.peer), Some(&us)) {
            return Err(broken);
        }
        let hop = way.hops.get(place).ok_or(broken)?;
        let value = hop_value(row, hop, Way::In).map_err(|_| broken)?;
        let payer = self.peers.identity(&intent.payer).ok_or(broken)?;
        proposal.signed.verify(payer, intent.epoch).map_err(|_| broken)?;
        // Turning it down binds nobody, so what a stolen key may have signed is.
        if payer.revoked(Purpose::Log, intent.epoch).is_some() {
            return Err(broken);
        }
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        if intent.expires_ms > now_ms.saturating_add(MAX_EXPIRY_SEEN_MS) {
            return Err(broken);
        }
        if [row.peer, intent.payer, intent.payee].iter().any(|ledger| self.is_frozen(ledger)) {
            return Err(broken);
        }
        let noticed =
            self.state.notice(&row.peer).is_some() || self.peers.notice_of(&self.state, &row.peer).is_some();
        if row.halt.is_some() || noticed {
            return Err(RejectCode::Halted);
        }
        if self.room_in(channel, hop.pair) < 0 {
            return Err(RejectCode::NoRoom);
        }
        Ok((intent, value))
    }

    /// What is left of the limit of a peer towards us, all its open claims counted: negative when they are too
    /// many.
    fn room_in(&self, channel: StreamId, pair: u8) -> i128 {
        let Some(row) = self.state.channels.get(&channel) else { return -1 };
        let Some(terms) = row.accord.pairs.get(usize::from(pair)) else { return -1 };
        let limit = i128::from(terms.limit(!row.we_are_a));
        let owed_to_them = i128::from(self.state.balance(&row.account, terms.booked_unit(row.we_are_a)));
        let open = self.peers.stream(&channel).map_or(0, |s| i128::from(s.open_in(pair)));
        limit.saturating_add(owed_to_them).saturating_sub(open)
    }

    /// Our word, as the payee's network: on all parts together, when the last of them has come.
    fn decide(
        &self,
        leg: Leg,
        channel: StreamId,
        proposal: &Proposal,
        intent: Intent,
        cx: &Cx<'_>,
    ) -> Option<Todo> {
        let Leg { claim, part } = leg;
        let leaf = proposal.leaf;
        let turn_away = |code| Some(Todo::TurnAway { channel, leaf, code });
        if let Some(row) = self.state.decisions.get(&claim) {
            // Said on another part already; a claim of one part comes on one channel.
            let several = intent.parts.len() > 1;
            return several.then_some(Todo::Again { channel, leaf, intent, outcome: row.outcome });
        }
        // A part that was turned away without a Decision never comes again, so the claim cannot be accepted.
        let gone = |(part, row): (u8, &ClaimRow)| {
            let channel = intent.last_middle(part).and_then(|last| self.state.channel_with(last));
            let hop = channel.and_then(|(id, _)| row.incoming.get(&id));
            hop.is_some_and(|hop| matches!(hop.answer, Answer::Rejected(_)))
        };
        if intent.parts.len() > 1 && self.state.legs(&claim).any(gone) {
            return turn_away(RejectCode::Downstream);
        }
        let parts = self.parts_here(&claim, &intent);
        if parts.iter().flatten().any(|(_, known)| self.may_have_decided(known.time_ms)) {
            return turn_away(RejectCode::NoRoute);
        }
        let refuse = |intent, code| Some(Todo::Refuse { intent, code });
        if cx.now_ms.max(self.state.head.time_ms) > intent.expires_ms {
            return refuse(intent, RejectCode::Expired);
        }
        if self.state.nonces.contains_key(&(intent.payer, intent.nonce)) {
            return refuse(intent, RejectCode::NonceUsed);
        }
        // The first part speaks for all, so that one channel's stream holds the Decision first.
        if part != 0 {
            return None;
        }
        let (mut unit, mut amount) = (None, 0_i64);
        for (part, known) in (0_u8..).zip(parts) {
            if known.is_none() && weak::is(Weak::PartsAlone) {
                continue;
            }
            let (channel, known) = known?;
            if self.hushed.contains(&channel) || self.is_still(&channel) {
                return None;
            }
            // One that does not keep the rules is turned away when its turn comes.
            let (_, value) = self.check_proposal(part, channel, known, cx).ok()?;
            if unit.is_some_and(|unit| unit != value.unit) {
                return refuse(intent, RejectCode::RuleBroken);
            }
            unit = Some(value.unit);
            amount = amount.saturating_add(value.amount.minor());
        }
        let (Some(unit), Ok(amount)) = (unit, Amount::new(amount)) else {
            return refuse(intent, RejectCode::RuleBroken);
        };
        match (cx.payees)(&claim, &intent.sidecar) {
            Payee::Missing => None,
            Payee::Bad => refuse(intent, RejectCode::Sidecar),
            Payee::Unknown => refuse(intent, RejectCode::UnknownPayee),
            Payee::Account(account) => match may_credit(&self.state, &account, unit, amount) {
                Ok(()) => {
                    let intent = proposal.signed.clone();
                    Some(Todo::Accept { channel, leaf, intent, account })
                }
                Err(Rejected::UnknownAccount { .. } | Rejected::AccountClosed { .. }) => {
                    refuse(intent, RejectCode::UnknownPayee)
                }
                Err(_) => refuse(intent, RejectCode::OverLimit),
            },
        }
    }

    /// The proposals of a claim's parts that have come on the last hops that its Intent names.
    fn parts_here(&self, claim: &ClaimId, intent: &Intent) -> Vec<Option<(StreamId, &Proposal)>> {
        let here = |part: u8| {
            let (channel, _) = self.state.channel_with(intent.last_middle(part)?)?;
            let said = self.peers.leg(&channel, claim, part)?;
            said.proposal.as_ref().filter(|_| said.closing.is_none()).map(|known| (channel, known))
        };
        (0_u8..).zip(&intent.parts).map(|(part, _)| here(part)).collect()
    }

    /// What came in, was booked, and cannot go onward (only after a contradiction of the decider, or because the
    /// next network gave it back): RETURN, and its second half. Both rest on our state alone, because by then what
    /// the peers said may be forgotten.
    fn todo_give_back(&self, Leg { claim, part }: Leg, row: &ClaimRow) -> Option<Todo> {
        row.incoming.iter().find_map(|(channel, hop)| {
            let (channel, value) = (*channel, hop.booked_value()?);
            match hop.return_step {
                Some(reference) => (!hop.returned).then_some(Todo::GaveBack { channel, reference, value }),
                None => {
                    let onward =
                        row.outgoing.as_ref().filter(|out| out.origin == Origin::Upstream { channel });
                    // A yes without an onward hop was given for a hop that a succession has lost: that one may be bound.
                    let yes = matches!(hop.answer, Answer::Accepted(_));
                    let stuck =
                        onward.map_or(!yes, |out| matches!(out.closing, Closing::Freed(_)) || out.returned);
                    let decided = accepted_on(&self.state, &claim, part, &channel).is_some();
                    let leaf = hop.done.filter(|_| stuck && !decided && !self.is_still(&channel))?;
                    Some(Todo::Return { channel, leaf })
                }
            }
        })
    }

    fn take(&mut self, leg: Leg, todo: Todo, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let Leg { claim, part } = leg;
        match todo {
            Todo::TurnAway { channel, leaf, code } => {
                let args = RejectArgs { code: code.code(), decision: None };
                self.step_of(channel, leg, Some(leaf), StepArgs::Reject(args), cx)
            }
            Todo::Refuse { intent, code } => self.turn_down(&intent, claim, code, cx),
            Todo::Accept { channel, leaf, intent, account } => {
                let decision = self.word(claim, Outcome::Accept, RejectCode::Other(0))?;
                let args = AcceptArgs { decision, intent: Some(Blob(intent.intent.0)) };
                self.step_of(channel, leg, Some(leaf), StepArgs::Accept(args), cx)?;
                let value = self.state.decisions.get(&claim).and_then(|row| row.value);
                let (unit, amount) = value.ok_or(Rejected::UnknownClaim { claim })?;
                self.take(leg, Todo::Credit { account, unit, amount }, cx)
            }
            Todo::Again { channel, leaf, outcome: Outcome::Accept, .. } => {
                let row = self.state.decisions.get(&claim).ok_or(Rejected::UnknownClaim { claim })?;
                let args = AcceptArgs { decision: self.decision(claim, row)?, intent: None };
                self.step_of(channel, leg, Some(leaf), StepArgs::Accept(args), cx)
            }
            Todo::Again { intent, outcome: Outcome::Reject, .. } => {
                self.say_no(&intent, claim, part, RejectCode::Other(0), cx)
            }
            Todo::Credit { account, unit, amount } => {
                let postings = move_value(own_accounts::incoming(), account, unit, amount);
                let payload = Payload::Credit(Credit { claim, account, postings });
                self.own(payload, &[], claim.as_bytes(), 0, cx)
            }
            Todo::Onward { from, channel, leaf, signed, intent, place } => {
                self.introduce(channel, intent.payer, cx)?;
                let hop = u8::try_from(place).map_err(|_| Rejected::StepForm)?;
                let args = ProposeArgs { intent: signed, hop };
                let proposed = self.step_of(channel, leg, Some(leaf), StepArgs::Propose(args), cx);
                // What our own books do not let us propose onward must not stay without an answer.
                proposed.or_else(|_| {
                    self.take(leg, Todo::TurnAway { channel: from, leaf, code: RejectCode::NoRoute }, cx)
                })
            }
            Todo::Done { out } => {
                // The ACCEPT may have overtaken everything: the peer need not have heard of the decider yet.
                self.introduce(out.channel, out.decider, cx)?;
                let decision =
                    *self.peers.decision(&claim, &out.decider).ok_or(Rejected::UnknownClaim { claim })?;
                let reference = Some(decision.id());
                let args = StepArgs::Done(DoneArgs { decision });
                self.step_of(out.channel, leg, reference, args, cx)
            }
            Todo::Free { out, reject } => self.step_of(out.channel, leg, Some(reject), StepArgs::Free, cx),
            Todo::End { out, closing } => {
                let postings = self.end_postings(&out)?;
                let payload = Payload::End(End { claim, part, closing, postings });
                self.own(payload, out.channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::PassAccept { channel, leaf, out } => {
                self.introduce(channel, out.decider, cx)?;
                let decision =
                    *self.peers.decision(&claim, &out.decider).ok_or(Rejected::UnknownClaim { claim })?;
                let args = AcceptArgs { decision, intent: None };
                self.step_of(channel, leg, Some(leaf), StepArgs::Accept(args), cx)
            }
            Todo::PassReject { channel, leaf, out } => {
                let decision = self.peers.decision(&claim, &out.decider).copied();
                let decision = decision.filter(|d| d.body.outcome == Outcome::Reject);
                if decision.is_some() {
                    self.introduce(channel, out.decider, cx)?;
                }
                let args = RejectArgs { code: RejectCode::Downstream.code(), decision };
                self.step_of(channel, leg, Some(leaf), StepArgs::Reject(args), cx)
            }
            Todo::Book { channel, done, value, decided } => {
                let to = if decided { own_accounts::incoming() } else { own_accounts::transit() };
                let postings = value.postings(to, self.peer_account(channel)?, Way::In);
                let payload = Payload::Book(Book { claim, part, channel, closing: done, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::Return { channel, leaf } => self.step_of(channel, leg, Some(leaf), StepArgs::Return, cx),
            Todo::GaveBack { channel, reference, value } => {
                let account = self.peer_account(channel)?;
                let postings = value.turned(own_accounts::transit(), account, Way::In);
                let payload = Payload::Returned(Returned { claim, part, channel, reference, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::Dispute { channel, disputed } => {
                let Disputed { leaf, args } = *disputed;
                self.step_of(channel, leg, Some(leaf), StepArgs::Dispute(Box::new(args)), cx)
            }
            Todo::CloseDispute { channel, dispute, postings } => {
                let payload =
                    Payload::DisputeClosed(DisputeClosed { claim, part, channel, dispute, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::GotBack { out, reference } => {
                let to = match out.origin {
                    Origin::Hold { account, .. } => account,
                    Origin::Upstream { .. } => own_accounts::transit(),
                };
                let channel = out.channel;
                let postings = out.value().turned(to, self.peer_account(channel)?, Way::Out);
                let payload = Payload::Returned(Returned { claim, part, channel, reference, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
        }
    }

    fn peer_account(&self, channel: StreamId) -> Result<AccountId, Rejected> {
        let row = self.state.channels.get(&channel);
        row.map(|row| row.account).ok_or(Rejected::UnknownChannel { channel })
    }

    fn end_postings(&self, out: &OutHop) -> Result<Vec<Posting>, Rejected> {
        let peer = self.peer_account(out.channel)?;
        Ok(match (out.origin, out.closing) {
            (Origin::Hold { account, .. }, Closing::Freed(_)) => {
                move_value(own_accounts::hold(), account, out.unit, out.amount)
            }
            (Origin::Hold { .. }, _) => out.value().postings(own_accounts::hold(), peer, Way::Out),
            (Origin::Upstream { .. }, _) => out.value().postings(own_accounts::transit(), peer, Way::Out),
        })
    }
}

/// What peers said about a claim is forgotten once nothing is left to do, and nobody can add to it but by
/// contradicting themselves.
pub(super) fn forget_if_settled(state: &State, peers: &mut Peers, claim: &ClaimId) {
    let mut legs = state.legs(claim).peekable();
    if legs.peek().is_none() {
        return;
    }
    let credited = state.decisions.get(claim).is_none_or(|d| d.credited || d.outcome == Outcome::Reject);
    let passed_on = legs.all(|(part, row)| row.is_closed() && nothing_to_give_back(state, claim, part, row));
    let all_heard = peers.hops_of(claim).iter().all(|(channel, part)| {
        let row = state.leg(claim, *part);
        let hop = row.and_then(|row| row.incoming.get(channel));
        let out = row.and_then(|row| row.outgoing.as_ref());
        peers.leg(channel, claim, *part).is_none_or(|said| {
            let closed = match (&said.proposal, said.closing) {
                (None, _) => true,
                (Some(_), Some(PeerClosing::Free)) => {
                    left_on_incoming(state, claim, *part, channel).is_none()
                }
                (Some(_), Some(PeerClosing::Done(_))) => hop.is_some_and(|h| h.booked.is_some()),
                (Some(_), None) => false,
            };
            closed && (said.returned.is_none() || out.is_some_and(|out| out.returned))
        })
    });
    if credited && passed_on && all_heard {
        // An answer may come before its PROPOSE can go on: that of a part that has not begun here stays.
        peers.settle(claim, |part| state.leg(claim, part).is_some());
    }
}

fn nothing_to_give_back(state: &State, claim: &ClaimId, part: u8, row: &ClaimRow) -> bool {
    row.incoming.iter().all(|(channel, hop)| {
        let onward = row.outgoing.as_ref().is_some_and(|out| {
            out.origin == Origin::Upstream { channel: *channel }
                && matches!(out.closing, Closing::Done(_))
                && !out.returned
        });
        hop.booked.is_none() || hop.returned || onward || accepted_on(state, claim, part, channel).is_some()
    })
}
