//! Rules about the source tree itself: who may depend on whom, under which licences, what stands where.
//!
//! They read the tree that is being tested, and cargo's own account of it. A failure names the file, line or package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use weft_tests::require::{Tool, need};
use weft_tests::{cargo, source_root};

mod licence;

/// Longest Rust file. Above it nobody reads a file from top to bottom any more.
const MAX_RUST_LINES: usize = 700;

/// All that may stand at the top, besides names with a leading dot and cargo's `target`.
const TOP_LEVEL: [&str; 11] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "cli",
    "deploy",
    "node",
    "protocol",
    "specs",
];

/// The last folder of [`TOP_LEVEL`]: it holds this file.
const TESTS: &str = "tests";

/// What the pure rules may not reach: the network, an event loop, a store.
const NOT_IN_PROTOCOL: [&str; 5] = ["tokio", "libp2p", "mio", "redb", "rusqlite"];

/// What the command line and the auditor may not reach: they trust no node and speak to no peer.
const NOT_IN_CLI: [&str; 2] = ["libp2p", "weft-node"];

fn ask_cargo(arguments: &[&str]) -> String {
    let out = cargo().args(arguments).output().expect("cargo starts");
    assert!(out.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("cargo prints UTF-8")
}

/// Cargo's account of all packages: of every platform when their sources are there, else of this platform.
fn packages() -> Vec<Value> {
    let mut arguments = vec!["metadata", "--locked", "--offline", "--format-version", "1"];
    let host;
    if need(Tool::Sources).is_none() {
        let version = ask_cargo(&["version", "--verbose"]);
        host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .expect("cargo names its host")
            .to_owned();
        arguments.extend(["--filter-platform", &host]);
    }
    let mut account: Value = serde_json::from_str(&ask_cargo(&arguments)).expect("cargo prints JSON");
    let packages = account["packages"].as_array_mut().map(std::mem::take).expect("a list of packages");
    assert!(
        packages.len() > 100,
        "only {} packages: the account is not that of this workspace",
        packages.len()
    );
    packages
}

/// Names of all packages that a package of ours links, itself included.
fn linked(package: &str) -> BTreeSet<String> {
    let tree =
        ask_cargo(&["tree", "-p", package, "-e", "normal", "--offline", "--locked", "--prefix", "none"]);
    let names: BTreeSet<String> =
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package), "no tree for {package}: {tree}");
    names
}

fn refuse(package: &str, banned: &[&str]) {
    let names = linked(package);
    let found: Vec<_> = names
        .iter()
        .filter(|name| banned.iter().any(|ban| *name == ban || name.starts_with(&format!("{ban}-"))))
        .collect();
    assert!(found.is_empty(), "{package} must not link {found:?}");
}

/// Files of the tree that are or could be committed, relative to the root; without git, all but build results.
fn files() -> Vec<PathBuf> {
    let root = source_root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .ok()
        .filter(|out| out.status.success() && root.join(".git").exists());
    let mut found: Vec<PathBuf> = match listed {
        Some(out) => out
            .stdout
            .split(|&byte| byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()))
            .filter(|path| root.join(path).is_file())
            .collect(),
        None => {
            let mut all = Vec::new();
            walk(&root, &root, &mut all);
            all
        }
    };
    found.sort();
    assert!(found.len() > 20, "only {} files found below {}", found.len(), root.display());
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let below = path.strip_prefix(root).expect("below the root").to_path_buf();
        if path.is_dir() && below != Path::new("target") && below != Path::new(".git") {
            walk(root, &path, found);
        } else if path.is_file() {
            found.push(below);
        }
    }
}

/// The text of a file, or `None` when it is not text.
fn text(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(source_root().join(path)).expect("a readable file")).ok()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn the_rules_link_no_network_no_event_loop_and_no_store() {
    refuse("weft-protocol", &NOT_IN_PROTOCOL);
}

#[test]
fn the_command_line_and_the_auditor_link_neither_libp2p_nor_the_node() {
    refuse("weft-cli", &NOT_IN_CLI);
    refuse("weft-audit", &NOT_IN_CLI);
}

#[test]
fn every_package_has_a_licence_that_we_accept() {
    let packages = packages();
    let offenders: Vec<String> = packages
        .iter()
        .filter_map(|package| {
            let problem = match package["license"].as_str() {
                Some(expression) => licence::judge(expression).err()?,
                None => "it names no licence".to_owned(),
            };
            Some(format!("{} {}: {problem}", package["name"], package["version"]))
        })
        .collect();
    assert!(offenders.is_empty(), "licences to look at:\n{}", offenders.join("\n"));
}

#[test]
fn every_package_comes_from_the_registry_or_from_this_tree() {
    let offenders: Vec<String> = packages()
        .iter()
        .filter(|package| match package["source"].as_str() {
            Some(source) => !source.starts_with("registry+"),
            None => !package["manifest_path"]
                .as_str()
                .is_some_and(|path| Path::new(path).starts_with(source_root())),
        })
        .map(|package| format!("{} from {}", package["name"], package["source"]))
        .collect();
    assert!(offenders.is_empty(), "{offenders:?}");
}

#[test]
fn the_top_level_holds_what_was_agreed_and_nothing_else() {
    let found: BTreeSet<String> = files()
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let agreed: BTreeSet<String> = TOP_LEVEL.iter().chain([&TESTS]).map(|&name| name.to_owned()).collect();
    assert_eq!(found, agreed);
}

#[test]
fn no_rust_file_is_too_long_to_read() {
    let offenders: Vec<String> = files()
        .iter()
        .filter(|path| is_rust(path))
        .filter_map(|path| {
            let lines = text(path).expect("Rust is text").lines().count();
            (lines > MAX_RUST_LINES).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(offenders.is_empty(), "more than {MAX_RUST_LINES} lines:\n{}", offenders.join("\n"));
}

#[test]
fn the_rules_count_in_whole_numbers_only() {
    let offenders: Vec<String> = files()
        .iter()
        .filter(|path| path.starts_with("protocol/src") && is_rust(path))
        .flat_map(|path| {
            let source = text(path).expect("Rust is text");
            let lines = source.lines().enumerate().filter(|(_, line)| names_a_float(line));
            lines
                .map(|(i, line)| format!("{}:{}: {}", path.display(), i + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(offenders.is_empty(), "floating point in the rules:\n{}", offenders.join("\n"));
}

/// Whether the code of a line, its comment aside, names a floating-point type, also as the suffix of a number (`1f64`, `2_f32`).
fn names_a_float(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| {
        ["f32", "f64"].iter().any(|float| {
            word.strip_suffix(float).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '_'))
        })
    })
}

#[test]
fn a_float_is_noticed_as_a_type_and_as_a_suffix_but_not_in_a_comment_or_a_longer_name() {
    assert!(names_a_float("let rate: f64 = x;"));
    assert!(names_a_float("let x = 1f32;"));
    assert!(names_a_float("x as f64"));
    assert!(!names_a_float("let x = 1; // no f64 here"));
    assert!(!names_a_float("let half64 = buf32(0xaf64);"));
}

/// Ed25519 functions that do not follow the signature rule (specs/signatures.md §1), put together so that this file does not
/// call them. Batches that check without the cofactor disagree with their own single answers on many public vectors.
const NOT_THE_SIGNATURE_RULE: [&str; 4] = [
    concat!("verify_", "batch("),
    concat!("ed25519_dalek::verify_", "batch"),
    concat!("legacy_", "compatibility"),
    concat!(".verify_", "prehashed("),
];

#[test]
fn no_code_verifies_signatures_by_another_rule() {
    let mut offenders = Vec::new();
    for path in files().iter().filter(|path| is_rust(path) || path.ends_with("Cargo.toml")) {
        let source = text(path).expect("source is text");
        for (i, line) in source.lines().enumerate() {
            let found = NOT_THE_SIGNATURE_RULE.iter().find(|unwanted| line.contains(**unwanted));
            if let Some(found) = found {
                offenders.push(format!("{}:{}: {found}", path.display(), i + 1));
            }
        }
        // The one place where a signature is verified alone, the part where many are, and what measures it.
        let audits = ["protocol/src/audit", "cli/audit/benches"].iter().any(|part| path.starts_with(part));
        let rule =
            source.contains(concat!("verify_", "strict(")) || source.contains(concat!("batch::", "Verifier"));
        if rule && path != Path::new("protocol/src/keys.rs") && !audits {
            offenders.push(format!("{}: it verifies by itself", path.display()));
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
    let manifest = text(Path::new("Cargo.toml")).expect("a manifest is text");
    let dalek = manifest.lines().find(|line| line.starts_with("ed25519-dalek ")).expect("the table has it");
    assert!(!dalek.contains("\"batch\""), "{dalek}");
}

/// Texts that tie the tree to one machine, or that fetch from a registry behind the package manager's back.
/// Each is put together here so that this file does not hold it.
const NOT_IN_ANY_FILE: [&str; 9] = [
    concat!("/work", "/"),
    concat!("/root", "/"),
    concat!("/tmp/", "wt-"),
    concat!("crates", ".io/api"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("pypi", ".org"),
    concat!("files.python", "hosted"),
    concat!("registry.npm", "js"),
];

#[test]
fn no_file_names_a_machine_path_or_a_registry_host() {
    let mut offenders = Vec::new();
    for path in files().iter().filter(|path| *path != Path::new("Cargo.lock")) {
        let Some(source) = text(path) else { continue };
        for (i, line) in source.lines().enumerate() {
            if let Some(found) = NOT_IN_ANY_FILE.iter().find(|unwanted| line.contains(**unwanted)) {
                offenders.push(format!("{}:{}: {found}", path.display(), i + 1));
            }
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

#[test]
fn members_take_every_dependency_from_the_workspace_table() {
    let manifests: Vec<PathBuf> = files()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && path != Path::new("Cargo.toml"))
        // The engine of the fuzz targets is a workspace of its own, and part of no build.
        .filter(|path| path != Path::new("tests/fuzz/libfuzzer/Cargo.toml"))
        .collect();
    assert!(manifests.len() >= 7, "only {} manifests", manifests.len());
    let offenders: Vec<String> = manifests
        .iter()
        .flat_map(|path| {
            let manifest = text(path).expect("a manifest is text");
            let own: Vec<_> = own_dependencies(&manifest).into_iter().map(str::to_owned).collect();
            own.into_iter().map(|line| format!("{}: {line}", path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(offenders.is_empty(), "declare these in the workspace's Cargo.toml:\n{}", offenders.join("\n"));
}

/// Whether a line takes a dependency from the workspace; it may ask for more features of one of ours.
fn is_from_workspace(line: &str) -> bool {
    let whole = line.split_once('.').is_some_and(|(_, rest)| rest == "workspace = true");
    whole || (line.starts_with("weft-") && line.contains("= { workspace = true, features = ["))
}

/// Lines of a member's manifest that declare a dependency by themselves, not as `NAME.workspace = true`.
fn own_dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut own = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            // `[dependencies.NAME]` opens a table of its own.
            if line.contains("dependencies.") {
                own.push(line);
            }
        } else if inside && !is_from_workspace(line) {
            own.push(line);
        }
    }
    own
}

#[test]
fn a_dependency_of_a_members_own_is_noticed_in_every_form() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\na.workspace = true\nb = \"1\"\n\
                    c = { workspace = true, features = [\"d\"] }\n\
                    weft-c = { workspace = true, features = [\"d\"] }\n[dev-dependencies.e]\nversion = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\nf = { path = \"../f\" }\n[lints]\nworkspace = true\n";
    assert_eq!(
        own_dependencies(manifest),
        [
            "b = \"1\"",
            "c = { workspace = true, features = [\"d\"] }",
            "[dev-dependencies.e]",
            "f = { path = \"../f\" }",
        ]
    );
}
