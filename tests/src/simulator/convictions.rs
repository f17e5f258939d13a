//! What must hold of evidence: whoever has both halves of a lie has stopped before anything more of the liar is
//! acknowledged; nobody honest is ever stopped; and what one network knows its neighbours come to know.
//!
//! The halves are kept and compared here, apart from the rules that are tested.

use super::Violation;
use super::node::{Node, Stored};
use super::world::{Party, World};
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::clearing::intent::{Decision, Outcome};
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::evidence::{Evidence, EvidenceType};
use weft_protocol::ids::{ClaimId, LedgerId, PUBLIC_STREAM};
use weft_protocol::log::note::Note;

/// What a note is about: its type, log, and size or index.
pub(super) type Subject = (EvidenceType, String, u64);

/// What notes have said about a thing, as a network has seen since its last start.
pub(super) type SeenNotes = BTreeMap<Subject, BTreeSet<String>>;

/// What Decisions outside the streams have said of claims, as a network has seen since its last start.
pub(super) type SeenWords = BTreeMap<ClaimId, Outcome>;

/// What a note is about, and what it says. The simulator's liars write no note that cannot be read.
pub(super) fn read(kind: EvidenceType, half: &[u8]) -> Option<(Subject, String)> {
    let (text, place) = match kind {
        EvidenceType::Proofs => {
            let half: weft_protocol::evidence::InclusionHalf =
                weft_protocol::encoding::decode_canonical(half, half.len()).ok()?;
            (Note::parse(&half.note.0).ok()?.text().to_owned(), Some((half.index, half.leaf.to_string())))
        }
        _ => (Note::parse(half).ok()?.text().to_owned(), None),
    };
    let mut lines = text.lines();
    let (origin, size) = (lines.next()?.to_owned(), lines.next()?.parse().ok()?);
    let (number, word) = place.unwrap_or((size, text.clone()));
    Some(((kind, origin, number), word))
}

/// After a commit of a network that is still up.
pub(super) fn stopped(world: &World, index: usize) -> Result<(), Violation> {
    let Some(node) = world.parties[index].honest() else { return Ok(()) };
    for party in world.parties.iter().filter_map(Party::honest) {
        if node.books.state.accused.contains_key(&party.ledger) {
            let about = |bytes: &[u8]| Evidence::parse(bytes).ok().filter(|e| e.accused() == party.ledger);
            let shown = node.running().peers().evidence().iter().find_map(|(_, bytes)| about(bytes));
            let words = shown.and_then(|e| e.verify_alone().ok()).map(|proven| proven.words().join(" "));
            return Err(Violation(format!("an honest network was convicted: {}", words.unwrap_or_default())));
        }
        if node.running().is_frozen(&party.ledger) {
            let why = node.running().peers().findings().iter().find(|f| f.ledger == party.ledger);
            let why = why.map_or("", |finding| &finding.what);
            return Err(Violation(format!("an honest network is frozen at another: {why}")));
        }
    }
    let Some(liar) = world.liar() else { return Ok(()) };
    let kept = |(_, bytes): &(_, Vec<u8>)| Evidence::parse(bytes).is_ok_and(|kept| kept.accused() == liar);
    // In quarantine nothing is signed: the bytes are kept, and the entry comes at its end.
    let waits = node.running().is_quarantined() && node.running().peers().evidence().iter().any(kept);
    if node.books.state.is_frozen(&liar) || waits {
        return Ok(());
    }
    if let Some(what) = both_halves(node, &liar) {
        return Err(Violation(format!("{what}, and the liar is not convicted")));
    }
    Ok(())
}

/// What a network has both halves of.
fn both_halves(node: &Node, liar: &LedgerId) -> Option<&'static str> {
    let twice = node.notes_seen.values().any(|halves| halves.len() > 1);
    if twice {
        return Some("two notes that exclude each other were seen");
    }
    let mut places: BTreeMap<(u64, u64), &Entry> = BTreeMap::new();
    let mut words: BTreeMap<ClaimId, Outcome> = node.words_seen.clone();
    let mut introduced = false;
    for stored in &node.disk {
        let Stored::Received(entry) = stored else { continue };
        let body = entry.body();
        if body.ledger == *liar
            && let Some(other) = places.insert((body.boot, body.seq), entry)
            && other.leaf() != entry.leaf()
        {
            return Some("two entries stand at one place");
        }
        introduced |= body.ledger == *liar && body.stream.is_some_and(|header| header.id == PUBLIC_STREAM);
        let Payload::Step(step) = &entry.op().payload else { continue };
        if let StepArgs::Key(args) = &step.args {
            introduced |= Entry::parse(&args.entry.0).is_ok_and(|shown| shown.body().ledger == *liar);
        }
        let Some(decision) = decision_in(&step.args).filter(|d| d.body.decider == *liar) else { continue };
        let identity = node.running().peers().identity(liar);
        // Before somebody has shown who the liar is, its word is nobody's.
        if !introduced || identity.is_none_or(|identity| decision.verify(identity).is_err()) {
            continue;
        }
        let (claim, outcome) = (decision.body.claim, decision.body.outcome);
        let known = node.running().state().claim(&claim).is_some();
        if words.insert(claim, outcome).is_some_and(|before| before != outcome) && known {
            return Some("a yes and a no to one claim are stored");
        }
    }
    None
}

fn decision_in(args: &StepArgs) -> Option<&Decision> {
    match args {
        StepArgs::Accept(args) => Some(&args.decision),
        StepArgs::Reject(args) => args.decision.as_ref(),
        StepArgs::Done(args) => Some(&args.decision),
        StepArgs::Accord(_)
        | StepArgs::Propose(_)
        | StepArgs::Key(_)
        | StepArgs::Free
        | StepArgs::Return
        | StepArgs::Stmt(_)
        | StepArgs::StmtAck(_)
        | StepArgs::Settle(_)
        | StepArgs::SettleAck(_)
        | StepArgs::Reset(_)
        | StepArgs::ResetRefuse(_)
        | StepArgs::Dispute(_)
        | StepArgs::Offer(_)
        | StepArgs::DropHold(_)
        | StepArgs::Apply(_)
        | StepArgs::Pause(_)
        | StepArgs::End => None,
    }
}

/// At the end: neighbours of those who know, who know the liar at all, know it too.
pub(super) fn passed_on(world: &World) -> Result<(), Violation> {
    let Some(liar) = world.liar() else { return Ok(()) };
    let knows = |index: usize| {
        let node = world.parties.get(index).and_then(Party::honest);
        node.filter(|node| node.running().peers().identity(&liar).is_some())
    };
    for index in 0..world.parties.len() {
        let Some(node) = knows(index) else { continue };
        if !node.books.state.is_frozen(&liar) {
            continue;
        }
        for near in node.links.keys().copied() {
            if knows(near).is_some_and(|near| !near.books.state.is_frozen(&liar)) {
                return Err(Violation(format!("network {index} has not passed its evidence on to {near}")));
            }
        }
    }
    Ok(())
}
