//! How rows of the ledger and of the private store become what the API shows.

use super::error::ApiError;
use super::state::Ctx;
use crate::service::{ClaimState, Concern, Core, OpAnswer};
use crate::store::Private;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::time::Duration;
use weft_api::{Balance, Done, Member, Owner, PaymentState};
use weft_protocol::amount::format_decimal;
use weft_protocol::ids::{AccountId, ClaimId, UnitId};
use weft_protocol::ledger::members::OwnerKind;
use weft_protocol::ledger::state::Account;
use weft_protocol::ledger::units::UnitDefined;
use weft_protocol::ledger::{Notice, State};

/// Longest an answer waits for the end of a payment: people do not wait longer, and proxies cut.
const MAX_WAIT_S: u64 = 300;
/// Who waits for a claim looks again after this long although nothing has moved: a ledger that has stopped rings no bell.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The unit with this code; without one, the only unit of the network.
pub(super) fn unit_named<'a>(state: &'a State, code: Option<&str>) -> Result<&'a UnitDefined, ApiError> {
    match code {
        Some(code) => state
            .units
            .values()
            .find(|unit| unit.code == code)
            .ok_or_else(|| ApiError::rule("unknown-unit", format!("this network has no unit \"{code}\""))),
        None => {
            let mut units = state.units.values();
            let needed = || {
                ApiError::rule("unit-needed", "this network has not exactly one unit: name the one you mean")
            };
            units.next().filter(|_| units.next().is_none()).ok_or_else(needed)
        }
    }
}

/// The code of a unit.
pub(super) fn unit_code(state: &State, unit: UnitId) -> String {
    state.units.get(&unit).map_or_else(|| unit.to_string(), |unit| unit.code.clone())
}

/// Minor units as people read them.
pub(super) fn decimal(state: &State, unit: UnitId, minor: i64) -> String {
    format_decimal(minor, state.units.get(&unit).map_or(0, |unit| unit.scale))
}

/// Whose an account is, when the API shows it among members.
pub(super) fn owner(kind: OwnerKind) -> Option<Owner> {
    match kind {
        OwnerKind::Member => Some(Owner::Member),
        OwnerKind::Organisation => Some(Owner::Organisation),
        OwnerKind::Commons => Some(Owner::Commons),
        OwnerKind::Pool | OwnerKind::Peer | OwnerKind::Outside | OwnerKind::Own => None,
    }
}

/// An account as the API shows it; its name is for the caller to fill in.
pub(super) fn member(state: &State, id: &AccountId, row: &Account) -> Option<Member> {
    let balance = |(unit, minor): (UnitId, i64)| Balance {
        unit: unit_code(state, unit),
        amount: decimal(state, unit, minor),
    };
    Some(Member {
        account: id.to_string(),
        name: None,
        owner: owner(row.owner)?,
        own_keys: !row.keys.is_empty(),
        closed: row.closed,
        balances: state.balances_of(id).filter(|(_, minor)| *minor != 0).map(balance).collect(),
    })
}

/// The name behind an account, when this node knows one.
pub(super) fn name_of(private: &Private, account: &AccountId) -> Result<Option<String>, ApiError> {
    Ok(private.person(account)?.map(|person| person.name))
}

/// What became of an operation.
pub(super) fn done(core: &Core, answer: &OpAnswer) -> Result<(Done, bool), ApiError> {
    let body = answer.entry.body();
    let claim = answer.claim.as_ref();
    let (state, reason) = claim.map_or((PaymentState::Done, None), |claim| claim_state(core, claim));
    let notices = answer.notices.iter().map(|notice| sentence(core, notice));
    let done = Done {
        schema: "weft.done/1".to_owned(),
        op_id: answer.entry.op().op_id.to_string(),
        seq: body.seq,
        leaf: answer.entry.leaf().to_string(),
        time_ms: body.time_ms,
        state,
        claim: claim.map(ToString::to_string),
        expires_ms: claim
            .and_then(|claim| core.engine().state().legs(claim).next())
            .map(|(_, row)| row.expires_ms),
        reason,
        notices: notices.collect::<Result<_, _>>()?,
    };
    Ok((done, answer.known))
}

/// How a claim of ours stands, and why it was freed. A claim that is forgotten was final long ago; which way, its
/// statement shows.
pub(super) fn claim_state(core: &Core, claim: &ClaimId) -> (PaymentState, Option<String>) {
    match core.claim_state(claim) {
        Some(ClaimState::Held) => (PaymentState::Held, None),
        Some(ClaimState::Done) | None => (PaymentState::Done, None),
        Some(ClaimState::Freed(code)) => (PaymentState::Freed, code.map(|code| code.text().to_owned())),
    }
}

fn sentence(core: &Core, notice: &Notice) -> Result<String, ApiError> {
    let state = core.engine().state();
    let (account, unit, balance) = match notice {
        Notice::NearLimit { account, unit, balance } | Notice::StopLifted { account, unit, balance } => {
            (account, unit, balance)
        }
        Notice::NearPeerLimit { peer, largest } => {
            let alias = core.private().peer(peer)?.map_or_else(|| peer.short(), |local| local.alias);
            let near = format!("the limit towards {alias} is nearly used up");
            let until = "until payments from there, or something they want from here, bring it back";
            return Ok(match largest {
                None => near,
                Some(0) => format!("the limit towards {alias} is used up: no more payments {until}"),
                Some(_) => format!("{near}: one payment takes at most half of what is left, {until}"),
            });
        }
    };
    let name = core.name_of(account).map_or_else(|| account.to_string(), str::to_owned);
    let stands =
        format!("{name} now stands at {} {}", decimal(state, *unit, *balance), unit_code(state, *unit));
    Ok(match notice {
        Notice::NearLimit { .. } => format!("{stands}: beyond the warning level"),
        Notice::StopLifted { .. } | Notice::NearPeerLimit { .. } => {
            format!("{stands}: a coordinator has lifted the stop for this payment")
        }
    })
}

/// 202 while the value is set aside, 200 for what was done before, 201 for what was done now.
pub(super) fn answer(done: Done, known: bool) -> Response {
    let status = match (done.state, known) {
        (PaymentState::Held, _) => StatusCode::ACCEPTED,
        (PaymentState::Done | PaymentState::Freed, true) => StatusCode::OK,
        (PaymentState::Done | PaymentState::Freed, false) => StatusCode::CREATED,
    };
    (status, Json(done)).into_response()
}

/// Waits until `read` says that a claim is final, the time is over or the node stops; gives what it said last.
pub(super) async fn wait_until_final<T: Send + 'static>(
    ctx: &Ctx,
    claim: ClaimId,
    wait_s: u64,
    read: impl Fn(&mut Core) -> Result<(T, bool), ApiError> + Clone + Send + 'static,
) -> Result<T, ApiError> {
    // Listened to before it is read, so that what is written meanwhile wakes the loop.
    let bell = ctx.app.ledger.listen(&[Concern::Claim(claim)]);
    let mut shutdown = ctx.shutdown.clone();
    let over = tokio::time::sleep(Duration::from_secs(wait_s.min(MAX_WAIT_S)));
    tokio::pin!(over);
    loop {
        let (value, is_final) = ctx.on_ledger(read.clone()).await?;
        if is_final || over.is_elapsed() || *shutdown.borrow() {
            return Ok(value);
        }
        tokio::select! {
            () = &mut over => return Ok(value),
            () = bell.rung() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = shutdown.wait_for(|stop| *stop) => return Ok(value),
        }
    }
}

/// Waits for the end of a payment to another network, when it is asked to and there is one to wait for.
pub(super) async fn settle(ctx: &Ctx, mut done: Done, wait_s: Option<u64>) -> Result<Done, ApiError> {
    let claim = done.claim.as_ref().and_then(|claim| claim.parse::<ClaimId>().ok());
    if let (Some(claim), PaymentState::Held, Some(wait_s @ 1..)) = (claim, done.state, wait_s) {
        let read = move |core: &mut Core| {
            let state = claim_state(core, &claim);
            let is_final = state.0 != PaymentState::Held;
            Ok((state, is_final))
        };
        (done.state, done.reason) = wait_until_final(ctx, claim, wait_s, read).await?;
    }
    Ok(done)
}
