//! A bundle that our auditor writes is verified by programs that are not ours, and by one that shares no code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use weft_audit::{VerifyOptions, verify_dir, write_bundle};
use weft_tests::kit::{Books, Outcome, Site};
use weft_tests::require::{GO_PACKAGES, Tool, need, second_verifier};
use weft_tests::source_root;

/// Payments: enough entries for a full tile and a partial one.
const PAYMENTS: u64 = 300;

/// A bundle of a real ledger, its entries, and the key that signs its checkpoints as a C2SP verifier key.
struct Bundle {
    folder: PathBuf,
    entries: u64,
    vkey: String,
    books: Books,
}

async fn bundle(at: &Path) -> Outcome<Bundle> {
    let mut hull = Site::found(at, "hull", &[]).await?;
    let mut lansing = Site::found(at, "lansing", &[]).await?;
    hull.add_member("ann", None).await?;
    hull.add_member("ben", None).await?;
    lansing.add_member("dee", None).await?;
    hull.pair_with(&lansing, 100_000).await?;
    for n in 0..PAYMENTS {
        hull.pay("ann", if n % 50 == 0 { "dee@lansing" } else { "ben" }, 1, 20).await?;
    }
    hull.until_quiet(std::time::Duration::from_secs(30)).await?;
    let status = hull.status().await?;
    hull.stop().await?;
    lansing.stop().await?;
    let folder = at.join("bundle");
    let report = write_bundle(hull.data.path(), &folder)?;
    let origin = status.ledger.parse::<weft_protocol::ids::LedgerId>()?.origin();
    let vkey = vkey(&origin, &hull.data.keys()?.log.public().bytes());
    Ok(Bundle { folder, entries: report.entries, vkey, books: Books::read(hull.data.path())? })
}

/// The verifier key of a log (C2SP signed-note): `name+hash+base64(0x01 ‖ key)`.
fn vkey(name: &str, key: &weft_protocol::ids::KeyBytes) -> String {
    let typed = [&[1], key.as_bytes().as_slice()].concat();
    let hash = weft_protocol::ids::Hash::of("", &[name.as_bytes(), b"\n", &typed]).prefix::<4>();
    format!("{name}+{}+{}", data_encoding::HEXLOWER.encode(&hash), data_encoding::BASE64.encode(&typed))
}

fn say(out: &Output) -> String {
    [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_verified_by_us_and_by_others() {
    let temporary = tempfile::tempdir().expect("a folder");
    let bundle = bundle(temporary.path()).await.expect("a bundle");
    assert!(bundle.entries > PAYMENTS);
    let outcome =
        verify_dir(&bundle.folder, &VerifyOptions::default(), &mut |_| {}).expect("the folder is there");
    let report = weft_audit::report_text(outcome.report());
    assert_eq!((outcome.exit_code, outcome.report().entries), (0, bundle.entries), "{report}");
    by_tlog(&bundle, temporary.path());
    by_go(&bundle, temporary.path());
    by_specs(&bundle);
}

/// PyPI `aics-tlog`: the note, the root over all tiles, and that entries are in it.
fn by_tlog(bundle: &Bundle, temporary: &Path) {
    let Some(python) = need(Tool::Tlog) else { return };
    let tiles = bundle.folder.display().to_string();
    let tlog = |arguments: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "aics_tlog"]).args(arguments).args([
            "--tiles",
            &tiles,
            "--log-key",
            &bundle.vkey,
        ]);
        command.output().expect("Python starts")
    };
    let out = tlog(&["verify-checkpoint"]);
    assert!(out.status.success(), "{}", say(&out));
    let last = bundle.entries - 1;
    for index in [0, 1, 255, 256, bundle.entries / 2, last] {
        let leaf = temporary.join("leaf");
        let place = usize::try_from(index).expect("small");
        fs::write(&leaf, bundle.books.own[place].bytes()).expect("written");
        let (leaf, index) = (leaf.display().to_string(), index.to_string());
        let out = tlog(&["verify-inclusion", "--leaf", &leaf, "--index", &index]);
        assert!(out.status.success(), "entry {index}: {}", say(&out));
        let another = (place + 1) % bundle.books.own.len();
        fs::write(&leaf, bundle.books.own[another].bytes()).expect("written");
        let out = tlog(&["verify-inclusion", "--leaf", &leaf, "--index", &index]);
        assert!(!out.status.success(), "entry {another} passes for {index}: {}", say(&out));
    }
    let root = "import sys, aics_tlog as t; r = t.FileSystemTileReader(sys.argv[1]); \
                print(t.tree_root_from_tiles(r, int(sys.argv[2])).hex())";
    let size = bundle.entries.to_string();
    let out = Command::new(&python).args(["-c", root, &tiles, &size]).output().expect("Python starts");
    assert_eq!(say(&out).trim(), tree_of(bundle).root().to_string());
}

/// The Go project's `x/mod/sumdb`: the note, every tile, every entry, proofs of inclusion and of consistency.
fn by_go(bundle: &Bundle, temporary: &Path) {
    let Some(go) = need(Tool::Go) else { return };
    // Built with the sources that the system has, without modules and without the network.
    let program = temporary.join("reader");
    let mut build = Command::new(go);
    build.env("GO111MODULE", "off").env("GOPATH", GO_PACKAGES).env("GOFLAGS", "").env("GOPROXY", "off");
    build.env("GOCACHE", source_root().join("target/ci/go-cache"));
    build.arg("build").arg("-o").arg(&program).arg(source_root().join("tests/go/main.go"));
    let out = build.output().expect("Go starts");
    assert!(out.status.success(), "{}", say(&out));
    let read = |folder: &Path| {
        Command::new(&program).arg(folder).arg(&bundle.vkey).output().expect("the reader starts")
    };
    let out = read(&bundle.folder);
    assert!(out.status.success(), "{}", say(&out));
    let (size, root) = (bundle.entries, tree_of(bundle).root());
    let printed = data_encoding::BASE64.encode(root.as_bytes());
    assert_eq!(say(&out).trim(), format!("{size} {printed}"));
    for name in ["checkpoint", "tile/0/000", "tile/entries/001.p"] {
        let spoiled = temporary.join("spoiled");
        weft_tests::kit::copy_folder(&bundle.folder, &spoiled).expect("a copy");
        let mut file = spoiled.join(name);
        if file.is_dir() {
            let mut inside = fs::read_dir(&file).expect("a folder").map(|item| item.expect("a file").path());
            file = inside.next().expect("a partial tile");
        }
        let mut bytes = fs::read(&file).expect("a file of the bundle");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("written");
        assert!(!read(&spoiled).status.success(), "Go takes a changed {name}");
        fs::remove_dir_all(&spoiled).expect("removed");
    }
}

/// The tree over the entries of a bundle.
fn tree_of(bundle: &Bundle) -> weft_protocol::log::tile::TileBuilder {
    let mut tree = weft_protocol::log::tile::TileBuilder::new();
    for entry in &bundle.books.own[..usize::try_from(bundle.entries).expect("small")] {
        tree.push(entry.leaf());
    }
    tree
}

/// Our verifier in Python, which was written from the texts alone.
fn by_specs(bundle: &Bundle) {
    let Some(mut specs) = second_verifier() else { return };
    let out = specs.arg("bundle").arg(&bundle.folder).output().expect("Python starts");
    assert!(out.status.success(), "{}", say(&out));
}
