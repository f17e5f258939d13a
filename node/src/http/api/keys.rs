//! `/api/v1/keys`: the node's next key of a purpose, for the root set to bind.

use crate::http::error::ApiError;
use crate::http::request::Named;
use crate::http::state::Ctx;
use crate::keystore::purpose;
use crate::service::{Core, NextKeyError};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::NextKey;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(next))
}

/// The node's next key of a purpose: its secret is kept, its public half is the answer. Asked again before an entry
/// binds it, the answer is the same.
#[utoipa::path(post, operation_id = "nextKey", path = "/api/v1/keys/{purpose}/next", tag = "keys",
    params(("purpose" = String, Path, description = "log, witness, seal, libp2p or desk")),
    responses((status = 201, description = "What the root set can bind", body = NextKey)))]
async fn next(State(ctx): State<Ctx>, Named(name): Named) -> Result<(StatusCode, Json<NextKey>), ApiError> {
    let unknown = || ApiError::rule("unknown-purpose", format!("\"{name}\" is no purpose of a key"));
    let purpose = purpose::parse(&name).ok_or_else(unknown)?;
    let make = move |core: &mut Core| core.next_key(purpose).map_err(|error| refused(&error));
    let (epoch, key) = ctx.on_ledger(make).await?;
    let schema = "weft.next-key/1".to_owned();
    Ok((StatusCode::CREATED, Json(NextKey { schema, purpose: name, epoch, key: key.to_string() })))
}

fn refused(error: &NextKeyError) -> ApiError {
    match error {
        NextKeyError::Ledger(_) => ApiError::rule("no-genesis", error.to_string()),
        NextKeyError::Keystore(_) => ApiError::store(error.to_string()),
        NextKeyError::NotTheNodes => ApiError::rule("not-the-nodes", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use weft_api::NextKey;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_next_key_is_the_same_until_it_is_bound() {
        let node = Node::start().await;
        let first: NextKey = node.post("/api/v1/keys/log/next", None, "").await.json(201);
        let again: NextKey = node.post("/api/v1/keys/log/next", None, "").await.json(201);
        assert_eq!(first, again);
        assert_eq!(first.epoch, 1);
        let other: NextKey = node.post("/api/v1/keys/seal/next", None, "").await.json(201);
        assert_ne!(first.key, other.key);
        node.post("/api/v1/keys/recovery/next", None, "").await.problem(422, "not-the-nodes");
        node.post("/api/v1/keys/nothing/next", None, "").await.problem(422, "unknown-purpose");
        node.stop().await;
    }
}
