//! The test vectors of `specs/vectors`: made from fixed keys and fixed salts, so every run gives the same bytes.
//!
//! What must hold: nothing in here depends on the clock, on randomness or on the order of a hash map. An expected value is what
//! the rules gave; that they gave the right one is for the verifier to find, which knows the texts and not this code.

mod clearing;
mod encoding;
mod entries;
mod erasure;
mod evidence;
mod federation;
mod identity;
mod keys;
mod kit;
mod letters;
mod log;
mod mirror;
mod netting;
mod postings;
mod sealed;
mod settlement;
mod wire;
mod witness;

use serde_json::Value;
use weft_protocol::keys::SecretKey;

/// Every file of vectors: its name and content.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("encoding.json", encoding::vectors()),
        ("keys.json", keys::vectors()),
        ("entries.json", entries::vectors()),
        ("identity.json", identity::vectors()),
        ("postings.json", postings::vectors()),
        ("clearing.json", clearing::vectors()),
        ("disputes.json", clearing::disputes::vectors()),
        ("resets.json", clearing::resets::vectors()),
        ("exchange.json", clearing::exchange::vectors()),
        ("log.json", log::vectors()),
        ("wire.json", wire::vectors()),
        ("sealed.json", sealed::vectors()),
        ("letters.json", letters::vectors()),
        ("mirror.json", mirror::vectors()),
        ("evidence.json", evidence::vectors()),
        ("witness.json", witness::vectors()),
        ("netting.json", netting::vectors()),
        ("erasure.json", erasure::vectors()),
        ("settlement.json", settlement::vectors()),
        ("rounds.json", clearing::rounds::vectors()),
        ("federation.json", federation::vectors()),
    ]
}

/// The ledger of `entries.json` as an audit bundle needs it: origin, the log key in force, the entries.
#[must_use]
pub fn bundle_of() -> (String, SecretKey, Vec<Vec<u8>>) {
    let book = entries::book();
    (book.ledger().origin(), kit::key(book.log_seed), book.entries)
}

/// What one of the three networks of the vectors has written and received.
#[derive(Debug)]
pub struct Told {
    /// What it is called.
    pub name: String,
    /// Seed of its log key.
    pub log: [u8; 32],
    /// Seed of its desk key.
    pub desk: [u8; 32],
    /// Its entries, by place.
    pub own: Vec<Vec<u8>>,
    /// Entries of others, in the order of their coming.
    pub received: Vec<Vec<u8>>,
}

/// The ledgers of a file of vectors in which networks speak to each other; none where there is no such file.
#[must_use]
pub fn told(file: &str) -> Vec<Told> {
    let content = match file {
        "disputes.json" => clearing::disputes::vectors(),
        "resets.json" => clearing::resets::vectors(),
        "rounds.json" => clearing::rounds::vectors(),
        "settlement.json" => settlement::vectors(),
        "exchange.json" => clearing::exchange::vectors(),
        _ => return Vec::new(),
    };
    clearing::told(&content)
}

/// The text of a file: keys in order, one line for what is short. Independent of how `serde_json` was built.
#[must_use]
pub fn render(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

/// Longest line that a list or object is kept on.
const LINE: usize = 120;

fn write(value: &Value, depth: usize, out: &mut String) {
    let flat = flat(value);
    if flat.len().saturating_add(depth.saturating_mul(2)) <= LINE {
        out.push_str(&flat);
        return;
    }
    let next = depth.saturating_add(1);
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| (String::new(), item)).collect();
            write_items(('[', ']'), &items, next, out);
        }
        Value::Object(fields) => {
            let mut items: Vec<_> = fields.iter().map(|(k, v)| (format!("{}: ", quoted(k)), v)).collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            write_items(('{', '}'), &items, next, out);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&flat),
    }
}

fn write_items((open, close): (char, char), items: &[(String, &Value)], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    out.push(open);
    for (i, (name, value)) in items.iter().enumerate() {
        out.push_str(if i == 0 { "\n" } else { ",\n" });
        out.push_str(&indent);
        out.push_str(name);
        write(value, depth, out);
    }
    out.push('\n');
    out.push_str(indent.strip_suffix("  ").unwrap_or_default());
    out.push(close);
}

fn flat(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let mut items: Vec<_> =
                fields.iter().map(|(k, v)| format!("{}: {}", quoted(k), flat(v))).collect();
            items.sort();
            format!("{{{}}}", items.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
