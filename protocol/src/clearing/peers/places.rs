//! Places of the ledgers of others: at which `seq` each received entry stands, so that two entries at one place are
//! noticed across streams (specs/evidence.md §6).
//!
//! Eight bytes for each received entry. An honest ledger's streams ascend, so a place is found by bisection; one that
//! does not ascend is searched in order, which only a liar causes.

use crate::entry::Entry;
use crate::ids::{LedgerId, StreamId};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;

/// Where a received entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub ledger: LedgerId,
    /// Which stream.
    pub stream: StreamId,
    /// Its place in it.
    pub sseq: u64,
}

/// The `seq` of each entry of one stream, by its place in it.
#[derive(Debug, Clone, Default, Encode, Decode)]
struct Seqs {
    #[n(0)]
    seqs: Vec<u64>,
    #[n(1)]
    unordered: bool,
}

/// See the module.
#[derive(Debug, Clone, Default, Encode, Decode)]
pub(in crate::clearing) struct Places {
    #[n(0)]
    streams: BTreeMap<(LedgerId, StreamId), Seqs>,
}

impl Places {
    /// An entry was taken in, the next of its stream.
    pub(super) fn note(&mut self, entry: &Entry) {
        let body = entry.body();
        let Some(header) = body.stream else { return };
        let stream = self.streams.entry((body.ledger, header.id)).or_default();
        stream.unordered |= stream.seqs.last().is_some_and(|last| *last >= body.seq);
        stream.seqs.push(body.seq);
    }

    /// The received entry that stands at the same place of its ledger as this one, which is not taken in yet.
    pub(in crate::clearing) fn same_seq(&self, entry: &Entry) -> Option<Place> {
        let body = entry.body();
        let of_ledger = (body.ledger, StreamId::ZERO)..=(body.ledger, StreamId([0xff; StreamId::LEN]));
        self.streams.range(of_ledger).find_map(|((ledger, stream), seqs)| {
            let at = seqs.find(body.seq)?;
            Some(Place { ledger: *ledger, stream: *stream, sseq: u64::try_from(at).ok()? })
        })
    }
}

impl Seqs {
    fn find(&self, seq: u64) -> Option<usize> {
        if self.unordered {
            self.seqs.iter().position(|known| *known == seq)
        } else {
            self.seqs.binary_search(&seq).ok()
        }
    }
}
