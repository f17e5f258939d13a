//! `/api/v1/ops`: takes operations that their authors have signed.

use crate::http::error::ApiError;
use crate::http::request::{Given, OpKey};
use crate::http::state::Ctx;
use crate::http::view::{answer, done, settle};
use crate::service::{Core, Prepared, Text};
use axum::extract::State;
use axum::response::Response;
use data_encoding::HEXLOWER_PERMISSIVE;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use weft_api::{Done, PostOp, Sidecar};
use weft_protocol::entry::SignedOp;
use weft_protocol::sidecar::MAX_CONTENT_BYTES;

pub(in crate::http) fn routes() -> OpenApiRouter<Ctx> {
    OpenApiRouter::new().routes(routes!(post))
}

/// Writes a signed operation. The `Idempotency-Key` must be its op id.
#[utoipa::path(post, operation_id = "postOp", path = "/api/v1/ops", tag = "payments", request_body = PostOp,
    params(("Idempotency-Key" = String, Header, description = "The op id, as a UUID or 32 hex digits")),
    responses((status = 201, description = "Written and final", body = Done),
        (status = 200, description = "Written before, and final", body = Done),
        (status = 202, description = "Written; the value is held until the other network answers", body = Done)))]
async fn post(
    State(ctx): State<Ctx>,
    OpKey(op_id): OpKey,
    Given(post): Given<PostOp>,
) -> Result<Response, ApiError> {
    let bytes = hex("signed_op", &post.signed_op)?;
    let (signed, op) = SignedOp::parse(&bytes).map_err(|e| ApiError::malformed("malformed-op", e))?;
    if op.op_id != op_id {
        let why = format!("the Idempotency-Key is {op_id}, the operation's id is {}", op.op_id);
        return Err(ApiError::malformed("idempotency-key-differs", why));
    }
    let texts = post.sidecars.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let (expires_s, wait_s) = (post.expires_s, post.wait_s);
    let write = move |core: &mut Core| {
        let now_ms = core.clock().now_ms().max(core.engine().state().head.time_ms);
        let expires_ms = expires_s.map(|s| now_ms.saturating_add(s.saturating_mul(1_000)));
        let written = core.submit(Prepared { signed: signed.clone(), texts: texts.clone(), expires_ms })?;
        done(core, &written)
    };
    let (done, known) = ctx.on_ledger(write).await?;
    Ok(answer(settle(&ctx, done, wait_s).await?, known))
}

fn hex(what: &str, text: &str) -> Result<Vec<u8>, ApiError> {
    let decoded = HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    decoded.map_err(|e| ApiError::malformed("malformed-hex", format!("{what} is not hex: {e}")))
}

fn text(sidecar: &Sidecar) -> Result<Text, ApiError> {
    let salt = hex("salt", &sidecar.salt)?;
    let wrong = |got: usize| ApiError::malformed("malformed-hex", format!("a salt is 32 bytes, got {got}"));
    let salt = <[u8; 32]>::try_from(salt).map_err(|salt| wrong(salt.len()))?;
    let bytes = hex("bytes", &sidecar.bytes)?;
    if bytes.len() > MAX_CONTENT_BYTES {
        let why = format!("a text of {} bytes: at most {MAX_CONTENT_BYTES} are allowed", bytes.len());
        return Err(ApiError::rule("text-length", why));
    }
    Ok(Text { salt, bytes })
}

#[cfg(test)]
mod tests {
    use crate::http::testkit::{Node, key};
    use data_encoding::HEXLOWER;
    use weft_api::{Done, Member};
    use weft_protocol::encoding::encode;
    use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
    use weft_protocol::ids::{AccountId, LedgerId, OpId, UnitId};
    use weft_protocol::keys::SecretKey;
    use weft_protocol::ledger::transfer::{Transfer, move_value};

    struct Signer {
        ledger: LedgerId,
        from: AccountId,
        to: AccountId,
        now_ms: u64,
    }

    impl Signer {
        async fn new(node: &Node) -> Self {
            let own = SecretKey::from_seed(&[9; 32]).public().bytes();
            let eve = format!(r#"{{"name":"Eve","key":"{own}"}}"#);
            let eve: Member = node.post("/api/v1/members", Some(&key(1)), &eve).await.json(201);
            assert!(eve.own_keys);
            let bob = node.member(2, "Bob").await;
            let status: weft_api::Status = node.get("/api/v1/status").await.json(200);
            let (from, to) = (eve.account.parse().unwrap(), bob.account.parse().unwrap());
            Self { ledger: status.ledger.parse().unwrap(), from, to, now_ms: crate::clock::Clock.now_ms() }
        }

        fn op(&self, n: u8, seed: u8) -> String {
            let amount = weft_protocol::amount::Amount::new(100).unwrap();
            let postings = move_value(self.from, self.to, UnitId(1), amount);
            let payload = Payload::Transfer(Transfer { postings, when_day: None });
            let op =
                Op { op_id: OpId([n; 16]), not_after_ms: self.now_ms + 60_000, payload, sidecars: vec![] };
            let signer = SecretKey::from_seed(&[seed; 32]);
            let signed = SignedOp::unsigned(&op).signed(&self.ledger, &signer, Role::Member, How::OwnKey);
            HEXLOWER.encode(&encode(&signed))
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_signed_operation_is_written_once_under_its_own_id() {
        let node = Node::start().await;
        let signer = Signer::new(&node).await;
        let body = format!(r#"{{"signed_op":"{}"}}"#, signer.op(3, 9));
        let done: Done = node.post("/api/v1/ops", Some(&key(3)), &body).await.json(201);
        let again: Done = node.post("/api/v1/ops", Some(&key(3)), &body).await.json(200);
        assert_eq!(done.leaf, again.leaf);
        node.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn bad_operations_are_refused_by_name_and_change_nothing() {
        let node = Node::start().await;
        let signer = Signer::new(&node).await;
        let before = node.digest().await;
        let op = signer.op(3, 9);
        let forged = {
            // The last byte of the signature, which stands at the end.
            let (head, tail) = op.split_at(op.len() - 2);
            format!("{head}{:02x}", u8::from_str_radix(tail, 16).unwrap() ^ 1)
        };
        let body = |op: &str, more: &str| format!(r#"{{"signed_op":"{op}"{more}}}"#);
        let sidecar = format!(r#","sidecars":[{{"salt":"{}","bytes":"00"}}]"#, "00".repeat(32));
        let cases: &[(u8, String, u16, &str)] = &[
            (4, body(&op, ""), 400, "idempotency-key-differs"),
            (3, body("zz", ""), 400, "malformed-hex"),
            (3, body("", ""), 400, "malformed-op"),
            (3, body(&format!("{op}00"), ""), 400, "malformed-op"),
            (3, body(&"00".repeat(5_000), ""), 400, "malformed-op"),
            (3, body(&forged, ""), 422, "signature"),
            (3, body(&signer.op(3, 8), ""), 422, "unknown-signer"),
            (3, body(&op, &sidecar), 422, "texts-differ"),
            (3, body(&op, r#","sidecars":[{"salt":"00","bytes":""}]"#), 400, "malformed-hex"),
            (3, body(&op, r#","extra":1"#), 400, "malformed-json"),
        ];
        for (n, body, status, code) in cases {
            node.post("/api/v1/ops", Some(&key(*n)), body).await.problem(*status, code);
        }
        assert_eq!(node.digest().await, before);
        node.stop().await;
    }
}
