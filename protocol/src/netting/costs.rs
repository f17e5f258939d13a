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

/// What a unit that is left on an edge costs, in a component of so many nodes.
pub fn cost(nodes: usize, seed: &Hash, debtor: &[u8; 32], creditor: &[u8; 32]) -> i64 {
    let bits = small_bits(nodes);
    let hash = Hash::of("WEFT-NETTING-COST/1\n", &[seed.as_bytes(), debtor, creditor]);
    let drawn = u64::from_be_bytes(hash.prefix());
    let small = drawn.checked_shr(u64::BITS.saturating_sub(bits)).unwrap_or(0);
    let large = u64::try_from(nodes).unwrap_or(u64::MAX).checked_shl(bits).unwrap_or(u64::MAX);
    i64::try_from(large.saturating_add(small)).unwrap_or(i64::MAX)
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
}
