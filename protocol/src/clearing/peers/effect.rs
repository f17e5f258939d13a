//! What a peer's step means to us, and when it means nothing (specs/clearing.md §6).

use super::{Finding, PeerAnswer, PeerClaim, PeerClosing, Peers, Proposal};
use crate::clearing::accord::{Accord, channel_id};
use crate::clearing::dispute::{DisputeArgs, DisputeOutcome, Disputed, is_ours};
use crate::clearing::intent::{Decision, Intent, Outcome, RejectCode, SignedIntent};
use crate::clearing::leg::Leg;
use crate::clearing::step::{AccordArgs, Step, StepArgs};
use crate::clearing::weak::{self, Weak};
use crate::entry::Entry;
use crate::evidence::EvidenceType;
use crate::ids::{ClaimId, Hash};
use crate::ledger::clearing;
use crate::ledger::halt::{self, PauseArgs};
use crate::ledger::identity::is_identity;
use crate::ledger::state::{Answer, Closing, State};

impl Peers {
    /// What a step means; an error says why it means nothing. What it means for statements follows.
    pub(super) fn effect(&mut self, state: &State, entry: &Entry, step: &Step) -> Result<(), &'static str> {
        self.meaning(state, entry, step)?;
        self.follow_peer(state, entry, step);
        Ok(())
    }

    fn meaning(&mut self, state: &State, entry: &Entry, step: &Step) -> Result<(), &'static str> {
        match &step.args {
            StepArgs::Accord(args) => self.accord(state, entry, step, args),
            StepArgs::ResetRefuse(args) => self.hear_refusal(step, *args),
            StepArgs::Reset(args) => self.hear_reset(state, entry, step, args),
            StepArgs::Key(args) => {
                let known = Entry::parse(&args.entry.0).map_err(|_| "KEY holds no entry")?;
                if !is_identity(&known.op().payload) {
                    return Err("KEY holds an entry that is none of identity");
                }
                if self.has_identity_entry(&known) {
                    return Ok(());
                }
                self.contradicts_identity(&known);
                let taken = self.absorb_identity(&known);
                taken.map_err(|_| "KEY holds an identity entry that does not verify or does not follow")
            }
            StepArgs::Propose(args) => {
                let proposal = Proposal {
                    leaf: entry.leaf(),
                    signed: args.intent.clone(),
                    hop: args.hop,
                    time_ms: entry.body().time_ms,
                    counted: counted(state, step, &args.intent, args.hop),
                };
                self.proposal(step, proposal)
            }
            StepArgs::Accept(args) => {
                self.learn(state, &args.decision, entry)?;
                if args.decision.body.outcome != Outcome::Accept
                    || Some(args.decision.body.claim) != step.claim
                {
                    return Err("ACCEPT holds another Decision");
                }
                self.claim_mut(step)?.answer.get_or_insert(PeerAnswer::Accept);
                Ok(())
            }
            StepArgs::Reject(args) => {
                if let Some(decision) = &args.decision {
                    self.learn(state, decision, entry)?;
                }
                let code = RejectCode::from_code(args.code);
                let claim = self.claim_mut(step)?;
                match claim.answer {
                    Some(PeerAnswer::Reject(..)) => Err("REJECT twice"),
                    // A REJECT after an ACCEPT contradicts; it frees nothing, because the ACCEPT's Decision counts.
                    Some(PeerAnswer::Accept) => Err("REJECT after ACCEPT"),
                    None => {
                        claim.answer = Some(PeerAnswer::Reject(entry.leaf(), code));
                        Ok(())
                    }
                }
            }
            StepArgs::Done(args) => {
                self.learn(state, &args.decision, entry)?;
                let body = &args.decision.body;
                if body.outcome != Outcome::Accept || Some(body.claim) != step.claim {
                    return Err("DONE holds another Decision");
                }
                self.close(step, PeerClosing::Done(entry.leaf()), |proposal| {
                    let intent = proposal.signed.parse().map_err(|_| "DONE on a malformed proposal")?;
                    if intent.payee == body.decider {
                        Ok(())
                    } else {
                        Err("DONE by the word of another decider")
                    }
                })
            }
            StepArgs::Free => {
                let claim = step.claim.unwrap_or(ClaimId::ZERO);
                let hop = state.leg(&claim, step.part).and_then(|row| row.incoming.get(&step.channel));
                let ours = match hop.map(|h| h.answer) {
                    Some(Answer::Rejected(leaf)) => Some(leaf),
                    Some(Answer::None | Answer::Accepted(_)) => None,
                    None => self.leg(&step.channel, &claim, step.part).and_then(|said| said.refused),
                };
                // What we have rejected is free, also when the peer names a REJECT of ours that we have lost and written
                // again. Where we have lost it and not written it again it means nothing, and blames nobody.
                if ours.is_none() && !weak::is(Weak::RejectOvertakes) {
                    let said = self.leg(&step.channel, &claim, step.part).and_then(|s| s.proposal.as_ref());
                    let lost = said.is_some_and(|proposal| is_before_a_loss(state, proposal));
                    return if lost { Ok(()) } else { Err("FREE without our REJECT") };
                }
                self.close(step, PeerClosing::Free, |_| Ok(()))
            }
            StepArgs::Return => {
                let row = state.leg(&step.claim.unwrap_or(ClaimId::ZERO), step.part);
                let done = row.and_then(|row| row.outgoing.as_ref()).is_some_and(|out| {
                    out.channel == step.channel && matches!(out.closing, Closing::Done(_))
                });
                if !done {
                    return Err("RETURN of what was not bound");
                }
                let returned = &mut self.claim_mut(step)?.returned;
                if returned.is_some() {
                    return Err("RETURN twice");
                }
                *returned = Some(entry.leaf());
                Ok(())
            }
            StepArgs::Stmt(args) => self.hear_statement(state, entry, step, args),
            StepArgs::StmtAck(args) => self.hear_answer(state, entry, step, args),
            StepArgs::Settle(args) => self.hear_settle(state, entry, step, args),
            StepArgs::SettleAck(args) => self.hear_settle_ack(state, entry, step, *args),
            StepArgs::Dispute(args) => self.dispute(state, entry, step, args),
            StepArgs::Offer(args) => self.hear_offer(state, entry, step, args),
            StepArgs::DropHold(args) => self.hear_drop(step, *args),
            StepArgs::Apply(args) => self.hear_apply(state, entry, step, args),
            StepArgs::Pause(args) => self.halt(step, Some(*args)),
            StepArgs::End => self.halt(step, None),
        }
    }

    /// A creditor's is kept for us to follow, when our root set has signed it, too. A debtor's names ours and closes.
    fn dispute(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &DisputeArgs,
    ) -> Result<(), &'static str> {
        let dispute = self.read_dispute(state, entry, step, args)?;
        let leaf = entry.leaf();
        if dispute.creditor == entry.body().ledger {
            let disputed = &mut self.claim_mut(step)?.disputed;
            if step.reference.is_some() || disputed.is_some() {
                return Err("DISPUTE of a creditor twice, or as if it were the debtor");
            }
            if is_ours(state, args, &dispute) {
                *disputed = Some(Box::new(Disputed { leaf, args: args.clone() }));
            }
            return Ok(());
        }
        let hop = state.leg(&dispute.claim, step.part).and_then(|row| row.incoming.get(&step.channel));
        let ours = hop.and_then(|hop| hop.disputed);
        let follows =
            ours.is_some_and(|ours| (Some(ours.leaf), ours.outcome) == (step.reference, dispute.outcome));
        if !follows {
            let said = self.leg(&step.channel, &dispute.claim, step.part).and_then(|s| s.proposal.as_ref());
            let lost = said.is_some_and(|proposal| is_before_a_loss(state, proposal));
            return if lost { Ok(()) } else { Err("DISPUTE of a debtor without ours") };
        }
        let closing = match dispute.outcome {
            DisputeOutcome::Bound => PeerClosing::Done(leaf),
            DisputeOutcome::Free => PeerClosing::Free,
        };
        self.close(step, closing, |_| Ok(()))
    }

    fn halt(&mut self, step: &Step, args: Option<PauseArgs>) -> Result<(), &'static str> {
        let stream = self.streams.get_mut(&step.channel).ok_or("PAUSE or END on no stream")?;
        stream.halt = halt::after(stream.halt, args).map_err(|_| "PAUSE or END that changes nothing")?;
        Ok(())
    }

    /// An identity entry at the place of another one that we have.
    fn contradicts_identity(&mut self, entry: &Entry) {
        let place = |of: &Entry| of.body().stream.map(|header| (header.id, header.sseq));
        let known = self.identity_entries(&entry.body().ledger).iter().filter_map(|b| Entry::parse(b).ok());
        let other = known.into_iter().find(|known| place(known) == place(entry));
        if let Some(other) = other {
            let halves = [other.bytes().to_vec(), entry.bytes().to_vec()];
            self.contradictions.push((EvidenceType::Entries, entry.body().ledger, halves));
        }
    }

    fn accord(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &AccordArgs,
    ) -> Result<(), &'static str> {
        let bytes = &args.accord.0;
        let accord = Accord::parse(bytes).map_err(|_| "a malformed accord")?;
        let peer = entry.body().ledger;
        let n = state.incarnation(&peer);
        if accord.other(&peer).is_none() || channel_id(&accord.a, &accord.b, n) != step.channel {
            return Err("an accord for another channel");
        }
        let identity = self.identities.get(&peer).ok_or("an accord of a network we do not know")?;
        let sigs = if accord.a == peer { &args.sigs_a } else { &args.sigs_b };
        let root = identity.root_at(entry.body().seq);
        let checks =
            clearing::accord_signatures_of(root, bytes, sigs).map_err(|_| "an accord without a quorum")?;
        if checks.iter().any(|check| check.verify().is_err()) {
            return Err("an accord with a signature that does not verify");
        }
        // A new version may reach us before we append it ourselves: it is compared with ours when it is used.
        if let Some(stream) = self.streams.get_mut(&step.channel) {
            stream.accord_id = Some(accord.id());
            stream.halt = None;
        }
        Ok(())
    }

    fn proposal(&mut self, step: &Step, proposal: Proposal) -> Result<(), &'static str> {
        let claim = step.claim.unwrap_or(ClaimId::ZERO);
        if proposal.signed.claim() != claim && !weak::is(Weak::ClaimIsAnyName) {
            return Err("PROPOSE names another claim than its Intent");
        }
        let channel = step.channel;
        let said = self.claim_mut(step)?;
        if said.proposal.is_some() {
            return Err("PROPOSE twice");
        }
        let counted = proposal.counted;
        said.proposal = Some(proposal);
        if let (Some((pair, amount)), Some(stream)) = (counted, self.streams.get_mut(&channel)) {
            let open = stream.open_in.entry(pair).or_default();
            *open = open.saturating_add(amount);
        }
        Ok(())
    }

    fn close(
        &mut self,
        step: &Step,
        closing: PeerClosing,
        check: impl FnOnce(&Proposal) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let claim = self.claim_mut(step)?;
        let proposal = claim.proposal.as_ref().ok_or("a closing step without a proposal")?;
        check(proposal)?;
        if claim.closing.is_some() {
            return Err("a second closing step");
        }
        let counted = proposal.counted;
        claim.closing = Some(closing);
        if let (Some((pair, amount)), Some(stream)) = (counted, self.streams.get_mut(&step.channel)) {
            let open = stream.open_in.entry(pair).or_default();
            *open = open.saturating_sub(amount);
        }
        Ok(())
    }

    fn claim_mut(&mut self, step: &Step) -> Result<&mut PeerClaim, &'static str> {
        let claim = step.claim.ok_or("a step without its claim")?;
        let stream = self.streams.get_mut(&step.channel).ok_or("a step on no stream")?;
        Ok(stream.claims.entry(Leg { claim, part: step.part }).or_default())
    }

    /// Verifies and keeps a Decision. A contradiction convicts and changes nothing that is done.
    fn learn(&mut self, state: &State, decision: &Decision, entry: &Entry) -> Result<(), &'static str> {
        let decider = decision.body.decider;
        let own = state.identity.as_ref().filter(|i| i.ledger == decider);
        let identity = own.or_else(|| self.identities.get(&decider));
        let identity = identity.ok_or("a Decision of a network we were not shown")?;
        decision.verify(identity).map_err(|_| "a Decision that does not verify")?;
        self.keep(decision, entry.leaf());
        Ok(())
    }

    /// Of two contradictory Decisions the ACCEPT is kept: it counts however and whenever it comes (hop rule).
    pub(super) fn keep(&mut self, decision: &Decision, leaf: Hash) {
        let (claim, decider) = (decision.body.claim, decision.body.decider);
        let known = self.decisions.entry((claim, decider)).or_insert(*decision);
        if known.body.outcome != decision.body.outcome {
            if !self.contradicted.contains(&(claim, decider)) {
                let halves = [crate::encoding::encode(&*known), crate::encoding::encode(decision)];
                self.contradictions.push((EvidenceType::Decisions, decider, halves));
            }
            if decision.body.outcome == Outcome::Accept {
                *known = *decision;
            }
            // Whoever repeats it outside the streams tells nothing new.
            if self.contradicted.insert((claim, decider)) || leaf != Hash::ZERO {
                let what = "two contradictory Decisions on one claim";
                self.find(Finding { ledger: decider, leaf, what: what.into() });
            }
        }
    }
}

/// Whether a proposal came before a succession: what we said to it may be lost.
fn is_before_a_loss(state: &State, proposal: &Proposal) -> bool {
    state.successions.values().next_back().is_some_and(|row| proposal.time_ms <= row.boot)
}

/// What a proposal holds of the peer's room, in the position unit: nothing when it does not name a hop of its Intent.
fn counted(state: &State, step: &Step, signed: &SignedIntent, hop: u8) -> Option<(u8, u64)> {
    let intent: Intent = signed.parse().ok()?;
    let hop = intent.parts.get(usize::from(step.part))?.hops.get(usize::from(hop))?;
    let row = state.channels.get(&step.channel);
    let terms = row.and_then(|row| Some((row.accord.pairs.get(usize::from(hop.pair))?, row.we_are_a)));
    let held = match terms.filter(|(pair, _)| pair.foreign.is_some()) {
        Some((pair, we_are_a)) => pair.position_of(hop, !we_are_a),
        None => hop.dst,
    };
    Some((hop.pair, held.minor().unsigned_abs()))
}
