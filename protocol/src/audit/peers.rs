//! The peers of an audited ledger: its channels held against their folders (specs/clearing.md §8).

use super::channel::{Said, Side};
use super::compare::{self, Cross};
use super::finding::{Class, Finding, Findings, PeerReport, Position};
use super::networks::Networks;
use crate::clearing::leg::Leg;
use crate::ids::{LedgerId, StreamId};
use crate::ledger::state::{ChannelRow, State};
use std::collections::{BTreeMap, BTreeSet};

/// Checks every channel and reports on its peer.
pub(super) fn check(
    audited: LedgerId,
    state: &State,
    sides: &BTreeMap<StreamId, Side>,
    networks: &Networks,
    findings: &mut Findings,
) -> Vec<PeerReport> {
    let mut reports = Vec::new();
    let mut known = BTreeSet::new();
    for (id, row) in &state.channels {
        let Some(ours) = sides.get(id) else { continue };
        check_balance(state, ours, row, findings);
        known.insert(*id);
        let theirs = networks.sides.get(id).filter(|side| side.ledger == row.peer);
        if let Some(theirs) = theirs {
            let cross =
                Cross { audited, now_ms: state.head.time_ms, may_lag: false, one: ours, other: theirs };
            cross.check(findings);
            super::resets::check(ours, theirs, &audited, findings);
        } else {
            let what = format!(
                "what {} has said, as its folder is not here: {} claims rest on its word",
                row.peer.short(),
                distinct(ours.legs())
            );
            findings.add(Finding::new(Class::NotChecked, what));
        }
        let silent = Side::new(row.peer, audited, *id, false);
        reports.push(report(state, *id, row, ours, theirs.unwrap_or(&silent)));
    }
    let ended = |side: &Side| {
        // The next channel may have been offered, and not begun.
        let next = state.next_channel(&side.ledger);
        state.is_former_channel(&side.ledger, &side.channel) || next.as_ref() == Ok(&side.channel)
    };
    for side in networks.sides.iter().filter(|(id, _)| !known.contains(*id)).map(|(_, side)| side) {
        if ended(side) {
            let what = format!(
                "streams of the channel with {} that a reset has ended, or that begin with none: they are not held against each other",
                side.ledger.short()
            );
            findings.add(Finding::new(Class::NotChecked, what));
            continue;
        }
        let (ledger, channel) = (side.ledger.short(), side.channel);
        let what = format!("entries of {ledger} on channel {channel} are here, and no accord with it");
        findings.add(Finding::new(Class::Orphan, what));
    }
    reports
}

/// The peer account must be the sum of what the claims moved.
fn check_balance(state: &State, ours: &Side, row: &ChannelRow, findings: &mut Findings) {
    let moved = compare::booked(ours);
    for (unit, balance) in state.balances_of(&row.account) {
        let claims = moved.get(&unit).copied().unwrap_or(0);
        if i128::from(balance) != claims {
            let peer = row.peer.short();
            let what = format!(
                "the account of {peer} stands at {balance} of unit {unit}, its claims moved {claims}"
            );
            findings.add(Finding::new(Class::Mismatch, what));
        }
    }
}

fn report(state: &State, id: StreamId, row: &ChannelRow, ours: &Side, theirs: &Side) -> PeerReport {
    let pinned = theirs.acks.iter().rev().find_map(|ack| {
        let (leaf, seq) = ours.lines.get(usize::try_from(ack.next.checked_sub(1)?).ok()?)?;
        (*leaf == ack.head).then_some(*seq)
    });
    let positions = (0_u8..).zip(&row.accord.pairs).map(|(pair, terms)| {
        let unit = terms.booked_unit(row.we_are_a);
        let defined = state.units.get(&unit);
        Position {
            unit,
            code: defined.map_or_else(String::new, |defined| defined.code.clone()),
            scale: defined.map_or(0, |defined| defined.scale),
            balance: state.balance(&row.account, unit),
            open_out: open(ours, theirs, pair, false),
            open_in: open(theirs, ours, pair, true),
        }
    });
    PeerReport {
        ledger: row.peer,
        channel: id,
        account: row.account,
        our_entries: ours.len(),
        their_entries: theirs.len(),
        claims: distinct(ours.legs().chain(theirs.legs())),
        pinned_to: pinned,
        positions: positions.collect(),
    }
}

/// How many claims there are among parts of claims.
pub(super) fn distinct<'l>(legs: impl Iterator<Item = &'l Leg>) -> u64 {
    legs.map(|leg| leg.claim).collect::<BTreeSet<_>>().len() as u64
}

/// What `debtor` has proposed in a pair and is open; with `until_booked` also what is done and not booked yet.
fn open(debtor: &Side, creditor: &Side, pair: u8, until_booked: bool) -> i128 {
    let booked = |claim: &Leg| creditor.claims.get(claim).is_some_and(|said| said.booked.is_some());
    let amount = |claim: &Leg, said: &Said| {
        let proposed = said.proposed.filter(|proposed| proposed.pair == pair)?;
        let open = match said.closed.map(|closed| closed.binds() && !closed.before) {
            None => true,
            Some(done) => done && until_booked && !booked(claim),
        };
        proposed.amounts.filter(|_| open).map(|(src, _)| i128::from(src))
    };
    debtor.claims.iter().filter_map(|(claim, said)| amount(claim, said)).sum()
}
