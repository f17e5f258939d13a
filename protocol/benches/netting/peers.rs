//! Other solvers, started beside ours on the same instance; whoever is not here is passed over with words.

use crate::families::Row;
use crate::{Outcome, say};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parties from which on LEMON's simplex takes minutes.
const SIMPLEX_BELOW: u32 = 50_000;

/// The solvers that are here.
pub(crate) struct Peers {
    folder: PathBuf,
    ortools: bool,
    lemon: bool,
}

/// What a solver did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Solved {
    pub(crate) cpu_ns: u64,
    pub(crate) volume: i128,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/netting")
}

impl Peers {
    /// Looks who is here, and compiles LEMON's part in `folder`.
    pub(crate) fn find(folder: &Path) -> Self {
        let quiet = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
        let ortools =
            quiet(Command::new("python3").args(["-c", "import numpy, ortools.graph.python.min_cost_flow"]));
        let mut compiler = Command::new("g++");
        compiler
            .args(["-O3", "-std=c++17", "-w", "-o"])
            .arg(folder.join("lemon"))
            .arg(sources().join("lemon.cc"));
        let lemon = quiet(&mut compiler);
        if !ortools {
            say("OR-tools is passed over: `pip install ortools numpy`");
        }
        if !lemon {
            say("LEMON is passed over: it needs g++ and its headers (liblemon-dev)");
        }
        Self { folder: folder.to_path_buf(), ortools, lemon }
    }

    /// Nobody.
    pub(crate) fn none(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), ortools: false, lemon: false }
    }

    /// Writes an instance for them.
    pub(crate) fn write(&self, parties: u32, rows: &[Row]) -> Outcome<()> {
        let mut file = BufWriter::new(std::fs::File::create(self.file())?);
        file.write_all(&u64::from(parties).to_le_bytes())?;
        file.write_all(&(rows.len() as u64).to_le_bytes())?;
        for (debtor, creditor, amount) in rows {
            file.write_all(&debtor.to_le_bytes())?;
            file.write_all(&creditor.to_le_bytes())?;
            file.write_all(&amount.to_le_bytes())?;
        }
        Ok(file.flush()?)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("instance")
    }

    /// OR-tools, LEMON's network simplex and LEMON's cost scaling, in this order.
    pub(crate) fn solve(&self, parties: u32) -> Outcome<[Option<Solved>; 3]> {
        let lemon = |method: &str| {
            let mut command = Command::new(self.folder.join("lemon"));
            command.arg(method).arg(self.file());
            figures(&mut command)
        };
        let mut python = Command::new("python3");
        python.arg("-B").arg(sources().join("ortools_peer.py")).arg(self.file());
        Ok([
            self.ortools.then(|| figures(&mut python)).transpose()?,
            (self.lemon && parties < SIMPLEX_BELOW).then(|| lemon("ns")).transpose()?,
            self.lemon.then(|| lemon("cs")).transpose()?,
        ])
    }
}

fn figures(command: &mut Command) -> Outcome<Solved> {
    let out = command.output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace();
    match (out.status.success(), words.next(), words.next()) {
        (true, Some(cpu), Some(volume)) => Ok(Solved { cpu_ns: cpu.parse()?, volume: volume.parse()? }),
        _ => Err(format!("{command:?} failed: {text}{}", String::from_utf8_lossy(&out.stderr)).into()),
    }
}
