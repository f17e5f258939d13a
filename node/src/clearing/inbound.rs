//! Requests of other nodes: read within caps, handed to the ledger, answered with what is durable.
//!
//! `None` refuses a request without a word: nothing was done.

use super::Clearing;
use super::prove::Proven;
use crate::mailbox::host::{self, HostError};
use crate::network::{Answer as Way, Fault, PeerId, Protocol};
use crate::service::{PushIn, ServiceError};
use std::sync::Arc;
use std::time::Duration;
use weft_protocol::encoding::{Blob, EncodingError};
use weft_protocol::entry::Entry;
use weft_protocol::ids::{LedgerId, PUBLIC_STREAM};
use weft_protocol::log::witness::{AddCheckpoint, Answer};
use weft_protocol::seal::Envelope;
use weft_protocol::wire::{
    EvidenceShown, Hello, Message, PairAsk, Push, Pushed, WIRE_VERSION, WitnessAnswer, WitnessAsk, number_of,
};

/// How long a push waits for those before it.
const TURN: Duration = Duration::from_secs(1);

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is no message.
    Unreadable(String),
    /// In words.
    Other(String),
}

impl From<EncodingError> for Refused {
    fn from(error: EncodingError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        Self::Other(error.to_string())
    }
}

/// An answer, and what was wrong with the request all the same.
pub(super) struct Replied {
    pub(super) bytes: Vec<u8>,
    pub(super) fault: Option<Fault>,
}

impl From<Vec<u8>> for Replied {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, fault: None }
    }
}

/// Numbers of the questions that this version knows (specs/network.md §4 to §11).
const fn questions(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Hello | Protocol::Claim => &[1],
        Protocol::Stream | Protocol::Witness | Protocol::Guard => &[1, 3],
        Protocol::Pair | Protocol::Mirror | Protocol::Mailbox => &[1, 3, 5],
        Protocol::Sync => &[1, 3, 5, 7],
    }
}

/// What an unreadable request says of its sender: a number that we do not know may be a newer version's.
fn unreadable(protocol: Protocol, bytes: &[u8]) -> Fault {
    match number_of(bytes) {
        Some(number) if !questions(protocol).contains(&number) => Fault::NotKnown,
        Some(_) | None => Fault::Garbage,
    }
}

impl Clearing {
    /// Answers a request, or refuses it, and says what its sender has done wrong.
    pub(super) async fn answer(&self, peer: PeerId, protocol: Protocol, bytes: &[u8], way: Way) {
        let told = match self.reply(peer, protocol, bytes).await {
            Ok(Replied { bytes, fault: None }) => way.send(bytes),
            Ok(Replied { bytes, fault: Some(fault) }) => way.send_blaming(Some(bytes), fault),
            Err(Refused::Unreadable(why)) => {
                tracing::debug!(%peer, %protocol, %why, "a request could not be read");
                way.send_blaming(None, unreadable(protocol, bytes))
            }
            // Dropping the answer refuses the request; the peer asks again.
            Err(Refused::Other(why)) => {
                tracing::debug!(%peer, %protocol, %why, "a request was refused");
                Ok(())
            }
        };
        if let Err(error) = told {
            tracing::debug!(%peer, %error, "an answer found nobody");
        }
    }

    async fn reply(&self, peer: PeerId, protocol: Protocol, bytes: &[u8]) -> Result<Replied, Refused> {
        let ledger = self.peer_behind(&peer);
        let answered = match (protocol, ledger) {
            (Protocol::Stream, Some(ledger)) if number_of(bytes) == Some(EvidenceShown::NUMBER) => {
                self.evidence_in(ledger, bytes).await
            }
            (Protocol::Stream, Some(ledger)) => return self.push_in(ledger, bytes).await,
            (Protocol::Stream, None) => return self.push_in_unknown(bytes).await,
            (Protocol::Claim, _) => return self.ask_in(peer, ledger, bytes).await,
            (Protocol::Hello, _) => self.hello_in(ledger, bytes).await,
            (Protocol::Pair, _) => Ok(self.pair_in(peer, PairAsk::parse(bytes)?).await.to_bytes()),
            (Protocol::Sync, _) => self.sync_in(peer, bytes).await,
            (Protocol::Witness, Some(ledger)) => self.witness_in(ledger, bytes).await,
            (Protocol::Guard, Some(ledger)) => self.guard_in(ledger, bytes).await,
            (Protocol::Mirror, Some(ledger)) => self.mirror_in(ledger, bytes).await,
            (Protocol::Mailbox, Some(ledger)) => self.letters_in(ledger, bytes).await,
            (Protocol::Witness | Protocol::Guard | Protocol::Mirror | Protocol::Mailbox, None) => {
                return Err(Refused::Other("there is no accord with this network".to_owned()));
            }
        };
        answered.map(Replied::from)
    }

    async fn hello_in(&self, ledger: Option<LedgerId>, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let hello = Hello::parse(bytes)?;
        let mut resume = None;
        if let Some(ledger) = ledger {
            // A disagreement is noted by the ledger; the peer is still told where we stand.
            let _ = self.take_hello(ledger, &hello).await;
            let read = self.0.ledger.run(move |core| core.resume(&ledger));
            resume = read.await.map_err(|e| e.to_string())?.map(|(_, resume)| resume);
        }
        let us = self.0.ledger.run(|core| core.engine().state().ledger()).await.map_err(|e| e.to_string())?;
        let us = us.map_err(|e| e.to_string())?;
        let descriptor = self.descriptor().await;
        Ok(Hello { message: 2, versions: vec![WIRE_VERSION], ledger: us, descriptor, resume }.to_bytes())
    }

    /// A push of who is no peer by its connection: the public entries of a peer that has bound another libp2p key while
    /// we did not hear it. They carry their own proof.
    async fn push_in_unknown(&self, bytes: &[u8]) -> Result<Replied, Refused> {
        let push = Push::parse(bytes)?;
        let first = push.entries.first().filter(|_| push.channel == PUBLIC_STREAM);
        let ledger = first.and_then(|entry| Entry::parse(&entry.0).ok()).map(|entry| entry.body().ledger);
        let ledger = ledger.ok_or_else(|| "there is no accord with this network".to_owned())?;
        let run = self.0.ledger.run(move |core| core.engine().state().channel_with(&ledger).is_some());
        if run.await.map_err(|e| e.to_string())? {
            self.push_in(ledger, bytes).await
        } else {
            Err(Refused::Other("there is no accord with this network".to_owned()))
        }
    }

    async fn push_in(&self, peer: LedgerId, bytes: &[u8]) -> Result<Replied, Refused> {
        let push = Push::parse(bytes)?;
        let sidecars: Result<Vec<Envelope>, _> =
            push.sidecars.iter().map(|b| Envelope::parse(&b.0)).collect();
        let sidecars = sidecars.map_err(|e| Refused::Unreadable(e.to_string()))?;
        let Push { channel, entries, proofs, .. } = push;
        let sidecars = Arc::new(sidecars);
        // Who panics on an entry refuses the push.
        let proven = self.prove(peer, entries, &sidecars).await;
        let Proven { entries, unreadable, opened } =
            proven.ok_or_else(|| "the push could not be read".to_owned())?;
        let push = Box::new(PushIn { peer, channel, entries, unreadable, sidecars, proofs, opened });
        let (pushed, fault) = self.push_in_turn(push).await?;
        if channel == PUBLIC_STREAM {
            self.follow_identity(peer).await;
        }
        Ok(Replied { bytes: pushed.to_bytes(), fault })
    }

    /// Takes a push in as if it came from this peer.
    #[cfg(test)]
    pub(crate) async fn take_push(&self, peer: LedgerId, push: &Push) -> Pushed {
        let Ok(replied) = self.push_in(peer, &push.to_bytes()).await else { panic!("the push was refused") };
        Pushed::parse(&replied.bytes).expect("we answer what parses")
    }

    /// Pushes may overtake each other on their way: one that comes before those before it waits for them a little
    /// (specs/network.md 6.5).
    async fn push_in_turn(&self, mut push: Box<PushIn>) -> Result<(Pushed, Option<Fault>), ServiceError> {
        let late = tokio::time::sleep(TURN);
        tokio::pin!(late);
        loop {
            let progressed = self.0.progressed.notified();
            tokio::pin!(progressed);
            // Heard from here on, so that what is taken in meanwhile is not missed.
            progressed.as_mut().enable();
            let patient = !late.is_elapsed();
            let taken = self.0.ledger.run(move |core| {
                let waits = patient && core.comes_early(&push);
                if waits { Err(push) } else { Ok(core.push_in(*push)) }
            });
            match taken.await? {
                Ok(taken) => {
                    self.0.progressed.notify_waiters();
                    return Ok(taken);
                }
                Err(early) => push = early,
            }
            tokio::select! {
                () = progressed => {}
                () = &mut late => {}
            }
        }
    }

    /// A peer puts, fetches or has taken letters.
    async fn letters_in(&self, peer: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let bytes = bytes.to_vec();
        let answered = self.0.ledger.run(move |core| host::answer(core, peer, &bytes)).await?;
        answered.map_err(|error| match error {
            HostError::Unreadable(why) => Refused::Unreadable(why),
            HostError::Stopped(_) | HostError::Store(_) => Refused::Other(error.to_string()),
        })
    }

    async fn evidence_in(&self, from: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let shown = EvidenceShown::parse(bytes)?;
        let run = self.0.ledger.run(move |core| core.evidence_in(&from, &shown.evidence.0));
        let taken = run.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        Ok(taken.to_bytes())
    }

    async fn witness_in(&self, asker: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let ask = WitnessAsk::parse(bytes)?;
        let answer = match (ask.message, ask.request) {
            (1, Some(request)) => {
                let answer = match AddCheckpoint::parse(&request.0) {
                    Ok(request) => {
                        let run = self.0.ledger.run(move |core| core.witness_request(&request));
                        run.await.map_err(|e| e.to_string())?
                    }
                    Err(why) => Answer::Refused(400, why.to_string()),
                };
                let body = Some(Blob(answer.body().into_bytes()));
                WitnessAnswer { message: 2, status: Some(answer.status()), body }
            }
            (3, None) => {
                let note = self.0.ledger.run(move |core| core.witnessed_by(&asker));
                let body = note.await.map_err(|e| e.to_string())??.map(Blob);
                WitnessAnswer { message: 4, status: None, body }
            }
            (_, _) => return Err("a request without its body, or with one too many".to_owned().into()),
        };
        Ok(answer.to_bytes())
    }
}
