//! The terms of an accord: what the host proposes, what the guest may accept, and how people read them.
//!
//! Two networks that have an accord may make the next version of it in the same way: units stay, limits, relay and mirror
//! may change (specs/clearing.md 1.3).

use super::record::{Record, Terms, unit_in};
use crate::clearing::ClearingError;
use crate::service::Core;
use weft_protocol::amount::format_decimal;
use weft_protocol::clearing::accord::{ACCORD_VERSION, Accord, Side, UnitPair};
use weft_protocol::ids::{LedgerId, UnitId};

/// Statements once a day, claims open for a day: what new accords say.
const DAY_MS: u64 = 86_400_000;

/// What we propose to a guest: a first accord, or the next version of the one in force.
pub(super) fn proposal(
    core: &Core,
    guest: LedgerId,
    ours: UnitId,
    theirs: UnitId,
    terms: &Terms,
) -> Result<Accord, ClearingError> {
    let state = core.engine().state();
    let us = state.ledger().map_err(|e| ClearingError::refused(&e.code(), e.to_string()))?;
    let Some((_, row)) = state.channel_with(&guest) else {
        let pair = UnitPair {
            unit_a: ours,
            unit_b: theirs,
            num: terms.exchange.map_or(1, |exchange| exchange.num),
            den: terms.exchange.map_or(1, |exchange| exchange.den),
            // Where the units are unlike we exchange, who have said the rate: debts are counted in theirs.
            position: if terms.exchange.is_some() { Side::B } else { Side::A },
            limit_a: terms.we_may_owe,
            limit_b: terms.they_may_owe,
            foreign: terms.exchange.map(|exchange| UnitId(exchange.foreign)),
        };
        return Ok(Accord {
            v: ACCORD_VERSION,
            version: 1,
            previous: None,
            a: us,
            b: guest,
            pairs: vec![pair],
            statement_interval_ms: DAY_MS,
            default_expiry_ms: DAY_MS,
            relay: terms.relay,
            mirror: terms.mirror,
            disputers: [1, 1],
        });
    };
    if !row.we_are_a {
        let detail = "the accord in force was made on an invitation of the other network: it has to invite for a new one";
        return Err(ClearingError::refused("not-the-inviter", detail));
    }
    let mut accord = row.accord.clone();
    let foreign = terms.exchange.map(|exchange| UnitId(exchange.foreign));
    let same = |pair: &&mut UnitPair| (pair.unit_a, pair.unit_b, pair.foreign) == (ours, theirs, foreign);
    let pair = accord.pairs.iter_mut().find(same);
    let pair = pair.ok_or_else(|| {
        ClearingError::refused(
            "units-differ",
            "the accord in force pairs other units, and units stay as they are",
        )
    })?;
    (pair.limit_a, pair.limit_b) = (terms.we_may_owe, terms.they_may_owe);
    if let Some(exchange) = terms.exchange {
        (pair.num, pair.den) = (exchange.num, exchange.den);
    }
    accord.version = accord.version.saturating_add(1);
    accord.previous = Some(row.accord_id);
    (accord.relay, accord.mirror) = (terms.relay, terms.mirror);
    Ok(accord)
}

/// Whether an accord that a host proposes is a first one, or the next version of the one in force.
pub(super) fn check_follows(core: &Core, host: &LedgerId, accord: &Accord) -> Result<(), ClearingError> {
    let follows = match core.engine().state().channel_with(host) {
        None => accord.version == 1 && accord.previous.is_none(),
        Some((_, row)) => {
            let next = Some(accord.version) == row.accord.version.checked_add(1);
            next && accord.previous == Some(row.accord_id) && !row.we_are_a
        }
    };
    let detail = "the accord proposed does not follow the one in force: pairing has to be begun again";
    if !follows {
        return Err(ClearingError::refused("bad-accord", detail));
    }
    let units = &core.engine().state().units;
    match accord.pairs.iter().find(|pair| !units.contains_key(&pair.booked_unit(false))) {
        None => Ok(()),
        Some(pair) => {
            let number = pair.booked_unit(false).0;
            let detail = format!(
                "the accord proposed wants us to count their unit as our unit {number}, which is not defined here"
            );
            Err(ClearingError::refused("bad-accord", detail))
        }
    }
}

/// The terms of an accord as people read them.
pub(super) fn sentences(core: &Core, record: &Record, accord: &Accord) -> Vec<String> {
    let we_are_a = record.host;
    let mut lines = Vec::new();
    if accord.version > 1 {
        lines.push(format!("This takes the place of the accord in force with {}.", record.site));
    }
    for pair in &accord.pairs {
        let Some(unit) = core.engine().state().units.get(&pair.unit(we_are_a)) else { continue };
        let Some(counted) = core.engine().state().units.get(&pair.booked_unit(we_are_a)) else { continue };
        let written = |minor: u64, scale| format_decimal(i64::try_from(minor).unwrap_or(i64::MAX), scale);
        let show = |minor: u64| written(minor, counted.scale);
        let theirs = unit_in(&record.entries(), pair.unit(!we_are_a));
        let code = theirs.as_ref().map_or("", |unit| unit.code.as_str());
        if pair.foreign.is_none() {
            lines.push(format!("One {} of ours is worth one {code} of {}.", unit.code, record.site));
        } else {
            let (ours, other) = if we_are_a { (pair.den, pair.num) } else { (pair.num, pair.den) };
            let ours = written(ours, unit.scale);
            let other = written(other, theirs.as_ref().map_or(0, |unit| unit.scale));
            lines.push(format!("{ours} {} of ours is worth {other} {code} of {}.", unit.code, record.site));
            let whose = if pair.exchanges(we_are_a) { record.site.as_str() } else { "ours" };
            lines.push(format!("What is owed is counted in the {} of {whose}.", counted.code));
        }
        lines.push(format!(
            "We may owe {} at most {} {}.",
            record.site,
            show(pair.limit(we_are_a)),
            counted.code
        ));
        lines.push(format!(
            "{} may owe us at most {} {}.",
            record.site,
            show(pair.limit(!we_are_a)),
            counted.code
        ));
    }
    let hours = accord.default_expiry_ms / 3_600_000;
    lines.push(format!("A payment that is not answered expires after {hours} hours."));
    let relay = if accord.relay { "may" } else { "may not" };
    lines.push(format!("Payments of other networks {relay} pass through."));
    let mirror = if accord.mirror {
        "Each keeps a copy of the other's entries that only the other can read: a lost machine then loses no history."
    } else {
        "Neither keeps a copy of the other's entries."
    };
    lines.push(mirror.to_owned());
    lines
}
