//! Keys of test networks that change.

use super::{TestNetwork, draw};
use crate::clearing::intent::Decision;
use crate::clearing::peers::Refusal;
use crate::entry::Entry;
use crate::ids::{Hash, LedgerId};
use crate::keys::SecretKey;
use crate::ledger::Rejected;
use crate::ledger::identity::{LastGood, Purpose, propose};
use crate::log::proof::{LeafHashes, build_inclusion};
use crate::log::tree::root_of;

impl TestNetwork {
    /// The log key of an epoch.
    pub fn log_key_of(&self, epoch: u32) -> SecretKey {
        SecretKey::from_seed(&draw(self.seed, "log", u64::from(epoch)))
    }

    fn next_log_key(&mut self) -> Result<SecretKey, Rejected> {
        let epoch = self.state().identity()?.next_epoch(Purpose::Log);
        self.engine.hold_log_key(self.log_key_of(epoch));
        Ok(self.log_key_of(epoch))
    }

    /// Binds the next log key.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn rotate_log(&mut self) -> Result<(), Rejected> {
        let key = self.next_log_key()?.public().bytes();
        let payload = propose::bind(self.state().identity()?, Purpose::Log, key)?;
        self.by_root(payload)
    }

    /// Revokes the log key in force; the network stands by its first `size` entries.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn revoke_log(&mut self, size: usize) -> Result<(), Rejected> {
        let root = root_of(self.own().iter().take(size).map(Entry::leaf));
        self.revoke_log_standing_by(LastGood { size: size as u64, root })
    }

    /// Revokes the log key in force; the network stands by this tree, whether it ever was its own or not.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn revoke_log_standing_by(&mut self, last_good: LastGood) -> Result<(), Rejected> {
        let epoch = self.state().identity()?.next_epoch(Purpose::Log).saturating_sub(1);
        let key = self.next_log_key()?.public().bytes();
        let seq = self.state().head.next_seq;
        let identity = self.state().identity()?;
        let payload = propose::revoke(identity, Purpose::Log, epoch, last_good, Some(key), seq)?;
        self.by_root(payload)
    }

    /// The path of one of our entries in the tree of the first `size`.
    pub fn path(&self, seq: u64, size: usize) -> Vec<Hash> {
        let leaves: Vec<Hash> = self.own().iter().take(size).map(Entry::leaf).collect();
        build_inclusion(&mut LeafHashes(&leaves), seq, size as u64).unwrap_or_default()
    }

    /// Takes in an entry of another network's channel with a path.
    ///
    /// # Errors
    /// Why it is not taken in.
    pub fn take_in_proven(&mut self, from: &LedgerId, bytes: &[u8], path: &[Hash]) -> Result<(), Refusal> {
        self.with_cx(|engine, cx| engine.receive_proven(from, bytes, Some(path), cx))
    }

    /// Takes in a Decision that came outside the streams.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn learn(&mut self, decision: &Decision) -> Result<(), Rejected> {
        self.with_cx(|engine, cx| engine.learn(decision, cx))
    }

    /// A second goes by.
    pub fn tick(&mut self) {
        self.with_cx(|engine, cx| engine.tick(cx));
    }
}
