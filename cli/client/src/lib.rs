//! A small client of the node's HTTP API (`specs/openapi.json`), over its Unix socket or loopback.
//!
//! Three things always hold: an answer is read up to a cap before anything is parsed; every request ends within
//! its time-out; and an error says whether the node can have acted on the request. [`Error::NotReachable`] means
//! that it cannot, [`Error::Interrupted`] that it may have, so the same request is sent again with the same
//! `Idempotency-Key` and never with another.

mod api;
mod error;
mod http;
mod place;

pub use error::Error;
pub use http::{Answer, Method, Request};

use place::Place;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a request may take when the caller says nothing: longer than a slow disk's sync, shorter than the
/// patience of a person.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer: the state of all claims of a large network, with room.
pub const DEFAULT_BODY_CAP: usize = 16 * 1024 * 1024;

/// A client of one node. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Arc<http::Pool>,
    timeout: Duration,
    body_cap: usize,
}

impl Client {
    /// A client of the node that listens on this Unix socket. Nothing is opened before the first request.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(Place::Unix(path.into()), None)
    }

    /// A client of the node at `http://127.0.0.1:PORT` (or `localhost`, `[::1]`), with its bearer token.
    ///
    /// # Errors
    /// [`Error::BadAddress`] when the address is not of that form, is not on this machine, or the token holds
    /// characters that no token has.
    pub fn url(url: &str, token: Option<&str>) -> Result<Self, Error> {
        Ok(Self::at(Place::parse(url)?, token.map(http::bearer).transpose()?))
    }

    fn at(place: Place, token: Option<hyper::header::HeaderValue>) -> Self {
        let pool = Arc::new(http::Pool::new(place, token));
        Self { pool, timeout: DEFAULT_TIMEOUT, body_cap: DEFAULT_BODY_CAP }
    }

    /// The same client with another time-out for each request, its connection included.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same client with another cap for the body of an answer, in bytes.
    #[must_use]
    pub fn with_body_cap(mut self, bytes: usize) -> Self {
        self.body_cap = bytes;
        self
    }

    /// Where the node is, for messages.
    pub fn place(&self) -> String {
        self.pool.place().to_string()
    }

    /// Reads a resource. `path` starts with `/` and is escaped already (see [`escape`]).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(Request::get(path)).await?.json()
    }

    /// Reads a resource that is text.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_text(&self, path: &str) -> Result<String, Error> {
        self.send(Request::get(path)).await?.text()
    }

    /// Posts a body. With an `idempotency_key` the node does it at most once, however often it is posted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + ?Sized),
        idempotency_key: Option<&str>,
    ) -> Result<T, Error> {
        self.send(Request::post(path, body, idempotency_key)?).await?.json()
    }

    /// Sends any request and gives its answer, whatever its status: for callers that need the status itself.
    ///
    /// # Errors
    /// [`Error::NotReachable`], [`Error::Interrupted`] or [`Error::Malformed`], never a problem.
    pub async fn send(&self, request: Request) -> Result<Answer, Error> {
        self.pool.send(request, self.timeout, self.body_cap).await
    }
}

/// Posts a text to any `http://` address, without a token, and gives the answer whatever its status: for services of
/// others that are open to all, such as witnesses. Nothing is encrypted: only what may be public may be sent.
///
/// # Errors
/// [`Error::BadAddress`], or as [`Client::send`].
pub async fn post_text(url: &str, body: Vec<u8>, timeout: Duration, cap: usize) -> Result<Answer, Error> {
    let (place, path) = Place::parse_open(url)?;
    let request = Request::text(&path, body);
    http::Pool::new(place, None).send(request, timeout, cap).await
}

/// A text as one segment of a path or one value of a query: all but letters, digits, `-`, `.`, `_`, `~` as `%XX`.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_so_that_they_stay_one_segment() {
        assert_eq!(escape("Ada-1_x.y~"), "Ada-1_x.y~");
        assert_eq!(escape("a/b ?é"), "a%2Fb%20%3F%C3%A9");
    }
}
