//! Intent, claim and Decision: what a payment between networks is to be, its identity, and the one word on it
//! (specs/clearing.md §4).

use super::accord::MAX_EXPIRY_MS;
use crate::amount::Amount;
use crate::encoding::{EncodingError, decode_canonical, encode};
use crate::ids::{ClaimId, Hash, LedgerId, SigBytes};
use crate::keys::{self, SecretKey};
use crate::ledger::Rejected;
use crate::ledger::identity::Identity;
use minicbor::{Decode, Encode};

/// Format version of Intents and Decisions.
pub const CLAIM_VERSION: u8 = 1;
/// Cap of an Intent: 6 hops in 8 parts take 3.6 kB with the entry around it.
pub const MAX_INTENT_BYTES: usize = 3_600;
/// Longest route.
pub const MAX_HOPS: usize = 6;
/// Most parts: with six hops each they still fit an entry.
pub const MAX_PARTS: usize = 8;

/// One channel that a claim crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Hop {
    /// Index of the unit pair in the accord.
    #[n(0)]
    pub pair: u8,
    /// What leaves the sender, in its unit.
    #[n(1)]
    pub src: Amount,
    /// What reaches the receiver, in its unit.
    #[n(2)]
    pub dst: Amount,
    /// Version of the accord it was computed with.
    #[n(3)]
    pub accord_version: u32,
}

/// One way from payer to payee.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// The networks, payer's first, payee's last.
    #[n(0)]
    pub route: Vec<LedgerId>,
    /// One hop between each two neighbours.
    #[n(1)]
    pub hops: Vec<Hop>,
}

/// What a payment between networks is to be.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Intent {
    /// [`CLAIM_VERSION`].
    #[n(0)]
    pub v: u8,
    /// The payer's network, which signs.
    #[n(1)]
    pub payer: LedgerId,
    /// Epoch of its log key.
    #[n(2)]
    pub epoch: u32,
    /// The payee's network: the decider.
    #[n(3)]
    pub payee: LedgerId,
    /// Commitment to the payee's name and the memo.
    #[n(4)]
    pub sidecar: Hash,
    /// The ways it takes.
    #[n(5)]
    pub parts: Vec<Part>,
    /// After this the decider does not accept.
    #[n(6)]
    pub expires_ms: u64,
    /// SHA-256(network secret ‖ op_id of the hold): a retry can never pay twice.
    #[n(7)]
    pub nonce: Hash,
}

/// An Intent's exact bytes with the payer network's signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedIntent {
    /// The canonical bytes.
    #[n(0)]
    pub intent: crate::encoding::Blob,
    /// By the payer network's log key.
    #[n(1)]
    pub sig: SigBytes,
}

impl SignedIntent {
    /// Signs an Intent.
    pub fn sign(intent: &Intent, log_key: &SecretKey) -> Self {
        let bytes = encode(intent);
        let sig = log_key.sign(keys::INTENT, &[&bytes]);
        Self { intent: crate::encoding::Blob(bytes), sig }
    }

    /// SHA-256("WEFT-CLAIM/1\n" ‖ Intent).
    pub fn claim(&self) -> ClaimId {
        claim_of(&self.intent.0)
    }

    /// Reads the Intent inside; the signature is checked by [`SignedIntent::verify`].
    ///
    /// # Errors
    /// Names the rule of form that it breaks.
    pub fn parse(&self) -> Result<Intent, Rejected> {
        Intent::parse(&self.intent.0)
    }

    /// Checks the payer network's signature.
    ///
    /// # Errors
    /// An unknown epoch, or a signature that does not verify.
    pub fn verify(&self, payer: &Identity, epoch: u32) -> Result<(), Rejected> {
        payer.verify(epoch, keys::INTENT, &self.intent.0, &self.sig)
    }
}

/// The identity of a payment between networks.
pub fn claim_of(intent: &[u8]) -> ClaimId {
    ClaimId(Hash::of("WEFT-CLAIM/1\n", &[intent]).0)
}

impl Intent {
    /// Reads an Intent and checks its form: one decider at the end of every route, no network twice, hops that
    /// join.
    ///
    /// # Errors
    /// Names the rule broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejected> {
        let intent: Self = decode_canonical(bytes, MAX_INTENT_BYTES).map_err(Rejected::Encoding)?;
        intent.check()?;
        Ok(intent)
    }

    fn check(&self) -> Result<(), Rejected> {
        let bad = |why| Err(Rejected::Intent { why });
        if self.v != CLAIM_VERSION {
            return bad("it is of another format version");
        }
        if self.payer == self.payee {
            return bad("payer and payee are of one network");
        }
        if self.parts.is_empty() || self.parts.len() > MAX_PARTS {
            return bad("it has 1 to 8 parts");
        }
        for part in &self.parts {
            if part.hops.is_empty() || part.hops.len() > MAX_HOPS {
                return bad("a route has 1 to 6 hops");
            }
            if part.route.len() != part.hops.len().saturating_add(1) {
                return bad("a route has one more network than hops");
            }
            if part.route.first() != Some(&self.payer) || part.route.last() != Some(&self.payee) {
                return bad("every route leads from the payer's network to the payee's");
            }
            let mut seen = part.route.clone();
            seen.sort();
            if !seen.is_sorted_by(|a, b| a < b) {
                return bad("a route visits a network twice");
            }
            if part.hops.windows(2).any(|w| w[0].dst != w[1].src) {
                return bad("what reaches a network is not what leaves it");
            }
        }
        Ok(())
    }

    /// Checks that the claim may still be proposed at this time.
    ///
    /// # Errors
    /// When it has expired or expires more than 7 days ahead.
    pub fn check_time(&self, now_ms: u64) -> Result<(), Rejected> {
        if self.expires_ms <= now_ms || self.expires_ms > now_ms.saturating_add(MAX_EXPIRY_MS) {
            return Err(Rejected::Expires { expires_ms: self.expires_ms, now_ms });
        }
        Ok(())
    }

    /// What leaves the payer's account: the first hops of all parts together; `None` above what an amount can be.
    pub fn src(&self) -> Option<Amount> {
        let firsts = self.parts.iter().filter_map(|part| part.hops.first());
        let sum = firsts.into_iter().try_fold(0_i64, |sum, hop| sum.checked_add(hop.src.minor()))?;
        Amount::new(sum).ok()
    }

    /// The network from which a part comes to the payee's.
    pub fn last_middle(&self, part: u8) -> Option<&LedgerId> {
        self.parts.get(usize::from(part))?.route.iter().rev().nth(1)
    }

    /// The place of a network on the route of a part.
    pub fn place(&self, part: u8, ledger: &LedgerId) -> Option<usize> {
        self.parts.get(usize::from(part))?.route.iter().position(|l| l == ledger)
    }
}

/// The decider's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Outcome {
    /// The payee has been credited.
    #[n(1)]
    Accept,
    /// The payment will not happen.
    #[n(2)]
    Reject,
}

/// What a Decision says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct DecisionBody {
    /// [`CLAIM_VERSION`].
    #[n(0)]
    pub v: u8,
    /// The payee's network.
    #[n(1)]
    pub decider: LedgerId,
    /// Epoch of its log key.
    #[n(2)]
    pub epoch: u32,
    /// On which claim.
    #[n(3)]
    pub claim: ClaimId,
    /// Yes or no.
    #[n(4)]
    pub outcome: Outcome,
    /// Why not; 0 for yes.
    #[n(5)]
    pub code: u16,
}

/// A Decision with its signature. Two contradict iff they name one claim and differ in outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Decision {
    /// What it says.
    #[n(0)]
    pub body: DecisionBody,
    /// By the decider's log key.
    #[n(1)]
    pub sig: SigBytes,
}

impl Decision {
    /// Signs a Decision.
    pub fn sign(body: DecisionBody, log_key: &SecretKey) -> Self {
        let sig = log_key.sign(keys::DECISION, &[&encode(&body)]);
        Self { body, sig }
    }

    /// Reads a Decision from a frame.
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn parse(bytes: &[u8]) -> Result<Self, EncodingError> {
        decode_canonical(bytes, MAX_DECISION_BYTES)
    }

    /// The bytes that the signature covers.
    pub fn message(&self) -> Vec<u8> {
        keys::message(keys::DECISION, &[&encode(&self.body)])
    }

    /// SHA-256("WEFT-DECISION/1\n" ‖ body): what a DONE refers to, however the Decision came.
    pub fn id(&self) -> Hash {
        Hash::of("", &[&self.message()])
    }

    /// Checks it against the decider's identity.
    ///
    /// # Errors
    /// Another decider, an unknown epoch, or a signature that does not verify.
    pub fn verify(&self, decider: &Identity) -> Result<(), Rejected> {
        if self.body.decider != decider.ledger {
            return Err(Rejected::LedgerMismatch { expected: decider.ledger, got: self.body.decider });
        }
        decider.verify(self.body.epoch, keys::DECISION, &encode(&self.body), &self.sig)
    }
}

const MAX_DECISION_BYTES: usize = 256;

/// Why a claim was turned down; the numbers stand in REJECT and in Decisions (specs/clearing.md §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectCode {
    /// The payee's network knows nobody of that name.
    UnknownPayee,
    /// The payee's balance may not rise that far.
    OverLimit,
    /// It came, or was still undecided, after its expiry.
    Expired,
    /// The payer's network asked to cancel.
    Cancelled,
    /// The proposal breaks a rule: wrong hop, rate, accord version, signature.
    RuleBroken,
    /// The channel has no room for the amount.
    NoRoom,
    /// The next network on the route cannot be reached by this one.
    NoRoute,
    /// The sealed payee and memo did not come, or do not open.
    Sidecar,
    /// The payer's network has used the nonce before.
    NonceUsed,
    /// The networks further on have turned it down.
    Downstream,
    /// The channel is paused, or its accord has ended.
    Halted,
    /// A code of a later version.
    Other(u16),
}

impl RejectCode {
    const NAMED: [(u16, Self, &'static str); 11] = [
        (1, Self::UnknownPayee, "the other network knows nobody of that name"),
        (2, Self::OverLimit, "the payee may not receive that much more"),
        (3, Self::Expired, "it expired before it was decided"),
        (4, Self::Cancelled, "it was cancelled"),
        (5, Self::RuleBroken, "the proposal breaks a rule"),
        (6, Self::NoRoom, "the limit between the two networks leaves no room for it"),
        (7, Self::NoRoute, "the way onward is closed"),
        (8, Self::Sidecar, "the sealed name and memo are missing or do not open"),
        (9, Self::NonceUsed, "the same payment was proposed before"),
        (10, Self::Downstream, "a network further on turned it down"),
        (11, Self::Halted, "the two networks have paused payments, or their accord has ended"),
    ];

    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Self::Other(code) => code,
            named => Self::NAMED.iter().find(|(_, c, _)| *c == named).map_or(0, |(n, _, _)| *n),
        }
    }

    /// The meaning of a number.
    pub fn from_code(code: u16) -> Self {
        Self::NAMED.iter().find(|(n, _, _)| *n == code).map_or(Self::Other(code), |(_, c, _)| *c)
    }

    /// In words.
    pub fn text(self) -> &'static str {
        Self::NAMED
            .iter()
            .find(|(_, c, _)| *c == self)
            .map_or("refused for a reason of a later version", |n| n.2)
    }
}
