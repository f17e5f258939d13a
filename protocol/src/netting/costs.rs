//! Costs that make the best result one result (specs/netting.md §3).
//!
//! As much as possible is to be cleared; many flows do that equally well. Each edge costs the same large amount for what
//! is left on it, and a small one of its own, drawn by a hash: the large parts decide how much is cleared, the small
//! ones which of the equal flows it is.

use crate::ids::Hash;

/// Bits in which potentials must fit.
const BITS: u32 = 62;

/// Bits of the small part of a cost, for a component of so many nodes: two times the bits of the nodes are needed for a
/// path through all of them.
pub fn small_bits(nodes: usize) -> u32 {
    let nodes = u64::try_from(nodes).unwrap_or(u64::MAX).max(1);
    // The next power of two, as its exponent.
    let log = u64::BITS.saturating_sub(nodes.saturating_sub(1).leading_zeros());
    BITS.saturating_sub(log.saturating_mul(2))
}

/// The first so many bits of a hash of an edge.
fn drawn(bits: u32, seed: &Hash, debtor: &[u8; 32], creditor: &[u8; 32]) -> i64 {
    let hash = Hash::of("WEFT-NETTING-COST/1\n", &[seed.as_bytes(), debtor, creditor]);
    let small = u64::from_be_bytes(hash.prefix()).checked_shr(u64::BITS.saturating_sub(bits)).unwrap_or(0);
    i64::try_from(small).unwrap_or(i64::MAX)
}

/// `count` times 2^`bits`.
fn large(count: usize, bits: u32) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_i64.checked_shl(bits).unwrap_or(i64::MAX))
}

/// What a unit that is left on an edge costs, in a component of so many nodes.
pub fn cost(nodes: usize, seed: &Hash, debtor: &[u8; 32], creditor: &[u8; 32]) -> i64 {
    let bits = small_bits(nodes);
    large(nodes, bits).saturating_add(drawn(bits, seed, debtor, creditor))
}

/// The party that stands for all accounts in the costs of members.
pub const THE_ACCOUNTS: [u8; 32] = [0; 32];

/// What a unit that is left on an invoice costs among members and their accounts, so many nodes together; one end is
/// `None` where an account gives or takes, and there each unit that stays where it is saves a fourth of that.
pub fn member_cost(nodes: usize, seed: &Hash, debtor: Option<&[u8; 32]>, creditor: Option<&[u8; 32]>) -> i64 {
    // Two bits less: an invoice weighs four times the move of an account, as two accounts are moved for it at most.
    let bits = small_bits(nodes).saturating_sub(2);
    let [from, to] = [debtor, creditor].map(|end| end.unwrap_or(&THE_ACCOUNTS));
    let (medium, small) = (large(nodes, bits), drawn(bits, seed, from, to));
    if debtor.is_some() && creditor.is_some() {
        medium.saturating_mul(4).saturating_add(small)
    } else {
        medium.saturating_add(small).saturating_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_through_all_nodes_fits_in_62_bits_and_the_small_parts_never_outweigh_a_large_one() {
        for nodes in [2, 3, 4, 5, 1_000, 1_024, 1_025, 65_536, 1_000_000] {
            let bits = small_bits(nodes);
            let large = (nodes as i128) << bits;
            let small = (1_i128 << bits) - 1;
            assert!((nodes as i128 - 1) * (large + small) <= 1 << 62, "{nodes}");
            assert!(nodes as i128 * small < large, "{nodes}");
            let cost = i128::from(cost(nodes, &Hash([7; 32]), &[1; 32], &[2; 32]));
            assert!(cost >= large && cost <= large + small);
        }
    }

    #[test]
    fn an_invoice_outweighs_two_accounts_and_an_account_all_small_parts() {
        for nodes in [2, 3, 4, 5, 1_000, 1_024, 1_025, 65_536, 1_000_000] {
            let (n, bits) = (nodes as i128, small_bits(nodes) - 2);
            let small = (1_i128 << bits) - 1;
            let account = -i128::from(member_cost(nodes, &Hash([7; 32]), None, Some(&[2; 32])));
            let invoice = i128::from(member_cost(nodes, &Hash([7; 32]), Some(&[1; 32]), Some(&[2; 32])));
            let (least_account, least_invoice) = (n << bits, (4 * n) << bits);
            assert!((least_account..=least_account + small).contains(&account), "{nodes}");
            assert!((least_invoice..=least_invoice + small).contains(&invoice), "{nodes}");
            assert!(n * small < least_account, "{nodes}");
            assert!(least_invoice > 2 * (least_account + small) + (n - 2) * small, "{nodes}");
            assert!((n - 1) * (least_invoice + small) < 1 << 62, "{nodes}");
        }
    }
}
