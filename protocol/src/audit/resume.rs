//! What an audit leaves for the next one, and going on from there (specs/audit.md §7).
//!
//! A [`Saved`] exists only of an audit that found nothing wrong and could check everything it had to. It is the auditor's
//! own: whoever can change it can make the next audit say anything about what came before it.

use super::channel::Side;
use super::finding::{Class, Finding, Findings, LeftOut, SignatureCounts, Since};
use super::networks::Networks;
use super::source::Source;
use super::tree::Claimed;
use crate::encoding::{Blob, encode, encodes_to};
use crate::ids::{Hash, KeyBytes, LedgerId, StreamId};
use crate::ledger::identity::Predecessor;
use crate::ledger::state::{State, StateError};
use crate::log::checkpoint::Checkpoint;
use crate::log::proof::{BuildError, ProofError, build_consistency, verify_consistency};
use crate::log::tile::{TILE_WIDTH, TileBuilder, TileError, TilePath, TileReader};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Format version in field 0.
const RESULT_VERSION: u8 = 1;
/// Longest result that is read: twice the longest state.
pub const MAX_RESULT_BYTES: usize = 2 << 30;
/// Context of the digest of a result.
const DIGEST: &str = "WEFT-AUDIT/1\n";

/// See the module.
#[derive(Debug, Encode, Decode)]
#[cbor(map)]
pub struct Saved {
    #[n(0)]
    v: u8,
    #[n(1)]
    ledger: LedgerId,
    #[n(2)]
    size: u64,
    #[n(3)]
    root: Hash,
    /// Content of the tiles at the right edge that are not full, by level.
    #[n(4)]
    edge: BTreeMap<u8, Blob>,
    #[n(5)]
    state_digest: Hash,
    #[n(6)]
    pub(super) state_bytes: Blob,
    /// Log keys with the place from which each signs checkpoints.
    #[n(7)]
    pub(super) log_keys: Vec<(u64, KeyBytes)>,
    /// Entries by the code of their kind.
    #[n(8)]
    pub(super) kinds: BTreeMap<u16, u64>,
    #[n(9)]
    pub(super) counts: SignatureCounts,
    #[n(10)]
    pub(super) time_ms: (u64, u64),
    #[n(11)]
    pub(super) sides: BTreeMap<StreamId, Side>,
    #[n(12)]
    pub(super) networks: Networks,
    /// Bytes read of each file that grows at its end.
    #[n(13)]
    positions: BTreeMap<String, u64>,
    /// What it has not read either.
    #[n(14)]
    pub(super) left_out: Option<LeftOut>,
    /// The ledger that this one says it takes the place of.
    #[n(15)]
    pub(super) predecessor: Option<Predecessor>,
}

#[derive(Encode, Decode)]
struct Outer<'b> {
    #[cbor(b(0), with = "minicbor::bytes")]
    body: &'b [u8],
    #[n(1)]
    digest: Hash,
}

/// Why a result cannot be gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SavedError {
    /// Longer than [`MAX_RESULT_BYTES`].
    #[error("a result of {got} bytes, at most {} are read", MAX_RESULT_BYTES)]
    TooLong {
        /// Bytes offered.
        got: usize,
    },
    /// Not the form of a result.
    #[error("it is not the result of an audit: {0}")]
    Structure(String),
    /// Not the canonical form.
    #[error("it is not in the one form that results have")]
    NotCanonical,
    /// Its bytes were changed after it was written.
    #[error("it was changed or damaged: its digest is {got}, it says {says}")]
    Digest {
        /// Digest of its bytes.
        got: Hash,
        /// What it says.
        says: Hash,
    },
    /// Another format version.
    #[error("result version {0}, this program reads version {RESULT_VERSION}")]
    Version(u8),
    /// The state in it.
    #[error("the state in it: {0}")]
    State(#[from] StateError),
    /// Its parts are of different ledgers or sizes.
    #[error("its parts do not belong together: {0}")]
    Parts(&'static str),
    /// The tiles at the right edge.
    #[error("the right edge of the tree in it: {0}")]
    Edge(#[from] TileError),
}

/// Why an audit leaves no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoResult {
    /// Something is wrong, or could not be checked.
    #[error("only an audit that found nothing wrong, and could check everything, can be gone on from")]
    NotRight,
    /// Not a bundle.
    #[error("only the audit of a bundle can be gone on from")]
    NotExact,
    /// Signatures of networks whose identity is not at hand.
    #[error(
        "{0} signatures are of networks whose identity is not here: the next audit has to look at them again"
    )]
    LeftOut(u64),
}

/// What of an audit goes into its result.
pub(super) struct Parts<'a> {
    pub(super) ledger: LedgerId,
    pub(super) tree: &'a TileBuilder,
    pub(super) state: &'a State,
    pub(super) log_keys: Vec<(u64, KeyBytes)>,
    pub(super) kinds: BTreeMap<u16, u64>,
    pub(super) counts: SignatureCounts,
    pub(super) time_ms: (u64, u64),
    pub(super) sides: &'a BTreeMap<StreamId, Side>,
    pub(super) networks: &'a Networks,
    pub(super) positions: &'a BTreeMap<String, u64>,
    pub(super) left_out: Option<LeftOut>,
    pub(super) predecessor: Option<Predecessor>,
}

impl Parts<'_> {
    /// The bytes of the result, each part written once.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.to_canonical();
        let mut body = Vec::with_capacity(state.len().saturating_add(1 << 16));
        self.write(&mut minicbor::Encoder::new(&mut body), &state).expect("encoding into a Vec cannot fail");
        let digest = Hash::of(DIGEST, &[&body]);
        encode(&Outer { body: &body, digest })
    }

    fn write(
        &self,
        e: &mut minicbor::Encoder<&mut Vec<u8>>,
        state: &[u8],
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        let edge: BTreeMap<u8, Blob> =
            self.tree.partial().map(|tile| (level(&tile.path), Blob(tile.content))).collect();
        let more = u64::from(self.left_out.is_some()).saturating_add(u64::from(self.predecessor.is_some()));
        e.map(14_u64.saturating_add(more))?.u8(0)?.u8(RESULT_VERSION)?.u8(1)?.encode(self.ledger)?;
        e.u8(2)?.u64(self.tree.size())?.u8(3)?.encode(self.tree.root())?.u8(4)?.encode(&edge)?;
        e.u8(5)?.encode(self.state.digest())?.u8(6)?.bytes(state)?;
        e.u8(7)?.encode(&self.log_keys)?.u8(8)?.encode(&self.kinds)?.u8(9)?.encode(self.counts)?;
        e.u8(10)?.encode(self.time_ms)?.u8(11)?.encode(self.sides)?.u8(12)?.encode(self.networks)?;
        e.u8(13)?.encode(self.positions)?;
        if let Some(left_out) = &self.left_out {
            e.u8(14)?.encode(left_out)?;
        }
        if let Some(predecessor) = &self.predecessor {
            e.u8(15)?.encode(predecessor)?;
        }
        Ok(())
    }
}

fn level(path: &TilePath) -> u8 {
    match path.kind() {
        crate::log::tile::TileKind::Hashes(level) => level,
        crate::log::tile::TileKind::Entries => u8::MAX,
    }
}

impl Saved {
    /// Reads a result, and the state in it.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Resumed, SavedError> {
        if bytes.len() > MAX_RESULT_BYTES {
            return Err(SavedError::TooLong { got: bytes.len() });
        }
        let structure = |e: minicbor::decode::Error| SavedError::Structure(e.to_string());
        let outer: Outer<'_> = minicbor::decode(bytes).map_err(structure)?;
        let got = Hash::of(DIGEST, &[outer.body]);
        if got != outer.digest {
            return Err(SavedError::Digest { got, says: outer.digest });
        }
        let mut saved: Self = minicbor::decode(outer.body).map_err(structure)?;
        if saved.v != RESULT_VERSION {
            return Err(SavedError::Version(saved.v));
        }
        encodes_to(&outer, bytes)
            .and_then(|()| encodes_to(&saved, outer.body))
            .map_err(|_| SavedError::NotCanonical)?;
        let state = State::from_digest(&std::mem::take(&mut saved.state_bytes).0, &saved.state_digest)?;
        if state.ledger().ok() != Some(saved.ledger) || state.head.next_seq != saved.size {
            return Err(SavedError::Parts("the state is of another ledger or size"));
        }
        let tree =
            TileBuilder::resume(saved.size, |path| saved.edge.get(&level(path)).map(|edge| edge.0.clone()))?;
        if tree.root() != saved.root || tree.partial().count() != saved.edge.len() {
            return Err(SavedError::Parts("the right edge of the tree does not give its root"));
        }
        if saved.sides.iter().chain(&saved.networks.sides).any(|(id, side)| *id != side.channel) {
            return Err(SavedError::Parts("a channel stands in another's place"));
        }
        Ok(Resumed { saved, state, tree, digest: got })
    }
}

/// A result read back.
#[derive(Debug)]
pub struct Resumed {
    pub(super) saved: Saved,
    pub(super) state: State,
    pub(super) tree: TileBuilder,
    digest: Hash,
}

impl Resumed {
    /// What it covers.
    pub fn since(&self) -> Since {
        Since { entries: self.saved.size, root: self.saved.root }
    }

    /// Whose result it is.
    pub fn ledger(&self) -> LedgerId {
        self.saved.ledger
    }

    /// The digest that the result names itself by.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    pub(super) fn positions(&self) -> &BTreeMap<String, u64> {
        &self.saved.positions
    }

    pub(super) fn saved(&self) -> &Saved {
        &self.saved
    }

    pub(super) fn into_parts(self) -> (State, BTreeMap<StreamId, Side>, Networks, Edge) {
        let since = self.since();
        let Saved { sides, networks, mut edge, left_out, .. } = self.saved;
        (self.state, sides, networks, Edge { since, left_out, leaves: edge.remove(&0).unwrap_or_default() })
    }
}

/// What stays at hand of the earlier audit.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) since: Since,
    pub(super) left_out: Option<LeftOut>,
    /// Leaf hashes in the last tile that was not full.
    leaves: Blob,
}

impl Edge {
    /// The leaf hash of an entry that it covers, if that stands at the right edge.
    pub(super) fn leaf(&self, seq: u64) -> Option<Hash> {
        let before = seq.checked_sub(self.since.entries & !u64::from(TILE_WIDTH.saturating_sub(1)))?;
        let start = usize::try_from(before).ok()?.checked_mul(Hash::LEN)?;
        let end = start.checked_add(Hash::LEN)?;
        Hash::from_slice(self.leaves.0.get(start..end)?)
    }
}

/// Whether the newest checkpoint extends the one that the earlier audit covered, by a proof out of the stored tiles.
pub(super) fn check_consistency(
    since: &Since,
    newest: &Claimed,
    source: &mut dyn Source,
    findings: &mut Findings,
) {
    let Some(new) = newest.says.as_ref().map(Checkpoint::size) else { return };
    let old = since.entries;
    let what = match extends(since, newest, source) {
        Ok(()) => return,
        Err(NotExtended::Shorter) => format!(
            "the checkpoint covers {new} entries, the earlier audit covered {old}: some were taken back"
        ),
        Err(NotExtended::Differs(why)) => format!(
            "the checkpoint of {new} entries does not extend that of {old} which the earlier audit covered ({why}): \
             their history was changed"
        ),
        Err(NotExtended::Unknown(why)) => format!(
            "that the checkpoint of {new} entries extends the earlier one of {old} cannot be shown: {why}"
        ),
    };
    findings.add(Finding::new(Class::Mismatch, what).in_file(newest.file()));
}

/// Why a checkpoint was not shown to extend an earlier tree.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotExtended {
    #[error("the checkpoint covers fewer entries")]
    Shorter,
    #[error("{0}")]
    Differs(#[source] ProofError),
    #[error("it cannot be shown, {0}")]
    Unknown(#[source] BuildError),
}

/// Whether a checkpoint extends an earlier tree, by a proof out of the stored tiles (RFC 9162 §2.1.4).
pub(super) fn extends(old: &Since, newest: &Claimed, source: &mut dyn Source) -> Result<(), NotExtended> {
    let Some(says) = &newest.says else { return Ok(()) };
    let (old, new, root) = (old.entries, says.size(), old.root);
    if new < old {
        return Err(NotExtended::Shorter);
    }
    let load = |path: &TilePath| {
        let stored = source.hash_tiles(level(path), path.index()).into_iter();
        stored.filter(|(stored, _)| stored == path).find_map(|(_, bytes)| bytes.ok()).map(|named| named.bytes)
    };
    let mut reader = TileReader::new(new, load);
    let proof = build_consistency(&mut reader, old, new).map_err(NotExtended::Unknown)?;
    verify_consistency(old, new, &proof, &root, &says.root()).map_err(NotExtended::Differs)
}
