//! The Merkle tree of RFC 6962 §2.1: hashing, and the compact frontier of a growing tree.
//!
//! A leaf and an inner node are hashed with different first bytes, so neither can be passed off as the other.
//! A [`Frontier`] always holds exactly one hash for each set bit of its size, the largest subtree first.

use crate::ids::Hash;
use minicbor::decode::Error as DecodeError;
use minicbor::{Decode, Decoder, Encode, Encoder};

/// First byte of a hashed leaf.
const LEAF: u8 = 0;
/// First byte of a hashed inner node.
const NODE: u8 = 1;

/// The hash of an entry as a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash::of("", &[&[LEAF], entry])
}

/// The hash of two adjacent subtrees: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of("", &[&[NODE], left.as_bytes(), right.as_bytes()])
}

/// The root of a tree without leaves: SHA-256 of the empty string.
pub fn empty_root() -> Hash {
    Hash::of("", &[])
}

/// The root over consecutive subtree hashes of one height; the last may stand for an incomplete subtree.
pub fn root_of(hashes: impl IntoIterator<Item = Hash>) -> Hash {
    let mut frontier = Frontier::default();
    hashes.into_iter().for_each(|hash| frontier.push(hash));
    frontier.root()
}

/// A size and a list of hashes that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has a frontier of {expected} hashes, got {got}")]
pub struct FrontierError {
    size: u64,
    expected: u32,
    got: usize,
}

/// All that is needed of a tree to append to it: the roots of its complete subtrees, from the left.
///
/// In CBOR: `[size: u64, [* bstr32]]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// From a size and the roots of its complete subtrees, largest first.
    ///
    /// # Errors
    /// When there is not one hash for each set bit of `size`.
    pub fn from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if u32::try_from(peaks.len()) != Ok(expected) {
            return Err(FrontierError { size, expected, got: peaks.len() });
        }
        Ok(Self { size, peaks })
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("there is one peak for each set bit of the size");
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.size = self.size.checked_add(1).expect("nobody can append 2^64 leaves");
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> Hash {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(empty_root)
    }
}

impl<C> Encode<C> for Frontier {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(2)?.u64(self.size)?.array(u64::from(self.size.count_ones()))?;
        self.peaks.iter().try_for_each(|peak| peak.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Frontier {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        let at = d.position();
        if d.array()? != Some(2) {
            return Err(DecodeError::message("a frontier is an array of two").at(at));
        }
        let size = d.u64()?;
        let at = d.position();
        if d.array()? != Some(u64::from(size.count_ones())) {
            return Err(DecodeError::message("a frontier has one hash for each set bit of its size").at(at));
        }
        let peaks = (0..size.count_ones()).map(|_| Hash::decode(d, ctx)).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::encoding::{decode_canonical, encode};

    /// The leaves of the reference tree that the RFC 6962 implementations share.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    /// Its roots at the sizes 0 to 8.
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    pub(crate) fn reference_leaves() -> Vec<Hash> {
        let leaf = |text: &&str| leaf_hash(&data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap());
        LEAVES.iter().map(leaf).collect()
    }

    pub(crate) fn reference_root(size: usize) -> Hash {
        ROOTS[size].parse().unwrap()
    }

    /// Different leaf hashes, the same in every test.
    pub(crate) fn numbered_leaves(size: u64) -> Vec<Hash> {
        (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// MTH as RFC 6962 §2.1 writes it.
    pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&naive_root(&leaves[..k]), &naive_root(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_reference_tree_has_the_published_roots() {
        let leaves = reference_leaves();
        let mut frontier = Frontier::default();
        for size in 0..=leaves.len() {
            assert_eq!(frontier.root(), reference_root(size), "size {size}");
            if let Some(leaf) = leaves.get(size) {
                frontier.push(*leaf);
            }
        }
    }

    #[test]
    fn the_frontier_agrees_with_the_naive_root_at_every_size_up_to_600() {
        let leaves = numbered_leaves(600);
        let mut frontier = Frontier::default();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
            frontier.push(*leaf);
        }
        assert_eq!(frontier.root(), root_of(leaves));
    }

    #[test]
    fn a_stored_frontier_goes_on_where_it_stopped() {
        let leaves = numbered_leaves(100);
        for size in 0..leaves.len() {
            let mut frontier = Frontier::default();
            leaves[..size].iter().for_each(|leaf| frontier.push(*leaf));
            let mut again: Frontier = decode_canonical(&encode(&frontier), 4096).unwrap();
            assert_eq!(again, frontier);
            leaves[size..].iter().for_each(|leaf| again.push(*leaf));
            assert_eq!(again.root(), naive_root(&leaves));
        }
    }

    #[test]
    fn a_frontier_with_a_wrong_number_of_hashes_is_refused() {
        assert!(Frontier::from_parts(3, vec![Hash::ZERO]).is_err());
        assert!(Frontier::from_parts(3, vec![Hash::ZERO; 2]).is_ok());
        let mut bytes = encode(&Frontier::from_parts(3, vec![Hash::ZERO; 2]).unwrap());
        bytes[1] = 1;
        assert!(decode_canonical::<Frontier>(&bytes, 4096).is_err());
        bytes[1] = 7;
        assert!(decode_canonical::<Frontier>(&bytes, 4096).is_err());
    }
}
