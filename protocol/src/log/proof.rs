//! Inclusion and consistency proofs: build and verify (RFC 9162 §2.1.3 and §2.1.4).
//!
//! Both sides derive from the two numbers of a proof alone which subtrees it must name and how many.
//! The empty tree proves nothing: a size of zero is an error, never a trivially true proof.

use crate::ids::Hash;
use crate::log::tree::{empty_root, node_hash};
use std::ops::Range;

/// No proof in a tree of at most 2^64 leaves has more hashes.
pub const MAX_PROOF_HASHES: usize = 65;

/// Where the hashes of complete subtrees come from.
pub trait HashReader {
    /// The hash of the complete subtree over the leaves `index · 2^level .. (index + 1) · 2^level`.
    /// `None` when it cannot be had; the reader keeps the reason.
    fn node(&mut self, level: u32, index: u64) -> Option<Hash>;
}

/// Reads from all the leaf hashes of a tree; for small trees and tests.
#[derive(Debug, Clone, Copy)]
pub struct LeafHashes<'a>(pub &'a [Hash]);

impl HashReader for LeafHashes<'_> {
    fn node(&mut self, level: u32, index: u64) -> Option<Hash> {
        let width = 1_u64.checked_shl(level)?;
        let start = index.checked_mul(width)?;
        let end = start.checked_add(width)?;
        let leaves = self.0.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)?;
        Some(crate::log::tree::root_of(leaves.iter().copied()))
    }
}

/// The numbers of a proof make no sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nothing is in an empty tree, and everything is consistent with it.
    #[error("an empty tree proves nothing")]
    EmptyTree,
    /// The leaf is not in the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    IndexOutside {
        /// Index asked for, from zero.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("an older tree of {old_size} leaves cannot be inside one of {new_size}")]
    Shrunk {
        /// Leaves in the older tree.
        old_size: u64,
        /// Leaves in the newer tree.
        new_size: u64,
    },
}

/// Why a proof could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is no such proof.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The reader does not have a hash that the proof needs.
    #[error("the hash of subtree {index} of 2^{level} leaves cannot be read")]
    Unreadable {
        /// Height of the subtree.
        level: u32,
        /// Its index at that height.
        index: u64,
    },
}

/// Why a proof was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is no such proof.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Too many or too few hashes.
    #[error("the proof has {got} hashes, this place needs {expected}")]
    Length {
        /// Hashes received.
        got: usize,
        /// Hashes needed.
        expected: usize,
    },
    /// It leads to another root than the claimed (newer) one.
    #[error("the proof leads to another root")]
    RootMismatch,
    /// It leads to another root than the claimed older one.
    #[error("the proof leads to another older root")]
    OldRootMismatch,
}

/// The root of the first `size` leaves, in O(log n) reads.
///
/// # Errors
/// When a hash cannot be read.
pub fn tree_root(reader: &mut impl HashReader, size: u64) -> Result<Hash, BuildError> {
    if size == 0 {
        return Ok(empty_root());
    }
    range_root(reader, 0..size)
}

/// Proves that a leaf is in the tree of the first `size` leaves: from its sibling up to a child of the root.
///
/// # Errors
/// When there is no such leaf, or a hash cannot be read.
pub fn build_inclusion(reader: &mut impl HashReader, index: u64, size: u64) -> Result<Vec<Hash>, BuildError> {
    inclusion_ranges(index, size)?.into_iter().map(|range| range_root(reader, range)).collect()
}

/// Proves that the first `old_size` of `new_size` leaves are what they were; empty when the sizes are equal.
///
/// # Errors
/// When `old_size` is zero or the larger one, or a hash cannot be read.
pub fn build_consistency(
    reader: &mut impl HashReader,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<Hash>, BuildError> {
    consistency_ranges(old_size, new_size)?.into_iter().map(|range| range_root(reader, range)).collect()
}

/// Verifies that `leaf` is at `index` in the tree of `size` leaves with this root (RFC 9162 §2.1.3.2).
///
/// # Errors
/// Names what is wrong; see [`ProofError`].
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    check_length(proof, inclusion_ranges(index, size)?.len())?;
    let mut path = Path { node: index, last: size.saturating_sub(1) };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match path.climb() {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Verifies that the tree of `old_size` leaves is the beginning of the newer one (RFC 9162 §2.1.4.2).
///
/// # Errors
/// Names what is wrong; see [`ProofError`].
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    check_length(proof, consistency_ranges(old_size, new_size)?.len())?;
    if old_size == new_size {
        return if old_root == new_root { Ok(()) } else { Err(ProofError::OldRootMismatch) };
    }
    // The largest complete subtree at the end of the old tree is known already when it is the old tree.
    let (seed, rest) = match proof.split_first() {
        Some((first, rest)) if !old_size.is_power_of_two() => (first, rest),
        _ => (old_root, proof),
    };
    let mut path = Path { node: old_size.saturating_sub(1), last: new_size.saturating_sub(1) };
    path.skip(path.node.trailing_ones());
    let (mut old, mut new) = (*seed, *seed);
    for sibling in rest {
        match path.climb() {
            Side::Left => (old, new) = (node_hash(sibling, &old), node_hash(sibling, &new)),
            Side::Right => new = node_hash(&new, sibling),
        }
    }
    if old != *old_root {
        return Err(ProofError::OldRootMismatch);
    }
    if new == *new_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// On which side of the path the next sibling stands.
enum Side {
    Left,
    Right,
}

/// A node on the way up, and the last node of its level: `fn` and `sn` of RFC 9162.
struct Path {
    node: u64,
    last: u64,
}

impl Path {
    fn skip(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    /// Goes to the parent of the node and its sibling, over the levels where the node has none.
    fn climb(&mut self) -> Side {
        let odd = self.node & 1 == 1;
        if !odd && self.node != self.last {
            self.skip(1);
            return Side::Right;
        }
        if !odd {
            self.skip(self.node.trailing_zeros());
        }
        self.skip(1);
        Side::Left
    }
}

fn check_length(proof: &[Hash], expected: usize) -> Result<(), ProofError> {
    if proof.len() == expected { Ok(()) } else { Err(ProofError::Length { got: proof.len(), expected }) }
}

/// The subtrees that an inclusion proof names, from the leaf up: PATH(m, D_n) of RFC 9162 §2.1.3.1.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, PlaceError> {
    if size == 0 {
        return Err(PlaceError::EmptyTree);
    }
    if index >= size {
        return Err(PlaceError::IndexOutside { index, size });
    }
    let mut at = 0..size;
    let mut ranges = Vec::new();
    while let Some(middle) = split(&at) {
        if index < middle {
            ranges.push(middle..at.end);
            at.end = middle;
        } else {
            ranges.push(at.start..middle);
            at.start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The subtrees that a consistency proof names: PROOF(m, D_n) of RFC 9162 §2.1.4.1.
fn consistency_ranges(old_size: u64, new_size: u64) -> Result<Vec<Range<u64>>, PlaceError> {
    if old_size == 0 {
        return Err(PlaceError::EmptyTree);
    }
    if old_size > new_size {
        return Err(PlaceError::Shrunk { old_size, new_size });
    }
    let mut at = 0..new_size;
    let mut ranges = Vec::new();
    while at.end != old_size {
        let middle = split(&at).expect("the old size is inside the range, so it has two leaves or more");
        if old_size <= middle {
            ranges.push(middle..at.end);
            at.end = middle;
        } else {
            ranges.push(at.start..middle);
            at.start = middle;
        }
    }
    // What is left ends where the old tree ends; when it is the old tree its root is known.
    if at.start != 0 {
        ranges.push(at);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Where a subtree of more than one leaf divides: after the largest power of two smaller than its size.
fn split(range: &Range<u64>) -> Option<u64> {
    let last = range.end.saturating_sub(range.start).checked_sub(1)?;
    Some(range.start.saturating_add(1_u64 << last.checked_ilog2()?))
}

/// The hash of one subtree of the tree: complete ones are read, the incomplete one at the right edge is joined.
fn range_root(reader: &mut impl HashReader, range: Range<u64>) -> Result<Hash, BuildError> {
    let size = range.end.saturating_sub(range.start);
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        let index = range.start >> level;
        return reader.node(level, index).ok_or(BuildError::Unreadable { level, index });
    }
    let middle = split(&range).expect("a range that is no power of two has two leaves or more");
    let left = range_root(reader, range.start..middle)?;
    let right = range_root(reader, middle..range.end)?;
    Ok(node_hash(&left, &right))
}

#[cfg(test)]
mod tests;
