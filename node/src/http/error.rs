//! Every refusal as problem+json (RFC 9457) with the name of the rule.

use crate::clearing::ClearingError;
use crate::service::{OpRefused, ServiceError};
use crate::store::{IndexError, PrivateError};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use weft_api::Problem;
use weft_protocol::ledger::Rejected;

/// Media type of a problem.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// The same operation is being written at this moment.
pub(super) const UNDER_WAY: &str = "op-under-way";

/// Why a request is refused; the request has changed nothing unless the detail says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl std::fmt::Display,
    ) -> Self {
        Self { status, code: code.into(), detail: detail.to_string() }
    }
    /// The request cannot be understood.
    pub(super) fn malformed(code: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }
    /// There is no such thing.
    pub(super) fn not_found(code: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }
    /// Understood, and refused by a rule.
    pub(super) fn rule(code: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }
    /// The stores cannot be read.
    pub(super) fn store(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", format!("the stores cannot be read: {detail}"))
    }
    /// A fault of this program.
    pub(super) fn internal(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
    pub(super) fn code(&self) -> &str {
        &self.code
    }
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }
}

/// A code in words: `limit-stop` is "Limit stop".
fn title(code: &str) -> String {
    let words = code.replace('-', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: title(&self.code),
            status: self.status.as_u16(),
            code: self.code.into_owned(),
            detail: self.detail,
        };
        let body = serde_json::to_vec(&problem).expect("five plain fields have a JSON form");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let code = match &error {
            ServiceError::Stopped(_) => "ledger-stopped",
            ServiceError::Closed => "shutting-down",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error)
    }
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        let status = match rejected {
            Rejected::Quarantined | Rejected::NotHeard { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, rejected.code(), rejected)
    }
}

impl From<OpRefused> for ApiError {
    fn from(refused: OpRefused) -> Self {
        match refused {
            OpRefused::Malformed(error) => Self::malformed("malformed-op", error),
            OpRefused::Rule(rejected) => rejected.into(),
            OpRefused::TimeHeld(held) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "time-unconfirmed", held),
            OpRefused::Reused(_) => Self::new(StatusCode::CONFLICT, "op-reused", refused),
            OpRefused::UnderWay(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, UNDER_WAY, refused),
            OpRefused::Texts => Self::rule("texts-differ", refused),
            OpRefused::NoSecret { .. } => Self::rule("no-secret", refused),
            OpRefused::NoSealKey => Self::rule("no-seal-key", refused),
            OpRefused::Store(why) => Self::store(why),
        }
    }
}

impl From<ClearingError> for ApiError {
    fn from(error: ClearingError) -> Self {
        let status =
            StatusCode::from_u16(error.status).ok().filter(|s| s.is_client_error() || s.is_server_error());
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.code, error.detail)
    }
}

impl From<PrivateError> for ApiError {
    fn from(error: PrivateError) -> Self {
        Self::store(error)
    }
}

impl From<IndexError> for ApiError {
    fn from(error: IndexError) -> Self {
        Self::store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_protocol::ids::OpId;

    #[test]
    fn each_kind_of_refusal_has_its_status_and_the_name_of_its_rule() {
        let cases: [(ApiError, u16, &str); 6] = [
            (OpRefused::Reused(OpId::ZERO).into(), 409, "op-reused"),
            (OpRefused::UnderWay(OpId::ZERO).into(), 503, "op-under-way"),
            (OpRefused::Rule(Rejected::NoGenesis).into(), 422, "no-genesis"),
            (OpRefused::Texts.into(), 422, "texts-differ"),
            (ServiceError::Stopped("disk full".into()).into(), 503, "ledger-stopped"),
            (ClearingError { status: 200, code: "x".into(), detail: String::new() }.into(), 500, "x"),
        ];
        for (error, status, code) in cases {
            assert_eq!((error.status().as_u16(), error.code()), (status, code));
        }
        assert_eq!(title("limit-stop"), "Limit stop");
    }
}
