//! Reading requests: bodies, queries, path segments and keys, each refused by name when it is not what it should be.

use super::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;
use weft_api::IDEMPOTENCY_KEY;
use weft_protocol::ids::OpId;

/// How long a body may take to arrive: the largest import over a slow line to a proxy.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Longest body where no import is expected: a signed operation of 4 kB with its texts, in hex, many times over.
pub(super) const SMALL_BODY_BYTES: usize = 64 * 1024;

/// A JSON body.
pub(super) struct Given<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(status, "media-type", "send the body as application/json"));
        }
        let read = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, state)).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_) => {
                let why = format!("the body did not arrive within {} s", BODY_TIME.as_secs());
                return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", why));
            }
        };
        serde_json::from_slice(&bytes).map(Self).map_err(|e| ApiError::malformed("malformed-json", e))
    }
}

fn unreadable(error: &BytesRejection) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(error.status(), "too-large", "the body is longer than this request may have");
    }
    ApiError::malformed("malformed-body", error.body_text())
}

/// A query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|e| ApiError::malformed("malformed-query", e.body_text()))
    }
}

/// The one variable segment of a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|e| ApiError::malformed("malformed-path", e.body_text()))
    }
}

/// The `Idempotency-Key`: the operation's id.
pub(super) struct OpKey(pub(super) OpId);

impl<S: Send + Sync> FromRequestParts<S> for OpKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let missing = || {
            let why = "value moves at most once for each Idempotency-Key: give one (a UUID or 32 hex digits)";
            ApiError::malformed("idempotency-key-missing", why)
        };
        let key = keys.next().ok_or_else(missing)?;
        let id = key.to_str().ok().and_then(parse_key).filter(|_| keys.next().is_none());
        let bad =
            || ApiError::malformed("idempotency-key", "the Idempotency-Key is a UUID or 32 hex digits, once");
        id.map(Self).ok_or_else(bad)
    }
}

/// 32 hex digits, or a UUID in its usual form.
fn parse_key(text: &str) -> Option<OpId> {
    let is_uuid =
        text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    if is_uuid { text.replace('-', "").parse().ok() } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hex_or_a_uuid_and_nothing_between() {
        let hex = "0123456789abcdef0123456789abcdef";
        let id = parse_key(hex).unwrap();
        assert_eq!(parse_key("01234567-89ab-cdef-0123-456789ABCDEF"), Some(id));
        for bad in ["", "0123", "0123456789abcdef-0123456789abcdef", "g123456789abcdef0123456789abcdef"] {
            assert_eq!(parse_key(bad), None, "{bad}");
        }
        assert_eq!(parse_key("--------------------------------0123"), None);
    }
}
