//! A file of real payments, run by `weftd demo --records`: what it costs, and whether anybody's name or memo is in the
//! traffic between the nodes.
//!
//! The demo itself checks that all books agree and all audits are clean. Here the frames that every node exchanged, as
//! they are before they are encrypted, are searched for every member's name and every memo, as text and as hex; and
//! one name that was put there is found, so that the search is known to work.

use crate::kit::{Failure, Outcome, memory_kib};
use aho_corasick::AhoCorasick;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use weft_node::clock::Clock;

/// How often the memory of the nodes is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What a run has cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Networks, a node each.
    pub networks: u64,
    /// Payments that were made, inside networks and between them.
    pub local: u64,
    /// See above.
    pub between: u64,
    /// Payments refused.
    pub refused: u64,
    /// Entries of all ledgers.
    pub entries: u64,
    /// Bytes of all ledgers' segments.
    pub ledger_bytes: u64,
    /// Bytes of the frames between nodes; each is counted where it is sent and where it is received.
    pub frame_bytes: u64,
    /// Largest memory of one node, in KiB.
    pub peak_kib: u64,
    /// The sum of the largest memory of each, in KiB.
    pub peaks_kib: u64,
    /// Milliseconds, founding and audits included.
    pub elapsed_ms: u128,
    /// Texts looked for.
    pub needles: u64,
}

/// Runs a file of payments, or the sample.
///
/// # Errors
/// When the demo fails, or a name or a memo was found.
pub async fn run(file: Option<&Path>, say: &dyn Fn(&str)) -> Outcome<Cost> {
    let folder = tempfile::Builder::new().prefix("weft-records-run-").tempdir()?;
    let (kept, taps) = (folder.path().join("nodes"), folder.path().join("taps"));
    fs::create_dir_all(&taps)?;
    let began = Clock.instant();
    let (report, peaks) = demo(file, &kept, &taps).await?;
    let mut cost = Cost { elapsed_ms: began.elapsed().as_millis(), ..Cost::default() };
    say(&format!("the demo has ended after {} ms; searching the traffic", cost.elapsed_ms));
    cost.peak_kib = peaks.values().copied().max().unwrap_or(0);
    cost.peaks_kib = peaks.values().sum();
    for (name, of) in report["networks"].as_object().into_iter().flatten() {
        cost.networks += 1;
        cost.local += of["local"]["count"].as_u64().unwrap_or(0);
        cost.between += of["sent"]["count"].as_u64().unwrap_or(0);
        cost.entries += of["entries"].as_u64().unwrap_or(0);
        cost.refused += of["refused"].as_array().map_or(0, |refused| refused.len() as u64);
        cost.ledger_bytes += size(&kept.join(name.to_lowercase()).join("ledger"))?;
    }
    let texts = texts(file)?;
    cost.needles = texts.len() as u64;
    cost.frame_bytes = search(&taps, &texts)?;
    Ok(cost)
}

/// Bytes of all files in a folder and below it.
fn size(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for item in fs::read_dir(folder)? {
        let (item, kind) = item.and_then(|item| item.file_type().map(|kind| (item, kind)))?;
        bytes += if kind.is_dir() { size(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(bytes)
}

/// Runs the demo; gives what it reports, and the largest memory of each node by process.
async fn demo(file: Option<&Path>, kept: &Path, taps: &Path) -> Outcome<(Value, BTreeMap<u32, u64>)> {
    let mut command = Command::new(crate::binaries::weftd());
    command.args(["demo", "--records"]).args(file).arg("--json");
    command.arg("--keep").arg(kept).arg("--test-tap").arg(taps);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let process = child.id().ok_or_else(|| Failure::new("the demo did not start"))?;
    let mut peaks = BTreeMap::new();
    let ended = child.wait_with_output();
    tokio::pin!(ended);
    let output = loop {
        tokio::select! {
            output = &mut ended => break output?,
            () = tokio::time::sleep(LOOK) => look(process, &mut peaks),
        }
    };
    if !output.status.success() {
        return Err(Failure::new("the demo failed; what it said stands above"));
    }
    let object = output.stdout.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"{"));
    let object = object.ok_or_else(|| Failure::new("the demo printed no report"))?;
    Ok((serde_json::from_slice(object)?, peaks))
}

/// Notes the largest memory so far of each child of a process.
fn look(process: u32, peaks: &mut BTreeMap<u32, u64>) {
    let folder = PathBuf::from(format!("/proc/{process}/task"));
    for task in fs::read_dir(folder).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()) {
            if let Ok(kib) = memory_kib(child, "VmHWM") {
                peaks.insert(child, kib);
            }
        }
    }
}

/// The names of all members and the memos of all payments.
fn texts(file: Option<&Path>) -> Outcome<BTreeSet<String>> {
    let sample = crate::source_root().join("tests/data/sample.csv");
    let lines = fs::read_to_string(file.unwrap_or(&sample))?;
    let mut texts = BTreeSet::new();
    for (number, line) in (1_u64..).zip(lines.lines()).skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        texts.extend(line.split(',').skip(1).take(2).map(str::to_owned));
        texts.insert(format!("line {number} of the records"));
    }
    Ok(texts)
}

/// Searches all files of a folder; gives their size.
fn search(taps: &Path, texts: &BTreeSet<String>) -> Outcome<u64> {
    let hex = |text: &String| data_encoding::HEXLOWER.encode(text.as_bytes());
    let needles: Vec<String> = texts.iter().cloned().chain(texts.iter().map(hex)).collect();
    let all = AhoCorasick::new(&needles).map_err(|error| Failure::new(error.to_string()))?;
    let planted = needles.first().map(|needle| format!("\u{1}{needle}\u{2}")).unwrap_or_default();
    if all.find(planted.as_bytes()).is_none() {
        return Err(Failure::new("a name that stands there is not found: the search is broken"));
    }
    let mut size = 0;
    for item in fs::read_dir(taps)? {
        let path = item?.path();
        let bytes = fs::read(&path)?;
        size += bytes.len() as u64;
        if let Some(found) = all.find(&bytes) {
            let what = &needles[found.pattern().as_usize()];
            return Err(Failure::new(format!("{} holds \"{what}\" at {}", path.display(), found.start())));
        }
    }
    if size == 0 {
        return Err(Failure::new("no traffic was captured"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_traffic_is_found_as_text_and_as_hex() {
        let folder = tempfile::tempdir().unwrap();
        let texts = BTreeSet::from(["S01-0076".to_owned(), "line 7 of the records".to_owned()]);
        assert!(search(folder.path(), &texts).is_err(), "nothing was captured");
        fs::write(folder.path().join("a"), "nothing of the kind").unwrap();
        assert_eq!(search(folder.path(), &texts).unwrap(), 19);
        for bad in ["..S01-0076..", "..5330312d30303736.."] {
            fs::write(folder.path().join("b"), bad).unwrap();
            assert!(search(folder.path(), &texts).is_err(), "{bad}");
        }
    }
}
