//! What must hold: in every state, and once nothing is on its way any more.

use super::party::{Leg, Party};
use super::world::{Search, Step, World, neighbours};
use crate::simulator::founding::HOUR;
use weft_protocol::clearing::peers::PeerClosing;
use weft_protocol::entry::Entry;
use weft_protocol::ids::StreamId;
use weft_protocol::ledger::own_accounts;
use weft_protocol::ledger::state::{Answer, Closing, Origin, OutHop};

/// Rounds in which everything has to end: no payment needs more lines than this on any way.
const ROUNDS: usize = 64;

/// What no state may break.
///
/// # Errors
/// What is broken.
pub(super) fn safe(search: &Search, world: &World) -> Result<(), String> {
    for (index, party) in world.honest() {
        let state = party.engine.state();
        if let Some((_, sum)) = state.sums().into_iter().find(|(_, sum)| *sum != 0) {
            return Err(format!("the books of network {index} sum to {sum}"));
        }
        if let Some(twice) = party.facts.twice {
            return Err(format!("network {index}: {twice}"));
        }
        within_limits(index, party)?;
        if let Some(finding) = party
            .engine
            .peers()
            .findings()
            .iter()
            .find(|f| search.index_of(&f.ledger).is_some_and(|i| world.party(i).is_some()))
        {
            return Err(format!("network {index} blames an honest one: {}", finding.what));
        }
        let frozen = world.honest().find(|(_, other)| party.engine.peers().is_frozen(&other.home.ledger));
        if let Some((other, _)) = frozen {
            return Err(format!("network {index} deals no more with {other}, which is honest"));
        }
        bound_only_with_upstream(search, world, index, party)?;
    }
    neighbours(world.seats.len()).into_iter().try_for_each(|(from, to)| one_history(world, from, to))
}

/// What a network has signed towards a neighbour is what that one has: nothing else stands in its place.
fn one_history(world: &World, from: usize, to: usize) -> Result<(), String> {
    let (Some(writer), Some(reader)) = (world.party(from), world.party(to)) else { return Ok(()) };
    let Some(channel) = writer.channel(to) else { return Ok(()) };
    let Some(stream) = reader.engine.peers().stream(&channel) else { return Ok(()) };
    if writer.engine.awaits(&reader.home.ledger) || stream.next == 0 {
        return Ok(());
    }
    let lines = writer.streams.get(&channel).map_or(&[][..], Vec::as_slice);
    let last = lines.get(stream.next as usize - 1).and_then(|bytes| Entry::parse(bytes).ok());
    if last.is_some_and(|entry| entry.leaf() == stream.head) {
        return Ok(());
    }
    Err(format!("network {to} has {} lines of {from}, which has written others", stream.next))
}

/// Nobody owes more than was agreed.
fn within_limits(index: usize, party: &Party) -> Result<(), String> {
    let state = party.engine.state();
    for row in state.channels.values() {
        let owed = state.balance(&row.account, HOUR);
        let pair = &row.accord.pairs[0];
        let (ours, theirs) = (pair.limit(row.we_are_a), pair.limit(!row.we_are_a));
        if i128::from(owed) > i128::from(ours) || -i128::from(owed) > i128::from(theirs) {
            return Err(format!("network {index} owes {owed}, the limits are {ours} and {theirs}"));
        }
    }
    Ok(())
}

fn is_bound(out: &OutHop) -> bool {
    matches!(out.closing, Closing::Done(_)) && !out.returned
}

/// An honest middle is never bound downstream and free upstream.
fn bound_only_with_upstream(
    search: &Search,
    world: &World,
    index: usize,
    party: &Party,
) -> Result<(), String> {
    let state = party.engine.state();
    for (leg, row) in &state.claims {
        let Some(out) = row.outgoing.as_ref().filter(|out| is_bound(out)) else { continue };
        let Origin::Upstream { channel } = out.origin else { continue };
        let free =
            |how: &str| Err(format!("network {index} is bound downstream, and free upstream by {how}"));
        if row.incoming.get(&channel).is_some_and(|hop| matches!(hop.answer, Answer::Rejected(_))) {
            return free("its own REJECT");
        }
        let heard = party.engine.peers().leg(&channel, &leg.0, leg.1);
        if heard.is_some_and(|said| said.closing == Some(PeerClosing::Free)) {
            return free("a FREE that it let in");
        }
        let peer = state.channels.get(&channel).and_then(|row| search.index_of(&row.peer));
        let theirs = peer.and_then(|i| world.party(i)?.engine.state().leg(&leg.0, leg.1)?.outgoing.clone());
        if theirs.is_some_and(|hop| matches!(hop.closing, Closing::Freed(_)) || hop.returned) {
            return free("the FREE of an honest network");
        }
    }
    Ok(())
}

/// From a state in which all lines have arrived, time passes and all that is left is done: then everything has ended, both
/// ends of each hop agree, and each payment has happened once or not at all.
///
/// # Errors
/// What has not ended, or how.
pub(super) fn ends(search: &Search, world: &World) -> Result<(), String> {
    let mut flows = Vec::new();
    search.flows(world, &mut flows);
    if !flows.is_empty() || world.violation().is_some() {
        return Ok(());
    }
    let healed = heal(search, world)?;
    safe(search, &healed)?;
    for (index, party) in healed.honest() {
        settled(search, &healed, index, party)?;
    }
    for (left, right) in neighbours(healed.seats.len()) {
        both_ends(&healed, left, right)?;
    }
    for wish in 0..search.wishes.len() {
        outcome(search, &healed, wish)?;
    }
    Ok(())
}

/// Everybody does what is left to do.
///
/// # Errors
/// What is broken, or never ends.
pub(super) fn heal(search: &Search, world: &World) -> Result<World, String> {
    let mut world = world.clone();
    if !world.late
        && let Some(after) = search.after(&world, Step::Late)
    {
        world = after;
    }
    for _ in 0..ROUNDS {
        let mut steps = Vec::new();
        search.healing(&world, &mut steps);
        let mut moved = false;
        for step in steps {
            if let Some(after) = search.after(&world, step) {
                world = after;
                moved = true;
                if let Some(what) = world.violation() {
                    return Err(what.to_owned());
                }
            }
        }
        if !moved {
            match search.people_finish(&world)? {
                Some(after) => world = after,
                None => return Ok(world),
            }
        }
    }
    Err(format!("after {ROUNDS} rounds something still moves"))
}

/// Nothing of an honest network waits for honest ones.
fn settled(search: &Search, world: &World, index: usize, party: &Party) -> Result<(), String> {
    let all_honest = world.honest().count() == world.seats.len();
    let state = party.engine.state();
    if party.engine.is_quarantined() {
        return Err(format!("network {index} never signs again: {:?}", party.restart.report(&party.engine)));
    }
    // What a set back network has lost for good may keep a claim open: its root set has said so.
    if !all_honest || world.restarted > 0 {
        return middle(search, world, index, party);
    }
    for name in own_accounts::NAMES {
        let left = state.balance(&own_accounts::id(name), HOUR);
        // A payee that has what its network gave up by dispute stands on `disputed`; so does what was written off.
        let given_up = (search.scenario.disputes() || search.scenario.writes_off()) && *name == *"disputed";
        if left != 0 && !given_up {
            return Err(format!("network {index} has {left} left on {name}"));
        }
    }
    if let Some(((claim, _), row)) = state.claims.iter().find(|(_, row)| !row.is_closed()) {
        return Err(format!("network {index}: claim {claim} never ends: {row:?}"));
    }
    if state.holds.is_empty() { middle(search, world, index, party) } else { Err("a hold is left".into()) }
}

/// A middle was given what it gave, or can prove that it must be.
fn middle(search: &Search, world: &World, index: usize, party: &Party) -> Result<(), String> {
    let state = party.engine.state();
    for (leg, row) in &state.claims {
        let Some(out) = row.outgoing.as_ref().filter(|out| is_bound(out)) else { continue };
        let Origin::Upstream { channel } = out.origin else { continue };
        let hop = row.incoming.get(&channel);
        let given = hop.filter(|hop| !hop.returned).and_then(|hop| hop.booked).map(|(_, amount)| amount);
        let liar = state
            .channels
            .get(&channel)
            .and_then(|row| search.index_of(&row.peer))
            .is_some_and(|i| world.party(i).is_none());
        let proven = liar && party.facts.accepted.contains(&(channel, *leg));
        if given != Some(out.amount) && !(given.is_none() && proven) && world.restarted == 0 {
            return Err(format!("network {index}, a middle, gave {:?} and got {given:?}", out.amount));
        }
    }
    Ok(())
}

/// Where both neighbours are honest they agree on every hop and on what one owes the other.
fn both_ends(world: &World, left: usize, right: usize) -> Result<(), String> {
    let (Some(a), Some(b)) = (world.party(left), world.party(right)) else { return Ok(()) };
    let account = own_accounts::peer(&a.home.ledger, &b.home.ledger);
    let (x, y) = (a.engine.state().balance(&account, HOUR), b.engine.state().balance(&account, HOUR));
    let (Some(channel), there) = (a.channel(right), b.channel(left)) else { return Ok(()) };
    if there != Some(channel) {
        return Err(format!("networks {left} and {right} are not in the same incarnation of their channel"));
    }
    let (out, incoming) = (bound(a, &channel), booked(b, &channel));
    // What a reset has settled between networks that were set back shows in the position alone.
    let settled = world.restarted > 0 && a.engine.state().incarnation(&b.home.ledger) > 0;
    // What is written off stands on the books of the other alone, until that one is heard again.
    let apart =
        [(a, &channel), (b, &channel)].iter().any(|(p, id)| p.engine.state().written_off.contains_key(id));
    if (x + y != 0 && !apart) || (out != incoming && !settled) {
        return Err(format!(
            "networks {left} and {right} differ: {x} and {y}; bound {out:?}, booked {incoming:?}"
        ));
    }
    Ok(())
}

fn bound(party: &Party, channel: &StreamId) -> Vec<(Leg, i64)> {
    let claims = &party.engine.state().claims;
    let outs = claims.iter().filter_map(|(leg, row)| Some((*leg, row.outgoing.as_ref()?)));
    let ours = outs.filter(|(_, out)| out.channel == *channel && is_bound(out));
    ours.map(|(leg, out)| (leg, out.amount.minor())).collect()
}

fn booked(party: &Party, channel: &StreamId) -> Vec<(Leg, i64)> {
    let claims = &party.engine.state().claims;
    let hops = claims.iter().filter_map(|(leg, row)| Some((*leg, row.incoming.get(channel)?)));
    hops.filter(|(_, hop)| !hop.returned)
        .filter_map(|(leg, hop)| Some((leg, hop.booked?.1.minor())))
        .collect()
}

/// A payment has happened, or it has not; where all on its way are honest, at both ends.
fn outcome(search: &Search, world: &World, wish: usize) -> Result<(), String> {
    let (claim, asked) = (&search.claims[wish].0, search.wishes[wish]);
    let honest_way = asked.way().into_iter().all(|i| world.party(i).is_some());
    let (Some(payer), true) = (world.party(asked.from), world.restarted == 0) else { return Ok(()) };
    let facts = &payer.facts;
    let credited = world.party(asked.to).and_then(|payee| payee.facts.credited.get(claim)).copied();
    if credited.is_some_and(|amount| amount != asked.amount) {
        return Err(format!("{credited:?} was credited, {} was meant", asked.amount));
    }
    (0..asked.parts).try_for_each(|part| {
        let leg = (*claim, part);
        let ends = (facts.paid.contains(&leg), facts.freed.contains(&leg), facts.returned.contains(&leg));
        ended(search, wish, ends, credited, honest_way)
    })
}

/// How one part has ended (paid, freed, given back) beside what the payee was credited: all parts alike.
fn ended(
    search: &Search,
    wish: usize,
    ends: (bool, bool, bool),
    credited: Option<i64>,
    honest_way: bool,
) -> Result<(), String> {
    // People have given it up where the payee has it already.
    if search.scenario.disputes() && credited.is_some() && !matches!(ends, (true, true, _)) {
        return Ok(());
    }
    match (ends, credited) {
        ((true, true, _) | (false, _, true), _) => Err(format!("payment {wish} ended as {ends:?}")),
        ((true, false, false), None) if honest_way => Err("paid, and the payee has nothing".into()),
        ((false, true, false), Some(_)) if honest_way => Err("freed, and the payee has it".into()),
        ((true, false, true), _)
            if honest_way && !search.scenario.disputes() && !search.scenario.resets() =>
        {
            Err("given back among honest networks".into())
        }
        ((false, false, false), Some(_)) if honest_way => Err("not ended, and the payee has it".into()),
        _ => Ok(()),
    }
}
