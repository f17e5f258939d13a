//! Netting held against others: instances that every language can make, a slow solver with nothing of ours in it, and the
//! comparison of both with the solver over many random graphs.

pub mod families;
pub mod naive;
pub mod oracle;

use weft_protocol::netting::Party;

/// A party by its number, in the order of numbers.
#[must_use]
pub fn numbered(number: u32) -> Party {
    let mut party = [0; 32];
    party[..4].copy_from_slice(&number.to_be_bytes());
    party
}
