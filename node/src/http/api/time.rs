//! `/api/v1/time`: what the clock says, and that an operator has compared it.

use crate::http::error::ApiError;
use crate::http::request::Given;
use crate::http::state::Ctx;
use crate::service::Core;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{ConfirmTime, NodeTime};

/// The clock compared is the one that runs: what the operator saw is at most this old.
const MAX_AGE_MS: u64 = 600_000;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(time, confirm))
}

/// The node's clock beside the time of the last entry.
#[utoipa::path(get, operation_id = "time", path = "/api/v1/time", tag = "node",
    responses((status = 200, description = "Both times", body = NodeTime)))]
async fn time(State(ctx): State<Ctx>) -> Result<Json<NodeTime>, ApiError> {
    ctx.on_ledger(|core| Ok(Json(shown(core)))).await
}

/// Says that the clock is right, after it was compared: entries are written again.
#[utoipa::path(post, operation_id = "confirmTime", path = "/api/v1/time", tag = "node", request_body = ConfirmTime,
    responses((status = 200, description = "Nothing is held any more", body = NodeTime)))]
async fn confirm(
    State(ctx): State<Ctx>,
    Given(seen): Given<ConfirmTime>,
) -> Result<Json<NodeTime>, ApiError> {
    let confirm = move |core: &mut Core| {
        let now_ms = core.clock().now_ms();
        if now_ms.abs_diff(seen.clock_ms) > MAX_AGE_MS {
            let why = format!("the clock says {now_ms}, the time compared was {}", seen.clock_ms);
            return Err(ApiError::rule("time-differs", why));
        }
        core.confirm_time();
        Ok(Json(shown(core)))
    };
    ctx.on_ledger(confirm).await
}

fn shown(core: &Core) -> NodeTime {
    NodeTime {
        schema: "weft.time/1".to_owned(),
        clock_ms: core.clock().now_ms(),
        ledger_ms: core.engine().state().head.time_ms,
        held: core.time_held().map(|held| held.why),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use weft_api::NodeTime;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fresh_ledger_waits_for_nobody_and_only_the_clock_that_runs_can_be_confirmed() {
        let node = Node::start().await;
        let time: NodeTime = node.get("/api/v1/time").await.json(200);
        assert!(time.held.is_none() && time.clock_ms >= time.ledger_ms, "{time:?}");
        node.post("/api/v1/time", None, r#"{"clock_ms":5}"#).await.problem(422, "time-differs");
        let right = format!(r#"{{"clock_ms":{}}}"#, time.clock_ms);
        let confirmed: NodeTime = node.post("/api/v1/time", None, &right).await.json(200);
        assert_eq!(confirmed.held, None);
        node.stop().await;
    }
}
