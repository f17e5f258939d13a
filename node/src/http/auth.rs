//! Who may use the API over TCP: the holder of the token in `keys/api-token`. The Unix socket is guarded by its mode.

use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

/// Paths that say nothing but whether the node runs, and the one where other logs ask for cosignatures.
const OPEN: [&str; 3] = ["/livez", "/readyz", super::witness::PATH];

/// The SHA-256 of the token: comparing digests takes the same time whatever was given, and however long it is.
#[derive(Clone)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    fn fits(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        self.0.iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// Lets a request through when it is open to all or carries the token.
pub(super) async fn check(
    State(token): State<TokenDigest>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given =
        given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    if OPEN.contains(&request.uri().path()) || given.is_some_and(|given| token.fits(given)) {
        return Ok(next.run(request).await);
    }
    let why = match given {
        Some(_) => "the token is not this node's: it stands in keys/api-token of its data folder",
        None => "send the node's token: Authorization: Bearer …",
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_fits() {
        let token = TokenDigest::of("0123");
        assert!(token.fits("0123"));
        for wrong in ["", "012", "01234", "0124"] {
            assert!(!token.fits(wrong), "{wrong}");
        }
    }
}
