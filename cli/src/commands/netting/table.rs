//! A table of debts as people keep it: CSV in, debts between named parties out, and every bad line by its number
//! (specs/netting.md §5).

use crate::context::Context;
use crate::outcome::{Exit, Failure, clean};
use crate::progress::Counter;
use csv::ByteRecord;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use weft_protocol::amount::parse_decimal;
use weft_protocol::netting::file::party;
use weft_protocol::netting::{Debt, MAX_TOTAL, Party};

/// The longest table that is read: some 40 million lines, which would need 10 GB in memory.
const MAX_FILE_BYTES: u64 = 2 << 30;
/// The names of the columns, in the order in which they stand without a header.
const COLUMNS: [&str; 3] = ["debtor", "creditor", "amount"];
/// A byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A table that was read to its end.
#[derive(Debug)]
pub(super) struct Table {
    /// The debts of its good lines.
    pub(super) debts: Vec<Debt>,
    /// On which lines they stand.
    pub(super) places: Vec<u64>,
    /// What the parties are called.
    pub(super) names: HashMap<Party, String>,
    /// Lines, without the header.
    pub(super) lines: u64,
    /// Lines that cannot stand.
    pub(super) bad: Vec<BadLine>,
}

/// A line that cannot stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Its number in the file, from 1.
    pub(super) line: u64,
    /// Why.
    pub(super) why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, clean(&self.why))
    }
}

impl BadLine {
    pub(super) fn json(&self) -> Value {
        json!({ "line": self.line, "why": self.why })
    }
}

/// Reads a table.
///
/// # Errors
/// When the file cannot be read at all; what is wrong with its lines is in the table.
pub(super) fn read(context: &Context, path: &Path, separator: char, decimals: u8) -> Result<Table, Failure> {
    let failed = |code: &str, why: String, advice: &str| {
        let what = format!("{} cannot be read", path.display());
        Failure::new(Exit::CouldNotCheck, code, what, advice).because(why)
    };
    let unreadable =
        |e: std::io::Error| failed("unreadable-file", e.to_string(), "check the name of the file");
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if length > MAX_FILE_BYTES {
        let why = format!("it has {length} bytes; at most {MAX_FILE_BYTES} are read");
        return Err(failed("file-too-long", why, "split it"));
    }
    let separator = u8::try_from(separator).expect("the option takes ASCII only");
    let mut counter = Counter::new(context, "lines read");
    parse(file.take(MAX_FILE_BYTES), separator, decimals, |line| counter.at(line))
        .map_err(|e| failed("unreadable-file", e.to_string(), "check that it is a CSV"))
}

/// Reads lines; `seen` hears how many there were.
pub(super) fn parse(
    input: impl Read,
    separator: u8,
    decimals: u8,
    mut seen: impl FnMut(u64),
) -> Result<Table, csv::Error> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(1 << 16)
        .from_reader(input);
    let mut table =
        Table { debts: Vec::new(), places: Vec::new(), names: HashMap::new(), lines: 0, bad: Vec::new() };
    let mut columns = Columns::Given;
    let (mut record, mut total, mut first) = (ByteRecord::new(), 0_i64, true);
    while reader.read_byte_record(&mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        if std::mem::take(&mut first) {
            without_mark(&mut record);
            if let Some(named) = Columns::named(&record) {
                columns = named;
                continue;
            }
        }
        table.lines = table.lines.saturating_add(1);
        seen(table.lines);
        match columns.debt(&record, decimals, total) {
            Ok(([debtor, creditor], debt)) => {
                total = total.saturating_add(debt.amount);
                table.debts.push(debt);
                table.places.push(line);
                table.names.entry(debt.debtor).or_insert(debtor);
                table.names.entry(debt.creditor).or_insert(creditor);
            }
            Err(why) => table.bad.push(BadLine { line, why }),
        }
    }
    Ok(table)
}

/// Where the columns stand.
enum Columns {
    /// As many as there must be, in their order.
    Given,
    /// By a header.
    Named([usize; 3]),
}

/// Spreadsheets put a mark before the first field.
fn without_mark(record: &mut ByteRecord) {
    if record.get(0).is_some_and(|field| field.starts_with(MARK)) {
        let fields = record.iter().enumerate();
        let bare: Vec<Vec<u8>> =
            fields.map(|(i, f)| f[if i == 0 { MARK.len() } else { 0 }..].to_vec()).collect();
        let position = record.position().cloned();
        *record = ByteRecord::from(bare);
        record.set_position(position);
    }
}

impl Columns {
    fn named(record: &ByteRecord) -> Option<Self> {
        let place = |column: &str| {
            record.iter().position(|field| field.trim_ascii().eq_ignore_ascii_case(column.as_bytes()))
        };
        let [Some(debtor), Some(creditor), Some(amount)] = COLUMNS.map(place) else { return None };
        Some(Self::Named([debtor, creditor, amount]))
    }

    /// The debt of a line, and what its parties are called.
    fn debt(&self, record: &ByteRecord, decimals: u8, total: i64) -> Result<([String; 2], Debt), String> {
        let places = match self {
            Self::Given if record.len() == COLUMNS.len() => [0, 1, 2],
            Self::Given => {
                let columns = COLUMNS.join(", ");
                return Err(format!("it has {} columns; these are needed: {columns}", record.len()));
            }
            Self::Named(places) => *places,
        };
        let field = |column: usize| {
            let name = COLUMNS[column];
            let bytes = record.get(places[column]).ok_or_else(|| format!("the column {name} is missing"))?;
            let text = std::str::from_utf8(bytes).map_err(|_| format!("the {name} is not UTF-8"))?;
            Ok::<_, String>(text.trim())
        };
        let (debtor, creditor) = (field(0)?, field(1)?);
        let named = |column: usize, name: &str| party(name).map_err(|e| format!("{}: {e}", COLUMNS[column]));
        let (from, to) = (named(0, debtor)?, named(1, creditor)?);
        if from == to {
            return Err(format!("{debtor} would owe themselves"));
        }
        let amount = parse_decimal(field(2)?, decimals)?.minor();
        if total.checked_add(amount).is_none_or(|sum| sum > MAX_TOTAL) {
            return Err(format!("with it all debts together are more than {MAX_TOTAL} of the smallest part"));
        }
        let names = [debtor.to_owned(), creditor.to_owned()];
        Ok((names, Debt { debtor: from, creditor: to, amount }))
    }
}
