//! Area 1, identity: who may speak for a ledger, and with which keys (specs/kinds.md §1).
//!
//! An [`Identity`] is a function of the public entries alone, so a stranger who holds them can check every signature
//! of the network. An entry is judged by the key of its epoch at its place in the ledger, so rotation never voids the
//! past; what a revocation reaches is in [`Revoked`]. The root set changes only to the set committed in advance.

mod events;
pub mod propose;
mod stranger;

pub(super) use events::{apply_genesis, apply_key, apply_revoked, apply_root};

use super::Rejected;
use crate::entry::{Entry, Kind, Payload};
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
    /// Receives what peers keep for us, so that a lost node comes back (X25519). Optional: no genesis binds it.
    #[n(6)]
    Recovery,
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
    /// The ledger that this one takes the place of, whose root set is lost.
    #[n(4)]
    pub predecessor: Option<Predecessor>,
}

/// The ledger that a new one says it follows (specs/kinds.md §1). Nothing of that ledger vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Predecessor {
    /// Its id.
    #[n(0)]
    pub ledger: LedgerId,
    /// The last checkpoint of it that the founders hold to be good.
    #[n(1)]
    pub last_good: LastGood,
}

/// A checkpoint: how many entries, and their root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct LastGood {
    /// Entries; at least 1.
    #[n(0)]
    pub size: u64,
    /// Root of the tree over them.
    #[n(1)]
    pub root: Hash,
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

/// Payload: a key is not to be trusted any more.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyRevoked {
    /// What it was for.
    #[n(0)]
    pub purpose: Purpose,
    /// Which of the keys for that.
    #[n(1)]
    pub epoch: u32,
    /// The last witnessed checkpoint whose entries the network stands by.
    #[n(2)]
    pub last_good: LastGood,
    /// The next key for this purpose, bound at once.
    #[n(3)]
    pub replacement: Option<KeyBytes>,
}

/// Payload: another root set, from now on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RootChanged {
    /// The new set.
    #[n(0)]
    pub root: RootSet,
    /// Digest of the set after it.
    #[n(1)]
    pub next_root: Option<Hash>,
}

/// The purposes that a genesis binds, in its order. Each has one key in force at any time.
pub const PURPOSES: [Purpose; 5] =
    [Purpose::Log, Purpose::Witness, Purpose::Seal, Purpose::Libp2p, Purpose::Desk];
/// A root set is read aloud by people; more keys than this is a mistake.
pub const MAX_ROOT_KEYS: usize = 15;

/// What a revocation says of a key, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// Place of the revocation in the ledger.
    #[n(0)]
    pub at: u64,
    /// Bytes signed by the key count with a proof that they are in this tree.
    #[n(1)]
    pub last_good: LastGood,
}

/// A root set that was in force once.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FormerRoot {
    /// The set.
    #[n(0)]
    pub set: RootSet,
    /// Place of the entry that replaced it: that entry is the last one it could sign.
    #[n(1)]
    pub until: u64,
}

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
    /// First place that the log keys of epoch 1, 2, … sign.
    #[cbor(n(6), with = "crate::entry::list", has_nil)]
    pub since: Vec<u64>,
    /// Keys that were revoked, by purpose and epoch.
    #[cbor(n(7), with = "rows", has_nil)]
    pub revoked: BTreeMap<(Purpose, u32), Revoked>,
    /// Root sets that were replaced, oldest first.
    #[cbor(n(8), with = "crate::entry::list", has_nil)]
    pub former: Vec<FormerRoot>,
    /// The log keys, parsed once: derived, so neither stored nor compared.
    #[cbor(skip)]
    parsed: ParsedKeys,
}

/// Log keys ready to verify, by epoch. Two identities are equal whether or not theirs were parsed.
#[derive(Debug, Clone, Default)]
struct ParsedKeys(Vec<PublicKey>);

impl PartialEq for ParsedKeys {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for ParsedKeys {}

/// An optional map: absent when empty, and the empty form is refused by the re-encode check.
mod rows {
    use minicbor::decode::{Decode, Decoder, Error};
    use minicbor::encode::{self, Encode, Encoder, Write};
    use std::collections::BTreeMap;

    pub(super) fn encode<K: Encode<C> + Ord, V: Encode<C>, C, W: Write>(
        rows: &BTreeMap<K, V>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        rows.encode(e, ctx)
    }
    pub(super) fn decode<'b, K: Decode<'b, C> + Ord, V: Decode<'b, C>, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<BTreeMap<K, V>, Error> {
        BTreeMap::decode(d, ctx)
    }
    #[expect(clippy::unnecessary_wraps, reason = "the derive asks for an Option")]
    pub(super) fn nil<K, V>() -> Option<BTreeMap<K, V>> {
        Some(BTreeMap::new())
    }
    pub(super) fn is_nil<K, V>(rows: &BTreeMap<K, V>) -> bool {
        rows.is_empty()
    }
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

    /// SHA-256("WEFT-ROOT/1\n" ‖ encoding): what commits to this set in advance.
    pub fn digest(&self) -> Hash {
        Hash::of("WEFT-ROOT/1\n", &[&crate::encoding::encode(self)])
    }

    /// The key of a root signer.
    pub fn key_of(&self, signer: Signer) -> Option<KeyBytes> {
        self.keys.iter().find(|k| signer_of(k) == signer).copied()
    }
}

impl Identity {
    /// The key of a purpose at an epoch.
    pub fn key(&self, purpose: Purpose, epoch: u32) -> Option<&KeyBytes> {
        self.keys.get(&purpose)?.get(usize::try_from(epoch).ok()?)
    }

    /// The key of a purpose now in force, with its epoch: the last one, unless it was revoked without another.
    pub fn current(&self, purpose: Purpose) -> Option<(u32, &KeyBytes)> {
        let keys = self.keys.get(&purpose)?;
        let epoch = u32::try_from(keys.len().checked_sub(1)?).ok()?;
        let key = keys.last()?;
        (!self.revoked.contains_key(&(purpose, epoch))).then_some((epoch, key))
    }

    /// The epoch that the next key of a purpose will have.
    pub fn next_epoch(&self, purpose: Purpose) -> u32 {
        self.keys.get(&purpose).map_or(0, |keys| u32::try_from(keys.len()).unwrap_or(u32::MAX))
    }

    /// What is known of a key's revocation.
    pub fn revoked(&self, purpose: Purpose, epoch: u32) -> Option<&Revoked> {
        self.revoked.get(&(purpose, epoch))
    }

    /// Whether the log key of an epoch is the one in force for a place of the ledger.
    pub fn in_force_at(&self, epoch: u32, seq: u64) -> bool {
        let Ok(index) = usize::try_from(epoch) else { return false };
        let first = index.checked_sub(1).map_or(Some(0), |before| self.since.get(before).copied());
        first.is_some_and(|first| first <= seq) && self.since.get(index).is_none_or(|next| seq < *next)
    }

    /// The root set in force when the entry at a place was written.
    pub fn root_at(&self, seq: u64) -> &RootSet {
        self.former.iter().find(|former| seq <= former.until).map_or(&self.root, |former| &former.set)
    }

    /// The log key of an epoch, ready to verify.
    ///
    /// # Errors
    /// When this identity knows no such epoch.
    pub fn log_key(&self, epoch: u32) -> Result<PublicKey, Rejected> {
        if let Some(key) = usize::try_from(epoch).ok().and_then(|index| self.parsed.0.get(index)) {
            return Ok(*key);
        }
        let key = self.key(Purpose::Log, epoch).ok_or(Rejected::UnknownEpoch { epoch })?;
        PublicKey::new(key).map_err(Rejected::Key)
    }

    /// The log key of an epoch, for an entry at a place of the ledger.
    ///
    /// # Errors
    /// When the epoch is unknown, or not the one in force there.
    pub fn log_key_at(&self, epoch: u32, seq: u64) -> Result<PublicKey, Rejected> {
        let key = self.log_key(epoch)?;
        if self.in_force_at(epoch, seq) { Ok(key) } else { Err(Rejected::UnknownEpoch { epoch }) }
    }

    /// The epoch that signs the next entry, if its operation is this one. A revocation that replaces the log key in
    /// force is signed by the replacement: the key that was lost or stolen is not needed for it.
    pub fn signing_epoch(&self, payload: &Payload) -> Option<u32> {
        let (epoch, _) = self.current(Purpose::Log)?;
        if self.new_log_key(payload).is_some() { epoch.checked_add(1) } else { Some(epoch) }
    }

    /// The log key that a revocation puts in the place of the one in force.
    fn new_log_key<'p>(&self, payload: &'p Payload) -> Option<&'p KeyBytes> {
        let Payload::KeyRevoked(revoked) = payload else { return None };
        let current = self.current(Purpose::Log).map(|(epoch, _)| epoch);
        let ours = revoked.purpose == Purpose::Log && Some(revoked.epoch) == current;
        revoked.replacement.as_ref().filter(|_| ours)
    }

    /// The log key of an epoch as bytes: for those who collect signatures and verify them later.
    ///
    /// # Errors
    /// When this identity knows no such epoch.
    pub fn log_key_bytes(&self, epoch: u32) -> Result<KeyBytes, Rejected> {
        self.key(Purpose::Log, epoch).copied().ok_or(Rejected::UnknownEpoch { epoch })
    }

    /// The key that the node's signature under the next entry must verify with.
    ///
    /// # Errors
    /// An epoch that this identity does not know.
    pub fn node_key_bytes(&self, entry: &Entry) -> Result<KeyBytes, Rejected> {
        let (payload, epoch) = (&entry.op().payload, entry.body().epoch);
        match self.new_log_key(payload).filter(|_| self.signing_epoch(payload) == Some(epoch)) {
            Some(key) => Ok(*key),
            None => self.log_key_bytes(epoch),
        }
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

    /// Whether a key stands, or stood, in a root set.
    pub fn is_root_key(&self, key: &KeyBytes) -> bool {
        self.root_keys().any(|known| known == key)
    }

    /// Whether a signer id is one of a root key or of a key bound to a purpose, now or before.
    pub fn is_signer(&self, signer: Signer) -> bool {
        let signs = |purpose: &Purpose| !matches!(purpose, Purpose::Seal | Purpose::Recovery);
        let bound = self.keys.iter().filter(|(purpose, _)| signs(purpose)).flat_map(|(_, keys)| keys);
        self.root_keys().chain(bound).any(|key| signer_of(key) == signer)
    }

    fn root_keys(&self) -> impl Iterator<Item = &KeyBytes> {
        self.former.iter().map(|former| &former.set).chain([&self.root]).flat_map(|set| &set.keys)
    }

    /// Parses the log keys, so that verifying does not do it each time.
    pub(super) fn parse_keys(&mut self) {
        let keys = self.keys.get(&Purpose::Log).into_iter().flatten();
        let parsed: Result<Vec<_>, _> = keys.map(PublicKey::new).collect();
        self.parsed = ParsedKeys(parsed.unwrap_or_default());
    }
}

/// Whether entries of this kind stand in the public stream: identity, the units that accords name, what accords let pass,
/// notices of a reset, and netting rounds.
pub const fn is_public(kind: Kind) -> bool {
    introduces(kind)
        || matches!(
            kind,
            Kind::Capacity
                | Kind::ResetNotice
                | Kind::Announced
                | Kind::Listed
                | Kind::ResultPage
                | Kind::Voted
                | Kind::Committed
        )
}

/// Whether entries of this kind say who a network is and what it counts: what a pairing begins with (specs/network.md
/// §5). All else that is public is asked for once there is a link.
pub const fn introduces(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Genesis
            | Kind::KeyBound
            | Kind::KeyRevoked
            | Kind::RootChanged
            | Kind::Succession
            | Kind::UnitDefined
    )
}

/// Whether a payload is one that an identity is built from.
pub const fn is_identity(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::Genesis(_) | Payload::KeyBound(_) | Payload::KeyRevoked(_) | Payload::RootChanged(_)
    )
}
