//! The engine after a start that is not provably clean: it signs nothing, takes its own entries back, answers the
//! guards of others (specs/clearing.md §11).

use super::engine::{Cx, Engine, Record};
use super::guard::{Fence, Guard, Guarded, MAX_DECISIONS, StreamHead};
use super::weak::{self, Weak};
use crate::encoding::Blob;
use crate::entry::{Entry, Payload};
use crate::ids::{Hash, LedgerId, PUBLIC_STREAM, StreamId};
use crate::ledger::author::Written;
use crate::ledger::identity::Purpose;
use crate::ledger::succession::{self, Recovered};
use crate::ledger::witness::is_origin_of;
use crate::ledger::{Rejected, apply, verify_signatures};
use crate::log::checkpoint::Checkpoint;
use crate::log::note::{KeyName, Note, SignatureType, VerifierKey};

/// A head of our own log that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnHead {
    /// After which succession; 0 before the first.
    pub succession: u32,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// Which succession an origin of this ledger is after; `None` when it is none of this ledger.
fn number_in(origin: &str, ledger: &LedgerId) -> Option<u32> {
    let first = ledger.origin();
    let later = || origin.strip_prefix(first.as_str())?.strip_prefix('/')?.parse().ok();
    if !is_origin_of(origin, ledger) {
        return None;
    }
    if origin == first { Some(0) } else { later() }
}

impl Engine {
    /// From now on nothing is signed: not in our ledger, and not towards any peer.
    pub fn quarantine(&mut self) {
        if weak::is(Weak::NoQuarantine) {
            return;
        }
        self.quiet = true;
        // Two starts within one tick of a clock, or a clock that went back: this one is later than all that is held.
        self.raise_boot(self.state.head.boot.saturating_add(1));
        self.unsure_ms = self.boot();
        self.hushed = self.state.channels.keys().copied().collect();
        self.answered.clear();
    }

    /// What a peer's answer to our guard has shown: whether it holds nothing of ours that we lack.
    pub(super) fn note_answer(&mut self, peer: &LedgerId, holds_no_more: bool) {
        let Some((id, _)) = self.state.channel_with(peer) else { return };
        if holds_no_more {
            self.answered.insert(id);
        } else {
            self.answered.remove(&id);
        }
    }

    /// A RESET that has come back has begun a channel anew: what was not signed on the old one is not on the new one.
    fn hush_successors(&mut self) {
        let channels = &self.state.channels;
        let gone: Vec<StreamId> =
            self.hushed.iter().filter(|id| !channels.contains_key(id)).copied().collect();
        for id in gone {
            self.hushed.remove(&id);
            let now = channels.iter().find(|(_, row)| self.state.is_former_channel(&row.peer, &id));
            self.hushed.extend(now.map(|(id, _)| *id));
        }
    }

    /// Whether we may have decided a claim and lost it: it was proposed, by the peer's time, before a start that was not
    /// proven. Then we sign no word on it: another one may be abroad.
    pub(super) fn may_have_decided(&self, proposed_ms: u64) -> bool {
        let last = self.state.successions.values().next_back().map_or(0, |row| row.boot);
        proposed_ms <= self.unsure_ms.max(last) && !weak::is(Weak::TellsAndForgets)
    }

    /// Whether nothing at all is signed.
    pub fn is_quarantined(&self) -> bool {
        self.quiet
    }

    /// Whether a peer has not answered our guard: nothing is signed towards it.
    pub fn awaits(&self, peer: &LedgerId) -> bool {
        self.state.channel_with(peer).is_some_and(|(id, _)| self.hushed.contains(&id))
    }

    /// Peers that have not answered our guard.
    pub fn awaited(&self) -> Vec<LedgerId> {
        let rows = self.hushed.iter().filter_map(|id| self.state.channels.get(id));
        rows.map(|row| row.peer).collect()
    }

    /// A peer knows nothing of ours that we lack: towards it, signing may go on.
    pub fn heard(&mut self, peer: &LedgerId, cx: &mut Cx<'_>) {
        if let Some((id, _)) = self.state.channel_with(peer) {
            self.hushed.remove(&id);
        }
        self.tick(cx);
    }

    /// Ends the quarantine, and does what the time before it has left undone. Peers that are still awaited stay so.
    ///
    /// # Errors
    /// A rule that our own entries break: the ledger needs help.
    pub fn lift(&mut self, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        self.quiet = false;
        self.recover(cx)
    }

    /// The number of this start.
    pub fn boot(&self) -> u64 {
        self.author.boot()
    }

    /// Takes a later number for this start: somebody has heard of one that is not earlier.
    pub fn raise_boot(&mut self, boot: u64) {
        self.author.raise_boot(boot);
    }

    /// What we ask a peer after a start that is not provably clean.
    ///
    /// # Errors
    /// When there is no accord with it.
    pub fn guard_question(&self, peer: &LedgerId) -> Result<Guard, Rejected> {
        let (stream, _) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let mut heads = [PUBLIC_STREAM, stream].map(|stream| self.own_head(stream)).to_vec();
        // What we have offered to begin it anew stands in the next one.
        let next = self.own_head(self.state.next_channel(peer)?);
        heads.extend((next.next > 0).then_some(next));
        Ok(Guard { message: 1, ledger: self.state.ledger()?, boot: self.boot(), heads })
    }

    fn own_head(&self, stream: StreamId) -> StreamHead {
        let row = self.state.stream(&stream);
        StreamHead { stream, next: row.next, head: row.head }
    }

    /// Answers a peer's guard. The fence must be durable before the answer is given.
    pub fn guard(&mut self, asker: &LedgerId, ask: &Guard) -> (Guarded, Fence) {
        let held = self.peers.heads_of(&self.state, asker);
        let newest = self.peers.newest(asker);
        let raise = |head: &StreamHead| {
            let asked = ask.heads.iter().find(|one| one.stream == head.stream);
            asked.filter(|one| one.next > head.next).copied().unwrap_or(*head)
        };
        // Streams of which nothing is here yet: what the asker holds of the channel that is to follow.
        let next = self.state.next_channel(asker).ok();
        let unknown = ask.heads.iter().filter(|head| Some(head.stream) == next).copied();
        let unknown = unknown.filter(|head| held.iter().all(|known| known.stream != head.stream));
        let heads = held.iter().map(raise).chain(unknown).collect();
        let fence = Fence { ledger: *asker, boot: ask.boot, heads };
        let fence = fence.after(self.peers.fence(asker));
        self.peers.set_fence(fence.clone());
        let guarded = Guarded {
            message: 2,
            boot: fence.boot,
            newest,
            heads: held,
            checkpoint: self.peers.newest_note(asker).map(Blob),
            decisions: self.peers.decisions_of(asker, MAX_DECISIONS),
        };
        (guarded, fence)
    }

    /// What a checkpoint of ours that somebody shows says of our log; `None` when we did not sign it, or it is of a log
    /// that a succession has ended.
    pub(super) fn own_checkpoint(&self, note: &[u8]) -> Option<OwnHead> {
        let note = Note::parse(note).ok()?;
        let says: Checkpoint = note.text().parse().ok()?;
        let (origin, last) = (says.origin().as_str(), says.size().checked_sub(1)?);
        let succession = number_in(origin, &self.state.ledger().ok()?)?;
        if self.state.successions.keys().next_back().is_some_and(|known| succession < *known) {
            return None;
        }
        let (name, identity) = (KeyName::new(origin).ok()?, self.state.identity().ok()?);
        let epochs = (0..).take_while(|epoch| identity.key(Purpose::Log, *epoch).is_some());
        let in_force = epochs.filter(|epoch| identity.revoked(Purpose::Log, *epoch).is_none());
        let mut keys = in_force.filter_map(|epoch| identity.log_key_at(epoch, last).ok());
        let signed =
            keys.any(|key| note.verify(&VerifierKey::new(name.clone(), SignatureType::Ed25519, key)).is_ok());
        signed.then(|| OwnHead { succession, size: says.size(), root: says.root() })
    }

    /// Remembers a promise, read back from the store: towards a peer, or our own ([`Engine::own_fence`]).
    pub fn set_fence(&mut self, fence: Fence) {
        if self.state.ledger() != Ok(fence.ledger) {
            self.peers.set_fence(fence);
            return;
        }
        self.unsure_ms = fence.boot;
        self.hushed = fence.heads.iter().map(|head| head.stream).collect();
        self.hush_successors();
    }

    /// What the next start has to know although it proves itself: of which start on it decides, and towards whom nothing is
    /// signed (specs/clearing.md 11.11). `None` where there is nothing to know, and in quarantine: that start proves nothing.
    pub fn own_fence(&self) -> Option<Fence> {
        let sure = self.unsure_ms == 0 && self.hushed.is_empty();
        if self.quiet || sure {
            return None;
        }
        let heads = self.hushed.iter().map(|stream| self.own_head(*stream)).collect();
        Some(Fence { ledger: self.state.ledger().ok()?, boot: self.unsure_ms, heads })
    }

    /// Takes back an entry that we have written and lost: the next one of our ledger, as it was.
    ///
    /// # Errors
    /// When it does not follow, breaks a rule, or carries a signature that does not verify.
    pub fn take_back(&mut self, entry: Entry) -> Result<(), Rejected> {
        if !self.quiet {
            return Err(Rejected::NotLost { why: "this node is not in quarantine" });
        }
        let transition = apply(&self.state, &entry)?;
        verify_signatures(&self.state, &entry)?;
        self.state.commit(&transition);
        self.author.raise_boot(entry.body().boot.saturating_add(1));
        self.peers.absorb_own(&self.state, &entry);
        // An accord that is back brings a peer that has to be asked as well.
        self.hushed.extend(self.state.channels.keys().copied());
        self.hush_successors();
        self.batch.records.push(Record::Own(Box::new(Written { entry, transition })));
        Ok(())
    }

    /// Records an entry that a succession has lost and somebody else has kept: the next one of its stream.
    ///
    /// # Errors
    /// When it does not follow, was not lost, or is not ours.
    pub fn bring_back(&mut self, bytes: &[u8], cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let facts = succession::facts(&self.state, bytes)?;
        let recovered = Recovered { entry: Blob(bytes.to_vec()), postings: facts.postings };
        let leaf = facts.lost.leaf();
        self.own(Payload::Recovered(recovered), &[], leaf.as_bytes(), 0, cx)?;
        self.hush_successors();
        Ok(())
    }
}
