//! What each identity entry does to an identity, in any ledger (specs/kinds.md §1).

use super::{
    FormerRoot, Genesis, Identity, KeyBound, KeyRevoked, PURPOSES, ParsedKeys, Purpose, Revoked, RootChanged,
};
use crate::entry::{Entry, ledger_id};
use crate::ids::{Hash, KeyBytes};
use crate::keys::{PublicKey, SignatureError};
use crate::ledger::Rejected;
use crate::ledger::authority::Authority;
use crate::ledger::state::{Change, State};
use std::collections::BTreeMap;

impl Identity {
    /// Reads a genesis entry: its id, root set and keys. Its signatures are checked by the caller.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn from_genesis(entry: &Entry, genesis: &Genesis) -> Result<Self, Rejected> {
        let body = entry.body();
        if body.seq != 0 || body.prev != Hash::ZERO || body.epoch != 0 {
            return Err(Rejected::GenesisPlace);
        }
        let expected = ledger_id(body);
        if body.ledger != expected {
            return Err(Rejected::LedgerMismatch { expected, got: body.ledger });
        }
        genesis.root.check()?;
        if !genesis.keys.iter().map(|k| k.purpose).eq(PURPOSES) {
            return Err(Rejected::GenesisKeys);
        }
        for (i, key) in genesis.keys.iter().enumerate() {
            check_key(key.purpose, &key.key)?;
            let taken = genesis.keys.iter().take(i).any(|other| other.key == key.key);
            if taken || genesis.root.keys.contains(&key.key) {
                return Err(Rejected::KeyReused);
            }
        }
        let mut identity = Self {
            ledger: body.ledger,
            genesis: entry.leaf(),
            root: genesis.root.clone(),
            next_root: genesis.next_root,
            keys: genesis.keys.iter().map(|k| (k.purpose, vec![k.key])).collect(),
            events: 1,
            since: Vec::new(),
            revoked: BTreeMap::new(),
            former: Vec::new(),
            parsed: ParsedKeys::default(),
        };
        identity.parse_keys();
        Ok(identity)
    }

    /// The identity after a key bound at a place of the ledger: a log key signs from the next place on.
    ///
    /// # Errors
    /// When the epoch does not follow or the key is bad.
    pub fn with_key(&self, bound: &KeyBound, seq: u64) -> Result<Self, Rejected> {
        check_key(bound.purpose, &bound.key)?;
        self.check_new(&bound.key)?;
        let expected = self.next_epoch(bound.purpose);
        if bound.epoch != expected {
            return Err(Rejected::KeyEpoch { expected: u64::from(expected), got: bound.epoch });
        }
        let mut next = self.clone();
        next.bind(bound.purpose, bound.key, seq.saturating_add(1));
        next.events = next.events.saturating_add(1);
        Ok(next)
    }

    /// The identity after a revocation at a place of the ledger. A log key that replaces the one in force signs from
    /// this very place on.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn with_revoked(&self, revoked: &KeyRevoked, seq: u64) -> Result<Self, Rejected> {
        let (purpose, epoch) = (revoked.purpose, revoked.epoch);
        if self.key(purpose, epoch).is_none() {
            return Err(Rejected::KeyUnknown { epoch });
        }
        if self.revoked(purpose, epoch).is_some() {
            return Err(Rejected::KeyRevoked { epoch });
        }
        let good = revoked.last_good;
        let genesis_alone = good.size == 1 && good.root != self.genesis;
        if good.size == 0 || good.size > seq || genesis_alone {
            return Err(Rejected::LastGood { size: good.size, seq });
        }
        let in_force = self.current(purpose).is_some_and(|(current, _)| current == epoch);
        match (&revoked.replacement, in_force) {
            (None, true) if purpose != Purpose::Recovery => return Err(Rejected::ReplacementNeeded),
            (Some(_), false) => return Err(Rejected::ReplacementIdle { epoch }),
            (None, _) => {}
            (Some(key), true) => {
                check_key(purpose, key)?;
                self.check_new(key)?;
            }
        }
        let mut next = self.clone();
        next.revoked.insert((purpose, epoch), Revoked { at: seq, last_good: good });
        if let Some(key) = revoked.replacement {
            next.bind(purpose, key, seq);
        }
        next.events = next.events.saturating_add(1);
        Ok(next)
    }

    /// The identity after another root set came into force at a place of the ledger. Whose signatures stand under it
    /// is checked by the caller.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn with_root(&self, changed: &RootChanged, seq: u64) -> Result<Self, Rejected> {
        changed.root.check()?;
        if changed.root.keys.iter().any(|key| self.keys.values().flatten().any(|bound| bound == key)) {
            return Err(Rejected::KeyReused);
        }
        if self.next_root.is_some_and(|committed| committed != changed.root.digest()) {
            return Err(Rejected::NextRoot);
        }
        if changed.root == self.root && changed.next_root == self.next_root {
            return Err(Rejected::NothingToDo);
        }
        let mut next = self.clone();
        next.former.push(FormerRoot { set: self.root.clone(), until: seq });
        next.root = changed.root.clone();
        next.next_root = changed.next_root;
        next.events = next.events.saturating_add(1);
        Ok(next)
    }

    /// Every root set by its rules, every key ever bound one that its purpose can use, and the place of each log key.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn check_keys(&self) -> Result<(), Rejected> {
        self.root.check()?;
        self.former.iter().try_for_each(|former| former.set.check())?;
        let keys = self.keys.iter().flat_map(|(purpose, keys)| keys.iter().map(move |key| (*purpose, key)));
        keys.into_iter().try_for_each(|(purpose, key)| check_key(purpose, key))?;
        let later = self.next_epoch(Purpose::Log).saturating_sub(1);
        if usize::try_from(later) != Ok(self.since.len()) || !self.since.is_sorted() {
            return Err(Rejected::UnknownEpoch { epoch: later });
        }
        match self.revoked.keys().find(|(purpose, epoch)| self.key(*purpose, *epoch).is_none()) {
            Some((_, epoch)) => Err(Rejected::KeyUnknown { epoch: *epoch }),
            None => Ok(()),
        }
    }

    /// A key serves once: neither bound before, to any purpose, nor ever a root key.
    fn check_new(&self, key: &KeyBytes) -> Result<(), Rejected> {
        let bound = self.keys.values().flatten().any(|known| known == key);
        if bound || self.is_root_key(key) { Err(Rejected::KeyReused) } else { Ok(()) }
    }

    fn bind(&mut self, purpose: Purpose, key: KeyBytes, first: u64) {
        self.keys.entry(purpose).or_default().push(key);
        if purpose == Purpose::Log {
            self.since.push(first);
            self.parse_keys();
        }
    }
}

fn check_key(purpose: Purpose, key: &KeyBytes) -> Result<(), Rejected> {
    match purpose {
        Purpose::Seal | Purpose::Recovery if *key == KeyBytes::ZERO => {
            Err(Rejected::Key(SignatureError::KeyWeak))
        }
        Purpose::Seal | Purpose::Recovery => Ok(()),
        Purpose::Log | Purpose::Witness | Purpose::Libp2p | Purpose::Desk => {
            PublicKey::new(key).map(|_| ()).map_err(Rejected::Key)
        }
    }
}

/// Rules of the genesis as the first entry of our own ledger.
pub(in crate::ledger) fn apply_genesis(entry: &Entry, genesis: &Genesis) -> Result<Vec<Change>, Rejected> {
    Ok(vec![Change::Identity(Box::new(Identity::from_genesis(entry, genesis)?))])
}

/// Rules of a key event in our own ledger.
pub(in crate::ledger) fn apply_key(state: &State, bound: &KeyBound) -> Result<Vec<Change>, Rejected> {
    let identity = state.identity()?.with_key(bound, state.head.next_seq)?;
    Ok(vec![Change::Identity(Box::new(identity))])
}

/// Rules of a revocation in our own ledger.
pub(in crate::ledger) fn apply_revoked(state: &State, revoked: &KeyRevoked) -> Result<Vec<Change>, Rejected> {
    let identity = state.identity()?.with_revoked(revoked, state.head.next_seq)?;
    Ok(vec![Change::Identity(Box::new(identity))])
}

/// Rules of a change of the root set in our own ledger: a quorum of the set in force, and one of the new set.
pub(in crate::ledger) fn apply_root(
    state: &State,
    authority: &Authority,
    changed: &RootChanged,
) -> Result<Vec<Change>, Rejected> {
    let identity = state.identity()?;
    let (old, new) = (&identity.root, &changed.root);
    authority.quorum_of(old).map_err(|have| Rejected::RootQuorum { need: old.threshold, have })?;
    let next = identity.with_root(changed, state.head.next_seq)?;
    authority.quorum_of(new).map_err(|have| Rejected::NewRootQuorum { need: new.threshold, have })?;
    Ok(vec![Change::Identity(Box::new(next))])
}
