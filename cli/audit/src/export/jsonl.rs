//! JSON Lines: one object a line, each with its `type`; amounts are texts, because JSON's numbers lose digits.

use super::Render;
use super::book::{Book, Event, day_of};
use serde_json::{Value, json};
use std::io::{self, Write};
use weft_protocol::time::Day;

/// Schema of the lines.
const SCHEMA: &str = "weft.books/1";

pub(super) struct Jsonl;

fn line(out: &mut dyn Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{value}")
}

impl Render for Jsonl {
    fn event(&mut self, book: &Book, event: &Event<'_>, out: &mut dyn Write) -> io::Result<()> {
        match event {
            Event::Founded(entry) => line(
                out,
                &json!({ "type": "ledger", "schema": SCHEMA, "ledger": entry.body().ledger.to_string() }),
            ),
            Event::Unit(entry, id) => {
                let Some(unit) = book.unit(*id) else { return Ok(()) };
                let (number, scale) = (id.0, unit.scale);
                line(
                    out,
                    &json!({
                        "type": "unit", "entry": entry.body().seq, "unit": number, "code": unit.code,
                        "name": unit.name, "kind": format!("{:?}", unit.kind).to_lowercase(), "scale": scale,
                    }),
                )
            }
            Event::Opened(entry, id) => {
                let account = book.account(id);
                line(
                    out,
                    &json!({
                        "type": "opened", "entry": entry.body().seq, "account": id.to_string(),
                        "path": account.path, "name": account.name,
                    }),
                )
            }
            Event::Closed(entry, id) => {
                line(out, &json!({ "type": "closed", "entry": entry.body().seq, "account": id.to_string() }))
            }
            Event::Moved(entry, movement) => {
                let posting = |p: &weft_protocol::ledger::transfer::Posting| {
                    json!({
                        "account": p.account.to_string(), "unit": p.unit.0, "minor": p.delta.to_string(),
                        "balance": book.balance(&p.account, p.unit).to_string(),
                    })
                };
                let postings: Vec<Value> = movement.postings.iter().map(posting).collect();
                line(
                    out,
                    &json!({
                        "type": "movement", "entry": entry.body().seq, "date": day_of(entry).to_string(),
                        "time_ms": entry.body().time_ms, "kind": entry.kind().name(),
                        "happened": movement.when_day.and_then(|day| Day(day).text()),
                        "claim": movement.claim.map(|claim| claim.to_string()),
                        "leaf": entry.leaf().to_string(), "postings": postings,
                    }),
                )
            }
        }
    }

    fn end(&mut self, book: &Book, out: &mut dyn Write) -> io::Result<()> {
        book.balances().try_for_each(|(account, unit, balance)| {
            let (account, balance) = (account.to_string(), balance.to_string());
            line(out, &json!({ "type": "balance", "account": account, "unit": unit.0, "minor": balance }))
        })
    }
}
