//! What netting costs, beside OR-tools and LEMON on the same instances in the same run.
//!
//! `cargo bench -p weft-protocol --bench netting` prints processor seconds: ours with everything between the debts in order
//! and the certificate (components, canonical costs, solving), theirs of solving alone. Every instance is solved in a
//! process of its own. A volume that differs, or a certificate that does not hold, ends the run with status 1.

// The tests of the whole system make the same instances; they depend on the node, which this benchmark does not build.
#[path = "../../../tests/src/netting/families.rs"]
#[expect(unreachable_pub, reason = "it is public in the tests, which know the same graphs")]
mod families;
mod peers;

use clap::Parser;
use families::Instance;
use peers::{Peers, Solved};
use rustix::time::{ClockId, clock_gettime};
use std::process::{Command, ExitCode};
use weft_protocol::ids::Hash;
use weft_protocol::netting::{Begin, Component, Debts, Party};

/// What can go wrong here is shown and ends the run.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const USUAL: [&str; 8] = [
    "tier-1000-5",
    "mix-1000-10",
    "fed-500-10",
    "fed-2000-10",
    "tier-10000-5",
    "mix-10000-10",
    "tier-100000-5",
    "mix-100000-5",
];

#[derive(Debug, Parser)]
#[command(about = "What netting costs, beside OR-tools and LEMON")]
struct Arguments {
    /// Instances, such as tier-10000-5; those that tests know otherwise
    #[arg(long)]
    instance: Vec<Instance>,
    /// Times that each is solved, by everybody; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Ours alone
    #[arg(long)]
    alone: bool,
    /// Ours begins with what is owed, without cost scaling
    #[arg(long)]
    from_owed: bool,
    /// Solve one instance in this process
    #[arg(long, hide = true)]
    here: Option<Instance>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.here {
        Some(instance) => here(instance, arguments.from_owed),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("FAILED: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // Whoever reads may be gone; the work goes on.
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A party by its number, in the order of numbers.
fn numbered(number: u32) -> Party {
    let mut party = [0; 32];
    party[..4].copy_from_slice(&number.to_be_bytes());
    party
}

/// Processor time of this process so far, in nanoseconds.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (s, ns) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    s * 1_000_000_000 + ns
}

fn peak_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.ok_or("/proc/self/status has no VmHWM")?.trim().trim_end_matches("kB").trim().parse()?)
}

/// What one process measured of one instance.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Edges that lie in components.
    edges: u64,
    order_ns: u64,
    prune_ns: u64,
    solve_ns: u64,
    verify_ns: u64,
    peak_kib: u64,
    volume: i128,
}

/// Solves one instance and prints the figures in their order.
fn here(instance: &Instance, from_owed: bool) -> Outcome<()> {
    let given = instance.debts();
    let begun = cpu_ns();
    let debts = Debts::new(&given)?;
    let ordered = cpu_ns();
    drop(given);
    let dropped = cpu_ns();
    let parts = debts.components(&Hash([0; 32]));
    let pruned = cpu_ns();
    let begin = |part: &Component| if from_owed { Begin::Owed } else { Begin::best(part.nodes.len()) };
    let cleared: Vec<_> = parts.iter().map(|part| part.solve_from(begin(part))).collect();
    let solved = cpu_ns();
    for (part, cleared) in parts.iter().zip(&cleared) {
        part.verify(cleared)?;
    }
    let verified = cpu_ns();
    let edges: usize = parts.iter().map(|part| part.edges.len()).sum();
    let volume: i128 = cleared.iter().map(|cleared| cleared.volume()).sum();
    let times =
        [ordered - begun, pruned - dropped, solved - pruned, verified - solved].map(|ns| ns.to_string());
    say(&format!("{edges} {} {} {volume}", times.join(" "), peak_kib()?));
    Ok(())
}

/// The median run of a process of its own.
fn ours(instance: &Instance, arguments: &Arguments) -> Outcome<Figures> {
    let mut runs = Vec::new();
    for _ in 0..arguments.runs.max(1) {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--here").arg(instance.to_string()).args(arguments.from_owed.then_some("--from-owed"));
        let out = command.output()?;
        let text = String::from_utf8(out.stdout)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [edges, order, prune, solve, verify, peak, volume] = words[..] else { return Err(text.into()) };
        runs.push(Figures {
            edges: edges.parse()?,
            order_ns: order.parse()?,
            prune_ns: prune.parse()?,
            solve_ns: solve.parse()?,
            verify_ns: verify.parse()?,
            peak_kib: peak.parse()?,
            volume: volume.parse()?,
        });
    }
    runs.sort_unstable_by_key(|run| run.prune_ns + run.solve_ns);
    Ok(runs[runs.len() / 2])
}

/// The median run of each of the others.
fn theirs(peers: &Peers, instance: &Instance, runs: usize) -> Outcome<[Option<Solved>; 3]> {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs.max(1) {
        for (solved, list) in peers.solve(instance.parties)?.into_iter().zip(&mut all) {
            list.extend(solved);
        }
    }
    Ok(all.map(|mut runs: Vec<Solved>| {
        runs.sort_unstable_by_key(|run| run.cpu_ns);
        runs.get(runs.len() / 2).copied()
    }))
}

fn seconds(ns: u64) -> String {
    format!("{}.{:04}", ns / 1_000_000_000, ns / 100_000 % 10_000)
}

fn ratio(a: u64, b: u64) -> String {
    let hundredths = a * 100 / b.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let folder = tempfile::Builder::new().prefix("weft-netting-bench-").tempdir()?;
    let peers = if arguments.alone { Peers::none(folder.path()) } else { Peers::find(folder.path()) };
    let usual = || USUAL.iter().map(|name| name.parse()).collect::<Result<Vec<Instance>, _>>();
    let instances = if arguments.instance.is_empty() { usual()? } else { arguments.instance.clone() };
    say("CPU seconds; × is ours (components, costs, solving) over theirs (solving alone)");
    say(
        "instance             edges    order   comps    solve   verify    MiB       volume   OR-tools         LEMON simplex    LEMON scaling",
    );
    for instance in &instances {
        if instance.is_right() == Some(false) {
            return Err(format!("{instance} is another graph than others make").into());
        }
        let us = ours(instance, arguments)?;
        peers.write(instance.parties, &if arguments.alone { Vec::new() } else { instance.rows() })?;
        let whole = us.prune_ns + us.solve_ns;
        let mut line = format!(
            "{:<16} {:>9} {:>8} {:>7} {:>8} {:>5} {}% {:>6} {:>12}",
            instance.to_string(),
            us.edges,
            seconds(us.order_ns),
            seconds(us.prune_ns),
            seconds(us.solve_ns),
            seconds(us.verify_ns),
            ratio(us.verify_ns * 100, us.solve_ns),
            us.peak_kib.div_ceil(1024),
            us.volume,
        );
        for them in theirs(&peers, instance, arguments.runs)? {
            match them {
                Some(them) if them.volume != us.volume => {
                    return Err(format!("{instance}: we clear {}, others {}", us.volume, them.volume).into());
                }
                Some(them) => {
                    line.push_str(&format!(" {:>9} ×{:<5}", seconds(them.cpu_ns), ratio(whole, them.cpu_ns)));
                }
                None => line.push_str("        –       "),
            }
        }
        say(&line);
    }
    Ok(())
}
