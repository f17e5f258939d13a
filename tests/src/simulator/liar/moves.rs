//! What a liar says: sometimes what it should, sometimes something else. Which, the seed decides.

use super::{Liar, Message, Twice};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::engine::Payee;
use weft_protocol::clearing::intent::{
    CLAIM_VERSION, Decision, DecisionBody, Hop, Intent, Outcome, Part, SignedIntent,
};
use weft_protocol::clearing::step::{AcceptArgs, DoneArgs, ProposeArgs, RejectArgs, Step, StepArgs};
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Entry;
use weft_protocol::evidence::EvidenceType;
use weft_protocol::ids::{ClaimId, Hash, LedgerId};

/// A proposal that a liar has heard.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    from: usize,
    leaf: Hash,
    signed: SignedIntent,
    intent: Intent,
    hop: u8,
}

impl Liar {
    /// A line of a peer has come.
    pub(super) fn act(&mut self, from: usize, entry: &Entry, step: &Step) {
        let Some(claim) = step.claim else { return };
        self.part = step.part;
        match &step.args {
            StepArgs::Propose(args) => {
                let Ok(intent) = args.intent.parse() else { return };
                let heard =
                    Heard { from, leaf: entry.leaf(), signed: args.intent.clone(), intent, hop: args.hop };
                self.heard.insert((claim, step.part), heard.clone());
                if heard.intent.payee == self.us() {
                    self.decide(claim, &heard);
                } else {
                    self.relay(claim, &heard);
                }
            }
            StepArgs::Accept(args) => {
                self.decisions.insert(claim, args.decision);
                self.accepted(from, claim, args.decision);
            }
            StepArgs::Reject(_) => self.rejected(from, claim, entry.leaf()),
            StepArgs::Done(_) => {
                if self.choice(4, 0) == 1 {
                    self.write(from, Some(claim), Some(entry.leaf()), StepArgs::Return);
                }
            }
            StepArgs::Accord(_)
            | StepArgs::Key(_)
            | StepArgs::Free
            | StepArgs::Return
            | StepArgs::Stmt(_)
            | StepArgs::StmtAck(_)
            | StepArgs::Settle(_)
            | StepArgs::SettleAck(_)
            | StepArgs::Reset(_)
            | StepArgs::ResetRefuse(_)
            | StepArgs::Dispute(_)
            | StepArgs::Offer(_)
            | StepArgs::DropHold(_)
            | StepArgs::Apply(_)
            | StepArgs::Pause(_)
            | StepArgs::End => {}
        }
    }

    /// A move, or the right one.
    fn choice(&mut self, moves: u64, right: u64) -> u64 {
        if self.random.chance(self.honesty) { right } else { self.random.below(moves) }
    }

    fn us(&self) -> LedgerId {
        self.map.ledgers[self.map.us]
    }

    fn word(&self, claim: ClaimId, outcome: Outcome) -> Decision {
        let code = if outcome == Outcome::Accept { 0 } else { 1 };
        let body = DecisionBody { v: CLAIM_VERSION, decider: self.us(), epoch: 0, claim, outcome, code };
        Decision::sign(body, &self.keys.log())
    }

    fn accept(
        &mut self,
        to: usize,
        claim: ClaimId,
        leaf: Hash,
        decision: Decision,
        intent: Option<&SignedIntent>,
    ) {
        let intent = intent.map(|signed| Blob(signed.intent.0.clone()));
        self.write(to, Some(claim), Some(leaf), StepArgs::Accept(AcceptArgs { decision, intent }));
    }

    fn reject(&mut self, to: usize, claim: ClaimId, leaf: Hash, decision: Option<Decision>) {
        self.write(to, Some(claim), Some(leaf), StepArgs::Reject(RejectArgs { code: 1, decision }));
    }

    fn done(&mut self, to: usize, claim: ClaimId, decision: Decision) {
        self.write(to, Some(claim), Some(Hash::ZERO), StepArgs::Done(DoneArgs { decision }));
    }

    fn free(&mut self, to: usize, claim: ClaimId, reference: Hash) {
        self.write(to, Some(claim), Some(reference), StepArgs::Free);
    }

    fn propose(&mut self, to: usize, claim: ClaimId, leaf: Hash, signed: &SignedIntent, hop: u8) {
        let args = ProposeArgs { intent: signed.clone(), hop };
        self.write(to, Some(claim), Some(leaf), StepArgs::Propose(args));
    }

    /// Tells a Decision to every network on the route, past the streams.
    fn whisper(&mut self, intent: &Intent, decision: Decision) {
        for ledger in intent.parts.iter().flat_map(|part| &part.route) {
            let to = self.map.ledgers.iter().position(|l| l == ledger);
            if let Some(to) = to.filter(|to| *to != self.map.us) {
                self.out.push((to, Message::Decision(decision)));
            }
        }
    }

    /// As the decider.
    fn decide(&mut self, claim: ClaimId, heard: &Heard) {
        let (yes, no) = (self.word(claim, Outcome::Accept), self.word(claim, Outcome::Reject));
        let (to, leaf, intent) = (heard.from, heard.leaf, heard.intent.clone());
        let signed = Some(&heard.signed);
        let contradicts = self.twice == Twice::Only(EvidenceType::Decisions) && self.random.chance(300);
        let choice = if contradicts { self.random.between(3, 4) } else { self.choice(10, 0) };
        match choice {
            0 | 1 => self.accept(to, claim, leaf, yes, signed),
            2 => self.reject(to, claim, leaf, Some(no)),
            3 => {
                self.accept(to, claim, leaf, yes, signed);
                self.whisper(&intent, no);
            }
            4 => {
                self.reject(to, claim, leaf, Some(no));
                self.whisper(&intent, yes);
            }
            5 => {
                self.reject(to, claim, leaf, None);
                self.whisper(&intent, yes);
            }
            6 => {
                self.whisper(&intent, no);
                self.whisper(&intent, yes);
                self.accept(to, claim, leaf, yes, signed);
                self.reject(to, claim, leaf, Some(no));
            }
            7 => self.accept(to, claim, leaf, no, signed),
            _ => {}
        }
    }

    /// Somebody asks about a claim.
    pub(super) fn asked(&mut self, from: usize, signed: &SignedIntent) {
        // An answer at random would be the second word on a claim: another lie than the one it is here for.
        if matches!(self.twice, Twice::Only(_)) {
            return;
        }
        let outcome = match self.random.below(4) {
            0 => Outcome::Accept,
            1 => Outcome::Reject,
            _ => return,
        };
        let word = self.word(signed.claim(), outcome);
        self.out.push((from, Message::Decision(word)));
    }

    /// As a middle.
    fn relay(&mut self, claim: ClaimId, heard: &Heard) {
        let Some(next) = self.next_on(&heard.intent) else { return };
        let hop = heard.hop + 1;
        let payer = heard.intent.payer;
        self.introduce(next, &payer);
        match self.choice(12, 11) {
            0 => {
                let (smaller, forged) = self.smaller(heard);
                self.propose(next, claim, heard.leaf, &smaller, 0);
                if forged {
                    self.own.push(claim);
                }
            }
            1 => {
                let mut changed = heard.intent.clone();
                for hop in changed.parts.iter_mut().flat_map(|part| &mut part.hops) {
                    hop.src = one();
                    hop.dst = one();
                }
                let bytes = weft_protocol::encoding::encode(&changed);
                let forged = SignedIntent { intent: Blob(bytes), sig: heard.signed.sig };
                self.propose(next, forged.claim(), heard.leaf, &forged, hop);
            }
            2 => self.reject(heard.from, claim, heard.leaf, None),
            3 => {
                self.propose(next, claim, heard.leaf, &heard.signed, hop);
                self.reject(heard.from, claim, heard.leaf, None);
            }
            4 => self.propose(next, claim, heard.leaf, &heard.signed, heard.hop),
            5 => self.propose(heard.from, claim, heard.leaf, &heard.signed, hop),
            6 => {
                let word = self.word(claim, Outcome::Accept);
                self.accept(heard.from, claim, heard.leaf, word, None);
            }
            7 => {}
            _ => self.propose(next, claim, heard.leaf, &heard.signed, hop),
        }
    }

    fn next_on(&self, intent: &Intent) -> Option<usize> {
        let place = intent.place(self.part, &self.us())?;
        let next = intent.parts.get(usize::from(self.part))?.route.get(place + 1)?;
        self.map.ledgers.iter().position(|l| l == next).filter(|next| self.lines.contains_key(next))
    }

    /// An Intent of our own for one minute to the same payee, to stand under the other's name.
    fn smaller(&mut self, heard: &Heard) -> (SignedIntent, bool) {
        let us = self.us();
        let part = heard.intent.parts.get(usize::from(self.part)).unwrap_or(&heard.intent.parts[0]);
        let place = part.route.iter().position(|l| *l == us).unwrap_or(0);
        let hops = part.hops[place..].iter().map(|hop| Hop { src: one(), dst: one(), ..*hop }).collect();
        let own = Intent {
            payer: us,
            parts: vec![Part { route: part.route[place..].to_vec(), hops }],
            nonce: Hash(self.random.bytes()),
            ..heard.intent.clone()
        };
        (SignedIntent::sign(&own, &self.keys.log()), true)
    }

    /// The network further on has said yes.
    fn accepted(&mut self, from: usize, claim: ClaimId, decision: Decision) {
        let upstream = self.heard.get(&(claim, self.part)).cloned().filter(|heard| heard.from != from);
        if let Some(up) = &upstream {
            let decider = up.intent.payee;
            self.introduce(up.from, &decider);
        }
        let choice = self.choice(8, 0);
        match choice {
            0..=2 | 4 => self.done(from, claim, decision),
            5 => self.free(from, claim, Hash::ZERO),
            6 => {
                self.done(from, claim, decision);
                self.free(from, claim, Hash::ZERO);
            }
            _ => {}
        }
        let Some(up) = upstream else { return };
        match choice {
            0..=3 | 5 | 6 => self.accept(up.from, claim, up.leaf, decision, None),
            4 => self.reject(up.from, claim, up.leaf, None),
            _ => {}
        }
    }

    /// The network further on has said no.
    fn rejected(&mut self, from: usize, claim: ClaimId, leaf: Hash) {
        let choice = self.choice(8, 0);
        match choice {
            0..=3 => self.free(from, claim, leaf),
            4 => self.free(from, claim, Hash::ZERO),
            5 => {
                let forged = self.word(claim, Outcome::Accept);
                self.done(from, claim, forged);
            }
            _ => {}
        }
        let upstream = self.heard.get(&(claim, self.part)).cloned().filter(|heard| heard.from != from);
        if let Some(up) = upstream.filter(|_| choice != 3) {
            self.reject(up.from, claim, up.leaf, None);
        }
    }

    /// The way to a network of a line; in a web, one of the neighbours.
    fn way_to(&mut self, payee: usize) -> (usize, Vec<usize>) {
        let us = self.map.us;
        if self.map.is_line {
            let way = if us < payee { (us..=payee).collect() } else { (payee..=us).rev().collect() };
            return (payee, way);
        }
        let near: Vec<usize> = self.lines.keys().copied().collect();
        let payee = self.random.pick(&near);
        (payee, vec![us, payee])
    }

    /// As a payer: proposes something of its own, right or wrong.
    pub(super) fn scheme(&mut self) {
        if !self.random.chance(30 + (1_000 - self.honesty) / 5) {
            return;
        }
        let (us, count) = (self.map.us, self.map.ledgers.len());
        let payee = (us + 1 + self.random.index(count - 1)) % count;
        self.part = 0;
        let (payee, way) = self.way_to(payee);
        let amount = Amount::new(self.random.between(1, 200) as i64).expect("from 1 on");
        let account = self.random.pick(&self.map.accounts[payee]);
        let hop = Hop { pair: 0, src: amount, dst: amount, accord_version: 1 };
        let mut intent = Intent {
            v: CLAIM_VERSION,
            payer: self.us(),
            epoch: 0,
            payee: self.map.ledgers[payee],
            sidecar: Hash(self.random.bytes()),
            parts: vec![Part {
                route: way.iter().map(|i| self.map.ledgers[*i]).collect(),
                hops: vec![hop; way.len() - 1],
            }],
            expires_ms: self.time_ms + self.random.between(1_000, 60_000),
            nonce: Hash(self.random.bytes()),
        };
        let trick = self.random.below(14);
        let last = intent.parts[0].hops.len() - 1;
        match trick {
            0 => intent.parts[0].hops[last].accord_version = 2,
            1 => intent.parts[0].hops[0].pair = 3,
            2 => intent.parts[0].hops[last].dst = Amount::new(amount.minor() + 1).expect("larger"),
            3 => intent.expires_ms = self.time_ms.saturating_sub(1),
            4 => intent.expires_ms = self.time_ms + 400 * 86_400_000,
            5 => intent.epoch = 7,
            _ => {}
        }
        let mut signed = SignedIntent::sign(&intent, &self.keys.log());
        if trick == 6 {
            signed.sig.0[5] ^= 1;
        }
        let claim = signed.claim();
        self.out.push((payee, Message::Sidecar(intent.sidecar, Payee::Account(account))));
        let first = way[1];
        self.propose(first, claim, Hash::ZERO, &signed, u8::from(trick == 7));
        match trick {
            8 => self.propose(first, claim, Hash::ZERO, &signed, 0),
            9 => {
                // The same nonce once more: it may be paid once.
                intent.expires_ms += 1;
                let again = SignedIntent::sign(&intent, &self.keys.log());
                self.propose(first, again.claim(), Hash::ZERO, &again, 0);
            }
            10 => self.out.push((payee, Message::Ask { intent: signed, cancel: true, identity: Vec::new() })),
            11 => self.free(first, claim, Hash::ZERO),
            _ => {}
        }
        self.own.push(claim);
    }
}

fn one() -> Amount {
    Amount::new(1).expect("one is an amount")
}
