//! The guard after a start, on the ledger's thread: who has answered, what of ours they hold, what can be taken back,
//! and when signing may go on (specs/clearing.md §11).
//!
//! What must hold: the quarantine ends only when every accord peer has answered to what we hold *now* and none of them
//! holds more, or when the root set has said by a succession that it goes on without the rest.

use super::OpenFailure;
use super::core::Core;
use crate::recovery::instance::{Token, Told};
use crate::store::segments::NoteKind;
use std::collections::BTreeMap;
use weft_protocol::clearing::guard::{Fence, Fetch, Fetched, Guard, Guarded, Newest};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{Hash, LedgerId, StreamId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::succession::Succession;
use weft_protocol::wire::{MAX_PUSH_BYTES, MAX_PUSH_ENTRIES};

/// Entries of ours that wait to be taken back; a peer that sends more is waited for until these are done.
const MAX_POOL: usize = 100_000;

/// What the thread knows of its guard.
#[derive(Debug, Default)]
pub(super) struct Watch {
    heard: BTreeMap<LedgerId, Heard>,
    /// Entries of ours that peers hold and we do not, by place.
    pool: BTreeMap<u64, Entry>,
    token: Option<Token>,
    /// Entries taken back since the start.
    taken_back: u64,
    /// The root set has said, since the start, that the ledger goes on.
    succeeded: bool,
}

#[derive(Debug)]
struct Heard {
    answer: Guarded,
    /// Whether we hold nothing more than when it was given.
    fresh: bool,
    /// Up to where its copy of our stream has been fetched.
    fetched: u64,
}

/// What is to be done next about a peer.
#[derive(Debug)]
pub enum GuardStep {
    /// Nothing: signing towards it may go on.
    Done,
    /// Ask it.
    Ask(Guard),
    /// Fetch our entries from it.
    Fetch(Fetch),
    /// Wait for others, or for people.
    Wait,
}

/// How the guard stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardReport {
    /// Whether nothing at all is signed.
    pub quarantined: bool,
    /// Peers that have not answered, or still hold more than we do.
    pub awaited: Vec<LedgerId>,
    /// Of them: those that have not answered.
    pub unheard: Vec<LedgerId>,
    /// Entries taken back since the start.
    pub taken_back: u64,
    /// How many entries we are known to have written; more than we hold when some are lost.
    pub known_size: u64,
    /// What the root set would sign to go on without the rest.
    pub succession: Option<Succession>,
}

impl Core {
    /// Begins the guard, when the start has not proven itself.
    pub(super) fn begin_guard(&mut self, token: Option<Token>, proven: bool) {
        self.watch.token = token;
        let peers = !self.engine().state().channels.is_empty();
        if !proven && peers && !self.parts.hooks.no_guard {
            self.parts.engine.quarantine();
            if let Some(token) = &mut self.watch.token {
                token.remove();
            }
        }
    }

    /// What we have promised peers before this start.
    pub(super) fn remember_fences(&mut self) -> Result<(), OpenFailure> {
        let failed = |why: String| OpenFailure::Recover(format!("a fence cannot be read: {why}"));
        for name in self.note_names(NoteKind::FENCE) {
            let Some(bytes) = self.note(NoteKind::FENCE, &name).map_err(|e| failed(e.to_string()))? else {
                continue;
            };
            let fence = Fence::parse(&bytes).map_err(|e| failed(e.to_string()))?;
            self.parts.engine.set_fence(fence);
        }
        Ok(())
    }

    /// Whether there is a peer towards which nothing is signed.
    pub fn is_guarded(&self) -> bool {
        self.engine().is_quarantined() || !self.engine().awaited().is_empty()
    }

    /// Says durably how long the ledger is, before anybody is told of its newest entries.
    pub(super) fn note_told(&mut self) {
        if self.is_guarded() {
            return;
        }
        let head = self.engine().state().head;
        if let Some(token) = &mut self.watch.token
            && let Err(error) = token.write(Told { size: head.next_seq, head: head.leaf })
        {
            tracing::warn!(%error, "the token of this start cannot be written: a crash will not prove itself");
            token.remove();
            self.watch.token = None;
        }
    }

    /// Takes the token away: the stop is clean and says so itself.
    pub(super) fn drop_token(&mut self) {
        if let Some(token) = &mut self.watch.token {
            token.remove();
        }
    }

    /// What is to be done next about a peer.
    pub fn guard_step(&mut self, peer: &LedgerId) -> Result<GuardStep, Rejected> {
        if !self.engine().awaits(peer) {
            return Ok(GuardStep::Done);
        }
        let Some((stream, _)) = self.engine().state().channel_with(peer) else { return Ok(GuardStep::Done) };
        let ours = self.engine().state().stream(&stream).next;
        let Some(heard) = self.watch.heard.get(peer).filter(|heard| heard.fresh) else {
            return self.engine().guard_question(peer).map(GuardStep::Ask);
        };
        let from = heard.fetched.max(ours);
        let more = held(&heard.answer, &stream) > from && self.watch.pool.len() < MAX_POOL;
        Ok(if more { GuardStep::Fetch(Fetch { message: 3, stream, from }) } else { GuardStep::Wait })
    }

    /// A peer has answered.
    pub fn guard_heard(&mut self, peer: &LedgerId, answer: Guarded) {
        let boot = self.engine().boot();
        let ahead = answer.newest.boot >= boot && answer.newest.size > self.engine().state().head.next_seq;
        if answer.boot > boot || ahead {
            // Our clock is behind what it was: the number of this start has to be later than all that peers know.
            self.parts.engine.raise_boot(answer.boot.max(answer.newest.boot).saturating_add(1));
            self.parts.boot = self.engine().boot();
            self.ask_again();
            return;
        }
        let fetched = self.watch.heard.get(peer).map_or(0, |heard| heard.fetched);
        self.watch.heard.insert(*peer, Heard { answer, fresh: true, fetched });
        self.guard_advance();
    }

    /// A peer has given entries of ours.
    ///
    /// # Errors
    /// When they are not what was asked for: the peer is not to be relied on.
    pub fn guard_fetched(&mut self, peer: &LedgerId, ask: &Fetch, fetched: &Fetched) -> Result<(), String> {
        if fetched.entries.is_empty() {
            return Err("it does not give the entries of ours that it says it holds".to_owned());
        }
        let us = self.engine().state().ledger().map_err(|e| e.to_string())?;
        let mut next = ask.from;
        for bytes in &fetched.entries {
            let entry = Entry::parse(&bytes.0).map_err(|e| e.to_string())?;
            let place = entry.body().stream.filter(|header| header.id == ask.stream).map(|h| h.sseq);
            if entry.body().ledger != us || place != Some(next) {
                return Err(format!("it gives something else as place {next} of our stream"));
            }
            let key = self.engine().state().identity().and_then(|i| i.log_key(entry.body().epoch));
            let key = key.map_err(|e| e.to_string())?;
            let signed = key.verify_message(&entry.node_message(), entry.node_sig());
            signed.map_err(|e| format!("place {next} of our stream is not signed by us: {e}"))?;
            next = next.saturating_add(1);
            self.watch.pool.insert(entry.body().seq, entry);
        }
        if let Some(heard) = self.watch.heard.get_mut(peer) {
            heard.fetched = next;
        }
        self.guard_advance();
        Ok(())
    }

    /// Takes back what can be, and ends what has ended.
    pub fn guard_advance(&mut self) {
        if !self.is_guarded() {
            return;
        }
        if self.take_back_all() | self.bring_back_all() {
            self.ask_again();
            return;
        }
        let peers = self.engine().awaited();
        let settled = |peer: &LedgerId| self.is_settled(peer);
        let (done, open): (Vec<_>, Vec<_>) = peers.into_iter().partition(settled);
        if self.engine().is_quarantined() {
            let whole = self.known_size() <= self.engine().state().head.next_seq;
            let unheard_only = open.iter().all(|peer| !self.watch.heard.contains_key(peer));
            if (open.is_empty() && whole && self.watch.pool.is_empty())
                || (self.watch.succeeded && unheard_only)
            {
                if let Err(error) = self.with_engine(|engine, cx| engine.lift(cx)) {
                    tracing::error!(%error, "the quarantine has ended, but not everything could be made up for");
                }
                tracing::info!("peers have answered: signing goes on");
            } else {
                return;
            }
        }
        for peer in done {
            self.with_engine(|engine, cx| engine.heard(&peer, cx));
        }
    }

    fn ask_again(&mut self) {
        self.watch.heard.values_mut().for_each(|heard| heard.fresh = false);
    }

    /// The root set has said that the ledger goes on.
    pub(super) fn note_succession(&mut self) {
        self.watch.succeeded = true;
        self.guard_advance();
    }

    fn take_back_all(&mut self) -> bool {
        let mut moved = false;
        while self.engine().is_quarantined() {
            let head = self.engine().state().head;
            let Some(entry) = self.watch.pool.get(&head.next_seq) else { break };
            if entry.body().prev != head.leaf {
                break;
            }
            let Some(entry) = self.watch.pool.remove(&head.next_seq) else { break };
            if let Err(error) = self.parts.engine.take_back(entry) {
                tracing::error!(%error, seq = head.next_seq, "an entry of ours that a peer holds cannot be taken back");
                break;
            }
            moved = true;
            self.watch.taken_back += 1;
        }
        self.parts.boot = self.engine().boot();
        moved
    }

    /// After a succession: what it has lost and peers hold, in the order in which it was written.
    fn bring_back_all(&mut self) -> bool {
        let mut moved = false;
        for (seq, entry) in std::mem::take(&mut self.watch.pool) {
            let stream = entry.body().stream.map(|header| (header.id, header.sseq));
            let Some((stream, sseq)) = stream else { continue };
            if sseq < self.engine().state().stream(&stream).next {
                continue;
            }
            match self.with_engine(|engine, cx| engine.bring_back(entry.bytes(), cx)) {
                Ok(()) => {
                    moved = true;
                    self.watch.taken_back += 1;
                }
                Err(_) => drop(self.watch.pool.insert(seq, entry)),
            }
        }
        moved
    }

    /// Whether a peer has answered, holds nothing of ours that we lack, and we hold all of its entries that we have
    /// acknowledged.
    fn is_settled(&self, peer: &LedgerId) -> bool {
        let state = self.engine().state();
        let Some((stream, row)) = state.channel_with(peer) else { return true };
        let ours = state.stream(&stream).next;
        let fresh = self.watch.heard.get(peer).filter(|heard| heard.fresh);
        let theirs = self.engine().peers().stream(&stream).map_or(0, |s| s.next);
        fresh.is_some_and(|heard| held(&heard.answer, &stream) <= ours) && theirs >= row.acked
    }

    /// How many entries our ledger is known to have had.
    fn known_size(&self) -> u64 {
        let since = self.engine().state().successions.values().next_back().map_or(0, |row| row.boot);
        let newest = self.watch.heard.values().map(|heard| heard.answer.newest);
        let heard = newest.filter(|n: &Newest| n.boot >= since).map(|n| n.size).max().unwrap_or(0);
        heard.max(self.engine().state().head.next_seq)
    }

    /// How the guard stands; `None` when signing goes on towards everybody.
    pub fn guard_report(&self) -> Option<GuardReport> {
        if !self.is_guarded() {
            return None;
        }
        let engine = self.engine();
        let awaited: Vec<LedgerId> =
            engine.awaited().into_iter().filter(|peer| !self.is_settled(peer)).collect();
        let unheard: Vec<LedgerId> =
            awaited.iter().filter(|peer| !self.watch.heard.contains_key(peer)).copied().collect();
        let (base, old_size) = (engine.state().head.next_seq, self.known_size());
        let lost = old_size > base || !unheard.is_empty();
        let succession = (engine.is_quarantined() && lost && !self.watch.succeeded).then(|| Succession {
            number: engine.state().successions.keys().next_back().map_or(1, |last| last.saturating_add(1)),
            old_size,
            old_root: None::<Hash>,
            base,
            boot: engine.boot(),
            unheard: unheard.clone(),
        });
        Some(GuardReport {
            quarantined: engine.is_quarantined(),
            awaited,
            unheard,
            taken_back: self.watch.taken_back,
            known_size: old_size,
            succession,
        })
    }

    /// Answers a peer's guard: the fence is durable before the answer goes out.
    ///
    /// # Errors
    /// When it asks for another ledger, or the fence cannot be kept.
    pub fn guard_in(&mut self, peer: &LedgerId, ask: &Guard) -> Result<Guarded, String> {
        if ask.ledger != *peer {
            return Err("it asks for another ledger than its connection".to_owned());
        }
        let before = self.engine().peers().fence(peer).cloned();
        let (guarded, fence) = self.parts.engine.guard(peer, ask);
        if before.as_ref() != Some(&fence) {
            let kept = self.keep_note(NoteKind::FENCE, peer.0, fence.to_bytes());
            kept.map_err(|e| e.to_string())?;
        }
        Ok(guarded)
    }

    /// The asker's own entries, as we hold them.
    ///
    /// # Errors
    /// When the stores cannot be read.
    pub fn guard_fetch(&self, peer: &LedgerId, ask: &Fetch) -> Result<Fetched, String> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for sseq in ask.from.. {
            let at = self.index().received(peer, &ask.stream, sseq).map_err(|e| e.to_string())?;
            let Some(at) = at else { break };
            let record = self.reader().read(at).map_err(|e| e.to_string())?;
            bytes += record.bytes.len() + 16;
            if !entries.is_empty() && (bytes > MAX_PUSH_BYTES || entries.len() >= MAX_PUSH_ENTRIES) {
                break;
            }
            entries.push(Blob(record.bytes));
        }
        Ok(Fetched { message: 4, entries })
    }
}

/// Up to which place somebody holds a stream of ours.
fn held(answer: &Guarded, stream: &StreamId) -> u64 {
    answer.heads.iter().find(|head| head.stream == *stream).map_or(0, |head| head.next)
}

/// The bytes of an entry of ours as its stream has it: of one that came back, those that it had.
pub(super) fn in_stream(entry: Entry) -> Entry {
    match &entry.op().payload {
        Payload::Recovered(recovered) => recovered.lost().unwrap_or(entry),
        _ => entry,
    }
}
