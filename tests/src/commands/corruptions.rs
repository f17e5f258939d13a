//! `corruptions`: bundles corrupted at random, judged by `weft audit verify` and by the Python verifier.

use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weft_tests::corruptions::sources::{from_processes, from_simulator, grounds_made};
use weft_tests::corruptions::{Ground, Options, run as corrupt, walks};
use weft_tests::kit::{Failure, Outcome};
use weft_tests::model::Scenario;

/// What to corrupt, and how often.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many corruptions.
    #[arg(long, default_value_t = 500)]
    count: u64,
    /// The number of the first.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Decides what is done to the ledgers. Those of running nodes have other keys in every run; the simulated one is always the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only ledgers that are made, not those of processes: nothing is started, and the same seed gives the same bytes.
    #[arg(long)]
    simulated: bool,
    /// No corruptions: so many ways through each small world of the model check, every ledger of which both auditors judge.
    #[arg(long)]
    walks: Option<u64>,
    /// Keeps bundles that were judged wrongly in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Runs it; fails when anything was missed, not named, or judged differently.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    super::end(scenario(arguments))
}

async fn scenario(arguments: &Arguments) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    if let Some(count) = arguments.walks {
        return walk(arguments.first..arguments.first + count, folder.path());
    }
    let grounds = grounds(folder.path(), arguments.simulated, arguments.seed).await?;
    for ground in &grounds {
        super::say(&format!(
            "a ledger of {} entries, {} peers",
            ground.model.own.len(),
            ground.model.peers.len()
        ));
    }
    let options = Options {
        count: arguments.count,
        first: arguments.first,
        seed: arguments.seed,
        keep: arguments.keep.clone(),
    };
    let tally = corrupt(&grounds, &options, folder.path(), &mut |line| super::say(line))?;
    tally.acts.iter().for_each(|(act, times)| super::say(&format!("{times:5}  {act}")));
    tally.failures.iter().for_each(|failure| super::say(failure));
    super::say(&format!(
        "{} corruptions, seed {}: {} found and named, {} not checked and named, {} rewritten unseen and warned of, {} that nobody can tell, {} failures; judged by {}",
        tally.corruptions,
        arguments.seed,
        tally.found,
        tally.not_there,
        tally.warned,
        tally.unseen,
        tally.failures.len(),
        if tally.both { "weft and the Python verifier, which agree" } else { "weft alone" }
    ));
    if tally.failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("{} failures", tally.failures.len())))
    }
}

async fn grounds(at: &Path, simulated: bool, seed: u64) -> Outcome<Vec<Ground>> {
    let simulator = Ground { model: from_simulator(seed)?, bundle: at.join("simulated") };
    simulator.model.write(&simulator.bundle)?;
    let mut grounds = grounds_made(at)?;
    grounds.push(simulator);
    if !simulated {
        let bundle = at.join("processes");
        grounds.push(Ground { model: from_processes(at, &bundle).await?, bundle });
    }
    Ok(grounds)
}

fn walk(seeds: std::ops::Range<u64>, at: &Path) -> Outcome<()> {
    let walks = walks::run(&Scenario::ALL, seeds, at, &mut super::say)?;
    for (world, (count, wrong)) in &walks.worlds {
        super::say(&format!("{count:>5}, {wrong:>4} with something wrong  {world}"));
    }
    walks.failures.iter().for_each(|failure| super::say(failure));
    super::say(&format!(
        "{} ledgers of small worlds, {} with a reset, nothing wrong in {}; of {} pairs {} are opposite; {} judged differently by {}",
        walks.ledgers,
        walks.reset,
        walks.right,
        walks.compared,
        walks.opposite,
        walks.failures.len(),
        if walks.both { "weft and the Python verifier" } else { "weft alone" }
    ));
    if walks.failures.is_empty() { Ok(()) } else { Err(Failure::new("the two auditors differ")) }
}
