//! What an operator does with the folder of a node: leaving out old entries, backups, and naming the ledger that a new
//! one follows.

use crate::backup::{self, About, ENDING};
use crate::clock::Clock;
use crate::config::Config;
use crate::data::DataDir;
use crate::keystore::Passphrase;
use crate::service::{PruneOptions, PruneReport, prune};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::identity::{LastGood, Predecessor};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::note::Note;
use weft_protocol::time::{Day, MS_PER_DAY};

/// Longest checkpoint file that is read.
const MAX_CHECKPOINT_BYTES: u64 = 64 * 1024;

/// The ledger that a new one takes the place of, as it stood at a checkpoint of it (specs/keys.md §5). Whether the
/// checkpoint is good is for its people to know: its signature is checked by nobody here, who has no key of that ledger.
///
/// # Errors
/// When the file is no checkpoint of that ledger, in words.
pub fn read_predecessor(ledger: LedgerId, file: &Path) -> Result<Predecessor, String> {
    let shown = file.display();
    let read = || {
        let mut bytes = Vec::new();
        File::open(file)?.take(MAX_CHECKPOINT_BYTES + 1).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let bytes = read().map_err(|e| format!("cannot read {shown}: {e}"))?;
    let note = Note::parse(&bytes).map_err(|e| format!("{shown} is no checkpoint: {e}"))?;
    let says: Checkpoint = note.text().parse().map_err(|e| format!("{shown} is no checkpoint: {e}"))?;
    let (own, origin) = (ledger.origin(), says.origin().as_str());
    // After a succession its log has another origin, the same with a number.
    let same = origin == own || origin.strip_prefix(&own).is_some_and(|rest| rest.starts_with('/'));
    match (same, says.size()) {
        (false, _) => Err(format!("{shown} is a checkpoint of {origin}, the ledger named is {own}")),
        (true, 0) => Err(format!("{shown} covers no entries: name a later checkpoint")),
        (true, size) => Ok(Predecessor { ledger, last_good: LastGood { size, root: says.root() } }),
    }
}

/// `weftd prune`.
#[derive(Debug, Args)]
pub struct Prune {
    /// The data folder
    #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
    data: PathBuf,
    /// Only what stands before a forward of before this day (YYYY-MM-DD)
    #[arg(long, value_name = "DAY")]
    before: Option<Day>,
    /// Change nothing: say what would be left out
    #[arg(long)]
    dry_run: bool,
    /// For tests: take a forward of any age
    #[arg(long, hide = true)]
    test_any_age: bool,
}

impl Prune {
    /// Leaves out entries, and says what was done.
    ///
    /// # Errors
    /// Why nothing was left out, in words.
    pub fn run(self) -> Result<String, String> {
        let data = DataDir::new(self.data);
        let _lock = data.lock().map_err(|e| e.to_string())?;
        let config = Config::load(&data.config()).map_err(|e| e.to_string())?;
        let start_ms = |day: Day| u64::try_from(day.0).unwrap_or(0).saturating_mul(MS_PER_DAY);
        let mut options =
            PruneOptions { before_ms: self.before.map(start_ms), dry: self.dry_run, ..Default::default() };
        if self.test_any_age {
            options.keep_ms = 0;
        }
        let report = prune(&data, &config, &options).map_err(|e| e.to_string())?;
        Ok(text(&report, self.dry_run))
    }
}

fn text(report: &PruneReport, dry: bool) -> String {
    let PruneReport { forward, time_ms, left_out, kept } = report;
    let done = if dry { "would be left out. Nothing was changed" } else { "are left out" };
    format!(
        "{left_out} entries before the forward of {}, at place {forward}, {done}. {} entries of keys and of channels with \
         peers\nfrom before it stay, and everything that peers have sent ({} entries, {} notes). Every hash stays, so old \
         receipts and proofs stay good.\nBackups made before still hold what is left out here.",
        Day::of_ms(*time_ms),
        kept.own,
        kept.received,
        kept.notes
    )
}

/// `weftd backup`.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make a backup, of a running or a stopped node
    Create {
        /// The data folder
        #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
        data: PathBuf,
        /// A file that is not there yet, or a folder, in which it is named after the network and the time
        to: PathBuf,
        /// Put the keys in as well: whoever opens it can then act as the node
        #[arg(long)]
        with_keys: bool,
        /// Do not encrypt it
        #[arg(long)]
        plain: bool,
        /// How it is opened, or locked
        #[command(flatten)]
        lock: Lock,
    },
    /// Read a backup back: every file, and an audit of the ledger in it
    Verify {
        /// The backup
        file: PathBuf,
        /// How it is opened, or locked
        #[command(flatten)]
        lock: Lock,
    },
    /// Make a new data folder of a backup
    Restore {
        /// The backup
        file: PathBuf,
        /// The data folder: new, or empty
        #[arg(long, env = "WEFT_DATA", default_value = "weft-data")]
        data: PathBuf,
        /// How it is opened, or locked
        #[command(flatten)]
        lock: Lock,
    },
}

/// Where the passphrase of a backup comes from.
#[derive(Debug, Args)]
pub struct Lock {
    /// A file whose first line is the passphrase of the backup; without it, a question
    #[arg(long, value_name = "FILE", env = "WEFT_BACKUP_PASSPHRASE_FILE")]
    backup_passphrase_file: Option<PathBuf>,
}

impl Lock {
    fn source(&self) -> crate::keystore::PassphraseSource {
        crate::keystore::PassphraseSource::find(self.backup_passphrase_file.clone(), None)
    }

    /// The passphrase of a backup that is there, when it needs one.
    fn of(&self, file: &Path) -> Result<Option<Passphrase>, String> {
        if !backup::is_encrypted(file).map_err(|e| e.to_string())? {
            return Ok(None);
        }
        let question = format!("Passphrase of {} (it is not shown): ", file.display());
        self.source().existing(&question).map(Some).map_err(|e| e.to_string())
    }
}

impl Backup {
    /// Does it, and says what was done.
    ///
    /// # Errors
    /// Why nothing was done, in words.
    pub fn run(self) -> Result<String, String> {
        match self {
            Self::Create { data, to, with_keys, plain, lock } => {
                let data = DataDir::new(data);
                let passphrase =
                    (!plain).then(|| lock.source().fresh()).transpose().map_err(|e| e.to_string())?;
                let config = Config::load(&data.config()).map_err(|e| e.to_string())?;
                let file = named(&to, &config.site, plain);
                let about = backup::create(&data, &file, passphrase.as_ref(), with_keys);
                let about = about.map_err(|e| e.to_string())?;
                Ok(created(&file, &about, plain))
            }
            Self::Verify { file, lock } => {
                let about = backup::verify(&file, lock.of(&file)?.as_ref()).map_err(|e| e.to_string())?;
                Ok(format!("{} is good: {}.{}", file.display(), said(&about), overdue(&about)))
            }
            Self::Restore { file, data, lock } => {
                let passphrase = lock.of(&file)?;
                let about = backup::restore(&file, passphrase.as_ref(), &data).map_err(|e| e.to_string())?;
                Ok(restored(&about, &data))
            }
        }
    }
}

fn named(to: &Path, site: &str, plain: bool) -> PathBuf {
    if !to.is_dir() {
        return to.to_owned();
    }
    let moment = weft_protocol::time::moment(Clock.now_ms()).replace(" UTC", "").replace([' ', ':'], "-");
    to.join(format!("{site}-{moment}{}", if plain { ".tar" } else { ENDING }))
}

fn said(about: &About) -> String {
    let keys = if about.keys { "with its keys" } else { "without keys" };
    format!(
        "{} ({}), made on {}, {} entries under a checkpoint, {keys}",
        about.site,
        about.origin,
        Day::of_ms(about.made_ms),
        about.entries
    )
}

fn overdue(about: &About) -> String {
    let age = Clock.now_ms().saturating_sub(about.made_ms);
    if age <= backup::RETENTION_MS {
        return String::new();
    }
    format!(
        "\nIt is {} days old: names and texts of people who were erased since are still in it. Destroy it.",
        age / MS_PER_DAY
    )
}

fn created(file: &Path, about: &About, plain: bool) -> String {
    let mut text = format!("Backup {}: {}.\n", file.display(), said(about));
    text.push_str(match plain {
        true => "It is not encrypted: whoever has the file reads names and texts of all members.\n",
        false => "It is encrypted: keep its passphrase apart from it, and from the node.\n",
    });
    if !about.keys {
        text.push_str("The keys are not in it: keep a copy of keys/ elsewhere, in a safe, or encrypted.\n");
    }
    let days = backup::RETENTION_MS / MS_PER_DAY;
    text.push_str(&format!(
        "It holds personal data: an erasure does not reach it. Destroy it after {days} days at the latest, and read it back \
         once with `weftd backup verify`."
    ));
    let folder = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for old in backup::overdue(folder, Clock.now_ms()) {
        text.push_str(&format!("\n{} was kept for more than {days} days: destroy it.", old.display()));
    }
    text
}

fn restored(about: &About, data: &Path) -> String {
    let folder = data.display();
    let keys = match about.keys {
        true => String::new(),
        false => format!("Put the node's keys into {folder}/keys first. "),
    };
    format!(
        "Restored into {folder}: {}.\n{keys}Start it with `weftd run --data {folder}`: it signs nothing before its peers have \
         said what they know of it.\nWhoever was erased after {} is there again with name and texts: erase them once more \
         (`weft member erase`).",
        said(about),
        Day::of_ms(about.made_ms)
    )
}
