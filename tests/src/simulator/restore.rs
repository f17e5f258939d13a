//! A network that is set back to an older state: its disk loses its end, and it starts with its guard.
//!
//! It is honest all the while. What must hold: whatever it has lost and whoever still holds it, nobody convicts it and
//! nobody stops payments with it; and when its peers have answered, or its root set has spoken, it signs again.

use super::node::{Node, Stored};
use super::wire::Message;
use super::world::{Party, World};
use super::{Violation, checkers};
use std::collections::BTreeMap;
use weft_protocol::clearing::guard::{Fetch, Fetched, Guard, Guarded};
use weft_protocol::clearing::restart::{GuardStep, Restart, is_guarded};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Op, Payload};
use weft_protocol::ids::{LedgerId, OpId};

/// An operator waits this long for peers before the root set says that the rest is lost.
const PATIENCE_MS: u64 = 20_000;
/// A backup is not back within this time; clocks of networks differ by less.
const RESTORE_MS: u64 = 6_000;
/// Entries of one answer.
const PAGE: usize = 16;

impl Node {
    /// Loses the end of the disk and everything in memory.
    ///
    /// # Errors
    /// When the disk cannot be read back.
    pub(super) fn set_back(&mut self, keep: usize) -> Result<(), Violation> {
        self.crash();
        self.disk.truncate(keep);
        (self.books, self.streams) = (super::books::Books::default(), BTreeMap::new());
        let own: Vec<_> = self.own_entries().cloned().collect();
        own.iter().try_for_each(|entry| self.account_for(entry))?;
        Ok(())
    }

    /// Begins the guard.
    pub(super) fn quarantine(&mut self) {
        self.restart = Restart::default();
        if let Some(engine) = &mut self.engine {
            engine.quarantine();
        }
    }

    /// Answers a peer that was set back; the fence is durable with the batch, before the answer goes out.
    pub(super) fn answer_guard(&mut self, asker: &LedgerId, life: u64, ask: &Guard, now_ms: u64) -> Message {
        let (answer, fence) = self.input(now_ms, |engine, _| engine.guard(asker, ask));
        self.notes.push(Stored::Fence(fence));
        Message::Guarded(life, ask.clone(), Box::new(answer))
    }

    /// The asker's own entries, as we hold them.
    pub(super) fn answer_fetch(&self, asker: &LedgerId, life: u64, ask: &Fetch) -> Message {
        let received = self.disk.iter().filter_map(|stored| match stored {
            Stored::Received(entry) if entry.body().ledger == *asker => Some(entry),
            _ => None,
        });
        let of_stream = received.filter_map(|entry| {
            let header = entry.body().stream.filter(|h| h.id == ask.stream && h.sseq >= ask.from)?;
            Some((header.sseq, Blob(entry.bytes().to_vec())))
        });
        let entries: BTreeMap<u64, Blob> = of_stream.collect();
        let entries = entries.into_values().take(PAGE).collect();
        Message::Fetched(life, ask.clone(), Fetched { message: 4, entries })
    }

    /// A peer has answered; an answer to an earlier life is nobody's.
    pub(super) fn hear_guard(
        &mut self,
        peer: &LedgerId,
        life: u64,
        ask: &Guard,
        answer: Guarded,
        now_ms: u64,
    ) {
        if life == self.life && is_guarded(self.running()) {
            let mut restart = std::mem::take(&mut self.restart);
            self.input(now_ms, |engine, cx| restart.heard(engine, peer, ask, answer, cx));
            self.restart = restart;
        }
    }

    /// A peer has given entries of ours.
    pub(super) fn hear_fetched(
        &mut self,
        peer: &LedgerId,
        life: u64,
        ask: &Fetch,
        fetched: &Fetched,
        now_ms: u64,
    ) {
        if life == self.life && is_guarded(self.running()) {
            let mut restart = std::mem::take(&mut self.restart);
            // What is not what was asked for is asked for again.
            let _ = self.input(now_ms, |engine, cx| restart.fetched(engine, peer, ask, fetched, cx));
            self.restart = restart;
        }
    }

    /// The root set says that what nobody has given back is lost. Gives whether it had to.
    ///
    /// # Errors
    /// When a rule refuses it.
    fn give_up_the_rest(&mut self, now_ms: u64) -> Result<bool, Violation> {
        let terms = self.restart.report(self.running()).and_then(|report| report.succession);
        let Some(terms) = terms.filter(|_| now_ms >= self.set_back_ms + PATIENCE_MS) else {
            return Ok(false);
        };
        let op_id =
            OpId(weft_protocol::ids::Hash::of("", &[&now_ms.to_be_bytes(), self.ledger.as_bytes()]).prefix());
        let not_after_ms = now_ms + self.skew_ms + 3_600_000;
        let op = Op { op_id, not_after_ms, payload: Payload::Succession(terms), sidecars: Vec::new() };
        let signed = self.keys.by_roots(&self.ledger, &op);
        self.input(now_ms, |engine, cx| engine.submit(&signed, cx))
            .map_err(|e| Violation::of("a succession", &e))?;
        let mut restart = std::mem::take(&mut self.restart);
        self.input(now_ms, |engine, cx| restart.succeeded(engine, cx));
        self.restart = restart;
        Ok(true)
    }
}

impl World {
    /// An honest network is set back to an older state. Its connections die with it, and its peers meet it anew.
    pub(super) fn set_back(&mut self, index: usize) -> Result<(), Violation> {
        let now_ms = self.now_ms;
        let Party::Honest(node) = &mut self.parties[index] else { return Ok(()) };
        if node.engine.is_none() {
            return Ok(());
        }
        let len = node.disk.len();
        let keep = len - self.random.index(len - node.founded + 1);
        node.set_back(keep)?;
        (node.set_back_ms, node.unproven) = (now_ms, true);
        self.tally.restores += 1;
        self.disconnect(index);
        self.at(now_ms + RESTORE_MS, super::world::Event::Restart(index));
        Ok(())
    }

    /// What every hello says: from where to send.
    pub(super) fn meet_anew(&mut self, index: usize) {
        let near: Vec<usize> =
            self.parties[index].honest().map_or(Vec::new(), |n| n.links.keys().copied().collect());
        for other in near {
            for (side, of) in [(index, other), (other, index)] {
                let held = self.parties[of].honest().and_then(|node| {
                    let channel = node.links.get(&side)?.channel;
                    Some(node.engine.as_ref()?.peers().stream(&channel).map_or(0, |s| s.next))
                });
                if let (Some(held), Party::Honest(node)) = (held, &mut self.parties[side])
                    && let Some(link) = node.links.get_mut(&of)
                {
                    let written = node.streams.get(&link.channel).map_or(0, Vec::len) as u64;
                    (link.next, link.sent) = (held.min(written), held.min(written));
                }
            }
        }
    }

    /// What a guarded network asks its peers, and what its root set does when they do not help.
    pub(super) fn guard(&mut self, index: usize) -> Result<Vec<(usize, Message)>, Violation> {
        let (now_ms, ledgers) = (self.now_ms, self.ledgers.clone());
        let Party::Honest(node) = &mut self.parties[index] else { return Ok(Vec::new()) };
        if !is_guarded(node.running()) {
            node.set_back_ms = 0;
            self.tally.taken_back += std::mem::take(&mut node.restart).taken_back();
            return Ok(Vec::new());
        }
        let mut words = Vec::new();
        for to in node.links.keys() {
            let next = node.restart.next(node.running(), &ledgers[*to]);
            match next.map_err(|e| Violation::of("a guard's question", &e))? {
                GuardStep::Ask(ask) => words.push((*to, Message::Guard(node.life, ask))),
                GuardStep::Fetch(ask) => words.push((*to, Message::Fetch(node.life, ask))),
                GuardStep::Done | GuardStep::Wait => {}
            }
        }
        let gave_up = node.give_up_the_rest(now_ms)?;
        let mut restart = std::mem::take(&mut node.restart);
        node.input(now_ms, |engine, cx| restart.advance(engine, cx));
        node.restart = restart;
        self.tally.successions += u64::from(gave_up);
        Ok(words)
    }
}

/// Once all has had its time: nobody honest is blamed, every ledger can be read back, and everybody signs again.
pub(super) fn ended(world: &mut World) -> Result<(), Violation> {
    for node in world.parties.iter().filter_map(Party::honest) {
        checkers::replayed(node)?;
        checkers::blamed(world, node)?;
        if node.running().is_quarantined() {
            let report = node.restart.report(node.running());
            return Err(Violation(format!("a network that was set back never signs again: {report:?}")));
        }
    }
    let mut tally = world.tally;
    for node in world.parties.iter().filter_map(Party::honest) {
        checkers::count_evidence(&mut tally, node);
        tally.findings += node.running().peers().findings().len() as u64;
    }
    world.tally = tally;
    Ok(())
}
