//! The guard after a start, on the ledger's thread: who has answered, what of ours they hold, what can be taken back,
//! and when signing may go on (specs/clearing.md §11).
//!
//! What must hold: the quarantine ends only when every accord peer has answered to what we hold *now* and none of them
//! holds more, or when the root set has said by a succession that it goes on without the rest.

use super::OpenFailure;
use super::core::Core;
use crate::recovery::instance::{Token, Told};
use crate::store::segments::NoteKind;
use weft_protocol::clearing::engine::{Cx, Engine};
use weft_protocol::clearing::guard::{Fence, Fetch, Fetched, Guard, Guarded};
pub use weft_protocol::clearing::restart::GuardStep;
use weft_protocol::clearing::restart::{self, Advance, Elsewhere, Restart};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::Rejected;
use weft_protocol::wire::{MAX_PUSH_BYTES, MAX_PUSH_ENTRIES};

/// What the thread knows of its guard.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) restart: Restart,
    /// What mirrors hold of ours.
    pub(super) restore: super::restore::Restore,
    token: Option<Token>,
    /// Erasures may have come back with entries: people whom a backup still had are erased again.
    pub(super) erase_again: bool,
    /// What the next start has to know, as it was kept last.
    own_fence: Option<Fence>,
    /// More peers have not answered than a note has room for: the next start proves nothing.
    too_many: bool,
}

/// How the guard stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardReport {
    /// What peers have answered.
    pub peers: restart::GuardReport,
    /// Where it stands with its mirrors.
    pub mirrors: super::restore::RestoreReport,
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
        self.watch.own_fence = self.engine().own_fence();
        Ok(())
    }

    /// Keeps, with the group that is written now, what the next start has to know although it proves itself.
    pub(super) fn keep_own_fence(&mut self) {
        let fence = self.engine().own_fence();
        if fence.is_none() || fence == self.watch.own_fence {
            return;
        }
        let kept =
            fence.as_ref().map(|fence| self.keep_note(NoteKind::FENCE, fence.ledger.0, fence.to_bytes()));
        self.watch.too_many = matches!(kept, Some(Err(_)));
        self.watch.own_fence = fence;
    }

    /// Whether the next start of this folder may prove itself.
    pub(super) fn may_be_proven(&self) -> bool {
        !self.engine().is_quarantined() && !self.watch.too_many
    }

    /// Whether there is a peer towards which nothing is signed.
    pub fn is_guarded(&self) -> bool {
        weft_protocol::clearing::restart::is_guarded(self.engine())
    }

    /// Says durably how long the ledger is, before anybody is told of its newest entries.
    pub(super) fn note_told(&mut self) {
        if !self.may_be_proven() {
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
    ///
    /// # Errors
    /// When there is no accord with it.
    pub fn guard_step(&self, peer: &LedgerId) -> Result<GuardStep, Rejected> {
        self.watch.restart.next(self.engine(), peer)
    }

    /// A peer has answered.
    pub fn guard_heard(&mut self, peer: &LedgerId, ask: &Guard, answer: Guarded) {
        let advance = self.guarding(|restart, engine, cx| restart.heard(engine, peer, ask, answer, cx));
        self.tell(advance);
    }

    /// A peer has given entries of ours.
    ///
    /// # Errors
    /// When they are not what was asked for: the peer is not to be relied on.
    pub fn guard_fetched(&mut self, peer: &LedgerId, ask: &Fetch, fetched: &Fetched) -> Result<(), String> {
        let advance = self.guarding(|restart, engine, cx| restart.fetched(engine, peer, ask, fetched, cx))?;
        self.tell(advance);
        Ok(())
    }

    /// Takes back what can be, and ends what has ended.
    pub fn guard_advance(&mut self) {
        let advance = self.guarding(Restart::advance);
        self.tell(advance);
    }

    /// The root set has said that the ledger goes on.
    pub(super) fn note_succession(&mut self) {
        let advance = self.guarding(Restart::succeeded);
        self.tell(advance);
    }

    fn guarding<T>(&mut self, act: impl FnOnce(&mut Restart, &mut Engine, &mut Cx<'_>) -> T) -> T {
        let was_quarantined = self.engine().is_quarantined();
        let unheard = self.mirrors_wanted().unwrap_or_default().unheard;
        let elsewhere = Elsewhere {
            unanswered: unheard.into_iter().map(|(peer, _)| peer).collect(),
            size: self.mirrored_size(),
        };
        let mut restart = std::mem::take(&mut self.watch.restart);
        restart.set_elsewhere(elsewhere);
        let done = self.with_engine(|engine, cx| act(&mut restart, engine, cx));
        self.watch.restart = restart;
        self.parts.boot = self.engine().boot();
        if was_quarantined && !self.engine().is_quarantined() {
            self.end_restore();
            self.watch.erase_again = true;
        }
        done
    }

    fn tell(&self, advance: Advance) {
        if let Some((seq, error)) = advance.refused {
            tracing::error!(%error, seq, "an entry of ours that a peer holds cannot be taken back");
        }
        match advance.lifted {
            Some(Ok(())) => tracing::info!("peers have answered: signing goes on"),
            Some(Err(error)) => {
                tracing::error!(%error, "the quarantine has ended, but not everything could be made up for");
            }
            None => {}
        }
    }

    /// How the guard stands; `None` when signing goes on towards everybody.
    pub fn guard_report(&self) -> Option<GuardReport> {
        let peers = self.watch.restart.report(self.engine())?;
        Some(GuardReport { peers, mirrors: self.restore_report() })
    }

    /// Answers a peer's guard: the fence is durable before the answer goes out.
    ///
    /// # Errors
    /// When it asks for another ledger, or the fence cannot be kept.
    pub fn guard_in(&mut self, peer: &LedgerId, ask: &Guard) -> Result<Guarded, String> {
        if ask.ledger != *peer {
            return Err("it asks for another ledger than its connection".to_owned());
        }
        self.forget_shown(peer);
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

/// The bytes of an entry of ours as its stream has it: of one that came back, those that it had.
pub(super) fn in_stream(entry: Entry) -> Entry {
    match &entry.op().payload {
        Payload::Recovered(recovered) => recovered.lost().unwrap_or(entry),
        _ => entry,
    }
}
