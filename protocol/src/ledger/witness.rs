//! Area 13, witness: what we have seen of peers' logs (specs/kinds.md §13).
//!
//! A peer view puts the head of a peer's log into our own ledger, so that who rewrites that log must also rewrite
//! everybody who recorded it. What must hold: the size of a log never falls in our books, and one size has one root.

use super::Rejected;
use super::state::{Change, State};
use crate::ids::{Hash, LedgerId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Longest origin of a network's log: the first is 31 bytes, and after a succession a number follows.
pub const MAX_ORIGIN_BYTES: usize = 64;

/// Payload of a peer view: a checkpoint of a peer's log that we have cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PeerView {
    /// The peer.
    #[n(0)]
    pub peer: LedgerId,
    /// Origin of its log.
    #[n(1)]
    pub origin: String,
    /// Entries in the log.
    #[n(2)]
    pub size: u64,
    /// Root over them.
    #[n(3)]
    pub root: Hash,
    /// SHA-256 of the cosigned note as we keep it.
    #[n(4)]
    pub note: Hash,
}

/// The last view of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ViewRow {
    /// Entries in the log.
    #[n(0)]
    pub size: u64,
    /// Root over them.
    #[n(1)]
    pub root: Hash,
    /// SHA-256 of the cosigned note.
    #[n(2)]
    pub note: Hash,
    /// When it was recorded.
    #[n(3)]
    pub time_ms: u64,
}

/// Whether a text is the origin of a log of this ledger: its first, or that after its n-th succession.
pub fn is_origin_of(origin: &str, ledger: &LedgerId) -> bool {
    let first = ledger.origin();
    let later = || {
        let number = origin.strip_prefix(first.as_str())?.strip_prefix('/')?;
        crate::log::parse_decimal(number).filter(|number| *number > 0)
    };
    origin.len() <= MAX_ORIGIN_BYTES && (origin == first || later().is_some())
}

/// Rules of a peer view.
pub(super) fn apply_view(state: &State, view: &PeerView, time_ms: u64) -> Result<Vec<Change>, Rejected> {
    if state.channel_with(&view.peer).is_none() {
        return Err(Rejected::NoAccord { peer: view.peer });
    }
    if !is_origin_of(&view.origin, &view.peer) {
        return Err(Rejected::ViewOrigin { origin: view.origin.clone(), peer: view.peer });
    }
    let last = state.views.get(&(view.peer, view.origin.clone()));
    let (size, root) = last.map_or((0, crate::log::tree::empty_root()), |row| (row.size, row.root));
    if view.size < size {
        return Err(Rejected::ViewBack { last: size, got: view.size });
    }
    if view.size == size {
        let same = view.root == root;
        return Err(if same { Rejected::NothingToDo } else { Rejected::ViewConflict { size } });
    }
    let row = ViewRow { size: view.size, root: view.root, note: view.note, time_ms };
    Ok(vec![Change::View(view.peer, view.origin.clone(), row)])
}

/// The table of the state: absent when empty, as every table that later versions added.
pub(crate) mod table {
    use super::BTreeMap;
    use minicbor::decode::{Decode, Decoder, Error};
    use minicbor::encode::{self, Encode, Encoder, Write};

    pub(crate) fn encode<K: Encode<C> + Ord, V: Encode<C>, C, W: Write>(
        rows: &BTreeMap<K, V>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        rows.encode(e, ctx)
    }
    pub(crate) fn decode<'b, K: Decode<'b, C> + Ord, V: Decode<'b, C>, C>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<BTreeMap<K, V>, Error> {
        BTreeMap::decode(d, ctx)
    }
    #[expect(clippy::unnecessary_wraps, reason = "the derive asks for an Option")]
    pub(crate) fn nil<K, V>() -> Option<BTreeMap<K, V>> {
        Some(BTreeMap::new())
    }
    pub(crate) fn is_nil<K, V>(rows: &BTreeMap<K, V>) -> bool {
        rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_its_first_origin_and_one_for_each_succession() {
        let ledger = LedgerId([1; 32]);
        let first = ledger.origin();
        for good in [first.clone(), format!("{first}/1"), format!("{first}/12")] {
            assert!(is_origin_of(&good, &ledger), "{good}");
        }
        let other = LedgerId([2; 32]).origin();
        let long = format!("{first}/{}", "1".repeat(40));
        let bad = [&other, "", &format!("{first}/"), &format!("{first}/0"), &format!("{first}/01"), &long]
            .map(str::to_owned);
        for bad in bad.into_iter().chain([format!("{first}+1"), format!("{first}/1/1")]) {
            assert!(!is_origin_of(&bad, &ledger), "{bad}");
        }
    }
}
