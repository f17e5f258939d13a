//! A small ring of debts, and a crash at every place where a round could be hurt by one: each commit of each network that
//! holds an entry about the round, after each number of its records, payments being under way.

use super::step_of;
use crate::simulator::Violation;
use crate::simulator::world::{CrashAt, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use weft_protocol::clearing::engine::Batch;

/// A commit in which something of a round is made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::simulator) struct Place {
    /// Network, and which of its commits.
    at: (usize, u64),
    /// Records of it.
    records: usize,
    /// What they do in the round.
    steps: BTreeSet<&'static str>,
    /// Whether payments of this network are under way.
    in_flight: bool,
}

impl Place {
    /// The place of a batch, when it is about a round.
    pub(in crate::simulator) fn of(batch: &Batch, at: (usize, u64), in_flight: bool) -> Option<Self> {
        let steps: BTreeSet<&str> = batch.records.iter().filter_map(step_of).collect();
        (!steps.is_empty()).then_some(Self { at, records: batch.records.len(), steps, in_flight })
    }
}

/// What was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CrashReport {
    /// Crashes tried, one in each run.
    pub crashes: u64,
    /// Runs in which something was cleared.
    pub cleared: u64,
    /// Crashes while payments of that network were under way.
    pub in_flight: u64,
    /// Crashes of the clerk, by what the commit did; one that does several things counts for each.
    pub of_clerk: BTreeMap<&'static str, u64>,
    /// Crashes of the others.
    pub of_others: BTreeMap<&'static str, u64>,
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |of: &BTreeMap<&str, u64>| {
            of.iter().map(|(step, count)| format!("{step} {count}")).collect::<Vec<_>>().join(", ")
        };
        let Self { crashes, cleared, in_flight, .. } = self;
        write!(
            f,
            "{crashes} crashes, {in_flight} with payments under way, {cleared} runs cleared something; "
        )?;
        write!(f, "the clerk: {}; the others: {}", list(&self.of_clerk), list(&self.of_others))
    }
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
    let clerk = places.iter().find(|place| place.steps.contains("announce")).map(|place| place.at.0);
    let mut report = CrashReport::default();
    let all = places.iter().flat_map(|place| (0..=place.records).map(move |keep| (place, keep)));
    for (place, keep) in all.step_by(of) {
        let at = CrashAt { party: place.at.0, commit: place.at.1, keep };
        let ran = World::ring(networks, seed, Some(at))?.tried();
        let (tally, _) = ran.map_err(|violation| Violation(format!("{at:?}: {violation}")))?;
        report.crashes += tally.crashes;
        report.cleared += u64::from(tally.cleared > 0);
        report.in_flight += u64::from(place.in_flight);
        let of = if Some(at.party) == clerk { &mut report.of_clerk } else { &mut report.of_others };
        for step in &place.steps {
            *of.entry(step).or_default() += 1;
        }
    }
    Ok(report)
}
