//! What a test needs beyond Rust and a C compiler, and what happens where it is missing.
//!
//! A test asks with [`need`] and returns early on `None`; the line `SKIPPED: needs …` then stands in the output, also
//! when the test runner captures what tests print. Where skipping would hide a gap (CI), `WEFT_REQUIRE` turns a missing tool
//! into a failure: `WEFT_REQUIRE=all`, or a list such as `WEFT_REQUIRE=python,powerloss`.
//! What must hold: with `WEFT_REQUIRE=all` no test of this repository is skipped.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::kit::{cells, gateway};
use crate::{cargo, source_root};

/// Names the tools that must be there: `all`, or short names ([`Tool::short`]) with commas between them.
pub const REQUIRE: &str = "WEFT_REQUIRE";

/// Folder of a Python 3.12 virtual environment that has `aics-tlog`.
pub const PY312: &str = "WEFT_PY312";

/// Folder of a Python virtual environment that has `beancount` and `beanquery`.
pub const BEANCOUNT: &str = "WEFT_BEANCOUNT";

/// Where `.ci/run` puts that environment, below the source root, when [`PY312`] is not set.
const PY312_DEFAULT: &str = "target/ci/py312";

/// Something that a test may need and a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Python 3.11 or later, standard library only.
    Python,
    /// Python 3.12 or later with the package `aics-tlog`, a third-party verifier of transparency logs.
    Tlog,
    /// Go, and the sources of its packages for transparency logs.
    Go,
    /// What `tests/powerloss.py` needs: Python, root, a free loop device, ext4 tools, a RAM disk.
    PowerLoss,
    /// `bean-check` and `bean-query` of Beancount.
    Beancount,
    /// `hledger`.
    Hledger,
    /// `ledger`, the program for plain-text journals.
    Ledger,
    /// Root, `ip` and a TUN device, for nodes in network namespaces of their own.
    Namespaces,
    /// The same with `nft` and `miniupnpd`, for a router that opens ports when it is asked.
    Gateway,
    /// The sources of every locked dependency, those of other platforms too (`cargo fetch --locked`).
    Sources,
}

impl Tool {
    /// The name used in `WEFT_REQUIRE`.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Tlog => "tlog",
            Self::Go => "go",
            Self::PowerLoss => "powerloss",
            Self::Beancount => "beancount",
            Self::Hledger => "hledger",
            Self::Ledger => "ledger",
            Self::Namespaces => "namespaces",
            Self::Gateway => "gateway",
            Self::Sources => "sources",
        }
    }

    /// What a person has to provide, as it stands after "needs".
    #[must_use]
    pub fn needs(self) -> &'static str {
        match self {
            Self::Python => "Python 3.11",
            Self::Tlog => "Python 3.12 with aics-tlog (WEFT_PY312)",
            Self::Go => "Go with golang.org/x/mod (Debian: golang-go golang-golang-x-mod-dev)",
            Self::PowerLoss => "root, a loop device and e2fsprogs",
            Self::Beancount => {
                "Beancount (WEFT_BEANCOUNT, a virtual environment with beancount and beanquery)"
            }
            Self::Hledger => "hledger",
            Self::Ledger => "ledger",
            Self::Namespaces => "root, iproute2 and /dev/net/tun",
            Self::Gateway => "root, iproute2, /dev/net/tun, nftables and miniupnpd",
            Self::Sources => "the sources of all dependencies (cargo fetch --locked)",
        }
    }

    /// The program to run for this tool, if the machine has all of it.
    fn find(self) -> Option<PathBuf> {
        match self {
            Self::Python => python(),
            Self::Tlog => tlog_python(),
            Self::Go => go(),
            Self::PowerLoss => python().filter(|_| can_lose_power()),
            Self::Beancount => bean_check(),
            Self::Hledger => starts("hledger"),
            Self::Ledger => starts("ledger"),
            Self::Namespaces => cells::possible().then(|| PathBuf::from("ip")),
            Self::Gateway => gateway::possible(),
            Self::Sources => has_sources().then(|| PathBuf::from(cargo().get_program())),
        }
    }
}

/// The program that does the work of `tool` (for [`Tool::Python`], [`Tool::Tlog`] and [`Tool::PowerLoss`] the Python to run, for
/// [`Tool::Sources`] cargo, else the program itself), or `None` after printing `SKIPPED: needs …`.
///
/// # Panics
/// When the tool is missing and `WEFT_REQUIRE` names it.
#[must_use]
pub fn need(tool: Tool) -> Option<PathBuf> {
    let found = tool.find();
    if found.is_none() {
        let required = env::var(REQUIRE).unwrap_or_default();
        assert!(
            !is_required(&required, tool),
            "{REQUIRE}={required} and this machine lacks: {}",
            tool.needs()
        );
        // Straight to standard output: the test runner swallows what passing tests print with macros.
        let line = format!("SKIPPED: needs {}\n", tool.needs());
        drop(std::io::stdout().lock().write_all(line.as_bytes()));
    }
    found
}

/// The verifier under `specs/`, which was written from the texts alone, to be given its arguments; `None` without Python,
/// which the output then says.
#[must_use]
pub fn second_verifier() -> Option<Command> {
    let mut command = Command::new(need(Tool::Python)?);
    // -B: no compiled files beside the sources.
    command.arg("-B").arg(source_root().join("specs/verifier/weft_verify.py"));
    Some(command)
}

/// Whether the value of `WEFT_REQUIRE` makes `tool` obligatory.
fn is_required(value: &str, tool: Tool) -> bool {
    value.split(',').map(str::trim).any(|name| name == "all" || name == tool.short())
}

/// The first of the usual Pythons that is new enough.
fn python() -> Option<PathBuf> {
    ["python3", "python3.13", "python3.12", "python3.11"]
        .iter()
        .map(PathBuf::from)
        .find(|program| python_runs(program, "import sys; sys.exit(sys.version_info < (3, 11))"))
}

/// The Python of the environment that `WEFT_PY312` names; only when it is not set, other places are tried.
fn tlog_python() -> Option<PathBuf> {
    let candidates = match env::var_os(PY312) {
        Some(folder) => vec![PathBuf::from(folder).join("bin/python")],
        None => {
            vec![source_root().join(PY312_DEFAULT).join("bin/python"), "python3.12".into(), "python3".into()]
        }
    };
    candidates.into_iter().find(|program| python_runs(program, "import aics_tlog"))
}

/// `bean-check` of the environment that `WEFT_BEANCOUNT` names, or of the path.
fn bean_check() -> Option<PathBuf> {
    match env::var_os(BEANCOUNT) {
        Some(folder) => Some(PathBuf::from(folder).join("bin/bean-check")).filter(|path| path.is_file()),
        None => starts("bean-check"),
    }
}

/// A program of the path that says its version.
fn starts(name: &str) -> Option<PathBuf> {
    succeeds(Command::new(name).arg("--version")).then(|| PathBuf::from(name))
}

/// Where Debian puts the sources of Go packages.
pub const GO_PACKAGES: &str = "/usr/share/gocode";

/// Go, where the packages that `tests/go` reads bundles with are installed beside it.
fn go() -> Option<PathBuf> {
    let tlog = Path::new(GO_PACKAGES).join("src/golang.org/x/mod/sumdb/tlog/tlog.go");
    (tlog.is_file() && succeeds(Command::new("go").arg("version"))).then(|| PathBuf::from("go"))
}

/// Whether this Python runs `code` with exit status 0.
fn python_runs(program: &Path, code: &str) -> bool {
    succeeds(Command::new(program).args(["-c", code]))
}

/// Whether a file system can be made, mounted and shut down here.
fn can_lose_power() -> bool {
    Path::new("/dev/shm").is_dir()
        && is_root()
        && succeeds(Command::new("mkfs.ext4").arg("-V"))
        && succeeds(Command::new("losetup").arg("--find"))
        && succeeds(Command::new("mount").arg("--version"))
}

/// Whether the effective user is root, asked without a library.
fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

/// Whether cargo finds every locked package without the network.
fn has_sources() -> bool {
    succeeds(cargo().args(["metadata", "--locked", "--offline", "--format-version", "1"]))
}

/// Whether the command could be started and ended with status 0; what it prints is dropped.
fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: [Tool; 10] = [
        Tool::Python,
        Tool::Tlog,
        Tool::Go,
        Tool::PowerLoss,
        Tool::Beancount,
        Tool::Hledger,
        Tool::Ledger,
        Tool::Namespaces,
        Tool::Gateway,
        Tool::Sources,
    ];

    #[test]
    fn all_requires_every_tool_and_nothing_requires_none() {
        for tool in TOOLS {
            assert!(is_required("all", tool));
            assert!(!is_required("", tool));
            assert!(!is_required("none", tool));
        }
    }

    #[test]
    fn a_list_requires_only_what_it_names() {
        assert!(is_required("python, tlog", Tool::Python));
        assert!(is_required("python, tlog", Tool::Tlog));
        assert!(!is_required("python, tlog", Tool::PowerLoss));
        assert!(!is_required("powerlosses", Tool::PowerLoss));
    }

    #[test]
    fn a_tool_that_is_found_can_be_started() {
        for tool in TOOLS {
            if let Some(program) = need(tool) {
                let version = match tool {
                    Tool::Go => "version",
                    Tool::Namespaces => "-V",
                    _ => "--version",
                };
                assert!(
                    succeeds(Command::new(&program).arg(version)),
                    "{} does not start",
                    program.display()
                );
            }
        }
    }
}
