//! An honest network as a value: its engine, what is on its disk, and what has become of each payment.

use super::shape;
use crate::simulator::founding::Keys;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weft_protocol::clearing::engine::{Batch, Cx, Engine, Payee, Record};
use weft_protocol::clearing::guard::Fence;
use weft_protocol::clearing::peers::Place;
use weft_protocol::clearing::replay::Replay;
use weft_protocol::clearing::restart::Restart;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{AccountId, ClaimId, Hash, LedgerId, Salt, StreamId};

/// A record on the disk.
#[derive(Debug)]
pub(super) enum Stored {
    /// An entry of ours.
    Own(Entry),
    /// An entry received.
    Received(Entry),
    /// Evidence against a network.
    Evidence(Vec<u8>),
    /// What we have promised a peer that was set back.
    Fence(Fence),
}

/// A start is numbered by when it began; what happens after it is later.
const START_TAKES_MS: u64 = 500;

/// What does not change about a network.
#[derive(Debug)]
pub(super) struct Home {
    /// Its id.
    pub ledger: LedgerId,
    /// Its keys.
    pub keys: Keys,
    /// Accounts of its members.
    pub accounts: Vec<AccountId>,
    /// Neighbours, by place in the line.
    pub neighbours: BTreeMap<usize, LedgerId>,
    /// Who the sealed payee of each claim's commitment is.
    pub payees: BTreeMap<Hash, AccountId>,
    /// How much of the disk every backup has: the accords.
    pub founded: usize,
}

/// An honest network.
#[derive(Debug)]
pub(super) struct Party {
    pub home: Arc<Home>,
    pub engine: Engine,
    pub restart: Restart,
    pub disk: Vec<Arc<Stored>>,
    /// What the next start has to know although it proves itself.
    own_fence: Option<Fence>,
    /// Our durable stream entries, by channel.
    pub streams: BTreeMap<StreamId, Vec<Arc<[u8]>>>,
    /// What each of them says, without place and time ([`shape::tag`]).
    pub tags: BTreeMap<StreamId, Vec<u64>>,
    /// The same of our entries that stand in no stream, in no order.
    pub deeds: Vec<u64>,
    pub facts: Facts,
}

/// A part of a claim.
pub(super) type Leg = (ClaimId, u8);

/// What has become of payments, by our own durable entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Parts of claims whose hold went to the peer.
    pub paid: BTreeSet<Leg>,
    /// Those whose hold went back to the payer.
    pub freed: BTreeSet<Leg>,
    /// Those that came back after they were paid.
    pub returned: BTreeSet<Leg>,
    /// Payees credited.
    pub credited: BTreeMap<ClaimId, i64>,
    /// ACCEPTs that we passed on upstream.
    pub accepted: BTreeSet<(StreamId, Leg)>,
    /// What happened twice.
    pub twice: Option<&'static str>,
}

impl Clone for Party {
    fn clone(&self) -> Self {
        Self {
            home: Arc::clone(&self.home),
            engine: self.engine.fork(),
            restart: self.restart.clone(),
            disk: self.disk.clone(),
            own_fence: self.own_fence.clone(),
            streams: self.streams.clone(),
            tags: self.tags.clone(),
            deeds: self.deeds.clone(),
            facts: self.facts.clone(),
        }
    }
}

/// Salts need not be secret here: the place of an entry makes each one its own.
fn salts(start: u64) -> impl FnMut() -> Salt {
    let mut number = start;
    move || {
        number += 1;
        Salt(Hash::of("", &[&number.to_be_bytes()]).prefix())
    }
}

impl Party {
    /// A network as founded: what the engine has written so far is put on the disk.
    pub(super) fn new(home: Home, mut engine: Engine) -> Result<Self, String> {
        let batch = engine.take_batch();
        engine.hold_log_key(home.keys.next_log());
        let mut party = Self {
            home: Arc::new(home),
            engine,
            restart: Restart::default(),
            disk: Vec::new(),
            own_fence: None,
            streams: BTreeMap::new(),
            tags: BTreeMap::new(),
            deeds: Vec::new(),
            facts: Facts::default(),
        };
        party.keep(batch, usize::MAX);
        Ok(party)
    }

    /// One input; gives what it returns and what is to be made durable.
    pub(super) fn input<R>(
        &mut self,
        now_ms: u64,
        act: impl FnOnce(&mut Engine, &mut Restart, &mut Cx<'_>) -> R,
    ) -> (R, Batch) {
        let Self { home, engine, restart, disk, .. } = self;
        let mut salt = salts(engine.state().head.next_seq << 8);
        let payees = |_: &ClaimId, sidecar: &Hash| {
            home.payees.get(sidecar).map_or(Payee::Missing, |account| Payee::Account(*account))
        };
        let held = |place: &Place| {
            disk.iter().find_map(|stored| match &**stored {
                Stored::Received(entry) => Record::Received(Box::new(entry.clone())).received_at(place),
                Stored::Own(_) | Stored::Evidence(_) | Stored::Fence(_) => None,
            })
        };
        let mut cx = Cx { now_ms, salt: &mut salt, payees: &payees, held: &held };
        let answer = act(engine, restart, &mut cx);
        let batch = engine.take_batch();
        (answer, batch)
    }

    /// Makes the first `keep` records durable.
    pub(super) fn keep(&mut self, batch: Batch, keep: usize) {
        if keep >= batch.records.len() && !self.engine.is_quarantined() {
            self.own_fence = self.engine.own_fence();
        }
        for record in batch.records.into_iter().take(keep) {
            let stored = match record {
                Record::Own(written) => {
                    self.account_for(&written.entry);
                    Stored::Own(written.entry)
                }
                Record::Received(entry) => Stored::Received(*entry),
                Record::Evidence(bytes) => Stored::Evidence(bytes),
            };
            self.disk.push(Arc::new(stored));
        }
    }

    fn account_for(&mut self, entry: &Entry) {
        self.facts.note(entry, &self.engine);
        let lost = match &entry.op().payload {
            Payload::Recovered(recovered) => recovered.lost(),
            _ => None,
        };
        let said = lost.as_ref().unwrap_or(entry);
        if let Some(header) = said.body().stream {
            self.streams.entry(header.id).or_default().push(said.bytes().into());
            self.tags.entry(header.id).or_default().push(shape::tag(said));
        }
        if lost.is_some() || said.body().stream.is_none() {
            let tag = shape::tag(entry);
            let place = self.deeds.partition_point(|other| *other < tag);
            self.deeds.insert(place, tag);
        }
    }

    /// Starts again from the disk, under the next boot.
    fn start(&mut self, now_ms: u64) -> Result<(), String> {
        let mut replay = Replay::new();
        for stored in &self.disk {
            match &**stored {
                Stored::Own(entry) => {
                    replay.own(entry).map_err(|e| format!("replay of an own entry: {e}"))?
                }
                Stored::Received(entry) => {
                    replay.received(entry).map_err(|e| format!("replay of a received entry: {e}"))?;
                }
                Stored::Evidence(bytes) => {
                    replay.evidence(bytes).map_err(|e| format!("replay of evidence: {e}"))?;
                }
                Stored::Fence(_) => {}
            }
        }
        let boot = replay.state().head.boot.saturating_add(1).max(now_ms - START_TAKES_MS);
        let mut engine = replay.into_engine(self.home.keys.author(boot), self.home.keys.secret);
        engine.hold_log_key(self.home.keys.next_log());
        for stored in &self.disk {
            if let Stored::Fence(fence) = &**stored {
                engine.set_fence(fence.clone());
            }
        }
        self.own_fence.iter().for_each(|fence| engine.set_fence(fence.clone()));
        self.engine = engine;
        self.restart = Restart::default();
        Ok(())
    }

    /// A start after a crash: the disk is whole.
    pub(super) fn recover(&mut self, now_ms: u64) -> Result<(), String> {
        self.start(now_ms)?;
        let (recovered, batch) = self.input(now_ms, |engine, _, cx| engine.recover(cx));
        recovered.map_err(|e| format!("recovery: {e}"))?;
        self.keep(batch, usize::MAX);
        Ok(())
    }

    /// The disk loses its end, and the guard begins.
    pub(super) fn set_back(&mut self, keep: usize, guarded: bool, now_ms: u64) -> Result<(), String> {
        self.disk.truncate(keep);
        self.own_fence = None;
        (self.streams, self.tags) = (BTreeMap::new(), BTreeMap::new());
        (self.deeds, self.facts) = (Vec::new(), Facts::default());
        self.start(now_ms)?;
        let own: Vec<Arc<Stored>> = self.disk.clone();
        for stored in own {
            if let Stored::Own(entry) = &*stored {
                self.account_for(entry);
            }
        }
        if guarded {
            self.engine.quarantine();
        }
        Ok(())
    }

    /// The channel with a neighbour: another one after each reset.
    pub(super) fn channel(&self, neighbour: usize) -> Option<StreamId> {
        let peer = self.home.neighbours.get(&neighbour)?;
        self.engine.state().channel_with(peer).map(|(id, _)| id)
    }

    /// The channels on which a neighbour's lines are taken in: the one now, and the one with which it may begin anew.
    pub(super) fn hears_on(&self, neighbour: usize) -> Vec<StreamId> {
        let Some(peer) = self.home.neighbours.get(&neighbour) else { return Vec::new() };
        let state = self.engine.state();
        let now = self.channel(neighbour).filter(|_| !state.is_closed_for_reset(peer));
        now.into_iter().chain(state.next_channel(peer).ok()).collect()
    }

    /// The next place of a stream that we expect.
    pub(super) fn next_on(&self, channel: &StreamId) -> u64 {
        self.engine.peers().stream(channel).map_or(0, |stream| stream.next)
    }

    /// Whether what is on the disk gives the same state.
    pub(super) fn reads_back(&self, now_ms: u64) -> Result<(), String> {
        let mut other = self.clone();
        other.start(now_ms)?;
        if other.engine.state().digest() == self.engine.state().digest() {
            Ok(())
        } else {
            Err("read back from the disk the state is another".to_owned())
        }
    }

    /// Entries of a network that we hold, of one stream, from a place on.
    pub(super) fn received_from(&self, ledger: &LedgerId, stream: &StreamId, from: u64) -> Vec<Vec<u8>> {
        let mut found = BTreeMap::new();
        for stored in &self.disk {
            if let Stored::Received(entry) = &**stored
                && entry.body().ledger == *ledger
                && let Some(header) = entry.body().stream.filter(|h| h.id == *stream && h.sseq >= from)
            {
                found.insert(header.sseq, entry.bytes().to_vec());
            }
        }
        found.into_values().collect()
    }
}

impl Facts {
    fn note(&mut self, entry: &Entry, engine: &Engine) {
        let state = engine.state();
        let is_peer = |id: &AccountId| state.channels.values().any(|row| row.account == *id);
        let mut twice = |new: bool, what: &'static str| {
            if !new {
                self.twice = Some(what);
            }
        };
        match &entry.op().payload {
            Payload::End(end) => {
                let back = end.postings.iter().all(|p| !is_peer(&p.account));
                let set = if back { &mut self.freed } else { &mut self.paid };
                twice(set.insert((end.claim, end.part)), "a part of a claim has ended twice");
            }
            Payload::Credit(credit) => {
                let to = credit.postings.iter().find(|p| p.account == credit.account);
                let before = self.credited.insert(credit.claim, to.map_or(0, |p| p.delta));
                twice(before.is_none(), "a payee was credited twice");
            }
            Payload::Returned(back) if back.postings.iter().any(|p| state.holder(&p.account).is_ok()) => {
                let leg = (back.claim, back.part);
                twice(self.returned.insert(leg), "a payment was given back twice");
            }
            Payload::Step(step) => {
                use weft_protocol::clearing::step::StepArgs;
                if let (StepArgs::Accept(_), Some(claim)) = (&step.args, step.claim) {
                    self.accepted.insert((step.channel, (claim, step.part)));
                }
            }
            _ => {}
        }
    }
}
