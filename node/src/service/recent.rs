//! What was written a moment ago and goes out next: own stream entries, and the sealed sidecars that travel with them.
//!
//! Reading them back costs lookups and parsing on the ledger's thread, for every entry of a busy channel. What must hold:
//! only what is durable is here, exactly as it is on disk; the memory is bounded; what is not here is read from the stores.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weft_protocol::entry::Entry;
use weft_protocol::ids::{Hash, StreamId};

/// Of each kind, so many of the newest are kept: several pushes to a handful of peers, some two MiB.
const KEPT: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    entries: Newest<(StreamId, u64), Arc<Entry>>,
    sealed: Newest<Hash, Arc<Vec<u8>>>,
}

impl Recent {
    /// An own entry is durable and in the index.
    pub(super) fn keep_entry(&mut self, entry: Entry) {
        if let Some(header) = entry.body().stream {
            self.entries.keep((header.id, header.sseq), Arc::new(entry));
        }
    }

    /// A sealed sidecar that travels with an entry of ours is durable.
    pub(super) fn keep_sealed(&mut self, commitment: Hash, envelope: Vec<u8>) {
        self.sealed.keep(commitment, Arc::new(envelope));
    }

    pub(super) fn entry(&self, stream: &StreamId, sseq: u64) -> Option<Arc<Entry>> {
        self.entries.rows.get(&(*stream, sseq)).cloned()
    }

    pub(super) fn sealed(&self, commitment: &Hash) -> Option<Arc<Vec<u8>>> {
        self.sealed.rows.get(commitment).cloned()
    }

    /// What a sidecar says is erased.
    pub(super) fn forget_sealed(&mut self) {
        self.sealed = Newest::default();
    }
}

/// The newest rows, each under its key.
#[derive(Debug)]
struct Newest<K, V> {
    rows: BTreeMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Newest<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<K: Ord + Copy, V> Newest<K, V> {
    fn keep(&mut self, key: K, row: V) {
        // As in the stores, the first stays.
        if self.rows.contains_key(&key) {
            return;
        }
        self.rows.insert(key, row);
        self.order.push_back(key);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.rows.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_no_more_than_fit() {
        let mut recent = Recent::default();
        let name = |n: usize| Hash::of("", &[&n.to_be_bytes()]);
        for n in 0..KEPT + 2 {
            recent.keep_sealed(name(n), vec![7; n]);
            recent.keep_sealed(name(n), vec![8; n]);
        }
        assert_eq!(recent.sealed.rows.len(), KEPT);
        assert!(recent.sealed(&name(1)).is_none());
        assert_eq!(recent.sealed(&name(2)).map(|kept| kept.to_vec()), Some(vec![7; 2]), "the first stays");
        recent.forget_sealed();
        assert!(recent.sealed(&name(KEPT)).is_none());
    }
}
