//! Operations that this program builds and signs itself, with a key the node never sees.

use crate::outcome::{Exit, Failure};
use crate::system;
use data_encoding::HEXLOWER;
use weft_api::{PostOp, Sidecar, Status, Unit};
use weft_protocol::encoding::encode;
use weft_protocol::entry::{How, Op, Payload, Role, SignedOp};
use weft_protocol::ids::{LedgerId, OpId, UnitId};
use weft_protocol::keys::SecretKey;
use weft_protocol::sidecar::{self, Content};

/// How long a signed operation may wait to be taken in: a day of trying again, far below the 35 days allowed.
const GOOD_FOR_MS: u64 = 86_400_000;

/// The id given, or a fresh one.
pub(crate) fn op_id(given: Option<OpId>) -> OpId {
    given.unwrap_or_else(|| OpId(system::random()))
}

/// Signs an operation for the node's ledger, with the text it commits to.
///
/// # Errors
/// When the ledger id in `status` is none, or the text is too long.
pub(crate) fn sign(
    status: &Status,
    key: &SecretKey,
    role: Role,
    op_id: OpId,
    payload: Payload,
    content: Option<&Content>,
) -> Result<PostOp, Failure> {
    let ledger: LedgerId = id(&status.ledger)?;
    let mut sidecars = Vec::new();
    let mut commitments = Vec::new();
    if let Some(content) = content {
        content.check().map_err(|e| {
            Failure::new(Exit::Refused, "text-length", "the names and the memo do not fit", "shorten them")
                .because(e)
        })?;
        let bytes = content.to_bytes();
        let salt = system::random();
        commitments.push(sidecar::commitment(&salt, &bytes));
        sidecars.push(Sidecar { salt: HEXLOWER.encode(&salt), bytes: HEXLOWER.encode(&bytes) });
    }
    let not_after_ms = system::now_ms().saturating_add(GOOD_FOR_MS);
    let op = Op { op_id, not_after_ms, payload, sidecars: commitments };
    let signed = SignedOp::unsigned(&op).signed(&ledger, key, role, How::OwnKey);
    Ok(PostOp { signed_op: HEXLOWER.encode(&encode(&signed)), sidecars, expires_s: None, wait_s: None })
}

/// The unit with this code; without a code, the only one there is.
///
/// # Errors
/// When there is no such unit, or several and no code.
pub(crate) fn unit<'s>(status: &'s Status, code: Option<&str>) -> Result<&'s Unit, Failure> {
    let codes = || status.units.iter().map(|u| u.code.as_str()).collect::<Vec<_>>().join(", ");
    match (code, &status.units[..]) {
        (Some(code), units) => units.iter().find(|u| u.code == code).ok_or_else(|| {
            let what = format!("this network has no unit \"{code}\"");
            Failure::new(Exit::Refused, "unknown-unit", what, format!("its units: {}", codes()))
        }),
        (None, [only]) => Ok(only),
        (None, []) => {
            let advice = "define one with `weft unit add`";
            Err(Failure::new(Exit::Refused, "unknown-unit", "this network has no unit yet", advice))
        }
        (None, _) => {
            let what = "this network has several units";
            Err(Failure::new(Exit::Usage, "unit-needed", what, format!("add --unit, one of: {}", codes())))
        }
    }
}

/// The number of a unit in the ledger.
pub(crate) fn unit_id(unit: &Unit) -> UnitId {
    UnitId(unit.unit)
}

/// An id that the node gave as text.
///
/// # Errors
/// When the node's text is no such id.
pub(crate) fn id<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|e: T::Err| {
        let advice = "check that --data or --url names a Weft node of this version";
        Failure::new(Exit::NotReachable, "malformed-answer", "the node gave an id that is none", advice)
            .because(e.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_unit_may_be_left_out_only_when_there_is_one() {
        let mut status = testing::status();
        assert_eq!(unit(&status, None).unwrap().code, "credit");
        assert_eq!(unit(&status, Some("hour")).unwrap_err().code, "unknown-unit");
        let second = Unit { unit: 2, code: "hour".into(), ..status.units[0].clone() };
        status.units.push(second);
        assert_eq!(unit(&status, None).unwrap_err().exit, Exit::Usage);
        assert_eq!(unit(&status, Some("hour")).unwrap().unit, 2);
    }
}
