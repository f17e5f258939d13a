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
            num: 1,
            den: 1,
            position: Side::A,
            limit_a: terms.we_may_owe,
            limit_b: terms.they_may_owe,
            foreign: None,
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
    let pair = accord.pairs.iter_mut().find(|pair| (pair.unit_a, pair.unit_b) == (ours, theirs));
    let pair = pair.ok_or_else(|| {
        ClearingError::refused(
            "units-differ",
            "the accord in force pairs other units, and units stay as they are",
        )
    })?;
    (pair.limit_a, pair.limit_b) = (terms.we_may_owe, terms.they_may_owe);
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
    if follows { Ok(()) } else { Err(ClearingError::refused("bad-accord", detail)) }
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
        let show = |minor: u64| format_decimal(i64::try_from(minor).unwrap_or(i64::MAX), unit.scale);
        let theirs = unit_in(&record.entries(), pair.unit(!we_are_a)).map_or_else(String::new, |u| u.code);
        lines.push(format!("One {} of ours is worth one {} of {}.", unit.code, theirs, record.site));
        lines.push(format!(
            "We may owe {} at most {} {}.",
            record.site,
            show(pair.limit(we_are_a)),
            unit.code
        ));
        lines.push(format!(
            "{} may owe us at most {} {}.",
            record.site,
            show(pair.limit(!we_are_a)),
            unit.code
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
