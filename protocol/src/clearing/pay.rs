//! A payment to another network, as its payer's network begins it (specs/clearing.md §9): the hold, and one PROPOSE for
//! each part.
//!
//! Everything that could refuse a PROPOSE is asked before the hold is written, so nothing is half begun but by a crash;
//! what a crash leaves out is given back by [`Engine::recover`].

use super::engine::{Cx, Engine};
use super::intent::{CLAIM_VERSION, Hop, Intent, Part, SignedIntent};
use super::leg::Leg;
use super::rate::{HopValue, Way};
use super::step::{ProposeArgs, StepArgs};
use crate::amount::Amount;
use crate::entry::{Kind, Op, Payload, SignedOp};
use crate::ids::{ClaimId, Hash, LedgerId, OpId, StreamId, UnitId};
use crate::ledger::Rejected;
use crate::ledger::author::Written;
use crate::ledger::clearing::{hop_value, log_epoch, room};
use crate::ledger::state::{ChannelRow, Closing, Origin};
use std::collections::BTreeMap;

/// A way by its networks, ours first and the payee's last, and the pair and accord version of each hop; the amounts
/// follow from the rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The networks.
    pub ledgers: Vec<LedgerId>,
    /// Unit pair and accord version of each hop.
    pub hops: Vec<(u8, u32)>,
}

/// The ways of a payment: 1 to 8 parts, each with its networks, ours first and the payee's last, and with the amounts
/// of its hops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Each way from payer to payee.
    pub parts: Vec<Part>,
}

impl Route {
    /// Several ways on which every pair is one to one, with the amount of each.
    pub fn split(ways: Vec<(Path, Amount)>) -> Self {
        let parts =
            ways.into_iter().flat_map(|(way, amount)| Self::one_to_one(way.ledgers, &way.hops, amount).parts);
        Self { parts: parts.collect() }
    }

    /// One way on which every pair is one to one: the networks, and pair and accord version of each hop.
    pub fn one_to_one(route: Vec<LedgerId>, hops: &[(u8, u32)], amount: Amount) -> Self {
        let hop = |(pair, accord_version): &(u8, u32)| Hop {
            pair: *pair,
            src: amount,
            dst: amount,
            accord_version: *accord_version,
        };
        Self { parts: vec![Part { route, hops: hops.iter().map(hop).collect() }] }
    }
}

/// What a part asks of its first hop.
struct First {
    peer: LedgerId,
    channel: StreamId,
    pair: u8,
    value: HopValue,
}

impl Engine {
    /// A payment to another network: the hold and the PROPOSE for the first hop of each part, together.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed.
    pub fn pay(
        &mut self,
        signed: &SignedOp,
        route: &Route,
        expires_ms: u64,
        cx: &mut Cx<'_>,
    ) -> Result<(Written, ClaimId), Rejected> {
        let kind =
            Kind::from_code(signed.kind).filter(|kind| *kind == Kind::Hold).ok_or(Rejected::StepForm)?;
        let op = Op::parse(kind, &signed.op.0).map_err(Rejected::Encoding)?;
        let Payload::Hold(hold) = &op.payload else { return Err(Rejected::StepForm) };
        // Before all else, so that a retry hears that it was done, not that it would not fit a second time.
        let author = signed.auth.first().map_or(crate::ids::Signer::ZERO, |auth| auth.signer);
        if self.state.ops.contains_key(&(author, op.op_id)) {
            return Err(Rejected::OpDone { op_id: op.op_id });
        }
        let commitment = *op.sidecars.first().ok_or(Rejected::HoldSidecar)?;
        let intent = self.intent(route, commitment, expires_ms, &op.op_id)?;
        intent.check_time(cx.now_ms.max(self.state.head.time_ms))?;
        if intent.payee != hold.payee_network {
            return Err(Rejected::HoldMismatch { what: "the payee's network" });
        }
        if intent.src() != Some(hold.amount) {
            return Err(Rejected::HoldMismatch { what: "the amount" });
        }
        if self.is_banned(&intent.payee) {
            return Err(Rejected::PeerBanned { peer: intent.payee });
        }
        let firsts = self.first_hops(&intent)?;
        if self.is_frozen(&intent.payee) {
            return Err(Rejected::PeerFrozen { peer: intent.payee });
        }
        if firsts.iter().any(|first| first.value.unit != hold.unit) {
            return Err(Rejected::HoldMismatch { what: "the unit" });
        }
        self.check_room(&firsts)?;
        let now_ms = cx.now_ms.max(self.state.head.time_ms);
        for first in &firsts {
            if self.old_claims_hold((first.channel, first.pair), &intent.payee, now_ms) {
                return Err(Rejected::OldHolds { peer: first.peer });
            }
        }
        let signed_intent =
            SignedIntent::sign(&intent, self.author.log_key(self.state.identity()?, intent.epoch)?);
        let claim = signed_intent.claim();
        if self.state.legs(&claim).next().is_some() {
            return Err(Rejected::ClaimExists { claim });
        }
        let written = self.write(signed, cx)?;
        let held = written.entry.leaf();
        for (part, first) in (0_u8..).zip(&firsts) {
            let args = StepArgs::Propose(ProposeArgs { intent: signed_intent.clone(), hop: 0 });
            if let Err(refused) = self.step_of(first.channel, Leg { claim, part }, Some(held), args, cx) {
                // All that could refuse it was asked before the hold was written; should a rule be missed, the payer
                // has the value back: at once, or when the parts that were proposed have been cancelled.
                self.release(held, cx)?;
                if part == 0 {
                    return Err(refused);
                }
                self.broken.insert(claim);
                break;
            }
        }
        self.touched(claim);
        Ok((written, claim))
    }

    /// Whether an operation was done before.
    pub fn was_done(&self, signed: &SignedOp) -> bool {
        let op = Kind::from_code(signed.kind).and_then(|kind| Op::parse(kind, &signed.op.0).ok());
        let author = signed.auth.first().map_or(crate::ids::Signer::ZERO, |auth| auth.signer);
        op.is_some_and(|op| self.state.ops.contains_key(&(author, op.op_id)))
    }

    /// The route over one hop, when there is an accord with the payee's network that names the unit, so that `amount`
    /// leaves the payer.
    ///
    /// # Errors
    /// No accord; the unit is in none of its pairs; the rate gives no whole amount for this one.
    pub fn direct_route(&self, peer: &LedgerId, unit: UnitId, amount: Amount) -> Result<Route, Rejected> {
        let (_, channel) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let pair = channel.accord.pairs.iter().position(|p| p.unit(channel.we_are_a) == unit);
        let index = pair.and_then(|p| u8::try_from(p).ok()).ok_or(Rejected::UnknownUnit { unit })?;
        let terms = channel.accord.pairs.get(usize::from(index)).ok_or(Rejected::UnknownUnit { unit })?;
        let dst = terms.dst_for(amount, channel.we_are_a);
        let src = dst.and_then(|dst| terms.src_for(dst, channel.we_are_a));
        let (Some(dst), true) = (dst, src == Some(amount)) else {
            let nearest = src.map_or(0, Amount::minor);
            return Err(Rejected::Inexact { amount: amount.minor(), nearest });
        };
        let hop = Hop { pair: index, src: amount, dst, accord_version: channel.accord.version };
        Ok(Route { parts: vec![Part { route: vec![self.state.ledger()?, *peer], hops: vec![hop] }] })
    }

    /// Claims of ours that cannot be accepted any more and are still open: a part of them was freed, or never proposed
    /// because of a crash. Their deciders are to be asked to cancel.
    pub fn broken_claims(&self) -> Vec<ClaimId> {
        let freed = |claim: &ClaimId| {
            let outs = self.state.legs(claim).filter_map(|(_, row)| row.outgoing.as_ref());
            outs.into_iter().any(|out| matches!(out.closing, Closing::Freed(_)))
        };
        let ours = self.state.open_claims().filter(|(.., out)| matches!(out.origin, Origin::Hold { .. }));
        let broken = ours.filter(|(claim, ..)| self.broken.contains(claim) || freed(claim));
        let mut claims: Vec<ClaimId> = broken.map(|(claim, ..)| claim).collect();
        claims.dedup();
        claims
    }

    fn intent(
        &self,
        route: &Route,
        sidecar: Hash,
        expires_ms: u64,
        op_id: &OpId,
    ) -> Result<Intent, Rejected> {
        let no = Rejected::Intent { why: "a route without networks" };
        let intent = Intent {
            v: CLAIM_VERSION,
            payer: self.state.ledger()?,
            epoch: log_epoch(&self.state)?,
            payee: *route.parts.first().and_then(|part| part.route.last()).ok_or(no)?,
            sidecar,
            parts: route.parts.clone(),
            expires_ms,
            nonce: Hash::of("", &[&self.secret, op_id.as_bytes()]),
        };
        Intent::parse(&crate::encoding::encode(&intent))
    }

    fn first_hops(&self, intent: &Intent) -> Result<Vec<First>, Rejected> {
        let no = |why| Rejected::Intent { why };
        let first = |part: &Part| {
            let next = part.route.get(1).ok_or(no("a route has at least two networks"))?;
            let hop = part.hops.first().ok_or(no("a route has 1 to 6 hops"))?;
            let (channel, row) = self.ready_channel(next)?;
            Ok(First { peer: *next, channel, pair: hop.pair, value: hop_value(row, hop, Way::Out)? })
        };
        intent.parts.iter().map(first).collect()
    }

    /// Parts that begin on one channel share its room.
    fn check_room(&self, firsts: &[First]) -> Result<(), Rejected> {
        let mut wanted: BTreeMap<(StreamId, u8), i128> = BTreeMap::new();
        for first in firsts {
            let sum = wanted.entry((first.channel, first.pair)).or_default();
            *sum = sum.saturating_add(i128::from(first.value.position().minor()));
        }
        for ((channel, pair), sum) in wanted {
            let row: Option<&ChannelRow> = self.state.channels.get(&channel);
            let room = row.and_then(|row| room(&self.state, row, pair)).unwrap_or(0);
            if sum > room {
                let amount = i64::try_from(sum).unwrap_or(i64::MAX);
                return Err(Rejected::NoRoom { amount, room });
            }
        }
        Ok(())
    }
}
