//! The Python program in `specs/verifier`, written from the texts alone, agrees with every vector and reads a bundle of ours.

use std::fs;
use std::path::Path;
use std::process::Output;
use weft_protocol::ids::Hash;
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::tile::{TileBuilder, bundles_for, encode_bundle};
use weft_tests::require::second_verifier;
use weft_tests::vectors::bundle_of;

fn verifier(arguments: &[&str]) -> Option<Output> {
    Some(second_verifier()?.args(arguments).output().expect("Python starts"))
}

fn last_line(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn the_verifier_written_from_the_texts_agrees_with_every_vector() {
    let Some(out) = verifier(&[]) else { return };
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    let line = last_line(&out);
    let passed: u64 = line.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default();
    assert!(passed > 1_000 && line.ends_with(" passed, 0 failed"), "{line}");
}

/// Writes an audit bundle of the ledger in `entries.json`.
fn write_bundle(folder: &Path) {
    let (origin, key, entries) = bundle_of();
    let mut builder = TileBuilder::new();
    let leaves: Vec<Hash> = entries.iter().map(|e| weft_protocol::log::tree::leaf_hash(e)).collect();
    leaves.iter().for_each(|leaf| builder.push(*leaf));
    let write = |path: String, content: &[u8]| {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().expect("a folder above")).expect("a writable folder");
        fs::write(file, content).expect("a writable folder");
    };
    for tile in builder.take_changed() {
        write(tile.path.to_string(), &tile.content);
    }
    for path in bundles_for(0, builder.size()) {
        let from = usize::try_from(path.first_element()).expect("a small ledger");
        let part: Vec<&[u8]> =
            entries[from..from + usize::from(path.width())].iter().map(Vec::as_slice).collect();
        write(path.to_string(), &encode_bundle(&part).expect("entries that fit"));
    }
    let note = Checkpoint::new(&origin, builder.size(), builder.root()).expect("a checkpoint").sign(&key);
    write("checkpoint".to_owned(), note.to_string().as_bytes());
}

#[test]
fn the_verifier_reads_a_bundle_and_finds_one_changed_byte_in_every_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_bundle(folder.path());
    let path = folder.path().to_str().expect("a path of text");
    let Some(out) = verifier(&["bundle", path]) else { return };
    assert!(
        out.status.success(),
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(last_line(&out), "22 entries: nothing wrong was found");
    for name in ["checkpoint", "tile/0/000.p/22", "tile/entries/000.p/22"] {
        let file = folder.path().join(name);
        let good = fs::read(&file).expect("a file of the bundle");
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).expect("a writable file");
            let out = verifier(&["bundle", path]).expect("Python was there");
            assert_eq!(
                out.status.code(),
                Some(1),
                "{name}, byte {at}: {}",
                String::from_utf8_lossy(&out.stderr)
            );
        }
        fs::write(&file, &good).expect("a writable file");
    }
}
