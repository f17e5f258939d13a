//! Real networks for tests: `weftd` processes, cables between them that can be cut, and audits of what they wrote.
//!
//! Each test has folders and ports of its own, so tests run beside each other. What must hold: nothing here looks
//! into a running node; everything is asked over its API or read from a copy of its files.

pub mod asking;
pub mod books;
pub mod cells;
pub mod command;
pub mod gateway;
pub mod relay;
pub mod site;

pub use books::{Audited, Books, by_specs};
pub use cells::Cell;
pub use command::{expect, output_text, run_weft, weft_well};
pub use relay::Relay;
pub use site::Site;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use weft_api::NewPayment;
use weft_node::clock::Clock;
use weft_protocol::ids::{OpId, UnitId};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

/// Why a scenario could not go on, or what in it was wrong.
pub struct Failure(String);

impl Failure {
    /// A failure in words.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As words, so that a test that ends with one shows them.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What scenarios give back.
pub type Outcome<T> = Result<T, Failure>;

/// The unit of the test networks: minutes, without decimals.
pub fn hour() -> UnitDefined {
    UnitDefined { unit: UnitId(0), code: "hour".into(), name: "Hour".into(), kind: UnitKind::Time, scale: 0 }
}

/// A payment through the desk that is answered at once.
pub fn payment(from: &str, to: &str, amount: u64) -> NewPayment {
    NewPayment {
        from: from.to_owned(),
        to: to.to_owned(),
        amount: amount.to_string(),
        unit: None,
        memo: None,
        when: None,
        lift_stop: false,
        expires_s: None,
        wait_s: None,
    }
}

/// A fresh operation id.
pub fn fresh_id() -> String {
    OpId(Clock.random()).to_string()
}

/// Copies a folder with everything in it, sockets left out.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for item in fs::read_dir(from)? {
        let item = item?;
        let (kind, target) = (item.file_type()?, to.join(item.file_name()));
        if kind.is_dir() {
            copy_folder(&item.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(item.path(), target)?;
        }
    }
    Ok(())
}

/// A figure that the system gives of a process's memory, in KiB, such as `VmHWM`, the most it ever had resident.
///
/// # Errors
/// When the process is gone.
pub fn memory_kib(process: u32, figure: &str) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kib
        .ok_or_else(|| Failure::new(format!("the system does not say {figure} of process {process}")))?
        .parse()?)
}

/// Small random numbers that are the same for the same seed on every machine (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not zero.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    /// A place in a list of `len` things, which is not empty.
    pub fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }
}
