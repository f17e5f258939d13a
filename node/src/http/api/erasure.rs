//! `/api/v1/accounts/{account}/erasure`: forgetting a person.
//!
//! The entry is durable before anything is destroyed, and the answer comes when nothing personal is left in the files.

use crate::http::error::ApiError;
use crate::http::request::{Given, Named, OpKey};
use crate::http::state::{Ctx, blocking};
use crate::http::view::{member, name_of};
use crate::service::{Core, OpRefused};
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Erased, NewErasure, Reason};
use weft_protocol::ids::{AccountId, OpId};
use weft_protocol::ledger::Rejected;
use weft_protocol::ledger::erasure::ErasureReason;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(erase))
}

/// Destroys everything personal about the holder of an account: name, texts and salts. The entries stay, under an
/// account that is nobody's. It cannot be undone.
#[utoipa::path(post, operation_id = "erase", path = "/api/v1/accounts/{account}/erasure", tag = "members",
    request_body = NewErasure,
    params(("account" = String, Path, description = "A name or an account id"),
        ("Idempotency-Key" = String, Header, description = "A UUID or 32 hex digits: the operation's id")),
    responses((status = 200, description = "Nothing personal is left", body = Erased)))]
async fn erase(
    State(ctx): State<Ctx>,
    Named(who): Named,
    OpKey(op_id): OpKey,
    Given(new): Given<NewErasure>,
) -> Result<Json<Erased>, ApiError> {
    let answer = ctx.on_ledger(move |core| written(core, &who, op_id, &new)).await?;
    let account = answer.account.parse::<AccountId>().map_err(ApiError::internal)?;
    // Only now, when the entry is durable; the texts are found through the index, which knows it too.
    let found = ctx.on_ledger(move |core| {
        let traces = core.traces(&account).map_err(ApiError::store)?;
        Ok((traces, core.private().clone()))
    });
    let (traces, private) = found.await?;
    let erased = blocking(move || Ok(private.erase_person(&account, &traces)?)).await?;
    Ok(Json(Erased { name: erased.person, texts: erased.sidecars, ..answer }))
}

/// Writes the entry, or finds it written.
fn written(core: &mut Core, who: &str, op_id: OpId, new: &NewErasure) -> Result<Erased, ApiError> {
    let unknown = || ApiError::not_found("unknown-account", format!("nobody here is called \"{who}\""));
    // The name is gone after the first time: a repeated request is found by its operation.
    let account = core.account_named(who).or_else(|| core.erased_by(&op_id)).ok_or_else(unknown)?;
    let name = name_of(core.private(), &account)?;
    let known = name.unwrap_or_else(|| account.to_string());
    if !core.engine().state().erased.contains_key(&account) && new.confirm.trim() != known {
        let why = "the confirmation is not the name as it is known here; nothing was erased";
        return Err(ApiError::rule("confirm-name", why));
    }
    let reason = match new.reason {
        Reason::Asked => ErasureReason::Asked,
        Reason::Retention => ErasureReason::Retention,
        Reason::Ordered => ErasureReason::Ordered,
    };
    match core.erase(account, reason, op_id) {
        // Erased before: what is left is destroyed once more.
        Ok(_) | Err(OpRefused::Rule(Rejected::NothingToDo)) => {}
        Err(refused) => return Err(refused.into()),
    }
    let state = core.engine().state();
    let row = state.erased.get(&account).ok_or_else(|| ApiError::internal("the erasure is not there"))?;
    let left = state.accounts.get(&account).and_then(|row| member(state, &account, row));
    Ok(Erased {
        schema: "weft.erased/1".to_owned(),
        account: account.to_string(),
        seq: row.seq,
        name: false,
        texts: 0,
        balances: left.map(|left| left.balances).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use weft_api::{Erased, Members};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_person_is_erased_once_and_the_books_stay() {
        let node = Node::start().await;
        node.member(1, "Ada").await;
        node.member(2, "Bob").await;
        let pay = r#"{"from":"Ada","to":"Bob","amount":"3.00","memo":"soup"}"#;
        node.post("/api/v1/payments", Some(&key(3)), pay).await;
        let path = "/api/v1/accounts/Ada/erasure";
        let wrong = r#"{"reason":"asked","confirm":"ada"}"#;
        node.post(path, Some(&key(4)), wrong).await.problem(422, "confirm-name");
        let right = r#"{"reason":"asked","confirm":"Ada"}"#;
        let erased: Erased = node.post(path, Some(&key(4)), right).await.json(200);
        assert_eq!((erased.name, erased.texts), (true, 1));
        assert_eq!(erased.balances.len(), 1);
        let again: Erased = node.post(path, Some(&key(4)), right).await.json(200);
        assert_eq!((again.seq, again.name, again.texts), (erased.seq, false, 0));
        node.post(path, Some(&key(5)), right).await.problem(404, "unknown-account");
        let by_id = format!("/api/v1/accounts/{}/erasure", erased.account);
        let once_more: Erased = node.post(&by_id, Some(&key(6)), right).await.json(200);
        assert_eq!(once_more.seq, erased.seq);
        let members: Members = node.get("/api/v1/members").await.json(200);
        let ada = members.members.iter().find(|m| m.account == erased.account).unwrap();
        assert!(ada.closed && ada.name.is_none(), "{ada:?}");
        let pay = r#"{"from":"Bob","to":"Ada","amount":"1.00"}"#;
        node.post("/api/v1/payments", Some(&key(7)), pay).await.problem(422, "unknown-member");
        // The name is free again.
        node.member(8, "Ada").await;
        node.stop().await;
    }
}
