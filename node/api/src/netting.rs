//! Netting rounds: what takes part, what results say, and what people want.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Rounds that this node knows, the newest first: `GET /api/v1/netting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingRounds {
    /// Name of this schema: `weft.netting-rounds/1`.
    pub schema: String,
    /// What is done in every round, unless something else is wanted in one.
    pub rule: NettingRule,
    /// The rounds.
    pub rounds: Vec<NettingRound>,
}

/// What is done in every round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NettingRule {
    /// Our debts take part.
    pub joins: bool,
    /// A result that verifies is accepted.
    pub accepts: bool,
}

/// A debt in a round, or one that could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingDebt {
    /// The other network, by its ledger.
    pub ledger: String,
    /// What we call it.
    pub alias: String,
    /// Whether we owe it.
    pub we_owe: bool,
    /// Decimal: how much takes part.
    pub before: String,
    /// Decimal: what is left of that.
    pub after: String,
}

/// A result of a round: what is cleared among some networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingResult {
    /// Its id.
    pub id: String,
    /// Which attempt, from 1.
    pub attempt: u8,
    /// Networks that it touches, by their ledgers.
    pub networks: Vec<String>,
    /// Decimal: what they owe each other in it.
    pub owed: String,
    /// Decimal: how much of that it clears.
    pub cleared: String,
    /// The rule that it breaks, where it is wrong.
    pub wrong: Option<String>,
    /// `open`, `committed` or `aborted`.
    pub outcome: String,
    /// Networks whose word is missing.
    pub waits_for: Vec<String>,
    /// Networks that have refused it, each with why.
    pub refused_by: Vec<String>,
    /// Our word: `accepted`, `refused`, or nothing yet.
    pub our_word: Option<String>,
    /// What it does to our debts.
    pub ours: Vec<NettingDebt>,
    /// How many of them are not booked yet, where all have accepted it.
    pub to_book: usize,
}

/// A round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingRound {
    /// Its id.
    pub id: String,
    /// Who announced it and computes it.
    pub by: String,
    /// Code of its unit.
    pub unit: String,
    /// `offers`, `lists`, `results` or `over`.
    pub phase: String,
    /// Debts are offered until then, in milliseconds since 1970.
    pub offers_until_ms: u64,
    /// Lists are published until then.
    pub lists_until_ms: u64,
    /// Results are accepted until then.
    pub votes_until_ms: u64,
    /// How many networks have listed debts.
    pub lists: usize,
    /// Whether we take part, as things stand.
    pub joins: bool,
    /// What we hold for it.
    pub held: Vec<NettingDebt>,
    /// Results, in order.
    pub results: Vec<NettingResult>,
    /// Whether something of it is left to do here.
    pub unfinished: bool,
    /// What came of it; absent until its time is over and nothing of it is left to do here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<NettingReport>,
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingReport {
    /// How many networks it has cleared something for.
    pub networks: usize,
    /// Decimal: what all that took part owed each other, as both ends had listed it.
    pub owed: String,
    /// Decimal: how much of that was cleared.
    pub cleared: String,
    /// Decimal: by so much we owe less, and by as much we are owed less.
    pub our_cleared: String,
}

/// What could be cleared now: `GET /api/v1/netting/preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingPreview {
    /// Name of this schema: `weft.netting-preview/1`.
    pub schema: String,
    /// Code of the unit.
    pub unit: String,
    /// Our debts that could take part. Without a list of others nothing is known of what is left of them.
    pub debts: Vec<NettingDebt>,
    /// Decimal: what we owe of it.
    pub owing: String,
    /// Decimal: what we are owed.
    pub owed: String,
    /// Decimal: more than this of our debts cannot be cleared, whatever others owe each other.
    pub at_most: String,
    /// What the lists of the newest open round would clear, as far as they are here; those that touch us come first.
    pub known: Vec<NettingResult>,
}

/// A round that is wanted: `POST /api/v1/netting/rounds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRound {
    /// Code of the unit; needed where there are several.
    pub unit: Option<String>,
    /// For how long debts are offered, in seconds.
    pub offers_s: u64,
    /// For how long after that lists are published, in seconds.
    pub lists_s: u64,
    /// For how long after that results are accepted, in seconds.
    pub votes_s: u64,
}

/// What is wanted in one round: `POST /api/v1/netting/rounds/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoundWish {
    /// `join`, `leave`, `accept`, `refuse` or `drop`.
    pub action: String,
}

/// How far accounts may move in a unit: `GET /api/v1/netting/accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingAccounts {
    /// Name of this schema: `weft.netting-accounts/1`.
    pub schema: String,
    /// Code of the unit.
    pub unit: String,
    /// Decimals of the unit.
    pub scale: u8,
    /// Open accounts of members, organisations and commons.
    pub accounts: Vec<NettingAccount>,
}

/// How far an account may move with nobody being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingAccount {
    /// Which.
    pub account: String,
    /// Decimal: how much it may go down, to the first limit that stops it.
    pub may_give: String,
    /// Decimal: how much it may go up.
    pub may_take: String,
}

/// Invoices that are to be proposed: `POST /api/v1/netting/proposals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProposal {
    /// Code of the unit; needed where there are several.
    pub unit: Option<String>,
    /// For how long members are asked, in seconds.
    pub for_s: u64,
    /// What members owe each other.
    pub invoices: Vec<NewInvoice>,
}

/// An invoice between two members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvoice {
    /// The account of who owes.
    pub debtor: String,
    /// The account of who is owed.
    pub creditor: String,
    /// Decimal: how much.
    pub amount: String,
}

/// Proposals about invoices, the latest first: `GET /api/v1/netting/proposals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingProposals {
    /// Name of this schema: `weft.netting-proposals/1`.
    pub schema: String,
    /// The proposals.
    pub proposals: Vec<ProposalRow>,
}

/// A proposal in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalRow {
    /// Its id.
    pub id: String,
    /// Code of the unit.
    pub unit: String,
    /// Until when members are asked, in milliseconds since 1970.
    pub until_ms: u64,
    /// `asking`, `agreed` (its payments may be made), `booked` (all are made), `nothing` or `withdrawn`.
    pub stage: String,
    /// Decimal: all invoices together.
    pub owed: String,
    /// Decimal: how much of them is paid, as it stands.
    pub paid: String,
    /// How many members have not said anything yet.
    pub waits_for: usize,
}

/// A proposal about invoices: `GET /api/v1/netting/proposals/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NettingProposal {
    /// Name of this schema: `weft.netting-proposal/1`.
    pub schema: String,
    /// Its id.
    pub id: String,
    /// Code of the unit.
    pub unit: String,
    /// Until when members are asked, in milliseconds since 1970.
    pub until_ms: u64,
    /// `asking`, `agreed` (its payments may be made), `booked` (all are made), `nothing` or `withdrawn`.
    pub stage: String,
    /// Decimal: all invoices together.
    pub owed: String,
    /// Decimal: how much of them is paid, as it stands.
    pub paid: String,
    /// All whom invoices name.
    pub members: Vec<ProposalMember>,
    /// Payments that move accounts as agreed; none before all have agreed.
    pub payments: Vec<ProposalPayment>,
}

/// A member in a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalMember {
    /// The account.
    pub account: String,
    /// What they are called.
    pub name: Option<String>,
    /// Whether they sign for themselves.
    pub own_keys: bool,
    /// Decimal: what they owe on invoices.
    pub owes: String,
    /// Decimal: how much of that is paid.
    pub pays: String,
    /// Decimal: what they are owed.
    pub is_owed: String,
    /// Decimal: how much of that is paid.
    pub is_paid: String,
    /// Decimal: how their account moves.
    pub moves: String,
    /// `asked`, `not-asked` (nothing of theirs is paid), `agreed`, `refused` or `silent`.
    pub word: String,
}

/// A payment that moves accounts as agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalPayment {
    /// The account that pays.
    pub from: String,
    /// Whose it is.
    pub from_name: Option<String>,
    /// The account that is paid.
    pub to: String,
    /// Whose it is.
    pub to_name: Option<String>,
    /// Decimal: how much.
    pub amount: String,
    /// The id that its operation has, so that it is made once.
    pub op_id: String,
    /// Whether who pays signs it with a key of their own.
    pub own_key: bool,
    /// Whether it is made.
    pub made: bool,
}

/// What one member sees of a proposal: `GET /api/v1/netting/proposals/{id}/part`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalPart {
    /// Name of this schema: `weft.netting-part/1`.
    pub schema: String,
    /// Id of the proposal.
    pub id: String,
    /// The account.
    pub account: String,
    /// What they are called.
    pub name: Option<String>,
    /// Code of the unit.
    pub unit: String,
    /// Until when they are asked, in milliseconds since 1970.
    pub until_ms: u64,
    /// How the proposal stands: `asking`, `agreed`, `booked`, `nothing` or `withdrawn`.
    pub stage: String,
    /// Names exactly this part: a word is about it.
    pub part: String,
    /// `asked`, `not-asked` (nothing of theirs is paid), `agreed`, `refused` or `silent`.
    pub word: String,
    /// Their invoices.
    pub lines: Vec<ProposalLine>,
    /// Decimal: how their account moves.
    pub moves: String,
    /// Decimal: the balance of the account now.
    pub balance: String,
    /// Decimal: what it would be then.
    pub balance_after: String,
}

/// What is proposed of the invoices between a member and another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProposalLine {
    /// The other's account.
    pub with: String,
    /// What they are called.
    pub name: Option<String>,
    /// Whether the member owes it; else they are owed it.
    pub owes: bool,
    /// Decimal: how much.
    pub amount: String,
    /// Decimal: how much of it is paid.
    pub paid: String,
    /// Decimal: what is left.
    pub left: String,
}

/// What a member says to their part: `POST /api/v1/netting/proposals/{id}/words`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposalWord {
    /// Their account.
    pub account: String,
    /// Yes or no.
    pub agrees: bool,
    /// The part that they have seen.
    pub part: String,
    /// The key that signs, where the member has keys of their own: its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
}
