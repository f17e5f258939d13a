//! Which claims are asked about, and when (specs/network.md 7.5).
//!
//! A claim that a peer next to us decides is heard of over its stream. One that is decided further away may have been
//! decided while a network between us is away: its decider is asked, less and less often.

use super::core::Core;
use crate::federation::Brought;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Entry;
use weft_protocol::ids::{ClaimId, LedgerId};
use weft_protocol::ledger::identity::is_identity;

/// Claims asked about in one round.
const MAX_ASKED_AT_ONCE: usize = 16;
/// First wait for the word of a decider further away; doubles.
const WAIT_MIN_MS: u64 = 4_000;
/// Longest wait.
const WAIT_MAX_MS: u64 = 600_000;
/// Networks that nobody vouches for, and that ask about their claims, count together.
const STRANGERS: LedgerId = LedgerId::ZERO;

/// When a claim is asked about next, and how long the wait after that is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    next_ms: u64,
    wait_ms: u64,
}

/// The turns of claims that wait.
#[derive(Debug, Default)]
pub(super) struct Asking(BTreeMap<ClaimId, Turn>);

impl Core {
    /// Claims that we proposed and that wait: those past their expiry, or of which a part has failed, to be ended; and those
    /// decided further away.
    pub fn claims_to_ask(&mut self) -> Vec<(ClaimId, bool)> {
        let (now_ms, clock_ms) = (self.uptime_ms(), self.clock().now_ms());
        let state = self.engine().state();
        let broken: BTreeSet<ClaimId> = self.engine().broken_claims().into_iter().collect();
        // A claim may have several parts here; it is asked about once, and ended when any of them is late.
        let mut open: BTreeMap<ClaimId, bool> = BTreeMap::new();
        for (claim, _, row, out) in state.open_claims() {
            let late = row.expires_ms < clock_ms || broken.contains(&claim);
            let far = state.channels.get(&out.channel).is_some_and(|channel| channel.peer != out.decider);
            if late || far {
                *open.entry(claim).or_default() |= late;
            }
        }
        let before = std::mem::take(&mut self.asking.0);
        let mut due = Vec::new();
        for (claim, late) in open {
            let first = Turn { next_ms: now_ms + WAIT_MIN_MS, wait_ms: WAIT_MIN_MS * 2 };
            let mut turn = before.get(&claim).copied().unwrap_or(first);
            if (late || turn.next_ms <= now_ms) && due.len() < MAX_ASKED_AT_ONCE {
                turn = Turn { next_ms: now_ms + turn.wait_ms, wait_ms: (turn.wait_ms * 2).min(WAIT_MAX_MS) };
                due.push((claim, late));
            }
            self.asking.0.insert(claim, turn);
        }
        due
    }

    /// The identity entries of a network, our own or another one's.
    pub fn identity_of(&self, ledger: &LedgerId) -> Vec<Blob> {
        if self.engine().state().ledger().is_ok_and(|us| us == *ledger) {
            let own = self.introduction().unwrap_or_default();
            let is_identity =
                |bytes: &Blob| Entry::parse(&bytes.0).is_ok_and(|entry| is_identity(&entry.op().payload));
            return own.into_iter().filter(is_identity).collect();
        }
        self.engine().peers().identity_entries(ledger).iter().map(|bytes| Blob(bytes.clone())).collect()
    }

    /// A payer's network that nobody has told of shows who it is. It is remembered until the next start; what rests on
    /// it needs it no longer.
    pub fn hear_payer(&mut self, payer: &LedgerId, identity: &[Blob]) {
        if identity.is_empty() || self.engine().peers().identity(payer).is_some() {
            return;
        }
        let known = self.engine().peers().known().count();
        let bytes = identity.iter().map(|entry| entry.0.len()).sum();
        let brought = Brought { is_first: true, place: 0, in_reach: false, known, bytes };
        let now_ms = self.uptime_ms();
        if let Err(why) = self.quotas.charge(STRANGERS, brought, now_ms) {
            tracing::debug!(payer = %payer.short(), %why, "a payer's network is not looked at");
            return;
        }
        let entries: Vec<Vec<u8>> = identity.iter().map(|entry| entry.0.clone()).collect();
        if let Err(why) = self.parts.engine.hear_identity(payer, &entries) {
            tracing::debug!(payer = %payer.short(), %why, "a payer's network has not shown who it is");
        }
    }
}
