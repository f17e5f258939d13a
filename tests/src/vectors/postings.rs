//! Lists of postings, what limits say, and amounts as people write them.

use super::kit::{hex, reading};
use serde_json::{Value, json};
use weft_protocol::amount::{format_decimal, parse_decimal};
use weft_protocol::encoding::encode;
use weft_protocol::ids::{AccountId, Hash, UnitId};
use weft_protocol::ledger::rules::{Levels, Verdict};
use weft_protocol::ledger::transfer::{Posting, check_form};

pub(super) fn vectors() -> Value {
    let lists = [
        ("two accounts", vec![(1, 0, -5), (2, 0, 5)]),
        ("many to many in two units", vec![(1, 0, -5), (1, 1, 3), (2, 0, -1), (3, 0, 6), (3, 1, -3)]),
        ("the largest", vec![(1, 0, -(1 << 62)), (2, 0, 1 << 62)]),
        ("the highest unit", vec![(1, 65_535, -5), (2, 65_535, 5)]),
        ("none", vec![]),
        ("one", vec![(1, 0, 5)]),
        ("out of order by account", vec![(2, 0, 5), (1, 0, -5)]),
        ("out of order by unit", vec![(1, 1, 5), (1, 0, 5), (2, 0, -5), (2, 1, -5)]),
        ("a pair twice", vec![(1, 0, 5), (1, 0, 5), (2, 0, -10)]),
        ("a zero", vec![(1, 0, 0), (2, 0, 0)]),
        ("beyond 2^62", vec![(1, 0, -(1 << 62) - 1), (2, 0, (1 << 62) + 1)]),
        ("more than nothing", vec![(1, 0, -5), (2, 0, 6)]),
        ("zero over two units", vec![(1, 0, -5), (2, 1, 5)]),
    ];
    let lists = lists.map(|(about, lines)| {
        let posting = |(byte, unit, delta): (u8, u16, i64)| Posting {
            account: AccountId([byte; 16]),
            unit: UnitId(unit),
            delta,
        };
        let postings: Vec<Posting> = lines.into_iter().map(posting).collect();
        let bytes = encode(&postings);
        let mut case = json!({ "about": about, "hex": hex(&bytes), "reading": reading(&bytes) });
        match check_form(&postings) {
            Ok(()) => case["digest"] = json!(hex(Hash::of("WEFT-POSTINGS/1\n", &[&bytes]).prefix::<16>())),
            Err(rejected) => case["why"] = json!(rejected.code()),
        }
        case
    });
    let levels = Levels { warn: Some(50), stop: Some(100), firm: Some(150) };
    let verdicts = [0, 50, 51, 100, 101, 150, 151].map(|distance: u64| {
        let says = match levels.verdict(distance) {
            Verdict::Fine => "fine",
            Verdict::Warn => "warn",
            Verdict::Stop { .. } => "stop",
            Verdict::Firm { .. } => "firm",
        };
        json!({ "distance": distance, "says": says })
    });
    let texts = [
        "12.5",
        "90",
        "0.01",
        "1.23",
        "0",
        "0.00",
        "-1",
        "+1",
        "1.",
        ".5",
        "1.234",
        "1e3",
        "1,5",
        "",
        "46116860184273879.04",
        "46116860184273879.05",
    ];
    let texts = texts.map(|text| match parse_decimal(text, 2) {
        Ok(amount) => {
            json!({ "text": text, "minor": amount.minor(), "prints": format_decimal(amount.minor(), 2) })
        }
        Err(_) => json!({ "text": text, "why": "not an amount" }),
    });
    json!({
        "about": "specs/kinds.md 5.1 and 5.4, specs/ledger.md §4 and §6. Amounts have scale 2",
        "lists": lists.to_vec(),
        "levels": { "warn": 50, "stop": 100, "firm": 150 },
        "verdicts": verdicts.to_vec(),
        "amounts": texts.to_vec(),
    })
}
