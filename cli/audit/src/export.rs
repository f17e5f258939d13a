//! A ledger's books in the formats of accounting programs: Beancount, hledger and Ledger, CSV, JSON Lines
//! (specs/exports.md).
//!
//! Only an audited ledger is exported: the books are written while the audit reads the same bytes, and count only when
//! the audit has found nothing wrong and the balances written are those of the replayed state.

mod beancount;
mod book;
mod csv;
mod journal;
mod jsonl;
mod names;

pub use book::Counts;
pub use names::{Names, NamesError};

use crate::{Audit, DirSource, StoreSource};
use book::{Book, Event};
use std::io::{self, Write};
use std::path::Path;
use weft_protocol::audit::{self, Finding, Item, NamedBytes, Options, Outcome, Source};
use weft_protocol::entry::Entry;
use weft_protocol::ledger::state::State;
use weft_protocol::log::tile::TilePath;

/// A format of accounting programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Beancount 2 and 3.
    Beancount,
    /// Plain-text journal that both hledger and Ledger read.
    Journal,
    /// One line for each posting, with a head line; RFC 4180.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    /// All formats with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("beancount", Self::Beancount),
        ("journal", Self::Journal),
        ("csv", Self::Csv),
        ("jsonl", Self::Jsonl),
    ];

    fn renderer(self) -> Box<dyn Render> {
        match self {
            Self::Beancount => Box::new(beancount::Beancount),
            Self::Journal => Box::new(journal::Journal),
            Self::Csv => Box::new(csv::Csv),
            Self::Jsonl => Box::new(jsonl::Jsonl),
        }
    }
}

/// Writes what happens in the books, in one format. What it is given comes in the order of the ledger.
trait Render {
    /// One thing that happened.
    fn event(&mut self, book: &Book, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()>;
    /// The balances at the end.
    fn end(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()>;
}

/// Why there is no export. What was written until then is not to be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder could not be read.
    #[error("the folder cannot be read: {0}")]
    Read(io::Error),
    /// The export could not be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The audit found something wrong, or could not look.
    #[error("the audit of this ledger has {wrong} findings that are wrong, or could not look at everything")]
    NotClean {
        /// How many.
        wrong: u64,
        /// The audit, for its report.
        audit: Box<Audit>,
    },
    /// Old entries are not here any more.
    #[error(
        "{entries} entries before the forward at place {before} were left out: the books cannot be written from the beginning"
    )]
    LeftOut {
        /// Place of the forward.
        before: u64,
        /// How many.
        entries: u64,
    },
    /// The books written and the replayed state differ: a fault of the program, never of the ledger.
    #[error("the balances written are not those of the ledger")]
    Balances,
}

/// What was exported.
#[derive(Debug)]
pub struct Exported {
    /// How much was written.
    pub counts: Counts,
    /// The audit made on the way.
    pub audit: Audit,
}

/// Exports a bundle, or with `is_store` the data folder of a node that does not run.
///
/// # Errors
/// When the folder cannot be read, the export not written, or the audit finds something wrong.
pub fn export(
    folder: &Path,
    is_store: bool,
    format: Format,
    names: Names,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<Exported, ExportError> {
    let mut source: Box<dyn Source> = if is_store {
        Box::new(StoreSource::open(folder).map_err(ExportError::Read)?)
    } else {
        Box::new(DirSource::open(folder).map_err(ExportError::Read)?)
    };
    let mut recorder = Recorder {
        source: &mut *source,
        book: Book::new(names),
        render: format.renderer(),
        out,
        failed: None,
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let audit = audit::replay(&mut recorder, &Options { threads, ..Options::default() }, progress);
    let Recorder { book, mut render, out, failed, .. } = recorder;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let findings = &audit.report.findings;
    if findings.outcome() != Outcome::Right {
        return Err(ExportError::NotClean { wrong: findings.wrong(), audit: Box::new(audit) });
    }
    if let Some(left_out) = audit.report.left_out {
        return Err(ExportError::LeftOut { before: left_out.before, entries: left_out.entries });
    }
    if !book.agrees_with(audit.state()) {
        return Err(ExportError::Balances);
    }
    render.end(&book, out)?;
    out.flush()?;
    Ok(Exported { counts: book.counts(), audit })
}

/// A source that writes down, as it hands them on, the entries of the audited ledger.
struct Recorder<'a> {
    source: &'a mut dyn Source,
    book: Book,
    render: Box<dyn Render>,
    out: &'a mut dyn Write,
    failed: Option<io::Error>,
}

impl Recorder<'_> {
    fn record(&mut self, bytes: &[u8]) {
        // What cannot be parsed is a finding of the audit, and ends the export there.
        let Ok(entry) = Entry::parse(bytes) else { return };
        let Self { book, render, out, failed, .. } = self;
        let written = book.events(&entry, &mut |book, event| render.event(book, event, *out));
        *failed = written.err();
    }
}

impl Source for Recorder<'_> {
    fn is_exact(&self) -> bool {
        self.source.is_exact()
    }
    fn base(&mut self) -> Result<Option<(State, String)>, Finding> {
        self.source.base()
    }

    fn checkpoint(&mut self) -> Result<Option<NamedBytes>, Finding> {
        self.source.checkpoint()
    }
    fn next_item(&mut self) -> Option<Item> {
        let item = self.source.next_item();
        if let (Some(Item::Own { bytes, .. }), None) = (&item, &self.failed) {
            self.record(bytes);
        }
        item
    }
    fn hash_tiles(&mut self, level: u8, index: u64) -> Vec<(TilePath, Result<NamedBytes, Finding>)> {
        self.source.hash_tiles(level, index)
    }
    fn finish(&mut self, size: Option<u64>) -> Vec<Finding> {
        self.source.finish(size)
    }
}

#[cfg(test)]
mod tests;
