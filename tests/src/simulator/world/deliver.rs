//! What a network does with a message that has come.

use super::{Party, World};
use crate::simulator::Violation;
use crate::simulator::convictions;
use crate::simulator::node::Stored;
use crate::simulator::wire::{Envelope, Message};
use weft_protocol::clearing::convict::Taken;
use weft_protocol::clearing::engine::AskAnswer;
use weft_protocol::clearing::peers::Refusal;
use weft_protocol::evidence::{Evidence, EvidenceType};

impl World {
    pub(super) fn deliver(&mut self, envelope: Envelope) -> Result<(), Violation> {
        let Envelope { from, to, message } = envelope;
        let (now_ms, sender) = (self.now_ms, self.ledgers[from]);
        // What was set back may be refused for a while, whoever it comes from.
        let honest_sender = self.parties[from].honest().is_some() && !self.restores;
        if let Party::Liar(liar) = &mut self.parties[to] {
            if self.liars_silent {
                return Ok(());
            }
            for (next, word) in liar.hear(from, &message, now_ms) {
                self.send(to, next, word);
            }
            return Ok(());
        }
        let liar = self.liar();
        let Some(node) = self.parties[to].up() else { return Ok(()) };
        let mut words = Vec::new();
        match message {
            Message::Push(entries) => {
                for entry in entries {
                    match node.input(now_ms, |engine, cx| engine.receive(&sender, &entry, cx)) {
                        Ok(()) | Err(Refusal::Known { .. }) => {}
                        Err(Refusal::Gap { .. }) => break,
                        Err(refused) if honest_sender => {
                            return Err(Violation::of("an honest network's entry was refused", &refused));
                        }
                        Err(_) => break,
                    }
                }
                let channel = node.links.get(&from).map(|link| link.channel);
                let next = channel.and_then(|id| node.running().peers().stream(&id)).map_or(0, |s| s.next);
                words.push((from, Message::Next(next)));
            }
            Message::Next(next) => {
                if let Some(link) = node.links.get_mut(&from) {
                    let channel = link.channel;
                    let written = node.streams.get(&channel).map_or(0, Vec::len) as u64;
                    link.next = link.next.max(next.min(written));
                    link.sent = link.sent.max(link.next);
                    node.input(now_ms, |engine, _| engine.acked(&channel, next));
                }
            }
            Message::Public(entries) => {
                for entry in entries {
                    let _ = node.input(now_ms, |engine, cx| engine.hear_public(&entry, cx));
                }
            }
            Message::Sidecar(commitment, payee) => {
                node.sidecars.insert(commitment, payee);
                node.input(now_ms, |engine, cx| engine.tick(cx));
            }
            Message::Ask { intent, cancel, identity } => {
                for entry in identity {
                    let _ = node.input(now_ms, |engine, _| engine.receive_public(&entry));
                }
                match node.input(now_ms, |engine, cx| engine.ask(&sender, &intent, cancel, cx)) {
                    AskAnswer::Decided(decision) => words.push((from, Message::Decision(*decision))),
                    AskAnswer::Open => {}
                    AskAnswer::Refused(refused) if honest_sender => {
                        return Err(Violation::of("an honest network's question was refused", &refused));
                    }
                    AskAnswer::Refused(_) => {}
                }
            }
            Message::Note(kind, half) => {
                let seen = node.input(now_ms, |engine, cx| engine.see(kind, sender, &half, cx));
                if let (Err(refused), true) = (&seen, honest_sender) {
                    return Err(Violation::of("an honest network's note was refused", refused));
                }
                if kind == EvidenceType::Notes && seen.is_ok() {
                    node.notes.push(Stored::Cosigned(sender, half.clone()));
                }
                if let Some((subject, word)) = convictions::read(kind, &half).filter(|_| seen.is_ok()) {
                    node.notes_seen.entry(subject).or_default().insert(word);
                }
            }
            Message::Evidence(bytes) => {
                let Ok(evidence) = Evidence::parse(&bytes) else { return Ok(()) };
                let taken = node.input(now_ms, |engine, cx| engine.take_evidence(&evidence, cx));
                if matches!(taken, Taken::AgainstUs) {
                    return Err(Violation("evidence against an honest network was proven".into()));
                }
                node.shown.entry(from).or_default().insert(evidence.id());
                // Who does not know the accused yet is shown it again.
                if taken != Taken::Left {
                    words.push((from, Message::Read(evidence.id())));
                }
            }
            Message::Read(id) => {
                node.shown.entry(from).or_default().insert(id);
            }
            Message::Decision(decision) => {
                // An answer to a question that a crash has made us forget, or of a liar: either way it may be refused.
                let learned = node.input(now_ms, |engine, cx| engine.learn(&decision, cx));
                if learned.is_ok() && Some(decision.body.decider) == liar {
                    node.words_seen.entry(decision.body.claim).or_insert(decision.body.outcome);
                }
            }
            Message::Guard(life, ask) => {
                node.shown.remove(&from);
                words.push((from, node.answer_guard(&sender, life, &ask, now_ms)));
            }
            Message::Fetch(life, ask) => words.push((from, node.answer_fetch(&sender, life, &ask))),
            Message::Guarded(life, ask, answer) => node.hear_guard(&sender, life, &ask, *answer, now_ms),
            Message::Fetched(life, ask, fetched) => node.hear_fetched(&sender, life, &ask, &fetched, now_ms),
        }
        self.commit(to, words).map(|_| ())
    }
}
