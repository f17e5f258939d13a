//! What operators see of peers.

use super::{Clearing, ClearingError, Contacts};
use crate::service::Core;
use crate::store::private::ShutOut;
use weft_api::{Peer, Position};
use weft_protocol::amount::format_decimal;
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::clearing::room;
use weft_protocol::ledger::halt::Halt;
use weft_protocol::ledger::state::{ChannelRow, Closing};
use weft_protocol::time::moment;

pub(super) async fn peers(clearing: &Clearing) -> Result<Vec<Peer>, ClearingError> {
    let contacts = clearing.contacts();
    let mut peers = clearing.0.ledger.run(move |core| read(core, &contacts)).await?;
    peers.sort_by(|a, b| (&a.alias, &a.ledger).cmp(&(&b.alias, &b.ledger)));
    Ok(peers)
}

fn read(core: &Core, contacts: &Contacts) -> Vec<Peer> {
    let state = core.engine().state();
    let shut_out = core.private().shut_outs().unwrap_or_default();
    let peers = state.channels.iter().map(|(id, row)| {
        let theirs = core.engine().peers().stream(id);
        let local = core.private().peer(&row.peer).ok().flatten();
        let mut problems: Vec<String> = core.problems().get(&row.peer).cloned().into_iter().collect();
        let findings = core.engine().peers().findings().iter().filter(|f| f.ledger == row.peer);
        problems.extend(core.accusations(&row.peer));
        let out = shut_out.iter().filter(|out| out.ledger == Some(row.peer));
        problems.extend(out.map(shut_out_text));
        problems.extend(refused_statement(core, &row.peer));
        problems.extend(reset(core, &row.peer));
        problems.extend(findings.map(|f| format!("{} (entry {})", f.what, f.leaf)));
        Peer {
            ledger: row.peer.to_string(),
            alias: local.map_or_else(|| row.peer.short(), |l| l.alias),
            connected: contacts.get(&row.peer).is_some_and(|(connected, _)| *connected),
            seen_ms: contacts.get(&row.peer).and_then(|(_, seen_ms)| *seen_ms),
            open: theirs.is_some_and(|s| s.accord_id == Some(row.accord_id)),
            halts: halts(row.halt, theirs.and_then(|s| s.halt)),
            positions: positions(core, row),
            acknowledged: theirs.map_or(0, |s| s.acked),
            written: state.stream(id).next,
            received: theirs.map_or(0, |s| s.next),
            problems,
        }
    });
    peers.collect()
}

/// That its connections are denied, and what lets it in again.
fn shut_out_text(out: &ShutOut) -> String {
    let until = out.until_ms.map_or_else(String::new, |ms| format!(" until {}", moment(ms)));
    format!("it is shut out{until}: {}. `weft peer unban` lets it in again", out.reason)
}

/// That the peer does not come to what we have stated: it stops nothing, and people have to look.
fn refused_statement(core: &Core, peer: &LedgerId) -> Option<String> {
    let (ours, answer) = core.engine().standing(peer).ok()?.refused?;
    Some(format!("the last statement was not agreed to: {} (entry {})", answer.verdict.text(), ours.stmt))
}

/// That the channel is to be reset, and what that waits for.
fn reset(core: &Core, peer: &LedgerId) -> Option<String> {
    let stands = core.reset_state(peer).ok()?;
    let quiet = stands.ours.is_none() && stands.theirs.is_none() && stands.open;
    (!quiet).then(|| format!("the channel is to be reset: {}", stands.waits))
}

/// Who lets no new payments over a channel.
fn halts(ours: Option<Halt>, theirs: Option<Halt>) -> Vec<String> {
    let name = |halt: Halt, by: &str| match halt {
        Halt::Paused => format!("paused-by-{by}"),
        Halt::Ended => format!("ended-by-{by}"),
    };
    let ours = ours.map(|halt| name(halt, "us"));
    ours.into_iter().chain(theirs.map(|halt| name(halt, "them"))).collect()
}

fn positions(core: &Core, row: &ChannelRow) -> Vec<Position> {
    let state = core.engine().state();
    let lines = row.accord.pairs.iter().enumerate().filter_map(|(i, pair)| {
        let index = u8::try_from(i).ok()?;
        let unit = state.units.get(&pair.booked_unit(row.we_are_a))?;
        let show = |minor: i64| format_decimal(minor, unit.scale);
        let limit = |minor: u64| show(i64::try_from(minor).unwrap_or(i64::MAX));
        let in_flight = state.claims.values().filter_map(|c| c.outgoing.as_ref()).filter(|out| {
            state.channels.get(&out.channel).is_some_and(|c| c.peer == row.peer)
                && out.pair == index
                && out.closing == Closing::Open
        });
        Some(Position {
            unit: unit.code.clone(),
            amount: show(state.balance(&row.account, unit.unit)),
            we_may_owe: limit(pair.limit(row.we_are_a)),
            they_may_owe: limit(pair.limit(!row.we_are_a)),
            room: show(i64::try_from(room(state, row, index).unwrap_or(0)).unwrap_or(i64::MAX)),
            in_flight: in_flight.count() as u64,
        })
    });
    lines.collect()
}
