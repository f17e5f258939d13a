//! Settlements as they come and go: a peer's proposals are kept for people, ours are sent, answers are booked
//! (specs/clearing.md §13).
//!
//! What must hold: the answering side decides, once, and nobody but a person answers; each side books exactly what
//! stands in the answering side's stream.

use super::engine::{Cx, Engine};
use super::leg::Leg;
use super::peers::Peers;
use super::statement::{Act, Value};
use super::step::{Step, StepArgs};
use crate::amount::Amount;
use crate::entry::{Entry, Op, Payload, SignedOp};
use crate::ids::{ClaimId, Hash, LedgerId, StreamId};
use crate::ledger::Rejected;
use crate::ledger::author::Written;
use crate::ledger::halt::PauseArgs;
use crate::ledger::settled::{MAX_OPEN_SETTLEMENTS, SettleAct, Settled, SettlementRow, Stage, postings_of};
use crate::ledger::state::State;
use minicbor::{Decode, Encode};

/// Settlements of a peer on one channel that it has taken back before anybody answered: people do so now and then.
pub(super) const MAX_TAKEN_BACK: usize = 1_024;

/// Arguments of SETTLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SettleArgs {
    /// In which unit pair of the accord.
    #[n(0)]
    pub pair: u8,
    /// How much, in the position unit.
    #[n(1)]
    pub amount: Amount,
    /// Whether A owed it.
    #[n(2)]
    pub a_owed: bool,
    /// Commitment to the outside reference.
    #[n(3)]
    pub reference: Hash,
    /// It is taken back, unless it was accepted by then.
    #[n(4)]
    pub withdrawn: bool,
}

/// The answer to a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum SettleAnswer {
    /// A person has accepted it: it counts.
    #[n(0)]
    Accepted,
    /// A person has refused it.
    #[n(1)]
    Refused,
    /// It was taken back before anybody answered.
    #[n(2)]
    Withdrawn,
}

/// Arguments of SETTLE_ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct SettleAckArgs {
    /// What became of it.
    #[n(0)]
    pub answer: SettleAnswer,
}

/// A settlement that a peer proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Offered {
    /// What it says.
    #[n(0)]
    pub args: SettleArgs,
    /// When it was written, in the peer's time.
    #[n(1)]
    pub time_ms: u64,
}

/// A settlement that a peer proposes, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its id.
    pub id: Hash,
    /// What it says.
    pub said: Offered,
    /// We have told the peer that it is accepted, and what a person signed for that is lost (13.7): it can be accepted
    /// again, and nothing else.
    pub accepted_before: bool,
}

impl Offer {
    /// Whether nobody wants an answer from people any more: it was taken back before they gave one.
    fn is_gone(&self) -> bool {
        self.said.args.withdrawn && !self.accepted_before
    }
}

/// What a settlement moves, if this step is an answer that accepts one. `settlement` gives the amounts by its id, and
/// whether the writer of the answer is who owed.
pub(super) fn moved(
    step: &Step,
    settlement: impl FnOnce(&Hash) -> Option<(Value, bool)>,
) -> Option<(Act, Leg, Value)> {
    let StepArgs::SettleAck(SettleAckArgs { answer: SettleAnswer::Accepted }) = &step.args else {
        return None;
    };
    let id = step.reference?;
    let (value, writer_owed) = settlement(&id)?;
    let act = if writer_owed { Act::OwesLess } else { Act::IsOwedLess };
    Some((act, Leg::first(ClaimId(id.0)), value))
}

/// A settlement's value.
pub(super) fn value_of(row: &SettlementRow) -> Value {
    (row.pair, row.amount.minor().unsigned_abs())
}

impl Peers {
    /// A peer's SETTLE.
    pub(super) fn hear_settle(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &SettleArgs,
    ) -> Result<(), &'static str> {
        let id = step.reference.ok_or("SETTLE without what it names")?;
        let row = state.channels.get(&step.channel).ok_or("SETTLE on no channel")?;
        if usize::from(args.pair) >= row.accord.pairs.len() {
            return Err("SETTLE in a unit pair that the accord has not");
        }
        let known = state.settlements.contains_key(&id);
        let told = self.told.get(&(step.channel, id)).copied();
        let over = self.told_on(&step.channel).count();
        let waiting = self.offers(&step.channel).iter().filter(|offer| !offer.accepted_before).count();
        let stream = self.stream_mut(&step.channel).ok_or("SETTLE on no stream")?;
        match stream.offers.get_mut(&id) {
            // Who has lost its newest entries says it again.
            Some(offer) if *args == offer.args => Ok(()),
            Some(offer) if args.withdrawn && (SettleArgs { withdrawn: false, ..*args }) == offer.args => {
                offer.args.withdrawn = true;
                Ok(())
            }
            // It is answered: the answer has crossed the wish to take it back, or it is said again after a loss.
            None if known || matches!(told, Some(SettleAnswer::Refused | SettleAnswer::Withdrawn)) => Ok(()),
            None if !args.withdrawn || told.is_some() => {
                if told.is_none() && over >= MAX_TAKEN_BACK {
                    return Err("SETTLE beyond those that may be taken back without an answer");
                }
                if told.is_none() && waiting >= MAX_OPEN_SETTLEMENTS {
                    return Err("SETTLE beyond those that may wait for an answer");
                }
                stream.offers.insert(id, Offered { args: *args, time_ms: entry.body().time_ms });
                Ok(())
            }
            // What we knew of it is lost with the part of our ledger that is; nobody is to blame.
            _ if !state.successions.is_empty() => Ok(()),
            _ => Err("SETTLE of another kind than its state allows"),
        }
    }

    /// A peer's SETTLE_ACK: the first answer to what we have proposed counts, but for an acceptance of what the peer
    /// knew to be taken back.
    pub(super) fn hear_settle_ack(
        &mut self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: SettleAckArgs,
    ) -> Result<(), &'static str> {
        let id = step.reference.ok_or("SETTLE_ACK without what it answers")?;
        let row = state.settlements.get(&id).filter(|row| row.channel == step.channel);
        let Some(row) = row else {
            // What was proposed in the part of our ledger that is lost we cannot tell; nobody is to blame.
            let lost = !state.successions.is_empty();
            return if lost { Ok(()) } else { Err("SETTLE_ACK of what we have not proposed") };
        };
        let stream = self.stream_mut(&step.channel).ok_or("SETTLE_ACK on no stream")?;
        let before = match row.stage {
            Stage::Booked => Some(SettleAnswer::Accepted),
            Stage::Proposed | Stage::TakenBack | Stage::Withdrawn => {
                stream.settle_answers.get(&id).map(|(_, answer)| *answer)
            }
            // Refused or withdrawn: which of both is not kept.
            Stage::Dropped if args.answer != SettleAnswer::Accepted => Some(args.answer),
            Stage::Signed
            | Stage::Dropped
            | Stage::Accepting
            | Stage::Refusing
            | Stage::Accepted
            | Stage::Refused => return Err("SETTLE_ACK beside its settlement"),
        };
        // Who has lost its answer with its newest entries says it again.
        if let Some(before) = before {
            return if before == args.answer { Ok(()) } else { Err("SETTLE_ACK against an earlier one") };
        }
        let knew = row.withdrawn_at.is_some_and(|at| step.ack.next > at);
        if knew && args.answer == SettleAnswer::Accepted {
            return Err("SETTLE_ACK accepts what was taken back");
        }
        stream.settle_answers.insert(id, (entry.leaf(), args.answer));
        Ok(())
    }

    /// What our own entries about settlements leave to be answered.
    pub(super) fn follow_settled(&mut self, settled: &Settled) {
        let Some((id, stream)) = settled.settlement.zip(self.stream_mut(&settled.channel)) else { return };
        if settled.act.is_of_node() {
            stream.settle_answers.remove(&id);
        }
    }

    /// Our own SETTLE_ACK. `known`: our state has a row of what it answers, and that of the answer in it.
    pub(super) fn follow_settle_ack(
        &mut self,
        channel: &StreamId,
        id: Hash,
        answer: SettleAnswer,
        known: bool,
    ) {
        if known {
            self.told.remove(&(*channel, id));
        } else {
            self.told.insert((*channel, id), answer);
        }
        // What we have accepted, and our books have not, is left to people.
        if let Some(stream) = self.stream_mut(channel).filter(|_| known || answer != SettleAnswer::Accepted) {
            stream.offers.remove(&id);
        }
    }

    fn told_on(&self, channel: &StreamId) -> impl Iterator<Item = (Hash, SettleAnswer)> + use<'_> {
        let all = (*channel, Hash::ZERO)..=(*channel, Hash([u8::MAX; Hash::LEN]));
        self.told.range(all).map(|((_, id), answer)| (*id, *answer))
    }

    /// Whether anything of that is kept: then a base of it is of a version of its own.
    pub(crate) fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// A settlement on a channel that we have told the peer to be accepted, and that our books lack.
    pub(super) fn to_be_accepted_again(&self, channel: &StreamId) -> Option<Hash> {
        self.told_on(channel).find(|(_, answer)| *answer == SettleAnswer::Accepted).map(|(id, _)| id)
    }

    /// Settlements that the peer of a channel proposes and our books do not know.
    pub fn offers(&self, channel: &StreamId) -> Vec<Offer> {
        let offers = self.stream(channel).map(|stream| &stream.offers);
        let offer = |(id, said): (&Hash, &Offered)| {
            let accepted_before = self.told.get(&(*channel, *id)) == Some(&SettleAnswer::Accepted);
            Offer { id: *id, said: *said, accepted_before }
        };
        offers.into_iter().flatten().map(offer).collect()
    }
}

impl Engine {
    /// What a person does about a settlement: their entry, and the step that tells the peer.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub(super) fn settle(
        &mut self,
        signed: &SignedOp,
        op: &Op,
        cx: &mut Cx<'_>,
    ) -> Result<Written, Rejected> {
        let Payload::Settled(settled) = &op.payload else { return Err(Rejected::StepForm) };
        if self.hushed.contains(&settled.channel) {
            let peer = self.state.channels.get(&settled.channel).map_or(LedgerId::ZERO, |row| row.peer);
            return Err(Rejected::NotHeard { peer });
        }
        if matches!(settled.act, SettleAct::Accept | SettleAct::Refuse) {
            let id = settled.settlement.ok_or(Rejected::SettleForm)?;
            let unfit = Rejected::SettleState { settlement: id };
            let offers = self.peers.offers(&settled.channel);
            let offer =
                offers.iter().find(|offer| offer.id == id && !offer.is_gone()).ok_or(unfit.clone())?;
            let we_are_a = self.state.channels.get(&settled.channel).is_some_and(|row| row.we_are_a);
            let args = offer.said.args;
            let same = (args.pair, args.amount, args.a_owed == we_are_a)
                == (settled.pair, settled.amount, settled.we_owed);
            if !same {
                return Err(unfit);
            }
            if offer.accepted_before && settled.act == SettleAct::Refuse {
                return Err(Rejected::SettleTold { settlement: id });
            }
        }
        let channel = settled.channel;
        let written = self.write(signed, cx)?;
        self.look_at_settlements(&channel, cx);
        Ok(written)
    }

    /// Tells the peer what people have signed, and books what the peer has answered.
    pub(super) fn look_at_settlements(&mut self, channel: &StreamId, cx: &mut Cx<'_>) {
        if self.quiet {
            return;
        }
        let all: Vec<(Hash, SettlementRow)> = self
            .state
            .settlements
            .iter()
            .filter(|(_, row)| row.channel == *channel)
            .map(|(id, row)| (*id, row.clone()))
            .collect();
        for (id, row) in all {
            // What cannot be written now is tried again at the next look.
            let _ = self.settle_on(channel, id, &row, cx);
        }
        for Offer { id, .. } in self.peers.offers(channel).into_iter().filter(Offer::is_gone) {
            let answer = SettleAnswer::Withdrawn;
            let args = StepArgs::SettleAck(SettleAckArgs { answer });
            let _ = self.step_about(*channel, (None, 0), Some(id), args, id.as_bytes(), cx);
        }
    }

    fn settle_on(
        &mut self,
        channel: &StreamId,
        id: Hash,
        row: &SettlementRow,
        cx: &mut Cx<'_>,
    ) -> Result<(), Rejected> {
        let on = self.state.channels.get(channel).ok_or(Rejected::UnknownChannel { channel: *channel })?;
        let propose = |withdrawn| {
            StepArgs::Settle(SettleArgs {
                pair: row.pair,
                amount: row.amount,
                a_owed: row.we_owed == on.we_are_a,
                reference: row.reference.unwrap_or(Hash::ZERO),
                withdrawn,
            })
        };
        let answered = self.peers.stream(channel).and_then(|s| s.settle_answers.get(&id).copied());
        let args = match row.stage {
            Stage::Proposed | Stage::TakenBack | Stage::Withdrawn if answered.is_some() => {
                let (leaf, answer) = answered.ok_or(Rejected::SettleForm)?;
                let accepted = answer == SettleAnswer::Accepted;
                let postings = postings_of(on, row.pair, row.amount, row.we_owed)?;
                let payload = Payload::Settled(Settled {
                    act: if accepted { SettleAct::Booked } else { SettleAct::Dropped },
                    channel: *channel,
                    pair: row.pair,
                    amount: row.amount,
                    we_owed: row.we_owed,
                    settlement: Some(id),
                    answer: Some(leaf),
                    postings: accepted.then_some(postings),
                });
                return self.own(payload, channel.as_bytes(), id.as_bytes(), 0, cx);
            }
            Stage::Signed => propose(false),
            Stage::TakenBack => propose(true),
            Stage::Accepting => StepArgs::SettleAck(SettleAckArgs { answer: SettleAnswer::Accepted }),
            Stage::Refusing => StepArgs::SettleAck(SettleAckArgs { answer: SettleAnswer::Refused }),
            Stage::Proposed
            | Stage::Withdrawn
            | Stage::Booked
            | Stage::Dropped
            | Stage::Accepted
            | Stage::Refused => return Ok(()),
        };
        self.step_about(*channel, (None, 0), Some(id), args, id.as_bytes(), cx)
    }

    /// Lets no new payments over the channel with a peer, or lets them again.
    ///
    /// # Errors
    /// No accord, or nothing would change.
    pub fn pause(&mut self, peer: &LedgerId, on: bool, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.halt(peer, StepArgs::Pause(PauseArgs { on }), cx)
    }

    /// Ends the accord with a peer: no new payments, until a new accord is signed.
    ///
    /// # Errors
    /// No accord, or it has ended.
    pub fn end(&mut self, peer: &LedgerId, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.halt(peer, StepArgs::End, cx)
    }

    fn halt(&mut self, peer: &LedgerId, args: StepArgs, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let (id, _) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let about = self.state.stream(&id).next.to_be_bytes();
        self.step_about(id, (None, 0), None, args, &about, cx)
    }
}
