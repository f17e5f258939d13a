//! A journal that both hledger (<https://hledger.org/hledger.html>) and Ledger (<https://ledger-cli.org>) read in
//! their strict modes: only what is the same in both is used.
//!
//! Commodities stand in quotes, so that digits and `-` in them mean nothing else. Every balance is asserted at the end.

use super::Render;
use super::book::{Book, Event, day_of};
use std::io::{self, Write};

pub(super) struct Journal;

/// Tags in comments; strict readers want them declared.
const TAGS: [&str; 3] = ["leaf", "happened", "claim"];

impl Render for Journal {
    fn event(&mut self, book: &Book, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Founded(entry) => {
                writeln!(out, "; Ledger {}", entry.body().ledger)?;
                TAGS.iter().try_for_each(|tag| writeln!(out, "tag {tag}"))
            }
            Event::Unit(_, id) => {
                let commodity = book.commodity(*id);
                // A thousand, so that Ledger takes the point for decimals and hledger knows how many there are.
                let scale = book.unit(*id).map_or(0, |unit| unit.scale);
                let sample = if scale == 0 {
                    "1000".to_owned()
                } else {
                    format!("1000.{:0<1$}", "", usize::from(scale))
                };
                let point = if scale == 0 { "." } else { "" };
                writeln!(out, "commodity \"{commodity}\"\n    format {sample}{point} \"{commodity}\"")
            }
            Event::Opened(_, id) => {
                let account = book.account(id);
                if let Some(name) = &account.name {
                    writeln!(out, "; {name}")?;
                }
                writeln!(out, "account {}", account.path)
            }
            Event::Closed(entry, id) => {
                writeln!(out, "; closed on {}: {}", day_of(entry), book.account(id).path)
            }
            Event::Moved(entry, movement) => {
                writeln!(out, "\n{} * ({}) {}", day_of(entry), entry.body().seq, entry.kind().name())?;
                writeln!(out, "    ; leaf: {}", entry.leaf())?;
                let day = movement.when_day.and_then(|day| weft_protocol::time::Day(day).text());
                day.iter().try_for_each(|day| writeln!(out, "    ; happened: {day}"))?;
                movement.claim.iter().try_for_each(|claim| writeln!(out, "    ; claim: {claim}"))?;
                movement.postings.iter().try_for_each(|p| {
                    let (amount, commodity) = (book.decimal(p.unit, p.delta), book.commodity(p.unit));
                    writeln!(out, "    {}  {amount} \"{commodity}\"", book.account(&p.account).path)
                })
            }
        }
    }

    fn end(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        if book.balances().next().is_none() {
            return Ok(());
        }
        writeln!(out, "\n{} * balances at the end", book.last_day())?;
        for (id, unit, balance) in book.balances() {
            let (nothing, commodity) = (book.decimal(unit, 0), book.commodity(unit));
            let (path, balance) = (&book.account(id).path, book.decimal(unit, balance));
            writeln!(out, "    {path}  {nothing} \"{commodity}\" = {balance} \"{commodity}\"")?;
        }
        Ok(())
    }
}
