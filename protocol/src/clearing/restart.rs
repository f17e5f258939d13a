//! A start that is not provably clean, until signing goes on: who has answered, what of ours they hold, what is taken
//! back (specs/clearing.md §11).
//!
//! What must hold: the quarantine ends only when every accord peer has answered to what we hold *now* and none of them
//! knows of more, or when the root set has said by a succession that it goes on without the rest.

use super::accord::channel_id;
use super::engine::{Cx, Engine};
use super::guard::{Fetch, Fetched, Guard, Guarded, Newest, StreamHead};
use super::quarantine::OwnHead;
use crate::entry::Entry;
use crate::ids::{Hash, LedgerId, StreamId};
use crate::ledger::Rejected;
use crate::ledger::succession::Succession;
use std::collections::{BTreeMap, BTreeSet};

/// Entries of ours that wait to be taken back; a peer that sends more is waited for until these are done.
const MAX_POOL: usize = 100_000;
/// Resets of one channel that a network which was set back may have forgotten: each takes a week's notice.
const MAX_FORGOTTEN: u32 = 8;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Restart {
    heard: BTreeMap<LedgerId, Heard>,
    /// Entries of ours that peers hold and we do not, by boot and place: after a succession a place is written again.
    pool: BTreeMap<(u64, u64), Entry>,
    taken_back: u64,
    elsewhere: Elsewhere,
    /// The root set has said, since the start, that the ledger goes on.
    succeeded: bool,
}

/// What others than a peer's guard say of our ledger: its mirrors (specs/mirror.md).
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// Peers whose mirror has not answered yet.
    pub unanswered: BTreeSet<LedgerId>,
    /// How many entries our ledger had by what mirrors hold.
    pub size: u64,
}

#[derive(Debug, Clone)]
struct Heard {
    answer: Guarded,
    /// What its checkpoint shows of our log.
    shown: Option<OwnHead>,
    /// Whether we hold nothing more than when it was given.
    fresh: bool,
    /// Up to where its copies of our streams have been fetched.
    fetched: BTreeMap<StreamId, u64>,
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

/// What an answer has brought about.
#[derive(Debug, Default)]
pub struct Advance {
    /// The quarantine has ended; an error says what could not be made up for.
    pub lifted: Option<Result<(), Rejected>>,
    /// An entry of ours that a peer holds breaks a rule here: its place, and which rule.
    pub refused: Option<(u64, Rejected)>,
}

/// How the guard stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardReport {
    /// Whether nothing at all is signed.
    pub quarantined: bool,
    /// Peers that have not answered, or still hold more than we do.
    pub awaited: Vec<LedgerId>,
    /// Of them: those that have not answered, or not given back what we had acknowledged of their own.
    pub unheard: Vec<LedgerId>,
    /// Entries taken back since the start.
    pub taken_back: u64,
    /// How many entries we are known to have written; more than we hold when some are lost.
    pub known_size: u64,
    /// What the root set would sign to go on without the rest.
    pub succession: Option<Succession>,
}

impl Restart {
    /// What is to be done next about a peer.
    ///
    /// # Errors
    /// When there is no accord with it.
    pub fn next(&self, engine: &Engine, peer: &LedgerId) -> Result<GuardStep, Rejected> {
        if !engine.awaits(peer) {
            return Ok(GuardStep::Done);
        }
        if engine.state().channel_with(peer).is_none() {
            return Ok(GuardStep::Done);
        }
        let Some(heard) = self.heard.get(peer).filter(|heard| heard.fresh) else {
            return engine.guard_question(peer).map(GuardStep::Ask);
        };
        if self.pool.len() >= MAX_POOL {
            return Ok(GuardStep::Wait);
        }
        // The older incarnation of a channel first: the next one follows from it.
        let more = of_channel(engine, peer, &heard.answer).into_iter().rev().find_map(|head| {
            let ours = engine.state().stream(&head.stream).next;
            let from = heard.fetched.get(&head.stream).copied().unwrap_or(0).max(ours);
            (head.next > from).then_some(Fetch { message: 3, stream: head.stream, from })
        });
        Ok(more.map_or(GuardStep::Wait, GuardStep::Fetch))
    }

    /// A peer has answered a question.
    pub fn heard(
        &mut self,
        engine: &mut Engine,
        peer: &LedgerId,
        ask: &Guard,
        answer: Guarded,
        cx: &mut Cx<'_>,
    ) -> Advance {
        let boot = engine.boot();
        let ahead = answer.newest.boot >= boot && answer.newest.size > engine.state().head.next_seq;
        if answer.boot > boot || ahead {
            // Our clock is behind what it was: the number of this start has to be later than all that peers know.
            engine.raise_boot(answer.boot.max(answer.newest.boot).saturating_add(1));
            self.ask_again();
            return Advance::default();
        }
        // What we did not sign shows nothing.
        let shown = answer.checkpoint.as_ref().and_then(|note| engine.own_checkpoint(&note.0));
        let fetched = self.heard.get(peer).map(|heard| heard.fetched.clone()).unwrap_or_default();
        // What was taken back while the question was under way has to be asked for: the fence stands where it was asked.
        let fresh = engine.guard_question(peer).is_ok_and(|now| now == *ask);
        self.heard.insert(*peer, Heard { answer, shown, fresh, fetched });
        self.advance(engine, cx)
    }

    /// A peer has given entries of ours.
    ///
    /// # Errors
    /// When they are not what was asked for: the peer is not to be relied on.
    pub fn fetched(
        &mut self,
        engine: &mut Engine,
        peer: &LedgerId,
        ask: &Fetch,
        fetched: &Fetched,
        cx: &mut Cx<'_>,
    ) -> Result<Advance, String> {
        if fetched.entries.is_empty() {
            // It may have been set back itself since it answered: it is asked anew.
            if let Some(heard) = self.heard.get_mut(peer) {
                (heard.fresh, heard.fetched) = (false, BTreeMap::new());
            }
            return Err("it does not give the entries of ours that it says it holds".to_owned());
        }
        let us = engine.state().ledger().map_err(|e| e.to_string())?;
        let mut next = ask.from;
        for bytes in &fetched.entries {
            let entry = Entry::parse(&bytes.0).map_err(|e| e.to_string())?;
            let place = entry.body().stream.filter(|header| header.id == ask.stream).map(|h| h.sseq);
            if entry.body().ledger != us || place != Some(next) {
                return Err(format!("it gives something else as place {next} of our stream"));
            }
            let key = engine.state().identity().and_then(|i| i.log_key(entry.body().epoch));
            let key = key.map_err(|e| e.to_string())?;
            let signed = key.verify_message(&entry.node_message(), entry.node_sig());
            signed.map_err(|e| format!("place {next} of our stream is not signed by us: {e}"))?;
            next = next.saturating_add(1);
            self.pool.insert((entry.body().boot, entry.body().seq), entry);
        }
        if let Some(heard) = self.heard.get_mut(peer) {
            heard.fetched.insert(ask.stream, next);
        }
        Ok(self.advance(engine, cx))
    }

    /// What is known from elsewhere, before what follows is asked of this.
    pub fn set_elsewhere(&mut self, elsewhere: Elsewhere) {
        self.elsewhere = elsewhere;
    }

    /// Entries were taken back that peers' guards did not give: everybody is asked again.
    pub fn taken_elsewhere(&mut self, engine: &Engine, count: u64) {
        self.taken_back = self.taken_back.saturating_add(count);
        self.forget_held(engine);
        self.ask_again();
    }

    /// What is here need not be taken back any more.
    fn forget_held(&mut self, engine: &Engine) {
        let state = engine.state();
        self.pool.retain(|_, entry| {
            entry.body().stream.is_some_and(|header| header.sseq >= state.stream(&header.id).next)
        });
    }

    /// The root set has said that the ledger goes on.
    pub fn succeeded(&mut self, engine: &mut Engine, cx: &mut Cx<'_>) -> Advance {
        self.succeeded = true;
        self.advance(engine, cx)
    }

    /// Takes back what can be, and ends what has ended.
    pub fn advance(&mut self, engine: &mut Engine, cx: &mut Cx<'_>) -> Advance {
        let mut done = Advance::default();
        if !is_guarded(engine) {
            return done;
        }
        let taken = self.take_back_all(engine, &mut done);
        self.forget_held(engine);
        // In quarantine only after a succession of this start: what an earlier one has lost would stand where newer entries
        // stood that are lost too, and that somebody may hold.
        let may_bring_back = !engine.is_quarantined() || self.succeeded;
        if (may_bring_back && self.bring_back_all(engine, cx)) || taken {
            if engine.is_quarantined() && !self.succeeded {
                // A succession is of a later start than every entry before it.
                engine.raise_boot(engine.state().head.boot.saturating_add(1));
            }
            self.ask_again();
            return done;
        }
        for (peer, heard) in &self.heard {
            engine.note_answer(peer, heard.fresh && holds_no_more(engine, peer, &heard.answer));
        }
        let (settled, open): (Vec<_>, Vec<_>) =
            engine.awaited().into_iter().partition(|peer| self.is_settled(engine, peer));
        if engine.is_quarantined() {
            let whole = self.known_size(engine) <= engine.state().head.next_seq;
            let silent_only = open.iter().all(|peer| self.is_silent(engine, peer));
            let rest_is_lost = self.pool.values().all(|entry| was_lost(engine, entry));
            let ended = whole && rest_is_lost && open.iter().all(|peer| self.gave_all(engine, peer));
            let given_up = self.succeeded && silent_only;
            if !ended && !given_up {
                return done;
            }
            done.lifted = Some(engine.lift(cx));
        }
        settled.iter().for_each(|peer| engine.heard(peer, cx));
        done
    }

    fn ask_again(&mut self) {
        self.heard.values_mut().for_each(|heard| heard.fresh = false);
    }

    fn take_back_all(&mut self, engine: &mut Engine, done: &mut Advance) -> bool {
        let mut moved = false;
        while engine.is_quarantined() {
            let head = engine.state().head;
            let follows = |entry: &Entry| (entry.body().seq, entry.body().prev) == (head.next_seq, head.leaf);
            let place = self.pool.iter().find(|(_, entry)| follows(entry)).map(|(place, _)| *place);
            let Some(entry) = place.and_then(|place| self.pool.remove(&place)) else { break };
            if let Err(why) = engine.take_back(entry) {
                done.refused = Some((head.next_seq, why));
                break;
            }
            moved = true;
            self.taken_back = self.taken_back.saturating_add(1);
        }
        moved
    }

    /// After a succession: what it has lost and peers hold, in the order in which it was written.
    fn bring_back_all(&mut self, engine: &mut Engine, cx: &mut Cx<'_>) -> bool {
        let mut moved = false;
        for (place, entry) in std::mem::take(&mut self.pool) {
            let header = entry.body().stream;
            if header.is_none_or(|header| header.sseq < engine.state().stream(&header.id).next) {
                continue;
            }
            match engine.bring_back(entry.bytes(), cx) {
                Ok(()) => {
                    moved = true;
                    self.taken_back = self.taken_back.saturating_add(1);
                }
                Err(_) => drop(self.pool.insert(place, entry)),
            }
        }
        moved
    }

    /// Whether a peer has answered, holds nothing of ours that we lack, and we hold all of its entries that we have
    /// acknowledged.
    fn is_settled(&self, engine: &Engine, peer: &LedgerId) -> bool {
        let state = engine.state();
        let Some((stream, row)) = state.channel_with(peer) else { return true };
        let fresh = self.heard.get(peer).filter(|heard| heard.fresh);
        let theirs = engine.peers().stream(&stream).map_or(0, |s| s.next);
        if engine.is_quarantined() && self.elsewhere.unanswered.contains(peer) {
            return false;
        }
        fresh.is_some_and(|heard| holds_no_more(engine, peer, &heard.answer)) && theirs >= row.acked
    }

    /// Whether a peer has answered and given all of ours that it holds and we lack, and we hold all of its entries that we have
    /// acknowledged. What it gave and an earlier succession has lost comes back when the quarantine has ended.
    fn gave_all(&self, engine: &Engine, peer: &LedgerId) -> bool {
        let state = engine.state();
        let Some((stream, row)) = state.channel_with(peer) else { return true };
        let fresh = self.heard.get(peer).filter(|heard| heard.fresh);
        let heard = fresh.filter(|_| !self.elsewhere.unanswered.contains(peer));
        let gave = |heard: &Heard, head: &StreamHead| {
            let fetched = heard.fetched.get(&head.stream).copied().unwrap_or(0);
            head.next <= fetched.max(state.stream(&head.stream).next)
        };
        let all_given = |heard: &Heard| {
            let heads = of_channel(engine, peer, &heard.answer);
            heads.into_iter().all(|head| gave(heard, head))
        };
        heard.is_some_and(all_given) && engine.peers().stream(&stream).map_or(0, |s| s.next) >= row.acked
    }

    /// Whether a peer has not answered, or has nothing of ours that we lack and does not give back what we have
    /// acknowledged of its own: it may have lost it, too.
    fn is_silent(&self, engine: &Engine, peer: &LedgerId) -> bool {
        let Some(heard) = self.heard.get(peer).filter(|_| !self.elsewhere.unanswered.contains(peer)) else {
            return true;
        };
        let state = engine.state();
        let Some((stream, row)) = state.channel_with(peer) else { return false };
        let gave_ours = heard.fresh && holds_no_more(engine, peer, &heard.answer);
        gave_ours && engine.peers().stream(&stream).map_or(0, |s| s.next) < row.acked
    }

    /// How many entries our ledger is known to have had: by an entry that somebody holds, or by a head that we signed.
    fn known_size(&self, engine: &Engine) -> u64 {
        let since = engine.state().successions.values().next_back().map_or(0, |row| row.boot);
        let newest = self.heard.values().map(|heard| heard.answer.newest);
        let entries = newest.filter(|n: &Newest| n.boot >= since).map(|n| n.size);
        let heads = self.heard.values().filter_map(|heard| heard.shown).map(|head| head.size);
        // What a peer gave back and has itself lost since shows as much as what it still holds.
        let pooled = self.pool.iter().filter(|((boot, _), _)| *boot >= since);
        let pooled = pooled.map(|((_, seq), _)| seq.saturating_add(1));
        let known = entries.chain(heads).chain(pooled).max().unwrap_or(0);
        known.max(self.elsewhere.size).max(engine.state().head.next_seq)
    }

    /// Entries taken back since the start.
    pub fn taken_back(&self) -> u64 {
        self.taken_back
    }

    /// The root of our log at a size, by a head of ours that a peer has shown.
    fn root_at(&self, size: u64) -> Option<Hash> {
        let shown = self.heard.values().filter_map(|heard| heard.shown);
        shown.into_iter().find(|head| head.size == size).map(|head| head.root)
    }

    /// The last succession that our ledger is known to have had, here or elsewhere; 0: none.
    fn last_succession(&self, engine: &Engine) -> u32 {
        let shown = self.heard.values().filter_map(|heard| heard.shown).map(|head| head.succession);
        let here = engine.state().successions.keys().next_back().copied();
        shown.chain(here).max().unwrap_or(0)
    }

    /// How the guard stands; `None` when signing goes on towards everybody.
    pub fn report(&self, engine: &Engine) -> Option<GuardReport> {
        if !is_guarded(engine) {
            return None;
        }
        let awaited: Vec<LedgerId> =
            engine.awaited().into_iter().filter(|peer| !self.is_settled(engine, peer)).collect();
        let mut unheard: Vec<LedgerId> =
            awaited.iter().filter(|peer| self.is_silent(engine, peer)).copied().collect();
        unheard.sort();
        let (base, old_size) = (engine.state().head.next_seq, self.known_size(engine));
        let lost = old_size > base || !unheard.is_empty();
        let succession = (engine.is_quarantined() && lost && !self.succeeded).then(|| Succession {
            number: self.last_succession(engine).saturating_add(1),
            old_size,
            old_root: self.root_at(old_size),
            base,
            boot: engine.boot(),
            unheard: unheard.clone(),
        });
        let (quarantined, taken_back) = (engine.is_quarantined(), self.taken_back);
        Some(GuardReport { quarantined, awaited, unheard, taken_back, known_size: old_size, succession })
    }
}

/// Whether an entry of ours is one that a succession has lost.
fn was_lost(engine: &Engine, entry: &Entry) -> bool {
    let (boot, seq) = (entry.body().boot, entry.body().seq);
    engine.state().successions.values().any(|row| boot < row.boot && seq >= row.base)
}

/// Whether there is a peer towards which nothing is signed.
pub fn is_guarded(engine: &Engine) -> bool {
    engine.is_quarantined() || !engine.awaited().is_empty()
}

/// What a peer holds of our streams to it, the newest incarnation of the channel first.
fn of_channel<'a>(engine: &Engine, peer: &LedgerId, answer: &'a Guarded) -> Vec<&'a StreamHead> {
    let Ok(us) = engine.state().ledger() else { return Vec::new() };
    // It may have reset a channel as often as we have forgotten.
    let newest = engine.state().incarnation(peer).saturating_add(MAX_FORGOTTEN);
    let ids = (0..=newest).rev().map(|n| channel_id(&us, peer, n));
    ids.filter_map(|id| answer.heads.iter().find(|head| head.stream == id)).collect()
}

/// Whether a peer holds nothing of our streams to it that we lack.
fn holds_no_more(engine: &Engine, peer: &LedgerId, answer: &Guarded) -> bool {
    of_channel(engine, peer, answer)
        .into_iter()
        .all(|head| head.next <= engine.state().stream(&head.stream).next)
}
