//! The programs under test: `weftd` and `weft`, built from the same sources as the test that runs them.
//!
//! `cargo test` builds no programs of other packages, so the first test of a process that asks has them built, with the profile
//! and into the target folder of the test itself. Cargo's own lock makes test processes that ask at the same time wait
//! for each other; when nothing changed the build ends at once.
//! What must hold: a test never runs a program left over from older sources.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::Value;

use crate::cargo;

/// Cargo writes these files into the root of a target folder and nowhere below it: the first one when it makes the folder
/// itself (a folder that was there before gets none), the second one whenever it has asked the compiler for its version.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// Paths of the built programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The node.
    pub weftd: PathBuf,
    /// The command line.
    pub weft: PathBuf,
}

/// The programs, built now if this process has not done so yet.
///
/// # Panics
/// When they do not build; what the compiler said stands on standard error.
pub fn binaries() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(build)
}

/// Path of the node `weftd`; see [`binaries`].
///
/// # Panics
/// When it does not build.
pub fn weftd() -> &'static Path {
    &binaries().weftd
}

/// Path of the command `weft`; see [`binaries`].
///
/// # Panics
/// When it does not build.
pub fn weft() -> &'static Path {
    &binaries().weft
}

/// Where cargo put the running test, read from its path.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// The target folder.
    target: PathBuf,
    /// The platform, when one was asked for by name.
    platform: Option<String>,
    /// The profile as `--profile` takes it.
    profile: String,
}

impl Layout {
    /// Reads `TARGET/[PLATFORM/]PROFILE/[deps/]TEST`. `is_target` says whether a folder is the root of a target folder.
    fn of(test: &Path, is_target: impl Fn(&Path) -> bool) -> Option<Self> {
        let holder = test.parent()?;
        let in_deps = holder.file_name() == Some(OsStr::new("deps"));
        let folder = if in_deps { holder.parent()? } else { holder };
        // The only profile whose folder has another name than itself.
        let profile = match folder.file_name()?.to_str()? {
            "debug" => "dev",
            name => name,
        };
        let above = folder.parent()?;
        let (target, platform) = if is_target(above) {
            (above, None)
        } else {
            (above.parent().filter(|root| is_target(root))?, Some(above.file_name()?.to_str()?.to_owned()))
        };
        Some(Self { target: target.to_path_buf(), platform, profile: profile.to_owned() })
    }
}

/// Whether cargo builds into `folder`.
fn is_target(folder: &Path) -> bool {
    TARGET_MARKS.iter().any(|mark| folder.join(mark).is_file())
}

fn build() -> Binaries {
    let test = env::current_exe().expect("the system tells a running program its path");
    let mut command = cargo();
    // The whole workspace, so that dependencies get the features that `cargo test --workspace` gave them: with single
    // packages some would be built a second time.
    command.args(["build", "--workspace", "--bins", "--locked", "--message-format=json-render-diagnostics"]);
    // Outside a target folder (a test run by hand from elsewhere) cargo's own choice is right.
    if let Some(layout) = Layout::of(&test, is_target) {
        command.arg("--profile").arg(&layout.profile).arg("--target-dir").arg(&layout.target);
        if let Some(platform) = &layout.platform {
            command.arg("--target").arg(platform);
        }
    }
    let out = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cargo cannot be started to build weftd and weft: {error}"));
    assert!(out.status.success(), "weftd and weft do not build: cargo ended with {}", out.status);
    let find = |name: &str| {
        executable(&out.stdout, name).unwrap_or_else(|| panic!("cargo built no program with the name {name}"))
    };
    Binaries { weftd: find("weftd"), weft: find("weft") }
}

/// The path of program `name` in what cargo reported, one JSON object a line.
fn executable(report: &[u8], name: &str) -> Option<PathBuf> {
    report
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find_map(|message| {
            let built = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
            message["executable"].as_str().filter(|_| built).map(PathBuf::from)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(test: &str) -> Option<Layout> {
        Layout::of(Path::new(test), |folder| folder == Path::new("/t"))
    }

    #[test]
    fn the_folder_debug_is_the_profile_dev() {
        let expected = Layout { target: "/t".into(), platform: None, profile: "dev".into() };
        assert_eq!(layout("/t/debug/deps/demo-1a2b"), Some(expected));
    }

    #[test]
    fn every_other_folder_is_named_after_its_profile_also_below_a_platform() {
        let expected = Layout {
            target: "/t".into(),
            platform: Some("aarch64-unknown-linux-gnu".into()),
            profile: "ship".into(),
        };
        assert_eq!(layout("/t/aarch64-unknown-linux-gnu/ship/deps/demo-1a2b"), Some(expected));
        assert_eq!(layout("/t/release/deps/demo").map(|l| l.profile), Some("release".to_owned()));
        assert_eq!(layout("/t/release/weft-tests").map(|l| l.profile), Some("release".to_owned()));
    }

    #[test]
    fn a_test_outside_a_target_folder_has_no_layout() {
        assert_eq!(layout("/elsewhere/demo"), None);
        assert_eq!(layout("/u/debug/deps/demo"), None);
    }

    #[test]
    fn a_program_is_found_by_its_name_and_libraries_are_passed_over() {
        let report = br#"{"reason":"compiler-artifact","target":{"name":"weft"},"executable":null}
not json
{"reason":"compiler-artifact","target":{"name":"weft"},"executable":"/t/debug/weft"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(report, "weft"), Some(PathBuf::from("/t/debug/weft")));
        assert_eq!(executable(report, "weftd"), None);
    }

    #[test]
    fn a_target_folder_that_cargo_found_has_no_tag_and_is_known_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(!is_target(folder.path()));
        std::fs::write(folder.path().join(".rustc_info.json"), "{}").expect("written");
        assert!(is_target(folder.path()));
    }

    #[test]
    fn the_running_test_has_a_layout() {
        let test = env::current_exe().expect("path");
        assert!(Layout::of(&test, is_target).is_some(), "{}", test.display());
    }
}
