//! What an audit costs, beside the sum of its parts measured in the same run.
//!
//! `cargo bench -p weft-audit -- --entries 1000000` makes a ledger with the protocol's own authoring, then measures in
//! processes of their own: the audit of all of it, the parts that no audit can leave out, and the audit of what came
//! after an earlier one. Processor time is that of all threads, user and system.

mod generate;
mod parts;

use clap::{Parser, ValueEnum};
use generate::Ledger;
use parts::Parts;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use weft_audit::{VerifyOptions, verify_dir};

/// What can go wrong here is shown and ends the run.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
#[command(about = "What an audit costs, beside the sum of its parts")]
struct Arguments {
    /// Entries of the ledger
    #[arg(long, default_value_t = 100_000)]
    entries: u64,
    /// Entries that come after the first audit
    #[arg(long, default_value_t = 1_000)]
    new: u64,
    /// Who signs payments
    #[arg(long, value_enum, default_values_t = [Mix::Desk, Mix::Keys])]
    mix: Vec<Mix>,
    /// Times that each thing is measured; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Milliseconds between two entries
    #[arg(long, default_value_t = 60_000)]
    tick_ms: u64,
    /// Where the ledgers are made and left; a temporary folder that goes otherwise
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Measure one thing in this process
    #[arg(long, hide = true, num_args = 2, value_names = ["WHAT", "BUNDLE"])]
    here: Vec<String>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Who signs payments, besides the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mix {
    /// The desk, for people signed in at the node: two keys sign everything
    Desk,
    /// A thousand members with keys of their own
    Keys,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.here[..] {
        [what, bundle] => here(what, Path::new(bundle), arguments.runs),
        _ => run(&arguments),
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
    // Whoever reads may be gone; the work goes on.
    let _gone = writeln!(std::io::stdout(), "{line}");
}

/// Processor time of this process so far, of all threads, in nanoseconds.
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

fn seconds(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1_000)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// A ratio with two decimals.
fn ratio(a: u64, b: u64) -> String {
    let hundredths = a * 100 / b.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Measures one thing in this process and prints the figures: nanoseconds and KiB.
fn here(what: &str, bundle: &Path, runs: usize) -> Outcome<()> {
    match what {
        "audit" => {
            let audit = verify_dir(bundle, &VerifyOptions::default(), &mut |_| {})?;
            let (cpu, peak) = (cpu_ns(), peak_kib()?);
            if audit.exit_code != 0 {
                return Err(format!("the audit found {:#?}", audit.report().findings.kept().first()).into());
            }
            say(&format!("{cpu} {peak}"));
        }
        "result" => {
            let audit = verify_dir(bundle, &VerifyOptions::default(), &mut |_| {})?;
            std::fs::write(result_of(bundle), audit.audit.result()?)?;
        }
        "since" => {
            let options = VerifyOptions { since: Some(result_of(bundle)), ..VerifyOptions::default() };
            let audit = verify_dir(bundle, &options, &mut |_| {})?;
            let (cpu, peak) = (cpu_ns(), peak_kib()?);
            if audit.exit_code != 0 {
                return Err(format!("the audit found {:#?}", audit.report().findings.kept().first()).into());
            }
            say(&format!("{cpu} {peak}"));
        }
        "parts" => say(&Parts::measure(bundle, runs)?.into_line()),
        other => return Err(format!("there is no {other} to measure").into()),
    }
    Ok(())
}

/// Where the result of the first audit is kept.
fn result_of(bundle: &Path) -> PathBuf {
    bundle.with_extension("result")
}

/// The figures that another process of this program prints.
fn measure(what: &str, bundle: &Path, runs: usize) -> Outcome<Vec<u64>> {
    let program = std::env::current_exe()?;
    let runs = runs.to_string();
    let output = Command::new(program).args(["--runs", &runs, "--here", what]).arg(bundle).output()?;
    let text = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        return Err(text.into());
    }
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

fn run(arguments: &Arguments) -> Outcome<()> {
    let temporary = tempfile::Builder::new().prefix("weft-audit-bench-").tempdir()?;
    let folder = arguments.folder.as_deref().unwrap_or(temporary.path());
    for mix in &arguments.mix {
        let bundle = folder.join(format!("{mix:?}-{}", arguments.entries).to_lowercase());
        say(&format!("== {mix:?}: {} entries", arguments.entries));
        let before = cpu_ns();
        let mut ledger = Ledger::begin(&bundle, *mix, arguments.tick_ms)?;
        ledger.grow_to(arguments.entries)?;
        let made = cpu_ns() - before;
        say(&format!(
            "made              {} CPU, {} B an entry (not part of the audit)",
            seconds(made),
            ledger.bytes() / arguments.entries.max(1)
        ));
        audit_all(&bundle, arguments)?;
        measure("result", &bundle, 1)?;
        ledger.grow_to(arguments.entries + arguments.new)?;
        audit_since(&bundle, arguments)?;
    }
    Ok(())
}

/// The audit of what came after the first one.
fn audit_since(bundle: &Path, arguments: &Arguments) -> Outcome<()> {
    let (cpu, peak) = median_audit("since", bundle, arguments.runs)?;
    say(&format!(
        "going on          {} CPU for {} new entries (goal 0.5 s for 1,000), {} MiB peak, result of {} KiB",
        seconds(cpu),
        arguments.new,
        peak.div_ceil(1024),
        std::fs::metadata(result_of(bundle))?.len().div_ceil(1024)
    ));
    Ok(())
}

/// Median of the processor time, and the highest peak of the memory.
fn median_audit(what: &str, bundle: &Path, runs: usize) -> Outcome<(u64, u64)> {
    let (mut cpu, mut peak) = (Vec::new(), 0);
    for _ in 0..runs {
        let figures = measure(what, bundle, 1)?;
        let [ns, kib] = figures[..] else { return Err("the audit printed something else".into()) };
        cpu.push(ns);
        peak = peak.max(kib);
    }
    Ok((median(cpu), peak))
}

fn audit_all(bundle: &Path, arguments: &Arguments) -> Outcome<()> {
    let parts = Parts::from_line(&measure("parts", bundle, arguments.runs)?)?;
    let (cpu, peak) = median_audit("audit", bundle, arguments.runs)?;
    let named = [
        ("  node signatures  ", parts.node_signatures),
        ("  people and desk  ", parts.people_signatures),
        ("  decode and leaf  ", parts.decode),
        ("  tree             ", parts.tree),
        ("  rules (apply)    ", parts.apply),
        ("  reading files    ", parts.read),
    ];
    say("parts, CPU time, median:");
    for (name, part) in named {
        say(&format!("{name} {} for {} ({} ns each)", seconds(part.ns), part.count, part.each_ns()));
    }
    let sum: u64 = named.iter().map(|(_, part)| part.ns).sum();
    let stateless = sum - parts.apply.ns - parts.read.ns;
    say(&format!(
        "  sum               {}, {} of it without rules and reading",
        seconds(sum),
        seconds(stateless)
    ));
    say(&format!(
        "audit             {} CPU, {} of the sum of its parts (goal 1.25), {} of those without rules and reading; {} MiB peak (goal 300)",
        seconds(cpu),
        ratio(cpu, sum),
        ratio(cpu, stateless),
        peak.div_ceil(1024)
    ));
    let node_only = cpu.saturating_sub(parts.people_signatures.ns);
    say(&format!(
        "                  {} CPU with all node signatures, those of people and desk subtracted (goal 10 s for a million)",
        seconds(node_only)
    ));
    Ok(())
}
