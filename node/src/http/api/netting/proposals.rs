//! `/api/v1/netting/proposals`: invoices between members, what each is asked, and what they say.

use crate::http::error::ApiError;
use crate::http::request::{Asked, Given, Named};
use crate::http::state::Ctx;
use crate::service::{Core, ProposalRefused};
use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;
use weft_api::{NettingProposal, NettingProposals, NewInvoice, NewProposal, ProposalPart, ProposalWord};
use weft_protocol::amount::parse_decimal;
use weft_protocol::ids::{AccountId, Hash};
use weft_protocol::netting::proposal::{Invoice, MAX_INVOICES, ProposalError};

/// Longest list of invoices: each with two account ids and an amount, some 120 bytes.
const MAX_INVOICES_BODY: usize = 200 * MAX_INVOICES;

pub(super) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(propose).layer(DefaultBodyLimit::max(MAX_INVOICES_BODY)))
        .routes(routes!(show))
        .routes(routes!(part))
        .routes(routes!(say))
        .routes(routes!(withdraw))
}

impl From<ProposalRefused> for ApiError {
    fn from(refused: ProposalRefused) -> Self {
        let why = refused.to_string();
        match refused {
            ProposalRefused::Unit(unit) => unit.into(),
            ProposalRefused::Store(_) => Self::store(why),
            ProposalRefused::Unknown => Self::not_found("unknown-proposal", why),
            ProposalRefused::NotOpen(_) => Self::rule("unknown-account", why),
            ProposalRefused::Many(_) => Self::rule("proposals-many", why),
            ProposalRefused::KeyNeeded(_) => Self::rule("own-key-needed", why),
            ProposalRefused::OtherKey { .. } => Self::rule("unknown-signer", why),
            ProposalRefused::Signature(_) => Self::rule("signature", why),
            ProposalRefused::Rule(rule) => {
                let code = match rule {
                    ProposalError::Count(_) | ProposalError::Invoices(_) => "invoices",
                    ProposalError::Time(_) => "proposal-time",
                    ProposalError::NotNamed(_) => "not-named",
                    ProposalError::Ended => "proposal-ended",
                    ProposalError::Out(_) => "left-out",
                    ProposalError::NotAsked(_) => "nothing-asked",
                    ProposalError::Changed(_) => "part-changed",
                };
                Self::rule(code, why)
            }
        }
    }
}

fn id_of(text: &str) -> Result<Hash, ApiError> {
    text.parse().map_err(|_| ProposalRefused::Unknown.into())
}

fn account_of(text: &str) -> Result<AccountId, ApiError> {
    text.parse().map_err(|e| ApiError::malformed("malformed-account", e))
}

/// Proposals about invoices between members.
#[utoipa::path(get, operation_id = "nettingProposals", path = "/api/v1/netting/proposals", tag = "netting",
    responses((status = 200, description = "The latest first", body = NettingProposals)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<NettingProposals>, ApiError> {
    ctx.on_ledger(|core| Ok(Json(core.netting_proposals()?))).await
}

fn invoices(core: &Core, unit: Option<&str>, all: &[NewInvoice]) -> Result<Vec<Invoice>, ApiError> {
    let scale = core.netting_accounts(unit)?.scale;
    let invoice = |one: &NewInvoice| {
        let (debtor, creditor) = (account_of(&one.debtor)?, account_of(&one.creditor)?);
        let amount = parse_decimal(&one.amount, scale).map_err(|why| ApiError::rule("amount", why))?;
        Ok(Invoice { debtor, creditor, amount })
    };
    all.iter().map(invoice).collect()
}

/// Proposes to members what can be paid of invoices between them. It binds nobody and moves nothing.
#[utoipa::path(post, operation_id = "proposeInvoices", path = "/api/v1/netting/proposals", tag = "netting", request_body = NewProposal,
    responses((status = 201, description = "Members are asked", body = NettingProposal)))]
async fn propose(
    State(ctx): State<Ctx>,
    Given(new): Given<NewProposal>,
) -> Result<(StatusCode, Json<NettingProposal>), ApiError> {
    if new.invoices.len() > MAX_INVOICES {
        return Err(ProposalRefused::from(ProposalError::Count(new.invoices.len())).into());
    }
    ctx.on_ledger(move |core| {
        let unit = new.unit.as_deref();
        let invoices = invoices(core, unit, &new.invoices)?;
        let id = core.propose_invoices(unit, new.for_s.saturating_mul(1_000), &invoices)?;
        Ok((StatusCode::CREATED, Json(core.netting_proposal(&id)?)))
    })
    .await
}

/// A proposal, with all whom it names.
#[utoipa::path(get, operation_id = "nettingProposal", path = "/api/v1/netting/proposals/{id}", tag = "netting",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "As of now", body = NettingProposal)))]
async fn show(State(ctx): State<Ctx>, Named(id): Named) -> Result<Json<NettingProposal>, ApiError> {
    let id = id_of(&id)?;
    ctx.on_ledger(move |core| Ok(Json(core.netting_proposal(&id)?))).await
}

/// Whose part is asked about.
#[derive(Debug, Deserialize)]
struct OfAccount {
    account: String,
}

/// What one member sees of a proposal: their own invoices and account.
#[utoipa::path(get, operation_id = "proposalPart", path = "/api/v1/netting/proposals/{id}/part", tag = "netting",
    params(("id" = String, Path, description = "Its id"), ("account" = String, Query, description = "The member's account")),
    responses((status = 200, description = "As of now", body = ProposalPart)))]
async fn part(
    State(ctx): State<Ctx>,
    Named(id): Named,
    Asked(asked): Asked<OfAccount>,
) -> Result<Json<ProposalPart>, ApiError> {
    let (id, account) = (id_of(&id)?, account_of(&asked.account)?);
    ctx.on_ledger(move |core| Ok(Json(core.proposal_part(&id, account)?))).await
}

/// What a member says to their part. A yes of somebody with keys of their own is signed by one of them.
#[utoipa::path(post, operation_id = "answerProposal", path = "/api/v1/netting/proposals/{id}/words", tag = "netting", request_body = ProposalWord,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "Their part as it stands now", body = ProposalPart)))]
async fn say(
    State(ctx): State<Ctx>,
    Named(id): Named,
    Given(word): Given<ProposalWord>,
) -> Result<Json<ProposalPart>, ApiError> {
    let (id, account) = (id_of(&id)?, account_of(&word.account)?);
    let part = word.part.parse::<Hash>().map_err(|e| ApiError::malformed("malformed-part", e))?;
    let signed = match (&word.signer, &word.sig) {
        (Some(signer), Some(sig)) => {
            let signer = signer.parse().map_err(|e| ApiError::malformed("malformed-signer", e))?;
            Some((signer, sig.parse().map_err(|e| ApiError::malformed("malformed-signature", e))?))
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(ApiError::malformed("malformed-signature", "give both signer and sig, or neither"));
        }
    };
    ctx.on_ledger(move |core| {
        core.answer_proposal(&id, account, word.agrees, &part, signed)?;
        Ok(Json(core.proposal_part(&id, account)?))
    })
    .await
}

/// Takes a proposal back. Payments that were made stay.
#[utoipa::path(post, operation_id = "withdrawProposal", path = "/api/v1/netting/proposals/{id}/withdraw", tag = "netting",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "As it stands now", body = NettingProposal)))]
async fn withdraw(State(ctx): State<Ctx>, Named(id): Named) -> Result<Json<NettingProposal>, ApiError> {
    let id = id_of(&id)?;
    ctx.on_ledger(move |core| {
        core.withdraw_proposal(&id)?;
        Ok(Json(core.netting_proposal(&id)?))
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Member, NettingProposal, NettingProposals, ProposalPart, Status};
    use weft_protocol::keys::SecretKey;
    use weft_protocol::netting::proposal::sign_word;

    const ALL: &str = "/api/v1/netting/proposals";

    async fn propose(node: &Node, rows: &[(&Member, &Member, &str)]) -> NettingProposal {
        let invoice = |(debtor, creditor, amount): &(&Member, &Member, &str)| {
            format!(
                r#"{{"debtor":"{}","creditor":"{}","amount":"{amount}"}}"#,
                debtor.account, creditor.account
            )
        };
        let invoices: Vec<String> = rows.iter().map(invoice).collect();
        let body = format!(r#"{{"for_s":3600,"invoices":[{}]}}"#, invoices.join(","));
        node.post(ALL, None, &body).await.json(201)
    }

    async fn part(node: &Node, id: &str, of: &Member) -> ProposalPart {
        node.get(&format!("{ALL}/{id}/part?account={}", of.account)).await.json(200)
    }

    fn word(part: &ProposalPart, agrees: bool, signed: &str) -> String {
        format!(r#"{{"account":"{}","agrees":{agrees},"part":"{}"{signed}}}"#, part.account, part.part)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn members_see_their_part_agree_or_refuse_and_what_all_agree_to_is_paid_once() {
        let node = Node::start().await;
        node.limit_below(1, 5_000).await;
        let (ada, bo, cy) =
            (node.member(2, "Ada").await, node.member(3, "Bo").await, node.member(4, "Cy").await);
        let own = SecretKey::from_seed(&[9; 32]);
        let dee = format!(r#"{{"name":"Dee","key":"{}"}}"#, own.public().bytes());
        let dee: Member = node.post("/api/v1/members", Some(&key(5)), &dee).await.json(201);
        let rows = [(&dee, &ada, "30"), (&ada, &bo, "40"), (&bo, &dee, "10"), (&cy, &ada, "20")];
        let asked = propose(&node, &rows).await;
        assert_eq!(
            (asked.stage.as_str(), asked.owed.as_str(), asked.paid.as_str()),
            ("asking", "100.00", "100.00")
        );
        assert!(asked.payments.is_empty());
        let words = format!("{ALL}/{}/words", asked.id);
        // Cy refuses at the desk, and the rest is solved again.
        let of_ada = part(&node, &asked.id, &ada).await;
        let of_cy = part(&node, &asked.id, &cy).await;
        let said: ProposalPart = node.post(&words, None, &word(&of_cy, false, "")).await.json(200);
        assert_eq!((said.word.as_str(), said.lines[0].paid.as_str()), ("refused", "0.00"));
        node.post(&words, None, &word(&of_ada, true, "")).await.problem(422, "part-changed");
        node.post(&words, None, &word(&of_cy, true, "")).await.problem(422, "left-out");
        for member in [&ada, &bo] {
            let part = part(&node, &asked.id, member).await;
            let said: ProposalPart = node.post(&words, None, &word(&part, true, "")).await.json(200);
            assert_eq!(said.word, "agreed");
        }
        // Dee signs for herself: her key, and no other, says yes.
        let of_dee = part(&node, &asked.id, &dee).await;
        assert_eq!((of_dee.moves.as_str(), of_dee.balance_after.as_str()), ("-20.00", "-20.00"));
        node.post(&words, None, &word(&of_dee, true, "")).await.problem(422, "own-key-needed");
        let status: Status = node.get("/api/v1/status").await.json(200);
        let ledger = status.ledger.parse().unwrap();
        let sign = |key: &SecretKey, agrees| {
            let sig = sign_word(key, &ledger, &of_dee.part.parse().unwrap(), agrees);
            format!(r#","signer":"{}","sig":"{sig}""#, key.public().signer())
        };
        let other = SecretKey::from_seed(&[8; 32]);
        node.post(&words, None, &word(&of_dee, true, &sign(&other, true)))
            .await
            .problem(422, "unknown-signer");
        node.post(&words, None, &word(&of_dee, true, &sign(&own, false))).await.problem(422, "signature");
        let _: ProposalPart =
            node.post(&words, None, &word(&of_dee, true, &sign(&own, true))).await.json(200);
        let agreed: NettingProposal = node.get(&format!("{ALL}/{}", asked.id)).await.json(200);
        assert_eq!((agreed.stage.as_str(), agreed.paid.as_str()), ("agreed", "80.00"));
        let pays = |who: &Member| {
            let one = agreed.payments.iter().find(|payment| payment.from == who.account && !payment.made);
            one.map(|payment| (payment.to.clone(), payment.amount.clone(), payment.own_key))
        };
        assert_eq!(agreed.payments.len(), 2, "{:?}", agreed.payments);
        assert_eq!(pays(&dee), Some((bo.account.clone(), "20.00".to_owned(), true)));
        assert_eq!(pays(&ada), Some((bo.account.clone(), "10.00".to_owned(), false)));
        node.post(&words, None, &word(&of_dee, false, "")).await.problem(422, "proposal-ended");
        let news = node.get("/api/v1/status").await.json::<Status>(200).news;
        assert!(news.iter().any(|what| what.contains("is agreed to")), "{news:?}");
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_desk_pays_what_was_agreed_to_once_and_what_is_wrong_is_named() {
        let node = Node::start().await;
        node.limit_below(1, 5_000).await;
        let (ada, bo) = (node.member(2, "Ada").await, node.member(3, "Bo").await);
        let asked = propose(&node, &[(&ada, &bo, "12.50")]).await;
        let words = format!("{ALL}/{}/words", asked.id);
        for member in [&ada, &bo] {
            let part = part(&node, &asked.id, member).await;
            node.post(&words, None, &word(&part, true, "")).await.text(200);
        }
        let agreed: NettingProposal = node.get(&format!("{ALL}/{}", asked.id)).await.json(200);
        let one = &agreed.payments[0];
        let body = format!(r#"{{"from":"{}","to":"{}","amount":"{}"}}"#, one.from, one.to, one.amount);
        node.post("/api/v1/payments", Some(&one.op_id), &body).await.text(201);
        node.post("/api/v1/payments", Some(&one.op_id), &body).await.text(200);
        let all: NettingProposals = node.get(ALL).await.json(200);
        assert_eq!(all.proposals[0].stage, "booked");
        let bo_has: weft_api::Members = node.get("/api/v1/members?name=Bo").await.json(200);
        assert_eq!(bo_has.members[0].balances[0].amount, "12.50");
        // One that is taken back, and one that cannot be.
        let asked = propose(&node, &[(&bo, &ada, "1")]).await;
        let back: NettingProposal =
            node.post(&format!("{ALL}/{}/withdraw", asked.id), None, "null").await.json(200);
        assert_eq!(back.stage, "withdrawn");
        node.post(&format!("{ALL}/{}/withdraw", asked.id), None, "null").await.problem(422, "proposal-ended");
        node.get(&format!("{ALL}/{}", "ab".repeat(32))).await.problem(404, "unknown-proposal");
        let stranger = "cd".repeat(16);
        node.get(&format!("{ALL}/{}/part?account={stranger}", asked.id)).await.problem(422, "not-named");
        let of = |debtor: &str, amount: &str, for_s: u64| {
            let invoice =
                format!(r#"{{"debtor":"{debtor}","creditor":"{}","amount":"{amount}"}}"#, ada.account);
            format!(r#"{{"for_s":{for_s},"invoices":[{invoice}]}}"#)
        };
        for (body, code) in [
            (of(&stranger, "1", 60), "unknown-account"),
            (of(&ada.account, "1", 60), "invoices"),
            (of(&bo.account, "-1", 60), "amount"),
            (of(&bo.account, "1", 0), "proposal-time"),
            (r#"{"for_s":60,"invoices":[]}"#.to_owned(), "invoices"),
            (r#"{"unit":"gold","for_s":60,"invoices":[]}"#.to_owned(), "unknown-unit"),
        ] {
            node.post(ALL, None, &body).await.problem(422, code);
        }
        node.stop().await;
    }
}
