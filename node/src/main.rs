//! `weftd`: the node of a community network.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weft_node::config::Config;
use weft_node::data::{DataDir, RECOVERY_KEY, ROOT_KEY};
use weft_node::demo::{self, Hook};
use weft_node::keystore::command::{self as keys, KeysCommand, Unlock, parse_public};
use weft_node::node::{Founding, Node, Options, RecoveryKey, found};
use weft_node::service::{Hooks, RecoverySecret};
use weft_node::upkeep::{Backup, Prune, read_predecessor};
use weft_protocol::ids::{KeyBytes, LedgerId, UnitId};
use weft_protocol::ledger::units::{UnitDefined, UnitKind};

/// Exit status: the configuration or the data cannot be used.
const BAD_CONFIGURATION: u8 = 78;

#[derive(Debug, Parser)]
#[command(version, about = "The node of a community network")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a data folder with fresh keys and found its ledger
    Init {
        /// The data folder
        #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
        data: PathBuf,
        /// Short name of the network: a-z, 0-9 and -
        #[arg(long)]
        site: String,
        /// A unit as CODE:NAME:KIND:DECIMALS with KIND time or credit; may be given several times
        #[arg(long = "unit", default_value = "hour:Hour:time:0", value_parser = unit)]
        units: Vec<UnitDefined>,
        /// Encrypt the keys with a passphrase
        #[arg(long)]
        encrypt_keys: bool,
        /// A root key that was made elsewhere, instead of one in the data folder; may be given several times
        #[arg(long = "root-key", value_name = "FILE")]
        root_keys: Vec<PathBuf>,
        /// Public half of one more root key, whose holder is not here; may be given several times
        #[arg(long = "root-public", value_name = "HEX", value_parser = parse_public, requires = "root_keys")]
        more_roots: Vec<KeyBytes>,
        /// How many root keys must sign together
        #[arg(long, value_name = "M", default_value_t = 1, requires = "root_keys")]
        threshold: u8,
        /// Public half of a recovery key that was made elsewhere (`weft key new FILE --recovery`), instead of one made here
        #[arg(long, value_name = "HEX", value_parser = parse_public)]
        recovery_public: Option<KeyBytes>,
        /// Id of the ledger that this one takes the place of, because too few of its root keys are left
        #[arg(long, value_name = "LEDGER", requires = "last_good")]
        predecessor: Option<LedgerId>,
        /// The last checkpoint of that ledger that its people hold to be good: a checkpoint file
        #[arg(long, value_name = "FILE", requires = "predecessor")]
        last_good: Option<PathBuf>,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// Run the node until it is told to stop
    Run {
        /// The data folder
        #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
        data: PathBuf,
        /// Listen for peers here instead of what weft.toml says
        #[arg(long)]
        listen: Vec<String>,
        /// Tell peers this address instead of what weft.toml says
        #[arg(long)]
        external: Vec<String>,
        /// Serve HTTP here instead of what weft.toml says
        #[arg(long)]
        http: Option<String>,
        /// This folder comes from an image of a disk or a machine: ask the peers before anything is signed
        #[arg(long)]
        restored: bool,
        /// After a restore: the recovery key, as a key file or a file with its 24 words; it opens what peers keep for us
        #[arg(long, value_name = "FILE", env = "WEFT_RECOVERY_KEY")]
        recovery_key: Option<PathBuf>,
        /// Faults for tests: ack-early, skip-sync, no-guard
        #[arg(long, hide = true)]
        test_hook: Vec<String>,
        /// For tests: write every frame exchanged with peers to this file
        #[arg(long, hide = true)]
        test_tap: Option<PathBuf>,
        #[command(flatten)]
        unlock: Unlock,
    },
    /// How the keys are kept: in plain, or encrypted
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Leave out old entries before a forward; the node is stopped
    Prune(Prune),
    /// Make, check and restore backups
    #[command(subcommand)]
    Backup(Backup),
    /// Show two networks paying each other, cut apart, killed and audited; or run a file of real payments
    Demo {
        /// Chooses names, amounts and order; the same seed gives the same output
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Keep both nodes running afterwards, until Ctrl-C
        #[arg(long)]
        serve: bool,
        /// Run real payments between several networks: a FILE with time_s,from,to,amount_cents, or the sample
        #[arg(long, value_name = "FILE", num_args = 0..=1)]
        records: Option<Option<PathBuf>>,
        /// With --records: limits as a percentage of what the file needs
        #[arg(long, default_value_t = 100, requires = "records")]
        limits: u64,
        /// Keep the networks' data folders, here: a new or empty folder
        #[arg(long, value_name = "FOLDER")]
        keep: Option<PathBuf>,
        /// With --records: print one JSON object
        #[arg(long, requires = "records")]
        json: bool,
        /// For tests: write every frame exchanged with peers to files in this folder
        #[arg(long, hide = true, requires = "records")]
        test_tap: Option<PathBuf>,
        /// Faults that show that the checks can fail
        #[arg(long, hide = true)]
        test_hook: Option<Hook>,
    },
}

fn unit(text: &str) -> Result<UnitDefined, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [code, name, kind, scale] = parts[..] else {
        return Err("a unit is CODE:NAME:KIND:DECIMALS, such as hour:Hour:time:0".to_owned());
    };
    let kind = match kind {
        "time" => UnitKind::Time,
        "credit" => UnitKind::Credit,
        other => return Err(format!("\"{other}\" is no kind of unit: use time or credit")),
    };
    let scale = scale.parse().map_err(|_| format!("\"{scale}\" is no number of decimals"))?;
    Ok(UnitDefined { unit: UnitId(0), code: code.to_owned(), name: name.to_owned(), kind, scale })
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        // A log that cannot be written, on a full disk say, must not end the thread that has something to say.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("WEFT_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,weft_node=info")),
        )
        .init();
    match Arguments::parse().command {
        Command::Init {
            data,
            site,
            units,
            encrypt_keys,
            root_keys,
            more_roots,
            threshold,
            recovery_public,
            predecessor,
            last_good,
            unlock,
        } => {
            let founded = || -> Result<(), String> {
                let old = predecessor.zip(last_good);
                let predecessor = old.map(|(ledger, file)| read_predecessor(ledger, &file)).transpose()?;
                let founding = founding(encrypt_keys, &root_keys, more_roots, threshold, &unlock)?;
                let recovery = recovery_public.map_or(RecoveryKey::Make, RecoveryKey::Public);
                make(data, &site, units, Founding { recovery, predecessor, ..founding })
            };
            report(founded())
        }
        Command::Keys(command) => report(keys::run(command).map(|text| say(&text))),
        Command::Backup(backup) => report(backup.run().map(|text| say(&text))),
        Command::Prune(prune) => report(prune.run().map(|text| say(&text))),
        Command::Run {
            data,
            listen,
            external,
            http,
            restored,
            recovery_key,
            test_hook,
            test_tap,
            unlock,
        } => {
            let has = |name: &str| test_hook.iter().any(|hook| hook == name);
            let hooks = Hooks { ack_early: has("ack-early"), no_guard: has("no-guard"), restored };
            let skip_sync = has("skip-sync");
            let ahead =
                test_hook.iter().find_map(|hook| hook.strip_prefix("days-ahead-")?.parse::<u64>().ok());
            weft_node::clock::set_ahead(ahead.unwrap_or(0).saturating_mul(86_400_000));
            let secret = recovery_key.map(|path| keys::read_secret_file(&path)).transpose();
            let options = secret.map(|secret| Options {
                listen,
                external,
                http,
                hooks,
                skip_sync,
                recovery: secret.map(RecoverySecret),
                tap: test_tap,
            });
            let started = options.and_then(|options| {
                let data = DataDir::new(data).unlocked(&unlock.source()).map_err(|e| e.to_string())?;
                run(data, options)
            });
            report(started)
        }
        Command::Demo { records: Some(file), limits, json, keep, test_tap, .. } => {
            let options = demo::RecordsOptions { file, limits_percent: limits, json, keep, tap: test_tap };
            demonstrate(demo::records(&options))
        }
        Command::Demo { seed, serve, records: None, test_hook, keep, .. } => {
            demonstrate(demo::run(&demo::Options { seed, serve, hook: test_hook, keep }))
        }
    }
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say_error(&why);
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// Runs a demo; a check that failed gives status 1.
fn demonstrate(demo: impl Future<Output = bool>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) if runtime.block_on(demo) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => report(Err(format!("no runtime: {error}"))),
    }
}

fn founding(
    encrypt_keys: bool,
    root_keys: &[PathBuf],
    more_roots: Vec<KeyBytes>,
    threshold: u8,
    unlock: &Unlock,
) -> Result<Founding, String> {
    let passphrase = encrypt_keys.then(|| unlock.source().fresh()).transpose().map_err(|e| e.to_string())?;
    let root_keys: Result<Vec<_>, _> = root_keys.iter().map(|path| keys::read_key_file(path)).collect();
    let root_keys = root_keys.map_err(|e| e.to_string())?;
    let (recovery, predecessor) = (RecoveryKey::Make, None);
    Ok(Founding { passphrase, root_keys, more_roots, threshold, recovery, predecessor })
}

fn make(data: PathBuf, site: &str, mut units: Vec<UnitDefined>, founding: Founding) -> Result<(), String> {
    for (unit, number) in units.iter_mut().zip(0..) {
        unit.unit = UnitId(number);
    }
    let config = Config::new(site).map_err(|e| e.to_string())?;
    let data = DataDir::new(data);
    let shape = Shape {
        encrypted: founding.passphrase.is_some(),
        own_root: founding.root_keys.is_empty(),
        own_recovery: matches!(founding.recovery, RecoveryKey::Make),
    };
    found(&data, &config, &units, founding).map_err(|e| e.to_string())?;
    say(&founded(site, &data, shape));
    Ok(())
}

/// What a founding has made.
struct Shape {
    encrypted: bool,
    own_root: bool,
    own_recovery: bool,
}

/// What a new operator has to know, and to do before anything else.
fn founded(site: &str, data: &DataDir, shape: Shape) -> String {
    let (folder, root) = (data.path().display(), data.key(ROOT_KEY));
    let root = root.display();
    let start =
        format!("{site}: the ledger is founded in {folder}. Start it with `weftd run --data {folder}`.\n");
    let rule = format!("`weft --data {folder} rule limit --unit CODE --all-members --stop AMOUNT --root-key");
    let purpose = "it signs rules and accords, and it is what proves,\nafter a fire or a theft, that this is still your \
                   network. The running node does not need it.\n";
    let keys = match (shape.own_root, shape.encrypted) {
        (false, _) => {
            "The root keys stay with their holders. The running node does not need them.\n".to_owned()
        }
        (true, false) => format!(
            "The root key is {root}. Copy it now to a place outside this machine, on paper with `weft key words \
             {root}`: {purpose}"
        ),
        (true, true) => format!(
            "The root key is {root}.age, encrypted. Take it out with `weftd keys export --data {folder} root-1 FILE` and \
             keep it outside this machine, on paper with `weft key words FILE`: {purpose}"
        ),
    };
    let recovery = match (shape.own_recovery, shape.encrypted) {
        (false, _) => String::new(),
        (true, encrypted) => recovery_text(data, encrypted),
    };
    let file = if shape.own_root && !shape.encrypted { root.to_string() } else { "FILE".to_owned() };
    format!("{start}{keys}{recovery}Nobody has a limit yet: set one with {rule} {file}`.")
}

/// What to do with the recovery key, tonight.
fn recovery_text(data: &DataDir, encrypted: bool) -> String {
    let (folder, file) = (data.path().display(), data.key(RECOVERY_KEY));
    let file = file.display();
    let out = if encrypted {
        format!("Take it out with `weftd keys export --data {folder} recovery FILE`, write")
    } else {
        "Write".to_owned()
    };
    let named = if encrypted { "FILE".to_owned() } else { file.to_string() };
    let stored = if encrypted { format!("FILE and {file}.age") } else { file.to_string() };
    format!(
        "The recovery key opens the copies of this ledger that other networks keep, should this machine be lost. {out} its \
         24 words\non paper (`weft key words {named} --recovery`), give the paper to two people, and then remove {stored}: the \
         node does not need it.\n"
    )
}

#[tokio::main]
async fn run(data: DataDir, options: Options) -> Result<(), String> {
    // Before the start, which can take a while: who is asked to stop then still stops cleanly, once the start is done.
    let mut stop = StopSignals::new().map_err(|e| format!("cannot wait for signals: {e}"))?;
    let node = Node::start(data, options).await.map_err(|e| e.to_string())?;
    let http = node.http_address().map_or_else(|| "off".to_owned(), |a| a.to_string());
    let peers: Vec<String> = node.listen_addresses().await.iter().map(ToString::to_string).collect();
    say(&format!("ready http={http} p2p={}", peers.join(",")));
    stop.wait().await;
    node.stop().await
}

/// Asks to end the program that have come since this was made.
struct StopSignals {
    end: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { end: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for an interrupt or a request to end.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.end.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is what the program has to say")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "why the program ends")]
fn say_error(text: &str) {
    eprintln!("weftd: {text}");
}
