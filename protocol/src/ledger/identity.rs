//! Area 1, identity: who may speak for a ledger, and with which keys (specs/kinds.md §1).
//!
//! An [`Identity`] is a function of the identity entries alone, so a stranger who holds them can check every
//! signature of the network. An entry is judged by the key of its epoch, so rotation never voids the past.

use super::state::{Change, State};
use super::{Rejected, SigCheck};
use crate::entry::{Entry, How, Kind, Payload, Role, ledger_id};
use crate::ids::{Hash, KeyBytes, LedgerId, SigBytes, Signer};
use crate::keys::{PublicKey, signer_of};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// What a bound key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Purpose {
    /// Signs entries, checkpoints, Intents and Decisions (Ed25519).
    #[n(1)]
    Log,
    /// Signs cosignatures of other logs' checkpoints (Ed25519).
    #[n(2)]
    Witness,
    /// Receives sealed sidecars (X25519).
    #[n(3)]
    Seal,
    /// The libp2p identity (Ed25519).
    #[n(4)]
    Libp2p,
    /// Acts for people who have no key (Ed25519).
    #[n(5)]
    Desk,
}

/// The coordinators' keys that together stand above the node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RootSet {
    /// How many must sign.
    #[n(0)]
    pub threshold: u8,
    /// The keys, ascending, without doubles.
    #[n(1)]
    pub keys: Vec<KeyBytes>,
}

/// One key and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PurposeKey {
    /// What for.
    #[n(0)]
    pub purpose: Purpose,
    /// The public key.
    #[n(1)]
    pub key: KeyBytes,
}

/// Payload of the first entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Genesis {
    /// The first root set.
    #[n(0)]
    pub root: RootSet,
    /// Digest of the next root set, committed in advance.
    #[n(1)]
    pub next_root: Option<Hash>,
    /// The keys of epoch 0: exactly one of each purpose, in order of purpose.
    #[n(2)]
    pub keys: Vec<PurposeKey>,
    /// Commitment to the charter's text.
    #[n(3)]
    pub charter: Option<Hash>,
}

/// Payload: a key for a purpose, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyBound {
    /// What for.
    #[n(0)]
    pub purpose: Purpose,
    /// One more than the epoch in force.
    #[n(1)]
    pub epoch: u32,
    /// The public key.
    #[n(2)]
    pub key: KeyBytes,
}

/// All purposes, in the order of a genesis.
pub const PURPOSES: [Purpose; 5] =
    [Purpose::Log, Purpose::Witness, Purpose::Seal, Purpose::Libp2p, Purpose::Desk];
/// A root set is read aloud by people; more keys than this is a mistake.
pub const MAX_ROOT_KEYS: usize = 15;

/// Who may speak for a ledger, as its identity entries say.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Identity {
    /// Whose.
    #[n(0)]
    pub ledger: LedgerId,
    /// Leaf hash of the genesis: the authority behind first rules.
    #[n(1)]
    pub genesis: Hash,
    /// The root set in force.
    #[n(2)]
    pub root: RootSet,
    /// Digest of the next set.
    #[n(3)]
    pub next_root: Option<Hash>,
    /// Every key ever bound.
    #[n(4)]
    pub keys: BTreeMap<Purpose, Vec<KeyBytes>>,
    /// How many entries it was built from.
    #[n(5)]
    pub events: u64,
}

impl RootSet {
    /// Checks the set.
    ///
    /// # Errors
    /// When a key is bad, the order is wrong or the threshold cannot be met.
    pub fn check(&self) -> Result<(), Rejected> {
        let n = self.keys.len();
        if n == 0 || n > MAX_ROOT_KEYS || self.threshold == 0 || usize::from(self.threshold) > n {
            return Err(Rejected::RootSet { threshold: self.threshold, keys: n });
        }
        if !self.keys.is_sorted_by(|a, b| a < b) {
            return Err(Rejected::RootSetOrder);
        }
        self.keys.iter().try_for_each(|k| PublicKey::new(k).map(|_| ()).map_err(Rejected::Key))
    }

    /// The key of a root signer.
    pub fn key_of(&self, signer: Signer) -> Option<KeyBytes> {
        self.keys.iter().find(|k| signer_of(k) == signer).copied()
    }
}

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
        Ok(Self {
            ledger: body.ledger,
            genesis: entry.leaf(),
            root: genesis.root.clone(),
            next_root: genesis.next_root,
            keys: genesis.keys.iter().map(|k| (k.purpose, vec![k.key])).collect(),
            events: 1,
        })
    }

    /// The identity after one more key event.
    ///
    /// # Errors
    /// When the epoch does not follow or the key is bad.
    pub fn with_key(&self, bound: &KeyBound) -> Result<Self, Rejected> {
        check_key(bound.purpose, &bound.key)?;
        if self.root.keys.contains(&bound.key) || self.keys.values().flatten().any(|key| *key == bound.key) {
            return Err(Rejected::KeyReused);
        }
        let mut next = self.clone();
        let keys = next.keys.entry(bound.purpose).or_default();
        let expected = keys.len();
        if usize::try_from(bound.epoch) != Ok(expected) {
            return Err(Rejected::KeyEpoch { expected: expected as u64, got: bound.epoch });
        }
        keys.push(bound.key);
        next.events = next.events.saturating_add(1);
        Ok(next)
    }

    /// The root set by its rules, and every key ever bound one that its purpose can use.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn check_keys(&self) -> Result<(), Rejected> {
        self.root.check()?;
        let keys = self.keys.iter().flat_map(|(purpose, keys)| keys.iter().map(move |key| (*purpose, key)));
        keys.into_iter().try_for_each(|(purpose, key)| check_key(purpose, key))
    }

    /// The key of a purpose at an epoch.
    pub fn key(&self, purpose: Purpose, epoch: u32) -> Option<&KeyBytes> {
        self.keys.get(&purpose)?.get(usize::try_from(epoch).ok()?)
    }

    /// The key of a purpose now in force, with its epoch.
    pub fn current(&self, purpose: Purpose) -> Option<(u32, &KeyBytes)> {
        let keys = self.keys.get(&purpose)?;
        let last = keys.len().checked_sub(1)?;
        Some((u32::try_from(last).ok()?, keys.get(last)?))
    }

    /// The log key of an epoch, ready to verify.
    ///
    /// # Errors
    /// When this identity knows no such epoch.
    pub fn log_key(&self, epoch: u32) -> Result<PublicKey, Rejected> {
        PublicKey::new(&self.log_key_bytes(epoch)?).map_err(Rejected::Key)
    }

    /// The log key of an epoch; it was checked when it was bound.
    ///
    /// # Errors
    /// When this identity knows no such epoch.
    pub fn log_key_bytes(&self, epoch: u32) -> Result<KeyBytes, Rejected> {
        self.key(Purpose::Log, epoch).copied().ok_or(Rejected::UnknownEpoch { epoch })
    }

    /// Verifies a signature of the log key of an epoch under a context.
    ///
    /// # Errors
    /// An unknown epoch, or a signature that does not verify.
    pub fn verify(
        &self,
        epoch: u32,
        context: crate::keys::Context,
        message: &[u8],
        sig: &SigBytes,
    ) -> Result<(), Rejected> {
        self.log_key(epoch)?.verify(context, &[message], sig).map_err(Rejected::Signature)
    }

    /// Builds a stranger's identity from its entries in order, checking every signature.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Rejected> {
        let mut identity: Option<Self> = None;
        for entry in entries {
            identity = Some(match identity {
                None => Self::read_genesis(entry)?,
                Some(known) => known.after(entry)?,
            });
        }
        identity.ok_or(Rejected::NoGenesis)
    }

    fn read_genesis(entry: &Entry) -> Result<Self, Rejected> {
        let Payload::Genesis(genesis) = &entry.op().payload else { return Err(Rejected::NoGenesis) };
        let identity = Self::from_genesis(entry, genesis)?;
        identity.check_event(entry)?;
        Ok(identity)
    }

    /// The identity after one more identity entry of the same ledger, all signatures checked. Entries of other
    /// areas that stand on the public stream change nothing.
    ///
    /// # Errors
    /// Names the first rule broken.
    pub fn after(&self, entry: &Entry) -> Result<Self, Rejected> {
        if entry.body().ledger != self.ledger {
            return Err(Rejected::LedgerMismatch { expected: self.ledger, got: entry.body().ledger });
        }
        match &entry.op().payload {
            Payload::KeyBound(bound) => {
                self.check_event(entry)?;
                self.with_key(bound)
            }
            _ => {
                self.log_key(entry.body().epoch)?
                    .verify_message(&entry.node_message(), entry.node_sig())
                    .map_err(Rejected::Signature)?;
                Ok(self.clone())
            }
        }
    }

    /// Node signature and a quorum of root signatures under an identity entry.
    fn check_event(&self, entry: &Entry) -> Result<(), Rejected> {
        let log = self.log_key(entry.body().epoch)?;
        log.verify_message(&entry.node_message(), entry.node_sig()).map_err(Rejected::Signature)?;
        let mut signed = std::collections::BTreeSet::new();
        for auth in &entry.body().auth {
            let own = auth.role == Role::Root && auth.how == How::OwnKey;
            let key = self.root.key_of(auth.signer).filter(|_| own);
            let key = key.ok_or(Rejected::UnknownSigner { signer: auth.signer })?;
            SigCheck::new(&key, entry.auth_message(auth), &auth.sig)?
                .verify()
                .map_err(Rejected::Signature)?;
            if !signed.insert(auth.signer) {
                return Err(Rejected::SignedTwice { signer: auth.signer });
            }
        }
        if signed.len() < usize::from(self.root.threshold) {
            return Err(Rejected::RootQuorum { need: self.root.threshold, have: signed.len() });
        }
        Ok(())
    }
}

fn check_key(purpose: Purpose, key: &KeyBytes) -> Result<(), Rejected> {
    match purpose {
        Purpose::Seal if *key == KeyBytes::ZERO => Err(Rejected::Key(crate::keys::SignatureError::KeyWeak)),
        Purpose::Seal => Ok(()),
        Purpose::Log | Purpose::Witness | Purpose::Libp2p | Purpose::Desk => {
            PublicKey::new(key).map(|_| ()).map_err(Rejected::Key)
        }
    }
}

/// Rules of the genesis as the first entry of our own ledger.
pub(super) fn apply_genesis(entry: &Entry, genesis: &Genesis) -> Result<Vec<Change>, Rejected> {
    Ok(vec![Change::Identity(Box::new(Identity::from_genesis(entry, genesis)?))])
}

/// Rules of a key event in our own ledger.
pub(super) fn apply_key(state: &State, bound: &KeyBound) -> Result<Vec<Change>, Rejected> {
    if bound.purpose == Purpose::Log && !state.channels.is_empty() {
        return Err(Rejected::LogKeyWithChannels);
    }
    let identity = state.identity()?.with_key(bound)?;
    Ok(vec![Change::Identity(Box::new(identity))])
}

/// Whether entries of this kind stand in the public stream: identity, and the units that accords name.
pub const fn is_public(kind: Kind) -> bool {
    matches!(kind, Kind::Genesis | Kind::KeyBound | Kind::UnitDefined)
}
