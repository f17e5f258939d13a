//! A payment signed with the payer's own key: a transfer to somebody here, a hold for somebody elsewhere.
//!
//! Names and memo travel as a sidecar; the operation holds accounts, amounts and the sidecar's commitment only.

use super::Pay;
use crate::commands::member::{self, Found};
use crate::outcome::{Exit, Failure};
use crate::sign;
use weft_api::{PostOp, Status};
use weft_client::Client;
use weft_protocol::amount::{Amount, parse_decimal};
use weft_protocol::entry::{Payload, Role};
use weft_protocol::ids::{LedgerId, OpId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::ledger::transfer::{Hold, Transfer, move_value};
use weft_protocol::sidecar::Content;
use weft_protocol::time::Day;

/// What is moved: the parts that both kinds of payment share.
struct Moved {
    payer: Found,
    unit: UnitId,
    amount: Amount,
    when_day: Option<i32>,
}

/// Builds and signs the payment.
///
/// # Errors
/// When the payer, the payee, the network, the unit or the amount is none.
pub(super) async fn build(
    client: &Client,
    pay: &Pay,
    key: &SecretKey,
    op_id: OpId,
    wait_s: u64,
) -> Result<PostOp, Failure> {
    let status = client.status().await?;
    let unit = sign::unit(&status, pay.unit.as_deref())?;
    let amount = parse_decimal(&pay.amount, unit.scale).map_err(|why| {
        Failure::new(Exit::Refused, "amount", "this amount cannot be paid", "correct it").because(why)
    })?;
    let when_day = pay.when.as_deref().map(|text| text.parse::<Day>().map(|day| day.0)).transpose();
    let when_day = when_day
        .map_err(|why| Failure::new(Exit::Usage, "day", "this is no day", "write YYYY-MM-DD").because(why))?;
    let payer = member::find(client, &pay.from).await?;
    let moved = Moved { payer, unit: sign::unit_id(unit), amount, when_day };
    let (payload, content) = match elsewhere(client, &status, &pay.to).await? {
        Some((payee, network)) => hold(pay, moved, payee, network),
        None => transfer(client, pay, moved).await?,
    };
    let role = if pay.lift_stop { Role::Coordinator } else { Role::Member };
    let mut op = sign::sign(&status, key, role, op_id, payload, content.as_ref())?;
    op.expires_s = pay.expires;
    op.wait_s = Some(wait_s);
    Ok(op)
}

/// The payee's name and network when `to` is `name@network` and the network is another one.
async fn elsewhere<'t>(
    client: &Client,
    status: &Status,
    to: &'t str,
) -> Result<Option<(&'t str, LedgerId)>, Failure> {
    let Some((payee, network)) = to.rsplit_once('@') else { return Ok(None) };
    let peers = client.peers().await?.peers;
    if let Some(peer) = peers.iter().find(|peer| peer.alias == network) {
        return Ok(Some((payee, sign::id(&peer.ledger)?)));
    }
    if network == status.site {
        return Ok(None);
    }
    let known = client.network(network).await?;
    Ok(Some((payee, sign::id(&known.ledger)?)))
}

fn hold(pay: &Pay, moved: Moved, payee: &str, payee_network: LedgerId) -> (Payload, Option<Content>) {
    let Moved { payer, unit, amount, when_day } = moved;
    let content = Content { payee: payee.to_owned(), memo: pay.memo.clone(), payer: payer.name };
    (Payload::Hold(Hold { account: payer.account, unit, amount, payee_network, when_day }), Some(content))
}

async fn transfer(client: &Client, pay: &Pay, moved: Moved) -> Result<(Payload, Option<Content>), Failure> {
    let name = pay.to.rsplit_once('@').map_or(pay.to.as_str(), |(name, _our_own)| name);
    let payee = member::find(client, name).await?;
    if payee.account == moved.payer.account {
        let what = "nobody can pay themselves";
        return Err(Failure::new(Exit::Refused, "same-account", what, "name another payee"));
    }
    let postings = move_value(moved.payer.account, payee.account, moved.unit, moved.amount);
    let content = pay.memo.clone().map(|memo| Content {
        payee: name.to_owned(),
        memo: Some(memo),
        payer: moved.payer.name,
    });
    Ok((Payload::Transfer(Transfer { postings, when_day: moved.when_day }), content))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{args, done};
    use super::super::{run, sentence};
    use super::*;
    use crate::keyfile;
    use crate::testing::{FakeNode, Running, member, peer, status};
    use data_encoding::HEXLOWER;
    use weft_api::{Members, PaymentState, Peers};
    use weft_protocol::entry::{Op, SignedOp, op_message};
    use weft_protocol::ids::{AccountId, SigBytes};
    use weft_protocol::keys::NOTE;
    use weft_protocol::sidecar::commitment;

    fn node(answer: PaymentState) -> Running {
        let both = Members { schema: String::new(), members: vec![member("Ada", 1), member("Bo", 2)] };
        FakeNode::new()
            .answering("GET /api/v1/status", 200, &status())
            .answering("GET /api/v1/members", 200, &both)
            .answering(
                "GET /api/v1/peers",
                200,
                &Peers { schema: String::new(), peers: vec![peer("lansing")] },
            )
            .refusing("GET /api/v1/networks/nowhere", 422, "unknown-network")
            .answering("POST /api/v1/ops", 201, &done(answer))
            .start()
    }

    /// Pays, and gives the operation that the node received, its signature and sidecars checked.
    async fn posted(node: &Running, pay: Pay) -> (Op, Option<Content>, Role) {
        let path = node.file("key");
        let key = keyfile::create(&path).unwrap();
        run(&node.context(), Pay { key: Some(path), ..pay }).await.unwrap();
        let body = node.body_of("POST /api/v1/ops");
        let post: PostOp = serde_json::from_value(body).unwrap();
        let (signed, op) = SignedOp::parse(&HEXLOWER.decode(post.signed_op.as_bytes()).unwrap()).unwrap();
        let auth = &signed.auth[0];
        let message =
            op_message(&LedgerId([0x11; 32]), signed.kind, auth.signer, auth.role, auth.how, &signed.op.0);
        let sig = SigBytes::from_slice(&auth.sig.0).unwrap();
        key.public().verify(NOTE, &[&message], &sig).unwrap();
        assert_eq!(node.requests().last().unwrap().key.as_deref(), Some(op.op_id.to_string().as_str()));
        let content = post.sidecars.first().map(|sidecar| {
            let salt = HEXLOWER.decode(sidecar.salt.as_bytes()).unwrap().try_into().unwrap();
            let bytes = HEXLOWER.decode(sidecar.bytes.as_bytes()).unwrap();
            assert_eq!(op.sidecars, [commitment(&salt, &bytes)]);
            Content::parse(&bytes).unwrap()
        });
        assert_eq!(op.sidecars.len(), post.sidecars.len());
        (op, content, auth.role)
    }

    #[tokio::test]
    async fn a_payment_here_is_a_transfer_signed_by_the_payer() {
        let node = node(PaymentState::Done);
        let (op, content, role) = posted(&node, args("Bo")).await;
        let amount = Amount::new(1_250).unwrap();
        let postings = move_value(AccountId([1; 16]), AccountId([2; 16]), UnitId(1), amount);
        assert_eq!(op.payload, Payload::Transfer(Transfer { postings, when_day: Some(18_263) }));
        assert_eq!(content.unwrap().memo.as_deref(), Some("soup"));
        assert_eq!(role, Role::Member);
    }

    #[tokio::test]
    async fn a_payment_here_without_a_memo_has_no_sidecar() {
        let node = node(PaymentState::Done);
        let (_, content, role) = posted(&node, Pay { memo: None, lift_stop: true, ..args("Bo@hull") }).await;
        assert!(content.is_none());
        assert_eq!(role, Role::Coordinator);
    }

    #[tokio::test]
    async fn a_payment_elsewhere_is_a_hold_and_the_names_stay_in_the_sidecar() {
        let node = node(PaymentState::Held);
        let (op, content, _) = posted(&node, Pay { wait: 0, ..args("Bo@lansing") }).await;
        let amount = Amount::new(1_250).unwrap();
        let payee_network = LedgerId([0x77; 32]);
        let (account, unit) = (AccountId([1; 16]), UnitId(1));
        assert_eq!(
            op.payload,
            Payload::Hold(Hold { account, unit, amount, payee_network, when_day: Some(18_263) })
        );
        let content = content.unwrap();
        assert_eq!((content.payee.as_str(), content.payer.as_deref()), ("Bo", Some("Ada")));
        assert!(
            sentence(&args("Bo@lansing"), &done(PaymentState::Held)).contains("set aside for Bo@lansing")
        );
    }

    #[tokio::test]
    async fn nothing_is_posted_for_what_cannot_be_paid() {
        let node = node(PaymentState::Done);
        let path = node.file("key");
        keyfile::create(&path).unwrap();
        let long = Some("m".repeat(2_000));
        for (pay, code) in [
            (args("Ada"), "same-account"),
            (args("Cy"), "unknown-account"),
            (args("Bo@nowhere"), "unknown-network"),
            (args("@lansing"), "text-length"),
            (Pay { amount: "0".into(), ..args("Bo") }, "amount"),
            (Pay { amount: "1.234".into(), ..args("Bo") }, "amount"),
            (Pay { unit: Some("hour".into()), ..args("Bo") }, "unknown-unit"),
            (Pay { memo: long, ..args("Bo@lansing") }, "text-length"),
        ] {
            let failure = run(&node.context(), Pay { key: Some(path.clone()), ..pay }).await.unwrap_err();
            assert_eq!(failure.code, code);
        }
        assert!(node.requests().iter().all(|seen| !seen.line.starts_with("POST")));
    }
}
