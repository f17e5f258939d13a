//! CSV: one line for each posting, with the balance after it.

use super::Render;
use super::book::{Book, Event, day_of};
use std::io::{self, Write};
use weft_protocol::time::Day;

pub(super) struct Csv;

const HEAD: [&str; 12] = [
    "entry", "date", "happened", "kind", "account", "path", "name", "unit", "amount", "balance", "claim",
    "leaf",
];

/// Room for one line; a longer one is written in pieces.
const MAX_LINE_BYTES: usize = 1_024;

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula { format!("'{text}") } else { text.to_owned() }
}

fn line<'a>(out: &mut dyn Write, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new()
        .buffer_capacity(MAX_LINE_BYTES)
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    writer.write_record(fields).map_err(io::Error::other)?;
    writer.flush()
}

impl Render for Csv {
    fn event(&mut self, book: &Book, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Founded(_) => line(out, HEAD),
            Event::Unit(..) | Event::Opened(..) | Event::Closed(..) => Ok(()),
            Event::Moved(entry, movement) => {
                let (seq, day) = (entry.body().seq.to_string(), day_of(entry).to_string());
                let happened = movement.when_day.and_then(|day| Day(day).text()).unwrap_or_default();
                let claim = movement.claim.map_or_else(String::new, |claim| claim.to_string());
                let leaf = entry.leaf().to_string();
                for p in &movement.postings {
                    let account = book.account(&p.account);
                    let id = p.account.to_string();
                    let name = account.name.as_deref().map(harmless).unwrap_or_default();
                    let unit = book.unit(p.unit).map_or_else(String::new, |unit| harmless(&unit.code));
                    let amount = book.decimal(p.unit, p.delta);
                    let balance = book.decimal(p.unit, book.balance(&p.account, p.unit));
                    let kind = entry.kind().name();
                    let fields: [&str; 12] = [
                        &seq,
                        &day,
                        &happened,
                        kind,
                        &id,
                        &account.path,
                        &name,
                        &unit,
                        &amount,
                        &balance,
                        &claim,
                        &leaf,
                    ];
                    line(out, fields)?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, _: &Book, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
