//! A base: what stands in the place of entries that were left out before a forward (specs/store.md §12).
//!
//! It holds the books as they stood before the forward, and what peers had said by then, so that everything after it can
//! be judged as if nothing were missing.
//! What must hold: the state has the digest that the forward names (whoever replays the forward over it checks that); a
//! base is read as a whole or not at all.

use crate::clearing::peers::Peers;
use crate::clearing::replay::Replay;
use crate::encoding::{Blob, encode};
use crate::entry::{Entry, Payload};
use crate::ids::{AccountId, Hash, LedgerId};
use crate::ledger::members::OwnerKind;
use crate::ledger::state::{State, StateError};
use crate::ledger::transfer::Posting;
use crate::log::tile::{TileBuilder, TileError, TileKind, TilePath};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Format version in field 0. It covers what peers have said, which is in this program's own form.
const OLDEST: u8 = 1;
/// With answers to settlements whose other half is lost (specs/decisions/0053), which an older program would pass over.
const VERSION: u8 = 2;
/// Longest base that is read: twice the longest state.
pub const MAX_BASE_BYTES: u64 = 2 << 30;
/// Context of the digest of a base.
const DIGEST: &str = "WEFT-BASE/1\n";
/// Entries of less than this age are never left out, counted back from the newest entry: so long transfers can be
/// reversed, and operations wait for their last retry (specs/ledger.md 5.4).
pub const KEPT_MS: u64 = 60 * 86_400_000;

/// Why a base cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// Not the form of a base.
    #[error("it is no base: {0}")]
    Structure(String),
    /// Its bytes were changed.
    #[error("it was changed or damaged: its digest is {got}, it says {says}")]
    Digest {
        /// Digest of its bytes.
        got: Hash,
        /// What it says.
        says: Hash,
    },
    /// Another format version.
    #[error("it is of version {0}, and this program reads versions {OLDEST} to {VERSION}")]
    Version(u8),
    /// The state in it.
    #[error("the state in it: {0}")]
    State(#[from] StateError),
    /// Its parts are of different ledgers or places.
    #[error("its parts do not belong together: {0}")]
    Parts(&'static str),
    /// The tiles at the right edge.
    #[error("the right edge of the tree in it: {0}")]
    Edge(#[from] TileError),
}

/// How many records of before the forward are still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Kept {
    /// Own entries ([`is_kept`]).
    #[n(0)]
    pub own: u64,
    /// Entries received.
    #[n(1)]
    pub received: u64,
    /// Notes, the newest of each kind and name.
    #[n(2)]
    pub notes: u64,
}

/// Where records begin, in numbers of segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Floor {
    /// Place of the forward: every own entry from here on is there.
    #[n(0)]
    pub seq: u64,
    /// The first segment there is; those before [`Floor::full`] hold what was kept.
    #[n(1)]
    pub first: u32,
    /// The segment that begins with the forward.
    #[n(2)]
    pub full: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Base {
    /// Whose.
    pub ledger: LedgerId,
    /// Where what is left begins.
    pub floor: Floor,
    /// What is left of before.
    pub kept: Kept,
    /// The tree over all entries before the forward.
    pub tree: TileBuilder,
    /// The books and the peers' words before the forward.
    pub replay: Replay,
}

#[derive(Encode, Decode)]
struct Outer<'b> {
    #[cbor(b(0), with = "minicbor::bytes")]
    body: &'b [u8],
    #[n(1)]
    digest: Hash,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[n(0)]
    v: u8,
    #[n(1)]
    ledger: LedgerId,
    #[n(2)]
    floor: Floor,
    #[n(3)]
    kept: Kept,
    /// Content of the tiles at the right edge that are not full, by level.
    #[n(4)]
    edge: BTreeMap<u8, Blob>,
    #[n(5)]
    state_digest: Hash,
    #[n(6)]
    state: Blob,
    #[n(7)]
    peers: Blob,
}

impl Base {
    /// The bytes of a base.
    ///
    /// # Errors
    /// When tree and books are of different places, or there is no ledger yet.
    pub fn bytes(
        floor: Floor,
        kept: Kept,
        tree: &TileBuilder,
        replay: &Replay,
    ) -> Result<Vec<u8>, BaseError> {
        let state = replay.state();
        let ledger = state.ledger().map_err(|_| BaseError::Parts("there is no genesis"))?;
        if tree.size() != floor.seq || state.head.next_seq != floor.seq {
            return Err(BaseError::Parts("tree and books do not end before the forward"));
        }
        let body = Body {
            v: if replay.peers().has_told() { VERSION } else { OLDEST },
            ledger,
            floor,
            kept,
            edge: tree.partial().map(|tile| (level(&tile.path), Blob(tile.content))).collect(),
            state_digest: state.digest(),
            state: Blob(state.to_canonical()),
            peers: Blob(encode(replay.peers())),
        };
        let body = encode(&body);
        Ok(encode(&Outer { body: &body, digest: Hash::of(DIGEST, &[&body]) }))
    }

    /// Reads a base.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, BaseError> {
        let structure = |e: minicbor::decode::Error| BaseError::Structure(e.to_string());
        let outer: Outer<'_> = minicbor::decode(bytes).map_err(structure)?;
        let got = Hash::of(DIGEST, &[outer.body]);
        if got != outer.digest {
            return Err(BaseError::Digest { got, says: outer.digest });
        }
        let body: Body = minicbor::decode(outer.body).map_err(structure)?;
        if !(OLDEST..=VERSION).contains(&body.v) {
            return Err(BaseError::Version(body.v));
        }
        let state = State::from_digest(&body.state.0, &body.state_digest)?;
        if state.ledger().ok() != Some(body.ledger) || state.head.next_seq != body.floor.seq {
            return Err(BaseError::Parts("the state is of another ledger or place"));
        }
        if body.floor.first > body.floor.full {
            return Err(BaseError::Parts("its first segment comes after the forward"));
        }
        let mut peers: Peers = minicbor::decode(&body.peers.0).map_err(structure)?;
        peers.take_up_trails(&state);
        let tree = TileBuilder::resume(body.floor.seq, |path| {
            body.edge.get(&level(path)).map(|edge| edge.0.clone())
        })?;
        let Body { ledger, floor, kept, .. } = body;
        Ok(Self { ledger, floor, kept, tree, replay: Replay::from_parts(state, peers) })
    }
}

fn level(path: &TilePath) -> u8 {
    match path.kind() {
        TileKind::Hashes(level) => level,
        TileKind::Entries => u8::MAX,
    }
}

/// Whether an own entry stays when those before a forward go, judged by the books before it: it stands in the public
/// stream (keys: without them nobody could verify anything), in a channel (it is owed to the peer for ever), brings such an
/// entry back, or books on the account of a peer what a channel says.
pub fn is_kept(state: &State, entry: &Entry) -> bool {
    let of_peer = |account: &AccountId| {
        state.accounts.get(account).is_some_and(|account| account.owner == OwnerKind::Peer)
    };
    let on_peer = |postings: &[Posting]| postings.iter().any(|posting| of_peer(&posting.account));
    let books = match &entry.op().payload {
        Payload::End(end) => on_peer(&end.postings),
        Payload::Book(book) => on_peer(&book.postings),
        Payload::Returned(returned) => on_peer(&returned.postings),
        Payload::Settled(_)
        | Payload::Recovered(_)
        | Payload::Netted(_)
        | Payload::WriteOff(_)
        | Payload::ResetBooked(_) => true,
        Payload::Genesis(_)
        | Payload::KeyBound(_)
        | Payload::Succession(_)
        | Payload::KeyRevoked(_)
        | Payload::RootChanged(_)
        | Payload::Step(_)
        | Payload::AccountOpened(_)
        | Payload::AccountChanged(_)
        | Payload::AccountClosed(_)
        | Payload::RoleGranted(_)
        | Payload::UnitDefined(_)
        | Payload::RuleSet(_)
        | Payload::Transfer(_)
        | Payload::Reversal(_)
        | Payload::Hold(_)
        | Payload::Credit(_)
        | Payload::Release(_)
        | Payload::DisputeClosed(_)
        | Payload::Announced(_)
        | Payload::Listed(_)
        | Payload::ResultPage(_)
        | Payload::Voted(_)
        | Payload::Committed(_)
        | Payload::PeerView(_)
        | Payload::Capacity(_)
        | Payload::ResetNotice(_)
        | Payload::EvidenceRecorded(_)
        | Payload::FreezeLifted(_)
        | Payload::Erasure(_)
        | Payload::Forward(_) => false,
    };
    entry.body().stream.is_some() || books
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::TestNetwork;

    /// The base of all that a network has and has heard.
    pub(crate) fn base_of(network: &TestNetwork) -> Vec<u8> {
        let mut tree = TileBuilder::new();
        network.own().iter().for_each(|entry| tree.push(entry.leaf()));
        let replay = Replay::from_parts(network.state().clone(), network.engine.peers().clone());
        let floor = Floor { seq: replay.state().head.next_seq, first: 0, full: 0 };
        Base::bytes(floor, Kept { own: 0, received: 0, notes: 0 }, &tree, &replay).unwrap()
    }

    /// Which version it says that it is of.
    pub(crate) fn version_of(bytes: &[u8]) -> u8 {
        let outer: Outer<'_> = minicbor::decode(bytes).unwrap();
        minicbor::decode::<Body>(outer.body).unwrap().v
    }

    /// The same, saying that it is of another version.
    fn of_version(bytes: &[u8], v: u8) -> Vec<u8> {
        let outer: Outer<'_> = minicbor::decode(bytes).unwrap();
        let body: Body = minicbor::decode(outer.body).unwrap();
        let body = encode(&Body { v, ..body });
        encode(&Outer { body: &body, digest: Hash::of(DIGEST, &[&body]) })
    }

    #[test]
    fn a_base_of_this_version_and_of_the_one_before_is_read_and_no_other() {
        let bytes = base_of(&TestNetwork::new(1));
        for v in 0..=u8::MAX {
            let read = Base::parse(&of_version(&bytes, v)).map(|base| base.ledger);
            match v {
                1 | 2 => assert!(read.is_ok(), "{v}: {read:?}"),
                _ => assert_eq!(read.unwrap_err().to_string(), BaseError::Version(v).to_string()),
            }
        }
    }
}
