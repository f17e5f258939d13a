//! `/api/v1/members` and statements: who has an account here, and what moved on it.
//!
//! A name stands in the private store only. It is durable before the account's entry is: the entry is written at
//! the end of the group, and the name in the task before.

use crate::http::error::ApiError;
use crate::http::request::{Asked, Given, Named, OpKey};
use crate::http::state::{Ctx, blocking};
use crate::http::view::{decimal, member, name_of, unit_code};
use crate::service::{Core, HistoryRow, OpRefused, Prepared};
use crate::store::Private;
use crate::store::index::{Direction, Page};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Member, Members, NewMember, Owner, Statement, StatementLine};
use weft_protocol::entry::{Kind, Payload, Role};
use weft_protocol::ids::{AccountId, ClaimId, Hash, KeyBytes, OpId, UnitId};
use weft_protocol::ledger::members::{AccountOpened, OwnerKind};
use weft_protocol::ledger::own_accounts;
use weft_protocol::sidecar::{Content, MAX_NAME_BYTES};
use weft_protocol::time::Day;

/// Context of the ids of accounts opened here: a repeated request opens the same account.
const ACCOUNT_CONTEXT: &str = "WEFT-ACCOUNT-OF/1\n";
/// Lines of a statement when nothing is said, and at most: a page people read.
const DEFAULT_LINES: usize = 50;
const MAX_LINES: usize = 500;
/// Names read from the private store at a time.
const NAMES_PAGE: usize = 1_000;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(statement))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only the member of this name or account id.
    name: Option<String>,
}

/// The members of this network, in order of name.
#[utoipa::path(get, operation_id = "members", path = "/api/v1/members", tag = "members", params(ListQuery),
    responses((status = 200, description = "All, or the one asked for", body = Members)))]
async fn list(State(ctx): State<Ctx>, Asked(query): Asked<ListQuery>) -> Result<Json<Members>, ApiError> {
    let read = move |core: &mut Core| {
        let state = core.engine().state();
        let rows: Vec<(AccountId, Member)> = match &query.name {
            Some(name) => {
                core.account_named(name).into_iter().filter_map(|id| Some((id, shown(core, &id)?))).collect()
            }
            None => {
                state.accounts.iter().filter_map(|(id, row)| Some((*id, member(state, id, row)?))).collect()
            }
        };
        Ok((rows, core.private().clone()))
    };
    let (rows, private) = ctx.on_ledger(read).await?;
    let members = blocking(move || {
        let names = if rows.len() > 1 { all_names(&private)? } else { BTreeMap::new() };
        let mut members = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let name = if names.is_empty() { name_of(&private, &id)? } else { names.get(&id).cloned() };
            members.push(Member { name, ..row });
        }
        members.sort_by(|a, b| {
            (a.name.is_none(), &a.name, &a.account).cmp(&(b.name.is_none(), &b.name, &b.account))
        });
        Ok(members)
    });
    Ok(Json(Members { schema: "weft.members/1".to_owned(), members: members.await? }))
}

fn all_names(private: &Private) -> Result<BTreeMap<AccountId, String>, ApiError> {
    let (mut names, mut after) = (BTreeMap::new(), None);
    loop {
        let page = private.people(after.as_ref(), NAMES_PAGE)?;
        let Some(last) = page.last() else { return Ok(names) };
        after = Some(last.account);
        names.extend(page.into_iter().map(|person| (person.account, person.name)));
    }
}

fn shown(core: &Core, id: &AccountId) -> Option<Member> {
    let state = core.engine().state();
    member(state, id, state.accounts.get(id)?)
}

/// Opens an account for a member, an organisation or a project.
#[utoipa::path(post, operation_id = "openMember", path = "/api/v1/members", tag = "members", request_body = NewMember,
    params(("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 201, description = "Opened", body = Member),
        (status = 200, description = "Opened before by the same request", body = Member)))]
async fn add(
    State(ctx): State<Ctx>,
    OpKey(op_id): OpKey,
    Given(new): Given<NewMember>,
) -> Result<(StatusCode, Json<Member>), ApiError> {
    let name = check_name(&new.name)?.to_owned();
    let key = new.key.as_deref().map(str::parse::<KeyBytes>).transpose();
    let key = key.map_err(|e| ApiError::malformed("malformed-key", e))?;
    let owner = match new.owner.unwrap_or(Owner::Member) {
        Owner::Member => OwnerKind::Member,
        Owner::Organisation => OwnerKind::Organisation,
        Owner::Commons => OwnerKind::Commons,
    };
    let (known, member) = ctx.on_ledger(move |core| open(core, op_id, &name, owner, key)).await?;
    Ok((if known { StatusCode::OK } else { StatusCode::CREATED }, Json(member)))
}

/// A name can be told from an account id and from `name@network`, and read aloud.
fn check_name(name: &str) -> Result<&str, ApiError> {
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        let why = format!("a name of {} bytes: 1 to {MAX_NAME_BYTES} are allowed", name.len());
        return Err(ApiError::rule("name-length", why));
    }
    if name.contains('@') || name.chars().any(char::is_control) || name.parse::<AccountId>().is_ok() {
        let why = "a name has no @ and no control characters, and is not 32 hex digits";
        return Err(ApiError::rule("name-form", why));
    }
    Ok(name)
}

fn open(
    core: &mut Core,
    op_id: OpId,
    name: &str,
    owner: OwnerKind,
    key: Option<KeyBytes>,
) -> Result<(bool, Member), ApiError> {
    let secret = core.keys().handle_secret.clone();
    let account = AccountId(Hash::of(ACCOUNT_CONTEXT, &[&*secret, op_id.as_bytes()]).prefix());
    let opened_before = core.engine().state().accounts.contains_key(&account);
    let old_name = if opened_before { name_of(core.private(), &account)? } else { None };
    if old_name.as_deref().is_some_and(|old| old != name) {
        return Err(OpRefused::Reused(op_id).into());
    }
    if core.name_taken(name, &account) {
        return Err(ApiError::rule(
            "name-taken",
            format!("another member is called \"{name}\": choose another name"),
        ));
    }
    let payload = Payload::AccountOpened(AccountOpened { account, owner, key, anchor: false });
    let signed = core.at_desk(payload, op_id, Role::Operator, &[])?;
    let answer = core.submit(Prepared { signed, texts: Vec::new(), expires_ms: None })?;
    // After the rules have said yes, so that a refusal leaves no name behind; still before the entry is on disk.
    if old_name.is_none() {
        core.put_person(name, account).map_err(ApiError::store)?;
    }
    let member =
        shown(core, &account).ok_or_else(|| ApiError::internal("the account opened is not there"))?;
    Ok((answer.known, Member { name: Some(name.to_owned()), ..member }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// Only entries before this place: `next_before` of the page before.
    before: Option<u64>,
    /// Entries on this page, 1 to 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// What moved on an account, newest first.
#[utoipa::path(get, operation_id = "statement", path = "/api/v1/accounts/{account}/statement", tag = "members",
    params(("account" = String, Path, description = "A name or an account id"), StatementQuery),
    responses((status = 200, description = "A page of it", body = Statement)))]
async fn statement(
    State(ctx): State<Ctx>,
    Named(who): Named,
    Asked(query): Asked<StatementQuery>,
) -> Result<Json<Statement>, ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LINES);
    if !(1..=MAX_LINES).contains(&limit) {
        return Err(ApiError::malformed(
            "limit",
            format!("a limit of {limit}: 1 to {MAX_LINES} are allowed"),
        ));
    }
    let page = Page { after: query.before, direction: Direction::NewestFirst, limit };
    let read = ctx.on_ledger(move |core| Ok((History::read(core, &who, page)?, core.private().clone())));
    let (history, private) = read.await?;
    let statement = blocking(move || history.statement(&private, limit));
    Ok(Json(statement.await?))
}

/// A line as the ledger knows it, without names and texts.
struct Line {
    seq: u64,
    row: HistoryRow,
    claim: Option<ClaimId>,
    sidecar: Option<Hash>,
    /// Unit code, what was added, balance after it.
    amounts: Vec<(String, String, String)>,
}

struct History {
    id: AccountId,
    account: Member,
    lines: Vec<Line>,
}

impl History {
    fn read(core: &Core, who: &str, page: Page) -> Result<Self, ApiError> {
        let unknown = || ApiError::not_found("unknown-account", format!("nobody here is called \"{who}\""));
        let id = core.account_named(who).ok_or_else(unknown)?;
        let account = shown(core, &id).ok_or_else(unknown)?;
        let rows = core.index().account_history(&id, page)?;
        let lines = rows.into_iter().map(|(seq, bytes)| Line::read(core, seq, &bytes));
        Ok(Self { id, account, lines: lines.collect::<Result<_, _>>()? })
    }

    fn statement(self, private: &Arc<Private>, limit: usize) -> Result<Statement, ApiError> {
        let next_before = self.lines.last().map(|line| line.seq).filter(|_| self.lines.len() == limit);
        let mut names = BTreeMap::new();
        let mut lines = Vec::new();
        for line in self.lines {
            line.show(private, &mut names, &mut lines)?;
        }
        let account = Member { name: name_of(private, &self.id)?, ..self.account };
        Ok(Statement { schema: "weft.statement/1".to_owned(), account, lines, next_before })
    }
}

impl Line {
    fn read(core: &Core, seq: u64, bytes: &[u8]) -> Result<Self, ApiError> {
        let row: HistoryRow = minicbor::decode(bytes).map_err(ApiError::store)?;
        let claim = match (row.claim, Kind::from_code(row.kind)) {
            (None, Some(Kind::Hold)) => {
                let hold = core.own_entry(seq).map_err(ApiError::store)?;
                core.claim_of_hold(&hold).map_err(ApiError::store)?
            }
            (claim, _) => claim,
        };
        let sidecar = match Kind::from_code(row.kind) {
            Some(Kind::Credit) => core.sidecar_of_credit(seq),
            _ => row.sidecar,
        };
        let state = core.engine().state();
        let amount = |(unit, delta, after): &(UnitId, i64, i64)| {
            (unit_code(state, *unit), decimal(state, *unit, *delta), decimal(state, *unit, *after))
        };
        let amounts = row.lines.iter().map(amount).collect();
        Ok(Self { seq, row, claim, sidecar, amounts })
    }

    fn show(
        self,
        private: &Private,
        names: &mut BTreeMap<AccountId, Option<String>>,
        lines: &mut Vec<StatementLine>,
    ) -> Result<(), ApiError> {
        let other = match (self.claim, self.row.other) {
            (Some(claim), _) => Some(claim.to_string()),
            (None, Some(other)) if own_accounts::NAMES.iter().any(|own| own_accounts::id(own) == other) => {
                None
            }
            (None, Some(other)) => {
                let name = match names.get(&other) {
                    Some(name) => name.clone(),
                    None => names.entry(other).or_insert(name_of(private, &other)?).clone(),
                };
                Some(name.unwrap_or_else(|| other.to_string()))
            }
            (None, None) => None,
        };
        let memo = match self.sidecar {
            Some(commitment) => {
                private.sidecar(&commitment)?.and_then(|s| Content::parse(s.bytes()).ok()?.memo)
            }
            None => None,
        };
        lines.extend(self.amounts.into_iter().map(|(unit, amount, balance)| StatementLine {
            seq: self.seq,
            time_ms: self.row.time_ms,
            when: self.row.when_day.and_then(|day| Day(day).text()),
            kind: Kind::from_code(self.row.kind).map_or("unknown", Kind::name).to_owned(),
            unit,
            amount,
            balance,
            other: other.clone(),
            memo: memo.clone(),
        }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Member, Members, Owner, Statement};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_member_is_opened_once_however_often_it_is_asked() {
        let node = Node::start().await;
        let first: Member =
            node.post("/api/v1/members", Some(&key(1)), r#"{"name":" Ada "}"#).await.json(201);
        let again: Member = node.post("/api/v1/members", Some(&key(1)), r#"{"name":"Ada"}"#).await.json(200);
        assert_eq!((first.name.as_deref(), &first.account), (Some("Ada"), &again.account));
        let org = r#"{"name":"Shop","owner":"organisation"}"#;
        let org: Member = node.post("/api/v1/members", Some(&key(2)), org).await.json(201);
        assert_eq!(org.owner, Owner::Organisation);
        let all: Members = node.get("/api/v1/members").await.json(200);
        assert_eq!(all.members.iter().filter_map(|m| m.name.as_deref()).collect::<Vec<_>>(), ["Ada", "Shop"]);
        let one: Members = node.get("/api/v1/members?name=ADA").await.json(200);
        assert_eq!(one.members, vec![first]);
        let none: Members = node.get("/api/v1/members?name=eve").await.json(200);
        assert_eq!(none.members, vec![]);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_members_are_refused_by_name_and_change_nothing() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        let before = node.digest().await;
        let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(257));
        let cases: &[(Option<&str>, &str, u16, &str)] = &[
            (None, r#"{"name":"Bob"}"#, 400, "idempotency-key-missing"),
            (Some("xyz"), r#"{"name":"Bob"}"#, 400, "idempotency-key"),
            (Some(&key(2)), "{", 400, "malformed-json"),
            (Some(&key(2)), r#"{"name":"Bob","colour":"red"}"#, 400, "malformed-json"),
            (Some(&key(2)), r#"{"name":"Bob","owner":"own"}"#, 400, "malformed-json"),
            (Some(&key(2)), r#"{"name":"Bob","key":"00"}"#, 400, "malformed-key"),
            (Some(&key(2)), &format!(r#"{{"name":"Bob","key":"01{}"}}"#, "00".repeat(31)), 422, "key"),
            (Some(&key(2)), r#"{"name":"  "}"#, 422, "name-length"),
            (Some(&key(2)), &long, 422, "name-length"),
            (Some(&key(2)), r#"{"name":"bob@lansing"}"#, 422, "name-form"),
            (Some(&key(2)), r#"{"name":"ada"}"#, 422, "name-taken"),
            (Some(&key(1)), r#"{"name":"Bob"}"#, 409, "op-reused"),
            (Some(&key(1)), r#"{"name":"Ada","owner":"commons"}"#, 409, "op-reused"),
        ];
        for (key, body, status, code) in cases {
            node.post("/api/v1/members", *key, body).await.problem(*status, code);
        }
        node.get("/api/v1/members?nome=x").await.problem(400, "malformed-query");
        assert_eq!(node.digest().await, before);
        // A refusal leaves no name behind.
        node.member(2, "Bob").await;
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_statement_reads_on_page_by_page() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        for n in 10..15 {
            node.pay(n, "Ada", "Bob", "1.5").await;
        }
        let first: Statement = node.get("/api/v1/accounts/bob/statement?limit=3").await.json(200);
        assert_eq!(first.lines.len(), 3);
        let line = &first.lines[0];
        assert_eq!((line.amount.as_str(), line.balance.as_str()), ("1.50", "7.50"));
        assert_eq!((line.other.as_deref(), line.memo.as_deref()), (Some("Ada"), Some("for 14")));
        assert_eq!((line.when.as_deref(), line.kind.as_str()), (Some("2024-02-29"), "transfer"));
        let next = format!("/api/v1/accounts/bob/statement?limit=3&before={}", first.next_before.unwrap());
        let rest: Statement = node.get(&next).await.json(200);
        assert_eq!((rest.lines.len(), rest.next_before), (2, None));
        node.get("/api/v1/accounts/eve/statement").await.problem(404, "unknown-account");
        node.get("/api/v1/accounts/bob/statement?limit=0").await.problem(400, "limit");
        node.get("/api/v1/accounts/bob/statement?limit=x").await.problem(400, "malformed-query");
        node.stop().await;
    }
}
