//! What a claim brings its decider, by part (specs/clearing.md 6.7).

use super::{Context, hop_value};
use crate::amount::Amount;
use crate::clearing::intent::{Intent, Part};
use crate::clearing::rate::{HopValue, Way};
use crate::ids::{StreamId, UnitId};
use crate::ledger::Rejected;

/// What a part of a claim brings its decider.
pub(super) struct Due {
    pub(super) part: u8,
    pub(super) channel: StreamId,
    pub(super) value: HopValue,
}

/// All parts together: in one unit.
pub(super) fn total(dues: &[Due]) -> Result<(UnitId, Amount), Rejected> {
    let no = |why| Rejected::HopMismatch { why };
    let unit = dues.first().map(|due| due.value.unit).ok_or(no("it has no parts"))?;
    if dues.iter().any(|due| due.value.unit != unit) {
        return Err(no("its parts come in different units"));
    }
    let sum = dues.iter().try_fold(0_i64, |sum, due| sum.checked_add(due.value.amount.minor()));
    let sum = sum.and_then(|sum| Amount::new(sum).ok());
    Ok((unit, sum.ok_or(no("its parts bring more than an amount can be"))?))
}

impl Context<'_> {
    /// What each part brings us, as the payee's network: all in one unit.
    pub(super) fn dues(&self, intent: &Intent) -> Result<Vec<Due>, Rejected> {
        let no = |why| Rejected::HopMismatch { why };
        let due = |(part, way): (u8, &Part)| {
            let last = way.route.iter().rev().nth(1).ok_or(no("there is no hop to us"))?;
            let hop = way.hops.last().ok_or(no("there is no hop to us"))?;
            let (channel, row) = self.state.channel_with(last).ok_or(Rejected::NoAccord { peer: *last })?;
            Ok(Due { part, channel, value: hop_value(row, hop, Way::In)? })
        };
        (0_u8..).zip(&intent.parts).map(due).collect()
    }
}
