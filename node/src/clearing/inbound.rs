//! Requests of other nodes: read within caps, handed to the ledger, answered with what is durable.
//!
//! `None` refuses a request without a word: nothing was done.

use super::Clearing;
use crate::network::{PeerId, Protocol};
use crate::service::PushIn;
use weft_protocol::encoding::Blob;
use weft_protocol::entry::Entry;
use weft_protocol::ids::{LedgerId, PUBLIC_STREAM};
use weft_protocol::log::witness::{AddCheckpoint, Answer};
use weft_protocol::seal::Envelope;
use weft_protocol::wire::{
    EvidenceShown, Hello, Message, PairAsk, Push, WIRE_VERSION, WitnessAnswer, WitnessAsk, number_of,
};

impl Clearing {
    pub(super) async fn answer(&self, peer: PeerId, protocol: Protocol, bytes: &[u8]) -> Option<Vec<u8>> {
        let ledger = self.peer_behind(&peer);
        let answered = match (protocol, ledger) {
            (Protocol::Hello, _) => self.hello_in(ledger, bytes).await,
            (Protocol::Pair, _) => match PairAsk::parse(bytes) {
                Ok(ask) => Ok(self.pair_in(peer, ask).await.to_bytes()),
                Err(error) => Err(error.to_string()),
            },
            (Protocol::Stream, Some(ledger)) if number_of(bytes) == Some(EvidenceShown::NUMBER) => {
                self.evidence_in(ledger, bytes).await
            }
            (Protocol::Stream, Some(ledger)) => self.push_in(ledger, bytes).await,
            (Protocol::Sync, _) => self.sync_in(peer, bytes).await,
            (Protocol::Claim, _) => self.ask_in(peer, ledger, bytes).await,
            (Protocol::Witness, Some(ledger)) => self.witness_in(ledger, bytes).await,
            (Protocol::Guard, Some(ledger)) => self.guard_in(ledger, bytes).await,
            (Protocol::Mirror, Some(ledger)) => self.mirror_in(ledger, bytes).await,
            (Protocol::Stream, None) => self.push_in_unknown(bytes).await,
            (Protocol::Witness | Protocol::Guard | Protocol::Mirror, None) => {
                Err("there is no accord with this network".to_owned())
            }
        };
        match answered {
            Ok(reply) => Some(reply),
            Err(why) => {
                tracing::debug!(%peer, %protocol, %why, "a request was refused");
                None
            }
        }
    }

    async fn hello_in(&self, ledger: Option<LedgerId>, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let hello = Hello::parse(bytes).map_err(|e| e.to_string())?;
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
    async fn push_in_unknown(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let push = Push::parse(bytes).map_err(|e| e.to_string())?;
        let first = push.entries.first().filter(|_| push.channel == PUBLIC_STREAM);
        let ledger = first.and_then(|entry| Entry::parse(&entry.0).ok()).map(|entry| entry.body().ledger);
        let ledger = ledger.ok_or_else(|| "there is no accord with this network".to_owned())?;
        let run = self.0.ledger.run(move |core| core.engine().state().channel_with(&ledger).is_some());
        if run.await.map_err(|e| e.to_string())? {
            self.push_in(ledger, bytes).await
        } else {
            Err("there is no accord with this network".to_owned())
        }
    }

    async fn push_in(&self, peer: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let push = Push::parse(bytes).map_err(|e| e.to_string())?;
        let sidecars: Result<Vec<Envelope>, _> =
            push.sidecars.iter().map(|b| Envelope::parse(&b.0)).collect();
        let sidecars = sidecars.map_err(|e| e.to_string())?;
        let Push { channel, entries, proofs, .. } = push;
        let public = channel == PUBLIC_STREAM;
        let push = PushIn { peer, channel, entries, sidecars, proofs };
        let pushed = self.0.ledger.run(move |core| core.push_in(push)).await.map_err(|e| e.to_string())?;
        if public {
            self.follow_identity(peer).await;
        }
        Ok(pushed.to_bytes())
    }

    async fn evidence_in(&self, from: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let shown = EvidenceShown::parse(bytes).map_err(|e| e.to_string())?;
        let run = self.0.ledger.run(move |core| core.evidence_in(&from, &shown.evidence.0));
        let taken = run.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
        Ok(taken.to_bytes())
    }

    async fn witness_in(&self, asker: LedgerId, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let ask = WitnessAsk::parse(bytes).map_err(|e| e.to_string())?;
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
            (_, _) => return Err("a request without its body, or with one too many".to_owned()),
        };
        Ok(answer.to_bytes())
    }
}
