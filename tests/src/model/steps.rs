//! What may happen in a state, and what must hold in each.

use super::check;
use super::scenario::Wish;
use super::shape;
use super::world::{MAX_RECORDS, Search, Seat, Step, World, line, neighbours};
use stateright::{Model, Property};
use std::collections::BTreeSet;
use weft_protocol::clearing::restart::{GuardStep, is_guarded};
use weft_protocol::ids::LedgerId;

impl Model for Search {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut start = self.start.clone();
        start.shape = shape::of(self, &start);
        vec![start]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.violation.is_some() {
            return;
        }
        for (wish, Wish { from, .. }) in self.wishes.iter().enumerate() {
            if world.begun & (1 << wish) == 0 && !world.late && world.party(*from).is_some() {
                steps.extend(self.crashes(world).map(|crash| Step::Pay { wish, crash }));
            }
        }
        for (from, to) in neighbours(world.seats.len()) {
            if line(world, from, to).is_some() {
                steps.extend(self.crashes(world).map(|crash| Step::Line { from, to, crash }));
            }
        }
        self.acks(steps);
        self.questions(world, steps);
        let known: BTreeSet<usize> = world.words.keys().map(|(to, _)| *to).collect();
        for to in known {
            for number in 0..world.words.keys().filter(|(who, _)| *who == to).count() {
                steps.extend(self.crashes(world).map(|crash| Step::Word { to, number, crash }));
            }
        }
        let waiting = world.honest().filter(|(_, party)| world.late || is_guarded(&party.engine));
        steps.extend(waiting.map(|(who, _)| Step::Tick { who }));
        if !world.late && world.begun != 0 {
            steps.push(Step::Late);
        }
        for number in 0..self.scenario.deeds().len() {
            let quiet = world.party(self.scenario.deeds()[number].at()).is_none_or(|p| is_guarded(&p.engine));
            if world.done & (1 << number) == 0 && !quiet {
                steps.extend(self.crashes(world).map(|crash| Step::Deed { number, crash }));
            }
        }
        self.restarts(world, steps);
        for seat in &world.seats {
            if let Seat::Liar(liar) = &**seat {
                steps.extend(liar.moves(self).into_iter().map(Step::Lie));
            }
        }
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        self.after(last, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing wrong was seen", |_, world: &World| world.violation.is_none()),
            Property::always("safety", |search: &Self, world: &World| check::safe(search, world).is_ok()),
            Property::always(
                "once all lines have arrived, everything ends",
                |search: &Self, world: &World| check::ends(search, world).is_ok(),
            ),
        ]
    }
}

impl Search {
    /// With and without a crash at each record.
    fn crashes(&self, world: &World) -> impl Iterator<Item = Option<u8>> + use<> {
        let most = if world.crashes > 0 { MAX_RECORDS } else { 0 };
        std::iter::once(None).chain((0..most).map(Some))
    }

    /// What may happen of itself: lines, and a look at what is open. What is left out is chance.
    pub(super) fn flows(&self, world: &World, steps: &mut Vec<Step>) {
        for (from, to) in neighbours(world.seats.len()) {
            if line(world, from, to).is_some() {
                steps.push(Step::Line { from, to, crash: None });
            }
        }
    }

    /// Which of the networks has this id.
    pub(super) fn index_of(&self, ledger: &LedgerId) -> Option<usize> {
        self.ledgers.iter().position(|l| l == ledger)
    }

    /// Why a state is wrong.
    pub(super) fn why(&self, world: &World) -> String {
        let violated = world.violation().map_or(Ok(()), |what| Err(what.to_owned()));
        let why = violated.and_then(|()| check::safe(self, world)).and_then(|()| check::ends(self, world));
        why.err().unwrap_or_default()
    }

    /// What is done when nothing goes wrong any more: lines, acknowledgements, questions, guards, a look at what is open.
    pub(super) fn healing(&self, world: &World, steps: &mut Vec<Step>) {
        for (from, to) in neighbours(world.seats.len()) {
            steps.push(Step::Line { from, to, crash: None });
        }
        self.acks(steps);
        for (who, party) in world.honest() {
            if is_guarded(&party.engine) {
                steps.extend(party.home.neighbours.keys().map(|from| Step::Guard { who, from: *from }));
                steps.push(Step::Succession { who });
            }
            steps.push(Step::Tick { who });
        }
        self.questions(world, steps);
        steps.retain(|step| !matches!(step, Step::Ask { crash: Some(_), .. }));
        for (to, _) in world.words.keys() {
            steps.push(Step::Word { to: *to, number: 0, crash: None });
        }
    }

    /// What the last hop has of its decider's stream is all that an acknowledgement is asked for.
    fn acks(&self, steps: &mut Vec<Step>) {
        for wish in &self.wishes {
            let last_hop = wish.way().into_iter().rev().nth(1);
            steps.extend(last_hop.map(|to| Step::Ack { from: wish.to, to }));
        }
    }

    fn questions(&self, world: &World, steps: &mut Vec<Step>) {
        for (wish, ask) in self.wishes.iter().enumerate() {
            if world.party(ask.to).is_none_or(|decider| is_guarded(&decider.engine)) {
                continue;
            }
            for by in ask.way() {
                let open = world.party(by).filter(|_| by != ask.to).is_some_and(|party| {
                    let rows = &party.engine.state().claims;
                    let (from, to) = ((self.claims[wish].0, 0), (self.claims[wish].0, ask.parts));
                    !is_guarded(&party.engine) && rows.range(from..to).any(|(_, row)| !row.is_closed())
                });
                if open {
                    let may_cancel = by == ask.from || world.late;
                    steps.extend(self.crashes(world).map(|crash| Step::Ask {
                        by,
                        wish,
                        cancel: may_cancel,
                        crash,
                    }));
                    if may_cancel {
                        steps.push(Step::Ask { by, wish, cancel: false, crash: None });
                    }
                }
            }
        }
    }

    fn restarts(&self, world: &World, steps: &mut Vec<Step>) {
        for (who, party) in world.honest() {
            if is_guarded(&party.engine) {
                steps.extend(party.home.neighbours.keys().map(|from| Step::Guard { who, from: *from }));
                let asked = party.home.neighbours.keys().all(|from| {
                    let step = party.restart.next(&party.engine, &self.ledgers[*from]);
                    matches!(step, Ok(GuardStep::Done | GuardStep::Wait))
                });
                if asked {
                    steps.push(Step::Succession { who });
                }
            }
            if world.set_backs > 0 && !party.engine.is_quarantined() {
                steps.extend((party.home.founded..party.disk.len()).map(|keep| Step::SetBack { who, keep }));
            }
        }
    }
}
