//! `/api/v1/claims/…/dispute`, `/api/v1/disputes`, `/api/v1/peers/…/write-off`: a hop that both root sets close, a peer that
//! ours writes off.

use crate::http::error::ApiError;
use crate::http::request::{Asked, Given, Named};
use crate::http::state::Ctx;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Claim, DisputeDraft, SignedDispute, WriteOffDraft};
use weft_protocol::clearing::dispute::{DisputeOutcome, MAX_DISPUTE_BYTES};
use weft_protocol::ids::ClaimId;
use weft_protocol::ledger::identity::MAX_ROOT_KEYS;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(draft)).routes(routes!(take_in)).routes(routes!(write_off))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DraftQuery {
    /// `free` or `bound`.
    outcome: String,
    /// Which part of the claim, from 0.
    #[serde(default)]
    part: u8,
    /// The peer at the other end of the hop: what we call it, or its ledger id. Needed where two hops are open here.
    peer: Option<String>,
}

/// What both root sets would sign to close a hop of a claim.
#[utoipa::path(get, operation_id = "draftDispute", path = "/api/v1/claims/{claim}/dispute", tag = "claims",
    params(("claim" = String, Path, description = "Its id"), DraftQuery),
    responses((status = 200, description = "For both root sets to sign", body = DisputeDraft)))]
async fn draft(
    State(ctx): State<Ctx>,
    Named(claim): Named,
    Asked(query): Asked<DraftQuery>,
) -> Result<Json<DisputeDraft>, ApiError> {
    let claim: ClaimId = claim.parse().map_err(|e| ApiError::malformed("malformed-path", e))?;
    let outcome = match query.outcome.as_str() {
        "free" => DisputeOutcome::Free,
        "bound" => DisputeOutcome::Bound,
        _ => return Err(ApiError::malformed("outcome", "the outcome is free or bound")),
    };
    ctx.on_ledger(move |core| {
        let named = query.peer.as_deref().map(|name| {
            let unknown =
                || ApiError::not_found("unknown-peer", format!("no peer is called \"{name}\" here"));
            core.peer_called(name).ok_or_else(unknown)
        });
        Ok(Json(core.draft_dispute(claim, query.part, named.transpose()?, outcome)?))
    })
    .await
}

/// Takes in a dispute that both root sets have signed, at the creditor's node. The debtor's node follows by itself.
#[utoipa::path(post, operation_id = "dispute", path = "/api/v1/disputes", tag = "claims", request_body = SignedDispute,
    responses((status = 200, description = "How the claim stands now", body = Claim)))]
async fn take_in(
    State(ctx): State<Ctx>,
    Given(signed): Given<SignedDispute>,
) -> Result<Json<Claim>, ApiError> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(signed.dispute.as_bytes());
    let bytes = bytes.ok().filter(|bytes| bytes.len() <= MAX_DISPUTE_BYTES);
    let bytes =
        bytes.ok_or_else(|| ApiError::malformed("dispute", "the dispute is hex of at most 256 bytes"))?;
    if signed.signatures.len() > 2 * MAX_ROOT_KEYS {
        return Err(ApiError::malformed("signatures", "two root sets have at most 30 keys"));
    }
    let contacts = ctx.app.clearing.contacts();
    ctx.on_ledger(move |core| {
        let claim = core.take_in_dispute(&bytes, &signed.signatures)?;
        Ok(Json(super::claims::known(core, &contacts, &claim)?))
    })
    .await
}

/// What writing a peer off would say that nobody hears from any more: for our root set to sign and to hand in as an operation.
#[utoipa::path(get, operation_id = "draftWriteOff", path = "/api/v1/peers/{peer}/write-off", tag = "peers",
    params(("peer" = String, Path, description = "What we call it, or its ledger id")),
    responses((status = 200, description = "For our root set to sign", body = WriteOffDraft)))]
async fn write_off(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<WriteOffDraft>, ApiError> {
    let contacts = ctx.app.clearing.contacts();
    ctx.on_ledger(move |core| {
        let unknown = || ApiError::not_found("unknown-peer", format!("no peer is called \"{name}\" here"));
        let peer = core.peer_called(&name).ok_or_else(unknown)?;
        let seen_ms = contacts.get(&peer).and_then(|(_, seen_ms)| *seen_ms).unwrap_or(0);
        Ok(Json(core.draft_write_off(&peer, seen_ms)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_about_no_claim_or_no_dispute_is_refused_by_name() {
        let node = Node::start().await;
        let before = node.digest().await;
        let path = format!("/api/v1/claims/{}/dispute", "ab".repeat(32));
        node.get(&format!("{path}?outcome=free")).await.problem(422, "unknown-claim");
        node.get(&format!("{path}?outcome=won")).await.problem(400, "outcome");
        node.get(&format!("{path}?outcome=free&peer=york")).await.problem(404, "unknown-peer");
        node.get("/api/v1/claims/xyz/dispute?outcome=free").await.problem(400, "malformed-path");
        node.get("/api/v1/peers/york/write-off").await.problem(404, "unknown-peer");
        let none = r#"{"dispute":"00","signatures":[]}"#;
        node.post("/api/v1/disputes", None, none).await.problem(422, "dispute-mismatch");
        let long = format!(r#"{{"dispute":"{}","signatures":[]}}"#, "00".repeat(300));
        node.post("/api/v1/disputes", None, &long).await.problem(400, "dispute");
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
