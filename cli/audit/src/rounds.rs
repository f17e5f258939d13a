//! Netting rounds run again from ledgers, for people and for programs (specs/audit.md §11).

use crate::json::{counts, finding, result};
use crate::text::add_findings;
use serde_json::{Value, json};
use std::fmt::Write;
use weft_protocol::amount::format_decimal;
use weft_protocol::audit::rounds::{AttemptRerun, Rerun, ResultRerun, RoundRerun};
use weft_protocol::netting::round::view::Outcome;

fn amount(minor: i128, round: &RoundRerun) -> String {
    i64::try_from(minor).map_or_else(|_| minor.to_string(), |minor| format_decimal(minor, round.unit.scale))
}

fn outcome(result: &ResultRerun) -> &'static str {
    match result.outcome {
        Outcome::Committed => "committed",
        Outcome::Aborted(_) => "refused",
        Outcome::Open => "open",
    }
}

/// The rounds as text.
pub fn rounds_text(rerun: &Rerun) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "{:<12} {} ledgers, {} rounds", "run again", rerun.ledgers.len(), rerun.rounds.len());
    for round in &rerun.rounds {
        // A code is of others' making: nothing in it may move a cursor.
        let code: String = round.unit.code.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let by = round.by.short();
        let _ =
            writeln!(out, "{:<12} {} in {code}, announced by {by}; {} lists", "round", round.id, round.lists);
        for attempt in &round.attempts {
            attempt_text(&mut out, round, attempt);
        }
    }
    add_findings(&mut out, &rerun.findings);
    out
}

fn attempt_text(out: &mut String, round: &RoundRerun, attempt: &AttemptRerun) {
    let number = attempt.attempt.saturating_add(1);
    if let Some(why) = &attempt.unread {
        let _ = writeln!(out, "{:<12} {number}: not an attempt, {why}", "attempt");
        return;
    }
    let same = if attempt.is_same { "the same result, to the byte" } else { "ANOTHER result" };
    let _ = writeln!(
        out,
        "{:<12} {number}: of {} owed {} are cleared; solved anew {}: {same}",
        "attempt",
        amount(attempt.owed, round),
        amount(attempt.cleared, round),
        amount(attempt.optimum, round)
    );
    for one in &attempt.results {
        let wrong = one.wrong.map_or_else(String::new, |rule| format!("; WRONG by the rule \"{rule}\""));
        let (all, done) = one.ends;
        let booked = match one.outcome {
            Outcome::Committed => format!("; booked at {done} of {all} ends in these ledgers"),
            Outcome::Aborted(_) | Outcome::Open => String::new(),
        };
        let _ = writeln!(
            out,
            "{:<12} {} networks, {} cleared: {}{wrong}{booked}",
            "result",
            one.networks.len(),
            amount(one.cleared, round),
            outcome(one)
        );
    }
}

/// The rounds as JSON. Amounts are strings of minor units.
pub fn rounds_json(rerun: &Rerun) -> Value {
    let result_json = |one: &ResultRerun| {
        json!({
            "result": one.id.to_string(), "outcome": outcome(one), "wrong": one.wrong,
            "networks": one.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "cleared": one.cleared.to_string(), "ends": one.ends.0, "booked": one.ends.1,
        })
    };
    let attempt_json = |one: &AttemptRerun| {
        json!({
            "attempt": one.attempt.saturating_add(1), "unread": one.unread, "owed": one.owed.to_string(),
            "cleared": one.cleared.to_string(), "optimum": one.optimum.to_string(), "same": one.is_same,
            "results": one.results.iter().map(result_json).collect::<Vec<_>>(),
        })
    };
    let round_json = |one: &RoundRerun| {
        json!({
            "round": one.id.to_string(), "by": one.by.to_string(), "unit": one.unit.code, "scale": one.unit.scale,
            "lists": one.lists, "attempts": one.attempts.iter().map(attempt_json).collect::<Vec<_>>(),
        })
    };
    let outcome = rerun.findings.outcome();
    json!({
        "schema": "weft.audit-rounds/1", "result": result(outcome), "exit_code": outcome.exit_code(),
        "ledgers": rerun.ledgers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rounds": rerun.rounds.iter().map(round_json).collect::<Vec<_>>(),
        "counts": counts(&rerun.findings),
        "findings": rerun.findings.kept().iter().map(finding).collect::<Vec<_>>(),
    })
}
