//! The payers' side: clients that pay, ask again and lose patience, and their networks that ask deciders.

use super::{Event, World};
use crate::simulator::Violation;
use crate::simulator::node::Node;
use crate::simulator::payments::{Payment, Told, may_refuse};
use crate::simulator::wire::Message;
use weft_protocol::ids::ClaimId;
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::state::Closing;

impl World {
    pub(super) fn client(&mut self, place: usize) -> Result<(), Violation> {
        let (now_ms, ledgers) = (self.now_ms, self.ledgers.clone());
        let payment = &self.payments[place];
        let index = payment.payer();
        let retry = now_ms + self.random.between(100, 3_000);
        let Some(node) = self.parties[index].up() else {
            self.at(retry, Event::Client(place));
            return Ok(());
        };
        let signed = payment.operation(node, &ledgers);
        let route = payment.route(&ledgers);
        let outcome = node.input(now_ms, |engine, cx| engine.pay(&signed, &route, payment.expires_ms, cx));
        if !self.commit(index, Vec::new())? {
            self.at(retry, Event::Client(place));
            return Ok(());
        }
        let held = self.parties[index]
            .honest()
            .is_some_and(|n| n.books.holds.contains_key(&self.payments[place].op_id));
        let payment = &mut self.payments[place];
        match outcome {
            Ok(_) if payment.told == Told::Acknowledged && !self.restores => {
                return Err(Violation("paid twice for one operation".into()));
            }
            Ok(_) | Err(Rejected::OpDone { .. }) if held => {
                payment.told = Told::Acknowledged;
                if payment.again > 0 {
                    payment.again -= 1;
                    self.tally.retried += 1;
                    self.at(retry, Event::Client(place));
                }
            }
            Err(Rejected::NoAccord { .. } | Rejected::Halted { .. }) if now_ms < payment.expires_ms => {
                self.at(retry, Event::Client(place))
            }
            Err(refused) if may_refuse(&refused) && !held => {
                payment.told = Told::Refused;
                self.tally.refused += 1;
            }
            Err(_) if self.restores => payment.told = Told::Refused,
            Err(refused) => {
                return Err(Violation::of(&format!("a client was told (held: {held})"), &refused));
            }
            Ok(_) => return Err(Violation("acknowledged, and no hold is durable".into())),
        }
        Ok(())
    }

    pub(super) fn cancel(&mut self, place: usize) {
        let payment = &self.payments[place];
        let (payer, payee) = (payment.payer(), payment.payee());
        let Some(node) = self.parties[payer].honest().filter(|node| node.engine.is_some()) else { return };
        let Some(word) = is_open(node, payment).and_then(|claim| question(node, &claim, true)) else {
            return;
        };
        self.tally.cancels += 1;
        self.send(payer, payee, word);
    }

    /// What a node asks of its own accord: about claims it has open, to cancel those that have expired.
    pub(super) fn questions(&mut self, index: usize) -> Vec<(usize, Message)> {
        let Some(node) = self.parties[index].honest() else { return Vec::new() };
        let mut words = Vec::new();
        for ((claim, _), row) in &node.books.state.claims {
            let Some(out) = row.outgoing.as_ref().filter(|out| out.closing == Closing::Open) else {
                continue;
            };
            let broken = || node.running().broken_claims().contains(claim);
            let expired = row.expires_ms < self.now_ms + node.skew_ms || broken();
            if !self.random.chance(if expired { 600 } else { 100 }) {
                continue;
            }
            let decider = self.ledgers.iter().position(|l| *l == out.decider);
            words.extend(decider.and_then(|to| Some((to, question(node, claim, expired)?))));
        }
        words
    }

    pub(super) fn hand_over_sidecars(&mut self, index: usize) {
        let Some(node) = self.parties[index].honest() else { return };
        let mut words = Vec::new();
        for payment in self.payments.iter().filter(|p| p.payer() == index) {
            let due = payment.sidecar_ms.is_some_and(|at| at <= self.now_ms);
            if due && payment.told == Told::Acknowledged && is_open(node, payment).is_some() {
                words.push((payment.payee(), Message::Sidecar(payment.commitment, payment.sidecar)));
            }
        }
        for (to, word) in words {
            self.send(index, to, word);
        }
    }
}

/// The claim of a payment, while the payer's network has it open.
fn is_open(node: &Node, payment: &Payment) -> Option<ClaimId> {
    let hold = node.books.holds.get(&payment.op_id)?;
    let claim = *node.books.claims.get(&hold.leaf)?;
    node.books.state.legs(&claim).any(|(_, row)| row.is_open()).then_some(claim)
}

fn question(node: &Node, claim: &ClaimId, cancel: bool) -> Option<Message> {
    let intent = node.books.proposals.get(claim)?.clone();
    let payer = intent.parse().ok()?.payer;
    let identity = if payer == node.ledger {
        vec![node.genesis.clone()]
    } else {
        node.engine.as_ref()?.peers().identity_entries(&payer).to_vec()
    };
    Some(Message::Ask { intent, cancel, identity })
}
