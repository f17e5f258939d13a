//! Asking a node that may be gone: the same request with the same operation id, until there is an answer that stays.

use super::{Books, Failure, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;
use weft_client::{Client, Error};
use weft_protocol::ids::OpId;

/// Wait before a request is repeated.
const AGAIN: Duration = Duration::from_millis(15);
/// Repetitions of one request: far beyond the time a node needs to start.
const MOST_REPEATED: u64 = 8_000;

/// What became of a request to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not asked yet.
    None,
    /// It stands in the ledger.
    Done {
        /// At this place.
        seq: u64,
        /// As this leaf.
        leaf: String,
        /// The claim of one to another network.
        claim: Option<String>,
    },
    /// It was refused, with this code.
    Refused(String),
}

/// Asks until there is an answer that is final for the request; also how often it was repeated.
///
/// # Errors
/// When there is none after very many times, or the answer is no answer.
pub async fn ask(client: &Client, payment: &weft_api::NewPayment, op: &str) -> Outcome<(Answer, u64)> {
    for repeated in 0..MOST_REPEATED {
        match client.pay(payment, op).await {
            Ok(done) => {
                return Ok((Answer::Done { seq: done.seq, leaf: done.leaf, claim: done.claim }, repeated));
            }
            Err(Error::Problem(problem)) if problem.status == 422 => {
                return Ok((Answer::Refused(problem.code), repeated));
            }
            Err(Error::NotReachable { .. } | Error::Interrupted { .. }) => {}
            Err(Error::Problem(problem)) if problem.status == 503 => {}
            Err(error) => return Err(Failure::new(format!("payment {op}: {error}"))),
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(Failure::new(format!("payment {op} got no answer after {MOST_REPEATED} requests")))
}

/// Checks that a request which was answered stands in the ledger as its answer said: once, or not at all.
///
/// # Errors
/// How it stands otherwise.
pub fn stands(books: &Books, times: &BTreeMap<OpId, usize>, op: &str, answer: &Answer) -> Outcome<()> {
    let id: OpId = op.parse()?;
    let times = times.get(&id).copied().unwrap_or(0);
    let fail = |why: String| Err(Failure::new(format!("payment {op} {why}")));
    match answer {
        Answer::None => fail("has no answer".to_owned()),
        Answer::Refused(_) if times == 0 => Ok(()),
        Answer::Refused(why) => fail(format!("was refused ({why}) and written")),
        Answer::Done { .. } if times != 1 => {
            fail(format!("was acknowledged and stands in the ledger {times} times"))
        }
        Answer::Done { seq, leaf, .. } => {
            let entry = usize::try_from(*seq).ok().and_then(|seq| books.own.get(seq));
            match entry {
                Some(entry) if entry.op().op_id == id && entry.leaf().to_string() == *leaf => Ok(()),
                _ => fail(format!("was acknowledged as entry {seq}, which is another")),
            }
        }
    }
}
