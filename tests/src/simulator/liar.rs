//! A network that lies. It signs with its real keys and its streams are well chained, so that every line of it must be
//! taken in; what the lines say is up to `moves`. It never crashes and forgets nothing.

mod forge;
mod moves;

use super::Twice;
use super::founding::{Founded, Keys};
use super::random::Random;
use super::wire::Message;
use moves::Heard;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weft_protocol::clearing::engine::Record;
use weft_protocol::clearing::guard::{Fetch, Fetched, Guard, Guarded, Newest, StreamHead};
use weft_protocol::clearing::intent::Decision;
use weft_protocol::clearing::step::{Ack, KeyArgs, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, ENTRY_VERSION, Entry, Op, Payload, StreamHeader};
use weft_protocol::evidence::Evidence;
use weft_protocol::ids::{AccountId, ClaimId, Hash, LedgerId, OpId, StreamId};

/// What a liar knows of the world.
#[derive(Debug, Clone)]
pub struct Map {
    /// All networks, in line.
    pub ledgers: Vec<LedgerId>,
    /// Genesis of each.
    pub genesis: Vec<Vec<u8>>,
    /// Members' accounts of each.
    pub accounts: Vec<Vec<AccountId>>,
    /// Which of them the liar is.
    pub us: usize,
    /// Whether they stand in a line.
    pub is_line: bool,
}

/// A channel of a liar.
#[derive(Debug)]
struct Line {
    id: StreamId,
    written: Vec<Arc<[u8]>>,
    head: Hash,
    acked: u64,
    heard: Ack,
    introduced: BTreeSet<usize>,
}

/// A network that lies.
#[derive(Debug)]
pub struct Liar {
    map: Map,
    keys: Keys,
    random: Random,
    /// How often it does the right thing, per mille: liars that lie at once are found out at once.
    honesty: u64,
    lines: BTreeMap<usize, Line>,
    seq: u64,
    prev: Hash,
    time_ms: u64,
    heard: BTreeMap<(ClaimId, u8), Heard>,
    /// The part of a claim that it speaks of.
    part: u8,
    decisions: BTreeMap<ClaimId, Decision>,
    /// Intents of its own.
    own: Vec<ClaimId>,
    out: Vec<(usize, Message)>,
    twice: Twice,
    /// Lines that others have signed, in order.
    heard_lines: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Liar {
    pub(super) fn new(
        mut founded: Founded,
        mut random: Random,
        map: Map,
        channels: BTreeMap<usize, StreamId>,
        twice: Twice,
    ) -> Self {
        let line = |id: StreamId| Line {
            id,
            written: Vec::new(),
            head: Hash::ZERO,
            acked: 0,
            heard: Ack { next: 0, head: Hash::ZERO },
            introduced: BTreeSet::new(),
        };
        let mut liar = Self {
            map,
            keys: founded.keys,
            // Who signs things twice does its work otherwise: else it would be shut out before.
            honesty: if twice == Twice::Nothing { random.pick(&[0, 500, 850]) } else { 1_000 },
            random,
            lines: channels.into_iter().map(|(index, id)| (index, line(id))).collect(),
            seq: 0,
            prev: Hash::ZERO,
            time_ms: 0,
            heard: BTreeMap::new(),
            part: 0,
            decisions: BTreeMap::new(),
            own: Vec::new(),
            out: Vec::new(),
            twice,
            heard_lines: BTreeMap::new(),
        };
        for record in founded.engine.take_batch().records {
            if let Record::Own(written) = record {
                liar.wrote(&written.entry);
            }
        }
        liar
    }

    /// A message has come; gives what the liar sends.
    pub(super) fn hear(&mut self, from: usize, message: &Message, now_ms: u64) -> Vec<(usize, Message)> {
        self.time_ms = self.time_ms.max(now_ms);
        match message {
            Message::Push(entries) => {
                for bytes in entries {
                    if let Some((entry, step)) = self.next_of(from, bytes) {
                        self.act(from, &entry, &step);
                    }
                }
                let next = self.lines.get(&from).map_or(0, |line| line.heard.next);
                self.out.push((from, Message::Next(next)));
            }
            Message::Next(next) => {
                if let Some(line) = self.lines.get_mut(&from) {
                    // A peer that was set back needs again what it had. What it does not take is sent when time has
                    // passed, not at once: else the two would keep each other busy.
                    let before = std::mem::replace(&mut line.acked, (*next).min(line.written.len() as u64));
                    if line.acked <= before {
                        return std::mem::take(&mut self.out);
                    }
                }
            }
            Message::Ask { intent, .. } => self.asked(from, intent),
            Message::Decision(decision) => drop(self.decisions.insert(decision.body.claim, *decision)),
            Message::Evidence(bytes) => {
                let read = Evidence::parse(bytes).map(|evidence| Message::Read(evidence.id()));
                self.out.extend(read.ok().map(|read| (from, read)));
            }
            Message::Guard(life, ask) => self.out.push((from, self.guarded(from, *life, ask))),
            Message::Fetch(life, ask) => self.out.push((from, self.fetched(from, *life, ask))),
            Message::Public(_)
            | Message::Sidecar(..)
            | Message::Note(..)
            | Message::Read(_)
            | Message::Guarded(..)
            | Message::Fetched(..) => {}
        }
        self.send()
    }

    /// Time has passed; gives what the liar sends.
    pub(super) fn wake(&mut self, now_ms: u64) -> Vec<(usize, Message)> {
        self.time_ms = self.time_ms.max(now_ms);
        if self.twice == Twice::Nothing {
            self.scheme();
        } else {
            self.forge();
        }
        self.send()
    }

    /// The answer to a network that was set back. Here it tells the truth: what it holds it cannot have made up.
    fn guarded(&self, from: usize, life: u64, ask: &Guard) -> Message {
        let lines = self.heard_lines.get(&from).map_or(&[][..], Vec::as_slice);
        let last = lines.last().and_then(|bytes| Entry::parse(bytes).ok());
        let newest = last.as_ref().map_or(Newest::default(), |entry| Newest {
            boot: entry.body().boot,
            size: entry.body().seq + 1,
        });
        let channel = self.lines.get(&from).map_or(StreamId::ZERO, |line| line.id);
        let head = last.map_or(Hash::ZERO, |entry| entry.leaf());
        let heads = vec![StreamHead { stream: channel, next: lines.len() as u64, head }];
        let (checkpoint, decisions) = (None, Vec::new());
        let answer = Guarded { message: 2, boot: ask.boot, newest, heads, checkpoint, decisions };
        Message::Guarded(life, ask.clone(), Box::new(answer))
    }

    fn fetched(&self, from: usize, life: u64, ask: &Fetch) -> Message {
        let lines = self.heard_lines.get(&from).map_or(&[][..], Vec::as_slice);
        let some = lines.iter().skip(ask.from as usize).take(16).cloned().map(Blob);
        Message::Fetched(life, ask.clone(), Fetched { message: 4, entries: some.collect() })
    }

    fn send(&mut self) -> Vec<(usize, Message)> {
        let mut out = std::mem::take(&mut self.out);
        for (to, line) in &self.lines {
            let rest: Vec<_> = line.written.iter().skip(line.acked as usize).take(16).cloned().collect();
            if !rest.is_empty() {
                out.push((*to, Message::Push(rest)));
            }
        }
        out
    }

    /// The entry, if it is the next of the peer's stream.
    fn next_of(&mut self, from: usize, bytes: &[u8]) -> Option<(Entry, Step)> {
        let entry = Entry::parse(bytes).ok()?;
        let line = self.lines.get_mut(&from)?;
        let header = entry.body().stream?;
        if header.sseq != line.heard.next {
            return None;
        }
        self.heard_lines.entry(from).or_default().push(bytes.to_vec());
        line.heard = Ack { next: header.sseq + 1, head: entry.leaf() };
        let Payload::Step(step) = entry.op().payload.clone() else { return None };
        Some((entry, step))
    }

    /// Writes a line, whatever it says.
    fn write(&mut self, to: usize, claim: Option<ClaimId>, reference: Option<Hash>, args: StepArgs) {
        let Some(line) = self.lines.get(&to) else { return };
        let part = if claim.is_some() { self.part } else { 0 };
        let step = Step { channel: line.id, ack: line.heard, claim, reference, args, part };
        let header = StreamHeader { id: line.id, sseq: line.written.len() as u64, sprev: line.head };
        let payload = Payload::Step(step);
        let kind = payload.kind().code();
        let op_id = OpId(self.random.salt().0);
        let op = Op { op_id, not_after_ms: self.time_ms, payload, sidecars: Vec::new() };
        let body = Body {
            v: ENTRY_VERSION,
            ledger: self.map.ledgers[self.map.us],
            seq: self.seq,
            prev: self.prev,
            time_ms: self.time_ms,
            epoch: 0,
            kind,
            op: Blob(op.to_bytes()),
            auth: Vec::new(),
            salt: self.random.salt(),
            stream: Some(header),
            boot: 1,
        };
        // What does not fit an entry cannot be said, not even by a liar.
        if let Ok(entry) = Entry::sign(&body, &self.keys.log()) {
            self.wrote(&entry);
        }
    }

    fn wrote(&mut self, entry: &Entry) {
        self.seq = entry.body().seq + 1;
        self.prev = entry.leaf();
        let id = entry.body().stream.map(|header| header.id);
        if let Some(line) = self.lines.values_mut().find(|line| Some(line.id) == id) {
            line.written.push(entry.bytes().into());
            line.head = entry.leaf();
        }
    }

    /// Shows a peer who a network is, mostly.
    fn introduce(&mut self, to: usize, ledger: &LedgerId) {
        let Some(who) = self.map.ledgers.iter().position(|l| l == ledger) else { return };
        let new = self.lines.get_mut(&to).is_some_and(|line| line.introduced.insert(who));
        if who != to && who != self.map.us && new && !self.random.chance(50) {
            let entry = Blob(self.map.genesis[who].clone());
            self.write(to, None, None, StepArgs::Key(KeyArgs { entry }));
        }
    }
}
