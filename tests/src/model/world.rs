//! A state of the search, and what comes of a step.

use super::liar::{Liar, Move};
use super::party::{Home, Party, Stored};
use super::scenario::{Scenario, Wish};
use super::shape;
use crate::simulator::founding::{Founded, HOUR, START_MS, accord, one_to_one};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash as StdHash, Hasher};
use std::sync::Arc;
use weft_protocol::amount::Amount;
use weft_protocol::clearing::accord::channel_id;
use weft_protocol::clearing::engine::{AskAnswer, Cx, Path, Payee, Route};
use weft_protocol::clearing::guard::{Fetch, Fetched};
use weft_protocol::clearing::intent::{Decision, SignedIntent};
use weft_protocol::clearing::peers::Refusal;
use weft_protocol::clearing::restart::GuardStep;
use weft_protocol::clearing::weak::{self, Weak};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{AccountId, ClaimId, Hash, LedgerId, OpId, UnitId};
use weft_protocol::ledger::transfer::Hold;
use weft_protocol::ledger::writeoff::LOST_AFTER_MS;

/// What is counted.
pub(super) const UNIT: UnitId = HOUR;
/// When everything happens, until time passes the expiry of all.
const NOW_MS: u64 = START_MS + 10_000;
/// How long a claim may be accepted.
const LIFE_MS: u64 = 20_000;
/// When everything has expired.
pub(super) const LATE_MS: u64 = NOW_MS + LIFE_MS + 5_000;
/// A network that was set back is back after this time: what is proposed then is later than its start.
const RESTART_MS: u64 = 1_000;
/// Longer than a notice runs.
pub(super) const NOTICE_RUNS_MS: u64 = 8 * 86_400_000;
/// The most that each network may owe its neighbour; two of the payments wished for do not fit.
const LIMIT: u64 = 100;
/// A commit has at most this many records.
pub(super) const MAX_RECORDS: u8 = 9;

/// A network of a state.
#[derive(Debug, Clone)]
pub(super) enum Seat {
    Honest(Box<Party>),
    Liar(Liar),
}

impl Seat {
    pub(super) fn honest(&self) -> Option<&Party> {
        match self {
            Self::Honest(party) => Some(party),
            Self::Liar(_) => None,
        }
    }
}

/// A state of the search.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub seats: Vec<Arc<Seat>>,
    /// Whether everything has expired.
    pub late: bool,
    /// When that is.
    pub late_ms: u64,
    /// How often people have waited for a notice to run out since.
    pub waits: u8,
    /// Which payments a client has asked for; bit by bit.
    pub begun: u8,
    /// Decisions on their way outside the streams: to whom, and which. They may come at any time, again, or never.
    pub words: BTreeMap<(usize, Hash), Decision>,
    /// Which deeds of people have been done; bit by bit.
    pub done: u16,
    pub crashes: u8,
    pub set_backs: u8,
    /// How often somebody was set back so far.
    pub restarted: u8,
    pub violation: Option<String>,
    pub shape: u64,
}

impl World {
    pub(super) fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    pub(super) fn honest(&self) -> impl Iterator<Item = (usize, &Party)> {
        self.seats.iter().enumerate().filter_map(|(i, seat)| Some((i, seat.honest()?)))
    }

    pub(super) fn party(&self, index: usize) -> Option<&Party> {
        self.seats.get(index)?.honest()
    }

    fn now_ms(&self) -> u64 {
        let started = u64::from(self.restarted) * RESTART_MS;
        let waited = u64::from(self.waits) * NOTICE_RUNS_MS;
        started + waited + if self.late { self.late_ms } else { NOW_MS }
    }

    fn broken(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// Changes an honest network.
    fn with<R>(&mut self, index: usize, change: impl FnOnce(&mut Party, u64) -> R) -> Option<R> {
        let now_ms = self.now_ms();
        match Arc::make_mut(self.seats.get_mut(index)?) {
            Seat::Honest(party) => Some(change(party, now_ms)),
            Seat::Liar(_) => None,
        }
    }

    /// One input to an honest network, and its commit: whole, or cut short by a crash after so many records. `None`
    /// when the commit has no more records than that.
    pub(super) fn commit<R>(
        &mut self,
        index: usize,
        crash: Option<u8>,
        act: impl FnOnce(&mut Party, u64) -> (R, weft_protocol::clearing::engine::Batch),
    ) -> Option<R> {
        let outcome = self.with(index, |party, now_ms| {
            let (answer, batch) = act(party, now_ms);
            assert!(batch.records.len() <= usize::from(MAX_RECORDS), "a commit of {}", batch.records.len());
            match crash {
                None => {
                    party.keep(batch, usize::MAX);
                    Some(Ok(answer))
                }
                Some(keep) if usize::from(keep) < batch.records.len() => {
                    party.keep(batch, usize::from(keep));
                    Some(party.recover(now_ms).and_then(|()| party.reads_back(now_ms)).map(|()| answer))
                }
                Some(_) => None,
            }
        })??;
        match outcome {
            Ok(answer) => {
                self.crashes -= u8::from(crash.is_some());
                Some(answer)
            }
            Err(what) => {
                self.broken(what);
                None
            }
        }
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape
    }
}

impl StdHash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shape.hash(state);
    }
}

/// Something that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A client asks for a payment; the commit may be cut short.
    Pay { wish: usize, crash: Option<u8> },
    /// The next line of `from` is taken in by `to`.
    Line { from: usize, to: usize, crash: Option<u8> },
    /// `to` tells `from` how much of its stream it has.
    Ack { from: usize, to: usize },
    /// A network asks the decider about a payment, or asks to cancel it.
    Ask { by: usize, wish: usize, cancel: bool, crash: Option<u8> },
    /// A Decision comes past the streams.
    Word { to: usize, number: usize, crash: Option<u8> },
    /// All claims expire.
    Late,
    /// A network looks again at what is open.
    Tick { who: usize },
    /// A network loses the end of its disk, but for so many records.
    SetBack { who: usize, keep: usize },
    /// A network that was set back asks a neighbour, and takes back what it gives.
    Guard { who: usize, from: usize },
    /// Its root set says that the rest is lost.
    Succession { who: usize },
    /// People do what they may do once in this world; the commit may be cut short.
    Deed { number: usize, crash: Option<u8> },
    /// A liar speaks.
    Lie(Move),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The search of one world.
#[derive(Debug)]
pub(super) struct Search {
    pub scenario: Scenario,
    pub wishes: Vec<Wish>,
    pub weak: Option<Weak>,
    pub start: World,
    /// The claim of each wish: nothing in it depends on what happens.
    pub claims: Vec<(ClaimId, SignedIntent)>,
    pub ledgers: Vec<LedgerId>,
}

impl Search {
    /// A world, just founded.
    pub(super) fn new(scenario: Scenario, weak: Option<Weak>) -> Self {
        let wishes = scenario.wishes();
        let mut founded: Vec<Founded> = (0..scenario.networks()).map(|i| Founded::new(0, i)).collect();
        let ledgers: Vec<LedgerId> = founded.iter().map(|f| f.ledger).collect();
        let public: Vec<Vec<Vec<u8>>> = founded.iter().map(|f| f.public.clone()).collect();
        let accounts: Vec<Vec<AccountId>> =
            founded.iter().map(|f| f.members.iter().map(|m| m.account).collect()).collect();
        for (index, to) in founded.iter_mut().enumerate() {
            let near = [index.checked_sub(1), Some(index + 1)].into_iter().flatten();
            for entry in near.filter_map(|i| public.get(i)).flatten() {
                to.engine.receive_public(entry).expect("public entries of founding");
            }
        }
        for left in 0..founded.len() - 1 {
            let (a, b) = (&founded[left], &founded[left + 1]);
            let args = accord((&a.ledger, &a.keys), (&b.ledger, &b.keys), one_to_one(LIMIT, LIMIT));
            for side in [left, left + 1] {
                let mut salt = || weft_protocol::ids::Salt([7; 16]);
                let payees = |_: &ClaimId, _: &Hash| Payee::Missing;
                let (held, now_ms) = (&|_: &_| None, START_MS + 1_500);
                let mut cx = Cx { now_ms, salt: &mut salt, payees: &payees, held };
                founded[side].engine.accord(args.clone(), &mut cx).expect("an accord of founding");
            }
        }
        let payees: BTreeMap<Hash, AccountId> =
            wishes.iter().enumerate().map(|(i, wish)| (commitment(i), accounts[wish.to][1])).collect();
        let seats = founded.into_iter().enumerate().map(|(index, founded)| {
            let neighbours = [index.checked_sub(1), Some(index + 1)];
            let neighbours = neighbours.into_iter().flatten().filter(|n| *n < ledgers.len());
            let neighbours: BTreeMap<usize, LedgerId> = neighbours.map(|n| (n, ledgers[n])).collect();
            let Founded { keys, members: _, ledger, public: own, engine } = founded;
            if scenario.liar() == Some(index) {
                let to = |(n, peer): (&usize, &LedgerId)| (*n, channel_id(&ledgers[index], peer, 0));
                let channels: BTreeMap<_, _> = neighbours.iter().map(to).collect();
                return Seat::Liar(Liar::new(index, keys, engine, &ledgers, own, channels));
            }
            let home = Home {
                ledger,
                keys,
                accounts: accounts[index].clone(),
                neighbours,
                payees: payees.clone(),
                founded: 0,
            };
            Seat::Honest(Box::new(Party::new(home, engine).expect("a network just founded")))
        });
        let mut seats: Vec<Arc<Seat>> = seats.map(Arc::new).collect();
        exchange_accords(&mut seats);
        let start = World {
            seats,
            late: false,
            late_ms: LATE_MS
                + if scenario.writes_off() { LOST_AFTER_MS } else { 0 }
                + if scenario.resets() { NOTICE_RUNS_MS } else { 0 },
            waits: 0,
            begun: 0,
            words: BTreeMap::new(),
            done: 0,
            crashes: scenario.crashes(),
            set_backs: scenario.set_backs(),
            restarted: 0,
            violation: None,
            shape: 0,
        };
        let mut search = Self { scenario, wishes, weak, start, claims: Vec::new(), ledgers };
        search.claims = (0..search.wishes.len()).map(|wish| search.claim_of(wish)).collect();
        search
    }

    /// The claim that a wish becomes: found by asking for it in a world of its own.
    fn claim_of(&self, wish: usize) -> (ClaimId, SignedIntent) {
        let from = self.wishes[wish].from;
        match &*self.start.seats[from] {
            Seat::Honest(party) => {
                let mut party = party.clone();
                let (paid, batch) = self.pay(&mut party, wish, NOW_MS);
                let claim = paid.expect("the first payment fits");
                let proposed = batch.records.iter().find_map(shape::intent_of);
                (claim, proposed.expect("a payment proposes"))
            }
            Seat::Liar(liar) => {
                let signed = liar.intent(self, wish);
                (signed.claim(), signed)
            }
        }
    }

    fn pay(
        &self,
        party: &mut Party,
        wish: usize,
        now_ms: u64,
    ) -> (Result<ClaimId, weft_protocol::ledger::Rejected>, weft_protocol::clearing::engine::Batch) {
        let route = self.route(wish);
        let hold = Hold {
            account: party.home.accounts[1],
            unit: HOUR,
            amount: self.amount(wish),
            payee_network: self.ledgers[self.wishes[wish].to],
            when_day: None,
        };
        let op = Op {
            op_id: OpId([wish as u8 + 1; 16]),
            not_after_ms: LATE_MS + 1_000_000,
            payload: Payload::Hold(hold),
            sidecars: vec![commitment(wish)],
        };
        let desk = &party.home.keys.desk;
        let signed = SignedOp::unsigned(&op).signed(&party.home.ledger, desk, Role::Member, How::Custody);
        let (paid, batch) =
            party.input(now_ms, |engine, _, cx| engine.pay(&signed, &route, self.expires_ms(), cx));
        (paid.map(|(_, claim)| claim), batch)
    }

    pub(super) fn amount(&self, wish: usize) -> Amount {
        Amount::new(self.wishes[wish].amount).expect("amounts are chosen from 1 on")
    }

    pub(super) fn expires_ms(&self) -> u64 {
        NOW_MS + LIFE_MS
    }

    pub(super) fn route(&self, wish: usize) -> Route {
        let way = self.wishes[wish].way();
        let path = Path {
            ledgers: way.iter().map(|i| self.ledgers[*i]).collect(),
            hops: vec![(0, 1); way.len() - 1],
        };
        let Wish { amount, parts, .. } = self.wishes[wish];
        let each = Amount::new(amount / i64::from(parts)).expect("parts are even");
        Route::split((0..parts).map(|_| (path.clone(), each)).collect())
    }

    /// What comes of a step; `None` when it cannot be taken, or changes nothing.
    pub(super) fn after(&self, last: &World, step: Step) -> Option<World> {
        weak::set(self.weak);
        let mut world = last.clone();
        let acted = self.act(&mut world, step);
        weak::set(None);
        acted?;
        world.shape = shape::of(self, &world);
        (world.shape != last.shape || world.violation.is_some()).then_some(world)
    }

    fn act(&self, world: &mut World, step: Step) -> Option<()> {
        match step {
            Step::Pay { wish, crash } => {
                let from = self.wishes[wish].from;
                world.begun |= 1 << wish;
                let paid = world.commit(from, crash, |party, now_ms| self.pay(party, wish, now_ms));
                paid.map(|_| ())
            }
            Step::Line { from, to, crash } => self.take_line(world, from, to, crash),
            Step::Ack { from, to } => {
                let channel = world.party(from)?.channel(to)?;
                let next = world.party(to)?.next_on(&channel);
                world.with(from, |party, _| party.engine.acked(&channel, next))
            }
            Step::Ask { by, wish, cancel, crash } => {
                let (asker, decider) = (self.ledgers[by], self.wishes[wish].to);
                let signed = self.claims[wish].1.clone();
                let payer =
                    world.party(self.wishes[wish].from).map(|_| self.public_of(self.wishes[wish].from));
                let answer = world.commit(decider, crash, |party, now_ms| {
                    party.input(now_ms, |engine, _, cx| {
                        for entry in payer.iter().flatten() {
                            // Known already or not: either way it is asked next.
                            let _ = engine.receive_public(entry);
                        }
                        engine.ask(&asker, &signed, cancel, cx)
                    })
                })?;
                if let (AskAnswer::Decided(decision), None) = (answer, crash) {
                    world.words.insert((by, decision.id()), *decision);
                }
                Some(())
            }
            Step::Word { to, number, crash } => {
                let decision = *world.words.iter().filter(|((who, _), _)| *who == to).nth(number)?.1;
                let learned = world.commit(to, crash, |party, now_ms| {
                    party.input(now_ms, |engine, _, cx| engine.learn(&decision, cx))
                });
                learned.map(|_| ())
            }
            Step::Late => {
                world.late = true;
                Some(())
            }
            Step::Tick { who } => world.commit(who, None, |party, now_ms| {
                party.input(now_ms, |engine, restart, cx| {
                    engine.tick(cx);
                    restart.advance(engine, cx);
                })
            }),
            Step::SetBack { who, keep } => {
                world.set_backs -= 1;
                world.restarted += 1;
                let guarded = self.weak != Some(Weak::NoQuarantine);
                let set_back = world.with(who, |party, now_ms| {
                    party.set_back(keep, guarded, now_ms)?;
                    if guarded { Ok(()) } else { party.recover(now_ms) }
                })?;
                set_back.unwrap_or_else(|what| world.broken(what));
                Some(())
            }
            Step::Guard { who, from } => self.guard(world, who, from),
            Step::Succession { who } => self.succeed(world, who),
            Step::Deed { number, crash } => self.deed(world, number, crash),
            Step::Lie(lie) => {
                let Seat::Liar(liar) = Arc::make_mut(&mut world.seats[lie.liar()]) else { return None };
                let word = liar.say(self, lie)?;
                world.words.extend(word.map(|(to, decision)| ((to, decision.id()), decision)));
                Some(())
            }
        }
    }

    pub(super) fn public_of(&self, index: usize) -> Vec<Vec<u8>> {
        match &*self.start.seats[index] {
            Seat::Honest(party) => {
                let own = party.disk.iter().filter_map(|stored| match &**stored {
                    Stored::Own(entry) => Some(entry),
                    _ => None,
                });
                let public = own
                    .filter(|e| e.body().stream.is_some_and(|h| h.id == weft_protocol::ids::PUBLIC_STREAM));
                public.map(|entry| entry.bytes().to_vec()).collect()
            }
            Seat::Liar(liar) => liar.public().to_vec(),
        }
    }

    fn take_line(&self, world: &mut World, from: usize, to: usize, crash: Option<u8>) -> Option<()> {
        let bytes = line(world, from, to)?;
        let (sender, honest) = (self.ledgers[from], world.party(from).is_some());
        if let Seat::Liar(liar) = Arc::make_mut(&mut world.seats[to]) {
            liar.hear(self, from, &bytes);
            return Some(());
        }
        let taken = world.commit(to, crash, |party, now_ms| {
            party.input(now_ms, |engine, _, cx| engine.receive(&sender, &bytes, cx))
        })?;
        match taken {
            Ok(()) | Err(Refusal::Known { .. }) => Some(()),
            Err(refused) if honest && world.restarted == 0 => {
                world.broken(format!("a line of an honest network was refused: {refused}"));
                Some(())
            }
            Err(_) => None,
        }
    }

    /// One neighbour answers a network that was set back, and gives back what it holds of it.
    fn guard(&self, world: &mut World, who: usize, from: usize) -> Option<()> {
        let (us, them) = (self.ledgers[who], self.ledgers[from]);
        loop {
            let party = world.party(who)?;
            let step = party.restart.next(&party.engine, &them).ok()?;
            match step {
                GuardStep::Ask(ask) => {
                    let answer = world.with(from, |party, now_ms| {
                        let ((answer, fence), batch) =
                            party.input(now_ms, |engine, _, _| engine.guard(&us, &ask));
                        party.disk.push(Arc::new(Stored::Fence(fence)));
                        party.keep(batch, usize::MAX);
                        answer
                    })?;
                    let heard = world.commit(who, None, |party, now_ms| {
                        party.input(now_ms, |engine, restart, cx| {
                            restart.heard(engine, &them, &ask, answer, cx)
                        })
                    })?;
                    if let Some(Err(refused)) = heard.lifted {
                        world.broken(format!("the quarantine ends with an error: {refused}"));
                    }
                }
                GuardStep::Fetch(ask) => {
                    let entries = world.party(from)?.received_from(&us, &ask.stream, ask.from);
                    let fetched = Fetched { message: 4, entries: entries.into_iter().map(Blob).collect() };
                    if self.fetched(world, who, &them, &ask, &fetched)?.is_err() {
                        return None;
                    }
                }
                GuardStep::Done | GuardStep::Wait => return Some(()),
            }
        }
    }

    fn fetched(
        &self,
        world: &mut World,
        who: usize,
        them: &LedgerId,
        ask: &Fetch,
        fetched: &Fetched,
    ) -> Option<Result<(), String>> {
        let advance = world.commit(who, None, |party, now_ms| {
            party.input(now_ms, |engine, restart, cx| restart.fetched(engine, them, ask, fetched, cx))
        })?;
        Some(advance.map(|_| ()))
    }

    fn succeed(&self, world: &mut World, who: usize) -> Option<()> {
        let party = world.party(who)?;
        let terms = party.restart.report(&party.engine)?.succession?;
        let op_id = OpId(Hash::of("", &[b"succession", &party.engine.boot().to_be_bytes()]).prefix());
        let op = Op {
            op_id,
            not_after_ms: world.now_ms().max(LATE_MS) + 1_000_000,
            payload: Payload::Succession(terms),
            sidecars: Vec::new(),
        };
        let signed = party.home.keys.by_roots(&party.home.ledger, &op);
        let written = world.commit(who, None, |party, now_ms| {
            party.input(now_ms, |engine, restart, cx| {
                engine.submit(&signed, cx)?;
                restart.succeeded(engine, cx);
                Ok::<_, weft_protocol::ledger::Rejected>(())
            })
        })?;
        if let Err(refused) = written {
            world.broken(format!("a succession is refused: {refused}"));
        }
        Some(())
    }
}

/// The accords' lines are taken in before the search begins: nothing can go wrong before there is something to lose.
fn exchange_accords(seats: &mut [Arc<Seat>]) {
    for (from, to) in neighbours(seats.len()) {
        let lines: Vec<Arc<[u8]>> = lines_of(&seats[from], to);
        let ledger = match &*seats[from] {
            Seat::Honest(party) => party.home.ledger,
            Seat::Liar(liar) => liar.ledger(),
        };
        match Arc::get_mut(&mut seats[to]).expect("seats are not shared yet") {
            Seat::Honest(party) => {
                for line in &lines {
                    let (taken, batch) =
                        party.input(START_MS + 2_000, |engine, _, cx| engine.receive(&ledger, line, cx));
                    taken.expect("an accord of founding");
                    party.keep(batch, usize::MAX);
                }
                let channel = party.channel(from).expect("an accord of founding");
                party.engine.acked(&channel, 1);
                Arc::get_mut(&mut party.home).expect("a home is not shared yet").founded = party.disk.len();
            }
            Seat::Liar(liar) => lines.iter().for_each(|line| liar.skip(from, line)),
        }
    }
}

/// Every pair of neighbours in the line, both ways round.
pub(super) fn neighbours(count: usize) -> Vec<(usize, usize)> {
    (1..count).flat_map(|right| [(right - 1, right), (right, right - 1)]).collect()
}

fn lines_of(seat: &Seat, to: usize) -> Vec<Arc<[u8]>> {
    match seat {
        Seat::Honest(party) => {
            let channel = party.channel(to);
            channel.and_then(|id| party.streams.get(&id)).cloned().unwrap_or_default()
        }
        Seat::Liar(liar) => liar.lines(to).to_vec(),
    }
}

/// The next line of `from` that `to` has not taken in.
pub(super) fn line(world: &World, from: usize, to: usize) -> Option<Arc<[u8]>> {
    match (&*world.seats[from], &*world.seats[to]) {
        (Seat::Honest(sender), Seat::Honest(taker)) => {
            let channels = taker.hears_on(from).into_iter();
            let mut lines =
                channels.filter_map(|id| sender.streams.get(&id)?.get(taker.next_on(&id) as usize).cloned());
            lines.next()
        }
        (Seat::Honest(sender), Seat::Liar(taker)) => {
            let channel = sender.channel(to)?;
            sender.streams.get(&channel)?.get(taker.next_of(from) as usize).cloned()
        }
        (Seat::Liar(sender), Seat::Honest(taker)) => {
            let channel = taker.channel(from)?;
            sender.lines(to).get(taker.next_on(&channel) as usize).cloned()
        }
        (Seat::Liar(_), Seat::Liar(_)) => None,
    }
}

/// The commitment of a wish's sealed payee.
pub(super) fn commitment(wish: usize) -> Hash {
    Hash::of("", &[b"sealed payee", &[wish as u8]])
}
