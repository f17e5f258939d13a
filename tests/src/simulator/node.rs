//! An honest network: an engine, a disk that outlives it, and the way between them.
//!
//! An input moves the engine; its batch is made durable; only then anything is sent. A crash keeps a prefix of the
//! batch and loses the engine, so the next one is rebuilt from the disk alone.

use super::Violation;
use super::books::Books;
use super::convictions::{SeenNotes, SeenWords};
use super::founding::{Founded, HOUR, Keys, Member};
use super::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weft_protocol::amount::Amount;
use weft_protocol::base::{Base, Floor, Kept};
use weft_protocol::clearing::engine::{Batch, Cx, Engine, Payee, Record};
use weft_protocol::clearing::guard::Fence;
use weft_protocol::clearing::peers::Place;
use weft_protocol::clearing::replay::Replay;
use weft_protocol::clearing::restart::Restart;
use weft_protocol::entry::{Entry, How, Op, Payload, Role, SignedOp};
use weft_protocol::evidence::EvidenceType;
use weft_protocol::ids::{ClaimId, Hash, LedgerId, OpId, StreamId};
use weft_protocol::ledger::transfer::{Transfer, move_value};
use weft_protocol::log::checkpoint::Checkpoint;
use weft_protocol::log::tile::TileBuilder;
use weft_protocol::log::tree::root_of;

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
    /// A head of a peer's log that we have cosigned.
    Cosigned(LedgerId, Vec<u8>),
}

impl Stored {
    fn cosigned(&self) -> Option<(LedgerId, Vec<u8>)> {
        match self {
            Self::Cosigned(by, note) => Some((*by, note.clone())),
            Self::Own(_) | Self::Received(_) | Self::Evidence(_) | Self::Fence(_) => None,
        }
    }
}

/// Reads one record back.
fn read_back(replay: &mut Replay, stored: &Stored) -> Result<(), Violation> {
    match stored {
        Stored::Own(entry) => replay.own(entry).map_err(|e| Violation::of("replay of an own entry", &e)),
        Stored::Received(entry) => {
            replay.received(entry).map_err(|e| Violation::of("replay of a received entry", &e))
        }
        Stored::Evidence(bytes) => {
            replay.evidence(bytes).map_err(|e| Violation::of("replay of evidence", &e))
        }
        Stored::Fence(_) | Stored::Cosigned(..) => Ok(()),
    }
}

/// A peer, as the running node knows it; forgotten in a crash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The channel.
    pub channel: StreamId,
    /// How far the peer has our stream, as it said.
    pub next: u64,
    /// How far we have sent it.
    pub sent: u64,
}

/// An honest network.
#[derive(Debug)]
pub(super) struct Node {
    /// Its id.
    pub ledger: LedgerId,
    /// Its genesis, which shows who it is.
    pub genesis: Vec<u8>,
    /// Its keys.
    pub keys: Keys,
    /// Its members.
    pub members: Vec<Member>,
    /// The engine; `None` while the node is down.
    pub engine: Option<Engine>,
    /// What is durable, in order.
    pub disk: Vec<Stored>,
    /// The private store: sealed payees that have come. Durable before what refers to it.
    pub sidecars: BTreeMap<Hash, Payee>,
    /// Peers by their index.
    pub links: BTreeMap<usize, Link>,
    /// Our durable stream entries, by channel.
    pub streams: BTreeMap<StreamId, Vec<Arc<[u8]>>>,
    /// What an auditor makes of our durable entries.
    pub books: Books,
    /// Notes that contradict or not, seen since the last start; kept by the checker.
    pub notes_seen: SeenNotes,
    /// Decisions that came outside the streams since the last start; kept by the checker.
    pub words_seen: SeenWords,
    /// Which evidence each peer has read since the last start.
    pub shown: BTreeMap<usize, BTreeSet<Hash>>,
    /// How far this clock is ahead.
    pub skew_ms: u64,
    /// The guard after a start that is not proven.
    pub restart: Restart,
    /// Notes to be made durable with the next batch.
    pub notes: Vec<Stored>,
    /// Which start this is: answers to an earlier one are nobody's.
    pub life: u64,
    /// When it was set back last.
    pub set_back_ms: u64,
    /// It was set back, and no start since may prove itself.
    pub unproven: bool,
    /// What the next start has to know although it proves itself, as it is on the disk.
    own_fence: Option<Fence>,
    /// How much of the disk every backup has: the accords.
    pub founded: usize,
    salts: Random,
}

/// What a network has written and received, and its keys.
#[derive(Debug)]
pub struct Recorded {
    /// Its id.
    pub ledger: LedgerId,
    /// Seed of its log key.
    pub log: [u8; 32],
    /// Seed of its desk key.
    pub desk: [u8; 32],
    /// Its entries, by place.
    pub own: Vec<Entry>,
    /// Entries of others, in the order of their coming.
    pub received: Vec<Entry>,
}

impl Node {
    /// Takes the network apart.
    pub(super) fn recorded(self) -> Recorded {
        let (mut own, mut received) = (Vec::new(), Vec::new());
        for stored in self.disk {
            match stored {
                Stored::Own(entry) => own.push(entry),
                Stored::Received(entry) => received.push(entry),
                // What is recorded of others is in our own entries; a bundle of the kit holds entries only.
                Stored::Evidence(_) | Stored::Fence(_) | Stored::Cosigned(..) => {}
            }
        }
        let (log, desk) = (*self.keys.log().seed(), *self.keys.desk.seed());
        Recorded { ledger: self.ledger, log, desk, own, received }
    }

    /// A network just founded, with nothing durable yet.
    pub(super) fn new(founded: Founded, salts: Random, skew_ms: u64) -> Self {
        let Founded { keys, members, ledger, public, engine } = founded;
        Self {
            ledger,
            genesis: public.into_iter().next().unwrap_or_default(),
            keys,
            members,
            engine: Some(engine),
            disk: Vec::new(),
            sidecars: BTreeMap::new(),
            links: BTreeMap::new(),
            streams: BTreeMap::new(),
            books: Books::default(),
            notes_seen: SeenNotes::new(),
            words_seen: SeenWords::new(),
            shown: BTreeMap::new(),
            skew_ms,
            restart: Restart::default(),
            notes: Vec::new(),
            life: 0,
            set_back_ms: 0,
            unproven: false,
            own_fence: None,
            founded: 0,
            salts,
        }
    }

    /// The running engine.
    ///
    /// # Panics
    /// When the node is down; callers ask first.
    pub(super) fn running(&self) -> &Engine {
        self.engine.as_ref().expect("asked only while the node is up")
    }

    /// One input.
    ///
    /// # Panics
    /// When the node is down; callers ask first.
    pub(super) fn input<R>(&mut self, now_ms: u64, act: impl FnOnce(&mut Engine, &mut Cx<'_>) -> R) -> R {
        let Self { engine, disk, sidecars, salts, skew_ms, .. } = self;
        let engine = engine.as_mut().expect("inputs reach only nodes that are up");
        let mut salt = || salts.salt();
        let payees = |_: &ClaimId, sidecar: &Hash| sidecars.get(sidecar).copied().unwrap_or(Payee::Missing);
        let held = |place: &Place| {
            disk.iter().find_map(|stored| match stored {
                Stored::Received(entry) => Record::Received(Box::new(entry.clone())).received_at(place),
                Stored::Own(_) | Stored::Evidence(_) | Stored::Fence(_) | Stored::Cosigned(..) => None,
            })
        };
        act(engine, &mut Cx { now_ms: now_ms + *skew_ms, salt: &mut salt, payees: &payees, held: &held })
    }

    /// Makes the first `keep` records of a batch durable.
    ///
    /// # Errors
    /// When an entry breaks a rule that holds for every ledger.
    pub(super) fn store(&mut self, batch: Batch, keep: usize) -> Result<(), Violation> {
        // Notes come first: an answer may rest on one. A crash that keeps no entry keeps no note either.
        let notes = std::mem::take(&mut self.notes);
        if keep > 0 || batch.records.is_empty() {
            self.disk.extend(notes);
        }
        let whole = keep >= batch.records.len();
        for record in batch.records.into_iter().take(keep) {
            match record {
                Record::Own(written) => {
                    self.account_for(&written.entry)?;
                    self.disk.push(Stored::Own(written.entry));
                }
                Record::Received(entry) => self.disk.push(Stored::Received(*entry)),
                Record::Evidence(bytes) => self.disk.push(Stored::Evidence(bytes)),
            }
        }
        if whole {
            self.keep_own_fence();
        }
        Ok(())
    }

    /// What a start from now on has to know is on the disk: it may prove itself.
    fn keep_own_fence(&mut self) {
        let Some(engine) = self.engine.as_ref().filter(|engine| !engine.is_quarantined()) else { return };
        self.unproven = false;
        let fence = engine.own_fence();
        if fence != self.own_fence {
            self.disk.extend(fence.clone().map(Stored::Fence));
            self.own_fence = fence;
        }
    }

    /// An own entry that is durable: in the books, and in its stream.
    pub(super) fn account_for(&mut self, entry: &Entry) -> Result<(), Violation> {
        self.books.own(entry)?;
        let lost = match &entry.op().payload {
            Payload::Recovered(recovered) => recovered.lost(),
            _ => None,
        };
        let said = lost.as_ref().unwrap_or(entry);
        if let Some(header) = said.body().stream {
            self.streams.entry(header.id).or_default().push(said.bytes().into());
        }
        Ok(())
    }

    /// Loses everything that is not durable.
    pub(super) fn crash(&mut self) {
        self.engine = None;
        self.notes.clear();
        self.notes_seen.clear();
        self.words_seen.clear();
        self.shown.clear();
        for link in self.links.values_mut() {
            link.next = 0;
            link.sent = 0;
        }
    }

    /// What is on the disk, read back.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub(super) fn replay(&self) -> Result<Replay, Violation> {
        let mut replay = Replay::new();
        self.disk.iter().try_for_each(|stored| read_back(&mut replay, stored))?;
        Ok(replay)
    }

    /// The same with everything before a place left out, as a base stands for it; evidence stays as notes do.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub(super) fn replay_from_base(&self, cut: usize) -> Result<Replay, Violation> {
        let (before, after) = self.disk.split_at(cut);
        let (mut replay, mut tree) = (Replay::new(), TileBuilder::new());
        for stored in before {
            read_back(&mut replay, stored)?;
            if let Stored::Own(entry) = stored {
                tree.push(entry.leaf());
            }
        }
        if tree.size() == 0 {
            return self.replay();
        }
        let floor = Floor { seq: tree.size(), first: 0, full: 0 };
        let base = Base::bytes(floor, Kept::default(), &tree, &replay);
        let base = base.and_then(|bytes| Base::parse(&bytes)).map_err(|e| Violation::of("a base", &e))?;
        if base.tree.root() != tree.root() {
            return Err(Violation("a base has another tree".into()));
        }
        let mut replay = base.replay;
        let notes = before.iter().filter(|stored| matches!(stored, Stored::Evidence(_)));
        notes.chain(after).try_for_each(|stored| read_back(&mut replay, stored))?;
        Ok(replay)
    }

    /// Starts again from the disk, with the next boot. What recovery writes is in the engine's batch.
    ///
    /// # Errors
    /// When the disk cannot be read back, or recovery is refused.
    pub(super) fn restart(&mut self, now_ms: u64) -> Result<(), Violation> {
        self.life += 1;
        self.open(now_ms)?;
        self.input(now_ms, |engine, cx| engine.recover(cx)).map_err(|e| Violation::of("recovery", &e))
    }

    /// The engine from the disk; nothing is written yet.
    ///
    /// # Errors
    /// When the disk cannot be read back.
    pub(super) fn open(&mut self, now_ms: u64) -> Result<(), Violation> {
        // Every other time from what stands in the place of the older half.
        let cut = if self.life.is_multiple_of(2) { self.disk.len() / 2 } else { 0 };
        let replay = self.replay_from_base(cut)?;
        let boot = now_ms.saturating_add(self.skew_ms).max(replay.state().head.boot + 1);
        let mut engine = replay.into_engine(self.keys.author(boot), self.keys.secret);
        for stored in &self.disk {
            if let Stored::Fence(fence) = stored {
                engine.set_fence(fence.clone());
            }
        }
        self.engine = Some(engine);
        if self.unproven {
            // It has no answer yet: it asks, again if need be, and before that it signs nothing.
            self.quarantine();
        }
        let notes: Vec<_> = self.disk.iter().filter_map(Stored::cosigned).collect();
        for (by, note) in notes {
            let seen = self.input(now_ms, |engine, cx| engine.see(EvidenceType::Notes, by, &note, cx));
            seen.map_err(|e| Violation::of("a note that was kept", &e))?;
        }
        Ok(())
    }

    /// The head of our log as it is on the disk, signed.
    pub(super) fn checkpoint(&self) -> Vec<u8> {
        let leaves: Vec<Hash> = self.own_entries().map(Entry::leaf).collect();
        let root = root_of(leaves.iter().copied());
        let origin = self.books.state.origin_at(leaves.len() as u64).unwrap_or_default();
        let checkpoint = Checkpoint::new(&origin, leaves.len() as u64, root);
        checkpoint.expect("a checkpoint of ours").sign(&self.keys.log()).to_string().into_bytes()
    }

    /// A payment of one minute from the first member to the second.
    pub(super) fn local_payment(&mut self, now_ms: u64) -> SignedOp {
        let amount = Amount::new(1).expect("one is an amount");
        let postings = move_value(self.members[0].account, self.members[1].account, HOUR, amount);
        let op = Op {
            op_id: OpId(self.salts.salt().0),
            not_after_ms: now_ms + 86_400_000,
            payload: Payload::Transfer(Transfer { postings, when_day: None }),
            sidecars: Vec::new(),
        };
        self.members[0].sign(&self.keys, &self.ledger, &op)
    }

    /// An operation of an operator at the desk.
    pub(super) fn at_desk(&mut self, payload: Payload, sidecars: Vec<Hash>, now_ms: u64) -> SignedOp {
        let (op_id, not_after_ms) = (OpId(self.salts.salt().0), now_ms + 86_400_000);
        let op = Op { op_id, not_after_ms, payload, sidecars };
        SignedOp::unsigned(&op).signed(&self.ledger, &self.keys.desk, Role::Operator, How::Custody)
    }

    /// Our entries on the disk, in order.
    pub(super) fn own_entries(&self) -> impl Iterator<Item = &Entry> {
        self.disk.iter().filter_map(|stored| match stored {
            Stored::Own(entry) => Some(entry),
            Stored::Received(_) | Stored::Evidence(_) | Stored::Fence(_) | Stored::Cosigned(..) => None,
        })
    }

    /// Entries of a stream of ours from a place on.
    pub(super) fn entries_from(&self, channel: &StreamId, from: u64, most: usize) -> Vec<Arc<[u8]>> {
        let stream = self.streams.get(channel).map_or(&[][..], Vec::as_slice);
        stream.iter().skip(from as usize).take(most).cloned().collect()
    }
}
