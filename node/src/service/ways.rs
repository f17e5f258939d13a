//! Ways to other networks, as this node knows them: whom a name means, which way a payment takes, and which have failed
//! lately (specs/network.md §12).

use super::core::Core;
use super::payments::ClaimState;
use crate::store::private::Ban;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::clearing::engine::Route;
use weft_protocol::clearing::intent::RejectCode;
use weft_protocol::federation::route::Way;
use weft_protocol::ids::{ClaimId, LedgerId, UnitId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::identity::Identity;

/// A hop that has failed is taken last for this time.
const FAILED_FOR_MS: u64 = 10 * 60_000;
/// Payments whose way is remembered until they end: more than are ever open.
const MAX_ATTEMPTS: usize = 4_096;
/// Peers that must have an accord with a network for it to be vouched: one alone could invent any number.
const VOUCHERS: u32 = 2;
/// Ways shown at once.
pub const MAX_WAYS_SHOWN: usize = 8;
/// More attempts of one payment over other ways, without asking the payer again.
pub const MAX_MORE_WAYS: u8 = 3;

/// Ways that payments of this start have taken.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    open: BTreeMap<ClaimId, Vec<Vec<LedgerId>>>,
    /// Those of them that have moved since they were looked at.
    moved: BTreeSet<ClaimId>,
    failed: BTreeMap<(LedgerId, LedgerId), u64>,
}

impl Attempts {
    /// Claims have moved: only these can have ended.
    pub(super) fn note_moved(&mut self, claims: &BTreeSet<ClaimId>) {
        self.moved.extend(claims.iter().filter(|claim| self.open.contains_key(claim)));
    }
}

/// Why a name means no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNetwork {
    /// Nobody is called so.
    #[error(
        "no network called \"{name}\" is known here. `weft peer list` shows the peers; a network further away is known once \
         its peers have told of it, which takes some minutes"
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// Several are.
    #[error("{} networks call themselves \"{name}\": write the ledger id instead, one of {}", .ledgers.len(), joined(.ledgers))]
    Ambiguous {
        /// The name.
        name: String,
        /// Who they are.
        ledgers: Vec<LedgerId>,
    },
    /// The store.
    #[error("the stores cannot be read: {0}")]
    Store(String),
}

fn joined(ledgers: &[LedgerId]) -> String {
    ledgers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether another way may succeed where a payment was turned down so: it was no word about the payment itself.
fn is_of_the_way(code: RejectCode) -> bool {
    matches!(code, RejectCode::NoRoom | RejectCode::NoRoute | RejectCode::Downstream)
}

impl Core {
    /// Whom a name behind the @ means: a peer as it is called here, else a network by its own name, else a ledger id.
    ///
    /// # Errors
    /// When nobody is called so, or several.
    pub fn network_named(&self, name: &str) -> Result<LedgerId, NoNetwork> {
        let store = |e: crate::store::PrivateError| NoNetwork::Store(e.to_string());
        if let Some(peer) = self.names.network(name) {
            return Ok(peer);
        }
        if let Some(peer) = self.private().peer_by_alias(name).map_err(store)? {
            return Ok(peer.ledger);
        }
        let us = self.engine().state().ledger().ok();
        let called = self.private().networks_called(name, self.clock().now_ms()).map_err(store)?;
        match called[..] {
            [one] => return Ok(one),
            [] => {}
            _ => return Err(NoNetwork::Ambiguous { name: name.to_owned(), ledgers: called }),
        }
        let by_id = name.parse::<LedgerId>().ok().filter(|id| Some(*id) != us);
        let known = by_id.filter(|id| self.engine().peers().identity(id).is_some());
        known.ok_or_else(|| NoNetwork::Unknown { name: name.to_owned() })
    }

    /// What a network is called here, for people.
    pub fn name_of_network(&self, ledger: &LedgerId) -> String {
        if self.engine().state().ledger().is_ok_and(|us| us == *ledger) {
            return self.site().to_owned();
        }
        let local = self.private().peer(ledger).ok().flatten().map(|peer| peer.alias);
        let own = || self.private().descriptor(ledger).ok().flatten().map(|row| row.site);
        local.or_else(own).unwrap_or_else(|| ledger.short())
    }

    /// Shuts a network out, with a reason, or lets it in again.
    ///
    /// # Errors
    /// When the private store cannot be written; nothing changed.
    pub fn set_ban(
        &mut self,
        ledger: LedgerId,
        reason: Option<&str>,
    ) -> Result<(), crate::store::PrivateError> {
        match reason {
            Some(reason) => {
                let since_ms = self.clock().now_ms();
                self.private().put_ban(&Ban { ledger, reason: reason.to_owned(), since_ms })?;
            }
            None => drop(self.private().lift_ban(&ledger)?),
        }
        let banned = self.private().bans()?.into_iter().map(|ban| ban.ledger).collect();
        self.parts.engine.set_banned(banned);
        Ok(())
    }

    /// Who is vouched (specs/network.md 3.1): networks with which at least two of our peers say that they have accords.
    pub fn vouched(&self) -> Vec<Identity> {
        let (engine, mut vouchers) = (self.engine(), BTreeMap::<LedgerId, u32>::new());
        let is_peer = |ledger: &LedgerId| engine.state().channel_with(ledger).is_some();
        for (by, of) in engine.peers().capacities().keys() {
            if is_peer(by) && !engine.is_banned(by) && !engine.is_banned(of) {
                *vouchers.entry(*of).or_default() += 1;
            }
        }
        let vouched = vouchers.into_iter().filter(|(of, by)| *by >= VOUCHERS && !is_peer(of));
        vouched.filter_map(|(of, _)| engine.peers().identity(&of).cloned()).collect()
    }

    /// The way that a payment takes now.
    ///
    /// # Errors
    /// Why there is none.
    pub fn route_to(&mut self, payee: LedgerId, unit: UnitId, amount: u64) -> Result<Route, Rejected> {
        let failed = self.failed_hops();
        self.engine().best_route(payee, unit, amount, &failed, &|_| false)
    }

    /// The ways that a payment could take, best first.
    ///
    /// # Errors
    /// Before the genesis.
    pub fn ways_to(&mut self, payee: LedgerId, unit: UnitId, amount: u64) -> Result<Vec<Way>, Rejected> {
        let failed = self.failed_hops();
        self.engine().ways(payee, unit, amount, &failed, &|_| false, MAX_WAYS_SHOWN)
    }

    /// Remembers which way a payment of ours took.
    pub(super) fn note_attempt(&mut self, claim: ClaimId, route: &Route) {
        self.failed_hops();
        if self.attempts.open.len() >= MAX_ATTEMPTS {
            self.attempts.open.pop_first();
        }
        let parts = route.parts.iter().map(|part| part.route.clone());
        self.attempts.open.insert(claim, parts.collect());
    }

    /// Whether a payment of ours has ended because of the way it took: then another way may be tried.
    pub fn failed_on_its_way(&self, claim: &ClaimId) -> bool {
        matches!(self.claim_state(claim), Some(ClaimState::Freed(Some(code))) if is_of_the_way(code))
    }

    /// Hops that have failed lately. Who turned it down says where: the first network, for the hop to it or the next; any
    /// other may have been the one.
    fn failed_hops(&mut self) -> BTreeSet<(LedgerId, LedgerId)> {
        let now_ms = self.uptime_ms();
        let moved = std::mem::take(&mut self.attempts.moved).into_iter();
        let ended: Vec<(ClaimId, ClaimState)> = moved
            .map(|claim| (claim, self.claim_state(&claim).unwrap_or(ClaimState::Done)))
            .filter(|(_, state)| *state != ClaimState::Held)
            .collect();
        for (claim, state) in ended {
            for ledgers in self.attempts.open.remove(&claim).unwrap_or_default() {
                let hops = ledgers.windows(2).map(|pair| (pair[0], pair[1]));
                let failed: Vec<_> = match state {
                    ClaimState::Freed(Some(RejectCode::NoRoom | RejectCode::NoRoute)) => {
                        hops.take(2).collect()
                    }
                    ClaimState::Freed(Some(RejectCode::Downstream)) => hops.skip(1).collect(),
                    ClaimState::Held | ClaimState::Done | ClaimState::Freed(_) => Vec::new(),
                };
                self.attempts.failed.extend(failed.into_iter().map(|hop| (hop, now_ms + FAILED_FOR_MS)));
            }
        }
        self.attempts.failed.retain(|_, until_ms| *until_ms > now_ms);
        self.attempts.failed.keys().copied().collect()
    }
}
