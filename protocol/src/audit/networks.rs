//! Other networks as an audit sees them: who they are, what their streams say, and every signature of theirs that
//! our own books rest on.
//!
//! A network's identity is built from its own entries only, each signature verified. What a network signed before
//! its identity is known waits; what still waits at the end is reported as not checked.

mod inside;

use super::channel::Side;
use super::finding::{Class, EntryRef, Finding, Findings};
use super::rounds::Heard;
use super::signatures::{About, Checker, Job};
use crate::clearing::accord::Accord;
use crate::clearing::intent::Outcome;
use crate::clearing::step::{RootSig, StepArgs};
use crate::entry::{Entry, Payload};
use crate::ids::{ClaimId, Hash, KeyBytes, LedgerId, PUBLIC_STREAM, SigBytes, StreamId};
use crate::keys::Context;
use crate::ledger::identity::Identity;
use crate::log::note::VerifierKey;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Signatures that may wait for an identity: 300 bytes each.
const MAX_WAITING: usize = 100_000;

/// Sides of accords held until the end: two for each version of each accord.
const MAX_WAITING_ACCORDS: usize = 4_096;

/// A stream received: where it ends.
#[derive(Debug, Clone, Copy, Default, Encode, Decode)]
struct Tail {
    #[n(0)]
    next: u64,
    #[n(1)]
    head: Option<Hash>,
    #[n(2)]
    boot: u64,
    /// After an entry that cannot be read, the next one is taken as it is.
    #[n(3)]
    torn: bool,
}

/// Signatures of a root set under what both networks of a channel sign, until all identities are here.
#[derive(Debug)]
struct WaitingRoots {
    context: Context,
    signer: LedgerId,
    bytes: Vec<u8>,
    sigs: Vec<RootSig>,
    about: About,
}

#[derive(Debug)]
struct Waiting {
    ledger: LedgerId,
    epoch: u32,
    message: Vec<u8>,
    sig: SigBytes,
    about: About,
}

/// See the module.
#[derive(Debug, Default, Encode, Decode)]
pub(super) struct Networks {
    #[n(0)]
    identities: BTreeMap<LedgerId, Identity>,
    #[n(1)]
    tails: BTreeMap<(LedgerId, StreamId), Tail>,
    /// The peers' sides, by channel and writer.
    #[n(2)]
    pub(super) sides: BTreeMap<StreamId, Side>,
    #[n(3)]
    decisions: BTreeMap<(ClaimId, LedgerId), (Outcome, EntryRef)>,
    #[cbor(skip)]
    waiting: Vec<Waiting>,
    #[cbor(skip)]
    waiting_accords: Vec<WaitingRoots>,
    /// Signatures that nobody could check: an audit with some of them is not gone on from.
    #[cbor(skip)]
    pub(super) left_out: u64,
    /// Networks whose last entry could not be read.
    #[cbor(skip)]
    unreadable: BTreeSet<LedgerId>,
    /// Signatures of peers' nodes.
    #[n(4)]
    pub(super) node_signatures: u64,
    /// Signatures under accords, Intents and Decisions.
    #[n(5)]
    pub(super) clearing_signatures: u64,
    /// What public streams, ours among them, say of netting rounds.
    #[n(6)]
    pub(super) rounds: Heard,
}

impl Networks {
    /// What is known of ourselves, for what peers show us of our own words.
    pub(super) fn know_us(&mut self, identity: &Identity) {
        self.identities.insert(identity.ledger, identity.clone());
    }

    /// The keys of every other network's witness.
    pub(super) fn witness_keys(&self, us: Option<LedgerId>) -> Vec<VerifierKey> {
        let others = self.identities.values().filter(|identity| Some(identity.ledger) != us);
        others.flat_map(super::witnesses::keys_of).collect()
    }

    /// Who a network is.
    pub(super) fn identity(&self, ledger: &LedgerId) -> Option<&Identity> {
        self.identities.get(ledger)
    }

    /// What a public entry, of another or our own, says of netting rounds.
    pub(super) fn hear_of_rounds(&mut self, entry: &Entry) {
        if let Some(identity) = self.identities.get(&entry.body().ledger) {
            self.rounds.hear(identity, entry);
        }
    }

    /// Takes in an entry received.
    pub(super) fn receive(
        &mut self,
        from: LedgerId,
        place: Option<(StreamId, u64, u64)>,
        bytes: &[u8],
        file: &Arc<str>,
        checker: &mut Checker,
        findings: &mut Findings,
    ) {
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(why) => {
                let what = format!("an entry received from {} cannot be read: {why}", from.short());
                // Where one length is wrong, everything after it in the file is unreadable: the first one counts.
                let again = !self.unreadable.insert(from);
                let class = if again { Class::Warning } else { Class::Error };
                findings.add(Finding::new(class, what).in_file(&**file));
                self.tails
                    .iter_mut()
                    .filter(|((ledger, _), _)| *ledger == from)
                    .for_each(|(_, t)| t.torn = true);
                return;
            }
        };
        self.unreadable.remove(&from);
        let body = entry.body();
        let Some(header) = body.stream.filter(|_| body.ledger == from) else {
            let what =
                format!("an entry kept as received from {} is not of a stream of that network", from.short());
            findings.add(Finding::error(what).in_file(&**file));
            return;
        };
        let at = EntryRef::Stream { ledger: from, stream: header.id, sseq: header.sseq };
        let error = |what: &str| Finding::error(what).at(at).in_file(&**file);
        if place.is_some_and(|place| place != (header.id, header.sseq, body.boot)) {
            findings.add(error("it is kept under another stream, place or boot than its own"));
        }
        // A bundle holds each entry once; a store may have taken one in twice.
        let twice = if place.is_none() { Class::Error } else { Class::Warning };
        if !self.chained(&entry, at, twice, file, findings) {
            return;
        }
        if header.id == PUBLIC_STREAM {
            self.node_signatures = self.node_signatures.saturating_add(1);
            if let Err(why) = self.learn(&entry) {
                findings.add(error(&format!("the identity entry does not verify: {why}")));
            }
            self.hear_of_rounds(&entry);
            return;
        }
        let Payload::Step(step) = &entry.op().payload else {
            findings.add(error("it stands on a channel and is no step"));
            return;
        };
        if step.channel != header.id || !body.auth.is_empty() {
            findings.add(error("it names another channel than its stream, or carries people's signatures"));
            return;
        }
        let about = About { entry: at, what: "its node's signature", file: file.clone() };
        self.node_signatures = self.node_signatures.saturating_add(1);
        let bound = self.identities.get(&from).is_some_and(|known| known.log_key_bytes(body.epoch).is_ok());
        if bound && !self.identities.get(&from).is_some_and(|known| known.in_force_at(body.epoch, body.seq)) {
            let what =
                format!("log key {} of its network was not in force at its place {}", body.epoch, body.seq);
            findings.add(error(&what));
        }
        self.queue(from, body.epoch, entry.node_message(), *entry.node_sig(), about.clone(), checker);
        self.embedded(step, None, &about, checker, findings);
        let side = self.sides.entry(header.id);
        // Who the other end is becomes known with the audited ledger's channels.
        let side = side.or_insert_with(|| Side::new(from, LedgerId::ZERO, header.id, false));
        if let StepArgs::Accord(args) = &step.args
            && let Ok(accord) = Accord::parse(&args.accord.0)
            && let Some((other, _)) = accord.other(&from)
        {
            side.peer = other;
        }
        if side.ledger != from {
            findings.add(error("two networks write as the peer on one channel"));
        } else if let Some(what) = side.say(&entry, step, entry.body().seq) {
            findings.add(error(what));
        } else if let Some(what) =
            super::resets::take_over(&mut self.sides, &entry, step, entry.body().seq, None)
        {
            findings.add(error(what));
        }
    }

    /// Place, chain and boot in its stream.
    fn chained(
        &mut self,
        entry: &Entry,
        at: EntryRef,
        twice: Class,
        file: &Arc<str>,
        findings: &mut Findings,
    ) -> bool {
        let (body, leaf) = (entry.body(), entry.leaf());
        let Some(header) = body.stream else { return false };
        let tail = self.tails.entry((body.ledger, header.id)).or_default();
        let report = |class, what: String| Finding::new(class, what).at(at).in_file(&**file);
        if header.sseq < tail.next && !tail.torn {
            let known =
                self.sides.get(&header.id).and_then(|s| s.lines.get(usize::try_from(header.sseq).ok()?));
            findings.add(match known {
                Some((known, _)) if *known == leaf => report(twice, "it is kept twice".into()),
                Some(_) if body.boot == tail.boot => report(
                    Class::Equivocation,
                    "its network has signed two different entries for this place".into(),
                ),
                Some(_) | None => report(Class::Error, "it stands after later entries of its stream".into()),
            });
            return false;
        }
        if header.sseq > tail.next && !tail.torn {
            let missing =
                format!("entries {} to {} before it are missing", tail.next, header.sseq.saturating_sub(1));
            findings.add(report(Class::Error, missing));
        } else if !tail.torn && header.sprev != tail.head.unwrap_or(Hash::ZERO) {
            findings.add(report(Class::Error, "it does not name the entry before it in its stream".into()));
        }
        if body.boot < tail.boot {
            findings.add(report(Class::Error, "its boot is before that of the entry before it".into()));
        }
        let next = header.sseq.saturating_add(1);
        *tail = Tail { next, head: Some(leaf), boot: tail.boot.max(body.boot), torn: false };
        true
    }

    /// An identity entry of another network, from its public stream or shown with KEY.
    fn learn(&mut self, entry: &Entry) -> Result<(), String> {
        let ledger = entry.body().ledger;
        let known = self.identities.get(&ledger);
        let identity = match known {
            Some(known) if known.has(entry) => return Ok(()),
            Some(_) if matches!(entry.op().payload, Payload::Genesis(_)) => {
                return Err("the network has another genesis".into());
            }
            Some(known) => known.after(entry),
            None => Identity::from_entries([entry]),
        };
        self.identities.insert(ledger, identity.map_err(|e| e.to_string())?);
        Ok(())
    }

    fn queue(
        &mut self,
        ledger: LedgerId,
        epoch: u32,
        message: Vec<u8>,
        sig: SigBytes,
        about: About,
        checker: &mut Checker,
    ) {
        match self.key(&ledger, epoch) {
            Some(key) => checker.push(&Job { key, message: &message, sig, about: &about }),
            None if self.waiting.len() < MAX_WAITING => {
                self.waiting.push(Waiting { ledger, epoch, message, sig, about });
            }
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }

    fn key(&self, ledger: &LedgerId, epoch: u32) -> Option<KeyBytes> {
        self.identities.get(ledger)?.log_key_bytes(epoch).ok()
    }

    /// Queues what has waited; what nobody can check is said.
    pub(super) fn finish(&mut self, checker: &mut Checker, findings: &mut Findings) {
        let mut unknown: BTreeMap<LedgerId, (u64, EntryRef)> = BTreeMap::new();
        for WaitingRoots { context, signer, bytes, sigs, about } in std::mem::take(&mut self.waiting_accords)
        {
            self.root_signed(context, &signer, (&bytes, &sigs), &about, checker, findings);
        }
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { ledger, epoch, message, sig, about } = waiting;
            match self.key(&ledger, epoch) {
                Some(key) => checker.push(&Job { key, message: &message, sig, about: &about }),
                // An identity that is here but has no such epoch: the signature is by nobody.
                None if self.identities.contains_key(&ledger) => {
                    let what = format!("{}: {} has no log key of epoch {epoch}", about.what, ledger.short());
                    findings.add(Finding::error(what).at(about.entry).in_file(&*about.file));
                }
                None => {
                    let (count, _) = unknown.entry(ledger).or_insert((0, about.entry));
                    *count = count.saturating_add(1);
                }
            }
        }
        let left_out = self.left_out;
        for (ledger, (count, first)) in unknown {
            self.left_out = self.left_out.saturating_add(count);
            let what = format!("{count} signatures of {}, whose identity is not here", ledger.short());
            findings.add(Finding::new(Class::NotChecked, what).at(first));
        }
        if left_out > 0 {
            let what = format!("{left_out} signatures of networks not known when they were met");
            findings.add(Finding::new(Class::NotChecked, what));
        }
    }
}
