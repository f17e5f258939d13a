//! `/api/v1/bans`: who is shut out, by the operator or by the node itself, why, and until when.

use crate::http::error::ApiError;
use crate::http::request::{Given, Named};
use crate::http::state::Ctx;
use crate::network::PeerId;
use crate::service::Core;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Ban, BannedBy, Bans, NewPeerBan};

/// Longest reason of a ban.
const MAX_REASON_BYTES: usize = 1_024;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(ban_peer)).routes(routes!(lift))
}

/// Everybody who is shut out: networks that the operator has banned, and libp2p identities whose connections are denied.
#[utoipa::path(get, operation_id = "bans", path = "/api/v1/bans", tag = "networks",
    responses((status = 200, description = "Latest first", body = Bans)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Bans>, ApiError> {
    let bans = ctx.on_ledger(|core| read(core)).await?;
    Ok(Json(Bans { schema: "weft.bans/1".to_owned(), bans }))
}

fn read(core: &Core) -> Result<Vec<Ban>, ApiError> {
    let mut bans = Vec::new();
    for row in core.private().shut_outs()? {
        bans.push(Ban {
            peer_id: PeerId::from_bytes(&row.peer).ok().map(|peer| peer.to_string()),
            ledger: row.ledger.map(|ledger| ledger.to_string()),
            name: row.ledger.map(|ledger| core.name_of_network(&ledger)),
            reason: row.reason,
            by: if row.until_ms.is_some() { BannedBy::Node } else { BannedBy::Operator },
            since_ms: row.since_ms,
            until_ms: row.until_ms,
        });
    }
    for ban in core.private().bans()? {
        bans.push(Ban {
            peer_id: None,
            ledger: Some(ban.ledger.to_string()),
            name: Some(core.name_of_network(&ban.ledger)),
            reason: ban.reason,
            by: BannedBy::Operator,
            since_ms: ban.since_ms,
            until_ms: None,
        });
    }
    bans.sort_by(|a, b| b.since_ms.cmp(&a.since_ms).then_with(|| a.peer_id.cmp(&b.peer_id)));
    Ok(bans)
}

/// Denies every connection of a libp2p identity, network or not, until it is let in.
#[utoipa::path(post, operation_id = "banPeer", path = "/api/v1/bans", tag = "networks", request_body = NewPeerBan,
    responses((status = 200, description = "Who is shut out now", body = Bans)))]
async fn ban_peer(State(ctx): State<Ctx>, Given(new): Given<NewPeerBan>) -> Result<Json<Bans>, ApiError> {
    let reason = new.reason.trim().to_owned();
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(ApiError::rule("reason-length", "say why, in 1 to 1,024 bytes"));
    }
    ctx.app.clearing.shut_out(peer(&new.peer_id)?, reason).await?;
    list(State(ctx)).await
}

/// Lets a libp2p identity connect again.
#[utoipa::path(post, operation_id = "liftBan", path = "/api/v1/bans/{peer_id}/lift", tag = "networks",
    params(("peer_id" = String, Path, description = "libp2p identity")),
    responses((status = 200, description = "Who is shut out still", body = Bans)))]
async fn lift(State(ctx): State<Ctx>, Named(id): Named) -> Result<Json<Bans>, ApiError> {
    if !ctx.app.clearing.let_in(peer(&id)?).await? {
        return Err(ApiError::not_found("not-banned", format!("{id} is not shut out: see `weft peer bans`")));
    }
    list(State(ctx)).await
}

fn peer(id: &str) -> Result<PeerId, ApiError> {
    let why = || format!("\"{id}\" is no libp2p identity, which begins with 12D3Koo");
    id.parse().map_err(|_| ApiError::rule("peer-id", why()))
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::Node;
    use weft_api::{BannedBy, Bans, Peers};

    #[tokio::test(flavor = "multi_thread")]
    async fn an_identity_is_shut_out_until_it_is_let_in_and_both_are_shown() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.pair(&lansing).await;
        let status: weft_api::Status = lansing.get("/api/v1/status").await.json(200);
        let id = status.peer_id;
        let body = format!(r#"{{"peer_id":"{id}","reason":"it calls at night"}}"#);
        let bans: Bans = hull.post("/api/v1/bans", None, &body).await.json(200);
        assert_eq!((bans.bans.len(), bans.bans[0].by, bans.bans[0].until_ms), (1, BannedBy::Operator, None));
        assert_eq!(bans.bans[0].name.as_deref(), Some("lansing"));
        let until = async |connected: bool| {
            loop {
                let peers: Peers = hull.get("/api/v1/peers").await.json(200);
                let lansing = &peers.peers[0];
                if lansing.connected == connected {
                    return lansing.problems.clone();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let problems = until(false).await;
        assert!(problems.iter().any(|why| why.contains("it calls at night")), "{problems:?}");
        let lift = format!("/api/v1/bans/{id}/lift");
        let bans: Bans = hull.post(&lift, None, "{}").await.json(200);
        assert!(bans.bans.is_empty());
        assert!(until(true).await.is_empty());
        hull.post(&lift, None, "{}").await.problem(404, "not-banned");
        hull.post("/api/v1/bans/mars/lift", None, "{}").await.problem(422, "peer-id");
        let body = format!(r#"{{"peer_id":"{id}","reason":" "}}"#);
        hull.post("/api/v1/bans", None, &body).await.problem(422, "reason-length");
        hull.stop().await;
        lansing.stop().await;
    }
}
