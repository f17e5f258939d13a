//! Resets, as people ask for them: notices, what our side knows, what both root sets sign (specs/clearing.md §17).

use super::core::Core;
use super::dispute::{of_set, read, shown};
use weft_api::{ResetDraft, ResetNotice as Notice, ResetState, RootSignature};
use weft_protocol::amount::{format_decimal, parse_decimal};
use weft_protocol::clearing::reset::{Reset, ResetArgs};
use weft_protocol::clearing::resetting::ResetSide;
use weft_protocol::encoding::Blob;
use weft_protocol::ids::{ClaimId, LedgerId, StreamId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::state::ChannelRow;
use weft_protocol::time::moment;

impl Core {
    /// How the channel with a peer stands towards a reset.
    ///
    /// # Errors
    /// No accord.
    pub fn reset_state(&self, peer: &LedgerId) -> Result<ResetState, Rejected> {
        let (state, peers) = (self.engine().state(), self.engine().peers());
        let (channel, _) = state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let row = state.resets.get(peer).cloned().unwrap_or_default();
        let ours = row.notice.map(|n| Notice { not_before_ms: n.not_before_ms, closed: n.closed });
        let theirs = peers.notice_of(state, peer);
        let theirs = theirs.map(|n| Notice { not_before_ms: n.not_before_ms, closed: n.closed });
        let next = peers.stream(&state.next_channel(peer)?);
        let last = row.offered.last();
        let refused = next.and_then(|stream| stream.refused());
        let refused = refused.filter(|(leaf, _)| last.is_some_and(|(_, offered)| offered == leaf));
        let begun = peers.stream(&channel).and_then(|stream| stream.reset());
        let open = row.n == 0 || begun.is_some_and(|heard| heard.in_effect);
        let side = self.engine().reset_side(peer);
        let waits = if !open {
            "it is in effect here; it opens when it is in effect there, too".to_owned()
        } else if let Some((_, code)) = refused {
            format!("the other network has refused what was offered: {}; both sign another", code.text())
        } else if last.is_some() {
            "what both root sets have signed is offered; the other node takes it by itself".to_owned()
        } else {
            waits(ours.as_ref(), theirs.as_ref(), next.is_some_and(|stream| stream.reset().is_some()))
        };
        Ok(ResetState {
            schema: "weft.reset/1".to_owned(),
            ledger: peer.to_string(),
            name: self.name_of_network(peer),
            incarnation: row.n,
            ours,
            theirs,
            offered: last.map(|(id, _)| id.to_string()),
            in_effect: row.reset.map(|id| id.to_string()),
            open,
            waits,
            side: side.ok().map(|side| data_encoding::HEXLOWER.encode(&side.to_bytes())),
        })
    }

    /// What both root sets would sign, made of our side and theirs. `agreed`: what is owed, where the two differ, above zero
    /// where we owe it, one for each unit pair; `free`: payments that whoever has decided them gives up.
    ///
    /// # Errors
    /// Why there is no such document, in words.
    pub fn draft_reset(
        &self,
        peer: &LedgerId,
        theirs: &[u8],
        agreed: Option<&[String]>,
        free: &[ClaimId],
    ) -> Result<ResetDraft, String> {
        let text = |e: Rejected| e.to_string();
        let state = self.engine().state();
        let (_, row) = state.channel_with(peer).ok_or("there is no accord with this network")?;
        let ours = self.engine().reset_side(peer).map_err(text)?;
        let theirs = ResetSide::parse(theirs).map_err(|e| format!("the other side: {e}"))?;
        let agreed = agreed.map(|amounts| self.agreed(row, amounts)).transpose()?;
        let reset = ours.with(&theirs, agreed.as_deref(), free).map_err(|e| e.to_string())?;
        let identity = self.engine().peers().identity(peer);
        let identity = identity.ok_or("this network has not shown who it is")?;
        Ok(ResetDraft {
            schema: "weft.reset-draft/1".to_owned(),
            reset: data_encoding::HEXLOWER.encode(&reset.to_bytes()),
            our_roots: shown(state.identity().map_err(text)?),
            their_roots: shown(identity),
            their_name: self.name_of_network(peer),
            lines: self.reset_words(row, &reset),
        })
    }

    fn agreed(&self, row: &ChannelRow, amounts: &[String]) -> Result<Vec<i64>, String> {
        let one = |(pair, amount): (&weft_protocol::clearing::accord::UnitPair, &String)| {
            let unit = self.engine().state().units.get(&pair.booked_unit(row.we_are_a));
            let owed = signed_minor(amount, unit.map_or(0, |unit| unit.scale))?;
            Ok(if row.we_are_a { owed } else { owed.wrapping_neg() })
        };
        if amounts.len() != row.accord.pairs.len() {
            let (need, got) = (row.accord.pairs.len(), amounts.len());
            return Err(format!("the accord has {need} unit pairs, {got} amounts were given"));
        }
        row.accord.pairs.iter().zip(amounts).map(one).collect()
    }

    /// What a reset says, in sentences.
    fn reset_words(&self, row: &ChannelRow, reset: &Reset) -> Vec<String> {
        let mut lines = Vec::new();
        for (pair, agreed) in row.accord.pairs.iter().zip(&reset.positions) {
            let unit = self.engine().state().units.get(&pair.booked_unit(row.we_are_a));
            let (code, scale) = unit.map_or((String::new(), 0), |unit| (unit.code.clone(), unit.scale));
            let amount = format_decimal(agreed.saturating_abs(), scale);
            let we_owe = (*agreed > 0) == row.we_are_a;
            let who = if we_owe { "this network owes" } else { "the other network owes" };
            lines.push(if *agreed == 0 {
                format!("nothing is owed in {code}")
            } else {
                format!("{who} {amount} {code}")
            });
        }
        lines.push(format!("{} open payments are bound, all others are freed", reset.bound.len()));
        lines
            .extend(reset.bound.iter().map(|hop| format!("bound: payment {}, part {}", hop.claim, hop.part)));
        lines
    }

    /// Takes in a reset with the signatures of both root sets; a key in both sets counts for both.
    ///
    /// # Errors
    /// The rule broken; nothing changed.
    pub fn take_in_reset(
        &mut self,
        bytes: &[u8],
        signatures: &[RootSignature],
    ) -> Result<LedgerId, Rejected> {
        let wrong = |why| Rejected::ResetMismatch { why };
        let reset = Reset::parse(bytes).map_err(|_| wrong("it cannot be read"))?;
        let us = self.engine().state().ledger()?;
        let (peer, we_are_a) = reset.other(&us).ok_or(wrong("it is between other networks"))?;
        let sigs = read(signatures).ok_or(wrong("one of its signatures cannot be read"))?;
        let theirs = self.engine().peers().identity(&peer).ok_or(Rejected::NotIntroduced { ledger: peer })?;
        let ours = &self.engine().state().identity()?.root;
        let (ours, theirs) = (of_set(&sigs, ours), of_set(&sigs, &theirs.root));
        let (sigs_a, sigs_b) = if we_are_a { (ours, theirs) } else { (theirs, ours) };
        let args = ResetArgs { reset: Blob(bytes.to_vec()), sigs_a, sigs_b };
        self.with_engine(|engine, cx| engine.reset(args, cx))?;
        Ok(peer)
    }

    /// The channel with a peer now, and the next one as far as we have written on it.
    pub fn incarnations(&self, peer: &LedgerId) -> Option<Incarnations> {
        let state = self.engine().state();
        let (current, _) = state.channel_with(peer)?;
        let next = state.next_channel(peer).ok()?;
        let heard = self.engine().peers().stream(&current).and_then(|stream| stream.reset());
        let waits = state.incarnation(peer) > 0 && !heard.is_some_and(|heard| heard.in_effect);
        Some(Incarnations { current, next, offered: state.stream(&next).next, waits })
    }
}

/// The channel with a peer and the one that may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnations {
    /// The one in force.
    pub current: StreamId,
    /// The one after it.
    pub next: StreamId,
    /// How many entries we have written on that.
    pub offered: u64,
    /// Whether the one in force was begun here and not yet there.
    pub waits: bool,
}

/// An amount that may be zero or below.
fn signed_minor(text: &str, scale: u8) -> Result<i64, String> {
    let (less, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if !text.is_empty() && text.chars().all(|c| c == '0' || c == '.') {
        return Ok(0);
    }
    let minor = parse_decimal(text, scale)?.minor();
    Ok(if less { minor.wrapping_neg() } else { minor })
}

/// What people have to do next.
fn waits(ours: Option<&Notice>, theirs: Option<&Notice>, offered: bool) -> String {
    match (ours, theirs) {
        (None, None) => "no reset was asked for".to_owned(),
        (None, Some(_)) => {
            "the other network has given notice: give one, too (`weft peer reset notice`)".to_owned()
        }
        (Some(ours), _) if !ours.closed => {
            let when = moment(ours.not_before_ms);
            format!("our notice runs until {when}; then close our side (`weft peer reset close`)")
        }
        (Some(_), None) => "the other network has not given notice".to_owned(),
        (Some(_), Some(theirs)) if !theirs.closed => {
            format!("the other network closes its side, from {} on", moment(theirs.not_before_ms))
        }
        (Some(_), Some(_)) if offered => "the other network has offered a reset".to_owned(),
        (Some(_), Some(_)) => {
            "both sides are closed: exchange what both know (`weft peer reset side`), draft, and have both root sets sign"
                .to_owned()
        }
    }
}
