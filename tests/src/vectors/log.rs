//! Roots, proofs, a checkpoint, tile paths, a bundle and a receipt.

use super::kit::{hex, key};
use data_encoding::BASE64;
use serde_json::{Value, json};
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::log::proof::{LeafHashes, build_consistency, build_inclusion};
use weft_protocol::log::receipt::Receipt;
use weft_protocol::log::tile::{TileKind, TilePath, all_tiles, encode_bundle};
use weft_protocol::log::tree::{leaf_hash, node_hash, root_of};

/// Leaf i is the hash of i as a u64, big-endian.
fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::to_string).collect()
}

fn root(size: u64) -> Hash {
    root_of(leaves(size))
}

pub(super) fn vectors() -> Value {
    let roots = [0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 1_000]
        .map(|size| json!({ "size": size, "root": root(size).to_string() }));
    let inclusion = [(0, 1), (0, 2), (1, 3), (2, 3), (4, 7), (6, 7), (5, 8), (256, 257), (299, 300)].map(
        |(index, size)| {
            let all = leaves(size);
            let proof = build_inclusion(&mut LeafHashes(&all), index, size).expect("a place in the tree");
            json!({ "index": index, "size": size, "proof": texts(&proof), "root": root(size).to_string() })
        },
    );
    let consistency = [(1, 1), (1, 2), (2, 3), (3, 7), (4, 7), (6, 8), (8, 8), (255, 257), (256, 300)].map(|(old, new)| {
        let all = leaves(new);
        let proof = build_consistency(&mut LeafHashes(&all), old, new).expect("an older tree");
        json!({ "old": old, "new": new, "proof": texts(&proof), "old_root": root(old).to_string(), "new_root": root(new).to_string() })
    });
    json!({
        "about": "specs/log.md. Leaf i is the leaf hash of i as u64 BE",
        "leaf": { "entry": hex(b"entry"), "hash": leaf_hash(b"entry").to_string() },
        "node": { "left": "00".repeat(32), "right": "11".repeat(32), "hash": node_hash(&Hash([0; 32]), &Hash([0x11; 32])).to_string() },
        "roots": roots.to_vec(),
        "inclusion": inclusion.to_vec(),
        "invalid_inclusion": invalid_inclusion(),
        "consistency": consistency.to_vec(),
        "invalid_consistency": invalid_consistency(),
        "checkpoint": checkpoint(),
        "tiles": tiles(),
        "bundle": {
            "entries": [hex(b"abc"), "", hex(b"de")],
            "hex": hex(encode_bundle(&[b"abc", b"", b"de"]).expect("three short entries")),
            "invalid": [
                { "why": "trailing", "count": 2, "hex": hex(b"\0\x01a\0\x01b\0") },
                { "why": "truncated", "count": 2, "hex": hex(b"\0\x01a\0\x02b") },
            ],
        },
        "receipt": receipt(),
    })
}

fn invalid_inclusion() -> Value {
    let all = leaves(7);
    let proof = build_inclusion(&mut LeafHashes(&all), 4, 7).expect("a place in the tree");
    let short = &proof[1..];
    let mut swapped = proof.clone();
    swapped.swap(0, 1);
    let right = root(7).to_string();
    json!([
        { "why": "root", "index": 4, "size": 7, "proof": texts(&proof), "root": root(8).to_string() },
        { "why": "root", "index": 5, "size": 7, "proof": texts(&proof), "root": right },
        { "why": "root", "index": 4, "size": 7, "proof": texts(&swapped), "root": right },
        { "why": "length", "index": 4, "size": 7, "proof": texts(short), "root": right },
        { "why": "index", "index": 7, "size": 7, "proof": texts(&proof), "root": right },
        { "why": "empty", "index": 0, "size": 0, "proof": [], "root": root(0).to_string() },
    ])
}

fn invalid_consistency() -> Value {
    let all = leaves(7);
    let proof = build_consistency(&mut LeafHashes(&all), 3, 7).expect("an older tree");
    let (old, new) = (root(3).to_string(), root(7).to_string());
    json!([
        { "why": "old root", "old": 3, "new": 7, "proof": texts(&proof), "old_root": root(4).to_string(), "new_root": new },
        { "why": "root", "old": 3, "new": 7, "proof": texts(&proof), "old_root": old, "new_root": root(8).to_string() },
        { "why": "length", "old": 3, "new": 7, "proof": texts(&proof[1..]), "old_root": old, "new_root": new },
        { "why": "shrunk", "old": 7, "new": 3, "proof": [], "old_root": new, "new_root": old },
        { "why": "empty", "old": 0, "new": 7, "proof": [], "old_root": root(0).to_string(), "new_root": new },
    ])
}

/// The same signature as two padded texts, one after the other: some decoders take that.
fn padding_inside(note: &str) -> String {
    let (rest, payload) = note.trim_end().rsplit_once(' ').expect("a signature line");
    let payload = BASE64.decode(payload.as_bytes()).expect("its payload");
    let (first, last) = payload.split_at(1);
    format!("{rest} {}{}\n", BASE64.encode(first), BASE64.encode(last))
}

fn checkpoint() -> Value {
    let ledger = LedgerId([0xaa; 32]);
    let (origin, log) = (ledger.origin(), key(10));
    let note = Checkpoint::new(&origin, 7, root(7)).expect("a checkpoint").sign(&log).to_string();
    let verifier = Checkpoint::log_key(&origin, &log.public()).expect("a key name").to_string();
    let cases = [
        ("another root under the signature", note.replace(&data(root(7)), &data(root(8)))),
        ("another size under the signature", note.replace("\n7\n", "\n8\n")),
        ("a size with a leading zero", note.replace("\n7\n", "\n07\n")),
        ("no empty line", note.replace("\n\n", "\n")),
        ("no last newline", note.trim_end().to_owned()),
        ("another name in the signature line", note.replace("— weft/", "— left/")),
        ("a carriage return", note.replace("\n7\n", "\r\n7\n")),
    ];
    let invalid = cases.map(|(about, text)| {
        assert!(Checkpoint::open(text.as_bytes(), &origin, &log.public()).is_err(), "{about}");
        json!({ "about": about, "note": text, "why": "refused" })
    });
    let extended = {
        let text = format!("{origin}\n7\n{}\nextension\n", data(root(7)));
        let name = weft_protocol::log::note::KeyName::new(&origin).expect("a key name");
        Note::sign(&text, &name, &log).expect("a note").to_string()
    };
    assert!(Checkpoint::open(extended.as_bytes(), &origin, &log.public()).is_err(), "an extension line");
    let padded = padding_inside(&note);
    assert!(Checkpoint::open(padded.as_bytes(), &origin, &log.public()).is_err(), "padding inside");
    let mut invalid = invalid.to_vec();
    invalid.push(json!({ "about": "base64 with padding inside", "note": padded, "why": "refused" }));
    invalid.push(json!({ "about": "an extension line", "note": extended, "why": "refused" }));
    json!({
        "ledger": ledger.to_string(), "origin": origin, "public": log.public().bytes().to_string(),
        "verifier_key": verifier, "size": 7, "root": root(7).to_string(), "note": note,
        "invalid": invalid,
    })
}

fn data(hash: Hash) -> String {
    let text = Checkpoint::new("a", 1, hash).expect("a checkpoint").to_string();
    text.lines().nth(2).unwrap_or_default().to_owned()
}

fn tiles() -> Value {
    let paths = [
        (TileKind::Hashes(0), 0, 256),
        (TileKind::Hashes(0), 7, 1),
        (TileKind::Hashes(1), 999, 255),
        (TileKind::Hashes(2), 1_000, 256),
        (TileKind::Entries, 1_234_067, 256),
        (TileKind::Entries, 1_234_067, 8),
    ];
    let paths = paths.map(|(kind, index, width)| {
        let path = TilePath::new(kind, index, width).expect("a tile").to_string();
        let level = match kind {
            TileKind::Hashes(level) => json!(level),
            TileKind::Entries => json!("entries"),
        };
        json!({ "level": level, "index": index, "width": width, "path": path })
    });
    let bad = [
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x001/067.p/256",
        "tile/0/x000/001",
        "tile/8/000",
        "tile/00/000",
        "tile/0/000.p/0",
        "tile/0/001/000",
        "tile/entries/x01/000",
        "tile/0/000/",
    ];
    for text in bad {
        assert!(text.parse::<TilePath>().is_err(), "{text}");
    }
    let of_sizes = [1_u64, 255, 256, 257, 70_000].map(|size| {
        let paths: Vec<String> = all_tiles(size).map(|path| path.to_string()).collect();
        json!({ "size": size, "count": paths.len(), "last": paths.last(), "partial": paths.iter().filter(|p| p.contains(".p/")).collect::<Vec<_>>() })
    });
    json!({ "paths": paths.to_vec(), "no_paths": bad, "of_sizes": of_sizes.to_vec() })
}

fn receipt() -> Value {
    let ledger = LedgerId([0xaa; 32]);
    let all = leaves(7);
    let proof = build_inclusion(&mut LeafHashes(&all), 4, 7).expect("a place in the tree");
    let note = Checkpoint::new(&ledger.origin(), 7, root(7)).expect("a checkpoint").sign(&key(10));
    let text = Receipt { extra: b"salt".to_vec(), index: 4, proof, note }.to_string();
    json!({ "leaf": all[4].to_string(), "origin": ledger.origin(), "public": key(10).public().bytes().to_string(), "text": text })
}
