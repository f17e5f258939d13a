//! `/weft/sync/1`: what networks have said in public, passed on by everybody (specs/network.md §11).
//!
//! Who asks hears how far the other has each author's public stream, then fetches what is missing, one author at a time.
//! Nothing here is believed: entries and descriptors carry their own signatures.

use crate::encoding::{Blob, EncodingError};
use crate::ids::LedgerId;
use crate::wire::messages;
use minicbor::{Decode, Encode};

/// Authors in one list; more are paged. 48 bytes each.
pub const MAX_HAVES: usize = 1_024;
/// Bytes of one author in a list.
const HAVE_BYTES: usize = LedgerId::LEN + 8 + 8;
/// Entries in one answer, as in a push.
pub const MAX_ENTRIES: usize = crate::wire::MAX_PUSH_ENTRIES;
/// Bytes of entries in one answer, as in a push.
pub const MAX_ENTRY_BYTES: usize = crate::wire::MAX_PUSH_BYTES;
/// Descriptors in one answer: 64 of 3,072 bytes fit the frame.
pub const MAX_DESCRIPTORS: usize = 64;

/// How far somebody has what an author says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Have {
    /// The author.
    pub ledger: LedgerId,
    /// Entries of its public stream.
    pub next: u64,
    /// Number of its newest descriptor; 0 without one.
    pub dseq: u64,
}

/// Authors in ascending order, packed: `ledger:32 ‖ next:u64 ‖ dseq:u64`, integers big-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Haves(Vec<Have>);

/// Asks how far the other has every author.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WhatAsk {
    /// 1.
    #[n(0)]
    pub message: u8,
    /// Authors after this one; from the first when absent.
    #[n(1)]
    pub after: Option<LedgerId>,
}

/// The answer, and message 7: what is new here.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WhatThere {
    /// 2 answers; 7 tells unasked.
    #[n(0)]
    pub message: u8,
    /// [`Haves`].
    #[n(1)]
    pub haves: Blob,
    /// Whether there are authors after the last one.
    #[n(2)]
    pub more: bool,
}

/// Asks for entries of one author's public stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EntriesAsk {
    /// 3.
    #[n(0)]
    pub message: u8,
    /// The author.
    #[n(1)]
    pub ledger: LedgerId,
    /// From this place on.
    #[n(2)]
    pub next: u64,
}

/// Entries in order, byte for byte; none when there are none.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EntriesThere {
    /// 4.
    #[n(0)]
    pub message: u8,
    /// At most [`MAX_ENTRIES`].
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub entries: Vec<Blob>,
}

/// Asks for the newest descriptors of some authors.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DescriptorsAsk {
    /// 5.
    #[n(0)]
    pub message: u8,
    /// At most [`MAX_DESCRIPTORS`].
    #[n(1)]
    pub ledgers: Vec<LedgerId>,
}

/// Descriptors, those that are there.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DescriptorsThere {
    /// 6.
    #[n(0)]
    pub message: u8,
    /// Signed, as their networks made them.
    #[cbor(n(1), with = "crate::entry::list", has_nil)]
    pub descriptors: Vec<Blob>,
}

/// The answer to news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct NewsHeard {
    /// 8.
    #[n(0)]
    pub message: u8,
}

impl Haves {
    /// Packs a list; it is put in order, and cut at [`MAX_HAVES`].
    pub fn new(haves: impl IntoIterator<Item = Have>) -> Self {
        let mut haves: Vec<Have> = haves.into_iter().collect();
        haves.sort_by_key(|have| have.ledger);
        haves.dedup_by_key(|have| have.ledger);
        haves.truncate(MAX_HAVES);
        Self(haves)
    }

    /// The authors.
    pub fn as_slice(&self) -> &[Have] {
        &self.0
    }

    /// As they travel.
    pub fn to_blob(&self) -> Blob {
        let pack = |have: &Have| {
            [have.ledger.as_bytes(), &have.next.to_be_bytes()[..], &have.dseq.to_be_bytes()].concat()
        };
        Blob(self.0.iter().flat_map(pack).collect())
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When it is too long, cut short, or not in ascending order.
    pub fn parse(blob: &Blob) -> Result<Self, EncodingError> {
        let bad = |why: &str| Err(EncodingError::Structure(format!("a list of authors {why}")));
        if blob.0.len() > MAX_HAVES * HAVE_BYTES {
            return bad("is longer than 1,024");
        }
        let chunks = blob.0.chunks_exact(HAVE_BYTES);
        if !chunks.remainder().is_empty() {
            return bad("is cut short");
        }
        let haves: Vec<Have> = chunks.filter_map(unpack).collect();
        if !haves.is_sorted_by(|one, next| one.ledger < next.ledger) {
            return bad("is not in ascending order");
        }
        Ok(Self(haves))
    }
}

fn unpack(bytes: &[u8]) -> Option<Have> {
    let (ledger, rest) = bytes.split_first_chunk::<{ LedgerId::LEN }>()?;
    let (next, dseq) = rest.split_first_chunk::<8>()?;
    let dseq = u64::from_be_bytes(dseq.try_into().ok()?);
    Some(Have { ledger: LedgerId(*ledger), next: u64::from_be_bytes(*next), dseq })
}

messages! {
    WhatAsk, 64 * 1024, [1];
    WhatThere, 256 * 1024, [2, 7];
    EntriesAsk, 64 * 1024, [3];
    EntriesThere, 256 * 1024, [4];
    DescriptorsAsk, 64 * 1024, [5];
    DescriptorsThere, 256 * 1024, [6];
    NewsHeard, 256 * 1024, [8];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Message;

    fn have(n: u8) -> Have {
        Have { ledger: LedgerId([n; 32]), next: u64::from(n), dseq: 7 }
    }

    #[test]
    fn a_list_of_authors_reads_back_in_order_and_another_form_is_refused() {
        let list = Haves::new([have(3), have(1), have(2), have(1)]);
        assert_eq!(list.as_slice(), [have(1), have(2), have(3)]);
        assert_eq!(Haves::parse(&list.to_blob()), Ok(list.clone()));
        let mut cut = list.to_blob();
        cut.0.pop();
        assert!(Haves::parse(&cut).is_err());
        let turned = Blob([list.to_blob().0, Haves::new([have(1)]).to_blob().0].concat());
        assert!(Haves::parse(&turned).is_err());
        assert!(Haves::parse(&Blob(vec![0; (MAX_HAVES + 1) * HAVE_BYTES])).is_err());
        assert_eq!(Haves::parse(&Blob(Vec::new())), Ok(Haves::default()));
    }

    #[test]
    fn the_longest_list_fits_the_smaller_frame_in_which_news_travel() {
        let all = (0..u16::try_from(MAX_HAVES).unwrap()).map(|n| {
            let mut ledger = [0; 32];
            ledger[..2].copy_from_slice(&n.to_be_bytes());
            Have { ledger: LedgerId(ledger), next: u64::MAX, dseq: u64::MAX }
        });
        let told = WhatThere { message: 7, haves: Haves::new(all).to_blob(), more: true };
        assert!(told.to_bytes().len() <= 64 * 1024);
    }
}
