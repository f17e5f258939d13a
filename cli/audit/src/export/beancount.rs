//! Beancount: <https://beancount.github.io/docs/beancount_language_syntax.html>.
//!
//! Dates are the days of the entries; the day that an author names stands in the metadata. Every balance is
//! asserted on the day after the last entry.

use super::Render;
use super::book::{Book, Event, day_of};
use std::io::{self, Write};

pub(super) struct Beancount;

/// A text in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Render for Beancount {
    fn event(&mut self, book: &Book, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Founded(entry) => {
                writeln!(out, "option \"title\" {}", quoted(&format!("Ledger {}", entry.body().ledger)))
            }
            Event::Unit(entry, id) => {
                writeln!(out, "{} commodity {}", day_of(entry), book.commodity(*id))?;
                let Some(unit) = book.unit(*id) else { return Ok(()) };
                writeln!(out, "  code: {}\n  name: {}", quoted(&unit.code), quoted(&unit.name))
            }
            Event::Opened(entry, id) => {
                let account = book.account(id);
                writeln!(
                    out,
                    "{} open {}\n  account: {}",
                    day_of(entry),
                    account.path,
                    quoted(&id.to_string())
                )?;
                account.name.iter().try_for_each(|name| writeln!(out, "  name: {}", quoted(name)))
            }
            Event::Closed(entry, id) => writeln!(out, "{} close {}", day_of(entry), book.account(id).path),
            Event::Moved(entry, movement) => {
                let (body, kind) = (entry.body(), entry.kind().name());
                writeln!(out, "\n{} * {}", day_of(entry), quoted(kind))?;
                writeln!(out, "  entry: {}\n  leaf: \"{}\"", body.seq, entry.leaf())?;
                let day = movement.when_day.and_then(|day| weft_protocol::time::Day(day).text());
                day.iter().try_for_each(|day| writeln!(out, "  happened: {day}"))?;
                movement.claim.iter().try_for_each(|claim| writeln!(out, "  claim: \"{claim}\""))?;
                movement.postings.iter().try_for_each(|p| {
                    let (amount, commodity) = (book.decimal(p.unit, p.delta), book.commodity(p.unit));
                    writeln!(out, "  {}  {amount} {commodity}", book.account(&p.account).path)
                })
            }
        }
    }

    fn end(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        let day = book.last_day().next();
        writeln!(out)?;
        for (id, unit, balance) in book.balances().filter(|(id, ..)| !book.account(id).closed) {
            let (amount, commodity) = (book.decimal(unit, balance), book.commodity(unit));
            writeln!(out, "{day} balance {}  {amount} {commodity}", book.account(id).path)?;
        }
        Ok(())
    }
}
