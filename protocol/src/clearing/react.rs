//! What a claim asks of us now (specs/clearing.md §6): a function of our state and the peers' words.
//!
//! [`Engine::react`] takes one step after the other until nothing is left to do. Because it looks only at what is
//! recorded, it does the same after a crash as it would have done before, and doing it twice does nothing.

use super::engine::{Cx, Engine, Payee};
use super::intent::{Intent, Outcome, RejectCode, SignedIntent};
use super::peers::{PeerAnswer, PeerClaim, PeerClosing, Peers, Proposal};
use super::step::{AcceptArgs, DoneArgs, ProposeArgs, RejectArgs, StepArgs};
use super::weak::{self, Weak};
use crate::amount::Amount;
use crate::encoding::Blob;
use crate::entry::Payload;
use crate::ids::{AccountId, ClaimId, Hash, StreamId, UnitId};
use crate::ledger::clearing::{accepted_on, check_hop, room};
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
        value: (UnitId, Amount),
        decided: bool,
    },
    Return {
        channel: StreamId,
        leaf: Hash,
    },
    GaveBack {
        channel: StreamId,
        reference: Hash,
        value: (UnitId, Amount),
    },
    GotBack {
        out: OutHop,
        reference: Hash,
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
            let Some(todo) = self.todo(claim, cx) else { break };
            // A refusal here means that our own books stand against the step (a limit reached in between): the
            // claim stays as it is, visible, and is looked at again.
            if self.take(claim, todo, cx).is_err() {
                break;
            }
        }
        self.touched(*claim);
        forget_if_settled(&self.state, &mut self.peers, claim);
    }

    fn todo(&self, claim: &ClaimId, cx: &Cx<'_>) -> Option<Todo> {
        let row = self.state.claim(claim);
        let out = row.and_then(|r| r.outgoing.as_ref());
        if let Some(todo) = out.and_then(|out| self.todo_outgoing(claim, out)) {
            return Some(todo);
        }
        if let Some(todo) = self.todo_credit(claim, cx) {
            return Some(todo);
        }
        for channel in self.peers.channels_of(claim) {
            let said = self.peers.claim(&channel, claim)?;
            if let Some(todo) =
                said.proposal.as_ref().and_then(|p| self.todo_incoming(claim, channel, said, p, cx))
            {
                return Some(todo);
            }
        }
        row.and_then(|row| self.todo_give_back(claim, row))
    }

    /// As the debtor of a hop.
    fn todo_outgoing(&self, claim: &ClaimId, out: &OutHop) -> Option<Todo> {
        let said = self.peers.claim(&out.channel, claim);
        let decision = self.peers.decision(claim, &out.decider).map(|d| d.body.outcome);
        match out.closing {
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
                    weak::is(Weak::ContradictionUndoes) && self.peers.contradicted(claim, &out.decider);
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
        claim: &ClaimId,
        channel: StreamId,
        said: &PeerClaim,
        proposal: &Proposal,
        cx: &Cx<'_>,
    ) -> Option<Todo> {
        let row = self.state.claim(claim);
        let hop: Option<&InHop> = row.and_then(|r| r.incoming.get(&channel));
        let from_here = Origin::Upstream { channel };
        let out = row.and_then(|r| r.outgoing.as_ref()).filter(|out| out.origin == from_here);
        let booked = hop.is_some_and(|h| h.booked.is_some());
        let decided = accepted_on(&self.state, claim, &channel).is_some();
        if let (Some(PeerClosing::Done(done)), false) = (said.closing, booked) {
            return Some(Todo::Book { channel, done, value: self.value_in(channel, proposal)?, decided });
        }
        let answered = hop.is_some_and(|h| h.answer != Answer::None) || said.refused.is_some();
        if booked || answered || said.closing.is_some() {
            return None;
        }
        match out.map(|out| (out, out.closing)) {
            Some((out, Closing::Done(_))) => {
                return Some(Todo::PassAccept { channel, leaf: proposal.leaf, out: out.clone() });
            }
            Some((out, Closing::Freed(_))) => {
                return Some(Todo::PassReject { channel, leaf: proposal.leaf, out: out.clone() });
            }
            Some((_, Closing::Open)) => return None,
            None => {}
        }
        match self.judge(claim, channel, proposal, cx) {
            Ok(None) => None,
            Ok(Some(todo)) => Some(todo),
            Err(code) => Some(Todo::TurnAway { channel, leaf: proposal.leaf, code }),
        }
    }

    /// Our unit and amount of the hop that a proposal is for.
    fn value_in(&self, channel: StreamId, proposal: &Proposal) -> Option<(UnitId, Amount)> {
        let row = self.state.channels.get(&channel)?;
        let intent = proposal.signed.parse().ok()?;
        let hop = intent.parts.first()?.hops.get(usize::from(proposal.hop))?;
        let unit = row.accord.pairs.get(usize::from(hop.pair))?.unit(row.we_are_a);
        Some((unit, hop.dst))
    }

    /// A proposal that nobody has answered: whether it keeps the rules, and what we do with it.
    fn judge(
        &self,
        claim: &ClaimId,
        channel: StreamId,
        proposal: &Proposal,
        cx: &Cx<'_>,
    ) -> Result<Option<Todo>, RejectCode> {
        let broken = RejectCode::RuleBroken;
        let us = self.state.ledger().map_err(|_| broken)?;
        let row = self.state.channels.get(&channel).ok_or(broken)?;
        let intent = proposal.signed.parse().map_err(|_| broken)?;
        let [part] = &intent.parts[..] else { return Err(broken) };
        let place = usize::from(proposal.hop);
        let ends = (part.route.get(place), part.route.get(place.saturating_add(1)));
        if ends != (Some(&row.peer), Some(&us)) {
            return Err(broken);
        }
        let hop = part.hops.get(place).ok_or(broken)?;
        let unit = check_hop(row, hop).map_err(|_| broken)?;
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
        if self.room_in(channel, hop.pair) < 0 {
            return Err(RejectCode::NoRoom);
        }
        if intent.payee == us {
            return Ok(self.decide(claim, channel, proposal, intent, cx));
        }
        if intent.expires_ms <= now_ms {
            return Err(RejectCode::Expired);
        }
        let next_place = place.saturating_add(1);
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
        if check_hop(out, onward) != Ok(unit) {
            return Err(RejectCode::NoRoute);
        }
        if i128::from(onward.src.minor()) > room(&self.state, out, onward.pair).unwrap_or(0) {
            return Err(RejectCode::NoRoom);
        }
        let (leaf, signed) = (proposal.leaf, proposal.signed.clone());
        Ok(Some(Todo::Onward { from: channel, channel: id, leaf, signed, intent, place: next_place }))
    }

    /// What is left of the limit of a peer towards us, all its open claims counted: negative when they are too
    /// many.
    fn room_in(&self, channel: StreamId, pair: u8) -> i128 {
        let Some(row) = self.state.channels.get(&channel) else { return -1 };
        let Some(terms) = row.accord.pairs.get(usize::from(pair)) else { return -1 };
        let limit = i128::from(terms.limit(!row.we_are_a));
        let owed_to_them = i128::from(self.state.balance(&row.account, terms.unit(row.we_are_a)));
        let open = self.peers.stream(&channel).map_or(0, |s| i128::from(s.open_in(pair)));
        limit.saturating_add(owed_to_them).saturating_sub(open)
    }

    /// Our word, as the payee's network.
    fn decide(
        &self,
        claim: &ClaimId,
        channel: StreamId,
        proposal: &Proposal,
        intent: Intent,
        cx: &Cx<'_>,
    ) -> Option<Todo> {
        if self.state.decisions.contains_key(claim) {
            return None;
        }
        if self.may_have_decided(proposal.time_ms) {
            let (leaf, code) = (proposal.leaf, RejectCode::NoRoute);
            return Some(Todo::TurnAway { channel, leaf, code });
        }
        let refuse = |intent, code| Some(Todo::Refuse { intent, code });
        if cx.now_ms.max(self.state.head.time_ms) > intent.expires_ms {
            return refuse(intent, RejectCode::Expired);
        }
        if self.state.nonces.contains_key(&(intent.payer, intent.nonce)) {
            return refuse(intent, RejectCode::NonceUsed);
        }
        let (unit, amount) = self.value_in(channel, proposal)?;
        match (cx.payees)(claim, &intent.sidecar) {
            Payee::Missing => None,
            Payee::Bad => refuse(intent, RejectCode::Sidecar),
            Payee::Unknown => refuse(intent, RejectCode::UnknownPayee),
            Payee::Account(account) => match may_credit(&self.state, &account, unit, amount) {
                Ok(()) => {
                    let (leaf, intent) = (proposal.leaf, proposal.signed.clone());
                    Some(Todo::Accept { channel, leaf, intent, account })
                }
                Err(Rejected::UnknownAccount { .. } | Rejected::AccountClosed { .. }) => {
                    refuse(intent, RejectCode::UnknownPayee)
                }
                Err(_) => refuse(intent, RejectCode::OverLimit),
            },
        }
    }

    /// What came in, was booked, and cannot go onward (only after a contradiction of the decider, or because the
    /// next network gave it back): RETURN, and its second half. Both rest on our state alone, because by then what
    /// the peers said may be forgotten.
    fn todo_give_back(&self, claim: &ClaimId, row: &ClaimRow) -> Option<Todo> {
        row.incoming.iter().find_map(|(channel, hop)| {
            let (channel, value) = (*channel, hop.booked?);
            match hop.return_step {
                Some(reference) => (!hop.returned).then_some(Todo::GaveBack { channel, reference, value }),
                None => {
                    let onward =
                        row.outgoing.as_ref().filter(|out| out.origin == Origin::Upstream { channel });
                    // A yes without an onward hop was given for a hop that a succession has lost: that one may be bound.
                    let yes = matches!(hop.answer, Answer::Accepted(_));
                    let stuck =
                        onward.map_or(!yes, |out| matches!(out.closing, Closing::Freed(_)) || out.returned);
                    let decided = accepted_on(&self.state, claim, &channel).is_some();
                    let leaf = hop.done.filter(|_| stuck && !decided)?;
                    Some(Todo::Return { channel, leaf })
                }
            }
        })
    }

    fn take(&mut self, claim: &ClaimId, todo: Todo, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let (name, part) = (Some(*claim), 0);
        match todo {
            Todo::TurnAway { channel, leaf, code } => {
                let args = RejectArgs { code: code.code(), decision: None };
                self.step(channel, name, Some(leaf), StepArgs::Reject(args), cx)
            }
            Todo::Refuse { intent, code } => self.turn_down(&intent, *claim, code, cx),
            Todo::Accept { channel, leaf, intent, account } => {
                let decision = self.word(*claim, Outcome::Accept, RejectCode::Other(0))?;
                let args = AcceptArgs { decision, intent: Some(Blob(intent.intent.0)) };
                self.step(channel, name, Some(leaf), StepArgs::Accept(args), cx)?;
                let value = self.state.decisions.get(claim).and_then(|row| row.value);
                let (unit, amount) = value.ok_or(Rejected::UnknownClaim { claim: *claim })?;
                self.take(claim, Todo::Credit { account, unit, amount }, cx)
            }
            Todo::Credit { account, unit, amount } => {
                let postings = move_value(own_accounts::incoming(), account, unit, amount);
                let payload = Payload::Credit(Credit { claim: *claim, account, postings });
                self.own(payload, &[], claim.as_bytes(), part, cx)
            }
            Todo::Onward { from, channel, leaf, signed, intent, place } => {
                self.introduce(channel, intent.payer, cx)?;
                let hop = u8::try_from(place).map_err(|_| Rejected::PartsNotYet)?;
                let args = ProposeArgs { intent: signed, hop };
                let proposed = self.step(channel, name, Some(leaf), StepArgs::Propose(args), cx);
                // What our own books do not let us propose onward must not stay without an answer.
                proposed.or_else(|_| {
                    self.take(claim, Todo::TurnAway { channel: from, leaf, code: RejectCode::NoRoute }, cx)
                })
            }
            Todo::Done { out } => {
                // The ACCEPT may have overtaken everything: the peer need not have heard of the decider yet.
                self.introduce(out.channel, out.decider, cx)?;
                let decision = *self
                    .peers
                    .decision(claim, &out.decider)
                    .ok_or(Rejected::UnknownClaim { claim: *claim })?;
                let reference = Some(decision.id());
                let args = StepArgs::Done(DoneArgs { decision });
                self.step(out.channel, name, reference, args, cx)
            }
            Todo::Free { out, reject } => self.step(out.channel, name, Some(reject), StepArgs::Free, cx),
            Todo::End { out, closing } => {
                let postings = self.end_postings(&out)?;
                let payload = Payload::End(End { claim: *claim, part, closing, postings });
                self.own(payload, out.channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::PassAccept { channel, leaf, out } => {
                self.introduce(channel, out.decider, cx)?;
                let decision = *self
                    .peers
                    .decision(claim, &out.decider)
                    .ok_or(Rejected::UnknownClaim { claim: *claim })?;
                let args = AcceptArgs { decision, intent: None };
                self.step(channel, name, Some(leaf), StepArgs::Accept(args), cx)
            }
            Todo::PassReject { channel, leaf, out } => {
                let decision = self.peers.decision(claim, &out.decider).copied();
                let decision = decision.filter(|d| d.body.outcome == Outcome::Reject);
                if decision.is_some() {
                    self.introduce(channel, out.decider, cx)?;
                }
                let args = RejectArgs { code: RejectCode::Downstream.code(), decision };
                self.step(channel, name, Some(leaf), StepArgs::Reject(args), cx)
            }
            Todo::Book { channel, done, value, decided } => {
                let to = if decided { own_accounts::incoming() } else { own_accounts::transit() };
                let postings = self.peer_gives(channel, to, value)?;
                let payload = Payload::Book(Book { claim: *claim, part, channel, closing: done, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::Return { channel, leaf } => self.step(channel, name, Some(leaf), StepArgs::Return, cx),
            Todo::GaveBack { channel, reference, value: (unit, amount) } => {
                let account = self.peer_account(channel)?;
                let postings = move_value(own_accounts::transit(), account, unit, amount);
                let payload =
                    Payload::Returned(Returned { claim: *claim, part, channel, reference, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
            Todo::GotBack { out, reference } => {
                let to = match out.origin {
                    Origin::Hold { account, .. } => account,
                    Origin::Upstream { .. } => own_accounts::transit(),
                };
                let channel = out.channel;
                let postings = self.peer_gives(channel, to, (out.unit, out.amount))?;
                let payload =
                    Payload::Returned(Returned { claim: *claim, part, channel, reference, postings });
                self.own(payload, channel.as_bytes(), claim.as_bytes(), part, cx)
            }
        }
    }

    fn peer_account(&self, channel: StreamId) -> Result<AccountId, Rejected> {
        let row = self.state.channels.get(&channel);
        row.map(|row| row.account).ok_or(Rejected::UnknownChannel { channel })
    }

    fn peer_gives(
        &self,
        channel: StreamId,
        to: AccountId,
        (unit, amount): (UnitId, Amount),
    ) -> Result<Vec<Posting>, Rejected> {
        Ok(move_value(self.peer_account(channel)?, to, unit, amount))
    }

    fn end_postings(&self, out: &OutHop) -> Result<Vec<Posting>, Rejected> {
        let peer = self.peer_account(out.channel)?;
        let (from, to) = match (out.origin, out.closing) {
            (Origin::Hold { account, .. }, Closing::Freed(_)) => (own_accounts::hold(), account),
            (Origin::Hold { .. }, _) => (own_accounts::hold(), peer),
            (Origin::Upstream { .. }, _) => (own_accounts::transit(), peer),
        };
        Ok(move_value(from, to, out.unit, out.amount))
    }
}

/// What peers said about a claim is forgotten once nothing is left to do, and nobody can add to it but by
/// contradicting themselves.
pub(super) fn forget_if_settled(state: &State, peers: &mut Peers, claim: &ClaimId) {
    let Some(row) = state.claim(claim) else { return };
    let credited = state.decisions.get(claim).is_none_or(|d| d.credited || d.outcome == Outcome::Reject);
    let out = row.outgoing.as_ref();
    let incoming_done = row.incoming.iter().all(|(channel, hop)| {
        let onward = out.is_some_and(|out| {
            out.origin == Origin::Upstream { channel: *channel }
                && matches!(out.closing, Closing::Done(_))
                && !out.returned
        });
        hop.booked.is_none() || hop.returned || onward || accepted_on(state, claim, channel).is_some()
    });
    let all_heard = peers.channels_of(claim).iter().all(|channel| {
        let hop = row.incoming.get(channel);
        peers.claim(channel, claim).is_none_or(|said| {
            let closed = match (&said.proposal, said.closing) {
                (None, _) | (Some(_), Some(PeerClosing::Free)) => true,
                (Some(_), Some(PeerClosing::Done(_))) => hop.is_some_and(|h| h.booked.is_some()),
                (Some(_), None) => false,
            };
            closed && (said.returned.is_none() || out.is_some_and(|out| out.returned))
        })
    });
    if row.is_closed() && credited && incoming_done && all_heard {
        peers.settle(claim);
    }
}
