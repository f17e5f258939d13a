//! Ledgers of small worlds, good and bad, before two auditors: what networks have written on ways that nobody thought of, through
//! crashes, lies, losses, disputes and resets. Both must find the same, and come to the same state.

use super::judges::{Specs, weft, weft_compares};
use super::sources::modelled;
use crate::kit::Outcome;
use crate::model::{Scenario, walked};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Walks {
    /// Ledgers judged.
    pub ledgers: u64,
    /// Those in which nothing was wrong.
    pub right: u64,
    /// Pairs of neighbours compared, and those whose positions are opposite and of which nothing is wrong.
    pub compared: u64,
    /// See there.
    pub opposite: u64,
    /// Those with a RESET in effect.
    pub reset: u64,
    /// How many by the name of the world, and in how many of them something is wrong.
    pub worlds: BTreeMap<&'static str, (u64, u64)>,
    /// Whether the Python verifier judged too.
    pub both: bool,
    /// Where the two differ or a world is broken, in words.
    pub failures: Vec<String>,
}

/// Walks through worlds, and has every ledger judged. `say` is told now and then how far it is.
///
/// # Errors
/// When files cannot be written, or a verifier does not run.
pub fn run(
    worlds: &[Scenario],
    seeds: std::ops::Range<u64>,
    at: &Path,
    say: &mut dyn FnMut(&str),
) -> Outcome<Walks> {
    let mut specs = Specs::start()?;
    let mut walks = Walks { both: specs.is_some(), ..Walks::default() };
    for seed in seeds {
        for world in worlds {
            let recorded = match walked(*world, seed) {
                Ok(recorded) => recorded,
                Err(what) => {
                    walks.failures.push(format!("{}, seed {seed} is broken: {what}", world.name()));
                    continue;
                }
            };
            let mut folders: Vec<PathBuf> = Vec::new();
            for (index, model) in modelled(recorded).into_iter().enumerate() {
                let folder = at.join(format!("{}-{seed}-{index}", world.name()));
                model.write(&folder)?;
                let ours = weft(&folder, None)?;
                walks.ledgers += 1;
                walks.right += u64::from(ours.exit == 0);
                walks.reset += u64::from(model.is_reset());
                let (count, wrong) = walks.worlds.entry(world.name()).or_default();
                (*count, *wrong) = (*count + 1, *wrong + u64::from(ours.exit != 0));
                if let Some(specs) = &mut specs {
                    let theirs = specs.judge(&folder, None)?;
                    if !ours.agrees(&theirs) || ours.digest != theirs.digest {
                        let (ours, theirs) = (ours.text(), theirs.text());
                        walks.failures.push(format!(
                            "{}, seed {seed}, {index}:\n  weft: {ours}  specs: {theirs}",
                            world.name()
                        ));
                    }
                }
                folders.push(folder);
            }
            for sides in folders.windows(2) {
                let [one, other] = sides else { continue };
                let ours = weft_compares(one, other)?;
                walks.opposite += u64::from(ours.classes.is_empty() && !ours.positions.is_empty());
                walks.compared += 1;
                let theirs = specs.as_mut().map(|specs| specs.compares(one, other)).transpose()?;
                if theirs.as_ref().is_some_and(|theirs| *theirs != ours) {
                    let (one, other) = (one.display(), other.display());
                    walks.failures.push(format!("{one} and {other}:\n  weft: {ours:?}\n  specs: {theirs:?}"));
                }
            }
            folders.iter().try_for_each(fs::remove_dir_all)?;
        }
        if (seed + 1).is_multiple_of(10) {
            say(&format!("{} ledgers, {} failures", walks.ledgers, walks.failures.len()));
        }
    }
    Ok(walks)
}
