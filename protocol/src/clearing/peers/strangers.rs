//! What is known of networks that are no peers: what they tell of their accords, and who they are.

use super::{Peers, Refusal};
use crate::entry::Entry;
use crate::ids::LedgerId;
use crate::ledger::Rejected;
use crate::ledger::capacity::Capacity;
use crate::ledger::identity::is_identity;
use std::collections::BTreeMap;

impl Peers {
    /// Public entries taken in since the start: it rises when there are news.
    pub fn public_taken(&self) -> u64 {
        self.public_taken
    }

    /// What each network tells of its accord with each other.
    pub fn capacities(&self) -> &BTreeMap<(LedgerId, LedgerId), Capacity> {
        &self.capacities
    }

    /// Takes in identity entries of a network that are not on record here.
    ///
    /// # Errors
    /// The first that does not verify or does not follow; those before it stay.
    pub(in crate::clearing) fn hear_identity(
        &mut self,
        ledger: &LedgerId,
        entries: &[Vec<u8>],
    ) -> Result<(), Refusal> {
        for bytes in entries {
            let entry = Entry::parse(bytes).map_err(Refusal::Malformed)?;
            if entry.body().ledger != *ledger || !is_identity(&entry.op().payload) {
                return Err(Refusal::Rejected(Rejected::NotIntroduced { ledger: *ledger }));
            }
            if !self.has_identity_entry(&entry) {
                self.absorb_identity(&entry)?;
            }
        }
        Ok(())
    }
}
