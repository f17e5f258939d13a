//! The model check: every way that a small world of networks can go, not some of them.
//!
//! It explores the claim machine itself ([`weft_protocol::clearing`]), not a copy: a state of the search is a handful of
//! real engines with real signed entries. From each state follows what may happen next: the next line of a stream is
//! taken in, a commit is cut short by a crash, somebody asks or cancels, a Decision overtakes, time passes the expiry, a
//! network is set back to an older state, a liar says one of the things that liars say. In every state safety is checked; in
//! every state in which all lines have arrived it is checked that everything ends once time passes.
//!
//! Two states count as one when all networks have said the same in the same order on each channel, know the same, and
//! hold the same. What the simulator ([`crate::simulator`]) does by chance in large worlds, this does
//! completely in small ones.

mod check;
mod liar;
mod party;
mod people;
mod scenario;
mod shape;
mod steps;
mod walk;
mod world;

pub use scenario::Scenario;
pub use walk::walked;

use stateright::{Checker, Model as _};
use std::fmt;
use std::time::Duration;
use weft_protocol::clearing::weak::Weak;

/// The outcome of a search.
#[derive(Debug)]
pub struct Report {
    /// Of which world.
    pub scenario: Scenario,
    /// Different states reached.
    pub states: usize,
    /// Steps taken.
    pub steps: usize,
    /// The longest way from the start.
    pub depth: usize,
    /// Whether every state was reached.
    pub complete: bool,
    /// What was broken, with the way there.
    pub broken: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (&self.broken, self.complete) {
            (Some(_), _) => "BROKEN",
            (None, true) => "ok, complete",
            (None, false) => "ok so far, not complete",
        };
        let (name, states, steps, depth) = (self.scenario.name(), self.states, self.steps, self.depth);
        write!(f, "{name}: {verdict}: {states} states, {steps} steps, depth {depth}")?;
        self.broken.as_ref().map_or(Ok(()), |way| write!(f, "\n{way}"))
    }
}

/// How far a search goes at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long.
    pub time: Duration,
    /// About how many steps.
    pub steps: Option<usize>,
    /// On how many cores.
    pub threads: usize,
}

/// Searches one world.
///
/// # Panics
/// When a search panics.
#[must_use]
pub fn run(scenario: Scenario, weak: Option<Weak>, bounds: Bounds) -> Report {
    let model = world::Search::new(scenario, weak);
    let builder = model.checker().threads(bounds.threads).timeout(bounds.time);
    let builder = match bounds.steps {
        Some(steps) => builder.target_state_count(steps),
        None => builder,
    };
    let began = now();
    let checker = builder.spawn_dfs().join();
    let broken = checker.discoveries().into_iter().next().map(|(name, path)| {
        let why = checker.model().why(path.last_state());
        let steps: Vec<String> = path.into_actions().iter().map(|step| format!("  {step}")).collect();
        format!("{name}: {why}\n{}", steps.join("\n"))
    });
    let complete = began.elapsed() < bounds.time && bounds.steps.is_none_or(|n| checker.state_count() < n);
    Report {
        scenario,
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        complete,
        broken,
    }
}

/// Lines that a proposal takes at most: who the payer is, and the proposal.
const LINES_OF_A_HOP: usize = 4;

/// One way through a world: its payments begin, the first line of each way arrives, people do what they may, then all
/// lines arrive, and everything that is left is done.
///
/// # Errors
/// What is broken.
pub fn people_first(scenario: Scenario, weak: Option<Weak>) -> Result<(), String> {
    let search = world::Search::new(scenario, weak);
    let mut world = search.start.clone();
    let begin = (0..search.wishes.len()).map(|wish| world::Step::Pay { wish, crash: None });
    let arrive = search.wishes.iter().map(|wish| {
        let way = wish.way();
        world::Step::Line { from: way[0], to: way[1], crash: None }
    });
    let deeds = (0..scenario.deeds().len()).map(|number| world::Step::Deed { number, crash: None });
    // Where a channel is reset the payee's network has said yes, and its word has come nowhere, when people have waited.
    let decided = search.wishes.iter().filter(|_| scenario.resets()).flat_map(|wish| {
        let way = wish.way();
        let hops: Vec<_> = way.windows(2).flat_map(|hop| vec![(hop[0], hop[1]); LINES_OF_A_HOP]).collect();
        hops.into_iter().map(|(from, to)| world::Step::Line { from, to, crash: None })
    });
    let mut steps: Vec<world::Step> = begin.chain(arrive).chain(decided).chain(deeds).collect();
    if let Some(closes) = scenario.deeds().iter().position(|deed| matches!(deed, people::Deed::Close { .. }))
    {
        steps.insert(steps.len() - scenario.deeds().len() + closes, world::Step::Late);
    }
    for step in steps {
        // People do not do what the rules refuse.
        if let Some(after) = search.after(&world, step) {
            world = after;
            check::safe(&search, &world)?;
        }
    }
    loop {
        let mut steps = Vec::new();
        search.flows(&world, &mut steps);
        let Some(after) = steps.into_iter().find_map(|step| search.after(&world, step)) else { break };
        world = after;
        check::safe(&search, &world)?;
    }
    check::ends(&search, &world)
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether the search ended by itself; nothing that is searched rests on it"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
