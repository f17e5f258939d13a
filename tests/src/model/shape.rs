//! When two states count as one.
//!
//! A ledger puts the lines of all channels into one order, and salts, hashes and acknowledgements follow from it. But what a
//! network does depends on what was said on each channel in which order, on what it holds and knows, not on which of two
//! channels was written to first. So the shape of a state leaves that order out, which makes the search finite in
//! practice. Where a network may still be set back, the order on its disk counts too: it says what is lost together.

use super::party::{Party, Stored};
use super::world::{Search, Seat, World};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as StdHash, Hasher};
use weft_protocol::clearing::accord::channel_id;
use weft_protocol::clearing::engine::Record;
use weft_protocol::clearing::intent::{Decision, SignedIntent};
use weft_protocol::clearing::restart::is_guarded;
use weft_protocol::clearing::step::{Step, StepArgs};
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ledger::transfer::Posting;

/// The shape of a state.
pub(super) fn of(search: &Search, world: &World) -> u64 {
    let mut out = DefaultHasher::new();
    (world.late, world.waits, world.begun, world.done, world.crashes, world.set_backs, world.restarted)
        .hash(&mut out);
    for ((to, _), decision) in &world.words {
        (to, word(decision)).hash(&mut out);
    }
    for seat in &world.seats {
        match &**seat {
            Seat::Honest(party) => honest(search, world, party, &mut out),
            Seat::Liar(liar) => liar.shape(&mut out),
        }
    }
    out.finish()
}

fn honest(search: &Search, world: &World, party: &Party, out: &mut DefaultHasher) {
    let peers = party.engine.peers();
    for ledger in party.home.neighbours.values() {
        for n in 0..=party.engine.state().incarnation(ledger) + 1 {
            let channel = channel_id(&party.home.ledger, ledger, n);
            party.tags.get(&channel).hash(out);
            peers.stream(&channel).map(|stream| (stream.next, stream.acked)).hash(out);
        }
    }
    party.deeds.hash(out);
    for ((claim, _), wish) in search.claims.iter().zip(&search.wishes) {
        let decider = search.ledgers[wish.to];
        peers.decision(claim, &decider).map(word).hash(out);
        peers.contradicted(claim, &decider).hash(out);
    }
    (peers.findings().len(), peers.evidence().len()).hash(out);
    if world.set_backs > 0 {
        for stored in &party.disk {
            on_disk(stored).hash(out);
        }
    }
    if world.restarted > 0 {
        party.engine.boot().hash(out);
        for ledger in &search.ledgers {
            format!("{:?}", peers.fence(ledger)).hash(out);
        }
        if is_guarded(&party.engine) {
            (party.engine.is_quarantined(), party.engine.awaited()).hash(out);
            format!("{:?}", party.restart).hash(out);
        }
    }
}

fn on_disk(stored: &Stored) -> u64 {
    match stored {
        Stored::Own(entry) | Stored::Received(entry) => tag(entry),
        Stored::Evidence(bytes) => number(|out| bytes.hash(out)),
        Stored::Fence(fence) => number(|out| format!("{fence:?}").hash(out)),
    }
}

fn number(fill: impl FnOnce(&mut DefaultHasher)) -> u64 {
    let mut out = DefaultHasher::new();
    fill(&mut out);
    out.finish()
}

fn word(decision: &Decision) -> (u8, u16, weft_protocol::ids::ClaimId) {
    (decision.body.outcome as u8, decision.body.code, decision.body.claim)
}

/// What an entry says, without its place, time and chain.
pub(super) fn tag(entry: &Entry) -> u64 {
    number(|out| {
        (entry.body().ledger.as_bytes(), entry.kind().code()).hash(out);
        match &entry.op().payload {
            Payload::Step(step) => step_tag(step, out),
            Payload::Hold(hold) => (hold.account, hold.amount.minor(), entry.op().op_id).hash(out),
            Payload::Release(release) => postings(&release.postings, out),
            Payload::End(end) => {
                (end.claim, end.part).hash(out);
                postings(&end.postings, out);
            }
            Payload::Credit(credit) => {
                credit.claim.hash(out);
                postings(&credit.postings, out);
            }
            Payload::Book(book) => {
                (book.claim, book.part, book.channel).hash(out);
                postings(&book.postings, out);
            }
            Payload::Returned(back) => {
                (back.claim, back.part, back.channel).hash(out);
                postings(&back.postings, out);
            }
            Payload::DisputeClosed(closed) => {
                (closed.claim, closed.part).hash(out);
                postings(&closed.postings, out);
            }
            Payload::Settled(settled) => {
                (settled.act as u8, settled.channel, settled.amount.minor(), settled.we_owed).hash(out);
            }
            Payload::Recovered(recovered) => recovered.lost().as_ref().map(tag).hash(out),
            Payload::Succession(terms) => format!("{terms:?}").hash(out),
            other => format!("{other:?}").hash(out),
        }
    })
}

fn step_tag(step: &Step, out: &mut DefaultHasher) {
    (step.claim, step.part).hash(out);
    match &step.args {
        StepArgs::Propose(args) => (args.hop, args.intent.claim()).hash(out),
        StepArgs::Accept(args) => word(&args.decision).hash(out),
        StepArgs::Reject(args) => (args.code, args.decision.as_ref().map(word)).hash(out),
        StepArgs::Done(args) => word(&args.decision).hash(out),
        StepArgs::Key(args) => args.entry.0.hash(out),
        StepArgs::Accord(args) => args.accord.0.hash(out),
        StepArgs::Free | StepArgs::Return => {}
        other => format!("{other:?}").hash(out),
    }
}

fn postings(postings: &[Posting], out: &mut DefaultHasher) {
    for posting in postings {
        (posting.account, posting.unit, posting.delta).hash(out);
    }
}

/// The intent in a record, when it proposes one.
pub(super) fn intent_of(record: &Record) -> Option<SignedIntent> {
    let Record::Own(written) = record else { return None };
    let Payload::Step(step) = &written.entry.op().payload else { return None };
    match &step.args {
        StepArgs::Propose(args) => Some(args.intent.clone()),
        _ => None,
    }
}
