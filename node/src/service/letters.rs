//! The ledger's side of letters: what goes into one for a peer that is away, who could keep it, and what is taken out of one
//! (specs/network.md §13).

use super::core::Core;
use super::links::{PushIn, read_entries};
use crate::clock::SystemRng;
use std::collections::BTreeMap;
use std::sync::Arc;
use weft_protocol::encoding::encode;
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::letter::{Kept, Letter, MAX_PUSH_BYTES};
use weft_protocol::seal::Envelope;

/// A letter that nobody has acknowledged after this time is written anew: its host may have lost it.
const AGAIN_MS: u64 = 3 * 24 * 3_600_000;
/// Hosts that one letter goes to: one may be lost.
const HOSTS: usize = 2;

/// A letter to be put, and how far it goes.
#[derive(Debug)]
pub struct LetterOut {
    /// Sealed to its receiver.
    pub letter: Letter,
    /// The place after its last entry.
    pub next: u64,
}

/// How far letters to a peer were written, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    next: u64,
    at_ms: u64,
}

impl Core {
    /// Peers that have said that they have an accord with this one, too: they can keep letters for it.
    pub fn hosts_for(&self, peer: &LedgerId) -> Vec<LedgerId> {
        let engine = self.engine();
        let told = engine.peers().capacities().keys().filter(|(_, of)| of == peer);
        let hosts = told.map(|(host, _)| *host).filter(|host| {
            host != peer && engine.state().channel_with(host).is_some() && !engine.is_banned(host)
        });
        hosts.take(HOSTS).collect()
    }

    /// The next letter for a peer that is away: what it has not acknowledged and what no letter holds.
    ///
    /// # Errors
    /// When the stores cannot be read, or what comes next fits in no letter.
    pub fn letter_for(&self, peer: &LedgerId) -> Result<Option<LetterOut>, String> {
        let engine = self.engine();
        let Some((channel, _)) = engine.state().channel_with(peer) else { return Ok(None) };
        let acked = engine.peers().stream(&channel).map_or(0, |stream| stream.acked);
        let now_ms = self.clock().now_ms();
        let written = self.letters_written(peer)?;
        let fresh = written.filter(|written| now_ms.saturating_sub(written.at_ms) < AGAIN_MS);
        let from = fresh.map_or(acked, |written| written.next.max(acked));
        // Heads and the list around the entries are a few bytes each.
        let Some(out) = self.outgoing_within(channel, from, None, MAX_PUSH_BYTES - 1_024)? else {
            return Ok(None);
        };
        let identity = engine.peers().identity(peer).ok_or("a peer that has not shown who it is")?;
        let (epoch, key) = identity.current(Purpose::Seal).ok_or("the peer has bound no seal key")?;
        let us = engine.state().ledger().map_err(|e| e.to_string())?;
        let letter =
            Letter::seal((peer, epoch, key), &us, &out.push, &mut SystemRng).map_err(|e| e.to_string())?;
        Ok(Some(LetterOut { letter, next: out.next }))
    }

    /// A letter up to this place is kept somewhere.
    ///
    /// # Errors
    /// When the private store cannot be written.
    pub fn note_letter(&self, peer: &LedgerId, next: u64) -> Result<(), String> {
        let value = encode(&(next, self.clock().now_ms()));
        self.private().set_setting(&setting(peer), &value).map_err(|e| e.to_string())
    }

    fn letters_written(&self, peer: &LedgerId) -> Result<Option<Written>, String> {
        let value = self.private().setting(&setting(peer)).map_err(|e| e.to_string())?;
        let read = |bytes: Vec<u8>| weft_protocol::encoding::decode_canonical::<(u64, u64)>(&bytes, 64).ok();
        Ok(value.and_then(read).map(|(next, at_ms)| Written { next, at_ms }))
    }

    /// Takes in what a letter holds, as if its sender had pushed it. Whatever comes of it, it need not come again: who wrote
    /// it goes on from what we acknowledge. `false` while nothing is taken in at all.
    pub fn letter_in(&mut self, kept: &Kept) -> bool {
        if self.time_held().is_some() {
            return false;
        }
        let Ok(us) = self.engine().state().ledger() else { return false };
        let from = kept.from;
        let seals = std::iter::once(&self.keys().seal).chain(&self.keys().other_seals);
        let opened = seals.map(|seal| kept.letter.open(seal, &from, &us));
        let opened = opened.reduce(|first, next| first.or(next)).expect("there is one key at least");
        match opened {
            Ok(push) if self.engine().state().channel_with(&from).is_some() => {
                let sidecars =
                    push.sidecars.iter().filter_map(|bytes| Envelope::parse(&bytes.0).ok()).collect();
                let (channel, proofs, sidecars) = (push.channel, push.proofs, Arc::new(sidecars));
                let (entries, unreadable) = read_entries(&push.entries);
                let opened = BTreeMap::new();
                let push = PushIn { peer: from, channel, entries, unreadable, sidecars, proofs, opened };
                let (pushed, _) = self.push_in(push);
                tracing::info!(from = %from.short(), next = pushed.next, "a letter was taken in");
            }
            Ok(_) => {
                tracing::debug!(from = %from.short(), "a letter of somebody with whom there is no accord")
            }
            Err(why) => tracing::debug!(from = %from.short(), %why, "a letter was left aside"),
        }
        true
    }
}

fn setting(peer: &LedgerId) -> String {
    format!("letters:{peer}")
}
