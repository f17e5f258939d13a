//! What an operator does with the folder of a stopped node: leaving out old entries.

use crate::config::Config;
use crate::data::DataDir;
use crate::service::{PruneOptions, PruneReport, prune};
use clap::Args;
use std::path::PathBuf;
use weft_protocol::time::{Day, MS_PER_DAY};

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
