//! PROPOSE: a hop that we are to be the debtor of (specs/clearing.md 6.3 to 6.6).

use super::{Context, hop_value, room};
use crate::amount::Amount;
use crate::clearing::intent::{Intent, Part};
use crate::clearing::rate::{HopValue, Way};
use crate::clearing::step::ProposeArgs;
use crate::ids::Hash;
use crate::ledger::state::{Answer, Change, ChannelRow, ClaimRow, Closing, HoldRow, InHop, Origin, OutHop};
use crate::ledger::{Rejected, halt, own_accounts};

impl Context<'_> {
    pub(super) fn propose(
        &self,
        channel: &mut ChannelRow,
        args: &ProposeArgs,
    ) -> Result<Vec<Change>, Rejected> {
        let bad = |why| Err(Rejected::HopMismatch { why });
        if !self.lost {
            halt::check_open(channel)?;
            if self.state.written_off.contains_key(&self.step.channel) {
                return Err(Rejected::WrittenOff { peer: channel.peer });
            }
            if self.state.notice(&channel.peer).is_some() {
                return Err(Rejected::ResetNoticed { peer: channel.peer, by_us: true });
            }
        }
        let intent = args.intent.parse()?;
        let (part, place) = self.own_part(&args.intent.intent.0, &intent)?;
        intent.check_time(self.entry.body().time_ms)?;
        if place != usize::from(args.hop) || part.route.get(place.saturating_add(1)) != Some(&channel.peer) {
            return bad("sender and receiver are not the ends of this hop");
        }
        let hop = part.hops.get(place).ok_or(Rejected::HopMismatch { why: "there is no such hop" })?;
        let value = hop_value(channel, hop, Way::Out)?;
        let position = value.position().minor();
        let room = room(self.state, channel, hop.pair).unwrap_or(0);
        if i128::from(position) > room && !self.lost {
            return Err(Rejected::NoRoom { amount: position, room });
        }
        if intent.payer != self.ledger
            && intent.payer != channel.peer
            && !channel.introduced.contains(&intent.payer)
        {
            return Err(Rejected::NotIntroduced { ledger: intent.payer });
        }
        let mut row = self.row_or_new(intent.expires_ms);
        if row.outgoing.is_some() {
            return Err(Rejected::ClaimExists { claim: self.claim() });
        }
        let mut changes = Vec::new();
        let (origin, before) = if place == 0 {
            let (origin, bound) = self.bind_hold(&intent, value)?;
            changes.push(bound);
            (origin, None)
        } else {
            self.upstream(&row, part, place, value)?
        };
        let open = channel.open_out.entry(hop.pair).or_default();
        *open = open.saturating_add(position.unsigned_abs());
        row.expires_ms = row.expires_ms.max(intent.expires_ms);
        row.outgoing = Some(OutHop {
            channel: self.step.channel,
            pair: hop.pair,
            unit: value.unit,
            amount: value.amount,
            origin,
            decider: intent.payee,
            closing: Closing::Open,
            ended: false,
            returned: false,
            exchanged: value.exchanged,
            before: before.and_then(|value| value.exchanged),
        });
        changes.push(self.set(row));
        Ok(changes)
    }

    /// One hold backs all parts of its claim: the first that is proposed binds it, each takes its share.
    fn bind_hold(&self, intent: &Intent, value: HopValue) -> Result<(Origin, Change), Rejected> {
        let id = self.step.reference.unwrap_or(Hash::ZERO);
        let no = |what| Rejected::HoldMismatch { what };
        let whole = intent.src().ok_or(no("the amount"))?;
        let gone = HoldRow {
            account: own_accounts::disputed(),
            unit: value.unit,
            amount: whole,
            payee_network: intent.payee,
            commitment: intent.sidecar,
            claim: None,
            left: None,
        };
        let known = self.state.holds.get(&id);
        let hold = known.or(self.lost.then_some(&gone)).ok_or(Rejected::UnknownHold { hold: id })?;
        let left = match hold.claim {
            None => hold.amount,
            Some(claim) if claim == self.claim() => {
                hold.left.ok_or(Rejected::HoldBound { hold: id, claim })?
            }
            Some(claim) => return Err(Rejected::HoldBound { hold: id, claim }),
        };
        if hold.unit != value.unit {
            return Err(no("the unit"));
        }
        if hold.claim.is_none() && hold.amount != whole {
            return Err(no("the amount"));
        }
        if hold.payee_network != intent.payee {
            return Err(no("the payee's network"));
        }
        if hold.commitment != intent.sidecar {
            return Err(no("the sealed payee and memo"));
        }
        let rest = left.minor().checked_sub(value.amount.minor()).filter(|rest| *rest >= 0);
        let left = Amount::new(rest.ok_or(no("the amount"))?).ok();
        let bound = HoldRow { claim: Some(self.claim()), left, ..hold.clone() };
        Ok((Origin::Hold { hold: id, account: hold.account }, Change::Hold(id, Some(bound))))
    }

    /// A middle proposes onward only what it has not turned down, and in the unit in which it comes in.
    fn upstream(
        &self,
        row: &ClaimRow,
        part: &Part,
        place: usize,
        onward: HopValue,
    ) -> Result<(Origin, Option<HopValue>), Rejected> {
        let from = place.checked_sub(1).and_then(|i| Some((part.route.get(i)?, part.hops.get(i)?)));
        let (peer, hop) = from.ok_or(Rejected::HopMismatch { why: "there is no hop before" })?;
        let (id, channel) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let value = hop_value(channel, hop, Way::In)?;
        if value.unit != onward.unit {
            return Err(Rejected::HopMismatch { why: "it comes in one unit and leaves in another" });
        }
        if !channel.accord.relay {
            return Err(Rejected::HopMismatch { why: "the accord does not let claims pass through" });
        }
        if self.state.is_closed_for_reset(&channel.peer) && !self.lost {
            return Err(Rejected::ChannelClosed { peer: channel.peer });
        }
        let turned_down =
            |hop: &InHop| matches!(hop.answer, Answer::Rejected(_)) || hop.return_step.is_some();
        if row.incoming.get(&id).is_some_and(turned_down) && !self.lost {
            return Err(Rejected::AlreadyAnswered { claim: self.claim() });
        }
        Ok((Origin::Upstream { channel: id }, Some(value)))
    }
}
