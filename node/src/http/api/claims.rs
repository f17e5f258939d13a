//! `/api/v1/claims`: payments between networks, as this network sees them.

use crate::clearing::Contacts;
use crate::http::error::ApiError;
use crate::http::request::{Asked, Named};
use crate::http::state::Ctx;
use crate::http::view::{claim_state, decimal, unit_code, wait_until_final};
use crate::service::{Core, Proposed};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Claim, Claims, PaymentState};
use weft_protocol::clearing::intent::{Intent, Outcome, RejectCode};
use weft_protocol::clearing::rate::Way;
use weft_protocol::ids::{ClaimId, LedgerId, StreamId, UnitId};
use weft_protocol::ledger::clearing::{hop_value, room};
use weft_protocol::ledger::state::{Answer, ChannelRow, ClaimRow, Closing, Origin, OutHop};

/// Claims in one answer: some 6 MB, far above what any network has open.
const MAX_LISTED: usize = 20_000;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(cancel))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Also those that are closed and still remembered.
    #[serde(default)]
    all: bool,
}

/// Claims that are not closed, or all that are remembered.
#[utoipa::path(get, operation_id = "claims", path = "/api/v1/claims", tag = "claims", params(ListQuery),
    responses((status = 200, description = "In order of id", body = Claims)))]
async fn list(State(ctx): State<Ctx>, Asked(query): Asked<ListQuery>) -> Result<Json<Claims>, ApiError> {
    let contacts = ctx.app.clearing.contacts();
    let read = move |core: &mut Core| {
        let state = core.engine().state();
        let wanted = |id: &ClaimId| query.all || !state.is_closed(id);
        let listed: BTreeSet<ClaimId> = ids(core).into_iter().filter(wanted).take(MAX_LISTED).collect();
        let look = Look::at(core, &contacts, &listed)?;
        Ok(listed.iter().filter_map(|id| view(core, &look, id)).collect::<Vec<_>>())
    };
    Ok(Json(Claims { schema: "weft.claims/1".to_owned(), claims: ctx.on_ledger(read).await? }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OneQuery {
    /// How long the answer may wait for the end of the claim, in seconds; at most 300.
    #[serde(default)]
    wait_s: u64,
}

/// One claim, at once or when it is final.
#[utoipa::path(get, operation_id = "claim", path = "/api/v1/claims/{claim}", tag = "claims",
    params(("claim" = String, Path, description = "Its id"), OneQuery),
    responses((status = 200, description = "How it stands", body = Claim)))]
async fn one(
    State(ctx): State<Ctx>,
    Named(claim): Named,
    Asked(query): Asked<OneQuery>,
) -> Result<Json<Claim>, ApiError> {
    let id = parse(&claim)?;
    let clearing = ctx.app.clearing.clone();
    let read = move |core: &mut Core| {
        let claim = known(core, &clearing.contacts(), &id)?;
        let is_final = claim.state != PaymentState::Held;
        Ok((claim, is_final))
    };
    Ok(Json(wait_until_final(&ctx, id, query.wait_s, read).await?))
}

/// Asks for a payment of ours back; what comes of it shows in the claim.
#[utoipa::path(post, operation_id = "cancelClaim", path = "/api/v1/claims/{claim}/cancel", tag = "claims",
    params(("claim" = String, Path, description = "Its id")),
    responses((status = 200, description = "It was asked; how the claim stands", body = Claim)))]
async fn cancel(State(ctx): State<Ctx>, Named(claim): Named) -> Result<Json<Claim>, ApiError> {
    let id = parse(&claim)?;
    let contacts = ctx.app.clearing.contacts();
    let read = move |core: &mut Core| known(core, &contacts, &id);
    ctx.on_ledger(read.clone()).await?;
    ctx.app.clearing.cancel(id).await?;
    Ok(Json(ctx.on_ledger(read).await?))
}

fn parse(claim: &str) -> Result<ClaimId, ApiError> {
    claim.parse().map_err(|e| ApiError::malformed("malformed-path", e))
}

pub(super) fn known(core: &Core, contacts: &Contacts, id: &ClaimId) -> Result<Claim, ApiError> {
    let unknown = || ApiError::not_found("unknown-claim", format!("this network knows no claim {id}"));
    view(core, &Look::at(core, contacts, &BTreeSet::from([*id]))?, id).ok_or_else(unknown)
}

/// What is looked up once for all claims that are shown.
struct Look<'a> {
    aliases: BTreeMap<LedgerId, String>,
    contacts: &'a Contacts,
    proposed: BTreeMap<ClaimId, Proposed>,
}

impl<'a> Look<'a> {
    fn at(core: &Core, contacts: &'a Contacts, shown: &BTreeSet<ClaimId>) -> Result<Self, ApiError> {
        let mut open: BTreeMap<StreamId, BTreeSet<ClaimId>> = BTreeMap::new();
        for (claim, _, _, out) in core.engine().state().open_claims() {
            if shown.contains(&claim) {
                open.entry(out.channel).or_default().insert(claim);
            }
        }
        let proposed = open.iter().flat_map(|(channel, claims)| core.proposed(channel, claims)).collect();
        Ok(Self { aliases: aliases(core)?, contacts, proposed })
    }
}

/// Every claim that we or a peer have spoken of and that is still remembered.
pub(super) fn ids(core: &Core) -> BTreeSet<ClaimId> {
    let own = core.engine().state().claims.keys().map(|(id, _)| *id);
    own.chain(core.engine().peers().claims()).collect()
}

fn aliases(core: &Core) -> Result<BTreeMap<LedgerId, String>, ApiError> {
    Ok(core.private().peers()?.into_iter().map(|peer| (peer.ledger, peer.alias)).collect())
}

/// How a claim stands for us.
struct Standing {
    direction: &'static str,
    channel: StreamId,
    value: Option<(UnitId, i64)>,
    state: PaymentState,
    note: Option<String>,
    expires_ms: u64,
    since_ms: Option<u64>,
    decider: Option<LedgerId>,
    pair: Option<u8>,
}

fn view(core: &Core, look: &Look<'_>, id: &ClaimId) -> Option<Claim> {
    let state = core.engine().state();
    let standing = match state.legs(id).find_map(|(_, row)| Some((row, row.outgoing.as_ref()?))) {
        Some((row, out)) => outgoing(core, look, id, row, out),
        None => incoming(core, id)?,
    };
    let channel = state.channels.get(&standing.channel)?;
    let peer = channel.peer;
    let (unit, minor) = standing.value.unwrap_or_default();
    let is_open = standing.state == PaymentState::Held;
    let left = standing.pair.and_then(|pair| {
        let unit = channel.accord.pairs.get(usize::from(pair))?.booked_unit(channel.we_are_a);
        let left = i64::try_from(room(state, channel, pair)?).unwrap_or(i64::MAX);
        Some(decimal(state, unit, left.max(0)))
    });
    Some(Claim {
        claim: id.to_string(),
        direction: standing.direction.to_owned(),
        peer: look.aliases.get(&peer).cloned().unwrap_or_else(|| peer.short()),
        unit: unit_code(state, unit),
        amount: decimal(state, unit, minor),
        state: standing.state,
        expires_ms: standing.expires_ms,
        note: standing.note,
        since_ms: standing.since_ms.filter(|_| is_open),
        decider: standing.decider.filter(|_| is_open).map(|decider| core.name_of_network(&decider)),
        room: left.filter(|_| is_open),
        peer_seen_ms: look.contacts.get(&peer).and_then(|(_, seen_ms)| *seen_ms).filter(|_| is_open),
    })
}

fn outgoing(core: &Core, look: &Look<'_>, id: &ClaimId, row: &ClaimRow, out: &OutHop) -> Standing {
    let proposed = look.proposed.get(id).copied();
    let next = core.engine().state().channels.get(&out.channel).map(|channel| channel.peer);
    let connected = next.and_then(|next| look.contacts.get(&next)).is_some_and(|(connected, _)| *connected);
    let waits = |state| (state == PaymentState::Held).then(|| core.waits_for(out, proposed, connected));
    let (direction, state, note) = match out.origin {
        Origin::Hold { .. } => {
            let (state, reason) = claim_state(core, id);
            ("out", state, waits(state).or(reason))
        }
        Origin::Upstream { .. } => {
            let state = match out.closing {
                Closing::Open => PaymentState::Held,
                Closing::Done(_) if !out.returned => PaymentState::Done,
                Closing::Done(_) | Closing::Freed(_) => PaymentState::Freed,
            };
            ("through", state, waits(state))
        }
    };
    // All parts that begin here, or pass through.
    let outs = core.engine().state().legs(id).filter_map(|(_, row)| row.outgoing.as_ref());
    let whole = outs.filter(|leg| leg.unit == out.unit).map(|leg| leg.amount.minor());
    let value = Some((out.unit, whole.fold(0, i64::saturating_add)));
    Standing {
        direction,
        channel: out.channel,
        value,
        state,
        note,
        expires_ms: row.expires_ms,
        since_ms: proposed.map(|proposed| proposed.time_ms),
        decider: Some(out.decider),
        pair: Some(out.pair),
    }
}

fn incoming(core: &Core, id: &ClaimId) -> Option<Standing> {
    let (state, peers) = (core.engine().state(), core.engine().peers());
    let row = state.legs(id).next().map(|(_, row)| row);
    let answered = state.legs(id).find_map(|(part, row)| Some((row.incoming.first_key_value()?, part)));
    let known = answered.map(|((channel, _), part)| (*channel, part));
    let (channel, part) = known.or_else(|| peers.hops_of(id).first().copied())?;
    let proposal = peers.leg(&channel, id, part).and_then(|said| said.proposal.as_ref());
    let intent = proposal.and_then(|proposal| Some((proposal.signed.parse().ok()?, proposal.hop)));
    let decision = state.decisions.get(id);
    let is_payee =
        decision.is_some() || intent.as_ref().is_some_and(|(intent, _)| state.ledger() == Ok(intent.payee));
    let hop = answered.map(|((_, hop), _)| hop);
    let (standing, note) = match (decision.map(|d| (d.outcome, d.code)), hop.map(|hop| hop.answer)) {
        (Some((Outcome::Accept, _)), _) => (PaymentState::Done, None),
        (Some((Outcome::Reject, code)), _) => {
            (PaymentState::Freed, Some(RejectCode::from_code(code).text().to_owned()))
        }
        (None, Some(Answer::Rejected(_))) => (PaymentState::Freed, None),
        (None, Some(Answer::None | Answer::Accepted(_)) | None) => (PaymentState::Held, None),
    };
    let booked = || hop.and_then(|hop| hop.booked).map(|(unit, amount)| (unit, amount.minor()));
    let decided = decision.and_then(|d| d.value).map(|(unit, amount)| (unit, amount.minor()));
    let proposed = || value(state.channels.get(&channel)?, part, intent.as_ref()?);
    let expires_ms = row.map(|row| row.expires_ms).or_else(|| Some(intent.as_ref()?.0.expires_ms))?;
    Some(Standing {
        direction: if is_payee { "in" } else { "through" },
        channel,
        value: decided.or_else(booked).or_else(proposed),
        state: standing,
        note,
        expires_ms,
        since_ms: proposal.map(|proposal| proposal.time_ms),
        decider: intent.as_ref().map(|(intent, _)| intent.payee),
        pair: None,
    })
}

/// What reaches us over a hop of an Intent, in our unit.
fn value(channel: &ChannelRow, part: u8, (intent, hop): &(Intent, u8)) -> Option<(UnitId, i64)> {
    let hop = intent.parts.get(usize::from(part))?.hops.get(usize::from(*hop))?;
    let value = hop_value(channel, hop, Way::In).ok()?;
    Some((value.unit, value.amount.minor()))
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use std::time::Duration;
    use weft_api::{Claim, Claims, Done, PaymentState, Statement};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_network_without_peers_has_no_claims_and_says_so_by_name() {
        let node = Node::start().await;
        let none: Claims = node.get("/api/v1/claims?all=true").await.json(200);
        assert_eq!(none.claims, vec![]);
        let before = node.digest().await;
        let id = "00".repeat(32);
        node.get(&format!("/api/v1/claims/{id}?wait_s=1")).await.problem(404, "unknown-claim");
        node.get("/api/v1/claims/xyz").await.problem(400, "malformed-path");
        node.get(&format!("/api/v1/claims/{id}?wait_s=-1")).await.problem(400, "malformed-query");
        node.post(&format!("/api/v1/claims/{id}/cancel"), None, "{}").await.problem(404, "unknown-claim");
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn payments_between_two_networks_end_done_or_freed_on_both_sides() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada").await;
        lansing.member(1, "Cy").await;
        hull.pair(&lansing).await;
        let pay =
            |to: &str| format!(r#"{{"from":"Ada","to":"{to}","amount":"2.50","memo":"eggs","wait_s":30}}"#);
        let done: Done = hull.post("/api/v1/payments", Some(&key(2)), &pay("Cy@lansing")).await.json(201);
        assert_eq!((done.state, done.reason.as_deref()), (PaymentState::Done, None));
        let again: Done = hull.post("/api/v1/payments", Some(&key(2)), &pay("cy@lansing")).await.json(200);
        assert_eq!((again.seq, &again.claim), (done.seq, &done.claim));
        hull.post("/api/v1/payments", Some(&key(2)), &pay("Di@lansing")).await.problem(409, "op-reused");
        let freed: Done = hull.post("/api/v1/payments", Some(&key(3)), &pay("Di@lansing")).await.json(201);
        assert_eq!(freed.state, PaymentState::Freed);
        assert!(freed.reason.unwrap().contains("knows nobody"));

        let path = format!("/api/v1/claims/{}", done.claim.clone().unwrap());
        let ours: Claim = hull.get(&path).await.json(200);
        assert_eq!(
            (ours.direction.as_str(), ours.peer.as_str(), ours.amount.as_str()),
            ("out", "lansing", "2.50")
        );
        let theirs: Claim = lansing.get(&path).await.json(200);
        assert_eq!(
            (theirs.direction.as_str(), theirs.peer.as_str(), theirs.unit.as_str()),
            ("in", "hull", "credit")
        );
        assert_eq!((theirs.state, theirs.amount.as_str()), (PaymentState::Done, "2.50"));
        let all: Claims = hull.get("/api/v1/claims?all=true").await.json(200);
        assert_eq!(all.claims.len(), 2);

        let ada: Statement = hull.get("/api/v1/accounts/Ada/statement").await.json(200);
        assert_eq!(ada.account.balances[0].amount, "-2.50");
        let hold = ada.lines.last().unwrap();
        assert_eq!(
            (hold.kind.as_str(), hold.memo.as_deref(), &hold.other),
            ("hold", Some("eggs"), &done.claim)
        );
        let cy: Statement = lansing.get("/api/v1/accounts/Cy/statement").await.json(200);
        let credit = &cy.lines[0];
        assert_eq!(
            (credit.kind.as_str(), credit.memo.as_deref(), &credit.other),
            ("credit", Some("eggs"), &done.claim)
        );
        hull.stop().await;
        lansing.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_payment_is_held_while_the_other_network_is_away_and_a_stop_ends_the_wait() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada").await;
        lansing.member(1, "Cy").await;
        hull.pair(&lansing).await;
        lansing.stop().await;
        let body = r#"{"from":"Ada","to":"Cy@lansing","amount":"1"}"#;
        let held: Done = hull.post("/api/v1/payments", Some(&key(2)), body).await.json(202);
        assert_eq!(held.state, PaymentState::Held);
        assert!(held.expires_ms.unwrap() > held.time_ms);
        let open: Claims = hull.get("/api/v1/claims").await.json(200);
        assert_eq!(open.claims.len(), 1);
        let over: Vec<(&str, &str)> =
            vec![(r#""amount":"100""#, "no-room"), (r#""amount":"1","expires_s":0"#, "expires")];
        for (more, code) in over {
            let body = format!(r#"{{"from":"Ada","to":"Cy@lansing",{more}}}"#);
            hull.post("/api/v1/payments", Some(&key(3)), &body).await.problem(422, code);
        }
        let path = format!("/api/v1/claims/{}?wait_s=300", held.claim.unwrap());
        let waiting = tokio::spawn(hull.detached_get(&path));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished());
        hull.stop().await;
        let still: Claim = waiting.await.unwrap().json(200);
        assert_eq!(still.state, PaymentState::Held);
    }
}
