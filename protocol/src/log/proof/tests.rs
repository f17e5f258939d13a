//! Proofs against the naive tree, published vectors, and every single-bit change.

use super::*;
use crate::log::tree::tests::{naive_root, numbered_leaves, reference_leaves, reference_root};
use proptest::prelude::*;

fn hash(base64: &str) -> Hash {
    crate::log::parse_base64_hash(base64).unwrap()
}

#[test]
fn the_published_consistency_proof_from_2_to_5_is_built_and_verifies() {
    let leaves = reference_leaves();
    let expected = [
        hash("Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4="),
        hash("vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms="),
    ];
    assert_eq!(build_consistency(&mut LeafHashes(&leaves), 2, 5), Ok(expected.to_vec()));
    assert_eq!(verify_consistency(2, 5, &expected, &reference_root(2), &reference_root(5)), Ok(()));
}

#[test]
fn all_proofs_of_small_trees_verify() {
    let leaves = numbered_leaves(40);
    for size in 1..=40_u64 {
        let n = usize::try_from(size).unwrap();
        let root = naive_root(&leaves[..n]);
        assert_eq!(tree_root(&mut LeafHashes(&leaves[..n]), size), Ok(root));
        for index in 0..size {
            let proof = build_inclusion(&mut LeafHashes(&leaves[..n]), index, size).unwrap();
            let leaf = &leaves[usize::try_from(index).unwrap()];
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &root), Ok(()), "{index} in {size}");
        }
        for old in 1..=size {
            let proof = build_consistency(&mut LeafHashes(&leaves[..n]), old, size).unwrap();
            let old_root = naive_root(&leaves[..usize::try_from(old).unwrap()]);
            assert_eq!(verify_consistency(old, size, &proof, &old_root, &root), Ok(()), "{old} in {size}");
        }
    }
}

#[test]
fn the_empty_tree_proves_nothing() {
    let root = reference_root(0);
    assert_eq!(verify_inclusion(&root, 0, 0, &[], &root), Err(PlaceError::EmptyTree.into()));
    assert_eq!(verify_consistency(0, 0, &[], &root, &root), Err(PlaceError::EmptyTree.into()));
    assert_eq!(verify_consistency(0, 1, &[], &root, &reference_root(1)), Err(PlaceError::EmptyTree.into()));
    assert_eq!(build_inclusion(&mut LeafHashes(&[]), 0, 0), Err(PlaceError::EmptyTree.into()));
}

#[test]
fn impossible_places_are_named() {
    let root = reference_root(1);
    let outside = PlaceError::IndexOutside { index: 5, size: 5 };
    assert_eq!(verify_inclusion(&root, 5, 5, &[], &root), Err(outside.into()));
    let shrunk = PlaceError::Shrunk { old_size: 6, new_size: 5 };
    assert_eq!(verify_consistency(6, 5, &[], &root, &root), Err(shrunk.into()));
    assert_eq!(
        verify_inclusion(&root, 0, 1, &[root], &root),
        Err(ProofError::Length { got: 1, expected: 0 })
    );
    assert_eq!(
        build_inclusion(&mut LeafHashes(&[root]), 0, 2),
        Err(BuildError::Unreadable { level: 0, index: 1 })
    );
}

#[test]
fn the_largest_places_need_no_more_than_the_stated_number_of_hashes() {
    for index in [0, 1, u64::MAX / 2, u64::MAX - 1] {
        assert!(inclusion_ranges(index, u64::MAX).unwrap().len() <= MAX_PROOF_HASHES);
    }
    for old in [1, 2, 3, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX] {
        assert!(consistency_ranges(old, u64::MAX).unwrap().len() <= MAX_PROOF_HASHES);
    }
}

fn flip(hash: &mut Hash, bit: usize) {
    hash.0[(bit / 8) % 32] ^= 1 << (bit % 8);
}

proptest! {
    #[test]
    fn an_inclusion_proof_verifies_and_any_flipped_bit_breaks_it(
        (size, index) in (1_u64..700).prop_flat_map(|size| (Just(size), 0..size)),
        which in any::<prop::sample::Index>(),
        bit in 0_usize..256,
    ) {
        let leaves = numbered_leaves(size);
        let (mut leaf, mut root) = (leaves[usize::try_from(index).unwrap()], naive_root(&leaves));
        let mut proof = build_inclusion(&mut LeafHashes(&leaves), index, size).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        prop_assert!(verify_inclusion(&leaf, index ^ 1, size, &proof, &root).is_err() || size == 1);

        let which = which.index(proof.len() + 2);
        let target = proof.iter_mut().chain([&mut leaf, &mut root]).nth(which).unwrap();
        flip(target, bit);
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Err(ProofError::RootMismatch));
    }

    #[test]
    fn a_consistency_proof_verifies_and_any_flipped_bit_breaks_it(
        (new_size, old_size) in (1_u64..700).prop_flat_map(|new| (Just(new), 1..=new)),
        which in any::<prop::sample::Index>(),
        bit in 0_usize..256,
    ) {
        let leaves = numbered_leaves(new_size);
        let mut old_root = naive_root(&leaves[..usize::try_from(old_size).unwrap()]);
        let mut new_root = naive_root(&leaves);
        let mut proof = build_consistency(&mut LeafHashes(&leaves), old_size, new_size).unwrap();
        prop_assert_eq!(verify_consistency(old_size, new_size, &proof, &old_root, &new_root), Ok(()));

        let which = which.index(proof.len() + 2);
        let target = proof.iter_mut().chain([&mut old_root, &mut new_root]).nth(which).unwrap();
        flip(target, bit);
        prop_assert!(verify_consistency(old_size, new_size, &proof, &old_root, &new_root).is_err());
    }

    #[test]
    fn a_proof_of_another_length_is_refused_before_hashing(
        (size, index) in (1_u64..u64::MAX).prop_flat_map(|size| (Just(size), 0..size)),
        extra in 1_usize..4,
    ) {
        let expected = inclusion_ranges(index, size).unwrap().len();
        for got in [expected + extra, expected.saturating_sub(extra)] {
            if got != expected {
                let proof = vec![Hash::ZERO; got];
                prop_assert_eq!(
                    verify_inclusion(&Hash::ZERO, index, size, &proof, &Hash::ZERO),
                    Err(ProofError::Length { got, expected })
                );
            }
        }
    }
}
