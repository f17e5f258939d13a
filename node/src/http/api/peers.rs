//! `/api/v1/peers`: other networks, invitations and pairings. The work is clearing's; here it is only asked for.

use crate::http::error::ApiError;
use crate::http::request::{Given, Named};
use crate::http::state::Ctx;
use crate::service::EvidenceRefused;
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use weft_api::{
    Confirm, Evidence, EvidenceList, Invitation, Join, NewEvidence, NewInvitation, Pairing, Pairings, Peers,
};
use weft_protocol::evidence::MAX_TEXT_BYTES;

/// A file of evidence as JSON: its line ends are two bytes there.
const MAX_EVIDENCE_BODY: usize = MAX_TEXT_BYTES + 8 * 1024;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(invite))
        .routes(routes!(join))
        .routes(routes!(pairings))
        .routes(routes!(confirm))
        .routes(routes!(evidence))
        .routes(routes!(add_evidence).layer(DefaultBodyLimit::max(MAX_EVIDENCE_BODY)))
}

/// All peers, and what stands between us and them.
#[utoipa::path(get, operation_id = "peers", path = "/api/v1/peers", tag = "peers",
    responses((status = 200, description = "In order of alias", body = Peers)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Peers>, ApiError> {
    let peers = ctx.app.clearing.peers().await?;
    Ok(Json(Peers { schema: "weft.peers/1".to_owned(), peers }))
}

/// Evidence that this network has recorded: who signed two things that exclude each other.
#[utoipa::path(get, operation_id = "evidence", path = "/api/v1/peers/evidence", tag = "peers",
    responses((status = 200, description = "In the order recorded", body = EvidenceList)))]
async fn evidence(State(ctx): State<Ctx>) -> Result<Json<EvidenceList>, ApiError> {
    let evidence = ctx.on_ledger(|core| Ok(core.recorded_evidence())).await?;
    Ok(Json(EvidenceList { schema: "weft.evidence-list/1".to_owned(), evidence }))
}

/// Hands in evidence that somebody has given to people: it is proven, recorded, passed on to every peer, and new payments with
/// the network that it convicts are stopped. The same evidence again changes nothing.
#[utoipa::path(post, operation_id = "addEvidence", path = "/api/v1/peers/evidence", tag = "peers", request_body = NewEvidence,
    responses((status = 201, description = "Recorded now", body = Evidence), (status = 200, description = "Recorded before", body = Evidence)))]
async fn add_evidence(
    State(ctx): State<Ctx>,
    Given(new): Given<NewEvidence>,
) -> Result<(StatusCode, Json<Evidence>), ApiError> {
    let taken = ctx.on_ledger(move |core| {
        core.hand_in_evidence(new.file.as_bytes()).map_err(|why| match why {
            EvidenceRefused::Form(why) => ApiError::malformed("malformed-evidence", why),
            EvidenceRefused::Unproven(_) => ApiError::rule("evidence-unproven", why),
            EvidenceRefused::AgainstUs { .. } => ApiError::rule("evidence-against-us", why),
            EvidenceRefused::UnknownNetwork { .. } => ApiError::rule("not-introduced", why),
            EvidenceRefused::Enough { .. } => ApiError::rule("evidence-enough", why),
        })
    });
    let taken = taken.await?;
    let status = if taken.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(taken.evidence)))
}

/// Makes a link, good for one use, that invites another network to pair.
#[utoipa::path(post, operation_id = "invite", path = "/api/v1/peers/invitations", tag = "peers", request_body = NewInvitation,
    responses((status = 201, description = "The link", body = Invitation)))]
async fn invite(
    State(ctx): State<Ctx>,
    Given(new): Given<NewInvitation>,
) -> Result<(StatusCode, Json<Invitation>), ApiError> {
    Ok((StatusCode::CREATED, Json(ctx.app.clearing.invite(new).await?)))
}

/// Answers an invitation: asks the other node for its terms.
#[utoipa::path(post, operation_id = "join", path = "/api/v1/peers/join", tag = "peers", request_body = Join,
    responses((status = 201, description = "What both operators compare and sign", body = Pairing)))]
async fn join(
    State(ctx): State<Ctx>,
    Given(join): Given<Join>,
) -> Result<(StatusCode, Json<Pairing>), ApiError> {
    Ok((StatusCode::CREATED, Json(ctx.app.clearing.join(join).await?)))
}

/// Pairings that are not done.
#[utoipa::path(get, operation_id = "pairings", path = "/api/v1/peers/pairings", tag = "peers",
    responses((status = 200, description = "All of them", body = Pairings)))]
async fn pairings(State(ctx): State<Ctx>) -> Result<Json<Pairings>, ApiError> {
    let pairings = ctx.app.clearing.pairings().await?;
    Ok(Json(Pairings { schema: "weft.pairings/1".to_owned(), pairings }))
}

/// Confirms a pairing: the words have been compared and the root set has signed.
#[utoipa::path(post, operation_id = "confirmPairing", path = "/api/v1/peers/pairings/{id}/confirm", tag = "peers", request_body = Confirm,
    params(("id" = String, Path, description = "Id of the pairing on this node")),
    responses((status = 200, description = "How it stands now", body = Pairing)))]
async fn confirm(
    State(ctx): State<Ctx>,
    Named(id): Named,
    Given(confirm): Given<Confirm>,
) -> Result<Json<Pairing>, ApiError> {
    Ok(Json(ctx.app.clearing.confirm(&id, confirm).await?))
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use crate::service::{ClaimState, PushIn, read_entries};
    use weft_protocol::ids::LedgerId;
    use weft_protocol::wire::Push;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_push_that_overtakes_another_waits_for_it_and_not_for_ever() {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada").await;
        lansing.member(1, "Cy").await;
        hull.pair(&lansing).await;
        // From here on only this test carries pushes.
        lansing.running().network().block(hull.running().network().local_peer_id()).await.unwrap();
        let body = r#"{"from":"Ada","to":"Cy@lansing","amount":"1"}"#;
        for n in 2..5 {
            let held: weft_api::Done = hull.post("/api/v1/payments", Some(&key(n)), body).await.json(202);
            assert_eq!(held.state, weft_api::PaymentState::Held);
        }
        // Whoever sent may not have heard any more how much of it was taken in.
        let read = lansing.running().inside().0.run(|core| {
            let channel = *core.engine().state().channels.keys().next().unwrap();
            (channel, core.engine().peers().stream(&channel).unwrap().next)
        });
        let (channel, from) = read.await.unwrap();
        let read = hull.running().inside().0.run(move |core| {
            let us = core.engine().state().ledger().unwrap();
            (us, core.outgoing(channel, from, None).unwrap().unwrap())
        });
        let (us, all) = read.await.unwrap();
        let count = all.push.entries.len();
        assert_eq!(all.next, from + count as u64);
        let part = |entries: std::ops::Range<usize>| Push {
            entries: all.push.entries[entries].to_vec(),
            proofs: Vec::new(),
            ..all.push.clone()
        };
        let clearing = lansing.running().inside().1.clone();
        let (first, middle, last) = (part(0..1), part(1..count - 1), part(count - 1..count));

        let alone = clearing.take_push(us, &last).await;
        assert!(alone.next == from && alone.problem.is_some(), "nothing came before it: {alone:?}");

        let overtaking = tokio::spawn({
            let (clearing, middle) = (clearing.clone(), middle.clone());
            async move { clearing.take_push(us, &middle).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!overtaking.is_finished(), "it did not wait for what comes before it");
        let answer = clearing.take_push(us, &first).await;
        assert_eq!((answer.next, answer.problem), (from + 1, None));
        let answer = overtaking.await.unwrap();
        assert_eq!((answer.next, answer.problem), (all.next - 1, None));
        let again = clearing.take_push(us, &part(0..count)).await;
        assert_eq!((again.next, again.problem), (all.next, None), "what was there already changes nothing");
        hull.stop().await;
        lansing.stop().await;
    }

    /// Two networks with an accord, between which only the test carries pushes, and a payment of Ada's to somebody there.
    async fn apart(payee: &str) -> (Node, Node, weft_api::Done) {
        let (hull, lansing) = (Node::named("hull").await, Node::named("lansing").await);
        hull.member(1, "Ada").await;
        lansing.member(1, "Cy").await;
        hull.pair(&lansing).await;
        lansing.running().network().block(hull.running().network().local_peer_id()).await.unwrap();
        let body = format!(r#"{{"from":"Ada","to":"{payee}@lansing","amount":"1"}}"#);
        let held = hull.post("/api/v1/payments", Some(&key(2)), &body).await.json(202);
        (hull, lansing, held)
    }

    /// What one of two has for the other, and who it is.
    async fn carried(from: &Node, to: &Node) -> (LedgerId, Push) {
        let at = to.running().inside().0.run(|core| {
            let channel = *core.engine().state().channels.keys().next().unwrap();
            (channel, core.engine().peers().stream(&channel).unwrap().next)
        });
        let (channel, next) = at.await.unwrap();
        let sent = from.running().inside().0.run(move |core| {
            let sent = core.outgoing(channel, next, None).unwrap().unwrap();
            (core.engine().state().ledger().unwrap(), sent.push)
        });
        sent.await.unwrap()
    }

    fn entries_in(peer: LedgerId, push: &Push) -> PushIn {
        let (entries, unreadable) = read_entries(&push.entries);
        assert!(unreadable.is_none(), "{unreadable:?}");
        let (sidecars, proofs, opened) = Default::default();
        PushIn { peer, channel: push.channel, entries, unreadable, sidecars, proofs, opened }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn other_bytes_for_a_place_are_noticed_in_the_same_group_and_later() {
        let (hull, lansing, _) = apart("Cy").await;
        let (peer, sent) = carried(&hull, &lansing).await;
        let mut forged = sent.clone();
        *forged.entries.last_mut().unwrap().0.last_mut().unwrap() ^= 1;
        for _ in 0..2 {
            let (sent, forged) = (sent.clone(), forged.clone());
            let told =
                lansing.running().inside().0.run(move |core| {
                    [&sent, &forged].map(|push| core.push_in(entries_in(peer, push)).0.problem)
                });
            let [same, other] = told.await.unwrap();
            assert_eq!(same, None, "what is the same is no problem");
            assert!(other.as_ref().is_some_and(|why| why.contains("with other bytes")), "{other:?}");
        }
        hull.stop().await;
        lansing.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn why_a_payment_was_turned_down_is_known_in_the_same_group_and_later() {
        let (hull, lansing, held) = apart("Nobody").await;
        let claim = held.claim.unwrap().parse().unwrap();
        let (peer, sent) = carried(&hull, &lansing).await;
        lansing.running().inside().1.take_push(peer, &sent).await;
        let (peer, answer) = carried(&lansing, &hull).await;
        let ledger = hull.running().inside().0.clone();
        let at_once = ledger.run(move |core| {
            assert_eq!(core.push_in(entries_in(peer, &answer)).0.problem, None);
            core.claim_state(&claim)
        });
        let at_once = at_once.await.unwrap();
        let later = ledger.run(move |core| core.claim_state(&claim)).await.unwrap();
        assert!(matches!(later, Some(ClaimState::Freed(Some(_)))), "{later:?}");
        assert_eq!(at_once, later);
        hull.stop().await;
        lansing.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_request_about_peers_is_refused_by_name() {
        let node = Node::start().await;
        let before = node.digest().await;
        let unknown = r#"{"link":"x","unit":"credit","extra":1}"#;
        let none: weft_api::EvidenceList = node.get("/api/v1/peers/evidence").await.json(200);
        assert!(none.evidence.is_empty());
        node.post("/api/v1/peers/evidence", None, r#"{"file":"weft-evidence/1"}"#)
            .await
            .problem(400, "malformed-evidence");
        node.post("/api/v1/peers/join", None, unknown).await.problem(400, "malformed-json");
        node.post("/api/v1/peers/join", None, "").await.problem(400, "malformed-json");
        node.post("/api/v1/peers/invitations", None, r#"{"unit":"credit"}"#)
            .await
            .problem(400, "malformed-json");
        let confirm = r#"{"words":[],"signatures":[{"signer":"00","sig":"00","x":1}]}"#;
        node.post("/api/v1/peers/pairings/1/confirm", None, confirm).await.problem(400, "malformed-json");
        node.send("POST", "/api/v1/peers/join", &[("Content-Type", "text/plain")], "{}")
            .await
            .problem(415, "media-type");
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
