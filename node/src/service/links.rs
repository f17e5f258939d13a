//! The ledger's side of what travels between nodes: entries out, entries in, questions about claims.

use super::core::Core;
use crate::network::Fault;
use crate::store::index::Page;
use crate::store::private::{Direction, SealedSidecar, Sidecar};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weft_protocol::clearing::engine::{AskAnswer, Payee};
use weft_protocol::clearing::intent::{Decision, SignedIntent};
use weft_protocol::clearing::peers::{Place, Refusal};
use weft_protocol::clearing::step::{AccordArgs, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, EntryError, Payload};
use weft_protocol::ids::{ClaimId, Hash, LedgerId, PUBLIC_STREAM, StreamId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::identity::{Purpose, introduces};
use weft_protocol::log::proof::build_inclusion;
use weft_protocol::log::tile::{TilePath, TileReader};
use weft_protocol::seal::{Envelope, Opened};
use weft_protocol::wire::{MAX_PUSH_BYTES, MAX_PUSH_ENTRIES, Push, PushProof, Pushed, Resume};

/// Longest reason told to a peer: the texts of the canonical gate.
const MAX_REASON_BYTES: usize = 256;

/// What is to be sent next on a channel.
#[derive(Debug)]
pub struct Outgoing {
    /// The message.
    pub push: Push,
    /// The place after its last entry.
    pub next: u64,
    /// Whether more did not fit.
    pub is_full: bool,
}

/// A push received, proven as far as it could be outside the ledger's thread.
#[derive(Debug)]
pub struct PushIn {
    /// Who sent it, as the connection has proven.
    pub peer: LedgerId,
    /// Which channel it says.
    pub channel: StreamId,
    /// The entries, up to the first that cannot be read.
    pub entries: Vec<Entry>,
    /// Why that one cannot be read.
    pub unreadable: Option<EntryError>,
    /// The sealed sidecars.
    pub sidecars: Arc<Vec<Envelope>>,
    /// Paths of entries that were signed under a revoked log key.
    pub proofs: Vec<PushProof>,
    /// Sidecars that were opened already, by commitment and claim.
    pub opened: BTreeMap<(Hash, ClaimId), Opened>,
}

/// Reads entries, up to the first that cannot be read, and says why not.
pub fn read_entries(bytes: &[Blob]) -> (Vec<Entry>, Option<EntryError>) {
    let mut entries = Vec::with_capacity(bytes.len());
    for one in bytes {
        match Entry::parse(&one.0) {
            Ok(entry) => entries.push(entry),
            Err(error) => return (entries, Some(error)),
        }
    }
    (entries, None)
}

/// What a refused entry says of the peer that sent it. What only the order of entries explains, or a version that knows
/// more, is no fault.
fn fault_in(refusal: &Refusal) -> Option<Fault> {
    match refusal {
        Refusal::Malformed(EntryError::Outer(_) | EntryError::Body(_)) => Some(Fault::Garbage),
        Refusal::Malformed(EntryError::Op(_) | EntryError::UnknownKind(_) | EntryError::Version(_)) => {
            Some(Fault::NotKnown)
        }
        Refusal::Rejected(Rejected::Signature(_) | Rejected::Key(_) | Rejected::SignatureLength { .. }) => {
            Some(Fault::WrongSignature)
        }
        Refusal::Rejected(_)
        | Refusal::Gap { .. }
        | Refusal::Revoked { .. }
        | Refusal::Known { .. }
        | Refusal::Forked { .. }
        | Refusal::Fenced { .. }
        | Refusal::AheadOfUs { .. } => None,
    }
}

impl Core {
    /// The entries of our stream of a channel from a place on, with the sealed sidecars of the claims in them. `before`
    /// ends them at a place of the ledger.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn outgoing(
        &self,
        channel: StreamId,
        from: u64,
        before: Option<u64>,
    ) -> Result<Option<Outgoing>, String> {
        self.outgoing_within(channel, from, before, MAX_PUSH_BYTES)
    }

    /// The same in at most so many bytes, unless `most` is [`MAX_PUSH_BYTES`] and one entry alone is longer: then none.
    pub(super) fn outgoing_within(
        &self,
        channel: StreamId,
        from: u64,
        before: Option<u64>,
        most: usize,
    ) -> Result<Option<Outgoing>, String> {
        let end = self.engine().state().stream(&channel).next;
        let (mut entries, mut sidecars, mut proofs, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut is_full = false;
        for sseq in from..end {
            let Some(entry) = self.durable_stream_entry(&channel, sseq)? else { break };
            if before.is_some_and(|before| entry.body().seq >= before) {
                break;
            }
            let sealed = self.sealed_for(&entry)?;
            let path = if channel == PUBLIC_STREAM { None } else { self.path_for(&entry)? };
            let path_bytes = path.as_ref().map_or(0, |path| path.len() * (Hash::LEN + 2) + 8);
            let more = entry.bytes().len() + sealed.as_ref().map_or(0, Vec::len) + path_bytes + 16;
            let alone = entries.is_empty() && most == MAX_PUSH_BYTES;
            is_full = !alone && (bytes + more > most || entries.len() >= MAX_PUSH_ENTRIES);
            if is_full {
                break;
            }
            bytes += more;
            let place = u8::try_from(entries.len()).map_err(|e| e.to_string())?;
            entries.push(Blob(entry.bytes().to_vec()));
            sidecars.extend(sealed.map(Blob));
            proofs.extend(path.map(|path| PushProof { entry: place, path }));
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let next = from + entries.len() as u64;
        let push = Push { message: 1, channel, entries, sidecars, proofs };
        Ok(Some(Outgoing { push, next, is_full }))
    }

    /// What goes to a peer next, in the order of the ledger: of our public stream, or of the channel. So an entry comes
    /// after the key that it is signed with, and before the end of it.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn next_outgoing(
        &self,
        channel: StreamId,
        from: u64,
        public_from: Option<u64>,
    ) -> Result<Option<Outgoing>, String> {
        let Some(public_from) = public_from else { return self.outgoing(channel, from, None) };
        let place = |stream: StreamId, sseq: u64| -> Result<Option<u64>, String> {
            if sseq >= self.engine().state().stream(&stream).next {
                return Ok(None);
            }
            Ok(self.durable_stream_entry(&stream, sseq)?.map(|entry| entry.body().seq))
        };
        match (place(PUBLIC_STREAM, public_from)?, place(channel, from)?) {
            (None, _) => self.outgoing(channel, from, None),
            (Some(public), Some(ours)) if ours < public => self.outgoing(channel, from, Some(public)),
            (Some(_), ours) => self.outgoing(PUBLIC_STREAM, public_from, ours),
        }
    }

    /// The path of an entry that was signed under a log key revoked by now, if the last good tree holds it.
    fn path_for(&self, entry: &Entry) -> Result<Option<Vec<Hash>>, String> {
        let identity = self.engine().state().identity().map_err(|e| e.to_string())?;
        let Some(revoked) = identity.revoked(Purpose::Log, entry.body().epoch) else { return Ok(None) };
        let (seq, size) = (entry.body().seq, revoked.last_good.size);
        if seq >= size || size > self.checkpoint_size() {
            return Ok(None);
        }
        let public = self.public_folder();
        let mut tiles = TileReader::new(self.checkpoint_size(), |path: &TilePath| {
            std::fs::read(public.join(path.to_string())).ok()
        });
        build_inclusion(&mut tiles, seq, size).map(Some).map_err(|e| format!("no path for entry {seq}: {e}"))
    }

    /// One entry of ours by its place in a stream.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn own_stream_entry(&self, stream: &StreamId, sseq: u64) -> Result<Entry, String> {
        let seq = self.index().stream_entry(stream, sseq).map_err(|e| e.to_string())?;
        let seq = seq.ok_or_else(|| format!("place {sseq} of stream {stream} is not in the index"))?;
        self.own_entry(seq).map(super::guard::in_stream)
    }

    /// The same, and `None` for what tasks of this very group have written: it is shown to nobody before it is durable,
    /// and the index does not have it before that.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn durable_stream_entry(&self, stream: &StreamId, sseq: u64) -> Result<Option<Arc<Entry>>, String> {
        if let Some(entry) = self.recent.entry(stream, sseq) {
            return Ok(Some(entry));
        }
        let seq = self.index().stream_entry(stream, sseq).map_err(|e| e.to_string())?;
        match seq {
            Some(seq) => self.own_entry(seq).map(super::guard::in_stream).map(Arc::new).map(Some),
            None if self.engine().has_unwritten() => Ok(None),
            None => Err(format!("place {sseq} of stream {stream} is not in the index")),
        }
    }

    /// One entry of ours by its place in the ledger.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn own_entry(&self, seq: u64) -> Result<Entry, String> {
        let at = self.index().own(seq).map_err(|e| e.to_string())?;
        let at = at.ok_or_else(|| format!("entry {seq} is not in the index"))?;
        let record = self.reader().read(at).map_err(|e| e.to_string())?;
        Entry::parse(&record.bytes).map_err(|e| e.to_string())
    }

    fn sealed_for(&self, entry: &Entry) -> Result<Option<Vec<u8>>, String> {
        let Payload::Step(step) = &entry.op().payload else { return Ok(None) };
        let StepArgs::Propose(args) = &step.args else { return Ok(None) };
        let Ok(intent) = args.intent.parse() else { return Ok(None) };
        if let Some(sealed) = self.recent.sealed(&intent.sidecar) {
            return Ok(Some(sealed.to_vec()));
        }
        let sealed = self.private().sealed_sidecar(&intent.sidecar).map_err(|e| e.to_string())?;
        Ok(sealed.map(|s| s.envelope))
    }

    /// Takes in what a peer pushed of its public stream; answers how far we then have it.
    fn push_public(&mut self, push: PushIn) -> (Pushed, Option<Fault>) {
        let (peer, mut problem, mut fault) = (push.peer, None, None);
        let unreadable = push.unreadable.map(Refusal::Malformed);
        let read = push.entries.into_iter().map(Ok).chain(unreadable.map(Err));
        for entry in read {
            let taken = match entry {
                Ok(entry) if entry.body().ledger == peer => {
                    self.hear_entry(entry).map_err(|refusal| (refusal.to_string(), fault_in(&refusal)))
                }
                Ok(_) => Err(("it is no entry of the network that sent it".to_owned(), None)),
                Err(refusal) => Err((refusal.to_string(), fault_in(&refusal))),
            };
            if let Err((why, whose)) = taken {
                tracing::debug!(peer = %peer.short(), %why, "a peer's public entry was refused");
                (problem, fault) = (Some(short(why)), whose);
                break;
            }
        }
        (Pushed { message: 2, next: self.engine().peers().public_next(&peer), problem }, fault)
    }

    /// Takes in what a peer pushed; answers how far we then have its stream, and says what it has done wrong.
    pub fn push_in(&mut self, mut push: PushIn) -> (Pushed, Option<Fault>) {
        if push.channel == PUBLIC_STREAM {
            return self.push_public(push);
        }
        let state = self.engine().state();
        let current = state.channel_with(&push.peer).map(|(id, _)| id);
        // A reset is offered and taken on the next channel; of one that has ended it is said how far it is here.
        let is_other = |id: &StreamId| {
            current.is_some()
                && (state.next_channel(&push.peer).as_ref() == Ok(id)
                    || state.is_former_channel(&push.peer, id))
        };
        let known = Some(push.channel).filter(|id| current == Some(*id) || is_other(id));
        let Some(channel) = known else {
            let problem = Some("there is no accord with this network".to_owned());
            return (Pushed { message: 2, next: 0, problem }, None);
        };
        if let Some(held) = self.time_held() {
            tracing::warn!(%held, "a peer's entries are not taken in");
            let next = self.engine().peers().stream(&channel).map_or(0, |s| s.next);
            let problem = "the clock of this network waits to be confirmed by its operator".to_owned();
            return (Pushed { message: 2, next, problem: Some(problem) }, None);
        }
        self.take_sidecars(&push);
        let (mut problem, mut fault) = (None, None);
        let unreadable = push.unreadable.take().map(Refusal::Malformed);
        let read = std::mem::take(&mut push.entries).into_iter().map(Ok).chain(unreadable.map(Err));
        for (place, entry) in read.enumerate() {
            let path = push.proofs.iter().find(|proof| usize::from(proof.entry) == place);
            let path = path.map(|proof| &proof.path[..]);
            let taken = entry.and_then(|entry| self.receive_entry(&push.peer, &channel, entry, path));
            match taken {
                Ok(None) => {}
                Ok(Some(sseq)) => {
                    problem = Some(format!("place {sseq} was received before with other bytes"));
                }
                Err(refusal @ Refusal::Fenced { .. }) => {
                    let problem = Some(short(refusal.to_string()));
                    return (Pushed { message: 2, next: self.received_next(&channel), problem }, None);
                }
                Err(refusal) => {
                    fault = fault_in(&refusal);
                    problem = Some(refusal.to_string());
                }
            }
            if problem.is_some() {
                break;
            }
        }
        match &problem {
            Some(why) => {
                let before = self.problems.insert(push.peer, why.clone());
                // Who repeats itself must not fill the log.
                if before.as_ref() != Some(why) {
                    tracing::warn!(peer = %push.peer.short(), %why, "a peer's entry was refused");
                }
            }
            None => drop(self.problems.remove(&push.peer)),
        }
        self.guard_advance();
        (Pushed { message: 2, next: self.received_next(&channel), problem: problem.map(short) }, fault)
    }

    /// One entry of a channel. Gives its place when there are other bytes already.
    fn receive_entry(
        &mut self,
        peer: &LedgerId,
        channel: &StreamId,
        entry: Entry,
        path: Option<&[Hash]>,
    ) -> Result<Option<u64>, Refusal> {
        let next = self.received_next(channel);
        let known = entry.body().stream.is_some_and(|header| header.sseq < next);
        let bytes = known.then(|| entry.bytes().to_vec());
        match self.with_engine(|engine, cx| engine.receive_entry(peer, entry, path, cx)) {
            Ok(()) => Ok(None),
            Err(Refusal::Known { sseq }) => {
                let same = bytes.is_none_or(|bytes| self.same_as_stored(peer, channel, sseq, &bytes));
                Ok((!same).then_some(sseq))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether a push of a channel begins beyond what is here of it: those before it may be on their way.
    pub fn comes_early(&self, push: &PushIn) -> bool {
        let Some((channel, _)) = self.engine().state().channel_with(&push.peer) else { return false };
        let header =
            push.entries.first().and_then(|entry| entry.body().stream).filter(|header| header.id == channel);
        push.channel == channel && header.is_some_and(|header| header.sseq > self.received_next(&channel))
    }

    fn received_next(&self, channel: &StreamId) -> u64 {
        self.engine().peers().stream(channel).map_or(0, |s| s.next)
    }

    fn same_as_stored(&self, peer: &LedgerId, channel: &StreamId, sseq: u64, bytes: &[u8]) -> bool {
        match self.index().received(peer, channel, sseq) {
            Ok(Some(at)) => self.reader().read(at).is_ok_and(|record| record.bytes == bytes),
            // Not in the index yet: it was received in this very group.
            Ok(None) => {
                let place = Place { ledger: *peer, stream: *channel, sseq };
                let mut unwritten = self.engine().unwritten().iter();
                unwritten.find_map(|record| record.received_at(&place)).is_some_and(|held| held == bytes)
            }
            Err(_) => false,
        }
    }

    /// Opens and keeps the sidecars of claims that are proposed in the same push; others are dropped.
    fn take_sidecars(&mut self, push: &PushIn) {
        let us = self.engine().state().ledger().ok();
        let proposed = push.entries.iter().filter_map(|entry| {
            let Payload::Step(step) = &entry.op().payload else { return None };
            let StepArgs::Propose(args) = &step.args else { return None };
            let intent = args.intent.parse().ok()?;
            Some((intent.sidecar, args.intent.claim(), Some(intent.payee) == us))
        });
        let proposed: Vec<(Hash, ClaimId, bool)> = proposed.collect();
        let mut seen = BTreeSet::new();
        for envelope in push.sidecars.iter() {
            let found = proposed.iter().find(|(commitment, _, _)| *commitment == envelope.commitment);
            let Some((commitment, claim, ours)) = found else { continue };
            if !seen.insert(*commitment) {
                continue;
            }
            if !ours {
                let (commitment, claim) = (*commitment, *claim);
                let (envelope, direction) = (envelope.to_bytes(), Direction::In);
                self.sealed.push(SealedSidecar { commitment, envelope, direction, claim });
                continue;
            }
            let opened = push.opened.get(&(*commitment, *claim)).cloned().or_else(|| {
                let mut seals = std::iter::once(&self.keys().seal).chain(&self.keys().other_seals);
                seals.find_map(|seal| envelope.open(seal, claim).ok())
            });
            let payee = match opened {
                None => Payee::Bad,
                Some(opened) => {
                    let payee = self.names.payee_of(&opened.content);
                    let account = match payee {
                        Payee::Account(account) => Some(account),
                        Payee::Unknown | Payee::Bad | Payee::Missing => None,
                    };
                    let now_ms = self.clock().now_ms();
                    match Sidecar::new(opened.salt, opened.content, account, now_ms) {
                        // A text for nobody here is not kept: it would name whoever is meant for ever.
                        Ok(sidecar) => {
                            if matches!(payee, Payee::Account(_)) {
                                self.clear.push(sidecar);
                            }
                            payee
                        }
                        Err(_) => Payee::Bad,
                    }
                }
            };
            self.payees.insert(*commitment, payee);
        }
    }

    /// Where the streams of the channel with a peer stand.
    pub fn resume(&self, peer: &LedgerId) -> Option<(StreamId, Resume)> {
        let state = self.engine().state();
        let (channel, _) = state.channel_with(peer)?;
        let mine = state.stream(&channel);
        let (yours, your_head) =
            self.engine().peers().stream(&channel).map_or((0, Hash::ZERO), |s| (s.next, s.head));
        Some((channel, Resume { mine: mine.next, my_head: mine.head, yours, your_head }))
    }

    /// Checks what a peer says about the streams against what we have: `Ok` is the next place to send.
    ///
    /// # Errors
    /// When the peer has more of our stream than we wrote, or another entry at its end.
    pub fn resume_from(&mut self, peer: &LedgerId, theirs: &Resume) -> Result<u64, String> {
        let Some((channel, ours)) = self.resume(peer) else { return Ok(0) };
        let problem = if theirs.yours > ours.mine {
            Some(format!(
                "this network has {} entries of our stream, but we wrote only {}: our data is older than what we sent",
                theirs.yours, ours.mine
            ))
        } else if let Some(last) = theirs.yours.checked_sub(1) {
            let entry = self.own_stream_entry(&channel, last)?;
            let differs = entry.leaf() != theirs.your_head;
            differs.then(|| format!("place {last} of our stream is another entry there than here"))
        } else {
            None
        };
        match problem {
            None => {
                self.parts.engine.acked(&channel, theirs.yours);
                self.problems.remove(peer);
                Ok(theirs.yours)
            }
            Some(_) if self.parts.hooks.no_guard => Ok(0),
            Some(why) => {
                tracing::error!(peer = %peer.short(), %why, "the streams do not agree");
                self.problems.insert(*peer, why.clone());
                Err(why)
            }
        }
    }

    /// The peer has answered a push.
    pub fn pushed(&mut self, channel: &StreamId, next: u64) {
        if *channel != PUBLIC_STREAM {
            self.parts.engine.acked(channel, next);
        }
    }

    /// A question about a claim from a network on its route.
    pub fn ask_in(&mut self, asker: &LedgerId, intent: &SignedIntent, cancel: bool) -> AskAnswer {
        self.with_engine(|engine, cx| engine.ask(asker, intent, cancel, cx))
    }

    /// A Decision that came as an answer.
    ///
    /// # Errors
    /// When it does not verify.
    pub fn learn(&mut self, decision: &Decision) -> Result<(), Rejected> {
        self.with_engine(|engine, cx| engine.learn(decision, cx))
    }

    /// Looks again at open claims, and finishes what a restore has left to do.
    pub fn tick(&mut self) {
        self.erase_again();
        self.with_engine(weft_protocol::clearing::engine::Engine::tick);
    }

    /// Our public entries that say who we are and which units we count, in order: what a pairing begins with.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn introduction(&self) -> Result<Vec<Blob>, String> {
        let mut entries = Vec::new();
        for sseq in 0..self.engine().state().stream(&PUBLIC_STREAM).next {
            // What is written in this very moment is shown to nobody before it is durable.
            let durable = self.index().stream_entry(&PUBLIC_STREAM, sseq).map_err(|e| e.to_string())?;
            if durable.is_none() {
                break;
            }
            let entry = self.own_stream_entry(&PUBLIC_STREAM, sseq)?;
            if introduces(entry.kind()) {
                entries.push(Blob(entry.bytes().to_vec()));
            }
        }
        Ok(entries)
    }

    /// Takes in another network's public entries; those we have are skipped.
    ///
    /// # Errors
    /// Why one is refused; those before it stay.
    pub fn receive_public(&mut self, entries: &[Blob]) -> Result<(), Refusal> {
        for bytes in entries {
            match self.with_engine(|engine, cx| engine.hear_public(&bytes.0, cx)) {
                Ok(()) | Err(Refusal::Known { .. }) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(())
    }

    /// The same of one that was read already.
    fn hear_entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        match self.with_engine(|engine, cx| engine.hear_entry(entry, cx)) {
            Ok(()) | Err(Refusal::Known { .. }) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Appends the accord that both root sets have signed.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn accord(&mut self, args: AccordArgs) -> Result<StreamId, Rejected> {
        self.with_engine(|engine, cx| engine.accord(args, cx))
    }

    /// The Intent of a claim that we proposed, from our stream.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn intent_of(&self, claim: &ClaimId) -> Result<Option<SignedIntent>, String> {
        let out = self.engine().state().legs(claim).find_map(|(_, row)| row.outgoing.as_ref());
        let Some(out) = out else { return Ok(None) };
        let mut page = Page::newest(256);
        loop {
            let rows = self.index().stream_entries(&out.channel, page).map_err(|e| e.to_string())?;
            let Some((last, _)) = rows.last().copied() else { return Ok(None) };
            for (_, seq) in rows {
                let entry = self.own_entry(seq)?;
                if let Payload::Step(step) = &entry.op().payload
                    && step.claim == Some(*claim)
                    && let StepArgs::Propose(args) = &step.args
                {
                    return Ok(Some(args.intent.clone()));
                }
            }
            page = page.after(last);
        }
    }
}

/// A reason as it may travel: a text of at most 256 bytes.
pub fn short(why: String) -> String {
    let cut = (0..=MAX_REASON_BYTES).rev().find(|end| why.is_char_boundary(*end)).unwrap_or(0);
    if why.len() > MAX_REASON_BYTES { why[..cut].to_owned() } else { why }
}
