//! The books of the real records, read by the programs that accountants use.
//!
//! Each program reads them in its strictest mode, and the balances that it works out from the postings are ours.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use weft_tests::binaries::{weft, weftd};
use weft_tests::require::{Tool, need};

/// Balances by account path, in hundredths.
type Balances = BTreeMap<String, i64>;

fn run(command: &mut Command) -> Output {
    let out = command.stdin(Stdio::null()).output().expect("the program starts");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{command:?}: {}", said.chars().take(2_000).collect::<String>());
    out
}

fn text(out: Output) -> String {
    String::from_utf8(out.stdout).expect("text")
}

/// The books of each network after the sample of records, in all formats: a folder with `NETWORK.FORMAT`.
struct Books {
    folder: tempfile::TempDir,
    networks: Vec<String>,
    /// What each network's node said of its peers, in cents: above zero they owe it.
    positions: BTreeMap<String, Vec<i64>>,
}

impl Books {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().join("records");
        let said =
            text(run(Command::new(weftd()).args(["demo", "--records", "--json", "--keep"]).arg(&kept)));
        let report: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
        let networks = report["networks"].as_object().expect("networks");
        let position = |of: &Value| of["position_cents"].as_i64().expect("cents");
        let of_peers = |of: &Value| of["peers"].as_object().expect("peers").values().map(position).collect();
        let positions = networks.iter().map(|(name, of)| (name.to_lowercase(), of_peers(of))).collect();
        let networks: Vec<String> = networks.keys().map(|name| name.to_lowercase()).collect();
        for network in &networks {
            let bundle = folder.path().join(format!("{network}-bundle"));
            run(Command::new(weft())
                .args(["audit", "bundle", "--store"])
                .arg(kept.join(network))
                .arg(&bundle));
            for format in ["beancount", "journal", "csv", "jsonl"] {
                let out = folder.path().join(format!("{network}.{format}"));
                let export = ["audit", "export", "--format", format, "--out"];
                run(Command::new(weft()).args(export).arg(&out).arg(&bundle));
            }
        }
        Self { folder, networks, positions }
    }

    fn file(&self, network: &str, format: &str) -> PathBuf {
        self.folder.path().join(format!("{network}.{format}"))
    }

    /// Our balances: those of the replayed ledger, by the names in the export.
    fn ours(&self, network: &str) -> Balances {
        let lines = fs::read_to_string(self.file(network, "jsonl")).expect("an export");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of_type = |wanted: &'static str| lines.iter().filter(move |line| line["type"] == wanted);
        let word = |value: &Value| value.as_str().expect("a text").to_owned();
        let paths: BTreeMap<String, String> =
            of_type("opened").map(|line| (word(&line["account"]), word(&line["path"]))).collect();
        let balance = |line: &Value| {
            (paths[&word(&line["account"])].clone(), word(&line["minor"]).parse().expect("a number"))
        };
        of_type("balance").map(balance).filter(|(_, minor)| *minor != 0).collect()
    }
}

/// `-1234.50 CREDIT` in hundredths.
fn hundredths(amount: &str) -> i64 {
    let number = amount.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '"' || c == ' ');
    number.replace(['.', ','], "").parse().unwrap_or_else(|_| panic!("{amount} is no amount"))
}

/// Lines `ACCOUNT,AMOUNT` of CSV.
fn csv(text: &str) -> Balances {
    let line = |line: &str| {
        let (account, amount) = line.split_once(',')?;
        let amount = amount.trim().trim_matches('"');
        amount.contains("CREDIT").then(|| (account.trim().trim_matches('"').to_owned(), hundredths(amount)))
    };
    text.lines().filter_map(line).filter(|(_, minor)| *minor != 0).collect()
}

fn beancount(bean_check: &Path, file: &Path) -> Balances {
    run(Command::new(bean_check).arg(file));
    let query = "SELECT account, sum(position) GROUP BY account";
    csv(&text(run(Command::new(bean_check.with_file_name("bean-query"))
        .args(["-f", "csv"])
        .arg(file)
        .arg(query))))
}

fn hledger(hledger: &Path, file: &Path) -> Balances {
    run(Command::new(hledger).arg("-f").arg(file).args(["check", "--strict"]));
    csv(&text(run(Command::new(hledger).arg("-f").arg(file).args(["balance", "--flat", "-N", "-O", "csv"]))))
}

fn ledger(ledger: &Path, file: &Path) -> Balances {
    let strict = ["--strict", "--pedantic", "--init-file", "/dev/null", "balance", "--flat", "--no-total"];
    let format = ["--format", "%(account),%(display_total)\n"];
    csv(&text(run(Command::new(ledger).arg("-f").arg(file).args(strict).args(format))))
}

#[test]
fn accounting_programs_accept_the_books_of_the_records_and_their_balances_are_ours() {
    let readers = [
        (Tool::Beancount, "beancount", beancount as fn(&Path, &Path) -> Balances),
        (Tool::Hledger, "journal", hledger),
        (Tool::Ledger, "journal", ledger),
    ];
    let readers: Vec<_> =
        readers.into_iter().filter_map(|(tool, format, read)| Some((need(tool)?, format, read))).collect();
    let books = Books::make();
    for network in &books.networks {
        let ours = books.ours(network);
        assert!(ours.len() > 50 && ours.values().sum::<i64>() == 0, "{network}: {} accounts", ours.len());
        let mut peers: Vec<i64> =
            ours.iter().filter(|(path, _)| path.contains(":Peer:")).map(|(_, owed)| -owed).collect();
        let mut said = books.positions[network].clone();
        peers.sort_unstable();
        said.sort_unstable();
        assert_eq!(peers, said, "{network}: positions with peers");
        for (program, format, read) in &readers {
            assert_eq!(read(program, &books.file(network, format)), ours, "{network}: {}", program.display());
        }
        let lines = fs::read_to_string(books.file(network, "csv")).expect("an export");
        assert_eq!(last_balances(&lines), ours, "{network}: the last line of each account");
    }
}

/// The balance column of each account's last line.
fn last_balances(text: &str) -> Balances {
    let fields = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let all: Balances = fields.map(|line| (line[5].to_owned(), hundredths(line[9]))).collect();
    all.into_iter().filter(|(_, minor)| *minor != 0).collect()
}

/// A reader that took everything would prove nothing.
#[test]
fn the_same_programs_refuse_books_with_one_amount_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let bean = "option \"title\" \"x\"\n2026-01-01 open Assets:A\n2026-01-01 open Assets:B\n\n\
                2026-01-02 * \"transfer\"\n  Assets:A  -1.00 CREDIT\n  Assets:B  1.01 CREDIT\n";
    let journal = "account Assets:A\naccount Assets:B\ncommodity \"CREDIT\"\n    format 1000.00 \"CREDIT\"\n\n\
                   2026-01-02 * transfer\n    Assets:A  -1.00 \"CREDIT\"\n    Assets:B  1.01 \"CREDIT\"\n";
    let (bean_file, journal_file) = (dir.path().join("x.beancount"), dir.path().join("x.journal"));
    fs::write(&bean_file, bean).expect("written");
    fs::write(&journal_file, journal).expect("written");
    let refuses = |program: PathBuf, args: &[&str], file: &Path| {
        let mut command = Command::new(program);
        command.args(&args[..args.len().min(1)]).arg(file).args(&args[args.len().min(1)..]);
        assert!(!command.output().expect("it starts").status.success(), "{command:?}");
    };
    if let Some(program) = need(Tool::Beancount) {
        refuses(program, &[], &bean_file);
    }
    if let Some(program) = need(Tool::Hledger) {
        refuses(program, &["-f", "check", "--strict"], &journal_file);
    }
    if let Some(program) = need(Tool::Ledger) {
        refuses(program, &["-f", "--strict", "--pedantic", "balance"], &journal_file);
    }
}
