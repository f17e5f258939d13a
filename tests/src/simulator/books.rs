//! What an auditor makes of a network's own entries: its state by replay, and what became of each payment.
//!
//! Fed with every durable entry in order. After each of them balances sum to zero and nothing has happened twice.

use super::Violation;
use std::collections::{BTreeMap, BTreeSet};
use weft_protocol::amount::Amount;
use weft_protocol::clearing::intent::SignedIntent;
use weft_protocol::clearing::step::StepArgs;
use weft_protocol::entry::{Entry, Payload};
use weft_protocol::ids::{AccountId, ClaimId, Hash, OpId, StreamId};
use weft_protocol::ledger::{self, State, own_accounts};

/// A hold, as written.
#[derive(Debug, Clone, Copy)]
pub struct HoldFact {
    /// Its leaf hash.
    pub leaf: Hash,
    /// Who pays.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
}

/// The books of a network, by replay.
#[derive(Debug, Default)]
pub struct Books {
    /// The state after all durable entries.
    pub state: State,
    /// Holds by the operation that made them.
    pub holds: BTreeMap<OpId, HoldFact>,
    /// The claim that a hold became.
    pub claims: BTreeMap<Hash, ClaimId>,
    /// What we proposed, on any hop.
    pub proposals: BTreeMap<ClaimId, SignedIntent>,
    /// Holds given back that never became a claim.
    pub released: BTreeSet<Hash>,
    /// Parts of claims whose hold went to the peer.
    pub paid: BTreeSet<(ClaimId, u8)>,
    /// Parts of claims whose hold went back to the payer.
    pub freed: BTreeSet<(ClaimId, u8)>,
    /// Parts of claims that came back after they were paid.
    pub returned: BTreeSet<(ClaimId, u8)>,
    /// Payees credited, by claim.
    pub credited: BTreeMap<ClaimId, (AccountId, i64)>,
    /// RETURN steps written.
    pub returns: u64,
    /// Parts of claims accepted back upstream, with the channel.
    pub accepted: BTreeSet<(StreamId, ClaimId, u8)>,
}

impl Books {
    /// The next durable entry.
    ///
    /// # Errors
    /// When it breaks a rule, or the books after it do not sum to zero.
    pub fn own(&mut self, entry: &Entry) -> Result<(), Violation> {
        let transition = ledger::apply(&self.state, entry).map_err(|e| Violation::of("replay", &e))?;
        self.state.commit(&transition);
        if let Some((unit, sum)) = self.state.sums().into_iter().find(|(_, sum)| *sum != 0) {
            return Err(Violation(format!("unit {unit} sums to {sum} after entry {}", entry.body().seq)));
        }
        self.note(entry)
    }

    fn note(&mut self, entry: &Entry) -> Result<(), Violation> {
        let twice = |what: &str, claim: &ClaimId| Err(Violation(format!("{what} twice: claim {claim}")));
        match &entry.op().payload {
            Payload::Hold(hold) => {
                let fact = HoldFact { leaf: entry.leaf(), account: hold.account, amount: hold.amount };
                if self.holds.insert(entry.op().op_id, fact).is_some() {
                    return Err(Violation(format!("operation {} held value twice", entry.op().op_id)));
                }
            }
            Payload::Release(release) => drop(self.released.insert(release.hold)),
            Payload::End(end) => {
                let back = end
                    .postings
                    .iter()
                    .any(|p| p.account == own_accounts::hold() || p.account == own_accounts::transit())
                    && end.postings.iter().all(|p| !self.is_peer(&p.account));
                let set = if back { &mut self.freed } else { &mut self.paid };
                if !set.insert((end.claim, end.part)) {
                    return twice("ended", &end.claim);
                }
            }
            Payload::Credit(credit) => {
                let amount =
                    credit.postings.iter().find(|p| p.account == credit.account).map_or(0, |p| p.delta);
                if self.credited.insert(credit.claim, (credit.account, amount)).is_some() {
                    return twice("credited", &credit.claim);
                }
            }
            Payload::Returned(back)
                if back.postings.iter().any(|p| self.is_holder(&p.account))
                    && !self.returned.insert((back.claim, back.part)) =>
            {
                return twice("returned", &back.claim);
            }
            Payload::Step(step) => match (&step.args, step.claim) {
                (StepArgs::Propose(args), Some(claim)) => {
                    self.proposals.insert(claim, args.intent.clone());
                    self.claims.extend(step.reference.filter(|_| args.hop == 0).map(|hold| (hold, claim)));
                }
                (StepArgs::Accept(_), Some(claim)) => {
                    self.accepted.insert((step.channel, claim, step.part));
                }
                (StepArgs::Return, _) => self.returns += 1,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn is_peer(&self, account: &AccountId) -> bool {
        self.state.channels.values().any(|row| row.account == *account)
    }

    fn is_holder(&self, account: &AccountId) -> bool {
        self.state.holder(account).is_ok()
    }
}
