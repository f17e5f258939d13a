//! Two sides of a channel held against each other (specs/clearing.md §8).
//!
//! Checked are: what each acknowledges of the other, the hop rule, amounts against the Intent, and that positions
//! are opposite but for what is in flight. It runs in time linear in the claims.

use super::channel::{Closed, Moved, Proposed, Said, Side};
use super::finding::{Class, Finding, Findings};
use crate::clearing::leg::Leg;
use crate::ids::{Hash, LedgerId, UnitId};
use std::collections::BTreeMap;

/// Two sides, whose time it is, and what is known beyond them.
pub(super) struct Cross<'a> {
    /// The audited ledger, whose entries are named by place alone.
    pub(super) audited: LedgerId,
    /// The latest time known.
    pub(super) now_ms: u64,
    /// Whether a side may be older than what the other has seen of it: two audits made at different times.
    pub(super) may_lag: bool,
    pub(super) one: &'a Side,
    pub(super) other: &'a Side,
}

impl Cross<'_> {
    /// Checks both directions.
    pub(super) fn check(&self, findings: &mut Findings) {
        for (us, them) in [(self.one, self.other), (self.other, self.one)] {
            self.check_acks(us, them, findings);
            for (claim, said) in &us.claims {
                let answer = them.claims.get(claim).map(|said| &**said);
                self.check_claim(claim, us, said, them, answer.unwrap_or(&Said::default()), findings);
            }
            for (claim, said) in &them.claims {
                if !us.claims.contains_key(claim) {
                    self.check_claim(claim, us, &Said::default(), them, said, findings);
                }
            }
        }
        super::settlements::check(self, findings);
        super::netted::check(self, findings);
        super::statements::check(self, findings);
        if let (Some(a), Some(b)) = (&self.one.accord, &self.other.accord)
            && a.id() != b.id()
        {
            let what = "the two networks have different versions of the accord in force";
            findings.add(Finding::new(Class::Warning, what));
        }
    }

    /// What `us` acknowledges must be what `them` has written.
    fn check_acks(&self, us: &Side, them: &Side, findings: &mut Findings) {
        for ack in &us.acks {
            let place = usize::try_from(ack.next.saturating_sub(1)).unwrap_or(usize::MAX);
            let at = us.entry(&ack.line, &self.audited);
            let Some((leaf, seq)) = them.lines.get(place) else {
                let class = if self.may_lag { Class::Warning } else { Class::Error };
                let what = format!(
                    "{} has acknowledged {} entries of {} on the channel, {} are here: entries were left out, or these books are older",
                    us.ledger.short(),
                    ack.next,
                    them.ledger.short(),
                    them.len()
                );
                findings.add(Finding::new(class, what).at(at));
                return;
            };
            if *leaf != ack.head && *leaf != Hash::ZERO {
                let line = super::channel::Line { leaf: *leaf, sseq: ack.next.saturating_sub(1), seq: *seq };
                let what = format!(
                    "{} has acknowledged another entry at this place: the history of {} up to it was rewritten after it was sent",
                    us.ledger.short(),
                    them.ledger.short()
                );
                let finding = Finding::new(Class::Equivocation, what).at(them.entry(&line, &self.audited));
                findings.add(finding.at(at));
                return;
            }
        }
    }

    /// The hop of a claim with `us` as the debtor.
    fn check_claim(
        &self,
        claim: &Leg,
        us: &Side,
        said: &Said,
        them: &Side,
        answer: &Said,
        findings: &mut Findings,
    ) {
        let hop = Hop { cross: self, claim, us, said, them, answer };
        if let Some(proposed) = &said.proposed {
            hop.check_proposed(proposed, findings);
        }
        hop.check_answer(findings);
        match (&said.closed, &said.proposed) {
            (Some(closed), Some(_)) if closed.before => {}
            (Some(closed), Some(proposed)) => hop.check_closed(closed, proposed, findings),
            (Some(closed), None) => {
                let what = format!("it closes claim {claim}, which was not proposed");
                findings.add(Finding::new(Class::Orphan, what).at(us.entry(&closed.line, &self.audited)));
            }
            (None, Some(proposed)) => hop.in_flight(proposed, "proposed, not closed", findings),
            (None, None) => {}
        }
        hop.check_booked(findings);
        hop.check_returned(findings);
    }
}

/// One hop of one claim: `us` owes, `them` receives.
struct Hop<'a> {
    cross: &'a Cross<'a>,
    claim: &'a Leg,
    us: &'a Side,
    said: &'a Said,
    them: &'a Side,
    answer: &'a Said,
}

impl Hop<'_> {
    /// Whether the debtor's side may lack what the creditor refers to.
    fn debtor_lags(&self) -> bool {
        self.them.acked_to() > self.us.len()
    }

    fn creditor_lags(&self) -> bool {
        self.us.acked_to() > self.them.len()
    }

    fn in_flight(&self, proposed: &Proposed, how: &str, findings: &mut Findings) {
        let amount = proposed.amounts.map_or(0, |(src, _)| src);
        let (from, to) = (self.us.ledger.short(), self.them.ledger.short());
        let mut what = format!("claim {}: {amount} from {from} to {to}: {how}", self.claim);
        if self.cross.now_ms > proposed.expires_ms {
            what.push_str("; it has expired");
        }
        let finding =
            Finding::new(Class::InFlight, what).at(self.us.entry(&proposed.line, &self.cross.audited));
        findings.add(finding.for_ms(self.cross.now_ms.saturating_sub(proposed.time_ms)));
    }

    fn check_proposed(&self, proposed: &Proposed, findings: &mut Findings) {
        if !proposed.fits {
            let what =
                format!("its proposal is not a hop of claim {} from this network to its peer", self.claim);
            let at = self.us.entry(&proposed.line, &self.cross.audited);
            findings.add(Finding::new(Class::Mismatch, what).at(at));
        }
    }

    fn check_answer(&self, findings: &mut Findings) {
        let Some(answered) = &self.answer.answered else { return };
        let at = self.them.entry(&answered.line, &self.cross.audited);
        let proposal = self.said.proposed.map(|proposed| proposed.line.leaf);
        match (answered.reference, proposal) {
            (Some(answers), Some(proposal)) if answers == proposal => {}
            // The decider may turn down a claim before its proposal has come.
            (None, _) if !answered.accepted => {}
            (_, None) if self.debtor_lags() => {}
            (_, None) => {
                let what = format!(
                    "it answers claim {}, which {} has not proposed",
                    self.claim,
                    self.us.ledger.short()
                );
                findings.add(Finding::new(Class::Orphan, what).at(at));
            }
            (_, Some(_)) => {
                let what = format!("it does not answer the proposal of claim {}", self.claim);
                findings.add(Finding::new(Class::Mismatch, what).at(at));
            }
        }
    }

    fn check_closed(&self, closed: &Closed, proposed: &Proposed, findings: &mut Findings) {
        let at = self.us.entry(&closed.line, &self.cross.audited);
        let mut wrong = |class, what: String| findings.add(Finding::new(class, what).at(at));
        if let Some(outcome) = closed.disputed.filter(|_| !closed.reset) {
            let agreed = self.answer.disputed.map(|(line, said)| (Some(line.leaf), said));
            if agreed != Some((closed.reference, outcome)) && !(agreed.is_none() && self.creditor_lags()) {
                wrong(
                    Class::Mismatch,
                    format!(
                        "it closes claim {} by a dispute that {} has not written",
                        self.claim,
                        self.them.ledger.short()
                    ),
                );
            }
        }
        if closed.binds() {
            if closed.done_by.is_some_and(|decider| decider != proposed.payee) {
                wrong(
                    Class::Mismatch,
                    format!("claim {} is done by the word of another network than the payee's", self.claim),
                );
            }
            if self.us.own {
                match (&self.said.ended, proposed.amounts) {
                    (None, _) => self.in_flight(proposed, "done, not in the payer's books yet", findings),
                    (Some(moved), Some((src, _)))
                        if moved.amount == src && moved.cause == closed.line.leaf => {}
                    (Some(_), _) => wrong(
                        Class::Mismatch,
                        format!("the books on claim {} are not what its Intent says", self.claim),
                    ),
                }
            }
            if self.them.own && self.answer.booked.is_none() {
                self.in_flight(proposed, "done, not in the receiver's books yet", findings);
            }
            return;
        }
        if closed.disputed.is_some() {
            return;
        }
        let reject = self.answer.answered.filter(|a| !a.accepted).map(|a| a.line.leaf);
        let known = self.answer.answered.is_some() || !self.creditor_lags();
        if known && (reject.is_none() || closed.reference != reject) {
            let what =
                format!("it frees claim {} without a REJECT of {}", self.claim, self.them.ledger.short());
            wrong(Class::Mismatch, what);
        }
    }

    /// What the creditor has booked must follow the debtor's DONE.
    fn check_booked(&self, findings: &mut Findings) {
        let Some(booked) = &self.answer.booked else { return };
        let done = self.said.closed.filter(Closed::binds);
        let by_reset = self.them.begun.as_ref().is_some_and(|begun| begun.line.leaf == booked.cause);
        // Of a reset the debtor may have lost the hop, and the document that both have signed binds it all the same.
        if by_reset && done.is_none() {
            return;
        }
        let right = done.is_some_and(|done| done.line.leaf == booked.cause || (done.reset && by_reset))
            && self.said.proposed.and_then(|p| p.amounts).is_some_and(|(_, dst)| dst == booked.amount);
        let may_lack_it = done.is_none() && self.debtor_lags();
        if !right && !may_lack_it {
            let what = format!(
                "{} booked {} for claim {}, which the DONE and the Intent of {} do not say",
                self.them.ledger.short(),
                booked.amount,
                self.claim,
                self.us.ledger.short()
            );
            findings.add(
                Finding::new(Class::Mismatch, what).at(self.them.booked_at(booked, &self.cross.audited)),
            );
        }
    }

    fn check_returned(&self, findings: &mut Findings) {
        let Some(back) = &self.said.got_back else { return };
        let before = self.said.closed.filter(|closed| closed.before).and(self.said.proposed);
        let gave = match self.said.ended {
            Some(ended) => Some(ended.amount),
            // The old channel has it.
            None => before.and_then(|proposed| proposed.amounts).map(|(src, _)| src),
        };
        let right =
            self.answer.returned.is_some_and(|line| line.leaf == back.cause) && gave == Some(back.amount);
        if !right && !self.creditor_lags() {
            let what =
                format!("claim {} came back without a RETURN of {}", self.claim, self.them.ledger.short());
            findings
                .add(Finding::new(Class::Mismatch, what).at(self.us.booked_at(back, &self.cross.audited)));
        }
    }
}

/// By how much the two peer accounts may differ from opposite, by unit pair: what is in flight. Above zero the
/// debtor's books are ahead of the creditor's.
pub(super) fn in_flight(one: &Side, other: &Side) -> BTreeMap<u8, i128> {
    let mut by_pair: BTreeMap<u8, i128> = BTreeMap::new();
    for (us, them) in [(one, other), (other, one)] {
        for (claim, said) in &us.claims {
            let Some(pair) = said.proposed.map(|proposed| proposed.pair) else { continue };
            let answer = them.claims.get(claim);
            let moved = |slot: Option<&Moved>| i128::from(slot.map_or(0, |moved| moved.amount));
            let out = moved(said.ended.as_ref()).saturating_sub(moved(said.got_back.as_ref()));
            let back = moved(answer.and_then(|a| a.gave_back.as_ref()));
            let taken = moved(answer.and_then(|a| a.booked.as_ref())).saturating_sub(back);
            let difference = by_pair.entry(pair).or_default();
            *difference = difference.saturating_add(out).saturating_sub(taken);
        }
    }
    for settlement in one.settlements.values().chain(other.settlements.values()) {
        if let Some(booked) = &settlement.booked {
            let difference = by_pair.entry(booked.pair).or_default();
            *difference = difference.saturating_add(i128::from(booked.delta));
        }
    }
    for (pair, _, delta) in one.written_off.iter().chain(&other.written_off) {
        let difference = by_pair.entry(*pair).or_default();
        *difference = difference.saturating_add(i128::from(*delta));
    }
    for booked in one.cleared.values().chain(other.cleared.values()).filter_map(|one| one.booked.as_ref()) {
        let difference = by_pair.entry(booked.pair).or_default();
        *difference = difference.saturating_add(i128::from(booked.delta));
    }
    by_pair
}

/// What the claims of a side have moved on its peer account, by unit: must be the whole balance.
pub(super) fn booked(side: &Side) -> BTreeMap<UnitId, i128> {
    let mut sums: BTreeMap<UnitId, i128> = BTreeMap::new();
    let mut add = |moved: Option<&Moved>, sign: i128| {
        if let Some(moved) = moved {
            let sum = sums.entry(moved.unit).or_default();
            *sum = sum.saturating_add(i128::from(moved.amount).saturating_mul(sign));
        }
    };
    for said in side.claims.values() {
        add(said.ended.as_ref(), 1);
        add(said.gave_back.as_ref(), 1);
        add(said.booked.as_ref(), -1);
        add(said.got_back.as_ref(), -1);
    }
    for booked in side.settlements.values().filter_map(|settlement| settlement.booked.as_ref()) {
        let sum = sums.entry(booked.unit).or_default();
        *sum = sum.saturating_add(i128::from(booked.delta));
    }
    for (_, unit, delta) in &side.written_off {
        let sum = sums.entry(*unit).or_default();
        *sum = sum.saturating_add(i128::from(*delta));
    }
    for booked in side.cleared.values().filter_map(|cleared| cleared.booked.as_ref()) {
        let sum = sums.entry(booked.unit).or_default();
        *sum = sum.saturating_add(i128::from(booked.delta));
    }
    sums
}
