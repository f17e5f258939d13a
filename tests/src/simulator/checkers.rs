//! What must hold: at every commit, and once everything is quiet.
//!
//! Only honest networks are judged. A liar may lose; an honest network may at worst be left with a claim on a liar
//! that it can prove.

use super::Violation;
use super::founding::HOUR;
use super::node::Node;
use super::payments::{Payment, Told};
use super::world::{Party, World};
use std::collections::BTreeMap;
use weft_protocol::clearing::peers::PeerClosing;
use weft_protocol::encoding::encode;
use weft_protocol::evidence::{Evidence, EvidenceType};
use weft_protocol::ids::{ClaimId, LedgerId, StreamId};
use weft_protocol::ledger::state::{Answer, Closing, InHop, Origin, OutHop, State};
use weft_protocol::ledger::{own_accounts, verify_signatures};

/// One seed in this many has every signature of its ledgers checked again: it is slow and seldom news.
const VERIFY_EVERY: usize = 64;

/// After a commit of a network: limits, and the middle's safety against what its neighbours have made durable.
pub(super) fn node(parties: &[Party], ledgers: &[LedgerId], index: usize) -> Result<(), Violation> {
    let Some(node) = parties[index].honest() else { return Ok(()) };
    limits(&node.books.state)?;
    super::round::within_limits(&node.books.state)?;
    for near in node.links.keys().chain([&index]) {
        if let Some(near) = parties.get(*near).and_then(Party::honest) {
            bound_only_with_upstream(parties, ledgers, near)?;
        }
    }
    Ok(())
}

/// What we owe a peer, and what we have proposed to it, keeps within the accord; what it got back by RETURN came on
/// top when we had counted it as room already.
fn limits(state: &State) -> Result<(), Violation> {
    for (id, row) in &state.channels {
        let returned =
            |hop: &InHop| hop.return_step.and(hop.booked_value()).map_or(0, |value| value.position().minor());
        let back: i64 = state.claims.values().filter_map(|c| c.incoming.get(id)).map(returned).sum();
        let terms = &row.accord.pairs[0];
        let owed = state.balance(&row.account, terms.booked_unit(row.we_are_a));
        let open = row.open_out.get(&0).copied().unwrap_or(0);
        let limit = terms.limit(row.we_are_a);
        let used = i128::from(owed) + i128::from(open) - i128::from(back);
        if used > i128::from(limit) && (open > 0 || owed > back) {
            return Err(Violation(format!("owes {owed} and has {open} open; the limit is {limit}")));
        }
    }
    Ok(())
}

/// A middle that is bound downstream (DONE, not returned) is never free upstream: neither in what it has heard nor in
/// what an honest neighbour has made durable, nor by its own word.
fn bound_only_with_upstream(parties: &[Party], ledgers: &[LedgerId], node: &Node) -> Result<(), Violation> {
    for ((claim, part), row) in &node.books.state.claims {
        let Some(out) = row.outgoing.as_ref().filter(|out| is_bound(out)) else { continue };
        let Origin::Upstream { channel } = out.origin else { continue };
        let free =
            |how: &str| Err(Violation(format!("claim {claim}: bound downstream, free upstream by {how}")));
        if row.incoming.get(&channel).is_some_and(|hop| matches!(hop.answer, Answer::Rejected(_))) {
            return free("our own REJECT");
        }
        let heard = node.engine.as_ref().and_then(|e| e.peers().leg(&channel, claim, *part));
        if heard.is_some_and(|said| said.closing == Some(PeerClosing::Free)) {
            return free("a FREE that was let in");
        }
        let peer = node.books.state.channels.get(&channel).map(|row| row.peer);
        let upstream = ledgers.iter().position(|l| Some(*l) == peer).and_then(|i| parties[i].honest());
        let theirs = upstream.and_then(|u| u.books.state.leg(claim, *part)?.outgoing.clone());
        if theirs.is_some_and(|hop| matches!(hop.closing, Closing::Freed(_)) || hop.returned) {
            return free("the FREE of an honest network");
        }
    }
    Ok(())
}

fn is_bound(out: &OutHop) -> bool {
    matches!(out.closing, Closing::Done(_)) && !out.returned
}

fn is_booked(hop: &InHop) -> bool {
    hop.booked.is_some() && !hop.returned
}

/// Whether nothing is under way any more, as far as honest networks can bring it about.
pub(super) fn is_quiet(world: &World) -> bool {
    let told = world.payments.iter().all(|p| p.told != Told::Nothing);
    told && world.parties.iter().filter_map(Party::honest).all(|node| {
        let Some(engine) = &node.engine else { return false };
        let state = engine.state();
        let closed = state.claims.values().all(weft_protocol::ledger::state::ClaimRow::is_closed);
        let acked = node.links.values().all(|link| link.next == state.stream(&link.channel).next);
        closed
            && acked
            && state.holds.is_empty()
            && unsettled(node).is_none()
            && is_stated(world, node)
            && super::round::is_over(node, world.now_ms)
    })
}

/// Whether the last statement with each honest neighbour is answered and covers everything.
fn is_stated(world: &World, node: &Node) -> bool {
    let honest = node.links.keys().filter(|peer| world.parties[**peer].honest().is_some());
    let mut standings = honest.map(|peer| node.running().standing(&world.ledgers[*peer]));
    standings.all(|standing| standing.is_ok_and(|now| !now.moved && now.waiting.is_none()))
}

/// A claim of which peers may still say something. A REJECT of what never came to us stays for a while.
fn unsettled(node: &Node) -> Option<ClaimId> {
    let (state, peers) = (node.running().state(), node.running().peers());
    let open = |claim: &ClaimId| {
        peers.hops_of(claim).iter().any(|(id, part)| {
            let proposed = peers.leg(id, claim, *part).is_some_and(|said| said.proposal.is_some());
            proposed || state.leg(claim, *part).is_some()
        })
    };
    peers.claims().into_iter().find(open)
}

/// Long after, nobody remembers anything but balances, streams and what was never anybody's claim to end.
pub(super) fn forgotten(node: &Node) -> Result<(), Violation> {
    let state = node.running().state();
    let left = [
        state.claims.len(),
        state.decisions.len(),
        state.nonces.len(),
        node.running().peers().claims().len(),
    ];
    if left == [0; 4] {
        replayed(node)
    } else {
        Err(Violation(format!("still remembered after 90 days: {left:?}")))
    }
}

/// Once all has had its time: everything has ended, once, and both sides of everything agree.
pub(super) fn ended(world: &mut World) -> Result<(), Violation> {
    let honest = world.parties.iter().all(|p| p.honest().is_some());
    for node in world.parties.iter().filter_map(Party::honest) {
        replayed(node)?;
        blamed(world, node)?;
        world.tally.returns += node.books.returns;
        count_evidence(&mut world.tally, node);
        world.tally.findings += node.running().peers().findings().len() as u64;
        if honest {
            at_rest(node)?;
        }
        let outs = node.books.state.claims.values().filter_map(|row| row.outgoing.as_ref());
        world.tally.exchanged += outs.filter(|out| is_bound(out) && out.exchanged.is_some()).count() as u64;
        middle(world, node)?;
    }
    both_ends(world)?;
    super::statements::held_against_the_streams(world)?;
    super::round::ended(world)?;
    if honest && world.one_unit {
        nothing_created(world)?;
    }
    let mut tally = world.tally;
    for payment in &world.payments {
        outcome(world, payment, honest, &mut tally)?;
    }
    world.tally = tally;
    Ok(())
}

/// Evidence that a network has recorded, by type.
pub(super) fn count_evidence(tally: &mut super::Tally, node: &Node) {
    for (_, bytes) in node.running().peers().evidence() {
        tally.evidence += 1;
        match Evidence::parse(bytes).map(|evidence| evidence.kind()) {
            Ok(EvidenceType::Notes) => tally.notes += 1,
            Ok(EvidenceType::Proofs) => tally.proofs += 1,
            Ok(EvidenceType::Entries) => tally.places += 1,
            Ok(EvidenceType::Decisions) => tally.decisions += 1,
            Ok(EvidenceType::Cosignatures) => tally.cosignatures += 1,
            Err(_) => {}
        }
    }
}

/// The live state, the audited one and one read back from the disk are the same.
pub(super) fn replayed(node: &Node) -> Result<(), Violation> {
    let engine = node.engine.as_ref().ok_or_else(|| Violation("a node is still down".into()))?;
    let (live, audited) = (engine.state().digest(), node.books.state.digest());
    let whole = node.replay()?;
    let read_back = whole.state().digest();
    // What a base stands for makes no difference, wherever it stands: neither to the books nor to the peers' words.
    let cut = node.disk.len() * 2 / 3;
    let from_base = node.replay_from_base(cut)?;
    if from_base.state().digest() != read_back || encode(from_base.peers()) != encode(whole.peers()) {
        return Err(Violation(format!("a base in the place of {cut} records changes what follows")));
    }
    if live != audited || live != read_back {
        return Err(Violation(format!(
            "digests differ: live {live}, audited {audited}, read back {read_back}"
        )));
    }
    if node.disk.len().is_multiple_of(VERIFY_EVERY) {
        let mut state = State::default();
        for entry in node.own_entries() {
            verify_signatures(&state, entry).map_err(|e| Violation::of("audit", &e))?;
            let transition =
                weft_protocol::ledger::apply(&state, entry).map_err(|e| Violation::of("audit", &e))?;
            state.commit(&transition);
        }
    }
    Ok(())
}

/// Only liars are blamed.
pub(super) fn blamed(world: &World, node: &Node) -> Result<(), Violation> {
    let honest =
        |ledger: &LedgerId| world.parties.iter().filter_map(Party::honest).any(|n| n.ledger == *ledger);
    match node.running().peers().findings().iter().find(|finding| honest(&finding.ledger)) {
        Some(finding) => Err(Violation(format!("an honest network is blamed: {}", finding.what))),
        None => Ok(()),
    }
}

/// Among honest networks nothing stays open, nothing is left on the way, nobody is blamed.
fn at_rest(node: &Node) -> Result<(), Violation> {
    let state = &node.books.state;
    for name in own_accounts::NAMES {
        for (unit, left) in state.balances_of(&own_accounts::id(name)) {
            // What was exchanged stands there until people settle it; rounding never costs the network anything.
            let may_stay = name == "exchange" || (name == "rounding" && left >= 0);
            if left != 0 && !may_stay {
                return Err(Violation(format!("{left} of unit {unit} left on {name}")));
            }
        }
    }
    if let Some(((claim, _), row)) = state.claims.iter().find(|(_, row)| !row.is_closed()) {
        return Err(Violation(format!("claim {claim} never ended: {row:?}")));
    }
    if let Some(claim) = unsettled(node) {
        let legs: Vec<_> = state.legs(&claim).collect();
        return Err(Violation(format!("claim {claim} is never settled: {legs:?}")));
    }
    if let Some(link) = node.links.values().find(|link| link.next != state.stream(&link.channel).next) {
        return Err(Violation(format!("a peer has our stream up to {} only", link.next)));
    }
    Ok(())
}

/// Where both neighbours are honest they agree on every hop and on what one owes the other.
fn both_ends(world: &World) -> Result<(), Violation> {
    let honest = world.parties.iter().filter_map(Party::honest);
    let links = honest.flat_map(|left| left.links.iter().map(move |(to, link)| (left, *to, link.channel)));
    for (left, to, channel) in links {
        let Some(right) = world.parties[to].honest() else { continue };
        let account = own_accounts::peer(&left.ledger, &right.ledger);
        let position = |node: &Node| {
            let row = &node.books.state.channels[&channel];
            node.books.state.balance(&account, row.accord.pairs[0].booked_unit(row.we_are_a))
        };
        let (a, b) = (position(left), position(right));
        let (out_a, in_a) = hops(&left.books.state, &channel);
        let (out_b, in_b) = hops(&right.books.state, &channel);
        if out_a != in_b || out_b != in_a {
            return Err(Violation(format!(
                "the ends of a hop differ:\n{out_a:?}\n{in_b:?}\n{out_b:?}\n{in_a:?}"
            )));
        }
        if a + b != 0 {
            return Err(Violation(format!("peer accounts are not opposite: {a} and {b}")));
        }
    }
    Ok(())
}

/// Parts of claims with what they move on a peer account.
type Bound = BTreeMap<(ClaimId, u8), i64>;

/// What is bound on a channel: as debtor, and as creditor.
fn hops(state: &State, channel: &StreamId) -> (Bound, Bound) {
    let mut sides = (BTreeMap::new(), BTreeMap::new());
    for (leg, row) in &state.claims {
        if let Some(out) = row.outgoing.as_ref().filter(|out| out.channel == *channel && is_bound(out)) {
            sides.0.insert(*leg, out.value().position().minor());
        }
        let booked = row.incoming.get(channel).filter(|hop| is_booked(hop)).and_then(InHop::booked_value);
        sides.1.extend(booked.map(|value| (*leg, value.position().minor())));
    }
    sides
}

/// A middle has been given what it gave, or can prove that it must be: it holds the proposal and the Decision, has
/// passed the ACCEPT on and never said no. What it was given and cannot pass on it has returned.
fn middle(world: &World, node: &Node) -> Result<(), Violation> {
    let state = &node.books.state;
    for ((claim, part), row) in &state.claims {
        let out = row.outgoing.as_ref();
        let upstream = out.and_then(|out| match out.origin {
            Origin::Upstream { channel } => Some((out, channel)),
            Origin::Hold { .. } => None,
        });
        if let Some((out, channel)) = upstream.filter(|(out, _)| is_bound(out)) {
            let hop = row.incoming.get(&channel);
            let given = hop.filter(|h| is_booked(h)).and_then(|h| h.booked);
            let proven =
                is_liar(world, state, &channel) && node.books.accepted.contains(&(channel, *claim, *part));
            match given {
                Some((_, amount)) if amount == out.amount => {}
                None if proven => {}
                _ => {
                    let said = node.running().peers().leg(&channel, claim, *part);
                    return Err(Violation(format!(
                        "claim {claim}: a middle gave {:?} and got {given:?}: {row:?} {said:?}",
                        out.amount
                    )));
                }
            }
        }
        for (channel, hop) in row.incoming.iter().filter(|(_, hop)| is_booked(hop)) {
            let onward = upstream.is_some_and(|(out, from)| from == *channel && is_bound(out));
            let credited = node.books.credited.contains_key(claim);
            if !onward && !credited {
                return Err(Violation(format!("claim {claim}: {:?} was kept by a middle", hop.booked)));
            }
        }
    }
    // What a payee was credited with, the last hops owe: booked, or provable towards a liar.
    for (claim, (_, amount)) in &node.books.credited {
        let Some(decision) = state.decisions.get(claim) else { continue };
        let last = |channel: &StreamId, hop: &InHop| hop.due.is_some() || *channel == decision.channel;
        let hops = state.legs(claim).flat_map(|(_, row)| &row.incoming);
        let hops: Vec<_> = hops.filter(|(channel, hop)| last(channel, hop)).collect();
        let booked = |hop: &InHop| hop.booked.filter(|_| is_booked(hop)).map(|(_, amount)| amount.minor());
        let owed: i64 = hops.iter().filter_map(|(_, hop)| booked(hop)).sum();
        let missing =
            |(channel, hop): &(&StreamId, &InHop)| booked(hop).is_none() && !is_liar(world, state, channel);
        let by_liars = hops.iter().any(|(_, hop)| booked(hop).is_none());
        if hops.iter().any(missing) || hops.is_empty() || (owed != *amount && !by_liars) {
            return Err(Violation(format!("claim {claim}: credited {amount}, the last hops owe {owed}")));
        }
    }
    Ok(())
}

fn is_liar(world: &World, state: &State, channel: &StreamId) -> bool {
    let peer = state.channels.get(channel).map(|row| row.peer);
    let index = world.ledgers.iter().position(|l| Some(*l) == peer);
    index.is_some_and(|i| world.parties[i].honest().is_none())
}

/// What members have in all networks together is what they had.
fn nothing_created(world: &World) -> Result<(), Violation> {
    let nodes = world.parties.iter().filter_map(Party::honest);
    let all = nodes.flat_map(|n| n.members.iter().map(|m| n.books.state.balance(&m.account, HOUR)));
    let sum: i64 = all.sum();
    if sum == 0 { Ok(()) } else { Err(Violation(format!("members have {sum} more than they had"))) }
}

/// An acknowledged payment has ended once: done, or back with the payer. A refused one never began.
fn outcome(
    world: &World,
    payment: &Payment,
    honest: bool,
    tally: &mut super::Tally,
) -> Result<(), Violation> {
    let Some(payer) = world.parties[payment.payer()].honest() else { return Ok(()) };
    let Some(hold) = payer.books.holds.get(&payment.op_id) else {
        let lost = payment.told == Told::Acknowledged;
        return if lost { Err(Violation("an acknowledged payment is gone".into())) } else { Ok(()) };
    };
    if payment.told != Told::Acknowledged {
        return Err(Violation(format!("the client was told {:?}, and value is held", payment.told)));
    }
    tally.payments += 1;
    let books = &payer.books;
    let released = books.released.contains(&hold.leaf);
    let Some(claim) = books.claims.get(&hold.leaf) else {
        tally.freed += 1;
        return if released { Ok(()) } else { Err(Violation("a hold without claim was kept".into())) };
    };
    let payee = world.parties[payment.payee()].honest();
    let credited = payee.and_then(|p| p.books.credited.get(claim)).copied();
    let right = payment.account.map(|account| (account, payment.brings));
    if credited.is_some() && credited != right {
        return Err(Violation(format!("claim {claim}: credited {credited:?}, meant {right:?}")));
    }
    let legs: Vec<(u8, Option<&OutHop>)> =
        books.state.legs(claim).map(|(part, row)| (part, row.outgoing.as_ref())).collect();
    if released && legs.len() == payment.ways.len() {
        return Err(Violation(format!("claim {claim}: its hold was released")));
    }
    let mut ends = Vec::new();
    for (part, out) in legs {
        let leg = (*claim, part);
        let way_is_honest =
            payment.ways[usize::from(part)].iter().all(|i| world.parties[*i].honest().is_some());
        let end = (books.paid.contains(&leg), books.freed.contains(&leg), books.returned.contains(&leg));
        match end {
            (true, false, false) | (false, true, false) => {}
            (true, false, true) if !(honest || way_is_honest && credited.is_some()) => {}
            (true, false, true) => {
                return Err(Violation(format!("claim {claim}: returned among honest networks")));
            }
            (false, false, false)
                if !way_is_honest && out.is_some_and(|out| out.closing == Closing::Open) => {}
            _ => return Err(Violation(format!("claim {claim}, part {part} ended as {end:?}: {out:?}"))),
        }
        if way_is_honest && end.1 && credited.is_some() {
            return Err(Violation(format!("claim {claim}: freed, and the payee has it")));
        }
        ends.push((end, way_is_honest));
    }
    if payee.is_some() && credited.is_none() && ends.iter().any(|(end, _)| (end.0, end.2) == (true, false)) {
        return Err(Violation(format!("claim {claim}: paid, and the payee has nothing")));
    }
    // With a lying decider one part may end so and another otherwise: whoever is honest on its way has lost nothing.
    let all = |wanted: (bool, bool, bool)| ends.iter().all(|(end, _)| *end == wanted);
    let some = |wanted: (bool, bool, bool)| ends.iter().any(|(end, _)| *end == wanted);
    let kinds = [(true, false, false), (false, true, false), (true, false, true), (false, false, false)];
    let mixed = !kinds.into_iter().any(all);
    if honest && mixed {
        return Err(Violation(format!("claim {claim}: its parts ended as {ends:?}")));
    }
    match () {
        () if some((false, false, false)) => tally.stuck += 1,
        () if some((true, false, true)) => tally.returned += 1,
        () if some((true, false, false)) => {
            tally.done += 1;
            tally.split += u64::from(ends.len() > 1);
        }
        () => tally.freed += 1,
    }
    Ok(())
}
