//! A network that lies, in every way in which lies can matter to a claim: each thing that it could say about a payment, at
//! any moment, to anybody, once. It signs with its real keys and its streams are well chained, so what it says must be
//! taken in; what has no effect is a finding.

use super::shape;
use super::world::Search;
use crate::simulator::founding::Keys;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash as StdHash;
use std::sync::Arc;
use weft_protocol::clearing::engine::{Engine, Record};
use weft_protocol::clearing::intent::{CLAIM_VERSION, Decision, DecisionBody, Intent, Outcome, SignedIntent};
use weft_protocol::clearing::step::{
    AcceptArgs, Ack, DoneArgs, KeyArgs, ProposeArgs, RejectArgs, Step, StepArgs,
};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{Body, ENTRY_VERSION, Entry, Op, Payload, StreamHeader};
use weft_protocol::ids::{ClaimId, Hash, LedgerId, OpId, PUBLIC_STREAM, Salt, StreamId};

/// When a liar writes: always at the same moment, which every honest clock takes in.
const TIME_MS: u64 = crate::simulator::founding::START_MS + 10_000;

/// What a liar can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Lie {
    /// PROPOSE onward, or as the payer.
    Propose,
    /// ACCEPT: with the decider's yes, where it is known, or its own.
    Accept,
    /// ACCEPT with a Decision that says no.
    AcceptNo,
    /// REJECT, with its own no where it is the decider.
    Reject,
    /// REJECT without a Decision.
    RejectBare,
    /// DONE with the decider's yes, where it is known.
    Done,
    /// DONE with a Decision that it has signed itself.
    DoneForged,
    /// FREE, for the peer's REJECT or for nothing.
    Free,
    /// RETURN.
    Return,
    /// A yes past the streams.
    WhisperYes,
    /// A no past the streams.
    WhisperNo,
}

/// One thing said, to one network, about one payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Move {
    liar: usize,
    to: usize,
    wish: usize,
    lie: Lie,
}

impl Move {
    /// Who speaks.
    pub(super) fn liar(&self) -> usize {
        self.liar
    }
}

/// A channel of a liar.
#[derive(Debug, Clone)]
struct Line {
    id: StreamId,
    written: Vec<Arc<[u8]>>,
    tags: Vec<u64>,
    head: Hash,
    heard: Ack,
    introduced: BTreeSet<LedgerId>,
}

/// A network that lies.
#[derive(Debug, Clone)]
pub(super) struct Liar {
    index: usize,
    ledger: LedgerId,
    keys: Arc<Keys>,
    public: Arc<Vec<Vec<u8>>>,
    lines: BTreeMap<usize, Line>,
    seq: u64,
    prev: Hash,
    said: BTreeSet<Move>,
    /// Leaves of what peers said: their PROPOSE, REJECT and DONE, by peer and claim.
    leaves: BTreeMap<(usize, ClaimId, u8), Hash>,
    /// Decisions of honest deciders.
    known: BTreeMap<ClaimId, Decision>,
}

impl Liar {
    pub(super) fn new(
        index: usize,
        keys: Keys,
        mut engine: Engine,
        ledgers: &[LedgerId],
        public: Vec<Vec<u8>>,
        channels: BTreeMap<usize, StreamId>,
    ) -> Self {
        let line = |id: StreamId| Line {
            id,
            written: Vec::new(),
            tags: Vec::new(),
            head: Hash::ZERO,
            heard: Ack { next: 0, head: Hash::ZERO },
            introduced: BTreeSet::new(),
        };
        let mut liar = Self {
            index,
            ledger: ledgers[index],
            keys: Arc::new(keys),
            public: Arc::new(public),
            lines: channels.into_iter().map(|(to, id)| (to, line(id))).collect(),
            seq: 0,
            prev: Hash::ZERO,
            said: BTreeSet::new(),
            leaves: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        for record in engine.take_batch().records {
            if let Record::Own(written) = record {
                liar.wrote(&written.entry);
            }
        }
        liar
    }

    pub(super) fn ledger(&self) -> LedgerId {
        self.ledger
    }

    pub(super) fn public(&self) -> &[Vec<u8>] {
        &self.public
    }

    pub(super) fn lines(&self, to: usize) -> &[Arc<[u8]>] {
        self.lines.get(&to).map_or(&[], |line| &line.written)
    }

    pub(super) fn next_of(&self, from: usize) -> u64 {
        self.lines.get(&from).map_or(0, |line| line.heard.next)
    }

    pub(super) fn shape(&self, out: &mut DefaultHasher) {
        for line in self.lines.values() {
            (&line.tags, line.heard.next).hash(out);
        }
        self.said.hash(out);
        self.known.keys().collect::<Vec<_>>().hash(out);
    }

    /// Takes in a line without a thought: the accord.
    pub(super) fn skip(&mut self, from: usize, bytes: &[u8]) {
        let entry = Entry::parse(bytes).expect("a line of founding");
        if let Some(line) = self.lines.get_mut(&from) {
            line.heard = Ack { next: line.heard.next + 1, head: entry.leaf() };
        }
    }

    /// A line of a peer has come.
    pub(super) fn hear(&mut self, _: &Search, from: usize, bytes: &[u8]) {
        let Ok(entry) = Entry::parse(bytes) else { return };
        if let Some(line) = self.lines.get_mut(&from) {
            line.heard = Ack { next: line.heard.next + 1, head: entry.leaf() };
        }
        let Payload::Step(step) = &entry.op().payload else { return };
        let Some(claim) = step.claim else { return };
        match &step.args {
            StepArgs::Propose(_) => self.leaves.insert((from, claim, 1), entry.leaf()),
            StepArgs::Reject(_) => self.leaves.insert((from, claim, 3), entry.leaf()),
            StepArgs::Done(_) => self.leaves.insert((from, claim, 4), entry.leaf()),
            StepArgs::Accept(args) => {
                self.known.insert(claim, args.decision);
                None
            }
            _ => None,
        };
    }

    /// The intent of a payment of its own.
    pub(super) fn intent(&self, search: &Search, wish: usize) -> SignedIntent {
        let asked = search.wishes[wish];
        let intent = Intent {
            v: CLAIM_VERSION,
            payer: self.ledger,
            epoch: 0,
            payee: search.ledgers[asked.to],
            sidecar: super::world::commitment(wish),
            parts: search.route(wish).parts,
            expires_ms: search.expires_ms(),
            nonce: Hash::of("", &[b"a liar's payment"]),
        };
        SignedIntent::sign(&intent, &self.keys.log())
    }

    /// All that it has not said yet.
    pub(super) fn moves(&self, search: &Search) -> Vec<Move> {
        let mut moves = Vec::new();
        for (wish, asked) in search.wishes.iter().enumerate() {
            let (way, claim) = (asked.way(), search.claims[wish].0);
            let Some(place) = way.iter().position(|i| *i == self.index) else { continue };
            let mut may = |to: usize, lies: &[Lie]| {
                let all = lies.iter().map(|lie| Move { liar: self.index, to, wish, lie: *lie });
                moves.extend(all.filter(|one| search.scenario.may_say(one.lie) && !self.said.contains(one)));
            };
            let last = place + 1 == way.len();
            if let Some(up) = place.checked_sub(1).map(|i| way[i])
                && self.leaves.contains_key(&(up, claim, 1))
            {
                if last {
                    may(up, &[Lie::Accept, Lie::AcceptNo, Lie::Reject, Lie::RejectBare]);
                    for other in way.iter().filter(|i| **i != self.index) {
                        may(*other, &[Lie::WhisperYes, Lie::WhisperNo]);
                    }
                } else {
                    may(up, &[Lie::RejectBare]);
                    if self.known.contains_key(&claim) {
                        may(up, &[Lie::Accept]);
                    }
                }
                if self.leaves.contains_key(&(up, claim, 4)) {
                    may(up, &[Lie::Return]);
                }
            }
            if let Some(down) = way.get(place + 1) {
                let proposed =
                    self.said.contains(&Move { liar: self.index, to: *down, wish, lie: Lie::Propose });
                let may_propose = place == 0 || self.leaves.contains_key(&(way[place - 1], claim, 1));
                if may_propose {
                    may(*down, &[Lie::Propose]);
                }
                if proposed {
                    may(*down, &[Lie::Free, Lie::DoneForged]);
                    if self.known.contains_key(&claim) {
                        may(*down, &[Lie::Done]);
                    }
                }
            }
        }
        moves
    }

    /// Says something; gives the Decision that goes past the streams.
    pub(super) fn say(&mut self, search: &Search, one: Move) -> Option<Option<(usize, Decision)>> {
        if !self.said.insert(one) {
            return None;
        }
        let Move { to, wish, lie, .. } = one;
        let (claim, signed) = search.claims[wish].clone();
        let decides = search.wishes[wish].to == self.index;
        let leaf = |t| self.leaves.get(&(to, claim, t)).copied().unwrap_or(Hash::ZERO);
        let (proposed, rejected, done) = (leaf(1), leaf(3), leaf(4));
        let (yes, no) = (self.word(claim, Outcome::Accept), self.word(claim, Outcome::Reject));
        let known = self.known.get(&claim).copied();
        let decider = search.ledgers[search.wishes[wish].to];
        let (reference, args) = match lie {
            Lie::WhisperYes => return Some(Some((to, yes))),
            Lie::WhisperNo => return Some(Some((to, no))),
            Lie::Propose => {
                let intent = signed.parse().ok()?;
                self.introduce(search, to, &intent.payer);
                let hop = intent.place(0, &self.ledger)?;
                (proposed, StepArgs::Propose(ProposeArgs { intent: signed, hop: u8::try_from(hop).ok()? }))
            }
            Lie::Accept | Lie::AcceptNo => {
                let decision =
                    if lie == Lie::AcceptNo { no } else { known.filter(|_| !decides).unwrap_or(yes) };
                self.introduce(search, to, &decider);
                let intent = decides.then(|| Blob(signed.intent.0.clone()));
                (proposed, StepArgs::Accept(AcceptArgs { decision, intent }))
            }
            Lie::Reject => (proposed, StepArgs::Reject(RejectArgs { code: 1, decision: Some(no) })),
            Lie::RejectBare => (proposed, StepArgs::Reject(RejectArgs { code: 10, decision: None })),
            Lie::Done | Lie::DoneForged => {
                let decision = if lie == Lie::Done { known? } else { yes };
                self.introduce(search, to, &decider);
                (decision.id(), StepArgs::Done(DoneArgs { decision }))
            }
            Lie::Free => (rejected, StepArgs::Free),
            Lie::Return => (done, StepArgs::Return),
        };
        self.write(to, Some(claim), Some(reference), args);
        Some(None)
    }

    fn word(&self, claim: ClaimId, outcome: Outcome) -> Decision {
        let code = if outcome == Outcome::Accept { 0 } else { 1 };
        let body = DecisionBody { v: CLAIM_VERSION, decider: self.ledger, epoch: 0, claim, outcome, code };
        Decision::sign(body, &self.keys.log())
    }

    /// Shows a peer who a network is.
    fn introduce(&mut self, search: &Search, to: usize, ledger: &LedgerId) {
        let Some(who) = search.index_of(ledger).filter(|who| *who != to && *who != self.index) else {
            return;
        };
        if self.lines.get_mut(&to).is_some_and(|line| line.introduced.insert(*ledger)) {
            for entry in search.public_of(who) {
                let known = Entry::parse(&entry).expect("a public entry of founding");
                if weft_protocol::ledger::identity::is_identity(&known.op().payload) {
                    self.write(to, None, None, StepArgs::Key(KeyArgs { entry: Blob(entry) }));
                }
            }
        }
    }

    /// Writes a line, whatever it says.
    fn write(&mut self, to: usize, claim: Option<ClaimId>, reference: Option<Hash>, args: StepArgs) {
        let Some(line) = self.lines.get(&to) else { return };
        let step = Step { channel: line.id, ack: line.heard, claim, reference, args, part: 0 };
        let header = StreamHeader { id: line.id, sseq: line.written.len() as u64, sprev: line.head };
        let payload = Payload::Step(step);
        let kind = payload.kind().code();
        let (op_id, salt) = (OpId(Hash::of("", &[&self.seq.to_be_bytes()]).prefix()), Salt([3; 16]));
        let op = Op { op_id, not_after_ms: TIME_MS, payload, sidecars: Vec::new() };
        let body = Body {
            v: ENTRY_VERSION,
            ledger: self.ledger,
            seq: self.seq,
            prev: self.prev,
            time_ms: TIME_MS,
            epoch: 0,
            kind,
            op: Blob(op.to_bytes()),
            auth: Vec::new(),
            salt,
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
        let id = entry.body().stream.map(|header| header.id).filter(|id| *id != PUBLIC_STREAM);
        if let Some(line) = self.lines.values_mut().find(|line| Some(line.id) == id) {
            line.written.push(entry.bytes().into());
            line.tags.push(shape::tag(entry));
            line.head = entry.leaf();
        }
    }
}
