//! What our peers have said: a view over the entries received from them (specs/clearing.md §8).
//!
//! The view is a function of the received entries in the order in which they were stored, beside our own. It is
//! not part of the state digest. What is signed and chained is always taken in (one bad line must not block a
//! stream for ever); a line that breaks a rule of clearing has no effect and becomes a [`Finding`].

mod effect;
mod guarding;
mod incarnations;
mod places;
mod public;
mod refusal;
mod saved;
mod strangers;

pub use places::Place;
pub use refusal::Refusal;

use super::dispute::Disputed;
use super::guard::{Fence, Newest};
use super::intent::{Decision, RejectCode, SignedIntent};
use super::leg::Leg;
use super::offer::PeerNetting;
use super::reset::{HeardNotice, HeardReset, RefuseCode};
use super::settle::{Offered, SettleAnswer};
use super::statement::{Trail, Value};
use super::stating::{Answered, Asked};
use super::step::{Step, StepArgs};
use crate::entry::{Entry, Payload};
use crate::ids::{ClaimId, Hash, LedgerId, StreamId, UnitId};
use crate::ledger::Rejected;
use crate::ledger::capacity::Capacity;
use crate::ledger::halt::Halt;
use crate::ledger::identity::{Identity, LastGood, Purpose};
use crate::ledger::state::{State, StreamRow};
use crate::ledger::units::UnitDefined;
use crate::log::proof::verify_inclusion;
use crate::netting::round::view::Rounds;
use minicbor::{Decode, Encode};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// An answer to a claim that has not come to us is kept this long: until after it expires, whatever it says.
const KEEP_ANSWER_MS: u64 = super::react::MAX_EXPIRY_SEEN_MS * 2;

/// Everything peers have said. Encoded it is part of what stands in the place of records left out ([`crate::base`]):
/// all of it but what notes give back.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub struct Peers {
    #[n(0)]
    identities: BTreeMap<LedgerId, Identity>,
    #[n(1)]
    units: BTreeMap<(LedgerId, UnitId), UnitDefined>,
    #[n(2)]
    public: BTreeMap<LedgerId, StreamRow>,
    #[n(3)]
    streams: BTreeMap<StreamId, PeerStream>,
    #[n(4)]
    decisions: BTreeMap<(ClaimId, LedgerId), Decision>,
    #[cbor(n(5), with = "saved::entries")]
    identity_entries: BTreeMap<LedgerId, Vec<Vec<u8>>>,
    /// How many identity entries of a network we have shown on a channel.
    #[n(6)]
    shown: BTreeMap<(StreamId, LedgerId), usize>,
    /// Our own Decisions as we signed them: the key of that time may be gone.
    #[n(7)]
    own_words: BTreeMap<ClaimId, Decision>,
    #[n(8)]
    frozen: BTreeSet<LedgerId>,
    #[n(9)]
    contradicted: BTreeSet<(ClaimId, LedgerId)>,
    #[n(10)]
    findings: Vec<Finding>,
    #[n(11)]
    newest: BTreeMap<LedgerId, Newest>,
    #[n(12)]
    pub(super) places: places::Places,
    /// What our own steps have done to statements, by channel.
    #[n(14)]
    #[cbor(default)]
    pub(super) own_trails: BTreeMap<StreamId, Trail>,
    /// What each network tells of its accord with each other.
    #[cbor(n(13), with = "crate::ledger::witness::table", has_nil)]
    capacities: BTreeMap<(LedgerId, LedgerId), Capacity>,
    /// Netting rounds, as the public streams tell them.
    #[n(15)]
    #[cbor(default)]
    pub(super) rounds: Rounds,
    /// Notices of resets, as the public streams tell them: by whom, and about the channel with whom.
    #[n(16)]
    #[cbor(default)]
    pub(super) notices: BTreeMap<(LedgerId, LedgerId), HeardNotice>,
    /// Our answers, by channel, to settlements of peers that our state has no row of: the other half is lost, or there is
    /// none.
    #[cbor(n(17), with = "crate::ledger::witness::table", has_nil)]
    pub(super) told: BTreeMap<(StreamId, Hash), SettleAnswer>,
    /// Public entries taken in since this was built.
    #[cbor(skip)]
    public_taken: u64,
    /// Kept as notes.
    #[cbor(skip)]
    fences: BTreeMap<LedgerId, Fence>,
    #[cbor(skip)]
    pub(super) watch: crate::evidence::watch::Watch,
    /// Kept as notes.
    #[cbor(skip)]
    pub(super) evidence: Vec<(Hash, Vec<u8>)>,
    /// Judged with the entry that has shown them.
    #[cbor(skip)]
    pub(super) contradictions: Vec<super::convict::Contradiction>,
}

/// A peer's stream of one channel.
#[derive(Debug, Clone, Encode, Decode)]
pub struct PeerStream {
    /// The next place we expect.
    #[n(0)]
    pub next: u64,
    /// Leaf hash of the last entry.
    #[n(1)]
    pub head: Hash,
    /// Boot of the last entry.
    #[n(2)]
    pub boot: u64,
    /// The accord that the peer has appended.
    #[n(3)]
    pub accord_id: Option<Hash>,
    /// How far the peer says it has our stream.
    #[n(4)]
    pub acked: u64,
    #[n(5)]
    open_in: BTreeMap<u8, u64>,
    #[n(6)]
    claims: BTreeMap<Leg, PeerClaim>,
    /// What its steps have done to statements.
    #[n(7)]
    #[cbor(default)]
    pub(super) trail: Trail,
    /// The statement that it waits to have answered.
    #[n(8)]
    pub(super) asked: Option<Asked>,
    /// Its last answer to a statement of ours.
    #[n(9)]
    pub(super) answered: Option<Answered>,
    /// Settlements that it proposes and nobody has answered.
    #[n(10)]
    #[cbor(default)]
    pub(super) offers: BTreeMap<Hash, Offered>,
    /// Its answers to settlements of ours that our books do not follow yet.
    #[n(11)]
    #[cbor(default)]
    pub(super) settle_answers: BTreeMap<Hash, (Hash, SettleAnswer)>,
    /// Whether it lets new payments over the channel.
    #[n(12)]
    pub halt: Option<Halt>,
    /// When the last of its entries was written, in the peer's time.
    #[n(13)]
    #[cbor(default)]
    pub heard_ms: u64,
    /// What it has said in netting rounds.
    #[n(14)]
    #[cbor(default)]
    pub(super) netting: PeerNetting,
    /// Its RESET, which begins this channel.
    #[n(15)]
    pub(super) reset: Option<Box<HeardReset>>,
    /// The last reset of ours that it has refused: leaf hash of our RESET, and why.
    #[n(16)]
    pub(super) refused: Option<(Hash, RefuseCode)>,
}

/// What a peer has said about a claim on one channel.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub struct PeerClaim {
    /// Its PROPOSE.
    #[n(0)]
    pub proposal: Option<Proposal>,
    /// Its answer to our PROPOSE.
    #[n(1)]
    pub answer: Option<PeerAnswer>,
    /// Its DONE or FREE.
    #[n(2)]
    pub closing: Option<PeerClosing>,
    /// Leaf hash of its RETURN.
    #[n(3)]
    pub returned: Option<Hash>,
    /// Leaf hash of our own REJECT: our state forgets a closed claim after 60 days, a peer may be away for longer.
    #[n(4)]
    pub refused: Option<Hash>,
    /// When the peer last spoke of it, in the peer's time.
    #[n(5)]
    pub heard_ms: u64,
    /// Its DISPUTE as the creditor: both root sets have signed it, and it is for us to follow.
    #[n(6)]
    pub disputed: Option<Box<Disputed>>,
}

/// A PROPOSE received.
#[derive(Debug, Clone, Encode, Decode)]
pub struct Proposal {
    /// Its leaf hash.
    #[n(0)]
    pub leaf: Hash,
    /// What is proposed.
    #[n(1)]
    pub signed: SignedIntent,
    /// For which hop.
    #[n(2)]
    pub hop: u8,
    /// When it was written, in the peer's time.
    #[n(4)]
    pub time_ms: u64,
    #[n(3)]
    counted: Option<(u8, u64)>,
}

/// A peer's answer to our PROPOSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum PeerAnswer {
    /// Yes; the Decision is kept apart.
    #[n(0)]
    Accept,
    /// No: leaf hash of its REJECT, and why.
    #[n(1)]
    Reject(#[n(0)] Hash, #[cbor(n(1), with = "saved::code")] RejectCode),
}

/// A peer's closing step as the debtor of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum PeerClosing {
    /// Bound; leaf hash of its DONE.
    #[n(0)]
    Done(#[n(0)] Hash),
    /// Freed.
    #[n(1)]
    Free,
}

/// Something in a peer's stream that breaks a rule and therefore has no effect, or a contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Finding {
    /// Who wrote it.
    #[n(0)]
    pub ledger: LedgerId,
    /// Where: leaf hash of the entry.
    #[n(1)]
    pub leaf: Hash,
    /// What is wrong.
    #[n(2)]
    pub what: Cow<'static, str>,
}

impl PeerStream {
    fn new() -> Self {
        Self {
            next: 0,
            head: Hash::ZERO,
            boot: 0,
            accord_id: None,
            acked: 0,
            open_in: BTreeMap::new(),
            claims: BTreeMap::new(),
            trail: Trail::default(),
            asked: None,
            answered: None,
            offers: BTreeMap::new(),
            settle_answers: BTreeMap::new(),
            halt: None,
            heard_ms: 0,
            netting: PeerNetting::default(),
            reset: None,
            refused: None,
        }
    }

    /// What the peer has said about a part of a claim.
    pub fn leg(&self, claim: &ClaimId, part: u8) -> Option<&PeerClaim> {
        self.claims.get(&Leg { claim: *claim, part })
    }

    /// The parts of a claim of which the peer has said something.
    fn parts(&self, claim: &ClaimId) -> impl Iterator<Item = u8> + use<'_> {
        self.claims.range(Leg::all(claim)).map(|(leg, _)| leg.part)
    }

    /// What the peer has proposed and not closed.
    pub(super) fn open_proposals(&self) -> BTreeMap<Leg, Value> {
        let open = self.claims.iter().filter(|(_, said)| said.closing.is_none());
        open.filter_map(|(leg, said)| Some((*leg, said.proposal.as_ref()?.counted?))).collect()
    }

    /// Open claims that the peer has proposed to us in a unit pair.
    pub fn open_in(&self, pair: u8) -> u64 {
        self.open_in.get(&pair).copied().unwrap_or(0)
    }
}

impl Peers {
    /// A network's identity, as far as we have been shown it.
    pub fn identity(&self, ledger: &LedgerId) -> Option<&Identity> {
        self.identities.get(ledger)
    }

    /// Every network that we have been shown.
    pub fn known(&self) -> impl Iterator<Item = &LedgerId> {
        self.identities.keys()
    }

    /// A peer's unit, as its public stream defines it.
    pub fn unit(&self, ledger: &LedgerId, unit: UnitId) -> Option<&UnitDefined> {
        self.units.get(&(*ledger, unit))
    }

    /// The peer's side of a channel.
    pub fn stream(&self, channel: &StreamId) -> Option<&PeerStream> {
        self.streams.get(channel)
    }

    /// What peers have said about the first part of a claim, in most claims the only one, on a channel.
    pub fn claim(&self, channel: &StreamId, claim: &ClaimId) -> Option<&PeerClaim> {
        self.leg(channel, claim, 0)
    }

    /// What peers have said about a part of a claim on a channel.
    pub fn leg(&self, channel: &StreamId, claim: &ClaimId, part: u8) -> Option<&PeerClaim> {
        self.streams.get(channel)?.leg(claim, part)
    }

    /// Channels on which peers have said something about a claim, with the parts of it.
    pub fn hops_of(&self, claim: &ClaimId) -> Vec<(StreamId, u8)> {
        let streams = self.streams.iter();
        streams.flat_map(|(id, stream)| stream.parts(claim).map(|part| (*id, part))).collect()
    }

    /// A Decision of another network that verified.
    pub fn decision(&self, claim: &ClaimId, decider: &LedgerId) -> Option<&Decision> {
        self.decisions.get(&(*claim, *decider))
    }

    pub(super) fn stream_mut(&mut self, channel: &StreamId) -> Option<&mut PeerStream> {
        self.streams.get_mut(channel)
    }

    /// A network's identity entries, exactly as they stand in its ledger.
    pub fn identity_entries(&self, ledger: &LedgerId) -> &[Vec<u8>] {
        self.identity_entries.get(ledger).map_or(&[], Vec::as_slice)
    }

    /// Every claim that some peer has spoken of and that is not settled yet.
    pub fn claims(&self) -> Vec<ClaimId> {
        let mut all: Vec<ClaimId> =
            self.streams.values().flat_map(|s| s.claims.keys().map(|leg| leg.claim)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The next of them after one, at most so many.
    pub(super) fn claims_after(&self, after: Option<ClaimId>, most: usize) -> Vec<ClaimId> {
        let from = after.map_or(Bound::Unbounded, |claim| Bound::Excluded(Leg { claim, part: u8::MAX }));
        let of_stream = |stream: &PeerStream| -> BTreeSet<ClaimId> {
            let mut some = BTreeSet::new();
            for (leg, _) in stream.claims.range((from, Bound::Unbounded)) {
                some.insert(leg.claim);
                if some.len() >= most {
                    break;
                }
            }
            some
        };
        let all: BTreeSet<ClaimId> = self.streams.values().flat_map(of_stream).collect();
        all.into_iter().take(most).collect()
    }

    /// Identity entries of a network that we have not yet shown on a channel.
    pub(super) fn not_shown(&self, channel: &StreamId, ledger: &LedgerId) -> &[Vec<u8>] {
        let shown = self.shown.get(&(*channel, *ledger)).copied().unwrap_or(0);
        self.identity_entries(ledger).get(shown..).unwrap_or_default()
    }

    /// Our own Decision on a claim, as long as our state knows it.
    pub(super) fn own_word(&self, claim: &ClaimId) -> Option<&Decision> {
        self.own_words.get(claim)
    }

    /// Forgets our Decisions that our state has forgotten.
    pub(super) fn forget_words(&mut self, state: &State) {
        self.own_words.retain(|claim, _| state.decisions.contains_key(claim));
    }

    /// The next place of a ledger's public stream that we do not have.
    pub fn public_next(&self, ledger: &LedgerId) -> u64 {
        self.public.get(ledger).map_or(0, |row| row.next)
    }

    /// What was wrong in peers' streams.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn note_newest(&mut self, entry: &Entry) {
        let seen = Newest { boot: entry.body().boot, size: entry.body().seq.saturating_add(1) };
        let newest = self.newest.entry(entry.body().ledger).or_default();
        *newest = (*newest).max(seen);
    }

    /// Checks an entry of a channel: place, chain, signature. Nothing is taken in yet. `proof` is the path
    /// from the entry up to the root of a revocation's last good checkpoint, where there is one.
    ///
    /// # Errors
    /// Why it cannot be taken in.
    pub fn check(
        &self,
        state: &State,
        peer: &LedgerId,
        entry: &Entry,
        proof: Option<&[Hash]>,
    ) -> Result<(), Refusal> {
        let step = self.check_place(state, peer, entry)?;
        let identity = self.identities.get(peer).ok_or(Refusal::Rejected(Rejected::NoGenesis))?;
        let (epoch, seq) = (entry.body().epoch, entry.body().seq);
        let key = identity.log_key_at(epoch, seq).map_err(Refusal::Rejected)?;
        if let Some(revoked) = identity.revoked(Purpose::Log, epoch) {
            let LastGood { size, root } = revoked.last_good;
            let leaf = entry.leaf();
            let proven = proof.is_some_and(|path| verify_inclusion(&leaf, seq, size, path, &root).is_ok());
            if !proven {
                return Err(Refusal::Revoked { epoch, size });
            }
        }
        key.verify_message(&entry.node_message(), entry.node_sig())
            .map_err(|e| Refusal::Rejected(Rejected::Signature(e)))?;
        let ours = state.stream(&step.channel);
        let written = ours.next;
        if step.ack.next > written || (step.ack.next == written && step.ack.head != ours.head) {
            return Err(Refusal::AheadOfUs { claimed: step.ack.next, written });
        }
        Ok(())
    }

    /// Ledger, stream, place and chain of a channel's entry.
    pub(super) fn check_place<'e>(
        &self,
        state: &State,
        peer: &LedgerId,
        entry: &'e Entry,
    ) -> Result<&'e Step, Refusal> {
        let body = entry.body();
        if body.ledger != *peer {
            return Err(Refusal::Rejected(Rejected::LedgerMismatch { expected: *peer, got: body.ledger }));
        }
        let header = body.stream.ok_or(Refusal::Rejected(Rejected::StreamHeader))?;
        let Payload::Step(step) = &entry.op().payload else {
            return Err(Refusal::Rejected(Rejected::StreamHeader));
        };
        let id = header.id;
        let ended = Self::belongs(state, peer, (id, header.sseq), step)?;
        if step.channel != id || !body.auth.is_empty() {
            return Err(Refusal::Rejected(Rejected::StepForm));
        }
        let (next, head, boot) =
            self.streams.get(&id).map_or((0, Hash::ZERO, 0), |s| (s.next, s.head, s.boot));
        // Before the place is looked at: what is fenced stands for nothing, also beside what has taken its place.
        if let Some(fence) = self.fences.get(peer).filter(|f| f.keeps_out(&id, header.sseq, body.boot)) {
            return Err(Refusal::Fenced { sseq: header.sseq, boot: fence.boot });
        }
        if header.sseq < next {
            return Err(Refusal::Known { sseq: header.sseq });
        }
        if ended {
            return Err(Refusal::Rejected(Rejected::ChannelClosed { peer: *peer }));
        }
        if header.sseq > next {
            return Err(Refusal::Gap { next, got: header.sseq });
        }
        if header.sprev != head {
            return Err(Refusal::Forked { sseq: header.sseq });
        }
        if body.boot < boot {
            return Err(Refusal::Rejected(Rejected::BootBack { last: boot, got: body.boot }));
        }
        Ok(step)
    }

    /// Takes in an entry that [`Peers::check`] let through (or that was stored before). Gives the claim it is
    /// about.
    pub fn absorb(&mut self, state: &State, entry: &Entry) -> Option<ClaimId> {
        let Payload::Step(step) = &entry.op().payload else { return None };
        let header = entry.body().stream?;
        self.places.note(entry);
        let stream = self.streams.entry(step.channel).or_insert_with(PeerStream::new);
        stream.next = header.sseq.saturating_add(1);
        stream.head = entry.leaf();
        stream.boot = entry.body().boot;
        stream.heard_ms = stream.heard_ms.max(entry.body().time_ms);
        stream.acked = stream.acked.max(step.ack.next);
        if let Some(trail) = self.own_trails.get_mut(&step.channel) {
            trail.forget(step.ack.next);
        }
        self.note_newest(entry);
        let effect = self.effect(state, entry, step);
        if let Err(what) = effect {
            self.find(Finding { ledger: entry.body().ledger, leaf: entry.leaf(), what: what.into() });
        }
        let stream = self.streams.get_mut(&step.channel)?;
        let leg = step.claim.map(|claim| Leg { claim, part: step.part });
        if let Some(said) = leg.and_then(|leg| stream.claims.get_mut(&leg)) {
            said.heard_ms = entry.body().time_ms;
        }
        step.claim
    }

    fn find(&mut self, finding: Finding) {
        self.frozen.insert(finding.ledger);
        self.findings.push(finding);
    }

    /// Whether a network has broken a rule or contradicted itself: no new claims with it; open ones go on.
    pub fn is_frozen(&self, ledger: &LedgerId) -> bool {
        self.frozen.contains(ledger)
    }

    /// Notes what our own entries say to a peer, as far as it is needed beside our state: REJECTs for longer than it
    /// keeps them, our Decisions as signed, and whom we have shown.
    pub(super) fn absorb_own(&mut self, state: &State, entry: &Entry) {
        if let Payload::Recovered(recovered) = &entry.op().payload {
            if let Some(lost) = recovered.lost() {
                self.absorb_own(state, &lost);
            }
            return;
        }
        if let Payload::FreezeLifted(lifted) = &entry.op().payload {
            self.frozen.remove(&lifted.accused);
        }
        if let Payload::Settled(settled) = &entry.op().payload {
            self.follow_settled(settled);
        }
        self.tell_of_rounds(state, entry);
        let Payload::Step(step) = &entry.op().payload else { return };
        self.follow_own(state, entry, step);
        if let StepArgs::Reset(args) = &step.args {
            self.follow_reset(state, entry, step, args);
        }
        let decision = match &step.args {
            StepArgs::Accept(args) => Some(&args.decision),
            StepArgs::Done(args) => Some(&args.decision),
            StepArgs::Reject(args) => args.decision.as_ref(),
            StepArgs::Key(args) => {
                if let Ok(known) = Entry::parse(&args.entry.0) {
                    let shown = self.shown.entry((step.channel, known.body().ledger)).or_default();
                    *shown = shown.saturating_add(1);
                }
                None
            }
            StepArgs::Accord(_)
            | StepArgs::Reset(_)
            | StepArgs::ResetRefuse(_)
            | StepArgs::Propose(_)
            | StepArgs::Free
            | StepArgs::Return
            | StepArgs::Stmt(_)
            | StepArgs::StmtAck(_)
            | StepArgs::Settle(_)
            | StepArgs::SettleAck(_)
            | StepArgs::Dispute(_)
            | StepArgs::Offer(_)
            | StepArgs::DropHold(_)
            | StepArgs::Apply(_)
            | StepArgs::Pause(_)
            | StepArgs::End => None,
        };
        match decision {
            Some(word) if word.body.decider == entry.body().ledger => {
                self.own_words.insert(word.body.claim, *word);
            }
            // What came past the streams stands nowhere but here: it must not be lost, or another word taken for it.
            Some(word) => self.keep(word, Hash::ZERO),
            None => {}
        }
        let (Some(claim), StepArgs::Reject(_)) = (step.claim, &step.args) else { return };
        let leg = Leg { claim, part: step.part };
        if let Some(said) = self.streams.get_mut(&step.channel).and_then(|stream| stream.claims.get_mut(&leg))
        {
            said.refused = Some(entry.leaf());
        }
    }

    /// Keeps a Decision that came outside the streams, over the claim protocol.
    ///
    /// # Errors
    /// When it does not verify, or its decider is not known here.
    pub fn learn_decision(&mut self, decision: &Decision) -> Result<(), Rejected> {
        let decider = decision.body.decider;
        let identity = self.identities.get(&decider).ok_or(Rejected::NotIntroduced { ledger: decider })?;
        // Nothing shows that it was signed before the key was revoked; in a stream its place does.
        if identity.revoked(Purpose::Log, decision.body.epoch).is_some() {
            return Err(Rejected::KeyRevoked { epoch: decision.body.epoch });
        }
        decision.verify(identity)?;
        self.keep(decision, Hash::ZERO);
        Ok(())
    }

    /// Notes how far the peer has our stream, as it answered to a push.
    pub fn acked(&mut self, channel: &StreamId, next: u64) {
        if let Some(stream) = self.streams.get_mut(channel) {
            stream.acked = stream.acked.max(next);
        }
    }

    /// Forgets what was said about a claim that is settled on all channels. Decisions stay as long as our state
    /// knows the claim: a contradiction that comes later is evidence.
    pub(super) fn settle(&mut self, claim: &ClaimId, begun: impl Fn(u8) -> bool) {
        for stream in self.streams.values_mut() {
            let legs = stream.claims.range(Leg::all(claim)).map(|(leg, _)| *leg);
            let settled: Vec<Leg> = legs.filter(|leg| begun(leg.part)).collect();
            settled.iter().for_each(|leg| drop(stream.claims.remove(leg)));
        }
    }

    /// Forgets answers to what we never proposed and by now cannot propose any more (a decider may turn a claim
    /// down before it has come to us, and it may never come), and Decisions on claims that neither our state nor any
    /// stream knows.
    pub(super) fn prune(&mut self, state: &State) {
        for stream in self.streams.values_mut() {
            stream.claims.retain(|leg, said| {
                said.proposal.is_some()
                    || state.leg(&leg.claim, leg.part).is_some()
                    || said.heard_ms.saturating_add(KEEP_ANSWER_MS) > state.head.time_ms
            });
        }
        self.forget_words(state);
        let streams = &self.streams;
        self.decisions.retain(|(claim, _), _| {
            state.legs(claim).next().is_some() || streams.values().any(|s| s.parts(claim).next().is_some())
        });
    }
}
