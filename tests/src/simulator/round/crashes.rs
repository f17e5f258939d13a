//! A small ring of debts, and a crash at every place where a round could be hurt by one: each commit of each network that
//! holds an entry about the round, after each number of its records.

use crate::simulator::Violation;
use crate::simulator::world::{CrashAt, World};

/// What was tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CrashReport {
    /// Crashes tried, one in each run.
    pub crashes: u64,
    /// Runs in which something was cleared.
    pub cleared: u64,
}

/// Seeds that are looked at for one whose debts make a circle.
const SEEDS: u64 = 30;

/// Runs a ring of so many networks once for every crash, from the first seed on whose debts make a circle.
///
/// # Errors
/// What did not hold, and after which crash.
pub fn every_crash(networks: usize, seed: u64) -> Result<CrashReport, Violation> {
    some_crashes(networks, seed, 1)
}

/// The same for one crash of so many.
///
/// # Errors
/// What did not hold, and after which crash.
pub fn some_crashes(networks: usize, seed: u64, of: usize) -> Result<CrashReport, Violation> {
    let mut chosen = None;
    for seed in seed..seed + SEEDS {
        let (tally, places) = World::ring(networks, seed, None)?.tried()?;
        if tally.cleared > 0 {
            chosen = Some((seed, places));
            break;
        }
    }
    let nothing = || Violation("nothing is cleared where nothing goes wrong".into());
    let (seed, places) = chosen.ok_or_else(nothing)?;
    let mut report = CrashReport::default();
    let all = places
        .into_iter()
        .flat_map(|(party, commit, records)| (0..=records).map(move |keep| CrashAt { party, commit, keep }));
    for at in all.step_by(of) {
        let ran = World::ring(networks, seed, Some(at))?.tried();
        let (tally, _) = ran.map_err(|violation| Violation(format!("{at:?}: {violation}")))?;
        report.crashes += tally.crashes;
        report.cleared += u64::from(tally.cleared > 0);
    }
    Ok(report)
}
