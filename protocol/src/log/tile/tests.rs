//! Paths, the tile set of a size, and trees built into tiles and read back.

use super::*;
use crate::ids::Hash;
use crate::log::proof::{
    BuildError, LeafHashes, build_consistency, build_inclusion, tree_root, verify_consistency,
    verify_inclusion,
};
use crate::log::tree::tests::{naive_root, numbered_leaves};
use crate::log::tree::{Frontier, root_of};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Files = BTreeMap<TilePath, Vec<u8>>;

fn path(kind: TileKind, index: u64, width: u16) -> TilePath {
    TilePath::new(kind, index, width).unwrap()
}

/// Writes tiles like a node: at each of these sizes, all that changed, over what was there.
fn build(leaves: &[Hash], checkpoints: &[usize]) -> (TileBuilder, Files) {
    let (mut builder, mut files, mut old) = (TileBuilder::new(), Files::new(), 0);
    for &size in checkpoints {
        leaves[old..size].iter().for_each(|leaf| builder.push(*leaf));
        let tiles = builder.take_changed();
        let written: BTreeSet<_> = tiles.iter().map(|tile| tile.path).collect();
        assert_eq!(written.len(), tiles.len());
        assert_eq!(written, tiles_for(old as u64, size as u64).collect(), "{old} to {size}");
        files.extend(tiles.into_iter().map(|tile| (tile.path, tile.content)));
        old = size;
    }
    (builder, files)
}

#[test]
fn the_published_paths_are_written_and_read() {
    let cases = [
        (path(TileKind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067"),
        (path(TileKind::Hashes(0), 1_234_067, 8), "tile/0/x001/x234/067.p/8"),
        (path(TileKind::Hashes(3), 0, 255), "tile/3/000.p/255"),
        (path(TileKind::Entries, 999, 256), "tile/entries/999"),
        (path(TileKind::Entries, 1000, 1), "tile/entries/x001/000.p/1"),
        (path(TileKind::Entries, (1 << 56) - 1, 1), "tile/entries/x072/x057/x594/x037/x927/935.p/1"),
    ];
    for (path, text) in cases {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    let texts = [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile//000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/x001000",
        "tile/0/xx01/000",
        "tile/0/-01",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/Entries/000",
        "tile/entries/00\u{663}",
        "checkpoint",
        "tile/0/../000",
        "tile/0/x001//000",
        "tile/256/000",
        "tile/0/000.p/65536",
    ];
    for text in texts {
        assert_eq!(text.parse::<TilePath>(), Err(TilePathError::Text), "{text:?}");
    }
    assert_eq!("tile/8/000".parse::<TilePath>(), Err(TilePathError::Level { level: 8 }));
    assert_eq!("tile/7/001".parse::<TilePath>(), Err(TilePathError::Index { index: 1 }));
    assert_eq!("tile/0/000.p/0".parse::<TilePath>(), Err(TilePathError::Width { width: 0 }));
    assert!("x001/".repeat(1000).parse::<TilePath>().is_err());
}

#[test]
fn the_published_tile_set_of_70_000_entries_is_complete() {
    let tiles: BTreeSet<_> = all_tiles(70_000).collect();
    let hashes = |level| tiles.iter().filter(move |t| t.kind() == TileKind::Hashes(level));
    assert_eq!(hashes(0).filter(|t| !t.is_partial()).count(), 273);
    for partial in [
        path(TileKind::Hashes(0), 273, 112),
        path(TileKind::Hashes(1), 0, 256),
        path(TileKind::Hashes(1), 1, 17),
        path(TileKind::Hashes(2), 0, 1),
        path(TileKind::Entries, 273, 112),
    ] {
        assert!(tiles.contains(&partial), "{partial}");
    }
    assert_eq!(tiles.len(), 274 + 2 + 1 + 274);
}

#[test]
fn a_tree_of_256_has_a_full_tile_and_one_hash_above_it() {
    let tiles: Vec<_> = tiles_for(0, 256).map(|tile| tile.to_string()).collect();
    assert_eq!(tiles, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(all_tiles(0).count(), 0);
    assert_eq!(tiles_for(5, 5).count() + tiles_for(5, 4).count(), 0);
    assert_eq!(tiles_for(u64::MAX - 1, u64::MAX).map(|t| t.to_string()).collect::<Vec<_>>().len(), 1);
}

#[test]
fn tiles_give_the_same_root_and_proofs_as_the_leaves() {
    const SIZE: u64 = 66_000;
    let leaves = numbered_leaves(SIZE);
    let (builder, files) = build(&leaves, &[1, 255, 256, 257, 600, 65_535, 65_536, 65_537, 66_000]);
    let root = root_of(leaves.iter().copied());
    assert_eq!(builder.root(), root);

    let mut loads = 0;
    let mut reader = TileReader::new(SIZE, |path: &TilePath| {
        loads += 1;
        files.get(path).cloned()
    });
    assert_eq!(tree_root(&mut reader, SIZE), Ok(root));
    for index in [0, 1, 255, 256, 65_535, 65_536, SIZE - 1] {
        let proof = build_inclusion(&mut reader, index, SIZE).unwrap();
        assert_eq!(verify_inclusion(&leaves[index as usize], index, SIZE, &proof, &root), Ok(()));
    }
    for old in [1, 256, 300, 65_536, 65_999, SIZE] {
        let proof = build_consistency(&mut reader, old, SIZE).unwrap();
        let old_root = root_of(leaves[..old as usize].iter().copied());
        assert_eq!(verify_consistency(old, SIZE, &proof, &old_root, &root), Ok(()));
    }
    assert!(loads < 60, "{loads} tiles loaded for 14 proofs");
}

#[test]
fn a_missing_or_short_tile_is_named() {
    let leaves = numbered_leaves(300);
    let (_, mut files) = build(&leaves, &[300]);
    let partial = path(TileKind::Hashes(0), 1, 44);
    files.get_mut(&partial).unwrap().pop();
    let mut reader = TileReader::new(300, |path: &TilePath| files.get(path).cloned());
    let error = BuildError::Unreadable { level: 0, index: 298 };
    assert_eq!(build_inclusion(&mut reader, 299, 300), Err(error));
    assert_eq!(reader.failed(), Some(TileError::Length { path: partial, got: 1407, expected: 1408 }));
    let error = TileBuilder::resume(300, |path| files.get(path).cloned()).unwrap_err();
    assert_eq!(error, TileError::Length { path: partial, got: 1407, expected: 1408 });
    files.clear();
    let error = TileBuilder::resume(300, |path| files.get(path).cloned()).unwrap_err();
    assert_eq!(error, TileError::Missing { path: partial });
}

#[test]
fn a_bundle_of_entries_is_no_tile_of_hashes() {
    let path = path(TileKind::Entries, 0, 1);
    assert_eq!(decode_hashes(path, &[0; 32]), Err(TileError::NotHashes { path }));
}

#[test]
fn resuming_at_any_size_gives_the_tiles_of_never_having_stopped() {
    let leaves = numbered_leaves(700);
    for size in [0, 1, 100, 255, 256, 257, 511, 512, 513, 699] {
        let (mut straight, files) = build(&leaves, if size == 0 { &[] } else { std::slice::from_ref(&size) });
        let mut resumed = TileBuilder::resume(size as u64, |path| files.get(path).cloned()).unwrap();
        assert_eq!(resumed.root(), naive_root(&leaves[..size]), "size {size}");
        assert_eq!(resumed.take_changed(), []);
        for leaf in &leaves[size..] {
            straight.push(*leaf);
            resumed.push(*leaf);
        }
        assert_eq!(resumed.take_changed(), straight.take_changed(), "size {size}");
        assert_eq!(resumed.root(), naive_root(&leaves));
    }
}

proptest! {
    #[test]
    fn a_path_reads_back_as_itself(kind in 0_u8..9, index in any::<u64>(), shift in 0_u32..64, width in 1_u16..=256) {
        let kind = if kind == LEVELS { TileKind::Entries } else { TileKind::Hashes(kind) };
        if let Ok(path) = TilePath::new(kind, index >> shift, width) {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn tiles_written_at_any_checkpoints_read_back_as_the_tree(
        sizes in prop::collection::btree_set(1_usize..1500, 1..6),
        place in any::<prop::sample::Index>(),
    ) {
        let sizes: Vec<_> = sizes.into_iter().collect();
        let n = *sizes.last().unwrap();
        let size = n as u64;
        let leaves = numbered_leaves(size);
        let (builder, files) = build(&leaves, &sizes);
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(builder.root(), frontier.root());

        let mut set: Files = files.clone();
        let wanted: BTreeSet<_> = tiles_for(0, size).collect();
        set.retain(|path, _| wanted.contains(path));
        prop_assert_eq!(set.keys().copied().collect::<BTreeSet<_>>(), wanted);

        let mut tiles = TileReader::new(size, |path: &TilePath| set.get(path).cloned());
        let mut direct = LeafHashes(&leaves);
        prop_assert_eq!(tree_root(&mut tiles, size), Ok(frontier.root()));
        let index = place.index(n) as u64;
        prop_assert_eq!(build_inclusion(&mut tiles, index, size), build_inclusion(&mut direct, index, size));
        let old = index + 1;
        prop_assert_eq!(build_consistency(&mut tiles, old, size), build_consistency(&mut direct, old, size));
    }
}
