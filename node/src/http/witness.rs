//! `POST /witness/add-checkpoint`: C2SP tlog-witness for others' logs (specs/witness.md §5).
//!
//! Open to everybody: only logs that the operator or an accord names are cosigned, a request has a cap and all of
//! them together a rate.

use super::state::Ctx;
use crate::clock::Clock;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weft_protocol::log::witness::request::{MAX_REQUEST_BYTES, SIZE_MEDIA_TYPE};
use weft_protocol::log::witness::{AddCheckpoint, Answer};

/// Where it is served; also its submission prefix is open to all.
pub(super) const PATH: &str = "/witness/add-checkpoint";
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Requests a second in the long run: a hundred logs that each ask every ten seconds.
const PER_S: u32 = 10;
/// Requests at once.
const BURST: u32 = 50;

/// A token bucket for all who ask.
#[derive(Debug, Clone)]
pub(super) struct Rate(Arc<Mutex<(u32, Instant)>>);

impl Rate {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Mutex::new((BURST, clock.instant()))))
    }

    /// Whether one more may pass now.
    fn admits(&self, now: Instant) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, filled) = *bucket;
        let gained = now.saturating_duration_since(filled).as_millis() * u128::from(PER_S) / 1_000;
        let gained = u32::try_from(gained).unwrap_or(BURST);
        // Time that gave no whole token goes on counting.
        let filled = if gained > 0 { now } else { filled };
        let level = level.saturating_add(gained).min(BURST);
        *bucket = (level.saturating_sub(1), filled);
        level > 0
    }
}

pub(super) async fn add_checkpoint(State(ctx): State<Ctx>, request: Request<Body>) -> Response {
    if !ctx.witness_rate.admits(ctx.app.clock.instant()) {
        return shown(&Answer::Refused(429, "too many requests: ask again later".to_owned()));
    }
    let read = tokio::time::timeout(BODY_TIME, to_bytes(request.into_body(), MAX_REQUEST_BYTES)).await;
    let answer = match read {
        Err(_) => Answer::Refused(408, "the body did not arrive in time".to_owned()),
        Ok(Err(_)) => Answer::Refused(413, "the body is longer than a request can be".to_owned()),
        Ok(Ok(bytes)) => match AddCheckpoint::parse(&bytes) {
            Err(why) => Answer::Refused(400, why.to_string()),
            Ok(request) => {
                let run = ctx.app.ledger.run(move |core| core.witness_request(&request));
                run.await.unwrap_or_else(|stopped| Answer::Refused(503, stopped.to_string()))
            }
        },
    };
    shown(&answer)
}

fn shown(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = match answer {
        Answer::Conflict(_) => SIZE_MEDIA_TYPE,
        Answer::Cosigned(_) | Answer::Refused(..) => "text/plain; charset=utf-8",
    };
    (status, [(header::CONTENT_TYPE, kind)], answer.body()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Clock.instant();
        let rate = Rate::new(Clock);
        let at = |ms: u64| start + Duration::from_millis(ms + 10_000);
        assert_eq!((0..100).filter(|_| rate.admits(at(0))).count(), BURST as usize);
        assert!(!rate.admits(at(50)));
        assert!(rate.admits(at(100)) && !rate.admits(at(100)));
        assert_eq!((0..100).filter(|_| rate.admits(at(60_000))).count(), BURST as usize);
    }
}
