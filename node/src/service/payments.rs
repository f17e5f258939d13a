//! Operations of people: submitted signed, or made here through the desk.

use super::core::Core;
use super::names::name_key;
use crate::store::private::Sidecar;
use weft_protocol::clearing::engine::Record;
use weft_protocol::clearing::intent::RejectCode;
use weft_protocol::clearing::levels::Draw;
use weft_protocol::clearing::peers::PeerAnswer;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::encoding::encode;
use weft_protocol::entry::{Entry, EntryError, How, Kind, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{ClaimId, Hash, OpId, StreamId};
use weft_protocol::ledger::author::Written;
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::ledger::state::{Closing, Origin};
use weft_protocol::ledger::transfer::Hold;
use weft_protocol::ledger::{Notice, Rejected};
use weft_protocol::seal::{Envelope, Opened};
use weft_protocol::sidecar::Content;

/// How long an operation made at the desk may wait before it is void.
pub const DESK_OP_LIFE_MS: u64 = 86_400_000;

/// A text that an operation commits to.
#[derive(Debug, Clone)]
pub struct Text {
    /// Opens the commitment together with the bytes.
    pub salt: [u8; 32],
    /// The content.
    pub bytes: Vec<u8>,
}

/// An operation ready to be written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Signed by its authors.
    pub signed: SignedOp,
    /// The texts it commits to, in order.
    pub texts: Vec<Text>,
    /// For a payment to another network: until when it may be accepted; the accord's default when absent.
    pub expires_ms: Option<u64>,
}

/// What became of an operation.
#[derive(Debug, Clone)]
pub struct OpAnswer {
    /// Its entry.
    pub entry: Entry,
    /// Whether it was written before, by the same request.
    pub known: bool,
    /// The claim, of a payment to another network.
    pub claim: Option<ClaimId>,
    /// What people should know.
    pub notices: Vec<Notice>,
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpRefused {
    /// Its bytes.
    #[error("{0}")]
    Malformed(EntryError),
    /// The clock is not believed.
    #[error("{0}")]
    TimeHeld(super::time::Held),
    /// A rule.
    #[error("{0}")]
    Rule(Rejected),
    /// The same id was used for something else.
    #[error("operation {0} was used for something else before; use a new id")]
    Reused(OpId),
    /// The same operation is being written at this moment.
    #[error("operation {0} is being written at this moment; ask again")]
    UnderWay(OpId),
    /// Texts do not fit the commitments.
    #[error("the texts given are not those that the operation commits to")]
    Texts,
    /// The payee's network has no seal key that can be used.
    #[error("the payee's network has no key to seal the name and memo to")]
    NoSealKey,
    /// A key whose secret the node does not hold.
    #[error(
        "this node has no secret for that key in keys/{file}: ask it for its next key first (`weft key rotate`)"
    )]
    NoSecret {
        /// The key file that is missing or holds another key.
        file: String,
    },
    /// The stores cannot be read.
    #[error("the stores cannot be read: {0}")]
    Store(String),
}

/// How a payment to another network stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimState {
    /// The value is set aside.
    Held,
    /// The payee has it.
    Done,
    /// The payer has it back, and why.
    Freed(Option<RejectCode>),
}

impl Core {
    /// Signs an operation with the desk key, for somebody who is signed in at the node.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn at_desk(
        &self,
        payload: Payload,
        op_id: OpId,
        role: Role,
        texts: &[Text],
    ) -> Result<SignedOp, Rejected> {
        let now_ms = self.clock().now_ms().max(self.engine().state().head.time_ms);
        let sidecars = texts.iter().map(|t| weft_protocol::sidecar::commitment(&t.salt, &t.bytes)).collect();
        let op = Op { op_id, not_after_ms: now_ms.saturating_add(DESK_OP_LIFE_MS), payload, sidecars };
        let ledger = self.engine().state().ledger()?;
        Ok(SignedOp::unsigned(&op).signed(&ledger, &self.keys().desk, role, How::Custody))
    }

    /// Writes an operation, or finds it written.
    ///
    /// # Errors
    /// Why it is refused; nothing changed.
    pub fn submit(&mut self, prepared: Prepared) -> Result<OpAnswer, OpRefused> {
        let (signed, op) = SignedOp::parse(&encode(&prepared.signed)).map_err(OpRefused::Malformed)?;
        if let Some(known) = self.known(&signed, &op, &prepared.texts)? {
            return Ok(known);
        }
        // Not in the index yet: a rule that it has used up itself must not be what the second request hears of.
        if self.engine().was_done(&signed) {
            return Err(OpRefused::UnderWay(op.op_id));
        }
        if let Some(held) = self.time_held() {
            return Err(OpRefused::TimeHeld(held));
        }
        let commitments: Vec<Hash> =
            prepared.texts.iter().map(|t| weft_protocol::sidecar::commitment(&t.salt, &t.bytes)).collect();
        if commitments != op.sidecars {
            return Err(OpRefused::Texts);
        }
        let answer = if let Payload::Hold(hold) = &op.payload {
            self.pay(&signed, hold, &prepared)?
        } else {
            self.take_up(&op.payload)?;
            let written = self.with_engine(|engine, cx| engine.submit(&signed, cx));
            let written = written.map_err(|e| self.refused(e, &op))?;
            self.refresh_keys(&op.payload);
            if matches!(op.payload, Payload::Succession(_)) {
                self.note_succession();
            }
            answer(written, None)
        };
        let account = match &op.payload {
            Payload::Hold(hold) => Some(hold.account),
            Payload::Transfer(t) => t.postings.iter().find(|p| p.delta < 0).map(|p| p.account),
            _ => None,
        };
        for text in prepared.texts {
            let sidecar = Sidecar::new(text.salt, text.bytes, account, answer.entry.body().time_ms);
            self.clear.push(sidecar.map_err(|e| OpRefused::Store(e.to_string()))?);
        }
        Ok(answer)
    }

    fn refused(&self, rejected: Rejected, op: &Op) -> OpRefused {
        match rejected {
            Rejected::OpDone { .. } => OpRefused::UnderWay(op.op_id),
            rule => OpRefused::Rule(rule),
        }
    }

    fn known(&self, signed: &SignedOp, op: &Op, texts: &[Text]) -> Result<Option<OpAnswer>, OpRefused> {
        let author = signed.auth.first().map_or(weft_protocol::ids::Signer::ZERO, |a| a.signer);
        let found = self.index().op(&author, &op.op_id).map_err(|e| OpRefused::Store(e.to_string()))?;
        let Some(seq) = found else { return Ok(None) };
        let entry = self.own_entry(seq).map_err(OpRefused::Store)?;
        if !same_wish(&entry, signed, op) || !self.same_texts(&entry, op, texts)? {
            return Err(OpRefused::Reused(op.op_id));
        }
        let claim = self.claim_of_hold(&entry).map_err(OpRefused::Store)?;
        Ok(Some(OpAnswer { entry, known: true, claim, notices: Vec::new() }))
    }

    /// What became of an operation that was made at the desk before; `None` when there is none.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn at_desk_before(&self, op_id: &OpId) -> Result<Option<OpAnswer>, String> {
        let author = self.keys().desk.public().signer();
        let Some(seq) = self.index().op(&author, op_id).map_err(|e| e.to_string())? else { return Ok(None) };
        let entry = self.own_entry(seq)?;
        let claim = self.claim_of_hold(&entry)?;
        Ok(Some(OpAnswer { entry, known: true, claim, notices: Vec::new() }))
    }

    /// Whether the texts of a repeated request are those of the first: salts may be fresh, the content may not.
    fn same_texts(&self, entry: &Entry, op: &Op, texts: &[Text]) -> Result<bool, OpRefused> {
        let (first, again) = (&entry.op().sidecars, &op.sidecars);
        if first.len() != again.len() || texts.len() != again.len() {
            return Ok(false);
        }
        for ((first, again), text) in first.iter().zip(again).zip(texts) {
            let kept = self.private().sidecar(first).map_err(|e| OpRefused::Store(e.to_string()))?;
            if first != again && kept.is_none_or(|kept| wish(kept.bytes()) != wish(&text.bytes)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pay(&mut self, signed: &SignedOp, hold: &Hold, prepared: &Prepared) -> Result<OpAnswer, OpRefused> {
        let payee = hold.payee_network;
        let route = self.route_to(payee, hold.unit, hold.amount.minor().unsigned_abs());
        let route = route.map_err(OpRefused::Rule)?;
        let draws = self.engine().graded(&route).map_err(OpRefused::Rule)?;
        let (epoch, key) = self
            .engine()
            .peers()
            .identity(&payee)
            .and_then(|identity| identity.current(Purpose::Seal).map(|(epoch, key)| (epoch, *key)))
            .ok_or(OpRefused::NoSealKey)?;
        let now_ms = self.clock().now_ms().max(self.engine().state().head.time_ms);
        let first = route.parts.first().and_then(|part| part.route.get(1));
        let first = first.and_then(|first| self.engine().state().channel_with(first));
        let default = first.map_or(0, |(_, channel)| channel.accord.default_expiry_ms);
        let expires_ms = prepared.expires_ms.unwrap_or(now_ms.saturating_add(default));
        let text = prepared.texts.first().ok_or(OpRefused::Texts)?;
        let opened = Opened { salt: text.salt, content: text.bytes.clone() };
        if opened.content.len() > weft_protocol::seal::MAX_CONTENT_BYTES {
            return Err(OpRefused::Texts);
        }
        let paid = self.with_engine(|engine, cx| engine.pay(signed, &route, expires_ms, cx));
        let (written, claim) = paid.map_err(|e| match e {
            Rejected::OpDone { op_id } => OpRefused::UnderWay(op_id),
            rule => OpRefused::Rule(rule),
        })?;
        self.note_attempt(claim, &route);
        let envelope = Envelope::seal(&key, epoch, &claim, &opened, &mut crate::clock::SystemRng);
        let envelope = envelope.map_err(|_| OpRefused::NoSealKey)?;
        self.keep_sealed(envelope.commitment, envelope.to_bytes(), claim);
        let mut answer = answer(written, Some(claim));
        answer.notices.extend(draws.iter().filter_map(Draw::notice));
        Ok(answer)
    }

    /// The claim that a hold backs: its PROPOSE stands right behind it.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn claim_of_hold(&self, hold: &Entry) -> Result<Option<ClaimId>, String> {
        if hold.kind() != Kind::Hold {
            return Ok(None);
        }
        let seq = hold.body().seq.saturating_add(1);
        if seq >= self.engine().state().head.next_seq {
            return Ok(None);
        }
        let next = self.own_entry(seq)?;
        let Payload::Step(step) = &next.op().payload else { return Ok(None) };
        Ok(step.claim.filter(|_| step.reference == Some(hold.leaf())))
    }

    /// How a claim of ours stands; `None` when we never proposed it or it is forgotten.
    pub fn claim_state(&self, claim: &ClaimId) -> Option<ClaimState> {
        let legs = self.engine().state().legs(claim).filter_map(|(_, row)| row.outgoing.as_ref());
        let states = legs.map(|out| match out.closing {
            Closing::Done(_) if out.returned => ClaimState::Freed(None),
            Closing::Done(_) if out.ended => ClaimState::Done,
            Closing::Freed(_) if out.ended || !matches!(out.origin, Origin::Hold { .. }) => {
                ClaimState::Freed(self.reject_code(claim, &out.channel))
            }
            Closing::Open | Closing::Done(_) | Closing::Freed(_) => ClaimState::Held,
        });
        // All parts end alike; while one is open the payment is.
        let weight = |state: &ClaimState| match state {
            ClaimState::Held => 0,
            ClaimState::Done => 1,
            ClaimState::Freed(_) => 2,
        };
        states.min_by_key(weight)
    }

    /// Why a peer turned a claim down: from what it said, or from its stream where it is settled and forgotten.
    fn reject_code(&self, claim: &ClaimId, channel: &StreamId) -> Option<RejectCode> {
        let peers = self.engine().peers();
        let parts = peers.hops_of(claim).into_iter().filter(|(id, _)| id == channel);
        let answers = parts.filter_map(|(id, part)| peers.leg(&id, claim, part)?.answer);
        let mut codes = answers.filter_map(|answer| match answer {
            PeerAnswer::Reject(_, code) => Some(code),
            PeerAnswer::Accept => None,
        });
        if let Some(code) = codes.next() {
            return Some(code);
        }
        let unwritten = self.engine().unwritten().iter().find_map(|record| match record {
            Record::Received(entry) => reject_in(entry, claim, channel),
            Record::Own(_) | Record::Evidence(_) => None,
        });
        if unwritten.is_some() {
            return unwritten;
        }
        let peer = self.engine().state().channels.get(channel)?.peer;
        let mut page = crate::store::index::Page::newest(256);
        loop {
            let rows = self.index().received_entries(&peer, channel, page).ok()?;
            let last = rows.last()?.0;
            for (_, at) in rows {
                let entry = Entry::parse(&self.reader().read(at).ok()?.bytes).ok()?;
                if let Some(code) = reject_in(&entry, claim, channel) {
                    return Some(code);
                }
            }
            page = page.after(last);
        }
    }
}

/// Why a claim is turned down on a channel, when this entry does it.
fn reject_in(entry: &Entry, claim: &ClaimId, channel: &StreamId) -> Option<RejectCode> {
    let Payload::Step(step) = &entry.op().payload else { return None };
    let StepArgs::Reject(args) = &step.args else { return None };
    (step.claim == Some(*claim) && step.channel == *channel).then(|| RejectCode::from_code(args.code))
}

fn answer(written: Written, claim: Option<ClaimId>) -> OpAnswer {
    OpAnswer { entry: written.entry, known: false, claim, notices: written.transition.notices }
}

/// What a text asks for: names differ in more than case. `None` when it is no payment's text.
fn wish(bytes: &[u8]) -> Option<(String, Option<String>)> {
    let content = Content::parse(bytes).ok()?;
    Some((name_key(&content.payee), content.memo))
}

/// Whether an entry is what this request wants: a repeated request may carry a fresh signature and time limit.
fn same_wish(entry: &Entry, signed: &SignedOp, op: &Op) -> bool {
    let who = |auth: &[weft_protocol::entry::Auth]| -> Vec<_> {
        auth.iter().map(|a| (a.signer, a.role, a.how)).collect()
    };
    entry.op().payload == op.payload && who(&entry.body().auth) == who(&signed.auth)
}
