//! Somebody who pays all the time, and asks again with the same operation id when an answer was lost.

use super::{Answer, Book, MEMBERS, NAMES, Payment, To};
use crate::kit::asking::ask;
use crate::kit::{Dice, Outcome, fresh_id, payment};
use std::time::Duration;
use tokio::sync::watch;
use weft_client::Client;

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
        let (answer, times) = ask(&self.client, &payment(here[from], &name, amount), &op).await?;
        self.book.with(|payments, repeated| {
            payments[place].answer = answer;
            *repeated += times;
        });
        Ok(())
    }
}
