//! Own entries back from mirrors, while the node is in quarantine (specs/mirror.md §5).
//!
//! What must hold: what a mirror gives counts only when it opens, carries our signature, follows our last entry and keeps
//! all rules; a mirror that gives anything else is named and passed over; the recovery secret leaves this place only as
//! zeros.

use super::core::Core;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::entry::Entry;
use weft_protocol::ids::LedgerId;
use weft_protocol::ledger::identity::Purpose;
use weft_protocol::mirror::{PIECE_ENTRIES, Piece, PieceError, PieceId, Run};
use weft_protocol::seal::public_key;
use zeroize::Zeroizing;

/// The secret that opens what mirrors keep. It is never shown.
#[derive(Clone)]
pub struct RecoverySecret(pub Zeroizing<[u8; 32]>);

impl std::fmt::Debug for RecoverySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoverySecret(..)")
    }
}

/// What the thread knows of its mirrors since a start that has not proven itself.
#[derive(Debug, Default)]
pub(super) struct Restore {
    secret: Option<RecoverySecret>,
    /// What each mirror says it holds from our last entry on.
    listed: BTreeMap<LedgerId, Vec<Run>>,
    /// Mirrors that gave what is not ours, and what it was.
    passed_over: BTreeMap<LedgerId, String>,
    /// Pieces that open and do not follow what we hold, or that another key opens.
    of_no_use: BTreeSet<(LedgerId, PieceId)>,
}

/// What is to be asked of mirrors next.
#[derive(Debug, Default)]
pub struct MirrorsWanted {
    /// Peers that have not said what they hold, and whether the accord that we know of says that they keep our entries.
    pub unheard: Vec<(LedgerId, bool)>,
    /// The first place that we do not hold whole.
    pub from: u64,
    /// A piece to fetch.
    pub piece: Option<(LedgerId, PieceId)>,
}

/// Where a start stands with its mirrors, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Mirrors that hold more entries than we do.
    pub ahead: Vec<LedgerId>,
    /// Mirrors that are passed over, and why.
    pub passed_over: BTreeMap<LedgerId, String>,
    /// Whether a recovery key was given.
    pub has_key: bool,
    /// Whether the one that was given opens none of what mirrors hold beyond our entries.
    pub wrong_key: bool,
}

impl Core {
    /// Takes the recovery secret for as long as the quarantine lasts; says whether there is one.
    pub fn give_recovery_secret(&mut self, secret: RecoverySecret) -> bool {
        let quarantined = self.engine().is_quarantined();
        if quarantined {
            self.watch.restore.secret = Some(secret);
        }
        quarantined
    }

    /// Whether a peer has said what it holds. Each is asked: the accord may say more by now than what we hold of it.
    pub(super) fn has_mirror_answered(&self, peer: &LedgerId) -> bool {
        self.watch.restore.listed.contains_key(peer)
    }

    /// What is to be asked of mirrors next; `None` when there is nothing to take back any more.
    pub fn mirrors_wanted(&self) -> Option<MirrorsWanted> {
        if !self.engine().is_quarantined() {
            return None;
        }
        let peers = self.engine().awaited().into_iter().filter(|peer| !self.has_mirror_answered(peer));
        let unheard = peers.map(|peer| (peer, self.mirrors_with(&peer))).collect();
        let from = self.engine().state().head.next_seq / u64::from(PIECE_ENTRIES);
        Some(MirrorsWanted { unheard, from, piece: self.next_piece() })
    }

    /// A mirror has said what it holds, or something that cannot be.
    pub fn mirror_listed(&mut self, peer: LedgerId, runs: Result<Vec<Run>, String>) {
        let runs = runs.unwrap_or_else(|why| {
            self.pass_over(peer, why);
            Vec::new()
        });
        self.watch.restore.listed.insert(peer, runs);
        self.guard_advance();
    }

    /// A mirror has given a piece, or says that it has none.
    pub fn mirror_given(&mut self, peer: LedgerId, id: PieceId, piece: Option<&Piece>) {
        let before = self.engine().state().head.next_seq;
        let outcome = self.take_piece(id, piece);
        let count = self.engine().state().head.next_seq.saturating_sub(before);
        if count > 0 {
            tracing::info!(peer = %peer.short(), count, "entries of ours are back from a mirror");
            self.parts.boot = self.engine().boot();
            self.watch.restart.taken_elsewhere(&self.parts.engine, count);
        }
        match outcome {
            Ok(()) if count == 0 => drop(self.watch.restore.of_no_use.insert((peer, id))),
            Ok(()) => {}
            Err(why) => self.pass_over(peer, why),
        }
        self.guard_advance();
    }

    fn pass_over(&mut self, peer: LedgerId, why: String) {
        tracing::error!(peer = %peer.short(), %why, "a mirror is passed over");
        self.mirroring.troubles.insert(peer, format!("passed over when entries were taken back: {why}"));
        self.watch.restore.passed_over.insert(peer, why);
    }

    /// Pieces that mirrors are still believed to hold. What was written before a succession is lost by it.
    fn believed(&self) -> impl Iterator<Item = (LedgerId, &Run)> {
        let restore = &self.watch.restore;
        let since = self.engine().state().successions.values().next_back().map_or(0, |row| row.boot);
        let listed = restore.listed.iter().filter(|(peer, _)| !restore.passed_over.contains_key(peer));
        let runs = listed.flat_map(|(peer, runs)| runs.iter().map(|run| (*peer, run)));
        runs.filter(move |(_, run)| run.boot >= since)
    }

    fn is_of_use(&self, peer: LedgerId, id: PieceId) -> bool {
        !self.watch.restore.of_no_use.contains(&(peer, id))
    }

    /// How many entries of ours a mirror is believed to hold, the longest of all.
    pub(super) fn mirrored_size(&self) -> u64 {
        let head = self.engine().state().head.next_seq;
        let here = head / u64::from(PIECE_ENTRIES);
        let of_use = |(peer, run): &(LedgerId, &Run)| run.at(here).is_none_or(|id| self.is_of_use(*peer, id));
        self.believed().filter(of_use).filter_map(|(_, run)| run.end()).max().unwrap_or(0)
    }

    /// The piece to fetch next: the one of the latest start, and of those the longest.
    fn next_piece(&self) -> Option<(LedgerId, PieceId)> {
        let secret = self.watch.restore.secret.as_ref()?;
        let head = self.engine().state().head.next_seq;
        let here = head / u64::from(PIECE_ENTRIES);
        let pieces = self.believed().filter_map(|(peer, run)| Some((peer, run.at(here)?)));
        let more = pieces.filter(|(peer, id)| {
            id.end().is_ok_and(|end| end > head)
                && self.is_of_use(*peer, *id)
                && self.may_open(secret, id.key)
        });
        more.max_by_key(|(_, id)| (id.boot, id.count, id.key))
    }

    /// Whether the secret can be that of a recovery key. One bound later than what we hold cannot be known.
    fn may_open(&self, secret: &RecoverySecret, epoch: u32) -> bool {
        let bound = self.engine().state().identity.as_ref().and_then(|i| i.key(Purpose::Recovery, epoch));
        bound.is_none_or(|key| *key == public_key(&secret.0))
    }

    /// Takes back what a piece has beyond what we hold: nothing when it is of another history, or another key opens it.
    fn take_piece(&mut self, id: PieceId, piece: Option<&Piece>) -> Result<(), String> {
        let first = id.first().map_err(|e| e.to_string())?;
        let name = format!("the piece from entry {first} on");
        let piece = piece.ok_or_else(|| format!("it says it keeps {name}, and does not give it"))?;
        if piece.id() != id {
            return Err(format!("it gives another piece than {name}"));
        }
        let us = self.engine().state().ledger().map_err(|e| e.to_string())?;
        let secret = self.watch.restore.secret.clone().ok_or("the recovery key is gone")?;
        let known = self.engine().state().identity.as_ref().and_then(|i| i.key(Purpose::Recovery, id.key));
        let entries = match piece.open(&secret.0, &us) {
            Ok(entries) => entries,
            // A key that was bound after our last entry: nobody can say whether the piece or the key is wrong.
            Err(PieceError::Open) if known.is_none() => {
                tracing::warn!("{name} does not open with the recovery key that was given");
                return Ok(());
            }
            Err(error) => return Err(format!("{name} is damaged: {error}")),
        };
        for (seq, bytes) in (first..).zip(&entries) {
            let entry = Entry::parse(bytes).map_err(|e| format!("{name} holds something else: {e}"))?;
            let last = seq.saturating_add(1) == id.end().unwrap_or(0);
            if entry.body().ledger != us || entry.body().seq != seq || (last && entry.body().boot != id.boot)
            {
                return Err(format!("{name} holds something else than it says"));
            }
            let head = self.engine().state().head;
            if seq < head.next_seq {
                continue;
            }
            if entry.body().prev != head.leaf {
                // Ours perhaps, but of another history than what we hold: of a time before a succession.
                return Ok(());
            }
            let back = self.parts.engine.take_back(entry);
            back.map_err(|e| format!("entry {seq} that it gives cannot be ours: {e}"))?;
        }
        Ok(())
    }

    /// Where this start stands with its mirrors.
    pub(super) fn restore_report(&self) -> RestoreReport {
        let head = self.engine().state().head.next_seq;
        let ahead = self.believed().filter(|(_, run)| run.end().is_some_and(|end| end > head));
        let ahead: BTreeSet<LedgerId> = ahead.map(|(peer, _)| peer).collect();
        RestoreReport {
            ahead: ahead.into_iter().collect(),
            passed_over: self.watch.restore.passed_over.clone(),
            has_key: self.watch.restore.secret.is_some(),
            wrong_key: self.next_piece().is_none(),
        }
    }

    /// The quarantine is over: the secret is wiped, and what mirrors said is forgotten.
    pub(super) fn end_restore(&mut self) {
        self.watch.restore = Restore::default();
    }
}

#[cfg(test)]
mod tests;
