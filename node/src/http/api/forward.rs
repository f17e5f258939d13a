//! `/api/v1/forwards`: signing the books as they stand, so that what is before them may go one day.

use crate::http::error::ApiError;
use crate::http::request::OpKey;
use crate::http::state::Ctx;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::Forwarded;
use weft_protocol::base::KEPT_MS;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(forward))
}

/// Writes a balance-forward through the desk: the digest of the books as they stand. Nothing is left out by it; a stopped
/// node may leave out what is before it when it is 60 days old (`weftd prune`).
#[utoipa::path(post, operation_id = "forward", path = "/api/v1/forwards", tag = "node",
    params(("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 200, description = "The forward", body = Forwarded)))]
async fn forward(State(ctx): State<Ctx>, OpKey(op_id): OpKey) -> Result<Json<Forwarded>, ApiError> {
    ctx.on_ledger(move |core| {
        let (entry, state) = core.forward(op_id)?;
        let body = entry.body();
        Ok(Json(Forwarded {
            schema: "weft.forwarded/1".to_owned(),
            seq: body.seq,
            time_ms: body.time_ms,
            state: state.to_string(),
            ready_ms: body.time_ms.saturating_add(KEPT_MS),
        }))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Forwarded, Status};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_forward_is_written_once_and_signs_the_books_before_it() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        let before: Status = node.get("/api/v1/status").await.json(200);
        let forward: Forwarded = node.post("/api/v1/forwards", Some(&key(2)), "").await.json(200);
        assert_eq!((forward.seq, &forward.state), (before.entries, &before.state_digest));
        assert_eq!(forward.ready_ms, forward.time_ms + 60 * 86_400_000);
        node.member(3, "Bob").await;
        let again: Forwarded = node.post("/api/v1/forwards", Some(&key(2)), "").await.json(200);
        assert_eq!(again, forward);
        let other: Forwarded = node.post("/api/v1/forwards", Some(&key(4)), "").await.json(200);
        assert_ne!(other.state, forward.state);
        node.stop().await;
    }
}
