//! Disputes: both root sets close one hop of a claim that no rule closes any more (specs/clearing.md §15).
//!
//! What must hold: the creditor says it first, and its ledger lets it free a hop only where nothing of the claim is bound
//! further on; the debtor's step names the creditor's and is the hop's closing step, as a DONE or a FREE would be.

use super::engine::{Cx, Engine};
use super::leg::Leg;
use super::peers::Peers;
use super::step::{RootSig, Step, StepArgs};
use crate::amount::Amount;
use crate::encoding::{Blob, EncodingError, decode_canonical, encode};
use crate::entry::Entry;
use crate::ids::{ClaimId, Hash, LedgerId, StreamId};
use crate::keys;
use crate::ledger::Rejected;
use crate::ledger::clearing::root_signatures_of;
use crate::ledger::identity::{Identity, RootSet};
use crate::ledger::state::State;
use minicbor::{Decode, Encode};

/// Format version of a dispute.
pub const DISPUTE_VERSION: u8 = 1;
/// Cap of a dispute's bytes: nine fields, three of them ids.
pub const MAX_DISPUTE_BYTES: usize = 256;

/// What becomes of the hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum DisputeOutcome {
    /// The debtor owes it, as after a DONE.
    #[n(1)]
    Bound,
    /// Nothing is owed, as after a FREE.
    #[n(2)]
    Free,
}

/// What two root sets have agreed about one hop.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Dispute {
    /// [`DISPUTE_VERSION`].
    #[n(0)]
    pub v: u8,
    /// On which channel.
    #[n(1)]
    pub channel: StreamId,
    /// Which claim.
    #[n(2)]
    pub claim: ClaimId,
    /// Which part of it.
    #[n(3)]
    pub part: u8,
    /// Who has proposed the hop and would owe it.
    #[n(4)]
    pub debtor: LedgerId,
    /// Who would be owed it.
    #[n(5)]
    pub creditor: LedgerId,
    /// In which unit pair of the accord.
    #[n(6)]
    pub pair: u8,
    /// How much, in the position unit.
    #[n(7)]
    pub amount: Amount,
    /// What becomes of it.
    #[n(8)]
    pub outcome: DisputeOutcome,
}

/// Arguments of DISPUTE.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DisputeArgs {
    /// The dispute's exact bytes.
    #[n(0)]
    pub dispute: Blob,
    /// Signatures of the debtor's root set.
    #[n(1)]
    pub sigs_debtor: Vec<RootSig>,
    /// Signatures of the creditor's root set.
    #[n(2)]
    pub sigs_creditor: Vec<RootSig>,
}

/// A creditor's DISPUTE, as the debtor has received it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Disputed {
    /// Leaf hash of the step.
    #[n(0)]
    pub leaf: Hash,
    /// What it says.
    #[n(1)]
    pub args: DisputeArgs,
}

/// Why bytes are no dispute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisputeError {
    /// Its bytes.
    #[error("it cannot be read: {0}")]
    Encoding(#[from] EncodingError),
    /// Another version.
    #[error("it has version {got}; this program knows version {DISPUTE_VERSION}")]
    Version {
        /// The version.
        got: u8,
    },
    /// One network is both ends.
    #[error("debtor and creditor are the same network")]
    OneNetwork,
}

impl Dispute {
    /// Reads a dispute.
    ///
    /// # Errors
    /// Names what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, DisputeError> {
        let dispute: Self = decode_canonical(bytes, MAX_DISPUTE_BYTES)?;
        if dispute.v != DISPUTE_VERSION {
            return Err(DisputeError::Version { got: dispute.v });
        }
        if dispute.debtor == dispute.creditor {
            return Err(DisputeError::OneNetwork);
        }
        Ok(dispute)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whether it is about the hop that a step of `writer` to `peer` is about.
    pub fn is_about(&self, step: &Step, writer: &LedgerId, peer: &LedgerId) -> bool {
        let ends = (&self.debtor, &self.creditor);
        (self.channel, Some(self.claim), self.part) == (step.channel, step.claim, step.part)
            && (ends == (writer, peer) || ends == (peer, writer))
    }

    /// The exact bytes that a root key of either network signs.
    pub fn message(bytes: &[u8]) -> Vec<u8> {
        keys::message(keys::DISPUTE, &[bytes])
    }
}

impl DisputeArgs {
    /// The signatures of one of both ends.
    pub fn sigs_of(&self, dispute: &Dispute, end: &LedgerId) -> &[RootSig] {
        if *end == dispute.debtor { &self.sigs_debtor } else { &self.sigs_creditor }
    }

    /// Whether a quorum of a root set has signed it for one of both ends.
    fn is_signed(&self, dispute: &Dispute, end: &LedgerId, root: &RootSet) -> bool {
        let sigs = self.sigs_of(dispute, end);
        root_signatures_of(keys::DISPUTE, root, &self.dispute.0, sigs)
            .is_ok_and(|checks| checks.iter().all(|check| check.verify().is_ok()))
    }
}

/// What the step of a debtor does to its hop; `None` for a creditor's, which closes nothing.
pub(super) fn closes(step: &Step) -> Option<DisputeOutcome> {
    let StepArgs::Dispute(args) = &step.args else { return None };
    step.reference?;
    Some(Dispute::parse(&args.dispute.0).ok()?.outcome)
}

impl Peers {
    /// A peer's DISPUTE: what it says when it is signed by both root sets and about a hop between us.
    pub(super) fn read_dispute(
        &self,
        state: &State,
        entry: &Entry,
        step: &Step,
        args: &DisputeArgs,
    ) -> Result<Dispute, &'static str> {
        let us = state.ledger().map_err(|_| "DISPUTE before the genesis")?;
        let peer = entry.body().ledger;
        let dispute = Dispute::parse(&args.dispute.0).map_err(|_| "a malformed DISPUTE")?;
        if !dispute.is_about(step, &peer, &us) {
            return Err("DISPUTE of another hop than it names");
        }
        let identity = self.identity(&peer).ok_or("DISPUTE of a network we do not know")?;
        if !args.is_signed(&dispute, &peer, identity.root_at(entry.body().seq)) {
            return Err("DISPUTE without a quorum of its writer's root set");
        }
        Ok(dispute)
    }
}

/// Whether our own root set has signed a dispute: the one in force, or one before it.
pub(super) fn is_ours(state: &State, args: &DisputeArgs, dispute: &Dispute) -> bool {
    let Ok(identity) = state.identity() else { return false };
    let former = identity.former.iter().map(|former| &former.set);
    former.chain([&identity.root]).any(|root| args.is_signed(dispute, &identity.ledger, root))
}

fn not_signed(identity: &Identity, args: &DisputeArgs, dispute: &Dispute) -> Result<(), Rejected> {
    let sigs = args.sigs_of(dispute, &identity.ledger);
    let checks = root_signatures_of(keys::DISPUTE, &identity.root, &args.dispute.0, sigs)?;
    checks.iter().try_for_each(|check| check.verify().map_err(Rejected::Signature))
}

impl Engine {
    /// What a dispute about a hop would say, for both root sets to sign.
    ///
    /// # Errors
    /// When there is no open hop of this part of the claim between us and a peer.
    pub fn dispute_of(
        &self,
        claim: ClaimId,
        part: u8,
        peer: &LedgerId,
        outcome: DisputeOutcome,
    ) -> Result<Dispute, Rejected> {
        let us = self.state.ledger()?;
        let (channel, row) = self.state.channel_with(peer).ok_or(Rejected::NoAccord { peer: *peer })?;
        let unknown = Rejected::UnknownClaim { claim };
        let v = DISPUTE_VERSION;
        let out = self.state.leg(&claim, part).and_then(|row| row.outgoing.as_ref());
        if let Some(out) = out.filter(|out| out.channel == channel) {
            let (debtor, creditor, amount) = (us, *peer, out.value().position());
            return Ok(Dispute {
                v,
                channel,
                claim,
                part,
                debtor,
                creditor,
                pair: out.pair,
                amount,
                outcome,
            });
        }
        let said = self.peers.leg(&channel, &claim, part).and_then(|said| said.proposal.as_ref());
        let said = said.ok_or(unknown.clone())?;
        let intent = said.signed.parse()?;
        let hop = intent.parts.get(usize::from(part)).and_then(|way| way.hops.get(usize::from(said.hop)));
        let hop = hop.ok_or(unknown.clone())?;
        let terms = row.accord.pairs.get(usize::from(hop.pair)).ok_or(unknown)?;
        let amount = terms.position_of(hop, !row.we_are_a);
        let (debtor, creditor) = (*peer, us);
        Ok(Dispute { v, channel, claim, part, debtor, creditor, pair: hop.pair, amount, outcome })
    }

    /// Writes down as the creditor what both root sets have signed; the debtor's node follows by itself.
    ///
    /// # Errors
    /// The rule it breaks; nothing changed. Asked again it changes nothing.
    pub fn dispute(&mut self, args: DisputeArgs, cx: &mut Cx<'_>) -> Result<(), Rejected> {
        let wrong = |why| Rejected::DisputeMismatch { why };
        let dispute = Dispute::parse(&args.dispute.0).map_err(|_| wrong("it cannot be read"))?;
        let us = self.state.ledger()?;
        if dispute.creditor != us {
            return Err(wrong("it is handed in at the creditor's node; the debtor's follows by itself"));
        }
        let said = self.peers.leg(&dispute.channel, &dispute.claim, dispute.part);
        let open = said.is_some_and(|said| said.proposal.is_some() && said.closing.is_none());
        let leg = Leg { claim: dispute.claim, part: dispute.part };
        let ours = self.state.leg(&leg.claim, leg.part).and_then(|row| row.incoming.get(&dispute.channel));
        match ours.and_then(|hop| hop.disputed) {
            Some(known) if known.outcome == dispute.outcome => return Ok(()),
            Some(_) => return Err(Rejected::HopState),
            None => {}
        }
        if !open {
            return Err(Rejected::HopState);
        }
        let expected = self.dispute_of(leg.claim, leg.part, &dispute.debtor, dispute.outcome)?;
        if expected != dispute {
            return Err(wrong("it names another hop, or another amount"));
        }
        not_signed(self.state.identity()?, &args, &dispute)?;
        let debtor = self.peers.identity(&dispute.debtor);
        let debtor = debtor.ok_or(Rejected::NotIntroduced { ledger: dispute.debtor })?;
        not_signed(debtor, &args, &dispute)?;
        self.step_of(dispute.channel, leg, None, StepArgs::Dispute(Box::new(args)), cx)?;
        self.react(&leg.claim, cx);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispute() -> Dispute {
        Dispute {
            v: 1,
            channel: StreamId([1; 16]),
            claim: ClaimId([2; 32]),
            part: 3,
            debtor: LedgerId([4; 32]),
            creditor: LedgerId([5; 32]),
            pair: 0,
            amount: Amount::new(60).unwrap(),
            outcome: DisputeOutcome::Free,
        }
    }

    use crate::ids::AccountId;
    use crate::ledger::own_accounts;
    use crate::testing::TestNetwork;

    /// What both root sets of tests sign.
    fn signed(bytes: &Dispute, debtor: &TestNetwork, creditor: &TestNetwork) -> DisputeArgs {
        let dispute = bytes.to_bytes();
        let sign = |network: &TestNetwork| {
            let key = network.root();
            vec![RootSig { signer: key.public().signer(), sig: key.sign(keys::DISPUTE, &[&dispute]) }]
        };
        let (sigs_debtor, sigs_creditor) = (sign(debtor), sign(creditor));
        DisputeArgs { dispute: Blob(dispute), sigs_debtor, sigs_creditor }
    }

    /// hull pays bob 60; lansing has said yes, and hull has not heard of it.
    fn decided() -> (TestNetwork, TestNetwork, AccountId, AccountId, ClaimId) {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 1_000);
        let claim = hull.pay(ada, bob, &mut lansing, 60).unwrap();
        hull.deliver(&mut lansing, usize::MAX);
        (hull, lansing, ada, bob, claim)
    }

    #[test]
    fn what_a_payee_has_and_its_network_gives_up_stands_on_disputed() {
        let (mut hull, mut lansing, ada, bob, claim) = decided();
        let dispute = lansing.engine.dispute_of(claim, 0, &hull.ledger(), DisputeOutcome::Free).unwrap();
        assert_eq!(
            hull.engine.dispute_of(claim, 0, &lansing.ledger(), DisputeOutcome::Free),
            Ok(dispute.clone())
        );
        let args = signed(&dispute, &hull, &lansing);
        // hull signs nothing towards lansing for a while, so the yes and the dispute reach it together.
        hull.engine.hushed.insert(dispute.channel);
        let unsigned = DisputeArgs { sigs_debtor: Vec::new(), ..args.clone() };
        assert!(matches!(lansing.dispute(unsigned), Err(Rejected::RootQuorum { need: 1, have: 0 })));
        assert!(matches!(hull.dispute(args.clone()), Err(Rejected::DisputeMismatch { .. })));
        lansing.dispute(args.clone()).unwrap();
        assert_eq!(lansing.dispute(args), Ok(()));
        lansing.deliver(&mut hull, usize::MAX);
        hull.engine.hushed.clear();
        hull.later(1);
        assert_eq!(hull.balance(&ada), 0);
        hull.settle(&mut lansing);
        assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 60));
        let own = |id: AccountId| lansing.balance(&id);
        assert_eq!((own(own_accounts::incoming()), own(own_accounts::disputed())), (0, -60));
        assert!(hull.state().is_closed(&claim) && lansing.state().is_closed(&claim));
        assert!(hull.engine.peers().findings().is_empty() && lansing.engine.peers().findings().is_empty());
        let disputed = |entry: &Entry| entry.kind() == crate::entry::Kind::DisputeClosed;
        assert_eq!(lansing.own().iter().filter(|entry| disputed(entry)).count(), 1);
    }

    #[test]
    fn a_done_that_crosses_a_dispute_stands() {
        let (mut hull, mut lansing, ada, bob, claim) = decided();
        let dispute = lansing.engine.dispute_of(claim, 0, &hull.ledger(), DisputeOutcome::Free).unwrap();
        let args = signed(&dispute, &hull, &lansing);
        lansing.dispute(args).unwrap();
        hull.settle(&mut lansing);
        assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (-60, 60));
        assert_eq!(lansing.balance(&own_accounts::disputed()), 0);
        assert!(hull.engine.peers().findings().is_empty() && lansing.engine.peers().findings().is_empty());
    }

    #[test]
    fn what_comes_back_at_once_is_not_bound_and_nothing_is_disputed_twice() {
        let (mut hull, mut lansing) = (TestNetwork::new(1), TestNetwork::new(2));
        let (ada, bob) = (hull.member(), lansing.member());
        hull.accord(&mut lansing, 1_000);
        let claim = hull.pay(ada, bob, &mut lansing, 60).unwrap();
        // lansing has the proposal and has not decided.
        let channel = lansing.state().channel_with(&hull.ledger()).unwrap().0;
        lansing.engine.hushed.insert(channel);
        hull.deliver(&mut lansing, usize::MAX);
        lansing.engine.hushed.clear();
        let of = |outcome| lansing.engine.dispute_of(claim, 0, &hull.ledger(), outcome).unwrap();
        let (bound, free) = (of(DisputeOutcome::Bound), of(DisputeOutcome::Free));
        assert_eq!(lansing.dispute(signed(&bound, &hull, &lansing)), Err(Rejected::HopState));
        let other = Dispute { amount: Amount::new(61).unwrap(), ..free.clone() };
        let refused = lansing.dispute(signed(&other, &hull, &lansing));
        assert!(matches!(refused, Err(Rejected::DisputeMismatch { .. })));
        lansing.dispute(signed(&free, &hull, &lansing)).unwrap();
        assert_eq!(lansing.dispute(signed(&bound, &hull, &lansing)), Err(Rejected::HopState));
        hull.settle(&mut lansing);
        assert_eq!((hull.balance(&ada), lansing.balance(&bob)), (0, 0));
        assert!(hull.state().is_closed(&claim) && lansing.state().is_closed(&claim));
        assert_eq!(lansing.dispute(signed(&free, &hull, &lansing)), Ok(()));
    }

    #[test]
    fn a_dispute_reads_back_and_others_are_named() {
        let bytes = dispute().to_bytes();
        assert_eq!(Dispute::parse(&bytes), Ok(dispute()));
        assert!(bytes.len() <= MAX_DISPUTE_BYTES);
        let later = Dispute { v: 2, ..dispute() };
        assert_eq!(Dispute::parse(&later.to_bytes()), Err(DisputeError::Version { got: 2 }));
        let alone = Dispute { creditor: LedgerId([4; 32]), ..dispute() };
        assert_eq!(Dispute::parse(&alone.to_bytes()), Err(DisputeError::OneNetwork));
        assert!(matches!(Dispute::parse(&bytes[1..]), Err(DisputeError::Encoding(_))));
    }

    #[test]
    fn it_is_about_the_hop_between_its_two_ends_and_no_other() {
        use crate::clearing::step::Ack;
        let (one, of) = (dispute().debtor, dispute().creditor);
        let args = DisputeArgs {
            dispute: Blob(dispute().to_bytes()),
            sigs_debtor: Vec::new(),
            sigs_creditor: Vec::new(),
        };
        let step = Step {
            channel: dispute().channel,
            ack: Ack { next: 0, head: Hash::ZERO },
            claim: Some(dispute().claim),
            reference: None,
            args: StepArgs::Dispute(Box::new(args)),
            part: 3,
        };
        assert!(dispute().is_about(&step, &one, &of) && dispute().is_about(&step, &of, &one));
        assert!(!dispute().is_about(&step, &one, &LedgerId([6; 32])));
        assert!(!dispute().is_about(&Step { part: 0, ..step.clone() }, &one, &of));
        assert_eq!(closes(&step), None);
        let closing = Step { reference: Some(Hash([7; 32])), ..step };
        assert_eq!(closes(&closing), Some(DisputeOutcome::Free));
    }
}
