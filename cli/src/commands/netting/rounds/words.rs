//! Netting rounds in words: tables of before and after, and sentences.

use crate::outcome::clean;
use crate::table::Table;
use weft_api::{NettingDebt, NettingPreview, NettingReport, NettingResult, NettingRound, NettingRule};
use weft_protocol::time::moment;

/// So much of an id names a round among those that a node keeps.
const SHORT_ID: usize = 12;

fn short(id: &str) -> String {
    clean(id).chars().take(SHORT_ID).collect()
}

/// What is done in every round.
pub(super) fn rule(rule: NettingRule) -> String {
    let joins = if rule.joins {
        "Our debts take part in every round"
    } else {
        "Our debts take part in a round when somebody here says so"
    };
    let accepts = if rule.accepts {
        "a result that verifies is accepted by itself"
    } else {
        "a result waits until somebody here accepts it"
    };
    format!("{joins}; {accepts} (`weft netting rule`).\n")
}

/// What could be cleared now.
pub(super) fn preview(preview: &NettingPreview, colour: bool) -> String {
    let unit = clean(&preview.unit);
    if preview.debts.is_empty() && preview.known.is_empty() {
        return format!("No debt in {unit} could take part in a round now.\n");
    }
    let mut text = format!(
        "We owe {} {unit} and are owed {} {unit} that could take part, so at most {} {unit} of each can be cleared.\n",
        clean(&preview.owing),
        clean(&preview.owed),
        clean(&preview.at_most)
    );
    if preview.known.is_empty() {
        text.push_str(&debts(&preview.debts, false, colour));
        text.push_str(
            "How much it would be depends on what others owe each other, and what others owe each other is not known before\na round: `weft netting announce` begins one.\n",
        );
        return text;
    }
    for known in &preview.known {
        text.push_str(&format!(
            "By the lists of the open round, {} of {} {unit} would be cleared among {} networks{}.\n",
            clean(&known.cleared),
            clean(&known.owed),
            known.networks.len(),
            if known.ours.is_empty() { ", we are none of them" } else { "" }
        ));
        if !known.ours.is_empty() {
            text.push_str(&debts(&known.ours, true, colour));
        }
    }
    text.push_str("Nobody's net position would change: what is cleared goes round in circles.\n");
    text
}

fn debts(all: &[NettingDebt], has_after: bool, colour: bool) -> String {
    let heads = if has_after { &["Debt", ">Before", ">After"][..] } else { &["Debt", ">Now"][..] };
    let mut table = Table::new(heads, colour);
    for debt in all {
        let alias = clean(&debt.alias);
        let who = if debt.we_owe { format!("We owe {alias}") } else { format!("{alias} owes us") };
        let after = has_after.then(|| debt.after.clone());
        table.row([who, debt.before.clone()].into_iter().chain(after));
    }
    table.render()
}

/// A round: how it stands, what its results do to us, what came of it.
pub(super) fn round(round: &NettingRound, colour: bool) -> String {
    let phase = match round.phase.as_str() {
        "offers" => format!("Debts are offered until {}.", moment(round.offers_until_ms)),
        "lists" => format!("Lists are published until {}.", moment(round.lists_until_ms)),
        "results" => format!("Results are accepted until {}.", moment(round.votes_until_ms)),
        _ if round.unfinished => "Its time is over, but something of it is still to be done.".to_owned(),
        _ => "It is over.".to_owned(),
    };
    let unit = clean(&round.unit);
    let by = if round.by == "us" { "by us".to_owned() } else { format!("by {}", clean(&round.by)) };
    let lists = match round.lists {
        0 => "no network has listed debts".to_owned(),
        1 => "1 network has listed debts".to_owned(),
        many => format!("{many} networks have listed debts"),
    };
    let part = match (round.joins, round.phase.as_str()) {
        (true, _) => "we take part".to_owned(),
        (false, "offers") => {
            format!("we do not take part (`weft netting join {}` does)", short(&round.id))
        }
        (false, _) => "we do not take part".to_owned(),
    };
    let mut text = format!("Round {} in {unit}, announced {by}. {phase}\n", short(&round.id));
    text.push_str(&format!("So far {lists}; {part}.\n"));
    if !round.held.is_empty() {
        text.push_str("Held for it until it ends, and not to be settled otherwise:\n");
        text.push_str(&debts(&round.held, false, colour));
    }
    for one in &round.results {
        text.push_str(&result(one, round, colour));
    }
    if let Some(report) = &round.report {
        text.push_str(&came_of_it(report, &unit));
    }
    text
}

fn came_of_it(report: &NettingReport, unit: &str) -> String {
    if report.networks == 0 {
        return "What came of it: nothing was cleared, every debt is as it was.\n".to_owned();
    }
    format!(
        "What came of it: {} of {} {unit} were cleared among {} networks. We owe {} {unit} less and are owed {} {unit} less.\n",
        clean(&report.cleared),
        clean(&report.owed),
        report.networks,
        clean(&report.our_cleared),
        clean(&report.our_cleared)
    )
}

/// The attempt that holds our word on another back: an earlier one that we have accepted and that has not ended.
fn waited_for(result: &NettingResult, round: &NettingRound) -> Option<u8> {
    let earlier = round.results.iter().filter(|other| other.attempt < result.attempt);
    let mut open =
        earlier.filter(|other| other.outcome == "open" && other.our_word.as_deref() == Some("accepted"));
    open.next().map(|other| other.attempt)
}

/// What a result clears, what that does to us, and how it stands.
fn result(result: &NettingResult, round: &NettingRound, colour: bool) -> String {
    let unit = clean(&round.unit);
    let mut text = format!(
        "Attempt {}: {} of {} {unit} can be cleared among {} networks.",
        result.attempt,
        clean(&result.cleared),
        clean(&result.owed),
        result.networks.len()
    );
    if let Some(rule) = &result.wrong {
        text.push_str(&format!(" It is WRONG: it breaks the rule \"{}\".", clean(rule)));
    }
    match result.outcome.as_str() {
        "committed" if result.to_book == 0 => text.push_str(" All have accepted it."),
        "committed" => text.push_str(&format!(
            " All have accepted it; {} of our debts in it are still to be booked with their other ends.",
            result.to_book
        )),
        "aborted" => text.push_str(" It was refused, so nothing of it is applied."),
        _ if result.waits_for.is_empty() => {}
        _ => text.push_str(&format!(" It waits for the word of {}.", clean(&result.waits_for.join(", ")))),
    }
    text.push('\n');
    for refused in &result.refused_by {
        text.push_str(&format!("  Refused by {}.\n", clean(refused)));
    }
    if result.ours.is_empty() {
        return text;
    }
    text.push_str(&debts(&result.ours, true, colour));
    match (result.our_word.as_deref(), result.outcome.as_str()) {
        (Some("accepted"), "open") => text.push_str("We have accepted it.\n"),
        (None, "open") if let Some(first) = waited_for(result, round) => text.push_str(&format!(
            "Nobody's net position changes. We have accepted attempt {first}, whose end is awaited here: our word on this one \
             follows then. `weft netting refuse {}` refuses it at once.\n",
            short(&round.id)
        )),
        (None, "open") => text.push_str(&format!(
            "Nobody's net position changes. `weft netting accept {0}` accepts it, `weft netting refuse {0}` does not.\n",
            short(&round.id)
        )),
        _ => {}
    }
    text
}
