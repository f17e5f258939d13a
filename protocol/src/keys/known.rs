//! Signatures that were made or have verified here, so that none is verified twice.
//!
//! One signature is looked at again and again: an Intent when its PROPOSE comes, when it is judged and when it is
//! answered, a Decision at every hop. Verifying is a function of its arguments alone, so its yes may be remembered; what
//! is remembered changes no result. Who reads a message from the wire may verify it on a thread of its own, and
//! the ledger finds that done.
//! What must hold: the digest binds key, signature and message; a no is never remembered; the memory is bounded, and a
//! place that is taken is overwritten, so a flood costs time and nothing else.

use crate::ids::{Hash, KeyBytes, SigBytes};
use std::sync::{Mutex, PoisonError};

/// Signatures remembered: those of some seconds of a busy node. 256 KiB.
const PLACES: usize = 1 << 13;

static KNOWN: Mutex<Vec<Hash>> = Mutex::new(Vec::new());

/// What a signature is remembered as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen(Hash);

impl Seen {
    /// Key and signature have one length each, so no two triples are the same bytes.
    pub(super) fn new(key: &KeyBytes, message: &[u8], sig: &SigBytes) -> Self {
        Self(Hash::of("", &[key.as_bytes(), sig.as_bytes(), message]))
    }

    fn place(&self) -> usize {
        usize::from(u16::from_be_bytes(self.0.prefix())) & (PLACES - 1)
    }

    /// Whether it is known to verify.
    pub(super) fn is_known(&self) -> bool {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(self.place()) == Some(&self.0)
    }

    /// It verifies.
    pub(super) fn remember(self) {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            known.resize(PLACES, Hash::ZERO);
        }
        if let Some(place) = known.get_mut(self.place()) {
            *place = self.0;
        }
    }
}
