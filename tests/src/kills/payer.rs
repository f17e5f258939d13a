//! Somebody who pays all the time, and asks again with the same operation id when an answer was lost.

use super::{Answer, Book, MEMBERS, NAMES, Payment, To};
use crate::kit::{Dice, Failure, Outcome, fresh_id, payment};
use std::time::Duration;
use tokio::sync::watch;
use weft_client::{Client, Error};

/// Wait before a request is repeated.
const AGAIN: Duration = Duration::from_millis(15);
/// Repetitions of one request: far beyond the time a node needs to start.
const MOST_REPEATED: u64 = 8_000;
/// Payments of one payer in one round: enough to go on until the kill, and no more while a node takes long to start.
const MOST_PAYMENTS: u64 = 16;
/// Longest pause between two payments, in milliseconds.
const PAUSE_MS: u64 = 30;

/// See the module.
pub(super) struct Payer {
    site: usize,
    client: Client,
    dice: Dice,
    book: Book,
}

impl Payer {
    pub(super) fn new(site: usize, client: Client, seed: u64, book: Book) -> Self {
        Self { site, client, dice: Dice(seed), book }
    }

    /// Pays until told to stop, and ends the payment it is at.
    pub(super) async fn run(mut self, stop: watch::Receiver<bool>) -> Outcome<()> {
        for _ in 0..MOST_PAYMENTS {
            if *stop.borrow() {
                break;
            }
            self.pay().await?;
            tokio::time::sleep(Duration::from_millis(self.dice.below(PAUSE_MS))).await;
        }
        Ok(())
    }

    async fn pay(&mut self) -> Outcome<()> {
        let (site, here) = (self.site, MEMBERS[self.site]);
        let from = self.dice.place(here.len());
        let other = self.dice.place(here.len());
        let to = match self.dice.below(8) {
            0..3 => To::Here(if other == from { (from + 1) % here.len() } else { other }),
            3..7 => To::There(other),
            _ => To::Nobody,
        };
        let name = match to {
            To::Here(member) => here[member].to_owned(),
            To::There(member) => format!("{}@{}", MEMBERS[1 - site][member], NAMES[1 - site]),
            To::Nobody => format!("nobody@{}", NAMES[1 - site]),
        };
        let amount = 1 + self.dice.below(90);
        let op = fresh_id();
        let minutes = i64::try_from(amount)?;
        let wish =
            Payment { site, op: op.clone(), from, to, amount: minutes, answer: Answer::None, arrived: None };
        let place = self.book.with(|payments, _| {
            payments.push(wish);
            payments.len() - 1
        });
        let answer = self.ask(&payment(here[from], &name, amount), &op).await?;
        self.book.with(|payments, _| payments[place].answer = answer);
        Ok(())
    }

    /// Asks until there is an answer that is final for the request.
    async fn ask(&self, payment: &weft_api::NewPayment, op: &str) -> Outcome<Answer> {
        for _ in 0..MOST_REPEATED {
            match self.client.pay(payment, op).await {
                Ok(done) => return Ok(Answer::Done { seq: done.seq, leaf: done.leaf, claim: done.claim }),
                Err(Error::Problem(problem)) if problem.status == 422 => {
                    return Ok(Answer::Refused(problem.code));
                }
                Err(Error::NotReachable { .. } | Error::Interrupted { .. }) => {}
                Err(Error::Problem(problem)) if problem.status == 503 => {}
                Err(error) => return Err(Failure::new(format!("payment {op}: {error}"))),
            }
            self.book.with(|_, repeated| *repeated += 1);
            tokio::time::sleep(AGAIN).await;
        }
        Err(Failure::new(format!("payment {op} got no answer after {MOST_REPEATED} requests")))
    }
}
