//! `/api/v1/netting`: rounds in which debts between networks are cleared, and what people want in them.

mod proposals;

use crate::http::error::ApiError;
use crate::http::request::{Asked, Given, Named};
use crate::http::state::Ctx;
use crate::service::{Core, NettingRefused, RoundAction};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{
    NettingAccounts, NettingPreview, NettingRound, NettingRounds, NettingRule, NewRound, RoundWish,
};
use weft_protocol::ids::Hash;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(preview))
        .routes(routes!(accounts))
        .routes(routes!(rule))
        .routes(routes!(announce))
        .routes(routes!(act))
        .merge(proposals::routes())
}

impl From<NettingRefused> for ApiError {
    fn from(refused: NettingRefused) -> Self {
        match refused {
            NettingRefused::Rule(rejected) => rejected.into(),
            NettingRefused::UnknownRound => Self::not_found("unknown-round", refused.to_string()),
            NettingRefused::Unit(_) => Self::rule("unknown-unit", refused.to_string()),
            NettingRefused::TooLate(_) => Self::rule("round-late", refused.to_string()),
            NettingRefused::Times => Self::rule("round-times", refused.to_string()),
            NettingRefused::Store(_) => Self::rule("store", refused.to_string()),
        }
    }
}

async fn rounds(ctx: &Ctx) -> Result<Json<NettingRounds>, ApiError> {
    let (rule, rounds) = ctx.on_ledger(|core| Ok((core.netting_rule(), core.netting_rounds()))).await?;
    Ok(Json(NettingRounds { schema: "weft.netting-rounds/1".to_owned(), rule, rounds }))
}

/// Rounds that this node knows, with what they do to our debts.
#[utoipa::path(get, operation_id = "nettingRounds", path = "/api/v1/netting", tag = "netting",
    responses((status = 200, description = "The newest first", body = NettingRounds)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<NettingRounds>, ApiError> {
    rounds(&ctx).await
}

/// Which unit is asked about.
#[derive(Debug, Deserialize)]
struct OfUnit {
    unit: Option<String>,
}

/// What could be cleared now.
#[utoipa::path(get, operation_id = "nettingPreview", path = "/api/v1/netting/preview", tag = "netting",
    params(("unit" = Option<String>, Query, description = "Code of the unit, where there are several")),
    responses((status = 200, description = "As of now", body = NettingPreview)))]
async fn preview(
    State(ctx): State<Ctx>,
    Asked(asked): Asked<OfUnit>,
) -> Result<Json<NettingPreview>, ApiError> {
    ctx.on_ledger(move |core| Ok(Json(core.netting_preview(asked.unit.as_deref())?))).await
}

/// How far accounts may move, for netting invoices between members.
#[utoipa::path(get, operation_id = "nettingAccounts", path = "/api/v1/netting/accounts", tag = "netting",
    params(("unit" = Option<String>, Query, description = "Code of the unit, where there are several")),
    responses((status = 200, description = "As of now", body = NettingAccounts)))]
async fn accounts(
    State(ctx): State<Ctx>,
    Asked(asked): Asked<OfUnit>,
) -> Result<Json<NettingAccounts>, ApiError> {
    ctx.on_ledger(move |core| Ok(Json(core.netting_accounts(asked.unit.as_deref())?))).await
}

/// Sets what is done in every round.
#[utoipa::path(post, operation_id = "setNettingRule", path = "/api/v1/netting/rule", tag = "netting", request_body = NettingRule,
    responses((status = 200, description = "How it stands now", body = NettingRounds)))]
async fn rule(
    State(ctx): State<Ctx>,
    Given(rule): Given<NettingRule>,
) -> Result<Json<NettingRounds>, ApiError> {
    ctx.on_ledger(move |core| Ok(core.set_netting_rule(rule)?)).await?;
    rounds(&ctx).await
}

/// Announces a round. Everybody may; who does computes it, and decides nothing.
#[utoipa::path(post, operation_id = "announceRound", path = "/api/v1/netting/rounds", tag = "netting", request_body = NewRound,
    responses((status = 201, description = "The round; we take part", body = NettingRound)))]
async fn announce(
    State(ctx): State<Ctx>,
    Given(new): Given<NewRound>,
) -> Result<(StatusCode, Json<NettingRound>), ApiError> {
    let parts = [new.offers_s, new.lists_s, new.votes_s].map(|seconds| seconds.saturating_mul(1_000));
    let announce = move |core: &mut Core| {
        let id = core.announce_round(new.unit.as_deref(), parts)?;
        Ok((StatusCode::CREATED, Json(one(core, &id)?)))
    };
    ctx.on_ledger(announce).await
}

fn one(core: &Core, id: &Hash) -> Result<NettingRound, ApiError> {
    let id = id.to_string();
    let found = core.netting_rounds().into_iter().find(|round| round.id == id);
    found.ok_or_else(|| NettingRefused::UnknownRound.into())
}

/// Takes part in a round or not, accepts or refuses its result, or lets go of what is held for it.
#[utoipa::path(post, operation_id = "actOnRound", path = "/api/v1/netting/rounds/{id}", tag = "netting", request_body = RoundWish,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "How it stands now", body = NettingRound)))]
async fn act(
    State(ctx): State<Ctx>,
    Named(id): Named,
    Given(wish): Given<RoundWish>,
) -> Result<Json<NettingRound>, ApiError> {
    let action = match wish.action.as_str() {
        "join" => RoundAction::Join,
        "leave" => RoundAction::Leave,
        "accept" => RoundAction::Accept,
        "refuse" => RoundAction::Refuse,
        "drop" => RoundAction::Drop,
        _ => {
            return Err(ApiError::malformed("action", "the action is join, leave, accept, refuse or drop"));
        }
    };
    let id = id.parse::<Hash>().map_err(|_| ApiError::from(NettingRefused::UnknownRound))?;
    ctx.on_ledger(move |core| {
        core.act_on_round(id, action)?;
        Ok(Json(one(core, &id)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_round_is_announced_and_what_cannot_be_is_refused_by_name() {
        let node = Node::start().await;
        let id = format!("/api/v1/netting/rounds/{}", "ab".repeat(32));
        node.post(&id, None, r#"{"action":"accept"}"#).await.problem(404, "unknown-round");
        node.post(&id, None, r#"{"action":"win"}"#).await.problem(400, "action");
        let new = r#"{"unit":"gold","offers_s":1,"lists_s":1,"votes_s":1}"#;
        node.post("/api/v1/netting/rounds", None, new).await.problem(422, "unknown-unit");
        let none: weft_api::NettingRounds = node.get("/api/v1/netting").await.json(200);
        assert!(none.rounds.is_empty() && !none.rule.joins && !none.rule.accepts);
        let new = r#"{"offers_s":600000,"lists_s":1,"votes_s":4800}"#;
        node.post("/api/v1/netting/rounds", None, new).await.problem(422, "round-times");
        let new = r#"{"offers_s":60,"lists_s":60,"votes_s":60}"#;
        let round: weft_api::NettingRound = node.post("/api/v1/netting/rounds", None, new).await.json(201);
        assert!(round.joins && round.by == "us" && round.phase == "offers" && round.report.is_none());
        let id = format!("/api/v1/netting/rounds/{}", round.id);
        node.post(&id, None, r#"{"action":"drop"}"#).await.problem(422, "round-late");
        let left: weft_api::NettingRound = node.post(&id, None, r#"{"action":"leave"}"#).await.json(200);
        assert!(!left.joins);
        node.post("/api/v1/netting/rule", None, r#"{"joins":true,"accepts":true}"#).await.text(200);
        let rounds: weft_api::NettingRounds = node.get("/api/v1/netting").await.json(200);
        assert!(rounds.rule.joins && rounds.rule.accepts && !rounds.rounds[0].joins);
        let preview: weft_api::NettingPreview = node.get("/api/v1/netting/preview").await.json(200);
        assert!(preview.debts.is_empty() && preview.known.is_empty());
        node.stop().await;
    }
}
