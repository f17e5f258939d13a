//! Reports for people: one line for each check, then the findings, then the result.

use crate::json::result;
use std::fmt::Write;
use weft_protocol::amount::format_decimal;
use weft_protocol::audit::{Class, Comparison, Finding, Findings, Report};
use weft_protocol::time::{Day, MS_PER_DAY};

/// The report of one ledger.
pub fn report_text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12} {text}");
    };
    line("ledger", report.ledger.map_or_else(|| "unknown: no genesis can be read".into(), |l| l.to_string()));
    let span = report
        .time_ms
        .map_or_else(String::new, |(first, last)| format!(", {} to {}", Day::of_ms(first), Day::of_ms(last)));
    line("entries", format!("{} read and replayed{span}; {} accounts", report.entries, report.accounts));
    if let Some(since) = report.since {
        let read = report.entries.saturating_sub(since.entries);
        line("since", format!("{read} entries read now, after the {} of the earlier audit", since.entries));
    }
    line(
        "checkpoint",
        match report.checkpoint_size {
            Some(size) => format!("vouches for {size} entries; recomputed root {}", report.root),
            None => "DOES NOT VOUCH for these entries".into(),
        },
    );
    if let Some(witnessed) = &report.witnessed {
        line("witnesses", witnessed.words.clone());
    }
    line("state", format!("digest {}", report.state_digest));
    for unit in &report.units {
        let sum =
            if unit.sum == 0 { "sums to zero".into() } else { format!("SUMS TO {}, not to zero", unit.sum) };
        let owed = i64::try_from(unit.outstanding).unwrap_or(i64::MAX);
        line("unit", format!("{}: {sum}; {} outstanding", unit.code, format_decimal(owed, unit.scale)));
    }
    let s = report.signatures;
    line(
        "signatures",
        format!(
            "{} of the node, {} of people with own keys, {} of the desk ({} custody, {} paper, {} spoken), {} in clearing, {} of peers",
            s.node,
            s.own_key + s.passkey,
            s.custody + s.paper + s.spoken,
            s.custody,
            s.paper,
            s.spoken,
            s.clearing,
            s.peers
        ),
    );
    for peer in &report.peers {
        let positions: Vec<String> = peer.positions.iter().map(position).collect();
        let folder = if peer.their_entries == 0 {
            "no folder".into()
        } else {
            format!("{} entries of theirs", peer.their_entries)
        };
        line(
            "peer",
            format!("{}: {}; {} claims, {folder}", peer.ledger.short(), positions.join(", "), peer.claims),
        );
    }
    for opened in &report.openings {
        // Others' words: nothing in them may reach a terminal as anything but a letter.
        let text: String = opened.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line("opened", format!("entry {}: {text}", opened.seq));
    }
    add_findings(&mut out, &report.findings);
    out
}

/// The comparison of two ledgers.
pub fn comparison_text(comparison: &Comparison) -> String {
    let mut out = String::new();
    let name =
        |ledger: Option<weft_protocol::ids::LedgerId>| ledger.map_or_else(|| "unknown".into(), |l| l.short());
    let _ = writeln!(
        out,
        "{:<12} {} and {}, {} claims in common",
        "compared",
        name(comparison.a),
        name(comparison.b),
        comparison.claims
    );
    for p in &comparison.positions {
        let state = if i128::from(p.a) + i128::from(p.b) == 0 { "opposite" } else { "not opposite" };
        let _ = writeln!(out, "{:<12} {} and {}: {state}, {} in flight", "positions", p.a, p.b, p.in_flight);
    }
    add_findings(&mut out, &comparison.findings);
    out
}

/// One finding on one line.
pub fn finding_text(finding: &Finding) -> String {
    let age = finding.age_ms.map_or_else(String::new, |age_ms| format!(" (for {})", age(age_ms)));
    format!("{finding}{age}")
}

pub(crate) fn add_findings(out: &mut String, findings: &Findings) {
    let kept = findings.kept();
    for class in Class::ALL {
        for finding in kept.iter().filter(|finding| finding.class == class) {
            let _ = writeln!(out, "  {}", finding_text(finding));
        }
        let shown = kept.iter().filter(|finding| finding.class == class).count() as u64;
        let more = findings.count(class).saturating_sub(shown);
        if more > 0 {
            let _ = writeln!(out, "  {}: and {more} more", class.name());
        }
    }
    let _ = writeln!(
        out,
        "{:<12} {}, {} findings that are wrong",
        "RESULT",
        result(findings.outcome()),
        findings.wrong()
    );
}

fn position(p: &weft_protocol::audit::Position) -> String {
    let amount = format_decimal(p.balance.saturating_abs(), p.scale);
    let direction = match p.balance {
        0 => "even".into(),
        1.. => format!("we owe them {amount} {}", p.code),
        _ => format!("they owe us {amount} {}", p.code),
    };
    if (p.open_out, p.open_in) == (0, 0) {
        direction
    } else {
        format!("{direction} (in flight: {} out, {} in)", p.open_out, p.open_in)
    }
}

pub(crate) fn age(age_ms: u64) -> String {
    match age_ms {
        MS_PER_DAY.. => format!("{} days", age_ms / MS_PER_DAY),
        3_600_000.. => format!("{} h", age_ms / 3_600_000),
        60_000.. => format!("{} min", age_ms / 60_000),
        _ => format!("{} s", age_ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_the_largest_unit_that_fits() {
        assert_eq!([age(3_000), age(7_200_000), age(3 * MS_PER_DAY)], ["3 s", "2 h", "3 days"]);
    }
}
