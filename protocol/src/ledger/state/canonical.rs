//! A state as bytes: its one canonical form, and the only way back from it (specs/ledger.md §5).
//!
//! What is read back encodes to exactly the bytes it was read from and could be the state of a ledger: sums are zero,
//! rows name what exists. Whether it *is* that of a ledger is for the reader to know, by its digest.

use super::{ClaimRow, DecisionRow, Expiring, State};
use crate::encoding::{encode, encodes_to};
use crate::ids::{AccountId, Hash, Signer, UnitId};
use crate::keys::{PublicKey, signer_of};
use crate::ledger::{Rejected, own_accounts};
use minicbor::encode::Write;
use sha2::{Digest, Sha256};
use std::convert::Infallible;

/// Context of the digest of a state.
const DIGEST: &str = "WEFT-STATE/1\n";

/// Longest state that is read: that of about ten million entries within 60 days, all of which it still remembers.
pub const MAX_STATE_BYTES: usize = 1 << 30;

/// Why bytes are no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// More than any ledger needs.
    #[error("a state of {got} bytes, at most {} are read", MAX_STATE_BYTES)]
    TooLong {
        /// Bytes offered.
        got: usize,
    },
    /// Not the structure of a state.
    #[error("it is no state: {0}")]
    Structure(String),
    /// Another encoding than the one canonical one.
    #[error("it is not the canonical form of a state, from byte {at} on")]
    NotCanonical {
        /// The first byte that differs.
        at: usize,
    },
    /// Not the state that was expected.
    #[error("its digest is {got}, not {expected}")]
    Digest {
        /// Digest wanted.
        expected: Hash,
        /// Digest of the bytes.
        got: Hash,
    },
    /// The balances of a unit do not sum to zero.
    #[error("the balances in unit {unit} sum to {sum}, not to zero")]
    Sum {
        /// Which unit.
        unit: UnitId,
        /// The sum.
        sum: i128,
    },
    /// Entries without a genesis, or a genesis without entries.
    #[error("it has {entries} entries and {} genesis", if *.genesis { "a" } else { "no" })]
    Genesis {
        /// Entries that it says to have taken in.
        entries: u64,
        /// Whether it knows its identity.
        genesis: bool,
    },
    /// A balance of an account or in a unit that is not there, or beyond what a balance can be.
    #[error("the balance of account {account} in unit {unit} cannot be")]
    Balance {
        /// Whose.
        account: AccountId,
        /// In which unit.
        unit: UnitId,
    },
    /// A signer that is not its key's, or of no account.
    #[error("the key of signer {signer} cannot be: {why}")]
    Signer {
        /// Which.
        signer: Signer,
        /// Why not.
        why: &'static str,
    },
    /// Transfers whose times do not ascend with their places.
    #[error("the times of transfers go back")]
    TransferTimes,
    /// One of the network's own accounts is missing.
    #[error("the network's account {name} is missing")]
    OwnAccount {
        /// Its name.
        name: &'static str,
    },
    /// The root set or a key of the network breaks a rule.
    #[error("the keys of the network: {0}")]
    Identity(Box<Rejected>),
}

impl State {
    /// Reads a state from its canonical form.
    ///
    /// # Errors
    /// Names what the bytes, or the state in them, cannot be.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_STATE_BYTES {
            return Err(StateError::TooLong { got: bytes.len() });
        }
        let mut state: Self = minicbor::decode(bytes).map_err(|e| StateError::Structure(e.to_string()))?;
        encodes_to(&state, bytes).map_err(|at| StateError::NotCanonical { at })?;
        state.check_possible()?;
        if let Some(identity) = &mut state.identity {
            identity.parse_keys();
        }
        state.expiring = state.expiring_rows();
        let open = state.claims.iter().filter(|(_, row)| row.is_open());
        state.open = open.clone().map(|(key, _)| *key).collect();
        state.open_until = open.map(|((claim, part), row)| (row.expires_ms, *claim, *part)).collect();
        Ok(state)
    }

    /// Reads the one state that has this digest.
    ///
    /// # Errors
    /// When the bytes have another digest; else as [`State::from_canonical`].
    pub fn from_digest(bytes: &[u8], expected: &Hash) -> Result<Self, StateError> {
        let got = Hash::of(DIGEST, &[bytes]);
        if got != *expected {
            return Err(StateError::Digest { expected: *expected, got });
        }
        Self::from_canonical(bytes)
    }

    /// The canonical form: what the digest covers.
    pub fn to_canonical(&self) -> Vec<u8> {
        encode(self)
    }

    /// SHA-256("WEFT-STATE/1\n" ‖ tables): the same for everybody who replays the same entries.
    pub fn digest(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(DIGEST);
        let mut hashing = Hashing(hasher);
        minicbor::encode(self, &mut hashing).expect("hashing cannot fail");
        Hash(hashing.0.finalize().into())
    }

    /// What `apply` relies on.
    fn check_possible(&self) -> Result<(), StateError> {
        let entries = self.head.next_seq;
        if self.identity.is_some() != (entries > 0) {
            return Err(StateError::Genesis { entries, genesis: self.identity.is_some() });
        }
        if let Some(identity) = &self.identity {
            identity.check_keys().map_err(|why| StateError::Identity(Box::new(why)))?;
            for name in own_accounts::NAMES {
                if !self.accounts.contains_key(&own_accounts::id(name)) {
                    return Err(StateError::OwnAccount { name });
                }
            }
        }
        for (signer, row) in &self.signers {
            let why = match PublicKey::new(&row.key) {
                Err(_) => Some("it is not canonical, or weak"),
                Ok(_) if signer_of(&row.key) != *signer => Some("it is another signer's"),
                Ok(_) if !self.accounts.contains_key(&row.account) => Some("its account is not there"),
                Ok(_) => None,
            };
            if let Some(why) = why {
                return Err(StateError::Signer { signer: *signer, why });
            }
        }
        for ((account, unit), balance) in &self.balances {
            let possible = self.accounts.contains_key(account)
                && self.units.contains_key(unit)
                && balance.unsigned_abs() <= crate::amount::MAX_AMOUNT.unsigned_abs();
            if !possible {
                return Err(StateError::Balance { account: *account, unit: *unit });
            }
        }
        // They are forgotten from the front.
        if !self.transfers.values().is_sorted_by_key(|mark| mark.time_ms) {
            return Err(StateError::TransferTimes);
        }
        match self.sums().into_iter().find(|(_, sum)| *sum != 0) {
            Some((unit, sum)) => Err(StateError::Sum { unit, sum }),
            None => Ok(()),
        }
    }

    /// Rows by the time they are forgotten.
    fn expiring_rows(&self) -> std::collections::BTreeSet<(u64, Expiring)> {
        let ops = self.ops.iter().map(|((signer, op), at)| (*at, Expiring::Op(*signer, *op)));
        let claims = self.claims.iter().filter_map(|((claim, part), row)| {
            Some((ClaimRow::prune_at(row)?, Expiring::Claim(*claim, *part)))
        });
        let decisions = self
            .decisions
            .iter()
            .filter_map(|(claim, row)| Some((DecisionRow::prune_at(row)?, Expiring::Decision(*claim))));
        ops.chain(claims).chain(decisions).collect()
    }
}

/// Bytes that are hashed instead of kept.
struct Hashing(Sha256);

impl Write for Hashing {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.update(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
