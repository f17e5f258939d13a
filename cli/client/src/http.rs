//! Requests, answers, and the connections they share.
//!
//! A connection serves one request at a time and is kept for the next. A request is sent a second time only when
//! that cannot do anything twice: it never left, or it reads, or it carries an `Idempotency-Key`; and only when the
//! first try went over a kept connection, which the node may have closed meanwhile.

use crate::Error;
use crate::place::{Place, Stream};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weft_api::{IDEMPOTENCY_KEY, Problem};

/// Connections kept for later requests: twice the 16 that a busy client has in flight.
const MAX_IDLE: usize = 32;
/// Most bytes of an answer's head; ours have a few hundred.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Longest token or key that is sent: longer ones are no tokens of ours.
const MAX_HEADER_BYTES: usize = 1_024;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks for something to be done.
    Post,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: String,
    body: Bytes,
    idempotency_key: Option<String>,
    extra_time: Duration,
    content_type: &'static str,
}

impl Request {
    /// Reads `path`, which starts with `/`.
    pub fn get(path: &str) -> Self {
        Self::raw(Method::Get, path, Vec::new(), None)
    }

    /// Posts a value as JSON.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the value has no JSON form.
    pub fn post(path: &str, body: &(impl Serialize + ?Sized), key: Option<&str>) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|e| Error::Malformed {
            what: path.to_owned(),
            why: format!("the request has no JSON form: {e}"),
        })?;
        Ok(Self::raw(Method::Post, path, body, key))
    }

    /// Any bytes as the body, for tests that send what no client would.
    pub fn raw(method: Method, path: &str, body: Vec<u8>, key: Option<&str>) -> Self {
        let idempotency_key = key.map(str::to_owned);
        Self {
            method,
            path: path.to_owned(),
            body: body.into(),
            idempotency_key,
            extra_time: Duration::ZERO,
            content_type: "application/json",
        }
    }

    /// Posts a text.
    pub(crate) fn text(path: &str, body: Vec<u8>) -> Self {
        Self { content_type: "text/plain; charset=utf-8", ..Self::raw(Method::Post, path, body, None) }
    }

    /// Gives the node this much longer, for requests that wait for something.
    #[must_use]
    pub fn waiting(mut self, time: Duration) -> Self {
        self.extra_time = time;
        self
    }

    fn what(&self) -> String {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        format!("{method} {}", self.path)
    }

    /// Whether doing it twice is the same as doing it once.
    fn is_repeatable(&self) -> bool {
        self.method == Method::Get || self.idempotency_key.is_some()
    }
}

/// An answer, read in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    what: String,
}

impl Answer {
    /// The value in a 2xx answer.
    ///
    /// # Errors
    /// [`Error::Problem`] for any other status, [`Error::Malformed`] when the body is neither.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let body = self.success()?;
        serde_json::from_slice(body).map_err(|e| self.malformed(&format!("{e}")))
    }

    /// The text of a 2xx answer.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn text(&self) -> Result<String, Error> {
        let body = self.success()?;
        String::from_utf8(body.to_vec()).map_err(|_| self.malformed("it is not UTF-8"))
    }

    fn success(&self) -> Result<&[u8], Error> {
        if (200..300).contains(&self.status) {
            return Ok(&self.body);
        }
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => Err(Error::Problem(problem)),
            Err(_) => Err(self.malformed(&format!("status {} without a problem in words", self.status))),
        }
    }

    fn malformed(&self, why: &str) -> Error {
        Error::Malformed { what: self.what.clone(), why: why.to_owned() }
    }
}

/// A bearer token as a header that never prints.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let bad = |why: &str| Error::BadAddress { address: "the token".to_owned(), why: why.to_owned() };
    if token.is_empty() || token.len() > MAX_HEADER_BYTES {
        return Err(bad("a token has 1 to 1024 characters"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| bad("it holds a character that no token has, such as a line break"))?;
    value.set_sensitive(true);
    Ok(value)
}

type Connection = SendRequest<Full<Bytes>>;

/// The connections to one node.
#[derive(Debug)]
pub(crate) struct Pool {
    place: Place,
    token: Option<HeaderValue>,
    idle: Mutex<Vec<Connection>>,
}

/// How a try ended without an answer.
enum Lost {
    /// The request never left.
    Unsent(String),
    /// It may have been read.
    Unknown(String),
}

impl Pool {
    pub(crate) fn new(place: Place, token: Option<HeaderValue>) -> Self {
        Self { place, token, idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) async fn send(
        &self,
        request: Request,
        timeout: Duration,
        cap: usize,
    ) -> Result<Answer, Error> {
        let limit = timeout.saturating_add(request.extra_time);
        // A time-out while connecting is safe to call "not reachable"; later it is not.
        let mut sent = false;
        let outcome = tokio::time::timeout(limit, self.exchange(&request, cap, &mut sent)).await;
        outcome.unwrap_or_else(|_| {
            let why = format!("no whole answer within {limit:?}");
            Err(if sent { self.interrupted(why) } else { self.not_reachable(why) })
        })
    }

    async fn exchange(&self, request: &Request, cap: usize, sent: &mut bool) -> Result<Answer, Error> {
        while let Some(connection) = self.take_idle() {
            *sent = true;
            match self.attempt(connection, request, cap).await? {
                Ok(answer) => return Ok(answer),
                Err(Lost::Unsent(_)) => {}
                Err(Lost::Unknown(_)) if request.is_repeatable() => break,
                Err(Lost::Unknown(why)) => return Err(self.interrupted(why)),
            }
        }
        let connection = self.connect().await?;
        *sent = true;
        match self.attempt(connection, request, cap).await? {
            Ok(answer) => Ok(answer),
            Err(Lost::Unsent(why)) => Err(self.not_reachable(why)),
            Err(Lost::Unknown(why)) => Err(self.interrupted(why)),
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = self.place.connect().await.map_err(|e| self.not_reachable(e.to_string()))?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD_BYTES);
        // The driver ends by itself when the connection is closed or its sender is dropped.
        let sender = match stream {
            Stream::Unix(io) => {
                builder.handshake(io).await.map(|(sender, driver)| (sender, tokio::spawn(driver)).0)
            }
            Stream::Tcp(io) => {
                builder.handshake(io).await.map(|(sender, driver)| (sender, tokio::spawn(driver)).0)
            }
        };
        sender.map_err(|e| self.not_reachable(e.to_string()))
    }

    /// One try over one connection. The outer error is final, the inner one may be tried again.
    async fn attempt(
        &self,
        mut connection: Connection,
        request: &Request,
        cap: usize,
    ) -> Result<Result<Answer, Lost>, Error> {
        if let Err(e) = connection.ready().await {
            return Ok(Err(Lost::Unsent(e.to_string())));
        }
        let message = self.message(request)?;
        let response = match connection.try_send_request(message).await {
            Ok(response) => response,
            Err(mut e) => {
                let why = describe(e.error());
                // A head that is not HTTP is an answer, and not one of a node.
                if e.error().is_parse() {
                    return Err(Error::Malformed { what: request.what(), why });
                }
                let unsent = e.take_message().is_some();
                return Ok(Err(if unsent { Lost::Unsent(why) } else { Lost::Unknown(why) }));
            }
        };
        let status = response.status().as_u16();
        let body = match read(response.into_body(), cap).await {
            Ok(body) => body,
            Err(BodyError::TooLong) => {
                let why = format!("it is longer than {cap} bytes");
                return Err(Error::Malformed { what: request.what(), why });
            }
            Err(BodyError::Broken(why)) => return Ok(Err(Lost::Unknown(why))),
        };
        self.give_back(connection);
        Ok(Ok(Answer { status, body, what: request.what() }))
    }

    fn message(&self, request: &Request) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let method = match request.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let mut builder = hyper::Request::builder()
            .method(method)
            .uri(request.path.as_str())
            .header(HOST, self.place.host())
            .header(ACCEPT, "application/json");
        if request.method == Method::Post {
            builder = builder.header(CONTENT_TYPE, request.content_type);
        }
        if let Some(key) = &request.idempotency_key {
            builder = builder.header(IDEMPOTENCY_KEY, key.as_str());
        }
        if let Some(token) = &self.token {
            builder = builder.header(AUTHORIZATION, token.clone());
        }
        builder.body(Full::new(request.body.clone())).map_err(|e| Error::Malformed {
            what: request.what(),
            why: format!("the request cannot be sent: {e}"),
        })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push(connection);
        }
    }

    /// A panic while the lock was held leaves at most a connection less.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_reachable(&self, why: String) -> Error {
        Error::NotReachable { place: self.place.to_string(), why }
    }

    fn interrupted(&self, why: String) -> Error {
        Error::Interrupted { place: self.place.to_string(), why }
    }
}

enum BodyError {
    TooLong,
    Broken(String),
}

/// Reads a body up to the cap; nothing beyond it is kept.
async fn read(body: Incoming, cap: usize) -> Result<Vec<u8>, BodyError> {
    match Limited::new(body, cap).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(e) if e.is::<LengthLimitError>() => Err(BodyError::TooLong),
        Err(e) => Err(BodyError::Broken(e.to_string())),
    }
}

/// hyper's words with their cause: "connection error" alone helps nobody.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
