//! Mailboxes: letters for a peer that is away, kept by a peer of both (specs/network.md §13).
//!
//! As a sender a node puts what a peer has not acknowledged with somebody who will see it; as a receiver it fetches on each
//! connection what others keep for it; as a host it keeps, within bounds, what it cannot read. Nothing rests on a letter: it is
//! one more way for the same entries, and only the receiver's own word acknowledges them.

pub(crate) mod host;

use crate::clearing::Clearing;
use crate::clock::Clock;
use crate::network::{Protocol, RequestError};
use crate::service::Ledger;
use std::time::Duration;
use tokio::sync::watch;
use weft_protocol::encoding::EncodingError;
use weft_protocol::ids::LedgerId;
use weft_protocol::letter::{GetLetters, LetterPut, LettersGone, LettersGot, LettersTaken, PutLetter};
use weft_protocol::wire::Message;

/// Letters put in one round: the rest waits for the next one.
const LETTERS_A_ROUND: usize = 32;

#[derive(Debug, thiserror::Error)]
enum MailError {
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("{0}")]
    Answer(#[from] EncodingError),
    #[error("{0}")]
    Store(String),
    #[error("{0}")]
    Stopped(#[from] crate::service::ServiceError),
}

/// Keeps letters moving: every so often, and whenever a peer comes, until the node stops.
pub async fn run(
    ledger: Ledger,
    clearing: Clearing,
    clock: Clock,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mail = Mail { ledger, clearing, clock };
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut away = Vec::new();
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = mail.clearing.somebody_came() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match mail.round(&mut away).await {
            Ok(()) => {}
            Err(MailError::Stopped(_)) => return,
            Err(error) => tracing::debug!(%error, "letters will be looked after again"),
        }
    }
}

struct Mail {
    ledger: Ledger,
    clearing: Clearing,
    clock: Clock,
}

impl Mail {
    /// Fetches from everybody who is here, and writes to whom was away the last time too.
    async fn round(&self, away: &mut Vec<LedgerId>) -> Result<(), MailError> {
        let contacts = self.clearing.contacts();
        let here = |ledger: &LedgerId| contacts.get(ledger).is_some_and(|(connected, _)| *connected);
        for host in contacts.keys().filter(|ledger| here(ledger)) {
            if let Err(error) = self.fetch(*host).await {
                self.note(*host, error)?;
            }
        }
        for peer in contacts.keys().filter(|ledger| !here(ledger) && away.contains(ledger)) {
            if let Err(error) = self.write_to(*peer, &here).await {
                self.note(*peer, error)?;
            }
        }
        *away = contacts.keys().copied().filter(|ledger| !here(ledger)).collect();
        let now_ms = self.clock.now_ms();
        let forgotten = self.ledger.run(move |core| core.private().forget_old_letters(now_ms)).await?;
        forgotten.map(|_| ()).map_err(|e| MailError::Store(e.to_string()))
    }

    /// What went wrong with one peer stops nothing with the others.
    fn note(&self, peer: LedgerId, error: MailError) -> Result<(), MailError> {
        match error {
            stopped @ MailError::Stopped(_) => Err(stopped),
            error => {
                tracing::debug!(peer = %peer.short(), %error, "letters will be tried again");
                Ok(())
            }
        }
    }

    /// Takes in what a host keeps for us, and tells it so once that is on disk.
    async fn fetch(&self, host: LedgerId) -> Result<(), MailError> {
        let mut after = 0;
        loop {
            let ask = GetLetters { message: 3, after };
            let got = LettersGot::parse(&self.request(host, ask.to_bytes()).await?)?;
            let Some(last) = got.letters.last().map(|kept| kept.number) else { return Ok(()) };
            let letters = got.letters;
            let taken = self.ledger.run(move |core| letters.iter().all(|kept| core.letter_in(kept)));
            if !taken.await? || last <= after {
                return Ok(());
            }
            let done = LettersTaken { message: 5, upto: last };
            LettersGone::parse(&self.request(host, done.to_bytes()).await?)?;
            if !got.more {
                return Ok(());
            }
            after = last;
        }
    }

    /// Writes to a peer what it has not acknowledged, to each host that will see it.
    async fn write_to(&self, peer: LedgerId, here: &impl Fn(&LedgerId) -> bool) -> Result<(), MailError> {
        let hosts = self.ledger.run(move |core| core.hosts_for(&peer)).await?;
        let hosts: Vec<LedgerId> = hosts.into_iter().filter(|host| here(host)).collect();
        if hosts.is_empty() {
            return Ok(());
        }
        for _ in 0..LETTERS_A_ROUND {
            let out = self.ledger.run(move |core| core.letter_for(&peer)).await?;
            let Some(out) = out.map_err(MailError::Store)? else { return Ok(()) };
            let put = PutLetter { message: 1, to: peer, letter: out.letter }.to_bytes();
            let mut kept = false;
            for host in &hosts {
                kept |= match self.request(*host, put.clone()).await {
                    Ok(answer) => LetterPut::parse(&answer)?.taken == LetterPut::KEPT,
                    Err(error) => {
                        tracing::debug!(host = %host.short(), %error, "a letter was not put");
                        false
                    }
                };
            }
            if !kept {
                return Ok(());
            }
            let noted = self.ledger.run(move |core| core.note_letter(&peer, out.next)).await?;
            noted.map_err(MailError::Store)?;
            tracing::info!(peer = %peer.short(), next = out.next, "a letter waits for a peer that is away");
        }
        Ok(())
    }

    async fn request(&self, peer: LedgerId, bytes: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        self.clearing.request(peer, Protocol::Mailbox, bytes).await
    }
}
