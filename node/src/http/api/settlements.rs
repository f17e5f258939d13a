//! `/api/v1/peers/…/statement`, `…/settlements`, `…/halt`: what two networks state, settle and stop.

use crate::http::error::ApiError;
use crate::http::request::{Given, Named, OpKey};
use crate::http::state::Ctx;
use crate::service::{Core, HaltWish};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Halt, NewSettlement, PeerStatement, Peers, Settlement, SettlementAnswer, Settlements};
use weft_protocol::amount::{Amount, parse_decimal};
use weft_protocol::ids::{Hash, LedgerId};
use weft_protocol::ledger::settled::SettleAct;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(statement))
        .routes(routes!(state))
        .routes(routes!(list))
        .routes(routes!(propose))
        .routes(routes!(act))
        .routes(routes!(halt))
}

fn peer(core: &Core, name: &str) -> Result<LedgerId, ApiError> {
    let unknown =
        || ApiError::not_found("unknown-peer", format!("this network has no peer called \"{name}\""));
    core.peer_called(name).ok_or_else(unknown)
}

/// How the channel with a peer stands, and what both networks have signed of it.
#[utoipa::path(get, operation_id = "peerStatement", path = "/api/v1/peers/{peer}/statement", tag = "peers",
    params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "As of now", body = PeerStatement)))]
async fn statement(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<PeerStatement>, ApiError> {
    ctx.on_ledger(move |core| Ok(Json(core.statement_of(&peer(core, &name)?)?))).await
}

/// Writes a statement to a peer now. One that waits for its answer stays the only one.
#[utoipa::path(post, operation_id = "stateNow", path = "/api/v1/peers/{peer}/statement", tag = "peers",
    params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "As of now", body = PeerStatement)))]
async fn state(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<PeerStatement>, ApiError> {
    ctx.on_ledger(move |core| {
        let peer = peer(core, &name)?;
        core.state_now(&peer)?;
        Ok(Json(core.statement_of(&peer)?))
    })
    .await
}

/// What was proposed to be settled with peers, and what became of it.
#[utoipa::path(get, operation_id = "settlements", path = "/api/v1/settlements", tag = "peers",
    responses((status = 200, description = "Those that wait for us first", body = Settlements)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Settlements>, ApiError> {
    let settlements = ctx.on_ledger(|core| Ok(core.settlements())).await?;
    Ok(Json(Settlements { schema: "weft.settlements/1".to_owned(), settlements }))
}

/// Proposes to a peer that so much of what one of both owes has moved outside, or is forgiven. Their people accept or refuse.
#[utoipa::path(post, operation_id = "settle", path = "/api/v1/peers/{peer}/settlements", tag = "peers", request_body = NewSettlement,
    params(("peer" = String, Path, description = "What we call it, or its ledger id"),
        ("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 201, description = "It waits for them", body = Settlement)))]
async fn propose(
    State(ctx): State<Ctx>,
    Named(name): Named,
    OpKey(op_id): OpKey,
    Given(new): Given<NewSettlement>,
) -> Result<(StatusCode, Json<Settlement>), ApiError> {
    ctx.on_ledger(move |core| {
        let peer = peer(core, &name)?;
        let value = value(core, &peer, &new)?;
        let reference = new.reference.trim().to_owned();
        if reference.is_empty() || reference.len() > MAX_REFERENCE_BYTES {
            let why = format!("a reference of 1 to {MAX_REFERENCE_BYTES} bytes, such as an invoice number");
            return Err(ApiError::rule("settle-reference", why));
        }
        let id = core.propose_settlement(op_id, &peer, value, reference.clone())?;
        // Its text is in the store when this is answered.
        let proposed = Settlement { reference: Some(reference), ..one(core, &id)? };
        Ok((StatusCode::CREATED, Json(proposed)))
    })
    .await
}

/// Longest reference: a line.
const MAX_REFERENCE_BYTES: usize = 256;

/// The unit pair and amount of a wish.
fn value(core: &Core, peer: &LedgerId, new: &NewSettlement) -> Result<(u8, Amount), ApiError> {
    let state = core.engine().state();
    let Some((_, row)) = state.channel_with(peer) else {
        return Err(ApiError::not_found("unknown-peer", "there is no accord with this network"));
    };
    let pairs = (0_u8..).zip(&row.accord.pairs);
    let mut units =
        pairs.filter_map(|(pair, terms)| Some((pair, state.units.get(&terms.booked_unit(row.we_are_a))?)));
    let found = match &new.unit {
        Some(code) => units.find(|(_, unit)| unit.code == *code),
        None => units.next().filter(|_| units.next().is_none()),
    };
    let (pair, unit) = found.ok_or_else(|| {
        ApiError::rule("unknown-unit", "name a unit in which the account of that peer is kept")
    })?;
    let amount = parse_decimal(&new.amount, unit.scale).map_err(|why| ApiError::rule("amount", why))?;
    Ok((pair, amount))
}

fn one(core: &Core, id: &Hash) -> Result<Settlement, ApiError> {
    let id = id.to_string();
    let found = core.settlements().into_iter().find(|one| one.id == id);
    found.ok_or_else(|| ApiError::not_found("unknown-settlement", "there is no settlement of that id"))
}

/// Accepts or refuses what a peer proposes to settle, or takes back what we have proposed.
#[utoipa::path(post, operation_id = "answerSettlement", path = "/api/v1/settlements/{id}", tag = "peers", request_body = SettlementAnswer,
    params(("id" = String, Path, description = "Its id"),
        ("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 200, description = "How it stands now", body = Settlement)))]
async fn act(
    State(ctx): State<Ctx>,
    Named(id): Named,
    OpKey(op_id): OpKey,
    Given(answer): Given<SettlementAnswer>,
) -> Result<Json<Settlement>, ApiError> {
    let id = id.parse::<Hash>();
    let id =
        id.map_err(|_| ApiError::not_found("unknown-settlement", "there is no settlement of that id"))?;
    let act = match answer.action.as_str() {
        "accept" => SettleAct::Accept,
        "refuse" => SettleAct::Refuse,
        "withdraw" => SettleAct::Withdraw,
        _ => return Err(ApiError::malformed("action", "the action is accept, refuse or withdraw")),
    };
    ctx.on_ledger(move |core| {
        core.act_on_settlement(op_id, id, act)?;
        Ok(Json(one(core, &id)?))
    })
    .await
}

/// Stops new payments with a peer, lets them go again, or ends the accord. What is open runs to its end.
#[utoipa::path(post, operation_id = "haltPeer", path = "/api/v1/peers/{peer}/halt", tag = "peers", request_body = Halt,
    params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "How all peers stand now", body = Peers)))]
async fn halt(
    State(ctx): State<Ctx>,
    Named(name): Named,
    Given(halt): Given<Halt>,
) -> Result<Json<Peers>, ApiError> {
    let wish = match halt.action.as_str() {
        "pause" => HaltWish::Pause,
        "resume" => HaltWish::Resume,
        "end" => HaltWish::End,
        _ => return Err(ApiError::malformed("action", "the action is pause, resume or end")),
    };
    ctx.on_ledger(move |core| Ok(core.halt(&peer(core, &name)?, wish)?)).await?;
    let peers = ctx.app.clearing.peers().await?;
    Ok(Json(Peers { schema: "weft.peers/1".to_owned(), peers }))
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_about_no_peer_or_no_settlement_is_refused_by_name() {
        let node = Node::start().await;
        let before = node.digest().await;
        node.get("/api/v1/peers/york/statement").await.problem(404, "unknown-peer");
        let new = r#"{"amount":"1","reference":"invoice 7"}"#;
        node.post("/api/v1/peers/york/settlements", Some(&key(1)), new).await.problem(404, "unknown-peer");
        node.post("/api/v1/peers/york/halt", None, r#"{"action":"pause"}"#)
            .await
            .problem(404, "unknown-peer");
        node.post("/api/v1/peers/york/halt", None, r#"{"action":"sleep"}"#).await.problem(400, "action");
        let id = format!("/api/v1/settlements/{}", "ab".repeat(32));
        node.post(&id, Some(&key(2)), r#"{"action":"accept"}"#).await.problem(422, "settle-state");
        node.post(&id, Some(&key(2)), r#"{"action":"pay"}"#).await.problem(400, "action");
        let none: weft_api::Settlements = node.get("/api/v1/settlements").await.json(200);
        assert!(none.settlements.is_empty());
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
