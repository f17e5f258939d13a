//! Bundles corrupted at random, and two auditors that must find it: nothing missed, each named, both of one opinion.
//!
//! The seed and the number of a case decide what is done to a ledger; the ledger itself is from running nodes or from the
//! simulator (specs/audit.md). A history that its own node has rewritten and signed again is given to auditors together with an
//! earlier checkpoint or a peer's folder; without either both must say that it cannot be excluded.

pub mod acts;
pub mod judges;
pub mod model;
pub mod sources;
pub mod walks;

use crate::kit::{Dice, Outcome, copy_folder};
use acts::{ACTS, Case, Done, Must};
use judges::{Specs, Verdict, weft};
use model::Model;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Acts drawn until one applies to the ledger at hand.
const TRIES: u64 = 50;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many corruptions.
    pub count: u64,
    /// The first of them.
    pub first: u64,
    /// Decides them all.
    pub seed: u64,
    /// Where bundles that were judged wrongly are kept.
    pub keep: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Corruptions judged.
    pub corruptions: u64,
    /// By act.
    pub acts: BTreeMap<&'static str, u64>,
    /// Found as wrong.
    pub found: u64,
    /// A peer's words that are not there, a stranger's line: named as not checked.
    pub not_there: u64,
    /// Rewritten histories of which both said that they cannot be excluded.
    pub warned: u64,
    /// Of which nobody can tell: both say the same.
    pub unseen: u64,
    /// Whether the Python verifier judged too.
    pub both: bool,
    /// What was missed, not named or judged differently: in words, with the number of the case.
    pub failures: Vec<String>,
}

/// A ledger to corrupt: the good bundle of it stands in a folder.
#[derive(Debug)]
pub struct Ground {
    /// The ledger.
    pub model: Model,
    /// Its bundle.
    pub bundle: PathBuf,
}

/// Corrupts and judges. `say` is told now and then how far it is.
///
/// # Errors
/// When files cannot be written or a verifier does not run.
pub fn run(grounds: &[Ground], options: &Options, at: &Path, say: &mut dyn FnMut(&str)) -> Outcome<Tally> {
    let mut specs = Specs::start()?;
    let mut tally = Tally { both: specs.is_some(), ..Tally::default() };
    for ground in grounds {
        let good = weft(&ground.bundle, None)?;
        let by_specs = specs.as_mut().map(|specs| specs.judge(&ground.bundle, None)).transpose()?;
        let other = |other: &Verdict| !good.agrees(other) || good.digest != other.digest;
        if good.exit != 0 || by_specs.as_ref().is_some_and(other) {
            tally.failures.push(format!("a good bundle: {}{:?}", good.text(), by_specs.map(|v| v.text())));
        }
    }
    for number in options.first..options.first + options.count {
        let folder = at.join(format!("case-{number}"));
        let seed =
            options.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut dice = Dice(seed);
        let ground = &grounds[dice.place(grounds.len())];
        let (act, done) = corrupt(ground, &folder, &mut dice)?;
        let earlier = done.earlier.map(|size| {
            let file = folder.with_extension("earlier");
            fs::write(&file, ground.model.checkpoint(size)).map(|()| file)
        });
        let earlier = earlier.transpose()?;
        let by_weft = weft(&folder, earlier.as_deref())?;
        let by_specs = specs.as_mut().map(|specs| specs.judge(&folder, earlier.as_deref())).transpose()?;
        tally.corruptions += 1;
        *tally.acts.entry(act).or_default() += 1;
        match fault(&done, &by_weft, by_specs.as_ref()) {
            None if by_weft.exit == 1 => tally.found += 1,
            None if done.must == Must::AgreeOnIt => tally.unseen += 1,
            None if by_weft.warned && done.must == Must::WarnOfIt => tally.warned += 1,
            None => tally.not_there += 1,
            Some(fault) => {
                let python = by_specs.map(|verdict| verdict.text()).unwrap_or_default();
                tally.failures.push(format!(
                    "case {number} (--seed {} --first {number} --count 1), {act}: {}: {fault}\n  weft: {}  specs: {python}",
                    options.seed,
                    done.what,
                    by_weft.text()
                ));
                if let Some(keep) = &options.keep {
                    copy_folder(&folder, &keep.join(format!("case-{number}")))?;
                }
            }
        }
        fs::remove_dir_all(&folder)?;
        if let Some(earlier) = earlier {
            fs::remove_file(earlier)?;
        }
        if tally.corruptions.is_multiple_of(100) {
            say(&format!("{} corruptions, {} failures", tally.corruptions, tally.failures.len()));
        }
    }
    Ok(tally)
}

/// Makes a corrupted bundle in the folder.
fn corrupt(ground: &Ground, folder: &Path, dice: &mut Dice) -> Outcome<(&'static str, Done)> {
    for _ in 0..TRIES {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        copy_folder(&ground.bundle, folder)?;
        let act = &ACTS[dice.place(ACTS.len())];
        if let Some(done) = act.apply(&mut Case { model: &ground.model, folder, dice })? {
            return Ok((act.name, done));
        }
    }
    Err(crate::kit::Failure::new(format!("none of {TRIES} acts applies to this ledger")))
}

/// What is wrong with the verdicts, if anything is.
fn fault(done: &Done, by_weft: &Verdict, by_specs: Option<&Verdict>) -> Option<String> {
    const WRONG: [&str; 4] = ["error", "equivocation", "mismatch", "orphan"];
    if by_specs.is_some_and(|other| !by_weft.agrees(other)) {
        return Some("the two do not agree".into());
    }
    for (who, verdict) in [("weft", Some(by_weft)), ("specs", by_specs)] {
        let Some(verdict) = verdict else { continue };
        let fault = match done.must {
            Must::FindIt if verdict.exit != 1 => Some("missed"),
            Must::FindIt if !verdict.names(&WRONG, &done.names) => Some("found, but not named"),
            Must::MissIt if !verdict.names(&["not checked", "error", "mismatch"], &done.names) => {
                Some("not named as missing")
            }
            Must::WarnOfIt if verdict.exit == 0 && !verdict.warned => {
                Some("no word that a rewritten history cannot be excluded")
            }
            Must::FindIt | Must::MissIt | Must::WarnOfIt | Must::AgreeOnIt => None,
        };
        if let Some(fault) = fault {
            return Some(format!("{who}: {fault} ({:?})", done.names));
        }
    }
    None
}
