//! `/api/v1/payments`: pays through the desk, for people who have no key of their own.

use crate::http::error::ApiError;
use crate::http::request::{Given, OpKey};
use crate::http::state::Ctx;
use crate::http::view::{answer, done, settle, unit_named};
use crate::service::{Core, MAX_MORE_WAYS, NoNetwork, Prepared, Text};
use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Done, NewPayment, PaymentState};
use weft_protocol::amount::{Amount, parse_decimal};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{AccountId, ClaimId, Hash, LedgerId, OpId, UnitId};
use weft_protocol::ledger::transfer::{Hold, Transfer, move_value};
use weft_protocol::sidecar::{Content, ContentError};
use weft_protocol::time::{Day, DayError};

/// The id of the n-th further attempt follows from that of the first, so that all of them are found by it.
const ANOTHER_WAY: &str = "WEFT-ANOTHER-WAY/1\n";

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(pay))
}

/// Pays somebody here, or somebody of another network as `name@network`.
#[utoipa::path(post, operation_id = "pay", path = "/api/v1/payments", tag = "payments", request_body = NewPayment,
    params(("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 201, description = "Written and final", body = Done),
        (status = 200, description = "Written before by the same request, and final", body = Done),
        (status = 202, description = "Written; the value is held until the other network answers", body = Done)))]
async fn pay(
    State(ctx): State<Ctx>,
    OpKey(op_id): OpKey,
    Given(new): Given<NewPayment>,
) -> Result<Response, ApiError> {
    let wait_s = new.wait_s;
    let again = new.clone();
    let write = move |core: &mut Core| {
        let prepared = prepare(core, op_id, &new)?;
        let written = core.submit(prepared)?;
        done(core, &written)
    };
    let began = ctx.app.clock.instant();
    let (done, known) = ctx.on_ledger(write).await?;
    let mut done = settle(&ctx, done, wait_s).await?;
    for attempt in 1..=MAX_MORE_WAYS {
        if done.state != PaymentState::Freed {
            break;
        }
        let left_s = wait_s.unwrap_or(0).saturating_sub(began.elapsed().as_secs());
        match another_way(&ctx, op_id, attempt, (!known).then_some(&again), &done).await? {
            Some(next) => done = settle(&ctx, next, Some(left_s)).await?,
            None => break,
        }
    }
    Ok(answer(done, known))
}

/// A payment that was turned down because of its way has ended; it is made anew over another one, as another operation.
/// Whoever asks a second time (`new` is absent) is told what became of those, and nothing is begun for an answer that was
/// given. `None` when there is nothing further.
async fn another_way(
    ctx: &Ctx,
    op_id: OpId,
    attempt: u8,
    new: Option<&NewPayment>,
    last: &Done,
) -> Result<Option<Done>, ApiError> {
    let Some(claim) = last.claim.as_ref().and_then(|claim| claim.parse::<ClaimId>().ok()) else {
        return Ok(None);
    };
    let next = OpId(Hash::of(ANOTHER_WAY, &[op_id.as_bytes(), &[attempt]]).prefix());
    let new = new.cloned();
    ctx.on_ledger(move |core| {
        let found = core.at_desk_before(&next).map_err(|why| ApiError::rule("store", why))?;
        let written = match (found, &new) {
            (Some(found), _) => found,
            (None, Some(new)) if core.failed_on_its_way(&claim) => {
                // No way that is left is no error: the answer is that of the last one.
                let Ok(prepared) = prepare(core, next, new) else { return Ok(None) };
                let Ok(written) = core.submit(prepared) else { return Ok(None) };
                written
            }
            (None, _) => return Ok(None),
        };
        done(core, &written).map(|(next, _)| Some(next))
    })
    .await
}

fn prepare(core: &Core, op_id: OpId, new: &NewPayment) -> Result<Prepared, ApiError> {
    let wish = Wish::read(
        core,
        &Asked {
            from: &new.from,
            to: &new.to,
            amount: &new.amount,
            unit: new.unit.as_deref(),
            memo: new.memo.as_deref(),
            when: new.when.as_deref(),
        },
    )?;
    let role = if new.lift_stop { Role::Coordinator } else { Role::Member };
    let texts: Vec<Text> = wish.content.iter().map(|content| text(core, content)).collect();
    let now_ms = core.clock().now_ms().max(core.engine().state().head.time_ms);
    let expires_ms = new.expires_s.map(|s| now_ms.saturating_add(s.saturating_mul(1_000)));
    let signed = core.at_desk(wish.payload(), op_id, role, &texts)?;
    Ok(Prepared { signed, texts, expires_ms })
}

/// A payment as people write it.
pub(super) struct Asked<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) amount: &'a str,
    pub(super) unit: Option<&'a str>,
    pub(super) memo: Option<&'a str>,
    pub(super) when: Option<&'a str>,
}

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// An account of this network.
    Here(AccountId),
    /// Somebody of another; who, is sealed.
    There(LedgerId),
}

/// A payment with its names resolved.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    from: AccountId,
    pub(super) to: To,
    unit: UnitId,
    amount: Amount,
    when_day: Option<i32>,
    pub(super) content: Option<Content>,
}

impl Wish {
    /// Resolves names and numbers.
    ///
    /// # Errors
    /// Names the field that cannot be.
    pub(super) fn read(core: &Core, asked: &Asked<'_>) -> Result<Self, ApiError> {
        let state = core.engine().state();
        let from = here(core, asked.from)?;
        let (to, payee) = receiver(core, asked.to)?;
        if to == To::Here(from) {
            return Err(ApiError::rule("to-oneself", "the payer and the payee are the same account"));
        }
        let unit = unit_named(state, asked.unit)?;
        let amount = parse_decimal(asked.amount, unit.scale).map_err(|e| ApiError::rule("amount", e))?;
        let bad_day = |why: DayError| ApiError::rule("date", why.to_string());
        let when_day =
            asked.when.map(|text| text.parse::<Day>().map(|day| day.0).map_err(bad_day)).transpose()?;
        let memo = asked.memo.filter(|memo| !memo.is_empty()).map(str::to_owned);
        let content = if memo.is_some() || matches!(to, To::There(_)) {
            // Inside a network both sides know each other's name; no need to read it for every line of an import.
            let payer = core.name_of(&from).filter(|_| matches!(to, To::There(_))).map(str::to_owned);
            let content = Content { payee: payee.to_owned(), memo, payer };
            content.check().map_err(|error| too_long(&error))?;
            Some(content)
        } else {
            None
        };
        Ok(Self { from, to, unit: unit.unit, amount, when_day, content })
    }

    /// What the ledger is to do.
    pub(super) fn payload(&self) -> Payload {
        match self.to {
            To::Here(to) => Payload::Transfer(Transfer {
                postings: move_value(self.from, to, self.unit, self.amount),
                when_day: self.when_day,
            }),
            To::There(payee_network) => Payload::Hold(Hold {
                account: self.from,
                unit: self.unit,
                amount: self.amount,
                payee_network,
                when_day: self.when_day,
            }),
        }
    }
}

fn too_long(error: &ContentError) -> ApiError {
    let code = match error {
        ContentError::Length { what: "memo", .. } => "memo-length",
        ContentError::Length { .. } => "name-length",
        ContentError::NotText { .. } | ContentError::Encoding(_) => "memo",
    };
    ApiError::rule(code, error)
}

fn here(core: &Core, name: &str) -> Result<AccountId, ApiError> {
    let found = core.account_named(name).filter(|id| core.engine().state().accounts.contains_key(id));
    found.ok_or_else(|| ApiError::rule("unknown-member", format!("nobody here is called \"{name}\"")))
}

/// The receiver, and the name that their own network knows them by.
fn receiver<'a>(core: &Core, to: &'a str) -> Result<(To, &'a str), ApiError> {
    let (name, network) = match to.rsplit_once('@') {
        Some((name, network)) if network != core.site() => (name, Some(network)),
        Some((name, _)) => (name, None),
        None => (to, None),
    };
    let Some(network) = network else { return Ok((To::Here(here(core, name)?), name)) };
    let ledger = network_named(core, network)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::rule("unknown-member", "name somebody before the @"));
    }
    Ok((To::There(ledger), name))
}

/// The network that a name behind the @ means.
pub(super) fn network_named(core: &Core, name: &str) -> Result<LedgerId, ApiError> {
    core.network_named(name).map_err(|why| {
        let code = match why {
            NoNetwork::Unknown { .. } => "unknown-network",
            NoNetwork::Ambiguous { .. } => "ambiguous-network",
            NoNetwork::Store(_) => "store",
        };
        ApiError::rule(code, why)
    })
}

/// A content as the text that an operation commits to.
pub(super) fn text(core: &Core, content: &Content) -> Text {
    Text { salt: core.clock().random(), bytes: content.to_bytes() }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Done, PaymentState, Statement};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_local_payment_is_written_once_and_final_at_once() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        let body = r#"{"from":"Ada","to":"Bob@hull","amount":"12.50","memo":"bread","when":"2024-02-29"}"#;
        let first: Done = node.post("/api/v1/payments", Some(&key(3)), body).await.json(201);
        assert_eq!((first.state, first.claim.as_ref(), first.seq), (PaymentState::Done, None, 4));
        let uuid = "03030303-0303-0303-0303-030303030303";
        let again: Done = node.post("/api/v1/payments", Some(uuid), body).await.json(200);
        assert_eq!((again.seq, &again.leaf), (first.seq, &first.leaf));
        let bob: Statement = node.get("/api/v1/accounts/Bob/statement").await.json(200);
        assert_eq!(bob.account.balances[0].amount, "12.50");
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_payment_posted_many_times_at_once_is_one() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        let body = r#"{"from":"Ada","to":"Bob","amount":"1"}"#;
        let id = key(3);
        let answers =
            futures::future::join_all((0..8).map(|_| node.post("/api/v1/payments", Some(&id), body))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_payments_are_refused_by_name_and_change_nothing() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        node.pay(3, "Ada", "Bob", "1").await;
        let own_key = weft_protocol::keys::SecretKey::from_seed(&[9; 32]).public().bytes();
        let eve = format!(r#"{{"name":"Eve","key":"{own_key}"}}"#);
        let _: weft_api::Member = node.post("/api/v1/members", Some(&key(4)), &eve).await.json(201);
        let before = node.digest().await;
        let pay = |from: &str, to: &str, more: &str| format!(r#"{{"from":"{from}","to":"{to}",{more}}}"#);
        let one = r#""amount":"1""#;
        let long = format!(r#""amount":"1","memo":"{}""#, "m".repeat(1_025));
        let cases: &[(String, u16, &str)] = &[
            (pay("Ada", "Ada", one), 422, "to-oneself"),
            (pay("Zoe", "Ada", one), 422, "unknown-member"),
            (pay("Ada", "Zoe", one), 422, "unknown-member"),
            (pay("Ada", "Zoe@mars", one), 422, "unknown-network"),
            (pay("Ada", "Bob", r#""amount":"0""#), 422, "amount"),
            (pay("Ada", "Bob", r#""amount":"-1""#), 422, "amount"),
            (pay("Ada", "Bob", r#""amount":"1.005""#), 422, "amount"),
            (pay("Ada", "Bob", r#""amount":1"#), 400, "malformed-json"),
            (pay("Ada", "Bob", r#""amount":"1","unit":"hour""#), 422, "unknown-unit"),
            (pay("Ada", "Bob", r#""amount":"1","when":"2023-02-29""#), 422, "date"),
            (pay("Ada", "Bob", &long), 422, "memo-length"),
            (pay("Ada", "Bob", r#""amount":"1","tip":"2""#), 400, "malformed-json"),
            (pay("Eve", "Bob", one), 422, "not-authorised"),
            (pay("Ada", &weft_protocol::ledger::own_accounts::hold().to_string(), one), 422, "owner-kind"),
        ];
        for (body, status, code) in cases {
            node.post("/api/v1/payments", Some(&key(5)), body).await.problem(*status, code);
        }
        let other_memo = r#"{"from":"Ada","to":"Bob","amount":"1","when":"2024-02-29","memo":"other"}"#;
        node.post("/api/v1/payments", Some(&key(3)), other_memo).await.problem(409, "op-reused");
        node.post("/api/v1/payments", Some(&key(3)), &pay("Bob", "Ada", one)).await.problem(409, "op-reused");
        node.post("/api/v1/payments", None, &pay("Ada", "Bob", one))
            .await
            .problem(400, "idempotency-key-missing");
        let huge = format!(r#"{{"from":"{}"}}"#, "x".repeat(70_000));
        node.post("/api/v1/payments", Some(&key(5)), &huge).await.problem(413, "too-large");
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
