//! Members and their accounts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// A person.
    Member,
    /// A group acting as one account holder.
    Organisation,
    /// A project or chest of the commons.
    Commons,
}

/// `POST /api/v1/members`: opens an account. Needs an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Name, unique in this network; kept in the private store only.
    pub name: String,
    /// Whose; a member when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The member's own public key (64 hex digits); without one the desk acts for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A member's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Account id.
    pub account: String,
    /// Name, when this node knows one.
    pub name: Option<String>,
    /// Whose.
    pub owner: Owner,
    /// Whether they have keys of their own.
    pub own_keys: bool,
    /// Whether the account is closed.
    pub closed: bool,
    /// Balances that are not zero.
    pub balances: Vec<Balance>,
}

/// A balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// Code of the unit.
    pub unit: String,
    /// Decimal; above zero means that the network owes the holder.
    pub amount: String,
}

/// `GET /api/v1/members`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Members {
    /// Name of this schema: `weft.members/1`.
    pub schema: String,
    /// In order of name, then account.
    pub members: Vec<Member>,
}

/// Why somebody is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// They asked for it.
    Asked,
    /// They left, and the time for which records are kept is over.
    Retention,
    /// A court or an authority ordered it.
    Ordered,
}

/// `POST /api/v1/accounts/{account}/erasure`: destroys everything personal about a holder. Needs an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewErasure {
    /// Why; it stands in the ledger.
    pub reason: Reason,
    /// The holder's name once more, exactly as it is known here (the account id where none is): it cannot be undone.
    pub confirm: String,
}

/// What an erasure has destroyed, and what stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Erased {
    /// Name of this schema: `weft.erased/1`.
    pub schema: String,
    /// The account, which is closed now and nobody's.
    pub account: String,
    /// Place of the entry that says so.
    pub seq: u64,
    /// Whether a name was destroyed by this request.
    pub name: bool,
    /// Texts destroyed by this request, each with its salt.
    pub texts: u64,
    /// What stays in the books under the account, when it is not zero.
    pub balances: Vec<Balance>,
}

/// One line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementLine {
    /// Place in the ledger.
    pub seq: u64,
    /// When it was written.
    pub time_ms: u64,
    /// The day it happened, as its author says (`YYYY-MM-DD`).
    pub when: Option<String>,
    /// `transfer`, `reversal`, `hold`, `end`, `credit`, `release`, `returned`.
    pub kind: String,
    /// Code of the unit.
    pub unit: String,
    /// What was added, signed decimal.
    pub amount: String,
    /// Balance after it.
    pub balance: String,
    /// The other side: a name or account here, or the claim of a payment between networks.
    pub other: Option<String>,
    /// The memo, when this node has one.
    pub memo: Option<String>,
}

/// `GET /api/v1/accounts/{account}/statement`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// Name of this schema: `weft.statement/1`.
    pub schema: String,
    /// The account.
    pub account: Member,
    /// Newest first.
    pub lines: Vec<StatementLine>,
    /// Give this as `before` to read on; absent at the end.
    pub next_before: Option<u64>,
}
