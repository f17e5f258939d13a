//! What a push carries is proven on a thread of its own before the ledger looks at it: signatures verified, sidecars opened.
//!
//! Nothing is decided here. A signature that verifies is known when the ledger verifies it; one that does not is judged
//! there, with all that it may rest on. A sidecar that does not open here is tried again there.

use super::Clearing;
use crate::data::Keys;
use crate::service::read_entries;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use weft_protocol::clearing::intent::Decision;
use weft_protocol::clearing::step::{AcceptArgs, DoneArgs, ProposeArgs, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, EntryError, Payload};
use weft_protocol::ids::{ClaimId, Hash, LedgerId};
use weft_protocol::ledger::identity::Identity;
use weft_protocol::seal::{Envelope, Opened};

/// Pushes of fewer entries are proven on the ledger's thread: handing them over takes as long.
const WORTH_IT: usize = 4;
/// Who a peer is, is looked up again after this time. Keys that are older prove less, and nothing wrong.
const FRESH: Duration = Duration::from_secs(10);

/// Who sends, and who we are.
#[derive(Debug)]
pub(super) struct Ends {
    sender: Identity,
    us: LedgerId,
}

/// What was looked up of peers, and when.
pub(super) type KnownEnds = BTreeMap<LedgerId, (Instant, Arc<Ends>)>;

/// What was read and proven of a push.
#[derive(Debug, Default)]
pub(super) struct Proven {
    /// The entries, up to the first that cannot be read.
    pub(super) entries: Vec<Entry>,
    /// Why that one cannot be read.
    pub(super) unreadable: Option<EntryError>,
    /// Sidecars for us, by commitment and claim.
    pub(super) opened: BTreeMap<(Hash, ClaimId), Opened>,
}

impl Proven {
    fn read(bytes: &[Blob]) -> Self {
        let (entries, unreadable) = read_entries(bytes);
        Self { entries, unreadable, opened: BTreeMap::new() }
    }
}

impl Clearing {
    /// Reads what was pushed, and proves what can be without the ledger.
    pub(super) async fn prove(
        &self,
        peer: LedgerId,
        entries: Vec<Blob>,
        sidecars: &Arc<Vec<Envelope>>,
    ) -> Option<Proven> {
        if entries.len() < WORTH_IT {
            return Some(Proven::read(&entries));
        }
        let ends = self.ends(peer).await;
        let (keys, sidecars) = (self.0.keys.clone(), sidecars.clone());
        let proving = tokio::task::spawn_blocking(move || {
            let mut read = Proven::read(&entries);
            if let Some(ends) = ends {
                read.opened = prove_all(&ends, &keys, &read.entries, &sidecars);
            }
            read
        });
        proving.await.ok()
    }

    async fn ends(&self, peer: LedgerId) -> Option<Arc<Ends>> {
        let now = self.0.clock.instant();
        let known =
            |ends: &KnownEnds| ends.get(&peer).filter(|(at, _)| now.duration_since(*at) < FRESH).cloned();
        if let Some((_, ends)) = known(&self.0.ends.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(ends);
        }
        let read = self.0.ledger.run(move |core| {
            let sender = core.engine().peers().identity(&peer).cloned();
            sender.zip(core.engine().state().ledger().ok())
        });
        let (sender, us) = read.await.ok().flatten()?;
        let ends = Arc::new(Ends { sender, us });
        let mut all = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody but peers gets here, and an old one is of no use.
        all.retain(|_, (at, _)| now.duration_since(*at) < FRESH);
        all.insert(peer, (now, ends.clone()));
        Some(ends)
    }
}

/// Reads a page of an author's public stream and verifies what its known keys have signed, on a thread of its own: the
/// entries up to the first that is not one of the author's.
pub(super) async fn prove_public(
    author: LedgerId,
    known: Option<Arc<Identity>>,
    entries: Vec<Blob>,
) -> Vec<Entry> {
    let proving = tokio::task::spawn_blocking(move || {
        let read = read_entries(&entries).0.into_iter();
        let read: Vec<Entry> = read.take_while(|entry| entry.body().ledger == author).collect();
        if let Some(identity) = known {
            // The ledger stops at the first that does not verify, or knows more.
            let _ = read.iter().all(|entry| is_signed(&identity, entry));
        }
        read
    });
    proving.await.unwrap_or_default()
}

/// Whether the node's signature under an entry verifies; it is known from here on.
fn is_signed(identity: &Identity, entry: &Entry) -> bool {
    let key = identity.log_key_at(entry.body().epoch, entry.body().seq);
    key.is_ok_and(|key| key.verify_message(&entry.node_message(), entry.node_sig()).is_ok())
}

fn prove_all(
    ends: &Ends,
    keys: &Keys,
    entries: &[Entry],
    sidecars: &[Envelope],
) -> BTreeMap<(Hash, ClaimId), Opened> {
    let mut opened = BTreeMap::new();
    let envelopes: BTreeMap<Hash, &Envelope> = sidecars.iter().map(|one| (one.commitment, one)).collect();
    for entry in entries {
        if !is_signed(&ends.sender, entry) {
            // The ledger stops at this one, or knows more; what comes after it is not worth the time.
            return opened;
        }
        let Payload::Step(step) = &entry.op().payload else { continue };
        if let StepArgs::Propose(args) = &step.args {
            opened.extend(prove_proposal(ends, keys, args, &envelopes));
        }
        if let StepArgs::Accept(AcceptArgs { decision, .. }) | StepArgs::Done(DoneArgs { decision }) =
            &step.args
        {
            prove_decision(ends, decision);
        }
    }
    opened
}

/// The Intent's signature, where the sender is the payer's network; the sidecar, where we are the payee's.
fn prove_proposal(
    ends: &Ends,
    keys: &Keys,
    args: &ProposeArgs,
    envelopes: &BTreeMap<Hash, &Envelope>,
) -> Option<((Hash, ClaimId), Opened)> {
    let intent = args.intent.parse().ok()?;
    if intent.payer == ends.sender.ledger {
        args.intent.verify(&ends.sender, intent.epoch).ok()?;
    }
    let envelope = envelopes.get(&intent.sidecar).filter(|_| intent.payee == ends.us)?;
    let claim = args.intent.claim();
    let opened = envelope.open(&keys.seal, &claim).ok()?;
    Some(((intent.sidecar, claim), opened))
}

fn prove_decision(ends: &Ends, decision: &Decision) {
    if decision.body.decider == ends.sender.ledger {
        // Known from here on if it verifies.
        let _ = decision.verify(&ends.sender);
    }
}
