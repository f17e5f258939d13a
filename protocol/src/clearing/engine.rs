//! The engine: our ledger and what peers have said, moved forward together (specs/clearing.md §9).
//!
//! Sans-IO. Each input changes the state in memory and adds records to a batch; the caller makes the batch
//! durable in order and only then sends, answers and calls the inputs acknowledged. If that fails it stops: the
//! engine is ahead of the disk. After a crash an engine rebuilt from the durable records, however many of a batch
//! arrived, goes on from there ([`Engine::recover`]).

#[cfg(feature = "simulator")]
mod fork;

pub use super::apply::{Will, Wish};
use super::intent::{Decision, DecisionBody, Intent, Outcome, RejectCode, SignedIntent};
use super::leg::Leg;
pub use super::pay::{Path, Route};
use super::peers::{Peers, Place, Refusal};
use super::step::{AccordArgs, Ack, Step, StepArgs};
use super::weak::{self, Weak};
use crate::encoding::Blob;
use crate::entry::{Entry, Kind, Op, Payload, SignedOp};
use crate::ids::{AccountId, ClaimId, Hash, LedgerId, Salt, StreamId};
use crate::ledger::author::{Author, Written};
use crate::ledger::clearing::log_epoch;
use crate::ledger::state::{Answer, ChannelRow, DecisionRow};
use crate::ledger::witness::PeerView;
use crate::ledger::{Rejected, State, node_op_id};
use std::collections::BTreeSet;

/// What the world gives an input: time, randomness, and who a sealed payee is.
pub struct Cx<'a> {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Fresh random bytes.
    pub salt: &'a mut dyn FnMut() -> Salt,
    /// Who is meant by the sealed sidecar with this commitment, of this claim.
    pub payees: &'a dyn Fn(&ClaimId, &Hash) -> Payee,
    /// The exact bytes of an entry received and stored earlier.
    pub held: &'a dyn Fn(&Place) -> Option<Vec<u8>>,
}

/// What the sealed sidecar of a claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payee {
    /// This account.
    Account(AccountId),
    /// A name that nobody has here.
    Unknown,
    /// It does not open, or is not what was committed to.
    Bad,
    /// It has not come yet.
    Missing,
}

/// A record to be made durable.
#[derive(Debug, Clone)]
pub enum Record {
    /// An entry of ours.
    Own(Box<Written>),
    /// A peer's entry, exactly as it came.
    Received(Box<Entry>),
    /// Evidence that convicts a network: its exact bytes.
    Evidence(Vec<u8>),
}

impl Record {
    /// The bytes of the entry received at a place, when this is its record.
    pub fn received_at(&self, place: &Place) -> Option<Vec<u8>> {
        let Self::Received(entry) = self else { return None };
        let header = entry.body().stream.filter(|h| h.id == place.stream && h.sseq == place.sseq);
        (header.is_some() && entry.body().ledger == place.ledger).then(|| entry.bytes().to_vec())
    }
}

/// Records to be made durable together, in this order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In order.
    pub records: Vec<Record>,
    /// Claims that moved.
    pub claims: BTreeSet<ClaimId>,
}

/// The answer to somebody who asks about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskAnswer {
    /// The Decision.
    Decided(Box<Decision>),
    /// Nothing that may be told yet.
    Open,
    /// The question is refused.
    Refused(Rejected),
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    pub(super) state: State,
    pub(super) peers: Peers,
    pub(super) author: Author,
    pub(super) secret: [u8; 32],
    pub(super) batch: Batch,
    /// Nothing at all is signed: our books may be older than what we have said.
    pub(super) quiet: bool,
    /// When the last start was that was not proven, by our own time; 0: none that we know of.
    pub(super) unsure_ms: u64,
    /// Claims of ours whose last parts a crash has kept from being proposed.
    pub(super) broken: BTreeSet<ClaimId>,
    /// Nothing is signed on these channels: their peers have not answered our guard.
    pub(super) hushed: BTreeSet<StreamId>,
    /// Of them: channels whose peers have answered, and hold nothing of ours that we lack.
    pub(super) answered: BTreeSet<StreamId>,
    /// Networks that our operator has shut out.
    pub(super) banned: BTreeSet<LedgerId>,
    /// What people want in netting rounds.
    pub(super) will: Will,
    /// The last claim that the tick before looked at, where it has not come round.
    pub(super) looked_at: Option<ClaimId>,
}

/// Claims that one tick looks at: some milliseconds of work, and no more however many a peer leaves open.
const MAX_LOOKED_AT: usize = 512;

impl Engine {
    /// An engine over an empty ledger.
    pub fn new(author: Author, secret: [u8; 32]) -> Self {
        Self::resume(State::default(), Peers::default(), author, secret)
    }

    /// An engine over what was read back.
    pub fn resume(state: State, peers: Peers, author: Author, secret: [u8; 32]) -> Self {
        let (quiet, hushed, banned) = (false, BTreeSet::new(), BTreeSet::new());
        let (unsure_ms, broken) = (0, BTreeSet::new());
        Self {
            state,
            peers,
            author,
            secret,
            batch: Batch::default(),
            quiet,
            unsure_ms,
            broken,
            hushed,
            answered: BTreeSet::new(),
            banned,
            will: Will::default(),
            looked_at: None,
        }
    }

    /// Gives the engine one more log key: the one that is to be bound next.
    pub fn hold_log_key(&mut self, log_key: crate::keys::SecretKey) {
        self.author.hold(log_key);
    }

    /// The log key in force: signs checkpoints and descriptors.
    ///
    /// # Errors
    /// When this node does not hold it.
    pub fn log_key(&self) -> Result<&crate::keys::SecretKey, Rejected> {
        self.author.log_key(self.state.identity()?, log_epoch(&self.state)?)
    }

    /// Our state.
    pub fn state(&self) -> &State {
        &self.state
    }
    /// What peers have said.
    pub fn peers(&self) -> &Peers {
        &self.peers
    }
    /// Takes in a public entry of another network, before or beside an accord.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn receive_public(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.take_public(Entry::parse(bytes).map_err(Refusal::Malformed)?)
    }
    fn take_public(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.peers.absorb_public(&entry)?;
        self.batch.records.push(Record::Received(Box::new(entry)));
        Ok(())
    }
    /// Takes in a public entry as [`Engine::receive_public`] does, and compares one at a place that is known.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn hear_public(&mut self, bytes: &[u8], cx: &mut Cx<'_>) -> Result<(), Refusal> {
        self.hear_entry(Entry::parse(bytes).map_err(Refusal::Malformed)?, cx)
    }
    /// The same of one that was read already.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn hear_entry(&mut self, entry: Entry, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        let author = entry.body().ledger;
        if self.peers.identity(&author).is_some() {
            match entry.body().stream.map(|header| header.sseq < self.peers.public_next(&author)) {
                Some(true) => self.compare_known(&entry, cx),
                Some(false) => self.compare_seq(&entry, cx),
                None => {}
            }
        }
        self.take_public(entry)
    }
    /// Whether there are records that were not taken to be made durable.
    pub fn has_unwritten(&self) -> bool {
        !self.batch.records.is_empty()
    }
    /// The records that were not taken yet.
    pub fn unwritten(&self) -> &[Record] {
        &self.batch.records
    }
    /// The records since the last call.
    pub fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }

    /// An operation of a person, or of the root set. A [`Hold`](crate::ledger::transfer::Hold) goes through
    /// [`Engine::pay`].
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub fn submit(&mut self, signed: &SignedOp, cx: &mut Cx<'_>) -> Result<Written, Rejected> {
        let kind = Kind::from_code(signed.kind);
        if matches!(kind, Some(Kind::Hold | Kind::Step(_) | Kind::Recovered)) {
            return Err(Rejected::StepForm);
        }
        if kind == Some(Kind::Settled) {
            let op = Op::parse(Kind::Settled, &signed.op.0).map_err(Rejected::Encoding)?;
            return self.settle(signed, &op, cx);
        }
        self.write(signed, cx)
    }

    /// The channel with a peer, if both sides have appended the same accord and the peer has kept the rules.
    pub(super) fn ready_channel(&self, peer: &LedgerId) -> Result<(StreamId, &ChannelRow), Rejected> {
        let (id, channel) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        self.check_not_resetting(&id, peer)?;
        let theirs = self.peers.stream(&id).and_then(|s| s.accord_id);
        if theirs != Some(channel.accord_id) {
            return Err(Rejected::NoAccord { peer: *peer });
        }
        if self.is_banned(peer) {
            return Err(Rejected::PeerBanned { peer: *peer });
        }
        if self.is_frozen(peer) {
            return Err(Rejected::PeerFrozen { peer: *peer });
        }
        if self.hushed.contains(&id) {
            return Err(Rejected::NotHeard { peer: *peer });
        }
        if self.state.written_off.contains_key(&id) {
            return Err(Rejected::WrittenOff { peer: *peer });
        }
        crate::ledger::halt::check_open(channel)?;
        if let Some(halt) = self.peers.stream(&id).and_then(|stream| stream.halt) {
            return Err(Rejected::Halted { peer: *peer, halt, by_us: false });
        }
        Ok((id, channel))
    }

    /// Appends the accord that both root sets have signed.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub fn accord(&mut self, args: AccordArgs, cx: &mut Cx<'_>) -> Result<StreamId, Rejected> {
        let accord = super::accord::Accord::parse(&args.accord.0).map_err(Rejected::Accord)?;
        let us = self.state.ledger()?;
        let (peer, _) = accord.other(&us).ok_or(Rejected::AccordPlace)?;
        let id = super::accord::channel_id(&accord.a, &accord.b, self.state.incarnation(&peer));
        let theirs = self.peers.identity(&peer).ok_or(Rejected::NotIntroduced { ledger: peer })?;
        let sigs = if accord.a == peer { &args.sigs_a } else { &args.sigs_b };
        let checks = crate::ledger::clearing::accord_signatures(theirs, &args.accord.0, sigs)?;
        checks.iter().try_for_each(|c| c.verify().map_err(Rejected::Signature))?;
        self.step_about(id, (None, 0), None, StepArgs::Accord(args), accord.id().as_bytes(), cx)?;
        Ok(id)
    }

    /// Records the head of a peer's log that we have cosigned.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub fn record_view(&mut self, view: PeerView, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let note = view.note;
        self.own(Payload::PeerView(view), &[], note.as_bytes(), 0, cx)
    }

    /// A peer's entry: taken in if it is signed and chained, and answered.
    ///
    /// # Errors
    /// Why it is not taken in; nothing changed.
    pub fn receive(&mut self, peer: &LedgerId, bytes: &[u8], cx: &mut Cx<'_>) -> Result<(), Refusal> {
        self.receive_proven(peer, bytes, None, cx)
    }

    /// A peer's entry with the proof that it is in the last good checkpoint of a revocation (specs/keys.md §3).
    ///
    /// # Errors
    /// Why it is not taken in; nothing changed.
    pub fn receive_proven(
        &mut self,
        peer: &LedgerId,
        bytes: &[u8],
        proof: Option<&[Hash]>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        self.receive_entry(peer, Entry::parse(bytes).map_err(Refusal::Malformed)?, proof, cx)
    }

    /// The same of an entry that was read already.
    ///
    /// # Errors
    /// Why it is not taken in; nothing changed.
    pub fn receive_entry(
        &mut self,
        peer: &LedgerId,
        entry: Entry,
        proof: Option<&[Hash]>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Refusal> {
        let checked = self.peers.check(&self.state, peer, &entry, proof);
        if matches!(checked, Err(Refusal::Known { .. })) {
            self.compare_known(&entry, cx);
        }
        checked?;
        self.compare_seq(&entry, cx);
        let claim = self.peers.absorb(&self.state, &entry);
        self.batch.records.push(Record::Received(Box::new(entry)));
        self.convict_contradictions(cx);
        self.look_at_write_offs(cx);
        self.look_at_resets(cx);
        if let Some(claim) = claim {
            self.react(&claim, cx);
        } else if let Some((id, _)) = self.state.channel_with(peer) {
            // Where it cannot be answered now the next look tries again.
            self.look_at_rounds(cx);
            self.look_at_settlements(&id, cx);
            let _ = self.answer_statement(&id, cx);
        }
        Ok(())
    }

    /// A question about a claim, or the wish to cancel it, from the network that `asker` was shown to be.
    pub fn ask(
        &mut self,
        asker: &LedgerId,
        signed: &SignedIntent,
        cancel: bool,
        cx: &mut Cx<'_>,
    ) -> AskAnswer {
        match self.try_ask(asker, signed, cancel, cx) {
            Ok(answer) => answer,
            Err(refused) => AskAnswer::Refused(refused),
        }
    }

    fn try_ask(
        &mut self,
        asker: &LedgerId,
        signed: &SignedIntent,
        cancel: bool,
        cx: &mut Cx<'_>,
    ) -> Result<AskAnswer, Rejected> {
        let intent = signed.parse()?;
        let claim = signed.claim();
        if intent.payee != self.state.ledger()? {
            return Err(Rejected::DecisionMismatch);
        }
        let on_route = (0..).zip(&intent.parts).any(|(part, _)| intent.place(part, asker).is_some());
        if !on_route {
            return Err(Rejected::HopMismatch { why: "the asker is not on the route" });
        }
        let payer =
            self.peers.identity(&intent.payer).ok_or(Rejected::NotIntroduced { ledger: intent.payer })?;
        signed.verify(payer, intent.epoch)?;
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        let expired = now_ms > intent.expires_ms;
        if cancel && (*asker == intent.payer || expired) && !self.state.decisions.contains_key(&claim) {
            // What may still be proposed when its row here is forgotten would be decided twice.
            if intent.expires_ms > now_ms.saturating_add(super::react::MAX_EXPIRY_SEEN_MS) {
                return Err(Rejected::Expires { expires_ms: intent.expires_ms, now_ms });
            }
            let code = if expired { RejectCode::Expired } else { RejectCode::Cancelled };
            if self.is_doubtful(&claim, &intent) {
                // Where its PROPOSE is here it is turned away without a Decision; where it is not, nobody is bound to us.
                self.react(&claim, cx);
                return Ok(AskAnswer::Open);
            }
            match self.turn_down(&intent, claim, code, cx) {
                // Turned away without a Decision: that REJECT is on its way and is answer enough.
                Ok(()) | Err(Rejected::AlreadyAnswered { .. }) => self.react(&claim, cx),
                Err(refused) => return Err(refused),
            }
        }
        let Some(row) = self.state.decisions.get(&claim) else { return Ok(AskAnswer::Open) };
        let last_hop = self.state.channels.get(&row.channel).map(|c| c.peer);
        let acked = self.peers.stream(&row.channel).is_some_and(|s| s.acked > row.sseq);
        if acked || last_hop == Some(*asker) || weak::is(Weak::TellsAndForgets) {
            Ok(AskAnswer::Decided(Box::new(self.decision(claim, row)?)))
        } else {
            Ok(AskAnswer::Open)
        }
    }

    /// Whether we may have decided a claim before a start that was not proven, and do not know.
    pub(super) fn is_doubtful(&self, claim: &ClaimId, intent: &Intent) -> bool {
        // Without its PROPOSE nothing says when it was made but how long it may have been under way.
        let earliest_ms = intent.expires_ms.saturating_sub(super::accord::MAX_EXPIRY_MS);
        (0_u8..).zip(&intent.parts).any(|(part, _)| {
            let channel = intent.last_middle(part).and_then(|last| self.state.channel_with(last));
            let said = channel.and_then(|(id, _)| self.peers.leg(&id, claim, part));
            let proposal = said.and_then(|said| said.proposal.as_ref());
            self.may_have_decided(proposal.map_or(earliest_ms, |proposal| proposal.time_ms))
        })
    }

    /// The decider's no, into the stream of every part's last hop, whether its PROPOSE has come or not. One Decision
    /// for all parts; what was said on one before a crash is said on the others after it.
    pub(super) fn turn_down(
        &mut self,
        intent: &Intent,
        claim: ClaimId,
        code: RejectCode,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let mut said = Err(Rejected::AlreadyAnswered { claim });
        for (part, _) in (0_u8..).zip(&intent.parts) {
            let known = intent.last_middle(part).and_then(|last| self.state.channel_with(last));
            let Some((channel, _)) = known else { continue };
            let hop = self.state.leg(&claim, part).and_then(|row| row.incoming.get(&channel));
            if hop.is_some_and(|hop| hop.answer != Answer::None) {
                continue;
            }
            // Who has not answered our guard hears it when its PROPOSE comes; the Decision stands.
            let refused = self.say_no(intent, claim, part, code, cx);
            said = if said.is_ok() { said } else { refused };
        }
        said
    }

    /// The decider's no on one part: the Decision as it was signed, or a new one.
    pub(super) fn say_no(
        &mut self,
        intent: &Intent,
        claim: ClaimId,
        part: u8,
        code: RejectCode,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let no = Rejected::HopMismatch { why: "there is no hop to us" };
        let last = intent.last_middle(part).ok_or(no)?;
        let (channel, _) = self.state.channel_with(last).ok_or(Rejected::NoAccord { peer: *last })?;
        let proposal = self.peers.leg(&channel, &claim, part).and_then(|said| said.proposal.as_ref());
        let reference = proposal.map(|proposal| proposal.leaf);
        let decision = match self.state.decisions.get(&claim) {
            Some(row) if row.outcome == Outcome::Reject => self.decision(claim, row)?,
            Some(_) | None => self.word(claim, Outcome::Reject, code)?,
        };
        let args = super::step::RejectArgs { code: decision.body.code, decision: Some(decision) };
        self.step_of(channel, Leg { claim, part }, reference, StepArgs::Reject(args), cx)
    }

    /// Signs our word on a claim.
    pub(super) fn word(
        &self,
        claim: ClaimId,
        outcome: Outcome,
        code: RejectCode,
    ) -> Result<Decision, Rejected> {
        let code = if outcome == Outcome::Accept { 0 } else { code.code() };
        let (decider, epoch) = (self.state.ledger()?, log_epoch(&self.state)?);
        let v = super::intent::CLAIM_VERSION;
        let key = self.author.log_key(self.state.identity()?, epoch)?;
        Ok(Decision::sign(DecisionBody { v, decider, epoch, claim, outcome, code }, key))
    }

    /// Our word as we gave it. Signatures are deterministic, so where it is not remembered it is made again.
    pub(super) fn decision(&self, claim: ClaimId, row: &DecisionRow) -> Result<Decision, Rejected> {
        if let Some(word) = self.peers.own_word(&claim) {
            return Ok(*word);
        }
        let v = super::intent::CLAIM_VERSION;
        let body = DecisionBody {
            v,
            decider: self.state.ledger()?,
            epoch: row.epoch,
            claim,
            outcome: row.outcome,
            code: row.code,
        };
        let key = self.author.log_key(self.state.identity()?, row.epoch)?;
        Ok(Decision::sign(body, key))
    }

    /// A Decision that came outside the streams.
    ///
    /// # Errors
    /// When we have no part in the claim, or it does not verify.
    pub fn learn(&mut self, decision: &Decision, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let claim = decision.body.claim;
        if self.state.legs(&claim).next().is_none() {
            return Err(Rejected::UnknownClaim { claim });
        }
        self.peers.learn_decision(decision)?;
        self.convict_contradictions(cx);
        self.react(&claim, cx);
        Ok(())
    }

    /// The peer has our stream up to here; it cannot have more than we wrote.
    pub fn acked(&mut self, channel: &StreamId, next: u64) {
        let written = self.state.stream(channel).next;
        self.peers.acked(channel, next.min(written));
    }

    /// Looks again at claims that peers have open with us: sidecars may have come, expiries passed. At most
    /// `MAX_LOOKED_AT` of them each time, in turns: what arrives is looked at when it does.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        self.look_at_resets(cx);
        let claims = self.peers.claims_after(self.looked_at, MAX_LOOKED_AT);
        let comes_round = claims.len() < MAX_LOOKED_AT;
        self.looked_at = claims.last().copied().filter(|_| !comes_round);
        for claim in claims {
            self.react(&claim, cx);
        }
        self.pass_on_identities(cx);
        self.look_at_rounds(cx);
        self.look_at_statements(cx);
        if comes_round {
            self.peers.prune(&self.state);
        }
    }

    /// After a start: writes every second half that a crash left out, and gives back holds that never became a
    /// claim, and what parts that were never proposed would have taken (their payment was not acknowledged).
    ///
    /// # Errors
    /// A rule that our own entries break: the ledger needs help.
    pub fn recover(&mut self, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        if self.quiet {
            return Ok(());
        }
        let loose = self.state.holds.iter().filter(|(_, hold)| hold.is_loose());
        let loose: Vec<_> = loose.map(|(leaf, hold)| (*leaf, hold.claim)).collect();
        for (hold, claim) in loose {
            self.release(hold, cx)?;
            self.broken.extend(claim);
        }
        let mut claims: BTreeSet<ClaimId> = self.peers.claims().into_iter().collect();
        claims.extend(self.state.claims.iter().filter(|(_, row)| !row.is_closed()).map(|((c, _), _)| *c));
        claims.extend(self.state.decisions.iter().filter(|(_, row)| !row.credited).map(|(c, _)| *c));
        self.recover_evidence(cx);
        self.look_at_write_offs(cx);
        self.look_at_resets(cx);
        self.look_at_rounds(cx);
        let channels: Vec<StreamId> = self.state.channels.keys().copied().collect();
        channels.iter().for_each(|id| self.look_at_settlements(id, cx));
        for claim in claims {
            self.react(&claim, cx);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, hold: Hash, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let row = self.state.holds.get(&hold).ok_or(Rejected::UnknownHold { hold })?;
        let from = crate::ledger::own_accounts::hold();
        let loose = if row.claim.is_some() { row.left } else { Some(row.amount) };
        let Some(loose) = loose else { return Ok(()) };
        let postings = crate::ledger::transfer::move_value(from, row.account, row.unit, loose);
        let payload = Payload::Release(crate::ledger::transfer::Release { hold, postings });
        self.own(payload, &[], hold.as_bytes(), 0, cx)
    }

    /// Appends a step about a part of a claim.
    pub(super) fn step_of(
        &mut self,
        channel: StreamId,
        leg: Leg,
        reference: Option<Hash>,
        args: StepArgs,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let Leg { claim, part } = leg;
        self.step_about(channel, (Some(claim), part), reference, args, claim.as_bytes(), cx)
    }

    pub(super) fn step_about(
        &mut self,
        channel: StreamId,
        (claim, part): (Option<ClaimId>, u8),
        reference: Option<Hash>,
        args: StepArgs,
        about: &[u8],
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        if self.hushed.contains(&channel) {
            let peer = self.state.channels.get(&channel).map_or(LedgerId::ZERO, |row| row.peer);
            return Err(Rejected::NotHeard { peer });
        }
        if let Some(peer) = self.state.peer_of_next(&channel)
            && let Some((current, _)) = self.state.channel_with(&peer)
            && self.hushed.contains(&current)
            && !self.answered.contains(&current)
        {
            return Err(Rejected::NotHeard { peer });
        }
        let ack = self
            .peers
            .stream(&channel)
            .map_or(Ack { next: 0, head: Hash::ZERO }, |s| Ack { next: s.next, head: s.head });
        let payload = Payload::Step(Step { channel, ack, claim, reference, args, part });
        self.own(payload, channel.as_bytes(), about, part, cx)
    }

    /// Shows the peer of a channel who a network is, each identity entry once, before they are needed there.
    pub(super) fn introduce(
        &mut self,
        channel: StreamId,
        ledger: LedgerId,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let row = self.state.channels.get(&channel).ok_or(Rejected::UnknownChannel { channel })?;
        if row.peer == ledger || self.state.ledger()? == ledger {
            return Ok(());
        }
        for entry in self.peers.not_shown(&channel, &ledger).to_vec() {
            let about = Hash::of("", &[&entry]);
            let args = StepArgs::Key(super::step::KeyArgs { entry: Blob(entry) });
            self.step_about(channel, (None, 0), None, args, about.as_bytes(), cx)?;
        }
        Ok(())
    }

    /// Shows what we have learned of the keys of networks to the peers that know those networks through us
    /// (specs/keys.md §6). It comes after all that claims ask for: what was signed before a revocation has been passed
    /// on by then.
    fn pass_on_identities(&mut self, cx: &mut Cx<'_>) {
        let channels = self.state.channels.iter();
        let channels = channels.filter(|(_, row)| !self.state.is_closed_for_reset(&row.peer));
        let known = channels.flat_map(|(id, row)| row.introduced.iter().map(|ledger| (*id, *ledger)));
        let behind: Vec<_> =
            known.filter(|(id, ledger)| !self.peers.not_shown(id, ledger).is_empty()).collect();
        for (channel, ledger) in behind {
            // Our own books do not stand against a KEY; should they, it is tried at the next tick.
            if self.introduce(channel, ledger, cx).is_err() {
                break;
            }
        }
    }

    /// Appends an operation of the node itself.
    pub(super) fn own(
        &mut self,
        payload: Payload,
        channel: &[u8],
        about: &[u8],
        part: u8,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let kind = payload.kind();
        let t = match kind {
            Kind::Step(t) => t,
            _ => 0,
        };
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        let op_id = node_op_id(kind.code(), t, channel, about, part);
        let op = Op { op_id, not_after_ms: now_ms, payload, sidecars: Vec::new() };
        self.write(&SignedOp::unsigned(&op), cx).map(|_| ())
    }

    pub(super) fn write(&mut self, signed: &SignedOp, cx: &mut Cx<'_>) -> Result<Written, Rejected> {
        let allowed = matches!(Kind::from_code(signed.kind), Some(Kind::Succession | Kind::Recovered));
        if self.quiet && !allowed {
            return Err(Rejected::Quarantined);
        }
        let written = self.author.write(&mut self.state, signed, cx.now_ms, (cx.salt)())?;
        self.peers.absorb_own(&self.state, &written.entry);
        self.batch.records.push(Record::Own(Box::new(written.clone())));
        Ok(written)
    }

    pub(super) fn touched(&mut self, claim: ClaimId) {
        self.batch.claims.insert(claim);
    }
}
