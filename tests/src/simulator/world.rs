//! The world: virtual time, a queue of what will happen, and the networks to which it happens.

mod clients;
mod deliver;

use super::checkers;
use super::convictions;
use super::founding::{self, Founded, START_MS};
use super::liar::{Liar, Map};
use super::node::{Link, Node, Recorded};
use super::payments::{Market, Payment};
use super::random::Random;
use super::round;
use super::web::Web;
use super::wire::{Envelope, Faults, Message};
use super::{Tally, Topology, Violation};
use std::collections::BTreeMap;
use weft_protocol::clearing::accord::channel_id;
use weft_protocol::clearing::engine::Payee;
use weft_protocol::clearing::restart::is_guarded;
use weft_protocol::evidence::{Evidence, EvidenceType};
use weft_protocol::ids::{AccountId, ClaimId, LedgerId, PUBLIC_STREAM};

/// Payments of one run.
const PAYMENTS: u64 = 24;
/// Payments start within this time.
pub(super) const CHAOS_MS: u64 = 40_000;
/// A healed world has this long, beyond the last expiry, until everything must have ended.
const SETTLE_MS: u64 = 120_000;
/// What is said at one end of a web has come to the other by then.
const WEB_ROUND_MS: u64 = 30_000;
/// Entries of one push.
const PUSH_ENTRIES: usize = 16;

/// A network, honest or not.
#[derive(Debug)]
pub(super) enum Party {
    /// Runs the engine.
    Honest(Box<Node>),
    /// Runs whatever it likes.
    Liar(Box<Liar>),
}

impl Party {
    pub(super) fn honest(&self) -> Option<&Node> {
        match self {
            Self::Honest(node) => Some(node),
            Self::Liar(_) => None,
        }
    }
    fn recorded(self) -> Option<Recorded> {
        match self {
            Self::Honest(node) => Some(node.recorded()),
            Self::Liar(_) => None,
        }
    }
    fn up(&mut self) -> Option<&mut Node> {
        match self {
            Self::Honest(node) if node.engine.is_some() => Some(node),
            Self::Honest(_) | Self::Liar(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Event {
    Deliver(Envelope),
    Wake(usize),
    Restart(usize),
    Client(usize),
    Cancel(usize),
    SetBack(usize),
}

/// A crash at one certain place: this commit of this network keeps so many of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CrashAt {
    pub party: usize,
    pub commit: u64,
    pub keep: usize,
}

/// A run.
#[derive(Debug)]
pub struct World {
    pub(super) parties: Vec<Party>,
    pub(super) ledgers: Vec<LedgerId>,
    pub(super) payments: Vec<Payment>,
    pub(super) tally: Tally,
    pub(super) random: Random,
    faults: Faults,
    pub(super) now_ms: u64,
    queue: BTreeMap<(u64, u64), Event>,
    serial: u64,
    liars_silent: bool,
    /// Whether all count in one unit.
    pub(super) one_unit: bool,
    /// Whether netting rounds are announced.
    pub(super) has_rounds: bool,
    /// How many were.
    pub(super) rounds: usize,
    /// Nothing goes wrong but one crash.
    is_calm: bool,
    /// The one crash of this run, where it is chosen.
    crash_at: Option<CrashAt>,
    /// Commits of each network so far.
    commits: Vec<u64>,
    /// Those that hold something about a round: network, commit, records.
    about_rounds: Vec<round::Place>,
    /// Whether networks are set back: what was acknowledged may then be lost, and only convictions are judged.
    pub(super) restores: bool,
}

impl World {
    /// Founds the networks, and lets neighbours agree.
    ///
    /// # Errors
    /// When founding breaks a rule.
    pub fn new(topology: Topology, seed: u64) -> Result<Self, Violation> {
        Self::over(topology, seed, Web::of(topology, seed))
    }

    /// Networks in a ring, in a calm world but for one crash.
    pub(super) fn ring(networks: usize, seed: u64, crash_at: Option<CrashAt>) -> Result<Self, Violation> {
        let mut world = Self::over(Topology::Round, seed, Web::ring(networks))?;
        world.faults = Faults::NONE;
        world.is_calm = true;
        world.crash_at = crash_at;
        Ok(world)
    }

    /// Whether nothing goes wrong but what is chosen, and nobody refuses.
    pub(super) fn is_calm(&self) -> bool {
        self.is_calm
    }

    /// Runs to the end; where a crash could be tried.
    pub(super) fn tried(mut self) -> Result<(Tally, Vec<round::Place>), Violation> {
        self.live()?;
        Ok((self.tally, self.about_rounds))
    }

    fn over(topology: Topology, seed: u64, web: Web) -> Result<Self, Violation> {
        let mut random = Random::new(seed, &format!("{topology:?}"));
        let mut founded: Vec<Founded> =
            (0..web.networks).map(|i| Founded::with_units(seed, i, &web.foreign_units(i))).collect();
        let ledgers: Vec<LedgerId> = founded.iter().map(|f| f.ledger).collect();
        let accounts: Vec<Vec<AccountId>> =
            founded.iter().map(|f| f.members.iter().map(|m| m.account).collect()).collect();
        let genesis = founded.iter().filter_map(|f| f.public.first().cloned()).collect();
        let map = Map { ledgers: ledgers.clone(), genesis, accounts, us: 0, is_line: web.is_line };
        introduce(&mut founded, &web, random.chance(500))?;
        let most = random.pick(if web.is_ring { &[10, 30, 60] } else { &[60, 200, 500] });
        agree(&mut founded, &web, &mut random)?;
        let mut faults = Faults::chosen(&mut random);
        if topology.has_rounds() && random.chance(600) {
            // A round needs many words in time: in most worlds it gets them.
            faults = Faults::MILD;
        }
        let mut world = Self {
            parties: Vec::new(),
            ledgers,
            payments: Vec::new(),
            tally: Tally::default(),
            random,
            faults,
            now_ms: START_MS + 2_000,
            queue: BTreeMap::new(),
            serial: 0,
            liars_silent: false,
            one_unit: web.is_line,
            restores: topology.restores(),
            has_rounds: topology.has_rounds(),
            rounds: 0,
            is_calm: false,
            crash_at: None,
            commits: vec![0; web.networks],
            about_rounds: Vec::new(),
        };
        for (index, founded) in founded.into_iter().enumerate() {
            world.settle_in(topology, &web, seed, index, founded, &map)?;
        }
        if world.restores {
            for _ in 0..world.random.between(1, 3) {
                let index = world.random.index(web.networks);
                let at = world.now_ms + world.random.between(2_000, CHAOS_MS);
                world.at(at, Event::SetBack(index));
            }
        }
        let market = Market { web: &web, accounts: &map.accounts, most };
        for number in 0..if web.is_ring { 2 * PAYMENTS } else { PAYMENTS } {
            let start_ms = world.now_ms + world.random.below(CHAOS_MS);
            let payment = Payment::chosen(&mut world.random, &market, start_ms);
            if web.liar == Some(payment.payer()) {
                continue;
            }
            let place = world.payments.len();
            let cancel = payment.cancel_ms;
            world.payments.push(payment);
            world.at(start_ms + number % 2, Event::Client(place));
            if let Some(at) = cancel {
                world.at(at, Event::Cancel(place));
            }
        }
        Ok(world)
    }

    fn settle_in(
        &mut self,
        topology: Topology,
        web: &Web,
        seed: u64,
        index: usize,
        founded: Founded,
        map: &Map,
    ) -> Result<(), Violation> {
        let neighbours = web.neighbours(index);
        let random = Random::new(seed, &format!("party {index}"));
        let channel = |other: usize| channel_id(&self.ledgers[index], &self.ledgers[other], 0);
        let party = if web.liar == Some(index) {
            let channels = neighbours.into_iter().map(|i| (i, channel(i))).collect();
            let map = Map { us: index, ..map.clone() };
            Party::Liar(Box::new(Liar::new(founded, random, map, channels, topology.twice())))
        } else {
            let skew_ms = self.random.pick(&[0, 0, 300, 2_500]);
            let mut node = Node::new(founded, random, skew_ms);
            let link = |i: usize| (i, Link { channel: channel(i), next: 0, sent: 0 });
            node.links = neighbours.into_iter().map(link).collect();
            let batch = node.engine.as_mut().map(|e| e.take_batch()).unwrap_or_default();
            let all = batch.records.len();
            node.store(batch, all)?;
            node.founded = node.disk.len();
            Party::Honest(Box::new(node))
        };
        self.parties.push(party);
        let at = self.now_ms + self.random.below(500);
        self.at(at, Event::Wake(index));
        Ok(())
    }

    /// Chaos, then healing; and what happened.
    ///
    /// # Errors
    /// What did not hold.
    pub fn run(mut self) -> Result<Tally, Violation> {
        self.live()?;
        if !self.restores && self.parties.iter().all(|p| p.honest().is_some()) {
            self.much_later()?;
        }
        Ok(self.tally)
    }

    /// The same without the ninety days after it, and every honest network with its keys as it then stands.
    ///
    /// # Errors
    /// What did not hold.
    pub fn recorded(mut self) -> Result<Vec<Recorded>, Violation> {
        self.live()?;
        Ok(self.parties.into_iter().filter_map(Party::recorded).collect())
    }

    /// Each piece of evidence that somebody recorded, once.
    ///
    /// # Errors
    /// What did not hold.
    pub(super) fn evidence_recorded(mut self) -> Result<Vec<(EvidenceType, Vec<u8>)>, Violation> {
        self.live()?;
        let mut found = BTreeMap::new();
        for node in self.parties.iter().filter_map(Party::honest) {
            for (id, bytes) in node.running().peers().evidence() {
                let kind = Evidence::parse(bytes).map_err(|e| Violation::of("evidence", &e))?.kind();
                found.insert(*id, (kind, bytes.clone()));
            }
        }
        Ok(found.into_values().collect())
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.until(START_MS + CHAOS_MS + 10_000)?;
        self.faults = Faults::NONE;
        let last_expiry = self.payments.iter().map(|p| p.expires_ms).max().unwrap_or(0);
        let deadline = last_expiry.max(self.now_ms) + SETTLE_MS;
        while self.now_ms < deadline && !(self.now_ms > last_expiry && checkers::is_quiet(self)) {
            self.until(self.now_ms + 5_000)?;
        }
        // What a liar has just said still has to go its way.
        self.liars_silent = true;
        self.until(self.now_ms + if self.one_unit { 10_000 } else { WEB_ROUND_MS })?;
        if self.restores {
            super::restore::ended(self)?;
        } else {
            checkers::ended(self)?;
        }
        convictions::passed_on(self)
    }

    /// Ninety days on, with one entry that lets the ledger's own time pass.
    fn much_later(&mut self) -> Result<(), Violation> {
        self.now_ms += 90 * 86_400_000;
        for index in 0..self.parties.len() {
            let now_ms = self.now_ms;
            let Some(node) = self.parties[index].up() else { continue };
            let signed = node.local_payment(now_ms);
            node.input(now_ms, |engine, cx| engine.submit(&signed, cx))
                .map_err(|e| Violation::of("a local payment", &e))?;
            node.input(now_ms, |engine, cx| engine.tick(cx));
            self.commit(index, Vec::new())?;
            if let Some(node) = self.parties[index].honest() {
                checkers::forgotten(node)?;
            }
        }
        Ok(())
    }

    pub(super) fn at(&mut self, at_ms: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((at_ms, self.serial), event);
    }

    fn until(&mut self, end_ms: u64) -> Result<(), Violation> {
        while let Some(next) = self.queue.first_entry() {
            if next.key().0 > end_ms {
                break;
            }
            let ((at_ms, _), event) = next.remove_entry();
            self.now_ms = at_ms;
            match event {
                Event::Deliver(envelope) => self.deliver(envelope)?,
                Event::Wake(index) => self.wake(index)?,
                Event::Restart(index) => self.restart(index)?,
                Event::Client(payment) => self.client(payment)?,
                Event::Cancel(payment) => self.cancel(payment),
                Event::SetBack(index) => self.set_back(index)?,
            }
        }
        self.now_ms = end_ms;
        Ok(())
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.tally.messages += 1;
        let arrivals = self.faults.arrivals(&mut self.random);
        self.tally.lost += u64::from(arrivals.is_empty());
        for delay_ms in arrivals {
            let envelope = Envelope { from, to, message: message.clone() };
            self.at(self.now_ms + delay_ms, Event::Deliver(envelope));
        }
    }

    /// Makes a node's batch durable, or crashes it on the way; then its words go out. False: it crashed.
    pub(super) fn commit(&mut self, index: usize, words: Vec<(usize, Message)>) -> Result<bool, Violation> {
        let Party::Honest(node) = &mut self.parties[index] else { return Ok(false) };
        let Some(engine) = &mut node.engine else { return Ok(false) };
        let batch = engine.take_batch();
        let len = batch.records.len();
        let mut crash = self.random.chance(self.faults.crash);
        let mut keep = if crash { self.random.index(len + 1) } else { len };
        let commit = self.commits[index];
        self.commits[index] += 1;
        if let Some(at) = self.crash_at.filter(|at| (at.party, at.commit) == (index, commit)) {
            (crash, keep) = (true, at.keep.min(len));
        }
        let state = engine.state();
        let in_flight = state.claims.values().any(|row| !row.is_closed()) || !state.holds.is_empty();
        self.about_rounds.extend(round::Place::of(&batch, (index, commit), in_flight));
        self.tally.entries += keep as u64;
        node.store(batch, keep)?;
        if crash {
            node.crash();
            self.tally.crashes += 1;
            let back = self.now_ms + self.random.between(1, self.faults.down_ms);
            self.at(back, Event::Restart(index));
        }
        if len > 0 && !self.restores {
            checkers::node(&self.parties, &self.ledgers, index)?;
        }
        if crash {
            return Ok(false);
        }
        for (to, word) in words {
            self.send(index, to, word);
        }
        convictions::stopped(self, index)?;
        self.push(index);
        Ok(true)
    }

    /// Sends every peer what it has not been sent.
    fn push(&mut self, index: usize) {
        let Party::Honest(node) = &mut self.parties[index] else { return };
        let mut out = Vec::new();
        for (to, link) in node.links.clone() {
            if node.running().awaits(&self.ledgers[to]) {
                continue;
            }
            let entries = node.entries_from(&link.channel, link.sent, PUSH_ENTRIES);
            if !entries.is_empty() {
                let sent = link.sent + entries.len() as u64;
                node.links.insert(to, Link { sent, ..link });
                out.push((to, entries));
            }
        }
        for (to, entries) in out {
            self.send(index, to, Message::Push(entries));
        }
    }

    /// What was under way to and from a network, and dies with its connections.
    pub(super) fn disconnect(&mut self, index: usize) {
        self.queue.retain(|_, event| match event {
            Event::Deliver(envelope) => {
                let touches = envelope.from == index || envelope.to == index;
                !(touches && envelope.message.dies())
            }
            Event::Wake(_) | Event::Restart(_) | Event::Client(_) | Event::Cancel(_) | Event::SetBack(_) => {
                true
            }
        });
    }

    fn restart(&mut self, index: usize) -> Result<(), Violation> {
        let Party::Honest(node) = &mut self.parties[index] else { return Ok(()) };
        node.restart(self.now_ms)?;
        for link in node.links.values_mut() {
            let engine = node.engine.as_ref();
            let acked = engine.and_then(|e| e.peers().stream(&link.channel)).map_or(0, |s| s.acked);
            *link = Link { next: acked, sent: acked, ..*link };
        }
        if self.restores {
            self.meet_anew(index);
        }
        self.commit(index, Vec::new()).map(|_| ())
    }

    fn wake(&mut self, index: usize) -> Result<(), Violation> {
        let again = self.now_ms + self.random.between(700, 2_500);
        self.at(again, Event::Wake(index));
        let now_ms = self.now_ms;
        if let Party::Liar(liar) = &mut self.parties[index] {
            if self.liars_silent {
                return Ok(());
            }
            for (to, word) in liar.wake(now_ms) {
                self.send(index, to, word);
            }
            return Ok(());
        }
        let Some(node) = self.parties[index].up() else { return Ok(()) };
        node.input(now_ms, |engine, cx| engine.tick(cx));
        for link in node.links.values_mut() {
            link.sent = link.next;
        }
        super::statements::now_and_then(self, index);
        super::statements::pause(self, index);
        round::announce(self, index);
        round::people(self, index);
        let mut words = self.questions(index);
        words.extend(self.gossip(index));
        words.extend(round::public(self, index));
        words.extend(self.evidence(index));
        words.extend(self.guard(index)?);
        if self.commit(index, words)? {
            self.hand_over_sidecars(index);
        }
        Ok(())
    }

    /// Who lies.
    pub(super) fn liar(&self) -> Option<LedgerId> {
        let place = self.parties.iter().position(|party| party.honest().is_none());
        place.map(|index| self.ledgers[index])
    }

    /// Evidence goes to every neighbour but the accused until it was read; now and then a note goes along.
    fn evidence(&mut self, index: usize) -> Vec<(usize, Message)> {
        let Some(node) = self.parties[index].honest() else { return Vec::new() };
        let mut words = Vec::new();
        for to in node.links.keys() {
            for (id, bytes) in node.running().peers().evidence() {
                let accused = Evidence::parse(bytes).map(|evidence| evidence.accused());
                let read = node.shown.get(to).is_some_and(|shown| shown.contains(id));
                if !read && accused != Ok(self.ledgers[*to]) {
                    words.push((*to, Message::Evidence(bytes.clone())));
                }
            }
            if self.random.chance(if self.restores { 300 } else { 20 }) && !is_guarded(node.running()) {
                words.push((*to, Message::Note(EvidenceType::Notes, node.checkpoint())));
            }
        }
        words
    }

    /// Now and then a node shows its public stream to somebody.
    fn gossip(&mut self, index: usize) -> Option<(usize, Message)> {
        let node = self.parties[index].honest()?;
        let to = self.random.index(self.parties.len());
        let public = node.streams.get(&PUBLIC_STREAM)?.iter().map(|bytes| bytes.to_vec()).collect();
        (to != index && self.random.chance(20)).then_some((to, Message::Public(public)))
    }
}

/// Everybody is shown everybody's public stream, or only its neighbours'; then others are introduced by KEY.
fn introduce(founded: &mut [Founded], web: &Web, everybody: bool) -> Result<(), Violation> {
    let public: Vec<Vec<Vec<u8>>> = founded.iter().map(|f| f.public.clone()).collect();
    for (index, to) in founded.iter_mut().enumerate() {
        let near = web.neighbours(index);
        for (from, entries) in public.iter().enumerate() {
            if from != index && (everybody || near.contains(&from)) {
                for entry in entries {
                    to.engine.receive_public(entry).map_err(|e| Violation::of("a public entry", &e))?;
                }
            }
        }
    }
    Ok(())
}

fn agree(founded: &mut [Founded], web: &Web, random: &mut Random) -> Result<(), Violation> {
    for edge in &web.edges {
        let limit = |random: &mut Random| random.pick(&[100, 300, 5_000]);
        let (limit_a, limit_b) = (limit(random), limit(random));
        let (a, b) = (&founded[edge.a], &founded[edge.b]);
        let pair = edge.pair(limit_a, limit_b);
        let args = founding::accord((&a.ledger, &a.keys), (&b.ledger, &b.keys), pair);
        for side in [edge.a, edge.b] {
            let mut salt = || random.salt();
            let payees = |_: &ClaimId, _: &weft_protocol::ids::Hash| Payee::Missing;
            let mut cx = weft_protocol::clearing::engine::Cx {
                now_ms: START_MS + 1_500,
                salt: &mut salt,
                payees: &payees,
                held: &|_| None,
            };
            let agreed = founded[side].engine.accord(args.clone(), &mut cx);
            agreed.map_err(|e| Violation::of("an accord", &e))?;
        }
    }
    Ok(())
}
