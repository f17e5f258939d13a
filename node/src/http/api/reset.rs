//! `/api/v1/peers/…/reset`, `/api/v1/resets`: a channel that both root sets begin anew.

use crate::http::error::ApiError;
use crate::http::request::{Given, Named};
use crate::http::state::Ctx;
use crate::service::Core;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{NewReset, ResetDraft, ResetState, SignedReset};
use weft_protocol::clearing::reset::MAX_RESET_BYTES;
use weft_protocol::clearing::resetting::MAX_SIDE_BYTES;
use weft_protocol::ids::{ClaimId, LedgerId};
use weft_protocol::ledger::identity::MAX_ROOT_KEYS;

/// Payments that one draft can give up: more cannot be bound either.
const MAX_FREE: usize = 1_000;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(draft)).routes(routes!(take_in))
}

fn peer(core: &Core, name: &str) -> Result<LedgerId, ApiError> {
    let unknown =
        || ApiError::not_found("unknown-peer", format!("this network has no peer called \"{name}\""));
    core.peer_called(name).ok_or_else(unknown)
}

fn hex(text: &str, most: usize, what: &'static str) -> Result<Vec<u8>, ApiError> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
    let bytes = bytes.ok().filter(|bytes| bytes.len() <= most);
    bytes.ok_or_else(|| ApiError::malformed(what, format!("it is hex of at most {most} bytes")))
}

/// How the channel with a peer stands towards a reset, and what it waits for.
#[utoipa::path(get, operation_id = "peerReset", path = "/api/v1/peers/{peer}/reset", tag = "peers",
    params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "As of now", body = ResetState)))]
async fn show(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<ResetState>, ApiError> {
    ctx.on_ledger(move |core| Ok(Json(core.reset_state(&peer(core, &name)?)?))).await
}

/// What both root sets would sign to begin the channel anew, once both sides are closed.
#[utoipa::path(post, operation_id = "draftReset", path = "/api/v1/peers/{peer}/reset/draft", tag = "peers",
    request_body = NewReset, params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "For both root sets to sign", body = ResetDraft)))]
async fn draft(
    State(ctx): State<Ctx>,
    Named(name): Named,
    Given(new): Given<NewReset>,
) -> Result<Json<ResetDraft>, ApiError> {
    let theirs = hex(&new.theirs, MAX_SIDE_BYTES, "theirs")?;
    if new.free.len() > MAX_FREE {
        return Err(ApiError::malformed("free", format!("at most {MAX_FREE} payments are given up at once")));
    }
    let free: Result<Vec<ClaimId>, _> = new.free.iter().map(|claim| claim.parse()).collect();
    let free = free.map_err(|e| ApiError::malformed("free", e))?;
    ctx.on_ledger(move |core| {
        let peer = peer(core, &name)?;
        let draft = core.draft_reset(&peer, &theirs, new.agreed.as_deref(), &free);
        Ok(Json(draft.map_err(|why| ApiError::rule("reset-mismatch", why))?))
    })
    .await
}

/// Takes in a reset that both root sets have signed, at either node: it is offered to the other, which takes it by itself.
#[utoipa::path(post, operation_id = "reset", path = "/api/v1/resets", tag = "peers", request_body = SignedReset,
    responses((status = 200, description = "How the channel stands now", body = ResetState)))]
async fn take_in(
    State(ctx): State<Ctx>,
    Given(signed): Given<SignedReset>,
) -> Result<Json<ResetState>, ApiError> {
    let bytes = hex(&signed.reset, MAX_RESET_BYTES, "reset")?;
    if signed.signatures.len() > 2 * MAX_ROOT_KEYS {
        return Err(ApiError::malformed("signatures", "two root sets have at most 30 keys"));
    }
    ctx.on_ledger(move |core| {
        let peer = core.take_in_reset(&bytes, &signed.signatures)?;
        Ok(Json(core.reset_state(&peer)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_about_no_peer_or_no_reset_is_refused_by_name() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.get("/api/v1/peers/york/reset").await.problem(404, "unknown-peer");
        let none = r#"{"reset":"00","signatures":[]}"#;
        hull.post("/api/v1/resets", None, none).await.problem(422, "reset-mismatch");
        hull.pair(&lansing).await;
        let shown: weft_api::ResetState = hull.get("/api/v1/peers/lansing/reset").await.json(200);
        assert_eq!((shown.incarnation, shown.open, shown.side), (0, true, None));
        assert_eq!(shown.waits, "no reset was asked for");
        let draft = r#"{"theirs":"00"}"#;
        hull.post("/api/v1/peers/lansing/reset/draft", None, draft).await.problem(422, "reset-mismatch");
        hull.post("/api/v1/peers/lansing/reset/draft", None, r#"{"theirs":"x"}"#)
            .await
            .problem(400, "theirs");
        hull.stop().await;
        lansing.stop().await;
    }
}
