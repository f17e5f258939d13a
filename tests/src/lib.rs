//! The kit that whole-system tests share: what they need from the machine, the programs they run, networks made of
//! these programs, and the long runs that `weft-tests` starts by hand.

pub mod binaries;
pub mod catchup;
pub mod corruptions;
pub mod crossing;
pub mod federation;
pub mod hostile;
pub mod kills;
pub mod kit;
pub mod memory;
pub mod model;
pub mod netting;
pub mod powerloss;
pub mod rebuild;
pub mod records;
pub mod require;
pub mod rounds;
pub mod simulator;
pub mod vectors;

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The root of the source tree: the folder that holds the workspace's `Cargo.toml`.
#[must_use]
pub fn source_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests package is a folder of the workspace").to_path_buf()
}

/// Cargo, to be run in the source tree as a person at a shell would: without the variables that `cargo test` sets for the test
/// at hand. Build scripts watch some of these and would run again, and everything above them be built again.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let of_this_test = name.to_str().is_some_and(|name| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|p| name.starts_with(p))
        });
        if of_this_test {
            command.env_remove(name);
        }
    }
    command.current_dir(source_root());
    command
}
