//! `/api/v1/networks`: other networks, peers or not: who is known, which ways lead there, whether they answer.

use super::payments::network_named;
use crate::http::error::ApiError;
use crate::http::request::{Asked, Given, Named};
use crate::http::state::Ctx;
use crate::http::view::{decimal, unit_named};
use crate::service::Core;
use crate::store::private::Ban;
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Network, Networks, NewBan, Ping, Way, Ways};
use weft_protocol::amount::parse_decimal;
use weft_protocol::federation::route;
use weft_protocol::ids::LedgerId;

/// Longest reason of a ban.
const MAX_REASON_BYTES: usize = 1_024;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(ways))
        .routes(routes!(ping))
        .routes(routes!(ban))
        .routes(routes!(unban))
}

/// Every other network that this node knows of.
#[utoipa::path(get, operation_id = "networks", path = "/api/v1/networks", tag = "networks",
    responses((status = 200, description = "In order of name", body = Networks)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Networks>, ApiError> {
    let networks = ctx.on_ledger(all).await?;
    Ok(Json(Networks { schema: "weft.networks/1".to_owned(), networks }))
}

/// One network, by what it is called here, by its own name, or by its ledger.
#[utoipa::path(get, operation_id = "network", path = "/api/v1/networks/{network}", tag = "networks",
    params(("network" = String, Path, description = "Name or ledger")),
    responses((status = 200, description = "What is known of it", body = Network)))]
async fn one(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<Network>, ApiError> {
    let read = move |core: &mut Core| {
        let ledger = network_named(core, &name)?;
        Ok(view(core, &ledger, &bans(core)?))
    };
    Ok(Json(ctx.on_ledger(read).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaysQuery {
    /// How much, decimal; the smallest amount when absent.
    amount: Option<String>,
    /// Code of our unit; needed when there are several.
    unit: Option<String>,
}

/// The ways that a payment there could take now.
#[utoipa::path(get, operation_id = "ways", path = "/api/v1/networks/{network}/ways", tag = "networks",
    params(("network" = String, Path, description = "Name or ledger"), WaysQuery),
    responses((status = 200, description = "Best first; none when nobody is known to pass it on", body = Ways)))]
async fn ways(
    State(ctx): State<Ctx>,
    Named(name): Named,
    Asked(query): Asked<WaysQuery>,
) -> Result<Json<Ways>, ApiError> {
    let read = move |core: &mut Core| {
        let ledger = network_named(core, &name)?;
        let unit = unit_named(core.engine().state(), query.unit.as_deref())?;
        let (unit, code, scale) = (unit.unit, unit.code.clone(), unit.scale);
        let minor = match &query.amount {
            None => 1,
            Some(text) => parse_decimal(text, scale).map_err(|e| ApiError::rule("amount", e))?.minor(),
        };
        let found = core.ways_to(ledger, unit, minor.unsigned_abs());
        let found = found.map_err(ApiError::from)?;
        let state = core.engine().state();
        let ways = found.iter().map(|way| shown(core, way, |minor| decimal(state, unit, minor)));
        Ok(Ways {
            schema: "weft.ways/1".to_owned(),
            ledger: ledger.to_string(),
            name: core.name_of_network(&ledger),
            unit: code,
            amount: decimal(state, unit, minor),
            ways: ways.collect(),
        })
    };
    Ok(Json(ctx.on_ledger(read).await?))
}

fn shown(core: &Core, way: &route::Way, decimal: impl Fn(i64) -> String) -> Way {
    let show = |minor: u64| decimal(i64::try_from(minor).unwrap_or(i64::MAX));
    Way {
        networks: way.route.ledgers.iter().map(|ledger| core.name_of_network(ledger)).collect(),
        ledgers: way.route.ledgers.iter().map(ToString::to_string).collect(),
        doubtful: way.doubtful as u64,
        exchanges: way.exchanges as u64,
        sends: show(way.sums.first().copied().unwrap_or(0)),
        less_than: way.below.iter().copied().min().map(show),
    }
}

/// Asks a network whether it is there, over a connection that stands or a new one.
#[utoipa::path(post, operation_id = "ping", path = "/api/v1/networks/{network}/ping", tag = "networks",
    params(("network" = String, Path, description = "Name or ledger")),
    responses((status = 200, description = "It has answered", body = Ping)))]
async fn ping(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<Ping>, ApiError> {
    let find = move |core: &mut Core| {
        let ledger = network_named(core, &name)?;
        Ok((ledger, core.name_of_network(&ledger)))
    };
    let (ledger, name) = ctx.on_ledger(find).await?;
    let (connected, took) = ctx.app.clearing.ping(ledger).await?;
    let round_trip_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    Ok(Json(Ping {
        schema: "weft.ping/1".to_owned(),
        ledger: ledger.to_string(),
        name,
        connected,
        round_trip_us,
    }))
}

/// Shuts a network out: no new payment goes to it, comes from it or passes through it, and nothing that it says in public is
/// asked for. Payments under way go on.
#[utoipa::path(post, operation_id = "ban", path = "/api/v1/networks/{network}/ban", tag = "networks", request_body = NewBan,
    params(("network" = String, Path, description = "Name or ledger")),
    responses((status = 200, description = "It is shut out", body = Network)))]
async fn ban(
    State(ctx): State<Ctx>,
    Named(name): Named,
    Given(new): Given<NewBan>,
) -> Result<Json<Network>, ApiError> {
    let reason = new.reason.trim().to_owned();
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(ApiError::rule("reason-length", "say why, in 1 to 1,024 bytes"));
    }
    let act = move |core: &mut Core| {
        let ledger = network_named(core, &name)?;
        core.set_ban(ledger, Some(&reason))?;
        Ok(view(core, &ledger, &bans(core)?))
    };
    Ok(Json(ctx.on_ledger(act).await?))
}

/// Lets a network in again, its connections too.
#[utoipa::path(post, operation_id = "unban", path = "/api/v1/networks/{network}/unban", tag = "networks",
    params(("network" = String, Path, description = "Name or ledger")),
    responses((status = 200, description = "It is not shut out", body = Network)))]
async fn unban(State(ctx): State<Ctx>, Named(name): Named) -> Result<Json<Network>, ApiError> {
    let act = move |core: &mut Core| {
        let ledger = network_named(core, &name)?;
        core.set_ban(ledger, None)?;
        Ok((ledger, view(core, &ledger, &bans(core)?)))
    };
    let (ledger, network) = ctx.on_ledger(act).await?;
    ctx.app.clearing.let_in_network(ledger).await?;
    Ok(Json(network))
}

fn bans(core: &Core) -> Result<BTreeMap<LedgerId, Ban>, ApiError> {
    Ok(core.private().bans()?.into_iter().map(|ban| (ban.ledger, ban)).collect())
}

fn all(core: &mut Core) -> Result<Vec<Network>, ApiError> {
    let bans = bans(core)?;
    let known: Vec<LedgerId> = core.engine().peers().known().copied().collect();
    let mut networks: Vec<Network> = known.iter().map(|ledger| view(core, ledger, &bans)).collect();
    networks.sort_by(|a, b| (&a.name, &a.ledger).cmp(&(&b.name, &b.ledger)));
    Ok(networks)
}

fn view(core: &mut Core, ledger: &LedgerId, bans: &BTreeMap<LedgerId, Ban>) -> Network {
    let in_reach = core.is_in_reach(ledger);
    let descriptor = core.descriptor_of(ledger);
    let (site, addresses) = descriptor.map_or((None, Vec::new()), |d| (Some(d.site), d.addresses));
    Network {
        ledger: ledger.to_string(),
        name: core.name_of_network(ledger),
        site,
        peer: core.engine().state().channel_with(ledger).is_some(),
        in_reach,
        entries: core.engine().peers().public_next(ledger),
        addresses,
        banned: bans.get(ledger).map(|ban| ban.reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Network, Networks, Ping, Ways};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_peer_is_known_answers_and_can_be_shut_out_and_let_in_again() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada").await;
        lansing.member(1, "Cy").await;
        hull.pair(&lansing).await;
        let all: Networks = hull.get("/api/v1/networks").await.json(200);
        assert_eq!(all.networks.len(), 1);
        assert!(all.networks[0].peer && all.networks[0].in_reach && all.networks[0].banned.is_none());
        let ping: Ping = hull.post("/api/v1/networks/lansing/ping", None, "{}").await.json(200);
        assert!(ping.connected && ping.round_trip_us > 0);
        let ways: Ways = hull.get("/api/v1/networks/lansing/ways?amount=2.50").await.json(200);
        assert_eq!(ways.ways[0].networks, ["hull", "lansing"]);
        let body = r#"{"from":"Ada","to":"Cy@lansing","amount":"1","wait_s":30}"#;
        let banned: Network =
            hull.post("/api/v1/networks/lansing/ban", None, r#"{"reason":"spam"}"#).await.json(200);
        assert_eq!(banned.banned.as_deref(), Some("spam"));
        hull.post("/api/v1/payments", Some(&key(2)), body).await.problem(422, "peer-banned");
        let back = r#"{"from":"Cy","to":"Ada@hull","amount":"1","wait_s":30}"#;
        let freed: weft_api::Done = lansing.post("/api/v1/payments", Some(&key(2)), back).await.json(201);
        assert_eq!(freed.state, weft_api::PaymentState::Freed);
        let open: Network = hull.post("/api/v1/networks/lansing/unban", None, "{}").await.json(200);
        assert_eq!(open.banned, None);
        let done: weft_api::Done = hull.post("/api/v1/payments", Some(&key(2)), body).await.json(201);
        assert_eq!(done.state, weft_api::PaymentState::Done);
        hull.get("/api/v1/networks/mars").await.problem(422, "unknown-network");
        hull.get("/api/v1/networks/lansing/ways?amount=x").await.problem(422, "amount");
        hull.post("/api/v1/networks/lansing/ban", None, r#"{"reason":" "}"#)
            .await
            .problem(422, "reason-length");
        hull.stop().await;
        lansing.stop().await;
    }
}
