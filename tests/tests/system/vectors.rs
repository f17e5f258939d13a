//! The committed vectors are what the code makes, byte for byte.

use std::fs;
use weft_tests::source_root;
use weft_tests::vectors::{all, render};

/// Writes the files instead of comparing them.
const WRITE: &str = "WEFT_WRITE_VECTORS";

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    let folder = source_root().join("specs/vectors");
    let write = std::env::var_os(WRITE).is_some_and(|value| value == "1");
    for (name, value) in all() {
        let path = folder.join(name);
        let text = render(&value);
        if write {
            fs::write(&path, text).expect("a writable folder of vectors");
            continue;
        }
        let committed = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let differs = committed.lines().zip(text.lines()).position(|(a, b)| a != b);
        assert!(
            committed == text,
            "{name} differs from line {:?} on; {WRITE}=1 writes it",
            differs.map(|i| i + 1)
        );
    }
}

#[test]
fn every_file_of_vectors_is_made_by_the_code() {
    let made: Vec<&str> = all().iter().map(|(name, _)| *name).collect();
    for entry in fs::read_dir(source_root().join("specs/vectors")).expect("the folder of vectors") {
        let name = entry.expect("a readable entry").file_name().to_string_lossy().into_owned();
        assert!(name == "README.md" || made.contains(&name.as_str()), "nothing makes {name}");
    }
}
